//! Exact lengths: what ESP adds to a packet, and what fits a link.

use super::ip::Family;
use crate::algorithm::{Encryption, Suite};

/// SPI and sequence number.
const ESP_HEADER: usize = 8;
/// Pad length and next header.
const TRAILER: usize = 2;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

/// Lengths of ESP transport mode. All are in octets and exact; payload is what stands behind the IP
/// headers: the TCP or UDP header and its data.
impl Suite {
    /// Octets of the initialisation vector that each packet carries.
    pub const fn iv_len(self) -> usize {
        match self.encryption() {
            Encryption::Null if self.is_gcm() => 8,
            Encryption::Null => 0,
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => 8,
            Encryption::AesCbc => 16,
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => 8,
        }
    }

    /// Octets to a multiple of which payload and trailer are padded: the cipher's block, and never
    /// fewer than four (RFC 4303 2.4).
    pub const fn block_len(self) -> usize {
        match self.encryption() {
            Encryption::Null => 4,
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => 8,
            Encryption::AesCbc => 16,
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => 4,
        }
    }

    /// Octets of the integrity check value at the end of a packet.
    pub const fn icv_len(self) -> usize {
        if self.is_gcm() { 16 } else { 12 }
    }

    /// Octets that ESP puts in front of the payload: SPI, sequence number and IV. The headroom that
    /// [`Outbound::seal_in_place`](crate::sa::Outbound::seal_in_place) needs.
    pub const fn headroom(self) -> usize {
        ESP_HEADER + self.iv_len()
    }

    /// Octets that ESP puts after a payload: padding, pad length, next header and ICV. The
    /// tailroom that [`Outbound::seal_in_place`](crate::sa::Outbound::seal_in_place) needs.
    pub const fn tailroom(self, payload_len: usize) -> usize {
        self.pad_len(payload_len) + TRAILER + self.icv_len()
    }

    /// Octets by which a packet with such a payload grows.
    ///
    /// ```
    /// use ipsec_3gpp::Suite;
    /// // RFC 4303: 8 of header, 16 of IV, 2 of padding, 2 of trailer, 12 of ICV.
    /// assert_eq!(Suite::HMAC_SHA_1_96_AES_CBC.growth(300), 40);
    /// ```
    pub const fn growth(self, payload_len: usize) -> usize {
        self.headroom() + self.tailroom(payload_len)
    }

    /// The largest growth that a payload of any length can have.
    pub const fn max_growth(self) -> usize {
        self.headroom() + self.block_len() - 1 + TRAILER + self.icv_len()
    }

    /// Octets of the ESP packet of a payload, from the SPI to the end of the ICV.
    pub const fn sealed_len(self, payload_len: usize) -> usize {
        payload_len.saturating_add(self.growth(payload_len))
    }

    /// The largest payload whose ESP packet has at most `room` octets; `None` if even an empty one
    /// has more.
    pub const fn max_payload(self, room: usize) -> Option<usize> {
        let Some(body) = room.checked_sub(self.headroom() + self.icv_len()) else { return None };
        let block = self.block_len();
        (body / block * block).checked_sub(TRAILER)
    }

    /// The most UDP data (one SIP message) that a datagram of `mtu` octets, or the largest that
    /// there can be, can protect, without IP options or extension headers; `None` if none fits.
    pub const fn max_udp_data(self, mtu: usize, family: Family) -> Option<usize> {
        self.max_behind(mtu, family, UDP_HEADER)
    }

    /// The TCP maximum segment size for a link of `mtu` octets, without options in the IP or TCP
    /// header; `None` if none fits. Options take their octets from it.
    pub const fn max_tcp_segment(self, mtu: usize, family: Family) -> Option<usize> {
        self.max_behind(mtu, family, TCP_HEADER)
    }

    const fn max_behind(self, mtu: usize, family: Family, header: usize) -> Option<usize> {
        // The largest value of a length field: of the datagram in IPv4, of the octets after the
        // header in IPv6.
        let largest = match family {
            Family::Ipv4 => u16::MAX as usize,
            Family::Ipv6 => family.header_len() + u16::MAX as usize,
        };
        let mtu = if mtu < largest { mtu } else { largest };
        let Some(room) = mtu.checked_sub(family.header_len()) else { return None };
        match self.max_payload(room) {
            Some(payload) => payload.checked_sub(header),
            None => None,
        }
    }

    /// One of those whose packets are one pass: all have the same lengths.
    #[cfg(feature = "aes-gcm")]
    pub(crate) const ONE_PASS: Self = Self::AES_GCM;
    #[cfg(not(feature = "aes-gcm"))]
    pub(crate) const ONE_PASS: Self = Self::HMAC_SHA_1_96_NULL;

    pub(crate) const fn pad_len(self, payload_len: usize) -> usize {
        // Every block length is a power of two: no division on the packet path.
        payload_len.wrapping_add(TRAILER).wrapping_neg() & (self.block_len() - 1)
    }

    /// Octets of the payload and its trailer in an ESP packet of this length: a positive multiple
    /// of the block. `None` if the length is impossible.
    #[inline(always)]
    pub(super) const fn body_len(self, esp_len: usize) -> Option<usize> {
        match esp_len.checked_sub(self.headroom() + self.icv_len()) {
            Some(body) if body >= TRAILER && body & (self.block_len() - 1) == 0 => Some(body),
            _ => None,
        }
    }
}

//! The IP headers around an ESP packet: where ESP begins, and what changes when it is added or
//! removed.

pub(crate) mod fragment;

use crate::impossible::part;
use crate::rare::rare;
use core::net::IpAddr;

use super::{PROTOCOL_ESP, PROTOCOL_NONE};

const HOP_BY_HOP: u8 = 0;
const ICMP: u8 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;
const DESTINATION_OPTIONS: u8 = 60;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

/// Extension headers of one datagram. RFC 8200 4.1 has five where ESP is the next one; a limit of
/// eight is what RFC 8504 5.3 suggests.
const MAX_EXTENSIONS: usize = 8;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// Octets of the IP header without options or extension headers.
    pub const fn header_len(self) -> usize {
        match self {
            Family::Ipv4 => IPV4_HEADER,
            Family::Ipv6 => IPV6_HEADER,
        }
    }
}

/// Why octets are not an IP datagram that ESP can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IpError {
    /// The datagram ends before its headers, or the length in them, say so.
    #[error("datagram truncated: {needed} octets needed, {found} available")]
    Truncated {
        /// Octets that there must be.
        needed: usize,
        /// Octets that there are.
        found: usize,
    },
    /// Neither version 4 nor 6.
    #[error("unknown IP version {0}")]
    Version(u8),
    /// A header length or total length that contradicts itself.
    #[error("invalid length in the IP header")]
    Length,
    /// The checksum of an IPv4 header does not fit it.
    #[error("invalid IPv4 header checksum")]
    Checksum,
    /// A fragment. Transport mode takes whole datagrams (RFC 4301 7): the caller reassembles first.
    #[error("fragment: reassemble first")]
    Fragment,
    /// More IPv6 extension headers than are read.
    #[error("more than {MAX_EXTENSIONS} extension headers")]
    Extensions,
    /// A protocol that hides whether there are ports, and which ones: AH, Mobility, HIP, Shim6, IP
    /// in IP, and any other that is not known to have none.
    #[error("protocol {0} hides the ports")]
    HiddenPorts(u8),
}

crate::code::codes!(IpError {
    IpError::Truncated { .. } => "ip-truncated",
    IpError::Version(_) => "ip-version",
    IpError::Length => "ip-length",
    IpError::Checksum => "ip-checksum",
    IpError::Fragment => "ip-fragment",
    IpError::Extensions => "ip-extensions",
    IpError::HiddenPorts(_) => "ip-hidden-ports",
});

/// Source and destination, which follow each other in a packet.
#[inline]
pub(crate) fn addresses(family: Family, both: &[u8]) -> (IpAddr, IpAddr) {
    fn octets<const N: usize>(both: &[u8], at: usize) -> [u8; N] {
        both.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }
    match family {
        Family::Ipv4 => (octets::<4>(both, 0).into(), octets::<4>(both, 4).into()),
        Family::Ipv6 => (octets::<16>(both, 0).into(), octets::<16>(both, 16).into()),
    }
}

/// The headers of one datagram without its addresses, which are read from the packet. Fields are
/// full words: narrower ones cause store-forwarding stalls when the struct is returned by value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    /// Octets in all; a buffer may be longer (link-layer padding).
    pub(crate) total_len: usize,
    /// Octets of the headers that stay in front of ESP.
    pub(crate) header_len: usize,
    /// Where the octet is that names the protocol.
    protocol_at: usize,
    /// The protocol that begins after them.
    protocol: u32,
    /// Of IP: 4 or 6.
    version: u32,
}

impl Datagram {
    /// The family.
    #[inline]
    pub(crate) const fn family(&self) -> Family {
        if self.version == 4 { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// Source and destination.
    #[inline]
    pub(crate) fn addresses(&self, packet: &[u8]) -> (IpAddr, IpAddr) {
        addresses(self.family(), self.address_octets(packet))
    }

    /// Source and destination as they are in the packet: twice four octets, or twice sixteen.
    #[inline(always)]
    pub(crate) fn address_octets<'p>(&self, packet: &'p [u8]) -> &'p [u8] {
        let range = match self.family() {
            Family::Ipv4 => 12..IPV4_HEADER,
            Family::Ipv6 => 8..IPV6_HEADER,
        };
        part(packet, range)
    }

    /// The protocol that begins after the headers.
    #[inline]
    pub(crate) const fn protocol(&self) -> u8 {
        self.protocol as u8
    }

    /// Reads a datagram that is to be protected: headers end where RFC 4303 3.1.1 puts ESP. In IPv6
    /// that is after hop-by-hop and routing headers, and after destination options that no
    /// routing header precedes.
    #[inline(always)]
    pub(crate) fn parse_plain(packet: &[u8]) -> Result<Self, IpError> {
        let mut routed = false;
        Self::parse(packet, |next| match next {
            HOP_BY_HOP | FRAGMENT => true,
            ROUTING => {
                routed = true;
                true
            }
            DESTINATION_OPTIONS => !routed,
            _ => false,
        })
    }

    /// Reads a datagram that came from outside: headers end at the first that is not an extension
    /// header. The checksum of an IPv4 header is verified, since no ICV covers it.
    #[inline(always)]
    pub(crate) fn parse_received(packet: &[u8]) -> Result<Self, IpError> {
        let datagram = Self::parse(packet, is_extension)?;
        if datagram.has_right_checksum(packet) { Ok(datagram) } else { Err(IpError::Checksum) }
    }

    /// Whether the checksum of an IPv4 header is that of the header.
    #[inline(always)]
    pub(crate) fn has_right_checksum(&self, packet: &[u8]) -> bool {
        self.version != 4 || checksum(part(packet, ..self.header_len)) == 0
    }

    /// Reads an IPv4 datagram without options, as nearly all are: fewer checks are needed. `None`
    /// if it is something else, or something is wrong.
    #[inline(always)]
    pub(crate) fn parse_bare_ipv4(packet: &[u8]) -> Option<Self> {
        /// Version and header length; more fragments, and the offset of one that is not the first.
        const CHECKED: u64 = u64::from_be_bytes([0xff, 0, 0, 0, 0, 0, 0x3f, 0xff]);
        const BARE: u64 = 0x45 << 56;
        let header: &[u8; IPV4_HEADER] = packet.first_chunk()?;
        let [.., protocol, _, _, _, _, _, _, _, _, _, _] = *header;
        let words = u64::from_be_bytes(*header.first_chunk()?);
        let total_len = usize::from((words >> 32) as u16);
        let is_whole = (IPV4_HEADER..=packet.len()).contains(&total_len);
        (words & CHECKED == BARE && is_whole).then_some(Self {
            total_len,
            header_len: IPV4_HEADER,
            protocol_at: 9,
            protocol: protocol.into(),
            version: 4,
        })
    }

    /// Reads an IPv6 datagram without extension headers; see [`Datagram::parse_bare_ipv4`].
    #[inline(always)]
    pub(crate) fn parse_bare_ipv6(packet: &[u8]) -> Option<Self> {
        let header: &[u8; IPV6_HEADER] = packet.first_chunk()?;
        let words = u64::from_be_bytes(*header.first_chunk()?);
        let (payload_len, protocol) = ((words >> 16) as u16, (words >> 8) as u8);
        let total_len = IPV6_HEADER + usize::from(payload_len);
        if words >> 60 != 6 || total_len > packet.len() || is_extension(protocol) {
            return None;
        }
        let (header_len, protocol) = (IPV6_HEADER, protocol.into());
        Some(Self { total_len, header_len, protocol_at: 6, protocol, version: 6 })
    }

    /// Reads usual headers, as nearly all are: those of IPv4 without options, or of IPv6 without
    /// extension headers, where code pays that is for such datagrams alone. `None` for all where it
    /// would be flash: a small UE has one for all kinds.
    #[inline(always)]
    pub(crate) fn parse_usual(family: Family, packet: &[u8]) -> Option<Self> {
        if !cfg!(all(feature = "kernels", target_pointer_width = "64")) {
            return None;
        }
        match family {
            Family::Ipv4 => Self::parse_bare_ipv4(packet),
            Family::Ipv6 => Self::parse_bare_ipv6(packet),
        }
    }

    /// This datagram, where it is known to the compiler that it is of IPv4 without options. `None`
    /// if it is not.
    #[inline(always)]
    pub(crate) fn to_bare_ipv4(self) -> Option<Self> {
        let bare = Self { header_len: IPV4_HEADER, protocol_at: 9, version: 4, ..self };
        (self.version == bare.version && self.header_len == bare.header_len).then_some(bare)
    }

    #[inline(always)]
    fn parse(packet: &[u8], belongs_before_esp: impl FnMut(u8) -> bool) -> Result<Self, IpError> {
        match packet.first().map(|octet| octet >> 4) {
            Some(4) => Self::parse_ipv4(packet),
            Some(6) => Self::parse_ipv6(packet, belongs_before_esp),
            Some(version) => Err(IpError::Version(version)),
            None => Err(IpError::Truncated { needed: Family::Ipv4.header_len(), found: 0 }),
        }
    }

    #[inline(always)]
    fn parse_ipv4(packet: &[u8]) -> Result<Self, IpError> {
        let header: &[u8; 20] = first(packet)?;
        let datagram = Self::ipv4(header, packet.len())?;
        let [_, _, _, _, _, _, flags, offset, ..] = *header;
        // More fragments, or not the first one.
        if u16::from_be_bytes([flags, offset]) & 0x3fff != 0 {
            return Err(IpError::Fragment);
        }
        Ok(datagram)
    }

    /// An IPv4 datagram, which may be a fragment, by the beginning of its header.
    #[inline(always)]
    fn ipv4(header: &[u8; IPV4_HEADER], available: usize) -> Result<Self, IpError> {
        let [version_ihl, _, len_high, len_low, _, _, _, _, _, protocol, ..] = *header;
        let header_len = usize::from(version_ihl & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([len_high, len_low]));
        if header_len < header.len() || total_len < header_len {
            return Err(IpError::Length);
        }
        if available < total_len {
            return Err(IpError::Truncated { needed: total_len, found: available });
        }
        Ok(Self { total_len, header_len, protocol_at: 9, protocol: protocol.into(), version: 4 })
    }

    #[inline(always)]
    fn parse_ipv6(packet: &[u8], mut belongs_before_esp: impl FnMut(u8) -> bool) -> Result<Self, IpError> {
        let header: &[u8; IPV6_HEADER] = first(packet)?;
        let [_, _, _, _, len_high, len_low, next, ..] = *header;
        let total_len = IPV6_HEADER + usize::from(u16::from_be_bytes([len_high, len_low]));
        let packet =
            packet.get(..total_len).ok_or(IpError::Truncated { needed: total_len, found: packet.len() })?;
        let mut datagram =
            Self { total_len, header_len: IPV6_HEADER, protocol_at: 6, protocol: next.into(), version: 6 };
        let mut walk = Extensions::default();
        while belongs_before_esp(datagram.protocol()) {
            let (len, next) = walk.step(datagram.protocol(), part(packet, datagram.header_len..))?;
            datagram.protocol_at = datagram.header_len;
            datagram.protocol = next.into();
            datagram.header_len += len;
        }
        Ok(datagram)
    }

    pub(crate) const fn is_esp(&self) -> bool {
        self.protocol() == PROTOCOL_ESP
    }

    pub(crate) const fn payload_len(&self) -> usize {
        self.total_len - self.header_len
    }

    /// The payload of the datagram that these octets begin with.
    #[inline]
    pub(crate) fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        part(packet, self.header_len..self.total_len)
    }

    /// Writes the headers for a payload of another length and protocol: with total or payload
    /// length, the octet that names the protocol, and the checksum of IPv4. `packet` begins
    /// with the headers as they are. `None` if the length does not fit the header.
    #[inline(always)]
    pub(crate) fn write_headers(
        &self,
        packet: &[u8],
        to: &mut [u8],
        payload_len: usize,
        protocol: u8,
    ) -> Option<()> {
        // Nearly all headers are one of two. They are read, changed and written as whole words:
        // narrower accesses cause store-forwarding stalls.
        match (self.version, self.header_len) {
            (4, IPV4_HEADER) => {
                *to.first_chunk_mut()? = mended_ipv4(packet.first_chunk()?, payload_len, protocol)?;
            }
            (6, IPV6_HEADER) => {
                *to.first_chunk_mut()? = mended_ipv6(packet.first_chunk()?, payload_len, protocol)?;
            }
            _ => {
                let to = to.get_mut(..self.header_len)?;
                to.copy_from_slice(packet.get(..self.header_len)?);
                self.mend(to, payload_len, protocol)?;
            }
        }
        Some(())
    }

    /// [`Datagram::write_headers`] within a buffer: the headers begin at `from`, and are written at
    /// `to`.
    #[inline(always)]
    pub(crate) fn move_headers(
        &self,
        buffer: &mut [u8],
        (from, to): (usize, usize),
        payload_len: usize,
        protocol: u8,
    ) -> Option<()> {
        match (self.version, self.header_len) {
            (4, IPV4_HEADER) => {
                let header = mended_ipv4(buffer.get(from..)?.first_chunk()?, payload_len, protocol)?;
                *buffer.get_mut(to..)?.first_chunk_mut()? = header;
            }
            (6, IPV6_HEADER) => {
                let header = mended_ipv6(buffer.get(from..)?.first_chunk()?, payload_len, protocol)?;
                *buffer.get_mut(to..)?.first_chunk_mut()? = header;
            }
            (_, len) => {
                let (from_end, to_end) = (from.checked_add(len)?, to.checked_add(len)?);
                if from_end.max(to_end) > buffer.len() {
                    return None;
                }
                buffer.copy_within(from..from_end, to);
                self.mend(buffer.get_mut(to..to_end)?, payload_len, protocol)?;
            }
        }
        Some(())
    }

    /// Mends headers that have options or extension headers.
    #[inline(never)]
    fn mend(self, headers: &mut [u8], payload_len: usize, protocol: u8) -> Option<()> {
        match self.version {
            4 => {
                let (words, options) = headers.split_first_chunk_mut::<IPV4_HEADER>()?;
                let sum =
                    options.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_le_bytes(*word))).sum();
                *words = mended_ipv4_with(
                    words,
                    u16::try_from(self.header_len + payload_len).ok()?,
                    protocol,
                    sum,
                );
            }
            _ => {
                *headers.get_mut(self.protocol_at)? = protocol;
                let len = self.header_len + payload_len - IPV6_HEADER;
                let [high, low] = u16::try_from(len).ok()?.to_be_bytes();
                let [_, _, _, _, len_high, len_low, ..] = headers.first_chunk_mut::<IPV6_HEADER>()?;
                (*len_high, *len_low) = (high, low);
            }
        }
        Some(())
    }

    /// The largest payload that the length fields can express.
    pub(crate) const fn largest_payload(&self) -> usize {
        let most = if self.version == 4 { u16::MAX as usize } else { IPV6_HEADER + u16::MAX as usize };
        most - self.header_len
    }

    /// Source and destination port, in network order, of the transport header in a payload of this
    /// datagram, after the IPv6 extension headers that may precede it; `None` if there is no port
    /// (ICMP), or [`Datagram::visible_ports`] has an error.
    #[inline(always)]
    pub(crate) fn ports(&self, protocol: u8, payload: &[u8]) -> Option<[u8; 4]> {
        let (protocol, payload) = match self.version {
            6 if is_extension(protocol) => transport(protocol, payload).ok()?,
            _ => (protocol, payload),
        };
        if has_ports(protocol) { payload.first_chunk().copied() } else { None }
    }

    /// Source and destination port of a datagram in clear; `None` for a protocol that has none and
    /// carries none.
    ///
    /// # Errors
    /// [`IpError`] where the ports cannot be seen: [`IpError::HiddenPorts`], and whatever is wrong
    /// with the headers in front of them.
    pub(crate) fn visible_ports(&self, packet: &[u8]) -> Result<Option<[u8; 4]>, IpError> {
        let (protocol, payload) = match self.version {
            6 => transport(self.protocol(), self.payload(packet))?,
            _ => (self.protocol(), self.payload(packet)),
        };
        match protocol {
            _ if has_ports(protocol) => first(payload).copied().map(Some),
            ICMP | IGMP | ICMPV6 | PROTOCOL_ESP | PROTOCOL_NONE => Ok(None),
            hidden => Err(IpError::HiddenPorts(hidden)),
        }
    }
}

/// Whether a payload of this protocol and length is UDP or TCP with a whole header.
pub(crate) const fn is_sip_transport(protocol: u8, len: usize) -> bool {
    match protocol {
        UDP => len >= 8,
        TCP => len >= 20,
        _ => false,
    }
}

const fn has_ports(protocol: u8) -> bool {
    match protocol {
        TCP | UDP => true,
        _ => {
            rare();
            matches!(protocol, DCCP | SCTP | UDP_LITE)
        }
    }
}

/// The first protocol that is not an extension header of IPv6, and what begins there.
fn transport(mut protocol: u8, mut payload: &[u8]) -> Result<(u8, &[u8]), IpError> {
    let mut walk = Extensions::default();
    while is_extension(protocol) {
        let (len, next) = walk.step(protocol, payload)?;
        (protocol, payload) = (next, part(payload, len..));
    }
    Ok((protocol, payload))
}

/// How many extension headers of a datagram have been read.
#[derive(Default)]
struct Extensions(usize);

impl Extensions {
    /// Octets of the extension header that begins here, and the protocol after it.
    #[inline(always)]
    fn step(&mut self, protocol: u8, rest: &[u8]) -> Result<(usize, u8), IpError> {
        if self.0 == MAX_EXTENSIONS {
            return Err(IpError::Extensions);
        }
        self.0 += 1;
        let len = extension_len(protocol, rest)?;
        Ok((len, rest.first().copied().unwrap_or(0)))
    }
}

const fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

/// Octets of the extension header that begins here, all of them present; an error for a fragment. A
/// fragment header around a whole datagram (RFC 6946) is an extension header like the others.
fn extension_len(protocol: u8, rest: &[u8]) -> Result<usize, IpError> {
    let [_, units, offset_high, offset_low, ..]: [u8; 8] = *first(rest)?;
    let len = if protocol == FRAGMENT {
        if u16::from_be_bytes([offset_high, offset_low]) & 0xfff9 != 0 {
            return Err(IpError::Fragment);
        }
        8
    } else {
        (usize::from(units) + 1) * 8
    };
    if rest.len() < len { Err(IpError::Truncated { needed: len, found: rest.len() }) } else { Ok(len) }
}

/// An IPv4 header without options, with another length and protocol, and the checksum for that.
#[inline(always)]
fn mended_ipv4(header: &[u8; IPV4_HEADER], payload_len: usize, protocol: u8) -> Option<[u8; IPV4_HEADER]> {
    Some(mended_ipv4_with(header, u16::try_from(IPV4_HEADER + payload_len).ok()?, protocol, 0))
}

/// [`mended_ipv4`] in front of options whose words have this sum.
#[inline(always)]
fn mended_ipv4_with(
    header: &[u8; IPV4_HEADER],
    total_len: u16,
    protocol: u8,
    options: u64,
) -> [u8; IPV4_HEADER] {
    // Version to flags, hop limit to source, destination. A sum is the same whatever the order of
    // the octets of its words (RFC 1071): that of the processors.
    let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ref destination @ ..] = header;
    let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]) & 0xffff_ffff_0000_ffff;
    let first = first | u64::from(total_len.swap_bytes()) << 16;
    let second = u64::from_le_bytes([i, j, k, l, m, n, o, p]) & 0xffff_ffff_0000_00ff;
    let second = second | u64::from(protocol) << 8;
    let sum = plus(plus(first, second), u64::from(u32::from_le_bytes(*destination)) + options);
    let second = second | u64::from(fold(sum)) << 16;
    let mut mended = [0; IPV4_HEADER];
    let (to_first, rest) = mended.split_at_mut(8);
    let (to_second, to_destination) = rest.split_at_mut(8);
    to_first.copy_from_slice(&first.to_le_bytes());
    to_second.copy_from_slice(&second.to_le_bytes());
    to_destination.copy_from_slice(destination);
    mended
}

/// An IPv6 header that has no extension headers after it, with another length and protocol.
#[inline(always)]
fn mended_ipv6(header: &[u8; IPV6_HEADER], payload_len: usize, protocol: u8) -> Option<[u8; IPV6_HEADER]> {
    let payload_len = u16::try_from(payload_len).ok()?;
    let (first, addresses) = header.split_first_chunk::<8>()?;
    // Version, class and label stay, and so does the hop limit.
    let first = u64::from_be_bytes(*first) & 0xffff_ffff_0000_00ff;
    let first = first | u64::from(payload_len) << 16 | u64::from(protocol) << 8;
    let mut mended = [0; IPV6_HEADER];
    let (to_first, to_addresses) = mended.split_first_chunk_mut::<8>()?;
    *to_first = first.to_be_bytes();
    to_addresses.copy_from_slice(addresses);
    Some(mended)
}

fn first<const N: usize>(octets: &[u8]) -> Result<&[u8; N], IpError> {
    octets.first_chunk().ok_or(IpError::Truncated { needed: N, found: octets.len() })
}

/// The Internet checksum (RFC 1071) of a header of whole 32-bit words, its first octet the lower
/// one; 0 if the header holds its own.
#[inline(always)]
fn checksum(header: &[u8]) -> u16 {
    let (words, rest) = header.as_chunks::<8>();
    let sum = words.iter().fold(0, |sum, word| plus(sum, u64::from_le_bytes(*word)));
    fold(rest.first_chunk().map_or(sum, |last| plus(sum, u32::from_le_bytes(*last).into())))
}

/// The sum of two words: what is carried out of it comes back in.
#[inline(always)]
const fn plus(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u64
}

/// Folds a sum of words into a checksum. Words of eight octets serve as well as those of two: the
/// folding is the same for any width. Each half of a sum is added to the other, and what they
/// carry with it.
#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    !((sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail")]

    use alloc::vec::Vec;

    use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

    use super::*;

    /// An IPv6 datagram with such headers, by protocol and length, and these octets after them.
    fn ipv6(headers: &[(u8, usize)], protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; IPV6_HEADER];
        let next = headers.iter().skip(1).map(|(next, _)| *next).chain([protocol]);
        for ((_, len), next) in headers.iter().zip(next) {
            packet.extend([next, (len / 8 - 1) as u8]);
            packet.resize(packet.len() + len - 2, 0);
        }
        packet.extend(payload);
        let len = ((packet.len() - IPV6_HEADER) as u16).to_be_bytes();
        let first = headers.first().map_or(protocol, |(first, _)| *first);
        packet[..8].copy_from_slice(&[0x6a, 0xbc, 0xde, 0xf1, len[0], len[1], first, 63]);
        packet[8..IPV6_HEADER].iter_mut().zip(1..).for_each(|(octet, n)| *octet = n);
        packet
    }

    fn ipv4(options: usize, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![1; IPV4_HEADER + options];
        packet.extend(payload);
        let len = (packet.len() as u16).to_be_bytes();
        let words = ((IPV4_HEADER + options) / 4) as u8;
        let begin = [0x40 | words, 0x2e, len[0], len[1], 0x12, 0x34, 0x40, 0, 63, protocol, 0, 0];
        packet[..12].copy_from_slice(&begin);
        let sum = checksum(&packet[..IPV4_HEADER + options]);
        packet[10..12].copy_from_slice(&sum.to_le_bytes());
        packet
    }

    fn found(datagram: Result<Datagram, IpError>) -> Result<(usize, u8), IpError> {
        datagram.map(|datagram| (datagram.header_len, datagram.protocol()))
    }

    #[test]
    fn esp_begins_after_the_headers_that_rfc_4303_has_in_front_of_it() {
        const OPTIONS: u8 = DESTINATION_OPTIONS;
        for (headers, plain, received) in [
            (&[][..], (40, UDP), (40, UDP)),
            (&[(HOP_BY_HOP, 8)], (48, UDP), (48, UDP)),
            (&[(FRAGMENT, 8)], (48, UDP), (48, UDP)),
            (&[(ROUTING, 24)], (64, UDP), (64, UDP)),
            (&[(OPTIONS, 16)], (56, UDP), (56, UDP)),
            (&[(HOP_BY_HOP, 8), (OPTIONS, 8), (ROUTING, 16)], (72, UDP), (72, UDP)),
            // Options for the last destination are protected.
            (&[(ROUTING, 8), (OPTIONS, 16)], (48, OPTIONS), (64, UDP)),
            (&[(OPTIONS, 8), (ROUTING, 8), (OPTIONS, 16)], (56, OPTIONS), (72, UDP)),
            (&[(ROUTING, 8), (FRAGMENT, 8)], (56, UDP), (56, UDP)),
        ] {
            let packet = ipv6(headers, UDP, &[7; 9]);
            assert_eq!(found(Datagram::parse_plain(&packet)), Ok(plain), "{headers:?}");
            assert_eq!(found(Datagram::parse_received(&packet)), Ok(received), "{headers:?}");
            let datagram = Datagram::parse_received(&packet).unwrap();
            assert_eq!((datagram.total_len, datagram.payload(&packet)), (packet.len(), &[7; 9][..]));
            assert_eq!(datagram.payload_len(), 9);
        }
    }

    #[test]
    fn a_bare_datagram_is_read_as_any_other_and_only_a_bare_one_is() {
        let all = [
            (ipv4(0, UDP, &[7; 9]), true),
            (ipv4(4, UDP, &[7; 9]), false),
            (ipv6(&[], UDP, &[7; 9]), true),
            (ipv6(&[(HOP_BY_HOP, 8)], UDP, &[7; 9]), false),
            (ipv6(&[(FRAGMENT, 8)], UDP, &[7; 9]), false),
            (ipv6(&[(ROUTING, 8)], UDP, &[7; 9]), false),
            (ipv6(&[(DESTINATION_OPTIONS, 8)], UDP, &[7; 9]), false),
        ];
        let fields = |datagram: Datagram| {
            let Datagram { total_len, header_len, protocol_at, protocol, version } = datagram;
            (total_len, header_len, protocol_at, protocol, version)
        };
        for (packet, is_bare) in all {
            let is_ipv4 = packet[0] >> 4 == 4;
            let plain = Datagram::parse_plain(&packet).unwrap();
            let expected = |is_family: bool| (is_bare && is_family).then_some(fields(plain));
            assert_eq!(Datagram::parse_bare_ipv4(&packet).map(fields), expected(is_ipv4));
            assert_eq!(Datagram::parse_bare_ipv6(&packet).map(fields), expected(!is_ipv4));
            assert_eq!(plain.to_bare_ipv4().map(fields), expected(is_ipv4));
            let longer = [&packet[..], &[9; 3]].concat();
            assert_eq!(Datagram::parse_bare_ipv4(&longer).map(fields), expected(is_ipv4));
            assert_eq!(Datagram::parse_bare_ipv6(&longer).map(fields), expected(!is_ipv4));
            assert!(Datagram::parse_bare_ipv4(&packet[..packet.len() - 1]).is_none());
            assert!(Datagram::parse_bare_ipv6(&packet[..packet.len() - 1]).is_none());
            for version in 0..16 {
                let mut other = packet.clone();
                other[0] = version << 4 | packet[0] & 0xf;
                assert!(version == 4 || Datagram::parse_bare_ipv4(&other).is_none());
                assert!(version == 6 || Datagram::parse_bare_ipv6(&other).is_none());
            }
        }
        assert!(Datagram::parse_bare_ipv4(&[]).is_none() && Datagram::parse_bare_ipv6(&[]).is_none());
    }

    /// What a datagram says of itself, by another parser: its length, its protocol, and that its
    /// checksum is right.
    fn by_etherparse(headers: &[u8], protocol_at: usize) -> (usize, u8) {
        if headers[0] >> 4 == 4 {
            let header = Ipv4HeaderSlice::from_slice(headers).unwrap();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
            (header.total_len().into(), header.protocol().0)
        } else {
            let header = Ipv6HeaderSlice::from_slice(headers).unwrap();
            (usize::from(header.payload_length()) + IPV6_HEADER, headers[protocol_at])
        }
    }

    #[test]
    fn headers_are_written_and_moved_with_another_length_and_protocol() {
        for packet in [
            ipv4(0, UDP, &[7; 9]),
            ipv4(4, UDP, &[7; 9]),
            ipv4(40, UDP, &[7; 9]),
            ipv6(&[], UDP, &[7; 9]),
            ipv6(&[(HOP_BY_HOP, 8)], UDP, &[7; 9]),
            ipv6(&[(HOP_BY_HOP, 8), (ROUTING, 24)], UDP, &[7; 9]),
        ] {
            let datagram = Datagram::parse_plain(&packet).unwrap();
            let len = datagram.header_len;
            let most = datagram.largest_payload();
            assert_eq!(most, if packet[0] >> 4 == 4 { 65_535 - len } else { 65_575 - len });
            for payload_len in [0, 9, 1000, most] {
                let mut written = vec![0; len];
                datagram.write_headers(&packet, &mut written, payload_len, 50).unwrap();
                assert_eq!(by_etherparse(&written, datagram.protocol_at), (len + payload_len, 50));
                // All else is as it was.
                let mut back = vec![0; len];
                datagram.write_headers(&written, &mut back, 9, UDP).unwrap();
                assert_eq!(back, packet[..len]);

                // To either side, onto itself, and up to the end of the buffer.
                for (from, to) in [(0, 0), (0, 8), (8, 0), (3, 2), (100 - len, 0), (0, 100 - len)] {
                    let mut buffer = vec![0xee; 100];
                    buffer[from..from + len].copy_from_slice(&packet[..len]);
                    let moved = datagram.move_headers(&mut buffer, (from, to), payload_len, 50);
                    assert_eq!((moved, &buffer[to..to + len]), (Some(()), &written[..]));
                    let untouched =
                        |at: &usize| !(from..from + len).contains(at) && !(to..to + len).contains(at);
                    assert!((0..100).filter(untouched).all(|at| buffer[at] == 0xee), "{from} {to}");
                }
            }
            let mut written = vec![0; len];
            assert_eq!(datagram.write_headers(&packet, &mut written, most + 1, 50), None);
            assert_eq!(datagram.write_headers(&packet, &mut written[1..], 9, 50), None);
            assert_eq!(datagram.write_headers(&packet[..len - 1], &mut written, 9, 50), None);
            let mut buffer = vec![0; 100];
            buffer[..len].copy_from_slice(&packet[..len]);
            assert_eq!(datagram.move_headers(&mut buffer, (0, 0), most + 1, 50), None);
            for (from, to) in [(101 - len, 0), (0, 101 - len), (usize::MAX, 0), (0, usize::MAX)] {
                assert_eq!(datagram.move_headers(&mut buffer, (from, to), 9, 50), None, "{from} {to}");
            }
        }
    }

    #[test]
    fn lengths_that_contradict_themselves_are_named() {
        let plain = |packet: &[u8]| Datagram::parse_plain(packet).map(drop);
        let mut packet = ipv4(4, UDP, &[7; 9]);
        for words in 0..16 {
            packet[0] = 0x40 | words;
            // 24 octets of header, 33 in all.
            let expected = if (5..=8).contains(&words) { Ok(()) } else { Err(IpError::Length) };
            assert_eq!(plain(&packet), expected, "{words} words");
        }
        let truncated = |needed, found| Err(IpError::Truncated { needed, found });
        let packet = ipv4(0, UDP, &[7; 9]);
        assert_eq!(plain(&packet[..19]), truncated(20, 19));
        assert_eq!(plain(&packet[..28]), truncated(29, 28));
        // The last extension header ends exactly, or is cut off.
        let packet = ipv6(&[(HOP_BY_HOP, 8), (ROUTING, 24)], UDP, &[]);
        assert_eq!(found(Datagram::parse_plain(&packet)), Ok((72, UDP)));
        let cut = |len: usize| {
            let mut cut = packet[..len].to_vec();
            cut[4..6].copy_from_slice(&((len - IPV6_HEADER) as u16).to_be_bytes());
            plain(&cut)
        };
        assert_eq!(cut(71), truncated(24, 23));
        assert_eq!(cut(55), truncated(8, 7));
        assert_eq!(cut(48), truncated(8, 0));
        assert_eq!(cut(47), truncated(8, 7));
        assert_eq!(plain(&packet[..71]), truncated(72, 71));
        assert_eq!(plain(&packet[..39]), truncated(40, 39));
    }

    #[test]
    fn a_fragment_header_is_an_error_unless_it_is_around_a_whole_datagram() {
        let at = |field: u16| {
            let mut packet = ipv6(&[(FRAGMENT, 8)], UDP, &[7; 16]);
            packet[42..44].copy_from_slice(&field.to_be_bytes());
            Datagram::parse_plain(&packet).map(drop)
        };
        // Two bits are reserved.
        assert!([0, 2, 4, 6].into_iter().all(|field| at(field) == Ok(())));
        for bit in (0..16).filter(|bit| ![1, 2].contains(bit)) {
            assert_eq!(at(1 << bit), Err(IpError::Fragment), "bit {bit}");
        }
        let at = |field: u16| {
            let mut packet = ipv4(0, UDP, &[7; 16]);
            packet[6..8].copy_from_slice(&field.to_be_bytes());
            Datagram::parse_plain(&packet).map(drop)
        };
        // Don't fragment, and the reserved one.
        assert!([0, 0x4000, 0x8000].into_iter().all(|field| at(field) == Ok(())));
        for bit in 0..14 {
            assert_eq!(at(1 << bit), Err(IpError::Fragment), "bit {bit}");
        }
    }

    #[test]
    fn ports_within_esp_are_read_after_extension_headers_of_ipv6_only() {
        let of = |packet: &[u8]| Datagram::parse_plain(packet).unwrap();
        let (four, six) = (of(&ipv4(0, 50, &[7; 16])), of(&ipv6(&[], 50, &[7; 16])));
        let udp = [0x9c, 0x41, 0xc3, 0x52, 0, 8, 0, 0];
        let ports = Some([0x9c, 0x41, 0xc3, 0x52]);
        for protocol in [TCP, UDP, DCCP, SCTP, UDP_LITE] {
            assert_eq!((four.ports(protocol, &udp), six.ports(protocol, &udp)), (ports, ports));
            assert_eq!(four.ports(protocol, &udp[..4]), ports);
            assert_eq!(four.ports(protocol, &udp[..3]), None);
        }
        assert_eq!((four.ports(ICMP, &udp), six.ports(ICMPV6, &udp)), (None, None));
        let within = &ipv6(&[(DESTINATION_OPTIONS, 16), (ROUTING, 8)], UDP, &udp)[IPV6_HEADER..];
        assert_eq!(six.ports(DESTINATION_OPTIONS, within), ports);
        assert_eq!(six.ports(DESTINATION_OPTIONS, &within[..23]), None);
        // 60 is no extension header in IPv4.
        assert_eq!(four.ports(DESTINATION_OPTIONS, within), None);
    }

    #[test]
    fn udp_and_tcp_have_whole_headers() {
        for (protocol, least) in [(UDP, 8), (TCP, 20)] {
            assert!(!is_sip_transport(protocol, least - 1) && is_sip_transport(protocol, least));
        }
        assert!([SCTP, UDP_LITE, DCCP, ICMP].into_iter().all(|protocol| !is_sip_transport(protocol, 100)));
    }
}

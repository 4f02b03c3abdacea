//! The headers of fragments (RFC 791 2.3, RFC 8200 4.5): how they are read, and written.

use super::{Datagram, FRAGMENT, HOP_BY_HOP, IPV4_HEADER, IpError, ROUTING, first, is_extension};
use crate::impossible::part;

/// Flag of IPv4: there are fragments after this one.
const MORE_FRAGMENTS: u16 = 0x2000;

/// A fragment of a datagram.
#[derive(Debug)]
pub(crate) struct Fragment {
    /// Its headers; those of IPv6 end in front of the fragment header, and their protocol is what
    /// that names.
    pub(crate) datagram: Datagram,
    pub(crate) identification: u32,
    /// Octets of the fragmented part that are before these.
    pub(crate) offset: usize,
    pub(crate) more: bool,
    /// Where its data begins.
    pub(crate) data_at: usize,
}

impl Fragment {
    /// Reads a fragment; `None` for a datagram that is whole. The checksum of an IPv4 header is
    /// verified.
    pub(crate) fn read(packet: &[u8]) -> Result<Option<Self>, IpError> {
        match Datagram::parse_received(packet) {
            Ok(_) => Ok(None),
            Err(IpError::Fragment) if packet.first().is_some_and(|octet| octet >> 4 == 4) => {
                Self::read_ipv4(packet).map(Some)
            }
            Err(IpError::Fragment) => Self::read_ipv6(packet).map(Some),
            Err(error) => Err(error),
        }
    }

    fn read_ipv4(packet: &[u8]) -> Result<Self, IpError> {
        let header: &[u8; IPV4_HEADER] = first(packet)?;
        let datagram = Datagram::ipv4(header, packet.len())?;
        if !datagram.has_right_checksum(packet) {
            return Err(IpError::Checksum);
        }
        let [_, _, _, _, id_high, id_low, flags, offset, ..] = *header;
        let place = u16::from_be_bytes([flags, offset]);
        Ok(Self {
            datagram,
            identification: u16::from_be_bytes([id_high, id_low]).into(),
            offset: usize::from(place & 0x1fff) * 8,
            more: place & MORE_FRAGMENTS != 0,
            data_at: datagram.header_len,
        })
    }

    fn read_ipv6(packet: &[u8]) -> Result<Self, IpError> {
        let mut datagram = Datagram::parse_ipv6(packet, |next| is_extension(next) && next != FRAGMENT)?;
        let rest = part(packet, datagram.header_len..datagram.total_len);
        let [next, _, offset_high, offset_low, i0, i1, i2, i3]: [u8; 8] = *first(rest)?;
        let place = u16::from_be_bytes([offset_high, offset_low]);
        datagram.protocol = next.into();
        Ok(Self {
            datagram,
            identification: u32::from_be_bytes([i0, i1, i2, i3]),
            offset: usize::from(place & 0xfff8),
            more: place & 1 != 0,
            data_at: datagram.header_len + 8,
        })
    }
}

/// What fragmenting and reassembling write.
impl Datagram {
    /// Reads a datagram whose headers end where those that each fragment has do: of IPv6, after
    /// hop-by-hop and routing headers and what is in front of these (RFC 8200 4.5).
    pub(crate) fn parse_fragmentable(packet: &[u8]) -> Result<Self, IpError> {
        // All of them can be read, and none is a fragment header.
        let (mut count, mut needed) = (0_usize, 0_usize);
        let mut is_fragment = false;
        let whole = Self::parse(packet, |next| {
            count += 1;
            is_fragment |= next == FRAGMENT;
            if matches!(next, HOP_BY_HOP | ROUTING) {
                needed = count;
            }
            is_extension(next)
        })?;
        if is_fragment {
            return Err(IpError::Fragment);
        }
        if whole.version == 4 {
            return Ok(whole);
        }
        let mut left = needed;
        Self::parse_ipv6(packet, |_| {
            let goes_on = left != 0;
            left = left.saturating_sub(1);
            goes_on
        })
    }

    /// Whether IPv4 says "don't fragment". IPv6 leaves that to the sender, who asks here.
    pub(crate) fn must_not_be_fragmented(&self, packet: &[u8]) -> bool {
        self.version == 4 && packet.get(6).is_some_and(|flags| flags & 0x40 != 0)
    }

    /// Octets of the headers of each fragment.
    pub(crate) const fn fragment_header_len(&self) -> usize {
        if self.version == 4 { self.header_len } else { self.header_len + 8 }
    }

    /// Writes the headers of a fragment with this many octets of data, of which others are before
    /// these: `place` says how many, and whether there are some after them. `None` if a length does
    /// not fit.
    pub(crate) fn write_fragment_headers(
        &self,
        packet: &[u8],
        to: &mut [u8],
        data_len: usize,
        identification: u32,
        (offset, more): (usize, bool),
    ) -> Option<()> {
        let (headers, fragment) = to.split_at_mut_checked(self.header_len)?;
        headers.copy_from_slice(packet.get(..self.header_len)?);
        let offset = u16::try_from(offset).ok()?;
        if self.version == 4 {
            let [_, _, _, _, i0, i1, p0, p1, ..] = headers.first_chunk_mut::<IPV4_HEADER>()?;
            [*i0, *i1] = (identification as u16).to_be_bytes();
            let flags = if more { MORE_FRAGMENTS } else { 0 };
            [*p0, *p1] = (flags | (offset / 8)).to_be_bytes();
            if offset != 0 {
                drop_options(headers.get_mut(IPV4_HEADER..)?);
            }
            self.mend(headers, data_len, self.protocol())
        } else {
            self.mend(headers, 8 + data_len, FRAGMENT)?;
            let mut header = [self.protocol(), 0, 0, 0, 0, 0, 0, 0];
            let [_, _, place @ .., i0, i1, i2, i3] = &mut header;
            *place = (offset | u16::from(more)).to_be_bytes();
            [*i0, *i1, *i2, *i3] = identification.to_be_bytes();
            fragment.copy_from_slice(&header);
            Some(())
        }
    }

    /// Turns the headers of the first fragment into those of the whole, with this many octets after
    /// them. `None` if that is too long.
    pub(crate) fn make_whole(&self, headers: &mut [u8], len: usize) -> Option<()> {
        if self.version == 4 {
            let [_, _, _, _, _, _, p0, p1, ..] = headers.first_chunk_mut::<IPV4_HEADER>()?;
            (*p0, *p1) = (0, 0);
        }
        self.mend(headers, len, self.protocol())
    }
}

/// Options of IPv4 that are not copied into later fragments (RFC 791 3.1) become "no operation":
/// the header stays as long as it is.
fn drop_options(mut options: &mut [u8]) {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const COPIED: u8 = 0x80;
    while let Some((&kind, _)) = options.split_first() {
        let len = match kind {
            END => return,
            NO_OPERATION => 1,
            _ => usize::from(options.get(1).copied().unwrap_or(0)).clamp(1, options.len()),
        };
        let (option, rest) = core::mem::take(&mut options).split_at_mut(len);
        if kind & COPIED == 0 {
            option.fill(NO_OPERATION);
        }
        options = rest;
    }
}

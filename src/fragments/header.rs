//! What a fragment says of itself.

use core::net::IpAddr;

use crate::esp::ip::Datagram;
use crate::esp::ip::fragment::Fragment;
use crate::esp::{Family, IpError};
use crate::impossible::part;

/// A datagram that fragments are parts of (RFC 791 3.2, RFC 8200 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// Of IPv4; 0 for IPv6, where only the first fragment tells it.
    protocol: u8,
}

/// One fragment, and where its data belongs.
#[derive(Debug)]
pub(super) struct Piece<'p> {
    pub(super) key: Key,
    /// The headers in front of the fragmented part, without a fragment header.
    pub(super) datagram: Datagram,
    pub(super) headers: &'p [u8],
    /// Octets of the fragmented part that are before these.
    pub(super) offset: usize,
    pub(super) data: &'p [u8],
    /// Whether there are others after it.
    pub(super) more: bool,
}

impl<'p> Piece<'p> {
    /// Reads a fragment; `None` for a datagram that is whole, an atomic fragment (RFC 6946) among
    /// them.
    pub(super) fn read(packet: &'p [u8]) -> Result<Option<Self>, IpError> {
        let Some(Fragment { datagram, identification, offset, more, data_at }) = Fragment::read(packet)?
        else {
            return Ok(None);
        };
        let (source, destination) = datagram.addresses(packet);
        let protocol = if datagram.family() == Family::Ipv4 { datagram.protocol() } else { 0 };
        Ok(Some(Self {
            key: Key { source, destination, identification, protocol },
            datagram,
            headers: part(packet, ..datagram.header_len),
            offset,
            data: part(packet, data_at..datagram.total_len),
            more,
        }))
    }
}

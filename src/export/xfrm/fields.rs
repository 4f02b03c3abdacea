//! The fields of the messages of a kernel.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::abi::{self, aligned};
use super::change::StateId;
use crate::esp::PROTOCOL_ESP;
use crate::spi::Spi;

/// Octets that are no messages of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// A message is shorter than it says, or than its type is.
    #[error("netlink message of type {kind} is cut off")]
    Short {
        /// Its type; 0 where even the header is cut off.
        kind: u16,
    },
    /// A field has a value that it cannot have.
    #[error("netlink message of type {kind} has an impossible {field}")]
    Field {
        /// Its type.
        kind: u16,
        /// The field.
        field: &'static str,
    },
}

crate::code::codes!(ReplyError {
    ReplyError::Short { .. } => "xfrm-reply-short",
    ReplyError::Field { .. } => "xfrm-reply-field",
});

/// Reads the fields of one message.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) kind: u16,
    pub(super) octets: &'a [u8],
}

impl<'a> Fields<'a> {
    const fn short(&self) -> ReplyError {
        ReplyError::Short { kind: self.kind }
    }

    pub(super) fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], ReplyError> {
        self.octets.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(|| self.short())
    }

    pub(super) fn u16(&self, at: usize) -> Result<u16, ReplyError> {
        Ok(u16::from_ne_bytes(self.array(at)?))
    }

    pub(super) fn u32(&self, at: usize) -> Result<u32, ReplyError> {
        Ok(u32::from_ne_bytes(self.array(at)?))
    }

    pub(super) fn u64(&self, at: usize) -> Result<u64, ReplyError> {
        Ok(u64::from_ne_bytes(self.array(at)?))
    }

    pub(super) fn u8(&self, at: usize) -> Result<u8, ReplyError> {
        let [octet] = self.array(at)?;
        Ok(octet)
    }

    pub(super) fn port(&self, at: usize) -> Result<u16, ReplyError> {
        Ok(u16::from_be_bytes(self.array(at)?))
    }

    pub(super) fn address(&self, at: usize, ipv6: bool) -> Result<IpAddr, ReplyError> {
        let octets: [u8; 16] = self.array(at)?;
        let [a, b, c, d, ..] = octets;
        Ok(if ipv6 { Ipv6Addr::from(octets).into() } else { Ipv4Addr::new(a, b, c, d).into() })
    }

    pub(super) fn family(&self, at: usize) -> Result<bool, ReplyError> {
        match self.u16(at)? {
            abi::AF_INET => Ok(false),
            abi::AF_INET6 => Ok(true),
            _ => Err(ReplyError::Field { kind: self.kind, field: "address family" }),
        }
    }

    /// `struct xfrm_usersa_id`; `None` where it is not of ESP, or has no SPI.
    pub(super) fn state_id(&self, at: usize) -> Result<Option<StateId>, ReplyError> {
        let ipv6 = self.family(at + 20)?;
        let destination = self.address(at, ipv6)?;
        let spi = Spi::from_peer(u32::from_be_bytes(self.array(at + 16)?));
        let is_esp = self.u8(at + 22)? == PROTOCOL_ESP;
        Ok(spi.ok().filter(|_| is_esp).map(|spi| StateId { spi, destination }))
    }

    pub(super) fn attributes(&self, at: usize) -> Result<&'a [u8], ReplyError> {
        self.octets.get(at..).ok_or_else(|| self.short())
    }
}

/// The attributes of a message; what is cut off is left out.
pub(super) fn attributes(octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = octets;
    core::iter::from_fn(move || {
        let header: [u8; 4] = *rest.first_chunk()?;
        let [a, b, c, d] = header;
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let value = rest.get(4..len)?;
        rest = rest.get(aligned(len)..).unwrap_or_default();
        // The two highest bits are flags.
        Some((u16::from_ne_bytes([c, d]) & 0x3fff, value))
    })
}

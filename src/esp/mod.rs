//! One ESP packet in transport mode (RFC 4303): where it sits in an IP datagram, how long it is, and how it is
//! enciphered and authenticated. Sequence numbers, windows and selectors are the business of [`crate::sa`].

pub(crate) mod batch;
mod cipher;
mod icv;
pub(crate) mod ip;
mod lanes;
mod packet;
mod size;

pub(crate) use icv::Authentic;
pub use ip::{Family, IpError};
pub use lanes::Backend;
pub(crate) use packet::{Deciphered, OpenKeys, SealKeys, ids};
pub use packet::{PacketError, TrailerError};

/// The IP protocol number of ESP.
pub const PROTOCOL_ESP: u8 = 50;
/// "No next header": the payload of a dummy packet (RFC 4303 2.6).
pub const PROTOCOL_NONE: u8 = 59;

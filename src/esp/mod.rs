//! One ESP packet in transport mode (RFC 4303): where it sits in an IP datagram, how long it is,
//! and how it is encrypted and authenticated. Sequence numbers, windows and selectors belong to
//! [`crate::sa`].
//!
//! [`Backend::PLAIN`] is the judge of every other backend, and the only one without the feature
//! `kernels`.

#[cfg(not(all(feature = "kernels", feature = "aes-gcm")))]
mod absent;
mod authentic;
mod backend;
pub(crate) mod ip;
mod material;
mod packet;
#[cfg(feature = "kernels")]
mod parallel;
mod plain;
#[cfg(not(feature = "kernels"))]
mod sequential;
mod size;
#[cfg(feature = "kernels")]
use parallel as packets;
#[cfg(not(feature = "kernels"))]
use sequential as packets;

#[cfg(not(all(feature = "kernels", feature = "aes-gcm")))]
pub(crate) use absent::OnePass;
pub(crate) use authentic::Authentic;
pub use backend::Backend;
pub(crate) use ip::is_sip_transport;
pub use ip::{Family, IpError};
pub(crate) use material::Material;
pub(crate) use packet::{Decrypted, Sealing, Verifying, body_len, frame, ids, read_trailer};
pub use packet::{PacketError, TrailerError};
#[cfg(all(feature = "kernels", feature = "aes-gcm"))]
pub(crate) use packets::OnePass;
pub(crate) use packets::{OpenKeys, SMALL_TILE, SealKeys, TILE, protect_all, verify_all};

/// The IP protocol number of ESP.
pub const PROTOCOL_ESP: u8 = 50;
/// "No next header": the payload of a dummy packet (RFC 4303 2.6).
pub const PROTOCOL_NONE: u8 = 59;

//! Packets made and opened with the kernels of this crate: one packet with cipher and hash
//! overlapped, and many in parallel.
//!
//! [`cipher`] and [`icv`] hold the state of an SA; [`keys`] processes one packet, [`batch`] many.

mod batch;
mod cipher;
#[cfg(feature = "aes-gcm")]
mod gcm;
mod icv;
mod keys;

pub(crate) use batch::{SMALL_TILE, TILE, protect_all, verify_all};
#[cfg(feature = "aes-gcm")]
pub(crate) use gcm::{Gcm, OnePass};
pub(crate) use keys::{OpenKeys, SealKeys};

//! Packets made and opened with the kernels of this crate: one packet with cipher and hash
//! overlapped, and many in parallel.
//!
//! [`cipher`] and [`icv`] hold the state of an SA; [`keys`] processes one packet, [`batch`] many.

mod batch;
mod cipher;
mod icv;
mod keys;

pub(crate) use batch::{SMALL_TILE, TILE, protect_all, verify_all};
pub(crate) use keys::{OpenKeys, SealKeys};

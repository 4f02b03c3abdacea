//! AES-128-GCM (NIST SP 800-38D) for nonces of 12 octets: one packet fills the units of the
//! processor.
//!
//! [`key`] is what a set of SAs keeps, made of [`material`]; [`wide`] is the work in 512 bits,
//! [`kernel`] in 128 and 256, [`vectors`] are the three widths, and [`powers`] multiplies. The
//! portable twin is what `ctr` and `ghash` make of it.

mod kernel;
mod key;
mod material;
mod powers;
mod vectors;
mod wide;

pub(crate) use key::Key;
pub(crate) use material::{Packet, Trailer};

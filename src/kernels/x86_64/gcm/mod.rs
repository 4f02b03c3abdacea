//! AES-128-GCM (NIST SP 800-38D) for nonces of 12 octets: one packet fills the units of the
//! processor.
//!
//! [`key`] has what a set of SAs keeps, [`kernel`] the work, [`vectors`] the three widths, and
//! [`powers`] multiplies. The portable twin is what `ctr` and `ghash` make of it.

mod kernel;
mod key;
mod powers;
mod vectors;
mod wide;

pub(crate) use key::{Key, Packet, Trailer};

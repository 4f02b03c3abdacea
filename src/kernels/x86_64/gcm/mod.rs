//! AES-128-GCM (NIST SP 800-38D) for nonces of 12 octets: one packet fills the units of the
//! processor.
//!
//! [`key`] is what a set of SAs keeps, made of [`material`]; [`kernel`] is the work, in 128, 256
//! and 512 bits, [`vectors`] are the three widths, [`block`] is what is done with one block alone,
//! and [`powers`] multiplies. The portable twin is what `ctr` and `ghash` make of it.

mod block;
mod kernel;
mod key;
mod material;
mod powers;
mod vectors;

pub(crate) use key::Key;
pub(crate) use material::Trailer;

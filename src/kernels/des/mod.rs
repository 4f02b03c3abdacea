//! DES-EDE3 in CBC (RFC 2451) without a look-up that depends on a secret: S-boxes as circuits over
//! bits, as rotations of constants, or, in `x86_64`, as permutations in registers.

mod bitslice;
mod key;
mod lanes;
mod sbox_circuits;
mod scalar;
pub(super) mod schedule;
pub(super) mod tables;

pub(crate) use key::Key;
pub(super) use lanes::Lanes;
pub(super) use schedule::{BLOCK, FEW, WIDEST};

//! Ciphers and hashes over many packets side by side. Each kernel stands next to its portable twin, and the one-packet
//! path of [`super::cipher`] and [`super::icv`] is the judge of all of them.
//!
//! - [`backend`]: which kernels run;
//! - [`words`], [`md5`], [`sha1`]: hashes over lanes of 32-bit words, [`state`], what they work on, `ends`, which makes the last
//!   blocks of messages, and [`hash`], which keeps the lanes full;
//! - [`aes`], [`des`]: CBC over lanes, and the blocks of one packet deciphered side by side; [`cbc`] keeps the lanes full.
#![allow(
    clippy::indexing_slicing,
    reason = "indexes are constants, numbers of lanes, or numbers of rounds: none of them comes from a packet"
)]
#![allow(
    clippy::needless_range_loop,
    reason = "the kernels go through lanes, rounds and words by number, as their standards do"
)]

mod aes;
mod backend;
mod cbc;
mod des;
#[cfg(target_arch = "x86_64")]
mod ends;
mod hash;
mod md5;
#[cfg(any(test, target_arch = "x86_64"))]
mod sha1;
mod state;
mod words;

pub(super) use aes::{InverseKey as AesInverseKey, Key as AesKey};
pub use backend::Backend;
pub(super) use cbc::{Task as CbcTask, encipher_aes, encipher_aes_in_turn, encipher_des};
pub(super) use des::Key as DesKey;
pub(crate) use hash::gains;
pub(super) use hash::{Task as HashTask, hmacs};

/// Octets of a block of both hashes.
const BLOCK: usize = 64;
/// The most lanes of a hash, and the words of its state.
const MD5_LANES: usize = 32;
const MD5_WORDS: usize = 4;
const SHA1_LANES: usize = 16;
const SHA1_WORDS: usize = 5;

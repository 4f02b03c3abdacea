//! Ciphers and hashes over many messages in parallel. They know no packet, no SA and no key type:
//! they are handed octets and states.
//!
//! - [`family`], [`padding`]: MD5 and SHA-1 as HMAC needs them, and the final blocks of a message;
//! - [`state`], [`simd`], [`md5`], [`sha1`], [`kernel`]: compression over lanes of 32-bit words;
//! - [`hmac_lanes`], [`cbc_lanes`]: schedules that keep lanes full; [`hmac`], [`cbc`]: which
//!   kernels run;
//! - [`des`]: DES-EDE3 without tables;
//! - [`x86_64`]: everything that needs instructions which not every processor has. This file gates
//!   it, once.
//!
//! Each kernel is tested against its portable twin, and all of them against published vectors.
#![allow(
    clippy::indexing_slicing,
    reason = "indexes are constants, numbers of lanes, or numbers of rounds: none of them comes from a packet"
)]
#![allow(
    clippy::needless_range_loop,
    reason = "the kernels go through lanes, rounds and words by number, as their standards do"
)]

mod cbc;
mod cbc_lanes;
#[cfg(feature = "des-ede3-cbc")]
pub(crate) mod des;
mod family;
mod hmac;
mod hmac_lanes;
mod kernel;
#[cfg(feature = "hmac-md5-96")]
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_imports, reason = "only vectors use all of its macros"))]
mod md5;
mod padding;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, unused_macros, reason = "only vectors use it outside of tests")
)]
mod sha1;
#[allow(dead_code, reason = "each hash uses a part of it")]
mod simd;
#[cfg_attr(not(feature = "hmac-md5-96"), allow(dead_code, reason = "MD5 alone pipelines blocks"))]
mod state;

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(not(target_arch = "x86_64"))]
#[path = "absent.rs"]
mod x86_64;

#[cfg(feature = "des-ede3-cbc")]
pub(crate) use cbc::encrypt_des;
pub(crate) use cbc::{encrypt_aes, encrypt_aes_interleaved};
pub(crate) use cbc_lanes::CbcTask;
#[cfg(feature = "hmac-md5-96")]
pub(crate) use family::Md5;
pub(crate) use family::{Hash, Sha1};
#[cfg(feature = "hmac-md5-96")]
pub(crate) use hmac::md5_hmacs;
pub(crate) use hmac::{sha1_gains, sha1_hmacs};
pub(crate) use hmac_lanes::HmacTask;
pub(crate) use padding::Final;
#[cfg(feature = "aes-gcm")]
pub(crate) use x86_64::gcm;
#[cfg(test)]
pub(crate) use x86_64::makers;
pub(crate) use x86_64::{Vectors, aes, crates_have_vaes};

/// Octets of a block of both hashes.
pub(crate) const BLOCK: usize = 64;
/// Octets of an HMAC of 96 bits.
pub(crate) const HMAC_96: usize = 12;
/// The most lanes of a hash, and the words of its state.
#[cfg(feature = "hmac-md5-96")]
const MD5_LANES: usize = 32;
#[cfg(feature = "hmac-md5-96")]
const MD5_WORDS: usize = 4;
const SHA1_LANES: usize = 16;
const SHA1_WORDS: usize = 5;

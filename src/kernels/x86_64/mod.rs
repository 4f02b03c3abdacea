//! Kernels for x86-64: everything that needs instructions which not every processor has.

pub(crate) mod aes;
mod cbc_aes;
#[cfg(feature = "des-ede3-cbc")]
mod cbc_des;
#[cfg(feature = "des-ede3-cbc")]
mod des_vbmi;
mod detect;
#[cfg(feature = "aes-gcm")]
pub(crate) mod gcm;
mod hmac;
#[cfg(feature = "hmac-md5-96")]
mod md5;
mod padding;
mod sha1;
mod sha_ni;
#[cfg_attr(
    not(feature = "hmac-md5-96"),
    allow(dead_code, unused_imports, reason = "SHA-1 uses a part of it")
)]
mod simd;

pub(crate) use cbc_aes::encrypt_aes;
#[cfg(feature = "des-ede3-cbc")]
pub(crate) use cbc_des::{Vbmi, encrypt_des};
pub(super) use detect::is_intel;
#[cfg(test)]
pub(crate) use detect::makers;
pub(crate) use detect::{Vectors, crates_have_vaes};
#[cfg(feature = "hmac-md5-96")]
pub(super) use hmac::md5_kernels;
pub(super) use hmac::{schedule, sha1_kernels};

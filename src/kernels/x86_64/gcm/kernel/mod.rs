//! AES-GCM in one pass: a packet is encrypted and authenticated, or authenticated and decrypted. It
//! is written once, for vectors of three widths.
//!
//! [`text`] is what is read and written, [`hash`] is GHASH, [`counters`] and [`rounds`] make key
//! stream; of these are [`seal`], [`open`], and [`clear`] for texts that are only authenticated.
//! [`stack`] wipes what was on it.

/// Functions of each width, with the features that they need.
macro_rules! each_width {
    ($functions:ident) => {
        $functions!(one, "avx2,aes,pclmulqdq");
        $functions!(two, "avx2,aes,pclmulqdq,vaes,vpclmulqdq");
        $functions!(
            four,
            "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq"
        );
        $functions!(
            four_karatsuba,
            "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq"
        );
    };
}

#[macro_use]
mod rounds;

mod clear;
mod counters;
mod hash;
mod open;
mod seal;
mod stack;
mod text;

/// What a key needs of a width.
macro_rules! kernel {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            pub(crate) use super::clear::$width::{seal_clear, verify};
            pub(crate) use super::open::$width::{open, open_long};
            pub(crate) use super::seal::$width::{seal, seal_long};
            pub(crate) use super::stack::$width::{SPILLS, wipe_stack};
            pub(crate) use super::text::$width::{GROUP, has_trailer_at_end};
        }
    };
}

each_width!(kernel);

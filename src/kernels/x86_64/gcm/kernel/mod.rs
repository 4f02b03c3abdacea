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
macro_rules! calls {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use super::super::material::{BLOCK, Call, Calls};
            use super::super::vectors::$width::HOLDS;
            use super::clear::$width::{seal_clear, verify};
            use super::open::$width::open;
            use super::seal::$width::seal;
            use super::stack::$width::{SPILLS, wipe_stack};
            use super::text::$width::GROUP;

            /// Up to where texts have no more values at once than registers.
            const CLEAN: usize = if SPILLS { 0 } else { GROUP };
            /// [`open`] wipes key stream that it held, and what is below that.
            const OPEN_CLEAN: usize = if HOLDS { usize::MAX } else { CLEAN };

            /// For texts that are encrypted, with this many octets in front that are authenticated.
            pub(crate) const fn encrypting<const FRONT: usize>() -> Calls {
                Calls {
                    seal: Call { function: seal::<FRONT>, clean: GROUP },
                    open: Call { function: open::<FRONT>, clean: OPEN_CLEAN },
                    verify: Call { function: verify::<FRONT, true>, clean: CLEAN },
                    wipe: wipe_stack::<448>,
                }
            }

            /// For AES-GMAC: the whole header is authenticated.
            pub(crate) const fn authenticating() -> Calls {
                Calls {
                    seal: Call { function: seal_clear, clean: CLEAN },
                    open: Call { function: verify::<BLOCK, false>, clean: CLEAN },
                    verify: Call { function: verify::<BLOCK, false>, clean: CLEAN },
                    wipe: wipe_stack::<192>,
                }
            }
        }
    };
}

each_width!(calls);

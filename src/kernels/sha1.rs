//! SHA-1 (FIPS 180-4) over many lanes.

use super::{BLOCK, SHA1_WORDS as WORDS};
#[cfg(test)]
use super::{
    simd::portable,
    state::{Blocks, lanes_of, lanes_of_mut},
};

/// Bits of what the outer hash of HMAC hashes: its key's block, and a digest.
pub(super) const OUTER_BITS: u32 = 8 * (BLOCK + 4 * WORDS) as u32;

/// The constant of each twenty steps.
pub(super) static CONSTANTS: [u32; 4] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

/// A word is made this many steps before it is needed.
pub(super) const AHEAD: usize = 5;

/// Writes the compression function once for each width of vectors.
macro_rules! compress {
    ($(#[$attribute:meta])* $name:ident, $words:ident) => {
        /// Compresses `count` blocks per lane. If `outers` is given, also runs the outer hash of
        /// HMAC over each lane's digest.
        $(#[$attribute])*
        pub(in crate::kernels) fn $name(
            states: &mut [$crate::kernels::state::Group<WORDS>],
            data: &[Blocks<'_>],
            count: usize,
            outers: Option<&[$crate::kernels::state::Group<WORDS>]>,
        ) {
            use $words::*;
            let Some(data) = data.first_chunk::<LANES>() else { return };
            // Hidden from the compiler, which would add known constants last, on the critical path.
            let constants = core::hint::black_box(&CONSTANTS);
            let load = |states: &[$crate::kernels::state::Group<WORDS>]| {
                let mut state = [splat(0); WORDS];
                for (index, word) in state.iter_mut().enumerate() {
                    if let Some(lanes) = lanes_of(states, index, 0) {
                        *word = load(lanes);
                    }
                }
                state
            };
            let common = Blocks::common::<LANES>(data);
            let [mut a, mut b, mut c, mut d, mut e] = load(states);
            for index in 0..count + usize::from(outers.is_some()) {
                let mut w;
                if let Some(outers) = outers.filter(|_| index == count) {
                    let zero = splat(0);
                    let (mark, bits) = (splat(0x8000_0000), splat(OUTER_BITS));
                    w = [a, b, c, d, e, mark, zero, zero, zero, zero, zero, zero, zero, zero, zero, bits];
                    [a, b, c, d, e] = load(outers);
                } else {
                    w = blocks(Blocks::get(data, index, common));
                    for word in &mut w {
                        *word = swap(*word);
                    }
                }
                // A step, and before it the schedule of the word for a later step.
                macro_rules! step {
                    ($f:expr, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {{
                        let later = $t + AHEAD;
                        if (16..80).contains(&later) {
                            let [x, y, z] = [13, 8, 2].map(|back| w[(later + back) & 15]);
                            w[later & 15] = rotate::<1, 31>(xor(x, parity(y, z, w[later & 15])));
                        }
                        let early = add($e, add(w[$t & 15], splat(constants[$t / 20])));
                        $e = add(add(early, $f($b, $c, $d)), rotate::<5, 27>($a));
                        $b = rotate::<30, 2>($b);
                        #[allow(unused_assignments, reason = "the last steps make no word")]
                        if (16..80).contains(&later) {
                            ($e, w[later & 15]) = both($e, w[later & 15]);
                        }
                    }};
                }
                macro_rules! five {
                    ($f:expr, $t:literal) => {
                        step!($f, $t, a b c d e);
                        step!($f, $t + 1, e a b c d);
                        step!($f, $t + 2, d e a b c);
                        step!($f, $t + 3, c d e a b);
                        step!($f, $t + 4, b c d e a);
                    };
                }
                let before = [a, b, c, d, e];
                five!(choose, 0);
                five!(choose, 5);
                five!(choose, 10);
                five!(choose, 15);
                five!(parity, 20);
                five!(parity, 25);
                five!(parity, 30);
                five!(parity, 35);
                five!(majority, 40);
                five!(majority, 45);
                five!(majority, 50);
                five!(majority, 55);
                five!(parity, 60);
                five!(parity, 65);
                five!(parity, 70);
                five!(parity, 75);
                let [a0, b0, c0, d0, e0] = before;
                (a, b, c, d, e) = (add(a, a0), add(b, b0), add(c, c0), add(d, d0), add(e, e0));
            }
            for (index, word) in [a, b, c, d, e].into_iter().enumerate() {
                if let Some(lanes) = lanes_of_mut(states, index, 0) {
                    store(lanes, word);
                }
            }
        }
    };
}

#[cfg(test)]
compress!(one, portable);

#[allow(unused_imports, reason = "only vectors use it outside of tests")]
pub(super) use compress;

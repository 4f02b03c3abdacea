//! MD5 (RFC 1321) over many lanes.

use super::simd::portable;
use super::state::{Blocks, Group, lanes_of, lanes_of_mut};
use super::{BLOCK, MD5_WORDS as WORDS};
use crate::impossible::part;

/// Bits of what the outer hash of HMAC hashes: its key's block, and a digest.
pub(super) const OUTER_BITS: u32 = 8 * (BLOCK + 4 * WORDS) as u32;

/// The table T of the standard, from the sine.
pub(super) static SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// The sixty-four steps of a block, and the sum with the state before it. Two macros are given:
/// `$word`, a word of the block of a set of lanes, and `$beside`, work that is interleaved with
/// each step.
macro_rules! steps {
    ($word:ident $beside:ident $sines:ident, $a:ident $b:ident $c:ident $d:ident) => {
        // The words of the state, the word of the block, and the rotation.
        macro_rules! step {
            ($f:expr, $t:expr, $k:expr, $n:literal, $p:ident $q:ident $r:ident $s:ident) => {
                for set in 0..SETS {
                    let early = sum(add($p[set], add($word!(set, $k), splat($sines[$t]))));
                    let mixed = add(early, $f($q[set], $r[set], $s[set]));
                    $p[set] = add($q[set], rotate::<$n, { 32 - $n }>(mixed));
                }
                $beside!($t, $p);
            };
        }
        macro_rules! four {
            ($f:expr, $t:literal, $from:literal $by:literal, $p:literal $q:literal $r:literal $s:literal) => {{
                const K: usize = $from + $by * ($t % 16);
                step!($f, $t, K % 16, $p, $a $b $c $d);
                step!($f, $t + 1, (K + $by) % 16, $q, $d $a $b $c);
                step!($f, $t + 2, (K + 2 * $by) % 16, $r, $c $d $a $b);
                step!($f, $t + 3, (K + 3 * $by) % 16, $s, $b $c $d $a);
            }};
        }
        let (a0, b0, c0, d0) = ($a, $b, $c, $d);
        four!(|b, c, d| choose(b, c, d), 0, 0 1, 7 12 17 22);
        four!(|b, c, d| choose(b, c, d), 4, 0 1, 7 12 17 22);
        four!(|b, c, d| choose(b, c, d), 8, 0 1, 7 12 17 22);
        four!(|b, c, d| choose(b, c, d), 12, 0 1, 7 12 17 22);
        four!(|b, c, d| choose(d, b, c), 16, 1 5, 5 9 14 20);
        four!(|b, c, d| choose(d, b, c), 20, 1 5, 5 9 14 20);
        four!(|b, c, d| choose(d, b, c), 24, 1 5, 5 9 14 20);
        four!(|b, c, d| choose(d, b, c), 28, 1 5, 5 9 14 20);
        four!(|b, c, d| parity(b, c, d), 32, 5 3, 4 11 16 23);
        four!(|b, c, d| parity(b, c, d), 36, 5 3, 4 11 16 23);
        four!(|b, c, d| parity(b, c, d), 40, 5 3, 4 11 16 23);
        four!(|b, c, d| parity(b, c, d), 44, 5 3, 4 11 16 23);
        four!(|b, c, d| or_not(b, c, d), 48, 0 7, 6 10 15 21);
        four!(|b, c, d| or_not(b, c, d), 52, 0 7, 6 10 15 21);
        four!(|b, c, d| or_not(b, c, d), 56, 0 7, 6 10 15 21);
        four!(|b, c, d| or_not(b, c, d), 60, 0 7, 6 10 15 21);
        for set in 0..SETS {
            ($a[set], $b[set]) = (add($a[set], a0[set]), add($b[set], b0[set]));
            ($c[set], $d[set]) = (add($c[set], c0[set]), add($d[set], d0[set]));
        }
    };
}

/// The words of the block that the outer hash absorbs: the digest of a set of lanes, and its
/// padding.
macro_rules! outer_words {
    ($set:ident, $a:ident $b:ident $c:ident $d:ident) => {{
        let mut words = [splat(0); 16];
        [words[0], words[1], words[2], words[3]] = [$a[$set], $b[$set], $c[$set], $d[$set]];
        (words[4], words[14]) = (splat(0x80), splat(OUTER_BITS));
        words
    }};
}

/// The states of lanes as vectors: by word, and then by set.
macro_rules! load_all {
    ($states:expr) => {{
        let mut state = [[splat(0); SETS]; WORDS];
        for (index, words) in state.iter_mut().enumerate() {
            for (set, word) in words.iter_mut().enumerate() {
                if let Some(lanes) = lanes_of($states, index, set * LANES) {
                    *word = load(lanes);
                }
            }
        }
        state
    }};
}

/// The other way round.
macro_rules! store_all {
    ($states:expr, $state:expr) => {
        for (index, words) in $state.into_iter().enumerate() {
            for (set, word) in words.into_iter().enumerate() {
                if let Some(lanes) = lanes_of_mut($states, index, set * LANES) {
                    store(lanes, word);
                }
            }
        }
    };
}

/// Writes the compression function once for each width of vectors. `SETS` vectors take each step in
/// parallel: a chain of steps is latency-bound, and the processor overlaps several.
macro_rules! compress {
    ($(#[$attribute:meta])* $name:ident, $words:ident, $sets:literal) => {
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
            const SETS: usize = $sets;
            let Some(data) = data.first_chunk::<{ LANES * SETS }>() else { return };
            // Hidden from the compiler, which would add known constants last, on the critical path.
            let sines = core::hint::black_box(&SINES);
            let common = Blocks::common::<{ LANES * SETS }>(data);
            let [mut a, mut b, mut c, mut d] = load_all!(states);
            for index in 0..count + usize::from(outers.is_some()) {
                let mut m = [[splat(0); 16]; SETS];
                if let Some(outers) = outers.filter(|_| index == count) {
                    for (set, m) in m.iter_mut().enumerate() {
                        *m = outer_words!(set, a b c d);
                    }
                    [a, b, c, d] = load_all!(outers);
                } else {
                    for (set, m) in m.iter_mut().enumerate() {
                        *m = blocks(Blocks::get(&data[set * LANES..], index, common));
                    }
                }
                macro_rules! word {
                    ($set:expr, $k:expr) => {
                        m[$set][$k]
                    };
                }
                macro_rules! beside {
                    ($t:expr, $word:ident) => {};
                }
                steps!(word beside sines, a b c d);
            }
            store_all!(states, [a, b, c, d]);
        }
    };
}

#[cfg(test)]
compress!(one, portable, 1);
compress!(three, portable, 3);

/// The compression function of the `md-5` crate, one lane.
pub(super) fn crate_one(states: &mut [Group<WORDS>], data: &[Blocks<'_>], count: usize) {
    let (Some(states), Some(data)) = (states.first_mut(), data.first()) else { return };
    let (mut state, [body, end]) = (states.of(0), data.parts());
    let body = body.get(..count).unwrap_or(body);
    ::md5::block_api::compress(&mut state, body);
    ::md5::block_api::compress(&mut state, part(end, ..count - body.len()));
    states.set(0, &state);
}

pub(super) use {compress, load_all, outer_words, steps, store_all};

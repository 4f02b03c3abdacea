//! MD5 (RFC 1321) over many lanes.

use super::words::Blocks;
use super::{BLOCK, MD5_LANES as WIDEST, MD5_WORDS as WORDS};

/// The states of lanes, by word.
type States = super::words::States<WORDS, WIDEST>;
/// Bits of what the outer hash of HMAC hashes: its key's block, and a digest.
const OUTER_BITS: u32 = 8 * (BLOCK + 4 * WORDS) as u32;

/// The table T of the standard, from the sine.
static SINES: [u32; 64] = [
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

// A step with one of the four functions: which words, which word of the block, by how much to rotate, which of the table.
macro_rules! step {
    ($f:expr, $a:ident $b:ident $c:ident $d:ident, $m:ident $k:literal, $n:literal, $sines:ident $t:literal) => {
        for set in 0..SETS {
            let early = add($a[set], add($m[set][$k], splat($sines[$t])));
            let mixed = add(early, $f($b[set], $c[set], $d[set]));
            $a[set] = add($b[set], rotate::<$n, { 32 - $n }>(mixed));
        }
    };
}
macro_rules! round {
    ($f:expr, $a:ident $b:ident $c:ident $d:ident $m:ident $sines:ident, $p:literal $q:literal $r:literal $s:literal, $($k0:literal $t0:literal $k1:literal $t1:literal $k2:literal $t2:literal $k3:literal $t3:literal),*) => {
        $(
            step!($f, $a $b $c $d, $m $k0, $p, $sines $t0);
            step!($f, $d $a $b $c, $m $k1, $q, $sines $t1);
            step!($f, $c $d $a $b, $m $k2, $r, $sines $t2);
            step!($f, $b $c $d $a, $m $k3, $s, $sines $t3);
        )*
    };
}

/// Writes the compression function once for each width of vectors. `SETS` vectors take each step side by side: a step
/// waits for the one before it, and the processor has time for another.
macro_rules! compress {
    ($(#[$attribute:meta])* $name:ident, $words:ident, $sets:literal) => {
        /// Takes `count` blocks of every lane into its state; then, where there are states of outer hashes, its digest into
        /// that one.
        $(#[$attribute])*
        pub(super) fn $name(
            states: &mut States,
            data: &[Blocks<'_>; WIDEST],
            count: usize,
            outers: Option<&States>,
        ) {
            use super::words::$words::*;
            const SETS: usize = $sets;
            // Hidden from the compiler: it adds what it knows to be constant last, where the next step waits for it.
            let sines = core::hint::black_box(&SINES);
            let load = |states: &States| {
                let mut state = [[splat(0); SETS]; WORDS];
                for (words, lanes) in state.iter_mut().zip(&states.words) {
                    for (word, lanes) in words.iter_mut().zip(lanes.as_chunks::<LANES>().0) {
                        *word = load(lanes);
                    }
                }
                state
            };
            let [mut a, mut b, mut c, mut d] = load(states);
            for index in 0..count + usize::from(outers.is_some()) {
                let mut m = [[splat(0); 16]; SETS];
                if let Some(outers) = outers.filter(|_| index == count) {
                    for (set, m) in m.iter_mut().enumerate() {
                        [m[0], m[1], m[2], m[3]] = [a[set], b[set], c[set], d[set]];
                        [m[4], m[14]] = [splat(0x80), splat(OUTER_BITS)];
                    }
                    [a, b, c, d] = load(outers);
                } else {
                    for (set, m) in m.iter_mut().enumerate() {
                        *m = blocks(core::array::from_fn(|lane| data[set * LANES + lane].get(index)));
                    }
                }
                let (a0, b0, c0, d0) = (a, b, c, d);
                round!(|b, c, d| choose(b, c, d), a b c d m sines, 7 12 17 22,
                    0 0 1 1 2 2 3 3,
                    4 4 5 5 6 6 7 7,
                    8 8 9 9 10 10 11 11,
                    12 12 13 13 14 14 15 15);
                round!(|b, c, d| choose(d, b, c), a b c d m sines, 5 9 14 20,
                    1 16 6 17 11 18 0 19,
                    5 20 10 21 15 22 4 23,
                    9 24 14 25 3 26 8 27,
                    13 28 2 29 7 30 12 31);
                round!(|b, c, d| parity(b, c, d), a b c d m sines, 4 11 16 23,
                    5 32 8 33 11 34 14 35,
                    1 36 4 37 7 38 10 39,
                    13 40 0 41 3 42 6 43,
                    9 44 12 45 15 46 2 47);
                round!(|b, c, d| or_not(b, c, d), a b c d m sines, 6 10 15 21,
                    0 48 7 49 14 50 5 51,
                    12 52 3 53 10 54 1 55,
                    8 56 15 57 6 58 13 59,
                    4 60 11 61 2 62 9 63);
                for set in 0..SETS {
                    (a[set], b[set]) = (add(a[set], a0[set]), add(b[set], b0[set]));
                    (c[set], d[set]) = (add(c[set], c0[set]), add(d[set], d0[set]));
                }
            }
            for (words, lanes) in [a, b, c, d].into_iter().zip(&mut states.words) {
                for (word, lanes) in words.into_iter().zip(lanes.as_chunks_mut::<LANES>().0) {
                    store(lanes, word);
                }
            }
        }
    };
}

#[cfg(test)]
compress!(one, portable, 1);
compress!(three, portable, 3);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx2")]
    avx2_eight,
    avx2,
    1
);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx2")]
    avx2_sixteen,
    avx2,
    2
);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_eight,
    avx512vl,
    1
);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_sixteen,
    avx512vl,
    2
);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_thirty_two,
    avx512,
    2
);

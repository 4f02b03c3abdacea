//! MD5 (RFC 1321) over many lanes.

use super::words::block;
use super::{BLOCK, States, WIDTH};

// A step with one of the four functions: which words, which word of the block, by how much to rotate.
macro_rules! step {
    ($f:expr, $a:ident $b:ident $c:ident $d:ident, $m:ident $k:literal, $n:literal, $t:literal) => {
        for set in 0..SETS {
            let early = add($a[set], add($m[set][$k], splat($t)));
            let mixed = add(early, $f($b[set], $c[set], $d[set]));
            $a[set] = add($b[set], rotate::<$n, { 32 - $n }>(mixed));
        }
    };
}
macro_rules! round {
    ($f:expr, $a:ident $b:ident $c:ident $d:ident $m:ident, $p:literal $q:literal $r:literal $s:literal, $($k0:literal $t0:literal $k1:literal $t1:literal $k2:literal $t2:literal $k3:literal $t3:literal),*) => {
        $(
            step!($f, $a $b $c $d, $m $k0, $p, $t0);
            step!($f, $d $a $b $c, $m $k1, $q, $t1);
            step!($f, $c $d $a $b, $m $k2, $r, $t2);
            step!($f, $b $c $d $a, $m $k3, $s, $t3);
        )*
    };
}

/// Writes the compression function once for each width of vectors. `SETS` vectors take each step side by side: a step
/// waits for the one before it, and the processor has time for another.
macro_rules! compress {
    ($(#[$attribute:meta])* $name:ident, $words:ident, $sets:literal) => {
        /// Takes `count` blocks of every lane into its state.
        $(#[$attribute])*
        pub(super) fn $name(states: &mut States, data: &[&[[u8; BLOCK]]; WIDTH], count: usize) {
            use super::words::$words::*;
            const SETS: usize = $sets;
            let mut state = [[splat(0); SETS]; 4];
            for (words, lanes) in state.iter_mut().zip(states.iter()) {
                for (word, lanes) in words.iter_mut().zip(lanes.as_chunks::<LANES>().0) {
                    *word = load(lanes);
                }
            }
            let [mut a, mut b, mut c, mut d] = state;
            for index in 0..count {
                let mut m = [[splat(0); 16]; SETS];
                for (set, m) in m.iter_mut().enumerate() {
                    *m = blocks(core::array::from_fn(|lane| block(data[set * LANES + lane], index)));
                }
                let (a0, b0, c0, d0) = (a, b, c, d);
                round!(|b, c, d| choose(b, c, d), a b c d m, 7 12 17 22,
                    0 0xd76a_a478 1 0xe8c7_b756 2 0x2420_70db 3 0xc1bd_ceee,
                    4 0xf57c_0faf 5 0x4787_c62a 6 0xa830_4613 7 0xfd46_9501,
                    8 0x6980_98d8 9 0x8b44_f7af 10 0xffff_5bb1 11 0x895c_d7be,
                    12 0x6b90_1122 13 0xfd98_7193 14 0xa679_438e 15 0x49b4_0821);
                round!(|b, c, d| choose(d, b, c), a b c d m, 5 9 14 20,
                    1 0xf61e_2562 6 0xc040_b340 11 0x265e_5a51 0 0xe9b6_c7aa,
                    5 0xd62f_105d 10 0x0244_1453 15 0xd8a1_e681 4 0xe7d3_fbc8,
                    9 0x21e1_cde6 14 0xc337_07d6 3 0xf4d5_0d87 8 0x455a_14ed,
                    13 0xa9e3_e905 2 0xfcef_a3f8 7 0x676f_02d9 12 0x8d2a_4c8a);
                round!(|b, c, d| parity(b, c, d), a b c d m, 4 11 16 23,
                    5 0xfffa_3942 8 0x8771_f681 11 0x6d9d_6122 14 0xfde5_380c,
                    1 0xa4be_ea44 4 0x4bde_cfa9 7 0xf6bb_4b60 10 0xbebf_bc70,
                    13 0x289b_7ec6 0 0xeaa1_27fa 3 0xd4ef_3085 6 0x0488_1d05,
                    9 0xd9d4_d039 12 0xe6db_99e5 15 0x1fa2_7cf8 2 0xc4ac_5665);
                round!(|b, c, d| or_not(b, c, d), a b c d m, 6 10 15 21,
                    0 0xf429_2244 7 0x432a_ff97 14 0xab94_23a7 5 0xfc93_a039,
                    12 0x655b_59c3 3 0x8f0c_cc92 10 0xffef_f47d 1 0x8584_5dd1,
                    8 0x6fa8_7e4f 15 0xfe2c_e6e0 6 0xa301_4314 13 0x4e08_11a1,
                    4 0xf753_7e82 11 0xbd3a_f235 2 0x2ad7_d2bb 9 0xeb86_d391);
                for set in 0..SETS {
                    (a[set], b[set]) = (add(a[set], a0[set]), add(b[set], b0[set]));
                    (c[set], d[set]) = (add(c[set], c0[set]), add(d[set], d0[set]));
                }
            }
            for (words, lanes) in [a, b, c, d].into_iter().zip(states.iter_mut()) {
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
    avx512,
    1
);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_thirty_two,
    avx512,
    2
);

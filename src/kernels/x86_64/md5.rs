//! MD5 over the lanes of vectors.

use super::simd::{avx2, avx512, avx512vl};
use crate::kernels::MD5_WORDS as WORDS;
use crate::kernels::md5::{OUTER_BITS, SINES, compress, load_all, outer_words, steps, store_all};
use crate::kernels::state::{Blocks, Cursor, Group, lanes_of, lanes_of_mut};

/// The words of a block of each lane: by word, and then by lane. Aligned: otherwise each load of a
/// vector would touch two cache lines.
#[repr(align(64))]
struct Words<const LANES: usize, const SETS: usize>([[[u32; LANES]; SETS]; 16]);

/// [`compress`], software-pipelined: transposes the next block during the current one, at a higher
/// start-up cost.
macro_rules! compress_ahead {
    ($(#[$attribute:meta])* $name:ident, $words:ident, $sets:literal) => {
        /// Compresses `count` blocks per lane. If `outers` is given, also runs the outer hash of
        /// HMAC over each lane's digest.
        $(#[$attribute])*
        #[allow(clippy::modulo_one, reason = "there may be one set only")]
        pub(in crate::kernels) fn $name(
            states: &mut [Group<WORDS>],
            data: &[Blocks<'_>],
            count: usize,
            outers: Option<&[Group<WORDS>]>,
        ) {
            use $words::*;
            const SETS: usize = $sets;
            // Four words of the next block are made every this many steps.
            const EVERY: usize = 16 / SETS;
            let Some(data) = data.first_chunk::<{ LANES * SETS }>() else { return };
            let sines = core::hint::black_box(&SINES);
            let mut cursor = Cursor::new(data);
            // Four words of the blocks of a set of lanes: there are `4 * SETS` such.
            macro_rules! make {
                ($n:expr, $put:expr) => {
                    if let Some(blocks) = cursor.of($n / 4) {
                        for (index, word) in quad(core::hint::black_box(blocks), $n % 4 * 4).into_iter().enumerate() {
                            $put($n % 4 * 4 + index, $n / 4, word);
                        }
                    }
                };
            }
            // In memory, and hidden from the compiler, which would keep them in registers and spill
            // them.
            let mut one = Words([[[0; LANES]; SETS]; 16]);
            let mut other = Words([[[0; LANES]; SETS]; 16]);
            let mut now = core::hint::black_box(&mut one);
            let mut next = core::hint::black_box(&mut other);
            if count > 0 {
                cursor.go_to(0);
                for n in 0..4 * SETS {
                    make!(n, |index: usize, set: usize, word| store(&mut next.0[index][set], word));
                }
            }
            let [mut a, mut b, mut c, mut d] = load_all!(states);
            for index in 0..count + usize::from(outers.is_some()) {
                core::mem::swap(&mut now, &mut next);
                if let Some(outers) = outers.filter(|_| index == count) {
                    for set in 0..SETS {
                        for (to, word) in now.0.iter_mut().zip(outer_words!(set, a b c d)) {
                            store(&mut to[set], word);
                        }
                    }
                    [a, b, c, d] = load_all!(outers);
                }
                // The last block makes words that nobody needs: asking whether it is the last takes
                // longer.
                cursor.go_to(if index + 1 < count { index + 1 } else { 0 });
                macro_rules! word {
                    ($set:expr, $k:expr) => {
                        load(&now.0[$k][$set])
                    };
                }
                macro_rules! beside {
                    ($t:expr, $word:ident) => {
                        if $t % EVERY == 0 && $t / EVERY < 4 * SETS {
                            make!($t / EVERY, |index: usize, set: usize, word| {
                                // Otherwise the compiler makes all of them first, and spills them.
                                let (word, beside) = both(word, $word[index % SETS]);
                                $word[index % SETS] = beside;
                                store(&mut next.0[index][set], word);
                            });
                        }
                    };
                }
                steps!(word beside sines, a b c d);
            }
            store_all!(states, [a, b, c, d]);
        }
    };
}

compress!(
    #[target_feature(enable = "avx2")]
    avx2_eight,
    avx2,
    1
);
compress!(
    #[target_feature(enable = "avx2")]
    avx2_sixteen,
    avx2,
    2
);
compress_ahead!(
    #[target_feature(enable = "avx2")]
    avx2_sixteen_ahead,
    avx2,
    2
);
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_eight,
    avx512vl,
    1
);
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_sixteen,
    avx512vl,
    2
);
compress_ahead!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_sixteen_ahead,
    avx512vl,
    2
);
compress_ahead!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_thirty_two_ahead,
    avx512vl,
    4
);
compress_ahead!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_whole_sixteen_ahead,
    avx512,
    1
);

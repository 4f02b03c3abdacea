//! SHA-1 over the lanes of vectors.

use super::simd::{avx2, avx512, avx512vl};
use crate::kernels::SHA1_WORDS as WORDS;
use crate::kernels::sha1::{AHEAD, CONSTANTS, OUTER_BITS, compress};
use crate::kernels::state::{Blocks, lanes_of, lanes_of_mut};

compress!(
    #[target_feature(enable = "avx2")]
    avx2_eight,
    avx2
);
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_eight,
    avx512vl
);
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_sixteen,
    avx512
);

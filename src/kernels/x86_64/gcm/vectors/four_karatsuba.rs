//! Four blocks, as [`super::four`], for processors that multiply vectors every other cycle.

pub(crate) use super::four::*;

karatsuba!("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi2,vaes,vpclmulqdq");

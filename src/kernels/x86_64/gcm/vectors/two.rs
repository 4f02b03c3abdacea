//! Two blocks: VAES and VPCLMULQDQ in 256 bits.

use core::arch::asm;
use core::arch::x86_64::*;

use super::super::material::Text;
use super::{MASKS, TWO_WORDS, WORDS_TWICE, ZEROS, end_of, less_than_a_word, write_less_than_a_word};

pub(crate) type V = __m256i;
pub(crate) const LANES: usize = 2;

functions! {
    "avx2,vaes,vpclmulqdq":

    pub(crate) fn zeros() -> V {
        _mm256_setzero_si256()
    }

    pub(crate) fn splat(block: __m128i) -> V {
        _mm256_broadcastsi128_si256(block)
    }

    pub(crate) fn splat_halves(half: u64) -> V {
        _mm256_set1_epi64x(half as i64)
    }

    pub(crate) fn low(block: __m128i) -> V {
        _mm256_zextsi128_si256(block)
    }

    pub(crate) fn lowest(a: V) -> __m128i {
        _mm256_castsi256_si128(a)
    }

    pub(crate) fn pair(first: __m128i, second: __m128i) -> [V; 1] {
        [_mm256_inserti128_si256::<1>(_mm256_castsi128_si256(first), second)]
    }

    pub(crate) fn xor(a: V, b: V) -> V {
        _mm256_xor_si256(a, b)
    }

    fn and(a: V, b: V) -> V {
        _mm256_and_si256(a, b)
    }

    /// Of the second one where the mask has ones.
    fn blended(a: V, b: V, mask: V) -> V {
        _mm256_blendv_epi8(a, b, mask)
    }

    pub(crate) fn swap(a: V) -> V {
        let (high, low) = (0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        _mm256_shuffle_epi8(a, _mm256_set_epi64x(high, low, high, low))
    }

    pub(crate) fn crossed(a: V) -> V {
        _mm256_shuffle_epi32::<0x4e>(a)
    }

    pub(crate) fn of_next(_: V, base: __m128i) -> V {
        splat(base)
    }

    pub(crate) fn round(a: V, key: V) -> V {
        _mm256_aesenc_epi128(a, key)
    }

    pub(crate) fn last_round(a: V, key: V) -> V {
        _mm256_aesenclast_epi128(a, key)
    }

    pub(crate) fn multiply<const HALVES: i32>(a: V, b: V) -> V {
        _mm256_clmulepi64_epi128::<HALVES>(a, b)
    }

    pub(crate) fn fold(a: V) -> __m128i {
        _mm_xor_si128(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a))
    }

    /// The words of these numbers.
    fn permuted(a: V, numbers: V) -> V {
        _mm256_permutevar8x32_epi32(a, numbers)
    }

    pub(crate) unsafe fn load(from: *const u8) -> V {
        // SAFETY: as the caller says, here and below.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    pub(crate) unsafe fn store(to: *mut u8, vector: V) {
        unsafe { _mm256_storeu_si256(to.cast(), vector) }
    }

    unsafe fn load_words(from: *const u8, mask: V) -> V {
        unsafe { _mm256_maskload_epi32(from.cast(), mask) }
    }

    unsafe fn store_words(to: *mut u8, mask: V, vector: V) {
        unsafe { _mm256_maskstore_epi32(to.cast(), mask, vector) }
    }
}

avx2!("avx2,vaes,vpclmulqdq", ymm_reg);

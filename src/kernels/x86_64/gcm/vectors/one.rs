//! One block: AES-NI and PCLMULQDQ.

use core::arch::asm;
use core::arch::x86_64::*;

use super::super::material::Text;
use super::{MASKS, TWO_WORDS, WORDS_TWICE, ZEROS, end_of, less_than_a_word, write_less_than_a_word};

pub(crate) type V = __m128i;
pub(crate) const LANES: usize = 1;

functions! {
    "avx2,aes,pclmulqdq":

    pub(crate) fn zeros() -> V {
        _mm_setzero_si128()
    }

    pub(crate) fn splat(block: __m128i) -> V {
        block
    }

    pub(crate) fn splat_halves(half: u64) -> V {
        _mm_set1_epi64x(half as i64)
    }

    pub(crate) fn low(block: __m128i) -> V {
        block
    }

    pub(crate) fn lowest(a: V) -> __m128i {
        a
    }

    pub(crate) fn pair(first: __m128i, second: __m128i) -> [V; 2] {
        [first, second]
    }

    pub(crate) fn xor(a: V, b: V) -> V {
        _mm_xor_si128(a, b)
    }

    fn and(a: V, b: V) -> V {
        _mm_and_si128(a, b)
    }

    /// Of the second one where the mask has ones.
    fn blended(a: V, b: V, mask: V) -> V {
        _mm_blendv_epi8(a, b, mask)
    }

    pub(crate) fn swap(a: V) -> V {
        _mm_shuffle_epi8(a, _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f))
    }

    pub(crate) fn crossed(a: V) -> V {
        _mm_shuffle_epi32::<0x4e>(a)
    }

    pub(crate) fn of_next(_: V, base: __m128i) -> V {
        base
    }

    pub(crate) fn round(a: V, key: V) -> V {
        _mm_aesenc_si128(a, key)
    }

    pub(crate) fn last_round(a: V, key: V) -> V {
        _mm_aesenclast_si128(a, key)
    }

    pub(crate) fn multiply<const HALVES: i32>(a: V, b: V) -> V {
        _mm_clmulepi64_si128::<HALVES>(a, b)
    }

    pub(crate) fn fold(a: V) -> __m128i {
        a
    }

    /// The words of these numbers.
    fn permuted(a: V, numbers: V) -> V {
        _mm_castps_si128(_mm_permutevar_ps(_mm_castsi128_ps(a), numbers))
    }

    pub(crate) unsafe fn load(from: *const u8) -> V {
        // SAFETY: as the caller says, here and below.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    pub(crate) unsafe fn store(to: *mut u8, vector: V) {
        unsafe { _mm_storeu_si128(to.cast(), vector) }
    }

    unsafe fn load_words(from: *const u8, mask: V) -> V {
        unsafe { _mm_maskload_epi32(from.cast(), mask) }
    }

    unsafe fn store_words(to: *mut u8, mask: V, vector: V) {
        unsafe { _mm_maskstore_epi32(to.cast(), mask, vector) }
    }
}

avx2!("avx2,aes,pclmulqdq", xmm_reg);

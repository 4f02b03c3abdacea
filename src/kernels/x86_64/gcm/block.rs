//! Single blocks: counters, what is in front of a text, lengths.

use core::arch::asm;
use core::arch::x86_64::*;

use safe_unaligned_simd::x86_64::_mm_loadu_si128;

use super::material::Expanded;

/// Salt and IV, and zeros where the counter will be, after the first addition of a key.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn nonce(key: &Expanded, iv: u64) -> __m128i {
    let iv = _mm_slli_si128::<4>(_mm_set_epi64x(0, iv as i64));
    _mm_xor_si128(iv, _mm_loadu_si128(&key.nonce))
}

/// The block before the text (J0), which has number 1.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn j0(nonce: __m128i) -> __m128i {
    _mm_xor_si128(nonce, _mm_set_epi32(1 << 24, 0, 0, 0))
}

/// The octets of each word in the other order.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn words_swapped(words: __m128i) -> __m128i {
    _mm_shuffle_epi8(words, _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203))
}

/// What lengths are hashed as: octets that are only authenticated, and those that are encrypted
/// too.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn lengths(front: usize, text: usize) -> __m128i {
    _mm_set_epi64x(8 * front as i64, 8 * text as i64)
}

/// What is in front of a text, in the other order of octets.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn block(first: u64, second: u64) -> __m128i {
    _mm_set_epi64x(first as i64, second as i64)
}

/// The cipher of one block, after the first addition of a key.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn encrypted(key: &Expanded, mut block: __m128i) -> __m128i {
    for key in &key.round_keys[1..10] {
        block = _mm_aesenc_si128(block, _mm_loadu_si128(key));
    }
    _mm_aesenclast_si128(block, _mm_loadu_si128(&key.round_keys[10]))
}

#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn is_zero(block: __m128i) -> bool {
    _mm_testz_si128(block, block) != 0
}

/// The same key. The compiler does not know that, and reads what it needs of it where it needs
/// it: it would keep that on the stack, which is not wiped.
#[allow(unsafe_code, reason = "no other means")]
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn read_anew(key: &Expanded) -> &Expanded {
    let mut pointer: *const Expanded = key;
    // SAFETY: no instructions.
    unsafe {
        asm!("/* {0} */", inout(reg) pointer, options(readonly, nostack, preserves_flags));
        &*pointer
    }
}

/// The octets of a block in the other order.
#[target_feature(enable = "ssse3")]
#[inline]
pub(super) fn swapped(block: __m128i) -> __m128i {
    _mm_shuffle_epi8(block, _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f))
}

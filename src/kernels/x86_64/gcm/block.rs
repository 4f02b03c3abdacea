//! Single blocks: counters, what is in front of a text, lengths.

use core::arch::asm;
use core::arch::x86_64::*;

use safe_unaligned_simd::x86_64::_mm_loadu_si128;

use super::material::Expanded;

/// SPI, sequence number and IV, in the other order of octets.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn header(ids: u64, iv: u64) -> __m128i {
    _mm_set_epi64x(ids as i64, iv as i64)
}

/// What is authenticated in front of a text: this many octets of a header.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn front<const OCTETS: usize>(header: __m128i) -> __m128i {
    let zeros = _mm_setzero_si128();
    match OCTETS {
        0 => zeros,
        8 => _mm_unpackhi_epi64(zeros, header),
        _ => {
            const { assert!(matches!(OCTETS, 0 | 8 | 16)) };
            header
        }
    }
}

/// Salt and IV, and zeros where the counter will be, after the first addition of a key.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn nonce(key: &Expanded, header: __m128i) -> __m128i {
    let numbers = _mm_setr_epi8(-1, -1, -1, -1, 7, 6, 5, 4, 3, 2, 1, 0, -1, -1, -1, -1);
    _mm_xor_si128(_mm_shuffle_epi8(header, numbers), _mm_loadu_si128(&key.nonce))
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

/// The block of the lengths in bits: of what is in front of a text, and of the text, or of both
/// together if it is only authenticated.
#[target_feature(enable = "avx2,aes")]
#[inline]
pub(super) fn lengths<const FRONT: usize, const IS_ENCRYPTED: bool>(text: usize) -> __m128i {
    if IS_ENCRYPTED {
        _mm_set_epi64x(8 * FRONT as i64, 8 * text as i64)
    } else {
        _mm_set_epi64x(8 * (FRONT + text) as i64, 0)
    }
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

//! Multiplication in the field of GHASH, in the form of POLYVAL, and the powers of H.

use core::arch::x86_64::*;

use safe_unaligned_simd::x86_64::{_mm_loadu_si128, _mm_storeu_si128};

use super::block::{encrypted, swapped};
use super::material::Expanded;

/// x^63 + x^62 + x^57, which is what x^127 + x^126 + x^121 is above x^64.
pub(super) const POLYNOMIAL: u64 = 0xc200_0000_0000_0000;

/// A product of 256 bits, reduced by x^128 + x^127 + x^126 + x^121 + 1 in the way of Montgomery: of
/// its three parts, which overlap by half a block, the lowest is added to the middle one in two
/// halves, and this one to the highest alike.
#[target_feature(enable = "avx2,pclmulqdq")]
#[inline]
pub(super) fn reduced(low: __m128i, middle: __m128i, high: __m128i) -> __m128i {
    let polynomial = _mm_set1_epi64x(POLYNOMIAL as i64);
    let once = _mm_clmulepi64_si128::<0x00>(low, polynomial);
    let middle = _mm_xor_si128(_mm_xor_si128(middle, _mm_shuffle_epi32::<0x4e>(low)), once);
    let twice = _mm_clmulepi64_si128::<0x00>(middle, polynomial);
    _mm_xor_si128(high, _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(middle), twice))
}

#[target_feature(enable = "avx2,pclmulqdq")]
fn product(a: __m128i, b: __m128i) -> __m128i {
    let middle = _mm_xor_si128(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b));
    reduced(_mm_clmulepi64_si128::<0x00>(a, b), middle, _mm_clmulepi64_si128::<0x11>(a, b))
}

/// H, times x.
#[target_feature(enable = "avx2")]
fn times_x(h: __m128i) -> __m128i {
    // Doubled, and what leaves at the top comes back as the polynomial: without a branch.
    let carries = _mm_srli_epi64::<63>(h);
    let doubled = _mm_or_si128(_mm_add_epi64(h, h), _mm_slli_si128::<8>(carries));
    let top = _mm_shuffle_epi32::<0xff>(_mm_srai_epi32::<31>(h));
    let polynomial = _mm_set_epi64x(POLYNOMIAL as i64, 1);
    _mm_xor_si128(doubled, _mm_and_si128(top, polynomial))
}

/// Writes the powers of H, which is the cipher of zeros.
#[target_feature(enable = "avx2,aes,pclmulqdq")]
pub(super) fn write(key: &mut Expanded) {
    let h = times_x(swapped(encrypted(key, _mm_loadu_si128(&key.round_keys[0]))));
    let mut power = h;
    for octets in key.powers.iter_mut().rev() {
        _mm_storeu_si128(octets, power);
        power = product(power, h);
    }
}

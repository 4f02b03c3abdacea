//! Four blocks: VAES and VPCLMULQDQ in 512 bits.

use core::arch::asm;
use core::arch::x86_64::*;

use super::super::material::Text;
use super::OCTETS_TWICE;

pub(crate) type V = __m512i;
pub(crate) const LANES: usize = 4;
/// See [`super::karatsuba`]: here, rounds of AES are what everything waits for.
pub(crate) const HOLDS: bool = true;
/// What a payload has at least that has a trailer.
pub(crate) const SHORTEST: usize = 0;

one_by_one!("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi2,vaes,vpclmulqdq");

functions! {
    "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi2,vaes,vpclmulqdq":

    pub(crate) fn zeros() -> V {
        _mm512_setzero_si512()
    }

    pub(crate) fn splat(block: __m128i) -> V {
        _mm512_broadcast_i32x4(block)
    }

    pub(crate) fn splat_halves(half: u64) -> V {
        _mm512_set1_epi64(half as i64)
    }

    pub(crate) fn low(block: __m128i) -> V {
        _mm512_zextsi128_si512(block)
    }

    pub(crate) fn lowest(a: V) -> __m128i {
        _mm512_castsi512_si128(a)
    }

    pub(crate) fn pair(first: __m128i, second: __m128i) -> [V; 1] {
        let blocks = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(first), second);
        [_mm512_zextsi256_si512(blocks)]
    }

    pub(crate) fn xor(a: V, b: V) -> V {
        _mm512_xor_si512(a, b)
    }

    pub(crate) fn xor3(a: V, b: V, c: V) -> V {
        _mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }

    pub(crate) fn swap(a: V) -> V {
        let (high, low) = (0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        _mm512_shuffle_epi8(a, _mm512_set_epi64(high, low, high, low, high, low, high, low))
    }

    pub(crate) fn crossed(a: V) -> V {
        _mm512_shuffle_epi32::<0x4e>(a)
    }

    pub(crate) fn of_next(block: V, base: __m128i) -> V {
        _mm512_mask_broadcast_i32x4(block, 0xff00, base)
    }

    pub(crate) fn round(a: V, key: V) -> V {
        _mm512_aesenc_epi128(a, key)
    }

    pub(crate) fn last_round(a: V, key: V) -> V {
        _mm512_aesenclast_epi128(a, key)
    }

    pub(crate) fn multiply<const HALVES: i32>(a: V, b: V) -> V {
        _mm512_clmulepi64_epi128::<HALVES>(a, b)
    }

    /// The products of halves of different places.
    pub(crate) fn middle(a: V, b: V) -> V {
        xor(multiply::<0x01>(a, b), multiply::<0x10>(a, b))
    }

    pub(crate) fn middle_plus(sum: V, a: V, b: V) -> V {
        xor3(sum, multiply::<0x01>(a, b), multiply::<0x10>(a, b))
    }

    pub(crate) fn middle_alone(middle: V, _: V, _: V) -> V {
        middle
    }

    pub(crate) fn fold(a: V) -> __m128i {
        let two = _mm256_xor_si256(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64::<1>(a));
        _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
    }

    pub(crate) fn cut(a: V, octets: usize) -> V {
        _mm512_maskz_mov_epi8(mask(octets), a)
    }

    pub(crate) fn word(a: V, number: usize) -> u32 {
        let word = _mm512_permutexvar_epi32(_mm512_set1_epi32(number as i32), a);
        _mm_cvtsi128_si32(_mm512_castsi512_si128(word)) as u32
    }

    /// A one for each of up to 64 octets.
    fn mask(octets: usize) -> __mmask64 {
        _bzhi_u64(u64::MAX, octets as u32)
    }

    pub(crate) unsafe fn load(from: *const u8) -> V {
        // SAFETY: as the caller says, here and below.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    pub(crate) unsafe fn store(to: *mut u8, vector: V) {
        unsafe { _mm512_storeu_si512(to.cast(), vector) }
    }

    pub(crate) unsafe fn load_part(from: *const u8, octets: usize) -> V {
        unsafe { _mm512_maskz_loadu_epi8(mask(octets), from.cast()) }
    }

    /// Writes the end of a text, and rewrites the vector before it, if there is one: what is read
    /// after the end of a store with a mask, be it another packet, waits until that is in the
    /// cache.
    pub(crate) unsafe fn store_end(to: *mut u8, octets: usize, before: Option<V>, vector: V) {
        unsafe {
            match before {
                Some(before) => {
                    let numbers = load(OCTETS_TWICE.as_ptr().add(octets));
                    store(to.add(octets).sub(64), _mm512_permutex2var_epi8(before, numbers, vector));
                }
                None => _mm512_mask_storeu_epi8(to.cast(), mask(octets), vector),
            }
        }
    }

    pub(crate) unsafe fn load_end(from: *const u8, octets: usize, text: Text) -> V {
        let in_payload = mask(octets - text.trailer().len());
        let payload = unsafe { _mm512_maskz_loadu_epi8(in_payload, from.cast()) };
        let trailer = low(_mm_set_epi64x(0, text.word() as i64));
        _mm512_mask_expand_epi8(payload, mask(octets) & !in_payload, trailer)
    }

    /// The same vector. The compiler leaves what makes it in its place among others of this kind:
    /// it would put rounds of AES behind each other, and the key stream behind the comparison of
    /// the ICV.
    pub(crate) fn in_order(mut vector: V) -> V {
        // SAFETY: no instructions.
        unsafe { asm!("/* {0} */", inout(zmm_reg) vector, options(nomem, nostack, preserves_flags)) };
        vector
    }

    /// The same vector and block. There are registers enough for the compiler to choose an order.
    pub(crate) fn together(vector: V, block: __m128i) -> (V, __m128i) {
        (vector, block)
    }
}

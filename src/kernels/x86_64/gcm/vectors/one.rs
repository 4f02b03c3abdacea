//! One block: AES-NI and PCLMULQDQ.

use core::arch::asm;
use core::arch::x86_64::*;

use super::super::material::Trailer;
use super::{MASKS, ZEROS, end_of, less_than_a_word, write_less_than_a_word};

pub(crate) type V = __m128i;
pub(crate) const LANES: usize = 1;
/// What a payload has at least that has a trailer.
pub(crate) const SHORTEST: usize = 4;

macro_rules! functions {
    ($($item:item)*) => {
        $(
            #[target_feature(enable = "avx2,aes,pclmulqdq")]
            #[inline]
            $item
        )*
    };
}

functions! {
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

    pub(crate) fn xor3(a: V, b: V, c: V) -> V {
        _mm_xor_si128(a, _mm_xor_si128(b, c))
    }

    pub(crate) fn swap(a: V) -> V {
        _mm_shuffle_epi8(a, _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f))
    }

    pub(crate) fn up(a: V) -> V {
        _mm_slli_si128::<8>(a)
    }

    pub(crate) fn down(a: V) -> V {
        _mm_srli_si128::<8>(a)
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

    /// The products of halves of different places, and of halves of the same place: one product, of
    /// sums of halves.
    pub(crate) fn middle(a: V, b: V) -> V {
        multiply::<0x00>(xor(a, crossed(a)), xor(b, crossed(b)))
    }

    pub(crate) fn middle_plus(sum: V, a: V, b: V) -> V {
        xor(sum, middle(a, b))
    }

    pub(crate) fn middle_alone(middle: V, low: V, high: V) -> V {
        xor3(middle, low, high)
    }

    pub(crate) fn fold(a: V) -> __m128i {
        a
    }

    pub(crate) fn cut(a: V, octets: usize) -> V {
        _mm_and_si128(a, mask(octets))
    }

    pub(crate) fn word(a: V, number: usize) -> u32 {
        _mm_cvtsi128_si32(permuted(a, _mm_set1_epi32(number as i32))) as u32
    }

    /// Ones for up to 16 octets.
    fn mask(octets: usize) -> V {
        debug_assert!(octets <= LANES * 16);
        // SAFETY: there are as many octets after each place.
        unsafe { _mm_loadu_si128(MASKS.as_ptr().add(ZEROS - octets).cast()) }
    }

    /// The words of these numbers.
    fn permuted(a: V, numbers: V) -> V {
        _mm_castps_si128(_mm_permutevar_ps(_mm_castsi128_ps(a), numbers))
    }

    /// Up to eight octets, from a word on, among zeros.
    fn words_at(octets: u64, word: usize) -> V {
        /// Which words of a vector that has two, and zeros: from the fourth number on.
        static NUMBERS: [u32; 8] = [3, 3, 3, 3, 0, 1, 3, 3];
        let from = _mm_set_epi64x(0, octets as i64);
        debug_assert!(word <= LANES * 4);
        // SAFETY: as above.
        let numbers = unsafe { _mm_loadu_si128(NUMBERS.as_ptr().add(4 - word).cast()) };
        permuted(from, numbers)
    }

    pub(crate) unsafe fn load(from: *const u8) -> V {
        // SAFETY: as the caller says, here and below.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    pub(crate) unsafe fn store(to: *mut u8, vector: V) {
        unsafe { _mm_storeu_si128(to.cast(), vector) }
    }

    pub(crate) unsafe fn load_part(from: *const u8, octets: usize) -> V {
        let part = octets % 4;
        unsafe {
            let words = _mm_maskload_epi32(from.cast(), mask(octets));
            if part == 0 {
                return words;
            }
            xor(words, words_at(less_than_a_word(from.add(octets - part), part), octets / 4))
        }
    }

    unsafe fn store_part(to: *mut u8, octets: usize, vector: V) {
        let part = octets % 4;
        unsafe {
            _mm_maskstore_epi32(to.cast(), mask(octets), vector);
            if part != 0 {
                write_less_than_a_word(to.add(octets - part), part, word(vector, octets / 4));
            }
        }
    }

    /// Writes the end of a text, and rewrites the vector before it, if there is one: that is one
    /// store, where a mask takes some processors as long as forty instructions.
    pub(crate) unsafe fn store_end(to: *mut u8, octets: usize, before: Option<V>, vector: V) {
        /// Which words of the two vectors are the last four: from the number of words on.
        static NUMBERS: [u32; 8] = [0, 1, 2, 3, 0, 1, 2, 3];
        let Some(before) = before else { return unsafe { store_part(to, octets, vector) } };
        if !octets.is_multiple_of(4) {
            return unsafe { store_part(to, octets, vector) };
        }
        unsafe {
            let numbers = _mm_loadu_si128(NUMBERS.as_ptr().add(octets / 4).cast());
            let mask = _mm_loadu_si128(MASKS.as_ptr().add(ZEROS + 16 + octets).cast());
            let (before, vector) = (permuted(before, numbers), permuted(vector, numbers));
            store(to.add(octets).sub(LANES * 16), _mm_blendv_epi8(before, vector, mask));
        }
    }

    pub(crate) unsafe fn load_end(from: *const u8, octets: usize, trailer: Trailer) -> V {
        let payload = octets - trailer.len;
        unsafe {
            let words = _mm_maskload_epi32(from.cast(), mask(payload));
            xor(words, words_at(end_of(from.add(payload), payload % 4, trailer), payload / 4))
        }
    }

    /// The same vector. The compiler leaves what makes it in its place among others of this kind:
    /// it would put rounds of AES behind each other, and the key stream behind the comparison of
    /// the ICV.
    pub(crate) fn in_order(mut vector: V) -> V {
        // SAFETY: no instructions.
        unsafe { asm!("/* {0} */", inout(xmm_reg) vector, options(nomem, nostack, preserves_flags)) };
        vector
    }

    /// The same vector and block, at the same time: the compiler would encrypt one after the other,
    /// and keep round keys on the stack for that.
    pub(crate) fn together(mut vector: V, mut block: __m128i) -> (V, __m128i) {
        // SAFETY: no instructions.
        unsafe {
            asm!("/* {0} {1} */", inout(xmm_reg) vector, inout(xmm_reg) block, options(nomem, nostack, preserves_flags));
        }
        (vector, block)
    }
}

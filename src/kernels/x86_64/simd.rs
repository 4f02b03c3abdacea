//! Vectors of 32-bit words on x86-64, with the names of [`crate::kernels::simd`]; also `quad`, four
//! words of a block of each lane.

use crate::kernels::BLOCK;

/// An optimisation barrier: the compiler cannot reorder work on these vectors across it. Where many
/// chains of instructions are latency-bound, their order decides how many of them the processor
/// overlaps.
macro_rules! in_order {
    ($class:ident: $($name:ident = $vector:expr),*) => {
        #[allow(unsafe_code, reason = "assembler, if without any instruction")]
        #[allow(asm_sub_register, reason = "how the registers are called is no matter")]
        // SAFETY: nothing is done.
        unsafe {
            core::arch::asm!(
                concat!("/*", $("{", stringify!($name), "}",)* "*/"),
                $($name = inout($class) $vector,)*
                options(pure, nomem, nostack, preserves_flags)
            );
        }
    };
}
pub(super) use in_order;

/// Eight lanes in 256 bits.
pub(super) mod avx2 {
    use core::arch::x86_64::*;

    use safe_unaligned_simd::x86_64::{_mm_loadu_si128, _mm256_loadu_si256, _mm256_storeu_si256};

    use super::BLOCK;

    pub(in crate::kernels) type V = __m256i;
    pub(in crate::kernels) const LANES: usize = 8;

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn load(words: &[u32; LANES]) -> V {
        _mm256_loadu_si256(words)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn store(words: &mut [u32; LANES], a: V) {
        _mm256_storeu_si256(words, a);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn blocks(blocks: [&[u8; BLOCK]; LANES]) -> [V; 16] {
        let halves = blocks.map(|block| {
            let (octets, _) = block.as_chunks::<32>();
            match octets {
                [first, second] => (_mm256_loadu_si256(first), _mm256_loadu_si256(second)),
                _ => (_mm256_setzero_si256(), _mm256_setzero_si256()),
            }
        });
        let [w0, w1, w2, w3, w4, w5, w6, w7] = transpose(halves.map(|(first, _)| first));
        let [w8, w9, w10, w11, w12, w13, w14, w15] = transpose(halves.map(|(_, second)| second));
        [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15]
    }

    /// Four words from one on.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn quad(blocks: &[&[u8; BLOCK]; LANES], at: usize) -> [V; 4] {
        let half = |lane: usize| _mm_loadu_si128(&blocks[lane].as_chunks::<16>().0[at / 4]);
        let both = |lane: usize| {
            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(half(lane)), half(lane + LANES / 2))
        };
        let [a, b, c, d] = [both(0), both(1), both(2), both(3)];
        let (ab0, ab1) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (cd0, cd1) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(ab0, cd0),
            _mm256_unpackhi_epi64(ab0, cd0),
            _mm256_unpacklo_epi64(ab1, cd1),
            _mm256_unpackhi_epi64(ab1, cd1),
        ]
    }

    /// Eight words of each lane to one word of all lanes each.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn transpose([a, b, c, d, e, f, g, h]: [V; 8]) -> [V; 8] {
        let (ab0, ab1) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (cd0, cd1) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        let (ef0, ef1) = (_mm256_unpacklo_epi32(e, f), _mm256_unpackhi_epi32(e, f));
        let (gh0, gh1) = (_mm256_unpacklo_epi32(g, h), _mm256_unpackhi_epi32(g, h));
        let (ad0, ad1) = (_mm256_unpacklo_epi64(ab0, cd0), _mm256_unpackhi_epi64(ab0, cd0));
        let (ad2, ad3) = (_mm256_unpacklo_epi64(ab1, cd1), _mm256_unpackhi_epi64(ab1, cd1));
        let (eh0, eh1) = (_mm256_unpacklo_epi64(ef0, gh0), _mm256_unpackhi_epi64(ef0, gh0));
        let (eh2, eh3) = (_mm256_unpacklo_epi64(ef1, gh1), _mm256_unpackhi_epi64(ef1, gh1));
        [
            _mm256_permute2x128_si256::<0x20>(ad0, eh0),
            _mm256_permute2x128_si256::<0x20>(ad1, eh1),
            _mm256_permute2x128_si256::<0x20>(ad2, eh2),
            _mm256_permute2x128_si256::<0x20>(ad3, eh3),
            _mm256_permute2x128_si256::<0x31>(ad0, eh0),
            _mm256_permute2x128_si256::<0x31>(ad1, eh1),
            _mm256_permute2x128_si256::<0x31>(ad2, eh2),
            _mm256_permute2x128_si256::<0x31>(ad3, eh3),
        ]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn sum(mut a: V) -> V {
        in_order!(ymm_reg: a = a);
        a
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn both(mut a: V, mut b: V) -> (V, V) {
        in_order!(ymm_reg: a = a, b = b);
        (a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn splat(a: u32) -> V {
        _mm256_set1_epi32(a as i32)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn swap(a: V) -> V {
        let (high, low) = (0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        _mm256_shuffle_epi8(a, _mm256_set_epi64x(high, low, high, low))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn add(a: V, b: V) -> V {
        _mm256_add_epi32(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn rotate<const N: i32, const M: i32>(a: V) -> V {
        _mm256_or_si256(_mm256_slli_epi32::<N>(a), _mm256_srli_epi32::<M>(a))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn xor(a: V, b: V) -> V {
        _mm256_xor_si256(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn parity(a: V, b: V, c: V) -> V {
        _mm256_xor_si256(a, _mm256_xor_si256(b, c))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn choose(a: V, b: V, c: V) -> V {
        _mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256(b, c), a), c)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn majority(a: V, b: V, c: V) -> V {
        _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(_mm256_or_si256(a, b), c))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in crate::kernels) fn or_not(a: V, b: V, c: V) -> V {
        let ones = _mm256_set1_epi32(-1);
        _mm256_xor_si256(b, _mm256_or_si256(a, _mm256_xor_si256(c, ones)))
    }
}

/// Sixteen lanes in 512 bits.
pub(super) mod avx512 {
    use core::arch::x86_64::*;

    use safe_unaligned_simd::x86_64::{_mm_loadu_si128, _mm512_loadu_si512, _mm512_storeu_si512};

    use super::BLOCK;

    pub(in crate::kernels) type V = __m512i;
    pub(in crate::kernels) const LANES: usize = 16;

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn load(words: &[u32; LANES]) -> V {
        _mm512_loadu_si512(words)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn store(words: &mut [u32; LANES], a: V) {
        _mm512_storeu_si512(words, a);
    }

    /// Four by four words within 128 bits, then four by four times 128 bits.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn blocks(blocks: [&[u8; BLOCK]; LANES]) -> [V; 16] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = blocks.map(|block| _mm512_loadu_si512(block));
        let [a0, a1, a2, a3] = within(a, b, c, d);
        let [e0, e1, e2, e3] = within(e, f, g, h);
        let [i0, i1, i2, i3] = within(i, j, k, l);
        let [m0, m1, m2, m3] = within(m, n, o, p);
        let [w0, w4, w8, w12] = across(a0, e0, i0, m0);
        let [w1, w5, w9, w13] = across(a1, e1, i1, m1);
        let [w2, w6, w10, w14] = across(a2, e2, i2, m2);
        let [w3, w7, w11, w15] = across(a3, e3, i3, m3);
        [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15]
    }

    /// Four words from one on.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn quad(blocks: &[&[u8; BLOCK]; LANES], at: usize) -> [V; 4] {
        let quarter = |lane: usize| _mm_loadu_si128(&blocks[lane].as_chunks::<16>().0[at / 4]);
        let four = |lane: usize| {
            let one = _mm512_castsi128_si512(quarter(lane));
            let two = _mm512_inserti32x4::<1>(one, quarter(lane + LANES / 4));
            let three = _mm512_inserti32x4::<2>(two, quarter(lane + LANES / 2));
            _mm512_inserti32x4::<3>(three, quarter(lane + LANES / 4 * 3))
        };
        within(four(0), four(1), four(2), four(3))
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn within(a: V, b: V, c: V, d: V) -> [V; 4] {
        let (ab0, ab1) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (cd0, cd1) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab0, cd0),
            _mm512_unpackhi_epi64(ab0, cd0),
            _mm512_unpacklo_epi64(ab1, cd1),
            _mm512_unpackhi_epi64(ab1, cd1),
        ]
    }

    /// Transposes four by four elements of 128 bits.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn across(a: V, b: V, c: V, d: V) -> [V; 4] {
        let (ab_even, ab_odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (cd_even, cd_odd) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        [
            _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even),
            _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd),
            _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even),
            _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd),
        ]
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn sum(mut a: V) -> V {
        in_order!(zmm_reg: a = a);
        a
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn both(mut a: V, mut b: V) -> (V, V) {
        in_order!(zmm_reg: a = a, b = b);
        (a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn splat(a: u32) -> V {
        _mm512_set1_epi32(a as i32)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn swap(a: V) -> V {
        let (high, low) = (0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        _mm512_shuffle_epi8(a, _mm512_set_epi64(high, low, high, low, high, low, high, low))
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn add(a: V, b: V) -> V {
        _mm512_add_epi32(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn rotate<const N: i32, const M: i32>(a: V) -> V {
        _mm512_rol_epi32::<N>(a)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn xor(a: V, b: V) -> V {
        _mm512_xor_si512(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn parity(a: V, b: V, c: V) -> V {
        _mm512_ternarylogic_epi32::<0x96>(a, b, c)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn choose(a: V, b: V, c: V) -> V {
        _mm512_ternarylogic_epi32::<0xca>(a, b, c)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn majority(a: V, b: V, c: V) -> V {
        _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in crate::kernels) fn or_not(a: V, b: V, c: V) -> V {
        _mm512_ternarylogic_epi32::<0x39>(a, b, c)
    }
}

/// Eight lanes in 256 bits, with the instructions of AVX-512: rotations and functions of three
/// words in one each.
pub(super) mod avx512vl {
    use core::arch::x86_64::*;

    pub(in crate::kernels) use super::avx2::{LANES, V, add, blocks, load, quad, splat, store, swap, xor};

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    pub(in crate::kernels) fn sum(mut a: V) -> V {
        in_order!(zmm_reg: a = a);
        a
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    pub(in crate::kernels) fn both(mut a: V, mut b: V) -> (V, V) {
        in_order!(zmm_reg: a = a, b = b);
        (a, b)
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    pub(in crate::kernels) fn rotate<const N: i32, const M: i32>(a: V) -> V {
        _mm256_rol_epi32::<N>(a)
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    pub(in crate::kernels) fn parity(a: V, b: V, c: V) -> V {
        _mm256_ternarylogic_epi32::<0x96>(a, b, c)
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    pub(in crate::kernels) fn choose(a: V, b: V, c: V) -> V {
        _mm256_ternarylogic_epi32::<0xca>(a, b, c)
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    pub(in crate::kernels) fn majority(a: V, b: V, c: V) -> V {
        _mm256_ternarylogic_epi32::<0xe8>(a, b, c)
    }

    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    pub(in crate::kernels) fn or_not(a: V, b: V, c: V) -> V {
        _mm256_ternarylogic_epi32::<0x39>(a, b, c)
    }
}

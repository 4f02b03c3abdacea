//! Vectors of AES blocks in three widths, with the same names: `V`, `LANES` blocks; `swap`, the
//! other order of octets in each block; `fold`, the sum of the blocks. In 128 and 256 bits, for
//! [`kernel`](super::kernel): `load` and `store`, and `load_part` and `store_part` of fewer octets;
//! `keyed`, a power of H for each block.

use core::arch::x86_64::*;

use safe_unaligned_simd::x86_64::{_mm_loadu_si128, _mm_storeu_si128};

use super::material::{BLOCK, Expanded, POWERS, Packet};

/// The octets of one block, fewer than sixteen.
#[inline(always)]
fn part_of_block(octets: &[u8]) -> u128 {
    let mut block = 0;
    // ESP pads to four octets, so that words are all that there is.
    let (words, rest) = octets.as_chunks::<4>();
    for (word, octets) in words.iter().enumerate() {
        block |= u128::from(u32::from_le_bytes(*octets)) << (32 * (word & 3));
    }
    for (octet, value) in (octets.len() - rest.len()..).zip(rest) {
        block |= u128::from(*value) << (8 * (octet & 15));
    }
    block
}

/// Writes the first octets of a block, fewer than sixteen.
#[inline(always)]
fn write_part_of_block(octets: &mut [u8], block: u128) {
    let (words, rest) = octets.as_chunks_mut::<4>();
    let written = words.len() * 4;
    for (word, octets) in words.iter_mut().enumerate() {
        *octets = ((block >> (32 * (word & 3))) as u32).to_le_bytes();
    }
    for (octet, value) in (written..).zip(rest) {
        *value = (block >> (8 * (octet & 15))) as u8;
    }
}

#[target_feature(enable = "sse4.1")]
#[inline]
pub(super) fn from_u128(block: u128) -> __m128i {
    _mm_set_epi64x((block >> 64) as i64, block as i64)
}

/// The counter before the first (J0), in the other order of octets.
#[target_feature(enable = "sse4.1")]
#[inline]
pub(super) fn j0(key: &Expanded, packet: &Packet) -> __m128i {
    let (salt, iv) = (key.salt.swap_bytes(), packet.iv.swap_bytes());
    _mm_set_epi64x((u64::from(salt) << 32 | iv >> 32) as i64, (iv << 32 | 1) as i64)
}

/// What is in front of the text, in the other order of octets.
#[target_feature(enable = "sse4.1")]
#[inline]
pub(super) fn front(packet: &Packet) -> __m128i {
    let [high, low] = packet.front;
    _mm_set_epi64x(high as i64, low as i64)
}

#[target_feature(enable = "sse4.1")]
#[inline]
fn to_u128(block: __m128i) -> u128 {
    let (low, high) = (_mm_extract_epi64::<0>(block) as u64, _mm_extract_epi64::<1>(block) as u64);
    u128::from(high) << 64 | u128::from(low)
}

/// The octets of a block in the other order.
#[target_feature(enable = "ssse3")]
#[inline]
pub(super) fn swapped(block: __m128i) -> __m128i {
    _mm_shuffle_epi8(block, _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f))
}

/// One block: AES-NI and PCLMULQDQ.
pub(super) mod one {
    use super::*;

    pub(in super::super) type V = __m128i;
    pub(in super::super) const LANES: usize = 1;

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn load(octets: &[u8; BLOCK * LANES]) -> V {
        _mm_loadu_si128(octets)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn store(octets: &mut [u8; BLOCK * LANES], a: V) {
        _mm_storeu_si128(octets, a);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn load_part(octets: &[u8]) -> V {
        from_u128(part_of_block(octets))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn store_part(octets: &mut [u8], a: V) {
        write_part_of_block(octets, to_u128(a));
    }

    /// The octets where the slice has some, and zeros after them.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn cut(a: V, octets: &[u8]) -> V {
        static ONES: [u8; 64] = {
            let mut ones = [0; 64];
            let mut at = 0;
            while at < 32 {
                ones[at] = 0xff;
                at += 1;
            }
            ones
        };
        let from = 32 - octets.len().min(32);
        match ONES[from..].first_chunk() {
            Some(ones) => _mm_and_si128(a, _mm_loadu_si128(ones)),
            None => a,
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn splat(block: __m128i) -> V {
        block
    }

    /// The first block, and zeros.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn first(block: __m128i) -> V {
        block
    }

    /// 0, 1, ... in the blocks.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn numbers() -> V {
        _mm_setzero_si128()
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn keyed(powers: &[[u8; BLOCK]; POWERS], index: usize) -> V {
        _mm_loadu_si128(&powers[index])
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn xor(a: V, b: V) -> V {
        _mm_xor_si128(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn xor3(a: V, b: V, c: V) -> V {
        _mm_xor_si128(a, _mm_xor_si128(b, c))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn add(a: V, b: V) -> V {
        _mm_add_epi32(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn swap(a: V) -> V {
        swapped(a)
    }

    #[target_feature(enable = "avx2,aes")]
    #[inline]
    pub(in super::super) fn round(a: V, key: V) -> V {
        _mm_aesenc_si128(a, key)
    }

    #[target_feature(enable = "avx2,aes")]
    #[inline]
    pub(in super::super) fn last_round(a: V, key: V) -> V {
        _mm_aesenclast_si128(a, key)
    }

    #[target_feature(enable = "avx2,pclmulqdq")]
    #[inline]
    pub(in super::super) fn multiply<const HALVES: i32>(a: V, b: V) -> V {
        _mm_clmulepi64_si128::<HALVES>(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn fold(a: V) -> __m128i {
        a
    }
}

/// Two blocks: VAES and VPCLMULQDQ in 256 bits.
pub(super) mod two {
    use safe_unaligned_simd::x86_64::{_mm256_loadu_si256, _mm256_storeu_si256};

    use super::*;

    pub(in super::super) type V = __m256i;
    pub(in super::super) const LANES: usize = 2;

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn load(octets: &[u8; BLOCK * LANES]) -> V {
        _mm256_loadu_si256(octets)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn store(octets: &mut [u8; BLOCK * LANES], a: V) {
        _mm256_storeu_si256(octets, a);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn load_part(octets: &[u8]) -> V {
        match octets.split_first_chunk::<BLOCK>() {
            Some((block, rest)) => {
                let rest = from_u128(part_of_block(rest));
                _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(_mm_loadu_si128(block)), rest)
            }
            None => first(from_u128(part_of_block(octets))),
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn store_part(octets: &mut [u8], a: V) {
        match octets.split_first_chunk_mut::<BLOCK>() {
            Some((block, rest)) => {
                _mm_storeu_si128(block, _mm256_castsi256_si128(a));
                write_part_of_block(rest, to_u128(_mm256_extracti128_si256::<1>(a)));
            }
            None => write_part_of_block(octets, to_u128(_mm256_castsi256_si128(a))),
        }
    }

    /// The octets where the slice has some, and zeros after them.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn cut(a: V, octets: &[u8]) -> V {
        static ONES: [u8; 64] = {
            let mut ones = [0; 64];
            let mut at = 0;
            while at < 32 {
                ones[at] = 0xff;
                at += 1;
            }
            ones
        };
        let from = 32 - octets.len().min(32);
        match ONES[from..].first_chunk() {
            Some(ones) => _mm256_and_si256(a, _mm256_loadu_si256(ones)),
            None => a,
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn splat(block: __m128i) -> V {
        _mm256_broadcastsi128_si256(block)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn first(block: __m128i) -> V {
        _mm256_zextsi128_si256(block)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn numbers() -> V {
        _mm256_set_epi64x(0, 1, 0, 0)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn keyed(powers: &[[u8; BLOCK]; POWERS], index: usize) -> V {
        match powers[index..].as_flattened().first_chunk::<{ BLOCK * LANES }>() {
            Some(octets) => _mm256_loadu_si256(octets),
            None => _mm256_setzero_si256(),
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn xor(a: V, b: V) -> V {
        _mm256_xor_si256(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn xor3(a: V, b: V, c: V) -> V {
        _mm256_xor_si256(a, _mm256_xor_si256(b, c))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn add(a: V, b: V) -> V {
        _mm256_add_epi32(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn swap(a: V) -> V {
        let (high, low) = (0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        _mm256_shuffle_epi8(a, _mm256_set_epi64x(high, low, high, low))
    }

    #[target_feature(enable = "avx2,vaes")]
    #[inline]
    pub(in super::super) fn round(a: V, key: V) -> V {
        _mm256_aesenc_epi128(a, key)
    }

    #[target_feature(enable = "avx2,vaes")]
    #[inline]
    pub(in super::super) fn last_round(a: V, key: V) -> V {
        _mm256_aesenclast_epi128(a, key)
    }

    #[target_feature(enable = "avx2,vpclmulqdq")]
    #[inline]
    pub(in super::super) fn multiply<const HALVES: i32>(a: V, b: V) -> V {
        _mm256_clmulepi64_epi128::<HALVES>(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(in super::super) fn fold(a: V) -> __m128i {
        _mm_xor_si128(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a))
    }
}

/// Four blocks: VAES and VPCLMULQDQ in 512 bits.
pub(super) mod four {
    use super::*;

    pub(in super::super) type V = __m512i;
    pub(in super::super) const LANES: usize = 4;

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in super::super) fn splat(block: __m128i) -> V {
        _mm512_broadcast_i32x4(block)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in super::super) fn first(block: __m128i) -> V {
        _mm512_zextsi128_si512(block)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in super::super) fn xor(a: V, b: V) -> V {
        _mm512_xor_si512(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in super::super) fn xor3(a: V, b: V, c: V) -> V {
        _mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in super::super) fn swap(a: V) -> V {
        let (high, low) = (0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        _mm512_shuffle_epi8(a, _mm512_set_epi64(high, low, high, low, high, low, high, low))
    }

    #[target_feature(enable = "avx512f,vaes")]
    #[inline]
    pub(in super::super) fn round(a: V, key: V) -> V {
        _mm512_aesenc_epi128(a, key)
    }

    #[target_feature(enable = "avx512f,vaes")]
    #[inline]
    pub(in super::super) fn last_round(a: V, key: V) -> V {
        _mm512_aesenclast_epi128(a, key)
    }

    #[target_feature(enable = "avx512f,vpclmulqdq")]
    #[inline]
    pub(in super::super) fn multiply<const HALVES: i32>(a: V, b: V) -> V {
        _mm512_clmulepi64_epi128::<HALVES>(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(in super::super) fn fold(a: V) -> __m128i {
        let two = _mm256_xor_si256(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64::<1>(a));
        _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
    }
}

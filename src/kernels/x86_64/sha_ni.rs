//! SHA-1 with SHA-NI.

use core::arch::x86_64::*;

use safe_unaligned_simd::x86_64::_mm_loadu_si128;

use crate::kernels::state::{Blocks, Group};
use crate::kernels::{BLOCK, SHA1_WORDS};

/// The state in the form of the instructions: a, b, c, d from the highest word to the lowest; and
/// e.
#[derive(Clone, Copy)]
pub(super) struct State {
    abcd: __m128i,
    e: __m128i,
}

impl State {
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    #[inline]
    pub(super) fn new([a, b, c, d, e]: [u32; 5]) -> Self {
        Self {
            abcd: _mm_set_epi32(a as i32, b as i32, c as i32, d as i32),
            e: _mm_set_epi32(e as i32, 0, 0, 0),
        }
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    #[inline]
    pub(super) fn words(self) -> [u32; 5] {
        [
            _mm_extract_epi32::<3>(self.abcd) as u32,
            _mm_extract_epi32::<2>(self.abcd) as u32,
            _mm_extract_epi32::<1>(self.abcd) as u32,
            _mm_extract_epi32::<0>(self.abcd) as u32,
            _mm_extract_epi32::<3>(self.e) as u32,
        ]
    }
}

/// Compresses one block per stream, interleaved: each stream is latency-bound.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
pub(super) fn compress<const N: usize>(states: &mut [State; N], blocks: [&[u8; BLOCK]; N]) {
    let swap = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    let mut m = blocks.map(|block| match block.as_chunks::<16>().0 {
        [a, b, c, d] => [a, b, c, d].map(|octets| _mm_shuffle_epi8(_mm_loadu_si128(octets), swap)),
        _ => [_mm_setzero_si128(); 4],
    });
    let before = *states;
    // Four rounds, the first with the words of the block as they are, later ones with words made
    // from those before.
    macro_rules! four {
        ($g:literal) => {
            for n in 0..N {
                if $g >= 4 {
                    let mixed = _mm_sha1msg1_epu32(m[n][$g & 3], m[n][($g + 1) & 3]);
                    let mixed = _mm_xor_si128(mixed, m[n][($g + 2) & 3]);
                    m[n][$g & 3] = _mm_sha1msg2_epu32(mixed, m[n][($g + 3) & 3]);
                }
                let State { abcd, e } = states[n];
                let w = m[n][$g & 3];
                let e = if $g == 0 { _mm_add_epi32(e, w) } else { _mm_sha1nexte_epu32(e, w) };
                states[n] = State { abcd: _mm_sha1rnds4_epu32::<{ $g / 5 }>(abcd, e), e: abcd };
            }
        };
        ($($g:literal)*) => { $(four!($g);)* };
    }
    four!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
    for (state, before) in states.iter_mut().zip(before) {
        state.abcd = _mm_add_epi32(state.abcd, before.abcd);
        state.e = _mm_sha1nexte_epu32(state.e, before.e);
    }
}

/// Compresses `count` blocks of each of the first lanes.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) fn streams<const N: usize>(states: &mut [Group<SHA1_WORDS>], data: &[Blocks<'_>], count: usize) {
    let Some(states) = states.first_mut() else { return };
    let common = Blocks::common::<N>(data);
    let mut streams = core::array::from_fn::<_, N, _>(|n| State::new(states.of(n)));
    for index in 0..count {
        compress(&mut streams, Blocks::get(data, index, common));
    }
    for (n, stream) in streams.into_iter().enumerate() {
        states.set(n, &stream.words());
    }
}

//! SHA-1 (FIPS 180-4) over many lanes.

use super::state::{Blocks, lanes_of, lanes_of_mut};
use super::{BLOCK, SHA1_WORDS as WORDS};

/// The states of lanes, by word.
type Group = super::state::Group<WORDS>;
/// Bits of what the outer hash of HMAC hashes: its key's block, and a digest.
const OUTER_BITS: u32 = 8 * (BLOCK + 4 * WORDS) as u32;

/// What each twenty steps add.
static CONSTANTS: [u32; 4] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

/// So many steps before it is needed a word is made.
const AHEAD: usize = 5;

/// Writes the compression function once for each width of vectors.
macro_rules! compress {
    ($(#[$attribute:meta])* $name:ident, $words:ident) => {
        /// Takes `count` blocks of every lane into its state; then, where there are states of outer hashes, its digest into
        /// that one.
        $(#[$attribute])*
        pub(super) fn $name(
            states: &mut [Group],
            data: &[Blocks<'_>],
            count: usize,
            outers: Option<&[Group]>,
        ) {
            use super::words::$words::*;
            let Some(data) = data.first_chunk::<LANES>() else { return };
            // Hidden from the compiler: it adds what it knows to be constant last, where the next step waits for it.
            let constants = core::hint::black_box(&CONSTANTS);
            let load = |states: &[Group]| {
                let mut state = [splat(0); WORDS];
                for (index, word) in state.iter_mut().enumerate() {
                    if let Some(lanes) = lanes_of(states, index, 0) {
                        *word = load(lanes);
                    }
                }
                state
            };
            let common = Blocks::common::<LANES>(data);
            let [mut a, mut b, mut c, mut d, mut e] = load(states);
            for index in 0..count + usize::from(outers.is_some()) {
                let mut w;
                if let Some(outers) = outers.filter(|_| index == count) {
                    let zero = splat(0);
                    let (mark, bits) = (splat(0x8000_0000), splat(OUTER_BITS));
                    w = [a, b, c, d, e, mark, zero, zero, zero, zero, zero, zero, zero, zero, zero, bits];
                    [a, b, c, d, e] = load(outers);
                } else {
                    w = blocks(Blocks::get(data, index, common));
                    for word in &mut w {
                        *word = swap(*word);
                    }
                }
                // A step, and before it the word that is made of earlier ones for a later step.
                macro_rules! step {
                    ($f:expr, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {{
                        let later = $t + AHEAD;
                        if (16..80).contains(&later) {
                            let [x, y, z] = [13, 8, 2].map(|back| w[(later + back) & 15]);
                            w[later & 15] = rotate::<1, 31>(xor(x, parity(y, z, w[later & 15])));
                        }
                        let early = add($e, add(w[$t & 15], splat(constants[$t / 20])));
                        $e = add(add(early, $f($b, $c, $d)), rotate::<5, 27>($a));
                        $b = rotate::<30, 2>($b);
                        #[allow(unused_assignments, reason = "the last steps make no word")]
                        if (16..80).contains(&later) {
                            ($e, w[later & 15]) = both($e, w[later & 15]);
                        }
                    }};
                }
                macro_rules! five {
                    ($f:expr, $t:literal) => {
                        step!($f, $t, a b c d e);
                        step!($f, $t + 1, e a b c d);
                        step!($f, $t + 2, d e a b c);
                        step!($f, $t + 3, c d e a b);
                        step!($f, $t + 4, b c d e a);
                    };
                }
                let before = [a, b, c, d, e];
                five!(choose, 0);
                five!(choose, 5);
                five!(choose, 10);
                five!(choose, 15);
                five!(parity, 20);
                five!(parity, 25);
                five!(parity, 30);
                five!(parity, 35);
                five!(majority, 40);
                five!(majority, 45);
                five!(majority, 50);
                five!(majority, 55);
                five!(parity, 60);
                five!(parity, 65);
                five!(parity, 70);
                five!(parity, 75);
                let [a0, b0, c0, d0, e0] = before;
                (a, b, c, d, e) = (add(a, a0), add(b, b0), add(c, c0), add(d, d0), add(e, e0));
            }
            for (index, word) in [a, b, c, d, e].into_iter().enumerate() {
                if let Some(lanes) = lanes_of_mut(states, index, 0) {
                    store(lanes, word);
                }
            }
        }
    };
}

#[cfg(test)]
compress!(one, portable);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx2")]
    avx2_eight,
    avx2
);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_eight,
    avx512vl
);
#[cfg(target_arch = "x86_64")]
compress!(
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    avx512_sixteen,
    avx512
);

/// The processor's own instructions for SHA-1, for some streams side by side: each waits for itself.
#[cfg(target_arch = "x86_64")]
pub(in crate::esp) mod ni {
    use core::arch::x86_64::*;

    use safe_unaligned_simd::x86_64::_mm_loadu_si128;

    use super::{BLOCK, Blocks, Group};

    /// The state of a hash as the instructions want it: a, b, c, d from the highest word to the lowest; and e.
    #[derive(Clone, Copy)]
    pub(in crate::esp) struct State {
        abcd: __m128i,
        e: __m128i,
    }

    impl State {
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        #[inline]
        pub(in crate::esp) fn new([a, b, c, d, e]: [u32; 5]) -> Self {
            Self {
                abcd: _mm_set_epi32(a as i32, b as i32, c as i32, d as i32),
                e: _mm_set_epi32(e as i32, 0, 0, 0),
            }
        }

        #[target_feature(enable = "sha,ssse3,sse4.1")]
        #[inline]
        pub(in crate::esp) fn words(self) -> [u32; 5] {
            [
                _mm_extract_epi32::<3>(self.abcd) as u32,
                _mm_extract_epi32::<2>(self.abcd) as u32,
                _mm_extract_epi32::<1>(self.abcd) as u32,
                _mm_extract_epi32::<0>(self.abcd) as u32,
                _mm_extract_epi32::<3>(self.e) as u32,
            ]
        }
    }

    /// Takes a block of each stream into its state.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    #[inline]
    pub(in crate::esp) fn compress<const N: usize>(states: &mut [State; N], blocks: [&[u8; BLOCK]; N]) {
        let swap = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        let mut m = blocks.map(|block| match block.as_chunks::<16>().0 {
            [a, b, c, d] => [a, b, c, d].map(|octets| _mm_shuffle_epi8(_mm_loadu_si128(octets), swap)),
            _ => [_mm_setzero_si128(); 4],
        });
        let before = *states;
        // Four rounds, the first with the words of the block as they are, later ones with words made from those before.
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

    /// Takes `count` blocks of each of the first lanes into its state.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub(in super::super) fn streams<const N: usize>(states: &mut [Group], data: &[Blocks<'_>], count: usize) {
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
}

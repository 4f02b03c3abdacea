//! VAES: two or four blocks in a vector.

use crate::impossible;
use core::arch::x86_64::*;
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::ops::Range;

use safe_unaligned_simd::x86_64::{
    _mm_loadu_si128, _mm_storeu_si128, _mm256_loadu_si256, _mm256_storeu_si256, _mm512_loadu_si512,
    _mm512_storeu_si512,
};

use super::schedules::{BLOCK, CONSTANTS, Chains, InverseKey, ROTATED, ROUND_KEYS, Schedules, WIDEST};
use crate::kernels::x86_64::simd::avx512::across;
use crate::kernels::x86_64::simd::in_order;

const VECTOR: usize = 64;
/// Octets that are decrypted in parallel.
const WIDE: usize = 4 * VECTOR;

/// Two blocks: of two lanes in parallel, or of one lane one after the other.
const PAIR: usize = 2 * BLOCK;
/// Pairs of blocks of each lane that are looked up together.
const STRIDE: usize = 16;

/// Writes the kernel for this many lanes, in pairs. Vectors have 256 bits, not 512: two blocks of
/// two lanes are then transposed with one instruction a vector, and the processor has more of them.
macro_rules! lanes {
    ($name:ident, $pairs:literal: $($pair:literal $vector:ident $first:ident $second:ident),*) => {
        /// Encrypts blocks of each of the first lanes, from an even one on.
        #[target_feature(enable = "vaes,avx512f,avx512vl")]
        pub(in crate::kernels::x86_64) fn $name(
            keys: &Schedules,
            chains: &mut Chains,
            data: &mut [&mut [u8]; WIDEST],
            blocks: Range<usize>,
        ) {
            const PAIRS: usize = $pairs;
            let key = |keys: &Schedules, round: usize, pair: usize| {
                match keys.0[round].as_chunks::<PAIR>().0.get(pair) {
                    Some(keys) => _mm256_loadu_si256(keys),
                    None => _mm256_setzero_si256(),
                }
            };
            // The state after a block more of each pair.
            let step = |mut state: [__m256i; PAIRS], blocks: [__m256i; PAIRS]| {
                let keys = core::hint::black_box(keys);
                for pair in 0..PAIRS {
                    state[pair] =
                        _mm256_ternarylogic_epi32::<0x96>(state[pair], blocks[pair], key(keys, 0, pair));
                }
                for round in 1..ROUND_KEYS - 1 {
                    for pair in 0..PAIRS {
                        state[pair] = _mm256_aesenc_epi128(state[pair], key(keys, round, pair));
                    }
                    // Otherwise the compiler puts all rounds of one pair before those of the next:
                    // each depends on the one before it, and the others are too far ahead for the
                    // processor to overlap them.
                    in_order!(zmm_reg: $($vector = state[$pair]),*);
                }
                for pair in 0..PAIRS {
                    state[pair] = _mm256_aesenclast_epi128(state[pair], key(keys, ROUND_KEYS - 1, pair));
                }
                state
            };
            let (chains, _) = chains.as_chunks_mut::<PAIR>();
            let mut state: [_; PAIRS] = core::array::from_fn(|pair| _mm256_loadu_si256(&chains[pair]));
            // Idle lanes encrypt this.
            let idle = [const { Cell::new([0; PAIR]) }; STRIDE];
            let (mut at, end) = (blocks.start / 2, blocks.end / 2);
            while at < end {
                let stride = STRIDE.min(end - at);
                // Slices of one length with names of their own: no bounds check per block.
                let [$($first, $second,)* ..] = &mut *data;
                $(
                    let $first = part($first, at, &idle[..stride]);
                    let $second = part($second, at, &idle[..stride]);
                )*
                for index in 0..stride {
                    let blocks = [$({
                        let (first, second) = ($first[index].get(), $second[index].get());
                        (_mm256_loadu_si256(&first), _mm256_loadu_si256(&second))
                    }),*];
                    let before = step(state, blocks.map(|(a, b)| _mm256_permute2x128_si256::<0x20>(a, b)));
                    state = step(before, blocks.map(|(a, b)| _mm256_permute2x128_si256::<0x31>(a, b)));
                    $(
                        let mut octets = [[0; PAIR]; 2];
                        let [a, b] = &mut octets;
                        _mm256_storeu_si256(a, _mm256_permute2x128_si256::<0x20>(before[$pair], state[$pair]));
                        _mm256_storeu_si256(b, _mm256_permute2x128_si256::<0x31>(before[$pair], state[$pair]));
                        $first[index].set(octets[0]);
                        $second[index].set(octets[1]);
                    )*
                }
                at += stride;
            }
            if blocks.end % 2 == 1 {
                let last = blocks.end - 1;
                let mut blocks = [[0; PAIR]; PAIRS];
                let mut last = data.each_mut().map(|data| data.as_chunks_mut().0.get_mut(last));
                for (to, from) in blocks.as_flattened_mut().as_chunks_mut::<BLOCK>().0.iter_mut().zip(&last) {
                    *to = from.as_deref().copied().unwrap_or_default();
                }
                state = step(state, blocks.each_ref().map(|blocks| _mm256_loadu_si256(blocks)));
                for (to, state) in blocks.iter_mut().zip(state) {
                    _mm256_storeu_si256(to, state);
                }
                for (from, to) in blocks.as_flattened().as_chunks::<BLOCK>().0.iter().zip(&mut last) {
                    if let Some(to) = to {
                        **to = *from;
                    }
                }
            }
            for (chain, state) in chains.iter_mut().zip(state) {
                _mm256_storeu_si256(chain, state);
            }
        }
    };
}

/// One piece of a lane for each idle one, from one on; all of them if it has fewer.
#[inline(always)]
fn part<'a, const N: usize>(data: &'a mut [u8], at: usize, idle: &'a [Cell<[u8; N]>]) -> &'a [Cell<[u8; N]>] {
    match data.get_mut(at * N..(at + idle.len()) * N) {
        Some(data) => &Cell::from_mut(data.as_chunks_mut().0).as_slice_of_cells()[..idle.len()],
        None => idle,
    }
}

lanes!(four_lanes, 2: 0 q a b, 1 r c d);
lanes!(eight_lanes, 4: 0 q a b, 1 r c d, 2 s e f, 3 t g h);
lanes!(twelve_lanes, 6: 0 q a b, 1 r c d, 2 s e f, 3 t g h, 4 u i j, 5 v k l);
lanes!(sixteen_lanes, 8: 0 q a b, 1 r c d, 2 s e f, 3 t g h, 4 u i j, 5 v k l, 6 w m n, 7 x o p);

/// Writes the kernel for all sixteen lanes, each four of which are a vector of 512 bits.
macro_rules! whole {
    ($($group:literal $vector:ident $a:ident $b:ident $c:ident $d:ident),*) => {
        /// Encrypts `4 * fours` blocks of each lane.
        #[target_feature(enable = "vaes,avx512f,avx512bw,avx512vl")]
        pub(in crate::kernels::x86_64) fn whole_lanes(
            keys: &Schedules,
            chains: &mut Chains,
            data: &mut [&mut [u8]; WIDEST],
            fours: usize,
        ) {
            const GROUPS: usize = WIDEST / 4;
            /// Groups of four blocks of each lane that are looked up together.
            const STRIDE: usize = 8;
            let key = |keys: &Schedules, round: usize, group: usize| {
                match keys.0[round].as_chunks::<VECTOR>().0.get(group) {
                    Some(keys) => _mm512_loadu_si512(keys),
                    None => _mm512_setzero_si512(),
                }
            };
            // The state after a block more of each lane.
            let step = |mut state: [__m512i; GROUPS], blocks: [__m512i; GROUPS]| {
                let keys = core::hint::black_box(keys);
                for group in 0..GROUPS {
                    state[group] =
                        _mm512_ternarylogic_epi32::<0x96>(state[group], blocks[group], key(keys, 0, group));
                }
                for round in 1..ROUND_KEYS - 1 {
                    for group in 0..GROUPS {
                        state[group] = _mm512_aesenc_epi128(state[group], key(keys, round, group));
                    }
                    in_order!(zmm_reg: $($vector = state[$group]),*);
                }
                for group in 0..GROUPS {
                    state[group] = _mm512_aesenclast_epi128(state[group], key(keys, ROUND_KEYS - 1, group));
                }
                state
            };
            let (chains, _) = chains.as_chunks_mut::<VECTOR>();
            let mut state: [_; GROUPS] = core::array::from_fn(|group| _mm512_loadu_si512(&chains[group]));
            let idle = [const { Cell::new([0; VECTOR]) }; STRIDE];
            let mut at = 0;
            while at < fours {
                let idle = &idle[..STRIDE.min(fours - at)];
                let [$($a, $b, $c, $d),*] = &mut *data;
                $(
                    let ($a, $b) = (part($a, at, idle), part($b, at, idle));
                    let ($c, $d) = (part($c, at, idle), part($d, at, idle));
                )*
                for index in 0..idle.len() {
                    // Four blocks of four lanes make four vectors, transposed.
                    let blocks = [$({
                        let load = |lane: &[Cell<[u8; VECTOR]>]| _mm512_loadu_si512(&lane[index].get());
                        across(load($a), load($b), load($c), load($d))
                    }),*];
                    let first = step(state, blocks.map(|blocks| blocks[0]));
                    let second = step(first, blocks.map(|blocks| blocks[1]));
                    let third = step(second, blocks.map(|blocks| blocks[2]));
                    state = step(third, blocks.map(|blocks| blocks[3]));
                    $(
                        let [a, b, c, d] = across(first[$group], second[$group], third[$group], state[$group]);
                        let store = |lane: &[Cell<[u8; VECTOR]>], made: __m512i| {
                            let mut octets = [0; VECTOR];
                            _mm512_storeu_si512(&mut octets, made);
                            lane[index].set(octets);
                        };
                        store($a, a);
                        store($b, b);
                        store($c, c);
                        store($d, d);
                    )*
                }
                at += idle.len();
            }
            for (chain, state) in chains.iter_mut().zip(state) {
                _mm512_storeu_si512(chain, state);
            }
        }
    };
}

whole!(0 q a b c d, 1 r e f g h, 2 s i j k l, 3 t m n o p);

/// Expands the keys of all lanes (FIPS 197 5.2) into memory that holds nothing yet. Zeros are left
/// where they were.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
#[allow(unsafe_code, reason = "memory that is written for the first time")]
pub(in crate::kernels::x86_64) fn expand<'s>(
    keys: &mut Chains,
    to: &'s mut MaybeUninit<Schedules>,
) -> &'s mut Schedules {
    // SAFETY: `Schedules` is only an array of octets, which may be uninitialised here.
    let rounds = unsafe { &mut *to.as_mut_ptr().cast::<[MaybeUninit<[u8; WIDEST * BLOCK]>; ROUND_KEYS]>() };
    each_round(keys, |round, octets| {
        rounds[round].write(*octets);
    });
    // SAFETY: every round has been written.
    unsafe { to.assume_init_mut() }
}

/// [`expand`] where others were.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
pub(in crate::kernels::x86_64) fn expand_again(keys: &mut Chains, to: &mut Schedules) {
    each_round(keys, |round, octets| to.0[round] = *octets);
}

/// Expands the keys of all lanes in parallel.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
#[inline]
fn each_round(keys: &mut Chains, mut put: impl FnMut(usize, &[u8; WIDEST * BLOCK])) {
    const GROUPS: usize = WIDEST * BLOCK / VECTOR;
    let rotated = _mm512_set1_epi32(ROTATED);
    let mut state: [_; GROUPS] = core::array::from_fn(|group| _mm512_loadu_si512(&keys.as_chunks().0[group]));
    put(0, keys);
    *keys = [0; _];
    for (round, constant) in (1..).zip(CONSTANTS) {
        let mut octets = [0; WIDEST * BLOCK];
        for (octets, state) in octets.as_chunks_mut().0.iter_mut().zip(&mut state) {
            let mixed =
                _mm512_aesenclast_epi128(_mm512_shuffle_epi8(*state, rotated), _mm512_set1_epi32(constant));
            // Each word is the sum of the words before it.
            let two = _mm512_xor_si512(*state, _mm512_bslli_epi128::<4>(*state));
            *state = _mm512_ternarylogic_epi32::<0x96>(two, _mm512_bslli_epi128::<8>(two), mixed);
            _mm512_storeu_si512(octets, *state);
        }
        put(round, &octets);
    }
}

/// Overwrites round keys with zeros, with vectors: a fill of any length takes longer to begin.
#[target_feature(enable = "avx512f")]
pub(in crate::kernels::x86_64) fn wipe(keys: &mut Schedules) {
    // An optimisation barrier, so that the zeros are written.
    let zeros = core::hint::black_box(_mm512_setzero_si512());
    for to in keys.0.as_flattened_mut().as_chunks_mut::<VECTOR>().0 {
        _mm512_storeu_si512(to, zeros);
    }
    zeroize::optimization_barrier(keys);
}

/// Decrypts one packet into another buffer. `from` is the IV and the ciphertext after it.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
pub(in crate::kernels::x86_64) fn decrypt_into(keys: &InverseKey, from: &[u8], to: &mut [u8]) {
    let keys = load(keys);
    let mut at = 0;
    for to in to.as_chunks_mut::<WIDE>().0 {
        let Some(from) = from.get(at..).and_then(|rest| rest.first_chunk()) else { return };
        sixteen(&keys, from, to);
        at += WIDE;
    }
    let rest = to.len() - at;
    // Decrypt the last 16 blocks as one group that overlaps the previous one: as fast as 8 single
    // blocks, and decrypting a block twice is harmless.
    if rest >= WIDE / 2
        && let (Some(from), Some(to)) = (from.last_chunk(), to.last_chunk_mut())
    {
        sixteen(&keys, from, to);
    } else {
        some(&keys, impossible::part(from, at..), impossible::part_mut(to, at..));
    }
}

/// Decrypts one packet in place. `whole` is the IV and the ciphertext after it.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
pub(in crate::kernels::x86_64) fn decrypt(keys: &InverseKey, whole: &mut [u8]) {
    let keys = load(keys);
    // From the end: each block is then still as it was when the one after it needs it.
    let body_len = whole.len().saturating_sub(BLOCK);
    let mut at = body_len / WIDE * WIDE;
    let mut from = [0; WIDE + BLOCK];
    if let Some(rest) = whole.get_mut(at..)
        && rest.len() > BLOCK
    {
        let (copy, _) = from.split_at_mut(rest.len().min(WIDE + BLOCK));
        copy.copy_from_slice(rest);
        some(&keys, copy, impossible::part_mut(rest, BLOCK..));
    }
    while at >= WIDE {
        at -= WIDE;
        let Some(chunk) = whole.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) else { return };
        from = *chunk;
        let Some(to) = chunk.last_chunk_mut() else { return };
        sixteen(&keys, &from, to);
    }
}

#[target_feature(enable = "vaes,avx512f,avx512bw")]
#[inline]
fn load(keys: &InverseKey) -> [__m512i; ROUND_KEYS] {
    core::array::from_fn(|round| _mm512_broadcast_i32x4(_mm_loadu_si128(&keys.octets[round])))
}

#[target_feature(enable = "vaes,avx512f,avx512bw")]
#[inline]
fn sixteen(keys: &[__m512i; ROUND_KEYS], from: &[u8; WIDE + BLOCK], to: &mut [u8; WIDE]) {
    let vector = |at: usize| match from.get(at..).and_then(|rest| rest.first_chunk::<VECTOR>()) {
        Some(octets) => _mm512_loadu_si512(octets),
        None => _mm512_setzero_si512(),
    };
    let mut state: [_; 4] = core::array::from_fn(|n| _mm512_xor_si512(vector(n * VECTOR + BLOCK), keys[0]));
    for key in &keys[1..ROUND_KEYS - 1] {
        for state in &mut state {
            *state = _mm512_aesdec_epi128(*state, *key);
        }
        // Otherwise the compiler may put all rounds of one vector after those of the others, where
        // it is latency-bound.
        in_order!(zmm_reg: a = state[0], b = state[1], c = state[2], d = state[3]);
    }
    for (n, (to, state)) in to.as_chunks_mut::<VECTOR>().0.iter_mut().zip(state).enumerate() {
        let last = _mm512_aesdeclast_epi128(state, keys[ROUND_KEYS - 1]);
        _mm512_storeu_si512(to, _mm512_xor_si512(last, vector(n * VECTOR)));
    }
}

/// Fewer than sixteen blocks.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
#[inline]
fn some(keys: &[__m512i; ROUND_KEYS], from: &[u8], to: &mut [u8]) {
    let (fours, rest) = to.as_chunks_mut::<VECTOR>();
    let mut at = 0;
    // One after the other: they are independent, and the processor overlaps them.
    for to in fours {
        let Some(from) = from.get(at..).and_then(|rest| rest.first_chunk()) else { return };
        *to = four(keys, from);
        at += VECTOR;
    }
    for to in rest.as_chunks_mut::<BLOCK>().0 {
        let Some(from) = from.get(at..).and_then(|rest| rest.first_chunk()) else { return };
        *to = one(keys, from);
        at += BLOCK;
    }
}

#[target_feature(enable = "vaes,avx512f,avx512bw")]
#[inline]
fn one(keys: &[__m512i; ROUND_KEYS], from: &[u8; 2 * BLOCK]) -> [u8; BLOCK] {
    let (Some(before), Some(block)) = (from.first_chunk::<BLOCK>(), from.last_chunk::<BLOCK>()) else {
        return [0; BLOCK];
    };
    let key = |round: usize| _mm512_castsi512_si128(keys[round]);
    let mut state = _mm_xor_si128(_mm_loadu_si128(block), key(0));
    for round in 1..ROUND_KEYS - 1 {
        state = _mm_aesdec_si128(state, key(round));
    }
    let last = _mm_aesdeclast_si128(state, key(ROUND_KEYS - 1));
    let mut plain = [0; BLOCK];
    _mm_storeu_si128(&mut plain, _mm_xor_si128(last, _mm_loadu_si128(before)));
    plain
}

#[target_feature(enable = "vaes,avx512f,avx512bw")]
#[inline]
fn four(keys: &[__m512i; ROUND_KEYS], from: &[u8; VECTOR + BLOCK]) -> [u8; VECTOR] {
    let (Some(before), Some(blocks)) = (from.first_chunk::<VECTOR>(), from.last_chunk::<VECTOR>()) else {
        return [0; VECTOR];
    };
    let mut state = _mm512_xor_si512(_mm512_loadu_si512(blocks), keys[0]);
    for key in &keys[1..ROUND_KEYS - 1] {
        state = _mm512_aesdec_epi128(state, *key);
    }
    let last = _mm512_aesdeclast_epi128(state, keys[ROUND_KEYS - 1]);
    let mut plain = [0; VECTOR];
    _mm512_storeu_si512(&mut plain, _mm512_xor_si512(last, _mm512_loadu_si512(before)));
    plain
}

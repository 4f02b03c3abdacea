//! VAES: four blocks in a vector.

use core::arch::x86_64::*;

use safe_unaligned_simd::x86_64::{
    _mm_loadu_si128, _mm_storeu_si128, _mm512_loadu_si512, _mm512_storeu_si512,
};

use super::super::words::avx512::across;
use super::{BLOCK, Chains, ROUND_KEYS, RoundKeys, Schedules, WIDEST};

const VECTOR: usize = 64;

/// Enciphers `count` blocks of each of the first `4 * GROUPS` lanes.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
pub(in super::super) fn lanes<const GROUPS: usize>(
    keys: &Schedules,
    chains: &mut Chains,
    data: &mut [&mut [u8]; WIDEST],
    count: usize,
) {
    let (chains, _) = chains.as_chunks_mut::<VECTOR>();
    let mut state: [_; GROUPS] = core::array::from_fn(|group| _mm512_loadu_si512(&chains[group]));
    let step = |state: &mut [__m512i; GROUPS], blocks: [__m512i; GROUPS]| {
        // A barrier: else the compiler puts all blocks of one group before those of the next, to keep the keys of the group
        // in registers. Each then waits for the one before it, and the processor does not see far enough to the others.
        let keys = core::hint::black_box(keys);
        let key = |round: usize, group: usize| match keys[round].as_chunks::<VECTOR>().0.get(group) {
            Some(keys) => _mm512_loadu_si512(keys),
            None => _mm512_setzero_si512(),
        };
        for group in 0..GROUPS {
            state[group] = _mm512_ternarylogic_epi32::<0x96>(state[group], blocks[group], key(0, group));
        }
        for round in 1..ROUND_KEYS - 1 {
            for group in 0..GROUPS {
                state[group] = _mm512_aesenc_epi128(state[group], key(round, group));
            }
        }
        for group in 0..GROUPS {
            state[group] = _mm512_aesenclast_epi128(state[group], key(ROUND_KEYS - 1, group));
        }
    };
    let mut at = 0;
    // Four blocks of four lanes make four vectors, transposed.
    for _ in 0..count / 4 {
        let mut blocks: [[_; 4]; GROUPS] = core::array::from_fn(|group| {
            let [a, b, c, d] = core::array::from_fn(|lane| {
                match data[4 * group + lane].get(at..).and_then(|rest| rest.first_chunk::<VECTOR>()) {
                    Some(octets) => _mm512_loadu_si512(octets),
                    None => _mm512_setzero_si512(),
                }
            });
            across(a, b, c, d)
        });
        // Spelt out: where the compiler makes a loop of it, the blocks leave the registers.
        macro_rules! steps {
            ($($index:literal)*) => {
                $(
                    step(&mut state, core::array::from_fn(|group| blocks[group][$index]));
                    for group in 0..GROUPS {
                        blocks[group][$index] = state[group];
                    }
                )*
            };
        }
        steps!(0 1 2 3);
        for (group, [a, b, c, d]) in blocks.into_iter().enumerate() {
            for (lane, octets) in across(a, b, c, d).into_iter().enumerate() {
                if let Some(to) =
                    data[4 * group + lane].get_mut(at..).and_then(|rest| rest.first_chunk_mut::<VECTOR>())
                {
                    _mm512_storeu_si512(to, octets);
                }
            }
        }
        at += VECTOR;
    }
    for _ in 0..count % 4 {
        let blocks = core::array::from_fn(|group| {
            let mut octets = [0; VECTOR];
            for (lane, to) in octets.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                if let Some(block) = data[4 * group + lane].get(at..).and_then(|rest| rest.first_chunk()) {
                    *to = *block;
                }
            }
            _mm512_loadu_si512(&octets)
        });
        step(&mut state, blocks);
        for (group, state) in state.iter().enumerate() {
            let mut octets = [0; VECTOR];
            _mm512_storeu_si512(&mut octets, *state);
            for (lane, block) in octets.as_chunks::<BLOCK>().0.iter().enumerate() {
                if let Some(to) = data[4 * group + lane].get_mut(at..).and_then(|rest| rest.first_chunk_mut())
                {
                    *to = *block;
                }
            }
        }
        at += BLOCK;
    }
    for (chain, state) in chains.iter_mut().zip(state) {
        _mm512_storeu_si512(chain, state);
    }
}

/// Deciphers one packet into another buffer. `from` is the IV and the cipher text behind it.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
pub(in super::super) fn decrypt_into(keys: &RoundKeys, from: &[u8], to: &mut [u8]) {
    let keys = load(keys);
    let (wide, rest) = to.as_chunks_mut::<{ 4 * VECTOR }>();
    let mut at = 0;
    for to in wide {
        let Some(from) = from.get(at..).and_then(|rest| rest.first_chunk()) else { return };
        sixteen(&keys, from, to);
        at += 4 * VECTOR;
    }
    some(&keys, from.get(at..).unwrap_or_default(), rest);
}

/// Deciphers one packet in place. `whole` is the IV and the cipher text behind it.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
pub(in super::super) fn decrypt(keys: &RoundKeys, whole: &mut [u8]) {
    const WIDE: usize = 4 * VECTOR;
    let keys = load(keys);
    // From the end: each block is then still as it was when the one behind it needs it.
    let body_len = whole.len().saturating_sub(BLOCK);
    let mut at = body_len / WIDE * WIDE;
    let mut from = [0; WIDE + BLOCK];
    if let Some(rest) = whole.get_mut(at..)
        && rest.len() > BLOCK
    {
        let (copy, _) = from.split_at_mut(rest.len().min(WIDE + BLOCK));
        copy.copy_from_slice(rest);
        some(&keys, copy, rest.get_mut(BLOCK..).unwrap_or_default());
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
fn load(keys: &RoundKeys) -> [__m512i; ROUND_KEYS] {
    core::array::from_fn(|round| _mm512_broadcast_i32x4(_mm_loadu_si128(&keys.octets[round])))
}

#[target_feature(enable = "vaes,avx512f,avx512bw")]
#[inline]
fn sixteen(keys: &[__m512i; ROUND_KEYS], from: &[u8; 4 * VECTOR + BLOCK], to: &mut [u8; 4 * VECTOR]) {
    let vector = |at: usize| match from.get(at..).and_then(|rest| rest.first_chunk::<VECTOR>()) {
        Some(octets) => _mm512_loadu_si512(octets),
        None => _mm512_setzero_si512(),
    };
    let mut state: [_; 4] = core::array::from_fn(|n| _mm512_xor_si512(vector(n * VECTOR + BLOCK), keys[0]));
    for key in &keys[1..ROUND_KEYS - 1] {
        for state in &mut state {
            *state = _mm512_aesdec_epi128(*state, *key);
        }
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
    // One after the other: they do not wait for each other.
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

//! AES-NI: what all of these processors have.

use crate::impossible::{part, part_mut};
use core::arch::x86_64::*;

use safe_unaligned_simd::x86_64::{_mm_loadu_si128, _mm_storeu_si128};

use super::schedules::{BLOCK, CONSTANTS, Chains, InverseKey, ROTATED, ROUND_KEYS, Schedules};
use crate::kernels::x86_64::sha_ni as sha1;

type Keys = [__m128i; ROUND_KEYS];

/// The round key after one (FIPS 197 5.2).
#[target_feature(enable = "aes,sse4.1")]
#[inline]
fn next(before: __m128i, constant: i32) -> __m128i {
    // Each word is the sum of the words before it.
    let two = _mm_xor_si128(before, _mm_slli_si128::<4>(before));
    let four = _mm_xor_si128(two, _mm_slli_si128::<8>(two));
    _mm_xor_si128(four, mixed(before, constant))
}

/// The part of a round key that comes from the last word of these, in all words: faster than the
/// instruction for it.
#[target_feature(enable = "aes,sse4.1")]
#[inline]
fn mixed(words: __m128i, constant: i32) -> __m128i {
    _mm_aesenclast_si128(_mm_shuffle_epi8(words, _mm_set1_epi32(ROTATED)), _mm_set1_epi32(constant))
}

/// Expands a key for encryption.
#[target_feature(enable = "aes,sse4.1")]
#[inline]
fn expand(key: &[u8; BLOCK]) -> Keys {
    let mut keys = [_mm_loadu_si128(key); ROUND_KEYS];
    for (round, constant) in (1..).zip(CONSTANTS) {
        keys[round] = next(keys[round - 1], constant);
    }
    keys
}

/// Writes the round keys of a key that encrypts.
#[cfg(feature = "aes-gcm")]
#[target_feature(enable = "aes,sse4.1")]
pub(in crate::kernels::x86_64) fn encrypting(key: &[u8; BLOCK], to: &mut [[u8; BLOCK]; ROUND_KEYS]) {
    for (to, from) in to.iter_mut().zip(expand(key)) {
        _mm_storeu_si128(to, from);
    }
}

/// Gives a lane the round keys of another packet.
#[target_feature(enable = "aes,sse4.1")]
pub(in crate::kernels::x86_64) fn set(keys: &mut Schedules, lane: usize, key: &[u8; BLOCK]) {
    for (round, key) in expand(key).into_iter().enumerate() {
        _mm_storeu_si128(keys.of_mut(round, lane), key);
    }
}

/// Expands the keys of the first eight lanes interleaved: each is latency-bound. Zeros are left
/// where they were.
#[target_feature(enable = "aes,sse4.1")]
pub(in crate::kernels::x86_64) fn expand_eight(keys: &mut Chains, to: &mut Schedules) {
    const LANES: usize = 8;
    let (keys, _) = keys.as_chunks_mut::<BLOCK>();
    let mut state: [_; LANES] = core::array::from_fn(|lane| _mm_loadu_si128(&keys[lane]));
    let mut store = |round: usize, state: &[__m128i; LANES]| {
        for (lane, key) in state.iter().enumerate() {
            _mm_storeu_si128(to.of_mut(round, lane), *key);
        }
    };
    store(0, &state);
    for (round, constant) in (1..).zip(CONSTANTS) {
        for state in &mut state {
            *state = next(*state, constant);
        }
        store(round, &state);
    }
    keys[..LANES].fill([0; BLOCK]);
}

/// Expands a key for decryption with the equivalent inverse cipher (FIPS 197 5.3.5).
#[target_feature(enable = "aes,sse4.1")]
pub(in crate::kernels::x86_64) fn decrypting(key: &[u8; BLOCK]) -> [[u8; BLOCK]; ROUND_KEYS] {
    let mut keys = expand(key);
    keys.reverse();
    let [_, middle @ .., _] = &mut keys;
    for key in middle {
        *key = _mm_aesimc_si128(*key);
    }
    let mut octets = [[0; BLOCK]; ROUND_KEYS];
    for (to, from) in octets.iter_mut().zip(keys) {
        _mm_storeu_si128(to, from);
    }
    octets
}

#[target_feature(enable = "aes,sse4.1")]
#[inline]
fn encrypt(keys: &Keys, block: __m128i) -> __m128i {
    let mut state = _mm_xor_si128(block, keys[0]);
    for key in &keys[1..ROUND_KEYS - 1] {
        state = _mm_aesenc_si128(state, *key);
    }
    _mm_aesenclast_si128(state, keys[ROUND_KEYS - 1])
}

/// Encrypts `count` blocks of each of eight lanes.
#[target_feature(enable = "aes,avx2")]
pub(in crate::kernels::x86_64) fn eight_lanes(
    keys: &Schedules,
    chains: &mut Chains,
    data: &mut [&mut [u8]; 8],
    count: usize,
) {
    const LANES: usize = 8;
    let (chains, _) = chains.as_chunks_mut::<BLOCK>();
    let mut state: [_; LANES] = core::array::from_fn(|lane| _mm_loadu_si128(&chains[lane]));
    for index in 0..count {
        let at = index * BLOCK;
        // Loaded where they are needed: see `eight`.
        let keys = core::hint::black_box(keys);
        let round = |index: usize, lane: usize| _mm_loadu_si128(&keys.0[index].as_chunks::<BLOCK>().0[lane]);
        for lane in 0..LANES {
            if let Some(block) = data[lane].get(at..).and_then(|rest| rest.first_chunk()) {
                state[lane] = _mm_xor_si128(state[lane], _mm_loadu_si128::<[u8; BLOCK]>(block));
            }
            state[lane] = _mm_xor_si128(state[lane], round(0, lane));
        }
        for index in 1..ROUND_KEYS - 1 {
            for lane in 0..LANES {
                state[lane] = _mm_aesenc_si128(state[lane], round(index, lane));
            }
        }
        for lane in 0..LANES {
            state[lane] = _mm_aesenclast_si128(state[lane], round(ROUND_KEYS - 1, lane));
            if let Some(block) = data[lane].get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                _mm_storeu_si128::<[u8; BLOCK]>(block, state[lane]);
            }
        }
    }
    for (chain, state) in chains.iter_mut().zip(state) {
        _mm_storeu_si128(chain, state);
    }
}

#[target_feature(enable = "aes,sse4.1")]
pub(in crate::kernels::x86_64) fn encrypt_chain(key: &[u8; BLOCK], chain: &mut [u8; BLOCK], data: &mut [u8]) {
    let keys = expand(key);
    let mut state = _mm_loadu_si128(chain);
    for block in data.as_chunks_mut::<BLOCK>().0 {
        state = encrypt(&keys, _mm_xor_si128(state, _mm_loadu_si128(block)));
        _mm_storeu_si128(block, state);
    }
    _mm_storeu_si128(chain, state);
}

/// Encrypts one packet and hashes it in the same pass: each is latency-bound, and the processor
/// overlaps them. Returns the state of the hash after the whole blocks of the message.
#[target_feature(enable = "aes,sha,avx2")]
pub(in crate::kernels::x86_64) fn encrypt_and_hash(
    key: &[u8; BLOCK],
    chain: &[u8; BLOCK],
    inner: [u32; 5],
    message: &mut [u8],
    start: usize,
) -> [u32; 5] {
    const HASHED: usize = crate::kernels::BLOCK;
    let keys = expand(key);
    let mut state = [sha1::State::new(inner)];
    let mut chain = _mm_loadu_si128(chain);
    let (mut encrypted, mut hashed) = (start, 0);
    let len = message.len();
    let mut advance = |message: &mut [u8], at: usize| {
        if let Some(block) = message.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<BLOCK>()) {
            chain = encrypt(&keys, _mm_xor_si128(chain, _mm_loadu_si128(block)));
            _mm_storeu_si128(block, chain);
        }
    };
    // The first block of the hash, then four blocks of the cipher for each that is hashed.
    while encrypted < HASHED && encrypted < len {
        advance(message, encrypted);
        encrypted += BLOCK;
    }
    while hashed + HASHED <= len {
        for ahead in 0..HASHED / BLOCK {
            advance(message, encrypted + ahead * BLOCK);
        }
        encrypted += HASHED;
        if let Some(block) = message.get(hashed..).and_then(|rest| rest.first_chunk()) {
            sha1::compress(&mut state, [block]);
        }
        hashed += HASHED;
    }
    let [state] = state;
    state.words()
}

/// Decrypts one packet into another buffer. `from` is the IV and the ciphertext after it.
#[target_feature(enable = "aes,avx2")]
pub(in crate::kernels::x86_64) fn decrypt_into(keys: &InverseKey, from: &[u8], to: &mut [u8]) {
    let blocks = to.as_chunks_mut::<BLOCK>().0;
    for (index, to) in blocks.chunks_mut(8).enumerate() {
        let from = part(from.as_chunks::<BLOCK>().0, index * 8..);
        eight(keys, from, to);
    }
}

/// Decrypts one packet in place. `whole` is the IV and the ciphertext after it.
#[target_feature(enable = "aes,avx2")]
pub(in crate::kernels::x86_64) fn decrypt(keys: &InverseKey, whole: &mut [u8]) {
    let blocks = whole.as_chunks_mut::<BLOCK>().0;
    // From the end: each block is then still as it was when the one after it needs it.
    let mut end = blocks.len();
    while end > 1 {
        let start = end.saturating_sub(9);
        let Some(chunk) = blocks.get_mut(start..end) else { return };
        let mut from = [[0; BLOCK]; 9];
        for (to, block) in from.iter_mut().zip(&*chunk) {
            *to = *block;
        }
        eight(keys, &from, part_mut(chunk, 1..));
        end = start + 1;
    }
}

/// Decrypts up to eight blocks; `from` has one more in front of them.
///
/// The round keys are loaded again for each eight blocks, where they are needed, the first of them
/// once all blocks are there: all of them do not fit the registers, and what does not would be
/// copied to the stack, where nothing wipes it.
#[target_feature(enable = "aes,avx2")]
#[inline]
fn eight(keys: &InverseKey, from: &[[u8; BLOCK]], to: &mut [[u8; BLOCK]]) {
    let zero = _mm_setzero_si128();
    let load = |index: usize| from.get(index).map_or(zero, |block| _mm_loadu_si128(block));
    let mut state: [_; 8] = core::array::from_fn(|n| load(n + 1));
    let keys = core::hint::black_box(keys);
    let key = |round: usize| _mm_loadu_si128(&keys.octets[round]);
    let first = key(0);
    for state in &mut state {
        *state = _mm_xor_si128(*state, first);
    }
    for round in 1..ROUND_KEYS - 1 {
        let key = key(round);
        for state in &mut state {
            *state = _mm_aesdec_si128(*state, key);
        }
    }
    let last = key(ROUND_KEYS - 1);
    for (n, (to, state)) in to.iter_mut().zip(state).enumerate() {
        let plain = _mm_xor_si128(_mm_aesdeclast_si128(state, last), load(n));
        _mm_storeu_si128(to, plain);
    }
}

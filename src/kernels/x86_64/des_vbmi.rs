//! Sixty-four blocks at a time with AVX-512: an S-box is one permutation of octets (VBMI), and the
//! bits between two S-boxes are moved by products of bit matrices (GFNI). One vector holds the same
//! octet of all blocks.

use crate::impossible::{part, part_mut};
use core::arch::x86_64::*;

use safe_unaligned_simd::x86_64::{_mm512_loadu_si512, _mm512_storeu_si512};
use zeroize::optimization_barrier;

use super::simd::avx512::across;
use crate::kernels::des::schedule::{BLOCK, Direction, ROUNDS, STEPS, WIDEST, step_of};
use crate::kernels::des::tables::{block_bit, input_bit, key_bit, substitute};

type V = __m512i;
const VECTOR: usize = 64;
const BOXES: usize = 8;

/// The plane of each S-box's output, and where its four bits begin there. Chosen so that the six
/// inputs of an S-box come from as few planes as there can be: 29 in all.
const PLACES: [(usize, usize); BOXES] = [(0, 0), (1, 0), (0, 4), (1, 4), (2, 0), (3, 0), (2, 4), (3, 4)];

/// Plane and bit of one of the 32 output bits.
const fn place(output: usize) -> (usize, usize) {
    let (plane, shift) = PLACES[output / 4];
    (plane, shift + 3 - output % 4)
}

/// Constants that are loaded as whole vectors.
#[repr(align(64))]
struct Aligned<T>(T);

/// Each S-box, its output where it belongs in its plane.
static SUBSTITUTIONS: Aligned<[[u8; VECTOR]; BOXES]> = Aligned({
    let mut tables = [[0; VECTOR]; BOXES];
    let mut s_box = 0;
    while s_box < BOXES {
        let mut input = 0;
        while input < VECTOR {
            tables[s_box][input] = substitute(s_box, input) << PLACES[s_box].1;
            input += 1;
        }
        s_box += 1;
    }
    tables
});

/// Adds to a matrix of the instruction that output bit `to` has input bit `from` in it.
const fn with(matrix: u64, to: usize, from: usize) -> u64 {
    matrix | 1 << (8 * (7 - to) + from)
}

/// From the planes of a half to the input of each S-box.
const EXPAND: [[u64; 4]; BOXES] = {
    let mut matrices = [[0; 4]; BOXES];
    let mut bit = 0;
    while bit < 6 * BOXES {
        let (plane, from) = place(input_bit(bit));
        let matrix = &mut matrices[bit / 6][plane];
        *matrix = with(*matrix, 5 - bit % 6, from);
        bit += 1;
    }
    matrices
};

/// From the octets of a block to the planes of the left and the right half.
static ENTER: [[[u64; BLOCK]; 4]; 2] = {
    let mut matrices = [[[0; BLOCK]; 4]; 2];
    let mut n = 0;
    while n < 64 {
        let (plane, to) = place(n % 32);
        let bit = block_bit(n / 32, n % 32);
        let matrix = &mut matrices[n / 32][plane][bit / 8];
        *matrix = with(*matrix, to, 7 - bit % 8);
        n += 1;
    }
    matrices
};

/// The way back.
static LEAVE: [[[u64; BLOCK]; 4]; 2] = {
    let mut matrices = [[[0; BLOCK]; 4]; 2];
    let mut n = 0;
    while n < 64 {
        let (plane, from) = place(n % 32);
        let bit = block_bit(n / 32, n % 32);
        let matrix = &mut matrices[n / 32][plane][bit / 8];
        *matrix = with(*matrix, 7 - bit % 8, from);
        n += 1;
    }
    matrices
};

/// From the octets of a key to the keys of a round, by octet, round and S-box.
static SCHEDULE: Aligned<[[[u64; BOXES]; ROUNDS]; BLOCK]> = Aligned({
    let mut matrices = [[[0; BOXES]; ROUNDS]; BLOCK];
    let mut round = 0;
    while round < ROUNDS {
        let mut bit = 0;
        while bit < 6 * BOXES {
            let from = key_bit(round, bit);
            let matrix = &mut matrices[from / 8][round][bit / 6];
            *matrix = with(*matrix, 5 - bit % 6, 7 - from % 8);
            bit += 1;
        }
        round += 1;
    }
    matrices
});

/// Halves of sixty-four blocks, in planes.
type Halves = [[V; 4]; 2];

/// All rounds. `key` returns the part of the round key that a step adds to the input of an S-box.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn rounds([mut left, mut right]: Halves, key: impl Fn(usize, usize) -> V) -> Halves {
    macro_rules! substitute {
        ($to:ident, $from:ident, $step:expr, $($s_box:literal)*) => {
            $(
                let mut input = key($step, $s_box);
                substitute!(@plane input, $from, $s_box, 0);
                substitute!(@plane input, $from, $s_box, 1);
                substitute!(@plane input, $from, $s_box, 2);
                substitute!(@plane input, $from, $s_box, 3);
                let output = _mm512_permutexvar_epi8(input, _mm512_loadu_si512(&SUBSTITUTIONS.0[$s_box]));
                $to[PLACES[$s_box].0] = _mm512_xor_si512($to[PLACES[$s_box].0], output);
            )*
        };
        (@plane $input:ident, $from:ident, $s_box:literal, $plane:literal) => {
            if const { EXPAND[$s_box][$plane] != 0 } {
                $input = _mm512_xor_si512($input, multiply($from[$plane], EXPAND[$s_box][$plane]));
            }
        };
    }
    for stage in 0..3 {
        for round in (0..ROUNDS).step_by(2) {
            let step = stage * ROUNDS + round;
            substitute!(left, right, step, 0 1 2 3 4 5 6 7);
            substitute!(right, left, step + 1, 0 1 2 3 4 5 6 7);
        }
        (left, right) = (right, left);
    }
    [left, right]
}

/// The product of a matrix of bits with every octet.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn multiply(octets: V, matrix: u64) -> V {
    _mm512_gf2p8affine_epi64_epi8::<0>(octets, _mm512_set1_epi64(matrix as i64))
}

/// Eight octets of each of sixty-four blocks to one octet of all blocks each.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn to_planes(blocks: [V; BLOCK]) -> [V; BLOCK] {
    let [a, b, c, d, e, f, g, h] = blocks.map(|blocks| within(blocks));
    let low = |a, b| _mm512_unpacklo_epi64(a, b);
    let high = |a, b| _mm512_unpackhi_epi64(a, b);
    let [p0, p2, p4, p6] = across(low(a, b), low(c, d), low(e, f), low(g, h));
    let [p1, p3, p5, p7] = across(high(a, b), high(c, d), high(e, f), high(g, h));
    [p0, p1, p2, p3, p4, p5, p6, p7]
}

/// The way back.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn to_blocks([a, b, c, d, e, f, g, h]: [V; BLOCK]) -> [V; BLOCK] {
    let low = |a, b| _mm512_unpacklo_epi64(a, b);
    let high = |a, b| _mm512_unpackhi_epi64(a, b);
    let [p0, p2, p4, p6] = across(low(a, b), low(c, d), low(e, f), low(g, h));
    let [p1, p3, p5, p7] = across(high(a, b), high(c, d), high(e, f), high(g, h));
    [p0, p1, p2, p3, p4, p5, p6, p7].map(|octets| within(octets))
}

/// Transposes eight by eight octets.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn within(octets: V) -> V {
    const ORDER: [u8; VECTOR] = {
        let mut order = [0; VECTOR];
        let mut n = 0;
        while n < VECTOR {
            order[n] = (n % BLOCK * BLOCK + n / BLOCK) as u8;
            n += 1;
        }
        order
    };
    _mm512_permutexvar_epi8(_mm512_loadu_si512(&ORDER), octets)
}

/// The halves of blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn enter(blocks: [V; BLOCK]) -> Halves {
    let octets = to_planes(blocks);
    core::array::from_fn(|half| {
        core::array::from_fn(|plane| {
            let mut sum = _mm512_setzero_si512();
            for (octets, matrix) in octets.iter().zip(ENTER[half][plane]) {
                sum = _mm512_xor_si512(sum, multiply(*octets, matrix));
            }
            sum
        })
    })
}

/// The blocks of halves.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn leave(halves: Halves) -> [V; BLOCK] {
    to_blocks(core::array::from_fn(|octet| {
        let mut sum = _mm512_setzero_si512();
        for (planes, matrices) in halves.iter().zip(&LEAVE) {
            for (plane, matrices) in planes.iter().zip(matrices) {
                sum = _mm512_xor_si512(sum, multiply(*plane, matrices[octet]));
            }
        }
        sum
    }))
}

/// Sixty-four blocks, eight in a vector.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn load(blocks: &[u8; WIDEST * BLOCK]) -> [V; BLOCK] {
    let (vectors, _) = blocks.as_chunks::<VECTOR>();
    core::array::from_fn(|n| _mm512_loadu_si512(&vectors[n]))
}

/// The rounds of sixty-four lanes with a key each, for encryption. They wipe themselves. Aligned,
/// or every load of a vector would be two.
#[repr(C, align(64))]
pub(super) struct Lanes {
    rounds: [[[u8; VECTOR]; BOXES]; STEPS],
    keys: [[u8; WIDEST * BLOCK]; 3],
    chains: [[u8; VECTOR]; 2 * 4],
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.rounds.as_flattened_mut().as_flattened_mut().fill(0);
        self.keys.as_flattened_mut().fill(0);
        optimization_barrier(self);
    }
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            rounds: [[[0; VECTOR]; BOXES]; STEPS],
            keys: [[0; WIDEST * BLOCK]; 3],
            chains: [[0; VECTOR]; 8],
        }
    }

    /// A lane has another key, and nothing before its first block.
    pub(super) fn begin(&mut self, lane: usize, key: &[u8; 3 * BLOCK]) {
        for (keys, key) in self.keys.iter_mut().zip(key.as_chunks::<BLOCK>().0) {
            keys.as_chunks_mut::<BLOCK>().0[lane] = *key;
        }
        for plane in &mut self.chains {
            plane[lane] = 0;
        }
    }

    /// Makes the rounds of the keys.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
    pub(super) fn expand(&mut self) {
        for (stage, rounds) in self.rounds.as_chunks_mut::<ROUNDS>().0.iter_mut().enumerate() {
            let planes = to_planes(load(&self.keys[stage]));
            for (step, round) in rounds.iter_mut().enumerate() {
                let (_, number) = step_of(Direction::Encrypt, stage * ROUNDS + step);
                for (s_box, to) in round.iter_mut().enumerate() {
                    let mut sum = _mm512_setzero_si512();
                    for (octets, matrices) in planes.iter().zip(&SCHEDULE.0) {
                        sum = _mm512_xor_si512(sum, multiply(*octets, matrices[number][s_box]));
                    }
                    _mm512_storeu_si512(to, sum);
                }
            }
        }
    }

    /// Encrypts `count` blocks of each lane.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
    pub(super) fn encrypt(&mut self, data: &mut [&mut [u8]; WIDEST], count: usize) {
        let rounds_of = &self.rounds;
        let mut chain: Halves = core::array::from_fn(|half| {
            core::array::from_fn(|plane| _mm512_loadu_si512(&self.chains[4 * half + plane]))
        });
        let mut blocks = [0; WIDEST * BLOCK];
        for index in 0..count {
            let at = index * BLOCK;
            for (to, lane) in blocks.as_chunks_mut::<BLOCK>().0.iter_mut().zip(&*data) {
                if let Some(block) = lane.get(at..).and_then(|rest| rest.first_chunk()) {
                    *to = *block;
                }
            }
            let halves = enter(load(&blocks));
            let mixed = core::array::from_fn(|half| {
                core::array::from_fn(|plane| _mm512_xor_si512(halves[half][plane], chain[half][plane]))
            });
            chain = rounds(mixed, |step, s_box| _mm512_loadu_si512(&rounds_of[step][s_box]));
            for (to, octets) in blocks.as_chunks_mut::<VECTOR>().0.iter_mut().zip(leave(chain)) {
                _mm512_storeu_si512(to, octets);
            }
            for (from, lane) in blocks.as_chunks::<BLOCK>().0.iter().zip(&mut *data) {
                if let Some(block) = lane.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                    *block = *from;
                }
            }
        }
        for (to, plane) in self.chains.iter_mut().zip(chain.as_flattened()) {
            _mm512_storeu_si512(to, *plane);
        }
    }
}

/// The rounds of one key: each octet eight times. They wipe themselves.
struct Shared([[u64; BOXES]; STEPS]);

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.as_flattened_mut().fill(0);
        optimization_barrier(self);
    }
}

impl Shared {
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
    fn new(direction: Direction, key: &[u8; 3 * BLOCK]) -> Self {
        let mut shared = Self([[0; BOXES]; STEPS]);
        let (keys, _) = key.as_chunks::<BLOCK>();
        for (step, to) in shared.0.iter_mut().enumerate() {
            let (key, round) = step_of(direction, step);
            let mut sum = _mm512_setzero_si512();
            for (octet, matrices) in keys[key].iter().zip(&SCHEDULE.0) {
                let product = _mm512_gf2p8affine_epi64_epi8::<0>(
                    _mm512_set1_epi8(*octet as i8),
                    _mm512_loadu_si512(&matrices[round]),
                );
                sum = _mm512_xor_si512(sum, product);
            }
            _mm512_storeu_si512(to, sum);
        }
        shared
    }
}

/// Decrypts one packet into another buffer. `from` is the IV and the ciphertext after it.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
pub(super) fn decrypt_into(key: &[u8; 3 * BLOCK], from: &[u8], to: &mut [u8]) {
    let keys = Shared::new(Direction::Decrypt, key);
    let mut at = 0;
    for to in to.chunks_mut(WIDEST * BLOCK) {
        some(&keys, part(from, at..), to);
        at += WIDEST * BLOCK;
    }
}

/// Decrypts one packet in place. `whole` is the IV and the ciphertext after it.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
pub(super) fn decrypt(key: &[u8; 3 * BLOCK], whole: &mut [u8]) {
    const WIDE: usize = WIDEST * BLOCK;
    let keys = Shared::new(Direction::Decrypt, key);
    // From the end: each block is then still as it was when the one after it needs it.
    let mut end = whole.len();
    while end > BLOCK {
        let start = (end - BLOCK - 1) / WIDE * WIDE;
        let Some(chunk) = whole.get_mut(start..end) else { return };
        let mut from = [0; WIDE + BLOCK];
        if let Some(copy) = from.get_mut(..chunk.len()) {
            copy.copy_from_slice(chunk);
        }
        some(&keys, &from, part_mut(chunk, BLOCK..));
        end = start + BLOCK;
    }
}

/// Decrypts up to sixty-four blocks; `from` has one more in front of them.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn some(keys: &Shared, from: &[u8], to: &mut [u8]) {
    const WIDE: usize = WIDEST * BLOCK;
    let mut copy = [0; WIDE + BLOCK];
    let from = match from.first_chunk() {
        Some(whole) => whole,
        None => {
            if let Some(copy) = copy.get_mut(..from.len()) {
                copy.copy_from_slice(from);
            }
            &copy
        }
    };
    let Some(blocks) = from.last_chunk() else { return };
    let halves = rounds(enter(load(blocks)), |step, s_box| _mm512_set1_epi64(keys.0[step][s_box] as i64));
    let mut plain = [0; WIDE];
    let (before, _) = from.as_chunks::<VECTOR>();
    for ((to, octets), before) in plain.as_chunks_mut::<VECTOR>().0.iter_mut().zip(leave(halves)).zip(before)
    {
        _mm512_storeu_si512(to, _mm512_xor_si512(octets, _mm512_loadu_si512(before)));
    }
    if let Some(plain) = plain.get(..to.len()) {
        to.copy_from_slice(plain);
    }
    plain.fill(0);
    optimization_barrier(&plain);
}

//! Many blocks at a time without any special instruction: a word holds the same bit of as many
//! blocks as it has bits, and the S-boxes are [`super::sbox_circuits`] over such words. All
//! permutations only rename words.

use zeroize::optimization_barrier;

use super::sbox_circuits::{s1, s2, s3, s4, s5, s6, s7, s8};
use super::schedule::{BLOCK, Direction, ROUNDS, STEPS, WIDEST, step_of};
use super::tables::{block_bit, input_bit, key_bit};

/// Both halves, bit by bit, in the order of the S-boxes' outputs.
pub(super) type Halves = [[u64; 32]; 2];

/// The bit of the key that each bit of each round's key is.
static KEY_BITS: [[u8; 48]; ROUNDS] = {
    let mut bits = [[0; 48]; ROUNDS];
    let mut round = 0;
    while round < ROUNDS {
        let mut bit = 0;
        while bit < 48 {
            bits[round][bit] = key_bit(round, bit) as u8;
            bit += 1;
        }
        round += 1;
    }
    bits
};

/// The keys of sixty-four lanes, bit by bit. They wipe themselves.
pub(super) struct Keys([[u64; 64]; 3]);

impl Drop for Keys {
    fn drop(&mut self) {
        self.0 = [[0; 64]; 3];
        optimization_barrier(&self.0);
    }
}

impl Keys {
    /// The same for all lanes.
    pub(super) fn shared(keys: &[u8; 3 * BLOCK]) -> Self {
        let mut shared = Self([[0; 64]; 3]);
        for (words, key) in shared.0.iter_mut().zip(keys.as_chunks::<BLOCK>().0) {
            let key = u64::from_be_bytes(*key);
            for (bit, word) in words.iter_mut().enumerate() {
                *word = 0_u64.wrapping_sub(key >> (63 - bit) & 1);
            }
        }
        shared
    }

    /// One for each lane.
    pub(super) fn of_lanes(keys: &[[u64; WIDEST]; 3]) -> Self {
        let mut own = Self(*keys);
        own.0.iter_mut().for_each(transpose);
        own
    }

    /// Encrypts or decrypts a block in each lane. A chain holds the blocks before these, and
    /// afterwards the blocks before the next.
    #[inline]
    pub(super) fn apply(&self, direction: Direction, blocks: &mut [u64; WIDEST], chain: Option<&mut Halves>) {
        transpose(blocks);
        let mut halves: Halves =
            core::array::from_fn(|half| core::array::from_fn(|output| blocks[BLOCK_BITS[half][output]]));
        if let Some(before) = chain.as_deref() {
            for (half, before) in halves.iter_mut().zip(before) {
                for (word, before) in half.iter_mut().zip(before) {
                    *word ^= before;
                }
            }
        }
        for step in (0..STEPS).step_by(2) {
            let [left, right] = &mut halves;
            self.round(direction, step, left, right);
            self.round(direction, step + 1, right, left);
            if step % ROUNDS == ROUNDS - 2 {
                halves.swap(0, 1);
            }
        }
        if let Some(before) = chain {
            *before = halves;
        }
        for (half, bits) in halves.iter().zip(&BLOCK_BITS) {
            for (word, bit) in half.iter().zip(bits) {
                blocks[*bit] = *word;
            }
        }
        transpose(blocks);
    }

    #[inline(always)]
    fn round(&self, direction: Direction, step: usize, to: &mut [u64; 32], from: &[u64; 32]) {
        let (key, round) = step_of(direction, step);
        let (keys, bits) = (&self.0[key], &KEY_BITS[round]);
        macro_rules! substitute {
            ($($number:literal $s_box:ident)*) => {
                $(
                    let input = core::array::from_fn(|n| {
                        from[INPUT_BITS[6 * $number + n]] ^ keys[bits[6 * $number + n] as usize % 64]
                    });
                    for (n, word) in $s_box(input).into_iter().enumerate() {
                        to[4 * $number + n] ^= word;
                    }
                )*
            };
        }
        substitute!(0 s1 1 s2 2 s3 3 s4 4 s5 5 s6 6 s7 7 s8);
    }
}

const INPUT_BITS: [usize; 48] = {
    let mut bits = [0; 48];
    let mut n = 0;
    while n < 48 {
        bits[n] = input_bit(n);
        n += 1;
    }
    bits
};

const BLOCK_BITS: [[usize; 32]; 2] = {
    let mut bits = [[0; 32]; 2];
    let mut n = 0;
    while n < 64 {
        bits[n / 32][n % 32] = block_bit(n / 32, n % 32);
        n += 1;
    }
    bits
};

/// Sixty-four blocks to sixty-four bits of all blocks each, the highest first; and back.
fn transpose(words: &mut [u64; 64]) {
    let mut width = 32;
    let mut mask = 0xffff_ffff_u64;
    while width > 0 {
        for group in words.chunks_exact_mut(2 * width) {
            let (upper, lower) = group.split_at_mut(width);
            for (upper, lower) in upper.iter_mut().zip(lower) {
                let differ = (*upper ^ (*lower >> width)) & mask;
                *upper ^= differ;
                *lower ^= differ << width;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

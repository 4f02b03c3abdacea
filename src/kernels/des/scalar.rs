//! One block after another, without vectors and without a look-up that depends on a secret: each
//! output bit of an S-box is a constant of 64 bits, rotated by the input. A processor of 32 bits
//! rotates two words by branches; there, it is one of two constants of 32 bits.

use zeroize::optimization_barrier;

use super::schedule::{BLOCK, Direction, ROUNDS, STEPS, step_of};
use super::tables::{P, key_bit, substitute};

const BOXES: usize = 8;

/// The bit of a half that an output bit of an S-box becomes, after P.
const fn end_of(output: usize) -> u32 {
    let mut n = 0;
    while P[n] as usize != output {
        n += 1;
    }
    31 - n as u32
}

/// An output bit of an S-box for all inputs.
const fn truth_of(output: usize) -> u64 {
    let (mut truth, mut input) = (0, 0);
    while input < 64 {
        truth |= ((substitute(output / 4, input) >> (3 - output % 4) & 1) as u64) << input;
        input += 1;
    }
    truth
}

/// Each output bit of each S-box for all inputs, rotated so that an input rotates its bit into
/// place.
#[cfg(any(test, target_pointer_width = "64"))]
const OUTPUTS: [[(u64, u32); 4]; BOXES] = {
    let mut outputs = [[(0, 0); 4]; BOXES];
    let mut output = 0;
    while output < 4 * BOXES {
        let end = end_of(output);
        outputs[output / 4][output % 4] = (truth_of(output).rotate_left(end), 1 << end);
        output += 1;
    }
    outputs
};

/// The same as two words: for the inputs below 32, and for those from 32 on.
#[cfg(any(test, not(target_pointer_width = "64")))]
const HALF_OUTPUTS: [[([u32; 2], u32); 4]; BOXES] = {
    let mut outputs = [[([0; 2], 0); 4]; BOXES];
    let mut output = 0;
    while output < 4 * BOXES {
        let (truth, end) = (truth_of(output), end_of(output));
        let (low, high) = (truth as u32, (truth >> 32) as u32);
        outputs[output / 4][output % 4] = ([low.rotate_left(end), high.rotate_left(end)], 1 << end);
        output += 1;
    }
    outputs
};

/// The bits of the round keys that each bit of a key sets; a round key has six bits in every octet.
static ADDS: [[u64; ROUNDS]; 64] = {
    let mut adds = [[0; ROUNDS]; 64];
    let mut round = 0;
    while round < ROUNDS {
        let mut bit = 0;
        while bit < 6 * BOXES {
            adds[key_bit(round, bit)][round] |= 1 << (8 * (bit / 6) + 5 - bit % 6);
            bit += 1;
        }
        round += 1;
    }
    adds
};

/// The keys of all rounds, in the order of use. They wipe themselves.
pub(super) struct Rounds([u64; STEPS]);

impl Drop for Rounds {
    fn drop(&mut self) {
        self.0 = [0; STEPS];
        optimization_barrier(&self.0);
    }
}

impl Rounds {
    pub(super) fn new(direction: Direction, keys: &[u8; 3 * BLOCK]) -> Self {
        let mut steps = Self([0; STEPS]);
        let mut rounds = [[0_u64; ROUNDS]; 3];
        for (rounds, key) in rounds.iter_mut().zip(keys.as_chunks::<BLOCK>().0) {
            let key = u64::from_be_bytes(*key);
            for (bit, adds) in ADDS.iter().enumerate() {
                let all = mask(key >> (63 - bit));
                for (round, add) in rounds.iter_mut().zip(adds) {
                    *round |= all & add;
                }
            }
        }
        for (step, to) in steps.0.iter_mut().enumerate() {
            let (key, round) = step_of(direction, step);
            *to = rounds[key][round];
        }
        rounds.as_flattened_mut().fill(0);
        optimization_barrier(&rounds);
        steps
    }

    /// Encrypts or decrypts one block.
    #[inline]
    pub(super) fn apply(&self, block: u64) -> u64 {
        let (mut left, mut right) = initial((block >> 32) as u32, block as u32);
        for stage in self.0.as_chunks::<ROUNDS>().0 {
            for [first, second] in stage.as_chunks::<2>().0 {
                left ^= mix(right, *first);
                right ^= mix(left, *second);
            }
            (left, right) = (right, left);
        }
        let (left, right) = last(left, right);
        u64::from(left) << 32 | u64::from(right)
    }
}

/// All bits if the lowest one is set, and none if it is not. For processors of 32 bits, a compiler
/// that could see which of the two it is would make branches of it.
#[inline(always)]
fn mask(bit: u64) -> u64 {
    #[cfg(target_pointer_width = "64")]
    let bit = bit & 1;
    #[cfg(not(target_pointer_width = "64"))]
    let bit = subtle::Choice::from(bit as u8 & 1).unwrap_u8().into();
    0_u64.wrapping_sub(bit)
}

#[cfg(target_pointer_width = "64")]
use mix_words as mix;

#[cfg(not(target_pointer_width = "64"))]
use mix_halves as mix;

/// Six bits of the half, with one on either side, and the round key's. The upper bits are not
/// cleared.
#[inline(always)]
fn input_of(s_box: usize, half: u32, key: u64) -> u32 {
    half.rotate_left(4 * s_box as u32 + 5) ^ (key >> (8 * s_box)) as u32
}

#[cfg(any(test, not(target_pointer_width = "64")))]
#[inline(always)]
fn mix_halves(half: u32, key: u64) -> u32 {
    let mut sum = 0;
    for (s_box, outputs) in HALF_OUTPUTS.iter().enumerate() {
        let input = input_of(s_box, half, key);
        let upper = mask(u64::from(input >> 5)) as u32;
        for ([low, high], place) in outputs {
            let truth = low ^ (low ^ high) & upper;
            sum |= truth.rotate_right(input & 31) & place;
        }
    }
    sum
}

#[cfg(any(test, target_pointer_width = "64"))]
#[inline(always)]
fn mix_words(half: u32, key: u64) -> u32 {
    let mut sum = 0;
    for (s_box, outputs) in OUTPUTS.iter().enumerate() {
        let input = input_of(s_box, half, key);
        for (truth, place) in outputs {
            sum |= truth.rotate_right(input & 63) as u32 & place;
        }
    }
    sum
}

/// The initial permutation as exchanges of bits between two halves.
#[inline(always)]
fn initial(mut left: u32, mut right: u32) -> (u32, u32) {
    exchange(&mut left, &mut right, 4, 0x0f0f_0f0f);
    exchange(&mut left, &mut right, 16, 0x0000_ffff);
    exchange(&mut right, &mut left, 2, 0x3333_3333);
    exchange(&mut right, &mut left, 8, 0x00ff_00ff);
    exchange(&mut left, &mut right, 1, 0x5555_5555);
    (left, right)
}

/// The way back.
#[inline(always)]
fn last(mut left: u32, mut right: u32) -> (u32, u32) {
    exchange(&mut left, &mut right, 1, 0x5555_5555);
    exchange(&mut right, &mut left, 8, 0x00ff_00ff);
    exchange(&mut right, &mut left, 2, 0x3333_3333);
    exchange(&mut left, &mut right, 16, 0x0000_ffff);
    exchange(&mut left, &mut right, 4, 0x0f0f_0f0f);
    (left, right)
}

#[inline(always)]
fn exchange(high: &mut u32, low: &mut u32, distance: u32, mask: u32) {
    let differ = (*high >> distance ^ *low) & mask;
    *low ^= differ;
    *high ^= differ << distance;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn halves_mix_as_words_do(half: u32, key in any::<u64>().prop_map(|key| key & 0x3f3f_3f3f_3f3f_3f3f)) {
            prop_assert_eq!(mix_halves(half, key), mix_words(half, key));
        }
    }

    #[test]
    fn every_input_of_every_s_box_has_the_same_output() {
        for s_box in 0..BOXES {
            for input in 0..64_u64 {
                let key = input << (8 * s_box);
                assert_eq!(mix_halves(0, key), mix_words(0, key), "S-box {s_box}, input {input}");
            }
        }
    }
}

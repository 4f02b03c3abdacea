//! Sixty-four lanes of DES-EDE3 without vectors.

use super::bitslice;
use super::key::Key;
use super::schedule::{BLOCK, Direction, WIDEST};

/// Sixty-four lanes without vectors, with a key each, for encryption. They wipe themselves.
pub(in crate::kernels) struct Lanes {
    keys: [[u64; WIDEST]; 3],
    expanded: Option<bitslice::Keys>,
    chain: bitslice::Halves,
}

impl Lanes {
    pub(in crate::kernels) fn new() -> Self {
        Self { keys: [[0; WIDEST]; 3], expanded: None, chain: [[0; 32]; 2] }
    }

    /// A lane has another key, and nothing before its first block.
    pub(in crate::kernels) fn begin(&mut self, lane: usize, key: &Key) {
        for (keys, key) in self.keys.iter_mut().zip(key.octets().as_chunks::<BLOCK>().0) {
            keys[lane] = u64::from_be_bytes(*key);
        }
        for word in self.chain.as_flattened_mut() {
            *word &= !(1 << (WIDEST - 1 - lane));
        }
    }

    /// Makes the rounds of the keys.
    pub(in crate::kernels) fn expand(&mut self) {
        self.expanded = Some(bitslice::Keys::of_lanes(&self.keys));
    }

    /// Encrypts `count` blocks of each lane.
    pub(in crate::kernels) fn encrypt(&mut self, data: &mut [&mut [u8]; WIDEST], count: usize) {
        let Some(keys) = &self.expanded else { return };
        for index in 0..count {
            let at = index * BLOCK;
            let mut blocks = [0; WIDEST];
            for (block, data) in blocks.iter_mut().zip(&*data) {
                if let Some(octets) = data.get(at..).and_then(|rest| rest.first_chunk()) {
                    *block = u64::from_be_bytes(*octets);
                }
            }
            keys.apply(Direction::Encrypt, &mut blocks, Some(&mut self.chain));
            for (block, data) in blocks.into_iter().zip(&mut *data) {
                if let Some(octets) = data.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                    *octets = block.to_be_bytes();
                }
            }
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.keys.as_flattened_mut().fill(0);
        zeroize::optimization_barrier(&self.keys);
    }
}

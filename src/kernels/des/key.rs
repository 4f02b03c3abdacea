//! The keys of DES-EDE3, and one packet.

use super::schedule::{BLOCK, Direction, FEW, WIDEST};
use super::{bitslice, scalar};
use crate::impossible::part;
use crate::kernels::Vectors;
use crate::kernels::x86_64::Vbmi;

/// The three keys as they are. They wipe themselves.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(crate) struct Key {
    octets: [u8; 3 * BLOCK],
    /// The machine has VBMI and GFNI.
    #[zeroize(skip)]
    vbmi: Option<Vbmi>,
}

impl Key {
    pub(crate) fn new(vectors: Option<Vectors>, octets: &[u8; 3 * BLOCK]) -> Self {
        Self { octets: *octets, vbmi: vectors.and_then(Vbmi::of) }
    }

    /// Fewer packets than this are faster one after the other than in lanes.
    pub(crate) const fn fewest_together(&self) -> usize {
        if self.vbmi.is_some() { 2 } else { FEW }
    }

    #[allow(dead_code, reason = "only vectors read them")]
    #[inline]
    pub(in crate::kernels) fn octets(&self) -> &[u8; 3 * BLOCK] {
        &self.octets
    }

    /// Encrypts one packet after the block before it.
    pub(crate) fn encrypt(&self, chain: &mut [u8; BLOCK], data: &mut [u8]) {
        let rounds = scalar::Rounds::new(Direction::Encrypt, &self.octets);
        let mut state = u64::from_be_bytes(*chain);
        for block in data.as_chunks_mut::<BLOCK>().0 {
            state = rounds.apply(state ^ u64::from_be_bytes(*block));
            *block = state.to_be_bytes();
        }
        *chain = state.to_be_bytes();
    }

    /// Decrypts one packet into another buffer. `from` is the IV and the ciphertext after it.
    pub(crate) fn decrypt_into(&self, from: &[u8], to: &mut [u8]) {
        if let Some(vbmi) = self.vbmi {
            return vbmi.decrypt_into(&self.octets, from, to);
        }
        let (from, _) = from.as_chunks::<BLOCK>();
        let mut plain = Decrypting::new(self, to.len() / BLOCK);
        let mut at = 0;
        for to in to.as_chunks_mut::<BLOCK>().0.chunks_mut(WIDEST) {
            plain.decrypt(part(from, at..), to.len());
            for (to, from) in to.iter_mut().zip(&plain.blocks) {
                *to = from.to_be_bytes();
            }
            at += WIDEST;
        }
    }

    /// Decrypts one packet in place. `whole` is the IV and the ciphertext after it.
    pub(crate) fn decrypt(&self, whole: &mut [u8]) {
        if let Some(vbmi) = self.vbmi {
            return vbmi.decrypt(&self.octets, whole);
        }
        let (blocks, _) = whole.as_chunks_mut::<BLOCK>();
        let mut plain = Decrypting::new(self, blocks.len().saturating_sub(1));
        // From the end: each block is then still as it was when the one after it needs it.
        let mut end = blocks.len();
        while end > 1 {
            let start = (end - 2) / WIDEST * WIDEST;
            let Some(chunk) = blocks.get_mut(start..end) else { return };
            plain.decrypt(chunk, end - start - 1);
            for (to, from) in chunk.iter_mut().skip(1).zip(&plain.blocks) {
                *to = from.to_be_bytes();
            }
            end = start + 1;
        }
    }
}

/// Up to sixty-four blocks of a packet that is decrypted without vectors.
struct Decrypting {
    keys: PortableKeys,
    blocks: [u64; WIDEST],
}

#[allow(clippy::large_enum_variant, reason = "there is one for the time of a packet")]
enum PortableKeys {
    Scalar(scalar::Rounds),
    Bits(bitslice::Keys),
}

impl Decrypting {
    fn new(key: &Key, blocks: usize) -> Self {
        let keys = if blocks < FEW {
            PortableKeys::Scalar(scalar::Rounds::new(Direction::Decrypt, &key.octets))
        } else {
            PortableKeys::Bits(bitslice::Keys::shared(&key.octets))
        };
        Self { keys, blocks: [0; WIDEST] }
    }

    /// Decrypts the blocks after the first of these.
    fn decrypt(&mut self, from: &[[u8; BLOCK]], count: usize) {
        let cipher_text = part(from, 1..);
        for (block, from) in self.blocks.iter_mut().zip(cipher_text).take(count) {
            *block = u64::from_be_bytes(*from);
        }
        match &self.keys {
            PortableKeys::Scalar(rounds) => {
                for block in self.blocks.iter_mut().take(count) {
                    *block = rounds.apply(*block);
                }
            }
            PortableKeys::Bits(keys) => keys.apply(Direction::Decrypt, &mut self.blocks, None),
        }
        for (block, before) in self.blocks.iter_mut().zip(from).take(count) {
            *block ^= u64::from_be_bytes(*before);
        }
    }
}

impl Drop for Decrypting {
    fn drop(&mut self) {
        self.blocks.fill(0);
        zeroize::optimization_barrier(&self.blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circuits_are_the_s_boxes() {
        use super::super::sbox_circuits::{s1, s2, s3, s4, s5, s6, s7, s8};
        let circuits: [fn([u64; 6]) -> [u64; 4]; 8] = [s1, s2, s3, s4, s5, s6, s7, s8];
        for (s_box, circuit) in circuits.into_iter().enumerate() {
            for input in 0..64 {
                let words = core::array::from_fn(|n| 0_u64.wrapping_sub(input as u64 >> (5 - n) & 1));
                let output = circuit(words).into_iter().fold(0, |sum, word| sum << 1 | (word & 1) as u8);
                assert_eq!(
                    output,
                    super::super::tables::substitute(s_box, input),
                    "S{} of {input}",
                    s_box + 1
                );
            }
        }
    }

    #[test]
    fn every_way_gives_the_blocks_of_another_implementation() {
        use cbc::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
        let octets = |n: usize, with: usize| (((n + 7 * with + 1) * 2_654_435_761) >> 5) as u8;
        for with in 0..50 {
            let key: [u8; 24] = core::array::from_fn(|n| octets(n, with));
            let crates = ::des::TdesEde3::new((&key).into());
            let block: [u8; 8] = core::array::from_fn(|n| octets(n + 24, with));
            let (mut sealed, mut opened) = (block, block);
            crates.encrypt_block((&mut sealed).into());
            crates.decrypt_block((&mut opened).into());
            let number = u64::from_be_bytes(block);
            for (direction, expected) in [(Direction::Encrypt, sealed), (Direction::Decrypt, opened)] {
                let expected = u64::from_be_bytes(expected);
                assert_eq!(scalar::Rounds::new(direction, &key).apply(number), expected);
                let mut blocks = [number; WIDEST];
                bitslice::Keys::shared(&key).apply(direction, &mut blocks, None);
                assert_eq!(blocks, [expected; WIDEST]);
            }
        }
    }
}

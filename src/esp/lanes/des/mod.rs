//! DES-EDE3 in CBC (RFC 2451) without a look-up that depends on a secret: S-boxes as permutations in registers, as circuits
//! over bits, or as rotations of constants.

mod bits;
mod circuits;
mod scalar;
mod standard;
#[cfg(target_arch = "x86_64")]
pub(super) mod vbmi;

use super::backend::Backend;
#[cfg(target_arch = "x86_64")]
use super::backend::Kind;
use crate::impossible::part;

/// Octets of a block.
pub(super) const BLOCK: usize = 8;
/// The most lanes that there are.
pub(super) const WIDEST: usize = 64;
const ROUNDS: usize = 16;

/// The three keys as they are. They wipe themselves.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(in crate::esp) struct Key {
    octets: [u8; 3 * BLOCK],
    /// Whether there are VBMI and GFNI.
    #[zeroize(skip)]
    wide: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// The rounds of all three keys, in the order in which they are gone through.
const STEPS: usize = 3 * ROUNDS;

/// Which key and which of its rounds each step takes. Enciphering goes through the second key backwards, deciphering
/// through the others, and begins with the last.
const fn step_of(direction: Direction, step: usize) -> (usize, usize) {
    let (stage, round) = (step / ROUNDS, step % ROUNDS);
    match direction {
        Direction::Encrypt => (stage, if stage == 1 { ROUNDS - 1 - round } else { round }),
        Direction::Decrypt => (2 - stage, if stage == 1 { round } else { ROUNDS - 1 - round }),
    }
}

#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl Key {
    pub(in crate::esp) fn new(backend: Backend, octets: &[u8; 3 * BLOCK]) -> Self {
        #[cfg(target_arch = "x86_64")]
        let wide = backend.kind() == Kind::Avx512;
        #[cfg(not(target_arch = "x86_64"))]
        let wide = backend != Backend::PORTABLE;
        Self { octets: *octets, wide }
    }

    /// Fewer packets than this are enciphered sooner one after the other than in lanes.
    pub(in crate::esp) const fn fewest_together(&self) -> usize {
        if self.wide { 2 } else { FEW }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) fn octets(&self) -> &[u8; 3 * BLOCK] {
        &self.octets
    }

    /// Enciphers one packet with what is before it.
    pub(in crate::esp) fn encrypt(&self, chain: &mut [u8; BLOCK], data: &mut [u8]) {
        let rounds = scalar::Rounds::new(Direction::Encrypt, &self.octets);
        let mut state = u64::from_be_bytes(*chain);
        for block in data.as_chunks_mut::<BLOCK>().0 {
            state = rounds.apply(state ^ u64::from_be_bytes(*block));
            *block = state.to_be_bytes();
        }
        *chain = state.to_be_bytes();
    }

    /// Deciphers one packet into another buffer. `from` is the IV and the cipher text behind it.
    pub(in crate::esp) fn decrypt_into(&self, from: &[u8], to: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if self.wide {
            // SAFETY: the backend said that the machine has VBMI and GFNI.
            return unsafe { vbmi::decrypt_into(&self.octets, from, to) };
        }
        let (from, _) = from.as_chunks::<BLOCK>();
        let mut plain = Deciphering::new(self, to.len() / BLOCK);
        let mut at = 0;
        for to in to.as_chunks_mut::<BLOCK>().0.chunks_mut(WIDEST) {
            plain.decipher(part(from, at..), to.len());
            for (to, from) in to.iter_mut().zip(&plain.blocks) {
                *to = from.to_be_bytes();
            }
            at += WIDEST;
        }
    }

    /// Deciphers one packet in place. `whole` is the IV and the cipher text behind it.
    pub(in crate::esp) fn decrypt(&self, whole: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if self.wide {
            // SAFETY: the backend said that the machine has VBMI and GFNI.
            return unsafe { vbmi::decrypt(&self.octets, whole) };
        }
        let (blocks, _) = whole.as_chunks_mut::<BLOCK>();
        let mut plain = Deciphering::new(self, blocks.len().saturating_sub(1));
        // From the end: each block is then still as it was when the one behind it needs it.
        let mut end = blocks.len();
        while end > 1 {
            let start = (end - 2) / WIDEST * WIDEST;
            let Some(chunk) = blocks.get_mut(start..end) else { return };
            plain.decipher(chunk, end - start - 1);
            for (to, from) in chunk.iter_mut().skip(1).zip(&plain.blocks) {
                *to = from.to_be_bytes();
            }
            end = start + 1;
        }
    }
}

/// Up to sixty-four blocks of a packet that is deciphered without vectors.
struct Deciphering {
    keys: PortableKeys,
    blocks: [u64; WIDEST],
}

#[allow(clippy::large_enum_variant, reason = "there is one for the time of a packet")]
enum PortableKeys {
    Scalar(scalar::Rounds),
    Bits(bits::Keys),
}

/// Fewer blocks than this are done one after the other sooner than all lanes at once.
pub(super) const FEW: usize = 6;

impl Deciphering {
    fn new(key: &Key, blocks: usize) -> Self {
        let keys = if blocks < FEW {
            PortableKeys::Scalar(scalar::Rounds::new(Direction::Decrypt, &key.octets))
        } else {
            PortableKeys::Bits(bits::Keys::shared(&key.octets))
        };
        Self { keys, blocks: [0; WIDEST] }
    }

    /// Deciphers the blocks behind the first of these.
    fn decipher(&mut self, from: &[[u8; BLOCK]], count: usize) {
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

impl Drop for Deciphering {
    fn drop(&mut self) {
        self.blocks.fill(0);
        zeroize::optimization_barrier(&self.blocks);
    }
}

/// Sixty-four lanes without vectors, with a key each, for enciphering. They wipe themselves.
pub(super) struct Lanes {
    keys: [[u64; WIDEST]; 3],
    expanded: Option<bits::Keys>,
    chain: bits::Halves,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { keys: [[0; WIDEST]; 3], expanded: None, chain: [[0; 32]; 2] }
    }

    /// A lane has another key, and nothing before its first block.
    pub(super) fn begin(&mut self, lane: usize, key: &Key) {
        for (keys, key) in self.keys.iter_mut().zip(key.octets.as_chunks::<BLOCK>().0) {
            keys[lane] = u64::from_be_bytes(*key);
        }
        for word in self.chain.as_flattened_mut() {
            *word &= !(1 << (WIDEST - 1 - lane));
        }
    }

    /// Makes the rounds of the keys.
    pub(super) fn expand(&mut self) {
        self.expanded = Some(bits::Keys::of_lanes(&self.keys));
    }

    /// Enciphers `count` blocks of each lane.
    pub(super) fn encrypt(&mut self, data: &mut [&mut [u8]; WIDEST], count: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circuits_are_the_s_boxes() {
        use circuits::{s1, s2, s3, s4, s5, s6, s7, s8};
        let circuits: [fn([u64; 6]) -> [u64; 4]; 8] = [s1, s2, s3, s4, s5, s6, s7, s8];
        for (s_box, circuit) in circuits.into_iter().enumerate() {
            for input in 0..64 {
                let words = core::array::from_fn(|n| 0_u64.wrapping_sub(input as u64 >> (5 - n) & 1));
                let output = circuit(words).into_iter().fold(0, |sum, word| sum << 1 | (word & 1) as u8);
                assert_eq!(output, standard::substitute(s_box, input), "S{} of {input}", s_box + 1);
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
                bits::Keys::shared(&key).apply(direction, &mut blocks, None);
                assert_eq!(blocks, [expected; WIDEST]);
            }
        }
    }
}

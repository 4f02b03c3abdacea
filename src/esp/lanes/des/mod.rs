//! DES-EDE3 in CBC (RFC 2451) without a look-up that depends on a secret: S-boxes as permutations in registers, as circuits
//! over bits, or as rotations of constants.

mod scalar;
mod standard;
#[cfg(target_arch = "x86_64")]
pub(super) mod vbmi;

use super::backend::{Backend, Kind};

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
        let wide = false;
        Self { octets: *octets, wide }
    }

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
        let rounds = scalar::Rounds::new(Direction::Decrypt, &self.octets);
        let (from, _) = from.as_chunks::<BLOCK>();
        let pairs = from.iter().zip(from.get(1..).unwrap_or_default());
        for (to, (before, block)) in to.as_chunks_mut::<BLOCK>().0.iter_mut().zip(pairs) {
            let plain = rounds.apply(u64::from_be_bytes(*block)) ^ u64::from_be_bytes(*before);
            *to = plain.to_be_bytes();
        }
    }

    /// Deciphers one packet in place. `whole` is the IV and the cipher text behind it.
    pub(in crate::esp) fn decrypt(&self, whole: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if self.wide {
            // SAFETY: the backend said that the machine has VBMI and GFNI.
            return unsafe { vbmi::decrypt(&self.octets, whole) };
        }
        let rounds = scalar::Rounds::new(Direction::Decrypt, &self.octets);
        let Some((iv, body)) = whole.split_first_chunk_mut::<BLOCK>() else { return };
        let mut before = u64::from_be_bytes(*iv);
        for block in body.as_chunks_mut::<BLOCK>().0 {
            let cipher_text = u64::from_be_bytes(*block);
            *block = (rounds.apply(cipher_text) ^ before).to_be_bytes();
            before = cipher_text;
        }
    }
}

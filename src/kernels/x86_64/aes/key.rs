//! The keys of AES-128 for one packet.

use super::schedules::{BLOCK, InverseKey};
#[cfg(test)]
use super::schedules::{Chains, Schedules};
use super::{ni, vaes};
use crate::kernels::x86_64::detect::Vectors;

/// A key that encrypts with the processor's instructions. It wipes itself.
///
/// Its round keys are expanded per packet: CBC encryption is latency-bound anyway, and an SA is
/// half as large without them.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(crate) struct Key([u8; BLOCK]);

#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl Key {
    /// Vectors of either kind are a proof that the machine has AES-NI and SHA-NI.
    pub(crate) const fn new(_: Vectors, key: &[u8; BLOCK]) -> Self {
        Self(*key)
    }

    #[inline]
    pub(in crate::kernels::x86_64) const fn octets(&self) -> &[u8; BLOCK] {
        &self.0
    }

    /// Encrypts one packet after the block before it.
    pub(crate) fn encrypt(&self, chain: &mut [u8; BLOCK], data: &mut [u8]) {
        // SAFETY: there is a key only where the machine has AES-NI.
        unsafe { ni::encrypt_chain(&self.0, chain, data) }
    }

    /// Encrypts a message from `start` on, after the block before it, while SHA-1 absorbs its whole
    /// blocks.
    #[inline]
    pub(crate) fn encrypt_and_hash(
        &self,
        chain: &[u8; BLOCK],
        inner: [u32; 5],
        message: &mut [u8],
        start: usize,
    ) -> [u32; 5] {
        // SAFETY: there is a key only where the machine has AES-NI and SHA-NI.
        unsafe { ni::encrypt_and_hash(&self.0, chain, inner, message, start) }
    }
}

#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl InverseKey {
    pub(crate) fn new(vectors: Vectors, key: &[u8; BLOCK]) -> Self {
        // SAFETY: vectors of either kind are a proof that the machine has AES-NI.
        let octets = unsafe { ni::decrypting(key) };
        Self { octets, wide: vectors.has_avx512() }
    }

    /// Decrypts one packet into another buffer. `from` is the IV and the ciphertext after it.
    #[inline]
    pub(crate) fn decrypt_into(&self, from: &[u8], to: &mut [u8]) {
        // SAFETY: where there are round keys, there is AES-NI; where they are wide, there is VAES.
        unsafe {
            if self.wide { vaes::decrypt_into(self, from, to) } else { ni::decrypt_into(self, from, to) }
        }
    }

    /// Decrypts one packet in place. `whole` is the IV and the ciphertext after it.
    #[inline]
    pub(crate) fn decrypt(&self, whole: &mut [u8]) {
        // SAFETY: where there are round keys, there is AES-NI; where they are wide, there is VAES.
        unsafe { if self.wide { vaes::decrypt(self, whole) } else { ni::decrypt(self, whole) } }
    }
}

#[cfg(test)]
mod tests {
    use core::mem::MaybeUninit;

    use super::*;
    use crate::kernels::x86_64::detect::Kind;

    #[test]
    #[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
    fn keys_that_are_expanded_together_are_those_that_are_expanded_alone() {
        let keys: Chains = core::array::from_fn(|n| (n * n * 7 + n * 31) as u8);
        let expected = |lanes: usize| {
            let mut expected = Schedules::new();
            for (lane, key) in keys.as_chunks().0.iter().enumerate().take(lanes) {
                // SAFETY: called only where the machine has vectors, and so AES-NI.
                unsafe { ni::set(&mut expected, lane, key) };
            }
            expected
        };
        for vectors in Vectors::available() {
            let (mut first, mut again) = (keys, keys);
            match vectors.kind() {
                Kind::Avx2 => {
                    let mut together = Schedules::new();
                    // SAFETY: the machine has these vectors.
                    unsafe { ni::expand_eight(&mut first, &mut together) };
                    assert_eq!(together.0, expected(8).0);
                    assert_eq!((first[..128].iter().max(), &first[128..]), (Some(&0), &keys[128..]));
                }
                Kind::Avx512 { .. } => {
                    let mut room = MaybeUninit::uninit();
                    // SAFETY: the machine has these vectors.
                    let together = unsafe { vaes::expand(&mut first, &mut room) };
                    assert_eq!((together.0, first), (expected(16).0, [0; _]));
                    // SAFETY: as above.
                    unsafe { vaes::wipe(together) };
                    assert_eq!(together.0, Schedules::new().0);
                    // SAFETY: as above.
                    unsafe { vaes::expand_again(&mut again, together) };
                    assert_eq!((together.0, again), (expected(16).0, [0; _]));
                }
            }
        }
    }
}

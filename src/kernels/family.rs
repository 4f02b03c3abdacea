//! MD5 and SHA-1 as HMAC needs them: initial states, compression, and the order of octets.

use super::{BLOCK, HMAC_96};

/// A hash of the MD family with `N` words of state.
pub(crate) trait Hash<const N: usize> {
    const INITIAL: [u32; N];

    fn compress(state: &mut [u32; N], blocks: &[[u8; BLOCK]]);

    /// A word of the digest in the hash's order of octets.
    fn octets(word: u32) -> [u8; 4];

    /// The message's length in bits, in the hash's order of octets.
    fn length(bits: u64) -> [u8; 8];

    fn after(mut state: [u32; N], blocks: &[[u8; BLOCK]]) -> [u32; N] {
        Self::compress(&mut state, blocks);
        state
    }

    /// The octets of a digest, as many as it has.
    #[inline]
    fn digest(words: [u32; N]) -> [u8; 20] {
        let mut octets = [0; 20];
        for (to, word) in octets.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = Self::octets(word);
        }
        octets
    }

    /// The first 96 bits of an HMAC.
    #[inline]
    fn hmac_96(hmac: [u32; N]) -> [u8; HMAC_96] {
        let mut octets = [0; HMAC_96];
        for (to, word) in octets.as_chunks_mut::<4>().0.iter_mut().zip(hmac) {
            *to = Self::octets(word);
        }
        octets
    }

    fn words(state: [u32; N]) -> [u32; 5] {
        let mut words = [0; 5];
        words.iter_mut().zip(state).for_each(|(to, from)| *to = from);
        words
    }
}

#[cfg(feature = "hmac-md5-96")]
pub(crate) struct Md5;
pub(crate) struct Sha1;

#[cfg(feature = "hmac-md5-96")]
impl Hash<4> for Md5 {
    const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

    fn compress(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
        md5::block_api::compress(state, blocks);
    }

    fn octets(word: u32) -> [u8; 4] {
        word.to_le_bytes()
    }

    fn length(bits: u64) -> [u8; 8] {
        bits.to_le_bytes()
    }
}

impl Hash<5> for Sha1 {
    const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

    fn compress(state: &mut [u32; 5], blocks: &[[u8; BLOCK]]) {
        sha1::block_api::compress(state, blocks);
    }

    fn octets(word: u32) -> [u8; 4] {
        word.to_be_bytes()
    }

    fn length(bits: u64) -> [u8; 8] {
        bits.to_be_bytes()
    }
}

//! Integrity check values: HMAC with its key absorbed once, and the proof that one was verified.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::lanes::AesKey;
use crate::algorithm::Integrity;
use crate::impossible::part;
use crate::key::SaKeys;

/// Octets of every ICV of today.
pub(super) const ICV: usize = 12;
const BLOCK: usize = 64;
const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

/// The proof that a packet's ICV was right. Only a comparison makes one, and nothing moves a replay window
/// without it.
#[derive(Debug)]
pub(crate) struct Authentic(());

impl Authentic {
    /// Compares in constant time.
    #[inline]
    pub(super) fn compare(found: &[u8; ICV], made: &[u8; ICV]) -> Option<Self> {
        // As two numbers each: twelve octets one by one take longer than all other checks of a packet.
        let halves = |icv: &[u8; ICV]| {
            let [a, b, c, d, e, f, g, h, i, j, k, l] = *icv;
            (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u32::from_ne_bytes([i, j, k, l]))
        };
        let ((first, second), (made_first, made_second)) = (halves(found), halves(made));
        let difference = (first ^ made_first) | u64::from(second ^ made_second);
        bool::from(difference.ct_eq(&0)).then_some(Self(()))
    }
}

/// HMAC (RFC 2104) with the states of both hashes after the key's block: the key costs nothing per packet, and a
/// packet costs no more compressions than its length needs.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Mac {
    #[zeroize(skip)]
    integrity: Integrity,
    /// MD5 uses the first four words.
    inner: [u32; 5],
    outer: [u32; 5],
}

impl Mac {
    pub(super) fn new(keys: &SaKeys) -> Self {
        Self::with_key(keys.suite().integrity(), keys.expose_integrity())
    }

    /// The key is at most a block long.
    fn with_key(integrity: Integrity, key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        for (octet, key) in block.iter_mut().zip(key) {
            *octet = *key;
        }
        let mut absorb = |pad: u8| {
            block.iter_mut().for_each(|octet| *octet ^= pad);
            let blocks = core::slice::from_ref(&block);
            let state = match integrity {
                Integrity::HmacMd5_96 => Md5::words(Md5::after(Md5::INITIAL, blocks)),
                Integrity::HmacSha1_96 => Sha1::words(Sha1::after(Sha1::INITIAL, blocks)),
            };
            block.iter_mut().for_each(|octet| *octet ^= pad);
            state
        };
        let mac = Self { integrity, inner: absorb(INNER_PAD), outer: absorb(OUTER_PAD) };
        block.zeroize();
        mac
    }

    /// The state of the inner hash after its key. MD5 has the first four words.
    #[inline]
    pub(super) const fn inner(&self) -> &[u32; 5] {
        &self.inner
    }

    /// The state of the outer hash after its key.
    #[inline]
    pub(super) const fn outer(&self) -> &[u32; 5] {
        &self.outer
    }

    pub(super) const fn integrity(&self) -> Integrity {
        self.integrity
    }

    /// The ICV of a message: the first 96 bits of its HMAC.
    pub(super) fn icv(&self, message: &[u8]) -> [u8; ICV] {
        match self.integrity {
            Integrity::HmacMd5_96 => {
                let ([a, b, c, d, _], [e, f, g, h, _]) = (self.inner, self.outer);
                hmac::<Md5, 4>([a, b, c, d], [e, f, g, h], message)
            }
            Integrity::HmacSha1_96 => hmac::<Sha1, 5>(self.inner, self.outer, message),
        }
    }

    /// [`Mac::icv`] of a message that is still being made: `ready(message, octets)` returns when so many octets from its
    /// start are as they will be. The hash asks for the next block before it takes up the one before it: to a processor
    /// that looks ahead, making the one and hashing the other are independent.
    #[inline]
    pub(super) fn icv_while(&self, message: &mut [u8], mut ready: impl FnMut(&mut [u8], usize)) -> [u8; ICV] {
        if self.integrity != Integrity::HmacSha1_96 {
            ready(message, message.len());
            return self.icv(message);
        }
        let mut state = self.inner;
        let len = message.len();
        ready(message, BLOCK.min(len));
        for start in (0..len / BLOCK).map(|block| block * BLOCK) {
            ready(message, (start + 2 * BLOCK).min(len));
            if let Some(block) = message.get(start..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
                Sha1::compress(&mut state, core::slice::from_ref(block));
            }
        }
        let rest = part(message, len / BLOCK * BLOCK..);
        outer::<Sha1, 5>(finish::<Sha1, 5>(state, rest, len), self.outer)
    }

    /// [`Mac::icv`] of a message that AES enciphers from `start` on meanwhile; `None` and nothing done if the hash is not
    /// SHA-1.
    #[inline]
    pub(super) fn beside_aes(
        &self,
        key: &AesKey,
        before: &[u8; 16],
        message: &mut [u8],
        start: usize,
    ) -> Option<[u8; ICV]> {
        if self.integrity != Integrity::HmacSha1_96 {
            return None;
        }
        let state = key.encrypt_and_hash(before, self.inner, message, start);
        let rest = part(message, message.len() / BLOCK * BLOCK..);
        Some(outer::<Sha1, 5>(finish::<Sha1, 5>(state, rest, message.len()), self.outer))
    }

    /// Compares in constant time.
    pub(super) fn verify(&self, message: &[u8], icv: &[u8; ICV]) -> Option<Authentic> {
        Authentic::compare(icv, &self.icv(message))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({}, ..)", self.integrity.token())
    }
}

/// A hash of the MD family with `N` words of state.
pub(super) trait Hash<const N: usize> {
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

    /// What stands in packets of an HMAC: its first octets.
    #[inline]
    fn icv(hmac: [u32; N]) -> [u8; ICV] {
        let mut icv = [0; ICV];
        for (to, word) in icv.as_chunks_mut::<4>().0.iter_mut().zip(hmac) {
            *to = Self::octets(word);
        }
        icv
    }

    fn words(state: [u32; N]) -> [u32; 5] {
        let mut words = [0; 5];
        words.iter_mut().zip(state).for_each(|(to, from)| *to = from);
        words
    }
}

/// What a message ends in, less than a block of it and the padding: one block or two. The first block here is neither: the
/// last octets are copied as a whole block, and what is not needed of it falls there.
#[repr(align(64))]
pub(super) struct End([[u8; BLOCK]; 3]);

impl End {
    pub(super) const EMPTY: Self = Self([[0; BLOCK]; 3]);
    /// What stands behind the last octet.
    pub(super) const MARK: u8 = 0x80;
    /// Octets of the message's length.
    const LENGTH: usize = 8;

    /// How many blocks it is, with so many octets that do not fill one.
    #[inline]
    pub(super) const fn count(rest_len: usize) -> usize {
        if rest_len + 1 + Self::LENGTH <= BLOCK { 1 } else { 2 }
    }

    /// How many bits a message of so many octets is, with the key's block in front of it.
    #[inline]
    pub(super) const fn bits(len: usize) -> u64 {
        8 * (BLOCK as u64 + len as u64)
    }

    /// That of two blocks; the second may not be needed.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) const fn of([first, second]: [[u8; BLOCK]; 2]) -> Self {
        Self([first, first, second])
    }

    /// Writes the end of a message of `len` octets, the last of which are given: a block of them, if there is one. Returns
    /// its blocks.
    #[inline]
    pub(super) fn write<H: Hash<N>, const N: usize>(&mut self, last: &[u8], len: usize) -> &[[u8; BLOCK]] {
        let rest_len = last.len() % BLOCK;
        let blocks = Self::count(rest_len);
        let [_, first, second] = &mut self.0;
        // All of it first, as a whole: how many zeros there are is then no matter.
        (*first, *second) = ([0; BLOCK], [0; BLOCK]);
        let octets = self.0.as_flattened_mut();
        if let (Some(block), Some(to)) = (
            last.last_chunk::<BLOCK>(),
            octets.get_mut(rest_len..).and_then(|octets| octets.first_chunk_mut()),
        ) {
            *to = *block;
        } else if let Some(to) = octets.get_mut(BLOCK..BLOCK + rest_len) {
            to.copy_from_slice(last);
        }
        if let Some(mark) = octets.get_mut(BLOCK + rest_len) {
            *mark = Self::MARK;
        }
        let length_at = BLOCK * (1 + blocks) - Self::LENGTH;
        if let Some(length) = octets.get_mut(length_at..).and_then(|octets| octets.first_chunk_mut()) {
            *length = H::length(Self::bits(len));
        }
        self.blocks(blocks)
    }

    /// Its blocks, as many as are in use.
    #[inline]
    pub(super) fn blocks(&self, count: usize) -> &[[u8; BLOCK]] {
        part(&self.0[..], 1..1 + count)
    }
}

pub(super) struct Md5;
pub(super) struct Sha1;

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

#[inline]
fn hmac<H: Hash<N>, const N: usize>(inner: [u32; N], outer_state: [u32; N], message: &[u8]) -> [u8; ICV] {
    outer::<H, N>(finish::<H, N>(inner, message, message.len()), outer_state)
}

/// The outer hash of HMAC over the digest of the inner one.
#[inline]
fn outer<H: Hash<N>, const N: usize>(digest: [u32; N], outer: [u32; N]) -> [u8; ICV] {
    let octets = H::digest(digest);
    H::icv(finish::<H, N>(outer, part(&octets[..], ..4 * N), 4 * N))
}

/// Hashes the rest of a message to its end, padding included. The state has taken in the key's block and all of the
/// message, of `len` octets, that is not in the rest.
#[inline]
fn finish<H: Hash<N>, const N: usize>(mut state: [u32; N], rest: &[u8], len: usize) -> [u32; N] {
    let mut end = End::EMPTY;
    let last = end.write::<H, N>(rest, len);
    let (blocks, _) = rest.as_chunks::<BLOCK>();
    // The end was written first, so that it has reached memory when the hash comes to read it.
    if !blocks.is_empty() {
        H::compress(&mut state, blocks);
    }
    H::compress(&mut state, last);
    state
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Backend, HashTask, hmacs};
    use super::*;
    use crate::vectors::vectors;

    /// The key as HMAC itself shortens one that is longer than a block (RFC 2104 2). Annex I makes none.
    fn mac(case: &str, key: &[u8]) -> Mac {
        use sha1::Digest;
        let (integrity, hash) = if case.starts_with("md5") {
            (Integrity::HmacMd5_96, md5::Md5::digest(key).to_vec())
        } else {
            (Integrity::HmacSha1_96, sha1::Sha1::digest(key).to_vec())
        };
        Mac::with_key(integrity, if key.len() > BLOCK { &hash } else { key })
    }

    #[test]
    fn icv_is_the_first_96_bits_of_the_hmac_of_rfc_2202() {
        let cases = vectors(include_str!("../../tests/data/rfc2202.txt"));
        assert_eq!(cases.len(), 14);
        for case in cases {
            let icv = mac(case.text("case"), &case.hex("key")).icv(&case.hex("data"));
            assert_eq!(icv.as_slice(), &case.hex("digest")[..ICV], "{}", case.text("case"));
        }
    }

    #[test]
    fn many_at_once_give_the_answers_of_rfc_2202_on_every_backend() {
        let cases = vectors(include_str!("../../tests/data/rfc2202.txt"));
        for backend in Backend::available() {
            for integrity in Integrity::ALL {
                let macs: Vec<_> = cases
                    .iter()
                    .map(|case| {
                        (mac(case.text("case"), &case.hex("key")), case.hex("data"), case.hex("digest"))
                    })
                    .filter(|(mac, ..)| mac.integrity() == integrity)
                    .collect();
                assert_eq!(macs.len(), 7);
                for count in 1..=70 {
                    let messages = (0..count).map(|n| &macs[n * 5 % 7]);
                    let mut icvs = vec![[0; ICV]; count];
                    let tasks = messages.clone().zip(&mut icvs);
                    let tasks = tasks.map(|((mac, message, _), icv)| HashTask { mac, message, icv });
                    hmacs::<70>(backend, integrity, tasks);
                    for (icv, (.., digest)) in icvs.iter().zip(messages) {
                        assert_eq!(icv[..], digest[..ICV], "{count} on {backend}");
                    }
                }
            }
        }
    }

    #[test]
    fn icv_agrees_with_another_hmac_at_every_length() {
        use hmac::{Hmac, KeyInit, Mac as _};
        let message: Vec<u8> = (0..400).map(|n: u32| (n * 7) as u8).collect();
        for len in 0..message.len() {
            let message = &message[..len];
            let md5 = Hmac::<md5::Md5>::new_from_slice(&[7; 16]).unwrap().chain_update(message).finalize();
            assert_eq!(mac("md5", &[7; 16]).icv(message), md5.into_bytes()[..ICV], "MD5 of {len} octets");
            let sha1 = Hmac::<sha1::Sha1>::new_from_slice(&[7; 20]).unwrap().chain_update(message).finalize();
            assert_eq!(mac("sha1", &[7; 20]).icv(message), sha1.into_bytes()[..ICV], "SHA-1 of {len} octets");
        }
    }

    #[test]
    fn verification_refuses_an_icv_with_any_bit_flipped() {
        let mac = mac("sha1", &[1; 20]);
        let good = mac.icv(b"message");
        assert!(mac.verify(b"message", &good).is_some());
        for bit in 0..ICV * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(mac.verify(b"message", &bad).is_none(), "bit {bit}");
        }
    }
}

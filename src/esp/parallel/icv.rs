//! The ICV of one packet: HMAC with its key absorbed once.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::super::authentic::ICV;
use crate::algorithm::Integrity;
#[cfg(feature = "aes-gcm")]
use crate::impossible::impossible;
use crate::impossible::part;
#[cfg(feature = "hmac-md5-96")]
use crate::kernels::Md5;
use crate::kernels::{BLOCK, Final, Hash, Sha1, aes};
use crate::key::SaKeys;

const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hmac {
    #[cfg(feature = "hmac-md5-96")]
    Md5,
    Sha1,
}

/// HMAC (RFC 2104) with the states of both hashes after the key's block: the key costs nothing per
/// packet, and a packet costs no more compressions than its length needs.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Mac {
    #[zeroize(skip)]
    hash: Hmac,
    /// The states of the inner and the outer hash after the key's block. MD5 has the first four
    /// words.
    keyed: [[u32; 5]; 2],
}

impl Mac {
    pub(super) fn new(keys: &SaKeys) -> Self {
        let hash = match keys.suite().integrity() {
            #[cfg(feature = "hmac-md5-96")]
            Integrity::HmacMd5_96 => Hmac::Md5,
            Integrity::HmacSha1_96 => Hmac::Sha1,
            #[cfg(feature = "aes-gcm")]
            Integrity::AesGmac | Integrity::Null => impossible(Hmac::Sha1),
        };
        Self::with_key(hash, keys.expose_integrity())
    }

    /// The key is at most a block long.
    fn with_key(hash: Hmac, key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        for (octet, key) in block.iter_mut().zip(key) {
            *octet = *key;
        }
        let mut absorb = |pad: u8| {
            block.iter_mut().for_each(|octet| *octet ^= pad);
            let blocks = core::slice::from_ref(&block);
            let state = match hash {
                #[cfg(feature = "hmac-md5-96")]
                Hmac::Md5 => Md5::words(Md5::after(Md5::INITIAL, blocks)),
                Hmac::Sha1 => Sha1::words(Sha1::after(Sha1::INITIAL, blocks)),
            };
            block.iter_mut().for_each(|octet| *octet ^= pad);
            state
        };
        let mac = Self { hash, keyed: [absorb(INNER_PAD), absorb(OUTER_PAD)] };
        block.zeroize();
        mac
    }

    /// The states of the inner and the outer hash after the key's block.
    #[inline]
    pub(super) const fn keyed(&self) -> &[[u32; 5]; 2] {
        &self.keyed
    }

    pub(super) const fn hash(&self) -> Hmac {
        self.hash
    }

    /// The ICV of a message: the first 96 bits of its HMAC.
    pub(super) fn icv(&self, message: &[u8]) -> [u8; ICV] {
        match self.hash {
            #[cfg(feature = "hmac-md5-96")]
            Hmac::Md5 => {
                let [[a, b, c, d, _], [e, f, g, h, _]] = self.keyed;
                hmac::<Md5, 4>([a, b, c, d], [e, f, g, h], message)
            }
            Hmac::Sha1 => {
                let [inner, outer] = self.keyed;
                hmac::<Sha1, 5>(inner, outer, message)
            }
        }
    }

    /// [`Mac::icv`] of a message that is still being made: `ready(message, octets)` returns when
    /// this many octets from its start are final. The hash asks for the next block before it
    /// absorbs the current one: to an out-of-order processor, making the one and hashing the
    /// other are independent.
    #[inline]
    pub(super) fn icv_while(&self, message: &mut [u8], mut ready: impl FnMut(&mut [u8], usize)) -> [u8; ICV] {
        if self.hash != Hmac::Sha1 {
            ready(message, message.len());
            return self.icv(message);
        }
        let [mut state, outer_state] = self.keyed;
        let len = message.len();
        ready(message, BLOCK.min(len));
        for start in (0..len / BLOCK).map(|block| block * BLOCK) {
            ready(message, (start + 2 * BLOCK).min(len));
            if let Some(block) = message.get(start..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
                Sha1::compress(&mut state, core::slice::from_ref(block));
            }
        }
        let rest = part(message, len / BLOCK * BLOCK..);
        outer::<Sha1, 5>(finish::<Sha1, 5>(state, rest, len), outer_state)
    }

    /// [`Mac::icv`] of a message that AES encrypts from `start` on meanwhile; `None`, and nothing
    /// done, if the hash is not SHA-1.
    #[inline]
    pub(super) fn overlapped_with_aes(
        &self,
        key: &aes::Key,
        before: &[u8; 16],
        message: &mut [u8],
        start: usize,
    ) -> Option<[u8; ICV]> {
        if self.hash != Hmac::Sha1 {
            return None;
        }
        let [inner, outer_state] = self.keyed;
        let state = key.encrypt_and_hash(before, inner, message, start);
        let rest = part(message, message.len() / BLOCK * BLOCK..);
        Some(outer::<Sha1, 5>(finish::<Sha1, 5>(state, rest, message.len()), outer_state))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({:?}, ..)", self.hash)
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
    H::hmac_96(finish::<H, N>(outer, part(&octets[..], ..4 * N), 4 * N))
}

/// Hashes the rest of a message to its end, padding included. The state has absorbed the key's
/// block and all of the message, of `len` octets, that is not in the rest.
#[inline]
fn finish<H: Hash<N>, const N: usize>(mut state: [u32; N], rest: &[u8], len: usize) -> [u32; N] {
    let mut room = Final::EMPTY;
    let last = room.write::<H, N>(rest, len);
    let (blocks, _) = rest.as_chunks::<BLOCK>();
    // The final blocks are written first, so that they are in the cache when the hash reads them.
    if !blocks.is_empty() {
        H::compress(&mut state, blocks);
    }
    H::compress(&mut state, last);
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp::Backend;
    use crate::kernels::{HmacTask, makers, md5_hmacs, sha1_hmacs};
    use crate::vectors::vectors;

    /// The key as HMAC itself shortens one that is longer than a block (RFC 2104 2). Annex I makes
    /// none.
    fn mac(case: &str, key: &[u8]) -> Mac {
        use sha1::Digest;
        let (hash, digest) = if case.starts_with("md5") {
            (Hmac::Md5, md5::Md5::digest(key).to_vec())
        } else {
            (Hmac::Sha1, sha1::Sha1::digest(key).to_vec())
        };
        Mac::with_key(hash, if key.len() > BLOCK { &digest } else { key })
    }

    #[test]
    fn icv_is_the_first_96_bits_of_the_hmac_of_rfc_2202() {
        let cases = vectors(include_str!("../../../tests/data/rfc2202.txt"));
        assert_eq!(cases.len(), 14);
        for case in cases {
            let icv = mac(case.text("case"), &case.hex("key")).icv(&case.hex("data"));
            assert_eq!(icv.as_slice(), &case.hex("digest")[..ICV], "{}", case.text("case"));
        }
    }

    #[test]
    fn many_at_once_give_the_answers_of_rfc_2202_on_every_processor() {
        makers::as_on_each(many_at_once_give_the_answers_of_rfc_2202_on_every_backend);
    }

    fn many_at_once_give_the_answers_of_rfc_2202_on_every_backend() {
        let cases = vectors(include_str!("../../../tests/data/rfc2202.txt"));
        for backend in Backend::available() {
            for hash in [Hmac::Md5, Hmac::Sha1] {
                let macs: Vec<_> = cases
                    .iter()
                    .map(|case| {
                        (mac(case.text("case"), &case.hex("key")), case.hex("data"), case.hex("digest"))
                    })
                    .filter(|(mac, ..)| mac.hash() == hash)
                    .collect();
                assert_eq!(macs.len(), 7);
                for count in 1..=70 {
                    let messages = (0..count).map(|n| &macs[n * 5 % 7]);
                    let mut icvs = vec![[0; ICV]; count];
                    let tasks = messages.clone().zip(&mut icvs);
                    let tasks =
                        tasks.map(|((mac, message, _), hmac)| HmacTask { keyed: mac.keyed(), message, hmac });
                    match hash {
                        Hmac::Md5 => md5_hmacs::<70>(backend.vectors(), tasks),
                        Hmac::Sha1 => sha1_hmacs::<70>(backend.vectors(), tasks),
                    }
                    for (icv, (.., digest)) in icvs.iter().zip(messages) {
                        assert_eq!(icv[..], digest[..ICV], "{count} on {backend}");
                    }
                }
            }
        }
    }

    #[test]
    fn icv_agrees_with_another_hmac_at_every_length() {
        use hmac::{KeyInit, Mac as _};
        let message: Vec<u8> = (0..400).map(|n: u32| (n * 7) as u8).collect();
        for len in 0..message.len() {
            let message = &message[..len];
            let md5 =
                hmac::Hmac::<md5::Md5>::new_from_slice(&[7; 16]).unwrap().chain_update(message).finalize();
            assert_eq!(mac("md5", &[7; 16]).icv(message), md5.into_bytes()[..ICV], "MD5 of {len} octets");
            let sha1 =
                hmac::Hmac::<sha1::Sha1>::new_from_slice(&[7; 20]).unwrap().chain_update(message).finalize();
            assert_eq!(mac("sha1", &[7; 20]).icv(message), sha1.into_bytes()[..ICV], "SHA-1 of {len} octets");
        }
    }
}

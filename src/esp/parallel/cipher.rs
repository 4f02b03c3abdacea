//! Encryption of one packet: the keys of a direction, and CBC.

use alloc::boxed::Box;
use core::fmt;

use aes::{Aes128Dec, Aes128Enc};
use cbc::cipher::{
    Array, Block, BlockCipherDecrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
    array::ArraySize,
};

use crate::algorithm::Encryption;
#[cfg(feature = "aes-gcm")]
use crate::impossible::impossible;
use crate::impossible::part_mut;
#[cfg(feature = "des-ede3-cbc")]
use crate::kernels::des;
use crate::kernels::{Vectors, aes as kernel_aes};
use crate::key::SaKeys;
use crate::wipe::wiped_decryption;

/// The keys that encrypt. They wipe themselves.
pub(super) enum Encryptor {
    Null,
    #[cfg(feature = "des-ede3-cbc")]
    DesEde3(des::Key),
    /// Boxed: it is aligned to 16 octets, and so would every SA be.
    Aes(Box<Aes128Enc>),
    /// For kernels of this crate.
    AesKey(kernel_aes::Key),
}

/// The keys that decrypt. They wipe themselves.
pub(super) enum Decryptor {
    Null,
    #[cfg(feature = "des-ede3-cbc")]
    DesEde3(des::Key),
    Aes(Box<Aes128Dec>),
    /// For kernels of this crate.
    AesKey(kernel_aes::InverseKey),
}

impl Encryptor {
    pub(super) fn new(keys: &SaKeys, vectors: Option<Vectors>) -> Self {
        match keys.suite().encryption() {
            Encryption::Null => Encryptor::Null,
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => Encryptor::DesEde3(des::Key::new(vectors, keys.expose_des_ede3())),
            Encryption::AesCbc => match vectors {
                Some(vectors) => Encryptor::AesKey(kernel_aes::Key::new(vectors, keys.expose_aes())),
                None => Encryptor::Aes(Box::new(Aes128Enc::new(keys.expose_aes().into()))),
            },
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => impossible(Encryptor::Null),
        }
    }

    /// Keys of one class are of the same kind.
    #[inline]
    pub(super) const fn class(&self) -> u8 {
        match self {
            Encryptor::Null => 0,
            #[cfg(feature = "des-ede3-cbc")]
            Encryptor::DesEde3(_) => 1,
            Encryptor::Aes(_) => 2,
            Encryptor::AesKey(_) => 3,
        }
    }

    /// Whether a hash can overlap with the cipher: AES in CBC is latency-bound and leaves most of
    /// the processor idle.
    pub(super) const fn overlaps_with_hash(&self) -> bool {
        matches!(self, Encryptor::Aes(_) | Encryptor::AesKey(_))
    }

    /// Begins to encrypt in CBC what comes after this block: zeros if nothing does. `None` if it is
    /// not a block of the cipher.
    #[inline]
    pub(super) fn start(&self, before: &[u8]) -> Option<Encrypting<'_>> {
        Some(match self {
            Encryptor::Null => Encrypting::Null,
            #[cfg(feature = "des-ede3-cbc")]
            Encryptor::DesEde3(key) => Encrypting::DesEde3(key, before.try_into().ok()?),
            Encryptor::Aes(key) => {
                Encrypting::Aes(cbc::Encryptor::inner_iv_init(key.as_ref(), before.try_into().ok()?))
            }
            Encryptor::AesKey(key) => Encrypting::AesKey(key, before.try_into().ok()?),
        })
    }
}

/// A packet that is being encrypted in CBC.
pub(super) enum Encrypting<'a> {
    Null,
    #[cfg(feature = "des-ede3-cbc")]
    DesEde3(&'a des::Key, [u8; 8]),
    Aes(cbc::Encryptor<&'a Aes128Enc>),
    AesKey(&'a kernel_aes::Key, [u8; 16]),
}

impl Encrypting<'_> {
    /// Encrypts whole blocks in place, those that the first `octets` touch, and returns how many
    /// octets they are.
    #[inline]
    pub(super) fn encrypt(&mut self, body: &mut [u8], octets: usize) -> usize {
        let mut some = |block_len: usize, encrypt: &mut dyn FnMut(&mut [u8])| {
            let len = octets.next_multiple_of(block_len).min(body.len());
            encrypt(part_mut(body, ..len));
            len
        };
        match self {
            Encrypting::Null => body.len(),
            #[cfg(feature = "des-ede3-cbc")]
            Encrypting::DesEde3(key, chain) => some(8, &mut |data| key.encrypt(chain, data)),
            Encrypting::Aes(mode) => encrypt_some(mode, body, octets),
            Encrypting::AesKey(key, chain) => some(16, &mut |data| key.encrypt(chain, data)),
        }
    }
}

impl Decryptor {
    pub(super) fn new(keys: &SaKeys, vectors: Option<Vectors>) -> Self {
        match keys.suite().encryption() {
            Encryption::Null => Decryptor::Null,
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => Decryptor::DesEde3(des::Key::new(vectors, keys.expose_des_ede3())),
            Encryption::AesCbc => match vectors {
                Some(vectors) => Decryptor::AesKey(kernel_aes::InverseKey::new(vectors, keys.expose_aes())),
                None => Decryptor::Aes(Box::new(Aes128Dec::new(keys.expose_aes().into()))),
            },
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => impossible(Decryptor::Null),
        }
    }

    /// Decrypts whole blocks in place, after the IV that the packet begins with.
    #[inline]
    pub(super) fn decrypt(&self, whole: &mut [u8]) {
        match self {
            Decryptor::Null => {}
            #[cfg(feature = "des-ede3-cbc")]
            Decryptor::DesEde3(key) => key.decrypt(whole),
            Decryptor::Aes(key) => {
                if let Some((iv, body)) = whole.split_first_chunk_mut::<16>() {
                    let mut mode = cbc::Decryptor::inner_iv_init(key.as_ref(), (&*iv).into());
                    wiped_decryption(|| mode.decrypt_blocks(blocks(body)));
                }
            }
            Decryptor::AesKey(key) => key.decrypt(whole),
        }
    }

    /// Decrypts whole blocks into a buffer, which is shorter by the IV that they begin with: no
    /// octet is touched twice.
    #[inline]
    pub(super) fn decrypt_into(&self, whole: &[u8], body: &mut [u8]) {
        match self {
            Decryptor::Null => {
                if body.len() == whole.len() {
                    body.copy_from_slice(whole);
                }
            }
            #[cfg(feature = "des-ede3-cbc")]
            Decryptor::DesEde3(key) => key.decrypt_into(whole, body),
            Decryptor::Aes(key) => wiped_decryption(|| decrypt_cbc_into(key.as_ref(), whole, body)),
            Decryptor::AesKey(key) => key.decrypt_into(whole, body),
        }
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encryptor(..)")
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decryptor(..)")
    }
}

#[inline]
fn encrypt_some<M: BlockModeEncrypt>(mode: &mut M, body: &mut [u8], octets: usize) -> usize {
    let all = blocks(body);
    let size = M::block_size();
    let count = octets.div_ceil(size).min(all.len());
    mode.encrypt_blocks(part_mut(all, ..count));
    count * size
}

#[inline]
fn decrypt_cbc_into<C: BlockCipherDecrypt>(cipher: &C, whole: &[u8], body: &mut [u8]) {
    if let Some((iv, from)) = Array::slice_as_chunks(whole).0.split_first() {
        // Both are as long as the packet says; it is an error only if they were not.
        let iv: &Block<C> = iv;
        let done = cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks_b2b(from, blocks(body));
        debug_assert!(done.is_ok(), "two lengths of one body");
    }
}

fn blocks<N: ArraySize>(body: &mut [u8]) -> &mut [Array<u8, N>] {
    Array::slice_as_chunks_mut(body).0
}

#[cfg(test)]
mod tests {
    use super::super::super::Backend;
    use super::*;
    use crate::algorithm::Suite;
    use crate::kernels::{CbcTask, encrypt_aes, encrypt_aes_interleaved, encrypt_des};
    use crate::vectors::{Vector, vectors};

    /// Every backend with kernels.
    fn kernels() -> impl Iterator<Item = Backend> {
        Backend::available().filter(|backend| *backend != Backend::PLAIN)
    }

    fn check(suite: Suite, case: &Vector) {
        let integrity = vec![0; suite.integrity().key_len()];
        let keys = SaKeys::from_expanded(suite, &integrity, &case.hex("key")).unwrap();
        let (iv, plain, cipher_text) = (case.hex("iv"), case.hex("plain"), case.hex("ct"));
        for backend in kernels() {
            let mut whole = iv.clone();
            whole.extend(&plain);
            let body = &mut whole[iv.len()..];
            let encryptor = Encryptor::new(&keys, backend.vectors());
            assert_eq!(encryptor.start(&iv).unwrap().encrypt(body, plain.len()), plain.len());
            assert_eq!(body, cipher_text, "case {}, {backend}", case.text("case"));
            let decryptor = Decryptor::new(&keys, backend.vectors());
            let mut apart = vec![0; plain.len()];
            decryptor.decrypt_into(&whole, &mut apart);
            assert_eq!(apart, plain, "case {}, {backend}", case.text("case"));
            decryptor.decrypt(&mut whole);
            assert_eq!(whole[iv.len()..], plain, "case {}, {backend}", case.text("case"));
        }
    }

    /// The kernels for many packets begin with nothing before the first block: that is then the one
    /// that encrypts to the IV.
    fn check_many(suite: Suite, cases: &[Vector]) {
        let integrity = vec![0; suite.integrity().key_len()];
        for backend in kernels() {
            for count in 1..=70 {
                let cases: Vec<_> = cases.iter().cycle().take(count).collect();
                let keys: Vec<_> = cases
                    .iter()
                    .map(|case| SaKeys::from_expanded(suite, &integrity, &case.hex("key")).unwrap())
                    .collect();
                let encryptors: Vec<_> =
                    keys.iter().map(|keys| Encryptor::new(keys, backend.vectors())).collect();
                let mut packets: Vec<_> = cases
                    .iter()
                    .zip(&keys)
                    .map(|(case, keys)| {
                        let iv = case.hex("iv");
                        let mut whole = vec![0; iv.len()];
                        whole.extend(&iv);
                        Decryptor::new(keys, None).decrypt(&mut whole);
                        let mut packet = whole.split_off(iv.len());
                        packet.extend(case.hex("plain"));
                        packet
                    })
                    .collect();
                let tasks = encryptors.iter().zip(&mut packets);
                match suite.encryption() {
                    Encryption::DesEde3Cbc => encrypt_des(
                        backend.vectors(),
                        tasks.filter_map(|(key, data)| {
                            let Encryptor::DesEde3(key) = key else { return None };
                            Some(CbcTask { key, data })
                        }),
                    ),
                    _ if backend == Backend::PORTABLE => {
                        encrypt_aes_interleaved(tasks.filter_map(|(key, data)| {
                            let Encryptor::Aes(key) = key else { return None };
                            Some(CbcTask { key, data })
                        }))
                    }
                    Encryption::Null | Encryption::AesCbc | Encryption::AesGcm => encrypt_aes(
                        backend.vectors(),
                        tasks.filter_map(|(key, data)| {
                            let Encryptor::AesKey(key) = key else { return None };
                            Some(CbcTask { key, data })
                        }),
                    ),
                }
                for (packet, case) in packets.iter().zip(cases) {
                    let mut expected = case.hex("iv");
                    expected.extend(case.hex("ct"));
                    assert_eq!(*packet, expected, "{count} on {backend}");
                }
            }
        }
    }

    /// Lanes that begin again all together, and some while others go on, each with a key of its
    /// own.
    #[test]
    fn packets_of_one_length_and_of_many_are_encrypted_as_each_is_alone() {
        let suite = Suite::HMAC_SHA_1_96_AES_CBC;
        let keys: Vec<_> =
            (0..70_u8).map(|n| SaKeys::from_expanded(suite, &[0; 20], &[n ^ 0x5a; 16]).unwrap()).collect();
        // Blocks of each packet: the longest first, as they come.
        let of_many = core::array::from_fn::<_, 70, _>(|n| 9 - n / 10);
        for backend in kernels().filter(|backend| *backend != Backend::PORTABLE) {
            for blocks in [[3; 70], [4; 70], [43; 70], of_many] {
                let packet = |n: usize| vec![n as u8; blocks[n] * 16];
                let mut packets: Vec<_> = (0..70).map(packet).collect();
                let encryptors: Vec<_> =
                    keys.iter().map(|keys| Encryptor::new(keys, backend.vectors())).collect();
                let tasks = encryptors.iter().zip(&mut packets).filter_map(|(key, data)| {
                    let Encryptor::AesKey(key) = key else { return None };
                    Some(CbcTask { key, data })
                });
                encrypt_aes(backend.vectors(), tasks);
                for (n, (found, keys)) in packets.iter().zip(&keys).enumerate() {
                    let mut expected = packet(n);
                    let len = expected.len();
                    Encryptor::new(keys, None).start(&[0; 16]).unwrap().encrypt(&mut expected, len);
                    assert_eq!(*found, expected, "packet {n} on {backend}");
                }
            }
        }
    }

    #[test]
    fn aes_cbc_gives_the_answers_of_rfc_3602() {
        let cases = vectors(include_str!("../../../tests/data/rfc3602.txt"));
        assert_eq!(cases.len(), 6);
        cases.iter().take(4).for_each(|case| check(Suite::HMAC_SHA_1_96_AES_CBC, case));
        check_many(Suite::HMAC_SHA_1_96_AES_CBC, &cases[..4]);
    }

    #[test]
    fn des_ede3_cbc_gives_the_answers_of_nist() {
        let cases = vectors(include_str!("../../../tests/data/nist-tdes-cbc.txt"));
        assert_eq!(cases.len(), 2);
        cases.iter().for_each(|case| check(Suite::HMAC_SHA_1_96_DES_EDE3_CBC, case));
        check_many(Suite::HMAC_SHA_1_96_DES_EDE3_CBC, &cases);
    }
}

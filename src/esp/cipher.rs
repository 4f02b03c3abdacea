//! Encryption of a packet's payload: one direction's keys, CBC in place, and the IVs.

use alloc::boxed::Box;
use core::fmt;

use aes::{Aes128Dec, Aes128Enc};
use cbc::cipher::{
    Array, Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
    KeyInit, array::ArraySize,
};
use des::TdesEde3;

use crate::algorithm::Encryption;
use crate::key::SaKeys;

/// The keys that encrypt. They wipe themselves.
pub(super) enum Encryptor {
    Null,
    /// Boxed: three times the size of the others and rare.
    DesEde3(Box<TdesEde3>),
    Aes(Aes128Enc),
}

/// The keys that decrypt. They wipe themselves.
pub(super) enum Decryptor {
    Null,
    DesEde3(Box<TdesEde3>),
    Aes(Aes128Dec),
}

impl Encryptor {
    pub(super) fn new(keys: &SaKeys) -> Self {
        match keys.suite().encryption() {
            Encryption::Null => Encryptor::Null,
            Encryption::DesEde3Cbc => {
                Encryptor::DesEde3(Box::new(TdesEde3::new(keys.expose_des_ede3().into())))
            }
            Encryption::AesCbc => Encryptor::Aes(Aes128Enc::new(keys.expose_aes().into())),
        }
    }

    /// Writes the IV of a packet: the block cipher over SPI and sequence number. That is unpredictable to
    /// everybody without the key, and unique for the key, which the four SAs of a set share: their SPIs differ.
    #[inline]
    pub(super) fn write_iv(&self, spi: u32, sequence: u32, iv: &mut [u8]) {
        for (to, from) in iv.iter_mut().zip(spi.to_be_bytes().into_iter().chain(sequence.to_be_bytes())) {
            *to = from;
        }
        if let Some(rest) = iv.get_mut(8..) {
            rest.fill(0);
        }
        match self {
            Encryptor::Null => {}
            Encryptor::DesEde3(cipher) => encrypt_block(cipher.as_ref(), iv),
            Encryptor::Aes(cipher) => encrypt_block(cipher, iv),
        }
    }

    /// Whether a hash can run beside the cipher: AES waits for itself in CBC, and leaves the rest of the processor idle.
    pub(super) const fn overlaps_with_hash(&self) -> bool {
        matches!(self, Encryptor::Aes(_))
    }

    /// Begins to encrypt a packet with this IV; `None` if it is not as long as those of the cipher.
    #[inline]
    pub(super) fn start(&self, iv: &[u8]) -> Option<Encrypting<'_>> {
        Some(match self {
            Encryptor::Null => Encrypting::Null,
            Encryptor::DesEde3(cipher) => {
                Encrypting::DesEde3(cbc::Encryptor::inner_iv_init(cipher.as_ref(), iv.try_into().ok()?))
            }
            Encryptor::Aes(cipher) => {
                Encrypting::Aes(cbc::Encryptor::inner_iv_init(cipher, iv.try_into().ok()?))
            }
        })
    }
}

/// A packet that is being encrypted in CBC.
pub(super) enum Encrypting<'a> {
    Null,
    DesEde3(cbc::Encryptor<&'a TdesEde3>),
    Aes(cbc::Encryptor<&'a Aes128Enc>),
}

impl Encrypting<'_> {
    /// Encrypts whole blocks in place, those that the first `octets` touch, and returns how many octets they are.
    #[inline]
    pub(super) fn encrypt(&mut self, body: &mut [u8], octets: usize) -> usize {
        match self {
            Encrypting::Null => body.len(),
            Encrypting::DesEde3(cipher) => encrypt_some(cipher, body, octets),
            Encrypting::Aes(cipher) => encrypt_some(cipher, body, octets),
        }
    }
}

impl Decryptor {
    pub(super) fn new(keys: &SaKeys) -> Self {
        match keys.suite().encryption() {
            Encryption::Null => Decryptor::Null,
            Encryption::DesEde3Cbc => {
                Decryptor::DesEde3(Box::new(TdesEde3::new(keys.expose_des_ede3().into())))
            }
            Encryption::AesCbc => Decryptor::Aes(Aes128Dec::new(keys.expose_aes().into())),
        }
    }

    /// Decrypts whole blocks in place.
    #[inline]
    pub(super) fn decrypt(&self, iv: &[u8], body: &mut [u8]) {
        match self {
            Decryptor::Null => {}
            Decryptor::DesEde3(cipher) => decrypt_cbc(cipher.as_ref(), iv, body),
            Decryptor::Aes(cipher) => decrypt_cbc(cipher, iv, body),
        }
    }

    /// Decrypts whole blocks into a buffer of the same length: no octet is touched twice.
    #[inline]
    pub(super) fn decrypt_into(&self, iv: &[u8], cipher_text: &[u8], body: &mut [u8]) {
        match self {
            Decryptor::Null => copy(body, cipher_text),
            // The block takes so long that the copy is nothing, and `des` is faster in place.
            Decryptor::DesEde3(cipher) => {
                copy(body, cipher_text);
                decrypt_cbc(cipher.as_ref(), iv, body);
            }
            Decryptor::Aes(cipher) => decrypt_cbc_into(cipher, iv, cipher_text, body),
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

/// Both are as long as the packet says.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    if to.len() == from.len() {
        to.copy_from_slice(from);
    }
}

#[inline]
fn encrypt_block<C: BlockCipherEncrypt>(cipher: &C, block: &mut [u8]) {
    if let Ok(block) = <&mut Block<C>>::try_from(block) {
        cipher.encrypt_block(block);
    }
}

#[inline]
fn encrypt_some<M: BlockModeEncrypt>(mode: &mut M, body: &mut [u8], octets: usize) -> usize {
    let all = blocks(body);
    let size = M::block_size();
    let count = octets.div_ceil(size).min(all.len());
    mode.encrypt_blocks(all.get_mut(..count).unwrap_or_default());
    count * size
}

#[inline]
fn decrypt_cbc<C: BlockCipherDecrypt>(cipher: &C, iv: &[u8], body: &mut [u8]) {
    if let Ok(iv) = <&Block<C>>::try_from(iv) {
        cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(blocks(body));
    }
}

#[inline]
fn decrypt_cbc_into<C: BlockCipherDecrypt>(cipher: &C, iv: &[u8], cipher_text: &[u8], body: &mut [u8]) {
    if let Ok(iv) = <&Block<C>>::try_from(iv) {
        let (from, _) = Array::slice_as_chunks(cipher_text);
        // Both are as long as the packet says; it is an error only if they were not.
        let done = cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks_b2b(from, blocks(body));
        debug_assert!(done.is_ok(), "two lengths of one body");
    }
}

fn blocks<N: ArraySize>(body: &mut [u8]) -> &mut [Array<u8, N>] {
    Array::slice_as_chunks_mut(body).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::Suite;
    use crate::vectors::{Vector, vectors};

    fn check(suite: Suite, case: &Vector) {
        let integrity = vec![0; suite.integrity().key_len()];
        let keys = SaKeys::from_expanded(suite, &integrity, &case.hex("key")).unwrap();
        let (iv, plain, cipher_text) = (case.hex("iv"), case.hex("plain"), case.hex("ct"));
        let mut body = plain.clone();
        assert_eq!(Encryptor::new(&keys).start(&iv).unwrap().encrypt(&mut body, plain.len()), plain.len());
        assert_eq!(body, cipher_text, "case {}", case.text("case"));
        Decryptor::new(&keys).decrypt(&iv, &mut body);
        assert_eq!(body, plain, "case {}", case.text("case"));
    }

    #[test]
    fn aes_cbc_gives_the_answers_of_rfc_3602() {
        let cases = vectors(include_str!("../../tests/data/rfc3602.txt"));
        assert_eq!(cases.len(), 6);
        cases.iter().take(4).for_each(|case| check(Suite::HMAC_SHA_1_96_AES_CBC, case));
    }

    #[test]
    fn des_ede3_cbc_gives_the_answers_of_nist() {
        let cases = vectors(include_str!("../../tests/data/nist-tdes-cbc.txt"));
        assert_eq!(cases.len(), 2);
        cases.iter().for_each(|case| check(Suite::HMAC_SHA_1_96_DES_EDE3_CBC, case));
    }

    #[test]
    fn ivs_are_the_block_cipher_over_spi_and_sequence_number() {
        let keys =
            |suite, len| SaKeys::from_expanded(suite, &[0; 20], &(0..len).collect::<Vec<u8>>()).unwrap();
        // Encrypting the counter block in CBC with a zero IV is the block cipher alone.
        let aes = Encryptor::new(&keys(Suite::HMAC_SHA_1_96_AES_CBC, 16));
        let mut expected = *b"\x12\x34\x56\x78\x00\x00\x01\x02\0\0\0\0\0\0\0\0";
        aes.start(&[0; 16]).unwrap().encrypt(&mut expected, 16);
        let mut iv = [0xff; 16];
        aes.write_iv(0x1234_5678, 0x0102, &mut iv);
        assert_eq!(iv, expected);

        let des = Encryptor::new(&keys(Suite::HMAC_SHA_1_96_DES_EDE3_CBC, 24));
        let mut expected = *b"\x12\x34\x56\x78\x00\x00\x01\x02";
        des.start(&[0; 8]).unwrap().encrypt(&mut expected, 8);
        let mut iv = [0xff; 8];
        des.write_iv(0x1234_5678, 0x0102, &mut iv);
        assert_eq!(iv, expected);
    }
}

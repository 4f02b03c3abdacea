//! The suites as a straight composition of RustCrypto's `aes`, `des`, `cbc`, `hmac`, `sha1` and
//! `md-5` (in `gcm`: `ctr` and `ghash`): encrypt-then-MAC (RFC 4303 3.3.2), HMAC truncated to 96
//! bits (RFC 2403, 2404), CBC with an explicit IV (RFC 2451, 3602). What an auditor reads first,
//! and what every other backend is tested against.
//!
//! `des` looks S-boxes up in tables, so that the timing of des-ede3-cbc may depend on the key where
//! a cache is shared with an attacker. The crates wipe their keys when an SA is dropped; what they
//! leave on the stack is wiped after each call.

#[cfg(feature = "aes-gcm")]
mod gcm;

use core::fmt;

use aes::{Aes128Dec, Aes128Enc};
use cbc::cipher::array::{Array, ArraySize};
use cbc::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
#[cfg(feature = "des-ede3-cbc")]
use des::TdesEde3;
use hmac::{Hmac, Mac as _};
#[cfg(feature = "hmac-md5-96")]
use md5::Md5;
use sha1::Sha1;

#[cfg(feature = "aes-gcm")]
pub(super) use gcm::Gcm;

use super::authentic::{Authentic, ICV};
use super::packet::IDS;
use crate::algorithm::{Encryption, Integrity};
#[cfg(feature = "aes-gcm")]
use crate::impossible::impossible;
use crate::impossible::{part, part_mut};
use crate::key::SaKeys;
use crate::wipe::{wiped_decryption, wiped_message};

/// The keys of an outbound SA.
#[allow(clippy::large_enum_variant, reason = "SAs hold it boxed")]
pub(super) enum Sealer {
    Composed(Encryptor, Mac),
    #[cfg(feature = "aes-gcm")]
    Gcm(Gcm),
}

/// The keys of an inbound SA.
#[allow(clippy::large_enum_variant, reason = "SAs hold it boxed")]
pub(super) enum Opener {
    Composed(Decryptor, Mac),
    #[cfg(feature = "aes-gcm")]
    Gcm(Gcm),
}

#[cfg_attr(feature = "des-ede3-cbc", allow(clippy::large_enum_variant, reason = "SAs hold it boxed"))]
pub(super) enum Encryptor {
    Null,
    #[cfg(feature = "des-ede3-cbc")]
    DesEde3(TdesEde3),
    Aes(Aes128Enc),
}

#[cfg_attr(feature = "des-ede3-cbc", allow(clippy::large_enum_variant, reason = "SAs hold it boxed"))]
pub(super) enum Decryptor {
    Null,
    #[cfg(feature = "des-ede3-cbc")]
    DesEde3(TdesEde3),
    Aes(Aes128Dec),
}

/// HMAC that has absorbed its key.
pub(super) enum Mac {
    #[cfg(feature = "hmac-md5-96")]
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
}

impl Sealer {
    pub(super) fn new(keys: &SaKeys) -> Self {
        #[cfg(feature = "aes-gcm")]
        if keys.suite().is_gcm() {
            return Self::Gcm(Gcm::new(keys));
        }
        let cipher = match keys.suite().encryption() {
            Encryption::Null => Encryptor::Null,
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => Encryptor::DesEde3(TdesEde3::new(keys.expose_des_ede3().into())),
            Encryption::AesCbc => Encryptor::Aes(Aes128Enc::new(keys.expose_aes().into())),
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => impossible(Encryptor::Null),
        };
        Self::Composed(cipher, Mac::new(keys))
    }

    /// Encrypts a framed packet and appends its ICV. Where no IV is given, the block that it is
    /// made of is in its place: SPI, sequence number, and zeros. `None` if the packet is
    /// shorter than that.
    pub(super) fn protect(&self, esp: &mut [u8], iv_is_given: bool) -> Option<()> {
        let (cipher, mac) = match self {
            Self::Composed(cipher, mac) => (cipher, mac),
            #[cfg(feature = "aes-gcm")]
            Self::Gcm(gcm) => return gcm.protect(esp),
        };
        let (message, icv) = esp.split_last_chunk_mut::<ICV>()?;
        let text = message.get_mut(IDS..)?;
        match cipher {
            Encryptor::Null => {}
            #[cfg(feature = "des-ede3-cbc")]
            Encryptor::DesEde3(cipher) => wiped_message(|| encrypt(cipher, text, iv_is_given))?,
            Encryptor::Aes(cipher) => wiped_message(|| encrypt(cipher, text, iv_is_given))?,
        }
        *icv = mac.icv(message);
        Some(())
    }
}

impl Opener {
    pub(super) fn new(keys: &SaKeys) -> Self {
        #[cfg(feature = "aes-gcm")]
        if keys.suite().is_gcm() {
            return Self::Gcm(Gcm::new(keys));
        }
        let cipher = match keys.suite().encryption() {
            Encryption::Null => Decryptor::Null,
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => Decryptor::DesEde3(TdesEde3::new(keys.expose_des_ede3().into())),
            Encryption::AesCbc => Decryptor::Aes(Aes128Dec::new(keys.expose_aes().into())),
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => impossible(Decryptor::Null),
        };
        Self::Composed(cipher, Mac::new(keys))
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    pub(super) fn verify(&self, esp: &[u8]) -> Option<Authentic> {
        match self {
            Self::Composed(_, mac) => {
                let (message, icv) = esp.split_last_chunk()?;
                Authentic::compare(icv, &mac.icv(message))
            }
            #[cfg(feature = "aes-gcm")]
            Self::Gcm(gcm) => gcm.verify(esp),
        }
    }

    /// Decrypts a packet in place.
    pub(super) fn decrypt(&self, esp: &mut [u8]) {
        let cipher = match self {
            Self::Composed(cipher, _) => cipher,
            #[cfg(feature = "aes-gcm")]
            Self::Gcm(gcm) => return gcm.decrypt(esp),
        };
        let message = esp.len().saturating_sub(ICV);
        let text = part_mut(esp, IDS..message);
        match cipher {
            Decryptor::Null => {}
            #[cfg(feature = "des-ede3-cbc")]
            Decryptor::DesEde3(cipher) => wiped_decryption(|| decrypt(cipher, text)),
            Decryptor::Aes(cipher) => wiped_decryption(|| decrypt(cipher, text)),
        }
    }

    /// Decrypts a packet into a buffer that is as long as its payload and trailer.
    pub(super) fn decrypt_into(&self, esp: &[u8], body: &mut [u8]) {
        let cipher = match self {
            Self::Composed(cipher, _) => cipher,
            #[cfg(feature = "aes-gcm")]
            Self::Gcm(gcm) => return gcm.decrypt_into(esp, body),
        };
        let text = part(esp, IDS..esp.len().saturating_sub(ICV));
        match cipher {
            Decryptor::Null => body.iter_mut().zip(text).for_each(|(to, from)| *to = *from),
            #[cfg(feature = "des-ede3-cbc")]
            Decryptor::DesEde3(cipher) => wiped_decryption(|| decrypt_into(cipher, text, body)),
            Decryptor::Aes(cipher) => wiped_decryption(|| decrypt_into(cipher, text, body)),
        }
    }
}

impl Mac {
    fn new(keys: &SaKeys) -> Self {
        let key = keys.expose_integrity();
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let mac = match keys.suite().integrity() {
            #[cfg(feature = "hmac-md5-96")]
            Integrity::HmacMd5_96 => Mac::Md5(Hmac::new((&block).into())),
            Integrity::HmacSha1_96 => Mac::Sha1(Hmac::new((&block).into())),
            #[cfg(feature = "aes-gcm")]
            Integrity::AesGmac | Integrity::Null => impossible(Mac::Sha1(Hmac::new((&block).into()))),
        };
        zeroize::Zeroize::zeroize(&mut block);
        mac
    }

    /// The first 96 bits of the HMAC of a message.
    fn icv(&self, message: &[u8]) -> [u8; ICV] {
        match self {
            #[cfg(feature = "hmac-md5-96")]
            Mac::Md5(mac) => {
                wiped_message(|| first(&mac.clone().chain_update(message).finalize().into_bytes()))
            }
            Mac::Sha1(mac) => {
                wiped_message(|| first(&mac.clone().chain_update(message).finalize().into_bytes()))
            }
        }
    }
}

/// The first octets of a digest.
fn first(digest: &[u8]) -> [u8; ICV] {
    let mut icv = [0; ICV];
    icv.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    icv
}

/// The IV is the block cipher over SPI, sequence number and zeros: unpredictable without the key,
/// and unique for it, because the SPIs of the four SAs that share it differ.
fn encrypt<C: BlockCipherEncrypt>(cipher: &C, text: &mut [u8], iv_is_given: bool) -> Option<()> {
    let (iv, body) = blocks(text).split_first_mut()?;
    if !iv_is_given {
        cipher.encrypt_block(iv);
    }
    cbc::Encryptor::inner_iv_init(cipher, iv).encrypt_blocks(body);
    Some(())
}

fn decrypt<C: BlockCipherDecrypt>(cipher: &C, text: &mut [u8]) {
    if let Some((iv, body)) = blocks(text).split_first_mut() {
        let iv: &Block<C> = iv;
        cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(body);
    }
}

fn decrypt_into<C: BlockCipherDecrypt>(cipher: &C, text: &[u8], body: &mut [u8]) {
    if let Some((iv, from)) = Array::slice_as_chunks(text).0.split_first() {
        let iv: &Block<C> = iv;
        let done = cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks_b2b(from, blocks(body));
        debug_assert!(done.is_ok(), "two lengths of one body");
    }
}

fn blocks<N: ArraySize>(octets: &mut [u8]) -> &mut [Array<u8, N>] {
    Array::slice_as_chunks_mut(octets).0
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Hmac` says nothing of its own: it holds two states of the hash and a buffer.
    #[test]
    fn the_crates_wipe_what_they_hold_of_keys() {
        fn wipes_itself<T: zeroize::ZeroizeOnDrop>() {}
        wipes_itself::<Aes128Enc>();
        wipes_itself::<Aes128Dec>();
        wipes_itself::<sha1::block_api::Sha1Core>();
        #[cfg(feature = "des-ede3-cbc")]
        wipes_itself::<TdesEde3>();
        #[cfg(feature = "hmac-md5-96")]
        wipes_itself::<md5::block_api::Md5Core>();
    }
}

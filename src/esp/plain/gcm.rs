//! AES-GCM and AES-GMAC in ESP (RFC 4106, RFC 4543), composed of `aes`, `ctr` and `ghash`.
//!
//! The nonce is the salt and the IV of the packet. AES-GCM encrypts payload and trailer, and also
//! authenticates SPI and sequence number. AES-GMAC encrypts nothing and authenticates the whole
//! packet, the IV included: the figures of RFC 4543 disagree, and Linux does so.

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher};
use ctr::CtrCore;
use ctr::cipher::StreamCipherCoreWrapper;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

use crate::algorithm::Encryption;
use crate::esp::authentic::{Authentic, LONG_ICV};
use crate::esp::packet::IDS;
use crate::impossible::part;
use crate::key::SaKeys;
use crate::wipe::{wiped_decryption, wiped_message};

/// Octets of the IV.
const IV: usize = 8;

/// Key and salt of one set, for both directions.
pub(in crate::esp) struct Gcm {
    cipher: Aes128Enc,
    /// Has absorbed nothing but its key.
    ghash: GHash,
    salt: zeroize::Zeroizing<[u8; 4]>,
    encrypts: bool,
}

impl Gcm {
    pub(in crate::esp) fn new(keys: &SaKeys) -> Self {
        let (key, salt) = keys.expose_gcm();
        let cipher = Aes128Enc::new(key.into());
        let mut h = zeroize::Zeroizing::new([0; 16]);
        cipher.encrypt_block((&mut *h).into());
        let encrypts = keys.suite().encryption() == Encryption::AesGcm;
        Self { cipher, ghash: GHash::new((&*h).into()), salt: zeroize::Zeroizing::new(*salt), encrypts }
    }

    /// Encrypts a framed packet and appends its ICV. `None` if the packet is too short.
    pub(in crate::esp) fn protect(&self, esp: &mut [u8]) -> Option<()> {
        let (message, icv) = esp.split_last_chunk_mut::<LONG_ICV>()?;
        let counter = self.counter(message)?;
        *icv = if self.encrypts {
            wiped_decryption(|| {
                let (_, text) = message.split_at_mut_checked(IDS + IV)?;
                self.crypt(counter, text);
                self.icv(counter, message)
            })?
        } else {
            wiped_message(|| self.icv(counter, message))?
        };
        Some(())
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    pub(in crate::esp) fn verify(&self, esp: &[u8]) -> Option<Authentic> {
        let (message, icv) = esp.split_last_chunk()?;
        let counter = self.counter(message)?;
        Authentic::compare_long(icv, &wiped_message(|| self.icv(counter, message))?)
    }

    /// Decrypts a packet into a buffer that is as long as its payload and trailer.
    pub(in crate::esp) fn decrypt_into(&self, esp: &[u8], body: &mut [u8]) {
        let text = part(esp, IDS + IV..esp.len().saturating_sub(LONG_ICV));
        body.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        if self.encrypts
            && let Some(counter) = self.counter(esp)
        {
            wiped_decryption(|| self.crypt(counter, body));
        }
    }

    /// Decrypts a packet in place.
    pub(in crate::esp) fn decrypt(&self, esp: &mut [u8]) {
        if self.encrypts
            && let Some(counter) = self.counter(esp)
            && let Some((message, _)) = esp.split_last_chunk_mut::<LONG_ICV>()
            && let Some((_, text)) = message.split_at_mut_checked(IDS + IV)
        {
            wiped_decryption(|| self.crypt(counter, text));
        }
    }

    /// The counter block of a packet before the first (J0): salt, IV, and 1.
    fn counter(&self, message: &[u8]) -> Option<[u8; 16]> {
        let mut block = [0; 16];
        let (salt, rest) = block.split_first_chunk_mut::<4>()?;
        let (iv, number) = rest.split_first_chunk_mut::<IV>()?;
        (*salt, *iv) = (*self.salt, *message.get(IDS..)?.first_chunk()?);
        number.copy_from_slice(&1_u32.to_be_bytes());
        Some(block)
    }

    /// Payload and trailer are counted from 2 on.
    fn crypt(&self, mut counter: [u8; 16], text: &mut [u8]) {
        if let Some(last) = counter.last_mut() {
            *last += 1;
        }
        let core = CtrCore::<_, ctr::flavors::Ctr32BE>::inner_iv_init(&self.cipher, (&counter).into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(text);
    }

    /// The ICV of an encrypted packet.
    fn icv(&self, mut counter: [u8; 16], message: &[u8]) -> Option<[u8; LONG_ICV]> {
        let mut ghash = self.ghash.clone();
        let lengths = if self.encrypts {
            let (header, text) = message.split_at_checked(IDS + IV)?;
            let ids = header.get(..IDS)?;
            ghash.update_padded(ids);
            ghash.update_padded(text);
            [ids.len(), text.len()]
        } else {
            ghash.update_padded(message);
            [message.len(), 0]
        };
        let mut block = [0; 16];
        let bits = lengths.map(|len| (8 * len as u64).to_be_bytes());
        block.iter_mut().zip(bits.as_flattened()).for_each(|(to, from)| *to = *from);
        ghash.update(&[block.into()]);
        self.cipher.encrypt_block((&mut counter).into());
        let mut icv = counter;
        icv.iter_mut().zip(ghash.finalize()).for_each(|(to, from)| *to ^= from);
        Some(icv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_wipe_what_they_hold_of_keys() {
        fn wipes_itself<T: zeroize::ZeroizeOnDrop>() {}
        wipes_itself::<Aes128Enc>();
    }
}

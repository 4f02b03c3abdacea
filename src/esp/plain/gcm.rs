//! AES-GCM and AES-GMAC in ESP (RFC 4106, RFC 4543), composed of `aes` and `ghash`.
//!
//! The nonce is the salt and the IV of the packet. AES-GCM encrypts payload and trailer, and also
//! authenticates SPI and sequence number. AES-GMAC encrypts nothing and authenticates the whole
//! packet, the IV included: the figures of RFC 4543 disagree, and Linux does so.

use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, ParBlocks,
};
use aes::{Aes128Enc, Block};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

use crate::algorithm::Encryption;
use crate::esp::authentic::{Authentic, LONG_ICV};
use crate::esp::packet::IDS;
use crate::impossible::part;
use crate::key::SaKeys;
use crate::wipe::{wipe_below, wiped_gcm_icv, wiped_gcm_packet, wiped_gcm_text};

/// Octets of the IV.
const IV: usize = 8;
/// Octets of a block.
const BLOCK: usize = 16;
/// The most blocks that are encrypted together: in a long text as many as the `aes` crate can,
/// which has its round keys in several copies for that.
const FEW: usize = 16;
const MANY: usize = 64;
/// Octets of the shortest text that is long.
const LONG: usize = MANY * BLOCK;

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
        let nonce = self.nonce(message)?;
        *icv = if self.encrypts {
            wiped_gcm_packet(|| {
                let (_, text) = message.split_at_mut_checked(IDS + IV)?;
                let mask = self.mask_and_crypt(nonce, text);
                self.icv(mask, message)
            })?
        } else {
            wiped_gcm_icv(|| self.icv(self.mask(nonce), message))?
        };
        Some(())
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    pub(in crate::esp) fn verify(&self, esp: &[u8]) -> Option<Authentic> {
        let (message, icv) = esp.split_last_chunk()?;
        let nonce = self.nonce(message)?;
        Authentic::compare_long(icv, &wiped_gcm_icv(|| self.icv(self.mask(nonce), message))?)
    }

    /// Decrypts a packet into a buffer that is as long as its payload and trailer.
    pub(in crate::esp) fn decrypt_into(&self, esp: &[u8], body: &mut [u8]) {
        let text = part(esp, IDS + IV..esp.len().saturating_sub(LONG_ICV));
        body.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        if self.encrypts
            && let Some(nonce) = self.nonce(esp)
        {
            wiped_gcm_text(|| self.crypt(nonce, body));
        }
    }

    /// Decrypts a packet in place.
    pub(in crate::esp) fn decrypt(&self, esp: &mut [u8]) {
        if self.encrypts
            && let Some(nonce) = self.nonce(esp)
            && let Some((message, _)) = esp.split_last_chunk_mut::<LONG_ICV>()
            && let Some((_, text)) = message.split_at_mut_checked(IDS + IV)
        {
            wiped_gcm_text(|| self.crypt(nonce, text));
        }
    }

    /// Salt and IV at the top, and zeros where the counter will be.
    fn nonce(&self, message: &[u8]) -> Option<u128> {
        let iv = u64::from_be_bytes(*message.get(IDS..)?.first_chunk()?);
        Some(u128::from(u32::from_be_bytes(*self.salt)) << 96 | u128::from(iv) << 32)
    }

    /// The cipher of the block before the text (J0), which the ICV is encrypted with.
    fn mask(&self, nonce: u128) -> Block {
        let mut mask = counter(nonce, 1);
        self.cipher.encrypt_block(&mut mask);
        mask
    }

    /// Encrypts or decrypts payload and trailer.
    fn crypt(&self, nonce: u128, text: &mut [u8]) {
        self.cipher_over(nonce, None, text);
    }

    /// Encrypts the text, and returns what [`Gcm::mask`] does. One call for both: each call chooses
    /// the cipher again.
    fn mask_and_crypt(&self, nonce: u128, text: &mut [u8]) -> Block {
        let mut mask = Block::default();
        self.cipher_over(nonce, Some(&mut mask), text);
        mask
    }

    /// Not inlined: what it calls has its round keys below this.
    #[inline(never)]
    fn cipher_over(&self, nonce: u128, mask: Option<&mut Block>, text: &mut [u8]) {
        let is_long = text.len() >= LONG;
        if is_long {
            self.cipher.encrypt_with_backend(Counted::<MANY> { nonce, mask, text });
        } else {
            self.cipher.encrypt_with_backend(Counted::<FEW> { nonce, mask, text });
        }
        wipe_below(is_long);
    }

    /// The ICV of an encrypted packet.
    fn icv(&self, mask: Block, message: &[u8]) -> Option<[u8; LONG_ICV]> {
        let (front, text) = message.split_at_checked(IDS + IV)?;
        let ids = u64::from_be_bytes(*front.first_chunk()?);
        let text_bits = 8 * text.len() as u64;
        let (hashed, lengths) = if self.encrypts {
            (text, [8 * IDS as u64, text_bits])
        } else {
            (message, [8 * (IDS + IV) as u64 + text_bits, 0])
        };
        let (blocks, rest) = hashed.as_chunks::<BLOCK>();
        // These first: they are read in larger pieces than they are written in, and a processor
        // waits there until all that was written before has left it. The lengths go with the rest,
        // since the processor's instructions are asked for in each call.
        let [front_bits, text_bits] = lengths.map(u128::from);
        let begin = [Block::from((u128::from(ids) << 64).to_be_bytes())];
        let mut end = [Block::default(), Block::from((front_bits << 64 | text_bits).to_be_bytes())];
        end[0].iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let mut ghash = self.ghash.clone();
        if self.encrypts {
            ghash.update(&begin);
        }
        ghash.update(Block::cast_slice_from_core(blocks));
        ghash.update(if rest.is_empty() { &end[1..] } else { &end });
        let hash = u128::from_ne_bytes(ghash.finalize().into());
        Some((hash ^ u128::from_ne_bytes(mask.into())).to_ne_bytes())
    }
}

/// A text that is encrypted or decrypted in counter mode: its blocks are counted from 2 on, and the
/// block before it from 1. What the `ctr` crate has for this leaves round keys in 9 KiB of stack,
/// all of which would have to be wiped for each packet.
struct Counted<'a, const TOGETHER: usize> {
    /// Salt and IV at the top, and zeros where the counter will be.
    nonce: u128,
    /// The cipher of the block before the text, if it is asked for.
    mask: Option<&'a mut Block>,
    text: &'a mut [u8],
}

impl<const TOGETHER: usize> BlockSizeUser for Counted<'_, TOGETHER> {
    type BlockSize = U16;
}

impl<const TOGETHER: usize> BlockCipherEncClosure for Counted<'_, TOGETHER> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let counter = |number| counter(self.nonce, number);
        if let Some(mask) = self.mask {
            *mask = counter(1);
            backend.encrypt_block(mask.into());
        }
        let (mut number, mut rest) = (2, self.text);
        let together = B::ParBlocksSize::USIZE;
        if together > 1 && together <= TOGETHER {
            // Fewer blocks than a group take as long as a group, if it is small.
            let fewest = if together <= FEW { BLOCK + 1 } else { together * BLOCK };
            while rest.len() >= fewest {
                let len = rest.len().min(together * BLOCK);
                let (now, later) = core::mem::take(&mut rest).split_at_mut(len);
                let mut blocks = ParBlocks::<B>::default();
                for block in &mut blocks {
                    *block = counter(number);
                    number += 1;
                }
                backend.encrypt_par_blocks((&mut blocks).into());
                now.chunks_mut(BLOCK).zip(&blocks).for_each(|(text, stream)| add(text, stream));
                rest = later;
            }
        }
        for text in rest.chunks_mut(BLOCK) {
            let mut block = counter(number);
            number += 1;
            backend.encrypt_block((&mut block).into());
            add(text, &block);
        }
    }
}

/// The block of a counter; the nonce has zeros where it will be.
#[inline(always)]
fn counter(nonce: u128, number: u32) -> Block {
    Block::from((nonce | u128::from(number)).to_be_bytes())
}

/// Adds key stream to a block, or to the rest of a text.
#[inline(always)]
fn add(text: &mut [u8], stream: &Block) {
    match <&mut [u8; BLOCK]>::try_from(&mut *text).ok() {
        Some(text) => {
            *text = (u128::from_ne_bytes(*text) ^ u128::from_ne_bytes((*stream).into())).to_ne_bytes()
        }
        None => text.iter_mut().zip(stream).for_each(|(text, stream)| *text ^= stream),
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

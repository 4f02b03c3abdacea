//! ESP as one writes it in an afternoon from `cbc`, `aes`, `des`, `hmac` and `aes-gcm`: the
//! yardstick of the single-packet path.
//!
//! It does less than the library: the IPv4 header is taken to be 20 octets and right, the replay
//! window is one word, and there are no selectors, counters, limits, checks of the padding, or
//! reasons for a refusal.

use aes::{Aes128Dec, Aes128Enc};
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::AeadInOut;
use cbc::cipher::{BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use des::TdesEde3;
use hmac::{Hmac, Mac};
use ipsec_3gpp::Suite;
use ipsec_3gpp::algorithm::{Encryption, Integrity};
use ipsec_3gpp::key::SaKeys;

const IP: usize = 20;
const ESP: u8 = 50;

enum Cipher {
    Null,
    DesEde3(Box<TdesEde3>),
    Aes(Box<(Aes128Enc, Aes128Dec)>),
    /// With the salt. AES-GMAC has no text, and all of the packet in front of it.
    Gcm(Box<Aes128Gcm>, [u8; 4]),
}

enum Key {
    Md5(Hmac<md5::Md5>),
    Sha1(Hmac<sha1::Sha1>),
    /// The cipher authenticates.
    None,
}

pub struct Plain {
    suite: Suite,
    cipher: Cipher,
    key: Key,
    spi: u32,
    sequence: u32,
    /// The highest sequence number opened, and which of the 64 up to it.
    highest: u32,
    seen: u64,
}

impl Plain {
    pub fn new(keys: &SaKeys, spi: u32) -> Self {
        let (suite, cipher_key, key) = (keys.suite(), keys.expose_encryption(), keys.expose_integrity());
        Self {
            suite,
            cipher: match suite.encryption() {
                _ if suite.is_gcm() => {
                    let material = if suite.encrypts() { cipher_key } else { key };
                    let (key, salt) = material.split_at(16);
                    Cipher::Gcm(Box::new(Aes128Gcm::new_from_slice(key).unwrap()), salt.try_into().unwrap())
                }
                Encryption::DesEde3Cbc => {
                    Cipher::DesEde3(Box::new(TdesEde3::new_from_slice(cipher_key).unwrap()))
                }
                Encryption::AesCbc => Cipher::Aes(Box::new((
                    Aes128Enc::new_from_slice(cipher_key).unwrap(),
                    Aes128Dec::new_from_slice(cipher_key).unwrap(),
                ))),
                _ => Cipher::Null,
            },
            key: match suite.integrity() {
                _ if suite.is_gcm() => Key::None,
                Integrity::HmacMd5_96 => Key::Md5(Hmac::new_from_slice(key).unwrap()),
                _ => Key::Sha1(Hmac::new_from_slice(key).unwrap()),
            },
            spi,
            sequence: 0,
            highest: 0,
            seen: 0,
        }
    }

    /// Returns the length of the packet.
    pub fn seal(&mut self, datagram: &[u8], out: &mut [u8]) -> usize {
        self.sequence += 1;
        let payload = &datagram[IP..];
        let (iv_len, block) = (self.suite.iv_len(), self.suite.block_len());
        let pad_len = (block - (payload.len() + 2) % block) % block;
        let (iv_at, body_at) = (IP + 8, IP + 8 + iv_len);
        let end = body_at + payload.len() + pad_len + 2;
        out[..IP].copy_from_slice(&datagram[..IP]);
        let icv_len = self.suite.icv_len();
        mend(&mut out[..IP], end + icv_len, ESP);
        out[IP..IP + 4].copy_from_slice(&self.spi.to_be_bytes());
        out[IP + 4..IP + 8].copy_from_slice(&self.sequence.to_be_bytes());
        out[body_at..body_at + payload.len()].copy_from_slice(payload);
        for n in 0..pad_len {
            out[body_at + payload.len() + n] = n as u8 + 1;
        }
        out[end - 2] = pad_len as u8;
        out[end - 1] = datagram[9];
        let mut iv = [0; 16];
        iv[..4].copy_from_slice(&self.spi.to_be_bytes());
        iv[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        match &self.cipher {
            Cipher::Null => {}
            Cipher::DesEde3(cipher) => {
                let iv: &mut [u8; 8] = iv.first_chunk_mut().unwrap();
                cipher.encrypt_block(iv.into());
                out[iv_at..body_at].copy_from_slice(iv);
                let (blocks, _) = cbc::cipher::Array::slice_as_chunks_mut(&mut out[body_at..end]);
                cbc::Encryptor::inner_iv_init(cipher.as_ref(), (&*iv).into()).encrypt_blocks(blocks);
            }
            Cipher::Aes(cipher) => {
                cipher.0.encrypt_block((&mut iv).into());
                out[iv_at..body_at].copy_from_slice(&iv);
                let (blocks, _) = cbc::cipher::Array::slice_as_chunks_mut(&mut out[body_at..end]);
                cbc::Encryptor::inner_iv_init(&cipher.0, (&iv).into()).encrypt_blocks(blocks);
            }
            Cipher::Gcm(cipher, salt) => {
                out[iv_at..body_at].copy_from_slice(&iv[..8]);
                let nonce = nonce(salt, &iv[..8]);
                let front = if self.suite.encrypts() { iv_at } else { end };
                let (front, rest) = out.split_at_mut(front);
                let text: &mut [u8] = if self.suite.encrypts() { &mut rest[8..end - iv_at] } else { &mut [] };
                let tag = cipher.encrypt_inout_detached((&nonce).into(), &front[IP..], text.into()).unwrap();
                out[end..end + icv_len].copy_from_slice(&tag);
                return end + icv_len;
            }
        }
        let icv = self.icv(&out[IP..end]);
        out[end..end + icv_len].copy_from_slice(&icv);
        end + icv_len
    }

    /// Forgets which sequence numbers were opened.
    pub fn forget(&mut self) {
        (self.highest, self.seen) = (0, 0);
    }

    /// Returns the length of the datagram; `None` if the packet is of another SA, seen before, or
    /// forged.
    pub fn open(&mut self, packet: &[u8], out: &mut [u8]) -> Option<usize> {
        let number = |at: usize| u32::from_be_bytes(*packet[at..].first_chunk().unwrap());
        let (spi, sequence) = (number(IP), number(IP + 4));
        let behind = self.highest.wrapping_sub(sequence);
        let new = sequence > self.highest;
        if spi != self.spi || sequence == 0 || !new && (behind >= 64 || self.seen >> behind & 1 != 0) {
            return None;
        }
        let end = packet.len() - self.suite.icv_len();
        let body_at = IP + 8 + self.suite.iv_len();
        if let Cipher::Gcm(cipher, salt) = &self.cipher {
            let nonce = nonce(salt, &packet[IP + 8..body_at]);
            let tag: &[u8; 16] = packet[end..].first_chunk()?;
            let body = &mut out[IP..IP + end - body_at];
            body.copy_from_slice(&packet[body_at..end]);
            let (front, text): (&[u8], &mut [u8]) =
                if self.suite.encrypts() { (&packet[IP..IP + 8], body) } else { (&packet[IP..end], &mut []) };
            cipher.decrypt_inout_detached((&nonce).into(), front, text.into(), tag.into()).ok()?;
        } else {
            let icv = self.icv(&packet[IP..end]);
            if !bool::from(subtle::ConstantTimeEq::ct_eq(&icv[..], &packet[end..])) {
                return None;
            }
        }
        if new {
            self.seen = self.seen.checked_shl(sequence - self.highest).unwrap_or(0) | 1;
            self.highest = sequence;
        } else {
            self.seen |= 1 << behind;
        }
        out[..IP].copy_from_slice(&packet[..IP]);
        let body = &mut out[IP..IP + end - body_at];
        if !self.suite.is_gcm() {
            body.copy_from_slice(&packet[body_at..end]);
        }
        match &self.cipher {
            Cipher::Null | Cipher::Gcm(..) => {}
            Cipher::DesEde3(cipher) => {
                let iv: &[u8; 8] = packet[IP + 8..].first_chunk()?;
                let (blocks, _) = cbc::cipher::Array::slice_as_chunks_mut(body);
                cbc::Decryptor::inner_iv_init(cipher.as_ref(), iv.into()).decrypt_blocks(blocks);
            }
            Cipher::Aes(cipher) => {
                let iv: &[u8; 16] = packet[IP + 8..].first_chunk()?;
                let (blocks, _) = cbc::cipher::Array::slice_as_chunks_mut(body);
                cbc::Decryptor::inner_iv_init(&cipher.1, iv.into()).decrypt_blocks(blocks);
            }
        }
        let pad_len = usize::from(body[body.len() - 2]);
        let next_header = body[body.len() - 1];
        let len = IP + body.len().checked_sub(pad_len + 2)?;
        mend(&mut out[..IP], len, next_header);
        Some(len)
    }

    fn icv(&self, message: &[u8]) -> [u8; ICV] {
        let mut icv = [0; ICV];
        match &self.key {
            Key::Md5(key) => {
                icv.copy_from_slice(&key.clone().chain_update(message).finalize().into_bytes()[..ICV]);
            }
            Key::Sha1(key) => {
                icv.copy_from_slice(&key.clone().chain_update(message).finalize().into_bytes()[..ICV]);
            }
            Key::None => {}
        }
        icv
    }
}

fn nonce(salt: &[u8; 4], iv: &[u8]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(salt);
    nonce[4..].copy_from_slice(iv);
    nonce
}

/// Octets of the ICV of the HMACs.
const ICV: usize = 12;

/// Total length, protocol and checksum of an IPv4 header.
fn mend(header: &mut [u8], len: usize, protocol: u8) {
    header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    header[9] = protocol;
    header[10..12].fill(0);
    let sum: u32 = header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

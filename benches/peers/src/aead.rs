//! AES-GCM and AES-GMAC of ring and aws-lc-rs, with keys that are kept: one packet after the other.

use aws_lc_rs::aead as aws;
use ipsec_3gpp::algorithm::Encryption;
use ipsec_3gpp::key::SaKeys;
use ring::aead as ring;

const BODY: usize = 16;
const ICV: usize = 16;

/// One SA, as both have it.
pub struct Sa {
    salt: [u8; 4],
    encrypts: bool,
    ring: ring::LessSafeKey,
    aws: aws::LessSafeKey,
}

/// Seals in place, or opens into another buffer. False if a packet is refused.
pub type Call = fn(&Sa, &mut [u8], Option<&mut [u8]>) -> bool;

/// The names of both, with their versions.
pub const CALLS: [(&str, Call); 2] = [("ring 0.17", ring_call), ("aws-lc-rs 1", aws_call)];

impl Sa {
    pub fn new(keys: &SaKeys) -> Self {
        let encrypts = keys.suite().encryption() == Encryption::AesGcm;
        let material = if encrypts { keys.expose_encryption() } else { keys.expose_integrity() };
        let (key, salt) = material.split_at(16);
        Self {
            salt: salt.try_into().unwrap(),
            encrypts,
            ring: ring::LessSafeKey::new(ring::UnboundKey::new(&ring::AES_128_GCM, key).unwrap()),
            aws: aws::LessSafeKey::new(aws::UnboundKey::new(&aws::AES_128_GCM, key).unwrap()),
        }
    }

    fn nonce(&self, esp: &[u8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(&esp[8..BODY]);
        nonce
    }
}

fn ring_call(sa: &Sa, esp: &mut [u8], out: Option<&mut [u8]>) -> bool {
    let nonce = ring::Nonce::assume_unique_for_key(sa.nonce(esp));
    let message = esp.len() - ICV;
    let (text, icv) = esp.split_at_mut(message);
    let aad = if sa.encrypts { 8 } else { message };
    let Some(out) = out else {
        let (front, body) = text.split_at_mut(if sa.encrypts { BODY } else { message });
        let tag = sa.ring.seal_in_place_separate_tag(nonce, ring::Aad::from(&front[..aad]), body).unwrap();
        icv.copy_from_slice(tag.as_ref());
        return true;
    };
    // It opens in place only.
    let out = &mut out[..message - BODY + ICV];
    out[..message - BODY].copy_from_slice(&text[BODY..]);
    out[message - BODY..].copy_from_slice(icv);
    let sealed = if sa.encrypts { 0 } else { message - BODY };
    sa.ring.open_in_place(nonce, ring::Aad::from(&text[..aad]), &mut out[sealed..]).is_ok()
}

fn aws_call(sa: &Sa, esp: &mut [u8], out: Option<&mut [u8]>) -> bool {
    let nonce = aws::Nonce::assume_unique_for_key(sa.nonce(esp));
    let message = esp.len() - ICV;
    let (text, icv) = esp.split_at_mut(message);
    let aad = if sa.encrypts { 8 } else { message };
    let Some(out) = out else {
        let (front, body) = text.split_at_mut(if sa.encrypts { BODY } else { message });
        let tag = sa.aws.seal_in_place_separate_tag(nonce, aws::Aad::from(&front[..aad]), body).unwrap();
        icv.copy_from_slice(tag.as_ref());
        return true;
    };
    let out = &mut out[..message - BODY];
    if sa.encrypts {
        return sa
            .aws
            .open_separate_gather(nonce, aws::Aad::from(&text[..8]), &text[BODY..], icv, out)
            .is_ok();
    }
    out.copy_from_slice(&text[BODY..]);
    sa.aws.open_separate_gather(nonce, aws::Aad::from(&*text), &[], icv, &mut []).is_ok()
}

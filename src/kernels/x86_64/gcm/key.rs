//! The keys of AES-GCM and AES-GMAC, and which kernel uses them.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::super::aes::ni;
use super::super::detect::{Kind, Vectors};
use super::kernel::{four, one, two};
use super::powers;
use crate::wipe::wiped_kernel;

cpufeatures::new!(has_pclmulqdq, "pclmulqdq");
cpufeatures::new!(has_vaes, "vaes", "vpclmulqdq");

/// Octets of a block.
pub(super) const BLOCK: usize = 16;
/// The highest power of H.
pub(super) const LAST_POWER: usize = 17;
/// Powers of H, and what vectors read after them.
pub(super) const POWERS: usize = LAST_POWER + 2;

/// Round keys, and powers of H.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Expanded {
    pub(super) round_keys: [[u8; BLOCK]; 11],
    /// From [`LAST_POWER`] down to 1, multiplied by x, in the other order of octets; then zeros.
    pub(super) powers: [[u8; BLOCK]; POWERS],
}

/// What is authenticated in front of a text that is encrypted: at most a block.
#[derive(Clone, Copy)]
pub(crate) struct Front {
    /// The octets as a number, the first one at the top, and zeros.
    pub(crate) block: u128,
    /// How many they are.
    pub(crate) octets: u64,
}

/// A key for AES-GCM or AES-GMAC, for all packets of the SAs that share it. It wipes itself.
pub(crate) struct Key {
    width: Width,
    expanded: Expanded,
}

/// The kernel. With sixteen registers, the compiler keeps round keys on the stack, which is wiped
/// after each call. Made only where the machine has what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    One,
    Two,
    Four,
}

#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl Key {
    /// `None` if the machine multiplies no polynomials.
    pub(crate) fn new(vectors: Vectors, key: &[u8; BLOCK]) -> Option<Self> {
        if !has_pclmulqdq::get() {
            return None;
        }
        let width = match vectors.kind() {
            Kind::Avx512 { .. } if has_vaes::get() => Width::Four,
            Kind::Avx2 if has_vaes::get() => Width::Two,
            Kind::Avx512 { .. } | Kind::Avx2 => Width::One,
        };
        Some(Self::of(width, key))
    }

    fn of(width: Width, key: &[u8; BLOCK]) -> Self {
        let mut new =
            Self { width, expanded: Expanded { round_keys: [[0; BLOCK]; 11], powers: [[0; BLOCK]; POWERS] } };
        // SAFETY: vectors of either kind are a proof that the machine has AES-NI; PCLMULQDQ was
        // asked for.
        unsafe {
            ni::encrypting(key, &mut new.expanded.round_keys);
            powers::write(&mut new.expanded);
        }
        new
    }

    /// Encrypts a text in place, and returns the ICV of the octets in front of it and of the text.
    /// `counter` is J0, as a number.
    #[inline]
    pub(crate) fn seal(&self, counter: u128, front: Front, text: &mut [u8]) -> [u8; BLOCK] {
        let key = &self.expanded;
        // SAFETY: a kernel is chosen only where the machine has what it needs.
        unsafe {
            match self.width {
                Width::One => wiped_kernel(|| one::seal(key, counter, front, text)),
                Width::Two => wiped_kernel(|| two::seal(key, counter, front, text)),
                Width::Four => four::seal(key, counter, front, text),
            }
        }
    }

    /// The ICV of an encrypted text and of the octets in front of it, or of a text that is not
    /// encrypted.
    #[inline]
    pub(crate) fn icv(&self, counter: u128, front: Option<Front>, text: &[u8]) -> [u8; BLOCK] {
        let key = &self.expanded;
        // SAFETY: as above.
        unsafe {
            match self.width {
                Width::One => wiped_kernel(|| one::icv(key, counter, front, text)),
                Width::Two => wiped_kernel(|| two::icv(key, counter, front, text)),
                Width::Four => four::icv(key, counter, front, text),
            }
        }
    }

    /// Decrypts into a buffer that is as long as the text.
    #[inline]
    pub(crate) fn decrypt_into(&self, counter: u128, from: &[u8], to: &mut [u8]) {
        let key = &self.expanded;
        // SAFETY: as above.
        unsafe {
            match self.width {
                Width::One => wiped_kernel(|| one::crypt_into(key, counter, from, to)),
                Width::Two => wiped_kernel(|| two::crypt_into(key, counter, from, to)),
                Width::Four => four::crypt_into(key, counter, from, to),
            }
        }
    }

    /// Decrypts in place.
    #[inline]
    pub(crate) fn decrypt(&self, counter: u128, text: &mut [u8]) {
        let key = &self.expanded;
        // SAFETY: as above.
        unsafe {
            match self.width {
                Width::One => wiped_kernel(|| one::crypt(key, counter, text)),
                Width::Two => wiped_kernel(|| two::crypt(key, counter, text)),
                Width::Four => four::crypt(key, counter, text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher};
    use ghash::universal_hash::UniversalHash;

    use super::*;

    /// What the crates make of it: text encrypted, and the ICV.
    fn judge(key: &[u8; BLOCK], counter: [u8; BLOCK], front: &[u8], text: &[u8]) -> (Vec<u8>, [u8; BLOCK]) {
        let cipher = aes::Aes128Enc::new(key.into());
        let mut h = [0; BLOCK];
        cipher.encrypt_block((&mut h).into());
        let mut text = text.to_vec();
        let mut second = counter;
        second[15] += 1;
        let core = ctr::CtrCore::<_, ctr::flavors::Ctr32BE>::inner_iv_init(&cipher, (&second).into());
        ctr::cipher::StreamCipherCoreWrapper::from_core(core).apply_keystream(&mut text);
        let mut ghash = ghash::GHash::new((&h).into());
        ghash.update_padded(front);
        ghash.update_padded(&text);
        let bits = [8 * front.len() as u64, 8 * text.len() as u64].map(u64::to_be_bytes);
        ghash.update(&[<[u8; BLOCK]>::try_from(bits.as_flattened()).unwrap().into()]);
        let mut icv = counter;
        cipher.encrypt_block((&mut icv).into());
        icv.iter_mut().zip(ghash.finalize()).for_each(|(to, from)| *to ^= from);
        (text, icv)
    }

    /// All that this machine has: those that are chosen, and the narrowest.
    fn widths() -> impl Iterator<Item = Width> {
        let chosen =
            || Vectors::available().filter_map(|vectors| Some(Key::new(vectors, &[0; BLOCK])?.width));
        chosen().chain(chosen().next().map(|_| Width::One))
    }

    fn front(octets: &[u8]) -> Front {
        let mut block = [0; BLOCK];
        block.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        Front { block: u128::from_be_bytes(block), octets: octets.len() as u64 }
    }

    /// Those of Wycheproof that have a key of 128 bits, a nonce of 96, and at most a block in
    /// front, or no text; and the packets of draft-mcgrew-gcm-test with such a key, extended
    /// sequence numbers included.
    #[test]
    fn the_answers_are_those_of_wycheproof_and_of_the_draft() {
        let mut cases = Vec::new();
        for case in crate::vectors::vectors(include_str!("../../../../tests/data/wycheproof-aes-gcm.txt")) {
            let mut tag = case.hex("tag");
            tag.push(u8::from(case.text("valid") == "true"));
            let part = |name: &str| case.hex(name);
            cases.push([part("key"), part("nonce"), part("aad"), part("plaintext"), part("ctext"), tag]);
        }
        for case in crate::vectors::vectors(include_str!("../../../../tests/data/gcm-esp.txt")) {
            let mut text = case.hex("ctext_tag");
            let mut tag = text.split_off(text.len() - BLOCK);
            tag.push(1);
            cases.push([
                case.hex("key"),
                case.hex("nonce"),
                case.hex("aad"),
                case.hex("plaintext"),
                text,
                tag,
            ]);
        }
        let (mut sealed, mut macs) = (0, 0);
        for width in widths() {
            for [secret, nonce, aad, plain, text, tag] in &cases {
                let key = Key::of(width, secret.first_chunk().unwrap());
                let counter =
                    u128::from_be_bytes([nonce.as_slice(), &[0, 0, 0, 1]].concat().try_into().unwrap());
                let (tag, is_valid) = (&tag[..BLOCK], tag[BLOCK] == 1);
                if plain.is_empty() {
                    assert_eq!(key.icv(counter, None, aad) == *tag, is_valid, "{width:?}");
                    macs += 1;
                }
                if aad.len() <= BLOCK {
                    assert_eq!(key.icv(counter, Some(front(aad)), text) == *tag, is_valid, "{width:?}");
                    if is_valid {
                        let mut found = plain.clone();
                        assert_eq!(key.seal(counter, front(aad), &mut found), tag, "{width:?}");
                        assert_eq!(found, *text, "{width:?}");
                        key.decrypt(counter, &mut found);
                        assert_eq!(found, *plain, "{width:?}");
                        sealed += 1;
                    }
                }
            }
        }
        assert!(sealed >= 36 * widths().count() && macs >= widths().count(), "{sealed} {macs}");
    }

    #[test]
    fn every_width_and_length_gives_what_the_crates_give() {
        for width in widths() {
            for len in 0..700 {
                let octet = |n: usize| (n * 7 + len * 13) as u8;
                let secret: [u8; BLOCK] = core::array::from_fn(|n| octet(n + 100));
                let mut j0: [u8; BLOCK] = core::array::from_fn(|n| octet(n + 200));
                j0[12..].copy_from_slice(&1_u32.to_be_bytes());
                let counter = u128::from_be_bytes(j0);
                let octets: [u8; 8] = core::array::from_fn(octet);
                let text: Vec<u8> = (0..len).map(octet).collect();
                let (sealed, icv) = judge(&secret, j0, &octets, &text);
                let key = Key::of(width, &secret);
                let front = front(&octets);
                let mut found = text.clone();
                assert_eq!(key.seal(counter, front, &mut found), icv, "{width:?}, {len} octets");
                assert_eq!(found, sealed, "{width:?}, {len} octets");
                assert_eq!(key.icv(counter, Some(front), &sealed), icv, "{width:?}, {len} octets");
                let (_, of_front) = judge(&secret, j0, &text, &[]);
                assert_eq!(key.icv(counter, None, &text), of_front, "{width:?}, {len} octets");
                let mut into = vec![0; len];
                key.decrypt_into(counter, &sealed, &mut into);
                key.decrypt(counter, &mut found);
                assert_eq!((&into, &found), (&text, &text), "{width:?}, {len} octets");
            }
        }
    }
}

//! CK and IK of AKA, and their expansion into ESP keys (TS 33.203 Annex I).
//!
//! Every type here wipes itself when dropped, prints none of its contents, is not `Clone`, and
//! compares only in constant time.

use core::fmt;
use core::str::FromStr;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::algorithm::{Encryption, Integrity, Suite};
use crate::impossible::part;
#[cfg(feature = "aes-gcm")]
use crate::impossible::part_mut;

/// Why keys were refused. The values themselves are never part of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Two adjacent DES keys are equal but for their parity bits: 3DES would be single DES, which
    /// RFC 2451 2.3 says must be rejected. From Annex I this happens only if the halves of CK are
    /// equal.
    #[error("two adjacent keys of des-ede3-cbc are equal")]
    EqualDesKeys,
    /// A key has not the length that its algorithm needs (TS 33.203 Annex I), in octets.
    #[error("key of {found} octets: {algorithm} needs {needed}")]
    Length {
        /// The token of the algorithm that the key is for.
        algorithm: &'static str,
        /// Octets needed.
        needed: usize,
        /// Octets given.
        found: usize,
    },
    /// The text is not exactly 32 hexadecimal digits.
    #[error("key is not 32 hexadecimal digits")]
    Hexadecimal,
}

crate::code::codes!(KeyError {
    KeyError::EqualDesKeys => "key-equal-des-keys",
    KeyError::Length { .. } => "key-length",
    KeyError::Hexadecimal => "key-hexadecimal",
});

macro_rules! aka_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Takes the 16 octets over. The caller's own copy is the caller's to wipe.
            pub const fn new(octets: [u8; 16]) -> Self {
                Self(octets)
            }

            /// The secret octets.
            pub const fn expose(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            /// Reads 32 hexadecimal digits, as a 401 carries them to the P-CSCF.
            fn from_str(text: &str) -> Result<Self, KeyError> {
                let mut key = Self([0; 16]);
                let (pairs, rest) = text.as_bytes().as_chunks::<2>();
                if pairs.len() != key.0.len() || !rest.is_empty() {
                    return Err(KeyError::Hexadecimal);
                }
                for (octet, [high, low]) in key.0.iter_mut().zip(pairs) {
                    let digit = |character: u8| (character as char).to_digit(16).ok_or(KeyError::Hexadecimal);
                    *octet = (digit(*high)? << 4 | digit(*low)?) as u8;
                }
                Ok(key)
            }
        }

        impl ConstantTimeEq for $name {
            fn ct_eq(&self, other: &Self) -> Choice {
                self.0.ct_eq(&other.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

aka_key! {
    /// CK of AKA: the 128-bit cipher key that the S-CSCF sends to the P-CSCF and the ISIM gives to
    /// the UE.
    Ck
}
aka_key! {
    /// IK of AKA: the 128-bit integrity key that the S-CSCF sends to the P-CSCF and the ISIM gives
    /// to the UE.
    Ik
}

/// IK<sub>ESP</sub> and CK<sub>ESP</sub>: the expanded keys that the four SAs of a set share.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SaKeys {
    #[zeroize(skip)]
    suite: Suite,
    integrity: [u8; 20],
    encryption: [u8; 24],
}

impl SaKeys {
    /// Expands CK and IK for a suite (TS 33.203 Annex I).
    ///
    /// | algorithm | key |
    /// |---|---|
    /// | hmac-md5-96 | IK |
    /// | hmac-sha-1-96 | IK and 32 zero bits |
    /// | des-ede3-cbc | CK1, CK2, CK1, where CK1 and CK2 are the halves of CK |
    /// | aes-cbc | CK |
    /// | aes-gmac | IK and a salt |
    /// | aes-gcm | CK and a salt |
    /// | null | none |
    ///
    /// A salt is the last 4 octets of the KDF of TS 33.220 Annex B over CK and IK, with FC 0x58 and
    /// `AES_GMAC_SALT`, or FC 0x59 and `AES_GCM_SALT`.
    ///
    /// # Errors
    /// [`KeyError::EqualDesKeys`] for des-ede3-cbc if CK1 equals CK2 but for parity bits. Wrong
    /// parity alone is no error: AKA does not set it and DES does not read it.
    pub fn expand(suite: Suite, ck: &Ck, ik: &Ik) -> Result<Self, KeyError> {
        let mut keys = Self { suite, integrity: [0; 20], encryption: [0; 24] };
        match suite.integrity() {
            // The four octets after IK stay zero; for MD5 they are not part of the key.
            #[cfg(feature = "hmac-md5-96")]
            Integrity::HmacMd5_96 => copy(&mut keys.integrity, ik.expose()),
            Integrity::HmacSha1_96 => copy(&mut keys.integrity, ik.expose()),
            #[cfg(feature = "aes-gcm")]
            Integrity::AesGmac => {
                let [key @ .., _, _, _, _] = &mut keys.integrity;
                copy(key, ik.expose());
                let salt = salt(ck, ik, 0x58, b"AES_GMAC_SALT");
                copy(part_mut(&mut keys.integrity, 16..), salt.as_slice());
            }
            #[cfg(feature = "aes-gcm")]
            Integrity::Null => {}
        }
        match suite.encryption() {
            Encryption::Null => {}
            Encryption::AesCbc => copy(&mut keys.encryption, ck.expose()),
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => {
                let (first, second) = ck.expose().split_at(8);
                for (to, from) in keys.encryption.chunks_exact_mut(8).zip([first, second, first]) {
                    copy(to, from);
                }
                refuse_equal_des_keys(&keys.encryption)?;
            }
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => {
                copy(&mut keys.encryption, ck.expose());
                let salt = salt(ck, ik, 0x59, b"AES_GCM_SALT");
                copy(part_mut(&mut keys.encryption, 16..), salt.as_slice());
            }
        }
        Ok(keys)
    }

    /// Takes keys that are already expanded, as a capture tool or a kernel's SA has them: those of
    /// AES-GCM and AES-GMAC with the salt after them (RFC 4106 8.1).
    ///
    /// # Errors
    /// [`KeyError::Length`] if a key has another length than the suite needs,
    /// [`KeyError::EqualDesKeys`] as for [`SaKeys::expand`].
    pub fn from_expanded(suite: Suite, integrity: &[u8], encryption: &[u8]) -> Result<Self, KeyError> {
        let check = |algorithm, needed, found| {
            if needed == found { Ok(()) } else { Err(KeyError::Length { algorithm, needed, found }) }
        };
        check(suite.integrity().token(), suite.integrity().key_len(), integrity.len())?;
        check(suite.encryption().token(), suite.encryption().key_len(), encryption.len())?;
        let mut keys = Self { suite, integrity: [0; 20], encryption: [0; 24] };
        copy(&mut keys.integrity, integrity);
        copy(&mut keys.encryption, encryption);
        #[cfg(feature = "des-ede3-cbc")]
        if suite.encryption() == Encryption::DesEde3Cbc {
            refuse_equal_des_keys(&keys.encryption)?;
        }
        Ok(keys)
    }

    /// A second copy, for a data path that installs later. It wipes itself like the first.
    pub(crate) const fn duplicate(&self) -> Self {
        Self { suite: self.suite, integrity: self.integrity, encryption: self.encryption }
    }

    /// The suite that the keys are for.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The secret octets of IK<sub>ESP</sub>; for aes-gmac with the salt after them.
    pub fn expose_integrity(&self) -> &[u8] {
        part(self.integrity.as_slice(), ..self.suite.integrity().key_len())
    }

    /// The secret octets of CK<sub>ESP</sub>, for aes-gcm with the salt after them; none for
    /// encryption null.
    pub fn expose_encryption(&self) -> &[u8] {
        part(self.encryption.as_slice(), ..self.suite.encryption().key_len())
    }

    #[cfg(feature = "des-ede3-cbc")]
    pub(crate) const fn expose_des_ede3(&self) -> &[u8; 24] {
        &self.encryption
    }

    pub(crate) fn expose_aes(&self) -> &[u8; 16] {
        // A prefix of an array that is longer: there is always one.
        self.encryption.first_chunk().unwrap_or(&[0; 16])
    }
}

#[cfg(feature = "aes-gcm")]
impl SaKeys {
    /// The key and the salt of AES-GCM or AES-GMAC.
    pub(crate) fn expose_gcm(&self) -> (&[u8; 16], &[u8; 4]) {
        let octets =
            if self.suite.encrypts() { self.encryption.as_slice() } else { self.integrity.as_slice() };
        let read = octets.split_first_chunk().and_then(|(key, rest)| Some((key, rest.first_chunk()?)));
        read.unwrap_or((&[0; 16], &[0; 4]))
    }
}

/// The salt of AES-GCM or AES-GMAC (TS 33.203 Annex I): the last octets of the KDF of TS 33.220
/// Annex B.
#[cfg(feature = "aes-gcm")]
fn salt(ck: &Ck, ik: &Ik, fc: u8, name: &[u8]) -> zeroize::Zeroizing<[u8; 4]> {
    use hmac::{KeyInit, Mac};
    let mut key = zeroize::Zeroizing::new([0; 64]);
    copy(part_mut(&mut *key, ..16), ck.expose());
    copy(part_mut(&mut *key, 16..), ik.expose());
    crate::wipe::wiped_message(|| {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new((&*key).into());
        mac.update(&[fc]);
        mac.update(name);
        mac.update(&(name.len() as u16).to_be_bytes());
        let mut kdf = mac.finalize().into_bytes();
        let mut salt = zeroize::Zeroizing::new([0; 4]);
        copy(&mut *salt, part(&kdf[..], 28..));
        kdf.as_mut_slice().zeroize();
        salt
    })
}

impl fmt::Debug for SaKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaKeys({}, ..)", self.suite)
    }
}

impl ConstantTimeEq for SaKeys {
    /// Equal if suite and both keys are; the suite is no secret.
    fn ct_eq(&self, other: &Self) -> Choice {
        Choice::from(u8::from(self.suite == other.suite))
            & self.integrity.ct_eq(&other.integrity)
            & self.encryption.ct_eq(&other.encryption)
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(feature = "des-ede3-cbc")]
fn refuse_equal_des_keys(keys: &[u8; 24]) -> Result<(), KeyError> {
    const WITHOUT_PARITY: u8 = 0xfe;
    let equal = |a: &[u8], b: &[u8]| {
        let difference = a.iter().zip(b).fold(0, |sum, (a, b)| sum | ((a ^ b) & WITHOUT_PARITY));
        difference.ct_eq(&0)
    };
    let (first, rest) = keys.split_at(8);
    let (second, third) = rest.split_at(8);
    if bool::from(equal(first, second) | equal(second, third)) { Err(KeyError::EqualDesKeys) } else { Ok(()) }
}

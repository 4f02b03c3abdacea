//! The algorithms that `ipsec-3gpp` can signal (TS 33.203 Annex H) and their combinations.

use core::fmt;
use core::str::FromStr;

/// Whether the legacy algorithms are part of this build, as numbers.
const MD5: usize = cfg!(feature = "hmac-md5-96") as usize;
const DES: usize = cfg!(feature = "des-ede3-cbc") as usize;
const GCM: usize = cfg!(feature = "aes-gcm") as usize;

/// Integrity algorithm of an SA: the parameter `alg` (TS 33.203 Annex H).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Integrity {
    /// HMAC-MD5-96, RFC 2403. Signalled by Releases 5 to 12; legacy. Left out without the feature
    /// `hmac-md5-96`: its token is then one of an unknown algorithm.
    #[cfg(feature = "hmac-md5-96")]
    HmacMd5_96,
    /// HMAC-SHA-1-96, RFC 2404.
    HmacSha1_96,
    /// AES-GMAC, RFC 4543: never with an encryption algorithm. Since Release 13. Left out without
    /// the feature `aes-gcm`.
    #[cfg(feature = "aes-gcm")]
    AesGmac,
    /// None of its own: with `aes-gcm` alone, which authenticates too. Since Release 13. Left out
    /// without the feature `aes-gcm`.
    #[cfg(feature = "aes-gcm")]
    Null,
}

impl Integrity {
    /// Every integrity algorithm of this build.
    pub const ALL: [Integrity; 1 + MD5 + 2 * GCM] = [
        #[cfg(feature = "hmac-md5-96")]
        Integrity::HmacMd5_96,
        Integrity::HmacSha1_96,
        #[cfg(feature = "aes-gcm")]
        Integrity::AesGmac,
        #[cfg(feature = "aes-gcm")]
        Integrity::Null,
    ];

    /// The token of `alg=`.
    pub const fn token(self) -> &'static str {
        match self {
            #[cfg(feature = "hmac-md5-96")]
            Integrity::HmacMd5_96 => "hmac-md5-96",
            Integrity::HmacSha1_96 => "hmac-sha-1-96",
            #[cfg(feature = "aes-gcm")]
            Integrity::AesGmac => "aes-gmac",
            #[cfg(feature = "aes-gcm")]
            Integrity::Null => "null",
        }
    }

    /// Octets of IK<sub>ESP</sub> (TS 33.203 Annex I); of AES-GMAC, with the salt of 4 octets.
    pub const fn key_len(self) -> usize {
        match self {
            #[cfg(feature = "hmac-md5-96")]
            Integrity::HmacMd5_96 => 16,
            Integrity::HmacSha1_96 => 20,
            #[cfg(feature = "aes-gcm")]
            Integrity::AesGmac => 20,
            #[cfg(feature = "aes-gcm")]
            Integrity::Null => 0,
        }
    }
}

/// Encryption algorithm of an SA: the parameter `ealg` (TS 33.203 Annex H).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encryption {
    /// No encryption, RFC 2410; what an absent `ealg` means.
    Null,
    /// DES-EDE3-CBC, RFC 2451. Signalled by Releases 6 to 12; legacy. Left out without the feature
    /// `des-ede3-cbc`: its token is then one of an unknown algorithm.
    #[cfg(feature = "des-ede3-cbc")]
    DesEde3Cbc,
    /// AES-128-CBC, RFC 3602.
    AesCbc,
    /// AES-128-GCM with an ICV of 16 octets, RFC 4106. Since Release 13. Left out without the
    /// feature `aes-gcm`.
    #[cfg(feature = "aes-gcm")]
    AesGcm,
}

impl Encryption {
    /// Every encryption algorithm of this build.
    pub const ALL: [Encryption; 2 + DES + GCM] = [
        Encryption::Null,
        #[cfg(feature = "des-ede3-cbc")]
        Encryption::DesEde3Cbc,
        Encryption::AesCbc,
        #[cfg(feature = "aes-gcm")]
        Encryption::AesGcm,
    ];

    /// The token of `ealg=`.
    pub const fn token(self) -> &'static str {
        match self {
            Encryption::Null => "null",
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => "des-ede3-cbc",
            Encryption::AesCbc => "aes-cbc",
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => "aes-gcm",
        }
    }

    /// Octets of CK<sub>ESP</sub> (TS 33.203 Annex I); of AES-GCM, with the salt of 4 octets.
    pub const fn key_len(self) -> usize {
        match self {
            Encryption::Null => 0,
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => 24,
            Encryption::AesCbc => 16,
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => 20,
        }
    }
}

/// A 3GPP release that changed which combinations there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Release {
    /// Integrity only: hmac-md5-96, hmac-sha-1-96.
    Release5,
    /// Encryption: des-ede3-cbc, aes-cbc.
    Release6,
    /// aes-gcm, aes-gmac. hmac-md5-96 and des-ede3-cbc are removed.
    Release13,
}

/// One combination of integrity and encryption that may be signalled: a value of `alg` with one of
/// `ealg`.
///
/// ```
/// use ipsec_3gpp::Suite;
/// use ipsec_3gpp::algorithm::{Encryption, Integrity};
/// let suite = Suite::HMAC_SHA_1_96_AES_CBC;
/// assert_eq!(
///     (suite.integrity(), suite.encryption()),
///     (Integrity::HmacSha1_96, Encryption::AesCbc)
/// );
/// assert_eq!(suite.to_string(), "hmac-sha-1-96+aes-cbc");
/// assert_eq!("hmac-sha-1-96+aes-cbc".parse(), Ok(suite));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Suite {
    integrity: Integrity,
    encryption: Encryption,
}

impl Suite {
    /// hmac-md5-96 without encryption.
    #[cfg(feature = "hmac-md5-96")]
    pub const HMAC_MD5_96_NULL: Suite = Suite::of(Integrity::HmacMd5_96, Encryption::Null);
    /// hmac-md5-96 with des-ede3-cbc.
    #[cfg(all(feature = "hmac-md5-96", feature = "des-ede3-cbc"))]
    pub const HMAC_MD5_96_DES_EDE3_CBC: Suite = Suite::of(Integrity::HmacMd5_96, Encryption::DesEde3Cbc);
    /// hmac-md5-96 with aes-cbc.
    #[cfg(feature = "hmac-md5-96")]
    pub const HMAC_MD5_96_AES_CBC: Suite = Suite::of(Integrity::HmacMd5_96, Encryption::AesCbc);
    /// hmac-sha-1-96 without encryption.
    pub const HMAC_SHA_1_96_NULL: Suite = Suite::of(Integrity::HmacSha1_96, Encryption::Null);
    /// hmac-sha-1-96 with des-ede3-cbc.
    #[cfg(feature = "des-ede3-cbc")]
    pub const HMAC_SHA_1_96_DES_EDE3_CBC: Suite = Suite::of(Integrity::HmacSha1_96, Encryption::DesEde3Cbc);
    /// hmac-sha-1-96 with aes-cbc.
    pub const HMAC_SHA_1_96_AES_CBC: Suite = Suite::of(Integrity::HmacSha1_96, Encryption::AesCbc);
    /// aes-gmac: integrity without encryption.
    #[cfg(feature = "aes-gcm")]
    pub const AES_GMAC: Suite = Suite::of(Integrity::AesGmac, Encryption::Null);
    /// aes-gcm, with `alg=null`: encryption and integrity.
    #[cfg(feature = "aes-gcm")]
    pub const AES_GCM: Suite = Suite::of(Integrity::Null, Encryption::AesGcm);

    /// Every suite of this build.
    pub const ALL: [Suite; (1 + MD5) * (2 + DES) + 2 * GCM] = [
        #[cfg(feature = "hmac-md5-96")]
        Suite::HMAC_MD5_96_NULL,
        #[cfg(all(feature = "hmac-md5-96", feature = "des-ede3-cbc"))]
        Suite::HMAC_MD5_96_DES_EDE3_CBC,
        #[cfg(feature = "hmac-md5-96")]
        Suite::HMAC_MD5_96_AES_CBC,
        Suite::HMAC_SHA_1_96_NULL,
        #[cfg(feature = "des-ede3-cbc")]
        Suite::HMAC_SHA_1_96_DES_EDE3_CBC,
        Suite::HMAC_SHA_1_96_AES_CBC,
        #[cfg(feature = "aes-gcm")]
        Suite::AES_GMAC,
        #[cfg(feature = "aes-gcm")]
        Suite::AES_GCM,
    ];

    const fn of(integrity: Integrity, encryption: Encryption) -> Self {
        Self { integrity, encryption }
    }

    /// The suite of two algorithms, or `None` where Annex H does not allow them together.
    ///
    /// The HMACs go with all CBC algorithms; AES-GMAC goes alone, and AES-GCM with no other
    /// integrity algorithm (`alg=null`).
    pub fn new(integrity: Integrity, encryption: Encryption) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.integrity == integrity && suite.encryption == encryption)
    }

    /// The integrity algorithm, `alg`.
    pub const fn integrity(self) -> Integrity {
        self.integrity
    }

    /// The encryption algorithm, `ealg`.
    pub const fn encryption(self) -> Encryption {
        self.encryption
    }

    /// The release that brought it.
    pub const fn release(self) -> Release {
        match (self.integrity, self.encryption) {
            #[cfg(feature = "aes-gcm")]
            (Integrity::AesGmac | Integrity::Null, _) => Release::Release13,
            (_, Encryption::Null) => Release::Release5,
            _ => Release::Release6,
        }
    }

    /// Whether a later release removed it: hmac-md5-96 and des-ede3-cbc, in Release 13.
    pub const fn is_removed(self) -> bool {
        match (self.integrity, self.encryption) {
            #[cfg(feature = "hmac-md5-96")]
            (Integrity::HmacMd5_96, _) => true,
            #[cfg(feature = "des-ede3-cbc")]
            (_, Encryption::DesEde3Cbc) => true,
            _ => false,
        }
    }

    /// Whether it encrypts.
    pub const fn encrypts(self) -> bool {
        !matches!(self.encryption, Encryption::Null)
    }

    /// Whether it is AES-GCM or AES-GMAC: the nonce of a packet is its IV after a salt.
    pub const fn is_gcm(self) -> bool {
        #[cfg(feature = "aes-gcm")]
        return matches!(self.integrity, Integrity::AesGmac | Integrity::Null);
        #[cfg(not(feature = "aes-gcm"))]
        false
    }
}

/// A name that no algorithm or suite of this crate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownAlgorithm {
    /// Not a token of `alg`.
    #[error("unknown integrity algorithm")]
    Integrity,
    /// Not a token of `ealg`.
    #[error("unknown encryption algorithm")]
    Encryption,
    /// Not two tokens of algorithms with a plus sign between them.
    #[error("unknown suite: expected alg+ealg, as in hmac-sha-1-96+aes-cbc")]
    Suite,
}

crate::code::codes!(UnknownAlgorithm {
    UnknownAlgorithm::Integrity => "algorithm-unknown-integrity",
    UnknownAlgorithm::Encryption => "algorithm-unknown-encryption",
    UnknownAlgorithm::Suite => "algorithm-unknown-suite",
});

/// Reads back what an algorithm prints, without regard to case as in a header.
macro_rules! readable {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.token())
            }
        }

        impl FromStr for $name {
            type Err = UnknownAlgorithm;

            fn from_str(token: &str) -> Result<Self, UnknownAlgorithm> {
                let is = |known: &Self| known.token().eq_ignore_ascii_case(token);
                Self::ALL.into_iter().find(is).ok_or(UnknownAlgorithm::$name)
            }
        }
    )*};
}
readable!(Integrity Encryption);

impl FromStr for Suite {
    type Err = UnknownAlgorithm;

    /// Reads what [`Display`](fmt::Display) writes: `alg+ealg`, without regard to case.
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let (integrity, encryption) = text.split_once('+').ok_or(UnknownAlgorithm::Suite)?;
        Suite::new(integrity.parse()?, encryption.parse()?).ok_or(UnknownAlgorithm::Suite)
    }
}

/// `TryFrom<&str>` for those who are generic over it.
macro_rules! try_from_text {
    ($($name:ident)*) => {$(
        impl TryFrom<&str> for $name {
            type Error = UnknownAlgorithm;

            fn try_from(text: &str) -> Result<Self, UnknownAlgorithm> {
                text.parse()
            }
        }
    )*};
}
try_from_text!(Integrity Encryption Suite);

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.integrity, self.encryption)
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for suite in Suite::ALL {
            assert_eq!(suite.to_string().parse(), Ok(suite));
            assert_eq!(suite.to_string().to_uppercase().parse(), Ok(suite));
            assert_eq!(suite.integrity().to_string().parse(), Ok(suite.integrity()));
            assert_eq!(Encryption::try_from(suite.encryption().token()), Ok(suite.encryption()));
        }
        for (text, error) in [
            ("hmac-sha-1-96", UnknownAlgorithm::Suite),
            ("hmac-sha-256+null", UnknownAlgorithm::Integrity),
            ("hmac-sha-1-96+rot13", UnknownAlgorithm::Encryption),
            ("", UnknownAlgorithm::Suite),
        ] {
            assert_eq!(text.parse::<Suite>(), Err(error), "{text}");
        }
    }
}

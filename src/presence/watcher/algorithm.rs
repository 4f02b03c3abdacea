//! The algorithms of HTTP Digest and their hashes (RFC 7616 6.1, RFC 8760, RFC 3310, RFC 4169).

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::wipe::wiped_message;

/// The parameter `algorithm` of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// `MD5`, which an absent parameter means too.
    Md5,
    /// `MD5-sess`
    Md5Sess,
    /// `SHA-256`
    Sha256,
    /// `SHA-256-sess`
    Sha256Sess,
    /// `SHA-512-256`: SHA-512/256 of FIPS 180-4, not a SHA-512 that is cut off.
    Sha512_256,
    /// `SHA-512-256-sess`
    Sha512_256Sess,
    /// `AKAv1-MD5` (RFC 3310). Its password is RES itself: TR 33.941 8.2.1 has it only where CK and
    /// IK are used too.
    AkaV1Md5,
    /// `AKAv2-MD5` (RFC 4169).
    AkaV2Md5,
}

/// The hash of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hash {
    /// MD5, 16 octets.
    Md5,
    /// SHA-256, 32 octets.
    Sha256,
    /// SHA-512/256, 32 octets.
    Sha512_256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 8] = [
        Algorithm::Md5,
        Algorithm::Md5Sess,
        Algorithm::Sha256,
        Algorithm::Sha256Sess,
        Algorithm::Sha512_256,
        Algorithm::Sha512_256Sess,
        Algorithm::AkaV1Md5,
        Algorithm::AkaV2Md5,
    ];

    /// The token of `algorithm=`.
    pub const fn token(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
            Algorithm::Sha512_256 => "SHA-512-256",
            Algorithm::Sha512_256Sess => "SHA-512-256-sess",
            Algorithm::AkaV1Md5 => "AKAv1-MD5",
            Algorithm::AkaV2Md5 => "AKAv2-MD5",
        }
    }

    /// By the token, in any case.
    pub(super) fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.token().eq_ignore_ascii_case(token))
    }

    /// Its hash.
    pub const fn hash(self) -> Hash {
        match self {
            Algorithm::Md5 | Algorithm::Md5Sess | Algorithm::AkaV1Md5 | Algorithm::AkaV2Md5 => Hash::Md5,
            Algorithm::Sha256 | Algorithm::Sha256Sess => Hash::Sha256,
            Algorithm::Sha512_256 | Algorithm::Sha512_256Sess => Hash::Sha512_256,
        }
    }

    /// Whether A1 has the nonce and the cnonce of a session in it (RFC 7616 3.4.2).
    pub const fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess | Algorithm::Sha512_256Sess)
    }

    /// Whether the password comes from AKA.
    pub const fn is_aka(self) -> bool {
        matches!(self, Algorithm::AkaV1Md5 | Algorithm::AkaV2Md5)
    }
}

impl Hash {
    /// Octets of a digest.
    pub const fn digest_len(self) -> usize {
        match self {
            Hash::Md5 => 16,
            Hash::Sha256 | Hash::Sha512_256 => 32,
        }
    }

    /// The digest of parts, with a colon between each two.
    pub(super) fn of(self, parts: &[&[u8]]) -> Digest {
        fn absorb<D: sha2::Digest>(parts: &[&[u8]]) -> Digest {
            let mut state = D::new();
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    state.update(b":");
                }
                state.update(part);
            }
            let mut octets = state.finalize();
            let digest = Digest::read(&octets);
            octets.as_mut_slice().zeroize();
            digest
        }
        wiped_message(|| match self {
            Hash::Md5 => absorb::<md5::Md5>(parts),
            Hash::Sha256 => absorb::<sha2::Sha256>(parts),
            Hash::Sha512_256 => absorb::<sha2::Sha512_256>(parts),
        })
    }
}

/// A digest, which may be a secret.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Digest {
    octets: [u8; 32],
    len: usize,
}

impl Digest {
    /// Of 32 octets at most.
    fn read(octets: &[u8]) -> Self {
        let mut digest = Self { octets: [0; 32], len: octets.len().min(32) };
        digest.octets.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        digest
    }

    /// Hexadecimal digits of either case; `None` if they are not as many as the hash has.
    pub(super) fn from_hex(hash: Hash, text: &str) -> Option<Self> {
        let mut octets = Zeroizing::new([0; 32]);
        let read = base16ct::mixed::decode(text, &mut *octets).ok()?;
        (read.len() == hash.digest_len()).then(|| Self::read(read))
    }

    pub(super) fn octets(&self) -> &[u8] {
        crate::impossible::part(&self.octets, ..self.len)
    }

    pub(super) const fn copy(&self) -> Self {
        Self { octets: self.octets, len: self.len }
    }

    /// In lower case (LHEX).
    pub(super) fn hex(&self) -> Zeroizing<alloc::string::String> {
        Zeroizing::new(base16ct::lower::encode_string(self.octets()))
    }
}

impl ConstantTimeEq for Digest {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.octets.ct_eq(&other.octets) & Choice::from(u8::from(self.len == other.len))
    }
}

impl fmt::Debug for Digest {
    /// Without the octets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standards() {
        // RFC 1321 A.5, FIPS 180-4, and SHA-512/256 of nothing.
        for (hash, parts, expected) in [
            (Hash::Md5, &[b"abc" as &[u8]] as &[&[u8]], "900150983cd24fb0d6963f7d28e17f72"),
            (Hash::Sha256, &[b"abc"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Hash::Sha512_256, &[b""], "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a"),
        ] {
            let digest = hash.of(parts);
            assert_eq!(digest.hex().as_str(), expected);
            assert!(bool::from(Digest::from_hex(hash, &expected.to_uppercase()).unwrap().ct_eq(&digest)));
            assert!(Digest::from_hex(hash, expected.get(2..).unwrap()).is_none());
        }
        let joined = Hash::Md5.of(&[b"a", b"", b"c"]);
        assert!(bool::from(joined.ct_eq(&Hash::Md5.of(&[b"a::c"]))));
        assert!(!bool::from(joined.ct_eq(&Hash::Md5.of(&[b"a:c"]))));
    }

    #[test]
    fn tokens_are_read_in_any_case() {
        for algorithm in Algorithm::ALL {
            let token = algorithm.token();
            assert_eq!(Algorithm::from_token(&token.to_lowercase()), Some(algorithm));
            assert_eq!(algorithm.is_session(), token.ends_with("-sess"));
            assert_eq!(algorithm.is_aka(), token.starts_with("AKA"));
        }
        assert_eq!(Algorithm::from_token("SHA-512"), None);
    }
}

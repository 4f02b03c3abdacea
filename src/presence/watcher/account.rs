//! Accounts: a user, and the password or the hashes that say it is her.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64ct::{Base64, Encoding};
use hmac::{KeyInit, Mac};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Digest, Hash};
use crate::wipe::wiped_message;
use crate::{Ck, Ik};

/// The user name of an anonymous watcher; the password is empty (RFC 3261 22.1).
pub const ANONYMOUS: &str = "anonymous";

/// A text is not H(A1) of an [`Account`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("H(A1) is not {0} hexadecimal digits")]
pub struct Ha1Error(pub usize);

crate::code::codes!(Ha1Error { Ha1Error(_) => "digest-ha1", });

/// What one user has to know: a password, or H(A1) of one realm in its place, or the answer of AKA.
/// It wipes itself when dropped, and prints the user alone.
pub struct Account {
    user: Box<str>,
    secret: Secret,
}

enum Secret {
    Password(Zeroizing<Box<[u8]>>),
    /// By hash.
    Ha1(Vec<(Hash, Digest)>),
    Aka {
        res: Zeroizing<Vec<u8>>,
        /// Of AKAv2.
        password: Zeroizing<String>,
    },
}

impl Account {
    /// A user with a password, which should be random (TR 33.941 8.1.4). The caller's own copy is
    /// the caller's to wipe.
    pub fn new(user: &str, password: &[u8]) -> Self {
        Self { user: user.into(), secret: Secret::Password(Zeroizing::new(password.into())) }
    }

    /// The anonymous watcher: `anonymous`, with an empty password.
    pub fn anonymous() -> Self {
        Self::new(ANONYMOUS, b"")
    }

    /// A user whose password is not kept, but H(A1): the hash of user, realm and password (RFC 7616
    /// 3.4.2). Others may be added with [`Account::with_ha1`].
    ///
    /// # Errors
    /// [`Ha1Error`]
    pub fn from_ha1(user: &str, hash: Hash, hex: &str) -> Result<Self, Ha1Error> {
        Self { user: user.into(), secret: Secret::Ha1(Vec::new()) }.with_ha1(hash, hex)
    }

    /// The same with H(A1) of another hash. An account with a password or AKA has it already.
    ///
    /// # Errors
    /// [`Ha1Error`]
    pub fn with_ha1(mut self, hash: Hash, hex: &str) -> Result<Self, Ha1Error> {
        let digest = Digest::from_hex(hash, hex).ok_or(Ha1Error(2 * hash.digest_len()))?;
        if let Secret::Ha1(hashes) = &mut self.secret {
            hashes.retain(|(other, _)| *other != hash);
            hashes.push((hash, digest));
        }
        Ok(self)
    }

    /// A user at one AKA vector: RES (XRES at the server) with the keys of the same vector, which
    /// AKAv2 has in its password (RFC 4169).
    pub fn aka(user: &str, res: &[u8], ck: &Ck, ik: &Ik) -> Self {
        let mut key = Zeroizing::new(Vec::with_capacity(res.len() + 32));
        for part in [res, ik.expose(), ck.expose()] {
            key.extend_from_slice(part);
        }
        let password = wiped_message(|| {
            hmac::Hmac::<md5::Md5>::new_from_slice(&key).map_or_else(
                |_| crate::impossible::impossible(String::new()),
                |mut mac| {
                    mac.update(b"http-digest-akav2-password");
                    Base64::encode_string(&mac.finalize().into_bytes())
                },
            )
        });
        let res = Zeroizing::new(res.into());
        Self { user: user.into(), secret: Secret::Aka { res, password: Zeroizing::new(password) } }
    }

    /// The user name, as it is hashed.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether it is the one that anybody is: `anonymous` with an empty password.
    pub(super) fn is_anonymous(&self) -> bool {
        let is_empty = match &self.secret {
            Secret::Password(password) => password.is_empty(),
            Secret::Ha1(_) | Secret::Aka { .. } => false,
        };
        is_empty && *self.user == *ANONYMOUS
    }

    /// Octets of RES, if it comes from AKA.
    pub(super) fn res_len(&self) -> Option<usize> {
        match &self.secret {
            Secret::Aka { res, .. } => Some(res.len()),
            Secret::Password(_) | Secret::Ha1(_) => None,
        }
    }

    /// H(A1) without the part of a session; `None` if the account has not what the
    /// algorithm needs.
    pub(super) fn ha1(&self, algorithm: Algorithm, realm: &str) -> Option<Digest> {
        let of = |password: &[u8]| algorithm.hash().of(&[self.user.as_bytes(), realm.as_bytes(), password]);
        match &self.secret {
            Secret::Password(password) if !algorithm.is_aka() => Some(of(password)),
            Secret::Ha1(hashes) if !algorithm.is_aka() => {
                let found = hashes.iter().find(|(hash, _)| *hash == algorithm.hash());
                found.and_then(|(hash, digest)| Digest::from_hex(*hash, &digest.hex()))
            }
            Secret::Aka { res, .. } if algorithm == Algorithm::AkaV1Md5 => Some(of(res)),
            Secret::Aka { password, .. } if algorithm == Algorithm::AkaV2Md5 => Some(of(password.as_bytes())),
            Secret::Password(_) | Secret::Ha1(_) | Secret::Aka { .. } => None,
        }
    }
}

impl fmt::Debug for Account {
    /// The user alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The hash that stands for a user where the user name is hidden (`userhash`, RFC 7616 3.4.4): a
/// server keeps it beside the name, to look users up by it.
pub fn userhash(hash: Hash, user: &str, realm: &str) -> String {
    hash.of(&[user.as_bytes(), realm.as_bytes()]).hex().as_str().into()
}

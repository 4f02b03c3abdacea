//! What a server offers, and what its messages are called.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::algorithm::Algorithm;
use super::grammar::is_quotable;
use super::response::Qop;

/// Who challenges, which says how the headers are called (RFC 3261 22.2, 22.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// A user agent server or registrar: 401.
    #[default]
    Server,
    /// A proxy: 407, never 401.
    Proxy,
}

impl Role {
    /// The status of a challenge.
    pub const fn status(self) -> u16 {
        match self {
            Role::Server => 401,
            Role::Proxy => 407,
        }
    }

    /// The header of challenges.
    pub const fn challenge_header(self) -> &'static str {
        match self {
            Role::Server => "WWW-Authenticate",
            Role::Proxy => "Proxy-Authenticate",
        }
    }

    /// The header of credentials.
    pub const fn credentials_header(self) -> &'static str {
        match self {
            Role::Server => "Authorization",
            Role::Proxy => "Proxy-Authorization",
        }
    }

    /// The header of what
    /// [`Server::authentication_info`](super::Server::authentication_info) returns.
    pub const fn info_header(self) -> &'static str {
        match self {
            Role::Server => "Authentication-Info",
            Role::Proxy => "Proxy-Authentication-Info",
        }
    }
}

/// Why a server cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A realm with control characters, or too long.
    #[error("malformed realm")]
    Realm,
    /// No algorithm, or no quality of protection, or one of AKA, whose nonces come from the core.
    #[error("no algorithm or qop that a server can offer")]
    Offer,
}

crate::code::codes!(ServerError {
    ServerError::Realm => "digest-server-realm",
    ServerError::Offer => "digest-server-offer",
});

/// What a server offers, and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    pub(super) realm: Box<str>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) qops: Vec<Qop>,
    pub(super) takes_userhash: bool,
    pub(super) takes_aka_v1: bool,
    pub(super) accepts_other_uris: bool,
    pub(super) nonce_life: Duration,
    pub(super) max_sessions: usize,
}

impl ServerConfig {
    /// The order of [`ServerConfig::new`]: there are clients that answer SHA-512-256 wrongly, or
    /// that answer nothing if they do not know what is on top.
    pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5];

    /// SHA-256, SHA-512-256 and MD5, in this order; `auth` and `auth-int`; nonces that live for
    /// five minutes; 10,000 sessions.
    ///
    /// # Errors
    /// [`ServerError::Realm`]
    pub fn new(realm: &str) -> Result<Self, ServerError> {
        if !is_quotable(realm) {
            return Err(ServerError::Realm);
        }
        Ok(Self {
            realm: realm.into(),
            algorithms: Self::ALGORITHMS.into(),
            qops: [Qop::Auth, Qop::AuthInt].into(),
            takes_userhash: false,
            takes_aka_v1: false,
            accepts_other_uris: false,
            nonce_life: Duration::from_secs(300),
            max_sessions: 10_000,
        })
    }

    /// With these algorithms, the preferred one first: a challenge of each is sent (RFC 8760 2.4).
    ///
    /// # Errors
    /// [`ServerError::Offer`]
    pub fn with_algorithms(mut self, algorithms: &[Algorithm]) -> Result<Self, ServerError> {
        if algorithms.is_empty() || algorithms.iter().any(|algorithm| algorithm.is_aka()) {
            return Err(ServerError::Offer);
        }
        self.algorithms.clear();
        for algorithm in algorithms {
            if !self.algorithms.contains(algorithm) {
                self.algorithms.push(*algorithm);
            }
        }
        Ok(self)
    }

    /// With these qualities of protection.
    ///
    /// # Errors
    /// [`ServerError::Offer`]
    pub fn with_qops(mut self, qops: &[Qop]) -> Result<Self, ServerError> {
        if qops.is_empty() {
            return Err(ServerError::Offer);
        }
        self.qops = qops.into();
        Ok(self)
    }

    /// Says that hashed user names are taken: the caller can look users up by them.
    #[must_use]
    pub const fn with_userhash(mut self) -> Self {
        self.takes_userhash = true;
        self
    }

    /// Offers and takes AKAv1 too: only where CK and IK are used (TR 33.941 8.2.1).
    #[must_use]
    pub const fn with_aka_v1(mut self) -> Self {
        self.takes_aka_v1 = true;
        self
    }

    /// Accepts a digest-uri that is neither the Request-URI nor one of the others of the
    /// [`Request`](super::Request): RFC 3261 22.4 allows it. The caller says that it serves what
    /// the digest-uri names.
    #[must_use]
    pub const fn with_any_uri(mut self) -> Self {
        self.accepts_other_uris = true;
        self
    }

    /// Nonces are stale after this time, whole milliseconds.
    #[must_use]
    pub const fn with_nonce_life(mut self, life: Duration) -> Self {
        self.nonce_life = life;
        self
    }

    /// At most this many nonces are counted, some 100 octets each. When another one comes, the
    /// oldest is stale; with 0, all are.
    #[must_use]
    pub const fn with_max_sessions(mut self, most: usize) -> Self {
        self.max_sessions = most;
        self
    }
}

//! The digest of a request and of its response (RFC 7616 3.4.1, 3.5): the same at both ends.

use super::algorithm::{Algorithm, Digest};

/// Quality of protection: what the digest covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Qop {
    /// `auth`: method and digest-uri.
    Auth,
    /// `auth-int`: the body too.
    AuthInt,
}

impl Qop {
    /// As in `qop=`.
    pub const fn token(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }

    pub(super) fn from_token(token: &str) -> Option<Self> {
        [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| qop.token().eq_ignore_ascii_case(token.trim()))
    }
}

/// The request whose sender is authenticated.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) other_uris: &'a [&'a str],
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A method and a Request-URI, both as they are in the request.
    pub const fn new(method: &'a str, uri: &'a str) -> Self {
        Self { method, uri, other_uris: &[], body: b"" }
    }

    /// With the body, which `auth-int` needs.
    #[must_use]
    pub const fn with_body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }

    /// Other URIs of what the Request-URI names: a server accepts them as digest-uri too. On its
    /// way a proxy may have changed the Request-URI (RFC 3261 22.4).
    #[must_use]
    pub const fn with_other_uris(mut self, uris: &'a [&'a str]) -> Self {
        self.other_uris = uris;
        self
    }
}

/// The values of credentials that go into the digest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) nonce: &'a str,
    /// `nc`, `cnonce` and `qop`.
    pub(super) counted: Option<(&'a str, &'a str, Qop)>,
    pub(super) uri: &'a str,
}

impl Parts<'_> {
    /// H(A1) of a session: with nonce and cnonce in it, where the algorithm says so.
    pub(super) fn session(&self, ha1: Digest) -> Digest {
        match self.counted {
            Some((_, cnonce, _)) if self.algorithm.is_session() => {
                let hash = self.algorithm.hash();
                hash.of(&[ha1.hex().as_bytes(), self.nonce.as_bytes(), cnonce.as_bytes()])
            }
            _ => ha1,
        }
    }

    /// `response` of a request.
    pub(super) fn request(&self, ha1: &Digest, method: &str, body: &[u8]) -> Digest {
        self.digest(ha1, method.as_bytes(), body)
    }

    /// `rspauth` of its response, whose A2 has no method.
    pub(super) fn answer(&self, ha1: &Digest, body: &[u8]) -> Digest {
        self.digest(ha1, b"", body)
    }

    fn digest(&self, ha1: &Digest, method: &[u8], body: &[u8]) -> Digest {
        let hash = self.algorithm.hash();
        let (ha1, uri, nonce) = (ha1.hex(), self.uri.as_bytes(), self.nonce.as_bytes());
        let a2 = |is_integrity: bool| {
            if is_integrity {
                hash.of(&[method, uri, hash.of(&[body]).hex().as_bytes()])
            } else {
                hash.of(&[method, uri])
            }
        };
        match self.counted {
            Some((nc, cnonce, qop)) => {
                let a2 = a2(qop == Qop::AuthInt).hex();
                let qop = qop.token().as_bytes();
                hash.of(&[ha1.as_bytes(), nonce, nc.as_bytes(), cnonce.as_bytes(), qop, a2.as_bytes()])
            }
            // RFC 2069
            None => hash.of(&[ha1.as_bytes(), nonce, a2(false).hex().as_bytes()]),
        }
    }
}

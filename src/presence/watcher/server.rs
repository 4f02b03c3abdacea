//! The end that challenges: a presence server, or a proxy.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::account::Account;
use super::algorithm::{Algorithm, Digest};
use super::challenge::Challenge;
use super::config::ServerConfig;
use super::count::{Counts, Denied};
use super::credentials::Credentials;
use super::grammar::Writer;
use super::nonce::{NonceSecret, Nonces};
use super::response::{Parts, Qop, Request};
use super::unverified::Unverified;
use crate::time::Moment;

/// Challenges, and verifies what answers them. It keeps nothing of a challenge, and a window of
/// nonce counts of each nonce that was answered right.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    nonces: Nonces,
    counts: Counts,
}

/// A user who has been authenticated.
#[derive(Debug)]
#[must_use]
pub struct Verified {
    user: Box<str>,
    algorithm: Algorithm,
    ha1: Digest,
    nonce: Box<str>,
    cnonce: Box<str>,
    uri: Box<str>,
    nc: Box<str>,
    qop: Qop,
    is_old: bool,
}

impl Verified {
    /// The user, as her account has her.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The algorithm that she used.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What her response covers.
    pub const fn qop(&self) -> Qop {
        self.qop
    }

    fn of(credentials: &Credentials<'_>, account: &Account, right: Right, is_old: bool) -> Self {
        Self {
            user: account.user().into(),
            algorithm: right.algorithm,
            ha1: right.ha1,
            nonce: (*credentials.nonce).into(),
            cnonce: (*credentials.cnonce).into(),
            uri: (*credentials.uri).into(),
            nc: credentials.nc().into(),
            qop: right.count.1,
            is_old,
        }
    }
}

/// A response that is right, apart from its nonce.
struct Right {
    algorithm: Algorithm,
    count: (u32, Qop),
    ha1: Digest,
}

impl Server {
    /// A server. The secret must be random, and another one at each start: with the same, nonces
    /// would count from 1 again. It belongs to one server, since the counts do.
    pub fn new(config: ServerConfig, secret: NonceSecret) -> Self {
        let nonces = Nonces::new(secret, config.nonce_life);
        let counts = Counts::new(config.max_sessions);
        Self { config, nonces, counts }
    }

    /// Takes another secret. Nonces of the one before are good until the next change, or until they
    /// are too old; counts stay.
    pub fn rotate(&mut self, secret: NonceSecret) {
        self.nonces.rotate(secret);
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.config.realm
    }

    /// How many nonces are counted.
    pub fn sessions(&self) -> usize {
        self.counts.len()
    }

    /// The values of WWW-Authenticate (or Proxy-Authenticate), a row each and in this order, all
    /// with one nonce. `is_stale`: [`Unverified::is_stale`]. ACK and CANCEL are never challenged
    /// (RFC 3261 22.1).
    pub fn challenges(&mut self, now: Moment, is_stale: bool) -> Vec<String> {
        let nonce: Box<str> = self.nonces.issue(now, &self.config.realm).into();
        let of = |algorithm| self.challenge(nonce.clone(), algorithm, is_stale).write();
        self.config.algorithms.iter().map(|algorithm| of(*algorithm)).collect()
    }

    /// The challenges of AKA, with the nonce of a vector (base64 of RAND and AUTN): AKAv2, and
    /// AKAv1 if the server takes it ([`ServerConfig::with_aka_v1`]).
    pub fn aka_challenges(&self, nonce: &str) -> Vec<String> {
        let v1 = self.config.takes_aka_v1.then_some(Algorithm::AkaV1Md5);
        let algorithms = [Some(Algorithm::AkaV2Md5), v1].into_iter().flatten();
        algorithms.map(|algorithm| self.challenge(nonce.into(), algorithm, false).write()).collect()
    }

    fn challenge(&self, nonce: Box<str>, algorithm: Algorithm, is_stale: bool) -> Challenge {
        Challenge {
            realm: self.config.realm.clone(),
            nonce,
            opaque: None,
            algorithm: Some(algorithm),
            qops: self.config.qops.clone(),
            is_stale,
            takes_userhash: self.config.takes_userhash && !algorithm.is_aka(),
        }
    }

    /// Verifies credentials. `account` is the one of [`Credentials::user`]; `None` if there is no
    /// such user, which takes as long, and is answered as a wrong response is.
    ///
    /// # Errors
    /// [`Unverified`]: another challenge is due ([`Server::challenges`]), or 403 if the caller
    /// prefers it. [`Unverified::Uri`] is a 400. A replayed request is refused, and challenged as a
    /// stale one is, since its sender may have been the user.
    pub fn verify(
        &mut self,
        now: Moment,
        credentials: &Credentials<'_>,
        request: &Request<'_>,
        account: Option<&Account>,
    ) -> Result<Verified, Unverified> {
        let offered = |algorithm: &Algorithm| self.config.algorithms.contains(algorithm);
        let algorithm = credentials.algorithm.filter(offered).ok_or(Unverified::Algorithm)?;
        let issued = self.nonces.read(now, &credentials.nonce, &self.config.realm);
        let nobody = Account::new("", b"");
        let of_user = account.unwrap_or(&nobody);
        // An anonymous watcher proves nothing, and takes no place in the table.
        let counted = issued.filter(|_| !of_user.is_anonymous());
        let session = counted.and_then(|nonce| self.counts.session(nonce.serial, of_user.user()));
        let right =
            self.right(credentials, request, of_user, algorithm, session.and_then(|one| one.ha1.as_ref()))?;
        if account.is_none() {
            return Err(Unverified::Wrong);
        }
        let issued = issued.ok_or(Unverified::Stale)?;
        if counted.is_some() {
            let of_session = || algorithm.is_session().then(|| right.ha1.copy());
            let taken = self.counts.take(issued.serial, of_user.user(), right.count.0, of_session);
            taken.map_err(|denied| match denied {
                Denied::Stale => Unverified::Stale,
                Denied::Replayed => Unverified::Replayed,
            })?;
        }
        // A session of RFC 7616 3.4.2 is bound to its nonce.
        let is_old = self.nonces.is_old(issued) && !algorithm.is_session();
        Ok(Verified::of(credentials, of_user, right, is_old))
    }

    /// Verifies credentials of AKA. `nonce` is that of the challenge, and `account` has XRES and
    /// the keys of the same vector ([`Account::aka`]). The caller uses a vector for one challenge,
    /// and forgets it after the first response: counts are not kept here.
    ///
    /// # Errors
    /// [`Unverified`]; [`Unverified::Auts`]: another vector is due ([`Credentials::auts`]).
    pub fn verify_aka(
        &self,
        credentials: &Credentials<'_>,
        request: &Request<'_>,
        nonce: &str,
        account: &Account,
    ) -> Result<Verified, Unverified> {
        const SHORT: usize = 16;
        let takes = |algorithm: &Algorithm| {
            *algorithm == Algorithm::AkaV2Md5 || *algorithm == Algorithm::AkaV1Md5 && self.config.takes_aka_v1
        };
        let algorithm = credentials.algorithm.filter(takes).ok_or(Unverified::Algorithm)?;
        if credentials.auts().is_some() {
            return Err(Unverified::Auts);
        }
        let right = self.right(credentials, request, account, algorithm, None)?;
        if *credentials.nonce != *nonce {
            return Err(Unverified::Stale);
        }
        if right.count.0 > 1 && account.res_len().is_none_or(|len| len < SHORT) {
            return Err(Unverified::ShortRes);
        }
        Ok(Verified::of(credentials, account, right, false))
    }

    /// Everything but the nonce.
    fn right(
        &self,
        credentials: &Credentials<'_>,
        request: &Request<'_>,
        account: &Account,
        algorithm: Algorithm,
        session: Option<&Digest>,
    ) -> Result<Right, Unverified> {
        if *credentials.realm != *self.config.realm {
            return Err(Unverified::Realm);
        }
        let count =
            credentials.count.filter(|(_, qop)| self.config.qops.contains(qop)).ok_or(Unverified::Qop)?;
        let names = |uri: &&str| same_uri(uri, &credentials.uri);
        let is_named = names(&request.uri) || request.other_uris.iter().any(names);
        if !is_named && !self.config.accepts_other_uris {
            return Err(Unverified::Uri);
        }
        let (ha1, is_known) = match account.ha1(algorithm, &self.config.realm) {
            Some(ha1) => (ha1, true),
            // As much is hashed as for others.
            None => (algorithm.hash().of(&[b"", self.config.realm.as_bytes(), b""]), false),
        };
        let parts = credentials.parts(algorithm);
        let takes_name = self.config.takes_userhash || !credentials.is_hashed();
        let is_of_user = credentials.is_of(account, algorithm) && is_known && takes_name;
        let is_right = |ha1: &Digest| {
            credentials.responds(algorithm, &parts.request(ha1, request.method, request.body)) && is_of_user
        };
        let of_request = parts.session(ha1);
        // The first cnonce of the session, or this one: clients do either.
        if is_right(&of_request) {
            Ok(Right { algorithm, count, ha1: of_request })
        } else if let Some(session) = session.filter(|session| is_right(session)) {
            Ok(Right { algorithm, count, ha1: session.copy() })
        } else {
            Err(Unverified::Wrong)
        }
    }

    /// The value of Authentication-Info in the 2xx to a request: it proves to the client that the
    /// server knows the user too (`rspauth`, over the body of the response), and gives it the next
    /// nonce when half of the life of this one is over.
    pub fn authentication_info(&mut self, now: Moment, verified: &Verified, body: &[u8]) -> String {
        let (nc, qop) = (&*verified.nc, verified.qop);
        let parts = Parts {
            algorithm: verified.algorithm,
            nonce: &verified.nonce,
            counted: Some((nc, &verified.cnonce, qop)),
            uri: &verified.uri,
        };
        let mut writer = Writer::new("");
        if verified.is_old {
            writer.quoted("nextnonce", &self.nonces.issue(now, &self.config.realm));
        }
        writer.token("qop", qop.token());
        writer.quoted("rspauth", &parts.answer(&verified.ha1, body).hex());
        writer.quoted("cnonce", &verified.cnonce).token("nc", nc).finish()
    }
}

/// `nc` has 8 digits.
pub(super) fn nc(count: u32) -> String {
    alloc::format!("{count:08x}")
}

/// URIs are compared octet by octet, but for scheme and host in any case (RFC 3261 19.1.4).
fn same_uri(one: &str, other: &str) -> bool {
    /// Scheme, user, host, and what is after it.
    fn parts(uri: &str) -> Option<(&str, &str, &str, &str)> {
        let (scheme, rest) = uri.split_once(':')?;
        let (user, rest) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let at = rest.get(..end)?.rfind('@').map_or(0, |at| at + 1);
                rest.split_at_checked(at)?
            }
            // No "@" is after the host of a SIP URI.
            None => rest.rsplit_once('@').unwrap_or(("", rest)),
        };
        let end = rest.find(['/', '?', '#', ';']).unwrap_or(rest.len());
        let (host, others) = rest.split_at_checked(end)?;
        Some((scheme, user, host, others))
    }
    let same = || {
        let ((scheme, user, host, others), of_other) = (parts(one)?, parts(other)?);
        let same = (user, others) == (of_other.1, of_other.3);
        Some(same && scheme.eq_ignore_ascii_case(of_other.0) && host.eq_ignore_ascii_case(of_other.2))
    };
    one == other || same() == Some(true)
}

impl fmt::Display for Verified {
    /// The user and the algorithm.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.user, self.algorithm.token())
    }
}

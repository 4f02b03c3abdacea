//! The end that is challenged: a watcher's user agent.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use subtle::ConstantTimeEq;

use super::account::{Account, userhash};
use super::algorithm::{Algorithm, Digest};
use super::challenge::Challenge;
use super::credentials::encoded;
use super::grammar::{DigestError, Parameters, Writer, is_quotable};
use super::response::{Parts, Qop, Request};
use super::server::nc;

/// What is wrong at the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no challenge of the scheme Digest that the client can answer.
    #[error("no challenge that can be answered")]
    NoChallenge,
    /// A header cannot be read.
    #[error(transparent)]
    Malformed(#[from] DigestError),
    /// The server has refused these credentials: the password is wrong, or the user is unknown.
    #[error("credentials were refused")]
    Refused,
    /// No challenge has been answered yet, or none whose nonce can be counted on.
    #[error("no challenge to answer")]
    NotChallenged,
    /// A user name, cnonce or URI that cannot be written.
    #[error("{0} with control characters, empty, or too long")]
    Unwritable(&'static str),
    /// The response does not come from a server that knows the user.
    #[error("server did not prove that it knows the user")]
    Rspauth,
}

crate::code::codes!(ClientError {
    ClientError::NoChallenge => "digest-no-challenge",
    ClientError::Refused => "digest-refused",
    ClientError::NotChallenged => "digest-not-challenged",
    ClientError::Unwritable(_) => "digest-unwritable",
    ClientError::Rspauth => "digest-rspauth",
    ;
    ClientError::Malformed(error) => error,
});

/// Answers the challenges of one realm for one user.
#[derive(Debug)]
pub struct Client {
    account: Account,
    algorithms: Vec<Algorithm>,
    prefers_integrity: bool,
    session: Option<Session>,
}

/// A challenge that is being answered.
#[derive(Debug)]
struct Session {
    challenge: Challenge,
    algorithm: Algorithm,
    qop: Option<Qop>,
    cnonce: Box<str>,
    ha1: Digest,
    count: u32,
    /// The server has accepted an answer.
    is_accepted: bool,
    /// What `rspauth` must fit: the nonce counts and digest-uris of the last requests, the latest
    /// at the end.
    sent: Vec<(u32, Box<str>)>,
}

/// Requests whose responses are waited for at once.
const IN_FLIGHT: usize = 16;

impl Client {
    /// Accepts all algorithms that the account can answer, but AKAv1.
    pub fn new(account: Account) -> Self {
        let algorithms = Algorithm::ALL.into_iter().filter(|one| *one != Algorithm::AkaV1Md5).collect();
        Self { account, algorithms, prefers_integrity: false, session: None }
    }

    /// With these algorithms only. Without MD5, nobody in clear can make the client use it; AKAv1
    /// only where CK and IK are used too (TR 33.941 8.2.1).
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: &[Algorithm]) -> Self {
        self.algorithms = algorithms.into();
        self
    }

    /// Uses `auth-int` where the server offers it.
    #[must_use]
    pub const fn with_integrity(mut self) -> Self {
        self.prefers_integrity = true;
        self
    }

    /// Takes the challenges of a 401 or 407: all rows of WWW-Authenticate or Proxy-Authenticate.
    /// The topmost that the client can answer is chosen (RFC 8760 2.4), and AKAv2 before AKAv1.
    /// `cnonce` is a text of at least 64 random bits.
    ///
    /// # Errors
    /// [`ClientError::NoChallenge`], [`ClientError::Malformed`] if none can be read,
    /// [`ClientError::Refused`] if the server has seen credentials and does not say that the nonce
    /// was stale. What was there before stays.
    pub fn challenged<'a>(
        &mut self,
        rows: impl IntoIterator<Item = &'a str>,
        cnonce: &str,
    ) -> Result<Algorithm, ClientError> {
        if cnonce.is_empty() || !is_quotable(cnonce) {
            return Err(ClientError::Unwritable("cnonce"));
        }
        let (mut good, mut bad) = (Vec::new(), None);
        for challenge in Challenge::read_all(rows) {
            match challenge {
                Ok(challenge) => good.push(challenge),
                Err(error) => bad = bad.or(Some(error)),
            }
        }
        let chosen = self.choose(good).ok_or_else(|| bad.map_or(ClientError::NoChallenge, Into::into))?;
        let (challenge, algorithm, ha1) = chosen;
        let refused = |session: &Session| {
            session.count > 0 && !session.is_accepted && session.challenge.realm == challenge.realm
        };
        if !challenge.is_stale && self.session.as_ref().is_some_and(refused) {
            return Err(ClientError::Refused);
        }
        let offers = |qop: Qop| challenge.qops.contains(&qop).then_some(qop);
        let qop = if self.prefers_integrity {
            offers(Qop::AuthInt).or(offers(Qop::Auth))
        } else {
            offers(Qop::Auth).or(offers(Qop::AuthInt))
        };
        let cnonce: Box<str> = cnonce.into();
        let parts = Parts {
            algorithm,
            nonce: &challenge.nonce,
            counted: qop.map(|qop| ("", &*cnonce, qop)),
            uri: "",
        };
        let ha1 = parts.session(ha1);
        let sent = Vec::new();
        self.session =
            Some(Session { challenge, algorithm, qop, cnonce, ha1, count: 0, is_accepted: false, sent });
        Ok(algorithm)
    }

    fn choose(&self, challenges: Vec<Challenge>) -> Option<(Challenge, Algorithm, Digest)> {
        let usable = |challenge: Challenge| {
            let algorithm = challenge.algorithm.filter(|one| self.algorithms.contains(one))?;
            // A session needs a cnonce, and with it a qop.
            if algorithm.is_session() && challenge.qops.is_empty() {
                return None;
            }
            let ha1 = self.account.ha1(algorithm, &challenge.realm)?;
            Some((challenge, algorithm, ha1))
        };
        let mut usable: Vec<_> = challenges.into_iter().filter_map(usable).collect();
        let first = usable.first().map(|(_, algorithm, _)| *algorithm)?;
        let is_v2 = |one: &(Challenge, Algorithm, Digest)| one.1 == Algorithm::AkaV2Md5;
        let v2 = if first == Algorithm::AkaV1Md5 { usable.iter().position(is_v2) } else { None };
        Some(usable.swap_remove(v2.unwrap_or(0)))
    }

    /// The value of Authorization (or Proxy-Authorization) for a request; each call counts, so that
    /// a request that is sent again has another value.
    ///
    /// # Errors
    /// [`ClientError::NotChallenged`], [`ClientError::Unwritable`]
    pub fn credentials(&mut self, request: &Request<'_>) -> Result<String, ClientError> {
        let user = self.account.user();
        for (name, text) in [("URI", request.uri), ("user name", user)] {
            if !is_quotable(text) {
                return Err(ClientError::Unwritable(name));
            }
        }
        let session = self.session.as_mut().ok_or(ClientError::NotChallenged)?;
        session.count = session.count.checked_add(1).ok_or(ClientError::NotChallenged)?;
        if session.sent.len() >= IN_FLIGHT {
            session.sent.remove(0);
        }
        session.sent.push((session.count, request.uri.into()));
        let nc = nc(session.count);
        let (challenge, algorithm) = (&session.challenge, session.algorithm);
        let response = session.parts(&nc, request.uri).request(&session.ha1, request.method, request.body);
        let mut writer = Writer::new("Digest");
        if challenge.takes_userhash {
            writer.quoted("username", &userhash(algorithm.hash(), user, &challenge.realm));
        } else if user.is_ascii() {
            writer.quoted("username", user);
        } else {
            writer.token("username*", encoded(user));
        }
        writer.quoted("realm", &challenge.realm).quoted("nonce", &challenge.nonce);
        writer.quoted("uri", request.uri).quoted("response", &response.hex());
        writer.token("algorithm", algorithm.token());
        if let Some(qop) = session.qop {
            writer.token("qop", qop.token()).token("nc", &nc).quoted("cnonce", &session.cnonce);
        }
        if let Some(opaque) = &challenge.opaque {
            writer.quoted("opaque", opaque);
        }
        if challenge.takes_userhash {
            writer.token("userhash", "true");
        }
        Ok(writer.finish())
    }

    /// Takes a response other than a challenge, with the value of its Authentication-Info (or
    /// Proxy-Authentication-Info) if there is one, and its body. The next nonce is taken from it.
    /// True if the server has proved that it knows the user (`rspauth`); false if it did not say.
    ///
    /// # Errors
    /// [`ClientError::Rspauth`]: the response is not to be trusted. [`ClientError::Malformed`],
    /// [`ClientError::NotChallenged`]. On an error nothing is taken.
    pub fn answered(&mut self, info: Option<&str>, body: &[u8]) -> Result<bool, ClientError> {
        let session =
            self.session.as_mut().filter(|session| session.count > 0).ok_or(ClientError::NotChallenged)?;
        let mut parameters = Parameters::read(info.unwrap_or_default())?;
        let next = parameters.take("nextnonce");
        if next.as_ref().is_some_and(|next| next.is_empty()) {
            return Err(DigestError::Value("nextnonce").into());
        }
        let mut is_proved = false;
        if let Some(rspauth) = parameters.take("rspauth") {
            // A server may protect the response otherwise than the request.
            let qop =
                parameters.take("qop").map(|qop| Qop::from_token(&qop).ok_or(DigestError::Value("qop")));
            let qop = qop.transpose()?.or(session.qop);
            let nc = parameters.take("nc").unwrap_or_else(|| nc(session.count).into());
            let count = u32::from_str_radix(&nc, 16).map_err(|_| DigestError::Value("nc"))?;
            let sent = session.sent.iter().find(|(sent, _)| *sent == count).ok_or(ClientError::Rspauth)?;
            let counted = qop.map(|qop| (&*nc, &*session.cnonce, qop));
            let parts = Parts { counted, ..session.parts(&nc, &sent.1) };
            let expected = parts.answer(&session.ha1, body);
            let given =
                Digest::from_hex(session.algorithm.hash(), &rspauth).ok_or(DigestError::Value("rspauth"))?;
            if !bool::from(given.ct_eq(&expected)) {
                return Err(ClientError::Rspauth);
            }
            is_proved = true;
        }
        session.is_accepted = true;
        if let Some(next) = next {
            session.challenge.nonce = next.into();
            session.count = 0;
            session.sent.clear();
        }
        Ok(is_proved)
    }
}

impl Session {
    fn parts<'a>(&'a self, nc: &'a str, uri: &'a str) -> Parts<'a> {
        Parts {
            algorithm: self.algorithm,
            nonce: &self.challenge.nonce,
            counted: self.qop.map(|qop| (nc, &*self.cnonce, qop)),
            uri,
        }
    }
}

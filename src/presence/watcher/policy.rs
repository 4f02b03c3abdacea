//! The Subscription Authorization Policy of a presentity (TR 33.941 8.1.4; RFC 3856 6.6), and what
//! it decides.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::account::Account;
use super::algorithm::Algorithm;
use super::credentials::Credentials;
use super::grammar::DigestError;
use super::response::Request;
use super::server::{Server, Verified};
use super::unverified::Unverified;
use crate::registration::normalised_impu;
use crate::time::Moment;

/// A method by which a watcher is authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// HTTP Digest, which every presence server supports (TR 33.941 8.1.4).
    HttpDigest,
    /// HTTP Digest AKA, for watchers of the same home network.
    HttpDigestAka,
    /// P-Asserted-Identity from an element of the trust domain (RFC 3325, RFC 3856 6.6).
    Asserted,
    /// A certificate of TLS, for a SIPS URI.
    Sips,
    /// A signature of S/MIME.
    Smime,
    /// Another one.
    Other(Box<str>),
}

/// What becomes of a watcher's subscription (`sub-handling`, RFC 5025 3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Handling {
    /// 403.
    Block,
    /// 202: pending, until the presentity has decided.
    Confirm,
    /// 200, and a NOTIFY that tells nothing: the watcher does not learn that it is blocked.
    PoliteBlock,
    /// 200.
    Allow,
}

/// A watcher that the policy names.
#[derive(Debug)]
pub struct Watcher {
    identity: Box<str>,
    handling: Handling,
    account: Option<Account>,
}

impl Watcher {
    /// A watcher by its public identity.
    pub fn new(identity: &str, handling: Handling) -> Self {
        Self { identity: normalised_impu(identity).into(), handling, account: None }
    }

    /// With the credentials for HTTP Digest.
    #[must_use]
    pub fn with_account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }
}

/// The policy of one presentity. All is refused that it does not allow.
#[derive(Debug)]
pub struct SubscriptionPolicy {
    requires_authentication: bool,
    methods: Vec<Method>,
    watchers: Vec<Watcher>,
    others: Handling,
    anonymous: Handling,
    anonymous_account: Account,
    trusts_dialog_for: Duration,
    refuses_wrong: bool,
}

/// What is known of a SUBSCRIBE, or of another request that is subject to the policy.
#[derive(Clone, Debug)]
pub struct Subscription<'a> {
    request: Request<'a>,
    credentials: &'a [&'a str],
    asserted: Option<&'a str>,
    authenticated: Option<(Method, &'a str)>,
    before: Option<(Option<&'a str>, Moment)>,
}

impl<'a> Subscription<'a> {
    /// A request with its rows of Authorization.
    pub const fn new(request: Request<'a>, credentials: &'a [&'a str]) -> Self {
        Self { request, credentials, asserted: None, authenticated: None, before: None }
    }

    /// With the URI of P-Asserted-Identity. Only from an element of the trust domain: what others
    /// assert is removed ([`distrusted`](crate::presence::privacy::distrusted)).
    #[must_use]
    pub const fn with_asserted(mut self, identity: &'a str) -> Self {
        self.asserted = Some(identity);
        self
    }

    /// With an identity that the caller has authenticated by another method.
    #[must_use]
    pub fn with_authenticated(mut self, method: Method, identity: &'a str) -> Self {
        self.authenticated = Some((method, identity));
        self
    }

    /// A refresh: this watcher ([`Accepted::identity`], `None` if it is anonymous) was
    /// authenticated in the same dialog at this time.
    #[must_use]
    pub const fn refreshing(mut self, identity: Option<&'a str>, at: Moment) -> Self {
        self.before = Some((identity, at));
        self
    }
}

/// Why a subscription is challenged or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecisionReason {
    /// There is nothing that the policy accepts as authentication.
    Unauthenticated,
    /// The watcher is to be authenticated again.
    Again,
    /// The credentials do not authenticate.
    Unverified(Unverified),
    /// A row of Authorization cannot be read.
    Malformed(DigestError),
    /// The policy blocks the watcher.
    Blocked,
    /// A refresh by another watcher than that of the dialog.
    OtherWatcher,
}

/// How it is known who the watcher is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// By HTTP Digest with this algorithm.
    Digest(Algorithm),
    /// An element of the trust domain asserts it.
    Asserted,
    /// By another method, which the caller performed.
    Other(Method),
    /// Earlier in the same dialog.
    Before,
    /// It is not known: the watcher is anonymous.
    Anonymous,
}

/// A watcher whose subscription goes on.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The public identity, normalised; `None` for an anonymous watcher.
    pub identity: Option<Box<str>>,
    /// How it is known.
    pub by: By,
    /// For [`Server::authentication_info`], if it was HTTP Digest.
    pub verified: Option<Verified>,
}

/// What the policy decides.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Decision {
    /// 401: each challenge is a row of WWW-Authenticate, in this order.
    Challenge(DecisionReason, Vec<String>),
    /// 400 or 403.
    Refuse(DecisionReason),
    /// 200: the watcher learns what the presentity lets it.
    Accept(Accepted),
    /// 202: pending.
    Pending(Accepted),
    /// 200, and nothing is told.
    PoliteBlock(Accepted),
}

impl Decision {
    /// The status of the response: SIP's, with 202 as RFC 3265 has it.
    pub const fn status(&self) -> u16 {
        match self {
            Decision::Challenge(..) => 401,
            Decision::Refuse(DecisionReason::Malformed(_) | DecisionReason::Unverified(Unverified::Uri)) => {
                400
            }
            Decision::Refuse(_) => 403,
            Decision::Accept(_) | Decision::PoliteBlock(_) => 200,
            Decision::Pending(_) => 202,
        }
    }
}

impl Default for SubscriptionPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl SubscriptionPolicy {
    /// Watchers must be authenticated (RFC 3856 6.6), by HTTP Digest; those that are not named and
    /// anonymous ones are blocked; each refresh is challenged.
    pub fn new() -> Self {
        Self {
            requires_authentication: true,
            methods: [Method::HttpDigest].into(),
            watchers: Vec::new(),
            others: Handling::Block,
            anonymous: Handling::Block,
            anonymous_account: Account::anonymous(),
            trusts_dialog_for: Duration::ZERO,
            refuses_wrong: false,
        }
    }

    /// Watchers need not be authenticated: one of whom nothing is known is treated as anonymous.
    #[must_use]
    pub const fn without_authentication(mut self) -> Self {
        self.requires_authentication = false;
        self
    }

    /// Accepts another method, too.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    /// Names a watcher. The first entry of an identity counts.
    #[must_use]
    pub fn with_watcher(mut self, watcher: Watcher) -> Self {
        self.watchers.push(watcher);
        self
    }

    /// What becomes of watchers that are authenticated and not named.
    #[must_use]
    pub const fn with_others(mut self, handling: Handling) -> Self {
        self.others = handling;
        self
    }

    /// What becomes of anonymous watchers: the user name `anonymous` with an empty password
    /// (RFC 3261 22.1).
    #[must_use]
    pub const fn with_anonymous(mut self, handling: Handling) -> Self {
        self.anonymous = handling;
        self
    }

    /// A refresh is not challenged for this time after the last authentication in its dialog.
    #[must_use]
    pub const fn with_trust_in_dialogs(mut self, time: Duration) -> Self {
        self.trusts_dialog_for = time;
        self
    }

    /// Wrong credentials are answered by 403 instead of another challenge.
    #[must_use]
    pub const fn with_wrong_refused(mut self) -> Self {
        self.refuses_wrong = true;
        self
    }

    /// Decides about a subscription. The server is the one of the presentity's realm.
    pub fn decide(&self, now: Moment, server: &mut Server, subscription: &Subscription<'_>) -> Decision {
        let credentials = match Credentials::find(subscription.credentials.iter().copied(), server.realm()) {
            Ok(credentials) => credentials.filter(|_| self.methods.contains(&Method::HttpDigest)),
            Err(error) => return Decision::Refuse(DecisionReason::Malformed(error)),
        };
        if let Some(credentials) = credentials {
            return match self.verify(now, server, subscription, &credentials) {
                Ok(accepted) => self.handle(subscription, accepted),
                Err(Unverified::Uri) => Decision::Refuse(DecisionReason::Unverified(Unverified::Uri)),
                Err(error @ Unverified::Wrong) if self.refuses_wrong => {
                    Decision::Refuse(DecisionReason::Unverified(error))
                }
                Err(error) => challenge(now, server, DecisionReason::Unverified(error)),
            };
        }
        let known = |identity: &str, by| Accepted {
            identity: Some(normalised_impu(identity).into()),
            by,
            verified: None,
        };
        if let Some((method, identity)) = &subscription.authenticated
            && self.methods.contains(method)
        {
            return self.handle(subscription, known(identity, By::Other(method.clone())));
        }
        if let Some(identity) = subscription.asserted.filter(|_| self.methods.contains(&Method::Asserted)) {
            return self.handle(subscription, known(identity, By::Asserted));
        }
        if let Some((identity, at)) = subscription.before {
            let is_fresh = at <= now && now.since(at) < self.trusts_dialog_for;
            return if is_fresh {
                let anonymous = Accepted { identity: None, by: By::Before, verified: None };
                let accepted = identity.map_or(anonymous, |identity| known(identity, By::Before));
                self.handle(subscription, accepted)
            } else {
                challenge(now, server, DecisionReason::Again)
            };
        }
        if self.requires_authentication {
            return challenge(now, server, DecisionReason::Unauthenticated);
        }
        self.handle(subscription, Accepted { identity: None, by: By::Anonymous, verified: None })
    }

    fn verify(
        &self,
        now: Moment,
        server: &mut Server,
        subscription: &Subscription<'_>,
        credentials: &Credentials<'_>,
    ) -> Result<Accepted, Unverified> {
        let is_of = |account: &&Account| {
            credentials.algorithm.is_some_and(|algorithm| credentials.is_of(account, algorithm))
        };
        // All are looked at: the time does not tell which one it is.
        let mut watcher = None;
        for one in self.watchers.iter().rev() {
            if one.account.as_ref().is_some_and(|account| is_of(&account)) {
                watcher = Some(one);
            }
        }
        let anonymous = Some(&self.anonymous_account).filter(|_| self.anonymous != Handling::Block);
        let anonymous = anonymous.filter(is_of);
        let account = watcher.and_then(|watcher| watcher.account.as_ref()).or(anonymous);
        let verified = server.verify(now, credentials, &subscription.request, account)?;
        let identity = watcher.map(|watcher| watcher.identity.clone());
        let by = if identity.is_some() { By::Digest(verified.algorithm()) } else { By::Anonymous };
        Ok(Accepted { identity, by, verified: Some(verified) })
    }

    fn handle(&self, subscription: &Subscription<'_>, accepted: Accepted) -> Decision {
        let is_of = |watcher: &&Watcher| accepted.identity.as_ref() == Some(&watcher.identity);
        let handling = match &accepted.identity {
            Some(_) => self.watchers.iter().find(is_of).map_or(self.others, |watcher| watcher.handling),
            None => self.anonymous,
        };
        if let Some((before, _)) = subscription.before
            && accepted.identity.as_deref() != before.map(normalised_impu).as_deref()
        {
            return Decision::Refuse(DecisionReason::OtherWatcher);
        }
        match handling {
            Handling::Block => Decision::Refuse(DecisionReason::Blocked),
            Handling::Confirm => Decision::Pending(accepted),
            Handling::PoliteBlock => Decision::PoliteBlock(accepted),
            Handling::Allow => Decision::Accept(accepted),
        }
    }
}

fn challenge(now: Moment, server: &mut Server, reason: DecisionReason) -> Decision {
    let is_stale = matches!(reason, DecisionReason::Unverified(error) if error.is_stale());
    let challenges = server.challenges(now, is_stale);
    Decision::Challenge(reason, challenges)
}

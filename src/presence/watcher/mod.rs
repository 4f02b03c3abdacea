//! Authentication of watchers by HTTP Digest (TR 33.941 6.1.3, 8.1.4; RFC 3261 22, RFC 7616, RFC
//! 8760): both ends, and the policy of a presentity.
//!
//! A [`Server`] keeps nothing of a challenge: the nonce is a MAC over its number, the time and the
//! realm. It counts what was answered right, in a table of bounded size. The caller has header
//! values, accounts, the time and random octets.
//!
//! ```
//! use ipsec_3gpp::Moment;
//! use ipsec_3gpp::presence::watcher::{
//!     Account, Client, Decision, Handling, NonceSecret, Request, Server, ServerConfig,
//!     Subscription, SubscriptionPolicy, Watcher,
//! };
//! # let (read_random_octets, now) = (|| [7; 32], Moment::from_millis(0));
//! let account = || Account::new("alice", b"correct horse battery staple");
//! let watcher = Watcher::new("sip:alice@home1.net", Handling::Allow).with_account(account());
//! let policy = SubscriptionPolicy::new().with_watcher(watcher);
//! let secret = NonceSecret::new(read_random_octets());
//! let mut server = Server::new(ServerConfig::new("presence.home1.net")?, secret);
//! let mut client = Client::new(account());
//!
//! let request = Request::new("SUBSCRIBE", "sip:bob@home1.net");
//! let first = policy.decide(now, &mut server, &Subscription::new(request, &[]));
//! let Decision::Challenge(_, challenges) = first else { panic!("{first:?}") }; // 401
//! client.challenged(challenges.iter().map(String::as_str), "0a4f113b9c27d8e1")?;
//! let authorization = client.credentials(&request)?;
//!
//! let rows = [authorization.as_str()];
//! let second = policy.decide(now, &mut server, &Subscription::new(request, &rows));
//! let Decision::Accept(accepted) = second else { panic!("{second:?}") }; // 200
//! assert_eq!(accepted.identity.as_deref(), Some("sip:alice@home1.net"));
//! let verified = accepted.verified.ok_or("not by Digest")?;
//! let info = server.authentication_info(now, &verified, b"");
//! assert!(client.answered(Some(&info), b"")?); // the server knows her, too
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account;
mod algorithm;
mod challenge;
mod client;
mod config;
mod count;
mod credentials;
mod grammar;
mod nonce;
mod policy;
mod response;
mod server;
mod unverified;

pub use account::{ANONYMOUS, Account, Ha1Error, userhash};
pub use algorithm::{Algorithm, Hash};
pub use challenge::Challenge;
pub use client::{Client, ClientError};
pub use config::{Role, ServerConfig, ServerError};
pub use credentials::{Credentials, User};
pub use grammar::DigestError;
pub use nonce::NonceSecret;
pub use policy::{
    Accepted, By, Decision, DecisionReason, Handling, Method, Subscription, SubscriptionPolicy, Watcher,
};
pub use response::{Qop, Request};
pub use server::{Server, Verified};
pub use unverified::Unverified;

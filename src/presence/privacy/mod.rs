//! Subscriber anonymity: what the P-CSCF in front of a UE does with a request that asks for
//! privacy (TR 33.941 8.1.3.1; RFC 3323, 3325, 5379).
//!
//! The caller has the rows of a request, in their order; a [`Service`] answers with [`Edit`]s of
//! them, or with a [`Refusal`]. It fails closed: what cannot be read is never taken for "no privacy
//! was asked for", and what was asked for and could not be done is named ([`Applied::shortfall`]),
//! as is what still tells who she is ([`Applied::residual`]). The [`Dialog`] keeps what was hidden
//! for the responses and the later requests.
//!
//! | element and message | function |
//! |---|---|
//! | P-CSCF, first request to its UE | [`Service::for_untrusted_ue`], [`Service::apply`] |
//! | P-CSCF, later ones of the dialog | [`Service::apply_later`] |
//! | P-CSCF, response of its UE | [`Dialog::response`] |
//! | P-CSCF, request of its UE | [`assert_identity`] |
//! | P-CSCF, later ones of that dialog | [`Dialog::request_to_originator`], too |
//! | P-CSCF, response to its UE | [`Service::apply_response`] |
//! | edge, to another network | [`Service::new`], [`Service::apply`], [`Service::apply_response`] |
//! | edge, from a network without an agreement | [`distrusted`] |
//! | home network of the originator | [`Privacy::with_wish_of_home_network`] |
//! | user agent | [`advice`] |
//!
//! Requests that a UE originates are never changed for its privacy by its own P-CSCF (TR 33.941
//! 8.1.3.1).
//!
//! ```
//! use ipsec_3gpp::presence::privacy::{Outcome, Row, Service, edited};
//! let rows = [
//!     Row::new("From", "\"Alice\" <sip:alice@home1.net>;tag=4fa3"),
//!     Row::new("To", "<sip:bob@home2.net>"),
//!     Row::new("P-Asserted-Identity", "<sip:alice@home1.net>"),
//!     Row::new("Subject", "From Alice"),
//!     Row::new("Privacy", "id;user;critical"),
//!     Row::new("Proxy-Require", "privacy"),
//! ];
//! let Outcome::Forward(applied) = Service::for_untrusted_ue().apply("MESSAGE", &rows) else {
//!     panic!("it can be done")
//! };
//! let forwarded = edited(&rows, &applied.edits);
//! assert_eq!(forwarded, [
//!     ("From".into(), "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=4fa3".into()),
//!     ("To".into(), "<sip:bob@home2.net>".into()),
//!     ("Privacy".into(), "id;critical".into()),
//! ]);
//! // In the response, From is what the originator sent.
//! let response = applied.dialog.response(200, &[Row::new("f", &forwarded[0].1)]);
//! assert_eq!(response.edits[0].value(), Some("\"Alice\" <sip:alice@home1.net>;tag=4fa3"));
//! ```

mod dialog;
mod edit;
mod identity;
mod name_addr;
mod outcome;
mod secrets;
mod service;
mod user_agent;
mod value;
mod work;

pub use dialog::{Dialog, Mapped};
pub use edit::{Edit, Row, edited};
pub use identity::{NotRegistered, Unregistered, assert_identity, distrusted};
pub use outcome::{Applied, AppliedResponse, Outcome, Refusal, Residual, Shortfall};
pub use service::Service;
pub use user_agent::{Advice, advice, anonymous_from};
pub use value::{Level, Privacy, PrivacyError};
pub use work::{NextHop, Performs};

//! The set-up of one set of SAs (TS 33.203 7.2): SM1, SM6, SM7 and SM12, at both ends.
//!
//! Each step is a value that consumes the one before it, so that only the right order compiles:
//!
//! | | UE | P-CSCF |
//! |---|---|---|
//! | SM1, REGISTER | [`ue::Offer`] | [`pcscf::Offer`] |
//! | SM6, 401 | [`ue::Answer`] | [`pcscf::Challenge`] |
//! | SM7, REGISTER | | [`pcscf::Response`] |
//! | SM12, 200 | [`ue::Established`] | [`SaSet`](crate::sa::SaSet) |
//!
//! This is one set-up, without a clock, identities or a data path. [`crate::registration`] has
//! registrations over time and is what most programs use. A negotiation that ends, in whatever way,
//! is a value that is dropped; its keys are wiped with it.

pub mod pcscf;
mod refusal;
pub mod ue;

pub use refusal::{Refusal, Rejected, SecAgree, SipStatus};

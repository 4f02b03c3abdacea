//! The set-up of one set of SAs (TS 33.203 7.2): SM1, SM6, SM7 and SM12, at both ends.
//!
//! Each step is a value that consumes the one before it, so that no order but the right one can be written down:
//!
//! | | UE | P-CSCF |
//! |---|---|---|
//! | SM1, REGISTER | [`ue::Offer`] | [`pcscf::Offer`] |
//! | SM6, 401 | [`ue::Answer`] | [`pcscf::Challenge`] |
//! | SM7, REGISTER | | [`pcscf::Response`] |
//! | SM12, 200 | [`ue::Established`] | [`pcscf::Established`] |
//!
//! A program that keeps negotiations in a table has [`ue::Negotiation`] and [`pcscf::Negotiation`] instead: one of
//! the steps, and one method for every event, which refuses the wrong ones and changes nothing then.
//!
//! There is no clock here. A negotiation that ends, in whatever way, is a value that is dropped; its keys are
//! wiped with it.

pub mod pcscf;
mod refusal;
pub mod ue;

pub use refusal::{Refusal, Rejected, SecAgree, SipStatus, WrongState};

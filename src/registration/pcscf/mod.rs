//! The P-CSCF's table of registered contacts. A registration passes through its files in this
//! order:
//!
//! 1. `register`: SM1 arrives and goes on to the core.
//! 2. `answer`: the core's 401 becomes a temporary set and SM6.
//! 3. `register`: SM7 arrives over the temporary set and goes on to the core.
//! 4. `answer`: the core's 200 makes the set the current one.
//! 5. `egress`: what is sent to the UE, and over which set.
//! 6. `upkeep`: what time, the data path and the operator do.
//!
//! `contact` has the rules for the sets of one contact, `source` what keeps them apart, `in_clear`
//! what anybody can have begun,
//! `neighbours` the sets of others at the same address, `quotas` what strangers may have open;
//! `table` the look-ups, and the one function through which every change of a contact goes.

mod answer;
mod authorization;
mod config;
mod contact;
mod effects;
mod egress;
mod event;
mod id;
mod identity;
mod in_clear;
mod neighbours;
mod open;
mod quotas;
mod register;
mod source;
mod table;
mod timers;
mod upkeep;

pub use answer::{Accepted, ChallengeError, Failed, Gone, Sm6, Sm12, SuccessError};
pub use authorization::Authorization;
pub use config::{Config, ConfigError, WithoutSecAgree};
pub use event::Event;
pub use id::{ContactId, RequestId};
pub use identity::{Identity, IdentityError, MAX_IDENTITY_OCTETS, MAX_IMPUS};
pub use neighbours::InUse;
pub use quotas::Quota;
pub use register::{Discard, Forward, Register, RegisterError};
pub use table::{Counters, Pcscf};

//! The P-CSCF's table of registered contacts.

mod config;
mod data_path;
mod from_core;
mod from_ue;
mod table;
mod to_ue;

pub use config::{Config, ConfigError};
pub use data_path::Reconciled;
pub use from_core::{ChallengeError, Ended, Gone, RequestId, Sm6, Sm12};
pub use from_ue::{Authentication, Discard, Forward, Over, Register, RegisterError};
pub use table::{ContactId, Counters, InUse, Pcscf};

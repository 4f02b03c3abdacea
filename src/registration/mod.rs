//! Registrations over time: which set of SAs is temporary, current or old, until when, and what a message may travel
//! over (TS 33.203 7.3 to 7.5, TS 24.229 5.1.1 and 5.2.2).
//!
//! [`Pcscf`] is the table of all UEs of a P-CSCF, [`Ue`] one registration of a UE. Both are told what happened and what
//! time it is, and answer with values. What the data path must do comes as [`Instruction`]s, in their order:
//! `apply` carries them out on a [`Sad`](crate::Sad); another data path takes them from `next_instruction`.
//!
//! Both have `poll_timeout`, the moment at which `handle_timeout` has something to do, and never look at a clock.

mod contact;
mod identity;
mod instruction;
mod pcscf;
mod route;
mod timers;
mod ue;

use core::time::Duration;

pub use identity::Identity;
pub use instruction::{Instruction, SetId};
pub use pcscf::{
    Authentication, ChallengeError, Config, ConfigError, ContactId, Counters, Discard, Ended, Forward, Gone,
    InUse, Over, Pcscf, Reconciled, Register, RegisterError, RequestId, Sm6, Sm12,
};
pub use route::{Message, NoSa, Route, Transport};
pub use ue::{
    BadChallenge, Begin, BeginError, ChallengeFailure, Prompt, Request, Ue, UeConfig, UeGone, UeState,
};

/// reg-await-auth (TS 24.229 7.8.1): how long an unfinished authentication, and its SAs, may last.
pub const REG_AWAIT_AUTH: Duration = Duration::from_secs(4 * 60);
/// 64*T1 with the T1 of 2 s that holds between UE and P-CSCF (TS 24.229 7.7.1): how long the SAs of a set that is
/// being left stay, for the transactions on them.
pub const DRAIN: Duration = Duration::from_secs(64 * 2);
/// How much longer than the registration its SAs live (TS 24.229 5.1.1.5.1, 5.2.2).
pub const GRACE: Duration = Duration::from_secs(30);

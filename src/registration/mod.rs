//! Registrations over time: which set of SAs is temporary, current or old, until when, and over
//! which set a message travels (TS 33.203 7.3 to 7.5, TS 24.229 5.1.1 and 5.2.2).
//!
//! [`Pcscf`] is the table of all UEs of a P-CSCF, [`Ue`] one registration of a UE. Both are told
//! what happened and what time it is, and answer with values. A call that changes SAs takes a
//! [`DataPath`](crate::DataPath) and makes the change before it returns.
//!
//! Both have three things to poll: `poll_timeout` is the moment at which `handle_timeout` must be
//! called, and `poll_event` says what has ended or changed since, so that a program can clean up
//! what it keeps for a contact, a request or a set. Neither looks at a clock.
//!
//! [`docs::duties`](crate::docs::duties) lists what the caller must do.

mod cause;
mod lifetimes;
mod normal;
mod pcscf;
mod route;
mod ue;

pub use cause::Cause;
pub use lifetimes::{DRAIN, GRACE, REG_AWAIT_AUTH};
pub use normal::{normalised_impi, normalised_impu};
pub use pcscf::{
    Accepted, Authorization, ChallengeError, Config, ConfigError, ContactId, Counters, Discard, Event,
    Failed, Forward, Gone, Identity, IdentityError, InUse, MAX_IDENTITY_OCTETS, MAX_IMPUS, Pcscf, Quota,
    Register, RegisterError, RequestId, Sm6, Sm12, SuccessError, WithoutSecAgree,
};
pub use route::{NoSa, Over, Route, Transport};
pub use ue::{
    BadChallenge, Begin, BeginError, ChallengeFailure, ConfirmError, NoProcedure, Request, Ue, UeConfig,
    UeEvent, UeState,
};

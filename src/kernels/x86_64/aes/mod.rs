//! AES-128 in CBC (RFC 3602): many packets encrypted in parallel, since one is latency-bound, and
//! the blocks of one packet decrypted in parallel. A packet begins with the counter block that its
//! IV is made from: encrypted with nothing before it, that is the IV, and CBC goes on from there.
//!
//! The portable twin of all this is the `aes` crate.

mod key;
pub(super) mod ni;
mod schedules;
pub(super) mod vaes;

pub(crate) use key::Key;
pub(crate) use schedules::InverseKey;
pub(super) use schedules::{Chains, Schedules};

//! How long things last.

use core::time::Duration;

/// reg-await-auth (TS 24.229 7.8.1): how long an unfinished authentication, and its SAs, may last.
pub const REG_AWAIT_AUTH: Duration = Duration::from_secs(4 * 60);
/// 64*T1 with the T1 of 2 s between UE and P-CSCF (TS 24.229 7.7.1): how long a set that is no
/// longer used stays, for the transactions that began over it.
pub const DRAIN: Duration = Duration::from_secs(64 * 2);
/// How much longer than the registration its SAs live (TS 24.229 5.1.1.5.1, 5.2.2).
pub const GRACE: Duration = Duration::from_secs(30);

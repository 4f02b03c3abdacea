//! The life of registered contacts at the P-CSCF (TS 33.203 7.3 to 7.5, TS 24.229 5.2.2), and what
//! an operator would be woken by.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::wildcard_enum_match_arm, unused_must_use, reason = "a test leaves answers out on purpose")]

#[path = "../support/gm.rs"]
mod gm;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod capacity;
mod data_path;
mod deadlines;
mod failures;
mod field;
mod lasting;
mod ports;
mod quotas;
mod strangers;
mod table_rows;

use std::time::Duration;

use gm::{Answers, Gm, Phone, Says};

const SECOND: Duration = Duration::from_secs(1);
const RESPONSE: Says = Says { answers: Answers::Response, deregisters: false };

fn gm_and_phone() -> (Gm, Phone) {
    (Gm::new(), Phone::new(16))
}

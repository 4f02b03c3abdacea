//! What becomes of a message: edits, what they leave undone, or a refusal.

use alloc::string::String;
use alloc::vec::Vec;

use super::dialog::Dialog;
use super::edit::Edit;
use super::value::{Level, PrivacyError};

/// A level of privacy that was asked for and is not provided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortfall {
    /// It is not performed here, or not known.
    Level(Level),
    /// A Privacy header cannot be read. All that can be performed was, and the header stays.
    Unreadable(PrivacyError),
}

/// What still tells who the originator is, though every edit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Residual {
    /// A row, counted as in the message as it was.
    Row(usize),
    /// The body.
    Body,
}

/// A request that is forwarded after its edits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Applied {
    /// The edits, by row.
    pub edits: Vec<Edit>,
    /// What was asked for and is not provided.
    pub shortfall: Vec<Shortfall>,
    /// What still tells who the originator is; empty if she did not ask for privacy.
    pub residual: Vec<Residual>,
    /// `none` came with other values, which RFC 3323 4.2 forbids; it wins.
    pub is_contradictory: bool,
    /// For the responses, and for what comes later in the dialog.
    pub dialog: Dialog,
}

/// A response that is forwarded after its edits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct AppliedResponse {
    /// The edits, by row.
    pub edits: Vec<Edit>,
    /// What was asked for and is not provided.
    pub shortfall: Vec<Shortfall>,
    /// What still tells who responds; empty if no privacy was asked for.
    pub residual: Vec<Residual>,
}

/// A request that is not forwarded: privacy that was critical cannot be provided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The status of the response; `None` for an ACK, which is discarded, as nobody answers one.
    pub status: Option<u16>,
    /// The reason phrase, which names the values (RFC 3323 5).
    pub reason: String,
    /// What could not be provided.
    pub shortfall: Vec<Shortfall>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It goes on.
    Forward(Applied),
    /// It is refused.
    Refuse(Refusal),
}

//! The privacy service: from the rows of a request to their edits, or a refusal.

use alloc::vec::Vec;

use super::dialog::Dialog;
use super::edit::{Edit, Row};
use super::outcome::{Applied, AppliedResponse, Outcome, Refusal, Shortfall};
use super::value::{Level, Privacy, PrivacyError};
use super::work::{Message, NextHop, Performs, Rules, Work};

/// The function in one element: what it performs, and what the next hop is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    rules: Rules,
    is_strict: bool,
    without_header: Privacy,
}

impl Service {
    /// The function in front of an element.
    pub fn new(next_hop: NextHop) -> Self {
        Self {
            rules: Rules { next_hop, performs: Performs::HEADERS_ONLY, removes_id: false },
            is_strict: false,
            without_header: Privacy::default(),
        }
    }

    /// The function of the P-CSCF in front of a UE, for requests that end there (TR 33.941 6.1.2.1;
    /// never for those that a UE originates). The edge toward another network without an agreement
    /// is the same.
    pub fn for_untrusted_ue() -> Self {
        Self::new(NextHop::Untrusted)
    }

    /// The same where the caller can do more.
    #[must_use]
    pub const fn with_performs(mut self, performs: Performs) -> Self {
        self.rules.performs = performs;
        self
    }

    /// Refuses what cannot be provided even where it is not `critical` (RFC 5379 4.3).
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Removes `id` from the Privacy header before an untrusted element, as the prose of RFC 3325
    /// 10.2 says. By default it stays, as its messages F5 and F6 show it.
    #[must_use]
    pub const fn with_id_removed(mut self) -> Self {
        self.rules.removes_id = true;
        self
    }

    /// What is done to a request without a Privacy header: the Spec(T) of the trust domain
    /// (RFC 3324). By default nothing is, and P-Asserted-Identity is kept.
    #[must_use]
    pub fn with_default(mut self, privacy: Privacy) -> Self {
        self.without_header = privacy;
        self
    }

    /// Provides the privacy that an initial or standalone request asks for. Later requests of its
    /// dialog go to [`Service::apply_later`].
    pub fn apply(&self, method: &str, rows: &[Row<'_>]) -> Outcome {
        self.apply_with(method, rows, None)
    }

    /// The same for a later request of the originator in a dialog: what was asked for at first
    /// holds, whether or not this one has a Privacy header (TR 33.941 6.1.2.1).
    pub fn apply_later(&self, dialog: &Dialog, method: &str, rows: &[Row<'_>]) -> Outcome {
        self.apply_with(method, rows, Some(dialog))
    }

    /// The same for a response: the levels that its own Privacy header asks for are those of the
    /// end that responds. It is the function of the P-CSCF in front of the UE that receives it, or
    /// of the edge. A response is never refused, and `critical` is nothing to it (RFC 3323 5).
    pub fn apply_response(&self, rows: &[Row<'_>]) -> AppliedResponse {
        let asked = self.asked(rows, &Privacy::default());
        let work = Work { rules: self.rules, rows, message: Message::Response, asked: &asked.levels };
        // In a response, nothing that is edited has to be read.
        let (mut edits, _) = work.edits().unwrap_or_default();
        if asked.unreadable.is_none() {
            work.bookkeeping(asked.written.clone(), &mut edits);
        }
        edits.sort_by_key(Edit::row);
        let residual = work.residual(&edits);
        AppliedResponse { edits, shortfall: asked.shortfall(self.rules.performs), residual }
    }

    fn apply_with(&self, method: &str, rows: &[Row<'_>], dialog: Option<&Dialog>) -> Outcome {
        let asked = self.asked(rows, dialog.map_or(&Privacy::default(), |dialog| &dialog.asked));
        let is_unreadable = asked.unreadable.is_some();
        let mut shortfall = asked.shortfall(self.rules.performs);
        let work = Work { rules: self.rules, rows, message: Message::Request(method), asked: &asked.levels };
        let (mut edits, from) = match work.edits() {
            Ok(found) => found,
            Err(unreadable) => {
                // Without its tag, it cannot be replaced; as it is, it must not pass.
                shortfall.push(unreadable);
                return refused(method, shortfall, true);
            }
        };
        let is_fatal = asked.levels.has(&Level::Critical) || self.is_strict;
        if is_fatal && !shortfall.is_empty() && !method.eq_ignore_ascii_case("CANCEL") {
            return refused(method, shortfall, false);
        }
        if !is_unreadable {
            work.bookkeeping(asked.written.clone(), &mut edits);
        }
        edits.sort_by_key(Edit::row);
        let residual = work.residual(&edits);
        // Within a dialog, the other end is not called again.
        let mut called = rows.iter().filter(|row| row.is("P-Called-Party-ID") && dialog.is_none());
        // If two are named, neither is known.
        let called = called.next().filter(|_| called.next().is_none()).map(|row| row.value);
        let is_contradictory = asked.is_contradictory();
        let dialog = Dialog::new(asked.levels, from, self.rules.next_hop == NextHop::Untrusted, called);
        Outcome::Forward(Applied { edits, shortfall, residual, is_contradictory, dialog })
    }

    /// The levels that a message asks for, itself or because an earlier one of its dialog did.
    fn asked(&self, rows: &[Row<'_>], before: &Privacy) -> Asked {
        let has_header = rows.iter().any(|row| row.is("Privacy"));
        let of_privacy = rows.iter().filter(|row| row.is("Privacy")).map(|row| row.value);
        let (written, unreadable) = Privacy::read_all(of_privacy);
        let mut levels = written.clone();
        if !has_header && before.is_empty() {
            levels = self.without_header.clone();
        }
        if unreadable.is_some() {
            // It may have been any of these, and hardly "none".
            levels.retain(|level| *level != Level::None);
            levels = levels.with(Level::Id).with(Level::User).with(Level::History);
        }
        // What holds for a dialog holds for all of its messages.
        levels = before.levels().fold(levels, |levels, level| levels.with(level.clone()));
        // "none" of one message does not undo what another one of its dialog asked for.
        let is_none_of_all =
            (written.has(&Level::None) || !has_header) && (before.has(&Level::None) || before.is_empty());
        if !is_none_of_all {
            levels.retain(|level| *level != Level::None);
        }
        Asked { levels, written, unreadable }
    }
}

/// The levels that a message asks for.
struct Asked {
    levels: Privacy,
    /// In its own header.
    written: Privacy,
    unreadable: Option<PrivacyError>,
}

impl Asked {
    fn is_contradictory(&self) -> bool {
        self.levels.has(&Level::None) && self.levels.levels().count() > 1
    }

    /// The levels that are not performed here.
    fn shortfall(&self, performs: Performs) -> Vec<Shortfall> {
        let unreadable = self.unreadable.clone().map(Shortfall::Unreadable);
        let is_none = self.levels.has(&Level::None);
        let undone = self.levels.levels().filter(|level| !is_none && !performs.performs(level)).cloned();
        unreadable.into_iter().chain(undone.map(Shortfall::Level)).collect()
    }
}

fn refused(method: &str, shortfall: Vec<Shortfall>, is_unreadable: bool) -> Outcome {
    let levels = shortfall.iter().filter_map(|one| match one {
        Shortfall::Level(level) => Some(level),
        Shortfall::Unreadable(_) => None,
    });
    let mut reason = Privacy::list(levels, ", ");
    if reason.is_empty() {
        reason.push_str("unreadable header");
    }
    let is_answered = !method.eq_ignore_ascii_case("ACK");
    Outcome::Refuse(Refusal {
        status: is_answered.then_some(if is_unreadable { 400 } else { 500 }),
        reason: alloc::format!("Privacy not available: {reason}"),
        shortfall,
    })
}

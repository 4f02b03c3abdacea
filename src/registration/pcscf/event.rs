//! Events of the P-CSCF.

use alloc::collections::VecDeque;

use super::id::{ContactId, RequestId};
use super::identity::Identity;
use crate::registration::cause::Cause;
use crate::sa::SetId;

/// Something that ended or changed in a [`Pcscf`](crate::Pcscf).
///
/// Every contact, request and set that a call has returned ends with exactly one event, unless the
/// caller ended it itself: a request by giving its answer to the table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A contact has left the table. Everything kept for it can go.
    ContactEnded {
        /// The contact.
        contact: ContactId,
        /// Who it was.
        identity: Identity,
        /// Why.
        cause: Cause,
    },
    /// A contact is not registered any more, and stays in the table because something is open that
    /// came in clear: another registration, or a stranger's. [`Event::ContactEnded`] says the same
    /// where nothing is.
    RegistrationEnded {
        /// The contact.
        contact: ContactId,
        /// Why.
        cause: Cause,
    },
    /// A REGISTER awaits no answer any more: a newer one has taken its place, its time was up, or
    /// its contact has left. The core's answer to it will be refused with
    /// [`Gone`](super::Gone).
    RequestForgotten {
        /// The contact that sent it.
        contact: ContactId,
        /// The request.
        request: RequestId,
    },
    /// Requests to a contact go over this set from now on.
    SetTakenIntoUse {
        /// The contact.
        contact: ContactId,
        /// The set.
        set: SetId,
    },
    /// A set has been removed from the data path.
    SetRemoved {
        /// The contact.
        contact: ContactId,
        /// The set.
        set: SetId,
        /// Why.
        cause: Cause,
    },
    /// The sequence numbers of an outbound SA run low, or its volume is used up: the contact must
    /// authenticate again soon. Comes once for each set.
    NumbersLow {
        /// The contact.
        contact: ContactId,
        /// The set.
        set: SetId,
    },
}

/// Events that have not been polled.
///
/// A caller that never polls must not cost memory without end: a call begins by dropping the oldest
/// events above a limit. What one call adds is never dropped before the next call.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Event>,
}

impl Events {
    const LIMIT: usize = 1 << 16;

    pub(super) fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }

    /// Drops the oldest events above the limit, and returns how many.
    pub(super) fn trim(&mut self) -> u64 {
        let excess = self.queue.len().saturating_sub(Self::LIMIT);
        self.queue.drain(..excess);
        excess as u64
    }
}

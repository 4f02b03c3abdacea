//! Events of the UE.

use alloc::collections::VecDeque;

use crate::registration::cause::Cause;
use crate::sa::SetId;

/// Something that ended or changed in a [`Ue`](crate::Ue), or something that it must do.
///
/// Every set that a call has returned ends with exactly one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UeEvent {
    /// It is time to register again, over the sets in force ([`Ue::begin`](crate::Ue::begin)).
    RegisterDue,
    /// A procedure ended because nothing arrived in time. Sets in force are as they were.
    ProcedureExpired,
    /// The registration has ended. Unless the UE wanted that, it registers in clear.
    Ended(Cause),
    /// Requests go over this set from now on.
    SetTakenIntoUse(SetId),
    /// A set has been removed from the data path.
    SetRemoved {
        /// The set.
        set: SetId,
        /// Why.
        cause: Cause,
    },
}

/// Events that have not been polled. A caller that never polls must not cost memory without end:
/// the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<UeEvent>,
}

impl Events {
    /// More than a caller that polls ever has.
    const LIMIT: usize = 256;

    pub(super) fn push(&mut self, event: UeEvent) {
        if self.queue.len() == Self::LIMIT {
            self.queue.pop_front();
        }
        self.queue.push_back(event);
    }

    /// What asked for a registration is out of date.
    pub(super) fn forget_due(&mut self) {
        self.queue.retain(|event| *event != UeEvent::RegisterDue);
    }

    pub(super) fn pop(&mut self) -> Option<UeEvent> {
        self.queue.pop_front()
    }
}

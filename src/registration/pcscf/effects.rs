//! What a change of a contact does beyond the contact.

use alloc::vec::Vec;

use super::open::Set;
use super::source::Source;
use crate::hashing::Hashes;
use crate::registration::cause::Cause;
use crate::sa::{DataPath, SetId, Side};
use crate::time::Moment;

/// The effects of a change of a contact beyond the contact: to the data path at once, and to the
/// table when the change is complete.
pub(super) struct Effects<'d, D> {
    pub(super) data_path: &'d mut D,
    /// Those of the table.
    pub(super) hashes: &'d Hashes,
    pub(super) done: Done,
    /// The REGISTER that is the reason claims priority.
    pub(super) priority: bool,
}

/// The work that remains for the table after a change of a contact.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Sets that are in the data path no more.
    pub(super) removed: Vec<(Set, Cause)>,
    /// Requests that await no answer any more.
    pub(super) forgotten: Vec<u64>,
    /// What is open in clear from now on, and what is no more.
    pub(super) counted: Vec<(Source, Counting)>,
    /// The set that requests go over now.
    pub(super) taken: Option<SetId>,
    /// Why the contact ended, if it did.
    pub(super) cause: Option<Cause>,
}

/// Whether something open in clear began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    Began,
    Ended,
}

impl<D> Effects<'_, D> {
    pub(super) fn counts(&mut self, source: Option<Source>) {
        let Some(source) = source else { return };
        // A challenge that takes the place of its REGISTER changes no count.
        if self.done.counted.last() == Some(&(source, Counting::Ended)) {
            self.done.counted.pop();
        } else {
            self.done.counted.push((source, Counting::Began));
        }
    }

    pub(super) fn counts_no_more(&mut self, source: Option<Source>) {
        self.done.counted.extend(source.map(|source| (source, Counting::Ended)));
    }

    pub(super) fn forget(&mut self, number: u64, cause: Cause) {
        self.done.forgotten.push(number);
        self.done.cause = Some(cause);
    }
}

impl<D: DataPath> Effects<'_, D> {
    pub(super) fn remove(&mut self, set: Set, cause: Cause) {
        self.data_path.remove(set.id, Side::Pcscf, &set.ends);
        self.done.removed.push((set, cause));
        self.done.cause = Some(cause);
    }

    /// The data path keeps a set until this deadline at least.
    pub(super) fn extend(&mut self, set: &Set, deadline: Moment) -> Result<(), D::Error> {
        let lifetime = deadline.since(Moment::from_secs(set.installed));
        self.data_path.extend(set.id, Side::Pcscf, &set.ends, lifetime)
    }

    pub(super) fn take_into_use(&mut self, set: &Set) -> Result<(), D::Error> {
        self.data_path.take_into_use(set.id, Side::Pcscf, &set.ends)?;
        self.done.taken = Some(set.id);
        Ok(())
    }
}

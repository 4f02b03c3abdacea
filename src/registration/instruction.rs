//! What the data path is to do.

use core::fmt;

use crate::sa::{Ends, InstallError, SaSet, Sad, Side};

/// A set of SAs. No other ever has the same, not even after this one is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetId {
    /// The slot of the contact: for finding the set, not for telling it from others.
    pub(super) contact: u32,
    pub(super) number: u64,
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set {}", self.number)
    }
}

/// One thing that the data path is to do before anything that was answered with it is sent. Each may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Install the four SAs of a set, all or none. `set` of the table or the UE has them with their keys; where it has
    /// them no more, the set has ended and its removal follows.
    Install(SetId),
    /// Remove the four SAs of a set, which nothing else will name again. Comes once for each set.
    Remove(SetId, Ends),
}

impl Instruction {
    /// Carries it out at one end; `set` is the set to install, where there still is one. Doing so again does nothing.
    pub(super) fn carry_out(
        &self,
        set: Option<&SaSet>,
        sad: &mut Sad,
        side: Side,
    ) -> Result<(), InstallError> {
        match (self, set) {
            (Instruction::Install(_), Some(set)) if !sad.holds(set.ends(), side) => {
                sad.install(set, side).map(|_| ())
            }
            (Instruction::Install(_), _) => Ok(()),
            (Instruction::Remove(_, ends), _) => {
                sad.remove_ends(ends, side);
                Ok(())
            }
        }
    }
}

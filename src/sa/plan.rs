//! Changes of SAs that are recorded, to be carried out elsewhere.

use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;

use super::data_path::DataPath;
use super::id::SetId;
use super::set::{Ends, Overlap, SaSet, Side};

/// Recorded changes of SAs: for a kernel, another thread, another process.
///
/// A plan comes from [`Plan::record`], together with the value that it belongs to: SM6, say, which
/// must not be sent before the plan has been carried out. What then fails goes back to the table
/// with [`Pcscf::data_path_failed`](crate::Pcscf::data_path_failed) or
/// [`Ue::data_path_failed`](crate::Ue::data_path_failed).
///
/// The steps of all plans of one table must be carried out in the order in which they were
/// recorded.
#[derive(Debug)]
#[must_use = "the SAs are in place only after the plan has been carried out"]
pub struct Plan {
    steps: Vec<PlanStep>,
}

/// One change of a [`Plan`].
#[derive(Debug)]
#[non_exhaustive]
pub enum PlanStep {
    /// [`DataPath::install`]
    Install {
        /// The set.
        id: SetId,
        /// The side that the data path is on.
        side: Side,
        /// The four SAs with their keys, which wipe themselves with the plan.
        set: SaSet,
        /// How its outbound SAs relate to those of other sets.
        overlap: Overlap,
    },
    /// [`DataPath::take_into_use`]
    TakeIntoUse {
        /// The set.
        id: SetId,
        /// The side that the data path is on.
        side: Side,
        /// Both ends of the set.
        ends: Ends,
    },
    /// [`DataPath::extend`]
    Extend {
        /// The set.
        id: SetId,
        /// The side that the data path is on.
        side: Side,
        /// Both ends of the set.
        ends: Ends,
        /// How long after they were installed its SAs are needed.
        lifetime: Duration,
    },
    /// [`DataPath::remove`]
    Remove {
        /// The set.
        id: SetId,
        /// The side that the data path is on.
        side: Side,
        /// Both ends of the set.
        ends: Ends,
    },
}

/// A value, and the plan that must be carried out before the value is used.
#[derive(Debug)]
#[must_use = "the SAs are in place only after the plan has been carried out"]
pub struct Planned<T> {
    plan: Plan,
    value: T,
}

impl Plan {
    /// Records the changes that a call makes.
    ///
    /// ```
    /// use ipsec_3gpp::sa::Planned;
    /// # use ipsec_3gpp::{Moment, Pcscf, Plan};
    /// # fn later(pcscf: &mut Pcscf, now: Moment) {
    /// let planned: Planned<()> = Plan::record(|plan| pcscf.handle_timeout(now, plan));
    /// let (plan, ()) = planned.into_parts();
    /// # drop(plan);
    /// # }
    /// ```
    pub fn record<T>(call: impl FnOnce(&mut Plan) -> T) -> Planned<T> {
        let mut plan = Plan { steps: Vec::new() };
        let value = call(&mut plan);
        Planned { plan, value }
    }

    /// The changes, in their order.
    pub fn steps(&self) -> &[PlanStep] {
        &self.steps
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Carries all changes out. A set that could not be installed is neither taken into use nor
    /// extended.
    ///
    /// Returns the sets that failed, with the reasons, for `data_path_failed`.
    #[must_use = "the table must be told what failed"]
    pub fn carry_out<D: DataPath>(self, data_path: &mut D) -> Vec<(SetId, D::Error)> {
        let mut failed: Vec<(SetId, D::Error)> = Vec::new();
        for step in &self.steps {
            let result = match step {
                PlanStep::Install { id, side, set, overlap } => {
                    (*id, data_path.install(*id, *side, set, *overlap))
                }
                PlanStep::TakeIntoUse { id, .. } | PlanStep::Extend { id, .. }
                    if failed.iter().any(|(other, _)| other == id) =>
                {
                    continue;
                }
                PlanStep::TakeIntoUse { id, side, ends } => (*id, data_path.take_into_use(*id, *side, ends)),
                PlanStep::Extend { id, side, ends, lifetime } => {
                    (*id, data_path.extend(*id, *side, ends, *lifetime))
                }
                PlanStep::Remove { id, side, ends } => {
                    data_path.remove(*id, *side, ends);
                    continue;
                }
            };
            if let (id, Err(error)) = result {
                failed.push((id, error));
            }
        }
        failed
    }
}

impl DataPath for Plan {
    type Error = Infallible;

    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), Infallible> {
        self.steps.push(PlanStep::Install { id, side, set: set.duplicate(), overlap });
        Ok(())
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), Infallible> {
        self.steps.push(PlanStep::TakeIntoUse { id, side, ends: *ends });
        Ok(())
    }

    fn extend(&mut self, id: SetId, side: Side, ends: &Ends, lifetime: Duration) -> Result<(), Infallible> {
        self.steps.push(PlanStep::Extend { id, side, ends: *ends, lifetime });
        Ok(())
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        self.steps.push(PlanStep::Remove { id, side, ends: *ends });
    }
}

impl<T> Planned<T> {
    /// The plan and the value. The plan must be carried out before the value is used.
    pub fn into_parts(self) -> (Plan, T) {
        (self.plan, self.value)
    }

    /// The plan and the value, while the plan is still to be carried out.
    pub const fn as_parts(&self) -> (&Plan, &T) {
        (&self.plan, &self.value)
    }
}

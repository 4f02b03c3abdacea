//! Security associations: the four of a set, one direction each, the table that holds them, and the
//! data path that changes of them go to.

mod batch;
mod data_path;
mod id;
mod inbound;
mod outbound;
mod plan;
mod replay;
mod sad;
mod selector;
mod set;

pub use crate::hashing::HashSeed;
pub use batch::{OpenJob, SealJob, open_batch, seal_batch};
pub use data_path::DataPath;
pub use id::{InboundId, OutboundId, SetId};
pub use inbound::{Checks, Inbound, InboundCounters, OpenError, Opened, Peek, peek};
pub use outbound::{Limits, Outbound, OutboundCounters, SealError, Sealed, SealedSize, Warning};
pub use plan::{Plan, PlanStep, Planned};
pub use replay::{ReplayError, ReplayWindow, WindowError, WindowSize};
pub use sad::{Arrived, InstallError, InstalledSet, Sad, SadCounters, Target};
#[cfg(test)]
pub(crate) use selector::Wire;
pub use selector::{Ports, Selector};
pub use set::{Endpoint, Ends, Overlap, SaName, SaSet, SaSpec, SetError, Side};

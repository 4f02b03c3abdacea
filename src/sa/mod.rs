//! Security associations: the four of a set, one direction each, and the table that holds them.

mod batch;
mod inbound;
mod outbound;
mod replay;
mod sad;
mod selector;
mod set;

pub use batch::{OpenJob, SealJob, open_batch, seal_batch};
pub use inbound::{Inbound, InboundCounters, OpenError, Opened, SelectorCheck};
pub use outbound::{Limits, Outbound, OutboundCounters, SealError, Sealed, Warning};
pub use replay::{ReplayError, ReplayWindow, WindowError, WindowSize};
pub use sad::{Arrived, InboundId, InstallError, InstalledSet, OutboundId, Sad, SadCounters};
pub use selector::{Ports, Selector};
pub use set::{Endpoint, Ends, SaName, SaSet, SaSpec, SetError, Side};

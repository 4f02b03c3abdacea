//! The security association database: every SA of one node or core, found by SPI or by selector in
//! O(1).

mod batch;
mod packets;
mod table;

pub use packets::{Arrived, Target};
pub use table::{InstallError, InstalledSet, Sad, SadCounters};

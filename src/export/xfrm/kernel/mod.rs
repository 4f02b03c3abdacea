//! The kernel's ESP as a data path.

mod exchange;
mod reconcile;
mod tables;

pub use exchange::{KernelError, Netlink};
pub use reconcile::Reconciled;
pub use tables::Kernel;

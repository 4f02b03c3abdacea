//! Captures: files in, packets out, the datagrams in them, and files again.

mod datagram;
mod held;
mod input;
mod link;
mod output;

pub use datagram::{Datagram, Tunnel, addresses};
pub use held::{Held, Taken, Whole};
pub use input::{Input, Item, Packet};
pub use link::locate;
pub use output::Output;

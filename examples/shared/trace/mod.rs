//! Registrations in a capture: who registered with what, and the SAs of it over time.

mod keys;
mod registrations;
mod streams;
mod unknown;

pub use keys::{KeyPair, Keys};
pub use registrations::{Flow, SetOf, Trace};
pub use streams::{Streams, messages_of_text};

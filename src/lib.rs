#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod algorithm;
mod esp;
pub mod export;
mod index;
mod key;
pub mod negotiation;
mod policy;
mod prefetch;
pub mod registration;
mod sa;
pub mod sec_agree;
mod slab;
mod spi;
mod time;

pub use algorithm::{Encryption, Integrity, Release, Suite};
pub use esp::{Backend, Family, IpError, PROTOCOL_ESP, PROTOCOL_NONE, PacketError, TrailerError};
pub use key::{Ck, Ik, KeyError, SaKeys};
pub use policy::{
    Choice, Confidentiality, OfferVerdict, Policy, PolicyError, Reason, Selection, SuiteVerdict,
};
pub use sa::*;
pub use spi::{ReservedSpi, Spi, SpiAllocator, SpiPair, SpiSlice, SpiSpaceError, SpisExhausted};

pub use time::Instant;

#[cfg(test)]
#[path = "../tests/support/vectors.rs"]
mod vectors;

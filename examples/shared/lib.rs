//! What several of the programs need.
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates")]
#![allow(missing_debug_implementations, reason = "for the programs only")]

pub mod capture;
#[cfg(feature = "kernel")]
pub mod netlink;
pub mod progress;
pub mod sas;
pub mod sip;
pub mod summary;
pub mod table;
pub mod trace;

/// Why a program stopped, in one line.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Whether a program stopped because whoever reads its output has stopped reading.
pub fn is_broken_pipe(error: &Box<dyn std::error::Error>) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

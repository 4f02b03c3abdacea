//! What several of the programs need.
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates")]

#[cfg(feature = "kernel")]
pub mod netlink;

/// Why a program stopped, in one line.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

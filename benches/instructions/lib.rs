//! See `instructions.rs`.

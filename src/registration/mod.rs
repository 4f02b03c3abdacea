//! Registrations over time.
mod timers;

//! The caller's clock.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment of the caller's clock: milliseconds since a moment that the caller chose. The clock must not go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// So many milliseconds after the caller's zero.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the caller's zero.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since an earlier moment; zero if that is later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// Stops at the caller's zero.
    fn sub(self, duration: Duration) -> Instant {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Stops at the end of the clock.
    fn add(self, duration: Duration) -> Instant {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

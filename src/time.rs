//! The caller's clock.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment of the caller's clock: milliseconds since a moment that the caller chose. The clock
/// must not go back.
///
/// With the feature `std`, an `Anchor` converts from and to `std::time::Instant`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// This many milliseconds after the caller's zero.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The whole seconds: what a set stores of the time of its birth.
    pub(crate) const fn as_secs(self) -> u32 {
        (self.0 / 1000) as u32
    }

    /// The moment of these seconds.
    pub(crate) const fn from_secs(seconds: u32) -> Self {
        Self(seconds as u64 * 1000)
    }

    /// Milliseconds since the caller's zero.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since an earlier moment; zero if that is later.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Moment {
    /// The moment at this time after the caller's zero; milliseconds count.
    fn from(since_zero: Duration) -> Self {
        Self(u64::try_from(since_zero.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;

    /// Stops at the caller's zero.
    fn sub(self, duration: Duration) -> Moment {
        Self(self.0.saturating_sub(Moment::from(duration).0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    /// Stops at the end of the clock.
    fn add(self, duration: Duration) -> Moment {
        Self(self.0.saturating_add(Moment::from(duration).0))
    }
}

/// Ties the clock of the standard library to [`Moment`]s: the `Instant` that is the caller's zero.
///
/// ```
/// # #![allow(clippy::disallowed_methods)]
/// use ipsec_3gpp::time::Anchor;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let anchor = Anchor::new(start);
/// let later = anchor.moment(start + Duration::from_millis(1500));
/// assert_eq!(later.as_millis(), 1500);
/// assert_eq!(anchor.instant(later), start + Duration::from_millis(1500));
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor(std::time::Instant);

#[cfg(feature = "std")]
impl Anchor {
    /// An anchor whose zero is this instant: nothing that the library is told lies before it.
    pub const fn new(zero: std::time::Instant) -> Self {
        Self(zero)
    }

    /// The moment of an instant. An instant before the anchor is the anchor itself.
    pub fn moment(&self, instant: std::time::Instant) -> Moment {
        instant.saturating_duration_since(self.0).into()
    }

    /// The instant of a moment: what a sleep until [`poll_timeout`](crate::Pcscf::poll_timeout)
    /// waits for. A moment that the platform's clock cannot express is a year after the anchor.
    pub fn instant(&self, moment: Moment) -> std::time::Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let far = || self.0 + YEAR;
        self.0.checked_add(Duration::from_millis(moment.as_millis())).unwrap_or_else(far)
    }
}

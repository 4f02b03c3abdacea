//! What the states and policies of one owner have in common.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::algorithm::Suite;
use crate::sa::{Limits, WindowSize};

/// The owner of states and policies in a kernel: how they are distinguished from those of others,
/// and what they have in common.
///
/// The number of an owner is the `reqid` of its states and templates, and the `user` of its
/// selectors, which the kernel stores and does not read. Two programs on one host have two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub(super) number: NonZeroU32,
    pub(super) marker: u32,
    pub(super) window: KernelWindow,
    pub(super) mark: Option<Mark>,
    pub(super) if_id: Option<NonZeroU32>,
    pub(super) priority: u32,
    pub(super) block_priority: u32,
    pub(super) hard_lifetime: Option<Duration>,
    pub(super) limits: Option<Limits>,
}

/// `XFRMA_MARK`: the states and policies are for packets whose mark has `value` where `mask` has
/// ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The bits.
    pub value: u32,
    /// Which bits are compared.
    pub mask: u32,
}

/// The anti-replay window of a kernel's state: never off, and a power of two.
///
/// Linux 6.1 accepts the first packet of a window of 33, 65, 100 or 1000 packets twice; powers of
/// two are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelWindow(u32);

/// A window that is larger than a kernel makes: the configuration's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replay window of {0} packets: a kernel has at most {max}", max = KernelWindow::MAX)]
pub struct KernelWindowError(pub u32);

crate::code::codes!(KernelWindowError { KernelWindowError(_) => "xfrm-window", });

impl KernelWindow {
    /// `XFRMA_REPLAY_ESN_MAX` (4096) bits.
    pub const MAX: u32 = 4096;
    /// The largest window without a bitmap of its own.
    pub(super) const INLINE: u32 = 32;

    /// The smallest window of a kernel that holds this one: the next power of two.
    ///
    /// # Errors
    /// [`KernelWindowError`] above 4096 packets.
    pub const fn holding(window: WindowSize) -> Result<Self, KernelWindowError> {
        match window.packets().next_power_of_two() {
            packets if packets <= Self::MAX => Ok(Self(packets)),
            _ => Err(KernelWindowError(window.packets())),
        }
    }

    /// The number of packets.
    pub const fn packets(self) -> u32 {
        self.0
    }
}

impl Default for KernelWindow {
    /// 64, the default of RFC 4303 3.4.3.
    fn default() -> Self {
        Self(64)
    }
}

impl Owner {
    /// The priority of policies that protect; a lower number goes first.
    pub const PRIORITY: u32 = 1000;
    /// The priority of policies that block.
    pub const BLOCK_PRIORITY: u32 = 9000;
    /// Eight days: longer than a registration of 600,000 s, which phones ask for (TS 24.229
    /// 5.1.1.2).
    pub const HARD_LIFETIME: Duration = Duration::from_secs(8 * 24 * 3600);

    /// An owner with a number of its own: a window of 64 packets, states that live for
    /// [`Owner::HARD_LIFETIME`], no mark and no interface.
    pub fn new(number: NonZeroU32) -> Self {
        Self {
            number,
            marker: number.get(),
            window: KernelWindow::default(),
            mark: None,
            if_id: None,
            priority: Self::PRIORITY,
            block_priority: Self::BLOCK_PRIORITY,
            hard_lifetime: Some(Self::HARD_LIFETIME),
            limits: None,
        }
    }

    /// The same without its number in `user` of selectors, as `ip xfrm` makes them: it has no word
    /// for it. Policies that block cannot be distinguished from those of others then.
    #[must_use]
    pub const fn without_marker(self) -> Self {
        Self { marker: 0, ..self }
    }

    /// The same with another replay window.
    #[must_use]
    pub const fn with_window(self, window: KernelWindow) -> Self {
        Self { window, ..self }
    }

    /// The same with a mark on all states and policies.
    #[must_use]
    pub const fn with_mark(self, mark: Option<Mark>) -> Self {
        Self { mark, ..self }
    }

    /// The same with the interface (`if_id`) that all states and policies belong to: a device of
    /// type `xfrm` has the same number.
    #[must_use]
    pub const fn with_if_id(self, if_id: Option<NonZeroU32>) -> Self {
        Self { if_id, ..self }
    }

    /// The same with other priorities: of the policies that protect, and of those that block.
    #[must_use]
    pub const fn with_priorities(self, priority: u32, block_priority: u32) -> Self {
        Self { priority, block_priority, ..self }
    }

    /// The same with another lifetime after which the kernel removes a state by itself, rounded up
    /// to seconds, at most 136 years; `None` for no end. It is a safety net: SAs end earlier, when
    /// the table of registrations says so.
    #[must_use]
    pub const fn with_hard_lifetime(self, hard_lifetime: Option<Duration>) -> Self {
        Self { hard_lifetime, ..self }
    }

    /// The same with other limits for outbound states than [`Limits::of`] their suite.
    #[must_use]
    pub const fn with_limits(self, limits: Option<Limits>) -> Self {
        Self { limits, ..self }
    }

    /// Its number.
    pub const fn number(&self) -> NonZeroU32 {
        self.number
    }

    /// The limits of outbound states of a suite.
    pub(super) fn limits_of(&self, suite: Suite) -> Limits {
        self.limits.unwrap_or_else(|| Limits::of(suite))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_handed_on_as_the_next_power_of_two_and_is_never_off() {
        for (asked, given) in
            [(32, 32), (33, 64), (64, 64), (65, 128), (100, 128), (1000, 1024), (4096, 4096)]
        {
            let window = KernelWindow::holding(WindowSize::new(asked).unwrap());
            assert_eq!(window.map(KernelWindow::packets), Ok(given));
        }
        for asked in [4097, 65_536] {
            let window = KernelWindow::holding(WindowSize::new(asked).unwrap());
            assert_eq!(window, Err(KernelWindowError(asked)));
        }
    }
}

//! The anti-replay window (RFC 4303 3.4.3): a ring of bits that never shifts (RFC 6479).
//!
//! Checking and committing are two steps. [`ReplayWindow::check`] changes nothing; committing what
//! it returns takes the proof that the packet's ICV was right.

use alloc::boxed::Box;
use alloc::vec;
use core::num::NonZeroU32;

use crate::esp::Authentic;
use crate::rare::rare;

const WORD: u32 = u64::BITS;

/// How many sequence numbers a replay window holds: 32 to 65,536, and 64 by default. It cannot be
/// off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowSize(u32);

/// A window that is too small for RFC 4303, or larger than this crate makes: the configuration's
/// fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replay window of {0} packets: {min} to {max} are possible", min = WindowSize::MIN, max = WindowSize::MAX)]
pub struct WindowError(pub u32);

crate::code::codes!(WindowError { WindowError(_) => "window-size", });

impl WindowSize {
    /// The smallest, which RFC 4303 3.4.3 demands.
    pub const MIN: u32 = 32;
    /// The largest.
    pub const MAX: u32 = 65_536;

    /// A window of this many packets.
    ///
    /// # Errors
    /// [`WindowError`] outside [`WindowSize::MIN`] to [`WindowSize::MAX`].
    pub const fn new(packets: u32) -> Result<Self, WindowError> {
        if packets >= Self::MIN && packets <= Self::MAX {
            Ok(Self(packets))
        } else {
            Err(WindowError(packets))
        }
    }

    /// The number of packets.
    pub const fn packets(self) -> u32 {
        self.0
    }
}

impl Default for WindowSize {
    /// 64, the default of RFC 4303 3.4.3.
    fn default() -> Self {
        Self(64)
    }
}

/// Why a sequence number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Sequence number 0, which no sender uses.
    #[error("sequence number 0")]
    Zero,
    /// A packet with this number was delivered before.
    #[error("seen before")]
    Seen,
    /// The number lies to the left of the window.
    #[error("older than the window")]
    Old,
}

crate::code::codes!(ReplayError {
    ReplayError::Zero => "replay-zero",
    ReplayError::Seen => "replay-seen",
    ReplayError::Old => "replay-old",
});

/// The recent sequence numbers that have been delivered.
#[derive(Debug)]
pub struct ReplayWindow {
    highest: u32,
    size: u32,
    ring: Ring,
}

/// The default size needs two words, which are kept inline.
#[derive(Debug)]
enum Ring {
    Two([u64; 2]),
    More(Box<[u64]>),
}

/// A sequence number that may be delivered. Dropping it changes nothing.
#[derive(Debug)]
pub(crate) struct Pending<'a> {
    window: &'a mut ReplayWindow,
    sequence: NonZeroU32,
}

impl ReplayWindow {
    /// A window that has seen nothing.
    pub fn new(size: WindowSize) -> Self {
        // The ring must hold the window wherever in a word its highest number is.
        let words = (size.0 + WORD - 1).div_ceil(WORD).next_power_of_two();
        let ring = if words <= 2 {
            Ring::Two([0; 2])
        } else {
            Ring::More(vec![0; words as usize].into_boxed_slice())
        };
        Self { highest: 0, size: size.0, ring }
    }

    /// The highest sequence number that was delivered; 0 before the first.
    pub const fn highest(&self) -> u32 {
        self.highest
    }

    /// Refuses all numbers below this one as seen. False, and nothing changed, if a number as high
    /// was delivered before.
    pub(crate) fn advance_to(&mut self, sequence: u32) -> bool {
        let Some(highest) = sequence.checked_sub(1).filter(|highest| *highest >= self.highest) else {
            return false;
        };
        let words = self.ring.words();
        let mask = words.len() as u32 - 1;
        words.fill(u64::MAX);
        if let Some(word) = words.get_mut(((highest / WORD) & mask) as usize) {
            // Its later numbers are ahead.
            *word >>= WORD - 1 - highest % WORD;
        }
        self.highest = highest;
        true
    }

    /// Whether a packet with this sequence number could be delivered. Changes nothing.
    ///
    /// # Errors
    /// [`ReplayError`] with the reason why not.
    #[inline(always)]
    pub fn would_accept(&self, sequence: u32) -> Result<(), ReplayError> {
        let Some(behind) = self.highest.checked_sub(sequence) else { return Ok(()) };
        if sequence == 0 {
            Err(ReplayError::Zero)
        } else if behind >= self.size {
            Err(ReplayError::Old)
        } else if self.ring.word(sequence / WORD) & bit(sequence) != 0 {
            Err(ReplayError::Seen)
        } else {
            Ok(())
        }
    }

    /// Looks a sequence number up; what comes back can be committed once the packet has proved
    /// authentic.
    #[inline(always)]
    pub(crate) fn check(&mut self, sequence: u32) -> Result<Pending<'_>, ReplayError> {
        let nonzero = NonZeroU32::new(sequence).ok_or(ReplayError::Zero)?;
        self.would_accept(sequence)?;
        Ok(Pending { window: self, sequence: nonzero })
    }
}

impl Pending<'_> {
    /// Marks the number as delivered and moves the window up to it, if it is the highest so far.
    #[inline(always)]
    pub(crate) fn commit(self, _: Authentic) {
        let (window, sequence) = (self.window, self.sequence.get());
        let highest = window.highest;
        // Each for itself: the length of the first is known to the compiler.
        match &mut window.ring {
            Ring::Two(words) => mark(words, highest, sequence),
            Ring::More(words) => {
                rare();
                mark(words, highest, sequence);
            }
        }
        window.highest = highest.max(sequence);
    }
}

/// Marks a number in a ring; if it is higher than the highest so far, the words between them are
/// new.
#[inline(always)]
fn mark(ring: &mut [u64], highest: u32, sequence: u32) {
    let mask = ring.len() as u32 - 1;
    let index = sequence / WORD;
    let new_words = index.saturating_sub(highest / WORD).min(ring.len() as u32);
    for ahead in 0..new_words {
        rare();
        if let Some(word) = ring.get_mut((index.wrapping_sub(ahead) & mask) as usize) {
            *word = 0;
        }
    }
    if let Some(word) = ring.get_mut((index & mask) as usize) {
        *word |= bit(sequence);
    }
}

impl Ring {
    #[inline(always)]
    fn words(&mut self) -> &mut [u64] {
        match self {
            Ring::Two(words) => words,
            Ring::More(words) => words,
        }
    }

    #[inline(always)]
    fn word(&self, index: u32) -> u64 {
        let words: &[u64] = match self {
            Ring::Two(words) => words,
            Ring::More(words) => words,
        };
        words.get(index as usize & (words.len() - 1)).copied().unwrap_or(u64::MAX)
    }
}

const fn bit(sequence: u32) -> u64 {
    1 << (sequence % WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_window_keeps_nothing_on_the_heap() {
        let words = |packets| {
            let size = WindowSize::new(packets).map(ReplayWindow::new).map(|mut window| {
                let is_inline = matches!(window.ring, Ring::Two(_));
                (is_inline, window.ring.words().len())
            });
            size.ok()
        };
        assert_eq!(ReplayWindow::new(WindowSize::default()).size, 64);
        assert_eq!([64, 65].map(words), [Some((true, 2)); 2]);
        assert_eq!([66, 193].map(words), [Some((false, 4)); 2]);
        assert_eq!([194, 449].map(words), [Some((false, 8)); 2]);
    }
}

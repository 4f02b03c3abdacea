//! Nonce counts that were seen, in a table whose size is bounded.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::algorithm::Digest;

/// Counts this far below the highest are still distinguished from those that were seen.
const WIDTH: u32 = u64::BITS;

/// One nonce, once a response to it has been verified.
#[derive(Debug)]
pub(super) struct Session {
    /// A nonce is of the first user who answers it.
    user: Box<str>,
    /// H(A1) of an algorithm with sessions: by RFC 7616 3.4.2 it keeps the first cnonce.
    pub(super) ha1: Option<Digest>,
    highest: u32,
    /// Bit `n`: `highest - n` was seen.
    seen: u64,
}

/// The sessions, by the serial number of their nonce.
#[derive(Debug)]
pub(super) struct Counts {
    sessions: BTreeMap<u64, Session>,
    most: usize,
    /// Nonces below this one without a session may have had one.
    forgotten: u64,
}

/// The nonce cannot be used any more, or not with this count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The session of the nonce may have been forgotten, or is another user's.
    Stale,
    /// The count was seen, or is too far below the highest.
    Replayed,
}

impl Counts {
    pub(super) const fn new(most: usize) -> Self {
        Self { sessions: BTreeMap::new(), most, forgotten: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn session(&self, nonce: u64, user: &str) -> Option<&Session> {
        self.sessions.get(&nonce).filter(|session| *session.user == *user)
    }

    /// Takes a count whose response was verified. Nothing changes on an error.
    ///
    /// # Errors
    /// [`Denied`]
    pub(super) fn take(
        &mut self,
        nonce: u64,
        user: &str,
        count: u32,
        ha1: impl FnOnce() -> Option<Digest>,
    ) -> Result<(), Denied> {
        if let Some(session) = self.sessions.get_mut(&nonce) {
            return if *session.user == *user { session.take(count) } else { Err(Denied::Stale) };
        }
        let is_full = self.sessions.len() >= self.most;
        // One that is older than all that are kept would be the next to go.
        let is_older = || self.sessions.first_key_value().is_none_or(|(oldest, _)| nonce < *oldest);
        if nonce < self.forgotten || is_full && is_older() {
            return Err(Denied::Stale);
        }
        while self.sessions.len() >= self.most
            && let Some((oldest, _)) = self.sessions.pop_first()
        {
            // All before the youngest of those that went could be replayed.
            self.forgotten = oldest + 1;
        }
        let session = Session { user: user.into(), ha1: ha1(), highest: count, seen: 1 };
        self.sessions.insert(nonce, session);
        Ok(())
    }
}

impl Session {
    fn take(&mut self, count: u32) -> Result<(), Denied> {
        if let Some(ahead) = count.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return Ok(());
        }
        let behind = self.highest - count;
        let bit = 1_u64.checked_shl(behind).filter(|_| behind < WIDTH).ok_or(Denied::Replayed)?;
        if self.seen & bit != 0 {
            return Err(Denied::Replayed);
        }
        self.seen |= bit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a set of all counts that were accepted.
        #[test]
        fn no_count_is_accepted_twice(counts in proptest::collection::vec(1_u32..200, 1..100)) {
            let mut table = Counts::new(1);
            let mut accepted = BTreeSet::new();
            for count in counts {
                let highest = accepted.last().copied().unwrap_or(count);
                let expected = !accepted.contains(&count) && highest.saturating_sub(count) < WIDTH;
                prop_assert_eq!(table.take(5, "a", count, || None).is_ok(), expected, "{}", count);
                if expected {
                    accepted.insert(count);
                }
            }
        }
    }

    #[test]
    fn the_whole_range_of_counts_is_usable() {
        let mut table = Counts::new(1);
        for count in [1, u32::MAX - 1, u32::MAX, u32::MAX - 63] {
            assert_eq!(table.take(0, "a", count, || None), Ok(()));
        }
        for count in [u32::MAX, u32::MAX - 1, u32::MAX - 63, u32::MAX - 64, 1] {
            assert_eq!(table.take(0, "a", count, || None), Err(Denied::Replayed));
        }
    }

    #[test]
    fn what_was_forgotten_is_never_new_again() {
        let mut table = Counts::new(3);
        let mut take = |nonce: u64, user: &str| table.take(nonce, user, 1, || None);
        for nonce in [4, 10, 20] {
            assert_eq!(take(nonce, "a"), Ok(()));
        }
        // Another user's answer to a nonce that is taken.
        assert_eq!(take(10, "b"), Err(Denied::Stale));
        // The oldest goes; what is older than it, used or not, is stale.
        assert_eq!(take(30, "a"), Ok(()));
        assert_eq!(
            [take(4, "a"), take(3, "a"), take(10, "a")],
            [Err(Denied::Stale), Err(Denied::Stale), Err(Denied::Replayed)]
        );
        // Younger ones that nobody has answered yet are good.
        assert_eq!(take(15, "b"), Ok(()));
        assert_eq!(table.len(), 3);
        let kept: Vec<u64> = table.sessions.keys().copied().collect();
        assert_eq!(kept, [15, 20, 30]);
        // One that would be forgotten at once is stale, and displaces nothing.
        assert_eq!(table.take(12, "c", 1, || None), Err(Denied::Stale));
        assert_eq!(table.len(), 3);
        assert_eq!(Counts::new(0).take(1, "a", 1, || None), Err(Denied::Stale));
    }
}

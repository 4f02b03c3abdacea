//! One timer for each contact, in a wheel of wheels: setting, moving and firing one costs the same whether there are a
//! thousand or a million.

use alloc::vec::Vec;
use core::time::Duration;

use crate::time::Instant;

const LEVELS: usize = 10;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u64 = SLOTS as u64 - 1;
/// Deadlines are rounded up to this: nothing ends before its time, and nothing lives longer than this behind it. With it
/// and ten levels of six bits, no clock runs out of ticks.
const TICK_MILLIS: u64 = 128;
const NONE: u32 = u32::MAX;
/// The list of the timers that have run out, behind those of the slots.
const DUE: u16 = (LEVELS * SLOTS) as u16;

/// Timers by number. Level 0 has a slot for each of the next ticks, each level above one for 64 slots of the one
/// below; a timer moves down a level when its slot comes near, a few times in its life.
#[derive(Debug)]
pub(super) struct Timers {
    start: Instant,
    /// The last tick that was looked at.
    tick: u64,
    heads: Vec<u32>,
    /// Which slots of a level have timers.
    occupied: [u64; LEVELS],
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    next: u32,
    previous: u32,
    tick: u64,
    /// `IDLE` or the list that the timer is in.
    list: u16,
}

const IDLE: u16 = u16::MAX;

impl Timers {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            tick: 0,
            heads: alloc::vec![NONE; LEVELS * SLOTS + 1],
            occupied: [0; LEVELS],
            entries: Vec::new(),
        }
    }

    /// Makes sure that the timer of a number fires at a moment or earlier. A later moment leaves it where it is, so that
    /// what is put off again and again costs nothing; who it fires for looks whether its time has come.
    pub(super) fn set_by(&mut self, number: u32, at: Instant) {
        let runs_out = self.entries.get(number as usize).filter(|entry| entry.list != IDLE);
        if runs_out.is_none_or(|entry| self.moment(entry.tick) > at) {
            self.set(number, at);
        }
    }

    /// Sets the timer of a number, or moves it. A moment that has passed is due at once.
    fn set(&mut self, number: u32, at: Instant) {
        let needed = number as usize + 1;
        if self.entries.len() < needed {
            self.entries.resize(needed, Entry { next: NONE, previous: NONE, tick: 0, list: IDLE });
        }
        self.cancel(number);
        let millis = at.as_millis().saturating_sub(self.start.as_millis());
        let tick = millis.div_ceil(TICK_MILLIS);
        self.insert(number, tick);
    }

    /// Stops the timer of a number, if it runs.
    pub(super) fn cancel(&mut self, number: u32) {
        let Some(entry) = self.entries.get_mut(number as usize) else { return };
        let Entry { next, previous, list, .. } = *entry;
        if list == IDLE {
            return;
        }
        entry.list = IDLE;
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = previous;
        }
        match self.entries.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.set_head(list, next),
        }
    }

    /// When [`Timers::advance`] has something to do: never later than the first timer runs out.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.heads.get(usize::from(DUE)).is_some_and(|head| *head != NONE) {
            return Some(self.moment(self.tick));
        }
        self.next_slot().map(|(tick, _)| self.moment(tick))
    }

    /// Finds the timers that have run out until now, for [`Timers::pop_due`].
    pub(super) fn advance(&mut self, now: Instant) {
        let millis = now.as_millis().saturating_sub(self.start.as_millis());
        let target = millis / TICK_MILLIS;
        while let Some((tick, list)) = self.next_slot().filter(|(tick, _)| *tick <= target) {
            self.tick = tick;
            let mut number = self.head(list);
            self.set_head(list, NONE);
            while let Some(entry) = self.entries.get_mut(number as usize) {
                let Entry { next, tick, .. } = *entry;
                entry.list = IDLE;
                self.insert(number, tick);
                number = next;
            }
        }
        self.tick = self.tick.max(target);
    }

    /// A timer that has run out. It is not set any more.
    pub(super) fn pop_due(&mut self) -> Option<u32> {
        let number = self.head(DUE);
        if number == NONE {
            return None;
        }
        self.cancel(number);
        Some(number)
    }

    /// The first slot that has timers, and the tick at which it begins.
    fn next_slot(&self) -> Option<(u64, u16)> {
        self.occupied.iter().zip(0_u32..).find_map(|(occupied, level)| {
            let shift = level * SLOT_BITS;
            let here = self.tick >> shift;
            // The slots of this level that lie behind the present one; the level above has what comes after them.
            let later = occupied & (!1_u64 << (here & SLOT_MASK));
            (later != 0).then(|| {
                let slot = later.trailing_zeros();
                let tick = ((here & !SLOT_MASK) | u64::from(slot)) << shift;
                (tick, (level * SLOTS as u32 + slot) as u16)
            })
        })
    }

    fn moment(&self, tick: u64) -> Instant {
        self.start + Duration::from_millis(tick.saturating_mul(TICK_MILLIS))
    }

    fn insert(&mut self, number: u32, tick: u64) {
        let list = if tick <= self.tick {
            DUE
        } else {
            // The highest six bits in which the two differ name the level, and there the slot.
            let level = (tick ^ self.tick).ilog2() / SLOT_BITS;
            let slot = (tick >> (level * SLOT_BITS)) & SLOT_MASK;
            (level as usize * SLOTS) as u16 + slot as u16
        };
        let next = self.head(list);
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = number;
        }
        if let Some(entry) = self.entries.get_mut(number as usize) {
            *entry = Entry { next, previous: NONE, tick, list };
        }
        self.set_head(list, number);
    }

    fn head(&self, list: u16) -> u32 {
        self.heads.get(usize::from(list)).copied().unwrap_or(NONE)
    }

    fn set_head(&mut self, list: u16, number: u32) {
        if let Some(head) = self.heads.get_mut(usize::from(list)) {
            *head = number;
        }
        if let Some(occupied) = self.occupied.get_mut(usize::from(list) / SLOTS) {
            let bit = 1 << (usize::from(list) % SLOTS);
            *occupied = if number == NONE { *occupied & !bit } else { *occupied | bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const fn rounded_up(at: u64) -> u64 {
        at.div_ceil(TICK_MILLIS) * TICK_MILLIS
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a map: each timer fires once, at its tick, and `next` is never too late.
        #[test]
        fn timers_fire_when_a_sorted_map_says_so(
            start in 0_u64..1 << 41,
            jump in proptest::option::of(0_u64..1 << 50),
            steps in proptest::collection::vec((0_u32..40, 0_u64..1 << 33, any::<u8>(), 0_u64..1 << 30), 1..200),
        ) {
            let mut timers = Timers::new(Instant::from_millis(start));
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            // A clock that was started at zero and then set.
            let mut now = jump.unwrap_or(0);
            timers.advance(Instant::from_millis(start + now));
            for (number, after, what, step) in steps {
                match what % 4 {
                    0 => {
                        timers.cancel(number);
                        model.remove(&number);
                    }
                    1 | 2 => {
                        // From milliseconds to months.
                        let at = now + (after >> (what % 32));
                        timers.set(number, Instant::from_millis(start + at));
                        model.insert(number, rounded_up(at));
                    }
                    _ => now += step >> (what % 30),
                }
                let next = timers.next().map(|next| next.as_millis() - start);
                let first = model.values().min().copied();
                prop_assert_eq!(next.is_some(), first.is_some());
                prop_assert!(next.zip(first).is_none_or(|(next, first)| next <= first.max(now)));
                timers.advance(Instant::from_millis(start + now));
                let mut fired = Vec::new();
                while let Some(number) = timers.pop_due() {
                    fired.push(number);
                }
                fired.sort_unstable();
                let due: Vec<u32> = model.iter().filter(|(_, at)| **at <= now).map(|(n, _)| *n).collect();
                prop_assert_eq!(&fired, &due, "at {}", now);
                for number in fired {
                    model.remove(&number);
                }
            }
        }
    }
}

//! One timer for each contact, in a hierarchy of wheels: setting, moving and firing one costs the
//! same for a thousand and for a million.

use alloc::vec::Vec;
use core::time::Duration;

use crate::impossible::impossible;
use crate::time::Moment;

const LEVELS: usize = 10;
const SPOKE_BITS: u32 = 6;
const SPOKES: usize = 1 << SPOKE_BITS;
const SPOKE_MASK: u64 = SPOKES as u64 - 1;
/// Deadlines are rounded up to this: nothing ends before its time, or more than this after it. With
/// it and ten levels of six bits, no clock runs out of ticks.
const TICK_MILLIS: u64 = 128;
const NONE: u32 = u32::MAX;
/// The list of the timers that have run out; those of the spokes come before it.
const DUE: u16 = (LEVELS * SPOKES) as u16;

/// Timers by number. Level 0 has a spoke for each of the next ticks, each level above has one for
/// 64 spokes of the level below. A timer moves down a level when its spoke comes near, a few times
/// in its life.
#[derive(Debug)]
pub(super) struct Timers {
    start: Moment,
    /// The last tick that was processed.
    tick: u64,
    lists: Vec<List>,
    /// The spokes of a level that have timers, a bit each.
    occupied: [u64; LEVELS],
    entries: Vec<Entry>,
}

/// The timers of one spoke.
#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    /// The earliest tick that a timer of the list has had since the list was empty: never later
    /// than the earliest one in it.
    earliest: u64,
}

const EMPTY: List = List { head: NONE, earliest: u64::MAX };

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
    pub(super) fn new(start: Moment) -> Self {
        Self {
            start,
            tick: 0,
            lists: alloc::vec![EMPTY; LEVELS * SPOKES + 1],
            occupied: [0; LEVELS],
            entries: Vec::new(),
        }
    }

    /// Makes sure that the timer of a number fires at a moment or earlier. A later moment leaves it
    /// where it is, so that putting a deadline off costs nothing; the caller checks whether the
    /// deadline has come.
    pub(super) fn set_by(&mut self, number: u32, at: Moment) {
        let runs_out = self.entries.get(number as usize).filter(|entry| entry.list != IDLE);
        if runs_out.is_none_or(|entry| self.moment(entry.tick) > at) {
            self.set(number, at);
        }
    }

    /// Sets the timer of a number, or moves it. A moment that has passed is due at once.
    fn set(&mut self, number: u32, at: Moment) {
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

    /// When the first timer runs out: never later. Earlier only if a timer of the same spoke was
    /// cancelled or moved since; then the call of [`Timers::advance`] at that moment finds the
    /// right one.
    pub(super) fn next(&self) -> Option<Moment> {
        if self.list(DUE).head != NONE {
            return Some(self.moment(self.tick));
        }
        self.next_spoke().map(|(_, list)| self.moment(self.list(list).earliest))
    }

    /// Finds the timers that have run out until now, for [`Timers::pop_due`].
    pub(super) fn advance(&mut self, now: Moment) {
        let millis = now.as_millis().saturating_sub(self.start.as_millis());
        let target = millis / TICK_MILLIS;
        while let Some((tick, list)) = self.next_spoke().filter(|(tick, _)| *tick <= target) {
            self.tick = tick;
            let mut number = self.list(list).head;
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
        let number = self.list(DUE).head;
        if number == NONE {
            return None;
        }
        self.cancel(number);
        Some(number)
    }

    /// The first spoke that has timers, and the tick at which it begins.
    fn next_spoke(&self) -> Option<(u64, u16)> {
        self.occupied.iter().zip(0_u32..).find_map(|(occupied, level)| {
            let shift = level * SPOKE_BITS;
            let here = self.tick >> shift;
            // The spokes of this level after the present one; the level above has what comes after
            // them.
            let later = occupied & (!1_u64 << (here & SPOKE_MASK));
            (later != 0).then(|| {
                let spoke = later.trailing_zeros();
                let tick = ((here & !SPOKE_MASK) | u64::from(spoke)) << shift;
                (tick, (level * SPOKES as u32 + spoke) as u16)
            })
        })
    }

    fn moment(&self, tick: u64) -> Moment {
        self.start + Duration::from_millis(tick.saturating_mul(TICK_MILLIS))
    }

    fn insert(&mut self, number: u32, tick: u64) {
        let list = if tick <= self.tick {
            DUE
        } else {
            // The highest six bits in which the two differ name the level, and the spoke in it.
            let level = (tick ^ self.tick).ilog2() / SPOKE_BITS;
            let spoke = (tick >> (level * SPOKE_BITS)) & SPOKE_MASK;
            (level as usize * SPOKES) as u16 + spoke as u16
        };
        let next = self.list(list).head;
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = number;
        }
        if let Some(entry) = self.entries.get_mut(number as usize) {
            *entry = Entry { next, previous: NONE, tick, list };
        }
        self.set_head(list, number);
        if let Some(list) = self.lists.get_mut(usize::from(list)) {
            list.earliest = list.earliest.min(tick);
        }
    }

    fn list(&self, list: u16) -> List {
        self.lists.get(usize::from(list)).copied().unwrap_or_else(|| impossible(EMPTY))
    }

    fn set_head(&mut self, list: u16, number: u32) {
        if let Some(list) = self.lists.get_mut(usize::from(list)) {
            *list = List { head: number, ..if number == NONE { EMPTY } else { *list } };
        }
        if let Some(occupied) = self.occupied.get_mut(usize::from(list) / SPOKES) {
            let bit = 1 << (usize::from(list) % SPOKES);
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
            let mut timers = Timers::new(Moment::from_millis(start));
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            // A clock that was started at zero and then set.
            let mut now = jump.unwrap_or(0);
            timers.advance(Moment::from_millis(start + now));
            let mut moved = 0;
            for (number, after, what, step) in steps {
                match what % 4 {
                    0 => {
                        timers.cancel(number);
                        moved += u32::from(model.remove(&number).is_some());
                    }
                    1 | 2 => {
                        // From milliseconds to months.
                        let at = now + (after >> (what % 32));
                        timers.set(number, Moment::from_millis(start + at));
                        moved += u32::from(model.insert(number, rounded_up(at)).is_some());
                    }
                    _ => now += step >> (what % 30),
                }
                let next = timers.next().map(|next| next.as_millis() - start);
                let first = model.values().min().copied();
                prop_assert_eq!(next.is_some(), first.is_some());
                prop_assert!(next.zip(first).is_none_or(|(next, first)| next <= first.max(now)));
                if moved == 0 {
                    prop_assert!(next.zip(first).is_none_or(|(next, first)| next.max(now) == first.max(now)));
                }
                timers.advance(Moment::from_millis(start + now));
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

        /// A caller that sleeps until `next` wakes once for each deadline, and at most once more
        /// for each that was cancelled or moved.
        #[test]
        fn nobody_is_woken_in_vain_but_for_what_was_moved(
            deadlines in proptest::collection::vec((0_u32..30, 0_u64..1 << 33, any::<u8>()), 1..60),
        ) {
            let mut timers = Timers::new(Moment::from_millis(0));
            let (mut moved, mut set) = (0, alloc::collections::BTreeSet::new());
            for (number, after, what) in deadlines {
                if what % 5 == 0 {
                    timers.cancel(number);
                    moved += u32::from(set.remove(&number));
                } else {
                    timers.set(number, Moment::from_millis(after >> (what % 32)));
                    moved += u32::from(!set.insert(number));
                }
            }
            let mut in_vain = 0;
            while let Some(next) = timers.next() {
                timers.advance(next);
                let fired = core::iter::from_fn(|| timers.pop_due()).count();
                in_vain += u32::from(fired == 0);
            }
            prop_assert!(in_vain <= moved, "{} times in vain, {} moved", in_vain, moved);
        }
    }
}

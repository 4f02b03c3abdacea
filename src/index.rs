//! Slots by hash: a hash table whose look-ups can be prefetched, so that many cache misses overlap.

use alloc::vec::Vec;

use crate::prefetch::prefetch;

/// Slots of a [`Slab`](crate::slab::Slab) by the hash of their values. The caller decides whether a
/// slot is the one it looks for; the table holds only half of the hash.
///
/// Entries are in cache lines of eight. An entry is in the line that the upper bits of its hash
/// select, or, if that was full, in the first later one that was not. All of a line are compared
/// together: a branch per entry would often be mispredicted. Removal leaves no tombstone, and
/// releases memory once few entries are left.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A power of two, or none at all.
    lines: Vec<Line>,
    len: usize,
    /// Lines that were asked for, and are kept.
    reserved: usize,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Line {
    /// The upper halves of hashes.
    hashes: [u32; ENTRIES],
    /// One more than the slot; 0 where there is no entry.
    slots: [u32; ENTRIES],
}

const ENTRIES: usize = 8;
const FREE: (u32, u32) = (0, 0);

/// At most three of four entries are in use.
const FULL: (usize, usize) = (3, 4);

/// Where fewer than one entry of this many is in use, most of the memory is released.
const SPARSE: usize = 16;

impl Line {
    /// The slot and one of the entry with this hash; 0 if there is none, unspecified if there are
    /// several.
    #[inline]
    fn slot_of(&self, hash: u32) -> u32 {
        let entries = self.hashes.iter().zip(&self.slots);
        entries.fold(0, |found, (other, slot)| found | if *other == hash { *slot } else { 0 })
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.slots.iter().fold(true, |full, slot| full & (*slot != 0))
    }

    /// Hashes, and slots and one; [`FREE`] where there is none.
    fn entries(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        self.hashes.into_iter().zip(self.slots)
    }

    fn position(&self, wanted: (u32, u32)) -> Option<usize> {
        self.entries().position(|entry| entry == wanted)
    }
}

impl Index {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// A slot whose entry has this hash and that is the right one.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let slot = self.guess(hash)?;
        if is(slot) { Some(slot) } else { self.find_among(upper(hash), is) }
    }

    /// The slot whose entry has this hash; any slot, if there are several.
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> Option<u32> {
        self.search(upper(hash), |_, line| line.slot_of(upper(hash)).checked_sub(1))
    }

    /// [`Index::find`] where there may be several with the hash.
    #[cold]
    #[inline(never)]
    fn find_among(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.search(hash, |_, line| {
            let with = line.entries().filter(|(other, _)| *other == hash);
            with.filter_map(|(_, slot)| slot.checked_sub(1)).find(|slot| is(*slot))
        })
    }

    /// The result of the first line with a match, of those where an entry with this hash may be.
    #[inline(always)]
    fn search<R>(&self, hash: u32, find: impl Fn(usize, &Line) -> Option<R>) -> Option<R> {
        let mut at = self.home(hash);
        loop {
            let line = self.lines.get(at)?;
            let found = find(at, line);
            if found.is_some() || !line.is_full() {
                return found;
            }
            at = self.after(at);
        }
    }

    /// Where an entry is, or one that is free and where one with this hash may be put: line and
    /// index.
    fn position(&self, hash: u32, entry: (u32, u32)) -> Option<(usize, usize)> {
        self.search(hash, |line, entries| Some((line, entries.position(entry)?)))
    }

    /// Prefetches the line of a hash that will be looked up soon.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Some(line) = self.lines.get(self.home(upper(hash))) {
            prefetch(line);
        }
    }

    /// Adds a slot that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        if (self.len + 1) * FULL.1 > self.lines.len() * ENTRIES * FULL.0 {
            self.resize((self.lines.len() * 2).max(1));
        }
        self.put((upper(hash), slot + 1));
        self.len += 1;
    }

    /// Removes a slot; false if it is not there.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) -> bool {
        let entry = (upper(hash), slot + 1);
        let Some((mut line, mut index)) = self.position(entry.0, entry) else { return false };
        self.len -= 1;
        // Later entries that would not be found after a gap move up: the lines up to one with
        // room have some.
        let mut next = line;
        while self.lines.get(next).is_some_and(Line::is_full) {
            next = self.after(next);
            let Some(entries) = self.lines.get(next) else { break };
            let found = entries.entries().enumerate().find(|(_, entry)| {
                *entry != FREE && self.distance(self.home(entry.0), next) >= self.distance(line, next)
            });
            if let Some((from, entry)) = found {
                self.set((line, index), entry);
                (line, index) = (next, from);
            }
        }
        self.set((line, index), FREE);
        let fewer = (self.lines.len() / 4).max(self.reserved).max(1);
        if fewer < self.lines.len() && self.len * SPARSE < self.lines.len() * ENTRIES {
            self.resize(fewer);
        }
        true
    }

    /// Puts another slot in the place of one that is there; false if it is not. Allocates nothing.
    pub(crate) fn replace(&mut self, hash: u64, before: u32, after: u32) -> bool {
        let found = self.position(upper(hash), (upper(hash), before + 1));
        found.inspect(|at| self.set(*at, (upper(hash), after + 1))).is_some()
    }

    /// Makes room for this many more, and keeps it. Where there is not enough memory, nothing
    /// happens.
    pub(crate) fn reserve(&mut self, more: usize) {
        let needed = self.len.saturating_add(more).saturating_mul(FULL.1) / FULL.0 / ENTRIES + 1;
        if needed > self.lines.len()
            && let Some(lines) = needed.checked_next_power_of_two()
            && Vec::<Line>::new().try_reserve_exact(lines).is_ok()
        {
            self.resize(lines);
        }
        self.reserved = self.lines.len();
    }

    fn resize(&mut self, lines: usize) {
        let before = core::mem::replace(&mut self.lines, alloc::vec![Line::default(); lines]);
        before
            .iter()
            .flat_map(Line::entries)
            .filter(|entry| *entry != FREE)
            .for_each(|entry| self.put(entry));
    }

    /// Puts an entry into the first line with room from its own on.
    fn put(&mut self, entry: (u32, u32)) {
        if let Some(index) = self.position(entry.0, FREE) {
            self.set(index, entry);
        }
    }

    fn set(&mut self, (line, index): (usize, usize), (hash, slot): (u32, u32)) {
        let Some(line) = self.lines.get_mut(line) else { return };
        if let (Some(to), Some(to_slot)) = (line.hashes.get_mut(index), line.slots.get_mut(index)) {
            (*to, *to_slot) = (hash, slot);
        }
    }

    /// The line where the search for a hash begins: the upper half of it is all that counts, and
    /// all that an entry keeps.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.lines.len() as u64) >> 32) as usize
    }

    /// The line after one; after the last is the first.
    fn after(&self, line: usize) -> usize {
        (line + 1) & self.lines.len().wrapping_sub(1)
    }

    /// How many lines one is after another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.lines.len().wrapping_sub(1)
    }
}

#[cfg(test)]
impl Index {
    /// The lines that the longest search for an entry reads.
    pub(crate) fn longest_search(&self) -> usize {
        let entries = self.lines.iter().enumerate().flat_map(|(line, entries)| {
            entries.entries().filter(|entry| *entry != FREE).map(move |(hash, _)| (line, hash))
        });
        entries.map(|(line, hash)| self.distance(self.home(hash), line) + 1).max().unwrap_or(0)
    }
}

const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_index_is_a_map(
            // Few different hashes, and near each other: entries get into each other's way.
            steps in proptest::collection::vec((0..40_u64, 0..4_u64, any::<bool>()), 1..400),
            reserve in 0..100_usize,
        ) {
            let mut index = Index::default();
            index.reserve(reserve);
            let mut model = BTreeMap::new();
            for (number, (near, far, insert)) in steps.into_iter().enumerate() {
                let hash = near << 58 | far << 40 | 7;
                let slot = number as u32;
                if insert {
                    index.insert(hash, slot);
                    model.insert(slot, hash);
                } else if let Some(slot) = model.keys().next().copied() {
                    let hash = model.remove(&slot).unwrap();
                    prop_assert!(!index.remove(!hash, slot), "it has another hash");
                    // Under another name and back.
                    let other = slot + 1_000_000;
                    prop_assert!(!index.replace(hash, other, slot));
                    prop_assert!(index.replace(hash, slot, other));
                    prop_assert_eq!(index.find(hash, |found| found == slot), None);
                    prop_assert!(index.replace(hash, other, slot));
                    prop_assert!(index.remove(hash, slot));
                    prop_assert!(!index.remove(hash, slot));
                }
                prop_assert_eq!(index.len(), model.len());
                for (slot, hash) in &model {
                    prop_assert_eq!(index.find(*hash, |found| found == *slot), Some(*slot));
                }
                prop_assert_eq!(index.find(hash, |_| false), None);
            }
        }
    }

    #[test]
    fn it_fills_to_three_quarters_and_is_empty_again() {
        let mut index = Index::default();
        let hash = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..100_000).for_each(|n| index.insert(hash(n), n));
        assert_eq!((index.len(), index.lines.len() * ENTRIES), (100_000, 1 << 18));
        assert!((0..100_000).all(|n| index.find(hash(n), |slot| slot == n) == Some(n)));
        assert!((0..100_000).all(|n| index.guess(hash(n)) == Some(n)), "no two have the same hash");
        assert!((0..100_000).all(|n| index.remove(hash(n), n)));
        assert!(index.lines.iter().flat_map(Line::entries).all(|entry| entry == FREE));
        assert_eq!(index.lines.len(), 1, "its memory is released");
    }

    #[test]
    fn it_keeps_what_was_asked_for_and_releases_the_rest() {
        let mut index = Index::default();
        let hash = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        index.reserve(1000);
        let reserved = index.lines.len();
        (0..100_000).for_each(|n| index.insert(hash(n), n));
        for n in 10..100_000 {
            assert!(index.remove(hash(n), n));
            let entries = index.lines.len() * ENTRIES;
            assert!(
                entries <= (index.len() * SPARSE * 4).max(reserved * ENTRIES),
                "{entries} for {}",
                index.len()
            );
        }
        assert_eq!(index.lines.len(), reserved);
        assert!((0..10).all(|n| index.find(hash(n), |slot| slot == n) == Some(n)));
    }
}

//! Slots by hash: a table that can be told ahead what will be looked up, so that many look-ups wait for memory together.

use alloc::vec::Vec;

use crate::prefetch::prefetch;

/// Slots of a [`Slab`](crate::slab::Slab) by the hash of what lies there. The caller tells whether a slot is the one that it
/// looks for; the table holds no more of it than half of its hash.
///
/// Open addressing with linear probing: an entry is found near the place that the upper bits of its hash name, mostly in
/// the same cache line. What is removed leaves no trace.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Hash above, slot and one below; 0 where there is none. A power of two, or none at all.
    entries: Vec<u64>,
    len: usize,
}

/// The most entries of four places: three.
const FULL: (usize, usize) = (3, 4);
const SMALLEST: usize = 8;

impl Index {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The first slot whose entry has this hash and that is the right one.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len().wrapping_sub(1);
        let mut place = self.home(hash);
        loop {
            let entry = *self.entries.get(place)?;
            if entry == 0 {
                return None;
            }
            let slot = slot_of(entry);
            if entry >> 32 == hash >> 32 && is(slot) {
                return Some(slot);
            }
            place = (place + 1) & mask;
        }
    }

    /// Has the place of a hash fetched that will be looked up soon.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Some(entry) = self.entries.get(self.home(hash)) {
            prefetch(entry, size_of_val(entry));
        }
    }

    /// Adds a slot that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        if (self.len + 1) * FULL.1 > self.entries.len() * FULL.0 {
            self.resize((self.entries.len() * 2).max(SMALLEST));
        }
        self.put(hash >> 32 << 32 | (u64::from(slot) + 1));
        self.len += 1;
    }

    /// Removes a slot; false if it is not there.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) -> bool {
        let mask = self.entries.len().wrapping_sub(1);
        let wanted = hash >> 32 << 32 | (u64::from(slot) + 1);
        let mut place = self.home(hash);
        loop {
            match self.entries.get(place) {
                None | Some(0) => return false,
                Some(entry) if *entry == wanted => break,
                Some(_) => place = (place + 1) & mask,
            }
        }
        // Those behind it move up that would not be found behind a gap.
        let mut next = place;
        loop {
            next = (next + 1) & mask;
            let entry = self.entries.get(next).copied().unwrap_or(0);
            if entry == 0 {
                break;
            }
            let from_home = next.wrapping_sub(self.home(entry)) & mask;
            if from_home >= next.wrapping_sub(place) & mask {
                self.set(place, entry);
                place = next;
            }
        }
        self.set(place, 0);
        self.len -= 1;
        true
    }

    /// Makes room for so many more. Where there is not so much memory, nothing happens.
    pub(crate) fn reserve(&mut self, more: usize) {
        let needed = self.len.saturating_add(more).saturating_mul(FULL.1) / FULL.0 + 1;
        if needed > self.entries.len()
            && let Some(places) = needed.checked_next_power_of_two()
            && Vec::<u64>::new().try_reserve_exact(places).is_ok()
        {
            self.resize(places.max(SMALLEST));
        }
    }

    fn resize(&mut self, places: usize) {
        let before = core::mem::replace(&mut self.entries, alloc::vec![0; places]);
        before.into_iter().filter(|entry| *entry != 0).for_each(|entry| self.put(entry));
    }

    fn put(&mut self, entry: u64) {
        let mask = self.entries.len().wrapping_sub(1);
        let mut place = self.home(entry);
        while self.entries.get(place).is_some_and(|entry| *entry != 0) {
            place = (place + 1) & mask;
        }
        self.set(place, entry);
    }

    fn set(&mut self, place: usize, entry: u64) {
        if let Some(to) = self.entries.get_mut(place) {
            *to = entry;
        }
    }

    /// Where the search for a hash begins: the upper half of it is all that counts, and all that an entry keeps.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.entries.len() as u64) >> 32) as usize
    }
}

const fn slot_of(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
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
        assert_eq!((index.len(), index.entries.len()), (100_000, 1 << 18));
        assert!((0..100_000).all(|n| index.find(hash(n), |slot| slot == n) == Some(n)));
        assert!((0..100_000).all(|n| index.remove(hash(n), n)));
        assert!(index.entries.iter().all(|entry| *entry == 0));
    }
}

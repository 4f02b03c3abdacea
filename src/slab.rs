//! Values in numbered slots that are used again.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::prefetch::prefetch;

/// Where a value lies in a [`Slab`], and which of those that lay there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) slot: u32,
    generation: u32,
}

/// Values in slots that never move: keys that a growing vector moved would be left behind unwiped. The slots are in
/// chunks, of which the first few are small, for a UE with four SAs, and the others of a size.
#[derive(Debug)]
pub(crate) struct Slab<T: Slotted> {
    chunks: Vec<Box<[Slot<T>]>>,
    free: Vec<u32>,
    /// Slots that have been used.
    used: u32,
}

/// What lies in a [`Slab`]: where its slots may begin, which decides on how many of the caches' lines each lies.
pub(crate) trait Slotted: Sized {
    /// A type that may begin only there.
    type Begins: fmt::Debug;
}

/// Slots that begin with a line.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct WithLine;

#[derive(Debug)]
struct Slot<T: Slotted> {
    /// Nothing but the place.
    _begins: [T::Begins; 0],
    generation: u32,
    value: Option<T>,
}

const FIRST_BITS: u32 = 2;
const LARGEST_BITS: u32 = 13;

impl<T: Slotted> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), used: 0 }
    }
}

/// The chunk of a slot, its place there, and the size of the chunk: 4, 4, 8, 16, ... 4,096, then 8,192 each.
#[inline]
const fn locate(slot: u32) -> (usize, usize, usize) {
    if slot >> LARGEST_BITS != 0 {
        let chunk = (slot >> LARGEST_BITS) + LARGEST_BITS - FIRST_BITS;
        (chunk as usize, (slot & ((1 << LARGEST_BITS) - 1)) as usize, 1 << LARGEST_BITS)
    } else if slot >> FIRST_BITS == 0 {
        (0, slot as usize, 1 << FIRST_BITS)
    } else {
        let bits = slot.ilog2();
        ((bits - FIRST_BITS + 1) as usize, (slot - (1 << bits)) as usize, 1 << bits)
    }
}

impl<T: Slotted> Slab<T> {
    /// Whether the numbers of slots may run out with the next set.
    pub(crate) const fn is_full(&self) -> bool {
        self.free.len() < 2 && self.used >= u32::MAX - 2
    }

    pub(crate) fn insert(&mut self, value: T) -> Option<Place> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = self.used;
                let (chunk, _, size) = locate(slot);
                if chunk == self.chunks.len() {
                    self.chunks
                        .push((0..size).map(|_| Slot { _begins: [], generation: 0, value: None }).collect());
                }
                self.used = slot.checked_add(1)?;
                slot
            }
        };
        let place = self.slot_mut(slot)?;
        place.value = Some(value);
        Some(Place { slot, generation: place.generation })
    }

    /// Drops a value where it is.
    pub(crate) fn remove(&mut self, id: Place) -> bool {
        let Some(slot) = self.slot_mut(id.slot).filter(|slot| slot.generation == id.generation) else {
            return false;
        };
        if slot.value.is_none() {
            return false;
        }
        slot.value = None;
        // A slot whose generations are used up is never used again, so that no SA has the name of another.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.slot);
        }
        true
    }

    pub(crate) fn get(&self, id: Place) -> Option<&T> {
        self.slot(id.slot).filter(|slot| slot.generation == id.generation)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: Place) -> Option<&mut T> {
        self.slot_mut(id.slot).filter(|slot| slot.generation == id.generation)?.value.as_mut()
    }

    pub(crate) fn id(&self, slot: u32) -> Option<Place> {
        let place = self.slot(slot)?;
        place.value.as_ref().map(|_| Place { slot, generation: place.generation })
    }

    #[inline]
    pub(crate) fn peek(&self, slot: u32) -> Option<&T> {
        self.slot(slot)?.value.as_ref()
    }

    /// Has slots fetched that will be needed soon.
    #[inline]
    pub(crate) fn prefetch(&self, slots: &[usize]) {
        for slot in slots {
            if let Some(slot) = self.slot(*slot as u32) {
                prefetch(slot);
            }
        }
    }

    #[inline]
    pub(crate) fn at(&mut self, slot: u32) -> Option<(&mut T, Place)> {
        let place = self.slot_mut(slot)?;
        let id = Place { slot, generation: place.generation };
        place.value.as_mut().map(|value| (value, id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().filter_map(|slot| slot.value.as_ref())
    }

    #[inline]
    fn slot(&self, slot: u32) -> Option<&Slot<T>> {
        let (chunk, place, _) = locate(slot);
        self.chunks.get(chunk)?.get(place)
    }

    #[inline]
    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        let (chunk, place, _) = locate(slot);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inbound, Outbound};

    impl Slotted for i32 {
        type Begins = Self;
    }

    #[test]
    fn an_sa_lies_on_no_more_lines_than_it_must() {
        // A slot begins with a line. Where the processor has no instructions for AES, none has round keys in it.
        const LINE: usize = 64;
        assert_eq!((align_of::<Slot<Inbound>>(), align_of::<Slot<Outbound>>()), (LINE, LINE));
        assert!(size_of::<Slot<Inbound>>() <= 6 * LINE);
        assert!(size_of::<Slot<Outbound>>() <= 3 * LINE);
    }

    #[test]
    fn every_slot_has_one_place_and_chunks_follow_each_other() {
        let mut expected = (0, 0);
        for slot in 0..40_000 {
            let (chunk, place, size) = locate(slot);
            assert_eq!((chunk, place), expected, "slot {slot}");
            expected = if place + 1 == size { (chunk + 1, 0) } else { (chunk, place + 1) };
        }
    }

    #[test]
    fn a_place_names_one_value_only() {
        let mut slab = Slab::default();
        let first = slab.insert(1).unwrap();
        assert!(slab.remove(first) && !slab.remove(first));
        let second = slab.insert(2).unwrap();
        assert_eq!((second.slot, slab.get(first), slab.get(second)), (first.slot, None, Some(&2)));
        assert!(!slab.remove(first));
        assert_eq!(slab.iter().copied().collect::<Vec<_>>(), [2]);
    }
}

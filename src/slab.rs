//! Values in numbered slots that are used again.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::id::{Id, TableId};
use crate::prefetch::prefetch;
use crate::wipe::Wiped;

/// Values in slots that never move: a growing vector would leave copies of keys unwiped. The slots
/// are in chunks, the first of them small, for a UE with four SAs, the later ones of one size.
#[derive(Debug)]
pub(crate) struct Slab<T: Slotted> {
    table: TableId,
    chunks: Vec<Box<[Slot<T>]>>,
    free: Vec<u32>,
    /// Slots that have been used.
    used: u32,
}

/// A slot of a [`Slab`]. The alignment of its slots decides how many cache lines each touches.
pub(crate) trait Slotted: Sized {
    /// A type with the alignment of a slot.
    type Alignment: fmt::Debug;
}

/// The alignment of a cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct CacheLine;

#[derive(Debug)]
struct Slot<T: Slotted> {
    /// Takes no room, aligns the slot.
    _alignment: [T::Alignment; 0],
    generation: u32,
    value: Wiped<T>,
}

const FIRST_BITS: u32 = 2;
const LARGEST_BITS: u32 = 13;

/// The chunk of a slot, its index there, and the size of the chunk: 4, 4, 8, 16, ... 4,096, then
/// 8,192 each.
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
    pub(crate) const fn new(table: TableId) -> Self {
        Self { table, chunks: Vec::new(), free: Vec::new(), used: 0 }
    }

    pub(crate) const fn table(&self) -> TableId {
        self.table
    }

    /// Whether the numbers of slots may run out with the next set.
    pub(crate) const fn is_full(&self) -> bool {
        self.free.len() < 2 && self.used >= u32::MAX - 2
    }

    /// The index of the value that an id names.
    fn index(&self, id: Id) -> Option<u32> {
        let slot = self.slot(id.slot)?;
        (self.table == id.table && u64::from(slot.generation) == id.generation).then_some(id.slot)
    }

    fn id_of(&self, slot: u32, generation: u32) -> Id {
        Id { table: self.table, slot, generation: generation.into() }
    }

    /// Makes room for one more value. Before values with keys are made: a new chunk may begin with
    /// copies of what is on the stack.
    pub(crate) fn make_room(&mut self) {
        let (chunk, _, size) = locate(self.used);
        if self.free.is_empty() && chunk == self.chunks.len() {
            let empty = || Slot { _alignment: [], generation: 0, value: Wiped::EMPTY };
            self.chunks.push((0..size).map(|_| empty()).collect());
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> Option<Id> {
        self.make_room();
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                let number = self.used;
                self.used = number.checked_add(1)?;
                number
            }
        };
        let slot = self.slot_mut(number)?;
        slot.value = Wiped::new(value);
        let generation = slot.generation;
        Some(self.id_of(number, generation))
    }

    /// Drops a value where it is.
    pub(crate) fn remove(&mut self, id: Id) -> bool {
        let Some(slot) = self.index(id).and_then(|number| self.slot_mut(number)) else { return false };
        if slot.value.get().is_none() {
            return false;
        }
        slot.value.wipe();
        // A slot whose generations are used up is never used again, so that no SA has the name of
        // another.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.slot);
        }
        true
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        self.peek(self.index(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let number = self.index(id)?;
        self.slot_mut(number)?.value.get_mut()
    }

    pub(crate) fn id(&self, number: u32) -> Option<Id> {
        let slot = self.slot(number)?;
        slot.value.get().map(|_| self.id_of(number, slot.generation))
    }

    #[inline]
    pub(crate) fn peek(&self, slot: u32) -> Option<&T> {
        self.slot(slot)?.value.get()
    }

    /// Prefetches slots that will be needed soon.
    #[inline]
    pub(crate) fn prefetch(&self, slots: &[usize]) {
        for slot in slots {
            if let Some(slot) = self.slot(*slot as u32) {
                prefetch(slot);
            }
        }
    }

    #[inline]
    pub(crate) fn at(&mut self, number: u32) -> Option<(&mut T, Id)> {
        let table = self.table;
        let slot = self.slot_mut(number)?;
        let id = Id { table, slot: number, generation: slot.generation.into() };
        slot.value.get_mut().map(|value| (value, id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().filter_map(|slot| slot.value.get())
    }

    #[inline]
    fn slot(&self, slot: u32) -> Option<&Slot<T>> {
        let (chunk, index, _) = locate(slot);
        self.chunks.get(chunk)?.get(index)
    }

    #[inline]
    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        let (chunk, index, _) = locate(slot);
        self.chunks.get_mut(chunk)?.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sa::{Inbound, Outbound};

    impl Slotted for i32 {
        type Alignment = Self;
    }

    #[test]
    fn an_sa_touches_no_more_cache_lines_than_it_must() {
        // Where the processor has no instructions for AES, no SA has room for round keys in it.
        const LINE: usize = 64;
        assert_eq!((align_of::<Slot<Inbound>>(), align_of::<Slot<Outbound>>()), (LINE, LINE));
        assert!(size_of::<Slot<Inbound>>() <= 6 * LINE);
        assert!(size_of::<Slot<Outbound>>() <= 3 * LINE);
    }

    #[test]
    fn every_slot_has_one_index_and_chunks_follow_each_other() {
        let mut expected = (0, 0);
        for slot in 0..40_000 {
            let (chunk, index, size) = locate(slot);
            assert_eq!((chunk, index), expected, "slot {slot}");
            expected = if index + 1 == size { (chunk + 1, 0) } else { (chunk, index + 1) };
        }
    }

    #[test]
    fn an_id_names_one_value_only() {
        let mut slab = Slab::new(TableId::draw());
        let first = slab.insert(1).unwrap();
        assert!(slab.remove(first) && !slab.remove(first));
        let second = slab.insert(2).unwrap();
        assert_eq!((second.slot, slab.get(first), slab.get(second)), (first.slot, None, Some(&2)));
        assert!(!slab.remove(first));
        assert_eq!(slab.iter().copied().collect::<Vec<_>>(), [2]);
    }
}

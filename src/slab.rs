//! Values in numbered slots that are used again.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::id::{Id, TableId};
use crate::prefetch::prefetch;
use crate::wipe::Wiped;

/// Values in slots that never move: a growing vector would leave copies of keys unwiped. The slots
/// are in chunks, the first of them small, for a UE with four SAs, the later ones of one size. The
/// first chunk with room is filled first, so that after a flood the last ones become empty and are
/// released.
#[derive(Debug)]
pub(crate) struct Slab<T: Slotted> {
    table: TableId,
    /// Without slots where the chunk was released.
    chunks: Vec<Box<[Slot<T>]>>,
    /// The free slots of each chunk.
    free: Vec<Free>,
    /// How many free slots there are.
    room: usize,
    /// No chunk before this one has room.
    first_with_room: usize,
    /// A chunk without values that is kept, so that chunks are not made and released over and over.
    spare: usize,
    /// The generation of the slots of new chunks: above those of released chunks.
    generation: u32,
}

/// The free slots of a chunk: those that were released, and those that have never been used.
#[derive(Debug, Default)]
struct Free {
    released: Vec<u16>,
    used: u16,
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

/// The slot at an index of a chunk: what [`locate`] takes apart.
const fn slot_at(chunk: usize, index: u16) -> u32 {
    const LARGEST: usize = (LARGEST_BITS - FIRST_BITS) as usize;
    let first = match chunk {
        0 => 0,
        chunk if chunk <= LARGEST => 1 << (chunk as u32 + FIRST_BITS - 1),
        chunk => (chunk - LARGEST) << LARGEST_BITS,
    };
    first as u32 + index as u32
}

/// The chunk of the last slot.
const LAST_CHUNK: usize = locate(u32::MAX).0;

const fn size_of_chunk(chunk: usize) -> usize {
    locate(slot_at(chunk, 0)).2
}

impl Free {
    fn take(&mut self, size: usize) -> Option<u16> {
        let unused = (usize::from(self.used) < size).then_some(self.used);
        self.released.pop().or_else(|| unused.inspect(|_| self.used += 1))
    }
}

impl<T: Slotted> Slab<T> {
    pub(crate) const fn new(table: TableId) -> Self {
        Self {
            table,
            chunks: Vec::new(),
            free: Vec::new(),
            room: 0,
            first_with_room: 0,
            spare: 0,
            generation: 0,
        }
    }

    pub(crate) const fn table(&self) -> TableId {
        self.table
    }

    /// Whether the numbers of slots may run out with the next set.
    pub(crate) fn is_full(&self) -> bool {
        self.room < 2 && self.chunks.len() > LAST_CHUNK && self.chunks.iter().all(|chunk| !chunk.is_empty())
    }

    /// The index of the value that an id names.
    fn index(&self, id: Id) -> Option<u32> {
        let slot = self.slot(id.slot)?;
        (self.table == id.table && u64::from(slot.generation) == id.generation).then_some(id.slot)
    }

    fn id_of(&self, slot: u32, generation: u32) -> Id {
        Id { table: self.table, slot, generation: generation.into() }
    }

    /// Makes room for some more values. Before values with keys are made: a new chunk may begin
    /// with copies of what is on the stack.
    pub(crate) fn make_room(&mut self, values: usize) {
        while self.room < values && self.add_chunk() {}
    }

    /// Makes a chunk: one that was released, or a new one. False if all are there.
    fn add_chunk(&mut self) -> bool {
        let missing = self.chunks.iter().position(|chunk| chunk.is_empty());
        let number = missing.unwrap_or(self.chunks.len());
        if number > LAST_CHUNK {
            return false;
        }
        let size = size_of_chunk(number);
        let empty = || Slot { _alignment: [], generation: self.generation, value: Wiped::EMPTY };
        let chunk = (0..size).map(|_| empty()).collect();
        match self.chunks.get_mut(number) {
            Some(released) => *released = chunk,
            None => {
                self.chunks.push(chunk);
                self.free.push(Free::default());
            }
        }
        self.room += size;
        self.first_with_room = self.first_with_room.min(number);
        true
    }

    pub(crate) fn insert(&mut self, value: T) -> Option<Id> {
        self.make_room(1);
        let number = self.take_free()?;
        let slot = self.slot_mut(number)?;
        slot.value = Wiped::new(value);
        let generation = slot.generation;
        Some(self.id_of(number, generation))
    }

    /// A free slot of the first chunk with room.
    fn take_free(&mut self) -> Option<u32> {
        let (chunks, first) = (&self.chunks, self.first_with_room);
        let mut with_room = self.free.iter_mut().zip(chunks).enumerate().skip(first);
        let (chunk, index) =
            with_room.find_map(|(number, (free, slots))| Some((number, free.take(slots.len())?)))?;
        self.first_with_room = chunk;
        self.room -= 1;
        Some(slot_at(chunk, index))
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
            self.release(id.slot);
        }
        true
    }

    fn release(&mut self, slot: u32) {
        let (number, index, _) = locate(slot);
        let Some(free) = self.free.get_mut(number) else { return };
        free.released.push(index as u16);
        self.room += 1;
        self.first_with_room = self.first_with_room.min(number);
        if self.is_unused(number) {
            let (first, last) = (number.min(self.spare), number.max(self.spare));
            if first != last && self.is_unused(first) && self.is_unused(last) {
                self.release_chunk(last);
                self.spare = first;
            } else {
                self.spare = number;
            }
        }
    }

    /// Whether a chunk has no value, and no slot that is never used again.
    fn is_unused(&self, chunk: usize) -> bool {
        let (free, slots) = (self.free.get(chunk), self.chunks.get(chunk));
        free.zip(slots)
            .is_some_and(|(free, slots)| !slots.is_empty() && free.released.len() == usize::from(free.used))
    }

    fn release_chunk(&mut self, number: usize) {
        let (Some(chunk), Some(free)) = (self.chunks.get_mut(number), self.free.get_mut(number)) else {
            return;
        };
        let chunk = core::mem::take(chunk);
        *free = Free::default();
        self.room -= chunk.len();
        self.generation = chunk.iter().fold(self.generation, |highest, slot| highest.max(slot.generation));
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

    /// What is in these slots.
    #[inline]
    pub(crate) fn peek_all(&self, slots: &[usize]) -> impl Iterator<Item = &T> {
        slots.iter().filter_map(|slot| self.peek(*slot as u32))
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
    use proptest::prelude::*;

    use super::*;
    use crate::hashing::HashSeed;
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
    fn a_slot_is_where_it_is_located() {
        for slot in (0..40_000).chain([u32::MAX - 1, u32::MAX]) {
            let (chunk, index, size) = locate(slot);
            assert_eq!((slot_at(chunk, index as u16), size_of_chunk(chunk)), (slot, size));
        }
    }

    fn slots<T: Slotted>(slab: &Slab<T>) -> usize {
        slab.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_slab_is_a_map_whose_keys_never_come_again(
            steps in proptest::collection::vec((any::<bool>(), 0..70_usize, any::<u64>()), 1..60),
        ) {
            let mut slab = Slab::new(TableId::draw(&HashSeed::new([7; 16]).hashes()));
            let (mut model, mut gone) = (Vec::new(), Vec::new());
            for (value, (insert, times, chosen)) in (0..).zip(steps) {
                for n in 0..times {
                    if insert {
                        model.push((slab.insert(value).unwrap(), value));
                    } else if !model.is_empty() {
                        let (id, value) = model.swap_remove(chosen.wrapping_mul(n as u64 | 1) as usize % model.len());
                        prop_assert_eq!(slab.get(id), Some(&value));
                        prop_assert!(slab.remove(id) && !slab.remove(id));
                        gone.push(id);
                    }
                }
                prop_assert_eq!(slab.iter().count(), model.len());
                prop_assert!(model.iter().all(|(id, value)| slab.get(*id) == Some(value)));
                prop_assert!(gone.iter().all(|id| slab.get(*id).is_none()));
                let mut ids: Vec<_> = model.iter().map(|(id, _)| *id).chain(gone.iter().copied()).collect();
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(ids.len(), model.len() + gone.len());
                prop_assert_eq!(slab.room, slots(&slab) - model.len());
            }
            for (id, _) in model {
                slab.remove(id);
            }
            let made: Vec<_> = slab.chunks.iter().filter(|chunk| !chunk.is_empty()).collect();
            prop_assert!(made.len() <= 1, "all but a spare chunk are released");
        }
    }

    #[test]
    fn after_a_flood_what_comes_new_moves_to_the_front() {
        let mut slab = Slab::new(TableId::draw(&HashSeed::new([7; 16]).hashes()));
        let flood: Vec<_> = (0..100_000).map(|n| slab.insert(n).unwrap()).collect();
        // One of a thousand stays; each of them is replaced now and then.
        let (stay, go): (Vec<_>, Vec<_>) = flood.into_iter().partition(|id| id.slot % 1000 == 0);
        go.into_iter().for_each(|id| assert!(slab.remove(id)));
        for id in stay {
            let value = *slab.get(id).unwrap();
            slab.insert(value).unwrap();
            assert!(slab.remove(id));
        }
        assert_eq!(slab.iter().count(), 100);
        assert!(slots(&slab) <= 8192 + 128, "{}", slots(&slab));
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_stays_unused_and_so_does_its_chunk() {
        let mut slab = Slab::new(TableId::draw(&HashSeed::new([7; 16]).hashes()));
        let id = slab.insert(1).unwrap();
        slab.slot_mut(id.slot).unwrap().generation = u32::MAX;
        let id = slab.id(id.slot).unwrap();
        assert!(slab.remove(id) && !slab.remove(id));
        for _ in 0..2 {
            let ids: Vec<_> = (0..100).map(|n| slab.insert(n).unwrap()).collect();
            assert!(ids.iter().all(|other| other.slot != id.slot));
            ids.into_iter().for_each(|id| assert!(slab.remove(id)));
        }
    }

    #[test]
    fn an_id_names_one_value_only() {
        let mut slab = Slab::new(TableId::draw(&HashSeed::new([7; 16]).hashes()));
        let first = slab.insert(1).unwrap();
        assert!(slab.remove(first) && !slab.remove(first));
        let second = slab.insert(2).unwrap();
        assert_eq!((second.slot, slab.get(first), slab.get(second)), (first.slot, None, Some(&2)));
        assert!(!slab.remove(first));
        assert_eq!(slab.iter().copied().collect::<Vec<_>>(), [2]);
    }
}

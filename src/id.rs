//! Names of what a table holds, and the 16 octets that stand for each in other languages.

use core::fmt;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::hashing::Hashes;

/// One table: a [`Pcscf`](crate::Pcscf), a [`Ue`](crate::Ue) or a [`Sad`](crate::Sad). Every id
/// names the table that gave it out. The number is drawn when the table is made, from its seed and
/// from how many there were before: two tables share one with a probability of 2<sup>-31</sup>. A
/// `Ue` has no seed; without `std`, only the second tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(NonZeroU32);

impl TableId {
    pub(crate) fn draw(hashes: &Hashes) -> Self {
        static BEFORE: AtomicU32 = AtomicU32::new(0);
        #[cfg(target_has_atomic = "32")]
        let before = BEFORE.fetch_add(1, Ordering::Relaxed);
        #[cfg(not(target_has_atomic = "32"))]
        let before = {
            // Such a processor has one core.
            let before = BEFORE.load(Ordering::Relaxed);
            BEFORE.store(before.wrapping_add(1), Ordering::Relaxed);
            before
        };
        Self(NonZeroU32::MIN | (hashes.hash_one(&before) as u32))
    }
}

impl fmt::Debug for TableId {
    /// Without the number, so that two runs print the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableId(..)")
    }
}

/// The parts of every id: a table, a slot in it, and a generation of that slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) table: TableId,
    pub(crate) slot: u32,
    pub(crate) generation: u64,
}

impl Id {
    pub(crate) const fn to_raw(self) -> [u8; 16] {
        let high = (self.table.0.get() as u128) << 96 | (self.slot as u128) << 64;
        (high | self.generation as u128).to_be_bytes()
    }

    pub(crate) fn from_raw(table: TableId, raw: [u8; 16]) -> Option<Self> {
        let [t0, t1, t2, t3, s0, s1, s2, s3, generation @ ..] = raw;
        let slot = u32::from_be_bytes([s0, s1, s2, s3]);
        let id = Self { table, slot, generation: u64::from_be_bytes(generation) };
        (u32::from_be_bytes([t0, t1, t2, t3]) == table.0.get()).then_some(id)
    }
}

/// Declares a public id.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) $crate::id::Id);

        impl $name {
            /// 16 octets that stand for the id where there are no types: in C, in a message, in a
            /// file.
            pub const fn to_raw(self) -> [u8; 16] {
                self.0.to_raw()
            }

            /// Reads what [`to_raw`](Self::to_raw) gave. `None` if another table gave the id out,
            /// be it of another process or of this one before it was restarted.
            pub fn from_raw(table: $crate::id::TableId, raw: [u8; 16]) -> Option<Self> {
                $crate::id::Id::from_raw(table, raw).map(Self)
            }
        }
    };
}
pub(crate) use id;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashing::HashSeed;

    #[test]
    fn an_id_comes_back_from_its_octets_in_its_own_table_only() {
        let hashes = HashSeed::new([7; 16]).hashes();
        let (one, other) = (TableId::draw(&hashes), TableId::draw(&hashes));
        assert_ne!(one, other);
        for (slot, generation) in [(0, 0), (1, 2), (u32::MAX, u64::MAX), (0x0102_0304, 0x1122_3344_5566)] {
            let id = Id { table: one, slot, generation };
            assert_eq!(Id::from_raw(one, id.to_raw()), Some(id));
            assert_eq!(Id::from_raw(other, id.to_raw()), None);
        }
    }
}

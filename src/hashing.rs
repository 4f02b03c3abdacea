//! Hashes under a secret seed, and the map that is looked up by them.

use core::fmt;
use core::hash::{Hash, Hasher};

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The seed of the hashes of one table. Whoever does not know it cannot choose SPIs, addresses or
/// ports whose entries collide.
///
/// It must be random, and is best drawn again for each table and at each start. A
/// [`Pcscf`](crate::Pcscf) takes its own from the seed of its
/// [`SpiAllocator`](crate::SpiAllocator).
///
/// ```
/// use ipsec_3gpp::Sad;
/// use ipsec_3gpp::sa::HashSeed;
/// # let read_random_octets = || [7; 16];
/// let sad = Sad::seeded(&HashSeed::new(read_random_octets()));
/// # assert!(sad.is_empty());
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct HashSeed([u64; 2]);

impl HashSeed {
    /// A seed of random octets.
    pub fn new(mut octets: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(octets);
        octets.zeroize();
        Self([number as u64, (number >> 64) as u64])
    }

    /// A seed that the standard library draws.
    #[cfg(feature = "std")]
    pub fn random() -> Self {
        use core::hash::BuildHasher;
        // Its keys are random in each process, and others for each value.
        let drawn = std::hash::RandomState::new();
        Self([0_u8, 1].map(|word| drawn.hash_one(word)))
    }

    pub(crate) const fn hashes(&self) -> Hashes {
        let [first, second] = self.0;
        Hashes { first, others: SharedSeed::from_u64(second) }
    }
}

impl fmt::Debug for HashSeed {
    /// Without the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSeed(..)")
    }
}

/// Hashes under a seed. All of it is in the value itself, none in the process: a table that
/// processes share has the same hashes in each of them.
#[derive(Clone)]
pub(crate) struct Hashes {
    first: u64,
    others: SharedSeed,
}

impl Hashes {
    /// Not inlined where a multiplication of two words is long: hashes are made in many places.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn hash_one<T: Hash + ?Sized>(&self, value: &T) -> u64 {
        let mut state = FoldHasher::with_seed(self.first, &self.others);
        value.hash(&mut state);
        state.finish()
    }

    /// For the ids of a table that has no seed: with `std` they differ in each process.
    pub(crate) fn of_ids() -> Self {
        #[cfg(feature = "std")]
        return HashSeed::random().hashes();
        #[cfg(not(feature = "std"))]
        HashSeed([1, 2]).hashes()
    }
}

impl fmt::Debug for Hashes {
    /// Without the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashes(..)")
    }
}

/// A hash map with the hashes of the table that it belongs to: the same in each call. It
/// releases memory when few entries are left.
#[derive(Debug)]
pub(crate) struct Map<K, V>(HashTable<(K, V)>);

impl<K: Hash + Eq, V> Map<K, V> {
    pub(crate) const fn new() -> Self {
        Self(HashTable::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.0.iter()
    }

    pub(crate) fn get(&self, hashes: &Hashes, key: &K) -> Option<&V> {
        // Most are asked while they have nothing.
        if self.0.is_empty() {
            return None;
        }
        self.0.find(hashes.hash_one(key), |(other, _)| other == key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, hashes: &Hashes, key: &K) -> Option<&mut V> {
        self.0.find_mut(hashes.hash_one(key), |(other, _)| other == key).map(|(_, value)| value)
    }

    pub(crate) fn get_or_insert(&mut self, hashes: &Hashes, key: K, make: impl FnOnce() -> V) -> &mut V {
        let hash = hashes.hash_one(&key);
        let entry = self.0.entry(hash, |(other, _)| *other == key, |(other, _)| hashes.hash_one(other));
        let entry = match entry {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert((key, make())),
        };
        &mut entry.into_mut().1
    }

    pub(crate) fn remove(&mut self, hashes: &Hashes, key: &K) -> Option<V> {
        let entry = self.0.find_entry(hashes.hash_one(key), |(other, _)| other == key).ok()?;
        let ((_, value), _) = entry.remove();
        shrink(&mut self.0, 0, |(other, _)| hashes.hash_one(other));
        Some(value)
    }
}

/// Releases memory of a table, if an entry has gone and few are left.
pub(crate) fn shrink<T>(table: &mut HashTable<T>, reserved: usize, hash: impl Fn(&T) -> u64) {
    if let Some(capacity) = shrunk(table.len(), table.capacity(), reserved) {
        table.shrink_to(capacity, hash);
    }
}

/// The capacity that a hash table shrinks to when one of its entries has gone; `None` if it stays
/// as it is. Where less than an eighth is in use, as after a flood, most of the memory is released.
fn shrunk(len: usize, capacity: usize, reserved: usize) -> Option<usize> {
    const SMALL: usize = 64;
    let least = (2 * len).max(reserved);
    (capacity > SMALL && len < capacity / 8 && least <= capacity / 4).then_some(least)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv6Addr};

    use super::*;
    use crate::index::Index;
    use crate::sa::{Ports, Selector, Wire};

    fn longest(hashes: impl IntoIterator<Item = u64>) -> usize {
        let mut index = Index::default();
        hashes.into_iter().zip(0..).for_each(|(hash, slot)| index.insert(hash, slot));
        index.longest_search()
    }

    fn seed(first: u8) -> Hashes {
        HashSeed::new(core::array::from_fn(|n| first.wrapping_add(n as u8).wrapping_mul(91))).hashes()
    }

    fn of_ports(client: u16, ue: IpAddr) -> Wire {
        let pcscf = if ue.is_ipv4() { [10, 0, 0, 1].into() } else { Ipv6Addr::LOCALHOST.into() };
        let ports = Ports::Exact { source: 5061, destination: client };
        Wire::new(&Selector { source: pcscf, destination: ue, ports })
    }

    const ENTRIES: usize = 40_000;

    #[test]
    fn spis_and_ports_chosen_against_one_seed_gain_nothing_under_another() {
        let (known, secret) = (seed(1), seed(2));
        let ue: IpAddr = [10, 9, 8, 7].into();
        // Those of a few lines of a table of their size: a flood that knows the seed.
        let spis: Vec<_> =
            (256_u32..).filter(|spi| known.hash_one(&(*spi, ue)) >> 54 == 0).take(ENTRIES).collect();
        let hashes = |seed: &Hashes| longest(spis.iter().map(|spi| seed.hash_one(&(*spi, ue))));
        assert!(hashes(&known) > 1000, "{} lines", hashes(&known));
        assert!(hashes(&secret) <= 12, "{} lines", hashes(&secret));

        let ends = (0..=u16::MAX).flat_map(|net| (1..=u16::MAX).map(move |port| (net, port)));
        let wires =
            ends.map(|(net, port)| of_ports(port, Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, 1).into()));
        let wires: Vec<_> = wires.filter(|wire| known.hash_one(wire) >> 54 == 0).take(ENTRIES).collect();
        let hashes = |seed: &Hashes| longest(wires.iter().map(|wire| seed.hash_one(wire)));
        assert!(hashes(&known) > 1000, "{} lines", hashes(&known));
        assert!(hashes(&secret) <= 12, "{} lines", hashes(&secret));
    }

    #[test]
    fn values_in_a_row_spread_like_any_others() {
        for hashes in [seed(3), seed(4), seed(5)] {
            let n = 0..ENTRIES as u32;
            let ue: IpAddr = [10, 9, 8, 7].into();
            for shift in [0, 8, 16] {
                let longest = longest(n.clone().map(|n| hashes.hash_one(&(n << shift, ue))));
                assert!(longest <= 12, "SPIs: {longest} lines");
            }
            let longest_of =
                |wire: &dyn Fn(u32) -> Wire| longest(n.clone().map(|n| hashes.hash_one(&wire(n))));
            let of_one = longest_of(&|n| of_ports(n as u16 + 1, ue));
            let of_many = longest_of(&|n| of_ports(5060, IpAddr::from((0x0a00_0000 + n).to_be_bytes())));
            let of_prefixes =
                longest_of(&|n| of_ports(5060, Ipv6Addr::new(n as u16, 0, 0, n as u16, 0, 0, 0, 1).into()));
            assert!(of_one.max(of_many).max(of_prefixes) <= 12, "{of_one}, {of_many}, {of_prefixes} lines");
        }
    }

    #[test]
    fn a_map_releases_memory_and_finds_what_is_left() {
        let (hashes, mut map) = (seed(6), Map::new());
        (0..10_000).for_each(|n| *map.get_or_insert(&hashes, n, || 0) = n);
        for n in (0..10_000).filter(|n| n % 1000 != 0) {
            assert_eq!(map.remove(&hashes, &n), Some(n));
        }
        assert!(map.0.capacity() < 64, "{}", map.0.capacity());
        assert!((0..10).all(|n| map.get(&hashes, &(n * 1000)) == Some(&(n * 1000))));
        assert_eq!((map.iter().count(), map.remove(&hashes, &1)), (10, None));
    }

    #[test]
    fn a_table_shrinks_where_little_of_it_is_in_use_and_to_no_less_than_was_reserved() {
        assert_eq!(shrunk(0, 64, 0), None);
        assert_eq!(shrunk(8, 65, 0), None);
        assert_eq!(shrunk(7, 65, 0), Some(14));
        assert_eq!(shrunk(99, 800, 0), Some(198));
        assert_eq!(shrunk(99, 800, 200), Some(200));
        assert_eq!(shrunk(99, 800, 201), None);
        assert_eq!(shrunk(100, 800, 0), None);
    }

    #[test]
    fn seeds_differ_in_each_of_their_octets_and_are_not_printed() {
        let of = |octets: [u8; 16]| HashSeed::new(octets).hashes().hash_one("IMS access security");
        for octet in 0..16 {
            let mut other = [7; 16];
            other.iter_mut().skip(octet).take(1).for_each(|octet| *octet ^= 1);
            assert_ne!(of(other), of([7; 16]), "octet {octet}");
        }
        assert_eq!(alloc::format!("{:?}", HashSeed::new([7; 16])), "HashSeed(..)");
    }
}

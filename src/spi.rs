//! Security parameter indexes: the value, the slices of their space, and who gets which.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use sha1::{Digest, Sha1};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::hashing::HashSeed;

/// A security parameter index, chosen by the receiver of an SA.
///
/// Never 0. The values 1 to 255 are reserved by IANA (RFC 4303 2.1): [`Spi::new`] refuses them, and
/// they exist only where a peer sent one ([`Spi::from_peer`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spi(NonZeroU32);

/// An SPI that may not be used, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SPI {0} is reserved (RFC 4303 2.1)")]
pub struct ReservedSpi(pub u32);

crate::code::codes!(ReservedSpi { ReservedSpi(_) => "spi-reserved", });
crate::code::codes!(SpisExhausted { SpisExhausted { .. } => "spi-exhausted", });

impl Spi {
    /// The lowest SPI that is not reserved.
    pub const MIN: u32 = 256;

    /// An SPI of one's own.
    ///
    /// # Errors
    /// [`ReservedSpi`] for 0 to 255.
    pub const fn new(value: u32) -> Result<Self, ReservedSpi> {
        match NonZeroU32::new(value) {
            Some(nonzero) if value >= Self::MIN => Ok(Self(nonzero)),
            _ => Err(ReservedSpi(value)),
        }
    }

    /// An SPI that a peer chose: 1 to 255 are let through, for the sake of phones that send them
    /// ([`Quirk::ReservedSpi`](crate::sec_agree::Quirk::ReservedSpi)).
    ///
    /// # Errors
    /// [`ReservedSpi`] for 0, which must never be on the wire.
    pub const fn from_peer(value: u32) -> Result<Self, ReservedSpi> {
        match NonZeroU32::new(value) {
            Some(nonzero) => Ok(Self(nonzero)),
            None => Err(ReservedSpi(value)),
        }
    }

    /// The number, in host order.
    pub const fn value(self) -> u32 {
        self.0.get()
    }

    /// True for 1 to 255.
    pub const fn is_reserved(self) -> bool {
        self.value() < Self::MIN
    }
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spi({})", self.0)
    }
}

/// One of 2<sup>bits</sup> equal slices of the SPI space: the SPIs whose leading bits are its
/// index.
///
/// A node, or a core of one, that allocates from a slice of its own can be found from an SPI alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpiSlice {
    index: u32,
    bits: u32,
}

/// A slice or a capacity that does not fit the SPI space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpiSpaceError {
    /// There is no slice of this index among 2<sup>bits</sup>, or more than 2^16 slices were asked
    /// for.
    #[error("no slice {index} among 2^{bits} (at most 2^16)")]
    NoSuchSlice {
        /// The index asked for.
        index: u32,
        /// The number of slices asked for is 2 to this power.
        bits: u32,
    },
    /// The capacity is zero or above a sixteenth of the slice, so that released SPIs could come
    /// back too soon.
    #[error("capacity of {capacity} SPIs: 1 to {largest} fit")]
    Capacity {
        /// SPIs asked for.
        capacity: u32,
        /// The largest capacity of this slice.
        largest: u32,
    },
}

crate::code::codes!(SpiSpaceError {
    SpiSpaceError::NoSuchSlice { .. } => "spi-no-such-slice",
    SpiSpaceError::Capacity { .. } => "spi-capacity",
});

impl SpiSlice {
    /// The whole space.
    pub const WHOLE: SpiSlice = SpiSlice { index: 0, bits: 0 };

    /// Slice `index` of 2<sup>bits</sup>.
    ///
    /// # Errors
    /// [`SpiSpaceError::NoSuchSlice`] if `bits` is above 16 or `index` is not below
    /// 2<sup>bits</sup>.
    pub const fn new(index: u32, bits: u32) -> Result<Self, SpiSpaceError> {
        if bits <= 16 && index < 1 << bits {
            Ok(Self { index, bits })
        } else {
            Err(SpiSpaceError::NoSuchSlice { index, bits })
        }
    }

    /// The index of the slice, among 2<sup>bits</sup>, that an SPI belongs to.
    pub const fn index_of(spi: Spi, bits: u32) -> u32 {
        // No slice is smaller than one SPI.
        match spi.value().checked_shr(32_u32.saturating_sub(bits)) {
            Some(index) => index,
            None => 0,
        }
    }

    /// Whether an SPI belongs to this slice.
    pub const fn contains(self, spi: Spi) -> bool {
        Self::index_of(spi, self.bits) == self.index
    }

    const fn free_bits(self) -> u32 {
        32 - self.bits
    }

    const fn base(self) -> u32 {
        match self.index.checked_shl(32 - self.bits) {
            Some(base) => base,
            None => 0,
        }
    }
}

/// No SPI can be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {capacity} SPIs are in use")]
pub struct SpisExhausted {
    /// SPIs that the allocator was built for.
    pub capacity: u32,
}

/// Gives out SPIs: random to look at, never one that is in use, O(1) to give out, look up and take
/// back.
///
/// An SPI is a keyed permutation of a slot number and the slot's generation, so two that are in use
/// cannot collide and a look-up is arithmetic. Each use of a slot has a new generation and slots
/// are re-used in the order of their release, longest unused first: a released SPI is in quarantine
/// until its slot has gone through all its other generations, of which there are at least fifteen
/// (reserved and excluded values are skipped).
///
/// ```
/// use ipsec_3gpp::SpiAllocator;
/// use ipsec_3gpp::spi::SpiSlice;
/// let mut spis = SpiAllocator::new(SpiSlice::WHOLE, 1_000, [7; 16])?;
/// let of_the_ue = [];
/// let pair = spis.allocate_pair(&of_the_ue)?;
/// assert_ne!(pair.client, pair.server);
/// assert!(spis.slot(pair.client).is_some());
/// assert!(spis.release(pair.client) && !spis.release(pair.client));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SpiAllocator {
    slice: SpiSlice,
    permutation: Permutation,
    hash_seed: HashSeed,
    slot_bits: u32,
    capacity: u32,
    slots: Vec<Slot>,
    /// Released slots, linked through [`Slot::next`], longest released first.
    oldest_free: u32,
    newest_free: u32,
    in_use: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    /// `IN_USE`, or the slot released after this one, or `LAST`.
    next: u32,
}

const IN_USE: u32 = u32::MAX;
const LAST: u32 = u32::MAX - 1;

/// The two SPIs of one side of an SA set, by the port whose inbound SA they name (TS 33.203 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpiPair {
    /// `spi-c`: the SA inbound at this side's client port.
    pub client: Spi,
    /// `spi-s`: the SA inbound at this side's server port.
    pub server: Spi,
}

impl SpiAllocator {
    /// An allocator of at most `capacity` SPIs at a time from a slice. The seed makes the order of
    /// the SPIs hard to foresee, and the hashes of a [`Pcscf`](crate::Pcscf) that has the
    /// allocator: it must be random, and is wiped with the allocator.
    ///
    /// # Errors
    /// [`SpiSpaceError::Capacity`] if the capacity is zero or above a sixteenth of the slice.
    pub fn new(slice: SpiSlice, capacity: u32, mut seed: [u8; 16]) -> Result<Self, SpiSpaceError> {
        const GENERATION_BITS: u32 = 4;
        let largest = 1 << (slice.free_bits() - GENERATION_BITS);
        if capacity == 0 || capacity > largest {
            return Err(SpiSpaceError::Capacity { capacity, largest });
        }
        let permutation = Permutation::new(slice.free_bits(), &seed);
        let hash_seed = derive_hash_seed(&seed);
        seed.zeroize();
        Ok(Self {
            slice,
            permutation,
            hash_seed,
            slot_bits: capacity.next_power_of_two().trailing_zeros(),
            capacity,
            slots: Vec::new(),
            oldest_free: LAST,
            newest_free: LAST,
            in_use: 0,
        })
    }

    /// The slice that the SPIs come from.
    pub const fn slice(&self) -> SpiSlice {
        self.slice
    }

    /// A seed for the hashes of the table that has the allocator.
    pub(crate) const fn hash_seed(&self) -> &HashSeed {
        &self.hash_seed
    }

    /// How many SPIs are in use now.
    pub const fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Gives out an SPI that is not in use, not reserved and not among `excluded` (those that the
    /// UE sent, TS 33.203 7.1).
    ///
    /// # Errors
    /// [`SpisExhausted`] if as many SPIs are in use as the allocator was built for. Nothing has
    /// changed.
    pub fn allocate(&mut self, excluded: &[Spi]) -> Result<Spi, SpisExhausted> {
        let exhausted = SpisExhausted { capacity: self.capacity };
        let fresh = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let number = if fresh < self.capacity {
            self.slots.push(Slot { generation: 0, next: IN_USE });
            fresh
        } else {
            self.take_oldest_free().ok_or(exhausted)?
        };
        self.in_use += 1;
        // Skips the reserved values and the excluded ones, by using up generations of the slot:
        // there are at least sixteen, and a UE sends two SPIs.
        for _ in 0..=self.last_generation() {
            let Some(slot) = self.slots.get_mut(number as usize) else { break };
            let generation = slot.generation;
            if let Ok(spi) = self.spi_of(number, generation)
                && !excluded.contains(&spi)
            {
                return Ok(spi);
            }
            self.advance(number);
        }
        self.put_back(number);
        Err(exhausted)
    }

    /// Gives out the two SPIs of one side: both or none.
    ///
    /// # Errors
    /// [`SpisExhausted`] as for [`SpiAllocator::allocate`].
    pub fn allocate_pair(&mut self, excluded: &[Spi]) -> Result<SpiPair, SpisExhausted> {
        let client = self.allocate(excluded)?;
        match self.allocate(excluded) {
            Ok(server) => Ok(SpiPair { client, server }),
            Err(exhausted) => {
                self.release(client);
                Err(exhausted)
            }
        }
    }

    /// Takes an SPI back. False if it was not in use: nothing has changed then.
    pub fn release(&mut self, spi: Spi) -> bool {
        let Some(number) = self.slot(spi) else { return false };
        self.advance(number);
        self.put_back(number);
        true
    }

    /// The slot of an SPI that is in use: a small number, below the capacity, that no other SPI in
    /// use has.
    pub fn slot(&self, spi: Spi) -> Option<u32> {
        if !self.slice.contains(spi) {
            return None;
        }
        let plain = self.permutation.invert(spi.value() - self.slice.base());
        let number = plain & ((1 << self.slot_bits) - 1);
        let slot = self.slots.get(number as usize)?;
        (slot.next == IN_USE && slot.generation == plain >> self.slot_bits).then_some(number)
    }

    fn last_generation(&self) -> u32 {
        u32::MAX >> (32 - (self.slice.free_bits() - self.slot_bits))
    }

    fn spi_of(&self, number: u32, generation: u32) -> Result<Spi, ReservedSpi> {
        let permuted = self.permutation.apply(generation << self.slot_bits | number);
        Spi::new(self.slice.base() + permuted)
    }

    fn advance(&mut self, number: u32) {
        let last = self.last_generation();
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.generation = if slot.generation == last { 0 } else { slot.generation + 1 };
        }
    }

    fn take_oldest_free(&mut self) -> Option<u32> {
        let number = self.oldest_free;
        let slot = self.slots.get_mut(number as usize)?;
        self.oldest_free = slot.next;
        slot.next = IN_USE;
        if self.oldest_free == LAST {
            self.newest_free = LAST;
        }
        Some(number)
    }

    fn put_back(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.next = LAST;
            self.in_use -= 1;
        }
        match self.slots.get_mut(self.newest_free as usize) {
            Some(newest) => newest.next = number,
            None => self.oldest_free = number,
        }
        self.newest_free = number;
    }
}

/// Nobody can tell it from SPIs, whatever these tell of their seed.
fn derive_hash_seed(seed: &[u8; 16]) -> HashSeed {
    let digest: [u8; 20] = Sha1::digest(seed).into();
    let mut octets = [0; 16];
    octets.iter_mut().zip(digest).for_each(|(octet, of_digest)| *octet = of_digest);
    HashSeed::new(octets)
}

/// A keyed permutation of the numbers of a given width: a Feistel network with a mixing function.
/// It makes SPIs hard to guess, and nothing but that rests on it: packets are protected by their
/// ICV.
struct Permutation {
    /// Width in bits of the two halves; they differ by one where the whole is odd.
    upper: u32,
    lower: u32,
    keys: RoundKeys,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct RoundKeys([u64; Permutation::ROUNDS]);

impl Permutation {
    /// Even, so that the halves are back in their places at the end.
    const ROUNDS: usize = 8;

    fn new(bits: u32, seed: &[u8; 16]) -> Self {
        let mut state = u128::from_le_bytes(*seed);
        let mut keys = RoundKeys([0; Self::ROUNDS]);
        for (key, round) in keys.0.iter_mut().zip(1_u64..) {
            *key = mix(mix(state as u64 ^ round) ^ (state >> 64) as u64);
        }
        state.zeroize();
        Self { upper: bits / 2, lower: bits - bits / 2, keys }
    }

    fn apply(&self, value: u32) -> u32 {
        let (mut upper, mut lower) = self.split(value);
        for (key, even) in self.keys.0.iter().zip([true, false].into_iter().cycle()) {
            if even {
                upper ^= Self::round(*key, lower, self.upper);
            } else {
                lower ^= Self::round(*key, upper, self.lower);
            }
        }
        upper << self.lower | lower
    }

    fn invert(&self, value: u32) -> u32 {
        let (mut upper, mut lower) = self.split(value);
        for (key, even) in self.keys.0.iter().rev().zip([false, true].into_iter().cycle()) {
            if even {
                upper ^= Self::round(*key, lower, self.upper);
            } else {
                lower ^= Self::round(*key, upper, self.lower);
            }
        }
        upper << self.lower | lower
    }

    fn split(&self, value: u32) -> (u32, u32) {
        (value >> self.lower, value & ((1 << self.lower) - 1))
    }

    fn round(key: u64, half: u32, width: u32) -> u32 {
        (mix(key ^ u64::from(half)) >> (64 - width)) as u32
    }
}

impl fmt::Debug for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permutation(..)")
    }
}

/// The finaliser of SplitMix64: every bit of the input changes about half of the output.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

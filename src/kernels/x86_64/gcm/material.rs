//! What kernels work on: what is expanded from a key, and a packet.

use core::mem::offset_of;
use core::ptr;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Octets of a block.
pub(super) const BLOCK: usize = 16;
/// The highest power of H.
pub(super) const LAST_POWER: usize = 34;
/// Octets after the powers of H that vectors read.
pub(super) const AFTER_POWERS: usize = 2 * BLOCK;

/// Round keys, powers of H, and the salt.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(16))]
pub(super) struct Expanded {
    pub(super) round_keys: [[u8; BLOCK]; 11],
    /// From [`LAST_POWER`] down to 1, multiplied by x, in the other order of octets.
    pub(super) powers: [[u8; BLOCK]; LAST_POWER],
    /// The salt, and zeros for IV and number, after the first addition of a key.
    pub(super) nonce: [u8; BLOCK],
    #[zeroize(skip)]
    pub(super) width: Width,
    /// There are octets, not only room, up to where the next block would be.
    pub(super) end: [u8; BLOCK - 1],
}

impl Expanded {
    /// The powers this many octets after the highest one, and what is after them.
    #[inline(always)]
    pub(super) const fn powers_from(&self, at: usize) -> *const u8 {
        ptr::from_ref(self).cast::<u8>().wrapping_add(offset_of!(Self, powers) + at)
    }
}

const _: () =
    assert!(size_of::<Expanded>() == offset_of!(Expanded, powers) + LAST_POWER * BLOCK + AFTER_POWERS);

/// One packet beside its text.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    /// The first octet is the lowest.
    pub(crate) iv: u64,
    /// What is authenticated in front of the text, at most a block, and zeros: the first octet is
    /// at the top.
    pub(crate) front: [u64; 2],
    /// How many octets they are.
    pub(crate) front_octets: u32,
    /// Whether the text is encrypted. If it is not, it goes on where the block in front ends.
    pub(crate) encrypts: bool,
}

impl Packet {
    /// The lengths of what is only authenticated, and of what is encrypted too, in bits.
    #[inline]
    pub(super) const fn lengths(&self, text: usize) -> (u64, u64) {
        let (front, text) = (self.front_octets as u64, text as u64);
        if self.encrypts { (8 * front, 8 * text) } else { (8 * (front + text), 0) }
    }
}

/// What a text ends with, beside its payload: at most five octets, and how many, in one register.
#[derive(Clone, Copy)]
pub(crate) struct Trailer(u64);

impl Trailer {
    /// The text has been framed.
    pub(crate) const NONE: Self = Self(0);

    /// The first octet is the lowest, and there are zeros after the last one.
    #[inline(always)]
    pub(crate) const fn new(octets: u64, len: usize) -> Self {
        Self(octets | (len as u64) << 56)
    }

    /// With octets where there are zeros.
    #[inline(always)]
    pub(crate) const fn and(self, octets: u64) -> Self {
        Self(self.0 | octets)
    }

    #[inline(always)]
    pub(super) const fn octets(self) -> u64 {
        self.0 << 8 >> 8
    }

    #[inline(always)]
    pub(super) const fn len(self) -> usize {
        (self.0 >> 56) as usize
    }
}

/// How many blocks the vectors of the kernel have. Made only where the machine has what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Width {
    One,
    Two,
    Four,
    /// The same, where a product takes longer than a few sums.
    FourKaratsuba,
}

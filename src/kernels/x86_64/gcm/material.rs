//! What kernels work on, and what they are called by: what is expanded from a key, and a text.

use core::mem::offset_of;
use core::ptr;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Octets of a block.
pub(super) const BLOCK: usize = 16;
/// The highest power of H.
pub(super) const LAST_POWER: usize = 34;
/// Octets after the powers of H that vectors read.
pub(super) const AFTER_POWERS: usize = 2 * BLOCK;

/// Round keys, powers of H, the salt, and what works with them.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(16))]
pub(super) struct Expanded {
    pub(super) round_keys: [[u8; BLOCK]; 11],
    /// From [`LAST_POWER`] down to 1, multiplied by x, in the other order of octets.
    pub(super) powers: [[u8; BLOCK]; LAST_POWER],
    /// The salt, and zeros for IV and number, after the first addition of a key.
    pub(super) nonce: [u8; BLOCK],
    #[zeroize(skip)]
    pub(super) calls: &'static Calls,
    /// There are octets, not only room, up to where the next block would be.
    pub(super) end: [u8; BLOCK - size_of::<&Calls>()],
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

/// What a kernel does with the packets of a suite. A header, which is SPI, sequence number and IV,
/// is in front of each text; an ICV is after it. Places to read and to write are the same, or do
/// not overlap.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) seal: Call<Seal>,
    pub(super) open: Call<Open>,
    /// As `open`, but the text stays encrypted.
    pub(super) verify: Call<Open>,
    /// Wipes what they leave on the stack.
    pub(super) wipe: unsafe fn(),
}

/// Writes header, text and ICV: key, SPI and sequence number, IV, where the payload is, where the
/// text will be. False, and nothing is written, if the trailer is not within the last vector, or
/// there is too little payload in front of it. As many arguments as there are registers for.
pub(super) type Seal = unsafe fn(&Expanded, u64, u64, *const u8, *mut u8, Text) -> bool;

/// Writes a text if its ICV is right, and returns its last word then: key, where the text is, where
/// it will be, how many octets.
pub(super) type Open = unsafe fn(&Expanded, *const u8, *mut u8, usize) -> Option<u32>;

/// A function of a kernel.
#[derive(Debug)]
pub(super) struct Call<F> {
    pub(super) function: F,
    /// Texts up to this many octets leave nothing on the stack.
    pub(super) clean: usize,
}

/// What a text ends with, beside its payload: at most five octets, and how many.
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
        self.0 << 24 >> 24
    }

    #[inline(always)]
    pub(super) const fn len(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// Of a text of this many octets; `None` if no packet has one.
    #[inline(always)]
    pub(super) const fn of(self, text_len: usize) -> Option<Text> {
        if text_len.wrapping_sub(1) >= u16::MAX as usize {
            return None;
        }
        Some(Text(self.0 | (text_len as u64) << 40))
    }
}

/// How long a text is, and its trailer, in one register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text(u64);

impl Text {
    #[inline(always)]
    pub(super) const fn len(self) -> usize {
        (self.0 >> 40) as u16 as usize
    }

    #[inline(always)]
    pub(super) const fn trailer(self) -> Trailer {
        Trailer(self.0)
    }

    /// The octets of the trailer, and others after them.
    #[inline(always)]
    pub(super) const fn word(self) -> u64 {
        self.0
    }
}

//! Vectors of AES blocks in three widths, with the same names; the widest multiplies in two ways.
//!
//! `V` is a vector of `LANES` blocks. `pair` makes vectors of two blocks that are hashed together,
//! `swap` is the other order of octets in each block, `crossed` exchanges its halves, `of_next`
//! puts the last two counters of a group right, and `fold` is the sum of the blocks. `load_part`
//! and `store_end` are for fewer octets than a vector has, `load_end` for a payload and its
//! trailer; `cut` leaves so many octets, and zeros; `word` is one word of a vector.

#![allow(unsafe_code, reason = "places that may be the same, and masks, take pointers")]

/// Functions that need these instructions.
macro_rules! functions {
    ($features:literal: $($item:item)*) => {
        $(
            #[target_feature(enable = $features)]
            #[inline]
            $item
        )*
    };
}

/// The products of a width that are computed for one vector at a time.
macro_rules! one_by_one {
    ($features:literal) => {
        /// How many vectors are multiplied together.
        pub(crate) const TOGETHER: usize = 1;

        /// Low, middle and high products of two vectors with two others.
        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn products_of_two([a0, a1]: [V; 2], [b0, b1]: [V; 2]) -> [[V; 2]; 3] {
            [
                [multiply::<0x00>(a0, b0), multiply::<0x00>(a1, b1)],
                [middle(a0, b0), middle(a1, b1)],
                [multiply::<0x11>(a0, b0), multiply::<0x11>(a1, b1)],
            ]
        }
    };
}

#[macro_use]
mod karatsuba;
#[macro_use]
mod avx2;

pub(super) mod four;
pub(super) mod four_karatsuba;
pub(super) mod one;
pub(super) mod two;

use super::material::Trailer;

/// Ones, zeros, and ones. A mask that begins so many octets before the zeros has as many ones in
/// front, and one that begins so many after them has as many at its end.
static MASKS: [u8; 96] = {
    let mut masks = [0xff; 96];
    let mut at = ZEROS;
    while at < ZEROS + 32 {
        masks[at] = 0;
        at += 1;
    }
    masks
};
const ZEROS: usize = 32;
/// Which words of a vector are two at its beginning, and zeros behind them: from the eighth on.
static TWO_WORDS: [u32; 16] = [7, 7, 7, 7, 7, 7, 7, 7, 0, 1, 7, 7, 7, 7, 7, 7];
/// Which words of two vectors are as many as one has: from the number of words on. Of fewer than
/// eight words, only the lowest bits of a number count.
static WORDS_TWICE: [u32; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7];

/// The numbers of the octets of two vectors.
static OCTETS_TWICE: [u8; 128] = {
    let mut numbers = [0; 128];
    let mut at = 0;
    while at < numbers.len() {
        numbers[at] = at as u8;
        at += 1;
    }
    numbers
};

/// The end of a payload that is less than a word, and the trailer behind it: at most eight octets.
#[inline(always)]
unsafe fn end_of(payload_end: *const u8, part: usize, trailer: Trailer) -> u64 {
    // SAFETY: as the caller says.
    unsafe {
        if trailer.len() == 0 {
            return if part == 0 { 0 } else { less_than_a_word(payload_end.sub(part), part) };
        }
        let word = u64::from(payload_end.sub(4).cast::<u32>().read_unaligned());
        word >> (32 - 8 * part) | trailer.octets() << (8 * part)
    }
}

/// So many octets. Packets of ESP are as long as words are.
#[cold]
unsafe fn less_than_a_word(from: *const u8, octets: usize) -> u64 {
    // SAFETY: as the caller says.
    (0..octets.min(3)).fold(0, |word, at| word | u64::from(unsafe { from.add(at).read() }) << (8 * at))
}

/// Writes so many octets of a word.
#[cold]
unsafe fn write_less_than_a_word(to: *mut u8, octets: usize, word: u32) {
    for (at, octet) in word.to_le_bytes().into_iter().enumerate().take(octets.min(3)) {
        // SAFETY: as the caller says.
        unsafe { to.add(at).write(octet) };
    }
}

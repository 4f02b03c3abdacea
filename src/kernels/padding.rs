//! The padding of the MD family: the final one or two blocks of a message.

use super::BLOCK;
use super::family::Hash;
use crate::impossible::part;

/// The final one or two blocks of a message: the remainder, `0x80`, zeros, and the length. The
/// first block here is scratch: the last octets are copied as a whole block, and those before the
/// remainder fall there.
#[repr(align(64))]
pub(crate) struct Final([[u8; BLOCK]; 3]);

impl Final {
    pub(crate) const EMPTY: Self = Self([[0; BLOCK]; 3]);
    /// The octet after the last one of the message.
    pub(super) const MARK: u8 = 0x80;
    /// Octets of the message's length.
    const LENGTH: usize = 8;

    /// The number of final blocks, with a remainder of this many octets.
    #[inline]
    pub(super) const fn count(rest_len: usize) -> usize {
        if rest_len + 1 + Self::LENGTH <= BLOCK { 1 } else { 2 }
    }

    /// The length in bits that a message of this many octets has after the key's block.
    #[inline]
    pub(super) const fn bits(len: usize) -> u64 {
        8 * (BLOCK as u64 + len as u64)
    }

    /// Made of two blocks, of which the second may not be needed.
    #[allow(dead_code, reason = "only vectors make blocks whole")]
    #[inline]
    pub(super) const fn of([first, second]: [[u8; BLOCK]; 2]) -> Self {
        Self([first, first, second])
    }

    /// Writes the final blocks of a message of `len` octets, whose last octets are given: at least
    /// a block, if there is one. Returns the blocks.
    #[inline]
    pub(crate) fn write<H: Hash<N>, const N: usize>(&mut self, last: &[u8], len: usize) -> &[[u8; BLOCK]] {
        let rest_len = last.len() % BLOCK;
        let blocks = Self::count(rest_len);
        let [_, first, second] = &mut self.0;
        // All zeros first, so that their number does not matter.
        (*first, *second) = ([0; BLOCK], [0; BLOCK]);
        let octets = self.0.as_flattened_mut();
        if let (Some(block), Some(to)) = (
            last.last_chunk::<BLOCK>(),
            octets.get_mut(rest_len..).and_then(|octets| octets.first_chunk_mut()),
        ) {
            *to = *block;
        } else if let Some(to) = octets.get_mut(BLOCK..BLOCK + rest_len) {
            to.copy_from_slice(last);
        }
        if let Some(mark) = octets.get_mut(BLOCK + rest_len) {
            *mark = Self::MARK;
        }
        let length_at = BLOCK * (1 + blocks) - Self::LENGTH;
        if let Some(length) = octets.get_mut(length_at..).and_then(|octets| octets.first_chunk_mut()) {
            *length = H::length(Self::bits(len));
        }
        self.blocks(blocks)
    }

    /// The blocks that are in use.
    #[inline]
    pub(super) fn blocks(&self, count: usize) -> &[[u8; BLOCK]] {
        part(&self.0[..], 1..1 + count)
    }
}

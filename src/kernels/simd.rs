//! Vectors of 32-bit words: the few operations that MD5 and SHA-1 are made of.
//!
//! Every module has the same names, so that the hashes are written once: `V`, a word of each of
//! `LANES` lanes; `load` and `store`; `blocks`, a block of each lane as sixteen vectors of words;
//! `swap`, the other byte order; `sum` and `both`, which keep the compiler from reordering. Those
//! of vectors are in `x86_64::simd`.

use super::BLOCK;

/// One lane, without vectors: what the others are compared with, and what runs where there are
/// none.
#[cfg_attr(not(test), allow(dead_code, reason = "the tests alone hash all of SHA-1 with it"))]
pub(super) mod portable {
    use super::BLOCK;

    pub(in crate::kernels) type V = u32;
    pub(in crate::kernels) const LANES: usize = 1;

    #[inline(always)]
    pub(in crate::kernels) fn load([word]: &[u32; LANES]) -> V {
        *word
    }

    #[inline(always)]
    pub(in crate::kernels) fn store([word]: &mut [u32; LANES], a: V) {
        *word = a;
    }

    #[inline(always)]
    pub(in crate::kernels) fn blocks([block]: [&[u8; BLOCK]; LANES]) -> [V; 16] {
        let mut words = [0; 16];
        for (word, octets) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*octets);
        }
        words
    }

    /// A sum that is made as it is written here: the compiler does not add its parts in another
    /// order.
    #[inline(always)]
    pub(in crate::kernels) fn sum(a: V) -> V {
        a
    }

    /// Two vectors, in order.
    #[inline(always)]
    pub(in crate::kernels) fn both(a: V, b: V) -> (V, V) {
        (a, b)
    }

    #[inline(always)]
    pub(in crate::kernels) fn splat(a: u32) -> V {
        a
    }

    #[inline(always)]
    pub(in crate::kernels) fn swap(a: V) -> V {
        a.swap_bytes()
    }

    #[inline(always)]
    pub(in crate::kernels) fn add(a: V, b: V) -> V {
        a.wrapping_add(b)
    }

    /// To the left by `N`, which with `M` makes 32.
    #[inline(always)]
    pub(in crate::kernels) fn rotate<const N: i32, const M: i32>(a: V) -> V {
        a.rotate_left(N as u32)
    }

    #[inline(always)]
    pub(in crate::kernels) fn xor(a: V, b: V) -> V {
        a ^ b
    }

    #[inline(always)]
    pub(in crate::kernels) fn parity(a: V, b: V, c: V) -> V {
        a ^ b ^ c
    }

    /// The bits of `b` where `a` has ones, those of `c` elsewhere.
    #[inline(always)]
    pub(in crate::kernels) fn choose(a: V, b: V, c: V) -> V {
        ((b ^ c) & a) ^ c
    }

    #[inline(always)]
    pub(in crate::kernels) fn majority(a: V, b: V, c: V) -> V {
        (a & b) | ((a | b) & c)
    }

    /// The function of MD5's last round.
    #[inline(always)]
    pub(in crate::kernels) fn or_not(a: V, b: V, c: V) -> V {
        b ^ (a | !c)
    }
}

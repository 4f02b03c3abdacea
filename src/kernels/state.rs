//! The states of lanes, and the blocks that the kernels of hashes absorb.

use crate::impossible::part;
use zeroize::optimization_barrier;

use super::BLOCK;

/// Lanes of a [`Group`].
pub(super) const GROUP: usize = 16;

/// The states of sixteen lanes of a hash with `N` words each, by word. Aligned: otherwise each
/// load of a vector would touch two cache lines.
#[repr(align(64))]
#[derive(Clone, Copy)]
pub(super) struct Group<const N: usize>(pub(super) [[u32; GROUP]; N]);

/// The states of `G` groups of lanes. They wipe themselves: with the states after a key, MACs can
/// be made without it.
pub(super) struct States<const N: usize, const G: usize>(pub(super) [Group<N>; G]);

impl<const N: usize, const G: usize> States<N, G> {
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self([Group([[0; GROUP]; N]); G])
    }

    #[inline(always)]
    pub(super) fn of(&self, lane: usize) -> [u32; N] {
        self.0[lane / GROUP].of(lane % GROUP)
    }

    /// `state` has `N` words or more.
    #[inline(always)]
    pub(super) fn set(&mut self, lane: usize, state: &[u32]) {
        self.0[lane / GROUP].set(lane % GROUP, state);
    }
}

impl<const N: usize> Group<N> {
    #[inline(always)]
    pub(super) fn of(&self, lane: usize) -> [u32; N] {
        self.0.each_ref().map(|words| words[lane])
    }

    /// `state` has `N` words or more.
    #[inline(always)]
    pub(super) fn set(&mut self, lane: usize, state: &[u32]) {
        for (words, word) in self.0.iter_mut().zip(state) {
            words[lane] = *word;
        }
    }
}

/// One word of the lanes of a vector, from lane `from` on.
#[inline(always)]
pub(super) fn lanes_of<const N: usize, const LANES: usize>(
    states: &[Group<N>],
    word: usize,
    from: usize,
) -> Option<&[u32; LANES]> {
    states.get(from / GROUP)?.0[word].as_chunks().0.get(from % GROUP / LANES)
}

/// The mutable form of [`lanes_of`].
#[inline(always)]
pub(super) fn lanes_of_mut<const N: usize, const LANES: usize>(
    states: &mut [Group<N>],
    word: usize,
    from: usize,
) -> Option<&mut [u32; LANES]> {
    states.get_mut(from / GROUP)?.0[word].as_chunks_mut().0.get_mut(from % GROUP / LANES)
}

impl<const N: usize, const G: usize> Drop for States<N, G> {
    fn drop(&mut self) {
        for group in &mut self.0 {
            group.0 = [[0; GROUP]; N];
        }
        optimization_barrier(self);
    }
}

/// The blocks of a lane's message: its body of whole blocks, and after that its final blocks.
#[derive(Clone, Copy)]
pub(super) struct Blocks<'a>([&'a [[u8; BLOCK]]; 2]);

impl<'a> Blocks<'a> {
    pub(super) const NONE: Self = Self([&[]; 2]);

    #[inline(always)]
    pub(super) const fn new(body: &'a [[u8; BLOCK]], end: &'a [[u8; BLOCK]]) -> Self {
        Self([body, end])
    }

    /// Body and final blocks.
    #[inline(always)]
    pub(super) const fn parts(&self) -> [&'a [[u8; BLOCK]]; 2] {
        self.0
    }

    #[inline(always)]
    pub(super) const fn len(&self) -> usize {
        let [body, end] = self.0;
        body.len() + end.len()
    }

    /// This many blocks have been hashed; there are at least as many.
    #[inline(always)]
    pub(super) fn go_on(&mut self, count: usize) {
        let [body, end] = &mut self.0;
        match body.split_at_checked(count) {
            Some((_, rest)) => *body = rest,
            None => {
                *end = part(end, count - body.len()..);
                *body = &[];
            }
        }
    }

    /// The number of blocks that the bodies of all lanes have at least.
    #[inline(always)]
    pub(super) fn common<const N: usize>(lanes: &[Self]) -> usize {
        lanes.iter().take(N).fold(usize::MAX, |least, lane| least.min(lane.0[0].len()))
    }

    /// The block at an index of each lane; zeros where there is none. Without a branch per lane:
    /// where the final blocks begin differs from lane to lane, and such branches would often be
    /// mispredicted.
    #[inline(always)]
    pub(super) fn get<const N: usize>(lanes: &[Self], index: usize, common: usize) -> [&'a [u8; BLOCK]; N] {
        static NOTHING: [u8; BLOCK] = [0; BLOCK];
        let mut blocks = [&NOTHING; N];
        if index < common {
            for (block, Self([body, _])) in blocks.iter_mut().zip(lanes) {
                *block = body.get(index).unwrap_or(&NOTHING);
            }
        } else {
            for (block, Self(parts)) in blocks.iter_mut().zip(lanes) {
                let body_len = parts[0].len();
                let part = usize::from(index >= body_len);
                let index = index - (body_len & part.wrapping_neg());
                *block = parts[part].get(index).unwrap_or(&NOTHING);
            }
        }
        blocks
    }
}

/// The blocks at one index of each lane, index after index. Within the bodies they are found
/// without bounds checks, which would take a tenth of the time of the fastest hash.
#[allow(dead_code, reason = "only vectors look ahead")]
pub(super) struct Cursor<'a, const N: usize> {
    lanes: &'a [Blocks<'a>; N],
    /// Blocks that all of them have before their final ones.
    common: usize,
    bodies: [*const [u8; BLOCK]; N],
    blocks: [&'a [u8; BLOCK]; N],
}

#[allow(dead_code, reason = "only vectors look ahead")]
impl<'a, const N: usize> Cursor<'a, N> {
    #[inline(always)]
    pub(super) fn new(lanes: &'a [Blocks<'a>; N]) -> Self {
        Self {
            lanes,
            common: Blocks::common::<N>(lanes),
            bodies: lanes.each_ref().map(|Blocks([body, _])| body.as_ptr()),
            blocks: [&[0; BLOCK]; N],
        }
    }

    #[inline(always)]
    #[allow(unsafe_code, reason = "blocks that are known to be within their bodies")]
    pub(super) fn go_to(&mut self, index: usize) {
        if index < self.common {
            for (block, body) in self.blocks.iter_mut().zip(&self.bodies) {
                // SAFETY: the body of each lane has `common` blocks or more from where it begins,
                // and lives for `'a`.
                *block = unsafe { &*body.add(index) };
            }
        } else {
            self.blocks = Blocks::get(self.lanes, index, self.common);
        }
    }

    /// The blocks of a set of lanes.
    #[inline(always)]
    pub(super) fn of<const LANES: usize>(&self, set: usize) -> Option<&[&'a [u8; BLOCK]; LANES]> {
        self.blocks.as_chunks().0.get(set)
    }
}

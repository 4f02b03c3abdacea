//! One compression kernel: how many lanes it has, what it costs, and how to call it.

use super::family::Hash;
use super::padding::Final;
use super::state::{Blocks, Group};
use crate::impossible::part;

/// Compresses `count` blocks per lane. If outer states are given, also runs the outer hash of HMAC
/// over the digest of each lane.
pub(super) type Compress<const N: usize> = fn(&mut [Group<N>], &[Blocks<'_>], usize, Option<&[Group<N>]>);

/// The measured cost in cycles of a call, and of a block of all lanes.
pub(super) struct Cost {
    pub(super) call: usize,
    pub(super) block: usize,
    /// The same on Intel's processors.
    pub(super) block_intel: usize,
}

impl Cost {
    #[inline(always)]
    const fn of(&self, intel: bool, count: usize) -> usize {
        self.call + count * if intel { self.block_intel } else { self.block }
    }
}

/// A compression function over some lanes of a hash with `N` words of state.
pub(super) struct Kernel<const N: usize> {
    pub(super) lanes: usize,
    pub(super) cost: Cost,
    pub(super) compress: Compress<N>,
}

/// A kernel of a function that only absorbs blocks.
macro_rules! streams {
    ($hash:ty, $lanes:literal, $call:literal + $block:literal $(| $intel:literal)?, $compress:expr) => {
        $crate::kernels::kernel::Kernel {
            lanes: $lanes,
            cost: $crate::kernels::kernel::Cost { call: $call, block: $block, block_intel: [$($intel,)? $block][0] },
            compress: |states, data, count, outers| {
                $compress(states, data, count);
                if let Some(outers) = outers {
                    let mut ends = [const { $crate::kernels::padding::Final::EMPTY }; $lanes];
                    let data = $crate::kernels::kernel::digests::<$hash, _, _>(states, outers, &mut ends);
                    $compress(states, &data, 1);
                }
            },
        }
    };
}

/// Writes the digest of each lane as the message of its outer hash, and sets the states to the
/// outer ones.
pub(super) fn digests<'e, H: Hash<N>, const N: usize, const L: usize>(
    states: &mut [Group<N>],
    outers: &[Group<N>],
    ends: &'e mut [Final; L],
) -> [Blocks<'e>; L] {
    let mut data = [Blocks::NONE; L];
    let (Some(states), Some(outers)) = (states.first_mut(), outers.first()) else { return data };
    for (lane, (data, end)) in data.iter_mut().zip(ends).enumerate() {
        let digest = H::digest(states.of(lane));
        *data = Blocks::new(&[], end.write::<H, N>(part(&digest[..], ..4 * N), 4 * N));
    }
    *states = *outers;
    data
}

/// The kernel with the least cost for a block of an active lane, over this many blocks. Lanes that
/// it has no room for wait.
#[inline]
pub(super) fn best<const N: usize>(
    kernels: &[Kernel<N>],
    active: usize,
    count: usize,
    intel: bool,
) -> &Kernel<N> {
    let cost = |kernel: &Kernel<N>| kernel.cost.of(intel, count);
    let mut best = &kernels[0];
    for kernel in kernels {
        if cost(kernel) * best.lanes.min(active) <= cost(best) * kernel.lanes.min(active) {
            best = kernel;
        }
    }
    best
}
pub(super) use streams;

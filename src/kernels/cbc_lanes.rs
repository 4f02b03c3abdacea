//! Schedules CBC over lanes: keeps the lanes of a kernel full.
//!
//! A packet is given from its counter block on, which is where the IV will be: with nothing before
//! it, it is encrypted to the IV.

use crate::impossible::part;

/// A packet to encrypt: whole blocks from its counter block on.
pub(crate) struct CbcTask<'a, K> {
    pub(crate) key: &'a K,
    pub(crate) data: &'a mut [u8],
}

/// A kernel over `N` lanes, with keys that live for `'k`.
pub(super) trait Lanes<'k, K, const N: usize> {
    /// Octets of a block.
    const BLOCK: usize;

    /// The fewest lanes that are worth the kernel, and the function that encrypts the rest of a
    /// packet, given the block before it, where fewer are left.
    const ALONE: Option<(usize, Alone<K>)> = None;

    /// A lane has another packet: its key, and nothing before its first block.
    fn begin(&mut self, lane: usize, key: &'k K);

    /// Lanes have begun, all that are in use or not: their keys are expanded together.
    fn ready(&mut self, _all: bool) {}

    /// Encrypts `count` blocks of each lane that has that many.
    fn encrypt(&mut self, data: &mut [&mut [u8]; N], count: usize);
}

/// Encrypts the rest of one packet.
pub(super) type Alone<K> = fn(&K, &[u8], &mut [u8]);

/// Encrypts every packet. The longest come first, so that the lanes stay full.
pub(super) fn encrypt<'k, K: 'k, L: Lanes<'k, K, N>, const N: usize>(
    lanes: &mut L,
    mut tasks: impl Iterator<Item = CbcTask<'k, K>>,
) {
    let mut data: [&mut [u8]; N] = core::array::from_fn(|_| <&mut [u8]>::default());
    // Only where lanes may go on alone: their keys, and the blocks before the rest.
    let mut alone: [(Option<&K>, [u8; 16]); N] = [(None, [0; 16]); N];
    loop {
        let (mut begun, mut active, mut shortest) = (0, 0, usize::MAX);
        for (lane, data) in data.iter_mut().enumerate() {
            if data.is_empty()
                && let Some(task) = tasks.find(|task| !task.data.is_empty())
            {
                lanes.begin(lane, task.key);
                if L::ALONE.is_some() {
                    alone[lane] = (Some(task.key), [0; 16]);
                }
                begun += 1;
                *data = task.data;
            }
            if !data.is_empty() {
                active += 1;
                shortest = shortest.min(data.len());
            }
        }
        let count = shortest / L::BLOCK;
        if shortest == usize::MAX || count == 0 {
            return;
        }
        // Nothing more comes, or the lanes would be full.
        if let Some((fewest, encrypt_alone)) = L::ALONE
            && active < fewest
        {
            for (data, (key, before)) in data.iter_mut().zip(&alone) {
                if let Some(key) = key.filter(|_| !data.is_empty()) {
                    encrypt_alone(key, part(before, ..L::BLOCK), data);
                }
            }
            return;
        }
        if begun > 0 {
            lanes.ready(begun == active);
        }
        lanes.encrypt(&mut data, count);
        for (data, (_, before)) in data.iter_mut().zip(&mut alone) {
            let whole = core::mem::take(data);
            if let Some((done, rest)) = whole.split_at_mut_checked(count * L::BLOCK) {
                if L::ALONE.is_some()
                    && let Some(last) = done.len().checked_sub(L::BLOCK).and_then(|last| done.get(last..))
                    && let Some(before) = before.get_mut(..L::BLOCK)
                {
                    before.copy_from_slice(last);
                }
                *data = rest;
            }
        }
    }
}

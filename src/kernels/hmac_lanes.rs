//! Schedules HMACs over lanes: keeps the lanes of a kernel full, and chooses the kernel for what is
//! left.

use core::mem::MaybeUninit;

use super::family::Hash;
use super::kernel::{Kernel, best};
use super::padding::Final;
use super::state::{Blocks, States};
use super::{BLOCK, HMAC_96};

/// A message whose HMAC is made, the states after its key, and where the first 96 bits go.
pub(crate) struct HmacTask<'a> {
    /// The states of the inner and the outer hash after the key's block. MD5 has the first four
    /// words.
    pub(crate) keyed: &'a [[u32; 5]; 2],
    pub(crate) message: &'a [u8],
    pub(crate) hmac: &'a mut [u8; HMAC_96],
}

/// Makes the HMACs of messages with these kernels, in at most `W` lanes, which are `G` groups. Each
/// message has room for its final blocks.
#[inline(always)]
pub(super) fn schedule<'a: 'e, 'e, H: Hash<N>, const N: usize, const G: usize, const W: usize>(
    (kernels, intel): (&[Kernel<N>], bool),
    mut tasks: impl Iterator<Item = (HmacTask<'a>, &'e mut MaybeUninit<Final>)>,
    write_final: impl Fn(&'e mut MaybeUninit<Final>, &[u8]) -> &'e [[u8; BLOCK]],
) {
    let kernels = &kernels[..kernels.iter().take_while(|kernel| kernel.lanes <= W).count()];
    let widest = kernels.last().map_or(1, |kernel| kernel.lanes);
    let mut states = States::<N, G>::new();
    // The rest of each lane's message, and what follows it: the outer state, and where the HMAC
    // goes.
    let mut data = [Blocks::NONE; W];
    let mut open: [Option<(&[u32; 5], &mut [u8; HMAC_96])>; W] = [const { None }; W];
    let mut active = 0;
    // Made only if it is needed: most often all messages end together.
    let mut hashed: Option<Hashed<'a, N, G, W>> = None;
    loop {
        while active < widest
            && let Some((task, end)) = tasks.next()
        {
            let HmacTask { keyed: [inner, outer], message, hmac } = task;
            states.set(active, inner);
            data[active] = Blocks::new(message.as_chunks().0, write_final(end, message));
            open[active] = Some((outer, hmac));
            active += 1;
        }
        if active == 0 {
            break;
        }
        let shortest = data[..active].iter().map(Blocks::len).min().unwrap_or(0);
        let kernel = best(kernels, active, shortest, intel);
        let used = kernel.lanes.min(active);
        // Idle lanes may hash anything; the first lane's blocks cost least, since they are looked
        // up like the others.
        let first = data[0];
        data[used..kernel.lanes].fill(first);
        let lens = data[..used].iter().map(Blocks::len);
        let (count, longest) =
            lens.fold((usize::MAX, 0), |(least, most), len| (least.min(len), most.max(len)));
        if count == longest && used == active {
            // All end together: their outer hashes follow at once.
            let mut outers = States::<N, G>::new();
            for (lane, open) in open[..active].iter().enumerate() {
                if let Some((outer, _)) = open {
                    outers.set(lane, &outer[..]);
                }
            }
            (kernel.compress)(&mut states.0, &data, count, Some(&outers.0));
            for (lane, open) in open[..active].iter_mut().enumerate() {
                if let Some((_, hmac)) = open.take() {
                    *hmac = H::hmac_96(states.of(lane));
                }
            }
            active = 0;
            continue;
        }
        (kernel.compress)(&mut states.0, &data, count, None);
        // From the last lane: one that ends is then most often the last active one, and none has to
        // be moved.
        for lane in (0..used).rev() {
            data[lane].go_on(count);
            if data[lane].len() > 0 {
                continue;
            }
            if let Some((outer, hmac)) = open[lane].take() {
                hashed.get_or_insert_with(Hashed::new).push::<H>(kernels, &states.of(lane), outer, hmac);
            }
            active -= 1;
            if lane != active {
                data.swap(lane, active);
                open.swap(lane, active);
                states.set(lane, &states.of(active));
            }
        }
    }
    if let Some(hashed) = hashed.as_mut().filter(|hashed| hashed.len > 0) {
        hashed.outer_hashes::<H>(kernels);
    }
}

/// Messages whose inner hash is done.
struct Hashed<'a, const N: usize, const G: usize, const W: usize> {
    digests: States<N, G>,
    outers: States<N, G>,
    hmacs: [Option<&'a mut [u8; HMAC_96]>; W],
    len: usize,
}

impl<'a, const N: usize, const G: usize, const W: usize> Hashed<'a, N, G, W> {
    fn new() -> Self {
        Self { digests: States::new(), outers: States::new(), hmacs: [const { None }; W], len: 0 }
    }

    /// Adds a message. Where as many are there as a kernel has lanes, their outer hashes are made.
    #[inline]
    fn push<H: Hash<N>>(
        &mut self,
        kernels: &[Kernel<N>],
        digest: &[u32],
        outer: &[u32; 5],
        hmac: &'a mut [u8; HMAC_96],
    ) {
        self.digests.set(self.len, digest);
        self.outers.set(self.len, outer);
        self.hmacs[self.len] = Some(hmac);
        self.len += 1;
        if kernels.last().is_none_or(|kernel| self.len >= kernel.lanes) {
            self.outer_hashes::<H>(kernels);
        }
    }

    fn outer_hashes<H: Hash<N>>(&mut self, kernels: &[Kernel<N>]) {
        let kernel = kernels.iter().find(|kernel| self.len <= kernel.lanes).unwrap_or(&kernels[0]);
        (kernel.compress)(&mut self.digests.0, &[Blocks::NONE; W], 0, Some(&self.outers.0));
        for (lane, hmac) in self.hmacs.iter_mut().enumerate().take(self.len) {
            if let Some(hmac) = hmac.take() {
                *hmac = H::hmac_96(self.digests.of(lane));
            }
        }
        self.len = 0;
    }
}

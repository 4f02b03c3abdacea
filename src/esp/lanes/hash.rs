//! Hashes over many messages: which go side by side, and with which kernel.

use zeroize::optimization_barrier;

use super::super::icv::{Hash, ICV, Md5, Sha1};
use super::backend::{Backend, Kind};
#[cfg(target_arch = "x86_64")]
use super::sha1;
use super::{BLOCK, States, WIDTH, md5};
use crate::algorithm::Integrity;

/// A message whose HMAC shall be made, from the states of both hashes after their keys; and the first octets of it.
#[derive(Clone, Copy)]
pub(in crate::esp) struct Task<'a> {
    pub(in crate::esp) inner: &'a [u32; 5],
    pub(in crate::esp) outer: &'a [u32; 5],
    pub(in crate::esp) message: &'a [u8],
    /// The number of its result.
    pub(in crate::esp) index: usize,
}

/// A compression function over some lanes.
struct Kernel {
    lanes: usize,
    /// What a step of all lanes costs, as a ratio to the others: some cycles, as measured.
    cost: usize,
    compress: fn(&mut States, &[&[[u8; BLOCK]]; WIDTH], usize),
}

/// A kernel that needs nothing but what every processor has.
macro_rules! portable {
    ($lanes:literal, $cost:literal, $compress:expr) => {
        Kernel { lanes: $lanes, cost: $cost, compress: $compress }
    };
}

/// A kernel that needs what its backend names.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    ($lanes:literal, $cost:literal, $compress:expr) => {
        Kernel {
            lanes: $lanes,
            cost: $cost,
            #[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
            compress: |states, data, count| {
                // SAFETY: only `kernels` gives this out, for a backend that says that the machine has the instructions.
                unsafe { $compress(states, data, count) }
            },
        }
    };
}

/// The crate's compression function, lane after lane and block after block: while one waits for itself, the processor
/// goes on with the next.
fn sha1_in_turn<const N: usize>(states: &mut States, data: &[&[[u8; BLOCK]]; WIDTH], count: usize) {
    let mut own: [[u32; 5]; N] = core::array::from_fn(|lane| core::array::from_fn(|word| states[word][lane]));
    for index in 0..count {
        for (lane, state) in own.iter_mut().enumerate() {
            if let Some(block) = data[lane].get(index) {
                ::sha1::block_api::compress(state, core::slice::from_ref(block));
            }
        }
    }
    for (lane, state) in own.into_iter().enumerate() {
        for (words, word) in states.iter_mut().zip(state) {
            words[lane] = word;
        }
    }
}

fn md5_one(states: &mut States, data: &[&[[u8; BLOCK]]; WIDTH], count: usize) {
    let [a, b, c, d, _] = states;
    let mut state = [a[0], b[0], c[0], d[0]];
    ::md5::block_api::compress(&mut state, data[0].get(..count).unwrap_or_default());
    [a[0], b[0], c[0], d[0]] = state;
}

static SHA1_PORTABLE: [Kernel; 3] = [
    portable!(1, 126, sha1_in_turn::<1>),
    portable!(2, 150, sha1_in_turn::<2>),
    portable!(4, 270, sha1_in_turn::<4>),
];
static MD5_PORTABLE: [Kernel; 2] = [portable!(1, 380, md5_one), portable!(3, 500, md5::three)];
#[cfg(target_arch = "x86_64")]
static SHA1_AVX2: [Kernel; 4] = [
    kernel!(1, 126, sha1::ni::streams::<1>),
    kernel!(2, 130, sha1::ni::streams::<2>),
    kernel!(4, 205, sha1::ni::streams::<4>),
    kernel!(8, 405, sha1::avx2_eight),
];
#[cfg(target_arch = "x86_64")]
static MD5_AVX2: [Kernel; 3] =
    [portable!(1, 380, md5_one), kernel!(8, 390, md5::avx2_eight), kernel!(16, 480, md5::avx2_sixteen)];
#[cfg(target_arch = "x86_64")]
static SHA1_AVX512: [Kernel; 5] = [
    kernel!(1, 126, sha1::ni::streams::<1>),
    kernel!(2, 130, sha1::ni::streams::<2>),
    kernel!(4, 205, sha1::ni::streams::<4>),
    kernel!(8, 310, sha1::avx512_eight),
    kernel!(16, 560, sha1::avx512_sixteen),
];
#[cfg(target_arch = "x86_64")]
static MD5_AVX512: [Kernel; 4] = [
    portable!(1, 380, md5_one),
    kernel!(8, 290, md5::avx512_eight),
    kernel!(16, 330, md5::avx512_sixteen),
    kernel!(32, 645, md5::avx512_thirty_two),
];

/// What a backend has for a hash, from few lanes to many.
fn kernels(backend: Backend, integrity: Integrity) -> &'static [Kernel] {
    match (backend.kind(), integrity) {
        (Kind::Portable, Integrity::HmacMd5_96) => &MD5_PORTABLE,
        (Kind::Portable, Integrity::HmacSha1_96) => &SHA1_PORTABLE,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Integrity::HmacMd5_96) => &MD5_AVX2,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Integrity::HmacSha1_96) => &SHA1_AVX2,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Integrity::HmacMd5_96) => &MD5_AVX512,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Integrity::HmacSha1_96) => &SHA1_AVX512,
    }
}

/// What a lane is at.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// The whole blocks of the message.
    Body,
    /// What is left of it, with its padding.
    End,
    /// The outer hash.
    Outer,
}

#[derive(Clone, Copy)]
struct Lane<'a> {
    task: Task<'a>,
    phase: Phase,
    /// Blocks of the phase that are done, and that are left.
    done: usize,
    left: usize,
}

/// The HMACs of messages, of which the longest come first, or the lanes run empty one by one.
pub(in crate::esp) fn hmacs<'a>(
    backend: Backend,
    integrity: Integrity,
    tasks: impl Iterator<Item = Task<'a>>,
    icvs: &mut [[u8; ICV]],
) {
    let kernels = kernels(backend, integrity);
    match integrity {
        Integrity::HmacMd5_96 => lanes::<Md5, 4, WIDTH>(kernels, tasks, icvs),
        Integrity::HmacSha1_96 => lanes::<Sha1, 5, { WIDTH / 2 }>(kernels, tasks, icvs),
    }
}

/// `W` is the most lanes that a kernel for the hash has.
fn lanes<'a, H: Hash<N>, const N: usize, const W: usize>(
    kernels: &[Kernel],
    mut tasks: impl Iterator<Item = Task<'a>>,
    icvs: &mut [[u8; ICV]],
) {
    const NO_TASK: Task<'static> = Task { inner: &[0; 5], outer: &[0; 5], message: &[], index: 0 };
    let widest = kernels.last().map_or(1, |kernel| kernel.lanes).min(W);
    let mut states: States = [[0; WIDTH]; 5];
    // What lanes hash that is not part of a message.
    let mut ends = [[[0; BLOCK]; 2]; W];
    let mut lanes = [Lane { task: NO_TASK, phase: Phase::Body, done: 0, left: 0 }; W];
    let mut active = 0;
    loop {
        while active < widest
            && let Some(task) = tasks.next()
        {
            let (blocks, rest) = task.message.as_chunks::<BLOCK>();
            set::<N>(&mut states, active, task.inner);
            lanes[active] = Lane { task, phase: Phase::Body, done: 0, left: blocks.len() };
            if blocks.is_empty() {
                lanes[active].phase = Phase::End;
                lanes[active].left = H::write_end(&mut ends[active], rest, task.message.len());
            }
            active += 1;
        }
        if active == 0 {
            break;
        }
        let kernel = best(kernels, active);
        let used = kernel.lanes.min(active);
        let mut data: [&[[u8; BLOCK]]; WIDTH] = [&[]; WIDTH];
        let mut count = usize::MAX;
        for ((data, lane), end) in data.iter_mut().zip(&lanes[..used]).zip(&ends) {
            let blocks =
                if lane.phase == Phase::Body { lane.task.message.as_chunks().0 } else { end.as_slice() };
            *data = blocks.get(lane.done..).unwrap_or_default();
            count = count.min(lane.left);
        }
        (kernel.compress)(&mut states, &data, count);
        // From the last: a lane that ends is then most often the last that is active, and no other has to take its place.
        for place in (0..used).rev() {
            let lane = &mut lanes[place];
            lane.done += count;
            lane.left -= count;
            if lane.left > 0 {
                continue;
            }
            lane.done = 0;
            match lane.phase {
                Phase::Body => {
                    let message = lane.task.message;
                    lane.phase = Phase::End;
                    lane.left = H::write_end(&mut ends[place], message.as_chunks::<BLOCK>().1, message.len());
                }
                Phase::End => {
                    let digest = H::digest(states.each_ref().map(|words| words[place]));
                    lane.phase = Phase::Outer;
                    lane.left = H::write_end(&mut ends[place], &digest[..4 * N], 4 * N);
                    set::<N>(&mut states, place, lane.task.outer);
                }
                Phase::Outer => {
                    let digest = H::digest(states.each_ref().map(|words| words[place]));
                    if let (Some(icv), Some(octets)) = (icvs.get_mut(lane.task.index), digest.first_chunk()) {
                        *icv = *octets;
                    }
                    active -= 1;
                    if place != active {
                        lanes[place] = lanes[active];
                        ends[place] = ends[active];
                        for words in &mut states {
                            words[place] = words[active];
                        }
                    }
                }
            }
        }
    }
    // From the state after its key, a MAC can be made without it.
    states.as_flattened_mut().fill(0);
    optimization_barrier(&states);
}

#[inline]
fn set<const N: usize>(states: &mut States, lane: usize, state: &[u32; 5]) {
    for (words, word) in states.iter_mut().zip(state).take(N) {
        words[lane] = *word;
    }
}

/// The kernel that costs least for a lane that is in use. Lanes that it has no room for wait.
#[inline]
fn best(kernels: &[Kernel], active: usize) -> &Kernel {
    let mut best = &kernels[0];
    for kernel in kernels {
        if kernel.cost * best.lanes.min(active) <= best.cost * kernel.lanes.min(active) {
            best = kernel;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::sha1;
    use super::*;

    /// Octets that look like none in particular.
    fn octets(len: usize, with: usize) -> Vec<u8> {
        (0..len).map(|n| ((n + with) * 2_654_435_761) as u8 ^ ((n * n + with) >> 3) as u8).collect()
    }

    #[test]
    fn every_kernel_takes_in_what_its_portable_twin_does() {
        const COUNT: usize = 3;
        for (backend, integrity) in
            Backend::available().flat_map(|backend| Integrity::ALL.map(|integrity| (backend, integrity)))
        {
            for kernel in kernels(backend, integrity) {
                let mut states: States = core::array::from_fn(|word| {
                    core::array::from_fn(|lane| (word * 99 + lane * 12_345_677) as u32)
                });
                let before = states;
                let messages: Vec<_> = (0..kernel.lanes).map(|lane| octets(BLOCK * COUNT, lane)).collect();
                let mut data: [&[[u8; BLOCK]]; WIDTH] = [&[]; WIDTH];
                for (data, message) in data.iter_mut().zip(&messages) {
                    *data = message.as_chunks().0;
                }
                (kernel.compress)(&mut states, &data, COUNT);
                for lane in 0..kernel.lanes {
                    let words = if integrity == Integrity::HmacMd5_96 { 4 } else { 5 };
                    let mut twin: States = [[0; WIDTH]; 5];
                    let mut own: [&[[u8; BLOCK]]; WIDTH] = [&[]; WIDTH];
                    own[0] = data[lane];
                    for (to, from) in twin.iter_mut().zip(&before) {
                        to[0] = from[lane];
                    }
                    if integrity == Integrity::HmacMd5_96 {
                        md5::one(&mut twin, &own, COUNT);
                    } else {
                        sha1::one(&mut twin, &own, COUNT);
                    }
                    for word in 0..words {
                        assert_eq!(
                            states[word][lane], twin[word][0],
                            "{backend}, {integrity:?}, lane {lane} of {}",
                            kernel.lanes
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_portable_twins_are_the_hashes_of_the_crates() {
        let message = octets(BLOCK * 5, 7);
        let (blocks, _) = message.as_chunks();
        let mut data: [&[[u8; BLOCK]]; WIDTH] = [&[]; WIDTH];
        data[0] = blocks;
        let mut states: States = [[0x1234_5678; WIDTH]; 5];
        let (mut of_md5, mut of_sha1) = ([0x1234_5678; 4], [0x1234_5678; 5]);
        md5::one(&mut states, &data, 5);
        ::md5::block_api::compress(&mut of_md5, blocks);
        assert_eq!(states.map(|words| words[0])[..4], of_md5);
        states = [[0x1234_5678; WIDTH]; 5];
        sha1::one(&mut states, &data, 5);
        ::sha1::block_api::compress(&mut of_sha1, blocks);
        assert_eq!(states.map(|words| words[0]), of_sha1);
    }
}

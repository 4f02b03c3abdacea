//! HMACs of many messages in parallel: which kernels a backend has.

use core::mem::MaybeUninit;

#[cfg(feature = "hmac-md5-96")]
use super::family::Md5;
use super::family::{Hash, Sha1};
use super::hmac_lanes::{HmacTask, schedule};
use super::kernel::{Kernel, streams};
use super::padding::Final;
#[cfg(feature = "hmac-md5-96")]
use super::state::GROUP;
use super::state::{Blocks, Group};
#[cfg(feature = "hmac-md5-96")]
use super::{MD5_LANES, MD5_WORDS, kernel::Cost, md5, md5::crate_one as md5_one};
use super::{SHA1_LANES, SHA1_WORDS, Vectors, x86_64};

/// The compression function of the `sha1` crate, interleaved over lanes: each is latency-bound, and
/// the processor overlaps them.
fn sha1_interleaved<const L: usize>(states: &mut [Group<SHA1_WORDS>], data: &[Blocks<'_>], count: usize) {
    let Some(states) = states.first_mut() else { return };
    let common = Blocks::common::<L>(data);
    let mut own: [_; L] = core::array::from_fn(|lane| states.of(lane));
    for index in 0..count {
        let blocks: [_; L] = Blocks::get(data, index, common);
        for (state, block) in own.iter_mut().zip(blocks) {
            ::sha1::block_api::compress(state, core::slice::from_ref(block));
        }
    }
    for (lane, state) in own.iter().enumerate() {
        states.set(lane, state);
    }
}

static SHA1_PORTABLE: [Kernel<SHA1_WORDS>; 3] = [
    streams!(Sha1, 1, 30 + 126, sha1_interleaved::<1>),
    streams!(Sha1, 2, 30 + 150 | 238, sha1_interleaved::<2>),
    streams!(Sha1, 4, 30 + 270 | 475, sha1_interleaved::<4>),
];
#[cfg(feature = "hmac-md5-96")]
static MD5_PORTABLE: [Kernel<MD5_WORDS>; 2] = [
    streams!(Md5, 1, 30 + 380, md5_one),
    Kernel { lanes: 3, cost: Cost { call: 70, block: 435, block_intel: 435 }, compress: md5::three },
];

/// The kernels of a hash.
trait Kernels<const N: usize>: Hash<N> {
    /// The kernels of a backend, from few lanes to many.
    fn of(vectors: Option<Vectors>) -> &'static [Kernel<N>];
}

#[cfg(feature = "hmac-md5-96")]
impl Kernels<MD5_WORDS> for Md5 {
    fn of(vectors: Option<Vectors>) -> &'static [Kernel<MD5_WORDS>] {
        vectors.map_or(&MD5_PORTABLE, x86_64::md5_kernels)
    }
}

impl Kernels<SHA1_WORDS> for Sha1 {
    fn of(vectors: Option<Vectors>) -> &'static [Kernel<SHA1_WORDS>] {
        vectors.map_or(&SHA1_PORTABLE, x86_64::sha1_kernels)
    }
}

/// The HMAC-MD5-96 of messages, the longest first, so that the lanes stay full. There are at most
/// `MOST`.
#[cfg(feature = "hmac-md5-96")]
pub(crate) fn md5_hmacs<'a, const MOST: usize>(
    vectors: Option<Vectors>,
    tasks: impl Iterator<Item = HmacTask<'a>>,
) {
    if MOST <= GROUP {
        on::<Md5, MD5_WORDS, 1, GROUP, MOST>(vectors, tasks);
    } else {
        on::<Md5, MD5_WORDS, 2, MD5_LANES, MOST>(vectors, tasks);
    }
}

/// Whether SHA-1 over many messages is faster in parallel than one by one: without vectors, one
/// message keeps Intel's processors about as busy as four do.
#[inline]
pub(crate) fn sha1_gains(vectors: Option<Vectors>) -> bool {
    vectors.is_some() || !x86_64::is_intel()
}

/// The HMAC-SHA-1-96 of messages, the longest first, so that the lanes stay full. There are at most
/// `MOST`.
pub(crate) fn sha1_hmacs<'a, const MOST: usize>(
    vectors: Option<Vectors>,
    tasks: impl Iterator<Item = HmacTask<'a>>,
) {
    on::<Sha1, SHA1_WORDS, 1, SHA1_LANES, MOST>(vectors, tasks);
}

fn on<'a, H: Kernels<N>, const N: usize, const G: usize, const W: usize, const MOST: usize>(
    vectors: Option<Vectors>,
    tasks: impl Iterator<Item = HmacTask<'a>>,
) {
    // Room for each task's final blocks; only what is used is written.
    let mut finals = [const { MaybeUninit::uninit() }; MOST];
    #[cfg(debug_assertions)]
    let tasks = tasks.enumerate().map(|(number, task)| {
        assert!(number < MOST, "more than {MOST}");
        task
    });
    let tasks = tasks.zip(&mut finals);
    let kernels = H::of(vectors);
    match vectors {
        Some(vectors) => x86_64::schedule::<H, N, G, W>(vectors, kernels, tasks),
        None => schedule::<H, N, G, W>((kernels, x86_64::is_intel()), tasks, write_final::<H, N>),
    }
}

/// Writes the final blocks of a message without vectors.
fn write_final<'e, H: Hash<N>, const N: usize>(
    room: &'e mut MaybeUninit<Final>,
    message: &[u8],
) -> &'e [[u8; super::BLOCK]] {
    room.write(Final::EMPTY).write::<H, N>(message, message.len())
}

#[cfg(test)]
mod tests {
    use super::super::sha1;
    use super::super::{BLOCK, kernel::Compress, state::States};
    use super::*;

    /// Without vectors, and with all kinds that the machine has.
    fn backends() -> impl Iterator<Item = Option<Vectors>> {
        Vectors::available().map(Some).chain([None])
    }

    /// Octets that look like none in particular.
    fn octets(len: usize, with: usize) -> Vec<u8> {
        (0..len).map(|n| ((n + with) * 2_654_435_761) as u8 ^ ((n * n + with) >> 3) as u8).collect()
    }

    /// Hashes blocks with every kernel of every backend, and in one lane with the portable twin.
    fn check<H: Kernels<N>, const N: usize>(twin: Compress<N>) {
        const COUNT: usize = 5;
        const GROUPS: usize = 2;
        const LANES: usize = GROUPS * GROUP;
        let any = |with: u32| {
            let mut states = States::<N, GROUPS>::new();
            for lane in 0..LANES {
                let word = |word: usize| (word as u32 * 99 + lane as u32 * 12_345_677) ^ with;
                states.set(lane, &core::array::from_fn::<_, N, _>(word));
            }
            states
        };
        for backend in backends() {
            // The end begins elsewhere in each lane; after as many blocks as all have.
            for (kernel, common) in H::of(backend).iter().flat_map(|kernel| [0, 1, 3].map(|n| (kernel, n))) {
                let messages: Vec<_> = (0..kernel.lanes).map(|lane| octets(BLOCK * COUNT, lane)).collect();
                let mut data = [Blocks::NONE; LANES];
                for (lane, (data, message)) in data.iter_mut().zip(&messages).enumerate() {
                    let (body, end) = message.as_chunks().0.split_at(common + lane % (COUNT + 1 - common));
                    *data = Blocks::new(body, end);
                }
                for (count, with_outers) in
                    [(COUNT, false), (COUNT, true), (0, true), (1, true), (COUNT - 1, false)]
                {
                    let outers = any(0x5c5c_5c5c);
                    let outers = with_outers.then_some(&outers);
                    let mut states = any(0);
                    (kernel.compress)(&mut states.0, &data, count, outers.map(|outers| &outers.0[..]));
                    for lane in 0..kernel.lanes {
                        let mut expected = States::<N, 1>::new();
                        expected.set(0, &any(0).of(lane));
                        let outers = outers.map(|outers| {
                            let mut own = States::<N, 1>::new();
                            own.set(0, &outers.of(lane));
                            own
                        });
                        let outers = outers.as_ref().map(|outers| &outers.0[..]);
                        twin(&mut expected.0, &data[lane..], count, outers);
                        assert_eq!(
                            states.of(lane),
                            expected.of(0),
                            "{backend:?}, {count} blocks, outer {with_outers}, lane {lane} of {}",
                            kernel.lanes
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_absorbs_what_its_portable_twin_does() {
        check::<Md5, MD5_WORDS>(md5::one);
        check::<Sha1, SHA1_WORDS>(sha1::one);
    }

    #[test]
    fn the_portable_twins_are_the_hashes_of_the_crates() {
        let message = octets(BLOCK * 5, 7);
        let (blocks, _) = message.as_chunks();
        let data = [Blocks::new(blocks, &[])];
        let (mut of_md5, mut of_sha1) = ([0x1234_5678; 4], [0x1234_5678; 5]);
        let mut states = States::<MD5_WORDS, 1>::new();
        states.set(0, &of_md5);
        md5::one(&mut states.0, &data, 5, None);
        ::md5::block_api::compress(&mut of_md5, blocks);
        assert_eq!(states.of(0), of_md5);
        let mut states = States::<SHA1_WORDS, 1>::new();
        states.set(0, &of_sha1);
        sha1::one(&mut states.0, &data, 5, None);
        ::sha1::block_api::compress(&mut of_sha1, blocks);
        assert_eq!(states.of(0), of_sha1);
    }
}

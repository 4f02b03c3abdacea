//! Hashes over many messages: which go side by side, and with which kernel.

use core::mem::MaybeUninit;

use super::super::icv::{End, Hash, ICV, Mac, Md5, Sha1};
use super::backend::{Backend, Kind, is_intel};
#[cfg(target_arch = "x86_64")]
use super::sha1;
use super::state::{Blocks, GROUP, Group, States};
use super::{BLOCK, MD5_LANES, MD5_WORDS, SHA1_LANES, SHA1_WORDS, md5};
use crate::algorithm::Integrity;
use crate::impossible::part;

/// A message whose HMAC shall be made, and where the first octets of that belong.
pub(in crate::esp) struct Task<'a> {
    pub(in crate::esp) mac: &'a Mac,
    pub(in crate::esp) message: &'a [u8],
    pub(in crate::esp) icv: &'a mut [u8; ICV],
}

/// Takes so many blocks of each lane into its state; then, where there are states of outer hashes, the digest of each lane into
/// its one.
type Compress<const N: usize> = fn(&mut [Group<N>], &[Blocks<'_>], usize, Option<&[Group<N>]>);

/// What a call takes, and what a block of all lanes: in cycles, as measured.
struct Cost {
    call: usize,
    block: usize,
    /// The same on processors of Intel.
    block_intel: usize,
}

impl Cost {
    #[inline(always)]
    const fn of(&self, intel: bool, count: usize) -> usize {
        self.call + count * if intel { self.block_intel } else { self.block }
    }
}

/// A compression function over some lanes of a hash with `N` words of state.
struct Kernel<const N: usize> {
    lanes: usize,
    cost: Cost,
    compress: Compress<N>,
}

/// A kernel of vectors, which needs what its backend names.
#[cfg(target_arch = "x86_64")]
macro_rules! vectors {
    ($lanes:literal, $call:literal + $block:literal $(| $intel:literal)?, $compress:expr) => {
        Kernel {
            lanes: $lanes,
            cost: Cost { call: $call, block: $block, block_intel: [$($intel,)? $block][0] },
            #[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
            compress: |states, data, count, outers| {
                // SAFETY: only `Kernels` gives this out, for a backend that says that the machine has the instructions.
                unsafe { $compress(states, data, count, outers) }
            },
        }
    };
}

/// A kernel of a function that takes in blocks alone.
macro_rules! streams {
    ($hash:ty, $lanes:literal, $call:literal + $block:literal $(| $intel:literal)?, $compress:expr) => {
        Kernel {
            lanes: $lanes,
            cost: Cost { call: $call, block: $block, block_intel: [$($intel,)? $block][0] },
            compress: |states, data, count, outers| {
                $compress(states, data, count);
                if let Some(outers) = outers {
                    let mut ends = [const { End::EMPTY }; $lanes];
                    let data = digests::<$hash, _, _>(states, outers, &mut ends);
                    $compress(states, &data, 1);
                }
            },
        }
    };
}

/// The processor's own instructions for SHA-1, for so many streams.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
fn sha1_ni<const L: usize>(states: &mut [Group<SHA1_WORDS>], data: &[Blocks<'_>], count: usize) {
    // SAFETY: only `Kernels` gives this out, for backends that say that the machine has the instructions.
    unsafe { sha1::ni::streams::<L>(states, data, count) }
}

/// Writes the digests of lanes as the messages of their outer hashes, and sets their states to those.
fn digests<'e, H: Hash<N>, const N: usize, const L: usize>(
    states: &mut [Group<N>],
    outers: &[Group<N>],
    ends: &'e mut [End; L],
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

/// The crate's compression function, lane after lane and block after block: while one waits for itself, the processor
/// goes on with the next.
fn sha1_in_turn<const L: usize>(states: &mut [Group<SHA1_WORDS>], data: &[Blocks<'_>], count: usize) {
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

fn md5_one(states: &mut [Group<MD5_WORDS>], data: &[Blocks<'_>], count: usize) {
    let (Some(states), Some(data)) = (states.first_mut(), data.first()) else { return };
    let (mut state, [body, end]) = (states.of(0), data.parts());
    let body = body.get(..count).unwrap_or(body);
    ::md5::block_api::compress(&mut state, body);
    ::md5::block_api::compress(&mut state, part(end, ..count - body.len()));
    states.set(0, &state);
}

static SHA1_PORTABLE: [Kernel<SHA1_WORDS>; 3] = [
    streams!(Sha1, 1, 30 + 126, sha1_in_turn::<1>),
    streams!(Sha1, 2, 30 + 150 | 238, sha1_in_turn::<2>),
    streams!(Sha1, 4, 30 + 270 | 475, sha1_in_turn::<4>),
];
static MD5_PORTABLE: [Kernel<MD5_WORDS>; 2] = [
    streams!(Md5, 1, 30 + 380, md5_one),
    Kernel { lanes: 3, cost: Cost { call: 70, block: 435, block_intel: 435 }, compress: md5::three },
];
#[cfg(target_arch = "x86_64")]
static SHA1_AVX2: [Kernel<SHA1_WORDS>; 4] = [
    streams!(Sha1, 1, 30 + 122, sha1_ni::<1>),
    streams!(Sha1, 2, 30 + 130 | 197, sha1_ni::<2>),
    streams!(Sha1, 4, 30 + 205 | 450, sha1_ni::<4>),
    vectors!(8, 40 + 420 | 530, sha1::avx2_eight),
];
#[cfg(target_arch = "x86_64")]
static MD5_AVX2: [Kernel<MD5_WORDS>; 4] = [
    streams!(Md5, 1, 30 + 380, md5_one),
    vectors!(8, 150 + 375, md5::avx2_eight),
    vectors!(16, 110 + 525, md5::avx2_sixteen),
    vectors!(16, 220 + 445, md5::avx2_sixteen_ahead),
];
#[cfg(target_arch = "x86_64")]
static SHA1_AVX512: [Kernel<SHA1_WORDS>; 5] = [
    streams!(Sha1, 1, 30 + 122, sha1_ni::<1>),
    streams!(Sha1, 2, 30 + 130 | 197, sha1_ni::<2>),
    streams!(Sha1, 4, 30 + 205 | 450, sha1_ni::<4>),
    vectors!(8, 60 + 280 | 290, sha1::avx512_eight),
    vectors!(16, 100 + 490 | 455, sha1::avx512_sixteen),
];
#[cfg(target_arch = "x86_64")]
static MD5_AVX512: [Kernel<MD5_WORDS>; 5] = [
    streams!(Md5, 1, 30 + 380, md5_one),
    vectors!(8, 150 + 335, md5::avx512_eight),
    vectors!(16, 40 + 415, md5::avx512_sixteen),
    vectors!(16, 220 + 375, md5::avx512_sixteen_ahead),
    // A block takes 520. But where not all lanes are in use, those that are left run empty sooner.
    vectors!(32, 440 + 560, md5::avx512_thirty_two_ahead),
];
#[cfg(target_arch = "x86_64")]
static MD5_AVX512_WHOLE: [Kernel<MD5_WORDS>; 4] = [
    streams!(Md5, 1, 30 + 380, md5_one),
    vectors!(8, 20 + 280, md5::avx512_eight),
    vectors!(16, 40 + 370, md5::avx512_sixteen),
    vectors!(16, 300 + 285, md5::avx512_whole_sixteen_ahead),
];

/// The kernels of a hash.
trait Kernels<const N: usize>: Hash<N> {
    /// What a backend has, from few lanes to many.
    fn of(backend: Backend) -> &'static [Kernel<N>];
}

impl Kernels<MD5_WORDS> for Md5 {
    fn of(backend: Backend) -> &'static [Kernel<MD5_WORDS>] {
        match backend.kind() {
            Kind::Portable => &MD5_PORTABLE,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => &MD5_AVX2,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 if backend.is_whole() => &MD5_AVX512_WHOLE,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => &MD5_AVX512,
        }
    }
}

impl Kernels<SHA1_WORDS> for Sha1 {
    fn of(backend: Backend) -> &'static [Kernel<SHA1_WORDS>] {
        match backend.kind() {
            Kind::Portable => &SHA1_PORTABLE,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => &SHA1_AVX2,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => &SHA1_AVX512,
        }
    }
}

/// The HMACs of messages, of which the longest come first, or the lanes run empty one by one. They are no more than `MOST`, as many as
/// there is room for.
pub(in crate::esp) fn hmacs<'a, const MOST: usize>(
    backend: Backend,
    integrity: Integrity,
    tasks: impl Iterator<Item = Task<'a>>,
) {
    // A place for each, of which those are written that are used.
    let mut ends = [const { MaybeUninit::uninit() }; MOST];
    #[cfg(debug_assertions)]
    let tasks = tasks.enumerate().map(|(number, task)| {
        assert!(number < MOST, "more than {MOST}");
        task
    });
    let placed = tasks.zip(&mut ends);
    match integrity {
        Integrity::HmacMd5_96 if MOST <= GROUP => on::<Md5, MD5_WORDS, 1, GROUP>(backend, placed),
        Integrity::HmacMd5_96 => on::<Md5, MD5_WORDS, 2, MD5_LANES>(backend, placed),
        Integrity::HmacSha1_96 => on::<Sha1, SHA1_WORDS, 1, SHA1_LANES>(backend, placed),
    }
}

/// [`lanes`] on a backend.
#[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
fn on<'a: 'e, 'e, H: Kernels<N>, const N: usize, const G: usize, const W: usize>(
    backend: Backend,
    tasks: impl Iterator<Item = (Task<'a>, &'e mut MaybeUninit<End>)>,
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
        fn wide<'a: 'e, 'e, H: Kernels<N>, const N: usize, const G: usize, const W: usize>(
            backend: Backend,
            tasks: impl Iterator<Item = (Task<'a>, &'e mut MaybeUninit<End>)>,
        ) {
            lanes::<H, N, G, W>(backend, tasks, |place, message| super::ends::write::<H, N>(place, message));
        }
        if backend.kind() == Kind::Avx512 {
            // SAFETY: the backend says that the machine has the instructions.
            return unsafe { wide::<H, N, G, W>(backend, tasks) };
        }
    }
    lanes::<H, N, G, W>(backend, tasks, |place, message| {
        place.write(End::EMPTY).write::<H, N>(message, message.len())
    });
}

/// Makes the HMACs of messages, in no more than `W` lanes, which are `G` groups. Each has a place for its end.
#[inline(always)]
fn lanes<'a: 'e, 'e, H: Kernels<N>, const N: usize, const G: usize, const W: usize>(
    backend: Backend,
    mut tasks: impl Iterator<Item = (Task<'a>, &'e mut MaybeUninit<End>)>,
    write_end: impl Fn(&'e mut MaybeUninit<End>, &[u8]) -> &'e [[u8; BLOCK]],
) {
    let kernels = H::of(backend);
    let kernels = &kernels[..kernels.iter().take_while(|kernel| kernel.lanes <= W).count()];
    let widest = kernels.last().map_or(1, |kernel| kernel.lanes);
    let mut states = States::<N, G>::new();
    // What is left of the message in a lane, and what is to be done then.
    let mut data = [Blocks::NONE; W];
    let mut open: [Option<(&Mac, &mut [u8; ICV])>; W] = [const { None }; W];
    let mut active = 0;
    // Made where it is needed: most often all messages end together.
    let mut hashed: Option<Hashed<'a, N, G, W>> = None;
    loop {
        while active < widest
            && let Some((Task { mac, message, icv }, end)) = tasks.next()
        {
            states.set(active, mac.inner());
            data[active] = Blocks::new(message.as_chunks().0, write_end(end, message));
            open[active] = Some((mac, icv));
            active += 1;
        }
        if active == 0 {
            break;
        }
        let shortest = data[..active].iter().map(Blocks::len).min().unwrap_or(0);
        let kernel = best(kernels, active, shortest);
        let used = kernel.lanes.min(active);
        // Any blocks will do for lanes that are not in use, but those that are looked up like the others cost least.
        let first = data[0];
        data[used..kernel.lanes].fill(first);
        let lens = data[..used].iter().map(Blocks::len);
        let (count, longest) =
            lens.fold((usize::MAX, 0), |(least, most), len| (least.min(len), most.max(len)));
        if count == longest && used == active {
            // All end together: their outer hashes follow at once.
            let mut outers = States::<N, G>::new();
            for (lane, open) in open[..active].iter().enumerate() {
                if let Some((mac, _)) = open {
                    outers.set(lane, mac.outer());
                }
            }
            (kernel.compress)(&mut states.0, &data, count, Some(&outers.0));
            for (lane, open) in open[..active].iter_mut().enumerate() {
                if let Some((_, icv)) = open.take() {
                    *icv = H::icv(states.of(lane));
                }
            }
            active = 0;
            continue;
        }
        (kernel.compress)(&mut states.0, &data, count, None);
        // From the last: a lane that ends is then most often the last that is active, and no other has to take its place.
        for lane in (0..used).rev() {
            data[lane].go_on(count);
            if data[lane].len() > 0 {
                continue;
            }
            if let Some((mac, icv)) = open[lane].take() {
                hashed.get_or_insert_with(Hashed::new).push::<H>(kernels, &states.of(lane), mac, icv);
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
    icvs: [Option<&'a mut [u8; ICV]>; W],
    len: usize,
}

impl<'a, const N: usize, const G: usize, const W: usize> Hashed<'a, N, G, W> {
    fn new() -> Self {
        Self { digests: States::new(), outers: States::new(), icvs: [const { None }; W], len: 0 }
    }

    /// Adds a message. Where as many are there as a kernel has lanes, their outer hashes are made.
    #[inline]
    fn push<H: Kernels<N>>(
        &mut self,
        kernels: &[Kernel<N>],
        digest: &[u32],
        mac: &Mac,
        icv: &'a mut [u8; ICV],
    ) {
        self.digests.set(self.len, digest);
        self.outers.set(self.len, mac.outer());
        self.icvs[self.len] = Some(icv);
        self.len += 1;
        if kernels.last().is_none_or(|kernel| self.len >= kernel.lanes) {
            self.outer_hashes::<H>(kernels);
        }
    }

    fn outer_hashes<H: Kernels<N>>(&mut self, kernels: &[Kernel<N>]) {
        let kernel = kernels.iter().find(|kernel| self.len <= kernel.lanes).unwrap_or(&kernels[0]);
        (kernel.compress)(&mut self.digests.0, &[Blocks::NONE; W], 0, Some(&self.outers.0));
        for (lane, icv) in self.icvs.iter_mut().enumerate().take(self.len) {
            if let Some(icv) = icv.take() {
                *icv = H::icv(self.digests.of(lane));
            }
        }
        self.len = 0;
    }
}

/// Whether messages are hashed sooner side by side than one after the other.
#[inline]
pub(crate) fn gains(backend: Backend, integrity: Integrity) -> bool {
    // One message alone keeps those processors about as busy as four do; measured where they have instructions for SHA-1.
    !(backend == Backend::PORTABLE && integrity == Integrity::HmacSha1_96 && is_intel())
}

/// The kernel that costs least for a block of a lane that is in use, over so many blocks. Lanes that it has no room for wait.
#[inline]
fn best<const N: usize>(kernels: &[Kernel<N>], active: usize, count: usize) -> &Kernel<N> {
    let intel = is_intel();
    let cost = |kernel: &Kernel<N>| kernel.cost.of(intel, count);
    let mut best = &kernels[0];
    for kernel in kernels {
        if cost(kernel) * best.lanes.min(active) <= cost(best) * kernel.lanes.min(active) {
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
        for backend in Backend::available() {
            // The end begins elsewhere in each lane; behind as many blocks as all have before that.
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
                            "{backend}, {count} blocks, outer {with_outers}, lane {lane} of {}",
                            kernel.lanes
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_takes_in_what_its_portable_twin_does() {
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

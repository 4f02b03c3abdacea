//! HMACs over lanes on x86-64: the kernels of each kind of vectors.

use core::mem::MaybeUninit;

use super::detect::{Kind, Vectors, is_intel};
#[cfg(feature = "hmac-md5-96")]
use super::md5;
use super::{padding, sha_ni, sha1};
use crate::kernels::SHA1_WORDS;
use crate::kernels::family::{Hash, Sha1};
use crate::kernels::hmac_lanes::{HmacTask, schedule as schedule_on};
use crate::kernels::kernel::{Cost, Kernel, streams};
use crate::kernels::padding::Final;
use crate::kernels::state::{Blocks, Group};
#[cfg(feature = "hmac-md5-96")]
use crate::kernels::{MD5_WORDS, family::Md5, md5::crate_one as md5_one};

/// A kernel that needs the instructions of its vectors.
macro_rules! vectors {
    ($lanes:literal, $call:literal + $block:literal $(| $intel:literal)?, $compress:expr) => {
        Kernel {
            lanes: $lanes,
            cost: Cost { call: $call, block: $block, block_intel: [$($intel,)? $block][0] },
            #[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
            compress: |states, data, count, outers| {
                // SAFETY: `Vectors` are a proof that the machine has the instructions, and the
                // tables below give out only kernels for theirs.
                unsafe { $compress(states, data, count, outers) }
            },
        }
    };
}

/// SHA-NI, interleaved over `L` streams.
#[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
fn sha1_ni<const L: usize>(states: &mut [Group<SHA1_WORDS>], data: &[Blocks<'_>], count: usize) {
    // SAFETY: `Vectors` are a proof that the machine has the instructions.
    unsafe { sha_ni::streams::<L>(states, data, count) }
}

static SHA1_AVX2: [Kernel<SHA1_WORDS>; 4] = [
    streams!(Sha1, 1, 30 + 122, sha1_ni::<1>),
    streams!(Sha1, 2, 30 + 130 | 197, sha1_ni::<2>),
    streams!(Sha1, 4, 30 + 205 | 450, sha1_ni::<4>),
    vectors!(8, 40 + 420 | 530, sha1::avx2_eight),
];
#[cfg(feature = "hmac-md5-96")]
static MD5_AVX2: [Kernel<MD5_WORDS>; 4] = [
    streams!(Md5, 1, 30 + 380, md5_one),
    vectors!(8, 150 + 375, md5::avx2_eight),
    vectors!(16, 110 + 525, md5::avx2_sixteen),
    vectors!(16, 220 + 445, md5::avx2_sixteen_ahead),
];
static SHA1_AVX512: [Kernel<SHA1_WORDS>; 5] = [
    streams!(Sha1, 1, 30 + 122, sha1_ni::<1>),
    streams!(Sha1, 2, 30 + 130 | 197, sha1_ni::<2>),
    streams!(Sha1, 4, 30 + 205 | 450, sha1_ni::<4>),
    vectors!(8, 60 + 280 | 290, sha1::avx512_eight),
    vectors!(16, 100 + 490 | 455, sha1::avx512_sixteen),
];
#[cfg(feature = "hmac-md5-96")]
static MD5_AVX512: [Kernel<MD5_WORDS>; 5] = [
    streams!(Md5, 1, 30 + 380, md5_one),
    vectors!(8, 150 + 335, md5::avx512_eight),
    vectors!(16, 40 + 415, md5::avx512_sixteen),
    vectors!(16, 220 + 375, md5::avx512_sixteen_ahead),
    // A block takes 520. But where not all lanes are in use, those that are left run empty earlier.
    vectors!(32, 440 + 560, md5::avx512_thirty_two_ahead),
];
#[cfg(feature = "hmac-md5-96")]
static MD5_AVX512_WHOLE: [Kernel<MD5_WORDS>; 4] = [
    streams!(Md5, 1, 30 + 380, md5_one),
    vectors!(8, 20 + 280, md5::avx512_eight),
    vectors!(16, 40 + 370, md5::avx512_sixteen),
    vectors!(16, 300 + 285, md5::avx512_whole_sixteen_ahead),
];

/// The kernels of MD5, from few lanes to many.
#[cfg(feature = "hmac-md5-96")]
pub(crate) fn md5_kernels(vectors: Vectors) -> &'static [Kernel<MD5_WORDS>] {
    match vectors.kind() {
        Kind::Avx2 => &MD5_AVX2,
        Kind::Avx512 { whole: true } => &MD5_AVX512_WHOLE,
        Kind::Avx512 { whole: false } => &MD5_AVX512,
    }
}

/// The kernels of SHA-1, from few lanes to many.
pub(crate) fn sha1_kernels(vectors: Vectors) -> &'static [Kernel<SHA1_WORDS>] {
    match vectors.kind() {
        Kind::Avx2 => &SHA1_AVX2,
        Kind::Avx512 { .. } => &SHA1_AVX512,
    }
}

/// Schedules HMACs; final blocks are written with vectors where there is AVX-512.
#[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
pub(crate) fn schedule<'a: 'e, 'e, H: Hash<N>, const N: usize, const G: usize, const W: usize>(
    vectors: Vectors,
    kernels: &[Kernel<N>],
    tasks: impl Iterator<Item = (HmacTask<'a>, &'e mut MaybeUninit<Final>)>,
) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    fn wide<'a: 'e, 'e, H: Hash<N>, const N: usize, const G: usize, const W: usize>(
        kernels: (&[Kernel<N>], bool),
        tasks: impl Iterator<Item = (HmacTask<'a>, &'e mut MaybeUninit<Final>)>,
    ) {
        schedule_on::<H, N, G, W>(kernels, tasks, |room, message| padding::write::<H, N>(room, message));
    }
    let kernels = (kernels, is_intel());
    match vectors.kind() {
        // SAFETY: these vectors are a proof that the machine has the instructions.
        Kind::Avx512 { .. } => unsafe { wide::<H, N, G, W>(kernels, tasks) },
        Kind::Avx2 => schedule_on::<H, N, G, W>(kernels, tasks, |room, message| {
            room.write(Final::EMPTY).write::<H, N>(message, message.len())
        }),
    }
}

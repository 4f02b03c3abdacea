//! Many packets: those of one class are processed in parallel, the longest first.

use core::array;

use super::super::authentic::{Authentic, ICV};
use super::super::backend::Backend;
use super::super::packet::{IDS, Sealing, Verifying};
use super::cipher::Encryptor;
use super::icv::{Hmac, Mac};
use super::keys::{OpenKeys, SealKeys};
#[cfg(feature = "des-ede3-cbc")]
use crate::kernels::encrypt_des;
#[cfg(feature = "hmac-md5-96")]
use crate::kernels::md5_hmacs;
use crate::kernels::{
    CbcTask, HmacTask, Vectors, encrypt_aes, encrypt_aes_interleaved, sha1_gains, sha1_hmacs,
};
use crate::wipe::wiped_message;

/// The most packets that are processed together; arrays of this length hold what is known of them.
pub(crate) const TILE: usize = 64;
/// The number of lanes: fewer packets than a whole tile need not pay for all of it.
pub(crate) const SMALL_TILE: usize = 16;

/// Encrypts and authenticates packets.
pub(crate) fn protect_all<const N: usize>(
    backend: Backend,
    packets: &mut [Option<Sealing<'_, SealKeys>>; N],
) {
    if let [Some(packet)] = packets.as_mut_slice() {
        packet.keys.protect(packet.esp, false);
        return;
    }
    sort(packets, |packet| (packet.keys.class(), packet.esp.len()));
    let mut rest = packets.as_mut_slice();
    while let Some(first) = rest.first() {
        // Most often, all are of one class.
        let one = rest.last().is_some_and(|last| class(last) == class(first));
        let len =
            if one { rest.len() } else { rest.iter().take_while(|next| class(next) == class(first)).count() };
        let (group, others) = rest.split_at_mut(len);
        rest = others;
        encrypt(backend.vectors(), group);
        let Some(hash) = group.iter().flatten().find_map(|packet| packet.keys.kernels()).map(hash) else {
            continue;
        };
        let tasks = group.iter_mut().flatten().filter_map(|Sealing { keys, esp }| {
            let (message, hmac) = esp.split_last_chunk_mut()?;
            Some(HmacTask { keyed: keys.kernels()?.0.keyed(), message, hmac })
        });
        hmacs::<N>(backend.vectors(), hash, tasks);
    }
}

fn hash((mac, _): (&Mac, &Encryptor)) -> Hmac {
    mac.hash()
}

/// Makes the HMACs of at most `N` messages.
#[inline]
fn hmacs<'a, const N: usize>(
    vectors: Option<Vectors>,
    hash: Hmac,
    tasks: impl Iterator<Item = HmacTask<'a>>,
) {
    match hash {
        #[cfg(feature = "hmac-md5-96")]
        Hmac::Md5 => md5_hmacs::<N>(vectors, tasks),
        Hmac::Sha1 => sha1_hmacs::<N>(vectors, tasks),
    }
}

/// Packets of one class are processed in parallel.
fn class(packet: &Option<Sealing<'_, SealKeys>>) -> Option<u32> {
    packet.as_ref().map(|packet| packet.keys.class())
}

/// Encrypts packets of one class. Those that are finished are taken out.
fn encrypt(vectors: Option<Vectors>, group: &mut [Option<Sealing<'_, SealKeys>>]) {
    let Some(keys) = group.iter().flatten().next().map(|packet| packet.keys) else { return };
    if group.len() < keys.fewest_together() {
        for packet in group.iter_mut().filter_map(Option::take) {
            packet.keys.protect(packet.esp, false);
        }
        return;
    }
    let Some((_, cipher)) = keys.kernels() else { return };
    /// The work on the packets of one class.
    macro_rules! tasks {
        ($class:path) => {
            group.iter_mut().flatten().filter_map(|packet| {
                let Some((_, $class(key))) = packet.keys.kernels() else { return None };
                let (message, _) = packet.esp.split_last_chunk_mut::<ICV>()?;
                Some(CbcTask { key, data: message.get_mut(IDS..)? })
            })
        };
    }
    match cipher {
        Encryptor::Null => {}
        #[cfg(feature = "des-ede3-cbc")]
        Encryptor::DesEde3(_) => encrypt_des(vectors, tasks!(Encryptor::DesEde3)),
        Encryptor::Aes(_) => wiped_message(|| encrypt_aes_interleaved(tasks!(Encryptor::Aes))),
        Encryptor::AesKey(_) => encrypt_aes(vectors, tasks!(Encryptor::AesKey)),
    }
}

/// Compares the ICVs of packets, each in constant time.
pub(crate) fn verify_all<const N: usize>(
    backend: Backend,
    packets: &[Option<Verifying<'_, OpenKeys>>; N],
) -> [Option<Authentic>; N] {
    if N == 1 {
        return array::from_fn(|index| {
            let packet = packets.get(index)?.as_ref()?;
            packet.keys.verify(packet.esp)
        });
    }
    let vectors = backend.vectors();
    let mut made = [[0; ICV]; N];
    let mut tasks = [const { None }; N];
    for (task, (packet, hmac)) in tasks.iter_mut().zip(packets.iter().zip(&mut made)) {
        if let Some(Verifying { keys, esp }) = packet
            && let Some(mac) = batched(keys, vectors)
            && let Some((message, _)) = esp.split_last_chunk::<ICV>()
        {
            *task = Some((mac.hash(), HmacTask { keyed: mac.keyed(), message, hmac }));
        }
    }
    sort(&mut tasks, |(hash, task)| (*hash as u32, task.message.len()));
    let hash = |task: &Option<(Hmac, _)>| task.as_ref().map(|(hash, _)| *hash);
    for group in tasks.chunk_by_mut(|a, b| hash(a) == hash(b)) {
        if let Some(hash) = group.first().and_then(hash) {
            let tasks = group.iter_mut().filter_map(|task| Some(task.take()?.1));
            hmacs::<N>(vectors, hash, tasks);
        }
    }
    array::from_fn(|index| {
        let packet = packets.get(index)?.as_ref()?;
        match batched(packet.keys, vectors) {
            Some(_) => Authentic::compare(packet.esp.last_chunk()?, made.get(index)?),
            None => packet.keys.verify(packet.esp),
        }
    })
}

/// The state that makes ICVs in parallel; `None` where they are verified one by one.
#[inline]
fn batched(keys: &OpenKeys, vectors: Option<Vectors>) -> Option<&Mac> {
    keys.kernels().filter(|mac| mac.hash() != Hmac::Sha1 || sha1_gains(vectors))
}

/// Sorts by class, and the longest first; what is `None` comes last. `key` gives class and octets.
fn sort<T, const N: usize>(items: &mut [Option<T>; N], key: impl Fn(&T) -> (u32, usize)) {
    const INDEX_BITS: u32 = TILE.ilog2();
    const LENGTH_BITS: u32 = 20;
    const LONGEST: u32 = (1 << LENGTH_BITS) - 1;
    let mut keys = [u32::MAX; N];
    for (index, (to, item)) in keys.iter_mut().zip(items.iter()).enumerate() {
        if let Some((class, octets)) = item.as_ref().map(&key) {
            let shortness = LONGEST - (octets as u32).min(LONGEST);
            *to = class << (LENGTH_BITS + INDEX_BITS) | shortness << INDEX_BITS | index as u32;
        }
    }
    if !keys.is_sorted() {
        keys.sort_unstable();
        let mut sorted = [const { None }; N];
        for (to, key) in sorted.iter_mut().zip(keys) {
            *to = items.get_mut(key as usize % TILE).and_then(Option::take);
        }
        *items = sorted;
    }
}

//! The ciphers and hashes of many packets: those of a kind go side by side, and the longest first.

use core::array;

use super::cipher::Encryptor;
use super::icv::{Authentic, ICV};
pub(crate) use super::lanes::gains;
use super::lanes::{Backend, CbcTask, HashTask, encipher_aes, encipher_aes_in_turn, encipher_des, hmacs};
use super::packet::{IDS, OpenKeys, SealKeys};
use crate::algorithm::Integrity;

/// The most packets that are looked at together; arrays of so many places hold what is known of them.
pub(crate) const TILE: usize = 64;
/// As many as there are lanes: fewer packets than a whole tile need not pay for all its places.
pub(crate) const SMALL_TILE: usize = 16;

/// A packet that has been framed and shall be enciphered and authenticated.
#[derive(Debug)]
pub(crate) struct Sealing<'a> {
    pub(crate) keys: &'a SealKeys,
    pub(crate) esp: &'a mut [u8],
}

/// A packet whose ICV shall be compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verifying<'a> {
    pub(crate) keys: &'a OpenKeys,
    pub(crate) esp: &'a [u8],
}

/// Enciphers and authenticates packets.
pub(crate) fn protect_all<const N: usize>(backend: Backend, packets: &mut [Option<Sealing<'_>>; N]) {
    if let [Some(packet)] = packets.as_mut_slice() {
        packet.keys.protect(packet.esp, false);
        return;
    }
    sort(packets, |packet| (packet.keys.class(), packet.esp.len()));
    let mut rest = packets.as_mut_slice();
    while let Some(first) = rest.first() {
        // Most often all are of one class.
        let one = rest.last().is_some_and(|last| class(last) == class(first));
        let len =
            if one { rest.len() } else { rest.iter().take_while(|next| class(next) == class(first)).count() };
        let (group, others) = rest.split_at_mut(len);
        rest = others;
        encipher(backend, group);
        let Some(integrity) = group.iter().flatten().next().map(|packet| packet.keys.mac().integrity())
        else {
            continue;
        };
        let tasks = group.iter_mut().flatten().filter_map(|Sealing { keys, esp }| {
            let (message, icv) = esp.split_last_chunk_mut()?;
            Some(HashTask { mac: keys.mac(), message, icv })
        });
        hmacs::<N>(backend, integrity, tasks);
    }
}

/// Packets with the same go side by side.
fn class(packet: &Option<Sealing<'_>>) -> Option<u32> {
    packet.as_ref().map(|packet| packet.keys.class())
}

/// Enciphers packets of one class. Those that are finished are taken out.
fn encipher(backend: Backend, group: &mut [Option<Sealing<'_>>]) {
    let Some(keys) = group.iter().flatten().next().map(|packet| packet.keys) else { return };
    if group.len() < keys.fewest_together() {
        for packet in group.iter_mut().filter_map(Option::take) {
            packet.keys.protect(packet.esp, false);
        }
        return;
    }
    /// What is to be done with the packets of one class.
    macro_rules! tasks {
        ($class:path) => {
            group.iter_mut().flatten().filter_map(|packet| {
                let $class(key) = packet.keys.cipher() else { return None };
                let (message, _) = packet.esp.split_last_chunk_mut::<ICV>()?;
                Some(CbcTask { key, data: message.get_mut(IDS..)? })
            })
        };
    }
    match keys.cipher() {
        Encryptor::Null => {}
        Encryptor::DesEde3(_) => encipher_des(backend, tasks!(Encryptor::DesEde3)),
        Encryptor::Aes(_) => encipher_aes_in_turn(tasks!(Encryptor::Aes)),
        Encryptor::AesKey(_) => encipher_aes(backend, tasks!(Encryptor::AesKey)),
    }
}

/// Compares the ICVs of packets, each in constant time.
pub(crate) fn verify_all<const N: usize>(
    backend: Backend,
    packets: &[Option<Verifying<'_>>; N],
) -> [Option<Authentic>; N] {
    if N == 1 {
        return array::from_fn(|index| {
            let packet = packets.get(index)?.as_ref()?;
            packet.keys.verify(packet.esp)
        });
    }
    let mut made = [[0; ICV]; N];
    let mut tasks = [const { None }; N];
    for (task, (packet, icv)) in tasks.iter_mut().zip(packets.iter().zip(&mut made)) {
        if let Some(Verifying { keys, esp }) = packet
            && let Some((message, _)) = esp.split_last_chunk::<ICV>()
        {
            *task = Some(HashTask { mac: keys.mac(), message, icv });
        }
    }
    sort(&mut tasks, |task| (task.mac.integrity() as u32, task.message.len()));
    for group in tasks.chunk_by_mut(|a, b| integrity(a) == integrity(b)) {
        if let Some(integrity) = group.first().and_then(integrity) {
            hmacs::<N>(backend, integrity, group.iter_mut().filter_map(Option::take));
        }
    }
    array::from_fn(|index| {
        let packet = packets.get(index)?.as_ref()?;
        Authentic::compare(packet.esp.last_chunk()?, made.get(index)?)
    })
}

/// The hash of a task.
fn integrity(task: &Option<HashTask<'_>>) -> Option<Integrity> {
    task.as_ref().map(|task| task.mac.integrity())
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

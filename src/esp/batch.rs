//! The ciphers and hashes of many packets: those of a kind go side by side, and the longest first.

use core::array;

use super::cipher::Encryptor;
use super::icv::{Authentic, ICV, Mac};
use super::lanes::{Backend, CbcTask, encipher_aes, encipher_aes_in_turn, encipher_des, hmacs};
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
    let mut order = Order::<N>::new();
    for (index, packet) in packets.iter().enumerate() {
        if let Some(packet) = packet {
            order.push(class(packet), packet.esp.len(), index);
        }
    }
    if !order.sort() {
        let mut sorted = [const { None }; N];
        for (to, index) in sorted.iter_mut().zip(order.indexes()) {
            *to = packets.get_mut(index).and_then(Option::take);
        }
        *packets = sorted;
    }
    for group in packets.chunk_by_mut(|a, b| a.as_ref().map(class) == b.as_ref().map(class)) {
        encipher(backend, group);
    }
    let icvs = icvs::<N>(backend, |index| {
        let packet = packets.get(index)?.as_ref()?;
        Some((packet.keys.mac(), packet.esp.split_last_chunk::<ICV>()?.0))
    });
    for (packet, icv) in packets.iter_mut().zip(icvs) {
        if let Some(place) = packet.as_mut().and_then(|packet| packet.esp.last_chunk_mut()) {
            *place = icv;
        }
    }
}

/// Packets with the same go side by side.
fn class(packet: &Sealing<'_>) -> u32 {
    match packet.keys.cipher() {
        Encryptor::Null => 0,
        Encryptor::DesEde3(_) => 1,
        Encryptor::Aes(_) => 2,
        Encryptor::AesRounds(_) => 3,
    }
}

/// Enciphers packets of one class. Those that are finished are taken out.
fn encipher(backend: Backend, group: &mut [Option<Sealing<'_>>]) {
    let together = group.len();
    for place in group.iter_mut() {
        if place.as_ref().is_some_and(|packet| together < packet.keys.fewest_together())
            && let Some(packet) = place.take()
        {
            packet.keys.protect(packet.esp, false);
        }
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
    match group.iter().flatten().next().map(|packet| packet.keys.cipher()) {
        None | Some(Encryptor::Null) => {}
        Some(Encryptor::DesEde3(_)) => encipher_des(backend, tasks!(Encryptor::DesEde3)),
        Some(Encryptor::Aes(_)) => encipher_aes_in_turn(tasks!(Encryptor::Aes)),
        Some(Encryptor::AesRounds(_)) => encipher_aes(backend, tasks!(Encryptor::AesRounds)),
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
    let icvs = icvs::<N>(backend, |index| {
        let packet = packets.get(index)?.as_ref()?;
        Some((packet.keys.mac(), packet.esp.split_last_chunk::<ICV>()?.0))
    });
    array::from_fn(|index| {
        let packet = packets.get(index)?.as_ref()?;
        Authentic::compare(packet.esp.last_chunk()?, icvs.get(index)?)
    })
}

/// The ICVs of messages. `message` gives them by number.
fn icvs<'a, const N: usize>(
    backend: Backend,
    message: impl Fn(usize) -> Option<(&'a Mac, &'a [u8])>,
) -> [[u8; ICV]; N] {
    let mut icvs = [[0; ICV]; N];
    let (mut md5, mut sha1) = (Order::<N>::new(), Order::<N>::new());
    for index in 0..N {
        if let Some((mac, message)) = message(index) {
            match mac.integrity() {
                Integrity::HmacMd5_96 => md5.push(0, message.len(), index),
                Integrity::HmacSha1_96 => sha1.push(0, message.len(), index),
            }
        }
    }
    for (integrity, order) in [(Integrity::HmacMd5_96, &mut md5), (Integrity::HmacSha1_96, &mut sha1)] {
        if order.len > 0 {
            order.sort();
            let tasks = order.indexes().filter_map(|index| {
                let (mac, message) = message(index)?;
                Some(mac.task(message, index))
            });
            hmacs(backend, integrity, tasks, &mut icvs);
        }
    }
    icvs
}

/// Numbers of packets in the order of their class, and the longest first.
struct Order<const N: usize> {
    keys: [u32; N],
    len: usize,
}

impl<const N: usize> Order<N> {
    fn new() -> Self {
        Self { keys: [0; N], len: 0 }
    }

    fn push(&mut self, class: u32, octets: usize, index: usize) {
        const INDEX_BITS: u32 = TILE.ilog2();
        const LENGTH_BITS: u32 = 20;
        if let Some(key) = self.keys.get_mut(self.len) {
            let shortness = (1 << LENGTH_BITS) - 1 - (octets as u32).min((1 << LENGTH_BITS) - 1);
            *key = class << (LENGTH_BITS + INDEX_BITS) | shortness << INDEX_BITS | index as u32;
            self.len += 1;
        }
    }

    /// False if they were not in order before.
    fn sort(&mut self) -> bool {
        let keys = self.keys.get_mut(..self.len).unwrap_or_default();
        let sorted = keys.is_sorted();
        if !sorted {
            keys.sort_unstable();
        }
        sorted
    }

    fn indexes(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().take(self.len).map(|key| *key as usize % TILE)
    }
}

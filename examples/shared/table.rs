//! The SAs of a capture: one name may have several, one after the other.

use std::collections::HashMap;
use std::net::IpAddr;

use etherparse::{SlicedPacket, TransportSlice};
use ipsec_3gpp::sa::{Inbound, OpenError, WindowSize};
use ipsec_3gpp::spi::Spi;
use subtle::ConstantTimeEq;

use crate::sas::Sa;

/// The SAs of a capture.
#[derive(Default)]
pub struct Table {
    entries: Vec<Entry>,
    by_name: HashMap<(Spi, IpAddr), Vec<usize>>,
    window: WindowSize,
    /// The first one that can still open packets.
    oldest: usize,
}

/// SAs that can open packets at a time: the latest.
const MOST: usize = 30_000;
/// SAs in all: what is told of them at the end is kept.
const ALL: usize = 300_000;

/// An SA, and what became of its packets.
pub struct Entry {
    /// The SA.
    pub sa: Sa,
    /// `None` once there were many newer ones.
    inbound: Option<Box<Inbound>>,
    /// Packets opened.
    pub opened: u64,
    /// Packets with a wrong ICV, while another SA of that name had the right one for none of them.
    pub wrong_icv: u64,
    /// Packets whose ICV is right, and what was decrypted makes no sense.
    pub nonsense: u64,
}

/// Why a packet did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No SA has its SPI and destination.
    NoSa,
    /// It is not whole, or its IP header is wrong.
    CutOff,
    /// Its length is not one of the suite's.
    Length,
    /// It was seen before, or is older than the replay window.
    Replayed,
    /// Its ICV is wrong.
    Icv,
    /// Its ICV is right, and its plaintext makes no sense.
    Nonsense,
    /// A dummy packet (RFC 4303 2.6).
    Dummy,
    /// Another sender or other ports than those of the SA.
    Selector,
    /// A fragment whose datagram did not become whole.
    Incomplete,
    /// The last record of the capture is cut off.
    Record,
}

impl Reason {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Reason::NoSa => "no SA has their SPI and destination",
            Reason::CutOff => "cut off, or with a wrong IP header",
            Reason::Length => "not of a length that the suite has",
            Reason::Replayed => "seen before, or older than the replay window",
            Reason::Icv => "integrity check failed: another key, or damaged",
            Reason::Nonsense => "right ICV, but the plaintext makes no sense: another encryption key",
            Reason::Dummy => "dummy packets",
            Reason::Selector => "addresses or ports that are not those of the SA",
            Reason::Incomplete => "fragments of a datagram that is not complete",
            Reason::Record => "record cut off at the end of the capture",
        }
    }
}

/// What became of a packet.
pub enum Outcome {
    /// The datagram in it, and the SA that it came over.
    Opened(Vec<u8>, usize),
    /// It did not open.
    Refused(Reason),
}

impl Table {
    /// A table whose SAs have this replay window.
    pub fn new(window: WindowSize) -> Self {
        Self { window, ..Self::default() }
    }

    /// Adds an SA; one of the same name is tried too.
    pub fn add(&mut self, sa: Sa) -> usize {
        let inbound = Some(Box::new(Inbound::new(&sa.spec(), self.window)));
        let index = self.entries.len();
        if index - self.oldest >= MOST {
            self.forget(self.oldest);
            self.oldest += 1;
        }
        self.by_name.entry(sa.name()).or_default().push(index);
        self.entries.push(Entry { sa, inbound, opened: 0, wrong_icv: 0, nonsense: 0 });
        index
    }

    fn forget(&mut self, index: usize) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.inbound = None;
        let name = entry.sa.name();
        if let Some(candidates) = self.by_name.get_mut(&name) {
            candidates.retain(|other| *other != index);
            if candidates.is_empty() {
                self.by_name.remove(&name);
            }
        }
    }

    /// Whether there is no room for more.
    pub const fn is_full(&self) -> bool {
        self.entries.len() >= ALL
    }

    /// All of them.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there is an SA of the same name and keys.
    pub fn knows(&self, sa: &Sa) -> bool {
        let of_name = self.by_name.get(&sa.name()).into_iter().flatten();
        of_name
            .filter_map(|index| self.entries.get(*index))
            .any(|entry| bool::from(entry.sa.keys.ct_eq(&sa.keys)))
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &(Spi, IpAddr)) -> bool {
        self.by_name.contains_key(name)
    }

    /// Opens an ESP packet of this name. Where several have it, the latest one that opened a packet
    /// is tried first, then the newest.
    pub fn open(&mut self, name: &(Spi, IpAddr), packet: &[u8]) -> Outcome {
        let Some(candidates) = self.by_name.get_mut(name) else { return Outcome::Refused(Reason::NoSa) };
        let mut refused = Vec::new();
        for position in (0..candidates.len()).rev() {
            let Some(&index) = candidates.get(position) else { continue };
            let Some(entry) = self.entries.get_mut(index) else { continue };
            match entry.open(packet) {
                Ok(datagram) => {
                    entry.opened += 1;
                    // It is tried first from now on.
                    candidates.remove(position);
                    candidates.push(index);
                    return Outcome::Opened(datagram, index);
                }
                Err(reason) => refused.push((index, reason)),
            }
        }
        // What got furthest says most.
        let furthest = |reason: &Reason| match reason {
            Reason::Replayed | Reason::Dummy | Reason::Selector => 3,
            Reason::Nonsense => 2,
            Reason::Icv => 1,
            _ => 0,
        };
        // Of equals, the one that was tried first.
        let said = refused.into_iter().rev().max_by_key(|(_, reason)| furthest(reason));
        let Some((index, reason)) = said else { return Outcome::Refused(Reason::NoSa) };
        if let Some(entry) = self.entries.get_mut(index) {
            entry.wrong_icv += u64::from(reason == Reason::Icv);
            entry.nonsense += u64::from(reason == Reason::Nonsense);
        }
        Outcome::Refused(reason)
    }

    /// What is wrong with the keys, where not one packet of an SA opened and the reason is one: a
    /// line for each such SA.
    pub fn wrong_keys(&self) -> Vec<(WrongKey, String)> {
        let wrong = |entry: &Entry| {
            let suite = entry.sa.keys.suite();
            let (kind, count, text) = match entry {
                Entry { opened: 1.., .. } => return None,
                Entry { nonsense: count @ 1.., .. } => (
                    WrongKey::Ck,
                    *count,
                    "the ICV is right and the plaintext is not: wrong CK, or another ealg",
                ),
                Entry { wrong_icv: count @ 1.., .. } if suite.is_gcm() => (
                    WrongKey::Ik,
                    *count,
                    "no ICV is right: wrong CK or IK, from which key and salt are made",
                ),
                Entry { wrong_icv: count @ 1.., .. } => {
                    (WrongKey::Ik, *count, "no ICV is right: wrong IK, or another alg")
                }
                _ => return None,
            };
            Some((kind, format!("{}: {count} packets, {text}", entry.sa)))
        };
        // An SA that shares its name with one that opens packets is not at fault.
        let lone = |entry: &&Entry| {
            let others = self.by_name.get(&entry.sa.name()).into_iter().flatten();
            !others.filter_map(|index| self.entries.get(*index)).any(|other| other.opened > 0)
        };
        self.entries.iter().filter(lone).filter_map(wrong).collect()
    }
}

/// Which key of AKA is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WrongKey {
    /// IK: no ICV is right.
    Ik,
    /// CK: ICVs are right, and nothing decrypts.
    Ck,
}

impl WrongKey {
    /// The exit status of a program that has opened nothing.
    pub const fn status(self) -> u8 {
        match self {
            WrongKey::Ik => 3,
            WrongKey::Ck => 4,
        }
    }
}

impl Entry {
    fn open(&mut self, packet: &[u8]) -> Result<Vec<u8>, Reason> {
        let mut buffer = vec![0; packet.len()];
        let inbound = self.inbound.as_mut().ok_or(Reason::NoSa)?;
        let opened = inbound.open(packet, &mut buffer).map_err(|error| match error {
            OpenError::Ip(_) | OpenError::NotEsp(_) => Reason::CutOff,
            OpenError::Packet(_) => Reason::Length,
            OpenError::Replay { .. } => Reason::Replayed,
            OpenError::Icv { .. } => Reason::Icv,
            OpenError::Trailer(_) => Reason::Nonsense,
            // Ports that were never right are no ports: the key is another.
            OpenError::Ports(_) if self.opened == 0 => Reason::Nonsense,
            OpenError::Dummy => Reason::Dummy,
            _ => Reason::Selector,
        })?;
        buffer.truncate(opened.range.end);
        buffer.drain(..opened.range.start);
        let datagram = buffer;
        // Where what was authenticated is the plaintext, it is what was sent.
        let suite = self.sa.keys.suite();
        let proven = !suite.encrypts() || suite.is_gcm() || self.opened > 0;
        if proven || makes_sense(&datagram) { Ok(datagram) } else { Err(Reason::Nonsense) }
    }
}

/// Whether what was decrypted is a datagram: with another key, one in some hundred trailers is
/// right by chance.
fn makes_sense(datagram: &[u8]) -> bool {
    let Ok(packet) = SlicedPacket::from_ip(datagram) else { return false };
    let len =
        packet.net.as_ref().and_then(|net| net.ip_payload_ref()).map_or(0, |payload| payload.payload.len());
    match packet.transport {
        Some(TransportSlice::Udp(udp)) => usize::from(udp.length()) == len || udp.length() == 0,
        Some(_) => true,
        None => false,
    }
}

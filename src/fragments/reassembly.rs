//! Fragments become datagrams.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::header::{Key, Piece};
use crate::address;
use crate::esp::IpError;
use crate::esp::ip::Datagram;
use crate::time::Moment;

/// What a [`Reassembly`] keeps at most. Where more comes, the oldest datagram goes: a whole one is
/// complete within milliseconds, and a flood of parts grows old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReassemblyLimits {
    /// Octets of all fragments, with what it takes to keep them.
    pub octets: usize,
    /// Incomplete datagrams.
    pub datagrams: usize,
    /// Incomplete datagrams of one source: an IPv4 address, or 64 bits of an IPv6 address.
    pub datagrams_per_source: usize,
    /// Fragments of one datagram.
    pub fragments: usize,
    /// How long a datagram may take from its first fragment on.
    pub timeout: Duration,
}

impl ReassemblyLimits {
    /// 4 MiB, 1,024 datagrams, 16 of one source, 64 fragments each, 30 s as Linux has it (RFC 8200
    /// 4.5 has 60 s).
    pub const DEFAULT: Self = Self {
        octets: 4 << 20,
        datagrams: 1024,
        datagrams_per_source: 16,
        fragments: 64,
        timeout: Duration::from_secs(30),
    };

    /// The same limits with other octets, for a small UE or a large P-CSCF.
    #[must_use]
    pub const fn with_octets(self, octets: usize) -> Self {
        Self { octets, ..self }
    }

    /// The same limits with another number of datagrams, in all and of one source.
    #[must_use]
    pub const fn with_datagrams(self, datagrams: usize, datagrams_per_source: usize) -> Self {
        Self { datagrams, datagrams_per_source, ..self }
    }

    /// The same limits with another timeout.
    #[must_use]
    pub const fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a fragment was dropped. Nothing of this belongs on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReassemblyError {
    /// The headers cannot be read.
    #[error(transparent)]
    Ip(#[from] IpError),
    /// It has no data, or not the last and of a length that is no multiple of 8 octets.
    #[error("fragment of {0} octets")]
    Length(usize),
    /// With it the datagram would be longer than an IP header can say.
    #[error("fragment up to octet {0} is too long for a datagram")]
    TooLong(usize),
    /// It overlaps another one, or contradicts where the datagram ends. All of the datagram is
    /// dropped, and what comes of it later too (RFC 5722 4, RFC 8200 4.5).
    #[error("overlapping fragments")]
    Overlap,
    /// The datagram has more fragments than [`ReassemblyLimits::fragments`], and is dropped like
    /// one with an overlap.
    #[error("more than {0} fragments")]
    TooMany(usize),
}

crate::code::codes!(ReassemblyError {
    ReassemblyError::Length(_) => "fragment-length",
    ReassemblyError::TooLong(_) => "fragment-too-long",
    ReassemblyError::Overlap => "fragment-overlap",
    ReassemblyError::TooMany(_) => "fragment-too-many",
    ;
    ReassemblyError::Ip(error) => error,
});

/// What became of a datagram that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// It is no fragment, or an atomic one (RFC 6946): it can be opened as it is.
    Whole,
    /// A fragment, and others of its datagram are missing.
    Incomplete,
    /// The last fragment that was missing: the datagram.
    Reassembled(Vec<u8>),
}

/// What a [`Reassembly`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReassemblyCounters {
    /// Datagrams reassembled.
    pub reassembled: u64,
    /// Fragments that came again, octet by octet the same.
    pub duplicates: u64,
    /// Fragments refused.
    pub refused: u64,
    /// Incomplete datagrams that ran out of time.
    pub timed_out: u64,
    /// Incomplete datagrams that gave way to others.
    pub displaced: u64,
}

/// Reassembles datagrams, each bounded in octets, number, time, and per source.
///
/// ```
/// use ipsec_3gpp::fragments::{Fragments, Reassembly, Received, ReassemblyLimits};
/// use ipsec_3gpp::Moment;
/// # let mut datagram = vec![0; 2000];
/// # let header = b"\x45\0\x07\xd0\0\0\0\0\x40\x11\x5e\xf7\x0a\0\0\x02\x0a\0\0\x01";
/// # datagram[..20].copy_from_slice(header);
/// let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT);
/// let mut fragments = Fragments::new(&datagram, 1280, 7)?;
/// let (mut fragment, now) = ([0; 1280], Moment::from_millis(0));
/// while let Some(len) = fragments.write_next(&mut fragment)? {
///     match reassembly.receive(&fragment[..len], now)? {
///         Received::Whole => unreachable!(),
///         Received::Incomplete => {}
///         Received::Reassembled(other) => assert_eq!(other[20..], datagram[20..]),
///     }
/// }
/// assert_eq!(reassembly.counters().reassembled, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reassembly {
    limits: ReassemblyLimits,
    /// The latest that was told.
    now: Moment,
    partials: BTreeMap<Key, Partial>,
    /// By the order of their first fragments.
    order: BTreeMap<u64, Key>,
    /// The numbers of the partials of each source, in their order.
    sources: BTreeMap<[u8; 8], VecDeque<u64>>,
    octets: usize,
    next_number: u64,
    counters: ReassemblyCounters,
}

/// A datagram of which fragments are missing.
#[derive(Debug)]
struct Partial {
    number: u64,
    deadline: Moment,
    /// Offset and data, in order, without overlaps.
    pieces: Vec<(usize, Box<[u8]>)>,
    /// Of the fragment at offset 0.
    headers: Option<(Datagram, Box<[u8]>)>,
    /// The length of the fragmented part; known once the last fragment is there.
    len: Option<usize>,
    /// Octets of the pieces.
    received: usize,
    /// Nothing of it is taken any more.
    is_spoiled: bool,
}

/// What it takes to keep a datagram, or a fragment, without its octets.
const OVERHEAD: usize = 64;

impl Reassembly {
    /// One that has received nothing.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            now: Moment::default(),
            partials: BTreeMap::new(),
            order: BTreeMap::new(),
            sources: BTreeMap::new(),
            octets: 0,
            next_number: 0,
            counters: ReassemblyCounters::default(),
        }
    }

    /// What it has done.
    pub const fn counters(&self) -> ReassemblyCounters {
        self.counters
    }

    /// Incomplete datagrams.
    pub fn len(&self) -> usize {
        self.partials.len()
    }

    /// Whether there are no incomplete datagrams.
    pub fn is_empty(&self) -> bool {
        self.partials.is_empty()
    }

    /// Octets that are kept, as [`ReassemblyLimits::octets`] counts them.
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// When the next incomplete datagram runs out of time.
    pub fn poll_timeout(&self) -> Option<Moment> {
        let (_, key) = self.order.first_key_value()?;
        self.partials.get(key).map(|partial| partial.deadline)
    }

    /// Drops the incomplete datagrams that have run out of time. [`Reassembly::receive`] does so
    /// too; without this, what came last keeps its memory. A clock that steps back stands still.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.now = self.now.max(now);
        while self.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            let spoiled = self.remove_oldest();
            self.counters.timed_out += u64::from(!spoiled);
        }
    }

    /// Takes a received datagram, before it is opened or asked whether it is protected.
    ///
    /// # Errors
    /// [`ReassemblyError`]: the fragment is dropped, and counted.
    pub fn receive(&mut self, packet: &[u8], now: Moment) -> Result<Received, ReassemblyError> {
        let received = match Piece::read(packet) {
            Ok(None) => return Ok(Received::Whole),
            Ok(Some(piece)) => {
                self.handle_timeout(now);
                self.receive_piece(&piece)
            }
            Err(error) => Err(error.into()),
        };
        self.counters.refused += u64::from(received.is_err());
        received
    }

    fn receive_piece(&mut self, piece: &Piece<'_>) -> Result<Received, ReassemblyError> {
        let Piece { key, datagram, data, offset, more, .. } = piece;
        if data.is_empty() || *more && !data.len().is_multiple_of(8) {
            return Err(ReassemblyError::Length(data.len()));
        }
        let end = offset + data.len();
        if end > datagram.largest_payload() {
            return Err(ReassemblyError::TooLong(end));
        }
        let number = match self.partials.get(key) {
            Some(partial) => partial.number,
            None => self.begin(*key),
        };
        let Some(partial) = self.partials.get_mut(key) else { return Ok(Received::Incomplete) };
        let before = partial.octets();
        let added = partial.add(piece, self.limits.fragments);
        self.octets = self.octets + partial.octets() - before;
        match added {
            Ok(true) => {}
            Ok(false) => self.counters.duplicates += 1,
            Err(error) => return Err(error),
        }
        if partial.is_complete() {
            let datagram = partial.datagram();
            self.remove(number);
            self.counters.reassembled += u64::from(datagram.is_some());
            return datagram.map(Received::Reassembled).ok_or(ReassemblyError::TooLong(end));
        }
        // If it is the last one left, it goes itself.
        while self.octets > self.limits.octets && !self.is_empty() {
            self.displace_oldest();
        }
        Ok(Received::Incomplete)
    }

    /// Makes room for one more datagram.
    fn begin(&mut self, key: Key) -> u64 {
        let source = address::subscriber(key.source);
        let of_source = |all: &Self| all.sources.get(&source).map_or(0, VecDeque::len);
        while of_source(self) >= self.limits.datagrams_per_source.max(1) {
            let Some(oldest) = self.sources.get(&source).and_then(|numbers| numbers.front().copied()) else {
                break;
            };
            self.remove(oldest);
            self.counters.displaced += 1;
        }
        while self.partials.len() >= self.limits.datagrams.max(1) {
            self.displace_oldest();
        }
        let number = self.next_number;
        self.next_number += 1;
        let partial = Partial {
            number,
            deadline: self.now + self.limits.timeout,
            pieces: Vec::new(),
            headers: None,
            len: None,
            received: 0,
            is_spoiled: false,
        };
        self.octets += partial.octets();
        self.partials.insert(key, partial);
        self.order.insert(number, key);
        self.sources.entry(source).or_default().push_back(number);
        number
    }

    fn displace_oldest(&mut self) {
        self.remove_oldest();
        self.counters.displaced += 1;
    }

    /// Whether the one that was removed was spoiled.
    fn remove_oldest(&mut self) -> bool {
        let oldest = self.order.first_key_value().map(|(number, _)| *number);
        oldest.is_some_and(|number| self.remove(number))
    }

    /// Whether it was spoiled.
    fn remove(&mut self, number: u64) -> bool {
        let Some(key) = self.order.remove(&number) else { return false };
        let source = address::subscriber(key.source);
        if let Some(numbers) = self.sources.get_mut(&source) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.sources.remove(&source);
            }
        }
        let Some(partial) = self.partials.remove(&key) else { return false };
        self.octets -= partial.octets();
        partial.is_spoiled
    }
}

impl Partial {
    /// As [`ReassemblyLimits::octets`] counts them.
    fn octets(&self) -> usize {
        let headers = self.headers.as_ref().map_or(0, |(_, headers)| headers.len());
        OVERHEAD * (4 + self.pieces.len()) + headers + self.received
    }

    /// Adds a piece; false if it is there already.
    fn add(&mut self, piece: &Piece<'_>, most: usize) -> Result<bool, ReassemblyError> {
        if self.is_spoiled {
            return Err(ReassemblyError::Overlap);
        }
        let (offset, end) = (piece.offset, piece.offset + piece.data.len());
        let index = self.pieces.partition_point(|(other, _)| *other < offset);
        let next = self.pieces.get(index);
        if next.is_some_and(|(other, data)| *other == offset && **data == *piece.data)
            && piece.more == (self.len != Some(end))
        {
            return Ok(false);
        }
        let before = index.checked_sub(1).and_then(|index| self.pieces.get(index));
        let overlaps = before.is_some_and(|(other, data)| other + data.len() > offset)
            || next.is_some_and(|(other, _)| *other < end);
        // The end is known by the last one, and nothing is after it.
        let contradicts = match self.len {
            Some(len) => !piece.more || end > len,
            None => !piece.more && self.pieces.last().is_some_and(|(other, data)| other + data.len() > end),
        };
        if overlaps || contradicts {
            return Err(self.spoil(ReassemblyError::Overlap));
        }
        if self.pieces.len() >= most {
            return Err(self.spoil(ReassemblyError::TooMany(most)));
        }
        if offset == 0 {
            self.headers = Some((piece.datagram, piece.headers.into()));
        }
        if !piece.more {
            self.len = Some(end);
        }
        self.received += piece.data.len();
        self.pieces.insert(index, (offset, piece.data.into()));
        Ok(true)
    }

    /// Forgets all but that nothing of it is taken any more.
    fn spoil(&mut self, error: ReassemblyError) -> ReassemblyError {
        (self.pieces, self.headers, self.received) = (Vec::new(), None, 0);
        self.is_spoiled = true;
        error
    }

    fn is_complete(&self) -> bool {
        self.len == Some(self.received)
    }

    /// The headers of the first fragment, and all data. `None` if it is too long for its headers.
    fn datagram(&self) -> Option<Vec<u8>> {
        let (datagram, headers) = self.headers.as_ref()?;
        let mut whole = Vec::with_capacity(headers.len() + self.received);
        whole.extend_from_slice(headers);
        datagram.make_whole(&mut whole, self.received)?;
        self.pieces.iter().for_each(|(_, data)| whole.extend_from_slice(data));
        Some(whole)
    }
}

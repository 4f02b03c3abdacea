//! The security association database: every SA of one node or core, found by SPI or by selector in O(1).

mod batch;

use core::hash::BuildHasher;
use core::net::IpAddr;
use core::ops::Range;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::batch::{OpenJob, SealJob, open_all, seal_all};
use super::inbound::{Inbound, InboundCounters, OpenError, Opened, SelectorCheck, read};
use super::outbound::{Limits, Outbound, OutboundCounters, SealError, Sealed};
use super::replay::WindowSize;
use super::selector::{Selector, Wire};
use super::set::{Ends, SaName, SaSet, SaSpec, Side};
use crate::esp::ip::Datagram;
use crate::esp::{Backend, IpError, ids};
use crate::index::Index;
use crate::slab::{Place, Slab, Slotted, WithLine};
use crate::spi::Spi;

/// The SAs of a node: inbound ones by SPI and destination, outbound ones by selector. Nothing passes without one.
///
/// Sealing and opening allocate nothing; installing does.
#[derive(Debug, Default)]
pub struct Sad {
    window: WindowSize,
    check: SelectorCheck,
    backend: Backend,
    inbound: Slab<Inbound>,
    outbound: Slab<Outbound>,
    /// Slots of inbound SAs by SPI and destination. The SA itself is the key: it is looked at next anyway.
    by_spi: Index,
    /// Slots of outbound SAs by selector.
    by_selector: Index,
    /// Slots of outbound SAs by the address and port that they send to.
    by_remote: HashTable<u32>,
    /// How many SAs have a protected port here, by address and port: few, even with a million SAs.
    local: HashMap<(IpAddr, u16), usize>,
    hasher: DefaultHashBuilder,
    counters: SadCounters,
}

/// Six lines of 64 octets, and not sometimes seven.
impl Slotted for Inbound {
    type Begins = WithLine;
}

/// Three lines, and not sometimes four.
impl Slotted for Outbound {
    type Begins = WithLine;
}

/// An inbound SA in a [`Sad`]. No other ever has the same, not even after this one is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InboundId(Place);

/// An outbound SA in a [`Sad`]. No other ever has the same, not even after this one is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutboundId(Place);

/// The SAs of one set that are in a [`Sad`]: two that it receives over and two that it sends over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstalledSet {
    inbound: [InboundId; 2],
    outbound: [OutboundId; 2],
}

impl InstalledSet {
    /// The SAs that this side receives over, at its client and at its server port, the order being that of [`SaName::ALL`].
    pub const fn inbound(&self) -> [InboundId; 2] {
        self.inbound
    }

    /// The SAs that this side sends over.
    pub const fn outbound(&self) -> [OutboundId; 2] {
        self.outbound
    }
}

/// What a [`Sad`] refused before it had an SA to blame. Each SA counts what concerns itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SadCounters {
    /// Received datagrams that cannot be read.
    pub malformed: u64,
    /// Received fragments: reassembly comes first.
    pub fragments: u64,
    /// Received datagrams that are not ESP.
    pub not_esp: u64,
    /// Received packets of an SPI and destination that no SA has.
    pub no_inbound_sa: u64,
    /// Datagrams to be sent that no SA is for, or that cannot be read.
    pub no_outbound_sa: u64,
}

/// Why SAs were not installed. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// An SA with this SPI and destination is there.
    #[error("SPI {spi} is in use at {destination}")]
    SpiInUse {
        /// The SPI.
        spi: Spi,
        /// The destination.
        destination: IpAddr,
    },
    /// An outbound SA for this traffic is there (TS 33.203 7.1 rule 3: the pair of address and port must be new).
    #[error("an SA for {0} is there")]
    SelectorInUse(Selector),
    /// There is no room for more: 2^32 SAs.
    #[error("the table of SAs is full")]
    Full,
}

/// A packet that was opened, and over which SA it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Arrived {
    /// The SA: what the identity of the sender and the verdict on its protection rest on.
    pub sa: InboundId,
    /// The packet.
    pub opened: Opened,
}

impl Sad {
    /// An empty table with windows of 64 packets and strict selectors.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty table whose inbound SAs get this window and this selector check.
    pub fn with(window: WindowSize, check: SelectorCheck) -> Self {
        Self { window, check, ..Self::default() }
    }

    /// The same table with another backend for its SAs. Those that are in it already keep theirs; both open and seal the
    /// same packets.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// The code that opens and seals the packets of SAs that are installed from now on, and batches.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Makes room in the look-up tables for so many more sets, so that growing them does not fall into the time of a
    /// registration. Where there is not so much memory, nothing happens.
    pub fn reserve(&mut self, sets: usize) {
        let sas = sets.saturating_mul(2);
        self.by_spi.reserve(sas);
        self.by_selector.reserve(sas);
    }

    /// The number of SAs, both directions together.
    pub fn len(&self) -> usize {
        self.by_spi.len() + self.by_selector.len()
    }

    /// Whether there is no SA.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was refused before an SA was found.
    pub const fn counters(&self) -> SadCounters {
        self.counters
    }

    /// Installs the four SAs of a set, as one end has them: all of them or none.
    ///
    /// # Errors
    /// [`InstallError`]; nothing has changed.
    pub fn install(&mut self, set: &SaSet, side: Side) -> Result<InstalledSet, InstallError> {
        let (inbound, outbound) = SaName::of(side);
        let inbound = inbound.map(|name| set.sa(name));
        let outbound = outbound.map(|name| set.sa(name));
        inbound.iter().try_for_each(|spec| self.admits_inbound(spec).map(drop))?;
        outbound.iter().try_for_each(|spec| self.admits_outbound(spec).map(drop))?;
        let ([first, second], [third, fourth]) = (inbound, outbound);
        Ok(InstalledSet {
            inbound: [self.add_inbound(&first)?, self.add_inbound(&second)?],
            outbound: [self.add_outbound(&third)?, self.add_outbound(&fourth)?],
        })
    }

    /// Removes the SAs of a set. False if some of them were not there; the others are removed all the same.
    pub fn remove(&mut self, set: &InstalledSet) -> bool {
        let inbound = set.inbound.map(|id| self.remove_inbound(id).is_some());
        let outbound = set.outbound.map(|id| self.remove_outbound(id).is_some());
        inbound.into_iter().chain(outbound).all(|removed| removed)
    }

    /// Adds one inbound SA.
    ///
    /// # Errors
    /// [`InstallError::SpiInUse`] and [`InstallError::Full`]; nothing has changed.
    pub fn add_inbound(&mut self, spec: &SaSpec<'_>) -> Result<InboundId, InstallError> {
        let hash = self.admits_inbound(spec)?;
        let sa = Inbound::with_backend(spec, self.window, self.backend).checking(self.check);
        let id = self.inbound.insert(sa).ok_or(InstallError::Full)?;
        self.by_spi.insert(hash, id.slot);
        self.count_local(spec.selector.destination_end(), true);
        Ok(InboundId(id))
    }

    /// Adds one outbound SA.
    ///
    /// # Errors
    /// [`InstallError::SelectorInUse`] and [`InstallError::Full`]; nothing has changed.
    pub fn add_outbound(&mut self, spec: &SaSpec<'_>) -> Result<OutboundId, InstallError> {
        let hash = self.admits_outbound(spec)?;
        let id =
            self.outbound.insert(Outbound::with_backend(spec, self.backend)).ok_or(InstallError::Full)?;
        let Self { outbound, by_selector, by_remote, hasher, .. } = self;
        by_selector.insert(hash, id.slot);
        if let Some(remote) = spec.selector.destination_end() {
            let hash =
                |slot: &u32| outbound.peek(*slot).map_or(0, |sa| hash_of_remote(hasher, &sa.selector()));
            by_remote.insert_unique(hasher.hash_one(remote), id.slot, hash);
        }
        self.count_local(spec.selector.source_end(), true);
        Ok(OutboundId(id))
    }

    /// Returns what the SA will be found by.
    fn admits_inbound(&self, spec: &SaSpec<'_>) -> Result<u64, InstallError> {
        let (spi, destination) = (spec.spi, spec.selector.destination);
        let hash = hash_of(&self.hasher, spi.value(), destination);
        if self.inbound_slot(hash, spi.value(), destination).is_some() {
            Err(InstallError::SpiInUse { spi, destination })
        } else if self.inbound.is_full() {
            Err(InstallError::Full)
        } else {
            Ok(hash)
        }
    }

    /// Returns what the SA will be found by.
    fn admits_outbound(&self, spec: &SaSpec<'_>) -> Result<u64, InstallError> {
        let wire = Wire::new(&spec.selector);
        let hash = self.hasher.hash_one(wire);
        if self.exact_slot(hash, &wire).is_some() {
            Err(InstallError::SelectorInUse(spec.selector))
        } else if self.outbound.is_full() {
            Err(InstallError::Full)
        } else {
            Ok(hash)
        }
    }

    /// Removes whichever SAs of a set are here, as one end has them, and returns how many there were. An SA of another
    /// set with the same ports stays: it has another SPI.
    pub fn remove_ends(&mut self, ends: &Ends, side: Side) -> usize {
        let (inbound, outbound) = self.of_ends(ends, side);
        let inbound = inbound.into_iter().flatten().filter(|id| self.remove_inbound(*id).is_some()).count();
        inbound + outbound.into_iter().flatten().filter(|id| self.remove_outbound(*id).is_some()).count()
    }

    /// Whether all four SAs of a set are here, as one end has them.
    pub fn holds(&self, ends: &Ends, side: Side) -> bool {
        let (inbound, outbound) = self.of_ends(ends, side);
        inbound.iter().all(Option::is_some) && outbound.iter().all(Option::is_some)
    }

    fn of_ends(&self, ends: &Ends, side: Side) -> ([Option<InboundId>; 2], [Option<OutboundId>; 2]) {
        let (inbound, outbound) = SaName::of(side);
        let inbound = inbound.map(|name| {
            let (spi, selector) = ends.sa(name);
            self.find_inbound(spi, selector.destination)
        });
        let outbound = outbound.map(|name| {
            let (spi, selector) = ends.sa(name);
            let wire = Wire::new(&selector);
            let id = OutboundId(self.outbound.id(self.exact_slot(self.hasher.hash_one(wire), &wire)?)?);
            self.outbound(id).is_some_and(|sa| sa.spi() == spi).then_some(id)
        });
        (inbound, outbound)
    }

    /// SPI and destination of every SA that is here, in no particular order.
    pub fn held(&self) -> impl Iterator<Item = (Spi, IpAddr)> {
        let inbound = self.inbound.iter().map(|sa| (sa.spi(), sa.selector().destination));
        inbound.chain(self.outbound.iter().map(|sa| (sa.spi(), sa.selector().destination)))
    }

    /// Removes one inbound SA and returns what it has done; `None` if it is not there.
    pub fn remove_inbound(&mut self, id: InboundId) -> Option<InboundCounters> {
        let sa = self.inbound.get(id.0)?;
        let (counters, hash) = (sa.counters(), hash_of_inbound(&self.hasher, sa));
        let local = sa.selector().destination_end();
        self.by_spi.remove(hash, id.0.slot);
        self.count_local(local, false);
        self.inbound.remove(id.0).then_some(counters)
    }

    /// Removes one outbound SA and returns what it has done; `None` if it is not there.
    pub fn remove_outbound(&mut self, id: OutboundId) -> Option<OutboundCounters> {
        let sa = self.outbound.get(id.0)?;
        let (counters, selector) = (sa.counters(), sa.selector());
        let hash = self.hasher.hash_one(sa.wire());
        if let Ok(entry) =
            self.by_remote.find_entry(hash_of_remote(&self.hasher, &selector), |slot| *slot == id.0.slot)
        {
            entry.remove();
        }
        self.by_selector.remove(hash, id.0.slot);
        self.count_local(selector.source_end(), false);
        self.outbound.remove(id.0).then_some(counters)
    }

    /// An inbound SA.
    pub fn inbound(&self, id: InboundId) -> Option<&Inbound> {
        self.inbound.get(id.0)
    }

    /// An outbound SA.
    pub fn outbound(&self, id: OutboundId) -> Option<&Outbound> {
        self.outbound.get(id.0)
    }

    /// Changes when an outbound SA asks to be replaced. False if it is not there.
    pub fn set_limits(&mut self, id: OutboundId, limits: Limits) -> bool {
        self.outbound.get_mut(id.0).map(|sa| sa.set_limits(limits)).is_some()
    }

    /// Goes on at a later sequence number; see [`Outbound::advance_to`]. False if the SA is not there, or numbers would
    /// be used twice.
    pub fn advance_to(&mut self, id: OutboundId, sequence: u32) -> bool {
        self.outbound.get_mut(id.0).is_some_and(|sa| sa.advance_to(sequence))
    }

    /// The inbound SA of an SPI at a destination.
    pub fn find_inbound(&self, spi: Spi, destination: IpAddr) -> Option<InboundId> {
        let hash = hash_of(&self.hasher, spi.value(), destination);
        self.inbound.id(self.inbound_slot(hash, spi.value(), destination)?).map(InboundId)
    }

    /// The outbound SA for traffic of a selector: the one with exactly these ports, or else one for any.
    pub fn find_outbound(&self, selector: &Selector) -> Option<OutboundId> {
        self.outbound.id(self.outbound_slot(&Wire::new(selector))?).map(OutboundId)
    }

    /// Opens a packet into another buffer; see [`Inbound::open`].
    ///
    /// # Errors
    /// [`OpenError`], with [`OpenError::NotEsp`] for what is not ESP and [`OpenError::NoSa`] where no SA has the
    /// SPI at this destination.
    pub fn open(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Arrived, OpenError> {
        let (datagram, slot) = self.arrive(0, packet)?;
        let (sa, id) = self.inbound.at(slot).ok_or(OpenError::NoSa(0))?;
        let opened = sa.open_parsed(&datagram, packet, out)?;
        Ok(Arrived { sa: InboundId(id), opened })
    }

    /// Opens a packet in place; see [`Inbound::open_in_place`].
    ///
    /// # Errors
    /// [`OpenError`] as for [`Sad::open`].
    pub fn open_in_place(&mut self, buffer: &mut [u8]) -> Result<Arrived, OpenError> {
        let (datagram, slot) = self.arrive(0, buffer)?;
        let (sa, id) = self.inbound.at(slot).ok_or(OpenError::NoSa(0))?;
        let opened = sa.open_parsed_in_place(&datagram, buffer)?;
        Ok(Arrived { sa: InboundId(id), opened })
    }

    /// Seals a datagram into another buffer with the SA that its addresses and ports select; see
    /// [`Outbound::seal`].
    ///
    /// # Errors
    /// [`SealError`]; with [`SealError::NoSa`] the datagram must not be sent at all.
    pub fn seal(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Sealed, SealError> {
        let (datagram, slot) = self.depart(0, packet)?;
        let (sa, _) = self.outbound.at(slot).ok_or(SealError::TooLong(0))?;
        let result = sa.seal_admitted(&datagram, packet, out);
        sa.count(result)
    }

    /// Seals the datagram at `range` of a buffer in place; see [`Outbound::seal_in_place`].
    ///
    /// # Errors
    /// [`SealError`] as for [`Sad::seal`].
    pub fn seal_in_place(&mut self, buffer: &mut [u8], range: Range<usize>) -> Result<Sealed, SealError> {
        let start = range.start;
        let (datagram, slot) = self.depart(0, buffer.get(range).unwrap_or_default())?;
        let (sa, _) = self.outbound.at(slot).ok_or(SealError::TooLong(0))?;
        let result = sa.seal_admitted_in_place(&datagram, buffer, start);
        sa.count(result)
    }

    /// Seals many datagrams, each with the SA that its addresses and ports select. What comes of each is what
    /// [`Sad::seal`] or [`Sad::seal_in_place`] would make of it, one job after the other: an SA numbers its packets in the
    /// order of the jobs. But ciphers and hashes of all run side by side, whatever their SAs, suites, lengths and families:
    /// the more jobs there are, the less each costs. Nothing is allocated; up to 48 KiB of stack are used, and 64
    /// where des-ede3-cbc is sealed. In a large table the SAs of later jobs are fetched while earlier ones are worked on.
    ///
    /// ```
    /// use ipsec_3gpp::{Sad, SealJob};
    /// # let (mut sad, datagrams): (Sad, Vec<Vec<u8>>) = (Sad::new(), vec![vec![0; 40]; 3]);
    /// let mut buffers = [[0; 1500]; 3];
    /// let mut jobs: Vec<_> =
    ///     datagrams.iter().zip(&mut buffers).map(|(datagram, out)| SealJob::new(datagram, out)).collect();
    /// sad.seal_batch(&mut jobs);
    /// for job in &jobs {
    ///     match job.packet() {
    ///         Some(packet) => { /* send it */ }
    ///         None => println!("not sent: {:?}", job.result()),
    ///     }
    /// }
    /// ```
    pub fn seal_batch(&mut self, jobs: &mut [SealJob<'_>]) {
        seal_all(self, jobs);
    }

    /// Opens many packets. What comes of each is what [`Sad::open`] or [`Sad::open_in_place`] would make of it, one job
    /// after the other: of two copies of a packet the first is delivered. See [`Sad::seal_batch`].
    pub fn open_batch(&mut self, jobs: &mut [OpenJob<'_>]) {
        open_all(self, jobs);
    }

    /// Whether a datagram in clear must not pass: it comes from or goes to a protected port, of this end or of a peer (TS
    /// 33.203 7.1), or an SA is for it whatever its ports. One that was received so must be discarded (RFC 4301 5.2), and
    /// one that is to be sent so must be sealed.
    ///
    /// # Errors
    /// [`IpError`] if the datagram cannot be read; it cannot be told then, and must not pass either.
    pub fn is_protected(&self, packet: &[u8]) -> Result<bool, IpError> {
        let datagram = Datagram::parse_plain(packet)?;
        let wire = Wire::of(&datagram, packet);
        let selector = wire.selector();
        let ends = [selector.source_end(), selector.destination_end()];
        Ok(ends.into_iter().flatten().any(|end| self.is_protected_end(end))
            || self.outbound_slot(&wire).is_some()
            || self.outbound_slot(&Wire::new(&selector.mirrored())).is_some())
    }

    fn is_protected_end(&self, end: (IpAddr, u16)) -> bool {
        let is_remote = |slot: &u32| {
            self.outbound.peek(*slot).is_some_and(|sa| sa.selector().destination_end() == Some(end))
        };
        self.local.contains_key(&end) || self.by_remote.find(self.hasher.hash_one(end), is_remote).is_some()
    }

    /// Counts an SA at a port of this end, or no more.
    fn count_local(&mut self, end: Option<(IpAddr, u16)>, more: bool) {
        let Some(end) = end else { return };
        if more {
            *self.local.entry(end).or_default() += 1;
        } else if let Some(count) = self.local.get_mut(&end) {
            *count -= 1;
            if *count == 0 {
                self.local.remove(&end);
            }
        }
    }

    /// The SA that a packet came over; `probable` is the slot where it may be: the first one, where nothing is known.
    #[inline(always)]
    fn arrive(&mut self, probable: u32, packet: &[u8]) -> Result<(Datagram, u32), OpenError> {
        let found = read(packet).and_then(|datagram| {
            let esp = datagram.payload(packet);
            let (spi, _) = ids(esp)?;
            let slot = self.arrival_slot(probable, spi, &datagram, packet).ok_or(OpenError::NoSa(spi))?;
            Ok((datagram, slot))
        });
        if let Err(error) = &found {
            let counter = match error {
                OpenError::Ip(IpError::Fragment) => &mut self.counters.fragments,
                OpenError::NotEsp(_) => &mut self.counters.not_esp,
                OpenError::NoSa(_) => &mut self.counters.no_inbound_sa,
                // Before an SA is found, nothing else can be wrong than the outside of the packet.
                OpenError::Ip(_)
                | OpenError::Packet(_)
                | OpenError::Addresses(_)
                | OpenError::Replay { .. }
                | OpenError::Icv { .. }
                | OpenError::Room { .. }
                | OpenError::Trailer(_)
                | OpenError::Dummy
                | OpenError::Ports(_) => &mut self.counters.malformed,
            };
            *counter += 1;
        }
        found
    }

    /// The SA that a datagram is to be sealed with; `probable` is the slot where it may be: the first one, where nothing is known.
    #[inline(always)]
    fn depart(&mut self, probable: u32, packet: &[u8]) -> Result<(Datagram, u32), SealError> {
        let found = Datagram::parse_plain(packet).map_err(SealError::Ip).and_then(|datagram| {
            let wire = Wire::of(&datagram, packet);
            let slot =
                self.departure_slot(probable, &wire).ok_or_else(|| SealError::NoSa(wire.selector()))?;
            Ok((datagram, slot))
        });
        self.counters.no_outbound_sa += u64::from(found.is_err());
        found
    }

    /// The slot of the SA that a datagram is to be sealed with.
    #[inline(always)]
    fn departure_slot(&self, probable: u32, wire: &Wire) -> Option<u32> {
        if self.is_of(probable, wire) { Some(probable) } else { self.outbound_slot(wire) }
    }

    #[inline]
    fn inbound_slot(&self, hash: u64, spi: u32, destination: IpAddr) -> Option<u32> {
        self.by_spi.find(hash, |slot| {
            let sa = self.inbound.peek(slot);
            sa.is_some_and(|sa| sa.spi().value() == spi && sa.selector().destination == destination)
        })
    }

    /// The slot of the SA that a packet came over.
    #[inline]
    fn arrival_slot(&self, probable: u32, spi: u32, datagram: &Datagram, packet: &[u8]) -> Option<u32> {
        let is = |slot| {
            let sa = self.inbound.peek(slot);
            sa.is_some_and(|sa| sa.spi().value() == spi && sa.wire().covers_destination(datagram, packet))
        };
        if is(probable) {
            return Some(probable);
        }
        self.by_spi.find(self.arrival_hash(spi, datagram, packet), is)
    }

    /// What the SA that a packet came over is found by.
    #[inline]
    fn arrival_hash(&self, spi: u32, datagram: &Datagram, packet: &[u8]) -> u64 {
        let (_, destination) = datagram.addresses(packet);
        hash_of(&self.hasher, spi, destination)
    }

    /// Whether the SA in a slot has exactly this selector.
    #[inline]
    fn is_of(&self, slot: u32, wire: &Wire) -> bool {
        self.outbound.peek(slot).is_some_and(|sa| sa.wire() == wire)
    }

    #[inline]
    fn exact_slot(&self, hash: u64, wire: &Wire) -> Option<u32> {
        self.by_selector.find(hash, |slot| self.is_of(slot, wire))
    }

    #[inline]
    fn outbound_slot(&self, wire: &Wire) -> Option<u32> {
        let exact = |wire: &Wire| self.exact_slot(self.hasher.hash_one(wire), wire);
        exact(wire).or_else(|| exact(&wire.any_port()))
    }
}

#[inline]
fn hash_of(hasher: &DefaultHashBuilder, spi: u32, destination: IpAddr) -> u64 {
    hasher.hash_one((spi, destination))
}

fn hash_of_remote(hasher: &DefaultHashBuilder, selector: &Selector) -> u64 {
    selector.destination_end().map_or(0, |end| hasher.hash_one(end))
}

fn hash_of_inbound(hasher: &DefaultHashBuilder, sa: &Inbound) -> u64 {
    hash_of(hasher, sa.spi().value(), sa.selector().destination)
}

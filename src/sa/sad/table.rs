//! The table itself: its SAs, how they come and go, and how they are found.

use core::fmt;
use core::hash::Hash;
use core::net::{IpAddr, SocketAddr};

use alloc::vec::Vec;

use hashbrown::HashTable;

use crate::esp::ip::Datagram;
use crate::esp::{Backend, Family, Material};
use crate::hashing::{HashSeed, Hashes, Map, shrink};
use crate::id::TableId;
use crate::index::Index;
use crate::sa::data_path::DataPath;
use crate::sa::id::{InboundId, OutboundId, SetId};
use crate::sa::inbound::{Checks, Inbound, InboundCounters};
use crate::sa::outbound::{Limits, Outbound, OutboundCounters};
use crate::sa::replay::WindowSize;
use crate::sa::selector::{Selector, Wire};
use crate::sa::set::{Ends, Overlap, SaName, SaSet, SaSpec, Side};
use crate::setup::Port;
use crate::slab::{CacheLine, Slab, Slotted};
use crate::spi::Spi;
use crate::wipe::wiped;

/// The SAs of a node: inbound ones by SPI and destination, outbound ones by selector. Nothing
/// passes without one.
///
/// Sealing and opening allocate nothing; installing does.
pub struct Sad {
    window: WindowSize,
    checks: Checks,
    pub(super) backend: Backend,
    pub(super) inbound: Slab<Inbound>,
    pub(super) outbound: Slab<Outbound>,
    /// Slots of inbound SAs by SPI and destination. The SA itself is the key: it is read next
    /// anyway.
    pub(super) by_spi: Index,
    /// Slots of the outbound SAs that send, by selector.
    pub(super) by_selector: Index,
    /// The outbound SAs of a selector where there are several: the last one sends, and when it
    /// goes the one before it does again.
    rivals: Map<Wire, Vec<u32>>,
    /// How many outbound SAs do not send.
    resting: usize,
    /// Sets over which nothing has been opened and that have not been taken into use.
    pub(super) fresh: usize,
    /// Slots of outbound SAs by the address and port that they send to.
    by_remote: HashTable<u32>,
    /// The number of SAs with a protected port here, by address and port: few entries, even with a
    /// million SAs.
    local: Map<(IpAddr, u16), usize>,
    /// The number of such ports, by address.
    local_addresses: Map<IpAddr, usize>,
    /// Ports of this side that are protected without an SA.
    own: Vec<(IpAddr, u16)>,
    pub(super) hasher: Hashes,
    pub(super) counters: SadCounters,
}

/// Always six cache lines, never seven.
impl Slotted for Inbound {
    type Alignment = CacheLine;
}

/// Always three cache lines, never four.
impl Slotted for Outbound {
    type Alignment = CacheLine;
}

/// The SAs of one set that are in a [`Sad`]: two that it receives over and two that it sends over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstalledSet {
    inbound: [InboundId; 2],
    outbound: [OutboundId; 2],
}

impl InstalledSet {
    /// The SAs that this side receives over, at its client and at its server port, the order being
    /// that of [`SaName::ALL`].
    pub const fn inbound(&self) -> [InboundId; 2] {
        self.inbound
    }

    /// The SAs that this side sends over.
    pub const fn outbound(&self) -> [OutboundId; 2] {
        self.outbound
    }
}

/// Packets that a [`Sad`] refused before an SA was found. Each SA counts its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
    /// An SA with this SPI and destination is in the table.
    #[error("SPI {spi} is already in use at {destination}")]
    SpiInUse {
        /// The SPI.
        spi: Spi,
        /// The destination.
        destination: IpAddr,
    },
    /// An outbound SA for this traffic is in the table; only a whole set may have an SA for the
    /// same ([`Overlap`]).
    #[error("selector {0} is already in use")]
    SelectorInUse(Selector),
    /// The addresses of an SA are of two families: no packet goes between them.
    #[error("address families differ: {0}")]
    Families(Selector),
    /// The table has its 2^32 SAs.
    #[error("table of SAs is full")]
    Full,
    /// A set that must be taken into use is not in the table.
    #[error("{0} is not installed")]
    NotInstalled(SetId),
}

crate::code::codes!(InstallError {
    InstallError::SpiInUse { .. } => "install-spi-in-use",
    InstallError::SelectorInUse(_) => "install-selector-in-use",
    InstallError::Families(_) => "install-families",
    InstallError::Full => "install-full",
    InstallError::NotInstalled(_) => "install-not-installed",
});

impl fmt::Debug for Sad {
    /// How many SAs there are, and what was refused: not millions of SAs, nor the seed of the
    /// hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Sad");
        fields.field("len", &self.len()).field("counters", &self.counters).finish_non_exhaustive()
    }
}

#[cfg(feature = "std")]
impl Default for Sad {
    fn default() -> Self {
        Self::new()
    }
}

/// Calls that name a set that is not in the table do nothing. Whether a set is installed is seen
/// from its SPIs, addresses and ports. A set whose outbound selectors another set has is taken into
/// use by [`DataPath::take_into_use`], or by the first packet over it that is opened.
impl DataPath for Sad {
    type Error = InstallError;

    fn install(&mut self, _: SetId, side: Side, set: &SaSet, _: Overlap) -> Result<(), InstallError> {
        if self.holds(set.ends(), side) {
            Ok(())
        } else {
            wiped(|| self.insert_set(set, side, true).map(drop))
        }
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), InstallError> {
        let (inbound, outbound) = self.of_ends(ends, side);
        match (inbound, outbound) {
            ([Some(first), Some(second)], [Some(third), Some(fourth)]) => {
                self.use_set(&InstalledSet { inbound: [first, second], outbound: [third, fourth] });
                Ok(())
            }
            _ => Err(InstallError::NotInstalled(id)),
        }
    }

    fn remove(&mut self, _: SetId, side: Side, ends: &Ends) {
        self.remove_ends(ends, side);
    }
}

impl Sad {
    /// An empty table with windows of 64 packets and strict selectors, whose hashes have a random
    /// seed. Without `std` there is no source of one: see [`Sad::seeded`].
    #[cfg(feature = "std")]
    pub fn new() -> Self {
        Self::seeded(&HashSeed::random())
    }

    /// An empty table with windows of 64 packets and strict selectors, whose hashes have this seed.
    pub fn seeded(seed: &HashSeed) -> Self {
        let hasher = seed.hashes();
        let table = TableId::draw(&hasher);
        Self {
            window: WindowSize::default(),
            checks: Checks::DEFAULT,
            backend: Backend::default(),
            inbound: Slab::new(table),
            outbound: Slab::new(table),
            by_spi: Index::default(),
            by_selector: Index::default(),
            rivals: Map::new(),
            resting: 0,
            fresh: 0,
            by_remote: HashTable::new(),
            local: Map::new(),
            local_addresses: Map::new(),
            own: Vec::new(),
            hasher,
            counters: SadCounters::default(),
        }
    }

    /// The same table; inbound SAs that are installed from now on have this replay window.
    #[must_use]
    pub fn with_window(self, window: WindowSize) -> Self {
        Self { window, ..self }
    }

    /// The same table; inbound SAs that are installed from now on have these checks.
    #[must_use]
    pub fn with_checks(self, checks: Checks) -> Self {
        Self { checks, ..self }
    }

    /// The same table; SAs that are installed from now on have this backend, and so have batches.
    /// All backends make and open the same packets.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// The same table with protected ports of this side; see [`Sad::protect`].
    #[must_use]
    pub fn with_protected(mut self, ends: impl IntoIterator<Item = SocketAddr>) -> Self {
        ends.into_iter().for_each(|end| self.protect(end));
        self
    }

    /// Protects a port of this side, whether or not an SA has it: nothing may come to it in clear,
    /// or leave from it ([`Sad::is_protected`]). A P-CSCF names its protected ports at each of its
    /// addresses before it opens its sockets; a UE names its server port, and its client ports come
    /// with each set. `::ffff:a.b.c.d` is the IPv4 address.
    pub fn protect(&mut self, end: SocketAddr) {
        let end = (end.ip().to_canonical(), end.port());
        if !self.own.contains(&end) {
            self.own.push(end);
            self.count_local(Some(end), true);
        }
    }

    /// Takes back what [`Sad::protect`] said: the port is protected only as long as an SA has it.
    /// False if it had not been named.
    pub fn unprotect(&mut self, end: SocketAddr) -> bool {
        let end = (end.ip().to_canonical(), end.port());
        let named = self.own.iter().position(|other| *other == end);
        named
            .map(|index| self.own.swap_remove(index))
            .inspect(|end| self.count_local(Some(*end), false))
            .is_some()
    }

    /// The table that the ids of its SAs name.
    pub const fn table(&self) -> TableId {
        self.inbound.table()
    }

    /// The code that opens and seals the packets of SAs that are installed from now on, and
    /// batches.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Makes room in the look-up tables for this many more sets, so that no registration waits
    /// while they grow. The room is kept when sets go. Without enough memory nothing happens.
    pub fn reserve(&mut self, sets: usize) {
        let sas = sets.saturating_mul(2);
        self.by_spi.reserve(sas);
        self.by_selector.reserve(sas);
    }

    /// The number of SAs, both directions together.
    pub fn len(&self) -> usize {
        self.by_spi.len() + self.by_selector.len() + self.resting
    }

    /// Whether there is no SA.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Packets refused before an SA was found.
    pub const fn counters(&self) -> SadCounters {
        self.counters
    }

    /// Adds the four SAs of a set, as one side has them, all or none: for those who keep sets
    /// themselves. A [`Pcscf`](crate::Pcscf) and a [`Ue`](crate::Ue) use the table as their
    /// [`DataPath`]. Where another set has the same outbound selectors, that one goes on sending
    /// until this one is taken into use: with [`Sad::use_set`], or by the first packet over it
    /// that is opened.
    ///
    /// Each SA begins with sequence number 1 and an empty window. A set that was in a table before
    /// would use its numbers and initialisation vectors a second time, and take replays: install
    /// one once, or move its SAs on with [`Sad::advance_to`] and [`Sad::advance_window_to`].
    ///
    /// # Errors
    /// [`InstallError`]; nothing has changed.
    pub fn add_set(&mut self, set: &SaSet, side: Side) -> Result<InstalledSet, InstallError> {
        wiped(|| self.insert_set(set, side, false))
    }

    /// Adds a set. A fresh one protects no port of the peer, whose end anybody can have made up,
    /// until it has been used; one whose selectors others have is fresh too.
    fn insert_set(&mut self, set: &SaSet, side: Side, is_fresh: bool) -> Result<InstalledSet, InstallError> {
        let (inbound, outbound) = SaName::of(side);
        let inbound = inbound.map(|name| set.sa(name));
        let outbound = outbound.map(|name| set.sa(name));
        inbound.iter().try_for_each(|spec| self.admits_inbound(spec).map(drop))?;
        if self.outbound.is_full() {
            return Err(InstallError::Full);
        }
        let ([first, second], [third, fourth]) = (inbound, outbound);
        self.inbound.make_room(2);
        self.outbound.make_room(2);
        let material = &Material::new(first.keys, self.backend);
        let inbound = [self.insert_inbound(&first, material)?, self.insert_inbound(&second, material)?];
        let [one, other] = inbound.map(|id| id.0.slot);
        let rests = self.resting;
        let outbound =
            [self.insert_outbound(&third, one, material)?, self.insert_outbound(&fourth, other, material)?];
        let set = InstalledSet { inbound, outbound };
        for (slot, sibling) in [(one, other), (other, one)] {
            if let Some((sa, _)) = self.inbound.at(slot) {
                (sa.is_fresh, sa.sibling) = (true, sibling);
            }
        }
        self.fresh += 1;
        // What is made known with a packet must not allocate.
        let Self { outbound: sas, by_remote, hasher, fresh, .. } = self;
        by_remote.reserve(2 * *fresh, |slot| hash_of_slot(sas, hasher, *slot));
        if !is_fresh && self.resting == rests {
            self.use_set(&set);
        }
        Ok(set)
    }

    /// From now on, traffic of the outbound selectors of a set goes over that set. False if its
    /// SAs are not in the table.
    pub fn use_set(&mut self, set: &InstalledSet) -> bool {
        let is_there = set.outbound.iter().all(|id| self.outbound(*id).is_some());
        if is_there {
            for id in set.inbound {
                self.is_used(id.0.slot);
            }
            for id in set.outbound {
                self.sends(id.0.slot);
            }
        }
        is_there
    }

    /// A packet over the fresh SA in this slot was opened: its set is used.
    #[cold]
    pub(super) fn arrived_over(&mut self, slot: u32) {
        let sibling = self.inbound.peek(slot).map(|sa| sa.sibling);
        let is_sibling = |other: &u32| self.inbound.peek(*other).is_some_and(|sa| sa.sibling == slot);
        let sibling = sibling.filter(is_sibling);
        for inbound in [Some(slot), sibling].into_iter().flatten() {
            let mirrored = self.inbound.peek(inbound).map(|sa| Wire::new(&sa.selector().mirrored()));
            let partner = mirrored.and_then(|wire| self.of_selector(&wire, |sa| sa.partner == inbound));
            if let Some(outbound) = partner {
                self.sends(outbound);
            }
            self.is_used(inbound);
        }
    }

    /// An inbound SA is not fresh any more; the set is counted once.
    fn is_used(&mut self, slot: u32) {
        let Some((sa, _)) = self.inbound.at(slot) else { return };
        let was_fresh = core::mem::replace(&mut sa.is_fresh, false);
        let sibling = sa.sibling;
        let sibling_is_fresh = self.inbound.peek(sibling).is_some_and(|sa| sa.is_fresh && sa.sibling == slot);
        if was_fresh && !sibling_is_fresh {
            self.fresh -= 1;
        }
    }

    /// An outbound SA sends from now on, and the port that it sends to is protected. Allocates
    /// nothing.
    fn sends(&mut self, slot: u32) {
        let Self { outbound, rivals, by_selector, by_remote, hasher, .. } = self;
        let Some(sa) = outbound.peek(slot) else { return };
        if !sa.is_proved
            && let Some(remote) = sa.selector().destination_end()
        {
            let hash = hasher.hash_one(&remote);
            by_remote.insert_unique(hash, slot, |slot| hash_of_slot(outbound, hasher, *slot));
        }
        if let Some(rivals) = rivals.get_mut(hasher, sa.wire())
            && let (Some(before), Some(position)) =
                (rivals.last().copied(), rivals.iter().position(|rival| *rival == slot))
        {
            rivals.remove(position);
            rivals.push(slot);
            by_selector.replace(hasher.hash_one(sa.wire()), before, slot);
            self.set_resting(before, true);
            self.set_resting(slot, false);
        }
        if let Some((sa, _)) = self.outbound.at(slot) {
            sa.is_proved = true;
        }
    }

    /// Removes the SAs that [`Sad::add_set`] added. False if some of them were not in the table;
    /// the others are removed all the same.
    pub fn remove_set(&mut self, set: &InstalledSet) -> bool {
        let inbound = set.inbound.map(|id| self.remove_inbound(id).is_some());
        let outbound = set.outbound.map(|id| self.remove_outbound(id).is_some());
        inbound.into_iter().chain(outbound).all(|removed| removed)
    }

    fn set_resting(&mut self, slot: u32, rests: bool) {
        if let Some((sa, _)) = self.outbound.at(slot) {
            sa.rests = rests;
        }
    }

    /// Adds one inbound SA.
    ///
    /// # Errors
    /// [`InstallError::SpiInUse`], [`InstallError::Families`] and [`InstallError::Full`]; nothing
    /// has changed.
    pub fn add_inbound(&mut self, spec: &SaSpec<'_>) -> Result<InboundId, InstallError> {
        self.inbound.make_room(1);
        let material = &Material::new(spec.keys, self.backend);
        wiped(|| self.insert_inbound(spec, material))
    }

    fn insert_inbound(
        &mut self,
        spec: &SaSpec<'_>,
        material: &Material<'_>,
    ) -> Result<InboundId, InstallError> {
        let hash = self.admits_inbound(spec)?;
        let sa = Inbound::of(spec, self.window, material).with_checks(self.checks);
        let id = self.inbound.insert(sa).ok_or(InstallError::Full)?;
        self.by_spi.insert(hash, id.slot);
        self.count_local(spec.selector.destination_end(), true);
        Ok(InboundId(id))
    }

    /// Adds one outbound SA.
    ///
    /// # Errors
    /// [`InstallError::SelectorInUse`], [`InstallError::Families`] and [`InstallError::Full`];
    /// nothing has changed.
    pub fn add_outbound(&mut self, spec: &SaSpec<'_>) -> Result<OutboundId, InstallError> {
        check_families(&spec.selector)?;
        let wire = Wire::new(&spec.selector);
        if self.exact_slot(self.hasher.hash_one(&wire), &wire).is_some() {
            return Err(InstallError::SelectorInUse(spec.selector));
        }
        self.outbound.make_room(1);
        let material = &Material::new(spec.keys, self.backend);
        let id = wiped(|| self.insert_outbound(spec, Outbound::ALONE, material))?;
        self.sends(id.0.slot);
        Ok(id)
    }

    /// Adds an outbound SA, which rests where there is one of the same selector.
    fn insert_outbound(
        &mut self,
        spec: &SaSpec<'_>,
        partner: u32,
        material: &Material<'_>,
    ) -> Result<OutboundId, InstallError> {
        let wire = Wire::new(&spec.selector);
        let hash = self.hasher.hash_one(&wire);
        let sends = self.exact_slot(hash, &wire);
        let mut sa = Outbound::of(spec, material);
        (sa.partner, sa.rests) = (partner, sends.is_some());
        let id = self.outbound.insert(sa).ok_or(InstallError::Full)?;
        let Self { by_selector, rivals, resting, hasher, .. } = self;
        match sends {
            None => by_selector.insert(hash, id.slot),
            Some(sends) => {
                rivals.get_or_insert(hasher, wire, || [sends].into()).insert(0, id.slot);
                *resting += 1;
            }
        }
        self.count_local(spec.selector.source_end(), true);
        Ok(OutboundId(id))
    }

    /// Returns the hash that the SA will be looked up by.
    fn admits_inbound(&self, spec: &SaSpec<'_>) -> Result<u64, InstallError> {
        check_families(&spec.selector)?;
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

    /// Removes those SAs of a set that are in the table, as one side has them, and returns how many
    /// there were. An SA of another set stays: it differs in SPI, addresses or ports.
    pub fn remove_ends(&mut self, ends: &Ends, side: Side) -> usize {
        let (inbound, outbound) = self.of_ends(ends, side);
        let outbound =
            outbound.into_iter().flatten().filter(|id| self.remove_outbound(*id).is_some()).count();
        outbound + inbound.into_iter().flatten().filter(|id| self.remove_inbound(*id).is_some()).count()
    }

    /// Whether all four SAs of a set are in the table, as one side has them.
    pub fn holds(&self, ends: &Ends, side: Side) -> bool {
        let (inbound, outbound) = self.of_ends(ends, side);
        inbound.iter().all(Option::is_some) && outbound.iter().all(Option::is_some)
    }

    fn of_ends(&self, ends: &Ends, side: Side) -> ([Option<InboundId>; 2], [Option<OutboundId>; 2]) {
        let (inbound, outbound) = SaName::of(side);
        let inbound = inbound.map(|name| {
            let (spi, selector) = ends.sa(name);
            let id = self.find_inbound(spi, selector.destination)?;
            self.inbound(id).is_some_and(|sa| sa.selector() == selector).then_some(id)
        });
        // The SA inbound between the same ports tells two outbound ones apart that have even their
        // SPI in common.
        let mut partners = inbound.into_iter();
        let outbound = outbound.map(|name| {
            let (spi, selector) = ends.sa(name);
            let partner = partners.next().flatten().map_or(Outbound::ALONE, |id: InboundId| id.0.slot);
            let slot = self.outbound_of(spi, &Wire::new(&selector), partner)?;
            self.outbound.id(slot).map(OutboundId)
        });
        (inbound, outbound)
    }

    /// The outbound SA of an SPI and selector whose partner is in this slot, or that was added
    /// alone.
    fn outbound_of(&self, spi: Spi, wire: &Wire, partner: u32) -> Option<u32> {
        let of = |partner: u32| self.of_selector(wire, |sa| sa.spi() == spi && sa.partner == partner);
        of(partner).or_else(|| of(Outbound::ALONE))
    }

    /// The first outbound SA of a selector for which this is true.
    fn of_selector(&self, wire: &Wire, is: impl Fn(&Outbound) -> bool) -> Option<u32> {
        let is = |slot: &u32| self.outbound.peek(*slot).is_some_and(&is);
        match self.rivals.get(&self.hasher, wire) {
            Some(rivals) => rivals.iter().copied().find(is),
            None => self.exact_slot(self.hasher.hash_one(wire), wire).filter(is),
        }
    }

    /// SPI and destination of every SA in the table, in no particular order.
    pub fn held(&self) -> impl Iterator<Item = (Spi, IpAddr)> {
        let inbound = self.inbound.iter().map(|sa| (sa.spi(), sa.selector().destination));
        inbound.chain(self.outbound.iter().map(|sa| (sa.spi(), sa.selector().destination)))
    }

    /// Removes one inbound SA and returns what it has done; `None` if it is not in the table.
    pub fn remove_inbound(&mut self, id: InboundId) -> Option<InboundCounters> {
        let sa = self.inbound.get(id.0)?;
        let (counters, hash) = (sa.counters(), hash_of_inbound(&self.hasher, sa));
        let selector = sa.selector();
        let (local, mirrored) = (selector.destination_end(), Wire::new(&selector.mirrored()));
        self.by_spi.remove(hash, id.0.slot);
        self.is_used(id.0.slot);
        // Its slot will be another's.
        if let Some(partner) = self.of_selector(&mirrored, |sa| sa.partner == id.0.slot)
            && let Some((partner, _)) = self.outbound.at(partner)
        {
            partner.partner = Outbound::ALONE;
        }
        self.count_local(local, false);
        self.inbound.remove(id.0).then_some(counters)
    }

    /// Removes one outbound SA and returns what it has done; `None` if it is not in the table.
    pub fn remove_outbound(&mut self, id: OutboundId) -> Option<OutboundCounters> {
        let sa = self.outbound.get(id.0)?;
        let (counters, selector) = (sa.counters(), sa.selector());
        let wire = *sa.wire();
        let hash = self.hasher.hash_one(&wire);
        if let Ok(entry) =
            self.by_remote.find_entry(hash_of_remote(&self.hasher, &selector), |slot| *slot == id.0.slot)
        {
            entry.remove();
        }
        let Self { outbound, by_remote, hasher, fresh, .. } = self;
        let reserved = by_remote.len() + 2 * *fresh;
        shrink(by_remote, reserved, |slot| hash_of_slot(outbound, hasher, *slot));
        self.remove_from_selector(hash, &wire, id.0.slot);
        self.count_local(selector.source_end(), false);
        self.outbound.remove(id.0).then_some(counters)
    }

    /// An outbound SA goes. Where others have its selector and it was the one that sends, the one
    /// before it does again.
    fn remove_from_selector(&mut self, hash: u64, wire: &Wire, slot: u32) {
        let Self { by_selector, rivals, resting, hasher, .. } = self;
        let Some(others) = rivals.get_mut(hasher, wire) else {
            by_selector.remove(hash, slot);
            return;
        };
        others.retain(|other| *other != slot);
        *resting -= 1;
        let next = others.last().copied();
        if others.len() == 1 {
            rivals.remove(hasher, wire);
        }
        if let Some(next) = next {
            // Nothing happens if it was another that sent.
            by_selector.replace(hash, slot, next);
            self.set_resting(next, false);
        }
    }

    /// An inbound SA.
    pub fn inbound(&self, id: InboundId) -> Option<&Inbound> {
        self.inbound.get(id.0)
    }

    /// An outbound SA.
    pub fn outbound(&self, id: OutboundId) -> Option<&Outbound> {
        self.outbound.get(id.0)
    }

    /// Changes when an outbound SA asks to be replaced. False if it is not in the table.
    pub fn set_limits(&mut self, id: OutboundId, limits: Limits) -> bool {
        self.outbound.get_mut(id.0).map(|sa| sa.set_limits(limits)).is_some()
    }

    /// Goes on at a later sequence number; see [`Outbound::advance_to`]. False if the SA is not in
    /// the table, or numbers would be used twice.
    pub fn advance_to(&mut self, id: OutboundId, sequence: u32) -> bool {
        self.outbound.get_mut(id.0).is_some_and(|sa| sa.advance_to(sequence))
    }

    /// Lets the replay window of an inbound SA begin at a number; see [`Inbound::advance_to`].
    /// False if the SA is not in the table, or a number as high was delivered before.
    pub fn advance_window_to(&mut self, id: InboundId, sequence: u32) -> bool {
        self.inbound.get_mut(id.0).is_some_and(|sa| sa.advance_to(sequence))
    }

    /// The inbound SA of an SPI at a destination.
    pub fn find_inbound(&self, spi: Spi, destination: IpAddr) -> Option<InboundId> {
        let hash = hash_of(&self.hasher, spi.value(), destination);
        self.inbound.id(self.inbound_slot(hash, spi.value(), destination)?).map(InboundId)
    }

    /// The outbound SA for traffic of a selector: the one with exactly these ports, or else one for
    /// any.
    pub fn find_outbound(&self, selector: &Selector) -> Option<OutboundId> {
        self.outbound.id(self.outbound_slot(&Wire::new(selector))?).map(OutboundId)
    }

    /// Whether a datagram with these addresses and ports is protected: by its end at this side, or
    /// by that at a peer that it is sent to.
    pub(super) fn is_protected_traffic(&self, selector: &Selector) -> bool {
        let (source, destination) = (selector.source_end(), selector.destination_end());
        [source, destination].into_iter().flatten().any(|end| self.local.get(&self.hasher, &end).is_some())
            || destination.is_some_and(|end| self.is_protected_at_peer(end))
    }

    fn is_protected_at_peer(&self, end: (IpAddr, u16)) -> bool {
        let is = |slot: &u32| {
            self.outbound.peek(*slot).is_some_and(|sa| sa.selector().destination_end() == Some(end))
        };
        let may_be_clear = Port::from_peer(end.1).is_ok_and(Port::is_sip);
        !may_be_clear && self.by_remote.find(self.hasher.hash_one(&end), is).is_some()
    }

    /// Whether one of two addresses is of this side and has protected ports.
    pub(super) fn has_protected_address(&self, selector: &Selector) -> bool {
        [selector.source, selector.destination]
            .iter()
            .any(|address| self.local_addresses.get(&self.hasher, address).is_some())
    }

    /// Counts one SA more, or one fewer, at a port of this side.
    fn count_local(&mut self, end: Option<(IpAddr, u16)>, more: bool) {
        let Some(end) = end else { return };
        let Self { local, local_addresses, hasher, .. } = self;
        if count_at(local, hasher, end, more) {
            count_at(local_addresses, hasher, end.0, more);
        }
    }

    #[inline]
    pub(super) fn inbound_slot(&self, hash: u64, spi: u32, destination: IpAddr) -> Option<u32> {
        self.by_spi.find(hash, |slot| {
            let sa = self.inbound.peek(slot);
            sa.is_some_and(|sa| sa.spi().value() == spi && sa.selector().destination == destination)
        })
    }

    /// The slot of the SA that a packet came over.
    #[inline]
    pub(super) fn arrival_slot(
        &self,
        probable: u32,
        spi: u32,
        datagram: &Datagram,
        packet: &[u8],
    ) -> Option<u32> {
        let is = |slot| {
            let sa = self.inbound.peek(slot);
            sa.is_some_and(|sa| sa.spi().value() == spi && sa.wire().covers_destination(datagram, packet))
        };
        if is_worth_trying(probable, self.by_spi.len()) && is(probable) {
            return Some(probable);
        }
        self.by_spi.find(self.arrival_hash(spi, datagram, packet), is)
    }

    /// The hash that the SA of a packet is looked up by.
    #[inline]
    pub(super) fn arrival_hash(&self, spi: u32, datagram: &Datagram, packet: &[u8]) -> u64 {
        let (_, destination) = datagram.addresses(packet);
        hash_of(&self.hasher, spi, destination)
    }

    /// Whether the SA in a slot sends what has exactly this selector.
    #[inline]
    pub(super) fn is_of(&self, slot: u32, wire: &Wire) -> bool {
        self.outbound.peek(slot).is_some_and(|sa| !sa.rests & (sa.wire() == wire))
    }

    #[inline]
    fn exact_slot(&self, hash: u64, wire: &Wire) -> Option<u32> {
        self.by_selector.find(hash, |slot| self.is_of(slot, wire))
    }

    #[inline]
    pub(super) fn outbound_slot(&self, wire: &Wire) -> Option<u32> {
        let exact = |wire: &Wire| self.exact_slot(self.hasher.hash_one(wire), wire);
        exact(wire).or_else(|| exact(&wire.any_port()))
    }
}

/// Whether a slot is tried before an SA is looked up. The first one is where nothing is known: in a
/// large table it is seldom right.
#[inline(always)]
pub(super) const fn is_worth_trying(probable: u32, len: usize) -> bool {
    const FEW: usize = 8;
    probable != 0 || len <= FEW
}

fn check_families(selector: &Selector) -> Result<(), InstallError> {
    let same = Family::of(selector.source) == Family::of(selector.destination);
    if same { Ok(()) } else { Err(InstallError::Families(*selector)) }
}

/// Counts one more, or one fewer, of a key. True if that was the first or the last.
fn count_at<K: Hash + Eq>(counts: &mut Map<K, usize>, hashes: &Hashes, key: K, more: bool) -> bool {
    if more {
        let count = counts.get_or_insert(hashes, key, || 0);
        *count += 1;
        return *count == 1;
    }
    let Some(count) = counts.get_mut(hashes, &key) else { return false };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        counts.remove(hashes, &key);
    }
    is_last
}

#[inline]
fn hash_of(hasher: &Hashes, spi: u32, destination: IpAddr) -> u64 {
    hasher.hash_one(&(spi, destination))
}

fn hash_of_slot(outbound: &Slab<Outbound>, hasher: &Hashes, slot: u32) -> u64 {
    outbound.peek(slot).map_or(0, |sa| hash_of_remote(hasher, &sa.selector()))
}

fn hash_of_remote(hasher: &Hashes, selector: &Selector) -> u64 {
    selector.destination_end().map_or(0, |end| hasher.hash_one(&end))
}

fn hash_of_inbound(hasher: &Hashes, sa: &Inbound) -> u64 {
    hash_of(hasher, sa.spi().value(), sa.selector().destination)
}

#[cfg(all(test, feature = "std"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may fail")]

    use super::*;
    use crate::algorithm::Suite;
    use crate::key::{Ck, Ik, SaKeys};
    use crate::sa::set::Endpoint;
    use crate::setup::{PortPair, Setup};
    use crate::spi::SpiPair;

    #[test]
    fn what_protects_ports_of_peers_shrinks_after_a_flood() {
        let mut sad = Sad::new();
        let end = |address: [u8; 4], first: u32| {
            let spi = |value| Spi::new(value).unwrap();
            let spis = SpiPair { client: spi(first), server: spi(first + 1) };
            Endpoint {
                address: address.into(),
                setup: Setup { spis, ports: PortPair::new(6101, 6100).unwrap() },
            }
        };
        let nth = |n: u32| {
            let keys =
                SaKeys::expand(Suite::HMAC_SHA_1_96_NULL, &Ck::new([1; 16]), &Ik::new([2; 16])).unwrap();
            let ue = end([10, 8, (n >> 8) as u8, n as u8], 1000 + 4 * n);
            SaSet::new(ue, end([10, 0, 0, 1], 1002 + 4 * n), keys).unwrap()
        };
        let sets: Vec<_> = (0..2000).map(|n| sad.add_set(&nth(n), Side::Pcscf).unwrap()).collect();
        assert!(sad.by_remote.len() == 4000);
        assert!(sets.iter().skip(1).all(|set| sad.remove_set(set)));
        assert_eq!(sad.by_remote.len(), 2);
        assert!(sad.by_remote.capacity() < 64, "{}", sad.by_remote.capacity());
        let first = [10, 8, 0, 0].into();
        assert!(sad.is_protected_at_peer((first, 6100)) && sad.is_protected_at_peer((first, 6101)));
        // One set is not fresh, and room is kept for those that are.
        assert_eq!((sad.fresh, sad.len()), (0, 4));
    }
}

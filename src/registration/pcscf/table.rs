//! The table itself: its contacts, how they are found by identity, SPI and port, and the one way to
//! change one.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use hashbrown::HashTable;

use super::authorization::Nonce;
use super::config::Config;
use super::contact::{Contact, Role};
use super::effects::{Counting, Done, Effects};
use super::event::{Event, Events};
use super::id::{ContactId, RequestId};
use super::identity::Identity;
use super::open::Set;
use super::quotas::Quotas;
use super::timers::Timers;
use crate::hashing::{Hashes, shrink};
use crate::id::{Id, TableId};
use crate::registration::cause::Cause;
use crate::sa::{DataPath, SetId};
use crate::setup::{Port, Setup};
use crate::slab::{Slab, Slotted};
use crate::spi::{Spi, SpiAllocator};
use crate::time::Moment;

/// Counters of a [`Pcscf`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Sets that were made.
    pub sets: u64,
    /// Sets that were removed.
    pub removed: u64,
    /// Registrations that were set up.
    pub registered: u64,
    /// Registrations that were refreshed without a challenge.
    pub refreshed: u64,
    /// REGISTER requests refused or discarded.
    pub refused: u64,
    /// Messages discarded for what they came over.
    pub discarded: u64,
    /// Times that the data path could not take a set into use.
    pub not_taken: u64,
    /// Events that were dropped because nobody polled them.
    pub events_lost: u64,
}

/// Contacts are looked at one by one: their alignment does not matter.
impl Slotted for Contact {
    type Alignment = u64;
}

/// The table of all registered contacts of a P-CSCF.
///
/// See [`registration`](crate::registration) for the contract, and the crate's front page for a run
/// loop.
pub struct Pcscf {
    pub(super) config: Config,
    pub(super) spis: SpiAllocator,
    pub(super) contacts: Slab<Contact>,
    len: u32,
    /// Contacts that room is kept for.
    reserved: usize,
    /// Contacts that are registered: those that began in clear alone do not count.
    registered: u32,
    /// By slot of the SPI, the slot of the contact.
    by_spi: Vec<u32>,
    /// By contact and IMPI.
    pub(super) by_identity: HashTable<u32>,
    /// Those that are registered, by IMPI.
    pub(super) by_impi: HashTable<u32>,
    /// By address and protected port or SPI of the UE: one for each of each set.
    by_end: HashTable<AtEnd>,
    pub(super) hasher: Hashes,
    pub(super) quotas: Quotas,
    /// Ports of earlier configurations that sets still have, and how many.
    pub(super) retired_ports: Vec<(Port, u32)>,
    /// The latest time that was told.
    pub(super) now: Moment,
    pub(super) timers: Timers,
    pub(super) events: Events,
    next_number: u64,
    pub(super) counters: Counters,
}

impl fmt::Debug for Pcscf {
    /// How many contacts there are, and what has happened: not millions of contacts, nor the seed
    /// of the hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Pcscf");
        fields.field("config", &self.config).field("len", &self.len).field("registered", &self.registered);
        fields.field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// The ports and SPIs that a set has at an address of its UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Port(Port),
    Spi(Spi),
}

/// Why a contact cannot be added: the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full(pub(super) u32);

/// A contact at an address and port or SPI, with their hash. The values are in the contact's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AtEnd {
    contact: u32,
    hash: u32,
}

impl AtEnd {
    fn hash(&self) -> u64 {
        u64::from(self.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Pcscf {
    /// An empty table. The allocator gives out the SPIs of this node: two for each set, of which a
    /// contact has up to three.
    pub fn new(config: Config, spis: SpiAllocator, now: Moment) -> Self {
        let hasher = spis.hash_seed().hashes();
        Self {
            config,
            spis,
            contacts: Slab::new(TableId::draw(&hasher)),
            len: 0,
            reserved: 0,
            registered: 0,
            by_spi: Vec::new(),
            by_identity: HashTable::new(),
            by_impi: HashTable::new(),
            by_end: HashTable::new(),
            quotas: Quotas::new(hasher.clone()),
            hasher,
            retired_ports: Vec::new(),
            now,
            timers: Timers::new(now),
            events: Events::default(),
            next_number: 0,
            counters: Counters::default(),
        }
    }

    /// Makes room in the look-up tables for this many more contacts, so that no registration waits
    /// while they grow. The room is kept when contacts go. Without enough memory nothing happens.
    pub fn reserve(&mut self, contacts: usize) {
        self.reserved = contacts.saturating_add(self.len as usize);
        let Self { contacts: known, by_identity, by_impi, by_end, hasher, .. } = self;
        let _ = by_identity.try_reserve(contacts, |slot| hash_of_slot(known, hasher, *slot));
        let _ = by_impi.try_reserve(contacts, |slot| {
            known.peek(*slot).map_or(0, |contact| hasher.hash_one(contact.identity.impi()))
        });
        let _ = by_end.try_reserve(contacts.saturating_mul(4), AtEnd::hash);
    }

    /// The table that the ids of its contacts, requests and sets name.
    pub const fn table(&self) -> TableId {
        self.contacts.table()
    }

    /// The number of contacts, registered or not.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no contact.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of contacts that are not registered: nothing but REGISTERs in clear are open.
    pub const fn unregistered(&self) -> u32 {
        self.len - self.registered
    }

    /// The number of addresses, of IPv6 the prefixes of 64 bits, at which a REGISTER in clear is
    /// open.
    pub const fn open_addresses(&self) -> u32 {
        self.quotas.addresses()
    }

    /// The counters of the table.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The SPIs.
    pub const fn spis(&self) -> &SpiAllocator {
        &self.spis
    }
}

impl Pcscf {
    /// The next thing that ended or changed. To be polled until it is `None` after each call that
    /// may have made one: what is kept for contacts, requests and sets is cleaned up with it.
    #[must_use = "what an event names is cleaned up by the caller"]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Changes one contact, and settles what follows from the change: every change goes through
    /// here. `None` if there is no such contact.
    pub(super) fn step<D: DataPath, T>(
        &mut self,
        slot: u32,
        data_path: &mut D,
        change: impl FnOnce(&mut Contact, &mut Effects<'_, D>) -> T,
    ) -> Option<T> {
        let (contact, id) = self.contacts.at(slot)?;
        let was_registered = contact.is_registered();
        let mut effects = Effects { data_path, hashes: &self.hasher, done: Done::default(), priority: false };
        let result = change(contact, &mut effects);
        let Effects { done, priority, .. } = effects;
        let is_registered = contact.is_registered();
        let stays = !contact.is_empty();
        if was_registered != is_registered {
            self.count_registered(slot, is_registered);
        }
        let ended = (was_registered && !is_registered && stays).then_some(done.cause).flatten();
        self.settle(ContactId(id), done, priority);
        if let Some(cause) = ended {
            self.events.push(Event::RegistrationEnded { contact: ContactId(id), cause });
        }
        Some(result)
    }

    /// A contact is registered from now on, or is no more.
    fn count_registered(&mut self, slot: u32, is_registered: bool) {
        let Self { contacts, by_impi, hasher, registered, .. } = self;
        let hash =
            |slot: &u32| contacts.peek(*slot).map_or(0, |contact| hasher.hash_one(contact.identity.impi()));
        if is_registered {
            *registered += 1;
            by_impi.insert_unique(hash(&slot), slot, hash);
        } else {
            *registered -= 1;
            if let Ok(entry) = by_impi.find_entry(hash(&slot), |other| *other == slot) {
                entry.remove();
            }
            shrink(by_impi, self.reserved, hash);
        }
    }

    /// Releases what ended sets had, says what ended, sets the timer again, and drops a contact
    /// that has nothing left.
    fn settle(&mut self, id: ContactId, done: Done, priority: bool) {
        let slot = id.0.slot;
        for (set, cause) in done.removed {
            let spis = set.ends.pcscf.setup.spis;
            self.spis.release(spis.client);
            self.spis.release(spis.server);
            for key in self.keys_of(slot, &set) {
                if let Ok(entry) = self.by_end.find_entry(key.hash(), |other| *other == key) {
                    entry.remove();
                }
            }
            shrink(&mut self.by_end, self.reserved.saturating_mul(4), AtEnd::hash);
            self.count_retired(&set, false);
            self.counters.removed += 1;
            self.events.push(Event::SetRemoved { contact: id, set: set.id, cause });
        }
        for number in done.forgotten {
            let request = RequestId(self.numbered(slot, number));
            self.events.push(Event::RequestForgotten { contact: id, request });
        }
        if let Some(set) = done.taken {
            self.events.push(Event::SetTakenIntoUse { contact: id, set });
        }
        let Some(contact) = self.contacts.peek(slot) else { return };
        for (source, counting) in done.counted {
            match counting {
                Counting::Began => {
                    self.quotas.began(&self.config, slot, source, contact.identity.impi(), priority)
                }
                Counting::Ended => self.quotas.ended(slot, source, contact.identity.impi()),
            }
        }
        match contact.next_deadline() {
            Some(deadline) => self.timers.set_by(slot, deadline),
            None => self.timers.cancel(slot),
        }
        if contact.is_empty() {
            let identity = contact.identity.clone();
            let hash = identity_hash(&self.hasher, &identity);
            if let Ok(entry) = self.by_identity.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
            self.len -= 1;
            self.contacts.remove(id.0);
            let Self { contacts, by_identity, hasher, reserved, .. } = self;
            shrink(by_identity, *reserved, |slot| hash_of_slot(contacts, hasher, *slot));
            let cause = done.cause.unwrap_or(Cause::Refused);
            self.events.push(Event::ContactEnded { contact: id, identity, cause });
        }
    }

    /// Adds a contact that has not registered yet. Returns its slot.
    pub(super) fn add(&mut self, identity: Identity) -> Result<u32, Full> {
        let hash = identity_hash(&self.hasher, &identity);
        let id = self.contacts.insert(Contact::new(identity)).ok_or(Full(self.len))?;
        let Self { contacts, by_identity, hasher, .. } = self;
        by_identity.insert_unique(hash, id.slot, |slot| hash_of_slot(contacts, hasher, *slot));
        self.len += 1;
        Ok(id.slot)
    }

    /// The contact of an identity, if it is in the table.
    pub(super) fn find_slot(&self, contact: &str, impi: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(&(contact, impi));
        let is = |slot: &u32| {
            self.contacts
                .peek(*slot)
                .is_some_and(|known| known.identity.contact() == contact && known.identity.impi() == impi)
        };
        self.by_identity.find(hash, is).copied()
    }

    /// The id of a request or set of this number.
    pub(super) const fn numbered(&self, slot: u32, number: u64) -> Id {
        Id { table: self.contacts.table(), slot, generation: number }
    }

    /// The slot and number of a request of this table.
    pub(super) fn request(&self, request: RequestId) -> Option<(u32, u64)> {
        let Id { table, slot, generation } = request.0;
        (table == self.table()).then_some((slot, generation))
    }

    /// The slot of a set's contact.
    pub(super) fn slot_of(&self, set: SetId) -> Option<u32> {
        let slot = set.0.slot;
        self.contacts.peek(slot)?.set(set).map(|_| slot)
    }

    pub(super) fn nonce(&self, text: &str) -> Nonce {
        Nonce::of(&self.hasher, text)
    }

    /// A number for a request or a set: never the same twice.
    pub(super) const fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// The slot of the contact that an SPI of the P-CSCF belongs to.
    pub(super) fn contact_over(&self, spi: Spi) -> Option<u32> {
        self.by_spi.get(self.spis.slot(spi)? as usize).copied()
    }

    /// The sets that have this port or SPI at this address of a UE, on whichever link if none is
    /// given. One that has two of them is there twice.
    pub(super) fn sets_at(
        &self,
        ue: IpAddr,
        scope: impl Into<Option<u32>>,
        key: Key,
    ) -> impl Iterator<Item = (u32, Role, &Set)> {
        let scope = scope.into();
        let at = self.key_at(0, ue, key);
        self.by_end.iter_hash(at.hash()).filter(move |other| other.hash == at.hash).flat_map(move |other| {
            let contact = self.contacts.peek(other.contact).into_iter();
            let sets = contact.flat_map(move |contact| contact.sets_at(ue, scope));
            sets.filter(move |(_, set)| {
                let Setup { spis, ports } = set.ends.ue.setup;
                set.ends.ue.address == ue
                    && scope.is_none_or(|scope| set.ends.scope == scope)
                    && match key {
                        Key::Port(port) => [ports.client, ports.server].contains(&port),
                        Key::Spi(spi) => [spis.client, spis.server].contains(&spi),
                    }
            })
            .map(move |(role, set)| (other.contact, role, set))
        })
    }

    fn key_at(&self, contact: u32, ue: IpAddr, key: Key) -> AtEnd {
        AtEnd { contact, hash: self.hasher.hash_one(&(ue, key)) as u32 }
    }

    fn keys_of(&self, slot: u32, set: &Set) -> [AtEnd; 4] {
        let end = &set.ends.ue;
        let Setup { spis, ports } = end.setup;
        let keys =
            [Key::Port(ports.client), Key::Port(ports.server), Key::Spi(spis.client), Key::Spi(spis.server)];
        keys.map(|key| self.key_at(slot, end.address, key))
    }

    /// Makes a new set known by its SPIs and ports.
    pub(super) fn enter(&mut self, slot: u32, set: &Set) {
        let spis = set.ends.pcscf.setup.spis;
        for spi in [spis.client, spis.server] {
            if let Some(number) = self.spis.slot(spi) {
                if self.by_spi.len() <= number as usize {
                    self.by_spi.resize(number as usize + 1, u32::MAX);
                }
                if let Some(entry) = self.by_spi.get_mut(number as usize) {
                    *entry = slot;
                }
            }
        }
        for key in self.keys_of(slot, set) {
            self.by_end.insert_unique(key.hash(), key, AtEnd::hash);
        }
        self.count_retired(set, true);
    }

    /// Counts a set that has ports of an earlier configuration.
    fn count_retired(&mut self, set: &Set, more: bool) {
        if self.retired_ports.is_empty() {
            return;
        }
        let ports = set.ends.pcscf.setup.ports;
        for (port, count) in &mut self.retired_ports {
            if *port == ports.client || *port == ports.server {
                *count = if more { *count + 1 } else { count.saturating_sub(1) };
            }
        }
        self.retired_ports.retain(|(_, count)| *count != 0);
    }
}

fn hash_of_slot(contacts: &Slab<Contact>, hasher: &Hashes, slot: u32) -> u64 {
    contacts.peek(slot).map_or(0, |contact| identity_hash(hasher, &contact.identity))
}

fn identity_hash(hasher: &Hashes, identity: &Identity) -> u64 {
    hasher.hash_one(&(identity.contact(), identity.impi()))
}

#[cfg(all(test, feature = "std"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may fail")]

    use alloc::format;

    use super::*;
    use crate::algorithm::Suite;
    use crate::policy::{Confidentiality, Policy};
    use crate::registration::{Over, Register};
    use crate::sa::Sad;
    use crate::spi::SpiSlice;

    /// Capacities of two look-up tables after a flood of REGISTERs in clear, all challenged.
    fn after_a_flood(reserved: usize) -> [usize; 2] {
        let port = |number| Port::new(number).unwrap();
        let policy = Policy::new(&[Suite::HMAC_SHA_1_96_AES_CBC], Confidentiality::Required).unwrap();
        let config = Config::new(policy, port(5100), &[5101, 5102, 5103].map(port)).unwrap();
        let config = config.with_max_addresses(10_000, 10);
        let spis = SpiAllocator::new(SpiSlice::WHOLE, 10_000, [7; 16]).unwrap();
        let now = Moment::from_millis(0);
        let (mut pcscf, mut sad) = (Pcscf::new(config, spis, now), Sad::new());
        pcscf.reserve(reserved);
        let rows =
            ["ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100"];
        for n in 0..2000_u32 {
            let from = IpAddr::from([10, 8, (n >> 8) as u8, n as u8]);
            let impi = format!("{n}@ims");
            let register = Register::new(Over::Clear, from, [10, 0, 0, 1].into(), &impi);
            let request =
                pcscf.register(now, &register.with_security_client(&rows), &mut sad).unwrap().request;
            let (ck, ik) = (crate::Ck::new([1; 16]), crate::Ik::new([2; 16]));
            let _ = pcscf.challenge(now, request, "nonce", &ck, &ik, &mut sad).unwrap();
        }
        let Pcscf { by_identity, by_end, .. } = &pcscf;
        assert!(by_identity.capacity() >= 2000 && by_end.capacity() >= 8000);
        pcscf.handle_timeout(Moment::from_millis(3_600_000), &mut sad);
        assert!(pcscf.is_empty() && sad.is_empty());
        [pcscf.by_identity.capacity(), pcscf.by_end.capacity()]
    }

    #[test]
    fn look_up_tables_shrink_after_a_flood_to_what_was_reserved() {
        let [identities, ends] = after_a_flood(0);
        assert!(identities < 64 && ends < 64, "{identities} {ends}");
        let [identities, ends] = after_a_flood(200);
        assert!((200..500).contains(&identities) && (800..2000).contains(&ends), "{identities} {ends}");
    }
}

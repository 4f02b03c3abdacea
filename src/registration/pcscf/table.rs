//! The table itself: its contacts, and how they are found by identity, SPI and port.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::IpAddr;
use core::num::NonZeroU16;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::config::Config;
use super::from_ue::{Register, RegisterError};
use crate::negotiation::pcscf::Offer;
use crate::registration::contact::{Contact, Set, Slot};
use crate::registration::identity::Identity;
use crate::registration::instruction::{Instruction, SetId};
use crate::registration::timers::Timers;
use crate::sec_agree::{PortPair, Setup};
use crate::slab::{Place, Slab, Slotted};
use crate::spi::{Spi, SpiAllocator};
use crate::time::Instant;

/// A contact in the table. No other ever has the same, not even after this one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContactId(pub(super) Place);

/// What a [`Pcscf`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

/// Wherever they may: they are looked at one by one.
impl Slotted for Contact {
    type Begins = u64;
}

/// The table of all registered contacts.
///
/// Every method that can make the data path do something puts that into a queue of instructions, to be carried out
/// before what the method answers is sent: [`Pcscf::apply`] or [`Pcscf::next_instruction`].
#[derive(Debug)]
pub struct Pcscf {
    pub(super) config: Config,
    pub(super) spis: SpiAllocator,
    pub(super) contacts: Slab<Contact>,
    pub(super) len: u32,
    /// Contacts that have never registered.
    pub(super) unregistered: u32,
    /// By slot of the SPI, the slot of the contact.
    pub(super) by_spi: Vec<u32>,
    /// By contact and IMPI.
    pub(super) by_identity: HashTable<u32>,
    /// By address and protected port or SPI of the UE: one for each of each set.
    pub(super) by_end: HashTable<AtEnd>,
    pub(super) hasher: DefaultHashBuilder,
    pub(super) timers: Timers,
    pub(super) instructions: VecDeque<Instruction>,
    pub(super) next_number: u64,
    /// The set that the data path could not install, while it is being dropped.
    pub(super) not_installed: Option<SetId>,
    /// Sets that a step has ended: kept for its memory.
    pub(super) gone: Vec<Set>,
    pub(super) counters: Counters,
}

/// What a set has at an address of its UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Port(NonZeroU16),
    Spi(Spi),
}

/// What a UE announces is in use at its address (TS 33.203 7.1, rule 3). Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InUse {
    /// Another SA has the port.
    #[error("{ue} has an SA at port {port}")]
    Port {
        /// The address.
        ue: IpAddr,
        /// The port.
        port: NonZeroU16,
    },
    /// Another SA has the SPI: the two could not be told apart.
    #[error("{ue} has an SA with SPI {spi}")]
    Spi {
        /// The address.
        ue: IpAddr,
        /// The SPI.
        spi: Spi,
    },
}

/// A contact at an address and port or SPI, with their hash: what they are is in the contact's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AtEnd {
    contact: u32,
    hash: u32,
}

impl AtEnd {
    fn hash(&self) -> u64 {
        u64::from(self.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Pcscf {
    /// An empty table. The allocator gives out the SPIs of this node; two for each set, of which a contact has up to
    /// three.
    pub fn new(config: Config, spis: SpiAllocator, now: Instant) -> Self {
        Self {
            config,
            spis,
            contacts: Slab::default(),
            len: 0,
            unregistered: 0,
            by_spi: Vec::new(),
            by_identity: HashTable::new(),
            by_end: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            timers: Timers::new(now),
            instructions: VecDeque::new(),
            next_number: 0,
            not_installed: None,
            gone: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Makes room in the look-up tables for so many more contacts, so that growing them does not fall into the time of
    /// a registration. Where there is not so much memory, nothing happens.
    pub fn reserve(&mut self, contacts: usize) {
        let Self { contacts: known, by_identity, by_end, hasher, .. } = self;
        let _ = by_identity.try_reserve(contacts, |slot| {
            known.peek(*slot).map_or(0, |contact| identity_hash(hasher, &contact.identity))
        });
        let _ = by_end.try_reserve(contacts.saturating_mul(4), AtEnd::hash);
    }

    /// The number of contacts, registered or not.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no contact.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of contacts that have never registered.
    pub const fn unregistered(&self) -> u32 {
        self.unregistered
    }

    /// What the table has done.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The SPIs.
    pub const fn spis(&self) -> &SpiAllocator {
        &self.spis
    }
}

impl Pcscf {
    /// TS 33.203 7.1, rule 3: the pair of the UE's address and its client port is new; so are its SPIs. The server port is
    /// the contact's own or new. A set that a challenge would remove does not count.
    pub(super) fn is_free(&self, offer: &Offer, contact: Option<u32>) -> Result<(), InUse> {
        let ue = offer.ue();
        let Setup { spis, ports } = ue.setup;
        for port in [ports.client, ports.server] {
            for (slot, which, set) in self.sets_at(ue.address, Key::Port(port)) {
                let own = Some(slot) == contact;
                let replaced = own && which == Slot::Temporary;
                let stays = own && port == ports.server && set.ends.ue.setup.ports.server == port;
                if !replaced && !stays {
                    return Err(InUse::Port { ue: ue.address, port });
                }
            }
        }
        for spi in [spis.client, spis.server] {
            for (slot, which, _) in self.sets_at(ue.address, Key::Spi(spi)) {
                if Some(slot) != contact || which != Slot::Temporary {
                    return Err(InUse::Spi { ue: ue.address, spi });
                }
            }
        }
        Ok(())
    }

    /// The server port, and a client port that no set of the contact has but one that a challenge removes.
    pub(super) fn next_ports(&self, slot: u32) -> PortPair {
        let in_use = |port: &NonZeroU16| {
            let mut sets = self.contacts.peek(slot).into_iter().flat_map(Contact::sets);
            sets.any(|(which, set)| which != Slot::Temporary && set.ends.pcscf.setup.ports.client == *port)
        };
        // At most two sets are not temporary, and there are three ports. Each set begins at another one, so that a UE
        // whose SAs were lost here seldom gets a port that its own still have.
        let ports = &self.config.client_ports;
        let first = usize::try_from(self.counters.sets).unwrap_or(0) % ports.len().max(1);
        let client = ports.iter().cycle().skip(first).take(ports.len()).copied().find(|port| !in_use(port));
        PortPair { client: client.unwrap_or(self.config.server_port), server: self.config.server_port }
    }

    pub(super) fn add(&mut self, register: &Register<'_>) -> Result<u32, RegisterError> {
        if self.len >= self.config.max_contacts {
            return Err(RegisterError::Full(self.len));
        }
        if self.unregistered >= self.config.max_unregistered {
            return Err(RegisterError::Full(self.unregistered));
        }
        let identity =
            Identity::new(register.contact, register.impi, register.impus).ok_or(RegisterError::Identity)?;
        let hash = identity_hash(&self.hasher, &identity);
        let place = self.contacts.insert(Contact::new(identity)).ok_or(RegisterError::Full(self.len))?;
        let Self { contacts, by_identity, hasher, .. } = self;
        by_identity.insert_unique(hash, place.slot, |slot| {
            contacts.peek(*slot).map_or(0, |contact| identity_hash(hasher, &contact.identity))
        });
        self.len += 1;
        self.unregistered += 1;
        Ok(place.slot)
    }

    /// The contact of an identity, if it is in the table.
    pub(super) fn find(&self, contact: &str, impi: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((contact, impi));
        let is = |slot: &u32| {
            self.contacts
                .peek(*slot)
                .is_some_and(|known| known.identity.contact() == contact && known.identity.impi() == impi)
        };
        self.by_identity.find(hash, is).copied()
    }

    pub(super) fn id(&self, slot: u32) -> Result<ContactId, RegisterError> {
        self.contacts.id(slot).map(ContactId).ok_or(RegisterError::Full(self.len))
    }

    /// A number for a request: never the same twice.
    pub(super) const fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(super) fn contact_over(&self, spi: Spi) -> Option<u32> {
        self.by_spi.get(self.spis.slot(spi)? as usize).copied()
    }

    /// The sets that have this port or SPI at this address of a UE.
    pub(super) fn sets_at(&self, ue: IpAddr, key: Key) -> impl Iterator<Item = (u32, Slot, &Set)> {
        let at = self.key_at(0, ue, key);
        self.by_end.iter_hash(at.hash()).filter(move |other| other.hash == at.hash).flat_map(move |other| {
            let sets = self.contacts.peek(other.contact).into_iter().flat_map(Contact::sets);
            sets.filter(move |(_, set)| {
                let Setup { spis, ports } = set.ends.ue.setup;
                set.ends.ue.address == ue
                    && match key {
                        Key::Port(port) => [ports.client, ports.server].contains(&port),
                        Key::Spi(spi) => [spis.client, spis.server].contains(&spi),
                    }
            })
            .map(move |(which, set)| (other.contact, which, set))
        })
    }

    fn key_at(&self, contact: u32, ue: IpAddr, key: Key) -> AtEnd {
        AtEnd { contact, hash: self.hasher.hash_one((ue, key)) as u32 }
    }

    fn keys_of(&self, set: &Set) -> [AtEnd; 4] {
        let end = &set.ends.ue;
        let Setup { spis, ports } = end.setup;
        let keys =
            [Key::Port(ports.client), Key::Port(ports.server), Key::Spi(spis.client), Key::Spi(spis.server)];
        keys.map(|key| self.key_at(set.id.contact, end.address, key))
    }

    /// Makes a new set known by its SPIs and ports.
    pub(super) fn enter(&mut self, slot: u32, set: &Set) {
        let spis = set.ends.pcscf.setup.spis;
        for spi in [spis.client, spis.server] {
            if let Some(place) = self.spis.slot(spi) {
                if self.by_spi.len() <= place as usize {
                    self.by_spi.resize(place as usize + 1, u32::MAX);
                }
                if let Some(entry) = self.by_spi.get_mut(place as usize) {
                    *entry = slot;
                }
            }
        }
        for key in self.keys_of(set) {
            self.by_end.insert_unique(key.hash(), key, AtEnd::hash);
        }
    }

    /// After each step: gives back what the sets that ended had, sets the timer anew, and drops a contact that has
    /// nothing left.
    pub(super) fn settle(&mut self, slot: u32) {
        while let Some(set) = self.gone.pop() {
            let spis = set.ends.pcscf.setup.spis;
            self.spis.release(spis.client);
            self.spis.release(spis.server);
            for key in self.keys_of(&set) {
                if let Ok(entry) = self.by_end.find_entry(key.hash(), |other| *other == key) {
                    entry.remove();
                }
            }
            self.counters.removed += 1;
            // Of a set that was never installed, its SPIs may be another's there.
            if self.not_installed != Some(set.id) {
                self.instructions.push_back(Instruction::Remove(set.id, set.ends));
            }
        }
        let Some(contact) = self.contacts.peek(slot) else { return };
        match contact.next_deadline() {
            Some(deadline) => self.timers.set_by(slot, deadline),
            None => self.timers.cancel(slot),
        }
        if contact.is_empty() {
            let hash = identity_hash(&self.hasher, &contact.identity);
            if let Ok(entry) = self.by_identity.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
            self.unregistered -= u32::from(!contact.registered);
            self.len -= 1;
            if let Some(place) = self.contacts.id(slot) {
                self.contacts.remove(place);
            }
        }
    }
}

fn identity_hash(hasher: &DefaultHashBuilder, identity: &Identity) -> u64 {
    hasher.hash_one((identity.contact(), identity.impi()))
}

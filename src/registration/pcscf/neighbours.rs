//! What other sets have at the address of a UE: which ports and SPIs a new set may have there, and
//! what it displaces (TS 33.203 7.1, rule 3).

use alloc::vec::Vec;
use core::net::IpAddr;

use super::contact::{Contact, Role};
use super::open::{Progress, Set, Temporary};
use super::source::Source;
use super::table::{Key, Pcscf};
use crate::impossible::impossible;
use crate::negotiation::pcscf::Offer;
use crate::sa::{Ends, Overlap, SetId, Side};
use crate::setup::{Port, PortPair, Setup};
use crate::spi::Spi;

/// A UE announces what is already in use at its address (TS 33.203 7.1, rule 3). Nothing has
/// changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InUse {
    /// Another SA has the port.
    #[error("port {port} is already in use at {ue}")]
    Port {
        /// The address.
        ue: IpAddr,
        /// The port.
        port: Port,
    },
    /// Another SA has the SPI: the two could not be distinguished.
    #[error("SPI {spi} is already in use at {ue}")]
    Spi {
        /// The address.
        ue: IpAddr,
        /// The SPI.
        spi: Spi,
    },
}

crate::code::codes!(InUse {
    InUse::Port { .. } => "in-use-port",
    InUse::Spi { .. } => "in-use-spi",
});

impl Pcscf {
    /// Whether a UE that has SAs may have another set with these ports and SPIs at the same time:
    /// rule 3. The server port may be one that other sets have; a set that only began in clear,
    /// or that the challenge removes, does not count.
    pub(super) fn is_free(&self, slot: u32, source: Source, offer: &Offer) -> Result<(), InUse> {
        let (ue, scope) = (offer.ue(), offer.scope());
        let Setup { spis, ports } = ue.setup;
        let counts = |(other, role, set): &(u32, Role, &Set)| {
            *role != Role::Temporary || {
                let temporary = self.temporary(*other, set);
                let is_own = |one: &Temporary| {
                    *other == slot
                        && (Contact::is_superseded(one, source) || matches!(one.progress, Progress::Failed))
                };
                temporary.is_some_and(|one| !one.is_anybodys() && !is_own(one))
            }
        };
        let port = ports.client;
        if self.sets_at(ue.address, scope, Key::Port(port)).any(|found| counts(&found)) {
            return Err(InUse::Port { ue: ue.address, port });
        }
        // No server port of one set is the client port of another.
        let as_client = |(_, _, set): &(u32, Role, &Set)| set.ends.ue.setup.ports.client == ports.server;
        let port = ports.server;
        if self.sets_at(ue.address, scope, Key::Port(port)).filter(as_client).any(|found| counts(&found)) {
            return Err(InUse::Port { ue: ue.address, port });
        }
        for spi in [spis.client, spis.server] {
            if self.sets_at(ue.address, scope, Key::Spi(spi)).any(|found| counts(&found)) {
                return Err(InUse::Spi { ue: ue.address, spi });
            }
        }
        Ok(())
    }

    /// The server port, which stays while a contact is registered, and a client port that no set
    /// has toward the same port of the UE, if there is one.
    pub(super) fn next_ports(&self, slot: u32, source: Source, offer: &Offer) -> PortPair {
        let current =
            self.contacts.peek(slot).and_then(|contact| contact.current.filter(|_| !contact.leaving));
        let server = current.map_or(self.config.server_port, |current| current.ends.pcscf.setup.ports.server);
        let (ue, scope) = (offer.ue(), offer.scope());
        let toward = Key::Port(ue.setup.ports.server);
        // How bad it is to have a client port in common with others: worst with a set in use.
        let weight = |port: &Port| {
            let others = self.sets_at(ue.address, scope, toward).filter(|(_, _, set)| {
                set.ends.pcscf.setup.ports.client == *port
                    && set.ends.ue.setup.ports.server == ue.setup.ports.server
            });
            let weight = |(other, role, set): (u32, Role, &Set)| match role {
                Role::Temporary if other == slot && self.is_superseded(slot, set, source) => 0,
                Role::Temporary => 1,
                Role::Old => 2,
                Role::Current => 3,
            };
            others.map(weight).max().unwrap_or(0)
        };
        // Each search begins at another port: a UE whose SAs were lost here seldom gets a port that
        // its own sets still have.
        let ports = &self.config.client_ports;
        let first = usize::try_from(self.counters.sets).unwrap_or(0) % ports.len().max(1);
        let mut best: Option<(u32, Port)> = None;
        for port in ports.iter().cycle().skip(first).take(ports.len()).filter(|port| **port != server) {
            let weight = weight(port);
            if best.is_none_or(|(least, _)| weight < least) {
                best = Some((weight, *port));
            }
            if weight == 0 {
                break;
            }
        }
        PortPair { client: best.map_or_else(|| impossible(server), |(_, port)| port), server }
    }

    fn is_superseded(&self, slot: u32, set: &Set, by: Source) -> bool {
        self.temporary(slot, set).is_some_and(|one| Contact::is_superseded(one, by))
    }

    /// The unfinished authentication that a set is of.
    fn temporary(&self, slot: u32, set: &Set) -> Option<&Temporary> {
        self.contacts.peek(slot)?.temporary_over(set.server_spi())
    }

    /// How the SAs of a set relate to those of the sets that are there, and whether the UE cannot
    /// have it and one of those at the same time.
    pub(super) fn overlap(&self, slot: u32, source: Source, ends: &Ends) -> (Overlap, bool) {
        let (mut overlap, mut displaces) = (Overlap::Apart, false);
        self.at_end(ends, |other, set| {
            if other != slot || !self.is_superseded(slot, set, source) {
                overlap = overlap.max(ends.overlap(&set.ends, Side::Pcscf));
                displaces |= set.excludes(ends);
            }
        });
        (overlap, displaces)
    }

    /// The sets that the UE cannot have any more once it has proved to have this one, with the
    /// slots of their contacts.
    pub(super) fn displaced(&self, id: SetId, ends: &Ends) -> Vec<(u32, SetId)> {
        let mut displaced = Vec::new();
        self.at_end(ends, |slot, set| {
            if set.id != id && set.excludes(ends) && !displaced.contains(&(slot, set.id)) {
                displaced.push((slot, set.id));
            }
        });
        displaced
    }

    /// Each set that has a port or an SPI of this end of the UE; some more than once.
    fn at_end(&self, ends: &Ends, mut each: impl FnMut(u32, &Set)) {
        let Setup { spis, ports } = ends.ue.setup;
        for key in
            [Key::Port(ports.client), Key::Port(ports.server), Key::Spi(spis.client), Key::Spi(spis.server)]
        {
            for (slot, _, set) in self.sets_at(ends.ue.address, ends.scope, key) {
                each(slot, set);
            }
        }
    }
}

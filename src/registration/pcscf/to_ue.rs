//! What is sent to the UE, and what is known of it.

use core::net::IpAddr;
use core::num::NonZeroU16;

use super::table::{ContactId, Key, Pcscf};
use crate::registration::contact::Contact;
use crate::registration::identity::Identity;
use crate::registration::instruction::SetId;
use crate::registration::route::{Message, NoSa, Route, Transport};
use crate::sa::{Ends, Side};
use crate::spi::Spi;
use crate::time::Instant;

impl Pcscf {
    /// What a message to a contact travels over.
    ///
    /// # Errors
    /// [`NoSa`]; the message must not go out in clear.
    pub fn route(&self, contact: ContactId, transport: Transport, message: Message) -> Result<Route, NoSa> {
        let contact = self.contacts.get(contact.0).ok_or(NoSa)?;
        let set = match message {
            Message::Request => contact.in_use(),
            // Over UDP, the set in use serves where that of the request has gone: a call may ring longer than it drains.
            Message::Response { over } => match (contact.set_over(over), transport) {
                (Some((_, set)), _) => Some(set),
                (None, Transport::Udp) => contact.in_use(),
                (None, Transport::Tcp) => None,
            },
            Message::InTransaction(id) => contact.sets().map(|(_, set)| set).find(|set| set.id == id),
        };
        let set = set.ok_or(NoSa)?;
        Ok(Route::of(set.id, &set.ends, Side::Pcscf, transport, message))
    }

    /// Whether a request can be sent to a contact.
    pub fn may_send_protected(&self, contact: ContactId) -> bool {
        self.route(contact, Transport::Udp, Message::Request).is_ok()
    }

    /// Whether a port of the P-CSCF is a protected one: nothing in clear is sent from it or accepted at it.
    pub fn is_protected_port(&self, port: u16) -> bool {
        let mut protected = self.config.client_ports.iter().chain([&self.config.server_port]);
        protected.any(|known| known.get() == port)
    }

    /// The contact that has a protected port at an address: nothing in clear is sent there. For a data path that tells
    /// addresses and ports of a message, but not its SPI.
    pub fn contact_at(&self, ue: IpAddr, port: NonZeroU16) -> Option<ContactId> {
        let (slot, ..) = self.sets_at(ue, Key::Port(port)).next()?;
        self.contacts.id(slot).map(ContactId)
    }

    /// What a message came over, for a data path that tells its addresses and ports and not its SPI: the inbound SA from
    /// this port of the UE to this one of the P-CSCF (TS 33.203 7.1).
    pub fn over(&self, ue: IpAddr, ue_port: NonZeroU16, pcscf_port: NonZeroU16) -> Option<Spi> {
        let mut sets = self.sets_at(ue, Key::Port(ue_port));
        sets.find_map(|(_, _, set)| set.ends.between(Side::Pcscf, ue_port, pcscf_port))
    }

    /// The two ends of a set; `None` once it has ended.
    pub fn ends(&self, set: SetId) -> Option<&Ends> {
        let mut sets = self.contacts.peek(set.contact)?.sets();
        sets.find(|(_, other)| other.id == set).map(|(_, set)| &set.ends)
    }

    /// The contact that an SPI of the P-CSCF belongs to.
    pub fn contact_of(&self, spi: Spi) -> Option<ContactId> {
        self.contacts.id(self.contact_over(spi)?).map(ContactId)
    }

    /// Who a contact is; `None` once it has ended.
    pub fn identity(&self, contact: ContactId) -> Option<&Identity> {
        self.contacts.get(contact.0).map(|contact| &contact.identity)
    }

    /// The public identities of a contact, as P-Associated-URI of a 200 names them. False if there is no such contact or
    /// one of them has a line break; nothing has changed then.
    pub fn set_impus(&mut self, contact: ContactId, impus: &[&str]) -> bool {
        let Some(contact) = self.contacts.get_mut(contact.0) else { return false };
        let identity = Identity::new(contact.identity.contact(), contact.identity.impi(), impus);
        identity.map(|identity| contact.identity = identity).is_some()
    }

    /// Whether a contact has a set from a successful authentication, and until when.
    pub fn registered_until(&self, contact: ContactId) -> Option<Instant> {
        self.contacts.get(contact.0)?.current.as_ref().map(|current| current.deadline)
    }

    /// The suite that protects a contact's messages.
    pub fn suite(&self, contact: ContactId) -> Option<crate::Suite> {
        self.contacts.get(contact.0)?.current.as_ref().map(|current| current.suite)
    }

    /// The sets of a contact: at most three.
    pub fn sets(&self, contact: ContactId) -> impl Iterator<Item = SetId> {
        self.contacts.get(contact.0).into_iter().flat_map(Contact::sets).map(|(_, set)| set.id)
    }
}

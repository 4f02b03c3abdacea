//! Routes of messages to the UE, and look-ups of contacts.

use core::net::{IpAddr, SocketAddr};

use super::contact::Contact;
use super::id::ContactId;
use super::identity::Identity;
use super::table::{Key, Pcscf};
use crate::algorithm::Suite;
use crate::registration::route::{NoSa, Over, Route, Transport};
use crate::sa::{Ends, SetId, Side};
use crate::setup::Port;
use crate::spi::Spi;
use crate::time::Moment;

impl Pcscf {
    /// The route of a request to a contact, an ACK of a 2xx among them. The same for both
    /// transports; see [`Route`] for connections.
    ///
    /// # Errors
    /// [`NoSa`]; the request must not be sent in clear.
    pub fn route_request(&self, contact: ContactId) -> Result<Route, NoSa> {
        let set = self.contacts.get(contact.0).and_then(Contact::in_use).ok_or(NoSa)?;
        Ok(Route::of_request(set.id, &set.ends, Side::Pcscf))
    }

    /// The route of a CANCEL, or of the ACK of an error: it belongs to a transaction, and goes over
    /// the set of the request that began it.
    ///
    /// # Errors
    /// [`NoSa`] if that set has ended; the message must not be sent in clear.
    pub fn route_in_transaction(&self, set: SetId) -> Result<Route, NoSa> {
        let ends = self.ends(set).ok_or(NoSa)?;
        Ok(Route::of_request(set, ends, Side::Pcscf))
    }

    /// The route of the response to a request that came over this. A response to a request in clear
    /// goes back in clear: `None`.
    ///
    /// # Errors
    /// [`NoSa`]; the response must not be sent in clear.
    pub fn route_response(
        &self,
        contact: ContactId,
        transport: Transport,
        request_over: Over,
    ) -> Result<Option<Route>, NoSa> {
        let Over::Sa(spi) = request_over else { return Ok(None) };
        let contact = self.contacts.get(contact.0).ok_or(NoSa)?;
        // Over UDP, the set in use serves where that of the request has gone: a call may ring
        // longer than a set drains.
        let set = match (contact.set_over(spi), transport) {
            (Some((_, set)), _) => Some(set),
            (None, Transport::Udp) => contact.in_use(),
            (None, Transport::Tcp) => None,
        };
        let set = set.ok_or(NoSa)?;
        Ok(Some(Route::of_response(set.id, &set.ends, Side::Pcscf, transport, spi)))
    }

    /// Whether a request can be sent to a contact.
    pub fn may_send_protected(&self, contact: ContactId) -> bool {
        self.route_request(contact).is_ok()
    }

    /// Whether a port of the P-CSCF is a protected one: nothing in clear is sent from it or
    /// accepted at it.
    pub fn is_protected_port(&self, port: u16) -> bool {
        let mut protected = self.config.client_ports.iter().chain([&self.config.server_port]);
        protected.any(|known| known.get() == port)
    }

    /// The contact that has a protected port at an address: nothing in clear is sent there. For a
    /// data path that knows the addresses and ports of a message, but not its SPI.
    pub fn contact_at(&self, ue: SocketAddr) -> Option<ContactId> {
        let (slot, ..) = self.sets_at(ue.ip(), Key::Port(Port::from_peer(ue.port()).ok()?)).next()?;
        self.contacts.id(slot).map(ContactId)
    }

    /// The SA that a message came over, for a data path that knows its addresses and ports, but not
    /// its SPI: the SA from this end of the UE to this port of the P-CSCF (TS 33.203 7.1). `None`
    /// if there is none: the message came in clear.
    pub fn over(&self, ue: SocketAddr, pcscf_port: u16) -> Option<Spi> {
        let (source, destination) = (Port::from_peer(ue.port()).ok()?, Port::from_peer(pcscf_port).ok()?);
        let mut sets = self.sets_at(ue.ip(), Key::Port(source));
        sets.find_map(|(_, _, set)| set.ends.between(Side::Pcscf, source, destination))
    }

    /// The two ends of a set; `None` once it has ended.
    pub fn ends(&self, set: SetId) -> Option<&Ends> {
        let mut sets = self.contacts.peek(set.0.slot)?.sets();
        sets.find(|(_, other)| other.id == set).map(|(_, set)| &set.ends)
    }

    /// The set that has an outbound SA, by the two values that name the SA: destination and SPI.
    pub fn set_toward(&self, ue: IpAddr, spi: Spi) -> Option<SetId> {
        self.sets_at(ue, Key::Spi(spi)).next().map(|(_, _, set)| set.id)
    }

    /// The contact that an SPI of the P-CSCF belongs to.
    pub fn contact_of(&self, spi: Spi) -> Option<ContactId> {
        self.contacts.id(self.contact_over(spi)?).map(ContactId)
    }

    /// Who a contact is; `None` once it has ended.
    pub fn identity(&self, contact: ContactId) -> Option<&Identity> {
        self.contacts.get(contact.0).map(|contact| &contact.identity)
    }

    /// Sets the public identities of a contact, as P-Associated-URI of a 200 names them. False, and
    /// nothing changed, if there is no such contact or one of them has a line break.
    #[must_use]
    pub fn set_impus(&mut self, contact: ContactId, impus: &[&str]) -> bool {
        let Some(contact) = self.contacts.get_mut(contact.0) else { return false };
        let identity = Identity::new(contact.identity.contact(), contact.identity.impi(), impus);
        identity.map(|identity| contact.identity = identity).is_some()
    }

    /// Until when a contact has a set from a successful authentication; `None` if it has none.
    pub fn registered_until(&self, contact: ContactId) -> Option<Moment> {
        self.contacts.get(contact.0)?.current.as_ref().map(|current| current.deadline)
    }

    /// The suite that protects a contact's messages.
    pub fn suite(&self, contact: ContactId) -> Option<Suite> {
        self.contacts.get(contact.0)?.current.as_ref().map(|current| current.suite)
    }

    /// The sets of a contact: at most three.
    pub fn sets(&self, contact: ContactId) -> impl Iterator<Item = SetId> {
        self.contacts.get(contact.0).into_iter().flat_map(Contact::sets).map(|(_, set)| set.id)
    }
}

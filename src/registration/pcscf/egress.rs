//! Routes of messages to the UE, and look-ups of contacts.

use core::net::{IpAddr, SocketAddr};

use super::contact::{Contact, Role};
use super::id::ContactId;
use super::identity::Identity;
use super::open::{Set, Temporary};
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
    /// the set of the request that began it. A call may ring longer than a set drains: then it goes
    /// over the set in use.
    ///
    /// # Errors
    /// [`NoSa`]; the message must not be sent in clear.
    pub fn route_in_transaction(&self, contact: ContactId, set: SetId) -> Result<Route, NoSa> {
        let contact = self.contacts.get(contact.0).ok_or(NoSa)?;
        let set = contact.set(set).or_else(|| contact.in_use()).ok_or(NoSa)?;
        Ok(Route::of_request(set.id, &set.ends, Side::Pcscf))
    }

    /// The route of the response to a request that came over this. A response to a request in clear
    /// goes back in clear: `None`.
    ///
    /// Where the set of the request has drained, the set in use serves: over UDP as it is, over TCP
    /// with a connection to the sent-by of Via (RFC 3261 18.2.2), whose port is that of the route.
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
        let of_request = contact.set_over(spi).map(|(_, set)| set);
        let set = of_request.or_else(|| contact.in_use()).ok_or(NoSa)?;
        Ok(Some(Route::of_response(set.id, &set.ends, Side::Pcscf, transport, spi)))
    }

    /// Whether a request can be sent to a contact.
    pub fn may_send_protected(&self, contact: ContactId) -> bool {
        self.route_request(contact).is_ok()
    }

    /// Whether anybody can have made a set.
    fn is_anybodys(&self, slot: u32, role: Role, set: &Set) -> bool {
        role == Role::Temporary && {
            let contact = self.contacts.peek(slot);
            let temporary = contact.and_then(|contact| contact.temporary_over(set.server_spi()));
            temporary.is_some_and(Temporary::is_anybodys)
        }
    }

    /// Whether a port of the P-CSCF is a protected one: nothing in clear is sent from it or
    /// accepted at it.
    pub fn is_protected_port(&self, port: u16) -> bool {
        self.config.has_port(port) || self.retired_ports.iter().any(|(retired, _)| retired.get() == port)
    }

    /// The contact that has a protected port at an address: nothing in clear is sent there, unless
    /// the port is 5060 or 5061 ([`Quirk::SipPort`](crate::sec_agree::Quirk::SipPort)). For a
    /// data path that knows the addresses and ports of a message, but not its SPI. Of several, the
    /// one that registered last. A set whose SM7 has not been verified protects nothing here: in
    /// clear, anybody can announce ports at any address.
    pub fn contact_at(&self, ue: SocketAddr) -> Option<ContactId> {
        let port = Port::from_peer(ue.port()).ok()?;
        let sets = self.sets_at(ue.ip().to_canonical(), scope_of(&ue), Key::Port(port));
        let proved = sets.filter(|(slot, role, set)| !self.is_anybodys(*slot, *role, set));
        let (slot, ..) =
            proved.max_by_key(|(_, role, set)| (*role != Role::Temporary, set.id.0.generation))?;
        self.contacts.id(slot).map(ContactId)
    }

    /// The SA that a message came over, for a data path that knows its addresses and ports, but not
    /// its SPI: the SA from this end of the UE to this port of the P-CSCF (TS 33.203 7.1). `None`
    /// if there is none: the message came in clear.
    ///
    /// A UE that restarted may have a second set with the same ports. Of several, this is one whose
    /// SM7 was verified, the newest; only a data path that knows the SPI can tell an SM7 over the
    /// other one.
    pub fn over(&self, ue: SocketAddr, pcscf_port: u16) -> Option<Spi> {
        let (source, destination) = (Port::from_peer(ue.port()).ok()?, Port::from_peer(pcscf_port).ok()?);
        let sets = self.sets_at(ue.ip().to_canonical(), scope_of(&ue), Key::Port(source));
        let between = sets.filter_map(|(_, role, set)| {
            let spi = set.ends.between(Side::Pcscf, source, destination)?;
            Some(((role != Role::Temporary, set.id.0.generation), spi))
        });
        between.max_by_key(|(newest, _)| *newest).map(|(_, spi)| spi)
    }

    /// The two ends of a set; `None` once it has ended.
    pub fn ends(&self, set: SetId) -> Option<&Ends> {
        self.contacts.peek(set.0.slot)?.set(set).map(|set| &set.ends)
    }

    /// The set that has an outbound SA, by the two values that name the SA: destination and SPI.
    pub fn set_toward(&self, ue: IpAddr, spi: Spi) -> Option<SetId> {
        let sets = self.sets_at(ue.to_canonical(), None, Key::Spi(spi));
        let newest = sets.max_by_key(|(_, role, set)| (*role != Role::Temporary, set.id.0.generation));
        newest.map(|(_, _, set)| set.id)
    }

    /// The contact of a user, registered or not, by the string that distinguishes contacts.
    pub fn find(&self, contact: &str, impi: &str) -> Option<ContactId> {
        self.contacts.id(self.find_slot(contact, impi)?).map(ContactId)
    }

    /// The registered contacts of a user.
    pub fn registered_contacts(&self, impi: &str) -> impl Iterator<Item = ContactId> {
        let with_hash = self.by_impi.iter_hash(self.hasher.hash_one(impi)).copied();
        let is = move |slot: &u32| self.contacts.peek(*slot).is_some_and(|one| one.identity.impi() == impi);
        with_hash.filter(is).filter_map(|slot| self.contacts.id(slot).map(ContactId))
    }

    /// All contacts, registered or not, in no particular order.
    pub fn contacts(&self) -> impl Iterator<Item = ContactId> {
        self.by_identity.iter().filter_map(|slot| self.contacts.id(*slot).map(ContactId))
    }

    /// The contact that an SPI of the P-CSCF belongs to.
    pub fn contact_of(&self, spi: Spi) -> Option<ContactId> {
        self.contacts.id(self.contact_over(spi)?).map(ContactId)
    }

    /// Who a contact is; `None` once it has ended.
    pub fn identity(&self, contact: ContactId) -> Option<&Identity> {
        self.contacts.get(contact.0).map(|contact| &contact.identity)
    }

    /// Sets the public identities of a contact, when something else than a 2xx tells them: a NOTIFY
    /// of the registration event, say. False, and nothing changed, if there is no such contact or
    /// one of them cannot be an identity.
    #[must_use]
    pub fn set_impus(&mut self, contact: ContactId, impus: &[&str]) -> bool {
        let Some(contact) = self.contacts.get_mut(contact.0) else { return false };
        contact.identity.with_impus(impus).map(|identity| contact.identity = identity).is_ok()
    }

    /// Until when a contact has a set from a successful authentication; `None` if it has none.
    pub fn registered_until(&self, contact: ContactId) -> Option<Moment> {
        self.contacts.get(contact.0)?.current.as_ref().map(|current| current.deadline)
    }

    /// The suite that protects a contact's messages.
    pub fn suite(&self, contact: ContactId) -> Option<Suite> {
        self.contacts.get(contact.0)?.current.as_ref().map(|current| current.suite)
    }

    /// The sets of a contact: at most three, and one for each address at which a REGISTER in clear
    /// was challenged.
    pub fn sets(&self, contact: ContactId) -> impl Iterator<Item = SetId> {
        self.contacts.get(contact.0).into_iter().flat_map(Contact::sets).map(|(_, set)| set.id)
    }
}

/// The number of the link that an address is of.
fn scope_of(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(address) => address.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

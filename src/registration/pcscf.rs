//! The P-CSCF's table of registered contacts.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::IpAddr;
use core::num::NonZeroU16;
use core::time::Duration;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};

use super::contact::{Attempt, Contact, Set, Slot, Step, Temporary};
use super::identity::Identity;
use super::instruction::{Instruction, SetId};
use super::route::{Message, NoSa, Route, Transport};
use super::timers::Timers;
use super::{GRACE, REG_AWAIT_AUTH};
use crate::key::{Ck, Ik};
use crate::negotiation::pcscf::{self as negotiation, Offer, Protection, Sm1, Sm7, Sm7Error};
use crate::negotiation::{Refusal, SecAgree, SipStatus};
use crate::policy::Policy;
use crate::sa::{InstallError, SaName, SaSet, Sad, Side};
use crate::sec_agree::{PortPair, SecurityServer, Setup};
use crate::slab::{Place, Slab};
use crate::spi::{Spi, SpiAllocator, SpisExhausted};
use crate::time::Instant;

/// What is the same for every UE of a P-CSCF.
#[derive(Clone, Debug)]
pub struct Config {
    policy: Policy,
    server_port: NonZeroU16,
    client_ports: Vec<NonZeroU16>,
    max_contacts: u32,
    max_unregistered: u32,
}

/// A configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Each set of a contact has a client port of its own, and a contact has up to three sets.
    #[error("{0} client ports where at least three are needed")]
    ClientPorts(usize),
    /// A port stands in the configuration twice.
    #[error("port {0} stands there twice")]
    Duplicate(NonZeroU16),
    /// TS 33.203 7.1 excludes 5060 and 5061.
    #[error("a protected port is 5060 or 5061")]
    SipPort,
}

impl Config {
    /// A protected server port for all UEs, and at least three protected client ports that the sets of a contact take in
    /// turn. At most a million contacts, of which ten thousand have not registered yet.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(
        policy: Policy,
        server_port: NonZeroU16,
        client_ports: &[NonZeroU16],
    ) -> Result<Self, ConfigError> {
        if client_ports.len() < 3 {
            return Err(ConfigError::ClientPorts(client_ports.len()));
        }
        for (place, port) in client_ports.iter().enumerate() {
            if *port == server_port || client_ports.iter().take(place).any(|other| other == port) {
                return Err(ConfigError::Duplicate(*port));
            }
        }
        if client_ports.iter().chain([&server_port]).any(|port| matches!(port.get(), 5060 | 5061)) {
            return Err(ConfigError::SipPort);
        }
        Ok(Self {
            policy,
            server_port,
            client_ports: client_ports.into(),
            max_contacts: 1_000_000,
            max_unregistered: 10_000,
        })
    }

    /// The same with other limits: contacts in all, and among them those that have never registered, which anybody can
    /// make by sending a REGISTER.
    #[must_use]
    pub fn with_capacity(self, max_contacts: u32, max_unregistered: u32) -> Self {
        Self { max_contacts, max_unregistered, ..self }
    }
}

/// A contact in the table. No other ever has the same, not even after this one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContactId(Place);

/// A REGISTER that was sent on to the core: its answer must be for this one, and not for one that came before or after
/// it. No other ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    contact: ContactId,
    number: u64,
}

impl RequestId {
    /// The contact that it is of.
    pub const fn contact(self) -> ContactId {
        self.contact
    }
}

/// What a message came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// Nothing: a port that is not protected.
    Clear,
    /// The inbound SA with this SPI.
    Sa(Spi),
}

/// What Authorization of a REGISTER says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// No response to a challenge that is open: an empty one, or the last one again, as a re-registration has it
    /// (TS 24.229 5.1.1.4).
    #[default]
    None,
    /// The response to the challenge.
    Response,
    /// The UE did not accept the challenge: `auts`, or an empty response to it (TS 24.229 5.1.1.5.3).
    Failure,
}

/// What the P-CSCF takes from a REGISTER.
#[derive(Clone, Copy, Debug)]
pub struct Register<'a> {
    /// What it came over.
    pub over: Over,
    /// Source address of the IP packet. That it is the address in Via is the caller's to check (TS 33.203 7.1, rule 2).
    pub ue: IpAddr,
    /// Destination address of the IP packet.
    pub pcscf: IpAddr,
    /// The private identity, from Authorization.
    pub impi: &'a str,
    /// The public identities that are being registered.
    pub impus: &'a [&'a str],
    /// What tells this contact of the user from others: `+sip.instance` and `reg-id`, say. Each has its own SAs.
    pub contact: &'a str,
    /// What Authorization says.
    pub authentication: Authentication,
    /// It asks for the end of the registration: an expiry of zero.
    pub deregisters: bool,
    /// Whether Require, Proxy-Require or Supported has `sec-agree`.
    pub sec_agree: SecAgree,
    /// The values of the Security-Client rows, in their order.
    pub security_client: &'a [&'a str],
    /// The values of the Security-Verify rows, in their order.
    pub security_verify: &'a [&'a str],
}

/// A REGISTER goes on to the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Whose it is.
    pub contact: ContactId,
    /// What the core's answer to it is given with.
    pub request: RequestId,
    /// The verdict for `integrity-protected`: `None` is "no" (TS 33.203 6.1.5).
    pub protection: Option<Protection>,
}

/// Why a message is discarded without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Discard {
    /// No set has an SA with this SPI.
    #[error("no set has SPI {0}")]
    UnknownSa(Spi),
    /// The set is not for this message (TS 33.203 7.4): SM7 alone comes over a temporary one.
    #[error("SPI {0} is of a set that is not for this message")]
    WrongSet(Spi),
}

/// Why a REGISTER does not go on to the core. Sets in force are not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The security headers are missing, unusable or not what was issued.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The user is not the one of the SA that it came over.
    #[error("the user is not the one of the SA")]
    OtherUser,
    /// An identity has a line break.
    #[error("an identity with a line break")]
    Identity,
    /// The UE's address has another SA at this port (TS 33.203 7.1, rule 3).
    #[error("{ue} has an SA at port {port}")]
    PortInUse {
        /// The address.
        ue: IpAddr,
        /// The port.
        port: NonZeroU16,
    },
    /// As many contacts as the configuration allows. Nothing has changed.
    #[error("{0} contacts, as many as there may be")]
    Full(u32),
    /// To be discarded without an answer.
    #[error(transparent)]
    Discard(#[from] Discard),
}

impl RegisterError {
    /// The status of the answer; `None` where there is none.
    pub const fn status(&self) -> Option<SipStatus> {
        match self {
            RegisterError::Refused(refusal) => Some(refusal.status()),
            RegisterError::OtherUser => Some(SipStatus::FORBIDDEN),
            RegisterError::Identity | RegisterError::PortInUse { .. } => Some(SipStatus::BAD_REQUEST),
            RegisterError::Full(_) => Some(SipStatus::SERVICE_UNAVAILABLE),
            RegisterError::Discard(_) => None,
        }
    }
}

/// There is nothing that the event could belong to: no such contact, or no such request of it, since another one has
/// taken its place or its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no contact or request that this belongs to")]
pub struct Gone;

/// SM6 is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sm6 {
    /// Its Security-Server.
    pub security_server: SecurityServer,
    /// What it is sent over: what SM1 came over.
    pub over: Over,
    /// The set that SM7 is to come over.
    pub set: SetId,
}

/// Why there is no SM6. Nothing has changed: the offer waits for another try or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// There is nothing to challenge.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// There are no SPIs left.
    #[error(transparent)]
    Spis(#[from] SpisExhausted),
    /// In the meantime somebody at the same address took the port.
    #[error("{ue} has an SA at port {port}")]
    PortInUse {
        /// The address.
        ue: IpAddr,
        /// The port.
        port: NonZeroU16,
    },
    /// The set could not be made.
    #[error(transparent)]
    Set(#[from] negotiation::ChallengeError),
}

impl ChallengeError {
    /// The status of the answer to SM1.
    pub const fn status(&self) -> SipStatus {
        match self {
            ChallengeError::Spis(_) => SipStatus::SERVICE_UNAVAILABLE,
            ChallengeError::PortInUse { .. } => SipStatus::BAD_REQUEST,
            ChallengeError::Gone(_) | ChallengeError::Set(_) => SipStatus::SERVER_INTERNAL_ERROR,
        }
    }
}

/// A 2xx of the core goes to the UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sm12 {
    /// What it is sent over: what the REGISTER came over.
    pub over: Over,
    /// Whether a set was set up, rather than one refreshed or ended.
    pub new_set: Option<SetId>,
}

/// An error of the core goes to the UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What it is sent over. After SM7 that is the new set where SM1 came in clear, and otherwise the set that SM1 came
    /// over (TS 33.203 7.4.1a).
    pub over: Over,
}

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

/// What a data path holds compared with what it should ([`Pcscf::reconcile`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// SAs that no set has: to be removed.
    pub orphans: Vec<(Spi, IpAddr)>,
    /// Contacts whose registration has ended, since an SA of their current set is lost.
    pub lost: Vec<Identity>,
}

/// The table of all registered contacts.
///
/// Every method that can make the data path do something puts that into a queue of instructions, to be carried out
/// before what the method answers is sent: [`Pcscf::apply`] or [`Pcscf::next_instruction`].
#[derive(Debug)]
pub struct Pcscf {
    config: Config,
    spis: SpiAllocator,
    contacts: Slab<Contact>,
    len: u32,
    /// Contacts that have never registered.
    unregistered: u32,
    /// By slot of the SPI, the slot of the contact.
    by_spi: Vec<u32>,
    /// By contact and IMPI.
    by_identity: HashTable<u32>,
    /// By address and protected port of the UE: one for each port of each set.
    by_port: HashTable<AtPort>,
    hasher: DefaultHashBuilder,
    timers: Timers,
    instructions: VecDeque<Instruction>,
    next_number: u64,
    /// Sets that a step has ended: kept for its memory.
    gone: Vec<Set>,
    counters: Counters,
}

/// A contact at an address and port, with their hash: what they are is in the contact's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AtPort {
    contact: u32,
    hash: u32,
}

impl AtPort {
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
            by_port: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            timers: Timers::new(now),
            instructions: VecDeque::new(),
            next_number: 0,
            gone: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Makes room in the look-up tables for so many more contacts, so that growing them does not fall into the time of
    /// a registration.
    pub fn reserve(&mut self, contacts: usize) {
        let Self { contacts: known, by_identity, by_port, hasher, .. } = self;
        by_identity.reserve(contacts, |slot| {
            known.peek(*slot).map_or(0, |contact| identity_hash(hasher, &contact.identity))
        });
        by_port.reserve(2 * contacts, AtPort::hash);
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

    // ---- what arrives from the UE

    /// A REGISTER arrived.
    ///
    /// # Errors
    /// [`RegisterError`], with the status of the answer, if any. After an SM7 that is not what was issued, the
    /// registration has ended, and its set stays for [`DRAIN`](super::DRAIN) so that the answer can be sent over it.
    pub fn register(&mut self, now: Instant, register: &Register<'_>) -> Result<Forward, RegisterError> {
        let result = match register.over {
            Over::Clear => self.register_in_clear(now, register),
            Over::Sa(spi) => self.register_over(now, register, spi),
        };
        self.counters.refused += u64::from(result.is_err());
        result
    }

    fn register_in_clear(&mut self, now: Instant, register: &Register<'_>) -> Result<Forward, RegisterError> {
        let known = self.find(register.contact, register.impi);
        let offer = self.offer(register, known)?;
        let slot = match known {
            Some(slot) => slot,
            None => self.add(register)?,
        };
        let number = self.number();
        if let Some((contact, _)) = self.contacts.at(slot) {
            if register.authentication == Authentication::Failure {
                contact.drop_temporary(&mut self.gone);
            }
            contact.attempt = Some(Box::new(Attempt {
                number,
                offer: Some(offer),
                over: Over::Clear,
                deregisters: register.deregisters,
                deadline: now + REG_AWAIT_AUTH,
            }));
        }
        self.settle(slot);
        let contact = self.id(slot)?;
        Ok(Forward { contact, request: RequestId { contact, number }, protection: None })
    }

    fn register_over(
        &mut self,
        now: Instant,
        register: &Register<'_>,
        spi: Spi,
    ) -> Result<Forward, RegisterError> {
        let slot = self.contact_over(spi).ok_or(Discard::UnknownSa(spi))?;
        let number = self.number();
        let (contact, place) = self.contacts.at(slot).ok_or(Discard::UnknownSa(spi))?;
        let (which, set) = contact.set_over(spi).ok_or(Discard::UnknownSa(spi))?;
        let suite = set.suite;
        if contact.identity.impi() != register.impi {
            return Err(RegisterError::OtherUser);
        }
        let id = ContactId(place);
        let request = RequestId { contact: id, number };
        let forward = |protection| Forward { contact: id, request, protection };
        if which == Slot::Temporary {
            let accepted = Self::sm7(contact, now, register, spi, number);
            self.settle(slot);
            accepted?;
            return Ok(forward(Some(Protection::of(suite))));
        }
        // RFC 3329 2.3.1 wants Security-Client in each REGISTER; only one that ends everything can do without.
        let offer = if register.security_client.is_empty() && register.deregisters {
            None
        } else {
            Some(self.offer(register, Some(slot))?)
        };
        let Some((contact, _)) = self.contacts.at(slot) else { return Err(Discard::UnknownSa(spi).into()) };
        if which == Slot::Current {
            contact.use_current(now);
        }
        if register.authentication == Authentication::Failure {
            contact.drop_temporary(&mut self.gone);
        }
        contact.attempt = Some(Box::new(Attempt {
            number,
            offer,
            over: register.over,
            deregisters: register.deregisters,
            deadline: now + REG_AWAIT_AUTH,
        }));
        let latest = which == Slot::Current && register.authentication != Authentication::Response;
        self.settle(slot);
        Ok(forward(latest.then_some(Protection::of(suite))))
    }

    /// SM7, or what came in its place over the temporary set.
    fn sm7(
        contact: &mut Contact,
        now: Instant,
        register: &Register<'_>,
        spi: Spi,
        number: u64,
    ) -> Result<(), RegisterError> {
        // Anything but the response to the challenge comes over other SAs (TS 33.203 7.4).
        let wrong = RegisterError::Discard(Discard::WrongSet(spi));
        let Some(temporary) = &mut contact.temporary else { return Err(wrong) };
        if register.authentication != Authentication::Response {
            return Err(wrong);
        }
        let challenge = match core::mem::replace(&mut temporary.step, Step::Failed) {
            Step::Challenged(challenge) => challenge,
            step @ (Step::Answered { .. } | Step::Failed) => {
                temporary.step = step;
                return Err(wrong);
            }
        };
        let sm7 = Sm7 {
            over: spi,
            security_client: register.security_client,
            security_verify: register.security_verify,
        };
        match challenge.receive_sm7(&sm7) {
            Ok(response) => {
                temporary.step = Step::Answered { response: Box::new(response), number };
                Ok(())
            }
            Err(Sm7Error::WrongSa { challenge, .. }) => {
                temporary.step = Step::Challenged(challenge);
                Err(wrong)
            }
            Err(Sm7Error::Refused(refusal)) => {
                contact.fail(now);
                Err(refusal.into())
            }
        }
    }

    /// A message other than REGISTER was opened. Returns whose it is; that the message says the same is the caller's to
    /// check ([`Identity::has_impu`]).
    ///
    /// # Errors
    /// [`Discard`]: nothing but SM7 comes over a temporary set.
    pub fn message(&mut self, now: Instant, over: Spi) -> Result<ContactId, Discard> {
        let result = self.message_over(now, over);
        self.counters.discarded += u64::from(result.is_err());
        result
    }

    fn message_over(&mut self, now: Instant, spi: Spi) -> Result<ContactId, Discard> {
        let slot = self.contact_over(spi).ok_or(Discard::UnknownSa(spi))?;
        let (contact, place) = self.contacts.at(slot).ok_or(Discard::UnknownSa(spi))?;
        let (which, _) = contact.set_over(spi).ok_or(Discard::UnknownSa(spi))?;
        match which {
            Slot::Temporary => return Err(Discard::WrongSet(spi)),
            Slot::Current if contact.old_in_use => {
                contact.use_current(now);
                self.settle(slot);
            }
            Slot::Current | Slot::Old => {}
        }
        Ok(ContactId(place))
    }

    // ---- what arrives from the core

    /// The core challenges: a 401 with CK and IK. What there was of an unfinished authentication ends.
    ///
    /// # Errors
    /// [`ChallengeError`]; nothing has changed.
    pub fn challenge(
        &mut self,
        now: Instant,
        request: RequestId,
        ck: &Ck,
        ik: &Ik,
    ) -> Result<Sm6, ChallengeError> {
        let slot = request.contact.0.slot;
        let attempt = self.contacts.get(request.contact.0).and_then(|contact| contact.attempt.as_deref());
        let attempt = attempt.filter(|attempt| attempt.number == request.number).ok_or(Gone)?;
        let (offer, over) = (attempt.offer.as_ref().ok_or(Gone)?, attempt.over);
        let (ue, of_ue) = (offer.ue(), offer.spis());
        self.ports_free(ue.address, ue.setup.ports, Some(slot))
            .map_err(|port| ChallengeError::PortInUse { ue: ue.address, port })?;
        let spis = self.spis.allocate_pair(&of_ue)?;
        let result = self.make_set(now, slot, Setup { spis, ports: self.next_ports(slot) }, (ck, ik));
        match result {
            Ok((temporary, security_server)) => {
                let set = temporary.set;
                if let Some((contact, _)) = self.contacts.at(slot) {
                    contact.challenge(Temporary { over, ..temporary }, &mut self.gone);
                }
                // The removal of what was there comes first: the new set may have the same ports.
                self.settle(slot);
                self.enter(slot, &set);
                self.instructions.push_back(Instruction::Install(set.id));
                Ok(Sm6 { security_server, over, set: set.id })
            }
            Err(error) => {
                self.spis.release(spis.client);
                self.spis.release(spis.server);
                Err(error)
            }
        }
    }

    /// Consumes the offer of a contact and makes its set; on an error the offer is back in its place.
    fn make_set(
        &mut self,
        now: Instant,
        slot: u32,
        setup: Setup,
        (ck, ik): (&Ck, &Ik),
    ) -> Result<(Temporary, SecurityServer), ChallengeError> {
        let (contact, _) = self.contacts.at(slot).ok_or(Gone)?;
        let attempt = contact.attempt.as_mut().ok_or(Gone)?;
        let offer = attempt.offer.take().ok_or(Gone)?;
        let challenge = offer.challenge(setup, ck, ik).map_err(|rejected| {
            attempt.offer = Some(*rejected.state);
            rejected.error
        })?;
        let security_server = challenge.security_server().clone();
        let number = self.number();
        self.counters.sets += 1;
        let set = Set {
            id: SetId { contact: slot, number },
            ends: *challenge.set().ends(),
            suite: challenge.set().suite(),
            deadline: now + REG_AWAIT_AUTH,
        };
        let step = Step::Challenged(Box::new(challenge));
        Ok((Temporary { set, step, over: Over::Clear }, security_server))
    }

    /// The core accepted a REGISTER with a 2xx, for so long. After SM7, the temporary set is the current one; otherwise
    /// the current set lives on, or everything drains after a de-registration.
    ///
    /// # Errors
    /// [`Gone`] if this REGISTER does not await an answer.
    pub fn success(&mut self, now: Instant, request: RequestId, expires: Duration) -> Result<Sm12, Gone> {
        let contact = self.contacts.get_mut(request.contact.0).ok_or(Gone)?;
        let registration_ends = now + expires + GRACE;
        let sm12 = if let Some(set) = contact.answered(request.number).map(|temporary| temporary.set) {
            self.unregistered -= u32::from(!contact.registered);
            contact.promote(registration_ends, &mut self.gone);
            if expires.is_zero() {
                contact.leave(now);
            }
            self.counters.registered += 1;
            let (server_sa, _) = set.ends.sa(SaName::UeClientToPcscfServer);
            Sm12 { over: Over::Sa(server_sa), new_set: Some(set.id) }
        } else {
            let attempt = contact.take_attempt(request.number).ok_or(Gone)?;
            if attempt.deregisters || expires.is_zero() {
                contact.leave(now);
            } else if attempt.over != Over::Clear {
                contact.extend(registration_ends);
                self.counters.refreshed += 1;
            }
            Sm12 { over: attempt.over, new_set: None }
        };
        self.settle(request.contact.0.slot);
        Ok(sm12)
    }

    /// The core refused a REGISTER. A temporary set stays for [`DRAIN`](super::DRAIN), so that the answer can be sent
    /// over it.
    ///
    /// # Errors
    /// [`Gone`] if this REGISTER does not await an answer.
    pub fn failure(&mut self, now: Instant, request: RequestId) -> Result<Ended, Gone> {
        let contact = self.contacts.get_mut(request.contact.0).ok_or(Gone)?;
        let over = if let Some(temporary) = contact.answered(request.number) {
            let (server_sa, _) = temporary.set.ends.sa(SaName::UeClientToPcscfServer);
            let over = if temporary.over == Over::Clear { Over::Sa(server_sa) } else { temporary.over };
            contact.fail(now);
            over
        } else {
            contact.take_attempt(request.number).ok_or(Gone)?.over
        };
        self.settle(request.contact.0.slot);
        Ok(Ended { over })
    }

    /// The network ended a registration: all sets stay for [`DRAIN`](super::DRAIN), so that the messages that say so can be sent.
    ///
    /// # Errors
    /// [`Gone`] if there is no such contact.
    pub fn deregister(&mut self, now: Instant, contact: ContactId) -> Result<(), Gone> {
        let slot = contact.0.slot;
        self.contacts.get_mut(contact.0).ok_or(Gone)?.leave(now);
        self.settle(slot);
        Ok(())
    }

    // ---- what is to be sent

    /// What a message to a contact travels over.
    ///
    /// # Errors
    /// [`NoSa`]; the message must not go out in clear.
    pub fn route(&self, contact: ContactId, transport: Transport, message: Message) -> Result<Route, NoSa> {
        let contact = self.contacts.get(contact.0).ok_or(NoSa)?;
        let set = match message {
            Message::Request => contact.in_use(),
            Message::Response { over } => contact.set_over(over).map(|(_, set)| set),
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
        self.at_port(ue, port).next().and_then(|slot| self.contacts.id(slot)).map(ContactId)
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

    // ---- the data path

    /// The next thing that the data path is to do.
    pub fn next_instruction(&mut self) -> Option<Instruction> {
        self.instructions.pop_front()
    }

    /// The SAs of a set, with their keys, while it is temporary; then the data path alone has them.
    pub fn set(&self, id: SetId) -> Option<&SaSet> {
        self.contacts.peek(id.contact)?.keyed_set(id)
    }

    /// Carries out all instructions.
    ///
    /// # Errors
    /// [`InstallError`] if a set could not be installed. It has ended, as for [`Pcscf::install_failed`]; the
    /// instructions behind it are still there.
    pub fn apply(&mut self, sad: &mut Sad) -> Result<(), InstallError> {
        while let Some(instruction) = self.next_instruction() {
            match instruction {
                Instruction::Install(id) => {
                    let Some(set) = self.set(id) else { continue };
                    if sad.holds(set.ends(), Side::Pcscf) {
                        continue;
                    }
                    if let Err(error) = sad.install(set, Side::Pcscf) {
                        self.install_failed(id);
                        return Err(error);
                    }
                }
                Instruction::Remove(_, ends) => {
                    sad.remove_ends(&ends, Side::Pcscf);
                }
            }
        }
        Ok(())
    }

    /// The data path could not install a set: it ends, and so does its authentication. False if the set is not a
    /// temporary one.
    pub fn install_failed(&mut self, id: SetId) -> bool {
        let Some((contact, _)) = self.contacts.at(id.contact) else { return false };
        if contact.temporary.as_ref().is_none_or(|temporary| temporary.set.id != id) {
            return false;
        }
        contact.drop_temporary(&mut self.gone);
        self.settle(id.contact);
        true
    }

    /// Compares the SAs that the data path really holds, in both directions, with those that it should, all instructions
    /// having been carried out. A set that is not whole is removed: its sequence numbers are gone, so that it cannot be
    /// made whole. After a restart of the P-CSCF, everything that is held is an orphan.
    pub fn reconcile(&mut self, held: impl IntoIterator<Item = (Spi, IpAddr)>) -> Reconciled {
        let mut held: HashSet<(Spi, IpAddr)> = held.into_iter().collect();
        let slots: Vec<u32> = self.by_identity.iter().copied().collect();
        let mut lost = Vec::new();
        for slot in slots {
            let Some((contact, _)) = self.contacts.at(slot) else { continue };
            let mut broken = [None; 3];
            for ((slot, set), broken) in contact.sets().zip(&mut broken) {
                let sas = SaName::ALL.map(|name| {
                    let (spi, selector) = set.ends.sa(name);
                    (spi, selector.destination)
                });
                if !sas.iter().all(|sa| held.contains(sa)) {
                    *broken = Some(slot);
                }
                for sa in &sas {
                    held.remove(sa);
                }
            }
            for slot in broken.into_iter().flatten() {
                match slot {
                    Slot::Temporary => contact.drop_temporary(&mut self.gone),
                    Slot::Old => {
                        self.gone.extend(contact.old.take().map(|old| *old));
                        contact.old_in_use = false;
                    }
                    Slot::Current => {
                        lost.push(contact.identity.clone());
                        contact.clear(&mut self.gone);
                    }
                }
            }
            self.settle(slot);
        }
        Reconciled { orphans: held.into_iter().collect(), lost }
    }

    // ---- time

    /// When [`Pcscf::handle_timeout`] has something to do: never later than the first deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Ends what has reached its deadline. Deadlines are kept to an eighth of a second, and never early.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.timers.advance(now);
        while let Some(slot) = self.timers.pop_due() {
            if let Some((contact, _)) = self.contacts.at(slot) {
                contact.expire(now, &mut self.gone);
            }
            self.settle(slot);
        }
    }

    // ---- inside

    /// Reads and judges the Security-Client of an SM1, and its ports.
    fn offer(&self, register: &Register<'_>, contact: Option<u32>) -> Result<Offer, RegisterError> {
        let sm1 = Sm1 {
            ue: register.ue,
            pcscf: register.pcscf,
            impi: register.impi,
            impus: register.impus,
            sec_agree: register.sec_agree,
            security_client: register.security_client,
        };
        let offer = Offer::receive(&self.config.policy, &sm1)?;
        self.ports_free(register.ue, offer.ue().setup.ports, contact)
            .map_err(|port| RegisterError::PortInUse { ue: register.ue, port })?;
        Ok(offer)
    }

    /// TS 33.203 7.1, rule 3: the pair of the UE's address and its client port is new. The server port is the contact's
    /// own or new; a set that a challenge would remove does not count.
    fn ports_free(&self, ue: IpAddr, ports: PortPair, contact: Option<u32>) -> Result<(), NonZeroU16> {
        for port in [ports.client, ports.server] {
            for slot in self.at_port(ue, port) {
                let own = Some(slot) == contact;
                let mut sets = self.contacts.peek(slot).into_iter().flat_map(Contact::sets);
                let taken = sets.any(|(which, set)| {
                    let end = &set.ends.ue;
                    let at = |other: NonZeroU16| end.address == ue && other == port;
                    let replaced = own && which == Slot::Temporary;
                    let stays = own && port == ports.server && end.setup.ports.server == port;
                    !replaced && !stays && (at(end.setup.ports.client) || at(end.setup.ports.server))
                });
                if taken {
                    return Err(port);
                }
            }
        }
        Ok(())
    }

    /// The server port, and a client port that no set of the contact has but one that a challenge removes.
    fn next_ports(&self, slot: u32) -> PortPair {
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

    fn add(&mut self, register: &Register<'_>) -> Result<u32, RegisterError> {
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
    fn find(&self, contact: &str, impi: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((contact, impi));
        let is = |slot: &u32| {
            self.contacts
                .peek(*slot)
                .is_some_and(|known| known.identity.contact() == contact && known.identity.impi() == impi)
        };
        self.by_identity.find(hash, is).copied()
    }

    fn id(&self, slot: u32) -> Result<ContactId, RegisterError> {
        self.contacts.id(slot).map(ContactId).ok_or(RegisterError::Full(self.len))
    }

    /// A number for a request: never the same twice.
    const fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn contact_over(&self, spi: Spi) -> Option<u32> {
        self.by_spi.get(self.spis.slot(spi)? as usize).copied()
    }

    /// The contacts that have a set with this address and port.
    fn at_port(&self, ue: IpAddr, port: NonZeroU16) -> impl Iterator<Item = u32> {
        let at = self.key_at(0, ue, port);
        self.by_port
            .iter_hash(at.hash())
            .filter(move |other| other.hash == at.hash)
            .map(|other| other.contact)
            .filter(move |slot| {
                let mut sets = self.contacts.peek(*slot).into_iter().flat_map(Contact::sets);
                sets.any(|(_, set)| {
                    let end = &set.ends.ue;
                    end.address == ue && [end.setup.ports.client, end.setup.ports.server].contains(&port)
                })
            })
    }

    fn key_at(&self, contact: u32, ue: IpAddr, port: NonZeroU16) -> AtPort {
        AtPort { contact, hash: self.hasher.hash_one((ue, port)) as u32 }
    }

    fn keys_of(&self, set: &Set) -> [AtPort; 2] {
        let end = &set.ends.ue;
        let key = |port| self.key_at(set.id.contact, end.address, port);
        [key(end.setup.ports.client), key(end.setup.ports.server)]
    }

    /// Makes a new set known by its SPIs and ports.
    fn enter(&mut self, slot: u32, set: &Set) {
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
            self.by_port.insert_unique(key.hash(), key, AtPort::hash);
        }
    }

    /// After each step: gives back what the sets that ended had, sets the timer anew, and drops a contact that has
    /// nothing left.
    fn settle(&mut self, slot: u32) {
        while let Some(set) = self.gone.pop() {
            let spis = set.ends.pcscf.setup.spis;
            self.spis.release(spis.client);
            self.spis.release(spis.server);
            for key in self.keys_of(&set) {
                if let Ok(entry) = self.by_port.find_entry(key.hash(), |other| *other == key) {
                    entry.remove();
                }
            }
            self.counters.removed += 1;
            self.instructions.push_back(Instruction::Remove(set.id, set.ends));
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

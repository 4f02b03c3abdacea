//! Messages from the UE: REGISTER, and every other message.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::authorization::{Answers, Authorization, Nonce};
use super::config::WithoutSecAgree;
use super::contact::{Contact, Role};
use super::effects::Effects;
use super::id::{ContactId, RequestId};
use super::identity::{Identity, IdentityError};
use super::open::{Attempt, Offered, Progress};
use super::quotas::Quota;
use super::source::Source;
use super::table::{Full, Pcscf};
use crate::address::{self, AddressError};
use crate::negotiation::pcscf::{Offer, Protection, Sm1, Sm7, Sm7Error};
use crate::negotiation::{Refusal, SecAgree, SipStatus};
use crate::registration::cause::Cause;
use crate::registration::lifetimes::DRAIN;
use crate::registration::route::Over;
use crate::sa::{DataPath, Overlap, Side};
use crate::spi::Spi;
use crate::time::Moment;

/// The parts of a REGISTER that the P-CSCF needs.
///
/// ```
/// use ipsec_3gpp::registration::{Authorization, Over, Register};
/// let (source, destination) = ([10, 1, 0, 16].into(), [10, 0, 0, 1].into());
/// let register = Register::new(Over::Clear, source, destination, "user@example.org")
///     .with_impus(&["sip:user@example.org"])
///     .with_contact("\"<urn:gsma:imei:35-209900-176148-0>\";reg-id=1")
///     .with_authorization(Authorization { nonce: "", response: "", auts: None })
///     .with_security_client(&[
///         "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100",
///     ]);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Register<'a> {
    /// The SA that it came over, or clear.
    pub over: Over,
    /// Source address of the IP packet. The caller has compared it with Via (TS 33.203 7.1, rule
    /// 2). `::ffff:a.b.c.d` is the IPv4 address.
    pub ue: IpAddr,
    /// Destination address of the IP packet.
    pub pcscf: IpAddr,
    /// The number of the link that it came over, for link-local addresses; else 0.
    pub scope: u32,
    /// The private identity, from Authorization.
    pub impi: &'a str,
    /// The public identities that are being registered.
    pub impus: &'a [&'a str],
    /// The string that distinguishes this contact of the user from others: `+sip.instance` and
    /// `reg-id`, say.
    /// Each contact has SAs of its own.
    pub contact: &'a str,
    /// Authorization.
    pub authorization: Authorization<'a>,
    /// It asks for the end of the registration: an expiry of zero.
    pub deregisters: bool,
    /// It claims priority: an emergency registration, or a user with priority.
    pub priority: bool,
    /// Whether Require, Proxy-Require or Supported has `sec-agree`.
    pub sec_agree: SecAgree,
    /// The values of the Security-Client rows, in their order.
    pub security_client: &'a [&'a str],
    /// The values of the Security-Verify rows, in their order.
    pub security_verify: &'a [&'a str],
}

impl<'a> Register<'a> {
    /// A REGISTER from this address to that one, of this private identity, that says nothing else.
    /// Without [`Register::with_contact`] a user has one contact.
    pub const fn new(over: Over, ue: IpAddr, pcscf: IpAddr, impi: &'a str) -> Self {
        Self {
            over,
            ue,
            pcscf,
            scope: 0,
            impi,
            impus: &[],
            contact: "",
            authorization: Authorization { nonce: "", response: "", auts: None },
            deregisters: false,
            priority: false,
            sec_agree: SecAgree::Present,
            security_client: &[],
            security_verify: &[],
        }
    }

    /// Between addresses of the link of this number.
    #[must_use]
    pub const fn with_scope(self, scope: u32) -> Self {
        Self { scope, ..self }
    }

    /// With a claim to the share of the limits that is reserved for emergencies and for users with
    /// priority, or not. Anybody can claim an emergency: the limits per address are the same.
    #[must_use]
    pub const fn with_priority(self, priority: bool) -> Self {
        Self { priority, ..self }
    }

    /// With these public identities.
    #[must_use]
    pub const fn with_impus(self, impus: &'a [&'a str]) -> Self {
        Self { impus, ..self }
    }

    /// With what distinguishes its contact.
    #[must_use]
    pub const fn with_contact(self, contact: &'a str) -> Self {
        Self { contact, ..self }
    }

    /// With this Authorization.
    #[must_use]
    pub const fn with_authorization(self, authorization: Authorization<'a>) -> Self {
        Self { authorization, ..self }
    }

    /// With an expiry of zero, or not.
    #[must_use]
    pub const fn with_deregistration(self, deregisters: bool) -> Self {
        Self { deregisters, ..self }
    }

    /// With or without `sec-agree`; with it, unless said otherwise.
    #[must_use]
    pub const fn with_sec_agree(self, sec_agree: SecAgree) -> Self {
        Self { sec_agree, ..self }
    }

    /// With these rows of Security-Client.
    #[must_use]
    pub const fn with_security_client(self, security_client: &'a [&'a str]) -> Self {
        Self { security_client, ..self }
    }

    /// With these rows of Security-Verify.
    #[must_use]
    pub const fn with_security_verify(self, security_verify: &'a [&'a str]) -> Self {
        Self { security_verify, ..self }
    }
}

/// A REGISTER goes on to the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the core's answer is given to the table with the request"]
#[non_exhaustive]
pub struct Forward {
    /// The contact that it is of.
    pub contact: ContactId,
    /// The name under which the core's answer to it is given to the table.
    pub request: RequestId,
    /// Its protection; `None` if it must not be asserted as protected (TS 33.203 6.1.5).
    pub protection: Option<Protection>,
}

impl Forward {
    /// The value of the parameter `integrity-protected` of Authorization for the core (TS 24.229
    /// 7.2A.2): "yes" or "no". It replaces whatever the UE sent there.
    pub const fn integrity_protected(&self) -> &'static str {
        if self.protection.is_some() { "yes" } else { "no" }
    }
}

/// Why a message is discarded without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Discard {
    /// No set has an SA with this SPI.
    #[error("no set has SPI {0}")]
    UnknownSa(Spi),
    /// The set is not for this message (TS 33.203 7.4): only SM7 comes over a temporary one.
    #[error("the set of SPI {0} is not for this message")]
    WrongSet(Spi),
}

crate::code::codes!(Discard {
    Discard::UnknownSa(_) => "discard-unknown-sa",
    Discard::WrongSet(_) => "discard-wrong-set",
});

/// Why a REGISTER does not go on to the core. Sets in force are not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The security headers are missing, unusable or not what was issued.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The user or contact is not the one of the SA that it came over.
    #[error("{claimed} over an SA of {of_sa}")]
    OtherUser {
        /// The contact and private identity that the REGISTER has.
        claimed: Box<str>,
        /// Those of the SA.
        of_sa: Box<str>,
    },
    /// SM7 has other public identities than SM1.
    #[error("public identities of SM7 differ from those of SM1: {found} and {needed}")]
    OtherImpus {
        /// Those of SM1.
        needed: Box<str>,
        /// Those of SM7.
        found: Box<str>,
    },
    /// It came from another address than the SA that it came over is for.
    #[error("REGISTER from {found} over an SA of {needed}")]
    OtherAddress {
        /// The address of the SA.
        needed: IpAddr,
        /// The source address.
        found: IpAddr,
    },
    /// An identity cannot be one.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The table has as many registered contacts as the configuration allows. Nothing has changed;
    /// a challenge whose SM7 this is stays open.
    #[error("contact limit of {0} reached")]
    Full(u32),
    /// Too much is open in clear at its address.
    #[error(transparent)]
    Quota(#[from] Quota),
    /// To be discarded without an answer.
    #[error(transparent)]
    Discard(#[from] Discard),
}

crate::code::codes!(RegisterError {
    RegisterError::OtherUser { .. } => "register-other-user",
    RegisterError::OtherImpus { .. } => "register-other-impus",
    RegisterError::OtherAddress { .. } => "register-other-address",
    RegisterError::Full(_) => "register-full",
    ;
    RegisterError::Refused(refusal) => refusal,
    RegisterError::Identity(error) => error,
    RegisterError::Quota(error) => error,
    RegisterError::Discard(error) => error,
});

impl RegisterError {
    /// The status of the answer; `None` if there is none.
    pub const fn status(&self) -> Option<SipStatus> {
        match self {
            RegisterError::Refused(refusal) => Some(refusal.status()),
            RegisterError::OtherUser { .. }
            | RegisterError::OtherImpus { .. }
            | RegisterError::OtherAddress { .. } => Some(SipStatus::FORBIDDEN),
            RegisterError::Identity(_) => Some(SipStatus::BAD_REQUEST),
            RegisterError::Full(_) | RegisterError::Quota(_) => Some(SipStatus::SERVICE_UNAVAILABLE),
            RegisterError::Discard(_) => None,
        }
    }
}

impl From<Full> for RegisterError {
    fn from(Full(limit): Full) -> Self {
        RegisterError::Full(limit)
    }
}

impl Pcscf {
    /// A REGISTER arrived.
    ///
    /// # Errors
    /// [`RegisterError`], with the status of the answer, if any. After an SM7 that is not what was
    /// issued, the registration has ended, and its set stays for
    /// [`DRAIN`] so that the answer can be sent over it.
    pub fn register<D: DataPath>(
        &mut self,
        now: Moment,
        register: &Register<'_>,
        data_path: &mut D,
    ) -> Result<Forward, RegisterError> {
        let now = self.at(now, data_path);
        let (ue, pcscf) = (register.ue.to_canonical(), register.pcscf.to_canonical());
        let scope = address::scope(ue, register.scope);
        let canonical = Register { ue, pcscf, scope, ..*register };
        let result = match register.over {
            Over::Clear => self.register_in_clear(now, &canonical, data_path),
            Over::Sa(spi) => self.register_over(now, &canonical, spi, data_path),
        };
        self.counters.refused += u64::from(result.is_err());
        result
    }

    fn register_in_clear<D: DataPath>(
        &mut self,
        now: Moment,
        register: &Register<'_>,
        data_path: &mut D,
    ) -> Result<Forward, RegisterError> {
        let identity = identity(register)?;
        let source = Source::Clear { address: register.ue, scope: register.scope };
        if let Some(slot) = self.find_slot(register.contact, register.impi) {
            self.honour_deadlines(slot, data_path);
        }
        let known = self.find_slot(register.contact, register.impi);
        self.has_room(register, known, source)?;
        let offer = self.offer_in_clear(register)?;
        while let Some((slot, oldest)) = self.quotas.next_to_evict(&self.config, source, register.priority) {
            let cause = Cause::Displaced;
            self.step(slot, data_path, |contact, effects| contact.end_from(oldest, cause, effects));
        }
        // Making room may have ended a contact, this one too.
        let slot = match self.find_slot(register.contact, register.impi) {
            Some(slot) => slot,
            None => self.add(identity.clone())?,
        };
        self.forward(now, register, (slot, source), (offer, identity), data_path).map(|(forward, _)| forward)
    }

    /// The limits of what anybody can send. A REGISTER from an address that has nothing open is
    /// always admitted: where the limit of memory is reached, what has been open for the longest
    /// time gives way.
    fn has_room(
        &self,
        register: &Register<'_>,
        known: Option<u32>,
        source: Source,
    ) -> Result<(), RegisterError> {
        let contact = known.and_then(|slot| self.contacts.peek(slot));
        // Another try takes the place of the one before. A phone that restarts is asked for nothing
        // that others at its address can use up.
        let is_again = contact.is_some_and(|contact| contact.has_open_from(source));
        let restarts = contact.is_some_and(|contact| contact.is_registered_at(register.ue, register.scope));
        if contact.is_none() {
            self.admits_contact(register.priority)?;
        }
        if !is_again && !restarts {
            let from = (register.ue, register.scope);
            self.quotas.admits(&self.config, from, register.impi)?;
        }
        Ok(())
    }

    /// Whether one more contact may register.
    fn admits_contact(&self, priority: bool) -> Result<(), RegisterError> {
        let reserved = if priority { self.config.reserved_contacts } else { 0 };
        let limit = self.config.max_contacts.saturating_add(reserved);
        if self.len() - self.unregistered() < limit { Ok(()) } else { Err(RegisterError::Full(limit)) }
    }

    fn offer_in_clear(&self, register: &Register<'_>) -> Result<Offered, RegisterError> {
        let passes = self.config.without_sec_agree == WithoutSecAgree::Pass;
        if passes && register.sec_agree == SecAgree::Absent && register.security_client.is_empty() {
            let checked = address::checked(register.ue, register.pcscf, register.scope);
            return checked
                .map(|_| Offered::Nothing)
                .map_err(|error: AddressError| Refusal::from(error).into());
        }
        Ok(Offered::Set(self.offer(register)?))
    }

    fn register_over<D: DataPath>(
        &mut self,
        now: Moment,
        register: &Register<'_>,
        spi: Spi,
        data_path: &mut D,
    ) -> Result<Forward, RegisterError> {
        let unknown = Discard::UnknownSa(spi);
        let slot = self.contact_over(spi).ok_or(unknown)?;
        self.honour_deadlines(slot, data_path);
        let contact = self.contacts.peek(slot).ok_or(unknown)?;
        let (role, set) = contact.set_over(spi).ok_or(unknown)?;
        let (protection, of_sa) = (Protection::of(set.suite), set.ends.ue.address);
        if of_sa != register.ue {
            return Err(RegisterError::OtherAddress { needed: of_sa, found: register.ue });
        }
        let known = &contact.identity;
        if known.impi() != register.impi || known.contact() != register.contact {
            let user = |impi: &str, contact: &str| match contact {
                "" => Box::from(impi),
                contact => format!("{impi} {contact}").into_boxed_str(),
            };
            return Err(RegisterError::OtherUser {
                claimed: user(register.impi, register.contact),
                of_sa: user(known.impi(), known.contact()),
            });
        }
        if role == Role::Temporary {
            if !contact.is_registered() {
                self.admits_contact(register.priority)?;
            }
            return self.sm7(now, register, spi, slot, data_path);
        }
        let ended = contact.leaving;
        if role == Role::Current {
            // A message over it, whether it is accepted or not: the UE has the set.
            self.use_current(now, slot, data_path);
        }
        let offer = self.offer_over(register)?;
        let identity = identity(register)?;
        let from = (slot, Source::Sa(spi));
        let (forward, answers) = self.forward(now, register, from, (offer, identity), data_path)?;
        // 6.1.5: without a response, over the set of the latest success, which has not ended.
        let asserted =
            role == Role::Current && !ended && matches!(answers, Answers::Nothing | Answers::Refuses);
        Ok(Forward { protection: asserted.then_some(protection), ..forward })
    }

    /// RFC 3329 2.3.1 wants Security-Client in each REGISTER; one that ends everything announces
    /// nothing that will be used. What it says matters if the core challenges it.
    fn offer_over(&self, register: &Register<'_>) -> Result<Offered, RegisterError> {
        if register.security_client.is_empty() && register.deregisters {
            return Ok(Offered::Nothing);
        }
        match self.offer(register) {
            Ok(offer) => Ok(Offered::Set(offer)),
            Err(refusal @ Refusal::NoHeader { .. }) => Err(refusal.into()),
            Err(refusal) => Ok(Offered::Unusable(Box::new(refusal))),
        }
    }

    /// A REGISTER that is no SM7 goes on to the core.
    fn forward<D: DataPath>(
        &mut self,
        now: Moment,
        register: &Register<'_>,
        (slot, source): (u32, Source),
        (offer, identity): (Offered, Identity),
        data_path: &mut D,
    ) -> Result<(Forward, Answers), RegisterError> {
        let number = self.number();
        let nonce = self.nonce(register.authorization.nonce);
        let Register { deregisters, authorization, priority, .. } = *register;
        let answers = self.step(slot, data_path, |contact, effects| {
            let answers = authorization.answers(nonce, contact.has_open_nonce(nonce), contact.latest_nonce());
            if answers == Answers::Refuses {
                contact.refused_challenge(source, nonce, effects);
            }
            let deadline = now + DRAIN;
            effects.priority = priority;
            contact.await_answer(Attempt { number, offer, identity, source, deregisters, deadline }, effects);
            answers
        });
        match (answers, self.contacts.id(slot)) {
            (Some(answers), Some(id)) => {
                let request = RequestId(self.numbered(slot, number));
                Ok((Forward { contact: ContactId(id), request, protection: None }, answers))
            }
            _ => Err(RegisterError::Full(self.len())),
        }
    }

    /// SM7, or what came in its place over the temporary set.
    fn sm7<D: DataPath>(
        &mut self,
        now: Moment,
        register: &Register<'_>,
        spi: Spi,
        slot: u32,
        data_path: &mut D,
    ) -> Result<Forward, RegisterError> {
        let number = self.number();
        let nonce = self.nonce(register.authorization.nonce);
        let accepted = self.step(slot, data_path, |contact, effects| {
            accept_sm7(contact, now, register, (spi, nonce, number), effects)
        });
        let protection = accepted.unwrap_or(Err(Discard::UnknownSa(spi).into()))?;
        self.displace(slot, spi, data_path);
        let contact = self.contacts.id(slot).map(ContactId).ok_or(Discard::UnknownSa(spi))?;
        let request = RequestId(self.numbered(slot, number));
        Ok(Forward { contact, request, protection: Some(protection) })
    }

    /// The sender of SM7 has IK: it has this set, and cannot have others with the same client port
    /// or SPIs. They go, and what is sent to it goes over this set.
    fn displace<D: DataPath>(&mut self, slot: u32, spi: Spi, data_path: &mut D) {
        let contact = self.contacts.peek(slot);
        let Some(temporary) = contact.and_then(|contact| contact.temporary_over(spi)) else { return };
        let (set, displaces, overlap) = (temporary.set, temporary.displaces, temporary.overlap);
        if displaces {
            for (other, displaced) in self.displaced(set.id, &set.ends) {
                self.step(other, data_path, |contact, effects| {
                    if !contact.outdo(displaced) {
                        contact.lose(displaced, Some(set.id), Cause::Displaced, effects);
                    }
                });
            }
        }
        if overlap != Overlap::Apart {
            let taken = data_path.take_into_use(set.id, Side::Pcscf, &set.ends);
            self.counters.not_taken += u64::from(taken.is_err());
        }
    }

    /// A message other than REGISTER was opened. Returns whose it is. The caller compares the
    /// sender that the message claims with
    /// [`Identity::has_impu`](crate::registration::Identity::has_impu).
    ///
    /// Over a current set that is not in use yet, the message takes it into use. If the data path
    /// cannot, the older set stays in use, and the next message tries again.
    ///
    /// # Errors
    /// [`Discard`]: only SM7 comes over a temporary set.
    pub fn message<D: DataPath>(
        &mut self,
        now: Moment,
        over: Spi,
        data_path: &mut D,
    ) -> Result<ContactId, Discard> {
        let now = self.at(now, data_path);
        let result = self.message_over(now, over, data_path);
        self.counters.discarded += u64::from(result.is_err());
        result
    }

    fn message_over<D: DataPath>(
        &mut self,
        now: Moment,
        spi: Spi,
        data_path: &mut D,
    ) -> Result<ContactId, Discard> {
        let unknown = Discard::UnknownSa(spi);
        let slot = self.contact_over(spi).ok_or(unknown)?;
        self.honour_deadlines(slot, data_path);
        let (contact, id) = self.contacts.at(slot).ok_or(unknown)?;
        let (role, _) = contact.set_over(spi).ok_or(unknown)?;
        match role {
            Role::Temporary => return Err(Discard::WrongSet(spi)),
            Role::Current if contact.current_waits() => self.use_current(now, slot, data_path),
            Role::Current | Role::Old => {}
        }
        Ok(ContactId(id))
    }

    /// The UE has used the current set.
    fn use_current<D: DataPath>(&mut self, now: Moment, slot: u32, data_path: &mut D) {
        if self.contacts.peek(slot).is_some_and(Contact::current_waits) {
            let taken = self.step(slot, data_path, |contact, effects| contact.use_current(now, effects));
            self.counters.not_taken += u64::from(taken.is_some_and(|taken| taken.is_err()));
        }
    }

    /// Reads and judges the Security-Client of an SM1.
    fn offer(&self, register: &Register<'_>) -> Result<Offer, Refusal> {
        let sm1 = Sm1 {
            ue: register.ue,
            pcscf: register.pcscf,
            scope: register.scope,
            sec_agree: register.sec_agree,
            security_client: register.security_client,
        };
        Offer::receive(&self.config.policy, &sm1)
    }
}

/// Who a REGISTER says it is from.
fn identity(register: &Register<'_>) -> Result<Identity, IdentityError> {
    Identity::new(register.contact, register.impi, register.impus)
}

/// Compares SM7 with what was issued. Returns what protected it.
fn accept_sm7<D: DataPath>(
    contact: &mut Contact,
    now: Moment,
    register: &Register<'_>,
    (over, nonce, number): (Spi, Nonce, u64),
    effects: &mut Effects<'_, D>,
) -> Result<Protection, RegisterError> {
    let wrong = || RegisterError::Discard(Discard::WrongSet(over));
    let temporary = contact.temporary_over(over).ok_or_else(wrong)?;
    // Anything but the response to the challenge comes over other SAs (TS 33.203 7.4).
    let is_open = temporary.is_challenged() && temporary.nonce == nonce;
    if register.authorization.answers(nonce, is_open, None) != Answers::Open {
        return Err(wrong());
    }
    if !temporary.identity.has_exactly(register.impus) {
        let needed: Vec<&str> = temporary.identity.impus().collect();
        let [needed, found] = [needed.join(", "), register.impus.join(", ")].map(String::into_boxed_str);
        return Err(RegisterError::OtherImpus { needed, found });
    }
    let (challenge, id) = contact.take_challenge(over).ok_or_else(wrong)?;
    let Register { security_client, security_verify, deregisters, .. } = *register;
    match challenge.receive_sm7(&Sm7 { over, security_client, security_verify }) {
        Ok(response) => {
            let protection = response.protection();
            contact.progressed(id, Progress::Answered { number, deregisters }, effects);
            Ok(protection)
        }
        Err(Sm7Error::WrongSa { challenge, .. }) => {
            contact.progressed(id, Progress::Challenged(challenge), effects);
            Err(wrong())
        }
        Err(Sm7Error::Refused(refusal)) => {
            contact.fail(id, now);
            contact.progressed(id, Progress::Failed, effects);
            Err(refusal.into())
        }
    }
}

//! Messages from the UE: REGISTER, and every other message.

use core::net::IpAddr;

use super::authorization::{Answers, Authorization};
use super::contact::{Attempt, Contact, Progress, Role};
use super::id::{ContactId, RequestId};
use super::identity::Identity;
use super::table::{Full, InUse, Pcscf};
use crate::negotiation::pcscf::{Offer, Protection, Sm1, Sm7, Sm7Error};
use crate::negotiation::{Refusal, SecAgree, SipStatus};
use crate::registration::lifetimes::DRAIN;
use crate::registration::route::Over;
use crate::sa::DataPath;
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
    /// 2).
    pub ue: IpAddr,
    /// Destination address of the IP packet.
    pub pcscf: IpAddr,
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
            impi,
            impus: &[],
            contact: "",
            authorization: Authorization { nonce: "", response: "", auts: None },
            deregisters: false,
            sec_agree: SecAgree::Present,
            security_client: &[],
            security_verify: &[],
        }
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
    #[error("user or contact is not the one of the SA")]
    OtherUser,
    /// An identity has a line break.
    #[error("identity with a line break")]
    Identity,
    /// The UE announces what is already in use.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The table has as many contacts as the configuration allows. Nothing has changed.
    #[error("contact limit of {0} reached")]
    Full(u32),
    /// To be discarded without an answer.
    #[error(transparent)]
    Discard(#[from] Discard),
}

crate::code::codes!(RegisterError {
    RegisterError::OtherUser => "register-other-user",
    RegisterError::Identity => "register-identity",
    RegisterError::Full(_) => "register-full",
    ;
    RegisterError::Refused(refusal) => refusal,
    RegisterError::InUse(error) => error,
    RegisterError::Discard(error) => error,
});

impl RegisterError {
    /// The status of the answer; `None` if there is none.
    pub const fn status(&self) -> Option<SipStatus> {
        match self {
            RegisterError::Refused(refusal) => Some(refusal.status()),
            RegisterError::OtherUser => Some(SipStatus::FORBIDDEN),
            RegisterError::Identity | RegisterError::InUse(_) => Some(SipStatus::BAD_REQUEST),
            RegisterError::Full(_) => Some(SipStatus::SERVICE_UNAVAILABLE),
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
    /// [`DRAIN`](crate::registration::DRAIN) so that the answer can be sent over it.
    pub fn register<D: DataPath>(
        &mut self,
        now: Moment,
        register: &Register<'_>,
        data_path: &mut D,
    ) -> Result<Forward, RegisterError> {
        self.counters.events_lost += self.events.trim();
        let result = match register.over {
            Over::Clear => self.register_in_clear(now, register, data_path),
            Over::Sa(spi) => self.register_over(now, register, spi, data_path),
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
        let known = self.find(register.contact, register.impi);
        let offer = self.offer(register, known)?;
        let identity = identity(register)?;
        let slot = match known {
            Some(slot) => slot,
            None => self.add(identity.clone())?,
        };
        self.forward(now, register, slot, (Some(offer), identity), data_path).map(|(forward, _)| forward)
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
        let contact = self.contacts.peek(slot).ok_or(unknown)?;
        let (role, set) = contact.set_over(spi).ok_or(unknown)?;
        let protection = Protection::of(set.suite);
        if contact.identity.impi() != register.impi || contact.identity.contact() != register.contact {
            return Err(RegisterError::OtherUser);
        }
        if role == Role::Temporary {
            return self.sm7(now, register, spi, slot, data_path);
        }
        if role == Role::Current {
            // A message over it, whether it is accepted or not: the UE has the set.
            self.use_current(now, slot, data_path);
        }
        // RFC 3329 2.3.1 wants Security-Client in each REGISTER; only a de-registration can do
        // without.
        let offer = match (register.security_client, register.deregisters) {
            ([], true) => None,
            _ => Some(self.offer(register, Some(slot))?),
        };
        let identity = identity(register)?;
        let (forward, answers) = self.forward(now, register, slot, (offer, identity), data_path)?;
        // 6.1.5: without a response, over the set of the latest success.
        let asserted = role == Role::Current && matches!(answers, Answers::Nothing | Answers::Refuses);
        Ok(Forward { protection: asserted.then_some(protection), ..forward })
    }

    /// A REGISTER that is no SM7 goes on to the core.
    fn forward<D: DataPath>(
        &mut self,
        now: Moment,
        register: &Register<'_>,
        slot: u32,
        (offer, identity): (Option<Offer>, Identity),
        data_path: &mut D,
    ) -> Result<(Forward, Answers), RegisterError> {
        let number = self.number();
        let nonce = self.nonce(register.authorization.nonce);
        let Register { over, deregisters, authorization, .. } = *register;
        let answers = self.step(slot, data_path, |contact, effects| {
            let answers = authorization.answers(nonce, contact.open_nonce(), contact.latest_nonce());
            if answers == Answers::Refuses {
                contact.refused_challenge(over, effects);
            }
            let deadline = now + DRAIN;
            contact.await_answer(Attempt { number, offer, identity, over, deregisters, deadline }, effects);
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
        let accepted = self.step(slot, data_path, |contact, _| {
            let answers = register.authorization.answers(nonce, contact.open_nonce(), None);
            // Anything but the response to the challenge comes over other SAs (TS 33.203 7.4).
            if answers != Answers::Open {
                return Err(Discard::WrongSet(spi).into());
            }
            accept_sm7(contact, now, register, spi, number)
        });
        let protection = accepted.unwrap_or(Err(Discard::UnknownSa(spi).into()))?;
        let contact = self.contacts.id(slot).map(ContactId).ok_or(Discard::UnknownSa(spi))?;
        let request = RequestId(self.numbered(slot, number));
        Ok(Forward { contact, request, protection: Some(protection) })
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

    /// Reads and judges the Security-Client of an SM1, and its ports.
    fn offer(&self, register: &Register<'_>, contact: Option<u32>) -> Result<Offer, RegisterError> {
        let sm1 = Sm1 {
            ue: register.ue,
            pcscf: register.pcscf,
            sec_agree: register.sec_agree,
            security_client: register.security_client,
        };
        let offer = Offer::receive(&self.config.policy, &sm1)?;
        self.is_free(&offer, contact)?;
        Ok(offer)
    }
}

/// Who a REGISTER says it is from.
fn identity(register: &Register<'_>) -> Result<Identity, RegisterError> {
    Identity::new(register.contact, register.impi, register.impus).ok_or(RegisterError::Identity)
}

/// Compares SM7 with what was issued. Returns what protected it.
fn accept_sm7(
    contact: &mut Contact,
    now: Moment,
    register: &Register<'_>,
    over: Spi,
    number: u64,
) -> Result<Protection, RegisterError> {
    let wrong = || RegisterError::Discard(Discard::WrongSet(over));
    let temporary = contact.temporary.as_mut().ok_or_else(wrong)?;
    let challenge = match core::mem::replace(&mut temporary.progress, Progress::Failed) {
        Progress::Challenged(challenge) => challenge,
        progress @ (Progress::Answered { .. } | Progress::Failed) => {
            temporary.progress = progress;
            return Err(wrong());
        }
    };
    let Register { security_client, security_verify, deregisters, .. } = *register;
    match challenge.receive_sm7(&Sm7 { over, security_client, security_verify }) {
        Ok(response) => {
            let protection = response.protection();
            temporary.progress = Progress::Answered { number, deregisters };
            Ok(protection)
        }
        Err(Sm7Error::WrongSa { challenge, .. }) => {
            temporary.progress = Progress::Challenged(challenge);
            Err(wrong())
        }
        Err(Sm7Error::Refused(refusal)) => {
            contact.fail(now);
            Err(refusal.into())
        }
    }
}

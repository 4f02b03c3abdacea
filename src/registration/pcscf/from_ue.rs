//! What arrives from the UE: REGISTER, and every other message.

use alloc::boxed::Box;
use core::net::IpAddr;

use super::from_core::RequestId;
use super::table::{ContactId, InUse, Pcscf};
use crate::negotiation::pcscf::{Offer, Protection, Sm1, Sm7, Sm7Error};
use crate::negotiation::{Refusal, SecAgree, SipStatus};
use crate::registration::DRAIN;
use crate::registration::contact::{Attempt, Contact, Slot, Step};
use crate::spi::Spi;
use crate::time::Instant;

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
    /// The user, or the contact, is not the one of the SA that it came over.
    #[error("the user or contact is not the one of the SA")]
    OtherUser,
    /// An identity has a line break.
    #[error("an identity with a line break")]
    Identity,
    /// The UE has announced what is in use.
    #[error(transparent)]
    InUse(#[from] InUse),
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
            RegisterError::Identity | RegisterError::InUse(_) => Some(SipStatus::BAD_REQUEST),
            RegisterError::Full(_) => Some(SipStatus::SERVICE_UNAVAILABLE),
            RegisterError::Discard(_) => None,
        }
    }
}

impl Pcscf {
    /// A REGISTER arrived.
    ///
    /// # Errors
    /// [`RegisterError`], with the status of the answer, if any. After an SM7 that is not what was issued, the
    /// registration has ended, and its set stays for [`DRAIN`](crate::registration::DRAIN) so that the answer can be sent over it.
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
                contact.refused_challenge(Over::Clear, &mut self.gone);
            }
            contact.attempts(Attempt {
                number,
                offer: Some(offer),
                over: Over::Clear,
                deregisters: register.deregisters,
                deadline: now + DRAIN,
            });
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
        if contact.identity.impi() != register.impi || contact.identity.contact() != register.contact {
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
        // A message over it, whatever becomes of it: the UE has the set.
        if which == Slot::Current && contact.old_in_use {
            contact.use_current(now);
            self.settle(slot);
        }
        // RFC 3329 2.3.1 wants Security-Client in each REGISTER; only one that ends everything can do without.
        let offer = if register.security_client.is_empty() && register.deregisters {
            None
        } else {
            Some(self.offer(register, Some(slot))?)
        };
        let Some((contact, _)) = self.contacts.at(slot) else { return Err(Discard::UnknownSa(spi).into()) };
        if register.authentication == Authentication::Failure {
            contact.refused_challenge(register.over, &mut self.gone);
        }
        contact.attempts(Attempt {
            number,
            offer,
            over: register.over,
            deregisters: register.deregisters,
            deadline: now + DRAIN,
        });
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
                let deregisters = register.deregisters;
                temporary.step = Step::Answered { response: Box::new(response), number, deregisters };
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
    /// check ([`Identity::has_impu`](crate::registration::Identity::has_impu)).
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
        self.is_free(&offer, contact)?;
        if register.impus.iter().any(|impu| impu.contains('\n')) {
            return Err(RegisterError::Identity);
        }
        Ok(offer)
    }
}

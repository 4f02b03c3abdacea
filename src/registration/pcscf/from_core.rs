//! What arrives from the core: a challenge, a 2xx, an error.

use alloc::boxed::Box;
use core::time::Duration;

use super::from_ue::Over;
use super::table::{ContactId, InUse, Pcscf};
use crate::key::{Ck, Ik};
use crate::negotiation::SipStatus;
use crate::negotiation::pcscf as negotiation;
use crate::registration::contact::{Set, Step, Temporary};
use crate::registration::instruction::{Instruction, SetId};
use crate::registration::{GRACE, REG_AWAIT_AUTH};
use crate::sa::SaName;
use crate::sec_agree::{SecurityServer, Setup};
use crate::spi::SpisExhausted;
use crate::time::Instant;

/// A REGISTER that was sent on to the core: its answer must be for this one, and not for one that came before or after
/// it. No other ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    pub(super) contact: ContactId,
    pub(super) number: u64,
}

impl RequestId {
    /// The contact that it is of.
    pub const fn contact(self) -> ContactId {
        self.contact
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
    /// In the meantime somebody at the same address took what the UE has announced.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The set could not be made.
    #[error(transparent)]
    Set(#[from] negotiation::ChallengeError),
}

impl ChallengeError {
    /// The status of the answer to SM1.
    pub const fn status(&self) -> SipStatus {
        match self {
            ChallengeError::Spis(_) => SipStatus::SERVICE_UNAVAILABLE,
            ChallengeError::InUse(_) => SipStatus::BAD_REQUEST,
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

impl Pcscf {
    /// The core challenges a REGISTER that was no answer to a challenge: a 401 with CK and IK. A 401 to SM7 ends that
    /// authentication ([`Pcscf::failure`]); the UE begins anew. What there was of an unfinished authentication ends.
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
        let contact = self.contacts.get(request.contact.0).ok_or(Gone)?;
        let attempt = contact.attempt(request.number).ok_or(Gone)?;
        let offer = attempt.offer.as_ref().ok_or(Gone)?;
        self.is_free(offer, Some(slot))?;
        // Those that the UE sent now, and those of its other sets.
        let mut of_ue = offer.spis();
        of_ue.extend(contact.sets().flat_map(|(_, set)| {
            let spis = set.ends.ue.setup.spis;
            [spis.client, spis.server]
        }));
        let spis = self.spis.allocate_pair(&of_ue)?;
        let result = self.make_set(now, request, Setup { spis, ports: self.next_ports(slot) }, (ck, ik));
        match result {
            Ok((temporary, security_server)) => {
                let (set, over) = (temporary.set, temporary.over);
                if let Some((contact, _)) = self.contacts.at(slot) {
                    contact.challenge(temporary, &mut self.gone);
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
        request: RequestId,
        setup: Setup,
        (ck, ik): (&Ck, &Ik),
    ) -> Result<(Temporary, SecurityServer), ChallengeError> {
        let contact = self.contacts.get_mut(request.contact.0).ok_or(Gone)?;
        let attempt = contact.attempt_mut(request.number).ok_or(Gone)?;
        let (offer, over) = (attempt.offer.take().ok_or(Gone)?, attempt.over);
        let challenge = offer.challenge(setup, ck, ik).map_err(|rejected| {
            attempt.offer = Some(*rejected.state);
            rejected.error
        })?;
        contact.take_attempt(request.number);
        let security_server = challenge.security_server().clone();
        let number = self.number();
        self.counters.sets += 1;
        let set = Set {
            id: SetId { contact: request.contact.0.slot, number },
            ends: *challenge.set().ends(),
            suite: challenge.set().suite(),
            deadline: now + REG_AWAIT_AUTH,
        };
        let step = Step::Challenged(Box::new(challenge));
        Ok((Temporary { set, step, over }, security_server))
    }

    /// The core accepted a REGISTER with a 2xx, for so long. After SM7, the temporary set is the current one; otherwise
    /// the current set lives on, or everything drains after a de-registration.
    ///
    /// # Errors
    /// [`Gone`] if this REGISTER does not await an answer.
    pub fn success(&mut self, now: Instant, request: RequestId, expires: Duration) -> Result<Sm12, Gone> {
        let contact = self.contacts.get_mut(request.contact.0).ok_or(Gone)?;
        let registration_ends = now + expires + GRACE;
        let answered = contact.answered(request.number).map(|temporary| {
            let deregisters = matches!(temporary.step, Step::Answered { deregisters: true, .. });
            (temporary.set, deregisters || expires.is_zero())
        });
        let sm12 = if let Some((set, leaves)) = answered {
            self.unregistered -= u32::from(!contact.registered);
            contact.promote(registration_ends, &mut self.gone);
            if leaves {
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

    /// The core refused a REGISTER. A temporary set stays for [`DRAIN`](crate::registration::DRAIN), so that the answer can be sent
    /// over it.
    ///
    /// # Errors
    /// [`Gone`] if this REGISTER does not await an answer.
    pub fn failure(&mut self, now: Instant, request: RequestId) -> Result<Ended, Gone> {
        let contact = self.contacts.get_mut(request.contact.0).ok_or(Gone)?;
        let over = if let Some(temporary) = contact.answered(request.number) {
            let (server_sa, _) = temporary.set.ends.sa(SaName::UeClientToPcscfServer);
            // Where the set that SM1 came over has gone in the meantime, the new one is what there is.
            let over = match temporary.over {
                Over::Sa(spi) if contact.set_over(spi).is_some() => Over::Sa(spi),
                Over::Sa(_) | Over::Clear => Over::Sa(server_sa),
            };
            contact.fail(now);
            over
        } else {
            contact.take_attempt(request.number).ok_or(Gone)?.over
        };
        self.settle(request.contact.0.slot);
        Ok(Ended { over })
    }

    /// The network ended a registration: all sets stay for [`DRAIN`](crate::registration::DRAIN), so that the messages that say so can be sent.
    ///
    /// # Errors
    /// [`Gone`] if there is no such contact.
    pub fn deregister(&mut self, now: Instant, contact: ContactId) -> Result<(), Gone> {
        let slot = contact.0.slot;
        self.contacts.get_mut(contact.0).ok_or(Gone)?.leave(now);
        self.settle(slot);
        Ok(())
    }
}

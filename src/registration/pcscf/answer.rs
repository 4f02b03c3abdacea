//! Answers of the core: a challenge, a 2xx, an error.

use alloc::boxed::Box;
use core::time::Duration;

use super::contact::{Attempt, Progress, Set, Temporary};
use super::id::{ContactId, RequestId};
use super::table::{InUse, Pcscf};
use crate::key::{Ck, Ik};
use crate::negotiation::SipStatus;
use crate::negotiation::pcscf::Sm6MakeError;
use crate::registration::cause::Cause;
use crate::registration::lifetimes::{GRACE, REG_AWAIT_AUTH};
use crate::registration::route::Over;
use crate::sa::{DataPath, SetId, Side};
use crate::sec_agree::SecurityServer;
use crate::setup::Setup;
use crate::spi::SpisExhausted;
use crate::time::Moment;

/// An unknown or superseded contact, request or set: it has ended, or a newer one has taken its
/// place. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown or superseded contact, request or set")]
pub struct Gone;

crate::code::codes!(Gone { Gone => "gone", });

/// SM6 can be sent: its SAs are in place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "SM6 is sent with these values"]
#[non_exhaustive]
pub struct Sm6 {
    /// The contact that it is for.
    pub contact: ContactId,
    /// Its Security-Server.
    pub security_server: SecurityServer,
    /// The SA that SM1 came over, or clear, for [`Pcscf::route_response`].
    pub over: Over,
    /// The set that SM7 will come over.
    pub set: SetId,
}

/// Why there is no SM6. The request still awaits an answer: another challenge, or an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError<E> {
    /// There is nothing to challenge.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// There are no SPIs left.
    #[error(transparent)]
    Spis(#[from] SpisExhausted),
    /// Since SM1, another UE at the same address has taken what this one announced.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The set cannot be made.
    #[error(transparent)]
    Set(#[from] Sm6MakeError),
    /// The data path could not install the set. An earlier unfinished authentication of the contact
    /// has ended.
    #[error("data path: {0}")]
    DataPath(E),
}

impl<E> ChallengeError<E> {
    /// The status of the answer to SM1.
    pub const fn status(&self) -> SipStatus {
        match self {
            ChallengeError::Spis(_) => SipStatus::SERVICE_UNAVAILABLE,
            ChallengeError::InUse(_) => SipStatus::BAD_REQUEST,
            ChallengeError::Gone(_) | ChallengeError::Set(_) | ChallengeError::DataPath(_) => {
                SipStatus::SERVER_INTERNAL_ERROR
            }
        }
    }
}

crate::code::codes!(<E> ChallengeError<E> {
    ChallengeError::DataPath(_) => "challenge-data-path",
    ;
    ChallengeError::Gone(error) => error,
    ChallengeError::Spis(error) => error,
    ChallengeError::InUse(error) => error,
    ChallengeError::Set(error) => error,
});

/// A 2xx of the core goes to the UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sm12 {
    /// The contact that it is for.
    pub contact: ContactId,
    /// The SA that the REGISTER came over, or clear, for [`Pcscf::route_response`].
    pub over: Over,
    /// The set that was set up; `None` if one was refreshed or ended.
    pub new_set: Option<SetId>,
}

/// Why a 2xx changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SuccessError<E> {
    /// The REGISTER awaits no answer.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The data path could not take the new set into use. The REGISTER still awaits an answer.
    #[error("data path: {0}")]
    DataPath(E),
}

crate::code::codes!(<E> SuccessError<E> {
    SuccessError::DataPath(_) => "success-data-path",
    ;
    SuccessError::Gone(error) => error,
});

/// An error of the core goes to the UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// The contact that it is for. It may have left the table with this.
    pub contact: ContactId,
    /// The SA that it is sent over, or clear, for [`Pcscf::route_response`]. After SM7 that is the
    /// new set where SM1 came in clear, and otherwise the set that SM1 came over (TS 33.203
    /// 7.4.1a).
    pub over: Over,
}

impl Pcscf {
    /// The core challenges a REGISTER that answered no challenge: a 401 with a nonce, CK and IK.
    /// The new set is installed before this returns. An unfinished authentication of the
    /// contact ends.
    ///
    /// A 401 to SM7 ends that authentication ([`Pcscf::failure`]); the UE begins again.
    ///
    /// # Errors
    /// [`ChallengeError`]; the request still awaits an answer.
    pub fn challenge<D: DataPath>(
        &mut self,
        now: Moment,
        request: RequestId,
        nonce: &str,
        ck: &Ck,
        ik: &Ik,
        data_path: &mut D,
    ) -> Result<Sm6, ChallengeError<D::Error>> {
        let (slot, number) = self.request(request).ok_or(Gone)?;
        let contact = self.contacts.peek(slot).ok_or(Gone)?;
        let offer = contact.attempt(number).and_then(|attempt| attempt.offer.as_ref()).ok_or(Gone)?;
        self.is_free(offer, Some(slot))?;
        // Those that the UE sent now, and those of its other sets.
        let mut of_ue = offer.spis();
        of_ue.extend(contact.sets().flat_map(|(_, set)| {
            let spis = set.ends.ue.setup.spis;
            [spis.client, spis.server]
        }));
        let spis = self.spis.allocate_pair(&of_ue)?;
        let setup = Setup { spis, ports: self.next_ports(slot) };
        let number_of_set = self.number();
        let id = SetId(self.numbered(slot, number_of_set));
        let nonce = self.nonce(nonce);
        let made = self.step(slot, data_path, |contact, effects| {
            let Some(attempt) = contact.take_attempt(number) else { return Err(Gone.into()) };
            let Attempt { offer: Some(offer), identity, over, deregisters, deadline, .. } = attempt else {
                contact.restore_attempt(attempt);
                return Err(Gone.into());
            };
            let mut refuse = |offer, identity, error| {
                let offer = Some(offer);
                contact.restore_attempt(Attempt { number, offer, identity, over, deregisters, deadline });
                Err(error)
            };
            let challenge = match offer.challenge(setup, ck, ik) {
                Ok(challenge) => challenge,
                Err(rejected) => return refuse(*rejected.state, identity, rejected.error.into()),
            };
            // The new set may have the ports of the one that it displaces.
            contact.drop_temporary(Cause::Displaced, effects);
            if let Err(error) = effects.data_path.install(id, Side::Pcscf, challenge.set()) {
                let error = ChallengeError::DataPath(error);
                let offer = Some(challenge.withdrawn());
                contact.restore_attempt(Attempt { number, offer, identity, over, deregisters, deadline });
                return Err(error);
            }
            let (ends, suite) = (*challenge.set().ends(), challenge.set().suite());
            let set = Set { id, ends, suite, deadline: now + REG_AWAIT_AUTH, numbers_low: false };
            let security_server = challenge.security_server().clone();
            let progress = Progress::Challenged(Box::new(challenge));
            contact.temporary = Some(Box::new(Temporary { set, progress, identity, over, nonce }));
            Ok((set, security_server, over))
        });
        match made.unwrap_or(Err(Gone.into())) {
            Ok((set, security_server, over)) => {
                self.counters.sets += 1;
                self.enter(slot, &set);
                let contact = self.contacts.id(slot).map(ContactId).ok_or(Gone)?;
                Ok(Sm6 { contact, security_server, over, set: id })
            }
            Err(error) => {
                self.spis.release(spis.client);
                self.spis.release(spis.server);
                Err(error)
            }
        }
    }

    /// The core accepted a REGISTER with a 2xx that expires after this time. After SM7, the
    /// temporary set becomes the current one; otherwise the current set lives on, or everything
    /// drains after a de-registration.
    ///
    /// # Errors
    /// [`SuccessError`]; nothing has changed.
    pub fn success<D: DataPath>(
        &mut self,
        now: Moment,
        request: RequestId,
        expires: Duration,
        data_path: &mut D,
    ) -> Result<Sm12, SuccessError<D::Error>> {
        let (slot, number) = self.request(request).ok_or(Gone)?;
        let contact = self.contacts.id(slot).map(ContactId).ok_or(Gone)?;
        let ends = now + expires + GRACE;
        let result: Option<Result<_, SuccessError<D::Error>>> =
            self.step(slot, data_path, |contact, effects| {
                let answered = contact.answered(number).map(|temporary| {
                    let deregisters =
                        matches!(temporary.progress, Progress::Answered { deregisters: true, .. });
                    (temporary.set, deregisters || expires.is_zero())
                });
                if let Some((set, leaves)) = answered {
                    contact.promote(ends, effects).map_err(SuccessError::DataPath)?;
                    if leaves {
                        contact.leave(now, effects);
                    }
                    return Ok((Over::Sa(set.server_spi()), Some(set.id)));
                }
                let attempt = contact.take_attempt(number).ok_or(Gone)?;
                if attempt.deregisters || expires.is_zero() {
                    contact.leave(now, effects);
                    effects.done.cause.get_or_insert(Cause::Deregistered);
                } else if attempt.over != Over::Clear {
                    contact.extend(ends);
                }
                Ok((attempt.over, None))
            });
        let (over, new_set) = result.ok_or(Gone)??;
        self.counters.registered += u64::from(new_set.is_some());
        self.counters.refreshed += u64::from(new_set.is_none() && over != Over::Clear && !expires.is_zero());
        Ok(Sm12 { contact, over, new_set })
    }

    /// The core refused a REGISTER. A temporary set stays for
    /// [`DRAIN`](crate::registration::DRAIN), so that the answer can be sent over it.
    ///
    /// # Errors
    /// [`Gone`] if this REGISTER awaits no answer.
    pub fn failure<D: DataPath>(
        &mut self,
        now: Moment,
        request: RequestId,
        data_path: &mut D,
    ) -> Result<Failed, Gone> {
        let (slot, number) = self.request(request).ok_or(Gone)?;
        let contact = self.contacts.id(slot).map(ContactId).ok_or(Gone)?;
        let over = self.step(slot, data_path, |contact, effects| {
            let Some(temporary) = contact.answered(number) else {
                effects.done.cause = Some(Cause::Refused);
                return contact.take_attempt(number).map(|attempt| attempt.over);
            };
            // Where the set that SM1 came over has gone in the meantime, the new one is what there
            // is.
            let over = match temporary.over {
                Over::Sa(spi) if contact.set_over(spi).is_some() => Over::Sa(spi),
                Over::Sa(_) | Over::Clear => Over::Sa(temporary.set.server_spi()),
            };
            contact.fail(now);
            Some(over)
        });
        over.flatten().map(|over| Failed { contact, over }).ok_or(Gone)
    }
}

//! Answers of the core: a challenge, a 2xx, an error.

use alloc::boxed::Box;
use core::time::Duration;

use super::id::{ContactId, RequestId};
use super::identity::IdentityError;
use super::neighbours::InUse;
use super::open::{Attempt, Offered, Progress, Set, Temporary};
use super::table::Pcscf;
use crate::key::{Ck, Ik};
use crate::negotiation::pcscf::Sm6MakeError;
use crate::negotiation::{Refusal, SipStatus};
use crate::registration::cause::Cause;
use crate::registration::lifetimes::{GRACE, REG_AWAIT_AUTH};
use crate::registration::route::Over;
use crate::sa::{DataPath, Endpoint, Ends, SetId, Side};
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError<E> {
    /// There is nothing to challenge.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The request is an SM7: its authentication has failed ([`Pcscf::failure`]), and the UE
    /// registers anew.
    #[error("SM7 was challenged again")]
    Sm7,
    /// The REGISTER offers no SAs: it ends the registration, or its sender does not know of
    /// security agreement. Its 401 goes on as it is.
    #[error("REGISTER without an offer was challenged")]
    NoOffer,
    /// What the REGISTER offers cannot be used. It came over an SA, so that this matters only now.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// There are no SPIs left.
    #[error(transparent)]
    Spis(#[from] SpisExhausted),
    /// A UE that has SAs announced a client port or an SPI that is in use at its address (TS 33.203
    /// 7.1, rule 3).
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
            ChallengeError::Sm7 | ChallengeError::NoOffer => SipStatus::UNAUTHORIZED,
            ChallengeError::Refused(refusal) => refusal.status(),
            ChallengeError::Gone(_) | ChallengeError::Set(_) | ChallengeError::DataPath(_) => {
                SipStatus::SERVER_INTERNAL_ERROR
            }
        }
    }
}

crate::code::codes!(<E> ChallengeError<E> {
    ChallengeError::Sm7 => "challenge-sm7",
    ChallengeError::NoOffer => "challenge-no-offer",
    ChallengeError::DataPath(_) => "challenge-data-path",
    ;
    ChallengeError::Refused(refusal) => refusal,
    ChallengeError::Gone(error) => error,
    ChallengeError::Spis(error) => error,
    ChallengeError::InUse(error) => error,
    ChallengeError::Set(error) => error,
});

/// What a 2xx of the core says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted<'a> {
    /// How long it is until the registration expires; zero after a de-registration.
    pub expires: Duration,
    /// The public identities that are registered for this contact now; `None` if that is not known.
    pub impus: Option<&'a [&'a str]>,
}

impl<'a> Accepted<'a> {
    /// A 2xx that expires after this time. Those identities are registered now that REGISTERs have
    /// named, one more or one fewer with each.
    pub const fn new(expires: Duration) -> Self {
        Self { expires, impus: None }
    }

    /// The public identities that are registered for this contact now: those of P-Associated-URI,
    /// and those of its other registrations. With none of them the registration has ended.
    ///
    /// Where the network registers more than a REGISTER names (an implicit registration set), only
    /// this tells when the last one is gone.
    #[must_use]
    pub const fn with_impus(self, impus: &'a [&'a str]) -> Self {
        Self { impus: Some(impus), ..self }
    }
}

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
    /// A public identity that was told cannot be one. The REGISTER still awaits an answer.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The data path could not take the new set into use, or extend the life of a set. The REGISTER
    /// still awaits an answer.
    #[error("data path: {0}")]
    DataPath(E),
}

crate::code::codes!(<E> SuccessError<E> {
    SuccessError::DataPath(_) => "success-data-path",
    ;
    SuccessError::Gone(error) => error,
    SuccessError::Identity(error) => error,
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
    /// The new set is installed before this returns. An earlier challenge to the same source, over
    /// SAs or in clear from the same address, ends if its SM7 has not been verified.
    ///
    /// A 401 to SM7 ends that authentication: [`ChallengeError::Sm7`], then [`Pcscf::failure`]. The
    /// UE begins again.
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
        let now = self.at(now, data_path);
        let (slot, number) = self.request(request).ok_or(Gone)?;
        self.honour_deadlines(slot, data_path);
        let contact = self.contacts.peek(slot).ok_or(Gone)?;
        if contact.answered(number).is_some() {
            return Err(ChallengeError::Sm7);
        }
        let attempt = contact.attempt(number).ok_or(Gone)?;
        let source = attempt.source;
        let offer = match &attempt.offer {
            Offered::Set(offer) => offer,
            Offered::Nothing => return Err(ChallengeError::NoOffer),
            Offered::Unusable(refusal) => return Err(ChallengeError::Refused(refusal.clone())),
        };
        if !source.is_clear() {
            self.is_free(slot, source, offer)?;
        }
        // Those that the UE sent now, and those of its other sets.
        let mut of_ue = offer.spis();
        let here = (offer.ue().address, offer.scope());
        of_ue.extend(contact.sets_at(here.0, Some(here.1)).flat_map(|(_, set)| {
            let spis = set.ends.ue.setup.spis;
            [spis.client, spis.server]
        }));
        let ports = self.next_ports(slot, source, offer);
        let (ue, address, scope) = (offer.ue(), offer.pcscf(), offer.scope());
        let spis = self.spis.allocate_pair(&of_ue)?;
        let setup = Setup { spis, ports };
        let ends = Ends { ue, pcscf: Endpoint { address, setup }, scope };
        let (overlap, displaces) = self.overlap(slot, source, &ends);
        let number_of_set = self.number();
        let id = SetId(self.numbered(slot, number_of_set));
        let nonce = self.nonce(nonce);
        let made = self.step(slot, data_path, |contact, effects| {
            let Some(attempt) = contact.take_attempt(number, effects) else { return Err(Gone.into()) };
            let Attempt { offer: Offered::Set(offer), identity, deregisters, deadline, .. } = attempt else {
                contact.restore_attempt(attempt, effects);
                return Err(ChallengeError::NoOffer);
            };
            let restored = |offer, identity| {
                let offer = Offered::Set(offer);
                Attempt { number, offer, identity, source, deregisters, deadline }
            };
            let challenge = match offer.challenge(setup, ck, ik) {
                Ok(challenge) => challenge,
                Err(rejected) => {
                    contact.restore_attempt(restored(*rejected.state, identity), effects);
                    return Err(rejected.error.into());
                }
            };
            contact.supersede(source, effects);
            if let Err(error) = effects.data_path.install(id, Side::Pcscf, challenge.set(), overlap) {
                contact.restore_attempt(restored(challenge.withdrawn(), identity), effects);
                return Err(ChallengeError::DataPath(error));
            }
            let suite = challenge.set().suite();
            let deadline = now + REG_AWAIT_AUTH;
            let set = Set { id, ends, suite, deadline, installed: now.as_secs(), numbers_low: false };
            let security_server = challenge.security_server().clone();
            let progress = Progress::Challenged(Box::new(challenge));
            let outdone = false;
            let temporary = Temporary { set, progress, identity, source, nonce, overlap, displaces, outdone };
            contact.challenged(temporary, effects);
            Ok((set, security_server))
        });
        match made.unwrap_or(Err(Gone.into())) {
            Ok((set, security_server)) => {
                self.counters.sets += 1;
                self.enter(slot, &set);
                let contact = self.contacts.id(slot).map(ContactId).ok_or(Gone)?;
                Ok(Sm6 { contact, security_server, over: source.over(), set: id })
            }
            Err(error) => {
                self.spis.release(spis.client);
                self.spis.release(spis.server);
                Err(error)
            }
        }
    }

    /// The core accepted a REGISTER with a 2xx. After SM7, the temporary set becomes the current
    /// one; otherwise the current set lives on, or everything drains once no public identity is
    /// registered any more. What came in clear without SM7 changes no set.
    ///
    /// # Errors
    /// [`SuccessError`]; nothing has changed.
    pub fn success<D: DataPath>(
        &mut self,
        now: Moment,
        request: RequestId,
        accepted: Accepted<'_>,
        data_path: &mut D,
    ) -> Result<Sm12, SuccessError<D::Error>> {
        let now = self.at(now, data_path);
        let (slot, number) = self.request(request).ok_or(Gone)?;
        self.honour_deadlines(slot, data_path);
        let contact = self.contacts.peek(slot).ok_or(Gone)?;
        let told = accepted.impus.map(|impus| contact.identity.with_impus(impus)).transpose()?;
        let contact = self.contacts.id(slot).map(ContactId).ok_or(Gone)?;
        let ends = now + accepted.expires + GRACE;
        let result: Option<Result<_, SuccessError<D::Error>>> =
            self.step(slot, data_path, |contact, effects| {
                let answered = contact.answered(number).map(|temporary| {
                    let deregisters =
                        matches!(temporary.progress, Progress::Answered { deregisters: true, .. });
                    (temporary.set, temporary.identity.clone(), deregisters || accepted.expires.is_zero())
                });
                if let Some((set, named, leaves)) = answered {
                    let is_new =
                        contact.promote(number, now, ends, effects).map_err(SuccessError::DataPath)?;
                    if is_new {
                        contact.registers(&named, told, leaves, now, effects);
                    }
                    return Ok((Over::Sa(set.server_spi()), is_new.then_some(set.id)));
                }
                let attempt = contact.take_attempt(number, effects).ok_or(Gone)?;
                let leaves = attempt.deregisters || accepted.expires.is_zero();
                if !attempt.source.is_clear() && !contact.leaving {
                    if !leaves && let Err(error) = contact.extend(ends, effects) {
                        contact.restore_attempt(attempt, effects);
                        return Err(SuccessError::DataPath(error));
                    }
                    contact.registers(&attempt.identity, told, leaves, now, effects);
                }
                if leaves {
                    effects.done.cause.get_or_insert(Cause::Deregistered);
                }
                Ok((attempt.source.over(), None))
            });
        let (over, new_set) = result.ok_or(Gone)??;
        self.counters.registered += u64::from(new_set.is_some());
        let refreshed = new_set.is_none() && over != Over::Clear && !accepted.expires.is_zero();
        self.counters.refreshed += u64::from(refreshed);
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
        let now = self.at(now, data_path);
        let (slot, number) = self.request(request).ok_or(Gone)?;
        self.honour_deadlines(slot, data_path);
        let contact = self.contacts.id(slot).map(ContactId).ok_or(Gone)?;
        let over = self.step(slot, data_path, |contact, effects| {
            let Some(temporary) = contact.answered(number) else {
                effects.done.cause = Some(Cause::Refused);
                return contact.take_attempt(number, effects).map(|attempt| attempt.source.over());
            };
            // Where the set that SM1 came over has gone in the meantime, the new one is what there
            // is.
            let set = temporary.set;
            let over = match temporary.source.over() {
                Over::Sa(spi) if contact.set_over(spi).is_some() => Over::Sa(spi),
                Over::Sa(_) | Over::Clear => Over::Sa(set.server_spi()),
            };
            contact.fail(set.id, now);
            Some(over)
        });
        over.flatten().map(|over| Failed { contact, over }).ok_or(Gone)
    }
}

//! One registered contact at the P-CSCF: its temporary, current and old set, and the rules by which
//! one replaces another (TS 33.203 7.4, the table of TS 24.229 5.2.2). No look-ups and no timers:
//! the table of contacts has those.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::authorization::Nonce;
use super::identity::Identity;
use crate::algorithm::Suite;
use crate::negotiation::pcscf::{Challenge, Offer};
use crate::registration::cause::Cause;
use crate::registration::lifetimes::DRAIN;
use crate::registration::route::Over;
use crate::sa::{DataPath, Ends, SaName, SetId, Side};
use crate::spi::Spi;
use crate::time::Moment;

/// A set of SAs, without its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    pub(super) id: SetId,
    pub(super) ends: Ends,
    pub(super) suite: Suite,
    pub(super) deadline: Moment,
    /// [`Event::NumbersLow`](super::event::Event) has been said.
    pub(super) numbers_low: bool,
}

/// A REGISTER that was sent on to the core and awaits its answer.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) number: u64,
    /// `None` for a de-registration without a Security-Client, which cannot be challenged.
    pub(super) offer: Option<Offer>,
    /// Who the REGISTER says it is from.
    pub(super) identity: Identity,
    pub(super) over: Over,
    pub(super) deregisters: bool,
    pub(super) deadline: Moment,
}

/// The set of an unfinished authentication.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) set: Set,
    pub(super) progress: Progress,
    /// Who SM1 said it was from.
    pub(super) identity: Identity,
    /// The SA that SM1 came over, or clear.
    pub(super) over: Over,
    pub(super) nonce: Nonce,
}

/// How far an authentication has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// SM6 was sent.
    Challenged(Box<Challenge>),
    /// SM7 was sent on, as the request of this number. Only the data path has the keys from here
    /// on.
    Answered { number: u64, deregisters: bool },
    /// It failed; the set stays for the message that says so.
    Failed,
}

/// One of a contact's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Temporary,
    Current,
    Old,
}

#[derive(Debug)]
pub(super) struct Contact {
    pub(super) identity: Identity,
    /// The latest REGISTER in clear, and the latest over an SA: what anybody can send does not
    /// displace what the UE sent.
    attempts: [Option<Box<Attempt>>; 2],
    pub(super) temporary: Option<Box<Temporary>>,
    /// The set of the latest successful authentication.
    pub(super) current: Option<Set>,
    /// The set of the one before it.
    old: Option<Box<Set>>,
    /// The nonce of the latest successful authentication.
    latest_nonce: Nonce,
    /// The P-CSCF still sends over the old set, because the UE has not used the current one.
    old_in_use: bool,
    /// An authentication has succeeded.
    pub(super) registered: bool,
    /// The registration has ended, and its sets drain.
    leaving: bool,
}

/// The effects of a change of a contact beyond the contact: to the data path at once, and to the
/// table when the change is complete.
pub(super) struct Effects<'d, D> {
    pub(super) data_path: &'d mut D,
    pub(super) done: Done,
}

/// The work that remains for the table after a change of a contact.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Sets that are in the data path no more.
    pub(super) removed: Vec<(Set, Cause)>,
    /// Requests that await no answer any more.
    pub(super) forgotten: Vec<u64>,
    /// The set that requests go over now.
    pub(super) taken: Option<SetId>,
    /// Why the contact ended, if it did.
    pub(super) cause: Option<Cause>,
}

impl<D: DataPath> Effects<'_, D> {
    fn remove(&mut self, set: Set, cause: Cause) {
        self.data_path.remove(set.id, Side::Pcscf, &set.ends);
        self.done.removed.push((set, cause));
        self.done.cause = Some(cause);
    }

    fn forget(&mut self, number: u64, cause: Cause) {
        self.done.forgotten.push(number);
        self.done.cause = Some(cause);
    }

    fn take_into_use(&mut self, set: &Set) -> Result<(), D::Error> {
        self.data_path.take_into_use(set.id, Side::Pcscf, &set.ends)?;
        self.done.taken = Some(set.id);
        Ok(())
    }
}

impl Set {
    /// The SA that the UE's requests come over.
    pub(super) const fn server_spi(&self) -> Spi {
        self.ends.sa(SaName::UeClientToPcscfServer).0
    }

    /// Whether a message came over one of its SAs.
    fn carried(&self, over: Over) -> bool {
        match over {
            Over::Clear => false,
            Over::Sa(spi) => self.ends.inbound(Side::Pcscf, spi).is_some(),
        }
    }
}

impl Temporary {
    /// The number of its SM7, if that was sent on.
    const fn answered(&self) -> Option<u64> {
        match self.progress {
            Progress::Answered { number, .. } => Some(number),
            Progress::Challenged(_) | Progress::Failed => None,
        }
    }
}

impl Contact {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            attempts: [None, None],
            temporary: None,
            current: None,
            old: None,
            latest_nonce: Nonce::default(),
            old_in_use: false,
            registered: false,
            leaving: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attempts.iter().all(Option::is_none)
            && self.temporary.is_none()
            && self.current.is_none()
            && self.old.is_none()
    }

    /// Every set, the temporary one first.
    pub(super) fn sets(&self) -> impl Iterator<Item = (Role, &Set)> {
        let temporary = self.temporary.as_deref().map(|temporary| (Role::Temporary, &temporary.set));
        let current = self.current.as_ref().map(|set| (Role::Current, set));
        temporary.into_iter().chain(current).chain(self.old.as_deref().map(|set| (Role::Old, set)))
    }

    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        let temporary = self.temporary.as_deref_mut().map(|temporary| &mut temporary.set);
        temporary.into_iter().chain(&mut self.current).chain(self.old.as_deref_mut())
    }

    /// The set whose SA inbound at the P-CSCF has an SPI.
    pub(super) fn set_over(&self, spi: Spi) -> Option<(Role, &Set)> {
        self.sets().find(|(_, set)| set.ends.inbound(Side::Pcscf, spi).is_some())
    }

    /// The nonce of the challenge that awaits SM7.
    pub(super) fn open_nonce(&self) -> Option<Nonce> {
        let temporary = self.temporary.as_deref()?;
        matches!(temporary.progress, Progress::Challenged(_)).then_some(temporary.nonce)
    }

    /// The nonce of the latest successful authentication.
    pub(super) fn latest_nonce(&self) -> Option<Nonce> {
        self.registered.then_some(self.latest_nonce)
    }

    /// The authentication whose SM7 was the request of this number.
    pub(super) fn answered(&self, request: u64) -> Option<&Temporary> {
        self.temporary.as_deref().filter(|temporary| temporary.answered() == Some(request))
    }

    /// A REGISTER was sent on. It displaces the one before it that came over the same.
    pub(super) fn await_answer<D: DataPath>(&mut self, attempt: Attempt, effects: &mut Effects<'_, D>) {
        let [clear, protected] = &mut self.attempts;
        let latest = if attempt.over == Over::Clear { clear } else { protected };
        if let Some(displaced) = latest.replace(Box::new(attempt)) {
            effects.forget(displaced.number, Cause::Displaced);
        }
    }

    /// The request of this number, if it awaits an answer.
    pub(super) fn attempt(&self, request: u64) -> Option<&Attempt> {
        self.attempts.iter().flatten().map(AsRef::as_ref).find(|attempt| attempt.number == request)
    }

    pub(super) fn take_attempt(&mut self, request: u64) -> Option<Attempt> {
        let taken = |latest: &mut Option<Box<Attempt>>| latest.take_if(|attempt| attempt.number == request);
        self.attempts.iter_mut().find_map(taken).map(|attempt| *attempt)
    }

    /// Gives a request back that [`Contact::take_attempt`] took.
    pub(super) fn restore_attempt(&mut self, attempt: Attempt) {
        let [clear, protected] = &mut self.attempts;
        let latest = if attempt.over == Over::Clear { clear } else { protected };
        *latest = Some(Box::new(attempt));
    }

    /// The UE reports that it refused a challenge. The SAs of that challenge go, unless the UE has
    /// answered it: then the report is not the UE's. Of a challenge that was sent protected,
    /// only a report over an SA is believed.
    pub(super) fn refused_challenge<D: DataPath>(&mut self, over: Over, effects: &mut Effects<'_, D>) {
        let believed = self.temporary.as_ref().is_some_and(|temporary| {
            matches!(temporary.progress, Progress::Challenged(_))
                && (over != Over::Clear || temporary.over == Over::Clear)
        });
        if believed {
            self.drop_temporary(Cause::Refused, effects);
        }
    }

    /// The set that the P-CSCF sends requests over.
    pub(super) fn in_use(&self) -> Option<&Set> {
        if self.old_in_use { self.old.as_deref() } else { self.current.as_ref() }
    }

    /// Whether the current set waits to be taken into use.
    pub(super) const fn current_waits(&self) -> bool {
        self.old_in_use
    }

    /// A message arrived over the current set: it is taken into use, and the old one drains.
    pub(super) fn use_current<D: DataPath>(
        &mut self,
        now: Moment,
        effects: &mut Effects<'_, D>,
    ) -> Result<(), D::Error> {
        let (true, Some(current)) = (self.old_in_use, &self.current) else { return Ok(()) };
        effects.take_into_use(current)?;
        self.old_in_use = false;
        if let Some(old) = &mut self.old {
            old.deadline = old.deadline.min(now + DRAIN);
        }
        Ok(())
    }

    pub(super) fn drop_temporary<D: DataPath>(&mut self, cause: Cause, effects: &mut Effects<'_, D>) {
        if let Some(temporary) = self.temporary.take() {
            if let Some(number) = temporary.answered() {
                effects.forget(number, cause);
            }
            effects.remove(temporary.set, cause);
        }
    }

    /// The authentication failed: its set stays long enough for the message that says so, and its
    /// keys go now.
    pub(super) fn fail(&mut self, now: Moment) {
        if let Some(temporary) = &mut self.temporary {
            temporary.progress = Progress::Failed;
            temporary.set.deadline = temporary.set.deadline.min(now + DRAIN);
        }
    }

    /// The authentication succeeded: the temporary set is the current one. If SM1 came over a set
    /// that is still there, that one stays in use until the UE uses the new one. All others go
    /// at once.
    ///
    /// If the data path cannot take the new set into use where it must, nothing has changed.
    pub(super) fn promote<D: DataPath>(
        &mut self,
        registration_ends: Moment,
        effects: &mut Effects<'_, D>,
    ) -> Result<(), D::Error> {
        let Some(temporary) = &self.temporary else { return Ok(()) };
        let previous = || self.current.iter().chain(self.old.as_deref());
        let longest = previous().map(|set| set.deadline).max();
        if !previous().any(|set| set.carried(temporary.over)) {
            effects.take_into_use(&temporary.set)?;
        }
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        let Temporary { mut set, over, identity, nonce, .. } = *temporary;
        // Who registered is who was authenticated now, not who an earlier REGISTER said to be.
        (self.identity, self.latest_nonce) = (identity, nonce);
        set.deadline = longest.map_or(registration_ends, |longest| longest.max(registration_ends));
        for previous in [self.current.take(), self.old.take().map(|old| *old)].into_iter().flatten() {
            if previous.carried(over) {
                self.old = Some(Box::new(previous));
            } else {
                effects.remove(previous, Cause::Displaced);
            }
        }
        self.old_in_use = self.old.is_some();
        self.current = Some(set);
        (self.registered, self.leaving) = (true, false);
        Ok(())
    }

    /// The registration was refreshed without a challenge: the current set lives longer, never
    /// shorter.
    pub(super) fn extend(&mut self, registration_ends: Moment) {
        if let Some(current) = &mut self.current {
            current.deadline = current.deadline.max(registration_ends);
        }
    }

    /// The registration has ended: every set stays for the messages that say so, and no longer.
    pub(super) fn leave<D: DataPath>(&mut self, now: Moment, effects: &mut Effects<'_, D>) {
        self.forget_attempts(Cause::Deregistered, effects);
        self.leaving = true;
        self.fail(now);
        for set in self.sets_mut() {
            set.deadline = set.deadline.min(now + DRAIN);
        }
    }

    /// Every request that awaits an answer, SM7 among them, awaits none any more.
    fn forget_attempts<D: DataPath>(&mut self, cause: Cause, effects: &mut Effects<'_, D>) {
        let attempts = self.attempts.iter_mut().filter_map(Option::take).map(|attempt| attempt.number);
        let answered = self.temporary.as_ref().and_then(|temporary| temporary.answered());
        attempts.chain(answered).for_each(|number| effects.forget(number, cause));
    }

    /// When something of this contact ends, or the current set must be taken into use because the
    /// old one will end.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let attempts = self.attempts.iter().flatten().map(|attempt| attempt.deadline);
        let sets = self.sets().map(|(role, set)| {
            let gives_way = role == Role::Old && self.old_in_use && !self.leaving;
            if gives_way { set.deadline - DRAIN } else { set.deadline }
        });
        sets.chain(attempts).min()
    }

    /// Ends what has reached its deadline.
    pub(super) fn expire<D: DataPath>(&mut self, now: Moment, effects: &mut Effects<'_, D>) {
        for attempt in &mut self.attempts {
            if let Some(attempt) = attempt.take_if(|attempt| attempt.deadline <= now) {
                effects.forget(attempt.number, Cause::Expired);
            }
        }
        let cause = if self.leaving { Cause::Deregistered } else { Cause::Expired };
        if let Some(temporary) = self.temporary.as_ref().filter(|temporary| temporary.set.deadline <= now) {
            let failed = matches!(temporary.progress, Progress::Failed) && !self.leaving;
            self.drop_temporary(if failed { Cause::Refused } else { cause }, effects);
        }
        if self.current.as_ref().is_some_and(|current| current.deadline <= now) {
            self.drop_old(cause, effects);
            self.drop_current(cause, effects);
            return;
        }
        let Some(old) = self.old.as_deref() else { return };
        let (ends, gives_way) = (old.deadline <= now, old.deadline - DRAIN <= now && !self.leaving);
        let in_use =
            if self.old_in_use && (ends || gives_way) { self.use_current_now(effects) } else { Ok(()) };
        if ends {
            self.drop_old(cause, effects);
        }
        // Without an old set there must be a current one in use.
        if in_use.is_err() && ends {
            self.clear(Cause::DataPath, effects);
        }
    }

    /// The current set is taken into use because the old one ends. The deadline of the old one
    /// stays.
    fn use_current_now<D: DataPath>(&mut self, effects: &mut Effects<'_, D>) -> Result<(), D::Error> {
        if let Some(current) = &self.current {
            effects.take_into_use(current)?;
        }
        self.old_in_use = false;
        Ok(())
    }

    /// The data path has lost a set. A temporary one ends its authentication, a current one the
    /// registration.
    pub(super) fn lost<D: DataPath>(&mut self, role: Role, effects: &mut Effects<'_, D>) {
        let cause = Cause::DataPath;
        match role {
            Role::Temporary => self.drop_temporary(cause, effects),
            Role::Current => self.clear(cause, effects),
            Role::Old => {
                let in_use = if self.old_in_use { self.use_current_now(effects) } else { Ok(()) };
                self.drop_old(cause, effects);
                if in_use.is_err() {
                    self.clear(cause, effects);
                }
            }
        }
    }

    fn drop_current<D: DataPath>(&mut self, cause: Cause, effects: &mut Effects<'_, D>) {
        if let Some(current) = self.current.take() {
            effects.remove(current, cause);
        }
    }

    fn drop_old<D: DataPath>(&mut self, cause: Cause, effects: &mut Effects<'_, D>) {
        self.old_in_use = false;
        if let Some(old) = self.old.take() {
            effects.remove(*old, cause);
        }
    }

    /// Everything goes at once.
    pub(super) fn clear<D: DataPath>(&mut self, cause: Cause, effects: &mut Effects<'_, D>) {
        self.forget_attempts(cause, effects);
        if let Some(temporary) = self.temporary.take() {
            effects.remove(temporary.set, cause);
        }
        self.drop_old(cause, effects);
        self.drop_current(cause, effects);
    }

    /// Whether the sequence numbers of a set are said to run low for the first time.
    pub(super) fn first_numbers_low(&mut self, id: SetId) -> bool {
        let set = self.sets_mut().find(|set| set.id == id);
        set.is_some_and(|set| !core::mem::replace(&mut set.numbers_low, true))
    }
}

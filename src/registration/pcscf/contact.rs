//! One registered contact at the P-CSCF: what is open, its current and its old set, and the rules
//! by which one replaces another (TS 33.203 7.4, the table of TS 24.229 5.2.2). No look-ups and no
//! timers: the table of contacts has those.
//!
//! What is open is kept apart by what it came from: over SAs, or in clear from one address. Neither
//! displaces the other, and a set whose SM7 has been verified is displaced by nothing in clear.
//! `in_clear` has what strangers can make many of.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::authorization::Nonce;
use super::effects::Effects;
use super::identity::Identity;
use super::in_clear::InClear;
use super::open::{Attempt, Open, Progress, Set, Temporary};
use super::source::Source;
use crate::negotiation::pcscf::Challenge;
use crate::registration::cause::Cause;
use crate::registration::lifetimes::DRAIN;
use crate::registration::route::Over;
use crate::sa::{DataPath, SetId};
use crate::spi::Spi;
use crate::time::Moment;

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
    /// What came over SAs, and sets whose SM7 came: few. Oldest first; empty, and without an
    /// allocation, for a registered contact at rest.
    open: Vec<Open>,
    /// What came in clear and awaits the core, or SM7: as much as strangers like.
    in_clear: Option<Box<InClear>>,
    /// The set of the latest successful authentication.
    pub(super) current: Option<Set>,
    /// The set of the one before it.
    old: Option<Box<Set>>,
    /// The nonce of the latest successful authentication.
    latest_nonce: Nonce,
    /// The P-CSCF still sends over the old set, because the UE has not used the current one.
    old_in_use: bool,
    /// The old set was to give way to the current one, and the data path could not do it.
    stuck: bool,
    /// The registration has ended, and its sets drain.
    pub(super) leaving: bool,
}

impl Contact {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            open: Vec::new(),
            in_clear: None,
            current: None,
            old: None,
            latest_nonce: Nonce::default(),
            old_in_use: false,
            stuck: false,
            leaving: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.in_clear.is_none() && self.current.is_none() && self.old.is_none()
    }

    // ---- what there is

    /// Whether an authentication has succeeded and its set is there.
    pub(super) const fn is_registered(&self) -> bool {
        self.current.is_some()
    }

    /// Unfinished authentications, but for those that anybody can have made.
    fn few_temporaries(&self) -> impl Iterator<Item = &Temporary> {
        self.open.iter().filter_map(Open::temporary)
    }

    /// Every unfinished authentication.
    pub(super) fn temporaries(&self) -> impl Iterator<Item = &Temporary> {
        self.few_temporaries().chain(self.in_clear.iter().flat_map(|in_clear| in_clear.challenges()))
    }

    /// Those whose UE has this address.
    pub(super) fn temporaries_at(&self, ue: IpAddr, scope: Option<u32>) -> impl Iterator<Item = &Temporary> {
        let in_clear = self.in_clear.iter().flat_map(move |in_clear| in_clear.challenges_at(ue, scope));
        self.few_temporaries().chain(in_clear)
    }

    /// Current and old set.
    fn in_force(&self) -> impl Iterator<Item = (Role, &Set)> {
        let current = self.current.as_ref().map(|set| (Role::Current, set));
        current.into_iter().chain(self.old.as_deref().map(|set| (Role::Old, set)))
    }

    /// Every set, the temporary ones first.
    pub(super) fn sets(&self) -> impl Iterator<Item = (Role, &Set)> {
        let temporaries = self.temporaries().map(|temporary| (Role::Temporary, &temporary.set));
        temporaries.chain(self.in_force())
    }

    /// The sets that may be at an address of a UE: however much is open elsewhere, these are few.
    pub(super) fn sets_at(&self, ue: IpAddr, scope: Option<u32>) -> impl Iterator<Item = (Role, &Set)> {
        let temporaries = self.temporaries_at(ue, scope).map(|temporary| (Role::Temporary, &temporary.set));
        temporaries.chain(self.in_force())
    }

    /// The set whose SA inbound at the P-CSCF has an SPI.
    pub(super) fn set_over(&self, spi: Spi) -> Option<(Role, &Set)> {
        let in_force = self.in_force().find(|(_, set)| set.carried(Over::Sa(spi)));
        in_force.or_else(|| self.temporary_over(spi).map(|temporary| (Role::Temporary, &temporary.set)))
    }

    /// The unfinished authentication whose set has an SPI.
    pub(super) fn temporary_over(&self, spi: Spi) -> Option<&Temporary> {
        let few = self.few_temporaries().find(|temporary| temporary.set.carried(Over::Sa(spi)));
        few.or_else(|| self.in_clear.as_ref()?.challenge_over(spi))
    }

    /// A set by its id.
    pub(super) fn set(&self, id: SetId) -> Option<&Set> {
        let few = self.few_temporaries().map(|temporary| &temporary.set);
        let few = few.chain(self.in_force().map(|(_, set)| set)).find(|set| set.id == id);
        few.or_else(|| self.in_clear.as_ref()?.challenge_of(id).map(|temporary| &temporary.set))
    }

    fn temporary_mut(&mut self, is: impl Fn(&Temporary) -> bool) -> Option<&mut Temporary> {
        self.open.iter_mut().filter_map(Open::temporary_mut).find(|temporary| is(temporary))
    }

    /// Whether a challenge of this nonce awaits its SM7.
    pub(super) fn has_open_nonce(&self, nonce: Nonce) -> bool {
        self.few_temporaries().any(|temporary| temporary.is_challenged() && temporary.nonce == nonce)
            || self.in_clear.as_ref().is_some_and(|in_clear| in_clear.source_of_nonce(nonce).is_some())
    }

    /// The nonce of the latest successful authentication.
    pub(super) fn latest_nonce(&self) -> Option<Nonce> {
        self.is_registered().then_some(self.latest_nonce)
    }

    /// The authentication whose SM7 was the request of this number.
    pub(super) fn answered(&self, request: u64) -> Option<&Temporary> {
        self.few_temporaries().find(|temporary| temporary.answered() == Some(request))
    }

    /// Whether a REGISTER, or a challenge that awaits SM7, is open from a source in clear.
    pub(super) fn has_open_from(&self, source: Source) -> bool {
        self.in_clear.as_ref().is_some_and(|in_clear| in_clear.has(source))
    }

    /// Whether the current set is of a UE at this address.
    pub(super) fn is_registered_at(&self, ue: IpAddr, scope: u32) -> bool {
        self.current.as_ref().is_some_and(|set| set.ends.ue.address == ue && set.ends.scope == scope)
    }

    /// The request of this number, if it awaits an answer.
    pub(super) fn attempt(&self, request: u64) -> Option<&Attempt> {
        let few = self.open.iter().filter_map(Open::attempt).find(|attempt| attempt.number == request);
        few.or_else(|| self.in_clear.as_ref()?.attempt(request))
    }

    /// The set that the P-CSCF sends requests over.
    pub(super) fn in_use(&self) -> Option<&Set> {
        if self.old_in_use { self.old.as_deref() } else { self.current.as_ref() }
    }

    /// Whether the current set waits to be taken into use.
    pub(super) const fn current_waits(&self) -> bool {
        self.old_in_use
    }

    // ---- what is open

    fn push<D>(&mut self, open: Open, effects: &mut Effects<'_, D>) {
        effects.counts(open.counted());
        if open.is_anybodys() {
            self.insert_in_clear(open, effects);
        } else {
            self.open.push(open);
        }
    }

    fn insert_in_clear<D>(&mut self, open: Open, effects: &Effects<'_, D>) {
        self.in_clear.get_or_insert_with(|| Box::new(InClear::new(effects.hashes))).insert(open);
    }

    /// Takes out what is open at an index. An empty list keeps no memory.
    fn take(&mut self, index: usize) -> Open {
        let open = self.open.remove(index);
        if self.open.is_empty() {
            self.open = Vec::new();
        }
        open
    }

    /// Takes out of what came in clear. Nothing left keeps no memory.
    fn take_in_clear(&mut self, take: impl FnOnce(&mut InClear) -> Option<Open>) -> Option<Open> {
        let in_clear = self.in_clear.as_deref_mut()?;
        let taken = take(in_clear);
        if in_clear.is_empty() {
            self.in_clear = None;
        }
        taken
    }

    fn end<D: DataPath>(open: Open, cause: Cause, effects: &mut Effects<'_, D>) {
        effects.counts_no_more(open.counted());
        match open {
            Open::Attempt(attempt) => effects.forget(attempt.number, cause),
            Open::Temporary(temporary) => {
                if let Some(number) = temporary.answered() {
                    effects.forget(number, cause);
                }
                effects.remove(temporary.set, cause);
            }
        }
    }

    /// Ends of the few that are open those that meet a condition.
    fn end_few<D: DataPath>(
        &mut self,
        is: impl Fn(&Open) -> bool,
        cause: impl Fn(&Open) -> Cause,
        effects: &mut Effects<'_, D>,
    ) {
        while let Some(index) = self.open.iter().position(&is) {
            let open = self.take(index);
            let cause = cause(&open);
            Self::end(open, cause, effects);
        }
    }

    /// Ends what is open from an address in clear and could be anybody's.
    pub(super) fn end_from<D: DataPath>(
        &mut self,
        source: Source,
        cause: Cause,
        effects: &mut Effects<'_, D>,
    ) {
        while let Some(open) = self.take_in_clear(|in_clear| in_clear.take_any(source)) {
            Self::end(open, cause, effects);
        }
    }

    /// A REGISTER was sent on. It displaces the one before it from the same source.
    pub(super) fn await_answer<D: DataPath>(&mut self, attempt: Attempt, effects: &mut Effects<'_, D>) {
        let (source, cause) = (attempt.source, Cause::Displaced);
        if source.is_clear() {
            if let Some(before) = self.take_in_clear(|in_clear| in_clear.take_attempt_from(source)) {
                Self::end(before, cause, effects);
            }
        } else {
            self.end_few(|open| open.attempt().is_some(), |_| cause, effects);
        }
        self.push(Open::Attempt(Box::new(attempt)), effects);
    }

    pub(super) fn take_attempt<D>(&mut self, request: u64, effects: &mut Effects<'_, D>) -> Option<Attempt> {
        let is = |open: &Open| open.attempt().is_some_and(|attempt| attempt.number == request);
        let open = match self.open.iter().position(is) {
            Some(index) => self.take(index),
            None => self.take_in_clear(|in_clear| in_clear.take_attempt(request))?,
        };
        effects.counts_no_more(open.counted());
        match open {
            Open::Attempt(attempt) => Some(*attempt),
            Open::Temporary(_) => None,
        }
    }

    /// Gives a request back that [`Contact::take_attempt`] took.
    pub(super) fn restore_attempt<D>(&mut self, attempt: Attempt, effects: &mut Effects<'_, D>) {
        self.push(Open::Attempt(Box::new(attempt)), effects);
    }

    /// Whether a new challenge to a source removes what is open: the challenge before it, if SM7
    /// has not been verified.
    pub(super) fn is_superseded(temporary: &Temporary, by: Source) -> bool {
        temporary.is_challenged() && temporary.source.is_same(by)
    }

    /// The core challenged a REGISTER: an earlier challenge to the same source ends.
    pub(super) fn supersede<D: DataPath>(&mut self, source: Source, effects: &mut Effects<'_, D>) {
        let cause = Cause::Displaced;
        if source.is_clear() {
            if let Some(before) = self.take_in_clear(|in_clear| in_clear.take_challenge_from(source)) {
                Self::end(before, cause, effects);
            }
        } else {
            let is = |open: &Open| open.temporary().is_some_and(|other| Self::is_superseded(other, source));
            self.end_few(is, |_| cause, effects);
        }
    }

    /// SM6 can be sent.
    pub(super) fn challenged<D: DataPath>(&mut self, temporary: Temporary, effects: &mut Effects<'_, D>) {
        let id = temporary.set.id;
        self.push(Open::Temporary(Box::new(temporary)), effects);
        self.keep_to_six(id, effects);
    }

    /// TS 33.203 7.1, rule 3: at most six SAs a direction, those of three sets. A set that anybody
    /// can have made in clear does not count here. What gives way is what failed, then an SM7 that
    /// the UE has given up by sending another, then a challenge to a UE that began in clear since.
    fn keep_to_six<D: DataPath>(&mut self, newest: SetId, effects: &mut Effects<'_, D>) {
        const SETS: usize = 3;
        let in_force = self.in_force().count();
        while in_force + self.few_temporaries().count() > SETS {
            let rank = |temporary: &Temporary| match temporary.progress {
                Progress::Failed => 0,
                Progress::Answered { .. } => 1,
                Progress::Challenged(_) => 2,
            };
            let others = self.few_temporaries().filter(|other| other.set.id != newest);
            let oldest = others.min_by_key(|other| (rank(other), other.set.id.0.generation));
            let Some(victim) = oldest.map(|other| other.set.id) else { break };
            let is = |open: &Open| open.temporary().is_some_and(|temporary| temporary.set.id == victim);
            self.end_few(is, |_| Cause::Displaced, effects);
        }
    }

    /// The challenge of the set that SM7 came over, taken out to be compared: until it is given
    /// back, the authentication has failed.
    pub(super) fn take_challenge(&mut self, spi: Spi) -> Option<(Box<Challenge>, SetId)> {
        if let Some(open) = self.take_in_clear(|in_clear| in_clear.take_challenge_over(spi)) {
            // Its sender has IK: from here on it is one of the few.
            self.open.push(open);
        }
        let temporary = self.temporary_mut(|temporary| temporary.set.carried(Over::Sa(spi)))?;
        match core::mem::replace(&mut temporary.progress, Progress::Failed) {
            Progress::Challenged(challenge) => Some((challenge, temporary.set.id)),
            progress @ (Progress::Answered { .. } | Progress::Failed) => {
                temporary.progress = progress;
                None
            }
        }
    }

    /// How far an authentication has come whose challenge was taken out.
    pub(super) fn progressed<D: DataPath>(
        &mut self,
        id: SetId,
        progress: Progress,
        effects: &mut Effects<'_, D>,
    ) {
        let is = |open: &Open| open.temporary().is_some_and(|temporary| temporary.set.id == id);
        let Some(index) = self.open.iter().position(is) else { return };
        let mut open = self.take(index);
        if let Some(temporary) = open.temporary_mut() {
            temporary.progress = progress;
        }
        if open.is_anybodys() {
            self.insert_in_clear(open, effects);
        } else {
            self.open.push(open);
        }
        self.keep_to_six(id, effects);
    }

    /// The UE reports that it refused the challenge of a nonce. The SAs of that challenge go,
    /// unless it was answered. A report in clear counts only from the address that was challenged,
    /// in clear.
    pub(super) fn refused_challenge<D: DataPath>(
        &mut self,
        source: Source,
        nonce: Nonce,
        effects: &mut Effects<'_, D>,
    ) {
        let cause = Cause::Refused;
        let of_nonce = self.in_clear.as_ref().and_then(|in_clear| in_clear.source_of_nonce(nonce));
        if let Some(challenged) = of_nonce.filter(|challenged| !source.is_clear() || *challenged == source)
            && let Some(open) = self.take_in_clear(|in_clear| in_clear.take_challenge_from(challenged))
        {
            Self::end(open, cause, effects);
        }
        if !source.is_clear() {
            let is =
                |open: &Open| open.temporary().is_some_and(|one| one.is_challenged() && one.nonce == nonce);
            self.end_few(is, |_| cause, effects);
        }
    }

    fn drop_temporary<D: DataPath>(&mut self, id: SetId, cause: Cause, effects: &mut Effects<'_, D>) {
        let is = |open: &Open| open.temporary().is_some_and(|temporary| temporary.set.id == id);
        self.end_few(is, |_| cause, effects);
        if let Some(open) = self.take_in_clear(|in_clear| in_clear.take_challenge_of(id)) {
            Self::end(open, cause, effects);
        }
    }

    /// The authentication failed: its set stays long enough for the message that says so, and its
    /// keys go now.
    pub(super) fn fail(&mut self, id: SetId, now: Moment) {
        let Some(temporary) = self.temporary_mut(|temporary| temporary.set.id == id) else { return };
        temporary.progress = Progress::Failed;
        temporary.set.deadline = temporary.set.deadline.min(now + DRAIN);
    }

    /// The UE has proved to have another set that excludes this one. If the core has not answered
    /// its SM7, it ends by that answer, and does not become current.
    pub(super) fn outdo(&mut self, id: SetId) -> bool {
        let answered = |one: &Temporary| one.set.id == id && one.answered().is_some();
        self.temporary_mut(answered).map(|temporary| temporary.outdone = true).is_some()
    }

    // ---- the sets in force

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

    /// The authentication succeeded: the temporary set is the current one. If SM1 came over a set
    /// that is still there, that one stays in use until the UE uses the new one. All others go
    /// at once. False if the UE has a later set already: then this one goes.
    ///
    /// If the data path cannot take the new set into use where it must, nothing has changed.
    pub(super) fn promote<D: DataPath>(
        &mut self,
        request: u64,
        now: Moment,
        registration_ends: Moment,
        effects: &mut Effects<'_, D>,
    ) -> Result<bool, D::Error> {
        let is =
            |open: &Open| open.temporary().is_some_and(|temporary| temporary.answered() == Some(request));
        let Some(index) = self.open.iter().position(is) else { return Ok(false) };
        let Some(temporary) = self.open.get(index).and_then(Open::temporary) else { return Ok(false) };
        let (id, over) = (temporary.set.id, temporary.source.over());
        let is_late = self.current.is_some_and(|current| current.id.0.generation > id.0.generation);
        if is_late || temporary.outdone {
            if is_late {
                self.extend(registration_ends, effects)?;
            }
            self.fail(id, now);
            return Ok(false);
        }
        let leaving = self.leaving;
        let previous = || self.current.iter().chain(self.old.as_deref());
        let longest = previous().filter(|_| !leaving).map(|set| set.deadline).max();
        let deadline = longest.map_or(registration_ends, |longest| longest.max(registration_ends));
        let stays = |set: &Set| !leaving && set.carried(over);
        effects.extend(&temporary.set, deadline)?;
        if !previous().any(stays) {
            effects.take_into_use(&temporary.set)?;
        }
        let open = self.take(index);
        effects.counts_no_more(open.counted());
        let Open::Temporary(temporary) = open else { return Ok(false) };
        let Temporary { mut set, identity, nonce, .. } = *temporary;
        // Who registered is who was authenticated now, not who an earlier REGISTER said to be.
        // `registers` adds what this one named to what is registered.
        if !self.is_registered() || leaving {
            self.identity = identity;
        }
        self.latest_nonce = nonce;
        set.deadline = deadline;
        for previous in [self.current.take(), self.old.take().map(|old| *old)].into_iter().flatten() {
            if stays(&previous) {
                self.old = Some(Box::new(previous));
            } else {
                effects.remove(previous, Cause::Displaced);
            }
        }
        (self.old_in_use, self.stuck) = (self.old.is_some(), false);
        self.current = Some(set);
        // An answer to what came over a set that the UE has no more would be too late.
        let old = self.old.as_deref().copied();
        let is_stale = |open: &Open| {
            open.attempt().is_some_and(|one| !old.is_some_and(|old| old.carried(one.source.over())))
        };
        self.end_few(is_stale, |_| Cause::Displaced, effects);
        self.leaving = false;
        Ok(true)
    }

    /// The core accepted a REGISTER that named these public identities, and said which are
    /// registered now, if it did. The registration ends when none is left.
    pub(super) fn registers<D: DataPath>(
        &mut self,
        named: &Identity,
        told: Option<Identity>,
        leaves: bool,
        now: Moment,
        effects: &mut Effects<'_, D>,
    ) {
        let was_told = told.is_some();
        match told {
            Some(told) => self.identity = told,
            None if leaves => self.identity = self.identity.without(named),
            None => self.adds(named),
        }
        // A de-registration that named nobody is of all of them.
        let of_all = !was_told && leaves && named.impus().next().is_none();
        let is_last = (was_told || leaves) && self.identity.impus().next().is_none();
        if of_all || is_last {
            self.leave(now, effects);
        }
    }

    /// Public identities are registered too.
    fn adds(&mut self, named: &Identity) {
        if !named.impus().all(|impu| self.identity.has_impu(impu)) {
            self.identity = self.identity.joined(named);
        }
    }

    /// The registration was refreshed without a challenge: the current set lives longer, never
    /// shorter, and not once the registration has ended. If the data path cannot, nothing has
    /// changed.
    pub(super) fn extend<D: DataPath>(
        &mut self,
        registration_ends: Moment,
        effects: &mut Effects<'_, D>,
    ) -> Result<(), D::Error> {
        if let Some(current) = self.current.as_mut().filter(|_| !self.leaving)
            && current.deadline < registration_ends
        {
            effects.extend(current, registration_ends)?;
            current.deadline = registration_ends;
        }
        Ok(())
    }

    /// The registration has ended: every set stays for the messages that say so, and no longer.
    /// What began in clear is another registration.
    pub(super) fn leave<D: DataPath>(&mut self, now: Moment, effects: &mut Effects<'_, D>) {
        self.leaving = true;
        self.end_few(|open| open.attempt().is_some(), |_| Cause::Deregistered, effects);
        for temporary in self.open.iter_mut().filter_map(Open::temporary_mut) {
            if !temporary.source.is_clear() {
                if let Some(number) = temporary.answered() {
                    effects.forget(number, Cause::Deregistered);
                }
                temporary.progress = Progress::Failed;
                temporary.set.deadline = temporary.set.deadline.min(now + DRAIN);
            }
        }
        for set in self.current.iter_mut().chain(self.old.as_deref_mut()) {
            set.deadline = set.deadline.min(now + DRAIN);
        }
    }

    /// When something of this contact ends, or the current set must be taken into use because the
    /// old one will end.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let open = self.open.iter().map(Open::deadline);
        let open = open.chain(self.in_clear.as_ref().and_then(|in_clear| in_clear.deadline()));
        let old =
            self.old.as_deref().map(|old| if self.gives_way() { old.deadline - DRAIN } else { old.deadline });
        let current = self.current.as_ref().map(|current| current.deadline);
        open.chain(current).chain(old).min()
    }

    /// Whether the old set is to be taken out of use before it ends.
    const fn gives_way(&self) -> bool {
        self.old_in_use && !self.leaving && !self.stuck
    }

    /// Ends what has reached its deadline.
    pub(super) fn expire<D: DataPath>(&mut self, now: Moment, effects: &mut Effects<'_, D>) {
        let cause = if self.leaving { Cause::Deregistered } else { Cause::Expired };
        let leaving = self.leaving;
        let because = |open: &Open| match open {
            Open::Attempt(_) => Cause::Expired,
            Open::Temporary(temporary) => match temporary.progress {
                Progress::Failed if !leaving => Cause::Refused,
                Progress::Failed => Cause::Deregistered,
                Progress::Challenged(_) | Progress::Answered { .. } => Cause::Expired,
            },
        };
        self.end_few(|open| open.deadline() <= now, because, effects);
        while let Some(open) = self.take_in_clear(|in_clear| in_clear.take_expired(now)) {
            Self::end(open, Cause::Expired, effects);
        }
        if self.current.as_ref().is_some_and(|current| current.deadline <= now) {
            self.drop_old(cause, effects);
            self.drop_current(cause, effects);
            return;
        }
        let Some(old) = self.old.as_deref() else { return };
        let (ends, gives_way) = (old.deadline <= now, self.gives_way() && old.deadline - DRAIN <= now);
        let in_use =
            if self.old_in_use && (ends || gives_way) { self.use_current_now(effects) } else { Ok(()) };
        // The old one is used until it ends, or until a message comes over the current one.
        self.stuck |= in_use.is_err();
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

    /// A set goes before its time: the data path has lost it, or it is displaced by another one. A
    /// temporary one ends its authentication, a current one the registration.
    pub(super) fn lose<D: DataPath>(
        &mut self,
        id: SetId,
        by: Option<SetId>,
        cause: Cause,
        effects: &mut Effects<'_, D>,
    ) {
        if self.current.is_some_and(|current| current.id == id) {
            self.drop_old(cause, effects);
            self.drop_current(cause, effects);
            let displaces = |open: &Open| open.temporary().is_some_and(|one| Some(one.set.id) == by);
            self.end_few(|open| !open.source().is_clear() && !displaces(open), |_| cause, effects);
        } else if self.old.as_deref().is_some_and(|old| old.id == id) {
            let in_use = if self.old_in_use { self.use_current_now(effects) } else { Ok(()) };
            self.drop_old(cause, effects);
            if in_use.is_err() {
                self.clear(Cause::DataPath, effects);
            }
        } else {
            self.drop_temporary(id, cause, effects);
        }
    }

    fn drop_current<D: DataPath>(&mut self, cause: Cause, effects: &mut Effects<'_, D>) {
        if let Some(current) = self.current.take() {
            effects.remove(current, cause);
        }
    }

    fn drop_old<D: DataPath>(&mut self, cause: Cause, effects: &mut Effects<'_, D>) {
        (self.old_in_use, self.stuck) = (false, false);
        if let Some(old) = self.old.take() {
            effects.remove(*old, cause);
        }
    }

    /// Everything goes at once.
    pub(super) fn clear<D: DataPath>(&mut self, cause: Cause, effects: &mut Effects<'_, D>) {
        self.end_few(|_| true, |_| cause, effects);
        while let Some(open) = self.take_in_clear(InClear::take_one) {
            Self::end(open, cause, effects);
        }
        self.drop_old(cause, effects);
        self.drop_current(cause, effects);
    }

    /// Whether the sequence numbers of a set are said to run low for the first time.
    pub(super) fn first_numbers_low(&mut self, id: SetId) -> bool {
        let few = self.open.iter_mut().filter_map(Open::temporary_mut).map(|temporary| &mut temporary.set);
        let set = few.chain(&mut self.current).chain(self.old.as_deref_mut()).find(|set| set.id == id);
        set.is_some_and(|set| !core::mem::replace(&mut set.numbers_low, true))
    }
}

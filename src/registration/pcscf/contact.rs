//! One registered contact at the P-CSCF: what is open, its current and its old set, and the rules
//! by which one replaces another (TS 33.203 7.4, the table of TS 24.229 5.2.2). No look-ups and no
//! timers: the table of contacts has those.
//!
//! What is open is kept apart by what it came from: over SAs, or in clear from one address. Neither
//! displaces the other, and a set whose SM7 has been verified is displaced by nothing in clear.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::authorization::Nonce;
use super::effects::Effects;
use super::identity::Identity;
use super::source::Source;
use crate::algorithm::Suite;
use crate::negotiation::Refusal;
use crate::negotiation::pcscf::{Challenge, Offer};
use crate::registration::cause::Cause;
use crate::registration::lifetimes::DRAIN;
use crate::registration::route::Over;
use crate::sa::{DataPath, Ends, Overlap, SaName, SetId, Side};
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

/// Something that is open: it ends by its answer or by its time.
#[derive(Debug)]
pub(super) enum Open {
    Attempt(Box<Attempt>),
    Temporary(Box<Temporary>),
}

/// A REGISTER that was sent on to the core and awaits its answer.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) offer: Offered,
    /// Who the REGISTER says it is from.
    pub(super) identity: Identity,
    pub(super) source: Source,
    pub(super) deregisters: bool,
    pub(super) deadline: Moment,
}

/// What a REGISTER offers, in case that it is challenged.
#[derive(Debug)]
pub(super) enum Offered {
    /// A set of SAs.
    Set(Offer),
    /// Nothing: it ends the registration, or its sender does not know of security agreement.
    Nothing,
    /// Something that cannot be used. It came over an SA, and matters only if it is challenged.
    Unusable(Box<Refusal>),
}

/// The set of an unfinished authentication.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) set: Set,
    pub(super) progress: Progress,
    /// Who SM1 said it was from.
    pub(super) identity: Identity,
    /// What SM1 came over.
    pub(super) source: Source,
    pub(super) nonce: Nonce,
    /// How its SAs toward the UE relate to those of other sets.
    pub(super) overlap: Overlap,
    /// Other sets have ports or SPIs at the UE that this one has: they go when SM7 is verified.
    pub(super) displaces: bool,
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
    /// Oldest first. At most one REGISTER and one challenge from each source; empty, and without
    /// an allocation, for a registered contact at rest.
    open: Vec<Open>,
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

    /// Whether a UE cannot have this set and another one at the same time: the address and the
    /// client port (TS 33.203 7.1, rule 3) or an SPI of the UE are the same.
    pub(super) fn excludes(&self, other: &Ends) -> bool {
        let (own, other_ue) = (&self.ends.ue, &other.ue);
        let spis = |end: &crate::sa::Endpoint| [end.setup.spis.client, end.setup.spis.server];
        own.address == other_ue.address
            && self.ends.scope == other.scope
            && (own.setup.ports.client == other_ue.setup.ports.client
                || spis(own).iter().any(|spi| spis(other_ue).contains(spi)))
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

    /// SM7 is awaited.
    pub(super) const fn is_challenged(&self) -> bool {
        matches!(self.progress, Progress::Challenged(_))
    }

    /// What it counts in, as long as SM7 has not been verified.
    const fn counted(&self) -> Option<Source> {
        match self.progress {
            Progress::Challenged(_) if self.source.is_clear() => Some(self.source),
            Progress::Challenged(_) | Progress::Answered { .. } | Progress::Failed => None,
        }
    }
}

impl Open {
    fn deadline(&self) -> Moment {
        match self {
            Open::Attempt(attempt) => attempt.deadline,
            Open::Temporary(temporary) => temporary.set.deadline,
        }
    }

    fn attempt(&self) -> Option<&Attempt> {
        match self {
            Open::Attempt(attempt) => Some(attempt),
            Open::Temporary(_) => None,
        }
    }

    fn temporary(&self) -> Option<&Temporary> {
        match self {
            Open::Temporary(temporary) => Some(temporary),
            Open::Attempt(_) => None,
        }
    }

    fn temporary_mut(&mut self) -> Option<&mut Temporary> {
        match self {
            Open::Temporary(temporary) => Some(temporary),
            Open::Attempt(_) => None,
        }
    }

    fn source(&self) -> Source {
        match self {
            Open::Attempt(attempt) => attempt.source,
            Open::Temporary(temporary) => temporary.source,
        }
    }

    /// What it counts in: REGISTERs in clear, and challenges to them that await SM7.
    pub(super) fn counted(&self) -> Option<Source> {
        match self {
            Open::Attempt(attempt) => Some(attempt.source).filter(|source| source.is_clear()),
            Open::Temporary(temporary) => temporary.counted(),
        }
    }
}

impl Contact {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            open: Vec::new(),
            current: None,
            old: None,
            latest_nonce: Nonce::default(),
            old_in_use: false,
            stuck: false,
            leaving: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.current.is_none() && self.old.is_none()
    }

    // ---- what there is

    /// Whether an authentication has succeeded and its set is there.
    pub(super) const fn is_registered(&self) -> bool {
        self.current.is_some()
    }

    pub(super) fn temporaries(&self) -> impl Iterator<Item = &Temporary> {
        self.open.iter().filter_map(Open::temporary)
    }

    /// Every set, the temporary ones first.
    pub(super) fn sets(&self) -> impl Iterator<Item = (Role, &Set)> {
        let temporaries = self.temporaries().map(|temporary| (Role::Temporary, &temporary.set));
        let current = self.current.as_ref().map(|set| (Role::Current, set));
        temporaries.chain(current).chain(self.old.as_deref().map(|set| (Role::Old, set)))
    }

    fn sets_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        let temporaries = self.open.iter_mut().filter_map(Open::temporary_mut);
        temporaries
            .map(|temporary| &mut temporary.set)
            .chain(&mut self.current)
            .chain(self.old.as_deref_mut())
    }

    /// The set whose SA inbound at the P-CSCF has an SPI.
    pub(super) fn set_over(&self, spi: Spi) -> Option<(Role, &Set)> {
        self.sets().find(|(_, set)| set.ends.inbound(Side::Pcscf, spi).is_some())
    }

    fn temporary_mut(&mut self, is: impl Fn(&Temporary) -> bool) -> Option<&mut Temporary> {
        self.open.iter_mut().filter_map(Open::temporary_mut).find(|temporary| is(temporary))
    }

    /// The unfinished authentication whose set has an SPI.
    pub(super) fn temporary_over(&mut self, spi: Spi) -> Option<&mut Temporary> {
        self.temporary_mut(|temporary| temporary.set.carried(Over::Sa(spi)))
    }

    /// Whether a challenge of this nonce awaits its SM7.
    pub(super) fn has_open_nonce(&self, nonce: Nonce) -> bool {
        self.temporaries().any(|temporary| temporary.is_challenged() && temporary.nonce == nonce)
    }

    /// The nonce of the latest successful authentication.
    pub(super) fn latest_nonce(&self) -> Option<Nonce> {
        self.is_registered().then_some(self.latest_nonce)
    }

    /// The authentication whose SM7 was the request of this number.
    pub(super) fn answered(&self, request: u64) -> Option<&Temporary> {
        self.temporaries().find(|temporary| temporary.answered() == Some(request))
    }

    /// Whether something that counts is open from a source in clear.
    pub(super) fn has_open_from(&self, source: Source) -> bool {
        self.open.iter().any(|open| open.counted() == Some(source))
    }

    /// The request of this number, if it awaits an answer.
    pub(super) fn attempt(&self, request: u64) -> Option<&Attempt> {
        self.open.iter().filter_map(Open::attempt).find(|attempt| attempt.number == request)
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
        self.open.push(open);
    }

    /// Takes out what is open at an index. An empty list keeps no memory.
    fn take(&mut self, index: usize) -> Open {
        let open = self.open.remove(index);
        if self.open.is_empty() {
            self.open = Vec::new();
        }
        open
    }

    /// Takes out one after the other what is open and meets a condition, and ends it.
    fn end_open<D: DataPath>(
        &mut self,
        is: impl Fn(&Open) -> bool,
        cause: impl Fn(&Open) -> Cause,
        effects: &mut Effects<'_, D>,
    ) {
        while let Some(index) = self.open.iter().position(&is) {
            let open = self.take(index);
            effects.counts_no_more(open.counted());
            let cause = cause(&open);
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
    }

    /// A REGISTER was sent on. It displaces the one before it from the same source.
    pub(super) fn await_answer<D: DataPath>(&mut self, attempt: Attempt, effects: &mut Effects<'_, D>) {
        let source = attempt.source;
        let same = |open: &Open| open.attempt().is_some_and(|other| other.source.is_same(source));
        self.end_open(same, |_| Cause::Displaced, effects);
        self.push(Open::Attempt(Box::new(attempt)), effects);
    }

    pub(super) fn take_attempt<D>(&mut self, request: u64, effects: &mut Effects<'_, D>) -> Option<Attempt> {
        let is = |open: &Open| open.attempt().is_some_and(|attempt| attempt.number == request);
        let index = self.open.iter().position(is)?;
        let open = self.take(index);
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
        let is = |open: &Open| open.temporary().is_some_and(|other| Self::is_superseded(other, source));
        self.end_open(is, |_| Cause::Displaced, effects);
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
        let in_force = usize::from(self.current.is_some()) + usize::from(self.old.is_some());
        let counts = |temporary: &&Temporary| temporary.counted().is_none();
        while in_force + self.temporaries().filter(counts).count() > SETS {
            let rank = |temporary: &Temporary| match temporary.progress {
                Progress::Failed => 0,
                Progress::Answered { .. } => 1,
                Progress::Challenged(_) => 2,
            };
            let others = self.temporaries().filter(counts).filter(|other| other.set.id != newest);
            let Some(victim) = others.min_by_key(|other| rank(other)).map(|other| other.set.id) else {
                break;
            };
            self.drop_temporary(victim, Cause::Displaced, effects);
        }
    }

    /// SM7 was compared with what was issued, and accepted.
    pub(super) fn accepted<D: DataPath>(
        &mut self,
        id: SetId,
        number: u64,
        deregisters: bool,
        effects: &mut Effects<'_, D>,
    ) {
        let Some(temporary) = self.temporary_mut(|temporary| temporary.set.id == id) else { return };
        temporary.progress = Progress::Answered { number, deregisters };
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
        let is = |open: &Open| {
            open.temporary().is_some_and(|temporary| {
                temporary.is_challenged()
                    && temporary.nonce == nonce
                    && (!source.is_clear() || temporary.source == source)
            })
        };
        self.end_open(is, |_| Cause::Refused, effects);
    }

    pub(super) fn drop_temporary<D: DataPath>(
        &mut self,
        id: SetId,
        cause: Cause,
        effects: &mut Effects<'_, D>,
    ) {
        let is = |open: &Open| open.temporary().is_some_and(|temporary| temporary.set.id == id);
        self.end_open(is, |_| cause, effects);
    }

    /// The authentication failed: its set stays long enough for the message that says so, and its
    /// keys go now.
    pub(super) fn fail<D>(&mut self, id: SetId, now: Moment, effects: &mut Effects<'_, D>) {
        let Some(temporary) = self.temporary_mut(|temporary| temporary.set.id == id) else { return };
        effects.counts_no_more(temporary.counted());
        temporary.progress = Progress::Failed;
        temporary.set.deadline = temporary.set.deadline.min(now + DRAIN);
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
    /// at once. False if a later authentication has succeeded already: then the set goes.
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
        if self.current.is_some_and(|current| current.id.0.generation > id.0.generation) {
            self.fail(id, now, effects);
            self.extend(registration_ends);
            return Ok(false);
        }
        let leaving = self.leaving;
        let previous = || self.current.iter().chain(self.old.as_deref());
        let longest = previous().filter(|_| !leaving).map(|set| set.deadline).max();
        let stays = |set: &Set| !leaving && set.carried(over);
        if !previous().any(stays) {
            effects.take_into_use(&temporary.set)?;
        }
        let Open::Temporary(temporary) = self.take(index) else { return Ok(false) };
        let Temporary { mut set, identity, nonce, .. } = *temporary;
        // Who registered is who was authenticated now, not who an earlier REGISTER said to be.
        if self.is_registered() && !leaving {
            self.adds(&identity);
        } else {
            self.identity = identity;
        }
        self.latest_nonce = nonce;
        set.deadline = longest.map_or(registration_ends, |longest| longest.max(registration_ends));
        for previous in [self.current.take(), self.old.take().map(|old| *old)].into_iter().flatten() {
            if stays(&previous) {
                self.old = Some(Box::new(previous));
            } else {
                effects.remove(previous, Cause::Displaced);
            }
        }
        (self.old_in_use, self.stuck) = (self.old.is_some(), false);
        self.current = Some(set);
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
    /// shorter, and not once the registration has ended.
    pub(super) fn extend(&mut self, registration_ends: Moment) {
        if let Some(current) = self.current.as_mut().filter(|_| !self.leaving) {
            current.deadline = current.deadline.max(registration_ends);
        }
    }

    /// The registration has ended: every set stays for the messages that say so, and no longer.
    /// What began in clear is another registration.
    pub(super) fn leave<D: DataPath>(&mut self, now: Moment, effects: &mut Effects<'_, D>) {
        self.leaving = true;
        let is = |open: &Open| open.attempt().is_some() && !open.source().is_clear();
        self.end_open(is, |_| Cause::Deregistered, effects);
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
        self.end_open(|open| open.deadline() <= now, because, effects);
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

    /// A set goes before its time: the data path has lost it, or it is displaced. A temporary one
    /// ends its authentication, a current one the registration.
    pub(super) fn lose<D: DataPath>(&mut self, id: SetId, cause: Cause, effects: &mut Effects<'_, D>) {
        if self.current.is_some_and(|current| current.id == id) {
            self.drop_old(cause, effects);
            self.drop_current(cause, effects);
            let protected = |open: &Open| !open.source().is_clear();
            self.end_open(protected, |_| cause, effects);
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
        self.end_open(|_| true, |_| cause, effects);
        self.drop_old(cause, effects);
        self.drop_current(cause, effects);
    }

    /// Whether the sequence numbers of a set are said to run low for the first time.
    pub(super) fn first_numbers_low(&mut self, id: SetId) -> bool {
        let set = self.sets_mut().find(|set| set.id == id);
        set.is_some_and(|set| !core::mem::replace(&mut set.numbers_low, true))
    }
}

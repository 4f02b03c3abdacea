//! One registered contact at the P-CSCF: its temporary, current and old set, and the rules by which one takes the place
//! of another (TS 33.203 7.4, the table of TS 24.229 5.2.2). No look-ups and no timers: the table of contacts has those.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::DRAIN;
use super::identity::Identity;
use super::instruction::SetId;
use super::pcscf::Over;
use crate::algorithm::Suite;
use crate::negotiation::pcscf::{Challenge, Offer, Response};
use crate::sa::{Ends, SaSet, Side};
use crate::spi::Spi;
use crate::time::Instant;

/// A set of SAs, without its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    pub(super) id: SetId,
    pub(super) ends: Ends,
    pub(super) suite: Suite,
    pub(super) deadline: Instant,
}

/// A REGISTER that was sent on to the core, whose answer is awaited.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) number: u64,
    /// `None` for a de-registration without a Security-Client, which cannot be challenged.
    pub(super) offer: Option<Offer>,
    pub(super) over: Over,
    pub(super) deregisters: bool,
    pub(super) deadline: Instant,
}

/// The set of an authentication that has not been finished, and how far it has come.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) set: Set,
    pub(super) step: Step,
    /// What SM1 came over.
    pub(super) over: Over,
}

#[derive(Debug)]
pub(super) enum Step {
    /// SM6 was sent.
    Challenged(Box<Challenge>),
    /// SM7 was sent on, as the request of this number.
    Answered { response: Box<Response>, number: u64, deregisters: bool },
    /// The authentication failed; the set stays for the message that says so.
    Failed,
}

/// Which of a contact's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Temporary,
    Current,
    Old,
}

#[derive(Debug)]
pub(super) struct Contact {
    pub(super) identity: Identity,
    /// A REGISTER in clear and one over an SA, each the latest: what anybody can send does not displace what the UE sent.
    pub(super) attempts: [Option<Box<Attempt>>; 2],
    pub(super) temporary: Option<Box<Temporary>>,
    /// The set of the latest successful authentication.
    pub(super) current: Option<Set>,
    /// The set of the one before it.
    pub(super) old: Option<Box<Set>>,
    /// The P-CSCF still sends over the old set, because the UE has not used the current one.
    pub(super) old_in_use: bool,
    /// An authentication has succeeded.
    pub(super) registered: bool,
    /// The registration has ended, and its sets drain.
    pub(super) leaving: bool,
}

impl Contact {
    pub(super) const fn new(identity: Identity) -> Self {
        Self {
            identity,
            attempts: [None, None],
            temporary: None,
            current: None,
            old: None,
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
    pub(super) fn sets(&self) -> impl Iterator<Item = (Slot, &Set)> {
        let temporary = self.temporary.as_deref().map(|temporary| (Slot::Temporary, &temporary.set));
        let current = self.current.as_ref().map(|set| (Slot::Current, set));
        temporary.into_iter().chain(current).chain(self.old.as_deref().map(|set| (Slot::Old, set)))
    }

    /// The set whose SA inbound at the P-CSCF has an SPI.
    pub(super) fn set_over(&self, spi: Spi) -> Option<(Slot, &Set)> {
        self.sets().find(|(_, set)| set.ends.inbound(Side::Pcscf, spi).is_some())
    }

    /// The SAs of a set whose keys are still here: until its authentication has succeeded.
    pub(super) fn keyed_set(&self, id: SetId) -> Option<&SaSet> {
        let temporary = self.temporary.as_deref().filter(|temporary| temporary.set.id == id)?;
        match &temporary.step {
            Step::Challenged(challenge) => Some(challenge.set()),
            Step::Answered { response, .. } => Some(response.set()),
            Step::Failed => None,
        }
    }

    /// The authentication whose SM7 was the request of this number.
    pub(super) fn answered(&self, request: u64) -> Option<&Temporary> {
        self.temporary.as_deref().filter(|temporary| match temporary.step {
            Step::Answered { number, .. } => number == request,
            Step::Challenged(_) | Step::Failed => false,
        })
    }

    /// A REGISTER was sent on.
    pub(super) fn attempts(&mut self, attempt: Attempt) {
        let [clear, protected] = &mut self.attempts;
        let place = if attempt.over == Over::Clear { clear } else { protected };
        *place = Some(Box::new(attempt));
    }

    /// The request of this number, if it awaits an answer.
    pub(super) fn attempt(&self, request: u64) -> Option<&Attempt> {
        self.attempts.iter().flatten().map(AsRef::as_ref).find(|attempt| attempt.number == request)
    }

    pub(super) fn attempt_mut(&mut self, request: u64) -> Option<&mut Attempt> {
        self.attempts.iter_mut().flatten().map(AsMut::as_mut).find(|attempt| attempt.number == request)
    }

    pub(super) fn take_attempt(&mut self, request: u64) -> Option<Attempt> {
        let taken = |place: &mut Option<Box<Attempt>>| place.take_if(|attempt| attempt.number == request);
        self.attempts.iter_mut().find_map(taken).map(|attempt| *attempt)
    }

    /// The UE reports that it refused a challenge. The SAs of that challenge go, unless the UE has answered it: then the
    /// report is not the UE's. Of a challenge that was sent protected, only a report over an SA is believed.
    pub(super) fn refused_challenge(&mut self, over: Over, gone: &mut Vec<Set>) {
        let believed = self.temporary.as_ref().is_some_and(|temporary| {
            matches!(temporary.step, Step::Challenged(_))
                && (over != Over::Clear || temporary.over == Over::Clear)
        });
        if believed {
            self.drop_temporary(gone);
        }
    }

    /// The set that the P-CSCF sends requests over.
    pub(super) fn in_use(&self) -> Option<&Set> {
        if self.old_in_use { self.old.as_deref() } else { self.current.as_ref() }
    }

    /// A message arrived over the current set: it is taken into use, and the old one drains.
    pub(super) fn use_current(&mut self, now: Instant) {
        if core::mem::take(&mut self.old_in_use)
            && let Some(old) = &mut self.old
        {
            old.deadline = old.deadline.min(now + DRAIN);
        }
    }

    /// A challenge: whatever there was of an unfinished authentication ends, the new set is temporary.
    pub(super) fn challenge(&mut self, temporary: Temporary, gone: &mut Vec<Set>) {
        self.drop_temporary(gone);
        self.temporary = Some(Box::new(temporary));
    }

    pub(super) fn drop_temporary(&mut self, gone: &mut Vec<Set>) {
        gone.extend(self.temporary.take().map(|temporary| temporary.set));
    }

    /// The authentication failed: its set stays long enough for the message that says so, and its keys go now.
    pub(super) fn fail(&mut self, now: Instant) {
        if let Some(temporary) = &mut self.temporary {
            temporary.step = Step::Failed;
            temporary.set.deadline = temporary.set.deadline.min(now + DRAIN);
        }
    }

    /// The authentication succeeded: the temporary set is the current one. If SM1 came over a set that is still there,
    /// that one stays in use until the UE uses the new one; all others go at once.
    pub(super) fn promote(&mut self, registration_ends: Instant, gone: &mut Vec<Set>) {
        let Some(temporary) = self.temporary.take() else { return };
        let Temporary { mut set, over, step } = *temporary;
        // Who registered is who was authenticated now, not who an earlier REGISTER said to be.
        if let Step::Answered { response, .. } = step {
            let impus: Vec<&str> = response.identity().impus().collect();
            if let Some(identity) = Identity::new(self.identity.contact(), self.identity.impi(), &impus) {
                self.identity = identity;
            }
        }
        let (current, old) = (self.current.take(), self.old.take().map(|old| *old));
        let longest = [&current, &old].into_iter().flatten().map(|set| set.deadline).max();
        set.deadline = registration_ends.max(longest.unwrap_or_default());
        for previous in [current, old].into_iter().flatten() {
            let carried_sm1 = match over {
                Over::Clear => false,
                Over::Sa(spi) => previous.ends.inbound(Side::Pcscf, spi).is_some(),
            };
            if carried_sm1 {
                self.old = Some(Box::new(previous));
            } else {
                gone.push(previous);
            }
        }
        self.old_in_use = self.old.is_some();
        self.current = Some(set);
        (self.registered, self.leaving) = (true, false);
    }

    /// The registration was refreshed without a challenge: the current set lives longer, never shorter.
    pub(super) fn extend(&mut self, registration_ends: Instant) {
        if let Some(current) = &mut self.current {
            current.deadline = current.deadline.max(registration_ends);
        }
    }

    /// The registration has ended: every set stays for the messages that say so, and no longer.
    pub(super) fn leave(&mut self, now: Instant) {
        self.attempts = [None, None];
        self.leaving = true;
        self.fail(now);
        for set in self.current.iter_mut().chain(self.old.as_deref_mut()) {
            set.deadline = set.deadline.min(now + DRAIN);
        }
    }

    /// When something of this contact ends, or the current set must be taken into use because the old one will end.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let attempts = self.attempts.iter().flatten().map(|attempt| attempt.deadline);
        let sets = self.sets().map(|(slot, set)| {
            let gives_way = slot == Slot::Old && self.old_in_use && !self.leaving;
            if gives_way { set.deadline - DRAIN } else { set.deadline }
        });
        sets.chain(attempts).min()
    }

    /// Ends what has reached its deadline.
    pub(super) fn expire(&mut self, now: Instant, gone: &mut Vec<Set>) {
        for attempt in &mut self.attempts {
            attempt.take_if(|attempt| attempt.deadline <= now);
        }
        if self.temporary.as_ref().is_some_and(|temporary| temporary.set.deadline <= now) {
            self.drop_temporary(gone);
        }
        if !self.leaving && self.old.as_ref().is_some_and(|old| old.deadline - DRAIN <= now) {
            self.old_in_use = false;
        }
        if let Some(old) = self.old.take_if(|old| old.deadline <= now) {
            gone.push(*old);
            self.old_in_use = false;
        }
        if let Some(current) = self.current.take_if(|current| current.deadline <= now) {
            gone.push(current);
            gone.extend(self.old.take().map(|old| *old));
            self.old_in_use = false;
        }
    }

    /// Every set goes at once.
    pub(super) fn clear(&mut self, gone: &mut Vec<Set>) {
        self.attempts = [None, None];
        self.drop_temporary(gone);
        gone.extend(self.current.take());
        gone.extend(self.old.take().map(|old| *old));
        self.old_in_use = false;
    }
}

//! From SM1 to SM12 and every way in which it ends (TS 33.203 7.3, 7.4; TS 24.229 5.1.1).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use super::{
    BadChallenge, Begin, BeginError, ChallengeFailure, Procedure, Request, Set, Ue, UeGone, UeState,
};
use crate::key::{Ck, Ik};
use crate::negotiation::ue::Offer;
use crate::registration::instruction::{Instruction, SetId};
use crate::registration::pcscf::Over;
use crate::registration::{DRAIN, GRACE, REG_AWAIT_AUTH};
use crate::sa::{Endpoint, Ends, SaName};
use crate::sec_agree::Setup;
use crate::time::Instant;

const MAX_BAD_CHALLENGES: u32 = 2;
/// When a registration that was to be kept and could not be is tried again.
const RETRY: Duration = Duration::from_secs(30);

impl Ue {
    /// Begins to register, for the first time, again, or in order to leave. An unfinished procedure ends, with its SAs.
    ///
    /// # Errors
    /// [`BeginError`]; nothing has changed.
    pub fn begin(&mut self, now: Instant, begin: &Begin) -> Result<Request, BeginError> {
        let offer = self.offer(begin)?;
        (self.bad_challenges, self.leaving) = (0, false);
        Ok(self.send_sm1(now, offer, begin.in_clear))
    }

    fn send_sm1(&mut self, now: Instant, offer: Offer, in_clear: bool) -> Request {
        self.end_procedure();
        let over = self.current.as_ref().filter(|_| !in_clear).map(|current| current.id);
        let request = Request {
            security_client: offer.security_client().clone(),
            security_verify: if over.is_some() { self.verify.clone() } else { Vec::new() },
            over,
        };
        self.procedure =
            Procedure::Registering { offer: Box::new(offer), over, deadline: now + REG_AWAIT_AUTH };
        request
    }

    /// What the SPIs and ports of an SM1 must not be (TS 33.203 7.1, 7.4), and the offer.
    fn offer(&self, begin: &Begin) -> Result<Offer, BeginError> {
        let Setup { spis, ports } = begin.setup;
        // The set of an unfinished procedure goes before the new one is made.
        for set in self.current.iter().chain(&self.old) {
            for name in SaName::ALL {
                let (spi, _) = set.ends.sa(name);
                if [spis.client, spis.server].contains(&spi) {
                    return Err(BeginError::SpiInUse(spi));
                }
            }
            let own = set.ends.ue.setup.ports;
            if [own.client, own.server].contains(&ports.client) {
                return Err(BeginError::PortInUse(ports.client));
            }
            if own.server != ports.server {
                return Err(BeginError::ServerPort { needed: own.server, found: ports.server });
            }
        }
        let (policy, pcscf) = (&self.config.policy, self.config.pcscf);
        let offer = match &begin.list {
            None => Offer::new(policy, Endpoint { address: self.address, setup: begin.setup }, pcscf)?,
            Some(list) => Offer::from_list(policy, list.clone(), self.address, pcscf)?,
        };
        if offer.ue().setup == begin.setup { Ok(offer) } else { Err(BeginError::List) }
    }

    /// SM6 arrived and the ISIM accepted it: what it came over, the rows of its Security-Server, and the keys. Returns SM7.
    ///
    /// # Errors
    /// [`ChallengeFailure`].
    pub fn challenged(
        &mut self,
        now: Instant,
        over: Over,
        security_server: &[&str],
        ck: &Ck,
        ik: &Ik,
    ) -> Result<Request, ChallengeFailure> {
        self.expects_sm6(over)?;
        let Procedure::Registering { offer, over: sm1_over, .. } =
            core::mem::replace(&mut self.procedure, Procedure::Idle)
        else {
            return Err(UeGone.into());
        };
        let answered = match offer.receive_sm6(security_server, ck, ik) {
            Ok(answer) => self.make_way(answer.set().ends(), sm1_over.is_none()).map(|()| answer),
            Err(rejected) => Err(ChallengeFailure::Sm6(rejected.error)),
        };
        let answer = answered.inspect_err(|_| self.try_later(now))?;
        self.next_number += 1;
        let set = Set {
            id: SetId { contact: 0, number: self.next_number },
            ends: *answer.set().ends(),
            deadline: now + REG_AWAIT_AUTH,
            transactions: 0,
        };
        self.instructions.push_back(Instruction::Install(set.id));
        let request = Request {
            security_client: answer.security_client().clone(),
            security_verify: answer.security_verify().map(Box::from).collect(),
            over: Some(set.id),
        };
        self.procedure = Procedure::Answered { answer: Box::new(answer), set, sm1_over };
        Ok(request)
    }

    /// SM6 arrived and the ISIM refused it: the MAC or the sequence number is wrong. Returns the REGISTER that reports
    /// it, over the sets in force or in clear and never over a new one, with fresh SPIs and a fresh client port.
    ///
    /// # Errors
    /// [`BadChallenge`].
    pub fn bad_challenge(
        &mut self,
        now: Instant,
        over: Over,
        begin: &Begin,
    ) -> Result<Request, BadChallenge> {
        self.expects_sm6(over)?;
        if self.bad_challenges == MAX_BAD_CHALLENGES {
            self.end_procedure();
            self.try_later(now);
            return Err(BadChallenge::TooMany);
        }
        let offer = self.offer(begin)?;
        self.bad_challenges += 1;
        Ok(self.send_sm1(now, offer, begin.in_clear))
    }

    /// A 2xx arrived over this, for so long. After SM7, the temporary set is the current one; without a challenge, the
    /// set that the REGISTER went over lives on and what SM1 announced is forgotten. An expiry of zero ends the
    /// registration: its sets drain.
    ///
    /// # Errors
    /// [`UeGone`] if no REGISTER awaits an answer that comes over this: it is to be discarded, nothing has changed.
    pub fn success(&mut self, now: Instant, over: Over, expires: Duration) -> Result<(), UeGone> {
        let ends = now + expires + GRACE;
        let expected = match &self.procedure {
            Procedure::Idle => false,
            Procedure::Registering { over: sm1_over, .. } => self.is_over(over, *sm1_over),
            // SM12 comes over the new set (TS 33.203 7.4).
            Procedure::Answered { set, .. } => set.carried(over),
        };
        if !expected {
            return Err(UeGone);
        }
        match core::mem::replace(&mut self.procedure, Procedure::Idle) {
            Procedure::Idle => return Err(UeGone),
            Procedure::Registering { over: sm1_over, .. } => {
                // What came in clear says nothing of a set.
                if let Some(current) = self.current.as_mut().filter(|_| sm1_over.is_some()) {
                    current.deadline = current.deadline.max(ends);
                }
                if sm1_over.is_none() {
                    self.try_later(now);
                    return Ok(());
                }
            }
            Procedure::Answered { answer, mut set, .. } => {
                self.verify = answer.confirmed().security_verify;
                let before = self.current.take();
                set.deadline = before.as_ref().map_or(ends, |before| before.deadline.max(ends));
                let older = core::mem::replace(&mut self.old, before);
                self.remove(older);
                self.old_leaves = false;
                self.current = Some(set);
            }
        }
        self.bad_challenges = 0;
        self.refresh = None;
        if expires.is_zero() {
            self.leaving = true;
            for set in self.current.iter_mut().chain(&mut self.old) {
                set.deadline = set.deadline.min(now + DRAIN);
            }
        } else if self.current.is_some() {
            self.refresh = Some(now + refresh_after(expires));
        }
        Ok(())
    }

    /// Another final response arrived over this: the procedure has ended, with its SAs. Sets in force stay, and
    /// [`Prompt::Register`](super::Prompt::Register) comes again.
    ///
    /// # Errors
    /// [`UeGone`] if no REGISTER awaits an answer that comes over this: it is to be discarded, nothing has changed.
    pub fn failure(&mut self, now: Instant, over: Over) -> Result<(), UeGone> {
        let expected = match &self.procedure {
            Procedure::Idle => false,
            Procedure::Registering { over: sm1_over, .. } => self.is_over(over, *sm1_over),
            // Over the new set where SM1 was in clear, else over the one that SM1 went over; one that has just been
            // refused may have only the new one left (TS 33.203 7.4.1a).
            Procedure::Answered { set, sm1_over, .. } => {
                set.carried(over) || sm1_over.is_some() && self.is_over(over, *sm1_over)
            }
        };
        if expected { self.timed_out(now) } else { Err(UeGone) }
    }

    /// No final response arrived: the procedure has ended as after [`Ue::failure`].
    ///
    /// # Errors
    /// [`UeGone`] if no REGISTER awaits an answer.
    pub fn timed_out(&mut self, now: Instant) -> Result<(), UeGone> {
        if self.state() == UeState::Idle {
            return Err(UeGone);
        }
        self.end_procedure();
        self.try_later(now);
        Ok(())
    }

    /// The UE has another address: its SAs are worthless, and it registers in clear (TS 33.203 7.5).
    pub fn address_changed(&mut self, address: IpAddr) {
        self.address = address;
        self.end_procedure();
        for set in [self.current.take(), self.old.take()] {
            self.remove(set);
        }
        self.verify.clear();
        self.refresh = None;
    }

    /// Forgets an unfinished procedure; the SAs that it had made go.
    pub(super) fn end_procedure(&mut self) {
        if let Procedure::Answered { set, .. } = core::mem::replace(&mut self.procedure, Procedure::Idle) {
            self.remove(Some(set));
        }
    }

    /// A P-CSCF that has lost its SAs may use a client port again that a set here still has. The UE that registers in
    /// clear takes them for lost too, so the set goes; over SAs in force it is a fault of the P-CSCF.
    pub(super) fn make_way(&mut self, new: &Ends, in_clear: bool) -> Result<(), ChallengeFailure> {
        let port = new.pcscf.setup.ports.client;
        let clashes = |set: &mut Set| set.ends.pcscf.setup.ports.client == port;
        if !in_clear && self.current.iter_mut().chain(&mut self.old).any(clashes) {
            return Err(ChallengeFailure::PortInUse(port));
        }
        for set in [self.current.take_if(clashes), self.old.take_if(clashes)] {
            self.remove(set);
        }
        if self.current.is_none() {
            self.verify.clear();
            self.refresh = None;
        }
        Ok(())
    }

    /// SM6 comes over what SM1 went over (TS 33.203 7.4).
    pub(super) fn expects_sm6(&self, over: Over) -> Result<(), UeGone> {
        match &self.procedure {
            Procedure::Registering { over: sm1_over, .. } if self.is_over(over, *sm1_over) => Ok(()),
            Procedure::Registering { .. } | Procedure::Idle | Procedure::Answered { .. } => Err(UeGone),
        }
    }

    /// Whether a message came over this set, or in clear.
    pub(super) fn is_over(&self, over: Over, expected: Option<SetId>) -> bool {
        match expected {
            None => over == Over::Clear,
            Some(id) => self.current.iter().chain(&self.old).any(|set| set.id == id && set.carried(over)),
        }
    }

    /// A procedure that did not succeed is tried again while there is a registration to keep.
    pub(super) fn try_later(&mut self, now: Instant) {
        if self.current.is_some() && !self.leaving {
            let again = now + RETRY;
            self.refresh = Some(self.refresh.map_or(again, |refresh| refresh.max(again)));
        }
    }

    pub(super) fn let_old_go(&mut self) {
        if self.old_leaves {
            let old = self.old.take_if(|old| old.transactions == 0);
            self.remove(old);
        }
    }

    pub(super) fn remove(&mut self, set: Option<Set>) {
        self.instructions.extend(set.map(|set| Instruction::Remove(set.id, set.ends)));
    }
}

/// TS 24.229 5.1.1.4: 600 s before the registration ends, or after half of it if it is 1,200 s or less.
fn refresh_after(expires: Duration) -> Duration {
    const SHORT: Duration = Duration::from_secs(1200);
    const BEFORE: Duration = Duration::from_secs(600);
    if expires > SHORT { expires.saturating_sub(BEFORE) } else { expires / 2 }
}

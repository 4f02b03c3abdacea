//! One registration of a UE over time.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::num::NonZeroU16;
use core::time::Duration;

use super::instruction::{Instruction, SetId};
use super::pcscf::Over;
use super::route::{Message, NoSa, Route, Transport};
use super::{DRAIN, GRACE, REG_AWAIT_AUTH};
use crate::key::{Ck, Ik};
use crate::negotiation::ue::{Answer, Offer, OfferError, Sm6Error};
use crate::policy::Policy;
use crate::sa::{Endpoint, Ends, InstallError, Ports, SaName, SaSet, Sad, Side};
use crate::sec_agree::{SecurityClient, Setup};
use crate::spi::Spi;
use crate::time::Instant;

/// What is the same for every registration of a UE at a P-CSCF.
#[derive(Clone, Debug)]
pub struct UeConfig {
    /// The suites of the UE.
    pub policy: Policy,
    /// The P-CSCF's address.
    pub pcscf: IpAddr,
}

/// What a registration begins with.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Fresh SPIs and a fresh client port, random; the server port is that of the sets in force.
    pub setup: Setup,
    /// The list to offer, with these SPIs and ports; `None` for the policy's own.
    pub list: Option<SecurityClient>,
    /// In clear although there are SAs: the P-CSCF seems to have lost them (TS 33.203 7.4).
    pub in_clear: bool,
}

/// Why a registration cannot begin: the caller's fault. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// An SPI is one of a set that is there, in whichever direction (TS 33.203 7.1).
    #[error("SPI {0} is in use")]
    SpiInUse(Spi),
    /// A port is the client port of a set that is there (TS 33.203 7.1, rule 6).
    #[error("port {0} is in use")]
    PortInUse(NonZeroU16),
    /// The server port stays the same while the UE is registered (TS 33.203 7.4).
    #[error("server port {found} where {needed} is registered")]
    ServerPort {
        /// The port of the sets in force.
        needed: NonZeroU16,
        /// The port given.
        found: NonZeroU16,
    },
    /// The list has other SPIs or ports than were given with it.
    #[error("a list with other SPIs or ports")]
    List,
    /// The offer cannot be made.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

/// A REGISTER that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its Security-Client.
    pub security_client: SecurityClient,
    /// The rows of its Security-Verify; none in clear.
    pub security_verify: Vec<Box<str>>,
    /// The set that it is sent over; `None` for a REGISTER in clear.
    pub over: Option<SetId>,
}

/// The event does not belong to what is going on. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is going on that this belongs to")]
pub struct UeGone;

/// Why a challenge is not answered. The procedure has ended; sets in force are as they were. The UE begins anew with
/// another Call-ID (TS 24.229 5.1.1.5.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeFailure {
    /// No REGISTER awaits an answer. Nothing has changed.
    #[error(transparent)]
    Gone(#[from] UeGone),
    /// Security-Server is of no use.
    #[error(transparent)]
    Sm6(#[from] Sm6Error),
    /// The P-CSCF's client port is that of a set that is there, so that their traffic could not be told apart.
    #[error("the P-CSCF's port {0} is in use")]
    PortInUse(NonZeroU16),
}

/// Why a challenge that the ISIM refused is not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadChallenge {
    /// No REGISTER awaits an answer. Nothing has changed.
    #[error(transparent)]
    Gone(#[from] UeGone),
    /// It is the third in a row: the procedure has ended (TS 24.229 5.1.1.5.3).
    #[error("two challenges in a row were bad")]
    TooMany,
    /// The report cannot be made. The challenge still waits.
    #[error(transparent)]
    Begin(#[from] BeginError),
}

/// What time asks of the UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// To register again, over the sets in force.
    Register,
    /// The registration has run out, without the UE having asked for it: to register in clear.
    Lost,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UeState {
    /// Nothing.
    Idle,
    /// SM1 was sent.
    Registering,
    /// SM7 was sent.
    Answered,
}

#[derive(Debug)]
struct Set {
    id: SetId,
    ends: Ends,
    deadline: Instant,
    /// Transactions that began over it and have not ended.
    transactions: u32,
}

#[derive(Debug)]
enum Procedure {
    Idle,
    Registering { offer: Box<Offer>, over: Option<SetId>, deadline: Instant },
    Answered { answer: Box<Answer>, set: Set, sm1_over: Option<SetId> },
}

/// One registration of a UE: of one contact at one P-CSCF. A UE with several has several of these.
#[derive(Debug)]
pub struct Ue {
    config: UeConfig,
    address: IpAddr,
    procedure: Procedure,
    bad_challenges: u32,
    current: Option<Set>,
    /// The Security-Server of the current set, for the Security-Verify of every request.
    verify: Vec<Box<str>>,
    old: Option<Set>,
    /// The network has used the current set: the old one goes when its transactions have ended.
    old_leaves: bool,
    refresh: Option<Instant>,
    /// The UE has asked for the end of its registration.
    leaving: bool,
    instructions: VecDeque<Instruction>,
    next_number: u64,
}

const MAX_BAD_CHALLENGES: u32 = 2;
/// When a registration that was to be kept and could not be is tried again.
const RETRY: Duration = Duration::from_secs(30);

impl Set {
    /// Whether a message came over one of its SAs.
    fn carried(&self, over: Over) -> bool {
        match over {
            Over::Clear => false,
            Over::Sa(spi) => self.ends.inbound(Side::Ue, spi).is_some(),
        }
    }
}

impl Ue {
    /// A UE that is not registered.
    pub const fn new(config: UeConfig, address: IpAddr) -> Self {
        Self {
            config,
            address,
            procedure: Procedure::Idle,
            bad_challenges: 0,
            current: None,
            verify: Vec::new(),
            old: None,
            old_leaves: false,
            refresh: None,
            leaving: false,
            instructions: VecDeque::new(),
            next_number: 0,
        }
    }

    /// What is going on.
    pub const fn state(&self) -> UeState {
        match self.procedure {
            Procedure::Idle => UeState::Idle,
            Procedure::Registering { .. } => UeState::Registering,
            Procedure::Answered { .. } => UeState::Answered,
        }
    }

    /// Until when the current set lives; `None` if there is none.
    pub fn registered_until(&self) -> Option<Instant> {
        self.current.as_ref().map(|current| current.deadline)
    }

    /// The rows of Security-Verify for every request over the current set.
    pub fn security_verify(&self) -> &[Box<str>] {
        &self.verify
    }

    // ---- registering

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
    /// [`Prompt::Register`] comes again.
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

    // ---- messages

    /// A message was opened that is not the answer to a REGISTER. Returns the set that it came over. Over the current
    /// set, it shows that the network uses that one: the old one goes as soon as its transactions have ended.
    ///
    /// # Errors
    /// [`UeGone`] if no set in force has an inbound SA with this SPI: the message is to be discarded.
    pub fn message(&mut self, over: Spi) -> Result<SetId, UeGone> {
        let inbound = |set: &&Set| set.ends.inbound(Side::Ue, over).is_some();
        if let Some(current) = self.current.as_ref().filter(inbound) {
            let id = current.id;
            self.old_leaves = true;
            self.let_old_go();
            return Ok(id);
        }
        self.old.as_ref().filter(inbound).map(|old| old.id).ok_or(UeGone)
    }

    /// What a message travels over.
    ///
    /// # Errors
    /// [`NoSa`]; the message must not go out in clear.
    pub fn route(&self, transport: Transport, message: Message) -> Result<Route, NoSa> {
        let temporary = match &self.procedure {
            Procedure::Answered { set, .. } => Some(set),
            Procedure::Idle | Procedure::Registering { .. } => None,
        };
        let mut sets = self.current.iter().chain(&self.old).chain(temporary);
        let set = match message {
            Message::Request => self.current.as_ref(),
            Message::Response { over } => sets.find(|set| set.ends.inbound(Side::Ue, over).is_some()),
            Message::InTransaction(id) => sets.find(|set| set.id == id),
        };
        let set = set.ok_or(NoSa)?;
        Ok(Route::of(set.id, &set.ends, Side::Ue, transport, message))
    }

    /// Whether a request can be sent.
    pub const fn may_send_protected(&self) -> bool {
        self.current.is_some()
    }

    /// What a message came over, for a data path that tells its ports and not its SPI: the inbound SA from this port of
    /// the P-CSCF to this one of the UE (TS 33.203 7.1).
    pub fn over(&self, pcscf_port: NonZeroU16, ue_port: NonZeroU16) -> Option<Spi> {
        let temporary = match &self.procedure {
            Procedure::Answered { set, .. } => Some(set),
            Procedure::Idle | Procedure::Registering { .. } => None,
        };
        let (inbound, _) = SaName::of(Side::Ue);
        let ports = Ports::Exact { source: pcscf_port.get(), destination: ue_port.get() };
        self.current.iter().chain(&self.old).chain(temporary).find_map(|set| {
            inbound
                .iter()
                .map(|name| set.ends.sa(*name))
                .find(|(_, sa)| sa.ports == ports)
                .map(|(spi, _)| spi)
        })
    }

    /// Whether a port of the UE is a protected one: nothing in clear is sent from it or accepted at it.
    pub fn is_protected_port(&self, port: u16) -> bool {
        let temporary = match &self.procedure {
            Procedure::Answered { set, .. } => Some(set),
            Procedure::Idle | Procedure::Registering { .. } => None,
        };
        self.current.iter().chain(&self.old).chain(temporary).any(|set| {
            let ports = set.ends.ue.setup.ports;
            ports.client.get() == port || ports.server.get() == port
        })
    }

    /// A transaction began over a set: the set stays until it ends, or until the set's lifetime does.
    pub fn transaction_begins(&mut self, set: SetId) {
        if let Some(set) = self.current.iter_mut().chain(&mut self.old).find(|other| other.id == set) {
            set.transactions += 1;
        }
    }

    /// A transaction that began over a set has ended.
    pub fn transaction_ends(&mut self, set: SetId) {
        if let Some(set) = self.current.iter_mut().chain(&mut self.old).find(|other| other.id == set) {
            set.transactions = set.transactions.saturating_sub(1);
        }
        self.let_old_go();
    }

    // ---- the data path

    /// The next thing that the data path is to do.
    pub fn next_instruction(&mut self) -> Option<Instruction> {
        self.instructions.pop_front()
    }

    /// The SAs of a set, with their keys, while it is temporary; then the data path alone has them.
    pub fn set(&self, id: SetId) -> Option<&SaSet> {
        match &self.procedure {
            Procedure::Answered { answer, set, .. } if set.id == id => Some(answer.set()),
            Procedure::Idle | Procedure::Registering { .. } | Procedure::Answered { .. } => None,
        }
    }

    /// Carries out all instructions.
    ///
    /// # Errors
    /// [`InstallError`] if a set could not be installed: its procedure has ended.
    pub fn apply(&mut self, sad: &mut Sad) -> Result<(), InstallError> {
        while let Some(instruction) = self.next_instruction() {
            match instruction {
                Instruction::Install(id) => {
                    let Some(set) = self.set(id) else { continue };
                    if sad.holds(set.ends(), Side::Ue) {
                        continue;
                    }
                    if let Err(error) = sad.install(set, Side::Ue) {
                        self.end_procedure();
                        return Err(error);
                    }
                }
                Instruction::Remove(_, ends) => {
                    sad.remove_ends(&ends, Side::Ue);
                }
            }
        }
        Ok(())
    }

    // ---- time

    /// When [`Ue::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let procedure = match &self.procedure {
            Procedure::Idle => None,
            Procedure::Registering { deadline, .. } => Some(*deadline),
            Procedure::Answered { set, .. } => Some(set.deadline),
        };
        let sets = self.current.iter().chain(&self.old).map(|set| set.deadline);
        sets.chain(procedure).chain(self.refresh).min()
    }

    /// Ends what has reached its deadline, and says when it is time to register.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Prompt> {
        let procedure_ends = match &self.procedure {
            Procedure::Idle => false,
            Procedure::Registering { deadline, .. } => *deadline <= now,
            Procedure::Answered { set, .. } => set.deadline <= now,
        };
        if procedure_ends {
            self.end_procedure();
            self.try_later(now);
        }
        let old = self.old.take_if(|old| old.deadline <= now);
        self.remove(old);
        if let Some(current) = self.current.take_if(|current| current.deadline <= now) {
            self.remove(Some(current));
            let old = self.old.take();
            self.remove(old);
            self.verify.clear();
            self.refresh = None;
            return (!self.leaving).then_some(Prompt::Lost);
        }
        // What is going on already is not asked for; if it fails, it is.
        let due = self.refresh.take_if(|refresh| *refresh <= now).is_some();
        (due && self.state() == UeState::Idle).then_some(Prompt::Register)
    }

    // ---- inside

    /// Forgets an unfinished procedure; the SAs that it had made go.
    fn end_procedure(&mut self) {
        if let Procedure::Answered { set, .. } = core::mem::replace(&mut self.procedure, Procedure::Idle) {
            self.remove(Some(set));
        }
    }

    /// A P-CSCF that has lost its SAs may use a client port again that a set here still has. The UE that registers in
    /// clear takes them for lost too, so the set goes; over SAs in force it is a fault of the P-CSCF.
    fn make_way(&mut self, new: &Ends, in_clear: bool) -> Result<(), ChallengeFailure> {
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
    fn expects_sm6(&self, over: Over) -> Result<(), UeGone> {
        match &self.procedure {
            Procedure::Registering { over: sm1_over, .. } if self.is_over(over, *sm1_over) => Ok(()),
            Procedure::Registering { .. } | Procedure::Idle | Procedure::Answered { .. } => Err(UeGone),
        }
    }

    /// Whether a message came over this set, or in clear.
    fn is_over(&self, over: Over, expected: Option<SetId>) -> bool {
        match expected {
            None => over == Over::Clear,
            Some(id) => self.current.iter().chain(&self.old).any(|set| set.id == id && set.carried(over)),
        }
    }

    /// A procedure that did not succeed is tried again while there is a registration to keep.
    fn try_later(&mut self, now: Instant) {
        if self.current.is_some() && !self.leaving {
            let again = now + RETRY;
            self.refresh = Some(self.refresh.map_or(again, |refresh| refresh.max(again)));
        }
    }

    fn let_old_go(&mut self) {
        if self.old_leaves {
            let old = self.old.take_if(|old| old.transactions == 0);
            self.remove(old);
        }
    }

    fn remove(&mut self, set: Option<Set>) {
        self.instructions.extend(set.map(|set| Instruction::Remove(set.id, set.ends)));
    }
}

/// TS 24.229 5.1.1.4: 600 s before the registration ends, or after half of it if it is 1,200 s or less.
fn refresh_after(expires: Duration) -> Duration {
    const SHORT: Duration = Duration::from_secs(1200);
    const BEFORE: Duration = Duration::from_secs(600);
    if expires > SHORT { expires.saturating_sub(BEFORE) } else { expires / 2 }
}

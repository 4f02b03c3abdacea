//! From SM1 to SM12 and every way in which that ends (TS 33.203 7.3, 7.4; TS 24.229 5.1.1).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use super::event::UeEvent;
use super::state::{Procedure, Set, Ue, UeConfig, UeState};
use crate::key::{Ck, Ik};
use crate::negotiation::ue::{Offer, OfferError, Sm6Error};
use crate::registration::cause::Cause;
use crate::registration::lifetimes::{GRACE, REG_AWAIT_AUTH};
use crate::registration::route::{Over, Route};
use crate::sa::{DataPath, Endpoint, SaName, SetId, Side};
use crate::sec_agree::SecurityClient;
use crate::setup::{Port, Setup};
use crate::spi::Spi;
use crate::time::Moment;

const MAX_BAD_CHALLENGES: u32 = 2;
/// When a registration that could not be kept is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// The parameters that a registration begins with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Begin {
    /// Fresh SPIs and a fresh client port, random; the server port is that of the sets in force.
    pub setup: Setup,
    /// The list to offer, with these SPIs and ports; `None` for the policy's own.
    pub list: Option<SecurityClient>,
    /// In clear although there are SAs: the P-CSCF seems to have lost them (TS 33.203 7.4).
    pub in_clear: bool,
    /// It ends the registration: an expiry of zero.
    pub leaves: bool,
}

impl Begin {
    /// A registration with these SPIs and ports, that offers the policy's list, over the SAs in
    /// force if there are any.
    pub const fn new(setup: Setup) -> Self {
        Self { setup, list: None, in_clear: false, leaves: false }
    }

    /// With this list.
    #[must_use]
    pub fn with_list(self, list: SecurityClient) -> Self {
        Self { list: Some(list), ..self }
    }

    /// In clear although there are SAs, or not.
    #[must_use]
    pub fn with_clear(self, in_clear: bool) -> Self {
        Self { in_clear, ..self }
    }

    /// In order to leave, or not. Once it has begun, the UE is asked for no other registration:
    /// whatever the answer is, and if there is none, the sets drain.
    #[must_use]
    pub fn with_deregistration(self, leaves: bool) -> Self {
        Self { leaves, ..self }
    }
}

/// Why a registration cannot begin: the caller's fault. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// A set in force has an SPI, in whichever direction (TS 33.203 7.1).
    #[error("SPI {0} is already in use")]
    SpiInUse(Spi),
    /// The port is the client port of a set in force (TS 33.203 7.1, rule 6).
    #[error("port {0} is already in use")]
    PortInUse(Port),
    /// The server port stays the same while the UE is registered (TS 33.203 7.4).
    #[error("server port {found} differs from the registered one, {needed}")]
    ServerPort {
        /// The port of the sets in force.
        needed: Port,
        /// The port given.
        found: Port,
    },
    /// The list has other SPIs or ports than were given with it.
    #[error("list with other SPIs or ports")]
    List,
    /// The offer cannot be made.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

crate::code::codes!(BeginError {
    BeginError::SpiInUse(_) => "begin-spi-in-use",
    BeginError::PortInUse(_) => "begin-port-in-use",
    BeginError::ServerPort { .. } => "begin-server-port",
    BeginError::List => "begin-list",
    ;
    BeginError::Offer(error) => error,
});

/// A REGISTER to be sent. If it goes over a set, the set is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the REGISTER is sent with these values"]
#[non_exhaustive]
pub struct Request {
    /// Its Security-Client.
    pub security_client: SecurityClient,
    /// The rows of its Security-Verify; none in clear.
    pub security_verify: Vec<Box<str>>,
    /// How it is sent; `None` for a REGISTER in clear.
    pub route: Option<Route>,
}

/// No registration is in progress that this belongs to. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no registration in progress")]
pub struct NoProcedure;

crate::code::codes!(NoProcedure { NoProcedure => "no-procedure", });

/// Why a challenge is not answered. The procedure has ended; sets in force are as they were. The UE
/// begins again with another Call-ID (TS 24.229 5.1.1.5.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeFailure<E> {
    /// No REGISTER awaits an answer. Nothing has changed.
    #[error(transparent)]
    NoProcedure(#[from] NoProcedure),
    /// Security-Server cannot be used.
    #[error(transparent)]
    Sm6(#[from] Sm6Error),
    /// It is the answer to SM7: the network does not accept it. The procedure has ended at once,
    /// and the UE begins anew.
    #[error("SM7 was challenged again")]
    Sm7,
    /// The data path could not install the set.
    #[error("data path: {0}")]
    DataPath(E),
}

crate::code::codes!(<E> ChallengeFailure<E> {
    ChallengeFailure::Sm7 => "challenge-sm7",
    ChallengeFailure::DataPath(_) => "challenge-data-path",
    ;
    ChallengeFailure::NoProcedure(error) => error,
    ChallengeFailure::Sm6(error) => error,
});

/// Why a challenge that the ISIM refused is not reported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadChallenge {
    /// No REGISTER awaits an answer. Nothing has changed.
    #[error(transparent)]
    NoProcedure(#[from] NoProcedure),
    /// It is the answer to SM7: the procedure has ended at once, and the UE begins anew.
    #[error("SM7 was challenged again")]
    Sm7,
    /// It is the third in a row: the procedure has ended (TS 24.229 5.1.1.5.3).
    #[error("third bad challenge in a row")]
    TooMany,
    /// The report cannot be made. The challenge still waits.
    #[error(transparent)]
    Begin(#[from] BeginError),
}

crate::code::codes!(BadChallenge {
    BadChallenge::Sm7 => "challenge-sm7",
    BadChallenge::TooMany => "bad-challenge-too-many",
    ;
    BadChallenge::NoProcedure(error) => error,
    BadChallenge::Begin(error) => error,
});

/// Why a 2xx changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError<E> {
    /// No REGISTER awaits an answer that comes over this: it must be discarded.
    #[error(transparent)]
    NoProcedure(#[from] NoProcedure),
    /// The data path could not take the new set into use. The older one stays in use, and the
    /// procedure ends in its time.
    #[error("data path: {0}")]
    DataPath(E),
}

crate::code::codes!(<E> ConfirmError<E> {
    ConfirmError::DataPath(_) => "confirm-data-path",
    ;
    ConfirmError::NoProcedure(error) => error,
});

impl Ue {
    /// Begins to register, for the first time, again, or in order to leave. An unfinished procedure
    /// ends, with its SAs. After the end of a registration, sets that still drain go, and the new
    /// one begins in clear.
    ///
    /// # Errors
    /// [`BeginError`]; nothing has changed.
    pub fn begin<D: DataPath>(
        &mut self,
        now: Moment,
        begin: &Begin,
        data_path: &mut D,
    ) -> Result<Request, BeginError> {
        let now = self.at(now, data_path);
        let offer = self.offer(begin)?;
        if self.leaving {
            self.end(Cause::Deregistered, data_path);
        }
        (self.bad_challenges, self.leaving) = (0, false);
        Ok(self.send_sm1(now, offer, begin.in_clear, begin.leaves, data_path))
    }

    fn send_sm1<D: DataPath>(
        &mut self,
        now: Moment,
        offer: Offer,
        in_clear: bool,
        leaves: bool,
        data_path: &mut D,
    ) -> Request {
        self.events.forget_due();
        self.end_procedure(Cause::Displaced, data_path);
        let over = self.current.as_ref().filter(|_| !in_clear);
        let request = Request {
            security_client: offer.security_client().clone(),
            security_verify: if over.is_some() { self.verify.clone() } else { Vec::new() },
            route: over.map(|set| Route::of_request(set.id, &set.ends, Side::Ue)),
        };
        let over = over.map(|set| set.id);
        let deadline = now + REG_AWAIT_AUTH;
        self.procedure = Procedure::Registering { offer: Box::new(offer), over, deadline, leaves };
        request
    }

    /// The offer, with SPIs and ports that no set in force has (TS 33.203 7.1, 7.4).
    fn offer(&self, begin: &Begin) -> Result<Offer, BeginError> {
        let Setup { spis, ports } = begin.setup;
        // The set of an unfinished procedure ends before the new one is made, and so do those that
        // drain after the end of a registration.
        for set in self.current.iter().chain(&self.old).filter(|_| !self.leaving) {
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
        let UeConfig { policy, pcscf, scope } = &self.config;
        let offer = match &begin.list {
            None => {
                let ue = Endpoint { address: self.address, setup: begin.setup };
                Offer::on_link(policy, ue, *pcscf, *scope)?
            }
            Some(list) => Offer::from_list_on_link(policy, list.clone(), self.address, *pcscf, *scope)?,
        };
        if offer.ue().setup == begin.setup { Ok(offer) } else { Err(BeginError::List) }
    }

    /// SM6 arrived and the ISIM accepted it: what it came over, the rows of its Security-Server,
    /// and the keys. The new set is installed before this returns SM7.
    ///
    /// # Errors
    /// [`ChallengeFailure`].
    pub fn challenged<D: DataPath>(
        &mut self,
        now: Moment,
        over: Over,
        security_server: &[&str],
        ck: &Ck,
        ik: &Ik,
        data_path: &mut D,
    ) -> Result<Request, ChallengeFailure<D::Error>> {
        let now = self.at(now, data_path);
        if self.sm7_failed(now, over, data_path) {
            return Err(ChallengeFailure::Sm7);
        }
        self.expects_sm6(over)?;
        let Procedure::Registering { offer, over: sm1_over, leaves, .. } =
            core::mem::replace(&mut self.procedure, Procedure::Idle)
        else {
            return Err(NoProcedure.into());
        };
        let id = self.next_set();
        let answered = match offer.receive_sm6(security_server, ck, ik) {
            Err(rejected) => Err(rejected.error.into()),
            Ok(answer) => {
                let ends = answer.set().ends();
                let others = self.current.iter().chain(&self.old);
                let overlap =
                    others.map(|other| ends.overlap(&other.ends, Side::Ue)).max().unwrap_or_default();
                let installed = data_path.install(id, Side::Ue, answer.set(), overlap);
                installed.map(|()| answer).map_err(ChallengeFailure::DataPath)
            }
        };
        let answer = answered.inspect_err(|_| self.after_failure(now, leaves, None))?;
        let ends = *answer.set().ends();
        let deadline = now + REG_AWAIT_AUTH;
        let set = Set { id, ends, deadline, installed: now, transactions: 0, numbers_low: false };
        let request = Request {
            security_client: answer.security_client().clone(),
            security_verify: answer.security_verify().map(Box::from).collect(),
            route: Some(Route::of_request(id, &ends, Side::Ue)),
        };
        self.procedure = Procedure::Answered { answer: Box::new(answer), set, sm1_over, leaves };
        Ok(request)
    }

    /// SM6 arrived and the ISIM refused it: the MAC or the sequence number is wrong. Returns the
    /// REGISTER that reports it, over the sets in force or in clear and never over a new one,
    /// with fresh SPIs and a fresh client port.
    ///
    /// # Errors
    /// [`BadChallenge`].
    pub fn bad_challenge<D: DataPath>(
        &mut self,
        now: Moment,
        over: Over,
        begin: &Begin,
        data_path: &mut D,
    ) -> Result<Request, BadChallenge> {
        let now = self.at(now, data_path);
        if self.sm7_failed(now, over, data_path) {
            return Err(BadChallenge::Sm7);
        }
        self.expects_sm6(over)?;
        if self.bad_challenges == MAX_BAD_CHALLENGES {
            let leaves = self.procedure.leaves();
            self.end_procedure(Cause::Refused, data_path);
            self.after_failure(now, leaves, None);
            return Err(BadChallenge::TooMany);
        }
        let offer = self.offer(begin)?;
        self.bad_challenges += 1;
        // A UE that leaves goes on leaving.
        let leaves = begin.leaves || self.procedure.leaves();
        Ok(self.send_sm1(now, offer, begin.in_clear, leaves, data_path))
    }

    /// A 2xx that expires after this time arrived over this. After SM7, the temporary set becomes
    /// the current one; without a challenge, the set that the REGISTER went over lives on and
    /// what SM1 announced is forgotten. An expiry of zero ends the registration: its sets
    /// drain. In clear, as an answer to SM1, it ends the procedure without SAs: only
    /// [`Ue::route_request`] tells whether the UE is registered. A UE that leaves has left with
    /// it, whatever it came over: it wanted nothing else.
    ///
    /// # Errors
    /// [`ConfirmError`]; nothing has changed.
    pub fn success<D: DataPath>(
        &mut self,
        now: Moment,
        over: Over,
        expires: Duration,
        data_path: &mut D,
    ) -> Result<(), ConfirmError<D::Error>> {
        let now = self.at(now, data_path);
        let ends = now + expires + GRACE;
        let leaves = self.procedure.leaves();
        if leaves && over == Over::Clear {
            self.end_procedure(Cause::Deregistered, data_path);
            self.leave(now);
            return Ok(());
        }
        match &self.procedure {
            Procedure::Registering { over: sm1_over, .. } if self.is_over(over, *sm1_over) => {
                if let Some(current) = self.current.as_ref().filter(|_| sm1_over.is_some() && !leaves) {
                    current.extend(ends, data_path).map_err(ConfirmError::DataPath)?;
                }
            }
            // SM12 comes over the new set (TS 33.203 7.4).
            Procedure::Answered { set, .. } if set.carried(over) => {
                let before = self.current.as_ref().map_or(ends, |before| before.deadline.max(ends));
                set.extend(before, data_path).map_err(ConfirmError::DataPath)?;
                data_path.take_into_use(set.id, Side::Ue, &set.ends).map_err(ConfirmError::DataPath)?;
                self.events.push(UeEvent::SetTakenIntoUse(set.id));
            }
            Procedure::Idle | Procedure::Registering { .. } | Procedure::Answered { .. } => {
                return Err(NoProcedure.into());
            }
        }
        match core::mem::replace(&mut self.procedure, Procedure::Idle) {
            Procedure::Idle => return Err(NoProcedure.into()),
            Procedure::Registering { over: sm1_over, .. } => {
                // An answer in clear concerns no set.
                if sm1_over.is_none() {
                    self.after_failure(now, leaves, None);
                    return Ok(());
                }
                if let Some(current) = &mut self.current {
                    current.deadline = current.deadline.max(ends);
                }
            }
            Procedure::Answered { answer, mut set, .. } => {
                self.verify = answer.confirmed().security_verify;
                let before = self.current.take();
                set.deadline = before.as_ref().map_or(ends, |before| before.deadline.max(ends));
                let older = core::mem::replace(&mut self.old, before);
                self.remove(older, Cause::Displaced, data_path);
                (self.network_used, self.current_since) = (None, now);
                self.current = Some(set);
            }
        }
        self.bad_challenges = 0;
        self.refresh = None;
        if leaves || expires.is_zero() {
            self.leave(now);
        } else if self.current.is_some() {
            self.refresh = Some(now + refresh_after(expires));
        }
        Ok(())
    }

    /// Another final response arrived over this: the procedure has ended, with its SAs. Sets in
    /// force stay, and [`UeEvent::RegisterDue`] comes again, not before the time of Retry-After
    /// where the response has it; without a set in force, nothing does, and the caller begins
    /// again after a pause of its own. A UE that leaves has left.
    ///
    /// # Errors
    /// [`NoProcedure`] if no REGISTER awaits an answer that comes over this: it must be discarded,
    /// nothing has changed.
    pub fn failure<D: DataPath>(
        &mut self,
        now: Moment,
        over: Over,
        retry_after: Option<Duration>,
        data_path: &mut D,
    ) -> Result<(), NoProcedure> {
        let now = self.at(now, data_path);
        let expected = match &self.procedure {
            Procedure::Idle => false,
            Procedure::Registering { over: sm1_over, leaves, .. } => {
                *leaves && over == Over::Clear || self.is_over(over, *sm1_over)
            }
            Procedure::Answered { .. } => self.answers_sm7(over),
        };
        // Anybody can have sent what came in clear: it puts no prompt off.
        let retry_after = retry_after.filter(|_| over != Over::Clear);
        if expected { self.fail(now, retry_after, data_path) } else { Err(NoProcedure) }
    }

    /// Whether a response to SM7 comes over this: the new set where SM1 was in clear, else the one
    /// that SM1 went over. A P-CSCF that has just lost that one may have only the new one left
    /// (TS 33.203 7.4.1a).
    fn answers_sm7(&self, over: Over) -> bool {
        match &self.procedure {
            Procedure::Answered { set, sm1_over, .. } => {
                set.carried(over) || sm1_over.is_some() && self.is_over(over, *sm1_over)
            }
            Procedure::Idle | Procedure::Registering { .. } => false,
        }
    }

    /// A challenge that answers SM7 ends the procedure.
    fn sm7_failed<D: DataPath>(&mut self, now: Moment, over: Over, data_path: &mut D) -> bool {
        self.answers_sm7(over) && self.fail(now, None, data_path).is_ok()
    }

    /// No final response arrived: the procedure has ended as after [`Ue::failure`].
    ///
    /// # Errors
    /// [`NoProcedure`] if no REGISTER awaits an answer.
    pub fn timed_out<D: DataPath>(&mut self, now: Moment, data_path: &mut D) -> Result<(), NoProcedure> {
        let now = self.at(now, data_path);
        self.fail(now, None, data_path)
    }

    fn fail<D: DataPath>(
        &mut self,
        now: Moment,
        retry_after: Option<Duration>,
        data_path: &mut D,
    ) -> Result<(), NoProcedure> {
        if self.state() == UeState::Idle {
            return Err(NoProcedure);
        }
        let leaves = self.procedure.leaves();
        self.end_procedure(Cause::Refused, data_path);
        self.after_failure(now, leaves, retry_after);
        Ok(())
    }

    /// The UE has another address: its SAs are worthless, and it registers in clear (TS 33.203
    /// 7.5).
    pub fn address_changed<D: DataPath>(&mut self, address: IpAddr, data_path: &mut D) {
        self.address = address;
        self.end_procedure(Cause::Displaced, data_path);
        self.end(Cause::Displaced, data_path);
    }

    /// SM6 comes over what SM1 went over (TS 33.203 7.4).
    fn expects_sm6(&self, over: Over) -> Result<(), NoProcedure> {
        match &self.procedure {
            Procedure::Registering { over: sm1_over, .. } if self.is_over(over, *sm1_over) => Ok(()),
            Procedure::Registering { .. } | Procedure::Idle | Procedure::Answered { .. } => Err(NoProcedure),
        }
    }

    /// Whether a message came over this set, or in clear.
    fn is_over(&self, over: Over, expected: Option<SetId>) -> bool {
        match expected {
            None => over == Over::Clear,
            Some(id) => self.current.iter().chain(&self.old).any(|set| set.id == id && set.carried(over)),
        }
    }

    /// A procedure that did not succeed is tried again while there is a registration to keep. One
    /// that was to end the registration has done so as far as the UE is concerned.
    pub(super) fn after_failure(&mut self, now: Moment, leaves: bool, retry_after: Option<Duration>) {
        if leaves {
            self.leave(now);
        } else if self.current.is_some() && !self.leaving {
            let again = now + retry_after.unwrap_or(RETRY).max(RETRY);
            self.refresh = Some(self.refresh.map_or(again, |refresh| refresh.max(again)));
        }
    }
}

/// TS 24.229 5.1.1.4: 600 s before the registration ends, or after half of it if it is 1,200 s or
/// less.
fn refresh_after(expires: Duration) -> Duration {
    const SHORT: Duration = Duration::from_secs(1200);
    const BEFORE: Duration = Duration::from_secs(600);
    if expires > SHORT { expires.saturating_sub(BEFORE) } else { expires / 2 }
}

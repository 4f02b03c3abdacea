//! The sets in force: what travels over which, and until when.

use super::event::UeEvent;
use super::state::{Procedure, Set, Ue, UeState};
use crate::registration::cause::Cause;
use crate::registration::lifetimes::DRAIN;
use crate::registration::route::{NoSa, Over, Route, Transport};
use crate::sa::{DataPath, SetId, Side};
use crate::setup::Port;
use crate::spi::Spi;
use crate::time::Moment;

impl Ue {
    /// A message was opened that is not the answer to a REGISTER. Returns the set that it came
    /// over. Over the current set, it shows that the network uses that one: the old one goes as
    /// soon as its transactions have ended.
    ///
    /// # Errors
    /// [`NoSa`] if no set in force has an inbound SA with this SPI: the message must be discarded.
    pub fn message<D: DataPath>(&mut self, now: Moment, over: Spi, data_path: &mut D) -> Result<SetId, NoSa> {
        let now = self.at(now, data_path);
        let inbound = |set: &&Set| set.carried(Over::Sa(over));
        if let Some(current) = self.current.as_ref().filter(inbound) {
            let id = current.id;
            self.network_used.get_or_insert(now);
            self.let_old_go(data_path);
            return Ok(id);
        }
        self.old.as_ref().filter(inbound).map(|old| old.id).ok_or(NoSa)
    }

    /// The route of a request, an ACK of a 2xx among them. A REGISTER has its own:
    /// [`Request::route`](crate::registration::Request::route). The same for both transports; see
    /// [`Route`] for connections.
    ///
    /// # Errors
    /// [`NoSa`]; the request must not be sent in clear.
    pub fn route_request(&self) -> Result<Route, NoSa> {
        let set = self.current.as_ref().ok_or(NoSa)?;
        Ok(Route::of_request(set.id, &set.ends, Side::Ue))
    }

    /// The route of a CANCEL, or of the ACK of an error: it belongs to a transaction, and goes over
    /// the set of the request that began it, as long as the P-CSCF has that set for certain: it
    /// drains for [`DRAIN`] once the newer one has been used. Then it goes over the current one.
    ///
    /// # Errors
    /// [`NoSa`]; the message must not be sent in clear.
    pub fn route_in_transaction(&self, now: Moment, set: SetId) -> Result<Route, NoSa> {
        let began = self.sets().find(|other| other.id == set);
        let drained = Some(self.current_since);
        let set = began.filter(|set| !self.has_drained(set, drained, now)).or(self.current.as_ref());
        let set = set.ok_or(NoSa)?;
        Ok(Route::of_request(set.id, &set.ends, Side::Ue))
    }

    /// The route of the response to a request that came over this SPI: over the set of the request.
    /// Where the P-CSCF may not have that one any more, the current set serves: over UDP as it is,
    /// over TCP with a connection to the sent-by of Via (RFC 3261 18.2.2), whose port is that of
    /// the route.
    ///
    /// # Errors
    /// [`NoSa`]; the response must not be sent in clear.
    pub fn route_response(
        &self,
        now: Moment,
        transport: Transport,
        request_over: Spi,
    ) -> Result<Route, NoSa> {
        let of_request = self.sets().find(|set| set.carried(Over::Sa(request_over)));
        // A connection lasts until the network is known to use the newer set.
        let drained = match transport {
            Transport::Udp => Some(self.current_since),
            Transport::Tcp => self.network_used,
        };
        match of_request.filter(|set| !self.has_drained(set, drained, now)) {
            Some(set) => Ok(Route::of_response(set.id, &set.ends, Side::Ue, transport, request_over)),
            None => self.route_request(),
        }
    }

    /// Whether a set is the old one, and the P-CSCF may have removed it, which drains from this
    /// moment on.
    fn has_drained(&self, set: &Set, since: Option<Moment>, now: Moment) -> bool {
        let is_old = self.old.as_ref().is_some_and(|old| old.id == set.id);
        is_old && since.is_some_and(|since| since + DRAIN <= now.max(self.now))
    }

    /// Whether a request can be sent.
    pub const fn may_send_protected(&self) -> bool {
        self.current.is_some()
    }

    /// The SA that a message came over, for a data path that knows its ports, but not its SPI: the
    /// SA from this port of the P-CSCF to this one of the UE (TS 33.203 7.1). `None` if there is
    /// none: the message came in clear.
    pub fn over(&self, pcscf_port: u16, ue_port: u16) -> Option<Spi> {
        let (source, destination) = (Port::from_peer(pcscf_port).ok()?, Port::from_peer(ue_port).ok()?);
        self.sets().find_map(|set| set.ends.between(Side::Ue, source, destination))
    }

    /// Whether a port of the UE is a protected one: nothing in clear is sent from it or accepted at
    /// it.
    pub fn is_protected_port(&self, port: u16) -> bool {
        self.sets().any(|set| {
            let ports = set.ends.ue.setup.ports;
            ports.client.get() == port || ports.server.get() == port
        })
    }

    /// A transaction began over a set: the set stays until it ends, or until the set's lifetime
    /// does.
    pub fn transaction_begins(&mut self, set: SetId) {
        if let Some(set) = self.current.iter_mut().chain(&mut self.old).find(|other| other.id == set) {
            set.transactions += 1;
        }
    }

    /// A transaction that began over a set has ended.
    pub fn transaction_ends<D: DataPath>(&mut self, set: SetId, data_path: &mut D) {
        if let Some(set) = self.current.iter_mut().chain(&mut self.old).find(|other| other.id == set) {
            set.transactions = set.transactions.saturating_sub(1);
        }
        self.let_old_go(data_path);
    }

    /// When [`Ue::handle_timeout`] has something to do: exactly the first deadline.
    #[must_use = "deadlines pass unnoticed unless the caller wakes for them"]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let procedure = match &self.procedure {
            Procedure::Idle => None,
            Procedure::Registering { deadline, .. } => Some(*deadline),
            Procedure::Answered { set, .. } => Some(set.deadline),
        };
        let sets = self.current.iter().chain(&self.old).map(|set| set.deadline);
        sets.chain(procedure).chain(self.refresh).min()
    }

    /// Ends what has reached its deadline. Events say what has ended, and when it is time to
    /// register.
    ///
    /// Every call that is told the time does this first. A clock that steps back is taken for one
    /// that stands still: the latest time that was told counts.
    pub fn handle_timeout<D: DataPath>(&mut self, now: Moment, data_path: &mut D) {
        self.at(now, data_path);
    }

    /// The time that a call goes by: never earlier than one that was told before. What has reached
    /// its deadline by then has ended.
    pub(super) fn at<D: DataPath>(&mut self, now: Moment, data_path: &mut D) -> Moment {
        self.now = self.now.max(now);
        self.expire(self.now, data_path);
        self.now
    }

    fn expire<D: DataPath>(&mut self, now: Moment, data_path: &mut D) {
        let procedure_ends = match &self.procedure {
            Procedure::Idle => false,
            Procedure::Registering { deadline, .. } => *deadline <= now,
            Procedure::Answered { set, .. } => set.deadline <= now,
        };
        if procedure_ends {
            let leaves = self.procedure.leaves();
            self.end_procedure(Cause::Expired, data_path);
            self.events.push(UeEvent::ProcedureExpired);
            self.after_failure(now, leaves, None);
        }
        let cause = if self.leaving { Cause::Deregistered } else { Cause::Expired };
        let old = self.old.take_if(|old| old.deadline <= now);
        self.remove(old, cause, data_path);
        if self.current.as_ref().is_some_and(|current| current.deadline <= now) {
            self.end(cause, data_path);
            return;
        }
        // A procedure that is in progress already is not asked for; if it fails, it is asked for
        // again.
        let due = self.refresh.take_if(|refresh| *refresh <= now).is_some();
        if due && self.state() == UeState::Idle {
            self.events.push(UeEvent::RegisterDue);
        }
    }

    /// The data path has failed a set: it could not install it or take it into use when a
    /// [`Plan`](crate::Plan) was carried out, or it has lost one of its SAs. The set ends; with a
    /// temporary one the procedure, with the current one the registration.
    ///
    /// # Errors
    /// [`NoSa`] if the set has ended already.
    pub fn data_path_failed<D: DataPath>(
        &mut self,
        now: Moment,
        set: SetId,
        data_path: &mut D,
    ) -> Result<(), NoSa> {
        let now = self.at(now, data_path);
        let cause = Cause::DataPath;
        if self.current.as_ref().is_some_and(|current| current.id == set) {
            self.end(cause, data_path);
        } else if let Some(old) = self.old.take_if(|old| old.id == set) {
            self.remove(Some(old), cause, data_path);
        } else if self.sets().any(|other| other.id == set) {
            let leaves = self.procedure.leaves();
            self.end_procedure(cause, data_path);
            self.after_failure(now, leaves, None);
        } else {
            return Err(NoSa);
        }
        Ok(())
    }

    /// The sequence numbers of an outbound SA run low, or its volume is used up: sealing said so
    /// with a [`Warning`](crate::sa::Warning). If the SA is of the current set, it is time to
    /// register again, with a challenge.
    ///
    /// # Errors
    /// [`NoSa`] if no set has an outbound SA with this SPI.
    pub fn numbers_low(&mut self, spi: Spi) -> Result<SetId, NoSa> {
        let set = self.sets().find(|set| set.ends.inbound(Side::Pcscf, spi).is_some()).ok_or(NoSa)?;
        let id = set.id;
        let is_current = self
            .current
            .as_mut()
            .is_some_and(|current| current.id == id && !core::mem::replace(&mut current.numbers_low, true));
        if is_current && self.state() == UeState::Idle && !self.leaving {
            self.events.push(UeEvent::RegisterDue);
        }
        Ok(id)
    }

    /// The network has ended the registration, as a NOTIFY of the registration event says: the sets
    /// stay for [`DRAIN`], so that the NOTIFY can be answered. An unfinished procedure ends, and
    /// nothing asks for another.
    pub fn deregistered<D: DataPath>(&mut self, now: Moment, data_path: &mut D) {
        let now = self.at(now, data_path);
        self.end_procedure(Cause::Deregistered, data_path);
        self.leave(now);
    }

    /// Everything goes at once, because the UE uses another P-CSCF or has lost its bearer. Nothing
    /// asks for another registration.
    pub fn forget<D: DataPath>(&mut self, data_path: &mut D) {
        self.end_procedure(Cause::Forgotten, data_path);
        self.end(Cause::Forgotten, data_path);
    }

    /// The registration has ended: its sets drain.
    pub(super) fn leave(&mut self, now: Moment) {
        (self.leaving, self.refresh) = (true, None);
        self.events.forget_due();
        for set in self.current.iter_mut().chain(&mut self.old) {
            set.deadline = set.deadline.min(now + DRAIN);
        }
    }

    fn let_old_go<D: DataPath>(&mut self, data_path: &mut D) {
        if self.network_used.is_some() {
            let old = self.old.take_if(|old| old.transactions == 0);
            self.remove(old, Cause::Displaced, data_path);
        }
    }
}

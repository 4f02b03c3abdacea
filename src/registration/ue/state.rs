//! The state of a registration: its sets, and the procedure that is in progress.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::event::{Events, UeEvent};
use crate::hashing::Hashes;
use crate::id::{Id, TableId};
use crate::negotiation::ue::{Answer, Offer};
use crate::policy::Policy;
use crate::registration::cause::Cause;
use crate::registration::route::Over;
use crate::sa::{DataPath, Ends, SetId, Side};
use crate::time::Moment;

/// Configuration of a UE, for every registration at one P-CSCF.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UeConfig {
    /// The suites of the UE.
    pub policy: Policy,
    /// The P-CSCF's address.
    pub pcscf: IpAddr,
    /// The number of the link that both addresses are of, if they are link-local; else 0.
    pub scope: u32,
}

impl UeConfig {
    /// A UE with this policy at the P-CSCF of this address.
    pub const fn new(policy: Policy, pcscf: IpAddr) -> Self {
        Self { policy, pcscf, scope: 0 }
    }

    /// The same with addresses of the link of this number.
    #[must_use]
    pub fn with_scope(self, scope: u32) -> Self {
        Self { scope, ..self }
    }
}

/// The procedure in progress.
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
pub(super) struct Set {
    pub(super) id: SetId,
    pub(super) ends: Ends,
    pub(super) deadline: Moment,
    /// When it was installed: what a data path counts lifetimes from.
    pub(super) installed: Moment,
    /// Transactions that began over it and have not ended.
    pub(super) transactions: u32,
    /// That its sequence numbers run low has been said.
    pub(super) numbers_low: bool,
}

#[derive(Debug)]
pub(super) enum Procedure {
    Idle,
    Registering { offer: Box<Offer>, over: Option<SetId>, deadline: Moment, leaves: bool },
    Answered { answer: Box<Answer>, set: Set, sm1_over: Option<SetId>, leaves: bool },
}

impl Procedure {
    /// Whether it is to end the registration.
    pub(super) const fn leaves(&self) -> bool {
        match self {
            Procedure::Idle => false,
            Procedure::Registering { leaves, .. } | Procedure::Answered { leaves, .. } => *leaves,
        }
    }
}

/// One registration of a UE: of one contact at one P-CSCF. A UE with several has several of these.
///
/// See [`registration`](crate::registration) for the contract, and the crate's front page for a run
/// loop.
#[derive(Debug)]
pub struct Ue {
    pub(super) config: UeConfig,
    pub(super) address: IpAddr,
    pub(super) procedure: Procedure,
    pub(super) bad_challenges: u32,
    pub(super) current: Option<Set>,
    /// When the current set became that.
    pub(super) current_since: Moment,
    /// The Security-Server of the current set, for the Security-Verify of every request.
    pub(super) verify: Vec<Box<str>>,
    pub(super) old: Option<Set>,
    /// When the network has used the current set first: the old one goes when its transactions have
    /// ended.
    pub(super) network_used: Option<Moment>,
    pub(super) refresh: Option<Moment>,
    /// The registration has ended, and its sets drain.
    pub(super) leaving: bool,
    /// The latest time that was told.
    pub(super) now: Moment,
    pub(super) events: Events,
    table: TableId,
    last_number: u64,
}

impl Set {
    /// The data path keeps it until this deadline at least.
    pub(super) fn extend<D: DataPath>(&self, deadline: Moment, data_path: &mut D) -> Result<(), D::Error> {
        data_path.extend(self.id, Side::Ue, &self.ends, deadline.since(self.installed))
    }

    /// Whether a message came over one of its SAs.
    pub(super) fn carried(&self, over: Over) -> bool {
        match over {
            Over::Clear => false,
            Over::Sa(spi) => self.ends.inbound(Side::Ue, spi).is_some(),
        }
    }
}

impl Ue {
    /// A UE that is not registered.
    pub fn new(config: UeConfig, address: IpAddr) -> Self {
        Self {
            config,
            address,
            procedure: Procedure::Idle,
            bad_challenges: 0,
            current: None,
            current_since: Moment::default(),
            verify: Vec::new(),
            old: None,
            network_used: None,
            refresh: None,
            leaving: false,
            now: Moment::default(),
            events: Events::default(),
            table: TableId::draw(&Hashes::of_ids()),
            last_number: 0,
        }
    }

    /// The table that the ids of its sets name.
    pub const fn table(&self) -> TableId {
        self.table
    }

    /// The procedure in progress.
    pub const fn state(&self) -> UeState {
        match self.procedure {
            Procedure::Idle => UeState::Idle,
            Procedure::Registering { .. } => UeState::Registering,
            Procedure::Answered { .. } => UeState::Answered,
        }
    }

    /// Until when the current set lives; `None` if there is none.
    pub fn registered_until(&self) -> Option<Moment> {
        self.current.as_ref().map(|current| current.deadline)
    }

    /// The rows of Security-Verify for every request over the current set.
    pub fn security_verify(&self) -> &[Box<str>] {
        &self.verify
    }

    /// The next thing that ended, changed, or must be done. To be polled until it is `None` after
    /// each call that may have made one.
    #[must_use = "an event may ask the UE to register"]
    pub fn poll_event(&mut self) -> Option<UeEvent> {
        self.events.pop()
    }

    pub(super) const fn next_set(&mut self) -> SetId {
        self.last_number += 1;
        SetId(Id { table: self.table, slot: 0, generation: self.last_number })
    }

    /// Every set, the temporary one last.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Set> {
        let temporary = match &self.procedure {
            Procedure::Answered { set, .. } => Some(set),
            Procedure::Idle | Procedure::Registering { .. } => None,
        };
        self.current.iter().chain(&self.old).chain(temporary)
    }

    pub(super) fn remove<D: DataPath>(&mut self, set: Option<Set>, cause: Cause, data_path: &mut D) {
        if let Some(set) = set {
            data_path.remove(set.id, Side::Ue, &set.ends);
            self.events.push(UeEvent::SetRemoved { set: set.id, cause });
        }
    }

    /// Ends an unfinished procedure, with the SAs that it had made.
    pub(super) fn end_procedure<D: DataPath>(&mut self, cause: Cause, data_path: &mut D) {
        if let Procedure::Answered { set, .. } = core::mem::replace(&mut self.procedure, Procedure::Idle) {
            self.remove(Some(set), cause, data_path);
        }
    }

    /// Ends the registration, with its sets.
    pub(super) fn end<D: DataPath>(&mut self, cause: Cause, data_path: &mut D) {
        let sets = [self.current.take(), self.old.take()];
        let registered = sets.iter().any(Option::is_some);
        sets.into_iter().for_each(|set| self.remove(set, cause, data_path));
        self.verify.clear();
        self.refresh = None;
        self.events.forget_due();
        if registered {
            self.events.push(UeEvent::Ended(cause));
        }
    }
}

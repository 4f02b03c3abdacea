//! Changes of a kernel's tables: states, which are SAs, and policies.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::owner::Owner;
use crate::algorithm::Suite;
use crate::impossible::part;
use crate::key::SaKeys;
use crate::sa::{Ends, Limits, Ports, SaName, SaSet, SaSpec, Selector, Side};
use crate::spi::Spi;

/// The name of a state: with ESP as the protocol, one state has it at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateId {
    /// Its SPI.
    pub spi: Spi,
    /// Where its packets go.
    pub destination: IpAddr,
}

/// The direction of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Packets that arrive at this host.
    In,
    /// Packets that this host sends.
    Out,
}

/// One end of a policy's traffic; `None` is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyEnd {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: Option<u16>,
}

/// The name of a policy: its direction and its traffic, of any protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// Its direction.
    pub direction: Direction,
    /// Whether its traffic is of IPv6.
    pub ipv6: bool,
    /// Where the traffic comes from.
    pub source: PolicyEnd,
    /// Where it goes.
    pub destination: PolicyEnd,
}

/// What a policy does with its traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Lets nothing through.
    Block,
    /// Demands ESP between two addresses. Outbound, `spi` names the state, so that traffic stays
    /// with it until the policy is changed; inbound there is none, so that the packets of every
    /// state with that selector are accepted.
    Protect {
        /// Source of the ESP packets.
        source: IpAddr,
        /// Their destination.
        destination: IpAddr,
        /// The state.
        spi: Option<Spi>,
    },
}

/// The keys of a state.
#[derive(Clone, Copy, Debug)]
pub(super) enum StateKeys<'a> {
    Of(&'a SaKeys),
    /// Zeros of the right length: the kernel demands keys of an update, and does not use them.
    Unread(Suite),
}

/// When a state ends by itself, and when the kernel tells that it should be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Time after the state was installed, in whole seconds; `None` for no end.
    pub lifetime: Option<Duration>,
    /// Packets and octets, of an outbound state.
    pub limits: Option<Limits>,
}

/// A state, with all that the kernel is told of it.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    pub(super) id: StateId,
    pub(super) selector: Selector,
    pub(super) keys: StateKeys<'a>,
    pub(super) limits: StateLimits,
}

impl StateKeys<'_> {
    pub(super) const fn suite(&self) -> Suite {
        match self {
            StateKeys::Of(keys) => keys.suite(),
            StateKeys::Unread(suite) => *suite,
        }
    }

    /// The keys of integrity and of encryption, of the lengths that the suite has.
    pub(super) fn expose(&self) -> (&[u8], &[u8]) {
        const ZEROS: &[u8] = &[0; 24];
        match self {
            StateKeys::Of(keys) => (keys.expose_integrity(), keys.expose_encryption()),
            StateKeys::Unread(suite) => {
                (part(ZEROS, ..suite.integrity().key_len()), part(ZEROS, ..suite.encryption().key_len()))
            }
        }
    }
}

/// One change of the kernel's tables.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Change<'a> {
    /// NEWSA: fails if there is one of that name.
    AddState(State<'a>),
    /// UPDSA: only limits change; numbers, window, keys and the time of birth stay.
    UpdateState(State<'a>),
    /// DELSA
    RemoveState(StateId),
    /// NEWPOLICY: fails if there is one of that name.
    AddPolicy(PolicyId, Action),
    /// UPDPOLICY: takes the place of the one of that name in one step, and needs none to be there.
    SetPolicy(PolicyId, Action),
    /// DELPOLICY
    RemovePolicy(PolicyId),
}

impl Change<'_> {
    /// What it changes.
    pub const fn subject(&self) -> Subject {
        match self {
            Change::AddState(state) | Change::UpdateState(state) => Subject::State(state.id),
            Change::RemoveState(id) => Subject::State(*id),
            Change::AddPolicy(id, _) | Change::SetPolicy(id, _) | Change::RemovePolicy(id) => {
                Subject::Policy(*id)
            }
        }
    }

    /// The change that takes this one back; none for what has not made anything.
    fn inverse(&self) -> Option<Change<'static>> {
        match self {
            Change::AddState(state) => Some(Change::RemoveState(state.id)),
            Change::AddPolicy(id, _) => Some(Change::RemovePolicy(*id)),
            Change::UpdateState(_)
            | Change::RemoveState(_)
            | Change::SetPolicy(..)
            | Change::RemovePolicy(_) => None,
        }
    }
}

/// What a change is about, and what an error of the kernel is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// A state.
    State(StateId),
    /// A policy.
    Policy(PolicyId),
}

impl fmt::Display for PolicyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (Some(address), Some(port)) => write!(f, "{}", SocketAddr::new(address, port)),
            (Some(address), None) => write!(f, "{address}"),
            (None, Some(port)) => write!(f, "port {port}"),
            (None, None) => f.write_str("any"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::State(StateId { spi, destination }) => write!(f, "state {spi} to {destination}"),
            Subject::Policy(PolicyId { direction, source, destination, .. }) => {
                let direction = match direction {
                    Direction::In => "in",
                    Direction::Out => "out",
                };
                write!(f, "policy {direction} from {source} to {destination}")
            }
        }
    }
}

/// Changes in the order in which they must be made, of one owner.
#[derive(Clone, Debug)]
#[must_use = "nothing has been changed yet"]
pub struct Changes<'a> {
    owner: Owner,
    list: Vec<Change<'a>>,
}

impl PolicyId {
    const fn of(direction: Direction, selector: &Selector) -> Self {
        let (source, destination) = match selector.ports {
            Ports::Exact { source, destination } => (Some(source), Some(destination)),
            Ports::Any => (None, None),
        };
        Self {
            direction,
            ipv6: selector.source.is_ipv6(),
            source: PolicyEnd { address: Some(selector.source), port: source },
            destination: PolicyEnd { address: Some(selector.destination), port: destination },
        }
    }

    /// The two policies that block one protected port: what arrives there, and what leaves it. An
    /// address that is unspecified (`0.0.0.0`, `::`) is any of its family.
    pub const fn blocking(end: SocketAddr) -> [Self; 2] {
        let address = if end.ip().is_unspecified() { None } else { Some(end.ip()) };
        let (own, any) =
            (PolicyEnd { address, port: Some(end.port()) }, PolicyEnd { address: None, port: None });
        let ipv6 = end.is_ipv6();
        [
            Self { direction: Direction::In, ipv6, source: any, destination: own },
            Self { direction: Direction::Out, ipv6, source: own, destination: any },
        ]
    }

    /// The policy of one SA of a set, as one side has it.
    pub const fn protecting(side: Side, ends: &Ends, name: SaName) -> Self {
        let inbound = matches!((name.receiver(), side), (Side::Ue, Side::Ue) | (Side::Pcscf, Side::Pcscf));
        Self::of(if inbound { Direction::In } else { Direction::Out }, &ends.sa(name).1)
    }
}

impl PolicyId {
    /// Whether its traffic has one end: a port that is blocked, here or in another program.
    pub const fn is_of_one_port(&self) -> bool {
        self.source.port.is_none() || self.destination.port.is_none()
    }
}

impl StateId {
    /// The state of one SA of a set.
    pub const fn of(ends: &Ends, name: SaName) -> Self {
        let (spi, selector) = ends.sa(name);
        Self { spi, destination: selector.destination }
    }
}

impl Owner {
    const fn changes<'a>(&self, list: Vec<Change<'a>>) -> Changes<'a> {
        Changes { owner: *self, list }
    }

    fn state<'a>(&self, spec: &SaSpec<'a>, outbound: bool) -> State<'a> {
        State {
            id: StateId { spi: spec.spi, destination: spec.selector.destination },
            selector: spec.selector,
            keys: StateKeys::Of(spec.keys),
            limits: StateLimits {
                lifetime: self.hard_lifetime,
                limits: outbound.then(|| self.limits_of(spec.keys.suite())),
            },
        }
    }

    /// One state alone, as a tool has them: no policy sends anything to it.
    pub fn add_state<'a>(&self, spec: &SaSpec<'a>, outbound: bool) -> Change<'a> {
        Change::AddState(self.state(spec, outbound))
    }

    /// The policy that demands ESP of the traffic of one SA, in one direction.
    pub const fn add_policy(direction: Direction, spec: &SaSpec<'_>) -> Change<'static> {
        let (id, action) = protection(direction, spec.spi, &spec.selector);
        Change::AddPolicy(id, action)
    }

    /// Blocks one protected port for all traffic that no other policy is for: the first thing that
    /// is installed, and the last that is removed.
    pub fn protect(&self, end: SocketAddr) -> Changes<'static> {
        self.changes(PolicyId::blocking(end).map(|id| Change::AddPolicy(id, Action::Block)).into())
    }

    /// Lets a port go that is protected no more.
    pub fn unprotect(&self, end: SocketAddr) -> Changes<'static> {
        self.changes(PolicyId::blocking(end).map(Change::RemovePolicy).into())
    }

    /// The four states of a set, and after them the four policies. It receives and sends from then
    /// on.
    pub fn install<'a>(&self, side: Side, set: &'a SaSet) -> Changes<'a> {
        let mut changes = self.install_inbound(side, set);
        changes.append(self.install_outbound(side, set));
        let (states, policies) =
            changes.list.into_iter().partition(|change| matches!(change, Change::AddState(_)));
        let (mut list, policies): (Vec<_>, Vec<_>) = (states, policies);
        list.extend(policies);
        self.changes(list)
    }

    /// The two states that a side receives over, and their policies.
    pub fn install_inbound<'a>(&self, side: Side, set: &'a SaSet) -> Changes<'a> {
        let (inbound, _) = SaName::of(side);
        let states = inbound.map(|name| Change::AddState(self.state(&set.sa(name), false)));
        let policies = inbound.map(|name| Self::add_policy(Direction::In, &set.sa(name)));
        self.changes(states.into_iter().chain(policies).collect())
    }

    /// The two states that a side sends over, and their policies.
    pub fn install_outbound<'a>(&self, side: Side, set: &'a SaSet) -> Changes<'a> {
        let mut changes = self.install_outbound_states(side, set);
        let (_, outbound) = SaName::of(side);
        changes.list.extend(outbound.map(|name| Self::add_policy(Direction::Out, &set.sa(name))));
        changes
    }

    /// The two states that a side sends over, without policies: nothing goes over them until
    /// [`Owner::take_into_use`].
    pub fn install_outbound_states<'a>(&self, side: Side, set: &'a SaSet) -> Changes<'a> {
        let (_, outbound) = SaName::of(side);
        let states = outbound.map(|name| Change::AddState(self.state(&set.sa(name), true)));
        self.changes(states.into())
    }

    /// From then on, traffic of the outbound selectors goes over this set: one UPDPOLICY an SA, in
    /// which no packet is lost or goes out in clear (TS 33.203 7.4.2a).
    pub fn take_into_use(&self, side: Side, ends: &Ends) -> Changes<'static> {
        let (_, outbound) = SaName::of(side);
        let set = outbound.map(|name| {
            let (spi, selector) = ends.sa(name);
            let (id, action) = protection(Direction::Out, spi, &selector);
            Change::SetPolicy(id, action)
        });
        self.changes(set.into())
    }

    /// The four policies of a set go, and after them its states: no state is without its policy
    /// while a packet can arrive.
    pub fn remove(&self, side: Side, ends: &Ends) -> Changes<'static> {
        let policies = SaName::ALL.map(|name| Change::RemovePolicy(PolicyId::protecting(side, ends, name)));
        let states = SaName::ALL.map(|name| Change::RemoveState(StateId::of(ends, name)));
        self.changes(policies.into_iter().chain(states).collect())
    }

    /// Other limits for the four states of a set: time since they were installed, and packets and
    /// octets of the outbound ones. Keys are not needed; numbers and windows stay.
    pub fn limit(&self, side: Side, ends: &Ends, suite: Suite, limits: StateLimits) -> Changes<'static> {
        let (inbound, outbound) = SaName::of(side);
        let states = inbound.map(|name| (name, None)).into_iter();
        let states = states.chain(outbound.map(|name| (name, limits.limits)));
        let update = |(name, packets)| {
            Change::UpdateState(State {
                id: StateId::of(ends, name),
                selector: ends.sa(name).1,
                keys: StateKeys::Unread(suite),
                limits: StateLimits { limits: packets, ..limits },
            })
        };
        self.changes(states.map(update).collect())
    }

    /// Changes of a caller's own.
    pub fn these<'a>(&self, list: impl IntoIterator<Item = Change<'a>>) -> Changes<'a> {
        self.changes(list.into_iter().collect())
    }
}

/// The policy of an SA: its name, and what it demands.
const fn protection(direction: Direction, spi: Spi, selector: &Selector) -> (PolicyId, Action) {
    let spi = match direction {
        Direction::In => None,
        Direction::Out => Some(spi),
    };
    let Selector { source, destination, .. } = *selector;
    (PolicyId::of(direction, selector), Action::Protect { source, destination, spi })
}

impl<'a> Changes<'a> {
    /// The changes, in their order.
    pub fn list(&self) -> &[Change<'a>] {
        &self.list
    }

    /// Whose changes they are.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Adds the changes of another list of the same owner after these.
    pub fn append(&mut self, other: Changes<'a>) {
        self.list.extend(other.list);
    }

    /// What takes these changes back, the last one first: what they added. What they removed,
    /// updated or set does not come back by it.
    pub fn undo(&self) -> Changes<'static> {
        self.owner.changes(self.list.iter().rev().filter_map(Change::inverse).collect())
    }

    /// Keeps those changes that a caller wants.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Change<'a>) -> bool) {
        self.list.retain(keep);
    }
}

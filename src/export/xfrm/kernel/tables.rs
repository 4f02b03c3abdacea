//! The sets that a kernel has, and how they are installed, taken into use and removed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::exchange::{Answers, Exchange, KernelError, Netlink};
use crate::algorithm::Suite;
use crate::export::xfrm::change::{
    Action, Change, Changes, Direction, PolicyId, StateId, StateLimits, Subject,
};
use crate::export::xfrm::owner::Owner;
use crate::export::xfrm::reply::{Failure, Reply, replies};
use crate::sa::{DataPath, Ends, Overlap, SaName, SaSet, SetId, Side};
use crate::spi::Spi;

/// The kernel of a Linux host as the data path: its states and policies, over a socket of the
/// caller's.
///
/// - **All or nothing.** A set is one datagram. If the kernel refuses one message of it, what the
///   others made is taken back, and nothing is left.
/// - **Fail closed.** The ports of a set at this host are blocked for all other traffic, before its
///   first state is there until after its last one has gone. [`Kernel::protect`] blocks a port for
///   as long as the caller wants: a P-CSCF protects all of its own before it opens sockets.
/// - **Taking into use** is one UPDPOLICY for each outbound SA: traffic moves to the newer set
///   between two packets.
/// - What is not of its [`Owner`] is never changed or removed, and what is of another set of its
///   own neither. It knows the names of its states and policies: about 1 kB a set, where the kernel
///   has 15.
///
/// Unlike a [`Sad`](crate::Sad), a kernel does not take a set into use by itself when the first
/// packet over it arrives: the table of registrations does, at the latest when SM7 is verified.
///
/// ```no_run
/// use core::num::NonZeroU32;
/// use ipsec_3gpp::export::xfrm::{Kernel, Netlink, Owner};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # struct Socket;
/// # impl Netlink for Socket {
/// #     type Error = std::convert::Infallible;
/// #     fn send(&mut self, _: &[u8]) -> Result<(), Self::Error> { Ok(()) }
/// #     fn receive(&mut self, _: &mut [u8]) -> Result<usize, Self::Error> { Ok(0) }
/// # }
/// # let socket = Socket;
/// let owner = Owner::new(NonZeroU32::new(33203).ok_or("0")?);
/// let mut kernel = Kernel::new(socket, owner);
/// for port in [7060, 7101, 7102, 7103] {
///     kernel.protect(([192, 0, 2, 1], port).into())?;
/// }
/// // What an earlier process has left; a new table of registrations has no sets.
/// let found = kernel.reconcile([])?;
/// # let _ = found.removed;
/// # Ok(())
/// # }
/// ```
pub struct Kernel<N> {
    pub(super) exchange: Exchange<N>,
    pub(super) owner: Owner,
    pub(super) sets: BTreeMap<SetId, Installed>,
    pub(super) ports: BTreeMap<SocketAddr, Protected>,
    /// The set that each state is of.
    pub(super) states: BTreeMap<StateId, SetId>,
    /// The policies of sets.
    pub(super) policies: BTreeMap<PolicyId, Held>,
    not_removed: u64,
}

/// One set.
pub(super) struct Installed {
    pub(super) suite: Suite,
    pub(super) outbound: Outbound,
    /// The blocked ports that count it.
    pub(super) ports: Vec<SocketAddr>,
}

/// The outbound half of a set.
pub(super) enum Outbound {
    /// Its states are there.
    There,
    /// It waits until it is taken into use: another set has states of the same name. It may have
    /// been extended meanwhile.
    HeldBack(SaSet, Option<Duration>),
}

/// A policy that sets have.
pub(super) struct Held {
    /// How many sets have it.
    pub(super) sets: u32,
    /// The state that it names.
    pub(super) spi: Option<Spi>,
}

/// A port that is blocked in clear.
#[derive(Default)]
pub(super) struct Protected {
    /// The caller has said so.
    pub(super) named: bool,
    /// How many sets have it.
    pub(super) sets: u32,
}

impl<N> fmt::Debug for Kernel<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("owner", &self.owner)
            .field("sets", &self.sets.len())
            .finish_non_exhaustive()
    }
}

/// A set that is to be installed.
struct Wanted<'a> {
    id: SetId,
    side: Side,
    set: &'a SaSet,
}

/// How many sets travel in one datagram: about 50 kB, of the 200 kB that a socket takes by default.
const SETS_A_DATAGRAM: usize = 16;

impl<N: Netlink> Kernel<N> {
    /// The kernel at the other end of a socket. It changes nothing yet: see [`Kernel::reconcile`].
    pub fn new(socket: N, owner: Owner) -> Self {
        Self {
            exchange: Exchange::new(socket),
            owner,
            sets: BTreeMap::new(),
            ports: BTreeMap::new(),
            states: BTreeMap::new(),
            policies: BTreeMap::new(),
            not_removed: 0,
        }
    }

    /// Whose states and policies it makes.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The socket.
    pub const fn socket_mut(&mut self) -> &mut N {
        &mut self.exchange.socket
    }

    /// Sets that are installed.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether no set is installed.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// States and policies that the kernel did not remove when it was asked to, although they were
    /// there, or where the socket failed: [`Kernel::reconcile`] removes them.
    pub const fn not_removed(&self) -> u64 {
        self.not_removed
    }

    /// Blocks a port of this host in clear, with two policies, whether or not there are sets. An
    /// unspecified address (`0.0.0.0`, `::`) is all of its family.
    ///
    /// # Errors
    /// [`KernelError`]; then this call has blocked nothing.
    pub fn protect(&mut self, end: SocketAddr) -> Result<(), KernelError<N::Error>> {
        if !self.ports.contains_key(&end) {
            self.block(&[end])?;
        }
        self.ports.entry(end).or_default().named = true;
        Ok(())
    }

    /// Lets a port go that [`Kernel::protect`] blocked, once no set has it. False if it was not
    /// named.
    pub fn unprotect(&mut self, end: SocketAddr) -> bool {
        let Some(port) = self.ports.get_mut(&end).filter(|port| port.named) else { return false };
        port.named = false;
        if port.sets == 0 {
            self.ports.remove(&end);
            let changes = self.owner.unprotect(end);
            self.remove_all(&changes);
        }
        true
    }

    /// Blocks ports that are not blocked yet. A policy that is there already does what is wanted.
    pub(super) fn block(&mut self, ends: &[SocketAddr]) -> Result<(), KernelError<N::Error>> {
        let policies = ends.iter().flat_map(|end| PolicyId::blocking(*end));
        let changes = self.owner.these(policies.map(|id| Change::AddPolicy(id, Action::Block)));
        let answers = self.exchange.carry_out(&changes);
        match error_of(&changes, answers) {
            Ok(_) => Ok(()),
            Err((error, made)) => {
                self.take_back(&changes, &made);
                Err(error)
            }
        }
    }

    /// The ports that block what is not of a set, at its end of this host: of its address, or of
    /// any.
    pub(super) fn ports_of(&self, side: Side, ends: &Ends) -> Vec<SocketAddr> {
        let end = match side {
            Side::Ue => ends.ue,
            Side::Pcscf => ends.pcscf,
        };
        let any: IpAddr = if end.address.is_ipv6() { [0_u16; 8].into() } else { [0_u8; 4].into() };
        let ports = BTreeSet::from([end.setup.ports.client, end.setup.ports.server]);
        let of_port = |port: &crate::setup::Port| {
            let any = SocketAddr::new(any, port.get());
            if self.ports.contains_key(&any) { any } else { SocketAddr::new(end.address, port.get()) }
        };
        ports.iter().map(of_port).collect()
    }

    /// Takes those changes back that may have been made.
    fn take_back(&mut self, changes: &Changes<'_>, made: &[usize]) {
        let made = made.iter().filter_map(|index| changes.list().get(*index).copied());
        let undo = self.owner.these(made).undo();
        self.remove_all(&undo);
    }

    /// Removes what is there.
    pub(super) fn remove_all(&mut self, changes: &Changes<'_>) {
        let Answers { refused, broken } = self.exchange.carry_out(changes);
        let gone = |errno: i32| [Failure::NO_STATE, Failure::NO_POLICY].contains(&errno);
        let kept = refused.iter().filter(|one| !gone(one.errno)).count();
        let unknown = if broken.is_some() { changes.list().len() - refused.len() } else { 0 };
        self.not_removed += (kept + unknown) as u64;
    }

    /// Whether the outbound half of a set must wait: another set has a state of the same name.
    fn waits(&self, side: Side, ends: &Ends) -> bool {
        let (_, outbound) = SaName::of(side);
        outbound.iter().any(|name| self.states.contains_key(&StateId::of(ends, *name)))
    }

    /// The changes that install a set: states, then policies. What another set has is shared, and
    /// an outbound policy of another set goes on naming its state.
    fn installing<'a>(&self, side: Side, set: &'a SaSet) -> Changes<'a> {
        let mut changes = if self.waits(side, set.ends()) {
            self.owner.install_inbound(side, set)
        } else {
            self.owner.install(side, set)
        };
        changes.retain(|change| match change.subject() {
            Subject::Policy(id) => !self.policies.contains_key(&id),
            Subject::State(_) => true,
        });
        changes
    }

    /// Notes that a set is there.
    fn note(&mut self, one: &Wanted<'_>) {
        let ends = one.set.ends();
        let ports = self.ports_of(one.side, ends);
        for port in &ports {
            self.ports.entry(*port).or_default().sets += 1;
        }
        let (inbound, outbound) = SaName::of(one.side);
        let waits = self.waits(one.side, ends);
        self.hold(one.id, one.side, ends, &inbound);
        let outbound = if waits {
            Outbound::HeldBack(one.set.duplicate(), None)
        } else {
            self.hold(one.id, one.side, ends, &outbound);
            Outbound::There
        };
        self.sets.insert(one.id, Installed { suite: one.set.suite(), outbound, ports });
    }

    /// Notes that states and policies of a set are there.
    pub(super) fn hold(&mut self, id: SetId, side: Side, ends: &Ends, names: &[SaName]) {
        for name in names {
            let state = StateId::of(ends, *name);
            self.states.insert(state, id);
            let policy = PolicyId::protecting(side, ends, *name);
            let spi = (policy.direction == Direction::Out).then_some(state.spi);
            self.policies.entry(policy).and_modify(|held| held.sets += 1).or_insert(Held { sets: 1, spi });
        }
    }

    /// Installs many sets, several in one datagram: faster than one by one, and otherwise the same.
    /// Returns what became of each.
    pub fn install_many<'a>(
        &mut self,
        sets: impl IntoIterator<Item = (SetId, Side, &'a SaSet, Overlap)>,
    ) -> Vec<Result<(), KernelError<N::Error>>> {
        let (mut results, mut group) = (Vec::new(), Vec::<Wanted<'_>>::new());
        // The names in the group: a set that shares one waits until the group is there.
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (id, side, set, _) in sets {
            let of_set = SaName::ALL.iter().flat_map(|name| {
                let policy = PolicyId::protecting(side, set.ends(), *name);
                [Subject::State(StateId::of(set.ends(), *name)), Subject::Policy(policy)]
            });
            let of_set: Vec<_> = of_set.collect();
            let meets = ids.contains(&id) || of_set.iter().any(|name| names.contains(name));
            if meets || group.len() == SETS_A_DATAGRAM {
                self.install_group(&group, &mut results);
                group.clear();
                ids.clear();
                names.clear();
            }
            if self.sets.contains_key(&id) {
                self.install_group(&group, &mut results);
                group.clear();
                results.push(Ok(()));
                continue;
            }
            ids.insert(id);
            names.extend(of_set);
            group.push(Wanted { id, side, set });
        }
        self.install_group(&group, &mut results);
        results
    }

    /// Installs sets that share no name with one datagram: first the ports that are not blocked
    /// yet, then set by set.
    fn install_group(&mut self, group: &[Wanted<'_>], results: &mut Vec<Result<(), KernelError<N::Error>>>) {
        let ports = group.iter().flat_map(|one| self.ports_of(one.side, one.set.ends()));
        let ports: BTreeSet<_> = ports.filter(|end| !self.ports.contains_key(end)).collect();
        let blocking = ports.iter().flat_map(|end| PolicyId::blocking(*end));
        let blocking = self.owner.these(blocking.map(|id| Change::AddPolicy(id, Action::Block)));
        let mut changes = Vec::with_capacity(group.len());
        for one in group {
            changes.push(self.installing(one.side, one.set));
        }
        let mut all = blocking.clone();
        changes.iter().for_each(|changes| all.append(changes.clone()));

        let mut answers = self.exchange.carry_out(&all);
        let mut first = blocking.list().len();
        let of_ports = answers.take_part(0, first);
        let (mut not_blocked, made) = match error_of(&blocking, of_ports) {
            Ok(made) => (None, made),
            Err((error, made)) => (Some(error), made),
        };
        for (one, changes) in group.iter().zip(&changes) {
            let of_set = answers.take_part(first, changes.list().len());
            first += changes.list().len();
            let made: Vec<_> = (0..changes.list().len()).filter(|index| of_set.may_be_made(*index)).collect();
            let failed = error_of(changes, of_set).err().map(|(error, _)| error);
            // Without its ports blocked, no set is installed.
            let failed = match &mut not_blocked {
                Some(error) => Some(core::mem::replace(error, KernelError::Lost)),
                None => failed,
            };
            results.push(match failed {
                Some(error) => {
                    self.take_back(changes, &made);
                    Err(error)
                }
                None => {
                    self.note(one);
                    Ok(())
                }
            });
        }
        // The ports go last, and only those that were blocked here and that no set has.
        let unused = |index: &usize| match blocking.list().get(*index).map(Change::subject) {
            Some(Subject::Policy(id)) => !self.ports.keys().any(|end| PolicyId::blocking(*end).contains(&id)),
            _ => false,
        };
        let unused: Vec<_> = made.into_iter().filter(unused).collect();
        self.take_back(&blocking, &unused);
    }

    /// Puts the outbound half of a set that was held back into the place of the states that have
    /// its names, which come back if it cannot be installed. From then on traffic goes over it.
    fn release(
        &mut self,
        side: Side,
        id: SetId,
        set: &SaSet,
        extended: Option<Duration>,
    ) -> Result<(), KernelError<N::Error>> {
        let (_, outbound) = SaName::of(side);
        let mut before = Vec::new();
        for name in outbound.map(|name| StateId::of(set.ends(), name)) {
            let Some(message) = self.exchange.state(&self.owner, name)? else { continue };
            if !is_of(&message, &self.owner) {
                let (subject, text) = (Subject::State(name), None);
                return Err(KernelError::Refused { subject, errno: Failure::EXISTS, text });
            }
            before.push((name, message));
        }
        let owner = match extended {
            Some(lifetime) => self.owner.with_hard_lifetime(Some(lifetime)),
            None => self.owner,
        };
        let mut changes = owner.these(before.iter().map(|(name, _)| Change::RemoveState(*name)));
        changes.append(owner.install_outbound_states(side, set));
        changes.append(self.naming(side, set.ends(), |_, own| Some(own)));
        let answers = self.exchange.carry_out(&changes);
        let Err((error, made)) = error_of(&changes, answers) else {
            self.hold(id, side, set.ends(), &outbound);
            self.named(side, set.ends());
            return Ok(());
        };
        let set_back = self.naming(side, set.ends(), |held, _| held);
        self.carry_back(&set_back);
        self.take_back(&changes, &made);
        for (name, message) in &before {
            // Numbers that were used while it was read are not used again.
            const SKIPPED: u32 = 10_000;
            for state in replies(message) {
                let Ok((_, Reply::State(state))) = state else { continue };
                let restored = self.exchange.restore(*name, |number| state.restore(number, SKIPPED));
                self.not_removed += u64::from(restored.is_err());
            }
        }
        Err(error)
    }

    /// The changes after which the outbound policies of a set name other states: those that a
    /// function says, which is given the state that a policy names now, and that of the set.
    fn naming(
        &self,
        side: Side,
        ends: &Ends,
        spi: impl Fn(Option<Spi>, Spi) -> Option<Spi>,
    ) -> Changes<'static> {
        let (_, outbound) = SaName::of(side);
        let change = |name: SaName| {
            let (own, selector) = ends.sa(name);
            let policy = PolicyId::protecting(side, ends, name);
            let held = self.policies.get(&policy);
            let spi = spi(held.and_then(|held| held.spi), own);
            let action = Action::Protect { source: selector.source, destination: selector.destination, spi };
            match (held, spi) {
                (Some(_), Some(_)) => Some(Change::SetPolicy(policy, action)),
                (None, Some(_)) => Some(Change::AddPolicy(policy, action)),
                // It was not there before.
                (_, None) => None,
            }
        };
        self.owner.these(outbound.into_iter().filter_map(change))
    }

    /// Notes that the outbound policies of a set name its states.
    fn named(&mut self, side: Side, ends: &Ends) {
        let (_, outbound) = SaName::of(side);
        for name in outbound {
            if let Some(held) = self.policies.get_mut(&PolicyId::protecting(side, ends, name)) {
                held.spi = Some(ends.sa(name).0);
            }
        }
    }

    /// Makes policies what they were.
    fn carry_back(&mut self, changes: &Changes<'_>) {
        let Answers { refused, broken } = self.exchange.carry_out(changes);
        self.not_removed += (refused.len() + usize::from(broken.is_some())) as u64;
    }

    /// Sets the limits of a set: see [`Owner::limit`].
    ///
    /// # Errors
    /// [`KernelError`]; the limits of some of the four may have changed.
    pub fn limit(
        &mut self,
        id: SetId,
        side: Side,
        ends: &Ends,
        limits: StateLimits,
    ) -> Result<(), KernelError<N::Error>> {
        let installed = self.sets.get_mut(&id).ok_or(KernelError::NotInstalled(id))?;
        if let Outbound::HeldBack(_, extended) = &mut installed.outbound {
            *extended = limits.lifetime;
        }
        let mut changes = self.owner.limit(side, ends, installed.suite, limits);
        changes.retain(|change| match change.subject() {
            Subject::State(state) => self.states.get(&state) == Some(&id),
            Subject::Policy(_) => false,
        });
        let answers = self.exchange.carry_out(&changes);
        error_of(&changes, answers).map(drop).map_err(|(error, _)| error)
    }
}

/// Whether a message tells of a state of an owner.
fn is_of(message: &[u8], owner: &Owner) -> bool {
    replies(message).any(|reply| matches!(reply, Ok((_, Reply::State(state))) if state.is_of(owner)))
}

/// The indices of the changes that were made, or the first error with those that may have been
/// made. What is removed may be gone already, and a policy that blocks may be there.
#[allow(clippy::type_complexity, reason = "one error, and what it leaves")]
fn error_of<E>(
    changes: &Changes<'_>,
    mut answers: Answers<E>,
) -> Result<Vec<usize>, (KernelError<E>, Vec<usize>)> {
    let made = (0..changes.list().len()).filter(|index| answers.may_be_made(*index)).collect();
    let is_fatal = |index: usize, errno: i32| match changes.list().get(index) {
        Some(Change::RemoveState(_)) => errno != Failure::NO_STATE,
        Some(Change::RemovePolicy(_)) => errno != Failure::NO_POLICY,
        Some(Change::AddPolicy(_, Action::Block)) => errno != Failure::EXISTS,
        _ => true,
    };
    if let Some(broken) = answers.broken {
        return Err((broken.error, made));
    }
    match answers.refused.iter().position(|one| is_fatal(one.index, one.errno)) {
        Some(position) => Err((answers.refused.swap_remove(position).into(), made)),
        None => Ok(made),
    }
}

impl<N: Netlink> DataPath for Kernel<N> {
    type Error = KernelError<N::Error>;

    /// It knows by itself how sets overlap.
    fn install(&mut self, id: SetId, side: Side, set: &SaSet, _: Overlap) -> Result<(), Self::Error> {
        if self.sets.contains_key(&id) {
            return Ok(());
        }
        let mut results = Vec::new();
        self.install_group(&[Wanted { id, side, set }], &mut results);
        results.pop().unwrap_or(Err(KernelError::NotInstalled(id)))
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), Self::Error> {
        let installed = self.sets.get_mut(&id).ok_or(KernelError::NotInstalled(id))?;
        if let Outbound::HeldBack(set, extended) =
            core::mem::replace(&mut installed.outbound, Outbound::There)
        {
            let released = self.release(side, id, &set, extended);
            if let (Err(_), Some(installed)) = (&released, self.sets.get_mut(&id)) {
                installed.outbound = Outbound::HeldBack(set, extended);
            }
            return released;
        }
        let changes = self.naming(side, ends, |_, own| Some(own));
        let answers = self.exchange.carry_out(&changes);
        match error_of(&changes, answers) {
            Ok(_) => {
                self.named(side, ends);
                Ok(())
            }
            Err((error, _)) => {
                // The set that was in use stays in use.
                let set_back = self.naming(side, ends, |held, _| held);
                self.carry_back(&set_back);
                Err(error)
            }
        }
    }

    fn extend(&mut self, id: SetId, side: Side, ends: &Ends, lifetime: Duration) -> Result<(), Self::Error> {
        let Some(hard) = self.owner.hard_lifetime.filter(|hard| *hard < lifetime) else { return Ok(()) };
        let suite = self.sets.get(&id).ok_or(KernelError::NotInstalled(id))?.suite;
        let lifetime = Some(lifetime.saturating_add(hard));
        self.limit(id, side, ends, StateLimits { lifetime, limits: Some(self.owner.limits_of(suite)) })
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        let Some(installed) = self.sets.remove(&id) else { return };
        let (inbound, outbound) = SaName::of(side);
        let held_back = matches!(installed.outbound, Outbound::HeldBack(..));
        let policies = inbound.iter().chain(outbound.iter().filter(|_| !held_back));
        let mut gone = BTreeSet::new();
        for policy in policies.map(|name| PolicyId::protecting(side, ends, *name)) {
            let Some(held) = self.policies.get_mut(&policy) else { continue };
            held.sets -= 1;
            if held.sets == 0 {
                self.policies.remove(&policy);
                gone.insert(Subject::Policy(policy));
            }
        }
        for state in SaName::ALL.map(|name| StateId::of(ends, name)) {
            // Another set may have taken its place.
            if self.states.get(&state) == Some(&id) {
                self.states.remove(&state);
                gone.insert(Subject::State(state));
            }
        }
        let mut changes = self.owner.remove(side, ends);
        changes.retain(|change| gone.contains(&change.subject()));
        // The ports go last.
        for end in installed.ports {
            let Some(port) = self.ports.get_mut(&end) else { continue };
            port.sets = port.sets.saturating_sub(1);
            if port.sets == 0 && !port.named {
                self.ports.remove(&end);
                changes.append(self.owner.unprotect(end));
            }
        }
        self.remove_all(&changes);
    }
}

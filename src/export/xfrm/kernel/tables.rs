//! The sets that a kernel has, and how they are installed, taken into use and removed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::exchange::{Answers, Exchange, KernelError, Netlink};
use crate::algorithm::Suite;
use crate::export::xfrm::change::{Action, Change, Changes, PolicyId, StateId, StateLimits, Subject};
use crate::export::xfrm::owner::Owner;
use crate::export::xfrm::reply::{Failure, Reply, replies};
use crate::sa::{DataPath, Ends, Overlap, SaName, SaSet, SetId, Side};

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
/// - What is not of its [`Owner`] is never changed or removed.
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
    /// The policies that more than one set has, and how many have them.
    shared: BTreeMap<PolicyId, u32>,
    /// The outbound states that have taken the place of another set's.
    replaced: BTreeMap<StateId, SetId>,
    not_removed: u64,
}

/// A set that is to be installed.
struct Wanted<'a> {
    id: SetId,
    side: Side,
    set: &'a SaSet,
    overlap: Overlap,
}

/// One set.
pub(super) struct Installed {
    pub(super) suite: Suite,
    pub(super) outbound: Outbound,
}

/// The outbound half of a set.
pub(super) enum Outbound {
    /// Its states are there.
    There,
    /// It waits until it is taken into use: another set has states of the same name.
    HeldBack(SaSet),
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

/// How many sets travel in one datagram: about 50 kB, of the 200 kB that a socket takes by default.
const SETS_A_DATAGRAM: usize = 16;

impl<N: Netlink> Kernel<N> {
    /// The kernel behind a socket. It changes nothing yet: see [`Kernel::reconcile`].
    pub fn new(socket: N, owner: Owner) -> Self {
        Self {
            exchange: Exchange::new(socket),
            owner,
            sets: BTreeMap::new(),
            ports: BTreeMap::new(),
            shared: BTreeMap::new(),
            replaced: BTreeMap::new(),
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
    /// [`KernelError`]; then neither policy is there.
    pub fn protect(&mut self, end: SocketAddr) -> Result<(), KernelError<N::Error>> {
        if self.ports.get(&end).is_none_or(|port| !port.named && port.sets == 0) {
            let changes = self.owner.protect(end);
            let answers = self.exchange.carry_out(&changes);
            self.whole(&changes, answers, blocks)?;
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

    /// The protected ports of a set at this host; none that a port of any address covers.
    fn own_ports(&self, side: Side, ends: &Ends) -> impl Iterator<Item = SocketAddr> {
        let end = match side {
            Side::Ue => ends.ue,
            Side::Pcscf => ends.pcscf,
        };
        let ports = end.setup.ports;
        let second = (ports.server != ports.client).then_some(ports.server);
        let any: IpAddr = if end.address.is_ipv6() { [0_u16; 8].into() } else { [0_u8; 4].into() };
        [Some(ports.client), second].into_iter().flatten().filter_map(move |port| {
            let covered = self.ports.get(&SocketAddr::new(any, port.get())).is_some_and(|port| port.named);
            (!covered).then_some(SocketAddr::new(end.address, port.get()))
        })
    }

    /// Takes back what was made if something was refused that may not be.
    fn whole(
        &mut self,
        changes: &Changes<'_>,
        answers: Answers<N::Error>,
        may_exist: impl Fn(&Subject) -> bool,
    ) -> Result<(), KernelError<N::Error>> {
        let exists = |errno: i32, subject: &Subject| errno == Failure::EXISTS && may_exist(subject);
        let Answers { refused, broken } = answers;
        let fatal = refused.iter().position(|one| !exists(one.errno, &one.subject));
        if fatal.is_none() && broken.is_none() {
            return Ok(());
        }
        let mut undo = changes.undo();
        undo.retain(|change| !refused.iter().any(|one| one.subject == change.subject()));
        self.remove_all(&undo);
        let mut refused = refused;
        match (broken, fatal) {
            (Some(broken), _) => Err(broken),
            (None, Some(index)) => Err(refused.swap_remove(index).into()),
            (None, None) => Ok(()),
        }
    }

    /// Removes what is there.
    pub(super) fn remove_all(&mut self, changes: &Changes<'_>) {
        let Answers { refused, broken } = self.exchange.carry_out(changes);
        let gone = |errno: i32| [Failure::NO_STATE, Failure::NO_POLICY].contains(&errno);
        let kept = refused.iter().filter(|one| !gone(one.errno)).count();
        let unknown = if broken.is_some() { changes.list().len() - refused.len() } else { 0 };
        self.not_removed += (kept + unknown) as u64;
    }

    /// Blocks the ports of a set that is there already, and counts it.
    pub(super) fn block_ports(&mut self, side: Side, ends: &Ends) -> Result<(), KernelError<N::Error>> {
        let ports: Vec<_> = self.own_ports(side, ends).collect();
        for end in ports {
            if !self.ports.contains_key(&end) {
                let changes = self.owner.protect(end);
                let answers = self.exchange.carry_out(&changes);
                self.whole(&changes, answers, blocks)?;
            }
            self.ports.entry(end).or_default().sets += 1;
        }
        Ok(())
    }

    /// Notes that a set is there, with the policies that it found.
    fn note(&mut self, one: &Wanted<'_>, found: &[PolicyId]) {
        let ports: Vec<_> = self.own_ports(one.side, one.set.ends()).collect();
        for port in ports {
            self.ports.entry(port).or_default().sets += 1;
        }
        self.share(found);
        let outbound = match one.overlap {
            Overlap::Apart | Overlap::Selectors => Outbound::There,
            Overlap::Spis => Outbound::HeldBack(one.set.duplicate()),
        };
        self.sets.insert(one.id, Installed { suite: one.set.suite(), outbound });
    }

    /// Counts policies that another set had before.
    fn share(&mut self, found: &[PolicyId]) {
        for policy in found {
            // The first one to have it was not counted.
            self.shared.entry(*policy).and_modify(|sets| *sets += 1).or_insert(2);
        }
    }

    /// Installs many sets, several in one datagram: faster than one by one, and otherwise the same.
    /// Returns what became of each.
    pub fn install_many<'a>(
        &mut self,
        sets: impl IntoIterator<Item = (SetId, Side, &'a SaSet, Overlap)>,
    ) -> Vec<Result<(), KernelError<N::Error>>> {
        let (mut results, mut group) = (Vec::new(), Vec::new());
        for (id, side, set, overlap) in sets {
            // What depends on what is installed already goes alone.
            let waits = group.iter().any(|one: &Wanted<'_>| one.id == id);
            if overlap != Overlap::Apart || waits || self.sets.contains_key(&id) {
                self.install_group(&group, &mut results);
                group.clear();
                results.push(self.install(id, side, set, overlap));
                continue;
            }
            group.push(Wanted { id, side, set, overlap });
            if group.len() == SETS_A_DATAGRAM {
                self.install_group(&group, &mut results);
                group.clear();
            }
        }
        self.install_group(&group, &mut results);
        results
    }

    /// Installs sets with one datagram: first the ports that are not blocked yet, then set by set.
    /// A set that overlaps another one is alone in it.
    fn install_group(&mut self, group: &[Wanted<'_>], results: &mut Vec<Result<(), KernelError<N::Error>>>) {
        let ports = group.iter().flat_map(|one| self.own_ports(one.side, one.set.ends()));
        let ports: BTreeSet<_> = ports.filter(|end| !self.ports.contains_key(end)).collect();
        let blocking = ports.iter().flat_map(|end| PolicyId::blocking(*end));
        let blocking = self.owner.these(blocking.map(|id| Change::AddPolicy(id, Action::Block)));
        let mut changes = Vec::with_capacity(group.len());
        for one in group {
            changes.push(match one.overlap {
                Overlap::Apart | Overlap::Selectors => self.owner.install(one.side, one.set),
                Overlap::Spis => self.owner.install_inbound(one.side, one.set),
            });
        }
        let mut all = blocking.clone();
        changes.iter().for_each(|changes| all.append(changes.clone()));

        let mut answers = self.exchange.carry_out(&all);
        let of_ports = answers.take_from(&blocking);
        let mut not_blocked = self.whole(&blocking, of_ports, blocks).err();
        let blocked = not_blocked.is_none();
        for (one, changes) in group.iter().zip(&changes) {
            let mut of_set = answers.take_from(changes);
            let found = of_set.found();
            // Without its ports blocked, no set is installed.
            if let Some(error) = &mut not_blocked {
                of_set.broken = Some(core::mem::replace(error, KernelError::Lost));
            }
            // The policy of another set with the same traffic serves both.
            let overlaps = one.overlap != Overlap::Apart;
            let may_exist = |subject: &Subject| overlaps && matches!(subject, Subject::Policy(_));
            let result = self.whole(changes, of_set, may_exist);
            if result.is_ok() {
                self.note(one, &found);
            }
            results.push(result);
        }
        if blocked {
            for end in ports.into_iter().filter(|end| !self.ports.contains_key(end)).collect::<Vec<_>>() {
                let changes = self.owner.unprotect(end);
                self.remove_all(&changes);
            }
        }
    }

    /// Takes the outbound half of a set into use that was held back: where another set has a state
    /// of the same name, that one goes, and comes back if this one cannot be installed.
    fn release(&mut self, side: Side, id: SetId, set: &SaSet) -> Result<(), KernelError<N::Error>> {
        let (_, outbound) = SaName::of(side);
        let names = outbound.map(|name| StateId::of(set.ends(), name));
        let mut before = Vec::new();
        for name in names {
            before.extend(self.exchange.state(&self.owner, name)?.map(|state| (name, state)));
        }
        let mut changes = self.owner.these(before.iter().map(|(name, _)| Change::RemoveState(*name)));
        changes.append(self.owner.install_outbound(side, set));
        let answers = self.exchange.carry_out(&changes);
        let found = answers.found();
        let taken = self.whole(&changes, answers, |subject| matches!(subject, Subject::Policy(_)));
        if let Err(error) = taken {
            for (_, state) in &before {
                let _ = self.restore(state);
            }
            return Err(error);
        }
        self.share(&found);
        for (name, _) in before {
            self.replaced.insert(name, id);
        }
        Ok(())
    }

    /// Makes a state again that was removed.
    fn restore(&mut self, reply: &[u8]) -> Result<(), KernelError<N::Error>> {
        for state in replies(reply) {
            if let (_, Reply::State(state)) = state? {
                self.exchange.send_alone(|number| state.restore(number, 0))?;
            }
        }
        Ok(())
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
        let installed = self.sets.get(&id).ok_or(KernelError::NotInstalled(id))?;
        let mut changes = self.owner.limit(side, ends, installed.suite, limits);
        if matches!(installed.outbound, Outbound::HeldBack(_)) {
            let (inbound, _) = SaName::of(side);
            let inbound = inbound.map(|name| Subject::State(StateId::of(ends, name)));
            changes.retain(|change| inbound.contains(&change.subject()));
        }
        let Answers { mut refused, broken } = self.exchange.carry_out(&changes);
        match (broken, refused.is_empty()) {
            (Some(broken), _) => Err(broken),
            (None, true) => Ok(()),
            (None, false) => Err(refused.swap_remove(0).into()),
        }
    }
}

/// Whether a subject is a policy of one end only, as those that block are. If one is there already,
/// it does what is wanted.
const fn blocks(subject: &Subject) -> bool {
    match subject {
        Subject::Policy(id) => id.source.port.is_none() || id.destination.port.is_none(),
        Subject::State(_) => false,
    }
}

impl<N: Netlink> DataPath for Kernel<N> {
    type Error = KernelError<N::Error>;

    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), Self::Error> {
        if self.sets.contains_key(&id) {
            return Ok(());
        }
        let mut results = Vec::new();
        self.install_group(&[Wanted { id, side, set, overlap }], &mut results);
        results.pop().unwrap_or(Err(KernelError::NotInstalled(id)))
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), Self::Error> {
        let installed = self.sets.get_mut(&id).ok_or(KernelError::NotInstalled(id))?;
        if let Outbound::HeldBack(set) = core::mem::replace(&mut installed.outbound, Outbound::There)
            && let Err(error) = self.release(side, id, &set)
        {
            if let Some(installed) = self.sets.get_mut(&id) {
                installed.outbound = Outbound::HeldBack(set);
            }
            return Err(error);
        }
        let changes = self.owner.take_into_use(side, ends);
        let Answers { mut refused, broken } = self.exchange.carry_out(&changes);
        match (broken, refused.is_empty()) {
            (Some(broken), _) => Err(broken),
            (None, true) => Ok(()),
            (None, false) => Err(refused.swap_remove(0).into()),
        }
    }

    fn extend(&mut self, id: SetId, side: Side, ends: &Ends, lifetime: Duration) -> Result<(), Self::Error> {
        let Some(hard) = self.owner.hard_lifetime.filter(|hard| *hard < lifetime) else { return Ok(()) };
        let suite = self.sets.get(&id).ok_or(KernelError::NotInstalled(id))?.suite;
        let limits =
            StateLimits { lifetime: Some(lifetime + hard), limits: Some(self.owner.limits_of(suite)) };
        self.limit(id, side, ends, limits)
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        let Some(installed) = self.sets.remove(&id) else { return };
        let mut changes = self.owner.remove(side, ends);
        let (_, outbound) = SaName::of(side);
        let mut kept = Vec::new();
        if matches!(installed.outbound, Outbound::HeldBack(_)) {
            for name in outbound {
                kept.push(Subject::State(StateId::of(ends, name)));
                kept.push(Subject::Policy(PolicyId::protecting(side, ends, name)));
            }
        }
        for policy in SaName::ALL.map(|name| PolicyId::protecting(side, ends, name)) {
            if kept.contains(&Subject::Policy(policy)) {
                continue;
            }
            if let Some(sets) = self.shared.get_mut(&policy) {
                kept.push(Subject::Policy(policy));
                *sets -= 1;
                if *sets <= 1 {
                    self.shared.remove(&policy);
                }
            }
        }
        for state in outbound.map(|name| StateId::of(ends, name)) {
            match self.replaced.get(&state) {
                Some(other) if *other != id => kept.push(Subject::State(state)),
                Some(_) => drop(self.replaced.remove(&state)),
                None => {}
            }
        }
        changes.retain(|change| !kept.contains(&change.subject()));
        // The ports go last.
        let ports: Vec<_> = self.own_ports(side, ends).collect();
        for end in ports {
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

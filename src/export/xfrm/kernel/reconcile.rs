//! What a kernel has from an earlier process.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::IpAddr;

use super::exchange::{KernelError, Netlink};
use super::tables::{Installed, Kernel, Outbound};
use crate::algorithm::Suite;
use crate::export::xfrm::change::{Change, PolicyId, StateId};
use crate::export::xfrm::message::Dump;
use crate::export::xfrm::reply::Reply;
use crate::sa::{Ends, SaName, SetId, Side};
use crate::spi::Spi;

/// What [`Kernel::reconcile`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconciled {
    /// States and policies that were removed: of this owner, and of no set that is known or was
    /// named.
    pub removed: usize,
    /// Sets that are not whole. One that was named is not counted as installed, and what was there
    /// of it is removed; one that was installed before is the caller's to remove: see
    /// [`Pcscf::data_path_failed`](crate::Pcscf::data_path_failed).
    pub broken: Vec<SetId>,
    /// The states that stay, for [`Pcscf::reconcile`](crate::Pcscf::reconcile).
    pub held: Vec<(Spi, IpAddr)>,
}

/// What is listed.
#[derive(Default)]
struct Found {
    states: BTreeSet<StateId>,
    /// With the state that each names.
    policies: BTreeMap<PolicyId, Option<Spi>>,
}

impl<N: Netlink> Kernel<N> {
    /// Compares the tables of the kernel with the sets that are known, and with those that the
    /// caller names at start: what is of this owner and of none of them is removed, policies that
    /// block last. Ports that [`Kernel::protect`] named stay blocked all the time. A set that is
    /// named and whole is installed from then on, as if by this process. What other owners have
    /// stays; of an owner [without a marker](crate::export::xfrm::Owner::without_marker), policies
    /// that block cannot be distinguished from those of others, and stay too.
    ///
    /// # Errors
    /// [`KernelError`] if the tables cannot be listed, or a port of a named set not be blocked;
    /// nothing was removed.
    pub fn reconcile<'a>(
        &mut self,
        keep: impl IntoIterator<Item = (SetId, Side, &'a Ends, Suite)>,
    ) -> Result<Reconciled, KernelError<N::Error>> {
        let Found { states, policies } = self.listed()?;
        let mut outcome = Reconciled::default();
        let mut whole = Vec::new();
        let known = keep.into_iter().filter(|(id, ..)| !self.sets.contains_key(id));
        for (id, side, ends, suite) in known.collect::<Vec<_>>() {
            let has = |name: &SaName| {
                states.contains(&StateId::of(ends, *name))
                    && policies.contains_key(&PolicyId::protecting(side, ends, *name))
            };
            if SaName::ALL.iter().all(has) {
                whole.push((id, side, ends, suite));
            } else {
                outcome.broken.push(id);
            }
        }
        let missing = self.states.iter().filter(|(state, _)| !states.contains(state));
        outcome.broken.extend(missing.map(|(_, id)| *id).collect::<BTreeSet<_>>());

        // What can fail comes before what changes anything.
        let ports = whole.iter().flat_map(|(_, side, ends, _)| self.ports_of(*side, ends));
        let ports: BTreeSet<_> = ports.filter(|end| !self.ports.contains_key(end)).collect();
        self.block(&ports.into_iter().collect::<Vec<_>>())?;
        for (id, side, ends, suite) in whole {
            let ports = self.ports_of(side, ends);
            for port in &ports {
                self.ports.entry(*port).or_default().sets += 1;
            }
            self.hold(id, side, ends, &SaName::ALL);
            self.sets.insert(id, Installed { suite, outbound: Outbound::There, ports });
        }
        for (id, held) in &mut self.policies {
            // Of sets that share a policy, the kernel knows which one is in use.
            held.spi = policies.get(id).copied().flatten().or(held.spi);
        }

        let kept = states.iter().filter(|state| self.states.contains_key(*state));
        outcome.held.extend(kept.map(|state| (state.spi, state.destination)));
        let blocked: BTreeSet<_> = self.ports.keys().flat_map(|end| PolicyId::blocking(*end)).collect();
        let orphans = policies.keys().filter(|id| !self.policies.contains_key(*id) && !blocked.contains(*id));
        let (blocking, protecting): (Vec<&PolicyId>, Vec<&PolicyId>) =
            orphans.partition(|id| id.is_of_one_port());
        let of_states = states.iter().filter(|state| !self.states.contains_key(*state));
        let changes = protecting.into_iter().map(|id| Change::RemovePolicy(*id));
        let changes = changes.chain(of_states.map(|id| Change::RemoveState(*id)));
        let changes = changes.chain(blocking.into_iter().map(|id| Change::RemovePolicy(*id)));
        let changes: Vec<Change<'static>> = changes.collect();
        outcome.removed = changes.len();
        for part in changes.chunks(256) {
            let part = self.owner.these(part.iter().copied());
            self.remove_all(&part);
        }
        Ok(outcome)
    }

    /// The states and policies of this owner.
    fn listed(&mut self) -> Result<Found, KernelError<N::Error>> {
        let owner = self.owner;
        let found = RefCell::new(Found::default());
        let begin = || found.borrow_mut().states.clear();
        let each = |reply: Reply<'_>| {
            if let Reply::State(state) = reply
                && state.is_of(&owner)
            {
                found.borrow_mut().states.insert(state.id);
            }
        };
        self.exchange.list(Dump::States, each, begin)?;
        let begin = || found.borrow_mut().policies.clear();
        let each = |reply: Reply<'_>| {
            if let Reply::Policy(policy) = reply
                && policy.any_protocol
                && policy.marker == owner.marker
            {
                let is_own = match policy.number {
                    Some(number) => number == owner.number.get(),
                    None => policy.blocks && owner.marker != 0,
                };
                if is_own {
                    found.borrow_mut().policies.insert(policy.id, policy.spi);
                }
            }
        };
        self.exchange.list(Dump::Policies, each, begin)?;
        Ok(found.into_inner())
    }
}

//! What a kernel has from an earlier process.

use alloc::collections::BTreeSet;
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
    /// States and policies that were removed: of this owner, and of no set that was named.
    pub removed: usize,
    /// Sets that were named and are not whole: they are not counted as installed, and what was
    /// there of them is removed.
    pub broken: Vec<SetId>,
    /// The states that stay, for [`Pcscf::reconcile`](crate::Pcscf::reconcile).
    pub held: Vec<(Spi, IpAddr)>,
}

/// What is listed.
#[derive(Default)]
struct Found {
    states: BTreeSet<StateId>,
    policies: BTreeSet<PolicyId>,
}

impl<N: Netlink> Kernel<N> {
    /// Compares the tables of the kernel with the sets that the caller names, at start: what is of
    /// this owner and of none of them is removed, policies that block last. Ports that
    /// [`Kernel::protect`] named stay blocked all the time. A set that is named and whole is
    /// installed from then on, as if by this process. What other owners have stays.
    ///
    /// # Errors
    /// [`KernelError`] if the tables cannot be listed; nothing has changed.
    pub fn reconcile<'a>(
        &mut self,
        keep: impl IntoIterator<Item = (SetId, Side, &'a Ends, Suite)>,
    ) -> Result<Reconciled, KernelError<N::Error>> {
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
                && policy.number.unwrap_or(owner.number.get()) == owner.number.get()
                && (policy.number.is_some() || policy.blocks)
            {
                found.borrow_mut().policies.insert(policy.id);
            }
        };
        self.exchange.list(Dump::Policies, each, begin)?;
        let Found { mut states, mut policies } = found.into_inner();

        let mut outcome = Reconciled::default();
        for (id, side, ends, suite) in keep {
            let of_states = SaName::ALL.map(|name| StateId::of(ends, name));
            let of_policies = SaName::ALL.map(|name| PolicyId::protecting(side, ends, name));
            let whole = of_states.iter().all(|one| states.contains(one))
                && of_policies.iter().all(|one| policies.contains(one));
            if !whole {
                outcome.broken.push(id);
                continue;
            }
            outcome.held.extend(of_states.iter().map(|one| (one.spi, one.destination)));
            states.retain(|one| !of_states.contains(one));
            policies.retain(|one| !of_policies.contains(one));
            self.adopt(id, side, ends, suite)?;
        }
        for end in self.ports.keys() {
            for policy in PolicyId::blocking(*end) {
                policies.remove(&policy);
            }
        }
        let (blocking, protecting): (Vec<_>, Vec<_>) =
            policies.into_iter().partition(|id| id.source.port.is_none() || id.destination.port.is_none());
        let changes = protecting.into_iter().map(Change::RemovePolicy);
        let changes = changes.chain(states.into_iter().map(Change::RemoveState));
        let changes: Vec<_> = changes.chain(blocking.into_iter().map(Change::RemovePolicy)).collect();
        outcome.removed = changes.len();
        for part in changes.chunks(256) {
            let part = owner.these(part.iter().copied());
            self.remove_all(&part);
        }
        Ok(outcome)
    }

    /// Counts a set as installed that another process has installed, and blocks its ports.
    fn adopt(
        &mut self,
        id: SetId,
        side: Side,
        ends: &Ends,
        suite: Suite,
    ) -> Result<(), KernelError<N::Error>> {
        self.block_ports(side, ends)?;
        self.sets.insert(id, Installed { suite, outbound: Outbound::There });
        Ok(())
    }
}

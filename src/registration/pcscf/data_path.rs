//! What the data path is to do, whether it has done it, and what time does.

use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashSet;

use super::table::Pcscf;
use crate::registration::contact::Slot;
use crate::registration::identity::Identity;
use crate::registration::instruction::{Instruction, SetId};
use crate::sa::{InstallError, SaName, SaSet, Sad, Side};
use crate::spi::Spi;
use crate::time::Instant;

/// What a data path holds compared with what it should ([`Pcscf::reconcile`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// SAs that no set has: to be removed.
    pub orphans: Vec<(Spi, IpAddr)>,
    /// Contacts whose registration has ended, since an SA of their current set is lost.
    pub lost: Vec<Identity>,
}

impl Pcscf {
    /// The next thing that the data path is to do.
    pub fn next_instruction(&mut self) -> Option<Instruction> {
        self.instructions.pop_front()
    }

    /// The SAs of a set, with their keys, while it is temporary; then the data path alone has them.
    pub fn set(&self, id: SetId) -> Option<&SaSet> {
        self.contacts.peek(id.contact)?.keyed_set(id)
    }

    /// Carries out all instructions.
    ///
    /// # Errors
    /// [`InstallError`] if a set could not be installed. It has ended, as for [`Pcscf::install_failed`]; the
    /// instructions behind it are still there.
    pub fn apply(&mut self, sad: &mut Sad) -> Result<(), InstallError> {
        while let Some(instruction) = self.next_instruction() {
            let set = match instruction {
                Instruction::Install(id) => self.set(id),
                Instruction::Remove(..) => None,
            };
            let done = instruction.carry_out(set, sad, Side::Pcscf);
            if let (Err(error), Instruction::Install(id)) = (done, instruction) {
                self.install_failed(id);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The data path could not install a set, and has none of its SAs: it ends, and so does its authentication. No
    /// removal follows. False if the set is not a temporary one.
    pub fn install_failed(&mut self, id: SetId) -> bool {
        let Some((contact, _)) = self.contacts.at(id.contact) else { return false };
        if contact.temporary.as_ref().is_none_or(|temporary| temporary.set.id != id) {
            return false;
        }
        contact.drop_temporary(&mut self.gone);
        self.not_installed = Some(id);
        self.settle(id.contact);
        self.not_installed = None;
        true
    }

    /// Compares the SAs that the data path really holds, in both directions, with those that it should, all instructions
    /// having been carried out. A set that is not whole is removed: its sequence numbers are gone, so that it cannot be
    /// made whole. After a restart of the P-CSCF, everything that is held is an orphan.
    pub fn reconcile(&mut self, held: impl IntoIterator<Item = (Spi, IpAddr)>) -> Reconciled {
        let held: HashSet<(Spi, IpAddr)> = held.into_iter().collect();
        let mut known = HashSet::new();
        let slots: Vec<u32> = self.by_identity.iter().copied().collect();
        let mut lost = Vec::new();
        for slot in slots {
            let Some((contact, _)) = self.contacts.at(slot) else { continue };
            let mut broken = [None; 3];
            for ((slot, set), broken) in contact.sets().zip(&mut broken) {
                let sas = SaName::ALL.map(|name| {
                    let (spi, selector) = set.ends.sa(name);
                    (spi, selector.destination)
                });
                if !sas.iter().all(|sa| held.contains(sa)) {
                    *broken = Some(slot);
                }
                known.extend(sas);
            }
            for slot in broken.into_iter().flatten() {
                match slot {
                    Slot::Temporary => contact.drop_temporary(&mut self.gone),
                    Slot::Old => {
                        self.gone.extend(contact.old.take().map(|old| *old));
                        contact.old_in_use = false;
                    }
                    Slot::Current => {
                        lost.push(contact.identity.clone());
                        contact.clear(&mut self.gone);
                    }
                }
            }
            self.settle(slot);
        }
        Reconciled { orphans: held.difference(&known).copied().collect(), lost }
    }

    /// When [`Pcscf::handle_timeout`] has something to do: never later than the first deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Ends what has reached its deadline. Deadlines are kept to an eighth of a second, and never early.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.timers.advance(now);
        while let Some(slot) = self.timers.pop_due() {
            if let Some((contact, _)) = self.contacts.at(slot) {
                contact.expire(now, &mut self.gone);
            }
            self.settle(slot);
        }
    }
}

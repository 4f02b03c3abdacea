//! Changes of contacts by time, by the data path, and by the operator.

use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashSet;

use super::answer::Gone;
use super::event::Event;
use super::id::ContactId;
use super::table::Pcscf;
use crate::registration::cause::Cause;
use crate::sa::{DataPath, SaName, SetId};
use crate::spi::Spi;
use crate::time::Moment;

impl Pcscf {
    /// When [`Pcscf::handle_timeout`] has something to do. A deadline that was put off or cancelled
    /// may still wake the caller once, at the moment where it was; other than that nobody is
    /// woken in vain.
    #[must_use = "deadlines pass unnoticed unless the caller wakes for them"]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Ends what has reached its deadline. Deadlines are kept to an eighth of a second, and never
    /// early.
    pub fn handle_timeout<D: DataPath>(&mut self, now: Moment, data_path: &mut D) {
        self.counters.events_lost += self.events.trim();
        self.timers.advance(now);
        while let Some(slot) = self.timers.pop_due() {
            self.step(slot, data_path, |contact, effects| contact.expire(now, effects));
        }
    }

    /// The network ended a registration: all sets stay for [`DRAIN`](crate::registration::DRAIN),
    /// so that the messages that say so can be sent.
    ///
    /// # Errors
    /// [`Gone`] if there is no such contact.
    pub fn deregister<D: DataPath>(
        &mut self,
        now: Moment,
        contact: ContactId,
        data_path: &mut D,
    ) -> Result<(), Gone> {
        self.contacts.get(contact.0).ok_or(Gone)?;
        self.step(contact.0.slot, data_path, |contact, effects| contact.leave(now, effects)).ok_or(Gone)
    }

    /// Removes a contact and all that it has, at once.
    ///
    /// # Errors
    /// [`Gone`] if there is no such contact.
    pub fn forget<D: DataPath>(&mut self, contact: ContactId, data_path: &mut D) -> Result<(), Gone> {
        self.contacts.get(contact.0).ok_or(Gone)?;
        let cause = Cause::Forgotten;
        self.step(contact.0.slot, data_path, |contact, effects| contact.clear(cause, effects)).ok_or(Gone)
    }

    /// The data path has failed a set: it could not install it or take it into use when a
    /// [`Plan`](crate::Plan) was carried out, or it has lost one of its SAs. The set ends; with a
    /// temporary one its authentication, with a current one the registration.
    ///
    /// # Errors
    /// [`Gone`] if the set has ended already.
    pub fn data_path_failed<D: DataPath>(&mut self, set: SetId, data_path: &mut D) -> Result<(), Gone> {
        let (slot, role) = self.role(set).ok_or(Gone)?;
        self.step(slot, data_path, |contact, effects| contact.lost(role, effects)).ok_or(Gone)
    }

    /// Compares the SAs that the data path holds, in both directions, with those that it should
    /// hold. A set that is not whole ends as after [`Pcscf::data_path_failed`]: its sequence
    /// numbers are lost, so that it cannot be made whole. Returns the SAs that no set has; the
    /// caller removes them from the data path. After a restart of the P-CSCF, that is all of
    /// them.
    #[must_use = "SAs that no set has are removed by the caller"]
    pub fn reconcile<D: DataPath>(
        &mut self,
        held: impl IntoIterator<Item = (Spi, IpAddr)>,
        data_path: &mut D,
    ) -> Vec<(Spi, IpAddr)> {
        let held: HashSet<(Spi, IpAddr)> = held.into_iter().collect();
        let mut known = HashSet::new();
        let mut broken = Vec::new();
        for slot in self.by_identity.iter() {
            let Some(contact) = self.contacts.peek(*slot) else { continue };
            for (_, set) in contact.sets() {
                let sas = SaName::ALL.map(|name| {
                    let (spi, selector) = set.ends.sa(name);
                    (spi, selector.destination)
                });
                if !sas.iter().all(|sa| held.contains(sa)) {
                    broken.push(set.id);
                }
                known.extend(sas);
            }
        }
        for set in broken {
            // With a current set that is broken, the contact's other sets have gone already.
            let _ = self.data_path_failed(set, data_path);
        }
        held.difference(&known).copied().collect()
    }

    /// The sequence numbers of an outbound SA run low, or its volume is used up: sealing said so
    /// with a [`Warning`](crate::sa::Warning), or a kernel with a soft limit. The SA is named
    /// by its destination and SPI. Becomes [`Event::NumbersLow`], once for each set.
    ///
    /// # Errors
    /// [`Gone`] if no set has such an SA.
    pub fn numbers_low(&mut self, ue: IpAddr, spi: Spi) -> Result<SetId, Gone> {
        let set = self.set_toward(ue, spi).ok_or(Gone)?;
        let (contact, id) = self.contacts.at(set.0.slot).ok_or(Gone)?;
        if contact.first_numbers_low(set) {
            self.events.push(Event::NumbersLow { contact: ContactId(id), set });
        }
        Ok(set)
    }
}

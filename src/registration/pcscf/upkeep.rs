//! Changes of contacts by time, by the data path, and by the operator.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::answer::Gone;
use super::config::Config;
use super::contact::Contact;
use super::event::Event;
use super::id::ContactId;
use super::table::Pcscf;
use crate::hashing::Map;
use crate::registration::cause::Cause;
use crate::sa::{DataPath, SaName, SetId};
use crate::setup::Port;
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
    ///
    /// Every call that is told the time does this first, and to the millisecond for the contact
    /// that it is about, so that nothing outlives its deadline because a wake-up was late. A clock
    /// that steps back is taken for one that stands still: the latest time that was told counts.
    pub fn handle_timeout<D: DataPath>(&mut self, now: Moment, data_path: &mut D) {
        self.at(now, data_path);
    }

    /// The time that a call goes by: never earlier than one that was told before. What has reached
    /// its deadline by then has ended.
    pub(super) fn at<D: DataPath>(&mut self, now: Moment, data_path: &mut D) -> Moment {
        self.now = self.now.max(now);
        self.counters.events_lost += self.events.trim();
        if self.timers.next().is_some_and(|next| next <= self.now) {
            self.expire(data_path);
        }
        self.now
    }

    /// Ends what a contact has that has reached its deadline, be its timer as it may.
    pub(super) fn honour_deadlines<D: DataPath>(&mut self, slot: u32, data_path: &mut D) {
        let deadline = self.contacts.peek(slot).and_then(Contact::next_deadline);
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            let now = self.now;
            self.step(slot, data_path, |contact, effects| contact.expire(now, effects));
        }
    }

    #[cold]
    fn expire<D: DataPath>(&mut self, data_path: &mut D) {
        let now = self.now;
        self.timers.advance(now);
        while let Some(slot) = self.timers.pop_due() {
            self.step(slot, data_path, |contact, effects| contact.expire(now, effects));
        }
    }

    /// The network ended a registration: all sets stay for [`DRAIN`](crate::registration::DRAIN),
    /// so that the messages that say so can be sent. A registration that has begun in clear since
    /// goes on.
    ///
    /// # Errors
    /// [`Gone`] if there is no such contact.
    pub fn deregister<D: DataPath>(
        &mut self,
        now: Moment,
        contact: ContactId,
        data_path: &mut D,
    ) -> Result<(), Gone> {
        let now = self.at(now, data_path);
        self.honour_deadlines(contact.0.slot, data_path);
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
        let slot = self.slot_of(set).ok_or(Gone)?;
        let cause = Cause::DataPath;
        self.step(slot, data_path, |contact, effects| contact.lose(set, None, cause, effects)).ok_or(Gone)
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
        let (mut listed, mut known) = (Map::new(), Map::new());
        for sa in held {
            listed.get_or_insert(&self.hasher, sa, || ());
        }
        let mut broken = Vec::new();
        for slot in self.by_identity.iter() {
            let Some(contact) = self.contacts.peek(*slot) else { continue };
            for (_, set) in contact.sets() {
                let sas = SaName::ALL.map(|name| {
                    let (spi, selector) = set.ends.sa(name);
                    (spi, selector.destination)
                });
                if !sas.iter().all(|sa| listed.get(&self.hasher, sa).is_some()) {
                    broken.push(set.id);
                }
                for sa in sas {
                    known.get_or_insert(&self.hasher, sa, || ());
                }
            }
        }
        for set in broken {
            // With a current set that is broken, the contact's other sets have gone already.
            let _ = self.data_path_failed(set, data_path);
        }
        let unknown = listed.iter().filter(|(sa, ())| known.get(&self.hasher, sa).is_none());
        unknown.map(|(sa, ())| *sa).collect()
    }

    /// Changes the configuration: policy, ports and limits. Nobody loses anything by it. What is
    /// registered keeps its SAs and its server port; what has been challenged is compared with what
    /// was issued; ports of the configuration before stay protected while sets have them. Where a
    /// limit is lower than what there is, nothing is added until enough has ended.
    pub fn reconfigure(&mut self, config: Config) {
        let before = core::mem::replace(&mut self.config, config);
        let mut retired: Vec<(Port, u32)> = Vec::new();
        let known = before.client_ports.iter().chain([&before.server_port]);
        for port in known.chain(self.retired_ports.iter().map(|(port, _)| port)) {
            if !self.config.has_port(port.get()) && retired.iter().all(|(other, _)| other != port) {
                retired.push((*port, 0));
            }
        }
        for contact in self.contacts.iter() {
            for (_, set) in contact.sets() {
                let ports = set.ends.pcscf.setup.ports;
                for (_, count) in
                    retired.iter_mut().filter(|(port, _)| *port == ports.client || *port == ports.server)
                {
                    *count += 1;
                }
            }
        }
        retired.retain(|(_, count)| *count != 0);
        self.retired_ports = retired;
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
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

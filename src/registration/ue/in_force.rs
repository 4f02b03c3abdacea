//! The sets in force: what travels over which, until when, and what the data path is to do.

use core::num::NonZeroU16;

use super::{Procedure, Prompt, Set, Ue, UeGone, UeState};
use crate::registration::instruction::{Instruction, SetId};
use crate::registration::route::{Message, NoSa, Route, Transport};
use crate::sa::{InstallError, SaSet, Sad, Side};
use crate::spi::Spi;
use crate::time::Instant;

impl Ue {
    /// A message was opened that is not the answer to a REGISTER. Returns the set that it came over. Over the current
    /// set, it shows that the network uses that one: the old one goes as soon as its transactions have ended.
    ///
    /// # Errors
    /// [`UeGone`] if no set in force has an inbound SA with this SPI: the message is to be discarded.
    pub fn message(&mut self, over: Spi) -> Result<SetId, UeGone> {
        let inbound = |set: &&Set| set.ends.inbound(Side::Ue, over).is_some();
        if let Some(current) = self.current.as_ref().filter(inbound) {
            let id = current.id;
            self.old_leaves = true;
            self.let_old_go();
            return Ok(id);
        }
        self.old.as_ref().filter(inbound).map(|old| old.id).ok_or(UeGone)
    }

    /// What a message travels over.
    ///
    /// # Errors
    /// [`NoSa`]; the message must not go out in clear.
    pub fn route(&self, transport: Transport, message: Message) -> Result<Route, NoSa> {
        let mut sets = self.sets();
        let set = match message {
            Message::Request => self.current.as_ref(),
            Message::Response { over } => sets.find(|set| set.ends.inbound(Side::Ue, over).is_some()),
            Message::InTransaction(id) => sets.find(|set| set.id == id),
        };
        let set = set.ok_or(NoSa)?;
        Ok(Route::of(set.id, &set.ends, Side::Ue, transport, message))
    }

    /// Every set, the temporary one last.
    fn sets(&self) -> impl Iterator<Item = &Set> {
        let temporary = match &self.procedure {
            Procedure::Answered { set, .. } => Some(set),
            Procedure::Idle | Procedure::Registering { .. } => None,
        };
        self.current.iter().chain(&self.old).chain(temporary)
    }

    /// Whether a request can be sent.
    pub const fn may_send_protected(&self) -> bool {
        self.current.is_some()
    }

    /// What a message came over, for a data path that tells its ports and not its SPI: the inbound SA from this port of
    /// the P-CSCF to this one of the UE (TS 33.203 7.1).
    pub fn over(&self, pcscf_port: NonZeroU16, ue_port: NonZeroU16) -> Option<Spi> {
        self.sets().find_map(|set| set.ends.between(Side::Ue, pcscf_port, ue_port))
    }

    /// Whether a port of the UE is a protected one: nothing in clear is sent from it or accepted at it.
    pub fn is_protected_port(&self, port: u16) -> bool {
        self.sets().any(|set| {
            let ports = set.ends.ue.setup.ports;
            ports.client.get() == port || ports.server.get() == port
        })
    }

    /// A transaction began over a set: the set stays until it ends, or until the set's lifetime does.
    pub fn transaction_begins(&mut self, set: SetId) {
        if let Some(set) = self.current.iter_mut().chain(&mut self.old).find(|other| other.id == set) {
            set.transactions += 1;
        }
    }

    /// A transaction that began over a set has ended.
    pub fn transaction_ends(&mut self, set: SetId) {
        if let Some(set) = self.current.iter_mut().chain(&mut self.old).find(|other| other.id == set) {
            set.transactions = set.transactions.saturating_sub(1);
        }
        self.let_old_go();
    }

    /// The next thing that the data path is to do.
    pub fn next_instruction(&mut self) -> Option<Instruction> {
        self.instructions.pop_front()
    }

    /// The SAs of a set, with their keys, while it is temporary; then the data path alone has them.
    pub fn set(&self, id: SetId) -> Option<&SaSet> {
        match &self.procedure {
            Procedure::Answered { answer, set, .. } if set.id == id => Some(answer.set()),
            Procedure::Idle | Procedure::Registering { .. } | Procedure::Answered { .. } => None,
        }
    }

    /// Carries out all instructions.
    ///
    /// # Errors
    /// [`InstallError`] if a set could not be installed: its procedure has ended.
    pub fn apply(&mut self, sad: &mut Sad) -> Result<(), InstallError> {
        while let Some(instruction) = self.next_instruction() {
            let set = match instruction {
                Instruction::Install(id) => self.set(id),
                Instruction::Remove(..) => None,
            };
            let done = instruction.carry_out(set, sad, Side::Ue);
            if let Err(error) = done {
                self.end_procedure();
                return Err(error);
            }
        }
        Ok(())
    }

    /// When [`Ue::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let procedure = match &self.procedure {
            Procedure::Idle => None,
            Procedure::Registering { deadline, .. } => Some(*deadline),
            Procedure::Answered { set, .. } => Some(set.deadline),
        };
        let sets = self.current.iter().chain(&self.old).map(|set| set.deadline);
        sets.chain(procedure).chain(self.refresh).min()
    }

    /// Ends what has reached its deadline, and says when it is time to register.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Prompt> {
        let procedure_ends = match &self.procedure {
            Procedure::Idle => false,
            Procedure::Registering { deadline, .. } => *deadline <= now,
            Procedure::Answered { set, .. } => set.deadline <= now,
        };
        if procedure_ends {
            self.end_procedure();
            self.try_later(now);
        }
        let old = self.old.take_if(|old| old.deadline <= now);
        self.remove(old);
        if let Some(current) = self.current.take_if(|current| current.deadline <= now) {
            self.remove(Some(current));
            let old = self.old.take();
            self.remove(old);
            self.verify.clear();
            self.refresh = None;
            return (!self.leaving).then_some(Prompt::Lost);
        }
        // What is going on already is not asked for; if it fails, it is.
        let due = self.refresh.take_if(|refresh| *refresh <= now).is_some();
        (due && self.state() == UeState::Idle).then_some(Prompt::Register)
    }
}

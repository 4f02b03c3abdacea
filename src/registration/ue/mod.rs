//! One registration of a UE over time.

mod in_force;
mod registering;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::num::NonZeroU16;

use crate::negotiation::ue::{Answer, Offer, OfferError, Sm6Error};
use crate::policy::Policy;
use crate::registration::instruction::{Instruction, SetId};
use crate::registration::pcscf::Over;
use crate::sa::{Ends, Side};
use crate::sec_agree::{SecurityClient, Setup};
use crate::spi::Spi;
use crate::time::Instant;

/// What is the same for every registration of a UE at a P-CSCF.
#[derive(Clone, Debug)]
pub struct UeConfig {
    /// The suites of the UE.
    pub policy: Policy,
    /// The P-CSCF's address.
    pub pcscf: IpAddr,
}

/// What a registration begins with.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Fresh SPIs and a fresh client port, random; the server port is that of the sets in force.
    pub setup: Setup,
    /// The list to offer, with these SPIs and ports; `None` for the policy's own.
    pub list: Option<SecurityClient>,
    /// In clear although there are SAs: the P-CSCF seems to have lost them (TS 33.203 7.4).
    pub in_clear: bool,
}

/// Why a registration cannot begin: the caller's fault. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// An SPI is one of a set that is there, in whichever direction (TS 33.203 7.1).
    #[error("SPI {0} is in use")]
    SpiInUse(Spi),
    /// A port is the client port of a set that is there (TS 33.203 7.1, rule 6).
    #[error("port {0} is in use")]
    PortInUse(NonZeroU16),
    /// The server port stays the same while the UE is registered (TS 33.203 7.4).
    #[error("server port {found} where {needed} is registered")]
    ServerPort {
        /// The port of the sets in force.
        needed: NonZeroU16,
        /// The port given.
        found: NonZeroU16,
    },
    /// The list has other SPIs or ports than were given with it.
    #[error("a list with other SPIs or ports")]
    List,
    /// The offer cannot be made.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

/// A REGISTER that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its Security-Client.
    pub security_client: SecurityClient,
    /// The rows of its Security-Verify; none in clear.
    pub security_verify: Vec<Box<str>>,
    /// The set that it is sent over; `None` for a REGISTER in clear.
    pub over: Option<SetId>,
}

/// The event does not belong to what is going on. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is going on that this belongs to")]
pub struct UeGone;

/// Why a challenge is not answered. The procedure has ended; sets in force are as they were. The UE begins anew with
/// another Call-ID (TS 24.229 5.1.1.5.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeFailure {
    /// No REGISTER awaits an answer. Nothing has changed.
    #[error(transparent)]
    Gone(#[from] UeGone),
    /// Security-Server is of no use.
    #[error(transparent)]
    Sm6(#[from] Sm6Error),
    /// The P-CSCF's client port is that of a set that is there, so that their traffic could not be told apart.
    #[error("the P-CSCF's port {0} is in use")]
    PortInUse(NonZeroU16),
}

/// Why a challenge that the ISIM refused is not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadChallenge {
    /// No REGISTER awaits an answer. Nothing has changed.
    #[error(transparent)]
    Gone(#[from] UeGone),
    /// It is the third in a row: the procedure has ended (TS 24.229 5.1.1.5.3).
    #[error("two challenges in a row were bad")]
    TooMany,
    /// The report cannot be made. The challenge still waits.
    #[error(transparent)]
    Begin(#[from] BeginError),
}

/// What time asks of the UE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// To register again, over the sets in force.
    Register,
    /// The registration has run out, without the UE having asked for it: to register in clear.
    Lost,
}

/// What is going on.
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
struct Set {
    id: SetId,
    ends: Ends,
    deadline: Instant,
    /// Transactions that began over it and have not ended.
    transactions: u32,
}

#[derive(Debug)]
enum Procedure {
    Idle,
    Registering { offer: Box<Offer>, over: Option<SetId>, deadline: Instant },
    Answered { answer: Box<Answer>, set: Set, sm1_over: Option<SetId> },
}

/// One registration of a UE: of one contact at one P-CSCF. A UE with several has several of these.
#[derive(Debug)]
pub struct Ue {
    config: UeConfig,
    address: IpAddr,
    procedure: Procedure,
    bad_challenges: u32,
    current: Option<Set>,
    /// The Security-Server of the current set, for the Security-Verify of every request.
    verify: Vec<Box<str>>,
    old: Option<Set>,
    /// The network has used the current set: the old one goes when its transactions have ended.
    old_leaves: bool,
    refresh: Option<Instant>,
    /// The UE has asked for the end of its registration.
    leaving: bool,
    instructions: VecDeque<Instruction>,
    next_number: u64,
}

impl Set {
    /// Whether a message came over one of its SAs.
    fn carried(&self, over: Over) -> bool {
        match over {
            Over::Clear => false,
            Over::Sa(spi) => self.ends.inbound(Side::Ue, spi).is_some(),
        }
    }
}

impl Ue {
    /// A UE that is not registered.
    pub const fn new(config: UeConfig, address: IpAddr) -> Self {
        Self {
            config,
            address,
            procedure: Procedure::Idle,
            bad_challenges: 0,
            current: None,
            verify: Vec::new(),
            old: None,
            old_leaves: false,
            refresh: None,
            leaving: false,
            instructions: VecDeque::new(),
            next_number: 0,
        }
    }

    /// What is going on.
    pub const fn state(&self) -> UeState {
        match self.procedure {
            Procedure::Idle => UeState::Idle,
            Procedure::Registering { .. } => UeState::Registering,
            Procedure::Answered { .. } => UeState::Answered,
        }
    }

    /// Until when the current set lives; `None` if there is none.
    pub fn registered_until(&self) -> Option<Instant> {
        self.current.as_ref().map(|current| current.deadline)
    }

    /// The rows of Security-Verify for every request over the current set.
    pub fn security_verify(&self) -> &[Box<str>] {
        &self.verify
    }
}

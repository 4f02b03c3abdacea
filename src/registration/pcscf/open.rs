//! What a contact has: sets of SAs, and what is open, which is REGISTERs that await the core and
//! authentications that are not finished.

use alloc::boxed::Box;

use super::authorization::Nonce;
use super::identity::Identity;
use super::source::Source;
use crate::algorithm::Suite;
use crate::negotiation::Refusal;
use crate::negotiation::pcscf::{Challenge, Offer};
use crate::registration::route::Over;
use crate::sa::{Endpoint, Ends, Overlap, SaName, SetId, Side};
use crate::spi::Spi;
use crate::time::Moment;

/// A set of SAs, without its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    pub(super) id: SetId,
    pub(super) ends: Ends,
    pub(super) suite: Suite,
    pub(super) deadline: Moment,
    /// When it was installed, in seconds: what a data path counts lifetimes from.
    pub(super) installed: u32,
    /// [`Event::NumbersLow`](super::event::Event) has been said.
    pub(super) numbers_low: bool,
}

/// Something that is open: it ends by its answer or by its time.
#[derive(Debug)]
pub(super) enum Open {
    Attempt(Box<Attempt>),
    Temporary(Box<Temporary>),
}

/// A REGISTER that was sent on to the core and awaits its answer.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) offer: Offered,
    /// Who the REGISTER says it is from.
    pub(super) identity: Identity,
    pub(super) source: Source,
    pub(super) deregisters: bool,
    pub(super) deadline: Moment,
}

/// What a REGISTER offers, in case that it is challenged.
#[derive(Debug)]
pub(super) enum Offered {
    /// A set of SAs.
    Set(Offer),
    /// Nothing: it ends the registration, or its sender does not know of security agreement.
    Nothing,
    /// Something that cannot be used. It came over an SA, and matters only if it is challenged.
    Unusable(Box<Refusal>),
}

/// The set of an unfinished authentication.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) set: Set,
    pub(super) progress: Progress,
    /// Who SM1 said it was from.
    pub(super) identity: Identity,
    /// What SM1 came over.
    pub(super) source: Source,
    pub(super) nonce: Nonce,
    /// How its SAs toward the UE relate to those of other sets.
    pub(super) overlap: Overlap,
    /// Other sets have ports or SPIs at the UE that this one has: they go when SM7 is verified.
    pub(super) displaces: bool,
    /// Since its SM7, the UE has proved to have another set that excludes this one.
    pub(super) outdone: bool,
}

/// How far an authentication has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// SM6 was sent.
    Challenged(Box<Challenge>),
    /// SM7 was sent on, as the request of this number. Only the data path has the keys from here
    /// on.
    Answered { number: u64, deregisters: bool },
    /// It failed; the set stays for the message that says so.
    Failed,
}

impl Set {
    /// The SA that the UE's requests come over.
    pub(super) const fn server_spi(&self) -> Spi {
        self.ends.sa(SaName::UeClientToPcscfServer).0
    }

    /// Whether a message came over one of its SAs.
    pub(super) fn carried(&self, over: Over) -> bool {
        match over {
            Over::Clear => false,
            Over::Sa(spi) => self.ends.inbound(Side::Pcscf, spi).is_some(),
        }
    }

    /// Whether a UE cannot have this set and another one at the same time: the address and the
    /// client port (TS 33.203 7.1, rule 3) or an SPI of the UE are the same.
    pub(super) fn excludes(&self, other: &Ends) -> bool {
        let (own, other_ue) = (&self.ends.ue, &other.ue);
        let spis = |end: &Endpoint| [end.setup.spis.client, end.setup.spis.server];
        own.address == other_ue.address
            && self.ends.scope == other.scope
            && (own.setup.ports.client == other_ue.setup.ports.client
                || spis(own).iter().any(|spi| spis(other_ue).contains(spi)))
    }
}

impl Temporary {
    /// The number of its SM7, if that was sent on.
    pub(super) const fn answered(&self) -> Option<u64> {
        match self.progress {
            Progress::Answered { number, .. } => Some(number),
            Progress::Challenged(_) | Progress::Failed => None,
        }
    }

    /// SM7 is awaited.
    pub(super) const fn is_challenged(&self) -> bool {
        matches!(self.progress, Progress::Challenged(_))
    }

    /// Whether anybody can have made it: a challenge in clear that awaits SM7.
    pub(super) const fn is_anybodys(&self) -> bool {
        self.is_challenged() && self.source.is_clear()
    }
}

impl Open {
    pub(super) fn deadline(&self) -> Moment {
        match self {
            Open::Attempt(attempt) => attempt.deadline,
            Open::Temporary(temporary) => temporary.set.deadline,
        }
    }

    pub(super) fn attempt(&self) -> Option<&Attempt> {
        match self {
            Open::Attempt(attempt) => Some(attempt),
            Open::Temporary(_) => None,
        }
    }

    pub(super) fn temporary(&self) -> Option<&Temporary> {
        match self {
            Open::Temporary(temporary) => Some(temporary),
            Open::Attempt(_) => None,
        }
    }

    pub(super) fn temporary_mut(&mut self) -> Option<&mut Temporary> {
        match self {
            Open::Temporary(temporary) => Some(temporary),
            Open::Attempt(_) => None,
        }
    }

    pub(super) fn source(&self) -> Source {
        match self {
            Open::Attempt(attempt) => attempt.source,
            Open::Temporary(temporary) => temporary.source,
        }
    }

    /// Whether anybody can have made it.
    pub(super) fn is_anybodys(&self) -> bool {
        match self {
            Open::Attempt(attempt) => attempt.source.is_clear(),
            Open::Temporary(temporary) => temporary.is_anybodys(),
        }
    }

    /// What it counts in, until it is answered or has succeeded: what began in clear.
    pub(super) fn counted(&self) -> Option<Source> {
        Some(self.source()).filter(|source| source.is_clear())
    }
}

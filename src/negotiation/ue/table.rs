//! One set-up as one value: every pair of state and event, once.

use alloc::boxed::Box;
use core::net::IpAddr;

use super::{Answer, Established, Offer, OfferError, Sm6Error};
use crate::key::{Ck, Ik};
use crate::negotiation::refusal::WrongState;
use crate::policy::Policy;
use crate::sa::{Endpoint, SaSet};

/// One set-up of a UE as one value: one of the steps, and every event as a method that refuses the wrong ones.
#[derive(Debug, Default)]
pub enum Negotiation {
    /// Nothing has begun, or what had begun has ended.
    #[default]
    Idle,
    /// After SM1.
    Offered(Box<Offer>),
    /// After SM6 and SM7.
    Answered(Box<Answer>),
    /// After SM12.
    Established(Box<Established>),
}

/// Something that happens to the UE during a set-up.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The UE begins to register, with these SPIs and ports, at the P-CSCF of this address.
    Begin(&'a Policy, Endpoint, IpAddr),
    /// SM6 arrived, with these rows of Security-Server, and the ISIM gave CK and IK.
    Sm6(&'a [&'a str], &'a Ck, &'a Ik),
    /// SM12 arrived over the new SAs.
    Sm12,
    /// Another final response arrived, or the ISIM did not accept AUTN.
    Failure,
    /// The transaction ran out.
    Timeout,
}

/// What the UE is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send SM1 with the Security-Client of the offer.
    SendSm1,
    /// Install the SAs of [`Negotiation::set`], then send SM7 over them.
    SendSm7,
    /// The SAs are in force.
    Confirmed,
    /// The set-up has ended; SAs that were installed for it are to be removed.
    Remove,
}

/// Why an event did not lead on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The event does not belong to the state. Nothing has changed.
    #[error(transparent)]
    WrongState(#[from] WrongState),
    /// SM1 could not be made. Nothing has changed.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// SM6 does not lead on: the negotiation is idle, and the UE registers anew with another Call-ID. SAs of
    /// earlier registrations stay.
    #[error(transparent)]
    Sm6(#[from] Sm6Error),
}

impl Event<'_> {
    /// Its name in the table of states and events.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::Begin(..) => "begin",
            Event::Sm6(..) => "SM6",
            Event::Sm12 => "SM12",
            Event::Failure => "failure",
            Event::Timeout => "timeout",
        }
    }
}

impl Negotiation {
    /// The name of the state in the table of states and events.
    pub const fn name(&self) -> &'static str {
        match self {
            Negotiation::Idle => "idle",
            Negotiation::Offered(_) => "offered",
            Negotiation::Answered(_) => "answered",
            Negotiation::Established(_) => "established",
        }
    }

    /// The SAs, from SM6 on.
    pub const fn set(&self) -> Option<&SaSet> {
        match self {
            Negotiation::Idle | Negotiation::Offered(_) => None,
            Negotiation::Answered(answer) => Some(answer.set()),
            Negotiation::Established(established) => Some(&established.set),
        }
    }

    /// Takes one event. Every pair of state and event stands here, once.
    ///
    /// # Errors
    /// [`Failure`]; only [`Failure::Sm6`] has changed the state.
    pub fn handle(&mut self, event: Event<'_>) -> Result<Step, Failure> {
        use Negotiation::{Answered, Established, Idle, Offered};
        let wrong = WrongState { state: self.name(), event: event.name() };
        let state = core::mem::take(self);
        let (state, result) = match (state, event) {
            (Idle, Event::Begin(policy, ue, pcscf)) => match Offer::new(policy, ue, pcscf) {
                Ok(offer) => (Offered(Box::new(offer)), Ok(Step::SendSm1)),
                Err(error) => (Idle, Err(error.into())),
            },
            (Offered(offer), Event::Sm6(security_server, ck, ik)) => {
                match offer.receive_sm6(security_server, ck, ik) {
                    Ok(answer) => (Answered(Box::new(answer)), Ok(Step::SendSm7)),
                    Err(rejected) => (Idle, Err(rejected.error.into())),
                }
            }
            (Answered(answer), Event::Sm12) => {
                (Established(Box::new(answer.confirmed())), Ok(Step::Confirmed))
            }
            (Offered(_) | Answered(_), Event::Failure | Event::Timeout) => (Idle, Ok(Step::Remove)),
            (state @ Idle, Event::Sm6(..) | Event::Sm12 | Event::Failure | Event::Timeout)
            | (state @ Offered(_), Event::Begin(..) | Event::Sm12)
            | (state @ Answered(_), Event::Begin(..) | Event::Sm6(..))
            | (
                state @ Established(_),
                Event::Begin(..) | Event::Sm6(..) | Event::Sm12 | Event::Failure | Event::Timeout,
            ) => (state, Err(wrong.into())),
        };
        *self = state;
        result
    }
}

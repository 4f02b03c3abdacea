//! One set-up in a table: every pair of state and event, once.

use alloc::boxed::Box;

use super::{Challenge, ChallengeError, Established, Offer, Protection, Response, Sm1, Sm7, Sm7Error};
use crate::key::{Ck, Ik};
use crate::negotiation::refusal::{Refusal, SipStatus, WrongState};
use crate::policy::Policy;
use crate::sa::SaSet;
use crate::sec_agree::Setup;
use crate::spi::Spi;

/// One set-up in a table: one of the steps, and every event as a method that refuses the wrong ones.
#[derive(Debug, Default)]
pub enum Negotiation {
    /// Nothing has begun, or what had begun has ended.
    #[default]
    Idle,
    /// After SM1.
    Offered(Box<Offer>),
    /// After SM6.
    Challenged(Box<Challenge>),
    /// After SM7.
    Answered(Box<Response>),
    /// After SM12.
    Established(Box<Established>),
}

/// Something that happens to the P-CSCF during a set-up.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// SM1 arrived.
    Sm1(&'a Policy, Sm1<'a>),
    /// The core sent a 401 with CK and IK; these are the P-CSCF's SPIs and ports.
    Keys(Setup, &'a Ck, &'a Ik),
    /// SM7 arrived over an SA.
    Sm7(Sm7<'a>),
    /// The core sent a 2xx.
    Success,
    /// The core sent another final response, or the UE reported that the authentication failed.
    Failure,
    /// reg-await-auth or the transaction ran out.
    Timeout,
}

/// What the P-CSCF is to do, or why not.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the REGISTER of SM1 on to the core, as SM2.
    Forward,
    /// Install the SAs of [`Negotiation::set`], then send SM6 with its Security-Server.
    SendSm6,
    /// Send the REGISTER of SM7 on to the core, with this verdict, as SM8.
    ForwardSm8(Protection),
    /// Send the 200; the SAs are in force.
    SendSm12,
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
    /// The UE's message is refused with the status of the refusal; the negotiation is idle, and SAs that were
    /// installed for it are to be removed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The message came over an SA of another set, and is to be discarded. Nothing has changed.
    #[error("a message over SPI {0}, which is not of this set")]
    WrongSa(Spi),
    /// SM6 could not be made. Nothing has changed.
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
}

impl Failure {
    /// The status that the P-CSCF answers with; `None` where it answers nothing.
    pub const fn status(&self) -> Option<SipStatus> {
        match self {
            Failure::Refused(refusal) => Some(refusal.status()),
            Failure::Challenge(error) => Some(error.status()),
            Failure::WrongState(_) | Failure::WrongSa(_) => None,
        }
    }
}

impl Event<'_> {
    /// Its name in the table of states and events.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::Sm1(..) => "SM1",
            Event::Keys(..) => "401 with keys",
            Event::Sm7(_) => "SM7",
            Event::Success => "2xx",
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
            Negotiation::Challenged(_) => "challenged",
            Negotiation::Answered(_) => "answered",
            Negotiation::Established(_) => "established",
        }
    }

    /// The SAs, from SM6 on.
    pub const fn set(&self) -> Option<&SaSet> {
        match self {
            Negotiation::Idle | Negotiation::Offered(_) => None,
            Negotiation::Challenged(challenge) => Some(challenge.set()),
            Negotiation::Answered(response) => Some(response.set()),
            Negotiation::Established(established) => Some(&established.set),
        }
    }

    /// Takes one event. Every pair of state and event stands here, once.
    ///
    /// # Errors
    /// [`Failure`]; only [`Failure::Refused`] has changed the state.
    pub fn handle(&mut self, event: Event<'_>) -> Result<Step, Failure> {
        use Negotiation::{Answered, Challenged, Established, Idle, Offered};
        let wrong = WrongState { state: self.name(), event: event.name() };
        let state = core::mem::take(self);
        let (state, result) = match (state, event) {
            (Idle, Event::Sm1(policy, sm1)) => match Offer::receive(policy, &sm1) {
                Ok(offer) => (Offered(Box::new(offer)), Ok(Step::Forward)),
                Err(refusal) => (Idle, Err(refusal.into())),
            },
            (Offered(offer), Event::Keys(setup, ck, ik)) => match offer.challenge(setup, ck, ik) {
                Ok(challenge) => (Challenged(Box::new(challenge)), Ok(Step::SendSm6)),
                Err(rejected) => (Offered(rejected.state), Err(rejected.error.into())),
            },
            (Challenged(challenge), Event::Sm7(sm7)) => match challenge.receive_sm7(&sm7) {
                Ok(response) => {
                    let protection = response.protection();
                    (Answered(Box::new(response)), Ok(Step::ForwardSm8(protection)))
                }
                Err(Sm7Error::WrongSa { challenge, over }) => {
                    (Challenged(challenge), Err(Failure::WrongSa(over)))
                }
                Err(Sm7Error::Refused(refusal)) => (Idle, Err(refusal.into())),
            },
            (Answered(response), Event::Success) => {
                (Established(Box::new(response.succeeded())), Ok(Step::SendSm12))
            }
            (Offered(_) | Challenged(_) | Answered(_), Event::Failure | Event::Timeout) => {
                (Idle, Ok(Step::Remove))
            }
            (
                state @ Idle,
                Event::Keys(..) | Event::Sm7(_) | Event::Success | Event::Failure | Event::Timeout,
            )
            | (state @ Offered(_), Event::Sm1(..) | Event::Sm7(_) | Event::Success)
            | (state @ Challenged(_), Event::Sm1(..) | Event::Keys(..) | Event::Success)
            | (state @ Answered(_), Event::Sm1(..) | Event::Keys(..) | Event::Sm7(_))
            | (
                state @ Established(_),
                Event::Sm1(..)
                | Event::Keys(..)
                | Event::Sm7(_)
                | Event::Success
                | Event::Failure
                | Event::Timeout,
            ) => (state, Err(wrong.into())),
        };
        *self = state;
        result
    }
}

//! The UE's side of one set-up.
//!
//! 1. [`Offer::new`] with fresh SPIs and a fresh client port; its Security-Client goes out in SM1.
//! 2. SM6 arrives, and the ISIM has accepted AUTN and given CK and IK: [`Offer::receive_sm6`] chooses a suite and
//!    makes the four SAs, to be installed now. SM7 repeats Security-Client and mirrors Security-Server, over them.
//! 3. SM12, the 200, ends it: [`Answer::confirmed`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::refusal::{Refusal, Rejected, SecAgree, WrongState};
use crate::algorithm::Suite;
use crate::key::{Ck, Ik, KeyError, SaKeys};
use crate::policy::{Confidentiality, Policy, SuiteVerdict};
use crate::sa::{Endpoint, Ends, SaSet, SetError};
use crate::sec_agree::{SecurityClient, SecurityServer};

/// SM1 has been made; SM6 is awaited.
#[derive(Debug)]
pub struct Offer {
    policy: Policy,
    ue: Endpoint,
    pcscf: IpAddr,
    client: SecurityClient,
}

/// SM6 has been accepted; the four SAs are to be in place before SM7 is sent over them. SM12 is awaited.
#[derive(Debug)]
pub struct Answer {
    client: SecurityClient,
    /// Word by word, row by row: some networks compare letters.
    verify: Vec<Box<str>>,
    set: SaSet,
}

/// SM12 has been received: the set is in force.
#[derive(Debug)]
pub struct Established {
    /// The SAs.
    pub set: SaSet,
    /// The rows of Security-Verify, which every later request repeats.
    pub security_verify: Vec<Box<str>>,
}

/// Why SM1 cannot be made of these SPIs and ports: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Client and server SPI are the same.
    #[error("spi-c and spi-s are the same")]
    EqualSpis,
    /// Client and server port are the same.
    #[error("port-c and port-s are the same")]
    EqualPorts,
    /// An SPI is reserved (RFC 4303 2.1).
    #[error("an SPI is reserved")]
    ReservedSpi,
    /// A protected port is 5060 or 5061 (TS 33.203 7.1).
    #[error("a protected port is 5060 or 5061")]
    SipPort,
    /// One address is IPv4 and the other IPv6.
    #[error("{0} and {1} are of two address families")]
    Families(IpAddr, IpAddr),
    /// A list of the caller's does not offer a suite of the policy in a usable form: the UE could choose what it did
    /// not offer.
    #[error("{0} is in the policy and not in the list")]
    NotInList(Suite),
}

/// Why SM6 does not lead on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Sm6Error {
    /// Security-Server is missing, unreadable, has nothing that the UE can use, or no encryption where the UE
    /// requires it. The UE abandons this procedure and keeps what it had.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The P-CSCF's SPIs or ports do not go with the UE's. The UE abandons this procedure as above.
    #[error(transparent)]
    Set(#[from] SetError),
    /// CK cannot be used with the chosen suite.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl Offer {
    /// Makes SM1: every suite of the policy, with the UE's address, SPIs and ports.
    ///
    /// # Errors
    /// [`OfferError`] if TS 33.203 7.1 does not allow these SPIs or ports.
    pub fn new(policy: &Policy, ue: Endpoint, pcscf: IpAddr) -> Result<Self, OfferError> {
        Self::checked(policy, ue, pcscf, policy.client_list(ue.setup))
    }

    /// Makes SM1 with a list of the caller's: some networks expect the offers of a phone model, in its order. The SPIs
    /// and ports are those of the list.
    ///
    /// # Errors
    /// [`OfferError`] as for [`Offer::new`], and [`OfferError::NotInList`].
    pub fn from_list(
        policy: &Policy,
        list: SecurityClient,
        ue: IpAddr,
        pcscf: IpAddr,
    ) -> Result<Self, OfferError> {
        let selection = policy.select_for(&list);
        let unusable = |(suite, verdict): &(Suite, SuiteVerdict)| {
            matches!(verdict, SuiteVerdict::NotOffered | SuiteVerdict::Unusable { .. }).then_some(*suite)
        };
        match (selection.chosen(), selection.suites().iter().find_map(unusable)) {
            (Some(choice), None) => {
                Self::checked(policy, Endpoint { address: ue, setup: choice.setup }, pcscf, list)
            }
            // Without a choice every suite of the policy is unusable, and there is at least one.
            (_, suite) => Err(OfferError::NotInList(suite.unwrap_or(Suite::HMAC_SHA_1_96_NULL))),
        }
    }

    fn checked(
        policy: &Policy,
        ue: Endpoint,
        pcscf: IpAddr,
        client: SecurityClient,
    ) -> Result<Self, OfferError> {
        let (spis, ports) = (ue.setup.spis, ue.setup.ports);
        if spis.client == spis.server {
            return Err(OfferError::EqualSpis);
        }
        if ports.client == ports.server {
            return Err(OfferError::EqualPorts);
        }
        if spis.client.is_reserved() || spis.server.is_reserved() {
            return Err(OfferError::ReservedSpi);
        }
        if [ports.client, ports.server].iter().any(|port| matches!(port.get(), 5060 | 5061)) {
            return Err(OfferError::SipPort);
        }
        if ue.address.is_ipv4() != pcscf.is_ipv4() {
            return Err(OfferError::Families(ue.address, pcscf));
        }
        Ok(Self { policy: policy.clone(), ue, pcscf, client })
    }

    /// The Security-Client of SM1, to be sent in the same form in SM7.
    pub const fn security_client(&self) -> &SecurityClient {
        &self.client
    }

    /// The UE's end of the SAs.
    pub const fn ue(&self) -> &Endpoint {
        &self.ue
    }

    /// Takes SM6 in: the rows of Security-Server as they stand in the 401, and the keys of the ISIM, which has
    /// accepted AUTN.
    ///
    /// # Errors
    /// [`Sm6Error`], and the offer as it was. SAs of earlier registrations are not touched.
    pub fn receive_sm6(
        self,
        security_server: &[&str],
        ck: &Ck,
        ik: &Ik,
    ) -> Result<Answer, Rejected<Box<Self>, Sm6Error>> {
        match self.set(security_server, ck, ik) {
            Ok(set) => {
                let verify = security_server.iter().map(|row| Box::from(*row)).collect();
                Ok(Answer { client: self.client, verify, set })
            }
            Err(error) => Err(Rejected { state: Box::new(self), error }),
        }
    }

    fn set(&self, security_server: &[&str], ck: &Ck, ik: &Ik) -> Result<SaSet, Sm6Error> {
        let header = SecurityServer::NAME;
        if security_server.is_empty() {
            return Err(Refusal::NoHeader { header, sec_agree: SecAgree::Absent }.into());
        }
        let server = SecurityServer::parse_rows(security_server.iter().copied())
            .map_err(|error| Refusal::Unreadable { header, error })?;
        let selection = self.policy.select_from(&server);
        let Some(choice) = selection.chosen().copied() else {
            let without = selection.any_complete() && !selection.any_encryption();
            return Err(if self.policy.confidentiality() == Confidentiality::Required && without {
                Refusal::ConfidentialityRequired(Box::new(selection)).into()
            } else {
                Refusal::Unusable(Box::new(selection)).into()
            });
        };
        let pcscf = Endpoint { address: self.pcscf, setup: choice.setup };
        // Before the keys: a set that cannot be is no reason to expand any.
        Ends { ue: self.ue, pcscf }.check()?;
        Ok(SaSet::new(self.ue, pcscf, SaKeys::expand(choice.suite, ck, ik)?)?)
    }
}

impl Answer {
    /// The Security-Client of SM7: that of SM1.
    pub const fn security_client(&self) -> &SecurityClient {
        &self.client
    }

    /// The rows of the Security-Verify of SM7 and of every later request: Security-Server, word by word.
    pub fn security_verify(&self) -> impl ExactSizeIterator<Item = &str> {
        self.verify.iter().map(AsRef::as_ref)
    }

    /// The SAs to install before SM7 is sent.
    pub const fn set(&self) -> &SaSet {
        &self.set
    }

    /// The suite that was chosen.
    pub fn suite(&self) -> Suite {
        self.set.suite()
    }

    /// SM12 arrived over the new SAs.
    pub fn confirmed(self) -> Established {
        Established { set: self.set, security_verify: self.verify }
    }
}

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

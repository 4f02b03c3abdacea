//! The UE's side of one set-up.
//!
//! 1. [`Offer::new`] with fresh SPIs and a fresh client port; its Security-Client goes out in SM1.
//! 2. SM6 arrives, and the ISIM has accepted AUTN and given CK and IK: [`Offer::receive_sm6`]
//!    chooses a suite and makes the four SAs, to be installed now. SM7 repeats Security-Client and
//!    mirrors Security-Server, over them.
//! 3. SM12, the 200, ends it: [`Answer::confirmed`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::address::{self, AddressError};
use crate::algorithm::Suite;
use crate::impossible::impossible;
use crate::key::{Ck, Ik, KeyError, SaKeys};
use crate::negotiation::refusal::{Refusal, Rejected, SecAgree};
use crate::policy::{Confidentiality, OfferVerdict, Policy, Reason, SuiteVerdict};
use crate::sa::{Endpoint, Ends, SaSet, SetError};
use crate::sec_agree::{SecurityClient, SecurityServer};
use crate::setup::SetupError;

/// SM1 has been made; SM6 is awaited.
#[derive(Debug)]
pub struct Offer {
    policy: Policy,
    ue: Endpoint,
    pcscf: IpAddr,
    scope: u32,
    client: SecurityClient,
}

/// SM6 has been accepted; the four SAs must be in place before SM7 is sent over them. SM12 is
/// awaited.
#[derive(Debug)]
pub struct Answer {
    client: SecurityClient,
    /// As received, row by row: some networks compare the text.
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

/// Why SM1 cannot be made: the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// The UE may not announce these SPIs or ports.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The two addresses cannot have SAs.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The caller's list does not offer a suite of the policy: the UE could choose what it did not
    /// offer.
    #[error("{0} is in the policy but not in the list")]
    NotInList(Suite),
    /// The caller's list offers a suite of the policy in a form that cannot be used.
    #[error("{suite} is in the policy, and unusable in the list: {reason}")]
    Unusable {
        /// The suite.
        suite: Suite,
        /// What is wrong with the mechanism that offers it.
        reason: Reason,
    },
    /// The caller's list offers more than the policy allows, or with other SPIs or ports: the
    /// P-CSCF could choose it, and the UE would not follow.
    #[error("mechanism {index} of the list offers what the UE would not use: {reason}")]
    Beyond {
        /// The index of the mechanism, counted from 0.
        index: usize,
        /// Why the UE would not use it.
        reason: Reason,
    },
}

crate::code::codes!(OfferError {
    OfferError::NotInList(_) => "offer-suite-not-in-list",
    OfferError::Unusable { .. } => "offer-suite-unusable",
    OfferError::Beyond { .. } => "offer-beyond-policy",
    ;
    OfferError::Setup(error) => error,
    OfferError::Address(error) => error,
});

/// Why SM6 cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Sm6Error {
    /// Security-Server is missing, unreadable, has nothing that the UE can use, or no encryption
    /// where the UE requires it. The UE abandons this procedure and keeps what it had.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The P-CSCF's SPIs or ports do not go with the UE's. The UE abandons this procedure as above.
    #[error(transparent)]
    Set(#[from] SetError),
    /// CK cannot be used with the chosen suite.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

crate::code::codes!(Sm6Error {
    ;
    Sm6Error::Refused(refusal) => refusal,
    Sm6Error::Set(error) => error,
    Sm6Error::Keys(error) => error,
});

impl Offer {
    /// Makes SM1: every suite of the policy, with the UE's address, SPIs and ports.
    ///
    /// # Errors
    /// [`OfferError`] if TS 33.203 7.1 does not allow these SPIs or ports.
    pub fn new(policy: &Policy, ue: Endpoint, pcscf: IpAddr) -> Result<Self, OfferError> {
        ue.setup.check_own()?;
        Self::checked(policy, ue, pcscf, policy.client_list(ue.setup), 0)
    }

    /// The same with addresses of the link of this number, which link-local ones need.
    ///
    /// # Errors
    /// [`OfferError`] as for [`Offer::new`].
    pub fn on_link(policy: &Policy, ue: Endpoint, pcscf: IpAddr, scope: u32) -> Result<Self, OfferError> {
        ue.setup.check_own()?;
        Self::checked(policy, ue, pcscf, policy.client_list(ue.setup), scope)
    }

    /// Makes SM1 with a list of the caller's: some networks expect the offers of a phone model, in
    /// its order. The SPIs and ports are those of the list, 5060 and 5061 among them if the policy
    /// tolerates these.
    ///
    /// # Errors
    /// [`OfferError`] as for [`Offer::new`], and if the list does not offer exactly the suites of
    /// the policy with one pair of SPIs and ports.
    pub fn from_list(
        policy: &Policy,
        list: SecurityClient,
        ue: IpAddr,
        pcscf: IpAddr,
    ) -> Result<Self, OfferError> {
        Self::from_list_on_link(policy, list, ue, pcscf, 0)
    }

    /// The same with addresses of the link of this number, which link-local ones need.
    ///
    /// # Errors
    /// [`OfferError`] as for [`Offer::from_list`].
    pub fn from_list_on_link(
        policy: &Policy,
        list: SecurityClient,
        ue: IpAddr,
        pcscf: IpAddr,
        scope: u32,
    ) -> Result<Self, OfferError> {
        let selection = policy.select_for(&list);
        for (index, offer) in selection.offers().iter().enumerate() {
            if let OfferVerdict::PassedOver(reason @ (Reason::NotInPolicy(_) | Reason::OtherSetup(_))) = offer
            {
                return Err(OfferError::Beyond { index, reason: reason.clone() });
            }
        }
        let reason = |index: usize| match selection.offers().get(index) {
            Some(OfferVerdict::PassedOver(reason)) => Some(reason.clone()),
            Some(OfferVerdict::Usable { .. }) | None => None,
        };
        for (suite, verdict) in selection.suites() {
            match *verdict {
                SuiteVerdict::NotOffered => return Err(OfferError::NotInList(*suite)),
                SuiteVerdict::Unusable { index } => {
                    return Err(match reason(index) {
                        Some(reason) => OfferError::Unusable { suite: *suite, reason },
                        None => OfferError::NotInList(*suite),
                    });
                }
                SuiteVerdict::Chosen { .. } | SuiteVerdict::Below => {}
            }
        }
        match selection.chosen() {
            Some(choice) => {
                match choice.setup.check_own() {
                    // As some phones do: it is in the list on purpose, and the policy tolerates it.
                    Err(SetupError::SipPort(_)) => {}
                    checked => checked?,
                }
                Self::checked(policy, Endpoint { address: ue, setup: choice.setup }, pcscf, list, scope)
            }
            // A policy has at least one suite, and each has been seen to be usable.
            None => Err(impossible(OfferError::NotInList(Suite::HMAC_SHA_1_96_NULL))),
        }
    }

    fn checked(
        policy: &Policy,
        ue: Endpoint,
        pcscf: IpAddr,
        client: SecurityClient,
        scope: u32,
    ) -> Result<Self, OfferError> {
        let (address, pcscf) = address::checked(ue.address, pcscf, scope)?;
        let scope = address::scope(address, scope);
        Ok(Self { policy: policy.clone(), ue: Endpoint { address, ..ue }, pcscf, scope, client })
    }

    /// The Security-Client of SM1, to be sent in the same form in SM7.
    pub const fn security_client(&self) -> &SecurityClient {
        &self.client
    }

    /// The UE's end of the SAs.
    pub const fn ue(&self) -> &Endpoint {
        &self.ue
    }

    /// Takes SM6: the rows of Security-Server as the 401 has them, and the keys of the ISIM, which
    /// has accepted AUTN.
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
        let ends = Ends { ue: self.ue, pcscf, scope: self.scope };
        Ok(SaSet::between(ends, SaKeys::expand(choice.suite, ck, ik)?)?)
    }
}

impl Answer {
    /// The Security-Client of SM7: that of SM1.
    pub const fn security_client(&self) -> &SecurityClient {
        &self.client
    }

    /// The rows of the Security-Verify of SM7 and of every later request: Security-Server, as
    /// received.
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

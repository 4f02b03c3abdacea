//! The P-CSCF's side of one set-up.
//!
//! 1. SM1 arrives: [`Offer::receive`] keeps its addresses and Security-Client and chooses a suite.
//!    The REGISTER goes on to the core.
//! 2. The 401 brings CK and IK, which the caller strips from it: [`Offer::challenge`] makes the
//!    four SAs, to be installed now, and the Security-Server of SM6.
//! 3. SM7 arrives over one of these SAs: [`Challenge::receive_sm7`] compares it with what was
//!    issued and with SM1, and gives the verdict for SM8.
//! 4. The 200, SM12, ends it: [`Response::succeeded`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::algorithm::{Release, Suite};
use crate::key::{Ck, Ik, KeyError, SaKeys};
use crate::negotiation::refusal::{Refusal, Rejected, SecAgree, SipStatus};
use crate::policy::{Choice, Confidentiality, Policy};
use crate::sa::{Endpoint, SaSet, SetError, Side};
use crate::sec_agree::{ListError, Mechanism, SecurityClient, SecurityServer, SecurityVerify};
use crate::setup::{Setup, SetupError};
use crate::spi::Spi;

/// The parts of SM1 that the P-CSCF needs: the first REGISTER of a set-up.
#[derive(Clone, Copy, Debug)]
pub struct Sm1<'a> {
    /// Source address of the IP packet.
    pub ue: IpAddr,
    /// Destination address of the IP packet.
    pub pcscf: IpAddr,
    /// Whether Require, Proxy-Require or Supported has `sec-agree`.
    pub sec_agree: SecAgree,
    /// The values of the Security-Client rows, in their order; none if there is no such header.
    pub security_client: &'a [&'a str],
}

/// The parts of SM7 that the P-CSCF needs: the REGISTER that answers the challenge.
#[derive(Clone, Copy, Debug)]
pub struct Sm7<'a> {
    /// The SPI of the SA that it came over.
    pub over: Spi,
    /// The values of the Security-Client rows.
    pub security_client: &'a [&'a str],
    /// The values of the Security-Verify rows.
    pub security_verify: &'a [&'a str],
}

/// SM1 has been accepted; the 401 of the core is awaited.
#[derive(Debug)]
pub struct Offer {
    policy: Policy,
    ue: IpAddr,
    pcscf: IpAddr,
    client: SecurityClient,
    choice: Choice,
}

/// SM6 has been made; the four SAs must be in place before it is sent. SM7 is awaited.
#[derive(Debug)]
pub struct Challenge {
    offer: Offer,
    server: SecurityServer,
    set: SaSet,
}

/// SM7 has been accepted; SM8 goes to the core, and its answer is awaited.
#[derive(Debug)]
pub struct Response {
    set: SaSet,
}

/// The protection of a REGISTER: the verdict for SM8. It is made from the SA that the message came
/// over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    suite: Suite,
}

impl Protection {
    pub(crate) const fn of(suite: Suite) -> Self {
        Self { suite }
    }

    /// Integrity: always, for a message that came over an SA. The parameter
    /// `integrity-protected="yes"` of Authorization (TS 24.229 7.2A.2).
    pub const fn integrity(self) -> bool {
        true
    }

    /// Confidentiality: whether the SA encrypts. Release 6 drafts signalled it, later releases do
    /// not.
    pub const fn confidentiality(self) -> bool {
        matches!(self.suite.release(), Release::Release6)
    }
}

/// Why no SM6 could be made from an offer: never the UE's fault, so that the offer can be tried
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Sm6MakeError {
    /// An SPI of the P-CSCF is one that the UE sent (TS 33.203 7.1): the caller excludes those
    /// ([`Offer::spis`]).
    #[error("the UE sent SPI {0} itself")]
    SpiOfUe(Spi),
    /// The P-CSCF may not announce these SPIs or ports.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The two ends do not form a set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// CK cannot be used with the chosen suite.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

crate::code::codes!(Sm6MakeError {
    Sm6MakeError::SpiOfUe(_) => "sm6-spi-of-ue",
    ;
    Sm6MakeError::Setup(error) => error,
    Sm6MakeError::Set(error) => error,
    Sm6MakeError::Keys(error) => error,
});

impl Sm6MakeError {
    /// The status that goes to the UE if the caller cannot mend it: 500.
    pub const fn status(&self) -> SipStatus {
        SipStatus::SERVER_INTERNAL_ERROR
    }
}

/// An SM7 that was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Sm7Error {
    /// It came over an SA of another set: to be discarded (TS 33.203 7.4.1a). The challenge is
    /// still open.
    #[error("SM7 came over SPI {over}, which is not of this set")]
    WrongSa {
        /// The challenge, as it was.
        challenge: Box<Challenge>,
        /// The SPI that SM7 came over.
        over: Spi,
    },
    /// The registration has ended: the refusal is the answer to SM7, sent over the SA that SM7 came
    /// over; then the SAs of the set are removed.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

crate::code::codes!(Sm7Error {
    Sm7Error::WrongSa { .. } => "sm7-wrong-sa",
    ;
    Sm7Error::Refused(refusal) => refusal,
});

impl Offer {
    /// Takes SM1 and chooses the first suite of the policy that the UE offers.
    ///
    /// # Errors
    /// [`Refusal`], with the status of the answer, if Security-Client is missing, unreadable, or
    /// has nothing that the policy can use.
    pub fn receive(policy: &Policy, sm1: &Sm1<'_>) -> Result<Self, Refusal> {
        let header = SecurityClient::NAME;
        if sm1.security_client.is_empty() {
            return Err(Refusal::NoHeader { header, sec_agree: sm1.sec_agree });
        }
        let client = SecurityClient::parse_rows(sm1.security_client.iter().copied())
            .map_err(|error| Refusal::Unreadable { header, error })?;
        let selection = policy.select_for(&client);
        let Some(choice) = selection.chosen().copied() else {
            let without = selection.any_complete() && !selection.any_encryption();
            return Err(if policy.confidentiality() == Confidentiality::Required && without {
                Refusal::ConfidentialityRequired(Box::new(selection))
            } else {
                Refusal::Unusable(Box::new(selection))
            });
        };
        Ok(Self { policy: policy.clone(), ue: sm1.ue, pcscf: sm1.pcscf, client, choice })
    }

    /// The suite that was chosen.
    pub const fn suite(&self) -> Suite {
        self.choice.suite
    }

    /// The UE's end of the SAs.
    pub const fn ue(&self) -> Endpoint {
        Endpoint { address: self.ue, setup: self.choice.setup }
    }

    /// Every SPI that the UE sent, in whichever mechanism, even a malformed one as far as it could
    /// be read: none of them may be one of the P-CSCF's.
    pub fn spis(&self) -> Vec<Spi> {
        let mut spis = Vec::new();
        for mechanism in self.client.mechanisms() {
            let sent = match mechanism {
                Mechanism::Ipsec3gpp(offer) => [offer.spi_c, offer.spi_s],
                Mechanism::Malformed(malformed) => malformed.spis(),
                Mechanism::Other(_) => [None; 2],
            };
            for spi in sent.into_iter().flatten() {
                if !spis.contains(&spi) {
                    spis.push(spi);
                }
            }
        }
        spis
    }

    /// Makes the SAs and SM6, with the P-CSCF's SPIs and ports and the keys of the 401.
    ///
    /// # Errors
    /// [`Sm6MakeError`], and the offer as it was.
    pub fn challenge(
        self,
        setup: Setup,
        ck: &Ck,
        ik: &Ik,
    ) -> Result<Challenge, Rejected<Box<Self>, Sm6MakeError>> {
        match self.set(setup, ck, ik) {
            Ok(set) => Ok(Challenge { server: self.policy.server_list(setup), set, offer: self }),
            Err(error) => Err(Rejected { state: Box::new(self), error }),
        }
    }

    fn set(&self, setup: Setup, ck: &Ck, ik: &Ik) -> Result<SaSet, Sm6MakeError> {
        let of_ue = self.spis();
        if let Some(spi) = [setup.spis.client, setup.spis.server].into_iter().find(|spi| of_ue.contains(spi))
        {
            return Err(Sm6MakeError::SpiOfUe(spi));
        }
        setup.check_own()?;
        let keys = SaKeys::expand(self.choice.suite, ck, ik)?;
        Ok(SaSet::new(self.ue(), Endpoint { address: self.pcscf, setup }, keys)?)
    }
}

impl Challenge {
    /// The Security-Server of SM6: the policy's whole list.
    pub const fn security_server(&self) -> &SecurityServer {
        &self.server
    }

    /// The SAs to install before SM6 is sent.
    pub const fn set(&self) -> &SaSet {
        &self.set
    }

    /// The offer as it was before the challenge: SM6 was not sent.
    pub fn withdrawn(self) -> Offer {
        self.offer
    }

    /// Compares SM7 with what was issued and with SM1, value by value and in order.
    ///
    /// # Errors
    /// [`Sm7Error::WrongSa`] leaves the challenge as it was; [`Sm7Error::Refused`] ends the
    /// registration.
    pub fn receive_sm7(self, sm7: &Sm7<'_>) -> Result<Response, Sm7Error> {
        if self.set.ends().inbound(Side::Pcscf, sm7.over).is_none() {
            return Err(Sm7Error::WrongSa { challenge: Box::new(self), over: sm7.over });
        }
        let client = rows(SecurityClient::NAME, sm7.security_client, SecurityClient::parse_rows)?;
        let verify = rows(SecurityVerify::NAME, sm7.security_verify, SecurityVerify::parse_rows)?;
        let mismatch = |header| move |difference| Refusal::Mismatch { header, difference };
        let tolerated = self.offer.policy.tolerated();
        self.server.check_verify(&verify, tolerated).map_err(mismatch(SecurityVerify::NAME))?;
        self.offer.client.check_repeated(&client).map_err(mismatch(SecurityClient::NAME))?;
        Ok(Response { set: self.set })
    }
}

/// Reads a header of SM7, which must be there.
fn rows<'a, T>(
    header: &'static str,
    rows: &'a [&'a str],
    parse: impl FnOnce(core::iter::Copied<core::slice::Iter<'a, &'a str>>) -> Result<T, ListError>,
) -> Result<T, Refusal> {
    if rows.is_empty() {
        // A UE that sends SM7 over the SAs knows of security agreement.
        return Err(Refusal::NoHeader { header, sec_agree: SecAgree::Present });
    }
    parse(rows.iter().copied()).map_err(|error| Refusal::Unreadable { header, error })
}

impl Response {
    /// The SAs.
    pub const fn set(&self) -> &SaSet {
        &self.set
    }

    /// The verdict for SM8: SM7 answers the challenge and came over an SA of this authentication
    /// (TS 33.203 6.1.5).
    pub fn protection(&self) -> Protection {
        Protection { suite: self.set.suite() }
    }

    /// The core answered with a 2xx, SM12: the set is in force.
    pub fn succeeded(self) -> SaSet {
        self.set
    }
}

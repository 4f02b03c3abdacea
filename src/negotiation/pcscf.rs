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
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::address;
use crate::algorithm::Suite;
use crate::key::{Ck, Ik, KeyError, SaKeys};
use crate::negotiation::refusal::{Refusal, Rejected, SecAgree, SipStatus};
use crate::policy::{Choice, Confidentiality, Policy};
use crate::sa::{Endpoint, Ends, SaSet, SetError, Side};
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
    /// The number of the link that it came over; needed for link-local addresses, else 0.
    pub scope: u32,
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
    scope: u32,
    /// The rows of Security-Client, each with a line break after it. As text: a list of 8 KiB takes
    /// a hundred once it is read, and anybody can send one.
    client: Box<str>,
    choice: Choice,
    /// The SPIs that the UE sent besides those of the choice; nearly always none.
    other_spis: Vec<Spi>,
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
        self.suite.encrypts()
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
        let (ue, pcscf) = address::checked(sm1.ue, sm1.pcscf, sm1.scope)?;
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
        let own = choice.setup.spis;
        let other_spis = sent_spis(&client).filter(|spi| *spi != own.client && *spi != own.server).collect();
        let client = text(sm1.security_client);
        let scope = address::scope(ue, sm1.scope);
        Ok(Self { policy: policy.clone(), ue, pcscf, scope, client, choice, other_spis })
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
        let own = self.choice.setup.spis;
        let mut spis = Vec::with_capacity(2 + self.other_spis.len());
        spis.extend([own.client, own.server]);
        for spi in &self.other_spis {
            if !spis.contains(spi) {
                spis.push(*spi);
            }
        }
        spis
    }

    /// The number of the link that SM1 came over.
    pub(crate) const fn scope(&self) -> u32 {
        self.scope
    }

    /// The P-CSCF's address.
    pub(crate) const fn pcscf(&self) -> IpAddr {
        self.pcscf
    }

    /// Compares the Security-Client of SM7 with this one of SM1 (TS 33.203 Annex H).
    fn check_repeated(&self, rows: &[&str]) -> Result<(), Refusal> {
        let header = SecurityClient::NAME;
        // Nearly every UE repeats it letter by letter.
        let same =
            rows.iter().try_fold(&*self.client, |rest, row| rest.strip_prefix(*row)?.strip_prefix('\n'));
        if same == Some("") {
            return Ok(());
        }
        let repeated = read(header, rows, SecurityClient::parse_rows)?;
        let unreadable = |error| Refusal::Unreadable { header, error };
        let sent = SecurityClient::parse_rows(self.client.split_terminator('\n')).map_err(unreadable)?;
        sent.check_repeated(&repeated).map_err(|difference| Refusal::Mismatch { header, difference })
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
            Ok(set) => {
                let server = self.policy.sm6_list(setup, self.suite());
                Ok(Challenge { server, set, offer: self })
            }
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
        let pcscf = Endpoint { address: self.pcscf, setup };
        Ok(SaSet::between(Ends { ue: self.ue(), pcscf, scope: self.scope }, keys)?)
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
        let header = SecurityVerify::NAME;
        let verify = read(header, sm7.security_verify, SecurityVerify::parse_rows)?;
        let mismatch = |difference| Refusal::Mismatch { header, difference };
        self.server.check_verify(&verify, self.offer.policy.tolerated()).map_err(mismatch)?;
        self.offer.check_repeated(sm7.security_client)?;
        Ok(Response { set: self.set })
    }
}

/// The rows of a header as one text.
fn text(rows: &[&str]) -> Box<str> {
    let mut text = String::with_capacity(rows.iter().map(|row| row.len() + 1).sum());
    for row in rows {
        text.push_str(row);
        text.push('\n');
    }
    text.into_boxed_str()
}

/// The SPIs of a list, in whichever mechanism, as far as they can be read.
fn sent_spis(client: &SecurityClient) -> impl Iterator<Item = Spi> {
    let sent = client.mechanisms().iter().map(|mechanism| match mechanism {
        Mechanism::Ipsec3gpp(offer) => [offer.spi_c, offer.spi_s],
        Mechanism::Malformed(malformed) => malformed.spis(),
        Mechanism::Other(_) => [None; 2],
    });
    sent.flatten().flatten()
}

/// Reads a header of SM7, which must be there.
fn read<'a, T>(
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

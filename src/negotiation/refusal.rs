//! How a set-up fails, and what SIP says to it.

use alloc::boxed::Box;
use core::fmt;

use crate::address::AddressError;
use crate::policy::Selection;
use crate::sec_agree::{Difference, ListError};

/// A status code of SIP, as the P-CSCF sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SipStatus(u16);

impl SipStatus {
    /// 400 Bad Request.
    pub const BAD_REQUEST: SipStatus = SipStatus(400);
    /// 401 Unauthorized: that of the core, which goes on as it is.
    pub const UNAUTHORIZED: SipStatus = SipStatus(401);
    /// 403 Forbidden.
    pub const FORBIDDEN: SipStatus = SipStatus(403);
    /// 421 Extension Required (RFC 3329 2.3.1): with `Require: sec-agree`.
    pub const EXTENSION_REQUIRED: SipStatus = SipStatus(421);
    /// 494 Security Agreement Required (RFC 3329 2.3.1): with Security-Server and `Require:
    /// sec-agree`.
    pub const SECURITY_AGREEMENT_REQUIRED: SipStatus = SipStatus(494);
    /// 500 Server Internal Error.
    pub const SERVER_INTERNAL_ERROR: SipStatus = SipStatus(500);
    /// 503 Service Unavailable.
    pub const SERVICE_UNAVAILABLE: SipStatus = SipStatus(503);

    /// The code.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The reason phrase that goes with it.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            421 => "Extension Required",
            494 => "Security Agreement Required",
            503 => "Service Unavailable",
            _ => "Server Internal Error",
        }
    }
}

impl fmt::Display for SipStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

/// Whether a request has the option tag `sec-agree` (RFC 3329 2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecAgree {
    /// Neither in Require, nor in Proxy-Require, nor in Supported.
    #[default]
    Absent,
    /// In one of them.
    Present,
}

/// Why a set-up ended. The peer's doing, or an attacker's; nothing of the set-up remains, and SAs
/// of earlier ones are not touched.
///
/// A P-CSCF answers with [`Refusal::status`]. At the UE, a Security-Server that is missing or
/// unusable ends the procedure without a message; it registers again with another Call-ID (TS
/// 24.229 5.1.1.5), and keeps what it had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The message has no Security-Client, or at the UE no Security-Server.
    #[error("no {header}")]
    NoHeader {
        /// The header.
        header: &'static str,
        /// Whether the peer knows of security agreement at all.
        sec_agree: SecAgree,
    },
    /// The header cannot be read.
    #[error("{header}: {error}")]
    Unreadable {
        /// The header.
        header: &'static str,
        /// Why.
        error: ListError,
    },
    /// The header has no mechanism that the policy can use; the selection says why, for each.
    #[error("no usable mechanism in the peer's list: {0}")]
    Unusable(Box<Selection>),
    /// The policy requires confidentiality, and the peer offers none: a Release 5 UE, or a Release
    /// 5 P-CSCF.
    #[error("confidentiality is required but not offered: {0}")]
    ConfidentialityRequired(Box<Selection>),
    /// SM7 differs from SM6 or from SM1: an attempt at bidding down, or a broken UE (TS 33.203
    /// 7.3.2.3).
    #[error("{header} of SM7: {difference}")]
    Mismatch {
        /// The header that differs.
        header: &'static str,
        /// Where.
        difference: Difference,
    },
    /// The addresses of the packet cannot have SAs.
    #[error(transparent)]
    Address(#[from] AddressError),
}

crate::code::codes!(Refusal {
    Refusal::NoHeader { .. } => "refusal-no-header",
    Refusal::Unusable(_) => "refusal-unusable",
    Refusal::ConfidentialityRequired(_) => "refusal-confidentiality-required",
    ;
    Refusal::Unreadable { error, .. } => error,
    Refusal::Mismatch { difference, .. } => difference,
    Refusal::Address(error) => error,
});

impl Refusal {
    /// The status that a P-CSCF answers with.
    ///
    /// 421 if the UE does not know of security agreement, 494 for everything else. RFC 3329 2.3.1
    /// has both; TS 24.229 5.2.2 leaves the choice open ("a suitable 4xx"). 400 for addresses that
    /// cannot be.
    pub const fn status(&self) -> SipStatus {
        match self {
            Refusal::NoHeader { sec_agree: SecAgree::Absent, .. } => SipStatus::EXTENSION_REQUIRED,
            Refusal::NoHeader { sec_agree: SecAgree::Present, .. }
            | Refusal::Unreadable { .. }
            | Refusal::Unusable(_)
            | Refusal::ConfidentialityRequired(_)
            | Refusal::Mismatch { .. } => SipStatus::SECURITY_AGREEMENT_REQUIRED,
            Refusal::Address(_) => SipStatus::BAD_REQUEST,
        }
    }

    /// The failed selection, where there was one: the offered and the allowed suites
    /// with the reasons.
    pub fn selection(&self) -> Option<&Selection> {
        match self {
            Refusal::Unusable(selection) | Refusal::ConfidentialityRequired(selection) => Some(selection),
            Refusal::NoHeader { .. }
            | Refusal::Unreadable { .. }
            | Refusal::Mismatch { .. }
            | Refusal::Address(_) => None,
        }
    }
}

/// A step that could not be taken, and the state as it was: nothing is lost.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Rejected<S, E: core::error::Error> {
    /// The state from which the step was tried.
    pub state: S,
    /// Why it failed.
    pub error: E,
}

//! Errors of a header: its length, a mechanism, a parameter.

use alloc::boxed::Box;
use core::fmt;

use super::value::Mode;
use crate::algorithm::{Encryption, Integrity};

/// Octets in all rows of one header; phones in the field stay below 1,200.
pub const MAX_LIST_OCTETS: usize = 8192;
/// Mechanisms in all rows of one header; phones in the field send up to six.
pub const MAX_MECHANISMS: usize = 32;
/// Parameters of one mechanism; `ipsec-3gpp` has nine.
pub const MAX_PARAMETERS: usize = 24;

/// A header that cannot be read at all: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// More than [`MAX_LIST_OCTETS`].
    #[error("header of {0} octets: at most {MAX_LIST_OCTETS} are read")]
    TooLong(usize),
    /// More than [`MAX_MECHANISMS`].
    #[error("more than {MAX_MECHANISMS} mechanisms")]
    TooManyMechanisms,
    /// No row, or nothing but white space in them.
    #[error("empty header")]
    Empty,
}

/// A parameter, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterName {
    /// `q`
    Q,
    /// `alg`
    Alg,
    /// `prot`
    Prot,
    /// `mod`
    Mod,
    /// `ealg`
    Ealg,
    /// `spi-c`
    SpiC,
    /// `spi-s`
    SpiS,
    /// `port-c`
    PortC,
    /// `port-s`
    PortS,
    /// One that Annex H does not have.
    Extension(Box<str>),
}

impl ParameterName {
    /// The name as Annex H writes it.
    pub fn as_str(&self) -> &str {
        match self {
            ParameterName::Q => "q",
            ParameterName::Alg => "alg",
            ParameterName::Prot => "prot",
            ParameterName::Mod => "mod",
            ParameterName::Ealg => "ealg",
            ParameterName::SpiC => "spi-c",
            ParameterName::SpiS => "spi-s",
            ParameterName::PortC => "port-c",
            ParameterName::PortS => "port-s",
            ParameterName::Extension(name) => name,
        }
    }

    pub(super) fn of(name: &str) -> Self {
        // By length first: a list has dozens of parameters, and a million phones send lists.
        let (one, other) = match name.len() {
            1 => (ParameterName::Q, None),
            3 => (ParameterName::Alg, Some(ParameterName::Mod)),
            4 => (ParameterName::Ealg, Some(ParameterName::Prot)),
            5 => (ParameterName::SpiC, Some(ParameterName::SpiS)),
            6 => (ParameterName::PortC, Some(ParameterName::PortS)),
            _ => return ParameterName::Extension(name.into()),
        };
        let is = |known: &ParameterName| known.as_str().eq_ignore_ascii_case(name);
        if is(&one) {
            return one;
        }
        other.filter(is).unwrap_or_else(|| ParameterName::Extension(name.into()))
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an element of a list cannot be used: the peer's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MechanismError {
    /// A parameter is wrong.
    #[error("{parameter}: {problem}")]
    Parameter {
        /// Which one.
        parameter: ParameterName,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The text breaks the grammar of RFC 3329 2.2.
    #[error("invalid mechanism from octet {at} on")]
    Grammar {
        /// Octets from its start to where that shows.
        at: usize,
    },
    /// More than [`MAX_PARAMETERS`] parameters.
    #[error("more than {MAX_PARAMETERS} parameters")]
    TooManyParameters,
}

/// An error in a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The mechanism has it twice.
    #[error("given twice")]
    Duplicate,
    /// It has no value where it needs one.
    #[error("has no value")]
    NoValue,
    /// It has a quoted string for a value where Annex H has a token.
    #[error("has a quoted string for a value")]
    Quoted,
    /// Its value is not of the form that Annex H gives it.
    #[error("\"{0}\" is not a value of it")]
    Value(Box<str>),
    /// Its number is above the largest.
    #[error("{0} is out of range")]
    OutOfRange(Box<str>),
    /// An SPI of 0.
    #[error("0 is not an SPI")]
    ZeroSpi,
    /// A port of 0.
    #[error("0 is not a port")]
    ZeroPort,
}

/// A parameter that a usable offer must have is absent, or names what this crate does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incomplete {
    /// A parameter that must be there is absent.
    #[error("no {0}")]
    Missing(ParameterName),
    /// `alg` or `ealg` names an algorithm that this crate does not have.
    #[error("{parameter} {token} is not implemented")]
    UnknownAlgorithm {
        /// `alg` or `ealg`.
        parameter: ParameterName,
        /// Its token.
        token: Box<str>,
    },
    /// `alg` and `ealg` may not be combined (Annex H; RFC 4543 3).
    #[error("alg {0} with ealg {1}: {rule}", rule = rule(.0))]
    Combination(Integrity, Encryption),
    /// `prot=ah`, which IMS does not allow.
    #[error("prot ah is not allowed in IMS")]
    Protocol,
    /// A mode other than transport.
    #[error("mod {} is not supported", .0.token())]
    Mode(Mode),
    /// A `mediasec` mechanism (TS 24.229 7.2A.7): it protects media, not signalling.
    #[error("a mediasec mechanism")]
    MediaPlane,
}

/// Why an `alg` does not go with an `ealg`.
const fn rule(alg: &Integrity) -> &'static str {
    match alg {
        #[cfg(feature = "aes-gcm")]
        Integrity::Null => "alg null goes with ealg aes-gcm alone",
        #[cfg(feature = "aes-gcm")]
        Integrity::AesGmac => "alg aes-gmac goes with no ealg but null",
        #[cfg(feature = "hmac-md5-96")]
        Integrity::HmacMd5_96 => "ealg aes-gcm goes with alg null alone",
        Integrity::HmacSha1_96 => "ealg aes-gcm goes with alg null alone",
    }
}

crate::code::codes!(ListError {
    ListError::TooLong(_) => "list-too-long",
    ListError::TooManyMechanisms => "list-too-many-mechanisms",
    ListError::Empty => "list-empty",
});
crate::code::codes!(MechanismError {
    MechanismError::Grammar { .. } => "mechanism-grammar",
    MechanismError::TooManyParameters => "mechanism-too-many-parameters",
    ;
    MechanismError::Parameter { problem, .. } => problem,
});
crate::code::codes!(Problem {
    Problem::Duplicate => "parameter-duplicate",
    Problem::NoValue => "parameter-no-value",
    Problem::Quoted => "parameter-quoted",
    Problem::Value(_) => "parameter-invalid-value",
    Problem::OutOfRange(_) => "parameter-out-of-range",
    Problem::ZeroSpi => "parameter-zero-spi",
    Problem::ZeroPort => "parameter-zero-port",
});
crate::code::codes!(Incomplete {
    Incomplete::Missing(_) => "offer-missing-parameter",
    Incomplete::UnknownAlgorithm { .. } => "offer-unknown-algorithm",
    Incomplete::Combination(..) => "offer-invalid-combination",
    Incomplete::Protocol => "offer-protocol",
    Incomplete::Mode(_) => "offer-mode",
    Incomplete::MediaPlane => "offer-media-plane",
});

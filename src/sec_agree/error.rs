//! What may be wrong with a mechanism: which parameter, and in what way.

use alloc::boxed::Box;
use core::fmt;

use super::list::MAX_PARAMETERS;
use super::mechanism::Mode;
use crate::algorithm::{Encryption, Integrity};

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
    #[error("not a mechanism from octet {at} on")]
    Grammar {
        /// Octets from its start to where that shows.
        at: usize,
    },
    /// More than [`MAX_PARAMETERS`] parameters.
    #[error("more than {MAX_PARAMETERS} parameters")]
    TooManyParameters,
}

/// What is wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It stands in the mechanism twice.
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
        /// The token that stood there.
        token: Box<str>,
    },
    /// `alg` and `ealg` may not stand together.
    #[error("{0:?} does not go with {1:?}")]
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

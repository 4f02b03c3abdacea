//! One mechanism of a list: its parameters as values.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::error::{Incomplete, MechanismError, ParameterName};
use super::quirk::{Quirk, Quirks};
use super::value::{Mode, Name, Parameter, Protocol, Qvalue, same_parameters};
use crate::algorithm::{Encryption, Integrity, Suite};
use crate::setup::Port;
use crate::setup::{PortPair, Setup};
use crate::spi::{Spi, SpiPair};

/// One element of a Security-Client, Security-Server or Security-Verify list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// `ipsec-3gpp`, each parameter well-formed.
    Ipsec3gpp(Ipsec3gpp),
    /// Any other mechanism: tls, digest, ipsec-ike, or one that this crate does not know. Kept,
    /// never chosen.
    Other(Other),
    /// An element that breaks the grammar, or an `ipsec-3gpp` with a parameter that cannot be
    /// right.
    Malformed(Malformed),
}

/// The parameters of an `ipsec-3gpp` mechanism (TS 33.203 Annex H), as they were sent.
///
/// Which of them an offer needs is another question, answered by [`Ipsec3gpp::suite`] and
/// [`Ipsec3gpp::setup`]. Two are equal if RFC 3329 2.3.1 says so: case, the order of parameters,
/// leading zeros, and a default that only one of them spells out do not matter.
#[derive(Clone, Debug, Default)]
pub struct Ipsec3gpp {
    /// `q`, the preference.
    pub q: Option<Qvalue>,
    /// `alg`, the integrity algorithm.
    pub alg: Option<Name<Integrity>>,
    /// `prot`; absent means esp.
    pub prot: Option<Protocol>,
    /// `mod`; absent means trans.
    pub mode: Option<Mode>,
    /// `ealg`, the encryption algorithm; absent means null.
    pub ealg: Option<Name<Encryption>>,
    /// `spi-c`
    pub spi_c: Option<Spi>,
    /// `spi-s`
    pub spi_s: Option<Spi>,
    /// `port-c`
    pub port_c: Option<Port>,
    /// `port-s`
    pub port_s: Option<Port>,
    /// Parameters that Annex H does not have, in their order.
    pub extensions: Vec<Parameter>,
    /// An SPI was written with fewer than ten digits.
    pub(super) short_spi: bool,
}

impl PartialEq for Ipsec3gpp {
    fn eq(&self, other: &Self) -> bool {
        self.q == other.q && self.same_but_for_q(other)
    }
}
impl Eq for Ipsec3gpp {}

/// A mechanism other than `ipsec-3gpp`, with its parameters in their order, which matters no more
/// to equality than for [`Ipsec3gpp`].
#[derive(Clone, Debug)]
pub struct Other {
    pub(super) name: Box<str>,
    pub(super) q: Option<Qvalue>,
    pub(super) parameters: Vec<Parameter>,
}

impl PartialEq for Other {
    fn eq(&self, other: &Self) -> bool {
        self.q == other.q && self.same_but_for_q(other)
    }
}
impl Eq for Other {}

/// An element that could not be read, word by word, and why. It is emitted with a question mark for
/// each control character: no line break gets from one message into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub(super) text: Box<str>,
    pub(super) error: MechanismError,
    pub(super) spis: [Option<Spi>; 2],
}

impl Mechanism {
    /// The mechanism's name; `None` where it could not be read.
    pub fn name(&self) -> Option<&str> {
        match self {
            Mechanism::Ipsec3gpp(_) => Some(Ipsec3gpp::NAME),
            Mechanism::Other(other) => Some(other.name()),
            Mechanism::Malformed(_) => None,
        }
    }

    /// The preference, where there is one.
    pub fn q(&self) -> Option<Qvalue> {
        match self {
            Mechanism::Ipsec3gpp(offer) => offer.q,
            Mechanism::Other(other) => other.q,
            Mechanism::Malformed(_) => None,
        }
    }
}

impl Ipsec3gpp {
    /// The mechanism's name.
    pub const NAME: &'static str = "ipsec-3gpp";

    /// An option of a list as this crate emits it: esp and transport mode spelt out, and SPIs and
    /// ports unless nothing is set up.
    pub fn new(suite: Suite, setup: Option<Setup>, q: Option<Qvalue>) -> Self {
        Self {
            q,
            alg: Some(Name::Known(suite.integrity())),
            prot: Some(Protocol::Esp),
            mode: Some(Mode::Transport),
            ealg: Some(Name::Known(suite.encryption())),
            spi_c: setup.map(|setup| setup.spis.client),
            spi_s: setup.map(|setup| setup.spis.server),
            port_c: setup.map(|setup| setup.ports.client),
            port_s: setup.map(|setup| setup.ports.server),
            extensions: Vec::new(),
            short_spi: false,
        }
    }

    /// The deviations from Annex H that the mechanism shows by itself.
    pub fn quirks(&self) -> Quirks {
        let mut quirks = Quirks::NONE;
        if self.short_spi {
            quirks = quirks.with(Quirk::ShortSpi);
        }
        if [self.spi_c, self.spi_s].into_iter().flatten().any(Spi::is_reserved) {
            quirks = quirks.with(Quirk::ReservedSpi);
        }
        if [self.port_c, self.port_s].into_iter().flatten().any(Port::is_sip) {
            quirks = quirks.with(Quirk::SipPort);
        }
        quirks
    }

    /// The suite that the mechanism offers, in ESP transport mode.
    ///
    /// # Errors
    /// [`Incomplete`] if `alg` is absent, an algorithm is unknown, two do not go together, or
    /// protocol or mode are not those of IMS.
    pub fn suite(&self) -> Result<Suite, Incomplete> {
        fn known<T: Copy>(name: &Name<T>, parameter: ParameterName) -> Result<T, Incomplete> {
            match name {
                Name::Known(algorithm) => Ok(*algorithm),
                Name::Unknown(token) => Err(Incomplete::UnknownAlgorithm { parameter, token: token.clone() }),
            }
        }
        if self.extensions.iter().any(|extension| extension.name.eq_ignore_ascii_case("mediasec")) {
            return Err(Incomplete::MediaPlane);
        }
        match self.prot {
            None | Some(Protocol::Esp) => {}
            Some(Protocol::Ah) => return Err(Incomplete::Protocol),
        }
        match self.mode {
            None | Some(Mode::Transport) => {}
            Some(mode @ (Mode::Tunnel | Mode::UdpEncapsulatedTunnel)) => return Err(Incomplete::Mode(mode)),
        }
        let alg = self.alg.as_ref().ok_or(Incomplete::Missing(ParameterName::Alg))?;
        let integrity = known(alg, ParameterName::Alg)?;
        let encryption = match &self.ealg {
            None => Encryption::Null,
            Some(name) => known(name, ParameterName::Ealg)?,
        };
        Suite::new(integrity, encryption).ok_or(Incomplete::Combination(integrity, encryption))
    }

    /// The SPIs and ports that the mechanism announces.
    ///
    /// # Errors
    /// [`Incomplete::Missing`] names the first of the four that is absent.
    pub fn setup(&self) -> Result<Setup, Incomplete> {
        let missing = Incomplete::Missing;
        Ok(Setup {
            spis: SpiPair {
                client: self.spi_c.ok_or(missing(ParameterName::SpiC))?,
                server: self.spi_s.ok_or(missing(ParameterName::SpiS))?,
            },
            ports: PortPair {
                client: self.port_c.ok_or(missing(ParameterName::PortC))?,
                server: self.port_s.ok_or(missing(ParameterName::PortS))?,
            },
        })
    }

    pub(super) fn same_but_for_q(&self, other: &Self) -> bool {
        let prot = |mechanism: &Self| mechanism.prot.unwrap_or(Protocol::Esp);
        let mode = |mechanism: &Self| mechanism.mode.unwrap_or(Mode::Transport);
        let null = Name::Known(Encryption::Null);
        self.alg == other.alg
            && prot(self) == prot(other)
            && mode(self) == mode(other)
            && self.ealg.as_ref().unwrap_or(&null) == other.ealg.as_ref().unwrap_or(&null)
            && (self.spi_c, self.spi_s) == (other.spi_c, other.spi_s)
            && (self.port_c, self.port_s) == (other.port_c, other.port_s)
            && same_parameters(&self.extensions, &other.extensions)
    }
}

impl Other {
    /// Its name, as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `q`, the preference.
    pub const fn q(&self) -> Option<Qvalue> {
        self.q
    }

    /// Its parameters other than `q`.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    pub(super) fn same_but_for_q(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name) && same_parameters(&self.parameters, &other.parameters)
    }
}

impl Malformed {
    /// The element as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `spi-c` and `spi-s`, where they could be read before it broke.
    pub(crate) const fn spis(&self) -> [Option<Spi>; 2] {
        self.spis
    }

    /// What is wrong with it.
    pub fn error(&self) -> &MechanismError {
        &self.error
    }
}

//! The setup that one side announces for the SAs inbound at it: SPIs and protected ports (TS 33.203
//! 7.1).

use core::fmt;
use core::num::NonZeroU16;

use crate::spi::{Spi, SpiPair};

/// The ports of SIP in clear, which TS 33.203 7.1 excludes from the protected ones.
const SIP: [u16; 2] = [5060, 5061];

/// A protected port: never 0.
///
/// TS 33.203 7.1 excludes 5060 and 5061: [`Port::new`] refuses them, and they exist only where a
/// peer sent one ([`Port::from_peer`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

/// A number that is not a protected port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// 0 is not a port.
    #[error("0 is not a port")]
    Zero,
    /// 5060 or 5061.
    #[error("{0} is a port of SIP in clear, not a protected port")]
    Sip(u16),
}

crate::code::codes!(PortError {
    PortError::Zero => "port-zero",
    PortError::Sip(_) => "port-sip",
});

impl Port {
    /// A port of one's own.
    ///
    /// # Errors
    /// [`PortError`] for 0, 5060 and 5061.
    pub const fn new(number: u16) -> Result<Self, PortError> {
        match Self::from_peer(number) {
            Ok(port) if port.is_sip() => Err(PortError::Sip(number)),
            result => result,
        }
    }

    /// A port that a peer announced: 5060 and 5061 are let through, for the sake of phones that
    /// send them ([`Quirk::SipPort`](crate::sec_agree::Quirk::SipPort)).
    ///
    /// # Errors
    /// [`PortError::Zero`].
    pub const fn from_peer(number: u16) -> Result<Self, PortError> {
        match NonZeroU16::new(number) {
            Some(port) => Ok(Self(port)),
            None => Err(PortError::Zero),
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Whether it is 5060 or 5061.
    pub const fn is_sip(self) -> bool {
        let [sip, sips] = SIP;
        self.get() == sip || self.get() == sips
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.0)
    }
}

impl TryFrom<u16> for Port {
    type Error = PortError;

    fn try_from(number: u16) -> Result<Self, PortError> {
        Self::new(number)
    }
}

/// The protected ports of one side (TS 33.203 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortPair {
    /// `port-c`, the protected client port.
    pub client: Port,
    /// `port-s`, the protected server port.
    pub server: Port,
}

impl PortPair {
    /// Two ports of one's own.
    ///
    /// # Errors
    /// [`PortError`] as for [`Port::new`].
    pub const fn new(client: u16, server: u16) -> Result<Self, PortError> {
        match (Port::new(client), Port::new(server)) {
            (Ok(client), Ok(server)) => Ok(Self { client, server }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

/// The SPIs and ports that one side announces: one pair of each for every option of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// `spi-c` and `spi-s`
    pub spis: SpiPair,
    /// `port-c` and `port-s`
    pub ports: PortPair,
}

/// SPIs or ports that TS 33.203 7.1 does not allow for one's own side: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Client and server SPI are the same.
    #[error("spi-c and spi-s are both {0}")]
    EqualSpis(Spi),
    /// Client and server port are the same.
    #[error("port-c and port-s are both {0}")]
    EqualPorts(Port),
    /// An SPI is reserved (RFC 4303 2.1).
    #[error("SPI {0} is reserved")]
    ReservedSpi(Spi),
    /// A protected port is 5060 or 5061.
    #[error("{0} is a port of SIP in clear, not a protected port")]
    SipPort(Port),
}

crate::code::codes!(SetupError {
    SetupError::EqualSpis(_) => "setup-equal-spis",
    SetupError::EqualPorts(_) => "setup-equal-ports",
    SetupError::ReservedSpi(_) => "setup-reserved-spi",
    SetupError::SipPort(_) => "setup-sip-port",
});

impl Setup {
    /// Whether one's own side may announce these.
    ///
    /// # Errors
    /// [`SetupError`] names what it may not.
    pub fn check_own(&self) -> Result<(), SetupError> {
        let Self { spis, ports } = self;
        if spis.client == spis.server {
            return Err(SetupError::EqualSpis(spis.client));
        }
        if ports.client == ports.server {
            return Err(SetupError::EqualPorts(ports.client));
        }
        if let Some(spi) = [spis.client, spis.server].into_iter().find(|spi| spi.is_reserved()) {
            return Err(SetupError::ReservedSpi(spi));
        }
        match [ports.client, ports.server].into_iter().find(|port| port.is_sip()) {
            Some(port) => Err(SetupError::SipPort(port)),
            None => Ok(()),
        }
    }
}

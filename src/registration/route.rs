//! Routes of messages: the SA, the ports, and the port in Via (TS 33.203 7.1).

use core::fmt;
use core::net::{IpAddr, SocketAddr, SocketAddrV6};

use crate::sa::{Ends, Ports, SaName, SetId, Side};
use crate::setup::Port;
use crate::spi::Spi;

/// The SA that a message came over, or clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// In clear, at a port that is not protected.
    Clear,
    /// The SA with this SPI, inbound at the side that received the message.
    Sa(Spi),
}

impl Over {
    /// The SPI, if it came over an SA.
    pub const fn spi(self) -> Option<Spi> {
        match self {
            Over::Clear => None,
            Over::Sa(spi) => Some(spi),
        }
    }
}

/// The transport protocol of a SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Requests and responses go from the client port to the server port of the other side.
    Udp,
    /// A request goes over a connection between the two sides that is already there; only where
    /// there is none, one is opened from the client port to the server port of the other side.
    /// A response goes over the connection of its request (TS 33.203 7.1).
    Tcp,
}

/// How a protected message is sent.
///
/// Over TCP, the route of a request is that of a connection to be opened. A connection over the
/// same set that is already there is used first, whichever side opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The set.
    pub set: SetId,
    /// The SA among its four.
    pub sa: SaName,
    /// The SPI that the packets will have.
    pub spi: Spi,
    /// Source address and port; of link-local addresses, the link too.
    pub source: SocketAddr,
    /// Destination address and port.
    pub destination: SocketAddr,
    /// The port for the sender's Via and Contact: its protected server port.
    pub via_port: Port,
}

/// There is no SA for a protected message. It must not be sent in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no SA to send over: the message must not be sent in clear")]
pub struct NoSa;

crate::code::codes!(NoSa { NoSa => "route-no-sa", });

impl Route {
    /// The route of a request, and over UDP that of a response.
    pub(super) fn of_request(set: SetId, ends: &Ends, side: Side) -> Self {
        let sa = match side {
            Side::Ue => SaName::UeClientToPcscfServer,
            Side::Pcscf => SaName::PcscfClientToUeServer,
        };
        Self::over(set, ends, side, sa)
    }

    /// The route of the response to a request that came over an SPI of this set.
    pub(super) fn of_response(
        set: SetId,
        ends: &Ends,
        side: Side,
        transport: Transport,
        request_over: Spi,
    ) -> Self {
        match (transport, ends.inbound(side, request_over)) {
            (Transport::Tcp, Some(name)) => Self::over(set, ends, side, back(name)),
            (Transport::Udp, _) | (Transport::Tcp, None) => Self::of_request(set, ends, side),
        }
    }

    fn over(set: SetId, ends: &Ends, side: Side, sa: SaName) -> Self {
        let (spi, selector) = ends.sa(sa);
        let (source, destination) = match selector.ports {
            Ports::Exact { source, destination } => (source, destination),
            Ports::Any => (0, 0),
        };
        let own = match side {
            Side::Ue => ends.ue,
            Side::Pcscf => ends.pcscf,
        };
        Self {
            set,
            sa,
            spi,
            source: on_link(selector.source, source, ends.scope),
            destination: on_link(selector.destination, destination, ends.scope),
            via_port: own.setup.ports.server,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source, self.destination)
    }
}

/// An address and port, on the link of a number where there is one.
const fn on_link(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V6(address) => SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope)),
        IpAddr::V4(_) => SocketAddr::new(address, port),
    }
}

/// The SA of the other direction between the same ports: the way back on a TCP connection.
const fn back(name: SaName) -> SaName {
    match name {
        SaName::UeClientToPcscfServer => SaName::PcscfServerToUeClient,
        SaName::PcscfServerToUeClient => SaName::UeClientToPcscfServer,
        SaName::PcscfClientToUeServer => SaName::UeServerToPcscfClient,
        SaName::UeServerToPcscfClient => SaName::PcscfClientToUeServer,
    }
}

//! What a message travels over: the SA, the ports, and the port in Via (TS 33.203 7.1).

use core::net::SocketAddr;
use core::num::NonZeroU16;

use super::instruction::SetId;
use crate::sa::{Ends, Ports, SaName, Side};
use crate::spi::Spi;

/// The transport protocol of a SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Requests and responses go from the client port to the other's server port.
    Udp,
    /// Requests go on a connection from the client port to the other's server port, responses on the connection of
    /// their request.
    Tcp,
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request,
    /// The response to a request that came over the inbound SA with this SPI. It goes over the same set.
    Response {
        /// The SPI.
        over: Spi,
    },
    /// A request that belongs to a transaction begun over this set: ACK of an error, CANCEL.
    InTransaction(SetId),
}

/// How a protected message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The set.
    pub set: SetId,
    /// Which of its four SAs.
    pub sa: SaName,
    /// The SPI that the packets will have.
    pub spi: Spi,
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port.
    pub destination: SocketAddr,
    /// The port in the sender's Via, and in its Contact: its protected server port.
    pub via_port: NonZeroU16,
}

/// A protected message has nothing to travel over. It must not go out in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no SA to send over: the message must not go out in clear")]
pub struct NoSa;

impl Route {
    pub(super) fn of(set: SetId, ends: &Ends, side: Side, transport: Transport, message: Message) -> Self {
        let own_client = match side {
            Side::Ue => SaName::UeClientToPcscfServer,
            Side::Pcscf => SaName::PcscfClientToUeServer,
        };
        let sa = match (transport, message) {
            (Transport::Udp, _) | (Transport::Tcp, Message::Request | Message::InTransaction(_)) => {
                own_client
            }
            (Transport::Tcp, Message::Response { over }) => ends.inbound(side, over).map_or(own_client, back),
        };
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
            source: SocketAddr::new(selector.source, source),
            destination: SocketAddr::new(selector.destination, destination),
            via_port: own.setup.ports.server,
        }
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

//! Which datagrams an SA is for (TS 33.203 7.1, RFC 4301 4.4.1.1).

use core::fmt;
use core::net::IpAddr;

use crate::esp::ip::Datagram;

/// The ports of a selector. IMS names two for each SA; a tool that has only a capture may not know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Exactly these: UDP and TCP (and any other protocol with ports) between the two, nothing else.
    Exact {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// Any protocol, with or without ports.
    Any,
}

/// The traffic of one SA, in its own direction: addresses, and ports of any transport protocol, so that UDP and
/// TCP share the SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Ports.
    pub ports: Ports,
}

impl Selector {
    /// The selector that a datagram's own addresses and ports make; without ports, or with ports that cannot be
    /// read, [`Ports::Any`].
    #[inline]
    pub(crate) fn of(datagram: &Datagram, packet: &[u8]) -> Self {
        let payload = datagram.payload(packet);
        Self {
            source: datagram.source(),
            destination: datagram.destination(),
            ports: match datagram.ports(datagram.protocol(), payload) {
                Some((source, destination)) => Ports::Exact { source, destination },
                None => Ports::Any,
            },
        }
    }

    /// The selector of the traffic the other way.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ports: match self.ports {
                Ports::Exact { source, destination } => {
                    Ports::Exact { source: destination, destination: source }
                }
                Ports::Any => Ports::Any,
            },
        }
    }

    /// The address and port that the traffic comes from, where it has ports.
    pub(crate) const fn source_end(&self) -> Option<(IpAddr, u16)> {
        match self.ports {
            Ports::Exact { source, .. } => Some((self.source, source)),
            Ports::Any => None,
        }
    }

    /// The address and port that the traffic goes to, where it has ports.
    pub(crate) const fn destination_end(&self) -> Option<(IpAddr, u16)> {
        match self.ports {
            Ports::Exact { destination, .. } => Some((self.destination, destination)),
            Ports::Any => None,
        }
    }

    /// The same addresses with any ports.
    pub(crate) const fn any_port(self) -> Self {
        Self { ports: Ports::Any, ..self }
    }

    /// Whether traffic of the other selector is traffic of this one.
    #[inline(always)]
    pub(crate) fn covers(&self, datagram: &Datagram, packet: &[u8]) -> bool {
        datagram.goes(self.source, self.destination)
            && match self.ports {
                Ports::Any => true,
                Ports::Exact { source, destination } => {
                    datagram.ports(datagram.protocol(), datagram.payload(packet))
                        == Some((source, destination))
                }
            }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ports {
            Ports::Any => write!(f, "{} -> {}", self.source, self.destination),
            Ports::Exact { source, destination } => {
                let end = |address, port| core::net::SocketAddr::new(address, port);
                write!(f, "{} -> {}", end(self.source, source), end(self.destination, destination))
            }
        }
    }
}

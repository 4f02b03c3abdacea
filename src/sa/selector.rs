//! The datagrams that an SA is for (TS 33.203 7.1, RFC 4301 4.4.1.1).

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;

use crate::esp::Family;
use crate::esp::ip::{Datagram, addresses};
use crate::rare::rare;

/// The ports of a selector. IMS names two for each SA; a tool that has only a capture may not know
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Exactly these: UDP and TCP (and any other protocol with ports) between the two, nothing
    /// else.
    Exact {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// Any protocol, with or without ports.
    Any,
}

/// The traffic of one SA, in its own direction: addresses, and ports of any transport protocol, so
/// that UDP and TCP share the SA.
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
}

/// A selector as packets have it: what is compared for every packet, and what SAs are looked up by.
#[derive(Clone, Copy, Debug, Eq)]
pub(crate) struct Wire {
    /// Source and destination, one after the other; where they are of IPv4, zeros follow.
    addresses: [u8; 32],
    /// Source and destination; zeros for any.
    ports: [u8; 4],
    any_port: bool,
    /// `None` where the two addresses are not of one family: no packet goes between them. That of
    /// IPv4 is mapped then.
    family: Option<Family>,
}

/// By words: one that has just been made of the parts of a packet is still in registers then. As
/// octets it would be read from memory in larger pieces than it was written in, and a processor
/// waits there until all that was written before has left it.
impl PartialEq for Wire {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let (own, other) = (self.words(), other.words());
        own.iter().zip(other).fold(0, |differing, (own, other)| differing | (own ^ other)) == 0
    }
}

impl Hash for Wire {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Both addresses of IPv4 are one word.
        let [first, others @ .., ports] = self.words();
        state.write_u64(first);
        state.write_u64(ports);
        if self.family != Some(Family::Ipv4) {
            others.into_iter().for_each(|word| state.write_u64(word));
        }
    }
}

impl Wire {
    /// All that it is.
    #[inline(always)]
    fn words(&self) -> [u64; 5] {
        let mut words = [0; 5];
        for (word, octets) in words.iter_mut().zip(self.addresses.as_chunks().0) {
            *word = u64::from_ne_bytes(*octets);
        }
        let family = match self.family {
            None => 0,
            Some(Family::Ipv4) => 4,
            Some(Family::Ipv6) => 6,
        };
        words[4] = u64::from(u32::from_ne_bytes(self.ports)) << 32 | u64::from(self.any_port) << 8 | family;
        words
    }

    pub(crate) fn new(selector: &Selector) -> Self {
        let mut wire = Self { addresses: [0; 32], ports: [0; 4], any_port: true, family: None };
        match (selector.source, selector.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                wire.family = Some(Family::Ipv4);
                wire.set_addresses(source.octets(), destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                wire.family = Some(Family::Ipv6);
                wire.set_addresses(source.octets(), destination.octets());
            }
            (IpAddr::V4(source), IpAddr::V6(destination)) => {
                wire.set_addresses(source.to_ipv6_mapped().octets(), destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V4(destination)) => {
                wire.set_addresses(source.octets(), destination.to_ipv6_mapped().octets());
            }
        }
        if let Ports::Exact { source, destination } = selector.ports {
            let ([s0, s1], [d0, d1]) = (source.to_be_bytes(), destination.to_be_bytes());
            (wire.ports, wire.any_port) = ([s0, s1, d0, d1], false);
        }
        wire
    }

    fn set_addresses<const N: usize>(&mut self, source: [u8; N], destination: [u8; N]) {
        if let Some((to_source, rest)) = self.addresses.split_first_chunk_mut()
            && let Some(to_destination) = rest.first_chunk_mut()
        {
            (*to_source, *to_destination) = (source, destination);
        }
    }

    /// That of a datagram's own addresses and ports; without ports, or with ports that cannot be
    /// read, it is for any.
    #[inline]
    pub(crate) fn of(datagram: &Datagram, packet: &[u8]) -> Self {
        let mut addresses = [0; 32];
        let octets = datagram.address_octets(packet);
        if let (Some(to), Some(octets)) = (addresses.first_chunk_mut::<8>(), octets.first_chunk()) {
            *to = *octets;
        }
        if let Some(octets) = octets.first_chunk() {
            addresses = *octets;
        }
        let ports = datagram.ports(datagram.protocol(), datagram.payload(packet));
        Self {
            addresses,
            ports: ports.unwrap_or_default(),
            any_port: ports.is_none(),
            family: Some(datagram.family()),
        }
    }

    pub(crate) fn selector(&self) -> Selector {
        let (mut source, mut destination) = addresses(self.family.unwrap_or(Family::Ipv6), &self.addresses);
        if self.family.is_none() {
            (source, destination) = (source.to_canonical(), destination.to_canonical());
        }
        let [s0, s1, d0, d1] = self.ports;
        Selector {
            source,
            destination,
            ports: if self.any_port {
                Ports::Any
            } else {
                let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
                Ports::Exact { source, destination }
            },
        }
    }

    /// The same addresses with any ports.
    pub(crate) const fn any_port(self) -> Self {
        Self { ports: [0; 4], any_port: true, ..self }
    }

    /// Source and destination port; `None` for any.
    #[inline(always)]
    pub(crate) fn ports(&self) -> Option<[u8; 4]> {
        (!self.any_port).then_some(self.ports)
    }

    /// Whether a datagram goes from the one address to the other.
    #[inline(always)]
    pub(crate) fn covers_addresses(&self, datagram: &Datagram, packet: &[u8]) -> bool {
        let octets = datagram.address_octets(packet);
        match (datagram.family(), self.family) {
            (Family::Ipv4, Some(Family::Ipv4)) => octets.first_chunk() == self.addresses.first_chunk::<8>(),
            (Family::Ipv6, Some(Family::Ipv6)) => octets.first_chunk() == Some(&self.addresses),
            _ => false,
        }
    }

    /// Whether a datagram goes to this destination.
    #[inline(always)]
    pub(crate) fn covers_destination(&self, datagram: &Datagram, packet: &[u8]) -> bool {
        let octets = datagram.address_octets(packet);
        match (datagram.family(), self.family) {
            (Family::Ipv4, Some(Family::Ipv4)) => {
                octets.as_chunks::<4>().0.get(1) == self.addresses.as_chunks().0.get(1)
            }
            (Family::Ipv6, Some(Family::Ipv6)) => {
                octets.as_chunks::<16>().0.get(1) == self.addresses.as_chunks().0.get(1)
            }
            _ => false,
        }
    }

    /// Whether a datagram is traffic of this selector.
    #[inline(always)]
    pub(crate) fn covers(&self, datagram: &Datagram, packet: &[u8]) -> bool {
        if !self.covers_addresses(datagram, packet) {
            return false;
        }
        if self.any_port {
            rare();
            return true;
        }
        datagram.ports(datagram.protocol(), datagram.payload(packet)) == Some(self.ports)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_the_same_only_where_all_of_them_is() {
        let addresses: [[u8; 16]; 2] = core::array::from_fn(|n| core::array::from_fn(|k| (n * 16 + k) as u8));
        let ports = Ports::Exact { source: 0x0102, destination: 0x0304 };
        let wire = |[source, destination]: [[u8; 16]; 2], ports| {
            Wire::new(&Selector { source: source.into(), destination: destination.into(), ports })
        };
        let all = wire(addresses, ports);
        let mut others =
            vec![all.any_port(), Wire { family: None, ..all }, Wire { family: Some(Family::Ipv4), ..all }];
        for (end, octet) in (0..2).flat_map(|end| (0..16).map(move |octet| (end, octet))) {
            let mut other = addresses;
            other[end][octet] ^= 0x10;
            others.push(wire(other, ports));
        }
        for flipped in [0x0002, 0x0103, 0x0302] {
            let one = Ports::Exact { source: flipped, destination: 0x0304 };
            let other = Ports::Exact { source: 0x0102, destination: flipped };
            others.extend([wire(addresses, one), wire(addresses, other)]);
        }
        assert_eq!(all, wire(addresses, ports));
        for other in others {
            assert_ne!(all, other);
        }
    }

    #[test]
    fn ports_of_0_are_not_any_ports() {
        for ends in [["10.0.0.1", "10.0.0.2"], ["2001:db8::1", "2001:db8::2"]] {
            let [source, destination] = ends.map(|text| text.parse().unwrap());
            let with = |ports| Wire::new(&Selector { source, destination, ports });
            let zero = with(Ports::Exact { source: 0, destination: 0 });
            assert_ne!(zero, with(Ports::Any));
            assert_eq!((zero.any_port(), zero.ports()), (with(Ports::Any), Some([0; 4])));
            assert_eq!(with(Ports::Any).ports(), None);
        }
    }

    #[test]
    fn a_selector_is_the_same_after_it_was_in_the_order_of_the_wire() {
        let addresses: [IpAddr; 4] =
            ["10.0.0.1", "255.1.2.3", "2001:db8::1", "::ffff:10.0.0.1"].map(|text| text.parse().unwrap());
        let both = Ports::Exact { source: 1, destination: 0xabcd };
        for (source, destination) in addresses.into_iter().flat_map(|a| addresses.map(|b| (a, b))) {
            // A mapped address with one of IPv4 is that of IPv4: no packet goes between two
            // families anyway.
            let canonical = source.is_ipv4() != destination.is_ipv4();
            for ports in [both, Ports::Any] {
                let expected = if canonical {
                    Selector { source: source.to_canonical(), destination: destination.to_canonical(), ports }
                } else {
                    Selector { source, destination, ports }
                };
                assert_eq!(Wire::new(&Selector { source, destination, ports }).selector(), expected);
            }
        }
    }
}

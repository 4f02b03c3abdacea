//! The datagram that matters in a packet: also one in a tunnel.

use std::borrow::Cow;
use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use ipsec_3gpp::esp::PROTOCOL_ESP;
use ipsec_3gpp::spi::Spi;

use super::input::Packet;
use super::link::{header_for, locate};

/// A datagram of a packet.
#[derive(Debug)]
pub struct Datagram<'p> {
    /// Its octets. Of ESP in UDP, those of the same ESP without it.
    pub octets: Cow<'p, [u8]>,
    /// Octets of the link-layer header in front of it.
    link_len: usize,
    /// What it came out of.
    pub tunnel: Tunnel,
}

/// What a datagram was in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// GTP-U, between a base station and a gateway (TS 29.281).
    pub gtp: bool,
    /// UDP at port 4500 (RFC 3948).
    pub udp: bool,
}

const GTP_U: u16 = 2152;
const ESP_IN_UDP: u16 = 4500;

impl<'p> Datagram<'p> {
    /// The innermost datagram that this library has to do with; `None` if there is no IP.
    pub fn of(packet: &'p Packet) -> Option<Self> {
        let link_len = locate(packet.link, &packet.data)?;
        let mut octets = packet.data.get(link_len..)?;
        let mut tunnel = Tunnel::default();
        // ESP is in no tunnel any more: most packets of a capture are told by one octet.
        if protocol(octets) == Some(PROTOCOL_ESP) {
            return Some(Self { octets: octets.into(), link_len, tunnel });
        }
        // A tunnel in a tunnel is no worse than one; three are nonsense.
        for _ in 0..2 {
            match gtp_payload(octets) {
                Some(inner) => (octets, tunnel.gtp) = (inner, true),
                None => break,
            }
        }
        Some(match esp_without_udp(octets) {
            Some(esp) => Self { octets: esp.into(), link_len, tunnel: Tunnel { udp: true, ..tunnel } },
            None => Self { octets: octets.into(), link_len, tunnel },
        })
    }

    /// Source and destination, even of a datagram that was cut off.
    pub fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        addresses(&self.octets)
    }

    /// The SPI and the destination, where this is ESP, even if it was cut off.
    pub fn spi(&self) -> Option<(Spi, IpAddr)> {
        esp(&self.octets)
    }

    /// A packet with another datagram in the place of this one, after the link-layer header and
    /// without the tunnel.
    pub fn replaced(&self, packet: &Packet, by: &[u8]) -> Vec<u8> {
        let header = packet.data.get(..self.link_len).unwrap_or_default();
        let ipv6 = by.first().is_some_and(|octet| octet >> 4 == 6);
        let mut data = header_for(packet.link, header, ipv6);
        data.extend(by);
        data
    }

    /// The same packet, whatever octets a datagram of it has.
    pub(super) const fn with(link_len: usize, octets: Vec<u8>, tunnel: Tunnel) -> Datagram<'static> {
        Datagram { octets: Cow::Owned(octets), link_len, tunnel }
    }

    pub(super) const fn link_len(&self) -> usize {
        self.link_len
    }
}

/// The protocol that the IP header names, in front of any extension header.
fn protocol(octets: &[u8]) -> Option<u8> {
    match octets.first()? >> 4 {
        4 => octets.get(9).copied(),
        6 => octets.get(6).copied(),
        _ => None,
    }
}

/// Source and destination of a datagram, even of one that was cut off.
pub fn addresses(octets: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match LaxSlicedPacket::from_ip(octets).ok()?.net? {
        LaxNetSlice::Ipv4(ip) => {
            Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
        }
        LaxNetSlice::Ipv6(ip) => {
            Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

/// SPI and destination.
fn esp(octets: &[u8]) -> Option<(Spi, IpAddr)> {
    let next = protocol(octets)?;
    if ![PROTOCOL_ESP, 0, 43, 44, 60].contains(&next) {
        return None;
    }
    // Without extension headers, the fields have their places. Fragments are held elsewhere.
    let first = *octets.first()?;
    let places = match (first >> 4, next) {
        (4, _) => Some((usize::from(first & 0xf) * 4, 16..20)),
        (6, PROTOCOL_ESP) => Some((40, 24..40)),
        _ => None,
    };
    if let Some((at, destination)) = places {
        let spi = Spi::from_peer(u32::from_be_bytes(*octets.get(at..)?.first_chunk()?)).ok()?;
        let destination = octets.get(destination)?;
        let address: Option<IpAddr> = match *destination {
            [a, b, c, d] => Some([a, b, c, d].into()),
            _ => destination.first_chunk::<16>().map(|octets| (*octets).into()),
        };
        let is_fragment =
            first >> 4 == 4 && u16::from_be_bytes(*octets.get(6..)?.first_chunk()?) & 0x3fff != 0;
        return address.filter(|_| !is_fragment).map(|address| (spi, address));
    }
    let packet = LaxSlicedPacket::from_ip(octets).ok()?;
    let payload = packet.net.as_ref()?.ip_payload_ref()?;
    let [a, b, c, d, ..] = *payload.payload else { return None };
    let spi = Spi::from_peer(u32::from_be_bytes([a, b, c, d])).ok()?;
    let (_, destination) = addresses(octets)?;
    (payload.ip_number.0 == PROTOCOL_ESP && !payload.fragmented).then_some((spi, destination))
}

/// The payload of UDP from or to a port.
fn udp_payload(octets: &[u8], port: u16) -> Option<&[u8]> {
    let packet = LaxSlicedPacket::from_ip(octets).ok()?;
    match packet.transport? {
        TransportSlice::Udp(udp) if [udp.source_port(), udp.destination_port()].contains(&port) => {
            Some(udp.payload())
        }
        _ => None,
    }
}

/// The datagram in a G-PDU of GTP-U version 1 (TS 29.281 5.1).
fn gtp_payload(octets: &[u8]) -> Option<&[u8]> {
    const G_PDU: u8 = 255;
    let payload = udp_payload(octets, GTP_U)?;
    let (flags, kind) = (*payload.first()?, *payload.get(1)?);
    // Version 1, protocol type GTP.
    if flags >> 4 != 3 || kind != G_PDU {
        return None;
    }
    let mut at = 8;
    if flags & 7 != 0 {
        // Sequence number, N-PDU number, and the type of the first extension header.
        let mut next = *payload.get(11)?;
        at = 12;
        while flags & 4 != 0 && next != 0 {
            let len = usize::from(*payload.get(at)?) * 4;
            if len == 0 {
                return None;
            }
            next = *payload.get(at + len - 1)?;
            at += len;
        }
    }
    payload.get(at..).filter(|inner| inner.first().is_some_and(|octet| [4, 6].contains(&(octet >> 4))))
}

/// The datagram that ESP in UDP would be without UDP; `None` where the datagram has none.
fn esp_without_udp(octets: &[u8]) -> Option<Vec<u8>> {
    let payload = udp_payload(octets, ESP_IN_UDP)?;
    // Four zeros are IKE, and one octet keeps the binding of a NAT.
    if payload.len() < 8 || payload.starts_with(&[0; 4]) {
        return None;
    }
    // The UDP header is what is in front of its payload.
    let payload_at = (payload.as_ptr() as usize).checked_sub(octets.as_ptr() as usize)?;
    let header = octets.get(..payload_at.checked_sub(8)?)?;
    let mut datagram = [header, payload].concat();
    let len = datagram.len();
    if header.first()? >> 4 == 4 {
        datagram.get_mut(2..4)?.copy_from_slice(&u16::try_from(len).ok()?.to_be_bytes());
        *datagram.get_mut(9)? = PROTOCOL_ESP;
        datagram.get_mut(10..12)?.fill(0);
        let words = datagram.get(..header.len())?.as_chunks().0;
        let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !((sum + (sum >> 16)) as u16);
        datagram.get_mut(10..12)?.copy_from_slice(&sum.to_be_bytes());
    } else {
        let len = u16::try_from(len - 40).ok()?;
        datagram.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
        // Extension headers and UDP at one port: the octet that named UDP is the last header's.
        let (mut names, mut at) = (6, 40);
        while at < header.len() {
            names = at;
            at += (usize::from(*datagram.get(at + 1)?) + 1) * 8;
        }
        *datagram.get_mut(names)? = PROTOCOL_ESP;
    }
    Some(datagram)
}

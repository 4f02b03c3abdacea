//! What several tests need.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod vectors;

use std::net::IpAddr;

use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Endpoint, Ports, SaSet, SaSpec, Selector};
use ipsec_3gpp::setup::{Port, PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::{Ck, Ik, Suite};

pub(crate) const CK: [u8; 16] = *b"\xb4\x0b\xa9\xa3\xc5\x8b\x2a\x05\xbb\xf0\xd9\x87\xb2\x1b\xf8\xcb";
pub(crate) const IK: [u8; 16] = *b"\xf7\x69\xbc\xd7\x51\x04\x46\x04\x12\x76\x72\x71\x1c\x6d\x34\x41";

pub(crate) fn keys(suite: Suite) -> SaKeys {
    SaKeys::expand(suite, &Ck::new(CK), &Ik::new(IK)).unwrap()
}

pub(crate) fn spi(value: u32) -> Spi {
    Spi::new(value).unwrap()
}

pub(crate) fn port(number: u16) -> Port {
    Port::from_peer(number).unwrap()
}

/// SPIs and ports of either side, those that make no sense included.
pub(crate) fn setup(spi_c: u32, spi_s: u32, port_c: u16, port_s: u16) -> Setup {
    Setup {
        spis: SpiPair { client: spi(spi_c), server: spi(spi_s) },
        ports: PortPair { client: port(port_c), server: port(port_s) },
    }
}

/// 10.0.0.2 or 2001:db8::2 is the UE, 10.0.0.1 or 2001:db8::1 the P-CSCF.
pub(crate) fn addresses(ipv6: bool) -> (IpAddr, IpAddr) {
    if ipv6 {
        ("2001:db8::2".parse().unwrap(), "2001:db8::1".parse().unwrap())
    } else {
        ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap())
    }
}

pub(crate) fn set(suite: Suite, ipv6: bool) -> SaSet {
    let (ue, pcscf) = addresses(ipv6);
    SaSet::new(
        Endpoint { address: ue, setup: setup(1001, 1002, 40001, 40002) },
        Endpoint { address: pcscf, setup: setup(2001, 2002, 50001, 50002) },
        keys(suite),
    )
    .unwrap()
}

pub(crate) fn any_port(keys: &SaKeys, number: u32, source: IpAddr, destination: IpAddr) -> SaSpec<'_> {
    SaSpec { spi: spi(number), selector: Selector { source, destination, ports: Ports::Any }, keys }
}

/// A UDP datagram with such data.
pub(crate) fn udp(from: (IpAddr, u16), to: (IpAddr, u16), data: &[u8]) -> Vec<u8> {
    use etherparse::PacketBuilder;
    let builder = match (from.0, to.0) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
        }
        _ => panic!("two address families"),
    };
    let mut packet = Vec::new();
    builder.udp(from.1, to.1).write(&mut packet, data).unwrap();
    packet
}

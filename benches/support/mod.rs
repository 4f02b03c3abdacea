//! Shared by the benchmarks: SAs of every suite, datagrams, and the same work composed from
//! the crates alone.

#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark may stop"
)]

pub mod heap;
pub mod node;
pub mod plain;

use etherparse::PacketBuilder;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Inbound, Limits, Outbound, Ports, SaSpec, Selector, WindowSize};
use ipsec_3gpp::spi::Spi;
use ipsec_3gpp::{Ck, Ik, Suite};

/// Octets of UDP header and data: a small response, a SIP request without a body, IPv4's smallest
/// MTU, a REGISTER, what fills an Ethernet frame, and what is sent in fragments.
pub const SIZES: [usize; 6] = [64, 300, 576, 1000, 1400, 4000];

pub const SOURCE: [u8; 4] = [10, 0, 0, 2];
pub const DESTINATION: [u8; 4] = [10, 0, 0, 1];

/// The suite of a benchmark that has one: with `aes-gcm` among its arguments, that.
pub fn suite() -> Suite {
    if std::env::args().any(|argument| argument == "aes-gcm") { Suite::AES_GCM } else { node::SUITE }
}

pub fn keys(suite: Suite) -> SaKeys {
    let ck = Ck::new(*b"\x56\xf8\x01\x62\xa4\x3b\x9c\x11\x2d\xe0\x77\x18\x49\x5a\xbb\xc3");
    let ik = Ik::new(*b"\xf7\x69\xbc\xd7\x51\x04\x46\x04\x12\x76\x72\x71\x1c\x6d\x34\x41");
    SaKeys::expand(suite, &ck, &ik).unwrap()
}

/// Keys of which there are many.
pub fn keys_of(suite: Suite, number: u8) -> SaKeys {
    let ck = Ck::new(std::array::from_fn(|n| (n as u8).wrapping_mul(37) ^ number.wrapping_mul(5)));
    let ik = Ik::new(std::array::from_fn(|n| (n as u8).wrapping_mul(91) ^ number));
    SaKeys::expand(suite, &ck, &ik).unwrap()
}

pub fn spi() -> Spi {
    Spi::new(0x1234_5678).unwrap()
}

pub fn spec(keys: &SaKeys) -> SaSpec<'_> {
    let ports = Ports::Exact { source: 6100, destination: 7060 };
    let selector = Selector { source: SOURCE.into(), destination: DESTINATION.into(), ports };
    SaSpec { spi: spi(), selector, keys }
}

/// An IPv4 datagram whose UDP header and data have this many octets.
pub fn datagram(payload: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..payload - 8).map(|n| (n * 31) as u8).collect();
    let mut datagram = Vec::new();
    PacketBuilder::ipv4(SOURCE, DESTINATION, 64).udp(6100, 7060).write(&mut datagram, &data).unwrap();
    datagram
}

pub fn outbound(suite: Suite) -> Outbound {
    Outbound::new(&spec(&keys(suite))).with_limits(endless(suite))
}

/// Limits that a bench does not reach: those of des-ede3-cbc end a sender after 2 MiB.
pub fn endless(suite: Suite) -> Limits {
    Limits::of(suite).with_hard_octets(None)
}

pub fn inbound(suite: Suite, window: u32) -> Inbound {
    Inbound::new(&spec(&keys(suite)), WindowSize::new(window).unwrap())
}

/// So many packets of one SA, with sequence numbers from 1 on.
pub fn packets(suite: Suite, payload: usize, count: usize) -> Vec<Vec<u8>> {
    let (mut sa, datagram) = (outbound(suite), datagram(payload));
    let seal = |_| {
        let mut packet = vec![0; datagram.len() + suite.growth(payload)];
        let sealed = sa.seal(&datagram, &mut packet).unwrap();
        assert_eq!(sealed.range, 0..packet.len());
        packet
    };
    (0..count).map(seal).collect()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

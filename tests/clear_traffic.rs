//! Traffic in clear: what must not pass without an SA, and that no header hides it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::net::{IpAddr, SocketAddr};

use ipsec_3gpp::esp::IpError;
use ipsec_3gpp::sa::{Checks, Endpoint, InstallError, Ports, SaSet, SaSpec, SealError, Selector, Side};
use ipsec_3gpp::{Sad, Suite};
use support::{addresses, any_port, keys, set, setup, spi, udp};

const SUITE: Suite = Suite::HMAC_SHA_1_96_NULL;
/// Ports of the set: of the UE, and of the P-CSCF.
const UE: [u16; 2] = [40001, 40002];
const PCSCF: [u16; 2] = [50001, 50002];

fn sad(side: Side, ipv6: bool) -> Sad {
    let mut sad = Sad::new();
    sad.add_set(&set(SUITE, ipv6), side).unwrap();
    sad
}

/// An IPv6 datagram from the UE to the P-CSCF: extension headers, each with its own number, and a
/// payload. The number of each header is written into the one before it.
fn chain(headers: &[(u8, &[u8])], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (ue, pcscf) = addresses(true);
    let mut packet = udp((ue, 0), (pcscf, 0), b"");
    packet.truncate(40);
    let mut next = 6;
    for (number, header) in headers {
        packet[next] = *number;
        next = packet.len();
        packet.extend(*header);
    }
    packet[next] = protocol;
    packet.extend(payload);
    let len = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    packet
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes(), [0, 8], [0, 0]].concat()
}

const HOP_BY_HOP: (u8, &[u8]) = (0, &[0, 0, 1, 4, 0, 0, 0, 0]);
const ROUTING: (u8, &[u8]) = (43, &[0, 0, 4, 0, 0, 0, 0, 0]);
const OPTIONS: (u8, &[u8]) = (60, &[0, 0, 1, 4, 0, 0, 0, 0]);
const LONG_OPTIONS: (u8, &[u8]) = (60, &[0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
const ATOMIC: (u8, &[u8]) = (44, &[0, 0, 0, 0, 1, 2, 3, 4]);
const FIRST: (u8, &[u8]) = (44, &[0, 0, 0, 1, 1, 2, 3, 4]);
const LATER: (u8, &[u8]) = (44, &[0, 0, 0, 8, 1, 2, 3, 4]);

#[test]
fn every_header_in_front_of_the_ports_is_read_or_an_error() {
    let sad = sad(Side::Pcscf, true);
    let to_protected = ports(UE[0], PCSCF[1]);
    let to_clear = ports(9, 5060);
    let chains: [&[(u8, &[u8])]; 8] = [
        &[],
        &[HOP_BY_HOP],
        &[ROUTING],
        &[OPTIONS],
        &[ROUTING, OPTIONS],
        &[HOP_BY_HOP, OPTIONS, ROUTING, LONG_OPTIONS],
        &[ATOMIC],
        &[ROUTING, LONG_OPTIONS, ATOMIC],
    ];
    for headers in chains {
        for protocol in [6, 17, 33, 132, 136] {
            let protected = chain(headers, protocol, &to_protected);
            assert_eq!(sad.is_protected(&protected), Ok(true), "{headers:?} {protocol}");
            assert_eq!(sad.is_protected(&chain(headers, protocol, &to_clear)), Ok(false));
            let cut = chain(headers, protocol, &to_protected[..3]);
            assert_eq!(sad.is_protected(&cut), Err(IpError::Truncated { needed: 4, found: 3 }));
        }
        for without_ports in [1, 2, 50, 58, 59] {
            assert_eq!(sad.is_protected(&chain(headers, without_ports, &to_protected)), Ok(false));
        }
        // IP in IP, GRE, AH, IPComp, Mobility, HIP, Shim6, and what nobody knows.
        for hidden in [4, 41, 47, 51, 108, 135, 139, 140, 253] {
            let packet = chain(headers, hidden, &to_protected);
            assert_eq!(sad.is_protected(&packet), Err(IpError::HiddenPorts(hidden)), "{headers:?}");
        }
        // As the input of the report: fragments whose header comes after others.
        for fragment in [FIRST, LATER] {
            let headers = [headers, &[fragment][..]].concat();
            assert_eq!(sad.is_protected(&chain(&headers, 17, &to_protected)), Err(IpError::Fragment));
        }
        // The last header ends with the datagram, or is cut off.
        let mut packet = chain(headers, 60, &[59, 0, 1, 4, 0, 0, 0, 0]);
        assert_eq!(sad.is_protected(&packet), Ok(false));
        packet.truncate(packet.len() - 1);
        let len = (packet.len() - 40) as u16;
        packet[4..6].copy_from_slice(&len.to_be_bytes());
        assert_eq!(sad.is_protected(&packet), Err(IpError::Truncated { needed: 8, found: 7 }));
        let half = chain(headers, 60, &[17, 1, 1, 4, 0, 0, 0, 0]);
        assert_eq!(sad.is_protected(&half), Err(IpError::Truncated { needed: 16, found: 8 }));
    }
}

#[test]
fn protocols_that_hide_ports_pass_where_nothing_is_protected() {
    let (ue, pcscf) = addresses(false);
    let sad = sad(Side::Pcscf, false);
    let mut packet = udp((ue, UE[0]), (pcscf, PCSCF[1]), b"x");
    for hidden in [4, 41, 47, 51, 0, 43, 44, 60] {
        packet[9] = hidden;
        assert_eq!(sad.is_protected(&packet), Err(IpError::HiddenPorts(hidden)));
        packet[19] ^= 8;
        assert_eq!(sad.is_protected(&packet), Ok(false), "at another address");
        packet[19] ^= 8;
    }
    // An SA for any ports takes all there is between its addresses.
    let keys = keys(SUITE);
    let mut any = Sad::new();
    any.add_outbound(&any_port(&keys, 4096, ue, pcscf)).unwrap();
    assert_eq!(any.is_protected(&packet), Ok(true));
}

#[test]
fn chains_of_headers_are_read_up_to_a_limit() {
    let sad = sad(Side::Pcscf, true);
    let to_protected = ports(UE[0], PCSCF[1]);
    for (kind, after_routing) in [(OPTIONS, false), (HOP_BY_HOP, false), (OPTIONS, true)] {
        let headers = |count: usize| {
            let mut headers = vec![kind; count];
            if after_routing {
                headers.insert(0, ROUTING);
            }
            headers
        };
        assert_eq!(sad.is_protected(&chain(&headers(7), 17, &to_protected)), Ok(true));
        assert_eq!(sad.is_protected(&chain(&headers(175), 17, &to_protected)), Err(IpError::Extensions));
        let mut out = [0; 3000];
        let received = Sad::new().open(&chain(&headers(175), 50, &to_protected), &mut out).unwrap_err();
        assert_eq!(received, IpError::Extensions.into());
    }
}

#[test]
fn an_end_is_protected_at_its_own_side_and_where_it_is_sent_to() {
    for ipv6 in [false, true] {
        let (ue, pcscf) = addresses(ipv6);
        let stranger: IpAddr = if ipv6 { "2001:db8::9" } else { "10.0.0.9" }.parse().unwrap();
        for (side, own, own_ports, peer, peer_ports) in
            [(Side::Ue, ue, UE, pcscf, PCSCF), (Side::Pcscf, pcscf, PCSCF, ue, UE)]
        {
            let sad = sad(side, ipv6);
            for (own_port, peer_port) in own_ports.into_iter().zip(peer_ports) {
                for (from, to, protected) in [
                    // Own ports, whoever the other end is.
                    ((stranger, 1), (own, own_port), true),
                    ((own, own_port), (stranger, 1), true),
                    // Sent to a protected port of the peer, and received from it.
                    ((own, 1), (peer, peer_port), true),
                    ((stranger, 1), (peer, peer_port), true),
                    ((peer, peer_port), (own, 5060), false),
                    ((peer, peer_port), (stranger, 1), false),
                    // The same ports at other addresses.
                    ((stranger, 1), (stranger, own_port), false),
                    ((own, 1), (stranger, peer_port), false),
                ] {
                    let found = sad.is_protected(&udp(from, to, b"x"));
                    assert_eq!(found, Ok(protected), "{side:?}: {from:?} -> {to:?}");
                }
            }
        }
    }
}

#[test]
fn ports_of_this_side_are_protected_before_the_first_sa_and_after_the_last() {
    let (ue, pcscf) = addresses(false);
    let named = SocketAddr::new(pcscf, PCSCF[1]);
    let mut sad = Sad::new().with_protected([named, named]);
    let clear = udp((ue, 9), (pcscf, PCSCF[1]), b"REGISTER");
    let mut hidden = clear.clone();
    hidden[9] = 4;
    let other = udp((ue, 9), (pcscf, PCSCF[0]), b"REGISTER");
    let all = |sad: &Sad| [&clear, &hidden, &other].map(|packet| sad.is_protected(packet));
    let hides = Err(IpError::HiddenPorts(4));
    assert_eq!(all(&sad), [Ok(true), hides, Ok(false)]);
    let id = sad.add_set(&set(SUITE, false), Side::Pcscf).unwrap();
    assert_eq!(all(&sad), [Ok(true), hides, Ok(true)]);
    assert!(sad.remove_set(&id));
    assert_eq!(all(&sad), [Ok(true), hides, Ok(false)]);

    // The same end in the form of a socket of both families.
    let IpAddr::V4(v4) = pcscf else { panic!() };
    let mapped = SocketAddr::new(v4.to_ipv6_mapped().into(), PCSCF[1]);
    sad.protect(mapped);
    assert!(sad.unprotect(mapped) && !sad.unprotect(named));
    assert_eq!(all(&sad), [Ok(false); 3]);
    sad.add_set(&set(SUITE, false), Side::Pcscf).unwrap();
    assert!(!sad.unprotect(named), "an SA has it, nobody named it");
    assert_eq!(all(&sad), [Ok(true), hides, Ok(true)]);
}

#[test]
fn the_reason_why_no_sa_is_for_a_datagram_is_what_could_not_be_read() {
    let mut sad = sad(Side::Ue, true);
    let mut out = [0; 200];
    for (packet, error) in [
        (chain(&[ROUTING, OPTIONS, FIRST], 17, &ports(UE[0], PCSCF[1])), IpError::Fragment),
        (chain(&[ROUTING], 17, &ports(UE[0], PCSCF[1])[..3]), IpError::Truncated { needed: 4, found: 3 }),
        (chain(&[], 41, &ports(UE[0], PCSCF[1])), IpError::HiddenPorts(41)),
    ] {
        assert_eq!(sad.seal(&packet, &mut out), Err(SealError::Ip(error)));
        assert_eq!(sad.target(&packet), Err(SealError::Ip(error)));
        let keys = keys(SUITE);
        let (source, destination) = addresses(true);
        let ports = Ports::Exact { source: UE[0], destination: PCSCF[1] };
        let spec = SaSpec { spi: spi(4096), selector: Selector { source, destination, ports }, keys: &keys };
        let alone = ipsec_3gpp::sa::Outbound::new(&spec).seal(&packet, &mut out);
        assert_eq!(alone, Err(SealError::Ip(error)));
    }
}

/// Two families in one SA: no packet goes between them, and none of it stays in the table.
#[test]
fn an_sa_between_two_families_is_refused() {
    let keys = keys(SUITE);
    let v4: IpAddr = "10.0.0.2".parse().unwrap();
    let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
    for (source, destination) in [(v4, mapped), (mapped, v4)] {
        for ports in [Ports::Any, Ports::Exact { source: 1, destination: 2 }] {
            let selector = Selector { source, destination, ports };
            let spec = SaSpec { spi: spi(5000), selector, keys: &keys };
            let mut sad = Sad::new();
            assert_eq!(sad.add_inbound(&spec), Err(InstallError::Families(selector)));
            assert_eq!(sad.add_outbound(&spec), Err(InstallError::Families(selector)));
            assert!(sad.is_empty());
            let v6 = udp((mapped, 1), ("2001:db8::9".parse().unwrap(), 7), b"x");
            assert_eq!(sad.is_protected(&v6), Ok(false));
        }
    }
}

/// A set like that of `set`, for one of many UEs.
fn set_of(number: u8) -> SaSet {
    let n = u32::from(number);
    SaSet::new(
        Endpoint {
            address: [10, 7, 0, number].into(),
            setup: setup(3000 + 2 * n, 3001 + 2 * n, UE[0], UE[1]),
        },
        Endpoint {
            address: addresses(false).1,
            setup: setup(4000 + 2 * n, 4001 + 2 * n, PCSCF[0], PCSCF[1]),
        },
        keys(SUITE),
    )
    .unwrap()
}

/// However many ports of peers there are, and however often a set is taken into use.
#[test]
fn ports_of_many_peers_are_protected_until_their_set_goes() {
    let pcscf = addresses(false).1;
    let mut sad = Sad::new();
    let ids: Vec<_> = (1..=120).map(|n| sad.add_set(&set_of(n), Side::Pcscf).unwrap()).collect();
    let to = |n: u8, port| udp((pcscf, 5060), ([10, 7, 0, n].into(), port), b"x");
    let all = |sad: &Sad, port| (1..=120).filter(|n| sad.is_protected(&to(*n, port)) == Ok(true)).count();
    assert_eq!((all(&sad, UE[0]), all(&sad, UE[1]), all(&sad, 5060)), (120, 120, 0));
    for id in &ids {
        assert!(sad.use_set(id) && sad.use_set(id));
    }
    for (gone, id) in ids.iter().enumerate() {
        assert_eq!((all(&sad, UE[0]), all(&sad, UE[1])), (120 - gone, 120 - gone));
        assert!(sad.remove_set(id));
    }
    assert!(sad.is_empty());
}

#[test]
fn an_sa_alone_protects_the_port_that_it_sends_to() {
    let (ue, pcscf) = addresses(false);
    let keys = keys(SUITE);
    let selector = Selector {
        source: pcscf,
        destination: ue,
        ports: Ports::Exact { source: PCSCF[0], destination: UE[1] },
    };
    let mut sad = Sad::new();
    let id = sad.add_outbound(&SaSpec { spi: spi(4096), selector, keys: &keys }).unwrap();
    let clear = udp((pcscf, 5060), (ue, UE[1]), b"x");
    assert_eq!(sad.is_protected(&clear), Ok(true));
    assert!(sad.remove_outbound(id).is_some());
    assert_eq!(sad.is_protected(&clear), Ok(false));
}

/// The checks of a table are those of the SAs that are installed from then on.
#[test]
fn a_table_has_checks() {
    let (ue, pcscf) = addresses(false);
    let keys = keys(SUITE);
    let spec = any_port(&keys, 4096, ue, pcscf);
    let stranger = udp((ue, 1), (pcscf, 2), b"x");
    let mut sender = ipsec_3gpp::sa::Outbound::new(&spec);
    let mut packet = [0; 100];
    let range = sender.seal(&stranger, &mut packet).unwrap().range;
    let exact =
        Selector { source: ue, destination: pcscf, ports: Ports::Exact { source: 9, destination: 2 } };
    for (checks, opens) in [(Checks::DEFAULT, false), (Checks::DEFAULT.with_any_source_port(), true)] {
        let mut sad = Sad::new().with_checks(checks);
        sad.add_inbound(&SaSpec { selector: exact, ..spec }).unwrap();
        assert_eq!(sad.open(&packet[range.clone()], &mut [0; 100]).is_ok(), opens);
    }
}

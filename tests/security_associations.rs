//! SAs and the table that holds them: what passes, what does not, and that nothing passes in clear.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use ipsec_3gpp::esp::{Backend, IpError, PacketError, TrailerError};
use ipsec_3gpp::sa::{
    Checks, Endpoint, Inbound, InstallError, Limits, OpenError, OpenJob, Outbound, Ports, ReplayError,
    SaName, SaSet, SealError, SealJob, Selector, SetError, Side, Warning, WindowError, WindowSize,
};
use ipsec_3gpp::{Sad, Suite};
use support::{addresses, keys, port, set, setup, spi, udp};

const SUITE: Suite = Suite::HMAC_SHA_1_96_NULL;

fn pair(suite: Suite, ipv6: bool) -> (Sad, Sad, SaSet) {
    let set = set(suite, ipv6);
    let (mut ue, mut pcscf) = (Sad::new(), Sad::new());
    ue.add_set(&set, Side::Ue).unwrap();
    pcscf.add_set(&set, Side::Pcscf).unwrap();
    (ue, pcscf, set)
}

/// ESP over IPv4 without encryption, with an ICV of another HMAC: whatever its payload and trailer.
fn authentic(number: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let (ue, pcscf) = addresses(false);
    let mut esp = [&number.to_be_bytes()[..], &sequence.to_be_bytes(), body].concat();
    let mut key = support::IK.to_vec();
    key.extend([0; 4]);
    let tag = Hmac::<sha1::Sha1>::new_from_slice(&key).unwrap().chain_update(&esp).finalize().into_bytes();
    esp.extend(&tag[..12]);
    let mut packet = udp((ue, 0), (pcscf, 0), &esp[8..]);
    packet.truncate(20);
    packet[9] = 50;
    // One protocol number less 17, so the checksum of the header changes by as much.
    let sum = u32::from(u16::from_be_bytes([packet[10], packet[11]]));
    let sum = sum + 0xffff - (50 - 17);
    packet[10..12].copy_from_slice(&(((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    packet.extend(esp);
    packet
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes(), [0, 8], [0, 0]].concat()
}

#[test]
fn each_of_the_four_sas_carries_its_own_traffic_with_its_own_spi() {
    for suite in Suite::ALL {
        for ipv6 in [false, true] {
            let (mut ue_sad, mut pcscf_sad, _) = pair(suite, ipv6);
            let (ue, pcscf) = addresses(ipv6);
            for (from, to, number) in [
                ((ue, 40001), (pcscf, 50002), 2002),
                ((pcscf, 50002), (ue, 40001), 1001),
                ((pcscf, 50001), (ue, 40002), 1002),
                ((ue, 40002), (pcscf, 50001), 2001),
            ] {
                let (sender, receiver) =
                    if from.0 == ue { (&mut ue_sad, &mut pcscf_sad) } else { (&mut pcscf_sad, &mut ue_sad) };
                let plain = udp(from, to, b"OPTIONS sip:x SIP/2.0\r\n\r\n");
                assert_eq!(sender.is_protected(&plain), Ok(true));
                assert_eq!(receiver.is_protected(&plain), Ok(true), "in clear it must be discarded");
                let (mut packet, mut out) = ([0; 200], [0; 200]);
                let range = sender.seal(&plain, &mut packet).unwrap().range;
                // What a side sent is not what it accepts: nothing can be reflected.
                assert!(
                    matches!(sender.open(&packet[range.clone()], &mut out), Err(OpenError::NoSa(n)) if n == number)
                );
                let arrived = receiver.open(&packet[range], &mut out).unwrap();
                assert_eq!(arrived.opened.spi, spi(number));
                assert_eq!(out[arrived.opened.range.clone()], plain);
                let sa = receiver.inbound(arrived.sa).unwrap();
                assert_eq!((sa.spi(), sa.counters().packets), (spi(number), 1));
                assert_eq!(receiver.find_inbound(spi(number), to.0), Some(arrived.sa));
            }
        }
    }
}

#[test]
fn what_no_sa_is_for_is_an_error_and_never_a_clear_packet() {
    let (mut sad, _, _) = pair(SUITE, false);
    let (ue, pcscf) = addresses(false);
    for (source, destination) in [(40001, 50001), (40002, 50002), (5060, 5060), (40001, 50003)] {
        let plain = udp((ue, source), (pcscf, destination), b"x");
        let mut out = [0xee; 200];
        let error = sad.seal(&plain, &mut out).unwrap_err();
        let ports = Ports::Exact { source, destination };
        assert_eq!(error, SealError::NoSa(Selector { source: ue, destination: pcscf, ports }));
        assert_eq!(out, [0xee; 200]);
        // There is no SA for it, and to or from a protected port nothing passes in clear either.
        assert_eq!(sad.is_protected(&plain), Ok(source != 5060), "{source} -> {destination}");
    }
    let strangers = udp((ue, 9999), (pcscf, 50002), b"x");
    assert_eq!(sad.is_protected(&strangers), Ok(true));
    let elsewhere = udp((pcscf, 40001), (ue, 50002), b"x");
    assert_eq!(sad.is_protected(&elsewhere), Ok(false), "these ports are of the other ends");
    // ICMP between the two has no ports and no SA.
    let mut icmp = udp((ue, 40001), (pcscf, 50002), b"");
    icmp[9] = 1;
    assert!(matches!(sad.seal(&icmp, &mut [0; 200]), Err(SealError::NoSa(_))));
    let mut fragment = udp((ue, 40001), (pcscf, 50002), b"");
    fragment[6] = 0x20;
    assert_eq!(sad.seal(&fragment, &mut [0; 200]), Err(SealError::Ip(IpError::Fragment)));
    assert_eq!(sad.counters().no_outbound_sa, 6);
}

#[test]
fn an_sa_refuses_a_datagram_of_another() {
    let set = set(SUITE, false);
    let (ue, pcscf) = addresses(false);
    let mut sa = Outbound::new(&set.sa(SaName::UeClientToPcscfServer));
    let plain = udp((ue, 40001), (pcscf, 50001), b"x");
    assert!(matches!(sa.seal(&plain, &mut [0; 200]), Err(SealError::Selector(_))));
    assert_eq!((sa.next_sequence(), sa.counters().refused), (Some(1), 1));
}

#[test]
fn the_inbound_order_is_kept_and_each_reason_has_its_counter() {
    let set = set(SUITE, false);
    let spec = set.sa(SaName::UeClientToPcscfServer);
    let mut sa = Inbound::new(&spec, WindowSize::default());
    let mut in_place = Inbound::new(&spec, WindowSize::default());
    let mut open = |packet: &[u8]| {
        let mut copied = packet.to_vec();
        let mut out = vec![0xee; 200];
        let result = sa.open(packet, &mut out).map(|opened| opened.sequence);
        let after = sa.counters();
        if let Err(error) = result {
            // Plaintext of a packet that was refused is nowhere to be found.
            let wiped = matches!(error, OpenError::Trailer(_) | OpenError::Dummy | OpenError::Ports(_));
            assert_eq!(out.iter().all(|octet| *octet == 0xee), !wiped);
            let after_the_headers = &out[20..];
            assert!(after_the_headers.iter().all(|octet| [0, 0xee].contains(octet)), "{error}: {out:x?}");
            assert_eq!(in_place.open_in_place(&mut copied), Err(error));
            if wiped {
                let body = &copied[28..packet.len() - 12];
                assert!(!body.is_empty() && body.iter().all(|octet| *octet == 0), "{error}");
            } else {
                assert_eq!(copied, packet, "{error}");
            }
            let _ = sa.open_in_place(&mut packet.to_vec());
        } else {
            assert!(in_place.open_in_place(&mut copied).is_ok());
        }
        (result, after)
    };
    let spi = 2002;
    let good = |sequence| authentic(spi, sequence, &[&ports(40001, 50002)[..], &[1, 2, 2, 17]].concat());
    assert_eq!(open(&good(1)).0, Ok(1));
    assert_eq!(open(&authentic(spi, 9, &[1, 2, 2])).0, Err(OpenError::Packet(PacketError::Length(23))));
    assert_eq!(open(&authentic(spi, 9, &[])).0, Err(OpenError::Packet(PacketError::Length(20))));
    assert_eq!(open(&authentic(2003, 9, &[0, 0, 0, 0])).0, Err(OpenError::NoSa(2003)));
    assert_eq!(open(&good(0)).0, Err(OpenError::Replay { sequence: 0, reason: ReplayError::Zero }));
    assert_eq!(open(&good(1)).0, Err(OpenError::Replay { sequence: 1, reason: ReplayError::Seen }));
    let mut forged = good(2);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(open(&forged).0, Err(OpenError::Icv { sequence: 2 }));
    // Authentic packets that are wrong inside use up their numbers (RFC 4303 3.4.3): each costs a
    // replay next to nothing.
    let pad_length = authentic(spi, 3, &[&ports(40001, 50002)[..], &[1, 2, 11, 17]].concat());
    assert_eq!(open(&pad_length).0, Err(OpenError::Trailer(TrailerError::PadLength(11))));
    assert_eq!(open(&pad_length).0, Err(OpenError::Replay { sequence: 3, reason: ReplayError::Seen }));
    let padding = authentic(spi, 9, &[&ports(40001, 50002)[..], &[1, 3, 2, 17]].concat());
    assert_eq!(open(&padding).0, Err(OpenError::Trailer(TrailerError::Padding)));
    assert_eq!(open(&good(9)).0, Err(OpenError::Replay { sequence: 9, reason: ReplayError::Seen }));
    assert_eq!(open(&authentic(spi, 4, &[1, 2, 2, 59])).0, Err(OpenError::Dummy));
    assert_eq!(open(&good(4)).0, Err(OpenError::Replay { sequence: 4, reason: ReplayError::Seen }));
    for (sequence, body) in [
        (5, [&ports(40001, 50001)[..], &[1, 2, 2, 17]].concat()),
        (6, [&ports(40002, 50002)[..], &[1, 2, 2, 6]].concat()),
        // ICMP, and UDP too short to have ports.
        (7, [&ports(40001, 50002)[..], &[1, 2, 2, 1]].concat()),
        (8, [0x9c, 0x41, 2, 17].to_vec()),
    ] {
        let error = open(&authentic(spi, sequence, &body)).0.unwrap_err();
        let expected = if sequence == 8 {
            OpenError::Trailer(TrailerError::Padding)
        } else {
            OpenError::Ports(support::spi(spi))
        };
        assert_eq!(error, expected);
    }
    open(&good(200)).0.unwrap();
    let (last, counters) = open(&good(136));
    assert_eq!(last, Err(OpenError::Replay { sequence: 136, reason: ReplayError::Old }));
    // Everything but what was opened was tried twice, in place the second time; a number that was
    // used up is a replay then. The last was counted once so far.
    assert_eq!((counters.packets, counters.octets), (2, 16));
    assert_eq!((counters.malformed, counters.icv, counters.trailer), (4, 2, 3));
    assert_eq!((counters.dummy, counters.ports), (1, 3));
    assert_eq!((counters.replayed, counters.late), (2 + 2 + 3 * 3 + 3 + 1, 1));
}

#[test]
fn no_bit_of_either_address_may_differ() {
    for ipv6 in [false, true] {
        let (set, (from, to)) = (set(SUITE, ipv6), addresses(ipv6));
        let spec = set.sa(SaName::UeClientToPcscfServer);
        let (mut sender, mut receiver) = (Outbound::new(&spec), Inbound::new(&spec, WindowSize::default()));
        let plain = udp((from, 40001), (to, 50002), b"x");
        let mut sealed = [0; 200];
        let range = sender.seal(&plain, &mut sealed).unwrap().range;
        let place = if ipv6 { 8..40 } else { 12..20 };
        for (at, bit) in place.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut other = plain.clone();
            other[at] ^= 1 << bit;
            let refused = sender.seal(&other, &mut [0; 200]);
            assert!(matches!(refused, Err(SealError::Selector(_))), "bit {bit} of octet {at}");
            let mut other = sealed[range.clone()].to_vec();
            other[at] ^= 1 << bit;
            if !ipv6 {
                let sum = etherparse::Ipv4HeaderSlice::from_slice(&other).unwrap().to_header();
                other[10..12].copy_from_slice(&sum.calc_header_checksum().to_be_bytes());
            }
            assert_eq!(receiver.open_in_place(&mut other), Err(OpenError::Addresses(spi(2002))));
        }
        assert!(receiver.open_in_place(&mut sealed[range]).is_ok());
    }
}

#[test]
fn an_spi_that_two_destinations_have_is_told_apart_by_every_octet_of_them() {
    let keys = keys(SUITE);
    for ipv6 in [false, true] {
        let (from, to) = addresses(ipv6);
        for at in 0..if ipv6 { 16 } else { 4 } {
            let other: IpAddr = match to {
                IpAddr::V4(to) => {
                    let mut octets = to.octets();
                    octets[at] ^= 1;
                    octets.into()
                }
                IpAddr::V6(to) => {
                    let mut octets = to.octets();
                    octets[at] ^= 1;
                    octets.into()
                }
            };
            let specs = [to, other].map(|to| support::any_port(&keys, 5000, from, to));
            let mut sad = Sad::new();
            let ids = specs.each_ref().map(|spec| sad.add_inbound(spec).unwrap());
            for (spec, id) in specs.iter().zip(ids) {
                let mut packet = [0; 200];
                let plain = udp((from, 1), (spec.selector.destination, 2), b"x");
                let range = Outbound::new(spec).seal(&plain, &mut packet).unwrap().range;
                assert_eq!(sad.open_in_place(&mut packet[range]).unwrap().sa, id, "octet {at}");
            }
        }
    }
}

#[test]
fn other_addresses_are_refused_before_the_packet_is_verified() {
    let (mut ue, _, set) = pair(SUITE, true);
    let (from, to) = addresses(true);
    let mut packet = [0; 200];
    let range = ue.seal(&udp((from, 40001), (to, 50002), b"x"), &mut packet).unwrap().range;
    let mut sa = Inbound::new(&set.sa(SaName::UeClientToPcscfServer), WindowSize::default());
    let mut other = packet[range.clone()].to_vec();
    other[23] ^= 1;
    assert_eq!(sa.open_in_place(&mut other), Err(OpenError::Addresses(spi(2002))));
    assert_eq!((sa.counters().addresses, sa.window().highest()), (1, 0));
    assert!(sa.open_in_place(&mut packet[range]).is_ok());
}

#[test]
fn another_source_port_passes_only_where_that_was_asked_for() {
    let set = set(SUITE, false);
    let spec = set.sa(SaName::UeClientToPcscfServer);
    let mut sa =
        Inbound::new(&spec, WindowSize::default()).with_checks(Checks::DEFAULT.with_any_source_port());
    let packet = |sequence, source, destination| {
        authentic(2002, sequence, &[&ports(source, destination)[..], &[1, 2, 2, 17]].concat())
    };
    assert!(sa.open(&packet(1, 40007, 50002), &mut [0; 100]).is_ok());
    assert!(sa.open(&packet(2, 40001, 50002), &mut [0; 100]).is_ok());
    assert!(sa.open(&packet(3, 40001, 50007), &mut [0; 100]).is_err());
    assert_eq!((sa.counters().other_source_port, sa.counters().ports, sa.counters().packets), (1, 1, 2));
}

#[test]
fn sequence_numbers_stop_before_they_repeat() {
    let set = set(SUITE, false);
    let (ue, pcscf) = addresses(false);
    let plain = udp((ue, 40001), (pcscf, 50002), b"x");
    let spec = set.sa(SaName::UeClientToPcscfServer);
    let mut sa = Outbound::new(&spec)
        .with_limits(Limits::of(spec.keys.suite()).with_soft_packets(u32::MAX - 2).with_soft_octets(None));
    let send =
        |sa: &mut Outbound| sa.seal(&plain, &mut [0; 100]).map(|sealed| (sealed.sequence, sealed.warning));
    assert_eq!(send(&mut sa), Ok((1, None)));
    assert!(!sa.advance_to(1), "backwards would use numbers twice");
    assert!(sa.advance_to(2), "where it is");
    assert_eq!(sa.next_sequence(), Some(2));
    assert!(sa.advance_to(u32::MAX - 2));
    assert_eq!(send(&mut sa), Ok((u32::MAX - 2, None)));
    assert_eq!(send(&mut sa), Ok((u32::MAX - 1, Some(Warning::Packets))));
    assert_eq!(send(&mut sa), Ok((u32::MAX, Some(Warning::Packets))));
    for _ in 0..3 {
        assert_eq!(send(&mut sa), Err(SealError::Exhausted(spi(2002))));
    }
    assert_eq!((sa.next_sequence(), sa.advance_to(u32::MAX)), (None, false));
    assert_eq!((sa.counters().packets, sa.counters().refused), (4, 3));
}

#[test]
fn des_ede3_warns_by_volume_and_stops() {
    let set = set(Suite::HMAC_MD5_96_DES_EDE3_CBC, false);
    let (ue, pcscf) = addresses(false);
    let plain = udp((ue, 40001), (pcscf, 50002), &[0; 992]);
    let mut sa = Outbound::new(&set.sa(SaName::UeClientToPcscfServer));
    let mut seal = || sa.seal(&plain, &mut [0; 1100]);
    // A quarter of 2^20 blocks, since four SAs share the key: SPI and number, IV, payload padded,
    // ICV.
    let (limit, each) = (2 * 1024 * 1024, 8 + 8 + 1008 + 12);
    let warned_after = (1..).find(|_| seal().unwrap().warning.is_some()).unwrap();
    assert_eq!(warned_after, limit / 4 * 3 / each + 1);
    let stopped_after = warned_after + (1..).find(|_| seal().is_err()).unwrap() - 1;
    assert_eq!(seal(), Err(SealError::Volume(spi(2002))));
    // With the largest packet it could have been more than the limit, and not before.
    let (now, before) = (stopped_after * each, (stopped_after - 1) * each);
    assert!(now + 65_535 > limit && before + 65_535 <= limit && now <= limit, "{now}");
    assert_eq!((sa.counters().refused, sa.next_sequence()), (2, None));
    // As a batch says.
    let mut out = [0; 1100];
    let mut jobs = [SealJob::new(&plain, &mut out)];
    sa.seal_batch(&mut jobs);
    assert_eq!(jobs[0].result(), Some(&Err(SealError::Volume(spi(2002)))));
    // Whoever raises the limit can go on.
    sa.set_limits(Limits::of(sa.suite()).with_hard_octets(None));
    assert_eq!(sa.seal(&plain, &mut [0; 1100]).unwrap().sequence, stopped_after as u32 + 1);
    let aes = Limits::of(Suite::HMAC_SHA_1_96_AES_CBC);
    assert_eq!((aes.soft_octets, aes.hard_octets), (None, None));
}

#[test]
fn a_window_that_begins_at_a_number_refuses_all_below() {
    let set = set(SUITE, false);
    let spec = set.sa(SaName::UeClientToPcscfServer);
    let good = |sequence| authentic(2002, sequence, &[&ports(40001, 50002)[..], &[1, 2, 2, 17]].concat());
    for size in [32, 64, 100, 65_536] {
        for begin in [1, 2, 63, 64, 65, 127, 128, 129, 1000, u32::MAX] {
            let new = || Inbound::new(&spec, WindowSize::new(size).unwrap());
            let mut sa = new();
            assert!(sa.advance_to(begin));
            for below in (begin.saturating_sub(size + 2).max(1)..begin).rev().step_by(7) {
                let refused = sa.open(&good(below), &mut [0; 100]);
                assert!(matches!(refused, Err(OpenError::Replay { .. })), "{below} below {begin}, {size}");
            }
            // What is above comes in any order, as in a window that has seen all below.
            let last = begin.saturating_add(70);
            for sequence in [begin, last].into_iter().chain(begin.max(last - 20)..last) {
                let expected = sa.window().would_accept(sequence).is_ok();
                assert_eq!(sa.open(&good(sequence), &mut [0; 100]).is_ok(), expected);
                assert!(expected || sequence == begin, "{sequence} from {begin} on");
                assert!(sa.open(&good(sequence), &mut [0; 100]).is_err());
            }
            assert!(!sa.advance_to(last), "it was delivered");
            assert!(last == u32::MAX || sa.advance_to(last + 1), "the next one");
        }
        let mut sa = Inbound::new(&spec, WindowSize::new(size).unwrap());
        assert!(!sa.advance_to(0));
        assert!(sa.open(&good(5), &mut [0; 100]).is_ok());
        assert!(sa.advance_to(6) && sa.open(&good(4), &mut [0; 100]).is_err());
    }
    let mut sad = Sad::new();
    let ids = sad.add_set(&set, Side::Pcscf).unwrap();
    let server = sad.find_inbound(spi(2002), addresses(false).1).unwrap();
    assert!(sad.advance_window_to(server, 8) && !sad.advance_window_to(server, 7));
    assert!(sad.open(&good(7), &mut [0; 100]).is_err() && sad.open(&good(8), &mut [0; 100]).is_ok());
    sad.remove_set(&ids);
    assert!(!sad.advance_window_to(server, 9));
}

#[test]
fn padding_that_does_not_count_passes_only_where_that_was_asked_for() {
    let set = set(SUITE, false);
    let spec = set.sa(SaName::UeClientToPcscfServer);
    let mut sa = Inbound::new(&spec, WindowSize::default()).with_checks(Checks::DEFAULT.with_any_padding());
    let packet =
        |sequence, trailer: &[u8]| authentic(2002, sequence, &[&ports(40001, 50002)[..], trailer].concat());
    let mut out = [0; 100];
    for (sequence, trailer) in [(1, [0, 0, 2, 17]), (2, [7, 9, 2, 17]), (3, [1, 2, 2, 17])] {
        let opened = sa.open(&packet(sequence, &trailer), &mut out).unwrap();
        assert_eq!(opened.range.len(), 28);
    }
    let too_long = sa.open(&packet(4, &[0, 0, 11, 17]), &mut out);
    assert_eq!(too_long, Err(OpenError::Trailer(TrailerError::PadLength(11))));
    // A dummy's padding is not counted in vain.
    assert_eq!(sa.open(&packet(5, &[0, 0, 2, 59]), &mut out), Err(OpenError::Dummy));
    let counters = sa.counters();
    assert_eq!((counters.other_padding, counters.trailer, counters.packets), (3, 1, 3));
}

#[test]
fn headers_that_esp_does_not_authenticate_are_refused_where_that_was_asked_for() {
    for ipv6 in [false, true] {
        let set = set(SUITE, ipv6);
        let spec = set.sa(SaName::UeClientToPcscfServer);
        let (ue, pcscf) = addresses(ipv6);
        let plain = udp((ue, 40001), (pcscf, 50002), b"x");
        // Options of IPv4: no operation, four times. Destination options of IPv6, for padding.
        let (header, option): (usize, &[u8]) =
            if ipv6 { (40, &[17, 0, 1, 4, 0, 0, 0, 0]) } else { (20, &[1, 1, 1, 1]) };
        let mut long = [&plain[..header], option, &plain[header..]].concat();
        if ipv6 {
            (long[5], long[6]) = (long[5] + 8, 60);
        } else {
            (long[0], long[3]) = (0x46, long[3] + 4);
        }
        let mut outbound = Outbound::new(&spec);
        let mut out = [0; 200];
        let [first, second] = [&plain, &long].map(|datagram| {
            let sealed = outbound.seal(datagram, &mut out).unwrap();
            out[sealed.range].to_vec()
        });
        let new = |checks| Inbound::new(&spec, WindowSize::default()).with_checks(checks);
        let mut sa = new(Checks::DEFAULT);
        assert!(sa.open(&first, &mut out).is_ok() && sa.open(&second, &mut out).is_ok());
        let mut sa = new(Checks::DEFAULT.with_plain_headers_only());
        assert!(sa.open(&first, &mut out).is_ok());
        assert_eq!(sa.open(&second, &mut out), Err(OpenError::Headers(spi(2002))));
        let mut jobs = [OpenJob::new(&second, &mut out)];
        sa.open_batch(&mut jobs);
        assert_eq!(jobs[0].result(), Some(&Err(OpenError::Headers(spi(2002)))));
        assert_eq!((sa.counters().addresses, sa.window().highest()), (2, 1));
    }
}

#[test]
fn transport_protocols_that_are_not_of_sip_are_refused_where_that_was_asked_for() {
    let set = set(SUITE, false);
    let spec = set.sa(SaName::UeClientToPcscfServer);
    let new = |checks| Inbound::new(&spec, WindowSize::default()).with_checks(checks);
    let packet = |sequence, len: usize, protocol: u8| {
        let mut body = [40001_u16.to_be_bytes(), 50002_u16.to_be_bytes()].concat();
        body.resize(len, 0);
        let pad = (4 - (len + 2) % 4) % 4;
        body.extend((1..=pad as u8).chain([pad as u8, protocol]));
        authentic(2002, sequence, &body)
    };
    let (mut any, mut sip) = (new(Checks::DEFAULT), new(Checks::DEFAULT.with_udp_and_tcp_only()));
    let mut refused = 0;
    for (n, (protocol, len, is_sip)) in [
        (17, 4, false),
        (17, 7, false),
        (17, 8, true),
        (6, 19, false),
        (6, 20, true),
        (33, 20, false),
        (132, 20, false),
        (136, 20, false),
    ]
    .into_iter()
    .enumerate()
    {
        let packet = packet(n as u32 + 1, len, protocol);
        assert!(any.open(&packet, &mut [0; 100]).is_ok(), "{protocol}, {len}");
        let expected = if is_sip { Ok(()) } else { Err(OpenError::Transport(protocol, len)) };
        assert_eq!(sip.open(&packet, &mut [0; 100]).map(drop), expected);
        refused += u32::from(!is_sip);
    }
    assert_eq!((sip.counters().ports, sip.counters().packets), (refused, 2));
}

#[test]
fn the_ids_of_one_table_are_nothing_to_another() {
    let (mut one, mut other) = (Sad::new(), Sad::new());
    let first = one.add_set(&set(SUITE, false), Side::Pcscf).unwrap();
    let second = other.add_set(&set(SUITE, true), Side::Pcscf).unwrap();
    assert_ne!(first, second);
    assert!(!other.remove_set(&first) && !other.use_set(&first));
    let [inbound, _] = first.inbound();
    let [outbound, _] = first.outbound();
    assert!(other.inbound(inbound).is_none() && other.outbound(outbound).is_none());
    assert!(other.remove_inbound(inbound).is_none() && other.remove_outbound(outbound).is_none());
    assert!(!other.advance_to(outbound, 9) && !other.advance_window_to(inbound, 9));
    assert_eq!((one.len(), other.len()), (4, 4));
}

#[test]
fn buffers_and_datagrams_that_are_too_small_or_too_large_are_named() {
    let set = set(Suite::HMAC_SHA_1_96_AES_CBC, false);
    let (ue, pcscf) = addresses(false);
    let spec = set.sa(SaName::UeClientToPcscfServer);
    let mut sa = Outbound::new(&spec);
    let plain = udp((ue, 40001), (pcscf, 50002), &[7; 100]);
    let needed = 20 + sa.suite().sealed_len(108);
    assert_eq!(sa.seal(&plain, &mut vec![0; needed - 1]), Err(SealError::Room { needed, found: needed - 1 }));
    let mut packet = vec![0; needed];
    assert_eq!(sa.seal(&plain, &mut packet).unwrap().sequence, 1, "nothing was used up");
    let mut inbound = Inbound::new(&spec, WindowSize::default());
    let body = needed - 8 - 16 - 12;
    assert_eq!(
        inbound.open(&packet, &mut vec![0; body - 1]),
        Err(OpenError::Room { needed: body, found: body - 1 })
    );
    assert!(inbound.open(&packet, &mut vec![0; body]).is_ok());

    let huge = |len| udp((ue, 40001), (pcscf, 50002), &vec![0; len]);
    let largest = sa.suite().max_payload(65535 - 20).unwrap() - 8;
    assert!(sa.seal(&huge(largest), &mut vec![0; 66000]).is_ok());
    assert_eq!(sa.seal(&huge(largest + 1), &mut vec![0; 66000]), Err(SealError::TooLong(largest + 9)));
    assert_eq!(sa.seal_with(1, &[0; 8], &plain, &mut packet), Err(SealError::Iv { needed: 16, found: 8 }));
}

#[test]
fn room_and_sizes_are_exact_for_every_suite() {
    for (suite, ipv6) in Suite::ALL.iter().flat_map(|suite| [(*suite, false), (*suite, true)]) {
        let set = set(suite, ipv6);
        let (ue, pcscf) = addresses(ipv6);
        let spec = set.sa(SaName::UeClientToPcscfServer);
        let (mut sa, mut other) = (Outbound::new(&spec), Outbound::new(&spec));
        for len in 0..40 {
            let plain = udp((ue, 40001), (pcscf, 50002), &vec![7; len]);
            let size = sa.sealed_size(&plain).unwrap();
            let mut packet = vec![0; size.len];
            assert_eq!(sa.seal(&plain, &mut packet).unwrap().range, 0..size.len);
            // In place: nothing is needed but headroom and tailroom.
            let mut room = [vec![0; size.headroom], plain.clone(), vec![0; size.tailroom]].concat();
            let range = size.headroom..size.headroom + plain.len();
            let short = room.len() - 1;
            let needed = size.tailroom;
            assert_eq!(
                other.seal_in_place(&mut room[..short], range.clone()),
                Err(SealError::Room { needed, found: needed - 1 })
            );
            let needed = size.headroom;
            assert_eq!(
                other.seal_in_place(&mut room[1..], range.start - 1..range.end - 1),
                Err(SealError::Room { needed, found: needed - 1 })
            );
            assert_eq!(other.seal_in_place(&mut room, range).unwrap().range, 0..size.len);
            assert_eq!(room, packet, "{suite}: {len} octets");
            // What it delivers is the datagram, and the same in place.
            let opened = Inbound::new(&spec, WindowSize::default()).open_in_place(&mut room).unwrap().range;
            assert_eq!(room[opened], plain);
        }
        let octets = (0..40).map(|len| len + 8).sum::<u64>();
        assert_eq!((sa.counters().packets, sa.counters().octets), (40, octets));
        assert_eq!((other.counters().octets, other.counters().refused), (octets, 80));
    }
}

#[test]
fn a_warning_by_volume_begins_after_the_last_octet_of_the_limit() {
    let set = set(SUITE, false);
    let (ue, pcscf) = addresses(false);
    let plain = udp((ue, 40001), (pcscf, 50002), b"twelve octets.");
    let spec = set.sa(SaName::UeClientToPcscfServer);
    let each = SUITE.sealed_len(plain.len() - 20) as u64;
    let limits = Limits::of(SUITE).with_soft_packets(u32::MAX).with_soft_octets(Some(3 * each));
    let mut sa = Outbound::new(&spec).with_limits(limits);
    for n in 1..6 {
        let warning = sa.seal(&plain, &mut [0; 100]).unwrap().warning;
        assert_eq!(warning, (n > 3).then_some(Warning::Octets), "packet {n}");
    }
}

#[test]
fn the_limit_by_volume_leaves_room_for_the_largest_packet() {
    let set = set(SUITE, false);
    let (ue, pcscf) = addresses(false);
    let plain = udp((ue, 40001), (pcscf, 50002), b"twelve octets.");
    let each = SUITE.sealed_len(plain.len() - 20) as u32;
    for (spare, sealed) in [(0, 4), (1, 4), (each - 1, 4), (each, 5)] {
        let limits = Limits::of(SUITE).with_hard_octets(Some(65_535 + 3 * each + spare));
        let mut sa = Outbound::new(&set.sa(SaName::UeClientToPcscfServer)).with_limits(limits);
        let seal = |_: &u32| sa.seal(&plain, &mut [0; 100]).is_ok();
        assert_eq!((0..10).take_while(seal).count(), sealed, "{spare} octets to spare");
    }
    let limits = Limits::of(Suite::HMAC_SHA_1_96_AES_CBC);
    assert_eq!(limits.soft_packets, (1 << 30) * 3 - 3, "three quarters of the numbers");
}

#[test]
fn an_sa_says_which_backend_it_has() {
    let set = set(SUITE, false);
    for backend in Backend::available() {
        let mut sad = Sad::new().with_backend(backend);
        let ids = sad.add_set(&set, Side::Ue).unwrap();
        let inbound = ids.inbound().map(|id| sad.inbound(id).unwrap().backend());
        let outbound = ids.outbound().map(|id| sad.outbound(id).unwrap().backend());
        assert_eq!((inbound, outbound), ([backend; 2], [backend; 2]));
    }
}

#[test]
fn a_set_is_installed_whole_or_not_at_all() {
    let first = set(SUITE, false);
    let (ue, pcscf) = addresses(false);
    let other = |ue_setup, pcscf_setup| {
        let end = |address, setup| Endpoint { address, setup };
        SaSet::new(end(ue, ue_setup), end(pcscf, pcscf_setup), keys(SUITE)).unwrap()
    };
    let mut sad = Sad::new();
    let installed = sad.add_set(&first, Side::Pcscf).unwrap();
    assert_eq!(sad.len(), 4);
    let taken = other(setup(3001, 3002, 40003, 40004), setup(3003, 2002, 50003, 50004));
    let error = InstallError::SpiInUse { spi: spi(2002), destination: pcscf };
    assert_eq!(sad.add_set(&taken, Side::Pcscf), Err(error));
    assert_eq!((sad.len(), sad.find_inbound(spi(3003), pcscf)), (4, None));
    // An SA without its set has a selector of its own; a whole set may share one.
    let shares = other(setup(3001, 3002, 40003, 40002), setup(3003, 3004, 50001, 50004));
    let shared = shares.sa(SaName::PcscfClientToUeServer);
    assert_eq!(sad.add_outbound(&shared), Err(InstallError::SelectorInUse(shared.selector)));
    let id = sad.add_set(&shares, Side::Pcscf).unwrap();
    assert!(sad.remove_set(&id) && sad.len() == 4);
    // A changeover: new SPIs and client ports, the server ports stay.
    let second = sad
        .add_set(&other(setup(3001, 3002, 40003, 40002), setup(3003, 3004, 50003, 50002)), Side::Pcscf)
        .unwrap();
    assert_eq!(sad.len(), 8);
    assert!(sad.remove_set(&installed));
    assert!(!sad.remove_set(&installed), "removed once");
    assert_eq!(sad.len(), 4);
    // The slots are used again, the names are not.
    let third = sad.add_set(&first, Side::Pcscf).unwrap();
    assert_ne!(third, installed);
    assert!(!sad.remove_set(&installed));
    assert!(installed.inbound().iter().all(|id| sad.inbound(*id).is_none()));
    assert!(sad.remove_set(&second) && sad.remove_set(&third) && sad.is_empty());
}

#[test]
fn ends_that_do_not_go_together_are_refused() {
    let ((ue, pcscf), (ue6, _)) = (addresses(false), addresses(true));
    let make = |ue: (IpAddr, _), pcscf: (IpAddr, _)| {
        let end = |(address, setup)| Endpoint { address, setup };
        SaSet::new(end(ue), end(pcscf), keys(SUITE)).map(drop)
    };
    let (u, p) = (setup(1001, 1002, 1, 2), setup(2001, 2002, 3, 4));
    assert_eq!(make((ue6, u), (pcscf, p)), Err(SetError::Families { ue: ue6, pcscf }));
    for (u, p, equal) in [
        (setup(1001, 1001, 1, 2), p, 1001),
        (u, setup(1001, 2002, 3, 4), 1001),
        (u, setup(2001, 1002, 3, 4), 1002),
        (u, setup(2001, 2001, 3, 4), 2001),
    ] {
        assert_eq!(make((ue, u), (pcscf, p)), Err(SetError::EqualSpis(spi(equal))));
    }
    // One port at one end is legal: the four selectors still differ. At both ends they would not.
    let (at_ue, at_pcscf) = (setup(1001, 1002, 5, 5), setup(2001, 2002, 3, 3));
    assert_eq!(make((ue, u), (pcscf, at_pcscf)), Ok(()));
    assert_eq!(make((ue, at_ue), (pcscf, p)), Ok(()));
    let equal = SetError::EqualPorts { ue: port(5), pcscf: port(3) };
    assert_eq!(make((ue, at_ue), (pcscf, at_pcscf)), Err(equal));
}

#[test]
fn windows_are_never_off() {
    assert_eq!(WindowSize::default().packets(), 64);
    for bad in [0, 1, 31, 65_537] {
        assert_eq!(WindowSize::new(bad), Err(WindowError(bad)));
    }
}

#[test]
fn received_datagrams_that_are_not_esp_of_a_known_sa_are_told_apart() {
    let (mut ue_sad, mut sad, _) = pair(SUITE, false);
    let (ue, pcscf) = addresses(false);
    let plain = udp((ue, 40001), (pcscf, 50002), b"x");
    let mut packet = [0; 200];
    let range = ue_sad.seal(&plain, &mut packet).unwrap().range;
    let packet = &packet[range];
    let mut open = |packet: &[u8]| sad.open(packet, &mut [0; 200]).map(drop);
    assert_eq!(open(&plain), Err(OpenError::NotEsp(17)));
    let mut fragment = packet.to_vec();
    fragment[6] |= 0x20;
    assert_eq!(open(&fragment), Err(OpenError::Ip(IpError::Fragment)));
    assert_eq!(
        open(&packet[..30]),
        Err(OpenError::Ip(IpError::Truncated { needed: packet.len(), found: 30 }))
    );
    assert_eq!(open(&[]), Err(OpenError::Ip(IpError::Truncated { needed: 20, found: 0 })));
    assert_eq!(open(&[0x75; 40]), Err(OpenError::Ip(IpError::Version(7))));
    let mut checksum = packet.to_vec();
    checksum[8] -= 1;
    assert_eq!(open(&checksum), Err(OpenError::Ip(IpError::Checksum)));
    assert_eq!(open(&authentic(7777, 1, &[0; 4])), Err(OpenError::NoSa(7777)));
    // Octets after the datagram, as Ethernet pads short ones, are no part of it.
    assert_eq!(open(&[packet, &[0; 9]].concat()), Ok(()));
    let counters = sad.counters();
    assert_eq!(
        (counters.not_esp, counters.fragments, counters.malformed, counters.no_inbound_sa),
        (1, 1, 4, 1)
    );
}

#[test]
fn nothing_prints_plaintext_keys_or_seeds() {
    let (mut ue, mut pcscf, _) = pair(SUITE, false);
    let (from, to) = addresses(false);
    let plain = udp((from, 40001), (to, 50002), b"SECRETSIP");
    let needle = format!("{:?}", b"SECRETSIP");
    let needle = needle.trim_matches(['[', ']']);
    assert!(format!("{plain:?}").contains(needle));
    let (mut out, mut back) = ([0; 200], [0; 200]);
    let mut jobs = [SealJob::new(&plain, &mut out)];
    assert!(!format!("{jobs:?}").contains(needle));
    ue.seal_batch(&mut jobs);
    let packet = jobs[0].packet().unwrap().to_vec();
    let mut jobs = [OpenJob::new(&packet, &mut back)];
    pcscf.open_batch(&mut jobs);
    let printed = format!("{jobs:?} {ue:?} {pcscf:?}");
    assert!(printed.contains("sequence: 1") && !printed.contains(needle), "{printed}");
    // Two tables differ in nothing but the seed.
    assert_eq!(format!("{:?}", Sad::new()), format!("{:?}", Sad::new()));
}

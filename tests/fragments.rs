//! Fragments, made and reassembled: what is whole comes back, and nothing else comes out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::net::IpAddr;
use std::time::Duration;

use etherparse::defrag::IpDefragPool;
use ipsec_3gpp::Moment;
use ipsec_3gpp::esp::IpError;
use ipsec_3gpp::fragments::{
    FragmentError, Fragments, Reassembly, ReassemblyError, ReassemblyLimits, Received,
};
use proptest::prelude::*;
use proptest::sample::select;
use support::{addresses, udp};

const NOW: Moment = Moment::from_millis(0);

fn sum(header: &mut [u8]) {
    (header[10], header[11]) = (0, 0);
    let sum: u32 = header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// A datagram with this many octets of UDP data and these headers in between: options of IPv4, or
/// extension headers of IPv6 by their numbers.
fn datagram(ipv6: bool, len: usize, between: &[u8]) -> Vec<u8> {
    let (ue, pcscf) = addresses(ipv6);
    let data: Vec<u8> = (0..len).map(|n| ((n * 31) >> 3) as u8).collect();
    let mut packet = udp((ue, 40001), (pcscf, 50002), &data);
    if ipv6 {
        let (mut next, mut at) = (6, 40);
        for number in between {
            let kind = std::mem::replace(&mut packet[next], *number);
            // Padding, a routing header of which nothing is left, or a fragment that is the whole.
            let padding = if [43, 44].contains(number) { [0, 0] } else { [1, 4] };
            let header = [kind, 0, padding[0], padding[1], 0, 0, 0, 0];
            packet.splice(at..at, header);
            (next, at) = (at, at + 8);
        }
        let len = (packet.len() - 40) as u16;
        packet[4..6].copy_from_slice(&len.to_be_bytes());
    } else {
        packet.splice(20..20, between.iter().copied());
        packet[0] = 0x45 + (between.len() / 4) as u8;
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[6] = 0;
        sum(&mut packet[..20 + between.len()]);
    }
    packet
}

fn fragments(packet: &[u8], mtu: usize, identification: u32) -> Result<Vec<Vec<u8>>, FragmentError> {
    let mut fragments = Fragments::new(packet, mtu, identification)?;
    let mut all = Vec::new();
    let mut out = vec![0xee; 70_000];
    while let Some(len) = fragments.write_next(&mut out)? {
        all.push(out[..len].to_vec());
    }
    assert_eq!(fragments.write_next(&mut out), Ok(None));
    Ok(all)
}

/// What every implementation agrees on: IPv4 headers but for identification, flags and checksum.
fn without_identification(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        packet[4..8].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

/// The UDP datagram that another implementation reassembles.
fn by_etherparse(all: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut pool = IpDefragPool::<(), ()>::new();
    let mut found = None;
    for fragment in all {
        let sliced = etherparse::SlicedPacket::from_ip(fragment).unwrap();
        if let Some(payload) = pool.process_sliced_packet(&sliced, (), ()).unwrap() {
            assert_eq!(found, None);
            found = Some(payload.payload);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_datagram_comes_back_from_its_fragments_in_any_order(
        ipv6: bool,
        len in prop_oneof![0..3000_usize, 0..65_000_usize],
        mtu in prop_oneof![select(vec![1280_usize, 1500]), 92..3000_usize],
        between in prop_oneof![
            Just(vec![]), Just(vec![0]), Just(vec![43, 60]), Just(vec![0, 60, 43, 60]), Just(vec![60]),
        ],
        identification: u32,
        order in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        // Options of IPv4: the first is copied into each fragment, the others are not.
        let options: &[u8] = match between.len() { 0 => &[], 1 => &[0x94, 4, 0, 0], _ => &[7, 3, 4, 1, 0x94, 4, 0, 0] };
        let packet = datagram(ipv6, len, if ipv6 { &between } else { options });
        let mut all = fragments(&packet, mtu, identification).unwrap();
        if packet.len() <= mtu {
            prop_assert_eq!(&all, std::slice::from_ref(&packet));
            prop_assert_eq!(Reassembly::new(ReassemblyLimits::DEFAULT).receive(&packet, NOW), Ok(Received::Whole));
            return Ok(());
        }
        prop_assert!(all.iter().all(|fragment| fragment.len() <= mtu));
        // Those but the last are as long as they can be.
        let (last, others) = all.split_last().unwrap();
        prop_assert!(others.iter().all(|fragment| fragment.len() + 8 > mtu));
        prop_assert!(last.len() <= mtu);
        // It reads extension headers in each fragment, also where they are fragmented.
        if !ipv6 || between.len() <= 1 && between != [60] {
            let transport = by_etherparse(&all).unwrap();
            prop_assert!(packet.ends_with(&transport) && transport.len() == len + 8);
        }

        // Shuffled, and some of them twice.
        let mut random = seed | 1;
        let mut next = || { random ^= random << 13; random ^= random >> 7; random ^= random << 17; random as usize };
        for n in (1..all.len()).rev() {
            all.swap(n, next() % (n + 1));
        }
        let again = order.index(all.len());
        all.insert(again, all[again].clone());
        let mut limits = ReassemblyLimits::DEFAULT;
        limits.fragments = 9000;
        let mut reassembly = Reassembly::new(limits);
        let mut whole = None;
        for fragment in &all {
            // Link-layer padding is not of the datagram.
            let padded = [&fragment[..], &[0x77; 5]].concat();
            match reassembly.receive(&padded, NOW).unwrap() {
                Received::Reassembled(datagram) => prop_assert!(whole.replace(datagram).is_none()),
                Received::Incomplete => {}
                Received::Whole => prop_assert!(false),
            }
        }
        let whole = whole.unwrap();
        prop_assert_eq!(without_identification(&whole), without_identification(&packet));
        if !ipv6 {
            let mut summed = whole.clone();
            sum(&mut summed[..20 + options.len()]);
            prop_assert_eq!(summed, whole);
        }
        // The copy that came after the datagram was complete began another one.
        prop_assert!(reassembly.len() <= 1);
        prop_assert!(reassembly.counters().duplicates + reassembly.len() as u64 == 1);
    }

    /// A model with a map of octets: pieces as they come, with faults.
    #[test]
    fn what_overlaps_is_never_reassembled(
        ipv6: bool,
        pieces in prop::collection::vec((0..12_usize, 1..5_usize, any::<bool>(), any::<bool>(), 0..3_u8), 1..14),
    ) {
        let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT);
        let (mut octets, mut end, mut spoiled) = (std::collections::BTreeMap::new(), None, false);
        let mut known: Vec<(usize, Vec<u8>, bool)> = Vec::new();
        for (at, units, last, short, value) in pieces {
            if at == 0 && last {
                continue; // that would be whole
            }
            let len = units * 8 - usize::from(last && short) * 3;
            let data = vec![value; len];
            let packet = fragment(ipv6, at * 8, !last, &data);
            let (from, to) = (at * 8, at * 8 + len);
            let is_again = known.contains(&(from, data.clone(), last));
            let overlaps = (from..to).any(|octet| octets.contains_key(&octet));
            let contradicts = match end {
                Some(known_end) => last || to > known_end,
                None => last && octets.keys().any(|octet| *octet >= to),
            };
            let result = reassembly.receive(&packet, NOW);
            if spoiled || !is_again && (overlaps || contradicts) {
                prop_assert_eq!(result, Err(ReassemblyError::Overlap));
                spoiled = true;
                continue;
            }
            octets.extend((from..to).map(|octet| (octet, value)));
            known.push((from, data, last));
            if last {
                end = Some(to);
            }
            if end.is_some_and(|end| octets.len() == end) {
                let Ok(Received::Reassembled(whole)) = result else { panic!("{result:?}") };
                let expected: Vec<u8> = octets.values().copied().collect();
                prop_assert_eq!(&whole[if ipv6 { 40 } else { 20 }..], &expected);
                prop_assert!(reassembly.is_empty() && reassembly.octets() == 0);
                break;
            }
            prop_assert_eq!(result, Ok(Received::Incomplete));
        }
    }

    #[test]
    fn no_octets_make_it_panic(
        packets in prop::collection::vec((select(vec![0x45_u8, 0x46, 0x60]), prop::collection::vec(any::<u8>(), 8..120), 0..3_u8), 1..20),
        mtu in 0..200_usize,
    ) {
        let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT.with_octets(4000));
        for (first, mut packet, protocol) in packets {
            packet[0] = first;
            let len = packet.len();
            if first == 0x60 {
                packet[4..6].copy_from_slice(&(len.saturating_sub(40) as u16).to_be_bytes());
                packet[6] = [44, 60, 43][protocol as usize];
            } else if len >= 24 {
                packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                sum(&mut packet[..usize::from(first & 15) * 4]);
            }
            let _ = reassembly.receive(&packet, NOW);
            prop_assert!(reassembly.octets() <= 4000);
            if let Ok(mut fragments) = Fragments::new(&packet, mtu, 7) {
                let mut out = [0; 200];
                while fragments.write_next(&mut out).unwrap().is_some() {}
            }
        }
    }
}

/// A fragment of datagram 9 from `addresses`, with the protocol UDP.
fn fragment(ipv6: bool, offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
    let mut packet = datagram(ipv6, 0, &[]);
    if ipv6 {
        packet.truncate(40);
        packet[6] = 44;
        let place = (offset as u16 | u16::from(more)).to_be_bytes();
        packet.extend([17, 0, place[0], place[1], 0, 0, 0, 9]);
        packet.extend(data);
        let len = (packet.len() - 40) as u16;
        packet[4..6].copy_from_slice(&len.to_be_bytes());
    } else {
        packet.truncate(20);
        packet.extend(data);
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[4..6].copy_from_slice(&[0, 9]);
        let place = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
        packet[6..8].copy_from_slice(&place.to_be_bytes());
        sum(&mut packet[..20]);
    }
    packet
}

fn from_source(mut packet: Vec<u8>, source: IpAddr, identification: u8) -> Vec<u8> {
    match source {
        IpAddr::V4(source) => {
            packet[12..16].copy_from_slice(&source.octets());
            packet[5] = identification;
            sum(&mut packet[..20]);
        }
        IpAddr::V6(source) => {
            packet[8..24].copy_from_slice(&source.octets());
            packet[47] = identification;
        }
    }
    packet
}

#[test]
fn fragments_that_cannot_be_are_refused() {
    for ipv6 in [false, true] {
        let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT);
        let mut receive = |packet: &[u8]| reassembly.receive(packet, NOW);
        for (len, more, ok) in
            [(0, true, false), (0, false, false), (7, true, false), (9, true, false), (8, true, true)]
        {
            let result = receive(&fragment(ipv6, 64, more, &vec![0; len]));
            assert_eq!(result, if ok { Ok(Received::Incomplete) } else { Err(ReassemblyError::Length(len)) });
        }
        // An IP header says up to 65,535 octets: of IPv4 with itself, of IPv6 without.
        let most = if ipv6 { 65_535 } else { 65_515 };
        let last = most / 8 * 8;
        assert_eq!(receive(&fragment(ipv6, last, false, &vec![0; most - last])), Ok(Received::Incomplete));
        let long = fragment(ipv6, last, false, &vec![0; most - last + 1]);
        assert_eq!(receive(&long), Err(ReassemblyError::TooLong(most + 1)));
        let cut = fragment(ipv6, 0, true, &[0; 16]);
        assert!(matches!(
            receive(&cut[..cut.len() - 1]),
            Err(ReassemblyError::Ip(IpError::Truncated { .. }))
        ));
        assert_eq!(reassembly.counters().refused, 6);
    }
    let mut damaged = fragment(false, 0, true, &[0; 16]);
    damaged[8] ^= 1;
    let result = Reassembly::new(ReassemblyLimits::DEFAULT).receive(&damaged, NOW);
    assert_eq!(result, Err(IpError::Checksum.into()));
}

/// RFC 791 3.2 distinguishes datagrams by their protocol too; RFC 8200 4.5 does not, and takes
/// that of the first fragment.
#[test]
fn the_protocol_distinguishes_datagrams_of_ipv4_and_not_those_of_ipv6() {
    let now = Moment::from_millis(0);
    let with = |protocol: u8, ipv6, offset, more, data: &[u8]| {
        let mut fragment = fragment(ipv6, offset, more, data);
        fragment[if ipv6 { 40 } else { 9 }] = protocol;
        if !ipv6 {
            sum(&mut fragment[..20]);
        }
        fragment
    };
    let mut reassembly = Reassembly::new(ReassemblyLimits::default());
    for protocol in [6, 17] {
        let first = with(protocol, false, 0, true, &[protocol; 8]);
        assert_eq!(reassembly.receive(&first, now), Ok(Received::Incomplete));
    }
    assert_eq!(reassembly.len(), 2);
    for protocol in [17, 6] {
        let last = with(protocol, false, 8, false, &[protocol; 8]);
        let received = reassembly.receive(&last, now).unwrap();
        let Received::Reassembled(whole) = received else { panic!("{received:?}") };
        assert_eq!((whole[9], &whole[20..]), (protocol, &[protocol; 16][..]));
    }
    assert_eq!(reassembly.receive(&with(59, true, 8, false, &[7; 8]), now), Ok(Received::Incomplete));
    let received = reassembly.receive(&with(17, true, 0, true, &[7; 8]), now).unwrap();
    let Received::Reassembled(whole) = received else { panic!("{received:?}") };
    assert_eq!((whole[6], &whole[40..]), (17, &[7; 16][..]));
    assert_eq!(reassembly.counters().reassembled, 3);
}

#[test]
fn an_atomic_fragment_is_whole_and_touches_no_other() {
    let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT);
    assert_eq!(reassembly.receive(&fragment(true, 0, true, &[1; 16]), NOW), Ok(Received::Incomplete));
    // The same addresses and identification (RFC 6946 4).
    assert_eq!(reassembly.receive(&fragment(true, 0, false, &[2; 16]), NOW), Ok(Received::Whole));
    let whole = reassembly.receive(&fragment(true, 16, false, &[3; 8]), NOW);
    let Ok(Received::Reassembled(whole)) = whole else { panic!("{whole:?}") };
    assert_eq!(whole[40..], [[1; 16].as_slice(), &[3; 8]].concat());
}

#[test]
fn a_datagram_with_an_overlap_stays_dropped_until_its_time_is_over() {
    for ipv6 in [false, true] {
        let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT);
        let mut receive =
            |packet: &[u8], second: u64| reassembly.receive(packet, Moment::from_millis(second * 1000));
        assert_eq!(receive(&fragment(ipv6, 0, true, &[1; 16]), 0), Ok(Received::Incomplete));
        assert_eq!(receive(&fragment(ipv6, 8, false, &[2; 16]), 1), Err(ReassemblyError::Overlap));
        for second in [2, 29] {
            assert_eq!(receive(&fragment(ipv6, 0, true, &[1; 16]), second), Err(ReassemblyError::Overlap));
            assert_eq!(receive(&fragment(ipv6, 16, false, &[2; 8]), second), Err(ReassemblyError::Overlap));
        }
        assert_eq!(receive(&fragment(ipv6, 0, true, &[1; 16]), 30), Ok(Received::Incomplete));
        assert!(matches!(receive(&fragment(ipv6, 16, false, &[2; 8]), 31), Ok(Received::Reassembled(_))));
        assert_eq!(reassembly.counters().timed_out, 0, "it was dropped for another reason");
    }
}

#[test]
fn time_runs_out_and_memory_comes_back() {
    let limits = ReassemblyLimits::DEFAULT.with_timeout(Duration::from_millis(500));
    let mut reassembly = Reassembly::new(limits);
    let at = Moment::from_millis;
    for n in 0..3 {
        let part = from_source(fragment(false, 0, true, &[0; 8]), [10, 9, 0, n].into(), n);
        let _ = reassembly.receive(&part, at(100 + u64::from(n)));
    }
    assert_eq!((reassembly.len(), reassembly.poll_timeout()), (3, Some(at(600))));
    reassembly.handle_timeout(at(599));
    assert_eq!(reassembly.len(), 3);
    reassembly.handle_timeout(at(601));
    assert_eq!((reassembly.len(), reassembly.poll_timeout()), (1, Some(at(602))));
    // A clock that steps back stands still.
    let late = from_source(fragment(false, 0, true, &[0; 8]), [10, 9, 0, 9].into(), 9);
    assert_eq!(reassembly.receive(&late, at(0)), Ok(Received::Incomplete));
    reassembly.handle_timeout(at(1100));
    assert_eq!((reassembly.len(), reassembly.poll_timeout()), (1, Some(at(1101))));
    reassembly.handle_timeout(at(1101));
    assert_eq!((reassembly.len(), reassembly.octets(), reassembly.poll_timeout()), (0, 0, None));
    assert_eq!(reassembly.counters().timed_out, 4);
}

#[test]
fn octets_are_counted_and_their_limit_is_the_last_that_fits() {
    for (ipv6, headers) in [(false, 20), (true, 40)] {
        // 64 for each datagram and fragment, and four times as many for the first.
        let first = 4 * 64 + 64 + headers + 80;
        let exact = ReassemblyLimits::DEFAULT.with_octets(first + 64 + 80);
        let mut reassembly = Reassembly::new(exact);
        assert_eq!(reassembly.receive(&fragment(ipv6, 0, true, &[1; 80]), NOW), Ok(Received::Incomplete));
        assert_eq!(reassembly.octets(), first);
        assert_eq!(reassembly.receive(&fragment(ipv6, 160, true, &[2; 80]), NOW), Ok(Received::Incomplete));
        assert_eq!((reassembly.octets(), reassembly.len()), (exact.octets, 1));
        let mut reassembly = Reassembly::new(exact.with_octets(exact.octets - 1));
        for offset in [0, 160] {
            let received = reassembly.receive(&fragment(ipv6, offset, true, &[1; 80]), NOW);
            assert_eq!(received, Ok(Received::Incomplete));
        }
        assert_eq!((reassembly.octets(), reassembly.len(), reassembly.counters().displaced), (0, 0, 1));
    }
}

#[test]
fn a_flood_of_one_source_displaces_its_own_and_no_limit_is_passed() {
    for ipv6 in [false, true] {
        let limits = ReassemblyLimits::DEFAULT.with_datagrams(20, 4).with_octets(20_000);
        let mut reassembly = Reassembly::new(limits);
        let address = |n: u16| -> IpAddr {
            // 64 bits of IPv6 are one source.
            if ipv6 { [0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into() } else { [10, 0, 0, 66].into() }
        };
        let phone: IpAddr = if ipv6 { "2001:db8:1::2".parse().unwrap() } else { [10, 0, 0, 2].into() };
        let first = from_source(fragment(ipv6, 0, true, &[1; 1000]), phone, 1);
        let second = from_source(fragment(ipv6, 1000, false, &[1; 1000]), phone, 1);
        assert_eq!(reassembly.receive(&first, NOW), Ok(Received::Incomplete));
        for n in 0..1000 {
            let part = from_source(fragment(ipv6, 0, true, &[0; 1200]), address(n), n as u8);
            assert_eq!(reassembly.receive(&part, NOW), Ok(Received::Incomplete));
            assert!(reassembly.len() <= 5 && reassembly.octets() <= 20_000);
        }
        assert_eq!(reassembly.counters().displaced, 1000 - 4);
        assert!(matches!(reassembly.receive(&second, NOW), Ok(Received::Reassembled(_))));
        // From many sources, the oldest goes.
        for n in 0..1000_u16 {
            let [high, low] = n.to_be_bytes();
            let source =
                if ipv6 { [0x2001, 0xdb8, 7, n, 0, 0, 0, 1].into() } else { [10, 7, high, low].into() };
            let part = from_source(fragment(ipv6, 0, true, &[0; 8]), source, 1);
            assert_eq!(reassembly.receive(&part, NOW), Ok(Received::Incomplete));
            assert!(reassembly.len() <= 20 && reassembly.octets() <= 20_000);
        }
        assert_eq!(reassembly.len(), 20);
        // The oldest of them has gone, the latest one can be completed.
        let last = if ipv6 { [0x2001, 0xdb8, 7, 999, 0, 0, 0, 1].into() } else { [10, 7, 3, 231].into() };
        let rest = from_source(fragment(ipv6, 8, false, &[0; 8]), last, 1);
        assert!(matches!(reassembly.receive(&rest, NOW), Ok(Received::Reassembled(_))));
    }
}

#[test]
fn many_small_fragments_and_large_ones_stay_within_the_limits() {
    let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT);
    for n in 0..64 {
        assert_eq!(
            reassembly.receive(&fragment(false, n * 16, true, &[0; 8]), NOW),
            Ok(Received::Incomplete)
        );
    }
    let one_more = fragment(false, 64 * 16, true, &[0; 8]);
    assert_eq!(reassembly.receive(&one_more, NOW), Err(ReassemblyError::TooMany(64)));
    assert_eq!(reassembly.receive(&one_more, NOW), Err(ReassemblyError::Overlap), "spoiled");
    assert!(reassembly.octets() < 1000, "nothing of it is kept");
    // One that is larger than all there may be goes itself.
    let mut small = Reassembly::new(ReassemblyLimits::DEFAULT.with_octets(3000));
    for n in 0..4 {
        let _ = small.receive(&fragment(false, n * 1000, true, &[0; 1000]), NOW);
        assert!(small.octets() <= 3000);
    }
    assert!(small.counters().displaced >= 1);
}

#[test]
fn datagrams_that_must_not_be_fragmented_and_small_mtus_are_named() {
    let mut packet = datagram(false, 2000, &[]);
    packet[6] = 0x40;
    sum(&mut packet[..20]);
    assert_eq!(fragments(&packet, 1500, 1), Err(FragmentError::DontFragment(1500)));
    assert_eq!(fragments(&packet, 2028, 1), Ok(vec![packet.clone()]));
    for (ipv6, least) in [(false, 28), (true, 56)] {
        let packet = datagram(ipv6, 100, &[]);
        assert_eq!(fragments(&packet, least - 1, 1), Err(FragmentError::Mtu(least - 1)));
        assert!(fragments(&packet, least, 1).unwrap().len() > 10);
        let mut small = Fragments::new(&packet, 80, 1).unwrap();
        let mut out = [0; 80];
        let needed = if ipv6 { 80 } else { 76 };
        let room = FragmentError::Room { needed, found: needed - 1 };
        assert_eq!(small.write_next(&mut out[..needed - 1]), Err(room));
        assert_eq!(small.write_next(&mut out), Ok(Some(needed)));
        let part = out[..needed].to_vec();
        assert_eq!(Fragments::new(&part, 60, 1).unwrap_err(), IpError::Fragment.into());
    }
    // What fits exactly is whole, and the last fragment fills what there is.
    for ipv6 in [false, true] {
        for packet in (2000..2008).map(|len| datagram(ipv6, len, &[])) {
            assert_eq!(fragments(&packet, packet.len(), 1), Ok(vec![packet.clone()]));
        }
        let headers = if ipv6 { 48 } else { 20 };
        for mtu in 1000..1008 {
            let first = (mtu - headers) & !7;
            let whole = datagram(ipv6, first + mtu - headers - 8, &[]);
            let all = fragments(&whole, mtu, 1).unwrap();
            let lens: Vec<_> = all.iter().map(Vec::len).collect();
            assert_eq!(lens, [headers + first, mtu]);
            let whole = datagram(ipv6, first + mtu - headers - 7, &[]);
            assert_eq!(fragments(&whole, mtu, 1).unwrap().len(), 3);
        }
    }
    // An atomic fragment has a fragment header already.
    for headers in [&[44][..], &[60, 44], &[0, 44], &[0, 43, 60, 44], &[44, 60], &[44, 43]] {
        let packet = datagram(true, 2000, headers);
        assert_eq!(fragments(&packet, 1280, 1), Err(IpError::Fragment.into()), "{headers:?}");
    }
}

#[test]
fn every_fragment_has_the_identification_and_the_whole_has_no_flags() {
    for (ipv6, at, number) in [(false, 4, &[0xcd, 0xef][..]), (true, 44, &[0x89, 0xab, 0xcd, 0xef])] {
        let packet = datagram(ipv6, 4000, &[]);
        let all = fragments(&packet, 1280, 0x89ab_cdef).unwrap();
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|fragment| fragment[at..at + number.len()] == *number));
        let mut reassembly = Reassembly::new(ReassemblyLimits::default());
        let now = Moment::from_millis(0);
        let received = all.iter().map(|fragment| reassembly.receive(fragment, now).unwrap()).last().unwrap();
        let Received::Reassembled(whole) = received else { panic!("{received:?}") };
        assert_eq!(without_identification(&whole), without_identification(&packet));
        if !ipv6 {
            assert_eq!(whole[6..8], [0, 0]);
            let header = etherparse::Ipv4HeaderSlice::from_slice(&whole).unwrap();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
        }
    }
}

/// Options without the flag "copied" are of the first fragment only (RFC 791 3.1).
#[test]
fn options_are_copied_where_they_say_so() {
    let options = [0x07, 7, 4, 0, 0, 0, 0, 0x94, 4, 0, 0, 0];
    let all = fragments(&datagram(false, 3000, &options), 1500, 5).unwrap();
    assert_eq!(all[0][20..32], options);
    for later in &all[1..] {
        assert_eq!(later[20..32], [1, 1, 1, 1, 1, 1, 1, 0x94, 4, 0, 0, 0]);
    }
    // "No operation" has no length, and the end is the end.
    for (options, later) in [
        ([1, 7, 3, 4, 1, 0x94, 4, 0, 0, 7, 2, 0], [1, 1, 1, 1, 1, 0x94, 4, 0, 0, 1, 1, 0]),
        ([7, 3, 4, 7, 3, 4, 0x94, 4, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1, 0x94, 4, 0, 0, 1, 1]),
        ([0, 7, 3, 4, 7, 3, 4, 0, 0, 0, 0, 0], [0, 7, 3, 4, 7, 3, 4, 0, 0, 0, 0, 0]),
    ] {
        let all = fragments(&datagram(false, 3000, &options), 1500, 5).unwrap();
        assert_eq!(all[0][20..32], options);
        assert!(all[1..].iter().all(|fragment| fragment[20..32] == later), "{options:?}");
    }
    // Options that are cut off do not make it read past them.
    for options in [[7, 0, 0, 0], [7, 200, 1, 1], [1, 1, 1, 7], [0, 7, 7, 7], [0x94, 4, 1, 1]] {
        let all = fragments(&datagram(false, 3000, &options), 1500, 5).unwrap();
        assert_eq!(all.len(), 3);
    }
}

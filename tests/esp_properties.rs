//! ESP against models: what is sealed opens, windows behave as sets, lengths are exact.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::collections::BTreeSet;

use ipsec_3gpp::esp::{Backend, Family};
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{
    Inbound, Limits, OpenError, Outbound, ReplayError, SaName, SealError, SealJob, Side, WindowSize,
};
use ipsec_3gpp::{Sad, Suite};
use proptest::prelude::*;
use proptest::sample::select;
use support::{addresses, any_port, keys, set, udp};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn every_suite_family_and_length_opens_to_what_was_sealed() {
    let data: Vec<u8> = (0..2048_u32).map(|n| ((n * 31) >> 3) as u8).collect();
    for suite in Suite::ALL {
        for ipv6 in [false, true] {
            let (ue, pcscf) = addresses(ipv6);
            let set = set(suite, ipv6);
            let spec = set.sa(SaName::UeClientToPcscfServer);
            let (mut outbound, mut inbound) =
                (Outbound::new(&spec), Inbound::new(&spec, WindowSize::default()));
            // They are more than des-ede3-cbc may have.
            outbound.set_limits(Limits::of(suite).with_hard_octets(None));
            for len in 0..=2048 {
                let plain = udp((ue, 40001), (pcscf, 50002), &data[..len]);
                let mut sealed = vec![0xee; plain.len() + suite.max_growth()];
                let result = outbound.seal(&plain, &mut sealed).unwrap();
                assert_eq!(result.range.len(), plain.len() + suite.growth(len + 8), "{suite}, {len}");
                let packet = &mut sealed[result.range];
                let mut out = vec![0xee; packet.len()];
                let opened = inbound.open(packet, &mut out).unwrap();
                assert_eq!(out[opened.range], plain, "{suite}, {len}");
                assert_eq!(opened.sequence as usize, len + 1);
                assert_eq!(
                    inbound.open(packet, &mut out).unwrap_err(),
                    OpenError::Replay { sequence: opened.sequence, reason: ReplayError::Seen }
                );
            }
            assert_eq!((inbound.counters().packets, inbound.counters().replayed), (2049, 2049));
        }
    }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn in_place_and_copied_are_the_same_octets(
        suite in select(Suite::ALL.to_vec()),
        ipv6: bool,
        data in proptest::collection::vec(any::<u8>(), 0..2048),
        before in 0..64_usize,
        after in 0..64_usize,
    ) {
        let (ue, pcscf) = addresses(ipv6);
        let set = set(suite, ipv6);
        let mut pcscf_sad = Sad::new();
        pcscf_sad.add_set(&set, Side::Pcscf).unwrap();
        let (mut copying, mut moving) = (Sad::new(), Sad::new());
        copying.add_set(&set, Side::Ue).unwrap();
        moving.add_set(&set, Side::Ue).unwrap();
        let plain = udp((ue, 40001), (pcscf, 50002), &data);
        let mut copy = vec![0; plain.len() + suite.max_growth()];
        let sealed = copying.seal(&plain, &mut copy).unwrap();
        let mut buffer = vec![0x55; before];
        buffer.extend(&plain);
        buffer.resize(before + plain.len() + after, 0x55);
        let untouched = buffer.clone();
        let range = before..before + plain.len();
        let (headroom, tailroom) = (suite.headroom(), suite.tailroom(data.len() + 8));
        match moving.seal_in_place(&mut buffer, range) {
            Ok(in_place) => {
                prop_assert!(before >= headroom && after >= tailroom);
                prop_assert_eq!(&buffer[in_place.range.clone()], &copy[sealed.range]);
                prop_assert_eq!(in_place.range, before - headroom..before + plain.len() + tailroom);
                prop_assert!(buffer[..before - headroom].iter().chain(&buffer[before + plain.len() + tailroom..]).all(|octet| *octet == 0x55));
                let end = before + plain.len() + tailroom;
                let arrived = pcscf_sad.open_in_place(&mut buffer[before - headroom..end]).unwrap();
                prop_assert_eq!(&buffer[before - headroom..][arrived.opened.range], &plain);
            }
            Err(error) => {
                prop_assert!(before < headroom || after < tailroom);
                let is_room = matches!(error, SealError::Room { .. });
                prop_assert!(is_room);
                prop_assert_eq!(buffer, untouched);
                let id = moving.find_outbound(&set.sa(SaName::UeClientToPcscfServer).selector).unwrap();
                prop_assert_eq!(moving.outbound(id).unwrap().next_sequence(), Some(1));
            }
        }
    }

    #[test]
    fn no_octets_make_opening_or_sealing_panic(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        version in select(vec![0x45_u8, 0x60, 0x4f, 0x46]),
        protocol in select(vec![50_u8, 0, 43, 44, 60, 17]),
        of_the_sa: bool,
    ) {
        let mut octets = octets;
        let len = octets.len();
        let write = |octets: &mut Vec<u8>, at: usize, value: u8| if at < len { octets[at] = value };
        write(&mut octets, 0, version);
        write(&mut octets, if version == 0x60 { 6 } else { 9 }, protocol);
        if version == 0x60 && len >= 40 {
            write(&mut octets, 4, 0);
            write(&mut octets, 5, (len - 40) as u8);
        } else {
            write(&mut octets, 2, 0);
            write(&mut octets, 3, len as u8);
        }
        let (ue, pcscf) = addresses(false);
        if of_the_sa && version == 0x45 && len >= 28 {
            // As far as the sequence number and the ICV.
            octets[6..8].fill(0);
            octets[9] = 50;
            octets[10..12].fill(0);
            octets[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
            octets[20..24].copy_from_slice(&256_u32.to_be_bytes());
            let sum: u32 = octets[..20].chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            octets[10..12].copy_from_slice(&(!((sum + (sum >> 16)) as u16)).to_be_bytes());
        }
        let keys = keys(Suite::HMAC_MD5_96_AES_CBC);
        let spec = any_port(&keys, 256, ue, pcscf);
        let opened = Inbound::new(&spec, WindowSize::default()).open(&octets, &mut [0; 300]);
        if of_the_sa && version == 0x45 && len >= 28 {
            let reached = matches!(
                opened,
                Err(OpenError::Packet(_) | OpenError::Icv { .. } | OpenError::Replay { .. })
            );
            prop_assert!(reached, "{opened:?}");
        }
        let _ = Outbound::new(&spec).seal(&octets, &mut [0; 300]);
        let _ = Outbound::new(&spec).seal_in_place(&mut octets.clone(), 0..len);
        let mut sad = Sad::new();
        sad.add_inbound(&spec).unwrap();
        let _ = sad.is_protected(&octets);
        let _ = sad.open_in_place(&mut octets);
    }
}

/// RFC 4303 3.4.3 as a set: nothing to the left of the window, nothing twice, and 0 never.
struct Model {
    size: u32,
    delivered: BTreeSet<u32>,
}

impl Model {
    fn verdict(&self, sequence: u32) -> Result<(), ReplayError> {
        let highest = self.delivered.last().copied().unwrap_or(0);
        if sequence == 0 {
            Err(ReplayError::Zero)
        } else if u64::from(sequence) + u64::from(self.size) <= u64::from(highest) {
            Err(ReplayError::Old)
        } else if self.delivered.contains(&sequence) {
            Err(ReplayError::Seen)
        } else {
            Ok(())
        }
    }
}

/// Steps around the window's edges, small and large, and jumps to anywhere.
fn step(size: u32) -> impl Strategy<Value = i64> {
    let size = i64::from(size);
    prop_oneof![
        4 => -3..=3_i64,
        3 => -size - 2..=2,
        2 => prop::sample::select(vec![-size - 1, -size, -size + 1, -64, 63, 64, 65, size - 1, size, size + 1, 2 * size + 64]),
        1 => 0..100_000_i64,
    ]
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn the_window_is_the_set_of_what_was_delivered(
        (size, steps) in select(vec![32_u32, 33, 63, 64, 65, 96, 128, 1000, 1024, 4095, 4096])
            .prop_flat_map(|size| (Just(size), proptest::collection::vec((step(size), any::<bool>()), 1..400))),
        start in select(vec![0_u32, 1, 1 << 20, u32::MAX - 5000, u32::MAX - 1]),
    ) {
        // The smallest packets there are; a forged one has a bad ICV and must change nothing.
        let (ue, pcscf) = addresses(false);
        let keys = keys(Suite::HMAC_MD5_96_NULL);
        let spec = any_port(&keys, 4096, ue, pcscf);
        let outbound = Outbound::new(&spec);
        let mut inbound = Inbound::new(&spec, WindowSize::new(size).unwrap());
        let mut model = Model { size, delivered: BTreeSet::new() };
        let plain = udp((ue, 1), (pcscf, 2), b"");
        let mut at = i64::from(start);
        for (step, forged) in steps {
            at = (at + step).clamp(0, i64::from(u32::MAX));
            let sequence = u32::try_from(at).unwrap();
            let mut packet = [0; 100];
            let range = outbound.seal_with(sequence, &[], &plain, &mut packet).unwrap();
            let packet = &mut packet[range];
            if forged {
                *packet.last_mut().unwrap() ^= 1;
            }
            let expected = match model.verdict(sequence) {
                Err(reason) => Err(OpenError::Replay { sequence, reason }),
                Ok(()) if forged => Err(OpenError::Icv { sequence }),
                Ok(()) => {
                    model.delivered.insert(sequence);
                    Ok(sequence)
                }
            };
            prop_assert_eq!(inbound.window().would_accept(sequence).is_ok(), !matches!(expected, Err(OpenError::Replay { .. })));
            prop_assert_eq!(inbound.open(packet, &mut [0; 100]).map(|opened| opened.sequence), expected, "window of {}", size);
            prop_assert_eq!(inbound.window().highest(), model.delivered.last().copied().unwrap_or(0));
        }
    }
}

#[test]
fn lengths_are_those_of_a_search() {
    for suite in Suite::ALL {
        let mut largest = 0;
        for len in 0..3000 {
            // RFC 4303 2.4: the fewest octets of padding that end the trailer on a block and on
            // four octets.
            let block = suite.block_len();
            let padding = (0..)
                .find(|padding| (len + padding + 2) % block == 0 && (len + padding + 2) % 4 == 0)
                .unwrap();
            let sealed = 8 + suite.iv_len() + len + padding + 2 + suite.icv_len();
            assert_eq!(suite.sealed_len(len), sealed, "{suite}, {len}");
            assert_eq!(suite.growth(len), sealed - len);
            largest = largest.max(sealed - len);
        }
        assert_eq!(suite.max_growth(), largest);
        for room in 0..3000 {
            let search = (0..room).rev().find(|len| suite.sealed_len(*len) <= room);
            assert_eq!(suite.max_payload(room), search, "{suite}, {room}");
        }
    }
    let suite = Suite::HMAC_SHA_1_96_AES_CBC;
    assert_eq!(suite.max_udp_data(1500, Family::Ipv4), Some(90 * 16 - 2 - 8));
    assert_eq!(suite.max_udp_data(1280, Family::Ipv6), Some(75 * 16 - 2 - 8));
    assert_eq!(
        suite.max_tcp_segment(1280, Family::Ipv6),
        suite.max_udp_data(1280, Family::Ipv6).map(|len| len - 12)
    );
    assert_eq!(suite.max_udp_data(60, Family::Ipv6), None);
}

/// draft-mcgrew-gcm-test: packets that others made, sealed and opened by every backend.
#[test]
fn packets_of_aes_gcm_are_those_of_the_draft() {
    let cases = support::vectors::vectors(include_str!("data/gcm-esp.txt"));
    // Sequence numbers of 32 bits, and no SPI 0: all of them are tested where the kernels are.
    let cases = cases.iter().filter(|case| case.text("aad").len() == 16 && case.text("spi") != "00000000");
    assert_eq!(cases.clone().count(), 2);
    for case in cases {
        let (nonce, plain) = (case.hex("nonce"), case.hex("plaintext"));
        let material = [case.hex("key"), nonce[..4].to_vec()].concat();
        let keys = SaKeys::from_expanded(Suite::AES_GCM, &[], &material).unwrap();
        let number = |name: &str| u32::from_str_radix(case.text(name), 16).unwrap();
        // The draft has packets in tunnel mode: what is in them is the payload of a datagram.
        let (ue, pcscf) = addresses(false);
        let spec = any_port(&keys, number("spi"), ue, pcscf);
        let (pad_len, next_header) = (usize::from(plain[plain.len() - 2]), plain[plain.len() - 1]);
        let payload = &plain[..plain.len() - 2 - pad_len];
        let mut datagram = support::udp((ue, 1), (pcscf, 2), payload);
        datagram.drain(20..28);
        mend(&mut datagram, next_header);
        for backend in Backend::available() {
            let outbound = Outbound::new_on(&spec, backend);
            let mut out = vec![0; 300];
            let range = outbound.seal_with(number("seq"), &nonce[4..], &datagram, &mut out).unwrap();
            assert_eq!(
                out[range.clone()][20..],
                case.hex("packet"),
                "case {} on {backend}",
                case.text("case")
            );
            let mut inbound = Inbound::new_on(&spec, WindowSize::default(), backend);
            let mut opened = vec![0; 300];
            let found = inbound.open(&out[range], &mut opened).unwrap();
            assert_eq!(opened[found.range], datagram);
        }
    }
}

/// Length, protocol and checksum of an IPv4 header.
fn mend(datagram: &mut [u8], protocol: u8) {
    let len = datagram.len() as u16;
    datagram[2..4].copy_from_slice(&len.to_be_bytes());
    datagram[9] = protocol;
    datagram[10..12].fill(0);
    let words = datagram[..20].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    datagram[10..12].copy_from_slice(&(!((sum + (sum >> 16)) as u16)).to_be_bytes());
}

/// The four SAs of a set share key and salt, so that no IV may appear twice in any of them: both
/// ends, one at a time and in batches, in place and apart, after jumps of the sequence number.
#[test]
fn no_nonce_of_aes_gcm_is_used_twice() {
    for suite in [Suite::AES_GCM, Suite::AES_GMAC] {
        for ipv6 in [false, true] {
            let set = support::set(suite, ipv6);
            let (ue, pcscf) = addresses(ipv6);
            let mut nonces = std::collections::HashSet::new();
            let mut count = 0;
            for side in [Side::Ue, Side::Pcscf] {
                let mut sad = Sad::new();
                let installed = sad.add_set(&set, side).unwrap();
                let ends = match side {
                    Side::Ue => [((ue, 40001), (pcscf, 50002)), ((ue, 40002), (pcscf, 50001))],
                    _ => [((pcscf, 50001), (ue, 40002)), ((pcscf, 50002), (ue, 40001))],
                };
                let header = if ipv6 { 40 } else { 20 };
                let mut take = |packet: &[u8]| {
                    let iv: [u8; 8] = packet[header + 8..header + 16].try_into().unwrap();
                    assert_eq!(iv, packet[header..header + 8], "SPI and sequence number");
                    assert!(nonces.insert(iv), "{iv:?} twice");
                    count += 1;
                };
                for (round, jump) in [1_u32, 500, 1 << 20, u32::MAX - 40].into_iter().enumerate() {
                    for id in installed.outbound() {
                        sad.advance_to(id, jump);
                    }
                    for (from, to) in ends {
                        let datagram = support::udp(from, to, b"payload");
                        let mut out = vec![0; 300];
                        let sealed = sad.seal(&datagram, &mut out).unwrap();
                        take(&out[sealed.range]);
                        let headroom = suite.headroom();
                        let mut buffer = vec![0; 300];
                        buffer[headroom..headroom + datagram.len()].copy_from_slice(&datagram);
                        let sealed =
                            sad.seal_in_place(&mut buffer, headroom..headroom + datagram.len()).unwrap();
                        take(&buffer[sealed.range]);
                        let mut outs = vec![vec![0; 300]; 5];
                        let mut jobs: Vec<_> =
                            outs.iter_mut().map(|out| SealJob::new(&datagram, out)).collect();
                        sad.seal_batch(&mut jobs);
                        jobs.iter().for_each(|job| take(job.packet().unwrap()));
                    }
                    // Never back.
                    let id = installed.outbound()[round % 2];
                    assert!(!sad.advance_to(id, jump));
                }
            }
            assert_eq!((nonces.len(), count), (count, 2 * 4 * 2 * 7), "{suite}");
        }
    }
}

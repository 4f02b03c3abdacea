//! Packets that a Linux kernel made: they open to what a second kernel took out of them, and what
//! is sealed with the same numbers is what the first one sent. Each is also cut at every length and
//! has every bit flipped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::net::IpAddr;

use ipsec_3gpp::esp::Backend;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{
    Inbound, InboundCounters, OpenError, OpenJob, Outbound, SealJob, WindowSize, open_batch, seal_batch,
};
use ipsec_3gpp::{Ck, Ik, Suite};
use serde_json::Value;
use support::{any_port, vectors::hex};

struct Sa {
    dir: String,
    spi: u32,
    source: IpAddr,
    destination: IpAddr,
    keys: SaKeys,
}

struct Packet {
    what: String,
    sa: usize,
    sequence: u32,
    esp: Vec<u8>,
    plain: Vec<u8>,
}

struct Capture {
    name: String,
    sas: Vec<Sa>,
    packets: Vec<Packet>,
}

fn captures() -> Vec<Capture> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/kernel-esp");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert_eq!(files.len(), 16, "eight suites, two families");
    files.iter().map(|path| capture(&std::fs::read_to_string(path).unwrap())).collect()
}

fn capture(text: &str) -> Capture {
    let json: Value = serde_json::from_str(text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let sas: Vec<_> = json["sas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sa| {
            let suite = Suite::ALL.into_iter().find(|suite| {
                suite.integrity().token() == sa["alg"] && suite.encryption().token() == sa["ealg"]
            });
            let mut expanded = (hex(sa["auth_key"].as_str().unwrap()), hex(sa["enc_key"].as_str().unwrap()));
            if let Value::String(salt) = &sa["salt"] {
                let key = [&mut expanded.0, &mut expanded.1].into_iter().find(|key| !key.is_empty()).unwrap();
                key.extend(hex(salt));
            }
            let keys = match (&sa["ck"], &sa["ik"]) {
                (Value::String(ck), Value::String(ik)) => {
                    let keys = SaKeys::expand(
                        suite.unwrap(),
                        &ck.parse::<Ck>().unwrap(),
                        &ik.parse::<Ik>().unwrap(),
                    )
                    .unwrap();
                    assert_eq!(
                        (keys.expose_integrity(), keys.expose_encryption()),
                        (&expanded.0[..], &expanded.1[..])
                    );
                    keys
                }
                _ => SaKeys::from_expanded(suite.unwrap(), &expanded.0, &expanded.1).unwrap(),
            };
            Sa {
                dir: text(&sa["dir"]),
                spi: number(&sa["spi"]),
                source: text(&sa["src"]).parse().unwrap(),
                destination: text(&sa["dst"]).parse().unwrap(),
                keys,
            }
        })
        .collect();
    let packets: Vec<_> = json["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|packet| Packet {
            what: text(&packet["what"]),
            sa: sas.iter().position(|sa| sa.dir == packet["dir"].as_str().unwrap()).unwrap(),
            sequence: number(&packet["seq"]),
            esp: hex(packet["esp_packet"].as_str().unwrap()),
            plain: hex(packet["plain_packet"].as_str().unwrap()),
        })
        .collect();
    assert!(packets.len() >= 23);
    Capture { name: text(&json["name"]), sas, packets }
}

impl Sa {
    fn inbound(&self, backend: Backend) -> Inbound {
        let spec = any_port(&self.keys, self.spi, self.source, self.destination);
        Inbound::new_on(&spec, WindowSize::default(), backend)
    }

    fn outbound(&self, backend: Backend) -> Outbound {
        Outbound::new_on(&any_port(&self.keys, self.spi, self.source, self.destination), backend)
    }
}

/// Every capture on every backend that the machine has.
fn everywhere(captures: &[Capture]) -> impl Iterator<Item = (Backend, &Capture)> {
    Backend::available().flat_map(move |backend| captures.iter().map(move |capture| (backend, capture)))
}

/// All of an SA that a packet could change, but for the counters.
fn state(sa: &Inbound) -> String {
    format!("{:?}", sa.window())
}

fn refusals(counters: InboundCounters) -> u32 {
    let InboundCounters {
        packets: _,
        octets: _,
        malformed,
        addresses,
        replayed,
        late,
        icv,
        trailer,
        dummy,
        ports,
        other_source_port: _,
        ..
    } = counters;
    malformed + addresses + replayed + late + icv + trailer + dummy + ports
}

#[test]
fn every_packet_of_a_kernel_opens_to_the_plaintext_of_another() {
    for (backend, capture) in everywhere(&captures()) {
        let mut sas: Vec<_> = capture.sas.iter().map(|sa| sa.inbound(backend)).collect();
        for packet in &capture.packets {
            let context = format!("{}: {}", capture.name, packet.what);
            let mut out = vec![0xa5; packet.esp.len()];
            let opened = sas[packet.sa]
                .open(&packet.esp, &mut out)
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(opened.sequence, packet.sequence, "{context}");
            assert_eq!(&out[opened.range], &packet.plain[..], "{context}");
            // A second time it is a replay, in place just so.
            let mut buffer = packet.esp.clone();
            assert!(
                matches!(sas[packet.sa].open_in_place(&mut buffer), Err(OpenError::Replay { .. })),
                "{context}"
            );
            assert_eq!(buffer, packet.esp, "{context}");
            let opened = capture.sas[packet.sa].inbound(backend).open_in_place(&mut buffer).unwrap();
            assert_eq!(&buffer[opened.range], &packet.plain[..], "{context}");
        }
    }
}

#[test]
fn every_plaintext_seals_to_the_packet_that_the_kernel_made() {
    for (backend, capture) in everywhere(&captures()) {
        for packet in &capture.packets {
            let context = format!("{}: {}", capture.name, packet.what);
            let sa = &capture.sas[packet.sa];
            let suite = sa.keys.suite();
            // The IV follows SPI and sequence number, which are easily found.
            let ids = [sa.spi.to_be_bytes(), packet.sequence.to_be_bytes()].concat();
            let esp = packet.esp.windows(8).position(|window| window == ids).unwrap();
            let iv = &packet.esp[esp + 8..esp + suite.headroom()];
            let mut out = vec![0xa5; packet.plain.len() + suite.max_growth()];
            let range = sa.outbound(backend).seal_with(packet.sequence, iv, &packet.plain, &mut out).unwrap();
            assert_eq!(out[range], packet.esp, "{context}");
            assert_eq!(packet.esp.len() - esp, suite.sealed_len(packet.plain.len() - esp), "{context}");
        }
    }
}

#[test]
fn packets_cut_at_any_length_are_refused_and_change_nothing() {
    for (backend, capture) in everywhere(&captures()) {
        for packet in &capture.packets {
            let mut sa = capture.sas[packet.sa].inbound(backend);
            let before = state(&sa);
            for len in 0..packet.esp.len() {
                let mut cut = packet.esp[..len].to_vec();
                assert!(
                    sa.open(&cut, &mut [0; 4096]).is_err(),
                    "{}: {} cut to {len}",
                    capture.name,
                    packet.what
                );
                assert!(sa.open_in_place(&mut cut).is_err());
                assert_eq!(cut, packet.esp[..len]);
                // A lower layer's length would be mended along with the cut: then the ICV is wrong
                // or missing.
                if let Some(mut mended) = mend(&packet.esp, len) {
                    let error = sa.open_in_place(&mut mended).unwrap_err();
                    assert!(
                        matches!(error, OpenError::Icv { .. } | OpenError::Packet(_) | OpenError::Ip(_)),
                        "{error}"
                    );
                }
            }
            assert_eq!(state(&sa), before);
            assert!(sa.open(&packet.esp, &mut [0; 4096]).is_ok(), "the whole packet still opens");
        }
    }
}

/// A packet cut to a length that its IP header tells of.
fn mend(packet: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut cut = packet.get(..len)?.to_vec();
    if len < 40 {
        None
    } else if packet[0] >> 4 == 6 {
        cut[4..6].copy_from_slice(&u16::try_from(len - 40).ok()?.to_be_bytes());
        Some(cut)
    } else {
        cut[2..4].copy_from_slice(&u16::try_from(len).ok()?.to_be_bytes());
        cut[10..12].fill(0);
        let header_len = usize::from(cut[0] & 0xf) * 4;
        let sum: u32 =
            cut.get(..header_len)?.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
        cut[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        Some(cut)
    }
}

#[test]
fn packets_with_any_bit_flipped_are_refused_and_change_nothing() {
    for (backend, capture) in everywhere(&captures()) {
        for packet in &capture.packets {
            let mut sa = capture.sas[packet.sa].inbound(backend);
            let before = state(&sa);
            let ids = [capture.sas[packet.sa].spi.to_be_bytes(), packet.sequence.to_be_bytes()].concat();
            let esp = packet.esp.windows(8).position(|window| window == ids).unwrap();
            let mut buffer = packet.esp.clone();
            let mut refused = 0;
            for bit in 0..packet.esp.len() * 8 {
                let context = format!("{}: {}, bit {bit}", capture.name, packet.what);
                let (octet, flip) = (bit / 8, 0x80 >> (bit % 8));
                // What nothing covers: traffic class, flow label and hop limit, and the contents of
                // extension headers in front of ESP. ICV and SA are those of the sender all the
                // same.
                let ipv6 = packet.esp[0] >> 4 == 6;
                let uncovered = ipv6 && ((4..32).contains(&bit) || octet == 7 || (42..esp).contains(&octet));
                buffer[octet] ^= flip;
                if uncovered {
                    let mut flipped = buffer.clone();
                    let opened = capture.sas[packet.sa].inbound(backend).open_in_place(&mut flipped);
                    let opened = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
                    let mut expected = packet.plain.clone();
                    expected[octet] ^= flip;
                    assert_eq!(flipped[opened.range], expected, "{context}");
                } else {
                    let sent = buffer.clone();
                    let result = sa.open_in_place(&mut buffer);
                    assert!(result.is_err(), "{context}");
                    assert_eq!(buffer, sent, "{context}");
                    refused += u64::from(!matches!(
                        result,
                        Err(OpenError::Ip(_) | OpenError::NotEsp(_) | OpenError::NoSa(_))
                    ));
                }
                buffer[octet] ^= flip;
            }
            assert_eq!(state(&sa), before);
            assert_eq!(u64::from(refusals(sa.counters())), refused, "each refusal has its counter");
            assert!(sa.open(&packet.esp, &mut [0; 4096]).is_ok(), "the whole packet still opens");
        }
    }
}

#[test]
fn all_packets_of_all_captures_open_and_seal_in_one_batch() {
    let captures = captures();
    let all: Vec<(usize, &Sa, &Packet)> = captures
        .iter()
        .flat_map(|capture| capture.packets.iter().map(|packet| (&capture.sas[packet.sa], packet)))
        .enumerate()
        .map(|(n, (sa, packet))| (n, sa, packet))
        .collect();
    assert!(all.len() > 270);
    for backend in Backend::available() {
        // An SA for each packet: those of a capture were sent long before each other.
        let mut receivers: Vec<_> = all.iter().map(|(_, sa, _)| sa.inbound(backend)).collect();
        let mut outs: Vec<_> = all.iter().map(|(.., packet)| vec![0xa5; packet.esp.len()]).collect();
        let mut jobs: Vec<_> = all
            .iter()
            .zip(&mut outs)
            .map(|((n, _, packet), out)| (*n, OpenJob::new(&packet.esp, out)))
            .collect();
        open_batch(&mut receivers, &mut jobs);
        for ((_, job), (.., packet)) in jobs.iter().zip(&all) {
            assert_eq!(job.datagram(), Some(&packet.plain[..]), "{}", packet.what);
            assert_eq!(job.result().unwrap().as_ref().unwrap().sequence, packet.sequence);
        }
        let mut senders: Vec<_> = all.iter().map(|(_, sa, _)| sa.outbound(backend)).collect();
        let mut outs: Vec<_> = all.iter().map(|(.., packet)| vec![0xa5; packet.plain.len() + 64]).collect();
        let mut jobs: Vec<_> = all
            .iter()
            .zip(&mut outs)
            .map(|((n, _, packet), out)| (*n, SealJob::new(&packet.plain, out)))
            .collect();
        seal_batch(&mut senders, &mut jobs);
        for ((_, job), (_, sa, packet)) in jobs.iter().zip(&all) {
            let mut alone = vec![0xa5; packet.plain.len() + 64];
            let sealed = sa.outbound(Backend::PLAIN).seal(&packet.plain, &mut alone).unwrap();
            assert_eq!(job.packet(), Some(&alone[sealed.range]), "{}", packet.what);
        }
    }
}

#[test]
fn in_a_batch_too_damaged_packets_are_refused_and_change_nothing() {
    let captures = captures();
    for (backend, capture) in everywhere(&captures) {
        for packet in capture.packets.iter().step_by(5) {
            let sa = &capture.sas[packet.sa];
            let cuts = (0..packet.esp.len()).map(|len| packet.esp[..len].to_vec());
            let mended = (0..packet.esp.len()).filter_map(|len| mend(&packet.esp, len));
            let flips = (0..packet.esp.len() * 8).step_by(7).map(|bit| {
                let mut flipped = packet.esp.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                flipped
            });
            let mut damaged: Vec<_> = cuts.chain(mended).chain(flips).collect();
            // What no ICV covers opens, and is another test's business: here it only must not
            // differ.
            let expected: Vec<_> = damaged
                .iter()
                .map(|packet| sa.inbound(backend).open(packet, &mut [0; 4096]).map(|_| ()))
                .collect();
            damaged.retain({
                let mut expected = expected.iter();
                move |_| expected.next().is_some_and(Result::is_err)
            });
            let sent = damaged.clone();
            let errors: Vec<_> = expected.into_iter().filter_map(Result::err).collect();
            let mut receiver = sa.inbound(backend);
            let before = state(&receiver);
            let mut jobs: Vec<_> = damaged.iter_mut().map(|packet| OpenJob::in_place(packet)).collect();
            receiver.open_batch(&mut jobs);
            for (job, error) in jobs.iter().zip(&errors) {
                assert_eq!(job.result().unwrap().as_ref().map(|_| ()), Err(error));
            }
            assert!(damaged == sent, "{}: {}", capture.name, packet.what);
            assert_eq!(state(&receiver), before);
            assert!(receiver.open(&packet.esp, &mut [0; 4096]).is_ok(), "the whole packet still opens");
        }
    }
}

#[test]
fn rfc_3602_packets_are_made_but_for_the_icv_that_they_do_not_have() {
    for case in support::vectors::vectors(include_str!("data/rfc3602.txt")).iter().skip(4) {
        let plain = [case.hex("ip"), case.hex("data")].concat();
        let suite = Suite::HMAC_SHA_1_96_AES_CBC;
        let keys = SaKeys::from_expanded(suite, &[9; 20], &case.hex("key")).unwrap();
        let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&plain[at..at + 4]).unwrap());
        let number = |name| u32::from_str_radix(case.text(name), 16).unwrap();
        let spec = any_port(&keys, number("spi"), address(12), address(16));
        let mut out = [0; 256];
        let range = Outbound::new(&spec).seal_with(number("seq"), &case.hex("iv"), &plain, &mut out).unwrap();
        let packet = &out[range];
        let esp = [
            &number("spi").to_be_bytes()[..],
            &number("seq").to_be_bytes(),
            &case.hex("iv"),
            &case.hex("ct"),
        ]
        .concat();
        assert_eq!(packet[20..packet.len() - 12], esp);
        // The IP header says twelve octets more, in its length and so in its checksum.
        let mut header = case.hex("esp_ip");
        header[3] += 12;
        let sum = u16::from_be_bytes([header[10], header[11]]).wrapping_sub(12);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(packet[..20], header);
        let mut inbound = Inbound::new(&spec, WindowSize::default());
        let before = state(&inbound);
        for bit in 0..packet.len() * 8 {
            let mut flipped = packet.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(inbound.open_in_place(&mut flipped).is_err());
        }
        (0..packet.len()).for_each(|len| assert!(inbound.open(&packet[..len], &mut [0; 256]).is_err()));
        assert_eq!(state(&inbound), before);
        let mut opened = [0; 256];
        let range = inbound.open(packet, &mut opened).unwrap().range;
        assert_eq!(opened[range], plain);
    }
}

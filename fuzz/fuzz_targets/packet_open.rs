//! Opening with the keys known: a datagram is sealed and then changed at will, and its ICV is made
//! right again if the input says so. Nothing panics, nothing opens that was not sealed, and all
//! ways of opening agree: apart, in place, and in a batch, on every backend.
#![no_main]

use std::net::IpAddr;

use arbitrary::Arbitrary;
use hmac::{Hmac, KeyInit, Mac};
use ipsec_3gpp::algorithm::Integrity;
use ipsec_3gpp::esp::Backend;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Checks, Inbound, OpenJob, Outbound, Ports, SaSpec, Selector, WindowSize};
use ipsec_3gpp::spi::Spi;
use ipsec_3gpp::{Ck, Ik, Suite};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    suite: u8,
    ipv6: bool,
    any_port: bool,
    relaxed: bool,
    sequence: u32,
    iv: [u8; 16],
    /// Replaces the protocol or the first extension header of the plain datagram.
    next_header: Option<u8>,
    payload: Vec<u8>,
    /// Octets of the sealed packet that are changed, at such places.
    changes: Vec<(u16, u8)>,
    /// Octets that are cut off or, if negative, added.
    cut: i8,
    /// The ICV is made right again after the changes: what is wrong inside an authentic packet
    /// shows.
    authentic: bool,
}

fn icv(suite: Suite, keys: &SaKeys, message: &[u8]) -> [u8; 12] {
    let key = keys.expose_integrity();
    let mut icv = [0; 12];
    match suite.integrity() {
        Integrity::HmacMd5_96 => {
            let mac = Hmac::<md5::Md5>::new_from_slice(key).unwrap().chain_update(message).finalize();
            icv.copy_from_slice(&mac.into_bytes()[..12]);
        }
        _ => {
            let mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap().chain_update(message).finalize();
            icv.copy_from_slice(&mac.into_bytes()[..12]);
        }
    }
    icv
}

fn datagram(input: &Input, source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let protocol = input.next_header.unwrap_or(17);
    let len = input.payload.len().min(1000);
    let mut packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
            header[2..4].copy_from_slice(&(20 + len as u16).to_be_bytes());
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            header[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        _ => unreachable!(),
    };
    packet.extend(&input.payload[..len]);
    packet
}

fuzz_target!(|input: Input| {
    let suite = Suite::ALL[usize::from(input.suite) % Suite::ALL.len()];
    let keys = SaKeys::expand(suite, &Ck::new(*b"0123456789abcdef"), &Ik::new(*b"fedcba9876543210")).unwrap();
    let (source, destination): (IpAddr, IpAddr) = if input.ipv6 {
        ("2001:db8::2".parse().unwrap(), "2001:db8::1".parse().unwrap())
    } else {
        ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap())
    };
    let exact = Ports::Exact { source: 0x3031, destination: 0x3233 };
    let ports = if input.any_port { Ports::Any } else { exact };
    let spec = |ports| SaSpec {
        spi: Spi::new(0x1000).unwrap(),
        selector: Selector { source, destination, ports },
        keys: &keys,
    };
    let check = if input.relaxed { Checks::DEFAULT.with_any_source_port() } else { Checks::DEFAULT };
    let inbound = || Inbound::new(&spec(ports), WindowSize::default()).with_checks(check);

    let plain = datagram(&input, source, destination);
    let iv = &input.iv[..suite.iv_len()];
    let mut sealed = vec![0; plain.len() + suite.max_growth()];
    let Ok(range) = Outbound::new(&spec(Ports::Any)).seal_with(input.sequence, iv, &plain, &mut sealed)
    else {
        return;
    };
    sealed.truncate(range.end);

    let mut packet = sealed.clone();
    for (place, change) in &input.changes {
        let place = usize::from(*place) % packet.len();
        packet[place] ^= change;
    }
    match usize::try_from(input.cut) {
        Ok(cut) => packet.truncate(packet.len().saturating_sub(cut)),
        Err(_) => packet.extend([0; 7]),
    }

    let esp = if input.ipv6 { 40 } else { 20 };
    // Of the HMACs; AES-GCM has no other implementation here.
    if input.authentic && !suite.is_gcm() && packet.len() >= esp + 12 {
        let end = packet.len() - 12;
        let icv = icv(suite, &keys, &packet[esp..end]);
        packet[end..].copy_from_slice(&icv);
    }
    let forged = input.authentic && packet != sealed;

    let (mut copying, mut moving) = (inbound(), inbound());
    let mut out = vec![0xee; packet.len()];
    let mut buffer = packet.clone();
    let copied = copying.open(&packet, &mut out);
    let moved = moving.open_in_place(&mut buffer);
    for backend in Backend::available() {
        let mut sa = Inbound::new_on(&spec(ports), WindowSize::default(), backend).with_checks(check);
        let (mut outs, mut in_place) = ([vec![0xee; packet.len()], vec![0xee; packet.len()]], packet.clone());
        let [first, second] = &mut outs;
        let mut jobs =
            [OpenJob::new(&packet, first), OpenJob::in_place(&mut in_place), OpenJob::new(&packet, second)];
        sa.open_batch(&mut jobs);
        assert_eq!(jobs[0].result(), Some(&copied));
        assert_eq!(jobs[0].datagram(), copied.as_ref().ok().map(|opened| &out[opened.range.clone()]));
        // Copies: replays of what was delivered or dropped, and else what the first is.
        assert!(jobs[1..].iter().all(|job| matches!(job.result(), Some(Err(_)))));
        if copying.window().highest() == 0 {
            assert!(jobs[1..].iter().all(|job| job.result() == Some(&copied)));
        }
    }
    match (copied, moved) {
        (Ok(copied), Ok(moved)) => {
            assert_eq!(out[copied.range.clone()], buffer[moved.range]);
            assert_ne!(copied.sequence, 0);
            let opened = &out[copied.range];
            if !forged {
                // The octets that ESP covers are those that were sealed; IPv6 headers in front of
                // it may have changed.
                assert_eq!(copied.sequence, input.sequence);
                if !(input.ipv6 && matches!(input.next_header, Some(0 | 43 | 44 | 60))) {
                    let payload = plain.len() - esp;
                    assert_eq!(opened[opened.len() - payload..], plain[esp..]);
                }
            }
            if !forged && input.changes.is_empty() {
                let from = if input.ipv6 { 0 } else { 12 };
                assert_eq!(opened[from..], plain[from..]);
            }
            assert!(copying.open(&packet, &mut vec![0; packet.len()]).is_err(), "a replay");
        }
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            assert_eq!(copying.counters(), moving.counters());
            let untouched =
                packet == sealed && input.any_port && input.sequence != 0 && input.next_header != Some(59);
            // Only IPv6 headers that hide a fragment or end too soon keep a sealed packet from
            // being opened.
            assert!(!untouched || input.next_header.is_some(), "{one}");
        }
        (copied, moved) => panic!("{copied:?} and {moved:?}"),
    }
});

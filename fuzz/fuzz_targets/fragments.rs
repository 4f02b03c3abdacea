//! Reassembly compared with a map of octets, within its limits; and datagrams that come back from
//! their fragments.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Arbitrary;
use ipsec_3gpp::Moment;
use ipsec_3gpp::fragments::{Fragments, Reassembly, ReassemblyError, ReassemblyLimits, Received};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    ipv6: bool,
    pieces: Vec<Piece>,
    datagram: Vec<u8>,
    mtu: u16,
    identification: u32,
}

#[derive(Arbitrary, Debug)]
struct Piece {
    /// Four datagrams of two sources.
    datagram: u8,
    offset: u8,
    len: u8,
    last: bool,
    /// So that copies differ, or not.
    value: bool,
    later: u8,
}

#[derive(Debug, Default)]
struct Model {
    octets: BTreeMap<usize, u8>,
    end: Option<usize>,
    spoiled: bool,
    pieces: Vec<(usize, usize, bool, bool)>,
    began: u64,
}

fn sum(header: &mut [u8]) {
    header[10..12].fill(0);
    let words = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
}

fn fragment(ipv6: bool, number: u8, place: (usize, bool), data: &[u8]) -> Vec<u8> {
    let (offset, more) = place;
    let (source, id) = (number / 2, number % 2);
    let mut packet = if ipv6 {
        let len = (8 + data.len() as u16).to_be_bytes();
        let mut header = vec![0x60, 0, 0, 0, len[0], len[1], 44, 64];
        header.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, source, 0, 0, 0, 0, 0, 0, 0, 2]);
        header.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let place = (offset as u16 | u16::from(more)).to_be_bytes();
        header.extend([17, 0, place[0], place[1], 0, 0, 0, id]);
        header
    } else {
        let len = (20 + data.len() as u16).to_be_bytes();
        let place = ((offset / 8) as u16 | if more { 0x2000 } else { 0 }).to_be_bytes();
        let mut header = vec![0x45, 0, len[0], len[1], 0, id, place[0], place[1], 64, 17, 0, 0];
        header.extend([10, 0, source, 2, 10, 0, 0, 1]);
        sum(&mut header);
        header
    };
    packet.extend(data);
    packet
}

fn pieces(input: &Input) {
    let timeout = Duration::from_millis(1000);
    let limits = ReassemblyLimits::DEFAULT.with_timeout(timeout);
    let mut reassembly = Reassembly::new(limits);
    let mut models: BTreeMap<u8, Model> = BTreeMap::new();
    let mut now = 0;
    for piece in input.pieces.iter().take(60) {
        now += u64::from(piece.later);
        models.retain(|_, model| now < model.began + 1000);
        let number = piece.datagram % 4;
        let (from, len) = (usize::from(piece.offset % 24) * 8, usize::from(piece.len % 40));
        let to = from + len;
        if from == 0 && piece.last {
            continue; // whole
        }
        let packet = fragment(input.ipv6, number, (from, !piece.last), &vec![piece.value.into(); len]);
        let result = reassembly.receive(&packet, Moment::from_millis(now));
        if len == 0 || !piece.last && len % 8 != 0 {
            assert_eq!(result, Err(ReassemblyError::Length(len)));
            continue;
        }
        let model = models.entry(number).or_insert_with(|| Model { began: now, ..Model::default() });
        let is_copy = model.pieces.contains(&(from, to, piece.last, piece.value));
        let overlaps = model.octets.range(from..to).next().is_some();
        let contradicts = match model.end {
            Some(end) => piece.last || to > end,
            None => piece.last && model.octets.range(to..).next().is_some(),
        };
        if model.spoiled || !is_copy && (overlaps || contradicts) {
            assert_eq!(result, Err(ReassemblyError::Overlap));
            model.spoiled = true;
            continue;
        }
        model.pieces.push((from, to, piece.last, piece.value));
        model.octets.extend((from..to).map(|octet| (octet, piece.value.into())));
        if piece.last {
            model.end = Some(to);
        }
        if model.end == Some(model.octets.len()) {
            let Ok(Received::Reassembled(whole)) = result else { panic!("{result:?}") };
            let header = if input.ipv6 { 40 } else { 20 };
            assert!(whole[header..].iter().eq(model.octets.values()));
            models.remove(&number);
        } else {
            assert_eq!(result, Ok(Received::Incomplete));
        }
        assert_eq!(reassembly.len(), models.len());
    }
    reassembly.handle_timeout(Moment::from_millis(now + 1000));
    assert_eq!((reassembly.len(), reassembly.octets()), (0, 0));
}

fn there_and_back(input: &Input) {
    let mut datagram = input.datagram.clone();
    if datagram.len() > 20 && datagram[0] >> 4 == 4 {
        let len = datagram.len() as u16;
        datagram[2..4].copy_from_slice(&len.to_be_bytes());
        let header = usize::from(datagram[0] & 15) * 4;
        if header >= 20 && header <= datagram.len() {
            sum(&mut datagram[..header]);
        }
    } else if datagram.len() > 40 {
        let len = datagram.len() as u16 - 40;
        datagram[4..6].copy_from_slice(&len.to_be_bytes());
    }
    let mtu = usize::from(input.mtu % 600);
    let Ok(mut fragments) = Fragments::new(&datagram, mtu, input.identification) else { return };
    let mut limits = ReassemblyLimits::DEFAULT;
    limits.fragments = 10_000;
    let mut reassembly = Reassembly::new(limits);
    let mut out = [0; 600];
    let now = Moment::from_millis(0);
    let mut whole = None;
    while let Some(len) = fragments.write_next(&mut out).unwrap() {
        assert!(len <= mtu && whole.is_none());
        match reassembly.receive(&out[..len], now) {
            Ok(Received::Reassembled(datagram)) => whole = Some(datagram),
            Ok(Received::Incomplete) => {}
            // It fits as it is, or a header that is fragmented makes a fragment unreadable alone.
            Ok(Received::Whole) | Err(_) => return,
        }
    }
    let whole = whole.expect("all of it was there");
    let same = |packet: &[u8]| {
        let mut packet = packet.to_vec();
        if packet[0] >> 4 == 4 {
            packet[4..8].fill(0);
            packet[10..12].fill(0);
        }
        packet
    };
    assert_eq!(same(&whole), same(&datagram));
}

fuzz_target!(|input: Input| {
    pieces(&input);
    there_and_back(&input);
});

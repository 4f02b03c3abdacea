//! Batches compared with one packet at a time, on every backend: results, octets of all buffers,
//! counters, windows and numbers are the same, whatever is wrong with a packet.
//!
//! Built with `--no-trace-compares` and run with `-entropic=0`, it does thousands a second.
#![no_main]

use std::net::IpAddr;

use arbitrary::Arbitrary;
use ipsec_3gpp::esp::Backend;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{
    Checks, Endpoint, InboundId, Limits, OpenJob, OutboundId, SaName, SaSet, SealJob, Side,
};
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::{Ck, Ik, Sad, Suite};
use libfuzzer_sys::fuzz_target;

/// At most: what makes batches differ from single packets shows with a tile and a half.
const JOBS: usize = 28;

#[derive(Arbitrary, Debug)]
struct Input {
    backend: u8,
    first_set: u8,
    /// Numbers or volume end after a few packets.
    numbers: Option<u8>,
    volume: Option<u8>,
    checks: u8,
    jobs: Vec<Wish>,
    /// Another batch of the same tables.
    again: Vec<Wish>,
}

#[derive(Arbitrary, Clone, Debug)]
struct Wish {
    set: bool,
    in_place: bool,
    len: u8,
    long: bool,
    /// Too little room, if at all.
    room: Option<u8>,
    /// An octet of the datagram, or of the packet, that is changed.
    plain_change: Option<(u8, u8)>,
    change: Option<(u8, u8)>,
    cut: Option<u8>,
    /// One of the packets before is opened once more.
    copy: Option<u8>,
}

thread_local! {
    static SETS: Vec<SaSet> = (0..2 * Suite::ALL.len() as u8).map(set).collect();
    static BACKENDS: Vec<Backend> = Backend::available().collect();
}

fn set(n: u8) -> SaSet {
    let (ue, pcscf): (IpAddr, IpAddr) = if n % 2 == 1 {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2 + u16::from(n)].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into())
    } else {
        ([10, 0, 0, 2 + n].into(), [10, 0, 0, 1].into())
    };
    let spi = |k: u32| Spi::new(1000 + 4 * u32::from(n) + k).unwrap();
    let keys =
        SaKeys::expand(Suite::ALL[usize::from(n / 2)], &Ck::new(*b"0123456789abcdef"), &Ik::new([n; 16]));
    let end = |address, first, ports: PortPair| Endpoint {
        address,
        setup: Setup { spis: SpiPair { client: spi(first), server: spi(first + 1) }, ports },
    };
    let (ue_ports, ports) = (PortPair::new(40001, 40002).unwrap(), PortPair::new(50001, 50002).unwrap());
    SaSet::new(end(ue, 0, ue_ports), end(pcscf, 2, ports), keys.unwrap()).unwrap()
}

fn datagram(wish: &Wish, set: &SaSet) -> Vec<u8> {
    let (ue, pcscf) = (set.ends().ue.address, set.ends().pcscf.address);
    // DES-EDE3 is slow, and has one path for all lengths.
    let is_long = wish.long && set.suite().block_len() != 8;
    let len = usize::from(wish.len) * if is_long { 6 } else { 1 };
    let mut udp = [&[0x9c, 0x41, 0xc3, 0x52][..], &(8 + len as u16).to_be_bytes(), &[0, 0]].concat();
    udp.extend((0..len).map(|n| n as u8));
    let mut packet = match (ue, pcscf) {
        (IpAddr::V4(ue), IpAddr::V4(pcscf)) => {
            let total = (20 + udp.len() as u16).to_be_bytes();
            let header = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0];
            [&header[..], &ue.octets(), &pcscf.octets()].concat()
        }
        (IpAddr::V6(ue), IpAddr::V6(pcscf)) => {
            let len = (udp.len() as u16).to_be_bytes();
            [&[0x60, 0, 0, 0, len[0], len[1], 17, 64][..], &ue.octets(), &pcscf.octets()].concat()
        }
        _ => unreachable!(),
    };
    packet.extend(udp);
    if let Some((at, change)) = wish.plain_change {
        let at = usize::from(at) % packet.len();
        packet[at] ^= change;
    }
    packet
}

/// The SAs of one direction: keys take most of the time of an input.
struct Table {
    sad: Sad,
    inbound: Vec<InboundId>,
    outbound: Vec<OutboundId>,
}

fn table(input: &Input, sets: &[SaSet], side: Side, backend: Backend) -> Table {
    let mut checks = Checks::DEFAULT;
    if input.checks & 1 != 0 {
        checks = checks.with_any_source_port();
    }
    if input.checks & 2 != 0 {
        checks = checks.with_plain_headers_only();
    }
    if input.checks & 4 != 0 {
        checks = checks.with_udp_and_tcp_only();
    }
    let mut sad = Sad::new().with_backend(backend).with_checks(checks);
    let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
    let (_, names) = SaName::of(Side::Ue);
    for sa in sets.iter().flat_map(|set| names.map(|name| set.sa(name))) {
        match side {
            Side::Ue => outbound.push(sad.add_outbound(&sa).unwrap()),
            Side::Pcscf => inbound.push(sad.add_inbound(&sa).unwrap()),
        }
    }
    for id in &outbound {
        if let Some(numbers) = input.numbers {
            assert!(sad.advance_to(*id, u32::MAX - u32::from(numbers % 8)));
        }
        let limits = Limits::of(sad.outbound(*id).unwrap().suite());
        let volume = input.volume.map(|volume| 65_535 + 64 * u32::from(volume));
        assert!(sad.set_limits(*id, limits.with_hard_octets(volume)));
    }
    Table { sad, inbound, outbound }
}

/// Fails if the two tables differ in what they count, have received, or send next.
fn compare(one: &Table, many: &Table) {
    assert_eq!(one.sad.counters(), many.sad.counters());
    for (id, other) in one.inbound.iter().zip(&many.inbound) {
        let (sa, other) = (one.sad.inbound(*id).unwrap(), many.sad.inbound(*other).unwrap());
        assert_eq!(sa.counters(), other.counters());
        assert_eq!(format!("{:?}", sa.window()), format!("{:?}", other.window()));
    }
    for (id, other) in one.outbound.iter().zip(&many.outbound) {
        let (sa, other) = (one.sad.outbound(*id).unwrap(), many.sad.outbound(*other).unwrap());
        assert_eq!((sa.counters(), sa.next_sequence()), (other.counters(), other.next_sequence()));
    }
}

type Buffer = (Vec<u8>, std::ops::Range<usize>, Vec<u8>);

fn seal(one: &mut Table, many: &mut Table, wishes: &[Wish], sets: &[SaSet]) -> Vec<Vec<u8>> {
    let buffer = |wish: &Wish| -> Buffer {
        let datagram = datagram(wish, &sets[usize::from(wish.set)]);
        let room = wish.room.map_or(64, |room| usize::from(room) % 64);
        let range = room..room + datagram.len();
        let out = vec![0xdd; datagram.len() + room];
        ([vec![0xee; room], datagram, vec![0xee; room]].concat(), range, out)
    };
    let mut buffers: Vec<_> = wishes.iter().map(buffer).collect();
    let mut others = buffers.clone();
    let expected = wishes.iter().zip(&mut others).map(|(wish, (buffer, range, out))| {
        if wish.in_place {
            one.sad.seal_in_place(buffer, range.clone())
        } else {
            one.sad.seal(&buffer[range.clone()], out)
        }
    });
    let expected: Vec<_> = expected.collect();
    let jobs = wishes.iter().zip(&mut buffers).map(|(wish, (buffer, range, out))| {
        if wish.in_place {
            SealJob::in_place(buffer, range.clone())
        } else {
            SealJob::new(&buffer[range.clone()], out)
        }
    });
    let mut jobs: Vec<_> = jobs.collect();
    many.sad.seal_batch(&mut jobs);
    for (job, expected) in jobs.iter().zip(&expected) {
        assert_eq!(job.result(), Some(expected));
    }
    let packets = jobs.iter().filter_map(|job| job.packet().map(<[u8]>::to_vec)).collect();
    drop(jobs);
    assert_eq!(buffers, others);
    compare(one, many);
    packets
}

fn open(one: &mut Table, many: &mut Table, wishes: &[Wish], sealed: &[Vec<u8>]) {
    let packet = |(n, wish): (usize, &Wish)| -> Option<(Vec<u8>, Vec<u8>)> {
        let from = wish.copy.map_or(n, usize::from);
        let mut packet = sealed.get(from % sealed.len().max(1))?.clone();
        if let Some((at, change)) = wish.change {
            let at = usize::from(at) % packet.len();
            packet[at] ^= change;
        }
        if let Some(cut) = wish.cut {
            packet.truncate(usize::from(cut));
        }
        let room = packet.len() / if wish.room.is_some_and(|room| room & 1 != 0) { 2 } else { 1 };
        Some((packet, vec![0xdd; room]))
    };
    let mut packets: Vec<_> = wishes.iter().enumerate().filter_map(packet).collect();
    let mut others = packets.clone();
    let expected = wishes.iter().zip(&mut others).map(|(wish, (packet, out))| {
        if wish.in_place { one.sad.open_in_place(packet) } else { one.sad.open(packet, out) }
    });
    let expected: Vec<_> = expected.map(|arrived| arrived.map(|arrived| arrived.opened)).collect();
    let jobs = wishes.iter().zip(&mut packets).map(|(wish, (packet, out))| {
        if wish.in_place { OpenJob::in_place(packet) } else { OpenJob::new(packet, out) }
    });
    let mut jobs: Vec<_> = jobs.collect();
    many.sad.open_batch(&mut jobs);
    for (job, expected) in jobs.iter().zip(&expected) {
        assert_eq!(job.result(), Some(expected));
        assert_eq!(job.sa().is_some(), expected.is_ok());
    }
    drop(jobs);
    assert_eq!(packets, others);
    compare(one, many);
}

fuzz_target!(|input: Input| {
    SETS.with(|sets| {
        let first = usize::from(input.first_set) % (sets.len() - 1);
        let sets = &sets[first..first + 2];
        let backend = BACKENDS.with(|backends| backends[usize::from(input.backend) % backends.len()]);
        let pair = |side| (table(&input, sets, side, Backend::PLAIN), table(&input, sets, side, backend));
        let ((mut one, mut many), (mut other, mut others)) = (pair(Side::Ue), pair(Side::Pcscf));
        for wishes in [&input.jobs, &input.again] {
            let wishes = &wishes[..wishes.len().min(JOBS)];
            let sealed = seal(&mut one, &mut many, wishes, sets);
            open(&mut other, &mut others, wishes, &sealed);
        }
    });
});

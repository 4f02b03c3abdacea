//! A batch gives what one packet after the other gives: the same octets, results, counters and
//! windows, for any mix of suites, families, lengths and faults, on every backend that the machine
//! has.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::net::IpAddr;
use std::ops::Range;

use ipsec_3gpp::esp::Backend;
use ipsec_3gpp::sa::{
    Checks, Endpoint, Inbound, InboundId, InstalledSet, Limits, OpenError, OpenJob, Outbound, SaName, SaSet,
    SealError, SealJob, Side, WindowSize, open_batch, seal_batch,
};
use ipsec_3gpp::spi::Spi;
use ipsec_3gpp::{Sad, Suite};
use proptest::prelude::*;
use support::{keys, setup, udp};

/// Suites, in two families.
const SETS: usize = 2 * Suite::ALL.len();

/// Those of AES-GMAC and AES-GCM, which gain nothing from each other.
#[cfg(feature = "aes-gcm")]
const ONE_PASS: Range<usize> = SETS - 4..SETS;

/// The SA that packets take.
const NAME: SaName = SaName::UeClientToPcscfServer;

/// A UE of every suite and family, each with an address of its own.
fn sets() -> Vec<SaSet> {
    let mut sets = Vec::new();
    for (n, suite) in Suite::ALL.into_iter().enumerate() {
        for ipv6 in [false, true] {
            let (ue, pcscf) = ends(n, ipv6);
            let spi = 1000 + 10 * sets.len() as u32;
            let ue = Endpoint { address: ue, setup: setup(spi, spi + 1, 40001, 40002) };
            let pcscf = Endpoint { address: pcscf, setup: setup(spi + 2, spi + 3, 50001, 50002) };
            sets.push(SaSet::new(ue, pcscf, keys(suite)).unwrap());
        }
    }
    sets
}

fn ends(n: usize, ipv6: bool) -> (IpAddr, IpAddr) {
    if ipv6 {
        (format!("2001:db8::{}", n + 2).parse().unwrap(), "2001:db8::1".parse().unwrap())
    } else {
        (format!("10.0.0.{}", n + 2).parse().unwrap(), "10.0.0.1".parse().unwrap())
    }
}

fn sad(side: Side, backend: Backend) -> (Sad, Vec<InstalledSet>) {
    let mut sad = Sad::new()
        .with_window(WindowSize::new(64).unwrap())
        .with_checks(Checks::DEFAULT)
        .with_backend(backend);
    let installed = sets().iter().map(|set| sad.add_set(set, side).unwrap()).collect();
    (sad, installed)
}

/// Adds this many sets of other UEs that the table no longer takes its SAs to be in the processor's
/// caches.
fn crowd(sad: &mut Sad, side: Side) {
    for n in 0..1_100_u32 {
        let ue = IpAddr::from([10, 1, (n >> 8) as u8, n as u8]);
        let ue = Endpoint { address: ue, setup: setup(100_000 + 4 * n, 100_001 + 4 * n, 40001, 40002) };
        let pcscf = Endpoint {
            address: ends(0, false).1,
            setup: setup(100_002 + 4 * n, 100_003 + 4 * n, 50001, 50002),
        };
        sad.add_set(&SaSet::new(ue, pcscf, keys(Suite::HMAC_MD5_96_NULL)).unwrap(), side).unwrap();
    }
}

/// The SPI of an SA: ids name their table, so that those of two are never equal.
fn spi_of(sad: &Sad, id: InboundId) -> Spi {
    sad.inbound(id).unwrap().spi()
}

/// What a table has counted, and where its numbers stand.
fn state((sad, installed): (&Sad, &[InstalledSet])) -> String {
    let mut state = format!("{:?}", sad.counters());
    for set in installed {
        for id in set.inbound() {
            let sa = sad.inbound(id).unwrap();
            state += &format!("{:?} {:?}", sa.counters(), sa.window());
        }
        for id in set.outbound() {
            let sa = sad.outbound(id).unwrap();
            state += &format!("{:?} {:?}", sa.counters(), sa.next_sequence());
        }
    }
    state
}

#[derive(Clone, Copy, Debug)]
struct Wish {
    set: usize,
    len: usize,
    in_place: bool,
    fault: Fault,
    /// Where the fault is, and which of the packets before is taken again; of the first one, also
    /// whether numbers or volume will end.
    at: usize,
}

/// Of a first one: neither numbers nor volume end.
const UNLIMITED: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// No SA is for it.
    Stranger,
    /// None, but options of IPv4, or an extension header of IPv6.
    Options,
    /// Too little room.
    Room,
    /// An octet is changed.
    Forged,
    /// Cut off.
    Cut,
    /// One of the packets before it comes again.
    Again,
    /// It is far ahead: what comes after it is too old.
    Ahead,
}

fn wish(sets: Range<usize>) -> impl Strategy<Value = Wish> {
    use Fault::{Again, Ahead, Cut, Forged, Options, Room, Stranger};
    let fault = prop_oneof![
        8 => Just(Fault::None), 1 => Just(Options), 1 => Just(Stranger), 1 => Just(Room), 1 => Just(Forged), 1 => Just(Cut), 2 => Just(Again), 1 => Just(Ahead)
    ];
    let len = prop_oneof![2 => 0..200_usize, 2 => 200..1500_usize, 1 => 1500..4096_usize];
    (sets, len, any::<bool>(), fault, any::<usize>()).prop_map(|(set, len, in_place, fault, at)| Wish {
        set,
        len,
        in_place,
        fault,
        at,
    })
}

const BEFORE: usize = 40;

/// A datagram in a buffer with room around it, and where it is.
fn datagram(wish: &Wish) -> (Vec<u8>, Range<usize>) {
    let (ue, pcscf) = ends(wish.set / 2, wish.set % 2 == 1);
    let data: Vec<u8> = (0..wish.len).map(|n| ((n * 31 + wish.at) >> 2) as u8).collect();
    let to = if wish.fault == Fault::Stranger { 50009 } else { 50002 };
    let mut datagram = udp((ue, 40001), (pcscf, to), &data);
    if wish.fault == Fault::Options {
        datagram = with_options(&datagram);
    }
    let range = BEFORE..BEFORE + datagram.len();
    let room = if wish.fault == Fault::Room { wish.at % 14 } else { 60 };
    let mut buffer = vec![0xee; BEFORE];
    buffer.extend(datagram);
    buffer.resize(range.end + room, 0xee);
    (buffer, range)
}

/// Buffers to seal into.
fn outs(wishes: &[Wish], buffers: &[(Vec<u8>, Range<usize>)]) -> Vec<Vec<u8>> {
    let out = |(wish, (_, range)): (&Wish, &(_, Range<usize>))| {
        vec![0xdd; range.len() + if wish.fault == Fault::Room { wish.at % 20 } else { 60 }]
    };
    wishes.iter().zip(buffers).map(out).collect()
}

fn seal_jobs<'a>(
    wishes: &[Wish],
    buffers: &'a mut [(Vec<u8>, Range<usize>)],
    outs: &'a mut [Vec<u8>],
) -> Vec<SealJob<'a>> {
    wishes
        .iter()
        .zip(buffers)
        .zip(outs)
        .map(|((wish, (buffer, range)), out)| {
            if wish.in_place {
                SealJob::in_place(buffer, range.clone())
            } else {
                SealJob::new(&buffer[range.clone()], out)
            }
        })
        .collect()
}

/// A packet that arrives, for an SA of this set.
#[derive(Clone, PartialEq)]
struct Arriving {
    set: usize,
    packet: Vec<u8>,
    in_place: bool,
}

/// Those of the packets that were sealed, with faults among them.
fn arriving(wishes: &[Wish], sealed: &[Option<Vec<u8>>]) -> Vec<Arriving> {
    // Far ahead, for both.
    let mut jump = [0_u32; SETS];
    let mut arriving: Vec<Arriving> = Vec::new();
    for (wish, sealed) in wishes.iter().zip(sealed) {
        let Some(mut packet) = sealed.clone() else { continue };
        match wish.fault {
            Fault::Forged => {
                let at = wish.at % packet.len();
                packet[at] ^= 1 << (wish.at % 8);
            }
            Fault::Cut => packet.truncate(wish.at % packet.len()),
            Fault::Again if !arriving.is_empty() => {
                let again = arriving[wish.at % arriving.len()].clone();
                arriving.push(Arriving { in_place: wish.in_place, ..again });
            }
            Fault::Ahead => {
                // The same SA, long after.
                let set = &sets()[wish.set];
                jump[wish.set] += 100;
                let (buffer, range) = datagram(wish);
                let ahead = Outbound::new(&set.sa(NAME));
                let iv = vec![7; set.suite().iv_len()];
                let mut out = vec![0; range.len() + 60];
                let range = ahead.seal_with(jump[wish.set], &iv, &buffer[range], &mut out).unwrap();
                packet = out[range].to_vec();
            }
            Fault::None | Fault::Options | Fault::Stranger | Fault::Room | Fault::Again => {}
        }
        arriving.push(Arriving { set: wish.set, packet, in_place: wish.in_place });
    }
    arriving
}

/// Buffers to open into.
fn open_outs(arriving: &[Arriving]) -> Vec<Vec<u8>> {
    let out = |(n, Arriving { packet, .. }): (usize, &Arriving)| {
        vec![0xdd; if n % 13 == 12 { packet.len() / 2 } else { packet.len() }]
    };
    arriving.iter().enumerate().map(out).collect()
}

fn open_jobs<'a>(arriving: &'a mut [Arriving], outs: &'a mut [Vec<u8>]) -> Vec<OpenJob<'a>> {
    let job = |(Arriving { packet, in_place, .. }, out): (&'a mut Arriving, &'a mut Vec<u8>)| {
        if *in_place { OpenJob::in_place(packet) } else { OpenJob::new(packet, out) }
    };
    arriving.iter_mut().zip(outs).map(job).collect()
}

/// A datagram with three options that do nothing, or with hop-by-hop options that are padding.
fn with_options(datagram: &[u8]) -> Vec<u8> {
    let (header_len, options): (_, &[u8]) =
        if datagram[0] >> 4 == 4 { (20, &[1, 1, 1, 0]) } else { (40, &[17, 0, 1, 4, 0, 0, 0, 0]) };
    let (header, payload) = datagram.split_at(header_len);
    let mut header = header.to_vec();
    let len_at = if header_len == 20 { 2 } else { 4 };
    let len = u16::from_be_bytes([header[len_at], header[len_at + 1]]) + options.len() as u16;
    header[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
    if header_len == 20 {
        header[0] = 0x46;
    } else {
        header[6] = 0;
    }
    [&header, options, payload].concat()
}

fn check(wishes: &[Wish], backend: Backend, crowded: bool) {
    let ((mut one, one_ids), (mut many, ids)) = (sad(Side::Ue, Backend::PLAIN), sad(Side::Ue, backend));
    if crowded {
        crowd(&mut many, Side::Ue);
    }
    // Now and then the numbers end, or the volume: in the order of the jobs, whatever fails.
    let (numbers, volume) = (wishes[0].at % 6 < 2, wishes[0].at % 6 == 2);
    let few = (wishes[0].at >> 4) as u32 % 4;
    for (sad, ids) in [(&mut one, &one_ids), (&mut many, &ids)] {
        for id in ids.iter().flat_map(InstalledSet::outbound) {
            let limits = Limits::of(sad.outbound(id).unwrap().suite());
            if numbers {
                assert!(sad.advance_to(id, u32::MAX - few));
            } else if volume {
                assert!(sad.set_limits(id, limits.with_hard_octets(Some(65_535 + 900 * few))));
            }
        }
    }
    // Sealing.
    let mut buffers: Vec<_> = wishes.iter().map(datagram).collect();
    let mut others = buffers.clone();
    let mut outs = outs(wishes, &buffers);
    let mut other_outs = outs.clone();
    let expected: Vec<_> = wishes
        .iter()
        .zip(&mut others)
        .zip(&mut other_outs)
        .map(|((wish, (buffer, range)), out)| {
            if wish.in_place {
                one.seal_in_place(buffer, range.clone())
            } else {
                one.seal(&buffer[range.clone()], out)
            }
        })
        .collect();
    let mut jobs = seal_jobs(wishes, &mut buffers, &mut outs);
    // Those that have results are passed over: some now and then, and then all.
    let some = if (wishes[0].at >> 8) % 3 == 1 { wishes.len() / 2 } else { 0 };
    many.seal_batch(&mut jobs[..some]);
    many.seal_batch(&mut jobs);
    many.seal_batch(&mut jobs);
    for (n, (job, expected)) in jobs.iter().zip(&expected).enumerate() {
        assert_eq!(job.result(), Some(expected), "job {n} of {wishes:?}");
        assert!(expected.is_ok() || wishes[n].fault != Fault::Options || numbers || volume);
    }
    let packets: Vec<_> = jobs.iter().map(|job| job.packet().map(<[u8]>::to_vec)).collect();
    drop(jobs);
    assert!(buffers == others && outs == other_outs, "{backend}: other octets for {wishes:?}");
    assert_eq!(state((&many, &ids)), state((&one, &one_ids)));

    // Opening.
    let ((mut one, one_ids), (mut many, ids)) = (sad(Side::Pcscf, Backend::PLAIN), sad(Side::Pcscf, backend));
    if crowded {
        crowd(&mut many, Side::Pcscf);
    }
    let mut arriving = arriving(wishes, &packets);
    let mut others = arriving.clone();
    let mut outs = open_outs(&arriving);
    let mut other_outs = outs.clone();
    let expected: Vec<_> = others
        .iter_mut()
        .zip(&mut other_outs)
        .map(
            |(Arriving { packet, in_place, .. }, out)| {
                if *in_place { one.open_in_place(packet) } else { one.open(packet, out) }
            },
        )
        .collect();
    let mut jobs = open_jobs(&mut arriving, &mut outs);
    let some = some.min(jobs.len());
    many.open_batch(&mut jobs[..some]);
    many.open_batch(&mut jobs);
    many.open_batch(&mut jobs);
    for (n, (job, expected)) in jobs.iter().zip(&expected).enumerate() {
        match expected {
            Ok(arrived) => {
                assert_eq!(job.result().unwrap().as_ref(), Ok(&arrived.opened), "job {n} of {wishes:?}");
                assert_eq!(job.sa().map(|id| spi_of(&many, id)), Some(spi_of(&one, arrived.sa)));
                assert_eq!(job.datagram().unwrap().len(), arrived.opened.range.len());
            }
            Err(error) => {
                assert_eq!(job.result().unwrap().as_ref(), Err(error), "job {n} of {wishes:?}");
                assert_eq!((job.sa(), job.datagram()), (None, None));
            }
        }
    }
    drop(jobs);
    assert!(arriving == others && outs == other_outs, "{backend}: other octets for {wishes:?}");
    assert_eq!(state((&many, &ids)), state((&one, &one_ids)));
}

/// The same over a slice with an SA of each set, the last one first. Some jobs come with the
/// position of another SA, or of none.
fn check_slice(wishes: &[Wish], backend: Backend) {
    let mut sets = sets();
    sets.reverse();
    // The other SA is of the same family.
    let position = |set: usize, at: usize| match at % 11 {
        0 => SETS,
        1 => SETS - 1 - (set + 2) % SETS,
        _ => SETS - 1 - set,
    };
    let sender = |set: &SaSet, backend| Outbound::new_on(&set.sa(NAME), backend);
    let receiver = |set: &SaSet, backend| Inbound::new_on(&set.sa(NAME), WindowSize::default(), backend);

    let [mut one, mut many]: [Vec<_>; 2] =
        [Backend::PLAIN, backend].map(|backend| sets.iter().map(|set| sender(set, backend)).collect());
    let mut buffers: Vec<_> = wishes.iter().map(datagram).collect();
    let mut others = buffers.clone();
    let mut outs = outs(wishes, &buffers);
    let mut other_outs = outs.clone();
    let positions = wishes.iter().map(|wish| position(wish.set, wish.at));
    let mut jobs: Vec<_> = positions.zip(seal_jobs(wishes, &mut buffers, &mut outs)).collect();
    seal_batch(&mut many, &mut jobs);
    seal_batch(&mut many, &mut jobs);
    for (wish, ((position, job), ((buffer, range), out))) in
        wishes.iter().zip(jobs.iter().zip(others.iter_mut().zip(&mut other_outs)))
    {
        let expected = one.get_mut(*position).map(|sa| {
            if wish.in_place {
                sa.seal_in_place(buffer, range.clone())
            } else {
                sa.seal(&buffer[range.clone()], out)
            }
        });
        assert_eq!(job.result(), expected.as_ref(), "SA {position}: {wish:?}");
    }
    let packets: Vec<_> = jobs.iter().map(|(_, job)| job.packet().map(<[u8]>::to_vec)).collect();
    drop(jobs);
    assert!(buffers == others && outs == other_outs, "{backend}: other octets for {wishes:?}");
    for (one, many) in one.iter().zip(&many) {
        assert_eq!((one.counters(), one.next_sequence()), (many.counters(), many.next_sequence()));
    }

    let [mut one, mut many]: [Vec<_>; 2] =
        [Backend::PLAIN, backend].map(|backend| sets.iter().map(|set| receiver(set, backend)).collect());
    let mut arriving = arriving(wishes, &packets);
    let mut others = arriving.clone();
    let mut outs = open_outs(&arriving);
    let mut other_outs = outs.clone();
    let positions: Vec<_> =
        arriving.iter().enumerate().map(|(n, one)| position(one.set, n + wishes[0].at)).collect();
    let mut jobs: Vec<_> = positions.into_iter().zip(open_jobs(&mut arriving, &mut outs)).collect();
    open_batch(&mut many, &mut jobs);
    open_batch(&mut many, &mut jobs);
    for ((position, job), (Arriving { packet, in_place, .. }, out)) in
        jobs.iter().zip(others.iter_mut().zip(&mut other_outs))
    {
        let open = |sa: &mut Inbound| if *in_place { sa.open_in_place(packet) } else { sa.open(packet, out) };
        assert_eq!(job.result(), one.get_mut(*position).map(open).as_ref(), "SA {position} of {wishes:?}");
    }
    drop(jobs);
    assert!(arriving == others && outs == other_outs, "{backend}: other octets for {wishes:?}");
    for (one, many) in one.iter().zip(&many) {
        assert_eq!(one.counters(), many.counters());
        assert_eq!(format!("{:?}", one.window()), format!("{:?}", many.window()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_is_one_after_the_other(wishes in proptest::collection::vec(wish(0..SETS), 1..=70)) {
        for backend in Backend::available() {
            check(&wishes, backend, false);
            check_slice(&wishes, backend);
        }
    }
}

#[cfg(feature = "aes-gcm")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_that_begins_with_one_pass_each_is_one_after_the_other(
        first in proptest::collection::vec(wish(ONE_PASS), 1..=70),
        others in proptest::collection::vec(wish(0..SETS), 0..=40),
    ) {
        let wishes = [first, others].concat();
        assert!(ONE_PASS.into_iter().all(|set| Suite::ALL[set / 2].is_gcm()));
        for backend in Backend::available() {
            check(&wishes, backend, false);
            check_slice(&wishes, backend);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_among_many_sas_is_one_after_the_other(wishes in proptest::collection::vec(wish(0..SETS), 1..=70)) {
        for backend in Backend::available() {
            check(&wishes, backend, true);
        }
    }
}

#[test]
fn every_suite_number_of_packets_and_backend() {
    for backend in Backend::available() {
        for set in 0..SETS {
            // AES-GCM has no lanes that could be full or not.
            let is_gcm = Suite::ALL[set / 2].is_gcm();
            for count in (1..=70).filter(|count| !is_gcm || [1, 2, 16, 17, 64, 65].contains(count)) {
                let wishes: Vec<_> = (0..count)
                    .map(|n| Wish {
                        set,
                        len: 40 + 7 * ((n * 5) % 11),
                        in_place: n % 2 == 0,
                        fault: Fault::None,
                        at: UNLIMITED + n,
                    })
                    .collect();
                check(&wishes, backend, false);
            }
        }
    }
}

#[test]
fn long_and_short_packets_go_side_by_side() {
    for backend in Backend::available() {
        for set in [0, 4, 6, 8, 10, 12, 14] {
            let lens = [4095, 0, 1000, 16, 63, 64, 65, 4000, 300, 1, 2, 3, 55, 56, 57, 2000];
            let wishes: Vec<_> = lens
                .into_iter()
                .cycle()
                .take(70)
                .enumerate()
                .map(|(n, len)| Wish {
                    set: (set + n % 2) % SETS,
                    len,
                    in_place: n % 3 == 0,
                    fault: Fault::None,
                    at: UNLIMITED + n,
                })
                .collect();
            check(&wishes, backend, false);
        }
    }
}

#[test]
fn of_two_copies_in_a_batch_one_is_delivered() {
    for backend in Backend::available() {
        let ((mut ue, _), (mut pcscf, _)) = (sad(Side::Ue, backend), sad(Side::Pcscf, backend));
        let wish = Wish { set: 10, len: 300, in_place: false, fault: Fault::None, at: 0 };
        let (buffer, range) = datagram(&wish);
        let mut packet = vec![0; range.len() + 60];
        let sealed = ue.seal(&buffer[range], &mut packet).unwrap();
        packet.truncate(sealed.range.end);
        let mut outs = vec![vec![0; packet.len()]; 20];
        let mut jobs: Vec<_> = outs.iter_mut().map(|out| OpenJob::new(&packet, out)).collect();
        pcscf.open_batch(&mut jobs);
        assert!(jobs[0].datagram().is_some());
        for job in &jobs[1..] {
            let error = job.result().unwrap().as_ref().unwrap_err();
            assert!(matches!(error, OpenError::Replay { sequence: 1, .. }), "{error:?}");
        }
        drop(jobs);
        // Nothing of the copies was decrypted.
        assert!(outs[1..].iter().flatten().all(|octet| *octet == 0));
    }
}

/// The last number is of the second job: the first one failed for another reason.
#[test]
fn a_job_that_fails_is_told_its_own_reason() {
    let (ue, pcscf) = ends(0, false);
    let plain = udp((ue, 40001), (pcscf, 50002), b"x");
    for backend in Backend::available() {
        let new = || {
            let (mut sad, ids) = sad(Side::Ue, backend);
            for id in ids.iter().flat_map(InstalledSet::outbound) {
                assert!(sad.advance_to(id, u32::MAX));
            }
            sad
        };
        for filler in [0, 20] {
            let (mut one, mut many) = (new(), new());
            let mut rooms = vec![4, 200, 200, 4];
            rooms.extend(vec![4; filler]);
            let mut outs: Vec<_> = rooms.iter().map(|len| vec![0; *len]).collect();
            let expected: Vec<_> = outs.iter_mut().map(|out| one.seal(&plain, out)).collect();
            let mut jobs: Vec<_> = outs.iter_mut().map(|out| SealJob::new(&plain, out)).collect();
            many.seal_batch(&mut jobs);
            let found: Vec<_> = jobs.iter().map(|job| job.result().unwrap().clone()).collect();
            assert_eq!(found, expected);
            assert!(matches!(found[0], Err(SealError::Room { .. })));
            assert!(found[1].is_ok() && matches!(found[2], Err(SealError::Exhausted(_))));
        }
    }
}

#[test]
fn one_sa_and_a_slice_of_sas_need_no_table() {
    let sets = sets();
    let backends: Vec<_> = Backend::available().collect();
    // All SAs on one backend, and then each on another, so that a batch has all of them.
    for mix in 0..2 * backends.len() {
        let of_sa = |n: usize| backends[(mix + if mix < backends.len() { 0 } else { n }) % backends.len()];
        let backend = of_sa(0);
        let all = || sets.iter().enumerate();
        let mut senders: Vec<_> = all().map(|(n, set)| Outbound::new_on(&set.sa(NAME), of_sa(n))).collect();
        let mut judges: Vec<_> =
            all().map(|(_, set)| Outbound::new_on(&set.sa(NAME), Backend::PLAIN)).collect();
        let mut receivers: Vec<_> =
            all().map(|(n, set)| Inbound::new_on(&set.sa(NAME), WindowSize::default(), of_sa(n))).collect();
        let wishes: Vec<_> = (0..100)
            .map(|n| Wish { set: n % SETS, len: 10 * n, in_place: false, fault: Fault::None, at: n })
            .collect();
        let datagrams: Vec<_> = wishes.iter().map(datagram).collect();
        let mut outs: Vec<_> = datagrams.iter().map(|(buffer, _)| vec![0; buffer.len()]).collect();
        let mut jobs: Vec<_> = datagrams
            .iter()
            .zip(&mut outs)
            .enumerate()
            .map(|(n, ((buffer, range), out))| (n % SETS, SealJob::new(&buffer[range.clone()], out)))
            .collect();
        // An SA that is not there, and one that the datagram is not for.
        let stray = &datagrams[0].0[datagrams[0].1.clone()];
        let (mut out, mut another) = ([0; 200], [0; 200]);
        jobs.push((SETS, SealJob::new(stray, &mut out)));
        jobs.push((3, SealJob::new(stray, &mut another)));
        seal_batch(&mut senders, &mut jobs);
        assert_eq!(jobs[100].1.result(), None);
        assert!(jobs[101].1.result().unwrap().is_err());
        jobs.truncate(100);
        // A second time changes nothing.
        seal_batch(&mut senders, &mut jobs);
        let packets: Vec<_> = jobs.iter().map(|(_, job)| job.packet().unwrap().to_vec()).collect();
        assert_eq!(senders[0].next_sequence(), Some(100_u32.div_ceil(SETS as u32) + 1));
        for (n, (packet, (buffer, range))) in packets.iter().zip(&datagrams).enumerate() {
            let mut out = vec![0; buffer.len()];
            let sealed = judges[n % SETS].seal(&buffer[range.clone()], &mut out).unwrap();
            assert_eq!(*packet, out[sealed.range], "packet {n}, mix {mix}");
        }
        let mut outs: Vec<_> = packets.iter().map(|packet| vec![0; packet.len()]).collect();
        let mut jobs: Vec<_> = packets
            .iter()
            .zip(&mut outs)
            .enumerate()
            .map(|(n, (packet, out))| (n % SETS, OpenJob::new(packet, out)))
            .collect();
        open_batch(&mut receivers, &mut jobs);
        for ((_, job), (buffer, range)) in jobs.iter().zip(&datagrams) {
            assert_eq!(job.datagram(), Some(&buffer[range.clone()]));
        }
        // One SA alone.
        let mut sender = Outbound::new_on(&sets[10].sa(NAME), backend);
        let mut receiver = Inbound::new_on(&sets[10].sa(NAME), WindowSize::default(), backend);
        let (buffer, range) =
            datagram(&Wish { set: 10, len: 500, in_place: false, fault: Fault::None, at: 1 });
        let mut outs = vec![vec![0; 700]; 5];
        let mut jobs: Vec<_> = outs.iter_mut().map(|out| SealJob::new(&buffer[range.clone()], out)).collect();
        sender.seal_batch(&mut jobs);
        let mut packets: Vec<_> = jobs.iter().map(|job| job.packet().unwrap().to_vec()).collect();
        let mut jobs: Vec<_> = packets.iter_mut().map(|packet| OpenJob::in_place(packet)).collect();
        receiver.open_batch(&mut jobs);
        assert!(jobs.iter().all(|job| job.datagram() == Some(&buffer[range.clone()])));
        assert_eq!(receiver.counters().packets, 5);
    }
}

//! The packet path allocates nothing, and what anybody can send keeps little: counted by the
//! allocator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(unsafe_code, reason = "an allocator cannot be written without it")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ipsec_3gpp::esp::Backend;
use ipsec_3gpp::fragments::{Reassembly, ReassemblyLimits, Received};
use ipsec_3gpp::registration::{Config, Over, Register};
use ipsec_3gpp::sa::{Checks, Endpoint, OpenJob, SaSet, SealJob, Side, WindowSize};
use ipsec_3gpp::setup::Port;
use ipsec_3gpp::spi::SpiSlice;
use ipsec_3gpp::{Confidentiality, Moment, Pcscf, Policy, Sad, SpiAllocator, Suite};
use support::{addresses, keys, set, setup, udp};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static OCTETS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        OCTETS.set(OCTETS.get().wrapping_add(layout.size()));
        // SAFETY: the caller's promise is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        OCTETS.set(OCTETS.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's promise is that of the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1]))), 2);
}

#[test]
fn sealing_and_opening_allocate_nothing_whether_they_succeed_or_not() {
    for suite in Suite::ALL {
        for ipv6 in [false, true] {
            let set = set(suite, ipv6);
            let mut ue = Sad::new().with_window(WindowSize::new(4096).unwrap()).with_checks(Checks::DEFAULT);
            let mut pcscf = Sad::new();
            ue.add_set(&set, Side::Ue).unwrap();
            pcscf.add_set(&set, Side::Pcscf).unwrap();
            let (from, to) = addresses(ipv6);
            let plain = udp((from, 40001), (to, 50002), &[7; 1000]);
            let stranger = udp((from, 40009), (to, 50002), &[7; 1000]);
            let (mut packet, mut out) = (vec![0; 1500], vec![0; 1500]);
            let mut passed = 0;
            let count = allocations(|| {
                for _ in 0..100 {
                    let sealed = ue.seal(&plain, &mut packet).unwrap();
                    let range = sealed.range.clone();
                    passed += usize::from(pcscf.open(&packet[range.clone()], &mut out).is_ok());
                    // A replay, a forgery, a packet of nobody, a fragment, too little room.
                    passed += usize::from(pcscf.open(&packet[range.clone()], &mut out).is_ok());
                    packet[range.end - 1] ^= 1;
                    passed += usize::from(pcscf.open_in_place(&mut packet[range.clone()]).is_ok());
                    passed += usize::from(ue.open(&packet[range.clone()], &mut out).is_ok());
                    passed += usize::from(pcscf.open(&packet[..range.end / 2], &mut out).is_ok());
                    passed += usize::from(ue.seal(&stranger, &mut packet).is_ok());
                    passed += usize::from(ue.seal(&plain, &mut packet[..100]).is_ok());
                    packet[100..100 + plain.len()].copy_from_slice(&plain);
                    let sealed = ue.seal_in_place(&mut packet, 100..100 + plain.len()).unwrap();
                    passed += usize::from(pcscf.open_in_place(&mut packet[sealed.range]).is_ok());
                }
            });
            assert_eq!((count, passed), (0, 200), "{suite}");
        }
    }
}

#[test]
fn batches_allocate_nothing() {
    for (suite, backend) in
        Suite::ALL.into_iter().flat_map(|suite| Backend::available().map(move |backend| (suite, backend)))
    {
        let set = set(suite, false);
        let (mut ue, mut pcscf) = (Sad::new().with_backend(backend), Sad::new().with_backend(backend));
        ue.add_set(&set, Side::Ue).unwrap();
        pcscf.add_set(&set, Side::Pcscf).unwrap();
        let (from, to) = addresses(false);
        let datagrams: Vec<_> = (0..100)
            .map(|n| udp((from, if n % 9 == 8 { 40009 } else { 40001 }), (to, 50002), &vec![7; 13 * n]))
            .collect();
        let mut packets = vec![vec![0; 1500]; datagrams.len()];
        let mut jobs: Vec<_> =
            datagrams.iter().zip(&mut packets).map(|(datagram, out)| SealJob::new(datagram, out)).collect();
        let sealing = allocations(|| ue.seal_batch(&mut jobs));
        let mut packets: Vec<_> = jobs.iter().filter_map(|job| job.packet().map(<[u8]>::to_vec)).collect();
        assert_eq!(packets.len(), 89);
        packets.push(packets[0].clone());
        packets[7][60] ^= 1;
        let mut jobs: Vec<_> = packets.iter_mut().map(|packet| OpenJob::in_place(packet)).collect();
        let opening = allocations(|| pcscf.open_batch(&mut jobs));
        assert_eq!((sealing, opening), (0, 0), "{suite} on {backend}");
        assert_eq!(jobs.iter().filter(|job| job.datagram().is_some()).count(), 88);
    }
}

#[test]
fn taking_a_set_into_use_with_its_first_packet_allocates_nothing() {
    let (ue, pcscf) = addresses(false);
    let of = |own: u32| {
        let end = |address, setup| Endpoint { address, setup };
        let (at_ue, at_pcscf) = (setup(1001, 1002, 40001, 40002), setup(own, own + 1, 50001, 50002));
        SaSet::new(end(ue, at_ue), end(pcscf, at_pcscf), keys(Suite::HMAC_SHA_1_96_AES_CBC)).unwrap()
    };
    let (mut sad, newer) = (Sad::new(), of(3001));
    sad.add_set(&of(2001), Side::Pcscf).unwrap();
    sad.add_set(&newer, Side::Pcscf).unwrap();
    let mut phone = Sad::new();
    phone.add_set(&newer, Side::Ue).unwrap();
    let plain = udp((ue, 40001), (pcscf, 50002), b"SM7");
    let answer = udp((pcscf, 50002), (ue, 40001), b"SYN-ACK");
    let (mut packet, mut back) = (vec![0; 200], vec![0; 200]);
    let range = phone.seal(&plain, &mut packet).unwrap().range;
    let count = allocations(|| {
        let _ = sad.open_in_place(&mut packet[range]).unwrap();
    });
    assert_eq!(count, 0);
    let range = sad.seal(&answer, &mut back).unwrap().range;
    assert!(phone.open_in_place(&mut back[range]).is_ok(), "the newer set sends");
}

#[test]
fn a_register_in_clear_keeps_no_more_than_about_what_was_sent() {
    let port = |number| Port::new(number).unwrap();
    let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
    let policy = Policy::new(&suites, Confidentiality::Offered).unwrap();
    let config = Config::new(policy, port(7060), &[port(7101), port(7102), port(7103)]).unwrap();
    let spis = SpiAllocator::new(SpiSlice::WHOLE, 1000, [7; 16]).unwrap();
    let now = Moment::from_millis(0);
    let (mut pcscf, mut sad) = (Pcscf::new(config, spis, now), Sad::new());
    // 24 parameters in each of 28 mechanisms, and one that is usable.
    let parameters: String = (0..23).map(|n| format!(";{}=1", char::from(b'a' + n))).collect();
    let long = format!(
        "{}ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100",
        format!("x{parameters},").repeat(28)
    );
    assert!((2500..4000).contains(&long.len()), "{}", long.len());
    let rows = [long.as_str()];
    let register = |pcscf: &mut Pcscf, sad: &mut Sad, n: u8| {
        let impi = format!("{n}@ims");
        let from = [10, 1, 0, n].into();
        let register =
            Register::new(Over::Clear, from, [10, 0, 0, 1].into(), &impi).with_security_client(&rows);
        let _ = pcscf.register(now, &register, sad).unwrap();
    };
    // Tables that grow have grown.
    (1..=16).for_each(|n| register(&mut pcscf, &mut sad, n));
    let before = OCTETS.get();
    (17..=20).for_each(|n| register(&mut pcscf, &mut sad, n));
    let each = OCTETS.get().wrapping_sub(before) / 4;
    assert!(each > long.len() && each < long.len() + 2500, "{each} octets for {} of header", long.len());
}

#[test]
fn after_a_flood_a_table_of_sas_releases_its_memory() {
    let before = OCTETS.get();
    let mut sad = Sad::new();
    let nth = |n: u32| {
        let (_, pcscf) = addresses(false);
        let ue = [10, 8 + (n >> 16) as u8, (n >> 8) as u8, n as u8].into();
        let end = |address, first: u32| Endpoint {
            address,
            setup: setup(256 + 4 * n + first, 257 + 4 * n + first, 40_001, 40_002),
        };
        SaSet::new(end(ue, 0), end(pcscf, 2), keys(Suite::HMAC_SHA_1_96_NULL)).unwrap()
    };
    let flood: Vec<_> = (0..20_000).map(|n| sad.add_set(&nth(n), Side::Pcscf).unwrap()).collect();
    let full = OCTETS.get().wrapping_sub(before);
    assert!(full > 20_000_000, "{full} octets");
    let stays = sad.inbound(flood[17].inbound()[0]).unwrap().spi();
    for (n, set) in flood.iter().enumerate() {
        assert!(n == 17 || sad.remove_set(set));
    }
    assert_eq!((sad.len(), sad.inbound(flood[17].inbound()[0]).unwrap().spi()), (4, stays));
    drop(flood);
    // A chunk of 8,192 inbound SAs, and one of outbound ones, may stay for the next flood.
    let left = OCTETS.get().wrapping_sub(before);
    assert!(left < 8192 * (384 + 192) + 100_000, "{left} octets of {full}");
}

#[test]
fn after_a_flood_of_fragments_their_memory_is_released() {
    let before = OCTETS.get();
    let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT);
    for n in 0..20_000_u32 {
        let mut first =
            udp(([10, 8, (n >> 8) as u8, n as u8].into(), 5060), ([10, 0, 0, 1].into(), 5060), &[7; 500]);
        // More fragments.
        (first[6], first[4], first[5]) = (0x20, (n >> 8) as u8, n as u8);
        first.truncate(20 + 504);
        first[2..4].copy_from_slice(&524_u16.to_be_bytes());
        let header = etherparse::Ipv4HeaderSlice::from_slice(&first).unwrap().to_header();
        first[10..12].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
        assert_eq!(reassembly.receive(&first, Moment::from_millis(u64::from(n))), Ok(Received::Incomplete));
    }
    assert!(!reassembly.is_empty());
    reassembly.handle_timeout(Moment::from_millis(3_600_000));
    assert!(reassembly.is_empty());
    let left = OCTETS.get().wrapping_sub(before);
    assert!(left < 10_000, "{left} octets");
}

#[test]
fn after_a_flood_a_table_of_contacts_releases_its_memory() {
    let port = |number| Port::new(number).unwrap();
    let policy = Policy::new(&[Suite::HMAC_SHA_1_96_AES_CBC], Confidentiality::Offered).unwrap();
    let config = Config::new(policy, port(7060), &[port(7101), port(7102), port(7103)]).unwrap();
    let spis = SpiAllocator::new(SpiSlice::WHOLE, 1000, [7; 16]).unwrap();
    let now = Moment::from_millis(0);
    let config = config.with_max_addresses(50_000, 100);
    let before = OCTETS.get();
    let (mut pcscf, mut sad) = (Pcscf::new(config, spis, now), Sad::new());
    let rows = ["ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100"];
    for n in 0..20_000_u32 {
        let impi = format!("{n}@ims");
        let from = [10, 8 + (n >> 16) as u8, (n >> 8) as u8, n as u8].into();
        let register =
            Register::new(Over::Clear, from, [10, 0, 0, 1].into(), &impi).with_security_client(&rows);
        let _ = pcscf.register(now, &register, &mut sad).unwrap();
    }
    let full = OCTETS.get().wrapping_sub(before);
    assert!(full > 20_000_000, "{full} octets");
    pcscf.handle_timeout(Moment::from_millis(3_600_000), &mut sad);
    while pcscf.poll_event().is_some() {}
    assert!(pcscf.is_empty());
    let left = OCTETS.get().wrapping_sub(before);
    assert!(left < full / 10, "{left} octets of {full}");
}

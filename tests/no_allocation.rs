//! The packet path allocates nothing: counted by the allocator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(unsafe_code, reason = "an allocator cannot be written without it")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ipsec_3gpp::esp::Backend;
use ipsec_3gpp::sa::{OpenJob, SealJob, SelectorCheck, Side, WindowSize};
use ipsec_3gpp::{Sad, Suite};
use support::{addresses, set, udp};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
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
            let mut ue = Sad::new()
                .with_window(WindowSize::new(4096).unwrap())
                .with_selector_check(SelectorCheck::Strict);
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

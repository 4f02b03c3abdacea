//! The packet path allocates nothing: counted by the allocator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(unsafe_code, reason = "an allocator cannot be written without it")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ipsec_3gpp::{Sad, SelectorCheck, Side, Suite, WindowSize};
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
            let mut ue = Sad::with(WindowSize::new(4096).unwrap(), SelectorCheck::Strict);
            let mut pcscf = Sad::new();
            ue.install(&set, Side::Ue).unwrap();
            pcscf.install(&set, Side::Pcscf).unwrap();
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

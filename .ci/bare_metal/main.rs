//! A UE without an operating system, linked so that its size can be read: it registers, seals,
//! opens, and waits.
#![no_std]
#![no_main]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::hint::black_box;
use core::time::Duration;

use ipsec_3gpp::registration::{Begin, Over, UeConfig};
use ipsec_3gpp::sa::HashSeed;
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Moment, Policy, Sad, Suite, Ue};

/// Takes memory from an array, and never gives it back.
struct Bump(UnsafeCell<([u8; 64 * 1024], usize)>);

// SAFETY: there is one thread.
unsafe impl Sync for Bump {}

// SAFETY: what it hands out is aligned, within the array, and handed out once.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (memory, used) = unsafe { &mut *self.0.get() };
        let start = memory.as_mut_ptr();
        let at = (start as usize + *used).next_multiple_of(layout.align()) - start as usize;
        match at.checked_add(layout.size()).filter(|end| *end <= memory.len()) {
            Some(end) => {
                *used = end;
                unsafe { start.add(at) }
            }
            None => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: Bump = Bump(UnsafeCell::new(([0; 64 * 1024], 0)));

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

fn life(packet: &mut [u8], server: &str) -> Option<usize> {
    let now = Moment::from_millis(black_box(0));
    let suites = black_box([Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL]);
    let policy = Policy::new(&suites, Confidentiality::Offered).ok()?;
    let mut ue = Ue::new(UeConfig::new(policy, [10, 0, 0, 1].into()), [10, 1, 0, 16].into());
    let mut sad = Sad::seeded(&HashSeed::new(black_box([3; 16])));
    let spis = SpiPair { client: Spi::new(1111).ok()?, server: Spi::new(2222).ok()? };
    let begin = Begin::new(Setup { spis, ports: PortPair::new(6101, 6100).ok()? });
    let sm1 = ue.begin(now, &begin, &mut sad).ok()?;
    black_box(alloc::string::ToString::to_string(&sm1.security_client));
    let (ck, ik) = (Ck::new(black_box([1; 16])), Ik::new(black_box([2; 16])));
    black_box(ue.challenged(now, Over::Clear, &[server], &ck, &ik, &mut sad).ok()?.route);
    ue.success(now, Over::Clear, Duration::from_secs(3600), &mut sad).ok()?;
    let mut out = [0; 256];
    let sealed = sad.seal(packet, &mut out).ok()?;
    let opened = sad.open_in_place(out.get_mut(sealed.range)?).ok()?;
    ue.message(now, opened.opened.spi, &mut sad).ok()?;
    black_box(ue.route_request().ok()?);
    ue.handle_timeout(now, &mut sad);
    while let Some(event) = ue.poll_event() {
        black_box(event);
    }
    Some(opened.opened.range.len())
}

#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    black_box(life(black_box(&mut [0; 64]), black_box("ipsec-3gpp")));
    loop {}
}

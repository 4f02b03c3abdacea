//! Prefetch of memory that will be needed soon.

/// Octets of a line of the caches.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Prefetches a value into the processor's caches, where the processor can. It does not block.
#[inline]
#[cfg_attr(target_arch = "x86_64", allow(unsafe_code, reason = "the intrinsic takes a pointer"))]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // Into the second-level cache: of many lines prefetched into the first, some were evicted
        // before they were used.
        let start = core::ptr::from_ref(value).cast::<i8>();
        let before = start.addr() % LINE;
        for octet in (0..before + size_of::<T>()).step_by(LINE) {
            // SAFETY: a hint: the address is within a value that a reference points to, and nothing
            // is read or written.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_sub(before).wrapping_add(octet)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Prefetches the headers of a packet that is next, into the first-level cache. The processor finds
/// the rest itself: it reads that in order, and nothing of it decides what is read.
#[inline(always)]
#[cfg_attr(target_arch = "x86_64", allow(unsafe_code, reason = "the intrinsic takes a pointer"))]
pub(crate) fn prefetch_headers(packet: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint: nothing is read or written.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(packet.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = packet;
}

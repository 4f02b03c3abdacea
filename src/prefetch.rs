//! Memory that will be needed soon.

/// Has a value fetched into the processor's caches, if the processor knows how. Nothing waits for
/// it.
#[inline]
#[cfg_attr(target_arch = "x86_64", allow(unsafe_code, reason = "the intrinsic takes a pointer"))]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // Into the second cache: fetched into the first, part of many lines was found missing
        // later.
        const LINE: usize = 64;
        let start = core::ptr::from_ref(value).cast::<i8>();
        let before = start.addr() % LINE;
        for octet in (0..before + size_of::<T>()).step_by(LINE) {
            // SAFETY: a hint; the line holds something of a value that a reference points to, and
            // nothing is read or written.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_sub(before).wrapping_add(octet)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

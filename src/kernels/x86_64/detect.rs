//! Features of the processor, detected at run time.

use core::arch::x86_64::__cpuid;
#[cfg(feature = "aes-gcm")]
use core::arch::x86_64::__cpuid_count;
use core::sync::atomic::{AtomicU8, Ordering};

cpufeatures::new!(has_avx2, "avx2", "aes", "sha", "ssse3", "sse4.1");
cpufeatures::new!(has_avx512, "fma", "avx512f", "avx512bw", "avx512vl", "avx512vbmi", "gfni", "vaes");

cpufeatures::new!(crates_have_vaes_here, "vaes");

/// Whether the `aes` crate uses VAES: it asks in this way, too.
#[inline]
pub(crate) fn crates_have_vaes() -> bool {
    crates_have_vaes_here::get()
}

/// Vectors that this machine has. Only detection makes a value, so that it is a proof: functions
/// that need these instructions may be called where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vectors(Kind);

/// The kinds of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::kernels) enum Kind {
    /// AVX2, AES-NI, SHA-NI.
    Avx2,
    /// AVX-512 with VBMI, VAES, GFNI; AES-NI, SHA-NI. `whole`: AES-CBC and MD5 use vectors of 512
    /// bits too, not two of 256, and GHASH multiplies four halves, not three.
    Avx512 { whole: bool },
}

impl Vectors {
    /// All that this machine has, the fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        let avx512 = |whole| (has_avx2::get() && has_avx512::get()).then_some(Kind::Avx512 { whole });
        let intel = is_intel();
        [avx512(intel), avx512(!intel), has_avx2::get().then_some(Kind::Avx2)].into_iter().flatten().map(Self)
    }

    /// The fastest that this machine has.
    #[inline]
    pub(crate) fn best() -> Option<Self> {
        if !has_avx2::get() {
            return None;
        }
        Some(Self(if has_avx512::get() { Kind::Avx512 { whole: is_intel() } } else { Kind::Avx2 }))
    }

    /// The name of the backend.
    pub(crate) const fn name(self) -> &'static str {
        match self.0 {
            Kind::Avx2 => "avx2",
            Kind::Avx512 { whole: false } => "avx512",
            Kind::Avx512 { whole: true } => "avx512-whole",
        }
    }

    #[inline]
    pub(in crate::kernels) const fn kind(self) -> Kind {
        self.0
    }

    /// Whether AES and products of polynomials work on whole vectors too. Where there is no
    /// AVX-512, `cpufeatures` says that they do not: it asks for the registers of 512 bits.
    #[cfg(feature = "aes-gcm")]
    pub(in crate::kernels) fn has_vaes_and_vpclmulqdq(self) -> bool {
        static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
        asked_once(&KNOWN, || {
            const BOTH: u32 = 1 << 9 | 1 << 10;
            #[allow(unsafe_code, unused_unsafe, reason = "as of is_intel")]
            // SAFETY: AVX2 is in leaf 7 too.
            let features = unsafe { __cpuid_count(7, 0) };
            features.ecx & BOTH == BOTH
        })
    }

    /// Whether these are AVX-512.
    #[inline]
    pub(in crate::kernels) const fn has_avx512(self) -> bool {
        matches!(self.0, Kind::Avx512 { .. })
    }
}

/// Whether the processor is one of Intel's. CPUID has no flag for the throughput of vectors, of
/// SHA-NI or of products, so the vendor is used as a proxy: of all that were measured, Intel's were
/// faster with 512 bits at once, and multiply each cycle.
pub(in crate::kernels) fn is_intel() -> bool {
    #[cfg(test)]
    if let Some(pretended) = makers::PRETENDED.get() {
        return pretended;
    }
    static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
    asked_once(&KNOWN, || {
        // The first part of "GenuineIntel".
        #[allow(unsafe_code, unused_unsafe, reason = "safe in later versions of Rust than the minimum")]
        // SAFETY: every x86-64 processor has CPUID, and leaf 0 always exists.
        let vendor = unsafe { __cpuid(0) };
        vendor.ebx == u32::from_le_bytes(*b"Genu")
    })
}

const UNKNOWN: u8 = 2;

/// An answer of CPUID. Asked once: in a virtual machine, it traps to the host.
fn asked_once(known: &AtomicU8, ask: impl FnOnce() -> bool) -> bool {
    match known.load(Ordering::Relaxed) {
        UNKNOWN => {
            let answer = ask();
            known.store(answer.into(), Ordering::Relaxed);
            answer
        }
        known => known != 0,
    }
}

/// The paths of each maker's processors, on any machine.
#[cfg(test)]
pub(crate) mod makers {
    use core::cell::Cell;

    std::thread_local! {
        /// Whether this thread takes the processor for one of Intel's.
        pub(super) static PRETENDED: Cell<Option<bool>> = const { Cell::new(None) };
    }

    /// Does work as on an Intel, and as on another.
    pub(crate) fn as_on_each(mut work: impl FnMut()) {
        for intel in [true, false] {
            PRETENDED.set(Some(intel));
            assert_eq!(super::is_intel(), intel);
            work();
        }
        PRETENDED.set(None);
    }
}

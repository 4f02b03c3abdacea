//! Which kernels run: chosen by what the processor can do, or by the embedder.

use core::fmt;

/// The code that enciphers and authenticates packets. All give the same octets; they differ in speed.
///
/// A value of this type says that this machine can run it. The best is taken where none is named; an embedder that wants
/// another, for tests or since wide vectors slow its other work down, gives it to [`Sad::with_backend`](crate::Sad::with_backend).
///
/// ```
/// use ipsec_3gpp::Sad;
/// use ipsec_3gpp::esp::Backend;
/// // Anything but 512-bit vectors.
/// let few = |backend: &Backend| !backend.name().starts_with("avx512");
/// let backend = Backend::available().find(few).unwrap_or(Backend::PORTABLE);
/// let sad = Sad::new().with_backend(backend);
/// assert_eq!(sad.backend(), backend);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backend {
    kind: Kind,
    /// Of AVX-512: whether AES and MD5 have vectors of 512 bits too, and not two of 256 instead.
    whole: bool,
}

/// What a [`Backend`] is. Not public: whoever could make one of a kind that the machine lacks would make it crash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Backend {
    /// Nothing but the RustCrypto crates, and code without vectors: runs everywhere.
    pub const PORTABLE: Self = Self { kind: Kind::Portable, whole: false };
    #[cfg(target_arch = "x86_64")]
    const AVX2: Self = Self { kind: Kind::Avx2, whole: false };

    /// The fastest that this machine can run.
    #[inline]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if x86::avx512() {
                return Self { kind: Kind::Avx512, whole: is_intel() };
            }
            if x86::avx2() {
                return Self::AVX2;
            }
        }
        Self::PORTABLE
    }

    /// All that this machine can run, the fastest first and [`Backend::PORTABLE`] last.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = {
            let best = Self::best();
            let other = Self { whole: !best.whole, ..best };
            let avx512 = x86::avx512();
            [avx512.then_some(best), avx512.then_some(other), x86::avx2().then_some(Self::AVX2)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = [None; 0];
        vectors.into_iter().flatten().chain([Self::PORTABLE])
    }

    /// `avx512` (AVX-512 with VBMI, VAES, GFNI, SHA-NI), `avx512-whole` (the same, with longer vectors for AES and MD5),
    /// `avx2` (AVX2, AES-NI, SHA-NI), or `portable`.
    ///
    /// Of the first two, the second is the faster on processors of Intel, which work on 512 bits at once. Others may take two
    /// cycles for them, as Zen 4 does: they have the first.
    pub const fn name(self) -> &'static str {
        match (self.kind, self.whole) {
            (Kind::Portable, _) => "portable",
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, _) => "avx2",
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, false) => "avx512",
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, true) => "avx512-whole",
        }
    }

    #[inline]
    pub(super) const fn kind(self) -> Kind {
        self.kind
    }

    /// Whether AES and MD5 have vectors of 512 bits.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) const fn is_whole(self) -> bool {
        self.whole
    }
}

impl Default for Backend {
    fn default() -> Self {
        Self::best()
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({})", self.name())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether the processor is one of Intel. What runs as fast as it can on processors of one maker may not on those of another,
/// and no flag tells how wide their units for vectors are (of all that have been measured, these work on 512 bits at once), or how many
/// rounds of SHA-1 are under way together.
#[inline]
pub(super) fn is_intel() -> bool {
    #[cfg(target_arch = "x86_64")]
    return x86::is_intel();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::__cpuid;
    use core::sync::atomic::{AtomicU8, Ordering};

    cpufeatures::new!(has_avx2, "avx2", "aes", "sha", "ssse3", "sse4.1");
    cpufeatures::new!(has_avx512, "fma", "avx512f", "avx512bw", "avx512vl", "avx512vbmi", "gfni", "vaes");

    #[inline]
    pub(super) fn avx2() -> bool {
        has_avx2::get()
    }

    #[inline]
    pub(super) fn avx512() -> bool {
        avx2() && has_avx512::get()
    }

    pub(super) fn is_intel() -> bool {
        const UNKNOWN: u8 = 2;
        static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
        match KNOWN.load(Ordering::Relaxed) {
            UNKNOWN => {
                // The first part of "GenuineIntel". Asked once: a virtual machine leaves to its host for it.
                #[allow(
                    unsafe_code,
                    unused_unsafe,
                    reason = "safe in later versions of Rust than the first that will do"
                )]
                // SAFETY: there is a leaf 0 wherever there is the instruction, and every processor of 64 bits has that.
                let maker = unsafe { __cpuid(0) };
                let intel = maker.ebx == u32::from_le_bytes(*b"Genu");
                KNOWN.store(intel.into(), Ordering::Relaxed);
                intel
            }
            known => known != 0,
        }
    }
}

//! Which kernels run: chosen by what the processor can do, or by the embedder.

use core::fmt;

/// The code that enciphers and authenticates packets. All give the same octets; they differ in speed.
///
/// A value of this type says that this machine can run it. The best is taken where none is named; an embedder that wants
/// another, for tests or since wide vectors slow its other work down, gives it to [`Sad::with_backend`](crate::Sad::with_backend).
///
/// ```
/// use ipsec_3gpp::{Backend, Sad};
/// // Anything but 512-bit vectors.
/// let backend = Backend::available().find(|backend| backend.name() != "avx512").unwrap_or(Backend::PORTABLE);
/// let sad = Sad::new().with_backend(backend);
/// assert_eq!(sad.backend(), backend);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backend(Kind);

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
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The fastest that this machine can run.
    #[inline]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if x86::avx512() {
                return Self(Kind::Avx512);
            }
            if x86::avx2() {
                return Self(Kind::Avx2);
            }
        }
        Self::PORTABLE
    }

    /// All that this machine can run, the fastest first and [`Backend::PORTABLE`] last.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [x86::avx512().then_some(Self(Kind::Avx512)), x86::avx2().then_some(Self(Kind::Avx2))];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = [None; 0];
        vectors.into_iter().flatten().chain([Self::PORTABLE])
    }

    /// `avx512` (AVX-512 with VBMI, VAES, GFNI, SHA-NI), `avx2` (AVX2, AES-NI, SHA-NI), or `portable`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }

    #[inline]
    pub(super) const fn kind(self) -> Kind {
        self.0
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

#[cfg(target_arch = "x86_64")]
mod x86 {
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
}

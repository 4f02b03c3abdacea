//! The code that makes and opens packets: chosen by what the processor can do, or by the embedder.

use core::fmt;

#[cfg(feature = "kernels")]
use crate::kernels::Vectors;

/// The code that encrypts and authenticates packets. All give the same octets; they differ in
/// speed.
///
/// A value of this type says that this machine can run it. The fastest is taken where none is
/// named; an embedder that wants another, for tests or because wide vectors slow its other work
/// down, gives it to [`Sad::with_backend`](crate::Sad::with_backend).
///
/// ```
/// use ipsec_3gpp::Sad;
/// use ipsec_3gpp::esp::Backend;
/// // Anything but 512-bit vectors.
/// let narrow = |backend: &Backend| !backend.name().starts_with("avx512");
/// let backend = Backend::available().find(narrow).unwrap_or(Backend::PLAIN);
/// let sad = Sad::new().with_backend(backend);
/// assert_eq!(sad.backend(), backend);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backend(Kind);

/// The kinds of [`Backend`]. Not public: whoever could make one that the machine lacks could crash
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Plain,
    #[cfg(feature = "kernels")]
    Kernels(Option<Vectors>),
}

impl Backend {
    /// A straight composition of the RustCrypto crates, one packet after the other, without
    /// `unsafe` here: runs everywhere, and every other backend is tested against it.
    ///
    /// Its des-ede3-cbc is that of the crate `des`, which looks S-boxes up in tables: where a cache
    /// is shared with an attacker, its timing may depend on the key. That of the other backends
    /// does not.
    pub const PLAIN: Self = Self(Kind::Plain);

    /// The kernels of this crate without vectors: runs everywhere.
    #[cfg(feature = "kernels")]
    #[cfg_attr(docsrs, doc(cfg(feature = "kernels")))]
    pub const PORTABLE: Self = Self(Kind::Kernels(None));

    /// The fastest that this machine can run.
    #[inline]
    pub fn best() -> Self {
        #[cfg(feature = "kernels")]
        return Self(Kind::Kernels(Vectors::best()));
        #[cfg(not(feature = "kernels"))]
        Self::PLAIN
    }

    /// All that this machine can run, the fastest first and [`Backend::PLAIN`] last.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(feature = "kernels")]
        let kernels =
            Vectors::available().map(Some).chain([None]).map(|vectors| Self(Kind::Kernels(vectors)));
        #[cfg(not(feature = "kernels"))]
        let kernels = core::iter::empty();
        kernels.chain([Self::PLAIN])
    }

    /// `avx512` (AVX-512 with VBMI, VAES, GFNI, SHA-NI), `avx512-whole` (the same, with longer
    /// vectors for AES and MD5), `avx2` (AVX2, AES-NI, SHA-NI), `portable`, or `plain`.
    ///
    /// `avx512-whole` is the faster of the two on Intel's processors, `avx512` on others that were
    /// measured: Zen 4, which takes two cycles for 512 bits, and Zen 5, which does not.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Plain => "plain",
            #[cfg(feature = "kernels")]
            Kind::Kernels(None) => "portable",
            #[cfg(feature = "kernels")]
            Kind::Kernels(Some(vectors)) => vectors.name(),
        }
    }

    /// Fewer packets than this are processed one after the other: in parallel, short ones would
    /// take longer.
    pub(crate) const fn smallest_batch(self) -> usize {
        match self.0 {
            Kind::Plain => usize::MAX,
            #[cfg(feature = "kernels")]
            Kind::Kernels(None) => 5,
            #[cfg(feature = "kernels")]
            Kind::Kernels(Some(_)) => 3,
        }
    }

    /// The vectors that the kernels use, if they use any.
    #[cfg(feature = "kernels")]
    #[inline]
    pub(super) const fn vectors(self) -> Option<Vectors> {
        match self.0 {
            Kind::Plain => None,
            Kind::Kernels(vectors) => vectors,
        }
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

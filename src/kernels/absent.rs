//! The stand-in for [`super::x86_64`] on other processors: types without values, so that nothing
//! here is ever called.

use core::mem::MaybeUninit;

#[cfg(feature = "hmac-md5-96")]
use super::MD5_WORDS;
use super::SHA1_WORDS;
use super::cbc_lanes::CbcTask;
#[cfg(feature = "des-ede3-cbc")]
use super::des;
use super::family::Hash;
use super::hmac_lanes::HmacTask;
use super::kernel::Kernel;
use super::padding::Final;

/// No vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Vectors {}

/// No VAES.
pub(crate) const fn crates_have_vaes() -> bool {
    false
}

/// No VBMI.
#[cfg(feature = "des-ede3-cbc")]
#[derive(Clone, Copy)]
pub(crate) enum Vbmi {}

impl Vectors {
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        core::iter::empty()
    }

    pub(crate) const fn best() -> Option<Self> {
        None
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {}
    }
}

#[cfg(feature = "des-ede3-cbc")]
impl Vbmi {
    pub(crate) const fn of(vectors: Vectors) -> Option<Self> {
        match vectors {}
    }

    pub(super) fn decrypt_into(self, _: &[u8; 3 * des::BLOCK], _: &[u8], _: &mut [u8]) {
        match self {}
    }

    pub(super) fn decrypt(self, _: &[u8; 3 * des::BLOCK], _: &mut [u8]) {
        match self {}
    }
}

pub(super) const fn is_intel() -> bool {
    false
}

#[cfg(feature = "hmac-md5-96")]
pub(super) fn md5_kernels(vectors: Vectors) -> &'static [Kernel<MD5_WORDS>] {
    match vectors {}
}

pub(super) fn sha1_kernels(vectors: Vectors) -> &'static [Kernel<SHA1_WORDS>] {
    match vectors {}
}

pub(super) fn schedule<'a: 'e, 'e, H: Hash<N>, const N: usize, const G: usize, const W: usize>(
    vectors: Vectors,
    _: &[Kernel<N>],
    _: impl Iterator<Item = (HmacTask<'a>, &'e mut MaybeUninit<Final>)>,
) {
    match vectors {}
}

pub(crate) fn encrypt_aes<'k>(vectors: Vectors, _: impl Iterator<Item = CbcTask<'k, aes::Key>>) {
    match vectors {}
}

#[cfg(feature = "des-ede3-cbc")]
pub(crate) fn encrypt_des<'k>(vbmi: Vbmi, _: impl Iterator<Item = CbcTask<'k, des::Key>>) {
    match vbmi {}
}

pub(crate) mod aes {
    //! No instructions for AES.

    use super::Vectors;

    pub(crate) struct Key(Vectors);
    pub(crate) struct InverseKey(Vectors);

    impl Key {
        pub(crate) const fn new(vectors: Vectors, _: &[u8; 16]) -> Self {
            match vectors {}
        }

        pub(crate) fn encrypt(&self, _: &mut [u8; 16], _: &mut [u8]) {
            match self.0 {}
        }

        pub(crate) fn encrypt_and_hash(&self, _: &[u8; 16], _: [u32; 5], _: &mut [u8], _: usize) -> [u32; 5] {
            match self.0 {}
        }
    }

    impl InverseKey {
        pub(crate) const fn new(vectors: Vectors, _: &[u8; 16]) -> Self {
            match vectors {}
        }

        pub(crate) fn decrypt_into(&self, _: &[u8], _: &mut [u8]) {
            match self.0 {}
        }

        pub(crate) fn decrypt(&self, _: &mut [u8]) {
            match self.0 {}
        }
    }
}

#[cfg(feature = "aes-gcm")]
pub(crate) mod gcm {
    //! No instructions for AES-GCM.

    use super::Vectors;

    pub(crate) struct Key(Vectors);

    #[derive(Clone, Copy)]
    pub(crate) struct Trailer;

    impl Trailer {
        pub(crate) const NONE: Self = Self;

        pub(crate) const fn new(_: u64, _: usize) -> Self {
            Self
        }

        pub(crate) const fn and(self, _: u64) -> Self {
            self
        }
    }

    impl Key {
        pub(crate) const fn new(_: Option<Vectors>, _: &[u8; 16], _: &[u8; 4], _: bool) -> Option<Self> {
            None
        }

        pub(crate) fn seal(&self, _: (u64, u64), _: Option<&[u8]>, _: &mut [u8], _: Trailer) -> Option<()> {
            match self.0 {}
        }

        pub(crate) fn verify(&self, _: &[u8]) -> bool {
            match self.0 {}
        }

        pub(crate) fn open(&self, _: &[u8], _: &mut [u8]) -> Option<[u8; 4]> {
            match self.0 {}
        }

        pub(crate) fn open_in_place(&self, _: &mut [u8]) -> Option<[u8; 4]> {
            match self.0 {}
        }
    }
}

/// Other processors are all alike.
#[cfg(test)]
pub(crate) mod makers {
    pub(crate) fn as_on_each(mut work: impl FnMut()) {
        work();
    }
}

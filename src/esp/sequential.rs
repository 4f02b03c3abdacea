//! Packets made and opened one after the other, without kernels: [`super::plain`] is all that there
//! is.

use alloc::boxed::Box;

use super::absent::OnePass;
use super::authentic::Authentic;
use super::backend::Backend;
use super::material::Material;
use super::packet::{Decrypted, Sealing, TrailerError, Verifying, read_trailer};
use super::plain::{Opener, Sealer};
use crate::algorithm::Suite;
use crate::impossible::part;
use crate::wipe::Wiped;

/// The keys of an outbound SA.
#[derive(Debug)]
pub(crate) struct SealKeys {
    suite: Suite,
    plain: Box<Wiped<Sealer>>,
}

/// The keys of an inbound SA.
#[derive(Debug)]
pub(crate) struct OpenKeys {
    suite: Suite,
    plain: Box<Wiped<Opener>>,
}

impl SealKeys {
    pub(crate) fn new(material: &Material<'_>) -> Self {
        let keys = material.keys;
        Self { suite: keys.suite(), plain: Box::new(Wiped::new(Sealer::new(keys))) }
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) const fn backend(&self) -> Backend {
        Backend::PLAIN
    }

    /// Nothing is shared by the SAs of a set.
    #[inline(always)]
    pub(crate) const fn prefetch_shared(&self) {}

    /// Nothing seals in one pass.
    #[inline(always)]
    pub(crate) const fn one_pass(&self) -> Option<OnePass<'_>> {
        None
    }

    /// Encrypts a packet that has been framed, and appends its ICV.
    pub(crate) fn protect(&self, esp: &mut [u8], iv_is_given: bool) -> Option<()> {
        self.plain.get()?.protect(esp, iv_is_given)
    }
}

impl OpenKeys {
    pub(crate) fn new(material: &Material<'_>) -> Self {
        let keys = material.keys;
        Self { suite: keys.suite(), plain: Box::new(Wiped::new(Opener::new(keys))) }
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) const fn backend(&self) -> Backend {
        Backend::PLAIN
    }

    /// Nothing is shared by the SAs of a set.
    #[inline(always)]
    pub(crate) const fn prefetch_shared(&self) {}

    /// Nothing opens in one pass.
    #[inline(always)]
    pub(crate) const fn one_pass(&self) -> Option<OnePass<'_>> {
        None
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    pub(crate) fn verify(&self, esp: &[u8]) -> Option<Authentic> {
        self.plain.get()?.verify(esp)
    }

    /// Decrypts into a buffer that is as long as payload and trailer. The packet's ICV was right.
    pub(crate) fn decrypt_into(
        &self,
        _: &Authentic,
        esp: &[u8],
        body: &mut [u8],
    ) -> Result<Decrypted, TrailerError> {
        self.plain.get().into_iter().for_each(|keys| keys.decrypt_into(esp, body));
        read_trailer(body)
    }

    /// Decrypts in place. The packet's ICV was right.
    pub(crate) fn decrypt(&self, _: &Authentic, esp: &mut [u8]) -> Result<Decrypted, TrailerError> {
        let message = esp.len().saturating_sub(self.suite.icv_len());
        self.plain.get().into_iter().for_each(|keys| keys.decrypt(esp));
        read_trailer(part(esp, self.suite.headroom()..message))
    }
}

/// Packets are looked at one by one.
pub(crate) const TILE: usize = 1;
pub(crate) const SMALL_TILE: usize = TILE;

/// Encrypts and authenticates packets.
pub(crate) fn protect_all<const N: usize>(_: Backend, packets: &mut [Option<Sealing<'_, SealKeys>>; N]) {
    for Sealing { keys, esp } in packets.iter_mut().flatten() {
        keys.protect(esp, false);
    }
}

/// Compares the ICVs of packets, each in constant time.
pub(crate) fn verify_all<const N: usize>(
    _: Backend,
    packets: &[Option<Verifying<'_, OpenKeys>>; N],
) -> [Option<Authentic>; N] {
    packets.each_ref().map(|packet| packet.as_ref().and_then(|packet| packet.keys.verify(packet.esp)))
}

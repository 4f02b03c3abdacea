//! The keys of an SA, and one packet.

use alloc::boxed::Box;

use super::super::authentic::{Authentic, ICV};
use super::super::backend::Backend;
use super::super::material::Material;
#[cfg(feature = "aes-gcm")]
use super::super::material::Shared;
use super::super::packet::{Decrypted, IDS, TrailerError, read_trailer};
use super::super::plain::{Opener, Sealer};
use super::cipher::{Decryptor, Encryptor};
#[cfg(feature = "aes-gcm")]
use super::gcm::{Gcm, OnePass};
use super::icv::{Hmac, Mac};
use crate::algorithm::Suite;
#[cfg(not(feature = "aes-gcm"))]
use crate::esp::OnePass;
use crate::impossible::{part, part_mut};
#[cfg(feature = "aes-gcm")]
use crate::prefetch::prefetch;
use crate::wipe::{Wiped, wiped_message, wiped_packet};

/// The keys of an outbound SA.
#[derive(Debug)]
pub(crate) struct SealKeys {
    suite: Suite,
    backend: Backend,
    /// Keys of one class are of the same kinds, for the same kernels.
    class: u8,
    state: SealState,
}

#[derive(Debug)]
enum SealState {
    /// Boxed: the state of the crates is larger, and no other SA pays for it.
    Plain(Box<Wiped<Sealer>>),
    Kernels(Mac, Encryptor),
    #[cfg(feature = "aes-gcm")]
    Gcm(Shared<Gcm>),
}

/// The keys of an inbound SA, expanded.
#[derive(Debug)]
pub(crate) struct OpenKeys {
    suite: Suite,
    backend: Backend,
    state: OpenState,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "what is not boxed is what most SAs have")]
enum OpenState {
    Plain(Box<Wiped<Opener>>),
    Kernels(Decryptor, Mac),
    #[cfg(feature = "aes-gcm")]
    Gcm(Shared<Gcm>),
}

impl SealKeys {
    pub(crate) fn new(material: &Material<'_>) -> Self {
        let (keys, backend) = (material.keys, material.backend);
        let state = if backend == Backend::PLAIN {
            SealState::Plain(Box::new(Wiped::new(Sealer::new(keys))))
        } else {
            SealState::of_kernels(material)
        };
        let class = match &state {
            SealState::Plain(_) => PLAIN,
            #[cfg(feature = "aes-gcm")]
            SealState::Gcm(_) => GCM,
            SealState::Kernels(mac, cipher) => cipher.class() << 1 | mac.hash() as u8,
        };
        Self { suite: keys.suite(), backend, class, state }
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    /// The state for kernels; `None` if packets of this SA are made without them.
    pub(super) const fn kernels(&self) -> Option<(&Mac, &Encryptor)> {
        match &self.state {
            SealState::Plain(_) => None,
            #[cfg(feature = "aes-gcm")]
            SealState::Gcm(_) => None,
            SealState::Kernels(mac, cipher) => Some((mac, cipher)),
        }
    }

    /// Keys of one class are of the same kinds, for the same kernels.
    #[inline]
    pub(super) const fn class(&self) -> u32 {
        self.class as u32
    }

    /// Fewer packets of such keys than this are encrypted faster one after the other than in
    /// parallel.
    pub(super) fn fewest_together(&self) -> usize {
        match &self.state {
            SealState::Plain(_) => usize::MAX,
            // One packet fills the units.
            #[cfg(feature = "aes-gcm")]
            SealState::Gcm(_) => usize::MAX,
            SealState::Kernels(mac, cipher) => match cipher {
                Encryptor::Null => 0,
                #[cfg(feature = "des-ede3-cbc")]
                Encryptor::DesEde3(key) => key.fewest_together(),
                // Alone, cipher and hash overlap.
                Encryptor::Aes(_) | Encryptor::AesKey(_) => match mac.hash() {
                    #[cfg(feature = "hmac-md5-96")]
                    Hmac::Md5 => 2,
                    Hmac::Sha1 => 3,
                },
            },
        }
    }

    /// Prefetches what the SAs of a set share.
    #[inline]
    pub(crate) fn prefetch_shared(&self) {
        #[cfg(feature = "aes-gcm")]
        if let SealState::Gcm(gcm) = &self.state {
            prefetch::<Gcm>(gcm);
        }
    }

    /// What seals in one pass, if the packets of this SA are sealed so.
    #[inline(always)]
    pub(crate) fn one_pass(&self) -> Option<OnePass<'_>> {
        match &self.state {
            #[cfg(feature = "aes-gcm")]
            SealState::Gcm(gcm) => gcm.one_pass(),
            SealState::Plain(_) | SealState::Kernels(..) => None,
        }
    }

    /// Encrypts a packet that has been framed, and appends its ICV.
    ///
    /// The IV of a packet is the block cipher over SPI and sequence number. That is unpredictable
    /// without the key, and unique for the key, which the four SAs of a set share: their SPIs
    /// differ. In CBC with nothing before it, that block is encrypted to the IV, and the
    /// payload goes on from there.
    #[inline]
    pub(crate) fn protect(&self, esp: &mut [u8], iv_is_given: bool) -> Option<()> {
        match &self.state {
            SealState::Plain(plain) => plain.get()?.protect(esp, iv_is_given),
            #[cfg(feature = "aes-gcm")]
            SealState::Gcm(gcm) => gcm.protect(esp),
            // The crate's.
            SealState::Kernels(mac, cipher @ Encryptor::Aes(_)) => {
                wiped_message(|| self.protect_with(mac, cipher, esp, iv_is_given))
            }
            SealState::Kernels(mac, cipher) => {
                wiped_packet(|| self.protect_with(mac, cipher, esp, iv_is_given))
            }
        }
    }

    /// [`SealKeys::protect`] with kernels.
    #[inline(always)]
    fn protect_with(&self, mac: &Mac, cipher: &Encryptor, esp: &mut [u8], iv_is_given: bool) -> Option<()> {
        let (message, icv) = esp.split_last_chunk_mut::<ICV>()?;
        let headroom = self.suite.headroom();
        let (header, _) = message.split_at_checked(headroom)?;
        let iv = header.get(IDS..)?;
        let mut before = NOTHING;
        let before = before.get_mut(..iv.len())?;
        let start = if iv_is_given { headroom } else { IDS };
        if iv_is_given {
            before.copy_from_slice(iv);
        }
        if let Encryptor::AesKey(key) = cipher
            && let Some(made) = mac.overlapped_with_aes(key, (&*before).try_into().ok()?, message, start)
        {
            *icv = made;
            return Some(());
        }
        let mut encrypting = cipher.start(before)?;
        if !cipher.overlaps_with_hash() {
            let body = message.get_mut(start..)?;
            encrypting.encrypt(body, body.len());
            *icv = mac.icv(message);
            return Some(());
        }
        let mut done = start;
        *icv = mac.icv_while(message, |message, octets| {
            // Whole cipher blocks up to there, and no fewer than four at a time but at the end.
            let body = part_mut(message, done..);
            done += encrypting.encrypt(body, octets.saturating_sub(done));
        });
        Some(())
    }
}

/// The block before the first one.
const NOTHING: [u8; 16] = [0; 16];
/// The class of keys without kernels: another than all with them.
const PLAIN: u8 = 1 << 3;
/// The class of keys of AES-GCM and AES-GMAC.
#[cfg(feature = "aes-gcm")]
const GCM: u8 = 1 << 4;

impl SealState {
    fn of_kernels(material: &Material<'_>) -> Self {
        let (keys, vectors) = (material.keys, material.backend.vectors());
        #[cfg(feature = "aes-gcm")]
        if keys.suite().is_gcm() {
            return Self::Gcm(material.gcm(|| Gcm::new(keys, vectors)));
        }
        Self::Kernels(Mac::new(keys), Encryptor::new(keys, vectors))
    }
}

impl OpenState {
    fn of_kernels(material: &Material<'_>) -> Self {
        let (keys, vectors) = (material.keys, material.backend.vectors());
        #[cfg(feature = "aes-gcm")]
        if keys.suite().is_gcm() {
            return Self::Gcm(material.gcm(|| Gcm::new(keys, vectors)));
        }
        Self::Kernels(Decryptor::new(keys, vectors), Mac::new(keys))
    }
}

impl OpenKeys {
    pub(crate) fn new(material: &Material<'_>) -> Self {
        let (keys, backend) = (material.keys, material.backend);
        let state = if backend == Backend::PLAIN {
            OpenState::Plain(Box::new(Wiped::new(Opener::new(keys))))
        } else {
            OpenState::of_kernels(material)
        };
        Self { suite: keys.suite(), backend, state }
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    /// The state that makes ICVs with kernels; `None` if packets of this SA are opened without
    /// them.
    pub(super) const fn kernels(&self) -> Option<&Mac> {
        match &self.state {
            OpenState::Plain(_) => None,
            #[cfg(feature = "aes-gcm")]
            OpenState::Gcm(_) => None,
            OpenState::Kernels(_, mac) => Some(mac),
        }
    }

    /// Prefetches what the SAs of a set share.
    #[inline]
    pub(crate) fn prefetch_shared(&self) {
        #[cfg(feature = "aes-gcm")]
        if let OpenState::Gcm(gcm) = &self.state {
            prefetch::<Gcm>(gcm);
        }
    }

    /// What opens in one pass, if the packets of this SA are opened so.
    #[inline(always)]
    pub(crate) fn one_pass(&self) -> Option<OnePass<'_>> {
        match &self.state {
            #[cfg(feature = "aes-gcm")]
            OpenState::Gcm(gcm) => gcm.one_pass(),
            OpenState::Plain(_) | OpenState::Kernels(..) => None,
        }
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    #[inline]
    pub(crate) fn verify(&self, esp: &[u8]) -> Option<Authentic> {
        match &self.state {
            OpenState::Plain(plain) => plain.get()?.verify(esp),
            #[cfg(feature = "aes-gcm")]
            OpenState::Gcm(gcm) => gcm.verify(esp),
            OpenState::Kernels(_, mac) => {
                let (message, icv) = esp.split_last_chunk::<ICV>()?;
                Authentic::compare(icv, &wiped_packet(|| mac.icv(message)))
            }
        }
    }

    /// Decrypts into a buffer that is as long as payload and trailer. The packet's ICV was right.
    #[inline(always)]
    pub(crate) fn decrypt_into(
        &self,
        _: &Authentic,
        esp: &[u8],
        body: &mut [u8],
    ) -> Result<Decrypted, TrailerError> {
        match &self.state {
            OpenState::Plain(plain) => plain.get().into_iter().for_each(|keys| keys.decrypt_into(esp, body)),
            OpenState::Kernels(cipher, _) => {
                let whole = part(esp, IDS..esp.len().saturating_sub(ICV));
                wiped_packet(|| cipher.decrypt_into(whole, body));
            }
            #[cfg(feature = "aes-gcm")]
            OpenState::Gcm(gcm) => gcm.decrypt_into(esp, body),
        }
        read_trailer(body)
    }

    /// Decrypts in place. The packet's ICV was right.
    #[inline]
    pub(crate) fn decrypt(&self, _: &Authentic, esp: &mut [u8]) -> Result<Decrypted, TrailerError> {
        let message = esp.len().saturating_sub(self.suite.icv_len());
        match &self.state {
            OpenState::Plain(plain) => plain.get().into_iter().for_each(|keys| keys.decrypt(esp)),
            OpenState::Kernels(cipher, _) => {
                wiped_packet(|| cipher.decrypt(part_mut(esp, IDS..message)));
            }
            #[cfg(feature = "aes-gcm")]
            OpenState::Gcm(gcm) => gcm.decrypt(esp),
        }
        read_trailer(part(esp, self.suite.headroom()..message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_an_sa_take_two_cache_lines_and_four() {
        assert!(size_of::<SealKeys>() <= 128 && size_of::<OpenKeys>() <= 256);
    }
}

//! AES-GCM and AES-GMAC: one key for all four SAs of a set, and one packet.

use alloc::boxed::Box;
use core::fmt;

use zeroize::Zeroizing;

use super::super::authentic::{Authentic, LONG_ICV};
use super::super::packet::IDS;
use super::super::plain;
use crate::algorithm::Encryption;
use crate::impossible::{part, part_mut};
use crate::kernels::{Vectors, gcm};
use crate::key::SaKeys;
use crate::wipe::Wiped;

/// Octets of the IV.
const IV: usize = 8;

/// The key of a set. It wipes itself.
#[allow(clippy::large_enum_variant, reason = "what is not boxed is what most SAs have")]
pub(crate) enum Gcm {
    Kernels {
        key: gcm::Key,
        salt: Zeroizing<[u8; 4]>,
        encrypts: bool,
    },
    /// Where there are no vectors, the crates are what is fastest. Boxed: it is larger.
    Crates(Box<Wiped<plain::Gcm>>),
}

impl Gcm {
    pub(super) fn new(keys: &SaKeys, vectors: Option<Vectors>) -> Self {
        let (key, salt) = keys.expose_gcm();
        match vectors.and_then(|vectors| gcm::Key::new(vectors, key)) {
            Some(key) => Gcm::Kernels {
                key,
                salt: Zeroizing::new(*salt),
                encrypts: keys.suite().encryption() == Encryption::AesGcm,
            },
            None => Gcm::Crates(Box::new(Wiped::new(plain::Gcm::new(keys)))),
        }
    }

    /// Encrypts a framed packet and appends its ICV. `None` if the packet is too short.
    #[inline]
    pub(super) fn protect(&self, esp: &mut [u8]) -> Option<()> {
        let (key, salt, encrypts) = match self {
            Gcm::Kernels { key, salt, encrypts } => (key, salt, *encrypts),
            Gcm::Crates(gcm) => return gcm.get()?.protect(esp),
        };
        let (message, icv) = esp.split_last_chunk_mut::<LONG_ICV>()?;
        let (counter, ids) = counter(salt, message)?;
        *icv = if encrypts {
            key.seal(counter, ids, message.get_mut(IDS + IV..)?)
        } else {
            key.icv(counter, None, message)
        };
        Some(())
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    #[inline]
    pub(super) fn verify(&self, esp: &[u8]) -> Option<Authentic> {
        let (key, salt, encrypts) = match self {
            Gcm::Kernels { key, salt, encrypts } => (key, salt, *encrypts),
            Gcm::Crates(gcm) => return gcm.get()?.verify(esp),
        };
        let (message, icv) = esp.split_last_chunk::<LONG_ICV>()?;
        let (counter, ids) = counter(salt, message)?;
        let made = if encrypts {
            key.icv(counter, Some(ids), message.get(IDS + IV..)?)
        } else {
            key.icv(counter, None, message)
        };
        Authentic::compare_long(icv, &made)
    }

    /// Decrypts a packet into a buffer that is as long as its payload and trailer.
    #[inline]
    pub(super) fn decrypt_into(&self, esp: &[u8], body: &mut [u8]) {
        let text = part(esp, IDS + IV..esp.len().saturating_sub(LONG_ICV));
        match self {
            Gcm::Kernels { encrypts: false, .. } => {
                body.iter_mut().zip(text).for_each(|(to, from)| *to = *from)
            }
            Gcm::Kernels { key, salt, encrypts: true } => {
                if let Some((counter, _)) = counter(salt, esp) {
                    key.decrypt_into(counter, text, body);
                }
            }
            Gcm::Crates(gcm) => gcm.get().into_iter().for_each(|gcm| gcm.decrypt_into(esp, body)),
        }
    }

    /// Decrypts a packet in place.
    #[inline]
    pub(super) fn decrypt(&self, esp: &mut [u8]) {
        match self {
            Gcm::Kernels { encrypts: false, .. } => {}
            Gcm::Kernels { key, salt, encrypts: true } => {
                if let Some((counter, _)) = counter(salt, esp) {
                    let message = esp.len().saturating_sub(LONG_ICV);
                    key.decrypt(counter, part_mut(esp, IDS + IV..message));
                }
            }
            Gcm::Crates(gcm) => gcm.get().into_iter().for_each(|gcm| gcm.decrypt(esp)),
        }
    }
}

/// The counter block of a packet before the first (J0): salt, IV, and 1; and SPI and sequence
/// number.
#[inline]
fn counter(salt: &[u8; 4], message: &[u8]) -> Option<(u128, gcm::Front)> {
    let (ids, rest) = message.split_first_chunk::<IDS>()?;
    let iv: [u8; IV] = *rest.first_chunk()?;
    let salt = u128::from(u32::from_be_bytes(*salt)) << 96;
    let front = gcm::Front { block: u128::from(u64::from_be_bytes(*ids)) << 64, octets: IDS as u64 };
    Some((salt | u128::from(u64::from_be_bytes(iv)) << 32 | 1, front))
}

impl fmt::Debug for Gcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gcm(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four SAs share it: with what counts them, 126 octets an SA.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_key_of_a_set_takes_eight_cache_lines() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Gcm>() + counts <= 512, "{}", size_of::<Gcm>());
    }
}

//! AES-GCM and AES-GMAC: one key for all four SAs of a set, and one packet.

use alloc::boxed::Box;
use core::fmt;

use super::super::authentic::{Authentic, LONG_ICV};
use super::super::packet::{Decrypted, IDS, TrailerError, read_trailer};
use super::super::plain;
use crate::algorithm::Encryption;
use crate::impossible::impossible;
use crate::kernels::{Vectors, gcm};
use crate::key::SaKeys;
use crate::rare::rare;
use crate::spi::Spi;
use crate::wipe::Wiped;

/// Octets of the IV.
const IV: usize = 8;

/// The key of a set. It wipes itself.
#[allow(clippy::large_enum_variant, reason = "what is not boxed is what most SAs have")]
pub(crate) enum Gcm {
    Kernels(gcm::Key),
    /// Where the processor has no instructions for either half, and where it is not x86-64. Boxed:
    /// it is larger.
    Crates(Box<Wiped<plain::Gcm>>),
}

impl Gcm {
    pub(super) fn new(keys: &SaKeys, vectors: Option<Vectors>) -> Self {
        let (key, salt) = keys.expose_gcm();
        match gcm::Key::new(vectors, key, salt, keys.suite().encryption() == Encryption::AesGcm) {
            Some(key) => Gcm::Kernels(key),
            None => Gcm::Crates(Box::new(Wiped::new(plain::Gcm::new(keys)))),
        }
    }

    /// What seals and opens in one pass, where there are kernels for it.
    #[inline(always)]
    pub(super) const fn one_pass(&self) -> Option<OnePass<'_>> {
        match self {
            Gcm::Kernels(key) => Some(OnePass(key)),
            Gcm::Crates(_) => None,
        }
    }

    /// Encrypts a framed packet and appends its ICV. `None` if the packet is too short.
    #[inline]
    pub(super) fn protect(&self, esp: &mut [u8]) -> Option<()> {
        match self {
            Gcm::Kernels(key) => OnePass(key).protect(esp),
            Gcm::Crates(gcm) => gcm.get()?.protect(esp),
        }
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    #[inline]
    pub(super) fn verify(&self, esp: &[u8]) -> Option<Authentic> {
        match self {
            Gcm::Kernels(key) => OnePass(key).verify(esp),
            Gcm::Crates(gcm) => gcm.get()?.verify(esp),
        }
    }

    /// Decrypts a packet into a buffer that is as long as its payload and trailer. Kernels do that
    /// when they verify.
    #[inline]
    pub(super) fn decrypt_into(&self, esp: &[u8], body: &mut [u8]) {
        match self {
            Gcm::Kernels(_) => impossible(()),
            Gcm::Crates(gcm) => gcm.get().into_iter().for_each(|gcm| gcm.decrypt_into(esp, body)),
        }
    }

    /// The same in place.
    #[inline]
    pub(super) fn decrypt(&self, esp: &mut [u8]) {
        match self {
            Gcm::Kernels(_) => impossible(()),
            Gcm::Crates(gcm) => gcm.get().into_iter().for_each(|gcm| gcm.decrypt(esp)),
        }
    }
}

/// A key for which a packet is one pass: it is encrypted and authenticated, or authenticated and
/// decrypted, by one call of a kernel.
#[derive(Clone, Copy)]
pub(crate) struct OnePass<'a>(&'a gcm::Key);

impl OnePass<'_> {
    /// Makes the ESP packet of a payload that is in its place already, or is given, in a buffer
    /// that is as long as the packet. Its IV is SPI and sequence number, which are never the same
    /// twice for the four SAs that share the key. `None` if the lengths do not fit.
    #[inline(always)]
    pub(crate) fn seal(
        self,
        (spi, sequence): (Spi, u32),
        payload: Option<&[u8]>,
        esp: &mut [u8],
        trailer: (usize, u8),
    ) -> Option<()> {
        let ids = u64::from(spi.value()) << 32 | u64::from(sequence);
        self.0.seal((ids, ids), payload, esp, self::trailer(trailer))
    }

    /// Encrypts a packet that has been framed, and appends its ICV.
    fn protect(self, esp: &mut [u8]) -> Option<()> {
        let (ids, rest) = esp.split_first_chunk::<IDS>()?;
        let numbers = (u64::from_be_bytes(*ids), u64::from_be_bytes(*rest.first_chunk()?));
        self.0.seal(numbers, None, esp, gcm::Trailer::NONE)
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    fn verify(self, esp: &[u8]) -> Option<Authentic> {
        Authentic::verified(self.0.verify(esp))
    }

    /// Verifies a packet, in constant time, and decrypts it into a buffer that is as long as
    /// payload and trailer. `None`, and nothing is written, if its ICV is wrong.
    #[inline(always)]
    pub(crate) fn open(self, esp: &[u8], body: &mut [u8]) -> Option<(Authentic, Opened)> {
        let end = self.0.open(esp, body);
        Some((Authentic::verified(end.is_some())?, opened(end?, body)))
    }

    /// The same in place.
    #[inline(always)]
    pub(crate) fn open_in_place(self, esp: &mut [u8]) -> Option<(Authentic, Opened)> {
        let end = self.0.open_in_place(esp);
        let body = esp.get(IDS + IV..esp.len().checked_sub(LONG_ICV)?)?;
        Some((Authentic::verified(end.is_some())?, opened(end?, body)))
    }
}

/// What the trailer of a packet that was opened says.
pub(crate) type Opened = Result<Decrypted, TrailerError>;

/// Padding of up to three octets, its length, and the next header.
#[inline(always)]
fn trailer((pad_len, next_header): (usize, u8)) -> gcm::Trailer {
    const PADDED: [gcm::Trailer; 4] = [
        gcm::Trailer::new(0, 2),
        gcm::Trailer::new(0x01_01, 3),
        gcm::Trailer::new(0x02_02_01, 4),
        gcm::Trailer::new(0x03_03_02_01, 5),
    ];
    let pad_len = pad_len & 3;
    let padded = PADDED.get(pad_len).copied().unwrap_or(gcm::Trailer::NONE);
    padded.and(u64::from(next_header) << (8 * (pad_len + 1)))
}

/// Reads the trailer, of which the last octets are given: reading those that were just written
/// would wait for them.
#[inline(always)]
fn opened(end: [u8; 4], body: &[u8]) -> Opened {
    /// By the length of the padding: which of the two octets in front of it are padding, and what
    /// they are then.
    const PADDING: u64 = u64::from_le_bytes([0, 0, 0, 0xff, 0xff, 0xff, 0, 0]);
    const COUNTED: u64 = u64::from_le_bytes([0, 0, 0, 1, 1, 2, 0, 0]);
    let [.., pad_len, next_header] = end;
    if pad_len > 2 {
        rare();
        return read_trailer(body);
    }
    let other = u64::from(u32::from_le_bytes(end)) ^ COUNTED >> (16 * pad_len);
    let padding_counts = other & PADDING >> (16 * pad_len) & 0xffff == 0;
    Ok(Decrypted { payload_len: body.len() - 2 - usize::from(pad_len), next_header, padding_counts })
}

impl fmt::Debug for Gcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gcm(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four SAs share it: with what counts them, 200 octets an SA.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_key_of_a_set_takes_200_octets_of_each_sa() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Gcm>() + counts <= 800, "{}", size_of::<Gcm>());
    }
}

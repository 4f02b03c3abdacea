//! The ESP packet itself (RFC 4303 2): SPI, sequence number, IV, payload, trailer, ICV.

use super::cipher::{Decryptor, Encryptor};
use super::icv::{Authentic, ICV, Mac};
use super::lanes::Backend;
use crate::algorithm::{Integrity, Suite};
use crate::impossible::{part, part_mut};
use crate::key::SaKeys;
use crate::spi::Spi;

/// What is wrong with the outside of an ESP packet: seen before anything is deciphered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Not the length that SPI, sequence number, IV, whole blocks and ICV have.
    #[error("{0} octets is not the length of an ESP packet of this suite")]
    Length(usize),
    /// SPI or sequence number are cut off.
    #[error("packet shorter than an ESP header")]
    NoSpi,
}

/// What is wrong with the trailer of a packet whose ICV is right: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrailerError {
    /// The pad length is more than there are octets.
    #[error("ESP pad length {0} exceeds the packet")]
    PadLength(u8),
    /// The padding is not 1, 2, 3, ... (RFC 4303 2.4).
    #[error("invalid ESP padding")]
    Padding,
}

crate::code::codes!(PacketError {
    PacketError::Length(_) => "esp-length",
    PacketError::NoSpi => "esp-no-spi",
});
crate::code::codes!(TrailerError {
    TrailerError::PadLength(_) => "esp-pad-length",
    TrailerError::Padding => "esp-padding",
});

/// Octets of SPI and sequence number.
pub(super) const IDS: usize = 8;

/// The keys of an outbound SA.
#[derive(Debug)]
pub(crate) struct SealKeys {
    mac: Mac,
    suite: Suite,
    backend: Backend,
    cipher: Encryptor,
}

/// The keys of an inbound SA, expanded.
#[derive(Debug)]
pub(crate) struct OpenKeys {
    suite: Suite,
    backend: Backend,
    cipher: Decryptor,
    mac: Mac,
}

impl SealKeys {
    pub(crate) fn new(keys: &SaKeys, backend: Backend) -> Self {
        Self { suite: keys.suite(), backend, cipher: Encryptor::new(keys, backend), mac: Mac::new(keys) }
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    pub(super) const fn cipher(&self) -> &Encryptor {
        &self.cipher
    }

    pub(super) const fn mac(&self) -> &Mac {
        &self.mac
    }

    /// Keys of one class are of the same kinds, for the same kernels.
    #[inline]
    pub(super) const fn class(&self) -> u32 {
        let cipher = match self.cipher {
            Encryptor::Null => 0,
            Encryptor::DesEde3(_) => 1,
            Encryptor::Aes(_) => 2,
            Encryptor::AesKey(_) => 3,
        };
        cipher << 1 | self.mac.integrity() as u32
    }

    /// Fewer packets of such keys than this are enciphered sooner one after the other than side by side.
    pub(super) fn fewest_together(&self) -> usize {
        match &self.cipher {
            Encryptor::Null => 0,
            Encryptor::DesEde3(key) => key.fewest_together(),
            // Alone, cipher and hash run side by side.
            Encryptor::Aes(_) | Encryptor::AesKey(_) => match self.mac.integrity() {
                Integrity::HmacMd5_96 => 2,
                Integrity::HmacSha1_96 => 3,
            },
        }
    }

    /// Writes what stands around a payload in the clear: SPI, sequence number and IV in front of it, the trailer
    /// behind it. The buffer is exactly as long as the packet will be ([`Suite::sealed_len`]), and the payload stands
    /// behind the headroom. `None` if the lengths do not fit, or a given IV is not as long as those of the suite.
    ///
    /// Where no IV is given, the block stands in its place that it will be made of: SPI, sequence number, and zeros.
    #[inline(always)]
    pub(crate) fn frame(
        &self,
        esp: &mut [u8],
        (spi, sequence, iv): (Spi, u32, Option<&[u8]>),
        payload_len: usize,
        next_header: u8,
    ) -> Option<()> {
        let (message, _) = esp.split_last_chunk_mut::<ICV>()?;
        let (header, body) = message.split_at_mut_checked(self.suite.headroom())?;
        let (ids, iv_place) = header.split_first_chunk_mut::<IDS>()?;
        write_trailer(body.get_mut(payload_len..)?, next_header)?;
        let both = (u64::from(spi.value()) << 32 | u64::from(sequence)).to_be_bytes();
        *ids = both;
        match (iv, iv_place.len()) {
            // Of fixed lengths: filling any number of octets takes longer to begin.
            (None, 0) => {}
            (None, IDS) => *iv_place.first_chunk_mut()? = both,
            (None, _) => {
                let (counter, zeros) = iv_place.first_chunk_mut::<16>()?.split_first_chunk_mut::<IDS>()?;
                *counter = both;
                *zeros.first_chunk_mut()? = [0; IDS];
            }
            (Some(iv), len) if iv.len() == len => iv_place.copy_from_slice(iv),
            (Some(_), _) => return None,
        }
        Some(())
    }

    /// Enciphers a packet that has been framed, and appends its ICV.
    ///
    /// The IV of a packet is the block cipher over SPI and sequence number. That is unpredictable to everybody without the
    /// key, and unique for the key, which the four SAs of a set share: their SPIs differ. In CBC with nothing before it,
    /// that block is enciphered to the IV, and the payload goes on from there.
    #[inline]
    pub(crate) fn protect(&self, esp: &mut [u8], iv_is_given: bool) -> Option<()> {
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
        if let Encryptor::AesKey(key) = &self.cipher
            && let Some(made) = self.mac.beside_aes(key, (&*before).try_into().ok()?, message, start)
        {
            *icv = made;
            return Some(());
        }
        let mut cipher = self.cipher.start(before)?;
        if !self.cipher.overlaps_with_hash() {
            let body = message.get_mut(start..)?;
            cipher.encrypt(body, body.len());
            *icv = self.mac.icv(message);
            return Some(());
        }
        let mut done = start;
        *icv = self.mac.icv_while(message, |message, octets| {
            // Whole cipher blocks up to there, and no fewer than four at a time but at the end.
            let body = part_mut(message, done..);
            done += cipher.encrypt(body, octets.saturating_sub(done));
        });
        Some(())
    }
}

/// What comes before the first block.
const NOTHING: [u8; 16] = [0; 16];

/// The longest padding: 1, 2, 3, ... (RFC 4303 2.4).
const PADDING: [u8; 255] = {
    let mut padding = [0; 255];
    let mut rest: &mut [u8] = &mut padding;
    let mut count = 0;
    while let Some((octet, others)) = rest.split_first_mut() {
        count += 1;
        *octet = count;
        rest = others;
    }
    padding
};

/// Padding 1, 2, 3, ..., its length, and the next header.
#[inline(always)]
fn write_trailer(trailer: &mut [u8], next_header: u8) -> Option<()> {
    let (padding, end) = trailer.split_last_chunk_mut::<2>()?;
    let len = u8::try_from(padding.len()).ok()?;
    // What the suites need is written as whole words that overlap: a copy of any length takes longer to begin.
    match padding {
        [] => {}
        [a] => *a = 1,
        [a, b] => (*a, *b) = (1, 2),
        [a, b, c] => (*a, *b, *c) = (1, 2, 3),
        _ if len < 8 => {
            *padding.first_chunk_mut()? = counting_to::<4>(4);
            *padding.last_chunk_mut()? = counting_to::<4>(len);
        }
        _ if len <= 16 => {
            *padding.first_chunk_mut()? = counting_to::<8>(8);
            *padding.last_chunk_mut()? = counting_to::<8>(len);
        }
        _ => padding.copy_from_slice(PADDING.get(..padding.len())?),
    }
    *end = [len, next_header];
    Some(())
}

/// Whether padding is 1, 2, 3, ...
#[inline(always)]
fn is_padding(padding: &[u8]) -> bool {
    match padding {
        [] | [1] | [1, 2] | [1, 2, 3] => true,
        [_] | [_, _] | [_, _, _] => false,
        _ if padding.len() < 8 => {
            padding.first_chunk() == Some(&counting_to::<4>(4))
                && padding.last_chunk() == Some(&counting_to::<4>(padding.len() as u8))
        }
        _ if padding.len() <= 16 => {
            padding.first_chunk() == Some(&counting_to::<8>(8))
                && padding.last_chunk() == Some(&counting_to::<8>(padding.len() as u8))
        }
        _ => PADDING.starts_with(padding),
    }
}

/// The octets of the padding that end in this one, which is at least as large as they are many.
#[inline(always)]
fn counting_to<const N: usize>(last: u8) -> [u8; N] {
    let from = usize::from(last).wrapping_sub(N);
    PADDING.get(from..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// What a deciphered packet holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deciphered {
    pub(crate) payload_len: usize,
    pub(crate) next_header: u8,
}

/// SPI and sequence number of an ESP packet.
#[inline]
pub(crate) fn ids(esp: &[u8]) -> Result<(u32, u32), PacketError> {
    let [s0, s1, s2, s3, n0, n1, n2, n3] = *esp.first_chunk().ok_or(PacketError::NoSpi)?;
    Ok((u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([n0, n1, n2, n3])))
}

impl OpenKeys {
    pub(crate) fn new(keys: &SaKeys, backend: Backend) -> Self {
        Self { suite: keys.suite(), backend, cipher: Decryptor::new(keys, backend), mac: Mac::new(keys) }
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    pub(super) const fn mac(&self) -> &Mac {
        &self.mac
    }

    /// Octets of payload and trailer in an ESP packet of this length.
    ///
    /// # Errors
    /// [`PacketError::Length`] if no packet of the suite has this length.
    pub(crate) fn body_len(&self, esp_len: usize) -> Result<usize, PacketError> {
        self.suite.body_len(esp_len).ok_or(PacketError::Length(esp_len))
    }

    /// Verifies the ICV at the end of a packet, in constant time.
    #[inline]
    pub(crate) fn verify(&self, esp: &[u8]) -> Option<Authentic> {
        let (message, icv) = esp.split_last_chunk::<ICV>()?;
        self.mac.verify(message, icv)
    }

    /// Deciphers into a buffer that is as long as payload and trailer. The packet's ICV was right.
    #[inline(always)]
    pub(crate) fn decrypt_into(
        &self,
        _: &Authentic,
        esp: &[u8],
        body: &mut [u8],
    ) -> Result<Deciphered, TrailerError> {
        let message = esp.len().saturating_sub(ICV);
        self.cipher.decrypt_into(part(esp, IDS..message), body);
        read_trailer(body)
    }

    /// Deciphers in place. The packet's ICV was right.
    #[inline]
    pub(crate) fn decrypt(&self, _: &Authentic, esp: &mut [u8]) -> Result<Deciphered, TrailerError> {
        let message = esp.len().saturating_sub(ICV);
        self.cipher.decrypt(part_mut(esp, IDS..message));
        read_trailer(part(esp, self.suite.headroom()..message))
    }
}

#[inline(always)]
fn read_trailer(body: &[u8]) -> Result<Deciphered, TrailerError> {
    let Some((rest, &[pad_len, next_header])) = body.split_last_chunk::<2>() else {
        return Err(TrailerError::PadLength(0));
    };
    let payload_len = rest.len().checked_sub(pad_len.into()).ok_or(TrailerError::PadLength(pad_len))?;
    let padding = part(rest, payload_len..);
    if !is_padding(padding) {
        return Err(TrailerError::Padding);
    }
    Ok(Deciphered { payload_len, next_header })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_of_every_length_counts_from_one_and_nothing_else_passes() {
        for len in 0..=255 {
            let mut trailer = vec![0xee; len + 2];
            write_trailer(&mut trailer, 17).unwrap();
            let expected: Vec<u8> = (1..=len as u8).chain([len as u8, 17]).collect();
            assert_eq!(trailer, expected, "{len} octets");
            let padding = trailer[..len].to_vec();
            assert!(is_padding(&padding), "{len} octets");
            for at in 0..len {
                for bit in 0..8 {
                    let mut other = padding.clone();
                    other[at] ^= 1 << bit;
                    assert!(!is_padding(&other), "octet {at} of {len}");
                }
            }
        }
        assert!(write_trailer(&mut [0; 258], 17).is_none());
    }

    #[test]
    fn the_keys_of_an_sa_take_two_cache_lines_and_four() {
        assert!(size_of::<SealKeys>() <= 128 && size_of::<OpenKeys>() <= 256);
    }
}

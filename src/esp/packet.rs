//! The ESP packet itself (RFC 4303 2): SPI, sequence number, IV, payload, trailer, ICV.

use super::cipher::{Decryptor, Encryptor};
use super::icv::{Authentic, ICV, Mac};
use crate::algorithm::Suite;
use crate::key::SaKeys;
use crate::spi::Spi;

/// What is wrong with the outside of an ESP packet: seen before anything is deciphered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Not the length that SPI, sequence number, IV, whole blocks and ICV have.
    #[error("{0} octets are not an ESP packet of this suite")]
    Length(usize),
    /// SPI or sequence number are cut off.
    #[error("too short to have an SPI")]
    NoSpi,
}

/// What is wrong with the trailer of a packet whose ICV is right: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrailerError {
    /// The pad length is more than there are octets.
    #[error("a pad length of {0} is more than the packet has")]
    PadLength(u8),
    /// The padding is not 1, 2, 3, ... (RFC 4303 2.4).
    #[error("padding that does not count from 1")]
    Padding,
}

/// Octets of SPI and sequence number.
const IDS: usize = 8;

/// The keys of an outbound SA, expanded.
#[derive(Debug)]
pub(crate) struct SealKeys {
    suite: Suite,
    cipher: Encryptor,
    mac: Mac,
}

/// The keys of an inbound SA, expanded.
#[derive(Debug)]
pub(crate) struct OpenKeys {
    suite: Suite,
    cipher: Decryptor,
    mac: Mac,
}

impl SealKeys {
    pub(crate) fn new(keys: &SaKeys) -> Self {
        Self { suite: keys.suite(), cipher: Encryptor::new(keys), mac: Mac::new(keys) }
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    /// Writes what stands around a payload in the clear: SPI, sequence number and IV in front of it, the trailer
    /// behind it. The buffer is exactly as long as the packet will be ([`Suite::sealed_len`]), and the payload stands
    /// behind the headroom. `None` if the lengths do not fit, or a given IV is not as long as those of the suite.
    #[inline]
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
        let [s0, s1, s2, s3] = spi.value().to_be_bytes();
        let [n0, n1, n2, n3] = sequence.to_be_bytes();
        *ids = [s0, s1, s2, s3, n0, n1, n2, n3];
        match iv {
            None => self.cipher.write_iv(spi.value(), sequence, iv_place),
            Some(iv) if iv.len() == iv_place.len() => iv_place.copy_from_slice(iv),
            Some(_) => return None,
        }
        Some(())
    }

    /// Enciphers a packet that has been framed, and appends its ICV.
    #[inline]
    pub(crate) fn protect(&self, esp: &mut [u8]) -> Option<()> {
        let (message, icv) = esp.split_last_chunk_mut::<ICV>()?;
        let headroom = self.suite.headroom();
        let (header, _) = message.split_at_checked(headroom)?;
        let mut cipher = self.cipher.start(header.get(IDS..)?)?;
        let mut done = headroom;
        if !self.cipher.overlaps_with_hash() {
            let body = message.get_mut(headroom..)?;
            cipher.encrypt(body, body.len());
            *icv = self.mac.icv(message);
            return Some(());
        }
        *icv = self.mac.icv_while(message, |message, octets| {
            // Whole cipher blocks up to there, and no fewer than four at a time but at the end.
            let body = message.get_mut(done..).unwrap_or_default();
            done += cipher.encrypt(body, octets.saturating_sub(done));
        });
        Some(())
    }
}

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
#[inline]
fn write_trailer(trailer: &mut [u8], next_header: u8) -> Option<()> {
    let (padding, end) = trailer.split_last_chunk_mut::<2>()?;
    padding.copy_from_slice(PADDING.get(..padding.len())?);
    *end = [u8::try_from(padding.len()).ok()?, next_header];
    Some(())
}

/// What a deciphered packet holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
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
    pub(crate) fn new(keys: &SaKeys) -> Self {
        Self { suite: keys.suite(), cipher: Decryptor::new(keys), mac: Mac::new(keys) }
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
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

    /// Deciphers payload and trailer, from `cipher_text` or else in place. Only for a packet whose ICV was right.
    #[inline]
    pub(crate) fn decrypt(
        &self,
        _: &Authentic,
        iv: &[u8],
        cipher_text: Option<&[u8]>,
        body: &mut [u8],
    ) -> Result<Opened, TrailerError> {
        match cipher_text {
            Some(cipher_text) => self.cipher.decrypt_into(iv, cipher_text, body),
            None => self.cipher.decrypt(iv, body),
        }
        read_trailer(body)
    }
}

#[inline]
fn read_trailer(body: &[u8]) -> Result<Opened, TrailerError> {
    let Some((rest, &[pad_len, next_header])) = body.split_last_chunk::<2>() else {
        return Err(TrailerError::PadLength(0));
    };
    let payload_len = rest.len().checked_sub(pad_len.into()).ok_or(TrailerError::PadLength(pad_len))?;
    let padding = rest.get(payload_len..).unwrap_or_default();
    if !PADDING.starts_with(padding) {
        return Err(TrailerError::Padding);
    }
    Ok(Opened { payload_len, next_header })
}

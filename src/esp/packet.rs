//! The ESP packet itself (RFC 4303 2): SPI, sequence number, IV, payload, trailer, ICV.

use crate::algorithm::Suite;
use crate::impossible::part;
use crate::spi::Spi;

/// Why the outside of an ESP packet is refused, before anything is decrypted.
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

/// Why the trailer of a packet with a right ICV is refused: IK is the peer's, but it encrypts with
/// another CK, or another algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrailerError {
    /// The pad length is more than there are octets.
    #[error("ICV right, but pad length {0} exceeds the packet: another CK or encryption algorithm")]
    PadLength(u8),
    /// The padding is not 1, 2, 3, ... (RFC 4303 2.4).
    #[error("ICV right, but padding invalid: another CK or encryption algorithm")]
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

/// A packet of a batch that has been framed and must be encrypted and authenticated.
#[derive(Debug)]
pub(crate) struct Sealing<'a, Keys> {
    pub(crate) keys: &'a Keys,
    pub(crate) esp: &'a mut [u8],
}

/// A packet of a batch whose ICV must be compared.
#[derive(Debug)]
pub(crate) struct Verifying<'a, Keys> {
    pub(crate) keys: &'a Keys,
    pub(crate) esp: &'a [u8],
}

/// Writes what surrounds a payload in the clear: SPI, sequence number and IV before it, the trailer
/// after it. The buffer is exactly as long as the packet will be ([`Suite::sealed_len`]), and the
/// payload follows the headroom. `None` if the lengths do not fit, or a given IV is not as long as
/// those of the suite.
///
/// Where no IV is given, its place holds the block that it will be made of: SPI, sequence number,
/// and zeros.
#[inline(always)]
pub(crate) fn frame(
    suite: Suite,
    esp: &mut [u8],
    (spi, sequence, iv): (Spi, u32, Option<&[u8]>),
    payload_len: usize,
    next_header: u8,
) -> Option<()> {
    let message_len = esp.len().checked_sub(suite.icv_len())?;
    let (header, body) = esp.get_mut(..message_len)?.split_at_mut_checked(suite.headroom())?;
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
    // Lengths that the suites need are written as overlapping words: a copy of any length takes
    // longer to begin.
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

/// `N` octets of the padding, of which `last`, at least `N`, is the last.
#[inline(always)]
fn counting_to<const N: usize>(last: u8) -> [u8; N] {
    let from = usize::from(last).wrapping_sub(N);
    PADDING.get(from..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// The contents of a decrypted packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decrypted {
    pub(crate) payload_len: usize,
    pub(crate) next_header: u8,
    /// Whether the padding is 1, 2, 3, ...
    pub(crate) padding_counts: bool,
}

/// SPI and sequence number of an ESP packet.
#[inline]
pub(crate) fn ids(esp: &[u8]) -> Result<(u32, u32), PacketError> {
    let [s0, s1, s2, s3, n0, n1, n2, n3] = *esp.first_chunk().ok_or(PacketError::NoSpi)?;
    Ok((u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([n0, n1, n2, n3])))
}

/// Octets of payload and trailer in an ESP packet of this length.
///
/// # Errors
/// [`PacketError::Length`] if no packet of the suite has this length.
#[inline(always)]
pub(crate) fn body_len(suite: Suite, esp_len: usize) -> Result<usize, PacketError> {
    suite.body_len(esp_len).ok_or(PacketError::Length(esp_len))
}

/// Reads the trailer at the end of what was decrypted.
#[inline(always)]
pub(crate) fn read_trailer(body: &[u8]) -> Result<Decrypted, TrailerError> {
    let Some((rest, &[pad_len, next_header])) = body.split_last_chunk::<2>() else {
        return Err(TrailerError::PadLength(0));
    };
    let payload_len = rest.len().checked_sub(pad_len.into()).ok_or(TrailerError::PadLength(pad_len))?;
    let padding_counts = is_padding(part(rest, payload_len..));
    Ok(Decrypted { payload_len, next_header, padding_counts })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail")]

    use alloc::vec::Vec;

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
    fn the_place_of_the_iv_has_the_block_that_it_is_made_of() {
        let spi = Spi::new(0x0123_4567).unwrap();
        for suite in Suite::ALL {
            let iv_len = suite.iv_len();
            let len = suite.sealed_len(40);
            let mut esp = vec![0xee; len];
            frame(suite, &mut esp, (spi, 0x89ab_cdef, None), 40, 17).unwrap();
            let ids = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
            let block = [ids, [0; 8]].concat();
            assert_eq!((&esp[..8], &esp[8..8 + iv_len]), (&ids[..], &block[..iv_len]), "{suite}");
            assert!(esp[8 + iv_len..8 + iv_len + 40].iter().all(|octet| *octet == 0xee), "the payload");
            assert!(esp[len - suite.icv_len()..].iter().all(|octet| *octet == 0xee), "the ICV");

            let iv: Vec<u8> = (1..=17).collect();
            for given in 0..=17 {
                let mut esp = vec![0xee; len];
                let framed = frame(suite, &mut esp, (spi, 7, Some(&iv[..given])), 40, 17);
                assert_eq!(framed.is_some(), given == iv_len, "{suite}: {given} octets");
                assert!(framed.is_none() || esp[8..8 + given] == iv[..given]);
            }
            assert!(frame(suite, &mut [0; 20], (spi, 7, None), 40, 17).is_none());
        }
    }
}

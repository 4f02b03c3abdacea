//! An outbound SA: datagrams in, ESP out.

use core::ops::Range;

use super::selector::{Selector, Wire};
use super::set::SaSpec;
use crate::algorithm::{Encryption, Suite};
use crate::esp::ip::Datagram;
use crate::esp::{Backend, Family, IpError, Material, OnePass, PROTOCOL_ESP, SealKeys, frame};
use crate::impossible::impossible;
use crate::spi::Spi;

/// When an outbound SA asks to be replaced, and when it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Packets after which each one carries [`Warning::Packets`]. The SA stops by itself after 2^32
    /// - 1.
    pub soft_packets: u32,
    /// Octets of ESP, from SPI to ICV, after which each packet carries [`Warning::Octets`]; `None`
    /// for no such limit.
    pub soft_octets: Option<u64>,
    /// Octets of ESP that the SA never goes beyond: it seals nothing more as soon as the largest
    /// packet could ([`SealError::Volume`]). `None` for no such limit. It is for ciphers of 64-bit
    /// blocks, and 32 bits are more than any of them may have.
    pub hard_octets: Option<u32>,
}

/// The largest packet.
const LARGEST: u32 = u16::MAX as u32;

impl Limits {
    /// The same limits with another number of packets.
    #[must_use]
    pub const fn with_soft_packets(self, soft_packets: u32) -> Self {
        Self { soft_packets, ..self }
    }

    /// The same limits with another number of octets.
    #[must_use]
    pub const fn with_soft_octets(self, soft_octets: Option<u64>) -> Self {
        Self { soft_octets, ..self }
    }

    /// The same limits with another number of octets after which the SA stops.
    #[must_use]
    pub const fn with_hard_octets(self, hard_octets: Option<u32>) -> Self {
        Self { hard_octets, ..self }
    }

    /// The limits of a suite: three quarters of the sequence numbers; for des-ede3-cbc also 2 MiB,
    /// with the warning after three quarters of them. NIST SP 800-67 allows 2^20 blocks of 64 bits
    /// with one key, which is 8 MiB, and the four SAs of a set share one.
    pub const fn of(suite: Suite) -> Self {
        let hard_octets = match suite.encryption() {
            #[cfg(feature = "des-ede3-cbc")]
            Encryption::DesEde3Cbc => Some((1 << 20) * 8 / 4),
            Encryption::Null | Encryption::AesCbc => None,
            #[cfg(feature = "aes-gcm")]
            Encryption::AesGcm => None,
        };
        let soft_octets = match hard_octets {
            Some(octets) => Some(octets as u64 / 4 * 3),
            None => None,
        };
        Self { soft_packets: u32::MAX / 4 * 3, soft_octets, hard_octets }
    }
}

/// A limit that has been passed: time to register again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// [`Limits::soft_packets`]
    Packets,
    /// [`Limits::soft_octets`]
    Octets,
}

/// A packet that was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Sealed {
    /// Where the datagram is in the caller's buffer.
    pub range: Range<usize>,
    /// The SPI that it carries.
    pub spi: Spi,
    /// Its sequence number.
    pub sequence: u32,
    /// A soft limit that has been passed.
    pub warning: Option<Warning>,
}

/// The exact lengths that sealing a datagram needs, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealedSize {
    /// The SPI that the packet will carry.
    pub spi: Spi,
    /// The suite.
    pub suite: Suite,
    /// The whole packet, with IP headers: the room that [`Outbound::seal`] needs.
    pub len: usize,
    /// In front of the datagram: the room that [`Outbound::seal_in_place`] needs there.
    pub headroom: usize,
    /// After the datagram: the room that [`Outbound::seal_in_place`] needs there.
    pub tailroom: usize,
}

/// Why a datagram was not sealed. Neither the SA nor the buffer has changed, but for the counter of
/// refusals; no sequence number was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The datagram cannot be read, or is a fragment: the caller's fault.
    #[error(transparent)]
    Ip(#[from] IpError),
    /// The datagram is not traffic of this SA. It must not go out in clear.
    #[error("{0} is not traffic of this SA")]
    Selector(Selector),
    /// No SA is for this datagram. It must not go out in clear.
    #[error("no SA for {0}")]
    NoSa(Selector),
    /// The buffer has no room for the packet: the caller's fault.
    #[error("buffer too small: {needed} octets needed, {found} available")]
    Room {
        /// Octets needed: in all, or in front of the datagram, or after it.
        needed: usize,
        /// Octets that there are.
        found: usize,
    },
    /// With ESP the datagram would be longer than an IP header can say.
    #[error("payload of {0} octets is too long for a datagram with ESP")]
    TooLong(usize),
    /// All sequence numbers are used (RFC 4303 3.3.3). Only a new SA can send more.
    #[error("the sequence numbers of SPI {0} are used up")]
    Exhausted(Spi),
    /// The SA has encrypted as much as it may ([`Limits::hard_octets`]). Only a new SA can send
    /// more.
    #[error("the volume limit of SPI {0} is reached")]
    Volume(Spi),
    /// The initialisation vector given is not as long as those of the suite.
    #[error("initialisation vector of {found} octets: the suite has {needed}")]
    Iv {
        /// Octets needed.
        needed: usize,
        /// Octets given.
        found: usize,
    },
    /// A fault of this library. Nothing was sealed.
    #[error("internal error")]
    Internal,
}

crate::code::codes!(SealError {
    SealError::Selector(_) => "seal-selector",
    SealError::NoSa(_) => "seal-no-sa",
    SealError::Room { .. } => "seal-room",
    SealError::TooLong(_) => "seal-too-long",
    SealError::Exhausted(_) => "seal-exhausted",
    SealError::Volume(_) => "seal-volume",
    SealError::Iv { .. } => "seal-iv",
    SealError::Internal => "seal-internal",
    ;
    SealError::Ip(error) => error,
});

/// Counters of an outbound SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundCounters {
    /// Packets sealed.
    pub packets: u64,
    /// Octets of payload sealed: all after the IP headers.
    pub octets: u64,
    /// Datagrams refused, for whatever reason, up to 2^32 - 1.
    pub refused: u32,
}

/// An outbound SA.
///
/// Sequence numbers start at 1 and stop before 2^32. The initialisation vector of a CBC suite is
/// the block cipher over SPI and sequence number: unpredictable without the key, and never the same
/// twice in a set, whose SAs share their keys but not their SPIs. No random source is needed.
#[derive(Debug)]
pub struct Outbound {
    spi: Spi,
    /// 0 once all are used.
    next_sequence: u32,
    /// Never more than there are sequence numbers.
    packets: u32,
    soft_packets: u32,
    /// Octets of payload.
    octets: u64,
    /// Octets of ESP: at least those that were encrypted.
    esp_octets: u64,
    /// `u64::MAX` for no limit.
    soft_octets: u64,
    /// Once there are more `esp_octets`, the largest packet could go beyond the hard limit;
    /// `u64::MAX` for none.
    last_octets: u64,
    selector: Wire,
    keys: SealKeys,
    refused: u32,
    /// In a table: the slot of the inbound SA of the same set between the same ports, or
    /// [`Outbound::ALONE`].
    pub(super) partner: u32,
    /// In a table: another SA with the same selector sends.
    pub(super) rests: bool,
    /// In a table: the port that it sends to is protected, since its owner has proved to have the
    /// set.
    pub(super) is_proved: bool,
}

impl Outbound {
    /// The partner of an SA that was added without its set.
    pub(super) const ALONE: u32 = u32::MAX;

    /// An SA that has sent nothing, with the limits of its suite, on the best backend.
    pub fn new(spec: &SaSpec<'_>) -> Self {
        Self::new_on(spec, Backend::best())
    }

    /// An SA that has sent nothing, with the limits of its suite, on a backend of the caller's
    /// choice.
    pub fn new_on(spec: &SaSpec<'_>, backend: Backend) -> Self {
        Self::of(spec, &Material::new(spec.keys, backend))
    }

    /// An SA of a set, with what all of its SAs are made from.
    pub(super) fn of(spec: &SaSpec<'_>, material: &Material<'_>) -> Self {
        let mut sa = Self {
            spi: spec.spi,
            next_sequence: 1,
            packets: 0,
            soft_packets: 0,
            octets: 0,
            esp_octets: 0,
            soft_octets: 0,
            last_octets: 0,
            selector: Wire::new(&spec.selector),
            keys: SealKeys::new(material),
            refused: 0,
            partner: Self::ALONE,
            rests: false,
            is_proved: false,
        };
        sa.set_limits(Limits::of(spec.keys.suite()));
        sa
    }

    /// The same SA with other limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.set_limits(limits);
        self
    }

    /// The SPI that the packets carry.
    pub const fn spi(&self) -> Spi {
        self.spi
    }

    /// The suite.
    pub const fn suite(&self) -> Suite {
        self.keys.suite()
    }

    /// The backend that makes its packets.
    pub const fn backend(&self) -> Backend {
        self.keys.backend()
    }

    /// The traffic of the SA.
    pub fn selector(&self) -> Selector {
        self.selector.selector()
    }

    /// The traffic, in the form of packets.
    #[inline]
    pub(super) const fn wire(&self) -> &Wire {
        &self.selector
    }

    /// The counters of the SA.
    pub const fn counters(&self) -> OutboundCounters {
        OutboundCounters { packets: self.packets as u64, octets: self.octets, refused: self.refused }
    }

    /// The sequence number of the next packet; `None` once all are used, or the volume limit is
    /// reached.
    pub const fn next_sequence(&self) -> Option<u32> {
        if self.next_sequence == 0 || self.has_volume_ended() { None } else { Some(self.next_sequence) }
    }

    #[inline(always)]
    const fn has_volume_ended(&self) -> bool {
        self.esp_octets > self.last_octets
    }

    /// Goes on at a later sequence number: for an SA that another process, or this one before it
    /// was restarted, has used up to there. False, and nothing changed, if numbers would be
    /// used twice.
    pub fn advance_to(&mut self, sequence: u32) -> bool {
        let forward = self.next_sequence != 0 && sequence >= self.next_sequence;
        if forward {
            self.next_sequence = sequence;
        }
        forward
    }

    /// Changes when the SA asks to be replaced.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.soft_packets = limits.soft_packets;
        self.soft_octets = match limits.soft_octets {
            Some(octets) => octets,
            None => u64::MAX,
        };
        self.last_octets = match limits.hard_octets {
            Some(octets) => octets.saturating_sub(LARGEST) as u64,
            None => u64::MAX,
        };
    }

    /// The exact lengths that sealing a datagram needs. Nothing is counted.
    ///
    /// # Errors
    /// [`SealError`] as for [`Outbound::seal`].
    pub fn sealed_size(&self, packet: &[u8]) -> Result<SealedSize, SealError> {
        self.size(&self.read(packet)?)
    }

    pub(super) fn size(&self, datagram: &Datagram) -> Result<SealedSize, SealError> {
        let esp_len = fits(self.suite(), datagram)?;
        let suite = self.suite();
        Ok(SealedSize {
            spi: self.spi,
            suite,
            len: datagram.header_len + esp_len,
            headroom: suite.headroom(),
            tailroom: suite.tailroom(datagram.payload_len()),
        })
    }

    /// Seals a datagram into another buffer, at its start.
    ///
    /// # Errors
    /// [`SealError`]; nothing has changed but the counter of refusals.
    pub fn seal(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Sealed, SealError> {
        match self.seal_bare(Family::Ipv4, packet, out) {
            Some(Ok(sealed)) => Ok(sealed),
            Some(Err(Fault)) => Err(SealError::Internal),
            None => self.seal_any(packet, out),
        }
    }

    /// [`Outbound::seal`] of whatever it is. Not inlined: beside it, the code for nearly all
    /// packets would have fewer registers.
    #[inline(never)]
    pub(super) fn seal_any(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Sealed, SealError> {
        // The same thrice, so that the compiler specialises it for what nearly all packets are.
        let result = if let Some(datagram) = self.read_usual(Family::Ipv4, packet) {
            self.seal_admitted(&datagram, packet, out)
        } else if let Some(datagram) = self.read_usual(Family::Ipv6, packet) {
            self.seal_admitted(&datagram, packet, out)
        } else {
            match self.read(packet) {
                Ok(datagram) => self.seal_admitted(&datagram, packet, out),
                Err(error) => Err(error),
            }
        };
        self.count(result)
    }

    /// [`Outbound::seal`] where a packet is one pass and its headers are usual ones of a family, as
    /// nearly all are: reading them otherwise would be a fifth of its time. `None` if anything else
    /// is the case, or wrong, and nothing has changed.
    #[inline(always)]
    pub(super) fn seal_bare(
        &mut self,
        family: Family,
        packet: &[u8],
        out: &mut [u8],
    ) -> Option<Result<Sealed, Fault>> {
        let keys = self.keys.one_pass()?;
        let datagram = self.read_usual(family, packet)?;
        let sequence = self.next_sequence()?;
        let esp_len = fits(ONE_PASS, &datagram).ok()?;
        let needed = datagram.header_len + esp_len;
        let (headers, esp) = out.get_mut(..needed)?.split_at_mut_checked(datagram.header_len)?;
        datagram.write_headers(packet, headers, esp_len, PROTOCOL_ESP)?;
        let sealed = self.seal_in_one_pass(keys, &datagram, sequence, Some(datagram.payload(packet)), esp);
        // Not by closures: they would be calls, since this is long.
        Some(match sealed {
            Ok(()) => Ok(self.sent(0..needed, sequence, (datagram.payload_len(), esp_len))),
            Err(fault) => Err(fault),
        })
    }

    /// [`Outbound::seal`] with a sequence number and initialisation vector of the caller's, which
    /// leave those of the SA as they are. For known answers and tools that rewrite captures:
    /// whoever uses a pair twice gives plaintext away, and no receiver takes number 0.
    ///
    /// # Errors
    /// [`SealError`], [`SealError::Iv`] among them.
    pub fn seal_with(
        &self,
        sequence: u32,
        iv: &[u8],
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<Range<usize>, SealError> {
        let datagram = self.read(packet)?;
        let needed = self.suite().iv_len();
        if iv.len() != needed {
            return Err(SealError::Iv { needed, found: iv.len() });
        }
        let (range, esp) = self.lay_out(&datagram, packet, out, (sequence, Some(iv)))?;
        self.protect(esp, true)?;
        Ok(range)
    }

    /// Seals the datagram at `range` of a buffer in place: the payload stays where it is, the IP
    /// headers move forward by [`Suite::headroom`], and [`Suite::tailroom`] octets after it are
    /// written.
    ///
    /// # Errors
    /// [`SealError`]; nothing has changed but the counter of refusals.
    pub fn seal_in_place(&mut self, buffer: &mut [u8], range: Range<usize>) -> Result<Sealed, SealError> {
        match self.seal_bare_in_place(Family::Ipv4, buffer, range.clone()) {
            Some(Ok(sealed)) => Ok(sealed),
            Some(Err(Fault)) => Err(SealError::Internal),
            None => self.seal_any_in_place(buffer, range),
        }
    }

    /// [`Outbound::seal_any`] in place.
    #[inline(never)]
    pub(super) fn seal_any_in_place(
        &mut self,
        buffer: &mut [u8],
        range: Range<usize>,
    ) -> Result<Sealed, SealError> {
        // A range outside of the buffer reads as an empty datagram, which is an error.
        let packet = buffer.get(range.clone()).unwrap_or_default();
        let result = if let Some(datagram) = self.read_usual(Family::Ipv4, packet) {
            self.seal_admitted_in_place(&datagram, buffer, range.start)
        } else if let Some(datagram) = self.read_usual(Family::Ipv6, packet) {
            self.seal_admitted_in_place(&datagram, buffer, range.start)
        } else {
            match self.read(packet) {
                Ok(datagram) => self.seal_admitted_in_place(&datagram, buffer, range.start),
                Err(error) => Err(error),
            }
        };
        self.count(result)
    }

    /// [`Outbound::seal_bare`] in place.
    #[inline(always)]
    pub(super) fn seal_bare_in_place(
        &mut self,
        family: Family,
        buffer: &mut [u8],
        range: Range<usize>,
    ) -> Option<Result<Sealed, Fault>> {
        let keys = self.keys.one_pass()?;
        let datagram = self.read_usual(family, buffer.get(range.clone())?)?;
        let sequence = self.next_sequence()?;
        let (range, esp) = place(ONE_PASS, &datagram, buffer, range.start).ok()?;
        let esp_len = esp.len();
        let sealed = self.seal_in_one_pass(keys, &datagram, sequence, None, esp);
        Some(match sealed {
            Ok(()) => Ok(self.sent(range, sequence, (datagram.payload_len(), esp_len))),
            Err(fault) => Err(fault),
        })
    }

    /// The headers of a datagram that is traffic of this SA, if they are usual; see
    /// [`Datagram::parse_usual`].
    #[inline(always)]
    fn read_usual(&self, family: Family, packet: &[u8]) -> Option<Datagram> {
        let datagram = Datagram::parse_usual(family, packet)?;
        if self.selector.covers(&datagram, packet) { Some(datagram) } else { None }
    }

    /// The headers of a datagram that is traffic of this SA.
    #[inline(always)]
    pub(super) fn read(&self, packet: &[u8]) -> Result<Datagram, SealError> {
        let datagram = Datagram::parse_plain(packet)?;
        if self.selector.covers(&datagram, packet) {
            Ok(datagram)
        } else {
            datagram.visible_ports(packet)?;
            Err(SealError::Selector(Wire::of(&datagram, packet).selector()))
        }
    }

    /// Seals a datagram that is known to be traffic of this SA.
    #[inline(always)]
    pub(super) fn seal_admitted(
        &mut self,
        datagram: &Datagram,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<Sealed, SealError> {
        let sequence = self.sequence()?;
        if let Some(keys) = self.keys.one_pass() {
            let (needed, esp_len) = (datagram.header_len, fits(ONE_PASS, datagram)?);
            let needed = needed + esp_len;
            let room = SealError::Room { needed, found: out.len() };
            let (headers, esp) = out
                .get_mut(..needed)
                .and_then(|whole| whole.split_at_mut_checked(datagram.header_len))
                .ok_or(room)?;
            datagram.write_headers(packet, headers, esp_len, PROTOCOL_ESP).ok_or(room)?;
            self.seal_in_one_pass(keys, datagram, sequence, Some(datagram.payload(packet)), esp)
                .map_err(|Fault| SealError::Internal)?;
            return Ok(self.sent(0..needed, sequence, (datagram.payload_len(), esp_len)));
        }
        let (range, esp) = self.lay_out(datagram, packet, out, (sequence, None))?;
        let esp_len = esp.len();
        self.protect(esp, false)?;
        Ok(self.sent(range, sequence, (datagram.payload_len(), esp_len)))
    }

    /// Seals a datagram in place that is known to be traffic of this SA and whole.
    #[inline(always)]
    pub(super) fn seal_admitted_in_place(
        &mut self,
        datagram: &Datagram,
        buffer: &mut [u8],
        start: usize,
    ) -> Result<Sealed, SealError> {
        let sequence = self.sequence()?;
        if let Some(keys) = self.keys.one_pass() {
            let (range, esp) = place(ONE_PASS, datagram, buffer, start)?;
            let esp_len = esp.len();
            self.seal_in_one_pass(keys, datagram, sequence, None, esp)
                .map_err(|Fault| SealError::Internal)?;
            return Ok(self.sent(range, sequence, (datagram.payload_len(), esp_len)));
        }
        let (range, esp) = self.lay_out_in_place(datagram, buffer, start, sequence)?;
        let esp_len = esp.len();
        self.protect(esp, false)?;
        Ok(self.sent(range, sequence, (datagram.payload_len(), esp_len)))
    }

    /// The keys that [`Outbound::lay_out`] leaves to be applied.
    #[inline]
    pub(super) const fn keys(&self) -> &SealKeys {
        &self.keys
    }

    #[inline(always)]
    pub(super) fn count<T>(&mut self, result: Result<T, SealError>) -> Result<T, SealError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                self.refused = self.refused.saturating_add(1);
                Err(error)
            }
        }
    }

    #[inline(always)]
    pub(super) fn sequence(&self) -> Result<u32, SealError> {
        self.next_sequence().ok_or_else(|| self.ended())
    }

    /// Why there is no next sequence number.
    #[cold]
    const fn ended(&self) -> SealError {
        if self.next_sequence == 0 { SealError::Exhausted(self.spi) } else { SealError::Volume(self.spi) }
    }

    /// A packet whose lengths have been checked.
    #[inline(always)]
    fn seal_in_one_pass(
        &self,
        keys: OnePass<'_>,
        datagram: &Datagram,
        sequence: u32,
        payload: Option<&[u8]>,
        esp: &mut [u8],
    ) -> Result<(), Fault> {
        let pad_len = ONE_PASS.pad_len(datagram.payload_len());
        keys.seal((self.spi, sequence), payload, esp, (pad_len, datagram.protocol()))
            .ok_or_else(|| impossible(Fault))
    }

    /// Writes headers, payload and everything around them but the ICV into another buffer. Returns
    /// where the packet is, and its ESP, which is still to be protected.
    #[inline(always)]
    pub(super) fn lay_out<'o>(
        &self,
        datagram: &Datagram,
        packet: &[u8],
        out: &'o mut [u8],
        number: (u32, Option<&[u8]>),
    ) -> Result<(Range<usize>, &'o mut [u8]), SealError> {
        let esp_len = fits(self.suite(), datagram)?;
        let needed = datagram.header_len + esp_len;
        let room = SealError::Room { needed, found: out.len() };
        let headroom = self.suite().headroom();
        let (headers, esp) = out
            .get_mut(..needed)
            .and_then(|whole| whole.split_at_mut_checked(datagram.header_len))
            .ok_or(room)?;
        let payload = datagram.payload(packet);
        esp.get_mut(headroom..headroom + payload.len()).ok_or(room)?.copy_from_slice(payload);
        datagram.write_headers(packet, headers, esp_len, PROTOCOL_ESP).ok_or(room)?;
        self.frame(datagram, esp, number)?;
        Ok((0..needed, esp))
    }

    /// [`Outbound::lay_out`] in place: the payload stays where it is.
    #[inline(always)]
    pub(super) fn lay_out_in_place<'o>(
        &self,
        datagram: &Datagram,
        buffer: &'o mut [u8],
        start: usize,
        sequence: u32,
    ) -> Result<(Range<usize>, &'o mut [u8]), SealError> {
        let (range, esp) = place(self.suite(), datagram, buffer, start)?;
        self.frame(datagram, esp, (sequence, None))?;
        Ok((range, esp))
    }

    /// The lengths have been checked.
    #[inline(always)]
    fn frame(
        &self,
        datagram: &Datagram,
        esp: &mut [u8],
        (sequence, iv): (u32, Option<&[u8]>),
    ) -> Result<(), SealError> {
        let payload_len = datagram.payload_len();
        frame(self.suite(), esp, (self.spi, sequence, iv), payload_len, datagram.protocol())
            .ok_or_else(|| impossible(SealError::Internal))
    }

    #[inline]
    fn protect(&self, esp: &mut [u8], iv_is_given: bool) -> Result<(), SealError> {
        self.keys.protect(esp, iv_is_given).ok_or_else(|| impossible(SealError::Internal))
    }

    /// The first soft limit that has been passed, where one has.
    #[cold]
    const fn warning(&self, sequence: u32) -> Warning {
        if sequence > self.soft_packets { Warning::Packets } else { Warning::Octets }
    }

    /// Counts a packet that has been laid out.
    #[inline(always)]
    pub(super) fn sent(
        &mut self,
        range: Range<usize>,
        sequence: u32,
        (payload_len, esp_len): (usize, usize),
    ) -> Sealed {
        self.next_sequence = sequence.wrapping_add(1);
        self.packets += 1;
        self.octets += payload_len as u64;
        self.esp_octets += esp_len as u64;
        let is_late = sequence > self.soft_packets || self.esp_octets > self.soft_octets;
        let warning = if is_late { Some(self.warning(sequence)) } else { None };
        Sealed { range, spi: self.spi, sequence, warning }
    }
}

/// [`SealError::Internal`], before it is an error of many words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault;

/// The lengths of all suites whose packets are one pass.
const ONE_PASS: Suite = Suite::ONE_PASS;

/// Octets of the ESP packet of a datagram.
#[inline(always)]
fn fits(suite: Suite, datagram: &Datagram) -> Result<usize, SealError> {
    let payload_len = datagram.payload_len();
    let esp_len = payload_len + suite.growth(payload_len);
    if esp_len > datagram.largest_payload() { Err(SealError::TooLong(payload_len)) } else { Ok(esp_len) }
}

/// Makes room for the ESP packet of a datagram that begins at `start`: its headers move, its
/// payload stays.
#[inline(always)]
fn place<'o>(
    suite: Suite,
    datagram: &Datagram,
    buffer: &'o mut [u8],
    start: usize,
) -> Result<(Range<usize>, &'o mut [u8]), SealError> {
    let esp_len = fits(suite, datagram)?;
    let headroom = suite.headroom();
    let tailroom = esp_len - headroom - datagram.payload_len();
    let room = |needed, found| SealError::Room { needed, found };
    let new_start = start.checked_sub(headroom).ok_or(room(headroom, start))?;
    let end = start + datagram.total_len;
    let new_end = end + tailroom;
    let found = buffer.len().saturating_sub(end);
    let packet = buffer.get_mut(new_start..new_end).ok_or(room(tailroom, found))?;
    datagram.move_headers(packet, (headroom, 0), esp_len, PROTOCOL_ESP).ok_or(room(headroom, start))?;
    let esp = packet.get_mut(datagram.header_len..).ok_or(room(tailroom, found))?;
    Ok((new_start..new_end, esp))
}

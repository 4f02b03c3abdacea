//! An inbound SA: ESP in, datagrams out. The order of the checks is that of RFC 4303 3.4.

use core::net::IpAddr;
use core::ops::Range;

use zeroize::Zeroize;

use super::replay::{Pending, ReplayError, ReplayWindow, WindowSize};
use super::selector::{Selector, Wire};
use super::set::SaSpec;
use crate::algorithm::Suite;
use crate::esp::ip::Datagram;
use crate::esp::{
    Authentic, Backend, Decrypted, Family, IpError, Material, OpenKeys, PROTOCOL_NONE, PacketError,
    TrailerError, body_len, ids, is_sip_transport, read_trailer,
};
use crate::impossible::{part, part_mut};
use crate::rare::rare;
use crate::spi::Spi;

/// How closely an inbound SA looks at what it receives. By default it demands what the RFCs do, and
/// no more: each tolerance and each refusal beyond that is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks(u8);

impl Checks {
    /// Those of the RFCs: ports are exactly those of the SA (RFC 4303 3.4.4.1: step 4 of RFC 4301
    /// 5.2), padding is 1, 2, 3, ... (RFC 4303 2.4: SHOULD).
    pub const DEFAULT: Self = Self(0);

    const ANY_SOURCE_PORT: u8 = 1;
    const ANY_PADDING: u8 = 2;
    const PLAIN_HEADERS: u8 = 4;
    const SIP_TRANSPORTS: u8 = 8;

    /// Each is a bit: an SA has room for no more without another cache line.
    #[inline(always)]
    const fn has(self, check: u8) -> bool {
        self.0 & check != 0
    }

    /// Tolerates any source port; each such packet is counted
    /// ([`InboundCounters::other_source_port`]). Some networks send from a port that they did not
    /// announce.
    #[must_use]
    pub const fn with_any_source_port(self) -> Self {
        Self(self.0 | Self::ANY_SOURCE_PORT)
    }

    /// Tolerates any contents of the padding, as Linux does; each such packet is counted
    /// ([`InboundCounters::other_padding`]).
    #[must_use]
    pub const fn with_any_padding(self) -> Self {
        Self(self.0 | Self::ANY_PADDING)
    }

    /// Refuses IPv4 options and IPv6 extension headers in front of ESP ([`OpenError::Headers`]).
    /// Transport mode does not authenticate them: a source route, a Home Address or another option
    /// may be of anybody on the path. The library takes neither identity nor addresses from them.
    #[must_use]
    pub const fn with_plain_headers_only(self) -> Self {
        Self(self.0 | Self::PLAIN_HEADERS)
    }

    /// Refuses what is neither UDP nor TCP with a whole header ([`OpenError::Transport`]): the
    /// transport protocols of SIP over these SAs (TS 33.203 7.1). Without this, SCTP, DCCP,
    /// UDP-Lite and headers that are cut off after the ports pass within an SA.
    #[must_use]
    pub const fn with_udp_and_tcp_only(self) -> Self {
        Self(self.0 | Self::SIP_TRANSPORTS)
    }
}

/// A packet that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Opened {
    /// Where the datagram is in the caller's buffer.
    pub range: Range<usize>,
    /// The SPI that it came with: the SA, and so the user, that it belongs to.
    pub spi: Spi,
    /// Its sequence number.
    pub sequence: u32,
}

/// Why a packet was not opened. The SA is as it was, but for the counter of the reason; the
/// exceptions are said where they apply. Nothing of this belongs on the wire: ESP answers no
/// packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The datagram cannot be read, or is a fragment (RFC 4303 3.4.1: reassembly comes first).
    #[error(transparent)]
    Ip(#[from] IpError),
    /// The datagram is not ESP, but of this protocol. What may be done with it in clear is another
    /// question: [`Sad::is_protected`](crate::Sad::is_protected).
    #[error("protocol {0}, not ESP")]
    NotEsp(u8),
    /// The packet is too short, or not of whole blocks.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// No SA has this SPI at this destination.
    #[error("no SA with SPI {0}")]
    NoSa(u32),
    /// IPv4 options or IPv6 extension headers in front of ESP
    /// ([`Checks::with_plain_headers_only`]).
    #[error("headers in front of ESP that it does not authenticate, SPI {0}")]
    Headers(Spi),
    /// The addresses are not those of the SA.
    #[error("addresses differ from those of the SA with SPI {0}")]
    Addresses(Spi),
    /// The sequence number was seen before, is older than the window, or is 0.
    #[error("sequence number {sequence}: {reason}")]
    Replay {
        /// The sequence number.
        sequence: u32,
        /// What is wrong with it.
        reason: ReplayError,
    },
    /// The integrity check value is wrong: forged, damaged, or made with another key.
    #[error("integrity check failed, sequence number {sequence}")]
    Icv {
        /// The sequence number that the packet claims.
        sequence: u32,
    },
    /// The buffer for the datagram is too small: the caller's fault.
    #[error("buffer too small: {needed} octets needed, {found} available")]
    Room {
        /// Octets needed.
        needed: usize,
        /// Octets available.
        found: usize,
    },
    /// The packet is authentic, but its trailer cannot be right: the peer encrypts with another CK
    /// or another algorithm. Its sequence number is used up.
    #[error(transparent)]
    Trailer(#[from] TrailerError),
    /// A dummy packet (RFC 4303 2.6), to be dropped silently. Its sequence number is used up.
    #[error("dummy packet")]
    Dummy,
    /// The packet is authentic, but its ports are not those of the SA. Its sequence number is used
    /// up.
    #[error("ports differ from those of the SA with SPI {0}")]
    Ports(Spi),
    /// The packet is authentic, but carries neither UDP nor TCP with a whole header
    /// ([`Checks::with_udp_and_tcp_only`]). Its sequence number is used up.
    #[error("protocol {0} with {1} octets is neither UDP nor TCP")]
    Transport(u8, usize),
    /// A fault of this library. Nothing was opened.
    #[error("internal error")]
    Internal,
}

crate::code::codes!(OpenError {
    OpenError::NotEsp(_) => "open-not-esp",
    OpenError::NoSa(_) => "open-no-sa",
    OpenError::Headers(_) => "open-headers",
    OpenError::Addresses(_) => "open-addresses",
    OpenError::Icv { .. } => "open-icv",
    OpenError::Room { .. } => "open-room",
    OpenError::Dummy => "open-dummy",
    OpenError::Ports(_) => "open-ports",
    OpenError::Transport(..) => "open-transport",
    OpenError::Internal => "open-internal",
    ;
    OpenError::Ip(error) => error,
    OpenError::Packet(error) => error,
    OpenError::Replay { reason, .. } => reason,
    OpenError::Trailer(error) => error,
});

/// The outside of a received ESP packet, before anything is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peek {
    /// Source address.
    pub source: IpAddr,
    /// Destination address: with the SPI, it names the SA.
    pub destination: IpAddr,
    /// SPI; 0 and reserved values are possible here.
    pub spi: u32,
    /// Sequence number.
    pub sequence: u32,
}

/// Reads the outside of a received ESP packet, for those who have a table of their own, or several.
///
/// # Errors
/// [`OpenError::Ip`], [`OpenError::NotEsp`] and [`OpenError::Packet`].
///
/// ```
/// use ipsec_3gpp::sa::peek;
/// // IPv4, protocol 50, from 10.0.0.2 to 10.0.0.1; SPI 2002, sequence number 7.
/// let mut packet = [0; 28];
/// packet[..20]
///     .copy_from_slice(b"\x45\0\0\x1c\0\0\0\0\x40\x32\x66\xae\x0a\0\0\x02\x0a\0\0\x01");
/// packet[20..].copy_from_slice(&[0, 0, 0x07, 0xd2, 0, 0, 0, 7]);
/// let peek = peek(&packet)?;
/// assert_eq!((peek.spi, peek.sequence, peek.destination), (2002, 7, [10, 0, 0, 1].into()));
/// # Ok::<(), ipsec_3gpp::sa::OpenError>(())
/// ```
pub fn peek(packet: &[u8]) -> Result<Peek, OpenError> {
    let datagram = read(packet)?;
    let (source, destination) = datagram.addresses(packet);
    let (spi, sequence) = ids(datagram.payload(packet))?;
    Ok(Peek { source, destination, spi, sequence })
}

/// Counters of an inbound SA: the packets that it opened, and for each reason those that it did
/// not, up to 2^32 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboundCounters {
    /// Packets opened.
    pub packets: u64,
    /// Octets of payload opened: all after the IP headers.
    pub octets: u64,
    /// Not the length of an ESP packet of the suite.
    pub malformed: u32,
    /// Addresses not those of the SA, or headers in front of ESP that are refused, seen before the
    /// packet was verified.
    pub addresses: u32,
    /// Sequence numbers seen before, or 0.
    pub replayed: u32,
    /// Sequence numbers older than the window: replays, or a window too small for the network's
    /// reordering.
    pub late: u32,
    /// Integrity checks failed.
    pub icv: u32,
    /// Authentic packets with an impossible trailer.
    pub trailer: u32,
    /// Dummy packets.
    pub dummy: u32,
    /// Authentic packets whose ports or transport protocol are not those of the SA: refused.
    pub ports: u32,
    /// Authentic packets let through from another source port, by
    /// [`Checks::with_any_source_port`].
    pub other_source_port: u32,
    /// Authentic packets let through with other padding, by [`Checks::with_any_padding`].
    pub other_padding: u32,
}

/// An inbound SA.
#[derive(Debug)]
pub struct Inbound {
    spi: Spi,
    selector: Wire,
    checks: Checks,
    /// In a table: nothing has been opened over the set yet, nor has it been taken into use.
    pub(super) is_fresh: bool,
    /// In a table: the slot of the other inbound SA of the set, or [`Inbound::ALONE`].
    pub(super) sibling: u32,
    window: ReplayWindow,
    counters: InboundCounters,
    keys: OpenKeys,
}

impl Inbound {
    /// The sibling of an SA that was added without its set.
    pub(super) const ALONE: u32 = u32::MAX;

    /// An SA that has received nothing, on the best backend.
    pub fn new(spec: &SaSpec<'_>, window: WindowSize) -> Self {
        Self::new_on(spec, window, Backend::best())
    }

    /// An SA that has received nothing, on a backend of the caller's choice.
    pub fn new_on(spec: &SaSpec<'_>, window: WindowSize, backend: Backend) -> Self {
        Self::of(spec, window, &Material::new(spec.keys, backend))
    }

    /// An SA of a set, with what all of its SAs are made from.
    pub(super) fn of(spec: &SaSpec<'_>, window: WindowSize, material: &Material<'_>) -> Self {
        Self {
            spi: spec.spi,
            selector: Wire::new(&spec.selector),
            checks: Checks::DEFAULT,
            is_fresh: false,
            sibling: Self::ALONE,
            window: ReplayWindow::new(window),
            counters: InboundCounters::default(),
            keys: OpenKeys::new(material),
        }
    }

    /// The same SA with other checks.
    #[must_use]
    pub const fn with_checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// Lets the window begin at a number: those below it are refused as seen. For an SA that
    /// another process, or this one before it was restarted, has received over; the counterpart of
    /// [`Outbound::advance_to`](super::Outbound::advance_to). False, and nothing changed, if a
    /// number as high was delivered before.
    pub fn advance_to(&mut self, sequence: u32) -> bool {
        self.window.advance_to(sequence)
    }

    /// The SPI that packets must carry.
    pub const fn spi(&self) -> Spi {
        self.spi
    }

    /// The suite.
    pub const fn suite(&self) -> Suite {
        self.keys.suite()
    }

    /// The backend that opens its packets.
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
    pub const fn counters(&self) -> InboundCounters {
        self.counters
    }

    /// The replay window, to look at.
    pub const fn window(&self) -> &ReplayWindow {
        &self.window
    }

    /// Opens a packet into another buffer, at its start. The buffer needs room for the IP headers
    /// and the packet without SPI, sequence number, IV and ICV.
    ///
    /// # Errors
    /// [`OpenError`]. If the packet was refused after it had been decrypted, its plaintext has
    /// been wiped from the buffer; before that the buffer is as it was.
    pub fn open(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Opened, OpenError> {
        match self.open_bare(Family::Ipv4, packet, out) {
            Some(Ok((len, sequence))) => Ok(self.opened(len, sequence)),
            Some(Err(error)) => Err(error),
            None => self.open_any(packet, out),
        }
    }

    /// Opens a packet in place: the IP headers move back, over what ESP put between them and the
    /// payload.
    ///
    /// # Errors
    /// [`OpenError`]. If the packet was refused after it had been decrypted, its plaintext has
    /// been wiped from the buffer; before that the buffer is as it was.
    pub fn open_in_place(&mut self, buffer: &mut [u8]) -> Result<Opened, OpenError> {
        match self.open_bare_in_place(Family::Ipv4, buffer) {
            Some(Ok((len, sequence))) => Ok(self.opened_in_place(len, sequence)),
            Some(Err(error)) => Err(error),
            None => self.open_any_in_place(buffer),
        }
    }

    /// [`Inbound::open`] of whatever it is. Not inlined: beside it, the code for nearly all packets
    /// would have fewer registers.
    #[inline(never)]
    pub(super) fn open_any(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Opened, OpenError> {
        // The same thrice, so that the compiler specialises it for what nearly all packets are.
        let (len, sequence) = if let Some(datagram) = read_usual(Family::Ipv4, packet) {
            self.open_parsed(&datagram, packet, out)?
        } else if let Some(datagram) = read_usual(Family::Ipv6, packet) {
            self.open_parsed(&datagram, packet, out)?
        } else {
            self.open_parsed(&read(packet)?, packet, out)?
        };
        Ok(self.opened(len, sequence))
    }

    /// [`Inbound::open_any`] in place.
    #[inline(never)]
    pub(super) fn open_any_in_place(&mut self, buffer: &mut [u8]) -> Result<Opened, OpenError> {
        let (len, sequence) = if let Some(datagram) = read_usual(Family::Ipv4, buffer) {
            self.open_parsed_in_place(&datagram, buffer)?
        } else if let Some(datagram) = read_usual(Family::Ipv6, buffer) {
            self.open_parsed_in_place(&datagram, buffer)?
        } else {
            self.open_parsed_in_place(&read(buffer)?, buffer)?
        };
        Ok(self.opened_in_place(len, sequence))
    }

    /// [`Inbound::open`] where a packet is one pass and its headers are usual ones of a family, as
    /// nearly all are: reading them otherwise would be a fifth of its time. `None` if anything else
    /// is the case, or wrong before the sequence number is looked at, and nothing has changed.
    /// Returns how long the datagram is, and its sequence number: the result is constructed where
    /// it stays, since copying it would cause store-forwarding stalls.
    #[inline(always)]
    pub(super) fn open_bare(
        &mut self,
        family: Family,
        packet: &[u8],
        out: &mut [u8],
    ) -> Option<Result<(usize, u32), OpenError>> {
        self.keys.one_pass()?;
        self.open_usual(&read_usual(family, packet)?, packet, out)
    }

    /// [`Inbound::open_bare`] of a packet that has been read.
    #[inline(always)]
    pub(super) fn open_usual(
        &mut self,
        datagram: &Datagram,
        packet: &[u8],
        out: &mut [u8],
    ) -> Option<Result<(usize, u32), OpenError>> {
        self.keys.one_pass()?;
        let Ok((sequence, body_len)) = self.examine(datagram, packet) else { return None };
        Some(match self.open_in_one_pass(datagram, packet, out, (sequence, body_len))? {
            Ok(len) => Ok((len, sequence)),
            Err(error) => Err(error),
        })
    }

    /// [`Inbound::open_bare`] in place.
    #[inline(always)]
    pub(super) fn open_bare_in_place(
        &mut self,
        family: Family,
        buffer: &mut [u8],
    ) -> Option<Result<(usize, u32), OpenError>> {
        self.keys.one_pass()?;
        self.open_usual_in_place(&read_usual(family, buffer)?, buffer)
    }

    /// [`Inbound::open_bare_in_place`] of a packet that has been read.
    #[inline(always)]
    pub(super) fn open_usual_in_place(
        &mut self,
        datagram: &Datagram,
        buffer: &mut [u8],
    ) -> Option<Result<(usize, u32), OpenError>> {
        self.keys.one_pass()?;
        let Ok((sequence, body_len)) = self.examine(datagram, buffer) else { return None };
        Some(match self.open_in_place_in_one_pass(datagram, buffer, (sequence, body_len))? {
            Ok(len) => Ok((len, sequence)),
            Err(error) => Err(error),
        })
    }

    #[inline(always)]
    pub(super) fn open_parsed(
        &mut self,
        datagram: &Datagram,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<(usize, u32), OpenError> {
        let (sequence, body_len) = self.admit(datagram, packet)?;
        let len = match self.open_in_one_pass(datagram, packet, out, (sequence, body_len)) {
            Some(result) => result?,
            None => {
                let esp = datagram.payload(packet);
                self.accept(sequence, |keys| keys.verify(esp))?.open(datagram, packet, out, body_len)?
            }
        };
        Ok((len, sequence))
    }

    #[inline(always)]
    pub(super) fn open_parsed_in_place(
        &mut self,
        datagram: &Datagram,
        buffer: &mut [u8],
    ) -> Result<(usize, u32), OpenError> {
        let (sequence, body_len) = self.admit(datagram, buffer)?;
        let len = match self.open_in_place_in_one_pass(datagram, buffer, (sequence, body_len)) {
            Some(result) => result?,
            None => {
                let esp = datagram.payload(buffer);
                self.accept(sequence, |keys| keys.verify(esp))?.open_in_place(datagram, buffer, body_len)?
            }
        };
        Ok((len, sequence))
    }

    /// Opens a packet that [`Inbound::admit`] let pass, if the packets of this SA are one pass and
    /// the buffer has room; else nothing has changed. Returns how long the datagram is.
    #[inline(always)]
    pub(super) fn open_in_one_pass(
        &mut self,
        datagram: &Datagram,
        packet: &[u8],
        out: &mut [u8],
        (sequence, body_len): (u32, usize),
    ) -> Option<Result<usize, OpenError>> {
        let keys = self.keys.one_pass()?;
        let out = out.get_mut(..datagram.header_len + body_len)?;
        let (headers, body) = out.split_at_mut_checked(datagram.header_len)?;
        let esp = datagram.payload(packet);
        let Self { spi, selector, checks, window, counters, .. } = self;
        let pending = match window.check(sequence) {
            Ok(pending) => pending,
            Err(reason) => return Some(Err(replayed(counters, sequence, reason))),
        };
        let Some((authentic, decrypted)) = keys.open(esp, body) else {
            count(&mut counters.icv);
            return Some(Err(OpenError::Icv { sequence }));
        };
        let delivery = Delivery { spi: *spi, selector, checks: *checks, counters, pending, authentic };
        Some(delivery.write(datagram, packet, decrypted, (headers, body)))
    }

    /// [`Inbound::open_in_one_pass`] in place.
    #[inline(always)]
    pub(super) fn open_in_place_in_one_pass(
        &mut self,
        datagram: &Datagram,
        buffer: &mut [u8],
        (sequence, body_len): (u32, usize),
    ) -> Option<Result<usize, OpenError>> {
        let keys = self.keys.one_pass()?;
        let Self { spi, selector, checks, window, counters, .. } = self;
        let pending = match window.check(sequence) {
            Ok(pending) => pending,
            Err(reason) => return Some(Err(replayed(counters, sequence, reason))),
        };
        let esp = part_mut(buffer, datagram.header_len..datagram.total_len);
        let Some((authentic, decrypted)) = keys.open_in_place(esp) else {
            count(&mut counters.icv);
            return Some(Err(OpenError::Icv { sequence }));
        };
        let delivery = Delivery { spi: *spi, selector, checks: *checks, counters, pending, authentic };
        Some(delivery.write_in_place(datagram, buffer, decrypted, (Suite::ONE_PASS.headroom(), body_len)))
    }

    /// Whether a packet that [`Inbound::admit`] let pass is worth verifying. It is not if its
    /// sequence number is refused now: later on it is refused too, if perhaps for another
    /// reason.
    #[inline]
    pub(super) fn may_accept(&self, sequence: u32) -> bool {
        self.window.would_accept(sequence).is_ok()
    }

    /// Opens a packet that [`Inbound::admit`] let pass and whose ICV has been compared. The window
    /// is asked again: the same packet may have come twice. Returns how long the datagram is.
    #[inline(always)]
    pub(super) fn open_verified(
        &mut self,
        datagram: &Datagram,
        packet: &[u8],
        out: &mut [u8],
        (sequence, body_len): (u32, usize),
        authentic: Option<Authentic>,
    ) -> Result<usize, OpenError> {
        if let Some(result) = self.open_in_one_pass(datagram, packet, out, (sequence, body_len)) {
            return result;
        }
        let esp = datagram.payload(packet);
        let verify = |keys: &OpenKeys| match keys.one_pass() {
            // The buffer has no room, which is an error after a wrong ICV.
            Some(_) => keys.verify(esp),
            None => authentic,
        };
        self.accept(sequence, verify)?.open(datagram, packet, out, body_len)
    }

    /// [`Inbound::open_verified`] in place.
    #[inline(always)]
    pub(super) fn open_verified_in_place(
        &mut self,
        datagram: &Datagram,
        buffer: &mut [u8],
        (sequence, body_len): (u32, usize),
        authentic: Option<Authentic>,
    ) -> Result<usize, OpenError> {
        match self.open_in_place_in_one_pass(datagram, buffer, (sequence, body_len)) {
            Some(result) => result,
            None => self.accept(sequence, |_| authentic)?.open_in_place(datagram, buffer, body_len),
        }
    }

    /// The result for a packet that was opened into another buffer.
    #[inline(always)]
    pub(super) fn opened(&self, len: usize, sequence: u32) -> Opened {
        Opened { range: 0..len, spi: self.spi, sequence }
    }

    /// The result for a packet that was opened in place.
    #[inline(always)]
    pub(super) fn opened_in_place(&self, len: usize, sequence: u32) -> Opened {
        let start = self.suite().headroom();
        Opened { range: start..start + len, spi: self.spi, sequence }
    }

    /// The keys that packets are verified with.
    #[inline]
    pub(super) const fn keys(&self) -> &OpenKeys {
        &self.keys
    }

    /// Length, SPI and addresses, in this order. Returns the sequence number, and how many octets
    /// payload and trailer are. Nothing changes.
    #[inline(always)]
    pub(super) fn examine(&self, datagram: &Datagram, packet: &[u8]) -> Result<(u32, usize), OpenError> {
        let esp = datagram.payload(packet);
        let suite = if self.keys.one_pass().is_some() { Suite::ONE_PASS } else { self.keys.suite() };
        let body_len = body_len(suite, esp.len())?;
        let (spi, sequence) = ids(esp)?;
        if spi != self.spi.value() {
            return Err(OpenError::NoSa(spi));
        }
        if !self.selector.covers_addresses(datagram, packet) {
            return Err(OpenError::Addresses(self.spi));
        }
        if self.checks.has(Checks::PLAIN_HEADERS) && datagram.header_len != datagram.family().header_len() {
            return Err(OpenError::Headers(self.spi));
        }
        Ok((sequence, body_len))
    }

    /// [`Inbound::examine`]; what is wrong is counted.
    #[inline(always)]
    fn admit(&mut self, datagram: &Datagram, packet: &[u8]) -> Result<(u32, usize), OpenError> {
        self.examine(datagram, packet).inspect_err(|error| {
            if let OpenError::Packet(_) = error {
                count(&mut self.counters.malformed);
            } else if let OpenError::Addresses(_) | OpenError::Headers(_) = error {
                count(&mut self.counters.addresses);
            }
        })
    }

    /// Sequence number and ICV, in this order. Nothing but a counter has changed when this returns,
    /// and dropping what it returns changes nothing either.
    #[inline(always)]
    fn accept(
        &mut self,
        sequence: u32,
        verify: impl FnOnce(&OpenKeys) -> Option<Authentic>,
    ) -> Result<Accepted<'_>, OpenError> {
        let Self { spi, selector, checks, window, counters, keys, .. } = self;
        let pending = window.check(sequence).map_err(|reason| replayed(counters, sequence, reason))?;
        let Some(authentic) = verify(keys) else {
            count(&mut counters.icv);
            return Err(OpenError::Icv { sequence });
        };
        let delivery = Delivery { spi: *spi, selector, checks: *checks, counters, pending, authentic };
        Ok(Accepted { keys, delivery })
    }
}

/// Counts a packet that the window refuses.
fn replayed(counters: &mut InboundCounters, sequence: u32, reason: ReplayError) -> OpenError {
    match reason {
        ReplayError::Zero | ReplayError::Seen => count(&mut counters.replayed),
        ReplayError::Old => count(&mut counters.late),
    }
    OpenError::Replay { sequence, reason }
}

/// One more refusal; the counter stops at its end.
#[inline]
const fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

/// The headers of a datagram that must be ESP.
#[inline(always)]
pub(super) fn read(packet: &[u8]) -> Result<Datagram, OpenError> {
    let datagram = Datagram::parse_received(packet)?;
    if datagram.is_esp() { Ok(datagram) } else { Err(OpenError::NotEsp(datagram.protocol())) }
}

/// The headers of an ESP packet, if they are usual; see [`Datagram::parse_usual`].
#[inline(always)]
pub(super) fn read_usual(family: Family, packet: &[u8]) -> Option<Datagram> {
    // Not by a closure: it would be a call in what is long.
    let datagram = Datagram::parse_usual(family, packet)?;
    if datagram.is_esp() && datagram.has_right_checksum(packet) { Some(datagram) } else { None }
}

/// A packet whose ICV is right, before it is decrypted.
struct Accepted<'a> {
    keys: &'a OpenKeys,
    delivery: Delivery<'a>,
}

impl Accepted<'_> {
    /// Decrypts into another buffer. Returns how long the datagram is that is at its start.
    #[inline(always)]
    fn open(
        self,
        datagram: &Datagram,
        packet: &[u8],
        out: &mut [u8],
        body_len: usize,
    ) -> Result<usize, OpenError> {
        let header_len = datagram.header_len;
        let needed = header_len + body_len;
        let room = OpenError::Room { needed, found: out.len() };
        let (headers, body) =
            out.get_mut(..needed).and_then(|out| out.split_at_mut_checked(header_len)).ok_or(room)?;
        let authentic = &self.delivery.authentic;
        let decrypted = self.keys.decrypt_into(authentic, datagram.payload(packet), body);
        self.delivery.write(datagram, packet, decrypted, (headers, body))
    }

    /// Decrypts in place. Returns how long the datagram is; it begins where the headroom of the
    /// suite ends.
    #[inline(always)]
    fn open_in_place(
        self,
        datagram: &Datagram,
        buffer: &mut [u8],
        body_len: usize,
    ) -> Result<usize, OpenError> {
        let headroom = self.keys.suite().headroom();
        let esp = part_mut(buffer, datagram.header_len..datagram.total_len);
        let decrypted = self.keys.decrypt(&self.delivery.authentic, esp);
        self.delivery.write_in_place(datagram, buffer, decrypted, (headroom, body_len))
    }
}

/// An authentic packet, once it is decrypted.
struct Delivery<'a> {
    spi: Spi,
    selector: &'a Wire,
    checks: Checks,
    counters: &'a mut InboundCounters,
    pending: Pending<'a>,
    authentic: Authentic,
}

impl Delivery<'_> {
    /// Delivers what has been decrypted into another buffer, with its headers. If it is refused,
    /// the plaintext is wiped. Returns how long the datagram is.
    #[inline(always)]
    fn write(
        self,
        datagram: &Datagram,
        packet: &[u8],
        decrypted: Result<Decrypted, TrailerError>,
        (headers, body): (&mut [u8], &mut [u8]),
    ) -> Result<usize, OpenError> {
        match self.deliver(datagram, decrypted, body) {
            Ok(Decrypted { payload_len, next_header, .. }) => {
                datagram.write_headers(packet, headers, payload_len, next_header);
                Ok(datagram.header_len + payload_len)
            }
            Err(error) => {
                body.zeroize();
                Err(error)
            }
        }
    }

    /// [`Delivery::write`] in place: the headers move by the headroom of the suite.
    #[inline(always)]
    fn write_in_place(
        self,
        datagram: &Datagram,
        buffer: &mut [u8],
        decrypted: Result<Decrypted, TrailerError>,
        (headroom, body_len): (usize, usize),
    ) -> Result<usize, OpenError> {
        let start = datagram.header_len + headroom;
        let body = part_mut(buffer, start..start + body_len);
        match self.deliver(datagram, decrypted, body) {
            Ok(Decrypted { payload_len, next_header, .. }) => {
                datagram.move_headers(buffer, (0, headroom), payload_len, next_header);
                Ok(datagram.header_len + payload_len)
            }
            Err(error) => {
                body.zeroize();
                Err(error)
            }
        }
    }

    /// Commits the sequence number (RFC 4303 3.4.3: once the ICV is right), looks at the trailer,
    /// drops dummies, and compares the ports: in this order. The datagram is shorter than the one
    /// that was parsed, so its length fits its header.
    #[inline(always)]
    fn deliver(
        self,
        datagram: &Datagram,
        decrypted: Result<Decrypted, TrailerError>,
        body: &[u8],
    ) -> Result<Decrypted, OpenError> {
        let Self { spi, selector, checks, counters, pending, authentic } = self;
        pending.commit(authentic);
        // Nearly all packets pass at once. For the others it is found out why not, apart from here.
        let usual = match decrypted {
            Ok(trailer) if trailer.padding_counts && trailer.next_header != PROTOCOL_NONE => {
                let payload = part(body, ..trailer.payload_len);
                let ports_are_right = match selector.ports() {
                    Some(ports) => datagram.ports(trailer.next_header, payload) == Some(ports),
                    None => {
                        rare();
                        true
                    }
                };
                let is_transport = !checks.has(Checks::SIP_TRANSPORTS)
                    || is_sip_transport(trailer.next_header, payload.len());
                if ports_are_right && is_transport { Some(trailer) } else { None }
            }
            Ok(_) | Err(_) => None,
        };
        let trailer = match usual {
            Some(trailer) => trailer,
            None => examine_delivery((spi, selector, checks), counters, *datagram, body)?,
        };
        counters.packets += 1;
        counters.octets += trailer.payload_len as u64;
        Ok(trailer)
    }
}

/// The checks of [`Delivery::deliver`] one by one, for a packet that has not passed all of them.
/// The trailer is read again: as an argument, it would be written to the stack for each packet.
#[cold]
#[inline(never)]
fn examine_delivery(
    (spi, selector, checks): (Spi, &Wire, Checks),
    counters: &mut InboundCounters,
    datagram: Datagram,
    body: &[u8],
) -> Result<Decrypted, OpenError> {
    let trailer = read_trailer(body).inspect_err(|_| count(&mut counters.trailer))?;
    if !trailer.padding_counts {
        if !checks.has(Checks::ANY_PADDING) {
            count(&mut counters.trailer);
            return Err(TrailerError::Padding.into());
        }
        count(&mut counters.other_padding);
    }
    if trailer.next_header == PROTOCOL_NONE {
        count(&mut counters.dummy);
        return Err(OpenError::Dummy);
    }
    let payload = part(body, ..trailer.payload_len);
    if checks.has(Checks::SIP_TRANSPORTS) && !is_sip_transport(trailer.next_header, payload.len()) {
        count(&mut counters.ports);
        return Err(OpenError::Transport(trailer.next_header, payload.len()));
    }
    if let Some(ports) = selector.ports() {
        match datagram.ports(trailer.next_header, payload) {
            Some(found) if found == ports => {}
            Some([_, _, to @ ..]) if ports.ends_with(&to) && checks.has(Checks::ANY_SOURCE_PORT) => {
                count(&mut counters.other_source_port);
            }
            Some(_) | None => {
                count(&mut counters.ports);
                return Err(OpenError::Ports(spi));
            }
        }
    }
    Ok(trailer)
}

//! An inbound SA: ESP in, datagrams out. The order of the checks is that of RFC 4303 3.4.

use core::ops::Range;

use zeroize::Zeroize;

use super::replay::{Pending, ReplayError, ReplayWindow, WindowSize};
use super::selector::{Ports, Selector};
use super::set::SaSpec;
use crate::algorithm::Suite;
use crate::esp::ip::Datagram;
use crate::esp::{Authentic, IpError, OpenKeys, PROTOCOL_NONE, PacketError, TrailerError, ids};
use crate::spi::Spi;

/// How closely the ports of an opened packet are compared with the selector (RFC 4303 3.4.4.1: step 4 of
/// RFC 4301 5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectorCheck {
    /// Both ports must be those of the SA.
    #[default]
    Strict,
    /// The source port may be another; each such packet is counted. Some networks send from a port that they did
    /// not announce.
    AnySourcePort,
}

/// A packet that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Opened {
    /// Where the datagram stands in the caller's buffer.
    pub range: Range<usize>,
    /// The SPI that it came with: the SA, and so the user, that it belongs to.
    pub spi: Spi,
    /// Its sequence number.
    pub sequence: u32,
}

/// Why a packet was not opened. The SA is as it was, but for the counter of the reason; the exceptions are said
/// where they apply. Nothing of this belongs on the wire: ESP answers no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The datagram cannot be read, or is a fragment (RFC 4303 3.4.1: reassembly comes first).
    #[error(transparent)]
    Ip(#[from] IpError),
    /// The datagram is not ESP, but of this protocol. What may be done with it in clear is another question:
    /// [`Sad::is_protected`](crate::Sad::is_protected).
    #[error("protocol {0}, not ESP")]
    NotEsp(u8),
    /// The packet is too short, or not of whole blocks.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// No SA has this SPI at this destination.
    #[error("no SA with SPI {0}")]
    NoSa(u32),
    /// The addresses are not those of the SA.
    #[error("addresses that are not those of the SA with SPI {0}")]
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
    #[error("the integrity check of sequence number {sequence} failed")]
    Icv {
        /// The sequence number that the packet claims.
        sequence: u32,
    },
    /// The buffer for the datagram is too small: the caller's fault.
    #[error("{needed} octets needed where the buffer has {found}")]
    Room {
        /// Octets needed.
        needed: usize,
        /// Octets that there are.
        found: usize,
    },
    /// The packet is authentic, but its trailer cannot be right: the peer's fault. Its sequence number is not used
    /// up.
    #[error(transparent)]
    Trailer(#[from] TrailerError),
    /// A dummy packet (RFC 4303 2.6), to be dropped silently. Its sequence number is used up.
    #[error("a dummy packet")]
    Dummy,
    /// The packet is authentic, but its ports are not those of the SA. Its sequence number is used up.
    #[error("ports that are not those of the SA with SPI {0}")]
    Ports(Spi),
}

/// What an inbound SA has done: the packets it opened, and for each reason those it did not, up to 2^32 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboundCounters {
    /// Packets opened.
    pub packets: u64,
    /// Octets of payload opened: what stands behind the IP headers.
    pub octets: u64,
    /// Not the length of an ESP packet of the suite.
    pub malformed: u32,
    /// Addresses not those of the SA, seen before the packet was verified.
    pub addresses: u32,
    /// Sequence numbers seen before, or 0.
    pub replayed: u32,
    /// Sequence numbers older than the window: replays, or a window too small for the network's reordering.
    pub late: u32,
    /// Integrity checks failed.
    pub icv: u32,
    /// Authentic packets with an impossible trailer.
    pub trailer: u32,
    /// Dummy packets.
    pub dummy: u32,
    /// Authentic packets whose ports are not those of the SA: refused.
    pub ports: u32,
    /// Authentic packets let through from another source port, by [`SelectorCheck::AnySourcePort`].
    pub other_source_port: u32,
}

/// An inbound SA.
#[derive(Debug)]
pub struct Inbound {
    spi: Spi,
    selector: Selector,
    check: SelectorCheck,
    window: ReplayWindow,
    counters: InboundCounters,
    keys: OpenKeys,
}

impl Inbound {
    /// An SA that has received nothing.
    pub fn new(spec: &SaSpec<'_>, window: WindowSize) -> Self {
        Self {
            spi: spec.spi,
            selector: spec.selector,
            check: SelectorCheck::Strict,
            window: ReplayWindow::new(window),
            counters: InboundCounters::default(),
            keys: OpenKeys::new(spec.keys),
        }
    }

    /// The same SA with another selector check.
    #[must_use]
    pub fn checking(self, check: SelectorCheck) -> Self {
        Self { check, ..self }
    }

    /// The SPI that packets must carry.
    pub const fn spi(&self) -> Spi {
        self.spi
    }

    /// The suite.
    pub const fn suite(&self) -> Suite {
        self.keys.suite()
    }

    /// The traffic of the SA.
    pub const fn selector(&self) -> &Selector {
        &self.selector
    }

    /// What the SA has done.
    pub const fn counters(&self) -> &InboundCounters {
        &self.counters
    }

    /// The replay window, to look at.
    pub const fn window(&self) -> &ReplayWindow {
        &self.window
    }

    /// Opens a packet into another buffer, and returns where the datagram stands there: at its start. The buffer
    /// needs room for the IP headers and the packet without SPI, sequence number, IV and ICV.
    ///
    /// # Errors
    /// [`OpenError`]. If the packet was refused after it had been deciphered, its plaintext has been wiped from
    /// the buffer; before that the buffer is as it was.
    pub fn open(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Opened, OpenError> {
        let datagram = read(packet)?;
        self.open_parsed(&datagram, packet, out)
    }

    /// Opens a packet in place, and returns where the datagram stands: the IP headers move back, over what ESP put
    /// between them and the payload.
    ///
    /// # Errors
    /// [`OpenError`]. If the packet was refused after it had been deciphered, its plaintext has been wiped from
    /// the buffer; before that the buffer is as it was.
    pub fn open_in_place(&mut self, buffer: &mut [u8]) -> Result<Opened, OpenError> {
        let datagram = read(buffer)?;
        self.open_parsed_in_place(&datagram, buffer)
    }

    #[inline]
    pub(super) fn open_parsed(
        &mut self,
        datagram: &Datagram,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<Opened, OpenError> {
        let whole = packet.get(..datagram.total_len).unwrap_or_default();
        let (headers, esp) = whole.split_at_checked(datagram.header_len).unwrap_or_default();
        let verified = self.verify(datagram, esp)?;
        let (iv, cipher_text) = verified.split(esp);
        let needed = headers.len() + cipher_text.len();
        let room = OpenError::Room { needed, found: out.len() };
        let (out_headers, out_body) =
            out.get_mut(..needed).and_then(|out| out.split_at_mut_checked(headers.len())).ok_or(room)?;
        out_headers.copy_from_slice(headers);
        verified.finish(datagram, (iv, Some(cipher_text)), out_headers, out_body, 0)
    }

    #[inline]
    pub(super) fn open_parsed_in_place(
        &mut self,
        datagram: &Datagram,
        buffer: &mut [u8],
    ) -> Result<Opened, OpenError> {
        let whole = buffer.get_mut(..datagram.total_len).unwrap_or_default();
        let (headers, esp) = whole.split_at_mut_checked(datagram.header_len).unwrap_or_default();
        let verified = self.verify(datagram, esp)?;
        let headroom = verified.keys.suite().headroom();
        let body_len = verified.body_len;
        let (esp_header, rest) = esp.split_at_mut_checked(headroom).unwrap_or_default();
        let iv = esp_header.get(ESP_HEADER..).unwrap_or_default();
        let body = rest.get_mut(..body_len).unwrap_or_default();
        let opened = verified.finish(datagram, (iv, None), headers, body, headroom)?;
        buffer.copy_within(..datagram.header_len, headroom);
        Ok(opened)
    }

    /// Length, SPI, addresses, sequence number and ICV, in this order. Nothing but a counter has changed when this
    /// returns, and dropping what it returns changes nothing either.
    #[inline]
    fn verify(&mut self, datagram: &Datagram, esp: &[u8]) -> Result<Verified<'_>, OpenError> {
        let Self { spi, selector, check, window, counters, keys } = self;
        let body_len = keys.body_len(esp.len()).inspect_err(|_| count(&mut counters.malformed))?;
        let (spi_found, sequence) = ids(esp)?;
        if spi_found != spi.value() {
            return Err(OpenError::NoSa(spi_found));
        }
        if selector.source != datagram.source || selector.destination != datagram.destination {
            count(&mut counters.addresses);
            return Err(OpenError::Addresses(*spi));
        }
        let pending = window.check(sequence).map_err(|reason| {
            match reason {
                ReplayError::Zero | ReplayError::Seen => count(&mut counters.replayed),
                ReplayError::Old => count(&mut counters.late),
            }
            OpenError::Replay { sequence, reason }
        })?;
        let Some(authentic) = keys.verify(esp) else {
            count(&mut counters.icv);
            return Err(OpenError::Icv { sequence });
        };
        Ok(Verified {
            spi: *spi,
            sequence,
            body_len,
            selector,
            check: *check,
            counters,
            keys,
            pending,
            authentic,
        })
    }
}

/// One more refusal; the counter stops at its end.
#[inline]
const fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

/// SPI and sequence number.
const ESP_HEADER: usize = 8;

/// The headers of a datagram that must be ESP.
#[inline]
pub(super) fn read(packet: &[u8]) -> Result<Datagram, OpenError> {
    let datagram = Datagram::parse_received(packet)?;
    if datagram.is_esp() { Ok(datagram) } else { Err(OpenError::NotEsp(datagram.protocol)) }
}

/// A packet whose ICV is right, before it is deciphered.
struct Verified<'a> {
    spi: Spi,
    sequence: u32,
    /// Octets of payload and trailer.
    body_len: usize,
    selector: &'a Selector,
    check: SelectorCheck,
    counters: &'a mut InboundCounters,
    keys: &'a OpenKeys,
    pending: Pending<'a>,
    authentic: Authentic,
}

impl Verified<'_> {
    /// Initialisation vector and cipher text.
    fn split<'p>(&self, esp: &'p [u8]) -> (&'p [u8], &'p [u8]) {
        let (header, rest) = esp.split_at_checked(self.keys.suite().headroom()).unwrap_or_default();
        (header.get(ESP_HEADER..).unwrap_or_default(), rest.get(..self.body_len).unwrap_or_default())
    }

    /// Deciphers into `body`, or in place where there is no other cipher text; reads the trailer, commits the sequence
    /// number, drops dummies, compares the ports, and mends the headers: in this order. If it fails after deciphering,
    /// the plaintext is wiped.
    #[inline]
    fn finish(
        self,
        datagram: &Datagram,
        cipher_text: (&[u8], Option<&[u8]>),
        headers: &mut [u8],
        body: &mut [u8],
        start: usize,
    ) -> Result<Opened, OpenError> {
        let (spi, sequence) = (self.spi, self.sequence);
        match self.decipher(datagram, cipher_text, headers, body) {
            Ok(payload_len) => {
                let range = start..start + datagram.header_len + payload_len;
                Ok(Opened { range, spi, sequence })
            }
            Err(error) => {
                body.zeroize();
                Err(error)
            }
        }
    }

    #[inline]
    fn decipher(
        self,
        datagram: &Datagram,
        (iv, cipher_text): (&[u8], Option<&[u8]>),
        headers: &mut [u8],
        body: &mut [u8],
    ) -> Result<usize, OpenError> {
        let counters = self.counters;
        let trailer = self
            .keys
            .decrypt(&self.authentic, iv, cipher_text, body)
            .inspect_err(|_| count(&mut counters.trailer))?;
        self.pending.commit(self.authentic);
        if trailer.next_header == PROTOCOL_NONE {
            count(&mut counters.dummy);
            return Err(OpenError::Dummy);
        }
        let payload = body.get(..trailer.payload_len).unwrap_or_default();
        if let Ports::Exact { source, destination } = self.selector.ports {
            match datagram.ports(trailer.next_header, payload) {
                Some((from, to)) if from == source && to == destination => {}
                Some((_, to)) if to == destination && self.check == SelectorCheck::AnySourcePort => {
                    count(&mut counters.other_source_port);
                }
                Some(_) | None => {
                    count(&mut counters.ports);
                    return Err(OpenError::Ports(self.spi));
                }
            }
        }
        // The datagram is shorter than the one that was parsed, so it fits its header.
        datagram.mend(headers, trailer.payload_len, trailer.next_header);
        counters.packets += 1;
        counters.octets += trailer.payload_len as u64;
        Ok(trailer.payload_len)
    }
}

//! Packets through the table: opened and sealed with the SA that each belongs to, alone and in
//! batches.

use core::ops::Range;

use super::table::{Sad, is_worth_trying};
use crate::esp::ip::Datagram;
use crate::esp::{Family, IpError, ids};
use crate::id::Id;
use crate::impossible::impossible;
use crate::sa::batch::{OpenJob, SealJob, open_all, seal_all};
use crate::sa::id::{InboundId, OutboundId};
use crate::sa::inbound::{OpenError, Opened, read, read_usual};
use crate::sa::outbound::{SealError, Sealed, SealedSize};
use crate::sa::selector::Wire;

/// A packet that was opened, and the SA that it came over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Arrived {
    /// The SA: the identity of the sender and the verdict on its protection follow from it.
    pub sa: InboundId,
    /// The packet.
    pub opened: Opened,
}

/// The room that sealing a datagram needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// The SA that will seal it.
    pub sa: OutboundId,
    /// Suite, SPI and exact lengths.
    pub size: SealedSize,
}

impl Sad {
    /// Opens a packet into another buffer; see [`Inbound::open`](crate::sa::Inbound::open).
    ///
    /// # Errors
    /// [`OpenError`], with [`OpenError::NotEsp`] for what is not ESP and [`OpenError::NoSa`] where
    /// no SA has the SPI at this destination.
    pub fn open(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Arrived, OpenError> {
        match read_usual(Family::Ipv4, packet) {
            Some(datagram) => self.open_read(datagram, packet, out),
            None => self.open_other(packet, out),
        }
    }

    /// [`Sad::open`] of a packet that has been read.
    #[inline(always)]
    fn open_read(&mut self, datagram: Datagram, packet: &[u8], out: &mut [u8]) -> Result<Arrived, OpenError> {
        let slot = self.arrival(0, datagram, packet)?;
        let (sa, id) = self.inbound.at(slot).ok_or_else(|| impossible(OpenError::Internal))?;
        match sa.open_usual(&datagram, packet, out) {
            Some(Ok((len, sequence))) => {
                let (opened, is_fresh) = (sa.opened(len, sequence), sa.is_fresh);
                Ok(self.arrived((slot, id), is_fresh, opened))
            }
            Some(Err(error)) => Err(error),
            None => self.open_over(slot, packet, out),
        }
    }

    /// [`Sad::open`] of what is not IPv4 without options. Not inlined: beside it, the code for that
    /// would have fewer registers.
    #[inline(never)]
    fn open_other(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Arrived, OpenError> {
        if let Some(datagram) = read_usual(Family::Ipv6, packet) {
            return self.open_read(datagram, packet, out);
        }
        let (datagram, slot) = self.arrive(0, packet)?;
        let (sa, id) = self.inbound.at(slot).ok_or_else(|| impossible(OpenError::Internal))?;
        let (len, sequence) = sa.open_parsed(&datagram, packet, out)?;
        let (opened, is_fresh) = (sa.opened(len, sequence), sa.is_fresh);
        Ok(self.arrived((slot, id), is_fresh, opened))
    }

    /// Opens a packet of the SA in a slot. The headers are read again: given, they would be in
    /// memory for each packet.
    #[inline(never)]
    fn open_over(&mut self, slot: u32, packet: &[u8], out: &mut [u8]) -> Result<Arrived, OpenError> {
        let (sa, id) = self.inbound.at(slot).ok_or_else(|| impossible(OpenError::Internal))?;
        let (opened, is_fresh) = (sa.open_any(packet, out)?, sa.is_fresh);
        Ok(self.arrived((slot, id), is_fresh, opened))
    }

    /// What was opened, over the SA of this slot.
    #[inline(always)]
    fn arrived(&mut self, (slot, id): (u32, Id), is_fresh: bool, opened: Opened) -> Arrived {
        if is_fresh {
            self.arrived_over(slot);
        }
        Arrived { sa: InboundId(id), opened }
    }

    /// Opens a packet in place; see [`Inbound::open_in_place`](crate::sa::Inbound::open_in_place).
    ///
    /// # Errors
    /// [`OpenError`] as for [`Sad::open`].
    pub fn open_in_place(&mut self, buffer: &mut [u8]) -> Result<Arrived, OpenError> {
        match read_usual(Family::Ipv4, buffer) {
            Some(datagram) => self.open_read_in_place(datagram, buffer),
            None => self.open_other_in_place(buffer),
        }
    }

    /// [`Sad::open_in_place`] of a packet that has been read.
    #[inline(always)]
    fn open_read_in_place(&mut self, datagram: Datagram, buffer: &mut [u8]) -> Result<Arrived, OpenError> {
        let slot = self.arrival(0, datagram, buffer)?;
        let (sa, id) = self.inbound.at(slot).ok_or_else(|| impossible(OpenError::Internal))?;
        match sa.open_usual_in_place(&datagram, buffer) {
            Some(Ok((len, sequence))) => {
                let (opened, is_fresh) = (sa.opened_in_place(len, sequence), sa.is_fresh);
                Ok(self.arrived((slot, id), is_fresh, opened))
            }
            Some(Err(error)) => Err(error),
            None => self.open_over_in_place(slot, buffer),
        }
    }

    #[inline(never)]
    fn open_other_in_place(&mut self, buffer: &mut [u8]) -> Result<Arrived, OpenError> {
        if let Some(datagram) = read_usual(Family::Ipv6, buffer) {
            return self.open_read_in_place(datagram, buffer);
        }
        let (datagram, slot) = self.arrive(0, buffer)?;
        let (sa, id) = self.inbound.at(slot).ok_or_else(|| impossible(OpenError::Internal))?;
        let (len, sequence) = sa.open_parsed_in_place(&datagram, buffer)?;
        let (opened, is_fresh) = (sa.opened_in_place(len, sequence), sa.is_fresh);
        Ok(self.arrived((slot, id), is_fresh, opened))
    }

    /// [`Sad::open_over`] in place.
    #[inline(never)]
    fn open_over_in_place(&mut self, slot: u32, buffer: &mut [u8]) -> Result<Arrived, OpenError> {
        let (sa, id) = self.inbound.at(slot).ok_or_else(|| impossible(OpenError::Internal))?;
        let (opened, is_fresh) = (sa.open_any_in_place(buffer)?, sa.is_fresh);
        Ok(self.arrived((slot, id), is_fresh, opened))
    }

    /// Seals a datagram into another buffer with the SA that its addresses and ports select; see
    /// [`Outbound::seal`](crate::sa::Outbound::seal).
    ///
    /// # Errors
    /// [`SealError`]; with [`SealError::NoSa`] the datagram must not be sent at all.
    pub fn seal(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Sealed, SealError> {
        match Datagram::parse_usual(Family::Ipv4, packet) {
            Some(datagram) => self.seal_read(&datagram, packet, out),
            None => self.seal_other(packet, out),
        }
    }

    #[inline(never)]
    fn seal_other(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Sealed, SealError> {
        if let Some(datagram) = Datagram::parse_usual(Family::Ipv6, packet) {
            return self.seal_read(&datagram, packet, out);
        }
        let datagram = self.read_departing(packet)?;
        self.seal_read(&datagram, packet, out)
    }

    #[inline(always)]
    fn seal_read(&mut self, datagram: &Datagram, packet: &[u8], out: &mut [u8]) -> Result<Sealed, SealError> {
        let slot = self.departure(0, datagram, packet)?;
        let (sa, _) = self.outbound.at(slot).ok_or_else(|| impossible(SealError::Internal))?;
        let result = sa.seal_admitted(datagram, packet, out);
        sa.count(result)
    }

    /// Seals the datagram at `range` of a buffer in place; see
    /// [`Outbound::seal_in_place`](crate::sa::Outbound::seal_in_place).
    ///
    /// # Errors
    /// [`SealError`] as for [`Sad::seal`].
    pub fn seal_in_place(&mut self, buffer: &mut [u8], range: Range<usize>) -> Result<Sealed, SealError> {
        match buffer.get(range.clone()).and_then(|packet| Datagram::parse_usual(Family::Ipv4, packet)) {
            Some(datagram) => self.seal_read_in_place(&datagram, buffer, range),
            None => self.seal_other_in_place(buffer, range),
        }
    }

    #[inline(never)]
    fn seal_other_in_place(&mut self, buffer: &mut [u8], range: Range<usize>) -> Result<Sealed, SealError> {
        let packet = buffer.get(range.clone()).unwrap_or_default();
        if let Some(datagram) = Datagram::parse_usual(Family::Ipv6, packet) {
            return self.seal_read_in_place(&datagram, buffer, range);
        }
        let datagram = self.read_departing(packet)?;
        self.seal_read_in_place(&datagram, buffer, range)
    }

    #[inline(always)]
    fn seal_read_in_place(
        &mut self,
        datagram: &Datagram,
        buffer: &mut [u8],
        range: Range<usize>,
    ) -> Result<Sealed, SealError> {
        let start = range.start;
        let slot = self.departure(0, datagram, buffer.get(range).unwrap_or_default())?;
        let (sa, _) = self.outbound.at(slot).ok_or_else(|| impossible(SealError::Internal))?;
        let result = sa.seal_admitted_in_place(datagram, buffer, start);
        sa.count(result)
    }

    /// The SA that sealing a datagram will use, and the room that it needs. Nothing is counted, and
    /// no sequence number is used.
    ///
    /// # Errors
    /// [`SealError`] as for [`Sad::seal`].
    pub fn target(&self, packet: &[u8]) -> Result<Target, SealError> {
        let datagram = Datagram::parse_plain(packet)?;
        let wire = Wire::of(&datagram, packet);
        let slot = self.outbound_slot(&wire).ok_or_else(|| no_sa(&datagram, packet, &wire))?;
        let (Some(id), Some(sa)) = (self.outbound.id(slot), self.outbound.peek(slot)) else {
            return Err(impossible(SealError::Internal));
        };
        Ok(Target { sa: OutboundId(id), size: sa.size(&datagram)? })
    }

    /// Seals many datagrams, each with the SA that its addresses and ports select. The results are
    /// those of [`Sad::seal`] or [`Sad::seal_in_place`], one job after the other: an SA numbers
    /// its packets in the order of the jobs. Ciphers and hashes of all jobs run in parallel,
    /// whatever their SAs, suites, lengths and families: the more jobs, the less each costs. Where
    /// the processor has instructions for AES-GCM and AES-GMAC, one packet of these fills its
    /// units, and gains nothing from others. Nothing is allocated; up to 48 KiB of stack are used,
    /// and 64 KiB where des-ede3-cbc is sealed. In a large table the SAs of later jobs, of whatever
    /// suite, are prefetched.
    ///
    /// ```
    /// use ipsec_3gpp::Sad;
    /// use ipsec_3gpp::sa::SealJob;
    /// # let (mut sad, datagrams): (Sad, Vec<Vec<u8>>) = (Sad::new(), vec![vec![0; 40]; 3]);
    /// let mut buffers = [[0; 1500]; 3];
    /// let mut jobs: Vec<_> =
    ///     datagrams.iter().zip(&mut buffers).map(|(from, to)| SealJob::new(from, to)).collect();
    /// sad.seal_batch(&mut jobs);
    /// for job in &jobs {
    ///     match job.packet() {
    ///         Some(packet) => { /* send it */ }
    ///         None => println!("not sent: {:?}", job.result()),
    ///     }
    /// }
    /// ```
    pub fn seal_batch(&mut self, jobs: &mut [SealJob<'_>]) {
        seal_all(self, jobs);
    }

    /// Opens many packets. The results are those of [`Sad::open`] or [`Sad::open_in_place`], one
    /// job after the other: of two copies of a packet the first is delivered. See
    /// [`Sad::seal_batch`].
    pub fn open_batch(&mut self, jobs: &mut [OpenJob<'_>]) {
        open_all(self, jobs);
        if self.fresh != 0 {
            for id in jobs.iter().filter_map(OpenJob::sa) {
                if self.inbound(id).is_some_and(|sa| sa.is_fresh) {
                    self.arrived_over(id.0.slot);
                }
            }
        }
    }

    /// Whether a datagram must not pass in clear (TS 33.203 7.1). It must not if
    ///
    /// - its end at this side is a protected port, as source or as destination: one that
    ///   [`Sad::protect`] names, or that an SA has;
    /// - it is sent to a protected port of a peer. Ports 5060 and 5061 are excepted: some phones
    ///   announce these, and get their answers in clear there
    ///   ([`Quirk::SipPort`](crate::sec_agree::Quirk::SipPort)). So are those of a set that a
    ///   [`DataPath`](crate::DataPath) installed and over which nothing has been opened: anybody
    ///   can announce ports at any address;
    /// - an SA without ports selects it.
    ///
    /// One that was received in clear must be discarded (RFC 4301 5.2), and one that will be sent
    /// must be sealed. Whole datagrams only: [reassemble](crate::fragments) first.
    ///
    /// # Errors
    /// [`IpError`] if the ports cannot be seen; it must not pass either. A protocol that hides them
    /// ([`IpError::HiddenPorts`]) is an error at addresses of this side that have protected ports,
    /// and passes elsewhere.
    pub fn is_protected(&self, packet: &[u8]) -> Result<bool, IpError> {
        let datagram = Datagram::parse_plain(packet)?;
        let ports = datagram.visible_ports(packet);
        let wire = Wire::of(&datagram, packet);
        let selector = wire.selector();
        if self.outbound_slot(&wire).is_some()
            || self.outbound_slot(&Wire::new(&selector.mirrored())).is_some()
        {
            return Ok(true);
        }
        match ports {
            Ok(_) => Ok(self.is_protected_traffic(&selector)),
            Err(IpError::HiddenPorts(_)) if !self.has_protected_address(&selector) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The SA that a packet came over. `probable` is the slot to look at first.
    pub(super) fn arrive(&mut self, probable: u32, packet: &[u8]) -> Result<(Datagram, u32), OpenError> {
        let datagram = read(packet).map_err(|error| self.unknown(error))?;
        Ok((datagram, self.arrival(probable, datagram, packet)?))
    }

    /// [`Sad::arrive`] for a packet that has been read.
    #[inline(always)]
    fn arrival(&mut self, probable: u32, datagram: Datagram, packet: &[u8]) -> Result<u32, OpenError> {
        let (spi, _) = match ids(datagram.payload(packet)) {
            Ok(ids) => ids,
            Err(error) => return Err(self.unknown(error.into())),
        };
        match self.arrival_slot(probable, spi, &datagram, packet) {
            Some(slot) => Ok(slot),
            None => Err(self.unknown(OpenError::NoSa(spi))),
        }
    }

    /// Counts a packet for which there is no SA.
    #[cold]
    fn unknown(&mut self, error: OpenError) -> OpenError {
        let counter = match error {
            OpenError::Ip(IpError::Fragment) => &mut self.counters.fragments,
            OpenError::NotEsp(_) => &mut self.counters.not_esp,
            OpenError::NoSa(_) => &mut self.counters.no_inbound_sa,
            // Before an SA is found, only the outside of the packet can be wrong.
            OpenError::Ip(_)
            | OpenError::Packet(_)
            | OpenError::Headers(_)
            | OpenError::Addresses(_)
            | OpenError::Replay { .. }
            | OpenError::Icv { .. }
            | OpenError::Room { .. }
            | OpenError::Trailer(_)
            | OpenError::Dummy
            | OpenError::Ports(_)
            | OpenError::Transport(..)
            | OpenError::Internal => &mut self.counters.malformed,
        };
        *counter += 1;
        error
    }

    /// The SA that a datagram is sealed with. `probable` is the slot to look at first.
    pub(super) fn depart(&mut self, probable: u32, packet: &[u8]) -> Result<(Datagram, u32), SealError> {
        let datagram = self.read_departing(packet)?;
        Ok((datagram, self.departure(probable, &datagram, packet)?))
    }

    /// The headers of a datagram that is sent.
    fn read_departing(&mut self, packet: &[u8]) -> Result<Datagram, SealError> {
        Datagram::parse_plain(packet).map_err(|error| {
            self.counters.no_outbound_sa += 1;
            SealError::Ip(error)
        })
    }

    /// [`Sad::depart`] for a datagram that has been read.
    #[inline(always)]
    fn departure(&mut self, probable: u32, datagram: &Datagram, packet: &[u8]) -> Result<u32, SealError> {
        let wire = Wire::of(datagram, packet);
        match self.departure_slot(probable, &wire) {
            Some(slot) => Ok(slot),
            None => {
                self.counters.no_outbound_sa += 1;
                Err(no_sa(datagram, packet, &wire))
            }
        }
    }

    /// The slot of the SA that a datagram is sealed with.
    #[inline(always)]
    pub(super) fn departure_slot(&self, probable: u32, wire: &Wire) -> Option<u32> {
        let is_found = is_worth_trying(probable, self.by_selector.len()) && self.is_of(probable, wire);
        if is_found { Some(probable) } else { self.outbound_slot(wire) }
    }
}

/// Why no SA is for a datagram.
#[cold]
fn no_sa(datagram: &Datagram, packet: &[u8], wire: &Wire) -> SealError {
    match datagram.visible_ports(packet) {
        Ok(_) => SealError::NoSa(wire.selector()),
        Err(error) => SealError::Ip(error),
    }
}

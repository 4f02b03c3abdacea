//! Many packets at once: the same checks in the same order and the same results as one at a time, and the ciphers and
//! hashes of all of them side by side.

use core::array;
use core::ops::Range;

use super::inbound::{Inbound, OpenError, Opened, read};
use super::outbound::{Outbound, SealError, Sealed};
use super::sad::InboundId;
use crate::esp::Backend;
use crate::esp::batch::{SMALL_TILE, Sealing, TILE, Verifying, protect_all, verify_all};
use crate::esp::ip::Datagram;

/// A datagram that shall be sealed in a batch, and what became of it.
///
/// Jobs are given to [`Sad::seal_batch`](crate::Sad::seal_batch), [`Outbound::seal_batch`] or [`seal_batch`]. A job that has
/// a result is passed over.
#[derive(Debug)]
pub struct SealJob<'a> {
    place: Place<'a>,
    result: Option<Result<Sealed, SealError>>,
}

/// A packet that shall be opened in a batch, and what became of it.
///
/// Jobs are given to [`Sad::open_batch`](crate::Sad::open_batch), [`Inbound::open_batch`] or [`open_batch`]. A job that has
/// a result is passed over.
#[derive(Debug)]
pub struct OpenJob<'a> {
    place: Place<'a>,
    result: Option<Result<Opened, OpenError>>,
    sa: Option<InboundId>,
}

#[derive(Debug)]
enum Place<'a> {
    Apart { packet: &'a [u8], out: &'a mut [u8] },
    InPlace { buffer: &'a mut [u8], range: Range<usize> },
}

impl Place<'_> {
    fn packet(&self) -> &[u8] {
        match self {
            Place::Apart { packet, .. } => packet,
            Place::InPlace { buffer, range } => buffer.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl<'a> SealJob<'a> {
    /// Seals a datagram into another buffer; see [`Outbound::seal`].
    pub fn new(packet: &'a [u8], out: &'a mut [u8]) -> Self {
        Self { place: Place::Apart { packet, out }, result: None }
    }

    /// Seals the datagram at `range` of a buffer in place; see [`Outbound::seal_in_place`].
    pub fn in_place(buffer: &'a mut [u8], range: Range<usize>) -> Self {
        Self { place: Place::InPlace { buffer, range }, result: None }
    }

    /// What became of it; `None` before a batch was done.
    pub const fn result(&self) -> Option<&Result<Sealed, SealError>> {
        self.result.as_ref()
    }

    /// The packet that was sealed; `None` if it was not.
    pub fn packet(&self) -> Option<&[u8]> {
        let range = self.result.as_ref()?.as_ref().ok()?.range.clone();
        match &self.place {
            Place::Apart { out, .. } => out.get(range),
            Place::InPlace { buffer, .. } => buffer.get(range),
        }
    }
}

impl<'a> OpenJob<'a> {
    /// Opens a packet into another buffer; see [`Inbound::open`].
    pub fn new(packet: &'a [u8], out: &'a mut [u8]) -> Self {
        Self { place: Place::Apart { packet, out }, result: None, sa: None }
    }

    /// Opens a packet in place; see [`Inbound::open_in_place`].
    pub fn in_place(buffer: &'a mut [u8]) -> Self {
        let range = 0..buffer.len();
        Self { place: Place::InPlace { buffer, range }, result: None, sa: None }
    }

    /// What became of it; `None` before a batch was done.
    pub const fn result(&self) -> Option<&Result<Opened, OpenError>> {
        self.result.as_ref()
    }

    /// The SA that it came over: what the identity of the sender and the verdict on its protection rest on. `None` if it was
    /// not opened, or not by a [`Sad`](crate::Sad).
    pub const fn sa(&self) -> Option<InboundId> {
        self.sa
    }

    /// The datagram that was opened; `None` if it was not.
    pub fn datagram(&self) -> Option<&[u8]> {
        let range = self.result.as_ref()?.as_ref().ok()?.range.clone();
        match &self.place {
            Place::Apart { out, .. } => out.get(range),
            Place::InPlace { buffer, .. } => buffer.get(range),
        }
    }
}

impl Outbound {
    /// Seals many datagrams, all of them traffic of this SA; see [`Outbound::seal`]. For the SAs of a table, see
    /// [`Sad::seal_batch`](crate::Sad::seal_batch).
    pub fn seal_batch(&mut self, jobs: &mut [SealJob<'_>]) {
        let count = jobs.len();
        let mut jobs = jobs.iter_mut().map(|job| (0, job));
        seal_all(&mut Own(core::slice::from_mut(self)), count, &mut jobs);
    }
}

impl Inbound {
    /// Opens many packets, all of them of this SA; see [`Inbound::open`]. For the SAs of a table, see
    /// [`Sad::open_batch`](crate::Sad::open_batch).
    pub fn open_batch(&mut self, jobs: &mut [OpenJob<'_>]) {
        let count = jobs.len();
        let mut jobs = jobs.iter_mut().map(|job| (0, job));
        open_all(&mut Own(core::slice::from_mut(self)), count, &mut jobs);
    }
}

/// Seals datagrams with SAs of the caller's own table; each job comes with the place of its SA there, and one whose SA is
/// not there is passed over. See [`Sad::seal_batch`](crate::Sad::seal_batch).
pub fn seal_batch(sas: &mut [Outbound], jobs: &mut [(usize, SealJob<'_>)]) {
    let (count, jobs_len) = (sas.len(), jobs.len());
    let mut jobs = jobs.iter_mut().map(|(sa, job)| (*sa, job)).filter(|(sa, _)| *sa < count);
    seal_all(&mut Own(sas), jobs_len, &mut jobs);
}

/// Opens packets with SAs of the caller's own table; each job comes with the place of its SA there, and one whose SA is not
/// there is passed over. See [`Sad::open_batch`](crate::Sad::open_batch).
pub fn open_batch(sas: &mut [Inbound], jobs: &mut [(usize, OpenJob<'_>)]) {
    let (count, jobs_len) = (sas.len(), jobs.len());
    let mut jobs = jobs.iter_mut().map(|(sa, job)| (*sa, job)).filter(|(sa, _)| *sa < count);
    open_all(&mut Own(sas), jobs_len, &mut jobs);
}

/// Fewer jobs than this are done one after the other: side by side, short ones would take longer.
fn few(backend: Backend) -> usize {
    if backend == Backend::PORTABLE { 5 } else { 3 }
}

/// Where the SAs of a batch are.
pub(super) trait Table<Sa, E> {
    fn backend(&self) -> Backend;

    /// Whether it is worth while to fetch SAs ahead.
    fn is_far(&self) -> bool {
        false
    }

    /// What the SA of a packet is looked up by; has the place fetched where that begins.
    fn hash(&self, _packet: &[u8]) -> u64 {
        0
    }

    /// Has the SA fetched that is looked up by this.
    fn prefetch(&self, _hash: u64) {}

    /// The datagram in a job, and the slot of its SA; `hint` came with the job.
    fn find(&mut self, hint: usize, packet: &[u8]) -> Result<(Datagram, u32), E>;

    fn get(&self, slot: u32) -> Option<&Sa>;

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Sa, Option<InboundId>)>;
}

/// SAs of the caller's own.
struct Own<'a, Sa>(&'a mut [Sa]);

impl Table<Outbound, SealError> for Own<'_, Outbound> {
    fn backend(&self) -> Backend {
        self.0.first().map_or(Backend::PORTABLE, Outbound::backend)
    }

    #[inline(always)]
    fn find(&mut self, hint: usize, packet: &[u8]) -> Result<(Datagram, u32), SealError> {
        // Every job has been looked at for this.
        let sa = self.0.get_mut(hint).ok_or(SealError::TooLong(packet.len()))?;
        let result = sa.read(packet);
        Ok((sa.count(result)?, hint as u32))
    }

    fn get(&self, slot: u32) -> Option<&Outbound> {
        self.0.get(slot as usize)
    }

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Outbound, Option<InboundId>)> {
        self.0.get_mut(slot as usize).map(|sa| (sa, None))
    }
}

impl Table<Inbound, OpenError> for Own<'_, Inbound> {
    fn backend(&self) -> Backend {
        self.0.first().map_or(Backend::PORTABLE, Inbound::backend)
    }

    #[inline(always)]
    fn find(&mut self, hint: usize, packet: &[u8]) -> Result<(Datagram, u32), OpenError> {
        Ok((read(packet)?, hint as u32))
    }

    fn get(&self, slot: u32) -> Option<&Inbound> {
        self.0.get(slot as usize)
    }

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Inbound, Option<InboundId>)> {
        self.0.get_mut(slot as usize).map(|sa| (sa, None))
    }
}

/// Seals all jobs, of which there are `count` at most.
pub(super) fn seal_all<'j, 'b: 'j>(
    table: &mut impl Table<Outbound, SealError>,
    count: usize,
    jobs: &mut impl Iterator<Item = (usize, &'j mut SealJob<'b>)>,
) {
    if count < few(table.backend()) {
        while seal_tile::<1>(table, jobs) {}
    } else if count <= SMALL_TILE {
        seal_tile::<SMALL_TILE>(table, jobs);
    } else {
        while seal_tile::<TILE>(table, jobs) {}
    }
}

/// Seals the next jobs, as many as are looked at together. False if there are no more.
fn seal_tile<'j, 'b: 'j, const N: usize>(
    table: &mut impl Table<Outbound, SealError>,
    jobs: &mut impl Iterator<Item = (usize, &'j mut SealJob<'b>)>,
) -> bool {
    let mut taken: [_; N] = array::from_fn(|_| jobs.find(|(_, job)| job.result.is_none()));
    let more = taken.iter().any(Option::is_some);
    fetch_ahead(table, taken.each_ref().map(|job| job.as_ref().map(|(_, job)| &job.place)));
    let mut begun = [const { None }; N];
    for (begun, job) in begun.iter_mut().zip(&mut taken) {
        let Some((hint, job)) = job.take() else { continue };
        let SealJob { place, result } = job;
        match begin(table, hint, place) {
            Ok((slot, sealed, esp)) => {
                *result = Some(Ok(sealed));
                *begun = Some((slot, esp));
            }
            Err(error) => *result = Some(Err(error)),
        }
    }
    let mut packets = [const { None }; N];
    for (packet, begun) in packets.iter_mut().zip(&mut begun) {
        let Some((slot, esp)) = begun.take() else { continue };
        match table.get(slot) {
            Some(sa) => *packet = Some(Sealing { keys: sa.keys(), esp }),
            // The SA was there a moment ago. Should it ever not be, nothing leaves in clear.
            None => esp.fill(0),
        }
    }
    protect_all(table.backend(), &mut packets);
    more
}

/// First the places where all SAs are looked up, then the SAs: so many wait for memory together.
#[inline]
fn fetch_ahead<Sa, E, const N: usize>(table: &impl Table<Sa, E>, places: [Option<&Place<'_>>; N]) {
    if table.is_far() {
        let hashes = places.map(|place| place.map(|place| table.hash(place.packet())));
        hashes.into_iter().flatten().for_each(|hash| table.prefetch(hash));
    }
}

/// Does all but encipher and authenticate; returns the slot of the SA, and the packet that is left to be protected.
#[inline(always)]
fn begin<'p>(
    table: &mut impl Table<Outbound, SealError>,
    hint: usize,
    place: &'p mut Place<'_>,
) -> Result<(u32, Sealed, &'p mut [u8]), SealError> {
    let (datagram, slot) = table.find(hint, place.packet())?;
    let (sa, _) = table.get_mut(slot).ok_or(SealError::TooLong(0))?;
    let begun = match place {
        Place::Apart { packet, out } => sa.begin(&datagram, packet, out),
        Place::InPlace { buffer, range } => sa.begin_in_place(&datagram, buffer, range.start),
    };
    let (sealed, esp) = sa.count(begun)?;
    Ok((slot, sealed, esp))
}

/// Opens all jobs, of which there are `count` at most.
pub(super) fn open_all<'j, 'b: 'j>(
    table: &mut impl Table<Inbound, OpenError>,
    count: usize,
    jobs: &mut impl Iterator<Item = (usize, &'j mut OpenJob<'b>)>,
) {
    if count < few(table.backend()) {
        while open_tile::<1>(table, jobs) {}
    } else if count <= SMALL_TILE {
        open_tile::<SMALL_TILE>(table, jobs);
    } else {
        while open_tile::<TILE>(table, jobs) {}
    }
}

/// Opens the next jobs, as many as are looked at together. False if there are no more.
fn open_tile<'j, 'b: 'j, const N: usize>(
    table: &mut impl Table<Inbound, OpenError>,
    jobs: &mut impl Iterator<Item = (usize, &'j mut OpenJob<'b>)>,
) -> bool {
    let mut taken: [_; N] = array::from_fn(|_| jobs.find(|(_, job)| job.result.is_none()));
    let more = taken.iter().any(Option::is_some);
    fetch_ahead(table, taken.each_ref().map(|job| job.as_ref().map(|(_, job)| &job.place)));
    let mut admitted = [const { None }; N];
    for (admitted, job) in admitted.iter_mut().zip(&mut taken) {
        let Some((hint, job)) = job.take() else { continue };
        match admit(table, hint, job.place.packet()) {
            Ok((slot, datagram, numbers)) => *admitted = Some((slot, datagram, numbers, job)),
            Err(error) => job.result = Some(Err(error)),
        }
    }
    let mut packets = [None; N];
    for (packet, admitted) in packets.iter_mut().zip(&admitted) {
        let Some((slot, datagram, numbers, job)) = admitted else { continue };
        if let Some(sa) = table.get(*slot).filter(|sa| sa.may_accept(numbers.0)) {
            *packet = Some(Verifying { keys: sa.keys(), esp: datagram.payload(job.place.packet()) });
        }
    }
    let verified = verify_all(table.backend(), &packets);
    for (admitted, authentic) in admitted.iter_mut().zip(verified) {
        let Some((slot, datagram, numbers, job)) = admitted else { continue };
        let Some((sa, id)) = table.get_mut(*slot) else { continue };
        let OpenJob { place, result, sa: over } = &mut **job;
        let opened = match place {
            Place::Apart { packet, out } => sa.open_verified(datagram, packet, out, *numbers, authentic),
            Place::InPlace { buffer, .. } => sa.open_verified_in_place(datagram, buffer, *numbers, authentic),
        };
        *over = id.filter(|_| opened.is_ok());
        *result = Some(opened);
    }
    more
}

/// What is looked at before the ICV; returns the slot of the SA, the headers, and what [`Inbound::admit`] found.
#[inline(always)]
fn admit(
    table: &mut impl Table<Inbound, OpenError>,
    hint: usize,
    packet: &[u8],
) -> Result<(u32, Datagram, (u32, usize)), OpenError> {
    let (datagram, slot) = table.find(hint, packet)?;
    let (sa, _) = table.get_mut(slot).ok_or(OpenError::NoSa(0))?;
    let numbers = sa.admit(&datagram, datagram.payload(packet))?;
    Ok((slot, datagram, numbers))
}

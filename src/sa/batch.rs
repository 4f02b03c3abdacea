//! Many packets at once: the same checks in the same order and the same results as one at a time, and the ciphers and
//! hashes of all of them side by side.

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
        seal_all(&mut Own(core::slice::from_mut(self)), jobs);
    }
}

impl Inbound {
    /// Opens many packets, all of them of this SA; see [`Inbound::open`]. For the SAs of a table, see
    /// [`Sad::open_batch`](crate::Sad::open_batch).
    pub fn open_batch(&mut self, jobs: &mut [OpenJob<'_>]) {
        open_all(&mut Own(core::slice::from_mut(self)), jobs);
    }
}

/// Seals datagrams with SAs of the caller's own table; each job comes with the place of its SA there, and one whose SA is
/// not there is passed over. See [`Sad::seal_batch`](crate::Sad::seal_batch).
pub fn seal_batch(sas: &mut [Outbound], jobs: &mut [(usize, SealJob<'_>)]) {
    seal_all(&mut Own(sas), jobs);
}

/// Opens packets with SAs of the caller's own table; each job comes with the place of its SA there, and one whose SA is not
/// there is passed over. See [`Sad::open_batch`](crate::Sad::open_batch).
pub fn open_batch(sas: &mut [Inbound], jobs: &mut [(usize, OpenJob<'_>)]) {
    open_all(&mut Own(sas), jobs);
}

/// Fewer jobs than this are done one after the other: side by side, short ones would take longer.
fn few(backend: Backend) -> usize {
    if backend == Backend::PORTABLE { 5 } else { 3 }
}

/// What is done in batches.
pub(super) trait Input {
    /// The packet that is to be done.
    fn input(&self) -> &[u8];
}

impl Input for SealJob<'_> {
    fn input(&self) -> &[u8] {
        self.place.packet()
    }
}

impl Input for OpenJob<'_> {
    fn input(&self) -> &[u8] {
        self.place.packet()
    }
}

/// A job, perhaps with the place of its SA.
pub(super) trait Job<T> {
    /// The place of its SA in a slice, if it has one, and the job.
    fn parts(&mut self) -> (Option<usize>, &mut T);

    fn job(&self) -> &T;
}

impl<T> Job<T> for T {
    #[inline(always)]
    fn parts(&mut self) -> (Option<usize>, &mut T) {
        (None, self)
    }

    #[inline(always)]
    fn job(&self) -> &T {
        self
    }
}

impl<T> Job<T> for (usize, T) {
    #[inline(always)]
    fn parts(&mut self) -> (Option<usize>, &mut T) {
        (Some(self.0), &mut self.1)
    }

    #[inline(always)]
    fn job(&self) -> &T {
        &self.1
    }
}

/// Where the SAs of a batch are.
pub(super) trait Table<Sa, E> {
    fn backend(&self) -> Backend;

    /// Whether there is an SA at the place that a job came with.
    fn has(&self, _place: usize) -> bool {
        true
    }

    /// Whether it is worth while to fetch SAs ahead.
    fn is_far(&self) -> bool {
        false
    }

    /// What the SA of a packet is looked up by.
    fn hash(&self, _packet: &[u8]) -> u64 {
        0
    }

    /// Has that part of an index fetched where SAs are looked up by these.
    fn prefetch_index(&self, _hashes: &[u64]) {}

    /// Where the SA probably is that is looked up by this.
    fn place(&self, _hash: u64) -> usize {
        0
    }

    /// Has the SAs fetched that are at these places.
    fn prefetch(&self, _places: &[usize]) {}

    /// The datagram in a job, and the slot of its SA. `place` is where that is, or probably is.
    fn find(&mut self, place: usize, packet: &[u8]) -> Result<(Datagram, u32), E>;

    fn get(&self, slot: u32) -> Option<&Sa>;

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Sa, Option<InboundId>)>;
}

/// SAs of the caller's own.
struct Own<'a, Sa>(&'a mut [Sa]);

impl Table<Outbound, SealError> for Own<'_, Outbound> {
    fn backend(&self) -> Backend {
        self.0.first().map_or(Backend::PORTABLE, Outbound::backend)
    }

    fn has(&self, place: usize) -> bool {
        place < self.0.len()
    }

    #[inline(always)]
    fn find(&mut self, place: usize, packet: &[u8]) -> Result<(Datagram, u32), SealError> {
        // Every job has been looked at for this.
        let sa = self.0.get_mut(place).ok_or(SealError::TooLong(packet.len()))?;
        let result = sa.read(packet);
        Ok((sa.count(result)?, place as u32))
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

    fn has(&self, place: usize) -> bool {
        place < self.0.len()
    }

    #[inline(always)]
    fn find(&mut self, place: usize, packet: &[u8]) -> Result<(Datagram, u32), OpenError> {
        Ok((read(packet)?, place as u32))
    }

    fn get(&self, slot: u32) -> Option<&Inbound> {
        self.0.get(slot as usize)
    }

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Inbound, Option<InboundId>)> {
        self.0.get_mut(slot as usize).map(|sa| (sa, None))
    }
}

/// Seals all jobs.
pub(super) fn seal_all<'b, J: Job<SealJob<'b>>>(table: &mut impl Table<Outbound, SealError>, jobs: &mut [J]) {
    if jobs.len() < few(table.backend()) {
        in_tiles(table, jobs, seal_tile::<1, _, _>);
    } else if jobs.len() <= SMALL_TILE || table.is_far() {
        in_tiles(table, jobs, seal_tile::<SMALL_TILE, _, _>);
    } else {
        in_tiles(table, jobs, seal_tile::<TILE, _, _>);
    }
}

/// Seals as many jobs as are looked at together. `ahead` tells where their SAs probably are, and then where those of the
/// next ones are.
#[inline(always)]
fn seal_tile<'b, const N: usize, B: Table<Outbound, SealError>, J: Job<SealJob<'b>>>(
    table: &mut B,
    jobs: &mut [J],
    ahead: &mut Ahead<N>,
    later: &[J],
) {
    let places = ahead.places;
    ahead.look_up(table, later.get(N..).unwrap_or_default());
    let mut begun = [const { None }; N];
    for ((begun, job), sa) in begun.iter_mut().zip(jobs).zip(places) {
        let (own, SealJob { place, result }) = job.parts();
        let sa = own.unwrap_or(sa);
        if result.is_some() || !table.has(sa) {
            continue;
        }
        match begin(table, sa, place, result) {
            Ok(packet) => *begun = Some(packet),
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
    ahead.fetch(table, later);
    protect_all(table.backend(), &mut packets);
}

/// Does the jobs, as many as are looked at together, and so on.
#[inline(always)]
fn in_tiles<const N: usize, Sa, E, B: Table<Sa, E>, T: Input, J: Job<T>>(
    table: &mut B,
    mut jobs: &mut [J],
    tile: impl Fn(&mut B, &mut [J], &mut Ahead<N>, &[J]),
) {
    let mut ahead = Ahead::of(table, jobs);
    while !jobs.is_empty() {
        let (now, later) = jobs.split_at_mut(N.min(jobs.len()));
        tile(table, now, &mut ahead, later);
        jobs = later;
    }
}

/// What is fetched while other jobs are done: first the places where SAs are looked up, then the SAs, so that many wait for
/// memory together, and it is there when they are needed. Nothing, where that is not worth while.
struct Ahead<const N: usize> {
    /// Where the SAs of this tile probably are.
    places: [usize; N],
    /// What the SAs of the next tile are looked up by, and those of the one behind it.
    next: [u64; N],
    after: [u64; N],
}

impl<const N: usize> Ahead<N> {
    /// Before the first tile. While memory is waited for, the jobs behind it are looked at.
    #[inline(always)]
    fn of<Sa, E, T: Input>(table: &impl Table<Sa, E>, jobs: &[impl Job<T>]) -> Self {
        let mut ahead = Self { places: [0; N], next: [0; N], after: [0; N] };
        ahead.look_up(table, jobs);
        ahead.next = ahead.after;
        ahead.look_up(table, jobs.get(N..).unwrap_or_default());
        ahead.fetch(table, jobs);
        ahead
    }

    /// Has the places fetched where the SAs of the first jobs will be looked up.
    #[inline(always)]
    fn look_up<Sa, E, T: Input>(&mut self, table: &impl Table<Sa, E>, jobs: &[impl Job<T>]) {
        if table.is_far() {
            for (hash, job) in self.after.iter_mut().zip(jobs) {
                *hash = table.hash(job.job().input());
            }
            table.prefetch_index(self.after.get(..jobs.len().min(N)).unwrap_or_default());
        }
    }

    /// Has the SAs fetched of the first jobs, which are those of the next tile.
    #[inline(always)]
    fn fetch<Sa, E, T: Input>(&mut self, table: &impl Table<Sa, E>, jobs: &[impl Job<T>]) {
        if table.is_far() {
            let len = jobs.len().min(N);
            for (place, hash) in self.places.iter_mut().zip(self.next).take(len) {
                *place = table.place(hash);
            }
            table.prefetch(self.places.get(..len).unwrap_or_default());
            self.next = self.after;
        }
    }
}

/// Does all but encipher and authenticate; returns the slot of the SA, and the packet that is left to be protected.
#[inline(always)]
fn begin<'p>(
    table: &mut impl Table<Outbound, SealError>,
    sa: usize,
    place: &'p mut Place<'_>,
    result: &mut Option<Result<Sealed, SealError>>,
) -> Result<(u32, &'p mut [u8]), SealError> {
    let (datagram, slot) = table.find(sa, place.packet())?;
    let (sa, _) = table.get_mut(slot).ok_or(SealError::TooLong(0))?;
    let numbered = sa.sequence();
    let sequence = sa.count(numbered)?;
    let laid_out = match place {
        Place::Apart { packet, out } => sa.lay_out(&datagram, packet, out, (sequence, None)),
        Place::InPlace { buffer, range } => sa.lay_out_in_place(&datagram, buffer, range.start, sequence),
    };
    let (range, esp) = sa.count(laid_out)?;
    // Made where it stays: a processor waits where it copies by whole words what it has just written in parts.
    *result = Some(Ok(sa.sent(range, sequence, (datagram.payload_len(), esp.len()))));
    Ok((slot, esp))
}

/// Opens all jobs.
pub(super) fn open_all<'b, J: Job<OpenJob<'b>>>(table: &mut impl Table<Inbound, OpenError>, jobs: &mut [J]) {
    if jobs.len() < few(table.backend()) {
        in_tiles(table, jobs, open_tile::<1, _, _>);
    } else if jobs.len() <= SMALL_TILE || table.is_far() {
        in_tiles(table, jobs, open_tile::<SMALL_TILE, _, _>);
    } else {
        in_tiles(table, jobs, open_tile::<TILE, _, _>);
    }
}

/// Opens as many jobs as are looked at together. `ahead` tells where their SAs probably are, and then where those of the
/// next ones are.
#[inline(always)]
fn open_tile<'b, const N: usize, B: Table<Inbound, OpenError>, J: Job<OpenJob<'b>>>(
    table: &mut B,
    jobs: &mut [J],
    ahead: &mut Ahead<N>,
    later: &[J],
) {
    let places = ahead.places;
    ahead.look_up(table, later.get(N..).unwrap_or_default());
    let mut admitted = [const { None }; N];
    for ((admitted, job), sa) in admitted.iter_mut().zip(jobs.iter_mut()).zip(places) {
        let (own, job) = job.parts();
        let sa = own.unwrap_or(sa);
        if job.result.is_some() || !table.has(sa) {
            continue;
        }
        match admit(table, sa, job.place.packet()) {
            Ok(found) => *admitted = Some(found),
            Err(error) => job.result = Some(Err(error)),
        }
    }
    let mut packets = [None; N];
    for ((packet, admitted), job) in packets.iter_mut().zip(&admitted).zip(jobs.iter()) {
        let Some((slot, datagram, numbers)) = admitted else { continue };
        if let Some(sa) = table.get(*slot).filter(|sa| sa.may_accept(numbers.0)) {
            *packet = Some(Verifying { keys: sa.keys(), esp: datagram.payload(job.job().input()) });
        }
    }
    ahead.fetch(table, later);
    let verified = verify_all(table.backend(), &packets);
    for ((admitted, authentic), job) in admitted.iter().zip(verified).zip(jobs) {
        let Some((slot, datagram, numbers)) = admitted else { continue };
        let Some((sa, id)) = table.get_mut(*slot) else { continue };
        let (_, OpenJob { place, result, sa: over }) = job.parts();
        let (opened, in_place) = match place {
            Place::Apart { packet, out } => {
                (sa.open_verified(datagram, packet, out, *numbers, authentic), false)
            }
            Place::InPlace { buffer, .. } => {
                (sa.open_verified_in_place(datagram, buffer, *numbers, authentic), true)
            }
        };
        *over = id.filter(|_| opened.is_ok());
        // Made where it stays: a processor waits where it copies by whole words what it has just written in parts.
        *result = Some(match opened {
            Ok(len) if in_place => Ok(sa.opened_in_place(len, numbers.0)),
            Ok(len) => Ok(sa.opened(len, numbers.0)),
            Err(error) => Err(error),
        });
    }
}

/// What is looked at before the ICV; returns the slot of the SA, the headers, and what [`Inbound::admit`] found.
#[inline(always)]
fn admit(
    table: &mut impl Table<Inbound, OpenError>,
    sa: usize,
    packet: &[u8],
) -> Result<(u32, Datagram, (u32, usize)), OpenError> {
    let (datagram, slot) = table.find(sa, packet)?;
    let (sa, _) = table.get_mut(slot).ok_or(OpenError::NoSa(0))?;
    let numbers = sa.admit(&datagram, packet)?;
    Ok((slot, datagram, numbers))
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;

    /// A table without SAs that keeps account of what is asked of it. A packet is a number, which is what it is looked up by.
    #[derive(Default)]
    struct Account {
        looked_up: RefCell<Vec<usize>>,
        fetched: RefCell<Vec<usize>>,
        /// Where an SA was looked for, and whether it had been fetched, and others since, by then.
        found: Vec<(usize, usize, bool)>,
    }

    const PLACE: usize = 1000;

    impl Table<Outbound, SealError> for Account {
        fn backend(&self) -> Backend {
            Backend::PORTABLE
        }

        fn is_far(&self) -> bool {
            true
        }

        fn hash(&self, packet: &[u8]) -> u64 {
            packet[0].into()
        }

        fn prefetch_index(&self, hashes: &[u64]) {
            self.looked_up.borrow_mut().extend(hashes.iter().map(|hash| *hash as usize));
        }

        fn place(&self, hash: u64) -> usize {
            assert!(self.looked_up.borrow().contains(&(hash as usize)), "{hash} has not been looked up");
            hash as usize + PLACE
        }

        fn prefetch(&self, places: &[usize]) {
            self.fetched.borrow_mut().extend(places);
        }

        fn find(&mut self, place: usize, packet: &[u8]) -> Result<(Datagram, u32), SealError> {
            self.found.push((packet[0].into(), place, self.fetched.borrow().contains(&place)));
            Err(SealError::TooLong(0))
        }

        fn get(&self, _: u32) -> Option<&Outbound> {
            None
        }

        fn get_mut(&mut self, _: u32) -> Option<(&mut Outbound, Option<InboundId>)> {
            None
        }
    }

    #[test]
    fn every_sa_is_looked_up_and_fetched_once_and_before_it_is_needed() {
        for count in 0..=70 {
            let packets: Vec<_> = (0..count).map(|n| [n as u8]).collect();
            let mut jobs: Vec<_> = packets.iter().map(|packet| SealJob::new(packet, &mut [])).collect();
            let mut table = Account::default();
            seal_all(&mut table, &mut jobs);
            let all: Vec<_> = (0..count).collect();
            let places: Vec<_> = (PLACE..PLACE + count).collect();
            let found: Vec<_> = all.iter().map(|n| (*n, n + PLACE, true)).collect();
            assert_eq!((table.looked_up.take(), table.fetched.take(), table.found), (all, places, found));
        }
    }
}

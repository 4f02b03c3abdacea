//! Many packets at once: the same checks in the same order and the same results as one at a time, and the ciphers and
//! hashes of all of them side by side.

use core::ops::Range;

use super::inbound::{Inbound, OpenError, Opened, read};
use super::outbound::{Outbound, SealError, Sealed};
use super::sad::InboundId;
use crate::esp::batch::{SMALL_TILE, Sealing, TILE, Verifying, protect_all, verify_all};
use crate::esp::ip::Datagram;
use crate::esp::{Authentic, Backend};

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

    /// [`Table::find`] for a datagram that has been read; nothing is counted.
    fn select(&self, place: usize, datagram: &Datagram, packet: &[u8]) -> Option<u32>;

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

    #[inline(always)]
    fn select(&self, place: usize, datagram: &Datagram, packet: &[u8]) -> Option<u32> {
        self.0.get(place)?.wire().covers(datagram, packet).then_some(place as u32)
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

    #[inline(always)]
    fn select(&self, place: usize, _: &Datagram, _: &[u8]) -> Option<u32> {
        Some(place as u32)
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
    let mut all_begun = true;
    for ((begun, job), sa) in begun.iter_mut().zip(jobs.iter_mut()).zip(places) {
        let (own, SealJob { place, result }) = job.parts();
        let sa = own.unwrap_or(sa);
        if result.is_some() || !table.has(sa) {
            continue;
        }
        all_begun &= begin(table, sa, place, result, begun).is_some();
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
    if !all_begun {
        seal_rest(table, jobs, places);
    }
}

/// Does the jobs one by one that have no result: something is wrong with each, and each is told what.
#[cold]
#[inline(never)]
fn seal_rest<'b, const N: usize>(
    table: &mut impl Table<Outbound, SealError>,
    jobs: &mut [impl Job<SealJob<'b>>],
    places: [usize; N],
) {
    for (job, sa) in jobs.iter_mut().zip(places) {
        let (own, SealJob { place, result }) = job.parts();
        let sa = own.unwrap_or(sa);
        if result.is_none() && table.has(sa) {
            *result = Some(seal_alone(table, sa, place));
        }
    }
}

fn seal_alone(
    table: &mut impl Table<Outbound, SealError>,
    sa: usize,
    place: &mut Place<'_>,
) -> Result<Sealed, SealError> {
    let (datagram, slot) = table.find(sa, place.packet())?;
    let (sa, _) = table.get_mut(slot).ok_or(SealError::TooLong(0))?;
    let sealed = match place {
        Place::Apart { packet, out } => sa.seal_admitted(&datagram, packet, out),
        Place::InPlace { buffer, range } => sa.seal_admitted_in_place(&datagram, buffer, range.start),
    };
    sa.count(sealed)
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

/// Does all but encipher and authenticate. `begun` is the slot of the SA, and the packet that is left to be protected. `None`
/// if something is wrong: nothing has changed then.
#[inline(never)]
fn begin<'p>(
    table: &mut impl Table<Outbound, SealError>,
    sa: usize,
    place: &'p mut Place<'_>,
    result: &mut Option<Result<Sealed, SealError>>,
    begun: &mut Option<(u32, &'p mut [u8])>,
) -> Option<()> {
    // The same for each kind of headers: where the compiler knows which it is, it leaves out what the others need.
    let packet = place.packet();
    *begun = Some(match Datagram::parse_bare_ipv4(packet) {
        Some(datagram) => {
            let slot = table.select(sa, &datagram, packet)?;
            begin_selected(table, slot, &datagram, place, result)?
        }
        None => begin_other(table, sa, place, result)?,
    });
    Some(())
}

/// [`begin`] for what is not IPv4 without options.
#[inline(never)]
fn begin_other<'p>(
    table: &mut impl Table<Outbound, SealError>,
    sa: usize,
    place: &'p mut Place<'_>,
    result: &mut Option<Result<Sealed, SealError>>,
) -> Option<(u32, &'p mut [u8])> {
    let packet = place.packet();
    match Datagram::parse_bare_ipv6(packet) {
        Some(datagram) => {
            let slot = table.select(sa, &datagram, packet)?;
            begin_selected(table, slot, &datagram, place, result)
        }
        None => {
            let datagram = Datagram::parse_plain(packet).ok()?;
            let slot = table.select(sa, &datagram, packet)?;
            begin_selected(table, slot, &datagram, place, result)
        }
    }
}

#[inline(always)]
fn begin_selected<'p>(
    table: &mut impl Table<Outbound, SealError>,
    slot: u32,
    datagram: &Datagram,
    place: &'p mut Place<'_>,
    result: &mut Option<Result<Sealed, SealError>>,
) -> Option<(u32, &'p mut [u8])> {
    let (sa, _) = table.get_mut(slot)?;
    let sequence = sa.next_sequence()?;
    let laid_out = match place {
        Place::Apart { packet, out } => sa.lay_out(datagram, packet, out, (sequence, None)),
        Place::InPlace { buffer, range } => sa.lay_out_in_place(datagram, buffer, range.start, sequence),
    };
    let (range, esp) = laid_out.ok()?;
    // Made where it stays: a processor waits where it copies by whole words what it has just written in parts.
    *result = Some(Ok(sa.sent(range, sequence, (datagram.payload_len(), esp.len()))));
    Some((slot, esp))
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
    let mut all_admitted = true;
    for ((admitted, job), sa) in admitted.iter_mut().zip(jobs.iter_mut()).zip(places) {
        let (own, job) = job.parts();
        let sa = own.unwrap_or(sa);
        if job.result.is_none() && table.has(sa) {
            all_admitted &= admit(table, sa, job.place.packet(), admitted).is_some();
        }
    }
    let mut packets = [None; N];
    for ((packet, admitted), job) in packets.iter_mut().zip(&admitted).zip(jobs.iter()) {
        let Some(Admitted { slot, datagram, numbers }) = admitted else { continue };
        if let Some(sa) = table.get(*slot).filter(|sa| sa.may_accept(numbers.0)) {
            *packet = Some(Verifying { keys: sa.keys(), esp: datagram.payload(job.job().input()) });
        }
    }
    ahead.fetch(table, later);
    let verified = verify_all(table.backend(), &packets);
    for ((admitted, authentic), job) in admitted.iter().zip(verified).zip(jobs.iter_mut()) {
        if let Some(admitted) = admitted {
            deliver(table, admitted, authentic, job.parts().1);
        }
    }
    if !all_admitted {
        open_rest(table, jobs, places);
    }
}

/// Opens the jobs one by one that have no result: something is wrong with each, and each is told what.
#[cold]
#[inline(never)]
fn open_rest<'b, const N: usize>(
    table: &mut impl Table<Inbound, OpenError>,
    jobs: &mut [impl Job<OpenJob<'b>>],
    places: [usize; N],
) {
    for (job, sa) in jobs.iter_mut().zip(places) {
        let (own, OpenJob { place, result, sa: over }) = job.parts();
        let sa = own.unwrap_or(sa);
        if result.is_none() && table.has(sa) {
            *result = Some(open_alone(table, sa, place, over));
        }
    }
}

fn open_alone(
    table: &mut impl Table<Inbound, OpenError>,
    sa: usize,
    place: &mut Place<'_>,
    over: &mut Option<InboundId>,
) -> Result<Opened, OpenError> {
    let (datagram, slot) = table.find(sa, place.packet())?;
    let (sa, id) = table.get_mut(slot).ok_or(OpenError::NoSa(0))?;
    let opened = match place {
        Place::Apart { packet, out } => sa.open_parsed(&datagram, packet, out)?,
        Place::InPlace { buffer, .. } => sa.open_parsed_in_place(&datagram, buffer)?,
    };
    *over = id;
    Ok(opened)
}

/// A packet that may be verified.
struct Admitted {
    /// Of its SA.
    slot: u32,
    datagram: Datagram,
    /// What [`Inbound::examine`] found.
    numbers: (u32, usize),
}

/// Looks at what is looked at before the ICV. `None` if something is wrong. Nothing changes.
#[inline(never)]
fn admit(
    table: &impl Table<Inbound, OpenError>,
    sa: usize,
    packet: &[u8],
    admitted: &mut Option<Admitted>,
) -> Option<()> {
    *admitted = Some(match Datagram::parse_bare_ipv4(packet) {
        Some(datagram) if datagram.has_right_checksum(packet) => admit_parsed(table, sa, datagram, packet)?,
        Some(_) => return None,
        None => admit_other(table, sa, packet)?,
    });
    Some(())
}

/// [`admit`] for what is not IPv4 without options.
#[inline(never)]
fn admit_other(table: &impl Table<Inbound, OpenError>, sa: usize, packet: &[u8]) -> Option<Admitted> {
    match Datagram::parse_bare_ipv6(packet) {
        Some(datagram) => admit_parsed(table, sa, datagram, packet),
        None => admit_parsed(table, sa, Datagram::parse_received(packet).ok()?, packet),
    }
}

#[inline(always)]
fn admit_parsed(
    table: &impl Table<Inbound, OpenError>,
    sa: usize,
    datagram: Datagram,
    packet: &[u8],
) -> Option<Admitted> {
    if !datagram.is_esp() {
        return None;
    }
    let slot = table.select(sa, &datagram, packet)?;
    let numbers = table.get(slot)?.examine(&datagram, packet).ok()?;
    Some(Admitted { slot, datagram, numbers })
}

/// Does what is left to be done with a packet whose ICV has been compared.
#[inline(never)]
fn deliver(
    table: &mut impl Table<Inbound, OpenError>,
    admitted: &Admitted,
    authentic: Option<Authentic>,
    job: &mut OpenJob<'_>,
) {
    let Some((sa, id)) = table.get_mut(admitted.slot) else { return };
    match admitted.datagram.to_bare_ipv4() {
        Some(datagram) => deliver_parsed((sa, id), &datagram, admitted.numbers, authentic, job),
        None => deliver_parsed((sa, id), &admitted.datagram, admitted.numbers, authentic, job),
    }
}

#[inline(always)]
fn deliver_parsed(
    (sa, id): (&mut Inbound, Option<InboundId>),
    datagram: &Datagram,
    numbers: (u32, usize),
    authentic: Option<Authentic>,
    job: &mut OpenJob<'_>,
) {
    let OpenJob { place, result, sa: over } = job;
    let (opened, in_place) = match place {
        Place::Apart { packet, out } => (sa.open_verified(datagram, packet, out, numbers, authentic), false),
        Place::InPlace { buffer, .. } => {
            (sa.open_verified_in_place(datagram, buffer, numbers, authentic), true)
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

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;

    /// A table without SAs that keeps account of what is asked of it. A packet has a number, which is what it is looked up by.
    #[derive(Default)]
    struct Account {
        looked_up: RefCell<Vec<usize>>,
        fetched: RefCell<Vec<usize>>,
        /// Where an SA was looked for, and whether it had been fetched, and others since, by then.
        found: RefCell<Vec<(usize, usize, bool)>>,
    }

    const PLACE: usize = 1000;

    /// An IPv4 datagram without a payload.
    fn datagram(number: u8) -> [u8; 20] {
        let mut octets = [0; 20];
        (octets[0], octets[3], octets[19]) = (0x45, 20, number);
        octets
    }

    fn number(packet: &[u8]) -> u8 {
        packet[19]
    }

    impl Table<Outbound, SealError> for Account {
        fn backend(&self) -> Backend {
            Backend::PORTABLE
        }

        fn is_far(&self) -> bool {
            true
        }

        fn hash(&self, packet: &[u8]) -> u64 {
            number(packet).into()
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

        fn find(&mut self, _: usize, _: &[u8]) -> Result<(Datagram, u32), SealError> {
            Err(SealError::TooLong(0))
        }

        fn select(&self, place: usize, _: &Datagram, packet: &[u8]) -> Option<u32> {
            let fetched = self.fetched.borrow().contains(&place);
            self.found.borrow_mut().push((number(packet).into(), place, fetched));
            None
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
            let packets: Vec<_> = (0..count).map(|n| datagram(n as u8)).collect();
            let mut jobs: Vec<_> = packets.iter().map(|packet| SealJob::new(packet, &mut [])).collect();
            let mut table = Account::default();
            seal_all(&mut table, &mut jobs);
            let all: Vec<_> = (0..count).collect();
            let places: Vec<_> = (PLACE..PLACE + count).collect();
            let found: Vec<_> = all.iter().map(|n| (*n, n + PLACE, true)).collect();
            assert_eq!(
                (table.looked_up.take(), table.fetched.take(), table.found.take()),
                (all, places, found)
            );
        }
    }
}

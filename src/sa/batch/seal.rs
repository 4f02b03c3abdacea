//! Many datagrams sealed: all are laid out, then encrypted and authenticated in parallel.

use super::super::outbound::{Fault, Outbound, SealError, Sealed};
use super::tiles::{Ahead, in_one_pass, in_tiles};
use super::{Buffers, Job, SealJob, Table};
use crate::esp::ip::Datagram;
use crate::esp::{Family, SMALL_TILE, Sealing, TILE, protect_all};
use crate::impossible::impossible;

/// Seals all jobs.
pub(in super::super) fn seal_all<'b, J: Job<SealJob<'b>>>(
    table: &mut impl Table<Outbound, SealError>,
    jobs: &mut [J],
) {
    let jobs = in_one_pass(table, jobs, seal_of_family::<false>, seal_near);
    if jobs.is_empty() {
        return;
    }
    if jobs.len() < table.backend().smallest_batch() {
        in_tiles(table, jobs, seal_tile::<1, _, _>);
    } else if jobs.len() <= SMALL_TILE || table.is_far() {
        in_tiles(table, jobs, seal_tile::<SMALL_TILE, _, _>);
    } else {
        in_tiles(table, jobs, seal_tile::<TILE, _, _>);
    }
}

/// Seals a job if its packet is one pass: with code for usual headers of IPv4, then with that for
/// usual ones of IPv6, then with that for all others.
#[inline(never)]
fn seal_of_family<const IS_IPV6: bool>(sa: &mut Outbound, job: &mut SealJob<'_>) -> bool {
    let family = if IS_IPV6 { Family::Ipv6 } else { Family::Ipv4 };
    let is_one_pass = sa.keys().one_pass().is_some();
    if is_one_pass && job.result.is_none() {
        let other = if IS_IPV6 { seal_any } else { seal_ipv6 };
        let sealed = match &mut job.buffers {
            Buffers::Apart { packet, out } => sa.seal_bare(family, packet, out),
            Buffers::InPlace { buffer, range } => sa.seal_bare_in_place(family, buffer, range.clone()),
        };
        match sealed {
            // Constructed in place: copying it would cause store-forwarding stalls.
            Some(Ok(Sealed { range, spi, sequence, warning })) => {
                job.result = Some(Ok(Sealed { range, spi, sequence, warning }));
            }
            Some(Err(Fault)) => job.result = Some(Err(SealError::Internal)),
            None => other(sa, job),
        }
    }
    is_one_pass
}

fn seal_ipv6(sa: &mut Outbound, job: &mut SealJob<'_>) {
    seal_of_family::<true>(sa, job);
}

/// Seals a job with an SA that is looked up, if its headers are usual and its packet is one pass.
#[inline(never)]
fn seal_near(table: &mut impl Table<Outbound, SealError>, job: &mut SealJob<'_>) -> Option<()> {
    if job.result.is_some() {
        return Some(());
    }
    match Datagram::parse_usual(Family::Ipv4, job.buffers.packet()) {
        Some(datagram) => seal_near_read(table, job, &datagram),
        None => seal_near_ipv6(table, job),
    }
}

#[inline(never)]
fn seal_near_ipv6(table: &mut impl Table<Outbound, SealError>, job: &mut SealJob<'_>) -> Option<()> {
    let datagram = Datagram::parse_usual(Family::Ipv6, job.buffers.packet())?;
    seal_near_read(table, job, &datagram)
}

#[inline(always)]
fn seal_near_read(
    table: &mut impl Table<Outbound, SealError>,
    SealJob { buffers, result }: &mut SealJob<'_>,
    datagram: &Datagram,
) -> Option<()> {
    let (sa, _) = table.get_mut(table.select(0, datagram, buffers.packet())?)?;
    sa.keys().one_pass()?;
    *result = Some(seal_selected(sa, datagram, buffers));
    Some(())
}

/// Seals a datagram that is known to be traffic of an SA.
#[inline(always)]
fn seal_selected(
    sa: &mut Outbound,
    datagram: &Datagram,
    buffers: &mut Buffers<'_>,
) -> Result<Sealed, SealError> {
    let sealed = match buffers {
        Buffers::Apart { packet, out } => sa.seal_admitted(datagram, packet, out),
        Buffers::InPlace { buffer, range } => sa.seal_admitted_in_place(datagram, buffer, range.start),
    };
    sa.count(sealed)
}

#[inline(never)]
fn seal_any(sa: &mut Outbound, job: &mut SealJob<'_>) {
    job.result = Some(match &mut job.buffers {
        Buffers::Apart { packet, out } => sa.seal_any(packet, out),
        Buffers::InPlace { buffer, range } => sa.seal_any_in_place(buffer, range.clone()),
    });
}

/// Seals one tile of jobs. `ahead` holds the probable positions of their SAs, and afterwards those
/// of the next tile.
#[inline(always)]
fn seal_tile<'b, const N: usize, B: Table<Outbound, SealError>, J: Job<SealJob<'b>>>(
    table: &mut B,
    jobs: &mut [J],
    ahead: &mut Ahead<N>,
    later: &[J],
) {
    let positions = ahead.positions;
    ahead.look_up(table, later.get(N..).unwrap_or_default());
    ahead.fetch_keys(table, jobs.len());
    // Now: what is one pass is sealed as soon as it is begun.
    ahead.fetch(table, later);
    let mut begun = [const { None }; N];
    let mut all_begun = true;
    for ((begun, job), sa) in begun.iter_mut().zip(jobs.iter_mut()).zip(positions) {
        let (own, SealJob { buffers, result }) = job.parts();
        let sa = own.unwrap_or(sa);
        if result.is_some() || !table.has(sa) {
            continue;
        }
        all_begun &= begin(table, sa, buffers, result, begun).is_some();
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
    if !all_begun {
        seal_rest(table, jobs, positions);
    }
}

/// Seals the jobs without a result one by one, so that each gets its error.
#[cold]
#[inline(never)]
fn seal_rest<'b, const N: usize>(
    table: &mut impl Table<Outbound, SealError>,
    jobs: &mut [impl Job<SealJob<'b>>],
    positions: [usize; N],
) {
    for (job, sa) in jobs.iter_mut().zip(positions) {
        let (own, SealJob { buffers, result }) = job.parts();
        let sa = own.unwrap_or(sa);
        if result.is_none() && table.has(sa) {
            *result = Some(seal_alone(table, sa, buffers));
        }
    }
}

fn seal_alone(
    table: &mut impl Table<Outbound, SealError>,
    sa: usize,
    buffers: &mut Buffers<'_>,
) -> Result<Sealed, SealError> {
    let (datagram, slot) = table.find(sa, buffers.packet())?;
    let (sa, _) = table.get_mut(slot).ok_or_else(|| impossible(SealError::Internal))?;
    seal_selected(sa, &datagram, buffers)
}

/// Everything except encryption and authentication. `begun` gets the slot of the SA, and the packet
/// that must still be protected, if it must. `None` if something is wrong: nothing has changed then
/// but perhaps the result.
#[inline(never)]
fn begin<'p>(
    table: &mut impl Table<Outbound, SealError>,
    sa: usize,
    buffers: &'p mut Buffers<'_>,
    result: &mut Option<Result<Sealed, SealError>>,
    begun: &mut Option<(u32, &'p mut [u8])>,
) -> Option<()> {
    // The same for each kind of headers, so that the compiler specialises each.
    let packet = buffers.packet();
    *begun = match Datagram::parse_usual(Family::Ipv4, packet) {
        Some(datagram) => {
            let slot = table.select(sa, &datagram, packet)?;
            begin_selected(table, slot, &datagram, buffers, result)?
        }
        None => begin_other(table, sa, buffers, result)?,
    };
    Some(())
}

/// [`begin`] for other headers than those of IPv4 without options.
#[inline(never)]
fn begin_other<'p>(
    table: &mut impl Table<Outbound, SealError>,
    sa: usize,
    buffers: &'p mut Buffers<'_>,
    result: &mut Option<Result<Sealed, SealError>>,
) -> Option<Option<(u32, &'p mut [u8])>> {
    let packet = buffers.packet();
    match Datagram::parse_bare_ipv6(packet) {
        Some(datagram) => {
            let slot = table.select(sa, &datagram, packet)?;
            begin_selected(table, slot, &datagram, buffers, result)
        }
        None => {
            let datagram = Datagram::parse_plain(packet).ok()?;
            let slot = table.select(sa, &datagram, packet)?;
            begin_selected(table, slot, &datagram, buffers, result)
        }
    }
}

#[inline(always)]
fn begin_selected<'p>(
    table: &mut impl Table<Outbound, SealError>,
    slot: u32,
    datagram: &Datagram,
    buffers: &'p mut Buffers<'_>,
    result: &mut Option<Result<Sealed, SealError>>,
) -> Option<Option<(u32, &'p mut [u8])>> {
    let (sa, _) = table.get_mut(slot)?;
    let sequence = sa.next_sequence()?;
    if sa.keys().one_pass().is_some() {
        // Nothing is left to be done together.
        *result = Some(seal_selected(sa, datagram, buffers));
        return Some(None);
    }
    let laid_out = match buffers {
        Buffers::Apart { packet, out } => sa.lay_out(datagram, packet, out, (sequence, None)),
        Buffers::InPlace { buffer, range } => sa.lay_out_in_place(datagram, buffer, range.start, sequence),
    };
    let (range, esp) = match laid_out {
        Ok(laid_out) => laid_out,
        Err(error) => {
            // Now, and not after the later jobs: these may use the last sequence number.
            *result = Some(sa.count(Err(error)));
            return None;
        }
    };
    // Constructed in place: copying it would cause store-forwarding stalls.
    *result = Some(Ok(sa.sent(range, sequence, (datagram.payload_len(), esp.len()))));
    Some(Some((slot, esp)))
}

//! Many packets opened: all are admitted, then verified in parallel, then decrypted and delivered
//! one after the other.

use super::super::inbound::{Inbound, OpenError, Opened, read_usual};
use super::tiles::{Ahead, in_one_pass, in_tiles};
use super::{Buffers, Input, Job, OpenJob, Table};
use crate::esp::ip::Datagram;
use crate::esp::{Authentic, Family, SMALL_TILE, TILE, Verifying, verify_all};
use crate::impossible::impossible;
use crate::sa::id::InboundId;

/// Opens all jobs.
pub(in super::super) fn open_all<'b, J: Job<OpenJob<'b>>>(
    table: &mut impl Table<Inbound, OpenError>,
    jobs: &mut [J],
) {
    let jobs = in_one_pass(table, jobs, open_of_family::<false>, open_near);
    if jobs.is_empty() {
        return;
    }
    if jobs.len() < table.backend().smallest_batch() {
        in_tiles(table, jobs, open_tile::<1, _, _>);
    } else if jobs.len() <= SMALL_TILE || table.is_far() {
        in_tiles(table, jobs, open_tile::<SMALL_TILE, _, _>);
    } else {
        in_tiles(table, jobs, open_tile::<TILE, _, _>);
    }
}

/// Opens a job if its packet is one pass: with code for usual headers of IPv4, then with that for
/// usual ones of IPv6, then with that for all others.
#[inline(never)]
fn open_of_family<const IS_IPV6: bool>(sa: &mut Inbound, job: &mut OpenJob<'_>) -> bool {
    let family = if IS_IPV6 { Family::Ipv6 } else { Family::Ipv4 };
    let is_one_pass = sa.keys().one_pass().is_some();
    if is_one_pass && job.result.is_none() {
        let other = if IS_IPV6 { open_any } else { open_ipv6 };
        // Constructed in place: see `Inbound::open_bare`.
        match &mut job.buffers {
            Buffers::Apart { packet, out } => match sa.open_bare(family, packet, out) {
                Some(Ok((len, sequence))) => job.result = Some(Ok(sa.opened(len, sequence))),
                Some(Err(error)) => job.result = Some(Err(error)),
                None => other(sa, job),
            },
            Buffers::InPlace { buffer, .. } => match sa.open_bare_in_place(family, buffer) {
                Some(Ok((len, sequence))) => job.result = Some(Ok(sa.opened_in_place(len, sequence))),
                Some(Err(error)) => job.result = Some(Err(error)),
                None => other(sa, job),
            },
        }
    }
    is_one_pass
}

fn open_ipv6(sa: &mut Inbound, job: &mut OpenJob<'_>) {
    open_of_family::<true>(sa, job);
}

/// Opens a job of an SA that is looked up, if its headers are usual and its packet is one pass.
#[inline(never)]
fn open_near(table: &mut impl Table<Inbound, OpenError>, job: &mut OpenJob<'_>) -> Option<()> {
    if job.result.is_some() {
        return Some(());
    }
    match read_usual(Family::Ipv4, job.buffers.packet()) {
        Some(datagram) => open_near_read(table, job, datagram),
        None => open_near_ipv6(table, job),
    }
}

#[inline(never)]
fn open_near_ipv6(table: &mut impl Table<Inbound, OpenError>, job: &mut OpenJob<'_>) -> Option<()> {
    let datagram = read_usual(Family::Ipv6, job.buffers.packet())?;
    open_near_read(table, job, datagram)
}

#[inline(always)]
fn open_near_read(
    table: &mut impl Table<Inbound, OpenError>,
    job: &mut OpenJob<'_>,
    datagram: Datagram,
) -> Option<()> {
    let OpenJob { buffers, result, sa: over } = job;
    let (sa, id) = table.get_mut(table.select(0, &datagram, buffers.packet())?)?;
    // Constructed in place: see `Inbound::open_bare`.
    match buffers {
        Buffers::Apart { packet, out } => match sa.open_usual(&datagram, packet, out)? {
            Ok((len, sequence)) => *result = Some(Ok(sa.opened(len, sequence))),
            Err(error) => *result = Some(Err(error)),
        },
        Buffers::InPlace { buffer, .. } => match sa.open_usual_in_place(&datagram, buffer)? {
            Ok((len, sequence)) => *result = Some(Ok(sa.opened_in_place(len, sequence))),
            Err(error) => *result = Some(Err(error)),
        },
    }
    *over = id.filter(|_| matches!(result, Some(Ok(_))));
    Some(())
}

#[inline(never)]
fn open_any(sa: &mut Inbound, job: &mut OpenJob<'_>) {
    job.result = Some(match &mut job.buffers {
        Buffers::Apart { packet, out } => sa.open_any(packet, out),
        Buffers::InPlace { buffer, .. } => sa.open_any_in_place(buffer),
    });
}

/// Opens one tile of jobs. `ahead` holds the probable positions of their SAs, and afterwards those
/// of the next tile.
#[inline(always)]
fn open_tile<'b, const N: usize, B: Table<Inbound, OpenError>, J: Job<OpenJob<'b>>>(
    table: &mut B,
    jobs: &mut [J],
    ahead: &mut Ahead<N>,
    later: &[J],
) {
    let positions = ahead.positions;
    ahead.look_up(table, later.get(N..).unwrap_or_default());
    ahead.fetch_keys(table, jobs.len());
    let mut admitted = [const { None }; N];
    let mut all_admitted = true;
    for ((admitted, job), sa) in admitted.iter_mut().zip(jobs.iter_mut()).zip(positions) {
        let (own, job) = job.parts();
        let sa = own.unwrap_or(sa);
        if job.result.is_none() && table.has(sa) {
            all_admitted &= admit(table, sa, job.buffers.packet(), admitted).is_some();
        }
    }
    open_together(table, jobs, &admitted, |table| ahead.fetch(table, later));
    if !all_admitted {
        open_rest(table, jobs, positions);
    }
}

/// Opens those that have been admitted. `meanwhile` is called when all SAs have been read, before
/// the long computation.
#[inline(always)]
fn open_together<'b, const N: usize, B: Table<Inbound, OpenError>, J: Job<OpenJob<'b>>>(
    table: &mut B,
    jobs: &mut [J],
    admitted: &[Option<Admitted>; N],
    meanwhile: impl FnOnce(&B),
) {
    let mut packets = [const { None }; N];
    for ((packet, admitted), job) in packets.iter_mut().zip(admitted).zip(jobs.iter()) {
        let Some(Admitted { slot, datagram, numbers }) = admitted else { continue };
        // Where a packet is one pass, nothing is done together.
        let is_to_verify = |sa: &&Inbound| sa.keys().one_pass().is_none() && sa.may_accept(numbers.0);
        if let Some(sa) = table.get(*slot).filter(is_to_verify) {
            *packet = Some(Verifying { keys: sa.keys(), esp: datagram.payload(job.job().input()) });
        }
    }
    meanwhile(table);
    let verified = verify_all(table.backend(), &packets);
    for ((admitted, authentic), job) in admitted.iter().zip(verified).zip(jobs.iter_mut()) {
        if let Some(admitted) = admitted {
            deliver(table, admitted, authentic, job.parts().1);
        }
    }
}

/// Opens the jobs without a result one by one, so that each gets its error.
#[cold]
#[inline(never)]
fn open_rest<'b, const N: usize>(
    table: &mut impl Table<Inbound, OpenError>,
    jobs: &mut [impl Job<OpenJob<'b>>],
    positions: [usize; N],
) {
    for (job, sa) in jobs.iter_mut().zip(positions) {
        let (own, OpenJob { buffers, result, sa: over }) = job.parts();
        let sa = own.unwrap_or(sa);
        if result.is_none() && table.has(sa) {
            *result = Some(open_alone(table, sa, buffers, over));
        }
    }
}

fn open_alone(
    table: &mut impl Table<Inbound, OpenError>,
    sa: usize,
    buffers: &mut Buffers<'_>,
    over: &mut Option<InboundId>,
) -> Result<Opened, OpenError> {
    let (datagram, slot) = table.find(sa, buffers.packet())?;
    let (sa, id) = table.get_mut(slot).ok_or_else(|| impossible(OpenError::Internal))?;
    let opened = match buffers {
        Buffers::Apart { packet, out } => {
            let (len, sequence) = sa.open_parsed(&datagram, packet, out)?;
            sa.opened(len, sequence)
        }
        Buffers::InPlace { buffer, .. } => {
            let (len, sequence) = sa.open_parsed_in_place(&datagram, buffer)?;
            sa.opened_in_place(len, sequence)
        }
    };
    *over = id;
    Ok(opened)
}

/// A packet that may be verified.
struct Admitted {
    /// Of its SA.
    slot: u32,
    datagram: Datagram,
    /// The result of [`Inbound::examine`].
    numbers: (u32, usize),
}

/// The checks before the ICV. `None` if one fails. Nothing changes.
#[inline(never)]
fn admit(
    table: &impl Table<Inbound, OpenError>,
    sa: usize,
    packet: &[u8],
    admitted: &mut Option<Admitted>,
) -> Option<()> {
    *admitted = Some(match read_usual(Family::Ipv4, packet) {
        Some(datagram) => admit_parsed(table, sa, datagram, packet)?,
        None => admit_other(table, sa, packet)?,
    });
    Some(())
}

/// [`admit`] for other headers than those of IPv4 without options.
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

/// Decrypts and delivers a packet whose ICV has been compared.
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
    let OpenJob { buffers, result, sa: over } = job;
    let (opened, in_place) = match buffers {
        Buffers::Apart { packet, out } => {
            (sa.open_verified(datagram, packet, out, numbers, authentic), false)
        }
        Buffers::InPlace { buffer, .. } => {
            (sa.open_verified_in_place(datagram, buffer, numbers, authentic), true)
        }
    };
    *over = id.filter(|_| opened.is_ok());
    // Constructed in place: copying it would cause store-forwarding stalls.
    *result = Some(match opened {
        Ok(len) if in_place => Ok(sa.opened_in_place(len, numbers.0)),
        Ok(len) => Ok(sa.opened(len, numbers.0)),
        Err(error) => Err(error),
    });
}

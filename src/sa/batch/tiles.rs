//! Tiles: the jobs that are processed together, and prefetches for the next ones meanwhile; and
//! jobs that gain nothing from others.

use crate::impossible::part;
use crate::prefetch::prefetch_headers;

use super::{Input, Job, Table};

/// Processes one by one the jobs whose packets are one pass: each fills the units of the processor.
/// Returns the jobs that are left, some of which may have been processed. Of a slice, `process`
/// returns false for an SA whose packets are not. Of a table, `look_up` finds the SA too, if that
/// is near, and ends this where it returns `None`.
#[inline(always)]
pub(super) fn in_one_pass<'j, Sa, E, B: Table<Sa, E>, T: Input, J: Job<T>>(
    table: &mut B,
    jobs: &'j mut [J],
    process: impl Fn(&mut Sa, &mut T) -> bool,
    look_up: impl Fn(&mut B, &mut T) -> Option<()>,
) -> &'j mut [J] {
    let mut done = 0;
    if let Some(sas) = table.own() {
        if all_in_one_pass(sas, jobs, process) {
            done = jobs.len();
        }
    } else if !table.is_far() {
        done = jobs.iter_mut().map_while(|job| look_up(table, job.parts().1)).count();
    }
    jobs.get_mut(done..).unwrap_or_default()
}

#[inline(always)]
fn all_in_one_pass<Sa, T: Input, J: Job<T>>(
    sas: &mut [Sa],
    jobs: &mut [J],
    process: impl Fn(&mut Sa, &mut T) -> bool,
) -> bool {
    let mut all = true;
    let mut jobs = jobs.iter_mut();
    while let Some(job) = jobs.next() {
        jobs.as_slice().first().into_iter().for_each(|next| prefetch_headers(next.job().start()));
        let (position, job) = job.parts();
        all &= sas.get_mut(position.unwrap_or(0)).is_some_and(|sa| process(sa, job));
    }
    all
}

/// Processes all jobs, tile after tile.
#[inline(always)]
pub(super) fn in_tiles<const N: usize, Sa, E, B: Table<Sa, E>, T: Input, J: Job<T>>(
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

/// Software prefetch for later tiles: index lines two tiles ahead, SAs one tile ahead. A no-op for
/// small tables.
pub(super) struct Ahead<const N: usize> {
    /// Probable positions of the SAs of this tile.
    pub(super) positions: [usize; N],
    /// The hashes by which the SAs of the next tile, and of the one after it, are looked up.
    next: [u64; N],
    after: [u64; N],
}

impl<const N: usize> Ahead<N> {
    /// Before the first tile. The jobs after it are hashed while its lines are fetched.
    #[inline(always)]
    fn of<Sa, E, T: Input>(table: &impl Table<Sa, E>, jobs: &[impl Job<T>]) -> Self {
        let mut ahead = Self { positions: [0; N], next: [0; N], after: [0; N] };
        ahead.look_up(table, jobs);
        ahead.next = ahead.after;
        ahead.look_up(table, jobs.get(N..).unwrap_or_default());
        ahead.fetch(table, jobs);
        ahead
    }

    /// Prefetches the index lines where the SAs of the first jobs will be looked up.
    #[inline(always)]
    pub(super) fn look_up<Sa, E, T: Input>(&mut self, table: &impl Table<Sa, E>, jobs: &[impl Job<T>]) {
        if table.is_far() {
            for (hash, job) in self.after.iter_mut().zip(jobs) {
                *hash = table.hash(job.job().input());
            }
            table.prefetch_index(part(&self.after[..], ..jobs.len().min(N)));
        }
    }

    /// Prefetches the keys of the SAs of a tile, which have been fetched themselves.
    #[inline(always)]
    pub(super) fn fetch_keys<Sa, E>(&self, table: &impl Table<Sa, E>, jobs: usize) {
        if table.is_far() {
            table.prefetch_keys(part(&self.positions[..], ..jobs.min(N)));
        }
    }

    /// Prefetches the SAs of the first jobs, which are those of the next tile.
    #[inline(always)]
    pub(super) fn fetch<Sa, E, T: Input>(&mut self, table: &impl Table<Sa, E>, jobs: &[impl Job<T>]) {
        if table.is_far() {
            let len = jobs.len().min(N);
            for (position, hash) in self.positions.iter_mut().zip(self.next).take(len) {
                *position = table.position(hash);
            }
            table.prefetch(part(&self.positions[..], ..len));
            self.next = self.after;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::super::seal::seal_all;
    use super::*;
    use crate::esp::Backend;
    use crate::esp::ip::Datagram;
    use crate::sa::{InboundId, Outbound, SealError, SealJob};

    /// A table without SAs that records the calls. A packet is looked up by a number in it.
    #[derive(Default)]
    struct Account {
        looked_up: RefCell<Vec<usize>>,
        fetched: RefCell<Vec<usize>>,
        keys_fetched: RefCell<Vec<usize>>,
        /// Where an SA was looked for, and whether it and its keys had been fetched by then.
        found: RefCell<Vec<(usize, usize, bool)>>,
    }

    const POSITION: usize = 1000;

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
            Backend::best()
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

        fn position(&self, hash: u64) -> usize {
            assert!(self.looked_up.borrow().contains(&(hash as usize)), "{hash} has not been looked up");
            hash as usize + POSITION
        }

        fn prefetch(&self, positions: &[usize]) {
            self.fetched.borrow_mut().extend(positions);
        }

        fn prefetch_keys(&self, positions: &[usize]) {
            let fetched = self.fetched.borrow();
            assert!(positions.iter().all(|position| fetched.contains(position)), "the SA tells where");
            self.keys_fetched.borrow_mut().extend(positions);
        }

        fn find(&mut self, _: usize, _: &[u8]) -> Result<(Datagram, u32), SealError> {
            Err(SealError::Internal)
        }

        fn select(&self, position: usize, _: &Datagram, packet: &[u8]) -> Option<u32> {
            let fetched = [&self.fetched, &self.keys_fetched];
            let fetched = fetched.iter().all(|fetched| fetched.borrow().contains(&position));
            self.found.borrow_mut().push((number(packet).into(), position, fetched));
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
            let positions: Vec<_> = (POSITION..POSITION + count).collect();
            let found: Vec<_> = all.iter().map(|n| (*n, n + POSITION, true)).collect();
            assert_eq!(
                (table.looked_up.take(), table.fetched.take(), table.keys_fetched.take(), table.found.take()),
                (all, positions.clone(), positions, found)
            );
        }
    }
}

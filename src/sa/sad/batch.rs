//! The table in batches: how the SAs of many packets are found, and prefetched.

use super::table::Sad;
use crate::esp::ip::Datagram;
use crate::esp::{Backend, ids};
use crate::sa::batch::Table;
use crate::sa::id::InboundId;
use crate::sa::inbound::{Inbound, OpenError, read};
use crate::sa::outbound::{Outbound, SealError};
use crate::sa::selector::Wire;

/// With more SAs than this, those of a batch are prefetched: they no longer fit the processor's
/// caches.
const MANY: usize = 1024;

impl Table<Outbound, SealError> for Sad {
    fn is_far(&self) -> bool {
        self.by_selector.len() > MANY
    }

    fn hash(&self, packet: &[u8]) -> u64 {
        let Ok(datagram) = Datagram::parse_plain(packet) else { return 0 };
        self.hasher.hash_one(&Wire::of(&datagram, packet))
    }

    fn prefetch_index(&self, hashes: &[u64]) {
        hashes.iter().for_each(|hash| self.by_selector.prefetch(*hash));
    }

    fn position(&self, hash: u64) -> usize {
        self.by_selector.guess(hash).unwrap_or(0) as usize
    }

    fn prefetch(&self, positions: &[usize]) {
        self.outbound.prefetch(positions);
    }

    fn prefetch_keys(&self, positions: &[usize]) {
        self.outbound.peek_all(positions).for_each(|sa| sa.keys().prefetch_shared());
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    #[inline(always)]
    fn find(&mut self, position: usize, packet: &[u8]) -> Result<(Datagram, u32), SealError> {
        self.depart(position as u32, packet)
    }

    #[inline(always)]
    fn select(&self, position: usize, datagram: &Datagram, packet: &[u8]) -> Option<u32> {
        self.departure_slot(position as u32, &Wire::of(datagram, packet))
    }

    fn get(&self, slot: u32) -> Option<&Outbound> {
        self.outbound.peek(slot)
    }

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Outbound, Option<InboundId>)> {
        self.outbound.at(slot).map(|(sa, _)| (sa, None))
    }
}

impl Table<Inbound, OpenError> for Sad {
    fn is_far(&self) -> bool {
        self.by_spi.len() > MANY
    }

    fn hash(&self, packet: &[u8]) -> u64 {
        let Ok(datagram) = read(packet) else { return 0 };
        let Ok((spi, _)) = ids(datagram.payload(packet)) else { return 0 };
        self.arrival_hash(spi, &datagram, packet)
    }

    fn prefetch_index(&self, hashes: &[u64]) {
        hashes.iter().for_each(|hash| self.by_spi.prefetch(*hash));
    }

    fn position(&self, hash: u64) -> usize {
        self.by_spi.guess(hash).unwrap_or(0) as usize
    }

    fn prefetch(&self, positions: &[usize]) {
        self.inbound.prefetch(positions);
    }

    fn prefetch_keys(&self, positions: &[usize]) {
        self.inbound.peek_all(positions).for_each(|sa| sa.keys().prefetch_shared());
    }

    fn backend(&self) -> Backend {
        self.backend
    }

    #[inline(always)]
    fn find(&mut self, position: usize, packet: &[u8]) -> Result<(Datagram, u32), OpenError> {
        self.arrive(position as u32, packet)
    }

    #[inline(always)]
    fn select(&self, position: usize, datagram: &Datagram, packet: &[u8]) -> Option<u32> {
        let (spi, _) = ids(datagram.payload(packet)).ok()?;
        self.arrival_slot(position as u32, spi, datagram, packet)
    }

    fn get(&self, slot: u32) -> Option<&Inbound> {
        self.inbound.peek(slot)
    }

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Inbound, Option<InboundId>)> {
        self.inbound.at(slot).map(|(sa, id)| (sa, Some(InboundId(id))))
    }
}

/// What `tests/batches.rs` compares at length, here with the paths of every maker's processors.
#[cfg(all(test, feature = "kernels"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail")]

    use alloc::vec::Vec;
    use core::net::Ipv4Addr;

    use super::*;
    use crate::algorithm::Suite;
    use crate::esp::Backend;
    use crate::kernels::makers;
    use crate::key::{Ck, Ik, SaKeys};
    use crate::sa::batch::{OpenJob, SealJob};
    use crate::sa::set::{Endpoint, SaSet, Side};
    use crate::setup::{PortPair, Setup};
    use crate::spi::{Spi, SpiPair};

    const PCSCF: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn ue(n: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 1, n as u8)
    }

    /// One set of each suite.
    fn sets() -> Vec<SaSet> {
        let end = |address: Ipv4Addr, first, ports: (u16, u16)| {
            let spi = |value| Spi::new(value).unwrap();
            let spis = SpiPair { client: spi(first), server: spi(first + 1) };
            let setup = Setup { spis, ports: PortPair::new(ports.0, ports.1).unwrap() };
            Endpoint { address: address.into(), setup }
        };
        let set = |(n, suite): (usize, &Suite)| {
            let keys =
                SaKeys::expand(*suite, &Ck::new(*b"0123456789abcdef"), &Ik::new([n as u8; 16])).unwrap();
            let first = 1000 + 4 * n as u32;
            SaSet::new(end(ue(n), first, (40001, 40002)), end(PCSCF, first + 2, (50001, 50002)), keys)
                .unwrap()
        };
        Suite::ALL.iter().enumerate().map(set).collect()
    }

    /// From the client port of a UE to the server port.
    fn datagram(n: usize, len: usize) -> Vec<u8> {
        let mut datagram: Vec<u8> = (0..28 + len).map(|at| (at * 7 + n) as u8).collect();
        let total = (28 + len as u16).to_be_bytes();
        datagram[..12].copy_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0]);
        datagram[12..16].copy_from_slice(&ue(n).octets());
        datagram[16..20].copy_from_slice(&PCSCF.octets());
        datagram[20..24].copy_from_slice(&[0x9c, 0x41, 0xc3, 0x52]);
        let len = (8 + len as u16).to_be_bytes();
        datagram[24..28].copy_from_slice(&[len[0], len[1], 0, 0]);
        datagram
    }

    fn batches_are_as_one_at_a_time(backend: Backend) {
        let sets = sets();
        let table = |side| {
            let mut sad = Sad::new().with_backend(backend);
            assert!(sets.iter().all(|set| sad.add_set(set, side).is_ok()));
            sad
        };
        let (mut one, mut many) = (table(Side::Ue), table(Side::Ue));
        let (mut opens_one, mut opens_many) = (table(Side::Pcscf), table(Side::Pcscf));
        for count in 1..40_usize {
            // All suites together, and runs of one: what goes in parallel differs.
            let suite = |n: usize| if count % 2 == 0 { n % sets.len() } else { count / 2 % sets.len() };
            let datagrams: Vec<_> = (0..count).map(|n| datagram(suite(n), n * 37 % 400)).collect();
            let (mut alone, mut together) = (vec![[0_u8; 600]; count], vec![[0_u8; 600]; count]);
            let sealed = datagrams.iter().zip(&mut alone).map(|(from, to)| one.seal(from, to).unwrap());
            let sealed: Vec<_> = sealed.collect();
            let jobs = datagrams.iter().zip(&mut together);
            let mut jobs: Vec<_> = jobs.map(|(from, to)| SealJob::new(from, to)).collect();
            many.seal_batch(&mut jobs);
            for (job, sealed) in jobs.iter().zip(&sealed) {
                assert_eq!(job.result(), Some(&Ok(sealed.clone())));
            }
            assert_eq!(alone, together, "{count} sealed on {backend}");

            let mut packets = alone.iter().zip(&sealed).map(|(to, sealed)| to[sealed.range.clone()].to_vec());
            let mut packets: Vec<Vec<u8>> = packets.by_ref().collect();
            if let Some(forged) = packets.get_mut(count / 3) {
                *forged.last_mut().unwrap() ^= 1;
            }
            let (mut alone, mut together) = (vec![[0_u8; 600]; count], vec![[0_u8; 600]; count]);
            let opened: Vec<_> =
                packets.iter().zip(&mut alone).map(|(from, to)| opens_one.open(from, to)).collect();
            let jobs = packets.iter().zip(&mut together);
            let mut jobs: Vec<_> = jobs.map(|(from, to)| OpenJob::new(from, to)).collect();
            opens_many.open_batch(&mut jobs);
            for (n, (job, opened)) in jobs.iter().zip(&opened).enumerate() {
                let opened = opened.as_ref().map(|arrived| arrived.opened.clone()).map_err(Clone::clone);
                assert_eq!(job.result(), Some(&opened), "{n} of {count} on {backend}");
                assert_eq!(opened.is_err(), n == count / 3);
                if let Ok(opened) = opened {
                    let delivered = &alone[n][opened.range];
                    assert_eq!(job.datagram(), Some(delivered));
                    assert_eq!(delivered[20..], datagrams[n][20..], "all but the checksum of the header");
                }
            }
        }
    }

    #[test]
    fn batches_are_as_one_at_a_time_on_the_processors_of_every_maker() {
        makers::as_on_each(|| Backend::available().for_each(batches_are_as_one_at_a_time));
    }
}

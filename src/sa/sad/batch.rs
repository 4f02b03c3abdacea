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

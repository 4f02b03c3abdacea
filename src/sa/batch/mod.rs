//! Many packets at once: the same checks in the same order and the same results as one at a time,
//! and the ciphers and hashes of all of them in parallel.

mod open;
mod seal;
mod tiles;

use core::fmt;
use core::ops::Range;

pub(super) use open::open_all;
pub(super) use seal::seal_all;

use super::id::InboundId;
use super::inbound::{Inbound, OpenError, Opened, read};
use super::outbound::{Outbound, SealError, Sealed};
use crate::esp::Backend;
use crate::esp::ip::Datagram;
use crate::impossible::impossible;

/// A datagram to seal in a batch, and what became of it.
///
/// Jobs are given to [`Sad::seal_batch`](crate::Sad::seal_batch), [`Outbound::seal_batch`] or
/// [`seal_batch`]. A job that has a result is passed over.
pub struct SealJob<'a> {
    buffers: Buffers<'a>,
    result: Option<Result<Sealed, SealError>>,
}

/// A packet to open in a batch, and what became of it.
///
/// Jobs are given to [`Sad::open_batch`](crate::Sad::open_batch), [`Inbound::open_batch`] or
/// [`open_batch`]. A job that has a result is passed over.
pub struct OpenJob<'a> {
    buffers: Buffers<'a>,
    result: Option<Result<Opened, OpenError>>,
    sa: Option<InboundId>,
}

enum Buffers<'a> {
    Apart { packet: &'a [u8], out: &'a mut [u8] },
    InPlace { buffer: &'a mut [u8], range: Range<usize> },
}

impl Buffers<'_> {
    fn packet(&self) -> &[u8] {
        match self {
            Buffers::Apart { packet, .. } => packet,
            Buffers::InPlace { buffer, range } => buffer.get(range.clone()).unwrap_or_default(),
        }
    }

    /// Where the packet begins, if its range is one of the buffer.
    #[inline(always)]
    const fn start(&self) -> *const u8 {
        match self {
            Buffers::Apart { packet, .. } => packet.as_ptr(),
            Buffers::InPlace { buffer, range } => buffer.as_ptr().wrapping_add(range.start),
        }
    }
}

impl fmt::Debug for SealJob<'_> {
    /// Without what is in the buffers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealJob").field("result", &self.result).finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenJob<'_> {
    /// Without what is in the buffers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("OpenJob");
        fields.field("result", &self.result).field("sa", &self.sa).finish_non_exhaustive()
    }
}

impl<'a> SealJob<'a> {
    /// Seals a datagram into another buffer; see [`Outbound::seal`].
    #[inline]
    pub fn new(packet: &'a [u8], out: &'a mut [u8]) -> Self {
        Self { buffers: Buffers::Apart { packet, out }, result: None }
    }

    /// Seals the datagram at `range` of a buffer in place; see [`Outbound::seal_in_place`].
    #[inline]
    pub fn in_place(buffer: &'a mut [u8], range: Range<usize>) -> Self {
        Self { buffers: Buffers::InPlace { buffer, range }, result: None }
    }

    /// The result; `None` before the batch was processed.
    #[inline]
    pub const fn result(&self) -> Option<&Result<Sealed, SealError>> {
        self.result.as_ref()
    }

    /// The packet that was sealed; `None` if it was not.
    #[inline]
    pub fn packet(&self) -> Option<&[u8]> {
        let range = self.result.as_ref()?.as_ref().ok()?.range.clone();
        match &self.buffers {
            Buffers::Apart { out, .. } => out.get(range),
            Buffers::InPlace { buffer, .. } => buffer.get(range),
        }
    }
}

impl<'a> OpenJob<'a> {
    /// Opens a packet into another buffer; see [`Inbound::open`].
    #[inline]
    pub fn new(packet: &'a [u8], out: &'a mut [u8]) -> Self {
        Self { buffers: Buffers::Apart { packet, out }, result: None, sa: None }
    }

    /// Opens a packet in place; see [`Inbound::open_in_place`].
    #[inline]
    pub fn in_place(buffer: &'a mut [u8]) -> Self {
        let range = 0..buffer.len();
        Self { buffers: Buffers::InPlace { buffer, range }, result: None, sa: None }
    }

    /// The result; `None` before the batch was processed.
    #[inline]
    pub const fn result(&self) -> Option<&Result<Opened, OpenError>> {
        self.result.as_ref()
    }

    /// The SA that it came over: the sender's identity and the verdict on its protection follow
    /// from it. `None` if it was not opened, or not by a [`Sad`](crate::Sad).
    #[inline]
    pub const fn sa(&self) -> Option<InboundId> {
        self.sa
    }

    /// The datagram that was opened; `None` if it was not.
    #[inline]
    pub fn datagram(&self) -> Option<&[u8]> {
        let range = self.result.as_ref()?.as_ref().ok()?.range.clone();
        match &self.buffers {
            Buffers::Apart { out, .. } => out.get(range),
            Buffers::InPlace { buffer, .. } => buffer.get(range),
        }
    }
}

impl Outbound {
    /// Seals many datagrams, all of them traffic of this SA; see [`Outbound::seal`]. For the SAs of
    /// a table, see [`Sad::seal_batch`](crate::Sad::seal_batch).
    pub fn seal_batch(&mut self, jobs: &mut [SealJob<'_>]) {
        seal_all(&mut Own(core::slice::from_mut(self)), jobs);
    }
}

impl Inbound {
    /// Opens many packets, all of them of this SA; see [`Inbound::open`]. For the SAs of a table,
    /// see [`Sad::open_batch`](crate::Sad::open_batch).
    pub fn open_batch(&mut self, jobs: &mut [OpenJob<'_>]) {
        open_all(&mut Own(core::slice::from_mut(self)), jobs);
    }
}

/// Seals datagrams with SAs of the caller's own table; each job comes with the position of its SA
/// there, and one whose SA is not there is passed over. See
/// [`Sad::seal_batch`](crate::Sad::seal_batch).
pub fn seal_batch(sas: &mut [Outbound], jobs: &mut [(usize, SealJob<'_>)]) {
    seal_all(&mut Own(sas), jobs);
}

/// Opens packets with SAs of the caller's own table; each job comes with the position of its SA
/// there, and one whose SA is not there is passed over. See
/// [`Sad::open_batch`](crate::Sad::open_batch).
pub fn open_batch(sas: &mut [Inbound], jobs: &mut [(usize, OpenJob<'_>)]) {
    open_all(&mut Own(sas), jobs);
}

/// A job of a batch.
pub(super) trait Input {
    /// The packet to process.
    fn input(&self) -> &[u8];

    /// Where that begins, to prefetch it.
    fn start(&self) -> *const u8;
}

impl Input for SealJob<'_> {
    fn input(&self) -> &[u8] {
        self.buffers.packet()
    }

    #[inline(always)]
    fn start(&self) -> *const u8 {
        self.buffers.start()
    }
}

impl Input for OpenJob<'_> {
    fn input(&self) -> &[u8] {
        self.buffers.packet()
    }

    #[inline(always)]
    fn start(&self) -> *const u8 {
        self.buffers.start()
    }
}

/// A job, perhaps with the position of its SA.
pub(super) trait Job<T> {
    /// The position of its SA in a slice, if it has one, and the job.
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

/// The table of a batch's SAs.
pub(super) trait Table<Sa, E> {
    fn backend(&self) -> Backend;

    /// Whether there is an SA at the position that a job came with.
    fn has(&self, _place: usize) -> bool {
        true
    }

    /// Whether prefetching SAs pays.
    fn is_far(&self) -> bool {
        false
    }

    /// The hash by which the SA of a packet is looked up.
    fn hash(&self, _packet: &[u8]) -> u64 {
        0
    }

    /// Prefetches the index lines of these hashes.
    fn prefetch_index(&self, _hashes: &[u64]) {}

    /// The probable position of the SA with this hash.
    fn position(&self, _hash: u64) -> usize {
        0
    }

    /// Prefetches the SAs at these positions.
    fn prefetch(&self, _places: &[usize]) {}

    /// Prefetches the keys that the SAs at these positions share with others.
    fn prefetch_keys(&self, _places: &[usize]) {}

    /// The datagram in a job, and the slot of its SA. `position` is where that is, or probably is.
    fn find(&mut self, position: usize, packet: &[u8]) -> Result<(Datagram, u32), E>;

    /// [`Table::find`] for a datagram that has been read; nothing is counted.
    fn select(&self, position: usize, datagram: &Datagram, packet: &[u8]) -> Option<u32>;

    /// The SAs that jobs come with the positions of. `None` if packets tell which they are of.
    fn own(&mut self) -> Option<&mut [Sa]> {
        None
    }

    fn get(&self, slot: u32) -> Option<&Sa>;

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Sa, Option<InboundId>)>;
}

/// A slice of SAs that the caller keeps.
struct Own<'a, Sa>(&'a mut [Sa]);

impl Table<Outbound, SealError> for Own<'_, Outbound> {
    fn backend(&self) -> Backend {
        self.0.first().map_or(Backend::PLAIN, Outbound::backend)
    }

    fn has(&self, position: usize) -> bool {
        position < self.0.len()
    }

    #[inline(always)]
    fn find(&mut self, position: usize, packet: &[u8]) -> Result<(Datagram, u32), SealError> {
        // Every job has been looked at for this.
        let sa = self.0.get_mut(position).ok_or_else(|| impossible(SealError::Internal))?;
        let result = sa.read(packet);
        Ok((sa.count(result)?, position as u32))
    }

    #[inline(always)]
    fn select(&self, position: usize, datagram: &Datagram, packet: &[u8]) -> Option<u32> {
        self.0.get(position)?.wire().covers(datagram, packet).then_some(position as u32)
    }

    fn own(&mut self) -> Option<&mut [Outbound]> {
        Some(self.0)
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
        self.0.first().map_or(Backend::PLAIN, Inbound::backend)
    }

    fn has(&self, position: usize) -> bool {
        position < self.0.len()
    }

    #[inline(always)]
    fn find(&mut self, position: usize, packet: &[u8]) -> Result<(Datagram, u32), OpenError> {
        Ok((read(packet)?, position as u32))
    }

    #[inline(always)]
    fn select(&self, position: usize, _: &Datagram, _: &[u8]) -> Option<u32> {
        Some(position as u32)
    }

    fn own(&mut self) -> Option<&mut [Inbound]> {
        Some(self.0)
    }

    fn get(&self, slot: u32) -> Option<&Inbound> {
        self.0.get(slot as usize)
    }

    fn get_mut(&mut self, slot: u32) -> Option<(&mut Inbound, Option<InboundId>)> {
        self.0.get_mut(slot as usize).map(|sa| (sa, None))
    }
}

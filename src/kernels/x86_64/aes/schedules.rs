//! The round keys of AES-128, of one key and of many lanes.

pub(super) const BLOCK: usize = 16;
pub(super) const ROUND_KEYS: usize = 11;
/// The constants of the rounds of a key's expansion (FIPS 197 5.2).
pub(super) const CONSTANTS: [i32; ROUND_KEYS - 1] =
    [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36];
/// The octets of a key's last word, rotated: with all words equal to it, the cipher's last round
/// substitutes its octets, and has no rows to shift.
pub(super) const ROTATED: i32 = 0x0c0f_0e0d;
/// The most lanes that there are.
pub(super) const WIDEST: usize = 16;

/// The round keys of many lanes, by round and then by lane. Aligned: otherwise each
/// load of a vector would touch two cache lines.
#[repr(C, align(64))]
pub(in crate::kernels::x86_64) struct Schedules(pub(super) [[u8; WIDEST * BLOCK]; ROUND_KEYS]);

impl Schedules {
    pub(in crate::kernels::x86_64) const fn new() -> Self {
        Self([[0; _]; _])
    }

    #[inline]
    pub(super) fn of_mut(&mut self, round: usize, lane: usize) -> &mut [u8; BLOCK] {
        &mut self.0[round].as_chunks_mut().0[lane]
    }

    /// Overwrites all of them.
    pub(in crate::kernels::x86_64) fn wipe(&mut self) {
        self.0.as_flattened_mut().fill(0);
        zeroize::optimization_barrier(self);
    }
}

/// The last block of each lane.
pub(in crate::kernels::x86_64) type Chains = [u8; WIDEST * BLOCK];

/// The round keys that decrypt, in the form of the instructions. They exist only where the machine
/// has those. They wipe themselves.
///
/// They are kept: decryption is not latency-bound, so that expanding them per packet would take
/// longer than loading them.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(crate) struct InverseKey {
    pub(super) octets: [[u8; BLOCK]; ROUND_KEYS],
    #[zeroize(skip)]
    pub(super) wide: bool,
}

//! AES-128 in CBC over lanes on x86-64.

use core::mem::MaybeUninit;

use super::aes::{self, Chains, Schedules, ni, vaes};
use super::detect::{Kind, Vectors};
use crate::kernels::cbc_lanes::{CbcTask, Lanes, encrypt};
use crate::wipe::wiped_lanes;

/// Encrypts with AES-128.
pub(crate) fn encrypt_aes<'k>(vectors: Vectors, tasks: impl Iterator<Item = CbcTask<'k, aes::Key>>) {
    let room = &mut MaybeUninit::uninit();
    match vectors.kind() {
        Kind::Avx2 => encrypt::<_, _, 8>(&mut Aes::new(false, room), tasks),
        Kind::Avx512 { whole } => encrypt::<_, _, 16>(&mut Aes::new(whole, room), tasks),
    }
}

/// Eight lanes with AES-NI, or sixteen with VAES. Made only where the machine has them. Keys wipe
/// themselves.
#[repr(C, align(64))]
struct Aes<'s, const N: usize> {
    /// The last block of each lane. Before the first block it holds the key until that is expanded.
    chains: Chains,
    /// Lanes whose keys are not expanded yet, a bit each.
    begun: u16,
    /// Where the keys of the first packets are expanded.
    room: Option<&'s mut MaybeUninit<Schedules>>,
    keys: Option<&'s mut Schedules>,
    whole: bool,
}

impl<'s, const N: usize> Aes<'s, N> {
    const WIDE: bool = N == 16;

    const fn new(whole: bool, room: &'s mut MaybeUninit<Schedules>) -> Self {
        const { assert!(N == 8 || N == 16) };
        Self { chains: [0; _], begun: 0, room: Some(room), keys: None, whole }
    }
}

#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl<const N: usize> Lanes<'_, aes::Key, N> for Aes<'_, N> {
    const BLOCK: usize = 16;

    fn begin(&mut self, lane: usize, key: &aes::Key) {
        self.chains.as_chunks_mut().0[lane] = *key.octets();
        self.begun |= 1 << lane;
    }

    fn ready(&mut self, all: bool) {
        let Self { chains, begun, room, keys, .. } = self;
        // SAFETY: there is a value of this type only where the machine has AES-NI, and a wide one
        // only with VAES and AVX-512.
        unsafe {
            match (&mut *keys, room.take()) {
                (Some(keys), _) if all && Self::WIDE => vaes::expand_again(chains, keys),
                (Some(keys), _) if all => wiped_lanes(|| ni::expand_eight(chains, keys)),
                (Some(keys), _) => {
                    for (lane, chain) in chains.as_chunks_mut().0.iter_mut().enumerate() {
                        if *begun >> lane & 1 == 1 {
                            ni::set(keys, lane, chain);
                            *chain = [0; 16];
                        }
                    }
                }
                (None, Some(room)) if Self::WIDE => *keys = Some(vaes::expand(chains, room)),
                (None, Some(room)) => {
                    let keys = keys.insert(room.write(Schedules::new()));
                    wiped_lanes(|| ni::expand_eight(chains, keys));
                }
                (None, None) => {}
            }
        }
        *begun = 0;
    }

    fn encrypt(&mut self, data: &mut [&mut [u8]; N], count: usize) {
        let Some(keys) = &self.keys else {
            debug_assert!(false, "lanes are ready before they are encrypted");
            return;
        };
        let chains = &mut self.chains;
        let used = data.iter().rposition(|data| !data.is_empty()).map_or(0, |last| last + 1);
        // SAFETY: as above.
        unsafe {
            if let Some(data) = data.first_chunk_mut() {
                match used.div_ceil(4) {
                    0 => {}
                    1 => vaes::four_lanes(keys, chains, data, 0..count),
                    2 => vaes::eight_lanes(keys, chains, data, 0..count),
                    3 => vaes::twelve_lanes(keys, chains, data, 0..count),
                    _ => {
                        let mut done = 0;
                        if self.whole {
                            vaes::whole_lanes(keys, chains, data, count / 4);
                            done = count / 4 * 4;
                        }
                        if done < count {
                            vaes::sixteen_lanes(keys, chains, data, done..count);
                        }
                    }
                }
            } else if let Some(data) = data.first_chunk_mut() {
                ni::eight_lanes(keys, chains, data, count);
            }
        }
    }
}

#[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
impl<const N: usize> Drop for Aes<'_, N> {
    fn drop(&mut self) {
        match &mut self.keys {
            // SAFETY: there is a wide value of this type only where the machine has AVX-512.
            Some(keys) if Self::WIDE => unsafe { vaes::wipe(keys) },
            Some(keys) => keys.wipe(),
            None => {}
        }
        if self.begun != 0 {
            self.chains = [0; _];
            zeroize::optimization_barrier(&self.chains);
        }
    }
}

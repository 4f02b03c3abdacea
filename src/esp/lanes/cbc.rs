//! CBC over many packets: which go side by side, and with which kernel; and one packet deciphered.
//!
//! A packet is given from its counter block on, which stands where the IV will: enciphered with nothing before it, that is
//! the IV.

use crate::impossible::part;
use alloc::boxed::Box;
#[cfg(target_arch = "x86_64")]
use core::mem::MaybeUninit;

use ::aes::Aes128Enc;
use ::aes::cipher::BlockCipherEncrypt;

#[cfg(target_arch = "x86_64")]
use super::aes::{Chains, Schedules, ni, vaes};
use super::backend::{Backend, Kind};
use super::{aes, des};

/// A packet that shall be enciphered: whole blocks from its counter block on.
pub(in crate::esp) struct Task<'a, K> {
    pub(in crate::esp) key: &'a K,
    pub(in crate::esp) data: &'a mut [u8],
}

/// A kernel over `N` lanes, with keys that live for `'k`.
trait Lanes<'k, K, const N: usize> {
    /// Octets of a block.
    const BLOCK: usize;

    /// How many lanes are worth the kernel; and what enciphers the rest of a packet, behind the block before it, where fewer
    /// are left.
    const ALONE: Option<(usize, Alone<K>)> = None;

    /// A lane has another packet: its key, and nothing before its first block.
    fn begin(&mut self, lane: usize, key: &'k K);

    /// Lanes have begun, and if it is all that are in use: what must be made of their keys together is made.
    fn ready(&mut self, _all: bool) {}

    /// Enciphers `count` blocks of each lane that has so many.
    fn encrypt(&mut self, data: &mut [&mut [u8]; N], count: usize);
}

/// Enciphers what is left of one packet.
type Alone<K> = fn(&K, &[u8], &mut [u8]);

/// Enciphers every packet. The longest come first, or the lanes run empty one by one.
fn encipher<'k, K: 'k, L: Lanes<'k, K, N>, const N: usize>(
    lanes: &mut L,
    mut tasks: impl Iterator<Item = Task<'k, K>>,
) {
    let mut data: [&mut [u8]; N] = core::array::from_fn(|_| <&mut [u8]>::default());
    // Only where lanes may have to go on alone: their keys, and the blocks before what is left.
    let mut alone: [(Option<&K>, [u8; 16]); N] = [(None, [0; 16]); N];
    loop {
        let (mut begun, mut active, mut shortest) = (0, 0, usize::MAX);
        for (lane, data) in data.iter_mut().enumerate() {
            if data.is_empty()
                && let Some(task) = tasks.find(|task| !task.data.is_empty())
            {
                lanes.begin(lane, task.key);
                if L::ALONE.is_some() {
                    alone[lane] = (Some(task.key), [0; 16]);
                }
                begun += 1;
                *data = task.data;
            }
            if !data.is_empty() {
                active += 1;
                shortest = shortest.min(data.len());
            }
        }
        let count = shortest / L::BLOCK;
        if shortest == usize::MAX || count == 0 {
            return;
        }
        // There is nothing to come, or the lanes would be full.
        if let Some((fewest, encipher_alone)) = L::ALONE
            && active < fewest
        {
            for (data, (key, before)) in data.iter_mut().zip(&alone) {
                if let Some(key) = key.filter(|_| !data.is_empty()) {
                    encipher_alone(key, part(before, ..L::BLOCK), data);
                }
            }
            return;
        }
        if begun > 0 {
            lanes.ready(begun == active);
        }
        lanes.encrypt(&mut data, count);
        for (data, (_, before)) in data.iter_mut().zip(&mut alone) {
            let whole = core::mem::take(data);
            if let Some((done, rest)) = whole.split_at_mut_checked(count * L::BLOCK) {
                if L::ALONE.is_some()
                    && let Some(last) = done.len().checked_sub(L::BLOCK).and_then(|last| done.get(last..))
                    && let Some(before) = before.get_mut(..L::BLOCK)
                {
                    before.copy_from_slice(last);
                }
                *data = rest;
            }
        }
    }
}

/// Enciphers with AES-128.
pub(in crate::esp) fn encipher_aes<'k>(backend: Backend, tasks: impl Iterator<Item = Task<'k, aes::Key>>) {
    match backend.kind() {
        // Keys of this kind are made on other backends only; whoever mixes them gets one after the other.
        Kind::Portable => {
            for task in tasks {
                task.key.encrypt(&mut [0; 16], task.data);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => encipher::<_, _, 8>(&mut Aes::new(backend, &mut MaybeUninit::uninit()), tasks),
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => encipher::<_, _, 16>(&mut Aes::new(backend, &mut MaybeUninit::uninit()), tasks),
    }
}

/// Enciphers with the crate's AES-128.
pub(in crate::esp) fn encipher_aes_in_turn<'k>(tasks: impl Iterator<Item = Task<'k, Box<Aes128Enc>>>) {
    encipher(&mut InTurn { keys: [None; IN_TURN], chains: [[0; 16]; IN_TURN] }, tasks);
}

/// Enciphers with DES-EDE3. A function of its own: other ciphers need not pay for the stack that this one takes.
#[inline(never)]
pub(in crate::esp) fn encipher_des<'k>(backend: Backend, tasks: impl Iterator<Item = Task<'k, des::Key>>) {
    match backend.kind() {
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => encipher(&mut DesVbmi(des::vbmi::Lanes::new()), tasks),
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => encipher(&mut des::Lanes::new(), tasks),
        Kind::Portable => encipher(&mut des::Lanes::new(), tasks),
    }
}

const IN_TURN: usize = 8;

/// The crate's AES, lane after lane and block after block: while one waits for itself, the processor goes on with the next.
struct InTurn<'k> {
    keys: [Option<&'k Aes128Enc>; IN_TURN],
    chains: [[u8; 16]; IN_TURN],
}

impl<'k> Lanes<'k, Box<Aes128Enc>, IN_TURN> for InTurn<'k> {
    const BLOCK: usize = 16;

    fn begin(&mut self, lane: usize, key: &'k Box<Aes128Enc>) {
        (self.keys[lane], self.chains[lane]) = (Some(key.as_ref()), [0; 16]);
    }

    fn encrypt(&mut self, data: &mut [&mut [u8]; IN_TURN], count: usize) {
        for index in 0..count {
            for ((key, chain), data) in self.keys.iter().zip(&mut self.chains).zip(&mut *data) {
                let block = data.get_mut(16 * index..).and_then(|rest| rest.first_chunk_mut::<16>());
                if let (Some(key), Some(block)) = (key, block) {
                    let mixed = u128::from_ne_bytes(*chain) ^ u128::from_ne_bytes(*block);
                    *chain = mixed.to_ne_bytes();
                    key.encrypt_block(chain.into());
                    *block = *chain;
                }
            }
        }
    }
}

/// Eight lanes with AES-NI, or sixteen with VAES. Made only where there is the backend. Keys wipe themselves.
#[cfg(target_arch = "x86_64")]
#[repr(C, align(64))]
struct Aes<'s, const N: usize> {
    /// The last block of each lane. Before the first, where there is nothing, the key stands there until it is expanded.
    chains: Chains,
    /// Lanes whose keys are not expanded yet, a bit each.
    begun: u16,
    /// Where the keys of the first packets will be expanded.
    place: Option<&'s mut MaybeUninit<Schedules>>,
    keys: Option<&'s mut Schedules>,
    backend: Backend,
}

#[cfg(target_arch = "x86_64")]
impl<'s, const N: usize> Aes<'s, N> {
    const WIDE: bool = N == 16;

    const fn new(backend: Backend, place: &'s mut MaybeUninit<Schedules>) -> Self {
        const { assert!(N == 8 || N == 16) };
        Self { chains: [0; _], begun: 0, place: Some(place), keys: None, backend }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl<const N: usize> Lanes<'_, aes::Key, N> for Aes<'_, N> {
    const BLOCK: usize = 16;

    fn begin(&mut self, lane: usize, key: &aes::Key) {
        self.chains.as_chunks_mut().0[lane] = *key.octets();
        self.begun |= 1 << lane;
    }

    fn ready(&mut self, all: bool) {
        let Self { chains, begun, place, keys, .. } = self;
        // SAFETY: there is a value of this type only where the machine has AES-NI, and a wide one only with VAES and AVX-512.
        unsafe {
            match (&mut *keys, place.take()) {
                (Some(keys), _) if all && Self::WIDE => vaes::expand_again(chains, keys),
                (Some(keys), _) if all => ni::expand_eight(chains, keys),
                (Some(keys), _) => {
                    for (lane, chain) in chains.as_chunks_mut().0.iter_mut().enumerate() {
                        if *begun >> lane & 1 == 1 {
                            ni::set(keys, lane, chain);
                            *chain = [0; 16];
                        }
                    }
                }
                (None, Some(place)) if Self::WIDE => *keys = Some(vaes::expand(chains, place)),
                (None, Some(place)) => ni::expand_eight(chains, keys.insert(place.write(Schedules::new()))),
                (None, None) => {}
            }
        }
        *begun = 0;
    }

    fn encrypt(&mut self, data: &mut [&mut [u8]; N], count: usize) {
        let Some(keys) = &self.keys else {
            debug_assert!(false, "lanes are ready before they are enciphered");
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
                        if self.backend.is_whole() {
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

#[cfg(target_arch = "x86_64")]
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

impl Lanes<'_, des::Key, { des::WIDEST }> for des::Lanes {
    const BLOCK: usize = des::BLOCK;
    const ALONE: Option<(usize, Alone<des::Key>)> = Some((des::FEW, |key, before, data| {
        if let Ok(mut before) = before.try_into() {
            key.encrypt(&mut before, data);
        }
    }));

    fn begin(&mut self, lane: usize, key: &des::Key) {
        des::Lanes::begin(self, lane, key);
    }

    fn ready(&mut self, _: bool) {
        self.expand();
    }

    fn encrypt(&mut self, data: &mut [&mut [u8]; des::WIDEST], count: usize) {
        des::Lanes::encrypt(self, data, count);
    }
}

/// Sixty-four lanes with VBMI. Made only where there is the backend.
#[cfg(target_arch = "x86_64")]
struct DesVbmi(des::vbmi::Lanes);

#[cfg(target_arch = "x86_64")]
impl Lanes<'_, des::Key, { des::WIDEST }> for DesVbmi {
    const BLOCK: usize = des::BLOCK;

    fn begin(&mut self, lane: usize, key: &des::Key) {
        self.0.begin(lane, key.octets());
    }

    #[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
    fn ready(&mut self, _: bool) {
        // SAFETY: there is a value of this type only where the machine has VBMI and GFNI.
        unsafe { self.0.expand() }
    }

    #[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
    fn encrypt(&mut self, data: &mut [&mut [u8]; des::WIDEST], count: usize) {
        // SAFETY: as above.
        unsafe { self.0.encrypt(data, count) }
    }
}

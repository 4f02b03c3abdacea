//! CBC over many packets: which kernels a backend has.

use alloc::boxed::Box;

use ::aes::Aes128Enc;
use ::aes::cipher::BlockCipherEncrypt;

use super::cbc_lanes::{CbcTask, Lanes, encrypt};
use super::{Vectors, x86_64};
#[cfg(feature = "des-ede3-cbc")]
use super::{cbc_lanes::Alone, des};

/// Encrypts with the keys of kernels. Those exist only where there are vectors.
pub(crate) fn encrypt_aes<'k>(
    vectors: Option<Vectors>,
    tasks: impl Iterator<Item = CbcTask<'k, x86_64::aes::Key>>,
) {
    match vectors {
        Some(vectors) => x86_64::encrypt_aes(vectors, tasks),
        None => tasks.for_each(|task| task.key.encrypt(&mut [0; 16], task.data)),
    }
}

/// Encrypts with the `aes` crate, interleaved.
pub(crate) fn encrypt_aes_interleaved<'k>(tasks: impl Iterator<Item = CbcTask<'k, Box<Aes128Enc>>>) {
    encrypt(&mut Interleaved { keys: [None; INTERLEAVED], chains: [[0; 16]; INTERLEAVED] }, tasks);
}

/// Encrypts with DES-EDE3. Not inlined: other ciphers need not pay for the stack that this one
/// uses.
#[cfg(feature = "des-ede3-cbc")]
#[inline(never)]
pub(crate) fn encrypt_des<'k>(vectors: Option<Vectors>, tasks: impl Iterator<Item = CbcTask<'k, des::Key>>) {
    match vectors.and_then(x86_64::Vbmi::of) {
        Some(vbmi) => x86_64::encrypt_des(vbmi, tasks),
        None => encrypt(&mut des::Lanes::new(), tasks),
    }
}

const INTERLEAVED: usize = 8;

/// The `aes` crate, interleaved over lanes: each chain is latency-bound, and the processor overlaps
/// them.
struct Interleaved<'k> {
    keys: [Option<&'k Aes128Enc>; INTERLEAVED],
    chains: [[u8; 16]; INTERLEAVED],
}

impl<'k> Lanes<'k, Box<Aes128Enc>, INTERLEAVED> for Interleaved<'k> {
    const BLOCK: usize = 16;

    fn begin(&mut self, lane: usize, key: &'k Box<Aes128Enc>) {
        (self.keys[lane], self.chains[lane]) = (Some(key.as_ref()), [0; 16]);
    }

    fn encrypt(&mut self, data: &mut [&mut [u8]; INTERLEAVED], count: usize) {
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

#[cfg(feature = "des-ede3-cbc")]
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

//! DES-EDE3 in CBC over lanes on x86-64.

use super::des_vbmi;
use super::detect::Vectors;
use crate::kernels::cbc_lanes::{CbcTask, Lanes, encrypt};
use crate::kernels::des;

/// Encrypts with DES-EDE3.
pub(crate) fn encrypt_des<'k>(_: Vbmi, tasks: impl Iterator<Item = CbcTask<'k, des::Key>>) {
    encrypt(&mut DesVbmi(des_vbmi::Lanes::new()), tasks);
}

/// A proof that the machine has VBMI and GFNI.
#[derive(Clone, Copy)]
pub(crate) struct Vbmi(());

#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl Vbmi {
    pub(crate) fn of(vectors: Vectors) -> Option<Self> {
        vectors.has_avx512().then_some(Self(()))
    }

    /// Decrypts one packet into another buffer. `from` is the IV and the ciphertext after it.
    pub(in crate::kernels) fn decrypt_into(self, key: &[u8; 3 * des::BLOCK], from: &[u8], to: &mut [u8]) {
        // SAFETY: there is a value of this type only where the machine has VBMI and GFNI.
        unsafe { des_vbmi::decrypt_into(key, from, to) }
    }

    /// Decrypts one packet in place. `whole` is the IV and the ciphertext after it.
    pub(in crate::kernels) fn decrypt(self, key: &[u8; 3 * des::BLOCK], whole: &mut [u8]) {
        // SAFETY: there is a value of this type only where the machine has VBMI and GFNI.
        unsafe { des_vbmi::decrypt(key, whole) }
    }
}

/// Sixty-four lanes with VBMI. Made only where the machine has them.
struct DesVbmi(des_vbmi::Lanes);

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

//! AES-128 in CBC (RFC 3602): many packets enciphered side by side, since one waits for itself; and the blocks of one
//! packet deciphered side by side. A packet begins with the counter block that its IV is made of: enciphered with nothing
//! before it, that is the IV, and CBC goes on from there.
//!
//! The portable twin of all this is the crate `aes`.

#[cfg(target_arch = "x86_64")]
pub(super) mod ni;
#[cfg(target_arch = "x86_64")]
pub(super) mod vaes;

#[cfg(target_arch = "x86_64")]
use super::backend::{Backend, Kind};

pub(super) const BLOCK: usize = 16;
#[cfg(target_arch = "x86_64")]
const ROUND_KEYS: usize = 11;
/// The most lanes that there are.
#[cfg(target_arch = "x86_64")]
pub(super) const WIDEST: usize = 16;

/// The round keys of many lanes, by round and then by lane. Aligned, or every load of a vector of keys would be two.
#[cfg(target_arch = "x86_64")]
#[repr(C, align(64))]
pub(super) struct Schedules([[u8; WIDEST * BLOCK]; ROUND_KEYS]);

#[cfg(target_arch = "x86_64")]
impl Schedules {
    pub(super) const fn new() -> Self {
        Self([[0; _]; _])
    }

    /// A lane has another packet.
    #[inline]
    pub(super) fn set(&mut self, lane: usize, key: &RoundKeys) {
        for (lanes, key) in self.0.iter_mut().zip(&key.octets) {
            lanes.as_chunks_mut().0[lane] = *key;
        }
    }

    /// Overwrites all of them.
    pub(super) fn wipe(&mut self) {
        self.0.as_flattened_mut().fill(0);
        zeroize::optimization_barrier(self);
    }
}

/// The last block of each lane.
#[cfg(target_arch = "x86_64")]
pub(super) type Chains = [u8; WIDEST * BLOCK];

/// The round keys of one direction, as the processor's instructions want them. There are some only where the machine has
/// those instructions. They wipe themselves.
#[cfg(target_arch = "x86_64")]
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
#[repr(C)]
pub(in crate::esp) struct RoundKeys {
    octets: [[u8; BLOCK]; ROUND_KEYS],
    #[zeroize(skip)]
    wide: bool,
}

/// No other processor has them; the crate's own are used there.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::esp) enum RoundKeys {}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl RoundKeys {
    /// Keys for enciphering; `None` on the portable backend.
    pub(in crate::esp) fn encrypting(backend: Backend, key: &[u8; BLOCK]) -> Option<Self> {
        // SAFETY: both backends say that the machine has AES-NI.
        let octets = (backend != Backend::PORTABLE).then(|| unsafe { ni::encrypting(key) })?;
        Some(Self { octets, wide: backend.kind() == Kind::Avx512 })
    }

    /// Keys for deciphering; `None` on the portable backend.
    pub(in crate::esp) fn decrypting(backend: Backend, key: &[u8; BLOCK]) -> Option<Self> {
        // SAFETY: both backends say that the machine has AES-NI.
        let octets = (backend != Backend::PORTABLE).then(|| unsafe { ni::decrypting(key) })?;
        Some(Self { octets, wide: backend.kind() == Kind::Avx512 })
    }

    /// The key that they are made of: the first of them. Where they decipher it is another.
    #[inline]
    pub(super) const fn key(&self) -> &[u8; BLOCK] {
        let [key, ..] = &self.octets;
        key
    }

    /// Enciphers one packet with what is before it.
    pub(in crate::esp) fn encrypt(&self, chain: &mut [u8; BLOCK], data: &mut [u8]) {
        // SAFETY: where there are round keys, there is AES-NI.
        unsafe { ni::encrypt_chain(self, chain, data) }
    }

    /// Enciphers a message from `start` on, with what is before it, and takes its whole blocks into the state of a SHA-1.
    #[inline]
    pub(in crate::esp) fn encrypt_and_hash(
        &self,
        chain: &[u8; BLOCK],
        inner: [u32; 5],
        message: &mut [u8],
        start: usize,
    ) -> [u32; 5] {
        // SAFETY: where there are round keys, there are AES-NI and SHA-NI.
        unsafe { ni::encrypt_and_hash(self, chain, inner, message, start) }
    }

    /// Deciphers one packet into another buffer. `from` is the IV and the cipher text behind it.
    #[inline]
    pub(in crate::esp) fn decrypt_into(&self, from: &[u8], to: &mut [u8]) {
        // SAFETY: where there are round keys, there is AES-NI; where they are wide, there is VAES.
        unsafe {
            if self.wide { vaes::decrypt_into(self, from, to) } else { ni::decrypt_into(self, from, to) }
        }
    }

    /// Deciphers one packet in place. `whole` is the IV and the cipher text behind it.
    #[inline]
    pub(in crate::esp) fn decrypt(&self, whole: &mut [u8]) {
        // SAFETY: where there are round keys, there is AES-NI; where they are wide, there is VAES.
        unsafe { if self.wide { vaes::decrypt(self, whole) } else { ni::decrypt(self, whole) } }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl RoundKeys {
    pub(in crate::esp) fn encrypting(_: super::Backend, _: &[u8; BLOCK]) -> Option<Self> {
        None
    }

    pub(in crate::esp) fn decrypting(_: super::Backend, _: &[u8; BLOCK]) -> Option<Self> {
        None
    }

    pub(in crate::esp) fn encrypt(&self, _: &mut [u8; BLOCK], _: &mut [u8]) {
        match *self {}
    }

    pub(in crate::esp) fn encrypt_and_hash(
        &self,
        _: &[u8; BLOCK],
        _: [u32; 5],
        _: &mut [u8],
        _: usize,
    ) -> [u32; 5] {
        match *self {}
    }

    pub(in crate::esp) fn decrypt_into(&self, _: &[u8], _: &mut [u8]) {
        match *self {}
    }

    pub(in crate::esp) fn decrypt(&self, _: &mut [u8]) {
        match *self {}
    }
}

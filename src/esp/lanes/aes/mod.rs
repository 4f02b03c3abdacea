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
/// The constants of the rounds of a key's expansion (FIPS 197 5.2).
#[cfg(target_arch = "x86_64")]
const CONSTANTS: [i32; ROUND_KEYS - 1] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36];
/// The places of the octets of a key's last word, rotated: where all words are that one, the cipher's last round substitutes
/// its octets, and has no rows to shift.
#[cfg(target_arch = "x86_64")]
const ROTATED: i32 = 0x0c0f_0e0d;
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

    #[inline]
    fn of_mut(&mut self, round: usize, lane: usize) -> &mut [u8; BLOCK] {
        &mut self.0[round].as_chunks_mut().0[lane]
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

/// A key that enciphers, of the backends that have the processor's instructions for it. It wipes itself.
///
/// Its round keys are made for each packet, while the cipher waits for itself anyway: an SA is half as large without them, and
/// less of it has to be fetched.
#[cfg(target_arch = "x86_64")]
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(in crate::esp) struct Key([u8; BLOCK]);

/// The round keys that decipher, as the processor's instructions want them. There are some only where the machine has those
/// instructions. They wipe themselves.
///
/// They are kept: a block that is deciphered does not wait for others, so that making them for each packet would take longer
/// than fetching them.
#[cfg(target_arch = "x86_64")]
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(in crate::esp) struct InverseKey {
    octets: [[u8; BLOCK]; ROUND_KEYS],
    #[zeroize(skip)]
    wide: bool,
}

/// No other processor has them; the crate's own are used there.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::esp) enum Key {}
/// No other processor has them.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::esp) enum InverseKey {}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl Key {
    /// `None` on the portable backend.
    pub(in crate::esp) fn new(backend: Backend, key: &[u8; BLOCK]) -> Option<Self> {
        (backend != Backend::PORTABLE).then_some(Self(*key))
    }

    #[inline]
    pub(super) const fn octets(&self) -> &[u8; BLOCK] {
        &self.0
    }

    /// Enciphers one packet with what is before it.
    pub(in crate::esp) fn encrypt(&self, chain: &mut [u8; BLOCK], data: &mut [u8]) {
        // SAFETY: both backends with such keys say that the machine has AES-NI.
        unsafe { ni::encrypt_chain(&self.0, chain, data) }
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
        // SAFETY: both backends with such keys say that the machine has AES-NI and SHA-NI.
        unsafe { ni::encrypt_and_hash(&self.0, chain, inner, message, start) }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl InverseKey {
    /// `None` on the portable backend.
    pub(in crate::esp) fn new(backend: Backend, key: &[u8; BLOCK]) -> Option<Self> {
        // SAFETY: both other backends say that the machine has AES-NI.
        let octets = (backend != Backend::PORTABLE).then(|| unsafe { ni::decrypting(key) })?;
        Some(Self { octets, wide: backend.kind() == Kind::Avx512 })
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
impl Key {
    pub(in crate::esp) fn new(_: super::Backend, _: &[u8; BLOCK]) -> Option<Self> {
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
}

#[cfg(not(target_arch = "x86_64"))]
impl InverseKey {
    pub(in crate::esp) fn new(_: super::Backend, _: &[u8; BLOCK]) -> Option<Self> {
        None
    }

    pub(in crate::esp) fn decrypt_into(&self, _: &[u8], _: &mut [u8]) {
        match *self {}
    }

    pub(in crate::esp) fn decrypt(&self, _: &mut [u8]) {
        match *self {}
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use core::mem::MaybeUninit;

    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
    fn keys_that_are_expanded_together_are_those_that_are_expanded_alone() {
        let keys: Chains = core::array::from_fn(|n| (n * n * 7 + n * 31) as u8);
        let expected = |lanes: usize| {
            let mut expected = Schedules::new();
            for (lane, key) in keys.as_chunks().0.iter().enumerate().take(lanes) {
                // SAFETY: there is a backend with these instructions.
                unsafe { ni::set(&mut expected, lane, key) };
            }
            expected
        };
        for backend in Backend::available() {
            let (mut first, mut again) = (keys, keys);
            match backend.kind() {
                Kind::Portable => {}
                Kind::Avx2 => {
                    let mut together = Schedules::new();
                    // SAFETY: the machine has the backend.
                    unsafe { ni::expand_eight(&mut first, &mut together) };
                    assert_eq!(together.0, expected(8).0);
                    assert_eq!((first[..128].iter().max(), &first[128..]), (Some(&0), &keys[128..]));
                }
                Kind::Avx512 => {
                    let mut place = MaybeUninit::uninit();
                    // SAFETY: the machine has the backend.
                    let together = unsafe { vaes::expand(&mut first, &mut place) };
                    assert_eq!((together.0, first), (expected(16).0, [0; _]));
                    // SAFETY: as above.
                    unsafe { vaes::wipe(together) };
                    assert_eq!(together.0, Schedules::new().0);
                    // SAFETY: as above.
                    unsafe { vaes::expand_again(&mut again, together) };
                    assert_eq!((together.0, again), (expected(16).0, [0; _]));
                }
            }
        }
    }
}

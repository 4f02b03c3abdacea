//! What is left of keys where they were moved: on the stack below a call, and in memory whose value
//! has been dropped.

use core::mem::MaybeUninit;

use zeroize::{Zeroize, optimization_barrier};

/// A piece of stack: one that the C library fills with plain stores.
const PIECE: usize = 128;

/// Calls a function that installs keys, and wipes the stack that it used. Values that are moved
/// leave copies there that no destructor knows of. A small UE, which has no vectors, has less
/// stack, and needs less.
#[inline(always)]
pub(crate) fn wiped<R>(work: impl FnOnce() -> R) -> R {
    const SMALL: bool =
        cfg!(not(any(target_arch = "x86_64", all(feature = "kernels", target_pointer_width = "64"))));
    const LARGE: usize = if cfg!(feature = "aes-gcm") { 8 } else { 6 };
    wiped_pieces::<R, { if SMALL { 2 } else { LARGE } }>(work)
}

/// The same for a message that a hash or a cipher of the crates processes: they leave states and
/// round keys on the stack.
#[inline(always)]
pub(crate) fn wiped_message<R>(work: impl FnOnce() -> R) -> R {
    if copies_round_keys() { wiped_pieces::<R, 3>(work) } else { wiped_pieces::<R, 1>(work) }
}

/// The same for a packet that the crates process with AES-GCM, beside what [`wipe_below`] wipes.
/// Where the processor has no instructions for AES, they have blocks of key stream in a frame that
/// is large.
#[cfg(feature = "aes-gcm")]
#[inline(always)]
pub(crate) fn wiped_gcm_packet<R>(work: impl FnOnce() -> R) -> R {
    let has_instructions = cfg!(feature = "kernels") && has_long_vectors();
    if has_instructions { wiped_pieces::<R, 1>(work) } else { wiped_pieces::<R, 3>(work) }
}

/// The same for a packet that is only authenticated: one block is encrypted, without
/// [`wipe_below`], and the `aes` crate may copy round keys for that too.
#[cfg(feature = "aes-gcm")]
#[inline(always)]
pub(crate) fn wiped_gcm_icv<R>(work: impl FnOnce() -> R) -> R {
    let has_instructions = cfg!(feature = "kernels") && copies_round_keys();
    if has_instructions { wiped_pieces::<R, 2>(work) } else { wiped_gcm_packet(work) }
}

/// The same for a text that is only decrypted, where [`wipe_below`] may be enough.
#[cfg(feature = "aes-gcm")]
#[inline(always)]
pub(crate) fn wiped_gcm_text(work: impl FnOnce()) {
    if has_long_vectors() && !copies_round_keys() { work() } else { wiped_gcm_packet(work) }
}

/// Wipes the stack below the caller, where what it called has left round keys: if the `aes` crate
/// copies them, all of them in several copies where that had `many` blocks at once.
#[cfg(feature = "aes-gcm")]
#[inline(always)]
pub(crate) fn wipe_below(many: bool) {
    match (copies_round_keys(), has_long_vectors()) {
        (true, _) if many => wipe_stack::<6>(),
        (false, true) => wipe_stack::<1>(),
        (true, _) | (false, false) => wipe_stack::<2>(),
    }
    // The last call of a function is made without its frame.
    optimization_barrier(&many);
}

/// The same for a packet that kernels process alone.
#[cfg(feature = "kernels")]
#[inline(always)]
pub(crate) fn wiped_packet<R>(work: impl FnOnce() -> R) -> R {
    if has_long_vectors() { wiped_pieces::<R, 2>(work) } else { wiped_pieces::<R, 1>(work) }
}

/// The same for a key of AES-GCM that is made: what the crates have is larger.
#[cfg(all(feature = "aes-gcm", feature = "kernels"))]
#[inline(always)]
pub(crate) fn wiped_gcm<R>(work: impl FnOnce() -> R) -> R {
    wiped_pieces::<R, 8>(work)
}

/// The same for a message that the crates decrypt: they may have a copy of the round keys for each
/// of many blocks, or where the processor has no instructions for AES, some blocks of plaintext.
#[inline(always)]
pub(crate) fn wiped_decryption<R>(work: impl FnOnce() -> R) -> R {
    const BLOCKS: usize = if cfg!(target_pointer_width = "64") { 3 } else { 1 };
    match (copies_round_keys(), has_long_vectors()) {
        (true, _) => wiped_pieces::<R, 8>(work),
        (false, true) => wiped_message(work),
        (false, false) => wiped_pieces::<R, BLOCKS>(work),
    }
}

/// Whether the `aes` crate copies round keys for each call, one for each block of a vector. It does
/// where it uses VAES, which is not known without kernels.
#[inline]
fn copies_round_keys() -> bool {
    #[cfg(feature = "kernels")]
    return crate::kernels::crates_have_vaes();
    #[cfg(not(feature = "kernels"))]
    cfg!(target_arch = "x86_64")
}

#[inline]
fn has_long_vectors() -> bool {
    #[cfg(feature = "kernels")]
    return crate::kernels::Vectors::best().is_some();
    #[cfg(not(feature = "kernels"))]
    cfg!(target_arch = "x86_64")
}

/// The same for round keys of several lanes that are expanded together, and do not fit the
/// registers.
#[cfg(all(feature = "kernels", target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn wiped_lanes<R>(work: impl FnOnce() -> R) -> R {
    wiped_pieces::<R, 2>(work)
}

#[inline(always)]
fn wiped_pieces<R, const PIECES: usize>(work: impl FnOnce() -> R) -> R {
    /// Not inlined: what it has on its stack is below that of the caller.
    #[inline(never)]
    fn apart<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
    let result = apart(work);
    wipe_stack::<PIECES>();
    result
}

#[inline(never)]
fn wipe_stack<const PIECES: usize>() {
    let mut stack = [const { MaybeUninit::<[u64; PIECE]>::uninit() }; PIECES];
    for piece in &mut stack {
        piece.write([0; PIECE]);
        // One at a time: together, they would be filled by an instruction that is slow to begin.
        optimization_barrier(piece);
    }
}

/// A value, all of whose memory is wiped when it is dropped: destructors of its parts do not know
/// of what a variant or a copy left there that was moved before.
#[derive(Debug)]
pub(crate) struct Wiped<T>(Option<Held<T>>);

/// It is dropped before; then [`Option`] wipes the memory where it was.
#[derive(Debug)]
struct Held<T>(T);

impl<T> Zeroize for Held<T> {
    fn zeroize(&mut self) {}
}

impl<T> Wiped<T> {
    pub(crate) const EMPTY: Self = Self(None);

    pub(crate) const fn new(value: T) -> Self {
        Self(Some(Held(value)))
    }

    #[inline]
    pub(crate) const fn get(&self) -> Option<&T> {
        match &self.0 {
            Some(Held(value)) => Some(value),
            None => None,
        }
    }

    #[inline]
    pub(crate) const fn get_mut(&mut self) -> Option<&mut T> {
        match &mut self.0 {
            Some(Held(value)) => Some(value),
            None => None,
        }
    }

    /// Drops the value, if there is one, and wipes its memory.
    pub(crate) fn wipe(&mut self) {
        // Where it is: `zeroize` would take it out, and drop a copy.
        self.0 = None;
        self.0.zeroize();
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        self.wipe();
    }
}

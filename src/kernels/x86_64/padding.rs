//! The final blocks of messages, made in vectors.

use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use safe_unaligned_simd::x86_64::{_mm512_loadu_si512, _mm512_storeu_si512};

use crate::kernels::BLOCK;
use crate::kernels::family::Hash;
use crate::kernels::padding::Final;

/// [`Final::write`] of a whole message: each block is made in a register, and written as a whole.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
pub(super) fn write<'e, H: Hash<N>, const N: usize>(
    room: &'e mut MaybeUninit<Final>,
    message: &[u8],
) -> &'e [[u8; BLOCK]] {
    /// The last eight octets, which hold the length.
    const LAST: u8 = 0x80;
    const COUNTING: [u8; BLOCK] = {
        let mut octets = [0; BLOCK];
        let mut n = 0;
        while n < BLOCK {
            octets[n] = n as u8;
            n += 1;
        }
        octets
    };
    let rest_len = message.len() % BLOCK;
    let Some(last) = message.last_chunk() else {
        return room.write(Final::EMPTY).write::<H, N>(message, message.len());
    };
    // The last octets of the message come first, then the mark.
    let order = _mm512_sub_epi8(_mm512_loadu_si512(&COUNTING), _mm512_set1_epi8(rest_len as i8));
    let rest = _mm512_maskz_permutexvar_epi8((1 << rest_len) - 1, order, _mm512_loadu_si512(last));
    let marked = _mm512_mask_mov_epi8(rest, 1 << rest_len, _mm512_set1_epi8(Final::MARK as i8));
    let bits = i64::from_ne_bytes(H::length(Final::bits(message.len())));
    let length = _mm512_maskz_set1_epi64(LAST, bits);
    let count = Final::count(rest_len);
    let first = _mm512_mask_mov_epi64(marked, if count == 1 { LAST } else { 0 }, length);
    let mut blocks = [[0; BLOCK]; 2];
    _mm512_storeu_si512(&mut blocks[0], first);
    _mm512_storeu_si512(&mut blocks[1], length);
    room.write(Final::of(blocks)).blocks(count)
}

#[cfg(test)]
mod tests {
    use super::super::detect::Vectors;
    use super::*;
    use crate::kernels::family::{Md5, Sha1};

    #[allow(unsafe_code, reason = "a function that needs instructions which not every processor has")]
    fn check<H: Hash<N>, const N: usize>() {
        let message: [u8; 200] = core::array::from_fn(|n| n as u8 ^ 0xa5);
        for len in 0..=message.len() {
            let (mut room, mut end) = (MaybeUninit::uninit(), Final::EMPTY);
            let expected = end.write::<H, N>(&message[..len], len);
            // SAFETY: the machine has AVX-512.
            let made = unsafe { write::<H, N>(&mut room, &message[..len]) };
            assert_eq!(made, expected, "{len} octets");
        }
    }

    #[test]
    fn final_blocks_are_the_same_however_they_were_made() {
        if Vectors::available().any(|vectors| vectors.has_avx512()) {
            check::<Md5, 4>();
            check::<Sha1, 5>();
        }
    }
}

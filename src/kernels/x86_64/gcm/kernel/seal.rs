//! Encryption. Blocks are hashed when those after them are encrypted; the trailer of ESP is put
//! into the last vector in a register, since what has just been written cannot be read back in
//! vectors without waiting.

macro_rules! seal {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;

            use safe_unaligned_simd::x86_64::_mm_loadu_si128;

            use super::super::super::block::{front, header, j0, lengths, nonce, read_anew, swapped};
            use super::super::super::material::{Expanded, Text};
            use super::super::super::vectors::$width::*;
            use super::super::counters::$width::{Numbering, next_counters};
            use super::super::hash::$width::{OF_GROUP, Sum, begin, end, ends, powers_of_end};
            use super::super::text::$width::{
                GROUP, Place, VECTORS, WIDTH, at_most, has_trailer_at_end, hashed, parts,
            };

            /// The last vectors of a text that is sealed: so many octets, the trailer among them.
            /// `B` is how many vectors before them have not been hashed yet. Returns the ICV.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn seal_last<const N: usize, const B: usize>(
                key: &Expanded,
                (counters, j0, lengths): ([V; N], __m128i, __m128i),
                (place, last_octet, text): (Place, usize, Text),
                (mut sum, before): (Sum, &[V; B]),
            ) -> __m128i {
                let block = |number: usize| before[number];
                let (mut stream, [other]) = key_stream!(key, counters, [j0], (sum, B, block, OF_GROUP, 1));
                let last = N - 1;
                let mut before = None;
                for (number, stream) in stream.iter_mut().enumerate() {
                    // SAFETY: the vectors before the last one are whole.
                    unsafe {
                        let place = place.vector(number);
                        if number < last {
                            *stream = xor(load(place.from), *stream);
                            store(place.to, *stream);
                            before = Some(*stream);
                        } else {
                            let octets = last_octet % WIDTH + 1;
                            // Zeros after the text are hashed, not what the cipher makes of them.
                            *stream = cut(xor(load_end(place.from, octets, text), *stream), octets);
                            store_end(place.to, octets, before, *stream);
                        }
                    }
                }
                let mut carry = zeros();
                if B > 0 {
                    carry = low(sum.reduced());
                    sum = end(key, lengths);
                }
                let at = powers_of_end(last_octet);
                let block = |number: usize| hashed(stream[number], number, carry);
                for number in (0..N).rev() {
                    // SAFETY: there are as many powers as blocks.
                    sum = unsafe { sum.plus_at(key, number, block, (at, 1)) };
                }
                _mm_xor_si128(swapped(sum.reduced()), other)
            }

            /// Encrypts a text and writes, around it, the header and the ICV of the text and of
            /// what is in front. The payload is where the text will be, or at another place that
            /// does not overlap. False, and nothing is written, if the trailer is not at the end as
            /// [`has_trailer_at_end`] says.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            pub(crate) unsafe fn seal<const FRONT: usize>(
                key: &Expanded,
                ids: u64,
                iv: u64,
                from: *const u8,
                to: *mut u8,
                text: Text,
            ) -> bool {
                let len = text.len();
                if len > GROUP {
                    // SAFETY: as the caller says.
                    return unsafe { seal_long::<FRONT>(key, ids, iv, from, to, text) };
                }
                let (place, (_, last_octet)) = (Place { from, to }, parts(len));
                if !has_trailer_at_end(last_octet, text) {
                    return false;
                }
                let (header, lengths) = (header(ids, iv), lengths::<FRONT, true>(len));
                let nonce = nonce(key, header);
                let sum = (ends(key, front::<FRONT>(header), lengths, last_octet), &[]);
                let (j0, mut numbering) = (j0(nonce), Numbering::group(nonce, 0));
                let made = last_vectors!(
                    last_octet,
                    seal_last::<_, 0>(
                        key,
                        (next_counters(nonce, &mut numbering), j0, lengths),
                        (place, last_octet, text),
                        sum
                    )
                );
                // SAFETY: there is room for them.
                unsafe {
                    place.write_header(header);
                    place.write_icv(len, made);
                }
                true
            }

            /// [`seal()`] for a text that is longer than a group.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            unsafe fn seal_long<const FRONT: usize>(
                key: &Expanded,
                ids: u64,
                iv: u64,
                from: *const u8,
                to: *mut u8,
                text: Text,
            ) -> bool {
                let len = text.len();
                let (mut place, (groups, last_octet)) = (Place { from, to }, parts(len));
                if !has_trailer_at_end(last_octet, text) {
                    return false;
                }
                let (header, lengths) = (header(ids, iv), lengths::<FRONT, true>(len));
                let nonce = nonce(key, header);
                let (j0, mut numbering) = (j0(nonce), Numbering::group(nonce, 0));
                let mut sum = begin(key, front::<FRONT>(header));
                // SAFETY: there is room for it.
                unsafe { place.write_header(header) };
                let counters = next_counters::<VECTORS>(nonce, &mut numbering);
                let (stream, _) = key_stream!(key, counters, [], (sum, 0, |_| zeros(), 0, 1));
                // SAFETY: more octets than a group are left, here and below.
                let mut before = unsafe { place.crypt(stream) };
                place = unsafe { place.after(GROUP) };
                for _ in 1..groups {
                    let counters = next_counters::<VECTORS>(nonce, &mut numbering);
                    let block = |number: usize| before[number];
                    let (stream, _) = key_stream!(key, counters, [], (sum, VECTORS, block, OF_GROUP, 1));
                    before = unsafe { place.crypt(stream) };
                    place = unsafe { place.after(GROUP) };
                    before[0] = xor(before[0], low(sum.reduced()));
                    sum = Sum::zero();
                }
                let made = last_vectors!(
                    last_octet,
                    seal_last::<_, { VECTORS }>(
                        key,
                        (next_counters(nonce, &mut numbering), j0, lengths),
                        (place, last_octet, text),
                        (sum, &before)
                    )
                );
                // SAFETY: there is room for it.
                unsafe { Place { from, to }.write_icv(len, made) };
                true
            }
        }
    };
}

each_width!(seal);

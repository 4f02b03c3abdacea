//! Texts that are not encrypted.

macro_rules! clear {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;
            use core::ptr;

            use safe_unaligned_simd::x86_64::_mm_loadu_si128;

            use super::super::super::block::{
                front, header, is_zero, j0, lengths, nonce, read_anew, swapped,
            };
            use super::super::super::material::{BLOCK, Expanded, Text};
            use super::super::super::vectors::one::in_order as block_in_order;
            use super::super::super::vectors::$width::*;
            use super::super::hash::$width::{Sum, begin, end, ends, powers_of_end};
            use super::super::text::$width::{
                GROUP, Place, VECTORS, WIDTH, at_most, has_trailer_at_end, hashed, parts,
            };
            use crate::rare::rare;

            /// Seals or verifies a text as it is, and what is in front of it. With one caller each,
            /// for sealing, for opening, and for what is encrypted, these are not functions either.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn authenticate<const SEALS: bool, const FRONT: usize, const IS_ENCRYPTED: bool>(
                key: &Expanded,
                header: __m128i,
                (start, len): (Place, usize),
                text: Option<Text>,
            ) -> bool {
                let (front, lengths) = (front::<FRONT>(header), lengths::<FRONT, IS_ENCRYPTED>(len));
                let j0 = j0(nonce(key, header));
                let (groups, last_octet) = parts(len);
                let (mut place, mut carry) = (start, zeros());
                let mut sum = if groups == 0 {
                    ends(key, front, lengths, last_octet)
                } else {
                    rare();
                    begin(key, front)
                };
                for _ in 0..groups {
                    // SAFETY: more octets than a group are left.
                    unsafe {
                        sum = sum.plus_group::<SEALS>(key, place, carry);
                        place = place.after(GROUP);
                    }
                    carry = low(sum.reduced());
                    sum = Sum::zero();
                }
                if groups > 0 {
                    sum = end(key, lengths);
                }
                let (text, sum) = ((start, len, text), (sum, carry));
                last_vectors!(
                    last_octet,
                    authenticate_last::<_, SEALS, IS_ENCRYPTED>(key, j0, text, (place, last_octet), sum)
                )
            }

            /// [`authenticate`] from the last vectors of the text on, which begin at a place:
            /// straight code, as what is copied is, too.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn authenticate_last<const N: usize, const SEALS: bool, const IS_ENCRYPTED: bool>(
                key: &Expanded,
                j0: __m128i,
                (start, len, text): (Place, usize, Option<Text>),
                (place, last_octet): (Place, usize),
                (mut sum, carry): (Sum, V),
            ) -> bool {
                let octets = last_octet % WIDTH + 1;
                // SAFETY: the trailer is within the last vector, and those before it are whole.
                let last = unsafe {
                    let from = place.vector(N - 1).from;
                    match text {
                        Some(text) => load_end(from, octets, text),
                        None => load_part(from, octets),
                    }
                };
                let block = |number| {
                    if number + 1 < N {
                        // SAFETY: it is whole.
                        unsafe { place.block(number, carry) }
                    } else {
                        hashed(last, number, carry)
                    }
                };
                let no_counters: [V; 0] = [];
                let at = powers_of_end(last_octet);
                // Eight vectors are more than there are registers for.
                let together = if N < 8 { TOGETHER } else { 1 };
                let (_, [other]) = key_stream!(key, no_counters, [j0], (sum, N, block, at, together));
                // Before the branches: it would be made once for each.
                let made = block_in_order(_mm_xor_si128(swapped(sum.reduced()), other));
                // SAFETY: the ICV is after the text, or there is room for it; and as above.
                unsafe {
                    let is_right = SEALS || is_zero(_mm_xor_si128(made, start.icv(len)));
                    if is_right && !start.is_one() {
                        let mut copied = start;
                        while !ptr::eq(copied.from, place.from) {
                            rare();
                            copied.copy::<VECTORS>();
                            copied = copied.after(GROUP);
                        }
                        place.copy_last::<N>(octets, last);
                    } else if let Some(text) = text {
                        start.write_trailer(text);
                    }
                    if SEALS {
                        start.write_icv(len, made);
                    }
                    is_right
                }
            }

            /// Authenticates a text that is not encrypted, and what is in front of it: writes the
            /// header and the ICV around it. See [`super::super::seal`].
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            pub(crate) unsafe fn seal_clear(
                key: &Expanded,
                ids: u64,
                iv: u64,
                from: *const u8,
                to: *mut u8,
                text: Text,
            ) -> bool {
                let (place, len) = (Place { from, to }, text.len());
                let (_, last_octet) = parts(len);
                if !has_trailer_at_end(last_octet, text) {
                    return false;
                }
                let header = header(ids, iv);
                // SAFETY: as the caller says.
                unsafe {
                    place.write_header(header);
                    authenticate::<true, BLOCK, false>(key, header, (place, len), Some(text))
                }
            }

            /// Whether the ICV after a text is that of it and of what is in front of it. If it is,
            /// the text is copied to its other place, should that be one, and its last word is
            /// returned.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            pub(crate) unsafe fn verify<const FRONT: usize, const IS_ENCRYPTED: bool>(
                key: &Expanded,
                from: *const u8,
                to: *mut u8,
                len: usize,
            ) -> Option<u32> {
                let place = Place { from, to };
                // SAFETY: as the caller says; a header is in front of it, so that there is a word.
                unsafe {
                    let (header, word) = (place.header(), place.last_word(len));
                    let is_right =
                        authenticate::<false, FRONT, IS_ENCRYPTED>(key, header, (place, len), None);
                    is_right.then_some(word)
                }
            }
        }
    };
}

each_width!(clear);

//! Texts that are not encrypted.

macro_rules! clear {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;
            use core::ptr;

            use safe_unaligned_simd::x86_64::_mm_loadu_si128;

            use super::super::super::block::{block, is_zero, j0, lengths, nonce, read_anew, swapped};
            use super::super::super::material::{Expanded, Trailer};
            use super::super::super::vectors::one::in_order as block_in_order;
            use super::super::super::vectors::$width::*;
            use super::super::hash::$width::{Sum, begin, end, ends, powers, powers_of_end};
            use super::super::text::$width::{GROUP, Place, VECTORS, WIDTH, at_most, hashed, parts};

            /// Seals or verifies a text that is not encrypted, and what is in front of it. With one
            /// caller each, for sealing and for opening, these are not functions either.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn authenticate<const SEALS: bool>(
                key: &Expanded,
                (front, lengths, j0): (__m128i, __m128i, __m128i),
                (start, len): (Place, usize),
                trailer: Trailer,
            ) -> bool {
                let (groups, last_octet) = parts(len);
                let (mut place, mut carry) = (start, zeros());
                let mut sum =
                    if groups == 0 { ends(key, front, lengths, last_octet) } else { begin(key, front) };
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
                let (text, sum) = ((start, len, trailer), (sum, carry));
                last_vectors!(
                    last_octet,
                    authenticate_last::<_, SEALS>(key, j0, text, (place, last_octet), sum)
                )
            }

            /// [`authenticate`] from the last vectors of the text on, which begin at a place:
            /// straight code, as what is copied is, too.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn authenticate_last<const N: usize, const SEALS: bool>(
                key: &Expanded,
                j0: __m128i,
                (start, len, trailer): (Place, usize, Trailer),
                (place, last_octet): (Place, usize),
                (mut sum, carry): (Sum, V),
            ) -> bool {
                let octets = last_octet % WIDTH + 1;
                // SAFETY: the trailer is within the last vector, and those before it are whole.
                let last = unsafe {
                    let from = place.vector(N - 1).from;
                    if SEALS { load_end(from, octets, trailer) } else { load_part(from, octets) }
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
                let (_, [other]) = key_stream!(key, no_counters, [j0], (sum, N, block, at));
                // Before the branches: it would be made once for each.
                let made = block_in_order(_mm_xor_si128(swapped(sum.reduced()), other));
                // SAFETY: the ICV is after the text, or there is room for it; and as above.
                unsafe {
                    let is_right = SEALS || is_zero(_mm_xor_si128(made, start.icv(len)));
                    if is_right && !start.is_one() {
                        let mut copied = start;
                        while !ptr::eq(copied.from, place.from) {
                            copied.copy::<VECTORS>();
                            copied = copied.after(GROUP);
                        }
                        place.copy_last::<N>(octets, last);
                    } else if SEALS {
                        start.write_trailer(len, trailer);
                    }
                    if SEALS {
                        start.write_icv(len, made);
                    }
                    is_right
                }
            }

            /// Authenticates a text that is not encrypted, and what is in front of it: writes the
            /// ICV after it. The payload is where `seal` has it; the trailer is within the last
            /// vector.
            #[allow(unsafe_code, reason = "see Place")]
            #[allow(clippy::too_many_arguments, reason = "see seal")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            pub(crate) unsafe fn seal_clear(
                key: &Expanded,
                first: u64,
                second: u64,
                iv: u64,
                front_octets: u32,
                from: *const u8,
                to: *mut u8,
                len: usize,
                trailer: Trailer,
            ) {
                let j0 = j0(nonce(key, iv));
                let (front, lengths) = (block(first, second), lengths(front_octets as usize + len, 0));
                let place = Place { from, to };
                // SAFETY: as the caller says.
                unsafe { authenticate::<true>(key, (front, lengths, j0), (place, len), trailer) };
            }

            /// Whether the ICV after a text is that of it and of what is in front of it. If it is,
            /// the text is copied to its other place, should that be one.
            #[allow(unsafe_code, reason = "see Place")]
            #[allow(clippy::too_many_arguments, reason = "see seal")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            pub(crate) unsafe fn verify(
                key: &Expanded,
                first: u64,
                second: u64,
                iv: u64,
                lengths: (u64, u64),
                from: *const u8,
                to: *mut u8,
                len: usize,
            ) -> bool {
                let j0 = j0(nonce(key, iv));
                let (front, lengths) = (block(first, second), block(lengths.0, lengths.1));
                let place = Place { from, to };
                // SAFETY: as the caller says.
                unsafe { authenticate::<false>(key, (front, lengths, j0), (place, len), Trailer::NONE) }
            }
        }
    };
}

each_width!(clear);

//! Texts that are not encrypted.

macro_rules! clear {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;
            use core::ptr;

            use safe_unaligned_simd::x86_64::_mm_loadu_si128;

            use super::super::super::block::{block, is_zero, j0, lengths, nonce, read_anew, swapped};
            use super::super::super::material::{Expanded, Trailer};
            use super::super::super::vectors::$width::*;
            use super::super::hash::$width::{Sum, begin, end, ends, powers, powers_of_end};
            use super::super::text::$width::{GROUP, Place, VECTORS, WIDTH, at_most, parts};

            /// The ICV of a text that is not encrypted, and of what is in front of it; its last
            /// vector is given. With one caller each, for sealing and for opening, these are not
            /// functions either.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn icv_of_clear<const SEALS: bool>(
                key: &Expanded,
                (front, lengths, j0): (__m128i, __m128i, __m128i),
                (mut place, (groups, last_octet)): (Place, (usize, usize)),
                last: V,
            ) -> __m128i {
                let mut carry = zeros();
                let mut sum =
                    if groups == 0 { ends(key, front, lengths, last_octet) } else { begin(key, front) };
                for _ in 0..groups {
                    // SAFETY: more octets than a group are left.
                    unsafe {
                        sum = sum.plus_group(key, place, carry);
                        place = place.after(GROUP);
                    }
                    carry = low(sum.reduced());
                    sum = Sum::zero();
                }
                if groups > 0 {
                    sum = end(key, lengths);
                }
                let (sum, at) = ((sum, carry), powers_of_end(last_octet));
                last_vectors!(last_octet, icv_of_last::<_, SEALS>(key, j0, (place, last), sum, at))
            }

            /// The ICV of the last vectors of such a text.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn icv_of_last<const N: usize, const SEALS: bool>(
                key: &Expanded,
                j0: __m128i,
                (place, last): (Place, V),
                (mut sum, carry): (Sum, V),
                at: usize,
            ) -> __m128i {
                // SAFETY: the vectors before the last one are whole.
                let block = |number| {
                    let block =
                        if number + 1 < N { unsafe { load(place.vector(number).from) } } else { last };
                    if number == 0 { xor(swap(block), carry) } else { swap(block) }
                };
                let no_counters: [V; 0] = [];
                let (_, [other]) = key_stream!(key, no_counters, [j0], (sum, N, block, at));
                _mm_xor_si128(swapped(sum.reduced()), other)
            }

            /// Authenticates a text that is not encrypted, and what is in front of it: writes the
            /// ICV behind it. The payload is where `seal` has it; the trailer is within the last
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
                let place = Place { from, to };
                let parts = parts(len);
                let (start, octets) = (parts.0 * GROUP + parts.1 / WIDTH * WIDTH, parts.1 % WIDTH + 1);
                // SAFETY: the last vector begins there, and those before it are whole.
                let last = unsafe { load_end(place.after(start).from, octets, trailer) };
                let j0 = j0(nonce(key, iv));
                let (front, lengths) = (block(first, second), lengths(front_octets as usize + len, 0));
                // SAFETY: as above, and there is room for the ICV.
                unsafe {
                    let made = icv_of_clear::<true>(key, (front, lengths, j0), (place, parts), last);
                    if ptr::eq(from, to) {
                        place.write_trailer(len, trailer);
                    } else {
                        place.copy(start, octets, last);
                    }
                    place.write_icv(len, made);
                }
            }

            /// Whether the ICV behind a text is that of it and of what is in front of it. If it is,
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
                let place = Place { from, to };
                let j0 = j0(nonce(key, iv));
                let (front, lengths) = (block(first, second), block(lengths.0, lengths.1));
                let parts = parts(len);
                let (start, octets) = (parts.0 * GROUP + parts.1 / WIDTH * WIDTH, parts.1 % WIDTH + 1);
                // SAFETY: the last vector begins there, and those before it are whole.
                let last = unsafe { load_part(place.after(start).from, octets) };
                let made = unsafe { icv_of_clear::<false>(key, (front, lengths, j0), (place, parts), last) };
                // SAFETY: the ICV is behind the text, and as above.
                let is_right = is_zero(_mm_xor_si128(made, unsafe { place.icv(len) }));
                if is_right && !ptr::eq(from, to) {
                    unsafe { place.copy(start, octets, last) };
                }
                is_right
            }
        }
    };
}

each_width!(clear);

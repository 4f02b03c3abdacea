//! Texts that are not encrypted.

macro_rules! clear {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;
            use core::ptr;

            use safe_unaligned_simd::x86_64::_mm_loadu_si128;

            use super::super::super::block::{block, is_zero, j0, lengths, made, nonce, read_anew, swapped};
            use super::super::super::material::{Expanded, Trailer};
            use super::super::super::vectors::$width::*;
            use super::super::hash::$width::{Sum, begin, end, ends, powers, powers_of_end};
            use super::super::text::$width::{GROUP, Place, VECTORS, WIDTH, at_most, parts};

            /// A text, and how it is divided.
            #[derive(Clone, Copy)]
            struct Text {
                start: Place,
                len: usize,
                groups: usize,
                last_octet: usize,
            }

            impl Text {
                #[target_feature(enable = $features)]
                #[inline]
                fn new(start: Place, len: usize) -> Self {
                    let (groups, last_octet) = parts(len);
                    Self { start, len, groups, last_octet }
                }

                /// The octets of the last vector, and where it begins.
                #[allow(unsafe_code, reason = "see Place")]
                #[target_feature(enable = $features)]
                #[inline]
                unsafe fn last(self) -> (usize, *const u8) {
                    let start = self.groups * GROUP + self.last_octet / WIDTH * WIDTH;
                    // SAFETY: the text has octets there.
                    (self.last_octet % WIDTH + 1, unsafe { self.start.after(start).from })
                }

                /// Copies it to its other place, should that be one.
                #[allow(unsafe_code, reason = "see Place")]
                #[target_feature(enable = $features)]
                #[inline]
                unsafe fn copy<const N: usize>(self, last: V) {
                    let mut place = self.start;
                    if ptr::eq(place.from, place.to) {
                        return;
                    }
                    // SAFETY: so many octets are at both places.
                    unsafe {
                        for _ in 0..self.groups {
                            place.copy::<VECTORS>();
                            place = place.after(GROUP);
                        }
                        place.copy_last::<N>(self.last_octet % WIDTH + 1, last);
                    }
                }
            }

            /// Seals or verifies a text that is not encrypted, and what is in front of it; its last
            /// vector is given. With one caller each, for sealing and for opening, these are not
            /// functions either.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn authenticate<const SEALS: bool>(
                key: &Expanded,
                (front, lengths, j0): (__m128i, __m128i, __m128i),
                text: Text,
                last: V,
                trailer: Trailer,
            ) -> bool {
                let Text { start: mut place, groups, last_octet, .. } = text;
                let mut carry = zeros();
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
                let sum = (sum, carry);
                last_vectors!(
                    last_octet,
                    authenticate_last::<_, SEALS>(key, j0, text, (place, last), sum, trailer)
                )
            }

            /// [`authenticate`] from the last vectors of the text on: straight code, as what is
            /// copied is, too.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn authenticate_last<const N: usize, const SEALS: bool>(
                key: &Expanded,
                j0: __m128i,
                text: Text,
                (place, last): (Place, V),
                (mut sum, carry): (Sum, V),
                trailer: Trailer,
            ) -> bool {
                // SAFETY: the vectors before the last one are whole.
                let block = |number| {
                    let block =
                        if number + 1 < N { unsafe { load(place.vector(number).from) } } else { last };
                    if number == 0 { xor(swap(block), carry) } else { swap(block) }
                };
                let no_counters: [V; 0] = [];
                let at = powers_of_end(text.last_octet);
                let (_, [other]) = key_stream!(key, no_counters, [j0], (sum, N, block, at));
                let made = made(_mm_xor_si128(swapped(sum.reduced()), other));
                let Text { start, len, .. } = text;
                // SAFETY: the ICV is behind the text, or there is room for it.
                unsafe {
                    if SEALS {
                        if ptr::eq(start.from, start.to) {
                            start.write_trailer(len, trailer);
                        } else {
                            text.copy::<N>(last);
                        }
                        start.write_icv(len, made);
                        return true;
                    }
                    let is_right = is_zero(_mm_xor_si128(made, start.icv(len)));
                    if is_right {
                        text.copy::<N>(last);
                    }
                    is_right
                }
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
                let text = Text::new(Place { from, to }, len);
                // SAFETY: the trailer is within the last vector, and those before it are whole.
                let last = unsafe {
                    let (octets, from) = text.last();
                    load_end(from, octets, trailer)
                };
                let j0 = j0(nonce(key, iv));
                let (front, lengths) = (block(first, second), lengths(front_octets as usize + len, 0));
                // SAFETY: as above, and there is room for the ICV.
                unsafe { authenticate::<true>(key, (front, lengths, j0), text, last, trailer) };
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
                let text = Text::new(Place { from, to }, len);
                let j0 = j0(nonce(key, iv));
                let (front, lengths) = (block(first, second), block(lengths.0, lengths.1));
                // SAFETY: the vectors before the last one are whole, and the ICV is behind it.
                unsafe {
                    let (octets, from) = text.last();
                    let last = load_part(from, octets);
                    authenticate::<false>(key, (front, lengths, j0), text, last, Trailer::NONE)
                }
            }
        }
    };
}

each_width!(clear);

//! Decryption: after the ICV has been compared, never before. The key stream of the last vectors is
//! made while they are hashed, and waits; so does that of those before, where that is faster.

macro_rules! open {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;
            use core::mem::MaybeUninit;

            use safe_unaligned_simd::x86_64::_mm_loadu_si128;
            use zeroize::optimization_barrier;

            use super::super::super::block::{front, is_zero, j0, lengths, nonce, read_anew, swapped};
            use super::super::super::material::Expanded;
            use super::super::super::vectors::$width::*;
            use super::super::counters::$width::{Numbering, next_counters};
            use super::super::hash::$width::{OF_GROUP, Sum, begin, end, ends, powers_of_end};
            use super::super::stack::$width::wipe_stack;
            use super::super::text::$width::{GROUP, Place, VECTORS, WIDTH, at_most, hashed, parts};

            type Group = [V; VECTORS];

            /// Groups whose key stream is held in memory until the ICV has been compared.
            const HELD: usize = if HOLDS { 7 * 512 / GROUP } else { 0 };

            /// The last vectors of a text that is opened: they are decrypted if the ICV is right.
            /// Returns the last word. With one caller each, these are not functions, whose
            /// arguments would be in memory.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn open_last<const N: usize, const IS_LONG: bool>(
                key: &Expanded,
                (counters, j0): ([V; N], __m128i),
                (place, last_octet): (Place, usize),
                (mut sum, carry): (Sum, V),
                icv: __m128i,
            ) -> Option<u32> {
                let last = N - 1;
                let rest = last_octet % WIDTH + 1;
                // SAFETY: the vectors before the last one are whole, here and below.
                let block = |number| unsafe {
                    if number < last {
                        return place.block_to_open(number, carry);
                    }
                    let place = place.vector(number);
                    place.will_be_written();
                    hashed(load_part(place.from, rest), number, carry)
                };
                let (stream, [other]) =
                    key_stream!(key, counters, [j0], (sum, N, block, powers_of_end(last_octet), 1));
                let made = _mm_xor_si128(swapped(sum.reduced()), other);
                if !is_zero(_mm_xor_si128(made, icv)) {
                    return None;
                }
                let (mut before, mut done) = (None, zeros());
                for (number, stream) in stream.into_iter().enumerate() {
                    unsafe {
                        let place = place.vector(number);
                        if number < last {
                            done = xor(load(place.from), stream);
                            store(place.to, done);
                            before = Some(done);
                        } else {
                            done = xor(load_part(place.from, rest), stream);
                            store_end(place.to, rest, before, done);
                        }
                    }
                }
                Some(word(done, (rest / 4).wrapping_sub(1)))
            }

            /// Decrypts a text if the ICV after it is that of the text and of what is in front;
            /// else nothing is written. In place, or to another place that does not overlap.
            /// Returns the last word.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            pub(crate) unsafe fn open<const FRONT: usize>(
                key: &Expanded,
                from: *const u8,
                to: *mut u8,
                len: usize,
            ) -> Option<u32> {
                if len > GROUP {
                    // SAFETY: as the caller says.
                    return unsafe { open_long::<FRONT>(key, from, to, len) };
                }
                let (start, (_, last_octet)) = (Place { from, to }, parts(len));
                // SAFETY: both are there.
                let (header, icv) = unsafe { (start.header(), start.icv(len)) };
                let lengths = lengths::<FRONT, true>(len);
                let nonce = nonce(key, header);
                let sum = (ends(key, front::<FRONT>(header), lengths, last_octet), zeros());
                let (j0, mut numbering) = (j0(nonce), Numbering::group(nonce, 0));
                last_vectors!(
                    last_octet,
                    open_last::<_, false>(
                        key,
                        (next_counters(nonce, &mut numbering), j0),
                        (start, last_octet),
                        sum,
                        icv
                    )
                )
            }

            /// [`open()`] for a text that is longer than a group.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            unsafe fn open_long<const FRONT: usize>(
                key: &Expanded,
                from: *const u8,
                to: *mut u8,
                len: usize,
            ) -> Option<u32> {
                let mut held = [const { MaybeUninit::<Group>::uninit() }; HELD];
                // SAFETY: as the caller says.
                let word = unsafe { open_held::<FRONT>(key, from, to, len, &mut held) };
                if HOLDS {
                    wipe_stack::<448>();
                }
                word
            }

            /// [`open_long`] with memory for key stream, in a frame that is small enough to be
            /// wiped.
            #[allow(unsafe_code, reason = "see Place")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            unsafe fn open_held<const FRONT: usize>(
                key: &Expanded,
                from: *const u8,
                to: *mut u8,
                len: usize,
                held: &mut [MaybeUninit<Group>; HELD],
            ) -> Option<u32> {
                let start = Place { from, to };
                // SAFETY: both are there.
                let (header, icv) = unsafe { (start.header(), start.icv(len)) };
                let (front, lengths) = (front::<FRONT>(header), lengths::<FRONT, true>(len));
                let nonce = nonce(key, header);
                let j0 = j0(nonce);
                let (groups, last_octet) = parts(len);
                let mut carry = zeros();
                let not_held = groups.saturating_sub(HELD);
                let mut numbering = Numbering::group(nonce, not_held);
                let mut place = start;
                let mut sum = begin(key, front);
                for _ in 0..not_held {
                    // SAFETY: the octets of so many groups are there, here and below.
                    unsafe {
                        sum = sum.plus_group::<false>(key, place, carry);
                        place = place.after(GROUP);
                    }
                    carry = low(sum.reduced());
                    sum = Sum::zero();
                }
                let held = &mut held[..groups - not_held];
                for held in &mut *held {
                    let block = |number| unsafe { place.block_to_open(number, carry) };
                    let counters = next_counters::<VECTORS>(nonce, &mut numbering);
                    let (stream, _) = key_stream!(key, counters, [], (sum, VECTORS, block, OF_GROUP, 1));
                    held.write(stream);
                    place = unsafe { place.after(GROUP) };
                    carry = low(sum.reduced());
                    sum = Sum::zero();
                }
                let sum = (end(key, lengths), carry);
                let word = last_vectors!(
                    last_octet,
                    open_last::<_, true>(
                        key,
                        (next_counters(nonce, &mut numbering), j0),
                        (place, last_octet),
                        sum,
                        icv
                    )
                );
                let (mut nothing, mut numbering) = (Sum::zero(), Numbering::group(nonce, 0));
                place = start;
                for _ in 0..not_held {
                    if word.is_some() {
                        let counters = next_counters::<VECTORS>(nonce, &mut numbering);
                        let (stream, _) = key_stream!(key, counters, [], (nothing, 0, |_| zeros(), 0, 1));
                        unsafe {
                            place.crypt(stream);
                            place = place.after(GROUP);
                        }
                    }
                }
                for held in held {
                    if word.is_some() {
                        // SAFETY: it has been written.
                        unsafe {
                            place.crypt(held.assume_init_read());
                            place = place.after(GROUP);
                        }
                    }
                    held.write([zeros(); VECTORS]);
                    optimization_barrier(held);
                }
                word
            }
        }
    };
}

each_width!(open);

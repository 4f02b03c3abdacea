//! A text: where it is, and how it is divided. The last vectors of it, up to a group, are one piece
//! of straight code.

macro_rules! text {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;
            use core::ptr;

            use super::super::super::block::swapped;
            use super::super::super::material::{BLOCK, Text};
            use super::super::super::vectors::$width::*;

            /// Octets of a vector.
            pub(crate) const WIDTH: usize = LANES * BLOCK;

            /// Vectors of a group, whose products are reduced together.
            pub(crate) const VECTORS: usize = if LANES == 4 { 8 } else { 4 };

            /// Blocks of a group.
            pub(crate) const BLOCKS: usize = VECTORS * LANES;

            pub(crate) const GROUP: usize = VECTORS * WIDTH;

            pub(crate) const fn at_most(vectors: usize) -> usize {
                if vectors < VECTORS { vectors } else { VECTORS }
            }

            /// Groups in front of the last vectors of a text, and the number that its last octet
            /// has in these. It has octets.
            pub(crate) const fn parts(len: usize) -> (usize, usize) {
                let last_octet = len.wrapping_sub(1);
                (last_octet / GROUP, last_octet % GROUP)
            }

            /// Whether the last vector of a text, in which an octet of this number is the last one,
            /// has all of its trailer, and there is payload enough.
            #[inline]
            pub(crate) const fn has_trailer_at_end(last_octet: usize, text: Text) -> bool {
                let trailer_len = text.trailer().len();
                let is_enough = SHORTEST == 0 || trailer_len == 0 || text.len() >= trailer_len + SHORTEST;
                last_octet % WIDTH + 1 >= trailer_len && is_enough
            }

            /// Blocks as they are hashed: in the other order of octets, and the carry is added to
            /// the first of them.
            #[target_feature(enable = $features)]
            #[inline]
            pub(crate) fn hashed(blocks: V, number: usize, carry: V) -> V {
                let blocks = swap(blocks);
                if number == 0 { xor(blocks, carry) } else { blocks }
            }

            /// Where a text is read and where it is written: the same place, or two that do not
            /// overlap. Not handed to a kernel as one, which would be in memory.
            #[derive(Clone, Copy)]
            pub(crate) struct Place {
                pub(crate) from: *const u8,
                pub(crate) to: *mut u8,
            }

            #[allow(
                unsafe_code,
                reason = "masked loads and stores, and places that may be the same, take pointers"
            )]
            impl Place {
                /// Whether both are the same.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) fn is_one(self) -> bool {
                    ptr::eq(self.from, self.to)
                }

                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn after(self, octets: usize) -> Self {
                    unsafe { Self { from: self.from.add(octets), to: self.to.wrapping_add(octets) } }
                }

                /// A vector number of a group, or of the end of a text.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn vector(self, number: usize) -> Self {
                    unsafe { self.after(number * WIDTH) }
                }

                /// Gets a line before it is written: stores that wait for theirs would follow each
                /// other once the ICV has been compared.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn will_be_written(self) {
                    _mm_prefetch::<_MM_HINT_ET0>(self.to.cast());
                }

                /// Blocks of a text that are hashed before it is opened.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn block_to_open(self, number: usize, carry: V) -> V {
                    // SAFETY: as the caller says.
                    unsafe {
                        self.vector(number).will_be_written();
                        self.block(number, carry)
                    }
                }

                /// Blocks of a text that stays as it is.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn block(self, number: usize, carry: V) -> V {
                    // SAFETY: as the caller says.
                    hashed(unsafe { load(self.vector(number).from) }, number, carry)
                }

                /// Encrypts or decrypts vectors that are whole. Returns what was written, in the
                /// other order of octets.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn crypt<const N: usize>(self, mut stream: [V; N]) -> [V; N] {
                    for (number, stream) in stream.iter_mut().enumerate() {
                        unsafe {
                            let place = self.vector(number);
                            let done = xor(load(place.from), *stream);
                            store(place.to, done);
                            *stream = swap(done);
                        }
                    }
                    stream
                }

                /// The header, in front of a text, in the other order of octets.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn header(self) -> __m128i {
                    swapped(unsafe { _mm_loadu_si128(self.from.sub(BLOCK).cast()) })
                }

                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn write_header(self, header: __m128i) {
                    unsafe { _mm_storeu_si128(self.to.sub(BLOCK).cast(), swapped(header)) }
                }

                /// The last word of a text of this many octets.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn last_word(self, len: usize) -> u32 {
                    unsafe { self.from.add(len).sub(4).cast::<u32>().read_unaligned() }
                }

                /// The ICV, after a text of this many octets.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn icv(self, len: usize) -> __m128i {
                    unsafe { _mm_loadu_si128(self.from.add(len).cast()) }
                }

                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn write_icv(self, len: usize, icv: __m128i) {
                    unsafe { _mm_storeu_si128(self.to.add(len).cast(), icv) }
                }

                /// Writes the trailer of a text whose payload is in its place: a word, of which a
                /// part is where the ICV will be.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn write_trailer(self, text: Text) {
                    unsafe {
                        let end = self.to.add(text.len() - text.trailer().len());
                        end.cast::<u64>().write_unaligned(text.word());
                    }
                }

                /// Copies vectors that are whole.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn copy<const N: usize>(self) {
                    for number in 0..N {
                        unsafe {
                            let place = self.vector(number);
                            store(place.to, load(place.from));
                        }
                    }
                }

                /// Copies the last vectors of a text, of which the last one is given, with this
                /// many octets.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn copy_last<const N: usize>(self, octets: usize, last: V) {
                    let mut before = None;
                    for number in 0..N - 1 {
                        unsafe {
                            let place = self.vector(number);
                            let vector = load(place.from);
                            store(place.to, vector);
                            before = Some(vector);
                        }
                    }
                    unsafe { store_end(self.vector(N - 1).to, octets, before, last) };
                }
            }
        }
    };
}

each_width!(text);

//! Counter blocks.

macro_rules! counters {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;

            use super::super::super::block::words_swapped;
            use super::super::super::material::BLOCK;
            use super::super::super::vectors::$width::*;
            use super::super::text::$width::{BLOCKS, VECTORS, WIDTH};

            /// The numbers of the counter blocks of a group, from what they are counted from: the
            /// first block of a text has number 2. The last two are those of the next group.
            static NUMBERS: [[u8; WIDTH]; VECTORS] = {
                let mut numbers = [[0; WIDTH]; VECTORS];
                let mut number = 0;
                while number < BLOCKS {
                    let (vector, lane) = (number / LANES, number - number / LANES * LANES);
                    numbers[vector][lane * BLOCK + BLOCK - 1] = ((number + 2) % BLOCKS) as u8;
                    number += 1;
                }
                numbers
            };

            /// What the blocks of a group are counted from: the number of the first one but two,
            /// which has no bits that the numbers counted from it have.
            #[derive(Clone, Copy)]
            pub(crate) struct Numbering {
                /// In the highest word.
                pub(crate) number: __m128i,
                /// Salt, IV and number, after the first addition of a key.
                pub(crate) base: __m128i,
            }

            impl Numbering {
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) fn group(nonce: __m128i, group: usize) -> Self {
                    let number = _mm_set_epi32((group * BLOCKS) as i32, 0, 0, 0);
                    Self { number, base: _mm_xor_si128(nonce, words_swapped(number)) }
                }

                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) fn after(&mut self, nonce: __m128i) {
                    self.number = _mm_add_epi32(self.number, _mm_set_epi32(BLOCKS as i32, 0, 0, 0));
                    self.base = _mm_xor_si128(nonce, words_swapped(self.number));
                }
            }

            /// The next counter blocks of a text, of which a group at most has been counted before
            /// each call.
            #[allow(unsafe_code, reason = "a vector that is there")]
            #[target_feature(enable = $features)]
            #[inline]
            pub(crate) fn next_counters<const N: usize>(nonce: __m128i, numbering: &mut Numbering) -> [V; N] {
                let mut blocks = [splat(numbering.base); N];
                numbering.after(nonce);
                for (number, block) in blocks.iter_mut().enumerate() {
                    if (number + 1) * LANES > BLOCKS - 2 {
                        // The last two numbers of a group are those that the next one is counted
                        // from.
                        *block = of_next(*block, numbering.base);
                    }
                    // SAFETY: it is a vector.
                    *block = xor(*block, unsafe { load(NUMBERS[number].as_ptr()) });
                }
                blocks
            }
        }
    };
}

each_width!(counters);

//! GHASH, computed as POLYVAL (RFC 8452 appendix A): blocks in the other order of octets, H
//! multiplied by x. Products of blocks with powers of H are summed, and reduced once for a group of
//! blocks; what was reduced is added to the first block of the next group. What is in front of the
//! text has the power after those of the first group, and the lengths, which are the last block,
//! have the first power: neither waits for the text.

macro_rules! hash {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::arch::x86_64::*;

            use super::super::super::block::read_anew;
            use super::super::super::material::{AFTER_POWERS, BLOCK, Expanded, LAST_POWER};
            use super::super::super::powers::POLYNOMIAL;
            use super::super::super::vectors::$width::*;
            use super::super::text::$width::{BLOCKS, GROUP, Place, VECTORS, WIDTH};

            /// Octets up to the end of the first power.
            const END: usize = LAST_POWER * BLOCK;

            /// Where the powers of the blocks of a group begin.
            pub(crate) const OF_GROUP: usize = END - GROUP;

            const _: () = assert!(BLOCKS + 2 <= LAST_POWER);

            /// A sum of products that has not been reduced.
            #[derive(Clone, Copy)]
            pub(crate) struct Sum {
                pub(crate) low: V,
                pub(crate) middle: V,
                pub(crate) high: V,
            }

            impl Sum {
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) fn zero() -> Self {
                    let zeros = zeros();
                    Self { low: zeros, middle: zeros, high: zeros }
                }

                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) fn of(a: V, b: V) -> Self {
                    Self { low: multiply::<0x00>(a, b), middle: middle(a, b), high: multiply::<0x11>(a, b) }
                }

                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) fn plus(self, a: V, b: V) -> Self {
                    Self {
                        low: xor(self.low, multiply::<0x00>(a, b)),
                        middle: middle_plus(self.middle, a, b),
                        high: xor(self.high, multiply::<0x11>(a, b)),
                    }
                }

                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) fn plus_two(self, a: [V; 2], b: [V; 2]) -> Self {
                    let [low, middle, high] = products_of_two(a, b);
                    Self {
                        low: xor3(self.low, low[0], low[1]),
                        middle: xor3(self.middle, middle[0], middle[1]),
                        high: xor3(self.high, high[0], high[1]),
                    }
                }

                /// With the vector of this number and, if two are taken together, the one below it,
                /// should that be one; and the powers from a place on.
                #[allow(unsafe_code, reason = "see power")]
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn plus_at(
                    self,
                    key: &Expanded,
                    number: usize,
                    block: impl Fn(usize) -> V,
                    (at, together): (usize, usize),
                ) -> Self {
                    let key = if together == 2 { read_anew(key) } else { key };
                    // SAFETY: there are as many powers as blocks.
                    let power = |number: usize| unsafe { powers(key, at + number * WIDTH) };
                    match number.checked_sub(1) {
                        Some(below) if together == 2 => {
                            self.plus_two([block(number), block(below)], [power(number), power(below)])
                        }
                        _ => self.plus(block(number), power(number)),
                    }
                }

                /// With a group of a text that is there, and stays or will be written.
                #[allow(unsafe_code, reason = "see Place")]
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) unsafe fn plus_group<const STAYS: bool>(
                    mut self,
                    key: &Expanded,
                    place: Place,
                    carry: V,
                ) -> Self {
                    // SAFETY: the caller has the octets of a group.
                    let block = |number| unsafe {
                        if STAYS { place.block(number, carry) } else { place.block_to_open(number, carry) }
                    };
                    for number in (0..VECTORS).rev().step_by(TOGETHER) {
                        // SAFETY: there are as many powers as blocks.
                        self = unsafe { self.plus_at(key, number, block, (OF_GROUP, TOGETHER)) };
                    }
                    self
                }

                /// As where powers are made, in each block, and the sum of these.
                #[target_feature(enable = $features)]
                #[inline]
                pub(crate) fn reduced(self) -> __m128i {
                    let polynomial = splat_halves(POLYNOMIAL);
                    let middle = middle_alone(self.middle, self.low, self.high);
                    let once = multiply::<0x00>(self.low, polynomial);
                    let middle = xor3(middle, crossed(self.low), once);
                    let twice = multiply::<0x00>(middle, polynomial);
                    fold(xor3(self.high, crossed(middle), twice))
                }
            }

            /// A power of H. Powers are named by where they are: the first one ends at [`END`].
            #[allow(
                unsafe_code,
                reason = "a bounds check for each vector would be a tenth of the instructions"
            )]
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn power(key: &Expanded, at: usize) -> __m128i {
                debug_assert!(at < END);
                // SAFETY: asserted by those who call it.
                unsafe { _mm_load_si128(key.powers_from(at).cast()) }
            }

            /// The power from this place on, and those below it; and what is after the first one,
            /// for blocks of zeros.
            #[allow(unsafe_code, reason = "as power")]
            #[target_feature(enable = $features)]
            #[inline]
            pub(crate) unsafe fn powers(key: &Expanded, at: usize) -> V {
                debug_assert!(at + WIDTH <= END + AFTER_POWERS);
                // SAFETY: asserted by those who call it.
                unsafe { load(key.powers_from(at)) }
            }

            /// Where the powers of the octets up to one of this number begin, at most a group:
            /// after them come the lengths.
            pub(crate) const fn powers_of_end(last_octet: usize) -> usize {
                END - 2 * BLOCK - last_octet / BLOCK * BLOCK
            }

            /// The products of what is in front of a text that is not longer than a group, and of
            /// the lengths.
            #[allow(unsafe_code, reason = "see power")]
            #[target_feature(enable = $features)]
            #[inline]
            pub(crate) fn ends(key: &Expanded, front: __m128i, lengths: __m128i, last_octet: usize) -> Sum {
                // SAFETY: there are more powers than blocks of a group.
                let (highest, lowest) =
                    unsafe { (power(key, powers_of_end(last_octet) - BLOCK), power(key, END - BLOCK)) };
                let (blocks, powers) = (pair(front, lengths), pair(highest, lowest));
                let mut sum = Sum::of(blocks[0], powers[0]);
                for number in 1..blocks.len() {
                    sum = sum.plus(blocks[number], powers[number]);
                }
                sum
            }

            /// The product of what is in front of a text that is longer than a group.
            #[allow(unsafe_code, reason = "see power")]
            #[target_feature(enable = $features)]
            #[inline]
            pub(crate) fn begin(key: &Expanded, front: __m128i) -> Sum {
                // SAFETY: as above.
                Sum::of(low(front), low(unsafe { power(key, OF_GROUP - BLOCK) }))
            }

            /// The product of the lengths.
            #[allow(unsafe_code, reason = "see power")]
            #[target_feature(enable = $features)]
            #[inline]
            pub(crate) fn end(key: &Expanded, lengths: __m128i) -> Sum {
                // SAFETY: it is the first power.
                Sum::of(low(lengths), low(unsafe { power(key, END - BLOCK) }))
            }
        }
    };
}

each_width!(hash);

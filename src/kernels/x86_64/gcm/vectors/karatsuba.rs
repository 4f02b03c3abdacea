//! Products in the way of Karatsuba: three of halves, not four, where a product costs more than a
//! few sums.

/// The products that a sum keeps beside those of the low and of the high halves.
macro_rules! karatsuba {
    ($features:literal) => {
        /// Whether key stream that is made while a text is hashed, and written, read and wiped
        /// until it is used, is there sooner than if it is made when it is used. Where hashing
        /// waits for products it is not, up to 1400 octets (Zen 5, all widths).
        pub(crate) const HOLDS: bool = false;

        /// The products of halves of different places, and of halves of the same place: one
        /// product, of sums of halves.
        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn middle(a: V, b: V) -> V {
            multiply::<0x00>(xor(a, crossed(a)), xor(b, crossed(b)))
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn middle_plus(sum: V, a: V, b: V) -> V {
            xor(sum, middle(a, b))
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn middle_alone(middle: V, low: V, high: V) -> V {
            xor3(middle, low, high)
        }
    };
}

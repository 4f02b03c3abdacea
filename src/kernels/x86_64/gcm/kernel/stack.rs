//! What a call leaves on the stack.

macro_rules! stack {
    ($width:ident, $features:literal) => {
        pub(crate) mod $width {
            use core::mem::MaybeUninit;

            use zeroize::optimization_barrier;

            use super::super::super::vectors::$width::*;
            use super::super::text::$width::WIDTH;

            /// Whether the code for short texts, too, has more values at once than registers.
            pub(crate) const SPILLS: bool = LANES < 4;

            /// Wipes so many octets where the stack of a function was that has been called: those
            /// for long texts have more values at once than registers.
            #[allow(unsafe_code, reason = "stores to where lines begin take pointers")]
            #[target_feature(enable = $features)]
            #[inline(never)]
            pub(crate) fn wipe_stack<const N: usize>() {
                const { assert!(N >= 2 * WIDTH && N.is_multiple_of(WIDTH)) };
                let mut stack = MaybeUninit::<[u8; N]>::uninit();
                let start = stack.as_mut_ptr().cast::<u8>();
                let zeros = zeros();
                // SAFETY: all of it is within the array: from its first line on one vector less
                // than it has, and both of its ends.
                unsafe {
                    let line = start.add(start.addr().wrapping_neg() % WIDTH);
                    for number in 0..N / WIDTH - 1 {
                        store(line.add(number * WIDTH), zeros);
                    }
                    store(start, zeros);
                    store(start.add(N - WIDTH), zeros);
                }
                optimization_barrier(&stack);
            }
        }
    };
}

each_width!(stack);

//! What the two widths of AVX2 have in common: masks are of words, and products are those of
//! [`super::karatsuba`].

/// Functions of a width, of those that need its instructions.
macro_rules! avx2 {
    ($features:literal, $register:ident) => {
        /// What a payload has at least that has a trailer.
        pub(crate) const SHORTEST: usize = 4;
        /// Octets of a vector.
        const WIDTH: usize = LANES * 16;

        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn xor3(a: V, b: V, c: V) -> V {
            xor(a, xor(b, c))
        }

        one_by_one!($features);
        karatsuba!($features);

        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn cut(a: V, octets: usize) -> V {
            and(a, mask(octets))
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn word(a: V, number: usize) -> u32 {
            _mm_cvtsi128_si32(lowest(permuted(a, splat(_mm_set1_epi32(number as i32))))) as u32
        }

        /// Ones for so many octets, and zeros.
        #[target_feature(enable = $features)]
        #[inline]
        fn mask(octets: usize) -> V {
            debug_assert!(octets <= WIDTH);
            // SAFETY: there are as many octets after each place, here and below.
            unsafe { load(MASKS.as_ptr().add(ZEROS - octets)) }
        }

        /// Up to eight octets, from a word on, among zeros.
        #[target_feature(enable = $features)]
        #[inline]
        fn words_at(octets: u64, word: usize) -> V {
            debug_assert!(word <= WIDTH / 4);
            let numbers = unsafe { load(TWO_WORDS.as_ptr().add(8 - word).cast()) };
            permuted(low(_mm_set_epi64x(0, octets as i64)), numbers)
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) unsafe fn load_part(from: *const u8, octets: usize) -> V {
            let part = octets % 4;
            // SAFETY: as the caller says, here and below.
            unsafe {
                let words = load_words(from, mask(octets));
                if part == 0 {
                    return words;
                }
                xor(words, words_at(less_than_a_word(from.add(octets - part), part), octets / 4))
            }
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) unsafe fn load_end(from: *const u8, octets: usize, text: Text) -> V {
            let trailer = text.trailer();
            let payload = octets - trailer.len();
            unsafe {
                let end = end_of(from.add(payload), payload % 4, trailer);
                xor(load_words(from, mask(payload)), words_at(end, payload / 4))
            }
        }

        /// Writes the end of a text, and rewrites the vector before it, if there is one: that is
        /// one store, where a mask takes some processors as long as forty instructions.
        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) unsafe fn store_end(to: *mut u8, octets: usize, before: Option<V>, vector: V) {
            let part = octets % 4;
            unsafe {
                match before {
                    Some(before) if part == 0 => {
                        let numbers = load(WORDS_TWICE.as_ptr().add(octets / 4).cast());
                        let mask = load(MASKS.as_ptr().add(ZEROS + 32 - WIDTH + octets));
                        let end = blended(permuted(before, numbers), permuted(vector, numbers), mask);
                        store(to.add(octets).sub(WIDTH), end);
                    }
                    Some(_) | None => {
                        store_words(to, mask(octets), vector);
                        if part != 0 {
                            write_less_than_a_word(to.add(octets - part), part, word(vector, octets / 4));
                        }
                    }
                }
            }
        }

        /// The same vector. The compiler leaves what makes it in its place among others of this
        /// kind: it would put rounds of AES behind each other, and the key stream behind the
        /// comparison of the ICV.
        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn in_order(mut vector: V) -> V {
            // SAFETY: no instructions.
            unsafe {
                asm!("/* {0} */", inout($register) vector, options(nomem, nostack, preserves_flags));
            }
            vector
        }

        /// The same vector and block, at the same time: the compiler would encrypt one after the
        /// other, and keep round keys on the stack for that.
        #[target_feature(enable = $features)]
        #[inline]
        pub(crate) fn together(mut vector: V, mut block: __m128i) -> (V, __m128i) {
            // SAFETY: no instructions.
            unsafe {
                asm!(
                    "/* {0} {1} */",
                    inout($register) vector,
                    inout(xmm_reg) block,
                    options(nomem, nostack, preserves_flags)
                );
            }
            (vector, block)
        }
    };
}

//! AES-GCM over vectors of blocks, written once for two widths.
//!
//! GHASH is computed as POLYVAL (RFC 8452 appendix A): blocks in the other order of octets, H
//! multiplied by x. Products of blocks with powers of H are summed, and reduced once for a group of
//! blocks; what was reduced is added to the first block of the next group. What is in front of the
//! text has the power after those of the first group, and the lengths, which are the last block,
//! have the first power: neither waits for the text.

/// The functions of one width.
macro_rules! gcm {
    ($width:ident, $features:literal, $group:literal) => {
        pub(super) mod $width {
            use core::arch::x86_64::*;

            use super::super::material::{BLOCK, Expanded, LAST_POWER, Packet};
            use super::super::powers::reduced;
            use super::super::vectors::$width::{
                LANES, V, add, cut, first, fold, keyed, last_round, load, load_part, multiply, numbers,
                round, splat, store, store_part, swap, xor, xor3,
            };
            use super::super::vectors::{front, j0, swapped};
            use safe_unaligned_simd::x86_64::{_mm_loadu_si128, _mm_storeu_si128};

            /// Vectors of a group.
            const VECTORS: usize = $group;
            /// Blocks whose products are reduced together.
            const GROUP: usize = VECTORS * LANES;
            const WIDTH: usize = LANES * BLOCK;
            const _: () = assert!(GROUP < LAST_POWER);

            /// A sum of products that has not been reduced.
            #[derive(Clone, Copy)]
            struct Sum {
                low: V,
                middle: V,
                high: V,
            }

            impl Sum {
                #[target_feature(enable = $features)]
                #[inline]
                fn of(a: V, b: V) -> Self {
                    Self {
                        low: multiply::<0x00>(a, b),
                        middle: xor(multiply::<0x01>(a, b), multiply::<0x10>(a, b)),
                        high: multiply::<0x11>(a, b),
                    }
                }

                #[target_feature(enable = $features)]
                #[inline]
                fn plus(self, a: V, b: V) -> Self {
                    Self {
                        low: xor(self.low, multiply::<0x00>(a, b)),
                        middle: xor3(self.middle, multiply::<0x01>(a, b), multiply::<0x10>(a, b)),
                        high: xor(self.high, multiply::<0x11>(a, b)),
                    }
                }

                #[target_feature(enable = $features)]
                #[inline]
                fn reduced(self) -> __m128i {
                    reduced(fold(self.low), fold(self.middle), fold(self.high))
                }
            }

            /// The counters of the next blocks, in the other order of octets.
            struct Counters(V);

            impl Counters {
                /// From the second one on: the first (J0) is for the ICV.
                #[target_feature(enable = $features)]
                #[inline]
                fn new(j0: __m128i) -> Self {
                    let two = add(splat(j0), splat(_mm_set_epi64x(0, 1)));
                    Self(add(two, numbers()))
                }

                #[target_feature(enable = $features)]
                #[inline]
                fn key_stream<const N: usize>(&mut self, key: &Expanded) -> [V; N] {
                    let round_key = |number: usize| splat(_mm_loadu_si128(&key.round_keys[number]));
                    let mut state = [self.0; N];
                    for vector in &mut state {
                        *vector = xor(swap(self.0), round_key(0));
                        self.0 = add(self.0, splat(_mm_set_epi64x(0, LANES as i64)));
                    }
                    for number in 1..10 {
                        let key = round_key(number);
                        for vector in &mut state {
                            *vector = round(*vector, key);
                        }
                    }
                    let key = round_key(10);
                    for vector in &mut state {
                        *vector = last_round(*vector, key);
                    }
                    state
                }
            }

            /// One block.
            #[target_feature(enable = $features)]
            #[inline]
            fn encrypt_block(key: &Expanded, block: __m128i) -> __m128i {
                let mut state = _mm_xor_si128(block, _mm_loadu_si128(&key.round_keys[0]));
                for key in &key.round_keys[1..10] {
                    state = _mm_aesenc_si128(state, _mm_loadu_si128(key));
                }
                _mm_aesenclast_si128(state, _mm_loadu_si128(&key.round_keys[10]))
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn power(key: &Expanded, power: usize) -> V {
                first(_mm_loadu_si128(&key.powers[LAST_POWER - power]))
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn nothing() -> Sum {
                let zeros = splat(_mm_setzero_si128());
                Sum { low: zeros, middle: zeros, high: zeros }
            }

            /// The sum that a group begins with when this much text is left: nothing, or the
            /// product of the lengths if it is the last.
            #[target_feature(enable = $features)]
            #[inline]
            fn begin(key: &Expanded, lengths: (u64, u64), left: usize) -> Sum {
                if left >= GROUP * BLOCK {
                    return nothing();
                }
                Sum::of(first(_mm_set_epi64x(lengths.0 as i64, lengths.1 as i64)), power(key, 1))
            }

            /// The same with what is in front of the text, and what is added to its first block.
            #[target_feature(enable = $features)]
            #[inline]
            fn begin_after(key: &Expanded, packet: &Packet, len: usize) -> (Sum, V) {
                let front = first(front(packet));
                let sum = begin(key, packet.lengths(len), len);
                let exponent = if len >= GROUP * BLOCK { GROUP + 1 } else { len.div_ceil(BLOCK) + 2 };
                (sum.plus(front, power(key, exponent)), splat(_mm_setzero_si128()))
            }

            /// Encrypts a text in place and returns the ICV of it and of what is in front.
            #[target_feature(enable = $features)]
            pub(in super::super) fn seal(key: &Expanded, packet: &Packet, text: &mut [u8]) -> [u8; BLOCK] {
                let j0 = j0(key, packet);
                let lengths = packet.lengths(text.len());
                let mut counters = Counters::new(j0);
                let last = encrypt_block(key, swapped(j0));
                // What was reduced is added to the next block of text.
                let (mut sum, mut carry) = begin_after(key, packet, text.len());
                let mut rest = text;
                while rest.len() >= GROUP * BLOCK {
                    let Some((group, others)) =
                        core::mem::take(&mut rest).split_at_mut_checked(GROUP * BLOCK)
                    else {
                        break;
                    };
                    rest = others;
                    let stream = counters.key_stream::<VECTORS>(key);
                    for (number, (octets, stream)) in
                        group.as_chunks_mut::<WIDTH>().0.iter_mut().zip(stream).enumerate()
                    {
                        let done = xor(load(octets), stream);
                        store(octets, done);
                        let block = if number == 0 { xor(swap(done), carry) } else { swap(done) };
                        sum = sum.plus(block, keyed(&key.powers, LAST_POWER - GROUP + number * LANES));
                    }
                    carry = first(sum.reduced());
                    sum = begin(key, lengths, rest.len());
                }
                let mut exponent = rest.len().div_ceil(BLOCK) + 1;
                if rest.is_empty() {
                    sum = sum.plus(carry, power(key, 1));
                }
                while !rest.is_empty() {
                    for stream in counters.key_stream::<2>(key) {
                        let len = WIDTH.min(rest.len());
                        let Some((octets, others)) = core::mem::take(&mut rest).split_at_mut_checked(len)
                        else {
                            break;
                        };
                        rest = others;
                        if octets.is_empty() {
                            break;
                        }
                        let done = if let Some(octets) = octets.first_chunk_mut::<WIDTH>() {
                            let done = xor(load(octets), stream);
                            store(octets, done);
                            done
                        } else {
                            let done = xor(load_part(octets), stream);
                            store_part(octets, done);
                            // Zeros after the text are hashed, not what the cipher makes of them.
                            cut(done, octets)
                        };
                        let block = xor(swap(done), carry);
                        sum = sum.plus(block, keyed(&key.powers, LAST_POWER - exponent));
                        carry = splat(_mm_setzero_si128());
                        exponent -= LANES.min(exponent);
                    }
                }
                finish(sum, last)
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn finish(sum: Sum, last: __m128i) -> [u8; BLOCK] {
                let mut icv = [0; BLOCK];
                _mm_storeu_si128(&mut icv, _mm_xor_si128(swapped(sum.reduced()), last));
                icv
            }

            /// The ICV of a text and of what is in front of it.
            #[target_feature(enable = $features)]
            pub(in super::super) fn icv(key: &Expanded, packet: &Packet, text: &[u8]) -> [u8; BLOCK] {
                let last = encrypt_block(key, swapped(j0(key, packet)));
                let lengths = packet.lengths(text.len());
                let (mut sum, mut carry) = begin_after(key, packet, text.len());
                let mut rest = text;
                while let Some((group, others)) = rest.split_at_checked(GROUP * BLOCK) {
                    rest = others;
                    for (number, octets) in group.as_chunks::<WIDTH>().0.iter().enumerate() {
                        let block = swap(load(octets));
                        let block = if number == 0 { xor(block, carry) } else { block };
                        sum = sum.plus(block, keyed(&key.powers, LAST_POWER - GROUP + number * LANES));
                    }
                    carry = first(sum.reduced());
                    sum = begin(key, lengths, rest.len());
                }
                let mut exponent = rest.len().div_ceil(BLOCK) + 1;
                let (whole, part) = rest.as_chunks::<WIDTH>();
                for octets in whole {
                    sum = sum.plus(xor(swap(load(octets)), carry), keyed(&key.powers, LAST_POWER - exponent));
                    carry = splat(_mm_setzero_si128());
                    exponent -= LANES.min(exponent);
                }
                if !part.is_empty() {
                    let block = xor(swap(load_part(part)), carry);
                    sum = sum.plus(block, keyed(&key.powers, LAST_POWER - exponent));
                } else if whole.is_empty() {
                    sum = sum.plus(carry, power(key, 1));
                }
                finish(sum, last)
            }

            /// Encrypts or decrypts into a buffer that is as long as the text.
            #[target_feature(enable = $features)]
            pub(in super::super) fn crypt_into(key: &Expanded, packet: &Packet, from: &[u8], to: &mut [u8]) {
                let mut counters = Counters::new(j0(key, packet));
                let (mut from, mut to) = (from, to);
                while from.len() >= GROUP * BLOCK {
                    let (Some((group, others)), Some((out, rest))) = (
                        from.split_at_checked(GROUP * BLOCK),
                        core::mem::take(&mut to).split_at_mut_checked(GROUP * BLOCK),
                    ) else {
                        return;
                    };
                    (from, to) = (others, rest);
                    let stream = counters.key_stream::<VECTORS>(key);
                    let out = out.as_chunks_mut::<WIDTH>().0.iter_mut();
                    for ((out, octets), stream) in out.zip(group.as_chunks::<WIDTH>().0).zip(stream) {
                        store(out, xor(load(octets), stream));
                    }
                }
                while !from.is_empty() {
                    let [stream, second] = counters.key_stream::<2>(key);
                    for stream in [stream, second] {
                        let len = WIDTH.min(from.len());
                        let (Some((octets, others)), Some((out, rest))) =
                            (from.split_at_checked(len), to.split_at_mut_checked(len))
                        else {
                            return;
                        };
                        (from, to) = (others, rest);
                        match (octets.first_chunk::<WIDTH>(), out.first_chunk_mut::<WIDTH>()) {
                            (Some(octets), Some(out)) => store(out, xor(load(octets), stream)),
                            _ => store_part(out, xor(load_part(octets), stream)),
                        }
                    }
                }
            }

            /// Encrypts or decrypts in place.
            #[target_feature(enable = $features)]
            pub(in super::super) fn crypt(key: &Expanded, packet: &Packet, text: &mut [u8]) {
                let mut counters = Counters::new(j0(key, packet));
                let mut rest = text;
                while rest.len() >= GROUP * BLOCK {
                    let Some((group, others)) =
                        core::mem::take(&mut rest).split_at_mut_checked(GROUP * BLOCK)
                    else {
                        break;
                    };
                    rest = others;
                    let stream = counters.key_stream::<VECTORS>(key);
                    for (octets, stream) in group.as_chunks_mut::<WIDTH>().0.iter_mut().zip(stream) {
                        store(octets, xor(load(octets), stream));
                    }
                }
                while !rest.is_empty() {
                    let [stream, second] = counters.key_stream::<2>(key);
                    for stream in [stream, second] {
                        let len = WIDTH.min(rest.len());
                        let Some((octets, others)) = core::mem::take(&mut rest).split_at_mut_checked(len)
                        else {
                            return;
                        };
                        rest = others;
                        match octets.first_chunk_mut::<WIDTH>() {
                            Some(octets) => store(octets, xor(load(octets), stream)),
                            None => store_part(octets, xor(load_part(octets), stream)),
                        }
                    }
                }
            }
        }
    };
}

gcm!(one, "avx2,aes,pclmulqdq", 8);
gcm!(two, "avx2,aes,pclmulqdq,vaes,vpclmulqdq", 8);

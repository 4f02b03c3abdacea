//! AES-GCM with VAES and VPCLMULQDQ in 512 bits: a packet is encrypted and authenticated, or
//! authenticated and decrypted, in one pass.
//!
//! GHASH is summed as in [`kernel`](super::kernel). Other units of the processor multiply than
//! those that encrypt, so that blocks are hashed between the rounds of AES: when a packet is
//! sealed, those of the group before; when it is opened, those that the key stream is for. The last
//! vectors of a text, up to eight, are one piece of straight code; the trailer of ESP is put into
//! the last of them in a register, since what has just been written cannot be read back in vectors
//! without waiting.
//!
//! When a packet is opened, the key stream waits for the ICV to be compared: nothing is decrypted
//! before.

use core::arch::asm;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;
use core::ptr;

use safe_unaligned_simd::x86_64::{_mm_loadu_si128, _mm_storeu_si128, _mm512_loadu_si512 as load};
use zeroize::optimization_barrier;

use super::material::{BLOCK, Expanded, LAST_POWER, Trailer};
use super::powers::POLYNOMIAL;
use super::vectors::four::{LANES, first as low, fold, last_round, multiply, round, splat, swap, xor, xor3};
use super::vectors::swapped;

type V = __m512i;

/// Octets of a vector.
pub(super) const WIDTH: usize = LANES * BLOCK;
/// Vectors of a group, whose products are reduced together.
const VECTORS: usize = 8;
pub(super) const GROUP: usize = VECTORS * WIDTH;
/// Octets up to the end of the first power.
const END: usize = LAST_POWER * BLOCK;
/// Where the powers of the blocks of a group begin.
const OF_GROUP: usize = END - GROUP;
const _: () = assert!(GROUP / BLOCK + 2 <= LAST_POWER);
/// Groups whose key stream is held in memory until the ICV has been compared.
const HELD: usize = 7;

/// The numbers of the counter blocks of a group, from what they are counted from: the first block
/// of a text has number 2. The last two are those of the next group.
static NUMBERS: [[u8; WIDTH]; VECTORS] = {
    const BLOCKS: usize = VECTORS * LANES;
    let mut numbers = [[0; WIDTH]; VECTORS];
    let mut number = 0;
    while number < BLOCKS {
        numbers[number / LANES][number % LANES * BLOCK + BLOCK - 1] = ((number + 2) % BLOCKS) as u8;
        number += 1;
    }
    numbers
};

/// What the blocks of a group are counted from: the number of the first one but two, which has no
/// bits that the numbers counted from it have.
#[derive(Clone, Copy)]
struct Numbering {
    /// In the highest word.
    number: __m128i,
    /// Salt, IV and number, after the first addition of a key.
    base: __m128i,
}

/// A sum of products that has not been reduced.
#[derive(Clone, Copy)]
struct Sum {
    low: V,
    middle: V,
    high: V,
}

macro_rules! functions {
    ($($item:item)*) => {
        $(
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq")]
            #[inline]
            $item
        )*
    };
}

impl Numbering {
    functions! {
        fn group(nonce: __m128i, group: usize) -> Self {
            let number = _mm_set_epi32((group * GROUP / BLOCK) as i32, 0, 0, 0);
            Self { number, base: _mm_xor_si128(nonce, words_swapped(number)) }
        }

        fn after(&mut self, nonce: __m128i) {
            self.number = _mm_add_epi32(self.number, _mm_set_epi32((GROUP / BLOCK) as i32, 0, 0, 0));
            self.base = _mm_xor_si128(nonce, words_swapped(self.number));
        }
    }
}

impl Sum {
    functions! {
        fn zero() -> Self {
            let zeros = _mm512_setzero_si512();
            Self { low: zeros, middle: zeros, high: zeros }
        }

        fn of(a: V, b: V) -> Self {
            Self {
                low: multiply::<0x00>(a, b),
                middle: xor(multiply::<0x01>(a, b), multiply::<0x10>(a, b)),
                high: multiply::<0x11>(a, b),
            }
        }

        fn plus(self, a: V, b: V) -> Self {
            Self {
                low: xor(self.low, multiply::<0x00>(a, b)),
                middle: xor3(self.middle, multiply::<0x01>(a, b), multiply::<0x10>(a, b)),
                high: xor(self.high, multiply::<0x11>(a, b)),
            }
        }

        /// With a group of a text that is there.
        #[allow(unsafe_code, reason = "see Place")]
        unsafe fn plus_group(mut self, key: &Expanded, place: Place, carry: V) -> Self {
            for number in 0..VECTORS {
                // SAFETY: there are as many powers as blocks.
                let (block, powers) =
                    unsafe { (place.block_to_open(number, carry), powers(key, OF_GROUP + number * WIDTH)) };
                self = self.plus(block, powers);
            }
            self
        }

        /// As [`reduced`](super::powers::reduced), in each block, and the sum of these.
        fn reduced(self) -> __m128i {
            let polynomial = _mm512_set1_epi64(POLYNOMIAL as i64);
            let low = xor(self.low, _mm512_bslli_epi128::<8>(self.middle));
            let high = xor(self.high, _mm512_bsrli_epi128::<8>(self.middle));
            let low = xor(_mm512_shuffle_epi32::<0x4e>(low), multiply::<0x00>(low, polynomial));
            let twice = multiply::<0x00>(low, polynomial);
            fold(xor3(high, _mm512_shuffle_epi32::<0x4e>(low), twice))
        }
    }
}

functions! {
    /// A one for each of up to 64 octets.
    fn mask(octets: usize) -> __mmask64 {
        _bzhi_u64(u64::MAX, octets as u32)
    }

    /// A power of H. Powers are named by where they are: the first one ends at [`END`].
    #[allow(unsafe_code, reason = "a bounds check for each vector would be a tenth of the instructions")]
    unsafe fn power(key: &Expanded, at: usize) -> __m128i {
        debug_assert!(at < END);
        // SAFETY: asserted by those who call it.
        unsafe { _mm_load_si128(key.powers.as_ptr().byte_add(at).cast()) }
    }

    /// The power from this place on, and those below it.
    #[allow(unsafe_code, reason = "as power")]
    unsafe fn powers(key: &Expanded, at: usize) -> V {
        debug_assert!(at + WIDTH <= size_of_val(&key.powers));
        // SAFETY: asserted by those who call it.
        unsafe { _mm512_loadu_si512(key.powers.as_ptr().byte_add(at).cast()) }
    }

    /// The products of what is in front of a text that is not longer than a group, and of the
    /// lengths.
    #[allow(unsafe_code, reason = "see power")]
    fn ends(key: &Expanded, front: __m128i, lengths: __m128i, len: usize) -> Sum {
        let blocks = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(front), lengths);
        // SAFETY: there are more powers than blocks of a group.
        let (highest, lowest) = unsafe { (power(key, powers_of_end(len) - BLOCK), power(key, END - BLOCK)) };
        let powers = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(highest), lowest);
        Sum::of(_mm512_zextsi256_si512(blocks), _mm512_zextsi256_si512(powers))
    }

    /// The product of what is in front of a text that is longer than a group.
    #[allow(unsafe_code, reason = "see power")]
    fn begin(key: &Expanded, front: __m128i) -> Sum {
        // SAFETY: as above.
        Sum::of(low(front), low(unsafe { power(key, OF_GROUP - BLOCK) }))
    }

    /// The product of the lengths.
    #[allow(unsafe_code, reason = "see power")]
    fn end(key: &Expanded, lengths: __m128i) -> Sum {
        // SAFETY: it is the first power.
        Sum::of(low(lengths), low(unsafe { power(key, END - BLOCK) }))
    }

    /// Salt and IV, and zeros where the counter will be, after the first addition of a key.
    fn nonce(key: &Expanded, iv: u64) -> __m128i {
        let nonce = _mm_set_epi64x((iv >> 32) as i64, (iv << 32 | u64::from(key.salt)) as i64);
        _mm_xor_si128(nonce, _mm_loadu_si128(&key.round_keys[0]))
    }

    /// The block before the text (J0), which has number 1.
    fn j0(nonce: __m128i) -> __m128i {
        _mm_xor_si128(nonce, _mm_set_epi32(1 << 24, 0, 0, 0))
    }

    /// The next counter blocks of a text, of which a group at most has been counted before each
    /// call.
    fn next_counters<const N: usize>(nonce: __m128i, numbering: &mut Numbering) -> [V; N] {
        let mut blocks = [splat(numbering.base); N];
        numbering.after(nonce);
        for (number, block) in blocks.iter_mut().enumerate() {
            if number + 1 == VECTORS {
                // The last two numbers of a group are those that the next one is counted from.
                *block = _mm512_mask_broadcast_i32x4(*block, 0xff00, numbering.base);
            }
            *block = xor(*block, load(&NUMBERS[number]));
        }
        blocks
    }

    /// The octets of each word in the other order.
    fn words_swapped(words: __m128i) -> __m128i {
        _mm_shuffle_epi8(words, _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203))
    }

    /// What lengths are hashed as: octets that are only authenticated, and those that are encrypted
    /// too.
    fn lengths(front: usize, text: usize) -> __m128i {
        _mm_set_epi64x(8 * front as i64, 8 * text as i64)
    }

    /// What is in front of a text, in the other order of octets.
    fn block(first: u64, second: u64) -> __m128i {
        _mm_set_epi64x(first as i64, second as i64)
    }

    /// The same vector. The compiler leaves what makes it in its place among others of this kind:
    /// it would put rounds of AES behind each other, and the key stream behind the comparison of
    /// the ICV.
    #[allow(unsafe_code, reason = "no other means")]
    fn in_order(mut vector: V) -> V {
        // SAFETY: no instructions.
        unsafe { asm!("/* {0} */", inout(zmm_reg) vector, options(nomem, nostack, preserves_flags)) };
        vector
    }

    /// The same key. The compiler does not know that, and reads what it needs of it where it needs
    /// it: it would keep that on the stack, which is not wiped.
    #[allow(unsafe_code, reason = "no other means")]
    fn read_anew(key: &Expanded) -> &Expanded {
        let mut pointer: *const Expanded = key;
        // SAFETY: no instructions.
        unsafe {
            asm!("/* {0} */", inout(reg) pointer, options(readonly, nostack, preserves_flags));
            &*pointer
        }
    }

    fn no_block(_: usize) -> V {
        _mm512_setzero_si512()
    }

    /// The cipher of one block.
    fn encrypted(key: &Expanded, mut block: __m128i) -> __m128i {
        for key in &key.round_keys[1..10] {
            block = _mm_aesenc_si128(block, _mm_loadu_si128(key));
        }
        _mm_aesenclast_si128(block, _mm_loadu_si128(&key.round_keys[10]))
    }
}

/// A round of [`key_stream`].
macro_rules! round_of {
    ($number:literal, $key:expr, $state:ident, $other:ident, $sum:ident, $blocks:expr, $block:expr, $at:expr) => {
        let round_key = splat(_mm_loadu_si128(&$key.round_keys[$number]));
        for vector in &mut $state {
            *vector = round(*vector, round_key);
        }
        $other = _mm_aesenc_si128($other, _mm512_castsi512_si128(round_key));
        if let Some(number) = usize::checked_sub($blocks, $number) {
            // SAFETY: there are as many powers as blocks.
            $sum = $sum.plus($block(number), unsafe { powers($key, $at + number * WIDTH) });
        }
    };
}

/// The cipher of counter blocks, and of another block, which costs no loads of its own; and a
/// vector of blocks is hashed in each round, with the powers from a place on: the last one first,
/// since the first one waits for the sum before it. Not a function: it would return its vectors in
/// memory.
macro_rules! key_stream {
    ($key:expr, $counters:expr, $other:expr, ($sum:ident, $blocks:expr, $block:expr, $at:expr)) => {{
        let (key, mut state, mut other) = (read_anew($key), $counters, $other);
        round_of!(1, key, state, other, $sum, $blocks, $block, $at);
        round_of!(2, key, state, other, $sum, $blocks, $block, $at);
        round_of!(3, key, state, other, $sum, $blocks, $block, $at);
        round_of!(4, key, state, other, $sum, $blocks, $block, $at);
        round_of!(5, key, state, other, $sum, $blocks, $block, $at);
        round_of!(6, key, state, other, $sum, $blocks, $block, $at);
        round_of!(7, key, state, other, $sum, $blocks, $block, $at);
        round_of!(8, key, state, other, $sum, $blocks, $block, $at);
        round_of!(9, key, state, other, $sum, $blocks, $block, $at);
        let round_key = splat(_mm_loadu_si128(&key.round_keys[10]));
        for vector in &mut state {
            *vector = in_order(last_round(*vector, round_key));
        }
        (state, _mm_aesenclast_si128(other, _mm512_castsi512_si128(round_key)))
    }};
}

/// Where a text is read and where it is written: the same place, or two that do not overlap. Not
/// handed to a kernel as one, which would be in memory.
#[derive(Clone, Copy)]
struct Place {
    from: *const u8,
    to: *mut u8,
}

#[allow(unsafe_code, reason = "masked loads and stores, and places that may be the same, take pointers")]
impl Place {
    functions! {
        unsafe fn load(self) -> V {
            unsafe { _mm512_loadu_si512(self.from.cast()) }
        }

        unsafe fn store(self, vector: V) {
            unsafe { _mm512_storeu_si512(self.to.cast(), vector) }
        }

        unsafe fn load_part(self, mask: __mmask64) -> V {
            unsafe { _mm512_maskz_loadu_epi8(mask, self.from.cast()) }
        }

        unsafe fn store_part(self, mask: __mmask64, vector: V) {
            unsafe { _mm512_mask_storeu_epi8(self.to.cast(), mask, vector) }
        }

        unsafe fn after(self, octets: usize) -> Self {
            unsafe { Self { from: self.from.add(octets), to: self.to.wrapping_add(octets) } }
        }

        /// A vector number of a group, or of the end of a text.
        unsafe fn vector(self, number: usize) -> Self {
            unsafe { self.after(number * WIDTH) }
        }

        /// Gets a line before it is written: stores that wait for theirs would follow each other
        /// once the ICV has been compared.
        unsafe fn will_be_written(self) {
            _mm_prefetch::<_MM_HINT_ET0>(self.to.cast());
        }

        /// Blocks of a text that are hashed before it is opened: the carry is added to the first of
        /// them.
        unsafe fn block_to_open(self, number: usize, carry: V) -> V {
            // SAFETY: as the caller says.
            let block = unsafe {
                let place = self.vector(number);
                place.will_be_written();
                swap(place.load())
            };
            if number == 0 { xor(block, carry) } else { block }
        }

        /// Encrypts or decrypts vectors that are whole. Returns what was written, in the other
        /// order of octets.
        unsafe fn crypt<const N: usize>(self, mut stream: [V; N]) -> [V; N] {
            for (number, stream) in stream.iter_mut().enumerate() {
                unsafe {
                    let place = self.vector(number);
                    let done = xor(place.load(), *stream);
                    place.store(done);
                    *stream = swap(done);
                }
            }
            stream
        }

        /// Copies vectors that are whole.
        unsafe fn copy(self, octets: usize) {
            for number in 0..octets / WIDTH {
                unsafe {
                    let place = self.vector(number);
                    place.store(place.load());
                }
            }
        }

        /// The last vector of a text that is sealed: what is there of it, and its trailer.
        unsafe fn load_end(self, octets: usize, trailer: Trailer) -> V {
            let payload = mask(octets - trailer.len);
            let text = unsafe { self.load_part(payload) };
            let trailer = low(_mm_set_epi64x(0, trailer.octets as i64));
            _mm512_mask_expand_epi8(text, mask(octets) & !payload, trailer)
        }
    }
}

/// Where the powers of the last octets of a text begin, at most a group: after them come the
/// lengths.
const fn powers_of_end(octets: usize) -> usize {
    END - BLOCK - octets.next_multiple_of(BLOCK)
}

/// Groups in front of the last vectors of a text, and the octets of these.
const fn parts(len: usize) -> (usize, usize) {
    let groups = len.saturating_sub(1) / GROUP;
    (groups, len - groups * GROUP)
}

/// Whether the last vector of a text has all of its trailer.
#[inline]
pub(super) const fn has_trailer_at_end(len: usize, trailer: Trailer) -> bool {
    len > 0 && (len - 1) % WIDTH >= trailer.len.saturating_sub(1)
}

/// A call for as many vectors as so many octets are: one to eight.
macro_rules! last_vectors {
    ($octets:expr, $call:ident::<_ $(, $more:literal)?>$arguments:tt else $other:expr) => {
        // SAFETY: so many octets are there.
        match $octets.div_ceil(WIDTH) {
            1 => unsafe { $call::<1 $(, $more)?>$arguments },
            2 => unsafe { $call::<2 $(, $more)?>$arguments },
            3 => unsafe { $call::<3 $(, $more)?>$arguments },
            4 => unsafe { $call::<4 $(, $more)?>$arguments },
            5 => unsafe { $call::<5 $(, $more)?>$arguments },
            6 => unsafe { $call::<6 $(, $more)?>$arguments },
            7 => unsafe { $call::<7 $(, $more)?>$arguments },
            8 => unsafe { $call::<8 $(, $more)?>$arguments },
            _ => $other,
        }
    };
}

functions! {
    /// The last vectors of a text that is sealed: so many octets, the trailer among them. `B` is
    /// how many vectors before them have not been hashed yet. Returns the ICV.
    #[allow(unsafe_code, reason = "see Place")]
    unsafe fn seal_last<const N: usize, const B: usize>(
        key: &Expanded,
        (counters, j0, lengths): ([V; N], __m128i, __m128i),
        (place, octets, trailer): (Place, usize, Trailer),
        (mut sum, before): (Sum, &[V; B]),
    ) -> __m128i {
        let (mut stream, other) = key_stream!(key, counters, j0, (sum, B, |number: usize| before[number], OF_GROUP));
        let last = N - 1;
        for (number, stream) in stream.iter_mut().enumerate() {
            // SAFETY: the vectors before the last one are whole.
            unsafe {
                let place = place.vector(number);
                if number < last {
                    *stream = xor(place.load(), *stream);
                    place.store(*stream);
                } else {
                    let octets = octets - last * WIDTH;
                    // Zeros after the text are hashed, not what the cipher makes of them.
                    *stream = _mm512_maskz_mov_epi8(mask(octets), xor(place.load_end(octets, trailer), *stream));
                    place.store_part(mask(octets), *stream);
                }
            }
        }
        let mut carry = _mm512_setzero_si512();
        if B > 0 {
            carry = low(sum.reduced());
            sum = end(key, lengths);
        }
        let at = powers_of_end(octets);
        for number in (0..N).rev() {
            let block = swap(stream[number]);
            let block = if number == 0 { xor(block, carry) } else { block };
            sum = sum.plus(block, unsafe { powers(key, at + number * WIDTH) });
        }
        _mm_xor_si128(swapped(sum.reduced()), other)
    }

    /// The last vectors of a text that is opened: they are decrypted if the ICV is right. Returns
    /// the last word. With one caller each, these are not functions, whose arguments would be in
    /// memory.
    #[allow(unsafe_code, reason = "see Place")]
    unsafe fn open_last<const N: usize, const IS_LONG: bool>(
        key: &Expanded,
        (counters, j0): ([V; N], __m128i),
        (place, octets): (Place, usize),
        (mut sum, carry): (Sum, V),
        icv: __m128i,
    ) -> Option<u32> {
        let last = N - 1;
        let rest = octets - last * WIDTH;
        // SAFETY: the vectors before the last one are whole, here and below.
        let block = |number| unsafe {
            if number < last {
                return place.block_to_open(number, carry);
            }
            let place = place.vector(number);
            place.will_be_written();
            let block = swap(place.load_part(mask(rest)));
            if number == 0 { xor(block, carry) } else { block }
        };
        let (stream, other) = key_stream!(key, counters, j0, (sum, N, block, powers_of_end(octets)));
        let made = _mm_xor_si128(swapped(sum.reduced()), other);
        if !is_zero(_mm_xor_si128(made, icv)) {
            return None;
        }
        let mut done = _mm512_setzero_si512();
        for (number, stream) in stream.into_iter().enumerate() {
            unsafe {
                let place = place.vector(number);
                if number < last {
                    place.store(xor(place.load(), stream));
                } else {
                    done = xor(place.load_part(mask(rest)), stream);
                    place.store_part(mask(rest), done);
                }
            }
        }
        let done = _mm512_permutexvar_epi32(_mm512_set1_epi32((rest / 4) as i32 - 1), done);
        Some(_mm_cvtsi128_si32(_mm512_castsi512_si128(done)) as u32)
    }

    /// The ICV of a text of one group at most that is not encrypted; its last vector is given. With
    /// one caller each, for sealing and for opening, these are not functions either.
    #[allow(unsafe_code, reason = "see Place")]
    unsafe fn icv_of_clear<const N: usize, const SEALS: bool>(
        key: &Expanded,
        (front, lengths, j0): (__m128i, __m128i, __m128i),
        (place, len): (Place, usize),
        last: V,
    ) -> __m128i {
        // SAFETY: the vectors before the last one are whole.
        let block = |number| swap(if number + 1 < N { unsafe { place.vector(number).load() } } else { last });
        let mut sum = ends(key, front, lengths, len);
        let no_counters: [V; 0] = [];
        let (_, other) = key_stream!(key, no_counters, j0, (sum, N, block, powers_of_end(len)));
        _mm_xor_si128(swapped(sum.reduced()), other)
    }

    /// What is in front of a text, the text and the lengths, hashed; its last vector is given.
    #[allow(unsafe_code, reason = "see Place")]
    unsafe fn hashed(
        key: &Expanded,
        (front, lengths): (__m128i, __m128i),
        (mut place, len): (Place, usize),
        last: V,
    ) -> __m128i {
        let (groups, octets) = parts(len);
        let mut sum = if groups == 0 { ends(key, front, lengths, len) } else { begin(key, front) };
        let mut carry = _mm512_setzero_si512();
        for group in 1..=groups {
            // SAFETY: more octets than a group are left.
            unsafe {
                sum = sum.plus_group(key, place, carry);
                place = place.after(GROUP);
            }
            carry = low(sum.reduced());
            sum = if group == groups { end(key, lengths) } else { Sum::zero() };
        }
        let mut at = powers_of_end(octets);
        for _ in 1..octets.div_ceil(WIDTH) {
            // SAFETY: this vector is not the last one.
            unsafe {
                sum = sum.plus(xor(swap(place.load()), carry), powers(key, at));
                place = place.after(WIDTH);
            }
            carry = _mm512_setzero_si512();
            at += WIDTH;
        }
        if octets > 0 {
            sum = sum.plus(xor(swap(last), carry), unsafe { powers(key, at) });
        }
        sum.reduced()
    }

    fn is_zero(block: __m128i) -> bool {
        _mm_testz_si128(block, block) != 0
    }
}

/// Encrypts a text of a group at most and writes the ICV of it and of what is in front. The payload
/// is where the text will be, or at another place that does not overlap; the trailer is within the
/// last vector. False, and nothing is done, for a text without octets.
#[allow(unsafe_code, reason = "see Place")]
#[allow(clippy::too_many_arguments, reason = "what is read back from memory at once is waited for")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq")]
#[inline(never)]
pub(super) unsafe fn seal(
    key: &Expanded,
    first: u64,
    second: u64,
    iv: u64,
    front_octets: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    trailer: Trailer,
    icv: &mut [u8; BLOCK],
) -> bool {
    let place = Place { from, to };
    let (front, lengths) = (block(first, second), lengths(front_octets as usize, len));
    let nonce = nonce(key, iv);
    let (sum, text) = ((ends(key, front, lengths, len), &[]), (place, len, trailer));
    let made = last_vectors!(len, seal_last::<_, 0>(key, (next_counters(nonce, &mut Numbering::group(nonce, 0)), j0(nonce), lengths), text, sum)
        else return false);
    _mm_storeu_si128(icv, made);
    true
}

/// [`seal`] for a text that is longer.
#[allow(unsafe_code, reason = "see Place")]
#[allow(clippy::too_many_arguments, reason = "see seal")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq")]
#[inline(never)]
pub(super) unsafe fn seal_long(
    key: &Expanded,
    first: u64,
    second: u64,
    iv: u64,
    front_octets: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    trailer: Trailer,
    icv: &mut [u8; BLOCK],
) -> bool {
    let mut place = Place { from, to };
    let (front, lengths) = (block(first, second), lengths(front_octets as usize, len));
    let nonce = nonce(key, iv);
    let (j0, mut numbering) = (j0(nonce), Numbering::group(nonce, 0));
    let (groups, octets) = parts(len);
    let mut sum = begin(key, front);
    let (stream, _) =
        key_stream!(key, next_counters::<VECTORS>(nonce, &mut numbering), j0, (sum, 0, no_block, 0));
    // SAFETY: more octets than a group are left, here and below.
    let mut before = unsafe { place.crypt(stream) };
    place = unsafe { place.after(GROUP) };
    for _ in 1..groups {
        let counters = next_counters::<VECTORS>(nonce, &mut numbering);
        let (stream, _) =
            key_stream!(key, counters, j0, (sum, VECTORS, |number: usize| before[number], OF_GROUP));
        before = unsafe { place.crypt(stream) };
        place = unsafe { place.after(GROUP) };
        before[0] = xor(before[0], low(sum.reduced()));
        sum = Sum::zero();
    }
    let (sum, text) = ((sum, &before), (place, octets, trailer));
    let made = last_vectors!(octets, seal_last::<_, 8>(
        key, (next_counters(nonce, &mut numbering), j0, lengths), text, sum) else return false);
    _mm_storeu_si128(icv, made);
    true
}

/// Decrypts a text of a group at most if the ICV of it and of what is in front is right; else
/// nothing is written. In place, or to another place that does not overlap. Returns the last word.
#[allow(unsafe_code, reason = "see Place")]
#[allow(clippy::too_many_arguments, reason = "see seal")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq")]
#[inline(never)]
pub(super) unsafe fn open(
    key: &Expanded,
    first: u64,
    second: u64,
    iv: u64,
    front_octets: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    icv: &[u8; BLOCK],
) -> Option<u32> {
    let start = Place { from, to };
    let (front, lengths) = (block(first, second), lengths(front_octets as usize, len));
    let (nonce, icv) = (nonce(key, iv), _mm_loadu_si128(icv));
    let sum = (ends(key, front, lengths, len), _mm512_setzero_si512());
    last_vectors!(len, open_last::<_, false>(key, (next_counters(nonce, &mut Numbering::group(nonce, 0)), j0(nonce)), (start, len), sum, icv) else None)
}

/// [`open`] for a text that is longer.
#[allow(unsafe_code, reason = "see Place")]
#[allow(clippy::too_many_arguments, reason = "see seal")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq")]
#[inline(never)]
pub(super) unsafe fn open_long(
    key: &Expanded,
    first: u64,
    second: u64,
    iv: u64,
    front_octets: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    icv: &[u8; BLOCK],
) -> Option<u32> {
    let start = Place { from, to };
    let (front, lengths) = (block(first, second), lengths(front_octets as usize, len));
    let (nonce, icv) = (nonce(key, iv), _mm_loadu_si128(icv));
    let j0 = j0(nonce);
    let (groups, octets) = parts(len);
    let mut carry = _mm512_setzero_si512();
    let mut held = [const { MaybeUninit::<[V; VECTORS]>::uninit() }; HELD];
    let not_held = groups.saturating_sub(HELD);
    let mut numbering = Numbering::group(nonce, not_held);
    let mut place = start;
    let mut sum = begin(key, front);
    for _ in 0..not_held {
        // SAFETY: the octets of so many groups are there, here and below.
        unsafe {
            sum = sum.plus_group(key, place, carry);
            place = place.after(GROUP);
        }
        carry = low(sum.reduced());
        sum = Sum::zero();
    }
    let held = &mut held[..groups - not_held];
    for held in &mut *held {
        let block = |number| unsafe { place.block_to_open(number, carry) };
        let counters = next_counters::<VECTORS>(nonce, &mut numbering);
        let (stream, _) = key_stream!(key, counters, j0, (sum, VECTORS, block, OF_GROUP));
        held.write(stream);
        place = unsafe { place.after(GROUP) };
        carry = low(sum.reduced());
        sum = Sum::zero();
    }
    let sum = (end(key, lengths), carry);
    let word = last_vectors!(octets, open_last::<_, true>(
        key, (next_counters(nonce, &mut numbering), j0), (place, octets), sum, icv) else None);
    let (mut nothing, mut numbering) = (Sum::zero(), Numbering::group(nonce, 0));
    place = start;
    for _ in 0..not_held {
        if word.is_some() {
            let (stream, _) = key_stream!(
                key,
                next_counters::<VECTORS>(nonce, &mut numbering),
                j0,
                (nothing, 0, no_block, 0)
            );
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
        held.write([_mm512_setzero_si512(); VECTORS]);
        optimization_barrier(held);
    }
    word
}

/// Wipes so many octets where the stack of a function was that has been called: those for long
/// texts have more values at once than registers.
#[allow(unsafe_code, reason = "stores to where lines begin take pointers")]
#[target_feature(enable = "avx512f")]
#[inline(never)]
pub(super) fn wipe_stack<const N: usize>() {
    const { assert!(N >= 2 * WIDTH && N.is_multiple_of(WIDTH)) };
    let mut stack = MaybeUninit::<[u8; N]>::uninit();
    let start = stack.as_mut_ptr().cast::<u8>();
    let zeros = _mm512_setzero_si512();
    // SAFETY: all of it is within the array: from its first line on one vector less than it has,
    // and both of its ends.
    unsafe {
        let line = start.add(start.addr().wrapping_neg() % WIDTH);
        for number in 0..N / WIDTH - 1 {
            _mm512_storeu_si512(line.add(number * WIDTH).cast(), zeros);
        }
        _mm512_storeu_si512(start.cast(), zeros);
        _mm512_storeu_si512(start.add(N - WIDTH).cast(), zeros);
    }
    optimization_barrier(&stack);
}

/// Authenticates a text that is not encrypted, and what is in front of it: writes the ICV. The
/// payload is where [`seal`] has it; the trailer is within the last vector.
#[allow(unsafe_code, reason = "see Place")]
#[allow(clippy::too_many_arguments, reason = "see seal")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq")]
#[inline(never)]
pub(super) unsafe fn seal_clear(
    key: &Expanded,
    first: u64,
    second: u64,
    iv: u64,
    front_octets: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    trailer: Trailer,
    icv: &mut [u8; BLOCK],
) -> bool {
    let place = Place { from, to };
    let start = (len - 1) / WIDTH * WIDTH;
    // SAFETY: the last vector begins there, and those before it are whole.
    let last = unsafe {
        let end = place.after(start);
        let last = end.load_end(len - start, trailer);
        if !ptr::eq(from, to) {
            place.copy(start);
        }
        end.store_part(mask(len - start), last);
        last
    };
    let j0 = j0(nonce(key, iv));
    let (front, lengths) = (block(first, second), lengths(front_octets as usize + len, 0));
    let made = if len <= GROUP {
        last_vectors!(len, icv_of_clear::<_, true>(key, (front, lengths, j0), (place, len), last) else return false)
    } else {
        let sum = unsafe { hashed(key, (front, lengths), (place, len), last) };
        _mm_xor_si128(swapped(sum), encrypted(key, j0))
    };
    _mm_storeu_si128(icv, made);
    true
}

/// Whether the ICV of a text and of what is in front of it is right. If it is, the text is copied
/// to its other place, should that be one.
#[allow(unsafe_code, reason = "see Place")]
#[allow(clippy::too_many_arguments, reason = "see seal")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq")]
#[inline(never)]
pub(super) unsafe fn verify(
    key: &Expanded,
    first: u64,
    second: u64,
    iv: u64,
    lengths: (u64, u64),
    from: *const u8,
    to: *mut u8,
    len: usize,
    icv: &[u8; BLOCK],
) -> bool {
    let place = Place { from, to };
    let j0 = j0(nonce(key, iv));
    let (front, lengths) = (block(first, second), block(lengths.0, lengths.1));
    let start = len.saturating_sub(1) / WIDTH * WIDTH;
    let rest = mask(len - start);
    // SAFETY: the last vector begins there, and those before it are whole.
    let (end, last) = unsafe { (place.after(start), place.after(start).load_part(rest)) };
    let made = if len > 0 && len <= GROUP {
        last_vectors!(len, icv_of_clear::<_, false>(key, (front, lengths, j0), (place, len), last)
            else return false)
    } else {
        let sum = unsafe { hashed(key, (front, lengths), (place, len), last) };
        _mm_xor_si128(swapped(sum), encrypted(key, j0))
    };
    let is_right = is_zero(_mm_xor_si128(made, _mm_loadu_si128(icv)));
    if is_right && !ptr::eq(from, to) {
        // SAFETY: as above.
        unsafe {
            place.copy(start);
            end.store_part(rest, last);
        }
    }
    is_right
}

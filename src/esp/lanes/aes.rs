//! AES-128 in CBC (RFC 3602): many packets enciphered side by side, since one waits for itself; and the blocks of one
//! packet deciphered side by side. A packet begins with the counter block that its IV is made of: enciphered with nothing
//! before it, that is the IV, and CBC goes on from there.

//!
//! The portable twin of all this is the crate `aes`.

#[cfg(target_arch = "x86_64")]
use super::backend::{Backend, Kind};

pub(super) const BLOCK: usize = 16;
#[cfg(target_arch = "x86_64")]
const ROUND_KEYS: usize = 11;
/// The most lanes that there are.
#[cfg(target_arch = "x86_64")]
pub(super) const WIDEST: usize = 16;

/// The round keys of many lanes, by round and then by lane.
#[cfg(target_arch = "x86_64")]
pub(super) type Schedules = [[u8; WIDEST * BLOCK]; ROUND_KEYS];
/// The last block of each lane.
#[cfg(target_arch = "x86_64")]
pub(super) type Chains = [u8; WIDEST * BLOCK];

/// The round keys of one direction, as the processor's instructions want them. There are some only where the machine has
/// those instructions. They wipe themselves.
#[cfg(target_arch = "x86_64")]
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(in crate::esp) struct RoundKeys {
    octets: [[u8; BLOCK]; ROUND_KEYS],
    #[zeroize(skip)]
    wide: bool,
}

/// No other processor has them; the crate's own are used there.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::esp) enum RoundKeys {}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl RoundKeys {
    /// Keys for enciphering; `None` on the portable backend.
    pub(in crate::esp) fn encrypting(backend: Backend, key: &[u8; BLOCK]) -> Option<Self> {
        // SAFETY: both backends say that the machine has AES-NI.
        let octets = (backend != Backend::PORTABLE).then(|| unsafe { ni::encrypting(key) })?;
        Some(Self { octets, wide: backend.kind() == Kind::Avx512 })
    }

    /// Keys for deciphering; `None` on the portable backend.
    pub(in crate::esp) fn decrypting(backend: Backend, key: &[u8; BLOCK]) -> Option<Self> {
        // SAFETY: both backends say that the machine has AES-NI.
        let octets = (backend != Backend::PORTABLE).then(|| unsafe { ni::decrypting(key) })?;
        Some(Self { octets, wide: backend.kind() == Kind::Avx512 })
    }

    #[inline]
    pub(super) fn octets(&self) -> &[[u8; BLOCK]; ROUND_KEYS] {
        &self.octets
    }

    /// Enciphers one packet with what is before it.
    pub(in crate::esp) fn encrypt(&self, chain: &mut [u8; BLOCK], data: &mut [u8]) {
        // SAFETY: where there are round keys, there is AES-NI.
        unsafe { ni::encrypt_chain(self, chain, data) }
    }

    /// Enciphers a message from `start` on, with what is before it, and takes its whole blocks into the state of a SHA-1.
    #[inline]
    pub(in crate::esp) fn encrypt_and_hash(
        &self,
        chain: &[u8; BLOCK],
        inner: [u32; 5],
        message: &mut [u8],
        start: usize,
    ) -> [u32; 5] {
        // SAFETY: where there are round keys, there are AES-NI and SHA-NI.
        unsafe { ni::encrypt_and_hash(self, chain, inner, message, start) }
    }

    /// Deciphers one packet into another buffer. `from` is the IV and the cipher text behind it.
    #[inline]
    pub(in crate::esp) fn decrypt_into(&self, from: &[u8], to: &mut [u8]) {
        // SAFETY: where there are round keys, there is AES-NI; where they are wide, there is VAES.
        unsafe {
            if self.wide { vaes::decrypt_into(self, from, to) } else { ni::decrypt_into(self, from, to) }
        }
    }

    /// Deciphers one packet in place. `whole` is the IV and the cipher text behind it.
    #[inline]
    pub(in crate::esp) fn decrypt(&self, whole: &mut [u8]) {
        // SAFETY: where there are round keys, there is AES-NI; where they are wide, there is VAES.
        unsafe { if self.wide { vaes::decrypt(self, whole) } else { ni::decrypt(self, whole) } }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl RoundKeys {
    pub(in crate::esp) fn encrypting(_: super::Backend, _: &[u8; BLOCK]) -> Option<Self> {
        None
    }

    pub(in crate::esp) fn decrypting(_: super::Backend, _: &[u8; BLOCK]) -> Option<Self> {
        None
    }

    pub(in crate::esp) fn encrypt(&self, _: &mut [u8; BLOCK], _: &mut [u8]) {
        match *self {}
    }

    pub(in crate::esp) fn encrypt_and_hash(
        &self,
        _: &[u8; BLOCK],
        _: [u32; 5],
        _: &mut [u8],
        _: usize,
    ) -> [u32; 5] {
        match *self {}
    }

    pub(in crate::esp) fn decrypt_into(&self, _: &[u8], _: &mut [u8]) {
        match *self {}
    }

    pub(in crate::esp) fn decrypt(&self, _: &mut [u8]) {
        match *self {}
    }
}

/// AES-NI: what all of these processors have.
#[cfg(target_arch = "x86_64")]
pub(super) mod ni {
    use core::arch::x86_64::*;

    use safe_unaligned_simd::x86_64::{_mm_loadu_si128, _mm_storeu_si128};

    use super::super::sha1::ni as sha1;
    use super::{BLOCK, Chains, ROUND_KEYS, RoundKeys, Schedules};

    type Keys = [__m128i; ROUND_KEYS];

    /// Expands a key for enciphering (FIPS 197 5.2).
    #[target_feature(enable = "aes,sse4.1")]
    pub(in super::super) fn encrypting(key: &[u8; BLOCK]) -> [[u8; BLOCK]; ROUND_KEYS] {
        store(&expand(key))
    }

    /// Expands a key for deciphering with the equivalent inverse cipher (FIPS 197 5.3.5).
    #[target_feature(enable = "aes,sse4.1")]
    pub(in super::super) fn decrypting(key: &[u8; BLOCK]) -> [[u8; BLOCK]; ROUND_KEYS] {
        let mut keys = expand(key);
        keys.reverse();
        let [_, middle @ .., _] = &mut keys;
        for key in middle {
            *key = _mm_aesimc_si128(*key);
        }
        store(&keys)
    }

    #[target_feature(enable = "aes,sse4.1")]
    #[inline]
    fn expand(key: &[u8; BLOCK]) -> Keys {
        let mut keys = [_mm_loadu_si128(key); ROUND_KEYS];
        macro_rules! next {
            ($($round:literal $constant:literal)*) => {
                $(
                    let before = keys[$round - 1];
                    let mixed = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$constant>(before));
                    // Each word is the sum of the words before it.
                    let two = _mm_xor_si128(before, _mm_slli_si128::<4>(before));
                    let four = _mm_xor_si128(two, _mm_slli_si128::<8>(two));
                    keys[$round] = _mm_xor_si128(four, mixed);
                )*
            };
        }
        next!(1 0x01 2 0x02 3 0x04 4 0x08 5 0x10 6 0x20 7 0x40 8 0x80 9 0x1b 10 0x36);
        keys
    }

    #[target_feature(enable = "aes,sse4.1")]
    #[inline]
    fn store(keys: &Keys) -> [[u8; BLOCK]; ROUND_KEYS] {
        let mut octets = [[0; BLOCK]; ROUND_KEYS];
        for (to, from) in octets.iter_mut().zip(keys) {
            _mm_storeu_si128(to, *from);
        }
        octets
    }

    #[target_feature(enable = "aes,sse4.1")]
    #[inline]
    fn load(keys: &RoundKeys) -> Keys {
        core::array::from_fn(|round| _mm_loadu_si128(&keys.octets[round]))
    }

    #[target_feature(enable = "aes,sse4.1")]
    #[inline]
    fn encrypt(keys: &Keys, block: __m128i) -> __m128i {
        let mut state = _mm_xor_si128(block, keys[0]);
        for key in &keys[1..ROUND_KEYS - 1] {
            state = _mm_aesenc_si128(state, *key);
        }
        _mm_aesenclast_si128(state, keys[ROUND_KEYS - 1])
    }

    /// Enciphers `count` blocks of each of eight lanes.
    #[target_feature(enable = "aes,avx2")]
    pub(in super::super) fn eight_lanes(
        keys: &Schedules,
        chains: &mut Chains,
        data: &mut [&mut [u8]; 8],
        count: usize,
    ) {
        const LANES: usize = 8;
        let round = |index: usize, lane: usize| match keys[index].as_chunks::<BLOCK>().0.get(lane) {
            Some(key) => _mm_loadu_si128(key),
            None => _mm_setzero_si128(),
        };
        let (chains, _) = chains.as_chunks_mut::<BLOCK>();
        let mut state: [_; LANES] = core::array::from_fn(|lane| _mm_loadu_si128(&chains[lane]));
        for index in 0..count {
            let at = index * BLOCK;
            for lane in 0..LANES {
                if let Some(block) = data[lane].get(at..).and_then(|rest| rest.first_chunk()) {
                    state[lane] = _mm_xor_si128(state[lane], _mm_loadu_si128::<[u8; BLOCK]>(block));
                }
                state[lane] = _mm_xor_si128(state[lane], round(0, lane));
            }
            for index in 1..ROUND_KEYS - 1 {
                for lane in 0..LANES {
                    state[lane] = _mm_aesenc_si128(state[lane], round(index, lane));
                }
            }
            for lane in 0..LANES {
                state[lane] = _mm_aesenclast_si128(state[lane], round(ROUND_KEYS - 1, lane));
                if let Some(block) = data[lane].get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                    _mm_storeu_si128::<[u8; BLOCK]>(block, state[lane]);
                }
            }
        }
        for (chain, state) in chains.iter_mut().zip(state) {
            _mm_storeu_si128(chain, state);
        }
    }

    #[target_feature(enable = "aes,sse4.1")]
    pub(in super::super) fn encrypt_chain(keys: &RoundKeys, chain: &mut [u8; BLOCK], data: &mut [u8]) {
        let keys = load(keys);
        let mut state = _mm_loadu_si128(chain);
        for block in data.as_chunks_mut::<BLOCK>().0 {
            state = encrypt(&keys, _mm_xor_si128(state, _mm_loadu_si128(block)));
            _mm_storeu_si128(block, state);
        }
        _mm_storeu_si128(chain, state);
    }

    /// Enciphers one packet and hashes it on the way: each waits for itself, and the processor has time for both. Returns
    /// the state of the hash after the whole blocks of the message.
    #[target_feature(enable = "aes,sha,avx2")]
    pub(in super::super) fn encrypt_and_hash(
        keys: &RoundKeys,
        chain: &[u8; BLOCK],
        inner: [u32; 5],
        message: &mut [u8],
        start: usize,
    ) -> [u32; 5] {
        const HASHED: usize = super::super::BLOCK;
        let keys = load(keys);
        let mut state = [sha1::State::new(inner)];
        let mut chain = _mm_loadu_si128(chain);
        let (mut enciphered, mut hashed) = (start, 0);
        let len = message.len();
        let mut advance = |message: &mut [u8], at: usize| {
            if let Some(block) = message.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<BLOCK>()) {
                chain = encrypt(&keys, _mm_xor_si128(chain, _mm_loadu_si128(block)));
                _mm_storeu_si128(block, chain);
            }
        };
        // The first block of the hash, then four blocks of the cipher for each that is hashed.
        while enciphered < HASHED && enciphered < len {
            advance(message, enciphered);
            enciphered += BLOCK;
        }
        while hashed + HASHED <= len {
            for ahead in 0..HASHED / BLOCK {
                advance(message, enciphered + ahead * BLOCK);
            }
            enciphered += HASHED;
            if let Some(block) = message.get(hashed..).and_then(|rest| rest.first_chunk()) {
                sha1::compress(&mut state, [block]);
            }
            hashed += HASHED;
        }
        let [state] = state;
        state.words()
    }

    /// Deciphers one packet into another buffer. `from` is the IV and the cipher text behind it.
    #[target_feature(enable = "aes,avx2")]
    pub(in super::super) fn decrypt_into(keys: &RoundKeys, from: &[u8], to: &mut [u8]) {
        let keys = load(keys);
        let blocks = to.as_chunks_mut::<BLOCK>().0;
        for (index, to) in blocks.chunks_mut(8).enumerate() {
            let from = from.as_chunks::<BLOCK>().0.get(index * 8..).unwrap_or_default();
            eight(&keys, from, to);
        }
    }

    /// Deciphers one packet in place. `whole` is the IV and the cipher text behind it.
    #[target_feature(enable = "aes,avx2")]
    pub(in super::super) fn decrypt(keys: &RoundKeys, whole: &mut [u8]) {
        let keys = load(keys);
        let blocks = whole.as_chunks_mut::<BLOCK>().0;
        // From the end: each block is then still as it was when the one behind it needs it.
        let mut end = blocks.len();
        while end > 1 {
            let start = end.saturating_sub(9);
            let Some(chunk) = blocks.get_mut(start..end) else { return };
            let mut from = [[0; BLOCK]; 9];
            for (to, block) in from.iter_mut().zip(&*chunk) {
                *to = *block;
            }
            eight(&keys, &from, chunk.get_mut(1..).unwrap_or_default());
            end = start + 1;
        }
    }

    /// Deciphers up to eight blocks; `from` has one more in front of them.
    #[target_feature(enable = "aes,avx2")]
    #[inline]
    fn eight(keys: &Keys, from: &[[u8; BLOCK]], to: &mut [[u8; BLOCK]]) {
        let zero = _mm_setzero_si128();
        let load = |index: usize| from.get(index).map_or(zero, |block| _mm_loadu_si128(block));
        let mut state: [_; 8] = core::array::from_fn(|n| _mm_xor_si128(load(n + 1), keys[0]));
        for key in &keys[1..ROUND_KEYS - 1] {
            for state in &mut state {
                *state = _mm_aesdec_si128(*state, *key);
            }
        }
        for (n, (to, state)) in to.iter_mut().zip(state).enumerate() {
            let plain = _mm_xor_si128(_mm_aesdeclast_si128(state, keys[ROUND_KEYS - 1]), load(n));
            _mm_storeu_si128(to, plain);
        }
    }
}

/// VAES: four blocks in a vector.
#[cfg(target_arch = "x86_64")]
pub(super) mod vaes {
    use core::arch::x86_64::*;

    use safe_unaligned_simd::x86_64::{
        _mm_loadu_si128, _mm_storeu_si128, _mm512_loadu_si512, _mm512_storeu_si512,
    };

    use super::super::words::avx512::across;
    use super::{BLOCK, Chains, ROUND_KEYS, RoundKeys, Schedules, WIDEST};

    const VECTOR: usize = 64;

    /// Enciphers `count` blocks of each of the first `4 * GROUPS` lanes.
    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    pub(in super::super) fn lanes<const GROUPS: usize>(
        keys: &Schedules,
        chains: &mut Chains,
        data: &mut [&mut [u8]; WIDEST],
        count: usize,
    ) {
        let (chains, _) = chains.as_chunks_mut::<VECTOR>();
        let mut state: [_; GROUPS] = core::array::from_fn(|group| _mm512_loadu_si512(&chains[group]));
        let step = |state: &mut [__m512i; GROUPS], blocks: [__m512i; GROUPS]| {
            // A barrier: else the compiler puts all blocks of one group before those of the next, to keep the keys of the group
            // in registers. Each then waits for the one before it, and the processor does not see far enough to the others.
            let keys = core::hint::black_box(keys);
            let key = |round: usize, group: usize| match keys[round].as_chunks::<VECTOR>().0.get(group) {
                Some(keys) => _mm512_loadu_si512(keys),
                None => _mm512_setzero_si512(),
            };
            for group in 0..GROUPS {
                state[group] = _mm512_ternarylogic_epi32::<0x96>(state[group], blocks[group], key(0, group));
            }
            for round in 1..ROUND_KEYS - 1 {
                for group in 0..GROUPS {
                    state[group] = _mm512_aesenc_epi128(state[group], key(round, group));
                }
            }
            for group in 0..GROUPS {
                state[group] = _mm512_aesenclast_epi128(state[group], key(ROUND_KEYS - 1, group));
            }
        };
        let mut at = 0;
        // Four blocks of four lanes make four vectors, transposed.
        for _ in 0..count / 4 {
            let mut blocks: [[_; 4]; GROUPS] = core::array::from_fn(|group| {
                let [a, b, c, d] = core::array::from_fn(|lane| {
                    match data[4 * group + lane].get(at..).and_then(|rest| rest.first_chunk::<VECTOR>()) {
                        Some(octets) => _mm512_loadu_si512(octets),
                        None => _mm512_setzero_si512(),
                    }
                });
                across(a, b, c, d)
            });
            // Spelt out: where the compiler makes a loop of it, the blocks leave the registers.
            macro_rules! steps {
                ($($index:literal)*) => {
                    $(
                        step(&mut state, core::array::from_fn(|group| blocks[group][$index]));
                        for group in 0..GROUPS {
                            blocks[group][$index] = state[group];
                        }
                    )*
                };
            }
            steps!(0 1 2 3);
            for (group, [a, b, c, d]) in blocks.into_iter().enumerate() {
                for (lane, octets) in across(a, b, c, d).into_iter().enumerate() {
                    if let Some(to) =
                        data[4 * group + lane].get_mut(at..).and_then(|rest| rest.first_chunk_mut::<VECTOR>())
                    {
                        _mm512_storeu_si512(to, octets);
                    }
                }
            }
            at += VECTOR;
        }
        for _ in 0..count % 4 {
            let blocks = core::array::from_fn(|group| {
                let mut octets = [0; VECTOR];
                for (lane, to) in octets.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                    if let Some(block) = data[4 * group + lane].get(at..).and_then(|rest| rest.first_chunk())
                    {
                        *to = *block;
                    }
                }
                _mm512_loadu_si512(&octets)
            });
            step(&mut state, blocks);
            for (group, state) in state.iter().enumerate() {
                let mut octets = [0; VECTOR];
                _mm512_storeu_si512(&mut octets, *state);
                for (lane, block) in octets.as_chunks::<BLOCK>().0.iter().enumerate() {
                    if let Some(to) =
                        data[4 * group + lane].get_mut(at..).and_then(|rest| rest.first_chunk_mut())
                    {
                        *to = *block;
                    }
                }
            }
            at += BLOCK;
        }
        for (chain, state) in chains.iter_mut().zip(state) {
            _mm512_storeu_si512(chain, state);
        }
    }

    /// Deciphers one packet into another buffer. `from` is the IV and the cipher text behind it.
    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    pub(in super::super) fn decrypt_into(keys: &RoundKeys, from: &[u8], to: &mut [u8]) {
        let keys = load(keys);
        let (wide, rest) = to.as_chunks_mut::<{ 4 * VECTOR }>();
        let mut at = 0;
        for to in wide {
            let Some(from) = from.get(at..).and_then(|rest| rest.first_chunk()) else { return };
            sixteen(&keys, from, to);
            at += 4 * VECTOR;
        }
        some(&keys, from.get(at..).unwrap_or_default(), rest);
    }

    /// Deciphers one packet in place. `whole` is the IV and the cipher text behind it.
    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    pub(in super::super) fn decrypt(keys: &RoundKeys, whole: &mut [u8]) {
        const WIDE: usize = 4 * VECTOR;
        let keys = load(keys);
        // From the end: each block is then still as it was when the one behind it needs it.
        let body_len = whole.len().saturating_sub(BLOCK);
        let mut at = body_len / WIDE * WIDE;
        let mut from = [0; WIDE + BLOCK];
        if let Some(rest) = whole.get_mut(at..)
            && rest.len() > BLOCK
        {
            let (copy, _) = from.split_at_mut(rest.len().min(WIDE + BLOCK));
            copy.copy_from_slice(rest);
            some(&keys, copy, rest.get_mut(BLOCK..).unwrap_or_default());
        }
        while at >= WIDE {
            at -= WIDE;
            let Some(chunk) = whole.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) else { return };
            from = *chunk;
            let Some(to) = chunk.last_chunk_mut() else { return };
            sixteen(&keys, &from, to);
        }
    }

    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    #[inline]
    fn load(keys: &RoundKeys) -> [__m512i; ROUND_KEYS] {
        core::array::from_fn(|round| _mm512_broadcast_i32x4(_mm_loadu_si128(&keys.octets[round])))
    }

    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    #[inline]
    fn sixteen(keys: &[__m512i; ROUND_KEYS], from: &[u8; 4 * VECTOR + BLOCK], to: &mut [u8; 4 * VECTOR]) {
        let vector = |at: usize| match from.get(at..).and_then(|rest| rest.first_chunk::<VECTOR>()) {
            Some(octets) => _mm512_loadu_si512(octets),
            None => _mm512_setzero_si512(),
        };
        let mut state: [_; 4] =
            core::array::from_fn(|n| _mm512_xor_si512(vector(n * VECTOR + BLOCK), keys[0]));
        for key in &keys[1..ROUND_KEYS - 1] {
            for state in &mut state {
                *state = _mm512_aesdec_epi128(*state, *key);
            }
        }
        for (n, (to, state)) in to.as_chunks_mut::<VECTOR>().0.iter_mut().zip(state).enumerate() {
            let last = _mm512_aesdeclast_epi128(state, keys[ROUND_KEYS - 1]);
            _mm512_storeu_si512(to, _mm512_xor_si512(last, vector(n * VECTOR)));
        }
    }

    /// Fewer than sixteen blocks.
    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    #[inline]
    fn some(keys: &[__m512i; ROUND_KEYS], from: &[u8], to: &mut [u8]) {
        let (fours, rest) = to.as_chunks_mut::<VECTOR>();
        let mut at = 0;
        // One after the other: they do not wait for each other.
        for to in fours {
            let Some(from) = from.get(at..).and_then(|rest| rest.first_chunk()) else { return };
            *to = four(keys, from);
            at += VECTOR;
        }
        for to in rest.as_chunks_mut::<BLOCK>().0 {
            let Some(from) = from.get(at..).and_then(|rest| rest.first_chunk()) else { return };
            *to = one(keys, from);
            at += BLOCK;
        }
    }

    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    #[inline]
    fn one(keys: &[__m512i; ROUND_KEYS], from: &[u8; 2 * BLOCK]) -> [u8; BLOCK] {
        let (Some(before), Some(block)) = (from.first_chunk::<BLOCK>(), from.last_chunk::<BLOCK>()) else {
            return [0; BLOCK];
        };
        let key = |round: usize| _mm512_castsi512_si128(keys[round]);
        let mut state = _mm_xor_si128(_mm_loadu_si128(block), key(0));
        for round in 1..ROUND_KEYS - 1 {
            state = _mm_aesdec_si128(state, key(round));
        }
        let last = _mm_aesdeclast_si128(state, key(ROUND_KEYS - 1));
        let mut plain = [0; BLOCK];
        _mm_storeu_si128(&mut plain, _mm_xor_si128(last, _mm_loadu_si128(before)));
        plain
    }

    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    #[inline]
    fn four(keys: &[__m512i; ROUND_KEYS], from: &[u8; VECTOR + BLOCK]) -> [u8; VECTOR] {
        let (Some(before), Some(blocks)) = (from.first_chunk::<VECTOR>(), from.last_chunk::<VECTOR>()) else {
            return [0; VECTOR];
        };
        let mut state = _mm512_xor_si512(_mm512_loadu_si512(blocks), keys[0]);
        for key in &keys[1..ROUND_KEYS - 1] {
            state = _mm512_aesdec_epi128(state, *key);
        }
        let last = _mm512_aesdeclast_epi128(state, keys[ROUND_KEYS - 1]);
        let mut plain = [0; VECTOR];
        _mm512_storeu_si512(&mut plain, _mm512_xor_si512(last, _mm512_loadu_si512(before)));
        plain
    }
}

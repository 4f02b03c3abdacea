//! Rounds of AES, with blocks hashed between them: other units of the processor multiply than those
//! that encrypt.

/// A round of `key_stream!`.
macro_rules! round_of {
    ($number:literal, $key:expr, $state:ident, $other:ident, $sum:ident, $blocks:expr, $block:expr, $at:expr, $together:expr) => {
        let round_key = splat(_mm_loadu_si128(&$key.round_keys[$number]));
        for vector in &mut $state {
            *vector = round(*vector, round_key);
        }
        if let [other] = $other.as_mut_slice() {
            *other = _mm_aesenc_si128(*other, lowest(round_key));
            if let Some(first) = $state.first_mut() {
                (*first, *other) = together(*first, *other);
            }
        }
        if usize::is_multiple_of($number - 1, $together)
            && let Some(number) = usize::checked_sub($blocks, $number)
        {
            // SAFETY: there are as many powers as blocks.
            $sum = unsafe { $sum.plus_at($key, number, $block, ($at, $together)) };
        }
    };
}

/// The cipher of counter blocks, and of another block, which costs no loads of its own; and a
/// vector of blocks is hashed in each round, or two together in every other one, with the powers
/// from a place on: the last one first, since the first one waits for the sum before it. Not a
/// function: it would return its vectors in memory.
macro_rules! key_stream {
    ($key:expr, $counters:expr, $other:expr, ($sum:ident, $blocks:expr, $block:expr, $at:expr, $together:expr)) => {{
        let (key, mut state, mut other) = (read_anew($key), $counters, $other);
        round_of!(1, key, state, other, $sum, $blocks, $block, $at, $together);
        round_of!(2, key, state, other, $sum, $blocks, $block, $at, $together);
        round_of!(3, key, state, other, $sum, $blocks, $block, $at, $together);
        round_of!(4, key, state, other, $sum, $blocks, $block, $at, $together);
        round_of!(5, key, state, other, $sum, $blocks, $block, $at, $together);
        round_of!(6, key, state, other, $sum, $blocks, $block, $at, $together);
        round_of!(7, key, state, other, $sum, $blocks, $block, $at, $together);
        round_of!(8, key, state, other, $sum, $blocks, $block, $at, $together);
        round_of!(9, key, state, other, $sum, $blocks, $block, $at, $together);
        let round_key = splat(_mm_loadu_si128(&key.round_keys[10]));
        for vector in &mut state {
            *vector = in_order(last_round(*vector, round_key));
        }
        for block in &mut other {
            *block = _mm_aesenclast_si128(*block, lowest(round_key));
        }
        (state, other)
    }};
}

/// A call for as many vectors as have the octets up to one of this number: one to eight.
macro_rules! last_vectors {
    ($last_octet:expr, $call:ident::<_ $(, $more:tt)*>$arguments:tt) => {
        // SAFETY: so many octets are there.
        match $last_octet / WIDTH {
            0 => unsafe { $call::<1 $(, $more)*>$arguments },
            1 => unsafe { $call::<2 $(, $more)*>$arguments },
            2 => unsafe { $call::<3 $(, $more)*>$arguments },
            3 => unsafe { $call::<4 $(, $more)*>$arguments },
            4 if VECTORS >= 5 => unsafe { $call::<{ at_most(5) } $(, $more)*>$arguments },
            5 if VECTORS >= 6 => unsafe { $call::<{ at_most(6) } $(, $more)*>$arguments },
            6 if VECTORS >= 7 => unsafe { $call::<{ at_most(7) } $(, $more)*>$arguments },
            _ => unsafe { $call::<{ at_most(8) } $(, $more)*>$arguments },
        }
    };
}

//! Four blocks, as [`super::four`], for processors that multiply vectors every other cycle.

use core::arch::asm;
use core::arch::x86_64::*;

pub(crate) use super::four::*;

/// See [`products_of_two`]; there are registers enough for it.
pub(crate) const TOGETHER: usize = 2;

karatsuba!("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi2,vaes,vpclmulqdq");

/// Low, middle and high products of two vectors with two others, one after the other: the processor
/// takes a cycle to begin each, in which it begins nothing else, and where other instructions are
/// between them it begins fewer of these at once (Zen 5).
#[allow(unsafe_code, reason = "instructions that stay together")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi2,vaes,vpclmulqdq")]
#[inline]
pub(crate) fn products_of_two([a0, a1]: [V; 2], [b0, b1]: [V; 2]) -> [[V; 2]; 3] {
    // The sums of halves, of both in one vector.
    let halves =
        |first, second| xor(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
    let (a2, b2) = (halves(a0, a1), halves(b0, b1));
    let (l0, l1, m0, m1, h0, h1): (V, V, V, V, V, V);
    // SAFETY: only registers.
    unsafe {
        asm!(
            "vpclmulqdq {l0}, {a0}, {b0}, 0x00",
            "vpclmulqdq {h0}, {a0}, {b0}, 0x11",
            "vpclmulqdq {l1}, {a1}, {b1}, 0x00",
            "vpclmulqdq {h1}, {a1}, {b1}, 0x11",
            "vpclmulqdq {m0}, {a2}, {b2}, 0x00",
            "vpclmulqdq {m1}, {a2}, {b2}, 0x11",
            a0 = in(zmm_reg) a0,
            a1 = in(zmm_reg) a1,
            a2 = in(zmm_reg) a2,
            b0 = in(zmm_reg) b0,
            b1 = in(zmm_reg) b1,
            b2 = in(zmm_reg) b2,
            l0 = out(zmm_reg) l0,
            h0 = out(zmm_reg) h0,
            l1 = out(zmm_reg) l1,
            h1 = out(zmm_reg) h1,
            m0 = out(zmm_reg) m0,
            m1 = lateout(zmm_reg) m1,
            options(nomem, nostack, preserves_flags),
        );
    }
    [[l0, l1], [m0, m1], [h0, h1]]
}

//! The proof that the ICV of a packet was compared.

use subtle::ConstantTimeEq;

/// Octets of the ICV of the HMACs.
pub(super) const ICV: usize = 12;
/// Octets of the ICV of AES-GCM and AES-GMAC.
#[cfg(feature = "aes-gcm")]
pub(super) const LONG_ICV: usize = 16;

/// The proof that a packet's ICV was right. Only a comparison makes one, and nothing moves a replay
/// window or is decrypted without it.
#[derive(Debug)]
pub(crate) struct Authentic(());

impl Authentic {
    /// Compares in constant time.
    #[inline]
    pub(super) fn compare(found: &[u8; ICV], made: &[u8; ICV]) -> Option<Self> {
        // As two numbers each: octet by octet, this would take longer than all other checks of a
        // packet.
        let halves = |icv: &[u8; ICV]| {
            let [a, b, c, d, e, f, g, h, i, j, k, l] = *icv;
            (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u32::from_ne_bytes([i, j, k, l]))
        };
        let ((first, second), (made_first, made_second)) = (halves(found), halves(made));
        let difference = (first ^ made_first) | u64::from(second ^ made_second);
        bool::from(difference.ct_eq(&0)).then_some(Self(()))
    }

    /// The same for AES-GCM and AES-GMAC.
    #[cfg(feature = "aes-gcm")]
    #[inline]
    pub(super) fn compare_long(found: &[u8; LONG_ICV], made: &[u8; LONG_ICV]) -> Option<Self> {
        let difference = u128::from_ne_bytes(*found) ^ u128::from_ne_bytes(*made);
        bool::from(((difference >> 64) as u64 | difference as u64).ct_eq(&0)).then_some(Self(()))
    }

    /// The answer of a kernel that has compared.
    #[cfg(all(feature = "aes-gcm", feature = "kernels"))]
    #[inline(always)]
    pub(super) fn verified(is_right: bool) -> Option<Self> {
        is_right.then_some(Self(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icv_with_any_bit_flipped_is_refused() {
        let good = core::array::from_fn(|n| n as u8 * 21);
        assert!(Authentic::compare(&good, &good).is_some());
        for bit in 0..ICV * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Authentic::compare(&bad, &good).is_none(), "bit {bit}");
        }
        let good = core::array::from_fn(|n| n as u8 * 15);
        assert!(Authentic::compare_long(&good, &good).is_some());
        for bit in 0..LONG_ICV * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Authentic::compare_long(&bad, &good).is_none(), "bit {bit}");
        }
    }
}

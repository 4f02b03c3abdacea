//! Annex I expansion and the hygiene of keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use ipsec_3gpp::algorithm::{Encryption, Integrity};
use ipsec_3gpp::key::{KeyError, SaKeys};
use ipsec_3gpp::{Ck, Ik, Suite};
use subtle::ConstantTimeEq;
use support::vectors::vectors;

#[test]
fn keys_expand_as_annex_i_says() {
    for case in vectors(include_str!("data/annex-i.txt")) {
        let (ck, ik): (Ck, Ik) = (case.text("ck").parse().unwrap(), case.text("ik").parse().unwrap());
        for suite in Suite::ALL {
            let keys = SaKeys::expand(suite, &ck, &ik).unwrap();
            assert_eq!(keys.expose_integrity(), case.hex(suite.integrity().token()), "{suite}");
            assert_eq!(keys.expose_encryption(), case.hex(suite.encryption().token()), "{suite}");
        }
    }
}

#[test]
fn des_ede3_is_refused_only_if_the_halves_of_ck_are_equal_but_for_parity() {
    let suite = Suite::HMAC_MD5_96_DES_EDE3_CBC;
    let expand = |ck: [u8; 16]| SaKeys::expand(suite, &Ck::new(ck), &Ik::new([0; 16])).map(drop);
    let mut ck = [0x10; 16];
    assert_eq!(expand(ck), Err(KeyError::EqualDesKeys));
    for octet in 0..16 {
        for bit in 0..8 {
            ck[octet] ^= 1 << bit;
            let expected = if bit == 0 { Err(KeyError::EqualDesKeys) } else { Ok(()) };
            assert_eq!(expand(ck), expected, "octet {octet}, bit {bit}");
            ck[octet] ^= 1 << bit;
        }
    }
    // The same CK is no matter to the other algorithms.
    assert!(SaKeys::expand(Suite::HMAC_MD5_96_AES_CBC, &Ck::new(ck), &Ik::new([0; 16])).is_ok());
}

#[test]
fn expanded_keys_of_the_wrong_length_are_named() {
    let error = SaKeys::from_expanded(Suite::HMAC_SHA_1_96_AES_CBC, &[0; 16], &[0; 16]).unwrap_err();
    assert_eq!(error, KeyError::Length { algorithm: Integrity::HmacSha1_96.token(), needed: 20, found: 16 });
    let error = SaKeys::from_expanded(Suite::HMAC_SHA_1_96_NULL, &[0; 20], &[0; 16]).unwrap_err();
    assert_eq!(error, KeyError::Length { algorithm: Encryption::Null.token(), needed: 0, found: 16 });
    let three_keys = SaKeys::from_expanded(Suite::HMAC_MD5_96_DES_EDE3_CBC, &[0; 16], &[1; 24]);
    assert_eq!(three_keys.map(drop), Err(KeyError::EqualDesKeys));
}

#[test]
fn keys_are_read_from_exactly_32_hexadecimal_digits() {
    assert_eq!(
        "00112233445566778899aAbBcCdDeEfF".parse::<Ck>().unwrap().expose()[10..],
        [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]
    );
    for bad in [
        "",
        "00",
        "00112233445566778899aabbccddeef",
        "00112233445566778899aabbccddeeff0",
        "g0112233445566778899aabbccddeeff",
        "+0112233445566778899aabbccddeeff",
        "é0112233445566778899aabbccddeef",
    ] {
        assert_eq!(bad.parse::<Ik>().map(drop), Err(KeyError::Hexadecimal), "{bad}");
    }
}

#[test]
fn keys_print_nothing_of_themselves_and_compare_in_constant_time() {
    let keys = support::keys(Suite::HMAC_SHA_1_96_AES_CBC);
    assert_eq!(
        format!("{:?} {:?} {keys:?}", Ck::new(support::CK), Ik::new(support::IK)),
        "Ck(..) Ik(..) SaKeys(hmac-sha-1-96+aes-cbc, ..)"
    );
    let set = format!("{:?}", support::set(Suite::HMAC_SHA_1_96_AES_CBC, false)).to_lowercase();
    for secret in ["b40b", "180, 11", "f769", "247, 105"] {
        assert!(!set.contains(secret), "{set}");
    }
    assert!(bool::from(keys.ct_eq(&support::keys(Suite::HMAC_SHA_1_96_AES_CBC))));
    assert!(!bool::from(keys.ct_eq(&support::keys(Suite::HMAC_MD5_96_AES_CBC))));
    assert!(!bool::from(Ck::new([0; 16]).ct_eq(&Ck::new([1; 16]))));
}

//! The names that others have for algorithms, and their ways to write numbers and octets.

use ipsec_3gpp::Suite;
use ipsec_3gpp::algorithm::{Encryption, Integrity};
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::spi::Spi;

use crate::Result;

/// An integrity algorithm by its name in sec-agree, in `ip xfrm`, or in Wireshark.
fn integrity(name: &str) -> Option<Integrity> {
    let name = name.to_ascii_lowercase();
    Some(match name.split(" [").next()?.trim() {
        "hmac-md5-96" | "hmac(md5)" | "md5" => Integrity::HmacMd5_96,
        "hmac-sha-1-96" | "hmac(sha1)" | "sha1" | "hmac-sha1-96" => Integrity::HmacSha1_96,
        // Wireshark has no GMAC; this is what it is given instead.
        "aes-gmac" | "rfc4543(gcm(aes))" | "any 128 bit authentication" => Integrity::AesGmac,
        "null" | "digest_null" | "" => Integrity::Null,
        _ => return None,
    })
}

/// An encryption algorithm by its name in sec-agree, in `ip xfrm`, or in Wireshark.
fn encryption(name: &str) -> Option<Encryption> {
    let name = name.to_ascii_lowercase();
    Some(match name.split(" [").next()?.trim() {
        "null" | "ecb(cipher_null)" | "cipher_null" | "" => Encryption::Null,
        "des-ede3-cbc" | "cbc(des3_ede)" | "tripledes-cbc" | "3des-cbc" => Encryption::DesEde3Cbc,
        "aes-cbc" | "cbc(aes)" => Encryption::AesCbc,
        "aes-gcm" | "rfc4106(gcm(aes))" | "aes-gcm with 16 octet icv" => Encryption::AesGcm,
        _ => return None,
    })
}

/// The suite of two names.
pub(super) fn suite(alg: &str, ealg: &str) -> Result<Suite> {
    let unknown = |kind: &str, name: &str| format!("{kind} {name} is not known");
    let integrity = integrity(alg).ok_or_else(|| unknown("alg", alg))?;
    let encryption = encryption(ealg).ok_or_else(|| unknown("ealg", ealg))?;
    Suite::new(integrity, encryption)
        .ok_or_else(|| format!("alg {alg} with ealg {ealg} is no combination of TS 33.203").into())
}

/// Octets in hexadecimal digits, with or without `0x`.
///
/// # Errors
/// A line that names what is wrong with the field.
pub(super) fn octets(name: &str, text: &str) -> Result<Vec<u8>> {
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let octet = |pair: &[u8; 2]| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| !digits.starts_with('+'))?;
        u8::from_str_radix(digits, 16).ok()
    };
    let octets: Option<Vec<u8>> = pairs.iter().map(octet).collect();
    octets
        .filter(|_| rest.is_empty())
        .ok_or_else(|| format!("\"{name}\" is not of hexadecimal octets").into())
}

/// 16 octets of CK or IK.
///
/// # Errors
/// A line that names what is wrong with the field.
pub fn key(name: &str, text: &str) -> Result<[u8; 16]> {
    let octets = octets(name, text)?;
    let len = octets.len();
    octets.try_into().map_err(|_| format!("\"{name}\" has {len} octets, not 16").into())
}

/// A number, in decimal or after `0x` in hexadecimal digits.
///
/// # Errors
/// A line that names the text.
pub fn number(text: &str) -> Result<u32> {
    let read = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Ok(read.map_err(|_| format!("{text} is not a number of 32 bits"))?)
}

pub(super) fn spi(text: &str) -> Result<Spi> {
    let number = number(text).map_err(|error| format!("SPI {error}"))?;
    Ok(Spi::from_peer(number)?)
}

/// Expanded keys; HMAC-SHA-1 may come without the 32 zero bits of Annex I after IK.
pub(super) fn expanded(suite: Suite, integrity: &[u8], encryption: &[u8]) -> Result<SaKeys> {
    let mut integrity = integrity.to_vec();
    if suite.integrity() == Integrity::HmacSha1_96 && integrity.len() == 16 {
        integrity.extend([0; 4]);
    }
    Ok(SaKeys::from_expanded(suite, &integrity, encryption)?)
}

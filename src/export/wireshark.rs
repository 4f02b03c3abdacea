//! Wireshark's table of ESP SAs (`esp_sa` in its profile, or `-o uat:esp_sa:` of tshark).

use alloc::string::String;
use core::fmt::Write;

use crate::algorithm::{Encryption, Integrity};
use crate::esp::Family;
use crate::sa::SaSpec;

/// The row of one SA, with its keys, without a line break at its end. Wireshark has no AES-GMAC:
/// with the row of one, it shows that there is ESP. Eight
/// fields are all that 4.0 has; later ones fill up the others.
///
/// ```
/// # use ipsec_3gpp::{Ck, Ik, Suite, export, key::SaKeys, spi::Spi};
/// use ipsec_3gpp::sa::{Ports, SaSpec, Selector};
/// # let keys = SaKeys::expand(Suite::HMAC_SHA_1_96_NULL, &Ck::new([1; 16]), &Ik::new([2; 16]))?;
/// # let (source, destination) = ("10.0.0.2".parse()?, "10.0.0.1".parse()?);
/// # let selector = Selector { source, destination, ports: Ports::Any };
/// let spec = SaSpec { spi: Spi::new(4096)?, selector, keys: &keys };
/// assert_eq!(
///     export::wireshark_row_with_keys(&spec),
///     "\"IPv4\",\"10.0.0.2\",\"10.0.0.1\",\"0x00001000\",\"NULL\",\"\",\
///      \"HMAC-SHA-1-96 [RFC2404]\",\
///      \"0x0202020202020202020202020202020200000000\""
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wireshark_row_with_keys(spec: &SaSpec<'_>) -> String {
    let suite = spec.keys.suite();
    let family = match Family::of(spec.selector.source) {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    };
    let encryption = match suite.encryption() {
        Encryption::Null => "NULL",
        #[cfg(feature = "des-ede3-cbc")]
        Encryption::DesEde3Cbc => "TripleDES-CBC [RFC2451]",
        Encryption::AesCbc => "AES-CBC [RFC3602]",
        // With the ICV of 16 octets; the key has the salt after it.
        #[cfg(feature = "aes-gcm")]
        Encryption::AesGcm => "AES-GCM with 16 octet ICV [RFC4106]",
    };
    let integrity = match suite.integrity() {
        #[cfg(feature = "hmac-md5-96")]
        Integrity::HmacMd5_96 => "HMAC-MD5-96 [RFC2403]",
        Integrity::HmacSha1_96 => "HMAC-SHA-1-96 [RFC2404]",
        #[cfg(feature = "aes-gcm")]
        Integrity::Null => "NULL",
        // Wireshark has no GMAC: it neither verifies it nor finds the payload after the IV.
        #[cfg(feature = "aes-gcm")]
        Integrity::AesGmac => "ANY 128 bit authentication [no checking]",
    };
    let (source, destination, spi) = (spec.selector.source, spec.selector.destination, spec.spi.value());
    let mut row = String::new();
    // Writing to a String cannot fail.
    let _ = write!(row, "\"{family}\",\"{source}\",\"{destination}\",\"0x{spi:08x}\",\"{encryption}\",\"");
    write_key(&mut row, spec.keys.expose_encryption());
    let _ = write!(row, "\",\"{integrity}\",\"");
    write_key(&mut row, spec.keys.expose_integrity());
    row.push('"');
    row
}

fn write_key(row: &mut String, key: &[u8]) {
    if !key.is_empty() {
        row.push_str("0x");
    }
    for octet in key {
        let _ = write!(row, "{octet:02x}");
    }
}

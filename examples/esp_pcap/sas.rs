//! Reads SAS.json.

use std::net::IpAddr;

use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Limits, Ports, SaSpec, Selector};
use ipsec_3gpp::spi::Spi;
use ipsec_3gpp::{Sad, Suite};
use serde_json::Value;

use crate::Result;

/// Installs the SAs, inbound or outbound, and returns the pairs of addresses that they are between.
pub(crate) fn install(text: &str, inbound: bool, sad: &mut Sad) -> Result<Vec<(IpAddr, IpAddr)>> {
    let json: Value = serde_json::from_str(text)?;
    let sas = json.get("sas").and_then(Value::as_array).ok_or("no list \"sas\"")?;
    let mut between = Vec::new();
    for (index, sa) in sas.iter().enumerate() {
        between.push(add(sa, inbound, sad).map_err(|error| format!("SA {index}: {error}"))?);
    }
    Ok(between)
}

fn add(sa: &Value, inbound: bool, sad: &mut Sad) -> Result<(IpAddr, IpAddr)> {
    let text = |name: &str| sa.get(name).and_then(Value::as_str);
    let needed = |name: &str| text(name).ok_or_else(|| format!("no \"{name}\""));
    let address = |name: &str| -> Result<IpAddr> {
        let value = needed(name)?;
        Ok(value.parse().map_err(|_| format!("\"{name}\": {value} is not an address"))?)
    };
    let number = |name: &str, most: u64| match sa.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().filter(|number| *number <= most) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("\"{name}\": {value} is not a number up to {most}")),
        },
    };
    let (alg, ealg) = (needed("alg")?, text("ealg").unwrap_or("null"));
    let suite = match (alg.parse(), ealg.parse()) {
        (Ok(integrity), Ok(encryption)) => Suite::new(integrity, encryption),
        _ => None,
    };
    let suite = suite.ok_or_else(|| format!("alg {alg} with ealg {ealg} is not implemented"))?;
    let keys = match (text("ck"), text("ik"), text("auth_key")) {
        (Some(ck), Some(ik), _) => SaKeys::expand(suite, &ck.parse()?, &ik.parse()?)?,
        (_, _, Some(auth_key)) => {
            let mut keys = [hex("auth_key", auth_key)?, hex("enc_key", text("enc_key").unwrap_or(""))?];
            // The salt of AES-GCM and AES-GMAC follows the key, here or in a field of its own.
            if let (Some(salt), Some(key)) = (text("salt"), keys.iter_mut().find(|key| !key.is_empty())) {
                key.extend(hex("salt", salt)?);
            }
            let [integrity, encryption] = &keys;
            SaKeys::from_expanded(suite, integrity, encryption)?
        }
        _ => return Err("neither \"ck\" and \"ik\" nor \"auth_key\"".into()),
    };
    let spi = number("spi", u32::MAX.into())?.ok_or("no \"spi\"")?;
    let spi = Spi::from_peer(u32::try_from(spi)?)?;
    let port = |name: &str| -> Result<Option<u16>> {
        Ok(number(name, u16::MAX.into())?.map(u16::try_from).transpose()?)
    };
    let ports = match (port("src_port")?, port("dst_port")?) {
        (Some(source), Some(destination)) => Ports::Exact { source, destination },
        (None, None) => Ports::Any,
        _ => return Err("one of \"src_port\" and \"dst_port\" without the other".into()),
    };
    let selector = Selector { source: address("src")?, destination: address("dst")?, ports };
    let spec = SaSpec { spi, selector, keys: &keys };
    if inbound {
        sad.add_inbound(&spec)?;
    } else {
        let id = sad.add_outbound(&spec)?;
        // A capture is of any size.
        sad.set_limits(id, Limits::of(keys.suite()).with_hard_octets(None));
    }
    Ok((selector.source, selector.destination))
}

fn hex(name: &str, text: &str) -> Result<Vec<u8>> {
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

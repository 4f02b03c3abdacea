//! SAS.json.

use std::net::IpAddr;

use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Ports, Selector};
use ipsec_3gpp::{Ck, Ik};
use serde_json::{Value, json};

use super::{Sa, names};
use crate::Result;

pub(super) fn read(text: &str) -> Result<Vec<Sa>> {
    let json: Value = serde_json::from_str(text)?;
    let sas = json.get("sas").unwrap_or(&json).as_array().ok_or("no list \"sas\"")?;
    let read =
        |(index, sa): (usize, &Value)| sa_of(sa).map_err(|error| format!("SA {index}: {error}").into());
    sas.iter().enumerate().map(read).collect()
}

fn sa_of(sa: &Value) -> Result<Sa> {
    let text = |name: &str| sa.get(name).and_then(Value::as_str);
    let needed = |name: &str| text(name).ok_or_else(|| format!("no \"{name}\""));
    let address = |name: &str| -> Result<IpAddr> {
        let value = needed(name)?;
        Ok(value.parse().map_err(|_| format!("\"{name}\": {value} is not an address"))?)
    };
    let (alg, ealg) = (needed("alg")?, text("ealg").unwrap_or("null"));
    let suite = names::suite(alg, ealg)?;
    let keys = match (text("ck"), text("ik"), text("auth_key")) {
        (Some(ck), Some(ik), _) => {
            let (ck, ik) = (Ck::new(names::key("ck", ck)?), Ik::new(names::key("ik", ik)?));
            SaKeys::expand(suite, &ck, &ik)?
        }
        // What does not encrypt, and has no salt, needs no CK.
        (None, Some(ik), None) if !suite.encrypts() && !suite.is_gcm() => {
            SaKeys::expand(suite, &Ck::new([0; 16]), &Ik::new(names::key("ik", ik)?))?
        }
        (_, _, None) if !suite.is_gcm() || text("enc_key").is_none() => {
            return Err(format!("{suite} needs \"ck\" and \"ik\", or \"auth_key\" and \"enc_key\"").into());
        }
        (_, _, auth_key) => {
            let auth_key = names::octets("auth_key", auth_key.unwrap_or(""))?;
            let mut keys = [auth_key, names::octets("enc_key", text("enc_key").unwrap_or(""))?];
            // The salt of AES-GCM and AES-GMAC follows the key, here or in a field of its own.
            if let (Some(salt), Some(key)) = (text("salt"), keys.iter_mut().find(|key| !key.is_empty())) {
                key.extend(names::octets("salt", salt)?);
            }
            let [integrity, encryption] = &keys;
            names::expanded(suite, integrity, encryption)?
        }
    };
    let spi = match sa.get("spi") {
        Some(Value::String(text)) => names::spi(text)?,
        Some(Value::Number(number)) => names::spi(&number.to_string())?,
        _ => return Err("no \"spi\"".into()),
    };
    let port = |name: &str| -> Result<Option<u16>> {
        match sa.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().and_then(|number| u16::try_from(number).ok()) {
                Some(port) => Ok(Some(port)),
                None => Err(format!("\"{name}\": {value} is not a port").into()),
            },
        }
    };
    let ports = match (port("src_port")?, port("dst_port")?) {
        (Some(source), Some(destination)) => Ports::Exact { source, destination },
        (None, None) => Ports::Any,
        _ => return Err("one of \"src_port\" and \"dst_port\" without the other".into()),
    };
    let selector = Selector { source: address("src")?, destination: address("dst")?, ports };
    Ok(Sa { spi, selector, keys })
}

/// SAs as SAS.json, with expanded keys.
pub fn to_json<'a>(sas: impl IntoIterator<Item = &'a Sa>) -> String {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let one = |sa: &Sa| {
        let suite = sa.keys.suite();
        let mut value = json!({
            "src": sa.selector.source.to_string(),
            "dst": sa.selector.destination.to_string(),
            "spi": sa.spi.value(),
            "alg": suite.integrity().token(),
            "ealg": suite.encryption().token(),
            "auth_key": hex(sa.keys.expose_integrity()),
            "enc_key": hex(sa.keys.expose_encryption()),
        });
        if let (Ports::Exact { source, destination }, Some(value)) =
            (sa.selector.ports, value.as_object_mut())
        {
            value.insert("src_port".into(), source.into());
            value.insert("dst_port".into(), destination.into());
        }
        value
    };
    let lines: Vec<_> = sas.into_iter().map(|sa| format!("  {}", one(sa))).collect();
    format!("{{\"sas\": [\n{}\n]}}\n", lines.join(",\n"))
}

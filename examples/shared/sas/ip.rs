//! Lines of `ip xfrm state`, as they are typed and as they are listed.

use std::net::IpAddr;

use ipsec_3gpp::sa::{Ports, Selector};

use super::{Sa, names};
use crate::Result;

/// Reads the states; policies and comments are left out.
pub(super) fn read(text: &str) -> Result<Vec<Sa>> {
    let mut entries: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end().trim_end_matches('\\');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        // A listing has the rest of an entry in lines that begin with white space.
        match entries.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some((_, entry)) => {
                entry.push(' ');
                entry.push_str(line);
            }
            None => entries.push((number + 1, line.into())),
        }
    }
    let mut sas = Vec::new();
    for (number, entry) in entries {
        let words: Vec<&str> =
            entry.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        let command = words.iter().any(|word| ["add", "update"].contains(word));
        let is_policy = words.iter().any(|word| ["policy", "dir"].contains(word));
        let is_other = words.iter().any(|word| ["delete", "flush", "deleteall"].contains(word));
        let listed = words.first() == Some(&"src");
        if !is_policy && !is_other && (command || listed) {
            sas.push(state(&words).map_err(|error| format!("line {number}: {error}"))?);
        }
    }
    Ok(sas)
}

fn state(words: &[&str]) -> Result<Sa> {
    let selector_at = words.iter().position(|word| *word == "sel").unwrap_or(words.len());
    let (own, selector) = words.split_at(selector_at);
    fn after<'w>(words: &[&'w str], name: &str, count: usize) -> Option<&'w str> {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + count).copied()
    }
    let needed = |name: &str| after(own, name, 1).ok_or_else(|| format!("no {name}"));
    let address = |name: &str| -> Result<IpAddr> {
        let value = needed(name)?;
        Ok(value.parse().map_err(|_| format!("{name} {value} is not an address"))?)
    };
    if after(own, "proto", 1).is_some_and(|protocol| !["esp", "50"].contains(&protocol)) {
        return Err("not of ESP".into());
    }
    let aead = after(own, "aead", 1);
    let integrity = ["auth-trunc", "auth"].into_iter().find(|name| own.contains(name));
    let (alg, ealg) = match aead {
        Some("rfc4543(gcm(aes))") => ("aes-gmac", "null"),
        Some("rfc4106(gcm(aes))") => ("null", "aes-gcm"),
        Some(other) => return Err(format!("aead {other} is not known").into()),
        None => (
            integrity.and_then(|name| after(own, name, 1)).ok_or("no auth-trunc, auth or aead")?,
            after(own, "enc", 1).unwrap_or("null"),
        ),
    };
    let suite = names::suite(alg, ealg)?;
    let (name, bits) = if aead.is_some() { ("aead", "128") } else { ("auth-trunc", "96") };
    if let Some(found) = after(own, name, 3).filter(|found| *found != bits) {
        return Err(format!("{name} with an ICV of {found} bits: {suite} has {bits}").into());
    }
    let key = |name: Option<&str>| match name.and_then(|name| after(own, name, 2)) {
        Some(text) => names::octets("key", text),
        None => Ok(Vec::new()),
    };
    let (integrity, encryption) = match aead {
        Some(_) if suite.encrypts() => (Vec::new(), key(Some("aead"))?),
        Some(_) => (key(Some("aead"))?, Vec::new()),
        None => (key(integrity)?, if suite.encrypts() { key(Some("enc"))? } else { Vec::new() }),
    };
    let port = |name: &str| -> Result<Option<u16>> {
        match after(selector, name, 1) {
            None => Ok(None),
            Some(text) => Ok(Some(text.parse().map_err(|_| format!("{name} {text} is not a port"))?)),
        }
    };
    let ports = match (port("sport")?, port("dport")?) {
        (Some(source), Some(destination)) => Ports::Exact { source, destination },
        _ => Ports::Any,
    };
    Ok(Sa {
        spi: names::spi(needed("spi")?)?,
        selector: Selector { source: address("src")?, destination: address("dst")?, ports },
        keys: names::expanded(suite, &integrity, &encryption)?,
    })
}

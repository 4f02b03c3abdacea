//! Rows of Wireshark's table of ESP SAs.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use ipsec_3gpp::export::wireshark_row_with_keys;
use ipsec_3gpp::sa::{Ports, Selector};

use super::{Sa, names};
use crate::Result;

pub(super) fn read(text: &str) -> Result<Vec<Sa>> {
    let lines = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with('"'));
    let read = |(number, line): (usize, &str)| {
        row(line).map_err(|error| format!("line {}: {error}", number + 1).into())
    };
    lines.map(read).collect()
}

fn row(line: &str) -> Result<Sa> {
    let line = line.trim();
    let line = line.strip_prefix('"').unwrap_or(line);
    let line = line.strip_suffix('"').unwrap_or(line);
    let fields: Vec<&str> = line.split("\",\"").collect();
    let [_, source, destination, spi, ealg, enc_key, alg, auth_key, ..] = fields.as_slice() else {
        return Err(format!("{} fields, not 8 or more", fields.len()).into());
    };
    let suite = names::suite(alg, ealg)?;
    let address =
        |text: &str| -> Result<IpAddr> { Ok(text.parse().map_err(|_| format!("{text} is not an address"))?) };
    let selector =
        Selector { source: address(source)?, destination: address(destination)?, ports: Ports::Any };
    let (integrity, encryption) =
        (names::octets("authentication key", auth_key)?, names::octets("encryption key", enc_key)?);
    Ok(Sa { spi: names::spi(spi)?, selector, keys: names::expanded(suite, &integrity, &encryption)? })
}

/// SAs as rows for the file `esp_sa` of a profile of Wireshark.
pub fn to_rows<'a>(sas: impl IntoIterator<Item = &'a Sa>) -> String {
    sas.into_iter().map(|sa| wireshark_row_with_keys(&sa.spec()) + "\n").collect()
}

/// How Wireshark and tshark read a capture with the rows of a file. Ports that are not SIP's are
/// decoded as SIP over TCP.
pub fn commands(capture: &Path, rows: &Path, tcp_ports: &[u16]) -> String {
    let (capture, rows) = (quoted(capture), quoted(rows));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "tshark reads it (4.0 and later):");
    let _ = writeln!(text, "  sed 's/^/-ouat:esp_sa:/' {rows} | xargs -d '\\n' tshark -r {capture} \\");
    let _ = write!(text, "    -oesp.enable_encryption_decode:TRUE -oesp.enable_authentication_check:TRUE");
    for port in tcp_ports {
        let _ = write!(text, " -dtcp.port=={port},sip");
    }
    let _ = writeln!(text, " -Y sip");
    let _ = writeln!(text, "Wireshark reads it with {rows} as the file esp_sa of its profile");
    let _ = writeln!(
        text,
        "  (Help, About, Folders, Personal configuration), or added in Preferences, Protocols, ESP, ESP SAs;"
    );
    let _ = writeln!(text, "  tick \"Attempt to detect/decode encrypted ESP payloads\" there");
    text
}

/// A path as a shell takes it, whatever is in it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

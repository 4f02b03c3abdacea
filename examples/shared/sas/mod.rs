//! SAs as files have them: SAS.json, `ip xfrm` lines, rows of Wireshark's table.

mod ip;
mod json;
mod names;
mod wireshark;

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Ports, SaSpec, Selector};
use ipsec_3gpp::spi::Spi;

pub use json::to_json;
pub use names::{key, number};
pub use wireshark::{commands, to_rows};

use crate::Result;

/// One SA. Its keys wipe themselves.
#[derive(Debug)]
pub struct Sa {
    /// Its SPI.
    pub spi: Spi,
    /// Its traffic.
    pub selector: Selector,
    /// Its keys, and with them its suite.
    pub keys: SaKeys,
}

impl Sa {
    /// What the library makes SAs of.
    pub const fn spec(&self) -> SaSpec<'_> {
        SaSpec { spi: self.spi, selector: self.selector, keys: &self.keys }
    }

    /// What names it in a capture.
    pub const fn name(&self) -> (Spi, IpAddr) {
        (self.spi, self.selector.destination)
    }

    /// One SA of a set, with a copy of the keys.
    #[must_use]
    pub fn of(spec: &SaSpec<'_>) -> Option<Self> {
        let SaSpec { spi, selector, keys } = *spec;
        let keys = SaKeys::from_expanded(keys.suite(), keys.expose_integrity(), keys.expose_encryption());
        Some(Self { spi, selector, keys: keys.ok()? })
    }

    /// A second one, with a copy of the keys.
    #[must_use]
    pub fn duplicate(&self) -> Option<Self> {
        Self::of(&self.spec())
    }
}

impl fmt::Display for Sa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Selector { source, destination, ports } = self.selector;
        write!(f, "SPI 0x{:08x} {source}", self.spi.value())?;
        match ports {
            Ports::Exact { source, destination: to } => write!(f, " {source} -> {destination} {to}")?,
            Ports::Any => write!(f, " -> {destination}")?,
        }
        write!(f, " {}", self.keys.suite())
    }
}

/// Writes a file that holds keys: nobody else may read it.
///
/// # Errors
/// Those of writing.
pub fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Reads SAs in any of the three forms.
///
/// # Errors
/// A line that says which SA, and what is wrong with it.
pub fn read(text: &str) -> Result<Vec<Sa>> {
    let text = text.trim_start_matches('\u{feff}');
    let begin = text.trim_start();
    let sas = if begin.starts_with(['{', '[']) {
        json::read(text)?
    } else if begin.starts_with('"') || begin.starts_with('#') && text.contains("\"IPv") {
        wireshark::read(text)?
    } else {
        ip::read(text)?
    };
    for (index, sa) in sas.iter().enumerate() {
        let Selector { source, destination, .. } = sa.selector;
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(format!("SA {index}: address families differ: {source}, {destination}").into());
        }
    }
    if sas.is_empty() {
        return Err("no SA: neither SAS.json, nor lines of `ip xfrm state`, nor rows of Wireshark".into());
    }
    Ok(sas)
}

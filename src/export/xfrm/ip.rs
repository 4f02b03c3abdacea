//! Changes as lines of `ip -batch`.

use alloc::string::String;
use core::fmt::{self, Write};
use core::net::IpAddr;

use zeroize::Zeroizing;

use super::change::{
    Action, Change, Changes, Direction, PolicyEnd, PolicyId, State, StateId, StateKeys, StateLimits,
};
#[cfg(feature = "aes-gcm")]
use super::message::AEAD_ICV_BITS;
use super::message::{Algorithms, ICV_BITS, algorithms, whole_seconds};
use super::owner::Owner;
use crate::sa::Ports;

impl Changes<'_> {
    /// The changes as lines for `ip -batch -`, with the keys of the states. `ip` stops at the first
    /// line that fails; [`Changes::undo`] is the list that takes back what was done before.
    ///
    /// `ip` has no word for the number of the owner in a selector: what is to be removed by these
    /// lines must have been made by them, or by an owner [without it](Owner::without_marker).
    pub fn ip_lines_with_keys(&self) -> Zeroizing<String> {
        // Writing to these cannot fail. A String that grows leaves what it held in memory.
        let mut len = Length(0);
        let _ = self.write_lines(&mut len);
        let mut lines = Zeroizing::new(String::with_capacity(len.0));
        let _ = self.write_lines(&mut *lines);
        lines
    }

    fn write_lines(&self, out: &mut dyn Write) -> fmt::Result {
        self.list().iter().try_for_each(|change| writeln!(out, "{}", Line { change, owner: self.owner() }))
    }
}

/// The length of a text.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

struct Line<'a> {
    change: &'a Change<'a>,
    owner: &'a Owner,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change {
            Change::AddState(state) => self.state(f, "add", state),
            Change::UpdateState(state) => self.state(f, "update", state),
            Change::RemoveState(StateId { spi, destination }) => {
                write!(f, "xfrm state delete dst {destination} proto esp spi 0x{:08x}", spi.value())?;
                self.mark(f)
            }
            Change::AddPolicy(id, action) => self.policy(f, "add", id, action),
            Change::SetPolicy(id, action) => self.policy(f, "update", id, action),
            Change::RemovePolicy(id) => {
                write!(f, "xfrm policy delete")?;
                selector(f, id)?;
                write!(f, " dir {}", direction(id.direction))?;
                self.mark(f)?;
                self.if_id(f)
            }
        }
    }
}

impl Line<'_> {
    fn state(&self, f: &mut fmt::Formatter<'_>, verb: &str, state: &State<'_>) -> fmt::Result {
        let (source, destination, spi) =
            (state.selector.source, state.selector.destination, state.id.spi.value());
        write!(f, "xfrm state {verb} src {source} dst {destination} proto esp spi 0x{spi:08x}")?;
        write!(
            f,
            " reqid {} mode transport replay-window {}",
            self.owner.number,
            self.owner.window.packets()
        )?;
        keys(f, &state.keys)?;
        write!(f, " sel")?;
        let (from, to) = match state.selector.ports {
            Ports::Exact { source, destination } => (Some(source), Some(destination)),
            Ports::Any => (None, None),
        };
        addresses(f, Some(source), Some(destination), source.is_ipv6())?;
        ports(f, from, to)?;
        limits(f, &state.limits)?;
        self.mark(f)?;
        self.if_id(f)
    }

    fn policy(&self, f: &mut fmt::Formatter<'_>, verb: &str, id: &PolicyId, action: &Action) -> fmt::Result {
        write!(f, "xfrm policy {verb}")?;
        selector(f, id)?;
        write!(f, " dir {}", direction(id.direction))?;
        match action {
            Action::Block => write!(f, " action block priority {}", self.owner.block_priority)?,
            Action::Protect { .. } => write!(f, " priority {}", self.owner.priority)?,
        }
        self.mark(f)?;
        self.if_id(f)?;
        if let Action::Protect { source, destination, spi } = action {
            write!(f, " tmpl src {source} dst {destination} proto esp")?;
            if let Some(spi) = spi {
                write!(f, " spi 0x{:08x}", spi.value())?;
            }
            write!(f, " reqid {} mode transport", self.owner.number)?;
        }
        Ok(())
    }

    fn mark(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner.mark {
            Some(mark) => write!(f, " mark 0x{:x} mask 0x{:x}", mark.value, mark.mask),
            None => Ok(()),
        }
    }

    fn if_id(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner.if_id {
            Some(if_id) => write!(f, " if_id {if_id}"),
            None => Ok(()),
        }
    }
}

/// Text in hexadecimal digits, as `ip` reads it; what has no octets is two quotes.
struct Key<'a>(&'a [u8]);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("\"\"");
        }
        f.write_str("0x")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

fn keys(f: &mut fmt::Formatter<'_>, keys: &StateKeys<'_>) -> fmt::Result {
    let suite = keys.suite();
    let (integrity, encryption) = keys.expose();
    match algorithms(suite) {
        Algorithms::Separate { integrity: hash, encryption: cipher } => {
            write!(f, " auth-trunc {hash} {} {ICV_BITS} enc {cipher} {}", Key(integrity), Key(encryption))
        }
        #[cfg(feature = "aes-gcm")]
        Algorithms::Aead(name) => {
            let key = if suite.encrypts() { encryption } else { integrity };
            write!(f, " aead {name} {} {AEAD_ICV_BITS}", Key(key))
        }
    }
}

fn limits(f: &mut fmt::Formatter<'_>, limits: &StateLimits) -> fmt::Result {
    if let Some(lifetime) = limits.lifetime {
        write!(f, " limit time-hard {}", whole_seconds(lifetime))?;
    }
    let Some(limits) = limits.limits else { return Ok(()) };
    write!(f, " limit packet-soft {}", limits.soft_packets)?;
    if let Some(octets) = limits.soft_octets {
        write!(f, " limit byte-soft {octets}")?;
    }
    match limits.hard_octets {
        Some(octets) => write!(f, " limit byte-hard {octets}"),
        None => Ok(()),
    }
}

fn selector(f: &mut fmt::Formatter<'_>, id: &PolicyId) -> fmt::Result {
    let PolicyEnd { address: source, port: from } = id.source;
    let PolicyEnd { address: destination, port: to } = id.destination;
    addresses(f, source, destination, id.ipv6)?;
    ports(f, from, to)
}

fn addresses(
    f: &mut fmt::Formatter<'_>,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    ipv6: bool,
) -> fmt::Result {
    let (any, len) = if ipv6 { ("::/0", 128) } else { ("0.0.0.0/0", 32) };
    for (name, address) in [("src", source), ("dst", destination)] {
        match address {
            Some(address) => write!(f, " {name} {address}/{len}")?,
            None => write!(f, " {name} {any}")?,
        }
    }
    Ok(())
}

fn ports(f: &mut fmt::Formatter<'_>, source: Option<u16>, destination: Option<u16>) -> fmt::Result {
    for (name, port) in [("sport", source), ("dport", destination)] {
        if let Some(port) = port {
            write!(f, " {name} {port}")?;
        }
    }
    Ok(())
}

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

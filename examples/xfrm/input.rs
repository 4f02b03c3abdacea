//! Where the SAs come from.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipsec_3gpp::sa::{Ends, SaSet};
use ipsec_3gpp_tools::Result;
use ipsec_3gpp_tools::capture::{Datagram, Held, Input, Item, Taken};
use ipsec_3gpp_tools::sas;
use ipsec_3gpp_tools::sip::Message;
use ipsec_3gpp_tools::trace::{Flow, Keys, Trace, messages_of_text};

use crate::Group;

/// Two header values, and between whom.
#[derive(Default)]
pub(crate) struct Headers {
    pub(crate) client: Option<String>,
    pub(crate) server: Option<String>,
    pub(crate) ue: Option<IpAddr>,
    pub(crate) pcscf: Option<IpAddr>,
}

pub(crate) enum Source {
    Headers(Headers),
    /// A file, and addresses for a log that has none.
    File(PathBuf, Headers),
}

/// Reads the sets or SAs of a source.
pub(crate) fn groups(source: Source, keys: Keys) -> Result<Vec<Group>> {
    let mut trace = Trace::new(keys);
    match source {
        Source::Headers(headers) => {
            let (Some(client), Some(server)) = (&headers.client, &headers.server) else {
                return Err("--security-client and --security-server go together".into());
            };
            let mut register = Message::new("REGISTER sip:ims SIP/2.0");
            register.set("CSeq", "1 REGISTER").set("To", "<sip:the UE>").set("Security-Client", client);
            let mut challenge = Message::new("SIP/2.0 401 Unauthorized");
            challenge.set("CSeq", "1 REGISTER").set("Security-Server", server);
            let (Some(ue), Some(pcscf)) = (headers.ue, headers.pcscf) else {
                return Err("header values need --ue and --pcscf".into());
            };
            trace.message(&flow(ue, pcscf), &register);
            trace.message(&flow(pcscf, ue), &challenge);
        }
        Source::File(path, headers) => {
            let octets = read(&path)?;
            let is_capture = matches!(
                octets.as_slice(),
                [0x0a, 0x0d, 0x0d, 0x0a, ..] | [0x1f, 0x8b, ..] | [0xa1, 0xb2, ..] | [_, _, 0xb2, 0xa1, ..]
            );
            if is_capture {
                follow(&path, octets, &mut trace)?;
            } else {
                let text = String::from_utf8_lossy(&octets);
                let messages = messages_of_text(&text);
                if messages.is_empty() {
                    let named = |error| format!("{}: {error}", path.display());
                    return Ok(sas::read(&text).map_err(named)?.into_iter().map(Group::Single).collect());
                }
                log(&messages, &headers, &mut trace)?;
            }
        }
    }
    sets(&trace)
}

fn flow(source: IpAddr, destination: IpAddr) -> Flow {
    let end = |address| SocketAddr::new(address, 5060);
    Flow { time: Duration::ZERO, frame: 0, source: end(source), destination: end(destination), over: None }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut octets)?;
    } else {
        octets = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(octets)
}

fn follow(path: &Path, octets: Vec<u8>, trace: &mut Trace) -> Result<()> {
    let mut input = Input::new(path.display().to_string(), Box::new(std::io::Cursor::new(octets)), None)?;
    let mut held = Held::default();
    while let Some(item) = input.next()? {
        let Item::Packet(packet) = item else { continue };
        let Some(datagram) = Datagram::of(&packet) else { continue };
        let Taken::Whole(whole) = held.take_esp(&packet, datagram) else { continue };
        match whole.datagram.spi() {
            Some(name) => drop(trace.esp(packet.time, packet.frame, name, &whole.datagram.octets)),
            None => trace.clear(packet.time, packet.frame, None, &whole.datagram.octets),
        }
    }
    if input.is_cut_off() {
        let _ = writeln!(std::io::stderr(), "xfrm: {}: cut off after frame {}", input.name(), input.frames());
    }
    Ok(())
}

/// The messages of a log: the UE is who sent the REGISTER, by its topmost Via.
fn log(messages: &[Message], headers: &Headers, trace: &mut Trace) -> Result<()> {
    // Others may come from anywhere.
    let of_register = |message: &&Message| message.first("CSeq").trim_end().ends_with("REGISTER");
    for message in messages.iter().filter(of_register) {
        let sent_by = message.by_names("Via", "v").split_ascii_whitespace().nth(1).unwrap_or_default();
        let host = sent_by.split([';', ',']).next().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(ipv6) => ipv6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let ue = headers.ue.or_else(|| host.parse().ok());
        let ue = ue.ok_or("the log has no address of the UE in Via: give --ue")?;
        let pcscf = headers.pcscf.ok_or("a log has no address of the P-CSCF: give --pcscf")?;
        let flow = if message.method().is_some() { flow(ue, pcscf) } else { flow(pcscf, ue) };
        trace.message(&flow, message);
    }
    Ok(())
}

/// The sets that were found, with the keys that opened packets, or else the likeliest.
fn sets(trace: &Trace) -> Result<Vec<Group>> {
    let entries = trace.table.entries();
    let mut groups = Vec::new();
    for (number, set) in trace.sets.iter().enumerate() {
        let of_set = || {
            let entry = |(ends, index): &(Ends, usize)| Some((*ends, entries.get(*index)?));
            set.entries.iter().rev().filter_map(entry)
        };
        let used = of_set().find(|(_, entry)| entry.opened > 0);
        let likely = || of_set().find(|(_, entry)| entry.sa.keys.suite() == set.suite);
        let Some((ends, entry)) = used.or_else(likely) else { continue };
        let Some(sa) = entry.sa.duplicate() else { continue };
        let name = format!("set {} of {}", number + 1, set.impi);
        groups.push(Group::Set(name, SaSet::between(ends, sa.keys)?));
    }
    // What was told is the reason where there is no set.
    if groups.is_empty() {
        let reasons: Vec<&str> = trace.told.iter().map(|(.., text)| text.trim()).collect();
        return Err(match reasons.last() {
            Some(reason) => format!("no set of SAs: {reason}"),
            None => "no set of SAs: no REGISTER with Security-Client".into(),
        }
        .into());
    }
    Ok(groups)
}

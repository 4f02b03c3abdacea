//! Shared by both programs: the subscriber, options, and messages in and out of
//! packets.
#![allow(clippy::print_stderr, reason = "programs that talk to a person")]

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use ipsec_3gpp::Sad;
use ipsec_3gpp::registration::Over;
use ipsec_3gpp::sa::OpenError;
use lexopt::Arg;
use md5::{Digest, Md5};
use rsip::SipMessage;
use rsip::message::HasHeaders;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// TS 35.208 test set 1: RAND and AUTN in Base64 (RFC 3310 3.2), and what MILENAGE makes of them.
pub(crate) const NONCE: &str = "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M=";
pub(crate) const RES: [u8; 8] = [0xa5, 0x42, 0x11, 0xd5, 0xe3, 0xba, 0x50, 0xbf];
pub(crate) const CK: &str = "b40ba9a3c58b2a05bbf0d987b21bf8cb";
pub(crate) const IK: &str = "f769bcd751044604127672711c6d3441";
pub(crate) const IMPI: &str = "001010000000001@ims.mnc001.mcc001.3gppnetwork.org";
pub(crate) const REALM: &str = "ims.mnc001.mcc001.3gppnetwork.org";
/// The address of the P-CSCF in the tunnel.
pub(crate) const PCSCF: [u8; 4] = [10, 0, 0, 1];
/// Where SIP in clear is sent to and from.
pub(crate) const SIP: u16 = 5060;

/// Runs a program on one thread; an error is one line.
pub(crate) fn run(name: &str, program: impl Future<Output = Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(program)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The response of AKA to a REGISTER: HTTP Digest with RES as the password (RFC 3310 3.3).
pub(crate) fn response() -> String {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let secret = Md5::new().chain_update(format!("{IMPI}:{REALM}:")).chain_update(RES).finalize();
    let request = Md5::digest(format!("REGISTER:sip:{REALM}"));
    hex(&Md5::digest(format!("{}:{NONCE}:{}", hex(&secret), hex(&request))))
}

/// The value of the only option, or its default; `None` if help was asked for, and printed.
pub(crate) fn option(help: &str, name: &str, default: &str) -> Result<Option<String>> {
    let mut value = default.to_owned();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long(long) if long == name => value = lexopt::ValueExt::string(arguments.value()?)?,
            Arg::Short('h') | Arg::Long("help") => {
                print!("{help}");
                return Ok(None);
            }
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(value))
}

/// The packet that carries a message in UDP. What an SA is for is sealed, or not sent at all.
pub(crate) fn packet(sad: &mut Sad, [from, to]: [SocketAddr; 2], text: &str) -> Result<Vec<u8>> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (from.ip(), to.ip()) else {
        return Err("IPv4 only".into());
    };
    let mut datagram = Vec::new();
    PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
        .udp(from.port(), to.port())
        .write(&mut datagram, text.as_bytes())?;
    if !sad.is_protected(&datagram)? {
        return Ok(datagram);
    }
    let mut packet = vec![0; datagram.len() + 64];
    let sealed = sad.seal(&datagram, &mut packet)?;
    Ok(packet.get(sealed.range).unwrap_or_default().to_vec())
}

/// The message in a packet, who sent it, and what it came over: ESP, or clear where no SA demands
/// ESP.
pub(crate) fn message(sad: &mut Sad, packet: &mut [u8]) -> Result<(SipMessage, IpAddr, Over)> {
    let (datagram, over) = match sad.open_in_place(packet) {
        Ok(arrived) => {
            let opened = arrived.opened;
            (packet.get(opened.range).unwrap_or_default(), Over::Sa(opened.spi))
        }
        Err(OpenError::NotEsp(_)) if sad.is_protected(packet) == Ok(false) => (&*packet, Over::Clear),
        Err(error) => return Err(error.into()),
    };
    let packet = SlicedPacket::from_ip(datagram)?;
    match (packet.net, packet.transport) {
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) => {
            Ok((SipMessage::try_from(udp.payload())?, ip.header().source_addr().into(), over))
        }
        _ => Err("not UDP over IPv4".into()),
    }
}

/// The values of all rows of a header.
pub(crate) fn rows(message: &SipMessage, name: &str) -> Vec<String> {
    let lines = message.headers().iter().map(ToString::to_string);
    let of_header = |line: String| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then(|| value.to_owned())
    };
    lines.filter_map(of_header).collect()
}

/// A parameter in quotes; empty if there is none.
pub(crate) fn quoted<'a>(value: &'a str, name: &str) -> &'a str {
    // Outside of quotes, the name is the last word before a value.
    let (parts, name) = (value.split('"').collect::<Vec<_>>(), format!("{name}="));
    let is_name = |part: &&str| part.rsplit([',', ' ', '\t']).next() == Some(&name);
    let index = parts.iter().step_by(2).position(is_name).map(|index| 2 * index + 1);
    index.and_then(|index| parts.get(index)).copied().unwrap_or_default()
}

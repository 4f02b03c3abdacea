//! A phone registers at a P-CSCF: see `HELP`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program that talks to a person")]
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates, and options that are not known")]

mod data;
mod life;
mod net;

use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use ipsec_3gpp::registration::Config;
use ipsec_3gpp::setup::Port;
use ipsec_3gpp::spi::SpiSlice;
use ipsec_3gpp::{Confidentiality, Moment, Pcscf, Policy, SpiAllocator, Suite};
use life::Life;
use net::{Network, Result, Transport};

const HELP: &str = "\
A phone registers at a P-CSCF over ipsec-3gpp security associations, both ends in one process.

Prints a timeline on a virtual clock: a registration with the Security-Client, Security-Server and
Security-Verify values, a call, a message to the phone, and de-registration. Each ESP packet is sealed,
captured, opened at the other end, and compared with what was sent.

usage: registration [OPTIONS]
  --all              all that happens to phones: refresh, new SAs, a lost 200, leaving, vanishing;
                     without --phone, --family and --transport: for two phones
  --phone NAME       whose Security-Client is used (default: samsung):
                     samsung, iphone, xiaomi, huawei, sequential; or
                     release-13, which is made up and offers aes-gcm and aes-gmac
  --security-client VALUE
                     the Security-Client of another phone, in the REGISTER of --phone
  --family 4|6       address family (default: 4)
  --transport udp|tcp  what SIP is sent over (default: udp)
  --suite ALG+EALG   the only suite of the P-CSCF's policy, such as hmac-sha-1-96+aes-cbc
  --out DIR          where registration.pcap and registration.esp_sa are written (default: .)
  -h, --help         this text

example: registration --phone iphone --family 6 --transport tcp --out /tmp
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the timeline has seen enough.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("registration: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

struct Options {
    scenes: Vec<Scene>,
    suite: Option<Suite>,
    out: PathBuf,
    all: bool,
}

struct Scene {
    phone: String,
    /// Another one than that of the phone.
    security_client: Option<String>,
    ipv6: bool,
    transport: Transport,
}

/// `None` if help was asked for, and printed.
fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let (mut phone, mut ipv6, mut transport, mut suite) = (None, None, None, None);
    let (mut out, mut all, mut security_client) = (PathBuf::from("."), false, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("phone") => phone = Some(arguments.value()?.string()?),
            Long("security-client") => security_client = Some(arguments.value()?.string()?),
            Long("family") => {
                ipv6 = Some(match arguments.value()?.string()?.as_str() {
                    "4" => false,
                    "6" => true,
                    other => return Err(format!("--family {other}: neither 4 nor 6").into()),
                });
            }
            Long("transport") => {
                transport = Some(match arguments.value()?.string()?.as_str() {
                    "udp" => Transport::Udp,
                    "tcp" => Transport::Tcp,
                    other => return Err(format!("--transport {other}: neither udp nor tcp").into()),
                });
            }
            Long("suite") => {
                let name = arguments.value()?.string()?;
                let unknown = |_| format!("--suite {name}: not one of {:?}", Suite::ALL);
                suite = Some(name.parse().map_err(unknown)?);
            }
            Long("out") => out = arguments.value()?.into(),
            Long("all") => all = true,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let for_two = phone.is_none() && security_client.is_none() && ipv6.is_none() && transport.is_none();
    let scenes = if all && for_two {
        let scene = |phone: &str, ipv6, transport| Scene {
            phone: phone.into(),
            security_client: None,
            ipv6,
            transport,
        };
        vec![scene("samsung", false, Transport::Udp), scene("iphone", true, Transport::Tcp)]
    } else {
        vec![Scene {
            phone: phone.unwrap_or_else(|| "samsung".into()),
            security_client,
            ipv6: ipv6.unwrap_or(false),
            transport: transport.unwrap_or(Transport::Udp),
        }]
    };
    Ok(Some(Options { scenes, suite, out, all }))
}

fn run() -> Result<()> {
    let Some(options) = options()? else { return Ok(()) };
    let capture = options.out.join("registration.pcap");
    let rows_file = options.out.join("registration.esp_sa");
    let policy = match options.suite {
        Some(suite) => Policy::new(
            &[suite],
            match suite.encrypts() {
                false => Confidentiality::LeftToAccess,
                true => Confidentiality::Required,
            },
        )?,
        None => Policy::new(
            &[
                Suite::HMAC_SHA_1_96_AES_CBC,
                Suite::HMAC_MD5_96_AES_CBC,
                Suite::HMAC_SHA_1_96_NULL,
                Suite::HMAC_MD5_96_NULL,
            ],
            Confidentiality::Offered,
        )?,
    };
    let client_ports = [Port::new(7101)?, Port::new(7102)?, Port::new(7103)?];
    let config = Config::new(policy, Port::new(7060)?, &client_ports)?;
    // A real node takes its seed from the operating system; here each run must be the same.
    let spis = SpiAllocator::new(SpiSlice::new(1, 4)?, 1000, [0x3a; 16])?;
    // Before anything is written.
    for scene in &options.scenes {
        data::phone(&scene.phone)?;
    }
    let mut world = World {
        network: Network::new(&capture)?,
        pcscf: Pcscf::new(config, spis, Moment::from_millis(0)),
        rows: Vec::new(),
        out: BufWriter::new(std::io::stdout()),
    };
    for (number, scene) in options.scenes.iter().enumerate() {
        let life = Life::begin(&mut world, scene, number)?;
        if options.all { life.live()? } else { life.live_briefly()? }
    }
    std::fs::write(&rows_file, world.rows.join("\n") + "\n")?;
    let (capture, rows_file) = (capture.display(), rows_file.display());
    writeln!(world.out, "wrote {capture} and {rows_file}; tshark reads the SIP in it:")?;
    writeln!(world.out, "  sed 's/^/-ouat:esp_sa:/' {rows_file} | xargs -d '\\n' \\")?;
    writeln!(world.out, "    tshark -r {capture} -oesp.enable_encryption_decode:TRUE -Y sip")?;
    world.out.flush()?;
    Ok(())
}

/// Shared by the registrations of one run: the wire, and the P-CSCF.
struct World {
    network: Network,
    pcscf: Pcscf,
    /// Of Wireshark's table of SAs.
    rows: Vec<String>,
    out: BufWriter<std::io::Stdout>,
}

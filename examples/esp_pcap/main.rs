//! Opens or seals the ESP packets of a capture: see `HELP`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program that talks to a person")]
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates, and options that are not known")]

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ipsec_3gpp::Sad;
use ipsec_3gpp::sa::{Limits, SealError, WindowSize};
use ipsec_3gpp_tools::capture::{Datagram, Held, Input, Output, Packet, Taken, Whole};
use ipsec_3gpp_tools::progress::follow;
use ipsec_3gpp_tools::sas::{self, Sa};
use ipsec_3gpp_tools::summary::Summary;
use ipsec_3gpp_tools::table::{Outcome, Table};
use ipsec_3gpp_tools::{Result, help, stopped};

const USAGE: &str = "usage: esp_pcap open|seal --sas SAS [--window N] [--strict] IN OUT (--help says more)";

const HELP: &str = r#"Opens or seals the ESP packets of a capture.

usage: esp_pcap open|seal --sas SAS [OPTIONS] IN OUT
  open            replace ESP packets of the SAs by the datagrams in them
  seal            replace datagrams that an SA is for by ESP packets
  --sas SAS       the SAs: lines of `ip xfrm state`, rows of Wireshark's table of SAs (esp_sa), or
                  SAS.json, {"sas": [SA, ...]}, each SA an object with
                    src, dst            addresses
                    spi                 a number, or hexadecimal digits after 0x in quotes
                    alg, ealg           hmac-md5-96, hmac-sha-1-96, aes-gmac or null, with
                                        null, des-ede3-cbc, aes-cbc or aes-gcm
                    ck, ik              keys of AKA, hexadecimal; without encryption ik alone
                    auth_key, enc_key   instead of these: keys that are already expanded
                    src_port, dst_port  optional: only datagrams between these ports
                  names of ip xfrm and Wireshark are understood too. Several SAs may have one SPI:
                  each packet is opened by the one whose key it has
  --window N      packets of the replay window (default: 64)
  --strict        exit status 1 if a packet was left out, or nothing was opened or sealed
  -h, --help      this text

IN and OUT are captures; - is standard input or output. Pcap and pcapng are read, also in gzip, with
Ethernet (VLAN), Linux cooked, raw IP, NULL, LOOP or PPP, and what rvictl writes; ESP also in GTP-U and
in UDP at port 4500. OUT is of the same kind. IP fragments are reassembled first. A packet that no SA is
for is written as it is. A packet that cannot be opened or sealed is left out; standard error says how
many, why, and which frames.

exit status: 0, also if packets were left out (see --strict); 1 on failure; if SAs were found and nothing
opened, 3 where no integrity check was right (another IK), 4 where they were and nothing decrypts
(another CK)

example, with SAs and a capture of this repository:
  esp_pcap open --sas tests/data/kernel-esp/v4-hmac-sha-1-96+aes-cbc.json \
    tests/data/kernel-esp/v4-hmac-sha-1-96+aes-cbc.pcap opened.pcap
"#;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Open,
    Seal,
}

struct Options {
    direction: Direction,
    sas: PathBuf,
    window: WindowSize,
    strict: bool,
    input: PathBuf,
    output: PathBuf,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(0), |options| run(&options))) {
        Ok(status) => ExitCode::from(status),
        Err(error) => stopped("esp_pcap", error.as_ref()),
    }
}

/// `None` if help was asked for, and printed.
fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let (mut sas, mut window, mut strict, mut words) = (None, WindowSize::default(), false, Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("sas") => sas = Some(PathBuf::from(arguments.value()?)),
            Long("window") => window = WindowSize::new(arguments.value()?.parse()?)?,
            Long("strict") => strict = true,
            Short('h') | Long("help") => {
                help(HELP)?;
                return Ok(None);
            }
            Value(word) => words.push(word),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let [direction, input, output] = <[_; 3]>::try_from(words).map_err(|_| USAGE)?;
    let direction = match direction.to_str() {
        Some("open") => Direction::Open,
        Some("seal") => Direction::Seal,
        _ => return Err(USAGE.into()),
    };
    Ok(Some(Options {
        direction,
        sas: sas.ok_or(USAGE)?,
        window,
        strict,
        input: input.into(),
        output: output.into(),
    }))
}

/// Returns the exit status.
fn run(options: &Options) -> Result<u8> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", options.sas.display());
    let text = std::fs::read_to_string(&options.sas).map_err(|error| named(&error))?;
    let sas = sas::read(&text).map_err(|error| named(&error))?;
    let mut work = Work::new(options, sas).map_err(|error| named(&error))?;
    let mut input = Input::open(&options.input)?;
    let mut output = Output::create(&options.output, &input)?;
    let mut held = Held::default();
    let result = follow(&mut input, &mut output, |packet, output, _| work.packet(packet, &mut held, output))?;
    output.finish()?;
    work.summary.end(&input, held.incomplete());
    let (summary, seals) = (&work.summary, options.direction == Direction::Seal);
    let done = if seals { "sealed" } else { "opened" };
    eprintln!(
        "{} {done}, {} passed as they were, {} left out",
        summary.changed,
        summary.passed,
        summary.refused()
    );
    eprint!("{summary}");
    let wrong = work.table.wrong_keys();
    for (_, line) in &wrong {
        eprintln!("  {line}");
    }
    result?;
    Ok(summary.status(&wrong, options.strict))
}

/// What the packets of a capture are opened or sealed with.
struct Work {
    direction: Direction,
    table: Table,
    sad: Sad,
    /// The pairs of addresses that SAs are between.
    between: HashSet<(IpAddr, IpAddr)>,
    summary: Summary,
}

impl Work {
    fn new(options: &Options, sas: Vec<Sa>) -> Result<Self> {
        let between = sas.iter().map(|sa| (sa.selector.source, sa.selector.destination)).collect();
        let (mut table, mut sad) = (Table::new(options.window), Sad::new());
        for (index, sa) in sas.into_iter().enumerate() {
            match options.direction {
                Direction::Open => {
                    table.add(sa);
                }
                Direction::Seal => {
                    let id = sad.add_outbound(&sa.spec()).map_err(|error| format!("SA {index}: {error}"))?;
                    // A capture is of any size.
                    sad.set_limits(id, Limits::of(sa.keys.suite()).with_hard_octets(None));
                }
            }
        }
        Ok(Self { direction: options.direction, table, sad, between, summary: Summary::default() })
    }

    fn packet(&mut self, packet: &Packet, held: &mut Held, output: &mut Output) -> Result<()> {
        let Some(datagram) = Datagram::of(packet) else {
            self.summary.no_ip(packet);
            return output.write(packet, None);
        };
        // Fragments that no SA can be for are not reassembled.
        let (between, seals) = (&self.between, self.direction == Direction::Seal);
        let whole = held.take(packet, datagram, |ip| {
            between.contains(&(ip.source, ip.destination)) && (seals || ip.is_esp)
        });
        // What gives way, or is left at the end, is left out.
        held.released();
        let Taken::Whole(Whole { datagram, before }) = whole else { return Ok(()) };
        self.summary.tunnel(datagram.tunnel);
        let done = if seals { self.seal(&datagram) } else { self.open(&datagram) };
        match done {
            Done::Datagram(by) => {
                self.summary.changed += 1;
                output.write(packet, Some(&datagram.replaced(packet, &by)))
            }
            Done::Pass => {
                self.summary.passed += 1;
                self.summary.esp_without_sa += u64::from(datagram.spi().is_some());
                before.iter().try_for_each(|packet| output.write(packet, None))?;
                output.write(packet, None)
            }
            Done::Refused(reason) => {
                self.summary.refuse(reason, packet.frame);
                Ok(())
            }
        }
    }

    fn open(&mut self, datagram: &Datagram<'_>) -> Done {
        let Some(name) = datagram.spi().filter(|name| self.table.has(name)) else { return Done::Pass };
        match self.table.open(&name, &datagram.octets) {
            Outcome::Opened(datagram, _) => Done::Datagram(datagram),
            Outcome::Refused(reason) => Done::Refused(reason.text()),
        }
    }

    fn seal(&mut self, datagram: &Datagram<'_>) -> Done {
        let ours = datagram.addresses().is_some_and(|ends| self.between.contains(&ends));
        let mut packet = vec![0; datagram.octets.len() + 64];
        match self.sad.seal(&datagram.octets, &mut packet) {
            Ok(sealed) => match packet.get(sealed.range) {
                Some(sealed) => Done::Datagram(sealed.to_vec()),
                None => Done::Refused("an impossible range"),
            },
            // A packet that cannot be read may be traffic of an SA: it must not go out in clear.
            Err(SealError::Ip(_)) if ours => Done::Refused("cut off, or with a wrong IP header"),
            Err(SealError::NoSa(_) | SealError::Ip(_)) => Done::Pass,
            Err(SealError::TooLong(_)) => Done::Refused("too long for a datagram with ESP"),
            Err(SealError::Exhausted(_)) => Done::Refused("no sequence number left"),
            Err(_) => Done::Refused("refused"),
        }
    }
}

/// The outcome for one datagram.
enum Done {
    /// It is replaced.
    Datagram(Vec<u8>),
    /// No SA is for it.
    Pass,
    /// It is left out.
    Refused(&'static str),
}

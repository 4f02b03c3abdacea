//! Opens or seals the ESP packets of a capture: see `HELP`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program that talks to a person")]
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates, and options that are not known")]

mod capture;
mod sas;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use capture::{Capture, Next};
use ipsec_3gpp::Sad;
use ipsec_3gpp::sa::{OpenError, SealError, WindowSize};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str =
    "usage: esp_pcap open|seal --sas SAS.json [--window N] [--strict] IN.pcap OUT.pcap (--help says more)";

const HELP: &str = r#"Opens or seals the ESP packets of a capture.

usage: esp_pcap open|seal --sas SAS.json [OPTIONS] IN.pcap OUT.pcap
  open            replace ESP packets of the SAs by the datagrams in them
  seal            replace datagrams that an SA is for by ESP packets
  --sas SAS.json  the SAs: {"sas": [SA, ...]}, each SA an object with
                    src, dst            addresses
                    spi                 a number
                    alg, ealg           hmac-md5-96 or hmac-sha-1-96; null, des-ede3-cbc or aes-cbc
                    ck, ik              keys of AKA, hexadecimal
                    auth_key, enc_key   instead of these: keys that are already expanded
                    src_port, dst_port  optional: only datagrams between these ports
  --window N      packets of the replay window (default: 64)
  --strict        exit status 1 if a packet was left out
  -h, --help      this text

Captures are pcap files of Ethernet, raw IP or Linux cooked packets; the output is of the same kind.
IP fragments are reassembled first. A packet that no SA is for is written as it is. A packet that cannot
be opened or sealed is left out, and standard error says how many, by reason.

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
    match options().and_then(|options| options.map_or(Ok(true), |options| run(&options))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("esp_pcap: {error}");
            ExitCode::FAILURE
        }
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
                print!("{HELP}");
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

/// The outcome for one datagram.
enum Outcome {
    /// It is replaced.
    Datagram(Vec<u8>),
    /// No SA is for it.
    Pass,
    /// It is left out.
    Refused(&'static str),
}

/// Returns whether the run was a success.
fn run(options: &Options) -> Result<bool> {
    let mut sad = Sad::new().with_window(options.window);
    let text = std::fs::read_to_string(&options.sas)
        .map_err(|error| format!("{}: {error}", options.sas.display()))?;
    let between = sas::install(&text, options.direction == Direction::Open, &mut sad)
        .map_err(|error| format!("{}: {error}", options.sas.display()))?;
    let mut capture = Capture::open(&options.input, &options.output)?;
    let (mut changed, mut passed, mut refused) = (0_u64, 0_u64, BTreeMap::<&str, u64>::new());
    let mut esp_without_sa = 0_u64;
    loop {
        // Fragments that no SA can be for are not reassembled.
        let concerns = |ip: &capture::Ip| {
            between.contains(&(ip.source, ip.destination))
                && (options.direction == Direction::Seal || ip.is_esp)
        };
        let record = match capture.next(concerns)? {
            Next::Whole(record) => record,
            Next::NotIp(record) => {
                passed += 1;
                capture.pass(&record)?;
                continue;
            }
            Next::Kept => continue,
            Next::End { incomplete, cut_off } => {
                if cut_off {
                    *refused.entry("record cut off at the end of the capture").or_default() += 1;
                }
                if incomplete > 0 {
                    *refused.entry("fragments of a datagram that is not complete").or_default() += incomplete;
                }
                break;
            }
        };
        let outcome = match options.direction {
            Direction::Open => open(&mut sad, record.datagram(), record.spi()),
            Direction::Seal => {
                let ours = record.addresses().is_some_and(|ends| between.contains(&ends));
                seal(&mut sad, record.datagram(), ours)
            }
        };
        match outcome {
            Outcome::Datagram(datagram) => {
                changed += 1;
                capture.replace(&record, &datagram)?;
            }
            Outcome::Pass => {
                passed += 1;
                esp_without_sa += u64::from(record.spi().is_some());
                capture.pass(&record)?;
            }
            Outcome::Refused(reason) => *refused.entry(reason).or_default() += 1,
        }
    }
    capture.finish()?;
    let done = if options.direction == Direction::Open { "opened" } else { "sealed" };
    eprintln!("{changed} {done}, {passed} passed as they were, {} left out", refused.values().sum::<u64>());
    if esp_without_sa > 0 {
        eprintln!("  {esp_without_sa} of those passed are ESP packets that no SA is for");
    }
    for (reason, count) in &refused {
        eprintln!("  {count} {reason}");
    }
    Ok(!options.strict || refused.is_empty())
}

fn open(sad: &mut Sad, datagram: &[u8], spi: Option<capture::EspOf>) -> Outcome {
    let mut buffer = datagram.to_vec();
    match sad.open_in_place(&mut buffer) {
        Ok(arrived) => match buffer.get(arrived.opened.range) {
            Some(opened) => Outcome::Datagram(opened.to_vec()),
            None => Outcome::Refused("an impossible range"),
        },
        Err(error) => {
            // Of what cannot be read as a whole, the SPI may still tell that an SA is concerned.
            let of_an_sa = spi.is_some_and(|esp| sad.find_inbound(esp.spi, esp.destination).is_some());
            if of_an_sa { Outcome::Refused(reason(&error)) } else { Outcome::Pass }
        }
    }
}

fn reason(error: &OpenError) -> &'static str {
    match error {
        OpenError::Ip(_) => "cut off, or with a wrong IP header",
        OpenError::Packet(_) => "not of a length that the suite has",
        OpenError::Replay { .. } => "seen before, or older than the replay window",
        OpenError::Icv { .. } => "integrity check failed: another key, or damaged",
        OpenError::Trailer(_) => "an impossible trailer",
        OpenError::Dummy => "dummy packets",
        OpenError::Addresses(_) | OpenError::Ports(_) => "addresses or ports that are not those of the SA",
        _ => "refused",
    }
}

/// `ours`: an SA is between its addresses.
fn seal(sad: &mut Sad, datagram: &[u8], ours: bool) -> Outcome {
    let mut packet = vec![0; datagram.len() + 64];
    match sad.seal(datagram, &mut packet) {
        Ok(sealed) => match packet.get(sealed.range) {
            Some(sealed) => Outcome::Datagram(sealed.to_vec()),
            None => Outcome::Refused("an impossible range"),
        },
        // A packet that cannot be read may be traffic of an SA: it must not go out in clear.
        Err(SealError::Ip(_)) if ours => Outcome::Refused("cut off, or with a wrong IP header"),
        Err(SealError::NoSa(_) | SealError::Ip(_)) => Outcome::Pass,
        Err(SealError::TooLong(_)) => Outcome::Refused("too long for a datagram with ESP"),
        Err(SealError::Exhausted(_)) => Outcome::Refused("no sequence number left"),
        Err(_) => Outcome::Refused("refused"),
    }
}

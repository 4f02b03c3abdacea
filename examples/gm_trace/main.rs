//! Who registered with what in a capture, and the capture in plain: see `HELP`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program that talks to a person")]
#![allow(clippy::wildcard_enum_match_arm, reason = "options that are not known")]

mod report;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ipsec_3gpp::Suite;
use ipsec_3gpp_tools::capture::{Datagram, Held, Input, Output, Packet, Taken, Whole};
use ipsec_3gpp_tools::progress::follow;
use ipsec_3gpp_tools::sas;
use ipsec_3gpp_tools::summary::Summary;
use ipsec_3gpp_tools::table::{Entry, Outcome, Reason};
use ipsec_3gpp_tools::trace::{Keys, Trace};
use ipsec_3gpp_tools::{Result, help, stopped};

const USAGE: &str = "usage: gm_trace [--ck HEX --ik HEX] [--keys FILE] [-o OUT] IN (--help says more)";

const HELP: &str = r#"Finds the registrations in a capture of Gm, and decrypts it.

usage: gm_trace [OPTIONS] IN
  --ck HEX --ik HEX  CK and IK of AKA; may be repeated, for several runs of AKA
  --keys FILE        a line for each run of AKA: IMPI CK IK; several may be of one IMPI
  -o OUT             the capture in plain (default: IN.plain.pcap in this folder, or .pcapng)
  --no-output        write no capture
  --strict           exit status 1 if a packet of an SA did not open, or none did
  -h, --help         this text

IN and OUT are captures; - is standard input or output. Pcap and pcapng are read, also in gzip, with
Ethernet (VLAN), Linux cooked, raw IP, NULL, LOOP or PPP, and what rvictl writes; ESP also in GTP-U and
in UDP at port 4500.

Keys are not needed where the capture has Mw too: the 401 there carries them. The SAs come from
Security-Client and Security-Server, over UDP or TCP, in clear or in SAs that are known by then, for every
registration one after the other. Where REGISTER or 401 is missing, they are found: with each key that
is known and each suite, by the integrity check of their packets.

Printed is who registered when, what was offered, answered and chosen and why, the SAs with their packets,
and for each packet of an SA that did not open the reason. OUT has the datagrams in place of ESP; what did
not open is in it as it was. OUT.esp_sa has rows for Wireshark's table of SAs, with which it reads IN;
they hold the keys.

exit status: 0; 1 on failure; if SAs were found and nothing opened, 3 where no integrity check was
right (another IK), 4 where they were and nothing decrypts (another CK)

example, with the capture that `registration` writes:
  gm_trace --ck b40ba9a3c58b2a05bbf0d987b21bf8cb --ik f769bcd751044604127672711c6d3441 registration.pcap
"#;

struct Options {
    keys: Keys,
    output: Option<PathBuf>,
    writes: bool,
    strict: bool,
    input: PathBuf,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(0), run)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => stopped("gm_trace", error.as_ref()),
    }
}

/// `None` if help was asked for, and printed.
fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let (mut keys, mut cks, mut iks) = (Keys::default(), Vec::new(), Vec::new());
    let (mut output, mut writes, mut strict, mut inputs) = (None, true, false, Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("ck") => cks.push(arguments.value()?.string()?),
            Long("ik") => iks.push(arguments.value()?.string()?),
            Long("keys") => keys.read_file(&PathBuf::from(arguments.value()?))?,
            Short('o') | Long("output") => output = Some(PathBuf::from(arguments.value()?)),
            Long("no-output") => writes = false,
            Long("strict") => strict = true,
            Short('h') | Long("help") => {
                help(HELP)?;
                return Ok(None);
            }
            Value(word) => inputs.push(PathBuf::from(word)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    keys.give_typed(&cks, &iks)?;
    let [input] = <[_; 1]>::try_from(inputs).map_err(|_| USAGE)?;
    Ok(Some(Options { keys, output, writes, strict, input }))
}

/// Where the capture in plain goes.
fn output_path(options: &Options, input: &Input) -> PathBuf {
    if let Some(output) = &options.output {
        return output.clone();
    }
    let extension = if input.link().is_some() { "pcap" } else { "pcapng" };
    let stem = options.input.file_name().filter(|_| options.input != Path::new("-"));
    let mut stem = stem.map_or_else(|| "stdin".into(), |name| name.to_string_lossy().into_owned());
    for ending in [".gz", ".pcap", ".pcapng", ".cap"] {
        stem = stem.strip_suffix(ending).map_or(stem.clone(), Into::into);
    }
    PathBuf::from(format!("{stem}.plain.{extension}"))
}

/// Returns the exit status.
fn run(options: Options) -> Result<u8> {
    let mut input = Input::open(&options.input)?;
    let path = output_path(&options, &input);
    let mut output = if options.writes { Output::create(&path, &input)? } else { Output::nothing() };
    // With the capture on standard output, the report goes to standard error.
    let to_stdout = !options.writes || path != Path::new("-");
    let mut out: Box<dyn Write> = if to_stdout {
        Box::new(std::io::BufWriter::new(std::io::stdout()))
    } else {
        Box::new(std::io::stderr())
    };
    let (mut work, mut held) =
        (Work { trace: Trace::new(options.keys), summary: Summary::default() }, Held::default());
    let mut clock = report::Clock::default();
    let is_terminal = std::io::stdout().is_terminal();
    let result = follow(&mut input, &mut output, |packet, output, progress| {
        work.packet(packet, &mut held, output)?;
        if work.trace.told.is_empty() {
            return Ok(());
        }
        progress.around(|| {
            for (time, frame, text) in work.trace.told.drain(..) {
                clock.line(&mut out, time, frame, &text)?;
            }
            // What a person reads appears where the bar was.
            if is_terminal { Ok(out.flush()?) } else { Ok(()) }
        })
    })?;
    Work::write_as_they_were(&held.rest(), &mut output)?;
    output.finish()?;
    let Work { trace, mut summary } = work;
    summary.end(&input, held.incomplete());
    report::sets(&mut out, &trace)?;
    let opened = summary.changed;
    writeln!(
        out,
        "{} packets: {opened} ESP packets opened, {} others, {} of an SA or ESP that did not open",
        input.frames(),
        summary.passed,
        summary.refused(),
    )?;
    write!(out, "{summary}")?;
    let wrong = trace.table.wrong_keys();
    for (_, line) in &wrong {
        writeln!(out, "  {line}")?;
    }
    // Keys are written only where the capture is a file.
    if options.writes && std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
        let rows = PathBuf::from(format!("{}.esp_sa", path.display()));
        if input.is_file(&rows) {
            return Err(format!("{}: it is read and written", rows.display()).into());
        }
        let used = trace.table.entries().iter().filter(|entry| entry.opened > 0).map(|entry| &entry.sa);
        sas::write_secret(&rows, &sas::to_rows(used))
            .map_err(|error| format!("{}: {error}", rows.display()))?;
        writeln!(out, "wrote {} and {}", path.display(), rows.display())?;
        if opened > 0 && options.input != Path::new("-") {
            write!(out, "{}", sas::commands(&options.input, &rows, &trace.tcp_ports))?;
            let is_gmac = |entry: &Entry| entry.opened > 0 && entry.sa.keys.suite() == Suite::AES_GMAC;
            if trace.table.entries().iter().any(is_gmac) {
                writeln!(out, "neither has AES-GMAC: for its SAs, read {}", path.display())?;
            }
        }
    }
    out.flush()?;
    result?;
    Ok(summary.status(&wrong, options.strict))
}

struct Work {
    trace: Trace,
    summary: Summary,
}

impl Work {
    /// Fragments of ESP that are of no whole datagram are written as they were.
    fn write_as_they_were(packets: &[Packet], output: &mut Output) -> Result<()> {
        packets.iter().try_for_each(|packet| output.write(packet, None))
    }

    fn packet(&mut self, packet: &Packet, held: &mut Held, output: &mut Output) -> Result<()> {
        let Some(datagram) = Datagram::of(packet) else {
            self.summary.no_ip(packet);
            return output.write(packet, None);
        };
        // Fragments of ESP are replaced by what is in it; others stay what they are, and SIP in
        // clear is read out of them.
        let taken = held.take_esp(packet, datagram);
        Self::write_as_they_were(&held.released(), output)?;
        let Whole { datagram, before } = match taken {
            Taken::Whole(whole) => whole,
            Taken::Held => return Ok(()),
            Taken::Fragment => {
                self.summary.passed += 1;
                return output.write(packet, None);
            }
        };
        self.summary.tunnel(datagram.tunnel);
        let Some(name) = datagram.spi() else {
            self.summary.passed += 1;
            self.trace.clear(packet.time, packet.frame, None, &datagram.octets);
            return output.write(packet, None);
        };
        match self.trace.esp(packet.time, packet.frame, name, &datagram.octets) {
            Outcome::Opened(by, _) => {
                self.summary.changed += 1;
                output.write(packet, Some(&datagram.replaced(packet, &by)))
            }
            Outcome::Refused(reason) => {
                let text = match reason {
                    Reason::NoSa => {
                        "ESP of SAs that are not known: no registration was seen, and no key that was tried fits"
                    }
                    other => other.text(),
                };
                self.summary.refuse(text, packet.frame);
                before.iter().try_for_each(|packet| output.write(packet, None))?;
                output.write(packet, None)
            }
        }
    }
}

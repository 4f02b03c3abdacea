//! Explains Security-Client, Security-Server and Security-Verify: see `HELP`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program that talks to a person")]
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates, and options that are not known")]

mod input;
mod json;
mod text;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use input::{Header, headers};
use ipsec_3gpp::policy::Selection;
use ipsec_3gpp::sec_agree::{ListError, MechanismList, SecurityClient};
use ipsec_3gpp::{Confidentiality, Policy, Suite};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
Says what Security-Client, Security-Server and Security-Verify hold, which suite a policy selects from
them, and why it passes over the others.

usage: sec_agree [OPTIONS] [FILE]...
  FILE               SIP messages, or header lines (default: standard input)
  --suite ALG+EALG   a suite of the policy; may be repeated, the best first (default: aes-cbc before
                     null, and hmac-sha-1-96 before hmac-md5-96)
  --confidentiality required|offered|access
                     whether the policy requires encryption, offers it, or leaves it to the access
                     network (default: offered if a suite encrypts)
  --json             one JSON object a header, instead of text
  -h, --help         this text

The rows of one header are joined; other headers, bodies and start lines are ignored. A line without a
header name is a Security-Client. An empty line ends a block of header lines. A Security-Client is read as
the P-CSCF does, the others as the UE does.

Exit status 1 if a header could not be read at all, or none was found. A malformed mechanism is
reported and passed over.

example:
  echo 'Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100' |
    sec_agree
";

struct Options {
    policy: Policy,
    json: bool,
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), |options| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the answers has seen enough.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sec_agree: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(options: &Options) -> Result<()> {
    let mut found = Vec::new();
    if options.files.is_empty() {
        let mut octets = Vec::new();
        std::io::stdin().lock().read_to_end(&mut octets)?;
        found = headers(&String::from_utf8_lossy(&octets));
    }
    for file in &options.files {
        let octets = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        found.extend(headers(&String::from_utf8_lossy(&octets)));
    }
    if found.is_empty() {
        return Err("no Security-Client, Security-Server or Security-Verify in the input".into());
    }
    let mut unreadable = 0;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for header in &found {
        let answer = read(&options.policy, header);
        unreadable += usize::from(answer.is_err());
        if options.json {
            writeln!(out, "{}", json::answer(header, &answer))?;
        } else {
            text::answer(&mut out, header, &answer)?;
        }
    }
    out.flush()?;
    if unreadable == 0 { Ok(()) } else { Err(format!("{unreadable} headers could not be read").into()) }
}

/// A header's mechanisms, and the policy's selection from them.
type Answer = std::result::Result<(MechanismList, Selection), ListError>;

fn read(policy: &Policy, header: &Header) -> Answer {
    let list = MechanismList::parse_rows(header.rows.iter().map(String::as_str))?;
    let selection = if header.name == SecurityClient::NAME {
        policy.select_for(&list.clone().into())
    } else {
        policy.select_from(&list.clone().into())
    };
    Ok((list, selection))
}

/// `None` if help was asked for, and printed.
fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let (mut suites, mut confidentiality) = (Vec::new(), None);
    let (mut json, mut files) = (false, Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("suite") => {
                let name = arguments.value()?.string()?;
                let unknown = |_| format!("--suite {name}: not one of {:?}", Suite::ALL);
                suites.push(name.parse().map_err(unknown)?);
            }
            Long("confidentiality") => {
                confidentiality = Some(match arguments.value()?.string()?.as_str() {
                    "required" => Confidentiality::Required,
                    "offered" => Confidentiality::Offered,
                    "access" => Confidentiality::LeftToAccess,
                    other => {
                        let unknown = format!("--confidentiality {other}: not required, offered or access");
                        return Err(unknown.into());
                    }
                });
            }
            Long("json") => json = true,
            Value(file) => files.push(file.into()),
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(Options { policy: policy(suites, confidentiality)?, json, files }))
}

fn policy(mut suites: Vec<Suite>, confidentiality: Option<Confidentiality>) -> Result<Policy> {
    if suites.is_empty() {
        let all = [
            Suite::HMAC_SHA_1_96_AES_CBC,
            Suite::HMAC_MD5_96_AES_CBC,
            Suite::HMAC_SHA_1_96_NULL,
            Suite::HMAC_MD5_96_NULL,
        ];
        let wanted = |suite: &Suite| match confidentiality.unwrap_or(Confidentiality::Offered) {
            Confidentiality::Required => suite.encrypts(),
            Confidentiality::Offered => true,
            Confidentiality::LeftToAccess => !suite.encrypts(),
        };
        suites = all.into_iter().filter(wanted).collect();
    }
    // From the suites, unless the command line says more.
    let encrypts = suites.iter().any(|suite| suite.encrypts());
    let from_suites = if encrypts { Confidentiality::Offered } else { Confidentiality::LeftToAccess };
    Ok(Policy::new(&suites, confidentiality.unwrap_or(from_suites))?)
}

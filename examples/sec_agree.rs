//! Says what a Security-Client, Security-Server or Security-Verify holds, and what a policy makes of it.
//!
//! ```text
//! cargo run --release --example sec_agree -- [--suite ALG+EALG]... [--confidentiality required|offered|access]
//! ```
//!
//! Standard input has one header a line: `Security-Client: ipsec-3gpp;alg=...`. Without a name it is a Security-Client.
//! Standard output has one JSON object for each: the mechanisms with their values or what is wrong with them, the suite
//! that the policy selects (the P-CSCF's choice from a Security-Client, the UE's choice from the others) or null, and the
//! reason for every suite and mechanism that was passed over. The policy is the suites in the order of their priority;
//! without any it is aes-cbc before null, and hmac-sha-1-96 before hmac-md5-96.
//!
//! Exit status 0 if every line was read, 1 if one could not be read as a list, or the options are wrong.
#![allow(clippy::print_stderr, reason = "a program that talks to a person")]
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates, and options that are not known")]

use std::io::{BufRead, Write};
use std::process::ExitCode;

use ipsec_3gpp::algorithm::Release;
use ipsec_3gpp::policy::{OfferVerdict, Selection};
use ipsec_3gpp::sec_agree::{
    Ipsec3gpp, ListError, Mechanism, MechanismList, Name, Parameter, Qvalue, SecurityClient, SecurityServer,
    SecurityVerify, Value as ParameterValue,
};
use ipsec_3gpp::{Confidentiality, Policy, Suite};
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(unreadable) => {
            eprintln!("sec_agree: {unreadable} lines could not be read");
            ExitCode::FAILURE
        }
        // Whoever reads the objects has seen enough.
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

/// Returns how many lines could not be read.
fn run() -> Result<u64> {
    let policy = policy()?;
    let mut unreadable = 0;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        let object = match std::str::from_utf8(&line) {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => {
                let (header, value) = split(line);
                read(&policy, header, value)
                    .map_err(|error| json!({ "header": header, "error": error.to_string() }))
            }
            Err(error) => Err(json!({ "error": error.to_string() })),
        };
        unreadable += u64::from(object.is_err());
        let (Ok(object) | Err(object)) = object;
        writeln!(out, "{object}")?;
    }
    out.flush()?;
    Ok(unreadable)
}

fn policy() -> Result<Policy> {
    use lexopt::prelude::*;
    let (mut suites, mut confidentiality) = (Vec::new(), None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("suite") => {
                let name = arguments.value()?.string()?;
                let known = Suite::ALL.into_iter().find(|suite| suite.to_string() == name);
                suites.push(known.ok_or_else(|| format!("--suite {name}: not one of {:?}", Suite::ALL))?);
            }
            Long("confidentiality") => {
                confidentiality = Some(match arguments.value()?.string()?.as_str() {
                    "required" => Confidentiality::Required,
                    "offered" => Confidentiality::Offered,
                    "access" => Confidentiality::LeftToAccess,
                    other => {
                        return Err(
                            format!("--confidentiality {other}: not required, offered or access").into()
                        );
                    }
                });
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    if suites.is_empty() {
        let all = [
            Suite::HMAC_SHA_1_96_AES_CBC,
            Suite::HMAC_MD5_96_AES_CBC,
            Suite::HMAC_SHA_1_96_NULL,
            Suite::HMAC_MD5_96_NULL,
        ];
        let wanted = |suite: &Suite| match confidentiality.unwrap_or(Confidentiality::Offered) {
            Confidentiality::Required => suite.release() == Release::Release6,
            Confidentiality::Offered => true,
            Confidentiality::LeftToAccess => suite.release() == Release::Release5,
        };
        suites = all.into_iter().filter(wanted).collect();
    }
    // What the suites say, unless the command line says more.
    let encrypts = suites.iter().any(|suite| suite.release() == Release::Release6);
    let from_suites = if encrypts { Confidentiality::Offered } else { Confidentiality::LeftToAccess };
    Ok(Policy::new(&suites, confidentiality.unwrap_or(from_suites))?)
}

/// The header's name, where the line has one, and its value.
fn split(line: &str) -> (&'static str, &str) {
    let names = [SecurityClient::NAME, SecurityServer::NAME, SecurityVerify::NAME];
    line.split_once(':')
        .and_then(|(name, value)| {
            let known = names.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()))?;
            Some((known, value))
        })
        .unwrap_or((SecurityClient::NAME, line))
}

fn read(policy: &Policy, header: &str, value: &str) -> std::result::Result<Value, ListError> {
    let list = MechanismList::parse_rows([value])?;
    let mechanisms: Vec<Value> = list.mechanisms().iter().map(mechanism).collect();
    let selection = if header == SecurityClient::NAME {
        policy.select_for(&list.into())
    } else {
        policy.select_from(&list.into())
    };
    Ok(json!({
        "header": header,
        "mechanisms": mechanisms,
        "selected": selected(&selection),
        "suites": selection.suites().iter().map(|(suite, verdict)| {
            json!({ "suite": suite.to_string(), "verdict": verdict.to_string() })
        }).collect::<Vec<_>>(),
        "offers": selection.offers().iter().map(|offer| match offer {
            OfferVerdict::Usable { suite, .. } => json!({ "usable": suite.to_string() }),
            OfferVerdict::PassedOver(reason) => json!({ "passed over": reason.to_string() }),
            _ => Value::Null,
        }).collect::<Vec<_>>(),
    }))
}

fn selected(selection: &Selection) -> Value {
    selection.chosen().map_or(Value::Null, |choice| {
        let (spis, ports) = (choice.setup.spis, choice.setup.ports);
        json!({
            "suite": choice.suite.to_string(),
            "index": choice.index,
            "spi-c": spis.client.value(),
            "spi-s": spis.server.value(),
            "port-c": ports.client.get(),
            "port-s": ports.server.get(),
        })
    })
}

fn mechanism(mechanism: &Mechanism) -> Value {
    match mechanism {
        Mechanism::Ipsec3gpp(offer) => ipsec_3gpp(offer),
        Mechanism::Other(other) => {
            let mut object = Map::new();
            object.insert("name".into(), other.name().into());
            add(&mut object, "q", other.q().map(q));
            extensions(&mut object, other.parameters());
            object.into()
        }
        Mechanism::Malformed(malformed) => {
            json!({ "malformed": malformed.text(), "error": malformed.error().to_string() })
        }
    }
}

fn ipsec_3gpp(offer: &Ipsec3gpp) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), Ipsec3gpp::NAME.into());
    add(&mut object, "q", offer.q.map(q));
    add(&mut object, "alg", offer.alg.as_ref().map(|alg| token(alg, |alg| alg.token())));
    add(&mut object, "ealg", offer.ealg.as_ref().map(|ealg| token(ealg, |ealg| ealg.token())));
    add(&mut object, "prot", offer.prot.map(|prot| prot.token()));
    add(&mut object, "mod", offer.mode.map(|mode| mode.token()));
    add(&mut object, "spi-c", offer.spi_c.map(|spi| spi.value()));
    add(&mut object, "spi-s", offer.spi_s.map(|spi| spi.value()));
    add(&mut object, "port-c", offer.port_c.map(|port| port.get()));
    add(&mut object, "port-s", offer.port_s.map(|port| port.get()));
    extensions(&mut object, &offer.extensions);
    let quirks: Vec<String> = offer.quirks().iter().map(|quirk| quirk.to_string()).collect();
    if !quirks.is_empty() {
        object.insert("quirks".into(), quirks.into());
    }
    if let Err(incomplete) = offer.suite().map(|_| ()).and_then(|()| offer.setup().map(|_| ())) {
        object.insert("incomplete".into(), incomplete.to_string().into());
    }
    object.into()
}

fn add(object: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(name.into(), value.into());
    }
}

fn q(q: Qvalue) -> f64 {
    f64::from(q.thousandths()) / 1000.0
}

fn token<T: Copy>(name: &Name<T>, token: impl Fn(T) -> &'static str) -> String {
    match name {
        Name::Known(algorithm) => token(*algorithm).into(),
        Name::Unknown(token) => token.to_string(),
    }
}

fn extensions(object: &mut Map<String, Value>, parameters: &[Parameter]) {
    if parameters.is_empty() {
        return;
    }
    let value = |parameter: &Parameter| match &parameter.value {
        ParameterValue::Absent => Value::Null,
        ParameterValue::Token(text) | ParameterValue::Quoted(text) => text.to_string().into(),
    };
    let parameters: Map<String, Value> =
        parameters.iter().map(|parameter| (parameter.name.to_string(), value(parameter))).collect();
    object.insert("parameters".into(), parameters.into());
}

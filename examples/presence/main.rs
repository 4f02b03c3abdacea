//! Privacy at the P-CSCF and authentication of watchers, step by step: see `HELP`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to a person")]

mod message;

use std::io::Read;
use std::process::ExitCode;

use ipsec_3gpp::Moment;
use ipsec_3gpp::presence::privacy::{
    Applied, NextHop, Outcome, Residual, Row, Service, Shortfall, distrusted,
};
use ipsec_3gpp::presence::watcher::{
    Account, Client, Decision, Handling, NonceSecret, Request, Role, Server, ServerConfig, Subscription,
    SubscriptionPolicy, Watcher,
};
use message::{Message, printable};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
Shows what a P-CSCF and a presence server do for privacy: the headers of a SIP message, before (-) and
after (+).

usage: presence message [OPTIONS] [FILE]     a request to a UE, through the function of its P-CSCF, and
                                             the response
       presence subscribe [OPTIONS] [FILE]   a SUBSCRIBE through the function of the edge, and HTTP
                                             Digest between watcher and presence server
  FILE                     a SIP request (- for standard input; default: one that comes with the program)
  --next-hop own|trusted|untrusted
                           what the request goes to (default: untrusted)
  --strict                 refuses what cannot be provided, even if it is not critical
  --user NAME, --password TEXT
                           what the watcher says (default: alice, as the server knows her)
  -h, --help               this text

Exit status 1 if the request was refused or the input could not be read.

example: presence message --strict
";

const PASSWORD: &str = "a random text, handed over by hand";
const REALM: &str = "presence.home2.net";

struct Options {
    command: String,
    file: Option<String>,
    next_hop: NextHop,
    strict: bool,
    user: String,
    password: String,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), |options| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("presence: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` if help was asked for, and printed.
fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let mut options = Options {
        command: String::new(),
        file: None,
        next_hop: NextHop::Untrusted,
        strict: false,
        user: "alice".into(),
        password: PASSWORD.into(),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("next-hop") => {
                options.next_hop = match arguments.value()?.string()?.as_str() {
                    "own" => NextHop::OwnDomain,
                    "trusted" => NextHop::Trusted,
                    "untrusted" => NextHop::Untrusted,
                    other => return Err(format!("--next-hop {other}: own, trusted or untrusted").into()),
                }
            }
            Long("strict") => options.strict = true,
            Long("user") => options.user = arguments.value()?.string()?,
            Long("password") => options.password = arguments.value()?.string()?,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            Value(word) if options.command.is_empty() => options.command = word.string()?,
            Value(file) if options.file.is_none() => options.file = Some(file.string()?),
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<()> {
    match options.command.as_str() {
        "message" => to_ue(options, read(options, include_str!("../data/message.sip"))?),
        "subscribe" => subscribe(options, read(options, include_str!("../data/subscribe.sip"))?),
        "" => Err("message or subscribe? (--help says more)".into()),
        other => Err(format!("{other}: message or subscribe? (--help says more)").into()),
    }
}

fn read(options: &Options, default: &str) -> Result<Message> {
    let text = match options.file.as_deref() {
        None => default.into(),
        Some("-") => std::io::read_to_string(std::io::stdin().lock().take(1 << 20))?,
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?,
    };
    Ok(Message::parse(&text)?)
}

/// What is configured, applied to a request, and printed.
fn apply(options: &Options, who: &str, request: &mut Message) -> Result<Applied> {
    let service = Service::new(options.next_hop);
    let service = if options.strict { service.strict() } else { service };
    let outcome = service.apply(request.request()?.0, &request.rows());
    println!("{who}, next hop {:?}:\n    {}", options.next_hop, printable(&request.start));
    let applied = match outcome {
        Outcome::Forward(applied) => applied,
        Outcome::Refuse(refusal) => {
            let status = refusal.status.map_or("discarded".into(), |status| status.to_string());
            return Err(format!("{status} {}", refusal.reason).into());
        }
    };
    let residual: Vec<String> = applied.residual.iter().map(|one| named(one, &request.rows())).collect();
    request.edit(&applied.edits);
    let shortfall: Vec<String> = applied.shortfall.iter().map(undone).collect();
    println!("  not provided: {}", or_nothing(&shortfall));
    println!("  still tells who the originator is: {}\n", or_nothing(&residual));
    Ok(applied)
}

fn named(residual: &Residual, rows: &[Row<'_>]) -> String {
    match residual {
        Residual::Row(row) => rows.get(*row).map_or(String::new(), |row| row.name.into()),
        Residual::Body | _ => "body".into(),
    }
}

fn undone(shortfall: &Shortfall) -> String {
    match shortfall {
        Shortfall::Level(level) => level.token().into(),
        Shortfall::Unreadable(error) => error.to_string(),
        other => format!("{other:?}"),
    }
}

fn or_nothing(list: &[String]) -> String {
    if list.is_empty() { "nothing".into() } else { list.join(", ") }
}

/// A request to a UE, and its response.
fn to_ue(options: &Options, mut request: Message) -> Result<()> {
    let applied = apply(options, "P-CSCF", &mut request)?;
    let mut response = Message::parse("SIP/2.0 200 OK\n")?;
    for (name, compact) in [("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("CSeq", "CSeq")] {
        let names = |row: &&Row<'_>| [name, compact].iter().any(|one| row.name.eq_ignore_ascii_case(one));
        request.rows().iter().filter(names).for_each(|row| response.add(row.name, row.value));
    }
    response.add("P-Preferred-Identity", "<sip:somebody.else@home2.net>");
    let mapped = applied.dialog.response(200, &response.rows());
    println!("P-CSCF, the response of the UE:\n    {}", response.start);
    response.edit(&mapped.edits);
    println!(
        "  restored: {}",
        if mapped.is_restored { "all that was hidden" } else { "nothing: NotRestored" }
    );
    Ok(())
}

/// A SUBSCRIBE that leaves the trust domain, and HTTP Digest with the presence server.
fn subscribe(options: &Options, mut request: Message) -> Result<()> {
    let _ = apply(options, "edge of the watcher's network", &mut request)?;
    println!("edge of the presentity's network, from a network without an agreement:");
    let edits = distrusted(&request.rows());
    request.edit(&edits);

    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let mut server = Server::new(ServerConfig::new(REALM)?, NonceSecret::new(secret));
    let watcher = Watcher::new("sip:alice@home1.net", Handling::Allow);
    let policy = SubscriptionPolicy::new()
        .with_watcher(watcher.with_account(Account::new("alice", PASSWORD.as_bytes())));
    let mut client = Client::new(Account::new(&options.user, options.password.as_bytes()));
    // Two requests are sent: without credentials, and with.
    for second in [0, 1] {
        let now = Moment::from_millis(1000 * second);
        let (method, uri) = request.request()?;
        let of_digest = Request::new(method, uri).with_body(request.body.as_bytes());
        let rows = request.values(Role::Server.credentials_header());
        let decision = policy.decide(now, &mut server, &Subscription::new(of_digest, &rows));
        println!("\npresence server: {}", decision.status());
        match &decision {
            Decision::Challenge(reason, challenges) => {
                println!("  why: {reason:?}");
                challenges.iter().for_each(|row| println!("  + {}: {row}", Role::Server.challenge_header()));
                let mut cnonce = [0; 8];
                getrandom::fill(&mut cnonce)?;
                let cnonce: String = cnonce.iter().map(|octet| format!("{octet:02x}")).collect();
                client.challenged(challenges.iter().map(String::as_str), &cnonce)?;
                let credentials = client.credentials(&of_digest)?;
                println!("\nwatcher:\n  + {}: {credentials}", Role::Server.credentials_header());
                request.set(Role::Server.credentials_header(), &credentials);
            }
            Decision::Accept(accepted) | Decision::Pending(accepted) | Decision::PoliteBlock(accepted) => {
                println!("  watcher {:?}, by {:?}", accepted.identity, accepted.by);
                let Some(verified) = &accepted.verified else { return Ok(()) };
                let info = server.authentication_info(now, verified, b"");
                println!("  + {}: {info}", Role::Server.info_header());
                let is_proved = client.answered(Some(&info), b"")?;
                println!(
                    "\nwatcher: the server {} her",
                    if is_proved { "knows" } else { "did not say that it knows" }
                );
                return Ok(());
            }
            Decision::Refuse(reason) => return Err(format!("refused: {reason:?}").into()),
            other => return Err(format!("refused: {other:?}").into()),
        }
    }
    Err("the watcher was not authenticated".into())
}

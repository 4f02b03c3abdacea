//! HTTP Digest over sockets, to be compared with other clients and servers: see `HELP`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to a person")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program, with clock and sockets")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ipsec_3gpp::presence::watcher::{
    Account, Algorithm, Client, Credentials, NonceSecret, Request, Role, Server, ServerConfig,
};
use ipsec_3gpp::time::Anchor;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
HTTP Digest over sockets, with the server and the client of the library.

usage: digest serve ADDRESS:PORT [OPTIONS]   an HTTP server; prints a line a request
       digest get ADDRESS:PORT PATH [OPTIONS]        an HTTP client
       digest sip ADDRESS:PORT METHOD URI [OPTIONS]  a SIP client over UDP
  --user NAME, --password TEXT   (default: alice, secret)
  --realm TEXT                   of the server (default: presence.home1.net)
  --algorithm NAME               one that is offered or answered; may be repeated (default: those of
                                 the library)
  --integrity                    the client prefers auth-int
  -h, --help                     this text

The clients print the status of the first and the last response, the algorithm, and whether the server
has proved that it knows the user; exit status 1 if the last is no 2xx.

example: digest serve 127.0.0.1:8080
";

struct Options {
    words: Vec<String>,
    user: String,
    password: String,
    realm: String,
    algorithms: Vec<Algorithm>,
    integrity: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), |options| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("digest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` if help was asked for, and printed.
fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let mut options = Options {
        words: Vec::new(),
        user: "alice".into(),
        password: "secret".into(),
        realm: "presence.home1.net".into(),
        algorithms: Vec::new(),
        integrity: false,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("user") => options.user = arguments.value()?.string()?,
            Long("password") => options.password = arguments.value()?.string()?,
            Long("realm") => options.realm = arguments.value()?.string()?,
            Long("algorithm") => {
                let name = arguments.value()?.string()?;
                let found = Algorithm::ALL.into_iter().find(|one| one.token().eq_ignore_ascii_case(&name));
                options.algorithms.push(found.ok_or(format!("no algorithm {name}"))?);
            }
            Long("integrity") => options.integrity = true,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            Value(word) => options.words.push(word.string()?),
            Short(_) | Long(_) => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<()> {
    match options.words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(options, address),
        ["get", address, path] => {
            let exchange = |credentials: Option<&str>| {
                let row = credentials.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
                let request =
                    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{row}Connection: close\r\n\r\n");
                let mut stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                stream.write_all(request.as_bytes())?;
                receive(&mut BufReader::new(stream))?.ok_or("no response".into())
            };
            answer(options, &Request::new("GET", path), exchange)
        }
        ["sip", address, method, uri] => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(address)?;
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            let (local, call) = (socket.local_addr()?, random()?);
            let mut sequence = 0;
            let exchange = |credentials: Option<&str>| {
                sequence += 1;
                let row = credentials.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
                let (user, realm) = (&options.user, &options.realm);
                let request = format!(
                    "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{call}{sequence};rport\r\n\
                     Max-Forwards: 70\r\nFrom: <sip:{user}@{realm}>;tag={call}\r\nTo: <sip:{user}@{realm}>\r\n\
                     Call-ID: {call}\r\nCSeq: {sequence} {method}\r\nContact: <sip:{user}@{local}>\r\n\
                     Event: presence\r\nExpires: 600\r\n{row}Content-Length: 0\r\n\r\n"
                );
                socket.send(request.as_bytes())?;
                loop {
                    let mut buffer = vec![0; 1 << 16];
                    let len = socket.recv(&mut buffer)?;
                    let mut octets = buffer.get(..len).unwrap_or_default();
                    let response = receive(&mut octets)?.ok_or("no response")?;
                    // Provisional responses are not waited for.
                    if response.status()? >= 200 {
                        return Ok(response);
                    }
                }
            };
            answer(options, &Request::new(method, uri), exchange)
        }
        _ => Err("serve, get or sip? (--help says more)".into()),
    }
}

/// A message of HTTP or SIP.
struct Message {
    start: String,
    rows: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let of_name = self.rows.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect::<Vec<_>>().into_iter()
    }

    fn status(&self) -> Result<u16> {
        Ok(self.start.split(' ').nth(1).ok_or("no status")?.parse()?)
    }
}

/// `None` at the end of a connection.
fn receive(from: &mut impl BufRead) -> Result<Option<Message>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.take(1 << 16).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() && !lines.is_empty() {
            break;
        }
        if lines.len() >= 256 {
            return Err("more than 256 header lines".into());
        }
        lines.push(line.to_owned());
    }
    let mut lines = lines.into_iter();
    let start = lines.next().unwrap_or_default();
    let row = |line: String| line.split_once(':').map(|(name, value)| (name.into(), value.trim().into()));
    let mut message = Message { start, rows: lines.filter_map(row).collect(), body: Vec::new() };
    let len = message.values("Content-Length").next().map_or(Ok(0), str::parse::<u64>)?;
    from.take(len.min(1 << 20)).read_to_end(&mut message.body)?;
    Ok(Some(message))
}

fn random() -> Result<String> {
    let mut octets = [0; 8];
    getrandom::fill(&mut octets)?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// Sends a request until it is no longer challenged.
fn answer(
    options: &Options,
    request: &Request<'_>,
    mut exchange: impl FnMut(Option<&str>) -> Result<Message>,
) -> Result<()> {
    let mut client = Client::new(Account::new(&options.user, options.password.as_bytes()));
    if !options.algorithms.is_empty() {
        client = client.with_algorithms(&options.algorithms);
    }
    if options.integrity {
        client = client.with_integrity();
    }
    let first = exchange(None)?;
    let role = match first.status()? {
        401 => Role::Server,
        407 => Role::Proxy,
        status => return Err(format!("{status} without a challenge").into()),
    };
    let mut response = first;
    let mut algorithm = None;
    for _ in 0..3 {
        if response.status()? != role.status() {
            break;
        }
        algorithm = Some(client.challenged(response.values(role.challenge_header()), &random()?)?);
        let credentials = client.credentials(request)?;
        if role == Role::Proxy {
            return Err("a proxy, which this client has no row for".into());
        }
        response = exchange(Some(&credentials))?;
    }
    let info = response.values(role.info_header()).next();
    let is_proved = client.answered(info, &response.body)?;
    let (status, name) = (response.status()?, algorithm.map_or("-", Algorithm::token));
    println!("{} {status} {name} {}", role.status(), if is_proved { "rspauth" } else { "no rspauth" });
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("refused: {}", response.start).into()) }
}

fn serve(options: &Options, address: &str) -> Result<()> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let mut config = ServerConfig::new(&options.realm)?;
    if !options.algorithms.is_empty() {
        config = config.with_algorithms(&options.algorithms)?;
    }
    let mut server = Server::new(config, NonceSecret::new(secret));
    let account = Account::new(&options.user, options.password.as_bytes());
    let clock = Anchor::new(Instant::now());
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    println!("listens on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let answered =
            stream.map_err(Into::into).and_then(|stream| connection(&mut server, &account, &clock, stream));
        if let Err(error) = answered {
            println!("{error}");
        }
    }
    Ok(())
}

/// The request of a connection.
fn connection(server: &mut Server, account: &Account, clock: &Anchor, mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let Some(message) = receive(&mut BufReader::new(stream.try_clone()?))? else { return Ok(()) };
    let mut words = message.start.split(' ');
    let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let request = Request::new(method, uri).with_body(&message.body);
    let now = clock.moment(Instant::now());
    let mut respond = |status: &str, rows: &[(&str, String)], body: &str| -> Result<()> {
        let rows: String = rows.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let response =
            format!("HTTP/1.1 {status}\r\n{rows}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        Ok(stream.write_all(response.as_bytes())?)
    };
    let verified = match Credentials::find(message.values("Authorization"), server.realm()) {
        Ok(Some(credentials)) => server.verify(now, &credentials, &request, Some(account)).map_err(Some),
        Ok(None) => Err(None),
        Err(error) => {
            println!("{method} {uri}: 400 {error}");
            return respond("400 Bad Request", &[], "");
        }
    };
    match verified {
        Ok(verified) => {
            println!("{method} {uri}: 200 {verified} {}", verified.qop().token());
            let info = server.authentication_info(now, &verified, b"welcome\n");
            respond("200 OK", &[(Role::Server.info_header(), info)], "welcome\n")?;
        }
        Err(error) => {
            let why = error.map_or("no credentials".into(), |error| error.to_string());
            println!("{method} {uri}: 401 {why}");
            let challenges = server.challenges(now, error.is_some_and(|error| error.is_stale()));
            let rows = challenges.into_iter().map(|row| (Role::Server.challenge_header(), row));
            respond("401 Unauthorized", &rows.collect::<Vec<_>>(), "")?;
        }
    }
    Ok(())
}

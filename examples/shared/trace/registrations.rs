//! From REGISTER, 401 and SM7 to sets of SAs.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::{SlicedPacket, TransportSlice};
use ipsec_3gpp::Suite;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Endpoint, Ends, SaName};
use ipsec_3gpp::sec_agree::{Mechanism, SecurityClient, SecurityServer};
use ipsec_3gpp::setup::Setup;
use ipsec_3gpp::spi::Spi;
use memchr::memmem;

use super::keys::{KeyPair, Keys};
use super::streams::{Streams, may_begin_sip};
use super::unknown::Unknown;
use crate::capture::addresses;
use crate::sas::Sa;
use crate::sip::{Message, parameter};
use crate::table::{Outcome, Reason, Table};

/// What a message travelled on.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// When.
    pub time: Duration,
    /// The frame that completed it.
    pub frame: u64,
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// The SPI of the SA; `None` in clear.
    pub over: Option<Spi>,
}

/// A set that was set up.
#[derive(Debug)]
pub struct SetOf {
    /// Private identity.
    pub impi: String,
    /// When SM6 was seen.
    pub time: Duration,
    /// The suite that the two headers choose.
    pub suite: Suite,
    /// Its SAs in the table, four for each suite that both headers have and each pair of keys, with
    /// the ends of that suite; the likeliest are the last.
    pub entries: Vec<(Ends, usize)>,
}

/// A REGISTER that has not been answered.
#[derive(Debug)]
struct Register {
    impi: String,
    ue: IpAddr,
    pcscf: IpAddr,
    client: SecurityClient,
    leaves: bool,
    /// Octets of the header that it is from.
    octets: usize,
}

/// A challenge whose keys are not known yet.
#[derive(Debug)]
struct Waiting {
    call_id: String,
    nonce: String,
    server: SecurityServer,
    flow: Flow,
}

/// Follows the registrations of a capture.
pub struct Trace {
    /// The keys that are known.
    pub keys: Keys,
    /// The SAs.
    pub table: Table,
    /// The sets, in their order.
    pub sets: Vec<SetOf>,
    /// What is told, in its order: time, frame, text.
    pub told: VecDeque<(Duration, u64, String)>,
    requests: HashMap<String, Register>,
    order: VecDeque<String>,
    /// Of their headers.
    octets: usize,
    waiting: Vec<Waiting>,
    /// The latest challenges that set something up.
    set_ups: VecDeque<(String, Ends)>,
    /// The latest messages, by which a copy is known.
    recent: VecDeque<(u64, Duration)>,
    streams: Streams,
    unknown: Unknown,
    end_of_head: memmem::Finder<'static>,
    register: memmem::Finder<'static>,
    /// Ports at which SIP was seen over TCP.
    pub tcp_ports: Vec<u16>,
}

/// Octets of the headers of the requests that are kept: what is made of them is a few times
/// larger.
const REQUESTS: usize = 8 << 20;
/// Octets of a name.
const NAME: usize = 256;
/// Challenges that wait for keys.
const WAITING: usize = 1000;

impl Trace {
    /// Follows with these keys.
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            table: Table::default(),
            sets: Vec::new(),
            told: VecDeque::new(),
            requests: HashMap::new(),
            order: VecDeque::new(),
            octets: 0,
            waiting: Vec::new(),
            set_ups: VecDeque::new(),
            recent: VecDeque::new(),
            streams: Streams::default(),
            unknown: Unknown::default(),
            end_of_head: memmem::Finder::new(b"\r\n\r\n"),
            register: memmem::Finder::new(b"REGISTER"),
            tcp_ports: Vec::new(),
        }
    }

    /// Opens an ESP packet, and reads what is in it.
    pub fn esp(&mut self, time: Duration, frame: u64, name: (Spi, IpAddr), packet: &[u8]) -> Outcome {
        let mut outcome = self.table.open(&name, packet);
        if matches!(outcome, Outcome::Refused(Reason::NoSa | Reason::Icv | Reason::Replayed))
            && !self.table.is_full()
        {
            let source = addresses(packet).map(|(source, _)| source);
            let found = source.and_then(|source| self.unknown.find(name, source, packet, &self.keys));
            if let Some((sa, origin)) = found {
                let text = format!(
                    "{sa}: found by its ICV, with the keys of {origin}; its set-up is not in the capture"
                );
                if self.table.knows(&sa) {
                    // A replay in truth: its key is that of an SA which has seen it.
                    return outcome;
                }
                self.told.push_back((time, frame, text));
                self.table.add(sa);
                outcome = self.table.open(&name, packet);
            }
        }
        if let Outcome::Opened(datagram, _) = &outcome {
            self.clear(time, frame, Some(name.0), datagram);
        }
        outcome
    }

    /// Reads a datagram: in clear, or out of an SA.
    pub fn clear(&mut self, time: Duration, frame: u64, over: Option<Spi>, datagram: &[u8]) {
        let Ok(packet) = SlicedPacket::from_ip(datagram) else { return };
        let (Some(net), Some(transport)) = (packet.net, packet.transport) else { return };
        let (source, destination): (IpAddr, IpAddr) = match net {
            etherparse::NetSlice::Ipv4(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            etherparse::NetSlice::Ipv6(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            etherparse::NetSlice::Arp(_) => return,
        };
        let flow = |from, to| Flow {
            time,
            frame,
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
            over,
        };
        match transport {
            TransportSlice::Udp(udp) if may_begin_sip(udp.payload()) => {
                let payload = udp.payload();
                let end = self.end_of_head.find(payload).unwrap_or(payload.len());
                let head = payload.get(..end).unwrap_or_default();
                // The others are not read.
                if self.register.find(head).is_none() {
                    return;
                }
                if let Ok(message) = Message::parse(&String::from_utf8_lossy(head)) {
                    self.message(&flow(udp.source_port(), udp.destination_port()), &message);
                }
            }
            TransportSlice::Tcp(tcp) => {
                let flow = flow(tcp.source_port(), tcp.destination_port());
                let ends = (flow.source, flow.destination);
                let messages = self.streams.take(ends, tcp.sequence_number(), tcp.syn(), tcp.payload());
                for message in messages {
                    for port in [ends.0.port(), ends.1.port()] {
                        if ![5060, 5061].contains(&port) && port < 32_768 && !self.tcp_ports.contains(&port) {
                            self.tcp_ports.push(port);
                        }
                    }
                    self.message(&flow, &message);
                }
            }
            _ => {}
        }
    }

    /// Reads a message.
    pub fn message(&mut self, flow: &Flow, message: &Message) {
        if !message.by_names("CSeq", "CSeq").trim_end().ends_with("REGISTER") {
            return;
        }
        match (message.method(), message.status()) {
            (Some("REGISTER"), _) => self.register(flow, message),
            (None, Some(401)) => self.challenge(flow, message),
            (None, Some(status @ 200..)) => self.answer(flow, message, status),
            _ => {}
        }
    }

    fn tell(&mut self, flow: &Flow, text: String) {
        // What a stranger wrote must not steer a terminal.
        let text = text.replace(|c: char| c.is_control(), "?");
        self.told.push_back((flow.time, flow.frame, text));
    }

    /// Whether a copy of the message was seen within two seconds: a retransmission, or the same
    /// message on another link.
    fn is_copy(&mut self, flow: &Flow, message: &Message) -> bool {
        use std::hash::{DefaultHasher, Hash, Hasher};
        const COPIES: Duration = Duration::from_secs(2);
        let mut hasher = DefaultHasher::new();
        (&message.start, message.by_names("Call-ID", "i"), message.first("CSeq")).hash(&mut hasher);
        (message.first("Security-Client"), message.first("Security-Server")).hash(&mut hasher);
        (message.first("WWW-Authenticate"), flow.over).hash(&mut hasher);
        let hash = hasher.finish();
        while self.recent.front().is_some_and(|(_, time)| *time + COPIES < flow.time)
            || self.recent.len() > 10_000
        {
            self.recent.pop_front();
        }
        if self.recent.iter().any(|(recent, _)| *recent == hash) {
            return true;
        }
        self.recent.push_back((hash, flow.time));
        false
    }

    fn register(&mut self, flow: &Flow, message: &Message) {
        let rows = message.rows(SecurityClient::NAME);
        if self.is_copy(flow, message) || rows.is_empty() {
            return;
        }
        let username = parameter(message.first("Authorization"), "username");
        let impi = username.unwrap_or_else(|| uri_of(message.by_names("To", "t")));
        let impi: String = impi.chars().take(NAME).map(|c| if c.is_control() { '?' } else { c }).collect();
        let step = if message.rows("Security-Verify").is_empty() { "SM1" } else { "SM7" };
        let over = over(flow);
        let client = match SecurityClient::parse_rows(rows.iter().copied()) {
            Ok(client) => client,
            Err(error) => {
                self.tell(flow, format!("{step}  REGISTER of {impi} {over}: Security-Client: {error}"));
                return;
            }
        };
        let offers: Vec<String> =
            suites(client.mechanisms()).iter().map(|(suite, ..)| suite.to_string()).collect();
        let offers = if offers.is_empty() { "nothing that is known".into() } else { offers.join(", ") };
        let lifetime = expires(message);
        let expires = lifetime
            .map(|seconds| if seconds == 0 { ", leaves".into() } else { format!(", for {seconds} s") });
        self.tell(
            flow,
            format!(
                "{step}  REGISTER of {impi} from {} {over}{}: offers {offers}",
                flow.source,
                expires.unwrap_or_default()
            ),
        );
        while self.octets > REQUESTS {
            let Some(oldest) = self.order.pop_front() else { break };
            self.octets -= self.requests.remove(&oldest).map_or(0, |request| request.octets);
        }
        let call_id = call_id_of(message);
        let octets = 256 + rows.iter().map(|row| row.len()).sum::<usize>();
        self.octets += octets;
        let leaves = lifetime == Some(0);
        let request =
            Register { impi, ue: flow.source.ip(), pcscf: flow.destination.ip(), client, leaves, octets };
        match self.requests.insert(call_id.clone(), request) {
            Some(before) => self.octets -= before.octets,
            None => self.order.push_back(call_id),
        }
    }

    fn challenge(&mut self, flow: &Flow, message: &Message) {
        if self.is_copy(flow, message) {
            return;
        }
        // Of several challenges, the one that has keys.
        let rows = message.rows("WWW-Authenticate");
        let with_keys = rows.iter().find(|row| parameter(row, "ck").is_some());
        let row = with_keys.or(rows.first()).copied().unwrap_or_default();
        let nonce: String = parameter(row, "nonce").unwrap_or_default().chars().take(NAME).collect();
        if let (Some(ck), Some(ik)) = (parameter(row, "ck"), parameter(row, "ik")) {
            let origin = format!("the 401 in frame {}", flow.frame);
            match KeyPair::read(ck, ik, origin) {
                Ok(keys) => {
                    if self.keys.learn(&nonce, keys) {
                        self.tell(flow, format!("SM5  401 from {} carries CK and IK", flow.source));
                    }
                }
                Err(error) => self.tell(flow, format!("SM5  401 from {}: {error}", flow.source)),
            }
            // A challenge that came before its keys, as clocks of several links have it.
            let (ready, others) =
                std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.nonce == nonce);
            self.waiting = others;
            let ready: Vec<Waiting> = ready;
            for waiting in ready {
                self.set_up(&waiting.flow, &waiting.call_id, &waiting.nonce, &waiting.server);
            }
        }
        let rows = message.rows(SecurityServer::NAME);
        if rows.is_empty() {
            return;
        }
        match SecurityServer::parse_rows(rows) {
            Ok(server) => {
                let call_id = call_id_of(message);
                self.set_up(flow, &call_id, &nonce, &server);
            }
            Err(error) => self.tell(flow, format!("SM6  401 from {}: Security-Server: {error}", flow.source)),
        }
    }

    /// Makes the sets that a challenge may have set up: of every suite that both headers have, the
    /// one that they choose last, since the newest is tried first.
    fn set_up(&mut self, flow: &Flow, call_id: &str, nonce: &str, server: &SecurityServer) {
        let Some(request) = self.requests.get(call_id) else {
            self.tell(flow, "SM6  401 without its REGISTER: its SAs are found by their ICVs".into());
            return;
        };
        let (impi, ue, pcscf) = (request.impi.clone(), request.ue, request.pcscf);
        let (offered, answered) = (suites(request.client.mechanisms()), suites(server.mechanisms()));
        let order = server.list().by_preference();
        let by_preference: Vec<_> =
            order.iter().filter_map(|index| answered.iter().find(|(.., at)| at == index)).collect();
        let both: Vec<_> = by_preference
            .iter()
            .filter_map(|(suite, setup, at)| {
                let (_, of_ue, _) = offered.iter().find(|(offer, ..)| offer == suite)?;
                Some((*suite, *of_ue, *setup, *at))
            })
            .collect();
        let names: Vec<String> = by_preference.iter().map(|(suite, ..)| suite.to_string()).collect();
        let Some(&(chosen, of_ue, of_pcscf, at)) = both.first() else {
            self.tell(
                flow,
                match names.as_slice() {
                    [] => format!("SM6  401 to {impi}: answers nothing that is known"),
                    names => {
                        format!("SM6  401 to {impi}: answers {}; nothing of it was offered", names.join(", "))
                    }
                },
            );
            return;
        };
        let q = match server.mechanisms().get(at).and_then(Mechanism::q) {
            Some(q) => format!(" (q={}.{:03})", q.thousandths() / 1000, q.thousandths() % 1000),
            None => String::new(),
        };
        let keys = self.keys.of_challenge(nonce, &impi);
        let ends = |ue_setup: Setup, pcscf_setup: Setup| Ends {
            ue: Endpoint { address: ue, setup: ue_setup },
            pcscf: Endpoint { address: pcscf, setup: pcscf_setup },
            scope: 0,
        };
        let with = match keys.as_slice() {
            [] => "no keys are known".into(),
            [one] => format!("keys of {}", one.origin),
            several => format!("{} pairs of keys to try", several.len()),
        };
        self.tell(
            flow,
            format!(
                "SM6  401 to {impi} {}: answers {}; chosen {chosen}{q}, the first of Security-Server that Security-Client offers; {with}",
                over(flow),
                names.join(", "),
            ),
        );
        if keys.is_empty() {
            if self.waiting.len() >= WAITING {
                self.waiting.remove(0);
            }
            let (call_id, nonce) = (call_id.to_owned(), nonce.to_owned());
            self.waiting.push(Waiting { call_id, nonce, server: server.clone(), flow: *flow });
            return;
        }
        let chosen_ends = ends(of_ue, of_pcscf);
        // A 401 that is sent again, however late, sets nothing up.
        if self.set_ups.back().is_some_and(|_| self.set_ups.contains(&(nonce.to_owned(), chosen_ends))) {
            return;
        }
        self.set_ups.push_back((nonce.to_owned(), chosen_ends));
        if self.set_ups.len() > 10_000 {
            self.set_ups.pop_front();
        }
        if let Err(error) = chosen_ends.check() {
            self.tell(flow, format!("     not a set: {error}"));
            return;
        }
        let Setup { spis, ports } = of_ue;
        let Setup { spis: at_pcscf, ports: pcscf_ports } = of_pcscf;
        self.tell(
            flow,
            format!(
                "     set {}: UE {ue} ports {}, {} SPIs 0x{:08x}, 0x{:08x}; P-CSCF {pcscf} ports {}, {} SPIs 0x{:08x}, 0x{:08x}",
                self.sets.len() + 1,
                ports.client, ports.server, spis.client.value(), spis.server.value(),
                pcscf_ports.client, pcscf_ports.server, at_pcscf.client.value(), at_pcscf.server.value(),
            ),
        );
        if self.table.is_full() {
            self.tell(flow, "     too many SAs: this set is not followed".into());
            return;
        }
        let (mut entries, mut refused) = (Vec::new(), None);
        for pair in keys.iter().rev() {
            for (suite, of_ue, of_pcscf, _) in both.iter().rev() {
                let ends = ends(*of_ue, *of_pcscf);
                for name in SaName::ALL {
                    let (spi, selector) = ends.sa(name);
                    match SaKeys::expand(*suite, &pair.ck, &pair.ik) {
                        Ok(keys) => entries.push((ends, self.table.add(Sa { spi, selector, keys }))),
                        Err(error) => {
                            refused = Some(format!("     {suite} with keys of {}: {error}", pair.origin))
                        }
                    }
                }
            }
        }
        if let Some(refused) = refused {
            self.tell(flow, refused);
        }
        self.sets.push(SetOf { impi, time: flow.time, suite: chosen, entries });
    }

    fn answer(&mut self, flow: &Flow, message: &Message, status: u16) {
        let Some(request) = self.requests.get(&call_id_of(message)) else { return };
        let (impi, leaves) = (request.impi.clone(), request.leaves);
        if request.ue != flow.destination.ip() || self.is_copy(flow, message) {
            return;
        }
        let text = match (status, expires(message)) {
            (200, Some(0)) => "has left".into(),
            (200, None) if leaves => "has left".into(),
            (200, Some(seconds)) => format!("registered for {seconds} s"),
            (200, None) => "registered".into(),
            _ => format!("refused with {status}"),
        };
        self.tell(flow, format!("SM12 {status} to {impi} {}: {text}", over(flow)));
    }
}

/// The suites of the mechanisms that are known, with their set-ups and positions.
fn suites(mechanisms: &[Mechanism]) -> Vec<(Suite, Setup, usize)> {
    let read = |(index, mechanism): (usize, &Mechanism)| match mechanism {
        Mechanism::Ipsec3gpp(mechanism) => Some((mechanism.suite().ok()?, mechanism.setup().ok()?, index)),
        _ => None,
    };
    mechanisms.iter().enumerate().filter_map(read).collect()
}

fn call_id_of(message: &Message) -> String {
    message.by_names("Call-ID", "i").chars().take(NAME).collect()
}

fn over(flow: &Flow) -> String {
    match flow.over {
        Some(spi) => format!("over SPI 0x{:08x}", spi.value()),
        None => "in clear".into(),
    }
}

/// The lifetime that a message names: of its contact, or of its header Expires.
fn expires(message: &Message) -> Option<u32> {
    let contact = message.by_names("Contact", "m");
    let at = contact.find(";expires=").and_then(|at| contact.get(at + 9..));
    let of_contact = at.and_then(|text| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    of_contact.or_else(|| message.first("Expires").trim().parse().ok())
}

/// The URI in a header value.
fn uri_of(value: &str) -> &str {
    let inner = value.split_once('<').map_or(value, |(_, rest)| rest.split('>').next().unwrap_or(rest));
    inner.trim().trim_start_matches("sip:")
}

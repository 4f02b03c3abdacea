//! A phone registers at a P-CSCF over security associations, uses them, registers again with new ones, and leaves.
//!
//! ```text
//! cargo run --release --example registration [-- OPTIONS]
//!   --phone NAME       whose Security-Client is used: a file of examples/data (samsung, iphone, xiaomi, huawei, sequential)
//!   --family 4|6       address family
//!   --transport udp|tcp
//!   --suite ALG+EALG   the only suite of the P-CSCF's policy, as hmac-sha-1-96+aes-cbc
//!   --out DIR          where registration.pcap and registration.esp_sa are written (default: the current folder)
//! ```
//!
//! Without options, a Samsung phone over IPv4 and UDP and an iPhone over IPv6 and TCP. The messages are text files of
//! examples/data; the AKA results in them are TS 35.208 test sets 1 and 2. Datagrams are captured whole, as they are
//! before IP fragments them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to a person")]
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates, and options that are not known")]

mod net;
mod sip;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ipsec_3gpp::export::wireshark_row_with_keys;
use ipsec_3gpp::negotiation::{SecAgree, pcscf, ue};
use ipsec_3gpp::sec_agree::{Mechanism, PortPair, SecurityClient, Setup, Style};
use ipsec_3gpp::{
    Ck, Confidentiality, Ik, InstalledSet, Policy, Release, SaName, SaSet, Side, SpiAllocator, SpiSlice,
    Suite,
};
use net::{Network, Result, Transport};
use sip::Message;

const SIP: u16 = 5060;
const PCSCF_SERVER_PORT: u16 = 7060;
/// The client ports that the P-CSCF changes between with each set (TS 33.203 7.4).
const PCSCF_CLIENT_PORTS: [u16; 2] = [7101, 7102];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("registration: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    scenes: Vec<Scene>,
    suite: Option<Suite>,
    out: PathBuf,
}

struct Scene {
    phone: String,
    ipv6: bool,
    transport: Transport,
}

fn options() -> Result<Options> {
    use lexopt::prelude::*;
    let (mut phone, mut ipv6, mut transport, mut suite) = (None, None, None, None);
    let mut out = PathBuf::from(".");
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("phone") => phone = Some(arguments.value()?.string()?),
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
                let known = Suite::ALL.into_iter().find(|suite| suite.to_string() == name);
                suite = Some(known.ok_or_else(|| format!("--suite {name}: not one of {:?}", Suite::ALL))?);
            }
            Long("out") => out = arguments.value()?.into(),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let scenes = if phone.is_none() && ipv6.is_none() && transport.is_none() {
        vec![
            Scene { phone: "samsung".into(), ipv6: false, transport: Transport::Udp },
            Scene { phone: "iphone".into(), ipv6: true, transport: Transport::Tcp },
        ]
    } else {
        vec![Scene {
            phone: phone.unwrap_or_else(|| "samsung".into()),
            ipv6: ipv6.unwrap_or(false),
            transport: transport.unwrap_or(Transport::Udp),
        }]
    };
    Ok(Options { scenes, suite, out })
}

fn run() -> Result<()> {
    let options = options()?;
    let capture = options.out.join("registration.pcap");
    let rows_file = options.out.join("registration.esp_sa");
    let policy = match options.suite {
        Some(suite) => Policy::new(
            &[suite],
            match suite.release() {
                Release::Release5 => Confidentiality::LeftToAccess,
                Release::Release6 => Confidentiality::Required,
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
    let mut world = World {
        network: Network::new(&capture)?,
        policy,
        // A real node takes its seed from the operating system; here each run is to be the same.
        spis: SpiAllocator::new(SpiSlice::new(1, 4)?, 1000, [0x3a; 16])?,
        rows: Vec::new(),
    };
    for (number, scene) in options.scenes.iter().enumerate() {
        Life::begin(&mut world, scene, number)?.live()?;
    }
    std::fs::write(&rows_file, world.rows.join("\n") + "\n")?;
    println!(
        "wrote {} and {}; Wireshark's tshark reads the SIP in it:",
        capture.display(),
        rows_file.display()
    );
    println!("  sed 's/^/-ouat:esp_sa:/' {} | xargs -d '\\n' \\", rows_file.display());
    println!("    tshark -r {} -oesp.enable_encryption_decode:TRUE -Y sip", capture.display());
    Ok(())
}

/// What the registrations of one run share: the wire, and the P-CSCF.
struct World {
    network: Network,
    policy: Policy,
    spis: SpiAllocator,
    rows: Vec<String>,
}

/// The SAs that both ends hold for one set, and the ports that they use.
struct InForce {
    ue: InstalledSet,
    pcscf: InstalledSet,
    ue_setup: Setup,
    pcscf_setup: Setup,
    verify: Vec<String>,
}

/// One phone's registration.
struct Life<'w> {
    world: &'w mut World,
    transport: Transport,
    ue: IpAddr,
    pcscf: IpAddr,
    register: Message,
    /// The style and the list of the phone, whose SPIs and client port change with each registration.
    client_row: String,
    sequence: u32,
}

/// Where a message goes: over which set, or in clear.
#[derive(Clone, Copy)]
enum Over<'a> {
    Clear,
    Set(&'a InForce),
}

impl<'w> Life<'w> {
    fn begin(world: &'w mut World, scene: &Scene, number: usize) -> Result<Self> {
        let (ue, pcscf): (IpAddr, IpAddr) = if scene.ipv6 {
            (format!("2001:db8:1::{}", number + 16).parse()?, "2001:db8::1".parse()?)
        } else {
            (format!("10.1.0.{}", number + 16).parse()?, "10.0.0.1".parse()?)
        };
        let text = read(&format!("{}.sip", scene.phone))?;
        let text = text.replace("{ue}", &host(ue)).replace("{transport}", scene.transport.name());
        let register = Message::parse(&text)?;
        let client_row = register.rows("Security-Client").join(", ");
        println!("{} over {} and IPv{}", scene.phone, scene.transport.name(), if scene.ipv6 { 6 } else { 4 });
        println!("  UE {ue}, P-CSCF {pcscf}, policy of the P-CSCF: {:?}", world.policy.suites());
        println!("  {:>8}  {:<7} {:<15} {:<38} message", "time", "from", "ports", "protection");
        Ok(Self { world, transport: scene.transport, ue, pcscf, register, client_row, sequence: 0 })
    }

    fn live(mut self) -> Result<()> {
        let first = self.register("401.sip", Over::Clear)?;
        self.call(&first)?;
        self.later(1800);
        println!("            -- the UE registers again, over the SAs that it has");
        let second = self.register("401-again.sip", Over::Set(&first))?;
        self.call(&second)?;
        self.remove(&first, "the old set, now that the UE has used the new one")?;
        self.later(600);
        println!("            -- the UE leaves");
        let mut leave = self.request("REGISTER", Over::Set(&second));
        let contact = leave.first("Contact").replace("expires=600000", "expires=0");
        leave.set("Contact", contact).set("Security-Verify", second.verify.join(", "));
        self.transact(Side::Ue, Over::Set(&second), &leave, "200 OK", "de-registration")?;
        self.remove(&second, "the set, after the 200 is out")?;
        let left = self.world.network.ue.len() + self.world.network.pcscf.len();
        println!("  {left} SAs left, {} SPIs of the P-CSCF in use\n", self.world.spis.in_use());
        if left == 0 { Ok(()) } else { Err("SAs were left behind".into()) }
    }

    /// SM1 to SM12: the whole of one registration, the first in clear, later ones over the set in force.
    fn register(&mut self, challenge_file: &str, over: Over<'_>) -> Result<InForce> {
        // SM1. The UE says what it offers.
        let row = self.client_row.clone();
        let list = SecurityClient::parse(&row)?;
        let ue_policy = policy_of(&list)?;
        let offer = ue::Offer::from_list(&ue_policy, list, self.ue, self.pcscf)?;
        let ue_setup = offer.ue().setup;
        let mut sm1 = self.request("REGISTER", over);
        sm1.set("Security-Client", row.as_str());
        if let Over::Set(set) = over {
            sm1.set("Security-Verify", set.verify.join(", "));
        }
        let suites = ue_policy.suites().len();
        let note = format!("SM1, offers {suites} suites, {}", describe(ue_setup));
        let sm1 = self.send(Side::Ue, Direction::Request, over, &sm1, &note)?;

        // The P-CSCF chooses, and the core challenges.
        let impi = sm1.quoted("Authorization", "username").ok_or("SM1 without an IMPI")?;
        let impu = sm1.first("To");
        let at_pcscf = pcscf::Offer::receive(
            &self.world.policy,
            &pcscf::Sm1 {
                ue: self.ue,
                pcscf: self.pcscf,
                impi,
                impus: &[impu],
                sec_agree: if sm1.first("Require").contains("sec-agree") {
                    SecAgree::Present
                } else {
                    SecAgree::Absent
                },
                security_client: &sm1.rows("Security-Client"),
            },
        )
        .map_err(|refusal| {
            let verdicts = refusal.selection().map(ipsec_3gpp::Selection::suites).unwrap_or_default();
            let reasons: Vec<_> =
                verdicts.iter().map(|(suite, verdict)| format!("{suite} {verdict}")).collect();
            format!("the P-CSCF answers {}: {refusal}; its policy: {}", refusal.status(), reasons.join(", "))
        })?;
        println!(
            "            -- the P-CSCF chooses {}; the core challenges with CK and IK",
            at_pcscf.suite()
        );
        let mut sm6 = sm1.answer("401 Unauthorized");
        let from_core = Message::parse(&read(challenge_file)?)?;
        let key = |name| from_core.quoted("WWW-Authenticate", name).ok_or("a 401 of the core without keys");
        let (ck, ik): (Ck, Ik) = (key("ck")?.parse()?, key("ik")?.parse()?);
        sm6.set("WWW-Authenticate", from_core.first("WWW-Authenticate"));
        sm6.strip("WWW-Authenticate", "ck");
        sm6.strip("WWW-Authenticate", "ik");

        // SM6. The P-CSCF has its SAs in place before it answers.
        let spis = self.world.spis.allocate_pair(&at_pcscf.spis())?;
        let client_port = match over {
            Over::Set(set) if set.pcscf_setup.ports.client.get() == PCSCF_CLIENT_PORTS[0] => {
                PCSCF_CLIENT_PORTS[1]
            }
            _ => PCSCF_CLIENT_PORTS[0],
        };
        let ports = PortPair::new(client_port, PCSCF_SERVER_PORT).ok_or("a port of zero")?;
        let pcscf_setup = Setup { spis, ports };
        let challenge = at_pcscf.challenge(pcscf_setup, &ck, &ik)?;
        let pcscf_installed = self.world.network.pcscf.install(challenge.set(), Side::Pcscf)?;
        sm6.set("Security-Server", challenge.security_server().emit(&Style::KAMAILIO));
        let note = format!("SM6, {}", describe(pcscf_setup));
        let sm6 = self.send(Side::Pcscf, Direction::Response, over, &sm6, &note)?;

        // SM7. The UE has its own in place, and answers over them.
        let answer = offer.receive_sm6(&sm6.rows("Security-Server"), &ck, &ik)?;
        let ue_installed = self.world.network.ue.install(answer.set(), Side::Ue)?;
        self.table(answer.set());
        let verify: Vec<String> = answer.security_verify().map(String::from).collect();
        let new = InForce { ue: ue_installed, pcscf: pcscf_installed, ue_setup, pcscf_setup, verify };
        let mut sm7 = self.request("REGISTER", Over::Set(&new));
        let authorization = sm7
            .first("Authorization")
            .replace("response=\"\"", "response=\"9d2a5c1e0f7b4a3d8e6f1c2b3a495867\"");
        sm7.set("Authorization", authorization);
        sm7.set("Security-Client", row).set("Security-Verify", new.verify.join(", "));
        let sm7 = self.send(Side::Ue, Direction::Request, Over::Set(&new), &sm7, "SM7")?;
        let response = challenge
            .receive_sm7(&pcscf::Sm7 {
                over: pcscf_setup.spis.server,
                security_client: &sm7.rows("Security-Client"),
                security_verify: &sm7.rows("Security-Verify"),
            })
            .map_err(|error| format!("the P-CSCF ends the registration: {error}"))?;
        let protection = response.protection();
        println!(
            "          -- SM7 is what was sent; SM8 to the core: integrity {}, confidentiality {}",
            yes(protection.integrity()),
            yes(protection.confidentiality())
        );

        // SM12. The set is in force at both ends.
        let sm12 = sm7.answer("200 OK");
        self.send(Side::Pcscf, Direction::Response, Over::Set(&new), &sm12, "SM12")?;
        let (at_pcscf, _at_ue) = (response.succeeded(), answer.confirmed());
        println!("            -- registered: {}", at_pcscf.identity.impi());
        self.next_client_row(ue_setup)?;
        Ok(new)
    }

    /// For the next registration: other SPIs and another client port, the same server port, the same form.
    fn next_client_row(&mut self, old: Setup) -> Result<()> {
        let new = [old.spis.client.value(), old.spis.server.value()]
            .map(|spi| spi.wrapping_add(0x0101_0100) | 0x100);
        let port = old.ports.client.get().wrapping_add(2);
        self.client_row = self
            .client_row
            .replace(&format!("spi-c={}", old.spis.client), &format!("spi-c={}", new[0]))
            .replace(&format!("spi-s={}", old.spis.server), &format!("spi-s={}", new[1]))
            .replace(&format!("port-c={}", old.ports.client), &format!("port-c={port}"));
        Ok(())
    }

    /// A call from the UE and a message to it: both pairs of SAs are used.
    fn call(&mut self, set: &InForce) -> Result<()> {
        let mut invite = self.request("INVITE", Over::Set(set));
        invite.remove("Expires").set("Security-Verify", set.verify.join(", "));
        self.transact(Side::Ue, Over::Set(set), &invite, "486 Busy Here", "a call")?;
        let mut message = Message::new(&format!(
            "MESSAGE sip:ue@{} SIP/2.0",
            end(self.ue, set.ue_setup.ports.server.get())
        ));
        self.sequence += 1;
        message
            .set("Via", self.via(self.pcscf, set.pcscf_setup.ports.server.get()))
            .set("Max-Forwards", "70")
            .set("From", "<sip:smsc@ims.mnc001.mcc001.3gppnetwork.org>;tag=s1")
            .set("To", self.register.first("To"))
            .set("Call-ID", format!("message-{}@{}", self.sequence, host(self.pcscf)))
            .set("CSeq", format!("{} MESSAGE", self.sequence))
            .set("Content-Length", "0");
        self.transact(Side::Pcscf, Over::Set(set), &message, "200 OK", "a message to the UE")?;
        Ok(())
    }

    fn transact(
        &mut self,
        from: Side,
        over: Over<'_>,
        request: &Message,
        status: &str,
        note: &str,
    ) -> Result<()> {
        let arrived = self.send(from, Direction::Request, over, request, note)?;
        let answerer = if from == Side::Ue { Side::Pcscf } else { Side::Ue };
        self.send(answerer, Direction::Response, over, &arrived.answer(status), "")?;
        Ok(())
    }

    /// A request of the UE, with what its REGISTER has and the Via and Contact that the SAs demand.
    fn request(&mut self, method: &str, over: Over<'_>) -> Message {
        self.sequence += 1;
        let mut message = self.register.clone();
        message.start = message.start.replace("REGISTER", method);
        message.set("CSeq", format!("{} {method}", self.sequence));
        // TS 33.203 7.1, TS 24.229 5.1.1: over SAs, both name the protected server port.
        let port = match over {
            Over::Clear => SIP,
            Over::Set(set) => set.ue_setup.ports.server.get(),
        };
        let contact = message.first("Contact").replace(":5060>", &format!(":{port}>"));
        message.set("Via", self.via(self.ue, port)).set("Contact", contact).remove("Security-Client");
        if method != "REGISTER" {
            message.remove("Authorization");
        }
        message
    }

    fn via(&self, address: IpAddr, port: u16) -> String {
        format!("SIP/2.0/{} {};branch=z9hG4bK-{}", self.transport.name(), end(address, port), self.sequence)
    }

    /// Sends one message and prints its line; returns it as the other end reads it.
    fn send(
        &mut self,
        from: Side,
        direction: Direction,
        over: Over<'_>,
        message: &Message,
        note: &str,
    ) -> Result<Message> {
        let text = message.to_string();
        let ends = self.ends(from, direction, over);
        let began = self.world.network.now;
        let travel = self.world.network.send(self.transport, from, ends, &text)?;
        let name = if from == Side::Ue { "UE" } else { "P-CSCF" };
        let protection = match travel.spi {
            None => "clear".to_owned(),
            Some(spi) if travel.packets == 1 => format!("SPI {spi}, seq {}", travel.first_sequence),
            Some(spi) => format!("SPI {spi}, from seq {}, {} packets", travel.first_sequence, travel.packets),
        };
        let first_line = message.start.replace("SIP/2.0 ", "").replace(" SIP/2.0", "");
        let note = if note.is_empty() { String::new() } else { format!("  [{note}]") };
        let ports = format!("{} -> {}", ends.0.port(), ends.1.port());
        println!("  {:>8.3}  {name:<7} {ports:<15} {protection:<38} {first_line}{note}", began.as_secs_f64());
        self.world.network.now += Duration::from_millis(20);
        Message::parse(&text).map_err(Into::into)
    }

    /// Which ports a message travels between (TS 33.203 7.1). Over UDP everybody sends from the client port to the
    /// other's server port; over TCP a response goes back on the connection of its request.
    fn ends(&self, from: Side, direction: Direction, over: Over<'_>) -> (SocketAddr, SocketAddr) {
        let (ue, pcscf) = (|port| SocketAddr::new(self.ue, port), |port| SocketAddr::new(self.pcscf, port));
        let Over::Set(set) = over else {
            return if from == Side::Ue { (ue(SIP), pcscf(SIP)) } else { (pcscf(SIP), ue(SIP)) };
        };
        let (u, p) = (set.ue_setup.ports, set.pcscf_setup.ports);
        let back = self.transport == Transport::Tcp && direction == Direction::Response;
        match (from, back) {
            (Side::Ue, false) => (ue(u.client.get()), pcscf(p.server.get())),
            (Side::Ue, true) => (ue(u.server.get()), pcscf(p.client.get())),
            (Side::Pcscf, false) => (pcscf(p.client.get()), ue(u.server.get())),
            (Side::Pcscf, true) => (pcscf(p.server.get()), ue(u.client.get())),
        }
    }

    /// Prints the four SAs of a set, and keeps their rows for Wireshark.
    fn table(&mut self, set: &SaSet) {
        println!("            -- both ends hold four SAs, {}:", set.suite());
        for (name, sa) in set.sas() {
            let used = match name {
                SaName::UeClientToPcscfServer => "requests of the UE, and over UDP its responses",
                SaName::PcscfServerToUeClient => "TCP: the way back on connections of the UE",
                SaName::PcscfClientToUeServer => "requests of the P-CSCF, and over UDP its responses",
                SaName::UeServerToPcscfClient => "TCP: the way back on connections of the P-CSCF",
            };
            println!("               SPI {:<11} {:<58} {used}", sa.spi, sa.selector.to_string());
            self.world.rows.push(wireshark_row_with_keys(&sa));
        }
    }

    fn remove(&mut self, set: &InForce, what: &str) -> Result<()> {
        let (ue, pcscf) = (set.ue_setup.ports, set.pcscf_setup.ports);
        let end = |address, port: std::num::NonZeroU16| SocketAddr::new(address, port.get());
        self.world.network.close(Side::Ue, end(self.ue, ue.client), end(self.pcscf, pcscf.server))?;
        self.world.network.close(Side::Pcscf, end(self.pcscf, pcscf.client), end(self.ue, ue.server))?;
        let whole = self.world.network.ue.remove(&set.ue) && self.world.network.pcscf.remove(&set.pcscf);
        let spis = set.pcscf_setup.spis;
        let released = self.world.spis.release(spis.client) && self.world.spis.release(spis.server);
        println!("            -- removed at both ends: {what}");
        if whole && released { Ok(()) } else { Err("a set that was not there".into()) }
    }

    fn later(&mut self, seconds: u64) {
        self.world.network.now += Duration::from_secs(seconds);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

/// The policy of a phone: every suite that its list offers, those with encryption first.
fn policy_of(list: &SecurityClient) -> Result<Policy> {
    let mut suites: Vec<Suite> = Vec::new();
    for mechanism in list.mechanisms() {
        if let Mechanism::Ipsec3gpp(offer) = mechanism
            && let Ok(suite) = offer.suite()
            && !suites.contains(&suite)
        {
            suites.push(suite);
        }
    }
    suites.sort_by_key(|suite| std::cmp::Reverse(suite.release()));
    let encrypts = suites.iter().any(|suite| suite.release() == Release::Release6);
    let confidentiality = if encrypts { Confidentiality::Offered } else { Confidentiality::LeftToAccess };
    Ok(Policy::new(&suites, confidentiality)?)
}

fn describe(setup: Setup) -> String {
    let Setup { spis, ports } = setup;
    format!("spi-c {} spi-s {} port-c {} port-s {}", spis.client, spis.server, ports.client, ports.server)
}

fn read(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data").join(name);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn end(address: IpAddr, port: u16) -> String {
    format!("{}:{port}", host(address))
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

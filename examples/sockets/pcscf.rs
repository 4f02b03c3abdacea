//! A P-CSCF on tokio, with a core of one subscriber inside: see `HELP`.
//!
//! ESP travels as the payload of UDP on the loopback interface: that stands in for a TUN device, so
//! that no root rights are needed. The payload is a whole IP datagram, as a TUN device
//! would give them.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program, with a clock of its own")]

mod common;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use common::{
    CK, IK, IMPI, NONCE, PCSCF, REALM, Result, SIP, message, option, packet, quoted, response, rows,
};
use ipsec_3gpp::negotiation::SecAgree;
use ipsec_3gpp::registration::{Accepted, Authorization, Config, Over, Register, Route, Transport};
use ipsec_3gpp::setup::Port;
use ipsec_3gpp::spi::SpiSlice;
use ipsec_3gpp::time::Anchor;
use ipsec_3gpp::{Confidentiality, Moment, Pcscf, Policy, Sad, SpiAllocator, Suite};
use rsip::SipMessage;
use tokio::net::UdpSocket;

const HELP: &str = "\
A P-CSCF with a core of one subscriber inside (TS 35.208 test set 1). The program `ue` registers with it.

usage: pcscf [--listen ADDRESS:PORT]
  --listen ADDRESS:PORT  where IP datagrams come from as UDP payload (default: 127.0.0.1:50600)
  -h, --help             this text

example: pcscf --listen 127.0.0.1:50700
";
const EXPIRES: Duration = Duration::from_secs(3600);

struct Node {
    pcscf: Pcscf,
    sad: Sad,
    clock: Anchor,
    tunnel: UdpSocket,
    /// The end of the tunnel where a UE is: routing, where there is a TUN device.
    behind: HashMap<IpAddr, SocketAddr>,
}

fn main() -> std::process::ExitCode {
    common::run("pcscf", run())
}

async fn run() -> Result<()> {
    let Some(listen) = option(HELP, "listen", "127.0.0.1:50600")? else { return Ok(()) };
    let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
    let client_ports = [Port::new(7101)?, Port::new(7102)?, Port::new(7103)?];
    let policy = Policy::new(&suites, Confidentiality::Offered)?;
    let config = Config::new(policy, Port::new(7060)?, &client_ports)?;
    let mut seed = [0; 16];
    getrandom::fill(&mut seed)?;
    let spis = SpiAllocator::new(SpiSlice::WHOLE, 1000, seed)?;
    let clock = Anchor::new(Instant::now());
    let pcscf = Pcscf::new(config, spis, clock.moment(Instant::now()));
    let tunnel = UdpSocket::bind(&listen).await.map_err(|error| format!("{listen}: {error}"))?;
    println!("listens on {}", tunnel.local_addr()?);
    // Nothing comes to these in clear, whether or not there are SAs.
    let sad = Sad::new().with_protected([7060, 7101, 7102, 7103].map(|port| (PCSCF, port).into()));
    Node { pcscf, sad, clock, tunnel, behind: HashMap::new() }.run().await
}

impl Node {
    async fn run(mut self) -> Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            // One sleep: until something arrives, or until the next deadline.
            let deadline = self.pcscf.poll_timeout().map(|deadline| self.clock.instant(deadline));
            let latest = Instant::now() + Duration::from_secs(3600);
            let sleep = tokio::time::sleep_until(deadline.unwrap_or(latest).into());
            let received = tokio::select! {
                received = self.tunnel.recv_from(&mut buffer) => Some(received?),
                () = sleep => None,
            };
            let now = self.now();
            self.pcscf.handle_timeout(now, &mut self.sad);
            if let Some((len, from)) = received
                && let Some(packet) = buffer.get_mut(..len)
                && let Err(error) = self.packet(packet, from).await
            {
                println!("dropped: {error}");
            }
            while let Some(event) = self.pcscf.poll_event() {
                println!("event: {event:?}");
            }
        }
    }

    fn now(&self) -> Moment {
        self.clock.moment(Instant::now())
    }

    /// A packet from a UE.
    async fn packet(&mut self, packet: &mut [u8], from: SocketAddr) -> Result<()> {
        let (message, ue, over) = message(&mut self.sad, packet)?;
        if over != Over::Clear || !self.behind.contains_key(&ue) {
            self.behind.insert(ue, from);
        }
        let SipMessage::Request(request) = &message else { return Ok(()) };
        match (request.method, over) {
            (rsip::Method::Register, _) => self.register(&message, ue, over).await,
            (rsip::Method::Ack, Over::Sa(spi)) => {
                self.pcscf.message(self.now(), spi, &mut self.sad)?;
                Ok(())
            }
            (method, Over::Sa(spi)) => {
                let contact = self.pcscf.message(self.now(), spi, &mut self.sad)?;
                println!("{method} over SPI {spi}: 200");
                let route = self.pcscf.route_response(contact, Transport::Udp, over)?;
                self.answer(&message, ue, route, "200 OK", "").await
            }
            (method, Over::Clear) => Err(format!("{method} in clear").into()),
        }
    }

    /// A REGISTER, which the core answers at once.
    async fn register(&mut self, message: &SipMessage, ue: IpAddr, over: Over) -> Result<()> {
        let [authorization, to, contact, require] =
            ["Authorization", "To", "Contact", "Require"].map(|name| rows(message, name).join(","));
        let [client, verify] = ["Security-Client", "Security-Verify"].map(|name| rows(message, name));
        let [client, verify] =
            [&client, &verify].map(|rows| rows.iter().map(String::as_str).collect::<Vec<_>>());
        let (impi, given) = (quoted(&authorization, "username"), quoted(&authorization, "response"));
        let leaves = contact.ends_with(";expires=0");
        let sec_agree = if require.contains("sec-agree") { SecAgree::Present } else { SecAgree::Absent };
        let (impus, nonce) = ([to.as_str()], quoted(&authorization, "nonce"));
        let register = Register::new(over, ue, PCSCF.into(), impi)
            .with_impus(&impus)
            .with_authorization(Authorization { nonce, response: given, auts: None })
            .with_deregistration(leaves)
            .with_sec_agree(sec_agree)
            .with_security_client(&client)
            .with_security_verify(&verify);
        let now = self.now();
        let forward = match self.pcscf.register(now, &register, &mut self.sad) {
            Ok(forward) => forward,
            Err(error) => {
                println!("REGISTER refused: {error} ({})", error.code());
                let Some(status) = error.status() else { return Ok(()) };
                let contact = over.spi().and_then(|spi| self.pcscf.contact_of(spi));
                let route = match contact {
                    Some(contact) => self.pcscf.route_response(contact, Transport::Udp, over)?,
                    None => None,
                };
                return self.answer(message, ue, route, &status.to_string(), "").await;
            }
        };
        // The core: it challenges what was not answered, and what leaves need not answer again.
        let protected = forward.integrity_protected() == "yes";
        println!("REGISTER of {impi}, integrity-protected={}", forward.integrity_protected());
        let request = forward.request;
        if impi == IMPI && given.is_empty() && !(leaves && protected) {
            let sm6 = self.pcscf.challenge(now, request, NONCE, &CK.parse()?, &IK.parse()?, &mut self.sad)?;
            let headers = format!(
                "WWW-Authenticate: Digest realm=\"{REALM}\",nonce=\"{NONCE}\",algorithm=AKAv1-MD5\r\n\
                 Security-Server: {}\r\n",
                sm6.security_server
            );
            let route = self.pcscf.route_response(sm6.contact, Transport::Udp, sm6.over)?;
            self.answer(message, ue, route, "401 Unauthorized", &headers).await
        } else if impi == IMPI && protected && (leaves || given == response()) {
            let expires = if leaves { Duration::ZERO } else { EXPIRES };
            let sm12 = self.pcscf.success(now, request, Accepted::new(expires), &mut self.sad)?;
            let route = self.pcscf.route_response(sm12.contact, Transport::Udp, sm12.over)?;
            let expires = format!("Expires: {}\r\n", expires.as_secs());
            self.answer(message, ue, route, "200 OK", &expires).await
        } else {
            let failed = self.pcscf.failure(now, request, &mut self.sad)?;
            let route = self.pcscf.route_response(failed.contact, Transport::Udp, failed.over)?;
            self.answer(message, ue, route, "403 Forbidden", "").await
        }
    }

    /// Answers a request, over the SA of the route or in clear.
    async fn answer(
        &mut self,
        request: &SipMessage,
        ue: IpAddr,
        route: Option<Route>,
        status: &str,
        headers: &str,
    ) -> Result<()> {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            rows(request, name).iter().for_each(|value| text += &format!("{name}: {value}\r\n"));
        }
        text += &format!("{headers}Content-Length: 0\r\n\r\n");
        let clear = [(PCSCF, SIP).into(), (ue, SIP).into()];
        let ends = route.map_or(clear, |route| [route.source, route.destination]);
        let packet = packet(&mut self.sad, ends, &text)?;
        self.tunnel.send_to(&packet, self.behind.get(&ue).ok_or("an unknown UE")?).await?;
        Ok(())
    }
}

//! A UE on tokio, which registers with the program `pcscf`: see `HELP`.
//!
//! ESP travels as the payload of UDP on the loopback interface: that stands in for a TUN device, so
//! that no root rights are needed. The payload is a whole IP datagram, as a TUN device
//! would give them.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program, with a clock of its own")]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use common::{
    CK, IK, IMPI, NONCE, PCSCF, REALM, Result, SIP, message, option, packet, quoted, response, rows,
};
use ipsec_3gpp::registration::{Begin, Over, Request, Route, UeConfig};
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::time::Anchor;
use ipsec_3gpp::{Confidentiality, Moment, Policy, Sad, Suite, Ue};
use rsip::SipMessage;
use tokio::net::UdpSocket;

const HELP: &str = "\
A UE whose card is TS 35.208 test set 1: registers with the program `pcscf`, calls, re-registers with
new SAs, calls again, and leaves. Exit status 1 if one of these fails.

usage: ue [--pcscf ADDRESS:PORT]
  --pcscf ADDRESS:PORT  where `pcscf` listens, over IPv4 (default: 127.0.0.1:50600)
  -h, --help            this text
example: ue --pcscf 127.0.0.1:50700
";
const ADDRESS: [u8; 4] = [10, 1, 0, 16];

struct Phone {
    ue: Ue,
    sad: Sad,
    clock: Anchor,
    tunnel: UdpSocket,
    sequence: u32,
}

fn main() -> std::process::ExitCode {
    common::run("ue", run())
}

async fn run() -> Result<()> {
    let Some(pcscf) = option(HELP, "pcscf", "127.0.0.1:50600")? else { return Ok(()) };
    let policy = Policy::new(&[Suite::HMAC_SHA_1_96_AES_CBC], Confidentiality::Required)?;
    let ue = Ue::new(UeConfig::new(policy, PCSCF.into()), ADDRESS.into());
    let tunnel = UdpSocket::bind("127.0.0.1:0").await?;
    tunnel.connect(&pcscf).await.map_err(|error| format!("{pcscf}: {error}"))?;
    let (sad, clock) = (Sad::new(), Anchor::new(Instant::now()));
    let mut phone = Phone { ue, sad, clock, tunnel, sequence: 0 };
    for _ in 0..2 {
        phone.register(3600).await?;
        phone.call().await?;
    }
    phone.register(0).await
}

impl Phone {
    /// Registers with random SPIs and a random client port; with `expires` of 0, leaves.
    async fn register(&mut self, expires: u32) -> Result<()> {
        let spi = || -> Result<Spi> { Ok(Spi::new(getrandom::u32()? | 0x100)?) };
        let ports = PortPair::new(10_000 + (getrandom::u32()? % 50_000) as u16, 6100)?;
        let setup = Setup { spis: SpiPair { client: spi()?, server: spi()? }, ports };
        let begin = Begin::new(setup).with_deregistration(expires == 0);
        let sm1 = self.ue.begin(self.now(), &begin, &mut self.sad)?;
        self.send_register(&sm1, false, expires).await?;
        let (mut status, mut answer, mut over) = self.receive().await?;
        if status == 401 {
            let known = quoted(&rows(&answer, "WWW-Authenticate").join(","), "nonce") == NONCE;
            known.then_some(()).ok_or("a challenge that the card has no answer to")?;
            let (server, ck, ik) = (rows(&answer, "Security-Server").join(","), CK.parse()?, IK.parse()?);
            let sm7 = self.ue.challenged(self.now(), over, &[&server], &ck, &ik, &mut self.sad)?;
            self.send_register(&sm7, true, expires).await?;
            (status, answer, over) = self.receive().await?;
        }
        if status != 200 {
            self.ue.failure(self.now(), over, None, &mut self.sad)?;
            return Err(format!("REGISTER was answered {status}").into());
        }
        let granted = rows(&answer, "Expires").join("").parse()?;
        self.ue.success(self.now(), over, Duration::from_secs(granted), &mut self.sad)?;
        println!("registered for {granted} s, {} SAs", self.sad.len());
        Ok(())
    }

    /// INVITE, ACK, BYE, all over the SAs in force.
    async fn call(&mut self) -> Result<()> {
        for method in ["INVITE", "ACK", "BYE"] {
            let route = self.ue.route_request()?;
            let verify = format!("Security-Verify: {}\r\n", self.ue.security_verify().join(","));
            self.send(method, "sip:a@b.example", Some(route), &verify).await?;
            if method != "ACK" {
                let (status, _, over) = self.receive().await?;
                let spi = over.spi().ok_or("an answer in clear")?;
                self.ue.message(self.now(), spi, &mut self.sad)?;
                println!("{method} {route}: {status} over SPI {spi}");
            }
        }
        Ok(())
    }

    async fn send_register(&mut self, request: &Request, answers: bool, expires: u32) -> Result<()> {
        let (nonce, response) = if answers { (NONCE, response()) } else { ("", String::new()) };
        let rows = request.security_verify.iter();
        let verify: String = rows.map(|row| format!("Security-Verify: {row}\r\n")).collect();
        let port = request.route.map_or(SIP, |route| route.via_port.get());
        let (address, client) = (IpAddr::from(ADDRESS), &request.security_client);
        let headers = format!(
            "Contact: <sip:{address}:{port}>;expires={expires}\r\nRequire: sec-agree\r\nProxy-Require: sec-agree\r\n\
             Authorization: Digest username=\"{IMPI}\",realm=\"{REALM}\",uri=\"sip:{REALM}\",\
             nonce=\"{nonce}\",response=\"{response}\"\r\nSecurity-Client: {client}\r\n{verify}"
        );
        self.send("REGISTER", &format!("sip:{REALM}"), request.route, &headers).await
    }

    /// Sends a request, over the SA of the route or in clear.
    async fn send(&mut self, method: &str, uri: &str, route: Option<Route>, headers: &str) -> Result<()> {
        self.sequence += 1;
        let clear: [SocketAddr; 2] = [(ADDRESS, SIP).into(), (PCSCF, SIP).into()];
        let [from, to] = route.map_or(clear, |route| [route.source, route.destination]);
        let port = route.map_or(SIP, |route| route.via_port.get());
        let (address, n) = (from.ip(), self.sequence);
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address}:{port};branch=z9hG4bK-{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:{IMPI}>;tag=1\r\nTo: <sip:{IMPI}>\r\nCall-ID: 1\r\nCSeq: {n} {method}\r\n\
             {headers}Content-Length: 0\r\n\r\n"
        );
        self.tunnel.send(&packet(&mut self.sad, [from, to], &text)?).await?;
        Ok(())
    }

    /// The next response: its status, the message, and what it came over.
    async fn receive(&mut self) -> Result<(u16, SipMessage, Over)> {
        let mut buffer = vec![0; 1 << 16];
        let len = tokio::time::timeout(Duration::from_secs(5), self.tunnel.recv(&mut buffer)).await??;
        self.ue.handle_timeout(self.now(), &mut self.sad);
        while self.ue.poll_event().is_some() {}
        let (message, _, over) = message(&mut self.sad, buffer.get_mut(..len).unwrap_or_default())?;
        let SipMessage::Response(response) = &message else { return Err("not a response".into()) };
        Ok((response.status_code.code(), message, over))
    }

    fn now(&self) -> Moment {
        self.clock.moment(Instant::now())
    }
}

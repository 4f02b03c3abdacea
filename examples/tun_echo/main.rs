//! Sends back what comes from a TUN device: reassembles, seals, opens, answers, fragments. The
//! recipe of the page on fragments, and what `.ci/tun_check.py` holds against Linux.
#![allow(clippy::disallowed_methods, reason = "it has the clock of the system")]

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Instant;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ipsec_3gpp::fragments::{Fragments, Reassembly, ReassemblyLimits, Received};
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Endpoint, SaSet, Side};
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::time::Anchor;
use ipsec_3gpp::{Ck, Ik, Sad, Suite};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
Answers each UDP datagram that comes from a TUN device, which is standard input and output.

usage: tun_echo [--mtu OCTETS] [--disturb SEED]

  --mtu OCTETS   longest packet to the device (default 1500)
  --disturb SEED drop, repeat, reorder and forge packets in both directions

example: tun_echo --mtu 1280 <>/dev/net/tun  (by a program that has attached it: .ci/tun_check.py)
";

/// The SAs between the first UE that is seen and this end.
struct Tunnel {
    ue: Sad,
    pcscf: Sad,
}

/// Numbers that look random: packets are disturbed in the same way in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A link that drops, repeats, reorders and forges.
struct Link {
    random: Option<Random>,
    held: Vec<Vec<u8>>,
}

impl Link {
    /// The packets that arrive when this one is sent.
    fn send(&mut self, packet: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(random) = &mut self.random else { return vec![packet] };
        match random.below(20) {
            0 => return Vec::new(),
            1..4 => self.held.push(packet.clone()),
            // A copy with other data: of a fragment, that is an overlap. Where it is reassembled
            // before the other comes, the checksum of UDP tells.
            4 => {
                let mut forged = packet.clone();
                forged.last_mut().into_iter().for_each(|octet| *octet = octet.wrapping_add(1));
                return vec![forged, packet];
            }
            _ => {}
        }
        if random.below(3) == 0 {
            self.held.push(packet);
            if self.held.len() < 3 {
                return Vec::new();
            }
            self.held.reverse();
            return std::mem::take(&mut self.held);
        }
        vec![packet]
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a program")]
            {
                eprintln!("tun_echo: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    use lexopt::prelude::*;
    let (mut mtu, mut seed) = (1500_usize, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("mtu") => mtu = arguments.value()?.parse()?,
            Long("disturb") => seed = Some(arguments.value()?.parse::<u64>()? | 1),
            Long("help") | Short('h') => {
                std::io::stdout().write_all(HELP.as_bytes())?;
                return Ok(());
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(other.unexpected().into()),
        }
    }
    // One packet for each call: nothing in between may buffer.
    let mut from = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut to = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let clock = Anchor::new(Instant::now());
    let mut reassembly = Reassembly::new(ReassemblyLimits::DEFAULT);
    let link = |salt: u64| Link { random: seed.map(|seed| Random(seed ^ salt << 20)), held: Vec::new() };
    let (mut arriving, mut leaving) = (link(1), link(2));
    let mut tunnel = None;
    // From a random number on: fragments of an earlier run may still be on their way.
    let mut identification = RandomState::new().hash_one(0_u8) as u32;
    let mut buffer = vec![0; 70_000];
    loop {
        let len = from.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        for packet in arriving.send(buffer.get(..len).unwrap_or_default().to_vec()) {
            let datagram = match reassembly.receive(&packet, clock.moment(Instant::now())) {
                Ok(Received::Whole) => packet,
                Ok(Received::Reassembled(datagram)) => datagram,
                Ok(Received::Incomplete) | Err(_) => continue,
            };
            let Some(answer) = answer(&mut tunnel, &datagram)? else { continue };
            identification = identification.wrapping_add(1);
            let mut fragments = Fragments::new(&answer, mtu, identification)?;
            while let Some(len) = fragments.write_next(&mut buffer)? {
                let fragment = buffer.get(..len).unwrap_or_default().to_vec();
                for packet in leaving.send(fragment) {
                    to.write_all(&packet)?;
                }
            }
        }
    }
}

/// The datagram through ESP, from the UE to the P-CSCF, and back to where it came from. `None` for
/// what is not UDP.
fn answer(tunnel: &mut Option<Tunnel>, datagram: &[u8]) -> Result<Option<Vec<u8>>> {
    let sliced = SlicedPacket::from_ip(datagram)?;
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else { return Ok(None) };
    let ports = [udp.source_port(), udp.destination_port()];
    let (source, destination): (IpAddr, IpAddr) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        Some(NetSlice::Ipv6(ip)) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        Some(NetSlice::Arp(_)) | None => return Ok(None),
    };
    let Tunnel { ue, pcscf } = match tunnel {
        Some(tunnel) => tunnel,
        None => tunnel.insert(new_tunnel((source, ports[0]), (destination, ports[1]))?),
    };
    let mut sealed = vec![0; datagram.len() + 64];
    let range = ue.seal(datagram, &mut sealed)?.range;
    let sealed = sealed.get(range).unwrap_or_default();
    let mut opened = vec![0; sealed.len()];
    let range = pcscf.open(sealed, &mut opened)?.opened.range;
    let mut back = opened.get(range).unwrap_or_default().to_vec();
    // Checksums are the same when both ends change places.
    let (at, len) = if source.is_ipv4() { (12, 4) } else { (8, 16) };
    let transport = back.len() - usize::from(udp.length());
    swap(&mut back, at, len);
    swap(&mut back, transport, 2);
    Ok(Some(back))
}

/// Swaps what is at a place with what comes after it.
fn swap(octets: &mut [u8], at: usize, len: usize) {
    if let Some((one, other)) =
        octets.get_mut(at..at + 2 * len).and_then(|both| both.split_at_mut_checked(len))
    {
        one.swap_with_slice(other);
    }
}

fn new_tunnel(ue: (IpAddr, u16), pcscf: (IpAddr, u16)) -> Result<Tunnel> {
    let end = |(address, port): (IpAddr, u16), first, is_client| -> Result<Endpoint> {
        let spis = SpiPair { client: Spi::new(first)?, server: Spi::new(first + 1)? };
        let ports = if is_client { PortPair::new(port, 1)? } else { PortPair::new(1, port)? };
        Ok(Endpoint { address, setup: Setup { spis, ports } })
    };
    let keys = SaKeys::expand(
        Suite::HMAC_SHA_1_96_AES_CBC,
        &Ck::new(*b"0123456789abcdef"),
        &Ik::new(*b"fedcba9876543210"),
    )?;
    let set = SaSet::new(end(ue, 1000, true)?, end(pcscf, 2000, false)?, keys)?;
    let (mut one, mut other) = (Sad::new(), Sad::new());
    one.add_set(&set, Side::Ue)?;
    other.add_set(&set, Side::Pcscf)?;
    Ok(Tunnel { ue: one, pcscf: other })
}

//! `ipsec-3gpp` compared with OpenSSL's EVP and intel-ipsec-mb: the same packets in one process,
//! interleaved, on one core.
//!
//! The library does the whole packet through its public API: IP and ESP headers, IV, sequence
//! number, replay window, selector, padding. The others do the cipher and the MAC of packets that
//! are framed, with contexts that are kept. All seal in place, and open into another buffer. Before
//! anything is timed, all outputs are compared. Figures are medians over rounds of (time of the
//! other) / (time of the library), taken within the same fraction of a millisecond: above 1 the
//! library is faster. Of the two interfaces of intel-ipsec-mb, jobs and bursts, the faster counts.
//!
//! `--help` says which options there are. Built with `--features aead`, AES-GCM and AES-GMAC have
//! columns for ring and aws-lc-rs.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

#[cfg(feature = "aead")]
mod aead;
mod peers;

use std::hint::black_box;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use ipsec_3gpp::Suite;
use ipsec_3gpp::algorithm::Encryption;
use ipsec_3gpp::esp::Backend;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{
    Inbound, Limits, OpenJob, Outbound, Ports, SaSpec, SealJob, Selector, WindowSize, open_batch, seal_batch,
};
use ipsec_3gpp::spi::Spi;
use peers::{Packet, Sa};

/// As many SAs, each with keys of its own, and as many packets in a round.
const SAS: usize = 64;
const BATCHES: [usize; 3] = [8, 16, 64];
const IP: usize = 20;

const HELP: &str = "\
ipsec-3gpp beside OpenSSL and intel-ipsec-mb: (time of the other) / (time of the library)

  --suite TEXT     suites with that in their names: gcm, md5, hmac-sha-1-96+aes-cbc
  --backend NAME   of the library, not the fastest
  --backends       which there are
  --rounds N       the medians are of so many (101)
";

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Seal,
    Open,
}

struct Options {
    backend: Backend,
    suite: String,
    rounds: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options { backend: Backend::best(), suite: String::new(), rounds: 101 };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("backend") => {
                let name = arguments.value()?.into_string().map_err(|_| "a backend's name is text")?;
                options.backend = Backend::available()
                    .find(|backend| backend.name() == name)
                    .ok_or_else(|| format!("this machine has no backend {name}"))?;
            }
            lexopt::Arg::Long("suite") => {
                options.suite = arguments.value()?.into_string().map_err(|_| "a suite's name is text")?;
            }
            lexopt::Arg::Long("backends") => {
                Backend::available().for_each(|backend| println!("{backend}"));
                return Ok(());
            }
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            lexopt::Arg::Long("rounds") => options.rounds = arguments.value()?.to_string_lossy().parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let (openssl, imb) = peers::versions()?;
    println!(
        "{openssl}; intel-ipsec-mb {imb}; backend {}; median of {} rounds",
        options.backend, options.rounds
    );
    println!("{SAS} SAs with {SAS} keys; (time of the other) / (time of the library)");
    println!();
    #[cfg(feature = "aead")]
    let more: String = aead::CALLS.iter().map(|(name, _)| format!(" one: {name} |")).collect();
    #[cfg(not(feature = "aead"))]
    let more = "";
    println!(
        "| suite | direction | octets | one: OpenSSL | one: ipsec-mb | b8: OpenSSL | b8: ipsec-mb | b16: OpenSSL | b16: ipsec-mb | b64: OpenSSL | b64: ipsec-mb | one, ns |{more}"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|{}", "---|".repeat(more.matches('|').count()));
    for suite in Suite::ALL {
        if !suite.to_string().contains(&options.suite) {
            continue;
        }
        for direction in [Direction::Seal, Direction::Open] {
            let sizes = ["64", "300", "1000", "1400", "4000", "SIP mix"];
            for size in sizes.into_iter().filter(|size| suite.is_gcm() || *size != "1400") {
                row(&options, suite, direction, size);
            }
        }
    }
    Ok(())
}

/// Octets of UDP header and data of the packets of a round.
fn sizes(name: &str) -> [usize; SAS] {
    // From a 100 Trying to an INVITE with SDP and all its headers.
    const SIP: [usize; 16] =
        [295, 1180, 412, 640, 2850, 330, 980, 560, 1420, 310, 760, 2210, 480, 1050, 365, 1710];
    std::array::from_fn(|n| name.parse().unwrap_or(SIP[n % SIP.len()]))
}

struct Bench {
    backend: Backend,
    datagrams: Vec<Vec<u8>>,
    /// What comes out of sealing.
    packets: Vec<Vec<u8>>,
    /// Where packets are sealed in place, as the others do it, and where they are opened into.
    outs: Vec<Vec<u8>>,
    /// Octets in front of a datagram that is sealed in place.
    headroom: usize,
    keys: Vec<SaKeys>,
    senders: Vec<Outbound>,
    receivers: Vec<Inbound>,
    sas: Vec<Sa>,
    #[cfg(feature = "aead")]
    aead: Vec<aead::Sa>,
    /// The ESP of the packets, for the others.
    esps: Vec<Vec<u8>>,
    plains: Vec<Vec<u8>>,
}

impl Bench {
    fn new(backend: Backend, suite: Suite, direction: Direction, size: &str) -> Self {
        let keys: Vec<_> = (0..SAS)
            .map(|n| {
                let octets = |len: usize, with: usize| {
                    (0..len).map(|k| (k * 37 + n * 11 + with) as u8).collect::<Vec<u8>>()
                };
                let (integrity, encryption) = (suite.integrity().key_len(), suite.encryption().key_len());
                SaKeys::from_expanded(suite, &octets(integrity, 5), &octets(encryption, 90)).unwrap()
            })
            .collect();
        let datagrams: Vec<_> = sizes(size).into_iter().map(datagram).collect();
        let headroom = suite.headroom();
        let sas = keys.iter().map(|keys| Sa::new(keys, direction == Direction::Seal)).collect();
        let mut bench = Self {
            backend,
            packets: datagrams.iter().map(|d| vec![0; d.len() + suite.growth(d.len() - IP)]).collect(),
            outs: datagrams.iter().map(|d| vec![0; d.len() + suite.growth(d.len() - IP)]).collect(),
            plains: datagrams.iter().map(|d| vec![0; d.len() + suite.growth(d.len() - IP)]).collect(),
            headroom,
            esps: Vec::new(),
            senders: Vec::new(),
            receivers: Vec::new(),
            datagrams,
            #[cfg(feature = "aead")]
            aead: if suite.is_gcm() { keys.iter().map(aead::Sa::new).collect() } else { Vec::new() },
            keys,
            sas,
        };
        bench.renew();
        for (n, (datagram, packet)) in bench.datagrams.iter().zip(&mut bench.packets).enumerate() {
            let _ = bench.senders[n].seal(datagram, packet).unwrap();
        }
        bench.renew();
        bench.esps = bench.packets.iter().map(|packet| packet[IP..].to_vec()).collect();
        bench.compare(direction, suite);
        bench
    }

    /// SAs that have sent and received nothing.
    fn renew(&mut self) {
        let spec = |n: usize| spec(&self.keys[n], n);
        // The limits of des-ede3-cbc would end a sender.
        let sender = |n| {
            let sa = Outbound::new_on(&spec(n), self.backend);
            let limits = Limits::of(sa.suite()).with_hard_octets(None);
            sa.with_limits(limits)
        };
        self.senders = (0..SAS).map(sender).collect();
        self.receivers =
            (0..SAS).map(|n| Inbound::new_on(&spec(n), WindowSize::default(), self.backend)).collect();
    }

    /// Puts the packets to seal where they will be sealed, for all alike. Not timed.
    fn restore(&mut self, direction: Direction) {
        if direction == Direction::Open {
            return;
        }
        let (body, headroom, icv_len) = (self.headroom, self.headroom, self.keys[0].suite().icv_len());
        for (out, datagram) in self.outs.iter_mut().zip(&self.datagrams) {
            out[headroom..headroom + datagram.len()].copy_from_slice(datagram);
        }
        for (esp, datagram) in self.esps.iter_mut().zip(&self.datagrams) {
            let payload = &datagram[IP..];
            let end = esp.len() - icv_len;
            let pad = end - body - payload.len() - 2;
            esp[body..body + payload.len()].copy_from_slice(payload);
            for k in 0..pad {
                esp[body + payload.len() + k] = k as u8 + 1;
            }
            esp[end - 2] = pad as u8;
            esp[end - 1] = 17;
            esp[end..].fill(0);
        }
    }

    /// All outputs are the same, or the comparison is of different things.
    fn compare(&mut self, direction: Direction, suite: Suite) {
        for batch in [1, 8, 16, 64] {
            self.renew();
            self.outs.iter_mut().for_each(|out| out.fill(0));
            self.restore(direction);
            self.library(direction, batch);
            for n in 0..SAS {
                match direction {
                    Direction::Seal => assert!(self.outs[n] == self.packets[n], "{suite}: sealed otherwise"),
                    Direction::Open => {
                        assert!(self.outs[n].starts_with(&self.datagrams[n]), "{suite}: opened otherwise")
                    }
                }
            }
        }
        let gcm = suite.is_gcm().then_some(peers::imb_gcm as fn(&mut [Packet<'_>]) -> usize);
        for call in [peers::openssl, peers::imb, peers::imb_burst].into_iter().chain(gcm) {
            self.restore(direction);
            self.plains.iter_mut().for_each(|plain| plain.fill(0));
            assert_eq!(self.others(call, SAS).0, SAS, "{suite}: the other refuses");
            for n in 0..SAS {
                match direction {
                    Direction::Seal => {
                        assert!(self.esps[n] == self.packets[n][IP..], "{suite}: the other seals otherwise")
                    }
                    Direction::Open => assert!(
                        self.plains[n].starts_with(&self.datagrams[n][IP..]),
                        "{suite}: the other opens otherwise"
                    ),
                }
            }
        }
        #[cfg(feature = "aead")]
        for (name, call) in aead::CALLS.into_iter().filter(|_| suite.is_gcm()) {
            self.restore(direction);
            self.plains.iter_mut().for_each(|plain| plain.fill(0));
            self.aead(direction, call);
            for n in 0..SAS {
                let body =
                    direction == Direction::Seal || self.plains[n].starts_with(&self.datagrams[n][IP..]);
                assert!(
                    body && self.esps[n] == self.packets[n][IP..],
                    "{suite}: {name} makes something else"
                );
            }
        }
        // Forged packets are refused by all.
        if direction == Direction::Open {
            self.esps.iter_mut().for_each(|esp| esp[9] ^= 1);
            assert_eq!(self.others(peers::openssl, SAS).0 + self.others(peers::imb, SAS).0, 0);
            self.esps.iter_mut().for_each(|esp| esp[9] ^= 1);
        }
        self.renew();
    }

    /// How long the library takes for all packets. What is allocated is so before, and for the
    /// others alike.
    fn library(&mut self, direction: Direction, batch: usize) -> f64 {
        match (direction, batch) {
            (Direction::Seal, 1) => time(|| {
                for ((sa, datagram), out) in self.senders.iter_mut().zip(&self.datagrams).zip(&mut self.outs)
                {
                    let range = self.headroom..self.headroom + datagram.len();
                    // Not copied: its parts would be waited for.
                    let sealed = sa.seal_in_place(out, range);
                    assert!(black_box(&sealed).is_ok());
                }
            }),
            (Direction::Open, 1) => time(|| {
                for ((sa, packet), out) in self.receivers.iter_mut().zip(&self.packets).zip(&mut self.outs) {
                    let opened = sa.open(packet, out);
                    assert!(black_box(&opened).is_ok());
                }
            }),
            // The memory of the jobs is that of the batch before.
            (Direction::Seal, _) => {
                let mut jobs = Vec::with_capacity(batch);
                let mut packets = self.datagrams.iter().zip(&mut self.outs).enumerate();
                time(|| {
                    while packets.len() > 0 {
                        jobs.clear();
                        jobs.extend(packets.by_ref().take(batch).map(|(n, (datagram, out))| {
                            (n, SealJob::in_place(out, self.headroom..self.headroom + datagram.len()))
                        }));
                        seal_batch(&mut self.senders, &mut jobs);
                        assert!(jobs.iter().all(|(_, job)| matches!(job.result(), Some(Ok(_)))));
                    }
                })
            }
            (Direction::Open, _) => {
                let mut jobs = Vec::with_capacity(batch);
                let mut packets = self.packets.iter().zip(&mut self.outs).enumerate();
                time(|| {
                    while packets.len() > 0 {
                        jobs.clear();
                        let next = packets.by_ref().take(batch);
                        jobs.extend(next.map(|(n, (packet, out))| (n, OpenJob::new(packet, out))));
                        open_batch(&mut self.receivers, &mut jobs);
                        assert!(jobs.iter().all(|(_, job)| matches!(job.result(), Some(Ok(_)))));
                    }
                })
            }
        }
    }

    /// How many packets were right, and how long another library takes for all of them.
    fn others(&mut self, call: fn(&mut [Packet<'_>]) -> usize, batch: usize) -> (usize, f64) {
        let mut packets: Vec<_> = self
            .sas
            .iter_mut()
            .zip(&mut self.esps)
            .zip(&mut self.plains)
            .map(|((sa, esp), out)| Packet::new(sa, esp, out))
            .collect();
        let mut good = 0;
        let elapsed = time(|| good = packets.chunks_mut(batch).map(call).sum());
        (good, elapsed)
    }

    #[cfg(feature = "aead")]
    fn aead(&mut self, direction: Direction, call: aead::Call) {
        for ((sa, esp), plain) in self.aead.iter().zip(&mut self.esps).zip(&mut self.plains) {
            assert!(call(sa, esp, (direction == Direction::Open).then_some(plain)));
        }
    }

    fn time_library(&mut self, direction: Direction, batch: usize) -> f64 {
        self.renew();
        self.restore(direction);
        self.library(direction, batch)
    }

    fn time_others(
        &mut self,
        direction: Direction,
        call: fn(&mut [Packet<'_>]) -> usize,
        batch: usize,
    ) -> f64 {
        // As before the library is timed, so that none finds more in the caches than another.
        self.renew();
        self.restore(direction);
        let (good, elapsed) = self.others(call, batch);
        assert_eq!(good, SAS);
        elapsed
    }
}

fn row(options: &Options, suite: Suite, direction: Direction, size: &str) {
    let mut bench = Bench::new(options.backend, suite, direction, size);
    // Ratios by column: one to OpenSSL and to ipsec-mb, where it has calls for one, and for each
    // batch the same.
    let mut ratios = vec![Vec::new(); 2 + 2 * BATCHES.len()];
    let mut interfaces: [[Vec<f64>; 3]; BATCHES.len()] = Default::default();
    let mut alone = Vec::new();
    #[cfg(feature = "aead")]
    let mut more = vec![Vec::new(); if suite.is_gcm() { aead::CALLS.len() } else { 0 }];
    let slow = suite.encryption() == Encryption::DesEde3Cbc;
    let rounds = if slow { options.rounds.div_ceil(5) } else { options.rounds };
    for _ in 0..rounds {
        let openssl = bench.time_others(direction, peers::openssl, SAS);
        let one = bench.time_library(direction, 1);
        ratios[0].push(openssl / one);
        alone.push(one);
        if suite.is_gcm() {
            ratios[1].push(bench.time_others(direction, peers::imb_gcm, SAS) / one);
        }
        #[cfg(feature = "aead")]
        for (ratios, (_, call)) in more.iter_mut().zip(aead::CALLS) {
            bench.renew();
            bench.restore(direction);
            ratios.push(time(|| bench.aead(direction, call)) / one);
        }
        for (n, batch) in BATCHES.into_iter().enumerate() {
            let library = bench.time_library(direction, batch);
            let openssl = bench.time_others(direction, peers::openssl, SAS);
            ratios[2 + 2 * n].push(openssl / library);
            let calls = [peers::imb, peers::imb_burst].into_iter().map(|call| (call, batch));
            let gcm = suite.is_gcm().then_some((peers::imb_gcm as fn(&mut [Packet<'_>]) -> usize, SAS));
            for (ratios, (call, batch)) in interfaces[n].iter_mut().zip(calls.chain(gcm)) {
                ratios.push(bench.time_others(direction, call, batch) / library);
            }
        }
    }
    // Of all interfaces that it has, the fastest: by its median, not the one with the best luck in
    // each round.
    for (n, interfaces) in interfaces.iter_mut().enumerate() {
        let medians = interfaces.iter_mut().filter(|ratios| !ratios.is_empty()).map(|ratios| median(ratios));
        ratios[3 + 2 * n].push(medians.fold(f64::INFINITY, f64::min));
    }
    let name = if direction == Direction::Seal { "seal" } else { "open" };
    print!("| {suite} | {name} | {size} |");
    for ratios in &mut ratios {
        match ratios.is_empty() {
            true => print!(" - |"),
            false => print!(" {:.2} |", median(ratios)),
        }
    }
    print!(" {:.0} |", median(&mut alone) * 1e9 / SAS as f64);
    #[cfg(feature = "aead")]
    more.iter_mut().for_each(|ratios| print!(" {:.2} |", median(ratios)));
    println!();
}

fn time(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    let elapsed: Duration = start.elapsed();
    elapsed.as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spec(keys: &SaKeys, n: usize) -> SaSpec<'_> {
    let ports = Ports::Exact { source: 6100, destination: 7060 };
    let selector = Selector { source: [10, 0, 0, 2].into(), destination: [10, 0, 0, 1].into(), ports };
    SaSpec { spi: Spi::new(0x1000 + n as u32).unwrap(), selector, keys }
}

fn datagram(payload: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..payload - 8).map(|n| (n * 31) as u8).collect();
    let mut datagram = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64)
        .udp(6100, 7060)
        .write(&mut datagram, &data)
        .unwrap();
    datagram
}

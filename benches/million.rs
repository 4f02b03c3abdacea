//! Batches over a million SAs in random order, compared with the same batches over sixty-four: what
//! the table costs when nothing of it is in the processor's caches.
//!
//! `cargo bench --bench million` prints medians of interleaved rounds, each a batch of 64 packets
//! of 300 octets; a number after `--` is how many SAs there are, a thousand or more, and `aes-gcm`
//! takes that suite. Takes 1 GB, and 2 GB with AES-GCM, whose SAs have keys of their own here. In
//! large pages, if the allocator is asked for them, it is faster: with glibc 2.35 and later,
//! `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` before the command.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::time::Instant;

use ipsec_3gpp::Sad;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{OpenJob, Outbound, Ports, SaSpec, SealJob, Selector};
use ipsec_3gpp::spi::Spi;
use support::{datagram, keys_of, median, suite};

const PAYLOAD: usize = 300;
const BATCH: usize = 64;
const ROUNDS: usize = 2001;
/// The fewest SAs among which those of a batch are chosen, each once.
const FEWEST: usize = 1000;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let sas = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000).max(FEWEST);
    let suite = suite();
    // Few different keys: the SAs expand them all the same.
    let keys: Vec<_> = (0..16).map(|n| keys_of(suite, n)).collect();
    for open in [false, true] {
        let mut sad = Sad::new();
        sad.reserve(sas / 2);
        for n in 0..sas {
            let spec = spec(&keys, n, open);
            if open {
                sad.add_inbound(&spec).unwrap();
            } else {
                sad.add_outbound(&spec).unwrap();
            }
        }
        let plain = datagram(PAYLOAD);
        let mut from = vec![vec![0; plain.len() + suite.growth(PAYLOAD)]; BATCH];
        let mut outs = from.clone();
        let (mut hot, mut cold, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // A generator whose period is longer than there are SAs: none is met twice soon.
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % sas
        };
        let mut sequence = 0;
        for round in 0..=ROUNDS {
            sequence += 1;
            let few: [usize; BATCH] = std::array::from_fn(|n| n * (sas / BATCH));
            // None of the few, and none twice: each number is new to its SA.
            let mut many = few;
            for n in 0..BATCH {
                many[n] = std::iter::repeat_with(&mut random)
                    .find(|other| !few.contains(other) && !many[..n].contains(other))
                    .unwrap();
            }
            let mut times = [0.0; 2];
            for (time, chosen) in times.iter_mut().zip([few, many]) {
                for (packet, n) in from.iter_mut().zip(chosen) {
                    let mut datagram = plain.clone();
                    if open {
                        datagram[12..16].copy_from_slice(&address(n));
                        let mut sender = Outbound::new(&spec(&keys, n, open));
                        assert!(sender.advance_to(sequence));
                        packet.resize(400, 0);
                        let range = sender.seal(&datagram, packet).unwrap().range;
                        packet.truncate(range.end);
                    } else {
                        datagram[12..16].copy_from_slice(&PCSCF);
                        datagram[16..20].copy_from_slice(&address(n));
                        *packet = datagram;
                    }
                }
                *time = if open {
                    open_all(&mut sad, &from, &mut outs)
                } else {
                    seal_all(&mut sad, &from, &mut outs)
                };
            }
            if round > 0 {
                hot.push(times[0]);
                cold.push(times[1]);
                ratios.push(times[1] / times[0]);
            }
        }
        let nanoseconds = |times| median(times) * 1e9 / BATCH as f64;
        println!(
            "{} {suite}, {PAYLOAD} octets, {BATCH} at a time: {BATCH} SAs {:.0} ns a packet, {sas} SAs {:.0} ns, ratio {:.2}",
            if open { "open" } else { "seal" },
            nanoseconds(hot),
            nanoseconds(cold),
            median(ratios)
        );
    }
}

fn seal_all(sad: &mut Sad, from: &[Vec<u8>], outs: &mut [Vec<u8>]) -> f64 {
    let mut jobs: Vec<_> = from.iter().zip(outs).map(|(from, out)| SealJob::new(from, out)).collect();
    let start = Instant::now();
    sad.seal_batch(&mut jobs);
    let elapsed = start.elapsed().as_secs_f64();
    assert!(jobs.iter().all(|job| matches!(job.result(), Some(Ok(_)))));
    elapsed
}

fn open_all(sad: &mut Sad, from: &[Vec<u8>], outs: &mut [Vec<u8>]) -> f64 {
    let mut jobs: Vec<_> = from.iter().zip(outs).map(|(from, out)| OpenJob::new(from, out)).collect();
    let start = Instant::now();
    sad.open_batch(&mut jobs);
    let elapsed = start.elapsed().as_secs_f64();
    assert!(jobs.iter().all(|job| matches!(job.result(), Some(Ok(_)))));
    elapsed
}

const PCSCF: [u8; 4] = [10, 0, 0, 1];

/// The address of a UE.
fn address(n: usize) -> [u8; 4] {
    [10, 1 + (n >> 16) as u8, (n >> 8) as u8, n as u8]
}

/// An SA of the P-CSCF, from a UE or to one.
fn spec(keys: &[SaKeys], n: usize, inbound: bool) -> SaSpec<'_> {
    let ports = Ports::Exact { source: 6100, destination: 7060 };
    let (ue, pcscf) = (address(n).into(), PCSCF.into());
    let (source, destination) = if inbound { (ue, pcscf) } else { (pcscf, ue) };
    let selector = Selector { source, destination, ports };
    SaSpec { spi: Spi::new(4096 + n as u32).unwrap(), selector, keys: &keys[n % keys.len()] }
}

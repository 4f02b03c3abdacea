//! Instruction counts of the main paths, as valgrind counts them: the same on every run, whatever
//! else the machine does. A path that takes more than its limit fails. Whoever makes one longer for
//! a reason raises its limit with it.
//!
//! `cargo bench --manifest-path benches/instructions/Cargo.toml` counts; it needs valgrind, and
//! `gungraun-runner` of the version in `Cargo.toml`. Valgrind knows neither SHA-NI nor AVX-512: the
//! portable backend is counted, and with it all that is around the ciphers and hashes, which is the
//! same on every backend.

use std::hint::black_box;
use std::net::IpAddr;

use gungraun::{
    Callgrind, CallgrindMetrics, EventKind, LibraryBenchmarkConfig, library_benchmark,
    library_benchmark_group, main,
};
use ipsec_3gpp::esp::{Backend, Family};
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::negotiation::{SecAgree, pcscf};
use ipsec_3gpp::sa::{Endpoint, OpenJob, SaSet, SealJob, Side};
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Policy, Sad, Suite};

/// What is sealed and opened: over IPv4, if nothing else is said.
#[derive(Clone, Copy)]
struct Traffic {
    suite: Suite,
    family: Family,
}

const AES: Traffic = Traffic { suite: Suite::HMAC_SHA_1_96_AES_CBC, family: Family::Ipv4 };
const DES: Traffic = Traffic { suite: Suite::HMAC_SHA_1_96_DES_EDE3_CBC, ..AES };
const NULL: Traffic = Traffic { suite: Suite::HMAC_MD5_96_NULL, ..AES };
const GCM: Traffic = Traffic { suite: Suite::AES_GCM, ..AES };
const AES_IPV6: Traffic = Traffic { family: Family::Ipv6, ..AES };
const GCM_IPV6: Traffic = Traffic { family: Family::Ipv6, ..GCM };
const PAYLOAD: usize = 300;
const BATCH: usize = 16;

fn limit(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(CallgrindMetrics::from(EventKind::Ir), instructions)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

fn setup(spi: u32, port: u16) -> Setup {
    Setup {
        spis: SpiPair { client: Spi::new(spi).unwrap(), server: Spi::new(spi + 1).unwrap() },
        ports: PortPair::new(port, port + 1).unwrap(),
    }
}

/// The UE's address, and the P-CSCF's.
fn addresses(family: Family) -> [IpAddr; 2] {
    match family {
        Family::Ipv4 => [[10, 0, 0, 2].into(), [10, 0, 0, 1].into()],
        Family::Ipv6 => [2, 1].map(|n| [0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into()),
    }
}

fn sad(traffic: Traffic, side: Side) -> Sad {
    let [ue, pcscf] = addresses(traffic.family);
    let ue = Endpoint { address: ue, setup: setup(1000, 40001) };
    let pcscf = Endpoint { address: pcscf, setup: setup(2000, 50001) };
    let keys = SaKeys::expand(traffic.suite, &Ck::new(*b"0123456789abcdef"), &Ik::new([7; 16])).unwrap();
    let mut sad = Sad::new().with_backend(Backend::PORTABLE);
    sad.add_set(&SaSet::new(ue, pcscf, keys).unwrap(), side).unwrap();
    sad
}

/// A datagram from the UE's client port to the P-CSCF's server port.
fn datagram(family: Family) -> Vec<u8> {
    let mut datagram = match family {
        Family::Ipv4 => {
            [&[0x45, 0], &(20 + PAYLOAD as u16).to_be_bytes()[..], &[0, 0, 0, 0, 64, 17, 0, 0]].concat()
        }
        Family::Ipv6 => [&[0x60, 0, 0, 0], &(PAYLOAD as u16).to_be_bytes()[..], &[17, 64]].concat(),
    };
    for address in addresses(family) {
        match address {
            IpAddr::V4(address) => datagram.extend(address.octets()),
            IpAddr::V6(address) => datagram.extend(address.octets()),
        }
    }
    let payload = datagram.len();
    datagram.extend([40001_u16.to_be_bytes(), 50002_u16.to_be_bytes()].as_flattened());
    datagram.resize(payload + PAYLOAD, 0);
    datagram
}

struct Work {
    sad: Sad,
    from: Vec<Vec<u8>>,
    outs: Vec<Vec<u8>>,
}

fn sealing(traffic: Traffic) -> Work {
    let (sad, from) = (sad(traffic, Side::Ue), vec![datagram(traffic.family); BATCH]);
    let mut work = Work { sad, from, outs: vec![vec![0; 400]; BATCH] };
    // What is done once is not counted.
    let _ = work.sad.seal(&work.from[0], &mut work.outs[0]).unwrap();
    work
}

fn opening(traffic: Traffic) -> Work {
    let mut work = sealing(traffic);
    for (datagram, packet) in work.from.iter_mut().zip(&mut work.outs) {
        let sealed = work.sad.seal(datagram, packet).unwrap();
        *datagram = packet[sealed.range].to_vec();
    }
    work.sad = sad(traffic, Side::Pcscf);
    work
}

fn duplicate(traffic: Traffic) -> Work {
    let mut work = opening(traffic);
    let _ = work.sad.open(&work.from[0], &mut work.outs[0]).unwrap();
    work
}

fn forged(traffic: Traffic) -> Work {
    let mut work = opening(traffic);
    *work.from[0].last_mut().unwrap() ^= 1;
    work
}

#[library_benchmark]
#[bench::null(args = (NULL), setup = sealing, config = limit(NULL_SEAL))]
#[bench::aes(args = (AES), setup = sealing, config = limit(AES_SEAL))]
#[bench::des(args = (DES), setup = sealing, config = limit(DES_SEAL))]
#[bench::gcm(args = (GCM), setup = sealing, config = limit(GCM_SEAL))]
#[bench::aes_ipv6(args = (AES_IPV6), setup = sealing, config = limit(AES_SEAL_IPV6))]
#[bench::gcm_ipv6(args = (GCM_IPV6), setup = sealing, config = limit(GCM_SEAL_IPV6))]
fn seal(mut work: Work) -> Work {
    let _ = black_box(work.sad.seal(black_box(&work.from[0]), &mut work.outs[0])).unwrap();
    work
}

#[library_benchmark]
#[bench::null(args = (NULL), setup = opening, config = limit(NULL_OPEN))]
#[bench::aes(args = (AES), setup = opening, config = limit(AES_OPEN))]
#[bench::des(args = (DES), setup = opening, config = limit(DES_OPEN))]
#[bench::gcm(args = (GCM), setup = opening, config = limit(GCM_OPEN))]
#[bench::aes_ipv6(args = (AES_IPV6), setup = opening, config = limit(AES_OPEN_IPV6))]
#[bench::gcm_ipv6(args = (GCM_IPV6), setup = opening, config = limit(GCM_OPEN_IPV6))]
fn open(mut work: Work) -> Work {
    let _ = black_box(work.sad.open(black_box(&work.from[0]), &mut work.outs[0])).unwrap();
    work
}

#[library_benchmark]
#[bench::duplicate(args = (AES), setup = duplicate, config = limit(DUPLICATE))]
#[bench::forged(args = (AES), setup = forged, config = limit(FORGED))]
fn refuse(mut work: Work) -> Work {
    let _ = black_box(work.sad.open(black_box(&work.from[0]), &mut work.outs[0])).unwrap_err();
    work
}

#[library_benchmark]
#[bench::aes(args = (AES), setup = sealing, config = limit(AES_SEAL_BATCH))]
#[bench::des(args = (DES), setup = sealing, config = limit(DES_SEAL_BATCH))]
#[bench::gcm(args = (GCM), setup = sealing, config = limit(GCM_SEAL_BATCH))]
fn seal_batch(mut work: Work) -> Work {
    let mut jobs: Vec<_> =
        work.from.iter().zip(&mut work.outs).map(|(from, out)| SealJob::new(from, out)).collect();
    work.sad.seal_batch(&mut jobs);
    assert!(jobs.iter().all(|job| job.packet().is_some()));
    drop(jobs);
    work
}

#[library_benchmark]
#[bench::aes(args = (AES), setup = opening, config = limit(AES_OPEN_BATCH))]
#[bench::gcm(args = (GCM), setup = opening, config = limit(GCM_OPEN_BATCH))]
fn open_batch(mut work: Work) -> Work {
    let mut jobs: Vec<_> =
        work.from.iter().zip(&mut work.outs).map(|(from, out)| OpenJob::new(from, out)).collect();
    work.sad.open_batch(&mut jobs);
    assert!(jobs.iter().all(|job| job.datagram().is_some()));
    drop(jobs);
    work
}

fn policy() -> Policy {
    Policy::new(&[AES.suite, Suite::HMAC_SHA_1_96_NULL], Confidentiality::Offered).unwrap()
}

// SM1 to SM6: a header with an iPhone's four mechanisms, selection, expansion of the keys, and four
// SAs installed.
#[library_benchmark]
#[bench::challenge(setup = policy, config = limit(CHALLENGE))]
fn negotiate(policy: Policy) -> (Policy, Sad) {
    let client = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100,\
        ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100,\
        ipsec-3gpp;alg=hmac-sha-1-96;ealg=null;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100,\
        ipsec-3gpp;alg=hmac-md5-96;ealg=null;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    let sm1 = pcscf::Sm1 {
        ue: [10, 0, 0, 2].into(),
        pcscf: [10, 0, 0, 1].into(),
        scope: 0,
        sec_agree: SecAgree::Present,
        security_client: &[client],
    };
    let offer = pcscf::Offer::receive(&policy, &sm1).unwrap();
    let challenge = offer.challenge(setup(2000, 50001), &Ck::new([1; 16]), &Ik::new([2; 16])).unwrap();
    let mut sad = Sad::new();
    sad.add_set(challenge.set(), Side::Pcscf).unwrap();
    (policy, sad)
}

// What was counted, and three in a hundred for the seeds of the tables' hashes.
const NULL_SEAL: u64 = 5_790;
const AES_SEAL: u64 = 12_115;
const DES_SEAL: u64 = 364_230;
const NULL_OPEN: u64 = 5_920;
const AES_OPEN: u64 = 11_530;
const DES_OPEN: u64 = 62_175;
const GCM_SEAL: u64 = 1_285;
const GCM_OPEN: u64 = 1_300;
const AES_SEAL_IPV6: u64 = 12_195;
const AES_OPEN_IPV6: u64 = 11_685;
const GCM_SEAL_IPV6: u64 = 1_300;
const GCM_OPEN_IPV6: u64 = 1_325;
const DUPLICATE: u64 = 600;
const FORGED: u64 = 10_665;
const AES_SEAL_BATCH: u64 = 200_509;
const DES_SEAL_BATCH: u64 = 2_155_032;
const AES_OPEN_BATCH: u64 = 195_256;
const GCM_SEAL_BATCH: u64 = 20_150;
const GCM_OPEN_BATCH: u64 = 20_230;
// Stack and slots are wiped of keys.
const CHALLENGE: u64 = 46_424;

library_benchmark_group!(name = one, benchmarks = [seal, open, refuse]);
library_benchmark_group!(name = many, benchmarks = [seal_batch, open_batch]);
library_benchmark_group!(name = agreement, benchmarks = [negotiate]);
main!(library_benchmark_groups = [one, many, agreement]);

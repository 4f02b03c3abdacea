//! The control path: header text to values and back, selection, and whole set-ups from header text
//! to four SAs.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark may stop"
)]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ipsec_3gpp::negotiation::{SecAgree, pcscf, ue};
use ipsec_3gpp::sa::{Endpoint, Side};
use ipsec_3gpp::sec_agree::{SecurityClient, Style};
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair, SpiSlice};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Policy, Sad, SpiAllocator, Suite};

/// A Samsung phone's, with six mechanisms.
const SAMSUNG: &str = "ipsec-3gpp;prot=esp;mod=trans;spi-c=155012914;spi-s=239446354;port-c=41023;port-s=6800;\
    alg=hmac-md5-96;ealg=des-ede3-cbc,ipsec-3gpp;prot=esp;mod=trans;spi-c=155012914;spi-s=239446354;port-c=41023;\
    port-s=6800;alg=hmac-md5-96;ealg=aes-cbc,ipsec-3gpp;prot=esp;mod=trans;spi-c=155012914;spi-s=239446354;\
    port-c=41023;port-s=6800;alg=hmac-md5-96;ealg=null,ipsec-3gpp;prot=esp;mod=trans;spi-c=155012914;\
    spi-s=239446354;port-c=41023;port-s=6800;alg=hmac-sha-1-96;ealg=des-ede3-cbc,ipsec-3gpp;prot=esp;mod=trans;\
    spi-c=155012914;spi-s=239446354;port-c=41023;port-s=6800;alg=hmac-sha-1-96;ealg=aes-cbc,ipsec-3gpp;prot=esp;\
    mod=trans;spi-c=155012914;spi-s=239446354;port-c=41023;port-s=6800;alg=hmac-sha-1-96;ealg=null";

fn setup(spis: [u32; 2], ports: [u16; 2]) -> Setup {
    Setup {
        spis: SpiPair { client: Spi::new(spis[0]).unwrap(), server: Spi::new(spis[1]).unwrap() },
        ports: PortPair::new(ports[0], ports[1]).unwrap(),
    }
}

fn policy() -> Policy {
    let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_MD5_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
    Policy::new(&suites, Confidentiality::Offered).unwrap()
}

fn headers(c: &mut Criterion) {
    let mut group = c.benchmark_group("header");
    group.throughput(Throughput::Bytes(SAMSUNG.len() as u64));
    group.bench_function("parse six mechanisms", |b| {
        b.iter(|| SecurityClient::parse(black_box(SAMSUNG)).unwrap());
    });
    let list = SecurityClient::parse(SAMSUNG).unwrap();
    group.bench_function("emit six mechanisms", |b| {
        b.iter(|| black_box(&list).emit(&Style::SAMSUNG));
    });
    group.finish();

    let mut group = c.benchmark_group("selection");
    group.throughput(Throughput::Elements(1));
    let policy = policy();
    group.bench_function("P-CSCF", |b| b.iter(|| policy.select_for(black_box(&list))));
    let server = policy.server_list(setup([256, 257], [7100, 7060]));
    group.bench_function("UE", |b| b.iter(|| policy.select_from(black_box(&server))));
    let verify = ipsec_3gpp::sec_agree::SecurityVerify::parse(&server.to_string()).unwrap();
    group.bench_function("comparison of SM7", |b| {
        b.iter(|| server.check_verify(black_box(&verify), policy.tolerated()).unwrap());
    });
}

fn negotiation(c: &mut Criterion) {
    let policy = policy();
    let (ue, pcscf): (IpAddr, IpAddr) = ([10, 1, 0, 16].into(), [10, 0, 0, 1].into());
    let (ck, ik) = (Ck::new([0x56; 16]), Ik::new([0xf7; 16]));
    let client = [SAMSUNG];
    let sm1 = pcscf::Sm1 { ue, pcscf, scope: 0, sec_agree: SecAgree::Present, security_client: &client };
    let mut group = c.benchmark_group("set-up");
    group.throughput(Throughput::Elements(1));
    // SPIs, SM1, SM6, four SAs in the table, SM7, SM12, and all of it taken back.
    let mut spis = SpiAllocator::new(SpiSlice::WHOLE, 100_000, [7; 16]).unwrap();
    let mut sad = Sad::new();
    group.bench_function("P-CSCF, header text to four SAs", |b| {
        b.iter(|| {
            let offer = pcscf::Offer::receive(&policy, black_box(&sm1)).unwrap();
            let pair = spis.allocate_pair(&offer.spis()).unwrap();
            let ports = PortPair::new(7100, 7060).unwrap();
            let challenge = offer.challenge(Setup { spis: pair, ports }, &ck, &ik).unwrap();
            let installed = sad.add_set(challenge.set(), Side::Pcscf).unwrap();
            let server = challenge.security_server().to_string();
            let sm7 = pcscf::Sm7 { over: pair.server, security_client: &client, security_verify: &[&server] };
            let established = challenge.receive_sm7(&sm7).unwrap().succeeded();
            assert!(sad.remove_set(&installed));
            assert!(spis.release(pair.client) && spis.release(pair.server));
            established
        });
    });
    let server = policy.server_list(setup([4096, 4097], [7100, 7060])).to_string();
    let of_ue = setup([155_012_914, 239_446_354], [41023, 6800]);
    let mut sad = Sad::new();
    group.bench_function("UE, policy to four SAs", |b| {
        b.iter(|| {
            let offer = ue::Offer::new(&policy, Endpoint { address: ue, setup: of_ue }, pcscf).unwrap();
            let client = offer.security_client().to_string();
            let answer = offer.receive_sm6(&[black_box(&server)], &ck, &ik).unwrap();
            let installed = sad.add_set(answer.set(), Side::Ue).unwrap();
            let established = answer.confirmed();
            assert!(sad.remove_set(&installed));
            (client, established)
        });
    });
}

fn configuration() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
}

criterion_group! { name = benches; config = configuration(); targets = headers, negotiation }
criterion_main!(benches);

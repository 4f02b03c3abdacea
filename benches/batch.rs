//! Many packets at once: every suite, both directions, batches of 8 to 256 compared with one at a
//! time, sizes from 64 to 4,000 octets and a mix as SIP has them; and what is refused.
//!
//! For ratios, measured interleaved, see `benches/ratio.rs`; for a million SAs,
//! `benches/million.rs`; for other libraries, `benches/peers`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark may stop"
)]

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipsec_3gpp::Suite;
use ipsec_3gpp::sa::{Inbound, OpenJob, Outbound, SealJob, WindowSize, open_batch, seal_batch};
use support::{datagram, endless, keys_of, spec};

const SAS: usize = 64;
const BATCHES: [usize; 5] = [1, 8, 16, 64, 256];
/// Octets of UDP header and data, from a 100 Trying to an INVITE with SDP and all its headers.
const SIP: [usize; 16] =
    [295, 1180, 412, 640, 2850, 330, 980, 560, 1420, 310, 760, 2210, 480, 1050, 365, 1710];

struct Work {
    suite: Suite,
    datagrams: Vec<Vec<u8>>,
    packets: Vec<Vec<u8>>,
    outs: Vec<Vec<u8>>,
}

impl Work {
    fn new(suite: Suite, size: Option<usize>, batch: usize) -> Self {
        let datagrams: Vec<_> = (0..batch).map(|n| datagram(size.unwrap_or(SIP[n % SIP.len()]))).collect();
        let outs: Vec<_> =
            datagrams.iter().map(|datagram| vec![0; datagram.len() + suite.max_growth()]).collect();
        let mut senders = senders(suite);
        let packets = datagrams
            .iter()
            .enumerate()
            .map(|(n, datagram)| {
                let mut packet = vec![0; datagram.len() + suite.max_growth()];
                let sealed = senders[n % SAS].seal(datagram, &mut packet).unwrap();
                packet.truncate(sealed.range.end);
                packet
            })
            .collect();
        Self { suite, datagrams, packets, outs }
    }

    fn octets(&self) -> u64 {
        self.datagrams.iter().map(|datagram| datagram.len() as u64 - 20).sum()
    }

    fn seal(&mut self, sas: &mut [Outbound]) {
        let jobs = self.datagrams.iter().zip(&mut self.outs).enumerate();
        let mut jobs: Vec<_> = jobs.map(|(n, (from, out))| (n % SAS, SealJob::new(from, out))).collect();
        seal_batch(sas, &mut jobs);
        assert!(matches!(jobs[0].1.result(), Some(Ok(_))));
    }

    /// Returns whether the first was opened.
    fn open(&mut self, sas: &mut [Inbound]) -> bool {
        let jobs = self.packets.iter().zip(&mut self.outs).enumerate();
        let mut jobs: Vec<_> = jobs.map(|(n, (from, out))| (n % SAS, OpenJob::new(from, out))).collect();
        open_batch(sas, &mut jobs);
        matches!(jobs[0].1.result(), Some(Ok(_)))
    }

    fn receivers(&self) -> Vec<Inbound> {
        (0..SAS).map(|n| Inbound::new(&spec(&keys_of(self.suite, n as u8)), WindowSize::default())).collect()
    }
}

fn senders(suite: Suite) -> Vec<Outbound> {
    (0..SAS).map(|n| Outbound::new(&spec(&keys_of(suite, n as u8))).with_limits(endless(suite))).collect()
}

fn batches(c: &mut Criterion) {
    for suite in Suite::ALL {
        for size in [Some(64), Some(300), Some(1000), Some(4000), None] {
            let name = size.map_or("SIP mix".to_owned(), |size| format!("{size} octets"));
            let mut group = c.benchmark_group(format!("{suite}, {name}"));
            for batch in BATCHES {
                let mut work = Work::new(suite, size, batch);
                group.throughput(Throughput::Bytes(work.octets()));
                let mut sas = senders(suite);
                group.bench_function(BenchmarkId::new("seal", batch), |b| b.iter(|| work.seal(&mut sas)));
                // A window opens each packet once, so that each round has new SAs.
                let receivers: fn(&Work) -> Vec<Inbound> = Work::receivers;
                let fresh = Work::new(suite, size, batch);
                group.bench_function(BenchmarkId::new("open", batch), |b| {
                    b.iter_batched_ref(
                        || receivers(&fresh),
                        |sas| assert!(work.open(sas)),
                        BatchSize::SmallInput,
                    );
                });
            }
        }
    }
}

fn refusals(c: &mut Criterion) {
    let suite = Suite::HMAC_SHA_1_96_AES_CBC;
    let mut group = c.benchmark_group("refused, 300 octets");
    for batch in BATCHES {
        group.throughput(Throughput::Elements(batch as u64));
        let mut work = Work::new(suite, Some(300), batch);
        let mut sas = work.receivers();
        assert!(work.open(&mut sas));
        group.bench_function(BenchmarkId::new("duplicate", batch), |b| {
            b.iter(|| assert!(!work.open(&mut sas)))
        });
        let mut sas = work.receivers();
        work.packets.iter_mut().for_each(|packet| *packet.last_mut().unwrap() ^= 1);
        group
            .bench_function(BenchmarkId::new("bad ICV", batch), |b| b.iter(|| assert!(!work.open(&mut sas))));
    }
}

fn configuration() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(200))
        .sample_size(10)
}

criterion_group! { name = benches; config = configuration(); targets = batches, refusals }
criterion_main!(benches);

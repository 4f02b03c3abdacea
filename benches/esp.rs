//! One packet at a time: seal and open for every suite and size, compared with the same work
//! composed from the crates alone; and the replay window, whose cost depends on the order of the
//! packets.
//!
//! For the ratio of the two, measured interleaved so that a noisy machine disturbs both alike, see
//! `benches/ratio.rs`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark may stop"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipsec_3gpp::Suite;
use support::plain::Plain;
use support::{SIZES, datagram, inbound, keys, outbound, packets, spi};

fn seal(c: &mut Criterion) {
    for suite in Suite::ALL {
        let mut group = c.benchmark_group(format!("seal {suite}"));
        for size in SIZES {
            let datagram = datagram(size);
            let mut out = vec![0; datagram.len() + suite.growth(size)];
            group.throughput(Throughput::Bytes(size as u64));
            let mut sa = outbound(suite);
            group.bench_function(BenchmarkId::new("library", size), |b| {
                b.iter(|| sa.seal(black_box(&datagram), &mut out).unwrap());
            });
            let mut plain = Plain::new(&keys(suite), spi().value());
            group.bench_function(BenchmarkId::new("plain", size), |b| {
                b.iter(|| plain.seal(black_box(&datagram), &mut out));
            });
        }
    }
}

fn open(c: &mut Criterion) {
    const MANY: usize = 1024;
    for suite in Suite::ALL {
        let mut group = c.benchmark_group(format!("open {suite}"));
        for size in SIZES {
            let packets = packets(suite, size, MANY);
            let mut out = vec![0; packets[0].len()];
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("library", size), |b| {
                // A window opens each packet once, so that each round of packets has a new SA.
                let mut sa = inbound(suite, 64);
                let mut next = 0;
                b.iter(|| {
                    if next == MANY {
                        (sa, next) = (inbound(suite, 64), 0);
                    }
                    let opened = sa.open(black_box(&packets[next]), &mut out).unwrap();
                    next += 1;
                    opened
                });
            });
            let mut plain = Plain::new(&keys(suite), spi().value());
            group.bench_function(BenchmarkId::new("plain", size), |b| {
                plain.forget();
                let mut next = 0;
                b.iter(|| {
                    if next == MANY {
                        plain.forget();
                        next = 0;
                    }
                    let opened = plain.open(black_box(&packets[next]), &mut out).unwrap();
                    next += 1;
                    opened
                });
            });
        }
    }
}

/// The orders in which 1,024 packets arrive, and what becomes of one.
fn replay(c: &mut Criterion) {
    const MANY: usize = 1024;
    let suite = Suite::HMAC_SHA_1_96_AES_CBC;
    let packets = packets(suite, 300, MANY);
    let in_order: Vec<usize> = (0..MANY).collect();
    let swapped: Vec<usize> = (0..MANY).map(|n| n ^ 1).collect();
    // Sixteen at a time from the last to the first, as paths of different length make it.
    let late: Vec<usize> = (0..MANY).map(|n| n ^ 15).collect();
    let every_64th: Vec<usize> = (0..MANY).step_by(64).collect();
    let mut out = vec![0; packets[0].len()];
    let mut group = c.benchmark_group("replay window");
    for window in [64, 4096] {
        for (name, order) in
            [("in order", &in_order), ("swapped", &swapped), ("late", &late), ("gaps", &every_64th)]
        {
            group.throughput(Throughput::Elements(order.len() as u64));
            group.bench_function(BenchmarkId::new(name, window), |b| {
                b.iter_batched_ref(
                    || inbound(suite, window),
                    |sa| order.iter().all(|n| sa.open(&packets[*n], &mut out).is_ok()),
                    criterion::BatchSize::SmallInput,
                );
            });
        }
        let mut sa = inbound(suite, window);
        let _ = sa.open(&packets[0], &mut out).unwrap();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("duplicate refused", window), |b| {
            b.iter(|| sa.open(black_box(&packets[0]), &mut out).unwrap_err());
        });
    }
}

fn configuration() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(20)
}

criterion_group! { name = benches; config = configuration(); targets = seal, open, replay }
criterion_main!(benches);

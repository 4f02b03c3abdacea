//! The single-packet path beside a plain composition of the same crates, measured in turn: a table of ratios.
//!
//! Each figure is the median over many rounds of (time of the plain composition) / (time of the library), both taken
//! within a fraction of a millisecond of each other. Above 1 the library is faster. `cargo bench --bench ratio` prints
//! the table; the exit status is 1 if any ratio is below 0.95, which leaves room for the noise of a shared machine.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod support;

use std::cell::RefCell;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ipsec_3gpp::Suite;
use support::plain::Plain;
use support::{SIZES, datagram, inbound, keys, outbound, packets, spi};

const ROUNDS: usize = 201;
const PACKETS: usize = 16;
const LOWEST: f64 = 0.95;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    println!(
        "plain composition / library, median of {ROUNDS} interleaved rounds; above 1 the library is faster"
    );
    print!("{:<34}", "octets of payload");
    for size in SIZES {
        print!("{size:>8}");
    }
    println!();
    let mut lowest = f64::INFINITY;
    for suite in Suite::ALL {
        for (name, ratio) in [("seal", seal as fn(Suite, usize) -> f64), ("open", open)] {
            print!("{:<34}", format!("{name} {suite}"));
            for size in SIZES {
                let ratio = ratio(suite, size);
                lowest = lowest.min(ratio);
                print!("{ratio:>8.2}");
            }
            println!();
        }
    }
    println!("lowest: {lowest:.3}");
    if lowest < LOWEST { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn seal(suite: Suite, size: usize) -> f64 {
    let datagram = datagram(size);
    // One buffer for both: where it lies matters to so short a piece of work.
    let out = RefCell::new(vec![0; datagram.len() + suite.growth(size)]);
    let mut sa = outbound(suite);
    let mut plain = Plain::new(&keys(suite), spi().value());
    // The same octets, or the comparison is of two different things.
    let _ = sa.seal(&datagram, &mut out.borrow_mut()).unwrap();
    let sealed = out.replace(vec![0; datagram.len() + suite.growth(size)]);
    assert_eq!(plain.seal(&datagram, &mut out.borrow_mut()), sealed.len());
    assert_eq!(*out.borrow(), sealed);
    median(
        || (),
        |()| {
            let out = &mut *out.borrow_mut();
            for _ in 0..PACKETS {
                let _ = black_box(sa.seal(black_box(&datagram), out).unwrap());
            }
        },
        || {
            let out = &mut *out.borrow_mut();
            for _ in 0..PACKETS {
                black_box(plain.seal(black_box(&datagram), out));
            }
        },
    )
}

fn open(suite: Suite, size: usize) -> f64 {
    let packets = packets(suite, size, PACKETS);
    let out = RefCell::new(vec![0; packets[0].len()]);
    let mut plain = Plain::new(&keys(suite), spi().value());
    let len = plain.open(&packets[0], &mut out.borrow_mut()).unwrap();
    let by_plain = out.borrow()[..len].to_vec();
    out.borrow_mut().fill(0);
    let opened = inbound(suite, 64).open(&packets[0], &mut out.borrow_mut()).unwrap();
    assert_eq!(out.borrow()[opened.range], by_plain);
    median(
        // An SA opens each packet once.
        || inbound(suite, 64),
        |mut sa| {
            let out = &mut *out.borrow_mut();
            for packet in &packets {
                let _ = black_box(sa.open(black_box(packet), out).unwrap());
            }
            sa
        },
        || {
            let out = &mut *out.borrow_mut();
            plain.forget();
            for packet in &packets {
                black_box(plain.open(black_box(packet), out).unwrap());
            }
        },
    )
}

/// The median of `plain / library` over the rounds, each in the other order than the one before.
fn median<S, T>(
    mut set_up: impl FnMut() -> S,
    mut library: impl FnMut(S) -> T,
    mut plain: impl FnMut(),
) -> f64 {
    let mut ratios: Vec<f64> = (0..=ROUNDS)
        .map(|round| {
            let (library_time, plain_time) = if round % 2 == 0 {
                let first = time(set_up(), &mut library);
                (first, time((), |()| plain()))
            } else {
                let first = time((), |()| plain());
                (time(set_up(), &mut library), first)
            };
            plain_time.as_secs_f64() / library_time.as_secs_f64()
        })
        .skip(1)
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

fn time<S, T>(state: S, work: impl FnOnce(S) -> T) -> Duration {
    let start = Instant::now();
    // What comes back is dropped after the clock has stopped.
    let result = work(state);
    let elapsed = start.elapsed();
    drop(result);
    elapsed
}

//! A P-CSCF with a hundred thousand registered UEs in a flood of forged REGISTERs, each of which
//! the core challenges, on a virtual clock: from one address, from a thousand, and against one
//! user. Meanwhile UEs refresh, register again, restart, and register for the first time, at the
//! rate of every day, and each of them must succeed.
//!
//! `cargo bench --bench flood` prints a table; a number after `--` is that of the UEs.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ipsec_3gpp::registration::{Accepted, Authorization, Over, Register};
use ipsec_3gpp::sa::Ends;
use support::heap::{Counting, live};
use support::node::{EXPIRES, NONCE, Node, PCSCF, Phone, SUITE, config, phone, server_spi};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Seconds of the virtual clock: longer than anything lasts that is open in clear.
const SECONDS: usize = 600;
/// Forged REGISTERs a second.
const FORGED: usize = 10_000;
/// Registrations with a challenge, restarts, and new UEs a second. Each UE refreshes every ten
/// minutes.
const AGAIN: usize = 20;
const RESTARTS: usize = 5;
const NEW: usize = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flood {
    None,
    OneAddress,
    ThousandAddresses,
    OneUser,
}

/// The `number`th forged REGISTER: where it is from, whose name it has, and which contact.
fn forged(flood: Flood, number: usize) -> (IpAddr, String, String) {
    let from = match flood {
        Flood::None | Flood::OneAddress => 1,
        Flood::ThousandAddresses | Flood::OneUser => number % 1000,
    };
    let user = match flood {
        Flood::OneUser => 77,
        // Half of them of registered users.
        Flood::None | Flood::OneAddress | Flood::ThousandAddresses => number % 200_000,
    };
    let impi = format!("{user:015}@ims.mnc001.mcc001.3gppnetwork.org");
    // Of one user, each time the phone's own contact, or another one.
    let contact = if number.is_multiple_of(2) { String::new() } else { format!("<urn:{}>", number / 2 % 50) };
    (Ipv4Addr::from_bits(0x4200_0000 + from as u32).into(), impi, contact)
}

struct Done {
    refreshed: usize,
    registered: usize,
    restarted: usize,
    new: usize,
    forwarded: usize,
    refused: usize,
    flood: Duration,
    served: Duration,
    heap: Vec<usize>,
}

fn run(contacts: usize, flood: Flood) -> Done {
    let before = live();
    let config = config(SUITE).with_max_contacts(contacts as u32 + 10_000, 0).with_max_addresses(2000, 0);
    let spis = config.spis_needed();
    let mut node = Node::with(config, spis, contacts + 10_000);
    let mut times = 0..;
    let mut fresh = |number: usize, ports: usize| phone(number, times.next().unwrap(), ports, SUITE);
    let first: Vec<Phone> = (0..contacts).map(|number| fresh(number, 20_000)).collect();
    let mut ends: Vec<Ends> = first.iter().map(|phone| node.register(phone, Over::Clear)).collect();
    let mut done = Done {
        refreshed: 0,
        registered: 0,
        restarted: 0,
        new: 0,
        forwarded: 0,
        refused: 0,
        flood: Duration::ZERO,
        served: Duration::ZERO,
        heap: Vec::new(),
    };
    let (mut number, mut due, mut next) = (0, 0, 0);
    for second in 1..=SECONDS {
        // Forged ones and real ones by turns, ten times a second.
        for tenth in 0..10 {
            node.now = node.now + Duration::from_millis(100);
            let forgeries: Vec<_> =
                (number..number + FORGED / 10).map(|number| forged(flood, number)).collect();
            number += FORGED / 10;
            let start = Instant::now();
            if flood != Flood::None {
                for (from, impi, contact) in &forgeries {
                    let row = ["ipsec-3gpp;alg=hmac-sha-1-96;spi-c=7777;spi-s=7778;port-c=999;port-s=998"];
                    let register = Register::new(Over::Clear, *from, PCSCF, impi)
                        .with_contact(contact)
                        .with_security_client(&row);
                    match node.pcscf.register(node.now, &register, &mut node.sad) {
                        Ok(forward) => {
                            let (ck, ik) = (&node.ck, &node.ik);
                            let made =
                                node.pcscf.challenge(node.now, forward.request, NONCE, ck, ik, &mut node.sad);
                            assert!(made.is_ok());
                            done.forwarded += 1;
                        }
                        Err(_) => done.refused += 1,
                    }
                }
            }
            done.flood += start.elapsed();
            let start = Instant::now();
            node.timeout();
            done.served += start.elapsed();
            if tenth != 0 {
                continue;
            }
            let scattered = |n: usize| (n % contacts).wrapping_mul(7_368_787) % contacts;
            let until = contacts * second / 600;
            let refreshing: Vec<Phone> = (due..until).map(|n| fresh(scattered(n), 40_000)).collect();
            due = until;
            let mut some = |count: usize, ports| -> Vec<Phone> {
                (0..count)
                    .map(|_| {
                        next += 1;
                        fresh(scattered(next * 31), ports)
                    })
                    .collect()
            };
            let (again, restarting) = (some(AGAIN, 30_000), some(RESTARTS, 50_000));
            let new: Vec<Phone> = (0..NEW).map(|n| fresh(contacts + done.new + n, 20_000)).collect();
            let start = Instant::now();
            for phone in &refreshing {
                let over = Over::Sa(server_spi(&ends[phone.number]));
                let request = node.request(phone, over, &[], Authorization::default());
                node.pcscf.success(node.now, request, Accepted::new(EXPIRES), &mut node.sad).unwrap();
                done.refreshed += 1;
            }
            for phone in &again {
                let over = Over::Sa(server_spi(&ends[phone.number]));
                ends[phone.number] = node.register(phone, over);
                let spi = server_spi(&ends[phone.number]);
                node.pcscf.message(node.now, spi, &mut node.sad).unwrap();
                done.registered += 1;
            }
            for phone in &restarting {
                ends[phone.number] = node.register(phone, Over::Clear);
                done.restarted += 1;
            }
            for phone in &new {
                node.register(phone, Over::Clear);
                done.new += 1;
            }
            done.served += start.elapsed();
        }
        if second % 60 == 0 {
            done.heap.push(live() - before - contacts * size_of::<Ends>());
        }
    }
    done
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let contacts = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    println!(
        "{contacts} registered UEs, {FORGED} forged REGISTERs a second for {SECONDS} s; all others succeed"
    );
    println!(
        "{:<20} {:>9} {:>7} {:>8} {:>5} {:>10} {:>9} {:>8} {:>8}  MB after each minute",
        "flood", "refreshes", "again", "restarts", "new", "challenged", "refused", "flood", "others"
    );
    for (name, flood) in [
        ("none", Flood::None),
        ("one address", Flood::OneAddress),
        ("1,000 addresses", Flood::ThousandAddresses),
        ("one user, from 1,000", Flood::OneUser),
    ] {
        let done = run(contacts, flood);
        let load = |time: Duration| 100.0 * time.as_secs_f64() / SECONDS as f64;
        let heap: Vec<String> =
            done.heap.iter().map(|octets| format!("{:.1}", *octets as f64 / 1e6)).collect();
        println!(
            "{name:<20} {:>9} {:>7} {:>8} {:>5} {:>10} {:>9} {:>6.1} % {:>6.2} %  {}",
            done.refreshed,
            done.registered,
            done.restarted,
            done.new,
            done.forwarded,
            done.refused,
            load(done.flood),
            load(done.served),
            heap.join(" ")
        );
    }
}

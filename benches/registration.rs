//! The P-CSCF's table at a thousand, a hundred thousand and a million registered UEs: whole
//! registrations from header text to installed SAs, refreshes, timers, packets of random UEs, and
//! the memory of a registered UE.
//!
//! `cargo bench --bench registration` prints a table; a number after `--` is the largest table that
//! is made, `aes-gcm` takes that suite. The times are of the P-CSCF alone: what the UEs send is
//! made before the clock starts.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipsec_3gpp::Suite;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::registration::{Accepted, Authorization, Over};
use ipsec_3gpp::sa::{Ends, Outbound, SaName, SaSpec};
use support::heap::{Counting, live};
use support::node::{EXPIRES, Node, Phone, keys, phone, server_spi};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Registrations and packets that are timed at each size.
const TIMED: usize = 20_000;
const BATCH: usize = 1000;

/// Numbers below `n` in an order that no cache foresees.
fn at_random(n: usize, count: usize) -> impl Iterator<Item = usize> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    })
}

fn measure(contacts: usize, suite: Suite) {
    let before = live();
    let mut node = Node::new(contacts, suite);
    let mut times = 0..;
    // Each phase has client ports of its own: none is one that the UE has.
    let mut fresh = |number: usize, ports: usize| phone(number, times.next().unwrap(), ports, suite);

    // An empty table is filled.
    let mut ends: Vec<Ends> = Vec::with_capacity(contacts);
    let mut filling = Duration::ZERO;
    for first in (0..contacts).step_by(BATCH) {
        let phones: Vec<Phone> =
            (first..contacts.min(first + BATCH)).map(|number| fresh(number, 20_000)).collect();
        let start = Instant::now();
        for phone in &phones {
            ends.push(node.register(phone, Over::Clear));
        }
        filling += start.elapsed();
    }
    assert_eq!((node.pcscf.len() as usize, node.sad.len()), (contacts, 4 * contacts));
    let own = contacts * size_of::<Ends>();
    let octets = (live() - before - own) as f64 / contacts as f64;

    // Packets of random UEs: opened, and the sender found.
    let (ck, ik) = keys();
    let sa_keys = SaKeys::expand(suite, &ck, &ik).unwrap();
    let mut sent = vec![0_u32; contacts];
    let mut sealed = |number: usize| {
        sent[number] += 1;
        packet(&ends[number], &sa_keys, sent[number])
    };
    let packets: Vec<Vec<u8>> = at_random(contacts, TIMED).map(&mut sealed).collect();
    let mut out = vec![0; 2000];
    let start = Instant::now();
    for packet in &packets {
        let arrived = node.sad.open(packet, &mut out).unwrap();
        let contact = node.pcscf.message(node.now, arrived.opened.spi, &mut node.sad).unwrap();
        black_box(node.pcscf.identity(contact).unwrap().impi());
    }
    let opening = start.elapsed();
    drop(packets);

    // Whole registrations of random UEs, a thousand a second, each followed by a message over the
    // new set; the old one drains.
    let mut registering = Duration::ZERO;
    let order: Vec<usize> = at_random(contacts, TIMED).collect();
    for batch in order.chunks(BATCH) {
        let phones: Vec<Phone> = batch.iter().map(|number| fresh(*number, 30_000)).collect();
        node.now = node.now + Duration::from_secs(1);
        let start = Instant::now();
        node.timeout();
        for phone in &phones {
            let over = Over::Sa(server_spi(&ends[phone.number]));
            ends[phone.number] = node.register(phone, over);
            node.pcscf.message(node.now, server_spi(&ends[phone.number]), &mut node.sad).unwrap();
        }
        registering += start.elapsed();
    }

    // Half an hour in which every UE refreshes every ten minutes, and what the timers cost of it.
    let (mut refreshing, mut timing, mut refreshed) = (Duration::ZERO, Duration::ZERO, 0);
    let mut due = 0;
    for second in 1..=1800_usize {
        node.now = node.now + Duration::from_secs(1);
        let until = contacts * second / 600;
        // Scattered over the table, each UE once in ten minutes.
        let phones: Vec<Phone> =
            (due..until).map(|n| fresh((n % contacts).wrapping_mul(7_368_787) % contacts, 40_000)).collect();
        due = until;
        let start = Instant::now();
        node.timeout();
        timing += start.elapsed();
        let start = Instant::now();
        for phone in &phones {
            let over = Over::Sa(server_spi(&ends[phone.number]));
            let request = node.request(phone, over, &[], Authorization::default());
            node.pcscf.success(node.now, request, Accepted::new(EXPIRES), &mut node.sad).unwrap();
        }
        refreshing += start.elapsed();
        refreshed += phones.len();
    }
    assert_eq!(node.pcscf.len() as usize, contacts, "nobody was lost");

    let rate = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
    println!(
        "{contacts:>9} {:>12.0} {:>14.0} {:>12.0} {:>13.0} {:>9.4} % {:>9.0}",
        rate(contacts, filling),
        rate(TIMED, registering),
        rate(refreshed, refreshing),
        rate(TIMED, opening),
        100.0 * timing.as_secs_f64() / 1800.0,
        octets
    );
}

/// A MESSAGE of 300 octets as a UE seals it.
fn packet(ends: &Ends, keys: &SaKeys, sequence: u32) -> Vec<u8> {
    let (spi, selector) = ends.sa(SaName::UeClientToPcscfServer);
    let (from, to) = (ends.ue, ends.pcscf);
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (from.address, to.address) else { unreachable!() };
    let mut plain = Vec::new();
    etherparse::PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
        .udp(from.setup.ports.client.get(), to.setup.ports.server.get())
        .write(&mut plain, &[b'x'; 292])
        .unwrap();
    let sa = Outbound::new(&SaSpec { spi, selector, keys });
    let mut packet = vec![0; plain.len() + 64];
    let range =
        sa.seal_with(sequence, &[sequence as u8; 16][..keys.suite().iv_len()], &plain, &mut packet).unwrap();
    packet.truncate(range.end);
    packet
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let largest = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let suite = support::suite();
    println!("P-CSCF, {suite}, four mechanisms offered, one core; all but the last two columns are a second");
    println!(
        "{:>9} {:>12} {:>14} {:>12} {:>13} {:>11} {:>9}",
        "UEs", "first reg.", "re-reg.", "refreshes", "packets", "timers", "octets/UE"
    );
    for contacts in [1_000, 100_000, 1_000_000] {
        if contacts <= largest {
            measure(contacts, suite);
        }
    }
}

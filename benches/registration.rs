//! The P-CSCF's table at a thousand, a hundred thousand and a million registered UEs: whole
//! registrations from header text to installed SAs, refreshes, timers, packets of random UEs, and
//! the memory of a registered UE.
//!
//! `cargo bench --bench registration` prints a table; a number after `--` is the largest table that
//! is made. The times are of the P-CSCF alone: what the UEs send is made before the clock starts.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(unsafe_code, reason = "an allocator that counts can be made in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::registration::{Accepted, Authorization, Config, Over, Register, RequestId};
use ipsec_3gpp::sa::{Ends, Outbound, SaName, SaSpec};
use ipsec_3gpp::setup::Port;
use ipsec_3gpp::spi::{Spi, SpiSlice};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Moment, Pcscf, Policy, Sad, SpiAllocator, Suite};

struct Counting;
static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PCSCF: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const EXPIRES: Duration = Duration::from_secs(1200);
const SUITE: Suite = Suite::HMAC_SHA_1_96_AES_CBC;
/// Registrations and packets that are timed at each size.
const TIMED: usize = 20_000;
const BATCH: usize = 1000;
/// As long as RAND and AUTN are.
const NONCE: &str = "I1U+wL8DmQyq9UbO5o6ErwO0xJ6cTgAAQ6J2m0eWSA0=";
const RESPONSE: Authorization<'_> =
    Authorization { nonce: NONCE, response: "9d2a5c1e0f7b4a3d8e6f1c2b3a495867", auts: None };

fn keys() -> (Ck, Ik) {
    (Ck::new([0x56; 16]), Ik::new([0xf7; 16]))
}

/// What one UE sends to register: an iPhone's four mechanisms. SPIs and client port are new each
/// time.
struct Phone {
    number: usize,
    address: IpAddr,
    impi: String,
    impu: String,
    client: String,
}

fn phone(number: usize, time: usize, ports: usize) -> Phone {
    let (spi_c, spi_s, port_c) = (1_000_000_000 + time * 2, 1_000_000_001 + time * 2, ports + time % 10_000);
    let mechanism = |(alg, ealg)| {
        format!(
            "ipsec-3gpp;alg={alg};ealg={ealg};mod=trans;port-c={port_c};port-s=6100;prot=esp;spi-c={spi_c};spi-s={spi_s}"
        )
    };
    let suites = [
        ("hmac-md5-96", "aes-cbc"),
        ("hmac-md5-96", "null"),
        ("hmac-sha-1-96", "aes-cbc"),
        ("hmac-sha-1-96", "null"),
    ];
    Phone {
        number,
        address: Ipv4Addr::from_bits(0x0b00_0000 + number as u32).into(),
        impi: format!("{number:015}@ims.mnc001.mcc001.3gppnetwork.org"),
        impu: format!("sip:{number:015}@ims.mnc001.mcc001.3gppnetwork.org"),
        client: suites.map(mechanism).join(","),
    }
}

struct Node {
    pcscf: Pcscf,
    sad: Sad,
    now: Moment,
    ck: Ck,
    ik: Ik,
}

impl Node {
    fn new(contacts: usize) -> Self {
        let port = |number| Port::new(number).unwrap();
        let suites = [SUITE, Suite::HMAC_MD5_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL, Suite::HMAC_MD5_96_NULL];
        let policy = Policy::new(&suites, Confidentiality::Offered).unwrap();
        let config = Config::new(policy, port(7060), &[port(7101), port(7102), port(7103)]).unwrap();
        let config = config.with_max_contacts(contacts as u32, 0);
        let spis = SpiAllocator::new(SpiSlice::WHOLE, contacts as u32 * 6, [7; 16]).unwrap();
        let (ck, ik) = keys();
        let now = Moment::from_millis(0);
        let mut node = Self { pcscf: Pcscf::new(config, spis, now), sad: Sad::new(), now, ck, ik };
        node.pcscf.reserve(contacts);
        node.sad.reserve(contacts);
        node
    }

    fn request(
        &mut self,
        phone: &Phone,
        over: Over,
        verify: &[&str],
        authorization: Authorization<'_>,
    ) -> RequestId {
        let (impus, rows) = ([phone.impu.as_str()], [phone.client.as_str()]);
        let register = Register::new(over, phone.address, PCSCF, &phone.impi)
            .with_impus(&impus)
            .with_authorization(authorization)
            .with_security_client(&rows)
            .with_security_verify(verify);
        self.pcscf.register(self.now, &register, &mut self.sad).unwrap().request
    }

    /// SM1 to SM12: from header text to SAs in the table, in force.
    fn register(&mut self, phone: &Phone, over: Over) -> Ends {
        let request = self.request(phone, over, &[], Authorization::default());
        let (ck, ik) = (&self.ck, &self.ik);
        let sm6 = self.pcscf.challenge(self.now, request, NONCE, ck, ik, &mut self.sad).unwrap();
        let server = sm6.security_server.to_string();
        let ends = *self.pcscf.ends(sm6.set).unwrap();
        let request = self.request(phone, Over::Sa(server_spi(&ends)), &[&server], RESPONSE);
        self.pcscf.success(self.now, request, Accepted::new(EXPIRES), &mut self.sad).unwrap();
        self.events();
        ends
    }

    /// Polls what a program cleans up with.
    fn events(&mut self) {
        while let Some(event) = self.pcscf.poll_event() {
            black_box(event);
        }
    }

    fn timeout(&mut self) {
        while self.pcscf.poll_timeout().is_some_and(|next| next <= self.now) {
            self.pcscf.handle_timeout(self.now, &mut self.sad);
        }
        self.events();
    }
}

/// The SPI that the UE sends requests with.
fn server_spi(ends: &Ends) -> Spi {
    ends.sa(SaName::UeClientToPcscfServer).0
}

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

fn measure(contacts: usize) {
    let before = LIVE.load(Ordering::Relaxed);
    let mut node = Node::new(contacts);
    let mut times = 0..;
    // Each phase has client ports of its own: none is one that the UE has.
    let mut fresh = |number: usize, ports: usize| phone(number, times.next().unwrap(), ports);

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
    let octets = (LIVE.load(Ordering::Relaxed) - before - own) as f64 / contacts as f64;

    // Packets of random UEs: opened, and the sender found.
    let (ck, ik) = keys();
    let sa_keys = SaKeys::expand(SUITE, &ck, &ik).unwrap();
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
    let range = sa.seal_with(sequence, &[sequence as u8; 16], &plain, &mut packet).unwrap();
    packet.truncate(range.end);
    packet
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let largest = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    println!("P-CSCF, {SUITE}, four mechanisms offered, one core; all but the last two columns are a second");
    println!(
        "{:>9} {:>12} {:>14} {:>12} {:>13} {:>11} {:>9}",
        "UEs", "first reg.", "re-reg.", "refreshes", "packets", "timers", "octets/UE"
    );
    for contacts in [1_000, 100_000, 1_000_000] {
        if contacts <= largest {
            measure(contacts);
        }
    }
}

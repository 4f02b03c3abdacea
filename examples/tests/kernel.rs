//! The Linux kernel as data path: `Kernel` on one side of a TUN device, a `Sad` on the other. Run
//! by `.ci/kernel/check` in a guest whose kernel has ESP; standard input is the TUN device.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use ipsec_3gpp::export::xfrm::{
    Acknowledge, Change, Kernel, KernelError, KernelWindow, Netlink, Owner, Reply, StateId, StateLimits,
    Subject, replies, take_state,
};
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Endpoint, Ends, Limits, Overlap, SaName, SaSet, SetId, Side, WindowSize};
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::{Ck, DataPath, Ik, Sad, Suite};
use ipsec_3gpp_tools::netlink::{Group, XfrmSocket};

/// The ports of the UE, and of the P-CSCF, which is this kernel.
const UE_CLIENT: u16 = 6101;
const UE_SERVER: u16 = 6100;
const PCSCF_CLIENT: u16 = 7101;
const PCSCF_SERVER: u16 = 7060;

/// The device, and what came out of it.
struct Host {
    tun: File,
    arrived: Receiver<Vec<u8>>,
}

/// The device, for one test at a time; with nothing in the kernel's tables and nothing under way.
fn host() -> MutexGuard<'static, Host> {
    static HOST: OnceLock<Mutex<Host>> = OnceLock::new();
    let host = HOST.get_or_init(|| {
        let tun = File::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
        let mut reader = tun.try_clone().unwrap();
        let (sender, arrived) = channel();
        std::thread::spawn(move || {
            let mut packet = [0; 65_535];
            while let Ok(len) = reader.read(&mut packet) {
                let _ = sender.send(packet[..len].to_vec());
            }
        });
        Mutex::new(Host { tun, arrived })
    });
    let host = host.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for table in ["state", "policy"] {
        assert!(Command::new("ip").args(["xfrm", table, "flush"]).status().unwrap().success());
    }
    host.rest();
    host
}

impl Host {
    fn send(&mut self, packet: &[u8]) {
        self.tun.write_all(packet).unwrap();
    }

    /// What comes out of the device within a while, without neighbour discovery.
    fn next(&self, wait: Duration) -> Option<Vec<u8>> {
        let is_chatter = |packet: &Vec<u8>| packet[0] >> 4 == 6 && [0, 58].contains(&packet[6]);
        std::iter::from_fn(|| self.arrived.recv_timeout(wait).ok()).find(|packet| !is_chatter(packet))
    }

    /// All that is still to come.
    fn rest(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.next(Duration::from_millis(30))).collect()
    }
}

fn addresses(ipv6: bool) -> (IpAddr, IpAddr) {
    let (ue, pcscf) = if ipv6 { ("2001:db8:9::2", "2001:db8:9::1") } else { ("10.9.0.2", "10.9.0.1") };
    (ue.parse().unwrap(), pcscf.parse().unwrap())
}

/// A set between these ports, with SPIs from this one on.
fn set(suite: Suite, ipv6: bool, first: u32) -> SaSet {
    set_of(suite, addresses(ipv6), first, first + 0x1000)
}

fn set_of(suite: Suite, (ue, pcscf): (IpAddr, IpAddr), at_ue: u32, at_pcscf: u32) -> SaSet {
    let key = |salt: u32| std::array::from_fn(|index| (at_pcscf * salt + index as u32 * 7) as u8);
    let keys = SaKeys::expand(suite, &Ck::new(key(3)), &Ik::new(key(5))).unwrap();
    let end = |address, spi, client, server| {
        let spis = SpiPair { client: Spi::new(spi).unwrap(), server: Spi::new(spi + 1).unwrap() };
        Endpoint { address, setup: Setup { spis, ports: PortPair::new(client, server).unwrap() } }
    };
    SaSet::new(end(ue, at_ue, UE_CLIENT, UE_SERVER), end(pcscf, at_pcscf, PCSCF_CLIENT, PCSCF_SERVER), keys)
        .unwrap()
}

/// A name that no other set has.
fn id() -> SetId {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    static TABLE: OnceLock<(Sad, [u8; 16])> = OnceLock::new();
    // Every id of a table begins with the octets of the table.
    let (sad, raw) = TABLE.get_or_init(|| {
        let (mut sad, set) = (Sad::new(), set(Suite::HMAC_SHA_1_96_NULL, false, 0x1000));
        let inbound = sad.add_inbound(&set.sa(SaName::UeClientToPcscfServer)).unwrap();
        (sad, inbound.to_raw())
    });
    let mut raw = *raw;
    raw[12..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    SetId::from_raw(sad.table(), raw).unwrap()
}

fn owner(number: u32) -> Owner {
    Owner::new(NonZeroU32::new(number).unwrap())
}

fn kernel() -> Kernel<XfrmSocket> {
    Kernel::new(XfrmSocket::new().unwrap(), owner(33203))
}

/// States and policies that the kernel has.
fn tables() -> (usize, usize) {
    let count = |table, word: &str| {
        let listed = Command::new("ip").args(["xfrm", table]).output().unwrap().stdout;
        String::from_utf8(listed).unwrap().lines().filter(|line| line.starts_with(word)).count()
    };
    // Sockets have policies of their own, which say `socket`.
    let listed = Command::new("ip").args(["xfrm", "policy"]).output().unwrap().stdout;
    let of_sockets = String::from_utf8(listed).unwrap().matches("\tsocket ").count();
    (count("state", "src "), count("policy", "src ") - of_sockets)
}

fn socket(address: IpAddr, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((address, port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

fn received(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 4096];
    socket.recv_from(&mut buffer).ok().map(|(len, _)| buffer[..len].to_vec())
}

fn datagram(from: (IpAddr, u16), to: (IpAddr, u16), data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    builder(from.0, to.0).udp(from.1, to.1).write(&mut packet, data).unwrap();
    packet
}

fn builder(from: IpAddr, to: IpAddr) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => panic!("two families"),
    }
}

/// The UE's end: a table of SAs over the device.
struct Phone {
    sad: Sad,
    ue: IpAddr,
    pcscf: IpAddr,
}

impl Phone {
    fn new(ends: &Ends) -> Self {
        Self { sad: Sad::new(), ue: ends.ue.address, pcscf: ends.pcscf.address }
    }

    fn with(set: &SaSet) -> Self {
        let mut phone = Self::new(set.ends());
        phone.sad.add_set(set, Side::Ue).unwrap();
        phone
    }

    fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; packet.len() + 100];
        let range = self.sad.seal(packet, &mut sealed).unwrap().range;
        sealed[range].to_vec()
    }

    /// A request to the P-CSCF's server port.
    fn request(&mut self, data: &[u8]) -> Vec<u8> {
        let packet = datagram((self.ue, UE_CLIENT), (self.pcscf, PCSCF_SERVER), data);
        self.seal(&packet)
    }

    /// The payload after UDP or TCP of the next packet of an SA; what is not of one is a failure.
    fn receive(&mut self, host: &Host) -> Option<Segment> {
        let mut packet = host.next(Duration::from_secs(2))?;
        let opened = self.sad.open_in_place(&mut packet).expect("a packet of an SA").opened;
        let opened = &packet[opened.range];
        let sliced = SlicedPacket::from_ip(opened).unwrap();
        Some(match sliced.transport.unwrap() {
            TransportSlice::Udp(udp) => Segment {
                ports: (udp.source_port(), udp.destination_port()),
                sequence: 0,
                data: udp.payload().to_vec(),
            },
            TransportSlice::Tcp(tcp) => Segment {
                ports: (tcp.source_port(), tcp.destination_port()),
                sequence: tcp.sequence_number(),
                data: tcp.payload().to_vec(),
            },
            other => panic!("{other:?}"),
        })
    }
}

struct Segment {
    ports: (u16, u16),
    sequence: u32,
    data: Vec<u8>,
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn every_suite_carries_udp_and_tcp_both_ways() {
    let mut host = host();
    let mut carried = 0;
    for ipv6 in [false, true] {
        let (_, pcscf) = addresses(ipv6);
        let (server, client) = (socket(pcscf, PCSCF_SERVER), socket(pcscf, PCSCF_CLIENT));
        let listener = TcpListener::bind((pcscf, PCSCF_SERVER)).unwrap();
        for (suite, first) in Suite::ALL.into_iter().zip((0x1000..).step_by(16)) {
            let (mut kernel, id, set) = (kernel(), id(), set(suite, ipv6, first));
            kernel.install(id, Side::Pcscf, &set, Overlap::Apart).unwrap();
            kernel.install(id, Side::Pcscf, &set, Overlap::Apart).unwrap();
            // What was installed is what is listed.
            let mut second = Kernel::new(XfrmSocket::new().unwrap(), *kernel.owner());
            let found = second.reconcile([(id, Side::Pcscf, set.ends(), suite)]).unwrap();
            assert_eq!((found.removed, found.broken.len(), found.held.len()), (0, 0, 4));
            assert_eq!(tables(), (4, 4 + 4));

            let mut phone = Phone::with(&set);
            for number in 0..3_u8 {
                let request = [b"REGISTER ".as_slice(), &[number; 700]].concat();
                host.send(&phone.request(&request));
                assert_eq!(received(&server), Some(request.clone()), "{suite}");
                client.send_to(&request, (phone.ue, UE_SERVER)).unwrap();
                let answer = phone.receive(&host).unwrap();
                assert_eq!((answer.ports, answer.data), ((PCSCF_CLIENT, UE_SERVER), request), "{suite}");
                carried += 2;
            }
            carried += connection(&mut host, &mut phone, &listener);

            kernel.extend(id, Side::Pcscf, set.ends(), Duration::from_secs(10_000_000)).unwrap();
            host.send(&phone.request(b"after UPDSA"));
            assert_eq!(received(&server).as_deref(), Some(b"after UPDSA".as_slice()), "{suite}");
            carried += 1;
            kernel.remove(id, Side::Pcscf, set.ends());
            kernel.remove(id, Side::Pcscf, set.ends());
            assert_eq!((tables(), kernel.not_removed()), ((0, 0), 0));
        }
    }
    println!("every suite, IPv4 and IPv6, UDP and TCP: {carried} messages carried");
}

/// A TCP connection of the UE over its two SAs: three segments up, and what comes back.
fn connection(host: &mut Host, phone: &mut Phone, listener: &TcpListener) -> u32 {
    let (ue, pcscf) = (phone.ue, phone.pcscf);
    let segment = |sequence: u32, acknowledged: Option<u32>, data: &[u8]| {
        let tcp = builder(ue, pcscf).tcp(UE_CLIENT, PCSCF_SERVER, sequence, 60_000);
        let tcp = match acknowledged {
            Some(number) => tcp.ack(number),
            None => tcp.syn(),
        };
        let mut packet = Vec::new();
        tcp.write(&mut packet, data).unwrap();
        packet
    };
    let syn = phone.seal(&segment(1000, None, b""));
    host.send(&syn);
    let answer = phone.receive(host).unwrap();
    assert_eq!(answer.ports, (PCSCF_SERVER, UE_CLIENT));
    let next = answer.sequence.wrapping_add(1);
    let request = phone.seal(&segment(1001, Some(next), b"INVITE over TCP"));
    host.send(&request);
    let (mut stream, _) = listener.accept().unwrap();
    let mut read = [0; 15];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"INVITE over TCP");
    stream.write_all(b"200 over TCP").unwrap();
    let answered = loop {
        let segment = phone.receive(host).unwrap();
        if !segment.data.is_empty() {
            break segment;
        }
    };
    assert_eq!(answered.data, b"200 over TCP");
    // A reset, so that the next connection has the same ports.
    let mut packet = Vec::new();
    let reset = builder(ue, pcscf).tcp(UE_CLIENT, PCSCF_SERVER, 1016, 60_000);
    reset.rst().ack(answered.sequence.wrapping_add(12)).write(&mut packet, b"").unwrap();
    let reset = phone.seal(&packet);
    host.send(&reset);
    std::thread::sleep(Duration::from_millis(20));
    host.rest();
    2
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn a_registration_again_under_traffic_loses_nothing() {
    const SWAPS: u32 = 40;
    let mut host = host();
    let mut kernel = kernel();
    // The same ports, and new SPIs.
    let generation = |number: u32| set(Suite::HMAC_SHA_1_96_AES_CBC, false, 0x1000 + number * 16);
    let mut current = (id(), generation(0));
    kernel.install(current.0, Side::Pcscf, &current.1, Overlap::Apart).unwrap();
    let mut phone = Phone::with(&current.1);
    let server = socket(phone.pcscf, PCSCF_SERVER);
    let client = socket(phone.pcscf, PCSCF_CLIENT);
    let (ue, running) = (phone.ue, Arc::new(AtomicBool::new(true)));
    let sending = running.clone();
    let sender = std::thread::spawn(move || {
        let mut sent = 0_u32;
        while sending.load(Ordering::Relaxed) {
            client.send_to(&sent.to_be_bytes(), (ue, UE_SERVER)).unwrap();
            sent += 1;
            std::thread::sleep(Duration::from_micros(500));
        }
        sent
    });
    let mut down = BTreeSet::new();
    let mut drain = |phone: &mut Phone, host: &Host, wait: Duration| {
        while let Some(mut packet) = host.next(wait) {
            let opened = phone.sad.open_in_place(&mut packet).expect("a packet of an SA").opened;
            let data = packet[opened.range][28..].try_into().unwrap();
            assert!(down.insert(u32::from_be_bytes(data)), "delivered twice");
        }
    };
    let (mut up_sent, mut up) = (0_u32, BTreeSet::new());
    for number in 1..=SWAPS {
        let (new, next) = (id(), generation(number));
        let overlap = next.ends().overlap(current.1.ends(), Side::Pcscf);
        assert_eq!(overlap, Overlap::Selectors);
        kernel.install(new, Side::Pcscf, &next, overlap).unwrap();
        let installed = phone.sad.add_set(&next, Side::Ue).unwrap();
        // Over the old set, over the new one, and again over the old one: it is still there.
        let mut requests: Vec<_> =
            (0..2).map(|more| phone.request(&u32::to_be_bytes(up_sent + more))).collect();
        assert!(phone.sad.use_set(&installed));
        requests.insert(1, phone.request(&u32::to_be_bytes(up_sent + 2)));
        up_sent += 3;
        requests.iter().for_each(|request| host.send(request));
        drain(&mut phone, &host, Duration::from_millis(1));
        kernel.take_into_use(new, Side::Pcscf, next.ends()).unwrap();
        drain(&mut phone, &host, Duration::from_millis(1));
        while up.len() < up_sent as usize {
            let Some(data) = received(&server) else { break };
            up.insert(u32::from_be_bytes(data.try_into().unwrap()));
        }
        kernel.remove(current.0, Side::Pcscf, current.1.ends());
        // What the kernel had sent before has been drained by the next round.
        drain(&mut phone, &host, Duration::from_millis(1));
        phone.sad.remove_ends(current.1.ends(), Side::Ue);
        current = (new, next);
    }
    running.store(false, Ordering::Relaxed);
    let sent = sender.join().unwrap();
    drain(&mut phone, &host, Duration::from_millis(300));
    assert!(sent > 100);
    assert_eq!((down.len() as u32, up.len() as u32), (sent, up_sent));
    kernel.remove(current.0, Side::Pcscf, current.1.ends());
    assert_eq!((tables(), kernel.not_removed()), ((0, 0), 0));
    println!(
        "{SWAPS} re-registrations under traffic: {sent} of {sent} packets down, {up_sent} of {up_sent} up"
    );
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn a_phone_that_keeps_its_spis_takes_over_when_it_is_taken_into_use() {
    let mut host = host();
    let mut kernel = kernel();
    let set = |at_pcscf| set_of(Suite::AES_GCM, addresses(true), 0x1000, at_pcscf);
    let (first, second, third) = ((id(), set(0x9000)), (id(), set(0xa000)), (id(), set(0xb000)));
    kernel.install(first.0, Side::Pcscf, &first.1, Overlap::Apart).unwrap();
    let (_, pcscf) = addresses(true);
    let (server, client) = (socket(pcscf, PCSCF_SERVER), socket(pcscf, PCSCF_CLIENT));
    let down = |phone: &mut Phone, host: &Host| {
        client.send_to(b"down", (phone.ue, UE_SERVER)).unwrap();
        phone.receive(host).map(|segment| segment.data)
    };
    let (mut old, mut new) = (Phone::with(&first.1), Phone::with(&second.1));
    assert_eq!(down(&mut old, &host).as_deref(), Some(b"down".as_slice()));
    kernel.install(second.0, Side::Pcscf, &second.1, Overlap::Spis).unwrap();
    kernel.install(third.0, Side::Pcscf, &third.1, Overlap::Spis).unwrap();
    // The newer one receives; the older one goes on sending.
    host.send(&new.request(b"up"));
    assert_eq!(received(&server).as_deref(), Some(b"up".as_slice()));
    assert_eq!(down(&mut old, &host).as_deref(), Some(b"down".as_slice()));
    // One that was never taken into use goes without a trace.
    kernel.remove(third.0, Side::Pcscf, third.1.ends());
    assert_eq!(down(&mut old, &host).as_deref(), Some(b"down".as_slice()));
    kernel.take_into_use(second.0, Side::Pcscf, second.1.ends()).unwrap();
    assert_eq!(down(&mut new, &host).as_deref(), Some(b"down".as_slice()));
    kernel.remove(first.0, Side::Pcscf, first.1.ends());
    assert_eq!(down(&mut new, &host).as_deref(), Some(b"down".as_slice()));
    host.send(&new.request(b"still up"));
    assert_eq!(received(&server).as_deref(), Some(b"still up".as_slice()));
    kernel.remove(second.0, Side::Pcscf, second.1.ends());
    assert_eq!((tables(), kernel.not_removed()), ((0, 0), 0));
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn nothing_in_clear_enters_or_leaves_a_protected_port() {
    let mut host = host();
    let mut attempts = 0;
    for ipv6 in [false, true] {
        let (ue, pcscf) = addresses(ipv6);
        let mut kernel = kernel();
        let (server, client) = (socket(pcscf, PCSCF_SERVER), socket(pcscf, PCSCF_CLIENT));
        let clear = socket(pcscf, 5060);
        server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut check = |host: &mut Host, when: &str| {
            for (socket, port) in [(&server, PCSCF_SERVER), (&client, PCSCF_CLIENT)] {
                for from in [UE_CLIENT, UE_SERVER, 5060, 40_000] {
                    host.send(&datagram((ue, from), (pcscf, port), b"in clear"));
                    let sent = socket.send_to(b"in clear", (ue, from));
                    // Over an SA it may leave: to its own port of the UE.
                    attempts += 2;
                    let left = host.rest();
                    let protected = left.iter().all(|packet| is_esp(packet));
                    assert!(protected, "{when}: port {port} to {from} in clear, {sent:?}");
                }
                assert_eq!(received(socket), None, "{when}: port {port}");
            }
            host.send(&datagram((ue, 5060), (pcscf, 5060), b"in clear"));
            assert_eq!(received(&clear).as_deref(), Some(b"in clear".as_slice()), "{when}");
            clear.send_to(b"in clear", (ue, 5060)).unwrap();
            assert!(host.next(Duration::from_secs(1)).is_some(), "{when}");
        };
        for port in [PCSCF_CLIENT, PCSCF_SERVER] {
            kernel.protect((pcscf, port).into()).unwrap();
            kernel.protect((pcscf, port).into()).unwrap();
        }
        check(&mut host, "before");
        for first in [0x1000, 0x2000] {
            let (id, set) = (id(), set(Suite::HMAC_SHA_1_96_NULL, ipv6, first));
            kernel.install(id, Side::Pcscf, &set, Overlap::Apart).unwrap();
            check(&mut host, "with a set");
            kernel.remove(id, Side::Pcscf, set.ends());
            check(&mut host, "between");
        }
        for port in [PCSCF_CLIENT, PCSCF_SERVER] {
            assert!(kernel.unprotect((pcscf, port).into()));
        }
        assert_eq!(tables(), (0, 0));
    }
    // Ports of any address are ports of each: a set adds none.
    let mut kernel = kernel();
    for port in [PCSCF_CLIENT, PCSCF_SERVER] {
        kernel.protect(([0, 0, 0, 0], port).into()).unwrap();
    }
    let (id, set) = (id(), set(Suite::HMAC_SHA_1_96_NULL, false, 0x1000));
    kernel.install(id, Side::Pcscf, &set, Overlap::Apart).unwrap();
    assert_eq!(tables(), (4, 4 + 4));
    println!("in clear on protected ports: 0 of {attempts} datagrams in or out, port 5060 not affected");
}

fn is_esp(packet: &[u8]) -> bool {
    packet[if packet[0] >> 4 == 4 { 9 } else { 6 }] == 50
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn what_fails_in_the_middle_leaves_nothing() {
    let _host = host();
    let suite = Suite::HMAC_SHA_1_96_AES_CBC;
    let wanted = set(suite, false, 0x1000);
    for name in SaName::ALL {
        // A state of somebody else has the name of one of the four.
        let other = owner(7);
        let mut theirs =
            other.these([other.add_state(&wanted.sa(name), false)]).to_messages(9, Acknowledge::Each);
        let mut socket = XfrmSocket::new().unwrap();
        socket.send(theirs.expose()).unwrap();
        assert_eq!(tables(), (1, 0));
        let mut kernel = kernel();
        let (id, others) = (id(), [id(), id()]);
        let apart: Vec<_> = [1, 2]
            .map(|host: u8| {
                set_of(
                    suite,
                    ([10, 9, 0, 10 + host].into(), [10, 9, 0, 1].into()),
                    0x5000,
                    0x6000 + 16 * u32::from(host),
                )
            })
            .into();
        let several = [(others[0], &apart[0]), (id, &wanted), (others[1], &apart[1])];
        let several = several.map(|(id, set)| (id, Side::Pcscf, set, Overlap::Apart));
        // Alone, and between two others in one datagram.
        let alone = kernel.install(id, Side::Pcscf, &wanted, Overlap::Apart);
        let subject = Subject::State(StateId::of(wanted.ends(), name));
        let is_refusal = |result: &Result<(), KernelError<std::io::Error>>| matches!(result, Err(KernelError::Refused { subject: found, errno: 17, .. }) if *found == subject);
        assert!(is_refusal(&alone), "{alone:?}");
        assert_eq!((tables(), kernel.len()), ((1, 0), 0));
        let results = kernel.install_many(several);
        assert!(results[0].is_ok() && is_refusal(&results[1]) && results[2].is_ok(), "{results:?}");
        // Two sets, and the policies of the two ports that they share.
        assert_eq!((tables(), kernel.len()), ((1 + 8, 8 + 4), 2));
        for (id, set) in [(others[0], &apart[0]), (others[1], &apart[1])] {
            kernel.remove(id, Side::Pcscf, set.ends());
        }
        assert_eq!(tables(), (1, 0));
        theirs = other
            .these([Change::RemoveState(StateId::of(wanted.ends(), name))])
            .to_messages(9, Acknowledge::Each);
        socket.send(theirs.expose()).unwrap();
        assert_eq!((tables(), kernel.not_removed()), ((0, 0), 0));
    }
    println!("EEXIST at each of the four states: nothing is left, alone and among other sets");
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn a_restarted_process_removes_its_orphans_and_nothing_else() {
    let _host = host();
    let suite = Suite::HMAC_SHA_1_96_AES_CBC;
    let (mut before, mut theirs) = (kernel(), Kernel::new(XfrmSocket::new().unwrap(), owner(7)));
    let ends = |host: u8| ([10, 9, 1, host].into(), [10, 9, 0, 1].into());
    let set = |host: u8| set_of(suite, ends(host), 0x1000, 0x2000 + 16 * u32::from(host));
    let (kept, orphan, broken, other) = (set(1), set(2), set(3), set(4));
    for one in [&kept, &orphan, &broken] {
        before.install(id(), Side::Pcscf, one, Overlap::Apart).unwrap();
    }
    theirs.install(id(), Side::Pcscf, &other, Overlap::Apart).unwrap();
    drop(before);
    let mut socket = XfrmSocket::new().unwrap();
    let gone = Change::RemoveState(StateId::of(broken.ends(), SaName::PcscfClientToUeServer));
    socket.send(owner(33203).these([gone]).to_messages(3, Acknowledge::Each).expose()).unwrap();
    // Each owner has the policies of the two ports.
    assert_eq!(tables(), (16 - 1, 16 + 8));

    let mut after = kernel();
    after.protect(([10, 9, 0, 1], PCSCF_SERVER).into()).unwrap();
    let (kept_id, broken_id) = (id(), id());
    let named = [(kept_id, &kept), (broken_id, &broken)];
    let found = after.reconcile(named.map(|(id, set)| (id, Side::Pcscf, set.ends(), suite))).unwrap();
    assert_eq!((found.broken, found.held.len()), (vec![broken_id], 4));
    assert_eq!(found.removed, 8 + 7);
    assert_eq!(tables(), (8, 8 + 8));
    after.remove(kept_id, Side::Pcscf, kept.ends());
    assert_eq!(tables(), (4, 4 + 4 + 2));
    assert_eq!(after.reconcile([]).unwrap().removed, 0);

    // Two sets of one phone, which share their policies; the older one is in use.
    let (first, second) = (set(5), set_of(suite, ends(5), 0x1000 + 16, 0x9000));
    let ids = [id(), id()];
    let before_these = tables();
    after.install(ids[0], Side::Pcscf, &first, Overlap::Apart).unwrap();
    after.install(ids[1], Side::Pcscf, &second, Overlap::Selectors).unwrap();
    let with_both = tables();
    drop(after);
    let mut last = kernel();
    let named = [(ids[0], &first), (ids[1], &second)];
    let found = last.reconcile(named.map(|(id, set)| (id, Side::Pcscf, set.ends(), suite))).unwrap();
    assert_eq!((found.broken.len(), found.held.len(), found.removed), (0, 8, 0));
    assert_eq!(tables(), with_both);
    last.take_into_use(ids[1], Side::Pcscf, second.ends()).unwrap();
    last.remove(ids[0], Side::Pcscf, first.ends());
    assert_eq!(tables().0, before_these.0 + 4);
    // Of a set that has lost a state while it was installed, the caller is told.
    let gone = Change::RemoveState(StateId::of(second.ends(), SaName::PcscfClientToUeServer));
    socket.send(owner(33203).these([gone]).to_messages(3, Acknowledge::Each).expose()).unwrap();
    assert_eq!(last.reconcile([]).unwrap().broken, [ids[1]]);
    last.remove(ids[1], Side::Pcscf, second.ends());
    assert_eq!(last.not_removed(), 0);
    println!("reconcile: 15 orphans removed, a set that was named kept, another owner's kept");
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn a_moved_state_accepts_what_is_new_and_nothing_else() {
    let mut host = host();
    let (mut moved, mut given, mut refused) = (0, 0, 0);
    for (suite, window) in [(Suite::HMAC_SHA_1_96_AES_CBC, 64), (Suite::AES_GCM, 32), (Suite::AES_GMAC, 1024)]
    {
        let owner =
            owner(33203).with_window(KernelWindow::holding(WindowSize::new(window).unwrap()).unwrap());
        let mut kernel = Kernel::new(XfrmSocket::new().unwrap(), owner);
        let (name, set) = (id(), set(suite, false, 0x1000));
        kernel.install(name, Side::Pcscf, &set, Overlap::Apart).unwrap();
        let mut phone = Phone::with(&set);
        let server = socket(phone.pcscf, PCSCF_SERVER);
        server.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
        let client = socket(phone.pcscf, PCSCF_CLIENT);
        let mut socket = XfrmSocket::new().unwrap();
        let (mut held, mut seen, mut born) = (Vec::new(), Vec::new(), BTreeMap::new());
        for round in 0..10_u32 {
            // Traffic: some packets are late, by less than the window.
            for number in 0..13 {
                let packet = phone.request(&(round * 100 + number).to_be_bytes());
                if number % 4 == 3 { held.push(packet) } else { seen.push(packet) }
            }
            let new = seen.len() - seen.len().min(10);
            for packet in &seen[new..] {
                host.send(packet);
                assert!(received(&server).is_some(), "{suite}");
                given += 1;
            }
            client.send_to(b"down", (phone.ue, UE_SERVER)).unwrap();
            assert!(phone.receive(&host).is_some());
            for sa in SaName::ALL {
                let (spi, selector) = set.ends().sa(sa);
                let id = StateId { spi, destination: selector.destination };
                socket.send(&take_state(&owner, id, 100)).unwrap();
                let (mut states, mut answers) = (Vec::new(), 0);
                while answers < 2 {
                    let mut buffer = vec![0; 32_768];
                    let len = socket.receive(&mut buffer).unwrap();
                    for reply in replies(&buffer[..len]) {
                        answers += 1;
                        match reply.unwrap() {
                            (100, Reply::State(state)) => {
                                assert!(state.is_of(&owner) && state.id == id && state.selector == selector);
                                let numbers = state.numbers().unwrap().unwrap();
                                // It was not born again when it was moved.
                                assert!(
                                    *born.entry(id).or_insert(state.born) == state.born && state.born > 0
                                );
                                assert_eq!(numbers.window, window);
                                states.push(state.restore(101, 0).unwrap());
                            }
                            (101, Reply::Acknowledged) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                }
                socket.send(&states[0]).unwrap();
                let mut buffer = [0; 512];
                let len = socket.receive(&mut buffer).unwrap();
                assert!(matches!(replies(&buffer[..len]).next(), Some(Ok((101, Reply::Acknowledged)))));
                moved += 1;
            }
            // Every packet that was given before, and then those that were late.
            for packet in &seen {
                host.send(packet);
                refused += 1;
            }
            assert_eq!(received(&server), None, "{suite}: a replay was accepted");
            for packet in held.drain(..) {
                host.send(&packet);
                assert!(received(&server).is_some(), "{suite}: a genuine packet was lost");
                seen.push(packet);
                given += 1;
            }
            seen.truncate(seen.len());
        }
        kernel.remove(name, Side::Pcscf, set.ends());
        assert_eq!((tables(), kernel.not_removed()), ((0, 0), 0));
    }
    println!(
        "{moved} states moved under traffic: {given} genuine packets given, 0 lost; 0 of {refused} replays accepted"
    );
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn limits_expire_and_are_extended() {
    let mut host = host();
    let limits = Limits::of(Suite::HMAC_SHA_1_96_NULL).with_soft_packets(3);
    let owner = owner(33203).with_limits(Some(limits)).with_hard_lifetime(Some(Duration::from_secs(2)));
    let mut notices = XfrmSocket::notices(&[Group::Expire, Group::Aevents]).unwrap();
    let mut kernel = Kernel::new(XfrmSocket::new().unwrap(), owner);
    let (name, set) = (id(), set(Suite::HMAC_SHA_1_96_NULL, false, 0x1000));
    kernel.install(name, Side::Pcscf, &set, Overlap::Apart).unwrap();
    let mut phone = Phone::with(&set);
    let client = socket(phone.pcscf, PCSCF_CLIENT);
    // Where nobody listens, the kernel answers with ICMP.
    let _server = socket(phone.pcscf, PCSCF_SERVER);
    for _ in 0..5 {
        client.send_to(b"down", (phone.ue, UE_SERVER)).unwrap();
        assert!(phone.receive(&host).is_some());
    }
    host.send(&phone.request(b"up"));
    let told = |notices: &mut XfrmSocket| {
        let (mut expired, mut numbers) = (Vec::new(), Vec::new());
        let mut buffer = vec![0; 32_768];
        while let Ok(len) = notices.receive(&mut buffer) {
            for reply in replies(&buffer[..len]) {
                match reply.unwrap().1 {
                    Reply::Expired(notice) => expired.push((notice.state.id, notice.removed)),
                    Reply::Numbers(aevent) => numbers.push((aevent.id, aevent.numbers().unwrap().unwrap())),
                    other => panic!("{other:?}"),
                }
            }
        }
        (expired, numbers)
    };
    let outbound = StateId::of(set.ends(), SaName::PcscfClientToUeServer);
    let (expired, numbers) = told(&mut notices);
    assert_eq!(expired, [(outbound, false)]);
    assert!(numbers.iter().any(|(id, numbers)| *id == outbound && numbers.sent > 0), "{numbers:?}");
    // Until the extension the net is two seconds; afterwards it is hours.
    kernel.extend(name, Side::Pcscf, set.ends(), Duration::from_secs(3600)).unwrap();
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(tables(), (4, 8));
    client.send_to(b"down", (phone.ue, UE_SERVER)).unwrap();
    assert_eq!(phone.receive(&host).map(|segment| segment.data).as_deref(), Some(b"down".as_slice()));
    kernel
        .limit(
            name,
            Side::Pcscf,
            set.ends(),
            StateLimits { lifetime: Some(Duration::from_secs(1)), limits: None },
        )
        .unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(tables(), (0, 8));
    let (expired, _) = told(&mut notices);
    assert_eq!(expired.iter().filter(|(_, removed)| *removed).count(), 4);
    // Without states nothing leaves.
    let _ = client.send_to(b"down", (phone.ue, UE_SERVER));
    assert_eq!(host.next(Duration::from_millis(300)), None);
    kernel.remove(name, Side::Pcscf, set.ends());
    assert_eq!((tables(), kernel.not_removed()), ((0, 0), 0));
    println!("limits: a soft one is told, a lifetime is extended, a hard one removes");
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn ten_thousand_sets_are_installed_faster_than_by_ip() {
    let _host = host();
    let sets_wanted: u32 = std::env::var("KESP_SETS").map_or(10_000, |sets| sets.parse().unwrap());
    let suite = Suite::HMAC_SHA_1_96_AES_CBC;
    let mut kernel = kernel();
    for port in [PCSCF_CLIENT, PCSCF_SERVER] {
        kernel.protect(([10, 9, 0, 1], port).into()).unwrap();
    }
    let sets: Vec<_> = (0..sets_wanted)
        .map(|number| {
            let ue = [10, 16 + (number >> 16) as u8, (number >> 8) as u8, number as u8];
            (id(), set_of(suite, (ue.into(), [10, 9, 0, 1].into()), 0x1000, 0x10_0000 + 4 * number))
        })
        .collect();
    let install = |kernel: &mut Kernel<XfrmSocket>| {
        let began = Instant::now();
        let each = sets.iter().map(|(id, set)| (*id, Side::Pcscf, set, Overlap::Apart));
        let results = kernel.install_many(each);
        assert!(results.iter().all(Result::is_ok));
        began.elapsed()
    };
    // The first time, tables grow and algorithms are loaded.
    install(&mut kernel);
    sets.iter().for_each(|(id, set)| kernel.remove(*id, Side::Pcscf, set.ends()));
    let ours = install(&mut kernel);
    assert_eq!(tables(), (4 * sets.len(), 4 * sets.len() + 4));
    let began = Instant::now();
    sets.iter().for_each(|(id, set)| kernel.remove(*id, Side::Pcscf, set.ends()));
    let removed = began.elapsed();
    assert_eq!((tables(), kernel.not_removed()), ((0, 4), 0));

    // The kernel's own share: the same octets, made before, with nothing read but the last answers.
    let mut socket = XfrmSocket::new().unwrap();
    let datagrams: Vec<_> = sets
        .chunks(16)
        .map(|sets| {
            let mut all = kernel.owner().these([]);
            sets.iter().for_each(|(_, set)| all.append(kernel.owner().install(Side::Pcscf, set)));
            all.to_messages(1, Acknowledge::Last)
        })
        .collect();
    let began = Instant::now();
    let mut buffer = vec![0; 32_768];
    for datagram in &datagrams {
        socket.send(datagram.expose()).unwrap();
        socket.receive(&mut buffer).unwrap();
    }
    let share = began.elapsed();
    for table in ["state", "policy"] {
        assert!(Command::new("ip").args(["xfrm", table, "flush"]).status().unwrap().success());
    }

    // `ip` grows with each line, and a guest bears only so much.
    let lines = |sets: &[(SetId, SaSet)]| -> String {
        let lines = |set| kernel.owner().install(Side::Pcscf, set).ip_lines_with_keys().to_string();
        sets.iter().map(|(_, set)| lines(set)).collect()
    };
    let batches: Vec<_> = sets.chunks(1000).map(lines).collect();
    let began = Instant::now();
    for lines in &batches {
        let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(ip.wait().unwrap().success());
    }
    let theirs = began.elapsed();
    assert_eq!(tables(), (4 * sets.len(), 4 * sets.len()));
    println!(
        "{} sets: {ours:.1?}, removed in {removed:.1?}; `ip -batch` {theirs:.1?}, {:.2} times as long; the kernel's own share {share:.1?}, 1 to {:.2}",
        sets.len(),
        theirs.as_secs_f64() / ours.as_secs_f64(),
        ours.as_secs_f64() / share.as_secs_f64(),
    );
    assert!(theirs >= 3 * ours || ours.as_secs_f64() <= 1.3 * share.as_secs_f64());
}

#[test]
#[ignore = "needs a kernel with ESP: .ci/kernel/check"]
fn the_program_installs_and_removes_what_it_prints() {
    let _host = host();
    let mechanism = |at: u32, port: u16| {
        format!(
            "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={at};spi-s={};port-c={port};port-s={}",
            at + 1,
            port + 1
        )
    };
    let (client, server) = (mechanism(0x1000, 6101), mechanism(0x2000, 7101));
    let keys = ["--ck", "b40ba9a3c58b2a05bbf0d987b21bf8cb", "--ik", "f769bcd751044604127672711c6d3441"];
    let headers = [
        "--security-client",
        &client,
        "--security-server",
        &server,
        "--ue",
        "10.9.0.2",
        "--pcscf",
        "10.9.0.1",
    ];
    let xfrm = |form: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_xfrm")).args(form).args(headers).args(keys).output().unwrap();
        let (out, error) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code(), out, error)
    };
    assert_eq!(xfrm(&["--apply"]).0, Some(0));
    assert_eq!(tables(), (4, 4 + 4));
    // A second time, all of it is there: refused, and still there.
    let (status, _, error) = xfrm(&["--apply"]);
    assert!(
        status == Some(1) && error.contains("EEXIST") && error.contains("nothing was changed"),
        "{error}"
    );
    assert_eq!(tables(), (4, 4 + 4));
    // What the kernel lists is read back.
    let listed = Command::new("ip").args(["xfrm", "state"]).output().unwrap().stdout;
    let path = std::env::temp_dir().join("listed");
    std::fs::write(&path, &listed).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xfrm")).arg("--json").arg(&path).output().unwrap();
    let of_kernel = String::from_utf8(output.stdout).unwrap();
    let of_headers = xfrm(&["--json"]).1;
    let sorted = |text: &str| -> BTreeSet<String> {
        text.lines().map(|line| line.trim_end_matches(',').into()).collect()
    };
    assert_eq!(sorted(&of_kernel), sorted(&of_headers));
    assert_eq!(xfrm(&["--remove"]).0, Some(0));
    assert_eq!(tables(), (0, 0));
    // `ip -batch` does the same with the lines, and the undo list takes it back.
    for (lines, left) in [(xfrm(&["--ip"]).1, (4, 8)), (xfrm(&["--ip", "--undo"]).1, (0, 0))] {
        let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(ip.wait().unwrap().success());
        assert_eq!(tables(), left);
    }
    println!("xfrm: applied, refused twice, listed, removed, and the same by `ip -batch`");
}

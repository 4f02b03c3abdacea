//! The memory of this process is searched for keys, states of HMAC, round keys and plaintext, after
//! SAs were installed, used and removed: nothing is left on the stack, and after removal nothing at
//! all. In release builds only (`cargo test --release --test secrets_in_memory`): without
//! optimisation, kernels copy their vectors to the stack.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ipsec_3gpp::algorithm::Encryption;
use ipsec_3gpp::esp::Backend;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::registration::{Begin, Config, Over, Register, UeConfig};
use ipsec_3gpp::sa::{Endpoint, OpenJob, SaSet, SealJob, Side};
use ipsec_3gpp::setup::{Port, PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair, SpiSlice};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Moment, Pcscf, Policy, Sad, SpiAllocator, Suite, Ue};
use zeroize::Zeroize;

/// In hexadecimal, which is another form than the one that is searched for.
const CK: &str = "3b1d9f5c70e2a4861fd8c3b55a9e07f2";
const IK: &str = "c47e0a93d15b68f2e63f9d04ab7182ce";
/// Every needle is masked, so that this file's own constants are not found.
const MASK: u8 = 0xa5;
/// Computed by other implementations of MD5, SHA-1, AES, GHASH and the KDF. The key stream and the
/// like are those of packets of SPI 2002, one of them opened in place and one the last of the
/// batch.
const NEEDLES: &[(&str, &[u8])] = &[
    (
        "sha1 inner",
        &[0x47, 0x1e, 0x70, 0x23, 0xbc, 0x42, 0x9b, 0xe7, 0x7c, 0x06, 0x93, 0xeb, 0xf3, 0x21, 0x83, 0x2f],
    ),
    (
        "sha1 outer",
        &[0xd3, 0x2d, 0x7a, 0x2b, 0xcf, 0x72, 0xd7, 0x54, 0x54, 0x1a, 0x41, 0x5e, 0x8a, 0xe9, 0x31, 0x29],
    ),
    (
        "md5 inner",
        &[0xba, 0xf9, 0x70, 0x7e, 0xa6, 0xd7, 0x42, 0x4a, 0x2f, 0x78, 0xbb, 0x7c, 0x07, 0xdb, 0xf7, 0x6f],
    ),
    (
        "md5 outer",
        &[0xd4, 0x41, 0x51, 0x16, 0x0a, 0x5c, 0xad, 0x5d, 0xb6, 0x06, 0x6b, 0xea, 0x32, 0x1b, 0x14, 0x57],
    ),
    ("ck first half", &[0x9e, 0xb8, 0x3a, 0xf9, 0xd5, 0x47, 0x01, 0x23]),
    ("ck second half", &[0xba, 0x7d, 0x66, 0x10, 0xff, 0x3b, 0xa2, 0x57]),
    ("ik first half", &[0x61, 0xdb, 0xaf, 0x36, 0x74, 0xfe, 0xcd, 0x57]),
    ("ik second half", &[0x43, 0x9a, 0x38, 0xa1, 0x0e, 0xd4, 0x27, 0x6b]),
    (
        "aes round key 1",
        &[0x94, 0x7d, 0xb3, 0x47, 0xe4, 0x9f, 0x17, 0xc1, 0xfb, 0x47, 0xd4, 0x74, 0xa1, 0xd9, 0xd3, 0x86],
    ),
    (
        "aes round key 5",
        &[0x52, 0xb4, 0xf1, 0x5c, 0x06, 0xa3, 0x7a, 0x96, 0x30, 0x21, 0xf4, 0x9a, 0x5c, 0x72, 0xfa, 0xd6],
    ),
    (
        "aes round key 10",
        &[0xb4, 0x45, 0x8d, 0x3e, 0xcf, 0x3b, 0x5f, 0x70, 0x31, 0xa9, 0x06, 0xb9, 0x6d, 0x61, 0x94, 0xf0],
    ),
    (
        "aes inverse round key 1",
        &[0x34, 0xe7, 0x29, 0xe7, 0x41, 0x45, 0xf3, 0x5a, 0xd8, 0x4a, 0xcf, 0x41, 0xdc, 0xf4, 0xf4, 0xf1],
    ),
    (
        "aes inverse round key 5",
        &[0x1a, 0x96, 0x2f, 0xe8, 0x8b, 0xe9, 0x65, 0x4e, 0x85, 0xe0, 0xbf, 0xa5, 0xbc, 0xcd, 0x1e, 0x6d],
    ),
    (
        "aes inverse round key 9",
        &[0x32, 0x4f, 0xb1, 0x6e, 0x7b, 0x65, 0xfb, 0x7c, 0x74, 0x90, 0x30, 0x28, 0xde, 0xea, 0x8e, 0xf5],
    ),
    (
        "h of ck",
        &[0xdb, 0x47, 0x1e, 0x1b, 0x2c, 0xdd, 0x34, 0xc1, 0xbf, 0x19, 0xad, 0x7b, 0x42, 0xd2, 0x9c, 0xfa],
    ),
    (
        "h of ck, times x",
        &[0x1b, 0xd7, 0x4b, 0x6b, 0x18, 0xb4, 0xdd, 0x90, 0x6d, 0x87, 0x54, 0xb7, 0xd8, 0xd2, 0x60, 0x58],
    ),
    (
        "h of ck, square",
        &[0xc4, 0x8b, 0x4c, 0x13, 0x67, 0x33, 0x6a, 0xaa, 0xd3, 0x04, 0x73, 0x31, 0x2e, 0x0d, 0x73, 0x21],
    ),
    (
        "h of ck, power 17",
        &[0xb9, 0x1d, 0xd9, 0x64, 0x8c, 0xfc, 0x00, 0x4b, 0xc3, 0x89, 0x94, 0xe2, 0x8b, 0x51, 0x0d, 0x7c],
    ),
    (
        "h of ik",
        &[0x85, 0x6e, 0xa8, 0xee, 0xd7, 0x7e, 0x56, 0xa4, 0x41, 0xfc, 0xb6, 0x32, 0xf7, 0xcc, 0x03, 0xa2],
    ),
    (
        "h of ik, times x",
        &[0xab, 0xe9, 0x76, 0x01, 0x8b, 0x82, 0x17, 0x6d, 0xa6, 0x43, 0x12, 0x40, 0x33, 0xbf, 0x33, 0xe4],
    ),
    (
        "h of ik, square",
        &[0xcb, 0x05, 0xfd, 0x27, 0xd4, 0xad, 0x20, 0x2e, 0xd2, 0x09, 0xf3, 0xab, 0xfc, 0x12, 0x24, 0x0e],
    ),
    (
        "h of ik, power 17",
        &[0x70, 0xf5, 0x0e, 0x2e, 0x85, 0x7e, 0x76, 0x82, 0x2d, 0xca, 0xc7, 0x31, 0x5c, 0xbe, 0x7b, 0x18],
    ),
    (
        "ik round key 1",
        &[0xc3, 0xc8, 0x24, 0x54, 0x12, 0x93, 0x4c, 0xa6, 0xf4, 0xac, 0xd1, 0xa2, 0x5f, 0xdd, 0x53, 0x6c],
    ),
    (
        "kdf 58, first half",
        &[0x15, 0x11, 0x6d, 0x1e, 0x0a, 0x3f, 0x53, 0xa5, 0xdc, 0xc3, 0xbe, 0xa0, 0x42, 0x86, 0xc3, 0x4c],
    ),
    (
        "kdf 58, second half",
        &[0x4f, 0xea, 0xc9, 0x61, 0xbc, 0xa6, 0xf9, 0x1c, 0x8c, 0xf5, 0xd5, 0x98, 0x59, 0xf9, 0xed, 0x6f],
    ),
    (
        "kdf 59, first half",
        &[0x7d, 0x75, 0xc2, 0x0f, 0xf4, 0x10, 0x0b, 0x31, 0xc5, 0xa6, 0xaf, 0x04, 0x82, 0x90, 0x4a, 0x65],
    ),
    (
        "kdf 59, second half",
        &[0x26, 0x31, 0x03, 0xd5, 0x9f, 0x68, 0x70, 0x85, 0x31, 0x53, 0x75, 0x70, 0x51, 0x27, 0x26, 0x8d],
    ),
    (
        "plaintext",
        &[0xe8, 0xe0, 0xf6, 0xf6, 0xe4, 0xe2, 0xe0, 0x85, 0xd6, 0xcc, 0xd5, 0x9f, 0xd6, 0xc0, 0xc6, 0xd7],
    ),
    (
        "plaintext end",
        &[0xd1, 0xcd, 0xc0, 0x85, 0xd6, 0xc0, 0xc6, 0xd7, 0xc0, 0xd1, 0x85, 0xc0, 0xcb, 0xc1, 0xd6, 0x8b],
    ),
    ("ik inner pad, first half", &[0x57, 0xed, 0x99, 0x00, 0x42, 0xc8, 0xfb, 0x61]),
    ("ik inner pad, second half", &[0x75, 0xac, 0x0e, 0x97, 0x38, 0xe2, 0x11, 0x5d]),
    ("ik outer pad, first half", &[0x3d, 0x87, 0xf3, 0x6a, 0x28, 0xa2, 0x91, 0x0b]),
    ("ik outer pad, second half", &[0x1f, 0xc6, 0x64, 0xfd, 0x52, 0x88, 0x7b, 0x37]),
    ("nonce and key of ck", &[0x6a, 0x3a, 0xb9, 0xd1, 0xd5, 0x47, 0x06, 0xf1]),
    (
        "j0 of ck, packet 2",
        &[0xc6, 0x58, 0x3e, 0xbf, 0xfe, 0x30, 0x02, 0x6a, 0x47, 0x84, 0x80, 0x9a, 0xce, 0x44, 0xf4, 0xcd],
    ),
    (
        "key stream, packet 2",
        &[0x20, 0xde, 0x60, 0xd5, 0x61, 0x1c, 0xbb, 0xc3, 0xe0, 0xd3, 0xb7, 0xc8, 0x07, 0x7b, 0x52, 0x82],
    ),
    (
        "key stream, block 6, packet 2",
        &[0xf8, 0x73, 0x45, 0x60, 0xc4, 0xd7, 0x2b, 0x35, 0x7d, 0xae, 0x8e, 0xc9, 0x66, 0x0c, 0x9c, 0xe0],
    ),
    (
        "j0 of ck, packet 22",
        &[0xfc, 0x59, 0x33, 0x3d, 0x46, 0x5c, 0xf6, 0xd6, 0x46, 0x0e, 0x71, 0x17, 0xc5, 0xcf, 0xb7, 0x23],
    ),
    (
        "key stream, packet 22",
        &[0xa0, 0x30, 0x18, 0xea, 0x76, 0x7a, 0xed, 0xa5, 0x88, 0xdc, 0x2a, 0xc2, 0x94, 0x72, 0x64, 0x23],
    ),
    (
        "key stream, block 6, packet 22",
        &[0x9a, 0x99, 0xfd, 0x39, 0xc3, 0x46, 0x73, 0x11, 0x70, 0x71, 0x38, 0x34, 0xa2, 0xbb, 0x0a, 0x2d],
    ),
    ("nonce and key of ik", &[0x9d, 0x87, 0xe7, 0xfc, 0x74, 0xfe, 0xca, 0x85]),
    (
        "j0 of ik, packet 2",
        &[0xb5, 0xe2, 0xc9, 0x2d, 0xb9, 0xfd, 0x73, 0x28, 0x8f, 0x5b, 0xb8, 0x9f, 0x08, 0xb7, 0xeb, 0x6f],
    ),
    (
        "j0 of ik, packet 22",
        &[0xaf, 0x1c, 0xf3, 0xe6, 0x30, 0x2a, 0xcf, 0x3a, 0x3b, 0x49, 0x6b, 0x89, 0xb6, 0x5e, 0x8e, 0xfd],
    ),
];
const PACKETS: usize = 20;
/// What has been done at each step, from 1 on. The stack is searched after each of them: later
/// calls would cover what an earlier one left.
const STEPS: [&str; 9] = [
    "installed",
    "sealed one",
    "opened one",
    "sealed in place",
    "refused one",
    "opened in place",
    "sealed a batch",
    "used",
    "removed",
];

/// What the thread with the SAs has done, and what the search has seen.
static DONE: AtomicUsize = AtomicUsize::new(0);
static SEARCHED: AtomicUsize = AtomicUsize::new(0);
/// An address on the stack of that thread.
static STACK: AtomicUsize = AtomicUsize::new(0);

/// Waits for the search, without a call that writes much to the stack.
fn searched(step: usize) {
    DONE.store(step, Ordering::SeqCst);
    while SEARCHED.load(Ordering::SeqCst) < step {
        thread::sleep(Duration::from_millis(1));
    }
}

fn set(suite: Suite) -> SaSet {
    let end = |address: IpAddr, first: u32, ports| Endpoint {
        address,
        setup: Setup {
            spis: SpiPair { client: Spi::new(first).unwrap(), server: Spi::new(first + 1).unwrap() },
            ports,
        },
    };
    let ue = end([10, 0, 0, 2].into(), 1001, PortPair::new(40001, 40002).unwrap());
    let pcscf = end([10, 0, 0, 1].into(), 2001, PortPair::new(50001, 50002).unwrap());
    let keys = SaKeys::expand(suite, &CK.parse::<Ck>().unwrap(), &IK.parse::<Ik>().unwrap()).unwrap();
    SaSet::new(ue, pcscf, keys).unwrap()
}

/// A datagram with the plaintext at its start and end, made in place.
fn write_datagram(to: &mut Vec<u8>, len: usize) {
    to.clear();
    to.extend(b"\x45\0\0\0\0\0\0\0\x40\x11\0\0\x0a\0\0\x02\x0a\0\0\x01\x9c\x41\xc3\x52\0\0\0\0");
    to.resize(len, b'.');
    to[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    to[24..26].copy_from_slice(&(len as u16 - 20).to_be_bytes());
    for (name, range) in [("plaintext", 28..44), ("plaintext end", len - 16..len)] {
        let (_, masked) = NEEDLES.iter().find(|(other, _)| *other == name).unwrap();
        for (to, masked) in to[range].iter_mut().zip(*masked) {
            *to = masked ^ MASK;
        }
    }
}

fn traffic(ue: &mut Sad, pcscf: &mut Sad, len: usize) {
    let mut plains: Vec<Vec<u8>> = (0..PACKETS).map(|_| Vec::with_capacity(1400)).collect();
    let mut packets: Vec<Vec<u8>> = (0..PACKETS).map(|_| vec![0; 1400]).collect();
    plains.iter_mut().for_each(|plain| write_datagram(plain, len));
    // One at a time: into another buffer, and in place.
    let mut opened = vec![0; 1400];
    let mut room = [&[0; 100][..], &plains[1], &[0; 100]].concat();
    let mut forged = vec![0; room.len()];
    let range = ue.seal(&plains[0], &mut packets[0]).unwrap().range;
    searched(2);
    assert!(pcscf.open(&packets[0][range], &mut opened).is_ok());
    searched(3);
    let range = ue.seal_in_place(&mut room, 100..100 + len).unwrap().range;
    searched(4);
    forged.truncate(range.len());
    forged.copy_from_slice(&room[range.clone()]);
    forged[30] ^= 1;
    assert!(pcscf.open_in_place(&mut forged).is_err());
    searched(5);
    assert!(pcscf.open_in_place(&mut room[range]).is_ok());
    searched(6);
    // In a batch.
    plains.iter_mut().for_each(|plain| write_datagram(plain, len));
    let mut jobs: Vec<_> = plains.iter().zip(&mut packets).map(|(from, to)| SealJob::new(from, to)).collect();
    ue.seal_batch(&mut jobs);
    searched(7);
    let mut sealed: Vec<Vec<u8>> = jobs.iter().map(|job| job.packet().unwrap().to_vec()).collect();
    drop(jobs);
    let mut outs: Vec<Vec<u8>> = (0..PACKETS).map(|_| vec![0; 1400]).collect();
    let mut jobs: Vec<_> = sealed.iter().zip(&mut outs).map(|(from, to)| OpenJob::new(from, to)).collect();
    pcscf.open_batch(&mut jobs);
    assert!(jobs.iter().all(|job| job.datagram().is_some()));
    drop(jobs);
    // The buffers are the caller's; without encryption, all of them have plaintext.
    plains
        .iter_mut()
        .chain(&mut packets)
        .chain(&mut sealed)
        .chain(&mut outs)
        .chain([&mut room, &mut opened, &mut forged])
        .for_each(Zeroize::zeroize);
}

fn life(suite: Suite, backend: Backend, len: usize) {
    let marker = 0_u8;
    STACK.store(&raw const marker as usize, Ordering::SeqCst);
    let (mut ue, mut pcscf) = (Sad::new().with_backend(backend), Sad::new().with_backend(backend));
    let ids = {
        let set = set(suite);
        [ue.add_set(&set, Side::Ue).unwrap(), pcscf.add_set(&set, Side::Pcscf).unwrap()]
    };
    searched(1);
    traffic(&mut ue, &mut pcscf, len);
    searched(8);
    assert!(ue.remove_set(&ids[0]) && pcscf.remove_set(&ids[1]));
    searched(9);
    wipe_stack();
}

/// The same, where the SAs come and go with a registration.
fn registration(suite: Suite, backend: Backend, len: usize) {
    let marker = 0_u8;
    STACK.store(&raw const marker as usize, Ordering::SeqCst);
    let (mut ue_sas, mut pcscf_sas) = (Sad::new().with_backend(backend), Sad::new().with_backend(backend));
    let (now, later) = (Moment::from_millis(0), Moment::from_millis(3_600_000));
    let is_null = suite.encryption() == Encryption::Null;
    let confidentiality = if is_null { Confidentiality::LeftToAccess } else { Confidentiality::Required };
    let policy = Policy::new(&[suite], confidentiality).unwrap();
    let (ue_address, pcscf_address) = ([10, 0, 0, 2].into(), [10, 0, 0, 1].into());
    let client_ports = [50001, 50003, 50005].map(|port| Port::new(port).unwrap());
    let config = Config::new(policy.clone(), Port::new(50002).unwrap(), &client_ports).unwrap();
    let spis = SpiAllocator::new(SpiSlice::WHOLE, 1000, [7; 16]).unwrap();
    let mut pcscf = Pcscf::new(config, spis, now);
    let mut ue = Ue::new(UeConfig::new(policy, pcscf_address), ue_address);
    let spis = SpiPair { client: Spi::new(1001).unwrap(), server: Spi::new(1002).unwrap() };
    let setup = Setup { spis, ports: PortPair::new(40001, 40002).unwrap() };
    let client = ue.begin(now, &Begin::new(setup), &mut ue_sas).unwrap().security_client.to_string();
    let client = [client.as_str()];
    let sm1 = Register::new(Over::Clear, ue_address, pcscf_address, "user@ims").with_security_client(&client);
    let request = pcscf.register(now, &sm1, &mut pcscf_sas).unwrap().request;
    {
        let (ck, ik) = (CK.parse::<Ck>().unwrap(), IK.parse::<Ik>().unwrap());
        let sm6 = pcscf.challenge(now, request, "nonce", &ck, &ik, &mut pcscf_sas).unwrap();
        let server = sm6.security_server.to_string();
        let server = [server.as_str()];
        let _ = ue.challenged(now, Over::Clear, &server, &ck, &ik, &mut ue_sas).unwrap();
    }
    assert_eq!((ue_sas.len(), pcscf_sas.len()), (4, 4));
    searched(1);
    traffic(&mut ue_sas, &mut pcscf_sas, len);
    searched(8);
    // No answer comes: both ends give up.
    pcscf.handle_timeout(later, &mut pcscf_sas);
    ue.handle_timeout(later, &mut ue_sas);
    assert_eq!((ue_sas.len(), pcscf_sas.len()), (0, 0));
    searched(9);
    wipe_stack();
}

/// So that the next thread, which gets the same stack, begins with nothing.
#[inline(never)]
fn wipe_stack() {
    let mut stack = [0_u8; 1 << 19];
    stack.zeroize();
}

/// Names of the needles that are found, on the stack of the thread and elsewhere, if that is to be
/// searched.
fn search(elsewhere: bool) -> [Vec<&'static str>; 2] {
    static mut CHUNK: [u8; 1 << 16] = [0; 1 << 16];
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let stack = STACK.load(Ordering::SeqCst);
    #[allow(unsafe_code, static_mut_refs, reason = "one thread at a time searches")]
    // SAFETY: this function is called by one thread only.
    let chunk = unsafe { &mut CHUNK };
    let own = chunk.as_ptr() as usize..chunk.as_ptr() as usize + chunk.len();
    let mut found = [Vec::new(), Vec::new()];
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with("rw") || rest.contains("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let address = |text| usize::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (address(from), address(to));
        let place = usize::from(!(at..end).contains(&stack));
        if place == 1 && !elsewhere {
            continue;
        }
        while at < end {
            // Chunks overlap by the longest needle.
            let len = chunk.len().min(end - at);
            let Ok(read) = memory.read_at(&mut chunk[..len], at as u64) else { break };
            let octets = &chunk[..read];
            for (name, needle) in NEEDLES {
                let first = needle[0] ^ MASK;
                let hit = |index: &usize| {
                    let found = &octets[*index..];
                    octets[*index] == first
                        && found.len() >= needle.len()
                        && found.iter().zip(*needle).all(|(octet, masked)| octet ^ masked == MASK)
                        && !own.contains(&(at + index))
                };
                if !found[place].contains(name) && (0..octets.len()).any(|index| hit(&index)) {
                    found[place].push(*name);
                }
            }
            at += if at + read == end { read } else { read - 32 };
        }
        chunk.zeroize();
    }
    found
}

type Life = fn(Suite, Backend, usize);

#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "what is not optimised copies vectors to the stack: cargo test --release"
)]
fn nothing_is_left_of_keys_and_plaintext() {
    let mut faults = Vec::new();
    for suite in Suite::ALL {
        // Of a few blocks, and of many: other code of the crates.
        let lives = Backend::available().flat_map(|backend| {
            let lives: [(Life, usize); 4] = [(life, 92), (life, 400), (life, 1300), (registration, 92)];
            lives.map(|(life, len)| (backend, life, len))
        });
        for (backend, life, len) in lives {
            DONE.store(0, Ordering::SeqCst);
            SEARCHED.store(0, Ordering::SeqCst);
            let both = move || {
                life(suite, backend, len);
                wipe_stack();
            };
            let thread = thread::Builder::new().stack_size(1 << 20).spawn(both).unwrap();
            let no_secret =
                |name: &&str| suite.encryption() == Encryption::Null && name.starts_with("plaintext");
            for (step, after) in (1..).zip(STEPS) {
                while DONE.load(Ordering::SeqCst) < step && !thread.is_finished() {
                    thread::sleep(Duration::from_millis(1));
                }
                let [mut stack, mut elsewhere] = search(matches!(after, "installed" | "removed"));
                // Without encryption, it is no secret.
                stack.retain(|name| !no_secret(name));
                elsewhere.retain(|name| !no_secret(name));
                if step == 1 {
                    // The search finds what is there.
                    let states: &[&str] = match suite {
                        Suite::AES_GCM => {
                            &["aes round key 1", "h of ck", "h of ck, times x", "h of ck, power 17"]
                        }
                        Suite::AES_GMAC => {
                            &["ik round key 1", "h of ik", "h of ik, times x", "h of ik, power 17"]
                        }
                        _ if suite.integrity().token() == "hmac-md5-96" => &["md5 inner"],
                        _ => &["sha1 inner"],
                    };
                    let is_there = states.iter().any(|state| elsewhere.contains(state));
                    assert!(is_there, "{suite} {backend}: {elsewhere:?}");
                }
                if !stack.is_empty() {
                    faults.push(format!("{suite}, {backend}, {len} octets, {after}: on the stack {stack:?}"));
                }
                if after == "removed" && !elsewhere.is_empty() {
                    faults
                        .push(format!("{suite}, {backend}, {len} octets, {after}: elsewhere {elsewhere:?}"));
                }
                SEARCHED.store(step, Ordering::SeqCst);
            }
            thread.join().unwrap();
        }
    }
    assert!(faults.is_empty(), "{}\n{} faults", faults.join("\n"), faults.len());
}

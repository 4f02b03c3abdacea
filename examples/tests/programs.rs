//! The programs, run as their users run them: with good input, with bad input, and with captures
//! that a Linux kernel made.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::{DataLink, TsResolution};
use serde_json::{Value, json};

#[path = "../../tests/support/vectors.rs"]
#[allow(dead_code, reason = "these tests read hexadecimal digits only")]
mod vectors;

use vectors::hex;

/// A folder of its own for each test, emptied first.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a program of this package.
fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    run_octets(program, arguments, input.as_bytes())
}

fn run_octets(program: &str, arguments: &[&str], input: &[u8]) -> Output {
    let path = match program {
        "esp_pcap" => env!("CARGO_BIN_EXE_esp_pcap"),
        "registration" => env!("CARGO_BIN_EXE_registration"),
        "gm_trace" => env!("CARGO_BIN_EXE_gm_trace"),
        "sec_agree" => env!("CARGO_BIN_EXE_sec_agree"),
        "xfrm" => env!("CARGO_BIN_EXE_xfrm"),
        other => panic!("no program {other}"),
    };
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that stops because of its options closes its input unread.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

/// The program failed, and said why in one line.
fn assert_refused(output: &Output, reason: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

fn write(path: &Path, link: DataLink, packets: &[Vec<u8>]) {
    let header = PcapHeader { datalink: link, ts_resolution: TsResolution::NanoSecond, ..Default::default() };
    let mut writer = PcapWriter::with_header(File::create(path).unwrap(), header).unwrap();
    for (packet, second) in packets.iter().zip(1..) {
        let packet = PcapPacket::new(Duration::new(second, 77), packet.len() as u32, packet);
        writer.write_packet(&packet).unwrap();
    }
}

fn read(path: &Path) -> (DataLink, Vec<Vec<u8>>, Vec<Duration>) {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let (mut packets, mut times) = (Vec::new(), Vec::new());
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        packets.push(packet.data.to_vec());
        times.push(packet.timestamp);
    }
    (reader.header().datalink, packets, times)
}

const KERNEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/kernel-esp");

struct Kernel {
    sas: String,
    esp: Vec<Vec<u8>>,
    plain: Vec<Vec<u8>>,
}

fn kernel(name: &str) -> Kernel {
    let sas = format!("{KERNEL}/{name}.json");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(&sas).unwrap()).unwrap();
    let all = |field: &str| {
        let packets = json["packets"].as_array().unwrap();
        packets.iter().map(|packet| hex(packet[field].as_str().unwrap())).collect()
    };
    Kernel { sas, esp: all("esp_packet"), plain: all("plain_packet") }
}

fn kernels() -> Vec<String> {
    let names = std::fs::read_dir(KERNEL).unwrap().map(|entry| entry.unwrap().path());
    let names: Vec<String> = names
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 16);
    names
}

fn esp_pcap(direction: &str, sas: &str, input: &Path, output: &Path, more: &[&str]) -> Output {
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    let mut arguments = vec![direction, "--sas", sas, input, output];
    arguments.extend(more);
    run("esp_pcap", &arguments, "")
}

#[test]
fn esp_pcap_opens_what_a_kernel_sent_and_opens_what_it_sealed_itself() {
    let folder = folder("esp_pcap-kernel");
    let (input, opened) = (folder.join("in.pcap"), folder.join("opened.pcap"));
    let (sealed, again) = (folder.join("sealed.pcap"), folder.join("again.pcap"));
    for name in kernels() {
        let Kernel { sas, esp, plain } = kernel(&name);
        write(&input, DataLink::RAW, &esp);
        let output = esp_pcap("open", &sas, &input, &opened, &["--strict"]);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let (link, packets, times) = read(&opened);
        assert_eq!((link, &packets), (DataLink::RAW, &plain), "{name}");
        assert!(times.iter().zip(1..).all(|(time, second)| *time == Duration::new(second, 77)), "{name}");

        let output = esp_pcap("seal", &sas, &opened, &sealed, &["--strict"]);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let (_, packets, _) = read(&sealed);
        assert!(packets.iter().zip(&plain).all(|(sealed, plain)| sealed.len() > plain.len()), "{name}");
        assert!(esp_pcap("open", &sas, &sealed, &again, &["--strict"]).status.success(), "{name}");
        assert_eq!(read(&again).1, plain, "{name}");
    }
}

#[test]
fn esp_pcap_reads_the_capture_of_a_real_exchange_with_its_fragments() {
    // The capture was taken on Ethernet, before the kernel reassembled fragments.
    let name = "v4-hmac-sha-1-96+aes-cbc";
    let output = folder("esp_pcap-capture").join("opened.pcap");
    let input = PathBuf::from(format!("{KERNEL}/{name}.pcap"));
    let Kernel { sas, plain, .. } = kernel(name);
    let run = esp_pcap("open", &sas, &input, &output, &["--strict"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let (link, packets, _) = read(&output);
    assert_eq!(link, read(&input).0);
    let opened: Vec<&[u8]> = packets.iter().map(|packet| &packet[packet.len().min(14)..]).collect();
    for plain in &plain {
        assert!(opened.iter().any(|packet| packet.starts_with(plain)), "a packet that was not opened");
    }
}

/// Cuts a datagram into fragments whose payload is `size` octets, a multiple of eight.
fn fragments(datagram: &[u8], size: usize) -> Vec<Vec<u8>> {
    let ipv4 = datagram[0] >> 4 == 4;
    let header_len = if ipv4 { 20 } else { 40 };
    let (header, payload) = datagram.split_at(header_len);
    let count = payload.chunks(size).len();
    let fragment = |(number, data): (usize, &[u8])| {
        let more = number + 1 < count;
        let mut packet = header.to_vec();
        if ipv4 {
            packet[2..4].copy_from_slice(&((20 + data.len()) as u16).to_be_bytes());
            let offset = (number * size / 8) as u16 | u16::from(more) << 13;
            packet[4..6].copy_from_slice(&4711_u16.to_be_bytes());
            packet[6..8].copy_from_slice(&offset.to_be_bytes());
            packet[10..12].fill(0);
            let sum: u32 =
                packet.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            packet[10..12].copy_from_slice(&(!((sum + (sum >> 16)) as u16)).to_be_bytes());
        } else {
            packet[4..6].copy_from_slice(&((8 + data.len()) as u16).to_be_bytes());
            packet[6] = 44;
            let offset = (number * size) as u16 | u16::from(more);
            packet.extend([header[6], 0]);
            packet.extend(offset.to_be_bytes());
            packet.extend(4711_u32.to_be_bytes());
        }
        packet.extend(data);
        packet
    };
    payload.chunks(size).enumerate().map(fragment).collect()
}

#[test]
fn esp_pcap_reassembles_fragments_in_any_order_and_counts_what_stays_incomplete() {
    let folder = folder("esp_pcap-fragments");
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    for name in ["v4-hmac-sha-1-96+aes-cbc", "v6-hmac-sha-1-96+aes-cbc"] {
        let Kernel { sas, esp, plain } = kernel(name);
        let index = plain.iter().position(|packet| packet.len() > 1000).unwrap();
        let mut pieces = fragments(&esp[index], 400);
        assert!(pieces.len() >= 3);
        pieces.rotate_left(1);
        write(&input, DataLink::RAW, &pieces);
        let run = esp_pcap("open", &sas, &input, &output, &["--strict"]);
        assert!(run.status.success(), "{name}: {}", text(&run.stderr));
        let opened = &read(&output).1;
        assert_eq!(opened.len(), 1, "{name}");
        // The identification is that of the fragments; all else is the datagram that was cut.
        assert_eq!(opened[0][20..], plain[index][20..], "{name}");
        assert_eq!(opened[0].len(), plain[index].len(), "{name}");

        pieces.pop();
        write(&input, DataLink::RAW, &pieces);
        let run = esp_pcap("open", &sas, &input, &output, &[]);
        assert!(run.status.success());
        let said = text(&run.stderr);
        assert!(
            said.contains(&format!("{} fragments of a datagram that is not complete", pieces.len())),
            "{said}"
        );
        assert_eq!(esp_pcap("open", &sas, &input, &output, &["--strict"]).status.code(), Some(1));
    }
}

#[test]
fn esp_pcap_keeps_the_link_layer_and_passes_what_no_sa_is_for() {
    let folder = folder("esp_pcap-links");
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    let Kernel { sas, esp, plain } = kernel("v4-hmac-md5-96+null");
    let vlan = [&[2; 12][..], &[0x81, 0, 0, 7, 0x08, 0]].concat();
    let cooked = [&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0][..], &[0x08, 0]].concat();
    let cooked2 = [&[0x08, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6][..], &[1; 8]].concat();
    let arp = [&[0xff; 12][..], &[0x08, 6], &[0; 28]].concat();
    let links = [(DataLink::ETHERNET, vlan), (DataLink::LINUX_SLL, cooked), (DataLink::LINUX_SLL2, cooked2)];
    for (link, header) in links {
        let framed = |datagram: &Vec<u8>| [&header[..], datagram].concat();
        let mut packets: Vec<_> = esp.iter().map(framed).collect();
        let mut expected: Vec<_> = plain.iter().map(framed).collect();
        // A datagram in clear, ESP of an unknown SPI, and on Ethernet something that is not IP.
        let mut stranger = esp[0].clone();
        stranger[20..24].copy_from_slice(&0x0101_0101_u32.to_be_bytes());
        let mut others = vec![framed(&plain[0]), framed(&stranger)];
        if link == DataLink::ETHERNET {
            others.push(arp.clone());
        }
        packets.extend(others.clone());
        expected.extend(others);
        write(&input, link, &packets);
        let run = esp_pcap("open", &sas, &input, &output, &["--strict"]);
        assert!(run.status.success(), "{}", text(&run.stderr));
        let (kept, packets, _) = read(&output);
        assert_eq!(kept, link);
        assert_eq!(packets, expected, "{link:?}");
    }
}

#[test]
fn esp_pcap_reads_a_capture_that_is_cut_off_and_counts_esp_without_an_sa() {
    let folder = folder("esp_pcap-end");
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    let Kernel { sas, esp, plain } = kernel("v4-hmac-md5-96+null");
    write(&input, DataLink::RAW, &esp);
    let whole = std::fs::read(&input).unwrap();
    std::fs::write(&input, &whole[..whole.len() - 10]).unwrap();
    let run = esp_pcap("open", &sas, &input, &output, &[]);
    let said = text(&run.stderr);
    assert!(run.status.success() && said.contains("1 record cut off at the end"), "{said}");
    assert_eq!(read(&output).1, plain[..plain.len() - 1]);
    assert_eq!(esp_pcap("open", &sas, &input, &output, &["--strict"]).status.code(), Some(1));

    std::fs::write(&input, &whole).unwrap();
    let other = kernel("v4-hmac-md5-96+aes-cbc").sas;
    let said = esp_pcap("open", &other, &input, &output, &[]).stderr;
    assert!(text(&said).contains(&format!("{} of those passed are ESP", esp.len())), "{}", text(&said));
}

#[test]
fn esp_pcap_leaves_out_what_does_not_open_and_counts_it_by_reason() {
    let folder = folder("esp_pcap-refused");
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    let Kernel { sas, mut esp, plain } = kernel("v6-hmac-sha-1-96+aes-cbc");
    let last = esp.len() - 1;
    *esp[last].last_mut().unwrap() ^= 1;
    let again = esp[0].clone();
    let mut cut = esp[1].clone();
    cut.truncate(60);
    esp.extend([again, cut]);
    write(&input, DataLink::RAW, &esp);
    let run = esp_pcap("open", &sas, &input, &output, &[]);
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{said}");
    assert_eq!(read(&output).1, plain[..last]);
    for line in ["3 left out", "1 integrity check failed", "1 seen before", "1 cut off"] {
        assert!(said.contains(line), "{said:?} does not say {line:?}");
    }
    assert_eq!(esp_pcap("open", &sas, &input, &output, &["--strict"]).status.code(), Some(1));

    // Another key: nothing opens.
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&sas).unwrap()).unwrap();
    for sa in json["sas"].as_array_mut().unwrap() {
        sa["auth_key"] = "00".repeat(20).into();
        (sa["ck"], sa["ik"]) = (Value::Null, Value::Null);
    }
    let wrong = folder.join("wrong.json");
    std::fs::write(&wrong, json.to_string()).unwrap();
    let run = esp_pcap("open", wrong.to_str().unwrap(), &input, &output, &["--window", "128"]);
    assert_eq!(run.status.code(), Some(3), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains("wrong IK"), "{}", text(&run.stderr));
    assert!(read(&output).1.is_empty());

    // Another encryption key alone: what authenticates is right.
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&sas).unwrap()).unwrap();
    for sa in json["sas"].as_array_mut().unwrap() {
        sa["enc_key"] = "00".repeat(16).into();
        sa["ck"] = sa["ck"].as_str().map_or(Value::Null, |_| "00".repeat(16).into());
    }
    std::fs::write(&wrong, json.to_string()).unwrap();
    let run = esp_pcap("open", wrong.to_str().unwrap(), &input, &output, &[]);
    assert_eq!(run.status.code(), Some(4), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains("wrong CK"), "{}", text(&run.stderr));
    assert!(read(&output).1.is_empty());
}

#[test]
fn every_capture_is_read_as_its_name_says() {
    let folder = folder("captures");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures");
    let path = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let output = folder.join("opened.pcap");
    for (sas, capture, opened) in [
        ("sas.json", "null-link.pcap", 1),
        ("sas.json", "ppp.pcap", 1),
        ("sas.json", "user2-rvictl.pcap", 1),
        ("sas-reused.json", "spi-reused.pcap", 4),
        ("sas-reused.json", "udp4500.pcap", 2),
        ("v-hex-0x-ik.json", "udp4500.pcap", 2),
        ("v-no-ck-null.json", "udp4500.pcap", 2),
        ("v-spi-hex-string.json", "udp4500.pcap", 2),
        ("v-upper-case.json", "udp4500.pcap", 2),
    ] {
        let run = esp_pcap("open", &path(sas), Path::new(&path(capture)), &output, &["--strict"]);
        assert!(run.status.success(), "{capture}: {}", text(&run.stderr));
        assert!(
            text(&run.stderr).starts_with(&format!("{opened} opened, 0 passed as they were, 0 left out"))
        );
        let found = read(&output).1.concat();
        let requests = found.windows(13).filter(|octets| octets == b"REGISTER sip:").count();
        assert_eq!(requests, opened, "{capture}");
    }
    // Its keys are found by the integrity check alone.
    let keys = ["--ck", &"0c".repeat(16), "--ik", &"f4".repeat(16)];
    for (capture, opened) in [("null-link.pcap", 1), ("spi-reused.pcap", 2), ("udp4500.pcap", 2)] {
        let input = path(capture);
        let arguments = [&keys[..], &["-o", output.to_str().unwrap(), &input]].concat();
        let told = run("gm_trace", &arguments, "").stdout;
        assert!(text(&told).contains(&format!("{opened} ESP packets opened")), "{capture}: {}", text(&told));
    }
}

/// The keys of the challenges in `examples/data`.
const AKA: [&str; 8] = [
    "--ck",
    "b40ba9a3c58b2a05bbf0d987b21bf8cb",
    "--ik",
    "f769bcd751044604127672711c6d3441",
    "--ck",
    "58c433ff7a7082acd424220f2b67c556",
    "--ik",
    "21a8c1f929702adb3e738488b9f5c5da",
];

#[test]
fn gm_trace_finds_registrations_over_time_and_opens_everything() {
    let folder = folder("gm_trace");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for (suite, sets) in [
        (None, 10),
        (Some("null+aes-gcm"), 1),
        (Some("aes-gmac+null"), 1),
        (Some("hmac-md5-96+des-ede3-cbc"), 1),
    ] {
        let mut options = vec!["--out", folder.to_str().unwrap()];
        match suite {
            None => options.push("--all"),
            Some(suite) if suite.contains("gcm") || suite.contains("gmac") => {
                options.extend(["--phone", "release-13", "--transport", "tcp", "--suite", suite]);
            }
            Some(suite) => options.extend(["--phone", "samsung", "--family", "6", "--suite", suite]),
        }
        assert!(run("registration", &options, "").status.success());
        let (input, output) = (at("registration.pcap"), at("plain.pcap"));
        let run_it = |more: &[&str]| run("gm_trace", &[&["-o", &output, &input], more].concat(), "");
        let told = run_it(&[&AKA[..], &["--strict"]].concat());
        let report = text(&told.stdout);
        assert!(told.status.success(), "{report}");
        assert_eq!(report.matches("  SM6  401 to ").count(), sets, "{report}");
        assert_eq!(report.lines().filter(|line| line.starts_with("set ")).count(), sets);
        let plain = read(Path::new(&output)).1;
        let esp = read(Path::new(&input))
            .1
            .iter()
            .filter(|packet| packet[if packet[0] >> 4 == 4 { 9 } else { 6 }] == 50)
            .count();
        assert!(report.contains(&format!("{esp} ESP packets opened")) && esp > 7, "{report}");
        assert!(plain.iter().all(|packet| packet[if packet[0] >> 4 == 4 { 9 } else { 6 }] != 50));
        let rows = std::fs::read_to_string(format!("{output}.esp_sa")).unwrap();
        assert!(
            rows.lines().count() >= 2 * sets && rows.lines().all(|row| row.matches("\",\"").count() == 7)
        );

        // Without the messages, the SAs are found by their packets.
        let lone: Vec<_> = read(Path::new(&input))
            .1
            .into_iter()
            .filter(|packet| packet[if packet[0] >> 4 == 4 { 9 } else { 6 }] == 50)
            .collect();
        write(&folder.join("lone.pcap"), DataLink::RAW, &lone);
        let told = run(
            "gm_trace",
            &[&["-o", &at("lone-plain.pcap"), "--strict", &at("lone.pcap")], &AKA[..]].concat(),
            "",
        );
        assert!(
            told.status.success() && text(&told.stdout).contains("found by its ICV"),
            "{}",
            text(&told.stdout)
        );
        let plain_of_lone = read(Path::new(&at("lone-plain.pcap"))).1;
        let of_all: Vec<_> = plain.iter().filter(|packet| plain_of_lone.contains(packet)).collect();
        assert_eq!((plain_of_lone.len(), of_all.len()), (esp, esp));

        // Keys of somebody else are distinguished, and nothing is written that was not there.
        let wrong = ["--ck", "00112233445566778899aabbccddeeff", "--ik", &"22".repeat(16)];
        let told = run_it(&wrong);
        assert_eq!(told.status.code(), Some(3), "{}", text(&told.stdout));
        // Of AES-GCM and AES-GMAC, both keys are in what authenticates.
        let ck = if suite.is_some_and(|suite| suite.contains("null+aes") || suite.contains("gmac")) {
            3
        } else {
            4
        };
        let other = "0123456789abcdef".repeat(2).replacen('0', "1", 1);
        let told = run_it(&["--ck", &other, "--ik", AKA[3], "--ck", &other, "--ik", AKA[7]]);
        assert_eq!(told.status.code(), Some(ck), "{}", text(&told.stdout));
        let keys = at("keys");
        std::fs::write(&keys, format!("# IMPI CK IK\n001010000000001@ims.mnc001.mcc001.3gppnetwork.org {} 0x{}\n001010000000002@ims.mnc001.mcc001.3gppnetwork.org,{},{}\n", AKA[1], AKA[3], AKA[1], AKA[3])).unwrap();
        let again = format!(
            "001010000000001@ims.mnc001.mcc001.3gppnetwork.org {} {}\n001010000000002@ims.mnc001.mcc001.3gppnetwork.org {} {}\n",
            AKA[5], AKA[7], AKA[5], AKA[7]
        );
        let both = std::fs::read_to_string(&keys).unwrap() + &again;
        std::fs::write(&keys, both).unwrap();
        assert!(run_it(&["--strict", "--keys", &keys]).status.success());
        assert_refused(&run_it(&["--ck", AKA[1]]), "go in pairs");
        assert_refused(&run_it(&["--ck", "12", "--ik", AKA[3]]), "16");
    }
}

#[test]
fn gm_trace_is_not_misled_by_copies_junk_and_names() {
    let folder = folder("gm_trace-copies");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    assert!(run("registration", &["--all", "--out", folder.to_str().unwrap()], "").status.success());
    let packets = read(Path::new(&at("registration.pcap"))).1;
    let is_esp = |packet: &Vec<u8>| packet[if packet[0] >> 4 == 4 { 9 } else { 6 }] == 50;
    let esp = packets.iter().filter(|packet| is_esp(packet)).count();
    let trace = |name: &str, more: &[&str]| {
        let told = run("gm_trace", &[&["-o", &at("out.pcap"), &at(name)], &AKA[..], more].concat(), "");
        (told.status.code(), text(&told.stdout).to_owned() + text(&told.stderr))
    };
    // Captured twice, and sent twice: every copy is a replay, and sets nothing up.
    let twice = [packets.clone(), packets.clone()].concat();
    write(&folder.join("twice.pcap"), DataLink::RAW, &twice);
    let told = trace("twice.pcap", &AKA).1;
    assert!(told.contains(&format!("{esp} ESP packets opened")), "{told}");
    assert!(told.contains(&format!("{esp} seen before")), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("set ")).count(), 10, "{told}");
    // Forged packets in front of those of SAs that no message tells of.
    let genuine: Vec<_> = packets.iter().filter(|packet| is_esp(packet)).cloned().collect();
    let mut forged: Vec<_> = genuine.iter().take(12).cloned().collect();
    forged.iter_mut().for_each(|packet| *packet.last_mut().unwrap() ^= 1);
    write(&folder.join("junk.pcap"), DataLink::RAW, &[forged, genuine].concat());
    let told = trace("junk.pcap", &[]).1;
    assert!(told.contains(&format!("{esp} ESP packets opened")), "{told}");
    // What is of no whole datagram is written as it was.
    let mut fragment = packets[0].clone();
    fragment[6..8].copy_from_slice(&0x2000_u16.to_be_bytes());
    let mut alone = packets.iter().find(|packet| is_esp(packet)).unwrap().clone();
    alone[6..8].copy_from_slice(&0x2000_u16.to_be_bytes());
    for packet in [&mut fragment, &mut alone] {
        packet[10..12].fill(0);
        let words = packet[..20].as_chunks::<2>().0;
        let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let odd = vec![fragment, alone, packets[1].clone()];
    write(&folder.join("fragments.pcap"), DataLink::RAW, &odd);
    let told = trace("fragments.pcap", &[]).1;
    let mut written = read(Path::new(&at("out.pcap"))).1;
    written.sort();
    let mut expected = odd.clone();
    expected.sort();
    assert_eq!(written, expected, "{told}");
    assert!(told.contains("1 fragments of a datagram that is not complete"), "{told}");
    // A file by another name is still the file.
    std::fs::hard_link(at("registration.pcap"), at("out2.pcap")).unwrap();
    let told = run("gm_trace", &["-o", &at("out2.pcap"), &at("registration.pcap")], "");
    assert_refused(&told, "is read and written");
    assert_eq!(read(Path::new(&at("registration.pcap"))).1, packets);

    // What a capture sets up, each thing once; and what Wireshark is given is read back.
    let output = run("xfrm", &[&["--ip", &at("registration.pcap")], &AKA[..]].concat(), "");
    let lines: Vec<_> = text(&output.stdout).lines().filter(|line| line.contains(" add ")).collect();
    let names: BTreeSet<_> =
        lines.iter().map(|line| line.split(" reqid ").next().unwrap().split(" tmpl ").next()).collect();
    assert_eq!(names.len(), lines.len());
    let options = ["--phone", "release-13", "--suite", "null+aes-gcm", "--out", folder.to_str().unwrap()];
    assert!(run("registration", &options, "").status.success());
    let rows = run("xfrm", &[&["--wireshark", &at("registration.pcap")], &AKA[..]].concat(), "").stdout;
    let json = run("xfrm", &["--json", "-"], text(&rows));
    assert!(json.status.success() && text(&json.stdout).contains("aes-gcm"), "{}", text(&json.stderr));
}

#[test]
fn xfrm_turns_each_form_into_each_other() {
    let folder = folder("xfrm");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mechanism = |at: u32| {
        format!(
            "ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={at};spi-s={};port-c=6101;port-s=6100",
            at + 1
        )
    };
    let (client, server) = (mechanism(1111), mechanism(3333));
    let headers = [
        "--security-client",
        &client,
        "--security-server",
        &server,
        "--ue",
        "2001:db8::2",
        "--pcscf",
        "2001:db8::1",
    ];
    let of = |form: &str, more: &[&str]| {
        let output = run("xfrm", &[&[form], more].concat(), "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    let with_keys = [&headers[..], &AKA[..4]].concat();
    let json = of("--json", &with_keys);
    std::fs::write(at("sas.json"), &json).unwrap();
    std::fs::write(at("ip"), of("--ip", &with_keys)).unwrap();
    std::fs::write(at("rows"), of("--wireshark", &with_keys)).unwrap();
    // Lines for a kernel have what it receives first.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
        lines.sort();
        lines
    };
    for from in ["sas.json", "ip"] {
        assert_eq!(sorted(&of("--json", &[&at(from)])), sorted(&json), "{from}");
        let rows = of("--wireshark", &[&at("rows")]);
        assert_eq!(sorted(&of("--wireshark", &[&at(from)])), sorted(&rows), "{from}");
    }
    // Rows have no ports.
    let without_ports = |json: &str| {
        let mut json: Value = serde_json::from_str(json).unwrap();
        for sa in json["sas"].as_array_mut().unwrap() {
            for port in ["src_port", "dst_port"] {
                sa.as_object_mut().unwrap().remove(port);
            }
        }
        json
    };
    assert_eq!(without_ports(&of("--json", &[&at("rows")])), without_ports(&json));
    let lines = of(
        "--ip",
        &[
            &at("sas.json"),
            "--local",
            "2001:db8::1",
            "--window",
            "100",
            "--mark",
            "3/0xff",
            "--if-id",
            "0x10",
        ],
    );
    assert_eq!(lines.lines().count(), 8);
    assert!(lines.lines().all(|line| line.contains(" mark 0x3 mask 0xff") && line.contains(" if_id 16")));
    assert_eq!(lines.matches("replay-window 128").count(), 4);
    let undo = of("--ip", &[&["--undo"], &with_keys[..]].concat());
    assert_eq!((undo.lines().count(), undo.matches(" delete ").count()), (12, 12));

    // A log, and a capture.
    let log = format!(
        "10:00 sent:\n  REGISTER sip:ims SIP/2.0\n  Via: SIP/2.0/UDP [2001:db8::2]:5060;branch=z\n  To: <sip:1@ims>\n  Call-ID: 7\n  CSeq: 1 REGISTER\n  Security-Client: {client}\n\n10:01\n  SIP/2.0 401 Unauthorized\n  Via: SIP/2.0/UDP [2001:db8::2]:5060;branch=z\n  Call-ID: 7\n  CSeq: 1 REGISTER\n  Security-Server: {server}\n"
    );
    std::fs::write(at("log"), log).unwrap();
    assert_eq!(of("--json", &[&[&at("log"), "--pcscf", "2001:db8::1"], &AKA[..4]].concat()), json);
    assert!(run("registration", &["--all", "--out", folder.to_str().unwrap()], "").status.success());
    let of_capture = of("--json", &[&[&at("registration.pcap")[..]], &AKA[..]].concat());
    let sas: Value = serde_json::from_str(&of_capture).unwrap();
    assert_eq!(sas["sas"].as_array().unwrap().len(), 40);

    let refused = |arguments: &[&str], reason: &str| assert_refused(&run("xfrm", arguments, ""), reason);
    refused(&[], "usage");
    refused(&headers, "no keys are known");
    refused(&[&["--window", "5000"], &with_keys[..]].concat(), "32 to 4096");
    refused(&[&["--reqid", "0"], &with_keys[..]].concat(), "--reqid 0");
    refused(&[&["--ue", "10.0.0.2"], &with_keys[..2]].concat(), "go together");
    refused(&["absent"], "absent");
    std::fs::write(at("nonsense"), "hello\n").unwrap();
    refused(&[&at("nonsense")], "no SA");
}

#[test]
fn esp_pcap_seals_or_leaves_out_what_an_sa_is_for_and_never_passes_it_in_clear() {
    let folder = folder("esp_pcap-cut");
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    let Kernel { sas, plain, .. } = kernel("v4-hmac-sha-1-96+aes-cbc");
    let mut cut: Vec<Vec<u8>> = plain.iter().filter(|packet| packet.len() > 100).cloned().collect();
    cut.iter_mut().for_each(|packet| packet.truncate(96));
    write(&input, DataLink::RAW, &cut);
    let run = esp_pcap("seal", &sas, &input, &output, &["--strict"]);
    assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains(&format!("{} cut off", cut.len())));
    assert!(read(&output).1.is_empty());
    // Nor is a capture read and written at once.
    assert_refused(&esp_pcap("seal", &sas, &input, &input, &[]), "is read and written");
    assert_eq!(read(&input).1, cut);
}

#[test]
fn esp_pcap_says_what_is_wrong_with_its_input() {
    let folder = folder("esp_pcap-bad");
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    let Kernel { sas, esp, .. } = kernel("v4-hmac-md5-96+null");
    write(&input, DataLink::RAW, &esp);
    let refused = |sas: &str, input: &Path, more: &[&str], reason: &str| {
        assert_refused(&esp_pcap("open", sas, input, &output, more), reason);
    };
    refused(&sas, &folder.join("absent.pcap"), &[], "absent.pcap");
    refused("absent.json", &input, &[], "absent.json");
    refused(&sas, &input, &["--window", "16"], "replay window of 16 packets");
    refused(&sas, &input, &["--colour"], "--colour");
    refused(&sas, &input, &["more.pcap"], "usage");
    let pcapng = folder.join("in.pcapng");
    std::fs::write(&pcapng, [&0x0a0d_0d0a_u32.to_le_bytes()[..], &[0; 60]].concat()).unwrap();
    refused(&sas, &pcapng, &[], "no capture that can be read");
    let dialup = folder.join("ppp.pcap");
    write(&dialup, DataLink::PPP, &esp);
    let said = esp_pcap("open", &sas, &dialup, &output, &["--strict"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stderr).contains("have no IP datagram (link type PPP)"), "{}", text(&said.stderr));
    let good = json!({
        "src": "10.0.0.1", "dst": "10.0.0.2", "spi": 4096, "alg": "hmac-sha-1-96", "ealg": "aes-cbc",
        "ck": "00112233445566778899aabbccddeeff", "ik": "00112233445566778899aabbccddeeff",
    });
    let file = folder.join("sas.json");
    for (field, value, reason) in [
        ("src", json!("10.0.0.256"), "10.0.0.256 is not an address"),
        ("src", Value::Null, "no \"src\""),
        ("spi", json!(0), "SPI 0 is reserved"),
        ("spi", json!("0x100000000"), "SPI 0x100000000 is not a number of 32 bits"),
        ("spi", json!(true), "no \"spi\""),
        ("alg", json!("hmac-sha-2"), "alg hmac-sha-2"),
        ("ck", json!("0011"), "\"ck\" has 2 octets, not 16"),
        ("ck", json!("0g"), "\"ck\" is not of hexadecimal octets"),
        ("ik", Value::Null, "needs \"ck\" and \"ik\", or \"auth_key\" and \"enc_key\""),
        ("src_port", json!(5061), "\"src_port\""),
    ] {
        let mut sa = good.clone();
        sa[field] = value;
        std::fs::write(&file, json!({ "sas": [good.clone(), sa] }).to_string()).unwrap();
        refused(file.to_str().unwrap(), &input, &[], reason);
        refused(file.to_str().unwrap(), &input, &[], "SA 1");
    }
    std::fs::write(&file, "{").unwrap();
    refused(file.to_str().unwrap(), &input, &[], "sas.json");
}

/// Every program explains itself: all options, and an example that runs.
#[test]
fn every_program_explains_itself() {
    let sas = "--sas tests/data/kernel-esp/";
    for (program, options, example) in [
        (
            "registration",
            &["--all", "--phone", "--family", "--transport", "--suite", "--out"][..],
            "--phone iphone",
        ),
        ("esp_pcap", &["--sas", "--window", "--strict"], sas),
        ("sec_agree", &["--suite", "--confidentiality", "--json"], "echo 'Security-Client"),
        ("gm_trace", &["--ck", "--ik", "--keys", "-o", "--strict"], "registration.pcap"),
        (
            "xfrm",
            &["--ip", "--undo", "--wireshark", "--json", "--apply", "--remove"],
            "--security-client 'ipsec",
        ),
    ] {
        for option in ["--help", "-h"] {
            let output = run(program, &[option], "");
            let help = text(&output.stdout);
            assert!(output.status.success() && output.stderr.is_empty(), "{program} {option}");
            assert!(help.contains(&format!("usage: {program}")) && help.contains("example"), "{help}");
            assert!(options.iter().all(|option| help.contains(option)) && help.contains(example), "{help}");
            assert!(help.lines().all(|line| line.len() <= 106), "{help}");
        }
    }
}

#[test]
fn sec_agree_reads_every_sample_and_gives_the_reasons_of_its_choice() {
    let samples = include_str!("../../tests/data/header_samples.tsv").lines().skip(1);
    let lines: Vec<String> = samples
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            format!("Security-{}: {}\n\n", fields[1], fields[4])
        })
        .collect();
    let output = run("sec_agree", &["--json"], &lines.concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let objects: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), lines.len());
    assert!(
        objects.iter().zip(&lines).all(|(object, line)| line.starts_with(object["header"].as_str().unwrap()))
    );

    let phone = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=null;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100, tls;q=0.1, \
                 ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1111;spi-s=2222;port-c=6101;port-s=0";
    let suites = ["--json", "--suite", "hmac-sha-1-96+aes-cbc", "--suite", "hmac-sha-1-96+null"];
    let output = run("sec_agree", &suites, phone);
    assert!(output.status.success());
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["selected"]["suite"], "hmac-sha-1-96+null");
    assert_eq!(object["selected"]["port-s"], 6100);
    assert_eq!(object["suites"][0]["verdict"], "not offered");
    assert_eq!(object["offers"][2]["passed over"], "port-s: 0 is not a port");
    assert_eq!(object["mechanisms"][1], json!({ "name": "tls", "q": 0.1 }));

    // The same for people.
    let output = run("sec_agree", &suites[1..], phone);
    assert!(output.status.success());
    let said = text(&output.stdout);
    for line in [
        "Security-Client, as the P-CSCF reads it",
        "  0. ipsec-3gpp with hmac-sha-1-96+null",
        "     passed over: port-s: 0 is not a port",
        "     hmac-sha-1-96+aes-cbc       not offered",
        "  selected: hmac-sha-1-96+null, mechanism 0",
    ] {
        assert!(said.lines().any(|said| said == line), "{said:?} does not say {line:?}");
    }

    let required = run("sec_agree", &["--json", "--confidentiality", "required"], phone);
    let object: Value = serde_json::from_slice(&required.stdout).unwrap();
    assert_eq!(object["selected"], Value::Null);
}

#[test]
fn sec_agree_takes_whole_messages_and_joins_the_rows_of_a_header() {
    let one = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    let other = one.replace("sha-1", "md5").replace("hmac-md5-96", "hmac-md5-96;ealg=aes-cbc");
    let message = format!(
        "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.16:5060\r\nsecurity-client: {one}\r\n\
         Require: sec-agree\r\nSecurity-Client : {}\r\n {}\r\nSecurity-Verify: {one}\r\n\
         Content-Length: 30\r\n\r\nSecurity-Client: not a header\r\n",
        &other[..27],
        &other[27..]
    );
    let again = format!("SIP/2.0 401 Unauthorized\r\nSecurity-Server: {one}\r\n\r\n");
    // As standard input, and as files.
    let folder = folder("sec_agree-messages");
    let files = [("register.sip", &message), ("401.sip", &again)].map(|(name, text)| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    });
    let from_files = run("sec_agree", &["--json", &files[0], &files[1]], "");
    let output = run("sec_agree", &["--json"], &(message + &again));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(output.stdout, from_files.stdout);
    let objects: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |object: &Value| (object["header"].clone(), object["mechanisms"].as_array().unwrap().len());
    assert_eq!(
        objects.iter().map(of).collect::<Vec<_>>(),
        [(json!("Security-Client"), 2), (json!("Security-Verify"), 1), (json!("Security-Server"), 1)]
    );
    assert_eq!(objects[0]["selected"]["suite"], "hmac-md5-96+aes-cbc");
}

#[test]
fn sec_agree_takes_folded_lines_and_is_not_misled_by_values_and_bodies() {
    let one = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    // A header line without a message, folded.
    let folded = run(
        "sec_agree",
        &["--json"],
        &one.replace("spi-s", "\r\n spi-s").replace("ipsec", "Security-Server: ipsec"),
    );
    let object: Value = serde_json::from_slice(&folded.stdout).unwrap();
    assert_eq!(
        (&object["header"], &object["mechanisms"][0]["spi-s"]),
        (&json!("Security-Server"), &json!(2222))
    );
    // A value that looks like a start line, and a body that is a message.
    let message = format!(
        "NOTIFY sip:a@example.org SIP/2.0\r\nSecurity-Client: {one}\r\nSubject: I love SIP/2.0\r\n\
         Security-Client: tls\r\n\r\nSubject: SIP/2.0\r\nSecurity-Server: {one}\r\n"
    );
    let output = run("sec_agree", &["--json"], &message);
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["mechanisms"].as_array().unwrap().len(), 2);
    // A file of header lines after a file with a message.
    let folder = folder("sec_agree-files");
    let (first, second) = (folder.join("first"), folder.join("second"));
    std::fs::write(&first, &message).unwrap();
    std::fs::write(&second, format!("Security-Verify: {one}")).unwrap();
    let output = run("sec_agree", &["--json", first.to_str().unwrap(), second.to_str().unwrap()], "");
    assert_eq!(text(&output.stdout).lines().count(), 2);
}

#[test]
fn sec_agree_fails_on_what_it_cannot_read() {
    let options = ["--json"];
    let output = run("sec_agree", &options, "Security-Server:  \n\nipsec-3gpp;alg=hmac-sha-1-96\n");
    assert_refused(&output, "1 headers could not be read");
    assert_eq!(text(&output.stdout).lines().count(), 2, "the other header is read all the same");
    let output = run_octets("sec_agree", &options, b"\xff\n\nipsec-3gpp;alg=hmac-sha-1-96\n");
    assert!(output.status.success() && text(&output.stdout).contains("\"malformed\""));
    assert_refused(&run("sec_agree", &[], "Via: SIP/2.0/UDP 10.1.0.16\n"), "no Security-Client");
    assert_refused(&run("sec_agree", &["/nonexistent"], ""), "/nonexistent");
    assert_refused(&run("sec_agree", &["--suite", "aes"], ""), "--suite aes");
    assert_refused(&run("sec_agree", &["--confidentiality", "no"], ""), "--confidentiality no");
    let upside_down = ["--suite", "hmac-sha-1-96+null", "--suite", "hmac-sha-1-96+aes-cbc"];
    assert_refused(&run("sec_agree", &upside_down, ""), "listed above");
}

#[test]
fn registration_shows_one_phone_on_a_screen() {
    let folder = folder("registration-one");
    let output = run("registration", &["--out", folder.to_str().unwrap()], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let shown: Vec<&str> = shown.lines().filter(|line| !line.contains(folder.to_str().unwrap())).collect();
    assert!(shown.len() <= 38 && shown.iter().all(|line| line.len() <= 100), "{shown:#?}");
    for value in ["Security-Client, 6", "Security-Server, 4", "Security-Verify, 4", "compared", "SM12 200 OK"]
    {
        assert!(shown.iter().any(|line| line.contains(value)), "{value}");
    }
}

#[test]
fn registration_runs_for_every_phone_family_and_transport() {
    let folder = folder("registration");
    let out = folder.to_str().unwrap();
    for phone in ["samsung", "iphone", "xiaomi", "huawei", "sequential", "release-13"] {
        for (family, transport) in [("4", "udp"), ("4", "tcp"), ("6", "udp"), ("6", "tcp")] {
            let arguments =
                ["--all", "--phone", phone, "--family", family, "--transport", transport, "--out", out];
            let output = run("registration", &arguments, "");
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
            assert!(text(&output.stdout).matches("0 SAs left, 0 contacts, 0 SPIs").count() == 2);
            let (link, packets, _) = read(&folder.join("registration.pcap"));
            assert_eq!(link, DataLink::RAW);
            let esp = packets.iter().filter(|packet| packet[if family == "4" { 9 } else { 6 }] == 50).count();
            assert!(esp >= 14, "{esp} packets of ESP");
            assert_eq!(
                std::fs::read_to_string(folder.join("registration.esp_sa")).unwrap().lines().count(),
                20
            );
        }
    }
}

/// The whole life of a phone over AES-GCM and over AES-GMAC.
#[test]
fn registration_runs_over_aes_gcm_and_aes_gmac() {
    let folder = folder("registration-gcm");
    let out = folder.to_str().unwrap();
    for suite in ["null+aes-gcm", "aes-gmac+null"] {
        for family in ["4", "6"] {
            for transport in ["udp", "tcp"] {
                let arguments = ["--all", "--phone", "release-13", "--suite", suite, "--family", family];
                let output = run(
                    "registration",
                    &[&arguments[..], &["--transport", transport, "--out", out]].concat(),
                    "",
                );
                let timeline = text(&output.stdout);
                assert!(output.status.success(), "{suite}: {}", text(&output.stderr));
                assert!(timeline.contains(&format!("the P-CSCF selects {suite};")), "{timeline}");
                let rows = std::fs::read_to_string(folder.join("registration.esp_sa")).unwrap();
                let row = if suite == "null+aes-gcm" {
                    "\"AES-GCM with 16 octet ICV [RFC4106]\",\"0xb40ba9a3c58b2a05bbf0d987b21bf8cb89273db6\",\"NULL\",\"\""
                } else {
                    "\"NULL\",\"\",\"ANY 128 bit authentication [no checking]\""
                };
                assert!(rows.contains(row), "{rows}");
            }
        }
    }
}

/// Those of the header samples that a phone sent, and what they do at our P-CSCF: all that happens
/// to a phone, with protected ports 5060 and 5061 among them, or a refusal with its reason.
#[test]
fn registration_runs_for_every_phone_of_the_header_samples() {
    let folder = folder("registration-samples");
    let out = folder.to_str().unwrap();
    let samples = include_str!("../../tests/data/header_samples.tsv");
    let mut phones = 0;
    for sample in samples.lines().skip(1) {
        let columns: Vec<&str> = sample.split('\t').collect();
        let (id, header, value) = (columns[0], columns[1], columns[4]);
        if !header.contains("Client") {
            continue;
        }
        phones += 1;
        let output = run("registration", &["--all", "--security-client", value, "--out", out], "");
        let refused = match id {
            "hex-spi" => "mechanism 0: spi-c: \"0x00000001\" is not a value of it",
            "tinysip-2" => "mechanism 0: not ipsec-3gpp; mechanism 1: not ipsec-3gpp",
            _ => {
                let (printed, error) = (text(&output.stdout), text(&output.stderr));
                assert!(output.status.success(), "{id}: {error}");
                let suite = match id {
                    "samsung-jp-uq" | "boghe" => "hmac-sha-1-96+null",
                    "imsclient4" => "hmac-md5-96+null",
                    "tinysip-1" => "hmac-md5-96+aes-cbc",
                    _ => "hmac-sha-1-96+aes-cbc",
                };
                assert!(printed.contains(&format!("the P-CSCF selects {suite};")), "{id}");
                continue;
            }
        };
        let list = "no usable mechanism in the peer's list";
        let reason = format!("the P-CSCF refuses SM1: 494 Security Agreement Required: {list}: {refused}");
        assert_refused(&output, &reason);
    }
    assert_eq!(phones, 13);
}

#[test]
fn registration_says_what_is_wrong_with_its_options() {
    let out = folder("registration-options");
    for (arguments, reason) in [
        (["--phone", "nokia"], "--phone nokia"),
        (["--family", "5"], "--family 5"),
        (["--transport", "sctp"], "--transport sctp"),
        (["--suite", "aes-ctr"], "--suite aes-ctr"),
        (["--out", "/nonexistent"], "/nonexistent"),
        (["--help-me", "now"], "--help-me"),
    ] {
        let mut all = vec!["--out", out.to_str().unwrap()];
        all.extend(arguments);
        assert_refused(&run("registration", &all, ""), reason);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "nothing is written before all is read");
    }
    // A phone that offers no encryption, where the P-CSCF requires it.
    let out = folder("registration-refused");
    let arguments =
        ["--phone", "iphone", "--suite", "hmac-sha-1-96+des-ede3-cbc", "--out", out.to_str().unwrap()];
    let output = run("registration", &arguments, "");
    assert_refused(&output, "the P-CSCF answers 494 Security Agreement Required");
}

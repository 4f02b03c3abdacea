//! Datagrams in clear: whatever another parser can read to a protected port, is protected or an
//! error; and no walk over headers panics.
#![no_main]

use std::net::SocketAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ipsec_3gpp::esp::IpError;
use ipsec_3gpp::fragments::{Fragments, Reassembly, ReassemblyLimits};
use ipsec_3gpp::sa::peek;
use ipsec_3gpp::{Moment, Sad};
use libfuzzer_sys::fuzz_target;

fn own() -> [SocketAddr; 2] {
    ["10.0.0.1:50002".parse().unwrap(), "[2001:db8::1]:50002".parse().unwrap()]
}

thread_local! {
    static SAD: std::cell::RefCell<Sad> = std::cell::RefCell::new(Sad::new().with_protected(own()));
}

fuzz_target!(|data: &[u8]| {
    // Addresses and length are right, so that what comes after them is reached.
    let mut packet = data.to_vec();
    let len = packet.len().min(2000);
    packet.truncate(len);
    match packet.first().map(|octet| octet >> 4) {
        Some(4) if len >= 20 => {
            packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            packet[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
        }
        Some(_) if len >= 40 => {
            packet[0] = 0x60;
            packet[4..6].copy_from_slice(&(len as u16 - 40).to_be_bytes());
            packet[8..40].copy_from_slice(
                b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
            );
        }
        _ => {}
    }
    SAD.with_borrow_mut(|sad| {
        let verdict = sad.is_protected(&packet);
        let mut out = [0; 2100];
        assert!(sad.seal(&packet, &mut out).is_err() && sad.target(&packet).is_err());
        assert!(sad.open(&packet, &mut out).is_err());
        let _ = peek(&packet);
        let _ = Fragments::new(&packet, 1280, 1);
        let received = Reassembly::new(ReassemblyLimits::DEFAULT).receive(&packet, Moment::from_millis(0));
        if verdict.is_ok() {
            // It verifies the checksum of IPv4, and counts all extension headers.
            let expected = [IpError::Checksum, IpError::Extensions].map(|error| Err(error.into()));
            assert!(received.is_ok() || expected.contains(&received), "{received:?}");
        }
        let Ok(sliced) = SlicedPacket::from_ip(&packet) else { return };
        let is_fragment = match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => ip.header().is_fragmenting_payload(),
            Some(NetSlice::Ipv6(ip)) => ip.is_payload_fragmented(),
            _ => return,
        };
        let to = match &sliced.transport {
            Some(TransportSlice::Udp(udp)) => [udp.source_port(), udp.destination_port()],
            Some(TransportSlice::Tcp(tcp)) => [tcp.source_port(), tcp.destination_port()],
            _ => return,
        };
        if is_fragment {
            assert!(verdict.is_err());
        } else if to[1] == 50002 {
            assert_ne!(verdict, Ok(false), "a protected port in clear");
        }
    });
});

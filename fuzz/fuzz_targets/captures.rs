//! Captures of any octets: read, followed, and written again.
#![no_main]

use std::io::Cursor;

use ipsec_3gpp_tools::capture::{Datagram, Held, Input, Item, Taken, Whole};
use ipsec_3gpp_tools::summary::Summary;
use ipsec_3gpp_tools::table::Outcome;
use ipsec_3gpp_tools::trace::{KeyPair, Keys, Trace};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(mut input) = Input::new("input".into(), Box::new(Cursor::new(octets.to_vec())), None) else {
        return;
    };
    let mut keys = Keys::default();
    let pair = KeyPair::read(&"0c".repeat(16), &"f4".repeat(16), "here".into());
    keys.give(pair.expect("32 digits"));
    let (mut trace, mut held, mut summary) = (Trace::new(keys), Held::default(), Summary::default());
    let mut packets = 0_u64;
    while let Ok(Some(item)) = input.next() {
        let Item::Packet(packet) = item else { continue };
        packets += 1;
        assert_eq!(packet.frame, packets);
        let Some(datagram) = Datagram::of(&packet) else { continue };
        let Taken::Whole(Whole { datagram, before }) = held.take_esp(&packet, datagram) else { continue };
        assert!(before.iter().all(|one| one.frame < packet.frame));
        match datagram.spi() {
            Some(name) => match trace.esp(packet.time, packet.frame, name, &datagram.octets) {
                Outcome::Opened(by, _) => assert!(datagram.replaced(&packet, &by).ends_with(&by)),
                Outcome::Refused(reason) => summary.refuse(reason.text(), packet.frame),
            },
            None => trace.clear(packet.time, packet.frame, None, &datagram.octets),
        }
    }
    assert!(summary.refused() + held.incomplete() <= packets);
    assert!(held.rest().len() as u64 <= packets);
    let _ = (summary.to_string(), trace.table.wrong_keys());
});

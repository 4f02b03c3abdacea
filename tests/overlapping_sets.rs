//! Sets whose outbound selectors, and even SPIs, are those of other sets: which of them sends,
//! against a list.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{
    Endpoint, Ends, Inbound, InstalledSet, OpenJob, Outbound, Overlap, SaName, SaSet, SealError, Side,
    WindowSize,
};
use ipsec_3gpp::{Ck, Ik, Sad, Suite};
use proptest::prelude::*;
use support::{addresses, setup, udp};

/// Every other set has AES-GCM, if that is there.
fn suite(number: usize) -> Suite {
    if number.is_multiple_of(2) { Suite::HMAC_SHA_1_96_NULL } else { *Suite::ALL.last().unwrap() }
}

/// A set of the P-CSCF, with keys and SPIs of its own; the UE's ports and SPIs are few.
struct Known {
    number: usize,
    set: SaSet,
    installed: InstalledSet,
    waits: bool,
    /// The UE's SAs of the set, in the order of [`SaName::of`].
    peers: [Outbound; 2],
}

impl Known {
    fn set(number: usize, ue_spi: u32, client: u16, pcscf_client: u16) -> SaSet {
        let (ue, pcscf) = addresses(false);
        let own = 10_000 + 2 * number as u32;
        let keys = SaKeys::expand(suite(number), &Ck::new([1; 16]), &Ik::new([number as u8; 16])).unwrap();
        SaSet::new(
            Endpoint { address: ue, setup: setup(ue_spi, ue_spi + 1, 40_001 + client, 40_000) },
            Endpoint { address: pcscf, setup: setup(own, own + 1, 50_001 + pcscf_client, 50_000) },
            keys,
        )
        .unwrap()
    }

    /// A packet of the UE's over one of its two SAs.
    fn packet(&mut self, over: usize) -> Vec<u8> {
        let selector = self.peers[over].selector();
        let ipsec_3gpp::sa::Ports::Exact { source, destination } = selector.ports else { panic!() };
        let plain = udp((selector.source, source), (selector.destination, destination), b"x");
        let mut packet = vec![0; plain.len() + 64];
        let range = self.peers[over].seal(&plain, &mut packet).unwrap().range;
        packet[range].to_vec()
    }

    /// Whether the UE opens what was sealed with an SA of this set.
    fn opens(&self, name: SaName, packet: &mut [u8]) -> bool {
        Inbound::new(&self.set.sa(name), WindowSize::default()).open_in_place(packet).is_ok()
    }
}

/// The two selectors that a set sends with, among the four that there are.
fn selectors(ends: &Ends) -> [usize; 2] {
    let (ue, pcscf) = (ends.ue.setup.ports, ends.pcscf.setup.ports);
    [usize::from(ue.client.get() - 40_001), 2 + usize::from(pcscf.client.get() - 50_001)]
}

/// The set is the last one, the one that sends, of its selectors.
fn takes(senders: &mut [Vec<usize>; 4], known: &mut Known) {
    known.waits = false;
    for place in selectors(known.set.ends()) {
        senders[place].retain(|other| *other != known.number);
        senders[place].push(known.number);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Add {
        ue_spi: u32,
        client: u16,
        pcscf_client: u16,
    },
    Take(usize),
    Arrives {
        set: usize,
        over: usize,
        forged: bool,
        batch: bool,
    },
    /// In one batch: sets, and which SA of each.
    Together(Vec<(usize, usize)>),
    Remove(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let flag = any::<bool>;
    prop_oneof![
        4 => (0_u32..2, 0_u16..2, 0_u16..2).prop_map(|(spi, client, pcscf_client)| Op::Add {
            ue_spi: 1001 + 10 * spi,
            client,
            pcscf_client
        }),
        2 => (0_usize..8).prop_map(Op::Take),
        3 => (0_usize..8, 0_usize..2, flag(), flag())
            .prop_map(|(set, over, forged, batch)| Op::Arrives { set, over, forged, batch }),
        2 => proptest::collection::vec((0_usize..8, 0_usize..2), 2..12).prop_map(Op::Together),
        3 => (0_usize..8).prop_map(Op::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_set_that_sends_is_the_one_that_a_list_says(ops in proptest::collection::vec(op(), 1..60)) {
        let mut sad = Sad::new();
        let mut sets: Vec<Known> = Vec::new();
        // For each selector, the numbers of the sets that have it; the last one sends.
        let mut senders: [Vec<usize>; 4] = Default::default();
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Add { ue_spi, client, pcscf_client } => {
                    let set = Known::set(number, ue_spi, client, pcscf_client);
                    let places = selectors(set.ends());
                    let waits = places.iter().any(|place| !senders[*place].is_empty());
                    let overlaps = sets.iter().map(|other| set.ends().overlap(other.set.ends(), Side::Pcscf));
                    let overlap = overlaps.max().unwrap_or_default();
                    prop_assert!(!waits || overlap != Overlap::Apart);
                    let installed = sad.add_set(&set, Side::Pcscf).unwrap();
                    for place in places {
                        senders[place].insert(0, number);
                    }
                    let peers = SaName::of(Side::Pcscf).0.map(|name| Outbound::new(&set.sa(name)));
                    sets.push(Known { number, set, installed, waits, peers });
                }
                Op::Take(which) => {
                    let Some(known) = sets.get_mut(which) else { continue };
                    prop_assert!(sad.use_set(&known.installed));
                    takes(&mut senders, known);
                }
                Op::Arrives { set, over, forged, batch } => {
                    let Some(known) = sets.get_mut(set) else { continue };
                    let mut packet = known.packet(over);
                    *packet.last_mut().unwrap() ^= u8::from(forged);
                    let opened = if batch {
                        let mut jobs = [OpenJob::in_place(&mut packet)];
                        sad.open_batch(&mut jobs);
                        jobs[0].result().unwrap().is_ok()
                    } else {
                        sad.open_in_place(&mut packet).is_ok()
                    };
                    prop_assert_eq!(opened, !forged);
                    if opened && known.waits {
                        takes(&mut senders, known);
                    }
                }
                Op::Together(all) => {
                    let all: Vec<_> = all.into_iter().filter(|(set, _)| *set < sets.len()).collect();
                    let mut packets: Vec<_> = all.iter().map(|(set, over)| sets[*set].packet(*over)).collect();
                    let mut jobs: Vec<_> = packets.iter_mut().map(|packet| OpenJob::in_place(packet)).collect();
                    sad.open_batch(&mut jobs);
                    prop_assert!(jobs.iter().all(|job| job.datagram().is_some()));
                    for (set, _) in all {
                        if sets[set].waits {
                            takes(&mut senders, &mut sets[set]);
                        }
                    }
                }
                Op::Remove(which) => {
                    if which >= sets.len() {
                        continue;
                    }
                    let known = sets.remove(which);
                    prop_assert_eq!(sad.remove_ends(known.set.ends(), Side::Pcscf), 4);
                    // It may be repeated, and touches nothing else.
                    prop_assert_eq!(sad.remove_ends(known.set.ends(), Side::Pcscf), 0);
                    prop_assert!(!sad.use_set(&known.installed));
                    senders.iter_mut().for_each(|all| all.retain(|other| *other != known.number));
                }
            }
            prop_assert_eq!(sad.len(), 4 * sets.len());
            for (place, of_place) in senders.iter().enumerate() {
                let (name, source, destination) = match place {
                    0 | 1 => (SaName::PcscfServerToUeClient, 50_000, 40_001 + place as u16),
                    _ => (SaName::PcscfClientToUeServer, 50_001 + place as u16 - 2, 40_000),
                };
                let (ue, pcscf) = addresses(false);
                let plain = udp((pcscf, source), (ue, destination), b"y");
                let mut packet = vec![0; 200];
                let sealed = sad.seal(&plain, &mut packet);
                let Some(number) = of_place.last() else {
                    prop_assert!(matches!(sealed, Err(SealError::NoSa(_))));
                    continue;
                };
                let known = sets.iter().find(|known| known.number == *number).unwrap();
                prop_assert!(known.opens(name, &mut packet[sealed.unwrap().range]), "selector {}", place);
            }
            prop_assert!(sets.iter().all(|known| sad.holds(known.set.ends(), Side::Pcscf)));
        }
        for known in &sets {
            prop_assert!(sad.remove_set(&known.installed));
        }
        prop_assert!(sad.is_empty());
    }
}

#[test]
fn an_sa_that_lost_its_set_is_not_taken_for_one_of_a_later_set() {
    // The inbound SAs go one by one; their slots and the ports come again, with the same SPIs.
    let mut sad = Sad::new();
    let first = Known::set(1, 1001, 0, 0);
    let installed = sad.add_set(&first, Side::Pcscf).unwrap();
    for id in installed.inbound() {
        sad.remove_inbound(id).unwrap();
    }
    let second = Known::set(2, 1001, 0, 0);
    sad.add_set(&second, Side::Pcscf).unwrap();
    assert_eq!(sad.remove_ends(second.ends(), Side::Pcscf), 4);
    assert_eq!(sad.remove_ends(first.ends(), Side::Pcscf), 2);
    assert!(sad.is_empty());
}

#[test]
fn a_set_that_lost_its_outbound_sas_takes_none_of_another_into_use() {
    let mut sad = Sad::new();
    let first = Known::set(1, 1001, 0, 0);
    sad.add_set(&first, Side::Pcscf).unwrap();
    let waits = Known::set(2, 1001, 0, 0);
    let installed = sad.add_set(&waits, Side::Pcscf).unwrap();
    for id in installed.outbound() {
        sad.remove_outbound(id).unwrap();
    }
    // A third set has the slots, and waits too.
    let third = Known::set(3, 1001, 0, 0);
    sad.add_set(&third, Side::Pcscf).unwrap();
    let sa = waits.sa(SaName::UeClientToPcscfServer);
    let (ue, pcscf) = addresses(false);
    let plain = udp((ue, 40_001), (pcscf, 50_000), b"x");
    let mut packet = vec![0; plain.len() + 64];
    let range = Outbound::new(&sa).seal(&plain, &mut packet).unwrap().range;
    assert!(sad.open_in_place(&mut packet[range]).is_ok());
    let answer = udp((pcscf, 50_000), (ue, 40_001), b"y");
    let mut packet = vec![0; 200];
    let range = sad.seal(&answer, &mut packet).unwrap().range;
    let of_first = first.sa(SaName::PcscfServerToUeClient);
    assert!(Inbound::new(&of_first, WindowSize::default()).open_in_place(&mut packet[range]).is_ok());
}

#[test]
fn a_packet_that_is_opened_into_another_buffer_takes_its_set_into_use_too() {
    let mut sad = Sad::new();
    sad.add_set(&Known::set(1, 1001, 0, 0), Side::Pcscf).unwrap();
    let waits = Known::set(2, 1001, 0, 0);
    sad.add_set(&waits, Side::Pcscf).unwrap();
    let (ue, pcscf) = addresses(false);
    let plain = udp((ue, 40_001), (pcscf, 50_000), b"x");
    let mut packet = vec![0; plain.len() + 64];
    let range =
        Outbound::new(&waits.sa(SaName::UeClientToPcscfServer)).seal(&plain, &mut packet).unwrap().range;
    let answer = udp((pcscf, 50_000), (ue, 40_001), b"y");
    let mut of_waiting = Inbound::new(&waits.sa(SaName::PcscfServerToUeClient), WindowSize::default());
    let mut answered = |sad: &mut Sad| {
        let mut packet = vec![0; 200];
        let range = sad.seal(&answer, &mut packet).unwrap().range;
        of_waiting.open_in_place(&mut packet[range]).is_ok()
    };
    assert!(!answered(&mut sad));
    assert!(sad.open(&packet[range], &mut [0; 200]).is_ok());
    assert!(answered(&mut sad));
}

#[test]
fn sets_overlap_by_selector_or_by_destination_and_spi() {
    let first = Known::set(0, 1000, 0, 0);
    for (other, overlap) in [
        (Known::set(1, 2000, 1, 1), Overlap::Apart),
        (Known::set(1, 2000, 0, 1), Overlap::Selectors),
        (Known::set(1, 2000, 1, 0), Overlap::Selectors),
        (Known::set(1, 1000, 1, 1), Overlap::Spis),
        (Known::set(1, 1000, 0, 0), Overlap::Spis),
    ] {
        assert_eq!(first.ends().overlap(other.ends(), Side::Pcscf), overlap);
        assert_eq!(other.ends().overlap(first.ends(), Side::Pcscf), overlap);
    }
}

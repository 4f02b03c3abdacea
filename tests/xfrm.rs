//! What `export::xfrm` makes, against what iproute2 makes and what another crate reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of another crate")]

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipsec_3gpp::export::xfrm::{
    Acknowledge, Change, Changes, KernelWindow, Mapping, Mark, Owner, Reply, StateId, Subject, replies,
};
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Endpoint, SaName, SaSet, Side, WindowSize};
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::{Ck, Ik, Suite};
use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_xfrm::{Address, MappingMessage, UserMapping, UserSaId, XfrmMessage};

fn set(suite: Suite, ipv6: bool) -> SaSet {
    let key = |first: u8| std::array::from_fn(|index| first + index as u8);
    let keys = SaKeys::expand(suite, &Ck::new(key(0x10)), &Ik::new(key(0x80))).unwrap();
    let end = |address: &str, spi, client, server| {
        let spis = SpiPair { client: Spi::new(spi).unwrap(), server: Spi::new(spi + 1).unwrap() };
        let setup = Setup { spis, ports: PortPair::new(client, server).unwrap() };
        Endpoint { address: address.parse::<IpAddr>().unwrap(), setup }
    };
    let (ue, pcscf) = if ipv6 { ("2001:db8::2", "2001:db8::1") } else { ("10.0.0.2", "10.0.0.1") };
    SaSet::new(end(ue, 0x1000, 6101, 6100), end(pcscf, 0x2000, 7101, 7060), keys).unwrap()
}

/// The owners of the 16 recorded sets: without a marker, which `ip` cannot set, and with every
/// attribute in some of them.
fn owner(index: u32) -> Owner {
    let owner = Owner::new(NonZeroU32::new(33203).unwrap()).without_marker();
    let packets = [64, 32, 128, 4096][index as usize % 4];
    let owner = owner.with_window(KernelWindow::holding(WindowSize::new(packets).unwrap()).unwrap());
    match index % 3 {
        0 => owner,
        1 => owner.with_mark(Some(Mark { value: 3, mask: 0xff })),
        _ => owner.with_if_id(NonZeroU32::new(5)).with_hard_lifetime(None),
    }
}

/// All that a set goes through, for each of the 16.
fn lives() -> Vec<(SaSet, Owner)> {
    let suites = [false, true].into_iter().flat_map(|ipv6| Suite::ALL.map(|suite| set(suite, ipv6)));
    suites.zip(0..).map(|(set, index)| (set, owner(index))).collect()
}

fn life<'a>(owner: &Owner, set: &'a SaSet) -> Changes<'a> {
    let end = (set.ends().pcscf.address, 7060).into();
    let mut all = owner.these([]);
    all.append(owner.protect(end));
    all.append(owner.install(Side::Pcscf, set));
    all.append(owner.take_into_use(Side::Pcscf, set.ends()));
    all.append(owner.remove(Side::Pcscf, set.ends()));
    all.append(owner.unprotect(end));
    all
}

/// The messages of a datagram, each with its header.
fn split(mut octets: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while !octets.is_empty() {
        let len = u32::from_ne_bytes(octets[..4].try_into().unwrap()) as usize;
        messages.push(&octets[..len]);
        octets = &octets[len.next_multiple_of(4)..];
    }
    messages
}

#[test]
fn lines_and_octets_are_those_of_iproute2() {
    let recorded: Vec<_> = include_str!("data/xfrm/iproute2.txt").lines().collect();
    let (lines, _) = recorded.as_chunks::<2>();
    let mut recorded = lines.iter();
    for (set, owner) in lives() {
        let changes = life(&owner, &set);
        let (lines, messages) = (changes.ip_lines_with_keys(), changes.to_messages(1, Acknowledge::Each));
        for ((line, message), sequence) in lines.lines().zip(split(messages.expose())).zip(1_u32..) {
            let [recorded_line, octets] = recorded.next().unwrap();
            assert_eq!(line, *recorded_line);
            let mut theirs = hex(octets);
            // Sequence numbers are of the sender; iproute2 counts from the time.
            assert_eq!(message[8..12], sequence.to_ne_bytes());
            theirs[8..12].copy_from_slice(&sequence.to_ne_bytes());
            without_source(&mut theirs);
            assert_eq!(message, theirs, "{line}");
        }
    }
    assert_eq!(recorded.next(), None);
}

/// iproute2 adds an empty XFRMA_SRCADDR to DELSA, which is read for protocols without SPIs only.
fn without_source(message: &mut Vec<u8>) {
    const DELSA: u16 = 0x11;
    let empty = [[20, 0, 13, 0].as_slice(), &[0; 16]].concat();
    if message[4..6] == DELSA.to_ne_bytes() {
        let at = (40..message.len()).find(|at| message[*at..].starts_with(&empty)).unwrap();
        message.drain(at..at + empty.len());
        let len = message.len() as u32;
        message[..4].copy_from_slice(&len.to_ne_bytes());
    }
}

fn hex(text: &str) -> Vec<u8> {
    let octet = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(octet).collect()
}

#[test]
fn another_crate_reads_what_was_meant() {
    for (set, owner) in lives() {
        let changes = life(&owner, &set);
        let messages = changes.to_messages(7, Acknowledge::Last);
        let mut names = Vec::new();
        for (message, change) in split(messages.expose()).into_iter().zip(changes.list()) {
            let read = NetlinkMessage::<XfrmMessage>::deserialize(message).unwrap();
            let NetlinkPayload::InnerMessage(inner) = read.payload else { panic!("{change:?}") };
            let (name, id, family) = match &inner {
                XfrmMessage::AddSa(state) => {
                    let info = &state.user_sa_info;
                    assert_eq!((info.selector.proto, info.mode, info.reqid), (0, 0, 33203));
                    assert_eq!([info.selector.sport_mask, info.selector.dport_mask], [0xffff; 2]);
                    ("add state", Some(info.id.spi), info.family)
                }
                XfrmMessage::DeleteSa(state) => {
                    ("remove state", Some(state.user_sa_id.spi), state.user_sa_id.family)
                }
                XfrmMessage::AddPolicy(policy) => {
                    ("add policy", None, policy.user_policy_info.selector.family)
                }
                XfrmMessage::UpdatePolicy(policy) => {
                    ("set policy", None, policy.user_policy_info.selector.family)
                }
                XfrmMessage::DeletePolicy(policy) => {
                    ("remove policy", None, policy.user_policy_id.selector.family)
                }
                _ => panic!("{inner:?}"),
            };
            assert_eq!(family == 10, set.ends().ue.address.is_ipv6());
            let meant = match change {
                Change::AddState(_) => "add state",
                Change::RemoveState(_) => "remove state",
                Change::AddPolicy(..) => "add policy",
                Change::SetPolicy(..) => "set policy",
                Change::RemovePolicy(_) => "remove policy",
                _ => panic!("{change:?}"),
            };
            assert_eq!(name, meant);
            if let Subject::State(state) = change.subject() {
                assert_eq!(id, Some(state.spi.value()));
            }
            names.push(name);
        }
        assert_eq!(names.len(), messages.subjects().len());
        assert_eq!(messages.subject(messages.last_sequence()), messages.subjects().last());
        assert_eq!((messages.subject(6), messages.subject(7 + names.len() as u32)), (None, None));
        // Policies are there before anything can use them, and go first.
        let expected = [
            ["add policy"; 2].as_slice(),
            &["add state"; 4],
            &["add policy"; 4],
            &["set policy"; 2],
            &["remove policy"; 4],
            &["remove state"; 4],
            &["remove policy"; 2],
        ];
        assert_eq!(names, expected.concat());
    }
}

#[test]
fn undo_takes_back_in_reverse_order_what_was_added() {
    let (set, owner) = (set(Suite::HMAC_SHA_1_96_AES_CBC, false), owner(0));
    let changes = owner.install(Side::Ue, &set);
    let subjects: Vec<_> = changes.list().iter().rev().map(Change::subject).collect();
    let undone: Vec<_> = changes.undo().list().iter().map(Change::subject).collect();
    assert_eq!(undone, subjects);
    assert!(changes.undo().ip_lines_with_keys().lines().all(|line| line.contains(" delete ")));
    // A removal has nothing to take back.
    assert!(owner.remove(Side::Ue, set.ends()).undo().list().is_empty());
}

#[test]
fn notices_that_another_crate_makes_are_read() {
    for ipv6 in [false, true] {
        let set = set(Suite::AES_GCM, ipv6);
        let id = StateId::of(set.ends(), SaName::UeClientToPcscfServer);
        let octets = |address: IpAddr| {
            let mut octets = [0; 16];
            match address {
                IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
                IpAddr::V6(address) => octets = address.octets(),
            }
            Address { addr: octets }
        };
        let (ue, pcscf) = (set.ends().ue.address, set.ends().pcscf.address);
        let map = UserMapping {
            id: UserSaId {
                daddr: octets(pcscf),
                spi: id.spi.value(),
                family: if ipv6 { 10 } else { 2 },
                proto: 50,
            },
            reqid: 33203,
            old_saddr: octets(ue),
            new_saddr: octets(pcscf),
            old_sport: 4500,
            new_sport: 61_234,
        };
        let mut message = NetlinkMessage::new(
            NetlinkHeader::default(),
            NetlinkPayload::from(XfrmMessage::Mapping(MappingMessage { map })),
        );
        message.finalize();
        let mut notice = vec![0; message.buffer_len()];
        message.serialize(&mut notice);
        let read: Vec<_> = replies(&notice).map(Result::unwrap).collect();
        let [(_, Reply::Mapping(mapping))] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(*mapping, Mapping { id, before: (ue, 4500), now: (pcscf, 61_234) });
        // Cut off anywhere, it is an error and nothing else.
        for len in 1..notice.len() {
            assert!(replies(&notice[..len]).next().unwrap().is_err(), "{len}");
        }
    }
}

#[test]
fn a_state_is_read_back_and_made_again_with_its_numbers() {
    for (set, owner) in lives() {
        let changes = owner.install(Side::Pcscf, &set);
        let messages = changes.to_messages(1, Acknowledge::Each);
        for (message, change) in split(messages.expose()).into_iter().zip(changes.list()) {
            let Subject::State(id) = change.subject() else { continue };
            let read: Vec<_> = replies(message).map(Result::unwrap).collect();
            let [(_, Reply::State(state))] = read.as_slice() else { panic!("{read:?}") };
            assert_eq!((state.id, state.number), (id, 33203));
            assert!(state.is_of(&owner));
            let (spi, selector) = SaName::ALL
                .map(|name| set.ends().sa(name))
                .into_iter()
                .find(|(spi, _)| *spi == id.spi)
                .unwrap();
            assert_eq!((state.id.spi, state.selector), (spi, selector));
            // A window of 32 has its numbers in an attribute that a request leaves out.
            let Ok(octets) = state.restore(9, 1000) else {
                assert!(message[16 + 215] == 32);
                continue;
            };
            let again: Vec<_> = replies(&octets).map(Result::unwrap).collect();
            let [(9, Reply::State(again))] = again.as_slice() else { panic!("{again:?}") };
            let numbers = again.numbers().unwrap().unwrap();
            assert_eq!((numbers.sent, numbers.highest), (1000, 0));
            assert!(!numbers.is_refused(1) && numbers.is_refused(0));
            assert_eq!(again.ip_numbers(7).unwrap().unwrap(), "replay-seq 0 replay-oseq 1007");
            assert!(!format!("{state:?}").contains("80, 81"));
        }
    }
}

//! `Kernel` over a model of a kernel that fails where it is told to: whatever fails, nothing is
//! left and nothing of another set is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of another crate")]

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use ipsec_3gpp::export::xfrm::{Kernel, KernelError, Netlink, Owner, StateId};
use ipsec_3gpp::sa::{Endpoint, Overlap, SaName, SaSet, SetId, Side};
use ipsec_3gpp::{DataPath, Sad, Suite};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_xfrm::XfrmMessage;
use support::{addresses, any_port, keys, set, setup};

/// The tables of a kernel, by what names an entry in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tables {
    /// By SPI and destination: the message that made it.
    states: BTreeMap<(u32, String), Vec<u8>>,
    /// By direction and selector: the SPI that the template names; 0 for none.
    policies: BTreeMap<(u8, String), u32>,
}

#[derive(Default)]
struct Model {
    tables: Tables,
    answers: VecDeque<Vec<u8>>,
    /// The messages until one fails, and its error.
    fails: Option<(u32, i32)>,
    /// The calls until the socket fails.
    breaks: Option<u32>,
    messages: u32,
}

#[derive(Clone, Default)]
struct Socket(Rc<RefCell<Model>>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of order")]
struct Broken;

impl Model {
    fn breaks(&mut self) -> Result<(), Broken> {
        match self.breaks.as_mut() {
            Some(0) => Err(Broken),
            Some(calls) => {
                *calls -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What another crate reads in a message, and what a kernel does with it.
    fn handle(&mut self, message: &[u8]) {
        self.messages += 1;
        let read = NetlinkMessage::<XfrmMessage>::deserialize(message).expect("a message");
        let NetlinkPayload::InnerMessage(inner) = read.payload else { panic!("no request") };
        let errno = match self.fails {
            Some((0, errno)) => {
                self.fails = None;
                errno
            }
            _ => self.change(&inner, message),
        };
        self.fails = self.fails.map(|(after, errno)| (after.saturating_sub(1), errno));
        const ACK: u16 = 4;
        if errno != 0 || read.header.flags & ACK != 0 {
            let mut answer = vec![];
            answer.extend(36_u32.to_ne_bytes());
            answer.extend(2_u16.to_ne_bytes());
            answer.extend(0_u16.to_ne_bytes());
            answer.extend(read.header.sequence_number.to_ne_bytes());
            answer.extend(0_u32.to_ne_bytes());
            answer.extend((-errno).to_ne_bytes());
            answer.extend(&message[..16]);
            self.answers.push_back(answer);
        }
    }

    fn change(&mut self, message: &XfrmMessage, octets: &[u8]) -> i32 {
        let Tables { states, policies } = &mut self.tables;
        let policy = |direction: u8, selector: &dyn std::fmt::Debug| (direction, format!("{selector:?}"));
        match message {
            XfrmMessage::AddSa(state) => {
                let name = (state.user_sa_info.id.spi, format!("{:?}", state.user_sa_info.id.daddr));
                if states.contains_key(&name) {
                    return 17;
                }
                states.insert(name, octets.to_vec());
            }
            XfrmMessage::UpdateSa(state) => {
                let name = (state.user_sa_info.id.spi, format!("{:?}", state.user_sa_info.id.daddr));
                return if states.contains_key(&name) { 0 } else { 3 };
            }
            XfrmMessage::DeleteSa(state) => {
                let name = (state.user_sa_id.spi, format!("{:?}", state.user_sa_id.daddr));
                return if states.remove(&name).is_some() { 0 } else { 3 };
            }
            XfrmMessage::GetSa(state) => {
                let name = (state.user_sa_id.spi, format!("{:?}", state.user_sa_id.daddr));
                let Some(found) = states.get(&name) else { return 3 };
                let mut answer = found.clone();
                // Sequence number, and the numbers of a state.
                answer[8..12].copy_from_slice(&octets[8..12]);
                self.answers.push_back(answer);
            }
            XfrmMessage::AddPolicy(new) | XfrmMessage::UpdatePolicy(new) => {
                let info = &new.user_policy_info;
                let name = policy(info.direction, &info.selector);
                let replaces = matches!(message, XfrmMessage::UpdatePolicy(_));
                if policies.contains_key(&name) && !replaces {
                    return 17;
                }
                // The SPI of a template is 16 octets after its attribute.
                let template = octets.get(16 + 168 + 4 + 16..).and_then(|rest| rest.first_chunk());
                policies.insert(name, template.map_or(0, |spi| u32::from_be_bytes(*spi)));
            }
            XfrmMessage::DeletePolicy(id) => {
                let id = &id.user_policy_id;
                return if policies.remove(&policy(id.direction, &id.selector)).is_some() { 0 } else { 2 };
            }
            other => panic!("{other:?}"),
        }
        0
    }
}

impl Netlink for Socket {
    type Error = Broken;

    fn send(&mut self, datagram: &[u8]) -> Result<(), Broken> {
        let mut model = self.0.borrow_mut();
        model.breaks()?;
        let mut rest = datagram;
        while !rest.is_empty() {
            let len = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
            model.handle(&rest[..len]);
            rest = &rest[len.next_multiple_of(4)..];
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        let mut model = self.0.borrow_mut();
        model.breaks()?;
        let answer = model.answers.pop_front().ok_or(Broken)?;
        buffer[..answer.len()].copy_from_slice(&answer);
        Ok(answer.len())
    }
}

struct Bench {
    model: Rc<RefCell<Model>>,
    kernel: Kernel<Socket>,
    ids: u32,
    table: (Sad, [u8; 16]),
}

impl Bench {
    fn new() -> Self {
        let socket = Socket::default();
        let (mut sad, (ue, pcscf)) = (Sad::new(), addresses(false));
        let keys = keys(Suite::HMAC_SHA_1_96_NULL);
        let raw = sad.add_inbound(&any_port(&keys, 700, ue, pcscf)).unwrap().to_raw();
        Self {
            model: socket.0.clone(),
            kernel: Kernel::new(socket, Owner::new(NonZeroU32::new(33203).unwrap())),
            ids: 0,
            table: (sad, raw),
        }
    }

    fn id(&mut self) -> SetId {
        self.ids += 1;
        let (sad, mut raw) = (&self.table.0, self.table.1);
        raw[12..].copy_from_slice(&self.ids.to_be_bytes());
        SetId::from_raw(sad.table(), raw).unwrap()
    }

    fn tables(&self) -> Tables {
        self.model.borrow().tables.clone()
    }

    /// No failure is planned any more, and nothing is under way.
    fn mend(&self) {
        let mut model = self.model.borrow_mut();
        (model.fails, model.breaks) = (None, None);
        model.answers.clear();
    }
}

/// A set of the same ports as `set`, with other SPIs at one end or both.
fn again(first: u32, keeps_ue_spis: bool) -> SaSet {
    let (ue, pcscf) = addresses(false);
    let at_ue = if keeps_ue_spis { 1001 } else { first };
    SaSet::new(
        Endpoint { address: ue, setup: setup(at_ue, at_ue + 1, 40001, 40002) },
        Endpoint { address: pcscf, setup: setup(first + 1000, first + 1001, 50001, 50002) },
        keys(Suite::HMAC_SHA_1_96_AES_CBC),
    )
    .unwrap()
}

#[test]
fn whatever_fails_an_installation_leaves_nothing() {
    for overlap in [Overlap::Apart, Overlap::Selectors, Overlap::Spis] {
        let mut failed = 0;
        for after in 0.. {
            let mut bench = Bench::new();
            let (first, second) = (bench.id(), bench.id());
            let (old, new) = match overlap {
                Overlap::Apart => (None, set(Suite::AES_GCM, false)),
                Overlap::Selectors => (Some(set(Suite::AES_GCM, false)), again(5000, false)),
                _ => (Some(set(Suite::AES_GCM, false)), again(5000, true)),
            };
            if let Some(old) = &old {
                bench.kernel.install(first, Side::Pcscf, old, Overlap::Apart).unwrap();
            }
            let before = bench.tables();
            bench.model.borrow_mut().fails = Some((after, 12));
            let result = bench.kernel.install(second, Side::Pcscf, &new, overlap);
            let reached = bench.model.borrow().fails.is_none();
            bench.mend();
            if !reached {
                // Every message has failed once.
                result.unwrap();
                bench.kernel.remove(second, Side::Pcscf, new.ends());
                assert_eq!(bench.tables(), before);
                break;
            }
            failed += 1;
            assert!(matches!(result, Err(KernelError::Refused { errno: 12, .. })), "{after}: {result:?}");
            assert_eq!((bench.tables(), bench.kernel.not_removed()), (before, 0), "{after}, {overlap:?}");
            assert_eq!(bench.kernel.len(), usize::from(old.is_some()));
        }
        // Of a set that waits, two states alone: its policies are there.
        assert!(failed >= 2, "{overlap:?}: {failed}");
        // Where the socket fails, what was sent is taken back as soon as it works.
        for after in 0..2 {
            let mut bench = Bench::new();
            let id = bench.id();
            bench.model.borrow_mut().breaks = Some(after);
            let result = bench.kernel.install(id, Side::Pcscf, &set(Suite::AES_GCM, false), Overlap::Apart);
            assert!(matches!(result, Err(KernelError::Socket(Broken))), "{result:?}");
            assert!(bench.kernel.is_empty());
        }
    }
}

#[test]
fn whatever_fails_taking_into_use_leaves_the_older_set_in_use() {
    for keeps_ue_spis in [false, true] {
        let overlap = if keeps_ue_spis { Overlap::Spis } else { Overlap::Selectors };
        let mut failed = 0;
        for after in 0.. {
            let mut bench = Bench::new();
            let (first, second) = (bench.id(), bench.id());
            let (old, new) = (set(Suite::AES_GCM, false), again(5000, keeps_ue_spis));
            assert_eq!(new.ends().overlap(old.ends(), Side::Pcscf), overlap);
            bench.kernel.install(first, Side::Pcscf, &old, Overlap::Apart).unwrap();
            let alone = bench.tables();
            bench.kernel.install(second, Side::Pcscf, &new, overlap).unwrap();
            let before = bench.tables();
            // Reading the older states cannot fail in the model without changing the outcome.
            bench.model.borrow_mut().fails = Some((after, 12));
            let result = bench.kernel.take_into_use(second, Side::Pcscf, new.ends());
            let reached = bench.model.borrow().fails.is_none();
            bench.mend();
            let names = |tables: &Tables| tables.states.keys().cloned().collect::<BTreeSet<_>>();
            if !reached {
                result.unwrap();
                // Outbound policies name states that are there, and the older set leaves them.
                let after = bench.tables();
                let spis: BTreeSet<u32> = after.states.keys().map(|(spi, _)| *spi).collect();
                assert!(after.policies.values().all(|spi| *spi == 0 || spis.contains(spi)));
                bench.kernel.remove(first, Side::Pcscf, old.ends());
                let left = bench.tables();
                let own: BTreeSet<_> =
                    SaName::ALL.map(|name| StateId::of(new.ends(), name).spi.value()).into();
                assert_eq!(left.states.keys().map(|(spi, _)| *spi).collect::<BTreeSet<_>>(), own);
                assert_eq!(left.policies.len(), alone.policies.len());
                bench.kernel.remove(second, Side::Pcscf, new.ends());
                assert_eq!((bench.tables(), bench.kernel.not_removed()), (Tables::default(), 0));
                break;
            }
            failed += 1;
            if result.is_err() {
                assert_eq!(names(&bench.tables()), names(&before), "{after}, {overlap:?}");
                // It works as soon as nothing fails.
                bench.kernel.take_into_use(second, Side::Pcscf, new.ends()).unwrap();
            }
            bench.kernel.remove(second, Side::Pcscf, new.ends());
            bench.kernel.remove(first, Side::Pcscf, old.ends());
            assert_eq!(bench.tables(), Tables::default(), "{after}, {overlap:?}");
        }
        assert!(failed >= 2, "{failed}");
    }
}

#[test]
fn ports_are_blocked_first_and_released_last() {
    let mut bench = Bench::new();
    let (one, other) = (bench.id(), bench.id());
    let (first, second) = (set(Suite::AES_GMAC, true), set(Suite::AES_GMAC, false));
    let (_, pcscf) = addresses(true);
    bench.kernel.protect((pcscf, 50002).into()).unwrap();
    assert_eq!(bench.tables().policies.len(), 2);
    let results = bench.kernel.install_many([
        (one, Side::Pcscf, &first, Overlap::Apart),
        (other, Side::Pcscf, &second, Overlap::Apart),
        // A set that is there already is there.
        (one, Side::Pcscf, &first, Overlap::Apart),
    ]);
    assert!(results.iter().all(Result::is_ok) && results.len() == 3);
    // Two ports in each family, and four policies of each set.
    assert_eq!((bench.tables().states.len(), bench.tables().policies.len()), (8, 8 + 8));
    bench.kernel.extend(one, Side::Pcscf, first.ends(), Duration::from_secs(1)).unwrap();
    let before = bench.model.borrow().messages;
    bench.kernel.extend(one, Side::Pcscf, first.ends(), Duration::from_secs(10_000_000)).unwrap();
    assert_eq!(bench.model.borrow().messages, before + 4);
    bench.kernel.remove(one, Side::Pcscf, first.ends());
    assert_eq!((bench.tables().states.len(), bench.tables().policies.len()), (4, 4 + 4 + 2));
    bench.kernel.remove(other, Side::Pcscf, second.ends());
    assert_eq!(bench.tables().policies.len(), 2);
    assert!(bench.kernel.unprotect((pcscf, 50002).into()) && !bench.kernel.unprotect((pcscf, 50002).into()));
    assert_eq!(bench.tables(), Tables::default());
    assert!(matches!(
        bench.kernel.take_into_use(one, Side::Pcscf, first.ends()),
        Err(KernelError::NotInstalled(id)) if id == one
    ));
}

#[test]
fn a_port_stays_blocked_while_a_set_has_it() {
    let (mut bench, any) = (Bench::new(), ([0, 0, 0, 0], 50002).into());
    let (one, other) = (bench.id(), bench.id());
    let (first, second) = (set(Suite::AES_GCM, false), again(5000, false));
    let blocks =
        |bench: &Bench| bench.tables().policies.keys().filter(|(_, name)| name.contains("mask: 0")).count();
    bench.kernel.protect(any).unwrap();
    bench.kernel.install(one, Side::Pcscf, &first, Overlap::Apart).unwrap();
    let with_both = blocks(&bench);
    assert_eq!(with_both, 4, "{:?}", bench.tables().policies.keys());
    // Nobody names it any more, and a set has it.
    assert!(bench.kernel.unprotect(any));
    assert_eq!(blocks(&bench), with_both);
    bench.kernel.install(other, Side::Pcscf, &second, Overlap::Selectors).unwrap();
    bench.kernel.remove(one, Side::Pcscf, first.ends());
    assert_eq!(blocks(&bench), with_both);
    bench.kernel.remove(other, Side::Pcscf, second.ends());
    assert_eq!((bench.tables(), bench.kernel.not_removed()), (Tables::default(), 0));
    // One that was blocked for a set, and then for all addresses.
    bench.kernel.install(one, Side::Pcscf, &first, Overlap::Apart).unwrap();
    bench.kernel.protect(any).unwrap();
    bench.kernel.remove(one, Side::Pcscf, first.ends());
    assert!(bench.kernel.unprotect(any));
    assert_eq!(bench.tables(), Tables::default());
}

#[test]
fn sets_of_one_name_in_one_call_are_not_mixed_up() {
    let mut bench = Bench::new();
    let ids = [(); 3].map(|()| bench.id());
    let (first, second, third) = (set(Suite::AES_GCM, false), again(5000, false), again(5000, true));
    // The third has an inbound SPI of the second: the kernel has one of that name.
    let results = bench.kernel.install_many([
        (ids[0], Side::Pcscf, &first, Overlap::Apart),
        (ids[1], Side::Pcscf, &second, Overlap::Selectors),
        (ids[2], Side::Pcscf, &third, Overlap::Spis),
    ]);
    assert!(results[0].is_ok() && results[1].is_ok());
    assert!(matches!(results[2], Err(KernelError::Refused { errno: 17, .. })), "{results:?}");
    let mut alone = Bench::new();
    let names = [alone.id(), alone.id()];
    alone.kernel.install(names[0], Side::Pcscf, &first, Overlap::Apart).unwrap();
    alone.kernel.install(names[1], Side::Pcscf, &second, Overlap::Selectors).unwrap();
    let keys = |bench: &Bench| {
        bench.tables().states.values().map(|octets| octets[16..].to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&bench), keys(&alone));
    assert_eq!(bench.tables().policies, alone.tables().policies);
}

#[test]
fn lost_answers_take_nothing_from_an_older_set() {
    for keeps_ue_spis in [false, true] {
        for after in 0..8 {
            let mut bench = Bench::new();
            let (first, second) = (bench.id(), bench.id());
            let (old, new) = (set(Suite::AES_GCM, false), again(5000, keeps_ue_spis));
            bench.kernel.install(first, Side::Pcscf, &old, Overlap::Apart).unwrap();
            let before = bench.tables();
            bench.model.borrow_mut().breaks = Some(after);
            let installed = bench.kernel.install(second, Side::Pcscf, &new, Overlap::Spis);
            let taken =
                installed.is_ok().then(|| bench.kernel.take_into_use(second, Side::Pcscf, new.ends()));
            bench.mend();
            let own: BTreeSet<u32> = SaName::ALL.map(|name| old.ends().sa(name).0.value()).into();
            let still = bench.tables();
            if !matches!(taken, Some(Ok(()))) && after < 2 {
                // The older one has all that it had, whatever is left of the newer one.
                let spis: BTreeSet<u32> = still.states.keys().map(|(spi, _)| *spi).collect();
                assert!(own.is_subset(&spis), "{after}");
                assert!(
                    before.policies.iter().all(|(name, spi)| still.policies.get(name) == Some(spi)),
                    "{after}"
                );
            }
        }
    }
}

#[test]
fn a_state_of_somebody_else_is_never_taken() {
    let mut bench = Bench::new();
    let (first, second) = (bench.id(), bench.id());
    let (old, new) = (set(Suite::AES_GCM, false), again(5000, true));
    bench.kernel.install(first, Side::Pcscf, &old, Overlap::Apart).unwrap();
    bench.kernel.install(second, Side::Pcscf, &new, Overlap::Spis).unwrap();
    bench.kernel.extend(second, Side::Pcscf, new.ends(), Duration::from_secs(5_000_000)).unwrap();
    // Another program has put one of its own in the place of an outbound state.
    let theirs = Owner::new(NonZeroU32::new(7).unwrap());
    let (spi, _) = old.ends().sa(SaName::PcscfServerToUeClient);
    let octets = theirs.these([theirs.add_state(&old.sa(SaName::PcscfServerToUeClient), true)]);
    let octets = octets.to_messages(1, ipsec_3gpp::export::xfrm::Acknowledge::Each).expose().to_vec();
    for (name, state) in &mut bench.model.borrow_mut().tables.states {
        if name.0 == spi.value() {
            *state = octets.clone();
        }
    }
    let before = bench.tables();
    let result = bench.kernel.take_into_use(second, Side::Pcscf, new.ends());
    assert!(matches!(result, Err(KernelError::Refused { errno: 17, .. })), "{result:?}");
    assert_eq!(bench.tables(), before);
}

//! The P-CSCF's table against a reference that is written as the clauses read (TS 33.203 7.3, 7.4;
//! TS 24.229 5.2.2): a list of sets with their deadlines, walked through from front to back for
//! every rule.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::wildcard_enum_match_arm, clippy::expect_used, clippy::print_stdout, reason = "a test")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::time::Duration;

use gm::{AWAIT, Answers, DRAIN, Gm, PCSCF};
use ipsec_3gpp::Moment;
use ipsec_3gpp::registration::{ContactId, Forward, GRACE, Over, Register, RegisterError, RequestId};
use ipsec_3gpp::sa::{SaName, SetId};
use ipsec_3gpp::spi::Spi;
use proptest::prelude::*;

/// Everything happens on this grid, on which the deadlines of both lie: it is a whole number of the
/// table's ticks.
const STEP: Duration = Duration::from_secs(16);

/// What a REGISTER came from: a set, or an address in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Set(SetId),
    Clear(u8),
}

impl From {
    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (From::Set(_), From::Set(_)) => true,
            (From::Clear(one), From::Clear(two)) => one == two,
            _ => false,
        }
    }

    fn is_clear(self) -> bool {
        matches!(self, From::Clear(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Made by a challenge; SM7 was accepted as this request; it failed.
    Temporary {
        answered: Option<RequestId>,
        failed: bool,
        from: From,
    },
    Current,
    Old,
}

impl Role {
    /// SM7 is awaited.
    fn challenged_from(self) -> Option<From> {
        match self {
            Role::Temporary { answered: None, failed: false, from } => Some(from),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Set {
    id: SetId,
    spi: Spi,
    role: Role,
    deadline: Moment,
    /// The address of the UE, and what SM7 must say.
    address: u8,
    sm7: (String, String, String),
}

#[derive(Default)]
struct Reference {
    /// In the order in which they were made.
    sets: Vec<Set>,
    /// The set that requests to the UE go over.
    sends_over: Option<SetId>,
    leaving: bool,
    /// What went on to the core: the latest over a set, and of each address in clear.
    pending: Vec<(RequestId, From, Moment)>,
}

impl Reference {
    fn role(&self, wanted: Role) -> Option<Set> {
        self.sets.iter().find(|set| set.role == wanted).cloned()
    }

    fn challenged(&mut self, set: Set, from: From) {
        let id = set.id;
        // "The P-CSCF deletes registration SAs when it creates new ones": those of the same sender.
        self.sets.retain(|set| !set.role.challenged_from().is_some_and(|other| other.is_same(from)));
        self.sets.push(set);
        self.at_most_six_sas_a_direction(id);
    }

    /// Those that anybody can make do not count.
    fn at_most_six_sas_a_direction(&mut self, newest: SetId) {
        let counts = |set: &Set| !set.role.challenged_from().is_some_and(From::is_clear);
        while self.sets.iter().filter(|set| counts(set)).count() > 3 {
            let place = |wanted: &dyn Fn(Role) -> bool| {
                self.sets.iter().position(|set| set.id != newest && counts(set) && wanted(set.role))
            };
            let failed = |role| matches!(role, Role::Temporary { failed: true, .. });
            let answered = |role| matches!(role, Role::Temporary { answered: Some(_), .. });
            let begun = |role| matches!(role, Role::Temporary { .. });
            let victim = place(&failed).or_else(|| place(&answered)).or_else(|| place(&begun)).unwrap();
            self.sets.remove(victim);
        }
    }

    fn succeeded(&mut self, request: RequestId, expires: Duration, now: Moment) -> bool {
        let ends = now + expires + GRACE;
        let answered = self.sets.iter().find_map(|set| match set.role {
            Role::Temporary { answered: Some(by), failed: false, from } if by == request => {
                Some((set.id, from))
            }
            _ => None,
        });
        if let Some((new, from)) = answered {
            if self.role(Role::Current).is_some_and(|current| current.id > new) {
                // A later authentication has succeeded already.
                self.fails(new, now);
                self.extend(ends);
                return true;
            }
            let leaving = self.leaving;
            let in_force = |set: &Set| matches!(set.role, Role::Current | Role::Old);
            let stays = |set: &Set| !leaving && From::Set(set.id) == from;
            // "Maximum of the latest lifetime of the old SAs and shortly after the registration."
            let old = self.sets.iter().filter(|set| in_force(set) && !leaving);
            let latest = old.map(|set| set.deadline).max();
            // "Keep the set that protected SM1, delete all other old ones"; in clear: delete all.
            self.sets.retain(|set| !in_force(set) || stays(set));
            for set in &mut self.sets {
                if set.id == new {
                    set.role = Role::Current;
                    set.deadline = ends.max(latest.unwrap_or(ends));
                } else if in_force(set) {
                    set.role = Role::Old;
                }
            }
            let kept = self.role(Role::Old).map(|set| set.id);
            self.sends_over = kept.or(Some(new));
            self.leaving = false;
            // What came over a set that has gone is answered too late.
            self.pending.retain(|(_, from, _)| from.is_clear() || Some(*from) == kept.map(From::Set));
            return true;
        }
        match self.take_pending(request) {
            None => false,
            Some((_, from, _)) => {
                // "Registrations without authentication only ever extend."
                if !from.is_clear() {
                    self.extend(ends);
                }
                true
            }
        }
    }

    fn extend(&mut self, ends: Moment) {
        for set in self.sets.iter_mut().filter(|set| set.role == Role::Current && !self.leaving) {
            set.deadline = set.deadline.max(ends);
        }
    }

    fn fails(&mut self, id: SetId, now: Moment) {
        for set in self.sets.iter_mut().filter(|set| set.id == id) {
            if let Role::Temporary { from, .. } = set.role {
                set.role = Role::Temporary { answered: None, failed: true, from };
                set.deadline = set.deadline.min(now + DRAIN);
            }
        }
    }

    fn failed(&mut self, request: RequestId, now: Moment) -> bool {
        let of = |set: &&Set| matches!(set.role, Role::Temporary { answered: Some(by), .. } if by == request);
        if let Some(id) = self.sets.iter().find(of).map(|set| set.id) {
            self.fails(id, now);
            return true;
        }
        self.take_pending(request).is_some()
    }

    fn take_pending(&mut self, request: RequestId) -> Option<(RequestId, From, Moment)> {
        let place = self.pending.iter().position(|(by, ..)| *by == request)?;
        Some(self.pending.remove(place))
    }

    /// What began in clear is another registration.
    fn left(&mut self, now: Moment) {
        self.pending.retain(|(_, from, _)| from.is_clear());
        self.leaving = true;
        let ids: Vec<SetId> = self.sets.iter().map(|set| set.id).collect();
        for id in ids {
            let set = self.sets.iter_mut().find(|set| set.id == id).unwrap();
            match set.role {
                Role::Temporary { from, .. } if from.is_clear() => {}
                Role::Temporary { .. } => self.fails(id, now),
                Role::Current | Role::Old => set.deadline = set.deadline.min(now + DRAIN),
            }
        }
    }

    /// A message over the current set.
    fn uses_current(&mut self, now: Moment) {
        let (Some(current), Some(old)) = (self.role(Role::Current), self.role(Role::Old)) else { return };
        if self.sends_over == Some(old.id) {
            self.sends_over = Some(current.id);
            for set in self.sets.iter_mut().filter(|set| set.id == old.id) {
                set.deadline = set.deadline.min(now + DRAIN);
            }
        }
    }

    fn passes(&mut self, now: Moment) {
        self.pending.retain(|(_, _, deadline)| *deadline > now);
        if let (Some(old), Some(current)) = (self.role(Role::Old), self.role(Role::Current))
            && now + DRAIN >= old.deadline
            && !self.leaving
            && self.sends_over == Some(old.id)
        {
            self.sends_over = Some(current.id);
        }
        let current_ends = self.role(Role::Current).is_some_and(|current| current.deadline <= now);
        self.sets.retain(|set| set.deadline > now && !(current_ends && set.role == Role::Old));
        // "Always at lifetime end, and then the new ones are used."
        if !self.sets.iter().any(|set| Some(set.id) == self.sends_over) {
            self.sends_over = self.role(Role::Current).map(|current| current.id);
        }
        if self.sets.is_empty() && self.pending.is_empty() {
            // The contact has ended: the next one is another.
            self.leaving = false;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// SM1 in clear from one of three addresses, or over one of the existing sets.
    Sm1 {
        over: Option<usize>,
        address: u8,
        response: bool,
        report: bool,
    },
    Challenge,
    /// SM7 over one of the existing sets, as it should be or not.
    Sm7 {
        over: usize,
        right: bool,
    },
    Success(usize),
    Failure,
    Message(usize),
    Deregister,
    Pass(u32),
}

/// An operation, and how far the clock has stepped back when it is told, in milliseconds.
fn op() -> impl Strategy<Value = (Op, u64)> {
    let place = 0_usize..5;
    let op = prop_oneof![
        4 => (proptest::option::of(place.clone()), 0_u8..3, any::<bool>(), proptest::bool::weighted(0.1))
            .prop_map(|(over, address, response, report)| Op::Sm1 { over, address, response, report }),
        4 => Just(Op::Challenge),
        4 => (place.clone(), proptest::bool::weighted(0.9)).prop_map(|(over, right)| Op::Sm7 { over, right }),
        4 => (0_usize..3).prop_map(Op::Success),
        1 => Just(Op::Failure),
        3 => place.prop_map(Op::Message),
        1 => Just(Op::Deregister),
        3 => prop_oneof![1_u32..10, 1_u32..250].prop_map(Op::Pass),
    ];
    (op, prop_oneof![4 => Just(0_u64), 1 => 1_u64..10_000_000])
}

struct Both {
    gm: Gm,
    reference: Reference,
    /// Of the latest REGISTER that went on, and of the one before it.
    requests: Vec<RequestId>,
    fresh: u32,
    /// Security-Client of each SM1.
    offered: Vec<(RequestId, String)>,
    contact: Option<ContactId>,
}

impl Both {
    fn register(
        &mut self,
        over: Option<Spi>,
        address: u8,
        (answers, nonce): (Answers, &str),
        client: &str,
        verify: &[&str],
    ) -> Result<Forward, RegisterError> {
        let over = over.map_or(Over::Clear, Over::Sa);
        let register = Register::new(over, [10, 1, 0, 16 + address].into(), PCSCF, "16@ims");
        let rows = [client];
        let register = register
            .with_authorization(answers.authorization(nonce))
            .with_security_client(&rows)
            .with_security_verify(verify);
        let result = self.gm.pcscf.register(self.gm.now, &register, &mut self.gm.sad);
        if let Ok(forward) = &result {
            self.requests.insert(0, forward.request);
            self.contact = Some(forward.contact);
        }
        result
    }

    fn act(&mut self, op: Op, back: u64) {
        let now = self.gm.now;
        self.gm.now = Moment::from_millis(now.as_millis().saturating_sub(back));
        self.act_at(op, now);
        if !matches!(op, Op::Pass(_)) {
            self.gm.now = now;
        }
    }

    fn act_at(&mut self, op: Op, now: Moment) {
        let pick = |reference: &Reference, place: usize| reference.sets.get(place).cloned();
        match op {
            Op::Sm1 { over, address, response, report } => {
                let over = match over.map(|place| pick(&self.reference, place)) {
                    Some(None) => return,
                    Some(Some(set)) => Some(set),
                    None => None,
                };
                let temporary = over.as_ref().is_some_and(|set| matches!(set.role, Role::Temporary { .. }));
                self.fresh += 2;
                let client = format!(
                    "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={};spi-s={};port-c={};port-s=6100",
                    90_000 + self.fresh,
                    90_001 + self.fresh,
                    20_000 + self.fresh
                );
                let answers = match (report, response && !temporary) {
                    (true, _) => Answers::Failure,
                    (false, true) => Answers::Another,
                    (false, false) => Answers::None,
                };
                let nonce = self.gm.nonce();
                let address = over.as_ref().map_or(address, |set| set.address);
                let spi = over.as_ref().map(|set| set.spi);
                let result = self.register(spi, address, (answers, &nonce), &client, &[]);
                if temporary {
                    assert!(matches!(result, Err(RegisterError::Discard(_))), "SM7 alone comes over it");
                    return;
                }
                let forward = result.unwrap();
                // 6.1.5: without a response, over the set of the latest success, which has not
                // ended.
                let over_current = over.as_ref().is_some_and(|set| set.role == Role::Current);
                let asserted = over_current && answers != Answers::Another && !self.reference.leaving;
                assert_eq!(forward.protection.is_some(), asserted);
                let from = over.as_ref().map_or(From::Clear(address), |set| From::Set(set.id));
                if report {
                    // Of the challenge of this nonce, not once SM7 was accepted or has failed; in
                    // clear, only from the address that was challenged.
                    self.reference.sets.retain(|set| {
                        let of = set.role.challenged_from();
                        set.sm7.2 != nonce || !of.is_some_and(|of| !from.is_clear() || of == from)
                    });
                }
                if over_current {
                    self.reference.uses_current(now);
                }
                self.reference.pending.retain(|(_, other, _)| !other.is_same(from));
                self.reference.pending.push((forward.request, from, now + DRAIN));
                self.offered.push((forward.request, client));
            }
            Op::Challenge => {
                let Some(request) = self.requests.first().copied() else { return };
                let result = self.gm.try_challenge(request);
                let pending = self.reference.pending.iter().find(|(by, ..)| *by == request).copied();
                assert_eq!(result.is_ok(), pending.is_some(), "{result:?}");
                let (Ok(sm6), Some((_, from, _))) = (result, pending) else { return };
                let (_, client) = self.offered.iter().find(|(by, _)| *by == request).unwrap().clone();
                let ends = self.gm.pcscf.ends(sm6.set).unwrap();
                let (spi, _) = ends.sa(SaName::UeClientToPcscfServer);
                let std::net::IpAddr::V4(ue) = ends.ue.address else { panic!() };
                self.reference.take_pending(request);
                let set = Set {
                    id: sm6.set,
                    spi,
                    role: Role::Temporary { answered: None, failed: false, from },
                    deadline: now + AWAIT,
                    address: ue.octets()[3] - 16,
                    sm7: (client, sm6.security_server.to_string(), self.gm.nonce()),
                };
                self.reference.challenged(set, from);
            }
            Op::Sm7 { over, right } => {
                let Some(set) = pick(&self.reference, over) else { return };
                let Some(from) = set.role.challenged_from() else { return };
                let (client, verify, nonce) = set.sm7.clone();
                let verify = if right { verify } else { verify.replace("q=0.9", "q=0.1") };
                let answers = (Answers::Response, nonce.as_str());
                let result = self.register(Some(set.spi), set.address, answers, &client, &[&verify]);
                assert_eq!(result.is_ok(), right, "{result:?}");
                match result {
                    Ok(forward) => {
                        assert!(forward.protection.is_some());
                        let role = Role::Temporary { answered: Some(forward.request), failed: false, from };
                        let mut sets = self.reference.sets.iter_mut();
                        sets.find(|other| other.id == set.id).unwrap().role = role;
                        self.reference.at_most_six_sas_a_direction(set.id);
                    }
                    Err(_) => {
                        self.reference.fails(set.id, now);
                        self.reference.at_most_six_sas_a_direction(set.id);
                    }
                }
            }
            Op::Success(expires) => {
                // The latest request, or one before it.
                let Some(request) = self.requests.get(expires).copied() else { return };
                let expires = Duration::from_secs([1570, 786, 3170][expires]);
                let result = self.gm.success(request, expires);
                assert_eq!(result.is_ok(), self.reference.succeeded(request, expires, now));
            }
            Op::Failure => {
                let Some(request) = self.requests.first().copied() else { return };
                let result = self.gm.failure(request);
                assert_eq!(result.is_ok(), self.reference.failed(request, now));
            }
            Op::Message(place) => {
                let Some(set) = pick(&self.reference, place) else { return };
                let accepted = self.gm.arrives(set.spi).is_ok();
                assert_eq!(accepted, !matches!(set.role, Role::Temporary { .. }));
                if set.role == Role::Current {
                    self.reference.uses_current(now);
                }
            }
            Op::Deregister => {
                let Some(contact) = self.contact else { return };
                if self.gm.pcscf.deregister(now, contact, &mut self.gm.sad).is_ok() {
                    self.reference.left(now);
                }
            }
            Op::Pass(steps) => {
                self.gm.now = now;
                for _ in 0..steps {
                    self.gm.pass(STEP);
                    self.reference.passes(self.gm.now);
                }
            }
        }
    }

    fn compare(&self) {
        let reference = &self.reference;
        assert_eq!(self.gm.sad.len(), 4 * reference.sets.len(), "{:?}", reference.sets);
        let Some(contact) = self.contact else { return };
        let mut sets: Vec<_> = self.gm.pcscf.sets(contact).collect();
        let mut expected: Vec<_> = reference.sets.iter().map(|set| set.id).collect();
        sets.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sets, expected);
        let route = self.gm.pcscf.route_request(contact);
        assert_eq!(route.ok().map(|route| route.set), reference.sends_over);
        let until = reference.role(Role::Current).map(|current| current.deadline);
        assert_eq!(self.gm.pcscf.registered_until(contact), until);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_the_clauses_say(ops in proptest::collection::vec(op(), 1..80)) {
        let mut both = Both {
            gm: Gm::new(),
            reference: Reference::default(),
            requests: Vec::new(),
            fresh: 0,
            offered: Vec::new(),
            contact: None,
        };
        for (op, back) in ops {
            both.act(op, back);
            both.compare();
        }
    }
}

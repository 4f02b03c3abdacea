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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Made by a challenge; SM7 was accepted as this request; it failed.
    Temporary {
        answered: Option<RequestId>,
        failed: bool,
        sm1_over: Option<SetId>,
    },
    Current,
    Old,
}

#[derive(Clone, Copy, Debug)]
struct Set {
    id: SetId,
    spi: Spi,
    role: Role,
    deadline: Moment,
}

#[derive(Default)]
struct Reference {
    sets: Vec<Set>,
    /// The set that requests to the UE go over.
    sends_over: Option<SetId>,
    leaving: bool,
    /// What went on to the core in clear, and over a set: the latest of each.
    pending: [Option<(RequestId, Option<SetId>, Moment)>; 2],
}

impl Reference {
    fn of(&self, spi: Spi) -> Option<Set> {
        self.sets.iter().find(|set| set.spi == spi).copied()
    }

    fn role(&self, wanted: Role) -> Option<Set> {
        self.sets.iter().find(|set| set.role == wanted).copied()
    }

    fn challenged(&mut self, id: SetId, spi: Spi, sm1_over: Option<SetId>, now: Moment) {
        // "The P-CSCF deletes registration SAs when it creates new ones."
        self.sets.retain(|set| !matches!(set.role, Role::Temporary { .. }));
        let role = Role::Temporary { answered: None, failed: false, sm1_over };
        self.sets.push(Set { id, spi, role, deadline: now + AWAIT });
    }

    fn succeeded(&mut self, request: RequestId, expires: Duration, now: Moment) -> bool {
        let ends = now + expires + GRACE;
        let answered = self.sets.iter().find_map(|set| match set.role {
            Role::Temporary { answered: Some(by), failed: false, sm1_over } if by == request => {
                Some((set.id, sm1_over))
            }
            _ => None,
        });
        if let Some((new, sm1_over)) = answered {
            // "Maximum of the latest lifetime of the old SAs and shortly after the registration."
            let latest = self.sets.iter().filter(|set| set.id != new).map(|set| set.deadline).max();
            // "Keep the set that protected SM1, delete all other old ones"; in clear: delete all.
            self.sets.retain(|set| set.id == new || Some(set.id) == sm1_over);
            for set in &mut self.sets {
                if set.id == new {
                    set.role = Role::Current;
                    set.deadline = ends.max(latest.unwrap_or(ends));
                } else {
                    set.role = Role::Old;
                }
            }
            let kept = self.role(Role::Old).map(|set| set.id);
            self.sends_over = kept.or(Some(new));
            self.leaving = false;
            return true;
        }
        match self.take_pending(request) {
            None => false,
            Some((_, over, _)) => {
                // "Registrations without authentication only ever extend."
                for set in self.sets.iter_mut().filter(|set| set.role == Role::Current && over.is_some()) {
                    set.deadline = set.deadline.max(ends);
                }
                true
            }
        }
    }

    fn failed(&mut self, request: RequestId, now: Moment) -> bool {
        for set in &mut self.sets {
            if let Role::Temporary { answered: Some(by), failed: false, sm1_over } = set.role
                && by == request
            {
                set.role = Role::Temporary { answered: None, failed: true, sm1_over };
                set.deadline = set.deadline.min(now + DRAIN);
                return true;
            }
        }
        self.take_pending(request).is_some()
    }

    fn take_pending(&mut self, request: RequestId) -> Option<(RequestId, Option<SetId>, Moment)> {
        self.pending.iter_mut().find_map(|pending| pending.take_if(|(by, ..)| *by == request))
    }

    fn left(&mut self, now: Moment) {
        self.pending = [None, None];
        self.leaving = true;
        for set in &mut self.sets {
            set.deadline = set.deadline.min(now + DRAIN);
            if let Role::Temporary { sm1_over, .. } = set.role {
                set.role = Role::Temporary { answered: None, failed: true, sm1_over };
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
        for pending in &mut self.pending {
            pending.take_if(|(_, _, deadline)| *deadline <= now);
        }
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
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// SM1 in clear, or over one of the existing sets.
    Sm1 {
        over: Option<usize>,
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

fn op() -> impl Strategy<Value = Op> {
    let place = 0_usize..3;
    prop_oneof![
        4 => (proptest::option::of(place.clone()), any::<bool>(), proptest::bool::weighted(0.1))
            .prop_map(|(over, response, report)| Op::Sm1 { over, response, report }),
        4 => Just(Op::Challenge),
        4 => (place.clone(), proptest::bool::weighted(0.9)).prop_map(|(over, right)| Op::Sm7 { over, right }),
        4 => (0_usize..3).prop_map(Op::Success),
        1 => Just(Op::Failure),
        3 => place.prop_map(Op::Message),
        1 => Just(Op::Deregister),
        3 => prop_oneof![1_u32..10, 1_u32..250].prop_map(Op::Pass),
    ]
}

struct Both {
    gm: Gm,
    reference: Reference,
    /// Of the latest REGISTER that went on.
    request: Option<RequestId>,
    fresh: u32,
    /// Security-Client of the latest SM1.
    offered: String,
    /// SM7 as it should be for the temporary set.
    sm7: (String, String),
    contact: Option<ContactId>,
}

impl Both {
    fn register(
        &mut self,
        over: Option<Spi>,
        answers: Answers,
        client: &str,
        verify: &[&str],
    ) -> Result<Forward, RegisterError> {
        let nonce = self.gm.nonce();
        let over = over.map_or(Over::Clear, Over::Sa);
        let register = Register::new(over, [10, 1, 0, 16].into(), PCSCF, "16@ims");
        let rows = [client];
        let register = register
            .with_authorization(answers.authorization(&nonce))
            .with_security_client(&rows)
            .with_security_verify(verify);
        let result = self.gm.pcscf.register(self.gm.now, &register, &mut self.gm.sad);
        if let Ok(forward) = &result {
            (self.request, self.contact) = (Some(forward.request), Some(forward.contact));
        }
        result
    }

    fn act(&mut self, op: Op) {
        let now = self.gm.now;
        let pick = |reference: &Reference, place: usize| reference.sets.get(place).copied();
        match op {
            Op::Sm1 { over, response, report } => {
                let over = match over.map(|place| pick(&self.reference, place)) {
                    Some(None) => return,
                    Some(Some(set)) => Some(set),
                    None => None,
                };
                let temporary = over.is_some_and(|set| matches!(set.role, Role::Temporary { .. }));
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
                let result = self.register(over.map(|set| set.spi), answers, &client, &[]);
                if temporary {
                    assert!(matches!(result, Err(RegisterError::Discard(_))), "SM7 alone comes over it");
                    return;
                }
                let forward = result.unwrap();
                // 6.1.5: without a response, over the set of the latest success.
                let asserted =
                    over.is_some_and(|set| set.role == Role::Current) && answers != Answers::Another;
                assert_eq!(forward.protection.is_some(), asserted);
                if report {
                    // Not once SM7 was accepted or has failed; of a protected challenge, not in
                    // clear.
                    self.reference.sets.retain(|set| match set.role {
                        Role::Temporary { answered: None, failed: false, sm1_over } => {
                            over.is_none() && sm1_over.is_some()
                        }
                        _ => true,
                    });
                }
                if over.is_some_and(|set| set.role == Role::Current) {
                    self.reference.uses_current(now);
                }
                self.reference.pending[usize::from(over.is_some())] =
                    Some((forward.request, over.map(|set| set.id), now + DRAIN));
                self.offered = client;
            }
            Op::Challenge => {
                let Some(request) = self.request else { return };
                let result = self.gm.try_challenge(request);
                let pending =
                    self.reference.pending.iter().flatten().find(|(by, ..)| *by == request).copied();
                assert_eq!(result.is_ok(), pending.is_some(), "{result:?}");
                let (Ok(sm6), Some((_, over, _))) = (result, pending) else { return };
                self.sm7 = (self.offered.clone(), sm6.security_server.to_string());
                let (spi, _) = self.gm.pcscf.ends(sm6.set).unwrap().sa(SaName::UeClientToPcscfServer);
                self.reference.take_pending(request);
                self.reference.challenged(sm6.set, spi, over, now);
            }
            Op::Sm7 { over, right } => {
                let Some(set) = pick(&self.reference, over) else { return };
                let Role::Temporary { answered: None, failed: false, sm1_over } = set.role else { return };
                let (client, verify) = self.sm7.clone();
                let verify = if right { verify } else { verify.replace("q=0.9", "q=0.1") };
                let result = self.register(Some(set.spi), Answers::Response, &client, &[&verify]);
                assert_eq!(result.is_ok(), right, "{result:?}");
                let role = Role::Temporary {
                    answered: result.as_ref().ok().map(|forward| forward.request),
                    failed: !right,
                    sm1_over,
                };
                for other in self.reference.sets.iter_mut().filter(|other| other.id == set.id) {
                    other.role = role;
                    if !right {
                        other.deadline = other.deadline.min(now + DRAIN);
                    }
                }
                if let Ok(forward) = result {
                    assert!(forward.protection.is_some());
                }
            }
            Op::Success(expires) => {
                let Some(request) = self.request else { return };
                let expires = Duration::from_secs([1570, 786, 3170][expires]);
                let result = self.gm.success(request, expires);
                assert_eq!(result.is_ok(), self.reference.succeeded(request, expires, now));
            }
            Op::Failure => {
                let Some(request) = self.request else { return };
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
        assert!(reference.sets.iter().all(|set| reference.of(set.spi).is_some()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_the_clauses_say(ops in proptest::collection::vec(op(), 1..80)) {
        let mut both = Both {
            gm: Gm::new(),
            reference: Reference::default(),
            request: None,
            fresh: 0,
            offered: String::new(),
            sm7: Default::default(),
            contact: None,
        };
        for op in ops {
            both.act(op);
            both.compare();
        }
    }
}

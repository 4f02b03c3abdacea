//! What the data path is asked for, and what happens when it fails.

use std::collections::HashSet;
use std::time::Duration;

use ipsec_3gpp::registration::{
    Accepted, Cause, ChallengeError, ContactId, Event, Forward, Gone, IdentityError, Over, Register,
    RegisterError, Request, RequestId, Sm6, Sm12, SuccessError,
};
use ipsec_3gpp::sa::{Ends, Limits, Overlap, PlanStep, SaSet, SetId, Side};
use ipsec_3gpp::spi::Spi;
use ipsec_3gpp::{DataPath, Plan, Sad};

use crate::gm::{self, Answers, DRAIN, Gm, HOUR, PCSCF, Phone, keys};
use crate::support::udp;
use crate::{SECOND, gm_and_phone};

/// A data path that counts what it is asked for, and fails when it is told to.
#[derive(Default)]
struct Flaky {
    sad: Sad,
    fails_install: bool,
    fails_take: bool,
    fails_extend: bool,
    extended: Vec<(SetId, Duration)>,
    installed: HashSet<SetId>,
    removed: HashSet<SetId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of order")]
struct OutOfOrder;

impl DataPath for Flaky {
    type Error = OutOfOrder;

    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), OutOfOrder> {
        if self.fails_install {
            return Err(OutOfOrder);
        }
        assert!(self.installed.insert(id), "{id} was installed before");
        self.sad.install(id, side, set, overlap).unwrap();
        Ok(())
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), OutOfOrder> {
        if self.fails_take {
            return Err(OutOfOrder);
        }
        self.sad.take_into_use(id, side, ends).unwrap();
        Ok(())
    }

    fn extend(&mut self, id: SetId, _: Side, _: &Ends, lifetime: Duration) -> Result<(), OutOfOrder> {
        if self.fails_extend {
            return Err(OutOfOrder);
        }
        self.extended.push((id, lifetime));
        Ok(())
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        assert!(self.installed.contains(&id), "{id} was never installed");
        assert!(self.removed.insert(id), "{id} was removed before");
        self.sad.remove(id, side, ends);
    }
}

/// A P-CSCF with such a data path, and one phone, step by step.
struct Steps {
    gm: Gm,
    phone: Phone,
    path: Flaky,
}

impl Steps {
    fn new() -> Self {
        Self { gm: Gm::new(), phone: Phone::new(16), path: Flaky::default() }
    }

    fn register(&mut self, request: &Request, answers: Answers) -> Forward {
        let client = request.security_client.to_string();
        let verify: Vec<&str> = request.security_verify.iter().map(AsRef::as_ref).collect();
        let register = Register::new(gm::over(request), self.phone.address, PCSCF, &self.phone.impi);
        let rows = [client.as_str()];
        let register = register
            .with_authorization(answers.authorization("n"))
            .with_security_client(&rows)
            .with_security_verify(&verify);
        self.gm.pcscf.register(self.gm.now, &register, &mut self.path).unwrap()
    }

    fn sm1(&mut self) -> Forward {
        let begin = self.phone.begin();
        let request = self.phone.begins(self.gm.now, &begin);
        self.register(&request, Answers::None)
    }

    fn challenge(&mut self, request: RequestId) -> Result<Sm6, ChallengeError<OutOfOrder>> {
        let (ck, ik) = keys();
        self.gm.pcscf.challenge(self.gm.now, request, "n", &ck, &ik, &mut self.path)
    }

    /// SM6 at the phone, and SM7 at the P-CSCF.
    fn sm7(&mut self, sm6: &Sm6) -> Forward {
        let (ck, ik) = keys();
        let over = self.gm.to_ue(sm6.contact, sm6.over);
        let row = sm6.security_server.to_string();
        let phone = &mut self.phone;
        let sm7 = phone.ue.challenged(self.gm.now, over, &[&row], &ck, &ik, &mut phone.sad).unwrap();
        self.register(&sm7, Answers::Response)
    }

    fn success(&mut self, request: RequestId) -> Result<Sm12, SuccessError<OutOfOrder>> {
        self.gm.pcscf.success(self.gm.now, request, Accepted::new(HOUR), &mut self.path)
    }

    /// SM12 at both ends.
    fn sm12(&mut self, request: RequestId) {
        let sm12 = self.success(request).unwrap();
        let over = self.gm.to_ue(sm12.contact, sm12.over);
        let phone = &mut self.phone;
        phone.ue.success(self.gm.now, over, HOUR, &mut phone.sad).unwrap();
    }

    fn registers(&mut self) -> ContactId {
        let request = self.sm1().request;
        let sm6 = self.challenge(request).unwrap();
        let sm7 = self.sm7(&sm6).request;
        self.sm12(sm7);
        sm6.contact
    }

    fn events(&mut self) -> Vec<Event> {
        self.gm.events()
    }
}

/// A data path that ends SAs by itself is told how long they are needed, from their birth on.
#[test]
fn the_data_path_is_told_how_long_a_set_is_needed_and_each_time_that_it_is_longer() {
    const GRACE: Duration = ipsec_3gpp::registration::GRACE;
    let mut steps = Steps::new();
    let request = steps.sm1().request;
    let sm6 = steps.challenge(request).unwrap();
    steps.gm.now = steps.gm.now + 10 * SECOND;
    let sm7 = steps.sm7(&sm6).request;
    // It cannot: SM12 is not sent, and the set is what it was.
    steps.path.fails_extend = true;
    assert!(matches!(steps.success(sm7), Err(SuccessError::DataPath(OutOfOrder))));
    steps.path.fails_extend = false;
    steps.sm12(sm7);
    assert_eq!(steps.path.extended, [(sm6.set, HOUR + GRACE + 10 * SECOND)]);
    // Refreshed without a challenge, for weeks.
    for round in 1..=50_u32 {
        steps.gm.now = steps.gm.now + HOUR / 2;
        let request = steps.sm1().request;
        if round == 7 {
            steps.path.fails_extend = true;
            assert!(matches!(steps.success(request), Err(SuccessError::DataPath(OutOfOrder))));
            steps.path.fails_extend = false;
        }
        steps.sm12(request);
        let needed = HOUR + GRACE + 10 * SECOND + round * (HOUR / 2);
        assert_eq!(steps.path.extended.last(), Some(&(sm6.set, needed)));
    }
    assert_eq!(steps.path.extended.len(), 51);
}

#[test]
fn a_set_is_installed_before_sm6_and_each_is_removed_exactly_once() {
    let mut steps = Steps::new();
    for round in 0..5 {
        let request = steps.sm1().request;
        let sm6 = steps.challenge(request).unwrap();
        assert!(steps.path.installed.contains(&sm6.set) && !steps.path.removed.contains(&sm6.set));
        // One authentication in between stays unfinished.
        if round != 2 {
            let sm7 = steps.sm7(&sm6).request;
            steps.sm12(sm7);
        }
    }
    let contact = steps.gm.pcscf.contact_at((steps.phone.address, 6100).into()).unwrap();
    steps.gm.pcscf.deregister(steps.gm.now, contact, &mut steps.path).unwrap();
    steps.gm.now = steps.gm.now + DRAIN + SECOND;
    steps.gm.pcscf.handle_timeout(steps.gm.now, &mut steps.path);
    assert_eq!((steps.path.installed.len(), &steps.path.installed), (5, &steps.path.removed));
    assert!(steps.path.sad.is_empty());
}

#[test]
fn nothing_stays_of_a_set_that_cannot_be_installed_and_its_request_still_waits() {
    let mut steps = Steps::new();
    let forward = steps.sm1();
    steps.path.fails_install = true;
    let error = steps.challenge(forward.request).unwrap_err();
    assert_eq!((&error, error.code()), (&ChallengeError::DataPath(OutOfOrder), "challenge-data-path"));
    assert_eq!(error.status().code(), 500);
    let pcscf = &steps.gm.pcscf;
    assert_eq!(
        (pcscf.spis().in_use(), pcscf.sets(forward.contact).count(), pcscf.counters().sets),
        (0, 0, 0)
    );
    assert!(steps.path.sad.is_empty());
    steps.path.fails_install = false;
    let sm6 = steps.challenge(forward.request).unwrap();
    let sm7 = steps.sm7(&sm6).request;
    steps.sm12(sm7);
}

#[test]
fn the_older_set_stays_in_use_where_the_newer_one_cannot_be_taken() {
    let mut steps = Steps::new();
    let contact = steps.registers();
    let before = steps.gm.pcscf.route_request(contact).unwrap();
    steps.registers();
    steps.events();
    steps.path.fails_take = true;
    let over = steps.phone.ue.route_request().unwrap().spi;
    assert_eq!(steps.gm.pcscf.message(steps.gm.now, over, &mut steps.path), Ok(contact), "it is delivered");
    assert_eq!(steps.gm.pcscf.route_request(contact), Ok(before));
    assert_eq!((steps.gm.pcscf.counters().not_taken, steps.events()), (1, vec![]));
    // The next message tries again.
    steps.path.fails_take = false;
    steps.gm.pcscf.message(steps.gm.now, over, &mut steps.path).unwrap();
    let set = steps.gm.pcscf.route_request(contact).unwrap().set;
    assert_ne!(set, before.set);
    assert_eq!(steps.events(), [Event::SetTakenIntoUse { contact, set }]);
}

#[test]
fn a_first_set_that_cannot_be_taken_into_use_leaves_the_200_to_be_tried_again() {
    let mut steps = Steps::new();
    let request = steps.sm1().request;
    let sm6 = steps.challenge(request).unwrap();
    let sm7 = steps.sm7(&sm6).request;
    steps.path.fails_take = true;
    let error = steps.success(sm7).unwrap_err();
    assert_eq!((error, error.code()), (SuccessError::DataPath(OutOfOrder), "success-data-path"));
    assert!(!steps.gm.pcscf.may_send_protected(sm6.contact));
    steps.path.fails_take = false;
    steps.sm12(sm7);
    assert!(steps.gm.pcscf.may_send_protected(sm6.contact));
}

#[test]
fn a_set_that_cannot_be_taken_when_the_older_one_ends_ends_the_contact() {
    let mut steps = Steps::new();
    let contact = steps.registers();
    steps.gm.now = steps.gm.now + 600 * SECOND;
    steps.registers();
    steps.path.fails_take = true;
    steps.events();
    // The older set is in use until its lifetime is over.
    steps.gm.now = steps.gm.now + HOUR + 31 * SECOND - 600 * SECOND;
    steps.gm.pcscf.handle_timeout(steps.gm.now, &mut steps.path);
    let events = steps.events();
    let Some(Event::ContactEnded { contact: ended, cause, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!((*ended, *cause), (contact, Cause::DataPath));
    assert_eq!(steps.path.installed, steps.path.removed);
}

#[test]
fn a_plan_that_is_carried_out_elsewhere_does_the_same() {
    let (mut gm, mut phone) = gm_and_phone();
    let mut elsewhere = Sad::new();
    let forward = gm.sm1(&mut phone);
    let (ck, ik) = keys();
    let planned = Plan::record(|plan| gm.pcscf.challenge(gm.now, forward.request, "n", &ck, &ik, plan));
    let (plan, sm6) = planned.into_parts();
    let sm6 = sm6.unwrap();
    assert!(matches!(plan.steps(), [PlanStep::Install { id, .. }] if *id == sm6.set));
    assert!(plan.carry_out(&mut elsewhere).is_empty());
    assert_eq!((gm.sad.len(), elsewhere.len()), (0, 4));
    // What could not be installed is told to the table, and the set ends.
    let again = gm.sm1(&mut phone);
    let planned = Plan::record(|plan| gm.pcscf.challenge(gm.now, again.request, "n", &ck, &ik, plan));
    let (plan, made) = planned.into_parts();
    let set = made.unwrap().set;
    assert!(matches!(plan.steps(), [PlanStep::Remove { .. }, PlanStep::Install { .. }]));
    let mut broken = Flaky { fails_install: true, ..Flaky::default() };
    broken.installed.insert(sm6.set);
    assert_eq!(plan.carry_out(&mut broken), [(set, OutOfOrder)]);
    gm.events();
    let mut path = Sad::new();
    assert_eq!(gm.pcscf.data_path_failed(set, &mut path), Ok(()));
    assert_eq!(gm.pcscf.data_path_failed(set, &mut path), Err(Gone));
    let (contact, cause) = (again.contact, Cause::DataPath);
    let events = gm.events();
    assert!(events.contains(&Event::SetRemoved { contact, set, cause }), "{events:?}");
    assert!(matches!(events.last(), Some(Event::ContactEnded { .. })), "{events:?}");
    assert_eq!((gm.pcscf.spis().in_use(), gm.pcscf.len()), (0, 0));
}

#[test]
fn a_current_set_that_the_data_path_lost_ends_the_contact_and_an_old_one_does_not() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let old = gm.pcscf.route_request(contact).unwrap().set;
    gm.registered(&mut phone, HOUR);
    gm.pcscf.data_path_failed(old, &mut gm.sad).unwrap();
    let current = gm.pcscf.route_request(contact).unwrap().set;
    assert_eq!((gm.sets(contact), gm.sad.len(), current == old), (1, 4, false));
    gm.events();
    gm.pcscf.data_path_failed(current, &mut gm.sad).unwrap();
    let cause = Cause::DataPath;
    let events = gm.events();
    assert_eq!(events[0], Event::SetRemoved { contact, set: current, cause });
    assert!(matches!(&events[1..], [Event::ContactEnded { cause: Cause::DataPath, .. }]), "{events:?}");
    assert!(gm.sad.is_empty() && gm.pcscf.is_empty());
}

#[test]
fn the_operator_forgets_a_contact_at_once() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let waiting = gm.sm1(&mut phone).request;
    gm.events();
    assert_eq!(gm.pcscf.forget(contact, &mut gm.sad), Ok(()));
    assert_eq!(gm.pcscf.forget(contact, &mut gm.sad), Err(Gone));
    let events = gm.events();
    assert!(events.contains(&Event::RequestForgotten { contact, request: waiting }));
    assert!(matches!(events.last(), Some(Event::ContactEnded { cause: Cause::Forgotten, .. })), "{events:?}");
    assert!(gm.sad.is_empty() && gm.pcscf.is_empty());
}

#[test]
fn sequence_numbers_that_run_low_are_said_once_for_each_set() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let route = gm.pcscf.route_request(contact).unwrap();
    gm.events();
    let plain = udp((PCSCF, route.source.port()), (phone.address, route.destination.port()), b"x");
    let target = gm.sad.target(&plain).unwrap();
    let limits = Limits::of(target.size.suite).with_soft_packets(1);
    assert!(gm.sad.set_limits(target.sa, limits));
    for number in 1..=3 {
        let mut packet = vec![0; target.size.len];
        let sealed = gm.sad.seal(&plain, &mut packet).unwrap();
        assert_eq!((sealed.range.len(), sealed.spi), (target.size.len, route.spi));
        assert_eq!(sealed.warning.is_some(), number > 1);
        if sealed.warning.is_some() {
            assert_eq!(gm.pcscf.numbers_low(phone.address, sealed.spi), Ok(route.set));
        }
    }
    assert_eq!(gm.events(), [Event::NumbersLow { contact, set: route.set }]);
    assert_eq!(gm.pcscf.numbers_low(PCSCF, route.spi), Err(Gone));
}

#[test]
fn ids_come_back_from_their_octets_in_their_own_table_only() {
    let (mut gm, mut phone) = gm_and_phone();
    let forward = gm.sm1(&mut phone);
    let set = gm.challenge(forward.contact).set;
    let (table, other) = (gm.pcscf.table(), Gm::new().pcscf.table());
    assert_eq!(ContactId::from_raw(table, forward.contact.to_raw()), Some(forward.contact));
    assert_eq!(RequestId::from_raw(table, forward.request.to_raw()), Some(forward.request));
    assert_eq!(SetId::from_raw(table, set.to_raw()), Some(set));
    assert_eq!(ContactId::from_raw(other, forward.contact.to_raw()), None);
    // An id of another table is nobody's here.
    let mut stranger = Gm::new();
    let theirs = stranger.sm1(&mut Phone::new(16));
    assert_eq!(gm.pcscf.identity(theirs.contact), None);
    assert_eq!(gm.try_challenge(theirs.request), Err(ChallengeError::Gone(Gone)));
}

#[test]
fn reconciling_finds_orphans_and_ends_what_is_not_whole() {
    let mut gm = Gm::new();
    let (mut one, mut two) = (Phone::new(1), Phone::new(2));
    let first = gm.registered(&mut one, HOUR);
    let second = gm.registered(&mut two, HOUR);
    gm.registered(&mut two, HOUR);
    let held: Vec<_> = gm.sad.held().collect();
    assert_eq!(held.len(), 12);
    assert!(gm.pcscf.reconcile(held.iter().copied(), &mut gm.sad).is_empty());
    assert!(!gm.events().iter().any(|event| matches!(event, Event::SetRemoved { .. })));

    // An SA of nobody, and one of the first phone's that is gone.
    let orphan = (Spi::new(0x7777_7777).unwrap(), PCSCF);
    let victim = gm.pcscf.route_request(first).unwrap();
    let mut damaged = held.clone();
    damaged.retain(|sa| *sa != (victim.spi, victim.destination.ip()));
    damaged.push(orphan);
    assert_eq!(gm.pcscf.reconcile(damaged, &mut gm.sad), [orphan]);
    let events = gm.events();
    let [Event::SetRemoved { cause: Cause::DataPath, .. }, Event::ContactEnded { contact, identity, cause }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*contact, identity.impi(), *cause), (first, "1@ims", Cause::DataPath));
    assert_eq!((gm.sad.len(), gm.pcscf.len(), gm.sets(second)), (8, 1, 2));

    // After a restart, everything is an orphan.
    let mut restarted = Gm::new();
    assert_eq!(restarted.pcscf.reconcile(gm.sad.held(), &mut restarted.sad).len(), 8);
    assert!(restarted.pcscf.reconcile([], &mut restarted.sad).is_empty());
}

#[test]
fn contacts_of_one_user_have_sas_of_their_own() {
    let mut gm = Gm::new();
    let register = |contact: &'static str, last: u8, row: &'static [&'static str]| {
        Register::new(Over::Clear, [10, 1, 0, last].into(), PCSCF, "1@ims")
            .with_contact(contact)
            .with_security_client(row)
    };
    let row = &["ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100"];
    let one = gm.pcscf.register(gm.now, &register("<urn:1>", 1, row), &mut gm.sad).unwrap();
    let two = gm.pcscf.register(gm.now, &register("<urn:2>", 2, row), &mut gm.sad).unwrap();
    let again = gm.pcscf.register(gm.now, &register("<urn:1>", 1, row), &mut gm.sad).unwrap();
    assert!(one.contact != two.contact && one.contact == again.contact);
    let late = gm.try_challenge(one.request).unwrap_err();
    assert_eq!(late, ChallengeError::Gone(Gone), "the answer to a request that another has replaced");
    for request in [again.request, two.request] {
        gm.try_challenge(request).unwrap();
    }
    assert_eq!(gm.sad.len(), 8);
    let broken: RegisterError =
        gm.pcscf.register(gm.now, &register("a\nb", 3, row), &mut gm.sad).unwrap_err();
    assert_eq!((&broken, broken.status().unwrap().code()), (&IdentityError::LineBreak.into(), 400));
    let none = gm.pcscf.register(gm.now, &register("<urn:3>", 3, &[]), &mut gm.sad).unwrap_err();
    assert_eq!(none.status().unwrap().code(), 494);
    assert_eq!(gm.pcscf.len(), 2);
}

#[test]
fn an_unanswered_reregistration_in_begin_keeps_everything() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.sm1(&mut phone);
    assert_eq!(gm.failure(gm.r(contact)).unwrap().over, Over::Sa(gm.message(&mut phone)));
    assert_eq!(gm.failure(gm.r(contact)), Err(Gone));
    assert_eq!(gm.sets(contact), 1);
}

//! One registration of a UE over time (TS 33.203 7.3 to 7.5, TS 24.229 5.1.1), against a real
//! P-CSCF.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(unused_must_use, reason = "a test leaves answers out on purpose")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::time::Duration;

use gm::{AWAIT, DRAIN, Gm, HOUR, PCSCF, Phone, keys, port};
use ipsec_3gpp::registration::{
    BadChallenge, BeginError, Cause, ChallengeFailure, NoProcedure, NoSa, Over, Transport, UeConfig, UeEvent,
    UeState,
};
use ipsec_3gpp::sa::{Ends, InstallError, Limits, Overlap, PlanStep, SaName, SaSet, SetId, Side};
use ipsec_3gpp::spi::Spi;
use ipsec_3gpp::{DataPath, Moment, Plan, Sad, Suite, Ue};

const SECOND: Duration = Duration::from_secs(1);

fn registered() -> (Gm, Phone) {
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    gm.registered(&mut phone, HOUR);
    (gm, phone)
}

/// The P-CSCF sends a request over the set that it uses; the UE opens it. Returns the UE's set.
fn request_to(gm: &mut Gm, phone: &mut Phone) -> Option<SetId> {
    let contact = gm.pcscf.contact_at((phone.address, 6100).into()).unwrap();
    let route = gm.pcscf.route_request(contact).unwrap();
    let (from, to) = (route.source, route.destination);
    let plain = support::udp((from.ip(), from.port()), (to.ip(), to.port()), b"NOTIFY sip:x SIP/2.0\r\n\r\n");
    let mut packet = vec![0; plain.len() + 64];
    let range = gm.sad.seal(&plain, &mut packet).unwrap().range;
    let opened = phone.sad.open_in_place(&mut packet[range]).ok()?.opened;
    let set = phone.ue.message(gm.now, opened.spi, &mut phone.sad).unwrap();
    Some(set)
}

/// What the P-CSCF's answers over the UE's current set come over.
fn over_current(phone: &Phone) -> Over {
    let request = phone.ue.route_request().unwrap();
    // The ports of the UE's server and the P-CSCF's client.
    let to_server = (7101..=7103).filter_map(|client| phone.ue.over(client, request.via_port.get()));
    let is_current = |over: &Spi| {
        let answer = phone.ue.route_response(Moment::default(), Transport::Udp, *over);
        answer.is_ok_and(|answer| answer.set == request.set)
    };
    Over::Sa(to_server.into_iter().find(is_current).unwrap())
}

/// All events since the last call.
fn events(phone: &mut Phone) -> Vec<UeEvent> {
    std::iter::from_fn(|| phone.ue.poll_event()).collect()
}

/// The events of a timeout alone.
fn after_timeout(phone: &mut Phone, now: Moment) -> Vec<UeEvent> {
    events(phone);
    phone.ue.handle_timeout(now, &mut phone.sad);
    events(phone)
}

#[test]
fn answers_that_come_over_something_else_are_discarded() {
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    let (ck, ik) = keys();
    let contact = gm.sm1(&mut phone).contact;
    let stranger = Over::Sa(Spi::new(300).unwrap());
    assert_eq!(
        phone.ue.challenged(gm.now, stranger, &["tls"], &ck, &ik, &mut phone.sad).unwrap_err(),
        NoProcedure.into()
    );
    gm.sm6(&mut phone, contact);
    // Forged answers in clear while SM12 is awaited.
    assert_eq!(phone.ue.success(gm.now, Over::Clear, HOUR, &mut phone.sad), Err(NoProcedure.into()));
    assert_eq!(
        phone.ue.success(gm.now, Over::Clear, Duration::ZERO, &mut phone.sad),
        Err(NoProcedure.into())
    );
    assert_eq!(phone.ue.failure(gm.now, Over::Clear, None, &mut phone.sad), Err(NoProcedure));
    let begin = phone.begin();
    assert_eq!(phone.ue.bad_challenge(gm.now, Over::Clear, &begin, &mut phone.sad), Err(NoProcedure.into()));
    assert_eq!(phone.ue.state(), UeState::Answered);
    // Over SAs in force, a 401 or a 200 in clear is nobody's.
    let (mut gm, mut phone) = registered();
    gm.sm1(&mut phone);
    assert_eq!(
        phone.ue.challenged(gm.now, Over::Clear, &["tls"], &ck, &ik, &mut phone.sad).unwrap_err(),
        NoProcedure.into()
    );
    assert_eq!(phone.ue.success(gm.now, Over::Clear, HOUR, &mut phone.sad), Err(NoProcedure.into()));
    assert_eq!(phone.ue.failure(gm.now, Over::Clear, None, &mut phone.sad), Err(NoProcedure));
    // A 200 in clear to an SM1 in clear says nothing of the sets.
    let until = phone.ue.registered_until();
    let begin = phone.begin().with_clear(true);
    phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
    phone.ue.success(gm.now + 60 * SECOND, Over::Clear, 100 * HOUR, &mut phone.sad).unwrap();
    assert_eq!(phone.ue.registered_until(), until);
}

#[test]
fn a_refresh_that_fails_is_asked_for_again() {
    let (_, mut phone) = registered();
    let due = phone.ue.poll_timeout().unwrap();
    assert_eq!(after_timeout(&mut phone, due), [UeEvent::RegisterDue]);
    let begin = phone.begin();
    phone.ue.begin(due, &begin, &mut phone.sad).unwrap();
    phone.ue.timed_out(due + DRAIN, &mut phone.sad).unwrap();
    let again = phone.ue.poll_timeout().unwrap();
    assert!(again > due + DRAIN && again < phone.ue.registered_until().unwrap());
    assert_eq!(after_timeout(&mut phone, again), [UeEvent::RegisterDue]);
}

#[test]
fn refreshes_are_due_600_seconds_before_the_end_or_at_half() {
    for (expires, due) in [(600_000, 599_400), (1201, 601), (1200, 600), (600, 300), (61, 30)] {
        let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
        gm.registered(&mut phone, Duration::from_secs(expires));
        let due = gm.now + Duration::from_secs(due);
        let next = phone.ue.poll_timeout().unwrap();
        assert_eq!(next.as_millis() / 1000, due.as_millis() / 1000, "expires {expires}");
        assert_eq!(after_timeout(&mut phone, next), [UeEvent::RegisterDue]);
        assert_eq!(after_timeout(&mut phone, next), [], "once");
    }
}

#[test]
fn a_registration_that_runs_out_takes_its_sas_with_it() {
    let (gm, mut phone) = registered();
    let end = phone.ue.registered_until().unwrap();
    assert_eq!(end, gm.now + HOUR + 30 * SECOND);
    let set = phone.ue.route_request().unwrap().set;
    let cause = Cause::Expired;
    assert_eq!(after_timeout(&mut phone, end), [UeEvent::SetRemoved { set, cause }, UeEvent::Ended(cause)]);
    assert!(phone.sad.is_empty() && !phone.ue.may_send_protected());
    assert_eq!(phone.ue.route_request(), Err(NoSa));
    assert_eq!(phone.ue.poll_timeout(), None);
}

#[test]
fn the_old_set_stays_until_the_network_uses_the_new_one_and_transactions_have_ended() {
    let (mut gm, mut phone) = registered();
    let old = phone.ue.route_request().unwrap().set;
    phone.ue.transaction_begins(old);
    gm.registered(&mut phone, HOUR);
    let new = phone.ue.route_request().unwrap().set;
    assert!(old != new && phone.sad.len() == 8);
    // The P-CSCF goes on over the old one until the UE has used the new one.
    assert_eq!(request_to(&mut gm, &mut phone), Some(old));
    gm.message(&mut phone);
    assert_eq!(request_to(&mut gm, &mut phone), Some(new));
    assert_eq!(phone.sad.len(), 8, "a transaction is open on the old set");
    assert!(phone.ue.route_in_transaction(gm.now, old).is_ok());
    phone.ue.transaction_ends(old, &mut phone.sad);
    assert_eq!(phone.sad.len(), 4);
    // What still belongs to it goes over the current one.
    assert_eq!(phone.ue.route_in_transaction(gm.now, old), phone.ue.route_request());
}

#[test]
fn a_401_without_a_usable_security_server_leaves_the_ue_what_it_had() {
    let (mut gm, mut phone) = registered();
    let set = phone.ue.route_request().unwrap().set;
    let (ck, ik) = keys();
    let unusable = "ipsec-3gpp;alg=aes-gmac;spi-c=1111;spi-s=2222;port-c=7101;port-s=7060";
    for rows in [&[][..], &["tls"], &[unusable]] {
        gm.sm1(&mut phone);
        let over = over_current(&phone);
        let error = phone.ue.challenged(gm.now, over, rows, &ck, &ik, &mut phone.sad).unwrap_err();
        assert!(matches!(error, ChallengeFailure::Sm6(_)), "{error}");
        assert_eq!((phone.ue.state(), phone.sad.len()), (UeState::Idle, 4));
        assert_eq!(phone.ue.route_request().unwrap().set, set);
    }
    gm.registered(&mut phone, HOUR);
}

#[test]
fn at_most_two_bad_challenges_in_a_row_are_reported_and_never_over_new_sas() {
    let (mut gm, mut phone) = registered();
    let current = phone.ue.route_request().unwrap().set;
    gm.sm1(&mut phone);
    let over = over_current(&phone);
    for _ in 0..2 {
        let begin = phone.begin();
        let report = phone.ue.bad_challenge(gm.now, over, &begin, &mut phone.sad).unwrap();
        assert_eq!((report.route.unwrap().set, phone.ue.state()), (current, UeState::Registering));
    }
    let begin = phone.begin();
    assert_eq!(phone.ue.bad_challenge(gm.now, over, &begin, &mut phone.sad), Err(BadChallenge::TooMany));
    assert_eq!(phone.ue.state(), UeState::Idle);
    assert_eq!(phone.ue.bad_challenge(gm.now, over, &begin, &mut phone.sad), Err(NoProcedure.into()));
    assert_eq!(phone.sad.len(), 4);
    // A good challenge ends the row.
    gm.registered(&mut phone, HOUR);
    gm.sm1(&mut phone);
    let over = over_current(&phone);
    let begin = phone.begin();
    assert!(phone.ue.bad_challenge(gm.now, over, &begin, &mut phone.sad).is_ok());
}

#[test]
fn spis_and_the_client_port_are_new_each_time_and_the_server_port_stays() {
    let (mut gm, mut phone) = registered();
    let good = phone.begin();
    let route = phone.ue.route_request().unwrap();
    let mut begin = good.clone();
    begin.setup.spis.client = route.spi;
    assert_eq!(
        phone.ue.begin(gm.now, &begin, &mut phone.sad),
        Err(BeginError::SpiInUse(route.spi)),
        "the P-CSCF's"
    );
    let mut begin = good.clone();
    let own = Spi::new(begin.setup.spis.server.value() - 2).unwrap();
    begin.setup.spis.server = own;
    assert_eq!(phone.ue.begin(gm.now, &begin, &mut phone.sad), Err(BeginError::SpiInUse(own)), "its own");
    let mut begin = good.clone();
    begin.setup.ports.client = port(route.source.port());
    assert_eq!(
        phone.ue.begin(gm.now, &begin, &mut phone.sad),
        Err(BeginError::PortInUse(begin.setup.ports.client))
    );
    let mut begin = good.clone();
    begin.setup.ports.server = port(6102);
    let error = BeginError::ServerPort { needed: port(6100), found: port(6102) };
    assert_eq!(phone.ue.begin(gm.now, &begin, &mut phone.sad), Err(error));
    let mut begin = good.clone();
    begin.setup.spis.client = begin.setup.spis.server;
    assert!(matches!(phone.ue.begin(gm.now, &begin, &mut phone.sad), Err(BeginError::Offer(_))));
    assert_eq!(phone.ue.state(), UeState::Idle, "nothing has begun");
    gm.sm1_with(&mut phone, &good);
}

#[test]
fn a_reregistration_goes_over_what_there_is_and_repeats_security_verify() {
    let (gm, mut phone) = registered();
    let verify = phone.ue.security_verify().to_vec();
    assert_eq!(verify.len(), 1);
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    assert_eq!(request.security_verify, verify);
    assert!(request.route.is_some());
    let begin = phone.begin().with_clear(true);
    let request = phone.begins(gm.now, &begin);
    assert_eq!((request.route, request.security_verify.len()), (None, 0));
}

#[test]
fn no_answer_ends_the_procedure_and_not_the_registration() {
    let (mut gm, mut phone) = registered();
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    assert_eq!((phone.ue.state(), phone.sad.len()), (UeState::Answered, 8));
    phone.timed_out(gm.now);
    assert_eq!((phone.ue.state(), phone.sad.len()), (UeState::Idle, 4));
    assert_eq!(phone.ue.timed_out(gm.now, &mut phone.sad), Err(NoProcedure));
    assert_eq!(phone.ue.failure(gm.now, Over::Clear, None, &mut phone.sad), Err(NoProcedure));
    assert_eq!(phone.ue.success(gm.now, Over::Clear, HOUR, &mut phone.sad), Err(NoProcedure.into()));
    // Left alone, the temporary set ends with reg-await-auth.
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    assert_eq!(phone.ue.poll_timeout(), Some(gm.now + AWAIT));
    assert_eq!(after_timeout(&mut phone, gm.now + AWAIT).last(), Some(&UeEvent::ProcedureExpired));
    assert_eq!((phone.ue.state(), phone.sad.len()), (UeState::Idle, 4));
}

#[test]
fn an_unfinished_procedure_is_forgotten_when_another_begins() {
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    assert_eq!(phone.sad.len(), 4);
    gm.sm1(&mut phone);
    assert_eq!(phone.sad.len(), 0);
    let (ck, ik) = keys();
    assert!(phone.ue.challenged(gm.now, Over::Clear, &["tls"], &ck, &ik, &mut phone.sad).is_err());
    assert_eq!(
        phone.ue.challenged(gm.now, Over::Clear, &["tls"], &ck, &ik, &mut phone.sad).unwrap_err(),
        NoProcedure.into()
    );
}

#[test]
fn leaving_drains_what_there_is() {
    let (mut gm, mut phone) = registered();
    gm.sm1(&mut phone);
    let over = over_current(&phone);
    phone.ue.success(gm.now, over, Duration::ZERO, &mut phone.sad).unwrap();
    assert!(phone.ue.route_request().is_ok(), "the NOTIFY can be answered");
    let end = gm.now + DRAIN;
    assert_eq!(phone.ue.poll_timeout(), Some(end));
    let cause = Cause::Deregistered;
    assert_eq!(after_timeout(&mut phone, end).last(), Some(&UeEvent::Ended(cause)));
    assert!(phone.sad.is_empty() && !phone.ue.may_send_protected());
}

#[test]
fn another_address_leaves_nothing() {
    let (mut gm, mut phone) = registered();
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    events(&mut phone);
    phone.moves_to([10, 9, 9, 9].into());
    let events = events(&mut phone);
    let removed = |event: &&UeEvent| matches!(event, UeEvent::SetRemoved { cause: Cause::Displaced, .. });
    assert_eq!(events.iter().filter(removed).count(), 2, "{events:?}");
    assert_eq!(events.last(), Some(&UeEvent::Ended(Cause::Displaced)));
    assert_eq!((phone.sad.len(), phone.ue.state(), phone.ue.poll_timeout()), (0, UeState::Idle, None));
    assert!(phone.ue.security_verify().is_empty());
}

#[test]
fn routes_name_the_sa_the_ports_and_the_via_port() {
    let (gm, phone) = registered();
    let request = phone.ue.route_request().unwrap();
    assert_eq!(
        (request.sa, request.via_port, request.destination.ip()),
        (SaName::UeClientToPcscfServer, port(6100), PCSCF)
    );
    assert_eq!(request.destination.port(), 7060);
    // What the P-CSCF sent, the UE answers: over UDP from its client port, over TCP on the
    // connection.
    let contact = gm.pcscf.contact_at((phone.address, 6100).into()).unwrap();
    let asked = gm.pcscf.route_request(contact).unwrap();
    let udp = phone.ue.route_response(gm.now, Transport::Udp, asked.spi).unwrap();
    let tcp = phone.ue.route_response(gm.now, Transport::Tcp, asked.spi).unwrap();
    assert_eq!(udp.sa, SaName::UeClientToPcscfServer);
    assert_eq!(
        (tcp.sa, tcp.source, tcp.destination),
        (SaName::UeServerToPcscfClient, asked.destination, asked.source)
    );
    assert!(phone.ue.is_protected_port(6100) && phone.ue.is_protected_port(request.source.port()));
    assert!(!phone.ue.is_protected_port(5060));
    // Of a set that has gone: over the current one, over TCP with a connection to the sent-by.
    let unknown = Spi::new(300).unwrap();
    assert_eq!(phone.ue.route_response(gm.now, Transport::Tcp, unknown), Ok(request));
    let nobody = Phone::new(17).ue;
    assert_eq!(nobody.route_response(gm.now, Transport::Udp, unknown), Err(NoSa));
}

#[test]
fn a_message_over_no_set_in_force_is_discarded() {
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    let temporary = Spi::new(1_000_000 + phone.fresh).unwrap();
    assert_eq!(phone.ue.message(gm.now, temporary, &mut phone.sad), Err(NoSa));
    assert_eq!(phone.ue.message(gm.now, Spi::new(300).unwrap(), &mut phone.sad), Err(NoSa));
}

#[test]
fn a_pcscf_that_keeps_its_client_port_gets_answers_over_the_set_that_it_uses() {
    let (mut gm, mut phone) = registered();
    let before = phone.ue.route_request().unwrap().set;
    let (ck, ik) = keys();
    let current = gm.pcscf.contact_at((phone.address, 6100).into()).unwrap();
    let asked = gm.pcscf.route_request(current).unwrap();
    let row = format!(
        "ipsec-3gpp;q=0.9;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=5001;spi-s=5002;port-c={};port-s=7060",
        asked.source.port()
    );
    // The way back on a TCP connection that the P-CSCF opened.
    let plain = support::udp((phone.address, 6100), (PCSCF, asked.source.port()), b"SIP/2.0 200 OK\r\n\r\n");
    let sealed_with = |phone: &mut Phone| phone.sad.seal(&plain, &mut [0; 200]).unwrap().spi;
    let old = sealed_with(&mut phone);
    let begin = phone.begin();
    phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
    let over = over_current(&phone);
    let sm7 = phone.ue.challenged(gm.now, over, &[&row], &ck, &ik, &mut phone.sad).unwrap();
    assert_eq!((phone.sad.len(), sealed_with(&mut phone)), (8, old));
    let new = Over::Sa(begin.setup.spis.server);
    phone.ue.success(gm.now, new, HOUR, &mut phone.sad).unwrap();
    assert_eq!((phone.sad.len(), sealed_with(&mut phone)), (8, support::spi(5001)));
    assert_ne!(phone.ue.route_request().unwrap().set, before);
    assert_eq!(phone.ue.route_request().unwrap().set, sm7.route.unwrap().set);
    // Nothing of the older set is left once the network has used the newer one.
    phone.ue.message(gm.now, begin.setup.spis.server, &mut phone.sad).unwrap();
    gm.pass(SECOND);
    assert_eq!((phone.sad.len(), sealed_with(&mut phone)), (4, support::spi(5001)));
}

/// A data path that fails when it is told to.
#[derive(Default)]
struct Flaky {
    sad: Sad,
    fails_install: bool,
    fails_take: bool,
}

impl DataPath for Flaky {
    type Error = InstallError;

    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), InstallError> {
        if self.fails_install { Err(InstallError::Full) } else { self.sad.install(id, side, set, overlap) }
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), InstallError> {
        if self.fails_take { Err(InstallError::Full) } else { self.sad.take_into_use(id, side, ends) }
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        self.sad.remove(id, side, ends);
    }
}

/// A data path that ends SAs by itself is told how long they are needed, from their birth on.
#[test]
fn the_data_path_of_a_ue_is_told_how_long_a_set_is_needed() {
    let (mut gm, mut phone) = registered();
    let set = phone.ue.route_request().unwrap().set;
    for round in 1..=3_u32 {
        gm.now = gm.now + HOUR / 2;
        let begin = phone.begin();
        phone.begins(gm.now, &begin);
        let contact = gm.pcscf.contact_at((phone.address, 6100).into()).unwrap();
        let route = gm.pcscf.route_request(contact).unwrap();
        let over = Over::Sa(phone.ue.over(route.source.port(), route.destination.port()).unwrap());
        let planned = Plan::record(|plan| phone.ue.success(gm.now, over, HOUR, plan));
        let (plan, result) = planned.into_parts();
        result.unwrap();
        let grace = ipsec_3gpp::registration::GRACE;
        let needed = HOUR + grace + round * (HOUR / 2);
        let extends = |step: &PlanStep| matches!(step, PlanStep::Extend { id, lifetime, .. } if *id == set && *lifetime == needed);
        assert!(plan.steps().iter().any(extends), "{round}: {plan:?}");
    }
}

#[test]
fn a_data_path_that_fails_leaves_the_ue_what_it_had() {
    let (mut gm, mut phone) = registered();
    let set = phone.ue.route_request().unwrap().set;
    let (ck, ik) = keys();
    let mut path = Flaky { sad: std::mem::take(&mut phone.sad), fails_install: true, fails_take: true };
    let challenge = |gm: &mut Gm, phone: &mut Phone, path: &mut Flaky| {
        let begin = phone.begin();
        let request = phone.ue.begin(gm.now, &begin, path).unwrap();
        let forward = gm.register(phone, &request, Default::default()).unwrap();
        let sm6 = gm.try_challenge(forward.request).unwrap();
        let over = gm.to_ue(forward.contact, sm6.over);
        let row = sm6.security_server.to_string();
        phone.ue.challenged(gm.now, over, &[&row], &ck, &ik, path)
    };
    let error = challenge(&mut gm, &mut phone, &mut path).unwrap_err();
    assert_eq!(
        (&error, error.code()),
        (&ChallengeFailure::DataPath(InstallError::Full), "challenge-data-path")
    );
    assert_eq!((phone.ue.state(), path.sad.len()), (UeState::Idle, 4));
    assert_eq!(phone.ue.route_request().unwrap().set, set);
    // SM12 that cannot be carried out: the older set stays in use until the procedure ends.
    path.fails_install = false;
    let sm7 = challenge(&mut gm, &mut phone, &mut path).unwrap();
    let over = Over::Sa(phone.ue.over(7102, 6100).unwrap_or_else(|| phone.ue.over(7103, 6100).unwrap()));
    let error = phone.ue.success(gm.now, over, HOUR, &mut path).unwrap_err();
    assert_eq!(error.code(), "confirm-data-path");
    assert_eq!((phone.ue.route_request().unwrap().set, phone.ue.state()), (set, UeState::Answered));
    // The data path says later that it has lost the new set, and then the current one.
    events(&mut phone);
    let new = sm7.route.unwrap().set;
    phone.ue.data_path_failed(gm.now, new, &mut path).unwrap();
    assert_eq!(phone.ue.data_path_failed(gm.now, new, &mut path), Err(NoSa));
    let cause = Cause::DataPath;
    assert_eq!(events(&mut phone), [UeEvent::SetRemoved { set: new, cause }]);
    phone.ue.data_path_failed(gm.now, set, &mut path).unwrap();
    assert_eq!(events(&mut phone), [UeEvent::SetRemoved { set, cause }, UeEvent::Ended(cause)]);
    assert!(path.sad.is_empty());
}

#[test]
fn sequence_numbers_that_run_low_ask_for_a_registration_once() {
    let (_, mut phone) = registered();
    events(&mut phone);
    let route = phone.ue.route_request().unwrap();
    let (from, to) = (route.source, route.destination);
    let plain = support::udp((from.ip(), from.port()), (to.ip(), to.port()), b"x");
    let target = phone.sad.target(&plain).unwrap();
    assert_eq!(target.size.suite, Suite::HMAC_SHA_1_96_AES_CBC);
    assert!(phone.sad.set_limits(target.sa, Limits::of(target.size.suite).with_soft_packets(0)));
    for _ in 0..2 {
        let sealed = phone.sad.seal(&plain, &mut [0; 200]).unwrap();
        assert!(sealed.warning.is_some());
        assert_eq!(phone.ue.numbers_low(sealed.spi), Ok(route.set));
    }
    assert_eq!(events(&mut phone), [UeEvent::RegisterDue]);
}

/// Everything is over: nothing asks for another registration.
fn is_over(phone: &mut Phone, now: Moment) {
    let before = events(phone);
    assert!(!before.contains(&UeEvent::RegisterDue), "{before:?}");
    let told = after_timeout(phone, now + DRAIN);
    assert!(!told.contains(&UeEvent::RegisterDue), "{told:?}");
    assert!(phone.sad.is_empty() && !phone.ue.may_send_protected());
    assert_eq!((phone.ue.poll_timeout(), phone.ue.state()), (None, UeState::Idle));
}

#[test]
fn a_ue_that_leaves_has_left_whatever_the_answer_is() {
    type Answer = fn(&mut Phone, Moment);
    let answers: [Answer; 5] = [
        // The 200 is lost.
        |phone, now| phone.timed_out(now),
        // It comes in clear: the P-CSCF has lost the SAs.
        |phone, now| phone.ue.success(now, Over::Clear, Duration::ZERO, &mut phone.sad).unwrap(),
        // An error, over the SAs or in clear.
        |phone, now| {
            let over = over_current(phone);
            phone.ue.failure(now, over, None, &mut phone.sad).unwrap();
        },
        |phone, now| phone.ue.failure(now, Over::Clear, None, &mut phone.sad).unwrap(),
        // As it should be.
        |phone, now| {
            let over = over_current(phone);
            phone.ue.success(now, over, Duration::ZERO, &mut phone.sad).unwrap();
        },
    ];
    for answer in answers {
        let (gm, mut phone) = registered();
        let begin = phone.begin().with_deregistration(true);
        phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
        events(&mut phone);
        answer(&mut phone, gm.now);
        assert!(phone.ue.route_request().is_ok(), "the sets drain");
        is_over(&mut phone, gm.now);
    }
    // Nothing arrives at all, and nobody says so.
    let (gm, mut phone) = registered();
    let begin = phone.begin().with_deregistration(true);
    phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
    let told = after_timeout(&mut phone, gm.now + AWAIT);
    assert!(told.contains(&UeEvent::ProcedureExpired) && !told.contains(&UeEvent::RegisterDue));
    is_over(&mut phone, gm.now + AWAIT);
}

#[test]
fn nobody_in_clear_ends_what_the_ue_does_not_want_to_end() {
    let (gm, mut phone) = registered();
    let begin = phone.begin();
    phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
    assert!(phone.ue.success(gm.now, Over::Clear, Duration::ZERO, &mut phone.sad).is_err());
    assert!(phone.ue.failure(gm.now, Over::Clear, None, &mut phone.sad).is_err());
    assert!(phone.ue.route_request().is_ok());
}

#[test]
fn a_ue_that_is_told_that_its_registration_ended_clears_up_and_asks_for_nothing() {
    // By a NOTIFY: its 200 still has SAs.
    let (gm, mut phone) = registered();
    events(&mut phone);
    phone.ue.deregistered(gm.now, &mut phone.sad);
    assert!(phone.ue.route_request().is_ok());
    is_over(&mut phone, gm.now);
    // In the middle of a re-registration.
    let (mut gm, mut phone) = registered();
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    phone.ue.deregistered(gm.now, &mut phone.sad);
    assert_eq!((phone.ue.state(), phone.sad.len()), (UeState::Idle, 4));
    is_over(&mut phone, gm.now);
    // It goes to another P-CSCF: at once.
    let (gm, mut phone) = registered();
    phone.ue.forget(&mut phone.sad);
    assert!(phone.sad.is_empty());
    is_over(&mut phone, gm.now);
}

#[test]
fn a_ue_comes_back_while_the_sets_of_the_time_before_still_drain() {
    let (mut gm, mut phone) = registered();
    gm.sm1(&mut phone);
    let over = over_current(&phone);
    phone.ue.success(gm.now, over, Duration::ZERO, &mut phone.sad).unwrap();
    gm.pass(5 * SECOND);
    // With the ports that it had: nothing of them is in use any more.
    phone.fresh -= 4;
    phone.server_port = 6102;
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    assert_eq!((request.route, phone.sad.len()), (None, 0), "in clear, and what drained has gone");
    phone.timed_out(gm.now);
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
}

#[test]
fn retry_after_is_waited_for() {
    let (gm, mut phone) = registered();
    for (retry_after, pause) in
        [(None, 30 * SECOND), (Some(600 * SECOND), 600 * SECOND), (Some(SECOND), 30 * SECOND)]
    {
        let begin = phone.begin();
        let now = gm.now + HOUR / 2;
        phone.ue.begin(now, &begin, &mut phone.sad).unwrap();
        let over = over_current(&phone);
        phone.ue.failure(now, over, retry_after, &mut phone.sad).unwrap();
        let next = phone.ue.poll_timeout().unwrap();
        assert!(next >= now + pause, "{retry_after:?}");
    }
}

#[test]
fn deadlines_that_have_passed_are_honoured_by_every_call_of_the_ue() {
    let late = HOUR + 31 * SECOND;
    let (gm, mut phone) = registered();
    let begin = phone.begin();
    // The registration has expired: a new one begins in clear.
    let request = phone.ue.begin(gm.now + late, &begin, &mut phone.sad).unwrap();
    assert_eq!((request.route, phone.sad.len()), (None, 0));
    // A clock that steps back stands still.
    phone.ue.timed_out(gm.now, &mut phone.sad).unwrap();
    let begin = phone.begin();
    phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
    assert_eq!(phone.ue.poll_timeout(), Some(gm.now + late + AWAIT));
    // SM12 after the time of its set.
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    let over = Over::Sa(Spi::new(1_000_001 + phone.fresh).unwrap());
    assert!(sm7.route.is_some());
    let answer = phone.ue.success(gm.now + AWAIT, over, HOUR, &mut phone.sad);
    assert_eq!(answer, Err(NoProcedure.into()));
    assert!(phone.sad.is_empty());
    // A message over a set that has expired.
    let (gm, mut phone) = registered();
    let Over::Sa(spi) = over_current(&phone) else { panic!() };
    assert_eq!(phone.ue.message(gm.now + late, spi, &mut phone.sad), Err(NoSa));
}

#[test]
fn a_challenge_to_sm7_ends_the_attempt_at_once() {
    let (ck, ik) = keys();
    for refused_by_the_card in [false, true] {
        let (mut gm, mut phone) = registered();
        let contact = gm.sm1(&mut phone).contact;
        gm.sm6(&mut phone, contact);
        // Over the set that SM1 went over (TS 33.203 7.4.1a).
        let over = over_current(&phone);
        let begin = phone.begin();
        let code = if refused_by_the_card {
            phone.ue.bad_challenge(gm.now, over, &begin, &mut phone.sad).unwrap_err().code()
        } else {
            phone.ue.challenged(gm.now, over, &[], &ck, &ik, &mut phone.sad).unwrap_err().code()
        };
        assert_eq!((code, phone.ue.state(), phone.sad.len()), ("challenge-sm7", UeState::Idle, 4));
        gm.registered(&mut phone, HOUR);
    }
}

#[test]
fn after_a_long_ring_a_ue_sends_over_the_set_that_the_pcscf_still_has() {
    let (mut gm, mut phone) = registered();
    let old = phone.ue.route_request().unwrap();
    phone.ue.transaction_begins(old.set);
    let over_old = over_current(&phone).spi().unwrap();
    gm.registered(&mut phone, HOUR);
    let new = phone.ue.route_request().unwrap();
    // At first the P-CSCF has it for certain.
    assert_eq!(phone.ue.route_in_transaction(gm.now, old.set), Ok(old));
    assert_eq!(phone.ue.route_response(gm.now, Transport::Udp, over_old).unwrap().set, old.set);
    gm.message(&mut phone);
    request_to(&mut gm, &mut phone);
    gm.pass(DRAIN);
    assert_eq!(phone.ue.route_in_transaction(gm.now, old.set), Ok(new));
    assert_eq!(phone.ue.route_response(gm.now, Transport::Udp, over_old), Ok(new));
    // Over TCP with a connection to the sent-by, RFC 3261 18.2.2: the network has used the new set.
    assert_eq!(phone.ue.route_response(gm.now, Transport::Tcp, over_old), Ok(new));
    // Where it has not, the connection is still there.
    let (mut gm, mut phone) = registered();
    let old = phone.ue.route_request().unwrap();
    let over_old = over_current(&phone).spi().unwrap();
    gm.registered(&mut phone, HOUR);
    gm.pass(DRAIN);
    assert_eq!(phone.ue.route_response(gm.now, Transport::Tcp, over_old).unwrap().set, old.set);
}

#[test]
fn link_local_addresses_need_the_link() {
    let (ue, pcscf) = ("fe80::16".parse().unwrap(), "fe80::1".parse().unwrap());
    let begin = Phone::new(16).begin();
    let now = Moment::from_millis(0);
    let mut sad = Sad::new();
    let mut without = Ue::new(UeConfig::new(gm::policy(), pcscf), ue);
    assert_eq!(without.begin(now, &begin, &mut sad).unwrap_err().code(), "address-link-local");
    let mut on_link = Ue::new(UeConfig::new(gm::policy(), pcscf).with_scope(3), ue);
    on_link.begin(now, &begin, &mut sad).unwrap();
    let row = "ipsec-3gpp;q=0.9;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=5001;spi-s=5002;port-c=7101;port-s=7060";
    let (ck, ik) = keys();
    let sm7 = on_link.challenged(now, Over::Clear, &[row], &ck, &ik, &mut sad).unwrap();
    assert_eq!(sm7.route.unwrap().destination.to_string(), "[fe80::1%3]:7060");
}

#[test]
fn one_protected_port_of_the_pcscf_for_both_is_legal() {
    // Oracle's sample profile has 4060 for the client and for the server port.
    let row = "ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=aes-cbc;spi-c=52340051;spi-s=3859;port-c=4060;port-s=4060";
    let mut phone = Phone::new(16);
    let (now, (ck, ik)) = (Moment::from_millis(0), keys());
    for time in 0..3 {
        // It keeps its ports, and here even its SPIs.
        let begin = phone.begin();
        let over = if time == 0 { Over::Clear } else { over_any(&phone, 4060) };
        phone.ue.begin(now, &begin, &mut phone.sad).unwrap();
        phone.ue.challenged(now, over, &[row], &ck, &ik, &mut phone.sad).unwrap();
        let new = Over::Sa(begin.setup.spis.server);
        phone.ue.success(now, new, HOUR, &mut phone.sad).unwrap();
        assert_eq!(phone.sad.len(), if time == 0 { 4 } else { 8 });
        let route = phone.ue.route_request().unwrap();
        assert_eq!(route.destination.port(), 4060);
        let plain = support::udp((phone.address, route.source.port()), (PCSCF, 4060), b"x");
        assert!(phone.sad.seal(&plain, &mut [0; 200]).is_ok());
    }
}

/// The SPI of the current set that is inbound at the server port.
fn over_any(phone: &Phone, pcscf_client: u16) -> Over {
    let request = phone.ue.route_request().unwrap();
    let spi = phone.ue.over(pcscf_client, request.via_port.get()).unwrap();
    Over::Sa(spi)
}

#[test]
fn what_was_due_is_due_no_more_once_something_has_begun_or_ended() {
    type Ends = fn(&mut Phone, Moment);
    let ways: [Ends; 4] = [
        |phone, now| {
            let begin = phone.begin();
            phone.ue.begin(now, &begin, &mut phone.sad).unwrap();
        },
        |phone, now| {
            let begin = phone.begin().with_deregistration(true);
            phone.ue.begin(now, &begin, &mut phone.sad).unwrap();
        },
        |phone, now| phone.ue.deregistered(now, &mut phone.sad),
        |phone, now| {
            phone.ue.handle_timeout(now, &mut phone.sad);
            phone.ue.forget(&mut phone.sad);
        },
    ];
    for ends in ways {
        let (_, mut phone) = registered();
        events(&mut phone);
        let due = phone.ue.poll_timeout().unwrap();
        // The call comes when the refresh is due, before anybody has polled.
        ends(&mut phone, due + SECOND);
        assert!(!events(&mut phone).contains(&UeEvent::RegisterDue));
    }
}

#[test]
fn a_ue_that_leaves_goes_on_leaving_after_a_bad_challenge() {
    let (mut gm, mut phone) = registered();
    let begin = phone.begin().with_deregistration(true);
    phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
    let over = over_current(&phone);
    let begin = phone.begin();
    phone.ue.bad_challenge(gm.now, over, &begin, &mut phone.sad).unwrap();
    phone.timed_out(gm.now);
    gm.pass(SECOND);
    is_over(&mut phone, gm.now);
}

#[test]
fn retry_after_in_clear_puts_no_prompt_off() {
    let (gm, mut phone) = registered();
    let begin = phone.begin().with_clear(true);
    phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
    let due = phone.ue.registered_until().unwrap();
    phone.ue.failure(gm.now, Over::Clear, Some(1_000_000 * SECOND), &mut phone.sad).unwrap();
    assert!(phone.ue.poll_timeout().unwrap() < due);
}

/// A UE whose refresh was due tries again 30 s after whatever kept it from it.
#[test]
fn whatever_ends_a_reregistration_another_is_asked_for() {
    let due_after_a_pause = |phone: &mut Phone, now: Moment| {
        assert_eq!(phone.ue.state(), UeState::Idle);
        events(phone);
        assert!(!after_timeout(phone, now + 29 * SECOND).contains(&UeEvent::RegisterDue));
        assert!(after_timeout(phone, now + 30 * SECOND).contains(&UeEvent::RegisterDue));
    };
    let due = || {
        let (mut gm, mut phone) = registered();
        gm.pass(3000 * SECOND);
        assert!(after_timeout(&mut phone, gm.now).contains(&UeEvent::RegisterDue));
        (gm, phone)
    };
    // The data path loses the new set.
    let (mut gm, mut phone) = due();
    let contact = gm.sm1(&mut phone).contact;
    let new = gm.sm6(&mut phone, contact).route.unwrap().set;
    phone.ue.data_path_failed(gm.now, new, &mut phone.sad).unwrap();
    due_after_a_pause(&mut phone, gm.now);
    // A third challenge in a row is bad.
    let (mut gm, mut phone) = due();
    gm.sm1(&mut phone);
    let over = over_current(&phone);
    for attempt in 0..3 {
        let begin = phone.begin();
        let report = phone.ue.bad_challenge(gm.now, over, &begin, &mut phone.sad);
        assert_eq!(report.is_ok(), attempt < 2);
    }
    due_after_a_pause(&mut phone, gm.now);
    // A 2xx in clear to what went in clear sets nothing up.
    let (mut gm, mut phone) = due();
    gm.sm1_in_clear(&mut phone);
    phone.ue.success(gm.now, Over::Clear, HOUR, &mut phone.sad).unwrap();
    due_after_a_pause(&mut phone, gm.now);
}

#[test]
fn a_ue_that_forgets_has_no_procedure_and_one_that_leaves_no_refresh() {
    let (mut gm, mut phone) = registered();
    gm.sm1(&mut phone);
    phone.ue.forget(&mut phone.sad);
    assert_eq!(
        (phone.ue.state(), phone.ue.timed_out(gm.now, &mut phone.sad)),
        (UeState::Idle, Err(NoProcedure))
    );
    // The refresh of a short registration would be due while the UE leaves.
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    gm.registered(&mut phone, 200 * SECOND);
    gm.pass(50 * SECOND);
    let begin = phone.begin().with_deregistration(true);
    phone.ue.begin(gm.now, &begin, &mut phone.sad).unwrap();
    events(&mut phone);
    assert!(!after_timeout(&mut phone, gm.now + 60 * SECOND).contains(&UeEvent::RegisterDue));
}

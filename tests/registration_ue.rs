//! One registration of a UE over time (TS 33.203 7.3 to 7.5, TS 24.229 5.1.1), against a real P-CSCF.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::time::Duration;

use gm::{AWAIT, DRAIN, Gm, HOUR, PCSCF, Phone, keys, port};
use ipsec_3gpp::registration::{
    BadChallenge, Begin, BeginError, ChallengeFailure, Instruction, Message, NoSa, Over, Prompt, SetId,
    Transport, UeGone, UeState,
};
use ipsec_3gpp::{SaName, Spi};

const SECOND: Duration = Duration::from_secs(1);

fn registered() -> (Gm, Phone) {
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    gm.registered(&mut phone, HOUR);
    (gm, phone)
}

/// The P-CSCF sends a request over the set that it uses; the UE opens it. Returns the UE's set.
fn request_to(gm: &mut Gm, phone: &mut Phone) -> Option<SetId> {
    let contact = gm.pcscf.contact_at(phone.address, port(6100)).unwrap();
    let route = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    let (from, to) = (route.source, route.destination);
    let plain = support::udp((from.ip(), from.port()), (to.ip(), to.port()), b"NOTIFY sip:x SIP/2.0\r\n\r\n");
    let mut packet = vec![0; plain.len() + 64];
    let range = gm.sad.seal(&plain, &mut packet).unwrap().range;
    let opened = phone.sad.open_in_place(&mut packet[range]).ok()?.opened;
    let set = phone.ue.message(opened.spi).unwrap();
    phone.apply();
    Some(set)
}

/// What the P-CSCF's answers over the UE's current set come over.
fn over_current(phone: &Phone) -> Over {
    let request = phone.ue.route(Transport::Udp, Message::Request).unwrap();
    // The ports of the UE's server and the P-CSCF's client.
    let to_server = (7101..=7103).filter_map(|client| phone.ue.over(port(client), request.via_port));
    let is_current = |over: &Spi| {
        let answer = phone.ue.route(Transport::Udp, Message::Response { over: *over });
        answer.is_ok_and(|answer| answer.set == request.set)
    };
    Over::Sa(to_server.into_iter().find(is_current).unwrap())
}

#[test]
fn answers_that_come_over_something_else_are_discarded() {
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    let (ck, ik) = keys();
    let contact = gm.sm1(&mut phone).contact;
    let stranger = Over::Sa(Spi::new(300).unwrap());
    assert_eq!(phone.ue.challenged(gm.now, stranger, &["tls"], &ck, &ik).unwrap_err(), UeGone.into());
    gm.sm6(&mut phone, contact);
    // Forged answers in clear while SM12 is awaited.
    assert_eq!(phone.ue.success(gm.now, Over::Clear, HOUR), Err(UeGone));
    assert_eq!(phone.ue.success(gm.now, Over::Clear, Duration::ZERO), Err(UeGone));
    assert_eq!(phone.ue.failure(gm.now, Over::Clear), Err(UeGone));
    let begin = phone.begin();
    assert_eq!(phone.ue.bad_challenge(gm.now, Over::Clear, &begin), Err(UeGone.into()));
    assert_eq!(phone.ue.state(), UeState::Answered);
    // Over SAs in force, a 401 or a 200 in clear is nobody's.
    let (mut gm, mut phone) = registered();
    gm.sm1(&mut phone);
    assert_eq!(phone.ue.challenged(gm.now, Over::Clear, &["tls"], &ck, &ik).unwrap_err(), UeGone.into());
    assert_eq!(phone.ue.success(gm.now, Over::Clear, HOUR), Err(UeGone));
    assert_eq!(phone.ue.failure(gm.now, Over::Clear), Err(UeGone));
    // A 200 in clear to an SM1 in clear says nothing of the sets.
    let until = phone.ue.registered_until();
    let begin = Begin { in_clear: true, ..phone.begin() };
    phone.ue.begin(gm.now, &begin).unwrap();
    phone.ue.success(gm.now + HOUR / 2, Over::Clear, 100 * HOUR).unwrap();
    assert_eq!(phone.ue.registered_until(), until);
}

#[test]
fn a_refresh_that_fails_is_asked_for_again() {
    let (gm, mut phone) = registered();
    let due = phone.ue.poll_timeout().unwrap();
    assert_eq!(phone.ue.handle_timeout(due), Some(Prompt::Register));
    let begin = phone.begin();
    phone.ue.begin(due, &begin).unwrap();
    phone.ue.timed_out(due + DRAIN).unwrap();
    let again = phone.ue.poll_timeout().unwrap();
    assert!(again > due + DRAIN && again < phone.ue.registered_until().unwrap());
    assert_eq!(phone.ue.handle_timeout(again), Some(Prompt::Register));
    let _ = gm;
}

#[test]
fn refreshes_are_due_600_seconds_before_the_end_or_at_half() {
    for (expires, due) in [(600_000, 599_400), (1201, 601), (1200, 600), (600, 300), (61, 30)] {
        let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
        gm.registered(&mut phone, Duration::from_secs(expires));
        let due = gm.now + Duration::from_secs(due);
        let next = phone.ue.poll_timeout().unwrap();
        assert_eq!(next.as_millis() / 1000, due.as_millis() / 1000, "expires {expires}");
        assert_eq!(phone.ue.handle_timeout(next), Some(Prompt::Register));
        assert_eq!(phone.ue.handle_timeout(next), None, "once");
    }
}

#[test]
fn a_registration_that_runs_out_takes_its_sas_with_it() {
    let (gm, mut phone) = registered();
    let end = phone.ue.registered_until().unwrap();
    assert_eq!(end, gm.now + HOUR + 30 * SECOND);
    assert_eq!(phone.ue.handle_timeout(end), Some(Prompt::Lost));
    phone.apply();
    assert!(phone.sad.is_empty() && !phone.ue.may_send_protected());
    assert_eq!(phone.ue.route(Transport::Udp, Message::Request), Err(NoSa));
    assert_eq!(phone.ue.poll_timeout(), None);
}

#[test]
fn the_old_set_stays_until_the_network_uses_the_new_one_and_transactions_have_ended() {
    let (mut gm, mut phone) = registered();
    let old = phone.ue.route(Transport::Udp, Message::Request).unwrap().set;
    phone.ue.transaction_begins(old);
    gm.registered(&mut phone, HOUR);
    let new = phone.ue.route(Transport::Udp, Message::Request).unwrap().set;
    assert!(old != new && phone.sad.len() == 8);
    // The P-CSCF goes on over the old one until the UE has used the new one.
    assert_eq!(request_to(&mut gm, &mut phone), Some(old));
    gm.message(&mut phone);
    assert_eq!(request_to(&mut gm, &mut phone), Some(new));
    assert_eq!(phone.sad.len(), 8, "a transaction is open on the old set");
    assert!(phone.ue.route(Transport::Udp, Message::InTransaction(old)).is_ok());
    phone.ue.transaction_ends(old);
    phone.apply();
    assert_eq!(phone.sad.len(), 4);
    assert_eq!(phone.ue.route(Transport::Udp, Message::InTransaction(old)), Err(NoSa));
}

#[test]
fn a_401_without_a_usable_security_server_leaves_the_ue_what_it_had() {
    let (mut gm, mut phone) = registered();
    let set = phone.ue.route(Transport::Udp, Message::Request).unwrap().set;
    let (ck, ik) = keys();
    let unusable = "ipsec-3gpp;alg=aes-gmac;spi-c=1111;spi-s=2222;port-c=7101;port-s=7060";
    for rows in [&[][..], &["tls"], &[unusable]] {
        gm.sm1(&mut phone);
        let over = over_current(&phone);
        let error = phone.ue.challenged(gm.now, over, rows, &ck, &ik).unwrap_err();
        assert!(matches!(error, ChallengeFailure::Sm6(_)), "{error}");
        phone.apply();
        assert_eq!((phone.ue.state(), phone.sad.len()), (UeState::Idle, 4));
        assert_eq!(phone.ue.route(Transport::Udp, Message::Request).unwrap().set, set);
    }
    gm.registered(&mut phone, HOUR);
}

#[test]
fn at_most_two_bad_challenges_in_a_row_are_reported_and_never_over_new_sas() {
    let (mut gm, mut phone) = registered();
    let current = phone.ue.route(Transport::Udp, Message::Request).unwrap().set;
    gm.sm1(&mut phone);
    let over = over_current(&phone);
    for _ in 0..2 {
        let begin = phone.begin();
        let report = phone.ue.bad_challenge(gm.now, over, &begin).unwrap();
        assert_eq!((report.over, phone.ue.state()), (Some(current), UeState::Registering));
    }
    let begin = phone.begin();
    assert_eq!(phone.ue.bad_challenge(gm.now, over, &begin), Err(BadChallenge::TooMany));
    assert_eq!(phone.ue.state(), UeState::Idle);
    assert_eq!(phone.ue.bad_challenge(gm.now, over, &begin), Err(UeGone.into()));
    phone.apply();
    assert_eq!(phone.sad.len(), 4);
    // A good challenge ends the row.
    gm.registered(&mut phone, HOUR);
    gm.sm1(&mut phone);
    let over = over_current(&phone);
    let begin = phone.begin();
    assert!(phone.ue.bad_challenge(gm.now, over, &begin).is_ok());
}

#[test]
fn spis_and_the_client_port_are_new_each_time_and_the_server_port_stays() {
    let (mut gm, mut phone) = registered();
    let good = phone.begin();
    let route = phone.ue.route(Transport::Udp, Message::Request).unwrap();
    let mut begin = good.clone();
    begin.setup.spis.client = route.spi;
    assert_eq!(phone.ue.begin(gm.now, &begin), Err(BeginError::SpiInUse(route.spi)), "the P-CSCF's");
    let mut begin = good.clone();
    let own = Spi::new(begin.setup.spis.server.value() - 2).unwrap();
    begin.setup.spis.server = own;
    assert_eq!(phone.ue.begin(gm.now, &begin), Err(BeginError::SpiInUse(own)), "its own");
    let mut begin = good.clone();
    begin.setup.ports.client = port(route.source.port());
    assert_eq!(phone.ue.begin(gm.now, &begin), Err(BeginError::PortInUse(begin.setup.ports.client)));
    let mut begin = good.clone();
    begin.setup.ports.server = port(6102);
    let error = BeginError::ServerPort { needed: port(6100), found: port(6102) };
    assert_eq!(phone.ue.begin(gm.now, &begin), Err(error));
    let mut begin = good.clone();
    begin.setup.spis.client = begin.setup.spis.server;
    assert!(matches!(phone.ue.begin(gm.now, &begin), Err(BeginError::Offer(_))));
    assert_eq!(phone.ue.state(), UeState::Idle, "nothing has begun");
    gm.sm1_with(&mut phone, &good);
}

#[test]
fn a_reregistration_goes_over_what_there_is_and_repeats_security_verify() {
    let (gm, mut phone) = registered();
    let verify = phone.ue.security_verify().to_vec();
    assert_eq!(verify.len(), 1);
    let begin = phone.begin();
    let request = phone.ue.begin(gm.now, &begin).unwrap();
    assert_eq!(request.security_verify, verify);
    assert!(request.over.is_some());
    let begin = Begin { in_clear: true, ..phone.begin() };
    let request = phone.ue.begin(gm.now, &begin).unwrap();
    assert_eq!((request.over, request.security_verify.len()), (None, 0));
}

#[test]
fn no_answer_ends_the_procedure_and_not_the_registration() {
    let (mut gm, mut phone) = registered();
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    assert_eq!((phone.ue.state(), phone.sad.len()), (UeState::Answered, 8));
    phone.ue.timed_out(gm.now).unwrap();
    phone.apply();
    assert_eq!((phone.ue.state(), phone.sad.len()), (UeState::Idle, 4));
    assert_eq!(phone.ue.timed_out(gm.now), Err(UeGone));
    assert_eq!(phone.ue.failure(gm.now, Over::Clear), Err(UeGone));
    assert_eq!(phone.ue.success(gm.now, Over::Clear, HOUR), Err(UeGone));
    // Left alone, the temporary set ends with reg-await-auth.
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    assert_eq!(phone.ue.poll_timeout(), Some(gm.now + AWAIT));
    assert_eq!(phone.ue.handle_timeout(gm.now + AWAIT), None);
    phone.apply();
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
    assert!(phone.ue.challenged(gm.now, Over::Clear, &["tls"], &ck, &ik).is_err());
    assert_eq!(phone.ue.challenged(gm.now, Over::Clear, &["tls"], &ck, &ik).unwrap_err(), UeGone.into());
}

#[test]
fn leaving_drains_what_there_is() {
    let (mut gm, mut phone) = registered();
    gm.sm1(&mut phone);
    let over = over_current(&phone);
    phone.ue.success(gm.now, over, Duration::ZERO).unwrap();
    assert!(phone.ue.route(Transport::Udp, Message::Request).is_ok(), "the NOTIFY can be answered");
    let end = gm.now + DRAIN;
    assert_eq!(phone.ue.poll_timeout(), Some(end));
    assert_eq!(phone.ue.handle_timeout(end), None, "it left because it wanted to");
    phone.apply();
    assert!(phone.sad.is_empty() && !phone.ue.may_send_protected());
}

#[test]
fn another_address_leaves_nothing() {
    let (mut gm, mut phone) = registered();
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    phone.ue.address_changed([10, 9, 9, 9].into());
    let mut removed = 0;
    while let Some(instruction) = phone.ue.next_instruction() {
        assert!(matches!(instruction, Instruction::Remove(..)));
        removed += 1;
    }
    assert_eq!((removed, phone.ue.state(), phone.ue.poll_timeout()), (2, UeState::Idle, None));
    assert!(phone.ue.security_verify().is_empty());
}

#[test]
fn routes_name_the_sa_the_ports_and_the_via_port() {
    let (gm, phone) = registered();
    let request = phone.ue.route(Transport::Udp, Message::Request).unwrap();
    assert_eq!(
        (request.sa, request.via_port, request.destination.ip()),
        (SaName::UeClientToPcscfServer, port(6100), PCSCF)
    );
    assert_eq!(request.destination.port(), 7060);
    // What the P-CSCF sent, the UE answers: over UDP from its client port, over TCP on the connection.
    let contact = gm.pcscf.contact_at(phone.address, port(6100)).unwrap();
    let asked = gm.pcscf.route(contact, Transport::Tcp, Message::Request).unwrap();
    let answer = Message::Response { over: asked.spi };
    let udp = phone.ue.route(Transport::Udp, answer).unwrap();
    let tcp = phone.ue.route(Transport::Tcp, answer).unwrap();
    assert_eq!(udp.sa, SaName::UeClientToPcscfServer);
    assert_eq!(
        (tcp.sa, tcp.source, tcp.destination),
        (SaName::UeServerToPcscfClient, asked.destination, asked.source)
    );
    assert!(phone.ue.is_protected_port(6100) && phone.ue.is_protected_port(request.source.port()));
    assert!(!phone.ue.is_protected_port(5060));
    let unknown = Message::Response { over: Spi::new(300).unwrap() };
    assert_eq!(phone.ue.route(Transport::Udp, unknown), Err(NoSa));
}

#[test]
fn a_message_over_no_set_in_force_is_discarded() {
    let (mut gm, mut phone) = (Gm::new(), Phone::new(16));
    let contact = gm.sm1(&mut phone).contact;
    gm.sm6(&mut phone, contact);
    let temporary = Spi::new(1_000_000 + phone.fresh).unwrap();
    assert_eq!(phone.ue.message(temporary), Err(UeGone));
    assert_eq!(phone.ue.message(Spi::new(300).unwrap()), Err(UeGone));
}

#[test]
fn a_pcscf_that_lost_its_sas_may_use_its_port_again_only_after_a_register_in_clear() {
    let (gm, mut phone) = registered();
    let used = phone.ue.route(Transport::Tcp, Message::Request).unwrap();
    let (ck, ik) = keys();
    let current = gm.pcscf.contact_at(phone.address, port(6100)).unwrap();
    let port_pc = gm.pcscf.route(current, Transport::Udp, Message::Request).unwrap().source.port();
    let row = format!(
        "ipsec-3gpp;q=0.9;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=5001;spi-s=5002;port-c={port_pc};port-s=7060"
    );
    let begin = phone.begin();
    phone.ue.begin(gm.now, &begin).unwrap();
    let over = over_current(&phone);
    let error = phone.ue.challenged(gm.now, over, &[&row], &ck, &ik).unwrap_err();
    assert_eq!(error, ChallengeFailure::PortInUse(port(port_pc)));
    assert_eq!(phone.ue.route(Transport::Tcp, Message::Request), Ok(used), "what it had");
    let begin = Begin { in_clear: true, ..phone.begin() };
    phone.ue.begin(gm.now, &begin).unwrap();
    phone.ue.challenged(gm.now, Over::Clear, &[&row], &ck, &ik).unwrap();
    phone.apply();
    assert_eq!(phone.sad.len(), 4, "the new set alone");
}

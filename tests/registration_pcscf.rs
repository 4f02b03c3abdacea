//! The life of registered contacts at the P-CSCF: the rows of TS 24.229's table 5.2.2-1, TS 33.203 7.3 to 7.5, and what
//! an operator would be woken by.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::collections::HashSet;
use std::time::Duration;

use gm::{AWAIT, DRAIN, Gm, HOUR, PCSCF, Phone, Says, config, keys, port};
use ipsec_3gpp::negotiation::{Refusal, SecAgree};
use ipsec_3gpp::registration::{
    Authentication, Begin, ChallengeError, Config, ConfigError, Discard, Gone, InUse, Instruction, Message,
    NoSa, Over, Register, RegisterError, Transport,
};
use ipsec_3gpp::{Ends, SaName, Side, Spi};

const SECOND: Duration = Duration::from_secs(1);
const RESPONSE: Says = Says { authentication: Authentication::Response, deregisters: false };

fn gm_and_phone() -> (Gm, Phone) {
    (Gm::new(), Phone::new(16))
}

// ---- the rows of the table

#[test]
fn a_200_to_an_initial_authentication_puts_its_set_in_use_at_once() {
    let (mut gm, mut phone) = gm_and_phone();
    let forward = gm.sm1(&mut phone);
    assert_eq!(forward.protection, None);
    let contact = forward.contact;
    assert_eq!((gm.pcscf.len(), gm.pcscf.unregistered(), gm.sad.len()), (1, 1, 0));
    let sm7 = gm.sm6(&mut phone, contact);
    assert_eq!((gm.sad.len(), phone.sad.len()), (4, 4));
    assert!(!gm.pcscf.may_send_protected(contact), "no service before SM12");
    gm.sm7(&phone, &sm7);
    gm.sm12(&mut phone, contact, HOUR);
    assert!(gm.pcscf.may_send_protected(contact));
    assert_eq!((gm.pcscf.unregistered(), gm.sets(contact)), (0, 1));
    assert_eq!(gm.pcscf.registered_until(contact), Some(gm.now + HOUR + 30 * SECOND));
    gm.message(&mut phone);
}

#[test]
fn sending_a_challenge_creates_a_temporary_set_and_drops_an_earlier_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let first = gm.sm6(&mut phone, contact);
    let stale = phone.spi_over(first.over.unwrap());
    gm.sm1(&mut phone);
    assert_eq!(gm.sets(contact), 1, "the first stays until there is another challenge");
    gm.sm6(&mut phone, contact);
    assert_eq!((gm.sets(contact), gm.sad.len(), gm.pcscf.spis().in_use()), (1, 4, 2));
    assert_eq!(gm.pcscf.message(gm.now, stale), Err(Discard::UnknownSa(stale)));
}

#[test]
fn a_200_to_a_reauthentication_keeps_the_set_of_its_register_in_use() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let before = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    gm.pass(600 * SECOND);
    gm.registered(&mut phone, HOUR);
    assert_eq!((gm.sets(contact), gm.sad.len()), (2, 8));
    assert_eq!(gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap(), before);
}

#[test]
fn a_message_over_the_new_set_takes_it_into_use_and_drains_the_old_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let before = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    let after = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    assert_ne!(before.set, after.set);
    assert_eq!(before.via_port, after.via_port);
    assert_ne!(before.source, after.source, "client ports change, server ports stay");
    gm.pass(DRAIN - SECOND);
    assert_eq!(gm.sets(contact), 2);
    gm.pass(SECOND * 2);
    assert_eq!((gm.sets(contact), gm.sad.len()), (1, 4));
}

#[test]
fn a_message_over_the_old_set_changes_nothing() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let old = gm.message(&mut phone);
    gm.registered(&mut phone, HOUR);
    let before = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    assert_eq!(gm.pcscf.message(gm.now, old), Ok(contact));
    assert_eq!(gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap(), before);
    assert_eq!(gm.sets(contact), 2);
}

#[test]
fn an_old_set_in_use_that_will_expire_gives_way_to_the_new_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let before = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    gm.pass(600 * SECOND);
    gm.registered(&mut phone, 2 * HOUR);
    let until_switch = HOUR + 30 * SECOND - DRAIN - 600 * SECOND;
    gm.pass(until_switch - SECOND);
    assert_eq!(gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap(), before);
    gm.pass(2 * SECOND);
    assert_ne!(gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap().set, before.set);
    assert_eq!(gm.sets(contact), 2);
    gm.pass(DRAIN);
    assert_eq!(gm.sets(contact), 1);
}

#[test]
fn a_200_to_a_reauthentication_deletes_all_sets_but_that_of_its_register() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    // The first set drains still; the next registration comes over the second.
    gm.registered(&mut phone, HOUR);
    assert_eq!((gm.sets(contact), gm.sad.len(), gm.pcscf.spis().in_use()), (2, 8, 4));
}

#[test]
fn an_sm1_in_clear_while_there_are_sas_removes_them_once_it_has_succeeded_and_no_sooner() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let forward = gm.sm1_in_clear(&mut phone);
    assert_eq!((forward.contact, forward.protection), (contact, None));
    let sm7 = gm.sm6(&mut phone, contact);
    gm.message(&mut phone);
    assert_eq!(gm.sets(contact), 2);
    gm.sm7(&phone, &sm7);
    gm.sm12(&mut phone, contact, HOUR);
    assert_eq!((gm.sets(contact), gm.sad.len()), (1, 4));
    gm.message(&mut phone);
}

#[test]
fn a_refresh_without_a_challenge_extends_and_never_replaces_or_shortens() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let set = gm.pcscf.sets(contact).next();
    for (expires, until) in [(2 * HOUR, 2 * HOUR), (HOUR, 2 * HOUR)] {
        let forward = gm.sm1(&mut phone);
        assert!(forward.protection.is_some(), "no response, and over the latest set");
        let sm12 = gm.pcscf.success(gm.now, gm.r(contact), expires).unwrap();
        assert_eq!(sm12.new_set, None);
        phone.ue.success(gm.now, gm.to_ue(contact, sm12.over), expires).unwrap();
        assert_eq!(gm.pcscf.registered_until(contact), Some(gm.now + until + 30 * SECOND));
        assert_eq!(phone.ue.registered_until(), Some(gm.now + until + 30 * SECOND));
    }
    assert_eq!((gm.pcscf.sets(contact).next(), gm.sets(contact)), (set, 1));
    assert_eq!(gm.pcscf.counters().refreshed, 2);
}

#[test]
fn a_new_set_never_ends_before_the_old_one_would_have() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, 5 * HOUR);
    let until = gm.pcscf.registered_until(contact);
    gm.registered(&mut phone, HOUR);
    assert_eq!(gm.pcscf.registered_until(contact), until);
}

#[test]
fn a_deregistration_drains_until_its_200_is_out() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let begin = phone.begin();
    let request = phone.ue.begin(gm.now, &begin).unwrap();
    let says = Says { deregisters: true, ..Says::default() };
    let over = phone.spi_over(request.over.unwrap());
    assert!(gm.register(&phone, &request, says).unwrap().protection.is_some());
    let sm12 = gm.pcscf.success(gm.now, gm.r(contact), Duration::ZERO).unwrap();
    gm.apply();
    assert_eq!(sm12.over, Over::Sa(over));
    // The 200 and the NOTIFY behind it still have their SAs.
    assert!(gm.pcscf.route(contact, Transport::Udp, Message::Response { over }).is_ok());
    assert!(gm.pcscf.may_send_protected(contact));
    gm.pass(DRAIN - SECOND);
    assert_eq!(gm.sad.len(), 4);
    gm.pass(2 * SECOND);
    assert_eq!((gm.sad.len(), gm.pcscf.len(), gm.pcscf.spis().in_use()), (0, 0, 0));
    assert_eq!(gm.pcscf.route(contact, Transport::Udp, Message::Request), Err(NoSa));
    assert_eq!(gm.pcscf.identity(contact), None);
    assert_eq!(gm.pcscf.poll_timeout(), None);
}

#[test]
fn the_network_ends_a_registration_in_the_same_way() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    assert_eq!(gm.pcscf.deregister(gm.now, contact), Ok(()));
    assert!(gm.pcscf.may_send_protected(contact));
    gm.pass(DRAIN + SECOND);
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty());
    assert_eq!(gm.pcscf.deregister(gm.now, contact), Err(Gone));
}

// ---- failures

#[test]
fn a_wrong_res_is_told_over_the_new_set_and_then_that_set_goes() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    let new = phone.spi_over(sm7.over.unwrap());
    assert_eq!(gm.pcscf.failure(gm.now, gm.r(contact)).unwrap().over, Over::Sa(new));
    assert!(gm.pcscf.route(contact, Transport::Udp, Message::Response { over: new }).is_ok());
    // Nothing else travels over it.
    assert_eq!(gm.pcscf.message(gm.now, new), Err(Discard::WrongSet(new)));
    assert_eq!(gm.register(&phone, &sm7, RESPONSE), Err(Discard::WrongSet(new).into()));
    gm.pass(DRAIN + SECOND);
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty());
}

#[test]
fn a_wrong_res_at_a_reauthentication_is_told_over_the_old_set_which_stays() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let old = gm.message(&mut phone);
    let until = gm.pcscf.registered_until(contact);
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    assert_eq!(gm.pcscf.failure(gm.now, gm.r(contact)).unwrap().over, Over::Sa(old));
    phone.ue.timed_out(gm.now).unwrap();
    phone.apply();
    gm.pass(DRAIN + SECOND);
    assert_eq!((gm.sets(contact), gm.sad.len(), phone.sad.len()), (1, 4, 4));
    assert_eq!(
        gm.pcscf.registered_until(contact),
        until,
        "nobody is de-registered by a failed authentication"
    );
    gm.message(&mut phone);
}

#[test]
fn a_wrong_ik_is_silence_and_the_temporary_set_ends_with_reg_await_auth() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    gm.challenge(contact);
    gm.pass(AWAIT - SECOND);
    assert_eq!(gm.sad.len(), 4);
    gm.pass(2 * SECOND);
    assert_eq!((gm.sad.len(), gm.pcscf.len(), gm.pcscf.unregistered()), (0, 0, 0));
}

#[test]
fn an_offer_that_the_core_never_answers_ends_too() {
    let (mut gm, mut phone) = gm_and_phone();
    gm.sm1(&mut phone);
    gm.pass(AWAIT + SECOND);
    assert!(gm.pcscf.is_empty());
    assert_eq!(gm.pcscf.poll_timeout(), None);
}

#[test]
fn a_failure_that_the_ue_reports_deletes_the_new_sas_at_once() {
    for registered in [false, true] {
        let (mut gm, mut phone) = gm_and_phone();
        if registered {
            gm.registered(&mut phone, HOUR);
        }
        let contact = gm.sm1(&mut phone).contact;
        let over = gm.challenge(contact).over;
        let begin = phone.begin();
        let report = phone.ue.bad_challenge(gm.now, gm.to_ue(contact, over), &begin).unwrap();
        assert_eq!(report.over.is_some(), registered, "over what it had, never over the new SAs");
        let says = Says { authentication: Authentication::Failure, ..Says::default() };
        let forward = gm.register(&phone, &report, says).unwrap();
        assert_eq!(forward.protection.is_some(), registered);
        assert_eq!(gm.sad.len(), if registered { 4 } else { 0 });
        // The core challenges again, and all is well.
        gm.finish(&mut phone, contact, HOUR);
    }
}

#[test]
fn an_sm7_that_is_not_what_was_issued_ends_the_registration_and_leaves_the_old_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.sm1(&mut phone);
    let mut sm7 = gm.sm6(&mut phone, contact);
    sm7.security_verify = vec!["ipsec-3gpp;alg=hmac-sha-1-96;spi-c=999;spi-s=998;port-c=1;port-s=2".into()];
    let error = gm.register(&phone, &sm7, RESPONSE).unwrap_err();
    assert!(matches!(error, RegisterError::Refused(Refusal::Mismatch { .. })));
    assert_eq!(error.status().unwrap().code(), 494);
    assert_eq!(gm.pcscf.success(gm.now, gm.r(contact), HOUR), Err(Gone), "nothing of it can succeed");
    gm.pass(DRAIN + SECOND);
    assert_eq!((gm.sets(contact), gm.sad.len()), (1, 4));
    gm.message(&mut phone);
}

#[test]
fn an_sm7_over_a_set_that_is_in_force_is_not_taken_for_an_answer() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let current = gm.pcscf.sets(contact).next();
    let over = phone.ue.route(Transport::Udp, Message::Request).unwrap().set;
    gm.sm1(&mut phone);
    let mut sm7 = gm.sm6(&mut phone, contact);
    sm7.over = Some(over);
    // Its ports are those of the temporary set, so it could be an offer of its own; the verdict is "no".
    assert_eq!(gm.register(&phone, &sm7, RESPONSE).unwrap().protection, None);
    let sm12 = gm.pcscf.success(gm.now, gm.r(contact), HOUR).unwrap();
    assert_eq!(sm12.new_set, None, "the temporary set was not answered");
    assert!(gm.pcscf.sets(contact).any(|set| Some(set) == current));
}

#[test]
fn nothing_but_sm7_comes_over_a_temporary_set() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    let spi = phone.spi_over(sm7.over.unwrap());
    for authentication in [Authentication::None, Authentication::Failure] {
        let says = Says { authentication, deregisters: false };
        assert_eq!(gm.register(&phone, &sm7, says), Err(Discard::WrongSet(spi).into()));
    }
    assert_eq!(gm.pcscf.message(gm.now, spi), Err(Discard::WrongSet(spi)));
    gm.sm7(&phone, &sm7);
    assert_eq!(gm.register(&phone, &sm7, RESPONSE), Err(Discard::WrongSet(spi).into()), "once");
}

#[test]
fn another_user_over_somebodys_sa_is_refused() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let begin = phone.begin();
    let request = phone.ue.begin(gm.now, &begin).unwrap();
    phone.impi = "17@ims".into();
    let error = gm.register(&phone, &request, Says::default()).unwrap_err();
    assert_eq!((&error, error.status().unwrap().code()), (&RegisterError::OtherUser, 403));
    let identity = gm.pcscf.identity(contact).unwrap();
    assert_eq!((identity.impi(), identity.impus().collect::<Vec<_>>()), ("16@ims", vec!["sip:16@ims"]));
    assert!(identity.has_impu("sip:16@ims") && !identity.has_impu("sip:17@ims"));
    assert!(gm.pcscf.set_impus(contact, &["sip:16@ims", "tel:+1"]));
    assert!(gm.pcscf.identity(contact).unwrap().has_impu("tel:+1"));
    assert!(!gm.pcscf.set_impus(contact, &["tel:\n+1"]));
}

// ---- the verdict of 6.1.5

#[test]
fn integrity_is_asserted_only_as_6_1_5_says() {
    let (mut gm, mut phone) = gm_and_phone();
    // In clear: never.
    let contact = gm.sm1(&mut phone).contact;
    gm.finish(&mut phone, contact, HOUR);
    // Without a response over the latest set: yes. With one: no.
    for (says, expected) in [(Says::default(), true), (RESPONSE, false)] {
        let begin = phone.begin();
        let request = phone.ue.begin(gm.now, &begin).unwrap();
        assert_eq!(gm.register(&phone, &request, says).unwrap().protection.is_some(), expected);
    }
    // Over the set before the latest: no. The UE has not got the 200, so it goes on over the set that it knows.
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    gm.pcscf.success(gm.now, gm.r(contact), HOUR).unwrap();
    gm.apply();
    phone.ue.timed_out(gm.now).unwrap();
    phone.apply();
    assert_eq!(gm.sm1(&mut phone).protection, None);
    gm.finish(&mut phone, contact, HOUR);
    assert_eq!(gm.sets(contact), 2, "the set that never was used is gone");
    gm.message(&mut phone);
}

// ---- addresses and ports

#[test]
fn two_phones_behind_one_address_are_told_apart_by_their_ports() {
    let (mut gm, mut one) = gm_and_phone();
    let mut other = Phone::new(17);
    other.address = one.address;
    other.ue.address_changed(one.address);
    gm.registered(&mut one, HOUR);
    // The same server port: refused, and the first phone has lost nothing.
    let begin = other.begin();
    let request = other.ue.begin(gm.now, &begin).unwrap();
    let error = gm.register(&other, &request, Says::default()).unwrap_err();
    assert_eq!(error, RegisterError::InUse(InUse::Port { ue: one.address, port: port(6100) }));
    assert_eq!((error.status().unwrap().code(), gm.pcscf.len()), (400, 1));
    other.server_port = 6200;
    let contact = gm.registered(&mut other, HOUR);
    gm.message(&mut one);
    let over = gm.message(&mut other);
    assert_eq!(gm.pcscf.contact_of(over), Some(contact));
    assert_eq!(gm.pcscf.contact_at(other.address, port(6200)), Some(contact));
    assert_eq!(gm.pcscf.contact_at(other.address, port(6300)), None);
}

#[test]
fn a_client_port_that_the_ue_uses_already_is_refused() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let used = phone.ue.route(Transport::Udp, Message::Request).unwrap().source.port();
    // A phone that has forgotten its SAs and begins again with the same port.
    let mut again = Phone::new(16);
    let mut begin = again.begin();
    begin.setup.ports.client = port(used);
    let request = again.ue.begin(gm.now, &begin).unwrap();
    let error = gm.register(&again, &request, Says::default()).unwrap_err();
    assert_eq!(error, RegisterError::InUse(InUse::Port { ue: again.address, port: port(used) }));
    assert_eq!(gm.sets(contact), 1);
}

#[test]
fn somebody_who_takes_the_port_between_sm1_and_sm6_is_noticed() {
    let (mut gm, mut one) = gm_and_phone();
    let mut other = Phone::new(17);
    other.address = one.address;
    other.ue.address_changed(one.address);
    let first = gm.sm1(&mut one).contact;
    let second = gm.sm1(&mut other).contact;
    gm.challenge(first);
    let (ck, ik) = keys();
    let error = gm.pcscf.challenge(gm.now, gm.r(second), &ck, &ik).unwrap_err();
    assert_eq!(error, ChallengeError::InUse(InUse::Port { ue: one.address, port: port(6100) }));
    assert_eq!((error.status().code(), gm.pcscf.spis().in_use()), (400, 2));
}

#[test]
fn a_phone_that_changes_its_address_registers_anew_and_its_old_sas_go() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    phone.address = [10, 1, 0, 99].into();
    phone.ue.address_changed(phone.address);
    phone.apply();
    assert!(phone.sad.is_empty());
    let forward = gm.sm1(&mut phone);
    assert_eq!(forward.contact, contact, "the same contact of the same user");
    gm.finish(&mut phone, contact, HOUR);
    assert_eq!((gm.sets(contact), gm.sad.len()), (1, 4));
    gm.message(&mut phone);
    assert_eq!(gm.pcscf.contact_at([10, 1, 0, 16].into(), port(6100)), None);
}

#[test]
fn a_contact_never_has_more_than_six_sas_a_direction() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let mut client_ports = HashSet::new();
    for _ in 0..20 {
        gm.sm1(&mut phone);
        gm.sm6(&mut phone, contact);
        gm.registered(&mut phone, HOUR);
        gm.message(&mut phone);
        gm.sm1(&mut phone);
        gm.sm6(&mut phone, contact);
        assert_eq!((gm.sets(contact), gm.sad.len()), (3, 12), "old, current and temporary");
        client_ports.insert(gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap().source);
    }
    assert!(client_ports.len() >= 2, "client ports change: {client_ports:?}");
    assert_eq!(gm.pcscf.spis().in_use(), 6);
}

#[test]
fn routes_name_the_sa_the_ports_and_the_via_port() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let ends = *gm_ends(&mut gm, contact);
    let (p, u) = (ends.pcscf.setup.ports, ends.ue.setup.ports);
    let spis = ends.pcscf.setup.spis;
    let over_server = Message::Response { over: spis.server };
    let over_client = Message::Response { over: spis.client };
    for (transport, message, sa, from, to) in [
        (Transport::Udp, Message::Request, SaName::PcscfClientToUeServer, p.client, u.server),
        (Transport::Udp, over_server, SaName::PcscfClientToUeServer, p.client, u.server),
        (Transport::Tcp, Message::Request, SaName::PcscfClientToUeServer, p.client, u.server),
        // The way back on a connection that the UE opened, and on one that the P-CSCF opened.
        (Transport::Tcp, over_server, SaName::PcscfServerToUeClient, p.server, u.client),
        (Transport::Tcp, over_client, SaName::PcscfClientToUeServer, p.client, u.server),
    ] {
        let route = gm.pcscf.route(contact, transport, message).unwrap();
        assert_eq!((route.sa, route.via_port), (sa, p.server), "{transport:?} {message:?}");
        assert_eq!((route.source.port(), route.destination.port()), (from.get(), to.get()));
        assert_eq!((route.source.ip(), route.destination.ip()), (PCSCF, phone.address));
        assert_eq!(route.spi, ends.sa(sa).0);
    }
    let unknown = Message::Response { over: Spi::new(256).unwrap() };
    assert_eq!(gm.pcscf.route(contact, Transport::Tcp, unknown), Err(NoSa));
    assert!(gm.pcscf.is_protected_port(7060) && gm.pcscf.is_protected_port(7102));
    assert!(!gm.pcscf.is_protected_port(5060));
}

/// The ends of a contact's current set, from its removal by the network.
fn gm_ends(gm: &mut Gm, contact: ipsec_3gpp::registration::ContactId) -> Box<Ends> {
    // The data path has just one set.
    let route = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    let mut copy = Gm::new();
    let mut phone = Phone::new(16);
    let same = copy.registered(&mut phone, HOUR);
    assert_eq!(copy.pcscf.route(same, Transport::Udp, Message::Request).unwrap(), route);
    copy.pcscf.deregister(copy.now, same).unwrap();
    copy.now = copy.now + DRAIN + SECOND;
    copy.pcscf.handle_timeout(copy.now);
    match copy.pcscf.next_instruction() {
        Some(Instruction::Remove(_, ends)) => Box::new(ends),
        other => panic!("{other:?}"),
    }
}

// ---- capacity

#[test]
fn a_flood_of_registers_in_clear_costs_bounded_memory_and_pushes_nobody_out() {
    let config = config().with_capacity(100, 10);
    let mut gm = Gm::with(config, 1000);
    let mut phone = Phone::new(16);
    let contact = gm.registered(&mut phone, HOUR);
    let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    let mut refused = 0;
    for n in 0..1000_u32 {
        let impi = format!("{n}@flood");
        let register = Register {
            over: Over::Clear,
            ue: std::net::Ipv4Addr::from_bits(0x0a02_0000 + n).into(),
            pcscf: PCSCF,
            impi: &impi,
            impus: &[],
            contact: "",
            authentication: Authentication::None,
            deregisters: false,
            sec_agree: SecAgree::Present,
            security_client: &[row],
            security_verify: &[],
        };
        match gm.pcscf.register(gm.now, &register) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!((&error, error.status().unwrap().code()), (&RegisterError::Full(10), 503));
                refused += 1;
            }
        }
    }
    assert_eq!((refused, gm.pcscf.len(), gm.pcscf.unregistered()), (990, 11, 10));
    gm.message(&mut phone);
    gm.registered(&mut phone, HOUR);
    assert_eq!(gm.sets(contact), 2);
    gm.pass(AWAIT + SECOND);
    assert_eq!((gm.pcscf.len(), gm.pcscf.unregistered()), (1, 0));
}

#[test]
fn a_full_table_refuses_new_contacts_and_serves_those_it_has() {
    let mut gm = Gm::with(config().with_capacity(2, 2), 1000);
    let (mut one, mut two, mut three) = (Phone::new(1), Phone::new(2), Phone::new(3));
    gm.registered(&mut one, HOUR);
    gm.registered(&mut two, HOUR);
    let begin = three.begin();
    let request = three.ue.begin(gm.now, &begin).unwrap();
    assert_eq!(gm.register(&three, &request, Says::default()), Err(RegisterError::Full(2)));
    gm.registered(&mut one, HOUR);
    gm.message(&mut two);
}

#[test]
fn spis_that_run_out_are_an_error_and_the_offer_waits() {
    let mut gm = Gm::with(config(), 2);
    let (mut one, mut two) = (Phone::new(1), Phone::new(2));
    let first = gm.registered(&mut one, HOUR);
    let second = gm.sm1(&mut two).contact;
    let (ck, ik) = keys();
    let error = gm.pcscf.challenge(gm.now, gm.r(second), &ck, &ik).unwrap_err();
    assert!(matches!(error, ChallengeError::Spis(_)));
    assert_eq!(error.status().code(), 503);
    gm.pcscf.deregister(gm.now, first).unwrap();
    gm.pass(DRAIN - SECOND);
    // The core answers the same request a second before it is given up.
    let third = gm.sm1(&mut two).contact;
    assert_eq!(third, second);
    gm.pass(2 * SECOND);
    gm.finish(&mut two, second, HOUR);
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let new = |server: u16, clients: &[u16]| {
        let clients: Vec<_> = clients.iter().map(|number| port(*number)).collect();
        Config::new(gm::policy(), port(server), &clients).map(|_| ())
    };
    assert_eq!(new(7060, &[7101, 7102]), Err(ConfigError::ClientPorts(2)));
    assert_eq!(new(7060, &[7101, 7102, 7101]), Err(ConfigError::Duplicate(port(7101))));
    assert_eq!(new(7101, &[7101, 7102, 7103]), Err(ConfigError::Duplicate(port(7101))));
    assert_eq!(new(5060, &[7101, 7102, 7103]), Err(ConfigError::SipPort));
    assert_eq!(new(7060, &[7101, 7102, 7103]), Ok(()));
}

// ---- the data path

#[test]
fn instructions_are_safe_to_repeat_and_each_set_is_removed_exactly_once() {
    let (mut gm, mut phone) = gm_and_phone();
    let mut installed = HashSet::new();
    let mut removed = HashSet::new();
    let mut log = Vec::new();
    let (ck, ik) = keys();
    for round in 0..5 {
        let begin = phone.begin();
        let request = phone.ue.begin(gm.now, &begin).unwrap();
        phone.apply();
        let over = request.over.map_or(Over::Clear, |set| Over::Sa(phone.spi_over(set)));
        let client = request.security_client.to_string();
        let contact = gm
            .pcscf
            .register(
                gm.now,
                &Register {
                    over,
                    ue: phone.address,
                    pcscf: PCSCF,
                    impi: &phone.impi,
                    impus: &[],
                    contact: "",
                    authentication: Authentication::None,
                    deregisters: false,
                    sec_agree: SecAgree::Present,
                    security_client: &[&client],
                    security_verify: &[],
                },
            )
            .unwrap();
        let sm6 = gm.pcscf.challenge(gm.now, contact.request, &ck, &ik).unwrap();
        while let Some(instruction) = gm.pcscf.next_instruction() {
            // Each twice: the second time nothing happens.
            for _ in 0..2 {
                match &instruction {
                    Instruction::Install(id) => {
                        let set = gm.pcscf.set(*id).unwrap();
                        if !gm.sad.holds(set.ends(), Side::Pcscf) {
                            gm.sad.install(set, Side::Pcscf).unwrap();
                        }
                    }
                    Instruction::Remove(_, ends) => {
                        gm.sad.remove_ends(ends, Side::Pcscf);
                    }
                }
            }
            match instruction {
                Instruction::Install(id) => assert!(installed.insert(id)),
                Instruction::Remove(id, ends) => {
                    assert!(removed.insert(id), "{id} was removed before");
                    log.push(ends);
                }
            }
        }
        let row = sm6.security_server.to_string();
        let from = gm.to_ue(contact.contact, sm6.over);
        let sm7 = phone.ue.challenged(gm.now, from, &[&row], &ck, &ik).unwrap();
        phone.apply();
        if round != 2 {
            gm.sm7(&phone, &sm7);
            gm.sm12(&mut phone, contact.contact, HOUR);
        }
        // An old removal that comes late takes nothing of a newer set, though the ports may be the same.
        let before = gm.sad.len();
        assert!(log.iter().all(|ends| gm.sad.remove_ends(ends, Side::Pcscf) == 0));
        assert_eq!(gm.sad.len(), before);
    }
    assert_eq!(gm.pcscf.counters().sets, 5);
}

#[test]
fn a_set_that_the_data_path_could_not_install_ends() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let (ck, ik) = keys();
    let sm6 = gm.pcscf.challenge(gm.now, gm.r(contact), &ck, &ik).unwrap();
    assert!(gm.pcscf.install_failed(sm6.set));
    assert!(!gm.pcscf.install_failed(sm6.set));
    gm.apply();
    assert!(gm.sad.is_empty());
    assert_eq!((gm.pcscf.spis().in_use(), gm.pcscf.len()), (0, 0));
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
    let whole = gm.pcscf.reconcile(held.iter().copied());
    assert!(whole.orphans.is_empty() && whole.lost.is_empty());

    // An SA of nobody, and one of the first phone's that is gone.
    let orphan = (Spi::new(0x7777_7777).unwrap(), PCSCF);
    let victim = gm.pcscf.route(first, Transport::Udp, Message::Request).unwrap();
    let mut damaged = held.clone();
    damaged.retain(|sa| *sa != (victim.spi, victim.destination.ip()));
    damaged.push(orphan);
    let found = gm.pcscf.reconcile(damaged);
    assert_eq!(found.orphans, [orphan]);
    assert_eq!(found.lost.iter().map(|identity| identity.impi()).collect::<Vec<_>>(), ["1@ims"]);
    gm.apply();
    assert_eq!((gm.sad.len(), gm.pcscf.len(), gm.sets(second)), (8, 1, 2));

    // After a restart, everything is an orphan.
    let mut restarted = Gm::new();
    let found = restarted.pcscf.reconcile(gm.sad.held());
    assert_eq!((found.orphans.len(), found.lost.len()), (8, 0));
    assert_eq!(restarted.pcscf.reconcile([]), Default::default());
}

#[test]
fn contacts_of_one_user_have_sas_of_their_own() {
    let mut gm = Gm::new();
    let register = |contact: &'static str, last: u8, row: &'static [&'static str]| Register {
        over: Over::Clear,
        ue: [10, 1, 0, last].into(),
        pcscf: PCSCF,
        impi: "1@ims",
        impus: &[],
        contact,
        authentication: Authentication::None,
        deregisters: false,
        sec_agree: SecAgree::Present,
        security_client: row,
        security_verify: &[],
    };
    let row = &["ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100"];
    let one = gm.pcscf.register(gm.now, &register("<urn:1>", 1, row)).unwrap();
    let two = gm.pcscf.register(gm.now, &register("<urn:2>", 2, row)).unwrap();
    let again = gm.pcscf.register(gm.now, &register("<urn:1>", 1, row)).unwrap();
    assert!(one.contact != two.contact && one.contact == again.contact);
    let (ck, ik) = keys();
    let late = gm.pcscf.challenge(gm.now, one.request, &ck, &ik).unwrap_err();
    assert_eq!(late, ChallengeError::Gone(Gone), "the answer to a request that another has replaced");
    for request in [again.request, two.request] {
        gm.pcscf.challenge(gm.now, request, &ck, &ik).unwrap();
    }
    gm.apply();
    assert_eq!(gm.sad.len(), 8);
    let broken = gm.pcscf.register(gm.now, &register("a\nb", 3, row)).unwrap_err();
    assert_eq!((&broken, broken.status().unwrap().code()), (&RegisterError::Identity, 400));
    let none = gm.pcscf.register(gm.now, &register("<urn:3>", 3, &[])).unwrap_err();
    assert_eq!(none.status().unwrap().code(), 494);
    assert_eq!(gm.pcscf.len(), 2);
}

#[test]
fn an_unanswered_reregistration_in_begin_keeps_everything() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.sm1(&mut phone);
    assert_eq!(gm.pcscf.failure(gm.now, gm.r(contact)).unwrap().over, Over::Sa(gm.message(&mut phone)));
    assert_eq!(gm.pcscf.failure(gm.now, gm.r(contact)), Err(Gone));
    assert_eq!(gm.sets(contact), 1);
    let _ = Begin { in_clear: true, ..phone.begin() };
}

// ---- what somebody else can do

#[test]
fn who_registered_is_who_was_authenticated_and_not_who_an_earlier_register_said_to_be() {
    let (mut gm, mut phone) = gm_and_phone();
    let own = std::mem::replace(&mut phone.impu, "sip:victim@ims".into());
    gm.sm1(&mut phone);
    phone.impu = own;
    let contact = gm.registered(&mut phone, HOUR);
    let identity = gm.pcscf.identity(contact).unwrap();
    assert!(identity.has_impu("sip:16@ims") && !identity.has_impu("sip:victim@ims"));
}

/// A REGISTER in clear that anybody can send in a phone's name.
fn forged(gm: &mut Gm, phone: &Phone, authentication: Authentication, spi: u32) -> Result<(), RegisterError> {
    let row = format!("ipsec-3gpp;alg=hmac-sha-1-96;spi-c={spi};spi-s={};port-c=999;port-s=998", spi + 1);
    let register = Register {
        over: Over::Clear,
        ue: phone.address,
        pcscf: PCSCF,
        impi: &phone.impi,
        impus: &[],
        contact: "",
        authentication,
        deregisters: false,
        sec_agree: SecAgree::Present,
        security_client: &[&row],
        security_verify: &[],
    };
    let result = gm.pcscf.register(gm.now, &register).map(|_| ());
    gm.apply();
    result
}

#[test]
fn a_register_in_clear_does_not_displace_one_over_an_sa() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.pass(600 * SECOND);
    gm.sm1(&mut phone);
    forged(&mut gm, &phone, Authentication::None, 7777).unwrap();
    assert!(gm.pcscf.success(gm.now, gm.r(contact), HOUR).is_ok());
    assert_eq!(gm.pcscf.registered_until(contact), Some(gm.now + HOUR + 30 * SECOND));
}

#[test]
fn a_report_of_failure_is_believed_only_from_who_can_have_made_it() {
    // After SM7 was accepted: from nobody.
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    forged(&mut gm, &phone, Authentication::Failure, 7777).unwrap();
    gm.sm12(&mut phone, contact, HOUR);
    // Of a challenge that was sent protected: not in clear.
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    forged(&mut gm, &phone, Authentication::Failure, 7777).unwrap();
    gm.sm7(&phone, &sm7);
    gm.sm12(&mut phone, contact, HOUR);
}

#[test]
fn an_spi_that_the_address_has_already_is_refused_and_nothing_of_its_owner_is_touched() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let set = gm.pcscf.sets(contact).next().unwrap();
    let taken = gm.pcscf.ends(set).unwrap().ue.setup.spis.client;
    let mut other = Phone::new(17);
    other.address = phone.address;
    let error = forged(&mut gm, &other, Authentication::None, taken.value()).unwrap_err();
    assert_eq!(error, RegisterError::InUse(InUse::Spi { ue: phone.address, spi: taken }));
    assert_eq!(error.status().unwrap().code(), 400);
    // Of a set that was never installed, nothing is removed.
    let mut third = Phone::new(18);
    let contact = gm.sm1(&mut third).contact;
    let (ck, ik) = keys();
    let sm6 = gm.pcscf.challenge(gm.now, gm.r(contact), &ck, &ik).unwrap();
    assert_eq!(gm.pcscf.next_instruction(), Some(Instruction::Install(sm6.set)));
    assert!(gm.pcscf.install_failed(sm6.set));
    assert_eq!(gm.pcscf.next_instruction(), None);
    assert_eq!((gm.sad.len(), gm.pcscf.spis().in_use()), (4, 2));
    gm.message(&mut phone);
}

#[test]
fn a_register_over_one_contacts_sa_speaks_for_no_other_contact() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let over = gm.message(&mut phone);
    let register = Register {
        over: Over::Sa(over),
        ue: phone.address,
        pcscf: PCSCF,
        impi: &phone.impi,
        impus: &[],
        contact: "<urn:another>",
        authentication: Authentication::None,
        deregisters: true,
        sec_agree: SecAgree::Present,
        security_client: &[],
        security_verify: &[],
    };
    assert_eq!(gm.pcscf.register(gm.now, &register), Err(RegisterError::OtherUser));
    let own = Register { contact: "", ..register };
    assert!(gm.pcscf.register(gm.now, &own).unwrap().protection.is_some());
    assert_eq!(gm.sets(contact), 1);
}

// ---- calls that last, answers that are lost

#[test]
fn a_response_finds_a_way_though_the_set_of_its_request_has_drained() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let invite = gm.message(&mut phone);
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    gm.pass(DRAIN + SECOND);
    let answer = gm.pcscf.route(contact, Transport::Udp, Message::Response { over: invite }).unwrap();
    let request = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    assert_eq!(answer, request);
    assert_eq!(gm.pcscf.route(contact, Transport::Tcp, Message::Response { over: invite }), Err(NoSa));
}

#[test]
fn a_notify_of_the_end_goes_over_the_set_that_the_ue_has() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let known = gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap();
    // The 200 is lost, so that the UE has not got the new set; then the network ends the registration.
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    gm.pcscf.success(gm.now, gm.r(contact), HOUR).unwrap();
    gm.pcscf.deregister(gm.now, contact).unwrap();
    gm.pass(SECOND);
    assert_eq!(gm.pcscf.route(contact, Transport::Udp, Message::Request).unwrap(), known);
}

#[test]
fn a_challenged_deregistration_is_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    gm.register(&phone, &sm7, Says { deregisters: true, ..RESPONSE }).unwrap();
    gm.pcscf.success(gm.now, gm.r(contact), HOUR).unwrap();
    gm.pass(DRAIN + SECOND);
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty());
}

#[test]
fn ports_tell_what_a_message_came_over() {
    let (mut gm, mut phone) = gm_and_phone();
    gm.registered(&mut phone, HOUR);
    let old = gm.message(&mut phone);
    let from = phone.ue.route(Transport::Udp, Message::Request).unwrap().source;
    gm.registered(&mut phone, HOUR);
    let new_from = phone.ue.route(Transport::Udp, Message::Request).unwrap().source;
    let new = gm.message(&mut phone);
    let over = |from: u16| gm.pcscf.over(phone.address, port(from), port(7060));
    assert_eq!((over(from.port()), over(new_from.port())), (Some(old), Some(new)));
    assert_eq!((over(5060), gm.pcscf.over(PCSCF, port(from.port()), port(7060))), (None, None));
}

//! The rows of TS 24.229's table 5.2.2-1.

use std::time::Duration;

use ipsec_3gpp::registration::{Discard, Gone, NoSa, Over, Transport};

use crate::gm::{DRAIN, HOUR, Says, spi_of};
use crate::{SECOND, gm_and_phone};

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
    let stale = spi_of(&first);
    gm.sm1(&mut phone);
    assert_eq!(gm.sets(contact), 1, "the first stays until there is another challenge");
    gm.sm6(&mut phone, contact);
    assert_eq!((gm.sets(contact), gm.sad.len(), gm.pcscf.spis().in_use()), (1, 4, 2));
    assert_eq!(gm.arrives(stale), Err(Discard::UnknownSa(stale)));
}

#[test]
fn a_200_to_a_reauthentication_keeps_the_set_of_its_register_in_use() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let before = gm.pcscf.route_request(contact).unwrap();
    gm.pass(600 * SECOND);
    gm.registered(&mut phone, HOUR);
    assert_eq!((gm.sets(contact), gm.sad.len()), (2, 8));
    assert_eq!(gm.pcscf.route_request(contact).unwrap(), before);
}

#[test]
fn a_message_over_the_new_set_takes_it_into_use_and_drains_the_old_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let before = gm.pcscf.route_request(contact).unwrap();
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    let after = gm.pcscf.route_request(contact).unwrap();
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
    let before = gm.pcscf.route_request(contact).unwrap();
    assert_eq!(gm.arrives(old), Ok(contact));
    assert_eq!(gm.pcscf.route_request(contact).unwrap(), before);
    assert_eq!(gm.sets(contact), 2);
}

#[test]
fn an_old_set_in_use_that_will_expire_gives_way_to_the_new_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let before = gm.pcscf.route_request(contact).unwrap();
    gm.pass(600 * SECOND);
    gm.registered(&mut phone, 2 * HOUR);
    let until_switch = HOUR + 30 * SECOND - DRAIN - 600 * SECOND;
    gm.pass(until_switch - SECOND);
    assert_eq!(gm.pcscf.route_request(contact).unwrap(), before);
    gm.pass(2 * SECOND);
    assert_ne!(gm.pcscf.route_request(contact).unwrap().set, before.set);
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
fn an_sm1_in_clear_while_there_are_sas_removes_them_once_it_has_succeeded_and_not_before() {
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
        let sm12 = gm.success(gm.r(contact), expires).unwrap();
        assert_eq!(sm12.new_set, None);
        let over = gm.to_ue(contact, sm12.over);
        phone.ue.success(gm.now, over, expires, &mut phone.sad).unwrap();
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
    let request = phone.begins(gm.now, &begin);
    let says = Says { deregisters: true, ..Says::default() };
    let over = spi_of(&request);
    assert!(gm.register(&phone, &request, says).unwrap().protection.is_some());
    let sm12 = gm.success(gm.r(contact), Duration::ZERO).unwrap();
    assert_eq!((sm12.contact, sm12.over), (contact, Over::Sa(over)));
    // The 200 and the NOTIFY after it still have their SAs.
    assert!(gm.pcscf.route_response(contact, Transport::Udp, sm12.over).is_ok());
    assert!(gm.pcscf.may_send_protected(contact));
    gm.pass(DRAIN - SECOND);
    assert_eq!(gm.sad.len(), 4);
    gm.pass(2 * SECOND);
    assert_eq!((gm.sad.len(), gm.pcscf.len(), gm.pcscf.spis().in_use()), (0, 0, 0));
    assert_eq!(gm.pcscf.route_request(contact), Err(NoSa));
    assert_eq!(gm.pcscf.identity(contact), None);
    assert_eq!(gm.pcscf.poll_timeout(), None);
}

#[test]
fn the_network_ends_a_registration_in_the_same_way() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    assert_eq!(gm.pcscf.deregister(gm.now, contact, &mut gm.sad), Ok(()));
    assert!(gm.pcscf.may_send_protected(contact));
    gm.pass(DRAIN + SECOND);
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty());
    assert_eq!(gm.pcscf.deregister(gm.now, contact, &mut gm.sad), Err(Gone));
}

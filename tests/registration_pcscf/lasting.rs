//! Calls that last, answers that are lost.

use ipsec_3gpp::registration::{Over, Transport};

use crate::gm::{DRAIN, HOUR, PCSCF, Says};
use crate::{RESPONSE, SECOND, gm_and_phone};

#[test]
fn a_response_finds_a_way_though_the_set_of_its_request_has_drained() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let invite = gm.message(&mut phone);
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    gm.pass(DRAIN + SECOND);
    // Over TCP with a connection to the sent-by, RFC 3261 18.2.2.
    for transport in [Transport::Udp, Transport::Tcp] {
        let answer = gm.pcscf.route_response(contact, transport, Over::Sa(invite)).unwrap();
        assert_eq!(answer, gm.pcscf.route_request(contact).ok());
    }
}

#[test]
fn a_notify_of_the_end_goes_over_the_set_that_the_ue_has() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let known = gm.pcscf.route_request(contact).unwrap();
    // The 200 is lost, so that the UE has not got the new set; then the network ends the
    // registration.
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    gm.success(gm.r(contact), HOUR).unwrap();
    gm.pcscf.deregister(gm.now, contact, &mut gm.sad).unwrap();
    gm.pass(SECOND);
    assert_eq!(gm.pcscf.route_request(contact).unwrap(), known);
}

#[test]
fn a_challenged_deregistration_is_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    gm.register(&phone, &sm7, Says { deregisters: true, ..RESPONSE }).unwrap();
    gm.success(gm.r(contact), HOUR).unwrap();
    gm.pass(DRAIN + SECOND);
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty());
}

#[test]
fn ports_tell_what_a_message_came_over() {
    let (mut gm, mut phone) = gm_and_phone();
    gm.registered(&mut phone, HOUR);
    let old = gm.message(&mut phone);
    let from = phone.ue.route_request().unwrap().source;
    gm.registered(&mut phone, HOUR);
    let new_from = phone.ue.route_request().unwrap().source;
    let new = gm.message(&mut phone);
    let over = |from: u16| gm.pcscf.over((phone.address, from).into(), 7060);
    assert_eq!((over(from.port()), over(new_from.port())), (Some(old), Some(new)));
    assert_eq!((over(5060), gm.pcscf.over((PCSCF, from.port()).into(), 7060)), (None, None));
}

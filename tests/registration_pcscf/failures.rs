//! Authentications that fail (TS 33.203 7.3).

use ipsec_3gpp::negotiation::Refusal;
use ipsec_3gpp::registration::{Discard, Gone, Over, RegisterError, Transport};

use crate::gm::{AWAIT, Answers, DRAIN, HOUR, Says, spi_of};
use crate::{RESPONSE, SECOND, gm_and_phone};

#[test]
fn a_wrong_res_is_told_over_the_new_set_and_then_that_set_goes() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    let new = spi_of(&sm7);
    assert_eq!(gm.failure(gm.r(contact)).unwrap().over, Over::Sa(new));
    assert!(gm.pcscf.route_response(contact, Transport::Udp, Over::Sa(new)).is_ok());
    // Nothing else travels over it.
    assert_eq!(gm.arrives(new), Err(Discard::WrongSet(new)));
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
    assert_eq!(gm.failure(gm.r(contact)).unwrap().over, Over::Sa(old));
    phone.timed_out(gm.now);
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
        let over = gm.to_ue(contact, over);
        let report = phone.ue.bad_challenge(gm.now, over, &begin, &mut phone.sad).unwrap();
        assert_eq!(report.route.is_some(), registered, "over what it had, never over the new SAs");
        let says = Says { answers: Answers::Failure, ..Says::default() };
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
    assert_eq!(gm.success(gm.r(contact), HOUR), Err(Gone.into()), "nothing of it can succeed");
    gm.pass(DRAIN + SECOND);
    assert_eq!((gm.sets(contact), gm.sad.len()), (1, 4));
    gm.message(&mut phone);
}

#[test]
fn an_sm7_over_a_set_that_is_in_force_is_not_taken_for_an_answer() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let current = gm.pcscf.sets(contact).next();
    let over = phone.ue.route_request().unwrap();
    gm.sm1(&mut phone);
    let mut sm7 = gm.sm6(&mut phone, contact);
    sm7.route = Some(over);
    // Its ports are those of the temporary set, so it could be an offer of its own; the verdict is
    // "no".
    let forward = gm.register(&phone, &sm7, RESPONSE).unwrap();
    assert_eq!((forward.protection, forward.integrity_protected()), (None, "no"));
    let sm12 = gm.success(gm.r(contact), HOUR).unwrap();
    assert_eq!(sm12.new_set, None, "the temporary set was not answered");
    assert!(gm.pcscf.sets(contact).any(|set| Some(set) == current));
}

#[test]
fn nothing_but_sm7_comes_over_a_temporary_set() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    let spi = spi_of(&sm7);
    for answers in [Answers::None, Answers::Another, Answers::Failure] {
        let says = Says { answers, deregisters: false };
        assert_eq!(gm.register(&phone, &sm7, says), Err(Discard::WrongSet(spi).into()));
    }
    assert_eq!(gm.arrives(spi), Err(Discard::WrongSet(spi)));
    gm.sm7(&phone, &sm7);
    assert_eq!(gm.register(&phone, &sm7, RESPONSE), Err(Discard::WrongSet(spi).into()), "once");
}

#[test]
fn another_user_over_somebodys_sa_is_refused() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    phone.impi = "17@ims".into();
    let error = gm.register(&phone, &request, Says::default()).unwrap_err();
    assert!(matches!(error, RegisterError::OtherUser { .. }));
    assert_eq!(
        (error.to_string().as_str(), error.status().unwrap().code()),
        ("17@ims over an SA of 16@ims", 403)
    );
    let identity = gm.pcscf.identity(contact).unwrap();
    assert_eq!((identity.impi(), identity.impus().collect::<Vec<_>>()), ("16@ims", vec!["sip:16@ims"]));
    assert!(identity.has_impu("sip:16@ims") && !identity.has_impu("sip:17@ims"));
    assert!(gm.pcscf.set_impus(contact, &["sip:16@ims", "tel:+1"]));
    assert!(gm.pcscf.identity(contact).unwrap().has_impu("tel:+1"));
    assert!(!gm.pcscf.set_impus(contact, &["tel:\n+1"]));
}

#[test]
fn integrity_is_asserted_only_as_6_1_5_says() {
    let (mut gm, mut phone) = gm_and_phone();
    // In clear: never.
    let contact = gm.sm1(&mut phone).contact;
    gm.finish(&mut phone, contact, HOUR);
    // Over the latest set, without a response or with the last one again: yes. With another one:
    // no.
    let another = Says { answers: Answers::Another, ..Says::default() };
    for (says, expected) in [(Says::default(), true), (RESPONSE, true), (another, false)] {
        let begin = phone.begin();
        let request = phone.begins(gm.now, &begin);
        assert_eq!(gm.register(&phone, &request, says).unwrap().protection.is_some(), expected);
    }
    // Over the set before the latest: no. The UE has not got the 200, so it goes on over the set
    // that it knows.
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    gm.success(gm.r(contact), HOUR).unwrap();
    phone.timed_out(gm.now);
    assert_eq!(gm.sm1(&mut phone).protection, None);
    gm.finish(&mut phone, contact, HOUR);
    assert_eq!(gm.sets(contact), 2, "the set that never was used is gone");
    gm.message(&mut phone);
}

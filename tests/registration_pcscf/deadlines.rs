//! Deadlines are kept in every call, to the millisecond, whether or not a timer has been handled;
//! and a contact has six SAs a direction at most.

use std::time::Duration;

use ipsec_3gpp::registration::{Accepted, Cause, Discard, Event, Gone, Over, Register};

use crate::gm::{AWAIT, DRAIN, Gm, HOUR, PCSCF, Phone, Says, over, spi_of};
use crate::{RESPONSE, SECOND, gm_and_phone};

const GRACE: Duration = Duration::from_secs(30);
const MILLISECOND: Duration = Duration::from_millis(1);

/// The last second passes without a timer.
fn jump(gm: &mut Gm, passed: Duration) {
    gm.pass(passed - SECOND);
    gm.now = gm.now + SECOND;
}

/// Just before a deadline that is this far, and at it. No timer is handled in between. Timers have
/// ticks of 128 ms: what is checked begins between two.
fn at_the_end(length: Duration, mut check: impl FnMut(&dyn Fn() -> (Gm, Phone), Duration, bool)) {
    for begin in [1, 64, 127] {
        let begun = || {
            let (mut gm, phone) = gm_and_phone();
            gm.now = gm.now + begin * MILLISECOND;
            (gm, phone)
        };
        for (passed, is_there) in [(length - MILLISECOND, true), (length, false)] {
            check(&begun, passed, is_there);
        }
    }
}

#[test]
fn a_register_that_awaits_the_core_ends_after_128_s_in_every_answer() {
    at_the_end(DRAIN, |begun, passed, is_there| {
        let waiting = || {
            let (mut gm, mut phone) = begun();
            let request = gm.sm1(&mut phone).request;
            jump(&mut gm, passed);
            (gm, request)
        };
        let (mut gm, request) = waiting();
        assert_eq!(gm.try_challenge(request).is_ok(), is_there);
        let (mut gm, request) = waiting();
        assert_eq!(gm.success(request, HOUR).is_ok(), is_there);
        let (mut gm, request) = waiting();
        assert_eq!(gm.failure(request).is_ok(), is_there);
        assert!(is_there || gm.pcscf.is_empty());
    });
}

#[test]
fn a_challenge_and_its_answer_end_after_240_s() {
    at_the_end(AWAIT, |begun, passed, is_there| {
        let (mut gm, mut phone) = begun();
        let contact = gm.sm1(&mut phone).contact;
        let sm7 = gm.sm6(&mut phone, contact);
        jump(&mut gm, passed);
        assert_eq!(gm.register(&phone, &sm7, RESPONSE).is_ok(), is_there);
        assert_eq!(gm.sad.len(), if is_there { 4 } else { 0 });
    });
    at_the_end(AWAIT, |begun, passed, is_there| {
        let (mut gm, mut phone) = begun();
        let contact = gm.sm1(&mut phone).contact;
        let sm7 = gm.sm6(&mut phone, contact);
        let request = gm.sm7(&phone, &sm7).request;
        jump(&mut gm, passed);
        assert_eq!(gm.success(request, HOUR).is_ok(), is_there);
    });
}

#[test]
fn a_set_ends_with_its_registration_for_messages_and_registers_alike() {
    at_the_end(HOUR + GRACE, |begun, passed, is_there| {
        let registered = || {
            let (mut gm, mut phone) = begun();
            let contact = gm.registered(&mut phone, HOUR);
            let spi = gm.message(&mut phone);
            jump(&mut gm, passed);
            (gm, phone, contact, spi)
        };
        let (mut gm, _, _, spi) = registered();
        assert_eq!(gm.arrives(spi).is_ok(), is_there);
        let (mut gm, mut phone, ..) = registered();
        let begin = phone.begin();
        let request = phone.begins(gm.now, &begin);
        if let Over::Sa(_) = over(&request) {
            assert_eq!(gm.register(&phone, &request, Says::default()).is_ok(), is_there);
        }
        // In clear: another contact, or the same.
        let (mut gm, phone, contact, _) = registered();
        let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
        let rows = [row];
        let register =
            Register::new(Over::Clear, phone.address, PCSCF, &phone.impi).with_security_client(&rows);
        let forward = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap();
        assert_eq!((forward.contact == contact, gm.sad.is_empty()), (is_there, !is_there));
        // The network ends what has ended.
        let (mut gm, _, contact, _) = registered();
        let ended = gm.pcscf.deregister(gm.now, contact, &mut gm.sad);
        assert_eq!(ended, if is_there { Ok(()) } else { Err(Gone) });
    });
}

/// The current set is taken into use 64*T1 before the old one ends, though no message came.
#[test]
fn the_old_set_gives_way_in_time() {
    at_the_end(HOUR + GRACE - DRAIN, |begun, passed, old_is_in_use| {
        let (mut gm, mut phone) = begun();
        let contact = gm.registered(&mut phone, HOUR);
        let old = gm.message(&mut phone);
        gm.registered(&mut phone, 2 * HOUR);
        jump(&mut gm, passed);
        assert_eq!(gm.arrives(old), Ok(contact));
        let before = gm.pcscf.route_request(contact).unwrap().spi;
        let new = gm.message(&mut phone);
        assert_ne!(new, old);
        let after = gm.pcscf.route_request(contact).unwrap().spi;
        assert_eq!(before == after, !old_is_in_use);
    });
}

/// SM1 over SAs, and SM7 of the challenge: the set and the request, of which the core says nothing.
fn answered(gm: &mut Gm, phone: &mut Phone) -> (ipsec_3gpp::spi::Spi, ipsec_3gpp::registration::RequestId) {
    let contact = gm.sm1(phone).contact;
    let sm7 = gm.sm6(phone, contact);
    (spi_of(&sm7), gm.sm7(phone, &sm7).request)
}

#[test]
fn a_contact_has_three_sets_and_what_failed_gives_way_first() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let (_, first) = answered(&mut gm, &mut phone);
    let (_, second) = answered(&mut gm, &mut phone);
    assert_eq!(gm.sets(contact), 3);
    // The answer before the latest gives way to a challenge.
    gm.sm1(&mut phone);
    gm.challenge(contact);
    assert_eq!((gm.sets(contact), gm.sad.len()), (3, 12));
    assert_eq!(gm.success(first, HOUR), Err(Gone.into()));
    assert!(gm.success(second, HOUR).unwrap().new_set.is_some());

    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let (_, first) = answered(&mut gm, &mut phone);
    let (failed, second) = answered(&mut gm, &mut phone);
    gm.failure(second).unwrap();
    assert_eq!(gm.sets(contact), 3);
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    assert_eq!(gm.sets(contact), 3);
    assert!(gm.pcscf.contact_of(failed).is_none(), "the failed one has given way");
    // With the answer to it there are still three.
    gm.sm7(&phone, &sm7);
    assert_eq!(gm.sets(contact), 3);
    assert!(gm.success(first, HOUR).unwrap().new_set.is_some());
}

#[test]
fn a_challenge_over_sas_takes_the_place_of_the_one_before_it_alone() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let (_, verified) = answered(&mut gm, &mut phone);
    gm.sm1(&mut phone);
    let first = gm.challenge(contact).set;
    // A challenge in clear from elsewhere is another's.
    let mut other = Phone::new(16);
    other.moves_to([10, 9, 9, 9].into());
    gm.sm1(&mut other);
    let stranger = gm.challenge(contact).set;
    gm.sm1(&mut phone);
    let second = gm.challenge(contact).set;
    let sets: Vec<_> = gm.pcscf.sets(contact).collect();
    assert!(!sets.contains(&first) && sets.contains(&second) && sets.contains(&stranger));
    assert!(gm.success(verified, HOUR).is_ok());
}

#[test]
fn a_report_over_sas_ends_the_challenge_that_it_names_and_no_other() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let current = gm.message(&mut phone);
    gm.sm1(&mut phone);
    let set = gm.challenge(contact).set;
    let report = |gm: &mut Gm, nonce: &str| {
        let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
        let rows = [row];
        let authorization =
            ipsec_3gpp::registration::Authorization { nonce, response: "", auts: Some("auts") };
        let register = Register::new(Over::Sa(current), [10, 1, 0, 16].into(), PCSCF, "16@ims")
            .with_authorization(authorization)
            .with_security_client(&rows);
        gm.pcscf.register(gm.now, &register, &mut gm.sad).is_ok()
    };
    report(&mut gm, "another");
    assert!(gm.pcscf.ends(set).is_some(), "it names no challenge");
    let nonce = gm.nonce();
    // One in clear, to the same phone at its own address, is another challenge.
    let mut again = Phone::new(16);
    again.fresh += 50;
    gm.sm1(&mut again);
    let in_clear = gm.challenge(contact).set;
    let of_clear = gm.nonce();
    assert!(report(&mut gm, &of_clear));
    assert!(gm.pcscf.ends(set).is_some() && gm.pcscf.ends(in_clear).is_none());
    assert!(report(&mut gm, &nonce));
    assert!(gm.pcscf.ends(set).is_none());
}

#[test]
fn a_departure_ends_what_is_open_over_sas() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let current = gm.message(&mut phone);
    let (new, request) = answered(&mut gm, &mut phone);
    gm.events();
    gm.pcscf.deregister(gm.now, contact, &mut gm.sad).unwrap();
    assert_eq!(gm.success(request, HOUR), Err(Gone.into()));
    assert_eq!(gm.arrives(new), Err(Discard::WrongSet(new)));
    assert_eq!(gm.sets(contact), 2, "the answers still travel");
    gm.now = gm.now + DRAIN - MILLISECOND;
    assert!(gm.arrives(current).is_ok());
    assert_eq!(gm.sets(contact), 2);
    gm.pass(SECOND);
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty());
    let causes: Vec<Cause> = gm
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::SetRemoved { cause, .. } => Some(cause),
            _ => None,
        })
        .collect();
    assert_eq!(causes, [Cause::Deregistered; 2]);
}

#[test]
fn a_failed_authentication_ends_as_refused() {
    let (mut gm, mut phone) = gm_and_phone();
    gm.registered(&mut phone, HOUR);
    let (_, request) = answered(&mut gm, &mut phone);
    gm.failure(request).unwrap();
    gm.events();
    gm.pass(DRAIN + SECOND);
    assert!(matches!(gm.events()[..], [Event::SetRemoved { cause: Cause::Refused, .. }]));
}

/// Two answers at once: the later one replaces, the earlier one extends.
#[test]
fn a_late_success_extends_the_registration_and_replaces_nothing() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let (_, first) = answered(&mut gm, &mut phone);
    let (_, second) = answered(&mut gm, &mut phone);
    let new = gm.success(second, HOUR).unwrap().new_set;
    assert!(new.is_some());
    let late = gm.success(first, 3 * HOUR).unwrap();
    assert_eq!(late.new_set, None);
    assert_eq!(gm.pcscf.registered_until(contact), Some(gm.now + 3 * HOUR + GRACE));
}

/// A phone comes back in clear while the SAs of its last registration drain.
#[test]
fn a_registration_after_a_departure_is_extended_like_any_other() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.pcscf.deregister(gm.now, contact, &mut gm.sad).unwrap();
    let mut again = Phone::new(16);
    again.fresh += 50;
    assert_eq!(gm.registered(&mut again, HOUR), contact);
    gm.message(&mut again);
    gm.pass(SECOND);
    let request = gm.sm1(&mut again).request;
    gm.success(request, 2 * HOUR).unwrap();
    assert_eq!(gm.pcscf.registered_until(contact), Some(gm.now + 2 * HOUR + GRACE));
}

/// A REGISTER over the old SAs waits when the phone comes back in clear: its answer has no way.
#[test]
fn what_waits_over_sas_that_are_gone_is_forgotten() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    let waits = gm.sm1(&mut phone).request;
    let mut again = Phone::new(16);
    again.fresh += 50;
    assert_eq!(gm.registered(&mut again, HOUR), contact);
    assert_eq!(gm.success(waits, HOUR), Err(Gone.into()));
    // One over the set that stays does have one.
    let waits = gm.sm1(&mut again).request;
    assert!(gm.success(waits, HOUR).is_ok());
}

/// De-registration without names, and the 2xx says who is left.
#[test]
fn whoever_the_core_says_is_registered_stays() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let current = gm.message(&mut phone);
    let register =
        Register::new(Over::Sa(current), phone.address, PCSCF, &phone.impi).with_deregistration(true);
    let request = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap().request;
    let left = ["sip:another@ims"];
    let accepted = Accepted::new(Duration::ZERO).with_impus(&left);
    gm.pcscf.success(gm.now, request, accepted, &mut gm.sad).unwrap();
    assert!(gm.pcscf.identity(contact).unwrap().has_impu("sip:another@ims"));
    gm.pass(DRAIN + SECOND);
    assert_eq!(gm.sets(contact), 1);
}

/// The data path has lost the old set, which is in use: the current one is taken into use.
#[test]
fn where_the_old_set_is_lost_the_current_one_takes_over() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    let old = gm.pcscf.sets(contact).next().unwrap();
    gm.registered(&mut phone, HOUR);
    let ends = *gm.pcscf.ends(old).unwrap();
    gm.sad.remove_ends(&ends, ipsec_3gpp::sa::Side::Pcscf);
    let held: Vec<_> = gm.sad.held().collect();
    assert!(gm.pcscf.reconcile(held, &mut gm.sad).is_empty());
    assert_eq!(gm.sets(contact), 1);
    let new = gm.pcscf.sets(contact).next().unwrap();
    assert!(gm.events().contains(&Event::SetTakenIntoUse { contact, set: new }));
    gm.request_reaches(&mut phone, contact);
}

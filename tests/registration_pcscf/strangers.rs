//! What somebody else can do: strangers in clear who use a phone's name, and the core challenges
//! them.

use std::net::IpAddr;
use std::time::Duration;

use ipsec_3gpp::registration::{
    Authorization, ContactId, Event, Identity, IdentityError, MAX_IDENTITY_OCTETS, MAX_IMPUS, Over, Register,
    RegisterError, RequestId,
};

use crate::gm::{AWAIT, Answers, DRAIN, Gm, HOUR, PCSCF, Phone, Says, spi_of};
use crate::support::udp;
use crate::{RESPONSE, SECOND, gm_and_phone};

const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(6, 6, 6, 6));

fn row(spi: u32, client: u16, server: u16) -> String {
    format!(
        "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={spi};spi-s={};port-c={client};port-s={server}",
        spi + 1
    )
}

/// A REGISTER in clear in a phone's name.
fn forged(
    gm: &mut Gm,
    phone: &Phone,
    from: IpAddr,
    (answers, nonce): (Answers, &str),
    spi: u32,
) -> Result<RequestId, RegisterError> {
    let row = row(spi, 999, 998);
    let rows = [row.as_str()];
    let register = Register::new(Over::Clear, from, PCSCF, &phone.impi)
        .with_authorization(answers.authorization(nonce))
        .with_security_client(&rows);
    gm.pcscf.register(gm.now, &register, &mut gm.sad).map(|forward| forward.request)
}

/// One that the core challenges. What becomes of it does not matter here.
fn challenged(gm: &mut Gm, phone: &Phone, from: IpAddr, spi: u32) {
    if let Ok(request) = forged(gm, phone, from, (Answers::None, ""), spi) {
        let _ = gm.try_challenge(request);
    }
}

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

#[test]
fn no_stranger_in_clear_ends_a_protected_reauthentication() {
    for from in [ELSEWHERE, [10, 1, 0, 16].into()] {
        let (mut gm, mut phone) = gm_and_phone();
        let contact = gm.registered(&mut phone, HOUR);
        for n in 0..10 {
            gm.pass(60 * SECOND);
            gm.sm1(&mut phone);
            let sm7 = gm.sm6(&mut phone, contact);
            // The nonce of the phone's challenge, which its SM7 has.
            let nonce = gm.nonce();
            challenged(&mut gm, &phone, from, 7000 + 2 * n);
            let authorization = Answers::Response.authorization(&nonce);
            answered(&mut gm, &phone, &sm7, authorization).unwrap();
            gm.sm12(&mut phone, contact, HOUR);
            gm.message(&mut phone);
        }
        gm.pass(AWAIT + SECOND);
        assert_eq!((gm.sets(contact), gm.pcscf.open_addresses()), (1, 0));
    }
}

/// SM7 with an authorization of the caller's.
fn answered(
    gm: &mut Gm,
    phone: &Phone,
    sm7: &ipsec_3gpp::registration::Request,
    authorization: Authorization<'_>,
) -> Result<ContactId, RegisterError> {
    let client = sm7.security_client.to_string();
    let verify: Vec<&str> = sm7.security_verify.iter().map(AsRef::as_ref).collect();
    let (impus, rows) = ([phone.impu.as_str()], [client.as_str()]);
    let register = Register::new(crate::gm::over(sm7), phone.address, PCSCF, &phone.impi)
        .with_impus(&impus)
        .with_authorization(authorization)
        .with_security_client(&rows)
        .with_security_verify(&verify);
    let forward = gm.pcscf.register(gm.now, &register, &mut gm.sad)?;
    gm.remember(&forward);
    Ok(forward.contact)
}

#[test]
fn a_set_whose_sm7_was_verified_ends_only_by_the_cores_answer_or_its_time() {
    for from in [ELSEWHERE, [10, 1, 0, 16].into()] {
        let (mut gm, mut phone) = gm_and_phone();
        let contact = gm.sm1(&mut phone).contact;
        let sm7 = gm.sm6(&mut phone, contact);
        gm.sm7(&phone, &sm7);
        let request = gm.r(contact);
        challenged(&mut gm, &phone, from, 7000);
        challenged(&mut gm, &phone, from, 7100);
        assert_eq!(gm.sets(contact), 2);
        assert!(gm.success(request, HOUR).is_ok());
        // By its time.
        let (mut gm, mut phone) = gm_and_phone();
        let contact = gm.sm1(&mut phone).contact;
        let sm7 = gm.sm6(&mut phone, contact);
        gm.sm7(&phone, &sm7);
        let request = gm.r(contact);
        gm.pass(AWAIT + SECOND);
        assert!(gm.success(request, HOUR).is_err());
        assert!(gm.sad.is_empty() && gm.pcscf.is_empty());
    }
}

#[test]
fn the_challenges_of_two_addresses_in_clear_stand_side_by_side() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let request = gm.r(contact);
    // A REGISTER from elsewhere displaces neither the phone's REGISTER nor its challenge.
    challenged(&mut gm, &phone, ELSEWHERE, 7000);
    let sm6 = gm.try_challenge(request).unwrap();
    let nonce = gm.nonce();
    challenged(&mut gm, &phone, ELSEWHERE, 7100);
    challenged(&mut gm, &phone, [7, 7, 7, 7].into(), 7200);
    assert_eq!((gm.sets(contact), gm.pcscf.open_addresses()), (3, 3));
    let (ck, ik) = crate::gm::keys();
    let server = sm6.security_server.to_string();
    let sm7 = phone.ue.challenged(gm.now, Over::Clear, &[&server], &ck, &ik, &mut phone.sad).unwrap();
    answered(&mut gm, &phone, &sm7, Answers::Response.authorization(&nonce)).unwrap();
    gm.sm12(&mut phone, contact, HOUR);
    gm.message(&mut phone);
    // From the same address, the later challenge takes the place of the earlier one.
    challenged(&mut gm, &phone, ELSEWHERE, 7300);
    assert_eq!(gm.sets(contact), 3);
    gm.pass(AWAIT + SECOND);
    assert_eq!((gm.sets(contact), gm.sad.len(), gm.pcscf.spis().in_use()), (1, 4, 2));
}

#[test]
fn a_register_in_clear_does_not_displace_one_over_an_sa() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.pass(600 * SECOND);
    gm.sm1(&mut phone);
    let from = phone.address;
    forged(&mut gm, &phone, from, (Answers::None, ""), 7777).unwrap();
    assert!(gm.success(gm.r(contact), HOUR).is_ok());
    assert_eq!(gm.pcscf.registered_until(contact), Some(gm.now + HOUR + 30 * SECOND));
}

#[test]
fn a_report_of_failure_is_believed_only_from_who_can_have_made_it() {
    // After SM7 was accepted: from nobody.
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    let (nonce, from) = (gm.nonce(), phone.address);
    forged(&mut gm, &phone, from, (Answers::Failure, &nonce), 7777).unwrap();
    gm.sm12(&mut phone, contact, HOUR);
    // Of a challenge that was sent protected: not in clear.
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    let nonce = gm.nonce();
    forged(&mut gm, &phone, from, (Answers::Failure, &nonce), 7777).unwrap();
    gm.sm7(&phone, &sm7);
    gm.sm12(&mut phone, contact, HOUR);
    // Of a challenge in clear: only from the address that was challenged, with its nonce.
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    gm.challenge(contact);
    let nonce = gm.nonce();
    forged(&mut gm, &phone, ELSEWHERE, (Answers::Failure, &nonce), 7777).unwrap();
    forged(&mut gm, &phone, from, (Answers::Failure, "guessed"), 7777).unwrap();
    assert_eq!(gm.sets(contact), 1);
    forged(&mut gm, &phone, from, (Answers::Failure, &nonce), 7777).unwrap();
    assert_eq!(gm.sets(contact), 0);
}

#[test]
fn a_deregistration_in_clear_that_the_core_accepts_drains_no_set() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let row = row(7777, 999, 998);
    let rows = [row.as_str()];
    let impus = [phone.impu.as_str()];
    for from in [ELSEWHERE, phone.address] {
        let leave = Register::new(Over::Clear, from, PCSCF, &phone.impi)
            .with_impus(&impus)
            .with_deregistration(true)
            .with_security_client(&rows);
        let forward = gm.pcscf.register(gm.now, &leave, &mut gm.sad).unwrap();
        assert_eq!((forward.protection, forward.contact), (None, contact));
        gm.success(forward.request, Duration::ZERO).unwrap();
    }
    gm.pass(DRAIN + SECOND);
    assert_eq!(gm.sets(contact), 1);
    assert!(gm.pcscf.identity(contact).unwrap().has_impu("sip:16@ims"));
    gm.message(&mut phone);
}

#[test]
fn a_2xx_to_a_register_in_clear_extends_nothing_and_adds_nobody() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let until = gm.pcscf.registered_until(contact);
    let row = row(7777, 999, 998);
    let rows = [row.as_str()];
    let register = Register::new(Over::Clear, phone.address, PCSCF, &phone.impi)
        .with_impus(&["sip:victim@ims"])
        .with_security_client(&rows);
    let request = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap().request;
    gm.success(request, 99 * HOUR).unwrap();
    assert_eq!(gm.pcscf.registered_until(contact), until);
    assert!(!gm.pcscf.identity(contact).unwrap().has_impu("sip:victim@ims"));
}

#[test]
fn identities_are_bounded_and_never_empty() {
    let mut gm = Gm::new();
    let long = "x".repeat(MAX_IDENTITY_OCTETS + 1);
    let many = vec!["sip:a@ims"; MAX_IMPUS + 1];
    let row = row(7777, 999, 998);
    let rows = [row.as_str()];
    let register = |impi| Register::new(Over::Clear, ELSEWHERE, PCSCF, impi).with_security_client(&rows);
    let long_impu = [long.as_str()];
    for (register, error) in [
        (register(""), IdentityError::NoImpi),
        (register(&long), IdentityError::TooLong(long.len())),
        (register("a@ims").with_contact(&long), IdentityError::TooLong(long.len())),
        (register("a@ims").with_impus(&long_impu), IdentityError::TooLong(long.len())),
        (register("a@ims").with_impus(&many), IdentityError::TooMany(many.len())),
        (register("a\n@ims"), IdentityError::LineBreak),
        (register("a@ims").with_impus(&["sip:a@ims\r\n"]), IdentityError::LineBreak),
    ] {
        let refused = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap_err();
        assert_eq!((&refused, refused.status().unwrap().code()), (&error.into(), 400));
    }
    assert!(gm.pcscf.is_empty());
    let longest = "x".repeat(MAX_IDENTITY_OCTETS);
    assert!(gm.pcscf.register(gm.now, &register(&longest), &mut gm.sad).is_ok());
}

#[test]
fn sm7_registers_the_public_identities_of_sm1() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    let own = std::mem::replace(&mut phone.impu, "sip:victim@ims".into());
    let error = gm.register(&phone, &sm7, RESPONSE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "public identities of SM7 differ from those of SM1: sip:victim@ims and sip:16@ims"
    );
    assert_eq!(error.status().unwrap().code(), 403);
    // The challenge is as it was.
    phone.impu = own;
    gm.sm7(&phone, &sm7);
    gm.sm12(&mut phone, contact, HOUR);
    let names: Vec<&str> = gm.pcscf.identity(contact).map(Identity::impus).unwrap().collect();
    assert_eq!(names, ["sip:16@ims"]);
}

#[test]
fn a_register_over_an_sa_from_another_address_is_refused() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    let own = std::mem::replace(&mut phone.address, ELSEWHERE);
    let error = gm.register(&phone, &request, Says::default()).unwrap_err();
    assert_eq!(error, RegisterError::OtherAddress { needed: own, found: ELSEWHERE });
    // And so is SM7.
    phone.address = own;
    gm.register(&phone, &request, Says::default()).unwrap();
    let sm7 = gm.sm6(&mut phone, contact);
    phone.address = ELSEWHERE;
    assert!(gm.register(&phone, &sm7, RESPONSE).is_err());
    phone.address = own;
    gm.sm7(&phone, &sm7);
}

#[test]
fn a_stranger_at_the_phones_address_with_the_phones_ports_and_spis_gains_nothing() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let set = gm.pcscf.sets(contact).next().unwrap();
    let ue = gm.pcscf.ends(set).unwrap().ue.setup;
    let row = row(ue.spis.client.value(), ue.ports.client.get(), ue.ports.server.get());
    let rows = [row.as_str()];
    for impi in ["16@ims", "thief@ims"] {
        let register = Register::new(Over::Clear, phone.address, PCSCF, impi).with_security_client(&rows);
        let request = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap().request;
        gm.try_challenge(request).unwrap();
        let route = gm.pcscf.route_request(contact).unwrap();
        assert_eq!(route.set, set);
        // Both ways, and the SAs of the phone's own set.
        gm.message(&mut phone);
        gm.request_reaches(&mut phone, contact);
    }
    gm.pass(AWAIT + SECOND);
    assert_eq!((gm.sets(contact), gm.sad.len()), (1, 4));
    gm.message(&mut phone);
    gm.request_reaches(&mut phone, contact);
}

#[test]
fn a_register_over_one_contacts_sa_speaks_for_no_other_contact() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let over = gm.message(&mut phone);
    let own = Register::new(Over::Sa(over), phone.address, PCSCF, &phone.impi).with_deregistration(true);
    let other = own.with_contact("<urn:another>");
    let error = gm.pcscf.register(gm.now, &other, &mut gm.sad).unwrap_err();
    assert_eq!(error.to_string(), "16@ims <urn:another> over an SA of 16@ims");
    assert!(gm.pcscf.register(gm.now, &own, &mut gm.sad).unwrap().protection.is_some());
    assert_eq!(gm.sets(contact), 1);
}

#[test]
fn an_sm7_of_one_set_over_another_is_nothing() {
    // A stranger's challenge and the phone's: the phone's answer belongs to its own.
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let mine = gm.r(contact);
    let stranger = forged(&mut gm, &phone, ELSEWHERE, (Answers::None, ""), 7000).unwrap();
    gm.try_challenge(stranger).unwrap();
    let of_stranger = gm.nonce();
    let sm6 = gm.try_challenge(mine).unwrap();
    let (ck, ik) = crate::gm::keys();
    let server = sm6.security_server.to_string();
    let sm7 = phone.ue.challenged(gm.now, Over::Clear, &[&server], &ck, &ik, &mut phone.sad).unwrap();
    let error = answered(&mut gm, &phone, &sm7, Answers::Response.authorization(&of_stranger)).unwrap_err();
    assert!(matches!(error, RegisterError::Discard(_)), "the nonce of another challenge");
    gm.sm7(&phone, &sm7);
    assert_eq!(gm.pcscf.contact_of(spi_of(&sm7)), Some(contact));
}

#[test]
fn ports_that_a_stranger_announces_at_a_phones_address_protect_nothing() {
    let (mut gm, phone) = gm_and_phone();
    // The phone's clear port is 6060; the stranger says that it is a protected one.
    let row = row(7000, 6060, 6061);
    let rows = [row.as_str()];
    let register = Register::new(Over::Clear, phone.address, PCSCF, "thief@ims").with_security_client(&rows);
    let forward = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap();
    gm.challenge_of(forward.request);
    let to_pcscf = udp((phone.address, 6060), (PCSCF, 5060), b"REGISTER");
    let to_phone = udp((PCSCF, 5060), (phone.address, 6060), b"SIP/2.0 401");
    for datagram in [&to_pcscf, &to_phone] {
        assert_eq!(gm.sad.is_protected(datagram), Ok(false));
    }
    assert_eq!(gm.pcscf.contact_at((phone.address, 6060).into()), None);
    // Our own ports are protected from the start.
    assert_eq!(gm.sad.is_protected(&udp((phone.address, 6060), (PCSCF, 7060), b"x")), Ok(true));
}

#[test]
fn ports_of_a_phone_that_has_proved_to_have_them_are_protected() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let to_phone = udp((PCSCF, 5060), (phone.address, phone.server_port), b"OPTIONS");
    assert_eq!(gm.sad.is_protected(&to_phone), Ok(true));
    gm.pcscf.forget(contact, &mut gm.sad).unwrap();
    assert_eq!(gm.sad.is_protected(&to_phone), Ok(false));
}

#[test]
fn a_stranger_who_keeps_a_contact_in_the_table_keeps_nothing_of_its_registration() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    phone.impu = "sip:second@ims".into();
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    for n in 0..60 {
        forged(&mut gm, &phone, ELSEWHERE, (Answers::None, ""), 7000 + 2 * n).unwrap();
        gm.pass(100 * SECOND);
    }
    phone.ue.handle_timeout(gm.now, &mut phone.sad);
    // It is registered no more, and that was said.
    let ended =
        |event: &Event| matches!(event, Event::RegistrationEnded { contact: of, .. } if *of == contact);
    assert_eq!(gm.events().iter().filter(|event| ended(event)).count(), 1);
    assert_eq!((gm.pcscf.len(), gm.pcscf.unregistered()), (1, 1));
    assert_eq!(gm.pcscf.registered_contacts(&phone.impi).count(), 0);
    // What it registers now is all that it has.
    phone.impu = "sip:16@ims".into();
    gm.registered(&mut phone, HOUR);
    assert_eq!(gm.pcscf.identity(contact).unwrap().impus().collect::<Vec<_>>(), ["sip:16@ims"]);
}

#[test]
fn a_late_answer_to_what_came_before_a_restart_ends_nothing() {
    for leaves in [false, true] {
        let (mut gm, mut phone) = gm_and_phone();
        let contact = gm.registered(&mut phone, HOUR);
        let begin = phone.begin();
        let request = phone.begins(gm.now, &begin);
        gm.register(&phone, &request, Says { deregisters: leaves, ..Says::default() }).unwrap();
        let late = gm.r(contact);
        let mut again = Phone::new(16);
        gm.registered(&mut again, HOUR);
        assert!(gm.success(late, Duration::ZERO).is_err());
        gm.pass(DRAIN + SECOND);
        assert_eq!(gm.sets(contact), 1);
        gm.message(&mut again);
    }
}

#[test]
fn of_two_users_at_one_address_and_port_the_one_who_proved_it_last_has_it() {
    let (mut gm, mut first) = gm_and_phone();
    let contact = gm.sm1(&mut first).contact;
    let sm7 = gm.sm6(&mut first, contact);
    gm.sm7(&first, &sm7);
    let late = gm.r(contact);
    // Another user, with the same ports, while the core is slow.
    let mut second = Phone::new(17);
    second.moves_to(first.address);
    second.fresh = first.fresh - 2;
    let other = gm.registered(&mut second, HOUR);
    let sm12 = gm.success(late, HOUR).unwrap();
    assert_eq!(sm12.new_set, None);
    gm.message(&mut second);
    gm.request_reaches(&mut second, other);
    gm.pass(DRAIN + SECOND);
    assert_eq!((gm.pcscf.len(), gm.sets(other)), (1, 1));
}

#[test]
fn an_sm7_that_displaces_the_set_that_its_own_sm1_came_over_is_accepted() {
    // A re-registration over SAs and a restart in clear, both with the same new client port.
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let begin = phone.begin();
    let mut twin = Phone::new(16);
    let request = twin.begins(gm.now, &begin);
    let in_clear = gm.register(&twin, &request, Says::default()).unwrap().request;
    let sm6 = gm.try_challenge(in_clear).unwrap();
    let nonce_in_clear = gm.nonce();
    let request = phone.begins(gm.now, &begin);
    let protected = gm.register(&phone, &request, Says::default()).unwrap().request;
    let sm6_protected = gm.try_challenge(protected).unwrap();
    let nonce_protected = gm.nonce();
    let (ck, ik) = crate::gm::keys();
    let server = sm6.security_server.to_string();
    let sm7 = twin.ue.challenged(gm.now, Over::Clear, &[&server], &ck, &ik, &mut twin.sad).unwrap();
    answered(&mut gm, &twin, &sm7, Answers::Response.authorization(&nonce_in_clear)).unwrap();
    gm.success(gm.r(contact), HOUR).unwrap();
    let over = gm.to_ue(contact, sm6_protected.over);
    let server = sm6_protected.security_server.to_string();
    if let Ok(sm7) = phone.ue.challenged(gm.now, over, &[&server], &ck, &ik, &mut phone.sad) {
        let result = answered(&mut gm, &phone, &sm7, Answers::Response.authorization(&nonce_protected));
        assert!(result.is_ok() || gm.sets(contact) == 1, "{result:?}");
    }
    assert!(gm.pcscf.route_request(contact).is_ok());
}

//! What the answers of UE and core mean: SM7 that comes twice or over another SA, reports, departures.

use std::time::Duration;

use ipsec_3gpp::registration::{Authorization, Begin, IdentityError, Over, Register, RegisterError};

use crate::gm::{DRAIN, Gm, HOUR, PCSCF, Phone, Says};
use crate::{RESPONSE, SECOND, gm_and_phone};

/// The set of the latest challenge of a phone that is not registered.
fn challenged(gm: &mut Gm, phone: &mut Phone) -> ipsec_3gpp::registration::Request {
    let contact = gm.sm1(phone).contact;
    gm.sm6(phone, contact)
}

#[test]
fn an_sm7_that_comes_twice_counts_once() {
    let (mut gm, mut phone) = gm_and_phone();
    let sm7 = challenged(&mut gm, &mut phone);
    let forward = gm.sm7(&phone, &sm7);
    assert!(gm.register(&phone, &sm7, RESPONSE).is_err());
    gm.sm12(&mut phone, forward.contact, HOUR);
    gm.message(&mut phone);
}

#[test]
fn an_sm7_over_the_wrong_sa_leaves_the_challenge_open() {
    let (mut gm, mut phone) = gm_and_phone();
    let sm7 = challenged(&mut gm, &mut phone);
    let set = gm.pcscf.sets(gm.pcscf.contacts().next().unwrap()).next().unwrap();
    let client = gm.pcscf.ends(set).unwrap().pcscf.setup.spis.client;
    let rows = [sm7.security_client.to_string()];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let verify: Vec<&str> = sm7.security_verify.iter().map(AsRef::as_ref).collect();
    let impus = [&*phone.impu];
    let wrong = Register::new(Over::Sa(client), phone.address, PCSCF, &phone.impi)
        .with_impus(&impus)
        .with_security_client(&rows)
        .with_security_verify(&verify);
    assert!(matches!(gm.pcscf.register(gm.now, &wrong, &mut gm.sad), Err(RegisterError::Discard(_))));
    let forward = gm.sm7(&phone, &sm7);
    assert!(gm.success(forward.request, HOUR).unwrap().new_set.is_some());
}

#[test]
fn a_report_that_says_more_is_a_report() {
    let (mut gm, mut phone) = gm_and_phone();
    challenged(&mut gm, &mut phone);
    assert_eq!(gm.sad.len(), 4);
    let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    let rows = [row];
    let nonce = gm.nonce();
    let register = Register::new(Over::Clear, phone.address, PCSCF, &phone.impi)
        .with_authorization(Authorization { nonce: &nonce, response: "res", auts: Some("auts") })
        .with_security_client(&rows);
    gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap();
    assert!(gm.sad.is_empty(), "the UE has refused the challenge");
}

/// A 2xx ends a registration if the REGISTER was to end it, or if no time is left.
#[test]
fn a_registration_ends_by_what_was_asked_or_by_what_was_granted() {
    for (deregisters, granted) in [(true, HOUR), (false, Duration::ZERO), (true, Duration::ZERO)] {
        let (mut gm, mut phone) = gm_and_phone();
        gm.registered(&mut phone, HOUR);
        let begin = phone.begin().with_deregistration(deregisters);
        let request = phone.begins(gm.now, &begin);
        let request = gm.register(&phone, &request, Says { deregisters, ..Says::default() }).unwrap().request;
        gm.success(request, granted).unwrap();
        gm.pass(DRAIN + SECOND);
        assert!(gm.pcscf.is_empty() && gm.sad.is_empty(), "{deregisters}, {granted:?}");
    }
}

#[test]
fn public_identities_are_64_at_most_and_sm7_has_all_of_them() {
    let (mut gm, mut phone) = gm_and_phone();
    let all: Vec<String> = (0..65).map(|n| format!("sip:{n}@ims")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let begin = phone.begin();
    let sm1 = phone.begins(gm.now, &begin);
    let client = [sm1.security_client.to_string()];
    let client: Vec<&str> = client.iter().map(String::as_str).collect();
    let register =
        Register::new(Over::Clear, phone.address, PCSCF, &phone.impi).with_security_client(&client);
    let too_many = gm.pcscf.register(gm.now, &register.with_impus(&all), &mut gm.sad);
    assert_eq!(too_many, Err(IdentityError::TooMany(65).into()));
    let forward = gm.pcscf.register(gm.now, &register.with_impus(&all[..64]), &mut gm.sad).unwrap();
    gm.remember(&forward);
    let sm7 = gm.sm6(&mut phone, forward.contact);
    let verify: Vec<&str> = sm7.security_verify.iter().map(AsRef::as_ref).collect();
    let nonce = gm.nonce();
    let answer = |gm: &mut Gm, impus: &[&str]| {
        let register = Register::new(crate::gm::over(&sm7), phone.address, PCSCF, &phone.impi)
            .with_impus(impus)
            .with_authorization(Authorization { nonce: &nonce, response: "res", auts: None })
            .with_security_client(&client)
            .with_security_verify(&verify);
        gm.pcscf.register(gm.now, &register, &mut gm.sad).is_ok()
    };
    assert!(!answer(&mut gm, &all[..63]), "one is missing");
}

/// The P-CSCF gives out no SPI that the UE has, in this set or another of its sets.
#[test]
fn spis_of_the_ues_other_sets_are_not_given_out() {
    let second_challenge = |spis: Option<(u32, u32)>| {
        let (mut gm, mut phone) = gm_and_phone();
        let mut begin = phone.begin();
        if let Some((client, server)) = spis {
            begin = Begin::new(crate::support::setup(client, server, 20_500, 6100));
        }
        let contact = gm.sm1_with(&mut phone, &begin).contact;
        gm.finish(&mut phone, contact, HOUR);
        gm.sm1(&mut phone);
        let set = gm.challenge(contact).set;
        gm.pcscf.ends(set).unwrap().pcscf.setup.spis
    };
    let free = second_challenge(None);
    let taken = second_challenge(Some((free.client.value(), free.server.value())));
    for spi in [taken.client, taken.server] {
        assert!(spi != free.client && spi != free.server, "{spi} is one of the UE's");
    }
}

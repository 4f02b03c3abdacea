//! Limits, and what a flood costs.

use ipsec_3gpp::registration::{ChallengeError, Config, ConfigError, Over, Register, RegisterError};

use crate::SECOND;
use crate::gm::{self, DRAIN, Gm, HOUR, PCSCF, Phone, Says, config, port};

#[test]
fn a_full_table_refuses_new_contacts_and_serves_those_it_has() {
    let mut gm = Gm::with(config().with_max_contacts(2, 1), 1000);
    let (mut one, mut two, mut three) = (Phone::new(1), Phone::new(2), Phone::new(3));
    gm.registered(&mut one, HOUR);
    gm.registered(&mut two, HOUR);
    let begin = three.begin();
    let request = three.begins(gm.now, &begin);
    let error = gm.register(&three, &request, Says::default()).unwrap_err();
    assert_eq!((&error, error.status().unwrap().code()), (&RegisterError::Full(2), 503));
    // Room is kept for an emergency.
    let row = request.security_client.to_string();
    let row = [row.as_str()];
    let register = Register::new(Over::Clear, three.address, PCSCF, &three.impi).with_security_client(&row);
    let priority = register.with_priority(true);
    gm.pcscf.register(gm.now, &priority, &mut gm.sad).unwrap();
    gm.registered(&mut one, HOUR);
    gm.message(&mut two);
}

#[test]
fn spis_that_run_out_are_an_error_and_the_offer_waits() {
    let mut gm = Gm::with(config(), 2);
    let (mut one, mut two) = (Phone::new(1), Phone::new(2));
    let first = gm.registered(&mut one, HOUR);
    let second = gm.sm1(&mut two).contact;
    let error = gm.try_challenge(gm.r(second)).unwrap_err();
    assert!(matches!(error, ChallengeError::Spis(_)));
    assert_eq!(error.status().code(), 503);
    gm.pcscf.deregister(gm.now, first, &mut gm.sad).unwrap();
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
    assert_eq!(new(5060, &[7101, 7102, 7103]), Err(ConfigError::SipPort(port(5060))));
    assert_eq!(new(7060, &[7101, 7102, 7103]), Ok(()));
}

//! Limits, and what a flood costs.

use ipsec_3gpp::registration::{ChallengeError, Config, ConfigError, Over, Register, RegisterError};

use crate::SECOND;
use crate::gm::{self, AWAIT, DRAIN, Gm, HOUR, PCSCF, Phone, Says, config, port};

#[test]
fn a_flood_of_registers_in_clear_costs_bounded_memory_and_pushes_nobody_out() {
    let config = config().with_max_contacts(100).with_max_unregistered(10);
    let mut gm = Gm::with(config, 1000);
    let mut phone = Phone::new(16);
    let contact = gm.registered(&mut phone, HOUR);
    let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    let mut refused = 0;
    for n in 0..1000_u32 {
        let impi = format!("{n}@flood");
        let ue = std::net::Ipv4Addr::from_bits(0x0a02_0000 + n).into();
        let register = Register::new(Over::Clear, ue, PCSCF, &impi);
        let register = register.with_security_client(std::slice::from_ref(&row));
        match gm.pcscf.register(gm.now, &register, &mut gm.sad) {
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
    let mut gm = Gm::with(config().with_max_contacts(2).with_max_unregistered(2), 1000);
    let (mut one, mut two, mut three) = (Phone::new(1), Phone::new(2), Phone::new(3));
    gm.registered(&mut one, HOUR);
    gm.registered(&mut two, HOUR);
    let begin = three.begin();
    let request = three.begins(gm.now, &begin);
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

//! Floods: what strangers may have open, and that everybody else is served meanwhile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipsec_3gpp::registration::{Config, Over, Quota, Register, RegisterError, Request};

use crate::SECOND;
use crate::gm::{AWAIT, DRAIN, Gm, HOUR, PCSCF, Phone, config};

const FLOOD: Ipv4Addr = Ipv4Addr::new(66, 0, 0, 0);

fn flooder(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(FLOOD.to_bits() + number).into()
}

/// A forged REGISTER that the core challenges, if it goes on to it.
fn forged(gm: &mut Gm, from: IpAddr, impi: &str, contact: &str, priority: bool) -> Result<(), RegisterError> {
    let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    let pcscf = if from.is_ipv4() { PCSCF } else { "2001:db8::1".parse().unwrap() };
    let register = Register::new(Over::Clear, from, pcscf, impi)
        .with_contact(contact)
        .with_priority(priority)
        .with_security_client(std::slice::from_ref(&row));
    let request = gm.pcscf.register(gm.now, &register, &mut gm.sad)?.request;
    gm.try_challenge(request).unwrap();
    Ok(())
}

fn gm_with(config: Config) -> Gm {
    let spis = config.spis_needed();
    Gm::with(config, spis)
}

/// A phone registers, re-registers, and comes back after a restart.
fn lives(gm: &mut Gm, number: u8) {
    let mut phone = Phone::new(number);
    let contact = gm.registered(&mut phone, HOUR);
    gm.pass(10 * SECOND);
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    gm.request_reaches(&mut phone, contact);
    let mut again = Phone::new(number);
    assert_eq!(gm.registered(&mut again, HOUR), contact);
    gm.message(&mut again);
    gm.request_reaches(&mut again, contact);
}

#[test]
fn a_flood_from_one_address_with_one_user_or_many_leaves_everybody_served() {
    for users in [1, 10_000] {
        let config = config().with_max_contacts(20, 0).with_max_addresses(50, 0);
        let mut gm = gm_with(config);
        let mut admitted = 0;
        for n in 0..10_000_u32 {
            let (impi, contact) = (format!("{}@flood", n % users), format!("<urn:{n}>"));
            match forged(&mut gm, flooder(1), &impi, &contact, n % 2 == 0) {
                Ok(()) => admitted += 1,
                Err(error) => {
                    let limit = if users == 1 {
                        Quota::Impi { address: flooder(1), limit: 4 }
                    } else {
                        Quota::Address { address: flooder(1), limit: 16 }
                    };
                    assert_eq!((&error, error.status().unwrap().code()), (&limit.into(), 503));
                }
            }
            if n % 1000 == 999 {
                lives(&mut gm, (n / 1000) as u8 + 1);
            }
        }
        assert_eq!(admitted, if users == 1 { 4 } else { 16 });
        // Those of the phone's own restarts have gone; those of the flood end by themselves.
        gm.pass(AWAIT + SECOND);
        assert_eq!((gm.pcscf.len(), gm.pcscf.open_addresses()), (10, 0));
    }
}

#[test]
fn a_flood_against_one_user_from_a_thousand_addresses_leaves_its_phone_served() {
    let config = config().with_max_contacts(20, 0).with_max_addresses(1100, 0);
    let mut gm = gm_with(config);
    for round in 0..3 {
        for n in 0..1000 {
            for contact in ["", "<urn:1>", "<urn:2>", "<urn:3>", "<urn:4>", "<urn:5>"] {
                // The last ones are refused: four of a user at an address.
                let _ = forged(&mut gm, flooder(n), "16@ims", contact, false);
            }
        }
        assert_eq!(gm.pcscf.open_addresses(), 1000);
        let open = gm.pcscf.spis().in_use();
        assert!(open >= 2 * 4000, "{open} SPIs: the quotas of the user are full");
        lives(&mut gm, 16);
        gm.pass(SECOND * round);
    }
    gm.pass(AWAIT + SECOND);
    assert_eq!((gm.pcscf.len(), gm.pcscf.open_addresses(), gm.pcscf.spis().in_use()), (1, 0, 2));
}

#[test]
fn registers_of_registered_contacts_that_wait_count_too() {
    let config = config().with_max_per_address(1, 1);
    let mut gm = gm_with(config);
    let mut phones: Vec<Phone> = (1..=50).map(Phone::new).collect();
    for phone in &mut phones {
        gm.registered(phone, HOUR);
    }
    let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=7777;spi-s=7778;port-c=999;port-s=998";
    let rows = [row];
    let waits = |gm: &mut Gm, phone: &Phone| {
        let register = Register::new(Over::Clear, flooder(1), PCSCF, &phone.impi).with_security_client(&rows);
        gm.pcscf.register(gm.now, &register, &mut gm.sad).is_ok()
    };
    let accepted = phones.iter().filter(|phone| waits(&mut gm, phone)).count();
    assert_eq!(accepted, 1);
    // Another try of the same takes its place.
    assert!(waits(&mut gm, &phones[0]) && !waits(&mut gm, &phones[1]));
    gm.pass(DRAIN + SECOND);
    assert!(waits(&mut gm, &phones[1]));
    // Nobody's protected REGISTER is asked.
    for phone in &mut phones {
        gm.registered(phone, HOUR);
    }
}

#[test]
fn emergencies_have_a_share_of_their_own_with_the_same_limits_at_each_address() {
    let config = config().with_max_contacts(20, 5).with_max_addresses(100, 10).with_max_per_address(3, 2);
    let mut gm = gm_with(config);
    // An emergency, and then an ordinary flood from more addresses than there may be: the oldest of
    // its own give way, and no emergency does.
    let mut caller = Phone::new(40);
    let (sm7, nonce) = sos(&mut gm, &mut caller);
    for n in 0..1000 {
        forged(&mut gm, flooder(n), "a@flood", "", false).unwrap();
        assert!(gm.pcscf.open_addresses() <= 101);
    }
    answers(&mut gm, &caller, &sm7, &nonce);
    let contact = gm.pcscf.find("", &caller.impi).unwrap();
    gm.sm12(&mut caller, contact, HOUR);
    // Everybody can claim an emergency: a flood of claims from one address takes no more of the
    // share than another flood would.
    let claims = (0..100).filter(|n| forged(&mut gm, flooder(2000), &format!("{n}@flood"), "", true).is_ok());
    assert_eq!((claims.count(), gm.pcscf.open_addresses()), (3, 101));
    // From many addresses, it fills the share, and is served as the ordinary ones are.
    for n in 3000..4000 {
        forged(&mut gm, flooder(n), "c@flood", "", true).unwrap();
        assert!(gm.pcscf.open_addresses() <= 110);
    }
    let mut caller = Phone::new(41);
    let (sm7, nonce) = sos(&mut gm, &mut caller);
    (0..50).for_each(|n| drop(forged(&mut gm, flooder(5000 + n), "a@flood", "", false)));
    answers(&mut gm, &caller, &sm7, &nonce);
    gm.pass(AWAIT + SECOND);
    assert_eq!(gm.pcscf.len(), 1);
    lives(&mut gm, 1);
}

/// An emergency registration up to SM6.
fn sos(gm: &mut Gm, phone: &mut Phone) -> (Request, String) {
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    let row = request.security_client.to_string();
    let (rows, impus) = ([row.as_str()], [phone.impu.as_str()]);
    let register = Register::new(Over::Clear, phone.address, PCSCF, &phone.impi)
        .with_impus(&impus)
        .with_priority(true)
        .with_security_client(&rows);
    let forward = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap();
    gm.remember(&forward);
    (gm.sm6(phone, forward.contact), gm.nonce())
}

/// SM7, to the challenge of this nonce.
fn answers(gm: &mut Gm, phone: &Phone, sm7: &Request, nonce: &str) {
    let client = sm7.security_client.to_string();
    let (rows, impus) = ([client.as_str()], [phone.impu.as_str()]);
    let verify: Vec<&str> = sm7.security_verify.iter().map(AsRef::as_ref).collect();
    let register = Register::new(crate::gm::over(sm7), phone.address, PCSCF, &phone.impi)
        .with_impus(&impus)
        .with_authorization(crate::gm::Answers::Response.authorization(nonce))
        .with_security_client(&rows)
        .with_security_verify(&verify);
    let forward = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap();
    gm.remember(&forward);
}

#[test]
fn a_flood_from_more_addresses_than_memory_is_for_keeps_nobody_out() {
    let config = config().with_max_contacts(30, 0).with_max_addresses(1000, 0);
    let mut gm = gm_with(config);
    for round in 0..10 {
        for n in 0..2000 {
            forged(&mut gm, flooder(round * 2000 + n), "16@ims", "", false).unwrap();
            assert!(gm.pcscf.open_addresses() <= 1000);
        }
        lives(&mut gm, 16);
        lives(&mut gm, 17 + round as u8);
    }
    gm.pass(AWAIT + SECOND);
    assert_eq!((gm.pcscf.len(), gm.pcscf.open_addresses()), (11, 0));
}

#[test]
fn strangers_at_a_phones_own_address_do_not_keep_it_from_coming_back() {
    let mut gm = gm_with(config());
    let mut phone = Phone::new(16);
    let contact = gm.registered(&mut phone, HOUR);
    let from = phone.address;
    for n in 0..100 {
        let _ = forged(&mut gm, from, "16@ims", &format!("<urn:{n}>"), false);
        let _ = forged(&mut gm, from, &format!("{n}@ims"), "", false);
    }
    let mut again = Phone::new(16);
    assert_eq!(gm.registered(&mut again, HOUR), contact);
    gm.message(&mut again);
    gm.request_reaches(&mut again, contact);
}

#[test]
fn one_subscriber_who_fails_on_purpose_takes_no_more_than_a_stranger() {
    let config = config().with_max_contacts(5, 0).with_max_addresses(10, 0);
    let mut gm = gm_with(config);
    let mut phone = Phone::new(16);
    let registered = gm.registered(&mut phone, HOUR);
    let mut thief = Phone::new(17);
    let mut failed = 0;
    for n in 0..1000 {
        // Another contact each time, an SM7 that is not what was issued, or a response that is
        // wrong.
        let begin = thief.begin();
        let request = thief.begins(gm.now, &begin);
        let (contact, client) = (format!("<urn:{n}>"), request.security_client.to_string());
        let rows = [client.as_str()];
        let impi = thief.impi.clone();
        let sm1 = Register::new(Over::Clear, thief.address, PCSCF, &impi)
            .with_contact(&contact)
            .with_security_client(&rows);
        let Ok(forward) = gm.pcscf.register(gm.now, &sm1, &mut gm.sad) else {
            thief.timed_out(gm.now);
            continue;
        };
        gm.remember(&forward);
        let sm7 = gm.sm6(&mut thief, forward.contact);
        let nonce = gm.nonce();
        let verify = if n % 2 == 0 { sm7.security_verify[0].to_string() } else { "tls".into() };
        let verify = [verify.as_str()];
        let mut answer = sm1;
        answer.over = crate::gm::over(&sm7);
        let answer = answer
            .with_authorization(crate::gm::Answers::Response.authorization(&nonce))
            .with_security_verify(&verify);
        if let Ok(forward) = gm.pcscf.register(gm.now, &answer, &mut gm.sad) {
            gm.failure(forward.request).unwrap();
        }
        failed += 1;
    }
    assert_eq!(failed, 4, "of one user at one address");
    // The other phone registers again over its SAs: there are SPIs for it.
    gm.registered(&mut phone, HOUR);
    assert_eq!(gm.sets(registered), 2);
    gm.pass(AWAIT + SECOND);
    assert_eq!(gm.pcscf.len(), 1);
}

#[test]
fn those_under_way_do_not_get_past_the_limit_of_contacts() {
    let mut gm = gm_with(config().with_max_contacts(1, 0));
    let mut phones: Vec<Phone> = (1..=2).map(Phone::new).collect();
    let first = gm.sm1(&mut phones[0]).contact;
    let second = gm.sm1(&mut phones[1]).contact;
    let of_second = gm.sm6(&mut phones[1], second);
    let nonce_of_second = gm.nonce();
    gm.finish(&mut phones[0], first, HOUR);
    let client = of_second.security_client.to_string();
    let (rows, impus) = ([client.as_str()], [phones[1].impu.as_str()]);
    let verify: Vec<&str> = of_second.security_verify.iter().map(AsRef::as_ref).collect();
    let sm7 = Register::new(crate::gm::over(&of_second), phones[1].address, PCSCF, &phones[1].impi)
        .with_impus(&impus)
        .with_authorization(crate::gm::Answers::Response.authorization(&nonce_of_second))
        .with_security_client(&rows)
        .with_security_verify(&verify);
    assert_eq!(gm.pcscf.register(gm.now, &sm7, &mut gm.sad), Err(RegisterError::Full(1)));
    // Its challenge is open still.
    gm.pcscf.forget(first, &mut gm.sad).unwrap();
    assert!(gm.pcscf.register(gm.now, &sm7, &mut gm.sad).is_ok());
}

#[test]
fn of_ipv6_a_prefix_of_64_bits_is_one_address() {
    let mut gm = gm_with(config());
    let in_prefix =
        |prefix: u16, host: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, prefix, 0, 0, 0, host));
    let taken = |gm: &mut Gm, prefix| {
        (2..100)
            .filter(|n| forged(gm, in_prefix(prefix, *n), &format!("{n}@flood"), "", false).is_ok())
            .count()
    };
    assert_eq!((taken(&mut gm, 1), taken(&mut gm, 2), gm.pcscf.open_addresses()), (16, 16, 2));
}

/// Whatever the limits are, the first one at an address is admitted.
#[test]
fn the_first_at_an_address_is_admitted_whatever_the_limits_are() {
    for config in [config().with_max_per_address(0, 4), config().with_max_per_address(4, 0)] {
        let mut gm = gm_with(config);
        forged(&mut gm, flooder(1), "1@flood", "", false).unwrap();
        assert!(forged(&mut gm, flooder(1), "1@flood", "<urn:1>", false).is_err());
        lives(&mut gm, 16);
    }
}

/// What others have open of a contact is no way around the quota of an address.
#[test]
fn a_contact_that_others_have_something_open_of_is_no_way_around_a_quota() {
    let mut gm = gm_with(config().with_max_per_address(1, 4));
    forged(&mut gm, flooder(1), "1@flood", "", false).unwrap();
    let mut phone = Phone::new(16);
    let contact = gm.sm1(&mut phone).contact;
    gm.challenge(contact);
    let refused = forged(&mut gm, flooder(1), "16@ims", "", false);
    assert_eq!(refused, Err(Quota::Address { address: flooder(1), limit: 1 }.into()));
    // Its own place at that contact is its own to take again.
    let mut gm = gm_with(config().with_max_per_address(1, 4));
    forged(&mut gm, flooder(1), "16@ims", "", false).unwrap();
    forged(&mut gm, flooder(1), "16@ims", "", false).unwrap();
}

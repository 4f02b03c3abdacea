//! Floods: what strangers may have open, and that everybody else is served meanwhile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipsec_3gpp::registration::{Config, Over, Quota, Register, RegisterError};

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
    // An ordinary flood from more addresses than there may be.
    let taken = (0..200).filter(|n| forged(&mut gm, flooder(*n), "a@flood", "", false).is_ok()).count();
    assert_eq!(taken, 100);
    let error = forged(&mut gm, flooder(900), "a@flood", "", false).unwrap_err();
    assert_eq!(error, Quota::Addresses { limit: 100 }.into());
    assert!(forged(&mut gm, flooder(900), "a@flood", "", true).is_ok());
    // Everybody can claim an emergency: a flood of claims from one address takes no more of the
    // share than another flood would.
    let claims = (0..100).filter(|n| forged(&mut gm, flooder(901), &format!("{n}@flood"), "", true).is_ok());
    assert_eq!(claims.count(), 3);
    assert_eq!(gm.pcscf.open_addresses(), 102);
    assert!(forged(&mut gm, flooder(902), "b@sos", "", true).is_ok());
    // From many addresses, it fills the share, and what is registered is served.
    let claims = (1000..1100).filter(|n| forged(&mut gm, flooder(*n), "c@flood", "", true).is_ok()).count();
    assert_eq!((claims, gm.pcscf.open_addresses()), (7, 110));
    gm.pass(AWAIT + SECOND);
    assert!(gm.pcscf.is_empty());
    lives(&mut gm, 1);
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

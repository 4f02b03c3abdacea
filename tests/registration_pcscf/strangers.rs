//! What somebody else can do.

use ipsec_3gpp::registration::{InUse, Over, Register, RegisterError};

use crate::gm::{Answers, Gm, HOUR, PCSCF, Phone};
use crate::{SECOND, gm_and_phone};

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

/// A REGISTER in clear that anybody can send in a phone's name.
fn forged(gm: &mut Gm, phone: &Phone, answers: Answers, spi: u32) -> Result<(), RegisterError> {
    let row = format!("ipsec-3gpp;alg=hmac-sha-1-96;spi-c={spi};spi-s={};port-c=999;port-s=998", spi + 1);
    let nonce = gm.nonce();
    let register = Register::new(Over::Clear, phone.address, PCSCF, &phone.impi);
    let rows = [row.as_str()];
    let register = register.with_authorization(answers.authorization(&nonce)).with_security_client(&rows);
    gm.pcscf.register(gm.now, &register, &mut gm.sad).map(|_| ())
}

#[test]
fn a_register_in_clear_does_not_displace_one_over_an_sa() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.pass(600 * SECOND);
    gm.sm1(&mut phone);
    forged(&mut gm, &phone, Answers::None, 7777).unwrap();
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
    forged(&mut gm, &phone, Answers::Failure, 7777).unwrap();
    gm.sm12(&mut phone, contact, HOUR);
    // Of a challenge that was sent protected: not in clear.
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    forged(&mut gm, &phone, Answers::Failure, 7777).unwrap();
    gm.sm7(&phone, &sm7);
    gm.sm12(&mut phone, contact, HOUR);
}

#[test]
fn an_spi_that_the_address_has_already_is_refused_and_nothing_of_its_owner_is_touched() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let set = gm.pcscf.sets(contact).next().unwrap();
    let taken = gm.pcscf.ends(set).unwrap().ue.setup.spis.client;
    let mut other = Phone::new(17);
    other.address = phone.address;
    let error = forged(&mut gm, &other, Answers::None, taken.value()).unwrap_err();
    assert_eq!(error, RegisterError::InUse(InUse::Spi { ue: phone.address, spi: taken }));
    assert_eq!(error.status().unwrap().code(), 400);
    gm.message(&mut phone);
}

#[test]
fn a_register_over_one_contacts_sa_speaks_for_no_other_contact() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let over = gm.message(&mut phone);
    let own = Register::new(Over::Sa(over), phone.address, PCSCF, &phone.impi).with_deregistration(true);
    let other = own.with_contact("<urn:another>");
    assert_eq!(gm.pcscf.register(gm.now, &other, &mut gm.sad), Err(RegisterError::OtherUser));
    assert!(gm.pcscf.register(gm.now, &own, &mut gm.sad).unwrap().protection.is_some());
    assert_eq!(gm.sets(contact), 1);
}

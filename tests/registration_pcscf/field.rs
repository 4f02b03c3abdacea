//! Phones and networks as they are in the field.

use std::time::Duration;

use ipsec_3gpp::negotiation::SecAgree;
use ipsec_3gpp::policy::ServerList;
use ipsec_3gpp::registration::{
    Accepted, Authorization, Cause, ChallengeError, Event, Over, Register, RegisterError, Transport,
    WithoutSecAgree,
};
use ipsec_3gpp::sa::{OpenError, SaName};
use ipsec_3gpp::sec_agree::{MechanismList, SecurityServer};
use ipsec_3gpp::{Confidentiality, Policy, Suite};

use crate::gm::{
    AWAIT, Answers, DRAIN, Gm, HOUR, PCSCF, Phone, Says, config, keys, over, policy, port, spi_of,
};
use crate::support::udp;
use crate::{RESPONSE, SECOND, gm_and_phone};

const LEAVES: Says = Says { answers: Answers::None, deregisters: true };

fn row(spi: u32, client: u16, server: u16) -> String {
    format!(
        "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={spi};spi-s={};port-c={client};port-s={server}",
        spi + 1
    )
}

#[test]
fn a_phone_with_protected_ports_5060_and_5061_registers() {
    // imsclient4 of the header samples, with sha-1.
    let row = "ipsec-3gpp;prot=esp;mod=trans;spi-c=5625;spi-s=5626;port-c=5061;port-s=5060;alg=hmac-sha-1-96;ealg=null";
    let mut gm = Gm::new();
    let (rows, ue) = ([row], [10, 1, 0, 1].into());
    let clear = udp((PCSCF, 5060), (ue, 5060), b"SIP/2.0 401 Unauthorized\r\n\r\n");
    let register = |over| {
        let register = Register::new(over, ue, PCSCF, "1@ims");
        register.with_security_client(&rows)
    };
    let request = gm.pcscf.register(gm.now, &register(Over::Clear), &mut gm.sad).unwrap().request;
    let sm6 = gm.try_challenge(request).unwrap();
    // The SAs are in place, and SM6 goes to port 5060 in clear.
    assert_eq!((sm6.over, gm.sad.len()), (Over::Clear, 4));
    assert_eq!(gm.sad.is_protected(&clear), Ok(false));
    // From its clear port, too; to a protected port of the P-CSCF never.
    assert_eq!(gm.sad.is_protected(&udp((ue, 5060), (PCSCF, 5060), b"x")), Ok(false));
    assert_eq!(gm.sad.is_protected(&udp((ue, 5060), (PCSCF, 7060), b"x")), Ok(true));
    let ends = *gm.pcscf.ends(sm6.set).unwrap();
    let (spi, _) = ends.sa(SaName::UeClientToPcscfServer);
    let (nonce, server) = (gm.nonce(), sm6.security_server.to_string());
    let verify = [server.as_str()];
    let sm7 = register(Over::Sa(spi))
        .with_authorization(Answers::Response.authorization(&nonce))
        .with_security_verify(&verify);
    let request = gm.pcscf.register(gm.now, &sm7, &mut gm.sad).unwrap().request;
    let sm12 = gm.success(request, HOUR).unwrap();
    // What is protected leaves sealed: SM12, to the same port 5060.
    let route = gm.pcscf.route_response(sm12.contact, Transport::Udp, sm12.over).unwrap().unwrap();
    assert_eq!(route.destination, (ue, 5060).into());
    let answer = udp((PCSCF, route.source.port()), (ue, 5060), b"SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(gm.sad.is_protected(&answer), Ok(true));
    assert!(gm.sad.seal(&answer, &mut [0; 200]).is_ok());
}

#[test]
fn an_emergency_registration_shares_address_and_server_port_with_the_other_one() {
    let (mut gm, mut phone) = gm_and_phone();
    let normal = gm.registered(&mut phone, HOUR);
    let row = row(7777, 999, phone.server_port);
    let rows = [row.as_str()];
    let sos = Register::new(Over::Clear, phone.address, PCSCF, &phone.impi)
        .with_contact(";sos")
        .with_priority(true)
        .with_security_client(&rows);
    let request = gm.pcscf.register(gm.now, &sos, &mut gm.sad).unwrap().request;
    let sm6 = gm.try_challenge(request).unwrap();
    let spi = gm.pcscf.ends(sm6.set).unwrap().sa(SaName::UeClientToPcscfServer).0;
    let (nonce, server) = (gm.nonce(), sm6.security_server.to_string());
    let verify = [server.as_str()];
    let mut sm7 = sos;
    sm7.over = Over::Sa(spi);
    let sm7 = sm7.with_authorization(Answers::Response.authorization(&nonce)).with_security_verify(&verify);
    let request = gm.pcscf.register(gm.now, &sm7, &mut gm.sad).unwrap().request;
    gm.success(request, HOUR).unwrap();
    // Both stay, and each has its own way.
    assert_eq!((gm.sets(normal), gm.sets(sm6.contact), gm.sad.len()), (1, 1, 8));
    let routes = [normal, sm6.contact].map(|contact| gm.pcscf.route_request(contact).unwrap());
    assert_ne!(routes[0].source, routes[1].source);
    assert_eq!(routes[0].destination, routes[1].destination);
    gm.message(&mut phone);
    gm.request_reaches(&mut phone, normal);
    let contacts: Vec<_> = gm.pcscf.registered_contacts(&phone.impi).collect();
    assert!(contacts.len() == 2 && contacts.contains(&normal) && contacts.contains(&sm6.contact));
}

#[test]
fn another_user_at_the_address_of_a_phone_that_vanished_gets_in_at_once() {
    // With the server port alone, and with all ports and SPIs of the one that vanished.
    for same in [false, true] {
        let (mut gm, mut phone) = gm_and_phone();
        let vanished = gm.registered(&mut phone, Duration::from_secs(600_000));
        gm.pass(Duration::from_secs(6 * 86_400));
        let mut other = Phone::new(17);
        other.moves_to(phone.address);
        if same {
            other.fresh = phone.fresh - 2;
        }
        let contact = gm.registered(&mut other, HOUR);
        gm.message(&mut other);
        gm.request_reaches(&mut other, contact);
        assert_eq!(gm.pcscf.identity(vanished).is_none(), same, "what cannot be any more is gone");
        assert_eq!(gm.sets(contact), 1);
    }
}

#[test]
fn a_phone_that_comes_back_seconds_after_it_left_gets_in_at_once() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    gm.register(&phone, &request, LEAVES).unwrap();
    gm.success(gm.r(contact), Duration::ZERO).unwrap();
    gm.pass(5 * SECOND);
    // The same ports and SPIs as the first time.
    let mut again = Phone::new(16);
    assert_eq!(gm.registered(&mut again, HOUR), contact);
    assert_eq!((gm.sets(contact), gm.sad.len()), (1, 4));
    gm.message(&mut again);
    gm.request_reaches(&mut again, contact);
    gm.pass(DRAIN + SECOND);
    assert_eq!(gm.sets(contact), 1, "what ended does not end the new one");
    assert_eq!(gm.pcscf.registered_until(contact), Some(gm.now - DRAIN - SECOND + HOUR + 30 * SECOND));
}

#[test]
fn a_refresh_that_repeats_its_security_client_goes_on_and_is_refused_only_where_it_is_challenged() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    gm.sm12(&mut phone, contact, HOUR);
    let over = Over::Sa(gm.message(&mut phone));
    let client = sm7.security_client.to_string();
    let rows = [client.as_str()];
    let refresh = Register::new(over, phone.address, PCSCF, &phone.impi).with_security_client(&rows);
    gm.pass(300 * SECOND);
    let forward = gm.pcscf.register(gm.now, &refresh, &mut gm.sad).unwrap();
    assert_eq!(forward.integrity_protected(), "yes");
    gm.success(forward.request, HOUR).unwrap();
    assert_eq!(gm.pcscf.registered_until(contact), Some(gm.now + HOUR + 30 * SECOND));
    let request = gm.pcscf.register(gm.now, &refresh, &mut gm.sad).unwrap().request;
    let error = gm.try_challenge(request).unwrap_err();
    assert!(matches!(error, ChallengeError::InUse(_)));
    // Leaving needs no offer: the same one, none, or nonsense.
    for rows in [&rows[..], &[], &["nonsense;;"], &["tls"]] {
        let leave = refresh.with_security_client(rows).with_deregistration(true);
        let forward = gm.pcscf.register(gm.now, &leave, &mut gm.sad).unwrap();
        assert_eq!(forward.integrity_protected(), "yes");
        gm.failure(forward.request).unwrap();
    }
    // What cannot be used matters when it is challenged, with its reason.
    for (rows, reason) in [
        (&["tls"][..], "no usable mechanism in the peer's list: mechanism 0: not ipsec-3gpp"),
        (&[], "REGISTER without an offer was challenged"),
    ] {
        let leave = refresh.with_security_client(rows).with_deregistration(true);
        let request = gm.pcscf.register(gm.now, &leave, &mut gm.sad).unwrap().request;
        assert_eq!(gm.try_challenge(request).unwrap_err().to_string(), reason);
        gm.failure(request).unwrap();
    }
    gm.message(&mut phone);
}

#[test]
fn a_register_over_a_set_that_drains_after_the_end_brings_nothing_back() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    gm.register(&phone, &request, LEAVES).unwrap();
    gm.success(gm.r(contact), Duration::ZERO).unwrap();
    gm.pass(SECOND);
    let begin = phone.begin();
    let again = phone.begins(gm.now, &begin);
    let forward = gm.register(&phone, &again, Says::default()).unwrap();
    assert_eq!((forward.protection, forward.integrity_protected()), (None, "no"));
    gm.success(forward.request, HOUR).unwrap();
    gm.pass(DRAIN);
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty());
}

#[test]
fn registering_or_deregistering_one_public_identity_leaves_the_others() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let first = std::mem::replace(&mut phone.impu, "sip:second@ims".into());
    gm.registered(&mut phone, HOUR);
    let names = |gm: &Gm| gm.pcscf.identity(contact).unwrap().impus().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&gm), ["sip:16@ims", "sip:second@ims"]);
    gm.message(&mut phone);
    let leaves = |gm: &mut Gm, phone: &mut Phone| {
        let begin = phone.begin();
        let request = phone.begins(gm.now, &begin);
        gm.register(phone, &request, LEAVES).unwrap();
        gm.success(gm.r(contact), Duration::ZERO).unwrap();
        phone.timed_out(gm.now);
    };
    leaves(&mut gm, &mut phone);
    gm.pass(DRAIN + SECOND);
    assert_eq!((names(&gm), gm.sets(contact)), (vec![first.clone()], 1));
    gm.message(&mut phone);
    // One more without a challenge.
    phone.impu = "sip:third@ims".into();
    gm.sm1(&mut phone);
    gm.success(gm.r(contact), HOUR).unwrap();
    phone.timed_out(gm.now);
    assert_eq!(names(&gm), [first.clone(), "sip:third@ims".into()]);
    leaves(&mut gm, &mut phone);
    phone.impu = first;
    leaves(&mut gm, &mut phone);
    gm.pass(DRAIN + SECOND);
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty(), "none is left");
}

#[test]
fn a_2xx_may_say_which_public_identities_are_registered_now() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    // An implicit registration set.
    let all = ["sip:16@ims", "tel:+16"];
    let accepted = Accepted::new(HOUR).with_impus(&all);
    let sm12 = gm.pcscf.success(gm.now, gm.r(contact), accepted, &mut gm.sad).unwrap();
    let over_new = gm.to_ue(contact, sm12.over);
    phone.ue.success(gm.now, over_new, HOUR, &mut phone.sad).unwrap();
    assert!(gm.pcscf.identity(contact).unwrap().has_impu("tel:+16"));
    // One that cannot be told leaves the request to be answered again.
    gm.sm1(&mut phone);
    let broken = Accepted::new(HOUR).with_impus(&["a\nb"]);
    let error = gm.pcscf.success(gm.now, gm.r(contact), broken, &mut gm.sad).unwrap_err();
    assert_eq!(error.code(), "identity-line-break");
    gm.success(gm.r(contact), HOUR).unwrap();
    phone.timed_out(gm.now);
    // A de-registration of one that leaves others, and the last one.
    for (left, ends) in [(&all[1..], false), (&[][..], true)] {
        let begin = phone.begin();
        let request = phone.begins(gm.now, &begin);
        gm.register(&phone, &request, LEAVES).unwrap();
        let accepted = Accepted::new(Duration::ZERO).with_impus(left);
        gm.pcscf.success(gm.now, gm.r(contact), accepted, &mut gm.sad).unwrap();
        phone.timed_out(gm.now);
        gm.pass(DRAIN + SECOND);
        assert_eq!(gm.pcscf.is_empty(), ends);
    }
}

#[test]
fn after_a_long_ring_cancel_and_responses_go_over_the_set_in_use() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    let invite = gm.pcscf.route_request(contact).unwrap().set;
    let of_ue = phone.ue.route_request().unwrap();
    phone.ue.transaction_begins(of_ue.set);
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    gm.pass(DRAIN + SECOND); // it rings
    assert_eq!(gm.pcscf.route_in_transaction(contact, invite), gm.pcscf.route_request(contact));
    let cancel = phone.ue.route_in_transaction(gm.now, of_ue.set).unwrap();
    assert_eq!(gm.pcscf.contact_of(cancel.spi), Some(contact));
    // The UE's answer to a request that came over the set that has drained.
    let ends = *gm.pcscf.ends(gm.pcscf.route_request(contact).unwrap().set).unwrap();
    for transport in [Transport::Udp, Transport::Tcp] {
        let answer = gm.pcscf.route_response(contact, transport, Over::Sa(of_ue.spi)).unwrap().unwrap();
        assert_eq!(
            (answer.source.port(), answer.destination.port()),
            (ends.pcscf.setup.ports.client.get(), 6100)
        );
    }
}

#[test]
fn a_dual_stack_sockets_address_is_the_ipv4_address() {
    let mapped = |address: [u8; 4]| std::net::Ipv4Addr::from(address).to_ipv6_mapped().into();
    let (mut gm, mut phone) = gm_and_phone();
    let row = row(7777, 999, 998);
    let rows = [row.as_str()];
    let ue = mapped([10, 1, 0, 16]);
    let register = Register::new(Over::Clear, ue, mapped([10, 0, 0, 1]), &phone.impi);
    let forward = gm.pcscf.register(gm.now, &register.with_security_client(&rows), &mut gm.sad).unwrap();
    let set = gm.try_challenge(forward.request).unwrap().set;
    let ends = *gm.pcscf.ends(set).unwrap();
    assert_eq!((ends.ue.address, ends.pcscf.address), (phone.address, PCSCF));
    // Anybody can have made it: it protects nothing yet.
    assert_eq!(gm.pcscf.contact_at((ue, 998).into()), None);
    // The same address for whoever registers with the other form, and for what comes over SAs.
    let contact = gm.registered(&mut phone, HOUR);
    assert_eq!(gm.pcscf.contact_at((ue, 6100).into()), Some(contact));
    phone.address = ue;
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    assert!(gm.register(&phone, &request, Says::default()).is_ok());
}

#[test]
fn addresses_that_no_packet_comes_from_are_refused_at_sm1() {
    for (ue, pcscf, code) in [
        ("10.45.0.9", "0.0.0.0", "address-unspecified"),
        ("fd00::2", "::", "address-unspecified"),
        ("0.0.0.0", "172.22.0.21", "address-unspecified"),
        ("239.0.0.1", "172.22.0.21", "address-multicast"),
        ("255.255.255.255", "172.22.0.21", "address-broadcast"),
        ("172.22.0.21", "::ffff:172.22.0.21", "address-equal"),
        ("172.22.0.20", "fd00::1", "address-families-differ"),
        ("fe80::1", "fe80::2", "address-link-local"),
    ] {
        let mut gm = Gm::new();
        let row = row(7777, 999, 998);
        let rows = [row.as_str()];
        let (ue, pcscf) = (ue.parse().unwrap(), pcscf.parse().unwrap());
        let register = Register::new(Over::Clear, ue, pcscf, "1@ims").with_security_client(&rows);
        let error = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap_err();
        assert_eq!((error.code(), error.status().unwrap().code()), (code, 400), "{error}");
        assert!(gm.pcscf.is_empty());
    }
}

#[test]
fn a_link_local_address_is_one_on_its_link() {
    let mut gm = Gm::new();
    let row = row(7777, 999, 998);
    let rows = [row.as_str()];
    let (ue, pcscf) = ("fe80::16".parse().unwrap(), "fe80::1".parse().unwrap());
    let mut sad = [ipsec_3gpp::Sad::new(), ipsec_3gpp::Sad::new()];
    let (ck, ik) = keys();
    for (link, sad) in (2..).zip(&mut sad) {
        let impi = format!("{link}@ims");
        let register = Register::new(Over::Clear, ue, pcscf, &impi).with_scope(link);
        let register = register.with_security_client(&rows);
        let forward = gm.pcscf.register(gm.now, &register, sad).unwrap();
        let sm6 = gm.pcscf.challenge(gm.now, forward.request, "n", &ck, &ik, sad).unwrap();
        let of_link = |link| std::net::SocketAddrV6::new("fe80::16".parse().unwrap(), 999, 0, link).into();
        assert!(gm.pcscf.over(of_link(link), 7060).is_some());
        assert_eq!(gm.pcscf.over(of_link(9), 7060), None);
        let ends = gm.pcscf.ends(sm6.set).unwrap();
        assert_eq!((ends.scope, ends.ue.address), (link, ue));
        // Toward the UE, the route says which link.
        let spi = ends.sa(SaName::UeClientToPcscfServer).0;
        let route = gm.pcscf.route_response(forward.contact, Transport::Udp, Over::Sa(spi)).unwrap().unwrap();
        assert_eq!(route.destination.to_string(), format!("[fe80::16%{link}]:998"));
    }
    // The sets of the two links have nothing to do with each other.
    assert_eq!((sad[0].len(), sad[1].len(), gm.pcscf.open_addresses()), (4, 4, 2));
}

#[test]
fn a_phone_without_security_agreement_is_refused_or_passes_as_the_configuration_says() {
    let register = Register::new(Over::Clear, [10, 1, 0, 9].into(), PCSCF, "9@ims");
    let absent = register.with_sec_agree(SecAgree::Absent);
    let mut gm = Gm::new();
    let error = gm.pcscf.register(gm.now, &absent, &mut gm.sad).unwrap_err();
    assert_eq!(error.status().unwrap().code(), 421);
    let config = config().with_without_sec_agree(WithoutSecAgree::Pass);
    let mut gm = Gm::with(config, 1000);
    // One that knows of it must offer something.
    let error = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap_err();
    assert_eq!(error.status().unwrap().code(), 494);
    for answer in [true, false] {
        let forward = gm.pcscf.register(gm.now, &absent, &mut gm.sad).unwrap();
        assert_eq!(forward.integrity_protected(), "no");
        let error = gm.try_challenge(forward.request).unwrap_err();
        assert_eq!((&error, error.status().code()), (&ChallengeError::NoOffer, 401));
        if answer {
            let sm12 = gm.success(forward.request, HOUR).unwrap();
            assert_eq!((sm12.over, sm12.new_set), (Over::Clear, None));
        } else {
            assert_eq!(gm.failure(forward.request).unwrap().over, Over::Clear);
        }
        assert!(gm.pcscf.is_empty() && gm.pcscf.open_addresses() == 0);
    }
    let mut wildcard = absent;
    wildcard.ue = [0, 0, 0, 0].into();
    assert!(gm.pcscf.register(gm.now, &wildcard, &mut gm.sad).is_err());
}

#[test]
fn mediasec_rows_of_the_configuration_are_issued_and_compared() {
    let others = MechanismList::parse_rows(["sdes-srtp;mediasec", "tls;q=0.01"]).unwrap();
    let policy = policy().with_others(others).unwrap();
    let config = ipsec_3gpp::registration::Config::new(policy, port(7060), &[7101, 7102, 7103].map(port));
    let mut gm = Gm::with(config.unwrap(), 1000);
    let mut phone = Phone::new(16);
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    assert!(
        sm7.security_verify[0].ends_with(", sdes-srtp;mediasec, tls;q=0.01"),
        "{:?}",
        sm7.security_verify
    );
    // Without them, SM7 is not what was issued.
    let mut other = Gm::with(gm.pcscf.config().clone(), 1000);
    let mut twin = Phone::new(16);
    let contact_of_twin = other.sm1(&mut twin).contact;
    let mut of_twin = other.sm6(&mut twin, contact_of_twin);
    of_twin.security_verify = vec![of_twin.security_verify[0].replace(", sdes-srtp;mediasec", "").into()];
    assert_eq!(other.register(&twin, &of_twin, RESPONSE).unwrap_err().code(), "mismatch-mechanism");
    // Another row for them is the same list.
    let mut rows = sm7.clone();
    let (own, others) = sm7.security_verify[0].split_once(", sdes").unwrap();
    rows.security_verify = vec![own.into(), format!("sdes{others}").into()];
    gm.sm7(&phone, &rows);
    gm.sm12(&mut phone, contact, HOUR);
}

#[test]
fn sm6_may_name_the_chosen_suite_alone() {
    let policy = policy().with_server_list(ServerList::ChosenAlone);
    let config = ipsec_3gpp::registration::Config::new(policy, port(7060), &[7101, 7102, 7103].map(port));
    let mut gm = Gm::with(config.unwrap(), 1000);
    let mut phone = Phone::new(16);
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    let server = SecurityServer::parse(&sm7.security_verify[0]).unwrap();
    assert_eq!(server.mechanisms().len(), 1);
    gm.sm7(&phone, &sm7);
    gm.sm12(&mut phone, contact, HOUR);
    assert_eq!(gm.pcscf.suite(contact), Some(Suite::HMAC_SHA_1_96_AES_CBC));
}

#[test]
fn a_401_to_sm7_ends_the_attempt_at_both_ends() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    let request = gm.r(contact);
    let error = gm.try_challenge(request).unwrap_err();
    assert_eq!((&error, error.status().code()), (&ChallengeError::Sm7, 401));
    assert_eq!(gm.failure(request).unwrap().over, Over::Sa(spi_of(&sm7)));
    let (ck, ik) = keys();
    let at_ue = gm.to_ue(contact, over(&sm7));
    let error = phone.ue.challenged(gm.now, at_ue, &[], &ck, &ik, &mut phone.sad).unwrap_err();
    assert_eq!((error.code(), phone.sad.len()), ("challenge-sm7", 0));
    // Anew, at once.
    gm.registered(&mut phone, HOUR);
}

#[test]
fn policy_ports_and_limits_change_without_losing_anybody() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let mut begun = Phone::new(17);
    let half = gm.sm1(&mut begun).contact;
    let sm7 = gm.sm6(&mut begun, half);
    // Another server port, other client ports, encryption required, two contacts at most.
    let strict = Policy::new(&[Suite::HMAC_SHA_1_96_AES_CBC], Confidentiality::Required).unwrap();
    let config = ipsec_3gpp::registration::Config::new(strict, port(8060), &[8101, 8102, 8103].map(port));
    gm.pcscf.reconfigure(config.unwrap().with_max_contacts(2, 0));
    for (number, protected) in [(7060, true), (8060, true), (8102, true), (7199, false)] {
        assert_eq!(gm.pcscf.is_protected_port(number), protected, "{number}");
    }
    // SM7 is compared with what was issued, not with what would be now.
    gm.sm7(&begun, &sm7);
    gm.sm12(&mut begun, half, HOUR);
    gm.message(&mut phone);
    gm.request_reaches(&mut phone, contact);
    // A re-registration: the server port stays, the client port is new.
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    let route = gm.pcscf.route_request(contact).unwrap();
    assert_eq!((route.via_port, route.source.port() / 100), (port(7060), 81));
    // A new contact has none of it.
    let mut third = Phone::new(18);
    let begin = third.begin();
    let request = third.begins(gm.now, &begin);
    assert_eq!(gm.register(&third, &request, Says::default()), Err(RegisterError::Full(2)));
    // With the last set, a port of the time before is free.
    gm.pcscf.forget(half, &mut gm.sad).unwrap();
    gm.pcscf.forget(contact, &mut gm.sad).unwrap();
    assert!(!gm.pcscf.is_protected_port(7060));
    let contact = gm.registered(&mut third, HOUR);
    assert_eq!(gm.pcscf.route_request(contact).unwrap().via_port, port(8060));
}

#[test]
fn the_operator_finds_contacts_by_user_and_goes_through_all() {
    let mut gm = Gm::new();
    let mut phones: Vec<Phone> = (1..=5).map(Phone::new).collect();
    let contacts: Vec<_> = phones.iter_mut().map(|phone| gm.registered(phone, HOUR)).collect();
    let unfinished = gm.sm1(&mut Phone::new(6)).contact;
    assert_eq!(gm.pcscf.contacts().count(), 6);
    assert!(contacts.iter().chain([&unfinished]).all(|one| gm.pcscf.contacts().any(|other| other == *one)));
    assert_eq!(gm.pcscf.registered_contacts("3@ims").collect::<Vec<_>>(), [contacts[2]]);
    assert_eq!(
        (gm.pcscf.find("", "3@ims"), gm.pcscf.find("", "6@ims")),
        (Some(contacts[2]), Some(unfinished))
    );
    assert_eq!((gm.pcscf.find("x", "3@ims"), gm.pcscf.registered_contacts("6@ims").count()), (None, 0));
    gm.events();
    gm.pcscf.forget(contacts[2], &mut gm.sad).unwrap();
    assert!(matches!(gm.events().last(), Some(Event::ContactEnded { cause: Cause::Forgotten, .. })));
    assert_eq!((gm.pcscf.registered_contacts("3@ims").count(), gm.pcscf.contacts().count()), (0, 5));
}

#[test]
fn a_clock_that_steps_back_stands_still() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, 99 * SECOND);
    gm.sm1(&mut phone);
    let sm7 = gm.sm6(&mut phone, contact);
    gm.sm7(&phone, &sm7);
    gm.pass(Duration::from_millis(1400));
    let latest = gm.now;
    gm.now = latest - Duration::from_millis(1300);
    gm.success(gm.r(contact), 99 * SECOND).unwrap();
    gm.pcscf.handle_timeout(gm.now, &mut gm.sad);
    assert_eq!(gm.pcscf.registered_until(contact), Some(latest + (99 + 30) * SECOND));
    // By months, with everything that can be told a time.
    gm.now = ipsec_3gpp::Moment::from_millis(0);
    let mut other = phone_with(&mut gm, 17);
    gm.message(&mut other);
    gm.pcscf.handle_timeout(gm.now, &mut gm.sad);
    gm.now = latest;
    gm.pass(AWAIT);
    assert_eq!(gm.sets(contact), 0);
}

fn phone_with(gm: &mut Gm, number: u8) -> Phone {
    let mut phone = Phone::new(number);
    gm.registered(&mut phone, HOUR);
    phone
}

#[test]
fn every_call_honours_deadlines_that_have_passed() {
    let late = HOUR + 31 * SECOND;
    // A message over a set that has expired.
    let (mut gm, mut phone) = gm_and_phone();
    gm.registered(&mut phone, HOUR);
    let spi = phone.ue.route_request().unwrap().spi;
    gm.now = gm.now + late;
    assert!(gm.arrives(spi).is_err());
    assert!(gm.pcscf.is_empty() && gm.sad.is_empty());
    // A REGISTER over it.
    let (mut gm, mut phone) = gm_and_phone();
    gm.registered(&mut phone, HOUR);
    let begin = phone.begin();
    let request = phone.begins(gm.now, &begin);
    gm.now = gm.now + late;
    assert_eq!(gm.register(&phone, &request, Says::default()).unwrap_err().code(), "discard-unknown-sa");
    // An answer of the core that comes too late.
    type Late = fn(&mut Gm, ipsec_3gpp::registration::RequestId) -> bool;
    let calls: [Late; 3] = [
        |gm, request| gm.try_challenge(request).is_ok(),
        |gm, request| gm.success(request, HOUR).is_ok(),
        |gm, request| gm.failure(request).is_ok(),
    ];
    for call in calls {
        let (mut gm, mut phone) = gm_and_phone();
        let request = gm.sm1(&mut phone).request;
        gm.now = gm.now + DRAIN + SECOND;
        assert!(!call(&mut gm, request));
    }
    // An SM7 after reg-await-auth, and the network's end of a contact that has ended.
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.sm1(&mut phone).contact;
    let sm7 = gm.sm6(&mut phone, contact);
    gm.now = gm.now + AWAIT + SECOND;
    assert_eq!(gm.register(&phone, &sm7, RESPONSE).unwrap_err().code(), "discard-unknown-sa");
    assert!(gm.pcscf.deregister(gm.now, contact, &mut gm.sad).is_err());
}

#[test]
fn a_data_path_that_cannot_take_a_set_into_use_does_not_hang_the_clock() {
    struct Stubborn(ipsec_3gpp::Sad);
    impl ipsec_3gpp::DataPath for Stubborn {
        type Error = OpenError;
        fn install(
            &mut self,
            id: ipsec_3gpp::sa::SetId,
            side: ipsec_3gpp::sa::Side,
            set: &ipsec_3gpp::sa::SaSet,
            overlap: ipsec_3gpp::sa::Overlap,
        ) -> Result<(), OpenError> {
            self.0.install(id, side, set, overlap).map_err(|_| OpenError::Internal)
        }
        fn take_into_use(
            &mut self,
            _: ipsec_3gpp::sa::SetId,
            _: ipsec_3gpp::sa::Side,
            _: &ipsec_3gpp::sa::Ends,
        ) -> Result<(), OpenError> {
            Err(OpenError::Internal)
        }
        fn remove(
            &mut self,
            id: ipsec_3gpp::sa::SetId,
            side: ipsec_3gpp::sa::Side,
            ends: &ipsec_3gpp::sa::Ends,
        ) {
            self.0.remove(id, side, ends);
        }
    }
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.registered(&mut phone, 2 * HOUR);
    let old = gm.pcscf.route_request(contact).unwrap().set;
    let mut path = Stubborn(std::mem::take(&mut gm.sad));
    // The old set gives way 64*T1 before it ends, and cannot.
    gm.now = gm.now + HOUR + 30 * SECOND - DRAIN + SECOND;
    gm.pcscf.handle_timeout(gm.now, &mut path);
    assert_eq!(gm.pcscf.route_request(contact).unwrap().set, old, "it is used until it ends");
    assert!(gm.pcscf.poll_timeout().unwrap() > gm.now);
    gm.now = gm.now + DRAIN;
    gm.pcscf.handle_timeout(gm.now, &mut path);
    assert!(gm.pcscf.is_empty() && path.0.is_empty());
}

#[test]
fn an_authorization_without_the_nonce_of_a_challenge_reports_nothing() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    gm.sm1(&mut phone);
    gm.sm6(&mut phone, contact);
    let begin = phone.begin();
    let over = Over::Sa(gm.message(&mut phone));
    let row = row(begin.setup.spis.client.value(), begin.setup.ports.client.get(), 6100);
    let rows = [row.as_str()];
    let report = Authorization { nonce: "another", response: "", auts: Some("auts") };
    let register = Register::new(over, phone.address, PCSCF, &phone.impi)
        .with_authorization(report)
        .with_security_client(&rows);
    gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap();
    assert_eq!(gm.sets(contact), 2);
}

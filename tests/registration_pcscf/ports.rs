//! Addresses, ports and routes (TS 33.203 7.1).

use std::collections::HashSet;

use ipsec_3gpp::registration::{ChallengeError, Config, InUse, NoSa, Over, Register, Transport};
use ipsec_3gpp::sa::SaName;
use ipsec_3gpp::spi::Spi;

use crate::gm::{DRAIN, Gm, HOUR, PCSCF, Phone, policy, port};
use crate::{SECOND, gm_and_phone};

#[test]
fn two_phones_behind_one_address_are_distinguished_by_their_client_ports() {
    let (mut gm, mut one) = gm_and_phone();
    let mut other = Phone::new(17);
    other.moves_to(one.address);
    gm.registered(&mut one, HOUR);
    // Rule 3 is about the client port: they may have the same server port.
    let contact = gm.registered(&mut other, HOUR);
    gm.message(&mut one);
    let over = gm.message(&mut other);
    assert_eq!(gm.pcscf.contact_of(over), Some(contact));
    assert_eq!(gm.pcscf.contact_at((other.address, 6100).into()), Some(contact), "who registered last");
    assert_eq!(gm.pcscf.contact_at((other.address, 6300).into()), None);
    let ports = [&one, &other].map(|phone| {
        let contact = gm.pcscf.find("", &phone.impi).unwrap();
        gm.pcscf.route_request(contact).unwrap().source.port()
    });
    assert_ne!(ports[0], ports[1], "no two SAs have the same ports at both ends");
}

#[test]
fn a_client_port_or_spi_that_a_ue_with_sas_has_already_is_refused_at_the_challenge() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let over = Over::Sa(gm.message(&mut phone));
    let set = gm.pcscf.sets(contact).next().unwrap();
    let used = gm.pcscf.ends(set).unwrap().ue.setup;
    let row = |spi: u32, port: u16| {
        format!("ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={spi};spi-s=2;port-c={port};port-s=6100")
    };
    let (port, spi) = (used.ports.client, used.spis.client);
    for (row, error) in [
        (row(7777, port.get()), InUse::Port { ue: phone.address, port }),
        (row(spi.value(), 999), InUse::Spi { ue: phone.address, spi }),
    ] {
        let rows = [row.replace("spi-s=2", "spi-s=7778")];
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let register = Register::new(over, phone.address, PCSCF, &phone.impi).with_security_client(&rows);
        let request = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap().request;
        let refused = gm.try_challenge(request).unwrap_err();
        assert_eq!((&refused, refused.status().code()), (&ChallengeError::InUse(error), 400));
        // It still awaits an answer.
        gm.failure(request).unwrap();
    }
    assert_eq!((gm.sets(contact), gm.pcscf.spis().in_use()), (1, 2));
}

#[test]
fn a_phone_that_changes_its_address_registers_again_and_its_old_sas_go() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    phone.moves_to([10, 1, 0, 99].into());
    assert!(phone.sad.is_empty());
    let forward = gm.sm1(&mut phone);
    assert_eq!(forward.contact, contact, "the same contact of the same user");
    gm.finish(&mut phone, contact, HOUR);
    assert_eq!((gm.sets(contact), gm.sad.len()), (1, 4));
    gm.message(&mut phone);
    assert_eq!(gm.pcscf.contact_at(([10, 1, 0, 16], 6100).into()), None);
}

#[test]
fn a_contact_never_has_more_than_six_sas_a_direction() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let mut client_ports = HashSet::new();
    for _ in 0..20 {
        gm.sm1(&mut phone);
        gm.sm6(&mut phone, contact);
        gm.registered(&mut phone, HOUR);
        gm.message(&mut phone);
        gm.sm1(&mut phone);
        gm.sm6(&mut phone, contact);
        assert_eq!((gm.sets(contact), gm.sad.len()), (3, 12), "old, current and temporary");
        client_ports.insert(gm.pcscf.route_request(contact).unwrap().source);
    }
    assert!(client_ports.len() >= 2, "client ports change: {client_ports:?}");
    assert_eq!(gm.pcscf.spis().in_use(), 6);
}

#[test]
fn routes_name_the_sa_the_ports_and_the_via_port() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let ends = *gm.pcscf.ends(gm.pcscf.sets(contact).next().unwrap()).unwrap();
    let (p, u) = (ends.pcscf.setup.ports, ends.ue.setup.ports);
    let spis = ends.pcscf.setup.spis;
    let request = gm.pcscf.route_request(contact);
    let over_server = |transport| gm.pcscf.route_response(contact, transport, Over::Sa(spis.server));
    let over_client = |transport| gm.pcscf.route_response(contact, transport, Over::Sa(spis.client));
    let cancel = gm.pcscf.route_in_transaction(contact, request.unwrap().set);
    for (route, sa, from, to) in [
        (request, SaName::PcscfClientToUeServer, p.client, u.server),
        (cancel, SaName::PcscfClientToUeServer, p.client, u.server),
        (over_server(Transport::Udp).map(Option::unwrap), SaName::PcscfClientToUeServer, p.client, u.server),
        // The way back on a connection that the UE opened, and on one that the P-CSCF opened.
        (over_server(Transport::Tcp).map(Option::unwrap), SaName::PcscfServerToUeClient, p.server, u.client),
        (over_client(Transport::Tcp).map(Option::unwrap), SaName::PcscfClientToUeServer, p.client, u.server),
    ] {
        let route = route.unwrap();
        assert_eq!((route.sa, route.via_port), (sa, p.server));
        assert_eq!((route.source.port(), route.destination.port()), (from.get(), to.get()));
        assert_eq!((route.source.ip(), route.destination.ip()), (PCSCF, phone.address));
        assert_eq!(route.spi, ends.sa(sa).0);
    }
    // Of a set that has drained: a connection to the sent-by.
    let unknown = Over::Sa(Spi::new(256).unwrap());
    assert_eq!(gm.pcscf.route_response(contact, Transport::Tcp, unknown), request.map(Some));
    assert_eq!(gm.pcscf.route_response(contact, Transport::Tcp, Over::Clear), Ok(None));
    assert!(gm.pcscf.is_protected_port(7060) && gm.pcscf.is_protected_port(7102));
    assert!(!gm.pcscf.is_protected_port(5060));
    gm.pcscf.forget(contact, &mut gm.sad).unwrap();
    assert_eq!(gm.pcscf.route_response(contact, Transport::Tcp, unknown), Err(NoSa));
}

/// Other users at the address: one that began in clear with the same ports and SPIs, and one with
/// the same server port whose SM7 has been verified. They are those of the one that is registered.
#[test]
fn an_end_that_several_users_have_is_that_of_the_one_that_is_registered() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let set = gm.pcscf.sets(contact).next().unwrap();
    let ends = *gm.pcscf.ends(set).unwrap();
    let at_address = |gm: &mut Gm, number: u8, fresh: u32| {
        let mut other = Phone::new(number);
        other.moves_to(phone.address);
        other.fresh = fresh;
        let contact = gm.sm1(&mut other).contact;
        let sm7 = gm.sm6(&mut other, contact);
        (other, contact, sm7)
    };
    let (other, second, sm7) = at_address(&mut gm, 18, 180_000);
    let answered = gm.sm7(&other, &sm7).request;
    at_address(&mut gm, 17, phone.fresh - 2);
    let ports = ends.ue.setup.ports;
    let at = |port: ipsec_3gpp::setup::Port| std::net::SocketAddr::new(phone.address, port.get());
    for port in [ports.client, ports.server] {
        assert_eq!(gm.pcscf.contact_at(at(port)), Some(contact));
    }
    assert_eq!(gm.pcscf.over(at(ports.client), 7060), Some(ends.pcscf.setup.spis.server));
    for spi in [ends.ue.setup.spis.client, ends.ue.setup.spis.server] {
        assert_eq!(gm.pcscf.set_toward(phone.address, spi), Some(set));
    }
    // Of two that are registered, the latest.
    gm.success(answered, HOUR).unwrap();
    assert_eq!(gm.pcscf.contact_at(at(ports.server)), Some(second));
    assert_eq!(gm.pcscf.contact_at(at(ports.client)), Some(contact));
}

/// Ports of an earlier configuration are protected as long as a set has them, and no longer: be it
/// there when the configuration changes, or come later.
#[test]
fn ports_of_the_time_before_are_protected_while_sets_have_them() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let client = |gm: &Gm| gm.pcscf.route_request(contact).unwrap().source.port();
    let before = client(&gm);
    let configure = |gm: &mut Gm, server: u16| {
        let clients = [server + 1, server + 2, server + 3].map(port);
        gm.pcscf.reconfigure(Config::new(policy(), port(server), &clients).unwrap());
    };
    configure(&mut gm, 8060);
    for number in [7060, 7101, 7102, 7103] {
        assert_eq!(gm.pcscf.is_protected_port(number), number == 7060 || number == before, "{number}");
    }
    // Of two times before, too, and a port that comes back is retired no more.
    configure(&mut gm, 9060);
    configure(&mut gm, 9160);
    for number in [7060, before, 8060, 8061, 9060, 9061, 9160, 9161] {
        let protected = [7060, before, 9160, 9161].contains(&number);
        assert_eq!(gm.pcscf.is_protected_port(number), protected, "{number}");
    }
    // The next set has the server port of the first; the first set goes.
    gm.registered(&mut phone, HOUR);
    gm.message(&mut phone);
    gm.pass(DRAIN + SECOND);
    assert_eq!((gm.sets(contact), client(&gm) / 100), (1, 91));
    assert!(gm.pcscf.is_protected_port(7060) && !gm.pcscf.is_protected_port(before));
    gm.pcscf.forget(contact, &mut gm.sad).unwrap();
    assert!(!gm.pcscf.is_protected_port(7060));
}

/// A challenge in the place of one before may have its port; a failed one is in nobody's way.
#[test]
fn what_a_challenge_supersedes_is_in_nobodys_way() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    // Three client ports: that of the current set, that of a challenge, and one more.
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..6 {
        gm.sm1(&mut phone);
        let set = gm.challenge(contact).set;
        seen.insert(gm.pcscf.ends(set).unwrap().pcscf.setup.ports.client.get());
    }
    let current = gm.pcscf.route_request(contact).unwrap().source.port();
    assert!(!seen.contains(&current) && seen.len() == 2, "{seen:?}, {current}");
    // The same SPIs and client port again, over SAs: taken by the one before, which goes.
    let begin = phone.begin();
    let first = gm.sm1_with(&mut phone, &begin).contact;
    gm.challenge(first);
    phone.fresh -= 2;
    let begin = phone.begin();
    gm.sm1_with(&mut phone, &begin);
    assert!(gm.try_challenge(gm.r(contact)).is_ok(), "the challenge before it is superseded");
    // One that has failed stays for its answer, and its ports are free.
    let sm7 = phone.begin();
    gm.sm1_with(&mut phone, &sm7);
    let sm7 = gm.sm6(&mut phone, contact);
    let request = gm.sm7(&phone, &sm7).request;
    phone.fresh -= 2;
    let begin = phone.begin();
    gm.sm1_with(&mut phone, &begin);
    assert!(gm.try_challenge(gm.r(contact)).is_err(), "an SM7 that awaits its answer has them");
    gm.failure(request).unwrap();
    assert!(gm.try_challenge(gm.r(contact)).is_ok());
}

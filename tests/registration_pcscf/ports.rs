//! Addresses, ports and routes (TS 33.203 7.1).

use std::collections::HashSet;

use ipsec_3gpp::registration::{ChallengeError, InUse, NoSa, Over, Register, Transport};
use ipsec_3gpp::sa::SaName;
use ipsec_3gpp::spi::Spi;

use crate::gm::{HOUR, PCSCF, Phone};
use crate::gm_and_phone;

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

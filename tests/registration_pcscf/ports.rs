//! Addresses, ports and routes (TS 33.203 7.1).

use std::collections::HashSet;

use ipsec_3gpp::registration::{ChallengeError, InUse, NoSa, Over, RegisterError, Transport};
use ipsec_3gpp::sa::SaName;
use ipsec_3gpp::spi::Spi;

use crate::gm::{HOUR, PCSCF, Phone, Says, port};
use crate::gm_and_phone;

#[test]
fn two_phones_behind_one_address_are_distinguished_by_their_ports() {
    let (mut gm, mut one) = gm_and_phone();
    let mut other = Phone::new(17);
    other.moves_to(one.address);
    gm.registered(&mut one, HOUR);
    // The same server port: refused, and the first phone has lost nothing.
    let begin = other.begin();
    let request = other.begins(gm.now, &begin);
    let error = gm.register(&other, &request, Says::default()).unwrap_err();
    assert_eq!(error, RegisterError::InUse(InUse::Port { ue: one.address, port: port(6100) }));
    assert_eq!((error.status().unwrap().code(), gm.pcscf.len()), (400, 1));
    other.server_port = 6200;
    let contact = gm.registered(&mut other, HOUR);
    gm.message(&mut one);
    let over = gm.message(&mut other);
    assert_eq!(gm.pcscf.contact_of(over), Some(contact));
    assert_eq!(gm.pcscf.contact_at((other.address, 6200).into()), Some(contact));
    assert_eq!(gm.pcscf.contact_at((other.address, 6300).into()), None);
}

#[test]
fn a_client_port_that_the_ue_uses_already_is_refused() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let used = phone.ue.route_request().unwrap().source.port();
    // A phone that has forgotten its SAs and begins again with the same port.
    let mut again = Phone::new(16);
    let mut begin = again.begin();
    begin.setup.ports.client = port(used);
    let request = again.begins(gm.now, &begin);
    let error = gm.register(&again, &request, Says::default()).unwrap_err();
    assert_eq!(error, RegisterError::InUse(InUse::Port { ue: again.address, port: port(used) }));
    assert_eq!(gm.sets(contact), 1);
}

#[test]
fn somebody_who_takes_the_port_between_sm1_and_sm6_is_noticed() {
    let (mut gm, mut one) = gm_and_phone();
    let mut other = Phone::new(17);
    other.moves_to(one.address);
    let first = gm.sm1(&mut one).contact;
    let second = gm.sm1(&mut other).contact;
    gm.challenge(first);
    let error = gm.try_challenge(gm.r(second)).unwrap_err();
    assert_eq!(error, ChallengeError::InUse(InUse::Port { ue: one.address, port: port(6100) }));
    assert_eq!((error.status().code(), gm.pcscf.spis().in_use()), (400, 2));
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
    let cancel = gm.pcscf.route_in_transaction(request.unwrap().set);
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
    let unknown = Over::Sa(Spi::new(256).unwrap());
    assert_eq!(gm.pcscf.route_response(contact, Transport::Tcp, unknown), Err(NoSa));
    assert_eq!(gm.pcscf.route_response(contact, Transport::Tcp, Over::Clear), Ok(None));
    assert!(gm.pcscf.is_protected_port(7060) && gm.pcscf.is_protected_port(7102));
    assert!(!gm.pcscf.is_protected_port(5060));
}

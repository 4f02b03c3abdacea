//! What the answers of UE and core mean: SM7 that comes twice, reports, departures; and what they
//! take with them.

use std::time::Duration;

use ipsec_3gpp::registration::{Authorization, Begin, IdentityError, Over, Register};
use ipsec_3gpp::sa::{Ends, InstallError, Overlap, SaSet, SetId, Side};
use ipsec_3gpp::{DataPath, Sad};

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

/// A response to what is no challenge is not asserted as protected, be another challenge open.
#[test]
fn a_response_to_no_challenge_goes_on_unprotected() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let current = gm.message(&mut phone);
    gm.sm1(&mut phone);
    gm.challenge(contact);
    let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    let rows = [row];
    let register = Register::new(Over::Sa(current), phone.address, PCSCF, &phone.impi)
        .with_authorization(Authorization { nonce: "another", response: "res", auts: None })
        .with_security_client(&rows);
    let forward = gm.pcscf.register(gm.now, &register, &mut gm.sad).unwrap();
    assert_eq!(forward.integrity_protected(), "no");
}

/// What excludes another set: the client port, or an SPI, at one address; and nothing elsewhere.
#[test]
fn a_set_displaces_those_with_its_client_port_or_an_spi_at_its_address_alone() {
    for (same_address, spis, port, stays) in [
        (true, 7_000_000, 20_500, false),
        (true, 1_000_500, 20_777, false),
        (true, 7_000_000, 20_777, true),
        (false, 1_000_500, 20_500, true),
    ] {
        let (mut gm, mut phone) = gm_and_phone();
        let begin = Begin::new(crate::support::setup(1_000_500, 1_000_501, 20_500, 6100));
        let contact = gm.sm1_with(&mut phone, &begin).contact;
        gm.finish(&mut phone, contact, HOUR);
        let mut other = Phone::new(17);
        if same_address {
            other.moves_to(phone.address);
        }
        let begin = Begin::new(crate::support::setup(spis, spis + 1, port, 6100));
        let second = gm.sm1_with(&mut other, &begin).contact;
        gm.finish(&mut other, second, HOUR);
        assert_eq!(gm.pcscf.identity(contact).is_some(), stays, "{same_address}, {spis}, {port}");
        assert_eq!(gm.sets(second), 1);
    }
}

/// The current set is displaced by a UE that came back; an SM7 from elsewhere is another matter.
#[test]
fn what_a_set_displaces_takes_nothing_else_with_it() {
    let (mut gm, mut phone) = gm_and_phone();
    let contact = gm.registered(&mut phone, HOUR);
    let mut elsewhere = Phone::new(16);
    elsewhere.moves_to([10, 9, 9, 9].into());
    elsewhere.fresh += 40;
    gm.sm1(&mut elsewhere);
    let sm7 = gm.sm6(&mut elsewhere, contact);
    let waits = gm.sm7(&elsewhere, &sm7).request;
    let mut again = Phone::new(16);
    gm.sm1(&mut again);
    let sm7 = gm.sm6(&mut again, contact);
    gm.sm7(&again, &sm7);
    assert!(gm.success(waits, HOUR).unwrap().new_set.is_some());
}

/// A core may use a nonce twice: what ends one challenge is nothing to the other.
#[test]
fn two_challenges_with_one_nonce_end_one_by_one() {
    let (mut gm, _) = gm_and_phone();
    let (ck, ik) = crate::gm::keys();
    let mut phones = [Phone::new(16), Phone::new(16)];
    phones[1].moves_to([10, 9, 9, 9].into());
    phones[1].fresh += 40;
    let sets: Vec<_> = phones
        .iter_mut()
        .map(|phone| {
            let request = gm.sm1(phone).request;
            gm.pcscf.challenge(gm.now, request, "one", &ck, &ik, &mut gm.sad).unwrap().set
        })
        .collect();
    for (phone, set) in phones.iter().zip(&sets) {
        // Also by what names an SA to a kernel.
        let spi = gm.pcscf.ends(*set).unwrap().ue.setup.spis.client;
        assert_eq!(gm.pcscf.set_toward(phone.address, spi), Some(*set));
    }
    // The first one begins again, which ends its challenge.
    let request = gm.sm1(&mut phones[0]).request;
    gm.pcscf.challenge(gm.now, request, "two", &ck, &ik, &mut gm.sad).unwrap();
    assert!(gm.pcscf.ends(sets[0]).is_none() && gm.pcscf.ends(sets[1]).is_some());
    let row = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100";
    let rows = [row];
    let report = Register::new(Over::Clear, phones[1].address, PCSCF, &phones[1].impi)
        .with_authorization(Authorization { nonce: "one", response: "", auts: Some("auts") })
        .with_security_client(&rows);
    gm.pcscf.register(gm.now, &report, &mut gm.sad).unwrap();
    assert!(gm.pcscf.ends(sets[1]).is_none(), "its report names it");
}

/// A challenge that takes the place of one with the same ports and SPIs has no overlap with it;
/// with the set in force it has.
#[test]
fn a_set_has_no_overlap_with_the_one_that_it_supersedes() {
    use ipsec_3gpp::Plan;
    use ipsec_3gpp::sa::PlanStep;
    let overlap_of = |gm: &mut Gm, request| {
        let (ck, ik) = crate::gm::keys();
        let nonce = format!("plan {request:?}");
        let planned =
            Plan::record(|plan| gm.pcscf.challenge(gm.now, request, &nonce, &ck, &ik, plan).is_ok());
        let (plan, is_ok) = planned.into_parts();
        assert!(is_ok);
        let overlaps: Vec<Overlap> = plan
            .steps()
            .iter()
            .filter_map(|step| match step {
                PlanStep::Install { overlap, .. } => Some(*overlap),
                PlanStep::TakeIntoUse { .. } | PlanStep::Remove { .. } | _ => None,
            })
            .collect();
        plan.carry_out(&mut gm.sad);
        overlaps
    };
    let (mut gm, mut phone) = gm_and_phone();
    let begin = phone.begin();
    let first = gm.sm1_with(&mut phone, &begin).request;
    assert_eq!(overlap_of(&mut gm, first), [Overlap::Apart]);
    let mut again = Phone::new(16);
    again.fresh = phone.fresh - 2;
    let second = gm.sm1(&mut again).request;
    assert_eq!(overlap_of(&mut gm, second), [Overlap::Apart], "it takes its place");
    // Another user at the address, with the same.
    let mut other = Phone::new(17);
    other.moves_to(phone.address);
    other.fresh = phone.fresh - 2;
    let third = gm.sm1(&mut other).request;
    assert_eq!(overlap_of(&mut gm, third), [Overlap::Spis]);
}

/// A table that counts what it is told to take into use, and may refuse it.
struct Taking<'a> {
    sad: &'a mut Sad,
    taken: usize,
    refuses: bool,
}

impl DataPath for Taking<'_> {
    type Error = InstallError;

    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), InstallError> {
        self.sad.install(id, side, set, overlap)
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), InstallError> {
        self.taken += 1;
        if self.refuses {
            Err(InstallError::NotInstalled(id))
        } else {
            self.sad.take_into_use(id, side, ends)
        }
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        self.sad.remove(id, side, ends);
    }
}

/// SM7 over a set with the selectors of another: it is taken into use. Where the data path cannot,
/// that is counted, and the registration goes on.
#[test]
fn a_set_that_overlaps_is_taken_into_use_with_its_sm7() {
    for refuses in [false, true] {
        let mut gm = Gm::new();
        for (restarted, taken) in [(false, 0), (true, 1)] {
            let mut phone = Phone::new(16);
            let contact = gm.sm1(&mut phone).contact;
            let sm7 = gm.sm6(&mut phone, contact);
            let client = [sm7.security_client.to_string()];
            let client: Vec<&str> = client.iter().map(String::as_str).collect();
            let verify: Vec<&str> = sm7.security_verify.iter().map(AsRef::as_ref).collect();
            let (nonce, impus) = (gm.nonce(), [&*phone.impu]);
            let register = Register::new(crate::gm::over(&sm7), phone.address, PCSCF, &phone.impi)
                .with_impus(&impus)
                .with_authorization(Authorization { nonce: &nonce, response: "res", auts: None })
                .with_security_client(&client)
                .with_security_verify(&verify);
            let mut path = Taking { sad: &mut gm.sad, taken: 0, refuses };
            let forward = gm.pcscf.register(gm.now, &register, &mut path).unwrap();
            assert_eq!(path.taken, taken, "{restarted}");
            gm.remember(&forward);
            assert!(gm.success(forward.request, HOUR).unwrap().new_set.is_some());
        }
        assert_eq!(gm.pcscf.counters().not_taken, u64::from(refuses));
    }
}

/// The old set is lost while it is in use, and the current one cannot be taken into use.
#[test]
fn a_contact_without_a_set_to_send_over_is_gone() {
    for refuses in [false, true] {
        let (mut gm, mut phone) = gm_and_phone();
        let contact = gm.registered(&mut phone, HOUR);
        gm.message(&mut phone);
        let old = gm.pcscf.sets(contact).next().unwrap();
        gm.registered(&mut phone, HOUR);
        let mut path = Taking { sad: &mut gm.sad, taken: 0, refuses };
        gm.pcscf.data_path_failed(old, &mut path).unwrap();
        assert_eq!((path.taken, gm.pcscf.identity(contact).is_none()), (1, refuses));
        assert_eq!(gm.sad.len(), if refuses { 0 } else { 4 });
    }
}

/// The first packet over a set proves it, into whichever buffer it is opened; a data path may be
/// lent.
#[test]
fn the_first_packet_over_a_set_protects_the_ports_of_its_peer() {
    for in_place in [false, true] {
        let (mut gm, mut phone) = gm_and_phone();
        let request = gm.sm1(&mut phone).request;
        let (ck, ik) = crate::gm::keys();
        let sm6 = gm.pcscf.challenge(gm.now, request, "one", &ck, &ik, &mut &mut gm.sad).unwrap();
        assert_eq!(gm.sad.len(), 4);
        let row = sm6.security_server.to_string();
        let sm7 = phone.ue.challenged(gm.now, Over::Clear, &[&row], &ck, &ik, &mut phone.sad).unwrap();
        let route = sm7.route.unwrap();
        let ends = |end: std::net::SocketAddr| (end.ip(), end.port());
        let plain = crate::support::udp(ends(route.source), ends(route.destination), b"REGISTER");
        let clear = crate::support::udp((PCSCF, 5060), ends(route.source), b"x");
        assert_eq!(gm.sad.is_protected(&clear), Ok(false), "anybody can announce a port");
        let (mut packet, mut out) = ([0; 200], [0; 200]);
        let range = phone.sad.seal(&plain, &mut packet).unwrap().range;
        let packet = &mut packet[range];
        let opened = if in_place { gm.sad.open_in_place(packet) } else { gm.sad.open(packet, &mut out) };
        assert!(opened.is_ok());
        assert_eq!(gm.sad.is_protected(&clear), Ok(true));
    }
}

//! SM1, SM6, SM7 and SM12 at both ends: the way through, every failure, and the table of states and
//! events.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use ipsec_3gpp::address::AddressError;
use ipsec_3gpp::algorithm::Encryption;
use ipsec_3gpp::key::KeyError;
use ipsec_3gpp::negotiation::pcscf::{self, Sm1, Sm6MakeError, Sm7, Sm7Error};
use ipsec_3gpp::negotiation::ue::{self, OfferError, Sm6Error};
use ipsec_3gpp::negotiation::{Refusal, SecAgree, SipStatus};
use ipsec_3gpp::policy::{ClientOrder, OfferVerdict, PolicyError, Reason, ServerList, SuiteVerdict};
use ipsec_3gpp::sa::{Endpoint, Side};
use ipsec_3gpp::sec_agree::{Difference, Mechanism, MechanismList, Quirk, Quirks, SecurityClient, Style};
use ipsec_3gpp::setup::{PortPair, Setup, SetupError};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Policy, Sad, Suite};
use proptest::prelude::*;
use subtle::ConstantTimeEq;
use support::{CK, IK, addresses, port, setup, spi, udp};

fn policy(suites: &[Suite], confidentiality: Confidentiality) -> Policy {
    Policy::new(suites, confidentiality).unwrap()
}

fn all() -> Policy {
    policy(
        &[
            Suite::HMAC_SHA_1_96_AES_CBC,
            Suite::HMAC_MD5_96_AES_CBC,
            Suite::HMAC_SHA_1_96_DES_EDE3_CBC,
            Suite::HMAC_MD5_96_DES_EDE3_CBC,
            Suite::HMAC_SHA_1_96_NULL,
            Suite::HMAC_MD5_96_NULL,
        ],
        Confidentiality::Offered,
    )
}

fn only(suite: Suite) -> Policy {
    let encrypts = suite.encryption() != Encryption::Null;
    policy(&[suite], if encrypts { Confidentiality::Required } else { Confidentiality::LeftToAccess })
}

fn ue_setup() -> Setup {
    setup(1001, 1002, 40001, 40002)
}

fn pcscf_setup() -> Setup {
    setup(2001, 2002, 50001, 50002)
}

fn keys() -> (Ck, Ik) {
    (Ck::new(CK), Ik::new(IK))
}

fn sm1<'a>(security_client: &'a [&'a str]) -> Sm1<'a> {
    let (ue, pcscf) = addresses(true);
    Sm1 { ue, pcscf, scope: 0, sec_agree: SecAgree::Present, security_client }
}

fn ue_offer(policy: &Policy) -> ue::Offer {
    let (ue, pcscf) = addresses(true);
    ue::Offer::new(policy, Endpoint { address: ue, setup: ue_setup() }, pcscf).unwrap()
}

fn challenge(policy: &Policy, security_client: &[&str]) -> pcscf::Challenge {
    let (ck, ik) = keys();
    pcscf::Offer::receive(policy, &sm1(security_client)).unwrap().challenge(pcscf_setup(), &ck, &ik).unwrap()
}

/// What both texts of SM7 are in a set-up that goes well, and the challenge that awaits them.
fn before_sm7() -> (pcscf::Challenge, String, String) {
    let offer = ue_offer(&all());
    let client = offer.security_client().emit(&Style::IOS);
    let challenge = challenge(&all(), &[&client]);
    let verify = challenge.security_server().emit(&Style::KAMAILIO);
    (challenge, client, verify)
}

#[test]
fn both_sides_agree_and_their_sas_carry_traffic() {
    let (ck, ik) = keys();
    for suite in Suite::ALL {
        for (name, style) in Style::NAMED {
            let offer = ue_offer(&only(suite));
            let client = offer.security_client().emit(&style);
            let challenge = challenge(&only(suite), &[&client]);
            let server = challenge.security_server().emit(&style);
            let answer = offer.receive_sm6(&[&server], &ck, &ik).unwrap();
            let mut ue_sad = Sad::new();
            ue_sad.add_set(answer.set(), Side::Ue).unwrap();
            let verify: Vec<_> = answer.security_verify().collect();
            assert_eq!(verify, [server.as_str()], "word by word");
            let client = answer.security_client().emit(&style);
            let sm7 = Sm7 { over: spi(2002), security_client: &[&client], security_verify: &verify };
            let response = challenge.receive_sm7(&sm7).unwrap_or_else(|error| panic!("{name}: {error}"));
            let protection = response.protection();
            assert!(protection.integrity());
            assert_eq!(protection.confidentiality(), suite.encryption() != Encryption::Null);
            let (at_pcscf, at_ue) = (response.succeeded(), answer.confirmed());
            assert_eq!(at_pcscf.suite(), suite);
            assert_eq!(at_pcscf.ends(), at_ue.set.ends());
            assert!(bool::from(at_pcscf.keys().ct_eq(at_ue.set.keys())));
            let mut pcscf_sad = Sad::new();
            pcscf_sad.add_set(&at_pcscf, Side::Pcscf).unwrap();
            let (ue, pcscf) = addresses(true);
            let plain = udp((ue, 40001), (pcscf, 50002), b"INVITE");
            let (mut packet, mut out) = ([0; 200], [0; 200]);
            let range = ue_sad.seal(&plain, &mut packet).unwrap().range;
            let arrived = pcscf_sad.open(&packet[range], &mut out).unwrap();
            assert_eq!(out[arrived.opened.range], plain);
        }
    }
}

#[test]
fn sm6_has_the_whole_list_whatever_the_ue_offered() {
    // A Release 5 UE at a P-CSCF that encrypts where it can: its encryption algorithms are listed
    // all the same.
    let release5 = policy(&[Suite::HMAC_SHA_1_96_NULL], Confidentiality::LeftToAccess);
    let client = ue_offer(&release5).security_client().to_string();
    let challenge = challenge(&all(), &[&client]);
    let server = challenge.security_server().to_string();
    assert_eq!(challenge.set().suite(), Suite::HMAC_SHA_1_96_NULL);
    let places: Vec<_> = [
        "q=0.9;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=aes-cbc",
        "q=0.8;",
        "q=0.7;",
        "ealg=des-ede3-cbc",
        "q=0.5;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=null",
        "q=0.4;",
    ]
    .map(|part| server.find(part).unwrap_or_else(|| panic!("{part} in {server}")))
    .to_vec();
    assert!(places[0] < places[1] && places[1] < places[2] && places[2] < places[4] && places[4] < places[5]);
    // One pair of SPIs and of ports for all.
    assert_eq!(server.matches("spi-c=2001;spi-s=2002;port-c=50001;port-s=50002").count(), 6);
    // A P-CSCF that leaves confidentiality to the access network lists none.
    let left = policy(&[Suite::HMAC_SHA_1_96_NULL, Suite::HMAC_MD5_96_NULL], Confidentiality::LeftToAccess);
    let server = left.server_list(pcscf_setup()).to_string();
    assert!(!server.contains("cbc"), "{server}");
    // The refusal's list has neither SPIs nor ports.
    assert_eq!(
        left.refusal_list().emit(&Style::QUALCOMM),
        "ipsec-3gpp; alg=hmac-sha-1-96; ealg=null; q=0.9,ipsec-3gpp; alg=hmac-md5-96; ealg=null; q=0.8"
    );
}

#[test]
fn sm1_is_refused_with_the_status_of_its_fault() {
    let offered = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=null;spi-c=1001;spi-s=1002;port-c=4001;port-s=4002";
    let required = policy(&[Suite::HMAC_SHA_1_96_AES_CBC], Confidentiality::Required);
    let refuse = |policy: &Policy, sm1: &Sm1<'_>| pcscf::Offer::receive(policy, sm1).unwrap_err();

    let nothing = refuse(&all(), &Sm1 { sec_agree: SecAgree::Absent, ..sm1(&[]) });
    assert_eq!(
        (nothing.to_string().as_str(), nothing.status()),
        ("no Security-Client", SipStatus::EXTENSION_REQUIRED)
    );
    let header = refuse(&all(), &sm1(&[]));
    assert_eq!(header.status().to_string(), "494 Security Agreement Required");
    let unreadable = refuse(&all(), &sm1(&[" "]));
    assert_eq!(
        (unreadable.to_string().as_str(), unreadable.status().code()),
        ("Security-Client: empty header", 494)
    );

    // A Release 5 UE where confidentiality is required.
    let release5 = refuse(&required, &sm1(&[offered]));
    assert!(matches!(release5, Refusal::ConfidentialityRequired(_)));
    assert_eq!(release5.status(), SipStatus::SECURITY_AGREEMENT_REQUIRED);
    assert_eq!(
        release5.selection().unwrap().suites(),
        [(Suite::HMAC_SHA_1_96_AES_CBC, SuiteVerdict::NotOffered)]
    );
    assert_eq!(
        release5.selection().unwrap().offers(),
        [OfferVerdict::PassedOver(Reason::NotInPolicy(Suite::HMAC_SHA_1_96_NULL))]
    );

    // Offers that cannot be used, each with its reason.
    for (text, reason) in [
        ("tls;q=0.1", "not ipsec-3gpp"),
        ("ipsec-3gpp", "no alg"),
        ("ipsec-3gpp;alg=hmac-sha-1-96", "no spi-c"),
        (&offered.replace("port-s=4002", ""), "invalid mechanism from octet 73 on"),
        (&offered.replace(";port-s=4002", ""), "no port-s"),
        (&offered.replace("hmac-sha-1-96", "hmac-sha-256-128"), "alg hmac-sha-256-128 is not implemented"),
        (&offered.replace("ealg=null", "ealg=aes-ctr"), "ealg aes-ctr is not implemented"),
        // Annex H: each of the two alone.
        (
            &offered.replace("hmac-sha-1-96", "null"),
            "alg null with ealg null: alg null goes with ealg aes-gcm alone",
        ),
        (
            &offered.replace("hmac-sha-1-96;ealg=null", "null;ealg=aes-cbc"),
            "alg null with ealg aes-cbc: alg null goes with ealg aes-gcm alone",
        ),
        (
            &offered.replace("ealg=null", "ealg=aes-gcm"),
            "alg hmac-sha-1-96 with ealg aes-gcm: ealg aes-gcm goes with alg null alone",
        ),
        (
            &offered.replace("hmac-sha-1-96;ealg=null", "aes-gmac;ealg=aes-cbc"),
            "alg aes-gmac with ealg aes-cbc: alg aes-gmac goes with no ealg but null",
        ),
        (
            &offered.replace("hmac-sha-1-96;ealg=null", "aes-gmac;ealg=aes-gcm"),
            "alg aes-gmac with ealg aes-gcm: alg aes-gmac goes with no ealg but null",
        ),
        (&offered.replace("hmac-sha-1-96", "aes-gmac"), "aes-gmac+null is not in the policy"),
        (&offered.replace("hmac-sha-1-96;ealg=null", "aes-gmac"), "aes-gmac+null is not in the policy"),
        (
            &offered.replace("hmac-sha-1-96;ealg=null", "null;ealg=aes-gcm"),
            "null+aes-gcm is not in the policy",
        ),
        (&format!("{offered};prot=ah"), "prot ah is not allowed in IMS"),
        (&format!("{offered};mod=UDP-enc-tun"), "mod UDP-enc-tun is not supported"),
        (&format!("{offered};mediasec"), "a mediasec mechanism"),
        (&offered.replace("1002", "1001"), "spi-c and spi-s are the same"),
        (&offered.replace("1001", "200"), "an SPI of 1 to 255 is not tolerated"),
        (&offered.replace("1001", "0"), "spi-c: 0 is not an SPI"),
        (&offered.replace("hmac-sha-1-96", "hmac-md5-96"), "hmac-md5-96+null is not in the policy"),
    ] {
        let sha_1 =
            policy(&[Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL], Confidentiality::Offered);
        let refusal = refuse(&sha_1, &sm1(&[text]));
        let Refusal::Unusable(selection) = &refusal else { panic!("{text}: {refusal}") };
        let [OfferVerdict::PassedOver(found)] = selection.offers() else { panic!("{selection:?}") };
        assert_eq!((found.to_string().as_str(), refusal.status().code()), (reason, 494), "{text}");
    }
    // One port for both is legal at one end.
    assert!(pcscf::Offer::receive(&all(), &sm1(&[&offered.replace("4002", "4001")])).is_ok());
    // Two offers with SPIs of their own: those of the one that is chosen are those of the list.
    let two = format!("{}, {offered}", offered.replace("1001", "1003").replace("null", "aes-cbc"));
    let list = SecurityClient::parse(&two).unwrap();
    let null = policy(&[Suite::HMAC_SHA_1_96_NULL], Confidentiality::LeftToAccess).select_for(&list);
    assert_eq!(null.chosen().map(|choice| choice.index), Some(1));
    let both = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
    let both = policy(&both, Confidentiality::Offered).select_for(&list);
    let other = OfferVerdict::PassedOver(Reason::OtherSetup(Suite::HMAC_SHA_1_96_NULL));
    assert_eq!((both.chosen().map(|choice| choice.index), &both.offers()[1]), (Some(0), &other));
    assert_eq!(both.suites()[1], (Suite::HMAC_SHA_1_96_NULL, SuiteVerdict::Unusable { index: 1 }));
    // Encryption was offered, though with other SPIs than the rest: the reason is not that there
    // was none.
    let required = policy(&[Suite::HMAC_SHA_1_96_AES_CBC], Confidentiality::Required);
    let reversed = format!("{offered}, {}", offered.replace("1001", "1003").replace("null", "aes-cbc"));
    assert_eq!(
        required.select_for(&SecurityClient::parse(&reversed).unwrap()).chosen().map(|c| c.index),
        Some(1)
    );
}

#[test]
fn quirks_are_tolerated_as_the_policy_says() {
    let quirky = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=201;spi-s=202;port-c=5061;port-s=5060";
    let accept = |quirks| pcscf::Offer::receive(&all().with_tolerated(quirks), &sm1(&[quirky])).is_ok();
    assert!(!accept(Quirks::TOLERATED));
    assert!(accept(Quirks::TOLERATED.with(Quirk::ReservedSpi)));
    for needed in [Quirk::ShortSpi, Quirk::SipPort, Quirk::ReservedSpi] {
        let all = Quirk::ALL.into_iter().filter(|quirk| *quirk != needed).fold(Quirks::NONE, Quirks::with);
        assert!(!accept(all), "{needed}");
    }
}

#[test]
fn the_pcscf_never_gets_an_spi_that_the_ue_sent() {
    let offered = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1001;spi-s=1002;port-c=4001;port-s=4002, \
                   ipsec-3gpp;alg=hmac-md5-96;spi-c=1003;spi-s=1004;port-c=4001;port-s=4002";
    let (ck, ik) = keys();
    let offer = pcscf::Offer::receive(&all(), &sm1(&[offered])).unwrap();
    assert_eq!(offer.spis(), [1001, 1002, 1003, 1004].map(spi));
    let mut offer = Box::new(offer);
    for taken in [1001, 1002, 1003, 1004] {
        for setup in [setup(taken, 2002, 1, 2), setup(2001, taken, 1, 2)] {
            let rejected = offer.challenge(setup, &ck, &ik).unwrap_err();
            assert_eq!(rejected.error, Sm6MakeError::SpiOfUe(spi(taken)));
            offer = rejected.state;
        }
    }
    let rejected = offer.challenge(setup(2001, 2001, 1, 2), &ck, &ik).unwrap_err();
    assert_eq!(rejected.error, Sm6MakeError::Setup(SetupError::EqualSpis(spi(2001))));
    assert_eq!(rejected.error.status().code(), 500);
    assert!(rejected.state.challenge(pcscf_setup(), &ck, &ik).is_ok(), "nothing was lost");

    let des = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=des-ede3-cbc;spi-c=1001;spi-s=1002;port-c=4001;port-s=4002";
    let offer = pcscf::Offer::receive(&all(), &sm1(&[des])).unwrap();
    let rejected = offer.challenge(pcscf_setup(), &Ck::new([1; 16]), &ik).unwrap_err();
    assert_eq!(rejected.error, Sm6MakeError::Keys(KeyError::EqualDesKeys));
}

#[test]
fn sm7_that_differs_in_any_value_or_in_order_ends_the_registration() {
    let (_, client, verify) = before_sm7();
    let mut changes: Vec<(String, String, &str)> = Vec::new();
    for (header, text) in [("Security-Verify", &verify), ("Security-Client", &client)] {
        let mut change = |changed: String| {
            changes.push(match header {
                "Security-Verify" => (client.clone(), changed, header),
                _ => (changed, verify.clone(), header),
            });
        };
        // Every digit and every letter, one at a time: another value, or no value at all.
        for (at, letter) in text.char_indices() {
            let other = match letter {
                '9' => '8',
                '0'..='8' => char::from(letter as u8 + 1),
                'a'..='y' => char::from(letter as u8 + 1),
                _ => continue,
            };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            change(changed);
        }
        let mut mechanisms: Vec<_> = text.split(',').map(str::trim).collect();
        change(mechanisms[1..].join(","));
        change([&mechanisms[..], &mechanisms[..1]].concat().join(","));
        change([&mechanisms[..], &["tls"]].concat().join(","));
        change(format!("{text};x=y"));
        mechanisms.swap(0, 1);
        change(mechanisms.join(","));
    }
    assert!(changes.len() > 1000);
    for (client, verify, header) in changes {
        let (challenge, ..) = before_sm7();
        let sm7 = Sm7 { over: spi(2002), security_client: &[&client], security_verify: &[&verify] };
        let Err(Sm7Error::Refused(refusal)) = challenge.receive_sm7(&sm7) else {
            panic!("{client}\n{verify}")
        };
        let Refusal::Mismatch { header: found, .. } = refusal else { panic!("{refusal}") };
        assert_eq!((found, refusal.status()), (header, SipStatus::SECURITY_AGREEMENT_REQUIRED));
    }
}

#[test]
fn sm7_without_its_headers_is_refused_and_one_over_another_sa_is_discarded() {
    let (ck, client, verify) = before_sm7();
    let sm7 = Sm7 { over: spi(1001), security_client: &[&client], security_verify: &[&verify] };
    let Err(Sm7Error::WrongSa { challenge, over }) = ck.receive_sm7(&sm7) else { panic!() };
    assert_eq!(over, spi(1001));
    assert!(challenge.receive_sm7(&Sm7 { over: spi(2001), ..sm7 }).is_ok(), "the challenge stands");
    for (client, verify, text) in [
        (&[][..], &[verify.as_str()][..], "no Security-Client"),
        (&[client.as_str()], &[], "no Security-Verify"),
        (&[client.as_str()], &[""], "Security-Verify: empty header"),
    ] {
        let (challenge, ..) = before_sm7();
        let sm7 = Sm7 { over: spi(2002), security_client: client, security_verify: verify };
        let Err(Sm7Error::Refused(refusal)) = challenge.receive_sm7(&sm7) else { panic!() };
        assert_eq!((refusal.to_string().as_str(), refusal.status().code()), (text, 494));
    }
}

#[test]
fn what_was_issued_counts_and_not_what_the_configuration_says_now() {
    let (ck, ik) = keys();
    let mut changing = all();
    let client = ue_offer(&all()).security_client().to_string();
    let offer = pcscf::Offer::receive(&changing, &sm1(&[&client])).unwrap();
    changing = only(Suite::HMAC_MD5_96_NULL);
    let challenge = offer.challenge(pcscf_setup(), &ck, &ik).unwrap();
    let issued = challenge.security_server().to_string();
    assert_ne!(issued, changing.server_list(pcscf_setup()).to_string());
    let sm7 = Sm7 { over: spi(2002), security_client: &[&client], security_verify: &[&issued] };
    assert!(challenge.receive_sm7(&sm7).is_ok());
}

#[test]
fn a_ue_without_a_usable_security_server_keeps_what_it_had() {
    let (ck, ik) = keys();
    let good = "ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;ealg=null;spi-c=2001;spi-s=2002;port-c=5001;port-s=5002";
    let mut offer = Box::new(ue_offer(&all()));
    for (rows, reason) in [
        (&[][..], "no Security-Server"),
        (&[""][..], "Security-Server: empty header"),
        (&["ipsec-3gpp ; q=0.1"], "no usable mechanism in the peer's list: mechanism 0: no alg"),
        (
            &["ipsec-3gpp;alg=hmac-md5-96;ealg=null;spi-c=1;spi-s=0;port-c=33174;port-s=6000"],
            "no usable mechanism in the peer's list: mechanism 0: spi-s: 0 is not an SPI",
        ),
        (&[&good.replace("2001", "1002")], "SPI 1002 names two SAs of the set"),
    ] {
        let rejected = offer.receive_sm6(rows, &ck, &ik).unwrap_err();
        assert_eq!(rejected.error.to_string(), reason);
        offer = rejected.state;
    }
    let rejected =
        offer.receive_sm6(&[&good.replace("null", "des-ede3-cbc")], &Ck::new([0; 16]), &ik).unwrap_err();
    assert_eq!(rejected.error, Sm6Error::Keys(KeyError::EqualDesKeys));
    // Rows are mirrored word by word, two as two.
    let rows = ["tls;q=0.1", good];
    let answer = rejected.state.receive_sm6(&rows, &ck, &ik).unwrap();
    assert_eq!(answer.security_verify().collect::<Vec<_>>(), rows);

    // A Release 5 P-CSCF where the UE requires confidentiality.
    let rejected = ue_offer(&only(Suite::HMAC_SHA_1_96_AES_CBC)).receive_sm6(&[good], &ck, &ik).unwrap_err();
    assert!(matches!(rejected.error, Sm6Error::Refused(Refusal::ConfidentialityRequired(_))));
}

#[test]
fn sm1_of_ones_own_keeps_to_the_rules_of_clause_7_1() {
    let (ue, pcscf) = addresses(true);
    let offer = |setup| ue::Offer::new(&all(), Endpoint { address: ue, setup }, pcscf).map(drop);
    assert_eq!(offer(setup(1001, 1001, 1, 2)), Err(SetupError::EqualSpis(spi(1001)).into()));
    assert_eq!(offer(setup(1001, 1002, 2, 2)), Err(SetupError::EqualPorts(port(2)).into()));
    assert_eq!(offer(setup(1001, 1002, 5060, 2)), Err(SetupError::SipPort(port(5060)).into()));
    assert_eq!(offer(setup(1001, 1002, 2, 5061)), Err(SetupError::SipPort(port(5061)).into()));
    assert!(PortPair::new(5060, 2).is_err() && PortPair::new(2, 0).is_err());
    let other_family =
        ue::Offer::new(&all(), Endpoint { address: ue, setup: ue_setup() }, addresses(false).1);
    assert!(matches!(other_family, Err(OfferError::Address(AddressError::Families { .. }))));
}

#[test]
fn a_list_has_room_for_others_up_to_the_limit_of_mechanisms() {
    let policy = || policy(&[Suite::HMAC_SHA_1_96_NULL], Confidentiality::LeftToAccess);
    let others = |count: usize| {
        let rows: Vec<String> = (0..count).map(|n| format!("other{n}")).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        ipsec_3gpp::sec_agree::MechanismList::parse_rows(rows).unwrap()
    };
    assert!(policy().with_others(others(31)).is_ok());
    assert_eq!(policy().with_others(others(32)).err(), Some(PolicyError::TooMany(33)));
}

#[test]
fn a_selection_says_what_was_chosen() {
    let list = ipsec_3gpp::sec_agree::SecurityClient::parse_rows([
        "tls, ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100",
    ]);
    let selection = all().select_for(&list.unwrap());
    assert_eq!(selection.to_string(), "mechanism 1: hmac-sha-1-96+null");
}

#[test]
fn policies_that_contradict_themselves_are_refused() {
    use Confidentiality::{LeftToAccess, Offered, Required};
    let (aes, null) = (Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_MD5_96_NULL);
    for (suites, confidentiality, error) in [
        (&[][..], Offered, PolicyError::Empty),
        (&[aes, aes], Offered, PolicyError::Duplicate(aes)),
        (&[null, aes], Offered, PolicyError::NullAboveEncryption { without: null, with: aes }),
        (&[aes, null], Required, PolicyError::NullWhereRequired(null)),
        (&[aes, null], LeftToAccess, PolicyError::EncryptionWhereLeftToAccess(aes)),
        (&[null], Offered, PolicyError::NothingToOffer),
    ] {
        assert_eq!(Policy::new(suites, confidentiality), Err(error));
    }
}

#[test]
fn differences_say_where() {
    let (challenge, client, verify) = before_sm7();
    let first = verify.split(',').next().unwrap();
    let sm7 = Sm7 { over: spi(2002), security_client: &[&client], security_verify: &[first] };
    let Err(Sm7Error::Refused(Refusal::Mismatch { difference, .. })) = challenge.receive_sm7(&sm7) else {
        panic!()
    };
    assert_eq!(difference, Difference::Length { issued: 6, came_back: 1 });
}

#[test]
fn sm7_repeats_security_client_in_whatever_form_and_with_the_same_values() {
    let rows = |client: &str| client.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let (_, client, verify) = before_sm7();
    let swapped = {
        let mut parts: Vec<&str> = client.split(',').collect();
        parts.swap(0, 1);
        parts.join(",")
    };
    for (repeated, accepted) in [
        // Letter by letter; in another style; in rows; with what is the default left out.
        (vec![client.clone()], true),
        (vec![SecurityClient::parse(&client).unwrap().emit(&Style::KAMAILIO)], true),
        (rows(&SecurityClient::parse(&client).unwrap().to_string()), true),
        (vec![client.replace("mod=trans;", "")], true),
        // Another order, one more, one fewer, another value, nothing.
        (vec![swapped], false),
        (vec![format!("{client},tls")], false),
        (vec![client.rsplit_once(',').unwrap().0.to_owned()], false),
        (vec![client.replace("40001", "40003")], false),
        (vec![client.clone(), client.clone()], false),
        (vec![" ".to_owned()], false),
        (vec![], false),
    ] {
        let (challenge, ..) = before_sm7();
        let repeated: Vec<&str> = repeated.iter().map(String::as_str).collect();
        let sm7 = Sm7 { over: spi(2002), security_client: &repeated, security_verify: &[&verify] };
        assert_eq!(challenge.receive_sm7(&sm7).is_ok(), accepted, "{repeated:?}");
    }
    // Rows of SM1 that are one row of SM7.
    let (ck, ik) = keys();
    let two = client.split_once(',').unwrap();
    let offer = pcscf::Offer::receive(&all(), &sm1(&[two.0, two.1])).unwrap();
    assert_eq!(offer.spis(), [spi(1001), spi(1002)]);
    let challenge = offer.challenge(pcscf_setup(), &ck, &ik).unwrap();
    let verify = challenge.security_server().to_string();
    let sm7 = Sm7 { over: spi(2002), security_client: &[&client], security_verify: &[&verify] };
    assert!(challenge.receive_sm7(&sm7).is_ok());
}

#[test]
fn every_spi_that_the_ue_sent_is_kept_and_none_twice() {
    let list = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1001;spi-s=1002;port-c=1;port-s=2,\
                ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1003;spi-s=1001;port-c=1;port-s=2,\
                ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1004;spi-s=0;port-c=1;port-s=2,tls;spi-c=1005";
    let offer = pcscf::Offer::receive(&all(), &sm1(&[list])).unwrap();
    let mut spis: Vec<u32> = offer.spis().iter().map(|spi| spi.value()).collect();
    spis.sort_unstable();
    assert_eq!(spis, [1001, 1002, 1003, 1004]);
}

#[test]
fn a_list_of_the_callers_offers_what_the_policy_has_and_nothing_else() {
    let (ue, pcscf) = addresses(true);
    let sha_1 = policy(&[Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL], Confidentiality::Offered);
    let list = sha_1.client_list(ue_setup()).to_string();
    let offer = |text: &str| {
        let list = SecurityClient::parse(text).unwrap();
        ue::Offer::from_list(&sha_1, list, ue, pcscf).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(offer(&list), Ok(()));
    assert_eq!(offer(&format!("{list}, tls;q=0.1")), Ok(()), "another mechanism");
    // The P-CSCF would take MD5, the UE SHA-1, and SM7 would vanish.
    let md5 = list.split_once(',').unwrap().0.replace("sha-1", "md5");
    for (text, error) in [
        (
            format!("{md5},{list}"),
            "mechanism 0 of the list offers what the UE would not use: hmac-md5-96+aes-cbc is not in the policy",
        ),
        (
            format!("{list},{}", list.split_once(',').unwrap().0.replace("1001", "1003")),
            "mechanism 2 of the list offers what the UE would not use: its SPIs or ports differ from those of \
             the rest of the list",
        ),
        (
            list.split_once(',').unwrap().0.to_owned(),
            "hmac-sha-1-96+null is in the policy but not in the list",
        ),
        (
            format!(
                "{},{}",
                list.split_once(',').unwrap().0,
                list.split_once(',').unwrap().1.replace("esp", "ah")
            ),
            "hmac-sha-1-96+null is in the policy but not in the list",
        ),
    ] {
        assert_eq!(offer(&text), Err(error.to_owned()));
    }
    // In a form that cannot be used, with the reason.
    let reserved = list.replace("1001", "200");
    let error = "hmac-sha-1-96+aes-cbc is in the policy, and unusable in the list: an SPI of 1 to 255 is not tolerated";
    assert_eq!(offer(&reserved), Err(error.to_owned()));
    // As some phones do, if the list says so.
    assert_eq!(offer(&list.replace("40001", "5061").replace("40002", "5060")), Ok(()));
    let strict = sha_1.clone().with_tolerated(Quirks::NONE.with(Quirk::ShortSpi));
    let sip = SecurityClient::parse(&list.replace("40001", "5061")).unwrap();
    assert!(ue::Offer::from_list(&strict, sip, ue, pcscf).is_err());
}

#[test]
fn a_peer_that_takes_the_last_suite_gets_the_best_one_where_the_policy_says_so() {
    let last = |policy: &Policy| {
        let list = policy.client_list(ue_setup());
        let Some(Mechanism::Ipsec3gpp(last)) = list.mechanisms().last() else { panic!() };
        last.suite().unwrap()
    };
    assert_eq!(last(&all()), Suite::HMAC_MD5_96_NULL);
    let reversed = all().with_client_order(ClientOrder::BestLast);
    assert_eq!(last(&reversed), Suite::HMAC_SHA_1_96_AES_CBC);
    // Our own P-CSCF goes by its own list.
    let client = reversed.client_list(ue_setup()).to_string();
    assert_eq!(challenge(&all(), &[&client]).set().suite(), Suite::HMAC_SHA_1_96_AES_CBC);
}

#[test]
fn others_beside_the_suites_are_others() {
    let others = |text| all().with_others(MechanismList::parse_rows([text]).unwrap()).map(drop);
    assert_eq!(others("sdes-srtp;mediasec, tls"), Ok(()));
    assert_eq!(others("tls, ipsec-3gpp;alg=hmac-sha-1-96"), Err(PolicyError::NotOther(1)));
    assert_eq!(others("tls;;"), Err(PolicyError::NotOther(0)));
    let many = vec!["tls"; 27].join(",");
    assert_eq!(others(&many), Err(PolicyError::TooMany(33)));
    let chosen = all().with_server_list(ServerList::ChosenAlone);
    let offer =
        pcscf::Offer::receive(&chosen, &sm1(&[&ue_offer(&all()).security_client().to_string()])).unwrap();
    let (ck, ik) = keys();
    let alone = offer.challenge(pcscf_setup(), &ck, &ik).unwrap().security_server().to_string();
    assert!(alone.contains("aes-cbc") && !alone.contains(','), "{alone}");
    // What a refusal lists is the whole.
    assert_eq!(chosen.refusal_list().mechanisms().len(), 6);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_in_any_header_makes_a_side_panic(texts in proptest::collection::vec("[ -~]{0,60}", 0..4)) {
        let rows: Vec<_> = texts.iter().map(String::as_str).collect();
        let (ck, ik) = keys();
        let _ = pcscf::Offer::receive(&all(), &sm1(&rows));
        let _ = ue_offer(&all()).receive_sm6(&rows, &ck, &ik);
        let (challenge, ..) = before_sm7();
        let refused = challenge.receive_sm7(&Sm7 { over: spi(2001), security_client: &rows, security_verify: &rows });
        prop_assert!(refused.is_err());
    }
}

/// The presets, and what each does with a UE of every release (TS 33.203 Annex H).
#[test]
fn presets_choose_by_release() {
    let presets = [
        ("Release 5", Policy::release_5()),
        ("Release 6", Policy::release_6()),
        ("Release 13", Policy::release_13()),
        ("everything", Policy::interoperable()),
    ];
    for (name, policy) in &presets {
        let again = Policy::new(policy.suites(), policy.confidentiality()).unwrap();
        assert_eq!(&again, policy, "{name}");
        let removed = policy.suites().iter().any(|suite| suite.is_removed());
        assert_eq!(removed, *name != "Release 13", "{name}");
    }
    assert_eq!(Policy::interoperable().suites().len(), Suite::ALL.len());
    let offer = |alg: &str| format!("ipsec-3gpp;{alg};spi-c=1001;spi-s=1002;port-c=4001;port-s=4002");
    for (offers, chosen) in [
        // One that offers nothing but what Release 13 brought, `ealg` spelt out or not.
        (&["alg=null;ealg=aes-gcm"] as &[&str], ["-", "-", "null+aes-gcm", "null+aes-gcm"]),
        (&["alg=aes-gmac"], ["-", "-", "aes-gmac+null", "aes-gmac+null"]),
        (&["alg=aes-gmac;ealg=null"], ["-", "-", "aes-gmac+null", "aes-gmac+null"]),
        (&["alg=hmac-md5-96"], ["hmac-md5-96+null", "hmac-md5-96+null", "-", "hmac-md5-96+null"]),
        (
            &["alg=hmac-md5-96;ealg=des-ede3-cbc"],
            ["-", "hmac-md5-96+des-ede3-cbc", "-", "hmac-md5-96+des-ede3-cbc"],
        ),
        // Mixed: the order is the policy's.
        (
            &["alg=hmac-sha-1-96", "alg=aes-gmac", "alg=hmac-sha-1-96;ealg=aes-cbc", "alg=null;ealg=aes-gcm"],
            ["hmac-sha-1-96+null", "hmac-sha-1-96+aes-cbc", "null+aes-gcm", "null+aes-gcm"],
        ),
        (
            &["alg=hmac-md5-96", "alg=aes-gmac"],
            ["hmac-md5-96+null", "hmac-md5-96+null", "aes-gmac+null", "aes-gmac+null"],
        ),
    ] {
        let list: Vec<_> = offers.iter().map(|alg| offer(alg)).collect();
        let client = SecurityClient::parse(&list.join(", ")).unwrap();
        for ((name, policy), chosen) in presets.iter().zip(chosen) {
            let selection = policy.select_for(&client);
            let found = selection.chosen().map_or("-".into(), |choice| choice.suite.to_string());
            assert_eq!(found, chosen, "{name}: {offers:?}");
        }
    }
    let facts = Suite::ALL.map(|suite| (suite.release(), suite.encrypts(), suite.is_removed()));
    use ipsec_3gpp::algorithm::Release::{Release5, Release6, Release13};
    assert_eq!(
        facts,
        [
            (Release5, false, true),
            (Release6, true, true),
            (Release6, true, true),
            (Release5, false, false),
            (Release6, true, true),
            (Release6, true, false),
            (Release13, false, false),
            (Release13, true, false),
        ]
    );
}

//! Header values and selection against random lists and models.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use ipsec_3gpp::policy::SuiteVerdict;
use ipsec_3gpp::sec_agree::{MechanismList, SecurityClient, SecurityServer, Style};
use ipsec_3gpp::{Confidentiality, Policy, Suite};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// A mechanism of `ipsec-3gpp` as text: any subset of its parameters in any order, some of them
/// wrong.
fn ipsec() -> impl Strategy<Value = String> {
    let parameter = prop_oneof![
        select(vec!["alg=hmac-md5-96", "alg=HMAC-SHA-1-96", "alg=aes-gmac", "alg=null", "alg"])
            .prop_map(String::from),
        select(vec!["ealg=aes-cbc", "ealg=des-ede3-cbc", "ealg=null", "ealg=aes-gcm"]).prop_map(String::from),
        select(vec!["prot=esp", "prot=ah", "mod=trans", "mod=tun", "mod=UDP-enc-tun"]).prop_map(String::from),
        (select(vec!["spi-c", "spi-s", "SPI-C"]), any::<u32>())
            .prop_map(|(name, spi)| format!("{name}={spi}")),
        (select(vec!["spi-c", "spi-s"]), any::<u32>()).prop_map(|(name, spi)| format!("{name}={spi:010}")),
        (select(vec!["port-c", "port-s"]), any::<u16>()).prop_map(|(name, port)| format!("{name}={port}")),
        (0..=1000_u16).prop_map(|q| format!("q={}.{:03}", q / 1000, q % 1000)),
        "[a-z]{1,5}(=([a-z0-9.]{1,5}|\"[ -!#-\\[\\]-~]{0,8}\"))?",
    ];
    (proptest::collection::vec(parameter, 0..10), select(vec![";", " ; ", "; "])).prop_map(
        |(parameters, semicolon)| {
            parameters.iter().fold("ipsec-3gpp".to_owned(), |text, p| text + semicolon + p)
        },
    )
}

fn list_text() -> impl Strategy<Value = String> {
    let other = "(tls|digest|ipsec-ike|[a-z]{1,8})(;q=0\\.[0-9]{1,3})?(;[a-z]{1,3}=[a-z0-9]{1,4})?";
    let mechanism = prop_oneof![4 => ipsec(), 1 => other.prop_map(String::from), 1 => "[ -~]{0,20}".prop_map(String::from)];
    proptest::collection::vec(mechanism, 1..8).prop_map(|list| list.join(","))
}

fn policy() -> impl Strategy<Value = Policy> {
    let suites = subsequence(Suite::ALL.to_vec(), 1..=6).prop_shuffle();
    (suites, select(vec![Confidentiality::Required, Confidentiality::Offered, Confidentiality::LeftToAccess]))
        .prop_filter_map("contradicts itself", |(suites, confidentiality)| {
            Policy::new(&suites, confidentiality).ok()
        })
}

/// A list of complete offers, some of which have SPIs of their own.
fn offers() -> impl Strategy<Value = Vec<(Suite, u32, Option<u16>)>> {
    let spi = prop_oneof![9 => Just(1000_u32), 1 => 1001..1003_u32];
    proptest::collection::vec((select(Suite::ALL.to_vec()), spi, proptest::option::of(0..=1000_u16)), 1..10)
}

fn text_of(offers: &[(Suite, u32, Option<u16>)]) -> String {
    let one = |(suite, spi, q): &(Suite, u32, Option<u16>)| {
        let q = q.map_or(String::new(), |q| format!(";q={}.{:03}", q / 1000, q % 1000));
        let (alg, ealg) = (suite.integrity().token(), suite.encryption().token());
        format!("ipsec-3gpp;alg={alg};ealg={ealg};spi-c={spi};spi-s=2000;port-c=3000;port-s=4000{q}")
    };
    offers.iter().map(one).collect::<Vec<_>>().join(", ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_emitted_is_parsed_to_the_same_values(text in list_text()) {
        let Ok(list) = MechanismList::parse_rows([text.as_str()]) else { return Ok(()) };
        for (name, style) in Style::NAMED {
            let emitted = list.emit(&style);
            prop_assert_eq!(&MechanismList::parse_rows([emitted.as_str()]).unwrap(), &list, "{}: {}", name, emitted);
        }
    }

    #[test]
    fn a_list_is_the_concatenation_of_its_rows(rows in proptest::collection::vec(ipsec(), 1..6)) {
        let joined = MechanismList::parse_rows([rows.join(" , ").as_str()]).unwrap();
        let apart = MechanismList::parse_rows(rows.iter().map(String::as_str)).unwrap();
        prop_assert_eq!(joined, apart);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*", octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = MechanismList::parse_rows([text.as_str(), &String::from_utf8_lossy(&octets)]);
    }

    #[test]
    fn the_pcscf_takes_the_first_of_its_own_list_that_is_offered(policy in policy(), offers in offers()) {
        let selection = policy.select_for(&SecurityClient::parse(&text_of(&offers)).unwrap());
        // Brute force: every pair, lowest place in the policy first, then lowest place in the
        // offer.
        let pairs = policy.suites().iter().flat_map(|suite| {
            offers.iter().enumerate().filter(move |(_, offer)| offer.0 == *suite)
        });
        let best = pairs.collect::<Vec<_>>().first().map(|(place, offer)| (offer.0, *place));
        prop_assert_eq!(selection.chosen().map(|choice| (choice.suite, choice.index)), best);
        prop_assert_eq!(selection.offers().len(), offers.len());
        prop_assert_eq!(selection.suites().len(), policy.suites().len());
        for (suite, verdict) in selection.suites() {
            let offered = offers.iter().any(|offer| offer.0 == *suite);
            prop_assert_eq!(offered, *verdict != SuiteVerdict::NotOffered);
            prop_assert_eq!(best.map(|best| best.0) == Some(*suite), matches!(verdict, SuiteVerdict::Chosen { .. }));
        }
    }

    #[test]
    fn the_ue_takes_the_highest_q_that_it_supports_and_the_first_of_equals(policy in policy(), offers in offers()) {
        let selection = policy.select_from(&SecurityServer::parse(&text_of(&offers)).unwrap());
        let mut order: Vec<_> = offers.iter().enumerate().collect();
        order.sort_by(|(a_place, a), (b_place, b)| b.2.unwrap_or(1000).cmp(&a.2.unwrap_or(1000)).then(a_place.cmp(b_place)));
        let best = order.iter().find(|(_, offer)| policy.suites().contains(&offer.0));
        prop_assert_eq!(
            selection.chosen().map(|choice| (choice.suite, choice.index)),
            best.map(|(place, offer)| (offer.0, *place))
        );
    }

    #[test]
    fn both_sides_choose_the_same(ue in policy(), pcscf in policy()) {
        let client = ue.client_list(support::setup(1001, 1002, 4001, 4002));
        let server = pcscf.server_list(support::setup(2001, 2002, 5001, 5002));
        let first = pcscf.select_for(&client);
        if let Some(choice) = first.chosen() {
            let second = ue.select_from(&server);
            prop_assert_eq!(second.chosen().map(|choice| choice.suite), Some(choice.suite));
        }
    }

    #[test]
    fn a_policy_ranks_encryption_above_none(suites in proptest::collection::vec(select(Suite::ALL.to_vec()), 0..7)) {
        let encrypted: Vec<_> = suites.iter().map(|suite| suite.encrypts()).collect();
        let ranked = encrypted.is_sorted_by(|above, below| above >= below);
        let distinct = suites.iter().enumerate().all(|(place, suite)| !suites[..place].contains(suite));
        let encrypts = encrypted.contains(&true);
        let valid = !suites.is_empty() && ranked && distinct && encrypts;
        prop_assert_eq!(Policy::new(&suites, Confidentiality::Offered).is_ok(), valid);
        prop_assert_eq!(
            Policy::new(&suites, Confidentiality::Required).is_ok(),
            valid && !encrypted.contains(&false)
        );
        prop_assert_eq!(
            Policy::new(&suites, Confidentiality::LeftToAccess).is_ok(),
            !suites.is_empty() && distinct && !encrypts
        );
    }
}

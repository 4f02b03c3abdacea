//! Header values: those of real phones and networks, those that are malformed, and the limits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use ipsec_3gpp::Suite;
use ipsec_3gpp::sec_agree::{
    Difference, Ipsec3gpp, ListError, MAX_LIST_OCTETS, MAX_MECHANISMS, MAX_PARAMETERS, Mechanism,
    MechanismError, MechanismList, Name, Parameter, Problem, Quirk, Quirks, SecurityClient, SecurityServer,
    SecurityVerify, Style, Value,
};

struct Sample {
    id: &'static str,
    header: &'static str,
    value: &'static str,
}

fn samples() -> Vec<Sample> {
    let lines = include_str!("data/header_samples.tsv").lines().skip(1);
    let samples: Vec<_> = lines
        .map(|line| {
            let columns: Vec<_> = line.split('\t').collect();
            Sample { id: columns[0], header: columns[1], value: columns[4] }
        })
        .collect();
    assert_eq!(samples.len(), 29);
    samples
}

fn sample(id: &str) -> &'static str {
    samples().into_iter().find(|sample| sample.id == id).unwrap_or_else(|| panic!("no sample {id}")).value
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn parameters(parameters: &[Parameter]) -> String {
    let one = |parameter: &Parameter| match &parameter.value {
        Value::Absent => format!(" {}", parameter.name),
        Value::Token(token) => format!(" {}={token}", parameter.name),
        Value::Quoted(text) => format!(" {}=\"{text}\"", parameter.name),
    };
    parameters.iter().map(one).collect()
}

fn describe(mechanism: &Mechanism) -> String {
    let q = or_dash(mechanism.q().map(|q| q.thousandths()));
    match mechanism {
        Mechanism::Ipsec3gpp(offer) => {
            fn name<T: Copy>(name: &Name<T>, token: impl Fn(T) -> &'static str) -> String {
                match name {
                    Name::Known(known) => token(*known).to_owned(),
                    Name::Unknown(token) => token.to_string(),
                }
            }
            format!(
                "ipsec-3gpp q={q} alg={} prot={} mod={} ealg={} spi-c={} spi-s={} port-c={} port-s={}{}",
                or_dash(offer.alg.as_ref().map(|alg| name(alg, |alg| alg.token()))),
                or_dash(offer.prot.map(|prot| format!("{prot:?}").to_lowercase())),
                or_dash(offer.mode.map(|mode| if format!("{mode:?}") == "Transport" {
                    "trans"
                } else {
                    "other"
                })),
                or_dash(offer.ealg.as_ref().map(|ealg| name(ealg, |ealg| ealg.token()))),
                or_dash(offer.spi_c),
                or_dash(offer.spi_s),
                or_dash(offer.port_c),
                or_dash(offer.port_s),
                parameters(&offer.extensions)
            )
        }
        Mechanism::Other(other) => format!("other {} q={q}{}", other.name(), parameters(other.parameters())),
        Mechanism::Malformed(malformed) => format!("malformed {}", malformed.error()),
    }
}

#[test]
fn every_sample_gives_exactly_its_values() {
    let mut found = Vec::new();
    for sample in samples() {
        let list = MechanismList::parse_rows([sample.value]).unwrap();
        for (place, mechanism) in list.mechanisms().iter().enumerate() {
            found.push(format!("{} {place} {}", sample.id, describe(mechanism)));
        }
    }
    let expected = include_str!("data/header_samples.expected").lines().filter(|line| !line.starts_with('#'));
    let expected: Vec<_> = expected.collect();
    assert_eq!(found, expected);
}

#[test]
fn every_sample_is_emitted_as_its_sender_wrote_it_in_the_style_of_its_family() {
    let verbatim = [
        ("iphone16e", Style::IOS),
        ("samsung-lab", Style::SAMSUNG),
        ("samsung-jp-uq", Style::SAMSUNG),
        ("samsung-g975w-v", Style::SAMSUNG),
        ("imsclient4", Style::SAMSUNG),
        ("xiaomi-mi9pro", Style::QUALCOMM),
        ("seq-family-35a", Style::COMPACT),
        ("seq-family-nr", Style::COMPACT),
        ("huawei-nova7", Style::HUAWEI),
        ("huawei-v", Style::HUAWEI),
        ("kddi", Style::HUAWEI),
        ("maxis", Style::HUAWEI),
        ("o2-de", Style { comma: ",", ..Style::PADDED }),
        ("att", Style::SPACED),
        ("kamailio", Style::KAMAILIO),
        ("opensips", Style::OPENSIPS),
        ("mech-only", Style::STANDARD),
    ];
    for (id, style) in verbatim {
        let value = sample(id);
        assert_eq!(MechanismList::parse_rows([value]).unwrap().emit(&style), value, "{id}");
    }
}

#[test]
fn every_sample_survives_every_style() {
    for sample in samples() {
        let list = MechanismList::parse_rows([sample.value]).unwrap();
        for (name, style) in Style::NAMED {
            let text = list.emit(&style);
            assert_eq!(
                MechanismList::parse_rows([text.as_str()]).unwrap(),
                list,
                "{} as {name}: {text}",
                sample.id
            );
        }
        assert!(["Client", "Server", "Verify", "Client/Server"].contains(&sample.header));
    }
}

#[test]
fn commas_and_rows_are_the_same() {
    let one = SecurityClient::parse(&[sample("tinysip-1"), sample("tinysip-2")].join(" ,\t")).unwrap();
    let two = SecurityClient::parse_rows([sample("tinysip-1"), "  ", sample("tinysip-2")]).unwrap();
    assert_eq!(one, two);
    let names: Vec<_> = one.mechanisms().iter().map(|mechanism| mechanism.name().unwrap()).collect();
    assert_eq!(names, ["ipsec-3gpp", "tls", "ipsec-ike", "tls"]);
}

fn only(text: &str) -> Mechanism {
    let list = MechanismList::parse_rows([text]).unwrap();
    assert_eq!(list.mechanisms().len(), 1, "{text}");
    list.mechanisms()[0].clone()
}

fn offer(text: &str) -> Ipsec3gpp {
    match only(text) {
        Mechanism::Ipsec3gpp(offer) => offer,
        other @ (Mechanism::Other(_) | Mechanism::Malformed(_)) => panic!("{text}: {other:?}"),
    }
}

#[test]
fn case_white_space_and_order_of_parameters_do_not_matter() {
    let plain =
        offer("ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc;spi-c=1111;spi-s=2222;port-c=3333;port-s=4444;q=0.5");
    for same in [
        "IPSEC-3GPP;ALG=HMAC-MD5-96;EALG=AES-CBC;SPI-C=1111;SPI-S=2222;PORT-C=3333;PORT-S=4444;Q=0.5",
        "  ipsec-3gpp ; alg = hmac-md5-96\t;\r\n ealg=aes-cbc ; spi-c =1111; spi-s= 2222;port-c=3333;port-s=4444;q=0.5 ",
        "ipsec-3gpp;q=0.500;port-s=04444;port-c=3333;spi-s=0000002222;spi-c=1111;ealg=aes-cbc;alg=hmac-md5-96",
        "ipsec-3gpp;prot=ESP;mod=Trans;alg=hmac-md5-96;ealg=aes-cbc;spi-c=1111;spi-s=2222;port-c=3333;port-s=4444;q=0.5",
    ] {
        assert_eq!(offer(same), plain, "{same}");
    }
    assert_eq!(offer("ipsec-3gpp;alg=hmac-md5-96"), offer("ipsec-3gpp;alg=hmac-md5-96;ealg=null"));
}

#[test]
fn each_malformed_parameter_is_named_and_leaves_the_other_mechanisms_usable() {
    let good = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=3333;port-s=4444";
    for (bad, error) in [
        ("ipsec-3gpp;spi-c=4294967296", "spi-c: 4294967296 is out of range"),
        ("ipsec-3gpp;spi-c=99999999999", "spi-c: 99999999999 is out of range"),
        ("ipsec-3gpp;spi-s=-5", "spi-s: \"-5\" is not a value of it"),
        ("ipsec-3gpp;spi-s=+5", "spi-s: \"+5\" is not a value of it"),
        ("ipsec-3gpp;spi-s=0", "spi-s: 0 is not an SPI"),
        ("ipsec-3gpp;spi-s=0000000000", "spi-s: 0 is not an SPI"),
        ("ipsec-3gpp;spi-c", "spi-c: has no value"),
        ("ipsec-3gpp;spi-c=\"1111\"", "spi-c: has a quoted string for a value"),
        ("ipsec-3gpp;spi-c=1111;SPI-C=1111", "spi-c: given twice"),
        ("ipsec-3gpp;port-c=65536", "port-c: 65536 is out of range"),
        ("ipsec-3gpp;port-c=78952", "port-c: 78952 is out of range"),
        ("ipsec-3gpp;port-s=0", "port-s: 0 is not a port"),
        ("ipsec-3gpp;port-s=99999999999999999999", "port-s: 99999999999999999999 is out of range"),
        ("ipsec-3gpp;port-s=5060x", "port-s: \"5060x\" is not a value of it"),
        ("ipsec-3gpp;q=1.001", "q: \"1.001\" is not a value of it"),
        ("ipsec-3gpp;q=0.1234", "q: \"0.1234\" is not a value of it"),
        ("ipsec-3gpp;q=2", "q: \"2\" is not a value of it"),
        ("ipsec-3gpp;q=.5", "q: \".5\" is not a value of it"),
        ("ipsec-3gpp;q=0.-5", "q: \"0.-5\" is not a value of it"),
        ("tls;q=7", "q: \"7\" is not a value of it"),
        ("ipsec-3gpp;alg=\"hmac-md5-96\"", "alg: has a quoted string for a value"),
        ("ipsec-3gpp;prot=udp", "prot: \"udp\" is not a value of it"),
        ("ipsec-3gpp;mod=transport", "mod: \"transport\" is not a value of it"),
        ("ipsec-3gpp;mod=tran", "mod: \"tran\" is not a value of it"),
        ("digest;d-alg=md5;d-alg=md5", "d-alg: given twice"),
        ("ipsec-3gpp;;alg=hmac-md5-96", "invalid mechanism from octet 11 on"),
        ("ipsec-3gpp;=5", "invalid mechanism from octet 11 on"),
        ("ipsec-3gpp;alg=", "alg: has no value"),
        ("ipsec-3gpp;spi-c=12/3", "spi-c: \"12/3\" is not a value of it"),
        ("ipsec-3gpp alg=x", "invalid mechanism from octet 11 on"),
        ("ipsec-3gpp;x=\"", "x: \"\"\" is not a value of it"),
        ("", "invalid mechanism from octet 0 on"),
        ("é", "invalid mechanism from octet 0 on"),
    ] {
        let text = format!("{bad},{good}");
        let list = MechanismList::parse_rows([text.as_str()]).unwrap();
        let [Mechanism::Malformed(malformed), Mechanism::Ipsec3gpp(usable)] = list.mechanisms() else {
            panic!("{text}: {list:?}")
        };
        assert_eq!((malformed.text(), malformed.error().to_string().as_str()), (bad, error), "{text}");
        assert_eq!(usable.suite(), Ok(Suite::HMAC_SHA_1_96_NULL));
        assert!(usable.setup().is_ok());
    }
}

#[test]
fn nothing_leaks_out_of_quoted_strings_or_prefixes_of_names() {
    let Mechanism::Ipsec3gpp(quoted) = only("ipsec-3gpp;d-ver=\"a;spi-c=666,b\\\";spi-s=7\";q=0.1") else {
        panic!()
    };
    assert_eq!((quoted.spi_c, quoted.spi_s), (None, None));
    assert_eq!(quoted.extensions[0].value, Value::Quoted("a;spi-c=666,b\\\";spi-s=7".into()));
    let prefix = offer("ipsec-3gpp;s=9999;sp=1;spi=2;spi-=3;spi-cc=4");
    assert_eq!((prefix.spi_c, prefix.extensions.len()), (None, 5));
}

#[test]
fn q_has_up_to_three_digits() {
    for (text, thousandths) in [
        ("0", 0),
        ("0.", 0),
        ("0.1", 100),
        ("0.15", 150),
        ("0.015", 15),
        ("1", 1000),
        ("1.", 1000),
        ("1.000", 1000),
    ] {
        assert_eq!(offer(&format!("ipsec-3gpp;q={text}")).q.unwrap().thousandths(), thousandths, "{text}");
    }
}

#[test]
fn quirks_are_named() {
    let strict = "ipsec-3gpp;alg=hmac-md5-96;spi-c=0000001111;spi-s=0000002222;port-c=3333;port-s=4444";
    assert_eq!(offer(strict).quirks(), Quirks::NONE);
    assert_eq!(offer(&strict.replace("0000001111", "1111")).quirks(), Quirks::NONE.with(Quirk::ShortSpi));
    assert_eq!(
        offer(&strict.replace("0000001111", "0000000111")).quirks(),
        Quirks::NONE.with(Quirk::ReservedSpi)
    );
    assert_eq!(offer(&strict.replace("3333", "5060")).quirks(), Quirks::NONE.with(Quirk::SipPort));
    assert_eq!(offer(sample("imsclient4")).quirks().iter().count(), 2);
}

#[test]
fn limits_are_kept() {
    let mechanisms = vec!["tls"; MAX_MECHANISMS].join(",");
    assert_eq!(MechanismList::parse_rows([mechanisms.as_str()]).unwrap().mechanisms().len(), MAX_MECHANISMS);
    let error = MechanismList::parse_rows([mechanisms.as_str(), "tls"]).unwrap_err();
    assert_eq!(error, ListError::TooManyMechanisms);

    let padding = |len: usize| format!("tls;x={}", "y".repeat(len - 6));
    assert!(MechanismList::parse_rows([padding(MAX_LIST_OCTETS).as_str()]).is_ok());
    let error = MechanismList::parse_rows([padding(MAX_LIST_OCTETS).as_str(), "x"]).unwrap_err();
    assert_eq!(error, ListError::TooLong(MAX_LIST_OCTETS + 1));

    let parameters = |count: usize| (0..count).fold("tls".to_owned(), |text, n| format!("{text};p{n}"));
    assert!(matches!(only(&parameters(MAX_PARAMETERS)), Mechanism::Other(_)));
    let Mechanism::Malformed(malformed) = only(&parameters(MAX_PARAMETERS + 1)) else { panic!() };
    assert_eq!(malformed.error(), &MechanismError::TooManyParameters);

    for empty in [&[][..], &[""], &["  ", "\t"]] {
        assert_eq!(MechanismList::parse_rows(empty.iter().copied()).unwrap_err(), ListError::Empty);
    }
}

#[test]
fn no_line_break_gets_from_a_header_that_was_read_into_one_that_is_written() {
    for text in [
        "tls;x=\"a\r\nEvil: 1\", digest",
        "tls;x=\"a\\\nEvil: 1\"",
        "ipsec-3gpp;alg=a\r\nVia: evil",
        "tls\nx",
        "a;b\r\n\r\nc",
    ] {
        let list = MechanismList::parse_rows([text]).unwrap();
        assert!(
            list.mechanisms().iter().any(|mechanism| matches!(mechanism, Mechanism::Malformed(_))),
            "{text:?}"
        );
        for (name, style) in Style::NAMED {
            let written = list.emit(&style);
            assert!(!written.contains(['\r', '\n']), "{name}: {written:?}");
            assert_eq!(
                MechanismList::parse_rows([written.as_str()]).unwrap().mechanisms().len(),
                list.mechanisms().len()
            );
        }
    }
    // A folded line goes on.
    let folded = only("ipsec-3gpp;alg=hmac-sha-1-96\r\n ;ealg=aes-cbc\r\n");
    assert_eq!(folded, only("ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc"));
}

#[test]
fn white_space_behind_a_malformed_element_changes_nothing() {
    // Found by fuzzing: the place of the error lay after the end of the text.
    let (with, without) = (only("tls; "), only("tls;"));
    assert_eq!(with, without);
    let Mechanism::Malformed(malformed) = with else { panic!() };
    assert_eq!(*malformed.error(), MechanismError::Grammar { at: "tls;".len() });
}

#[test]
fn a_text_full_of_open_quotes_costs_no_more_than_its_length() {
    // Every quote of these could be the start of a string that runs to the end.
    let text = "a\\\",".repeat(MAX_MECHANISMS - 1) + &"\\\"".repeat(3000);
    let list = MechanismList::parse_rows([text.as_str()]).unwrap();
    assert!(list.mechanisms().iter().all(|mechanism| matches!(mechanism, Mechanism::Malformed(_))));
}

#[test]
fn verify_is_compared_value_by_value_and_in_order() {
    let issued = "ipsec-3gpp;q=0.9;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1111;spi-s=2222;port-c=3333;port-s=4444, \
                  ipsec-3gpp;q=0.8;alg=hmac-sha-1-96;ealg=null;spi-c=1111;spi-s=2222;port-c=3333;port-s=4444, tls;q=0.1";
    let server = SecurityServer::parse(issued).unwrap();
    let check =
        |verify: &str| server.check_verify(&SecurityVerify::parse(verify).unwrap(), Quirks::TOLERATED);
    assert_eq!(check(issued), Ok(()));
    assert_eq!(check(&issued.replace("spi-c=1111", "SPI-C=0000001111").replace("0.9", "0.900")), Ok(()));
    let parts: Vec<_> = issued.split(", ").collect();
    for (verify, difference) in [
        (issued.replacen("1111", "1112", 1), Difference::Mechanism { index: 0 }),
        (issued.replacen("aes-cbc", "des-ede3-cbc", 1), Difference::Mechanism { index: 0 }),
        (issued.replacen("0.8", "0.7", 1), Difference::Mechanism { index: 1 }),
        (issued.replacen(";q=0.8", "", 1), Difference::Mechanism { index: 1 }),
        (issued.replacen("ealg=null;", "ealg=null;x=y;", 1), Difference::Mechanism { index: 1 }),
        (issued.replacen("tls", "tlz", 1), Difference::Mechanism { index: 2 }),
        ([parts[1], parts[0], parts[2]].join(","), Difference::Mechanism { index: 0 }),
        ([parts[0], parts[1]].join(","), Difference::Length { issued: 3, came_back: 2 }),
        ([parts[0], parts[1], parts[2], parts[2]].join(","), Difference::Length { issued: 3, came_back: 4 }),
        (parts[1].to_owned(), Difference::Mechanism { index: 0 }),
    ] {
        assert_eq!(check(&verify), Err(difference), "{verify}");
    }
    // Only where the policy says so may all q be missing.
    let without =
        SecurityVerify::parse(&issued.replace(";q=0.9", "").replace(";q=0.8", "").replace(";q=0.1", ""))
            .unwrap();
    assert!(server.check_verify(&without, Quirks::TOLERATED).is_err());
    assert!(server.check_verify(&without, Quirks::TOLERATED.with(Quirk::VerifyWithoutQ)).is_ok());
}

#[test]
fn problems_are_values_too() {
    let Mechanism::Malformed(malformed) = only("ipsec-3gpp;port-c=70000") else { panic!() };
    let MechanismError::Parameter { parameter, problem } = malformed.error() else { panic!() };
    assert_eq!((parameter.as_str(), problem), ("port-c", &Problem::OutOfRange("70000".into())));
}

#[test]
fn of_mechanisms_with_one_preference_the_first_comes_first() {
    for (row, order) in [
        ("a;q=0.5, b;q=0.5, c;q=0.5", [0, 1, 2]),
        ("a;q=0.5, b;q=0.9, c;q=0.5", [1, 0, 2]),
        ("a, b;q=1.0, c", [0, 1, 2]),
        ("a;q=0.1, b;q=0.2, c;q=0.3", [2, 1, 0]),
    ] {
        let list = ipsec_3gpp::sec_agree::MechanismList::parse_rows([row]).unwrap();
        assert_eq!(list.by_preference(), order, "{row}");
    }
}

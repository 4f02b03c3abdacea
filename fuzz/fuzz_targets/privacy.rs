//! Rows of any message: what was hidden is gone or named, critical is never ignored, once is as
//! good as twice, and a response comes back as its originator expects it.
#![no_main]

use arbitrary::Arbitrary;
use ipsec_3gpp::presence::privacy::{NextHop, Outcome, Privacy, Residual, Row, Service, edited};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 23] = [
    "From",
    "f",
    "Privacy",
    "privacy",
    "Proxy-Require",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Subject",
    "s",
    "Call-Info",
    "Reply-To",
    "Referred-By",
    "Identity",
    "History-Info",
    "Contact",
    "Call-ID",
    "To",
    "Via",
    "Content-Type",
    "X",
    "P-Called-Party-ID",
    "Warning",
    "Server",
];
const VALUES: [&str; 12] = [
    "\"A\" <sip:alice@home1.net>;tag=1",
    "sip:alice@home1.net;tag=2",
    "<tel:+4930123>, <sip:alice@home1.net>",
    "id",
    "user",
    "none",
    "critical",
    "id;user;critical",
    "session;foo",
    "privacy",
    "foo, privacy",
    "",
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    flags: u8,
    rows: Vec<(u8, u8, Option<&'a str>)>,
}

fuzz_target!(|input: Input<'_>| {
    let rows: Vec<Row<'_>> = input
        .rows
        .iter()
        .map(|(name, value, free)| {
            let value = free.unwrap_or(VALUES[usize::from(*value) % VALUES.len()]);
            Row::new(NAMES[usize::from(*name) % NAMES.len()], value)
        })
        .collect();
    let mut service = Service::new(if input.flags & 1 == 0 { NextHop::Untrusted } else { NextHop::Trusted });
    if input.flags & 2 != 0 {
        service = service.strict();
    }
    if input.flags & 4 != 0 {
        service = service.with_id_removed();
    }
    let method = ["MESSAGE", "REFER", "ACK", "CANCEL"][usize::from(input.flags >> 3 & 3)];
    let response = service.apply_response(&rows);
    let after = edited(&rows, &response.edits);
    let again: Vec<_> = after.iter().map(|(name, value)| Row::new(name, value)).collect();
    assert_eq!(service.apply_response(&again).edits, [], "{after:?}");
    let Outcome::Forward(applied) = service.apply(method, &rows) else { return };
    let mapped = applied.dialog.response(200, &rows).edits;
    let of =
        |name: &str| edited(&rows, &mapped).iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).count();
    assert!(input.flags & 1 != 0 || of("P-Asserted-Identity") <= 1 && of("P-Preferred-Identity") == 0);
    let privacy = rows.iter().filter(|row| row.name.eq_ignore_ascii_case("privacy")).map(|row| row.value);
    let has = |level: &str| {
        let values = privacy.clone().flat_map(|value| value.split([';', ',']));
        values
            .map(|value| value.trim_matches([' ', '\t', '\r', '\n']))
            .any(|value| value.eq_ignore_ascii_case(level))
    };
    assert!(!has("critical") || applied.shortfall.is_empty() || method == "CANCEL");
    let unreadable = Privacy::read(privacy.clone()).is_err();
    let after = edited(&rows, &applied.edits);
    if unreadable || has("user") && !has("none") {
        let mut left = after.iter();
        for (number, row) in rows.iter().enumerate() {
            let edit = applied.edits.iter().find(|edit| edit.row() == Some(number));
            if edit.is_some_and(|edit| edit.value().is_none()) {
                continue;
            }
            let (_, value) = left.next().unwrap();
            let is_from = row.name == "From" || row.name == "f";
            assert!(!is_from || value.starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>"));
            // Not where her URI is only a part of another.
            let hides_alice = rows
                .iter()
                .any(|row| (row.name == "From" || row.name == "f") && VALUES[..2].contains(&row.value));
            if hides_alice && value.to_ascii_lowercase().contains("alice@home1.net") && applied.dialog.hides()
            {
                assert!(applied.residual.contains(&Residual::Row(number)), "{after:?}");
            }
        }
    }
    let again: Vec<_> = after.iter().map(|(name, value)| Row::new(name, value)).collect();
    match service.apply(method, &again) {
        Outcome::Forward(again) => assert!(again.edits.is_empty(), "{after:?} {again:?}"),
        Outcome::Refuse(refusal) => panic!("{refusal:?}"),
    }
});

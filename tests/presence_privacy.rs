//! Privacy at the P-CSCF: the examples of RFC 3323, 3325 and 5379, each header by itself, and what
//! must hold for any message.
#![cfg(feature = "presence")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "how long hostile input takes is measured")]

use ipsec_3gpp::presence::privacy::{
    Advice, Applied, Edit, Level, NextHop, NotRegistered, Outcome, Performs, Privacy, PrivacyError, Refusal,
    Residual, Row, Service, Shortfall, Unregistered, advice, anonymous_from, assert_identity, distrusted,
    edited,
};
use proptest::prelude::*;

const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

fn forwarded(outcome: Outcome) -> Applied {
    match outcome {
        Outcome::Forward(applied) => applied,
        Outcome::Refuse(refusal) => panic!("{refusal:?}"),
    }
}

fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Forward(applied) => panic!("{applied:?}"),
        Outcome::Refuse(refusal) => refusal,
    }
}

fn rows<'a>(text: &'a str) -> Vec<Row<'a>> {
    text.lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, value)| Row::new(name, value))
        .collect()
}

fn text(rows: &[(String, String)]) -> String {
    rows.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// Every header that is edited or left, with values that tell who the originator is.
const ALL: [(&str, &str); 24] = [
    ("Via", "SIP/2.0/UDP 10.1.0.16:6101;branch=z9hG4bK1"),
    ("From", "\"Alice A\" <sip:alice@home1.net;user=phone>;tag=4fa3;x=1"),
    ("To", "<sip:bob@home2.net>"),
    ("Call-ID", "cb03a0s09a2sdfglkj490333"),
    ("CSeq", "1 MESSAGE"),
    ("Contact", "<sip:alice@10.1.0.16:6100>"),
    ("Record-Route", "<sip:pcscf1.home1.net;lr>"),
    ("P-Asserted-Identity", "\"Alice A\" <sip:alice@home1.net>"),
    ("p-asserted-identity", "<tel:+4930123>"),
    ("P-Preferred-Identity", "<sip:alice@home1.net>"),
    ("Subject", "a"),
    ("s", "b"),
    ("Call-Info", "<http://home1.net/alice.jpg>;purpose=icon"),
    ("Organization", "Home"),
    ("User-Agent", "Alice's phone"),
    ("Reply-To", "<sip:alice@home1.net>"),
    ("In-Reply-To", "70710@home1.net"),
    ("Referred-By", "<sip:alice@home1.net>"),
    ("Identity", "\"abc\""),
    ("Identity-Info", "<https://home1.net/cer>;alg=rsa-sha1"),
    ("History-Info", "<sip:carol@home1.net>;index=1"),
    ("Authorization", "Digest username=\"alice@home1.net\""),
    ("Server", "x"),
    ("Content-Type", "text/plain"),
];

/// The numbers of rows that an edit removes, and those that it replaces.
fn changed(applied: &Applied) -> (Vec<&'static str>, Vec<&'static str>) {
    let names = |removes: bool| {
        let edits = applied.edits.iter().filter(|edit| matches!(edit, Edit::Remove { .. }) == removes);
        let names = edits.filter_map(|edit| ALL.get(edit.row()?)).map(|(name, _)| *name);
        names.collect::<Vec<_>>()
    };
    (names(true), names(false))
}

#[test]
fn each_header_has_its_rule() {
    const USER: [&str; 9] = [
        "Subject",
        "s",
        "Call-Info",
        "Organization",
        "User-Agent",
        "Reply-To",
        "In-Reply-To",
        "Identity",
        "Identity-Info",
    ];
    let of = |method: &str, privacy: &str| {
        let mut rows: Vec<_> = ALL.iter().map(|(name, value)| Row::new(name, value)).collect();
        rows.push(Row::new("Privacy", privacy));
        forwarded(Service::for_untrusted_ue().apply(method, &rows))
    };
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    let preferred = vec!["P-Preferred-Identity"];
    let asserted = ["P-Asserted-Identity", "p-asserted-identity"];
    // (values, method, removed, replaced)
    for (values, method, removed, replaced) in [
        ("none", "MESSAGE", preferred.clone(), vec![]),
        ("id", "MESSAGE", [&asserted[..], &preferred].concat(), vec![]),
        ("user", "MESSAGE", [&USER[..], &preferred].concat(), vec!["From"]),
        ("user", "REFER", [&USER[..], &preferred].concat(), vec!["From", "Referred-By"]),
        ("history", "MESSAGE", [&["History-Info"][..], &preferred].concat(), vec![]),
        // What can be done without a B2BUA (RFC 5379 table 1).
        ("session", "MESSAGE", [&["History-Info"][..], &preferred].concat(), vec![]),
        ("header", "MESSAGE", [&["History-Info"][..], &asserted, &preferred].concat(), vec![]),
        ("id;user", "NOTIFY", [&USER[..], &asserted, &preferred].concat(), vec!["From"]),
        ("foo", "MESSAGE", preferred.clone(), vec![]),
    ] {
        let (gone, changed) = changed(&of(method, values));
        assert_eq!((sorted(gone), sorted(changed)), (sorted(removed), sorted(replaced)), "{values} {method}");
    }
    let from = of("MESSAGE", "user");
    let from = from.edits.iter().find(|edit| edit.row() == Some(1)).unwrap();
    assert_eq!(from.value(), Some("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=4fa3"));
    // A trusted element is told what was asserted, and has to keep it.
    let mut rows: Vec<_> = ALL.iter().map(|(name, value)| Row::new(name, value)).collect();
    rows.push(Row::new("Privacy", "id"));
    let trusted = forwarded(Service::new(NextHop::Trusted).apply("MESSAGE", &rows));
    assert_eq!(changed(&trusted).0, preferred);
}

#[test]
fn what_still_tells_who_she_is_is_named() {
    let residual = |privacy: &str| {
        let mut rows: Vec<_> = ALL.iter().map(|(name, value)| Row::new(name, value)).collect();
        rows.push(Row::new("Privacy", privacy));
        let residual = forwarded(Service::for_untrusted_ue().apply("MESSAGE", &rows)).residual;
        let name = |one: &Residual| match one {
            Residual::Row(row) => ALL[*row].0,
            Residual::Body => "body",
            _ => "",
        };
        residual.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(residual("none"), [""; 0]);
    assert_eq!(residual("history"), [""; 0]);
    // "alice@home1.net" is what the asserted identity was.
    assert_eq!(residual("id"), ["From", "Reply-To", "Referred-By", "Identity", "Authorization"]);
    assert_eq!(
        residual("user"),
        [
            "Via",
            "Call-ID",
            "Contact",
            "Record-Route",
            "P-Asserted-Identity",
            "p-asserted-identity",
            "Referred-By",
            "Authorization",
            "body"
        ]
    );
}

/// RFC 3323 4.2 and 5: values and separators; what is performed goes.
#[test]
fn privacy_and_proxy_require_are_kept() {
    let after = |privacy: &str, service: &Service| {
        let mut message = String::from("From: <sip:a@b>;tag=1\n");
        message.extend(privacy.lines().map(|line| format!("Privacy: {line}\n")));
        message.push_str("Proxy-Require: foo, Privacy\nProxy-Require: privacy\n");
        let rows = rows(&message);
        let applied = forwarded(service.apply("MESSAGE", &rows));
        let left = edited(&rows, &applied.edits);
        let of = |wanted: &str| {
            let rows = left.iter().filter(|(name, _)| name == wanted);
            rows.map(|(_, value)| value.clone()).collect::<Vec<_>>().join(" | ")
        };
        (of("Privacy"), of("Proxy-Require"))
    };
    let ue = Service::for_untrusted_ue();
    let both = "foo, Privacy | privacy";
    for (privacy, service, left, proxy_require) in [
        ("user", &ue, "", "foo"),
        ("user;critical", &ue, "", "foo"),
        ("id", &ue, "id", "foo"),
        ("id;critical", &ue, "id;critical", "foo"),
        ("id", &ue.clone().with_id_removed(), "", "foo"),
        ("ID ; User", &ue, "id", "foo"),
        ("user\nid", &ue, "id", "foo"),
        ("user,history", &ue, "", "foo"),
        ("none", &ue, "none", both),
        ("user;session", &ue, "session", both),
        ("user;session", &ue.clone().with_performs(Performs::HEADERS_ONLY.with_session()), "", "foo"),
        ("header;user", &ue, "header", both),
        ("header;user", &ue.clone().with_performs(Performs::HEADERS_ONLY.with_header()), "", "foo"),
        ("user;X-Foo", &ue, "x-foo", both),
        ("id;user", &Service::new(NextHop::Trusted), "id", both),
        ("id;;user", &ue, "id;;user", both),
    ] {
        assert_eq!(after(privacy, service), (left.into(), proxy_require.into()), "{privacy:?}");
    }
}

#[test]
fn critical_is_never_ignored() {
    let ue = Service::for_untrusted_ue();
    let of = |service: &Service, method: &str, privacy: &str| {
        let message = format!("From: <sip:a@b>;tag=1\nPrivacy: {privacy}");
        service.apply(method, &rows(&message))
    };
    for (privacy, reason) in [
        ("session;critical", "Privacy not available: session"),
        ("critical;header;foo", "Privacy not available: header, foo"),
        ("critical;foo", "Privacy not available: foo"),
        ("critical;user;@@", "Privacy not available: unreadable header"),
        ("critical;", "Privacy not available: unreadable header"),
    ] {
        let refusal = refused(of(&ue, "MESSAGE", privacy));
        assert_eq!((refusal.status, refusal.reason.as_str()), (Some(500), reason), "{privacy}");
        assert_eq!(refused(of(&ue, "ACK", privacy)).status, None, "nobody answers an ACK");
        assert!(!forwarded(of(&ue, "CANCEL", privacy)).shortfall.is_empty(), "it follows its INVITE");
    }
    // Call-ID is not replaced, and that is no reason (RFC 3323 4.1).
    assert!(forwarded(of(&ue, "MESSAGE", "user;critical")).shortfall.is_empty());
    assert!(forwarded(of(&ue, "MESSAGE", "none;critical")).is_contradictory);
    // Without it, the shortfall is named, or refused where that is the policy.
    let session = Shortfall::Level(Level::Session);
    assert_eq!(forwarded(of(&ue, "MESSAGE", "id;session")).shortfall, std::slice::from_ref(&session));
    assert_eq!(refused(of(&ue.clone().strict(), "MESSAGE", "id;session")).shortfall, [session]);
    let b2bua = ue.with_performs(Performs::HEADERS_ONLY.with_session().with_header());
    assert!(forwarded(of(&b2bua, "MESSAGE", "session;header;critical")).shortfall.is_empty());
}

#[test]
fn what_cannot_be_read_is_never_taken_for_no_privacy() {
    let ue = Service::for_untrusted_ue();
    for privacy in ["", ";", "id;;user", "\"x\"", "none;\"x\"", "a b", "<x>"] {
        let message = [
            Row::new("From", "<sip:a@b>;tag=1"),
            Row::new("P-Asserted-Identity", "<sip:a@b>"),
            Row::new("Privacy", privacy),
        ];
        let applied = forwarded(ue.apply("MESSAGE", &message));
        let left = text(&edited(&message, &applied.edits));
        assert!(left.starts_with(&format!("From: {ANONYMOUS};tag=1\nPrivacy: ")), "{left}");
        assert!(matches!(applied.shortfall[..], [Shortfall::Unreadable(_)]), "{privacy:?}");
        assert_eq!(refused(ue.clone().strict().apply("MESSAGE", &message)).status, Some(500));
    }
    // From whose tag cannot be found can be neither hidden nor sent.
    for from in ["<sip:a@b", "\"a <sip:a@b>;tag=1", "<sip:a@b>;tag=1;tag=2", ""] {
        let message = [Row::new("f", from), Row::new("Privacy", "user")];
        assert_eq!(refused(ue.apply("MESSAGE", &message)).status, Some(400), "{from}");
        let message = [Row::new("f", from), Row::new("Privacy", "id")];
        assert_eq!(forwarded(ue.apply("MESSAGE", &message)).residual, [Residual::Row(0)]);
    }
    assert_eq!(Privacy::read([""]), Err(PrivacyError::Empty));
    assert_eq!(Privacy::read(["id;a b"]), Err(PrivacyError::Token("a b".into())));
    assert_eq!(Privacy::read([]), Ok(Privacy::default()));
    assert_eq!(Privacy::read(["ID;Foo", "id,user"]).unwrap().to_string(), "id;foo;user");
}

#[test]
fn a_home_network_adds_user_unless_none_is_there() {
    let with_wish =
        |rows: &[&str]| Privacy::read(rows.iter().copied()).unwrap().with_wish_of_home_network().to_string();
    assert_eq!(with_wish(&[]), "user");
    assert_eq!(with_wish(&["id"]), "id;user");
    assert_eq!(with_wish(&["user"]), "user");
    assert_eq!(with_wish(&["none"]), "none");
}

#[test]
fn a_request_without_the_header_is_a_matter_of_the_trust_domain() {
    let message =
        rows("From: <sip:a@b>;tag=1\nP-Asserted-Identity: <sip:a@b>\nP-Preferred-Identity: <sip:a@b>");
    let ue = Service::for_untrusted_ue();
    let applied = forwarded(ue.apply("MESSAGE", &message));
    assert_eq!(applied.edits, [Edit::Remove { row: 2 }]);
    let ue = ue.with_default(Privacy::default().with(Level::Id));
    assert_eq!(
        forwarded(ue.apply("MESSAGE", &message)).edits,
        [Edit::Remove { row: 1 }, Edit::Remove { row: 2 }]
    );
}

/// The messages of RFC 3325 10.1 and 10.2, with errata 4202 and 5499. Via is not touched here.
#[test]
fn identities_are_asserted_within_the_trust_domain_and_do_not_leave_it() {
    let of_ue = "To: <sip:+14085551212@cisco.com>
        From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=9802748
        Call-ID: 245780247857024504
        CSeq: 2 INVITE
        Max-Forwards: 70
        Privacy: id
";
    let impus = ["sip:fluffy@cisco.com", "tel:+14085264000"];
    // 10.1: F1 and F3 prefer nothing, F4 has what the proxy asserts; F5 is within the domain.
    let f3 = format!("{of_ue}Proxy-Authorization: Digest realm=\"sip.cisco.com\", username=\"fluffy\"");
    let f3 = rows(&f3);
    let edits = assert_identity("INVITE", &f3, &impus, Unregistered::Default).unwrap();
    assert_eq!(edits, [Edit::Add { name: "P-Asserted-Identity", value: "<sip:fluffy@cisco.com>".into() }]);
    let asserted = format!(
        "{of_ue}P-Asserted-Identity: \"Cullen Jennings\" <sip:fluffy@cisco.com>\nP-Asserted-Identity: tel:+14085264000"
    );
    let f4 = rows(&asserted);
    for next_hop in [NextHop::OwnDomain, NextHop::Trusted] {
        let f5 = forwarded(Service::new(next_hop).apply("INVITE", &f4));
        assert!(f5.edits.is_empty() && f5.shortfall.is_empty(), "{next_hop:?}");
    }
    // 10.2: F3 prefers, F4 asserts, F5 leaves the domain without the identity, and keeps `id`.
    let f3 = format!("{of_ue}P-Preferred-Identity: \"Cullen Jennings\" <sip:fluffy@cisco.com>");
    let f3 = rows(&f3);
    let edits = assert_identity("INVITE", &f3, &impus, Unregistered::Refuse).unwrap();
    let f4 = edited(&f3, &edits);
    let expected = rows(of_ue);
    assert_eq!(f4[..6], edited(&expected, &[]));
    assert_eq!(f4[6..], [("P-Asserted-Identity".into(), "<sip:fluffy@cisco.com>".into())]);
    let f4: Vec<_> = f4.iter().map(|(name, value)| Row::new(name, value)).collect();
    let outgoing = forwarded(Service::for_untrusted_ue().apply("INVITE", &f4));
    assert_eq!(edited(&f4, &outgoing.edits), edited(&expected, &[]));
    assert!(outgoing.residual.is_empty() && outgoing.shortfall.is_empty() && !outgoing.dialog.hides());
    // At the other side of the edge, nothing of F5 is to be distrusted, and F6 is the same.
    let f5 = rows(of_ue);
    assert_eq!(distrusted(&f5), []);
    let f6 = forwarded(Service::for_untrusted_ue().apply("INVITE", &f5));
    assert_eq!(f6.edits, []);
}

/// RFC 5379 5.1.6, 5.1.9, 5.1.10 and 5.3.3. Its privacy service changes Call-ID; this one does not
/// (RFC 3323 4.1.1.1: MAY), so that Replaces, In-Reply-To and the like need not be restored.
#[test]
fn dialogs_are_named_as_their_ends_know_them() {
    let service = Service::for_untrusted_ue();
    let after = |method: &str, message: &str| {
        let rows = rows(message);
        text(&edited(&rows, &forwarded(service.apply(method, &rows)).edits))
    };
    let hidden = format!("From: {ANONYMOUS};tag=1\n");
    // 5.1.6: In-Reply-To goes with `user`; with `none` it stays, and names what Alice knows.
    let call_back = "From: <sip:bob@b>;tag=1\nIn-Reply-To: C1\nPrivacy: ";
    assert_eq!(after("INVITE", &format!("{call_back}user")), hidden);
    assert_eq!(after("INVITE", &format!("{call_back}none")), format!("{call_back}none\n"));
    // 5.1.9: Record-Route is a matter of a B2BUA. Without one, it stays, and that is said.
    let invite = rows("From: <sip:a@b>;tag=1\nRecord-Route: <sip:p1>\nPrivacy: header");
    let applied = forwarded(service.apply("INVITE", &invite));
    assert_eq!((applied.edits.len(), &applied.shortfall[..]), (0, &[Shortfall::Level(Level::Header)][..]));
    let with_header = service.clone().with_performs(Performs::HEADERS_ONLY.with_header());
    let applied = forwarded(with_header.apply("INVITE", &invite));
    assert_eq!((applied.edits, applied.shortfall), (vec![Edit::Remove { row: 2 }], vec![]));
    // 5.1.10: Referred-By is the sender's in REFER alone.
    let refer = "From: <sip:a@b>;tag=1\nReferred-By: <sip:alice@home1.net>\nPrivacy: user";
    assert_eq!(after("INVITE", refer), format!("{hidden}Referred-By: <sip:alice@home1.net>\n"));
    assert_eq!(after("REFER", refer), format!("{hidden}Referred-By: {ANONYMOUS}\n"));
    // 5.3.3: in all five, the other end is asked to replace the dialog that it knows.
    let replaces = "Refer-To: <sip:bob@b?Replaces=C1>\nReplaces: C1;to-tag=1;from-tag=2\nTarget-Dialog: C1\nCall-ID: C1\n";
    assert_eq!(
        after("REFER", &format!("From: <sip:a@b>;tag=1\n{replaces}Privacy: user")),
        format!("{hidden}{replaces}")
    );
}

/// RFC 7315 4.5.2.2 and 4.6.2.2, RFC 5876 4.5.
#[test]
fn what_is_not_for_the_next_hop_does_not_reach_it() {
    let message = rows(
        "From: <sip:a@b>;tag=1
        P-Charging-Vector: icid-value=1
        P-Charging-Function-Addresses: ccf=192.1.1.1
        P-Called-Party-ID: <sip:bob@home2.net>
        P-Asserted-Identity: <sip:a@b>, <sips:a@b>, <http://x>
        P-Asserted-Identity: <sip:b@b>, \"unreadable
        P-Asserted-Identity: \"A, B\" <tel:+1>, <tel:+2>
        Privacy: none",
    );
    let after = |next_hop| {
        let applied = forwarded(Service::new(next_hop).apply("MESSAGE", &message));
        text(&edited(&message, &applied.edits))
    };
    let (vector, addresses) =
        ("P-Charging-Vector: icid-value=1\n", "P-Charging-Function-Addresses: ccf=192.1.1.1\n");
    for (next_hop, charging) in [
        (NextHop::OwnDomain, format!("{vector}{addresses}")),
        (NextHop::Trusted, vector.into()),
        (NextHop::Untrusted, String::new()),
    ] {
        let expected = format!(
            "From: <sip:a@b>;tag=1\n{charging}P-Called-Party-ID: <sip:bob@home2.net>\nP-Asserted-Identity: <sip:a@b>\n\
             P-Asserted-Identity: \"A, B\" <tel:+1>\nPrivacy: none\n"
        );
        assert_eq!(after(next_hop), expected, "{next_hop:?}");
    }
    // From an untrusted element, none of it counts.
    let left = text(&edited(&message, &distrusted(&message)));
    assert_eq!(left, "From: <sip:a@b>;tag=1\nPrivacy: none\n");
}

/// TS 24.229 5.2.6.4: the end that was called is whom the request was for, whatever it says itself.
#[test]
fn a_response_asserts_whom_the_request_was_for() {
    let request = rows(
        "From: <sip:a@b>;tag=1
        P-Called-Party-ID: \"Bob\" <sip:bob@home2.net>;x=y
        Privacy: id",
    );
    let response = rows(
        "P-Preferred-Identity: <sip:mallory@home2.net>
        From: <sip:a@b>;tag=1
        P-Asserted-Identity: <sip:mallory@home2.net>",
    );
    let dialog = forwarded(Service::for_untrusted_ue().apply("INVITE", &request)).dialog;
    let after = |dialog: &ipsec_3gpp::presence::privacy::Dialog, status| {
        text(&edited(&response, &dialog.response(status, &response).edits))
    };
    let asserted = "From: <sip:a@b>;tag=1\nP-Asserted-Identity: <sip:bob@home2.net>\n";
    for (status, expected) in [
        (100, &asserted[..22]),
        (101, asserted),
        (183, asserted),
        (299, asserted),
        (300, &asserted[..22]),
        (486, &asserted[..22]),
    ] {
        assert_eq!(after(&dialog, status), expected, "{status}");
    }
    // Not within a dialog, not if it is not known, and a trusted end asserts for itself.
    let later = forwarded(Service::for_untrusted_ue().apply_later(&dialog, "INVITE", &request)).dialog;
    let unknown = forwarded(Service::for_untrusted_ue().apply("INVITE", &request[..1])).dialog;
    let unreadable = [request[0], Row::new("P-Called-Party-ID", "<")];
    let unreadable = forwarded(Service::for_untrusted_ue().apply("INVITE", &unreadable)).dialog;
    for dialog in [later, unknown, unreadable] {
        assert_eq!(after(&dialog, 200), asserted[..22]);
    }
    let trusted = forwarded(Service::new(NextHop::Trusted).apply("INVITE", &request)).dialog;
    assert_eq!(after(&trusted, 200), text(&edited(&response, &[])));
}

/// RFC 5379 table 1, its rows for responses.
#[test]
fn a_response_has_privacy_of_its_own() {
    let plain = "From: <sip:a@b>;tag=1
        To: <sip:bob@home2.net>;tag=2
        Contact: <sip:bob@10.0.0.9>
        P-Asserted-Identity: <sip:bob@home2.net>
        History-Info: <sip:bob@home2.net>;index=1
        Server: Bob's phone
        Warning: 399 phone.home2.net \"x, y\", 370 h \"z\"
        Organization: Home2
        Reply-To: <sip:bob@home2.net>
        Call-Info: <http://home2.net>
";
    let service = Service::for_untrusted_ue();
    let after = |service: &Service, privacy: &str| {
        let message = format!("{plain}{privacy}");
        let rows = rows(&message);
        let applied = service.apply_response(&rows);
        let names: Vec<_> = applied
            .residual
            .iter()
            .map(|one| if let Residual::Row(row) = one { rows[*row].name.to_owned() } else { String::new() })
            .collect();
        (text(&edited(&rows, &applied.edits)), applied.shortfall, names.join(" "))
    };
    let without = |names: &[&str]| {
        let kept =
            plain.lines().map(str::trim).filter(|line| !names.iter().any(|name| line.starts_with(name)));
        kept.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(after(&service, "").0, without(&[]));
    assert_eq!(after(&service, "Privacy: none").0, format!("{}Privacy: none\n", without(&[])));
    assert_eq!(after(&service, "Privacy: id").0, format!("{}Privacy: id\n", without(&["P-Asserted"])));
    let user = ["Server", "Organization", "Reply-To", "Call-Info"];
    let (text, shortfall, residual) = after(&service, "Privacy: user;critical");
    let anonymous = "Warning: 399 anonymous.invalid \"x, y\", 370 anonymous.invalid \"z\"\n";
    let expected = without(&user).replace("Warning: 399 phone.home2.net \"x, y\", 370 h \"z\"\n", anonymous);
    assert_eq!((text, shortfall), (expected, vec![]));
    assert_eq!(residual, "To Contact P-Asserted-Identity History-Info");
    // Never refused, and never silent.
    let (text, shortfall, _) = after(&service.clone().strict(), "Privacy: session;critical");
    assert_eq!(text, format!("{}Privacy: session;critical\n", without(&["History-Info"])));
    assert_eq!(shortfall, [Shortfall::Level(Level::Session)]);
    let (text, shortfall, _) = after(&service, "Privacy: \"");
    assert!(
        !text.contains("P-Asserted") && !text.contains("Server") && text.contains("Privacy: \"\n"),
        "{text}"
    );
    assert!(matches!(shortfall[..], [Shortfall::Unreadable(_)]));
    // A Warning that cannot be read goes.
    for warning in ["399", "399 host", "39 host \"x\"", "399 host x", "399 host \"x\", y"] {
        let rows = [Row::new("Warning", warning), Row::new("Privacy", "user")];
        assert_eq!(
            service.apply_response(&rows).edits,
            [Edit::Remove { row: 0 }, Edit::Remove { row: 1 }],
            "{warning}"
        );
    }
    let again = [Row::new("Warning", "399 anonymous.invalid \"x\""), Row::new("Privacy", "user;session")];
    assert_eq!(service.apply_response(&again).edits, [Edit::Replace { row: 1, value: "session".into() }]);
}

#[test]
fn all_messages_of_a_dialog_have_the_same_rules() {
    let from = "\"Alice\" <sip:alice@home1.net>;tag=4fa3";
    let hidden = format!("{ANONYMOUS};tag=4fa3");
    let invite =
        [Row::new("From", from), Row::new("To", "<sip:bob@home2.net>"), Row::new("Privacy", "id;user")];
    let applied = forwarded(Service::for_untrusted_ue().apply("INVITE", &invite));
    assert!(applied.dialog.hides());
    let dialog = applied.dialog;
    // The response, and a request of the other end, in long and compact form.
    for name in ["From", "f"] {
        let response = dialog.response(200, &[Row::new("Via", "x"), Row::new(name, &hidden)]);
        assert_eq!(
            (response.edits, response.is_restored),
            (vec![Edit::Replace { row: 1, value: from.into() }], true)
        );
    }
    for name in ["To", "t"] {
        let bye = [Row::new("From", "<sip:bob@home2.net>;tag=9"), Row::new(name, &hidden)];
        let mapped = dialog.request_to_originator(&bye);
        assert_eq!(
            (mapped.edits, mapped.is_restored),
            (vec![Edit::Replace { row: 1, value: from.into() }], true)
        );
    }
    // A later request of the originator, though it has no Privacy header.
    let later =
        [Row::new("From", from), Row::new("Subject", "x"), Row::new("P-Asserted-Identity", "<sip:a@b>")];
    let later_applied = forwarded(Service::for_untrusted_ue().apply_later(&dialog, "BYE", &later));
    assert_eq!(text(&edited(&later, &later_applied.edits)), format!("From: {hidden}\n"));
    // Another dialog's response is not changed, and the caller is told.
    let other = dialog.response(200, &[Row::new("From", &format!("{ANONYMOUS};tag=other"))]);
    assert_eq!((other.edits, other.is_restored), (vec![], false));
    assert!(!dialog.response(200, &[Row::new("Via", "x")]).is_restored);
    // Nothing was hidden: nothing is restored.
    let plain = forwarded(Service::for_untrusted_ue().apply("INVITE", &[Row::new("From", from)])).dialog;
    let mapped = plain.response(200, &[Row::new("From", from)]);
    assert_eq!((mapped.edits, mapped.is_restored, plain.hides()), (vec![], true, false));
    // "None" undoes nothing, in either order.
    let service = Service::for_untrusted_ue();
    let later = [Row::new("From", from), Row::new("Privacy", "none")];
    let applied = forwarded(service.apply_later(&dialog, "BYE", &later));
    assert_eq!(text(&edited(&later, &applied.edits)), format!("From: {hidden}\n"));
    let none = forwarded(service.apply("INVITE", &later)).dialog;
    let asks = [Row::new("From", from), Row::new("Privacy", "user")];
    let applied = forwarded(service.apply_later(&none, "BYE", &asks));
    assert_eq!(text(&edited(&asks, &applied.edits)), format!("From: {hidden}\n"));
    let says_nothing = [Row::new("From", from)];
    assert!(forwarded(service.apply_later(&none, "BYE", &says_nothing)).edits.is_empty());
    // What was critical at first is so for the others.
    let critical = [Row::new("From", from), Row::new("Privacy", "user;critical")];
    let dialog = forwarded(Service::for_untrusted_ue().apply("INVITE", &critical)).dialog;
    let later = [Row::new("From", from), Row::new("Privacy", "session")];
    assert_eq!(refused(Service::for_untrusted_ue().apply_later(&dialog, "UPDATE", &later)).status, Some(500));
}

/// RFC 3325 9.2 and 5876 4.5; a PUBLISH and a SUBSCRIBE of TS 24.141 annex A (A.4.2.1-1, A.6.2-1)
/// have P-Preferred-Identity with `Privacy: none`.
#[test]
fn the_identity_that_is_asserted_is_one_that_the_user_has_registered() {
    let impus = ["sip:user1_public1@home1.net", "sip:user1_public2@home1.net", "tel:+1-212-555-1111"];
    let of = |method: &str, message: &str, unregistered| {
        let rows = rows(message);
        let edits = assert_identity(method, &rows, &impus, unregistered)?;
        Ok(text(&edited(&rows, &edits)))
    };
    let asserted = |value: &str| Ok(format!("Privacy: none\nP-Asserted-Identity: {value}\n"));
    for (preferred, value) in [
        ("P-Preferred-Identity: \"John Doe\" <sip:user1_public1@home1.net>", "<sip:user1_public1@home1.net>"),
        ("P-Preferred-Identity: <SIP:user1_public2@HOME1.net;x=y>", "<sip:user1_public2@home1.net>"),
        ("p-preferred-identity: tel:+12125551111", "<tel:+1-212-555-1111>"),
        // The second SIP URI is ignored, and so is what is neither SIP nor TEL (RFC 5876 4.5).
        (
            "P-Preferred-Identity: <sip:x@y>, \"a, b\" <sip:user1_public2@home1.net>",
            "<sip:user1_public1@home1.net>",
        ),
        ("P-Preferred-Identity: <http://x>, <sip:x@y>, <tel:+12125551111>", "<tel:+1-212-555-1111>"),
        // What a UE asserts is nothing to anybody.
        ("P-Asserted-Identity: <sip:user1_public2@home1.net>", "<sip:user1_public1@home1.net>"),
        ("P-Preferred-Identity: \"unreadable", "<sip:user1_public1@home1.net>"),
        ("P-Preferred-Identity: <sip:mallory@home1.net>", "<sip:user1_public1@home1.net>"),
    ] {
        let message = format!("{preferred}\nPrivacy: none");
        assert_eq!(of("PUBLISH", &message, Unregistered::Default), asserted(value), "{preferred}");
        assert_eq!(of("ACK", &message, Unregistered::Refuse), Ok("Privacy: none\n".into()));
    }
    let unknown = "P-Preferred-Identity: <sip:mallory@home1.net>\nPrivacy: none";
    assert_eq!(of("PUBLISH", unknown, Unregistered::Refuse), Err(NotRegistered));
    assert_eq!(
        of("PUBLISH", "Privacy: none", Unregistered::Refuse),
        asserted("<sip:user1_public1@home1.net>")
    );
    assert_eq!(assert_identity("PUBLISH", &rows(unknown), &[], Unregistered::Default), Err(NotRegistered));
    assert_eq!(NotRegistered::STATUS, 403);
}

#[test]
fn a_user_agent_hides_what_it_can_itself() {
    let message = rows(
        "From: Alice <sip:alice@home1.net>;tag=1
        Contact: <sip:alice@10.1.0.16>
        Call-ID: 1234@phone.home1.net
        Subject: x
        User-Agent: y
        To: <sip:bob@home2.net>",
    );
    let of = |levels: &str| advice(&Privacy::read([levels]).unwrap(), &message);
    let all =
        [Advice::From(0), Advice::Contact(1), Advice::CallId(2), Advice::Optional(3), Advice::Optional(4)];
    assert_eq!((of("id"), of("user"), of("header")), (all.to_vec(), all.to_vec(), all.to_vec()));
    assert_eq!((of("none"), of("none;id"), of("session")), (vec![], vec![], vec![]));
    let hidden = anonymous_from("1");
    let good = [
        Row::new("f", &hidden),
        Row::new("m", "<sip:10.1.0.16:6100>"),
        Row::new("i", "1234"),
        Row::new("t", "x"),
    ];
    assert_eq!(advice(&Privacy::default().with(Level::User), &good), []);
    assert_eq!(hidden, "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1");
}

#[test]
fn what_an_untrusted_element_asserts_does_not_pass() {
    let message =
        rows("From: <sip:a@b>;tag=1\nP-Asserted-Identity: <sip:x@y>\np-preferred-identity: <sip:x@y>");
    assert_eq!(text(&edited(&message, &distrusted(&message))), "From: <sip:a@b>;tag=1\n");
}

/// White space before the colon, as RFC 3261 7.3.1 allows it, hides no header.
#[test]
fn names_are_read_with_white_space_after_them() {
    let service = Service::for_untrusted_ue();
    let message = [
        Row::new("From ", "<sip:alice@home1.net>;tag=1"),
        Row::new("P-Asserted-Identity\t", "<sip:alice@home1.net>"),
        Row::new(" Privacy ", "id;user;critical"),
    ];
    let applied = forwarded(service.apply("MESSAGE", &message));
    assert_eq!(
        text(&edited(&message, &applied.edits)),
        format!("From : {ANONYMOUS};tag=1\n Privacy : id;critical\n")
    );
    assert_eq!(distrusted(&message), [Edit::Remove { row: 1 }]);
    let session = [Row::new("Privacy ", "session;critical")];
    assert_eq!(refused(service.apply("MESSAGE", &session)).status, Some(500));
}

#[test]
fn identities_without_brackets_are_whole() {
    for (impu, asserted) in [
        ("sip:+4930123;phone-context=+49@home1.net;user=phone", None),
        ("sip:alice;x@home1.net", None),
        ("tel:1234;phone-context=home1.net", None),
        ("sip:+4930@home1.net;user=phone", None),
        ("\"A\" <sip:a@b;x=y>;z=1", Some("sip:a@b;x=y")),
    ] {
        let edits = assert_identity("MESSAGE", &[], &[impu], Unregistered::Refuse).unwrap();
        let value = format!("<{}>", asserted.unwrap_or(impu));
        assert_eq!(edits, [Edit::Add { name: "P-Asserted-Identity", value: value.into() }]);
        let request = [Row::new("P-Called-Party-ID", impu)];
        let dialog = forwarded(Service::for_untrusted_ue().apply("INVITE", &request)).dialog;
        assert_eq!(dialog.response(200, &[]).edits, edits);
        // Two that are called are none.
        let request = [request[0], Row::new("P-Called-Party-ID", "<sip:b@b>")];
        let dialog = forwarded(Service::for_untrusted_ue().apply("INVITE", &request)).dialog;
        assert_eq!(dialog.response(200, &[]).edits, []);
    }
    // What a UE says of the party called is nothing to anybody.
    assert_eq!(distrusted(&[Row::new("P-Called-Party-ID", "<sip:a@b>")]), [Edit::Remove { row: 0 }]);
}

#[test]
fn one_identity_is_found_in_whatever_form() {
    let service = Service::for_untrusted_ue();
    for (header, value, privacy, other) in [
        ("From", "<sip:+4930123@home1.net;user=phone>;tag=1", "user", "<tel:+49-30-123>"),
        ("From", "<sip:+4930123@home1.net>;tag=1", "user", "<sip:(+49)30.123@gw.home2.net>"),
        ("P-Asserted-Identity", "<tel:+49-30-123>", "id", "<tel:+4930123>"),
        ("From", "<sip:alice@home1.net:5060>;tag=1", "user", "<sip:alice@HOME1.net>"),
        ("From", "<sip:alice:secret@home1.net>;tag=1", "user", "<sip:alice@home1.net>"),
        ("From", "<sip:%61lice@home1.net>;tag=1", "user", "<sip:alice@home1.net>"),
        ("From", "<sip:alice@home1.net>;tag=1", "user", "<sip:%61lice@home1.net>"),
        ("P-Asserted-Identity", "\"Al <sip:alice@home1.net>", "id", "<sip:alice@home1.net>"),
        ("P-Asserted-Identity", "<sip:alice@home1.net>", "header", "<sip:alice@home1.net>"),
        // Where From was anonymous before.
        ("P-Preferred-Identity", "<sip:alice@home1.net>", "user", "<sip:alice@home1.net>"),
    ] {
        let message = [Row::new(header, value), Row::new("X-Other", other), Row::new("Privacy", privacy)];
        let applied = forwarded(service.apply("MESSAGE", &message));
        assert!(applied.residual.contains(&Residual::Row(1)), "{value} {other}");
        let unrelated = [message[0], Row::new("X-Other", "<sip:bob@home2.net>"), message[2]];
        let applied = forwarded(service.apply("MESSAGE", &unrelated));
        assert!(!applied.residual.contains(&Residual::Row(1)), "{value}");
    }
    // Headers that tell it by their nature.
    for name in ["Remote-Party-ID", "P-Served-User", "Geolocation", "Diversion", "Identity"] {
        let from = format!("{ANONYMOUS};tag=1");
        let message = [Row::new("From", &from), Row::new(name, "x"), Row::new("Privacy", "user")];
        assert_eq!(forwarded(service.apply("MESSAGE", &message)).residual, [Residual::Row(1)], "{name}");
    }
    // More identities than are looked for: every row may have one.
    let many: String = (0..40).map(|n| format!("<sip:u{n}@h>, ")).collect();
    let message =
        [Row::new("P-Asserted-Identity", &many), Row::new("Subject", "x"), Row::new("Privacy", "id")];
    assert_eq!(forwarded(service.apply("MESSAGE", &message)).residual, [Residual::Row(1), Residual::Row(2)]);
}

/// Time grows with the length of a message, not with its square.
#[test]
fn hostile_messages_cost_little() {
    let levels = |count: usize| (0..count).map(|n| format!("l{n}")).collect::<Vec<_>>().join(";");
    assert_eq!(Privacy::read([&*levels(32)]).unwrap().levels().count(), 32);
    assert_eq!(Privacy::read([&*levels(33)]), Err(PrivacyError::TooMuch));
    assert_eq!(Privacy::read(["a".repeat(65).as_str()]), Err(PrivacyError::TooMuch));
    let service = Service::for_untrusted_ue();
    let many = levels(2000);
    let critical = [Row::new("Privacy", &many), Row::new("Privacy", "critical")];
    let Outcome::Forward(applied) = service.apply("MESSAGE", &critical[..1]) else { panic!("not critical") };
    assert!(applied.shortfall.len() <= 40, "{}", applied.shortfall.len());
    let time = |rows: usize| {
        let identities = "<sip:a@b>,".repeat(100);
        let mut message = vec![Row::new("Privacy", "id;user"), Row::new("P-Asserted-Identity", &identities)];
        message.resize(rows, Row::new("s", "a subject"));
        let start = std::time::Instant::now();
        for _ in 0..3 {
            let applied = forwarded(service.apply("MESSAGE", &message));
            assert!(edited(&message, &applied.edits).len() < 2);
        }
        start.elapsed()
    };
    time(1000);
    assert!(time(20_000) < 100 * time(1000), "{:?} and {:?}", time(1000), time(20_000));
}

#[test]
fn nothing_but_a_tag_is_taken_for_one() {
    let service = Service::for_untrusted_ue();
    for from in ["<sip:a@b>;tag=x (alice)", "<sip:a@b>;tag=\"a\"", "<sip:a@b>;tag=a\r\nX: y"] {
        let message = [Row::new("From", from), Row::new("Privacy", "user")];
        assert_eq!(refused(service.apply("MESSAGE", &message)).status, Some(400), "{from}");
    }
    let message = [Row::new("Warning", "399 h \"a\" alice@home1.net"), Row::new("Privacy", "user")];
    assert_eq!(service.apply_response(&message).edits[0], Edit::Remove { row: 0 });
    // The dialog does not print whom it hides.
    let message = [Row::new("From", "<sip:alice@home1.net>;tag=1"), Row::new("Privacy", "user")];
    assert!(!format!("{:?}", forwarded(service.apply("INVITE", &message)).dialog).contains("alice"));
}

fn row() -> impl Strategy<Value = (String, String)> {
    let known = proptest::sample::select(ALL.to_vec()).prop_map(|(name, value)| (name.into(), value.into()));
    let level = proptest::sample::select(vec![
        "none", "id", "user", "header", "session", "history", "critical", "foo", "", "\"", "ID", " user ",
    ]);
    let levels = proptest::collection::vec(level, 1..4);
    let privacy = levels.prop_map(|levels| ("Privacy".into(), levels.join(";")));
    let proxy = proptest::sample::select(vec!["privacy", "foo, privacy", "Privacy,privacy", "foo", ""]);
    let proxy = proxy.prop_map(|value| ("Proxy-Require".into(), value.into()));
    let any = ("[A-Za-z-]{1,12}", "[ -~]{0,40}");
    prop_oneof![6 => known, 2 => privacy, 1 => proxy, 1 => any]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_holds_for_any_message(
        message in proptest::collection::vec(row(), 0..12),
        method in proptest::sample::select(vec!["MESSAGE", "REFER", "ACK", "CANCEL"]),
        strict: bool,
        trusted: bool,
        removes_id: bool,
    ) {
        let mut service = Service::new(if trusted { NextHop::Trusted } else { NextHop::Untrusted });
        if strict {
            service = service.strict();
        }
        if removes_id {
            service = service.with_id_removed();
        }
        let rows: Vec<_> = message.iter().map(|(name, value)| Row::new(name, value)).collect();
        let privacy: Vec<&str> =
            message.iter().filter(|(name, _)| name.eq_ignore_ascii_case("privacy")).map(|(_, value)| &**value).collect();
        let asked: Vec<String> =
            privacy.iter().flat_map(|row| row.split([';', ','])).map(|one| one.trim().to_ascii_lowercase()).collect();
        let has = |level: &str| asked.iter().any(|one| one == level);
        let applied = match service.apply(method, &rows) {
            Outcome::Refuse(refusal) => {
                // Only what was critical, what the policy refuses, or what cannot be read.
                prop_assert!(has("critical") || strict || refusal.status == Some(400) || method == "ACK");
                return Ok(());
            }
            Outcome::Forward(applied) => applied,
        };
        let hard = ["header", "session", "foo"].iter().any(|level| has(level)) && !has("none");
        let unreadable = Privacy::read(privacy.iter().copied()).is_err();
        prop_assert_eq!(!applied.shortfall.is_empty(), hard || unreadable);
        prop_assert!(!has("critical") || applied.shortfall.is_empty() || method == "CANCEL");
        // Each row is edited once, in order; nothing but the listed headers changes.
        let numbers: Vec<_> = applied.edits.iter().map(|edit| edit.row().unwrap()).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b));
        const LISTED: [&str; 20] = [
            "from", "f", "p-asserted-identity", "p-preferred-identity", "subject", "s", "call-info", "organization",
            "user-agent", "reply-to", "in-reply-to", "referred-by", "b", "identity", "y", "identity-info",
            "n",
            "history-info", "privacy", "proxy-require",
        ];
        for number in numbers {
            prop_assert!(LISTED.contains(&message[number].0.to_ascii_lowercase().as_str()));
        }
        // What was hidden is gone, or is named.
        let after = edited(&rows, &applied.edits);
        let hides = unreadable || has("user") && !has("none");
        if hides && message.iter().any(|(name, _)| name == "From") {
            let removed = |row: &usize| {
                applied.edits.iter().any(|edit| edit.row() == Some(*row) && edit.value().is_none())
            };
            let mut at = 0;
            for (number, _) in message.iter().enumerate() {
                if removed(&number) {
                    continue;
                }
                if after[at].1.contains("alice@home1.net") {
                    prop_assert!(applied.residual.contains(&Residual::Row(number)), "{} {:?}", number, after);
                }
                at += 1;
            }
        }
        // Once is as good as twice.
        let again_rows: Vec<_> = after.iter().map(|(name, value)| Row::new(name, value)).collect();
        match service.apply(method, &again_rows) {
            Outcome::Forward(again) => prop_assert_eq!(again.edits, vec![]),
            Outcome::Refuse(refusal) => prop_assert!(false, "{:?}", refusal),
        }
        // A response comes back as it was sent.
        if let Some((_, from)) = message.iter().find(|(name, _)| name == "From")
            && applied.dialog.hides()
        {
            let hidden = &after.iter().find(|(name, _)| name == "From").unwrap().1;
            let mapped = applied.dialog.response(200, &[Row::new("From", hidden)]);
            prop_assert_eq!(mapped.edits[0].value(), Some(from.as_str()));
        }
    }
}

//! Authentication of watchers: the vectors of RFC 7616 (errata included), AKA with the vectors of
//! TS 35.208, both ends against each other, and what an attacker would try.
#![cfg(feature = "presence")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "how long hostile input takes is measured")]

use std::time::Duration;

use ipsec_3gpp::presence::watcher::{
    Accepted, Account, Algorithm, By, Challenge, Client, ClientError, Credentials, Decision, DecisionReason,
    DigestError, Handling, Hash, Method, NonceSecret, Qop, Request, Role, Server, ServerConfig, ServerError,
    Subscription, SubscriptionPolicy, Unverified, User, Verified, Watcher, userhash,
};
use ipsec_3gpp::{Ck, Ik, Moment};
use proptest::prelude::*;

const REALM: &str = "presence.home1.net";
const URI: &str = "sip:user1_public1@home1.net";
const SUBSCRIBE: Request<'static> = Request::new("SUBSCRIBE", URI);
const CNONCE: &str = "0a4f113b";

fn at(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1000)
}

fn config() -> ServerConfig {
    ServerConfig::new(REALM).unwrap()
}

fn server() -> Server {
    Server::new(config(), NonceSecret::new([7; 32]))
}

fn alice() -> Account {
    Account::new("alice", b"correct horse")
}

fn text(row: &str, name: &str) -> String {
    let start = row.find(&format!("{name}=")).unwrap() + name.len() + 1;
    let rest = row[start..].trim_start_matches('"');
    rest.split(['"', ',']).next().unwrap().into()
}

/// The row of a client that has been challenged by a row.
fn answer(client: &mut Client, challenge: &str, request: &Request<'_>) -> String {
    client.challenged([challenge], CNONCE).unwrap();
    client.credentials(request).unwrap()
}

fn verify(
    server: &mut Server,
    now: Moment,
    row: &str,
    request: &Request<'_>,
    account: Option<&Account>,
) -> Result<Verified, Unverified> {
    let realm = server.realm().to_owned();
    let credentials = Credentials::find([row], &realm).unwrap().unwrap();
    server.verify(now, &credentials, request, account)
}

/// RFC 7616 3.9.1, with the password of erratum 4495.
#[test]
fn responses_are_those_of_rfc_7616() {
    let request = Request::new("GET", "/dir/index.html");
    let challenge = |algorithm: &str| {
        format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    };
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let mut client = Client::new(Account::new("Mufasa", b"Circle of Life"));
        client.challenged([&*challenge(algorithm)], "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ").unwrap();
        let row = client.credentials(&request).unwrap();
        assert_eq!(text(&row, "response"), response, "{row}");
        assert_eq!(text(&row, "nc"), "00000001");
        assert!(row.contains("opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""));
    }
}

/// RFC 7616 3.9.2, as erratum 4897 has it.
#[test]
fn a_hashed_user_name_is_that_of_rfc_7616() {
    let challenge = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
        nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
        opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8, userhash=true";
    let user = "J\u{e4}s\u{f8}n Doe";
    let mut client = Client::new(Account::new(user, b"Secret, or not?"));
    client.challenged([challenge], "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v").unwrap();
    let row = client.credentials(&Request::new("GET", "/doe.json")).unwrap();
    let hash = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
    assert_eq!(text(&row, "username"), hash);
    assert_eq!(text(&row, "response"), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
    assert_eq!(userhash(Hash::Sha512_256, user, "api@example.org"), hash);
    let credentials = Credentials::find([&*row], "api@example.org").unwrap().unwrap();
    assert_eq!(*credentials.user(), User::Hashed(hash.into()));
    // Without userhash, a name beyond ASCII has its own form.
    let mut client = Client::new(Account::new(user, b"Secret, or not?"));
    let row =
        answer(&mut client, &challenge.replace(", userhash=true", ""), &Request::new("GET", "/doe.json"));
    assert!(row.contains("username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, "), "{row}");
    let credentials = Credentials::find([&*row], "api@example.org").unwrap().unwrap();
    assert_eq!(*credentials.user(), User::Name(user.into()));
}

/// TS 35.208 test set 1; the responses were computed by another implementation.
#[test]
fn responses_of_aka_are_right() {
    let ck = Ck::new(*b"\xb4\x0b\xa9\xa3\xc5\x8b\x2a\x05\xbb\xf0\xd9\x87\xb2\x1b\xf8\xcb");
    let ik = Ik::new(*b"\xf7\x69\xbc\xd7\x51\x04\x46\x04\x12\x76\x72\x71\x1c\x6d\x34\x41");
    let account = || Account::aka("user1_private@home1.net", b"\xa5\x42\x11\xd5\xe3\xba\x50\xbf", &ck, &ik);
    let nonce = "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M=";
    let of_home = |with_v1| {
        let config = ServerConfig::new("home1.net").unwrap();
        Server::new(if with_v1 { config.with_aka_v1() } else { config }, NonceSecret::new([7; 32]))
    };
    let mut server = of_home(true);
    for (with_v1, algorithms, response) in [
        (true, &[Algorithm::AkaV1Md5] as &[_], "d18c7b9093f0b6c2829657d3caeeb24d"),
        (true, &[Algorithm::AkaV1Md5, Algorithm::AkaV2Md5], "4c314e2d06fd0ed7e3333fd13ad972ed"),
        (false, &[Algorithm::AkaV2Md5], "4c314e2d06fd0ed7e3333fd13ad972ed"),
    ] {
        let server = of_home(with_v1);
        let challenges = server.aka_challenges(nonce);
        assert_eq!(challenges.len(), 1 + usize::from(with_v1));
        // AKAv2 is taken though AKAv1 is on top.
        let rows = challenges.iter().rev().map(String::as_str);
        let mut client = Client::new(account()).with_algorithms(algorithms);
        client.challenged(rows, CNONCE).unwrap();
        let row = client.credentials(&SUBSCRIBE).unwrap();
        assert_eq!(text(&row, "response"), response, "{row}");
        let read = |row: &str| {
            let credentials = Credentials::find([row], "home1.net").unwrap().unwrap();
            (
                server
                    .verify_aka(&credentials, &SUBSCRIBE, nonce, &account())
                    .map(|verified| verified.user().to_owned()),
                { server.verify_aka(&credentials, &SUBSCRIBE, "other", &account()).err() },
            )
        };
        assert_eq!(read(&row), (Ok("user1_private@home1.net".into()), Some(Unverified::Stale)));
        // RES has eight octets: it is used once.
        let second = client.credentials(&SUBSCRIBE).unwrap();
        assert_eq!(read(&second).0, Err(Unverified::ShortRes));
        let flipped = row.replace(response, &response.replacen(&response[..1], "0", 1));
        assert_eq!(read(&flipped).0, Err(Unverified::Wrong));
    }
    // By default AKAv1 is not answered, and the server of passwords knows nothing of AKA.
    let v1 = [server.aka_challenges(nonce)[1].clone()];
    let mut client = Client::new(account());
    assert_eq!(client.challenged([&*v1[0]], CNONCE), Err(ClientError::NoChallenge));
    let row = answer(&mut client, &server.aka_challenges(nonce)[0], &SUBSCRIBE);
    assert_eq!(
        verify(&mut server, at(0), &row, &SUBSCRIBE, Some(&account())).err(),
        Some(Unverified::Algorithm)
    );
    // RAND and AUTN, for the ISIM.
    let challenge = Challenge::read_all([&*v1[0]]).remove(0).unwrap();
    let (rand, autn) = challenge.rand_autn().unwrap();
    assert_eq!(
        (rand[..4].to_vec(), autn[12..].to_vec()),
        (vec![0x23, 0x55, 0x3c, 0xbe], vec![0x54, 0xdf, 0xaf, 0xb3])
    );
    let auts =
        "Digest username=\"a\", realm=\"home1.net\", nonce=\"n\", uri=\"u\", response=\"\", auts=\"AAAA\"";
    assert_eq!(Credentials::find([auts], "home1.net").unwrap().unwrap().auts(), Some("AAAA"));
}

/// An empty password; the responses were computed by another implementation.
#[test]
fn an_anonymous_watcher_has_an_empty_password() {
    for (algorithm, response) in [
        ("MD5", "69a9fa6accae4a5245c4be54b725d3ea"),
        ("SHA-256", "8c13903f21a248e5f9f57e54b2f8fa676113a928c03bdee3625af383d5279a10"),
        ("SHA-512-256", "5bef58c859c52a5e1ac32fbc0a287cca8448aceb074e63e4e1105daf7314e9ac"),
    ] {
        let challenge = format!(
            "Digest realm=\"{REALM}\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", qop=\"auth\", algorithm={algorithm}"
        );
        let row = answer(&mut Client::new(Account::anonymous()), &challenge, &SUBSCRIBE);
        assert_eq!(text(&row, "response"), response, "{algorithm}");
        assert!(row.starts_with("Digest username=\"anonymous\", "));
    }
}

#[test]
fn both_ends_agree_whatever_is_chosen() {
    let body = b"<presence/>";
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_aka()) {
        for (integrity, hashed, ha1) in
            [(false, false, false), (true, false, false), (false, true, false), (true, true, true)]
        {
            let mut config = config().with_algorithms(&[algorithm]).unwrap();
            if hashed {
                config = config.with_userhash();
            }
            let mut server = Server::new(config, NonceSecret::new([7; 32]));
            let account = if ha1 {
                let hash = algorithm.hash();
                Account::from_ha1("alice", hash, &ha1_of(algorithm)).unwrap()
            } else {
                alice()
            };
            let mut client = Client::new(alice());
            if integrity {
                client = client.with_integrity();
            }
            let request = SUBSCRIBE.with_body(body);
            let challenges = server.challenges(at(0), false);
            client.challenged(challenges.iter().map(String::as_str), CNONCE).unwrap();
            for _ in 0..3 {
                let row = client.credentials(&request).unwrap();
                let verified = verify(&mut server, at(1), &row, &request, Some(&account)).unwrap();
                let qop = if integrity { Qop::AuthInt } else { Qop::Auth };
                assert_eq!(
                    (verified.user(), verified.algorithm(), verified.qop()),
                    ("alice", algorithm, qop)
                );
                let info = server.authentication_info(at(1), &verified, b"answer");
                assert_eq!(client.answered(Some(&info), b"answer"), Ok(true), "{info}");
                let other = client.answered(Some(&info), b"other");
                assert_eq!(other, if integrity { Err(ClientError::Rspauth) } else { Ok(true) });
                // Another body is noticed with auth-int only.
                let row = client.credentials(&request).unwrap();
                let other = verify(&mut server, at(1), &row, &SUBSCRIBE.with_body(b"x"), Some(&account));
                assert_eq!(other.err(), integrity.then_some(Unverified::Wrong));
            }
        }
    }
}

/// H(A1) of alice, made by another implementation (Python's hashlib).
fn ha1_of(algorithm: Algorithm) -> String {
    match algorithm.hash() {
        Hash::Md5 => "278366693df1c84f1335840590d51c4a",
        Hash::Sha256 => "2674e6647781835fc96bd250febbd958fb40ad3ae95321c48eb7a929a7aee539",
        Hash::Sha512_256 | _ => "476410f663dba2a36f0726ca84f4818c5dced4043a950bec45c85b6de7f72334",
    }
    .into()
}

#[test]
fn a_request_that_is_replayed_is_refused() {
    let mut server = server();
    let mut client = Client::new(alice());
    let challenge = server.challenges(at(0), false).remove(0);
    let first = answer(&mut client, &challenge, &SUBSCRIBE);
    let second = client.credentials(&SUBSCRIBE).unwrap();
    let third = client.credentials(&SUBSCRIBE).unwrap();
    let mut of = |row: &str| verify(&mut server, at(1), row, &SUBSCRIBE, Some(&alice())).map(drop);
    assert_eq!(of(&first), Ok(()));
    assert_eq!(of(&first), Err(Unverified::Replayed));
    // Out of order, each once.
    assert_eq!((of(&third), of(&second)), (Ok(()), Ok(())));
    assert_eq!((of(&third), of(&second)), (Err(Unverified::Replayed), Err(Unverified::Replayed)));
    // A replay with another count is no right response.
    assert_eq!(of(&first.replace("nc=00000001", "nc=00000009")), Err(Unverified::Wrong));
    assert!(Unverified::Replayed.is_stale() && Unverified::Stale.is_stale() && !Unverified::Wrong.is_stale());
    // After a start, with another secret, nothing of before is accepted.
    let mut restarted = Server::new(config(), NonceSecret::new([8; 32]));
    for row in [&first, &second] {
        assert_eq!(
            verify(&mut restarted, at(1), row, &SUBSCRIBE, Some(&alice())).err(),
            Some(Unverified::Stale)
        );
    }
    assert_eq!(restarted.sessions(), 0);
}

#[test]
fn wrong_credentials_change_nothing_and_say_nothing() {
    let mut server = server();
    let mut client = Client::new(alice());
    let challenge = server.challenges(at(0), false).remove(0);
    let row = answer(&mut client, &challenge, &SUBSCRIBE);
    let nonce = text(&row, "nonce");
    let mut of =
        |row: &str, account: Option<&Account>| verify(&mut server, at(1), row, &SUBSCRIBE, account).map(drop);
    // No such user, another user, a wrong password: one answer.
    assert_eq!(of(&row, None), Err(Unverified::Wrong));
    assert_eq!(of(&row, Some(&Account::new("bob", b"correct horse"))), Err(Unverified::Wrong));
    assert_eq!(of(&row, Some(&Account::new("alice", b"correct horsf"))), Err(Unverified::Wrong));
    assert_eq!(
        of(&row, Some(&Account::from_ha1("alice", Hash::Md5, &ha1_of(Algorithm::Md5)).unwrap())),
        Err(Unverified::Wrong)
    );
    // Whoever knows that unknown users are compared with an empty password gains nothing.
    let mut nobody = Client::new(Account::new("", b""));
    let empty = answer(&mut nobody, &challenge, &SUBSCRIBE);
    assert_eq!(of(&empty, None), Err(Unverified::Wrong));
    for (from, to) in [
        ("username=\"alice\"", "username=\"Alice\""),
        ("response=\"", "response=\"0"),
        (&*format!("response=\"{}\"", text(&row, "response")), "response=\"\""),
        ("nc=00000001", "nc=00000002"),
        ("cnonce=\"0", "cnonce=\"1"),
        (&nonce[..4], "BBBB"),
    ] {
        assert!(row.contains(from), "{from}");
        assert_eq!(of(&row.replacen(from, to, 1), Some(&alice())), Err(Unverified::Wrong), "{from}");
    }
    for (from, to, error) in [
        ("qop=auth, nc=00000001, cnonce=\"0a4f113b\"", "x=y", Unverified::Qop),
        ("SHA-256", "SHA-256-sess", Unverified::Algorithm),
        ("SHA-256", "SHA-3", Unverified::Algorithm),
        (URI, "sip:user2_public1@home1.net", Unverified::Uri),
    ] {
        assert!(row.contains(from), "{from}");
        assert_eq!(of(&row.replace(from, to), Some(&alice())), Err(error), "{from}");
    }
    assert_eq!(of(&row, Some(&alice())), Ok(()), "nothing was used up");
    // A nonce that the server did not make, though the response to it is right.
    let forged = challenge.replace(&nonce, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let forged = answer(&mut Client::new(alice()), &forged, &SUBSCRIBE);
    assert_eq!(of(&forged, Some(&alice())), Err(Unverified::Stale));
    // Each digit of a nonce counts, and the realm.
    for digit in 0..nonce.len() {
        let mut other = nonce.clone().into_bytes();
        other[digit] = if other[digit] == b'A' { b'B' } else { b'A' };
        let other = challenge.replace(&nonce, std::str::from_utf8(&other).unwrap());
        let other = answer(&mut Client::new(alice()), &other, &SUBSCRIBE);
        assert_eq!(of(&other, Some(&alice())), Err(Unverified::Stale), "digit {digit}");
    }
    let mut elsewhere = Server::new(ServerConfig::new("home2.net").unwrap(), NonceSecret::new([7; 32]));
    let row = answer(&mut Client::new(alice()), &challenge.replace(REALM, "home2.net"), &SUBSCRIBE);
    assert_eq!(
        verify(&mut elsewhere, at(1), &row, &SUBSCRIBE, Some(&alice())).err(),
        Some(Unverified::Stale)
    );
    let row = answer(&mut Client::new(alice()), &challenge, &SUBSCRIBE);
    let credentials = Credentials::find([&*row], REALM).unwrap().unwrap();
    assert_eq!(
        elsewhere.verify(at(1), &credentials, &SUBSCRIBE, Some(&alice())).err(),
        Some(Unverified::Realm)
    );
}

#[test]
fn the_digest_uri_names_what_the_request_names() {
    let mut server = server();
    let mut any = Server::new(config().with_any_uri(), NonceSecret::new([7; 32]));
    let challenge = server.challenges(at(0), false).remove(0);
    for (uri, request, is_named) in [
        ("sip:bob@home1.net", "SIP:bob@HOME1.net", true),
        ("sip:bob@home1.net", "sip:Bob@home1.net", false),
        ("sip:bob@home1.net;user=phone", "sip:bob@HOME1.NET;user=phone", true),
        ("sip:bob@home1.net", "sip:bob@home1.net;user=phone", false),
        ("sip:bob@home1.net", "sips:bob@home1.net", false),
        ("sip:home1.net", "sip:HOME1.net", true),
        ("/a/B", "/a/b", false),
        ("/a@b", "/a@B", false),
        ("http://EXAMPLE.org/a", "http://example.org/a", true),
        ("http://example.org/A@B", "http://example.org/A@b", false),
        ("http://BOB@h/x", "http://bob@h/x", false),
        ("http://bob@h/x", "http://bob@H/x", true),
        ("sip:bob@home1.net", "sip:bob@pcscf.home1.net", false),
    ] {
        let row = answer(&mut Client::new(alice()), &challenge, &Request::new("SUBSCRIBE", uri));
        let request = Request::new("SUBSCRIBE", request);
        let error = verify(&mut server, at(1), &row, &request, Some(&alice())).err();
        let right = if is_named { [None, Some(Unverified::Replayed)] } else { [Some(Unverified::Uri); 2] };
        assert!(right.contains(&error), "{uri}: {error:?}");
        // As another name of the same, or where the server says that it serves all.
        let other = [uri];
        let mut other_server = Server::new(config(), NonceSecret::new([7; 32]));
        let row = answer(
            &mut Client::new(alice()),
            &other_server.challenges(at(0), false)[0].clone(),
            &Request::new("SUBSCRIBE", uri),
        );
        assert!(
            verify(&mut other_server, at(1), &row, &request.with_other_uris(&other), Some(&alice())).is_ok()
        );
        let row = answer(
            &mut Client::new(alice()),
            &any.challenges(at(0), false)[0].clone(),
            &Request::new("SUBSCRIBE", uri),
        );
        assert!(verify(&mut any, at(1), &row, &request, Some(&alice())).is_ok());
    }
}

#[test]
fn nonces_grow_old_and_the_next_one_comes_in_time() {
    let mut server =
        Server::new(config().with_nonce_life(Duration::from_secs(100)), NonceSecret::new([7; 32]));
    let mut client = Client::new(alice());
    let challenges = server.challenges(at(1000), false);
    client.challenged(challenges.iter().map(String::as_str), CNONCE).unwrap();
    let mut nonces = std::collections::BTreeSet::new();
    // At half of its life another one is given; the client is never challenged again.
    for seconds in (1000..2000).step_by(30) {
        let row = client.credentials(&SUBSCRIBE).unwrap();
        nonces.insert(text(&row, "nonce"));
        let verified = verify(&mut server, at(seconds), &row, &SUBSCRIBE, Some(&alice())).unwrap();
        let info = server.authentication_info(at(seconds), &verified, b"");
        assert_eq!(client.answered(Some(&info), b""), Ok(true));
    }
    assert!((10..20).contains(&nonces.len()), "{}", nonces.len());
    // Too old, to the millisecond.
    let mut answer_at = |millis: u64| {
        let challenge = server.challenges(at(3000), false).remove(0);
        let row = answer(&mut Client::new(alice()), &challenge, &SUBSCRIBE);
        let fresh =
            Server::new(config().with_nonce_life(Duration::from_secs(100)), NonceSecret::new([7; 32]));
        let mut fresh = fresh;
        verify(&mut fresh, Moment::from_millis(3_000_000 + millis), &row, &SUBSCRIBE, Some(&alice())).err()
    };
    assert_eq!((answer_at(100_000), answer_at(100_001)), (None, Some(Unverified::Stale)));
    // The clock steps: back, and nothing is lost; ahead, and one challenge more is due.
    let mut server =
        Server::new(config().with_nonce_life(Duration::from_secs(100)), NonceSecret::new([7; 32]));
    let mut client = Client::new(alice());
    let mut row = answer(&mut client, &server.challenges(at(5000), false)[0].clone(), &SUBSCRIBE);
    for (seconds, expected) in [
        (5, None),
        (0, None),
        (5100, None),
        (50, None),
        (9000, Some(Unverified::Stale)),
        (5001, Some(Unverified::Stale)),
    ] {
        assert_eq!(
            verify(&mut server, at(seconds), &row, &SUBSCRIBE, Some(&alice())).err(),
            expected,
            "{seconds}"
        );
        row = client.credentials(&SUBSCRIBE).unwrap();
    }
    let again = server.challenges(at(5001), true).remove(0);
    let row = answer(&mut client, &again, &SUBSCRIBE);
    assert!(
        again.contains("stale=true")
            && verify(&mut server, at(5002), &row, &SUBSCRIBE, Some(&alice())).is_ok()
    );
}

#[test]
fn a_secret_that_is_rotated_is_good_until_the_next_rotation() {
    let mut server = server();
    let mut client = Client::new(alice());
    let mut row = answer(&mut client, &server.challenges(at(0), false)[0].clone(), &SUBSCRIBE);
    let replay = row.clone();
    for (secret, expected) in [(None, None), (Some(8), None), (Some(9), Some(Unverified::Stale))] {
        if let Some(secret) = secret {
            server.rotate(NonceSecret::new([secret; 32]));
        }
        assert_eq!(
            verify(&mut server, at(1), &row, &SUBSCRIBE, Some(&alice())).err(),
            expected,
            "{secret:?}"
        );
        if expected.is_none() {
            // Counts outlive a rotation.
            assert_eq!(
                verify(&mut server, at(1), &replay, &SUBSCRIBE, Some(&alice())).err(),
                Some(Unverified::Replayed)
            );
        }
        row = client.credentials(&SUBSCRIBE).unwrap();
    }
}

#[test]
fn the_table_is_bounded_and_what_leaves_it_is_stale() {
    let mut server = Server::new(config().with_max_sessions(3), NonceSecret::new([7; 32]));
    let mut rows = Vec::new();
    for number in 0..10 {
        // Challenges that nobody answers cost nothing.
        (0..100).for_each(|_| drop(server.challenges(at(0), false)));
        let mut client = Client::new(alice());
        rows.push(answer(&mut client, &server.challenges(at(0), false)[0].clone(), &SUBSCRIBE));
        assert!(verify(&mut server, at(0), &rows[number], &SUBSCRIBE, Some(&alice())).is_ok());
        assert!(server.sessions() <= 3);
    }
    let errors =
        rows.iter().map(|row| verify(&mut server, at(0), row, &SUBSCRIBE, Some(&alice())).unwrap_err());
    let errors: Vec<_> = errors.collect();
    assert_eq!(errors[..7], [Unverified::Stale; 7]);
    assert_eq!(errors[7..], [Unverified::Replayed; 3]);
    // A nonce is its first user's.
    let challenge = server.challenges(at(0), false).remove(0);
    let bob = || Account::new("bob", b"x");
    let (of_alice, of_bob) = (
        answer(&mut Client::new(alice()), &challenge, &SUBSCRIBE),
        answer(&mut Client::new(bob()), &challenge, &SUBSCRIBE),
    );
    assert!(verify(&mut server, at(0), &of_bob, &SUBSCRIBE, Some(&bob())).is_ok());
    assert_eq!(
        verify(&mut server, at(0), &of_alice, &SUBSCRIBE, Some(&alice())).err(),
        Some(Unverified::Stale)
    );
}

/// RFC 7616 3.4.2: A1 of a session keeps the first cnonce. Clients do it, or take the new one.
#[test]
fn a_session_keeps_its_first_cnonce_or_takes_the_new_one() {
    let config = config().with_algorithms(&[Algorithm::Sha256Sess]).unwrap();
    let mut server = Server::new(config.with_nonce_life(Duration::from_secs(100)), NonceSecret::new([7; 32]));
    let challenge = server.challenges(at(0), false).remove(0);
    let mut client = Client::new(alice());
    let first = answer(&mut client, &challenge, &SUBSCRIBE);
    let verified = verify(&mut server, at(90), &first, &SUBSCRIBE, Some(&alice())).unwrap();
    // The session is bound to its nonce: no other one is given.
    assert!(!server.authentication_info(at(90), &verified, b"").contains("nextnonce"));
    // The new one: as if the client were challenged again by the same nonce.
    let mut other = Client::new(alice());
    other.challenged([&*challenge], "new").unwrap();
    other.credentials(&SUBSCRIBE).unwrap();
    let second = other.credentials(&SUBSCRIBE).unwrap();
    assert!(verify(&mut server, at(91), &second, &SUBSCRIBE, Some(&alice())).is_ok());
    // The first one in A1, a new one in the request: computed as RFC 7616 writes it.
    let hash = |text: String| sha256(&text);
    let a1 = hash(format!("{}:{}:{CNONCE}", ha1_of(Algorithm::Sha256), text(&challenge, "nonce")));
    let a2 = hash(format!("SUBSCRIBE:{URI}"));
    let response = hash(format!("{a1}:{}:00000003:third:auth:{a2}", text(&challenge, "nonce")));
    let third = second
        .replace("00000002", "00000003")
        .replace("cnonce=\"new\"", "cnonce=\"third\"")
        .replace(&text(&second, "response"), &response);
    assert!(verify(&mut server, at(92), &third, &SUBSCRIBE, Some(&alice())).is_ok());
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text).iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn a_client_takes_the_topmost_challenge_that_it_can_answer() {
    let of = |algorithm: &str| {
        format!("Digest realm=\"a\", nonce=\"{algorithm}\", qop=\"auth\", algorithm={algorithm}")
    };
    let chosen = |client: Client, rows: &[String]| {
        let mut client = client;
        client.challenged(rows.iter().map(String::as_str), CNONCE)
    };
    let rows = [of("SHA-3"), "Basic realm=\"a\"".into(), of("sha-512-256"), of("MD5"), of("SHA-256")];
    assert_eq!(chosen(Client::new(alice()), &rows), Ok(Algorithm::Sha512_256));
    let without = Client::new(alice()).with_algorithms(&[Algorithm::Sha256]);
    assert_eq!(chosen(without, &rows), Ok(Algorithm::Sha256));
    let one_row = [format!("{}, {}", of("SHA-256"), of("MD5"))];
    assert_eq!(chosen(Client::new(alice()), &one_row), Ok(Algorithm::Sha256));
    // One that cannot be read does not spoil the others.
    assert_eq!(chosen(Client::new(alice()), &["Digest realm=\"".into(), of("MD5")]), Ok(Algorithm::Md5));
    assert_eq!(
        chosen(Client::new(alice()), &["Digest qop=auth".into()]),
        Err(DigestError::Missing("realm").into())
    );
    assert_eq!(chosen(Client::new(alice()), &[of("SHA-3")]), Err(ClientError::NoChallenge));
    assert_eq!(chosen(Client::new(alice()), &[]), Err(ClientError::NoChallenge));
    // Without an algorithm it is MD5; without qop there is no count (RFC 2069).
    let mut client = Client::new(alice());
    let old = "Digest realm=\"a\", nonce=\"b\"";
    let row = answer(&mut client, old, &SUBSCRIBE);
    assert!(!row.contains("nc=") && !row.contains("qop"), "{row}");
    // Computed by another implementation.
    assert_eq!(text(&row, "response"), "523728e9023e4dcf6f9932a4fe1ac4ff");
}

#[test]
fn a_client_does_not_try_a_wrong_password_again() {
    let mut server = server();
    let mut client = Client::new(alice());
    assert_eq!(client.credentials(&SUBSCRIBE), Err(ClientError::NotChallenged));
    assert_eq!(client.answered(None, b""), Err(ClientError::NotChallenged));
    let challenge = |server: &mut Server, is_stale| server.challenges(at(0), is_stale).remove(0);
    client.challenged([&*challenge(&mut server, false)], CNONCE).unwrap();
    client.credentials(&SUBSCRIBE).unwrap();
    client.challenged([&*challenge(&mut server, true)], CNONCE).unwrap();
    client.credentials(&SUBSCRIBE).unwrap();
    let before = format!("{client:?}");
    assert_eq!(client.challenged([&*challenge(&mut server, false)], CNONCE), Err(ClientError::Refused));
    assert_eq!(format!("{client:?}"), before);
    // One that was accepted may be challenged again: a refresh, a restart of the server.
    assert_eq!(client.answered(None, b""), Ok(false));
    client.challenged([&*challenge(&mut server, false)], CNONCE).unwrap();
    client.credentials(&SUBSCRIBE).unwrap();
    // A server that proves nothing, or something wrong.
    assert_eq!(client.answered(Some("rspauth=\"00\""), b""), Err(DigestError::Value("rspauth").into()));
    let wrong = format!("qop=auth, rspauth=\"{}\", nextnonce=\"x\"", "0".repeat(64));
    assert_eq!(client.answered(Some(&wrong), b""), Err(ClientError::Rspauth));
    assert_ne!(text(&client.credentials(&SUBSCRIBE).unwrap(), "nonce"), "x");
    for cnonce in ["", "a\r\nb"] {
        assert_eq!(
            client.challenged([&*challenge(&mut server, false)], cnonce),
            Err(ClientError::Unwritable("cnonce"))
        );
    }
    assert_eq!(
        client.credentials(&Request::new("SUBSCRIBE", "sip:a\r\nb")),
        Err(ClientError::Unwritable("URI"))
    );
    let mut client = Client::new(Account::new("a\nb", b""));
    client.challenged([&*challenge(&mut server, false)], CNONCE).unwrap();
    assert_eq!(client.credentials(&SUBSCRIBE), Err(ClientError::Unwritable("user name")));
}

#[test]
fn credentials_that_cannot_be_read_have_a_reason() {
    let good = "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"00\", qop=auth, nc=00000001, cnonce=\"c\"";
    let find = |row: &str| Credentials::find([row], "r").map(|found| found.is_some());
    assert_eq!(find(good), Ok(true));
    assert_eq!(find(&good.replace(", ", " ,\r\n\t")), Ok(true));
    assert_eq!(find("Bearer abc"), Ok(false));
    assert_eq!(find(&good.replace("realm=\"r\"", "realm=\"s\"")), Ok(false));
    let other = good.replace("realm=\"r\"", "realm=\"s\"");
    assert!(Credentials::find([&*other, good], "r").unwrap().is_some());
    for (name, from) in [
        ("username", "username=\"a\", "),
        ("realm", "realm=\"r\", "),
        ("nonce", " nonce=\"n\","),
        ("uri", "uri=\"u\", "),
        ("response", "response=\"00\", "),
        ("nc", "nc=00000001, "),
        ("cnonce", ", cnonce=\"c\""),
    ] {
        assert_eq!(find(&good.replace(from, "")), Err(DigestError::Missing(name)), "{name}");
    }
    for (name, from, to) in [
        ("nc", "00000001", "00000000"),
        ("nc", "00000001", "1"),
        ("nc", "00000001", "0000000g"),
        ("nc", "00000001", "+0000001"),
        ("nc", "00000001", "000000001"),
        ("qop", "qop=auth", "qop=auth-conf"),
        ("cnonce", "\"c\"", "\"\""),
        ("username*", "username=\"a\"", "username*=UTF-8''%f"),
        ("username*", "username=\"a\"", "username=\"a\", username*=UTF-8''a"),
    ] {
        assert_eq!(find(&good.replace(from, to)), Err(DigestError::Value(name)), "{to}");
    }
    assert_eq!(find(&format!("{good}, NONCE=x")), Err(DigestError::Duplicate("NONCE".into())));
    assert_eq!(find("Digest username=\"a"), Err(DigestError::Grammar(7)));
    assert_eq!(find("username=\"a\""), Err(DigestError::Grammar(0)));
    assert_eq!(find(&format!("{good}, x=\"{}\"", "y".repeat(9000))), Err(DigestError::TooLong));
    assert_eq!(ServerConfig::new("a\nb").err(), Some(ServerError::Realm));
    assert_eq!(config().with_algorithms(&[]).err(), Some(ServerError::Offer));
    assert_eq!(config().with_algorithms(&[Algorithm::AkaV2Md5]).err(), Some(ServerError::Offer));
    assert_eq!(config().with_qops(&[]).err(), Some(ServerError::Offer));
    assert!(Account::from_ha1("a", Hash::Sha256, "00").is_err());
    assert_eq!((Role::Server.status(), Role::Proxy.status()), (401, 407));
}

#[test]
fn challenges_are_in_the_order_of_the_server_and_say_what_it_takes() {
    let nonces: Vec<_> = server().challenges(at(0), false).iter().map(|row| text(row, "nonce")).collect();
    assert!(nonces.iter().all(|nonce| *nonce == nonces[0]), "one nonce for all");
    let mut server = Server::new(config().with_userhash(), NonceSecret::new([7; 32]));
    let rows = server.challenges(at(0), true);
    let nonce = text(&rows[0], "nonce");
    assert_eq!(
        rows[0],
        format!(
            "Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=SHA-256, qop=\"auth,auth-int\", stale=true, userhash=true"
        )
    );
    let algorithms: Vec<_> = rows.iter().map(|row| text(row, "algorithm")).collect();
    assert_eq!(algorithms, ["SHA-256", "SHA-512-256", "MD5"]);
    assert_ne!(text(&server.challenges(at(0), false)[0], "nonce"), nonce, "another one at the same time");
}

#[test]
fn secrets_are_not_printed() {
    let ck_ik = (Ck::new([0x41; 16]), Ik::new([0x42; 16]));
    let mut client = Client::new(alice());
    let mut server = server();
    let row = answer(&mut client, &server.challenges(at(0), false)[0].clone(), &SUBSCRIBE);
    let verified = verify(&mut server, at(0), &row, &SUBSCRIBE, Some(&alice())).unwrap();
    let printed = format!(
        "{:?} {:?} {client:?} {server:?} {verified:?} {:?}",
        alice(),
        Account::aka("a", b"ABCD", &ck_ik.0, &ck_ik.1),
        NonceSecret::new([7; 32])
    );
    for secret in ["correct", "horse", "ABCD", "65, 65", "7, 7, 7", "99, 111, 114"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

fn decide(policy: &SubscriptionPolicy, server: &mut Server, subscription: &Subscription<'_>) -> String {
    let who =
        |accepted: &Accepted| format!("{} {:?}", accepted.identity.as_deref().unwrap_or("-"), accepted.by);
    let decision = policy.decide(at(100), server, subscription);
    let text = match &decision {
        Decision::Challenge(reason, challenges) => {
            assert_eq!(challenges.len(), 3);
            format!("challenge {reason:?}")
        }
        Decision::Refuse(reason) => format!("refuse {reason:?}"),
        Decision::Accept(accepted) => format!("accept {}", who(accepted)),
        Decision::Pending(accepted) => format!("pending {}", who(accepted)),
        Decision::PoliteBlock(accepted) => format!("nothing {}", who(accepted)),
        _ => String::new(),
    };
    format!("{} {text}", decision.status())
}

/// TR 33.941 8.1.4: whether, by which method and with which credentials.
#[test]
fn the_policy_decides() {
    let watcher = |name: &str, handling| {
        Watcher::new(&format!("sip:{name}@home1.net"), handling)
            .with_account(Account::new(name, b"correct horse"))
    };
    let policy = || {
        SubscriptionPolicy::new()
            .with_watcher(watcher("alice", Handling::Allow))
            .with_watcher(watcher("carol", Handling::Confirm))
            .with_watcher(watcher("dave", Handling::PoliteBlock))
            .with_watcher(watcher("eve", Handling::Block))
    };
    let mut server = server();
    let row_of = |server: &mut Server, account: Account| {
        answer(&mut Client::new(account), &server.challenges(at(100), false)[0].clone(), &SUBSCRIBE)
    };
    let plain = Subscription::new(SUBSCRIBE, &[]);
    let mut digest = |policy: &SubscriptionPolicy, user: &str, password: &[u8]| {
        let row = row_of(&mut server, Account::new(user, password));
        decide(policy, &mut server, &Subscription::new(SUBSCRIBE, &[&row]))
    };
    for (user, expected) in [
        ("alice", "200 accept sip:alice@home1.net Digest(Sha256)"),
        ("carol", "202 pending sip:carol@home1.net Digest(Sha256)"),
        ("dave", "200 nothing sip:dave@home1.net Digest(Sha256)"),
        ("eve", "403 refuse Blocked"),
        ("mallory", "401 challenge Unverified(Wrong)"),
    ] {
        assert_eq!(digest(&policy(), user, b"correct horse"), expected);
    }
    assert_eq!(digest(&policy(), "alice", b"wrong"), "401 challenge Unverified(Wrong)");
    assert_eq!(digest(&policy().with_wrong_refused(), "alice", b"wrong"), "403 refuse Unverified(Wrong)");
    // Anonymous watchers, RFC 3261 22.1.
    for (handling, expected) in [
        (Handling::Confirm, "202 pending - Anonymous"),
        (Handling::PoliteBlock, "200 nothing - Anonymous"),
        (Handling::Allow, "200 accept - Anonymous"),
    ] {
        assert_eq!(digest(&policy().with_anonymous(handling), "anonymous", b""), expected);
        let open = policy().with_anonymous(handling).without_authentication();
        assert_eq!(decide(&open, &mut self::server(), &plain), expected);
    }
    assert_eq!(digest(&policy(), "anonymous", b""), "401 challenge Unverified(Wrong)");
    assert_eq!(decide(&policy().without_authentication(), &mut self::server(), &plain), "403 refuse Blocked");
    assert_eq!(
        digest(&policy().with_anonymous(Handling::Allow), "anonymous", b"x"),
        "401 challenge Unverified(Wrong)"
    );
    // What a trusted element asserts counts only where the policy says so.
    let mut server = self::server();
    let asserted = plain.clone().with_asserted("<SIP:alice@HOME1.net>");
    let by_assertion = policy().with_method(Method::Asserted).with_others(Handling::Confirm);
    assert_eq!(decide(&policy(), &mut server, &asserted), "401 challenge Unauthenticated");
    assert_eq!(decide(&by_assertion, &mut server, &asserted), "200 accept sip:alice@home1.net Asserted");
    let other = plain.clone().with_asserted("tel:+1234");
    assert_eq!(decide(&by_assertion, &mut server, &other), "202 pending tel:+1234 Asserted");
    let aka = plain.clone().with_authenticated(Method::HttpDigestAka, "sip:alice@home1.net");
    assert_eq!(decide(&policy(), &mut server, &aka), "401 challenge Unauthenticated");
    let with_aka = policy().with_method(Method::HttpDigestAka);
    assert_eq!(decide(&with_aka, &mut server, &aka), "200 accept sip:alice@home1.net Other(HttpDigestAka)");
    // A refresh is challenged, or trusted for a while.
    let refresh = |at| plain.clone().refreshing(Some("sip:alice@home1.net"), at);
    let trusting = policy().with_trust_in_dialogs(Duration::from_secs(60));
    assert_eq!(decide(&policy(), &mut server, &refresh(at(99))), "401 challenge Again");
    assert_eq!(decide(&trusting, &mut server, &refresh(at(41))), "200 accept sip:alice@home1.net Before");
    assert_eq!(decide(&trusting, &mut server, &refresh(at(40))), "401 challenge Again");
    assert_eq!(decide(&trusting, &mut server, &refresh(at(101))), "401 challenge Again");
    let blocked = plain.clone().refreshing(Some("sip:eve@home1.net"), at(99));
    assert_eq!(decide(&trusting, &mut server, &blocked), "403 refuse Blocked");
    let row = row_of(&mut server, Account::new("carol", b"correct horse"));
    let rows = [row.as_str()];
    let taken_over = Subscription::new(SUBSCRIBE, &rows).refreshing(Some("sip:alice@home1.net"), at(99));
    assert_eq!(decide(&trusting, &mut server, &taken_over), "403 refuse OtherWatcher");
    // An anonymous watcher stays one.
    let polite = policy().with_anonymous(Handling::PoliteBlock).with_others(Handling::Allow);
    let polite = polite.with_trust_in_dialogs(Duration::from_secs(60));
    let anonymous = plain.clone().refreshing(None, at(99));
    assert_eq!(decide(&polite, &mut server, &anonymous), "200 nothing - Before");
    let row_of_anonymous = row_of(&mut server, Account::anonymous());
    let rows_of_anonymous = [row_of_anonymous.as_str()];
    let again = Subscription::new(SUBSCRIBE, &rows_of_anonymous).refreshing(None, at(9));
    assert_eq!(decide(&polite, &mut server, &again), "200 nothing - Anonymous");
    assert_eq!(decide(&trusting, &mut server, &taken_over), "401 challenge Unverified(Replayed)");
    // A replay, an old nonce, another URI, what cannot be read.
    let replay = Subscription::new(SUBSCRIBE, &rows);
    assert_eq!(decide(&policy(), &mut server, &replay), "401 challenge Unverified(Replayed)");
    let elsewhere = Subscription::new(Request::new("SUBSCRIBE", "sip:x@y"), &rows);
    assert_eq!(decide(&policy(), &mut server, &elsewhere), "400 refuse Unverified(Uri)");
    let bad = Subscription::new(SUBSCRIBE, &["Digest username=\"a"]);
    assert_eq!(decide(&policy(), &mut server, &bad), "400 refuse Malformed(Grammar(7))");
    let stale = policy().decide(at(100), &mut server, &replay);
    assert!(
        matches!(stale, Decision::Challenge(_, rows) if rows.iter().all(|row| row.contains("stale=true")))
    );
    let Decision::Accept(accepted) = policy().decide(
        at(100),
        &mut server,
        &Subscription::new(SUBSCRIBE, &[&row_of(&mut self::server(), alice())]),
    ) else {
        panic!("the same secret makes the same nonces")
    };
    assert_eq!((accepted.by, accepted.verified.unwrap().user()), (By::Digest(Algorithm::Sha256), "alice"));
    assert_eq!(DecisionReason::Unauthenticated, DecisionReason::Unauthenticated);
}

/// What everybody knows displaces nothing that somebody proved.
#[test]
fn anonymous_watchers_take_no_place_in_the_table() {
    let mut server = Server::new(config().with_max_sessions(2), NonceSecret::new([7; 32]));
    let challenge = server.challenges(at(0), false).remove(0);
    let mut client = Client::new(alice());
    let first = answer(&mut client, &challenge, &SUBSCRIBE);
    for _ in 0..5 {
        let challenge = server.challenges(at(0), false).remove(0);
        let row = answer(&mut Client::new(Account::anonymous()), &challenge, &SUBSCRIBE);
        assert!(verify(&mut server, at(0), &row, &SUBSCRIBE, Some(&Account::anonymous())).is_ok());
    }
    let row = answer(&mut Client::new(Account::anonymous()), &challenge, &SUBSCRIBE);
    assert!(verify(&mut server, at(0), &row, &SUBSCRIBE, Some(&Account::anonymous())).is_ok());
    assert_eq!(server.sessions(), 0);
    assert!(verify(&mut server, at(0), &first, &SUBSCRIBE, Some(&alice())).is_ok());
}

#[test]
fn a_hashed_name_is_taken_only_where_it_was_offered() {
    let challenge =
        Server::new(config().with_userhash(), NonceSecret::new([7; 32])).challenges(at(0), false).remove(0);
    let row = answer(&mut Client::new(alice()), &challenge, &SUBSCRIBE);
    for (config, expected) in [(config(), Some(Unverified::Wrong)), (config().with_userhash(), None)] {
        let mut server = Server::new(config, NonceSecret::new([7; 32]));
        assert_eq!(verify(&mut server, at(0), &row, &SUBSCRIBE, Some(&alice())).err(), expected);
    }
}

#[test]
fn requests_in_flight_are_answered_in_any_order() {
    let mut server = server();
    let mut client = Client::new(alice());
    client.challenged([&*server.challenges(at(0), false)[0]], CNONCE).unwrap();
    let requests = ["sip:a@home1.net", "sip:b@home1.net"].map(|uri| Request::new("SUBSCRIBE", uri));
    let mut infos = requests.map(|request| {
        // As some write it.
        let row = client.credentials(&request).unwrap();
        let verified = verify(&mut server, at(0), &row, &request, Some(&alice())).unwrap();
        server.authentication_info(at(0), &verified, b"")
    });
    infos.reverse();
    for info in &infos {
        assert_eq!(client.answered(Some(info), b""), Ok(true), "{info}");
    }
    assert_eq!(
        client.answered(Some(&infos[0].replace("00000002", "00000009")), b""),
        Err(ClientError::Rspauth)
    );
    assert_eq!(client.answered(Some("nextnonce=\"\""), b""), Err(DigestError::Value("nextnonce").into()));
    // A count in capitals is hashed, and repeated, as it was written.
    let nonce = text(&server.challenges(at(0), false)[0], "nonce");
    let hash = |text: String| sha256(&text);
    let (a1, a2) = (ha1_of(Algorithm::Sha256), hash(format!("SUBSCRIBE:{URI}")));
    let response = hash(format!("{a1}:{nonce}:0000000A:c:auth:{a2}"));
    let row = format!(
        "Digest username=\"alice\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{URI}\", response=\"{response}\", \
         algorithm=SHA-256, qop=auth, nc=0000000A, cnonce=\"c\""
    );
    let verified = verify(&mut server, at(0), &row, &SUBSCRIBE, Some(&alice())).unwrap();
    let info = server.authentication_info(at(0), &verified, b"");
    assert_eq!(
        text(&info, "rspauth"),
        hash(format!("{a1}:{nonce}:0000000A:c:auth:{}", hash(format!(":{URI}"))))
    );
}

/// Rows of other realms are passed over unread, rows are few, and no row takes long.
#[test]
fn hostile_rows_cost_little() {
    let good = "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"00\", qop=auth, nc=00000001, cnonce=\"c\"";
    assert!(Credentials::find(["Digest realm=\"other\", qop=auth-conf, nc=1", good], "r").unwrap().is_some());
    let others = ["Digest realm=\"other\""; 16];
    let rows = || others.iter().copied().chain([good]);
    assert!(Credentials::find(rows().skip(1), "r").unwrap().is_some());
    assert_eq!(Credentials::find(rows(), "r").err(), Some(DigestError::TooLong));
    let many: String = (0..65).map(|n| format!(", p{n}=x")).collect();
    assert_eq!(Credentials::find([&*format!("{good}{many}")], "r").err(), Some(DigestError::TooLong));
    // Ten times as long takes about ten times as long, not a hundred.
    let time = |len: usize| {
        let row = format!("Digest{} realm=a", "\r".repeat(len));
        let start = std::time::Instant::now();
        (0..20).for_each(|_| drop(Credentials::find([&*row], "r")));
        start.elapsed()
    };
    time(800);
    assert!(time(8000) < 40 * time(800), "{:?} and {:?}", time(800), time(8000));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever replaces a part of good credentials, they are good no more; what is good stays so.
    #[test]
    fn no_change_of_credentials_is_accepted(from: prop::sample::Index, len in 0_usize..12, text in "[ -~]{0,12}") {
        let mut server = server();
        let challenge = server.challenges(at(0), false).remove(0);
        let row = answer(&mut Client::new(alice()), &challenge, &SUBSCRIBE);
        let start = from.index(row.len());
        let mut changed = row.clone();
        changed.replace_range(start..(start + len).min(row.len()), &text);
        let values = |row: &str| {
            let read = Credentials::find([row], REALM).ok().flatten()?;
            Some(format!("{read:?}"))
        };
        if let Ok(Some(credentials)) = Credentials::find([&*changed], REALM)
            && server.verify(at(0), &credentials, &SUBSCRIBE, Some(&alice())).is_ok()
        {
            // White space, case of names, parameters that nobody knows.
            let same = |text: &str| values(text).map(|text| text.to_ascii_lowercase());
            prop_assert_eq!(same(&changed), same(&row));
        } else {
            prop_assert!(verify(&mut server, at(0), &row, &SUBSCRIBE, Some(&alice())).is_ok());
        }
    }

    #[test]
    fn no_row_makes_anything_panic(row in "(Digest |)([a-z]{1,8}=(\"[ -~]{0,8}\"|[a-z0-9]{1,4}), ?){0,4}.{0,20}") {
        let _ = Credentials::find([&*row], "r");
        for challenge in Challenge::read_all([&*row]).into_iter().flatten() {
            let _ = challenge.rand_autn();
        }
        let mut client = Client::new(alice());
        let _ = client.challenged([&*row], "c");
        let _ = client.credentials(&SUBSCRIBE);
        let _ = client.answered(Some(&row), b"");
    }
}

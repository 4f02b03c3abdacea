//! Rows of challenges and credentials: any text, and parts of good credentials changed. Nothing but
//! what the client made is accepted, once.
#![no_main]

use arbitrary::Arbitrary;
use ipsec_3gpp::Moment;
use ipsec_3gpp::presence::watcher::{
    Account, Algorithm, Client, Credentials, NonceSecret, Qop, Request, Server, ServerConfig,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    challenge: Option<&'a str>,
    algorithm: u8,
    integrity: bool,
    info: &'a str,
    at: u16,
    len: u8,
    text: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let (now, realm) = (Moment::from_millis(0), "home1.net");
    let algorithm = Algorithm::ALL[usize::from(input.algorithm) % 6];
    let account = Account::new("alice", b"secret");
    let config = ServerConfig::new(realm).unwrap().with_algorithms(&[algorithm]).unwrap();
    let mut server = Server::new(config, NonceSecret::new([7; 32]));
    let mut client = Client::new(Account::new("alice", b"secret"));
    if input.integrity {
        client = client.with_integrity();
    }
    let request = Request::new("SUBSCRIBE", "sip:bob@home1.net").with_body(b"body");
    let good = server.challenges(now, false);
    if let Some(challenge) = input.challenge {
        let _ = client.challenged([challenge], "c");
        let _ = client.credentials(&request);
        let _ = client.answered(Some(input.info), b"");
    }
    client = Client::new(Account::new("alice", b"secret"));
    client.challenged([&*good[0]], "c").unwrap();
    let row = client.credentials(&request).unwrap();
    let start = usize::from(input.at) % row.len();
    let mut changed = row.clone();
    if changed.is_char_boundary(start) {
        changed.replace_range(start..(start + usize::from(input.len)).min(row.len()), input.text);
    }
    let values =
        |row: &str| Some(format!("{:?}", Credentials::find([row], realm).ok()??).to_ascii_lowercase());
    if let Ok(Some(credentials)) = Credentials::find([&*changed], realm)
        && let Ok(verified) = server.verify(now, &credentials, &request, Some(&account))
    {
        assert_eq!(values(&changed), values(&row));
        assert!(verified.qop() == Qop::Auth || input.integrity);
        let info = server.authentication_info(now, &verified, b"");
        assert_eq!(client.answered(Some(&info), b""), Ok(true));
        assert!(server.verify(now, &credentials, &request, Some(&account)).is_err());
    } else {
        let credentials = Credentials::find([&*row], realm).unwrap().unwrap();
        assert!(server.verify(now, &credentials, &request, Some(&account)).is_ok());
    }
});

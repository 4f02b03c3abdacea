//! Header lists: whatever is read can be written in every style and read again to the same values,
//! and both selections hold what they promise.
#![no_main]

use ipsec_3gpp::sec_agree::{
    Mechanism, MechanismList, Quirks, SecurityClient, SecurityServer, SecurityVerify, Style,
};
use ipsec_3gpp::setup::{PortPair, Setup};
use ipsec_3gpp::spi::{Spi, SpiPair};
use ipsec_3gpp::{Confidentiality, Policy, Suite};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A line break parts rows, as in a message; folded lines keep theirs.
    let rows: Vec<&str> = text.split("\n\n").collect();
    let Ok(list) = MechanismList::parse_rows(rows.iter().copied()) else { return };
    // A quote that a malformed element leaves open ends with its row or at a line break; written
    // into one row with the next element it may close.
    let open_quote = |mechanism: &Mechanism| match mechanism {
        Mechanism::Malformed(malformed) => malformed.text().contains('"'),
        _ => false,
    };
    if list.mechanisms().len() > 1 && list.mechanisms().iter().any(open_quote) {
        return;
    }
    // Nor is a malformed element with control characters written as it was read.
    let controls = |mechanism: &Mechanism| match mechanism {
        Mechanism::Malformed(malformed) => {
            malformed.text().contains(|c: char| c.is_ascii_control() && c != '\t')
        }
        _ => false,
    };
    let faithful = !list.mechanisms().iter().any(controls);
    for (_, style) in Style::NAMED {
        let written = list.emit(&style);
        if written.len() <= ipsec_3gpp::sec_agree::MAX_LIST_OCTETS {
            assert!(!written.contains(['\r', '\n']), "{written}");
            if !faithful {
                continue;
            }
            let again = MechanismList::parse_rows([written.as_str()]).expect("what was emitted is read");
            assert_eq!(again, list, "{written}");
        }
    }
    let verify = SecurityVerify::from(list.clone());
    let (client, server) = (SecurityClient::from(list.clone()), SecurityServer::from(list));
    assert!(server.check_verify(&verify, Quirks::NONE).is_ok());
    assert!(client.check_repeated(&client).is_ok());
    let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_MD5_96_DES_EDE3_CBC, Suite::HMAC_SHA_1_96_NULL];
    let policy = Policy::new(&suites, Confidentiality::Offered).expect("a policy that is in order");
    for selection in [policy.select_for(&client), policy.select_from(&server)] {
        if let Some(choice) = selection.chosen() {
            assert!(suites.contains(&choice.suite));
            assert_ne!(choice.setup.spis.client, choice.setup.spis.server);
        }
        assert_eq!(selection.offers().len(), client.mechanisms().len());
    }
    let own = Setup {
        spis: SpiPair { client: Spi::new(256).expect("an SPI"), server: Spi::new(257).expect("an SPI") },
        ports: PortPair::new(1, 2).expect("ports"),
    };
    let issued = policy.server_list(own);
    if issued.check_verify(&verify, Quirks::TOLERATED).is_ok() {
        assert_eq!(verify.mechanisms(), issued.mechanisms());
    }
});

//! A P-CSCF with its table of SAs, and what UEs send to it.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipsec_3gpp::registration::{Accepted, Authorization, Config, Over, Register, RequestId};
use ipsec_3gpp::sa::{Ends, SaName};
use ipsec_3gpp::setup::Port;
use ipsec_3gpp::spi::{Spi, SpiSlice};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Moment, Pcscf, Policy, Sad, SpiAllocator, Suite};

pub const PCSCF: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub const EXPIRES: Duration = Duration::from_secs(1200);
/// The suite that is taken, unless a benchmark says otherwise.
pub const SUITE: Suite = Suite::HMAC_SHA_1_96_AES_CBC;
/// As long as RAND and AUTN are.
pub const NONCE: &str = "I1U+wL8DmQyq9UbO5o6ErwO0xJ6cTgAAQ6J2m0eWSA0=";
pub const RESPONSE: Authorization<'_> =
    Authorization { nonce: NONCE, response: "9d2a5c1e0f7b4a3d8e6f1c2b3a495867", auts: None };

pub fn keys() -> (Ck, Ik) {
    (Ck::new([0x56; 16]), Ik::new([0xf7; 16]))
}

/// What one UE sends to register: an iPhone's four mechanisms, one of them perhaps another. SPIs
/// and client port are new each time.
pub struct Phone {
    pub number: usize,
    pub address: IpAddr,
    pub impi: String,
    pub impu: String,
    pub client: String,
}

pub fn phone(number: usize, time: usize, ports: usize, taken: Suite) -> Phone {
    let (spi_c, spi_s, port_c) = (1_000_000_000 + time * 2, 1_000_000_001 + time * 2, ports + time % 10_000);
    let mechanism = |(alg, ealg)| {
        format!(
            "ipsec-3gpp;alg={alg};ealg={ealg};mod=trans;port-c={port_c};port-s=6100;prot=esp;spi-c={spi_c};spi-s={spi_s}"
        )
    };
    let suites = [
        ("hmac-md5-96", "aes-cbc"),
        ("hmac-md5-96", "null"),
        (taken.integrity().token(), taken.encryption().token()),
        ("hmac-sha-1-96", "null"),
    ];
    Phone {
        number,
        address: Ipv4Addr::from_bits(0x0b00_0000 + number as u32).into(),
        impi: format!("{number:015}@ims.mnc001.mcc001.3gppnetwork.org"),
        impu: format!("sip:{number:015}@ims.mnc001.mcc001.3gppnetwork.org"),
        client: suites.map(mechanism).join(","),
    }
}

/// The configuration of the benchmarks: four suites, of which the first is taken.
pub fn config(taken: Suite) -> Config {
    let port = |number| Port::new(number).unwrap();
    let suites = [taken, Suite::HMAC_MD5_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL, Suite::HMAC_MD5_96_NULL];
    let policy = Policy::new(&suites, Confidentiality::Offered).unwrap();
    Config::new(policy, port(7060), &[port(7101), port(7102), port(7103)]).unwrap()
}

pub struct Node {
    pub pcscf: Pcscf,
    pub sad: Sad,
    pub now: Moment,
    pub ck: Ck,
    pub ik: Ik,
}

impl Node {
    /// A table for this many contacts.
    pub fn new(contacts: usize, taken: Suite) -> Self {
        let config = config(taken).with_max_contacts(contacts as u32, 0);
        Self::with(config, contacts as u32 * 6, contacts)
    }

    /// A table of this configuration and this many SPIs, with room for this many contacts.
    pub fn with(config: Config, spis: u32, contacts: usize) -> Self {
        let spis = SpiAllocator::new(SpiSlice::WHOLE, spis, [7; 16]).unwrap();
        let (ck, ik) = keys();
        let now = Moment::from_millis(0);
        let mut node = Self { pcscf: Pcscf::new(config, spis, now), sad: Sad::new(), now, ck, ik };
        node.pcscf.reserve(contacts);
        node.sad.reserve(contacts);
        node
    }

    pub fn request(
        &mut self,
        phone: &Phone,
        over: Over,
        verify: &[&str],
        authorization: Authorization<'_>,
    ) -> RequestId {
        let (impus, rows) = ([phone.impu.as_str()], [phone.client.as_str()]);
        let register = Register::new(over, phone.address, PCSCF, &phone.impi)
            .with_impus(&impus)
            .with_authorization(authorization)
            .with_security_client(&rows)
            .with_security_verify(verify);
        self.pcscf.register(self.now, &register, &mut self.sad).unwrap().request
    }

    /// SM1 to SM12: from header text to SAs in the table, in force.
    pub fn register(&mut self, phone: &Phone, over: Over) -> Ends {
        let request = self.request(phone, over, &[], Authorization::default());
        let (ck, ik) = (&self.ck, &self.ik);
        let sm6 = self.pcscf.challenge(self.now, request, NONCE, ck, ik, &mut self.sad).unwrap();
        let server = sm6.security_server.to_string();
        let ends = *self.pcscf.ends(sm6.set).unwrap();
        let request = self.request(phone, Over::Sa(server_spi(&ends)), &[&server], RESPONSE);
        self.pcscf.success(self.now, request, Accepted::new(EXPIRES), &mut self.sad).unwrap();
        self.events();
        ends
    }

    /// Polls what a program cleans up with.
    pub fn events(&mut self) {
        while let Some(event) = self.pcscf.poll_event() {
            black_box(event);
        }
    }

    pub fn timeout(&mut self) {
        while self.pcscf.poll_timeout().is_some_and(|next| next <= self.now) {
            self.pcscf.handle_timeout(self.now, &mut self.sad);
        }
        self.events();
    }
}

/// The SPI that the UE sends requests with.
pub fn server_spi(ends: &Ends) -> Spi {
    ends.sa(SaName::UeClientToPcscfServer).0
}

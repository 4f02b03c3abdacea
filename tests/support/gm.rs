//! A P-CSCF and phones, each with its table of SAs, and the steps of a registration one by one.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipsec_3gpp::negotiation::SecAgree;
use ipsec_3gpp::registration::{
    Authentication, Begin, Config, ContactId, Forward, Over, Pcscf, Register, RegisterError, Request,
    RequestId, SetId, Sm6, Ue, UeConfig,
};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Instant, Policy, SaName, Sad, Spi, SpiAllocator, SpiSlice, Suite};

use crate::support::{CK, IK, setup, udp};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DRAIN: Duration = ipsec_3gpp::registration::DRAIN;
pub(crate) const AWAIT: Duration = ipsec_3gpp::registration::REG_AWAIT_AUTH;

pub(crate) fn keys() -> (Ck, Ik) {
    (Ck::new(CK), Ik::new(IK))
}

pub(crate) fn policy() -> Policy {
    Policy::new(&[Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL], Confidentiality::Offered).unwrap()
}

pub(crate) fn port(number: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(number).unwrap()
}

pub(crate) fn config() -> Config {
    Config::new(policy(), port(7060), &[port(7101), port(7102), port(7103)]).unwrap()
}

/// The P-CSCF, its data path, and the time.
pub(crate) struct Gm {
    pub(crate) now: Instant,
    pub(crate) pcscf: Pcscf,
    pub(crate) sad: Sad,
    /// The latest request of each contact.
    requests: HashMap<ContactId, RequestId>,
}

pub(crate) const PCSCF: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

impl Gm {
    pub(crate) fn new() -> Self {
        Self::with(config(), 1000)
    }

    pub(crate) fn with(config: Config, spis: u32) -> Self {
        let spis = SpiAllocator::new(SpiSlice::new(3, 4).unwrap(), spis, [9; 16]).unwrap();
        let now = Instant::from_millis(1_000_000);
        Self { now, pcscf: Pcscf::new(config, spis, now), sad: Sad::new(), requests: HashMap::new() }
    }

    /// The latest request of a contact.
    pub(crate) fn r(&self, contact: ContactId) -> RequestId {
        self.requests[&contact]
    }

    pub(crate) fn apply(&mut self) {
        self.pcscf.apply(&mut self.sad).unwrap();
    }

    /// Lets time pass, and what has run out end when it does.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.pcscf.poll_timeout().filter(|next| *next <= end) {
            assert!(next >= self.now || next.as_millis() + 128 > self.now.as_millis());
            self.now = self.now.max(next);
            self.pcscf.handle_timeout(self.now);
        }
        self.now = end;
        self.pcscf.handle_timeout(end);
        self.apply();
    }
}

pub(crate) struct Phone {
    pub(crate) ue: Ue,
    pub(crate) sad: Sad,
    pub(crate) address: IpAddr,
    pub(crate) impi: String,
    pub(crate) impu: String,
    /// Counts SPIs and client ports up.
    pub(crate) fresh: u32,
    pub(crate) server_port: u16,
}

impl Phone {
    pub(crate) fn new(number: u8) -> Self {
        let address = IpAddr::from([10, 1, 0, number]);
        Self {
            ue: Ue::new(UeConfig { policy: policy(), pcscf: PCSCF }, address),
            sad: Sad::new(),
            address,
            impi: format!("{number}@ims"),
            impu: format!("sip:{number}@ims"),
            fresh: u32::from(number) * 10_000,
            server_port: 6100,
        }
    }

    pub(crate) fn begin(&mut self) -> Begin {
        self.fresh += 2;
        let port = 20_000 + (self.fresh / 10_000 * 100 + self.fresh % 10_000) as u16;
        let setup = setup(1_000_000 + self.fresh, 1_000_001 + self.fresh, port, self.server_port);
        Begin { setup, list: None, in_clear: false }
    }

    pub(crate) fn apply(&mut self) {
        self.ue.apply(&mut self.sad).unwrap();
    }

    /// The SPI of the P-CSCF that the phone's requests have over a set of the phone's.
    pub(crate) fn spi_over(&self, set: SetId) -> Spi {
        use ipsec_3gpp::registration::{Message, Transport};
        self.ue.route(Transport::Udp, Message::InTransaction(set)).unwrap().spi
    }
}

/// What a REGISTER says beside its security headers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Says {
    pub(crate) authentication: Authentication,
    pub(crate) deregisters: bool,
}

impl Gm {
    /// Gives a REGISTER of a phone to the P-CSCF.
    pub(crate) fn register(
        &mut self,
        phone: &Phone,
        request: &Request,
        says: Says,
    ) -> Result<Forward, RegisterError> {
        let over = request.over.map_or(Over::Clear, |set| Over::Sa(phone.spi_over(set)));
        let client = request.security_client.to_string();
        let verify: Vec<&str> = request.security_verify.iter().map(AsRef::as_ref).collect();
        let result = self.pcscf.register(
            self.now,
            &Register {
                over,
                ue: phone.address,
                pcscf: PCSCF,
                impi: &phone.impi,
                impus: &[&phone.impu],
                contact: "",
                authentication: says.authentication,
                deregisters: says.deregisters,
                sec_agree: SecAgree::Present,
                security_client: &[&client],
                security_verify: &verify,
            },
        );
        self.apply();
        if let Ok(forward) = &result {
            self.requests.insert(forward.contact, forward.request);
        }
        result
    }

    pub(crate) fn sm1(&mut self, phone: &mut Phone) -> Forward {
        let begin = phone.begin();
        self.sm1_with(phone, &begin)
    }

    pub(crate) fn sm1_in_clear(&mut self, phone: &mut Phone) -> Forward {
        let begin = Begin { in_clear: true, ..phone.begin() };
        self.sm1_with(phone, &begin)
    }

    pub(crate) fn sm1_with(&mut self, phone: &mut Phone, begin: &Begin) -> Forward {
        let request = phone.ue.begin(self.now, begin).unwrap();
        phone.apply();
        self.register(phone, &request, Says::default()).unwrap()
    }

    pub(crate) fn challenge(&mut self, contact: ContactId) -> Sm6 {
        let (ck, ik) = keys();
        let sm6 = self.pcscf.challenge(self.now, self.r(contact), &ck, &ik).unwrap();
        self.apply();
        sm6
    }

    /// SM6 at the phone: its answer, SM7.
    pub(crate) fn sm6(&mut self, phone: &mut Phone, contact: ContactId) -> Request {
        let sm6 = self.challenge(contact);
        let (ck, ik) = keys();
        let row = sm6.security_server.to_string();
        let over = self.to_ue(contact, sm6.over);
        let request = phone.ue.challenged(self.now, over, &[&row], &ck, &ik).unwrap();
        phone.apply();
        request
    }

    pub(crate) fn sm7(&mut self, phone: &Phone, sm7: &Request) -> Forward {
        let says = Says { authentication: Authentication::Response, ..Says::default() };
        let forward = self.register(phone, sm7, says).unwrap();
        assert!(forward.protection.is_some_and(|verdict| verdict.confidentiality()));
        forward
    }

    pub(crate) fn sm12(&mut self, phone: &mut Phone, contact: ContactId, expires: Duration) {
        let sm12 = self.pcscf.success(self.now, self.r(contact), expires).unwrap();
        assert!(sm12.new_set.is_some());
        self.apply();
        phone.ue.success(self.now, self.to_ue(contact, sm12.over), expires).unwrap();
        phone.apply();
    }

    /// What the answer to a request over this comes over, as the UE sees it.
    pub(crate) fn to_ue(&self, contact: ContactId, over: Over) -> Over {
        use ipsec_3gpp::registration::{Message, Transport};
        match over {
            Over::Clear => Over::Clear,
            Over::Sa(over) => {
                Over::Sa(self.pcscf.route(contact, Transport::Udp, Message::Response { over }).unwrap().spi)
            }
        }
    }

    /// A whole registration, the first or a later one over the SAs in force.
    pub(crate) fn registered(&mut self, phone: &mut Phone, expires: Duration) -> ContactId {
        let contact = self.sm1(phone).contact;
        self.finish(phone, contact, expires)
    }

    pub(crate) fn finish(&mut self, phone: &mut Phone, contact: ContactId, expires: Duration) -> ContactId {
        let sm7 = self.sm6(phone, contact);
        assert_eq!(self.sm7(phone, &sm7).contact, contact);
        self.sm12(phone, contact, expires);
        contact
    }

    /// A message of the phone that is not a REGISTER, as a packet: over its current set. Returns the SPI.
    pub(crate) fn message(&mut self, phone: &mut Phone) -> Spi {
        use ipsec_3gpp::registration::{Message, Transport};
        let route = phone.ue.route(Transport::Udp, Message::Request).unwrap();
        let (from, to) = (route.source, route.destination);
        let plain = udp((from.ip(), from.port()), (to.ip(), to.port()), b"MESSAGE sip:x SIP/2.0\r\n\r\n");
        let mut packet = vec![0; plain.len() + 64];
        let range = phone.sad.seal(&plain, &mut packet).unwrap().range;
        let spi = self.sad.open_in_place(&mut packet[range]).unwrap().opened.spi;
        assert_eq!((route.sa, route.spi), (SaName::UeClientToPcscfServer, spi));
        self.pcscf.message(self.now, spi).unwrap();
        self.apply();
        spi
    }

    /// The number of sets of a contact, having checked that the data path has exactly those.
    pub(crate) fn sets(&self, contact: ContactId) -> usize {
        self.pcscf.sets(contact).count()
    }
}

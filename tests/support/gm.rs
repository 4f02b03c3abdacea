//! A P-CSCF and phones, each with its table of SAs, and the steps of a registration one by one.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipsec_3gpp::registration::{
    Accepted, Authorization, Begin, ChallengeError, Config, ContactId, Discard, Event, Failed, Forward, Gone,
    Over, Register, RegisterError, Request, RequestId, Sm6, Sm12, SuccessError, Transport, UeConfig,
};
use ipsec_3gpp::sa::{InstallError, SaName, SetId, Side};
use ipsec_3gpp::spi::{Spi, SpiSlice};
use ipsec_3gpp::{Ck, Confidentiality, Ik, Moment, Pcscf, Policy, Sad, SpiAllocator, Suite, Ue};

pub(crate) use crate::support::port;
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

pub(crate) fn config() -> Config {
    Config::new(policy(), port(7060), &[port(7101), port(7102), port(7103)]).unwrap()
}

/// The P-CSCF, its data path, and the time.
pub(crate) struct Gm {
    pub(crate) now: Moment,
    pub(crate) pcscf: Pcscf,
    pub(crate) sad: Sad,
    /// The latest request of each contact.
    requests: HashMap<ContactId, RequestId>,
    /// Challenges that the core has sent: the latest one's number is its nonce.
    challenges: u32,
}

pub(crate) const PCSCF: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

impl Gm {
    pub(crate) fn new() -> Self {
        Self::with(config(), 1000)
    }

    pub(crate) fn with(config: Config, spis: u32) -> Self {
        let spis = SpiAllocator::new(SpiSlice::new(3, 4).unwrap(), spis, [9; 16]).unwrap();
        let now = Moment::from_millis(1_000_000);
        Self {
            now,
            pcscf: Pcscf::new(config, spis, now),
            sad: Sad::new(),
            requests: HashMap::new(),
            challenges: 0,
        }
    }

    /// The latest request of a contact.
    pub(crate) fn r(&self, contact: ContactId) -> RequestId {
        self.requests[&contact]
    }

    /// The nonce of the latest challenge.
    pub(crate) fn nonce(&self) -> String {
        format!("nonce {}", self.challenges)
    }

    /// All events since the last call.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.pcscf.poll_event()).collect()
    }

    /// Lets time pass, and what has run out end when it does.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.pcscf.poll_timeout().filter(|next| *next <= end) {
            assert!(next >= self.now || next.as_millis() + 128 > self.now.as_millis());
            self.now = self.now.max(next);
            self.pcscf.handle_timeout(self.now, &mut self.sad);
        }
        self.now = end;
        self.pcscf.handle_timeout(end, &mut self.sad);
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
            ue: Ue::new(UeConfig::new(policy(), PCSCF), address),
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
        Begin::new(setup)
    }

    /// Begins to register: the REGISTER of SM1.
    pub(crate) fn begins(&mut self, now: Moment, begin: &Begin) -> Request {
        self.ue.begin(now, begin, &mut self.sad).unwrap()
    }

    pub(crate) fn timed_out(&mut self, now: Moment) {
        self.ue.timed_out(now, &mut self.sad).unwrap();
    }

    pub(crate) fn moves_to(&mut self, address: IpAddr) {
        self.address = address;
        self.ue.address_changed(address, &mut self.sad);
    }
}

/// What a request is sent over, as the P-CSCF sees it.
pub(crate) fn over(request: &Request) -> Over {
    request.route.map_or(Over::Clear, |route| Over::Sa(route.spi))
}

/// The SPI of a request that is sent over a set.
pub(crate) fn spi_of(request: &Request) -> Spi {
    request.route.unwrap().spi
}

/// What Authorization of a REGISTER says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Nothing.
    #[default]
    None,
    /// The response to the latest challenge.
    Response,
    /// A response to a challenge that never was.
    Another,
    /// `auts`.
    Failure,
}

impl Answers {
    pub(crate) fn authorization(self, nonce: &str) -> Authorization<'_> {
        match self {
            Answers::None => Authorization::default(),
            Answers::Response => Authorization { nonce, response: "res", auts: None },
            Answers::Another => Authorization { nonce: "another", response: "res", auts: None },
            Answers::Failure => Authorization { nonce, response: "", auts: Some("auts") },
        }
    }
}

/// What a REGISTER says besides its security headers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Says {
    pub(crate) answers: Answers,
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
        let client = request.security_client.to_string();
        let verify: Vec<&str> = request.security_verify.iter().map(AsRef::as_ref).collect();
        let nonce = self.nonce();
        let register = Register::new(over(request), phone.address, PCSCF, &phone.impi);
        let result = self.pcscf.register(
            self.now,
            &register
                .with_impus(&[&phone.impu])
                .with_authorization(says.answers.authorization(&nonce))
                .with_deregistration(says.deregisters)
                .with_security_client(&[&client])
                .with_security_verify(&verify),
            &mut self.sad,
        );
        if let Ok(forward) = &result {
            self.remember(forward);
        }
        result
    }

    /// The latest request of its contact.
    pub(crate) fn remember(&mut self, forward: &Forward) {
        self.requests.insert(forward.contact, forward.request);
    }

    pub(crate) fn sm1(&mut self, phone: &mut Phone) -> Forward {
        let begin = phone.begin();
        self.sm1_with(phone, &begin)
    }

    pub(crate) fn sm1_in_clear(&mut self, phone: &mut Phone) -> Forward {
        let begin = phone.begin().with_clear(true);
        self.sm1_with(phone, &begin)
    }

    pub(crate) fn sm1_with(&mut self, phone: &mut Phone, begin: &Begin) -> Forward {
        let request = phone.begins(self.now, begin);
        self.register(phone, &request, Says::default()).unwrap()
    }

    pub(crate) fn challenge(&mut self, contact: ContactId) -> Sm6 {
        self.try_challenge(self.r(contact)).unwrap()
    }

    /// The core challenges a request; what becomes of it does not matter.
    pub(crate) fn challenge_of(&mut self, request: RequestId) {
        assert!(self.try_challenge(request).is_ok());
    }

    /// The core challenges a request.
    pub(crate) fn try_challenge(&mut self, request: RequestId) -> Result<Sm6, ChallengeError<InstallError>> {
        let (ck, ik) = keys();
        let nonce = format!("nonce {}", self.challenges + 1);
        let sm6 = self.pcscf.challenge(self.now, request, &nonce, &ck, &ik, &mut self.sad);
        self.challenges += u32::from(sm6.is_ok());
        sm6
    }

    /// The core accepts a request.
    pub(crate) fn success(
        &mut self,
        request: RequestId,
        expires: Duration,
    ) -> Result<Sm12, SuccessError<InstallError>> {
        self.pcscf.success(self.now, request, Accepted::new(expires), &mut self.sad)
    }

    /// The core refuses a request.
    pub(crate) fn failure(&mut self, request: RequestId) -> Result<Failed, Gone> {
        self.pcscf.failure(self.now, request, &mut self.sad)
    }

    /// SM6 at the phone: its answer, SM7.
    pub(crate) fn sm6(&mut self, phone: &mut Phone, contact: ContactId) -> Request {
        let sm6 = self.challenge(contact);
        let (ck, ik) = keys();
        let row = sm6.security_server.to_string();
        let over = self.to_ue(contact, sm6.over);
        phone.ue.challenged(self.now, over, &[&row], &ck, &ik, &mut phone.sad).unwrap()
    }

    pub(crate) fn sm7(&mut self, phone: &Phone, sm7: &Request) -> Forward {
        let says = Says { answers: Answers::Response, ..Says::default() };
        let forward = self.register(phone, sm7, says).unwrap();
        assert!(forward.protection.is_some_and(|verdict| verdict.confidentiality()));
        assert_eq!(forward.integrity_protected(), "yes");
        forward
    }

    pub(crate) fn sm12(&mut self, phone: &mut Phone, contact: ContactId, expires: Duration) {
        let sm12 = self.success(self.r(contact), expires).unwrap();
        assert!(sm12.new_set.is_some());
        let over = self.to_ue(contact, sm12.over);
        phone.ue.success(self.now, over, expires, &mut phone.sad).unwrap();
    }

    /// What the answer to a request over this comes over, as the UE sees it.
    pub(crate) fn to_ue(&self, contact: ContactId, over: Over) -> Over {
        let route = self.pcscf.route_response(contact, Transport::Udp, over).unwrap();
        route.map_or(Over::Clear, |route| Over::Sa(route.spi))
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

    /// A message of the phone that is not a REGISTER, as a packet: over its current set. Returns
    /// the SPI.
    pub(crate) fn message(&mut self, phone: &mut Phone) -> Spi {
        let route = phone.ue.route_request().unwrap();
        let (from, to) = (route.source, route.destination);
        let plain = udp((from.ip(), from.port()), (to.ip(), to.port()), b"MESSAGE sip:x SIP/2.0\r\n\r\n");
        let mut packet = vec![0; plain.len() + 64];
        let range = phone.sad.seal(&plain, &mut packet).unwrap().range;
        let spi = self.sad.open_in_place(&mut packet[range]).unwrap().opened.spi;
        assert_eq!((route.sa, route.spi), (SaName::UeClientToPcscfServer, spi));
        self.pcscf.message(self.now, spi, &mut self.sad).unwrap();
        spi
    }

    /// A request of the P-CSCF to a contact, as a packet that the phone opens and takes.
    pub(crate) fn request_reaches(&mut self, phone: &mut Phone, contact: ContactId) {
        let route = self.pcscf.route_request(contact).unwrap();
        let (from, to) = (route.source, route.destination);
        let plain = udp((from.ip(), from.port()), (to.ip(), to.port()), b"NOTIFY sip:x SIP/2.0\r\n\r\n");
        let mut packet = vec![0; plain.len() + 64];
        let sealed = self.sad.seal(&plain, &mut packet).unwrap();
        assert_eq!(sealed.spi, route.spi, "sealed with another SA than the route names");
        let opened = phone.sad.open_in_place(&mut packet[sealed.range]).unwrap().opened;
        phone.ue.message(self.now, opened.spi, &mut phone.sad).unwrap();
    }

    /// The sets of a contact. The data path has their SAs; those of other contacts are the caller's
    /// to count.
    pub(crate) fn sets(&self, contact: ContactId) -> usize {
        let sets: Vec<SetId> = self.pcscf.sets(contact).collect();
        for set in &sets {
            assert!(self.sad.holds(self.pcscf.ends(*set).unwrap(), Side::Pcscf), "{set} is not installed");
        }
        sets.len()
    }

    /// A message that arrives over an SPI.
    pub(crate) fn arrives(&mut self, over: Spi) -> Result<ContactId, Discard> {
        self.pcscf.message(self.now, over, &mut self.sad)
    }
}

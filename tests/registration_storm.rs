//! Random steps of phones and of strangers, with a clock that jumps and steps back, in two worlds:
//! in the second one there are no strangers. Nothing that strangers send in clear from other
//! addresses changes what happens to the phones; nothing panics; nothing stays.
//!
//! `STORM_STEPS` says how many steps are made: the default takes seconds, and 100,000,000 an hour.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::print_stdout, reason = "a long run says how far it is")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::net::IpAddr;
use std::time::Duration;

use gm::{AWAIT, Answers, Gm, HOUR, PCSCF, Phone, config, keys, over};
use ipsec_3gpp::Moment;
use ipsec_3gpp::registration::{
    Accepted, Authorization, Begin, ContactId, Over, Register, Request, RequestId, Transport,
};

const PHONES: usize = 3;
const STRANGERS: u64 = 12;

/// SplitMix64: one number makes one storm.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// One phone in one world.
struct Session {
    phone: Phone,
    contact: Option<ContactId>,
    /// The latest REGISTER, and what the core has to answer.
    request: Option<Request>,
    leaves: bool,
    at_core: Option<RequestId>,
    /// SM6 on its way: over what, and its row.
    sm6: Option<(Over, String)>,
    sm7: Option<Request>,
    nonce: String,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// SM1, perhaps in clear, perhaps in order to leave.
    Begin {
        in_clear: bool,
        leaves: bool,
    },
    /// The latest REGISTER arrives; perhaps once more.
    Register,
    Challenge,
    Sm6,
    Sm7,
    Accept {
        expires: u64,
    },
    Refuse,
    Message,
    Request,
    GiveUp,
    Restart,
    Report,
    Deregister,
}

const STEPS: [Step; 21] = [
    Step::Begin { in_clear: false, leaves: false },
    Step::Begin { in_clear: false, leaves: false },
    Step::Begin { in_clear: true, leaves: false },
    Step::Begin { in_clear: false, leaves: true },
    Step::Register,
    Step::Register,
    Step::Challenge,
    Step::Challenge,
    Step::Sm6,
    Step::Sm6,
    Step::Sm7,
    Step::Sm7,
    Step::Accept { expires: 3600 },
    Step::Accept { expires: 600 },
    Step::Refuse,
    Step::Message,
    Step::Request,
    Step::GiveUp,
    Step::Restart,
    Step::Report,
    Step::Deregister,
];

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Done,
    NotNow,
    Refused(&'static str),
    /// Sets of the phone, and of the P-CSCF that it can have to do with.
    Sets(usize, bool),
}

struct World {
    gm: Gm,
    sessions: Vec<Session>,
}

fn came<T>(result: Result<T, &'static str>) -> Came {
    result.map_or_else(Came::Refused, |_| Came::Done)
}

impl World {
    fn new() -> Self {
        // A bound of memory that the strangers do not reach, and quotas that they do.
        let config = config().with_max_contacts(10, 0).with_max_addresses(40, 0).with_max_per_address(3, 2);
        let spis = config.spis_needed();
        let session = |number: usize| Session {
            phone: Phone::new(number as u8 + 1),
            contact: None,
            request: None,
            leaves: false,
            at_core: None,
            sm6: None,
            sm7: None,
            nonce: String::new(),
        };
        Self { gm: Gm::with(config, spis), sessions: (0..PHONES).map(session).collect() }
    }

    fn registers(
        &mut self,
        which: usize,
        request: &Request,
        answers: Answers,
        nonce: &str,
        leaves: bool,
    ) -> Came {
        let Self { gm, sessions } = self;
        let session = &mut sessions[which];
        let client = request.security_client.to_string();
        let verify: Vec<&str> = request.security_verify.iter().map(AsRef::as_ref).collect();
        let (rows, impus) = ([client.as_str()], [session.phone.impu.as_str()]);
        let register = Register::new(over(request), session.phone.address, PCSCF, &session.phone.impi)
            .with_impus(&impus)
            .with_authorization(answers.authorization(nonce))
            .with_deregistration(leaves)
            .with_security_client(&rows)
            .with_security_verify(&verify);
        let result = gm.pcscf.register(gm.now, &register, &mut gm.sad);
        if let Ok(forward) = &result {
            session.at_core = Some(forward.request);
            session.contact = Some(forward.contact);
        }
        came(result.map_err(|error| error.code()))
    }

    /// A step of a phone. `number` makes nonces.
    fn step(&mut self, which: usize, step: Step, number: u64) -> Came {
        let now = self.gm.now;
        let Self { gm, sessions } = self;
        let session = &mut sessions[which];
        let Phone { ue, sad, .. } = &mut session.phone;
        match step {
            Step::Begin { in_clear, leaves } => {
                let begin: Begin = session.phone.begin().with_clear(in_clear).with_deregistration(leaves);
                let Phone { ue, sad, .. } = &mut session.phone;
                let result = ue.begin(now, &begin, sad);
                session.leaves = leaves;
                session.request = result.as_ref().ok().cloned();
                (session.sm6, session.sm7) = (None, None);
                came(result.map_err(|error| error.code()))
            }
            Step::Register => {
                let Some(request) = session.request.clone() else { return Came::NotNow };
                let leaves = session.leaves;
                self.registers(which, &request, Answers::None, "", leaves)
            }
            Step::Challenge => {
                let Some(request) = session.at_core else { return Came::NotNow };
                let ((ck, ik), nonce) = (keys(), format!("nonce {number}"));
                match gm.pcscf.challenge(now, request, &nonce, &ck, &ik, &mut gm.sad) {
                    Ok(sm6) => {
                        session.at_core = None;
                        session.nonce = nonce;
                        // The SA that SM1 came over may have gone since: then SM6 is not sent.
                        let Ok(route) = gm.pcscf.route_response(sm6.contact, Transport::Udp, sm6.over) else {
                            return Came::Refused("no way back");
                        };
                        let over = route.map_or(Over::Clear, |route| Over::Sa(route.spi));
                        session.sm6 = Some((over, sm6.security_server.to_string()));
                        Came::Done
                    }
                    Err(error) => Came::Refused(error.code()),
                }
            }
            Step::Sm6 => {
                let Some((over, row)) = session.sm6.take() else { return Came::NotNow };
                let (ck, ik) = keys();
                let result = ue.challenged(now, over, &[&row], &ck, &ik, sad);
                session.sm7 = result.as_ref().ok().cloned();
                came(result.map_err(|error| error.code()))
            }
            Step::Sm7 => {
                let Some(request) = session.sm7.clone() else { return Came::NotNow };
                let (nonce, leaves) = (session.nonce.clone(), session.leaves);
                self.registers(which, &request, Answers::Response, &nonce, leaves)
            }
            Step::Accept { expires } => {
                let Some(request) = session.at_core.take() else { return Came::NotNow };
                let expires = if session.leaves { Duration::ZERO } else { Duration::from_secs(expires) };
                match gm.pcscf.success(now, request, Accepted::new(expires), &mut gm.sad) {
                    Ok(sm12) => {
                        let Ok(route) = gm.pcscf.route_response(sm12.contact, Transport::Udp, sm12.over)
                        else {
                            return Came::Refused("no way back");
                        };
                        let over = route.map_or(Over::Clear, |route| Over::Sa(route.spi));
                        came(ue.success(now, over, expires, sad).map_err(|error| error.code()))
                    }
                    Err(error) => Came::Refused(error.code()),
                }
            }
            Step::Refuse => {
                let Some(request) = session.at_core.take() else { return Came::NotNow };
                came(gm.pcscf.failure(now, request, &mut gm.sad).map_err(|error| error.code()))
            }
            Step::Message => match ue.route_request() {
                Ok(route) => came(gm.arrives(route.spi).map_err(|error| error.code())),
                Err(_) => Came::NotNow,
            },
            Step::Request => {
                let Some(contact) = session.contact else { return Came::NotNow };
                gm.pcscf.handle_timeout(now, &mut gm.sad);
                let until = gm.pcscf.registered_until(contact);
                if until.is_none_or(|until| until <= now) {
                    return Came::NotNow;
                }
                match gm.pcscf.route_request(contact) {
                    Ok(route) => came(ue.message(now, route.spi, sad).map_err(|error| error.code())),
                    Err(_) => Came::NotNow,
                }
            }
            Step::GiveUp => came(ue.timed_out(now, sad).map_err(|error| error.code())),
            Step::Restart => {
                // It begins with the ports and SPIs of its first start.
                session.phone = Phone::new(which as u8 + 1);
                (session.request, session.sm6, session.sm7) = (None, None, None);
                Came::Done
            }
            Step::Report => {
                let Some(request) = session.request.clone() else { return Came::NotNow };
                let nonce = session.nonce.clone();
                self.registers(which, &request, Answers::Failure, &nonce, false)
            }
            Step::Deregister => {
                let Some(contact) = session.contact else { return Came::NotNow };
                // A stranger may keep a contact in the table that has nothing any more.
                let until = gm.pcscf.registered_until(contact);
                let had = until.is_some_and(|until| until > now);
                let _ = gm.pcscf.deregister(now, contact, &mut gm.sad);
                Came::Sets(0, had)
            }
        }
    }

    /// What a phone and the P-CSCF have of each other.
    fn abilities(&self, which: usize) -> Came {
        let Self { gm, sessions } = self;
        let session = &sessions[which];
        // What is not told the time does not know that the time of a set is up.
        let lasts =
            |contact: &ContactId| gm.pcscf.registered_until(*contact).is_some_and(|until| until > gm.now);
        let contact = session.contact.filter(lasts).filter(|one| gm.pcscf.route_request(*one).is_ok());
        Came::Sets(session.phone.sad.len() / 4, contact.is_some())
    }

    fn expires(&mut self) {
        self.gm.pcscf.handle_timeout(self.gm.now, &mut self.gm.sad);
        for session in &mut self.sessions {
            let Phone { ue, sad, .. } = &mut session.phone;
            ue.handle_timeout(self.gm.now, sad);
            while ue.poll_event().is_some() {}
        }
        while self.gm.pcscf.poll_event().is_some() {}
    }
}

/// A stranger sends a REGISTER in a phone's name, and the core answers it, or not.
fn stranger(world: &mut World, chance: &mut Chance) {
    let session = &world.sessions[chance.below(PHONES as u64) as usize];
    let (impi, nonce) = (session.phone.impi.clone(), session.nonce.clone());
    let gm = &mut world.gm;
    let spi = 0x0700_0000 + 2 * chance.below(50);
    let row = format!(
        "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={spi};spi-s={};port-c={};port-s=6100",
        spi + 1,
        20_000 + chance.below(400)
    );
    let rows = [row.as_str()];
    let from: IpAddr = [66, 0, 0, chance.below(STRANGERS) as u8].into();
    let contact = ["", "", "<urn:other>", "<urn:another>"][chance.below(4) as usize];
    let authorization = match chance.below(4) {
        0 => Authorization { nonce: &nonce, response: "", auts: Some("auts") },
        1 => Authorization { nonce: &nonce, response: "res", auts: None },
        2 => Authorization { nonce: &nonce, response: "", auts: None },
        _ => Authorization::default(),
    };
    let register = Register::new(Over::Clear, from, PCSCF, &impi)
        .with_contact(contact)
        .with_authorization(authorization)
        .with_deregistration(chance.below(4) == 0)
        .with_priority(chance.below(4) == 0)
        .with_security_client(&rows);
    let Ok(forward) = gm.pcscf.register(gm.now, &register, &mut gm.sad) else { return };
    assert_eq!(forward.integrity_protected(), "no");
    let ((ck, ik), request) = (keys(), forward.request);
    match chance.below(6) {
        0 => {
            let expires = Duration::from_secs(3600 * chance.below(2));
            gm.pcscf.success(gm.now, request, Accepted::new(expires), &mut gm.sad).unwrap();
        }
        1 => drop(gm.pcscf.failure(gm.now, request, &mut gm.sad).unwrap()),
        2 => {}
        _ => drop(gm.pcscf.challenge(gm.now, request, "of a stranger", &ck, &ik, &mut gm.sad).unwrap()),
    }
}

/// A storm of so many steps; then calm, and nothing is left.
fn storm(seed: u64, steps: u64) {
    let mut chance = Chance(seed);
    let (mut with, mut without) = (World::new(), World::new());
    for number in 0..steps {
        for _ in 0..chance.below(4) {
            stranger(&mut with, &mut chance);
        }
        let which = chance.below(PHONES as u64) as usize;
        let step = STEPS[chance.below(STEPS.len() as u64) as usize];
        // Now and then the clock is told as it was, up to weeks before.
        let back = if chance.below(10) == 0 { chance.next() >> (34 + chance.below(29)) } else { 0 };
        let now = with.gm.now;
        if back > 0 {
            // Both know the later time: the latest that was told counts.
            [&mut with, &mut without].into_iter().for_each(World::expires);
        }
        let told = Moment::from_millis(now.as_millis().saturating_sub(back));
        (with.gm.now, without.gm.now) = (told, told);
        let came = [&mut with, &mut without].map(|world| world.step(which, step, number));
        assert_eq!(came[0], came[1], "seed {seed}, step {number}: {step:?} of phone {which}");
        (with.gm.now, without.gm.now) = (now, now);
        let abilities = [&with, &without].map(|world| world.abilities(which));
        assert_eq!(abilities[0], abilities[1], "seed {seed}, after step {number}: {step:?} of phone {which}");
        // From milliseconds to an hour, the long ones seldom.
        if chance.below(3) == 0 {
            let passes = Duration::from_millis(chance.next() >> (42 + chance.below(20)));
            (with.gm.now, without.gm.now) = (now + passes, now + passes);
            if chance.below(2) == 0 {
                [&mut with, &mut without].into_iter().for_each(World::expires);
            }
        }
    }
    for mut world in [with, without] {
        world.gm.now = world.gm.now + 2 * HOUR;
        world.expires();
        world.gm.now = world.gm.now + 2 * HOUR + AWAIT;
        world.expires();
        let Gm { pcscf, sad, .. } = &world.gm;
        assert!(pcscf.is_empty() && sad.is_empty(), "seed {seed}: something stays");
        assert_eq!((pcscf.spis().in_use(), pcscf.open_addresses(), pcscf.unregistered()), (0, 0, 0));
        assert_eq!((pcscf.poll_timeout(), pcscf.counters().sets), (None, pcscf.counters().removed));
    }
}

#[test]
fn what_strangers_send_in_clear_changes_nothing_for_the_phones() {
    let all: u64 = std::env::var("STORM_STEPS").map_or(200_000, |steps| steps.parse().unwrap());
    const EACH: u64 = 400;
    for seed in 0..all / EACH {
        storm(seed.wrapping_mul(0x9e37_79b9), EACH);
        if seed % 25_000 == 24_999 {
            println!("{} steps", (seed + 1) * EACH);
        }
    }
}

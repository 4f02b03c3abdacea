//! A UE and a P-CSCF over a network that loses, duplicates, reorders and delays, on a virtual
//! clock: ten thousand random lives. Real packets, real tables of SAs on both sides.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use gm::{AWAIT, DRAIN, PCSCF, config, policy};
use ipsec_3gpp::registration::{
    Accepted, Authorization, Begin, ContactId, Event, GRACE, Identity, Over, Register, Request, RequestId,
    Route, Transport, UeConfig, UeEvent, UeState,
};
use ipsec_3gpp::sa::{Ends, InstallError, Overlap, SaSet, SetId, Side};
use ipsec_3gpp::spi::{Spi, SpiSlice};
use ipsec_3gpp::{Ck, DataPath, Ik, Moment, Pcscf, Sad, SpiAllocator, Ue};
use proptest::prelude::*;
use support::{setup, udp};

const T1: Duration = Duration::from_secs(2);
const EXPIRES: Duration = Duration::from_secs(3600);
const SIP: u16 = 5060;

/// SplitMix64: one number makes one life.
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

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A SIP message, as much of it as matters here: one field a line.
fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[derive(Debug)]
enum Happens {
    /// A datagram arrives.
    Arrives(Side, Vec<u8>),
    /// The core answers a REGISTER.
    Core {
        contact: ContactId,
        request: RequestId,
        cseq: u32,
        answers: bool,
        protected: bool,
        deregisters: bool,
    },
}

/// A request of the UE that awaits its final response.
struct Pending {
    cseq: u32,
    datagram: Vec<u8>,
    protected: bool,
    interval: Duration,
    again: Moment,
    ends: Moment,
}

/// The P-CSCF's data path, which keeps the books.
#[derive(Default)]
struct Books {
    sad: Sad,
    installed: HashSet<SetId>,
    removed: HashSet<SetId>,
    spis: HashSet<Spi>,
}

impl DataPath for Books {
    type Error = InstallError;

    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), InstallError> {
        self.sad.install(id, side, set, overlap)?;
        assert!(self.installed.insert(id), "a set installed twice");
        let spis = set.ends().pcscf.setup.spis;
        for spi in [spis.client, spis.server] {
            assert!(self.spis.insert(spi), "an SPI twice");
        }
        Ok(())
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), InstallError> {
        self.sad.take_into_use(id, side, ends)
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        assert!(self.removed.insert(id), "a set removed twice");
        assert_eq!(self.sad.remove_ends(ends, side), 4);
    }
}

struct Life {
    chance: Chance,
    now: Moment,
    perfect: bool,
    events: BTreeMap<(Moment, u64), Happens>,
    number: u64,
    address: IpAddr,
    ue: Ue,
    ue_sad: Sad,
    pending: Option<Pending>,
    challenge_refused: bool,
    cseq: u32,
    fresh: u32,
    leaving: bool,
    due: bool,
    pcscf: Pcscf,
    path: Books,
    /// What a program keeps for each contact, request and set of the table, from what calls return
    /// until an event says that it can go.
    contacts: HashMap<ContactId, String>,
    requests: HashMap<RequestId, u32>,
    sets: HashMap<SetId, &'static str>,
    ue_sets: HashSet<SetId>,
    ended: Vec<Identity>,
    /// Responses, sent again when the request comes again: by CSeq.
    responses: HashMap<u32, (Vec<u8>, bool)>,
    opened: HashSet<(Side, Spi, u32)>,
    delivered: [u32; 2],
    keys: u8,
}

impl Life {
    fn new(seed: u64) -> Self {
        let now = Moment::from_millis(seed % 1_000_000);
        let address: IpAddr = [10, 1, 0, 16].into();
        let spis = SpiAllocator::new(SpiSlice::WHOLE, 64, seed.to_le_bytes().repeat(2).try_into().unwrap());
        Self {
            chance: Chance(seed),
            now,
            perfect: false,
            events: BTreeMap::new(),
            number: 0,
            address,
            ue: Ue::new(UeConfig::new(policy(), PCSCF), address),
            ue_sad: Sad::new(),
            pending: None,
            challenge_refused: false,
            cseq: 0,
            fresh: 0,
            leaving: false,
            due: false,
            pcscf: Pcscf::new(config(), spis.unwrap(), now),
            path: Books::default(),
            contacts: HashMap::new(),
            requests: HashMap::new(),
            sets: HashMap::new(),
            ue_sets: HashSet::new(),
            ended: Vec::new(),
            responses: HashMap::new(),
            opened: HashSet::new(),
            delivered: [0; 2],
            keys: 0,
        }
    }

    // ---- the wire

    /// Sends a datagram: sealed if it is protected traffic, and in clear only if it is none at
    /// either end.
    fn send(&mut self, from: Side, datagram: &[u8], protected: bool) {
        let (sad, other) = match from {
            Side::Ue => (&mut self.ue_sad, &self.path.sad),
            Side::Pcscf => (&mut self.path.sad, &self.ue_sad),
        };
        let packet = if protected {
            let mut packet = vec![0; datagram.len() + 64];
            // Its SAs may have gone in the meantime: then nothing is sent, and certainly not in
            // clear.
            let Ok(sealed) = sad.seal(datagram, &mut packet) else { return };
            packet[sealed.range].to_vec()
        } else {
            assert!(!sad.is_protected(datagram).unwrap(), "protected traffic in clear");
            assert!(!other.is_protected(datagram).unwrap(), "the other end would not take it in clear");
            datagram.to_vec()
        };
        let to = if from == Side::Ue { Side::Pcscf } else { Side::Ue };
        let copies = match self.perfect {
            true => 1,
            false if self.chance.percent(15) => 0,
            false => 1 + u64::from(self.chance.percent(10)),
        };
        for _ in 0..copies {
            let late = if self.perfect { 20 } else { 5 + (self.chance.below(3000) >> self.chance.below(12)) };
            self.at(Duration::from_millis(late), Happens::Arrives(to, packet.clone()));
        }
    }

    fn at(&mut self, after: Duration, event: Happens) {
        self.number += 1;
        self.events.insert((self.now + after, self.number), event);
    }

    fn send_over(&mut self, from: Side, route: &Route, text: &str) -> Vec<u8> {
        let (source, destination) = (route.source, route.destination);
        let datagram =
            udp((source.ip(), source.port()), (destination.ip(), destination.port()), text.as_bytes());
        self.send(from, &datagram, true);
        datagram
    }

    fn send_clear(&mut self, from: Side, text: &str) -> Vec<u8> {
        let (ue, pcscf) = ((self.address, SIP), (PCSCF, SIP));
        let datagram =
            if from == Side::Ue { udp(ue, pcscf, text.as_bytes()) } else { udp(pcscf, ue, text.as_bytes()) };
        self.send(from, &datagram, false);
        datagram
    }

    fn arrives(&mut self, at: Side, mut octets: Vec<u8>) {
        if octets[9] != 50 {
            let text = String::from_utf8(octets[28..].to_vec()).unwrap();
            return self.receive(at, Over::Clear, &text);
        }
        let sad = if at == Side::Ue { &mut self.ue_sad } else { &mut self.path.sad };
        // A duplicate, or of a set that is no more: dropped.
        let Ok(arrived) = sad.open_in_place(&mut octets) else { return };
        let opened = arrived.opened;
        assert!(self.opened.insert((at, opened.spi, opened.sequence)), "the same packet twice");
        let text = String::from_utf8(octets[opened.range][28..].to_vec()).unwrap();
        self.receive(at, Over::Sa(opened.spi), &text);
    }

    fn receive(&mut self, at: Side, over: Over, text: &str) {
        let cseq = line(text, "CSeq").map(|cseq| cseq.parse().unwrap());
        match (at, text.split_whitespace().next().unwrap()) {
            (Side::Pcscf, "REGISTER") => self.pcscf_register(over, text, cseq.unwrap()),
            (Side::Ue, "SIP/2.0") => self.ue_response(over, text, cseq.unwrap()),
            (side, "MESSAGE") => {
                let Over::Sa(spi) = over else { panic!("a MESSAGE in clear") };
                let accepted = match side {
                    Side::Pcscf => self.pcscf.message(self.now, spi, &mut self.path).is_ok(),
                    Side::Ue => self.ue.message(self.now, spi, &mut self.ue_sad).is_ok(),
                };
                self.delivered[usize::from(side == Side::Ue)] += u32::from(accepted);
            }
            other => panic!("{other:?}"),
        }
        self.apply();
    }

    // ---- the P-CSCF

    fn pcscf_register(&mut self, over: Over, text: &str, cseq: u32) {
        if let Some((datagram, protected)) = self.responses.get(&cseq).cloned() {
            return self.send(Side::Pcscf, &datagram, protected);
        }
        let client: Vec<&str> = line(text, "Security-Client").into_iter().collect();
        let verify: Vec<&str> = line(text, "Security-Verify").into_iter().collect();
        let (nonce, response) = (line(text, "Nonce").unwrap_or(""), line(text, "Response").unwrap_or(""));
        let authorization = Authorization { nonce, response, auts: line(text, "Auts") };
        let deregisters = line(text, "Expires") == Some("0");
        let from: IpAddr = line(text, "Via").unwrap().parse().unwrap();
        let register = Register::new(over, from, PCSCF, "1@ims")
            .with_impus(&["sip:1@ims"])
            .with_authorization(authorization)
            .with_deregistration(deregisters)
            .with_security_client(&client)
            .with_security_verify(&verify);
        let result = self.pcscf.register(self.now, &register, &mut self.path);
        match result {
            Ok(forward) => {
                self.contacts.insert(forward.contact, "1@ims".into());
                assert!(self.requests.insert(forward.request, cseq).is_none());
                let answers = !response.is_empty();
                let protected = forward.protection.is_some();
                // What was asserted is what was there.
                assert!(!protected || over != Over::Clear);
                assert_eq!(forward.integrity_protected(), if protected { "yes" } else { "no" });
                let request = forward.request;
                let contact = forward.contact;
                let event = Happens::Core { contact, request, cseq, answers, protected, deregisters };
                let late = if self.perfect { 50 } else { self.chance.below(4000) };
                self.at(Duration::from_millis(late), event);
            }
            Err(error) => {
                if let Some(status) = error.status() {
                    let contact = match over {
                        Over::Clear => None,
                        Over::Sa(spi) => self.pcscf.contact_of(spi),
                    };
                    self.respond(contact, over, cseq, &format!("SIP/2.0 {} No\n", status.code()));
                }
            }
        }
    }

    fn respond(&mut self, contact: Option<ContactId>, over: Over, cseq: u32, text: &str) {
        let text = format!("{text}CSeq: {cseq}\n");
        let sent = match over {
            Over::Clear => (self.send_clear(Side::Pcscf, &text), false),
            Over::Sa(spi) => {
                let over = Over::Sa(spi);
                let route = contact.and_then(|id| self.pcscf.route_response(id, Transport::Udp, over).ok());
                let Some(route) = route.flatten() else { return };
                (self.send_over(Side::Pcscf, &route, &text), true)
            }
        };
        self.responses.insert(cseq, sent);
    }

    fn core(&mut self, event: Happens) {
        let Happens::Core { contact, request, cseq, answers, protected, deregisters } = event else { return };
        let refuse = !self.perfect && self.chance.percent(10);
        let challenge = !answers && !(protected && (deregisters || self.chance.percent(50)));
        if refuse {
            if let Ok(failed) = self.pcscf.failure(self.now, request, &mut self.path) {
                assert!(self.requests.remove(&request).is_some());
                self.respond(Some(failed.contact), failed.over, cseq, "SIP/2.0 403 Forbidden\n");
            }
        } else if challenge {
            self.keys = self.keys.wrapping_add(1);
            let (ck, ik) = self.keys();
            let nonce = format!("nonce {}", self.keys);
            if let Ok(sm6) = self.pcscf.challenge(self.now, request, &nonce, &ck, &ik, &mut self.path) {
                assert!(self.requests.remove(&request).is_some());
                assert_eq!(sm6.contact, contact);
                self.sets.insert(sm6.set, "temporary");
                let server = sm6.security_server;
                let text =
                    format!("SIP/2.0 401 Unauthorized\nKeys: {}\nSecurity-Server: {server}\n", self.keys);
                self.respond(Some(contact), sm6.over, cseq, &text);
            }
        } else {
            let expires = if deregisters { Duration::ZERO } else { EXPIRES };
            if let Ok(sm12) = self.pcscf.success(self.now, request, Accepted::new(expires), &mut self.path) {
                assert!(self.requests.remove(&request).is_some());
                self.respond(Some(contact), sm12.over, cseq, "SIP/2.0 200 OK\n");
            }
        }
        self.apply();
    }

    fn keys(&self) -> (Ck, Ik) {
        (Ck::new([self.keys; 16].map(|n| n ^ 0x5a)), Ik::new([self.keys; 16]))
    }

    // ---- the UE

    fn fresh(&mut self, in_clear: bool) -> Begin {
        self.fresh += 2;
        let port = 20_000 + (self.fresh % 20_000) as u16;
        Begin::new(setup(70_000 + self.fresh, 70_001 + self.fresh, port, 6100)).with_clear(in_clear)
    }

    fn ue_begins(&mut self, in_clear: bool, leaving: bool) {
        let begin = self.fresh(in_clear);
        let request = self.ue.begin(self.now, &begin, &mut self.ue_sad).unwrap();
        self.leaving = leaving;
        self.apply();
        self.ue_sends(&request, "");
    }

    fn ue_sends(&mut self, request: &Request, authorization: &str) {
        self.cseq += 1;
        let expires = if self.leaving { 0 } else { EXPIRES.as_secs() };
        let mut text = format!(
            "REGISTER sip:ims SIP/2.0\nCSeq: {}\nVia: {}\n{authorization}Expires: {expires}\n\
             Security-Client: {}\n",
            self.cseq, self.address, request.security_client
        );
        if !request.security_verify.is_empty() {
            text.push_str(&format!("Security-Verify: {}\n", request.security_verify.join(", ")));
        }
        let datagram = match &request.route {
            None => self.send_clear(Side::Ue, &text),
            Some(route) => {
                assert_eq!(self.ue.route_in_transaction(self.now, route.set), Ok(*route));
                self.send_over(Side::Ue, route, &text)
            }
        };
        self.pending = Some(Pending {
            cseq: self.cseq,
            datagram,
            protected: request.route.is_some(),
            interval: T1,
            again: self.now + T1,
            ends: self.now + DRAIN,
        });
    }

    fn ue_response(&mut self, over: Over, text: &str, cseq: u32) {
        if self.pending.take_if(|pending| pending.cseq == cseq).is_none() {
            return;
        }
        match text.split_whitespace().nth(1).unwrap() {
            "401" => {
                let keys: u8 = line(text, "Keys").unwrap().parse().unwrap();
                let (ck, ik) = (Ck::new([keys; 16].map(|n| n ^ 0x5a)), Ik::new([keys; 16]));
                if !self.perfect && self.chance.percent(10) {
                    // The ISIM refuses AUTN.
                    let begin = self.fresh(false);
                    let report = self.ue.bad_challenge(self.now, over, &begin, &mut self.ue_sad);
                    self.apply();
                    if let Ok(report) = report {
                        self.challenge_refused = true;
                        self.ue_sends(&report, &format!("Nonce: nonce {keys}\nAuts: auts\n"));
                    }
                    return;
                }
                let server = line(text, "Security-Server").unwrap();
                if let Ok(sm7) = self.ue.challenged(self.now, over, &[server], &ck, &ik, &mut self.ue_sad) {
                    self.ue_sets.insert(sm7.route.unwrap().set);
                    self.apply();
                    self.ue_sends(&sm7, &format!("Nonce: nonce {keys}\nResponse: res\n"));
                }
            }
            "200" => {
                let expires = if self.leaving { Duration::ZERO } else { EXPIRES };
                self.ue.success(self.now, over, expires, &mut self.ue_sad).unwrap();
            }
            _ => self.ue.failure(self.now, over, None, &mut self.ue_sad).unwrap(),
        }
        self.apply();
    }

    fn message(&mut self, from: Side) -> bool {
        let route = match from {
            Side::Ue => self.ue.route_request().ok(),
            Side::Pcscf => {
                let contact = self.pcscf.contact_at((self.address, 6100).into());
                contact.and_then(|contact| self.pcscf.route_request(contact).ok())
            }
        };
        let Some(route) = route else { return false };
        assert_eq!(route.via_port.get(), if from == Side::Ue { 6100 } else { 7060 });
        self.send_over(from, &route, "MESSAGE sip:x SIP/2.0\n");
        true
    }

    // ---- both data paths

    /// Polls events, cleans up what they name, and compares the books.
    fn apply(&mut self) {
        while let Some(event) = self.pcscf.poll_event() {
            match event {
                Event::ContactEnded { contact, identity, .. } => {
                    assert!(self.contacts.remove(&contact).is_some(), "a contact ended twice");
                    self.ended.push(identity);
                }
                Event::RegistrationEnded { contact, .. } => assert!(self.contacts.contains_key(&contact)),
                Event::RequestForgotten { request, .. } => {
                    assert!(self.requests.remove(&request).is_some(), "a request was forgotten twice");
                }
                Event::SetTakenIntoUse { set, .. } => {
                    assert!(self.sets.insert(set, "in use").is_some(), "a set that was never installed");
                }
                Event::SetRemoved { set, .. } => {
                    assert!(self.sets.remove(&set).is_some(), "a set was removed twice");
                }
                other => panic!("{other:?}"),
            }
        }
        while let Some(event) = self.ue.poll_event() {
            match event {
                UeEvent::RegisterDue | UeEvent::Ended(_) => self.due = !self.leaving,
                UeEvent::SetRemoved { set, .. } => {
                    assert!(self.ue_sets.remove(&set), "a set was removed twice")
                }
                UeEvent::SetTakenIntoUse(set) => assert!(self.ue_sets.contains(&set)),
                UeEvent::ProcedureExpired => {}
                other => panic!("{other:?}"),
            }
        }
        let there = self.path.installed.len() - self.path.removed.len();
        assert_eq!((self.path.sad.len(), self.sets.len()), (4 * there, there));
        assert_eq!(self.pcscf.spis().in_use() as usize, self.path.sad.len() / 2);
        assert_eq!(self.contacts.len(), self.pcscf.len() as usize);
        assert_eq!(self.ue_sad.len(), 4 * self.ue_sets.len());
    }

    // ---- time

    /// Everything that happens until then.
    fn run_until(&mut self, end: Moment) {
        loop {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let pending = self.pending.as_ref().map(|pending| pending.again.min(pending.ends));
            let timeouts = [event, pending, self.ue.poll_timeout(), self.pcscf.poll_timeout()];
            let Some(next) = timeouts.into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.pcscf.handle_timeout(self.now, &mut self.path);
            self.ue.handle_timeout(self.now, &mut self.ue_sad);
            self.apply();
            if event.is_some_and(|at| at <= self.now) {
                match self.events.pop_first().unwrap().1 {
                    Happens::Arrives(at, octets) => self.arrives(at, octets),
                    core => self.core(core),
                }
            }
            self.retransmit();
        }
        self.now = self.now.max(end);
    }

    fn retransmit(&mut self) {
        let Some(pending) = &mut self.pending else { return };
        if pending.ends <= self.now {
            self.pending = None;
            let _ = self.ue.timed_out(self.now, &mut self.ue_sad);
            self.apply();
        } else if pending.again <= self.now {
            pending.interval = (pending.interval * 2).min(Duration::from_secs(16));
            pending.again = self.now + pending.interval;
            let (datagram, protected) = (pending.datagram.clone(), pending.protected);
            self.send(Side::Ue, &datagram, protected);
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    fn act(&mut self) {
        match self.chance.below(20) {
            0..6 => {
                self.message(Side::Ue);
            }
            6..10 => {
                self.message(Side::Pcscf);
            }
            10..15 if self.pending.is_none() => {
                let in_clear = self.chance.percent(20);
                self.ue_begins(in_clear, false);
            }
            // In the middle of another procedure, which is forgotten.
            15 => self.ue_begins(false, false),
            16 if self.pending.is_none() => self.ue_begins(false, true),
            17 if self.chance.percent(30) => {
                // The phone restarts, or has another address; it knows nothing any more.
                if self.chance.percent(50) {
                    self.address = [10, 1, 0, 16 + self.chance.below(3) as u8].into();
                    self.ue.address_changed(self.address, &mut self.ue_sad);
                    self.apply();
                } else {
                    self.ue_sets.clear();
                    self.ue = Ue::new(UeConfig::new(policy(), PCSCF), self.address);
                    self.ue_sad = Sad::new();
                }
                self.pending = None;
            }
            18 if self.chance.percent(30) => {
                if let Some(contact) = self.pcscf.contact_at((self.address, 6100).into()) {
                    let _ = self.pcscf.deregister(self.now, contact, &mut self.path);
                }
            }
            _ => {}
        }
        self.apply();
        let magnitude = 3 + self.chance.below(19);
        let millis = self.chance.below(1 << magnitude);
        self.pass(Duration::from_millis(millis));
        if std::mem::take(&mut self.due) && self.pending.is_none() {
            self.ue_begins(false, false);
        }
    }

    fn live(&mut self) {
        for _ in 0..20 + self.chance.below(30) {
            self.act();
        }
        // From here on the network is perfect. Whatever state the two are in, they recover.
        self.perfect = true;
        let give_up = self.now + 4 * AWAIT;
        self.run_until(self.now + DRAIN);
        let mut tries = 0;
        loop {
            self.ue_begins(tries > 0, false);
            self.run_until(self.now + DRAIN + T1);
            if self.ue.state() == UeState::Idle && self.ue.may_send_protected() {
                let before = self.delivered;
                let both = [Side::Ue, Side::Pcscf].map(|side| self.message(side));
                self.pass(T1);
                if both == [true; 2] && self.delivered == [before[0] + 1, before[1] + 1] {
                    break;
                }
            }
            tries += 1;
            assert!(tries < 3 && self.now < give_up, "no recovery in {tries} tries");
        }
        // The phone vanishes. Nothing lives longer than the registration that it had.
        self.pending = None;
        self.events.clear();
        self.ue_sets.clear();
        self.ue_sad = Sad::new();
        self.ue = Ue::new(UeConfig::new(policy(), PCSCF), self.address);
        let lifetime = EXPIRES + GRACE + Duration::from_millis(128);
        self.run_until(self.now + lifetime);
        assert!(self.path.sad.is_empty() && self.pcscf.is_empty(), "an SA outlived its deadline");
        assert_eq!(self.pcscf.poll_timeout(), None);
        assert_eq!(self.path.installed.len(), self.path.removed.len(), "installs and removes balance");
        let kept = (self.contacts.len(), self.requests.len(), self.sets.len());
        assert_eq!(kept, (0, 0, 0), "contacts, requests and sets that a program would keep for ever");
        assert!(self.ended.iter().all(|identity| identity.impi() == "1@ims"));
        assert_eq!(self.pcscf.counters().sets, self.pcscf.counters().removed);
    }
}

// Ten thousand lives, in two tests so that two cores share them.
proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn five_thousand_lives(seed: u64) {
        Life::new(seed).live();
    }

    #[test]
    fn five_thousand_other_lives(seed: u64) {
        Life::new(seed).live();
    }
}

//! Exhaustive: every order of what an attacker on the wire can do to a registration, with the real
//! code at both ends.
//!
//! The attacker sees everything, and delivers what was sent when and as often as it likes, or
//! never; it rewrites what is in clear, damages what is ESP and reflects it. It sends REGISTERs of
//! its own in the UE's name, from the UE's address and from others: some that the core challenges,
//! reports of failure, de-registrations that the core accepts. It cannot make an ICV without IK.
//! The UE begins up to twice and may give up; the core challenges each REGISTER that was not
//! protected and accepts each that was.
//!
//! Whatever the attacker has sent of its own, the UE can do what it could without that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::wildcard_enum_match_arm, clippy::expect_used, clippy::print_stdout, reason = "a test")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use gm::{Answers, Gm, HOUR, PCSCF, Phone, keys};
use ipsec_3gpp::Suite;
use ipsec_3gpp::algorithm::Encryption;
use ipsec_3gpp::registration::{ContactId, Over, Register, Request, Route, Transport, UeState};
use ipsec_3gpp::sa::Side;
use ipsec_3gpp::sec_agree::{Ipsec3gpp, Mechanism, MechanismList, Style};
use ipsec_3gpp::spi::Spi;
use stateright::{Checker, HasDiscoveries, Model, Property};
use support::udp;

const BEST: Suite = Suite::HMAC_SHA_1_96_AES_CBC;
/// The bounds of the search: steps in all, and how many of them are the attacker's: rewriting,
/// damaging, reflecting, replaying, forging. The deep search takes minutes of CPU and is run by
/// `.ci/run`.
const MAX_ACTIONS: usize = 8;
const FEW_ATTACKS: usize = 1;
const MAX_ATTACKS: usize = 3;

/// What the attacker does to a message before it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum How {
    AsItIs,
    /// In clear: without the mechanisms that encrypt.
    WithoutEncryption,
    /// In clear: the last mechanism first.
    Reversed,
    /// In clear: with another SPI.
    OtherSpi,
    /// ESP: one bit flipped.
    Damaged,
    /// ESP: back to its sender.
    Reflected,
}

/// A REGISTER in clear that the attacker makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Forged {
    /// The core challenges it.
    Challenged,
    /// The UE refuses the latest challenge, it says.
    Report,
    /// The UE leaves, it says, and the core accepts that.
    Leaves,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Begin,
    GiveUp,
    Deliver(usize, How),
    /// From the UE's address or from another.
    Forge(Forged, bool),
}

impl Action {
    fn is_forged_elsewhere(&self) -> bool {
        matches!(self, Action::Forge(_, false))
    }
}

/// What the UE and the P-CSCF can do: all that a stranger must not change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ability {
    state: UeState,
    sets: usize,
    completed: u32,
    registered_until: Option<ipsec_3gpp::Moment>,
    reaches_pcscf: bool,
    reaches_ue: bool,
}

/// A message on the wire, and what the attacker has done with it.
#[derive(Clone)]
struct Sent {
    from: Side,
    octets: Vec<u8>,
    clear: bool,
    delivered: Vec<How>,
    accepted: u32,
}

/// Both ends and the wire after some actions. Made again from the actions for each state: the real
/// types hold keys and cannot be copied.
struct World {
    gm: Gm,
    phone: Phone,
    wire: Vec<Sent>,
    begun: u32,
    /// No comparison of SM7: what it says is replaced by what would be right.
    model: Gm33203,
    issued: Vec<(String, String)>,
    broken: Vec<&'static str>,
    completed: u32,
    forged: u32,
    /// The contact of the UE.
    contact: Option<ContactId>,
    /// The challenges of the core: the latest one's number is its nonce.
    nonce: String,
}

/// A state is what can be observed of the world; the actions that led there are only how to come
/// back to it.
#[derive(Clone, Debug)]
struct State {
    actions: Vec<Action>,
    fingerprint: u64,
    offered: Vec<Action>,
    broken: Vec<&'static str>,
    completed: u32,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}
impl Eq for State {}
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.fingerprint.hash(hasher);
    }
}

fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

impl World {
    fn new(model: Gm33203) -> Self {
        Self {
            gm: Gm::new(),
            phone: Phone::new(16),
            wire: Vec::new(),
            begun: 0,
            model,
            issued: Vec::new(),
            broken: Vec::new(),
            completed: 0,
            forged: 0,
            contact: None,
            nonce: String::new(),
        }
    }

    fn replay(model: Gm33203, actions: &[Action]) -> Self {
        let mut world = Self::new(model);
        actions.iter().for_each(|action| world.act(*action));
        world
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Begin => {
                self.begun += 1;
                let begin = self.phone.begin();
                let request = self.phone.begins(self.gm.now, &begin);
                self.ue_sends(&request, "none");
            }
            Action::GiveUp => {
                self.phone.timed_out(self.gm.now);
            }
            Action::Forge(forged, at_home) => self.forge(forged, at_home),
            Action::Deliver(place, how) => {
                // Without what a stranger sent, a faulty P-CSCF may have sent less.
                let Some(sent) = self.wire.get_mut(place) else { return };
                sent.delivered.push(how);
                let Sent { from, octets, clear, .. } = self.wire[place].clone();
                let to = if from == Side::Ue { Side::Pcscf } else { Side::Ue };
                if clear {
                    let text = String::from_utf8(octets).unwrap();
                    self.receive(to, None, &rewritten(&text, how));
                } else {
                    self.esp(place, octets, if how == How::Reflected { from } else { to }, how);
                }
            }
        }
    }

    /// The attacker sees no answer to what it sends from elsewhere, and needs none.
    fn forge(&mut self, forged: Forged, at_home: bool) {
        self.forged += 1;
        let spi = 0x0700_0000 + 2 * self.forged;
        let row = format!(
            "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={spi};spi-s={};port-c=999;port-s=6100",
            spi + 1
        );
        let (rows, nonce) = ([row.as_str()], self.nonce.clone());
        let from = if at_home { self.phone.address } else { [6, 6, 6, 6].into() };
        let answers = if forged == Forged::Report { Answers::Failure } else { Answers::None };
        let register = Register::new(Over::Clear, from, PCSCF, "16@ims")
            .with_authorization(answers.authorization(&nonce))
            .with_deregistration(forged == Forged::Leaves)
            .with_security_client(&rows);
        let Ok(forward) = self.gm.pcscf.register(self.gm.now, &register, &mut self.gm.sad) else { return };
        if forward.protection.is_some() {
            self.broken.push("protection was asserted that was not there");
        }
        if forged == Forged::Leaves {
            let _ = self.gm.success(forward.request, std::time::Duration::ZERO);
        } else {
            let _ = self.gm.try_challenge(forward.request);
            if self.model.displaces
                && let Some(set) = self.contact.and_then(|contact| self.gm.pcscf.sets(contact).next())
            {
                // The fault: what came in clear takes the place of what the UE has open.
                let _ = self.gm.pcscf.data_path_failed(set, &mut self.gm.sad);
            }
        }
    }

    fn esp(&mut self, place: usize, mut octets: Vec<u8>, at: Side, how: How) {
        if how == How::Damaged {
            let middle = octets.len() / 2;
            octets[middle] ^= 1;
        }
        let sad = if at == Side::Ue { &mut self.phone.sad } else { &mut self.gm.sad };
        let Ok(arrived) = sad.open_in_place(&mut octets) else { return };
        self.wire[place].accepted += 1;
        if self.wire[place].accepted > 1 {
            self.broken.push("a packet was accepted twice");
        }
        if how != How::AsItIs {
            self.broken.push("a damaged or reflected packet was accepted");
        }
        let opened = arrived.opened;
        let text = String::from_utf8(octets[opened.range][28..].to_vec()).unwrap();
        self.receive(at, Some(opened.spi), &text);
    }

    /// Sends a message in clear, or over a route.
    fn send(&mut self, from: Side, route: Option<Route>, text: &str) {
        let Some(route) = route else {
            let octets = text.as_bytes().to_vec();
            self.wire.push(Sent { from, octets, clear: true, delivered: Vec::new(), accepted: 0 });
            return;
        };
        let sad = if from == Side::Ue { &mut self.phone.sad } else { &mut self.gm.sad };
        let (source, destination) = (route.source, route.destination);
        let plain =
            udp((source.ip(), source.port()), (destination.ip(), destination.port()), text.as_bytes());
        let mut packet = vec![0; plain.len() + 64];
        let range = sad.seal(&plain, &mut packet).unwrap().range;
        let octets = packet[range].to_vec();
        self.wire.push(Sent { from, octets, clear: false, delivered: Vec::new(), accepted: 0 });
    }

    fn ue_sends(&mut self, request: &Request, authorization: &str) {
        let mut text = format!(
            "REGISTER\nAuthorization: {authorization}\nSecurity-Client: {}\n",
            request.security_client
        );
        if !request.security_verify.is_empty() {
            text.push_str(&format!("Security-Verify: {}\n", request.security_verify.join(", ")));
        }
        self.send(Side::Ue, request.route, &text);
    }

    fn receive(&mut self, at: Side, over: Option<Spi>, text: &str) {
        let from = over.map_or(Over::Clear, Over::Sa);
        match at {
            Side::Pcscf if text.starts_with("REGISTER") => self.at_pcscf(over, text),
            Side::Ue if text.starts_with("401") => {
                let (ck, ik) = keys();
                let server = line(text, "Security-Server").unwrap();
                let Phone { ue, sad, .. } = &mut self.phone;
                let nonce = line(text, "Nonce").unwrap();
                if let Ok(sm7) = ue.challenged(self.gm.now, from, &[server], &ck, &ik, sad) {
                    self.ue_sends(&sm7, &format!("response {nonce}"));
                }
            }
            Side::Ue if text.starts_with("200") => {
                let _ = self.phone.ue.success(self.gm.now, from, HOUR, &mut self.phone.sad);
            }
            _ => {
                let _ = self.phone.ue.failure(self.gm.now, from, None, &mut self.phone.sad);
            }
        }
    }

    fn at_pcscf(&mut self, over: Option<Spi>, text: &str) {
        let (answers, nonce) = match line(text, "Authorization").and_then(|text| text.split_once(' ')) {
            Some((_, nonce)) => (Answers::Response, nonce),
            None => (Answers::None, ""),
        };
        let (mut client, mut verify) = (
            line(text, "Security-Client").unwrap().to_owned(),
            line(text, "Security-Verify").map(str::to_owned),
        );
        if self.model.careless && answers == Answers::Response {
            let (known, issued) = self.issued.last().unwrap().clone();
            client = known;
            verify = Some(issued);
        }
        let verify: Vec<&str> = verify.as_deref().into_iter().collect();
        let from = over.map_or(Over::Clear, Over::Sa);
        let rows = [client.as_str()];
        let register = Register::new(from, self.phone.address, PCSCF, "16@ims")
            .with_authorization(answers.authorization(nonce))
            .with_security_client(&rows)
            .with_security_verify(&verify);
        let result = self.gm.pcscf.register(self.gm.now, &register, &mut self.gm.sad);
        match result {
            Ok(forward) => {
                self.contact = Some(forward.contact);
                if forward.protection.is_some() && over.is_none() {
                    self.broken.push("protection was asserted that was not there");
                }
                if forward.protection.is_none() {
                    let Ok(sm6) = self.gm.try_challenge(forward.request) else { return };
                    let server = sm6.security_server.to_string();
                    self.issued.push((client, server.clone()));
                    self.nonce = self.gm.nonce();
                    let text = format!("401\nNonce: {}\nSecurity-Server: {server}\n", self.nonce);
                    self.answer(over, &text);
                } else if self.gm.success(forward.request, HOUR).is_ok() {
                    self.completed += 1;
                    if self.gm.pcscf.suite(forward.contact) != Some(BEST) {
                        self.broken.push("a registration with less than the best suite of both");
                    }
                    self.answer(over, "200\n");
                }
            }
            Err(error) => {
                if error.status().is_some() {
                    self.answer(over, "494\n");
                }
            }
        }
    }

    /// The P-CSCF answers a request that came over this.
    fn answer(&mut self, over: Option<Spi>, text: &str) {
        let Some(spi) = over else { return self.send(Side::Pcscf, None, text) };
        let Some(contact) = self.gm.pcscf.contact_of(spi) else { return };
        if let Ok(route) = self.gm.pcscf.route_response(contact, Transport::Udp, Over::Sa(spi)) {
            self.send(Side::Pcscf, route, text);
        }
    }

    /// What the two ends can do now.
    fn ability(&mut self) -> Ability {
        let registered_until = self.contact.and_then(|contact| self.gm.pcscf.registered_until(contact));
        let (state, sets) = (self.phone.ue.state(), self.phone.sad.len() / 4);
        let plain = |route: &Route| {
            let (source, destination) = (route.source, route.destination);
            udp((source.ip(), source.port()), (destination.ip(), destination.port()), b"MESSAGE")
        };
        let travels = |from: &mut ipsec_3gpp::Sad, to: &mut ipsec_3gpp::Sad, route: &Route| {
            let mut packet = vec![0; 200];
            let range = from.seal(&plain(route), &mut packet).ok()?.range;
            Some(to.open_in_place(&mut packet[range]).ok()?.opened.spi)
        };
        let (gm, phone) = (&mut self.gm, &mut self.phone);
        let to_ue = self.contact.and_then(|contact| gm.pcscf.route_request(contact).ok());
        let at_ue = to_ue.and_then(|route| travels(&mut gm.sad, &mut phone.sad, &route));
        let reaches_ue = at_ue.is_some_and(|spi| phone.ue.message(gm.now, spi, &mut phone.sad).is_ok());
        let to_pcscf = phone.ue.route_request().ok();
        let at_pcscf = to_pcscf.and_then(|route| travels(&mut phone.sad, &mut gm.sad, &route));
        let reaches_pcscf = at_pcscf.is_some_and(|spi| gm.arrives(spi).is_ok());
        Ability { state, sets, completed: self.completed, registered_until, reaches_pcscf, reaches_ue }
    }

    /// Left alone, both ends come to rest, and nothing stays.
    fn rests(mut self) -> bool {
        while let Some(next) = self.phone.ue.poll_timeout() {
            self.phone.ue.handle_timeout(next, &mut self.phone.sad);
        }
        self.gm.pass(2 * HOUR);
        self.phone.sad.is_empty()
            && self.gm.sad.is_empty()
            && self.gm.pcscf.is_empty()
            && self.gm.pcscf.poll_timeout().is_none()
            && self.gm.pcscf.spis().in_use() == 0
    }

    fn offered(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let done = self.wire.iter().map(|sent| &sent.delivered);
        let attacks: usize = done
            .map(|done| {
                let plain = done.iter().filter(|how| **how == How::AsItIs).count();
                done.len() - plain.min(1)
            })
            .sum();
        let attacks = attacks + self.forged as usize;
        if attacks < self.model.attacks {
            for forged in [Forged::Challenged, Forged::Report, Forged::Leaves] {
                actions.extend([true, false].map(|at_home| Action::Forge(forged, at_home)));
            }
        }
        if self.begun < 2 && self.phone.ue.state() != UeState::Answered {
            actions.push(Action::Begin);
        }
        if self.phone.ue.state() != UeState::Idle {
            actions.push(Action::GiveUp);
        }
        for (place, sent) in self.wire.iter().enumerate() {
            let hows: &[How] = if !sent.clear {
                &[How::AsItIs, How::Damaged, How::Reflected]
            } else if String::from_utf8_lossy(&sent.octets).contains("ipsec-3gpp") {
                &[How::AsItIs, How::WithoutEncryption, How::Reversed, How::OtherSpi]
            } else {
                &[How::AsItIs]
            };
            for how in hows {
                // Each once, and as it is a second time: a replay.
                let times = sent.delivered.iter().filter(|done| *done == how).count();
                let attack = *how != How::AsItIs || times > 0;
                if (times == 0 || times == 1 && *how == How::AsItIs)
                    && (!attack || attacks < self.model.attacks)
                {
                    actions.push(Action::Deliver(place, *how));
                }
            }
        }
        actions
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for sent in &self.wire {
            (&sent.octets, sent.accepted).hash(&mut hasher);
            let mut delivered: Vec<_> = sent.delivered.iter().map(|how| *how as u8).collect();
            delivered.sort_unstable();
            delivered.hash(&mut hasher);
        }
        format!("{:?}", self.phone.ue).hash(&mut hasher);
        let contact =
            self.wire.iter().find_map(|_| self.gm.pcscf.contact_at((self.phone.address, 6100).into()));
        if let Some(contact) = contact {
            // By number: the name of the table differs from world to world.
            self.gm.pcscf.sets(contact).for_each(|set| set.to_string().hash(&mut hasher));
            self.gm.pcscf.registered_until(contact).hash(&mut hasher);
        }
        let counters = self.gm.pcscf.counters();
        (counters.sets, counters.removed, counters.registered, counters.refused).hash(&mut hasher);
        (self.gm.sad.len(), self.phone.sad.len(), self.begun, &self.broken, self.completed).hash(&mut hasher);
        (self.forged, self.gm.pcscf.open_addresses()).hash(&mut hasher);
        hasher.finish()
    }

    fn state(mut self, actions: Vec<Action>) -> State {
        let mut state = State {
            fingerprint: self.fingerprint(),
            offered: self.offered(),
            broken: self.broken.clone(),
            completed: self.completed,
            actions,
        };
        // What a stranger elsewhere has sent changes nothing for the UE.
        if state.actions.iter().any(Action::is_forged_elsewhere) {
            let without: Vec<Action> =
                state.actions.iter().copied().filter(|action| !action.is_forged_elsewhere()).collect();
            if World::replay(self.model, &without).ability() != self.ability() {
                state.broken.push("a stranger has changed what the UE can do");
            }
        }
        if !self.rests() {
            state.broken.push("it does not come to rest");
        }
        // Two ways to the same world differ where only one of them shows what is broken.
        let mut hasher = DefaultHasher::new();
        (state.fingerprint, &state.broken).hash(&mut hasher);
        state.fingerprint = hasher.finish();
        state
    }
}

/// A message in clear as the attacker changes it.
fn rewritten(text: &str, how: How) -> String {
    let change = |list: &str| {
        let mut mechanisms = MechanismList::parse_rows([list]).unwrap().mechanisms().to_vec();
        match how {
            How::WithoutEncryption => mechanisms.retain(|mechanism| {
                matches!(mechanism, Mechanism::Ipsec3gpp(Ipsec3gpp { ealg, .. })
                    if *ealg == Some(ipsec_3gpp::sec_agree::Name::Known(Encryption::Null)))
            }),
            How::Reversed => {
                // By place and by q.
                let mut qs: Vec<_> = mechanisms.iter().map(Mechanism::q).collect();
                mechanisms.reverse();
                for mechanism in &mut mechanisms {
                    if let Mechanism::Ipsec3gpp(offer) = mechanism {
                        offer.q = qs.remove(0);
                    }
                }
            }
            How::OtherSpi => {
                for mechanism in &mut mechanisms {
                    if let Mechanism::Ipsec3gpp(offer) = mechanism {
                        offer.spi_s = Some(support::spi(0x0666_0666));
                    }
                }
            }
            How::AsItIs | How::Damaged | How::Reflected => {}
        }
        MechanismList::new(mechanisms).unwrap().emit(&Style::STANDARD)
    };
    let lines = text.lines().map(|line| match line.split_once(": ") {
        Some((name, list)) if name.starts_with("Security-") => format!("{name}: {}\n", change(list)),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// What is searched: how many steps the attacker has, and which fault the P-CSCF has, if any: it
/// does not compare SM7, or lets what came in clear displace what is open.
#[derive(Clone, Copy, Default)]
struct Gm33203 {
    careless: bool,
    displaces: bool,
    attacks: usize,
}

impl Model for Gm33203 {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![World::new(*self).state(Vec::new())]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.actions.len() < MAX_ACTIONS && state.broken.is_empty() {
            actions.extend(&state.offered);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut actions = state.actions.clone();
        actions.push(action);
        Some(World::replay(*self, &actions).state(actions))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is broken", |_, state: &State| state.broken.is_empty()),
            Property::sometimes("a registration completes", |_, state: &State| state.completed > 0),
            Property::sometimes("two registrations complete", |_, state: &State| state.completed > 1),
        ]
    }
}

fn search(attacks: usize) -> usize {
    let checker = Gm33203 { attacks, ..Gm33203::default() }.checker().threads(2).spawn_bfs().join();
    println!("{attacks} attacks: {} states", checker.unique_state_count());
    checker.assert_properties();
    checker.unique_state_count()
}

#[test]
fn no_attacker_on_the_wire_gets_past_the_comparison_of_sm7() {
    assert!(search(FEW_ATTACKS) > 1000);
}

#[test]
#[ignore = "takes a minute of CPU: .ci/run runs it"]
fn no_attacker_with_more_steps_gets_past_it_either() {
    assert!(search(MAX_ATTACKS) > 10_000);
}

#[test]
fn where_a_stranger_displaces_what_is_open_the_check_finds_it() {
    let checker = Gm33203 { displaces: true, attacks: 1, ..Gm33203::default() }
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let path = checker.discovery("nothing is broken").expect("the flaw is found");
    let last = path.last_state();
    assert_eq!(last.broken, ["a stranger has changed what the UE can do"]);
    assert!(last.actions.iter().any(Action::is_forged_elsewhere), "{:?}", last.actions);
}

#[test]
fn without_the_comparison_of_sm7_the_check_finds_the_bidding_down() {
    let checker = Gm33203 { careless: true, attacks: MAX_ATTACKS, ..Gm33203::default() }
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let path = checker.discovery("nothing is broken").expect("the flaw is found");
    let last = path.last_state();
    assert_eq!(last.broken, ["a registration with less than the best suite of both"]);
    let stripped = |action: &Action| matches!(action, Action::Deliver(_, How::WithoutEncryption));
    assert!(last.actions.iter().any(stripped), "{:?}", last.actions);
}

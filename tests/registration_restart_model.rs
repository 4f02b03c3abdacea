//! Exhaustive: every order of a phone that restarts with the ports and SPIs that it had, of
//! strangers who pretend to be it from its own address, of messages that are lost, of a core that
//! refuses, and of time, with the real code at both ends.
//!
//! A phone that has not restarted is served whatever strangers send. One that has restarted gets in
//! with its next set-up, from whatever state, and is served from then on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a test")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use gm::{AWAIT, Answers, DRAIN, Gm, HOUR, PCSCF, Phone, Says, keys};
use ipsec_3gpp::registration::{ContactId, Over, Register, Request};
use ipsec_3gpp::sa::Side;
use stateright::{Checker, HasDiscoveries, Model, Property};
use support::udp;

/// Steps in all. Each adds a factor of about three.
const MAX_STEPS: usize = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// The phone registers, or does so again: up to SM6, then SM7, then SM12. Each may be the last
    /// that arrives.
    Sm1,
    Sm7,
    Sm12,
    /// The core refuses SM7.
    Refused,
    /// It forgets everything, without leaving.
    Restart,
    /// A stranger at its address, with its ports and SPIs, in its name or in another.
    Stranger(bool),
    /// A message of the phone.
    Talks,
    /// Longer than a set drains, and shorter than a challenge lasts.
    Waits,
}

struct World {
    gm: Gm,
    phone: Phone,
    /// SM7, and what the core has to answer.
    sm7: Option<Request>,
    answers: bool,
    contact: Option<ContactId>,
    /// The phone has SAs in force and has not restarted since.
    served: bool,
    strangers: u32,
    fault: Fault,
    broken: Vec<&'static str>,
}

/// What the P-CSCF does wrong, so that the check must find it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Fault {
    #[default]
    None,
    /// A stranger's challenge takes the place of the sets that have the same ports.
    Displaces,
}

impl World {
    fn new(fault: Fault) -> Self {
        Self {
            gm: Gm::new(),
            phone: Phone::new(16),
            sm7: None,
            answers: false,
            contact: None,
            served: false,
            strangers: 0,
            fault,
            broken: Vec::new(),
        }
    }

    fn replay(fault: Fault, steps: &[Step]) -> Self {
        let mut world = Self::new(fault);
        for step in steps {
            world.act(*step);
            world.serves();
        }
        world
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Sm1 => {
                (self.sm7, self.answers) = (None, false);
                let forward = self.gm.sm1(&mut self.phone);
                self.contact = Some(forward.contact);
                self.sm7 = Some(self.gm.sm6(&mut self.phone, forward.contact));
            }
            Step::Sm7 => {
                let sm7 = self.sm7.clone().unwrap();
                // Over TCP: a SYN, whose SYN-ACK goes over the new set before anybody sees SM7.
                let route = sm7.route.unwrap();
                let (from, to) = (route.source, route.destination);
                let syn = udp((from.ip(), from.port()), (to.ip(), to.port()), b"SYN");
                let back = udp((to.ip(), to.port()), (from.ip(), from.port()), b"SYN-ACK");
                let mut packet = vec![0; 200];
                let range = self.phone.sad.seal(&syn, &mut packet).unwrap().range;
                if self.gm.sad.open_in_place(&mut packet[range]).is_err() {
                    // Its time is up, or a stranger at the phone's own address, who cannot be told
                    // from it in clear, has had another challenge made.
                    self.sm7 = None;
                    return self.phone.timed_out(self.gm.now);
                }
                let mut packet = vec![0; 200];
                let range = self.gm.sad.seal(&back, &mut packet).unwrap().range;
                if self.phone.sad.open_in_place(&mut packet[range]).is_err() {
                    self.broken.push("the SYN-ACK of SM7 went over another set");
                }
                let _ = self.gm.sm7(&self.phone, &sm7);
                (self.sm7, self.answers) = (None, true);
            }
            Step::Sm12 => {
                self.answers = false;
                if self.fault != Fault::None && self.gm.pcscf.sets(self.contact.unwrap()).count() == 0 {
                    return self.broken.push("the set of SM7 is gone");
                }
                self.gm.sm12(&mut self.phone, self.contact.unwrap(), HOUR);
                self.served = true;
            }
            Step::Refused => {
                self.answers = false;
                let request = self.gm.r(self.contact.unwrap());
                let _ = self.gm.failure(request);
                self.phone.timed_out(self.gm.now);
            }
            Step::Restart => {
                self.phone = Phone::new(16);
                (self.sm7, self.answers, self.served) = (None, false, false);
            }
            Step::Stranger(same_name) => self.stranger(same_name),
            Step::Talks => self.talks(),
            Step::Waits => {
                self.gm.pass(DRAIN + DRAIN / 2);
                self.phone.ue.handle_timeout(self.gm.now, &mut self.phone.sad);
                self.answers = false;
            }
        }
    }

    /// Never sees the 401, which goes to the phone's address.
    fn stranger(&mut self, same_name: bool) {
        self.strangers += 1;
        let mut twin = Phone::new(16);
        let setup = twin.begin().setup;
        let row = format!(
            "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={};spi-s={};port-c={};port-s={}",
            setup.spis.client, setup.spis.server, setup.ports.client, setup.ports.server
        );
        let rows = [row.as_str()];
        let impi = if same_name { "16@ims" } else { "thief@ims" };
        let register =
            Register::new(Over::Clear, self.phone.address, PCSCF, impi).with_security_client(&rows);
        let forward = self.gm.pcscf.register(self.gm.now, &register, &mut self.gm.sad).unwrap();
        let (ck, ik) = keys();
        let made = self.gm.pcscf.challenge(
            self.gm.now,
            forward.request,
            "of a stranger",
            &ck,
            &ik,
            &mut self.gm.sad,
        );
        if self.fault == Fault::Displaces
            && let Ok(made) = made
        {
            let ours: Vec<_> =
                self.contact.into_iter().flat_map(|contact| self.gm.pcscf.sets(contact)).collect();
            for set in ours.into_iter().filter(|set| *set != made.set) {
                let _ = self.gm.pcscf.data_path_failed(set, &mut self.gm.sad);
            }
        }
    }

    /// A message of a phone that is registered.
    fn talks(&mut self) {
        let route = self.phone.ue.route_request().unwrap();
        let (from, to) = (route.source, route.destination);
        let plain = udp((from.ip(), from.port()), (to.ip(), to.port()), b"MESSAGE");
        let mut packet = vec![0; 200];
        let range = self.phone.sad.seal(&plain, &mut packet).unwrap().range;
        let opened = self.gm.sad.open_in_place(&mut packet[range]);
        let arrived = opened.is_ok_and(|arrived| self.gm.arrives(arrived.opened.spi).is_ok());
        if !arrived {
            self.broken.push("a message of a phone that is registered does not arrive");
        }
    }

    /// A phone that is registered is served: a request of the P-CSCF reaches it, over the SA that
    /// the route names. (What it sends itself is a step of its own, since it takes sets into use.)
    fn serves(&mut self) {
        let Some(contact) = self.contact.filter(|_| self.served) else { return };
        let Ok(route) = self.gm.pcscf.route_request(contact) else {
            return self.broken.push("no route to a phone that is registered");
        };
        let (from, to) = (route.source, route.destination);
        let plain = udp((from.ip(), from.port()), (to.ip(), to.port()), b"NOTIFY");
        let mut packet = vec![0; 200];
        let sealed = self.gm.sad.seal(&plain, &mut packet).unwrap();
        if sealed.spi != route.spi || self.phone.sad.open_in_place(&mut packet[sealed.range]).is_err() {
            self.broken.push("a request does not reach a phone that is registered");
        }
    }

    /// From here, a restarted phone gets in with one set-up and is served; then everything ends.
    fn gets_in(mut self) -> Result<(), &'static str> {
        self.phone = Phone::new(16);
        let contact = self.gm.registered(&mut self.phone, HOUR);
        (self.contact, self.served) = (Some(contact), true);
        self.stranger(true);
        self.talks();
        self.serves();
        if !self.broken.is_empty() {
            return Err("a phone that restarts is not served");
        }
        // And leaves.
        let begin = self.phone.begin().with_deregistration(true);
        let request = self.phone.begins(self.gm.now, &begin);
        let says = Says { answers: Answers::None, deregisters: true };
        let _ = self.gm.register(&self.phone, &request, says).unwrap();
        self.gm.success(self.gm.r(contact), std::time::Duration::ZERO).unwrap();
        self.gm.pass(AWAIT + DRAIN);
        let Gm { pcscf, sad, .. } = &self.gm;
        let rests = pcscf.is_empty() && sad.is_empty() && pcscf.spis().in_use() == 0;
        if rests && pcscf.open_addresses() == 0 { Ok(()) } else { Err("something stays") }
    }

    fn offered(&self) -> Vec<Step> {
        let mut steps = vec![Step::Restart];
        if self.phone.ue.state() == ipsec_3gpp::registration::UeState::Idle {
            steps.push(Step::Sm1);
        }
        if self.sm7.is_some() && self.phone.ue.state() == ipsec_3gpp::registration::UeState::Answered {
            steps.push(Step::Sm7);
        }
        if self.answers {
            steps.extend([Step::Sm12, Step::Refused]);
        }
        if self.served {
            steps.push(Step::Talks);
        }
        if self.strangers < 2 {
            steps.extend([Step::Stranger(true), Step::Stranger(false)]);
        }
        if self.gm.now.as_millis() < 1_500_000 {
            steps.push(Step::Waits);
        }
        steps
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.phone.ue).hash(&mut hasher);
        if let Some(contact) = self.contact {
            self.gm.pcscf.sets(contact).for_each(|set| {
                let ends = self.gm.pcscf.ends(set).unwrap();
                (set.to_string(), self.gm.sad.holds(ends, Side::Pcscf)).hash(&mut hasher);
            });
            self.gm.pcscf.registered_until(contact).hash(&mut hasher);
            self.gm.pcscf.route_request(contact).ok().map(|route| route.spi).hash(&mut hasher);
        }
        (self.gm.now, self.gm.sad.len(), self.gm.pcscf.len(), self.strangers).hash(&mut hasher);
        (self.served, self.answers, self.sm7.is_some(), &self.broken).hash(&mut hasher);
        hasher.finish()
    }
}

#[derive(Clone, Debug)]
struct State {
    steps: Vec<Step>,
    fingerprint: u64,
    offered: Vec<Step>,
    broken: Vec<&'static str>,
    served: bool,
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

struct Restarts {
    fault: Fault,
    steps: usize,
}

impl Restarts {
    fn state(&self, steps: Vec<Step>) -> State {
        let world = World::replay(self.fault, &steps);
        let mut state = State {
            fingerprint: world.fingerprint(),
            offered: world.offered(),
            broken: world.broken.clone(),
            served: world.served,
            steps,
        };
        if let Err(reason) = world.gets_in() {
            state.broken.push(reason);
        }
        state
    }
}

impl Model for Restarts {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.state(Vec::new())]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        if state.steps.len() < self.steps && state.broken.is_empty() {
            actions.extend(&state.offered);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        Some(self.state(state.steps.iter().copied().chain([step]).collect()))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is broken", |_, state: &State| state.broken.is_empty()),
            Property::sometimes("a phone is served", |_, state: &State| state.served),
            Property::sometimes("a phone that restarted is served", |_, state: &State| {
                state.served && state.steps.contains(&Step::Restart)
            }),
        ]
    }
}

#[test]
fn a_phone_that_restarts_gets_in_and_nobody_else_gains_anything() {
    let checker =
        Restarts { fault: Fault::None, steps: MAX_STEPS + 1 }.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1000);
}

#[test]
fn where_a_strangers_challenge_takes_the_place_of_others_the_check_finds_it() {
    let checker = Restarts { fault: Fault::Displaces, steps: MAX_STEPS }
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let path = checker.discovery("nothing is broken").expect("the flaw is found");
    assert!(!path.last_state().broken.is_empty());
}

//! Every state of a registration with every event, at both ends, as a table that is stored with
//! the tests: what the library answers, what it tells its caller, and how many sets there are
//! afterwards.
//!
//! To store a table that was changed on purpose: `UPDATE_TABLE=1 cargo test --test
//! registration_table`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]
#![allow(clippy::wildcard_enum_match_arm, unused_must_use, reason = "a test")]

#[path = "support/gm.rs"]
mod gm;
mod support;

use std::fmt::Write;
use std::time::Duration;

use gm::{Answers, DRAIN, Gm, HOUR, PCSCF, Phone, keys};
use ipsec_3gpp::registration::{ContactId, Event, Over, Register, Request, UeEvent, UeState};
use ipsec_3gpp::sa::SetId;
use ipsec_3gpp::spi::Spi;

const SECOND: Duration = Duration::from_secs(1);

/// A P-CSCF, a phone, and what has passed between them.
struct Scene {
    gm: Gm,
    phone: Phone,
    contact: Option<ContactId>,
    /// Sets of the P-CSCF, by what each was last.
    sets: Vec<SetId>,
    /// The SM7 of the latest challenge.
    sm7: Option<Request>,
    /// The phone's set before the latest, for what comes late.
    earlier: Option<Request>,
}

impl Scene {
    fn new() -> Self {
        Self {
            gm: Gm::new(),
            phone: Phone::new(16),
            contact: None,
            sets: Vec::new(),
            sm7: None,
            earlier: None,
        }
    }

    fn sm1(&mut self) {
        self.contact = Some(self.gm.sm1(&mut self.phone).contact);
    }

    fn sm6(&mut self) {
        self.earlier = self.sm7.take();
        self.sm7 = Some(self.gm.sm6(&mut self.phone, self.contact.unwrap()));
        self.sets.push(self.gm.pcscf.sets(self.contact.unwrap()).next().unwrap());
    }

    fn sm7(&mut self) {
        let sm7 = self.sm7.clone().unwrap();
        self.gm.sm7(&self.phone, &sm7);
    }

    fn sm12(&mut self) {
        self.gm.sm12(&mut self.phone, self.contact.unwrap(), HOUR);
    }

    fn registers(&mut self) {
        self.sm1();
        self.sm6();
        self.sm7();
        self.sm12();
    }

    fn inbound(request: Option<&Request>) -> Option<Spi> {
        request.map(gm::spi_of)
    }
}

/// A state, and the steps that lead there.
type State = (&'static str, fn(&mut Scene));
/// An event, and what is answered to it; `None` if it cannot happen in this state.
type Happening<T> = (&'static str, fn(&mut Scene) -> Option<T>);

const STATES: [State; 9] = [
    ("unknown", |_| {}),
    ("SM1 sent on", |scene| scene.sm1()),
    ("challenged", |scene| {
        scene.sm1();
        scene.sm6();
    }),
    ("SM7 sent on", |scene| {
        scene.sm1();
        scene.sm6();
        scene.sm7();
    }),
    ("registered", |scene| scene.registers()),
    ("again, SM1 sent on", |scene| {
        scene.registers();
        scene.sm1();
    }),
    ("again, challenged", |scene| {
        scene.registers();
        scene.sm1();
        scene.sm6();
    }),
    ("again, SM7 sent on", |scene| {
        scene.registers();
        scene.sm1();
        scene.sm6();
        scene.sm7();
    }),
    ("new set not used", |scene| {
        scene.registers();
        scene.registers();
    }),
];

fn register(scene: &mut Scene, over: Over, answers: Answers, client: Option<&str>, leaves: bool) -> String {
    let nonce = scene.gm.nonce();
    let verify: Vec<String> =
        scene.sm7.iter().flat_map(|sm7| &sm7.security_verify).map(|row| row.to_string()).collect();
    let verify: Vec<&str> = verify.iter().map(String::as_str).collect();
    let client: Vec<&str> = client.into_iter().collect();
    let impus = [scene.phone.impu.as_str()];
    let register = Register::new(over, scene.phone.address, PCSCF, &scene.phone.impi)
        .with_impus(&impus)
        .with_authorization(answers.authorization(&nonce))
        .with_deregistration(leaves)
        .with_security_client(&client)
        .with_security_verify(&verify);
    match scene.gm.pcscf.register(scene.gm.now, &register, &mut scene.gm.sad) {
        Ok(forward) => {
            scene.contact = Some(forward.contact);
            format!("goes on, integrity-protected={}", forward.integrity_protected())
        }
        Err(error) => {
            let status = error.status().map_or("discarded".to_owned(), |status| status.code().to_string());
            format!("{status} ({})", error.code())
        }
    }
}

const FRESH: &str = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=4001;spi-s=4002;port-c=4003;port-s=6100";

fn sm7(scene: &mut Scene, client: Option<String>) -> Option<String> {
    let sm7 = scene.sm7.clone()?;
    let client = client.unwrap_or_else(|| sm7.security_client.to_string());
    Some(register(scene, gm::over(&sm7), Answers::Response, Some(&client), false))
}

/// Over the set that the phone sends requests over.
fn current(scene: &Scene) -> Option<Over> {
    scene.phone.ue.route_request().ok().map(|route| Over::Sa(route.spi))
}

const AT_PCSCF: [Happening<String>; 19] = [
    ("REGISTER in clear", |s| Some(register(s, Over::Clear, Answers::None, Some(FRESH), false))),
    ("REGISTER in clear, no Security-Client", |s| Some(register(s, Over::Clear, Answers::None, None, false))),
    ("REGISTER in clear, auts", |s| Some(register(s, Over::Clear, Answers::Failure, Some(FRESH), false))),
    ("REGISTER over the set in force", |s| {
        let over = current(s)?;
        Some(register(s, over, Answers::None, Some(FRESH), false))
    }),
    ("REGISTER over it, another response", |s| {
        let over = current(s)?;
        Some(register(s, over, Answers::Another, Some(FRESH), false))
    }),
    ("REGISTER over it, auts", |s| {
        let over = current(s)?;
        Some(register(s, over, Answers::Failure, Some(FRESH), false))
    }),
    ("de-registration over it", |s| {
        let over = current(s)?;
        Some(register(s, over, Answers::None, None, true))
    }),
    ("SM7", |s| sm7(s, None)),
    ("SM7 that differs", |s| sm7(s, Some(FRESH.into()))),
    ("401 with keys", |s| {
        let request = s.gm.r(s.contact?);
        Some(match s.gm.try_challenge(request) {
            Ok(_) => "SM6".to_owned(),
            Err(error) => format!("refused ({})", error.code()),
        })
    }),
    ("2xx", |s| {
        let request = s.gm.r(s.contact?);
        Some(match s.gm.success(request, HOUR) {
            Ok(sm12) => if sm12.new_set.is_some() { "SM12, a new set" } else { "2xx, none" }.to_owned(),
            Err(error) => format!("refused ({})", error.code()),
        })
    }),
    ("error of the core", |s| {
        let request = s.gm.r(s.contact?);
        Some(match s.gm.failure(request) {
            Ok(failed) => if failed.over == Over::Clear { "in clear" } else { "over an SA" }.to_owned(),
            Err(error) => format!("refused ({})", error.code()),
        })
    }),
    ("message over the newest set", |s| {
        let spi = Scene::inbound(s.sm7.as_ref())?;
        Some(
            s.gm.arrives(spi)
                .map_or_else(|error| format!("discarded ({})", error.code()), |_| "taken".into()),
        )
    }),
    ("message over the set before", |s| {
        let spi = Scene::inbound(s.earlier.as_ref())?;
        Some(
            s.gm.arrives(spi)
                .map_or_else(|error| format!("discarded ({})", error.code()), |_| "taken".into()),
        )
    }),
    ("network de-registers", |s| {
        let result = s.gm.pcscf.deregister(s.gm.now, s.contact?, &mut s.gm.sad);
        Some(result.map_or_else(|error| error.code().to_owned(), |()| "drains".to_owned()))
    }),
    ("operator forgets", |s| {
        let result = s.gm.pcscf.forget(s.contact?, &mut s.gm.sad);
        Some(result.map_or_else(|error| error.code().to_owned(), |()| "gone".to_owned()))
    }),
    ("data path loses the newest set", |s| {
        let result = s.gm.pcscf.data_path_failed(*s.sets.last()?, &mut s.gm.sad);
        Some(result.map_or_else(|error| error.code().to_owned(), |()| "ended".to_owned()))
    }),
    ("128 s pass", |s| {
        s.gm.pass(DRAIN + SECOND);
        Some(String::new())
    }),
    ("an hour passes", |s| {
        s.gm.pass(HOUR + 60 * SECOND);
        Some(String::new())
    }),
];

fn told(event: &Event) -> String {
    match event {
        Event::ContactEnded { cause, .. } => format!("contact ended, {cause}"),
        Event::RegistrationEnded { cause, .. } => format!("registration ended, {cause}"),
        Event::RequestForgotten { .. } => "request forgotten".into(),
        Event::SetTakenIntoUse { .. } => "set taken into use".into(),
        Event::SetRemoved { cause, .. } => format!("set removed, {cause}"),
        other => panic!("{other:?}"),
    }
}

fn pcscf_table(table: &mut String) {
    for (state, steps) in STATES {
        for (event, happens) in AT_PCSCF {
            let mut scene = Scene::new();
            steps(&mut scene);
            scene.gm.events();
            let Some(answer) = happens(&mut scene) else { continue };
            let told: Vec<String> = scene.gm.events().iter().map(told).collect();
            let sets = scene.contact.map_or(0, |contact| scene.gm.pcscf.sets(contact).count());
            let sends = scene.contact.and_then(|contact| scene.gm.pcscf.route_request(contact).ok());
            let sends = match sends.map(|route| route.set) {
                None => "nothing",
                Some(set) if Some(&set) == scene.sets.last() => "newest",
                Some(_) => "older",
            };
            writeln!(
                table,
                "{state:<19} {event:<38} {answer:<38} sets {sets}, in use: {sends:<8} {}",
                told.join("; ")
            )
            .unwrap();
        }
    }
}

/// What the answer to the phone's latest REGISTER comes over.
fn expected(scene: &Scene) -> Over {
    let request_over = match scene.phone.ue.state() {
        UeState::Idle => Over::Clear,
        UeState::Registering => current(scene).unwrap_or(Over::Clear),
        UeState::Answered => scene.sm7.as_ref().map_or(Over::Clear, gm::over),
    };
    scene.contact.map_or(Over::Clear, |contact| scene.gm.to_ue(contact, request_over))
}

fn result<T, E>(result: Result<T, E>, code: impl Fn(&E) -> &'static str) -> Option<String> {
    Some(result.map_or_else(|error| format!("refused ({})", code(&error)), |_| "ok".to_owned()))
}

const AT_UE: [Happening<String>; 11] = [
    ("begin", |s| {
        let begin = s.phone.begin();
        result(s.phone.ue.begin(s.gm.now, &begin, &mut s.phone.sad), |error| error.code())
    }),
    ("SM6 over what SM1 went over", |s| {
        let contact = s.contact?;
        let sm6 = s.gm.try_challenge(s.gm.r(contact)).ok()?;
        let over = s.gm.to_ue(contact, sm6.over);
        let (row, (ck, ik)) = (sm6.security_server.to_string(), keys());
        let answer = s.phone.ue.challenged(s.gm.now, over, &[&row], &ck, &ik, &mut s.phone.sad);
        result(answer, |error| error.code())
    }),
    ("SM6 without Security-Server", |s| {
        let (over, (ck, ik)) = (expected(s), keys());
        result(s.phone.ue.challenged(s.gm.now, over, &[], &ck, &ik, &mut s.phone.sad), |error| error.code())
    }),
    ("SM6 over something else", |s| {
        let (over, (ck, ik)) = (Over::Sa(Spi::new(300).unwrap()), keys());
        result(s.phone.ue.challenged(s.gm.now, over, &["tls"], &ck, &ik, &mut s.phone.sad), |error| {
            error.code()
        })
    }),
    ("2xx over something else", |s| {
        let over = Over::Sa(Spi::new(300).unwrap());
        result(s.phone.ue.success(s.gm.now, over, HOUR, &mut s.phone.sad), |error| error.code())
    }),
    ("2xx in clear", |s| {
        result(s.phone.ue.success(s.gm.now, Over::Clear, HOUR, &mut s.phone.sad), |error| error.code())
    }),
    ("error over what it comes over", |s| {
        let over = expected(s);
        result(s.phone.ue.failure(s.gm.now, over, None, &mut s.phone.sad), |error| error.code())
    }),
    ("error over something else", |s| {
        let over = Over::Sa(Spi::new(300).unwrap());
        result(s.phone.ue.failure(s.gm.now, over, None, &mut s.phone.sad), |error| error.code())
    }),
    ("no answer", |s| result(s.phone.ue.timed_out(s.gm.now, &mut s.phone.sad), |error| error.code())),
    ("another address", |s| {
        s.phone.moves_to([10, 9, 9, 9].into());
        Some("ok".into())
    }),
    ("all deadlines pass", |s| {
        while let Some(next) = s.phone.ue.poll_timeout() {
            s.phone.ue.handle_timeout(next, &mut s.phone.sad);
        }
        Some(String::new())
    }),
];

fn ue_table(table: &mut String) {
    for (state, steps) in STATES {
        for (event, happens) in AT_UE {
            let mut scene = Scene::new();
            steps(&mut scene);
            while scene.phone.ue.poll_event().is_some() {}
            let before = scene.phone.ue.state();
            let Some(answer) = happens(&mut scene) else { continue };
            let told: Vec<String> = std::iter::from_fn(|| scene.phone.ue.poll_event())
                .map(|event| match event {
                    UeEvent::RegisterDue => "register".into(),
                    UeEvent::ProcedureExpired => "procedure expired".into(),
                    UeEvent::Ended(cause) => format!("ended, {cause}"),
                    UeEvent::SetTakenIntoUse(_) => "set taken into use".into(),
                    UeEvent::SetRemoved { cause, .. } => format!("set removed, {cause}"),
                    other => panic!("{other:?}"),
                })
                .collect();
            writeln!(
                table,
                "{state:<19} {event:<30} {answer:<38} {before:?} -> {:?}, sets {}, {}",
                scene.phone.ue.state(),
                scene.phone.sad.len() / 4,
                told.join("; ")
            )
            .unwrap();
        }
    }
}

#[test]
fn every_state_with_every_event_is_as_stored() {
    let mut table = String::from("P-CSCF\n\n");
    pcscf_table(&mut table);
    table.push_str("\nUE\n\n");
    ue_table(&mut table);
    let table: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/registration_table.txt");
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap();
    for (found, stored) in table.lines().zip(stored.lines()) {
        assert_eq!(found, stored);
    }
    assert_eq!(table.lines().count(), stored.lines().count());
}

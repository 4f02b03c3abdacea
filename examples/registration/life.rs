//! One phone, from its first REGISTER to the last trace of it, and the P-CSCF and core that it
//! meets.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipsec_3gpp::export::wireshark_row_with_keys;
use ipsec_3gpp::negotiation::SecAgree;
use ipsec_3gpp::registration::{
    Accepted, Authorization, Begin, ContactId, DRAIN, Forward, Over, Register, Request, RequestId, Route,
    Sm12, Transport as Via, UeConfig,
};
use ipsec_3gpp::sa::{Ends, InstallError, Overlap, SaName, SaSet, SetId, Side};
use ipsec_3gpp::sec_agree::{Mechanism, SecurityClient, Style};
use ipsec_3gpp::setup::{Port, Setup};
use ipsec_3gpp::spi::Spi;
use ipsec_3gpp::{Ck, Confidentiality, DataPath, Ik, Moment, Policy, Sad, Suite, Ue};

use crate::data;
use crate::net::{Result, Transport};
use crate::{Scene, World};
use ipsec_3gpp_tools::sip::Message;

const SIP: u16 = 5060;
const EXPIRES: Duration = Duration::from_secs(3600);

pub(crate) struct Life<'w> {
    world: &'w mut World,
    transport: Transport,
    address: IpAddr,
    pcscf: IpAddr,
    ue: Ue,
    contact: Option<ContactId>,
    /// The phone's REGISTER, and its list, whose SPIs and client port change with each
    /// registration.
    register: Message,
    client_row: String,
    sequence: u32,
    deregisters: bool,
    /// Whether the values of Security-* headers are shown: in the first registration.
    shows_values: bool,
}

/// The route of a message, or clear.
#[derive(Clone, Copy)]
enum Travels {
    Clear,
    Protected(Route),
}

/// Whether the 200 that ends a registration arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    IsLost,
}

macro_rules! say {
    ($life:expr, $($text:tt)*) => { writeln!($life.world.out, $($text)*)? };
}

impl<'w> Life<'w> {
    pub(crate) fn begin(world: &'w mut World, scene: &Scene, number: usize) -> Result<Self> {
        let (address, pcscf): (IpAddr, IpAddr) = if scene.ipv6 {
            (format!("2001:db8:1::{}", number + 16).parse()?, "2001:db8::1".parse()?)
        } else {
            (format!("10.1.0.{}", number + 16).parse()?, "10.0.0.1".parse()?)
        };
        let text = data::phone(&scene.phone)?;
        let text = text.replace("{ue}", &host(address)).replace("{transport}", scene.transport.name());
        let mut register = Message::parse(&text)?;
        if let Some(value) = &scene.security_client {
            register.set("Security-Client", value);
        }
        let client_row = register.rows("Security-Client").join(", ");
        let list = SecurityClient::parse(&client_row)?;
        let policy = policy_of(&list).map_err(|error| {
            // A list that offers no suite: the P-CSCF says why not.
            let impi = register.quoted("Authorization", "username").unwrap_or_default();
            let rows = [client_row.as_str()];
            let sm1 = Register::new(Over::Clear, address, pcscf, impi).with_security_client(&rows);
            let World { network, pcscf, .. } = &mut *world;
            let refused = pcscf.register(network.now.into(), &sm1, &mut network.pcscf);
            refused.err().map_or(error, |refusal| {
                let status = refusal.status().map_or("discarded".into(), |status| status.to_string());
                format!("the P-CSCF refuses SM1: {status}: {refusal}").into()
            })
        })?;
        let life = Self {
            transport: scene.transport,
            address,
            pcscf,
            ue: Ue::new(UeConfig::new(policy, pcscf), address),
            contact: None,
            register,
            client_row,
            sequence: 0,
            deregisters: false,
            shows_values: true,
            world,
        };
        let via = scene.transport.name();
        say!(life, "{}: UE {address}, P-CSCF {pcscf}, SIP over {via}", scene.phone);
        say!(life, "{:>10}  {:<6}  {:<12}  {:<24}  message", "time", "from", "ports", "protection");
        Ok(life)
    }

    /// A registration, a call, a message to the UE, and de-registration.
    pub(crate) fn live_briefly(mut self) -> Result<()> {
        self.registers(data::CHALLENGE, false, Fate::Arrives)?;
        self.calls()?;
        self.is_called()?;
        self.leaves()?;
        self.later(DRAIN, "64*T1 after the 200, the SAs are removed")?;
        self.nothing_is_left()
    }

    /// All that can happen to a phone.
    pub(crate) fn live(mut self) -> Result<()> {
        self.registers(data::CHALLENGE, false, Fate::Arrives)?;
        self.calls()?;
        self.is_called()?;

        self.until_prompted("600 s before the registration ends, the UE refreshes it; no challenge")?;
        self.refreshes()?;

        self.until_prompted("the UE refreshes again, and this time the core challenges")?;
        self.registers(data::CHALLENGE_AGAIN, false, Fate::Arrives)?;
        self.note("the P-CSCF uses the old set until the UE has used the new one")?;
        self.is_called()?;
        self.calls()?;
        self.is_called()?;
        self.later(DRAIN, "64*T1 later, the transactions over the old set have ended")?;

        self.until_prompted("the next 200 is lost")?;
        self.registers(data::CHALLENGE, false, Fate::IsLost)?;
        self.later(DRAIN, "the UE gives up, forgets the new set, and begins again")?;
        self.ue.timed_out(self.now(), &mut self.world.network.ue)?;
        self.registers(data::CHALLENGE_AGAIN, false, Fate::Arrives)?;
        self.calls()?;

        self.later(Duration::from_secs(600), "the UE leaves")?;
        self.leaves()?;
        self.later(DRAIN, "64*T1 after the 200, the SAs are removed, and the contact")?;
        self.nothing_is_left()?;

        self.later(Duration::from_secs(600), "the phone registers again, and vanishes")?;
        self.registers(data::CHALLENGE, false, Fate::Arrives)?;
        self.later(EXPIRES, "its registration has expired; 30 s later its SAs do")?;
        self.later(Duration::from_secs(31), "both ends have removed them")?;
        self.nothing_is_left()?;
        say!(self, "");
        Ok(())
    }

    // ---- what happens

    /// SM1 to SM12, over the SAs in force if there are any.
    fn registers(&mut self, challenge: &str, deregisters: bool, fate: Fate) -> Result<()> {
        self.deregisters = deregisters;
        let (request, forward, over) = self.sends_sm1()?;
        let from_core = Message::parse(challenge)?;
        let key = |name| from_core.quoted("WWW-Authenticate", name).ok_or("a 401 of the core without keys");
        let (ck, ik): (Ck, Ik) = (key("ck")?.parse()?, key("ik")?.parse()?);

        // The P-CSCF takes the keys out of the 401, and has its SAs in place before it sends it.
        let nonce =
            from_core.quoted("WWW-Authenticate", "nonce").ok_or("a 401 of the core without a nonce")?;
        let now = self.now();
        let World { network, pcscf, rows, .. } = &mut *self.world;
        let mut path = Shown { sad: &mut network.pcscf, rows, text: String::new() };
        let sm6 = pcscf.challenge(now, forward.request, nonce, &ck, &ik, &mut path)?;
        let text = path.text;
        self.note(&text)?;
        let mut challenge = request.answer("401 Unauthorized");
        challenge.set("WWW-Authenticate", from_core.first("WWW-Authenticate"));
        challenge.strip("WWW-Authenticate", "ck");
        challenge.strip("WWW-Authenticate", "ik");
        challenge.set("Security-Server", sm6.security_server.emit(&Style::KAMAILIO));
        let travels = self.answers(forward.contact, over)?;
        let challenge = self.sends(Side::Pcscf, travels, &challenge, "SM6", false)?;
        self.value(&challenge, "Security-Server")?;

        // SM7: the UE has its own SAs in place, and answers over them.
        let rows = challenge.rows("Security-Server");
        let now = self.now();
        let sm7 = self.ue.challenged(now, over_of(travels), &rows, &ck, &ik, &mut self.world.network.ue)?;
        let (request, forward) = self.sends_register(&sm7, nonce, "SM7")?;
        let verdict = forward.protection.ok_or("an SM7 that was not protected")?;
        let verdicts =
            [verdict.integrity(), verdict.confidentiality()].map(|is| if is { "yes" } else { "no" });
        let [integrity, confidentiality] = verdicts;
        self.note("compared: Security-Client with that of SM1, Security-Verify with SM6: equal")?;
        let protected = forward.integrity_protected();
        self.note(&format!(
            "SM8 to the core: integrity {integrity}, confidentiality {confidentiality}, \
             integrity-protected=\"{protected}\""
        ))?;

        // SM12.
        let sm12 = self.accepts(forward.request, EXPIRES)?;
        let travels = self.answers(forward.contact, sm12.over)?;
        self.sends(Side::Pcscf, travels, &request.answer("200 OK"), "SM12", fate == Fate::IsLost)?;
        if fate == Fate::Arrives {
            self.confirms(over_of(travels), EXPIRES)?;
            let until =
                self.world.pcscf.registered_until(forward.contact).ok_or("a contact without a set")?;
            let who = self.world.pcscf.identity(forward.contact).ok_or("nobody")?.impi().to_owned();
            self.shows_values = false;
            self.note(&format!("{who}: SAs until {}", seconds(until)))?;
        }
        Ok(())
    }

    fn refreshes(&mut self) -> Result<()> {
        let (request, forward, over) = self.sends_sm1()?;
        let integrity = if forward.protection.is_some() { "yes" } else { "no" };
        self.note(&format!("to the core: integrity {integrity}; it accepts, and the set lives longer"))?;
        self.accepts(forward.request, EXPIRES)?;
        let travels = self.answers(forward.contact, over)?;
        self.sends(Side::Pcscf, travels, &request.answer("200 OK"), "", false)?;
        self.confirms(over_of(travels), EXPIRES)
    }

    fn leaves(&mut self) -> Result<()> {
        self.deregisters = true;
        let (request, forward, over) = self.sends_sm1()?;
        self.accepts(forward.request, Duration::ZERO)?;
        let travels = self.answers(forward.contact, over)?;
        self.sends(Side::Pcscf, travels, &request.answer("200 OK"), "", false)?;
        self.confirms(over_of(travels), Duration::ZERO)
    }

    /// A call of the UE, which is declined.
    fn calls(&mut self) -> Result<()> {
        let route = self.ue.route_request()?;
        let mut invite = self.request("INVITE", route.via_port.get());
        let verify = self.ue.security_verify().join(", ");
        invite.remove("Expires").remove("Authorization").set("Security-Verify", verify);
        let invite = self.sends(Side::Ue, Travels::Protected(route), &invite, "a call:", false)?;
        let now = self.now();
        let World { network, pcscf, .. } = &mut *self.world;
        let contact = pcscf.message(now, route.spi, &mut network.pcscf)?;
        let travels = self.answers(contact, Over::Sa(route.spi))?;
        self.sends(Side::Pcscf, travels, &invite.answer("486 Busy Here"), "", false)?;
        Ok(())
    }

    /// A message to the UE.
    fn is_called(&mut self) -> Result<()> {
        let contact = self.contact.ok_or("nobody is registered")?;
        let route = self.world.pcscf.route_request(contact)?;
        self.sequence += 1;
        let mut message = Message::new(&format!("MESSAGE sip:ue@{} SIP/2.0", route.destination));
        message
            .set("Via", self.via_header(self.pcscf, route.via_port.get()))
            .set("Max-Forwards", "70")
            .set("From", "<sip:smsc@ims.mnc001.mcc001.3gppnetwork.org>;tag=s1")
            .set("To", self.register.first("To"))
            .set("Call-ID", format!("message-{}@{}", self.sequence, host(self.pcscf)))
            .set("CSeq", format!("{} MESSAGE", self.sequence))
            .set("Content-Length", "0");
        let message = self.sends(Side::Pcscf, Travels::Protected(route), &message, "to the UE:", false)?;
        let now = self.now();
        self.ue.message(now, route.spi, &mut self.world.network.ue)?;
        let answer = self.ue.route_response(now, self.via(), route.spi)?;
        self.sends(Side::Ue, Travels::Protected(answer), &message.answer("200 OK"), "", false)?;
        Ok(())
    }

    // ---- REGISTER

    /// SM1 with fresh SPIs and a fresh client port: what it is at the P-CSCF, and what it came
    /// over.
    fn sends_sm1(&mut self) -> Result<(Message, Forward, Over)> {
        let list = SecurityClient::parse(&self.client_row)?;
        let setup = setup_of(&list)?;
        let begin = Begin::new(setup).with_list(list).with_deregistration(self.deregisters);
        let now = self.now();
        let request = self.ue.begin(now, &begin, &mut self.world.network.ue)?;
        let note = if self.deregisters { "de-registration:".to_owned() } else { "SM1".to_owned() };
        let over = request.route.map_or(Over::Clear, |route| Over::Sa(route.spi));
        let (message, forward) = self.sends_register(&request, "", &note)?;
        self.next_client_row(setup);
        Ok((message, forward, over))
    }

    fn sends_register(&mut self, request: &Request, nonce: &str, note: &str) -> Result<(Message, Forward)> {
        let travels = request.route.map_or(Travels::Clear, Travels::Protected);
        let (over, via_port) = match travels {
            Travels::Clear => (Over::Clear, SIP),
            Travels::Protected(route) => (Over::Sa(route.spi), route.via_port.get()),
        };
        let mut message = self.request("REGISTER", via_port);
        // Letter by letter the phone's own list, SM7's the same as SM1's.
        message.set("Security-Client", self.row_of(&request.security_client)?);
        if !request.security_verify.is_empty() {
            message.set("Security-Verify", request.security_verify.join(", "));
        }
        if !nonce.is_empty() {
            let answered = "response=\"9d2a5c1e0f7b4a3d8e6f1c2b3a495867\"";
            let authorization = message.first("Authorization").replace("response=\"\"", answered);
            let authorization = authorization.replace("nonce=\"\"", &format!("nonce=\"{nonce}\""));
            message.set("Authorization", authorization);
        }
        if self.deregisters {
            let contact = message.first("Contact").replace("expires=600000", "expires=0");
            message.set("Contact", contact);
        }
        let message = self.sends(Side::Ue, travels, &message, note, false)?;
        if nonce.is_empty() && !self.deregisters {
            self.value(&message, "Security-Client")?;
        }
        if !nonce.is_empty() {
            self.value(&message, "Security-Verify")?;
        }
        let forward = self.at_pcscf(&message, over)?;
        Ok((message, forward))
    }

    /// A REGISTER at the P-CSCF.
    fn at_pcscf(&mut self, message: &Message, over: Over) -> Result<Forward> {
        let impi = message.quoted("Authorization", "username").ok_or("a REGISTER without an IMPI")?;
        let sec_agree =
            if message.first("Require").contains("sec-agree") { SecAgree::Present } else { SecAgree::Absent };
        let parameter = |name| message.quoted("Authorization", name).unwrap_or_default();
        let authorization = Authorization {
            nonce: parameter("nonce"),
            response: parameter("response"),
            auts: message.quoted("Authorization", "auts"),
        };
        let (impus, client) = ([message.first("To")], message.rows("Security-Client"));
        let verify = message.rows("Security-Verify");
        let register = Register::new(over, self.address, self.pcscf, impi)
            .with_impus(&impus)
            .with_authorization(authorization)
            .with_deregistration(self.deregisters)
            .with_sec_agree(sec_agree)
            .with_security_client(&client)
            .with_security_verify(&verify);
        let now = self.now();
        let World { network, pcscf, .. } = &mut *self.world;
        let forward = pcscf.register(now, &register, &mut network.pcscf).map_err(|error| {
            let status = error.status().map_or("nothing".to_owned(), |status| status.to_string());
            let selection = match &error {
                ipsec_3gpp::registration::RegisterError::Refused(refusal) => refusal.selection(),
                _ => None,
            };
            let reasons: Vec<_> = selection
                .map(ipsec_3gpp::policy::Selection::suites)
                .unwrap_or_default()
                .iter()
                .map(|(suite, verdict)| format!("{suite} {verdict}"))
                .collect();
            format!("the P-CSCF answers {status}: {error}; its policy: {}", reasons.join(", "))
        })?;
        self.contact = Some(forward.contact);
        Ok(forward)
    }

    /// The phone's own row with the SPIs and the client port of a list.
    fn row_of(&self, list: &SecurityClient) -> Result<String> {
        let setup = setup_of(list)?;
        let first = self.register.rows("Security-Client").join(", ");
        Ok(with_setup(&first, setup_of(&SecurityClient::parse(&first)?)?, setup))
    }

    /// For the next registration: other SPIs and another client port, the same server port, the
    /// same form.
    fn next_client_row(&mut self, old: Setup) {
        let mut new = old;
        for spi in [&mut new.spis.client, &mut new.spis.server] {
            if let Ok(next) = Spi::new(spi.value().wrapping_add(0x0101_0100) | 0x100) {
                *spi = next;
            }
        }
        new.ports.client = Port::new(new.ports.client.get().wrapping_add(2)).unwrap_or(old.ports.client);
        self.client_row = with_setup(&self.client_row, old, new);
    }

    /// A request of the UE, with what its REGISTER has and the Via and Contact that the SAs demand.
    fn request(&mut self, method: &str, port: u16) -> Message {
        self.sequence += 1;
        let mut message = self.register.clone();
        message.start = message.start.replace("REGISTER", method);
        message.set("CSeq", format!("{} {method}", self.sequence));
        // TS 33.203 7.1, TS 24.229 5.1.1: over SAs, both name the protected server port.
        let contact = message.first("Contact").replace(":5060>", &format!(":{port}>"));
        message.set("Via", self.via_header(self.address, port)).set("Contact", contact);
        message.remove("Security-Client");
        message
    }

    fn via_header(&self, address: IpAddr, port: u16) -> String {
        let end = SocketAddr::new(address, port);
        format!("SIP/2.0/{} {end};branch=z9hG4bK-{}", self.transport.name(), self.sequence)
    }

    const fn via(&self) -> Via {
        match self.transport {
            Transport::Udp => Via::Udp,
            Transport::Tcp => Via::Tcp,
        }
    }

    /// The route of the P-CSCF's answer to a request.
    fn answers(&self, contact: ContactId, over: Over) -> Result<Travels> {
        let route = self.world.pcscf.route_response(contact, self.via(), over)?;
        Ok(route.map_or(Travels::Clear, Travels::Protected))
    }

    /// The core accepts a REGISTER.
    fn accepts(&mut self, request: RequestId, expires: Duration) -> Result<Sm12> {
        let now = self.now();
        let World { network, pcscf, .. } = &mut *self.world;
        Ok(pcscf.success(now, request, Accepted::new(expires), &mut network.pcscf)?)
    }

    /// The 200 arrives at the UE.
    fn confirms(&mut self, over: Over, expires: Duration) -> Result<()> {
        Ok(self.ue.success(self.now(), over, expires, &mut self.world.network.ue)?)
    }

    // ---- the wire and the timeline

    /// Sends one message and prints its line; returns it as the other end reads it.
    fn sends(
        &mut self,
        from: Side,
        travels: Travels,
        message: &Message,
        note: &str,
        lost: bool,
    ) -> Result<Message> {
        let ends = match (travels, from) {
            (Travels::Protected(route), _) => (route.source, route.destination),
            (Travels::Clear, Side::Ue) => {
                (SocketAddr::new(self.address, SIP), SocketAddr::new(self.pcscf, SIP))
            }
            (Travels::Clear, Side::Pcscf) => {
                (SocketAddr::new(self.pcscf, SIP), SocketAddr::new(self.address, SIP))
            }
        };
        let text = message.to_string();
        let began = self.world.network.now;
        let travel = self.world.network.send(self.transport, from, ends, &text, lost)?;
        let name = if from == Side::Ue { "UE" } else { "P-CSCF" };
        let protection = match travel.spi {
            None => "clear".to_owned(),
            Some(spi) if travel.packets == 1 => format!("SPI {spi} seq {}", travel.first_sequence),
            Some(spi) => {
                let last = travel.first_sequence + travel.packets - 1;
                format!("SPI {spi} seq {} to {last}", travel.first_sequence)
            }
        };
        // The method, or the status.
        let name_of = message.start.strip_prefix("SIP/2.0 ");
        let what = name_of.or_else(|| message.start.split(' ').next()).unwrap_or_default();
        let lost = if lost { " (lost)" } else { "" };
        let ports = format!("{} -> {}", ends.0.port(), ends.1.port());
        let (time, space) = (began.as_secs_f64(), if note.is_empty() { "" } else { " " });
        say!(self, "{time:>10.3}  {name:<6}  {ports:<12}  {protection:<24}  {note}{space}{what}{lost}");
        self.world.network.now += Duration::from_millis(20);
        Message::parse(&text).map_err(Into::into)
    }

    fn note(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            say!(self, "           {line}");
        }
        Ok(())
    }

    /// Shows the value of a header until the first registration of a phone has been shown: what all
    /// mechanisms have, and what each has of its own.
    fn value(&mut self, message: &Message, name: &str) -> Result<()> {
        if !self.shows_values {
            return Ok(());
        }
        let list = message.rows(name).join(",");
        let mechanisms: Vec<Vec<&str>> = list.split(',').map(|one| one.trim().split(';').collect()).collect();
        if mechanisms.len() == 1 {
            self.note(name)?;
            return self.note(&format!("  {list}"));
        }
        let in_all = |part: &&str| mechanisms.iter().all(|mechanism| mechanism.contains(part));
        let parts = mechanisms.first().into_iter().flatten();
        let common: Vec<&str> = parts.copied().filter(in_all).collect();
        self.note(&format!("{name}, {} mechanisms with", mechanisms.len()))?;
        self.note(&format!("  {}", common.join(";")))?;
        let mut line = String::new();
        for (mechanism, number) in mechanisms.iter().zip(0..) {
            let own: Vec<&str> = mechanism.iter().copied().filter(|part| !in_all(part)).collect();
            let own = format!("  {number}: {}", own.join(";"));
            if line.len() + own.len() > 82 {
                self.note(&line)?;
                line.clear();
            }
            line += &own;
        }
        self.note(&line)
    }

    fn now(&self) -> Moment {
        Moment::from_millis(self.world.network.now.as_millis() as u64)
    }

    /// Time passes, and what is due happens.
    fn later(&mut self, duration: Duration, note: &str) -> Result<()> {
        self.world.network.now += duration + Duration::from_secs(1);
        let (now, before) = (self.now(), self.sas());
        let World { network, pcscf, .. } = &mut *self.world;
        pcscf.handle_timeout(now, &mut network.pcscf);
        while pcscf.poll_event().is_some() {}
        self.ue.handle_timeout(now, &mut network.ue);
        while self.ue.poll_event().is_some() {}
        let after = self.sas();
        let gone = if after == before { String::new() } else { format!(" (SAs: {before}, now {after})") };
        self.note(&format!("{}: {note}{gone}", seconds(now)))
    }

    fn until_prompted(&mut self, note: &str) -> Result<()> {
        let due = self.ue.poll_timeout().ok_or("the UE waits for nothing")?;
        self.later(due.since(self.now()), note)
    }

    fn sas(&self) -> usize {
        self.world.network.pcscf.len()
    }

    fn nothing_is_left(&mut self) -> Result<()> {
        let left = self.world.network.ue.len() + self.sas();
        let (contacts, spis) = (self.world.pcscf.len(), self.world.pcscf.spis().in_use());
        self.note(&format!("{left} SAs left, {contacts} contacts, {spis} SPIs of the P-CSCF in use"))?;
        if (left, contacts, spis) == (0, 0, 0) { Ok(()) } else { Err("something is left over".into()) }
    }
}

/// The P-CSCF's data path: it keeps the rows of Wireshark's table, and the text about the four SAs.
struct Shown<'a> {
    sad: &'a mut Sad,
    rows: &'a mut Vec<String>,
    text: String,
}

impl DataPath for Shown<'_> {
    type Error = InstallError;

    fn install(
        &mut self,
        id: SetId,
        side: Side,
        set: &SaSet,
        overlap: Overlap,
    ) -> std::result::Result<(), InstallError> {
        self.rows.extend(set.sas().iter().map(|(_, sa)| wireshark_row_with_keys(sa)));
        self.text = describe(set);
        self.sad.install(id, side, set, overlap)
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> std::result::Result<(), InstallError> {
        self.sad.take_into_use(id, side, ends)
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        self.sad.remove(id, side, ends);
    }
}

/// The SA that a message with this route comes over.
fn over_of(travels: Travels) -> Over {
    match travels {
        Travels::Clear => Over::Clear,
        Travels::Protected(route) => Over::Sa(route.spi),
    }
}

fn describe(set: &SaSet) -> String {
    let mut text = format!("the P-CSCF selects {}; the core challenges; four SAs:", set.suite());
    for (name, sa) in set.sas() {
        let used = match name {
            SaName::UeClientToPcscfServer => "the UE sends",
            SaName::PcscfServerToUeClient => "TCP: answers to it",
            SaName::PcscfClientToUeServer => "the P-CSCF sends",
            SaName::UeServerToPcscfClient => "TCP: answers to it",
        };
        text += &format!("\n  SPI {:<10} {:<44} {used}", sa.spi, sa.selector.to_string());
    }
    text
}

/// The policy of a phone: every suite that its list offers, those with encryption first.
fn policy_of(list: &SecurityClient) -> Result<Policy> {
    let mut suites: Vec<Suite> = Vec::new();
    for mechanism in list.mechanisms() {
        if let Mechanism::Ipsec3gpp(offer) = mechanism
            && let Ok(suite) = offer.suite()
            && !suites.contains(&suite)
        {
            suites.push(suite);
        }
    }
    suites.sort_by_key(|suite| std::cmp::Reverse(suite.encrypts()));
    let encrypts = suites.iter().any(|suite| suite.encrypts());
    let confidentiality = if encrypts { Confidentiality::Offered } else { Confidentiality::LeftToAccess };
    Ok(Policy::new(&suites, confidentiality)?)
}

/// The SPIs and ports of a list.
fn setup_of(list: &SecurityClient) -> Result<Setup> {
    let setups = list.mechanisms().iter().filter_map(|mechanism| match mechanism {
        Mechanism::Ipsec3gpp(offer) => offer.setup().ok(),
        _ => None,
    });
    Ok(setups.into_iter().next().ok_or("a list without SPIs and ports")?)
}

/// A list with other SPIs and another client port, and otherwise letter by letter as it was.
fn with_setup(row: &str, old: Setup, new: Setup) -> String {
    row.replace(&format!("spi-c={}", old.spis.client), &format!("spi-c={}", new.spis.client))
        .replace(&format!("spi-s={}", old.spis.server), &format!("spi-s={}", new.spis.server))
        .replace(&format!("port-c={}", old.ports.client), &format!("port-c={}", new.ports.client))
}

fn seconds(moment: Moment) -> String {
    format!("{} s", moment.as_millis() / 1000)
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

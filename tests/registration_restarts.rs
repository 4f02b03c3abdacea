//! A phone that restarts without leaving, at the same address with the same ports, and perhaps the
//! same SPIs: it gets in within one set-up, and a stranger who pretends to be it gains nothing.
//! With real packets, over UDP and TCP, IPv4 and IPv6; then with a data path that names SAs as a
//! kernel does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipsec_3gpp::registration::{
    Accepted, Authorization, Begin, Config, ContactId, Event, Over, Register, Request, Route, Transport,
    UeConfig,
};
use ipsec_3gpp::sa::{Ends, InstallError, Overlap, SaName, SaSet, Selector, SetId, Side};
use ipsec_3gpp::setup::Setup;
use ipsec_3gpp::spi::{Spi, SpiSlice};
use ipsec_3gpp::{Ck, Confidentiality, DataPath, Ik, Moment, Pcscf, Policy, Sad, SpiAllocator, Suite, Ue};
use support::{port, setup, udp};

const HOUR: Duration = Duration::from_secs(3600);

fn policy() -> Policy {
    Policy::new(&[Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL], Confidentiality::Offered).unwrap()
}

/// A P-CSCF on a data path, and who meets it.
struct Gm<D> {
    now: Moment,
    pcscf: Pcscf,
    path: D,
    address: IpAddr,
    challenges: u8,
}

/// A phone from one start to the next.
struct Phone {
    ue: Ue,
    sad: Sad,
    address: IpAddr,
    impi: &'static str,
}

fn addresses(ipv6: bool) -> (IpAddr, IpAddr) {
    let of = |text: &str| text.parse().unwrap();
    if ipv6 { (of("2001:db8:1::16"), of("2001:db8::1")) } else { (of("10.1.0.16"), of("10.0.0.1")) }
}

impl Phone {
    fn start(impi: &'static str, ipv6: bool) -> Self {
        let (address, pcscf) = addresses(ipv6);
        Self { ue: Ue::new(UeConfig::new(policy(), pcscf), address), sad: Sad::new(), address, impi }
    }
}

/// A datagram between the ends of a route: of UDP, or a TCP segment with these flags.
fn datagram(source: SocketAddr, destination: SocketAddr, transport: Transport, flags: u8) -> Vec<u8> {
    let mut plain = udp((source.ip(), source.port()), (destination.ip(), destination.port()), &[0; 12]);
    if transport == Transport::Tcp {
        // The same ports, and 20 octets as a TCP header has them.
        let (protocol, header) = if source.is_ipv4() { (9, 20) } else { (6, 40) };
        plain[protocol] = 6;
        plain[header + 4..].fill(0);
        (plain[header + 12], plain[header + 13]) = (0x50, flags);
        if source.is_ipv4() {
            plain[10..12].fill(0);
            let sum: u32 =
                plain[..20].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            plain[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }
    plain
}

const SYN: u8 = 2;
const SYN_ACK: u8 = 0x12;

/// Seals at one end and opens at the other; the SPI.
fn travels(from: &mut Sad, to: &mut Sad, plain: &[u8]) -> Option<Spi> {
    let mut packet = vec![0; plain.len() + 100];
    let sealed = from.seal(plain, &mut packet).ok()?;
    let arrived = to.open_in_place(&mut packet[sealed.range]).ok()?;
    Some(arrived.opened.spi)
}

impl<D: DataPath> Gm<D> {
    fn new(path: D, ipv6: bool) -> Self {
        let config = Config::new(policy(), port(7060), &[port(7101), port(7102), port(7103)]).unwrap();
        let spis = SpiAllocator::new(SpiSlice::new(3, 4).unwrap(), 100, [9; 16]).unwrap();
        let now = Moment::from_millis(1_000_000);
        Self { now, pcscf: Pcscf::new(config, spis, now), path, address: addresses(ipv6).1, challenges: 0 }
    }

    fn keys(&self) -> (Ck, Ik) {
        (Ck::new([self.challenges; 16].map(|n| n ^ 0x5a)), Ik::new([self.challenges; 16]))
    }

    fn register(&mut self, phone: &Phone, request: &Request, nonce: &str) -> Register<'static> {
        // Everything is leaked: a test.
        let client: &'static str = request.security_client.to_string().leak();
        let verify =
            request.security_verify.iter().map(|row| &*row.to_string().leak()).collect::<Vec<&str>>();
        let over = request.route.map_or(Over::Clear, |route| Over::Sa(route.spi));
        let response = if nonce.is_empty() { "" } else { "res" };
        let nonce = nonce.to_owned().leak();
        Register::new(over, phone.address, self.address, phone.impi)
            .with_authorization(Authorization { nonce, response, auts: None })
            .with_security_client(vec![client].leak())
            .with_security_verify(verify.leak())
    }

    /// SM1 and SM6: the phone's SM7.
    fn sm6(&mut self, phone: &mut Phone, setup: Setup) -> (ContactId, Request) {
        let sm1 = phone.ue.begin(self.now, &Begin::new(setup), &mut phone.sad).unwrap();
        let register = self.register(phone, &sm1, "");
        let forward = self.pcscf.register(self.now, &register, &mut self.path).unwrap();
        self.challenges += 1;
        let ((ck, ik), nonce) = (self.keys(), format!("{}", self.challenges));
        let sm6 = self.pcscf.challenge(self.now, forward.request, &nonce, &ck, &ik, &mut self.path);
        let sm6 = sm6.map_err(|error| error.code()).unwrap();
        let over = match self.pcscf.route_response(sm6.contact, Transport::Udp, sm6.over).unwrap() {
            Some(route) => Over::Sa(route.spi),
            None => Over::Clear,
        };
        let row = sm6.security_server.to_string();
        let sm7 = phone.ue.challenged(self.now, over, &[&row], &ck, &ik, &mut phone.sad).unwrap();
        (sm6.contact, sm7)
    }

    /// SM7 and SM12.
    fn sm7(&mut self, phone: &mut Phone, sm7: &Request) {
        let nonce = format!("{}", self.challenges);
        let register = self.register(phone, sm7, &nonce);
        let forward = self.pcscf.register(self.now, &register, &mut self.path).unwrap();
        assert!(forward.protection.is_some());
        let accepted = Accepted::new(HOUR);
        let sm12 = self.pcscf.success(self.now, forward.request, accepted, &mut self.path);
        let sm12 = sm12.map_err(|error| error.code()).unwrap();
        let route = self.pcscf.route_response(sm12.contact, Transport::Udp, sm12.over).unwrap().unwrap();
        phone.ue.success(self.now, Over::Sa(route.spi), HOUR, &mut phone.sad).unwrap();
    }
}

impl Gm<Sad> {
    /// A connection that the UE opens, or a datagram and its answer: both ways over this set.
    fn ue_reaches(
        &mut self,
        phone: &mut Phone,
        route: &Route,
        transport: Transport,
    ) -> Result<(), &'static str> {
        let syn = datagram(route.source, route.destination, transport, SYN);
        let over = travels(&mut phone.sad, &mut self.path, &syn).ok_or("the UE's packet")?;
        assert_eq!(over, route.spi);
        if transport == Transport::Tcp {
            // The other end's TCP answers before anybody has seen a SIP message.
            let back = datagram(route.destination, route.source, transport, SYN_ACK);
            travels(&mut self.path, &mut phone.sad, &back).ok_or("the SYN-ACK to the UE")?;
        }
        Ok(())
    }

    /// A request of the P-CSCF, over the set that its route names.
    fn pcscf_reaches(
        &mut self,
        phone: &mut Phone,
        contact: ContactId,
        transport: Transport,
    ) -> Result<(), &'static str> {
        let route = self.pcscf.route_request(contact).map_err(|_| "a route")?;
        let syn = datagram(route.source, route.destination, transport, SYN);
        let over = travels(&mut self.path, &mut phone.sad, &syn).ok_or("the P-CSCF's packet")?;
        if over != route.spi {
            return Err("another SA than the route names");
        }
        phone.ue.message(self.now, over, &mut phone.sad).map_err(|_| "a set of the UE")?;
        if transport == Transport::Tcp {
            let back = datagram(route.destination, route.source, transport, SYN_ACK);
            travels(&mut phone.sad, &mut self.path, &back).ok_or("the SYN-ACK to the P-CSCF")?;
        }
        Ok(())
    }

    fn both_ways(
        &mut self,
        phone: &mut Phone,
        contact: ContactId,
        transport: Transport,
    ) -> Result<(), &'static str> {
        let route = phone.ue.route_request().map_err(|_| "a route of the UE")?;
        self.ue_reaches(phone, &route, transport)?;
        self.pcscf.message(self.now, route.spi, &mut self.path).map_err(|_| "a message")?;
        self.pcscf_reaches(phone, contact, transport)
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.pcscf.handle_timeout(self.now, &mut self.path);
    }
}

/// SPIs and ports of one start: the same each time, or with other SPIs.
fn of_start(start: u32, equal_spis: bool) -> Setup {
    let spis = if equal_spis { 5000 } else { 5000 + 2 * start };
    setup(spis, spis + 1, 6101, 6100)
}

fn each_kind(mut run: impl FnMut(bool, Transport, bool)) {
    for ipv6 in [false, true] {
        for transport in [Transport::Udp, Transport::Tcp] {
            for equal_spis in [false, true] {
                run(ipv6, transport, equal_spis);
            }
        }
    }
}

#[test]
fn a_phone_that_restarts_gets_in_within_one_set_up() {
    each_kind(|ipv6, transport, equal_spis| {
        let mut gm = Gm::new(Sad::new(), ipv6);
        let mut contact = None;
        for start in 0..5 {
            let mut phone = Phone::start("16@ims", ipv6);
            let (id, sm7) = gm.sm6(&mut phone, of_start(start, equal_spis));
            // SM7 over TCP: its SYN-ACK goes over the new set.
            gm.ue_reaches(&mut phone, &sm7.route.unwrap(), transport).unwrap();
            gm.sm7(&mut phone, &sm7);
            assert!(contact.is_none_or(|before| before == id));
            contact = Some(id);
            gm.both_ways(&mut phone, id, transport).unwrap();
            assert_eq!((gm.pcscf.sets(id).count(), gm.path.len(), gm.pcscf.spis().in_use()), (1, 4, 2));
            gm.pass(Duration::from_secs(60));
        }
    });
}

#[test]
fn until_sm7_is_verified_the_old_set_serves_and_a_spoofer_gains_nothing() {
    each_kind(|ipv6, transport, equal_spis| {
        let mut gm = Gm::new(Sad::new(), ipv6);
        let mut phone = Phone::start("16@ims", ipv6);
        let (contact, sm7) = gm.sm6(&mut phone, of_start(0, equal_spis));
        gm.sm7(&mut phone, &sm7);
        for spoofed in 1..4 {
            // The same address, ports, and perhaps SPIs; it never learns IK.
            let mut spoofer = Phone::start(["16@ims", "thief@ims"][spoofed as usize % 2], ipv6);
            let _ = gm.sm6(&mut spoofer, of_start(spoofed, equal_spis));
            gm.both_ways(&mut phone, contact, transport).unwrap();
            // What it makes up is dropped, and takes nothing into use.
            let mut wrong = Phone::start("16@ims", ipv6);
            let (_, guess) = gm.sm6(&mut wrong, of_start(spoofed, equal_spis));
            let route = guess.route.unwrap();
            let plain = datagram(route.source, route.destination, transport, SYN);
            let mut packet = vec![0; plain.len() + 100];
            let sealed = wrong.sad.seal(&plain, &mut packet).unwrap().range;
            packet[sealed.end - 1] ^= 1;
            assert!(gm.path.open_in_place(&mut packet[sealed]).is_err());
            gm.both_ways(&mut phone, contact, transport).unwrap();
        }
        // Re-authentication while the spoofer's sets are open.
        let (_, sm7) = gm.sm6(&mut phone, setup(7000, 7001, 6105, 6100));
        gm.sm7(&mut phone, &sm7);
        gm.both_ways(&mut phone, contact, transport).unwrap();
        gm.pass(Duration::from_secs(300));
        assert_eq!((gm.pcscf.sets(contact).count(), gm.path.len()), (1, 4));
        gm.both_ways(&mut phone, contact, transport).unwrap();
    });
}

#[test]
fn a_restart_in_the_middle_of_a_set_up_or_after_leaving_gets_in_too() {
    each_kind(|ipv6, transport, equal_spis| {
        // At each step of a registration, and of a re-registration.
        for step in 0..5 {
            let mut gm = Gm::new(Sad::new(), ipv6);
            let mut phone = Phone::start("16@ims", ipv6);
            if step > 0 {
                let (_, sm7) = gm.sm6(&mut phone, of_start(0, equal_spis));
                if step > 1 {
                    gm.sm7(&mut phone, &sm7);
                }
                if step > 2 {
                    let (_, sm7) = gm.sm6(&mut phone, setup(8000, 8001, 6103, 6100));
                    if step > 3 {
                        gm.sm7(&mut phone, &sm7);
                    }
                }
            }
            let mut phone = Phone::start("16@ims", ipv6);
            let (contact, sm7) = gm.sm6(&mut phone, of_start(1, equal_spis));
            gm.ue_reaches(&mut phone, &sm7.route.unwrap(), transport).unwrap();
            gm.sm7(&mut phone, &sm7);
            gm.both_ways(&mut phone, contact, transport).unwrap();
            gm.pass(Duration::from_secs(300));
            assert_eq!((gm.pcscf.sets(contact).count(), gm.path.len()), (1, 4), "step {step}");
            gm.both_ways(&mut phone, contact, transport).unwrap();
        }
    });
}

/// A data path that names SAs by destination and SPI, and what is sent by its selector, as a kernel
/// does. It knows nothing but what it is told.
#[derive(Default)]
struct Kernel {
    sas: HashMap<(IpAddr, Spi), SetId>,
    policies: HashMap<Selector, SetId>,
    overlaps: Vec<Overlap>,
}

impl DataPath for Kernel {
    type Error = InstallError;

    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), InstallError> {
        self.overlaps.push(overlap);
        let (inbound, outbound) = SaName::of(side);
        for name in inbound {
            let sa = set.sa(name);
            assert!(self.sas.insert((sa.selector.destination, sa.spi), id).is_none(), "EEXIST");
        }
        for name in outbound {
            let sa = set.sa(name);
            let key = (sa.selector.destination, sa.spi);
            if overlap == Overlap::Spis && self.sas.contains_key(&key) {
                continue;
            }
            assert!(self.sas.insert(key, id).is_none(), "EEXIST, and the overlap did not say so");
            let there = self.policies.contains_key(&sa.selector);
            assert!(!there || overlap != Overlap::Apart, "a policy, and the overlap did not say so");
            self.policies.entry(sa.selector).or_insert(id);
        }
        Ok(())
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), InstallError> {
        for name in SaName::of(side).1 {
            let (spi, selector) = ends.sa(name);
            self.sas.insert((selector.destination, spi), id);
            self.policies.insert(selector, id);
        }
        Ok(())
    }

    fn remove(&mut self, id: SetId, _: Side, _: &Ends) {
        self.sas.retain(|_, owner| *owner != id);
        self.policies.retain(|_, owner| *owner != id);
    }
}

impl Gm<Kernel> {
    /// The four SAs of a set, and its two policies, are the set's own.
    fn holds(&self, set: SetId) -> bool {
        let ends = self.pcscf.ends(set).unwrap();
        let sas = SaName::ALL.map(|name| ends.sa(name));
        sas.iter().all(|(spi, selector)| self.path.sas.get(&(selector.destination, *spi)) == Some(&set))
            && sas[1..3].iter().all(|(_, selector)| self.path.policies.get(selector) == Some(&set))
    }
}

#[test]
fn a_data_path_like_a_kernel_is_told_what_it_needs() {
    for equal_spis in [false, true] {
        let mut gm = Gm::new(Kernel::default(), false);
        let mut phone = Phone::start("16@ims", false);
        let (contact, sm7) = gm.sm6(&mut phone, of_start(0, equal_spis));
        gm.sm7(&mut phone, &sm7);
        let first = gm.pcscf.route_request(contact).unwrap().set;
        assert!(gm.holds(first));
        // A spoofer's set leaves what is sent as it is, also when it has ended.
        let mut spoofer = Phone::start("thief@ims", false);
        let _ = gm.sm6(&mut spoofer, of_start(1, equal_spis));
        assert!(gm.holds(first));
        gm.now = gm.now + Duration::from_secs(300);
        gm.pcscf.handle_timeout(gm.now, &mut gm.path);
        assert!(gm.holds(first));
        let expected = if equal_spis { Overlap::Spis } else { Overlap::Selectors };
        assert_eq!(gm.path.overlaps, [Overlap::Apart, expected]);
        // A restart.
        let mut phone = Phone::start("16@ims", false);
        let (_, sm7) = gm.sm6(&mut phone, of_start(2, equal_spis));
        assert!(gm.holds(first));
        gm.sm7(&mut phone, &sm7);
        let second = gm.pcscf.route_request(contact).unwrap().set;
        assert!(second != first && gm.holds(second));
        assert_eq!((gm.path.sas.len(), gm.path.policies.len()), (4, 2));
        while let Some(event) = gm.pcscf.poll_event() {
            assert!(!matches!(event, Event::ContactEnded { contact: ended, .. } if ended == contact));
        }
        gm.pcscf.forget(contact, &mut gm.path).unwrap();
        assert!(gm.path.sas.is_empty() && gm.path.policies.is_empty());
    }
}

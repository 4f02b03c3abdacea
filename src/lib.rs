//! The security associations of IMS access security (`ipsec-3gpp`, TS 33.203) for both ends of the
//! Gm interface: negotiation in SIP headers, key expansion, ESP, and the life of SAs over time.
//!
//! # The contract
//!
//! > The library is told what arrived and what time it is. It answers with values: what to send,
//! > over which SA, or why not. A call that changes SAs takes the [`DataPath`] that carries the
//! > change out, and makes it before it returns. Between calls,
//! > [`poll_timeout`](Pcscf::poll_timeout) says when to call again, and
//! > [`poll_event`](Pcscf::poll_event) what has ended.
//! >
//! > It owns no socket, clock, thread, random source or SIP parser. It never panics on input,
//! > allocates nothing for a packet, wipes and never prints keys, and never lets protected traffic
//! > out in clear.
//!
//! [`docs::duties`] lists what the caller must do; [`docs::glossary`] explains the words.
//!
//! # A P-CSCF
//!
//! One [`Pcscf`] holds all UEs, one [`Sad`] their SAs. This loop has its packets from a TUN device;
//! the SIP parser, the transactions and the core's side are hidden in `io`. With the kernel's ESP,
//! pass an [`export::xfrm::Kernel`], or a [`Plan`] that another thread carries out, instead of the
//! [`Sad`]. The programs `pcscf` and `ue` of
//! `examples/sockets` are whole loops, on tokio.
//!
//! ```no_run
//! use std::time::Instant;
//! use ipsec_3gpp::registration::{Accepted, Config, Event, Over, Transport};
//! use ipsec_3gpp::sa::OpenError;
//! use ipsec_3gpp::setup::Port;
//! use ipsec_3gpp::spi::SpiSlice;
//! use ipsec_3gpp::time::Anchor;
//! use ipsec_3gpp::{Confidentiality, Pcscf, Policy, Sad, SpiAllocator, Suite};
//! # use ipsec_3gpp::registration::{ContactId, Register, RequestId, Route};
//! # use ipsec_3gpp::{Ck, Ik, sa::Warning, sec_agree::SecurityServer};
//! # use std::{net::IpAddr, time::Duration};
//! # struct Message { impi: String, client: Vec<String>, source: IpAddr, destination: IpAddr }
//! # impl Message {
//! #     fn parse(_: &[u8]) -> Option<Self> { None }
//! #     fn is_register(&self) -> bool { true }
//! #     fn register(&self, over: Over) -> Register<'_> {
//! #         Register::new(over, self.source, self.destination, &self.impi)
//! #     }
//! # }
//! # enum Input {
//! #     Packet(Vec<u8>), Challenge(RequestId, String, Ck, Ik), Success(RequestId, Duration),
//! #     Error(RequestId, u16), Request(ContactId, Message), Nothing,
//! # }
//! # enum Sent<'a> { Sm6(&'a SecurityServer), Success, Error(u16), Request(&'a Message) }
//! # struct Io;
//! # impl Io {
//! #     fn wait_until(&mut self, _: Option<Instant>) -> Input { Input::Nothing }
//! #     fn random() -> [u8; 16] { [0; 16] }
//! #     fn to_core(&mut self, _: &Message, _: RequestId, _: &str) {}
//! #     fn from_contact(&mut self, _: ContactId, _: &Message) {}
//! #     fn datagram(&mut self, _: Option<Route>, _: Sent<'_>) -> Vec<u8> { Vec::new() }
//! #     fn send(&mut self, _: &[u8]) {}
//! #     fn report(&mut self, _: Option<Warning>) {}
//! #     fn forget(&mut self, _: Event) {}
//! # }
//! # let mut io = Io;
//!
//! let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
//! let policy = Policy::new(&suites, Confidentiality::Offered)?;
//! let client_ports = [Port::new(7101)?, Port::new(7102)?, Port::new(7103)?];
//! let config = Config::new(policy, Port::new(7060)?, &client_ports)?;
//! let spis = SpiAllocator::new(SpiSlice::WHOLE, config.spis_needed(), Io::random())?;
//! let clock = Anchor::new(Instant::now());
//! let mut pcscf = Pcscf::new(config, spis, clock.moment(Instant::now()));
//! // Nothing comes to these ports in clear, whether or not there are SAs.
//! let own = [7060, 7101, 7102, 7103].map(|port| ([192, 0, 2, 1], port).into());
//! let mut sad = Sad::new().with_protected(own);
//! loop {
//!     while let Some(event) = pcscf.poll_event() {
//!         io.forget(event);
//!     }
//!     // One sleep: until something arrives, or until the next deadline.
//!     let input = io.wait_until(pcscf.poll_timeout().map(|deadline| clock.instant(deadline)));
//!     let now = clock.moment(Instant::now());
//!     pcscf.handle_timeout(now, &mut sad);
//!     // Whose answer it is, over what its request came, and what it says.
//!     let (contact, over, sent) = match input {
//!         Input::Nothing => continue,
//!         // From the UE: ESP, or clear where no SA demands ESP.
//!         Input::Packet(mut packet) => {
//!             let (datagram, over) = match sad.open_in_place(&mut packet) {
//!                 Ok(arrived) => (&packet[arrived.opened.range], Over::Sa(arrived.opened.spi)),
//!                 Err(OpenError::NotEsp(_)) if sad.is_protected(&packet) == Ok(false) => {
//!                     (&packet[..], Over::Clear)
//!                 }
//!                 Err(_) => continue, // counted; ESP answers no packet
//!             };
//!             let Some(message) = Message::parse(datagram) else { continue };
//!             if !message.is_register() {
//!                 // In clear, nothing but REGISTER is served.
//!                 if let Over::Sa(spi) = over
//!                     && let Ok(contact) = pcscf.message(now, spi, &mut sad)
//!                 {
//!                     io.from_contact(contact, &message);
//!                 }
//!                 continue;
//!             }
//!             match pcscf.register(now, &message.register(over), &mut sad) {
//!                 Ok(forward) => {
//!                     io.to_core(&message, forward.request, forward.integrity_protected());
//!                     continue;
//!                 }
//!                 Err(error) => {
//!                     let Some(status) = error.status() else { continue };
//!                     let contact = over.spi().and_then(|spi| pcscf.contact_of(spi));
//!                     (contact, over, Sent::Error(status.code()))
//!                 }
//!             }
//!         }
//!         // From the core. The SAs are in place when `challenge` returns: SM6 may be sent.
//!         Input::Challenge(request, nonce, ck, ik) => {
//!             match pcscf.challenge(now, request, &nonce, &ck, &ik, &mut sad) {
//!                 Ok(sm6) => {
//!                     let route = pcscf.route_response(sm6.contact, Transport::Udp, sm6.over);
//!                     let Ok(route) = route else { continue };
//!                     let answer = io.datagram(route, Sent::Sm6(&sm6.security_server));
//!                     send(&mut io, &mut sad, &answer);
//!                     continue;
//!                 }
//!                 // The request still awaits an answer.
//!                 Err(error) => {
//!                     let Ok(failed) = pcscf.failure(now, request, &mut sad) else { continue };
//!                     (Some(failed.contact), failed.over, Sent::Error(error.status().code()))
//!                 }
//!             }
//!         }
//!         Input::Success(request, expires) => {
//!             let accepted = Accepted::new(expires);
//!             let Ok(sm12) = pcscf.success(now, request, accepted, &mut sad) else { continue };
//!             (Some(sm12.contact), sm12.over, Sent::Success)
//!         }
//!         Input::Error(request, status) => {
//!             let Ok(failed) = pcscf.failure(now, request, &mut sad) else { continue };
//!             (Some(failed.contact), failed.over, Sent::Error(status))
//!         }
//!         Input::Request(contact, message) => {
//!             let Ok(route) = pcscf.route_request(contact) else { continue };
//!             let request = io.datagram(Some(route), Sent::Request(&message));
//!             send(&mut io, &mut sad, &request);
//!             continue;
//!         }
//!     };
//!     let route = match contact {
//!         None => None,
//!         Some(contact) => match pcscf.route_response(contact, Transport::Udp, over) {
//!             Ok(route) => route,
//!             Err(_) => continue, // its SAs have gone: it is not sent
//!         },
//!     };
//!     let answer = io.datagram(route, sent);
//!     send(&mut io, &mut sad, &answer);
//! #   if true { break }
//! }
//!
//! /// To the UE: a datagram that an SA is for is sealed, or not sent at all.
//! fn send(io: &mut Io, sad: &mut Sad, datagram: &[u8]) {
//!     match sad.is_protected(datagram) {
//!         Ok(true) => {
//!             let mut packet = vec![0; datagram.len() + 64];
//!             if let Ok(sealed) = sad.seal(datagram, &mut packet) {
//!                 io.send(&packet[sealed.range]);
//!                 io.report(sealed.warning);
//!             }
//!         }
//!         Ok(false) => io.send(datagram),
//!         Err(_) => {} // no datagram
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A UE
//!
//! One [`Ue`] is one registration. Its loop is the same: one sleep, events, and a data path in each
//! call; packets are opened and sealed as above.
//!
//! ```no_run
//! use std::time::Instant;
//! use ipsec_3gpp::registration::{Begin, Over, UeConfig, UeEvent};
//! use ipsec_3gpp::time::Anchor;
//! use ipsec_3gpp::{Confidentiality, Policy, Sad, Suite, Ue};
//! # use ipsec_3gpp::{Ck, Ik, registration::Request, setup::Setup};
//! # use std::time::Duration;
//! # enum Input {
//! #     Challenge(Over, String, Ck, Ik), BadChallenge(Over), Success(Over, Duration), Error(Over),
//! #     NoAnswer, Message(ipsec_3gpp::spi::Spi), Retry, Nothing,
//! # }
//! # struct Io;
//! # impl Io {
//! #     fn wait_until(&mut self, _: Option<Instant>) -> Input { Input::Nothing }
//! #     fn fresh_setup(&mut self) -> Setup { unimplemented!() }
//! #     fn register(&mut self, _: &Request) {}
//! #     fn retry_later(&mut self) {}
//! # }
//! # let mut io = Io;
//!
//! let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
//! let policy = Policy::new(&suites, Confidentiality::Offered)?;
//! let mut ue = Ue::new(UeConfig::new(policy, [10, 0, 0, 1].into()), [10, 1, 0, 16].into());
//! let mut sad = Sad::new();
//! let clock = Anchor::new(Instant::now());
//! let mut due = true;
//! loop {
//!     if due {
//!         // SM1: random SPIs and a random client port. `Request::route` says how it is sent.
//!         let now = clock.moment(Instant::now());
//!         let begin = Begin::new(io.fresh_setup());
//!         io.register(&ue.begin(now, &begin, &mut sad)?);
//!         due = false;
//!     }
//!     let input = io.wait_until(ue.poll_timeout().map(|deadline| clock.instant(deadline)));
//!     let now = clock.moment(Instant::now());
//!     ue.handle_timeout(now, &mut sad);
//!     match input {
//!         // The card accepted the challenge. SM7 goes over SAs that are in place.
//!         Input::Challenge(over, security_server, ck, ik) => {
//!             match ue.challenged(now, over, &[&security_server], &ck, &ik, &mut sad) {
//!                 Ok(sm7) => io.register(&sm7),
//!                 Err(_) => io.retry_later(), // with another Call-ID
//!             }
//!         }
//!         Input::BadChallenge(over) => {
//!             let begin = Begin::new(io.fresh_setup());
//!             if let Ok(report) = ue.bad_challenge(now, over, &begin, &mut sad) {
//!                 io.register(&report);
//!             }
//!         }
//!         // What comes over something else than it should is discarded: an error, and no change.
//!         Input::Success(over, expires) => drop(ue.success(now, over, expires, &mut sad)),
//!         Input::Error(over) => drop(ue.failure(now, over, None, &mut sad)),
//!         Input::NoAnswer => drop(ue.timed_out(now, &mut sad)),
//!         // Any other message; requests go out by `route_request`, responses by `route_response`.
//!         Input::Message(spi) => drop(ue.message(now, spi, &mut sad)),
//!         // `retry_later` is over.
//!         Input::Retry => due = true,
//!         Input::Nothing => {}
//!     }
//!     while let Some(event) = ue.poll_event() {
//!         due |= matches!(event, UeEvent::RegisterDue | UeEvent::Ended(_));
//!     }
//!     // Without a set in force, nothing else asks for the next REGISTER.
//!     if ue.state() == ipsec_3gpp::registration::UeState::Idle && ue.route_request().is_err() {
//!         io.retry_later();
//!     }
//! #   if true { break }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to look
//!
//! | module | for |
//! |---|---|
//! | [`registration`] | registrations over time, at both ends: the main API |
//! | [`sa`] | SAs, the table of SAs, ESP alone and in batches, data paths and plans |
//! | [`negotiation`] | one set-up step by step, for those with a table of their own |
//! | [`sec_agree`], [`policy`] | the three headers, and the choice among what they offer |
//! | [`key`], [`algorithm`], [`spi`] | keys, suites, SPIs |
//! | [`setup`], [`address`], [`time`] | ports, addresses, the clock |
//! | [`fragments`] | IP fragments, reassembled and made |
//! | [`esp`], [`export`] | backends and IP errors; rows for Wireshark |
//! | `presence` | anonymity at the P-CSCF, authentication of watchers (feature `presence`) |
//!
//! # Features
//!
//! All but `presence` are on by default; without them, the crate is `no_std` with `alloc`.
//!
//! | feature | without it |
//! |---|---|
//! | `std` | no `time::Anchor`; a [`Sad`] is given the seed of its hashes ([`Sad::seeded`]) |
//! | `kernels` | [`esp::Backend::PLAIN`] is the only backend: slower, and smaller |
//! | `presence` | no `presence::privacy`, no `presence::watcher` |
//! | `aes-gcm` | suites with AES-GCM and AES-GMAC are unknown ones |
//! | `des-ede3-cbc`, `hmac-md5-96` | suites with these legacy algorithms are unknown ones |
//!
//! A UE on a Cortex-M4 takes 128 KB of flash with all of them but `std`, and 80 KB with none.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod address;
pub mod algorithm;
mod code;
pub mod docs;
pub mod esp;
pub mod export;
pub mod fragments;
mod hashing;
mod id;
mod impossible;
mod index;
#[cfg(feature = "kernels")]
mod kernels;
pub mod key;
mod lexer;
pub mod negotiation;
pub mod policy;
mod prefetch;
#[cfg(feature = "presence")]
#[cfg_attr(docsrs, doc(cfg(feature = "presence")))]
pub mod presence;
mod rare;
pub mod registration;
pub mod sa;
pub mod sec_agree;
pub mod setup;
mod slab;
pub mod spi;
pub mod time;
mod wipe;

pub use algorithm::Suite;
pub use id::TableId;
pub use key::{Ck, Ik};
pub use policy::{Confidentiality, Policy};
pub use registration::{Pcscf, Ue};
pub use sa::{DataPath, Plan, Sad};
pub use spi::SpiAllocator;
pub use time::Moment;

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(test)]
#[cfg(feature = "kernels")]
#[path = "../tests/support/vectors.rs"]
mod vectors;

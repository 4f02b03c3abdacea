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
//! what a SIP parser, transactions and the core's side do is hidden in `io`.
//!
//! ```no_run
//! use std::time::Instant;
//! use ipsec_3gpp::registration::{Config, Event, Over, Transport};
//! use ipsec_3gpp::sa::OpenError;
//! use ipsec_3gpp::setup::Port;
//! use ipsec_3gpp::spi::SpiSlice;
//! use ipsec_3gpp::time::Anchor;
//! use ipsec_3gpp::{Confidentiality, Pcscf, Policy, Sad, SpiAllocator, Suite};
//! # use ipsec_3gpp::registration::{ContactId, Register, RequestId, Route};
//! # use ipsec_3gpp::{Ck, Ik, sec_agree::SecurityServer};
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
//! #     Error(RequestId), Nothing,
//! # }
//! # enum Sent<'a> { Sm6(&'a SecurityServer), Success, Error(u16) }
//! # struct Io;
//! # impl Io {
//! #     fn wait_until(&mut self, _: Option<Instant>) -> Input { Input::Nothing }
//! #     fn random() -> [u8; 16] { [0; 16] }
//! #     fn to_core(&mut self, _: &Message, _: RequestId, _: &str) {}
//! #     fn from_contact(&mut self, _: ContactId, _: &Message) {}
//! #     fn answer(&mut self, _: Option<Route>, _: Sent<'_>) -> Vec<u8> { Vec::new() }
//! #     fn send(&mut self, _: &[u8]) {}
//! #     fn forget(&mut self, _: Event) {}
//! # }
//! # let mut io = Io;
//!
//! let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
//! let policy = Policy::new(&suites, Confidentiality::Offered)?;
//! let client_ports = [Port::new(7101)?, Port::new(7102)?, Port::new(7103)?];
//! let config = Config::new(policy, Port::new(7060)?, &client_ports)?;
//! let spis = SpiAllocator::new(SpiSlice::WHOLE, 6_000_000, Io::random())?;
//! let clock = Anchor::new(Instant::now());
//! let mut pcscf = Pcscf::new(config, spis, clock.moment(Instant::now()));
//! let mut sad = Sad::new();
//! loop {
//!     // One sleep: until something arrives, or until the next deadline.
//!     let input = io.wait_until(pcscf.poll_timeout().map(|deadline| clock.instant(deadline)));
//!     let now = clock.moment(Instant::now());
//!     pcscf.handle_timeout(now, &mut sad);
//!     let answer = match input {
//!         // From the UE: ESP, or clear where that is allowed.
//!         Input::Packet(mut packet) => {
//!             let (datagram, over) = match sad.open_in_place(&mut packet) {
//!                 Ok(arrived) => (&packet[arrived.opened.range], Over::Sa(arrived.opened.spi)),
//!                 Err(OpenError::NotEsp(_)) if sad.is_protected(&packet) == Ok(false) => {
//!                     (&packet[..], Over::Clear)
//!                 }
//!                 Err(_) => continue, // counted; ESP answers no packet
//!             };
//!             let Some(message) = Message::parse(datagram) else { continue };
//!             if message.is_register() {
//!                 match pcscf.register(now, &message.register(over), &mut sad) {
//!                     Ok(forward) => {
//!                         io.to_core(&message, forward.request, forward.integrity_protected());
//!                     }
//!                     Err(error) => {
//!                         if let Some(status) = error.status() {
//!                             println!("refused: {} ({error})", error.code());
//!                             let route = match over {
//!                                 Over::Clear => None,
//!                                 Over::Sa(spi) => {
//!                                     let Some(contact) = pcscf.contact_of(spi) else { continue };
//!                                     pcscf.route_response(contact, Transport::Udp, over)?
//!                                 }
//!                             };
//!                             io.answer(route, Sent::Error(status.code()));
//!                         }
//!                     }
//!                 }
//!             } else if let Over::Sa(spi) = over
//!                 && let Ok(contact) = pcscf.message(now, spi, &mut sad)
//!             {
//!                 io.from_contact(contact, &message);
//!             }
//!             continue;
//!         }
//!         // From the core. The SAs are in place when `challenge` returns: SM6 may be sent.
//!         Input::Challenge(request, nonce, ck, ik) => {
//!             let sm6 = pcscf.challenge(now, request, &nonce, &ck, &ik, &mut sad);
//!             let Ok(sm6) = sm6 else { continue };
//!             let route = pcscf.route_response(sm6.contact, Transport::Udp, sm6.over)?;
//!             io.answer(route, Sent::Sm6(&sm6.security_server))
//!         }
//!         Input::Success(request, expires) => {
//!             let Ok(sm12) = pcscf.success(now, request, expires, &mut sad) else { continue };
//!             let route = pcscf.route_response(sm12.contact, Transport::Udp, sm12.over)?;
//!             io.answer(route, Sent::Success)
//!         }
//!         Input::Error(request) => {
//!             let Ok(failed) = pcscf.failure(now, request, &mut sad) else { continue };
//!             let route = pcscf.route_response(failed.contact, Transport::Udp, failed.over)?;
//!             io.answer(route, Sent::Error(403))
//!         }
//!         Input::Nothing => Vec::new(),
//!     };
//!     // To the UE: what an SA is for is sealed, or not sent at all.
//!     if sad.is_protected(&answer) == Ok(true) {
//!         let mut packet = vec![0; answer.len() + 64];
//!         if let Ok(sealed) = sad.seal(&answer, &mut packet) {
//!             io.send(&packet[sealed.range]);
//!         }
//!     } else {
//!         io.send(&answer);
//!     }
//!     while let Some(event) = pcscf.poll_event() {
//!         io.forget(event);
//!     }
//! #   if true { break }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A UE
//!
//! One [`Ue`] is one registration. Its loop is the same: one sleep, events, and a data path in each
//! call.
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
//! #     NoAnswer, Message(ipsec_3gpp::spi::Spi), Nothing,
//! # }
//! # struct Io;
//! # impl Io {
//! #     fn wait_until(&mut self, _: Option<Instant>) -> Input { Input::Nothing }
//! #     fn fresh_setup(&mut self) -> Setup { unimplemented!() }
//! #     fn register(&mut self, _: &Request) {}
//! # }
//! # let mut io = Io;
//!
//! let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
//! let policy = Policy::new(&suites, Confidentiality::Offered)?;
//! let mut ue = Ue::new(UeConfig::new(policy, [10, 0, 0, 1].into()), [10, 1, 0, 16].into());
//! let mut sad = Sad::new();
//! let clock = Anchor::new(Instant::now());
//! // SM1: random SPIs and a random client port. `Request::route` says how it is sent: in clear.
//! let sm1 = ue.begin(clock.moment(Instant::now()), &Begin::new(io.fresh_setup()), &mut sad)?;
//! io.register(&sm1);
//! loop {
//!     let input = io.wait_until(ue.poll_timeout().map(|deadline| clock.instant(deadline)));
//!     let now = clock.moment(Instant::now());
//!     ue.handle_timeout(now, &mut sad);
//!     match input {
//!         // The card accepted the challenge. SM7 goes over SAs that are in place.
//!         Input::Challenge(over, security_server, ck, ik) => {
//!             if let Ok(sm7) = ue.challenged(now, over, &[&security_server], &ck, &ik, &mut sad) {
//!                 io.register(&sm7);
//!             }
//!         }
//!         Input::BadChallenge(over) => {
//!             let begin = Begin::new(io.fresh_setup());
//!             if let Ok(report) = ue.bad_challenge(now, over, &begin, &mut sad) {
//!                 io.register(&report);
//!             }
//!         }
//!         Input::Success(over, expires) => ue.success(now, over, expires, &mut sad)?,
//!         Input::Error(over) => ue.failure(now, over, &mut sad)?,
//!         Input::NoAnswer => ue.timed_out(now, &mut sad)?,
//!         // Any other message; requests go out by `route_request`, responses by `route_response`.
//!         Input::Message(spi) => drop(ue.message(spi, &mut sad)),
//!         Input::Nothing => {}
//!     }
//!     while let Some(event) = ue.poll_event() {
//!         if matches!(event, UeEvent::RegisterDue | UeEvent::Ended(_)) {
//!             let again = ue.begin(now, &Begin::new(io.fresh_setup()), &mut sad)?;
//!             io.register(&again);
//!         }
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
//! | [`key`], [`algorithm`], [`spi`], [`setup`], [`time`] | keys, suites, SPIs, ports, the clock |
//! | [`esp`], [`export`] | backends and IP errors; rows for Wireshark |
//!
//! # Features
//!
//! All are on by default; without them, the crate is `no_std` with `alloc`.
//!
//! | feature | without it |
//! |---|---|
//! | `std` | no [`time::Anchor`](time) |
//! | `kernels` | [`esp::Backend::PLAIN`] is the only backend: slower, and smaller |
//! | `des-ede3-cbc`, `hmac-md5-96` | suites with these legacy algorithms are unknown ones |
//!
//! A UE on a Cortex-M4 takes 103 KB of flash with all of them but `std`, and 72 KB with none.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod algorithm;
mod code;
pub mod docs;
pub mod esp;
pub mod export;
mod id;
mod impossible;
mod index;
#[cfg(feature = "kernels")]
mod kernels;
pub mod key;
pub mod negotiation;
pub mod policy;
mod prefetch;
pub mod registration;
pub mod sa;
pub mod sec_agree;
pub mod setup;
mod slab;
pub mod spi;
pub mod time;

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
#[path = "../tests/support/vectors.rs"]
mod vectors;

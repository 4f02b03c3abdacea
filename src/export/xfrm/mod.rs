//! SA sets in the words of the Linux kernel: XFRM over netlink, and lines of `ip xfrm`.
//!
//! Three layers, each of which can be used alone:
//!
//! - [`Owner`] makes [`Changes`] of a set, or of a change of a table: states and policies, in the
//!   order in which they must be made. They become netlink messages
//!   ([`Changes::to_messages`]) or lines for `ip -batch` ([`Changes::ip_lines_with_keys`]), and
//!   [`Changes::undo`] takes them back.
//! - [`replies`] reads what a kernel answers: acknowledgements, errors, dumps, and notices.
//!   [`Running`] is a state with its numbers, and the message that makes it again elsewhere.
//! - [`Kernel`] is a [`DataPath`](crate::DataPath) over a socket of the caller's ([`Netlink`]).
//!
//! Nothing here has a socket, and nothing needs an operating system.
//!
//! # What a kernel is told
//!
//! | | |
//! |---|---|
//! | state | ESP, transport mode; host addresses, two ports, any protocol: TCP and UDP share it |
//! | window | 64 packets unless the caller says otherwise, never off, a power of two up to 4096 |
//! | extended sequence numbers | never: sec-agree cannot negotiate them |
//! | integrity | `hmac(md5)` and `hmac(sha1)`, cut to 96 bits |
//! | encryption | `cbc(aes)`, `cbc(des3_ede)`, `ecb(cipher_null)` |
//! | both | `rfc4106(gcm(aes))`, `rfc4543(gcm(aes))`, with an ICV of 128 bits |
//! | lifetime | hard, as a safety net: [`Owner::with_hard_lifetime`] |
//! | policies of a set | outbound ones name the SPI, inbound ones do not: see [`Action::Protect`] |
//! | policies of a port | two that block: nothing enters or leaves a protected port in clear |
//!
//! ```
//! use core::num::NonZeroU32;
//! use ipsec_3gpp::export::xfrm::Owner;
//! use ipsec_3gpp::sa::{Endpoint, SaSet, Side};
//! # use ipsec_3gpp::{Ck, Ik, Suite, key::SaKeys, setup::{PortPair, Setup}, spi::{Spi, SpiPair}};
//! # let keys = SaKeys::expand(Suite::HMAC_SHA_1_96_NULL, &Ck::new([1; 16]), &Ik::new([2; 16]))?;
//! # let end = |address: [u8; 4], spi, client, server| -> Result<_, Box<dyn std::error::Error>> {
//! #     let spis = SpiPair { client: Spi::new(spi)?, server: Spi::new(spi + 1)? };
//! #     let setup = Setup { spis, ports: PortPair::new(client, server)? };
//! #     Ok(Endpoint { address: address.into(), setup })
//! # };
//! # let ue = end([10, 0, 0, 2], 0x1000, 6101, 6100)?;
//! # let pcscf = end([10, 0, 0, 1], 0x2000, 7101, 7060)?;
//! let set = SaSet::new(ue, pcscf, keys)?;
//! let owner = Owner::new(NonZeroU32::new(33203).ok_or("0")?);
//! let lines = owner.install(Side::Pcscf, &set).ip_lines_with_keys();
//! assert_eq!(lines.lines().count(), 8);
//! assert!(lines.starts_with("xfrm state add src 10.0.0.2 dst 10.0.0.1 proto esp spi 0x00002001"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod abi;
mod change;
mod fields;
mod ip;
mod kernel;
mod message;
mod owner;
mod reply;
mod running;

pub use change::{
    Action, Change, Changes, Direction, PolicyEnd, PolicyId, State, StateId, StateLimits, Subject,
};
pub use fields::ReplyError;
pub use kernel::{Kernel, KernelError, Netlink, Reconciled};
pub use message::{Acknowledge, Dump, Messages, dump, request_state, take_state};
pub use owner::{KernelWindow, KernelWindowError, Mark, Owner};
pub use reply::{Expired, Failure, Listed, Mapping, Replies, Reply, replies};
pub use running::{Aevent, Numbers, Running};

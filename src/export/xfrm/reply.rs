//! What a kernel answers, and what it tells by itself.

use core::fmt;
use core::net::IpAddr;

use super::abi::{self, aligned};
use super::change::{Direction, PolicyEnd, PolicyId, StateId};
use super::fields::{Fields, ReplyError, attributes};
use super::running::{Aevent, Running};
use crate::spi::Spi;

/// One message of a kernel.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// A request was carried out.
    Acknowledged,
    /// A request was refused.
    Failed(Failure<'a>),
    /// The end of a dump; `false` if the tables changed meanwhile, and the dump may lack something.
    Done {
        /// Whether the dump is whole.
        whole: bool,
    },
    /// A state, as an answer or because one was installed.
    State(Running<'a>),
    /// A policy, as an answer or because one was installed.
    Policy(Listed),
    /// A state was removed.
    Removed(Option<StateId>),
    /// A state has reached a limit.
    Expired(Expired<'a>),
    /// A NAT has moved the port of a UE (group 8).
    Mapping(Mapping),
    /// The numbers of a state have moved on (group `XFRMGRP_AEVENTS`, or the answer to GETAE).
    Numbers(Aevent<'a>),
    /// A message of another kind, or about another protocol than ESP.
    Other {
        /// Its type.
        kind: u16,
    },
}

/// Why a kernel refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The number of the error, positive: 17 is EEXIST.
    pub errno: i32,
    /// The kernel's words, where it has any.
    pub text: Option<&'a str>,
}

/// A state that has reached a limit (`struct xfrm_user_expire`).
#[derive(Clone, Copy, Debug)]
pub struct Expired<'a> {
    /// The state, without keys.
    pub state: Running<'a>,
    /// Whether the kernel has removed it. If not, it asks for a new set: see
    /// [`Pcscf::numbers_low`](crate::Pcscf::numbers_low).
    pub removed: bool,
}

/// `struct xfrm_user_mapping`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The inbound state.
    pub id: StateId,
    /// The address and port that its packets came from.
    pub before: (IpAddr, u16),
    /// Where they come from now.
    pub now: (IpAddr, u16),
}

/// A policy as a dump lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: PolicyId,
    /// Whether it is for traffic of any protocol, as all of this library are.
    pub any_protocol: bool,
    /// `user` of its selector: the number of the owner.
    pub marker: u32,
    /// The `reqid` of its template, if it has one.
    pub number: Option<u32>,
    /// The SPI that its template names.
    pub spi: Option<Spi>,
    /// Its priority.
    pub priority: u32,
    /// Whether it blocks.
    pub blocks: bool,
}

impl Failure<'_> {
    /// EEXIST: there is one of that name.
    pub const EXISTS: i32 = 17;
    /// ESRCH: no such state.
    pub const NO_STATE: i32 = 3;
    /// ENOENT: no such policy.
    pub const NO_POLICY: i32 = 2;

    /// The name of the error, where it is one that XFRM has.
    pub const fn name(&self) -> &'static str {
        name_of(self.errno)
    }
}

pub(super) const fn name_of(errno: i32) -> &'static str {
    match errno {
        1 => "EPERM",
        Failure::NO_POLICY => "ENOENT",
        Failure::NO_STATE => "ESRCH",
        4 => "EINTR",
        11 => "EAGAIN",
        12 => "ENOMEM",
        16 => "EBUSY",
        Failure::EXISTS => "EEXIST",
        22 => "EINVAL",
        34 => "ERANGE",
        38 => "ENOSYS",
        90 => "EMSGSIZE",
        93 => "EPROTONOSUPPORT",
        95 => "EOPNOTSUPP",
        97 => "EAFNOSUPPORT",
        105 => "ENOBUFS",
        _ => "error",
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.errno)?;
        match self.text {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

/// The messages of a datagram, each with the sequence number of its request.
///
/// After an error nothing more is read: where the next message begins is not known.
#[derive(Clone, Debug)]
pub struct Replies<'a> {
    rest: &'a [u8],
}

/// The messages of a datagram that a kernel has sent.
pub const fn replies(datagram: &[u8]) -> Replies<'_> {
    Replies { rest: datagram }
}

impl<'a> Iterator for Replies<'a> {
    type Item = Result<(u32, Reply<'a>), ReplyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.message();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

impl<'a> Replies<'a> {
    fn message(&mut self) -> Result<(u32, Reply<'a>), ReplyError> {
        let fields = Fields { kind: 0, octets: self.rest };
        let (len, kind) = (fields.u32(0)? as usize, fields.u16(4)?);
        let (flags, sequence) = (fields.u16(6)?, fields.u32(8)?);
        let short = ReplyError::Short { kind };
        if len < abi::HEADER_LEN {
            return Err(short);
        }
        let message = self.rest.get(..len).ok_or(short)?;
        let body = Fields { kind, octets: message.get(abi::HEADER_LEN..).ok_or(short)? };
        let reply = body.reply(message, flags)?;
        self.rest = self.rest.get(aligned(len)..).unwrap_or_default();
        Ok((sequence, reply))
    }
}

impl<'a> Fields<'a> {
    fn reply(&self, message: &'a [u8], flags: u16) -> Result<Reply<'a>, ReplyError> {
        let other = Reply::Other { kind: self.kind };
        Ok(match self.kind {
            abi::NLMSG_ERROR => match self.u32(0)?.wrapping_neg() as i32 {
                0 => Reply::Acknowledged,
                errno => Reply::Failed(Failure { errno, text: self.text(flags) }),
            },
            // The flag NLM_F_DUMP_INTR: something changed while it was listed.
            abi::NLMSG_DONE => Reply::Done { whole: flags & 0x10 == 0 },
            abi::NEWSA | abi::UPDSA => match Running::read(message, *self)? {
                Some(state) => Reply::State(state),
                None => other,
            },
            abi::DELSA => Reply::Removed(self.state_id(0)?),
            abi::NEWPOLICY | abi::UPDPOLICY => match self.policy()? {
                Some(listed) => Reply::Policy(listed),
                None => other,
            },
            abi::EXPIRE => {
                let removed = self.u8(abi::USERSA_INFO_LEN)? != 0;
                match Running::read(message, *self)? {
                    Some(state) => Reply::Expired(Expired { state, removed }),
                    None => other,
                }
            }
            abi::MAPPING => match self.state_id(0)? {
                Some(id) => {
                    let ipv6 = id.destination.is_ipv6();
                    let before = (self.address(28, ipv6)?, self.port(60)?);
                    let now = (self.address(44, ipv6)?, self.port(62)?);
                    Reply::Mapping(Mapping { id, before, now })
                }
                None => other,
            },
            abi::NEWAE => match self.state_id(0)? {
                Some(id) => Reply::Numbers(Aevent { id, attributes: self.attributes(48)? }),
                None => other,
            },
            _ => other,
        })
    }

    /// The text of an error, which is after the request that it repeats.
    fn text(&self, flags: u16) -> Option<&'a str> {
        if flags & abi::ACK_TLVS == 0 {
            return None;
        }
        let repeated = if flags & abi::CAPPED == 0 { self.u32(4).ok()? as usize } else { abi::HEADER_LEN };
        let begin = repeated.checked_next_multiple_of(4)?.checked_add(4)?;
        let mut attributes = attributes(self.octets.get(begin..)?);
        let (_, text) = attributes.find(|(kind, _)| *kind == abi::NLMSGERR_ATTR_MSG)?;
        core::str::from_utf8(text.split(|octet| *octet == 0).next()?).ok()
    }

    /// A policy with ports and addresses as this library makes them; `None` for one of another
    /// kind: with another prefix than a host or any, forwarding, or for one socket.
    fn policy(&self) -> Result<Option<Listed>, ReplyError> {
        let ipv6 = match self.family(40) {
            Ok(ipv6) => ipv6,
            Err(ReplyError::Field { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let end = |address: usize, port: usize, prefix: usize| -> Result<Option<PolicyEnd>, ReplyError> {
            let host = if ipv6 { 128 } else { 32 };
            let address = match self.u8(prefix)? {
                0 => None,
                len if len == host => Some(self.address(address, ipv6)?),
                _ => return Ok(None),
            };
            let port = match self.u16(port + 2)? {
                0 => None,
                u16::MAX => Some(self.port(port)?),
                _ => return Ok(None),
            };
            Ok(Some(PolicyEnd { address, port }))
        };
        let (destination, source) = (end(0, 32, 42)?, end(16, 36, 43)?);
        let (protocol, marker, priority) = (self.u8(44)?, self.u32(52)?, self.u32(152)?);
        let direction = match self.u8(160)? {
            0 => Some(Direction::In),
            1 => Some(Direction::Out),
            _ => None,
        };
        let blocks = self.u8(161)? == abi::ACTION_BLOCK;
        let attributes_octets = self.attributes(abi::USERPOLICY_INFO_LEN)?;
        let (Some(source), Some(destination), Some(direction)) = (source, destination, direction) else {
            return Ok(None);
        };
        let template = attributes(attributes_octets).find(|(kind, _)| *kind == abi::TMPL);
        let template = template.map(|(_, octets)| Fields { kind: self.kind, octets });
        let (number, spi) = match template {
            Some(template) => {
                (Some(template.u32(44)?), Spi::from_peer(u32::from_be_bytes(template.array(16)?)).ok())
            }
            None => (None, None),
        };
        let id = PolicyId { direction, ipv6, source, destination };
        Ok(Some(Listed { id, any_protocol: protocol == 0, marker, number, spi, priority, blocks }))
    }
}

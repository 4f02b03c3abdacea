//! A state as a kernel has it: its numbers, its window, and how it is moved.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::IpAddr;

use zeroize::Zeroizing;

use super::abi;
use super::change::StateId;
use super::fields::{Fields, ReplyError, attributes};
use super::message::Writer;
use super::owner::{KernelWindow, Owner};

use crate::esp::PROTOCOL_ESP;
use crate::sa::{Ports, Selector};
use crate::spi::Spi;

/// A state of ESP as a kernel reports it. Its octets may hold keys.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    message: &'a [u8],
    /// Its name.
    pub id: StateId,
    /// Source of its packets.
    pub source: IpAddr,
    /// Its traffic. Ports are any where the selector does not name both.
    pub selector: Selector,
    /// `user` of its selector: the number of the owner.
    pub marker: u32,
    /// Its `reqid`: the number of the owner.
    pub number: u32,
    /// Packets in its life.
    pub packets: u64,
    /// Octets in its life.
    pub octets: u64,
    /// When it was installed, in seconds since 1970.
    pub born: u64,
}

impl core::fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Running")
            .field("id", &self.id)
            .field("selector", &self.selector)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The sequence numbers of a state, and its replay window bit by bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The number of the last packet that was sent; 0 before the first.
    pub sent: u32,
    /// The highest number that was accepted; 0 before the first.
    pub highest: u32,
    /// The packets of the window; 0 is off.
    pub window: u32,
    bits: Vec<u32>,
    ring: bool,
}

impl Numbers {
    /// Whether a packet with this number was accepted, or is too old for the window.
    pub fn is_refused(&self, sequence: u32) -> bool {
        if self.window == 0 {
            return false;
        }
        let age = match self.highest.checked_sub(sequence) {
            None => return false,
            Some(age) if age >= self.window => return true,
            Some(age) => age,
        };
        let position = if self.ring {
            // Bit (number - 1) modulo the window: `xfrm_replay_check_bmp`.
            let top = self.highest.wrapping_sub(1) % self.window;
            if top >= age { top - age } else { self.window - (age - top) }
        } else {
            age
        };
        let word = self.bits.get((position / 32) as usize).copied().unwrap_or(u32::MAX);
        sequence == 0 || word >> (position % 32) & 1 == 1
    }

    /// Of the attributes of a message of a kind; the window of a bitmap of one word is elsewhere.
    fn read(message: u16, octets: &[u8], inline: u32) -> Result<Option<Self>, ReplyError> {
        let is_replay = |kind: u16| [abi::REPLAY_ESN_VAL, abi::REPLAY_VAL].contains(&kind);
        let Some((kind, octets)) = attributes(octets).find(|(kind, _)| is_replay(*kind)) else {
            return Ok(None);
        };
        let fields = Fields { kind: message, octets };
        if kind == abi::REPLAY_VAL {
            let (sent, highest) = (fields.u32(0)?, fields.u32(4)?);
            return Ok(Some(Self {
                sent,
                highest,
                window: inline,
                bits: [fields.u32(8)?].into(),
                ring: false,
            }));
        }
        let (words, sent, highest, window) =
            (fields.u32(0)?, fields.u32(4)?, fields.u32(8)?, fields.u32(20)?);
        // The words that fit after the other fields of `struct xfrm_replay_state_esn`.
        let most = octets.len().saturating_sub(24) / 4;
        // A bitmap that is left out is of zeros, as in a request.
        let is_empty = most == 0 && words <= KernelWindow::MAX / 32;
        if words as usize > most && !is_empty || u64::from(window) > u64::from(words) * 32 {
            return Err(ReplyError::Field { kind: fields.kind, field: "replay window" });
        }
        let bit = |word: usize| if is_empty { Ok(0) } else { fields.u32(24 + 4 * word) };
        let bits: Result<_, _> = (0..words as usize).map(bit).collect();
        Ok(Some(Self { sent, highest, window, bits: bits?, ring: true }))
    }
}

/// `struct xfrm_aevent_id` and the numbers after it.
#[derive(Clone, Copy, Debug)]
pub struct Aevent<'a> {
    /// The state.
    pub id: StateId,
    pub(super) attributes: &'a [u8],
}

impl Aevent<'_> {
    /// The numbers that it tells.
    ///
    /// # Errors
    /// [`ReplyError`] if they are cut off or cannot be.
    pub fn numbers(&self) -> Result<Option<Numbers>, ReplyError> {
        Numbers::read(abi::NEWAE, self.attributes, 32)
    }
}

impl<'a> Running<'a> {
    /// `None` for one that is not of ESP.
    pub(super) fn read(message: &'a [u8], fields: Fields<'a>) -> Result<Option<Self>, ReplyError> {
        // All of it is there from here on.
        let _: [u8; abi::USERSA_INFO_LEN] = fields.array(0)?;
        let ipv6 = fields.family(212)?;
        let destination = fields.address(56, ipv6)?;
        let [protocol] = fields.array(76)?;
        let Ok(spi) = Spi::from_peer(u32::from_be_bytes(fields.array(72)?)) else { return Ok(None) };
        if protocol != PROTOCOL_ESP {
            return Ok(None);
        }
        let source = fields.address(80, ipv6)?;
        let port = |at: usize| -> Result<Option<u16>, ReplyError> {
            let exact = fields.u16(at + 2)? == u16::MAX;
            Ok(exact.then_some(u16::from_be_bytes(fields.array(at)?)))
        };
        let ports = match (port(36)?, port(32)?) {
            (Some(source), Some(destination)) => Ports::Exact { source, destination },
            _ => Ports::Any,
        };
        Ok(Some(Self {
            message,
            id: StateId { spi, destination },
            source,
            selector: Selector { source, destination, ports },
            marker: fields.u32(52)?,
            number: fields.u32(208)?,
            octets: fields.u64(160)?,
            packets: fields.u64(168)?,
            born: fields.u64(176)?,
        }))
    }

    fn body(&self) -> Fields<'a> {
        let octets = self.message.get(abi::HEADER_LEN..).unwrap_or_default();
        Fields { kind: abi::NEWSA, octets }
    }

    /// Whether it is of this owner.
    pub const fn is_of(&self, owner: &Owner) -> bool {
        self.number == owner.number.get() && self.marker == owner.marker
    }

    /// Its sequence numbers and its window; `None` in an [`Expired`](super::Expired), which has
    /// none.
    ///
    /// # Errors
    /// [`ReplyError`] if they are cut off or cannot be.
    pub fn numbers(&self) -> Result<Option<Numbers>, ReplyError> {
        let body = self.body();
        let [inline] = body.array(215)?;
        let octets = body.attributes(abi::USERSA_INFO_LEN)?;
        Numbers::read(abi::NEWSA, octets, u32::from(inline))
    }

    /// The NEWSA that makes the same state again, in the kernel that it was removed from or in
    /// another one: with its keys, its numbers, its window bit by bit, and the time of its birth.
    ///
    /// The rule for moving a state while packets arrive: GETSA and DELSA go in one datagram, so
    /// that nothing is accepted after the window was read; then this message. Packets that arrive
    /// between the two are dropped, and SIP sends them again. What has been accepted is refused
    /// afterwards, and what has not been is accepted.
    ///
    /// Where another host goes on from a snapshot that may be old, add more than can have been sent
    /// since then to `skip_sent`: the peer accepts any number that is higher. No more than
    /// 2<sup>32</sup> - 1 can be sent.
    ///
    /// # Errors
    /// [`ReplyError`] if the state came without keys or numbers, with keys of zeros as a kernel in
    /// lockdown lists them, or cut off.
    pub fn restore(&self, sequence: u32, skip_sent: u32) -> Result<Zeroizing<Vec<u8>>, ReplyError> {
        let body = self.body();
        let numbers = self.numbers()?;
        let (mut keys, window) = (false, numbers.is_some());
        let mut writer = Writer::new(1);
        writer.begin(abi::NEWSA, abi::REQUEST | abi::ACK, sequence);
        writer.put(body.octets.get(..abi::USERSA_INFO_LEN).ok_or(ReplyError::Short { kind: abi::NEWSA })?);
        for (kind, octets) in attributes(body.attributes(abi::USERSA_INFO_LEN)?) {
            // When it was last used is told and not taken back.
            if [abi::LASTUSED, abi::PAD, abi::LTIME_VAL].contains(&kind) {
                continue;
            }
            if [abi::ALG_AUTH_TRUNC, abi::ALG_CRYPT, abi::ALG_AEAD].contains(&kind) {
                keys = true;
                // A kernel in lockdown lists keys of zeros.
                let is_crypt = kind == abi::ALG_CRYPT;
                let key = octets.get(if is_crypt { 68 } else { 72 }..).unwrap_or_default();
                if !key.is_empty() && key.iter().all(|octet| *octet == 0) {
                    return Err(ReplyError::Field { kind: abi::NEWSA, field: "key of zeros" });
                }
            }
            writer.begin_attribute(kind);
            let sent_at = match kind {
                abi::REPLAY_ESN_VAL => Some(4),
                abi::REPLAY_VAL => Some(0),
                _ => None,
            };
            match sent_at.and_then(|at| Some((octets.get(..at)?, octets.get(at..)?.split_first_chunk()?))) {
                Some((before, (sent, after))) => {
                    writer.put(before);
                    writer.put(&u32::from_ne_bytes(*sent).saturating_add(skip_sent).to_ne_bytes());
                    writer.put(after);
                }
                None => writer.put(octets),
            }
            writer.end_attribute();
        }
        if !keys || !window {
            return Err(ReplyError::Field { kind: abi::NEWSA, field: "lack of keys or numbers" });
        }
        // The lifetime goes on where it was: octets, packets, and the times of birth and first use.
        writer.begin_attribute(abi::LTIME_VAL);
        writer.put(body.octets.get(abi::CURRENT_LIFETIME).unwrap_or_default());
        writer.end_attribute();
        writer.end();
        Ok(writer.octets)
    }

    /// What is added to a line of `ip xfrm state add` where a bitmap cannot be handed on:
    /// `replay-seq` is the highest number that was accepted plus the window, so that none of the
    /// packets that were accepted is accepted again. As many genuine packets as the window has are
    /// lost. `replay-oseq` is the number of the last packet sent plus `skip_sent`.
    ///
    /// # Errors
    /// [`ReplyError`] as for [`Running::numbers`].
    pub fn ip_numbers(&self, skip_sent: u32) -> Result<Option<String>, ReplyError> {
        let numbers = self.numbers()?;
        Ok(numbers.map(|numbers| {
            let mut text = String::new();
            // Writing to a String cannot fail. Before the first packet there is nothing to refuse.
            let highest =
                if numbers.highest == 0 { 0 } else { numbers.highest.saturating_add(numbers.window) };
            let _ =
                write!(text, "replay-seq {highest} replay-oseq {}", numbers.sent.saturating_add(skip_sent));
            text
        }))
    }

    /// The message as it came, with keys: to be kept, and read again by
    /// [`replies`](super::replies).
    pub const fn expose(&self) -> &'a [u8] {
        self.message
    }
}

//! Changes as netlink messages.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use zeroize::Zeroizing;

use super::abi::{self, aligned};
use super::change::{
    Action, Change, Changes, Direction, PolicyEnd, PolicyId, State, StateId, StateKeys, Subject,
};
use super::owner::{KernelWindow, Owner};
use crate::algorithm::{Encryption, Integrity, Suite};
use crate::esp::PROTOCOL_ESP;
use crate::sa::{Ports, Selector};

/// Netlink messages one after the other, ready to be sent as one datagram. They may hold keys, and
/// wipe themselves.
#[must_use = "nothing has been changed yet"]
pub struct Messages {
    octets: Zeroizing<Vec<u8>>,
    subjects: Vec<Subject>,
    first: u32,
}

impl core::fmt::Debug for Messages {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Messages")
            .field("subjects", &self.subjects)
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

/// Which messages ask for an acknowledgement. The kernel reports each error in any case, before the
/// acknowledgement of a later message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Each.
    Each,
    /// The last one.
    Last,
}

impl Messages {
    /// The octets, in the order of this machine: keys are among them.
    pub fn expose(&self) -> &[u8] {
        &self.octets
    }

    /// What each message is about. Their sequence numbers follow each other.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// What the message with a sequence number is about: the number of an answer is that of its
    /// message.
    pub fn subject(&self, sequence: u32) -> Option<&Subject> {
        self.subjects.get(sequence.wrapping_sub(self.first) as usize)
    }

    /// The sequence number of the last message.
    pub const fn last_sequence(&self) -> u32 {
        self.first.wrapping_add(self.subjects.len() as u32).wrapping_sub(1)
    }
}

impl Changes<'_> {
    /// The changes as netlink messages, the first of them with this sequence number.
    pub fn to_messages(&self, first: u32, acknowledge: Acknowledge) -> Messages {
        let mut writer = Writer::new(self.list().len());
        let mut subjects = Vec::with_capacity(self.list().len());
        for (index, change) in self.list().iter().enumerate() {
            let asks = acknowledge == Acknowledge::Each || index + 1 == self.list().len();
            let flags = abi::REQUEST | if asks { abi::ACK } else { 0 };
            writer.change(change, self.owner(), flags, first.wrapping_add(index as u32));
            subjects.push(change.subject());
        }
        Messages { octets: writer.octets, subjects, first }
    }
}

/// The request for all states of a kernel, or all policies: a dump. What is another owner's is
/// among the replies.
pub fn dump(what: Dump, sequence: u32) -> Vec<u8> {
    let mut writer = Writer::new(1);
    let kind = match what {
        Dump::States => abi::GETSA,
        Dump::Policies => abi::GETPOLICY,
    };
    writer.begin(kind, abi::REQUEST | abi::DUMP, sequence);
    writer.end();
    core::mem::take(&mut *writer.octets)
}

/// The request for one state, with keys, numbers and window.
pub fn request_state(owner: &Owner, id: StateId, sequence: u32) -> Vec<u8> {
    let mut writer = Writer::new(1);
    writer.begin(abi::GETSA, abi::REQUEST, sequence);
    writer.state_id(id);
    writer.mark(owner);
    writer.end();
    core::mem::take(&mut *writer.octets)
}

/// The request for one state, and its removal, in one datagram: nothing is accepted after its
/// window was read. The removal has the next sequence number. See [`Running::restore`].
///
/// [`Running::restore`]: super::Running::restore
pub fn take_state(owner: &Owner, id: StateId, sequence: u32) -> Vec<u8> {
    let mut octets = request_state(owner, id, sequence);
    let removal = owner.these([Change::RemoveState(id)]);
    octets.extend_from_slice(removal.to_messages(sequence.wrapping_add(1), Acknowledge::Each).expose());
    octets
}

/// The tables that can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// States.
    States,
    /// Policies.
    Policies,
}

/// Writes messages. What it has written is wiped wherever it moves to more room.
pub(super) struct Writer {
    pub(super) octets: Zeroizing<Vec<u8>>,
    message: usize,
    attribute: usize,
}

/// NEWSA with two keys, a mark and an interface is less.
const TYPICAL: usize = 512;

impl Writer {
    pub(super) fn new(messages: usize) -> Self {
        Self { octets: Zeroizing::new(Vec::with_capacity(messages * TYPICAL)), message: 0, attribute: 0 }
    }

    pub(super) fn put(&mut self, octets: &[u8]) {
        if self.octets.capacity() - self.octets.len() < octets.len() {
            // A vector that grows by itself leaves what it held in memory.
            let needed = (self.octets.len() + octets.len()).next_power_of_two();
            let mut larger = Zeroizing::new(Vec::with_capacity(needed));
            larger.extend_from_slice(&self.octets);
            self.octets = larger;
        }
        self.octets.extend_from_slice(octets);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        const ZEROS: [u8; 256] = [0; 256];
        self.put(crate::impossible::part(&ZEROS[..], ..count));
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_ne_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_ne_bytes());
    }

    pub(super) fn begin(&mut self, kind: u16, flags: u16, sequence: u32) {
        self.message = self.octets.len();
        self.u32(0);
        self.put(&kind.to_ne_bytes());
        self.put(&flags.to_ne_bytes());
        self.u32(sequence);
        // The port of the sender: the kernel knows it.
        self.u32(0);
    }

    /// Writes the length of the message in front of it.
    pub(super) fn end(&mut self) {
        let len = (self.octets.len() - self.message) as u32;
        let at = self.message;
        self.patch(at, len.to_ne_bytes());
        self.zeros(aligned(self.octets.len()) - self.octets.len());
    }

    fn patch<const N: usize>(&mut self, at: usize, octets: [u8; N]) {
        if let Some(place) = self.octets.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *place = octets;
        }
    }

    pub(super) fn begin_attribute(&mut self, kind: u16) {
        self.attribute = self.octets.len();
        self.put(&[0; 2]);
        self.put(&kind.to_ne_bytes());
    }

    pub(super) fn end_attribute(&mut self) {
        let len = (self.octets.len() - self.attribute) as u16;
        let at = self.attribute;
        self.patch(at, len.to_ne_bytes());
        self.zeros(aligned(self.octets.len()) - self.octets.len());
    }

    fn change(&mut self, change: &Change<'_>, owner: &Owner, flags: u16, sequence: u32) {
        match change {
            Change::AddState(state) => {
                self.begin(abi::NEWSA, flags, sequence);
                self.state(state, owner);
            }
            Change::UpdateState(state) => {
                self.begin(abi::UPDSA, flags, sequence);
                self.state(state, owner);
            }
            Change::RemoveState(id) => {
                self.begin(abi::DELSA, flags, sequence);
                self.state_id(*id);
                self.mark(owner);
            }
            Change::AddPolicy(id, action) => {
                self.begin(abi::NEWPOLICY, flags, sequence);
                self.policy(id, action, owner);
            }
            Change::SetPolicy(id, action) => {
                self.begin(abi::UPDPOLICY, flags, sequence);
                self.policy(id, action, owner);
            }
            Change::RemovePolicy(id) => {
                self.begin(abi::DELPOLICY, flags, sequence);
                self.policy_selector(id, owner);
                // No index: the selector names it.
                self.u32(0);
                self.put(&[direction(id.direction), 0, 0, 0]);
                self.mark(owner);
                self.if_id(owner);
            }
        }
        self.end();
    }

    /// `xfrm_address_t`
    fn address(&mut self, address: Option<IpAddr>) {
        match address {
            Some(IpAddr::V4(address)) => {
                self.put(&address.octets());
                self.zeros(12);
            }
            Some(IpAddr::V6(address)) => self.put(&address.octets()),
            None => self.zeros(16),
        }
    }

    /// `struct xfrm_selector`, of any protocol, so that TCP and UDP share it.
    fn selector(&mut self, source: &PolicyEnd, destination: &PolicyEnd, ipv6: bool, owner: &Owner) {
        self.address(destination.address);
        self.address(source.address);
        for end in [destination, source] {
            self.put(&end.port.unwrap_or(0).to_be_bytes());
            self.put(&[if end.port.is_some() { 0xff } else { 0 }; 2]);
        }
        self.put(&if ipv6 { abi::AF_INET6 } else { abi::AF_INET }.to_ne_bytes());
        for end in [destination, source] {
            self.put(&[match end.address {
                None => 0,
                Some(IpAddr::V4(_)) => 32,
                Some(IpAddr::V6(_)) => 128,
            }]);
        }
        // Protocol, three octets that fill up, interface.
        self.zeros(4 + 4);
        self.u32(owner.marker);
    }

    fn policy_selector(&mut self, id: &PolicyId, owner: &Owner) {
        self.selector(&id.source, &id.destination, id.ipv6, owner);
    }

    /// `struct xfrm_usersa_id`
    fn state_id(&mut self, id: StateId) {
        self.address(Some(id.destination));
        self.put(&id.spi.value().to_be_bytes());
        self.put(&family(id.destination).to_ne_bytes());
        self.put(&[PROTOCOL_ESP, 0]);
    }

    /// `struct xfrm_lifetime_cfg` and `struct xfrm_lifetime_cur`
    fn lifetimes(&mut self, limits: &super::change::StateLimits) {
        let hard = limits.lifetime.map_or(0, whole_seconds);
        let limits = limits.limits;
        self.u64(limits.and_then(|limits| limits.soft_octets).unwrap_or(abi::INFINITE));
        self.u64(limits.and_then(|limits| limits.hard_octets).map_or(abi::INFINITE, u64::from));
        self.u64(limits.map_or(abi::INFINITE, |limits| limits.soft_packets.into()));
        self.u64(abi::INFINITE);
        // Seconds since it was added, soft and hard, and since it was used: 0 is no limit.
        self.u64(0);
        self.u64(hard);
        self.zeros(16 + 32);
    }

    /// `struct xfrm_usersa_info` and the attributes of a state.
    fn state(&mut self, state: &State<'_>, owner: &Owner) {
        let Selector { source, destination, ports } = state.selector;
        let (from, to) = match ports {
            Ports::Exact { source, destination } => (Some(source), Some(destination)),
            Ports::Any => (None, None),
        };
        let from = PolicyEnd { address: Some(source), port: from };
        let to = PolicyEnd { address: Some(destination), port: to };
        self.selector(&from, &to, source.is_ipv6(), owner);
        self.address(Some(destination));
        self.put(&state.id.spi.value().to_be_bytes());
        self.put(&[PROTOCOL_ESP, 0, 0, 0]);
        self.address(Some(source));
        self.lifetimes(&state.limits);
        // Statistics, and the number of an acquire.
        self.zeros(12 + 4);
        self.u32(owner.number.get());
        self.put(&family(source).to_ne_bytes());
        let window = owner.window.packets();
        let inline = if window <= KernelWindow::INLINE { window as u8 } else { 0 };
        self.put(&[abi::MODE_TRANSPORT, inline, 0, 0, 0, 0, 0, 0, 0, 0]);
        self.algorithms(&state.keys);
        if window > KernelWindow::INLINE {
            self.window(window);
        }
        self.mark(owner);
        self.if_id(owner);
    }

    /// `struct xfrm_replay_state_esn`, for the length of its bitmap, which is empty and left out:
    /// the kernel reads that as zeros. The flag of extended numbers is not set: they cannot be
    /// negotiated.
    fn window(&mut self, packets: u32) {
        self.begin_attribute(abi::REPLAY_ESN_VAL);
        self.u32(packets.div_ceil(32));
        self.zeros(16);
        self.u32(packets);
        self.end_attribute();
    }

    fn algorithms(&mut self, keys: &StateKeys<'_>) {
        let suite = keys.suite();
        let (integrity, encryption) = keys.expose();
        match algorithms(suite) {
            Algorithms::Separate { integrity: hash, encryption: cipher } => {
                self.algorithm(abi::ALG_AUTH_TRUNC, hash, integrity, Some(ICV_BITS));
                self.algorithm(abi::ALG_CRYPT, cipher, encryption, None);
            }
            #[cfg(feature = "aes-gcm")]
            Algorithms::Aead(name) => {
                let key = if suite.encrypts() { encryption } else { integrity };
                self.algorithm(abi::ALG_AEAD, name, key, Some(AEAD_ICV_BITS));
            }
        }
    }

    /// `struct xfrm_algo`, `xfrm_algo_auth` or `xfrm_algo_aead`.
    fn algorithm(&mut self, kind: u16, name: &str, key: &[u8], icv_bits: Option<u32>) {
        self.begin_attribute(kind);
        self.put(name.as_bytes());
        self.zeros(64 - name.len());
        self.u32(key.len() as u32 * 8);
        if let Some(bits) = icv_bits {
            self.u32(bits);
        }
        self.put(key);
        self.end_attribute();
    }

    fn mark(&mut self, owner: &Owner) {
        if let Some(mark) = owner.mark {
            self.begin_attribute(abi::MARK);
            self.u32(mark.value);
            self.u32(mark.mask);
            self.end_attribute();
        }
    }

    fn if_id(&mut self, owner: &Owner) {
        if let Some(if_id) = owner.if_id {
            self.begin_attribute(abi::IF_ID);
            self.u32(if_id.get());
            self.end_attribute();
        }
    }

    /// `struct xfrm_userpolicy_info` and the attributes of a policy.
    fn policy(&mut self, id: &PolicyId, action: &Action, owner: &Owner) {
        self.policy_selector(id, owner);
        self.lifetimes(&super::change::StateLimits { lifetime: None, limits: None });
        let (priority, number) = match action {
            Action::Protect { .. } => (owner.priority, abi::ACTION_ALLOW),
            Action::Block => (owner.block_priority, abi::ACTION_BLOCK),
        };
        self.u32(priority);
        self.u32(0);
        self.put(&[direction(id.direction), number, 0, 0]);
        self.zeros(4);
        if let Action::Protect { source, destination, spi } = action {
            self.begin_attribute(abi::TMPL);
            self.address(Some(*destination));
            self.put(&spi.map_or(0, |spi| spi.value()).to_be_bytes());
            self.put(&[PROTOCOL_ESP, 0, 0, 0]);
            self.put(&family(*source).to_ne_bytes());
            self.zeros(2);
            self.address(Some(*source));
            self.u32(owner.number.get());
            self.put(&[abi::MODE_TRANSPORT, 0, 0, 0]);
            // Any algorithm: the states say which.
            self.put(&[0xff; 12]);
            self.end_attribute();
        }
        self.mark(owner);
        self.if_id(owner);
    }
}

/// Seconds of a lifetime: 0 would be none, and the kernel adds them to the time.
pub(super) fn whole_seconds(lifetime: Duration) -> u64 {
    const MOST: u64 = u32::MAX as u64;
    let seconds = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
    seconds.clamp(1, MOST)
}

pub(super) const fn family(address: IpAddr) -> u16 {
    if address.is_ipv6() { abi::AF_INET6 } else { abi::AF_INET }
}

const fn direction(direction: Direction) -> u8 {
    match direction {
        Direction::In => 0,
        Direction::Out => 1,
    }
}

/// The bits of an ICV of HMAC-MD5-96 and HMAC-SHA-1-96.
pub(super) const ICV_BITS: u32 = 96;
/// The bits of an ICV of AES-GCM and AES-GMAC.
#[cfg(feature = "aes-gcm")]
pub(super) const AEAD_ICV_BITS: u32 = 128;

/// The names that the kernel's crypto has for a suite.
pub(super) enum Algorithms {
    Separate {
        integrity: &'static str,
        encryption: &'static str,
    },
    #[cfg(feature = "aes-gcm")]
    Aead(&'static str),
}

pub(super) const fn algorithms(suite: Suite) -> Algorithms {
    let encryption = match suite.encryption() {
        Encryption::Null => "ecb(cipher_null)",
        #[cfg(feature = "des-ede3-cbc")]
        Encryption::DesEde3Cbc => "cbc(des3_ede)",
        Encryption::AesCbc => "cbc(aes)",
        #[cfg(feature = "aes-gcm")]
        Encryption::AesGcm => return Algorithms::Aead("rfc4106(gcm(aes))"),
    };
    let integrity = match suite.integrity() {
        #[cfg(feature = "hmac-md5-96")]
        Integrity::HmacMd5_96 => "hmac(md5)",
        Integrity::HmacSha1_96 => "hmac(sha1)",
        #[cfg(feature = "aes-gcm")]
        Integrity::AesGmac => return Algorithms::Aead("rfc4543(gcm(aes))"),
        // With AES-GCM alone, which has returned.
        #[cfg(feature = "aes-gcm")]
        Integrity::Null => "digest_null",
    };
    Algorithms::Separate { integrity, encryption }
}

//! Configuration of a P-CSCF, shared by all UEs.

use alloc::vec::Vec;

use crate::policy::Policy;
use crate::setup::Port;

/// Configuration of a P-CSCF, shared by all UEs. It can be changed while UEs are registered
/// ([`Pcscf::reconfigure`](crate::Pcscf::reconfigure)).
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) policy: Policy,
    pub(super) server_port: Port,
    pub(super) client_ports: Vec<Port>,
    pub(super) without_sec_agree: WithoutSecAgree,
    pub(super) max_contacts: u32,
    pub(super) reserved_contacts: u32,
    pub(super) max_addresses: u32,
    pub(super) reserved_addresses: u32,
    pub(super) max_per_address: u32,
    pub(super) max_per_impi: u32,
}

/// What becomes of a REGISTER in clear that does not mention security agreement: that of a phone
/// with Digest or TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WithoutSecAgree {
    /// It is refused with 421 (RFC 3329 2.3.1).
    #[default]
    Refuse,
    /// It goes on to the core, asserted as not protected, and gets no SAs. Whoever can change what
    /// a phone sends in clear can then keep it from having SAs.
    Pass,
}

/// A configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Each set of a contact has a client port of its own, and a contact has up to three sets.
    #[error("{0} client ports: at least three are needed")]
    ClientPorts(usize),
    /// The configuration has a port twice.
    #[error("duplicate port {0}")]
    Duplicate(Port),
    /// TS 33.203 7.1 excludes 5060 and 5061.
    #[error("{0} is a port of SIP in clear, not a protected port")]
    SipPort(Port),
}

crate::code::codes!(ConfigError {
    ConfigError::ClientPorts(_) => "config-client-ports",
    ConfigError::Duplicate(_) => "config-duplicate-port",
    ConfigError::SipPort(_) => "config-sip-port",
});

impl Config {
    /// A protected server port for all UEs, and at least three protected client ports, which the
    /// sets of a contact use one after the other.
    ///
    /// At most a million contacts are registered, and 10,000 more that claim priority. REGISTERs in
    /// clear are open at 100,000 addresses at most, and at 10,000 more for those that claim
    /// priority; 16 at each address, 4 of them of one user.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(policy: Policy, server_port: Port, client_ports: &[Port]) -> Result<Self, ConfigError> {
        if client_ports.len() < 3 {
            return Err(ConfigError::ClientPorts(client_ports.len()));
        }
        for (index, port) in client_ports.iter().enumerate() {
            if *port == server_port || client_ports.iter().take(index).any(|other| other == port) {
                return Err(ConfigError::Duplicate(*port));
            }
        }
        if let Some(port) = client_ports.iter().chain([&server_port]).find(|port| port.is_sip()) {
            return Err(ConfigError::SipPort(*port));
        }
        Ok(Self {
            policy,
            server_port,
            client_ports: client_ports.into(),
            without_sec_agree: WithoutSecAgree::default(),
            max_contacts: 1_000_000,
            reserved_contacts: 10_000,
            max_addresses: 100_000,
            reserved_addresses: 10_000,
            max_per_address: 16,
            max_per_impi: 4,
        })
    }

    /// The same with another answer to phones that do not know of security agreement.
    #[must_use]
    pub fn with_without_sec_agree(self, without_sec_agree: WithoutSecAgree) -> Self {
        Self { without_sec_agree, ..self }
    }

    /// The same with another limit of registered contacts, and how many more may claim priority
    /// ([`Register::with_priority`](crate::registration::Register::with_priority)).
    #[must_use]
    pub fn with_max_contacts(self, max_contacts: u32, reserved: u32) -> Self {
        Self { max_contacts, reserved_contacts: reserved, ..self }
    }

    /// The same with another limit of addresses (of IPv6: prefixes of 64 bits) at which a REGISTER
    /// in clear is open: one that awaits the core's answer, or SM7. `reserved` more are kept for
    /// those that claim priority.
    ///
    /// This bounds memory. Only REGISTERs from this many addresses at the same time fill it; then
    /// nobody is refused, but the oldest that anybody can have made gives way, so that a flood from
    /// ever new addresses leaves each REGISTER as much time as the flood needs to fill the limit.
    /// What claims priority within the reserved share gives way to none.
    #[must_use]
    pub fn with_max_addresses(self, max_addresses: u32, reserved: u32) -> Self {
        Self { max_addresses, reserved_addresses: reserved, ..self }
    }

    /// The same with other limits of what is open in clear at one address: in all, and of one user.
    /// The first one at an address is always admitted, and so is another try of a contact that
    /// has one open there.
    #[must_use]
    pub fn with_max_per_address(self, max_per_address: u32, of_one_impi: u32) -> Self {
        Self { max_per_address, max_per_impi: of_one_impi, ..self }
    }

    /// The SPIs that the limits may need at the same time, for
    /// [`SpiAllocator::new`](crate::SpiAllocator::new): two for each set, of which a contact has up
    /// to four, and an address one more than may be open there.
    pub const fn spis_needed(&self) -> u32 {
        let contacts = self.max_contacts.saturating_add(self.reserved_contacts);
        let addresses = self.max_addresses.saturating_add(self.reserved_addresses);
        let open = addresses.saturating_mul(self.max_per_address.saturating_add(1));
        contacts.saturating_mul(8).saturating_add(open.saturating_mul(2))
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a port is one of the protected ones.
    pub(super) fn has_port(&self, port: u16) -> bool {
        let mut ports = self.client_ports.iter().chain([&self.server_port]);
        ports.any(|known| known.get() == port)
    }
}

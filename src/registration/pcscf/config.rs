//! Configuration of a P-CSCF, shared by all UEs.

use alloc::vec::Vec;

use crate::policy::Policy;
use crate::setup::Port;

/// Configuration of a P-CSCF, shared by all UEs.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) policy: Policy,
    pub(super) server_port: Port,
    pub(super) client_ports: Vec<Port>,
    pub(super) max_contacts: u32,
    pub(super) max_unregistered: u32,
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
    /// sets of a contact use one after the other. At most a million contacts, of which ten
    /// thousand have not registered yet.
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
            max_contacts: 1_000_000,
            max_unregistered: 10_000,
        })
    }

    /// The same with another limit of contacts.
    #[must_use]
    pub fn with_max_contacts(self, max_contacts: u32) -> Self {
        Self { max_contacts, ..self }
    }

    /// The same with another limit of contacts that have never registered, which anybody can make
    /// by sending a REGISTER.
    #[must_use]
    pub fn with_max_unregistered(self, max_unregistered: u32) -> Self {
        Self { max_unregistered, ..self }
    }
}

//! What is the same for every UE.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use crate::policy::Policy;

/// What is the same for every UE of a P-CSCF.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) policy: Policy,
    pub(super) server_port: NonZeroU16,
    pub(super) client_ports: Vec<NonZeroU16>,
    pub(super) max_contacts: u32,
    pub(super) max_unregistered: u32,
}

/// A configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Each set of a contact has a client port of its own, and a contact has up to three sets.
    #[error("{0} client ports where at least three are needed")]
    ClientPorts(usize),
    /// A port stands in the configuration twice.
    #[error("port {0} stands there twice")]
    Duplicate(NonZeroU16),
    /// TS 33.203 7.1 excludes 5060 and 5061.
    #[error("a protected port is 5060 or 5061")]
    SipPort,
}

impl Config {
    /// A protected server port for all UEs, and at least three protected client ports that the sets of a contact take in
    /// turn. At most a million contacts, of which ten thousand have not registered yet.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(
        policy: Policy,
        server_port: NonZeroU16,
        client_ports: &[NonZeroU16],
    ) -> Result<Self, ConfigError> {
        if client_ports.len() < 3 {
            return Err(ConfigError::ClientPorts(client_ports.len()));
        }
        for (place, port) in client_ports.iter().enumerate() {
            if *port == server_port || client_ports.iter().take(place).any(|other| other == port) {
                return Err(ConfigError::Duplicate(*port));
            }
        }
        if client_ports.iter().chain([&server_port]).any(|port| matches!(port.get(), 5060 | 5061)) {
            return Err(ConfigError::SipPort);
        }
        Ok(Self {
            policy,
            server_port,
            client_ports: client_ports.into(),
            max_contacts: 1_000_000,
            max_unregistered: 10_000,
        })
    }

    /// The same with other limits: contacts in all, and among them those that have never registered, which anybody can
    /// make by sending a REGISTER.
    #[must_use]
    pub fn with_capacity(self, max_contacts: u32, max_unregistered: u32) -> Self {
        Self { max_contacts, max_unregistered, ..self }
    }
}

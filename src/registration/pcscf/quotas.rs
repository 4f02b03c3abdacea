//! How much anybody may have open in clear: counts per address, and per user and address.

use core::hash::BuildHasher;
use core::net::IpAddr;

use hashbrown::{DefaultHashBuilder, HashMap};

use super::config::Config;
use super::source::Source;

/// What is open in clear: REGISTERs that await the core's answer, and challenges that await SM7.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    /// How many are open, by the hash of an address, and of a user at an address. An entry is
    /// there while something is.
    open: HashMap<u64, u32>,
    /// Addresses at which something is open.
    addresses: u32,
    hasher: DefaultHashBuilder,
}

/// Too much is open in clear. It ends by itself: a REGISTER after 64*T1, a challenge after
/// reg-await-auth. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Quota {
    /// At this address.
    #[error("{limit} REGISTERs are open in clear at {address}")]
    Address {
        /// The address.
        address: IpAddr,
        /// The limit.
        limit: u32,
    },
    /// At this address, of one user.
    #[error("{limit} REGISTERs of one user are open in clear at {address}")]
    Impi {
        /// The address.
        address: IpAddr,
        /// The limit.
        limit: u32,
    },
    /// At too many addresses.
    #[error("REGISTERs are open in clear at {limit} addresses")]
    Addresses {
        /// The limit, with what is reserved if the REGISTER claims priority.
        limit: u32,
    },
}

crate::code::codes!(Quota {
    Quota::Address { .. } => "quota-address",
    Quota::Impi { .. } => "quota-impi",
    Quota::Addresses { .. } => "quota-addresses",
});

/// The part of an address that one subscriber has: 64 bits of IPv6.
fn subscriber(address: IpAddr) -> [u8; 8] {
    let mut part = [0; 8];
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            // No prefix of IPv6 that is assigned begins like that.
            part = [0xff, 0xff, 0xff, 0xff, a, b, c, d];
        }
        IpAddr::V6(address) => {
            if let Some(prefix) = address.octets().first_chunk() {
                part = *prefix;
            }
        }
    }
    part
}

impl Quotas {
    fn keys(&self, address: IpAddr, scope: u32, impi: &str) -> [u64; 2] {
        let subscriber = (subscriber(address), scope);
        [self.hasher.hash_one(subscriber), self.hasher.hash_one((subscriber, impi))]
    }

    fn count(&self, key: u64) -> u32 {
        self.open.get(&key).copied().unwrap_or(0)
    }

    /// Whether one more of a user may be open at an address.
    pub(super) fn admits(
        &self,
        config: &Config,
        (address, scope): (IpAddr, u32),
        impi: &str,
        priority: bool,
    ) -> Result<(), Quota> {
        let [at_address, of_impi] = self.keys(address, scope, impi);
        let open = self.count(at_address);
        if open == 0 {
            let reserved = if priority { config.reserved_addresses } else { 0 };
            let limit = config.max_addresses.saturating_add(reserved);
            return if self.addresses < limit { Ok(()) } else { Err(Quota::Addresses { limit }) };
        }
        if open >= config.max_per_address {
            return Err(Quota::Address { address, limit: config.max_per_address });
        }
        if self.count(of_impi) >= config.max_per_impi {
            return Err(Quota::Impi { address, limit: config.max_per_impi });
        }
        Ok(())
    }

    /// Something began to be open.
    pub(super) fn began(&mut self, source: Source, impi: &str) {
        let Source::Clear { address, scope } = source else { return };
        let [at_address, of_impi] = self.keys(address, scope, impi);
        let count = self.open.entry(at_address).or_insert(0);
        self.addresses += u32::from(*count == 0);
        *count += 1;
        *self.open.entry(of_impi).or_insert(0) += 1;
    }

    /// Something is open no more.
    pub(super) fn ended(&mut self, source: Source, impi: &str) {
        let Source::Clear { address, scope } = source else { return };
        let keys = self.keys(address, scope, impi);
        for (key, is_address) in keys.into_iter().zip([true, false]) {
            if let Some(count) = self.open.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.open.remove(&key);
                    self.addresses -= u32::from(is_address);
                }
            }
        }
    }

    /// Addresses at which something is open.
    pub(super) const fn addresses(&self) -> u32 {
        self.addresses
    }
}

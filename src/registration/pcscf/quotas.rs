//! How much anybody may have open in clear: counts per address, and per user and address.

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use super::config::Config;
use super::source::Source;
use crate::address;
use crate::hashing::Hashes;

/// What is open in clear: what began in clear and has neither been answered nor succeeded.
#[derive(Debug)]
pub(super) struct Quotas {
    /// How much is open, by the hash of an address, and of a user at an address. An entry is there
    /// while something is.
    open: BTreeMap<u64, Count>,
    /// Addresses at which something is open, by the share that they have.
    addresses: [u32; 2],
    /// What is open of a contact from a source.
    items: BTreeMap<(u32, Source), Item>,
    /// The same by number, which is the order in which it began, for each share.
    began: [BTreeMap<u64, (u32, Source)>; 2],
    /// The last number given.
    number: u64,
    hasher: Hashes,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// A REGISTER, a challenge, or both.
    open: u32,
    number: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    open: u32,
    /// The share that the address was admitted to.
    share: Share,
}

/// A share of the addresses at which something may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Share {
    #[default]
    Ordinary,
    /// That of emergencies and of users with priority.
    Reserved,
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
}

crate::code::codes!(Quota {
    Quota::Address { .. } => "quota-address",
    Quota::Impi { .. } => "quota-impi",
});

impl Quotas {
    pub(super) fn new(hasher: Hashes) -> Self {
        Self {
            open: BTreeMap::new(),
            addresses: [0; 2],
            items: BTreeMap::new(),
            began: [const { BTreeMap::new() }; 2],
            number: 0,
            hasher,
        }
    }

    fn keys(&self, address: IpAddr, scope: u32, impi: &str) -> [u64; 2] {
        let subscriber = (address::subscriber(address), scope);
        [self.hasher.hash_one(&subscriber), self.hasher.hash_one(&(subscriber, impi))]
    }

    fn count(&self, key: u64) -> u32 {
        self.open.get(&key).map_or(0, |count| count.open)
    }

    /// Whether one more of a user may be open at an address.
    pub(super) fn admits(
        &self,
        config: &Config,
        (address, scope): (IpAddr, u32),
        impi: &str,
    ) -> Result<(), Quota> {
        let [at_address, of_impi] = self.keys(address, scope, impi);
        let open = self.count(at_address);
        if open > 0 && open >= config.max_per_address {
            return Err(Quota::Address { address, limit: config.max_per_address });
        }
        if open > 0 && self.count(of_impi) >= config.max_per_impi {
            return Err(Quota::Impi { address, limit: config.max_per_impi });
        }
        Ok(())
    }

    /// The share that a REGISTER is admitted to from an address that has nothing open.
    fn share(&self, config: &Config, priority: bool) -> Share {
        let [_, reserved] = self.addresses;
        if priority && reserved < config.reserved_addresses { Share::Reserved } else { Share::Ordinary }
    }

    /// What must end before something may begin at an address that has nothing open: the oldest of
    /// what anybody can have begun. To be asked again until there is nothing.
    pub(super) fn next_to_evict(
        &mut self,
        config: &Config,
        source: Source,
        priority: bool,
    ) -> Option<(u32, Source)> {
        let Source::Clear { address, scope } = source else { return None };
        let [at_address, _] = self.keys(address, scope, "");
        let [ordinary, _] = self.addresses;
        let is_full = self.share(config, priority) == Share::Ordinary && ordinary >= config.max_addresses;
        if self.count(at_address) > 0 || !is_full {
            return None;
        }
        let [ordinary, _] = &mut self.began;
        ordinary.pop_first().map(|(_, oldest)| oldest)
    }

    /// Something began to be open.
    pub(super) fn began(&mut self, config: &Config, slot: u32, source: Source, impi: &str, priority: bool) {
        let Source::Clear { address, scope } = source else { return };
        let [at_address, of_impi] = self.keys(address, scope, impi);
        let share = self.share(config, priority);
        let count = self.open.entry(at_address).or_insert(Count { open: 0, share });
        let index = usize::from(count.share == Share::Reserved);
        if count.open == 0
            && let Some(addresses) = self.addresses.get_mut(index)
        {
            *addresses += 1;
        }
        count.open += 1;
        self.open.entry(of_impi).or_default().open += 1;
        let number = self.number + 1;
        let item = self.items.entry((slot, source)).or_insert(Item { open: 0, number });
        item.open += 1;
        if item.number == number
            && let Some(began) = self.began.get_mut(index)
        {
            self.number = number;
            began.insert(number, (slot, source));
        }
    }

    /// Something is open no more.
    pub(super) fn ended(&mut self, slot: u32, source: Source, impi: &str) {
        let Source::Clear { address, scope } = source else { return };
        if let Some(item) = self.items.get_mut(&(slot, source)) {
            item.open -= 1;
            let Item { open, number } = *item;
            if open == 0 {
                self.items.remove(&(slot, source));
                for began in &mut self.began {
                    began.remove(&number);
                }
            }
        }
        let keys = self.keys(address, scope, impi);
        for (key, is_address) in keys.into_iter().zip([true, false]) {
            if let Some(count) = self.open.get_mut(&key) {
                count.open -= 1;
                if count.open == 0 {
                    let index = usize::from(count.share == Share::Reserved);
                    self.open.remove(&key);
                    if let Some(addresses) = self.addresses.get_mut(index).filter(|_| is_address) {
                        *addresses -= 1;
                    }
                }
            }
        }
    }

    /// Addresses at which something is open.
    pub(super) const fn addresses(&self) -> u32 {
        let [ordinary, reserved] = self.addresses;
        ordinary + reserved
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may fail")]

    use super::*;
    use crate::algorithm::Suite;
    use crate::hashing::HashSeed;
    use crate::policy::{Confidentiality, Policy};
    use crate::setup::Port;

    fn at(last: u8) -> Source {
        Source::Clear { address: [192, 0, 2, last].into(), scope: 0 }
    }

    fn config() -> Config {
        let policy = Policy::new(&[Suite::HMAC_SHA_1_96_AES_CBC], Confidentiality::Offered).unwrap();
        let port = |number| Port::new(number).unwrap();
        Config::new(policy, port(5100), &[5101, 5102, 5103].map(port)).unwrap().with_max_addresses(2, 0)
    }

    #[test]
    fn an_address_at_which_something_is_always_open_takes_no_more_with_time() {
        let (config, mut quotas) = (config(), Quotas::new(HashSeed::new([7; 16]).hashes()));
        quotas.began(&config, 0, at(1), "a", false);
        for slot in 1..10_000 {
            quotas.began(&config, slot, at(1), "a", false);
            quotas.ended(slot - 1, at(1), "a");
            assert_eq!((quotas.items.len(), quotas.began.each_ref().map(BTreeMap::len)), (1, [1, 0]));
        }
        assert_eq!((quotas.addresses(), quotas.open.len()), (1, 2));
        quotas.ended(9999, at(1), "a");
        assert_eq!((quotas.addresses(), quotas.open.len(), quotas.items.len()), (0, 0, 0));
    }

    #[test]
    fn what_gives_way_is_what_has_been_open_for_the_longest_time() {
        let (config, mut quotas) = (config(), Quotas::new(HashSeed::new([7; 16]).hashes()));
        quotas.began(&config, 1, at(1), "a", false);
        quotas.began(&config, 2, at(2), "b", false);
        // The first ends, and its address begins something else.
        quotas.ended(1, at(1), "a");
        quotas.began(&config, 3, at(1), "a", false);
        // What is open already needs no room; an address that has nothing open does.
        assert_eq!(quotas.next_to_evict(&config, at(1), false), None);
        assert_eq!(quotas.next_to_evict(&config, at(3), false), Some((2, at(2))));
        quotas.ended(2, at(2), "b");
        assert_eq!(quotas.next_to_evict(&config, at(3), false), None);
    }
}

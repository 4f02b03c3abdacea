//! What a REGISTER came from: an SA, or an address in clear.

use core::net::IpAddr;

use crate::registration::route::Over;
use crate::spi::Spi;

/// What a REGISTER came from. Everything that a contact has open is kept apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    /// In clear, from an address on the link of a number.
    Clear { address: IpAddr, scope: u32 },
    /// Over the SA with this SPI.
    Sa(Spi),
}

impl Source {
    pub(super) const fn is_clear(self) -> bool {
        matches!(self, Source::Clear { .. })
    }

    /// Whether two came from the same: the same address in clear, or both over SAs of their
    /// contact.
    pub(super) fn is_same(self, other: Source) -> bool {
        self == other || !self.is_clear() && !other.is_clear()
    }

    pub(super) const fn over(self) -> Over {
        match self {
            Source::Clear { .. } => Over::Clear,
            Source::Sa(spi) => Over::Sa(spi),
        }
    }
}

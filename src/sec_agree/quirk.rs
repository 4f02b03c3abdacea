//! Deviations from TS 33.203 Annex H that may be tolerated, each with a name.

use core::fmt;

/// One deviation from Annex H that peers in the field are known to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quirk {
    /// An SPI of fewer than ten digits, where the grammar has exactly ten. Nearly every peer.
    /// Tolerated.
    ShortSpi,
    /// A protected port 5060 or 5061, which TS 33.203 7.1 excludes. Some phones. Tolerated.
    SipPort,
    /// No `q` in a Security-Server mechanism: its place in the list decides. Many P-CSCFs.
    /// Tolerated.
    AbsentQ,
    /// An SPI of 1 to 255, reserved by RFC 4303 2.1. Not tolerated unless the policy says so.
    ReservedSpi,
    /// A Security-Verify that leaves out the `q` values of Security-Server and is equal otherwise.
    /// Not tolerated unless the policy says so: RFC 3329 2.3.1 wants the list back as it was.
    VerifyWithoutQ,
}

impl Quirk {
    /// Every quirk that has a name.
    pub const ALL: [Quirk; 5] =
        [Quirk::ShortSpi, Quirk::SipPort, Quirk::AbsentQ, Quirk::ReservedSpi, Quirk::VerifyWithoutQ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quirk::ShortSpi => "an SPI of fewer than ten digits",
            Quirk::SipPort => "a protected port 5060 or 5061",
            Quirk::AbsentQ => "no q in a Security-Server mechanism",
            Quirk::ReservedSpi => "an SPI of 1 to 255",
            Quirk::VerifyWithoutQ => "a Security-Verify without the q of Security-Server",
        })
    }
}

/// A set of quirks: those that a mechanism shows, or those that a policy tolerates.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Quirks(u8);

impl Quirks {
    /// None: the letter of Annex H, which few peers in the field keep.
    pub const NONE: Quirks = Quirks(0);
    /// Those that phones and networks need that are in service today: what a policy tolerates by
    /// default.
    pub const TOLERATED: Quirks =
        Quirks::NONE.with(Quirk::ShortSpi).with(Quirk::SipPort).with(Quirk::AbsentQ);

    /// This set and one more.
    #[must_use]
    pub const fn with(self, quirk: Quirk) -> Self {
        Self(self.0 | quirk.bit())
    }

    /// Whether a quirk is in the set.
    pub const fn contains(self, quirk: Quirk) -> bool {
        self.0 & quirk.bit() != 0
    }

    /// The quirks of this set that are not in another.
    #[must_use]
    pub const fn except(self, other: Quirks) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each quirk of the set.
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        Quirk::ALL.into_iter().filter(move |quirk| self.contains(*quirk))
    }
}

impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

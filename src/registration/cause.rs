//! Why things end.

use core::fmt;

/// Why a registration, or a set of SAs, has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its time was up.
    Expired,
    /// The UE or the network ended the registration, and the sets have drained.
    Deregistered,
    /// A newer one has taken its place; at the UE also: its address is no longer the UE's.
    Displaced,
    /// The authentication failed, because the core, the P-CSCF or the UE refused it, or there was
    /// none.
    Refused,
    /// The data path lost it, or could not take it into use.
    DataPath,
    /// The caller had it removed.
    Forgotten,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Expired => "expired",
            Cause::Deregistered => "de-registered",
            Cause::Displaced => "displaced",
            Cause::Refused => "refused",
            Cause::DataPath => "lost by the data path",
            Cause::Forgotten => "forgotten",
        })
    }
}

//! Names of sets and of SAs.

use core::fmt;

use crate::id::id;

id! {
    /// A set of SAs of a [`Pcscf`](crate::Pcscf) or a [`Ue`](crate::Ue). No other set ever has the
    /// same, not even after this one is removed.
    SetId
}
id! {
    /// An inbound SA of a [`Sad`](crate::Sad). No other SA ever has the same, not even after this
    /// one is removed.
    InboundId
}
id! {
    /// An outbound SA of a [`Sad`](crate::Sad). No other SA ever has the same, not even after this
    /// one is removed.
    OutboundId
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set {}", self.0.generation)
    }
}

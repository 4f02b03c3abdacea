//! Why credentials do not authenticate.

/// Credentials that do not authenticate. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// The realm is another one.
    #[error("credentials of another realm")]
    Realm,
    /// The algorithm was not offered.
    #[error("algorithm was not offered")]
    Algorithm,
    /// There is no `qop`, which RFC 8760 2.6 demands: without a nonce count, a replay cannot be
    /// noticed. Or it was not offered.
    #[error("qop is missing or was not offered")]
    Qop,
    /// The digest-uri names something else than the request.
    #[error("digest-uri does not name what the request names")]
    Uri,
    /// The response is not that of the user, or there is no such user.
    #[error("unknown user or wrong response")]
    Wrong,
    /// The response is right. The nonce is too old, was made with a secret that is no longer in
    /// use, or was displaced.
    #[error("stale nonce")]
    Stale,
    /// The response is right, and was there before.
    #[error("nonce count seen before")]
    Replayed,
    /// The UE says that the sequence number of AKA is out of step (AUTS): another vector is due.
    #[error("sequence number of AKA is out of step")]
    Auts,
    /// RES is too short to be used more than once (RFC 3310 5.2).
    #[error("short RES used more than once")]
    ShortRes,
}

crate::code::codes!(Unverified {
    Unverified::Realm => "digest-realm",
    Unverified::Algorithm => "digest-algorithm",
    Unverified::Qop => "digest-qop",
    Unverified::Uri => "digest-uri",
    Unverified::Wrong => "digest-wrong",
    Unverified::Stale => "digest-stale",
    Unverified::Replayed => "digest-replayed",
    Unverified::Auts => "digest-auts",
    Unverified::ShortRes => "digest-short-res",
});

impl Unverified {
    /// Whether the next challenge says `stale=true`: the user is right, so that the client may
    /// answer it without asking for the password again.
    pub const fn is_stale(self) -> bool {
        matches!(self, Unverified::Stale | Unverified::Replayed)
    }
}

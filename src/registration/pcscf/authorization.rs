//! Whether a REGISTER answers a challenge of its contact.

use crate::hashing::Hashes;

/// The parameters of Authorization that tell whether a REGISTER answers a challenge (TS 24.229
/// 5.1.1.4, 5.1.1.5), without their quotes. An absent parameter is an empty text, and an absent
/// header is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// `nonce`
    pub nonce: &'a str,
    /// `response`
    pub response: &'a str,
    /// `auts`; `None` if it is absent.
    pub auts: Option<&'a str>,
}

/// A nonce, by a hash of 32 bits under the table's own key. Every registered contact keeps one, so
/// it is short; a collision makes one message look like an answer to a challenge, which the core
/// then refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Nonce(u32);

/// How a REGISTER relates to the challenges of its contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// Nothing: it has no response, or repeats the one of the latest success, as a re-registration
    /// does.
    Nothing,
    /// It has the response to the open challenge.
    Open,
    /// It has a response to a challenge that is not open.
    Another,
    /// It reports that the UE refused an open challenge: its nonce with `auts`, or with an empty
    /// response.
    Refuses,
}

impl Nonce {
    pub(super) fn of(hashes: &Hashes, text: &str) -> Self {
        Self(hashes.hash_one(text) as u32)
    }
}

impl Authorization<'_> {
    /// `nonce` is this header's; `is_open` says whether it is that of a challenge that awaits its
    /// answer, and `latest` is that of the latest successful authentication.
    pub(super) fn answers(&self, nonce: Nonce, is_open: bool, latest: Option<Nonce>) -> Answers {
        match (self.response.is_empty(), is_open) {
            (_, true) if self.auts.is_some() => Answers::Refuses,
            (true, true) => Answers::Refuses,
            (false, true) => Answers::Open,
            (true, false) => Answers::Nothing,
            (false, false) if latest == Some(nonce) => Answers::Nothing,
            (false, false) => Answers::Another,
        }
    }
}

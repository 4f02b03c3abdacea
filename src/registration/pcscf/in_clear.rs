//! What a contact has open in clear: as much as strangers like to send, from as many addresses.
//! Found by address, request, SPI and nonce, so that a flood against one contact costs each of its
//! messages what it costs any other.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::net::IpAddr;

use super::authorization::Nonce;
use super::open::{Attempt, Open, Temporary};
use super::source::Source;
use crate::hashing::{Hashes, Map};
use crate::sa::SetId;
use crate::spi::Spi;
use crate::time::Moment;

/// REGISTERs in clear that await the core, and challenges to them that await SM7: at most one of
/// each from an address.
#[derive(Debug)]
pub(super) struct InClear {
    hashes: Hashes,
    from: Map<Source, From>,
    /// Where the rest of what is known of them is.
    by: Map<By, Source>,
    /// By deadline, and the number of the request or set.
    deadlines: BTreeMap<(Moment, u64), (Source, Kind)>,
}

#[derive(Debug, Default)]
struct From {
    attempt: Option<Box<Attempt>>,
    challenge: Option<Box<Temporary>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Attempt,
    Challenge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum By {
    Request(u64),
    Set(SetId),
    Spi(Spi),
    /// Of the latest challenge with it.
    Nonce(Nonce),
}

fn keys(challenge: &Temporary) -> [By; 4] {
    let spis = challenge.set.ends.pcscf.setup.spis;
    [By::Set(challenge.set.id), By::Spi(spis.client), By::Spi(spis.server), By::Nonce(challenge.nonce)]
}

impl InClear {
    pub(super) fn new(hashes: &Hashes) -> Self {
        Self { hashes: hashes.clone(), from: Map::new(), by: Map::new(), deadlines: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    /// The first deadline.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    pub(super) fn has(&self, source: Source) -> bool {
        self.from.get(&self.hashes, &source).is_some()
    }

    /// By deadline: the order is the same in every run.
    pub(super) fn challenges(&self) -> impl Iterator<Item = &Temporary> {
        self.deadlines.values().filter_map(|(source, kind)| match kind {
            Kind::Attempt => None,
            Kind::Challenge => self.challenge_from(*source),
        })
    }

    /// Those to an address, on whichever link if none is given.
    pub(super) fn challenges_at(&self, ue: IpAddr, scope: Option<u32>) -> impl Iterator<Item = &Temporary> {
        let one = scope.and_then(|scope| self.challenge_from(Source::Clear { address: ue, scope }));
        let any = scope.is_none().then(|| self.challenges().filter(move |one| one.set.ends.ue.address == ue));
        one.into_iter().chain(any.into_iter().flatten())
    }

    fn source_by(&self, key: By) -> Option<&Source> {
        self.by.get(&self.hashes, &key)
    }

    fn make_known(&mut self, key: By, source: Source) {
        *self.by.get_or_insert(&self.hashes, key, || source) = source;
    }

    fn challenge_from(&self, source: Source) -> Option<&Temporary> {
        self.from.get(&self.hashes, &source)?.challenge.as_deref()
    }

    pub(super) fn challenge_over(&self, spi: Spi) -> Option<&Temporary> {
        self.challenge_from(*self.source_by(By::Spi(spi))?)
    }

    pub(super) fn challenge_of(&self, set: SetId) -> Option<&Temporary> {
        self.challenge_from(*self.source_by(By::Set(set))?)
    }

    pub(super) fn source_of_nonce(&self, nonce: Nonce) -> Option<Source> {
        self.source_by(By::Nonce(nonce)).copied()
    }

    pub(super) fn attempt(&self, request: u64) -> Option<&Attempt> {
        self.from.get(&self.hashes, self.source_by(By::Request(request))?)?.attempt.as_deref()
    }

    /// Adds one. There is none of its kind from its source.
    pub(super) fn insert(&mut self, open: Open) {
        match open {
            Open::Attempt(attempt) => {
                let (source, number) = (attempt.source, attempt.number);
                self.make_known(By::Request(number), source);
                self.deadlines.insert((attempt.deadline, number), (source, Kind::Attempt));
                self.from.get_or_insert(&self.hashes, source, From::default).attempt = Some(attempt);
            }
            Open::Temporary(challenge) => {
                let source = challenge.source;
                keys(&challenge).into_iter().for_each(|key| self.make_known(key, source));
                let number = challenge.set.id.0.generation;
                self.deadlines.insert((challenge.set.deadline, number), (source, Kind::Challenge));
                self.from.get_or_insert(&self.hashes, source, From::default).challenge = Some(challenge);
            }
        }
    }

    pub(super) fn take_attempt_from(&mut self, source: Source) -> Option<Open> {
        let attempt = self.from.get_mut(&self.hashes, &source)?.attempt.take()?;
        self.by.remove(&self.hashes, &By::Request(attempt.number));
        self.deadlines.remove(&(attempt.deadline, attempt.number));
        self.forget_if_empty(source);
        Some(Open::Attempt(attempt))
    }

    pub(super) fn take_challenge_from(&mut self, source: Source) -> Option<Open> {
        let challenge = self.from.get_mut(&self.hashes, &source)?.challenge.take()?;
        for key in keys(&challenge) {
            // Another one may have had the same nonce since.
            if self.by.get(&self.hashes, &key) == Some(&source) {
                self.by.remove(&self.hashes, &key);
            }
        }
        self.deadlines.remove(&(challenge.set.deadline, challenge.set.id.0.generation));
        self.forget_if_empty(source);
        Some(Open::Temporary(challenge))
    }

    fn forget_if_empty(&mut self, source: Source) {
        if self
            .from
            .get(&self.hashes, &source)
            .is_some_and(|from| from.attempt.is_none() && from.challenge.is_none())
        {
            self.from.remove(&self.hashes, &source);
        }
    }

    pub(super) fn take_attempt(&mut self, request: u64) -> Option<Open> {
        self.take_attempt_from(*self.source_by(By::Request(request))?)
    }

    pub(super) fn take_challenge_over(&mut self, spi: Spi) -> Option<Open> {
        self.take_challenge_from(*self.source_by(By::Spi(spi))?)
    }

    pub(super) fn take_challenge_of(&mut self, set: SetId) -> Option<Open> {
        self.take_challenge_from(*self.source_by(By::Set(set))?)
    }

    /// One of the two that may be open from a source.
    pub(super) fn take_any(&mut self, source: Source) -> Option<Open> {
        self.take_attempt_from(source).or_else(|| self.take_challenge_from(source))
    }

    /// One that has reached its deadline.
    pub(super) fn take_expired(&mut self, now: Moment) -> Option<Open> {
        if self.deadline()? <= now { self.take_one() } else { None }
    }

    /// The one with the first deadline.
    pub(super) fn take_one(&mut self) -> Option<Open> {
        let (source, kind) = self.deadlines.first_key_value().map(|(_, found)| *found)?;
        match kind {
            Kind::Attempt => self.take_attempt_from(source),
            Kind::Challenge => self.take_challenge_from(source),
        }
    }
}

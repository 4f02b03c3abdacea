//! The Privacy header (RFC 3323 4.2): its values, read and written.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::name_addr::is_token;

/// A value of the Privacy header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// `none`: no privacy function may be performed.
    None,
    /// `id`: no asserted identity outside the trust domain (RFC 3325 9.3).
    Id,
    /// `user`: what the user agent put in about its user is hidden.
    User,
    /// `header`: headers that the user agent cannot do without are hidden.
    Header,
    /// `session`: media are anonymised.
    Session,
    /// `history`: no History-Info (RFC 7044 10.1).
    History,
    /// `critical`: rather no request than one without the privacy that was asked for.
    Critical,
    /// Another value, in lower case.
    Other(Box<str>),
}

/// Why a Privacy header cannot be read. Privacy is asked for, and it is not known which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// There is nothing between two separators, or nothing at all.
    #[error("empty value in a Privacy header")]
    Empty,
    /// A value is not a token (RFC 3261 25.1).
    #[error("{0:?} in a Privacy header is not a token")]
    Token(Box<str>),
    /// More than 32 values, or one of more than 64 octets.
    #[error("too much in a Privacy header")]
    TooMuch,
}

crate::code::codes!(PrivacyError {
    PrivacyError::Empty => "privacy-empty",
    PrivacyError::Token(_) => "privacy-token",
    PrivacyError::TooMuch => "privacy-too-much",
});

/// Octets of a value at most.
const MAX_TOKEN: usize = 64;
/// Values at most.
const MAX_LEVELS: usize = 32;

impl Level {
    /// The value as RFC 3323 writes it.
    pub const fn token(&self) -> &str {
        match self {
            Level::None => "none",
            Level::Id => "id",
            Level::User => "user",
            Level::Header => "header",
            Level::Session => "session",
            Level::History => "history",
            Level::Critical => "critical",
            Level::Other(token) => token,
        }
    }

    /// # Errors
    /// [`PrivacyError`]
    fn read(text: &str) -> Result<Self, PrivacyError> {
        if text.is_empty() {
            return Err(PrivacyError::Empty);
        }
        if text.len() > MAX_TOKEN {
            return Err(PrivacyError::TooMuch);
        }
        if !text.bytes().all(is_token) {
            return Err(PrivacyError::Token(text.into()));
        }
        let known = [
            Level::None,
            Level::Id,
            Level::User,
            Level::Header,
            Level::Session,
            Level::History,
            Level::Critical,
        ];
        let known = known.into_iter().find(|level| level.token().eq_ignore_ascii_case(text));
        Ok(known.unwrap_or_else(|| Level::Other(text.to_ascii_lowercase().into())))
    }
}

/// The values of a Privacy header, each once, in their order. Without any, there is no header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    levels: Vec<Level>,
}

impl Privacy {
    /// Reads all rows of the header. Values are separated by semicolons; several rows and commas
    /// are tolerated, and so is a value that comes twice.
    ///
    /// # Errors
    /// [`PrivacyError`]; privacy must be assumed to be asked for.
    pub fn read<'a>(rows: impl IntoIterator<Item = &'a str>) -> Result<Self, PrivacyError> {
        match Self::read_all(rows) {
            (privacy, None) => Ok(privacy),
            (_, Some(error)) => Err(error),
        }
    }

    /// The values that can be read, and the first error of the others.
    pub(super) fn read_all<'a>(rows: impl IntoIterator<Item = &'a str>) -> (Self, Option<PrivacyError>) {
        let (mut privacy, mut first) = (Self::default(), None);
        for text in rows.into_iter().flat_map(|row| row.split([';', ','])) {
            match Level::read(text.trim_matches([' ', '\t', '\r', '\n'])) {
                Ok(level) if privacy.levels.len() >= MAX_LEVELS && !privacy.has(&level) => {
                    return (privacy, Some(first.unwrap_or(PrivacyError::TooMuch)));
                }
                Ok(level) => privacy.add(level),
                Err(error) => first = first.or(Some(error)),
            }
        }
        (privacy, first)
    }

    /// The same with another value.
    #[must_use]
    pub fn with(mut self, level: Level) -> Self {
        self.add(level);
        self
    }

    /// What the home network of the originator makes of it where she has agreed that her identity
    /// is hidden: `user` is added unless `none` is there (TR 33.941 8.1.3.1).
    #[must_use]
    pub fn with_wish_of_home_network(self) -> Self {
        if self.has(&Level::None) { self } else { self.with(Level::User) }
    }

    fn add(&mut self, level: Level) {
        if !self.has(&level) {
            self.levels.push(level);
        }
    }

    /// Whether a value is there.
    pub fn has(&self, level: &Level) -> bool {
        self.levels.contains(level)
    }

    /// Whether a value is there, and not undone by `none`.
    pub(super) fn asks(&self, level: &Level) -> bool {
        self.has(level) && !self.has(&Level::None)
    }

    /// The values.
    pub fn levels(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter()
    }

    /// Whether there is no value: then there is no header.
    pub const fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    pub(super) fn retain(&mut self, keeps: impl FnMut(&Level) -> bool) {
        self.levels.retain(keeps);
    }

    /// The tokens of values, for a header or a reason phrase.
    pub(super) fn list<'a>(levels: impl Iterator<Item = &'a Level>, separator: &str) -> String {
        let tokens: Vec<&str> = levels.map(Level::token).collect();
        tokens.join(separator)
    }
}

impl fmt::Display for Privacy {
    /// One row, as RFC 3323 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::list(self.levels(), ";"))
    }
}

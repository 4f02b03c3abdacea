//! Who registered.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The most octets of one identity, or of the string that distinguishes contacts.
pub const MAX_IDENTITY_OCTETS: usize = 512;
/// The most public identities of one contact.
pub const MAX_IMPUS: usize = 64;

/// The identities of one registered contact: what the SA that a message came over says about its
/// sender.
///
/// Identities are compared octet by octet. A caller whose network does not write them in one form
/// gives them normalised: [`normalised_impi`](crate::registration::normalised_impi),
/// [`normalised_impu`](crate::registration::normalised_impu).
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The contact, the IMPI and the IMPUs, separated by line breaks, which no header value has.
    /// One allocation for each of a million UEs.
    text: Box<str>,
}

const SEPARATOR: char = '\n';

/// An identity that no contact can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The private identity is empty.
    #[error("empty private identity")]
    NoImpi,
    /// An identity, or the string that distinguishes contacts, is too long.
    #[error("identity of {0} octets: at most {MAX_IDENTITY_OCTETS}")]
    TooLong(usize),
    /// There are too many public identities.
    #[error("{0} public identities: at most {MAX_IMPUS}")]
    TooMany(usize),
    /// An identity has a line break.
    #[error("identity with a line break")]
    LineBreak,
}

crate::code::codes!(IdentityError {
    IdentityError::NoImpi => "identity-no-impi",
    IdentityError::TooLong(_) => "identity-too-long",
    IdentityError::TooMany(_) => "identity-too-many",
    IdentityError::LineBreak => "identity-line-break",
});

impl Identity {
    pub(super) fn new(contact: &str, impi: &str, impus: &[&str]) -> Result<Self, IdentityError> {
        if impi.is_empty() {
            return Err(IdentityError::NoImpi);
        }
        if impus.len() > MAX_IMPUS {
            return Err(IdentityError::TooMany(impus.len()));
        }
        let parts = || [contact, impi].into_iter().chain(impus.iter().copied());
        let longest = parts().map(str::len).max().unwrap_or(0);
        if longest > MAX_IDENTITY_OCTETS {
            return Err(IdentityError::TooLong(longest));
        }
        let mut text = String::with_capacity(parts().map(|part| part.len() + 1).sum::<usize>() - 1);
        for (index, part) in parts().enumerate() {
            if index != 0 {
                text.push(SEPARATOR);
            }
            text.push_str(part);
        }
        let separators = text.matches(SEPARATOR).count();
        if separators == 1 + impus.len() {
            Ok(Self { text: text.into_boxed_str() })
        } else {
            Err(IdentityError::LineBreak)
        }
    }

    /// The string that distinguishes this contact from others of the same user.
    pub fn contact(&self) -> &str {
        self.part(0)
    }

    /// The private identity.
    pub fn impi(&self) -> &str {
        self.part(1)
    }

    /// The public identities.
    pub fn impus(&self) -> impl Iterator<Item = &str> {
        self.text.split(SEPARATOR).skip(2)
    }

    /// Whether a public identity is one of this contact's. A message whose sender claims another
    /// one must be refused (TS 33.203 7.1, rule 4).
    pub fn has_impu(&self, impu: &str) -> bool {
        self.impus().any(|known| known == impu)
    }

    /// Whether it has exactly these public identities, in whichever order.
    pub(super) fn has_exactly(&self, impus: &[&str]) -> bool {
        impus.iter().all(|impu| self.has_impu(impu)) && self.impus().all(|known| impus.contains(&known))
    }

    /// The same contact and user with other public identities.
    pub(super) fn with_impus(&self, impus: &[&str]) -> Result<Self, IdentityError> {
        Self::new(self.contact(), self.impi(), impus)
    }

    /// The public identities of both; those of `self` alone where they would be too many.
    pub(super) fn joined(&self, other: &Self) -> Self {
        let mut impus: Vec<&str> = self.impus().collect();
        impus.extend(other.impus().filter(|impu| !self.has_impu(impu)));
        self.with_impus(&impus).unwrap_or_else(|_| self.clone())
    }

    /// Without the public identities of another.
    pub(super) fn without(&self, other: &Self) -> Self {
        let impus: Vec<&str> = self.impus().filter(|impu| !other.has_impu(impu)).collect();
        self.with_impus(&impus).unwrap_or_else(|_| self.clone())
    }

    fn part(&self, number: usize) -> &str {
        self.text.split(SEPARATOR).nth(number).unwrap_or_default()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("impi", &self.impi())
            .field("contact", &self.contact())
            .finish_non_exhaustive()
    }
}

//! Who registered.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// The identities of one registered contact: what the SA that a message came over says about its
/// sender.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The contact, the IMPI and the IMPUs, separated by line breaks, which no header value has.
    /// One allocation for each of a million UEs.
    text: Box<str>,
}

const SEPARATOR: char = '\n';

impl Identity {
    /// `None` if one of them has a line break.
    pub(super) fn new(contact: &str, impi: &str, impus: &[&str]) -> Option<Self> {
        let mut text = String::with_capacity(
            contact.len() + 1 + impi.len() + impus.iter().map(|impu| impu.len() + 1).sum::<usize>(),
        );
        text.push_str(contact);
        for part in core::iter::once(&impi).chain(impus) {
            text.push(SEPARATOR);
            text.push_str(part);
        }
        let separators = text.matches(SEPARATOR).count();
        (separators == 1 + impus.len()).then(|| Self { text: text.into_boxed_str() })
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

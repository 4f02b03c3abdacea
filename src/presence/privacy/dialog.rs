//! What is kept of a request whose originator was hidden: for its responses, and for the later
//! messages of the dialog.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::edit::{Edit, Row};
use super::identity::distrusted;
use super::name_addr::{NameAddr, identity_uri};
use super::value::Privacy;

/// The privacy of one dialog, or of one transaction outside of dialogs. The same rules hold for all
/// of its messages (TR 33.941 6.1.2.1), though only the first has a Privacy header.
#[derive(Clone, PartialEq, Eq)]
pub struct Dialog {
    pub(super) asked: Privacy,
    /// From, as the originator sent it, if it was hidden.
    from: Option<Box<str>>,
    /// The other end is not trusted: what it says of itself is not forwarded.
    is_untrusted: bool,
    /// The URI under which the other end was called: its identity in responses.
    called: Option<Box<str>>,
}

/// A message toward the originator, after its edits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Mapped {
    /// The edits, by row.
    pub edits: Vec<Edit>,
    /// False if what the originator sent could not be restored: the message has another tag, or no
    /// such row. It goes on as it is.
    pub is_restored: bool,
}

impl Dialog {
    /// `called`: P-Called-Party-ID of the request.
    pub(super) fn new(
        asked: Privacy,
        from: Option<Box<str>>,
        is_untrusted: bool,
        called: Option<&str>,
    ) -> Self {
        let called = called.filter(|_| is_untrusted).and_then(identity_uri).map(Into::into);
        Self { asked, from, is_untrusted, called }
    }

    /// Whether anything was hidden that must be restored.
    pub const fn hides(&self) -> bool {
        self.from.is_some()
    }

    /// A response toward the originator: From is what she sent. What an untrusted end asserts or
    /// prefers goes; in a provisional or successful response, it is asserted to be whom the request
    /// was for (P-Called-Party-ID; TS 24.229 5.2.6.4).
    pub fn response(&self, status: u16, rows: &[Row<'_>]) -> Mapped {
        let mut mapped = self.restore("From", rows);
        if self.is_untrusted {
            mapped.edits.extend(distrusted(rows));
            mapped.edits.sort_by_key(Edit::row);
            if let Some(called) = self.called.as_deref().filter(|_| (101..300).contains(&status)) {
                let value = alloc::format!("<{called}>").into();
                mapped.edits.push(Edit::Add { name: "P-Asserted-Identity", value });
            }
        }
        mapped
    }

    /// A request of the other end toward the originator: To is what she sent as From. What else is
    /// due for a request of a UE, [`assert_identity`](super::assert_identity) says; its edits are
    /// of other rows.
    pub fn request_to_originator(&self, rows: &[Row<'_>]) -> Mapped {
        self.restore("To", rows)
    }

    fn restore(&self, name: &str, rows: &[Row<'_>]) -> Mapped {
        let Some(from) = self.from.as_deref() else {
            return Mapped { edits: Vec::new(), is_restored: true };
        };
        let tag = |text| NameAddr::read(text).map(|found| found.tag);
        let found = rows.iter().enumerate().find(|(_, row)| row.is(name));
        let found = found.filter(|(_, row)| tag(row.value).is_some_and(|found| Some(found) == tag(from)));
        let edits = found.map(|(row, _)| vec![Edit::Replace { row, value: from.into() }]);
        Mapped { is_restored: edits.is_some(), edits: edits.unwrap_or_default() }
    }
}

impl fmt::Debug for Dialog {
    /// Without what is hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialog").field("asked", &self.asked).finish_non_exhaustive()
    }
}

//! What is kept of a request whose originator was hidden: for its responses, and for the later
//! messages of the dialog.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::edit::{Edit, Row};
use super::name_addr::NameAddr;
use super::value::Privacy;

/// The privacy of one dialog, or of one transaction outside of dialogs. The same rules hold for all
/// of its messages (TR 33.941 6.1.2.1), though only the first has a Privacy header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    pub(super) asked: Privacy,
    /// From, as the originator sent it, if it was hidden.
    from: Option<Box<str>>,
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
    pub(super) const fn new(asked: Privacy, from: Option<Box<str>>) -> Self {
        Self { asked, from }
    }

    /// Whether anything was hidden that must be restored.
    pub const fn hides(&self) -> bool {
        self.from.is_some()
    }

    /// A response toward the originator: From is what she sent.
    pub fn response(&self, rows: &[Row<'_>]) -> Mapped {
        self.restore("From", rows)
    }

    /// A request of the other end toward the originator: To is what she sent as From.
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

//! Rows of a message, and edits of them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Headers that go with `user` (RFC 3323 5.3).
pub(super) const OF_USER: [&str; 6] =
    ["Subject", "Call-Info", "Organization", "User-Agent", "Reply-To", "In-Reply-To"];

/// One row of a message's headers: unfolded, with nothing around the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// As it is in the message: long or compact form.
    pub name: &'a str,
    /// The value.
    pub value: &'a str,
}

/// A change of one row. Rows are counted from 0, in the message as it was; each is edited at most
/// once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// The row goes.
    Remove {
        /// Which one.
        row: usize,
    },
    /// The row has another value.
    Replace {
        /// Which one.
        row: usize,
        /// The value.
        value: Box<str>,
    },
    /// A row comes after all others.
    Add {
        /// The name of the header, in its long form.
        name: &'static str,
        /// The value.
        value: Box<str>,
    },
}

impl<'a> Row<'a> {
    /// A row.
    pub const fn new(name: &'a str, value: &'a str) -> Self {
        Self { name, value }
    }

    /// Whether it is of a header, by its long name.
    pub(super) fn is(&self, name: &str) -> bool {
        // White space may be before the colon (RFC 3261 7.3.1).
        let own = self.name.trim_matches([' ', '\t', '\r', '\n']);
        own.eq_ignore_ascii_case(name)
            || compact(name).is_some_and(|compact| own.eq_ignore_ascii_case(compact))
    }
}

/// The compact form of a header that is edited here (IANA, Session Initiation Protocol parameters).
fn compact(name: &str) -> Option<&'static str> {
    Some(match name {
        "Call-ID" => "i",
        "Contact" => "m",
        "Content-Type" => "c",
        "From" => "f",
        "Identity" => "y",
        "Identity-Info" => "n",
        "Referred-By" => "b",
        "Subject" => "s",
        "To" => "t",
        "Via" => "v",
        _ => return None,
    })
}

impl Edit {
    /// The row that it changes; `None` for one that it adds.
    pub const fn row(&self) -> Option<usize> {
        match self {
            Edit::Remove { row } | Edit::Replace { row, .. } => Some(*row),
            Edit::Add { .. } => None,
        }
    }

    /// The value that it writes; `None` for a removal.
    pub fn value(&self) -> Option<&str> {
        match self {
            Edit::Remove { .. } => None,
            Edit::Replace { value, .. } | Edit::Add { value, .. } => Some(value),
        }
    }
}

/// The edit of each row.
pub(super) fn by_row(rows: usize, edits: &[Edit]) -> Vec<Option<&Edit>> {
    let mut all = alloc::vec![None; rows];
    for edit in edits {
        if let Some(place) = edit.row().and_then(|row| all.get_mut(row)) {
            *place = Some(edit);
        }
    }
    all
}

/// The rows, names and values, after edits.
pub fn edited(rows: &[Row<'_>], edits: &[Edit]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (row, edit) in rows.iter().zip(by_row(rows.len(), edits)) {
        match edit {
            None => all.push((row.name.into(), row.value.into())),
            Some(edit) => all.extend(edit.value().map(|value| (row.name.into(), value.into()))),
        }
    }
    for edit in edits {
        if let Edit::Add { name, value } = edit {
            all.push(((*name).into(), (**value).into()));
        }
    }
    all
}

//! The privacy service: from the rows of a request to their edits, or a refusal.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::dialog::Dialog;
use super::edit::{Edit, OF_USER, Row};
use super::name_addr::{ANONYMOUS, NameAddr, split_outside_quotes, without_quotes};
use super::value::{Level, Privacy, PrivacyError};

/// Headers that a function without a B2BUA must leave as they are, and that tell who the user is,
/// or where.
const LEFT: [&str; 8] = [
    "Contact",
    "Call-ID",
    "Via",
    "Record-Route",
    "Route",
    "Authorization",
    "Proxy-Authorization",
    "P-Access-Network-Info",
];

/// Whether the next element is within the trust domain (RFC 3324).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// It is: it has to be told what was asserted, and to keep it.
    Trusted,
    /// It is not: a UE, or a network without an agreement.
    Untrusted,
}

/// What is performed here. `id`, `user` and `history` always are: they are a matter of headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Performs {
    header: bool,
    session: bool,
}

impl Performs {
    /// What a function that edits headers can do.
    pub const HEADERS_ONLY: Self = Self { header: false, session: false };

    /// The caller performs `header` itself: it replaces Via, Contact and Record-Route, and restores
    /// them.
    #[must_use]
    pub const fn with_header(self) -> Self {
        Self { header: true, ..self }
    }

    /// The caller performs `session` itself: it is a B2BUA through which media go.
    #[must_use]
    pub const fn with_session(self) -> Self {
        Self { session: true, ..self }
    }
}

/// The function in one element: what it performs, and what the next hop is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    next_hop: NextHop,
    performs: Performs,
    is_strict: bool,
    removes_id: bool,
    without_header: Privacy,
}

/// A level of privacy that was asked for and is not provided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortfall {
    /// It is not performed here, or not known.
    Level(Level),
    /// A Privacy header cannot be read. All that can be performed was, and the header stays.
    Unreadable(PrivacyError),
}

/// What still tells who the originator is, though every edit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Residual {
    /// A row, counted as in the message as it was.
    Row(usize),
    /// The body.
    Body,
}

/// A request that is forwarded after its edits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Applied {
    /// The edits, by row.
    pub edits: Vec<Edit>,
    /// What was asked for and is not provided.
    pub shortfall: Vec<Shortfall>,
    /// What still tells who the originator is; empty if she did not ask for privacy.
    pub residual: Vec<Residual>,
    /// `none` came with other values, which RFC 3323 4.2 forbids; it wins.
    pub is_contradictory: bool,
    /// For the responses, and for what comes later in the dialog.
    pub dialog: Dialog,
}

/// A request that is not forwarded: privacy that was critical cannot be provided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The status of the response; `None` for an ACK, which is discarded, as nobody answers one.
    pub status: Option<u16>,
    /// The reason phrase, which names the values (RFC 3323 5).
    pub reason: String,
    /// What could not be provided.
    pub shortfall: Vec<Shortfall>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It goes on.
    Forward(Applied),
    /// It is refused.
    Refuse(Refusal),
}

impl Service {
    /// The function in front of an element.
    pub fn new(next_hop: NextHop) -> Self {
        Self {
            next_hop,
            performs: Performs::HEADERS_ONLY,
            is_strict: false,
            removes_id: false,
            without_header: Privacy::default(),
        }
    }

    /// The function of the P-CSCF in front of a UE, for requests that end there (TR 33.941 6.1.2.1;
    /// never for those that a UE originates). The edge toward another network without an agreement
    /// is the same.
    pub fn for_untrusted_ue() -> Self {
        Self::new(NextHop::Untrusted)
    }

    /// The same where the caller can do more.
    #[must_use]
    pub const fn with_performs(mut self, performs: Performs) -> Self {
        self.performs = performs;
        self
    }

    /// Refuses what cannot be provided even where it is not `critical` (RFC 5379 4.3).
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Removes `id` from the Privacy header before an untrusted element, as the prose of RFC 3325
    /// 10.2 says. By default it stays, as its messages F5 and F6 show it.
    #[must_use]
    pub const fn with_id_removed(mut self) -> Self {
        self.removes_id = true;
        self
    }

    /// What is done to a request without a Privacy header: the Spec(T) of the trust domain
    /// (RFC 3324). By default nothing is, and P-Asserted-Identity is kept.
    #[must_use]
    pub fn with_default(mut self, privacy: Privacy) -> Self {
        self.without_header = privacy;
        self
    }

    /// Provides the privacy that an initial or standalone request asks for. Later requests of its
    /// dialog go to [`Service::apply_later`].
    pub fn apply(&self, method: &str, rows: &[Row<'_>]) -> Outcome {
        self.apply_with(method, rows, &Privacy::default())
    }

    /// The same for a later request of the originator in a dialog: what was asked for at first
    /// holds, whether or not this one has a Privacy header (TR 33.941 6.1.2.1).
    pub fn apply_later(&self, dialog: &Dialog, method: &str, rows: &[Row<'_>]) -> Outcome {
        self.apply_with(method, rows, &dialog.asked)
    }

    fn apply_with(&self, method: &str, rows: &[Row<'_>], before: &Privacy) -> Outcome {
        let has_header = rows.iter().any(|row| row.is("Privacy"));
        let privacy_rows = rows.iter().filter(|row| row.is("Privacy")).map(|row| row.value);
        let (privacy, error) = Privacy::read_all(privacy_rows);
        let mut asked = privacy.clone();
        if !has_header && before.is_empty() {
            asked = self.without_header.clone();
        }
        if error.is_some() {
            // It may have been any of these, and hardly "none".
            asked.retain(|level| *level != Level::None);
            asked = asked.with(Level::Id).with(Level::User).with(Level::History);
        }
        let is_unreadable = error.is_some();
        let mut shortfall: Vec<_> = error.map(Shortfall::Unreadable).into_iter().collect();
        // What holds for a dialog holds for all of its messages.
        asked = before.levels().fold(asked, |asked, level| asked.with(level.clone()));
        // "none" of one message does not undo what another one of its dialog asked for.
        let is_none_of_all =
            (privacy.has(&Level::None) || !has_header) && (before.has(&Level::None) || before.is_empty());
        if !is_none_of_all {
            asked.retain(|level| *level != Level::None);
        }
        let is_none = asked.has(&Level::None);
        let is_contradictory = is_none && asked.levels().count() > 1;
        if !is_none {
            let undone = asked.levels().filter(|level| !self.performs(level)).cloned();
            shortfall.extend(undone.map(Shortfall::Level));
        }
        let work = Work { service: self, rows, method, asked: &asked };
        let (mut edits, from) = match work.edits() {
            Ok(found) => found,
            Err(unreadable) => {
                // Without its tag, it cannot be replaced; as it is, it must not pass.
                shortfall.push(unreadable);
                return refused(method, shortfall, true);
            }
        };
        let is_fatal = asked.has(&Level::Critical) || self.is_strict;
        if is_fatal && !shortfall.is_empty() && !method.eq_ignore_ascii_case("CANCEL") {
            return refused(method, shortfall, false);
        }
        if !is_unreadable {
            let ends = work.bookkeeping(privacy, &mut edits);
            if ends {
                work.remove_option_tag(&mut edits);
            }
        }
        edits.sort_by_key(Edit::row);
        let residual = work.residual(&edits);
        let dialog = Dialog::new(asked.clone(), from);
        Outcome::Forward(Applied { edits, shortfall, residual, is_contradictory, dialog })
    }

    /// Whether nothing of a level is left undone here.
    const fn performs(&self, level: &Level) -> bool {
        match level {
            // A trusted element has to do what `id` asks for.
            Level::Id | Level::User | Level::History | Level::Critical | Level::None => true,
            Level::Header => self.performs.header,
            Level::Session => self.performs.session,
            Level::Other(_) => false,
        }
    }
}

fn refused(method: &str, shortfall: Vec<Shortfall>, is_unreadable: bool) -> Outcome {
    let levels = shortfall.iter().filter_map(|one| match one {
        Shortfall::Level(level) => Some(level),
        Shortfall::Unreadable(_) => None,
    });
    let mut reason = Privacy::list(levels, ", ");
    if reason.is_empty() {
        reason.push_str("unreadable header");
    }
    let is_answered = !method.eq_ignore_ascii_case("ACK");
    Outcome::Refuse(Refusal {
        status: is_answered.then_some(if is_unreadable { 400 } else { 500 }),
        reason: alloc::format!("Privacy not available: {reason}"),
        shortfall,
    })
}

/// One request.
struct Work<'a> {
    service: &'a Service,
    rows: &'a [Row<'a>],
    method: &'a str,
    asked: &'a Privacy,
}

impl Work<'_> {
    /// The edits of all headers but Privacy and Proxy-Require, and From as it was if it is hidden.
    fn edits(&self) -> Result<(Vec<Edit>, Option<Box<str>>), Shortfall> {
        let (user, id) = (self.asked.asks(&Level::User), self.asked.asks(&Level::Id));
        let to_untrusted = self.service.next_hop == NextHop::Untrusted;
        let mut edits = Vec::new();
        let mut from = None;
        for (number, row) in self.rows.iter().enumerate() {
            if row.is("From") && user {
                let new = anonymous(row.value).ok_or(Shortfall::Level(Level::User))?;
                if new != row.value {
                    edits.push(Edit::Replace { row: number, value: new.into() });
                    from = Some(row.value.into());
                }
            }
        }
        let is_refer = self.method.eq_ignore_ascii_case("REFER");
        for (number, row) in self.rows.iter().enumerate() {
            let goes = row.is("P-Preferred-Identity")
                || row.is("P-Asserted-Identity") && id && to_untrusted
                || row.is("History-Info") && self.asked.asks(&Level::History)
                || OF_USER.iter().any(|name| row.is(name)) && user
                // What is signed is not what is sent any more.
                || (row.is("Identity") || row.is("Identity-Info")) && from.is_some();
            if goes {
                edits.push(Edit::Remove { row: number });
            } else if row.is("Referred-By") && user && is_refer && row.value != ANONYMOUS {
                edits.push(Edit::Replace { row: number, value: ANONYMOUS.into() });
            }
        }
        Ok((edits, from))
    }

    /// The edits of Privacy: what was performed goes, and with nothing but `critical` left the
    /// whole header does. Returns whether nothing is outstanding.
    fn bookkeeping(&self, mut privacy: Privacy, edits: &mut Vec<Edit>) -> bool {
        if self.asked.has(&Level::None) {
            return false;
        }
        let had = privacy.clone();
        let keeps_id = self.service.next_hop == NextHop::Trusted || !self.service.removes_id;
        privacy.retain(|level| match level {
            Level::Id => keeps_id,
            Level::Critical => true,
            Level::None | Level::User | Level::Header | Level::Session | Level::History | Level::Other(_) => {
                !self.service.performs(level)
            }
        });
        let left_to_others = self.service.next_hop == NextHop::Trusted;
        let is_outstanding =
            |level: &Level| *level != Level::Critical && (*level != Level::Id || left_to_others);
        let ends = !privacy.levels().any(is_outstanding);
        if privacy.levels().all(|level| *level == Level::Critical) {
            privacy.retain(|_| false);
        }
        let numbered = self.rows.iter().enumerate();
        let mut of_privacy = numbered.filter(|(_, row)| row.is("Privacy")).map(|(number, _)| number);
        if privacy != had {
            if !privacy.is_empty()
                && let Some(row) = of_privacy.next()
            {
                edits.push(Edit::Replace { row, value: alloc::format!("{privacy}").into() });
            }
            edits.extend(of_privacy.map(|row| Edit::Remove { row }));
        }
        ends && !had.is_empty()
    }

    /// `privacy` leaves Proxy-Require; other tags stay, and an empty row goes.
    fn remove_option_tag(&self, edits: &mut Vec<Edit>) {
        for (number, row) in self.rows.iter().enumerate().filter(|(_, row)| row.is("Proxy-Require")) {
            let tags = || row.value.split(',').map(str::trim);
            let left: Vec<&str> = tags().filter(|tag| !tag.eq_ignore_ascii_case("privacy")).collect();
            if left.is_empty() {
                edits.push(Edit::Remove { row: number });
            } else if left.len() < tags().count() {
                edits.push(Edit::Replace { row: number, value: left.join(", ").into() });
            }
        }
    }

    /// What still tells who she is.
    fn residual(&self, edits: &[Edit]) -> Vec<Residual> {
        let (id, user) = (self.asked.asks(&Level::Id), self.asked.asks(&Level::User));
        if !id && !user {
            return Vec::new();
        }
        let hidden = self.hidden(edits);
        let mut residual = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let edit = edits.iter().find(|edit| edit.row() == Some(number));
            let value = match edit {
                Some(edit) => edit.value(),
                None => Some(row.value),
            };
            let Some(value) = value else { continue };
            let is_from = row.is("From") && NameAddr::read(value).is_none_or(|from| !from.is_anonymous());
            let is_left = user && LEFT.iter().any(|name| row.is(name));
            if is_from || is_left || hidden.iter().any(|secret| contains(value, secret)) {
                residual.push(Residual::Row(number));
            }
        }
        let has_body = |row: &Row<'_>| {
            row.name.eq_ignore_ascii_case("Content-Type") || row.name.eq_ignore_ascii_case("c")
        };
        if user && self.rows.iter().any(has_body) {
            residual.push(Residual::Body);
        }
        residual
    }

    /// Identities that edits take out: users at hosts, numbers, and names.
    fn hidden(&self, edits: &[Edit]) -> Vec<String> {
        let mut hidden = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let is_identity = ["From", "Referred-By", "P-Asserted-Identity", "P-Preferred-Identity"]
                .iter()
                .any(|name| row.is(name));
            if !is_identity || !edits.iter().any(|edit| edit.row() == Some(number)) {
                continue;
            }
            for one in split_outside_quotes(row.value) {
                let Some(found) = NameAddr::read(one) else { continue };
                if found.is_anonymous() {
                    continue;
                }
                let uri = found.uri.split_once(':').map_or(found.uri, |(_, rest)| rest);
                let user = uri.split([';', '?']).next().unwrap_or_default();
                hidden.push(user.to_ascii_lowercase());
                let name = without_quotes(found.display_name);
                if !name.is_empty() {
                    hidden.push(name.to_ascii_lowercase());
                }
            }
        }
        hidden
    }
}

/// From without who it is: the tag stays, no other parameter does. `None` if it cannot be read.
fn anonymous(from: &str) -> Option<String> {
    Some(match NameAddr::read(from)?.tag {
        Some(tag) => alloc::format!("{ANONYMOUS};tag={tag}"),
        None => ANONYMOUS.into(),
    })
}

/// Whether a secret, in lower case, is in a text.
fn contains(text: &str, secret: &str) -> bool {
    text.to_ascii_lowercase().contains(secret)
}

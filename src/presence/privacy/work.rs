//! The edits of one message, by the levels of privacy that it asks for (RFC 3323 5, RFC 3325 7, RFC
//! 5379 4.1).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::edit::{Edit, OF_USER, Row, by_row};
use super::identity::surplus;
use super::name_addr::{ANONYMOUS, ANONYMOUS_HOST, NameAddr, is_quoted, split_outside_quotes};
use super::outcome::{Residual, Shortfall};
use super::secrets::Secrets;
use super::value::{Level, Privacy};

/// Headers that a function without a B2BUA must leave as they are, and that tell who the user is,
/// or where.
const LEFT: [&str; 12] = [
    "Contact",
    "Call-ID",
    "Via",
    "Record-Route",
    "Route",
    "Authorization",
    "Proxy-Authorization",
    "P-Access-Network-Info",
    "Remote-Party-ID",
    "P-Served-User",
    "Geolocation",
    "Diversion",
];
/// The same for the user that responds.
const LEFT_IN_RESPONSES: [&str; 3] = ["Contact", "Record-Route", "P-Access-Network-Info"];

/// Whether the next element is within the trust domain (RFC 3324).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// It is, and belongs to the same operator: it is told what is charged, too (RFC 7315 4.5).
    OwnDomain,
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

    /// Whether nothing of a level is left undone here.
    pub(super) const fn performs(self, level: &Level) -> bool {
        match level {
            // A trusted element has to do what `id` asks for.
            Level::Id | Level::User | Level::History | Level::Critical | Level::None => true,
            Level::Header => self.header,
            Level::Session => self.session,
            Level::Other(_) => false,
        }
    }
}

/// What is configured, and does not depend on the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) next_hop: NextHop,
    pub(super) performs: Performs,
    pub(super) removes_id: bool,
}

/// One message.
pub(super) struct Work<'a> {
    pub(super) rules: Rules,
    pub(super) rows: &'a [Row<'a>],
    pub(super) message: Message<'a>,
    pub(super) asked: &'a Privacy,
}

/// Its kind.
#[derive(Clone, Copy)]
pub(super) enum Message<'a> {
    /// With the method.
    Request(&'a str),
    Response,
}

impl Work<'_> {
    /// The edits of all headers but Privacy and Proxy-Require, and From as it was if it is hidden.
    pub(super) fn edits(&self) -> Result<(Vec<Edit>, Option<Box<str>>), Shortfall> {
        let asks = |level| self.asked.asks(&level);
        let (user, header) = (asks(Level::User), asks(Level::Header));
        let hides_history = asks(Level::History) || header || asks(Level::Session);
        let is_untrusted = self.rules.next_hop == NextHop::Untrusted;
        let hides_asserted = is_untrusted && (asks(Level::Id) || header);
        let (is_request, is_refer) = match self.message {
            Message::Request(method) => (true, method.eq_ignore_ascii_case("REFER")),
            Message::Response => (false, false),
        };
        let mut edits = Vec::new();
        let mut from = None;
        // In a response, it is the other end's.
        for (number, row) in self.rows.iter().enumerate().filter(|_| is_request && user) {
            if row.is("From") {
                let new = anonymous(row.value).ok_or(Shortfall::Level(Level::User))?;
                if new != row.value {
                    edits.push(Edit::Replace { row: number, value: new.into() });
                    from = Some(row.value.into());
                }
            }
        }
        for (number, row) in self.rows.iter().enumerate() {
            let goes = row.is("P-Preferred-Identity")
                || row.is("P-Asserted-Identity") && hides_asserted
                || row.is("History-Info") && hides_history
                || OF_USER.iter().any(|name| row.is(name)) && user
                || row.is("Server") && user && !is_request
                // What is signed is not what is sent any more.
                || (row.is("Identity") || row.is("Identity-Info")) && from.is_some()
                || row.is("P-Charging-Vector") && is_untrusted
                || row.is("P-Charging-Function-Addresses") && self.rules.next_hop != NextHop::OwnDomain;
            if goes {
                edits.push(Edit::Remove { row: number });
            } else if row.is("Referred-By") && user && is_refer && row.value != ANONYMOUS {
                edits.push(Edit::Replace { row: number, value: ANONYMOUS.into() });
            } else if row.is("Warning") && user && !is_request {
                match without_agents(row.value) {
                    Some(value) if value == row.value => {}
                    Some(value) => edits.push(Edit::Replace { row: number, value: value.into() }),
                    None => edits.push(Edit::Remove { row: number }),
                }
            }
        }
        if !hides_asserted {
            edits.extend(surplus(self.rows, "P-Asserted-Identity"));
        }
        Ok((edits, from))
    }

    /// The edits of Privacy: what was performed goes, and with nothing but `critical` left the
    /// whole header does. If nothing is outstanding, `privacy` leaves Proxy-Require.
    pub(super) fn bookkeeping(&self, mut privacy: Privacy, edits: &mut Vec<Edit>) {
        if self.asked.has(&Level::None) {
            return;
        }
        let had = privacy.clone();
        let keeps_id = self.rules.next_hop != NextHop::Untrusted || !self.rules.removes_id;
        privacy.retain(|level| match level {
            Level::Id => keeps_id,
            Level::Critical => true,
            Level::None | Level::User | Level::Header | Level::Session | Level::History | Level::Other(_) => {
                !self.rules.performs.performs(level)
            }
        });
        let left_to_others = self.rules.next_hop != NextHop::Untrusted;
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
        if ends && !had.is_empty() && matches!(self.message, Message::Request(_)) {
            self.remove_option_tag(edits);
        }
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
    pub(super) fn residual(&self, edits: &[Edit]) -> Vec<Residual> {
        let asks = |level| self.asked.asks(&level);
        let user = asks(Level::User);
        if !asks(Level::Id) && !user && !asks(Level::Header) {
            return Vec::new();
        }
        let (name, left) = match self.message {
            Message::Request(_) => ("From", &LEFT[..]),
            Message::Response => ("To", &LEFT_IN_RESPONSES[..]),
        };
        let of_row = by_row(self.rows.len(), edits);
        let secrets = self.secrets(&of_row);
        let mut residual = Vec::new();
        for (number, (row, edit)) in self.rows.iter().zip(&of_row).enumerate() {
            let value = match edit {
                Some(edit) => edit.value(),
                None => Some(row.value),
            };
            let Some(value) = value else { continue };
            let is_from = row.is(name) && NameAddr::read(value).is_none_or(|from| !from.is_anonymous());
            let is_left = user && (row.is("P-Asserted-Identity") || left.iter().any(|name| row.is(name)))
                // A signature names the caller too (RFC 8225).
                || row.is("Identity");
            if is_from || is_left || secrets.are_in(value) {
                residual.push(Residual::Row(number));
            }
        }
        if user && self.rows.iter().any(|row| row.is("Content-Type")) {
            residual.push(Residual::Body);
        }
        residual
    }

    /// What must not be found in the rows that are left.
    fn secrets(&self, edits: &[Option<&Edit>]) -> Secrets {
        let user = self.asked.asks(&Level::User);
        let mut secrets = Secrets::default();
        for (row, edit) in self.rows.iter().zip(edits) {
            // The name of the end that responds cannot be hidden where its peer knows it.
            let is_own = match self.message {
                Message::Request(_) => {
                    user && ["From", "P-Asserted-Identity", "P-Preferred-Identity"]
                        .iter()
                        .any(|own| row.is(own))
                }
                Message::Response => row.is("To"),
            };
            let is_hidden = edit.is_some()
                && ["From", "Referred-By", "P-Asserted-Identity", "P-Preferred-Identity"]
                    .iter()
                    .any(|name| row.is(name));
            if is_own || is_hidden {
                secrets.add(row.value);
            }
        }
        secrets
    }
}

/// From without who it is: the tag stays, no other parameter does. `None` if it cannot be read.
fn anonymous(from: &str) -> Option<String> {
    Some(match NameAddr::read(from)?.tag {
        Some(tag) => alloc::format!("{ANONYMOUS};tag={tag}"),
        None => ANONYMOUS.into(),
    })
}

/// Warning without the hosts that warn (RFC 3261 20.43): code, agent, text. `None` if it cannot be
/// read.
fn without_agents(value: &str) -> Option<String> {
    let mut all = Vec::new();
    for warning in split_outside_quotes(value) {
        let (code, rest) = warning.trim().split_once(' ')?;
        let (_, text) = rest.trim_start().split_once(' ')?;
        let text = text.trim();
        let is_read = code.len() == 3 && code.bytes().all(|digit| digit.is_ascii_digit()) && is_quoted(text);
        if !is_read {
            return None;
        }
        all.push(alloc::format!("{code} {ANONYMOUS_HOST} {text}"));
    }
    Some(all.join(", "))
}

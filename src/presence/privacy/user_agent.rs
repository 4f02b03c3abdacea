//! What a user agent does for the privacy of its user itself (TR 33.941 8.1.3.1; RFC 3323 4.1).

use alloc::string::String;
use alloc::vec::Vec;

use super::edit::{OF_USER, Row};
use super::name_addr::{ANONYMOUS, NameAddr};
use super::value::{Level, Privacy};

/// A row of a user agent's own request that tells who its user is, and need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// From names the user: [`anonymous_from`] does not (RFC 3323 4.1.1.3).
    From(usize),
    /// Contact must lead to the user agent, and needs no name and no user part for it (4.1.1.2).
    Contact(usize),
    /// Call-ID needs no host (4.1.1.1).
    CallId(usize),
    /// A header that a request can do without (4.1.1).
    Optional(usize),
}

/// From of a user who does not want to be named.
pub fn anonymous_from(tag: &str) -> String {
    alloc::format!("{ANONYMOUS};tag={tag}")
}

/// What a user agent that asks for these levels should change in its request. Only what it does
/// itself is hidden from the first hop; the network hides the rest. Nothing is advised where
/// neither `id`, `user` nor `header` is asked for.
pub fn advice(privacy: &Privacy, rows: &[Row<'_>]) -> Vec<Advice> {
    if ![Level::Id, Level::User, Level::Header].iter().any(|level| privacy.asks(level)) {
        return Vec::new();
    }
    let of = |(number, row): (usize, &Row<'_>)| {
        let read = NameAddr::read(row.value);
        if row.is("From") {
            return read.is_none_or(|from| !from.is_anonymous()).then_some(Advice::From(number));
        }
        if row.is("Contact") {
            let names =
                read.is_none_or(|contact| !contact.display_name.is_empty() || contact.uri.contains('@'));
            return names.then_some(Advice::Contact(number));
        }
        if row.is("Call-ID") {
            return row.value.contains('@').then_some(Advice::CallId(number));
        }
        OF_USER.iter().any(|name| row.is(name)).then_some(Advice::Optional(number))
    };
    rows.iter().enumerate().filter_map(of).collect()
}

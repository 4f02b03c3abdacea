//! Identities that are to be hidden, and texts in which they are found all the same.

use alloc::string::String;
use alloc::vec::Vec;

use super::name_addr::{NameAddr, split_outside_quotes, without_quotes};

/// Identities of a message that are looked for; with more, every row is taken to have one.
const MOST: usize = 32;
/// The digits of a telephone number at least.
const NUMBER: usize = 5;

/// Users at hosts, numbers, and names, in the form in which texts are compared.
#[derive(Default)]
pub(super) struct Secrets {
    texts: Vec<String>,
    /// Digits alone.
    numbers: Vec<String>,
    are_too_many: bool,
}

impl Secrets {
    /// Takes the identities of a row, whether it can be read or not.
    pub(super) fn add(&mut self, value: &str) {
        for one in split_outside_quotes(value) {
            let name = NameAddr::read(one).map_or("", |found| found.display_name);
            let name = without_quotes(name).trim();
            if !name.is_empty() && !name.eq_ignore_ascii_case("anonymous") {
                self.keep(plain(name), false);
            }
        }
        for (start, scheme) in schemes(value) {
            let rest = value.get(start + scheme.len()..).unwrap_or_default();
            let end = rest.find(['>', '"', ' ', ',', '?']).unwrap_or(rest.len());
            let uri = plain(rest.get(..end).unwrap_or_default());
            let (user, host) = uri.split_once('@').unwrap_or((&uri, ""));
            let user = user.split([';', ':']).next().unwrap_or_default();
            let host = host.split([';', ':']).next().unwrap_or_default();
            if host == "anonymous.invalid" || user.is_empty() {
                continue;
            }
            let digits = digits(user);
            let is_number = user.chars().all(|character| "+0123456789-.()".contains(character));
            if is_number && digits.len() >= NUMBER {
                self.keep(digits, true);
            }
            self.keep(if host.is_empty() { user.into() } else { [user, host].join("@") }, false);
        }
    }

    fn keep(&mut self, secret: String, is_number: bool) {
        let list = if is_number { &mut self.numbers } else { &mut self.texts };
        if list.contains(&secret) {
        } else if list.len() < MOST {
            list.push(secret);
        } else {
            self.are_too_many = true;
        }
    }

    /// Whether one of them is in a text, however it is written.
    pub(super) fn are_in(&self, value: &str) -> bool {
        if self.texts.is_empty() && self.numbers.is_empty() {
            return false;
        }
        let text = plain(value);
        self.are_too_many
            || self.texts.iter().any(|secret| text.contains(secret))
            || !self.numbers.is_empty() && {
                let digits = digits(&text);
                self.numbers.iter().any(|number| digits.contains(number))
            }
    }
}

/// Where URIs begin, with their schemes.
fn schemes(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices(':').filter_map(|(colon, _)| {
        let before = text.get(..colon)?;
        let starts = |scheme: &str| {
            let start = colon.checked_sub(scheme.len())?;
            before.get(start..)?.eq_ignore_ascii_case(scheme).then_some(start)
        };
        let start = ["sips", "sip", "tel"].into_iter().find_map(starts)?;
        Some((start, text.get(start..=colon)?))
    })
}

/// In lower case, without escapes (RFC 3261 19.1.2) and passwords.
fn plain(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, others)) = rest.split_first() {
        let escaped = others.first_chunk::<2>().filter(|_| *octet == b'%');
        let digit = |octet: u8| (octet as char).to_digit(16);
        match escaped.and_then(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)) {
            Some(value) => {
                octets.push(value as u8);
                rest = others.get(2..).unwrap_or_default();
            }
            None => {
                octets.push(*octet);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&octets).to_lowercase()
}

/// Digits of numbers, without what is between them to be read (RFC 3966 5.1.1).
fn digits(text: &str) -> String {
    text.chars().filter(|character| !"-.()".contains(*character) && *character != '+').collect()
}

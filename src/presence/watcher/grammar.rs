//! The grammar of challenges and credentials (RFC 7235 2.1, RFC 3261 25.1): schemes, and parameters
//! after them.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::lexer::{Lexer, RawValue};

/// Octets of a row at most.
const MAX_LEN: usize = 8192;
/// Parameters of a challenge at most.
const MAX_PARAMETERS: usize = 64;
/// Octets of a value at most.
const MAX_VALUE: usize = 2048;

/// Why a row of WWW-Authenticate, Authorization, Authentication-Info or their kind for proxies
/// cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// The row is longer than 8192 octets, a value than 2048, or there are more than 64 parameters
    /// or 16 rows.
    #[error("authentication header too long")]
    TooLong,
    /// What is there is neither a scheme nor a parameter.
    #[error("malformed authentication header at octet {0}")]
    Grammar(usize),
    /// A parameter appears twice.
    #[error("duplicate parameter {0}")]
    Duplicate(Box<str>),
    /// A parameter is missing.
    #[error("parameter {0} is missing")]
    Missing(&'static str),
    /// A parameter has a value that it cannot have.
    #[error("parameter {0} is malformed")]
    Value(&'static str),
}

crate::code::codes!(DigestError {
    DigestError::TooLong => "digest-too-long",
    DigestError::Grammar(_) => "digest-grammar",
    DigestError::Duplicate(_) => "digest-duplicate",
    DigestError::Missing(_) => "digest-missing",
    DigestError::Value(_) => "digest-value",
});

/// Parameters by name, without their quotes and escapes.
#[derive(Debug, Default)]
pub(super) struct Parameters<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// A row of parameters alone: Authentication-Info.
    ///
    /// # Errors
    /// [`DigestError`]
    pub(super) fn read(row: &'a str) -> Result<Self, DigestError> {
        let mut items = items(row)?;
        match items.pop() {
            Some((None, parameters)) if items.is_empty() => parameters,
            None => Ok(Self::default()),
            Some(_) => Err(DigestError::Grammar(0)),
        }
    }

    /// The first challenge or the credentials of the scheme Digest in a row; `None` if there are
    /// only others.
    ///
    /// # Errors
    /// [`DigestError`]
    pub(super) fn of_digest(row: &'a str) -> Result<Option<Self>, DigestError> {
        Self::all_of_digest(row)?.into_iter().next().transpose()
    }

    /// All challenges of the scheme Digest in a row: HTTP allows several.
    ///
    /// # Errors
    /// [`DigestError`] for the row; each challenge has its own.
    #[allow(clippy::type_complexity, reason = "a list of results")]
    pub(super) fn all_of_digest(row: &'a str) -> Result<Vec<Result<Self, DigestError>>, DigestError> {
        let is_digest =
            |scheme: Option<&str>| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("digest"));
        let items = items(row)?;
        if let Some((None, parameters)) = items.first() {
            // Parameters without a scheme.
            return match parameters {
                Err(error) => Err(error.clone()),
                Ok(_) => Err(DigestError::Grammar(0)),
            };
        }
        Ok(items
            .into_iter()
            .filter(|(scheme, _)| is_digest(*scheme))
            .map(|(_, parameters)| parameters)
            .collect())
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let found = self.0.iter().position(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(self.0.swap_remove(found).1)
    }

    /// # Errors
    /// [`DigestError::Missing`]
    pub(super) fn need(&mut self, name: &'static str) -> Result<Cow<'a, str>, DigestError> {
        self.take(name).ok_or(DigestError::Missing(name))
    }

    /// A parameter that is `true` or `false`, and else false (RFC 7616 3.3).
    pub(super) fn take_flag(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn add(&mut self, name: &'a str, value: Cow<'a, str>) -> Result<(), DigestError> {
        if value.len() > MAX_VALUE {
            return Err(DigestError::TooLong);
        }
        if self.0.len() >= MAX_PARAMETERS {
            return Err(DigestError::TooLong);
        }
        if self.0.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(DigestError::Duplicate(name.into()));
        }
        self.0.push((name, value));
        Ok(())
    }
}

/// A scheme, and the parameters after it.
type Item<'a> = (Option<&'a str>, Result<Parameters<'a>, DigestError>);

/// Splits a row where a new scheme begins: at a token that no equals sign follows.
fn items(row: &str) -> Result<Vec<Item<'_>>, DigestError> {
    if row.len() > MAX_LEN {
        return Err(DigestError::TooLong);
    }
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut lexer = Lexer::new(row);
    let mut needs_comma = false;
    loop {
        lexer.skip_white();
        let mut had_comma = false;
        while lexer.eat(b',') {
            had_comma = true;
            lexer.skip_white();
        }
        if lexer.at_end() {
            return Ok(items);
        }
        let at = lexer.position();
        let read = if needs_comma && !had_comma {
            Err(DigestError::Grammar(at))
        } else {
            lexer.token().and_then(|name| Ok((name, lexer.value()?))).map_err(|_| DigestError::Grammar(at))
        };
        needs_comma = true;
        match read {
            Ok((scheme, RawValue::Absent)) => {
                items.push((Some(scheme), Ok(Parameters::default())));
                needs_comma = false;
            }
            Ok((name, RawValue::Token(value))) => add(&mut items, name, value.into()),
            Ok((name, RawValue::Quoted(value))) => add(&mut items, name, unescaped(value)),
            Err(error) => {
                // The rest up to the next comma belongs to the item that is broken.
                lexer.skip_item(lexer.position());
                match items.last_mut() {
                    Some((_, parameters)) => *parameters = Err(error),
                    None => items.push((None, Err(error))),
                }
            }
        }
    }
}

fn add<'a>(items: &mut Vec<Item<'a>>, name: &'a str, value: Cow<'a, str>) {
    if items.is_empty() {
        items.push((None, Ok(Parameters::default())));
    }
    if let Some((_, of_scheme)) = items.last_mut()
        && let Ok(parameters) = of_scheme
        && let Err(error) = parameters.add(name, value)
    {
        *of_scheme = Err(error);
    }
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain.into()
}

/// Whether a text can be written as a quoted string: no control character.
pub(super) fn is_quotable(text: &str) -> bool {
    text.len() <= MAX_VALUE && !text.chars().any(char::is_control)
}

/// Writes a list of parameters.
#[derive(Debug)]
pub(super) struct Writer {
    text: String,
    is_first: bool,
}

impl Writer {
    /// After a scheme, or with an empty one.
    pub(super) fn new(scheme: &str) -> Self {
        Self { text: scheme.into(), is_first: true }
    }

    pub(super) fn token(&mut self, name: &str, value: impl core::fmt::Display) -> &mut Self {
        self.separate();
        let _ = write!(self.text, "{name}={value}");
        self
    }

    pub(super) fn quoted(&mut self, name: &str, value: &str) -> &mut Self {
        self.separate();
        self.text.push_str(name);
        self.text.push_str("=\"");
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
        self.text.push('"');
        self
    }

    fn separate(&mut self) {
        self.text.push_str(match (self.is_first, self.text.is_empty()) {
            (true, true) => "",
            (true, false) => " ",
            (false, _) => ", ",
        });
        self.is_first = false;
    }

    pub(super) fn finish(&mut self) -> String {
        core::mem::take(&mut self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(row: &str) -> Vec<(String, Result<String, DigestError>)> {
        let text = |parameters: Parameters<'_>| {
            let list = parameters.0.iter().map(|(name, value)| alloc::format!("{name}:{value}"));
            list.collect::<Vec<_>>().join(" ")
        };
        items(row)
            .unwrap()
            .into_iter()
            .map(|(scheme, of)| (scheme.unwrap_or("-").into(), of.map(text)))
            .collect()
    }

    #[test]
    fn several_challenges_are_in_one_row() {
        let ok = |scheme: &str, text: &str| (scheme.into(), Ok(text.into()));
        for (row, expected) in [
            ("Digest realm=\"a\", nonce=\"b\"", vec![ok("Digest", "realm:a nonce:b")]),
            (
                "Basic realm=\"a, Digest b=c\",DIGEST realm = x , qop=\"auth,auth-int\"",
                vec![ok("Basic", "realm:a, Digest b=c"), ok("DIGEST", "realm:x qop:auth,auth-int")],
            ),
            ("Digest realm=\"a \\\"b\\\\\"", vec![ok("Digest", "realm:a \"b\\")]),
            (",, a=b ,", vec![ok("-", "a:b")]),
            ("", vec![]),
            (
                "Negotiate abc==, Digest a=b",
                vec![("Negotiate".into(), Err(DigestError::Grammar(10))), ok("Digest", "a:b")],
            ),
            ("Digest a=b c=d", vec![("Digest".into(), Err(DigestError::Grammar(11)))]),
            ("Digest a=b, A=c", vec![("Digest".into(), Err(DigestError::Duplicate("A".into())))]),
            ("Digest a=\"b", vec![("Digest".into(), Err(DigestError::Grammar(7)))]),
        ] {
            assert_eq!(read(row), expected, "{row}");
        }
        assert_eq!(items(&"a".repeat(MAX_LEN + 1)).err(), Some(DigestError::TooLong));
        let long = alloc::format!("Digest a={}", "b".repeat(MAX_VALUE + 1));
        assert_eq!(read(&long), [("Digest".into(), Err(DigestError::TooLong))]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut writer = Writer::new("Digest");
        let row = writer.quoted("realm", "a \"b\" \\ c, d").token("nc", "00000001").finish();
        assert_eq!(row, "Digest realm=\"a \\\"b\\\" \\\\ c, d\", nc=00000001");
        assert_eq!(read(&row), [("Digest".into(), Ok("realm:a \"b\" \\ c, d nc:00000001".into()))]);
        assert!(is_quotable("a\"b") && !is_quotable("a\r\nb"));
    }
}

//! The parts of From, To and the like that matter here: the URI, and the tag (RFC 3261 20.10).

/// From of nobody (RFC 3323 4.1.1.3).
pub(super) const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
/// The host of nobody (RFC 3323 4.1.1.3).
pub(super) const ANONYMOUS_HOST: &str = "anonymous.invalid";
const ANONYMOUS_URI: &str = "sip:anonymous@anonymous.invalid";

/// A `name-addr` or `addr-spec` with parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameAddr<'a> {
    /// Without its angle brackets.
    pub(super) uri: &'a str,
    /// Empty where there is none.
    pub(super) display_name: &'a str,
    pub(super) tag: Option<&'a str>,
}

impl<'a> NameAddr<'a> {
    /// `None` if it cannot be read.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (display_name, uri, parameters) = match outside_quotes(text, '<')? {
            Some(open) => {
                let (name, rest) = text.split_at_checked(open)?;
                let (uri, parameters) = rest.strip_prefix('<')?.split_once('>')?;
                (name.trim(), uri, parameters)
            }
            // Without brackets, everything after a semicolon is a parameter of the header.
            None => match text.split_once(';') {
                Some((uri, _)) => ("", uri, text.get(uri.len()..)?),
                None => ("", text, ""),
            },
        };
        let (uri, display_name) = (uri.trim(), display_name);
        let (scheme, rest) = uri.split_once(':')?;
        let is_scheme = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
        if scheme.is_empty()
            || !scheme.bytes().all(is_scheme)
            || rest.is_empty()
            || uri.contains(['<', '"', ' '])
        {
            return None;
        }
        let tag = tag(parameters)?;
        Some(Self { uri, display_name, tag })
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.uri.eq_ignore_ascii_case(ANONYMOUS_URI)
    }
}

/// The tag among parameters, each after a semicolon. The inner value is `None` if there is none,
/// the outer one if they cannot be read.
fn tag(mut parameters: &str) -> Option<Option<&str>> {
    let mut tag = None;
    loop {
        parameters = parameters.trim_start();
        if parameters.is_empty() {
            return Some(tag);
        }
        parameters = parameters.strip_prefix(';')?;
        let end = outside_quotes(parameters, ';')?.unwrap_or(parameters.len());
        let (parameter, rest) = parameters.split_at_checked(end)?;
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("tag") {
            let value = value.trim();
            if value.is_empty() || tag.is_some() || !value.bytes().all(is_token) {
                return None;
            }
            tag = Some(value);
        }
        parameters = rest;
    }
}

/// A character of a token (RFC 3261 25.1).
pub(super) const fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// The URI of a header that has no parameters of its own: without angle brackets, semicolons belong
/// to the URI. `None` if it cannot be read.
pub(super) fn identity_uri(value: &str) -> Option<&str> {
    let whole = value.trim();
    if whole.contains('<') {
        return Some(NameAddr::read(whole)?.uri);
    }
    let uri = NameAddr::read(whole)?.uri;
    let has_parameters_alone = whole.strip_prefix(uri)?.bytes().all(|octet| octet.is_ascii_graphic());
    (has_parameters_alone && !whole.contains('"')).then_some(whole)
}

/// Where a character is first, not counting quoted strings. The inner value is `None` if it is
/// nowhere, the outer one if a quoted string does not end.
fn outside_quotes(text: &str, wanted: char) -> Option<Option<usize>> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if character == wanted && !quoted => return Some(Some(at)),
            _ => {}
        }
    }
    (!quoted).then_some(None)
}

/// Whether a text is one quoted string.
pub(super) fn is_quoted(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let mut escaped = false;
    inner.is_some_and(|inner| {
        inner.chars().all(|character| {
            let is_inner = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            is_inner
        }) && !escaped
    })
}

/// A display name without the quotes around it.
pub(super) fn without_quotes(name: &str) -> &str {
    name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name)
}

/// The parts of a list, by commas that are in neither quotes nor angle brackets.
pub(super) fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    text.split(move |character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => depth += 1,
            '>' if !quoted => depth = depth.saturating_sub(1),
            ',' => return !quoted && depth == 0,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_names_and_tags_are_found_whatever_is_around_them() {
        let read = |text| NameAddr::read(text).map(|found| (found.display_name, found.uri, found.tag));
        for (text, expected) in [
            ("<sip:a@b>;tag=1", Some(("", "sip:a@b", Some("1")))),
            ("sip:a@b;tag=1", Some(("", "sip:a@b", Some("1")))),
            ("sip:a@b", Some(("", "sip:a@b", None))),
            ("Alice <sip:a@b;user=phone> ; x ; TAG = 1", Some(("Alice", "sip:a@b;user=phone", Some("1")))),
            ("\"A <x> \\\" ;\" <tel:+1>;tag=2;y=\";tag=3\"", Some(("\"A <x> \\\" ;\"", "tel:+1", Some("2")))),
            ("<sip:a@b>;tag=1;tag=2", None),
            ("<sip:a@b>;tag", None),
            ("<sip:a@b", None),
            ("\"A <sip:a@b>", None),
            ("<sip:a@b>tag=1", None),
            ("<a>", None),
            ("", None),
            ("<>", None),
            ("sip:", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}

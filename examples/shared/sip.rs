//! As much of SIP as the programs need: a start line, headers in their order, no body.

use std::fmt;

/// A message without its body.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its start line.
    pub start: String,
    headers: Vec<(String, String)>,
}

impl Message {
    /// Reads a message of a text file or of the wire; lines end with LF or CR LF.
    ///
    /// # Errors
    /// A line that is not of SIP.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(|line| line.trim_end_matches('\r'));
        let start = lines.next().filter(|line| line.contains("SIP/2.0")).ok_or("no start line of SIP")?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            match (line.split_once(':'), headers.last_mut()) {
                // A folded line goes on with the header before it.
                (_, Some((_, value))) if line.starts_with([' ', '\t']) => value.push_str(line),
                (Some((name, value)), _) => headers.push((name.trim().into(), value.trim().into())),
                (None, _) => return Err(format!("not a header: {line}")),
            }
        }
        Ok(Self { start: start.into(), headers })
    }

    /// A message without headers.
    pub fn new(start: &str) -> Self {
        Self { start: start.into(), headers: Vec::new() }
    }

    /// The values of all rows of a header, in their order.
    pub fn rows(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the first row of a header; empty without one.
    pub fn first(&self, name: &str) -> &str {
        self.rows(name).first().copied().unwrap_or_default()
    }

    /// Replaces all rows of a header by one, in the place of the first, or adds it in front of
    /// Content-Length.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        let place = self.headers.iter().position(|(known, _)| is(known)).unwrap_or(self.headers.len());
        self.headers.retain(|(known, _)| !is(known));
        self.headers.insert(place.min(self.headers.len()), (name.into(), value.into()));
        self
    }

    /// Removes all rows of a header.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// A parameter of a header in quotes, as CK and IK are carried.
    pub fn quoted<'a>(&'a self, header: &str, parameter: &str) -> Option<&'a str> {
        let value = self.first(header);
        let at = value.find(&format!("{parameter}=\""))? + parameter.len() + 2;
        value.get(at..)?.split('"').next()
    }

    /// The value of a header by its name or its short form (RFC 3261 7.3.3).
    pub fn by_names(&self, name: &str, short: &str) -> &str {
        match self.first(name) {
            "" => self.first(short),
            value => value,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        if self.start.starts_with("SIP/2.0") { None } else { self.start.split(' ').next() }
    }

    /// Takes a parameter in quotes out of a header, so that it goes no further.
    pub fn strip(&mut self, header: &str, parameter: &str) {
        if let Some(secret) = self.quoted(header, parameter) {
            let text = self.first(header).replace(&format!(",{parameter}=\"{secret}\""), "");
            self.set(header, text);
        }
    }

    /// A response that repeats what a response must repeat.
    pub fn answer(&self, status: &str) -> Self {
        let mut response = Self::new(&format!("SIP/2.0 {status}"));
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            response.set(name, self.first(name));
        }
        response.set("Content-Length", "0");
        response
    }
}

/// Whether a line begins a message: a status line begins with the version; a request line is a
/// method, a URI, and the version.
pub fn is_start_line(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["SIP/2.0", status, ..] => status.len() == 3 && status.bytes().all(|octet| octet.is_ascii_digit()),
        [method, _, "SIP/2.0"] => method.bytes().all(|octet| octet.is_ascii_uppercase()),
        _ => false,
    }
}

/// A parameter of a header value, with or without quotes: after the scheme, a comma or a semicolon.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = value;
    while !rest.is_empty() {
        let mut quoted = false;
        let is_end = |c: char| {
            quoted ^= c == '"';
            !quoted && [',', ';'].contains(&c)
        };
        let end = rest.find(is_end).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        if let Some((key, text)) = part.split_once('=') {
            let key = key.split_ascii_whitespace().last().unwrap_or_default();
            if key.eq_ignore_ascii_case(name) {
                return Some(text.trim().trim_matches('"'));
            }
        }
        rest = after.get(1..).unwrap_or_default();
    }
    None
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.start)?;
        for (name, value) in &self.headers {
            write!(f, "{name}: {value}\r\n")?;
        }
        f.write_str("\r\n")
    }
}

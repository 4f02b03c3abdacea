//! As much of SIP as the example needs: a start line, headers in their order, no body.

use std::fmt;

#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) start: String,
    headers: Vec<(String, String)>,
}

impl Message {
    /// Reads a message of a text file or of the wire; lines end with LF or CR LF.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
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

    pub(crate) fn new(start: &str) -> Self {
        Self { start: start.into(), headers: Vec::new() }
    }

    /// The values of all rows of a header, in their order.
    pub(crate) fn rows(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn first(&self, name: &str) -> &str {
        self.rows(name).first().copied().unwrap_or_default()
    }

    /// Replaces all rows of a header by one, in the place of the first, or adds it in front of
    /// Content-Length.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        let place = self.headers.iter().position(|(known, _)| is(known)).unwrap_or(self.headers.len());
        self.headers.retain(|(known, _)| !is(known));
        self.headers.insert(place.min(self.headers.len()), (name.into(), value.into()));
        self
    }

    pub(crate) fn remove(&mut self, name: &str) -> &mut Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// A parameter of a header in quotes, as CK and IK are carried.
    pub(crate) fn quoted<'a>(&'a self, header: &str, parameter: &str) -> Option<&'a str> {
        let value = self.first(header);
        let at = value.find(&format!("{parameter}=\""))? + parameter.len() + 2;
        value.get(at..)?.split('"').next()
    }

    /// Takes a parameter in quotes out of a header, so that it goes no further.
    pub(crate) fn strip(&mut self, header: &str, parameter: &str) {
        if let Some(secret) = self.quoted(header, parameter) {
            let text = self.first(header).replace(&format!(",{parameter}=\"{secret}\""), "");
            self.set(header, text);
        }
    }

    /// A response that repeats what a response must repeat.
    pub(crate) fn answer(&self, status: &str) -> Self {
        let mut response = Self::new(&format!("SIP/2.0 {status}"));
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            response.set(name, self.first(name));
        }
        response.set("Content-Length", "0");
        response
    }
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

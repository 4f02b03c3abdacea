//! SIP messages in text files: a start line, rows, a body.

use ipsec_3gpp::presence::privacy::{Edit, Row};

pub(crate) struct Message {
    pub(crate) start: String,
    rows: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Message {
    /// Lines end with LF or CR LF; folded ones go on with the row before.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.replace("\r\n", "\n");
        let (head, body) = text.trim_start().split_once("\n\n").unwrap_or((text.trim_start(), ""));
        let mut lines = head.lines();
        let start = lines.next().filter(|line| line.contains("SIP/2.0")).ok_or("no start line of SIP")?;
        let mut rows: Vec<(String, String)> = Vec::new();
        for line in lines {
            match (line.split_once(':'), rows.last_mut()) {
                (_, Some((_, value))) if line.starts_with([' ', '\t']) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                (Some((name, value)), _) if !name.trim().is_empty() => {
                    rows.push((name.trim().into(), value.trim().into()));
                }
                _ => return Err(format!("not a header: {line}")),
            }
        }
        Ok(Self { start: start.trim_end().into(), rows, body: body.into() })
    }

    /// Method and Request-URI.
    pub(crate) fn request(&self) -> Result<(&str, &str), String> {
        let mut words = self.start.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(method), Some(uri), Some("SIP/2.0"), None) => Ok((method, uri)),
            _ => Err(format!("not a request: {}", self.start)),
        }
    }

    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        self.rows.iter().map(|(name, value)| Row::new(name, value)).collect()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let of_name = self.rows.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// Replaces all rows of a header.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.rows.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self.add(name, value);
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.rows.push((name.into(), value.into()));
    }

    /// Prints the rows, as they are and as the edits make them, and makes the edits.
    pub(crate) fn edit(&mut self, edits: &[Edit]) {
        let rows = std::mem::take(&mut self.rows);
        for (number, (name, value)) in rows.into_iter().enumerate() {
            let edit = edits.iter().find(|edit| edit.row() == Some(number));
            match edit.map(Edit::value) {
                None => println!("    {name}: {}", printable(&value)),
                Some(_) => println!("  - {name}: {}", printable(&value)),
            }
            match edit.map(Edit::value) {
                None => self.rows.push((name, value)),
                Some(None) => {}
                Some(Some(new)) => {
                    println!("  + {name}: {}", printable(new));
                    self.rows.push((name, new.into()));
                }
            }
        }
        for edit in edits {
            if let Edit::Add { name, value } = edit {
                println!("  + {name}: {}", printable(value));
                self.rows.push(((*name).into(), (**value).into()));
            }
        }
    }
}

/// Without control characters, which a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}

//! Finds the three headers in SIP messages and header lines.

use ipsec_3gpp::sec_agree::{SecurityClient, SecurityServer, SecurityVerify};
use ipsec_3gpp_tools::sip::is_start_line;

/// The rows of one header of one message.
pub(crate) struct Header {
    pub(crate) name: &'static str,
    pub(crate) rows: Vec<String>,
}

const NAMES: [&str; 3] = [SecurityClient::NAME, SecurityServer::NAME, SecurityVerify::NAME];

/// The headers of all messages and blocks of header lines, in order.
pub(crate) fn headers(text: &str) -> Vec<Header> {
    let mut found = Vec::new();
    // From this header on, rows are of the message that is being read.
    let mut start_of_message = 0;
    let mut in_body = false;
    let mut is_message = false;
    // A folded line continues the row before it, if that is of a header that is wanted.
    let mut continues = false;
    for line in text.lines() {
        let line = line.trim_end();
        if is_start_line(line) {
            (start_of_message, in_body, is_message, continues) = (found.len(), false, true, false);
        } else if in_body {
            continue;
        } else if line.is_empty() {
            // After the headers of a message comes its body, after header lines the next ones.
            (start_of_message, in_body, is_message, continues) = (found.len(), is_message, false, false);
        } else if line.starts_with([' ', '\t']) && (is_message || continues) {
            if let Some(row) = found.last_mut().filter(|_| continues).and_then(last_row) {
                row.push(' ');
                row.push_str(line.trim_start());
            }
        } else {
            let (name, value) = match name_of(line) {
                Some((name, value)) => {
                    (NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name)), value)
                }
                None => (Some(SecurityClient::NAME), line),
            };
            continues = name.is_some() && value.len() < line.len();
            let Some(name) = name else { continue };
            let of_message = found.get_mut(start_of_message..).unwrap_or_default();
            match of_message.iter_mut().position(|header: &mut Header| header.name == name) {
                Some(index) => {
                    // The last header stays the one that a folded line continues.
                    let mut header = found.remove(start_of_message + index);
                    header.rows.push(value.trim().to_owned());
                    found.push(header);
                }
                None => found.push(Header { name, rows: vec![value.trim().to_owned()] }),
            }
        }
    }
    found
}

fn last_row(header: &mut Header) -> Option<&mut String> {
    header.rows.last_mut()
}

/// The name of a header and its value, if the line has a name: a token, and a colon.
fn name_of(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end();
    let is_token = !name.is_empty()
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet));
    is_token.then_some((name, value))
}

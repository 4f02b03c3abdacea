//! Splits a header value into items and parameters: commas, semicolons, white space, quoted
//! strings.
//!
//! Nothing is interpreted here, and nothing is copied.

use crate::impossible::part;

/// Reads one header value from front to back.
#[derive(Clone, Copy)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A parameter's value as it is in the text.
#[derive(Clone, Copy)]
pub(crate) enum RawValue<'a> {
    /// `;name` alone.
    Absent,
    /// `;name=token`
    Token(&'a str),
    /// `;name="text"`, without the quotes, escapes as they stand.
    Quoted(&'a str),
}

/// An error in the grammar of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl<'a> Lexer<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// The text from an earlier position up to here, without white space around it.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        let text = part(self.text, start..self.at);
        // A line break is white space at the end of a row; before a comma it is what is wrong.
        let text = if self.at_end() { text.trim_end_matches(is_white) } else { text };
        text.trim_matches([' ', '\t'])
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn skip_white(&mut self) {
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' => self.at += 1,
                // A line break is white space only where the line goes on (RFC 3261 7.3.1), or at
                // the very end.
                b'\r' | b'\n' => {
                    let rest = part(self.text, self.at..).trim_start_matches(['\r', '\n']);
                    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
                        return;
                    }
                    self.at = self.text.len() - rest.len();
                }
                _ => return,
            }
        }
    }

    /// Passes over `octet` if it comes next.
    pub(crate) fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    /// A token of RFC 3261 25.1, at least one character.
    pub(crate) fn token(&mut self) -> Result<&'a str, Broken> {
        self.take(TOKEN)
    }

    /// From here up to what ends a parameter, to be shown.
    pub(crate) fn rest_of_parameter(&self) -> &'a str {
        let rest = part(self.text, self.at..);
        rest.split([';', ',']).next().unwrap_or_default().trim_matches(is_white)
    }

    /// The part after a parameter's name: nothing, or an equals sign and a value that ends where a
    /// value can. On an error the position is where the value begins.
    pub(crate) fn value(&mut self) -> Result<RawValue<'a>, Broken> {
        self.skip_white();
        if !self.eat(b'=') {
            return Ok(RawValue::Absent);
        }
        self.skip_white();
        let start = self.at;
        if !self.eat(b'"') {
            // generic-param also allows a host, so `[` `]` and `:` of an IPv6 reference may stand
            // here.
            let text = self.take(TOKEN | HOST)?;
            let ends = self.peek().is_none_or(|octet| matches!(octet, b';' | b',') || is_white(octet.into()));
            if !ends {
                self.at = start;
                return Err(Broken);
            }
            return Ok(RawValue::Token(text));
        }
        if self.quoted_rest().is_err() {
            self.at = start;
            return Err(Broken);
        }
        Ok(RawValue::Quoted(part(self.text, start + 1..self.at - 1)))
    }

    /// Passes over characters of these kinds, at least one.
    #[inline]
    fn take(&mut self, kinds: u8) -> Result<&'a str, Broken> {
        let rest = part(self.text.as_bytes(), self.at..);
        let len = rest.iter().position(|octet| kind(*octet) & kinds == 0).unwrap_or(rest.len());
        let start = self.at;
        self.at += len;
        if len == 0 { Err(Broken) } else { Ok(part(self.text, start..self.at)) }
    }

    /// Passes over a quoted string whose opening quote has been read.
    fn quoted_rest(&mut self) -> Result<(), Broken> {
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'"' => return Ok(()),
                // No control character but HTAB (RFC 3261 25.1), and no line break above all.
                0..=8 | 10..=31 | 127 => return Err(Broken),
                b'\\' => {
                    // Nor does an escape let a line break through.
                    if self.peek().is_none_or(|octet| octet != b'\t' && octet.is_ascii_control()) {
                        return Err(Broken);
                    }
                    // The escaped character may be of several octets; only its first can look like
                    // a quote.
                    self.at += 1;
                }
                _ => {}
            }
        }
        Err(Broken)
    }

    /// Goes back to where an item of the list began and passes over all of it, up to a comma that
    /// is outside quotes or to the end.
    pub(crate) fn skip_item(&mut self, start: usize) {
        self.at = start;
        // A quote that nothing closes is a character like another: the items after the next
        // comma stay usable. Looked for once, so that a text full of quotes costs no more than its
        // length.
        let mut quotes_close = true;
        while let Some(octet) = self.peek() {
            match octet {
                b',' => return,
                b'"' if quotes_close => {
                    self.at += 1;
                    let after_quote = self.at;
                    if self.quoted_rest().is_err() {
                        self.at = after_quote;
                        quotes_close = false;
                    }
                }
                _ => self.at += 1,
            }
        }
    }
}

/// SP, HTAB, and the CR LF of a folded line (LWS of RFC 3261 25.1).
const fn is_white(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// A character of a token (RFC 3261 25.1).
const TOKEN: u8 = 1;
/// A character of a host that is not one of a token.
const HOST: u8 = 2;

/// The classes of each octet: a table, because every octet of every list is looked up.
#[inline]
fn kind(octet: u8) -> u8 {
    static KINDS: [u8; 256] = {
        let mut kinds = [0; 256];
        let mut rest: &mut [u8] = &mut kinds;
        let mut octet = 0_u8;
        while let Some((kind, others)) = rest.split_first_mut() {
            *kind = match octet {
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~' => TOKEN,
                b'[' | b']' | b':' => HOST,
                _ if octet.is_ascii_alphanumeric() => TOKEN,
                _ => 0,
            };
            octet = octet.wrapping_add(1);
            rest = others;
        }
        kinds
    };
    KINDS.get(usize::from(octet)).copied().unwrap_or(0)
}

//! The credentials of a request: Authorization and Proxy-Authorization (RFC 7616 3.4).

use alloc::borrow::Cow;
use alloc::string::String;

use subtle::ConstantTimeEq;

use super::account::Account;
use super::algorithm::{Algorithm, Digest};
use super::grammar::{DigestError, Parameters};
use super::response::{Parts, Qop};

/// Credentials of the scheme Digest, as they are in a request. Nothing is verified yet.
#[derive(Debug)]
pub struct Credentials<'a> {
    pub(super) user: User<'a>,
    pub(super) realm: Cow<'a, str>,
    pub(super) nonce: Cow<'a, str>,
    pub(super) uri: Cow<'a, str>,
    pub(super) response: Cow<'a, str>,
    /// `None`: one that is not known.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) cnonce: Cow<'a, str>,
    nc_text: Cow<'a, str>,
    pub(super) count: Option<(u32, Qop)>,
    auts: Option<Cow<'a, str>>,
}

/// The user of credentials, to look her [`Account`] up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum User<'a> {
    /// The user name.
    Name(Cow<'a, str>),
    /// The hash of it, in hexadecimal digits ([`userhash`](super::userhash)).
    Hashed(Cow<'a, str>),
}

impl<'a> Credentials<'a> {
    /// The credentials of a realm among the rows of Authorization (or Proxy-Authorization), of
    /// which at most 16 are read; `None` if there are none. Other schemes and realms are passed
    /// over.
    ///
    /// # Errors
    /// [`DigestError`]: a 400, and nothing is accepted.
    pub fn find(rows: impl IntoIterator<Item = &'a str>, realm: &str) -> Result<Option<Self>, DigestError> {
        /// More rows than realms on the way of a request.
        const MOST: usize = 16;
        for (number, row) in rows.into_iter().enumerate() {
            if number >= MOST {
                return Err(DigestError::TooLong);
            }
            if let Some(mut parameters) = Parameters::of_digest(row)? {
                let of_row = parameters.need("realm")?;
                if of_row == realm {
                    return Self::read(parameters, of_row).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn read(mut parameters: Parameters<'a>, realm: Cow<'a, str>) -> Result<Self, DigestError> {
        let is_hashed = parameters.take_flag("userhash");
        let user = match (parameters.take("username"), parameters.take("username*")) {
            (Some(name), None) if is_hashed => User::Hashed(name),
            (Some(name), None) => User::Name(name),
            (None, Some(name)) if !is_hashed => {
                User::Name(decoded(&name).ok_or(DigestError::Value("username*"))?.into())
            }
            (None, None) => return Err(DigestError::Missing("username")),
            _ => return Err(DigestError::Value("username*")),
        };
        let qop = parameters.take("qop");
        let count = match &qop {
            Some(qop) => {
                let qop = Qop::from_token(qop).ok_or(DigestError::Value("qop"))?;
                let nc = parameters.need("nc")?;
                let is_hex = nc.len() == 8 && nc.bytes().all(|digit| digit.is_ascii_hexdigit());
                let number = u32::from_str_radix(&nc, 16).ok().filter(|number| is_hex && *number > 0);
                Some((number.ok_or(DigestError::Value("nc"))?, qop, nc))
            }
            None => None,
        };
        let cnonce = if count.is_some() { parameters.need("cnonce")? } else { Cow::default() };
        if count.is_some() && cnonce.is_empty() {
            return Err(DigestError::Value("cnonce"));
        }
        let nc_text = count.as_ref().map_or_else(Cow::default, |(_, _, text)| text.clone());
        Ok(Self {
            user,
            realm,
            nonce: parameters.need("nonce")?,
            uri: parameters.need("uri")?,
            response: parameters.need("response")?,
            algorithm: match parameters.take("algorithm") {
                Some(token) => Algorithm::from_token(&token),
                None => Some(Algorithm::Md5),
            },
            cnonce,
            nc_text,
            count: count.map(|(number, qop, _)| (number, qop)),
            auts: parameters.take("auts"),
        })
    }

    /// The user.
    pub const fn user(&self) -> &User<'a> {
        &self.user
    }

    /// The nonce: at a server of AKA it says which vector the response belongs to.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// AUTS of AKA in base64: the sequence number is out of step, and the response was made with an
    /// empty password (RFC 3310 3.4). Another vector is due, and nobody is authenticated.
    pub fn auts(&self) -> Option<&str> {
        self.auts.as_deref()
    }

    /// The nonce count as it was written; empty if there is none.
    pub(super) fn nc(&self) -> &str {
        &self.nc_text
    }

    pub(super) const fn is_hashed(&self) -> bool {
        matches!(self.user, User::Hashed(_))
    }

    pub(super) fn parts(&self, algorithm: Algorithm) -> Parts<'_> {
        let counted = self.count.map(|(_, qop)| (&*self.nc_text, &*self.cnonce, qop));
        Parts { algorithm, nonce: &self.nonce, counted, uri: &self.uri }
    }

    /// Whether the response is this digest.
    pub(super) fn responds(&self, algorithm: Algorithm, digest: &Digest) -> bool {
        let given = Digest::from_hex(algorithm.hash(), &self.response);
        given.is_some_and(|given| given.ct_eq(digest).into())
    }

    /// Whether the user is the one of an account.
    pub(super) fn is_of(&self, account: &Account, algorithm: Algorithm) -> bool {
        match &self.user {
            User::Name(name) => *name == account.user(),
            User::Hashed(hex) => {
                let hash = algorithm.hash();
                let expected = hash.of(&[account.user().as_bytes(), self.realm.as_bytes()]);
                Digest::from_hex(hash, hex).is_some_and(|given| given.ct_eq(&expected).into())
            }
        }
    }
}

/// The text of an extended value: `UTF-8''J%C3%A4s` (RFC 5987 3.2).
fn decoded(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _, text) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let mut octets = alloc::vec::Vec::new();
    let mut pieces = text.split('%');
    octets.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        octets.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(octets).ok()
}

/// The extended value of a text.
pub(super) fn encoded(text: &str) -> String {
    use core::fmt::Write as _;
    let mut value = String::from("UTF-8''");
    for octet in text.bytes() {
        // attr-char, of RFC 5987
        if octet.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&octet) {
            value.push(char::from(octet));
        } else {
            let _ = write!(value, "%{octet:02X}");
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_ascii_have_a_form_of_their_own() {
        for name in ["J\u{e4}s\u{f8}n Doe", "a", "", "%'\"", "\u{1f600}"] {
            assert_eq!(decoded(&encoded(name)).as_deref(), Some(name));
        }
        assert_eq!(encoded("J\u{e4}s\u{f8}n Doe"), "UTF-8''J%C3%A4s%C3%B8n%20Doe");
        for bad in ["x", "UTF-8'x", "latin1''x", "UTF-8''%", "UTF-8''%+1", "UTF-8''%ff", "UTF-8''%4"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}

//! Challenges: WWW-Authenticate and Proxy-Authenticate (RFC 7616 3.3, RFC 8760).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};

use super::algorithm::Algorithm;
use super::grammar::{DigestError, Parameters, Writer};
use super::response::Qop;

/// A challenge of the scheme Digest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// Of the accounts.
    pub realm: Box<str>,
    /// Octets that only this challenge has.
    pub nonce: Box<str>,
    /// Returned by the client as it is.
    pub opaque: Option<Box<str>>,
    /// `None`: one that is not known.
    pub algorithm: Option<Algorithm>,
    /// In the order of the server; empty if there is no parameter (RFC 2069).
    pub qops: Vec<Qop>,
    /// The credentials were right, and the nonce is no longer good.
    pub is_stale: bool,
    /// The server takes hashed user names.
    pub takes_userhash: bool,
}

impl Challenge {
    /// All challenges of the scheme Digest in the rows of WWW-Authenticate, in their order.
    ///
    /// # Errors
    /// Each that cannot be read has its [`DigestError`]; the others can be used.
    pub fn read_all<'a>(rows: impl IntoIterator<Item = &'a str>) -> Vec<Result<Self, DigestError>> {
        let of_row = |row| match Parameters::all_of_digest(row) {
            Ok(all) => all.into_iter().map(|parameters| parameters.and_then(Self::read)).collect(),
            Err(error) => alloc::vec![Err(error)],
        };
        rows.into_iter().flat_map(of_row).collect()
    }

    fn read(mut parameters: Parameters<'_>) -> Result<Self, DigestError> {
        let qops = match parameters.take("qop") {
            // Values that are not known are passed over.
            Some(list) => {
                let qops: Vec<_> = list.split(',').filter_map(Qop::from_token).collect();
                if qops.is_empty() { Err(DigestError::Value("qop")) } else { Ok(qops) }
            }
            None => Ok(Vec::new()),
        };
        Ok(Self {
            realm: parameters.need("realm")?.into(),
            nonce: parameters.need("nonce")?.into(),
            opaque: parameters.take("opaque").map(Into::into),
            algorithm: match parameters.take("algorithm") {
                Some(token) => Algorithm::from_token(&token),
                None => Some(Algorithm::Md5),
            },
            qops: qops?,
            is_stale: parameters.take_flag("stale"),
            takes_userhash: parameters.take_flag("userhash"),
        })
    }

    /// RAND and AUTN of AKA, with which the UE asks its ISIM (RFC 3310 3.2); `None` if the nonce is
    /// none of AKA.
    pub fn rand_autn(&self) -> Option<([u8; 16], [u8; 16])> {
        let octets = Base64::decode_vec(&self.nonce).ok()?;
        let (rand, rest) = octets.split_first_chunk()?;
        Some((*rand, *rest.first_chunk()?))
    }

    /// The value of a row.
    pub(super) fn write(&self) -> String {
        let mut writer = Writer::new("Digest");
        writer.quoted("realm", &self.realm).quoted("nonce", &self.nonce);
        if let Some(opaque) = &self.opaque {
            writer.quoted("opaque", opaque);
        }
        if let Some(algorithm) = self.algorithm {
            writer.token("algorithm", algorithm.token());
        }
        let qops: Vec<&str> = self.qops.iter().map(|qop| qop.token()).collect();
        if !qops.is_empty() {
            writer.quoted("qop", &qops.join(","));
        }
        if self.is_stale {
            writer.token("stale", "true");
        }
        if self.takes_userhash {
            writer.token("userhash", "true");
        }
        writer.finish()
    }
}

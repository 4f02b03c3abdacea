//! The identity that a P-CSCF asserts of a request of one of its UEs (RFC 3325 5, RFC 5876 4.5;
//! TS 24.229 5.2.6.3).

use alloc::string::String;
use alloc::vec::Vec;

use super::edit::{Edit, Row};
use super::name_addr::{identity_uri, split_outside_quotes};
use crate::registration::normalised_impu;

/// What becomes of a preferred identity that the user has not registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unregistered {
    /// The default identity is asserted.
    #[default]
    Default,
    /// The request is refused with 403.
    Refuse,
}

/// No identity that the UE prefers is registered, or none at all is: the request is refused with
/// 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no preferred identity is registered")]
pub struct NotRegistered;

crate::code::codes!(NotRegistered { NotRegistered => "privacy-not-registered", });

impl NotRegistered {
    /// The status of the response.
    pub const STATUS: u16 = 403;
}

/// Headers that only elements of the trust domain write (RFC 3325 5, RFC 7315 4.5, 4.6), and the
/// one that only the first of them reads.
const OF_TRUST_DOMAIN: [&str; 5] = [
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "P-Called-Party-ID",
    "P-Charging-Vector",
    "P-Charging-Function-Addresses",
];

/// The edits of a message that came from an element that is not trusted, be it a UE or another
/// network: what it asserts is nothing to anybody (RFC 3325 5), what it prefers is not forwarded,
/// and neither is what it says of the party called or of charging.
pub fn distrusted(rows: &[Row<'_>]) -> Vec<Edit> {
    let of_sender = |row: &Row<'_>| OF_TRUST_DOMAIN.iter().any(|name| row.is(name));
    let goes = rows.iter().enumerate().filter(|(_, row)| of_sender(row));
    goes.map(|(row, _)| Edit::Remove { row }).collect()
}

/// The URIs that are expected in a row of rows: one SIP or SIPS URI, and one TEL URI. Others are
/// ignored (RFC 5876 4.5).
#[derive(Default)]
struct Expected {
    has_sip: bool,
    has_tel: bool,
}

impl Expected {
    /// The URI of the next value; `None` if it is ignored.
    fn uri<'a>(&mut self, value: &'a str) -> Option<&'a str> {
        let uri = identity_uri(value)?;
        let is = |scheme: &str| uri.split(':').next().is_some_and(|own| own.eq_ignore_ascii_case(scheme));
        let had = match (is("sip") || is("sips"), is("tel")) {
            (true, _) => &mut self.has_sip,
            (_, true) => &mut self.has_tel,
            _ => return None,
        };
        (!core::mem::replace(had, true)).then_some(uri)
    }
}

/// The edits that remove URIs that are ignored: they are never forwarded.
pub(super) fn surplus(rows: &[Row<'_>], name: &str) -> Vec<Edit> {
    let mut expected = Expected::default();
    let mut edits = Vec::new();
    for (number, row) in rows.iter().enumerate().filter(|(_, row)| row.is(name)) {
        let values = || split_outside_quotes(row.value).map(str::trim);
        let kept: Vec<&str> = values().filter(|value| expected.uri(value).is_some()).collect();
        if kept.is_empty() {
            edits.push(Edit::Remove { row: number });
        } else if kept.len() < values().count() {
            edits.push(Edit::Replace { row: number, value: kept.join(", ").into() });
        }
    }
    edits
}

/// The edits of a request that came over the SAs of a UE: what the UE asserted or preferred goes,
/// and P-Asserted-Identity is the first preferred identity that is registered, or else the first
/// of `impus`, the default one. These are the identities of the contact that the SA belongs to
/// ([`Identity::impus`](crate::registration::Identity::impus)): identity comes from the SA alone.
/// Nothing is asserted in an ACK or a CANCEL.
///
/// # Errors
/// [`NotRegistered`] if that is the policy, or there is no identity at all.
pub fn assert_identity(
    method: &str,
    rows: &[Row<'_>],
    impus: &[&str],
    unregistered: Unregistered,
) -> Result<Vec<Edit>, NotRegistered> {
    let mut edits = distrusted(rows);
    if ["ACK", "CANCEL"].iter().any(|other| method.eq_ignore_ascii_case(other)) {
        return Ok(edits);
    }
    let mut expected = Expected::default();
    let mut prefers = false;
    let mut preferred: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| row.is("P-Preferred-Identity")) {
        prefers = true;
        let uris = split_outside_quotes(row.value).filter_map(|one| expected.uri(one));
        preferred.extend(uris.map(normalised_impu));
    }
    let registered = |wanted: &String| impus.iter().find(|impu| normalised_impu(impu) == *wanted);
    let found = preferred.iter().find_map(registered);
    if found.is_none() && prefers && unregistered == Unregistered::Refuse {
        return Err(NotRegistered);
    }
    let asserted = found.or_else(|| impus.first()).ok_or(NotRegistered)?;
    let uri = identity_uri(asserted).unwrap_or(asserted);
    edits.push(Edit::Add { name: "P-Asserted-Identity", value: alloc::format!("<{uri}>").into() });
    Ok(edits)
}

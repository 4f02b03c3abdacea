//! The identity that a P-CSCF asserts of a request of one of its UEs (RFC 3325 5, RFC 5876 4.5;
//! TS 24.229 5.2.6.3).

use alloc::string::String;
use alloc::vec::Vec;

use super::edit::{Edit, Row};
use super::name_addr::{NameAddr, split_outside_quotes};
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

/// The edits of a message that came from an element that is not trusted, be it a UE or another
/// network: what it asserts is nothing to anybody (RFC 3325 5), and what it prefers is not
/// forwarded.
pub fn distrusted(rows: &[Row<'_>]) -> Vec<Edit> {
    let of_sender = |row: &Row<'_>| row.is("P-Asserted-Identity") || row.is("P-Preferred-Identity");
    let goes = rows.iter().enumerate().filter(|(_, row)| of_sender(row));
    goes.map(|(row, _)| Edit::Remove { row }).collect()
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
    let numbered = || rows.iter().enumerate();
    let mut edits = distrusted(rows);
    if ["ACK", "CANCEL"].iter().any(|other| method.eq_ignore_ascii_case(other)) {
        return Ok(edits);
    }
    let preferred = numbered().filter(|(_, row)| row.is("P-Preferred-Identity"));
    let preferred = preferred.flat_map(|(_, row)| split_outside_quotes(row.value));
    let preferred: Vec<String> = preferred
        .map(|one| NameAddr::read(one).map_or_else(String::new, |found| normalised_impu(found.uri)))
        .collect();
    let registered = |wanted: &String| impus.iter().find(|impu| normalised_impu(impu) == *wanted);
    let found = preferred.iter().find_map(registered);
    if found.is_none() && !preferred.is_empty() && unregistered == Unregistered::Refuse {
        return Err(NotRegistered);
    }
    let asserted = found.or_else(|| impus.first()).ok_or(NotRegistered)?;
    let uri = NameAddr::read(asserted).map_or(*asserted, |found| found.uri);
    edits.push(Edit::Add { name: "P-Asserted-Identity", value: alloc::format!("<{uri}>").into() });
    Ok(edits)
}

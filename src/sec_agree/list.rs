//! The three headers: lists of mechanisms, their limits, and when two of them are equal.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::error::{ListError, MAX_LIST_OCTETS, MAX_MECHANISMS};
use super::mechanism::Mechanism;
use super::quirk::{Quirk, Quirks};
use super::style::Style;
use super::value::Qvalue;
use crate::lexer::Lexer;

/// The mechanisms of one header, in their order: what its rows hold, read as one list (RFC 3261
/// 7.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MechanismList(Vec<Mechanism>);

impl MechanismList {
    /// A list to be emitted.
    ///
    /// # Errors
    /// [`ListError::Empty`] and [`ListError::TooManyMechanisms`].
    pub fn new(mechanisms: Vec<Mechanism>) -> Result<Self, ListError> {
        match mechanisms.len() {
            0 => Err(ListError::Empty),
            1..=MAX_MECHANISMS => Ok(Self(mechanisms)),
            _ => Err(ListError::TooManyMechanisms),
        }
    }

    /// A list built from a policy: never empty, never above the limit.
    pub(crate) const fn of_policy(mechanisms: Vec<Mechanism>) -> Self {
        Self(mechanisms)
    }

    /// Reads the rows of one header, each without the header's name.
    ///
    /// A mechanism that is malformed is an element of the list like the others, and leaves them
    /// usable.
    ///
    /// # Errors
    /// [`ListError`] if there is nothing to read, or more than the limits allow.
    pub fn parse_rows<'a>(rows: impl IntoIterator<Item = &'a str>) -> Result<Self, ListError> {
        let mut mechanisms = Vec::new();
        let mut octets = 0;
        for row in rows {
            octets += row.len();
            if octets > MAX_LIST_OCTETS {
                return Err(ListError::TooLong(octets));
            }
            // At most one more than there are commas.
            let commas = row.bytes().filter(|octet| *octet == b',').count();
            mechanisms.reserve(MAX_MECHANISMS.min(commas + 1));
            let mut lexer = Lexer::new(row);
            lexer.skip_white();
            if lexer.at_end() {
                continue;
            }
            loop {
                if mechanisms.len() == MAX_MECHANISMS {
                    return Err(ListError::TooManyMechanisms);
                }
                lexer.skip_white();
                mechanisms.push(Mechanism::parse(&mut lexer));
                if !lexer.eat(b',') {
                    break;
                }
            }
        }
        if mechanisms.is_empty() { Err(ListError::Empty) } else { Ok(Self(mechanisms)) }
    }

    /// The mechanisms, in their order.
    pub fn mechanisms(&self) -> &[Mechanism] {
        &self.0
    }

    pub(crate) fn into_mechanisms(self) -> Vec<Mechanism> {
        self.0
    }

    /// The indexes of the mechanisms by preference: highest `q` first, equal ones in their order
    /// (RFC 3329 2.3.1).
    /// One without `q` counts as 1.000, the default of SIP.
    pub fn by_preference(&self) -> Vec<usize> {
        let q = |index: &usize| self.0.get(*index).and_then(Mechanism::q).unwrap_or(Qvalue::MAX);
        let mut order = Vec::with_capacity(self.0.len());
        // Lists are short. A stable sort would take 8,000 octets more of flash.
        for index in 0..self.0.len() {
            order.insert(order.partition_point(|before| q(before) >= q(&index)), index);
        }
        order
    }

    /// The list as one row of text.
    pub fn emit(&self, style: &Style) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = style.write_list(&self.0, &mut text);
        text
    }

    /// The first difference between what was issued and what came back (RFC 3329 2.3.1): the same
    /// mechanisms in the same order, each with the same values.
    fn difference(&self, came_back: &Self, tolerated: Quirks) -> Option<Difference> {
        let without_q =
            |echoed: Option<Qvalue>| tolerated.contains(Quirk::VerifyWithoutQ) && echoed.is_none();
        let same = |issued: &Mechanism, echoed: &Mechanism| {
            (issued.q() == echoed.q() || without_q(echoed.q()))
                && match (issued, echoed) {
                    (Mechanism::Ipsec3gpp(issued), Mechanism::Ipsec3gpp(echoed)) => {
                        issued.same_but_for_q(echoed)
                    }
                    (Mechanism::Other(issued), Mechanism::Other(echoed)) => issued.same_but_for_q(echoed),
                    (Mechanism::Malformed(issued), Mechanism::Malformed(echoed)) => {
                        issued.text() == echoed.text()
                    }
                    (Mechanism::Ipsec3gpp(_) | Mechanism::Other(_) | Mechanism::Malformed(_), _) => false,
                }
        };
        let (issued, echoed) = (&self.0, &came_back.0);
        match issued.iter().zip(echoed).position(|(issued, echoed)| !same(issued, echoed)) {
            Some(index) => Some(Difference::Mechanism { index }),
            None if issued.len() == echoed.len() => None,
            None => Some(Difference::Length { issued: issued.len(), came_back: echoed.len() }),
        }
    }
}

/// Where a list that came back differs from the one that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// The mechanism with this index, counted from 0, has another name or other values, or is
    /// elsewhere.
    #[error("mechanism {index} differs from the one that was issued")]
    Mechanism {
        /// The index in both lists.
        index: usize,
    },
    /// One list is longer than the other.
    #[error("{came_back} mechanisms came back, {issued} were issued")]
    Length {
        /// Mechanisms in the list that was issued.
        issued: usize,
        /// Mechanisms in the list that came back.
        came_back: usize,
    },
}

crate::code::codes!(Difference {
    Difference::Mechanism { .. } => "mismatch-mechanism",
    Difference::Length { .. } => "mismatch-length",
});

macro_rules! header {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(MechanismList);

        impl $name {
            /// The header's name.
            pub const NAME: &'static str = $text;

            /// Reads the value of a header that has one row.
            ///
            /// # Errors
            /// [`ListError`] as for [`MechanismList::parse_rows`].
            pub fn parse(value: &str) -> Result<Self, ListError> {
                Self::parse_rows([value])
            }

            /// Reads the values of all rows of the header, in the order of the message.
            ///
            /// # Errors
            /// [`ListError`] as for [`MechanismList::parse_rows`].
            pub fn parse_rows<'a>(rows: impl IntoIterator<Item = &'a str>) -> Result<Self, ListError> {
                MechanismList::parse_rows(rows).map(Self)
            }

            /// The list.
            pub const fn list(&self) -> &MechanismList {
                &self.0
            }

            /// The mechanisms, in their order.
            pub fn mechanisms(&self) -> &[Mechanism] {
                self.0.mechanisms()
            }

            /// The value as one row of text, without the header's name.
            pub fn emit(&self, style: &Style) -> String {
                self.0.emit(style)
            }
        }

        impl From<MechanismList> for $name {
            fn from(list: MechanismList) -> Self {
                Self(list)
            }
        }

        impl fmt::Display for $name {
            /// As [`Style::STANDARD`].
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Style::STANDARD.write_list(self.mechanisms(), f)
            }
        }
    };
}

header! {
    /// Security-Client: what the UE offers, in SM1 and again in SM7.
    SecurityClient, "Security-Client"
}
header! {
    /// Security-Server: the P-CSCF's list, in SM6.
    SecurityServer, "Security-Server"
}
header! {
    /// Security-Verify: Security-Server as the UE got it, in SM7 and the requests after it.
    SecurityVerify, "Security-Verify"
}

impl SecurityServer {
    /// Compares a Security-Verify with this list, value by value and in order (RFC 3329 2.3.1).
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn check_verify(&self, verify: &SecurityVerify, tolerated: Quirks) -> Result<(), Difference> {
        self.0.difference(&verify.0, tolerated).map_or(Ok(()), Err)
    }
}

impl SecurityClient {
    /// Compares the Security-Client of SM7 with this one of SM1, value by value and in order (TS
    /// 33.203 Annex H).
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn check_repeated(&self, repeated: &SecurityClient) -> Result<(), Difference> {
        self.0.difference(&repeated.0, Quirks::NONE).map_or(Ok(()), Err)
    }
}

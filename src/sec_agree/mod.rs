//! The header values of security agreement (RFC 3329, TS 33.203 Annex H): text to values and back.
//!
//! A header is a list of mechanisms. Each is parsed into a value of its own, so nothing leaks from
//! one offer into the next, and one that is malformed leaves the others usable:
//!
//! ```
//! use ipsec_3gpp::sec_agree::{Mechanism, SecurityClient};
//! let header = SecurityClient::parse(
//!     "tls;q=0.2, ipsec-3gpp;alg=hmac-sha-1-96;spi-c=0;spi-s=9;port-c=5;port-s=6, \
//!      IPSEC-3GPP; alg = hmac-sha-1-96; ealg = aes-cbc; \
//!      spi-c=1001; spi-s=1002; port-c=6101; port-s=6100",
//! )?;
//! let [Mechanism::Other(tls), Mechanism::Malformed(zero), Mechanism::Ipsec3gpp(offer)] =
//!     header.mechanisms()
//! else {
//!     unreachable!()
//! };
//! assert_eq!(tls.name(), "tls");
//! assert_eq!(zero.error().to_string(), "spi-c: 0 is not an SPI");
//! assert_eq!(offer.suite()?.to_string(), "hmac-sha-1-96+aes-cbc");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A deviation from Annex H that may be tolerated is a [`Quirk`] with a name; what is emitted
//! follows a [`Style`].

mod error;
mod list;
mod mechanism;
mod quirk;
mod reader;
mod style;
mod value;

pub use error::{
    Incomplete, ListError, MAX_LIST_OCTETS, MAX_MECHANISMS, MAX_PARAMETERS, MechanismError, ParameterName,
    Problem,
};
pub use list::{Difference, MechanismList, SecurityClient, SecurityServer, SecurityVerify};
pub use mechanism::{Ipsec3gpp, Malformed, Mechanism, Other};
pub use quirk::{Quirk, Quirks};
pub use style::{Field, QvalueFormat, Style};
pub use value::{Mode, Name, Parameter, Protocol, Qvalue, Value};

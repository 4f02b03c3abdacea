//! What the presence security architecture asks for beside security associations (3GPP TR 33.941,
//! in its draft 0.5.0: 6.1.2, 6.1.3 and 8.1.3, 8.1.4): pure functions of headers, keys and time,
//! without a SIP parser.
//!
//! # Pseudonyms
//!
//! A pseudonym (6.1.2.2, 8.1.3.2) is an IMPU like any other: it is registered, preferred
//! (P-Preferred-Identity) and asserted like any other, and all rules for IMPUs hold for it. Nothing
//! here treats it specially. The subscriber is responsible for not revealing that pseudonym and
//! identity are one, and some of it is out of her hands: a REGISTER in clear has the IMPI beside
//! the IMPU, so that whoever sees the air interface without encryption relates all IMPUs of one
//! IMPI, and so does the Contact, which is the same for all of them.

pub mod privacy;
pub mod watcher;

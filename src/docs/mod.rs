//! Pages of documentation.
//!
//! | page | for whom |
//! |---|---|
//! | [`duties`] | who embeds the library: what it does not do, and the caller must |
//! | [`fragments`] | who carries ESP in user space: MTU, MSS, fragments, ICMP |
//! | [`conformance`] | who compares it with the standards: versions, choices, deviations |
//! | [`error_codes`] | who logs or counts errors, or calls from another language |
//! | [`glossary`] | who does not know IMS |

#[doc = include_str!("duties.md")]
pub mod duties {}

#[doc = include_str!("fragments.md")]
pub mod fragments {}

#[doc = include_str!("conformance.md")]
pub mod conformance {}

#[doc = include_str!("error_codes.md")]
pub mod error_codes {}

#[doc = include_str!("glossary.md")]
pub mod glossary {}

#[cfg(doctest)]
mod misuse;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use crate::address::AddressError;
    use crate::algorithm::UnknownAlgorithm;
    use crate::esp::{IpError, PacketError, TrailerError};
    use crate::export::xfrm::{KernelError, KernelWindowError, ReplyError};
    use crate::fragments::{FragmentError, ReassemblyError};
    use crate::key::KeyError;
    use crate::negotiation::Refusal;
    use crate::negotiation::pcscf::{Sm6MakeError, Sm7Error};
    use crate::negotiation::ue::{OfferError, Sm6Error};
    use crate::policy::{PolicyError, Reason};
    use crate::registration::{
        BadChallenge, BeginError, ChallengeError, ChallengeFailure, ConfigError, ConfirmError, Discard, Gone,
        IdentityError, InUse, NoProcedure, NoSa, Quota, RegisterError, SuccessError,
    };
    use crate::sa::{InstallError, OpenError, ReplayError, SealError, SetError, WindowError};
    use crate::sec_agree::{Difference, Incomplete, ListError, MechanismError, Problem};
    use crate::setup::{PortError, SetupError};
    use crate::spi::{ReservedSpi, SpiSpaceError, SpisExhausted};

    #[test]
    fn every_code_is_on_the_page_and_nothing_else_is() {
        let codes: Vec<&str> = [
            AddressError::CODES,
            UnknownAlgorithm::CODES,
            IpError::CODES,
            PacketError::CODES,
            TrailerError::CODES,
            FragmentError::CODES,
            ReassemblyError::CODES,
            KeyError::CODES,
            Refusal::CODES,
            Sm6MakeError::CODES,
            Sm7Error::CODES,
            OfferError::CODES,
            Sm6Error::CODES,
            PolicyError::CODES,
            Reason::CODES,
            BadChallenge::CODES,
            BeginError::CODES,
            ChallengeError::<()>::CODES,
            ChallengeFailure::<()>::CODES,
            ConfigError::CODES,
            ConfirmError::<()>::CODES,
            Discard::CODES,
            Gone::CODES,
            IdentityError::CODES,
            InUse::CODES,
            NoProcedure::CODES,
            NoSa::CODES,
            Quota::CODES,
            RegisterError::CODES,
            SuccessError::<()>::CODES,
            InstallError::CODES,
            OpenError::CODES,
            ReplayError::CODES,
            SealError::CODES,
            SetError::CODES,
            WindowError::CODES,
            Difference::CODES,
            Incomplete::CODES,
            ListError::CODES,
            MechanismError::CODES,
            Problem::CODES,
            PortError::CODES,
            SetupError::CODES,
            ReservedSpi::CODES,
            SpiSpaceError::CODES,
            SpisExhausted::CODES,
            KernelError::<()>::CODES,
            KernelWindowError::CODES,
            ReplyError::CODES,
            #[cfg(feature = "presence")]
            crate::presence::privacy::PrivacyError::CODES,
            #[cfg(feature = "presence")]
            crate::presence::privacy::NotRegistered::CODES,
            #[cfg(feature = "presence")]
            crate::presence::watcher::ClientError::CODES,
            #[cfg(feature = "presence")]
            crate::presence::watcher::DigestError::CODES,
            #[cfg(feature = "presence")]
            crate::presence::watcher::Ha1Error::CODES,
            #[cfg(feature = "presence")]
            crate::presence::watcher::ServerError::CODES,
            #[cfg(feature = "presence")]
            crate::presence::watcher::Unverified::CODES,
        ]
        .concat();
        let page = include_str!("error_codes.md");
        let listed: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        #[cfg(not(feature = "presence"))]
        let listed: Vec<&str> = {
            let of_feature = |code: &&str| code.starts_with("privacy-") || code.starts_with("digest-");
            listed.into_iter().filter(|code| !of_feature(code)).collect()
        };
        let unique: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(unique.len(), listed.len(), "a code is listed twice");
        assert_eq!(codes.iter().copied().collect::<BTreeSet<_>>(), unique);
        // Two errors share a code only where they are one at both ends.
        let shared = codes.iter().filter(|code| codes.iter().filter(|other| other == code).count() > 1);
        assert_eq!(
            shared.copied().collect::<BTreeSet<_>>(),
            BTreeSet::from(["challenge-data-path", "challenge-sm7"])
        );
        let kebab = |code: &&str| {
            code.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
        };
        assert!(codes.iter().all(kebab));
    }
}

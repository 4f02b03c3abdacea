//! The suites that one side is willing to use, and the choice that follows from a peer's list.

use alloc::vec::Vec;
use core::fmt;

use crate::algorithm::Suite;
use crate::impossible::part;
use crate::sec_agree::{
    Incomplete, Ipsec3gpp, MAX_MECHANISMS, Mechanism, MechanismError, MechanismList, Quirk, Quirks, Qvalue,
    SecurityClient, SecurityServer,
};
use crate::setup::Setup;

/// Who protects confidentiality on Gm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confidentiality {
    /// A registration without encryption is refused.
    Required,
    /// Encryption is used where the peer offers it, and its algorithms are listed even to a peer
    /// that offers none, which is the defence against bidding down (TS 33.203 7.2).
    Offered,
    /// The access network encrypts: no encryption algorithm is listed or used.
    LeftToAccess,
}

/// The suites of one side in the order of their priority, whether confidentiality is required, and
/// which deviations of peers are tolerated.
///
/// ```
/// use ipsec_3gpp::{Confidentiality, Policy, Suite};
/// let suites = [Suite::HMAC_SHA_1_96_AES_CBC, Suite::HMAC_SHA_1_96_NULL];
/// let policy = Policy::new(&suites, Confidentiality::Offered)?;
/// assert_eq!(policy.suites(), suites);
/// # Ok::<(), ipsec_3gpp::policy::PolicyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Policy {
    /// The first `len` count. No allocation: each negotiation keeps the policy that it began with.
    suites: [Suite; Suite::ALL.len()],
    len: usize,
    confidentiality: Confidentiality,
    tolerated: Quirks,
    server_list: ServerList,
    client_order: ClientOrder,
    /// Mechanisms of other kinds, for Security-Server. Empty for nearly everybody: no allocation.
    others: Vec<Mechanism>,
}

/// What a P-CSCF lists in the Security-Server of SM6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerList {
    /// Every suite of the policy (TS 33.203 7.2).
    #[default]
    Whole,
    /// The chosen suite alone, as most networks do.
    ///
    /// It halves the defence against bidding down. With the whole list, the UE sees which better
    /// suites the P-CSCF has, and SM7 shows both sides what the other one got. Alone, only the
    /// Security-Client that SM7 repeats tells that somebody took suites out of SM1: it is compared
    /// in any case, and a UE that repeats what the network wants to hear instead of what it sent
    /// is without defence.
    ChosenAlone,
}

/// The order in which a UE lists its suites in Security-Client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientOrder {
    /// The most wanted first.
    #[default]
    BestFirst,
    /// The most wanted last: for P-CSCFs that take the last one they can use. Kamailio does, so
    /// that of six suites, the best first, it takes hmac-md5-96 without encryption.
    BestLast,
}

/// A policy that contradicts itself: the configuration's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No suite is listed.
    #[error("policy without a suite")]
    Empty,
    /// A suite is listed twice.
    #[error("{0} is listed twice")]
    Duplicate(Suite),
    /// A suite without encryption is listed above one with it (TS 33.203 7.2: Release 6 before
    /// Release 5).
    #[error("{without}, without encryption, is listed above {with}")]
    NullAboveEncryption {
        /// The suite without encryption.
        without: Suite,
        /// The suite with encryption that is listed below it.
        with: Suite,
    },
    /// Confidentiality is required, and a suite without encryption is listed.
    #[error("confidentiality is required, but {0} is listed")]
    NullWhereRequired(Suite),
    /// Confidentiality is left to the access network, and a suite with encryption is listed.
    #[error("confidentiality is left to the access network, but {0} is listed")]
    EncryptionWhereLeftToAccess(Suite),
    /// A mechanism to be listed beside the suites is `ipsec-3gpp` itself, or malformed.
    #[error("mechanism {0} to be listed beside the suites is ipsec-3gpp, or malformed")]
    NotOther(usize),
    /// More mechanisms than a list may have.
    #[error("{0} mechanisms and suites: more than a list may have")]
    TooMany(usize),
    /// Confidentiality is offered, and no suite with encryption is listed.
    #[error("confidentiality is offered, but no suite with encryption is listed")]
    NothingToOffer,
}

crate::code::codes!(PolicyError {
    PolicyError::Empty => "policy-empty",
    PolicyError::Duplicate(_) => "policy-duplicate-suite",
    PolicyError::NullAboveEncryption { .. } => "policy-null-above-encryption",
    PolicyError::NullWhereRequired(_) => "policy-null-where-required",
    PolicyError::EncryptionWhereLeftToAccess(_) => "policy-encryption-where-left-to-access",
    PolicyError::NothingToOffer => "policy-nothing-to-offer",
    PolicyError::NotOther(_) => "policy-not-other",
    PolicyError::TooMany(_) => "policy-too-many-mechanisms",
});

impl Policy {
    /// A policy of suites, the most wanted first, that tolerates [`Quirks::TOLERATED`].
    ///
    /// # Errors
    /// [`PolicyError`] if the list is empty, has a suite twice, ranks one without encryption above
    /// one with it, or contradicts `confidentiality`.
    pub fn new(suites: &[Suite], confidentiality: Confidentiality) -> Result<Self, PolicyError> {
        if suites.is_empty() {
            return Err(PolicyError::Empty);
        }
        let mut without = None;
        for (index, suite) in suites.iter().copied().enumerate() {
            if suites.iter().take(index).any(|above| *above == suite) {
                return Err(PolicyError::Duplicate(suite));
            }
            match (suite.encrypts(), without, confidentiality) {
                (false, _, Confidentiality::Required) => {
                    return Err(PolicyError::NullWhereRequired(suite));
                }
                (true, _, Confidentiality::LeftToAccess) => {
                    return Err(PolicyError::EncryptionWhereLeftToAccess(suite));
                }
                (true, Some(without), _) => {
                    return Err(PolicyError::NullAboveEncryption { without, with: suite });
                }
                (false, None, _) => without = Some(suite),
                (false, Some(_), _) | (true, None, _) => {}
            }
        }
        if confidentiality == Confidentiality::Offered && !suites.iter().any(|suite| suite.encrypts()) {
            return Err(PolicyError::NothingToOffer);
        }
        Ok(Self::preset(suites, confidentiality))
    }

    /// A policy that does not contradict itself.
    fn preset(suites: &[Suite], confidentiality: Confidentiality) -> Self {
        let mut policy = Self {
            suites: Suite::ALL,
            len: suites.len(),
            confidentiality,
            tolerated: Quirks::TOLERATED,
            server_list: ServerList::default(),
            client_order: ClientOrder::default(),
            others: Vec::new(),
        };
        // No suite is listed twice, so there are no more than there is room for.
        policy.suites.iter_mut().zip(suites).for_each(|(to, from)| *to = *from);
        policy
    }

    /// Integrity alone, as Release 5 has it; the access network encrypts. It gives up
    /// confidentiality on Gm, and hmac-md5-96 is removed in Release 13.
    pub fn release_5() -> Self {
        Self::preset(
            &[
                Suite::HMAC_SHA_1_96_NULL,
                #[cfg(feature = "hmac-md5-96")]
                Suite::HMAC_MD5_96_NULL,
            ],
            Confidentiality::LeftToAccess,
        )
    }

    /// The suites of Releases 6 to 12, encryption preferred. What it gives up: a UE that offers no
    /// encryption gets none, and des-ede3-cbc and hmac-md5-96 are removed in Release 13. A UE of
    /// that release that offers aes-gcm or aes-gmac alone is refused.
    pub fn release_6() -> Self {
        Self::preset(
            &[
                Suite::HMAC_SHA_1_96_AES_CBC,
                #[cfg(feature = "hmac-md5-96")]
                Suite::HMAC_MD5_96_AES_CBC,
                #[cfg(feature = "des-ede3-cbc")]
                Suite::HMAC_SHA_1_96_DES_EDE3_CBC,
                #[cfg(all(feature = "hmac-md5-96", feature = "des-ede3-cbc"))]
                Suite::HMAC_MD5_96_DES_EDE3_CBC,
                Suite::HMAC_SHA_1_96_NULL,
                #[cfg(feature = "hmac-md5-96")]
                Suite::HMAC_MD5_96_NULL,
            ],
            Confidentiality::Offered,
        )
    }

    /// The suites of Release 13 and later, aes-gcm first. What it gives up: phones that offer
    /// hmac-md5-96 or des-ede3-cbc alone are refused, and a UE that offers no encryption gets none.
    /// Release 17 does not recommend aes-cbc and hmac-sha-1-96 any more, and has them.
    pub fn release_13() -> Self {
        Self::preset(
            &[
                #[cfg(feature = "aes-gcm")]
                Suite::AES_GCM,
                Suite::HMAC_SHA_1_96_AES_CBC,
                #[cfg(feature = "aes-gcm")]
                Suite::AES_GMAC,
                Suite::HMAC_SHA_1_96_NULL,
            ],
            Confidentiality::Offered,
        )
    }

    /// Everything that this build has, the strongest first: for interoperability. What it gives up:
    /// a UE that offers nothing but a legacy algorithm gets it.
    pub fn interoperable() -> Self {
        Self::preset(
            &[
                #[cfg(feature = "aes-gcm")]
                Suite::AES_GCM,
                Suite::HMAC_SHA_1_96_AES_CBC,
                #[cfg(feature = "hmac-md5-96")]
                Suite::HMAC_MD5_96_AES_CBC,
                #[cfg(feature = "des-ede3-cbc")]
                Suite::HMAC_SHA_1_96_DES_EDE3_CBC,
                #[cfg(all(feature = "hmac-md5-96", feature = "des-ede3-cbc"))]
                Suite::HMAC_MD5_96_DES_EDE3_CBC,
                #[cfg(feature = "aes-gcm")]
                Suite::AES_GMAC,
                Suite::HMAC_SHA_1_96_NULL,
                #[cfg(feature = "hmac-md5-96")]
                Suite::HMAC_MD5_96_NULL,
            ],
            Confidentiality::Offered,
        )
    }

    /// The same policy with another set of tolerated quirks.
    #[must_use]
    pub fn with_tolerated(self, quirks: Quirks) -> Self {
        Self { tolerated: quirks, ..self }
    }

    /// The same policy with another list in SM6.
    #[must_use]
    pub fn with_server_list(self, server_list: ServerList) -> Self {
        Self { server_list, ..self }
    }

    /// The same policy with another order in SM1.
    #[must_use]
    pub fn with_client_order(self, client_order: ClientOrder) -> Self {
        Self { client_order, ..self }
    }

    /// The same policy with mechanisms of other kinds after the suites of Security-Server:
    /// `mediasec` ones (TS 24.229 7.2A.7), `tls`, `digest`. They are issued, and compared when
    /// SM7 echoes them; never chosen.
    ///
    /// ```
    /// use ipsec_3gpp::sec_agree::MechanismList;
    /// # use ipsec_3gpp::{Confidentiality, Policy, Suite};
    /// # let suites = [Suite::HMAC_SHA_1_96_NULL];
    /// # let policy = Policy::new(&suites, Confidentiality::LeftToAccess)?;
    /// let policy = policy.with_others(MechanismList::parse_rows(["sdes-srtp;mediasec"])?)?;
    /// assert!(policy.refusal_list().to_string().ends_with(", sdes-srtp;mediasec"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PolicyError::NotOther`] and [`PolicyError::TooMany`].
    pub fn with_others(self, others: MechanismList) -> Result<Self, PolicyError> {
        let others = others.into_mechanisms();
        match others.iter().position(|mechanism| !matches!(mechanism, Mechanism::Other(_))) {
            Some(index) => Err(PolicyError::NotOther(index)),
            None if others.len() + self.len > MAX_MECHANISMS => {
                Err(PolicyError::TooMany(others.len() + self.len))
            }
            None => Ok(Self { others, ..self }),
        }
    }

    /// The suites, the most wanted first.
    pub fn suites(&self) -> &[Suite] {
        part(&self.suites, ..self.len)
    }

    /// Who protects confidentiality.
    pub const fn confidentiality(&self) -> Confidentiality {
        self.confidentiality
    }

    /// The quirks that a peer may show.
    pub const fn tolerated(&self) -> Quirks {
        self.tolerated
    }

    /// The P-CSCF's choice: the first suite of its own list that the UE offers (TS 33.203 7.2).
    pub fn select_for(&self, client: &SecurityClient) -> Selection {
        self.select(client.list(), Quirks::NONE, |offers| {
            let index = |suite: &Suite| offers.iter().position(|offer| offer.suite() == Some(*suite));
            self.suites().iter().find_map(index)
        })
    }

    /// The UE's choice: the first combination of Security-Server, by `q` and then in order, that it
    /// supports (TS 33.203 7.2, RFC 3329 2.3.1).
    pub fn select_from(&self, server: &SecurityServer) -> Selection {
        self.select(server.list(), Quirks::NONE.with(Quirk::AbsentQ), |offers| {
            let suite = |index: &usize| offers.get(*index).and_then(OfferVerdict::suite);
            let supported = |index: &usize| suite(index).is_some_and(|suite| self.suites().contains(&suite));
            server.list().by_preference().into_iter().find(supported)
        })
    }

    fn select(
        &self,
        list: &MechanismList,
        quirks: Quirks,
        best: impl FnOnce(&[OfferVerdict]) -> Option<usize>,
    ) -> Selection {
        let mut offers: Vec<_> = list.mechanisms().iter().map(|offer| self.judge(offer, quirks)).collect();
        let chosen = best(&offers).and_then(|index| match offers.get(index) {
            Some(OfferVerdict::Usable { suite, setup }) => {
                Some(Choice { suite: *suite, setup: *setup, index })
            }
            Some(OfferVerdict::PassedOver(_)) | None => None,
        });
        // The SPIs and ports of what was chosen are those of the whole list; where nothing was, of
        // the first.
        let first = || {
            offers.iter().find_map(|offer| match offer {
                OfferVerdict::Usable { setup, .. } => Some(*setup),
                OfferVerdict::PassedOver(_) => None,
            })
        };
        let of_list = chosen.map(|choice| choice.setup).or_else(first);
        for offer in &mut offers {
            if let OfferVerdict::Usable { suite, setup } = *offer {
                if Some(setup) != of_list {
                    *offer = OfferVerdict::PassedOver(Reason::OtherSetup(suite));
                } else if !self.suites().contains(&suite) {
                    *offer = OfferVerdict::PassedOver(Reason::NotInPolicy(suite));
                }
            }
        }
        let verdict = |suite: Suite| {
            let names_it = |mechanism: &Mechanism| match mechanism {
                Mechanism::Ipsec3gpp(offer) => offer.suite() == Ok(suite),
                Mechanism::Other(_) | Mechanism::Malformed(_) => false,
            };
            match chosen {
                Some(choice) if choice.suite == suite => SuiteVerdict::Chosen { index: choice.index },
                _ if offers.iter().any(|offer| offer.suite() == Some(suite)) => SuiteVerdict::Below,
                _ => match list.mechanisms().iter().position(names_it) {
                    Some(index) => SuiteVerdict::Unusable { index },
                    None => SuiteVerdict::NotOffered,
                },
            }
        };
        let suites = self.suites().iter().map(|suite| (*suite, verdict(*suite))).collect();
        Selection { chosen, offers, suites }
    }

    /// The verdict on one mechanism, the rest of its list and the policy's own suites left
    /// aside.
    fn judge(&self, mechanism: &Mechanism, also: Quirks) -> OfferVerdict {
        match mechanism {
            Mechanism::Ipsec3gpp(offer) => {
                let mut quirks = offer.quirks();
                if also.contains(Quirk::AbsentQ) && offer.q.is_none() {
                    quirks = quirks.with(Quirk::AbsentQ);
                }
                self.usable(offer, quirks)
            }
            Mechanism::Other(_) => OfferVerdict::PassedOver(Reason::OtherMechanism),
            Mechanism::Malformed(malformed) => {
                OfferVerdict::PassedOver(Reason::Malformed(malformed.error().clone()))
            }
        }
    }

    fn usable(&self, offer: &Ipsec3gpp, quirks: Quirks) -> OfferVerdict {
        let complete = || Ok((offer.suite()?, offer.setup()?));
        match complete() {
            Err(incomplete) => OfferVerdict::PassedOver(Reason::Incomplete(incomplete)),
            Ok((suite, setup)) => match quirks.except(self.tolerated).iter().next() {
                Some(quirk) => OfferVerdict::PassedOver(Reason::Quirk(quirk)),
                None if setup.spis.client == setup.spis.server => OfferVerdict::PassedOver(Reason::EqualSpis),
                None => OfferVerdict::Usable { suite, setup },
            },
        }
    }

    /// The P-CSCF's own list for SM6: every suite of the policy, whatever the UE offered, with one
    /// pair of SPIs and ports, and `q` strictly descending from 0.9 so that "first" and
    /// "highest `q`" are the same; then the mechanisms of other kinds.
    pub fn server_list(&self, setup: Setup) -> SecurityServer {
        self.own_list(Some(setup), None).into()
    }

    /// The list for the SM6 that follows a choice: [`Policy::server_list`], or with
    /// [`ServerList::ChosenAlone`] without the suites that were not chosen.
    pub fn sm6_list(&self, setup: Setup, chosen: Suite) -> SecurityServer {
        let alone = match self.server_list {
            ServerList::Whole => None,
            ServerList::ChosenAlone => Some(chosen),
        };
        self.own_list(Some(setup), alone).into()
    }

    /// The UE's own list for SM1: every suite of the policy with one pair of SPIs and ports,
    /// without `q` (RFC 3329 2.3.1), in the order of [`ClientOrder`].
    pub fn client_list(&self, setup: Setup) -> SecurityClient {
        let mechanism = |suite: &Suite| Mechanism::Ipsec3gpp(Ipsec3gpp::new(*suite, Some(setup), None));
        let mechanisms = match self.client_order {
            ClientOrder::BestFirst => self.suites().iter().map(mechanism).collect(),
            ClientOrder::BestLast => self.suites().iter().rev().map(mechanism).collect(),
        };
        MechanismList::of_policy(mechanisms).into()
    }

    /// The list for a refusal, 421 or 494 (RFC 3329 2.3.1): what this side could use, without SPIs
    /// and ports, since nothing was set up.
    pub fn refusal_list(&self) -> SecurityServer {
        self.own_list(None, None).into()
    }

    fn own_list(&self, setup: Option<Setup>, alone: Option<Suite>) -> MechanismList {
        let suites = self.suites().iter().filter(|suite| alone.is_none_or(|alone| alone == **suite));
        let suites = suites.zip(descending_q()).map(|(suite, q)| Ipsec3gpp::new(*suite, setup, q));
        let others = self.others.iter().cloned();
        MechanismList::of_policy(suites.map(Mechanism::Ipsec3gpp).chain(others).collect())
    }
}

/// 0.9, 0.8, ...: more values than there are suites.
fn descending_q() -> impl Iterator<Item = Option<Qvalue>> {
    (1..=9).rev().map(|tenths| Qvalue::from_thousandths(tenths * 100))
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("suites", &self.suites())
            .field("confidentiality", &self.confidentiality)
            .field("tolerated", &self.tolerated)
            .field("server_list", &self.server_list)
            .field("client_order", &self.client_order)
            .field("others", &self.others)
            .finish()
    }
}

/// A choice and the reasons for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    chosen: Option<Choice>,
    offers: Vec<OfferVerdict>,
    suites: Vec<(Suite, SuiteVerdict)>,
}

/// The choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The suite.
    pub suite: Suite,
    /// The peer's SPIs and ports.
    pub setup: Setup,
    /// The index of the mechanism in the peer's list, counted from 0.
    pub index: usize,
}

/// The verdict of a policy on one mechanism of the peer's list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfferVerdict {
    /// It could be chosen.
    Usable {
        /// The suite that it offers.
        suite: Suite,
        /// Its SPIs and ports.
        setup: Setup,
    },
    /// It could not.
    PassedOver(Reason),
}

impl OfferVerdict {
    fn suite(&self) -> Option<Suite> {
        match self {
            OfferVerdict::Usable { suite, .. } => Some(*suite),
            OfferVerdict::PassedOver(_) => None,
        }
    }
}

/// Why a mechanism of the peer's list could not be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It is tls, digest, or another mechanism that is not `ipsec-3gpp`.
    #[error("not ipsec-3gpp")]
    OtherMechanism,
    /// It is malformed.
    #[error("{0}")]
    Malformed(MechanismError),
    /// It lacks what an offer needs, or asks for what this crate has not.
    #[error("{0}")]
    Incomplete(Incomplete),
    /// It deviates in a way that the policy does not tolerate.
    #[error("{0} is not tolerated")]
    Quirk(Quirk),
    /// Both SPIs are the same: the two SAs could not be distinguished.
    #[error("spi-c and spi-s are the same")]
    EqualSpis,
    /// It offers this suite, but its SPIs or ports are not those of the one that was chosen (TS
    /// 33.203 7.1: one pair for the whole list).
    #[error("its SPIs or ports differ from those of the rest of the list")]
    OtherSetup(Suite),
    /// The policy does not list its suite.
    #[error("{0} is not in the policy")]
    NotInPolicy(Suite),
}

crate::code::codes!(Reason {
    Reason::OtherMechanism => "offer-other-mechanism",
    Reason::Quirk(_) => "offer-quirk",
    Reason::EqualSpis => "offer-equal-spis",
    Reason::OtherSetup(_) => "offer-other-setup",
    Reason::NotInPolicy(_) => "offer-not-in-policy",
    ;
    Reason::Malformed(error) => error,
    Reason::Incomplete(error) => error,
});

/// The verdict on one suite of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuiteVerdict {
    /// It was chosen.
    Chosen {
        /// The index of the mechanism in the peer's list, counted from 0.
        index: usize,
    },
    /// One that is preferred to it was chosen.
    Below,
    /// The peer offered it in a form that could not be used; [`Selection::offers`] has the reason.
    Unusable {
        /// The index of the mechanism in the peer's list, counted from 0.
        index: usize,
    },
    /// The peer did not offer it.
    NotOffered,
}

impl fmt::Display for SuiteVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SuiteVerdict::Chosen { index } => write!(f, "chosen, offered as mechanism {index}"),
            SuiteVerdict::Below => f.write_str("offered, but a suite of higher priority was chosen"),
            SuiteVerdict::Unusable { index } => write!(f, "unusable as offered by mechanism {index}"),
            SuiteVerdict::NotOffered => f.write_str("not offered"),
        }
    }
}

impl fmt::Display for Selection {
    /// What was chosen, or why each mechanism was passed over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(choice) = &self.chosen {
            return write!(f, "mechanism {}: {}", choice.index, choice.suite);
        }
        for (index, offer) in self.offers.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            match offer {
                OfferVerdict::PassedOver(reason) => write!(f, "{separator}mechanism {index}: {reason}")?,
                OfferVerdict::Usable { suite, .. } => write!(f, "{separator}mechanism {index}: {suite}")?,
            }
        }
        Ok(())
    }
}

impl Selection {
    /// The choice; `None` if nothing could be chosen.
    pub const fn chosen(&self) -> Option<&Choice> {
        self.chosen.as_ref()
    }

    /// The verdict on each mechanism of the peer's list, in the peer's order.
    pub fn offers(&self) -> &[OfferVerdict] {
        &self.offers
    }

    /// The verdict on each suite of the policy, in the policy's order.
    pub fn suites(&self) -> &[(Suite, SuiteVerdict)] {
        &self.suites
    }

    /// Whether any `ipsec-3gpp` with SPIs, ports and known algorithms was in the list, so that a
    /// failure is one of policy and not of form.
    pub fn any_complete(&self) -> bool {
        self.offers.iter().any(|offer| match offer {
            OfferVerdict::Usable { .. }
            | OfferVerdict::PassedOver(Reason::NotInPolicy(_) | Reason::OtherSetup(_)) => true,
            OfferVerdict::PassedOver(_) => false,
        })
    }

    /// Whether any complete mechanism of the list has encryption.
    pub fn any_encryption(&self) -> bool {
        self.offers.iter().any(|offer| match offer {
            OfferVerdict::Usable { suite, .. }
            | OfferVerdict::PassedOver(Reason::NotInPolicy(suite) | Reason::OtherSetup(suite)) => {
                suite.encrypts()
            }
            OfferVerdict::PassedOver(_) => false,
        })
    }
}

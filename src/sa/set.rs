//! The four SAs of one set-up (TS 33.203 7.1): who they join, which ports and SPIs they have.

use alloc::boxed::Box;
use core::fmt;
use core::net::IpAddr;

use super::selector::{Ports, Selector};
use crate::algorithm::Suite;
use crate::key::SaKeys;
use crate::setup::Port;
use crate::setup::Setup;
use crate::spi::Spi;

/// One end of the Gm interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The user equipment.
    Ue,
    /// The proxy call session control function.
    Pcscf,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Ue => "UE",
            Side::Pcscf => "P-CSCF",
        })
    }
}

/// One end of a set: its address, and the SPIs and ports that it announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address in the IP headers of the first REGISTER.
    pub address: IpAddr,
    /// The SPIs of the SAs inbound here, and the protected ports.
    pub setup: Setup,
}

/// The four SAs of a set, by the ports that they join.
///
/// | name | direction | source port | destination port | SPI | used by |
/// |---|---|---|---|---|---|
/// | `UeClientToPcscfServer` | UE to P-CSCF | port_uc | port_ps | spi_ps | UDP; the UE's TCP |
/// | `PcscfServerToUeClient` | P-CSCF to UE | port_ps | port_uc | spi_uc | the UE's TCP |
/// | `PcscfClientToUeServer` | P-CSCF to UE | port_pc | port_us | spi_us | UDP; the P-CSCF's TCP |
/// | `UeServerToPcscfClient` | UE to P-CSCF | port_us | port_pc | spi_pc | the P-CSCF's TCP |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaName {
    /// From port_uc to port_ps, with spi_ps.
    UeClientToPcscfServer,
    /// From port_ps to port_uc, with spi_uc.
    PcscfServerToUeClient,
    /// From port_pc to port_us, with spi_us.
    PcscfClientToUeServer,
    /// From port_us to port_pc, with spi_pc.
    UeServerToPcscfClient,
}

impl SaName {
    /// The four, in the order of the table above.
    pub const ALL: [SaName; 4] = [
        SaName::UeClientToPcscfServer,
        SaName::PcscfServerToUeClient,
        SaName::PcscfClientToUeServer,
        SaName::UeServerToPcscfClient,
    ];

    /// The two that one side receives over, and the two that it sends over.
    pub const fn of(side: Side) -> ([SaName; 2], [SaName; 2]) {
        let to_pcscf = [SaName::UeClientToPcscfServer, SaName::UeServerToPcscfClient];
        let to_ue = [SaName::PcscfServerToUeClient, SaName::PcscfClientToUeServer];
        match side {
            Side::Pcscf => (to_pcscf, to_ue),
            Side::Ue => (to_ue, to_pcscf),
        }
    }

    /// The end that receives over this SA, and chose its SPI.
    pub const fn receiver(self) -> Side {
        match self {
            SaName::UeClientToPcscfServer | SaName::UeServerToPcscfClient => Side::Pcscf,
            SaName::PcscfServerToUeClient | SaName::PcscfClientToUeServer => Side::Ue,
        }
    }
}

/// One SA of a set, as a data path needs it.
#[derive(Clone, Copy, Debug)]
pub struct SaSpec<'a> {
    /// Its SPI.
    pub spi: Spi,
    /// Its traffic.
    pub selector: Selector,
    /// Its keys, and with them its suite.
    pub keys: &'a SaKeys,
}

/// The two ends of a set: all of its four SAs but the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The UE's end.
    pub ue: Endpoint,
    /// The P-CSCF's end.
    pub pcscf: Endpoint,
    /// The number of the link that link-local addresses are of; 0 for addresses of other kinds.
    pub scope: u32,
}

/// A set of four SAs that were set up together and share their keys.
pub struct SaSet {
    ends: Ends,
    /// Boxed: a set moves from state to state, and a move would leave a copy of the keys unwiped.
    keys: Box<SaKeys>,
}

/// Two ends that cannot form a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// One address is IPv4 and the other IPv6.
    #[error("address families differ: {ue}, {pcscf}")]
    Families {
        /// The UE's address.
        ue: IpAddr,
        /// The P-CSCF's address.
        pcscf: IpAddr,
    },
    /// Two of the four SPIs are the same (TS 33.203 7.1: replies could be reflected).
    #[error("SPI {0} names two SAs of the set")]
    EqualSpis(Spi),
    /// Client and server port are the same at both ends: the selectors of two SAs could not be
    /// distinguished. At one end alone they may be.
    #[error("client and server port are the same at both ends: {ue} and {pcscf}")]
    EqualPorts {
        /// The UE's port.
        ue: Port,
        /// The P-CSCF's port.
        pcscf: Port,
    },
}

crate::code::codes!(SetError {
    SetError::Families { .. } => "set-address-families-differ",
    SetError::EqualSpis(_) => "set-equal-spis",
    SetError::EqualPorts { .. } => "set-equal-ports",
});

impl Ends {
    /// Whether the two ends can form a set.
    ///
    /// # Errors
    /// [`SetError`] if not.
    pub fn check(&self) -> Result<(), SetError> {
        let Self { ue, pcscf, .. } = self;
        if ue.address.is_ipv4() != pcscf.address.is_ipv4() {
            return Err(SetError::Families { ue: ue.address, pcscf: pcscf.address });
        }
        let [uc, us, pc, ps] =
            [ue.setup.spis.client, ue.setup.spis.server, pcscf.setup.spis.client, pcscf.setup.spis.server];
        if uc == us || [pc, ps].contains(&uc) {
            return Err(SetError::EqualSpis(uc));
        }
        if [pc, ps].contains(&us) {
            return Err(SetError::EqualSpis(us));
        }
        if pc == ps {
            return Err(SetError::EqualSpis(pc));
        }
        let (at_ue, at_pcscf) = (ue.setup.ports, pcscf.setup.ports);
        if at_ue.client == at_ue.server && at_pcscf.client == at_pcscf.server {
            return Err(SetError::EqualPorts { ue: at_ue.client, pcscf: at_pcscf.client });
        }
        Ok(())
    }

    /// The SPI and the traffic of one of the four SAs.
    pub const fn sa(&self, name: SaName) -> (Spi, Selector) {
        let Self { ue, pcscf, .. } = self;
        let (spi, from, source, to, destination) = match name {
            SaName::UeClientToPcscfServer => {
                (pcscf.setup.spis.server, ue, ue.setup.ports.client, pcscf, pcscf.setup.ports.server)
            }
            SaName::PcscfServerToUeClient => {
                (ue.setup.spis.client, pcscf, pcscf.setup.ports.server, ue, ue.setup.ports.client)
            }
            SaName::PcscfClientToUeServer => {
                (ue.setup.spis.server, pcscf, pcscf.setup.ports.client, ue, ue.setup.ports.server)
            }
            SaName::UeServerToPcscfClient => {
                (pcscf.setup.spis.client, ue, ue.setup.ports.server, pcscf, pcscf.setup.ports.client)
            }
        };
        let ports = Ports::Exact { source: source.get(), destination: destination.get() };
        (spi, Selector { source: from.address, destination: to.address, ports })
    }

    /// The SPI of the SA inbound at one end that is from one port of the other end to one of its
    /// own.
    pub(crate) fn between(&self, side: Side, source: Port, destination: Port) -> Option<Spi> {
        let (inbound, _) = SaName::of(side);
        let ports = Ports::Exact { source: source.get(), destination: destination.get() };
        inbound.into_iter().map(|name| self.sa(name)).find(|(_, sa)| sa.ports == ports).map(|(spi, _)| spi)
    }

    /// The SA among the four that an SPI names, of those inbound at one end.
    pub fn inbound(&self, side: Side, spi: Spi) -> Option<SaName> {
        let (inbound, _) = SaName::of(side);
        inbound.into_iter().find(|name| self.sa(*name).0 == spi)
    }
}

/// How the SAs that one side sends over relate to those of the sets that it has already.
///
/// A UE that restarts, and a P-CSCF that keeps its client port, announce ports that an older set
/// has. The newer set receives at once, and sends when it is taken into use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Overlap {
    /// No other set has an SA for the same traffic.
    #[default]
    Apart,
    /// Another set has an SA with the same outbound selector. That one goes on sending until the
    /// newer set is taken into use.
    Selectors,
    /// An SA of another set even has the same SPI at the same destination: where SAs are named by
    /// these two, as in a kernel, there is one at a time, and taking the newer set into use
    /// replaces it.
    Spis,
}

impl Ends {
    /// How the SAs that a side sends over in this set relate to those of another set.
    pub fn overlap(&self, other: &Self, side: Side) -> Overlap {
        let (_, outbound) = SaName::of(side);
        let [own, theirs] = [self, other].map(|ends| outbound.map(|name| ends.sa(name)));
        let pairs = own.iter().flat_map(|own| theirs.iter().map(move |theirs| (own, theirs)));
        let overlap = |((spi, selector), (other_spi, other)): (&(Spi, Selector), &(Spi, Selector))| {
            if spi == other_spi && selector.destination == other.destination {
                Overlap::Spis
            } else if selector == other {
                Overlap::Selectors
            } else {
                Overlap::Apart
            }
        };
        pairs.map(overlap).max().unwrap_or_default()
    }
}

impl SaSet {
    /// The set that two ends and the expanded keys make.
    ///
    /// # Errors
    /// [`SetError`] if the ends do not go together.
    pub fn new(ue: Endpoint, pcscf: Endpoint, keys: SaKeys) -> Result<Self, SetError> {
        Self::between(Ends { ue, pcscf, scope: 0 }, keys)
    }

    /// The set that two ends, which may be on a numbered link, and the expanded keys make.
    ///
    /// # Errors
    /// [`SetError`] if the ends do not go together.
    pub fn between(ends: Ends, keys: SaKeys) -> Result<Self, SetError> {
        ends.check()?;
        Ok(Self { ends, keys: Box::new(keys) })
    }

    /// A second copy, for a data path that installs later. Its keys wipe themselves like the first.
    pub(crate) fn duplicate(&self) -> Self {
        Self { ends: self.ends, keys: Box::new(self.keys.duplicate()) }
    }

    /// The suite of all four.
    pub fn suite(&self) -> Suite {
        self.keys.suite()
    }

    /// Both ends.
    pub const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// The keys of all four.
    pub fn keys(&self) -> &SaKeys {
        &self.keys
    }

    /// One of the four.
    pub fn sa(&self, name: SaName) -> SaSpec<'_> {
        let (spi, selector) = self.ends.sa(name);
        SaSpec { spi, selector, keys: &self.keys }
    }

    /// The four, each with its name.
    pub fn sas(&self) -> [(SaName, SaSpec<'_>); 4] {
        SaName::ALL.map(|name| (name, self.sa(name)))
    }
}

impl fmt::Debug for SaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaSet")
            .field("suite", &self.suite())
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

//! The addresses of the two ends of Gm: which of them can have SAs.

use core::net::IpAddr;

/// Addresses that two ends of SAs cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// `0.0.0.0` or `::`: the address of a wildcard socket, not that of a packet.
    #[error("{0} is an unspecified address")]
    Unspecified(IpAddr),
    /// It is a multicast address.
    #[error("{0} is a multicast address")]
    Multicast(IpAddr),
    /// `255.255.255.255`.
    #[error("{0} is a broadcast address")]
    Broadcast(IpAddr),
    /// It is a link-local address, and there is no scope number to say of which link.
    #[error("{0} is a link-local address without a scope")]
    LinkLocal(IpAddr),
    /// One address is IPv4 and the other IPv6.
    #[error("address families differ: {ue}, {pcscf}")]
    Families {
        /// The UE's address.
        ue: IpAddr,
        /// The P-CSCF's address.
        pcscf: IpAddr,
    },
    /// Both ends have the same address: the two directions could not be distinguished.
    #[error("{0} is the address of both ends")]
    Equal(IpAddr),
}

crate::code::codes!(AddressError {
    AddressError::Unspecified(_) => "address-unspecified",
    AddressError::Multicast(_) => "address-multicast",
    AddressError::Broadcast(_) => "address-broadcast",
    AddressError::LinkLocal(_) => "address-link-local",
    AddressError::Families { .. } => "address-families-differ",
    AddressError::Equal(_) => "address-equal",
});

/// The number of the link that an address is of: 0 unless it is a link-local one.
pub(crate) const fn scope(address: IpAddr, scope: u32) -> u32 {
    if is_link_local(address) { scope } else { 0 }
}

const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The two addresses as SAs have them: `::ffff:a.b.c.d`, which a socket for both families reports,
/// is the IPv4 address.
///
/// `scope` is the number of the link, as in `fe80::1%2`; 0 is none.
pub(crate) fn checked(ue: IpAddr, pcscf: IpAddr, scope: u32) -> Result<(IpAddr, IpAddr), AddressError> {
    let (ue, pcscf) = (ue.to_canonical(), pcscf.to_canonical());
    for address in [ue, pcscf] {
        if address.is_unspecified() {
            return Err(AddressError::Unspecified(address));
        }
        if address.is_multicast() {
            return Err(AddressError::Multicast(address));
        }
        if matches!(address, IpAddr::V4(address) if address.is_broadcast()) {
            return Err(AddressError::Broadcast(address));
        }
        if is_link_local(address) && scope == 0 {
            return Err(AddressError::LinkLocal(address));
        }
    }
    if ue.is_ipv4() != pcscf.is_ipv4() {
        return Err(AddressError::Families { ue, pcscf });
    }
    if ue == pcscf { Err(AddressError::Equal(ue)) } else { Ok((ue, pcscf)) }
}

/// The part of an address that one subscriber has: 64 bits of IPv6.
pub(crate) fn subscriber(address: IpAddr) -> [u8; 8] {
    let mut part = [0; 8];
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            // No prefix of IPv6 that is assigned begins like that.
            part = [0xff, 0xff, 0xff, 0xff, a, b, c, d];
        }
        IpAddr::V6(address) => {
            if let Some(prefix) = address.octets().first_chunk() {
                part = *prefix;
            }
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_packet_has_are_refused_with_a_reason() {
        let check = |ue: &str, pcscf: &str, scope| {
            let (ue, pcscf) = (ue.parse().unwrap(), pcscf.parse().unwrap());
            checked(ue, pcscf, scope).map_err(|error| error.code())
        };
        for (ue, pcscf, code) in [
            ("0.0.0.0", "10.0.0.1", "address-unspecified"),
            ("10.0.0.2", "0.0.0.0", "address-unspecified"),
            ("fd00::2", "::", "address-unspecified"),
            ("::ffff:0.0.0.0", "10.0.0.1", "address-unspecified"),
            ("224.0.0.1", "10.0.0.1", "address-multicast"),
            ("fd00::1", "ff02::1", "address-multicast"),
            ("255.255.255.255", "10.0.0.1", "address-broadcast"),
            ("fe80::1", "fe80::2", "address-link-local"),
            ("169.254.1.1", "169.254.1.2", "address-link-local"),
            ("10.0.0.2", "fd00::1", "address-families-differ"),
            ("10.0.0.2", "10.0.0.2", "address-equal"),
            ("10.0.0.2", "::ffff:10.0.0.2", "address-equal"),
        ] {
            assert_eq!(check(ue, pcscf, 0), Err(code), "{ue} {pcscf}");
        }
        assert!(check("fe80::1", "fe80::2", 3).is_ok());
        let mapped = check("::ffff:10.0.0.2", "::ffff:10.0.0.1", 0).unwrap();
        assert_eq!(mapped, ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap()));
    }
}

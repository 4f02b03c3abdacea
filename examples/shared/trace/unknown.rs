//! SAs of which no message tells: found by their ICV.

use std::collections::HashMap;
use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ipsec_3gpp::Suite;
use ipsec_3gpp::algorithm::Encryption;
use ipsec_3gpp::key::SaKeys;
use ipsec_3gpp::sa::{Inbound, Ports, Selector, WindowSize};
use ipsec_3gpp::spi::Spi;

use super::keys::Keys;
use crate::sas::Sa;

/// What has been tried for packets of no SA.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    tried: HashMap<(Spi, IpAddr), (u32, usize)>,
}

/// Packets of one name that are tried with the same keys.
const TRIES: u32 = 16;
/// Names that are remembered.
const NAMES: usize = 100_000;

impl Unknown {
    /// The SA that a packet is of, if its ICV is right with keys that are known, and where they are
    /// from.
    pub(super) fn find(
        &mut self,
        name: (Spi, IpAddr),
        source: IpAddr,
        packet: &[u8],
        keys: &Keys,
    ) -> Option<(Sa, String)> {
        if self.tried.len() >= NAMES {
            self.tried.clear();
        }
        let (tries, known) = self.tried.entry(name).or_default();
        if *known != keys.count() {
            (*tries, *known) = (0, keys.count());
        }
        *tries += 1;
        if *tries > TRIES {
            return None;
        }
        let found = Self::of_keys(name, source, packet, keys);
        if found.is_some() {
            self.tried.remove(&name);
        }
        found
    }

    fn of_keys(name: (Spi, IpAddr), source: IpAddr, packet: &[u8], keys: &Keys) -> Option<(Sa, String)> {
        let selector = Selector { source, destination: name.1, ports: Ports::Any };
        let (mut plausible, mut doubtful) = (None, None);
        for pair in keys.all() {
            // Without encryption last: of what is encrypted, it makes sense by chance.
            let encrypts = Suite::ALL.into_iter().filter(|suite| suite.encrypts());
            let others = Suite::ALL.into_iter().filter(|suite| suite.encryption() == Encryption::Null);
            for suite in encrypts.chain(others) {
                let Ok(keys) = SaKeys::expand(suite, &pair.ck, &pair.ik) else { continue };
                let sa = Sa { spi: name.0, selector, keys };
                let mut buffer = packet.to_vec();
                let mut inbound = Inbound::new(&sa.spec(), WindowSize::default());
                let Ok(opened) = inbound.open_in_place(&mut buffer) else { continue };
                // What was decrypted is proven by its own checksum only.
                let proven = !suite.encrypts() || suite.is_gcm();
                match checksum(buffer.get(opened.range).unwrap_or_default()) {
                    Some(true) => return Some((sa, pair.origin.clone())),
                    _ if !proven => {}
                    Some(false) => doubtful = doubtful.or(Some((sa, pair.origin.clone()))),
                    None => plausible = plausible.or(Some((sa, pair.origin.clone()))),
                }
            }
        }
        plausible.or(doubtful)
    }
}

/// Whether the checksum of UDP or TCP is right; `None` where there is none.
fn checksum(datagram: &[u8]) -> Option<bool> {
    let packet = SlicedPacket::from_ip(datagram).ok()?;
    match (packet.net?, packet.transport?) {
        (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) if udp.checksum() != 0 => {
            let header = udp.to_header();
            Some(header.calc_checksum_ipv4(&ip.header().to_header(), udp.payload()).ok()? == udp.checksum())
        }
        // Without a checksum, its length proves as much.
        (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
            Some(usize::from(udp.length()) == ip.payload().payload.len())
        }
        (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            Some(header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).ok()? == udp.checksum())
        }
        (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
            let header = tcp.to_header();
            Some(header.calc_checksum_ipv4(&ip.header().to_header(), tcp.payload()).ok()? == tcp.checksum())
        }
        (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
            let header = tcp.to_header();
            Some(header.calc_checksum_ipv6(&ip.header().to_header(), tcp.payload()).ok()? == tcp.checksum())
        }
        _ => None,
    }
}

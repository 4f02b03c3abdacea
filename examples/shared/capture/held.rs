//! Fragments, held until their datagram is whole.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket};
use ipsec_3gpp::Moment;
use ipsec_3gpp::esp::PROTOCOL_ESP;
use ipsec_3gpp::fragments::{Reassembly, ReassemblyLimits, Received};

use super::datagram::Datagram;
use super::input::Packet;

/// Packets whose fragments are not a datagram yet.
pub struct Held {
    reassembly: Reassembly,
    packets: HashMap<FragmentOf, Vec<Packet>>,
    /// In the order of their first fragments.
    order: VecDeque<FragmentOf>,
    octets: usize,
    incomplete: u64,
    released: Vec<Packet>,
}

/// Of which datagram a fragment is.
type FragmentOf = (IpAddr, IpAddr, u32);

/// The IP header of a fragment.
#[derive(Clone, Copy, Debug)]
pub struct FragmentHeader {
    /// Source.
    pub source: IpAddr,
    /// Destination.
    pub destination: IpAddr,
    /// Whether it is of an ESP packet.
    pub is_esp: bool,
    identification: u32,
}

/// What became of a packet.
#[derive(Debug)]
pub enum Taken<'p> {
    /// Its datagram is whole.
    Whole(Whole<'p>),
    /// It is held until its datagram is whole, or released at the end.
    Held,
    /// A fragment that is not held: its datagram comes with a later one.
    Fragment,
}

/// A datagram, and the packets that it came in.
#[derive(Debug)]
pub struct Whole<'p> {
    /// The datagram.
    pub datagram: Datagram<'p>,
    /// The packets of its fragments before this one; none where it came whole.
    pub before: Vec<Packet>,
}

/// Octets of packets that are held at most.
const MOST: usize = 16 << 20;

impl Default for Held {
    fn default() -> Self {
        let limits = ReassemblyLimits::DEFAULT.with_octets(MOST).with_datagrams(4096, 256);
        Self {
            reassembly: Reassembly::new(limits),
            packets: HashMap::new(),
            order: VecDeque::new(),
            octets: 0,
            incomplete: 0,
            released: Vec::new(),
        }
    }
}

impl Held {
    /// Takes the datagram of a packet. A fragment that `concerns` says yes to is held until the
    /// datagram is whole. Everything else comes back as it is.
    pub fn take<'p>(
        &mut self,
        packet: &Packet,
        datagram: Datagram<'p>,
        concerns: impl Fn(&FragmentHeader) -> bool,
    ) -> Taken<'p> {
        let Some(header) = fragment(&datagram.octets).filter(|header| concerns(header)) else {
            return Taken::Whole(Whole { datagram, before: Vec::new() });
        };
        match self.reassemble(packet, &datagram) {
            Some(datagram) => {
                let before = self.release(&header.key());
                Taken::Whole(Whole { datagram, before })
            }
            None => {
                self.hold(header.key(), packet.clone());
                Taken::Held
            }
        }
    }

    /// The same for a program that replaces ESP alone: fragments of others are not held, and their
    /// datagram is to be read, not written.
    pub fn take_esp<'p>(&mut self, packet: &Packet, datagram: Datagram<'p>) -> Taken<'p> {
        match fragment(&datagram.octets) {
            Some(header) if !header.is_esp => match self.reassemble(packet, &datagram) {
                Some(datagram) => Taken::Whole(Whole { datagram, before: Vec::new() }),
                None => Taken::Fragment,
            },
            _ => self.take(packet, datagram, |_| true),
        }
    }

    /// Fragments that contradict each other are of no datagram.
    fn reassemble(&mut self, packet: &Packet, datagram: &Datagram<'_>) -> Option<Datagram<'static>> {
        let now = Moment::from_millis(packet.time.as_millis() as u64);
        match self.reassembly.receive(&datagram.octets, now) {
            Ok(Received::Whole) => {
                Some(Datagram::with(datagram.link_len(), datagram.octets.to_vec(), datagram.tunnel))
            }
            Ok(Received::Reassembled(octets)) => {
                Some(Datagram::with(datagram.link_len(), octets, datagram.tunnel))
            }
            Ok(Received::Incomplete) | Err(_) => None,
        }
    }

    fn hold(&mut self, key: FragmentOf, packet: Packet) {
        self.octets += packet.data.len();
        let held = self.packets.entry(key).or_default();
        if held.is_empty() {
            self.order.push_back(key);
        }
        held.push(packet);
        // The oldest go, and count as incomplete.
        while self.octets > MOST {
            let Some(oldest) = self.order.pop_front() else { break };
            let packets = self.release(&oldest);
            self.incomplete += packets.len() as u64;
            self.released.extend(packets);
        }
    }

    fn release(&mut self, key: &FragmentOf) -> Vec<Packet> {
        let packets = self.packets.remove(key).unwrap_or_default();
        self.octets -= packets.iter().map(|packet| packet.data.len()).sum::<usize>();
        // A key that is in the list without packets has been released before.
        if self.order.len() > 2 * self.packets.len() + 64 {
            self.order.retain(|key| self.packets.contains_key(key));
        }
        packets
    }

    /// Packets of fragments whose datagram has not become whole, so far.
    pub fn incomplete(&self) -> u64 {
        self.incomplete + self.packets.values().map(|packets| packets.len() as u64).sum::<u64>()
    }

    /// Packets that gave way to newer ones; call it for each packet.
    pub fn released(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.released)
    }

    /// All packets that are left at the end, in their order.
    pub fn rest(&mut self) -> Vec<Packet> {
        let mut rest = self.released();
        let left: Vec<Packet> = self.packets.drain().flat_map(|(_, packets)| packets).collect();
        self.incomplete += left.len() as u64;
        rest.extend(left);
        rest.sort_by_key(|packet| packet.frame);
        rest
    }
}

impl FragmentHeader {
    const fn key(&self) -> FragmentOf {
        (self.source, self.destination, self.identification)
    }
}

/// The IP header of a fragment.
fn fragment(datagram: &[u8]) -> Option<FragmentHeader> {
    // Most are none, and two octets tell.
    let may_be = match (datagram.first()? >> 4, datagram.get(6..8)?) {
        (4, [high, low]) => u16::from_be_bytes([*high, *low]) & 0x3fff != 0,
        (6, [next, _]) => [0, 43, 44, 60].contains(next),
        _ => false,
    };
    if !may_be {
        return None;
    }
    let packet = SlicedPacket::from_ip(datagram).ok()?;
    match packet.net? {
        NetSlice::Ipv4(ip) if ip.header().is_fragmenting_payload() => {
            let header = ip.header();
            Some(FragmentHeader {
                source: header.source_addr().into(),
                destination: header.destination_addr().into(),
                is_esp: header.protocol().0 == PROTOCOL_ESP,
                identification: header.identification().into(),
            })
        }
        NetSlice::Ipv6(ip) if ip.is_payload_fragmented() => {
            let (next, identification) = fragment_header(datagram)?;
            Some(FragmentHeader {
                source: ip.header().source_addr().into(),
                destination: ip.header().destination_addr().into(),
                is_esp: next == PROTOCOL_ESP,
                identification,
            })
        }
        _ => None,
    }
}

/// The protocol after the fragment header of an IPv6 packet, and the identification in it.
fn fragment_header(datagram: &[u8]) -> Option<(u8, u32)> {
    let (mut next, mut at) = (*datagram.get(6)?, 40);
    while matches!(next, 0 | 43 | 60) {
        let header = datagram.get(at..)?;
        next = *header.first()?;
        at += (usize::from(*header.get(1)?) + 1) * 8;
    }
    let [protocol, _, _, _, a, b, c, d]: [u8; 8] = *datagram.get(at..)?.first_chunk()?;
    (next == 44).then_some((protocol, u32::from_be_bytes([a, b, c, d])))
}

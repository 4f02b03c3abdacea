//! Where the IP datagram begins in a packet of a link layer.

use pcap_file::DataLink;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// Octets of the link-layer header; `None` if no IP datagram follows it.
pub fn locate(link: DataLink, packet: &[u8]) -> Option<usize> {
    let number = |at: usize| packet.get(at..)?.first_chunk().copied().map(u16::from_be_bytes);
    let if_ip = |at: usize, len: usize| number(at).filter(|kind| [IPV4, IPV6].contains(kind)).map(|_| len);
    let version = |at: usize| packet.get(at).map(|octet| octet >> 4);
    let if_version = |at: usize| version(at).filter(|version| [4, 6].contains(version)).map(|_| at);
    match link {
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 | DataLink::Unknown(12 | 14) => if_version(0),
        DataLink::LINUX_SLL => if_ip(14, 16),
        DataLink::LINUX_SLL2 => if_ip(0, 20),
        DataLink::ETHERNET => {
            // VLAN tags, also one in another.
            let mut at = 12;
            while number(at).is_some_and(|kind| [0x8100, 0x88a8, 0x9100].contains(&kind)) {
                at += 4;
            }
            if_ip(at, at + 2)
        }
        // Four octets that name the family, by the numbers of the system that captured.
        DataLink::NULL | DataLink::LOOP => if_version(4),
        DataLink::PPP | DataLink::PPP_HDLC | DataLink::PPP_WITH_DIR | DataLink::PPP_PPPD => ppp(packet),
        // What rvictl of iOS writes: 108 octets of its own, then Ethernet or IP.
        DataLink::USER2 => {
            let header_len =
                packet.first_chunk().map(|len| u32::from_le_bytes(*len) as usize).filter(|len| *len < 512);
            let begins =
                header_len.into_iter().chain([0, 108]).flat_map(|begin| [begin, begin + 14, begin + 4]);
            begins.into_iter().find(|at| is_whole_datagram(packet.get(*at..).unwrap_or_default()))
        }
        // Of a link that is not known, a datagram from the first octet on.
        _ => is_whole_datagram(packet).then_some(0),
    }
}

/// RFC 1661 2 and RFC 1662: perhaps a direction, perhaps an address and a control octet, then the
/// protocol in one or two octets.
fn ppp(packet: &[u8]) -> Option<usize> {
    let direction = usize::from(matches!(packet, [0 | 1, 0xff, 3, ..] | [0 | 1, 0, 0x21 | 0x57, ..]));
    let begin = match packet.get(direction..)? {
        [0xff, 3, ..] => direction + 2,
        _ => direction,
    };
    match packet.get(begin..)? {
        [0, 0x21 | 0x57, ..] => Some(begin + 2),
        [0x21 | 0x57, ..] => Some(begin + 1),
        _ => None,
    }
}

/// Whether octets are one IP datagram, by its lengths.
fn is_whole_datagram(octets: &[u8]) -> bool {
    match octets {
        [first, _, high, low, ..] if first >> 4 == 4 => {
            first & 0xf >= 5 && usize::from(u16::from_be_bytes([*high, *low])) == octets.len()
        }
        [first, _, _, _, high, low, ..] if first >> 4 == 6 => {
            usize::from(u16::from_be_bytes([*high, *low])) + 40 == octets.len()
        }
        _ => false,
    }
}

/// The link-layer header of a packet, for a datagram of this version of IP.
pub(super) fn header_for(link: DataLink, header: &[u8], ipv6: bool) -> Vec<u8> {
    let mut header = header.to_vec();
    let kind = if ipv6 { IPV6 } else { IPV4 }.to_be_bytes();
    let end = header.len();
    let range = match link {
        DataLink::ETHERNET | DataLink::LINUX_SLL => end.saturating_sub(2)..end,
        DataLink::LINUX_SLL2 => 0..2,
        _ => return header,
    };
    if let Some(place) = header.get_mut(range).filter(|place| place.len() == 2) {
        place.copy_from_slice(&kind);
    }
    header
}

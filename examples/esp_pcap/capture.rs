//! Captures: where the IP datagram begins in a packet, and fragments reassembled.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use etherparse::defrag::IpDefragPool;
use etherparse::{LaxNetSlice, LaxSlicedPacket, NetSlice, SlicedPacket};
use ipsec_3gpp::esp::PROTOCOL_ESP;
use ipsec_3gpp::spi::Spi;
use pcap_file::pcap::{PcapHeader, PcapReader, PcapWriter, RawPcapPacket};
use pcap_file::{DataLink, PcapError};

use crate::Result;

pub(crate) struct Capture {
    input: PathBuf,
    reader: PcapReader<BufReader<File>>,
    writer: PcapWriter<BufWriter<File>>,
    link: DataLink,
    pool: IpDefragPool,
    /// The packets of datagrams that are not complete yet, to be passed as they were if no SA is
    /// for the datagram.
    fragments: HashMap<FragmentOf, Vec<Packet>>,
}

/// Of which datagram a fragment is.
type FragmentOf = (IpAddr, IpAddr, u32);

type Packet = RawPcapPacket<'static>;

/// A packet, or the packets whose fragments made one datagram.
pub(crate) struct Record {
    packets: Vec<Packet>,
    link_len: usize,
    datagram: Vec<u8>,
}

/// The IP header of a packet.
pub(crate) struct Ip {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) is_esp: bool,
}

/// The SPI that an ESP packet has, and where it goes.
#[derive(Clone, Copy)]
pub(crate) struct EspOf {
    pub(crate) spi: Spi,
    pub(crate) destination: IpAddr,
}

pub(crate) enum Next {
    /// A datagram, whole.
    Whole(Record),
    /// Something else.
    NotIp(Record),
    /// A fragment whose datagram is not complete.
    Kept,
    /// The end, how many fragments were left over, and whether the last record is cut off.
    End { incomplete: u64, cut_off: bool },
}

impl Record {
    pub(crate) fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// The SPI, where this is ESP, even if it was cut off by the capture.
    pub(crate) fn spi(&self) -> Option<EspOf> {
        let packet = LaxSlicedPacket::from_ip(&self.datagram).ok()?;
        let payload = packet.net.as_ref()?.ip_payload_ref()?;
        let [a, b, c, d, ..] = *payload.payload else { return None };
        let spi = Spi::from_peer(u32::from_be_bytes([a, b, c, d])).ok()?;
        let (_, destination) = self.addresses()?;
        (payload.ip_number.0 == PROTOCOL_ESP).then_some(EspOf { spi, destination })
    }

    /// Source and destination, even of a packet that was cut off.
    pub(crate) fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match LaxSlicedPacket::from_ip(&self.datagram).ok()?.net? {
            LaxNetSlice::Ipv4(ip) => {
                Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
            }
            LaxNetSlice::Ipv6(ip) => {
                Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
            }
            LaxNetSlice::Arp(_) => None,
        }
    }
}

impl Capture {
    pub(crate) fn open(input: &Path, output: &Path) -> Result<Self> {
        let name = |error: &dyn std::fmt::Display, path: &Path| format!("{}: {error}", path.display());
        let file = File::open(input).map_err(|error| name(&error, input))?;
        let reader = PcapReader::new(BufReader::new(file)).map_err(|error| {
            format!("{} (pcapng is not read: `editcap -F pcap` converts it)", name(&error, input))
        })?;
        let link = reader.header().datalink;
        link_len(link, &[0; 32]).map_err(|error| name(&error, input))?;
        // Reassembled datagrams are longer than what was captured.
        let header = PcapHeader { snaplen: reader.header().snaplen.max(262_144), ..reader.header() };
        let same = |path: &Path| path.canonicalize().ok();
        if same(output).is_some_and(|output| Some(output) == same(input)) {
            return Err(format!("{} is read and written", input.display()).into());
        }
        let file = File::create(output).map_err(|error| name(&error, output))?;
        let writer = PcapWriter::with_header(BufWriter::new(file), header)?;
        Ok(Self {
            input: input.into(),
            reader,
            writer,
            link,
            pool: IpDefragPool::new(),
            fragments: HashMap::new(),
        })
    }

    fn end(&mut self, cut_off: bool) -> Next {
        let incomplete = self.fragments.drain().map(|(_, packets)| packets.len() as u64).sum();
        Next::End { incomplete, cut_off }
    }

    /// The next datagram. Fragments that `concerns` says yes to are reassembled.
    pub(crate) fn next(&mut self, concerns: impl Fn(&Ip) -> bool) -> Result<Next> {
        let packet = match self.reader.next_raw_packet() {
            Some(Ok(packet)) => packet.into_owned(),
            // As whoever was killed while capturing leaves it.
            Some(Err(PcapError::IoError(error))) if error.kind() == ErrorKind::UnexpectedEof => {
                return Ok(self.end(true));
            }
            Some(Err(error)) => return Err(format!("{}: {error}", self.input.display()).into()),
            None => return Ok(self.end(false)),
        };
        let link_len = link_len(self.link, &packet.data)?;
        let Some(link_len) = link_len else {
            return Ok(Next::NotIp(Record { packets: vec![packet], link_len: 0, datagram: Vec::new() }));
        };
        let datagram = packet.data.get(link_len..).unwrap_or_default().to_vec();
        let Some((ip, fragment_of)) = fragment(&datagram).filter(|(ip, _)| concerns(ip)) else {
            return Ok(Next::Whole(Record { packets: vec![packet], link_len, datagram }));
        };
        let sliced = SlicedPacket::from_ip(&datagram)?;
        let complete = self.pool.process_sliced_packet(&sliced, (), ());
        let key = (ip.source, ip.destination, fragment_of);
        self.fragments.entry(key).or_default().push(packet);
        match complete {
            Ok(None) => Ok(Next::Kept),
            Ok(Some(payload)) => {
                let packets = self.fragments.remove(&key).unwrap_or_default();
                let datagram =
                    reassemble(&datagram, &payload.payload).ok_or("a datagram of more than 65535 octets")?;
                Ok(Next::Whole(Record { packets, link_len, datagram }))
            }
            // Fragments that contradict each other: they stay where they are, and count as
            // incomplete.
            Err(_) => Ok(Next::Kept),
        }
    }

    /// Writes the packets of a record as they were.
    pub(crate) fn pass(&mut self, record: &Record) -> Result<()> {
        for packet in &record.packets {
            self.writer.write_raw_packet(packet)?;
        }
        Ok(())
    }

    /// Writes another datagram instead of a record, after the link-layer header of its last packet.
    pub(crate) fn replace(&mut self, record: &Record, datagram: &[u8]) -> Result<()> {
        let packet = record.packets.last().ok_or("a record without a packet")?;
        let mut data = packet.data.get(..record.link_len).unwrap_or_default().to_vec();
        data.extend(datagram);
        let len = u32::try_from(data.len())?;
        let (ts_sec, ts_frac) = (packet.ts_sec, packet.ts_frac);
        self.writer.write_raw_packet(&RawPcapPacket {
            ts_sec,
            ts_frac,
            incl_len: len,
            orig_len: len,
            data: data.into(),
        })?;
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<()> {
        Ok(self.writer.into_writer().flush()?)
    }
}

/// Octets of the link-layer header; `None` if no IP datagram follows it.
fn link_len(link: DataLink, packet: &[u8]) -> Result<Option<usize>> {
    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86dd;
    let number = |at: usize| packet.get(at..)?.first_chunk().copied().map(u16::from_be_bytes);
    let if_ip = |at: usize, len: usize| number(at).filter(|kind| [IPV4, IPV6].contains(kind)).map(|_| len);
    Ok(match link {
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => Some(0),
        DataLink::LINUX_SLL => if_ip(14, 16),
        DataLink::LINUX_SLL2 => if_ip(0, 20),
        DataLink::ETHERNET => {
            // VLAN tags, also one in another.
            let mut at = 12;
            while number(at).is_some_and(|kind| [0x8100, 0x88a8].contains(&kind)) {
                at += 4;
            }
            if_ip(at, at + 2)
        }
        other => return Err(format!("link type {other:?} is not Ethernet, raw IP or Linux cooked").into()),
    })
}

/// The IP header of a fragment, and which datagram it is of.
fn fragment(datagram: &[u8]) -> Option<(Ip, u32)> {
    let packet = SlicedPacket::from_ip(datagram).ok()?;
    match packet.net? {
        NetSlice::Ipv4(ip) if ip.header().is_fragmenting_payload() => {
            let header = ip.header();
            let is_esp = header.protocol().0 == PROTOCOL_ESP;
            let (source, destination) = (header.source_addr().into(), header.destination_addr().into());
            Some((Ip { source, destination, is_esp }, header.identification().into()))
        }
        NetSlice::Ipv6(ip) if ip.is_payload_fragmented() => {
            let (_, next, identification) = fragment_header(datagram)?;
            let (source, destination) =
                (ip.header().source_addr().into(), ip.header().destination_addr().into());
            Some((Ip { source, destination, is_esp: next == PROTOCOL_ESP }, identification))
        }
        _ => None,
    }
}

/// Where the fragment header of an IPv6 packet is, the protocol after it, and the identification in
/// it.
fn fragment_header(datagram: &[u8]) -> Option<(usize, u8, u32)> {
    let (mut next, mut at) = (*datagram.get(6)?, 40);
    while matches!(next, 0 | 43 | 60) {
        let header = datagram.get(at..)?;
        next = *header.first()?;
        at += (usize::from(*header.get(1)?) + 1) * 8;
    }
    let [protocol, _, _, _, a, b, c, d]: [u8; 8] = *datagram.get(at..)?.first_chunk()?;
    (next == 44).then_some((at, protocol, u32::from_be_bytes([a, b, c, d])))
}

/// The datagram that fragments make, with the header of one of them.
fn reassemble(fragment: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let mut datagram;
    if fragment.first()? >> 4 == 4 {
        datagram = fragment.get(..usize::from(fragment.first()? & 0xf) * 4)?.to_vec();
        let len = u16::try_from(datagram.len() + payload.len()).ok()?;
        datagram.get_mut(2..4)?.copy_from_slice(&len.to_be_bytes());
        datagram.get_mut(6..8)?.fill(0);
        datagram.get_mut(10..12)?.fill(0);
        let sum: u32 = datagram.as_chunks().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !((sum + (sum >> 16)) as u16);
        datagram.get_mut(10..12)?.copy_from_slice(&sum.to_be_bytes());
    } else {
        let (at, protocol, _) = fragment_header(fragment)?;
        datagram = fragment.get(..at)?.to_vec();
        let len = u16::try_from(at - 40 + payload.len()).ok()?;
        datagram.get_mut(4..6)?.copy_from_slice(&len.to_be_bytes());
        // The octet that named the fragment header is the last header's first, or the IPv6 header's
        // own.
        let mut names = 6;
        let mut position = 40;
        while position < at {
            names = position;
            position += (usize::from(*datagram.get(position + 1)?) + 1) * 8;
        }
        *datagram.get_mut(names)? = protocol;
    }
    datagram.extend(payload);
    Some(datagram)
}

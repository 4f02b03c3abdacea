//! The wire between UE and P-CSCF: datagrams that are protected where an SA is for them, a virtual
//! clock, and the capture of all that passes.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use etherparse::PacketBuilder;
use ipsec_3gpp::Sad;
use ipsec_3gpp::sa::Side;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }
}

/// How a message travelled: in clear, or over the SA with this SPI and these sequence numbers.
pub(crate) struct Travel {
    pub(crate) spi: Option<u32>,
    pub(crate) first_sequence: u32,
    pub(crate) packets: u32,
}

/// Sequence numbers of a TCP connection: what its client and what its server will send next.
#[derive(Clone, Copy)]
struct Connection {
    client: u32,
    server: u32,
}

pub(crate) struct Network {
    pub(crate) ue: Sad,
    pub(crate) pcscf: Sad,
    pub(crate) now: Duration,
    /// Packets that are sent now do not arrive.
    lost: bool,
    capture: PcapWriter<BufWriter<File>>,
    /// By client and server end.
    connections: HashMap<(SocketAddr, SocketAddr), Connection>,
}

const MTU: usize = 1500;
const SYN: u8 = 1;
const ACK: u8 = 2;
const PSH: u8 = 8;

impl Network {
    pub(crate) fn new(capture: &Path) -> Result<Self> {
        let header = PcapHeader {
            datalink: DataLink::RAW,
            ts_resolution: TsResolution::MicroSecond,
            ..PcapHeader::default()
        };
        let file = File::create(capture).map_err(|error| format!("{}: {error}", capture.display()))?;
        Ok(Self {
            ue: Sad::new(),
            pcscf: Sad::new(),
            now: Duration::ZERO,
            lost: false,
            capture: PcapWriter::with_header(BufWriter::new(file), header)?,
            connections: HashMap::new(),
        })
    }

    /// Sends one SIP message and returns how it travelled. Over TCP, a request opens a connection
    /// where there is none, and a response uses the one that the request came on.
    pub(crate) fn send(
        &mut self,
        transport: Transport,
        sender: Side,
        (from, to): (SocketAddr, SocketAddr),
        text: &str,
        lost: bool,
    ) -> Result<Travel> {
        self.lost = lost;
        let mut travel = Travel { spi: None, first_sequence: 0, packets: 0 };
        match transport {
            Transport::Udp => {
                let mut datagram = Vec::new();
                ip(from.ip(), to.ip())?.udp(from.port(), to.port()).write(&mut datagram, text.as_bytes())?;
                self.pass(sender, &datagram, &mut travel)?;
            }
            Transport::Tcp => {
                let opened_by_peer = self.connections.contains_key(&(to, from));
                if !opened_by_peer && !self.connections.contains_key(&(from, to)) {
                    self.connections.insert((from, to), Connection { client: 1000, server: 5000 });
                    self.segment(sender, (from, to), SYN, b"", &mut travel)?;
                    self.segment(other(sender), (to, from), SYN | ACK, b"", &mut travel)?;
                    self.segment(sender, (from, to), ACK, b"", &mut travel)?;
                }
                // Segments that still fit the link when ESP has grown them by as much as it ever
                // does.
                let header = if from.is_ipv4() { 20 } else { 40 };
                let largest = MTU - header - 20 - 60;
                for data in text.as_bytes().chunks(largest) {
                    self.segment(sender, (from, to), PSH | ACK, data, &mut travel)?;
                    if !lost {
                        self.segment(other(sender), (to, from), ACK, b"", &mut travel)?;
                    }
                }
            }
        }
        self.lost = false;
        Ok(travel)
    }

    fn segment(
        &mut self,
        sender: Side,
        (from, to): (SocketAddr, SocketAddr),
        flags: u8,
        data: &[u8],
        travel: &mut Travel,
    ) -> Result<()> {
        let by_client = self.connections.contains_key(&(from, to));
        let key = if by_client { (from, to) } else { (to, from) };
        let connection = self.connections.get_mut(&key).ok_or("no connection")?;
        let (mine, theirs) = if by_client {
            (&mut connection.client, connection.server)
        } else {
            (&mut connection.server, connection.client)
        };
        let mut builder = ip(from.ip(), to.ip())?.tcp(from.port(), to.port(), *mine, 65_000);
        *mine += data.len() as u32 + u32::from(flags & SYN != 0);
        if flags & SYN != 0 {
            builder = builder.syn();
        }
        if flags & ACK != 0 {
            builder = builder.ack(theirs);
        }
        if flags & PSH != 0 {
            builder = builder.psh();
        }
        let mut datagram = Vec::new();
        builder.write(&mut datagram, data)?;
        self.pass(sender, &datagram, travel)
    }

    /// Passes one datagram: sealed where it must be, captured, opened and compared at the other
    /// end.
    fn pass(&mut self, sender: Side, datagram: &[u8], travel: &mut Travel) -> Result<()> {
        let (from, to) = match sender {
            Side::Ue => (&mut self.ue, &mut self.pcscf),
            Side::Pcscf => (&mut self.pcscf, &mut self.ue),
        };
        self.now += Duration::from_millis(5);
        if !from.is_protected(datagram)? {
            if to.is_protected(datagram)? {
                return Err("a datagram in clear where the receiver wants ESP".into());
            }
            travel.packets += 1;
            self.capture.write_packet(&PcapPacket::new(self.now, datagram.len() as u32, datagram))?;
            return Ok(());
        }
        let mut packet = vec![0; datagram.len() + 64];
        let sealed = from.seal(datagram, &mut packet)?;
        let packet = packet.get(sealed.range).ok_or("a range outside of the buffer")?;
        self.capture.write_packet(&PcapPacket::new(self.now, packet.len() as u32, packet))?;
        if travel.spi.is_none() {
            travel.spi = Some(spi_of(packet)?);
            travel.first_sequence = sealed.sequence;
        }
        if !self.lost {
            let mut opened = vec![0; packet.len()];
            let arrived = to.open(packet, &mut opened)?.opened;
            if opened.get(arrived.range) != Some(datagram) {
                return Err("a datagram that is not the one that was sent".into());
            }
        }
        travel.packets += 1;
        Ok(())
    }
}

/// The SPI of a packet of ESP after an IP header without options or extensions.
fn spi_of(packet: &[u8]) -> Result<u32> {
    let at = if packet.first().is_some_and(|octet| octet >> 4 == 4) { 20 } else { 40 };
    let octets = packet.get(at..).and_then(|esp| esp.first_chunk()).ok_or("a packet without an SPI")?;
    Ok(u32::from_be_bytes(*octets))
}

fn other(side: Side) -> Side {
    match side {
        Side::Ue => Side::Pcscf,
        Side::Pcscf => Side::Ue,
    }
}

fn ip(from: IpAddr, to: IpAddr) -> Result<etherparse::PacketBuilderStep<etherparse::IpHeaders>> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Ok(PacketBuilder::ipv4(from.octets(), to.octets(), 64)),
        (IpAddr::V6(from), IpAddr::V6(to)) => Ok(PacketBuilder::ipv6(from.octets(), to.octets(), 64)),
        _ => Err("two address families".into()),
    }
}

//! Reads pcap and pcapng, also in gzip, from a file or from standard input.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapReader};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError, TsResolution};

use crate::Result;

/// A capture that is being read.
pub struct Input {
    name: String,
    reader: Reader,
    frame: u64,
    cut_off: bool,
    read: Arc<AtomicU64>,
    len: Option<u64>,
    /// Device and number of the file.
    file: Option<(u64, u64)>,
}

enum Reader {
    Pcap(PcapReader<Box<dyn Read>>),
    PcapNg(PcapNgReader<Box<dyn Read>>),
}

/// The header of a file, for a file of the same kind.
pub(super) enum Header {
    Pcap(PcapHeader),
    PcapNg(SectionHeaderBlock<'static>),
}

/// What a capture has.
pub enum Item {
    /// A packet.
    Packet(Packet),
    /// Something else, which is passed as it is: descriptions of interfaces, statistics, names.
    Block(Box<Block<'static>>),
}

/// A packet as it was captured.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Its number, from 1, as Wireshark counts.
    pub frame: u64,
    /// When it was captured, since 1970.
    pub time: Duration,
    /// Its link type.
    pub link: DataLink,
    /// Its octets, from the link layer on.
    pub data: Vec<u8>,
    pub(super) origin: Origin,
}

/// What is written again as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    Pcap { seconds: u32, fraction: u32, original_len: u32 },
    PcapNg { interface: u32, ticks: Duration, original_len: u32 },
}

/// Counts what is read, for a bar that shows how far it has come.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.0.read(buffer)?;
        self.1.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

impl Input {
    /// Opens a capture; `-` is standard input.
    ///
    /// # Errors
    /// A line that names the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Self> {
        let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
        let (source, metadata): (Box<dyn Read>, _) = if path == Path::new("-") {
            let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            (Box::new(io::stdin()), file.and_then(|file| file.metadata()).ok())
        } else {
            let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
            let metadata = file.metadata().ok();
            (Box::new(file), metadata)
        };
        let metadata = metadata.filter(Metadata::is_file);
        let mut input = Self::new(name, source, metadata.as_ref().map(Metadata::len))?;
        input.file = metadata.map(|metadata| (metadata.dev(), metadata.ino()));
        Ok(input)
    }

    /// Reads a capture from any source.
    ///
    /// # Errors
    /// A line that names the source and what is wrong with it.
    pub fn new(name: String, source: Box<dyn Read>, len: Option<u64>) -> Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let mut source: Box<dyn Read> = Box::new(Counted(source, read.clone()));
        let named = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let mut magic = peek(&mut source, 4).map_err(|error| named(&error))?;
        if magic.starts_with(&[0x1f, 0x8b]) {
            source =
                unzipped(Box::new(io::Cursor::new(magic).chain(source))).map_err(|error| named(&error))?;
            magic = peek(&mut source, 4).map_err(|error| named(&error))?;
        }
        let kind: [u8; 4] =
            magic.as_slice().try_into().map_err(|_| named(&"no capture: it has less than four octets"))?;
        let source: Box<dyn Read> = Box::new(io::Cursor::new(magic).chain(source));
        let unread = |error: PcapError| format!("{name}: no capture that can be read: {}", reason(&error));
        let reader = match kind {
            [0x0a, 0x0d, 0x0d, 0x0a] => Reader::PcapNg(PcapNgReader::new(source).map_err(unread)?),
            [0xa1, 0xb2, 0xc3 | 0x3c, 0xd4 | 0x4d] | [0xd4 | 0x4d, 0xc3 | 0x3c, 0xb2, 0xa1] => {
                Reader::Pcap(PcapReader::new(source).map_err(unread)?)
            }
            _ => return Err(named(&"no capture: neither pcap nor pcapng, nor one of them in gzip").into()),
        };
        Ok(Self { name, reader, frame: 0, cut_off: false, read, len, file: None })
    }

    /// Whether a path is the file that is read, by whatever name.
    pub fn is_file(&self, path: &Path) -> bool {
        let named = std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        self.file.is_some() && named.ok() == self.file
    }

    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its end is cut off, as whoever was killed while capturing leaves it.
    pub const fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Packets so far.
    pub const fn frames(&self) -> u64 {
        self.frame
    }

    /// Octets of the file that have been read, and all of them where that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.len)
    }

    /// The link type where the whole file has one.
    pub fn link(&self) -> Option<DataLink> {
        match &self.reader {
            Reader::Pcap(reader) => Some(reader.header().datalink),
            Reader::PcapNg(_) => None,
        }
    }

    pub(super) fn header(&self) -> Header {
        match &self.reader {
            Reader::Pcap(reader) => Header::Pcap(reader.header()),
            Reader::PcapNg(reader) => Header::PcapNg(reader.section().clone()),
        }
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// A line that names the file, and the frame before which it is damaged.
    #[allow(clippy::should_implement_trait, reason = "it reads from a file, and can fail")]
    pub fn next(&mut self) -> Result<Option<Item>> {
        let read = match &mut self.reader {
            Reader::Pcap(reader) => next_packet(reader, self.frame + 1),
            Reader::PcapNg(reader) => next_block(reader, self.frame + 1),
        };
        match read {
            Ok(item) => {
                self.frame += u64::from(matches!(item, Some(Item::Packet(_))));
                Ok(item)
            }
            Err(PcapError::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.cut_off = true;
                Ok(None)
            }
            Err(PcapError::IncompleteBuffer) => {
                self.cut_off = true;
                Ok(None)
            }
            Err(PcapError::IoError(error)) => Err(format!("{}: {error}", self.name).into()),
            Err(error) => {
                Err(format!("{}: damaged after frame {}: {}", self.name, self.frame, reason(&error)).into())
            }
        }
    }
}

fn reason(error: &PcapError) -> String {
    match error {
        PcapError::IncompleteBuffer => "its header is cut off".into(),
        PcapError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "its header is cut off".into()
        }
        PcapError::IoError(error) => error.to_string(),
        PcapError::InvalidField(field) => format!("invalid field: {field}"),
        other => other.to_string(),
    }
}

fn next_packet(
    reader: &mut PcapReader<Box<dyn Read>>,
    frame: u64,
) -> std::result::Result<Option<Item>, PcapError> {
    let header = reader.header();
    let Some(packet) = reader.next_raw_packet() else { return Ok(None) };
    let packet = packet?;
    let nanos = match header.ts_resolution {
        TsResolution::MicroSecond => u64::from(packet.ts_frac) * 1000,
        TsResolution::NanoSecond => u64::from(packet.ts_frac),
    };
    let (seconds, fraction, original_len) = (packet.ts_sec, packet.ts_frac, packet.orig_len);
    Ok(Some(Item::Packet(Packet {
        frame,
        time: Duration::from_secs(seconds.into()) + Duration::from_nanos(nanos),
        link: header.datalink,
        data: packet.data.into_owned(),
        origin: Origin::Pcap { seconds, fraction, original_len },
    })))
}

fn next_block(
    reader: &mut PcapNgReader<Box<dyn Read>>,
    frame: u64,
) -> std::result::Result<Option<Item>, PcapError> {
    let Some(block) = reader.next_block() else { return Ok(None) };
    let (interface, ticks, original_len, data) = match block?.into_owned() {
        Block::EnhancedPacket(packet) => {
            (packet.interface_id, packet.timestamp, packet.original_len, packet.data.into_owned())
        }
        Block::SimplePacket(packet) => (0, Duration::ZERO, packet.original_len, packet.data.into_owned()),
        Block::Packet(packet) => (
            packet.interface_id.into(),
            Duration::from_nanos(packet.timestamp),
            packet.original_len,
            packet.data.into_owned(),
        ),
        other => return Ok(Some(Item::Block(Box::new(other)))),
    };
    let described =
        reader.interfaces().get(interface as usize).ok_or(PcapError::InvalidInterfaceId(interface))?;
    let resolution = described.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
        _ => None,
    });
    Ok(Some(Item::Packet(Packet {
        frame,
        time: time_of(ticks.as_nanos() as u64, resolution.unwrap_or(6)),
        link: described.linktype,
        data,
        origin: Origin::PcapNg { interface, ticks, original_len },
    })))
}

/// The time of ticks: their resolution is a negative power of ten, or of two where its highest bit
/// is set.
fn time_of(ticks: u64, resolution: u8) -> Duration {
    let power = u32::from(resolution & 0x7f);
    let per_second =
        if resolution & 0x80 == 0 { 10_u128.checked_pow(power) } else { 2_u128.checked_pow(power) };
    let per_second = per_second.unwrap_or(u128::MAX);
    let (ticks, nanos) = (u128::from(ticks), 1_000_000_000);
    let seconds = ticks / per_second;
    let rest = (ticks % per_second).saturating_mul(nanos) / per_second;
    Duration::new(seconds.min(u128::from(u32::MAX)) as u64, rest as u32)
}

/// The first octets of a source, or fewer where it ends.
fn peek(source: &mut Box<dyn Read>, count: usize) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    source.by_ref().take(count as u64).read_to_end(&mut octets)?;
    Ok(octets)
}

#[cfg(feature = "trace")]
#[allow(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn unzipped(source: Box<dyn Read>) -> Result<Box<dyn Read>> {
    Ok(Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(BufReader::new(source)))))
}

#[cfg(not(feature = "trace"))]
fn unzipped(source: Box<dyn Read>) -> Result<Box<dyn Read>> {
    drop(BufReader::new(source));
    Err("a capture in gzip: this program was built without the feature `trace`; `gunzip` first".into())
}

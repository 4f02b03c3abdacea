//! Writes a capture of the same kind as the one that was read.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use pcap_file::pcap::{PcapHeader, PcapWriter, RawPcapPacket};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::{Block, PcapNgBlock, PcapNgWriter};

use super::input::{Header, Input, Origin, Packet};
use crate::Result;

/// A capture that is being written.
pub struct Output {
    writer: Writer,
}

enum Writer {
    Pcap(PcapWriter<Box<dyn Write>>),
    PcapNg(PcapNgWriter<Box<dyn Write>>),
    Nothing,
}

impl Output {
    /// Creates a capture for what comes of an input; `-` is standard output.
    ///
    /// # Errors
    /// A line that names the file and what is wrong.
    pub fn create(path: &Path, input: &Input) -> Result<Self> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let sink: Box<dyn Write> = if path == Path::new("-") {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            if input.is_file(path) {
                return Err(named(&"it is read and written").into());
            }
            Box::new(BufWriter::with_capacity(1 << 18, File::create(path).map_err(|error| named(&error))?))
        };
        let writer = match input.header() {
            // Reassembled datagrams are longer than what was captured.
            Header::Pcap(header) => {
                let header = PcapHeader { snaplen: header.snaplen.max(262_144), ..header };
                Writer::Pcap(PcapWriter::with_header(sink, header).map_err(|error| named(&error))?)
            }
            Header::PcapNg(section) => Writer::PcapNg(
                PcapNgWriter::with_section_header(sink, section).map_err(|error| named(&error))?,
            ),
        };
        Ok(Self { writer })
    }

    /// Writes nowhere.
    pub const fn nothing() -> Self {
        Self { writer: Writer::Nothing }
    }

    /// Writes what is no packet as it was.
    ///
    /// # Errors
    /// Those of writing.
    pub fn pass(&mut self, block: &Block<'_>) -> Result<()> {
        if let Writer::PcapNg(writer) = &mut self.writer {
            writer.write_block(block)?;
        }
        Ok(())
    }

    /// Writes a packet as it was, or other octets in its place.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&mut self, packet: &Packet, instead: Option<&[u8]>) -> Result<()> {
        let data = instead.unwrap_or(&packet.data);
        let original_len = |len: u32| if instead.is_some() { data.len() as u32 } else { len };
        match (&mut self.writer, packet.origin) {
            (Writer::Pcap(writer), Origin::Pcap { seconds, fraction, original_len: len }) => {
                writer.write_raw_packet(&RawPcapPacket {
                    ts_sec: seconds,
                    ts_frac: fraction,
                    incl_len: data.len() as u32,
                    orig_len: original_len(len),
                    data: data.into(),
                })?;
            }
            (Writer::PcapNg(writer), Origin::PcapNg { interface, ticks, original_len: len }) => {
                let block = EnhancedPacketBlock {
                    interface_id: interface,
                    timestamp: ticks,
                    original_len: original_len(len),
                    data: data.into(),
                    options: Vec::new(),
                };
                writer.write_block(&block.into_block())?;
            }
            (Writer::Nothing, _) => {}
            _ => return Err("a packet of a capture of another kind".into()),
        }
        Ok(())
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self) -> Result<()> {
        match self.writer {
            Writer::Pcap(writer) => writer.into_writer().flush()?,
            Writer::PcapNg(writer) => writer.into_inner().flush()?,
            Writer::Nothing => {}
        }
        Ok(())
    }
}

//! What became of the packets of a capture, in counts, with the numbers of frames that failed.

use std::collections::BTreeMap;
use std::fmt;

use pcap_file::DataLink;

use crate::capture::{Input, Packet, Tunnel};
use crate::table::{Reason, WrongKey};

/// Counts over a capture.
#[derive(Debug, Default)]
pub struct Summary {
    /// Packets replaced: opened or sealed.
    pub changed: u64,
    /// Packets written as they were.
    pub passed: u64,
    /// Packets among these without an IP datagram, and their link type.
    pub without_ip: u64,
    /// Their link type.
    pub link: Option<DataLink>,
    /// ESP packets among these, of no SA.
    pub esp_without_sa: u64,
    /// Packets that were in a tunnel.
    pub in_gtp: u64,
    /// ESP packets that were in UDP.
    pub in_udp: u64,
    refused: BTreeMap<String, Refused>,
}

#[derive(Debug, Default)]
struct Refused {
    count: u64,
    /// The first of them.
    frames: Vec<u64>,
}

/// Frames that are listed for a reason.
const FRAMES: usize = 8;

impl Summary {
    /// A packet did not open or could not be sealed.
    pub fn refuse(&mut self, reason: &str, frame: u64) {
        if !self.refused.contains_key(reason) {
            self.refused.insert(reason.into(), Refused::default());
        }
        let Some(refused) = self.refused.get_mut(reason) else { return };
        refused.count += 1;
        if refused.frames.len() < FRAMES {
            refused.frames.push(frame);
        }
    }

    /// A packet has no IP datagram, and is written as it was.
    pub fn no_ip(&mut self, packet: &Packet) {
        self.passed += 1;
        self.without_ip += 1;
        self.link = Some(packet.link);
    }

    /// A packet was in a tunnel.
    pub fn tunnel(&mut self, tunnel: Tunnel) {
        self.in_gtp += u64::from(tunnel.gtp);
        self.in_udp += u64::from(tunnel.udp);
    }

    /// The end of the capture: what was not whole.
    pub fn end(&mut self, input: &Input, incomplete: u64) {
        if incomplete > 0 {
            let refused = self.refused.entry(Reason::Incomplete.text().into()).or_default();
            refused.count += incomplete;
        }
        if input.is_cut_off() {
            let refused = self.refused.entry(Reason::Record.text().into()).or_default();
            refused.count += 1;
            refused.frames.push(input.frames() + 1);
        }
    }

    /// The exit status: that of a wrong key where nothing was opened, or 1 where a strict user
    /// misses something.
    pub fn status(&self, wrong: &[(WrongKey, String)], strict: bool) -> u8 {
        let nothing = self.changed == 0;
        match wrong.iter().map(|(key, _)| *key).max() {
            Some(wrong) if nothing => wrong.status(),
            _ => u8::from(strict && (nothing || self.refused() > 0)),
        }
    }

    /// Packets that were left out.
    pub fn refused(&self) -> u64 {
        self.refused.values().map(|refused| refused.count).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(link) = self.link {
            writeln!(f, "  {} of those passed have no IP datagram (link type {link:?})", self.without_ip)?;
        }
        if self.esp_without_sa > 0 {
            writeln!(f, "  {} of those passed are ESP packets that no SA is for", self.esp_without_sa)?;
        }
        if self.in_gtp > 0 {
            writeln!(f, "  {} packets were in GTP-U; what was opened is written without it", self.in_gtp)?;
        }
        if self.in_udp > 0 {
            writeln!(f, "  {} ESP packets were in UDP at port 4500", self.in_udp)?;
        }
        for (reason, refused) in &self.refused {
            let frames: Vec<_> = refused.frames.iter().map(u64::to_string).collect();
            write!(f, "  {} {reason}", refused.count)?;
            match frames.as_slice() {
                [] => writeln!(f)?,
                [one] => writeln!(f, " (frame {one})")?,
                many => {
                    let more = if refused.count > FRAMES as u64 { ", ..." } else { "" };
                    writeln!(f, " (frames {}{more})", many.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

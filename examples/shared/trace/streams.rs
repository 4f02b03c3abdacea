//! SIP messages out of TCP streams, and out of text.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

use crate::sip::{Message, is_start_line};

/// The TCP streams of a capture, one direction each. What does not begin like SIP is not kept.
#[derive(Debug, Default)]
pub struct Streams {
    by_ends: HashMap<(SocketAddr, SocketAddr), Stream>,
    /// In the order in which they began.
    order: VecDeque<(SocketAddr, SocketAddr)>,
    /// Of all of them.
    octets: usize,
}

#[derive(Debug, Default)]
struct Stream {
    next: Option<u32>,
    buffer: Vec<u8>,
    /// Segments that came early.
    early: BTreeMap<u32, Vec<u8>>,
}

const STREAMS: usize = 4096;
/// Octets of all streams: the oldest go.
const ALL_OCTETS: usize = 32 << 20;
const OCTETS: usize = 64 * 1024;
const SEGMENTS: usize = 64;

impl Streams {
    /// Takes a segment, and returns the messages that are complete with it.
    pub fn take(
        &mut self,
        ends: (SocketAddr, SocketAddr),
        sequence: u32,
        begins: bool,
        data: &[u8],
    ) -> Vec<Message> {
        if !self.by_ends.contains_key(&ends) {
            if data.is_empty() && !begins {
                return Vec::new();
            }
            while self.order.len() >= STREAMS || self.octets > ALL_OCTETS {
                let Some(oldest) = self.order.pop_front() else { break };
                let gone = self.by_ends.remove(&oldest);
                self.octets -= gone.map_or(0, |stream| stream.octets());
            }
            self.order.push_back(ends);
        }
        let stream = self.by_ends.entry(ends).or_default();
        self.octets -= stream.octets();
        let messages = if begins {
            *stream = Stream { next: Some(sequence.wrapping_add(1)), ..Stream::default() };
            Vec::new()
        } else {
            stream.take(sequence, data);
            stream.messages()
        };
        self.octets += stream.octets();
        messages
    }
}

impl Stream {
    /// What it holds.
    fn octets(&self) -> usize {
        self.buffer.capacity() + self.early.values().map(Vec::len).sum::<usize>()
    }

    fn take(&mut self, sequence: u32, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let next = *self.next.get_or_insert(sequence);
        // How far it is ahead of what is expected: half of all numbers are earlier.
        let ahead = sequence.wrapping_sub(next);
        if ahead == 0 {
            self.append(data);
        } else if ahead < 1 << 31 {
            if self.early.len() >= SEGMENTS {
                // Something is lost: it goes on with what there is.
                self.early.clear();
                self.buffer.clear();
                self.next = Some(sequence);
                self.append(data);
            } else {
                self.early.insert(sequence, data.to_vec());
            }
        } else if let Some(rest) =
            data.get(next.wrapping_sub(sequence) as usize..).filter(|rest| !rest.is_empty())
        {
            // A retransmission with something new after it.
            self.append(rest);
        }
        // What came early, and what of it is new by now.
        loop {
            let Some(next) = self.next else { return };
            let is_due = |sequence: &u32| next.wrapping_sub(*sequence) < 1 << 31;
            let Some(sequence) = self.early.keys().copied().find(is_due) else { return };
            let data = self.early.remove(&sequence).unwrap_or_default();
            let new = data.get(next.wrapping_sub(sequence) as usize..).unwrap_or_default().to_vec();
            self.append(&new);
        }
    }

    fn append(&mut self, data: &[u8]) {
        self.next = self.next.map(|next| next.wrapping_add(data.len() as u32));
        if self.buffer.len() + data.len() > OCTETS {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(data);
    }

    fn messages(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            // Lines before a message keep a connection alive (RFC 5626 4.4.1).
            let blank = self.buffer.iter().take_while(|octet| [b'\r', b'\n'].contains(octet)).count();
            self.buffer.drain(..blank);
            if !may_begin_sip(&self.buffer) {
                self.buffer = Vec::new();
                return messages;
            }
            let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") else {
                return messages;
            };
            let head = String::from_utf8_lossy(self.buffer.get(..end + 4).unwrap_or_default()).into_owned();
            let Ok(message) = Message::parse(&head) else {
                self.buffer.clear();
                return messages;
            };
            let body = message.by_names("Content-Length", "l").trim().parse().unwrap_or(0_usize);
            let len = (end + 4).saturating_add(body);
            if self.buffer.len() < len {
                if len > OCTETS {
                    self.buffer.clear();
                }
                return messages;
            }
            self.buffer.drain(..len);
            messages.push(message);
        }
    }
}

/// Whether octets may be the begin of a message of SIP: a status line, or a method.
pub(super) fn may_begin_sip(octets: &[u8]) -> bool {
    let version = b"SIP/2.0 ";
    let begin = octets.get(..octets.len().min(version.len())).unwrap_or_default();
    if version.starts_with(begin) {
        return !begin.is_empty();
    }
    let method = octets.iter().take_while(|octet| octet.is_ascii_uppercase()).count();
    (2..=16).contains(&method) && octets.get(method).is_none_or(|octet| *octet == b' ')
}

/// The messages of a text: a log, or several messages one after the other. Lines may be indented.
pub fn messages_of_text(text: &str) -> Vec<Message> {
    let mut messages: Vec<String> = Vec::new();
    let mut reading = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if is_start_line(trimmed) {
            messages.push(format!("{trimmed}\n"));
            reading = true;
        } else if reading && trimmed.is_empty() {
            reading = false;
        } else if let Some(message) = messages.last_mut().filter(|_| reading) {
            match trimmed.split_once(':') {
                Some((name, _)) if !name.contains([' ', '"', '<']) => message.push_str(trimmed),
                // A folded line.
                _ => {
                    message.pop();
                    message.push(' ');
                    message.push_str(trimmed);
                }
            }
            message.push('\n');
        }
    }
    messages.iter().filter_map(|text| Message::parse(text).ok()).collect()
}

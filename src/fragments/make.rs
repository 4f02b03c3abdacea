//! Datagrams become fragments.

use crate::esp::IpError;
use crate::esp::ip::Datagram;
use crate::impossible::part;

/// Why a datagram was not fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// The datagram cannot be read, or is a fragment itself.
    #[error(transparent)]
    Ip(#[from] IpError),
    /// It is longer than the MTU and says "don't fragment": its sender must learn the path MTU
    /// (ICMP "fragmentation needed", RFC 1191).
    #[error("longer than the MTU of {0} octets, and not to be fragmented")]
    DontFragment(usize),
    /// The MTU has no room for the headers and 8 octets.
    #[error("MTU of {0} octets is too small")]
    Mtu(usize),
    /// The buffer has no room for the fragment: the caller's fault.
    #[error("buffer too small: {needed} octets needed, {found} available")]
    Room {
        /// Octets needed.
        needed: usize,
        /// Octets available.
        found: usize,
    },
}

crate::code::codes!(FragmentError {
    FragmentError::DontFragment(_) => "fragment-not-allowed",
    FragmentError::Mtu(_) => "fragment-mtu",
    FragmentError::Room { .. } => "fragment-room",
    ;
    FragmentError::Ip(error) => error,
});

/// The fragments of a datagram, one after the other (RFC 791 2.3, RFC 8200 4.5). One that fits is
/// its own only fragment, and is written as it is.
///
/// Nothing is allocated. See [`Reassembly`](super::Reassembly) for an example.
#[derive(Clone, Debug)]
pub struct Fragments<'p> {
    /// The whole datagram, and nothing after it.
    packet: &'p [u8],
    /// The headers that each fragment has.
    headers: Datagram,
    mtu: usize,
    identification: u32,
    /// Octets of the fragmented part that have been written.
    written: usize,
    is_done: bool,
}

impl<'p> Fragments<'p> {
    /// The fragments of a datagram, none of them longer than `mtu` octets. `identification`, of
    /// which IPv4 has the lower 16 bits, must not be that of another datagram between the same
    /// addresses that may be on its way, nor be predictable (RFC 7739): count from a random number
    /// on.
    ///
    /// # Errors
    /// [`FragmentError`]
    pub fn new(packet: &'p [u8], mtu: usize, identification: u32) -> Result<Self, FragmentError> {
        let headers = Datagram::parse_fragmentable(packet)?;
        let packet = part(packet, ..headers.total_len);
        let fits = packet.len() <= mtu;
        if !fits && headers.must_not_be_fragmented(packet) {
            return Err(FragmentError::DontFragment(mtu));
        }
        if !fits && mtu < headers.fragment_header_len() + 8 {
            return Err(FragmentError::Mtu(mtu));
        }
        Ok(Self { packet, headers, mtu, identification, written: 0, is_done: false })
    }

    /// Writes the next fragment to the start of a buffer and returns its length; `None` after the
    /// last. A buffer as long as the MTU has room for each.
    ///
    /// # Errors
    /// [`FragmentError::Room`]; the same fragment can be written again.
    pub fn write_next(&mut self, out: &mut [u8]) -> Result<Option<usize>, FragmentError> {
        if self.is_done {
            return Ok(None);
        }
        let found = out.len();
        let (len, data) = if self.packet.len() <= self.mtu {
            (self.packet.len(), self.packet.len())
        } else {
            let left = self.headers.payload_len() - self.written;
            let header_len = self.headers.fragment_header_len();
            let room = self.mtu - header_len;
            let data = if left <= room { left } else { room & !7 };
            (header_len + data, data)
        };
        let out = out.get_mut(..len).ok_or(FragmentError::Room { needed: len, found })?;
        if len == self.packet.len() {
            out.copy_from_slice(self.packet);
            self.is_done = true;
            return Ok(Some(len));
        }
        let (to_headers, to_data) =
            out.split_at_mut_checked(len - data).ok_or(FragmentError::Room { needed: len, found })?;
        let payload = self.headers.payload(self.packet);
        let end = self.written + data;
        to_data.copy_from_slice(part(payload, self.written..end));
        self.is_done = end == payload.len();
        let place = (self.written, !self.is_done);
        self.headers
            .write_fragment_headers(self.packet, to_headers, data, self.identification, place)
            .ok_or(FragmentError::Room { needed: len, found })?;
        self.written = end;
        Ok(Some(len))
    }
}

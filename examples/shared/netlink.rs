//! The socket of the kernel's XFRM.

use std::io;

use ipsec_3gpp::export::xfrm::Netlink;
use netlink_sys::Socket;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_XFRM;

/// A netlink socket. The kernel answers before a request returns: a call never waits.
#[derive(Debug)]
pub struct XfrmSocket(Socket);

/// Notices of a kernel, by their group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// States that have reached a limit.
    Expire = 2,
    /// Numbers of states that have moved on.
    Aevents = 5,
    /// Ports that a NAT has moved.
    Mapping = 8,
}

impl XfrmSocket {
    /// A socket for requests.
    ///
    /// # Errors
    /// The system's: without `CAP_NET_ADMIN` the kernel refuses requests, not the socket.
    pub fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_XFRM)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        // Errors have a text, and do not repeat their request.
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        socket.set_rx_buf_sz(1_u32 << 20)?;
        Ok(Self(socket))
    }

    /// A socket for notices.
    ///
    /// # Errors
    /// The system's.
    pub fn notices(groups: &[Group]) -> io::Result<Self> {
        let socket = Self::new()?;
        for group in groups {
            socket.0.add_membership(*group as u32)?;
        }
        Ok(socket)
    }
}

impl Netlink for XfrmSocket {
    type Error = io::Error;

    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        match self.0.send(datagram, 0)? {
            sent if sent == datagram.len() => Ok(()),
            sent => Err(io::Error::other(format!("{sent} of {} octets were sent", datagram.len()))),
        }
    }

    fn receive(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        // With this flag the length is that of the whole datagram.
        const MSG_TRUNC: i32 = 0x20;
        let room = buffer.len();
        match self.0.recv(&mut buffer, MSG_TRUNC)? {
            len if len <= room => Ok(len),
            len => Err(io::Error::other(format!("a datagram of {len} octets"))),
        }
    }
}

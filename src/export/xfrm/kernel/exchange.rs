//! Requests to a kernel, and what it answers.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::export::xfrm::change::{Changes, StateId, Subject};
use crate::export::xfrm::fields::ReplyError;
use crate::export::xfrm::message::{Acknowledge, Dump, dump, request_state};
use crate::export::xfrm::owner::Owner;
use crate::export::xfrm::reply::{Failure, Reply, name_of, replies};
use crate::impossible::part_mut;
use crate::sa::SetId;

/// A socket of the family `NETLINK_XFRM`: two calls.
///
/// A process needs `CAP_NET_ADMIN` for it. With the option `NETLINK_CAP_ACK` the answers are short,
/// and with a receive buffer of a megabyte none is lost where many sets fail at once. A `receive`
/// that waits for ever makes calls of [`Kernel`](super::Kernel) wait for ever: set a timeout.
pub trait Netlink {
    /// Why a datagram could not be sent or received.
    type Error: core::error::Error;

    /// Sends one datagram to the kernel.
    ///
    /// # Errors
    /// The socket's.
    fn send(&mut self, datagram: &[u8]) -> Result<(), Self::Error>;

    /// Receives one datagram of the kernel, and returns its length.
    ///
    /// # Errors
    /// The socket's; a datagram that is longer than the buffer is one.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error>;
}

impl<N: Netlink + ?Sized> Netlink for &mut N {
    type Error = N::Error;

    fn send(&mut self, datagram: &[u8]) -> Result<(), Self::Error> {
        (**self).send(datagram)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        (**self).receive(buffer)
    }
}

/// Why a kernel did not make a change, or could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError<E> {
    /// The socket failed. Where the kernel may have the changes, what they could have made has been
    /// taken back.
    #[error("netlink socket: {0}")]
    Socket(E),
    /// As the error before it: the answers to several sets travel together.
    #[error("answers of the kernel were lost with those of an earlier set")]
    Lost,
    /// The kernel answered with what cannot be read.
    #[error("answer of the kernel: {0}")]
    Reply(ReplyError),
    /// The kernel refused a change.
    #[error("{subject}: {name} ({errno}){}", Detail(text), name = name_of(*errno))]
    Refused {
        /// What was to be changed.
        subject: Subject,
        /// The number of the error: 17 is EEXIST.
        errno: i32,
        /// The kernel's words, where it has any.
        text: Option<String>,
    },
    /// The kernel refused to tell what it has.
    #[error("reading states or policies: {name} ({errno})", name = name_of(*errno))]
    Dump {
        /// The number of the error.
        errno: i32,
    },
    /// The tables changed each time that they were listed.
    #[error("states or policies changed while they were listed")]
    Unstable,
    /// The set was not installed, or was removed.
    #[error("{0} is not installed")]
    NotInstalled(SetId),
}

crate::code::codes!(<E> KernelError<E> {
    KernelError::Socket(_) => "xfrm-socket",
    KernelError::Lost => "xfrm-lost",
    KernelError::Refused { .. } => "xfrm-refused",
    KernelError::Dump { .. } => "xfrm-dump",
    KernelError::Unstable => "xfrm-unstable",
    KernelError::NotInstalled(_) => "xfrm-not-installed",
    ;
    KernelError::Reply(error) => error,
});

impl<E> From<ReplyError> for KernelError<E> {
    fn from(error: ReplyError) -> Self {
        KernelError::Reply(error)
    }
}

struct Detail<'a>(&'a Option<String>);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

/// One message that the kernel refused.
pub(super) struct Refusal {
    /// Which of the changes.
    pub(super) index: usize,
    pub(super) subject: Subject,
    pub(super) errno: i32,
    text: Option<String>,
}

impl<E> From<Refusal> for KernelError<E> {
    fn from(refusal: Refusal) -> Self {
        let Refusal { subject, errno, text, .. } = refusal;
        KernelError::Refused { subject, errno, text }
    }
}

/// The answers to a list of changes.
pub(super) struct Answers<E> {
    /// The changes that were refused, in their order.
    pub(super) refused: Vec<Refusal>,
    pub(super) broken: Option<Broken<E>>,
}

/// The exchange failed.
pub(super) struct Broken<E> {
    pub(super) error: KernelError<E>,
    /// The kernel has the changes, and those that are not refused may have been made.
    pub(super) sent: bool,
}

impl<E> Answers<E> {
    /// The answers to a part of the changes, by the index of the first one and their number.
    pub(super) fn take_part(&mut self, first: usize, count: usize) -> Self {
        let is_of = |one: &Refusal| (first..first + count).contains(&one.index);
        let (own, others) = core::mem::take(&mut self.refused).into_iter().partition(is_of);
        self.refused = others;
        let mut own: Vec<Refusal> = own;
        own.iter_mut().for_each(|one| one.index -= first);
        let broken = self.broken.as_mut().map(|broken| Broken {
            error: core::mem::replace(&mut broken.error, KernelError::Lost),
            sent: broken.sent,
        });
        Self { refused: own, broken }
    }

    /// Whether a change was carried out, as far as is known.
    pub(super) fn may_be_made(&self, index: usize) -> bool {
        self.broken.as_ref().is_none_or(|broken| broken.sent)
            && !self.refused.iter().any(|one| one.index == index)
    }
}

/// The largest datagram that Linux makes for a dump.
const LARGEST: usize = 32 * 1024;

pub(super) struct Exchange<N> {
    pub(super) socket: N,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl<N> Drop for Exchange<N> {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

impl<N: Netlink> Exchange<N> {
    pub(super) fn new(socket: N) -> Self {
        Self { socket, sequence: 1, buffer: vec![0; LARGEST].into_boxed_slice() }
    }

    const fn numbers(&mut self, count: usize) -> u32 {
        let first = self.sequence;
        self.sequence = first.wrapping_add(count as u32);
        first
    }

    /// Sends changes as one datagram, and reads answers up to that of the last one: the kernel
    /// answers in the order of the messages.
    pub(super) fn carry_out(&mut self, changes: &Changes<'_>) -> Answers<N::Error> {
        let mut answers = Answers { refused: Vec::new(), broken: None };
        if changes.list().is_empty() {
            return answers;
        }
        let first = self.numbers(changes.list().len());
        let messages = changes.to_messages(first, Acknowledge::Last);
        if let Err(error) = self.socket.send(messages.expose()) {
            answers.broken = Some(Broken { error: KernelError::Socket(error), sent: false });
            return answers;
        }
        let last = messages.last_sequence();
        let collected = self.receive(|sequence, reply| {
            let Some(subject) = messages.subject(sequence) else { return false };
            if let Reply::Failed(Failure { errno, text }) = reply {
                let index = sequence.wrapping_sub(first) as usize;
                let text = text.map(ToOwned::to_owned);
                answers.refused.push(Refusal { index, subject: *subject, errno, text });
            }
            sequence == last && matches!(reply, Reply::Failed(_) | Reply::Acknowledged)
        });
        answers.broken = collected.err().map(|error| Broken { error, sent: true });
        answers
    }

    /// Hands each reply on, until one is the last. Replies may repeat requests and have keys: what
    /// was read is wiped.
    fn receive(
        &mut self,
        mut is_last: impl FnMut(u32, Reply<'_>) -> bool,
    ) -> Result<(), KernelError<N::Error>> {
        loop {
            let len = self.socket.receive(&mut self.buffer).map_err(KernelError::Socket)?;
            let datagram = self.buffer.get(..len).unwrap_or_default();
            let (mut last, mut error) = (false, datagram.is_empty().then_some(ReplyError::Short { kind: 0 }));
            for reply in replies(datagram) {
                match reply {
                    Ok((sequence, reply)) => last |= is_last(sequence, reply),
                    Err(wrong) => error = Some(wrong),
                }
            }
            part_mut(&mut self.buffer, ..len).zeroize();
            match (error, last) {
                (Some(error), _) => return Err(error.into()),
                (None, true) => return Ok(()),
                (None, false) => {}
            }
        }
    }

    /// Sends a message that makes a state again, and reads its acknowledgement.
    pub(super) fn restore(
        &mut self,
        id: StateId,
        make: impl FnOnce(u32) -> Result<Zeroizing<Vec<u8>>, ReplyError>,
    ) -> Result<(), KernelError<N::Error>> {
        let number = self.numbers(1);
        let message = make(number)?;
        self.socket.send(&message).map_err(KernelError::Socket)?;
        let mut refused = None;
        self.receive(|sequence, reply| {
            if let (true, Reply::Failed(Failure { errno, text })) = (sequence == number, reply) {
                refused = Some((errno, text.map(ToOwned::to_owned)));
            }
            sequence == number && matches!(reply, Reply::Failed(_) | Reply::Acknowledged)
        })?;
        match refused {
            Some((errno, text)) => Err(KernelError::Refused { subject: Subject::State(id), errno, text }),
            None => Ok(()),
        }
    }

    /// One state with its keys and numbers, as the kernel sends it; `None` if there is none.
    pub(super) fn state(
        &mut self,
        owner: &Owner,
        id: StateId,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KernelError<N::Error>> {
        let number = self.numbers(1);
        self.socket.send(&request_state(owner, id, number)).map_err(KernelError::Socket)?;
        let (mut found, mut errno) = (None, 0);
        self.receive(|sequence, reply| {
            if sequence != number {
                return false;
            }
            if let Reply::State(state) = reply {
                found = Some(Zeroizing::new(state.expose().to_vec()));
            } else if let Reply::Failed(failure) = reply {
                errno = failure.errno;
            }
            true
        })?;
        match errno {
            0 | Failure::NO_STATE => Ok(found),
            errno => Err(KernelError::Dump { errno }),
        }
    }

    /// Lists a table; once more where it changed meanwhile.
    pub(super) fn list(
        &mut self,
        what: Dump,
        mut each: impl FnMut(Reply<'_>),
        mut begin: impl FnMut(),
    ) -> Result<(), KernelError<N::Error>> {
        const ATTEMPTS: u32 = 5;
        for _ in 0..ATTEMPTS {
            begin();
            let number = self.numbers(1);
            self.socket.send(&dump(what, number)).map_err(KernelError::Socket)?;
            let (mut complete, mut errno) = (false, None);
            self.receive(|sequence, reply| {
                if sequence != number {
                    return false;
                }
                if let Reply::Done { whole } = reply {
                    complete = whole;
                } else if let Reply::Failed(failure) = reply {
                    errno = Some(failure.errno);
                } else {
                    each(reply);
                    return false;
                }
                true
            })?;
            match errno {
                Some(errno) => return Err(KernelError::Dump { errno }),
                None if complete => return Ok(()),
                None => {}
            }
        }
        Err(KernelError::Unstable)
    }
}

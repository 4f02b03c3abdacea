//! Nonces without a state per challenge: each is its serial number and time, and a MAC of them.

use alloc::string::String;
use core::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{KeyInit, Mac};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::time::Moment;
use crate::wipe::wiped_message;

const MAC: usize = 16;
const LEN: usize = 8 + 8 + MAC;

/// The secret of a server's nonces: random octets, drawn again at each start. A nonce made with it
/// can be made by nobody else. It wipes itself and is not printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct NonceSecret([u8; 32]);

impl NonceSecret {
    /// Of random octets.
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    fn mac(&self, serial: u64, time: u64, realm: &str) -> [u8; MAC] {
        wiped_message(|| {
            let Ok(mut mac) = hmac::Hmac::<sha2::Sha256>::new_from_slice(&self.0) else {
                return crate::impossible::impossible([0; MAC]);
            };
            mac.update(&serial.to_be_bytes());
            mac.update(&time.to_be_bytes());
            mac.update(realm.as_bytes());
            let whole = mac.finalize().into_bytes();
            let mut cut = [0; MAC];
            cut.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
            cut
        })
    }
}

impl core::fmt::Debug for NonceSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NonceSecret(..)")
    }
}

/// Makes nonces, and knows its own.
#[derive(Debug)]
pub(super) struct Nonces {
    secret: NonceSecret,
    /// The one before: its nonces are still good.
    previous: Option<NonceSecret>,
    next: u64,
    life: Duration,
    /// The clock does not go back.
    latest: Moment,
}

/// A nonce of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) serial: u64,
    age: Duration,
}

impl Nonces {
    pub(super) const fn new(secret: NonceSecret, life: Duration) -> Self {
        Self { secret, previous: None, next: 0, life, latest: Moment::from_millis(0) }
    }

    pub(super) fn rotate(&mut self, secret: NonceSecret) {
        self.previous = Some(core::mem::replace(&mut self.secret, secret));
    }

    fn told(&mut self, now: Moment) -> Moment {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// Another one in each call.
    pub(super) fn issue(&mut self, now: Moment, realm: &str) -> String {
        let (serial, time) = (self.next, self.told(now).as_millis());
        self.next += 1;
        let mut octets = [0; LEN];
        let parts = serial.to_be_bytes().into_iter().chain(time.to_be_bytes());
        let parts = parts.chain(self.secret.mac(serial, time, realm));
        octets.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        Base64UrlUnpadded::encode_string(&octets)
    }

    /// `None` if it was not made with a secret that is still in use, or is too old.
    pub(super) fn read(&mut self, now: Moment, nonce: &str, realm: &str) -> Option<Issued> {
        let now = self.told(now);
        let mut octets = [0; LEN];
        let octets =
            Base64UrlUnpadded::decode(nonce, &mut octets).ok().filter(|octets| octets.len() == LEN)?;
        let (serial, rest) = octets.split_first_chunk::<8>()?;
        let (time, mac) = rest.split_first_chunk::<8>()?;
        let (serial, time) = (u64::from_be_bytes(*serial), u64::from_be_bytes(*time));
        let is_of = |secret: &NonceSecret| bool::from(secret.mac(serial, time, realm).ct_eq(mac));
        let is_own = is_of(&self.secret) || self.previous.as_ref().is_some_and(is_of);
        let age = now.since(Moment::from_millis(time));
        (is_own && age <= self.life).then_some(Issued { serial, age })
    }

    /// Whether the next nonce is due, so that the client need not be challenged again.
    pub(super) fn is_old(&self, nonce: Issued) -> bool {
        nonce.age >= self.life / 2
    }
}

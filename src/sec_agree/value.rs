//! The values of parameters.

use alloc::boxed::Box;
use core::fmt;

/// A parameter that has no meaning to this crate.
///
/// Name and value are written as they stand. Whoever makes one of other text than a parsed header's
/// must see to it that it is a token of RFC 3261: a comma or a line break in it would begin
/// something new in the message.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, as it was written.
    pub name: Box<str>,
    /// Its value.
    pub value: Value,
}

/// A parameter's value.
#[derive(Clone, Debug)]
pub enum Value {
    /// The parameter is a flag.
    Absent,
    /// A token or a host; equal to another without regard to case.
    Token(Box<str>),
    /// A quoted string, without its quotes and with its escapes; equal to another letter by letter.
    Quoted(Box<str>),
}

impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name) && self.value == other.value
    }
}
impl Eq for Parameter {}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Absent, Value::Absent) => true,
            (Value::Token(a), Value::Token(b)) => a.eq_ignore_ascii_case(b),
            (Value::Quoted(a), Value::Quoted(b)) => a == b,
            (Value::Absent | Value::Token(_) | Value::Quoted(_), _) => false,
        }
    }
}
impl Eq for Value {}

/// An algorithm's name: one that this crate has, or one that it does not.
#[derive(Clone, Debug)]
pub enum Name<T> {
    /// An algorithm of this crate.
    Known(T),
    /// Any other token, as it was written. Equal to another without regard to case. It is emitted
    /// as it is, as a [`Parameter`] is.
    Unknown(Box<str>),
}

impl<T: PartialEq> PartialEq for Name<T> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Name::Known(a), Name::Known(b)) => a == b,
            (Name::Unknown(a), Name::Unknown(b)) => a.eq_ignore_ascii_case(b),
            (Name::Known(_) | Name::Unknown(_), _) => false,
        }
    }
}
impl<T: Eq> Eq for Name<T> {}

/// `prot`, the protocol of the SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `esp`, the only one that IMS allows.
    Esp,
    /// `ah`
    Ah,
}

/// `mod`, the mode of the SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `trans`, transport mode.
    Transport,
    /// `tun`, tunnel mode.
    Tunnel,
    /// `UDP-enc-tun`, UDP-encapsulated tunnel mode (TS 33.203 Annex M).
    UdpEncapsulatedTunnel,
}

impl Protocol {
    /// The token in `prot=`.
    pub const fn token(self) -> &'static str {
        match self {
            Protocol::Esp => "esp",
            Protocol::Ah => "ah",
        }
    }
}

impl Mode {
    /// The token in `mod=`.
    pub const fn token(self) -> &'static str {
        match self {
            Mode::Transport => "trans",
            Mode::Tunnel => "tun",
            Mode::UdpEncapsulatedTunnel => "UDP-enc-tun",
        }
    }
}

/// A preference, 0.000 to 1.000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qvalue(u16);

impl Qvalue {
    /// 1.000, the highest.
    pub const MAX: Qvalue = Qvalue(1000);

    /// A preference in thousandths; `None` above 1000.
    pub const fn from_thousandths(thousandths: u16) -> Option<Self> {
        if thousandths <= 1000 { Some(Self(thousandths)) } else { None }
    }

    /// The preference in thousandths.
    pub const fn thousandths(self) -> u16 {
        self.0
    }

    /// Reads the qvalue of RFC 3261 25.1: up to three digits after the point.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
        if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let thousandths = digits
            .bytes()
            .chain(core::iter::repeat(b'0'))
            .take(3)
            .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        match whole {
            "0" => Some(Self(thousandths)),
            "1" if thousandths == 0 => Some(Self::MAX),
            _ => None,
        }
    }
}

impl fmt::Debug for Qvalue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "q={}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// The same parameters in any order. No name is in a list twice.
pub(super) fn same_parameters(one: &[Parameter], other: &[Parameter]) -> bool {
    one.len() == other.len() && one.iter().all(|parameter| other.contains(parameter))
}

//! How a list is written: the order of parameters, white space, the forms of `q` and SPI.
//!
//! Every style says the same thing. They exist because some peers refuse the forms that they are
//! not used to.

use core::fmt::{self, Write};

use super::mechanism::{Ipsec3gpp, Mechanism};
use super::value::{Name, Parameter, Qvalue, Value};
use crate::setup::Port;
use crate::spi::Spi;

/// A parameter of `ipsec-3gpp`, for the order in a [`Style`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `q`
    Q,
    /// `alg`
    Alg,
    /// `ealg`
    Ealg,
    /// `prot`
    Prot,
    /// `mod`
    Mod,
    /// `spi-c`
    SpiC,
    /// `spi-s`
    SpiS,
    /// `port-c`
    PortC,
    /// `port-s`
    PortS,
}

/// How `q` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QvalueFormat {
    /// `0.1`, `0.25`, `1.0`: no more digits than needed, one at least.
    Short,
    /// `0.100`, `1.000`: always three digits.
    ThreeDigits,
}

/// A way of writing a list. The constants are the habits of known peers; each other mixture can be
/// made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The order of the parameters. One that is not listed is written after those that are.
    pub order: &'static [Field],
    /// Between two parameters: `;` or `; `.
    pub semicolon: &'static str,
    /// Between two mechanisms: `,` or `, `.
    pub comma: &'static str,
    /// The form of `q`.
    pub q: QvalueFormat,
    /// SPIs with ten digits, with leading zeros, as the grammar of Annex H has it.
    pub padded_spi: bool,
    /// Leaves out `prot=esp` and `mod=trans`, which are the defaults.
    pub defaults_left_out: bool,
}

use Field::{Alg, Ealg, Mod, PortC, PortS, Prot, Q, SpiC, SpiS};

impl Style {
    /// The order of Annex H, commas followed by a space, SPIs without leading zeros as nearly every
    /// peer expects.
    pub const STANDARD: Style = Style {
        order: &[Q, Alg, Prot, Mod, Ealg, SpiC, SpiS, PortC, PortS],
        semicolon: ";",
        comma: ", ",
        q: QvalueFormat::Short,
        padded_spi: false,
        defaults_left_out: false,
    };
    /// The letter of Annex H: SPIs of ten digits; `q` with three.
    pub const PADDED: Style = Style { q: QvalueFormat::ThreeDigits, padded_spi: true, ..Style::STANDARD };
    /// iPhones: parameters in alphabetical order, no white space.
    pub const IOS: Style =
        Style { order: &[Alg, Ealg, Mod, PortC, PortS, Prot, SpiC, SpiS, Q], comma: ",", ..Style::STANDARD };
    /// Samsung phones: algorithms last.
    pub const SAMSUNG: Style =
        Style { order: &[Q, Prot, Mod, SpiC, SpiS, PortC, PortS, Alg, Ealg], ..Style::STANDARD };
    /// Qualcomm modems: a space after each semicolon, defaults left out.
    pub const QUALCOMM: Style = Style {
        order: &[Alg, Ealg, SpiC, SpiS, PortC, PortS, Q],
        semicolon: "; ",
        comma: ",",
        defaults_left_out: true,
        ..Style::STANDARD
    };
    /// Several phones of unknown make: no white space, defaults left out.
    pub const COMPACT: Style = Style { semicolon: ";", ..Style::QUALCOMM };
    /// Huawei phones and networks: `ealg` after `mod`, commas without a space.
    pub const HUAWEI: Style = Style { comma: ",", ..Style::STANDARD };
    /// AT&T: `ealg` after `alg`, a space after each semicolon.
    pub const SPACED: Style = Style {
        order: &[Q, Alg, Ealg, Prot, Mod, SpiC, SpiS, PortC, PortS],
        semicolon: "; ",
        ..Style::STANDARD
    };
    /// Kamailio's P-CSCF: the algorithms last, `q` first. The order of Samsung phones.
    pub const KAMAILIO: Style = Style::SAMSUNG;
    /// OpenSIPS' P-CSCF: server values before client values, the algorithms last.
    pub const OPENSIPS: Style =
        Style { order: &[Q, Prot, Mod, SpiS, SpiC, PortS, PortC, Alg, Ealg], ..Style::STANDARD };

    /// Every named style, with its name.
    pub const NAMED: [(&'static str, Style); 10] = [
        ("standard", Style::STANDARD),
        ("padded", Style::PADDED),
        ("ios", Style::IOS),
        ("samsung", Style::SAMSUNG),
        ("qualcomm", Style::QUALCOMM),
        ("compact", Style::COMPACT),
        ("huawei", Style::HUAWEI),
        ("spaced", Style::SPACED),
        ("kamailio", Style::KAMAILIO),
        ("opensips", Style::OPENSIPS),
    ];

    pub(super) fn write_list(&self, list: &[Mechanism], out: &mut impl Write) -> fmt::Result {
        for (index, mechanism) in list.iter().enumerate() {
            if index > 0 {
                out.write_str(self.comma)?;
            }
            match mechanism {
                Mechanism::Ipsec3gpp(offer) => self.write_ipsec(offer, out)?,
                Mechanism::Other(other) => {
                    out.write_str(other.name())?;
                    if let Some(q) = other.q {
                        self.write_q(q, out)?;
                    }
                    self.write_extensions(other.parameters(), out)?;
                }
                Mechanism::Malformed(malformed) => {
                    let harmless = |c: char| if c.is_ascii_control() && c != '\t' { '?' } else { c };
                    malformed.text().chars().try_for_each(|c| out.write_char(harmless(c)))?;
                }
            }
        }
        Ok(())
    }

    fn write_ipsec(&self, offer: &Ipsec3gpp, out: &mut impl Write) -> fmt::Result {
        const ALL: [Field; 9] = [Q, Alg, Prot, Mod, Ealg, SpiC, SpiS, PortC, PortS];
        out.write_str(Ipsec3gpp::NAME)?;
        let rest = ALL.iter().filter(|field| !self.order.contains(field));
        for field in self.order.iter().chain(rest) {
            match field {
                Q => offer.q.map_or(Ok(()), |q| self.write_q(q, out))?,
                Alg => self.write_name("alg", offer.alg.as_ref(), |alg| alg.token(), out)?,
                Ealg => self.write_name("ealg", offer.ealg.as_ref(), |ealg| ealg.token(), out)?,
                Prot => match offer.prot {
                    Some(super::Protocol::Esp) if self.defaults_left_out => {}
                    prot => self.write("prot", prot.map(|prot| prot.token()), out)?,
                },
                Mod => match offer.mode {
                    Some(super::Mode::Transport) if self.defaults_left_out => {}
                    mode => self.write("mod", mode.map(|mode| mode.token()), out)?,
                },
                SpiC => self.write_spi("spi-c", offer.spi_c, out)?,
                SpiS => self.write_spi("spi-s", offer.spi_s, out)?,
                PortC => self.write_port("port-c", offer.port_c, out)?,
                PortS => self.write_port("port-s", offer.port_s, out)?,
            }
        }
        self.write_extensions(&offer.extensions, out)
    }

    fn write(&self, name: &str, value: Option<&str>, out: &mut impl Write) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        out.write_str(self.semicolon)?;
        out.write_str(name)?;
        out.write_str("=")?;
        out.write_str(value)
    }

    fn write_port(&self, name: &str, port: Option<Port>, out: &mut impl Write) -> fmt::Result {
        let mut digits = [b'0'; DIGITS];
        self.write(name, port.map(|port| decimal(port.get().into(), 1, &mut digits)), out)
    }

    fn write_name<T: Copy>(
        &self,
        name: &str,
        value: Option<&Name<T>>,
        token: impl Fn(T) -> &'static str,
        out: &mut impl Write,
    ) -> fmt::Result {
        let value = value.map(|value| match value {
            Name::Known(algorithm) => token(*algorithm),
            Name::Unknown(token) => token,
        });
        self.write(name, value, out)
    }

    fn write_spi(&self, name: &str, spi: Option<Spi>, out: &mut impl Write) -> fmt::Result {
        let least = if self.padded_spi { DIGITS } else { 1 };
        let mut digits = [b'0'; DIGITS];
        self.write(name, spi.map(|spi| decimal(spi.value(), least, &mut digits)), out)
    }

    fn write_q(&self, q: Qvalue, out: &mut impl Write) -> fmt::Result {
        let mut digits = [b'0'; DIGITS];
        let (whole, fraction) = decimal(q.thousandths().into(), 4, &mut digits).split_at(1);
        let fraction = match self.q {
            QvalueFormat::ThreeDigits => fraction,
            // Never down to the point itself: "1." and "0." are legal and unheard of.
            QvalueFormat::Short => match fraction.trim_end_matches('0') {
                "" => "0",
                short => short,
            },
        };
        self.write("q", Some(whole), out)?;
        out.write_str(".")?;
        out.write_str(fraction)
    }

    fn write_extensions(&self, extensions: &[Parameter], out: &mut impl Write) -> fmt::Result {
        for extension in extensions {
            match &extension.value {
                Value::Absent => {
                    out.write_str(self.semicolon)?;
                    out.write_str(&extension.name)?;
                }
                Value::Token(token) => self.write(&extension.name, Some(token), out)?,
                Value::Quoted(text) => {
                    self.write(&extension.name, Some("\""), out)?;
                    out.write_str(text)?;
                    out.write_str("\"")?;
                }
            }
        }
        Ok(())
    }
}

/// Of the longest number that is written: an SPI.
const DIGITS: usize = 10;

/// A number in decimal digits, with leading zeros up to this many. Emission is on the path of
/// every registration, and the formatting machinery is most of its cost.
fn decimal(mut number: u32, least: usize, digits: &mut [u8; DIGITS]) -> &str {
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 && used >= least {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
    }
    digits.get(DIGITS - used..).and_then(|digits| core::str::from_utf8(digits).ok()).unwrap_or_default()
}

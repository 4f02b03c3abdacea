//! Reads one mechanism: its parameters one by one into a value of its own.

use alloc::vec::Vec;
use core::str::FromStr;

use super::error::{MAX_PARAMETERS, MechanismError, ParameterName, Problem};
use super::mechanism::{Ipsec3gpp, Malformed, Mechanism, Other};
use super::value::{Mode, Name, Parameter, Protocol, Qvalue, Value};
use crate::lexer::{Broken, Lexer, RawValue};
use crate::setup::Port;
use crate::spi::Spi;

/// Why reading stopped.
enum Stop {
    Grammar,
    Error(MechanismError),
}

impl From<Broken> for Stop {
    fn from(_: Broken) -> Self {
        Stop::Grammar
    }
}

impl Mechanism {
    /// Reads one mechanism and stops before the comma after it, or at the end.
    pub(super) fn parse(lexer: &mut Lexer<'_>) -> Self {
        let start = lexer.position();
        let mut reader = Reader::default();
        let result = reader.read(lexer);
        let stop = match result {
            Ok(mechanism) => return mechanism,
            Err(stop) => stop,
        };
        let at = lexer.position() - start;
        lexer.skip_item(start);
        let text = lexer.since(start);
        let spis = [reader.ipsec.spi_c, reader.ipsec.spi_s];
        let error = match stop {
            // White space at the end is not part of the text.
            Stop::Grammar => MechanismError::Grammar { at: at.min(text.len()) },
            Stop::Error(error) => error,
        };
        Mechanism::Malformed(Malformed { text: text.into(), error, spis })
    }
}

/// A mechanism while it is being read.
#[derive(Default)]
struct Reader {
    ipsec: Ipsec3gpp,
}

impl Reader {
    fn read(&mut self, lexer: &mut Lexer<'_>) -> Result<Mechanism, Stop> {
        let name = lexer.token()?;
        let is_ipsec = name.eq_ignore_ascii_case(Ipsec3gpp::NAME);
        // An error in a value does not end the reading at once: broken grammar after it matters
        // more.
        let mut first_error = None;
        let mut count = 0;
        loop {
            lexer.skip_white();
            if !lexer.eat(b';') {
                break;
            }
            lexer.skip_white();
            let parameter = lexer.token()?;
            let Ok(value) = lexer.value() else {
                let problem = match lexer.rest_of_parameter() {
                    "" => Problem::NoValue,
                    text => wrong(text),
                };
                return Err(Stop::Error(MechanismError::Parameter {
                    parameter: ParameterName::of(parameter),
                    problem,
                }));
            };
            count += 1;
            if count > MAX_PARAMETERS {
                return Err(Stop::Error(MechanismError::TooManyParameters));
            }
            if let Err(error) = self.parameter(is_ipsec, parameter, value) {
                first_error.get_or_insert(error);
            }
        }
        if !lexer.at_end() && !lexer.clone().eat(b',') {
            return Err(Stop::Grammar);
        }
        if let Some(error) = first_error {
            return Err(Stop::Error(error));
        }
        let ipsec = core::mem::take(&mut self.ipsec);
        Ok(if is_ipsec {
            Mechanism::Ipsec3gpp(ipsec)
        } else {
            Mechanism::Other(Other { name: name.into(), q: ipsec.q, parameters: ipsec.extensions })
        })
    }

    fn parameter(&mut self, is_ipsec: bool, name: &str, value: RawValue<'_>) -> Result<(), MechanismError> {
        let name = ParameterName::of(name);
        let ipsec = &mut self.ipsec;
        let result = match &name {
            ParameterName::Q => {
                set(&mut ipsec.q, value, |text| Qvalue::parse(text).ok_or_else(|| wrong(text)))
            }
            _ if !is_ipsec => extend(&mut ipsec.extensions, name.as_str(), value),
            ParameterName::Alg => set(&mut ipsec.alg, value, |text| Ok(named(text))),
            ParameterName::Ealg => set(&mut ipsec.ealg, value, |text| Ok(named(text))),
            ParameterName::Prot => set(&mut ipsec.prot, value, |text| {
                one_of(text, [Protocol::Esp, Protocol::Ah], Protocol::token)
            }),
            ParameterName::Mod => set(&mut ipsec.mode, value, |text| {
                let modes = [Mode::Transport, Mode::Tunnel, Mode::UdpEncapsulatedTunnel];
                one_of(text, modes, Mode::token)
            }),
            ParameterName::SpiC => set(&mut ipsec.spi_c, value, |text| spi(text, &mut ipsec.short_spi)),
            ParameterName::SpiS => set(&mut ipsec.spi_s, value, |text| spi(text, &mut ipsec.short_spi)),
            ParameterName::PortC => set(&mut ipsec.port_c, value, port),
            ParameterName::PortS => set(&mut ipsec.port_s, value, port),
            ParameterName::Extension(extension) => extend(&mut ipsec.extensions, extension, value),
        };
        result.map_err(|problem| MechanismError::Parameter { parameter: name, problem })
    }
}

/// Sets a parameter that must have a token for a value and may be given once.
fn set<T>(
    parameter: &mut Option<T>,
    value: RawValue<'_>,
    read: impl FnOnce(&str) -> Result<T, Problem>,
) -> Result<(), Problem> {
    if parameter.is_some() {
        return Err(Problem::Duplicate);
    }
    match value {
        RawValue::Absent => Err(Problem::NoValue),
        RawValue::Quoted(_) => Err(Problem::Quoted),
        RawValue::Token(text) => {
            *parameter = Some(read(text)?);
            Ok(())
        }
    }
}

fn extend(parameters: &mut Vec<Parameter>, name: &str, value: RawValue<'_>) -> Result<(), Problem> {
    if parameters.iter().any(|known| known.name.eq_ignore_ascii_case(name)) {
        return Err(Problem::Duplicate);
    }
    let value = match value {
        RawValue::Absent => Value::Absent,
        RawValue::Token(text) => Value::Token(text.into()),
        RawValue::Quoted(text) => Value::Quoted(text.into()),
    };
    parameters.push(Parameter { name: name.into(), value });
    Ok(())
}

fn wrong(text: &str) -> Problem {
    Problem::Value(text.into())
}

fn named<T: FromStr>(text: &str) -> Name<T> {
    text.parse().map_or_else(|_| Name::Unknown(text.into()), Name::Known)
}

fn one_of<T: Copy, const N: usize>(
    text: &str,
    all: [T; N],
    token: impl Fn(T) -> &'static str,
) -> Result<T, Problem> {
    all.into_iter().find(|value| token(*value).eq_ignore_ascii_case(text)).ok_or_else(|| wrong(text))
}

/// Decimal digits and nothing else: `parse` of the standard library would let a sign through.
fn digits(text: &str, most: usize) -> Result<u64, Problem> {
    if !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong(text));
    }
    if text.len() > most {
        return Err(Problem::OutOfRange(text.into()));
    }
    text.parse().map_err(|_| wrong(text))
}

/// `spivalue = 10DIGIT`, of which peers leave out the leading zeros.
fn spi(text: &str, short: &mut bool) -> Result<Spi, Problem> {
    const DIGITS: usize = 10;
    let value = u32::try_from(digits(text, DIGITS)?).map_err(|_| Problem::OutOfRange(text.into()))?;
    *short |= text.len() < DIGITS;
    Spi::from_peer(value).map_err(|_| Problem::ZeroSpi)
}

/// `port = 1*DIGIT`: leading zeros are allowed, within reason.
fn port(text: &str) -> Result<Port, Problem> {
    let value = u16::try_from(digits(text, 10)?).map_err(|_| Problem::OutOfRange(text.into()))?;
    Port::from_peer(value).map_err(|_| Problem::ZeroPort)
}

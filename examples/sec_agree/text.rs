//! Answers for people.

use std::io::Write;

use ipsec_3gpp::policy::OfferVerdict;
use ipsec_3gpp::sec_agree::{Ipsec3gpp, Mechanism, SecurityClient};

use crate::input::Header;
use crate::{Answer, Result};

pub(crate) fn answer(out: &mut impl Write, header: &Header, answer: &Answer) -> Result<()> {
    let (list, selection) = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(writeln!(out, "{}: {error} ({})\n", header.name, error.code())?),
    };
    let reader = if header.name == SecurityClient::NAME { "P-CSCF" } else { "UE" };
    writeln!(out, "{}, as the {reader} reads it", header.name)?;
    let chosen = selection.chosen();
    let offers = selection.offers();
    for (index, mechanism) in list.mechanisms().iter().enumerate() {
        let verdict = match offers.get(index) {
            _ if chosen.is_some_and(|choice| choice.index == index) => "selected".to_owned(),
            Some(OfferVerdict::Usable { .. }) => "usable, with a lower priority".to_owned(),
            Some(OfferVerdict::PassedOver(reason)) => format!("passed over: {reason}"),
            _ => String::new(),
        };
        writeln!(out, "  {index}. {}", name(mechanism))?;
        if let Mechanism::Ipsec3gpp(offer) = mechanism {
            details(out, offer)?;
        }
        writeln!(out, "     {verdict}")?;
    }
    writeln!(out, "  the policy, by priority")?;
    for (suite, verdict) in selection.suites() {
        writeln!(out, "     {:<27} {verdict}", suite.to_string())?;
    }
    match chosen {
        Some(choice) => writeln!(out, "  selected: {}, mechanism {}\n", choice.suite, choice.index)?,
        None => writeln!(out, "  selected: nothing\n")?,
    }
    Ok(())
}

fn name(mechanism: &Mechanism) -> String {
    match mechanism {
        Mechanism::Ipsec3gpp(offer) => match offer.suite() {
            Ok(suite) => format!("ipsec-3gpp with {suite}"),
            Err(incomplete) => format!("ipsec-3gpp: {incomplete}"),
        },
        Mechanism::Other(other) => other.name().to_owned(),
        Mechanism::Malformed(malformed) => format!("malformed: {}", malformed.text()),
    }
}

fn details(out: &mut impl Write, offer: &Ipsec3gpp) -> Result<()> {
    if let Ok(setup) = offer.setup() {
        let (spis, ports) = (setup.spis, setup.ports);
        writeln!(
            out,
            "     spi-c {}, spi-s {}, port-c {}, port-s {}",
            spis.client, spis.server, ports.client, ports.server
        )?;
    }
    for quirk in offer.quirks().iter() {
        writeln!(out, "     not as the standards have it: {quirk}")?;
    }
    Ok(())
}

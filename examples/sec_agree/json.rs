//! Answers as JSON.

use ipsec_3gpp::policy::{OfferVerdict, Selection};
use ipsec_3gpp::sec_agree::{Ipsec3gpp, Mechanism, Name, Parameter, Qvalue, Value as ParameterValue};
use serde_json::{Map, Value, json};

use crate::Answer;
use crate::input::Header;

pub(crate) fn answer(header: &Header, answer: &Answer) -> Value {
    let (list, selection) = match answer {
        Ok(answer) => answer,
        Err(error) => {
            return json!({ "header": header.name, "error": error.to_string(), "code": error.code() });
        }
    };
    json!({
        "header": header.name,
        "mechanisms": list.mechanisms().iter().map(mechanism).collect::<Vec<_>>(),
        "selected": selected(selection),
        "suites": selection.suites().iter().map(|(suite, verdict)| {
            json!({ "suite": suite.to_string(), "verdict": verdict.to_string() })
        }).collect::<Vec<_>>(),
        "offers": selection.offers().iter().map(|offer| match offer {
            OfferVerdict::Usable { suite, .. } => json!({ "usable": suite.to_string() }),
            OfferVerdict::PassedOver(reason) => json!({ "passed over": reason.to_string() }),
            _ => Value::Null,
        }).collect::<Vec<_>>(),
    })
}

fn selected(selection: &Selection) -> Value {
    selection.chosen().map_or(Value::Null, |choice| {
        let (spis, ports) = (choice.setup.spis, choice.setup.ports);
        json!({
            "suite": choice.suite.to_string(),
            "index": choice.index,
            "spi-c": spis.client.value(),
            "spi-s": spis.server.value(),
            "port-c": ports.client.get(),
            "port-s": ports.server.get(),
        })
    })
}

fn mechanism(mechanism: &Mechanism) -> Value {
    match mechanism {
        Mechanism::Ipsec3gpp(offer) => ipsec_3gpp(offer),
        Mechanism::Other(other) => {
            let mut object = Map::new();
            object.insert("name".into(), other.name().into());
            add(&mut object, "q", other.q().map(q));
            extensions(&mut object, other.parameters());
            object.into()
        }
        Mechanism::Malformed(malformed) => {
            json!({ "malformed": malformed.text(), "error": malformed.error().to_string() })
        }
    }
}

fn ipsec_3gpp(offer: &Ipsec3gpp) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), Ipsec3gpp::NAME.into());
    add(&mut object, "q", offer.q.map(q));
    add(&mut object, "alg", offer.alg.as_ref().map(|alg| token(alg, |alg| alg.token())));
    add(&mut object, "ealg", offer.ealg.as_ref().map(|ealg| token(ealg, |ealg| ealg.token())));
    add(&mut object, "prot", offer.prot.map(|prot| prot.token()));
    add(&mut object, "mod", offer.mode.map(|mode| mode.token()));
    add(&mut object, "spi-c", offer.spi_c.map(|spi| spi.value()));
    add(&mut object, "spi-s", offer.spi_s.map(|spi| spi.value()));
    add(&mut object, "port-c", offer.port_c.map(|port| port.get()));
    add(&mut object, "port-s", offer.port_s.map(|port| port.get()));
    extensions(&mut object, &offer.extensions);
    let quirks: Vec<String> = offer.quirks().iter().map(|quirk| quirk.to_string()).collect();
    if !quirks.is_empty() {
        object.insert("quirks".into(), quirks.into());
    }
    if let Err(incomplete) = offer.suite().map(|_| ()).and_then(|()| offer.setup().map(|_| ())) {
        object.insert("incomplete".into(), incomplete.to_string().into());
    }
    object.into()
}

fn add(object: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(name.into(), value.into());
    }
}

fn q(q: Qvalue) -> f64 {
    f64::from(q.thousandths()) / 1000.0
}

fn token<T: Copy>(name: &Name<T>, token: impl Fn(T) -> &'static str) -> String {
    match name {
        Name::Known(algorithm) => token(*algorithm).into(),
        Name::Unknown(token) => token.to_string(),
    }
}

fn extensions(object: &mut Map<String, Value>, parameters: &[Parameter]) {
    if parameters.is_empty() {
        return;
    }
    let value = |parameter: &Parameter| match &parameter.value {
        ParameterValue::Absent => Value::Null,
        ParameterValue::Token(text) | ParameterValue::Quoted(text) => text.to_string().into(),
    };
    let parameters: Map<String, Value> =
        parameters.iter().map(|parameter| (parameter.name.to_string(), value(parameter))).collect();
    object.insert("parameters".into(), parameters.into());
}

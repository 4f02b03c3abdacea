//! Reads data files: blocks of `name=value` lines, comments after `#`.

use std::collections::HashMap;

pub(crate) struct Vector(HashMap<String, String>);

impl Vector {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
    }

    pub(crate) fn hex(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }
}

pub(crate) fn vectors(text: &str) -> Vec<Vector> {
    let lines = |block: &str| {
        let lines = block.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    };
    text.split("\n\n").map(lines).map(Vector).filter(|vector| !vector.0.is_empty()).collect()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd number of digits: {text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

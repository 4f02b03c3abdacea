//! CK and IK: given, of a file, or out of a 401.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use ipsec_3gpp::{Ck, Ik};
use subtle::ConstantTimeEq;

use crate::Result;
use crate::sas::key;

/// CK and IK of one run of AKA.
#[derive(Debug)]
pub struct KeyPair {
    /// CK
    pub ck: Ck,
    /// IK
    pub ik: Ik,
    /// Where they are from, for a person.
    pub origin: String,
}

/// All keys that are known.
#[derive(Debug, Default)]
pub struct Keys {
    /// Those that are for nobody in particular, and those of each IMPI, the latest last.
    given: Vec<(Option<String>, Rc<KeyPair>)>,
    by_nonce: HashMap<String, Rc<KeyPair>>,
}

/// Keys out of challenges that are kept at most.
const MOST: usize = 100_000;

impl KeyPair {
    /// Reads both, in hexadecimal digits with or without `0x`.
    ///
    /// # Errors
    /// A line that names the one that is wrong.
    pub fn read(ck: &str, ik: &str, origin: String) -> Result<Self> {
        Ok(Self { ck: Ck::new(key("ck", ck)?), ik: Ik::new(key("ik", ik)?), origin })
    }
}

impl Keys {
    /// Keys for whoever registers, in pairs as they are typed.
    ///
    /// # Errors
    /// A line that says what is wrong with them.
    pub fn give_typed(&mut self, cks: &[String], iks: &[String]) -> Result<()> {
        if cks.len() != iks.len() {
            return Err(format!("{} of --ck and {} of --ik: they go in pairs", cks.len(), iks.len()).into());
        }
        for (number, (ck, ik)) in cks.iter().zip(iks).enumerate() {
            let number = if cks.len() == 1 { String::new() } else { format!(" {}", number + 1) };
            self.give(KeyPair::read(ck, ik, format!("--ck and --ik{number}"))?);
        }
        Ok(())
    }

    /// Reads a file: see [`Keys::read`].
    ///
    /// # Errors
    /// A line that names the file.
    pub fn read_file(&mut self, path: &Path) -> Result<()> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        Ok(self.read(&text).map_err(|error| named(&error))?)
    }

    /// Keys for whoever registers.
    pub fn give(&mut self, keys: KeyPair) {
        self.add(None, keys);
    }

    /// Keys that are there already are no second pair.
    fn add(&mut self, owner: Option<String>, keys: KeyPair) {
        let is_same = |(other, pair): &(Option<String>, Rc<KeyPair>)| {
            *other == owner && bool::from(pair.ck.ct_eq(&keys.ck) & pair.ik.ct_eq(&keys.ik))
        };
        if !self.given.iter().any(is_same) {
            self.given.push((owner, Rc::new(keys)));
        }
    }

    /// Reads a file with a line for each run of AKA: IMPI, CK, IK. Several lines may be of one
    /// IMPI.
    ///
    /// # Errors
    /// A line that says which one cannot be read.
    pub fn read(&mut self, text: &str) -> Result<()> {
        let text = text.trim_start_matches('\u{feff}');
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> =
                line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty()).collect();
            let [impi, ck, ik] = words.as_slice() else {
                if words.is_empty() {
                    continue;
                }
                return Err(format!("line {}: not IMPI, CK and IK", number + 1).into());
            };
            let origin = format!("the file, line {}", number + 1);
            let keys =
                KeyPair::read(ck, ik, origin).map_err(|error| format!("line {}: {error}", number + 1))?;
            self.add(Some((*impi).to_owned()), keys);
        }
        Ok(())
    }

    /// Keys that a challenge carries (Mw). False if they were known.
    pub(super) fn learn(&mut self, nonce: &str, keys: KeyPair) -> bool {
        if self.by_nonce.len() >= MOST {
            self.by_nonce.clear();
        }
        self.by_nonce.insert(nonce.to_owned(), Rc::new(keys)).is_none()
    }

    /// The keys that a challenge may belong to, the likeliest first.
    pub(super) fn of_challenge(&self, nonce: &str, impi: &str) -> Vec<Rc<KeyPair>> {
        if let Some(keys) = self.by_nonce.get(nonce) {
            return vec![keys.clone()];
        }
        let of_impi = self.given.iter().rev().filter(|(owner, _)| owner.as_deref() == Some(impi));
        let of_all = self.given.iter().rev().filter(|(owner, _)| owner.is_none());
        of_impi.chain(of_all).map(|(_, keys)| keys.clone()).collect()
    }

    /// All that are given, and the latest that were learnt.
    pub(super) fn all(&self) -> Vec<Rc<KeyPair>> {
        const FEW: usize = 64;
        let learnt = self.by_nonce.values().take(FEW).cloned();
        self.given.iter().map(|(_, keys)| keys.clone()).chain(learnt).collect()
    }

    /// How many there are: whoever has tried all of them need not try again until there are more.
    pub(super) fn count(&self) -> usize {
        self.given.len() + self.by_nonce.len()
    }
}

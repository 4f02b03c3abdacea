//! The messages that are built in: text files of `examples/data`.

/// The first REGISTER of each phone.
pub(crate) const PHONES: [(&str, &str); 6] = [
    ("samsung", include_str!("../data/samsung.sip")),
    ("iphone", include_str!("../data/iphone.sip")),
    ("xiaomi", include_str!("../data/xiaomi.sip")),
    ("huawei", include_str!("../data/huawei.sip")),
    ("sequential", include_str!("../data/sequential.sip")),
    ("release-13", include_str!("../data/release-13.sip")),
];

/// The 401 of the core, with the CK and IK of TS 35.208 test sets 1 and 2.
pub(crate) const CHALLENGE: &str = include_str!("../data/401.sip");
pub(crate) const CHALLENGE_AGAIN: &str = include_str!("../data/401-again.sip");

/// The REGISTER of a phone.
pub(crate) fn phone(name: &str) -> Result<&'static str, String> {
    let known = PHONES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    let names = PHONES.map(|(name, _)| name).join(", ");
    known.ok_or_else(|| format!("--phone {name}: not one of {names}"))
}

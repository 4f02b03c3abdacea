//! One form of each identity, for callers whose peers write them in several.

use alloc::string::String;

/// The normal form of a private identity (TS 23.003 13.3, RFC 4282): the realm in small letters.
///
/// ```
/// use ipsec_3gpp::registration::normalised_impi;
/// assert_eq!(normalised_impi("001010000000001@IMS.MNC001.MCC001.3GPPNETWORK.ORG"),
///            "001010000000001@ims.mnc001.mcc001.3gppnetwork.org");
/// ```
pub fn normalised_impi(impi: &str) -> String {
    let impi = impi.trim();
    match impi.rsplit_once('@') {
        Some((user, realm)) => joined(&[user, "@", &realm.to_ascii_lowercase()]),
        None => impi.into(),
    }
}

/// The normal form of a public identity, from a header value or a URI (TS 23.003 13.4).
///
/// What is around the angle brackets goes, and so do parameters and headers of the URI,
/// `user=phone` among them. Scheme and host are in small letters, escapes of unreserved characters
/// are resolved (RFC 3261 19.1.4), and the number of a tel URI, or of a SIP URI with `user=phone`,
/// is without visual separators (RFC 3966).
///
/// ```
/// use ipsec_3gpp::registration::normalised_impu;
/// let from = "\"A\" <SIP:%61lice@IMS.Example;user=phone>;tag=1";
/// assert_eq!(normalised_impu(from), "sip:alice@ims.example");
/// assert_eq!(normalised_impu("tel:+1-201-555-0123;phone-context=x"), "tel:+12015550123");
/// ```
pub fn normalised_impu(impu: &str) -> String {
    let uri = match impu.rsplit_once('<') {
        Some((_, rest)) => rest.split_once('>').map_or(rest, |(uri, _)| uri),
        None => impu,
    };
    let uri = uri.trim();
    let Some((scheme, rest)) = uri.split_once(':') else { return uri.into() };
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "tel" {
        let number = rest.split(';').next().unwrap_or_default();
        return joined(&[&scheme, ":", &without_separators(number)]);
    }
    // A user part may have a semicolon and a question mark of its own.
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(unescaped(user)), host),
        None => (None, rest),
    };
    let end = host.find([';', '?']).unwrap_or(host.len());
    let (host, parameters) = host.split_at_checked(end).unwrap_or((host, ""));
    let is_phone = parameters.split([';', '?']).any(|one| one.eq_ignore_ascii_case("user=phone"));
    let host = host.to_ascii_lowercase();
    match user {
        Some(user) if is_phone => {
            let number = user.split(';').next().unwrap_or_default();
            joined(&[&scheme, ":", &without_separators(number), "@", &host])
        }
        Some(user) => joined(&[&scheme, ":", &user, "@", &host]),
        None => joined(&[&scheme, ":", &host]),
    }
}

fn joined(parts: &[&str]) -> String {
    parts.concat()
}

/// RFC 3966 5.1.1: `-`, `.`, `(` and `)` mean nothing. Only in a number: a name may have them.
fn without_separators(number: &str) -> String {
    let is_number = |c: char| c.is_ascii_hexdigit() || "+*#-.()".contains(c);
    if number.chars().all(is_number) {
        number.chars().filter(|c| !"-.()".contains(*c)).collect()
    } else {
        number.into()
    }
}

/// Resolves the escapes of characters that need none, and writes the others in capitals. Where one
/// is not an escape, the text is no user part, and stays as it is: what is resolved next to it
/// could become another escape.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let Some((octet, digits, later)) = escape(after) else { return text.into() };
        out.push_str(before);
        if octet.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push('%');
            out.push_str(&digits.to_ascii_uppercase());
        }
        rest = later;
    }
    out.push_str(rest);
    out
}

/// The octet of two hexadecimal digits, the digits, and what is after them.
fn escape(text: &str) -> Option<(u8, &str, &str)> {
    let (digits, later) = text.split_at_checked(2)?;
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let octet = u8::from_str_radix(digits, 16).ok().filter(|_| are_digits)?;
    Some((octet, digits, later))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_names_one_user_has_one_form() {
        for (one, other) in [
            // RFC 3261 19.1.4.
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:16@ims", "<SIP:16@IMS>;expires=3"),
            ("sip:+1-201-555-0123@ims;user=phone", "sip:+12015550123@IMS;user=phone"),
            // RFC 3966 4.
            ("tel:+1-201-555-0123", "TEL:+1(201)5550123"),
            ("sip:a%2fb%20@ims", "sip:%61%2Fb%20@ims"),
            ("sip:IMS.example", "sip:ims.example;lr"),
        ] {
            assert_eq!(normalised_impu(one), normalised_impu(other));
        }
        for (one, other) in [
            ("sip:alice@ims", "sip:Alice@ims"),
            ("sip:alice@ims", "sips:alice@ims"),
            ("sip:alice@ims", "sip:alice@ims:5070"),
            ("sip:a-b@ims", "sip:ab@ims"),
            ("tel:+12", "sip:+12@ims;user=phone"),
            ("sip:%41@ims", "sip:%a@ims"),
            ("sip:a%2Fb@ims", "sip:aFb@ims"),
        ] {
            assert_ne!(normalised_impu(one), normalised_impu(other));
        }
        assert_eq!(normalised_impi(" 16@Ims.Example "), "16@ims.example");
        assert_eq!(normalised_impu("sip:%61%2f%7e%4B@ims"), "sip:a%2F~K@ims");
        assert_eq!(normalised_impu("sip:+1-(20).1@ims;user=phone"), "sip:+1201@ims");
        // No escapes: nothing is resolved.
        for user in ["%", "%6", "%6g", "%+1", "%%30a", "%61%", "%61%4"] {
            assert_eq!(normalised_impu(&format!("sip:{user}@ims")), format!("sip:{user}@ims"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_normal_form_is_its_own(text in "[ -~]{0,60}") {
            let impi = normalised_impi(&text);
            prop_assert_eq!(normalised_impi(&impi), impi.clone());
            let _ = normalised_impu(&text);
        }

        #[test]
        fn that_of_a_uri_is_its_own(user in "(%|%[0-9a-fA-F]{2}|[a-zA-Z0-9.+-]){1,20}", host in "[a-zA-Z0-9.]{1,20}", tail in "(;[a-z]{1,5}=[a-z]{1,5}){0,3}") {
            let once = normalised_impu(&format!("<sip:{user}@{host}{tail}>"));
            prop_assert_eq!(normalised_impu(&once), once.clone());
        }
    }
}

//! Values of pax records: decimal numbers and times, escaped names, base64.

use crate::units::Timestamp;

/// A decimal number without sign.
pub(super) fn number<T: std::str::FromStr>(value: &[u8]) -> Result<T, String> {
    let digits = std::str::from_utf8(value)
        .ok()
        .filter(|v| v.bytes().all(|b| b.is_ascii_digit()));
    digits
        .and_then(|d| d.parse().ok())
        .ok_or_else(|| format!("{} is no number in range", shown(value)))
}

/// A time as `[-]seconds[.fraction]`; POSIX has us round towards the past, at any number of digits.
pub(super) fn time(value: &[u8]) -> Result<Timestamp, String> {
    let bad = || format!("{} is no time in range", shown(value));
    let (negative, magnitude) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = magnitude.splitn(2, |&b| b == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next();
    if whole.is_empty() || fraction.is_some_and(|f| !f.iter().all(u8::is_ascii_digit)) {
        return Err(bad());
    }
    let sec: i64 = number(whole).map_err(|_| bad())?;
    let mut digits = fraction.unwrap_or_default().iter();
    let mut nsec: u32 = 0;
    for _ in 0..9 {
        let digit = digits.next().map_or(0, |d| u32::from(d & 0x0f));
        // Nine digits: below 10^9.
        nsec = nsec.wrapping_mul(10).wrapping_add(digit);
    }
    if !negative {
        return Ok(Timestamp { sec, nsec });
    }
    // -(sec + nsec + rest) rounded down: one nanosecond further into the past for any rest.
    let nsec = if digits.any(|&d| d != b'0') {
        nsec.saturating_add(1)
    } else {
        nsec
    };
    let sec = sec.checked_neg().ok_or_else(bad)?;
    match nsec {
        0 => Ok(Timestamp { sec, nsec: 0 }),
        // Down to a whole second (nsec was rounded up to 10^9) or into the one before.
        _ => Ok(Timestamp {
            sec: sec.checked_sub(1).ok_or_else(bad)?,
            nsec: 1_000_000_000_u32.saturating_sub(nsec),
        }),
    }
}

/// The name of a `SCHILY.xattr` as GNU tar writes it: it escapes `%` and `=`, and nothing else, so other
/// writers' bare `%` stays what it is.
pub(super) fn unescape_gnu(name: &[u8]) -> Vec<u8> {
    unescape(name, |byte| matches!(byte, b'%' | b'='))
}

/// A URL-encoded name, as libarchive writes it.
pub(super) fn unescape_url(name: &[u8]) -> Vec<u8> {
    unescape(name, |_| true)
}

fn unescape(name: &[u8], accepts: impl Fn(u8) -> bool) -> Vec<u8> {
    let hex = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        let decoded = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| (h << 4) | l),
            _ => None,
        };
        let decoded = decoded.filter(|&byte| accepts(byte));
        out.push(decoded.unwrap_or(first));
        rest = match decoded {
            Some(_) => tail.get(2..).unwrap_or_default(),
            None => tail,
        };
    }
    out
}

/// Base64 (RFC 4648 section 4), with or without padding: libarchive writes none.
pub(super) fn base64(value: &[u8]) -> Result<Vec<u8>, String> {
    let end = value
        .iter()
        .rposition(|&b| b != b'=')
        .map_or(0, |last| last.saturating_add(1));
    let mut out = Vec::with_capacity(end);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &byte in value.get(..end).unwrap_or_default() {
        let six = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            _ => return Err(String::from("the value is no base64")),
        };
        bits = (bits << 6) | u32::from(six);
        held = held.wrapping_add(6);
        if held >= 8 {
            held = held.wrapping_sub(8);
            out.push(crate::units::lo8(u64::from(bits >> held)));
            bits &= 0xff;
        }
    }
    Ok(out)
}

/// A value for a message.
fn shown(value: &[u8]) -> String {
    format!("'{}'", crate::display::display_path(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_towards_the_past() {
        let cases: [(&str, i64, u32); 11] = [
            ("1700000000", 1_700_000_000, 0),
            ("1700000000.123456789", 1_700_000_000, 123_456_789),
            ("1.5", 1, 500_000_000),
            ("1.", 1, 0),
            ("1.0000000019", 1, 1),
            ("-1", -1, 0),
            ("-1.5", -2, 500_000_000),
            ("-0.000000001", -1, 999_999_999),
            ("-1.0000000001", -2, 999_999_999),
            ("-1.9999999999", -2, 0),
            ("-0", 0, 0),
        ];
        for (text, sec, nsec) in cases {
            assert_eq!(time(text.as_bytes()), Ok(Timestamp { sec, nsec }), "{text}");
        }
        for bad in [
            "",
            "-",
            ".5",
            "1e3",
            "+1",
            "1.2.3",
            "99999999999999999999",
            "--1",
            " 1",
        ] {
            assert!(time(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_plain_decimals() {
        assert_eq!(number::<u64>(b"8589934592"), Ok(8_589_934_592));
        assert_eq!(
            number::<u32>(b"4294967296").unwrap_err(),
            "'4294967296' is no number in range"
        );
        for bad in [&b""[..], b"-1", b"+1", b" 1", b"0x1"] {
            assert!(number::<u64>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn gnu_escapes_two_characters_and_url_encoding_all() {
        assert_eq!(unescape_gnu(b"user.a%3Db%25c%41%"), b"user.a=b%c%41%");
        assert_eq!(unescape_url(b"user.%41%00%zz%2"), b"user.A\0%zz%2");
    }

    #[test]
    fn base64_with_and_without_padding() {
        for (text, bytes) in [
            (&b""[..], &b""[..]),
            (b"Zg", b"f"),
            (b"Zg==", b"f"),
            (b"Zm9vYmE=", b"fooba"),
            (b"Zm9vYmFy", b"foobar"),
            (b"AAEC/w", b"\0\x01\x02\xff"),
        ] {
            assert_eq!(base64(text).unwrap(), bytes);
        }
        assert!(base64(b"Z\n").is_err());
    }
}

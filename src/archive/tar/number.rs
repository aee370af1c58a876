//! Numbers in header fields: octal text, or base 256 where that was too short.

/// Reads a numeric field. Blank is 0.
///
/// Octal: spaces or NULs, digits, then a space, a NUL or the field's end; what follows is ignored.
/// Base 256 (GNU, star): bit 7 of the first byte set, the rest is big-endian two's complement.
///
/// # Errors
/// What is wrong, for a person.
pub(super) fn parse(field: &[u8]) -> Result<i128, String> {
    match field.split_first() {
        Some((first, rest)) if first & 0x80 != 0 => base256(*first, rest),
        _ => octal(field),
    }
}

fn base256(first: u8, rest: &[u8]) -> Result<i128, String> {
    // Seven bits of the first byte, bit 6 being the sign.
    let high = i128::from(first & 0x7f);
    let high = if first & 0x40 == 0 {
        high
    } else {
        high.saturating_sub(0x80)
    };
    let too_large = || String::from("a base-256 number beyond 127 bits");
    rest.iter().try_fold(high, |value, &byte| {
        value
            .checked_mul(256)
            .and_then(|v| v.checked_add(i128::from(byte)))
            .ok_or_else(too_large)
    })
}

fn octal(field: &[u8]) -> Result<i128, String> {
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let digits = field
        .iter()
        .skip_while(|b| blank(b))
        .take_while(|b| !blank(b));
    let mut value: i128 = 0;
    for &digit in digits {
        if !(b'0'..=b'7').contains(&digit) {
            let shown = crate::display::display_path(field).to_string();
            return Err(format!("'{shown}' is no octal number"));
        }
        // A field has 12 digits at most: 36 bits.
        value = value.wrapping_mul(8).wrapping_add(i128::from(digit & 7));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_as_every_tar_pads_it() {
        let cases: [(&[u8], i128); 8] = [
            (b"0000644\0", 0o644),
            (b"000644 \0", 0o644),
            (b"   644 \0", 0o644),
            (b"\0  644 \0", 0o644),
            (b"777777777777", 0o777_777_777_777),
            (b"        ", 0),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"17\0junk", 0o17),
        ];
        for (field, value) in cases {
            assert_eq!(parse(field), Ok(value), "{field:?}");
        }
    }

    #[test]
    fn base_256_reaches_beyond_octal_and_below_zero() {
        let cases: [(&[u8], i128); 5] = [
            (&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0], 1 << 33),
            (&[0x80, 0, 0, 0, 0, 0x1f, 0xff, 0xff], 0x1f_ffff),
            (&[0xff; 12], -1),
            (
                &[
                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xb0,
                ],
                -80,
            ),
            (&[0xc0, 0, 0, 0, 0, 0, 0, 0], -(1 << 62)),
        ];
        for (field, value) in cases {
            assert_eq!(parse(field), Ok(value), "{field:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_said() {
        assert_eq!(
            parse(b"00008\0").unwrap_err(),
            r"'00008\u{0}' is no octal number"
        );
        assert!(parse(b"-1").is_err());
    }
}

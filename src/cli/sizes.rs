//! Sizes, times and counts as people write and read them.

use diskwright::image::{Free, Size};
use diskwright::units::{GIB, KIB, MIB, SECTOR, TIB};
use std::time::Duration;

/// Highest percentage that `--free` takes: beyond it, a fitted disk is nearly all free space.
const MAX_PERCENT: u8 = 90;

/// Seconds of the longest time, ten years: clocks can be set by it.
const LONGEST: u64 = 3650 * 86_400;

/// Bytes: a number and a unit. `K`, `M`, `G`, `T` and `KiB` … are powers of 1024, as mke2fs and qemu-img
/// take them; `kB`, `MB`, `GB`, `TB` are powers of 1000.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let scale = match unit {
        "" | "B" => 1,
        "K" | "k" | "KiB" | "Ki" => KIB,
        "M" | "m" | "MiB" | "Mi" => MIB,
        "G" | "g" | "GiB" | "Gi" => GIB,
        "T" | "t" | "TiB" | "Ti" => TIB,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ if number.is_empty() => return Err("a size begins with a number, as in 4G".into()),
        _ => {
            return Err(format!(
                "unknown unit {unit:?}: K, M, G, T (or KiB …) and kB, MB, GB, TB"
            ));
        }
    };
    if number.is_empty() {
        return Err("a size begins with a number, as in 4G".into());
    }
    let too_large = || "larger than any disk: 16 EiB is the limit".to_owned();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (fraction.is_empty() && number.contains('.')) {
        return Err(format!("{number:?} is no number"));
    }
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let mut total = whole.checked_mul(scale).ok_or_else(too_large)?;
    if !fraction.is_empty() {
        // Nine digits of a tebibyte are exact to a kilobyte's thousandth; more would only overflow.
        if fraction.len() > 9 {
            return Err(format!(
                "{number:?} has more than nine digits after the point"
            ));
        }
        let digits: u64 = fraction
            .parse()
            .map_err(|_| format!("{number:?} is no number"))?;
        let tens = std::iter::repeat_n(10, fraction.len()).product::<u64>();
        let part = u128::from(digits) * u128::from(scale) / u128::from(tens);
        total = u64::try_from(part)
            .ok()
            .and_then(|p| total.checked_add(p))
            .ok_or_else(too_large)?;
    }
    Ok(total)
}

/// `--size`: bytes, or `fit`.
pub(super) fn size(text: &str) -> Result<Size, String> {
    if text == "fit" {
        return Ok(Size::Fit);
    }
    match bytes(text) {
        Ok(0) => Err("a disk has at least one sector".into()),
        Ok(n) => Ok(Size::Bytes(n)),
        Err(e) if text.starts_with(|c: char| c.is_ascii_digit()) => Err(e),
        Err(e) => Err(format!("{e}, or is `fit`")),
    }
}

/// `--round`: whole sectors.
pub(super) fn round(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        n if n > 0 && n.is_multiple_of(SECTOR) => Ok(n),
        _ => Err("a multiple of 512 bytes, as in 1GiB".into()),
    }
}

/// `--free`: bytes, or a percentage of the filesystem.
pub(super) fn free(text: &str) -> Result<Free, String> {
    let Some(number) = text.strip_suffix('%') else {
        return bytes(text).map(Free::Bytes);
    };
    match number.trim_end().parse() {
        Ok(percent @ 0..=MAX_PERCENT) => Ok(Free::Percent(percent)),
        _ => Err(format!(
            "a percentage is a whole number from 0 to {MAX_PERCENT}"
        )),
    }
}

/// A duration: `120`, `120s`, `2m`, `1h`, `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let scale = match &text[end..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        unit => return Err(format!("unknown unit {unit:?}: s, m, h and d are known")),
    };
    let number: u64 = text[..end]
        .parse()
        .map_err(|_| "a time is a number, as in 120s".to_owned())?;
    match number.checked_mul(scale) {
        Some(seconds @ 0..=LONGEST) => Ok(Duration::from_secs(seconds)),
        _ => Err("a time is at most 3650d".to_owned()),
    }
}

/// Bytes for a person: `1.4 GiB`.
pub(super) fn human(bytes: u64) -> String {
    let (scale, unit) = match bytes {
        ..KIB => return format!("{bytes} B"),
        KIB..MIB => (KIB, "KiB"),
        MIB..GIB => (MIB, "MiB"),
        GIB..TIB => (GIB, "GiB"),
        TIB.. => (TIB, "TiB"),
    };
    // 128 bits: ten times 16 EiB is beyond 64.
    let tenths = (u128::from(bytes) * 10 + u128::from(scale / 2)) / u128::from(scale);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A count for a person: `18,432`.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_and_decimal_units_are_told_apart() {
        for (text, expected) in [
            ("4096", 4096),
            ("512B", 512),
            ("4G", 4 * GIB),
            ("64MiB", 64 * MIB),
            ("64 MiB", 64 * MIB),
            ("10GB", 10_000_000_000),
            ("1kB", 1000),
            ("1K", 1024),
            ("1.5G", GIB + GIB / 2),
            ("0.25T", TIB / 4),
            ("2TiB", 2 * TIB),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for text in [
            "",
            "G",
            "-1",
            "1.2.3G",
            "1.",
            ".5G",
            "4X",
            "99999999999999999999",
            "99999999T",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert!(
            bytes("4 parsecs")
                .unwrap_err()
                .contains("unknown unit \"parsecs\"")
        );
        assert!(size("huge").unwrap_err().ends_with("or is `fit`"));
        assert!(size("0").is_err() && free("91%").is_err() && free("-1%").is_err());
        assert!(duration("3651d").is_err() && duration("10000000000000000000s").is_err());
        assert!(free("1.5%").is_err() && duration("2 weeks").is_err() && duration("").is_err());
    }

    #[test]
    fn fit_percent_and_durations_are_understood() {
        assert_eq!(size("fit"), Ok(Size::Fit));
        assert_eq!(size("2G"), Ok(Size::Bytes(2 * GIB)));
        assert_eq!(free("10%"), Ok(Free::Percent(10)));
        assert_eq!(free("64MiB"), Ok(Free::Bytes(64 * MIB)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn numbers_for_people() {
        let shown: Vec<_> = [0, 1023, 1024, MIB - 1, GIB + GIB / 2, u64::MAX]
            .map(human)
            .into();
        assert_eq!(
            shown,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "1024.0 KiB",
                "1.5 GiB",
                "16777216.0 TiB"
            ]
        );
        assert_eq!(
            [1, 999, 1000, 1_234_567].map(thousands),
            ["1", "999", "1,000", "1,234,567"]
        );
    }
}

//! dpkg's order of versions, in which Debian's grub-mkconfig sorts kernels.
//!
//! `[epoch:]upstream[-revision]`: epochs as numbers, the other parts by turns a run of other characters
//! and a run of digits. `~` sorts before the end of a part, letters before everything else.
//! (Debian Policy 5.6.12; dpkg `lib/dpkg/version.c`.)

use std::cmp::Ordering;

/// How `a` stands to `b`.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a) = split_epoch(a);
    let (b_epoch, b) = split_epoch(b);
    // The revision follows the last hyphen.
    let (a, a_revision) = a.rsplit_once('-').unwrap_or((a, ""));
    let (b, b_revision) = b.rsplit_once('-').unwrap_or((b, ""));
    compare_digits(a_epoch.as_bytes(), b_epoch.as_bytes())
        .then_with(|| compare_part(a.as_bytes(), b.as_bytes()))
        .then_with(|| compare_part(a_revision.as_bytes(), b_revision.as_bytes()))
}

/// Epoch and rest. A colon behind anything but digits is an error to dpkg; here it is no epoch.
fn split_epoch(version: &str) -> (&str, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|c| c.is_ascii_digit()) => (epoch, rest),
        _ => ("", version),
    }
}

fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, a_rest) = split_while(a, |c| !c.is_ascii_digit());
        let (b_text, b_rest) = split_while(b, |c| !c.is_ascii_digit());
        for i in 0..a_text.len().max(b_text.len()) {
            match rank(a_text.get(i)).cmp(&rank(b_text.get(i))) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        let (a_digits, b_digits);
        (a_digits, a) = split_while(a_rest, |c| c.is_ascii_digit());
        (b_digits, b) = split_while(b_rest, |c| c.is_ascii_digit());
        match compare_digits(a_digits, b_digits) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// The place of a character in a run without digits; `None` is its end.
fn rank(c: Option<&u8>) -> (u8, u8) {
    match c {
        Some(b'~') => (0, 0),
        None => (1, 0),
        Some(&c) if c.is_ascii_alphabetic() => (2, c),
        Some(&c) => (3, c),
    }
}

/// Numbers of any length.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let (_, a) = split_while(a, |c| c == b'0');
    let (_, b) = split_while(b, |c| c == b'0');
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn split_while(bytes: &[u8], keep: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|&c| !keep(c)).unwrap_or(bytes.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_a_table_of_versions() {
        let ascending = [
            "1~~",
            "1~~a",
            "1~",
            "1",
            "1-0.1",
            "1-1",
            "1-1a",
            "1-1+b",
            "1a",
            "1+",
            "1.0",
            "1.0-1",
            "1.2",
            "1.10",
            "5.10.0-8-amd64",
            "5.10.0-20-amd64",
            "6.1.0~rc1",
            "6.1.0",
            "1:0",
            "1:1~x",
            "10:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(compare("1.0", "1.00"), Ordering::Equal);
        assert_eq!(compare("0:1", "1-0"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn is_an_order(a in "[0-9a-c.~+:-]{0,8}", b in "[0-9a-c.~+:-]{0,8}", c in "[0-9a.~-]{0,8}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}

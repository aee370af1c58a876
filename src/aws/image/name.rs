//! Names by template: `{name}-{date}-{digest:8}`.

use super::ImageError;
use std::time::SystemTime;

/// Characters of a name beside letters and digits (RegisterImage, `Name`).
const ALSO: &str = "()[] ./-'@_";

/// What the words of a template stand for.
pub(super) struct Words<'a> {
    pub(super) name: &'a str,
    pub(super) date: SystemTime,
    pub(super) arch: &'a str,
    /// Hexadecimal digits.
    pub(super) digest: &'a str,
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || ALSO.contains(c)
}

/// Hexadecimal digits of a whole digest.
const DIGEST: usize = 64;

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::aws) enum Piece<'a> {
    Text(&'a str),
    Name,
    /// Eight digits.
    Date,
    Arch,
    /// So many of its first hexadecimal digits, at most 64.
    Digest(usize),
}

/// What a template is made of: `{name}`, `{date}`, `{arch}`, `{digest}`, `{digest:N}`, and text in between.
pub(in crate::aws) fn pieces(template: &str) -> Result<Vec<Piece<'_>>, ImageError> {
    let bad = |why: String| ImageError::value("name", template, why);
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        pieces.push(Piece::Text(before));
        let Some((word, after)) = after.split_once('}') else {
            return Err(bad("a `{` without its `}`".into()));
        };
        rest = after;
        pieces.push(match (word, word.strip_prefix("digest:")) {
            ("name", _) => Piece::Name,
            ("date", _) => Piece::Date,
            ("arch", _) => Piece::Arch,
            ("digest", _) => Piece::Digest(DIGEST),
            (_, Some(digits)) => match digits.parse() {
                Ok(digits @ 1..=DIGEST) => Piece::Digest(digits),
                _ => return Err(bad("a digest has 1 to 64 digits".into())),
            },
            _ => {
                return Err(bad(format!(
                    "`{{{word}}}` is none of {{name}}, {{date}}, {{arch}}, {{digest}} and {{digest:8}}"
                )));
            }
        });
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// The name that a template gives: `{name}`, `{date}` (20261231, UTC), `{arch}`, `{digest}` and `{digest:N}`, its first
/// N digits. In `{name}` a hyphen stands for each character that AWS refuses.
pub(super) fn expand(template: &str, words: &Words<'_>) -> Result<String, ImageError> {
    let mut name = String::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Text(text) => name.push_str(text),
            Piece::Name => name.extend(
                words
                    .name
                    .chars()
                    .map(|c| if is_allowed(c) { c } else { '-' }),
            ),
            Piece::Date => name.push_str(&date(words.date)),
            Piece::Arch => name.push_str(words.arch),
            Piece::Digest(digits) => name.push_str(words.digest.get(..digits).unwrap_or_default()),
        }
    }
    check(&name)?;
    Ok(name)
}

/// Refuses what AWS refuses as a name.
pub(super) fn check(name: &str) -> Result<(), ImageError> {
    let bad = |why: String| Err(ImageError::value("name", name, why));
    if let Some(c) = name.chars().find(|c| !is_allowed(*c)) {
        return bad(format!(
            "AWS takes no {c:?} in it: letters of ASCII, digits, spaces and ()[]./-'@_ alone"
        ));
    }
    match name.len() {
        3..=128 => Ok(()),
        n => bad(format!("it has {n} characters, and AWS takes 3 to 128")),
    }
}

fn date(time: SystemTime) -> String {
    let time = aws_smithy_types::DateTime::from(time);
    let text = time.fmt(aws_smithy_types::date_time::Format::DateTime);
    let text = text.unwrap_or_default();
    text.chars().take(10).filter(|c| *c != '-').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn expanded(template: &str) -> Result<String, String> {
        let words = Words {
            name: "web+1",
            date: SystemTime::UNIX_EPOCH + Duration::from_secs(86400 * 59),
            arch: "arm64",
            digest: &"0123456789abcdef".repeat(4),
        };
        expand(template, &words).map_err(|e| e.to_string())
    }

    #[test]
    fn templates_are_filled_in_and_what_aws_refuses_is_refused() {
        for (template, name) in [
            ("{name}-{date}-{digest:8}", "web-1-19700301-01234567"),
            ("a/b [{arch}] {digest:1}", "a/b [arm64] 0"),
            ("abc", "abc"),
        ] {
            assert_eq!(expanded(template).unwrap(), name);
        }
        for (template, why) in [
            ("ab", "it has 2 characters"),
            ("{digest}{digest}x", "it has 129 characters"),
            ("web:1", "no ':' in it"),
            ("wéb", "no 'é' in it"),
            ("{name", "without its"),
            ("{time}", "`{time}` is none of"),
            ("{digest:65}", "1 to 64 digits"),
            ("{digest:0}", "1 to 64 digits"),
        ] {
            let told = expanded(template).unwrap_err();
            assert!(told.contains(why), "{template}: {told}");
        }
    }
}

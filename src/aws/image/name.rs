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

/// The name that a template gives: `{name}`, `{date}` (20261231, UTC), `{arch}`, `{digest}` and `{digest:N}`, its first
/// N digits. In `{name}` a hyphen stands for each character that AWS refuses.
pub(super) fn expand(template: &str, words: &Words<'_>) -> Result<String, ImageError> {
    let bad = |why: String| ImageError::value("name", template, why);
    let mut name = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        name.push_str(before);
        let Some((word, after)) = after.split_once('}') else {
            return Err(bad("a `{` without its `}`".into()));
        };
        rest = after;
        match (word, word.strip_prefix("digest:")) {
            ("name", _) => name.extend(
                words
                    .name
                    .chars()
                    .map(|c| if is_allowed(c) { c } else { '-' }),
            ),
            ("date", _) => name.push_str(&date(words.date)),
            ("arch", _) => name.push_str(words.arch),
            ("digest", _) => name.push_str(words.digest),
            (_, Some(digits)) => {
                let digits = digits.parse().ok().filter(|n| *n > 0);
                let digits: Option<&str> = digits.and_then(|n: usize| words.digest.get(..n));
                name.push_str(digits.ok_or_else(|| bad("a digest has 1 to 64 digits".into()))?);
            }
            _ => {
                return Err(bad(format!(
                    "`{{{word}}}` is none of {{name}}, {{date}}, {{arch}}, {{digest}} and {{digest:8}}"
                )));
            }
        }
    }
    name.push_str(rest);
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

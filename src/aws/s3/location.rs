//! Places in S3: `s3://bucket/prefix`.

use super::S3Error;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The longest key ("Object key naming guidelines").
const MAX_KEY: usize = 1024;
/// What buckets of other kinds are called ("General purpose bucket naming rules").
const RESERVED_STARTS: &[&str] = &["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_ENDS: &[&str] = &[
    "-s3alias",
    "--ol-s3",
    ".mrap",
    "--x-s3",
    "--table-s3",
    "-an",
];

/// A bucket, and what the keys of all objects in it begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    bucket: String,
    prefix: String,
}

fn refused<T>(what: &'static str, name: &str, why: &'static str) -> Result<T, S3Error> {
    let name = name.to_owned();
    Err(S3Error::Name { what, name, why })
}

impl Location {
    /// A bucket and a prefix, without slashes around it; it may be empty.
    ///
    /// # Errors
    /// When one of them is a name that S3 or EC2 does not take.
    pub fn new(bucket: &str, prefix: &str) -> Result<Self, S3Error> {
        check_bucket(bucket)?;
        let prefix = prefix.trim_matches('/');
        // The safe characters of S3's guidelines: EC2 reads a manifest's place unquoted.
        let safe = |b: u8| b.is_ascii_alphanumeric() || b"!-_.*'()/".contains(&b);
        if !prefix.bytes().all(safe) {
            let why = "letters, digits, slashes and !-_.*'() make one";
            return refused("prefix", prefix, why);
        }
        let part = |p: &str| p.is_empty() || p == "." || p == "..";
        if !prefix.is_empty() && prefix.split('/').any(part) {
            let why =
                "there is nothing, a dot or two between two slashes, and not every tool keeps that";
            return refused("prefix", prefix, why);
        }
        Ok(Self {
            bucket: bucket.into(),
            prefix: prefix.into(),
        })
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key of an object called `name`.
    ///
    /// # Errors
    /// When it is longer than 1024 bytes.
    pub fn key(&self, name: &str) -> Result<String, S3Error> {
        let key = match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        if key.len() > MAX_KEY {
            return refused("key", &key, "it has more than 1024 bytes");
        }
        Ok(key)
    }
}

fn check_bucket(name: &str) -> Result<(), S3Error> {
    let refused = |why| refused("bucket", name, why);
    if !(3..=63).contains(&name.len()) {
        return refused("a bucket's name has 3 to 63 characters");
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if !name.bytes().all(inner) {
        return refused("lower-case letters, digits, hyphens and dots make a bucket's name");
    }
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    if !edge(name.bytes().next()) || !edge(name.bytes().last()) {
        return refused("a bucket's name begins and ends with a letter or digit");
    }
    if name.contains("..") {
        return refused("two dots in a row are not allowed");
    }
    if name.parse::<Ipv4Addr>().is_ok() {
        return refused("it has the form of an IP address");
    }
    if RESERVED_STARTS.iter().any(|s| name.starts_with(s))
        || RESERVED_ENDS.iter().any(|e| name.ends_with(e))
    {
        return refused("S3 keeps names of that form to itself");
    }
    Ok(())
}

impl FromStr for Location {
    type Err = S3Error;

    fn from_str(text: &str) -> Result<Self, S3Error> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return refused("place", text, "it has the form s3://BUCKET/PREFIX");
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Self::new(bucket, prefix)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => write!(f, "s3://{}", self.bucket),
            prefix => write!(f, "s3://{}/{prefix}", self.bucket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_bucket_and_maybe_a_prefix() {
        for (text, key) in [
            ("s3://images", "a.part.0"),
            ("s3://images/", "a.part.0"),
            ("s3://images/web", "web/a.part.0"),
            ("s3://images/web/2026/", "web/2026/a.part.0"),
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.bucket(), "images");
            assert_eq!(location.key("a.part.0").unwrap(), key);
            assert_eq!(location.to_string(), text.trim_end_matches('/'));
        }
        let long: Location = format!("s3://images/{}", "x".repeat(1020)).parse().unwrap();
        assert!(long.key("abc").is_ok() && long.key("abcd").is_err());
    }

    #[test]
    fn names_that_s3_refuses_are_refused_here() {
        for text in [
            "",
            "images/web",
            "https://images/web",
            "s3://",
            "s3://ab",
            "s3://Images",
            "s3://my_images",
            "s3://-images",
            "s3://images-",
            "s3://my..images",
            "s3://192.168.0.1",
            "s3://xn--images",
            "s3://images--x-s3",
            "s3://images-s3alias",
            "s3://images/a b",
            "s3://images/a//b",
            "s3://images/a/../b",
            "s3://images/\u{e9}",
            &format!("s3://{}", "x".repeat(64)),
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
        assert!("s3://my.images-1".parse::<Location>().is_ok());
    }
}

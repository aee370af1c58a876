//! `IMG:/etc/fstab` and `IMG:p1:/etc/fstab`: a file in an image.

use super::disk::{Disk, Volume};
use super::info::InspectError;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The image.
    pub image: PathBuf,
    /// Number of the partition; `None` is the root filesystem.
    pub partition: Option<u32>,
    /// The path in it, from its root; `None` when none was said.
    pub path: Option<Vec<u8>>,
}

impl Address {
    /// Reads `IMG`, `IMG:/PATH`, `IMG:pN` and `IMG:pN:/PATH`. Where a file bears the whole text as its name,
    /// or what stands before a later colon, that is the image.
    #[must_use]
    pub fn parse(text: &OsStr) -> Self {
        let is_file = |path: &Path| path.exists();
        parse(text, is_file)
    }

    /// The filesystem that it names.
    ///
    /// # Errors
    /// When the image has none there.
    pub fn volume<'a>(&self, disk: &'a Disk) -> Result<&'a Volume, InspectError> {
        match self.partition {
            None => disk.root().ok_or(InspectError::NoFilesystem),
            Some(number) => disk.partition(number).ok_or_else(|| {
                let known = disk.volumes().iter().filter_map(|v| v.partition);
                let known: Vec<String> = known.map(|n| format!("p{n}")).collect();
                InspectError::NoPartition {
                    number,
                    known: known.join(", "),
                }
            }),
        }
    }
}

fn parse(text: &OsStr, is_file: impl Fn(&Path) -> bool) -> Address {
    let bytes = text.as_bytes();
    let whole = || Address {
        image: PathBuf::from(text),
        partition: None,
        path: None,
    };
    if is_file(Path::new(text)) {
        return whole();
    }
    let colons = bytes.iter().enumerate().filter(|(_, b)| **b == b':');
    let readings = colons.filter_map(|(at, _)| {
        let (partition, path) = suffix(&bytes[at + 1..])?;
        Some(Address {
            image: PathBuf::from(OsString::from_vec(bytes[..at].to_vec())),
            partition,
            path,
        })
    });
    let mut readings: Vec<Address> = readings.collect();
    let there = readings.iter().position(|a| is_file(&a.image));
    if readings.is_empty() {
        return whole();
    }
    readings.swap_remove(there.unwrap_or(0))
}

/// What stands behind the image: `/PATH`, `pN` or `pN:/PATH`.
fn suffix(bytes: &[u8]) -> Option<(Option<u32>, Option<Vec<u8>>)> {
    if bytes.first() == Some(&b'/') {
        return Some((None, Some(bytes.to_vec())));
    }
    let rest = bytes.strip_prefix(b"p")?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    match &rest[digits..] {
        [] => Some((Some(number), None)),
        [b':', path @ ..] if path.first() == Some(&b'/') => {
            Some((Some(number), Some(path.to_vec())))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_partition_and_path_are_told_apart() {
        let known = ["disk.img", "odd:/name", "a:p1"];
        let parse = |text: &str| {
            let a = parse(text.as_ref(), |p| known.iter().any(|k| p == Path::new(k)));
            let path = a.path.map(|p| String::from_utf8(p).unwrap());
            (a.image.to_str().unwrap().to_owned(), a.partition, path)
        };
        let of = |image: &str, partition, path: Option<&str>| {
            (image.to_owned(), partition, path.map(str::to_owned))
        };
        assert_eq!(parse("disk.img"), of("disk.img", None, None));
        assert_eq!(parse("disk.img:/"), of("disk.img", None, Some("/")));
        assert_eq!(parse("disk.img:p2"), of("disk.img", Some(2), None));
        let passwd = Some("/etc/passwd");
        assert_eq!(
            parse("disk.img:p15:/etc/passwd"),
            of("disk.img", Some(15), passwd)
        );
        assert_eq!(parse("odd:/name"), of("odd:/name", None, None));
        assert_eq!(
            parse("odd:/name:/x:/y"),
            of("odd:/name", None, Some("/x:/y"))
        );
        assert_eq!(parse("a:p1:/x"), of("a:p1", None, Some("/x")));
        assert_eq!(parse("gone:p1:/x"), of("gone", Some(1), Some("/x")));
        assert_eq!(parse("gone"), of("gone", None, None));
        assert_eq!(parse("gone:px"), of("gone:px", None, None));
        assert_eq!(
            parse("disk.img:p99999999999"),
            of("disk.img:p99999999999", None, None)
        );
    }
}

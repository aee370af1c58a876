//! The names of users and groups, as the image's own `/etc/passwd` and `/etc/group` have them.

use super::files::Files;
use crate::display::display_path;
use std::collections::HashMap;

/// Longer files are not read: names are a convenience.
const FILE_MAX: u64 = 4 << 20;

/// Names by number.
#[derive(Debug, Default)]
pub struct Accounts {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Accounts {
    /// Those of an image; none where the files cannot be read.
    #[must_use]
    pub fn of(files: &Files) -> Self {
        let read = |path: &str| {
            let text = files.small(path.as_bytes(), FILE_MAX);
            names(&text.ok().flatten().unwrap_or_default())
        };
        Self {
            users: read("/etc/passwd"),
            groups: read("/etc/group"),
        }
    }

    /// The name of a user.
    #[must_use]
    pub fn user(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(String::as_str)
    }

    /// The name of a group.
    #[must_use]
    pub fn group(&self, gid: u32) -> Option<&str> {
        self.groups.get(&gid).map(String::as_str)
    }
}

/// Names and numbers of passwd(5) and group(5), `name:password:number:…`; other lines are passed over.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    text.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        (!name.is_empty()).then_some((name, number))
    })
}

/// The first line of a number counts.
fn names(text: &[u8]) -> HashMap<u32, String> {
    let mut map = HashMap::new();
    for (name, number) in lines(text) {
        map.entry(number)
            .or_insert_with(|| display_path(name).to_string());
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_number_counts_and_the_rest_is_passed_over() {
        let map = names(
            b"root:x:0:0::/root:/bin/sh\ntoor:x:0:0\n# a:b:c\nlisa:x:1000:\nbad:x:y\n:x:3\nshort",
        );
        assert_eq!(map.get(&0).map(String::as_str), Some("root"));
        assert_eq!(map.get(&1000).map(String::as_str), Some("lisa"));
        assert_eq!(map.len(), 2);
    }
}

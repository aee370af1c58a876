//! The image's own accounts: the numbers of the names in its ACLs.

use super::BuildError;
use super::ingest::Ingest;
use super::wanted::{GROUP, PASSWD};
use crate::acl::text::Names;
use crate::ext4::EntryError;
use crate::tree::Sorted;
use std::collections::HashMap;

/// What `/etc/passwd` and `/etc/group` say.
#[derive(Debug, Default)]
struct Accounts {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Names for Accounts {
    fn user(&self, name: &[u8]) -> Option<u32> {
        self.users.get(name).copied()
    }

    fn group(&self, name: &[u8]) -> Option<u32> {
        self.groups.get(name).copied()
    }
}

/// Gives the ACLs of the tree their numbers, and files the permissions that follow from them.
pub(super) fn settle_acls(ingest: &mut Ingest<'_>, sorted: &Sorted) -> Result<(), BuildError> {
    let mut accounts = Accounts::default();
    if ingest.tree.has_acl_text() {
        let mut read = |path: &str| ingest.read(path.as_bytes());
        accounts.users = numbers(&read(PASSWD)?.unwrap_or_default());
        accounts.groups = numbers(&read(GROUP)?.unwrap_or_default());
    }
    let warnings = &mut ingest.warnings;
    let mut warn = |w: String| warnings.warn(&w);
    let settled = ingest.tree.settle_acls(sorted, &accounts, &mut warn);
    Ok(settled.map_err(EntryError::from)?)
}

/// Name and number of passwd(5) and group(5) alike: `name:password:number:…`. The first line of a name
/// counts, as it does for getpwnam(3).
fn numbers(text: &[u8]) -> HashMap<Vec<u8>, u32> {
    let mut map = HashMap::new();
    for line in text.split(|&b| b == b'\n') {
        let mut fields = line.split(|&b| b == b':');
        let (name, number) = (fields.next(), fields.nth(1));
        let number = number.and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
        if let (Some(name @ [_, ..]), Some(number)) = (name, number) {
            map.entry(name.to_vec()).or_insert(number);
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_name_counts_and_the_rest_is_passed_over() {
        let text = b"root:x:0:0::/root:/bin/sh\n# a:b:1\n\nlisa:x:1000:1000\nlisa:x:5:5\n+::::\nbad:x:y\n:x:3\nshort";
        let map = numbers(text);
        assert_eq!(map.get(&b"root"[..]), Some(&0));
        assert_eq!(map.get(&b"lisa"[..]), Some(&1000));
        assert_eq!(map.get(&b"bad"[..]), None);
        assert_eq!(map.get(&b"short"[..]), None);
        assert_eq!(map.get(&b""[..]), None);
    }
}

//! apk's list of what is installed: paragraphs of `LETTER:value` (apk-package(5), "Database").

use super::{Manager, Package, paragraphs};

pub(super) fn installed(database: &[u8]) -> impl Iterator<Item = Package> {
    paragraphs(database).filter_map(|lines| {
        let field = |letter: u8| {
            let value = lines
                .iter()
                .find_map(|line| line.strip_prefix(&[letter, b':']))?;
            let value = String::from_utf8_lossy(value.trim_ascii()).into_owned();
            (!value.is_empty()).then_some(value)
        };
        Some(Package {
            name: field(b'P')?,
            version: field(b'V')?,
            arch: field(b'A').unwrap_or_default(),
            manager: Manager::Apk,
            source: field(b'o').map(|origin| (origin, None)),
            maintainer: field(b'm'),
            homepage: field(b'U'),
            licence: field(b'L'),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_alpine_is_read() {
        let database = b"C:Q1abc=\nP:busybox-binsh\nV:1.36.1-r15\nA:x86_64\nL:GPL-2.0-only\n\
            o:busybox\nU:https://busybox.net/\nm:S <s@x.invalid>\nF:bin\nR:sh\n\n\
            C:Q1\nP:musl\nV:1.2.4-r2\n\nF:etc\n";
        let list: Vec<_> = installed(database).collect();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].source, Some(("busybox".into(), None)));
        assert_eq!(list[0].licence.as_deref(), Some("GPL-2.0-only"));
        assert_eq!((list[1].name.as_str(), list[1].arch.as_str()), ("musl", ""));
    }
}

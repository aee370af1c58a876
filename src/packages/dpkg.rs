//! dpkg's status file: deb822 paragraphs (Debian Policy 5.1; dpkg(1), "Package states").

use super::{Manager, Package, paragraphs};

/// The packages whose files are there.
pub(super) fn installed(status: &[u8]) -> impl Iterator<Item = Package> {
    paragraphs(status).filter_map(|lines| package(&lines))
}

fn package(lines: &[&[u8]]) -> Option<Package> {
    let field = |name: &str| {
        let value = lines.iter().find_map(|line| {
            let (key, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":")?;
            key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })?;
        let value = String::from_utf8_lossy(value.trim_ascii()).into_owned();
        (!value.is_empty()).then_some(value)
    };
    // Without one the paragraph is from a folder status.d, which knows no states.
    let state = field("Status").unwrap_or_else(|| "install ok installed".into());
    if matches!(
        state.split_ascii_whitespace().nth(2),
        Some("not-installed" | "config-files")
    ) {
        return None;
    }
    Some(Package {
        name: field("Package")?,
        version: field("Version")?,
        arch: field("Architecture").unwrap_or_default(),
        manager: Manager::Dpkg,
        source: field("Source").map(source),
        maintainer: field("Maintainer"),
        homepage: field("Homepage"),
        licence: None,
    })
}

/// `name`, or `name (version)`.
fn source(text: String) -> (String, Option<String>) {
    match text.split_once(" (") {
        Some((name, version)) => (
            name.into(),
            Some(version.trim_end_matches(')').trim().into()),
        ),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_read_and_no_others() {
        let status = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\n\
            Source: glibc (2.36-9)\nVersion: 2.36-9+b1\nDescription: a\n Version: 7\n .\n\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 3\n\n\
            Package: never\nStatus: unknown ok not-installed\n\n\
            Package: half\nStatus: install reinstreq half-configured\nVersion: 1\nArchitecture: all\n\
            Source: whole\nHomepage: https://x.invalid\nMaintainer: A \xff <a@x.invalid>";
        let list: Vec<_> = installed(status).collect();
        let [libc, half] = &list[..] else {
            panic!("{list:?}")
        };
        assert_eq!(
            (libc.name.as_str(), libc.version.as_str()),
            ("libc6", "2.36-9+b1")
        );
        let source = libc.source.clone().unwrap();
        assert_eq!(source, ("glibc".into(), Some("2.36-9".into())));
        assert_eq!(half.source.clone().unwrap(), ("whole".into(), None));
        assert_eq!(half.maintainer.as_deref(), Some("A \u{fffd} <a@x.invalid>"));
    }

    #[test]
    fn what_is_no_database_lists_nothing() {
        assert_eq!(installed(b"").count(), 0);
        assert_eq!(
            installed(b"\n\n:\nPackage:\nVersion: 1\n\nPackage: x\n").count(),
            0
        );
        assert_eq!(installed(&[0xff; 100]).count(), 0);
    }
}

//! Package URLs: `pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12` (purl-spec, "Package URL
//! specification", "Rules for each purl component"; the types `deb` and `apk`).

use super::{Manager, OsRelease, Package};
use std::fmt::Write as _;

impl Package {
    /// Its package URL on a system.
    #[must_use]
    pub fn purl(&self, os: &OsRelease) -> String {
        let (kind, vendor) = match self.manager {
            Manager::Dpkg => ("deb", "debian"),
            Manager::Apk => ("apk", "alpine"),
        };
        let vendor = if os.id.is_empty() { vendor } else { &os.id };
        let mut purl = format!(
            "pkg:{kind}/{}/{}@{}",
            encoded(&vendor.to_lowercase()),
            encoded(&self.name.to_lowercase()),
            encoded(&self.version)
        );
        // Qualifiers in the order of their names.
        let distro = os.version_id.as_ref().map(|v| format!("{vendor}-{v}"));
        let distro = distro.or_else(|| (!os.id.is_empty()).then(|| os.id.clone()));
        let upstream = self.source.as_ref().map(|(name, version)| match version {
            Some(version) => format!("{name}@{version}"),
            None => name.clone(),
        });
        let qualifiers = [
            ("arch", Some(self.arch.clone()).filter(|a| !a.is_empty())),
            ("distro", distro),
            ("upstream", upstream),
        ];
        let mut mark = '?';
        for (key, value) in qualifiers {
            if let Some(value) = value {
                purl.push(mark);
                purl.push_str(key);
                purl.push('=');
                purl.push_str(&encoded(&value));
                mark = '&';
            }
        }
        purl
    }
}

/// Percent-encoded but for RFC 3986's unreserved characters and the colon.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            byte => write!(out, "%{byte:02X}").expect("a String takes every write"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purls_name_system_architecture_and_source() {
        let os = OsRelease::parse(b"ID=debian\nVERSION_ID=12");
        let mut package = Package {
            name: "libstdc++6".into(),
            version: "1:12.2.0-14+deb12u1".into(),
            arch: "amd64".into(),
            manager: Manager::Dpkg,
            source: Some(("gcc-12".into(), Some("12.2".into()))),
            maintainer: None,
            homepage: None,
            licence: None,
        };
        assert_eq!(
            package.purl(&os),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2"
        );
        package.source = None;
        package.arch.clear();
        assert_eq!(
            package.purl(&OsRelease::default()),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1"
        );
    }
}

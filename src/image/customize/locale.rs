//! Time zone and locale.

use super::edit::{Edit, Given};
use super::{Customize, CustomizeError, LOCALE_ARCHIVE};
use crate::display::nearest;
use crate::image::BuildError;
use crate::tree::NodeId;

const ZONEINFO: &str = "usr/share/zoneinfo";
const LOCALES: &str = "usr/lib/locale";
/// Folders within folders of zones: America/Argentina/Ushuaia.
const ZONE_DEPTH: u32 = 4;

/// Names that could be none.
pub(super) fn check(spec: &Customize) -> Result<(), CustomizeError> {
    let zone = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
    let name = |c: char| c.is_ascii_alphanumeric() || "_.@-".contains(c);
    let refuse = |flag, value: &str, why: &str| {
        Err(CustomizeError::Value {
            flag,
            value: value.into(),
            why: why.into(),
        })
    };
    match (&spec.timezone, &spec.locale) {
        (Some(z), _) if z.is_empty() || z.starts_with('/') || !z.chars().all(zone) => {
            refuse("timezone", z, "a zone is named as Europe/Berlin is")
        }
        (_, Some(l)) if l.is_empty() || !l.chars().all(name) => {
            refuse("locale", l, "a locale is named as de_DE.UTF-8 is")
        }
        _ => Ok(()),
    }
}

/// The zone of the system: localtime(5), and Debian's `/etc/timezone`.
pub(super) fn timezone(edit: &mut Edit<'_, '_>, zone: &str) -> Result<(), BuildError> {
    const LOCALTIME: &str = "etc/localtime";
    let tree = &edit.ingest.tree;
    let path = format!("{ZONEINFO}/{zone}");
    let file = tree.resolve(path.as_bytes());
    let is_file = file.is_some_and(|n| !tree.node(n).is_directory());
    let folder = tree.resolve(ZONEINFO.as_bytes());
    let is_utc = matches!(zone, "UTC" | "Etc/UTC");
    match folder {
        _ if is_file => {
            edit.link(LOCALTIME, format!("../{path}").as_bytes())?;
        }
        // Without the link it is what the C library falls back to.
        None if is_utc => edit.forget(LOCALTIME.as_bytes())?,
        None => {
            return Err(CustomizeError::Missing {
                flag: edit.flag,
                path: "/usr/share/zoneinfo",
                hint: "the package tzdata brings it; without it, UTC is the only zone",
            }
            .into());
        }
        Some(folder) => {
            let mut zones = Vec::new();
            names(edit, folder, "", ZONE_DEPTH, &mut zones);
            let near = nearest(zone, zones.iter().map(String::as_str)).map(str::to_owned);
            return Err(edit.unknown("zone", zone, near));
        }
    }
    if edit.has("etc/timezone") || edit.has("etc/debian_version") {
        let text = format!("{zone}\n").into_bytes();
        edit.rewrite("etc/timezone", text, Given::root(0o644))?;
    }
    Ok(())
}

fn names(edit: &Edit<'_, '_>, folder: NodeId, prefix: &str, depth: u32, out: &mut Vec<String>) {
    let tree = &edit.ingest.tree;
    if !tree.node(folder).is_directory() {
        return;
    }
    for child in tree.list(folder) {
        let name = format!("{prefix}{}", String::from_utf8_lossy(child.name));
        if tree.node(child.node).is_directory() {
            // Each zone again, counted with and without leap seconds.
            if depth > 0 && !matches!(name.as_str(), "posix" | "right") {
                names(edit, child.node, &format!("{name}/"), depth - 1, out);
            }
        } else {
            out.push(name);
        }
    }
}

/// `LANG` of the system: Debian's `/etc/default/locale`, elsewhere locale.conf(5).
pub(super) fn locale(edit: &mut Edit<'_, '_>, name: &str) -> Result<(), BuildError> {
    const DEBIAN: &str = "etc/default/locale";
    const CONF: &str = "etc/locale.conf";
    let is_debian = edit.has(DEBIAN) || edit.has("etc/debian_version");
    let path = if is_debian { DEBIAN } else { CONF };
    edit.rewrite(
        path,
        format!("LANG={name}\n").into_bytes(),
        Given::root(0o644),
    )?;
    if !is_made(edit, name)? {
        edit.ingest.warn(&format!(
            "--locale {name}: the image has no such locale in /{LOCALES}, and programs will complain; on \
             Debian the packages locales-all, or locales and its locale-gen, make it while the rootfs is made"
        ));
    }
    Ok(())
}

/// Whether the C library will find it: built in, as a folder, or in the archive.
fn is_made(edit: &mut Edit<'_, '_>, name: &str) -> Result<bool, BuildError> {
    let normal = normalized(name);
    if matches!(normal.as_str(), "C" | "POSIX" | "C.utf8") {
        return Ok(true);
    }
    let tree = &edit.ingest.tree;
    if let Some(folder) = tree.resolve(LOCALES.as_bytes())
        && tree.node(folder).is_directory()
    {
        let mut names = tree.list(folder).into_iter();
        if names.any(|c| c.name == normal.as_bytes() || c.name == name.as_bytes()) {
            return Ok(true);
        }
    }
    // glibc's locale-archive: its names lie in front, each with a NUL at both ends.
    let archive = edit.text(LOCALE_ARCHIVE)?.unwrap_or_default();
    let wanted = [b"\0", normal.as_bytes(), b"\0"].concat();
    Ok(archive.windows(wanted.len()).any(|w| w == wanted))
}

/// As glibc's `_nl_normalize_codeset` writes the part behind the dot: `de_DE.UTF-8` is `de_DE.utf8`.
fn normalized(name: &str) -> String {
    let (name, modifier) = match name.split_once('@') {
        Some((name, modifier)) => (name, format!("@{modifier}")),
        None => (name, String::new()),
    };
    let Some((language, codeset)) = name.split_once('.') else {
        return format!("{name}{modifier}");
    };
    let codeset = codeset.chars().filter(char::is_ascii_alphanumeric);
    let codeset: String = codeset.map(|c| c.to_ascii_lowercase()).collect();
    format!("{language}.{codeset}{modifier}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codesets_are_compared_as_glibc_does() {
        for (name, normal) in [
            ("de_DE.UTF-8", "de_DE.utf8"),
            ("C.UTF-8", "C.utf8"),
            ("ca_ES.ISO-8859-15@euro", "ca_ES.iso885915@euro"),
            ("POSIX", "POSIX"),
        ] {
            assert_eq!(normalized(name), normal);
        }
    }
}

//! Finding a unit of systemd: its file by name, template or alias, and what that and its drop-ins say.

use super::CustomizeError;
use super::edit::Edit;
use super::install::{Install, Name};
use crate::display::{display_path, nearest};
use crate::image::BuildError;
use crate::tree::NodeKind;
use std::collections::BTreeSet;

/// Where units are looked for, the first that is there: systemd.unit(5), "UNIT FILE LOAD PATH".
pub(super) const FOLDERS: [&str; 4] = [
    ETC,
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// Where the system's own links lie.
pub(super) const ETC: &str = "etc/systemd/system";
/// Names that one unit may go by until its file is found.
const ALIASES_MAX: u32 = 16;

/// A unit whose file was found.
pub(super) struct Unit {
    /// As it was asked for, or what an alias stands for.
    pub(super) name: String,
    /// Its file, without links.
    pub(super) file: String,
    pub(super) install: Install,
}

/// What a name leads to.
pub(super) enum Found {
    Unit(Unit),
    Masked,
    Nothing,
}

/// Where the symbolic link at `path` points.
pub(super) fn target(edit: &Edit<'_, '_>, path: &str) -> Result<Option<Vec<u8>>, CustomizeError> {
    let tree = &edit.ingest.tree;
    let node = edit.real(path, false)?.node;
    Ok(node.and_then(|n| match tree.node(n).kind {
        NodeKind::Symlink { target } => Some(tree.target(target).to_vec()),
        _ => None,
    }))
}

/// Finds the file of a unit, by its own name or by its template's.
pub(super) fn find(edit: &mut Edit<'_, '_>, name: &str) -> Result<Found, BuildError> {
    let mut name = name.to_owned();
    'names: for _ in 0..ALIASES_MAX {
        let template = Name::parse(&name).and_then(Name::template);
        let files = [Some(name.clone()), template];
        for file in files.iter().flatten() {
            for folder in FOLDERS {
                let path = format!("{folder}/{file}");
                if let Some(target) = target(edit, &path)? {
                    if target == b"/dev/null" {
                        return Ok(Found::Masked);
                    }
                    let base = target.rsplit(|&b| b == b'/').next().unwrap_or_default();
                    let base = String::from_utf8_lossy(base).into_owned();
                    // Another name for a unit; of the same name it is a file that lies elsewhere.
                    if base != *file && Name::parse(&base).is_some() {
                        let other = alias_of(&name, &base);
                        // An instance that leads to its own template is made of that.
                        if other != name {
                            name = other;
                            continue 'names;
                        }
                    }
                }
                let real = edit.real(&path, true)?;
                let kind = real.node.map(|n| edit.ingest.tree.node(n).kind);
                match kind {
                    Some(NodeKind::File { size: 0, .. }) => return Ok(Found::Masked),
                    Some(NodeKind::File { .. }) => {}
                    _ => continue,
                }
                let install = install(edit, &path, &[Some(&name), Some(file)])?;
                let file = display_path(&real.path).to_string();
                return Ok(Found::Unit(Unit {
                    name,
                    file,
                    install,
                }));
            }
        }
        return Ok(Found::Nothing);
    }
    Ok(Found::Nothing)
}

/// What `name` is called whose file is a link to `base`: the instance goes along.
fn alias_of(name: &str, base: &str) -> String {
    let instance = Name::parse(name).and_then(|n| n.instance);
    match (instance, Name::parse(base)) {
        (Some(instance), Some(to)) if to.instance == Some("") => {
            format!("{}@{instance}.{}", to.prefix, to.suffix)
        }
        _ => base.to_owned(),
    }
}

/// The section of a unit file and of its drop-ins.
fn install(
    edit: &mut Edit<'_, '_>,
    path: &str,
    names: &[Option<&String>],
) -> Result<Install, BuildError> {
    let mut install = Install::default();
    install.read(&edit.text(path)?.unwrap_or_default());
    // By name, wherever they lie; of one name, that of the first folder.
    let mut drop_ins: Vec<(Vec<u8>, String)> = Vec::new();
    let tree = &edit.ingest.tree;
    let names: BTreeSet<&String> = names.iter().copied().flatten().collect();
    for folder in FOLDERS {
        for name in &names {
            let folder = format!("{folder}/{name}.d");
            let Some(node) = tree.resolve(folder.as_bytes()) else {
                continue;
            };
            for child in tree.list(node) {
                let known = drop_ins.iter().any(|(n, _)| n == child.name);
                if child.name.ends_with(b".conf") && !known {
                    let file = String::from_utf8_lossy(child.name);
                    drop_ins.push((child.name.to_vec(), format!("{folder}/{file}")));
                }
            }
        }
    }
    drop_ins.sort();
    for (_, path) in drop_ins {
        install.read(&edit.text(&path)?.unwrap_or_default());
    }
    Ok(install)
}

/// The unit whose name is most like `name`.
pub(super) fn near(edit: &Edit<'_, '_>, name: &str) -> Option<String> {
    let tree = &edit.ingest.tree;
    let folders = FOLDERS.iter().filter_map(|f| tree.resolve(f.as_bytes()));
    let folders = folders.filter(|&n| tree.node(n).is_directory());
    let names = folders.flat_map(|n| tree.list(n));
    let names = names.filter_map(|c| std::str::from_utf8(c.name).ok());
    nearest(name, names.filter(|n| Name::parse(n).is_some())).map(str::to_owned)
}

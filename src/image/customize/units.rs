//! Which units of systemd start: what `systemctl --root` writes for enable, disable and mask.
use super::edit::{Edit, Given};
use super::install::{Name, with_suffix};
use super::unit_files::{ETC, FOLDERS, Found, Unit, find, near, target};
use super::{Customize, CustomizeError};
use crate::display::display_path;
use crate::image::BuildError;
use crate::tree::NodeKind;
use std::collections::{BTreeSet, VecDeque};

/// Names that are none, and wishes that exclude each other.
pub(super) fn check(spec: &Customize) -> Result<(), CustomizeError> {
    let lists = [
        ("enable", &spec.enable),
        ("disable", &spec.disable),
        ("mask", &spec.mask),
    ];
    let mut seen: Vec<(String, &'static str)> = Vec::new();
    for (flag, list) in lists {
        for unit in list {
            let name = with_suffix(unit);
            let other = seen.iter().find(|(n, f)| *n == name && *f != flag);
            let why = match other {
                _ if Name::parse(&name).is_none() => "no unit of systemd is called so".into(),
                // Who is disabled may be masked too.
                Some((_, other)) if *other == "enable" => format!("--enable {unit} says otherwise"),
                _ => {
                    seen.push((name, flag));
                    continue;
                }
            };
            return Err(CustomizeError::Value {
                flag,
                value: unit.clone(),
                why,
            });
        }
    }
    Ok(())
}

/// `systemctl enable`.
pub(super) fn enable(edit: &mut Edit<'_, '_>, unit: &str) -> Result<(), BuildError> {
    let mut todo = VecDeque::from([with_suffix(unit)]);
    let mut done = BTreeSet::new();
    while let Some(name) = todo.pop_front() {
        if !done.insert(name.clone()) {
            continue;
        }
        let found = match find(edit, &name)? {
            Found::Unit(found) => found,
            Found::Masked => return Err(edit.value(unit, format!("{name} is masked in the image"))),
            Found::Nothing if done.len() > 1 => {
                edit.ingest.warn(&format!(
                    "--enable {unit}: its Also={name} is not in the image"
                ));
                continue;
            }
            Found::Nothing => return Err(no_unit(edit, &name)),
        };
        if found.install.is_empty() && done.len() == 1 {
            edit.ingest.warn(&format!(
                "--enable {unit}: /{} has no section [Install]: what needs it starts it, and there is nothing to \
                 enable",
                found.file
            ));
        }
        for also in &found.install.also {
            todo.push_back(resolved(edit, &found.name, also)?);
        }
        links(edit, &found)?;
    }
    Ok(())
}

/// The links of one unit.
fn links(edit: &mut Edit<'_, '_>, unit: &Unit) -> Result<(), BuildError> {
    let install = &unit.install;
    let mut name = unit.name.clone();
    let mut parsed = Name::parse(&name);
    let kinds = [
        ("wants", &install.wanted_by),
        ("requires", &install.required_by),
        ("upholds", &install.upheld_by),
    ];
    // What starts a template starts an instance of it.
    let is_template = parsed.is_some_and(|n| n.instance == Some(""));
    let instance = match (&install.default_instance, parsed) {
        (Some(instance), Some(p)) if is_template => {
            Some(format!("{}@{instance}.{}", p.prefix, p.suffix))
        }
        _ => None,
    };
    for alias in &install.alias {
        let alias = resolved(edit, &name, alias)?;
        let same_kind = |a: Name<'_>| parsed.is_some_and(|p| p.suffix == a.suffix);
        if !Name::parse(&alias).is_some_and(same_kind) {
            return Err(edit.value(
                &name,
                format!("its Alias={alias} is no name for such a unit"),
            ));
        }
        if alias != name {
            link(edit, &format!("{ETC}/{alias}"), unit)?;
        }
    }
    if let Some(instance) = instance {
        name = instance;
        parsed = Name::parse(&name);
    }
    for (kind, list) in kinds {
        for by in list {
            if parsed.is_some_and(|n| n.instance == Some("")) {
                let why = "it is a template without a DefaultInstance; name an instance, as in getty@tty1";
                return Err(edit.value(&name, why));
            }
            let by = resolved(edit, &name, by)?;
            if Name::parse(&by).is_none() && !by.ends_with(".device") {
                return Err(edit.value(&name, format!("its section [Install] names the unit {by}")));
            }
            link(edit, &format!("{ETC}/{by}.{kind}/{name}"), unit)?;
        }
    }
    Ok(())
}

fn resolved(edit: &Edit<'_, '_>, name: &str, text: &str) -> Result<String, BuildError> {
    let whole = Name::parse(name).and_then(|n| n.resolve(name, text));
    whole.ok_or_else(|| {
        let why = format!("its section [Install] says {text}, which depends on the running system");
        edit.value(name, why)
    })
}

/// A link to a unit, unless there is one.
fn link(edit: &mut Edit<'_, '_>, path: &str, unit: &Unit) -> Result<(), BuildError> {
    let base = |path: &[u8]| {
        path.rsplit(|&b| b == b'/')
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    if let Some(target) = target(edit, path)? {
        if base(&target) == base(unit.file.as_bytes()) {
            return Ok(());
        }
        let why = format!(
            "/{path} is there already, and leads to {}; --remove it first",
            display_path(&target)
        );
        return Err(edit.value(&unit.name, why));
    }
    if edit.real(path, false)?.node.is_some() {
        return Err(edit.value(
            &unit.name,
            format!("/{path} is a file of the image; --remove it first"),
        ));
    }
    edit.link(path, format!("/{}", unit.file).as_bytes())?;
    Ok(())
}

/// `systemctl disable`: every link in `/etc/systemd/system` that leads to the unit goes.
pub(super) fn disable(edit: &mut Edit<'_, '_>, unit: &str) -> Result<(), BuildError> {
    let name = with_suffix(unit);
    let mut names = BTreeSet::from([name.clone()]);
    let mut todo = VecDeque::from([name.clone()]);
    let mut known = false;
    while let Some(next) = todo.pop_front() {
        if let Found::Unit(found) = find(edit, &next)? {
            known |= next == name;
            names.insert(found.name.clone());
            for also in &found.install.also {
                let also = resolved(edit, &found.name, also)?;
                if names.insert(also.clone()) {
                    todo.push_back(also);
                }
            }
        }
    }
    loop {
        let gone = links_to(edit, &names)?;
        let before = edit.files;
        for (path, folder, name) in gone {
            if edit.ingest.tree.find(&path).is_none() {
                continue;
            }
            known = true;
            edit.forget(&path)?;
            // What leads to an alias goes with it.
            names.extend(name);
            if let Some(folder) = folder.filter(|f| is_empty(edit, f)) {
                edit.ingest.forget(&folder)?;
            }
        }
        // Every round takes a link away, or is the last one.
        if edit.files == before {
            break;
        }
    }
    if known || matches!(find(edit, &name)?, Found::Masked) {
        Ok(())
    } else {
        Err(no_unit(edit, &name))
    }
}

fn is_empty(edit: &Edit<'_, '_>, folder: &[u8]) -> bool {
    let node = edit.ingest.tree.find(folder);
    node.is_some_and(|n| {
        edit.ingest.tree.node(n).is_directory() && edit.ingest.tree.list(n).is_empty()
    })
}

/// A link's path, the folder below that of the system's links in which it lies, and its name where it is text.
type Link = (Vec<u8>, Option<Vec<u8>>, Option<String>);

/// The links of the system to units called so. Masks are no links to a unit.
fn links_to(edit: &Edit<'_, '_>, names: &BTreeSet<String>) -> Result<Vec<Link>, BuildError> {
    let tree = &edit.ingest.tree;
    // A name that is no text is no unit's.
    let is_ours = |name: &[u8]| {
        std::str::from_utf8(name).is_ok_and(|name| {
            names.contains(name)
                || Name::parse(name)
                    .and_then(Name::template)
                    .is_some_and(|t| names.contains(&t))
        })
    };
    let mut gone = Vec::new();
    let mut folders = vec![(edit.real(ETC, true)?.path, true)];
    while let Some((folder, top)) = folders.pop() {
        let Some(node) = tree.find(&folder) else {
            continue;
        };
        if !tree.node(node).is_directory() {
            continue;
        }
        for child in tree.list(node) {
            let path = [&folder, &b"/"[..], child.name].concat();
            match tree.node(child.node).kind {
                NodeKind::Directory { .. } if top => folders.push((path, false)),
                NodeKind::Symlink { target } if tree.target(target) != b"/dev/null" => {
                    let base = tree.target(target).rsplit(|&b| b == b'/').next();
                    if is_ours(child.name) || is_ours(base.unwrap_or_default()) {
                        let name = String::from_utf8(child.name.to_vec()).ok();
                        gone.push((path, (!top).then(|| folder.clone()), name));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(gone)
}

/// `systemctl mask`.
pub(super) fn mask(edit: &mut Edit<'_, '_>, unit: &str) -> Result<(), BuildError> {
    let name = with_suffix(unit);
    let path = format!("{ETC}/{name}");
    match target(edit, &path)? {
        Some(target) if target == b"/dev/null" => return Ok(()),
        // An alias, or a file elsewhere: the mask stands in its place.
        Some(_) => {
            let real = edit.real(&path, false)?;
            edit.forget(&real.path)?;
        }
        None if edit.real(&path, false)?.node.is_some() => {
            return Err(edit.value(
                unit,
                format!("/{path} is a file of the image; --remove it first"),
            ));
        }
        None => {}
    }
    if matches!(find(edit, &name)?, Found::Nothing) {
        // It may be one that a generator makes at boot.
        let near = near(edit, &name).map(|n| format!("; did you mean {n}?"));
        edit.ingest.warn(&format!(
            "--mask {unit}: the image has no unit {name}{}",
            near.unwrap_or_default()
        ));
    }
    edit.directory(ETC, Given::root(0o755))?;
    edit.link(&path, b"/dev/null")?;
    Ok(())
}

fn no_unit(edit: &Edit<'_, '_>, name: &str) -> BuildError {
    if !FOLDERS.iter().any(|folder| edit.has(folder)) {
        return CustomizeError::Missing {
            flag: edit.flag,
            path: "/usr/lib/systemd/system",
            hint: "it is no system of systemd's",
        }
        .into();
    }
    edit.unknown("unit", name, near(edit, name))
}

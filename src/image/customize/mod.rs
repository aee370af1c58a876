//! Edits of the tree that the user asked for, between the archive and what the image needs itself.
//!
//! | order | asked for by | what it does |
//! |---|---|---|
//! | 1 | `remove` | leaves out what patterns match |
//! | 2 | `overlays`, `files` | lays files of this machine over the tree |
//! | 3 | `users`, `ssh_keys` | accounts and who may log in |
//! | 4 | `timezone`, `locale` | what time and words the system shows |
//! | 5 | `enable`, `disable`, `mask` | which units start |
//! | 6 | `cloud_init` | a seed for the first boot |
//! | 7 | `machine_id` | who the machine is |
//!
//! The host name, [`super::Spec::hostname`], comes behind them. Nothing of the root filesystem is run, and of
//! its files only those are read that `wants` lists. Every path is followed inside the tree, so that no link
//! of an archive leads out of it.
//!
//! What is made has the image's time, so that the bytes are a function of the archive, the spec and the
//! content of the files named in it, of their holes too. The seed of the image is taken from the tree behind
//! these edits.

mod accounts;
mod cloud_init;
mod databases;
mod edit;
mod error;
mod install;
mod keys;
mod locale;
mod overlay;
mod remove;
mod spec;
mod unit_files;
mod units;

pub use error::CustomizeError;
pub use spec::{CustomFile, Customize, Id, MachineId, Overlay, Owner, SshKey, SyntaxError, User};

use super::ingest::Ingest;
use super::wanted::trimmed;
use super::{BuildError, Spec};
use crate::units::Timestamp;
use edit::{Edit, Given};
use serde::Serialize;

/// An edit that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// What asked for it: a flag of the command line, a key of the spec file.
    pub flag: &'static str,
    /// Its value.
    pub value: String,
    /// Files that were made, replaced or removed for it.
    pub files: u64,
}

const PASSWD: &str = super::wanted::PASSWD;
const GROUP: &str = super::wanted::GROUP;
const SHADOW: &str = "etc/shadow";
const GSHADOW: &str = "etc/gshadow";
const SUBUID: &str = "etc/subuid";
const SUBGID: &str = "etc/subgid";
const LOGIN_DEFS: &str = "etc/login.defs";
const SKEL: &str = "etc/skel";
const AUTHORIZED_KEYS: &str = ".ssh/authorized_keys";
const LOCALE_ARCHIVE: &str = "usr/lib/locale/locale-archive";

/// Whether customising may read the file at `path`, so that a spool keeps it.
pub(super) fn wants(path: &[u8]) -> bool {
    let path = trimmed(path);
    let below = |folder: &str| {
        let rest = path.strip_prefix(folder.as_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&b'/'))
    };
    let known = [SHADOW, GSHADOW, SUBUID, SUBGID, LOGIN_DEFS, LOCALE_ARCHIVE];
    known.iter().any(|k| k.as_bytes() == path)
        || below(SKEL)
        || path.ends_with(AUTHORIZED_KEYS.as_bytes())
        || unit_files::FOLDERS.iter().any(|folder| below(folder))
}

/// What can be refused before the archive is read.
pub(super) fn check(spec: &Customize) -> Result<(), CustomizeError> {
    remove::check(&spec.remove)?;
    locale::check(spec)?;
    units::check(spec)
}

/// Makes the edits, each at `time`.
pub(super) fn apply(
    ingest: &mut Ingest<'_>,
    spec: &Spec,
    time: Timestamp,
) -> Result<Vec<Applied>, BuildError> {
    let wish = &spec.customize;
    let mut applied = Vec::new();
    if *wish == Customize::default() {
        return Ok(applied);
    }
    // What the archive brought lies below: none of it can stand against an edit as a sibling would.
    ingest
        .tree
        .begin_layer()
        .map_err(crate::ext4::EntryError::from)?;
    let mut owners = overlay::Owners::default();
    let mut step =
        |ingest: &mut Ingest<'_>,
         flag: &'static str,
         value: String,
         edit: &mut dyn FnMut(&mut Edit<'_, '_>) -> Result<(), BuildError>| {
            let mut made = Edit {
                ingest,
                flag,
                time,
                files: 0,
            };
            made.ingest.check()?;
            edit(&mut made)?;
            let files = made.files;
            applied.push(Applied { flag, value, files });
            Ok::<(), BuildError>(())
        };
    for pattern in &wish.remove {
        step(ingest, "remove", pattern.clone(), &mut |e| {
            remove::remove(e, pattern)
        })?;
    }
    for layer in &wish.overlays {
        let name = layer.folder.display().to_string();
        step(ingest, "overlay", name, &mut |e| {
            overlay::folder(e, layer, &mut owners)
        })?;
    }
    for file in &wish.files {
        step(ingest, "file", file.path.clone(), &mut |e| {
            overlay::file(e, file, &mut owners)
        })?;
    }
    for user in &wish.users {
        step(ingest, "user", user.name.clone(), &mut |e| {
            accounts::add(e, user, &mut owners)
        })?;
    }
    owners.settle(ingest, time)?;
    for key in &wish.ssh_keys {
        step(ingest, "ssh-key", key.user.clone(), &mut |e| {
            keys::add(e, key, &owners)
        })?;
    }
    if let Some(zone) = &wish.timezone {
        step(ingest, "timezone", zone.clone(), &mut |e| {
            locale::timezone(e, zone)
        })?;
    }
    if let Some(name) = &wish.locale {
        step(ingest, "locale", name.clone(), &mut |e| {
            locale::locale(e, name)
        })?;
    }
    for unit in &wish.enable {
        step(ingest, "enable", unit.clone(), &mut |e| {
            units::enable(e, unit)
        })?;
    }
    for unit in &wish.disable {
        step(ingest, "disable", unit.clone(), &mut |e| {
            units::disable(e, unit)
        })?;
    }
    for unit in &wish.mask {
        step(ingest, "mask", unit.clone(), &mut |e| units::mask(e, unit))?;
    }
    if let Some(seed) = &wish.cloud_init {
        let hostname = spec.hostname.as_deref();
        step(ingest, "cloud-init", seed.display().to_string(), &mut |e| {
            cloud_init::seed(e, seed, hostname)
        })?;
    }
    if wish.machine_id == MachineId::Uninitialized && !wish.disable.is_empty() {
        // systemd.preset(5): at the first boot what is preset is enabled, and without a preset all is.
        ingest.warn(
            "--machine-id uninitialized: systemd takes the next boot for the first, and its presets may then \
             enable what was disabled; --mask what must not start, or say --machine-id empty",
        );
    }
    if wish.machine_id != MachineId::Keep {
        let id = wish.machine_id;
        step(ingest, "machine-id", id.word().into(), &mut |e| {
            machine_id(e, id)
        })?;
    }
    Ok(applied)
}

/// machine-id(5). D-Bus's own copy becomes a link to it, as systemd's documentation of `/etc/machine-id` asks.
fn machine_id(edit: &mut Edit<'_, '_>, id: MachineId) -> Result<(), BuildError> {
    const MACHINE_ID: &str = "etc/machine-id";
    const DBUS: &str = "var/lib/dbus/machine-id";
    let text = match id {
        MachineId::Keep => return Ok(()),
        MachineId::Empty => "",
        MachineId::Uninitialized => "uninitialized\n",
    };
    edit.write(MACHINE_ID, text.into(), Given::root(0o444))?;
    if edit.real(DBUS, false)?.node.is_some() {
        edit.link(DBUS, b"/etc/machine-id")?;
    }
    Ok(())
}

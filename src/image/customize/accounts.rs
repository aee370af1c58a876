//! Users of the image: adding them, and the numbers of their names.

use super::databases::{Databases, Defaults, Refused};
use super::edit::{Edit, Given};
use super::overlay::Owners;
use super::spec::{Id, Owner, User};
use super::{GROUP, GSHADOW, LOGIN_DEFS, PASSWD, SHADOW, SKEL, SUBGID, SUBUID};
use crate::display::nearest;
use crate::image::BuildError;
use crate::image::wanted::READ_MAX;
use crate::tree::{NodeId, NodeKind};

/// Shells for a new user, the first that is there.
const SHELLS: [&str; 3] = ["bin/bash", "bin/sh", "bin/ash"];
/// Folders in `/etc/skel` within folders.
const SKEL_DEPTH: u32 = 16;

impl Databases {
    fn read(edit: &mut Edit<'_, '_>) -> Result<Self, BuildError> {
        Ok(Self {
            passwd: edit.text(PASSWD)?.unwrap_or_default(),
            group: edit.text(GROUP)?.unwrap_or_default(),
            shadow: edit.text(SHADOW)?,
            gshadow: edit.text(GSHADOW)?,
            subuid: edit.text(SUBUID)?,
            subgid: edit.text(SUBGID)?,
        })
    }

    /// Writes what differs from `before`.
    fn write(self, edit: &mut Edit<'_, '_>, before: &Self) -> Result<(), BuildError> {
        let mut put = |path, mode, old: &[u8], new: Vec<u8>| match old == new {
            true => Ok(()),
            false => edit.rewrite(path, new, Given::root(mode)),
        };
        put(PASSWD, 0o644, &before.passwd, self.passwd)?;
        put(GROUP, 0o644, &before.group, self.group)?;
        for (path, old, new) in [
            (SHADOW, &before.shadow, self.shadow),
            (GSHADOW, &before.gshadow, self.gshadow),
            (SUBUID, &before.subuid, self.subuid),
            (SUBGID, &before.subgid, self.subgid),
        ] {
            if let (Some(old), Some(new)) = (old, new) {
                put(path, 0o600, old, new)?;
            }
        }
        Ok(())
    }
}

/// Adds a user, unless it is there.
pub(super) fn add(
    edit: &mut Edit<'_, '_>,
    user: &User,
    owners: &mut Owners,
) -> Result<(), BuildError> {
    let before = Databases::read(edit)?;
    if before.passwd.is_empty() {
        return Err(missing(edit));
    }
    let defaults = Defaults::read(&edit.text(LOGIN_DEFS)?.unwrap_or_default());
    let shell = SHELLS.iter().find(|shell| edit.has(shell));
    let shell = format!("/{}", shell.unwrap_or(&"bin/sh"));
    let days = edit.time.sec.div_euclid(86_400).max(1);
    let is_new = before.account(&user.name).is_none();
    let mut after = before.clone();
    let account = after
        .add(user, &defaults, &shell, days)
        .map_err(|refused| why(edit, user, &before, refused))?;
    after.write(edit, &before)?;
    if !is_new {
        return Ok(());
    }
    let given = |mode| Given {
        mode,
        uid: account.uid,
        gid: account.gid,
    };
    let there = edit.real(&account.home, true)?.node;
    let ours = |node: NodeId| owners.made(node) || edit.ingest.tree.node(node).implied;
    if let Some(node) = there.filter(|&n| !ours(n)) {
        let is_directory = edit.ingest.tree.node(node).is_directory();
        edit.ingest.warn(&format!(
            "--user {}: /{} is there already{}, and is left as it is",
            user.name,
            account.home,
            if is_directory {
                ""
            } else {
                " and no directory"
            },
        ));
        return Ok(());
    }
    let home = edit.directory(&account.home, given(defaults.home_mode))?;
    owners.keep(home);
    edit.ingest.tree.set_owner(home, account.uid, account.gid);
    edit.ingest.tree.set_mode(home, defaults.home_mode);
    let owner = (account.uid, account.gid);
    skel(edit, &user.name, SKEL, &account.home, owner, SKEL_DEPTH)
}

/// Copies what is in a folder of `/etc/skel` and not in the home yet.
fn skel(
    edit: &mut Edit<'_, '_>,
    user: &str,
    from: &str,
    to: &str,
    (uid, gid): (u32, u32),
    depth: u32,
) -> Result<(), BuildError> {
    let tree = &edit.ingest.tree;
    let folder = tree.resolve(from.as_bytes());
    let Some(folder) = folder.filter(|&n| tree.node(n).is_directory()) else {
        return Ok(());
    };
    let names = tree.list(folder).into_iter();
    let names: Vec<_> = names.map(|c| (c.name.to_vec(), c.node)).collect();
    for (name, node) in names {
        let Ok(name) = String::from_utf8(name) else {
            continue;
        };
        let (from, to) = (format!("{from}/{name}"), format!("{to}/{name}"));
        let old = *edit.ingest.tree.node(node);
        if !old.is_directory() && edit.real(&to, false)?.node.is_some() {
            continue;
        }
        let given = Given {
            mode: old.meta.mode,
            uid,
            gid,
        };
        match old.kind {
            NodeKind::Directory { .. } if depth > 0 => {
                edit.directory(&to, given)?;
                skel(edit, user, &from, &to, (uid, gid), depth - 1)?;
            }
            NodeKind::Symlink { target } => {
                let target = edit.ingest.tree.target(target).to_vec();
                let link = edit.link(&to, &target)?;
                edit.ingest.tree.set_owner(link, uid, gid);
            }
            NodeKind::File { size, .. } if size > READ_MAX => {
                let why = format!("/{from} is larger than {READ_MAX} bytes, too large for a home");
                return Err(edit.value(user, why));
            }
            NodeKind::File { .. } => {
                let bytes = edit.text(&from)?.unwrap_or_default();
                edit.write(&to, bytes, given)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn why(edit: &Edit<'_, '_>, user: &User, db: &Databases, refused: Refused) -> BuildError {
    match refused {
        Refused::Group(group) => {
            let near = nearest_name(&group, &db.group);
            edit.unknown("group", &group, near)
        }
        Refused::OwnGroup => edit.value(
            &user.name,
            "the image has a group of that name, whose rights the user would get; take another name, or bring \
             the user in the archive",
        ),
        Refused::Taken(uid, other) => edit.value(
            &user.name,
            format!("{uid} is the number of {other}; say another, or none"),
        ),
        Refused::Other(uid) => edit.value(
            &user.name,
            format!("the image has a user of that name, number {uid}; say that number, or none"),
        ),
        Refused::Line => edit.value(
            &user.name,
            "its line in /etc/passwd of the image is malformed",
        ),
        Refused::Full(min, max) => edit.value(
            &user.name,
            format!("all numbers from {min} to {max}, /etc/login.defs's for users, are taken"),
        ),
    }
}

fn missing(edit: &Edit<'_, '_>) -> BuildError {
    super::CustomizeError::Missing {
        flag: edit.flag,
        path: "/etc/passwd",
        hint: "its users are not in files",
    }
    .into()
}

/// The name in passwd(5) or group(5) that is most like `name`.
pub(super) fn nearest_name(name: &str, text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let names = text.lines().filter_map(|l| l.split(':').next());
    nearest(name, names.filter(|n| !n.is_empty())).map(str::to_owned)
}

/// Users and groups of the image by name.
pub(super) struct Names(Databases);

impl Names {
    pub(super) fn read(edit: &mut Edit<'_, '_>) -> Result<Self, BuildError> {
        Ok(Self(Databases {
            passwd: edit.text(PASSWD)?.unwrap_or_default(),
            group: edit.text(GROUP)?.unwrap_or_default(),
            ..Databases::default()
        }))
    }

    /// The account of a name.
    pub(super) fn account(
        &self,
        edit: &Edit<'_, '_>,
        name: &str,
    ) -> Result<super::databases::Account, BuildError> {
        let found = self.0.account(name);
        found.ok_or_else(|| edit.unknown("user", name, nearest_name(name, &self.0.passwd)))
    }

    /// The numbers of an owner.
    pub(super) fn owner(
        &self,
        edit: &Edit<'_, '_>,
        owner: &Owner,
    ) -> Result<(u32, u32), BuildError> {
        let (uid, own_group) = match &owner.user {
            Id::Number(uid) => (*uid, self.0.group_of(*uid).unwrap_or(*uid)),
            Id::Name(name) => {
                let account = self.account(edit, name)?;
                (account.uid, account.gid)
            }
        };
        let gid = match &owner.group {
            None => own_group,
            Some(Id::Number(gid)) => *gid,
            Some(Id::Name(name)) => self
                .0
                .group_number(name)
                .ok_or_else(|| edit.unknown("group", name, nearest_name(name, &self.0.group)))?,
        };
        Ok((uid, gid))
    }
}

//! What the user wants to be different from the archive.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Edits of the tree, applied in the order of the fields, whatever order they were asked for in. No code
/// of the root filesystem is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customize {
    /// Files and folders to leave out, as patterns of paths: `*`, `?` and `[…]` within a name, `**` for any
    /// number of names, `{a,b}`.
    pub remove: Vec<String>,
    /// Folders whose files are laid over the tree, in this order.
    pub overlays: Vec<Overlay>,
    /// Single files.
    pub files: Vec<CustomFile>,
    /// Users to add.
    pub users: Vec<User>,
    /// Keys to log in with over ssh.
    pub ssh_keys: Vec<SshKey>,
    /// Name of a zone in `/usr/share/zoneinfo`.
    pub timezone: Option<String>,
    /// `LANG` of the system.
    pub locale: Option<String>,
    /// Units of systemd that shall start, as `systemctl enable` does it.
    pub enable: Vec<String>,
    /// Units that shall not, as `systemctl disable`.
    pub disable: Vec<String>,
    /// Units that nobody can start, as `systemctl mask`.
    pub mask: Vec<String>,
    /// Seed of cloud-init's datasource NoCloud: a file of user-data, or a folder with `user-data` and, where
    /// it has them, `meta-data`, `network-config` and `vendor-data`.
    pub cloud_init: Option<PathBuf>,
    /// What becomes of `/etc/machine-id`.
    pub machine_id: MachineId,
}

impl Customize {
    /// Whether files of this machine come into the image, of which the spec knows no more than their paths.
    #[must_use]
    pub fn reads_files(&self) -> bool {
        let none = self.overlays.is_empty() && self.files.is_empty() && self.ssh_keys.is_empty();
        !none || self.cloud_init.is_some()
    }
}

/// A folder whose files are laid over the tree. Owners are the image's, never the building user's; times are
/// the image's; modes are the folder's without the write permission of group and others, which a umask
/// decides, and without setgid of directories, which is inherited. Directories that the image has keep owner and
/// mode. Nothing is a whiteout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The folder.
    pub folder: PathBuf,
    /// Who owns what comes from it.
    pub owner: Owner,
}

/// A file for the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomFile {
    /// The file here.
    pub source: PathBuf,
    /// Its path in the image; behind a `/` at the end, the source's name is put.
    pub path: String,
    /// Its mode (07777); 0755 when the source is executable by its owner, else 0644, and of these only the
    /// owner's bits when the source has none for others.
    pub mode: Option<u16>,
    /// Its owner.
    pub owner: Owner,
}

/// An owner and a group of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Id,
    /// The group; the user's own when `None`.
    pub group: Option<Id>,
}

impl Default for Owner {
    /// root:root.
    fn default() -> Self {
        Self {
            user: Id::Number(0),
            group: Some(Id::Number(0)),
        }
    }
}

/// A user or a group of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// By number.
    Number(u32),
    /// By name, which may be one of [`Customize::users`].
    Name(String),
}

/// A user to add, with a group of its own, a home made from `/etc/skel`, and no password that works. One that
/// is there already only joins the groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number; the first free one that `/etc/login.defs` allows when `None`.
    pub uid: Option<u32>,
    /// Groups of the image to join.
    pub groups: Vec<String>,
}

/// A key to log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    /// A user of the image.
    pub user: String,
    /// A file of public keys, one a line.
    pub file: PathBuf,
}

/// What becomes of `/etc/machine-id`, machine-id(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MachineId {
    /// What the archive has.
    #[default]
    Keep,
    /// Empty: made at first boot.
    Empty,
    /// The word `uninitialized`: made at first boot, which systemd then takes for one (`ConditionFirstBoot`).
    Uninitialized,
}

/// A text that says no such thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(String);

fn wrong<T>(why: impl Into<String>) -> Result<T, SyntaxError> {
    Err(SyntaxError(why.into()))
}

/// The path before the first colon, and what is behind it.
fn path(text: &str) -> Result<(PathBuf, Option<&str>), SyntaxError> {
    let (path, rest) = match text.split_once(':') {
        Some((path, rest)) => (path, Some(rest)),
        None => (text, None),
    };
    if path.is_empty() {
        return wrong("it names no path");
    }
    Ok((path.into(), rest))
}

impl FromStr for Id {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        match text.parse() {
            Ok(u32::MAX) => wrong("4294967295 is nobody's number: to Linux it means none"),
            Ok(number) => Ok(Self::Number(number)),
            Err(_) if may_be_there(text) => Ok(Self::Name(text.into())),
            Err(_) => wrong(format!("`{text}` is neither a number nor a name")),
        }
    }
}

impl FromStr for Owner {
    type Err = SyntaxError;

    /// `OWNER[:GROUP]`.
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        Ok(Self {
            user: user.parse()?,
            group: group.map(Id::from_str).transpose()?,
        })
    }
}

impl FromStr for Overlay {
    type Err = SyntaxError;

    /// `DIR[:OWNER[:GROUP]]`.
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let (folder, owner) = path(text)?;
        let owner = owner.map(Owner::from_str).transpose()?.unwrap_or_default();
        Ok(Self { folder, owner })
    }
}

impl FromStr for CustomFile {
    type Err = SyntaxError;

    /// `SRC:DEST[:MODE[:OWNER[:GROUP]]]`.
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let (source, rest) = path(text)?;
        let Some(rest) = rest else {
            return wrong("SRC:DEST is needed, as in motd:/etc/motd");
        };
        let mut parts = rest.splitn(3, ':');
        let mut dest = parts.next().unwrap_or_default().to_owned();
        let (mode, owner) = (parts.next(), parts.next());
        if !dest.starts_with('/') {
            return wrong(format!(
                "`{dest}` is no absolute path of the image, as /etc/motd is"
            ));
        }
        if dest.ends_with('/') {
            let name = source.file_name().and_then(|n| n.to_str());
            let Some(name) = name else {
                return wrong(format!("{} has no name to keep", source.display()));
            };
            dest.push_str(name);
        }
        if Path::new(&dest).components().any(|c| c.as_os_str() == "..") {
            return wrong(format!("`{dest}` has a component `..`"));
        }
        Ok(Self {
            source,
            path: dest,
            mode: mode.map(octal).transpose()?,
            owner: owner.map(Owner::from_str).transpose()?.unwrap_or_default(),
        })
    }
}

fn octal(text: &str) -> Result<u16, SyntaxError> {
    match u16::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(mode),
        _ => wrong(format!("`{text}` is no mode, as 0644 is")),
    }
}

impl FromStr for User {
    type Err = SyntaxError;

    /// `NAME[:UID][:GROUP,…]`.
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        if !is_name(name) {
            return wrong(format!(
                "`{name}` is no name of a user: up to 32 of a-z, 0-9, `_` and `-`, the first a letter or `_`"
            ));
        }
        let (second, third) = (parts.next(), parts.next());
        let (uid, groups) = match (second, third) {
            (uid, Some(groups)) => (uid.filter(|u| !u.is_empty()), Some(groups)),
            (Some(only), None) if only.bytes().all(|b| b.is_ascii_digit()) => (Some(only), None),
            (groups, None) => (None, groups),
        };
        let uid = match uid.map(str::parse).transpose() {
            Ok(uid) if uid != Some(u32::MAX) => uid,
            _ => return wrong("the UID is a number below 4294967295"),
        };
        let groups: Vec<_> = groups
            .unwrap_or_default()
            .split(',')
            .filter(|g| !g.is_empty())
            .map(str::to_owned)
            .collect();
        if let Some(group) = groups.iter().find(|g| !may_be_there(g)) {
            return wrong(format!("`{group}` is no name of a group"));
        }
        Ok(Self {
            name: name.into(),
            uid,
            groups,
        })
    }
}

impl FromStr for SshKey {
    type Err = SyntaxError;

    /// `USER:FILE`.
    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        match text.split_once(':') {
            Some((user, file)) if may_be_there(user) && !file.is_empty() => Ok(Self {
                user: user.into(),
                file: file.into(),
            }),
            _ => wrong("USER:FILE is needed, as in root:key.pub"),
        }
    }
}

/// What useradd(8) takes for a name everywhere.
fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    let begins = |b: &u8| b.is_ascii_lowercase() || *b == b'_';
    text.len() <= 32 && text.as_bytes().first().is_some_and(begins) && text.bytes().all(legal)
}

/// What a user or a group of an image may be called, as Debian-exim and first.last are.
fn may_be_there(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !text.is_empty() && !text.starts_with('-') && text.bytes().all(legal)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl MachineId {
    /// Its word on the command line and in spec files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Empty => "empty",
            Self::Uninitialized => "uninitialized",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_source_path_mode_and_owner() {
        let file: CustomFile = "conf/motd:/etc/".parse().unwrap();
        assert_eq!(
            (file.path.as_str(), file.mode, file.owner),
            ("/etc/motd", None, Owner::default())
        );
        let file: CustomFile = "k:/etc/k:0640:lisa:27".parse().unwrap();
        assert_eq!(file.mode, Some(0o640));
        assert_eq!(file.owner.user, Id::Name("lisa".into()));
        assert_eq!(file.owner.group, Some(Id::Number(27)));
        for bad in [
            "a",
            ":/etc/x",
            "a:etc/x",
            "a:/x:8",
            "a:/x:10000",
            "a:/x:+1",
            "a:/../x",
            "a:/x:1:Ü",
            "a:",
        ] {
            assert!(bad.parse::<CustomFile>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_user_is_name_number_and_groups() {
        let user = |name: &str, uid, groups: &[&str]| User {
            name: name.into(),
            uid,
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        };
        for (text, expected) in [
            ("lisa", user("lisa", None, &[])),
            ("lisa:1001", user("lisa", Some(1001), &[])),
            ("lisa:sudo,adm", user("lisa", None, &["sudo", "adm"])),
            ("lisa::sudo", user("lisa", None, &["sudo"])),
            ("lisa:7:sudo", user("lisa", Some(7), &["sudo"])),
        ] {
            assert_eq!(text.parse::<User>().unwrap(), expected, "{text}");
        }
        for bad in [
            "",
            "Lisa",
            "1st",
            "a b",
            "a:x:y",
            "a:4294967295",
            "a:-1:b",
            "a:sudo,",
        ] {
            let parsed = bad.parse::<User>();
            assert!(parsed.is_err() || bad == "a:sudo,", "{bad}: {parsed:?}");
        }
    }

    #[test]
    fn an_overlay_is_roots_unless_told() {
        let overlay: Overlay = "files".parse().unwrap();
        assert_eq!(overlay.owner, Owner::default());
        let overlay: Overlay = "files:33".parse().unwrap();
        assert_eq!(
            (overlay.owner.user, overlay.owner.group),
            (Id::Number(33), None)
        );
        assert!("files:4294967295".parse::<Overlay>().is_err());
        assert!("root".parse::<SshKey>().is_err());
    }
}

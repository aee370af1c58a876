//! A line of `ls -l`, and the fields that other verbs show of a file too.

use super::sizes::human;
use diskwright::display::{display_path, display_time};
use diskwright::inspect::{Accounts, Files, Kind, Node};
use diskwright::units::Timestamp;
use serde::Serialize;

/// The first letter of a mode, as ls(1) has it.
fn letter(kind: Kind) -> char {
    match kind {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
        Kind::Unknown => '?',
    }
}

/// `drwxr-xr-t`.
pub(super) fn mode(node: &Node) -> String {
    let mut text = String::from(letter(node.kind));
    let special = [(0o4000, 's', 'S'), (0o2000, 's', 'S'), (0o1000, 't', 'T')];
    for (n, (bit, with, without)) in special.into_iter().enumerate() {
        let three = node.mode >> (6 - 3 * n);
        text.push(if three & 4 != 0 { 'r' } else { '-' });
        text.push(if three & 2 != 0 { 'w' } else { '-' });
        text.push(match (node.mode & bit != 0, three & 1 != 0) {
            (true, true) => with,
            (true, false) => without,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// How a listing shows owners, sizes and times.
pub(super) struct Style {
    pub(super) accounts: Accounts,
    pub(super) human: bool,
}

/// A file in a listing, its fields as text.
pub(super) struct Row {
    mode: String,
    acl: bool,
    links: String,
    user: String,
    group: String,
    size: String,
    time: String,
    name: Vec<u8>,
}

impl Row {
    pub(super) fn new(files: &Files, node: &Node, name: &[u8], style: &Style) -> Self {
        let shown =
            |name: Option<&str>, id: u32| name.map_or_else(|| id.to_string(), str::to_owned);
        let xattrs = files.xattrs(node).unwrap_or_default();
        let mut name = display_path(name).to_string().into_bytes();
        if node.kind == Kind::Symlink {
            let target = files.target(node).unwrap_or_default();
            name.extend_from_slice(format!(" -> {}", display_path(&target)).as_bytes());
        }
        Self {
            mode: mode(node),
            acl: xattrs
                .iter()
                .any(|(name, _)| name.starts_with(b"system.posix_acl_")),
            links: node.links.to_string(),
            user: shown(style.accounts.user(node.uid), node.uid),
            group: shown(style.accounts.group(node.gid), node.gid),
            size: match node.device {
                Some((major, minor)) => format!("{major}, {minor}"),
                None if style.human => human(node.size).replace(' ', ""),
                None => node.size.to_string(),
            },
            time: minutes(node.mtime),
            name,
        }
    }
}

/// To the minute, in UTC.
fn minutes(time: Timestamp) -> String {
    let mut text = display_time(time).to_string();
    text.truncate(text.len() - 3);
    text
}

/// Lines of a long listing, their columns aligned as ls(1) aligns them.
pub(super) fn lines(rows: &[Row]) -> Vec<u8> {
    let width = |field: fn(&Row) -> &str| rows.iter().map(|r| field(r).chars().count()).max();
    let [links, user, group, size] = [
        width(|r| &r.links),
        width(|r| &r.user),
        width(|r| &r.group),
        width(|r| &r.size),
    ]
    .map(Option::unwrap_or_default);
    let acls = rows.iter().any(|r| r.acl);
    let mut out = Vec::new();
    for r in rows {
        let acl = match (acls, r.acl) {
            (_, true) => "+",
            (true, false) => " ",
            (false, false) => "",
        };
        let head = format!(
            "{}{acl} {:>links$} {:<user$} {:<group$} {:>size$} {} ",
            r.mode, r.links, r.user, r.group, r.size, r.time
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&r.name);
        out.push(b'\n');
    }
    out
}

/// A file as JSON. Names of bytes that are no UTF-8 bear escapes.
#[derive(Debug, Serialize)]
pub(super) struct Json {
    pub(super) path: String,
    pub(super) kind: &'static str,
    pub(super) mode: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) links: u16,
    /// Of the volume: inode number, or the byte of FAT's directory entry.
    pub(super) id: u64,
    /// Seconds since 1970, with nanoseconds behind the point.
    pub(super) mtime: String,
    pub(super) target: Option<String>,
    pub(super) device: Option<[u32; 2]>,
}

impl Json {
    pub(super) fn new(files: &Files, node: &Node, path: &[u8], accounts: &Accounts) -> Self {
        let target = || files.target(node).ok();
        let target = (node.kind == Kind::Symlink).then(target).flatten();
        Self {
            path: display_path(path).to_string(),
            kind: node.kind.word(),
            mode: format!("{:04o}", node.mode),
            uid: node.uid,
            gid: node.gid,
            user: accounts.user(node.uid).map(str::to_owned),
            group: accounts.group(node.gid).map(str::to_owned),
            size: node.size,
            allocated: node.allocated,
            links: node.links,
            id: node.id,
            mtime: seconds(node.mtime),
            target: target.map(|t| display_path(&t).to_string()),
            device: node.device.map(|(major, minor)| [major, minor]),
        }
    }
}

/// Seconds since 1970, with nine digits behind the point.
pub(super) fn seconds(time: Timestamp) -> String {
    if time.sec < 0 && time.nsec > 0 {
        let (sec, nsec) = (time.sec + 1, 1_000_000_000 - time.nsec);
        let sign = if sec == 0 { "-" } else { "" };
        return format!("{sign}{sec}.{nsec:09}");
    }
    format!("{}.{:09}", time.sec, time.nsec)
}

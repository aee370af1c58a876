//! One member, put together: header, long names and pax records become an [`Entry`].

use super::header::{Dialect, Header, text};
use super::number;
use super::pax::{Fault, Records};
use super::sparse::{Map, old_gnu_header, unsigned};
use crate::entry::{Entry, EntryKind};
use crate::units::Timestamp;

/// What headers before it say about the next entry.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Offset of the first of those headers.
    pub(super) since: Option<u64>,
    /// Records of `x` headers.
    pub(super) local: Records,
    /// Bytes of those records, to be limited.
    pub(super) extended: u64,
    /// Body of an `L` header.
    pub(super) long_name: Option<Vec<u8>>,
    /// Body of a `K` header.
    pub(super) long_link: Option<Vec<u8>>,
}

/// What follows the header.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing, whatever the size field says.
    None,
    /// The file's data.
    Data,
    /// The data of a sparse file of so many bytes.
    Sparse(SparseBody, u64),
    /// Data that no file of ours has; with a remark, unless it is usual.
    Ignored(Option<&'static str>),
    /// Data or nothing: the next block tells.
    PerhapsIgnored,
}

/// Where the map of a sparse file is.
#[derive(Debug)]
pub(super) enum SparseBody {
    Pax(Map),
    /// Runs so far, and whether extension blocks follow.
    OldGnu(Vec<(u64, u64)>, bool),
}

/// An entry, and what follows its header.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) entry: Entry,
    pub(super) body: Body,
    /// Bytes of data that the header claims.
    pub(super) stored: u64,
    pub(super) warnings: Vec<&'static str>,
}

fn fault(field: &str, why: impl Into<String>) -> Fault {
    Fault {
        field: String::from(field),
        why: why.into(),
    }
}

/// The name: of the sparse records, of pax, of an `L` header, of the header itself.
pub(super) fn path(header: &Header, pending: &Pending, global: &Records) -> Vec<u8> {
    let sparse = pending.local.sparse.name.get();
    let pax = sparse.or_else(|| pending.local.path.over(&global.path));
    pax.or(pending.long_name.as_ref())
        .cloned()
        .unwrap_or_else(|| header.path())
}

/// Reads everything but the data.
pub(super) fn member(
    header: &Header,
    pending: &mut Pending,
    global: &Records,
    path: Vec<u8>,
    offset: u64,
) -> Result<Member, Fault> {
    let mut warnings = Vec::new();
    let path = checked_name("name", path)?;
    let path = if path.is_empty() {
        warnings.push("its name is empty; taken as '.', as GNU tar does");
        b".".to_vec()
    } else {
        path
    };
    let sparse = pending
        .local
        .sparse
        .take()
        .map_err(|why| fault("GNU.sparse records", why))?;
    let local = &pending.local;
    let stored = match local.size.over(&global.size) {
        Some(&size) => size,
        None => field("header.size", &header.size)?,
    };
    let device = || -> Result<(u32, u32), Fault> {
        Ok((
            or_field(
                local.devmajor.over(&global.devmajor),
                "header.devmajor",
                &header.devmajor,
            )?,
            or_field(
                local.devminor.over(&global.devminor),
                "header.devminor",
                &header.devminor,
            )?,
        ))
    };
    let target = || -> Result<Vec<u8>, Fault> {
        let pax = local
            .linkpath
            .over(&global.linkpath)
            .or(pending.long_link.as_ref());
        let target = pax
            .cloned()
            .unwrap_or_else(|| text(&header.linkname).to_vec());
        let target = checked_name("link target", target)?;
        if target.is_empty() {
            Err(fault("link target", "it is empty"))
        } else {
            Ok(target)
        }
    };
    let file = || EntryKind::File {
        size: stored,
        data: None,
    };
    let (kind, body) = match header.typeflag {
        b'0' | 0 | b'7' if path.ends_with(b"/") => {
            // Before POSIX had type 5, a slash made the directory.
            (
                EntryKind::Directory,
                Body::Ignored(Some("a directory with data; the data is ignored")),
            )
        }
        b'0' | 0 | b'7' => match sparse {
            None => (file(), Body::Data),
            Some((map, size)) => (file(), Body::Sparse(SparseBody::Pax(map), size)),
        },
        b'1' => {
            let body = match header.dialect() {
                Dialect::V7 | Dialect::Gnu => Body::None,
                Dialect::Ustar | Dialect::Star => Body::PerhapsIgnored,
            };
            (EntryKind::HardLink { target: target()? }, body)
        }
        b'2' => (EntryKind::Symlink { target: target()? }, Body::None),
        b'3' => {
            let (major, minor) = device()?;
            (EntryKind::CharDevice { major, minor }, Body::None)
        }
        b'4' => {
            let (major, minor) = device()?;
            (EntryKind::BlockDevice { major, minor }, Body::None)
        }
        b'5' => (EntryKind::Directory, Body::None),
        // A GNU incremental dump lists the folder's names as data.
        b'D' => (EntryKind::Directory, Body::Ignored(None)),
        b'6' => (EntryKind::Fifo, Body::None),
        b'S' if header.dialect() == Dialect::Gnu => {
            let broken = |why| fault("old GNU sparse header", why);
            let (map, more) = old_gnu_header(header).map_err(broken)?;
            let size = unsigned(&header.gnu().realsize).map_err(broken)?;
            (file(), Body::Sparse(SparseBody::OldGnu(map, more), size))
        }
        b'S' => {
            return Err(fault(
                "header.typeflag",
                "'S', a GNU sparse file, without GNU's magic",
            ));
        }
        _ => {
            warnings.push("its type is unknown; taken as a file, as POSIX says");
            (file(), Body::Data)
        }
    };
    let (atime, ctime) = old_times(header);
    let entry = Entry {
        path,
        kind,
        mode: mode(&header.mode)?,
        uid: or_field(local.uid.over(&global.uid), "header.uid", &header.uid)?,
        gid: or_field(local.gid.over(&global.gid), "header.gid", &header.gid)?,
        mtime: match local.mtime.over(&global.mtime) {
            Some(&mtime) => mtime,
            None => Timestamp::from_secs(field("header.mtime", &header.mtime)?),
        },
        atime: local.atime.over(&global.atime).copied().or(atime),
        ctime: local.ctime.over(&global.ctime).copied().or(ctime),
        xattrs: local.xattrs_over(global),
        acl_access: local.acl_access.over(&global.acl_access).cloned(),
        acl_default: local.acl_default.over(&global.acl_default).cloned(),
        offset,
    };
    Ok(Member {
        entry,
        body,
        stored,
        warnings,
    })
}

/// A name may hold any byte but NUL, which no filesystem can.
fn checked_name(what: &str, name: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if name.contains(&0) {
        Err(fault(what, "it has a NUL byte inside"))
    } else {
        Ok(name)
    }
}

fn field<T: TryFrom<i128>>(name: &str, bytes: &[u8]) -> Result<T, Fault> {
    let value = number::parse(bytes).map_err(|why| fault(name, why))?;
    T::try_from(value).map_err(|_| fault(name, format!("{value} is out of range")))
}

fn or_field(record: Option<&u32>, name: &str, bytes: &[u8]) -> Result<u32, Fault> {
    record.map_or_else(|| field(name, bytes), |&value| Ok(value))
}

fn mode(bytes: &[u8]) -> Result<u16, Fault> {
    // Some tars keep the file type above the permissions.
    let bits = number::parse(bytes).map_err(|why| fault("header.mode", why))? & 0o7777;
    u16::try_from(bits).map_err(|_| fault("header.mode", "out of range"))
}

/// atime and ctime of GNU and star headers. They are no part of POSIX's header: what makes no sense there
/// is taken as absent.
fn old_times(header: &Header) -> (Option<Timestamp>, Option<Timestamp>) {
    let (atime, ctime) = match header.dialect() {
        Dialect::Gnu => (&header.gnu().atime, &header.gnu().ctime),
        Dialect::Star => (&header.star().atime, &header.star().ctime),
        Dialect::V7 | Dialect::Ustar => return (None, None),
    };
    let time = |bytes: &[u8; 12]| {
        let blank = bytes.iter().all(|b| matches!(b, 0 | b' '));
        let sec = number::parse(bytes).ok().filter(|_| !blank);
        sec.and_then(|s| i64::try_from(s).ok())
            .map(Timestamp::from_secs)
    };
    (time(atime), time(ctime))
}

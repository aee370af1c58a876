//! Extended attributes: after the fields of an inode, in a block, and their values in inodes of their own
//! (`ea_inode`). Linux `fs/ext4/xattr.c`.

use super::{Content, Inode, Kind, ReadError, Reader};
use crate::acl::Acl;
use crate::ext4::disk::inode::EXT4_EA_INODE_FL;
use crate::ext4::disk::xattr as disk;
use crate::ext4::disk::xattr::XattrEntry;
use crate::units::{count, index};
use zerocopy::FromBytes;

/// Extended attributes: full name and value.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Byte of the first entry in a block of xattrs.
const BLOCK_ENTRIES: usize = 32;
/// Longest value: `XATTR_SIZE_MAX` of `linux/limits.h`.
const VALUE_MAX: u64 = 1 << 16;

/// All values of an inode together: entries may point at one value again and again.
const VALUES_MAX: usize = 16 << 20;

/// Where entries and values lie.
struct Space<'b> {
    /// `e_value_offs` counts from here.
    bytes: &'b [u8],
    /// Byte of the first entry.
    first: usize,
    /// Byte of `bytes` in the filesystem.
    offset: u64,
}

/// An entry: index and suffix of its name, its value.
type Raw = (u8, Vec<u8>, Vec<u8>);

/// The attributes of an inode.
pub(super) fn read(reader: &Reader, inode: &Inode) -> Result<Xattrs, ReadError> {
    let mut list = Xattrs::new();
    let mut raw = in_inode(reader, inode)?;
    raw.extend(in_block(reader, inode)?);
    for (index, suffix, value) in raw {
        if is_inline_data(index, &suffix) {
            continue;
        }
        let name = name(index, &suffix);
        // As the kernel looks first in the inode.
        if list.iter().any(|(n, _)| *n == name) {
            let why = format!("the xattr {} is there twice", name.escape_ascii());
            reader.warn(inode.name(), inode.offset, why);
            continue;
        }
        list.push((name, shown(reader, inode, index, value)));
    }
    Ok(list)
}

/// The value of `system.data`, where data in the inode goes on.
pub(super) fn inline_data(reader: &Reader, inode: &Inode) -> Result<Vec<u8>, ReadError> {
    let list = in_inode(reader, inode)?.into_iter();
    let mut found = list.filter(|(index, suffix, _)| is_inline_data(*index, suffix));
    Ok(found.next().map(|(_, _, value)| value).unwrap_or_default())
}

fn is_inline_data(index: u8, suffix: &[u8]) -> bool {
    index == disk::EXT4_XATTR_INDEX_SYSTEM && suffix == b"data"
}

fn in_inode(reader: &Reader, inode: &Inode) -> Result<Vec<Raw>, ReadError> {
    let (at, area) = inode.xattr_area();
    match area.strip_prefix(&disk::EXT4_XATTR_MAGIC.to_le_bytes()) {
        Some(bytes) => {
            let space = Space {
                bytes,
                first: 0,
                offset: inode.offset + count(at) + 4,
            };
            entries(reader, inode, &space)
        }
        None => Ok(Vec::new()),
    }
}

fn in_block(reader: &Reader, inode: &Inode) -> Result<Vec<Raw>, ReadError> {
    let nr = inode.xattr_block();
    if nr == 0 {
        return Ok(Vec::new());
    }
    if !reader.geo.contains(nr, 1) {
        let why = format!("i_file_acl {nr} lies outside the filesystem");
        reader.warn(inode.name(), inode.offset, why);
        return Ok(Vec::new());
    }
    let block = reader.block(nr, || {
        format!("the xattrs of {} in block {nr}", inode.name())
    })?;
    let offset = reader.geo.byte(nr);
    if !block.starts_with(&disk::EXT4_XATTR_MAGIC.to_le_bytes()) {
        let why = format!("i_file_acl: block {nr} holds no xattrs, h_magic is wrong");
        reader.warn(inode.name(), offset, why);
        return Ok(Vec::new());
    }
    let space = Space {
        bytes: &block,
        first: BLOCK_ENTRIES,
        offset,
    };
    entries(reader, inode, &space)
}

/// The entries up to the first that makes no sense.
fn entries(reader: &Reader, inode: &Inode, space: &Space<'_>) -> Result<Vec<Raw>, ReadError> {
    let mut list = Vec::new();
    let (mut at, mut total) = (space.first, 0);
    loop {
        let rest = space.bytes.get(at..).unwrap_or_default();
        if rest.len() < 4 || rest.starts_with(&[0; 4]) {
            return Ok(list);
        }
        let offset = space.offset + count(at);
        let warn = |why: &str| reader.warn(inode.name(), offset, format!("xattr: {why}"));
        let Ok((entry, behind)) = XattrEntry::read_from_prefix(rest) else {
            warn("the last entry is cut off");
            return Ok(list);
        };
        let len = usize::from(entry.e_name_len);
        let Some(suffix) = behind.get(..len) else {
            warn("e_name_len reaches beyond the end");
            return Ok(list);
        };
        at += (size_of::<XattrEntry>() + len).next_multiple_of(4);
        let size = u64::from(entry.e_value_size.get());
        let value = match entry.e_value_inum.get() {
            _ if size > VALUE_MAX => None,
            0 => {
                let start = usize::from(entry.e_value_offs.get());
                space
                    .bytes
                    .get(start..start + index(size))
                    .map(<[u8]>::to_vec)
            }
            ino => Some(in_own_inode(reader, ino, size)?),
        };
        match value {
            Some(value) => {
                total += value.len();
                if total > VALUES_MAX {
                    warn("the values are more than an inode can have");
                    return Ok(list);
                }
                list.push((entry.e_name_index, suffix.to_vec(), value));
            }
            None => warn("e_value_offs and e_value_size reach beyond the end"),
        }
    }
}

/// A value that fills an inode.
fn in_own_inode(reader: &Reader, ino: u32, size: u64) -> Result<Vec<u8>, ReadError> {
    let inode = reader.inode(ino)?;
    inode.must_be(Kind::File)?;
    if !inode.flag(EXT4_EA_INODE_FL) || inode.size() != size {
        let is = inode.size();
        let why = format!("is no xattr value of {size} bytes (e_value_inum): i_size {is}, i_flags");
        return Err(inode.damaged(why));
    }
    let mut value = vec![0; index(size)];
    Content::of(reader, &inode)?.read_at(0, &mut value)?;
    Ok(value)
}

/// The full name: Linux `fs/ext4/xattr.c`, `ext4_xattr_handler_map`.
fn name(index: u8, suffix: &[u8]) -> Vec<u8> {
    let prefix: &[u8] = match index {
        disk::EXT4_XATTR_INDEX_USER => b"user.",
        disk::EXT4_XATTR_INDEX_POSIX_ACL_ACCESS => b"system.posix_acl_access",
        disk::EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT => b"system.posix_acl_default",
        disk::EXT4_XATTR_INDEX_TRUSTED => b"trusted.",
        disk::EXT4_XATTR_INDEX_SECURITY => b"security.",
        disk::EXT4_XATTR_INDEX_SYSTEM => b"system.",
        disk::EXT4_XATTR_INDEX_RICHACL => b"system.richacl",
        disk::EXT4_XATTR_INDEX_ENCRYPTION => b"encryption.",
        disk::EXT4_XATTR_INDEX_HURD => b"gnu.",
        // The rest of the name has no dot of its own: say that it is none that Linux would show.
        other => return [format!("unknown{other}.").as_bytes(), suffix].concat(),
    };
    [prefix, suffix].concat()
}

/// A value as the kernel shows it: ACLs lie on the disk in a shorter form.
fn shown(reader: &Reader, inode: &Inode, index: u8, value: Vec<u8>) -> Vec<u8> {
    let acl = [
        disk::EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
        disk::EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
    ];
    if !acl.contains(&index) {
        return value;
    }
    match Acl::from_xattr(&value) {
        Ok(Some(acl)) => acl.to_xattr(),
        Ok(None) => value,
        Err(e) => {
            reader.warn(
                inode.name(),
                inode.offset,
                format!("an ACL that is none: {e}"),
            );
            value
        }
    }
}

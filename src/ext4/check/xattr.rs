//! Extended attributes, in the inode and in a block.

use zerocopy::FromBytes;

use super::inodes::Item;
use super::report::{Step, inode};
use super::{Checker, acl, usage};
use crate::ext4::checksum;
use crate::ext4::disk::inode::{S_IFDIR, S_IFMT};
use crate::ext4::disk::xattr as disk;
use crate::ext4::disk::xattr::{XattrEntry, XattrHeader};
use crate::units::{index, index32};

/// Byte of the first entry in an xattr block.
const BLOCK_ENTRIES: usize = 32;
/// Byte of the inode where `i_extra_isize` begins to count.
const EXTRA: usize = 128;

/// Checks the xattrs of an inode; the number of blocks they take.
pub(super) fn check(cx: &mut Checker, item: &Item) -> Step<u64> {
    let area = item
        .raw
        .get(EXTRA + usize::from(item.inode.i_extra_isize.get())..);
    let area = area.unwrap_or_default();
    let mut names = Vec::new();
    let magic = disk::EXT4_XATTR_MAGIC.to_le_bytes();
    if area.get(..4) == Some(&magic) {
        let space = Space {
            bytes: &area[4..],
            first: 0,
            in_inode: true,
        };
        let at = item.offset + usage::at(item.raw.len() - area.len() + 4);
        if let Err((into, why)) = entries(&space, item, &mut names) {
            cx.find(
                inode(item.ino),
                at + usage::at(into),
                format!("xattr in the inode: {why}"),
            )?;
        }
    } else if area.iter().any(|b| *b != 0) {
        let why = "the bytes after i_extra_isize are neither xattrs nor zeros";
        cx.find(inode(item.ino), item.offset, why)?;
    }
    let block = item.file_acl();
    if block == 0 {
        return Ok(0);
    }
    if !cx.geo.contains(block, 1) {
        let why = format!("i_file_acl {block} lies outside the filesystem");
        cx.find(inode(item.ino), item.offset, why)?;
        return Ok(1);
    }
    if let Some(users) = cx.xattr_blocks.get_mut(&block) {
        // A shared block was checked with its first inode; only the names must not repeat.
        *users = users.saturating_add(1);
        return Ok(1);
    }
    if cx.used.claim(block, 1).is_some() {
        let why = format!("i_file_acl {block} belongs to {}", cx.used.owner(block));
        cx.find(inode(item.ino), item.offset, why)?;
        return Ok(1);
    }
    cx.xattr_blocks.insert(block, 1);
    check_block(cx, item, block, &mut names)?;
    Ok(1)
}

fn check_block(cx: &mut Checker, item: &Item, nr: u64, names: &mut Vec<Name>) -> Step {
    let bytes = cx.block(nr)?;
    let at = cx.geo.byte(nr);
    let head = XattrHeader::read_from_prefix(&bytes).map(|(h, _)| h);
    let head = head.expect("a block has at least 1024 bytes");
    let crc = checksum::xattr_block(cx.seed, nr, &bytes);
    let seed_checked = cx.geo.checksums;
    let mut find = |into: usize, why: String| {
        let at = at + usage::at(into);
        cx.report
            .add(inode(item.ino), at, format!("xattr block {nr}: {why}"))
    };
    if head.h_magic.get() != disk::EXT4_XATTR_MAGIC || head.h_blocks.get() != 1 {
        let (magic, blocks) = (head.h_magic, head.h_blocks);
        return find(0, format!("h_magic 0x{magic:08x}, h_blocks {blocks}"));
    }
    if seed_checked && head.h_checksum.get() != crc {
        find(
            0,
            format!("h_checksum is 0x{:08x}, not 0x{crc:08x}", head.h_checksum),
        )?;
    }
    if head.h_refcount.get() == 0 || head.h_refcount.get() > disk::EXT4_XATTR_REFCOUNT_MAX {
        find(0, format!("h_refcount is {}", head.h_refcount))?;
    }
    let space = Space {
        bytes: &bytes,
        first: BLOCK_ENTRIES,
        in_inode: false,
    };
    match entries(&space, item, names) {
        Err((into, why)) => find(into, why),
        Ok(hash) if head.h_hash.get() != 0 && head.h_hash.get() != hash => find(
            0,
            format!(
                "h_hash is 0x{:08x}, the entries give 0x{hash:08x}",
                head.h_hash
            ),
        ),
        Ok(_) => Ok(()),
    }
}

/// That every xattr block counts the inodes that point at it.
pub(super) fn check_refcounts(cx: &mut Checker) -> Step {
    let mut blocks: Vec<(u64, u32)> = cx.xattr_blocks.iter().map(|(b, n)| (*b, *n)).collect();
    blocks.sort_unstable();
    for (block, users) in blocks {
        let mut word = [0; 4];
        let at = cx.geo.byte(block) + 4;
        cx.read(at, &mut word)?;
        let is = u32::from_le_bytes(word);
        if is != users {
            let why = format!("h_refcount is {is}, {users} inodes use the block");
            cx.find(format!("xattr block {block}"), at, why)?;
        }
    }
    Ok(())
}

/// Where entries and values lie.
struct Space<'b> {
    /// `e_value_offs` counts from here.
    bytes: &'b [u8],
    /// Byte of the first entry.
    first: usize,
    in_inode: bool,
}

/// Name index and name.
type Name = (u8, Vec<u8>);

/// Checks all entries; the hash that `h_hash` should be, or the byte and reason of a fault.
fn entries(space: &Space, item: &Item, names: &mut Vec<Name>) -> Result<u32, (usize, String)> {
    let mut at = space.first;
    let mut values = Vec::new();
    let mut previous: Option<(u8, u8, &[u8])> = None;
    let mut block_hash = 0u32;
    let mut shareable = true;
    while space.bytes.get(at..at + 4).is_some_and(|b| b != [0; 4]) {
        let fault = |why: String| (at, why);
        let entry = space
            .bytes
            .get(at..)
            .and_then(|b| XattrEntry::read_from_prefix(b).ok());
        let (entry, rest) = entry.ok_or_else(|| fault("an entry leaves its space".into()))?;
        let name = rest.get(..usize::from(entry.e_name_len));
        let name = name.ok_or_else(|| fault("a name leaves its space".into()))?;
        let key = (entry.e_name_index, entry.e_name_len, name);
        if !space.in_inode && previous.is_some_and(|p| p >= key) {
            return Err(fault(
                "entries are not in the order the kernel searches in".into(),
            ));
        }
        previous = Some(key);
        check_name(entry.e_name_index, name).map_err(fault)?;
        if names
            .iter()
            .any(|(i, n)| *i == entry.e_name_index && n == name)
        {
            return Err(fault(format!(
                "{} is there twice",
                shown(entry.e_name_index, name)
            )));
        }
        names.push((entry.e_name_index, name.to_vec()));
        let value = value_of(space, &entry).map_err(fault)?;
        if !value.is_empty() {
            let start = usize::from(entry.e_value_offs.get());
            values.push((start, start + value.len()));
        }
        check_hash(space, &entry, name, value).map_err(fault)?;
        check_value(item, &entry, value).map_err(fault)?;
        let hash = entry.e_hash.get();
        shareable &= hash != 0;
        block_hash = block_hash.rotate_left(16) ^ hash;
        at += 16 + name.len().next_multiple_of(4);
    }
    let end = at + 4;
    if end > space.bytes.len() {
        return Err((at, "four zero bytes do not end the entries".into()));
    }
    values.sort_unstable();
    let mut free = end;
    for (start, stop) in values {
        if start < free {
            return Err((
                start,
                "a value overlaps the entries or another value".into(),
            ));
        }
        free = stop;
    }
    Ok(if shareable { block_hash } else { 0 })
}

fn check_name(index: u8, name: &[u8]) -> Result<(), String> {
    let nameless = matches!(
        index,
        disk::EXT4_XATTR_INDEX_POSIX_ACL_ACCESS
            | disk::EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT
            | disk::EXT4_XATTR_INDEX_RICHACL
    );
    if index == 0 || index > disk::EXT4_XATTR_INDEX_HURD || index == 5 {
        return Err(format!("e_name_index {index} is unknown"));
    }
    if nameless != name.is_empty() || name.contains(&0) {
        return Err(format!("{} is no name for its index", shown(index, name)));
    }
    Ok(())
}

/// The value of an entry with its padding.
fn value_of<'b>(space: &Space<'b>, entry: &XattrEntry) -> Result<&'b [u8], String> {
    let size = index32(entry.e_value_size.get());
    let start = usize::from(entry.e_value_offs.get());
    if entry.e_value_inum.get() != 0 {
        return Err(format!(
            "e_value_inum is {} without ea_inode",
            entry.e_value_inum
        ));
    }
    if size == 0 {
        return Ok(&[]);
    }
    if start % 4 != 0 {
        return Err(format!("e_value_offs {start} is not a multiple of 4"));
    }
    let padded = size
        .checked_next_multiple_of(4)
        .and_then(|n| n.checked_add(start));
    let value = padded.and_then(|end| space.bytes.get(start..end));
    value.ok_or_else(|| format!("the value, bytes {start}+{size}, leaves its space"))
}

/// `e_hash`: mandatory in a block, zero or right in an inode.
fn check_hash(space: &Space, entry: &XattrEntry, name: &[u8], value: &[u8]) -> Result<(), String> {
    let is = entry.e_hash.get();
    if space.in_inode && is == 0 {
        return Ok(());
    }
    let fold = |start: u32| {
        let word = |b: &[u8]| u32::from_le_bytes(<[u8; 4]>::try_from(b).unwrap_or_default());
        value
            .chunks_exact(4)
            .fold(start, |h, b| h.rotate_left(16) ^ word(b))
    };
    let unsigned = name
        .iter()
        .fold(0u32, |h, b| h.rotate_left(5) ^ u32::from(*b));
    // Kernels before 6.2 took name bytes as signed characters where the compiler does.
    let signed = |b: &u8| i32::from(b.cast_signed()).cast_unsigned();
    let signed = name.iter().fold(0u32, |h, b| h.rotate_left(5) ^ signed(b));
    if is != fold(unsigned) && is != fold(signed) {
        return Err(format!(
            "e_hash is 0x{is:08x}, name and value give 0x{:08x}",
            fold(unsigned)
        ));
    }
    Ok(())
}

fn check_value(item: &Item, entry: &XattrEntry, value: &[u8]) -> Result<(), String> {
    let value = value
        .get(..index(u64::from(entry.e_value_size.get())))
        .unwrap_or_default();
    let is_dir = item.inode.i_mode.get() & S_IFMT == S_IFDIR;
    match entry.e_name_index {
        disk::EXT4_XATTR_INDEX_POSIX_ACL_ACCESS => acl::check(value),
        disk::EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT if !is_dir => {
            Err("a default ACL on what is no directory".into())
        }
        disk::EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT => acl::check(value),
        _ => Ok(()),
    }
}

fn shown(index: u8, name: &[u8]) -> String {
    format!("xattr {index}.{}", name.escape_ascii())
}

//! Where extended attributes go, and their bytes.

use crate::acl::AclError;
use crate::ext4::disk::inode::EXTRA_ISIZE;
use crate::ext4::disk::xattr::{
    EXT4_XATTR_INDEX_HURD, EXT4_XATTR_INDEX_POSIX_ACL_ACCESS, EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
    EXT4_XATTR_INDEX_SECURITY, EXT4_XATTR_INDEX_TRUSTED, EXT4_XATTR_INDEX_USER, EXT4_XATTR_MAGIC,
    XattrEntry, XattrHeader,
};
use crate::tree::{self, NodeKind};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

/// Bytes after the fixed fields of a 256-byte inode.
pub(crate) const BODY: usize = 256 - 128 - 32;
const _: () = assert!(EXTRA_ISIZE == 32);

const ENTRY: usize = size_of::<XattrEntry>();
const HEADER: usize = size_of::<XattrHeader>();
/// `XATTR_NAME_MAX`, the prefix counted: an entry could hold more, but no system call can name it.
const NAME_MAX: usize = 255;
/// Magic before the entries of an inode's body.
const BODY_HEADER: usize = 4;
/// Four zero bytes end a list of entries.
const END: usize = 4;

/// An attribute as the kernel stores it: name index, rest of the name, value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attr<'a> {
    index: u8,
    // The kernel's order is by length before bytes, so the length is a key of its own.
    name_len: usize,
    name: &'a [u8],
    value: std::borrow::Cow<'a, [u8]>,
}

impl Attr<'_> {
    fn entry_len(&self) -> usize {
        (ENTRY + self.name.len()).next_multiple_of(4)
    }

    fn len(&self) -> usize {
        self.entry_len() + self.value.len().next_multiple_of(4)
    }
}

/// The attributes of one inode, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// Those in the inode.
    pub(crate) body: Option<Box<[u8; BODY]>>,
    /// Those in a block of their own, without its checksum and reference count.
    pub(crate) block: Option<Vec<u8>>,
}

/// What bears attributes, as far as it matters to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Directory,
    File,
    Symlink,
    Special,
}

impl Holder {
    pub(crate) fn of(kind: &NodeKind) -> Self {
        match kind {
            NodeKind::Directory { .. } => Self::Directory,
            NodeKind::File { .. } => Self::File,
            NodeKind::Symlink { .. } => Self::Symlink,
            _ => Self::Special,
        }
    }
}

/// Why attributes cannot be stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum XattrError {
    /// A namespace that Linux does not store on ext4.
    #[error("the extended attribute '{name}' is of no namespace that ext4 stores; left out")]
    Namespace {
        /// Its full name.
        name: String,
    },
    /// An attribute on what can have none of its kind.
    #[error(
        "the extended attribute '{name}' stands on {what}, where Linux keeps none such; left out"
    )]
    NotThere {
        /// Its full name.
        name: String,
        /// What bears it.
        what: &'static str,
    },
    /// A name longer than a system call can say.
    #[error("the extended attribute '{name}' has a name over 255 bytes")]
    NameTooLong {
        /// Its full name.
        name: String,
    },
    /// A POSIX ACL that is none.
    #[error("the ACL in '{name}' is malformed")]
    Acl {
        /// Its full name.
        name: String,
        /// What is wrong.
        source: AclError,
    },
    /// More than the inode and one block hold.
    #[error(
        "its extended attributes need {needed} bytes; ext4 holds {} of them in the inode and {} in a \
         block (more needs the feature ea_inode, which GRUB refuses to read): leave some of them out \
         of the archive",
        BODY - BODY_HEADER - END,
        block_size - HEADER - END
    )]
    TooLarge {
        /// Bytes of all entries and values, padded as ext4 does.
        needed: usize,
        /// Bytes in a block.
        block_size: usize,
    },
}

/// Encodes a set of attributes; `on_unknown` hears of those that Linux would refuse.
///
/// # Errors
/// When they do not fit, or an ACL is malformed.
pub(crate) fn encode(
    set: &[(Vec<u8>, Vec<u8>)],
    holder: Holder,
    block_size: usize,
    mut on_unknown: impl FnMut(&XattrError),
) -> Result<Encoded, XattrError> {
    let mut attrs = Vec::with_capacity(set.len());
    for (name, value) in set {
        match attr(name, value, holder) {
            Ok(a) => attrs.extend(a),
            Err(e @ (XattrError::Namespace { .. } | XattrError::NotThere { .. })) => on_unknown(&e),
            Err(e) => return Err(e),
        }
    }
    if attrs.is_empty() {
        return Ok(Encoded::default());
    }
    attrs.sort();
    let in_body =
        |list: &[Attr<'_>]| list.iter().map(Attr::len).sum::<usize>() + BODY_HEADER + END <= BODY;
    let in_block =
        |list: &[Attr<'_>]| list.iter().map(Attr::len).sum::<usize>() + HEADER + END <= block_size;
    if in_body(&attrs) {
        return Ok(Encoded {
            body: Some(body(&attrs)),
            block: None,
        });
    }
    if in_block(&attrs) {
        return Ok(Encoded {
            body: None,
            block: Some(block(&attrs, block_size)),
        });
    }
    // Too much for the block alone: what fits the inode goes there, in order.
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for a in &attrs {
        here.push(a.clone());
        if !in_body(&here) {
            there.extend(here.pop());
        }
    }
    if !in_block(&there) {
        // As much of the inode as any choice can fill.
        let chosen = fullest(&attrs);
        let (a, b): (Vec<_>, Vec<_>) = attrs
            .iter()
            .enumerate()
            .partition(|(n, _)| chosen.contains(n));
        here = a.into_iter().map(|(_, a)| a.clone()).collect();
        there = b.into_iter().map(|(_, a)| a.clone()).collect();
    }
    if !in_block(&there) {
        return Err(XattrError::TooLarge {
            needed: attrs.iter().map(Attr::len).sum(),
            block_size,
        });
    }
    Ok(Encoded {
        body: (!here.is_empty()).then(|| body(&here)),
        block: Some(block(&there, block_size)),
    })
}

/// Which attributes fill the inode best: of every sum of lengths up to its room, one way to come to it.
fn fullest(attrs: &[Attr<'_>]) -> Vec<usize> {
    const ROOM: usize = BODY - BODY_HEADER - END;
    let mut ways: [Option<Vec<usize>>; ROOM + 1] = [const { None }; ROOM + 1];
    ways[0] = Some(Vec::new());
    for (n, a) in attrs.iter().enumerate() {
        for sum in (a.len()..=ROOM).rev() {
            if ways[sum].is_none()
                && let Some(way) = &ways[sum - a.len()]
            {
                ways[sum] = Some([&way[..], &[n]].concat());
            }
        }
    }
    ways.into_iter().rev().flatten().next().unwrap_or_default()
}

/// An attribute as it is stored; `None` when it says nothing (an ACL without entries).
fn attr<'a>(
    full: &'a [u8],
    value: &'a [u8],
    holder: Holder,
) -> Result<Option<Attr<'a>>, XattrError> {
    let shown = || crate::display::display_path(full).to_string();
    // Of `system.` Linux lets only the ACLs be set; `system.data` would be a file's inline data, and
    // nobody reads `system.richacl`.
    let prefixes: [(&[u8], u8); 4] = [
        (b"user.", EXT4_XATTR_INDEX_USER),
        (b"trusted.", EXT4_XATTR_INDEX_TRUSTED),
        (b"security.", EXT4_XATTR_INDEX_SECURITY),
        (b"gnu.", EXT4_XATTR_INDEX_HURD),
    ];
    let acl = |index| {
        let value = super::acl::to_disk(value);
        let value = value.map_err(|source| XattrError::Acl {
            name: shown(),
            source,
        })?;
        Ok(value.map(|value| Attr {
            index,
            name_len: 0,
            name: &[][..],
            value: value.into(),
        }))
    };
    let refused = |what| {
        Err(XattrError::NotThere {
            name: shown(),
            what,
        })
    };
    match (full, holder) {
        (tree::ACCESS, Holder::Symlink) => return refused("a symbolic link"),
        (tree::ACCESS, _) => return acl(EXT4_XATTR_INDEX_POSIX_ACL_ACCESS),
        (tree::DEFAULT, Holder::Directory) => return acl(EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT),
        (tree::DEFAULT, _) => return refused("what is no directory"),
        // xattr_permission() lets nobody, not even root, see them.
        (_, Holder::Symlink) if full.starts_with(b"user.") => return refused("a symbolic link"),
        (_, Holder::Special) if full.starts_with(b"user.") => return refused("a device or fifo"),
        _ => {}
    }
    let found = prefixes
        .iter()
        .find_map(|(p, i)| full.strip_prefix(*p).map(|rest| (*i, rest)));
    let Some((index, name)) = found.filter(|(_, name)| !name.is_empty()) else {
        return Err(XattrError::Namespace { name: shown() });
    };
    if full.len() > NAME_MAX {
        return Err(XattrError::NameTooLong { name: shown() });
    }
    Ok(Some(Attr {
        index,
        name_len: name.len(),
        name,
        value: value.into(),
    }))
}

/// `rootid` of a file capability of a user namespace (`VFS_CAP_REVISION_3`): outside of namespaces whose
/// root it is, it gives nothing.
pub(super) fn capability_root(set: &[(Vec<u8>, Vec<u8>)]) -> Option<u32> {
    let (_, value) = set.iter().find(|(n, _)| n == b"security.capability")?;
    let bytes: [u8; 24] = value[..].try_into().ok()?;
    let root = u32::from_le_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]);
    // The revision is the highest byte of the magic.
    (bytes[3] == 3 && root != 0).then_some(root)
}

/// Entries from `at` up, values from the end down; offsets count from `base`.
fn fill(bytes: &mut [u8], at: usize, base: usize, attrs: &[Attr<'_>], hashed: bool) -> Vec<u32> {
    let (mut entry_at, mut value_at) = (at, bytes.len());
    let mut hashes = Vec::with_capacity(attrs.len());
    for a in attrs {
        value_at -= a.value.len().next_multiple_of(4);
        bytes[value_at..value_at + a.value.len()].copy_from_slice(&a.value);
        let hash = if hashed { entry_hash(a) } else { 0 };
        hashes.push(hash);
        let offset = if a.value.is_empty() {
            0
        } else {
            value_at - base
        };
        let entry = XattrEntry {
            e_name_len: u8::try_from(a.name.len()).expect("names are bounded when they are read"),
            e_name_index: a.index,
            e_value_offs: U16::new(u16::try_from(offset).expect("offsets lie in a block")),
            e_value_inum: U32::new(0),
            e_value_size: U32::new(u32::try_from(a.value.len()).expect("values lie in a block")),
            e_hash: U32::new(hash),
        };
        bytes[entry_at..entry_at + ENTRY].copy_from_slice(entry.as_bytes());
        bytes[entry_at + ENTRY..entry_at + ENTRY + a.name.len()].copy_from_slice(a.name);
        entry_at += a.entry_len();
    }
    hashes
}

fn body(attrs: &[Attr<'_>]) -> Box<[u8; BODY]> {
    let mut bytes = Box::new([0; BODY]);
    bytes[..BODY_HEADER].copy_from_slice(&EXT4_XATTR_MAGIC.to_le_bytes());
    // The kernel needs no hashes in an inode; e2fsck accepts 0 there.
    fill(bytes.as_mut_slice(), BODY_HEADER, BODY_HEADER, attrs, false);
    bytes
}

fn block(attrs: &[Attr<'_>], block_size: usize) -> Vec<u8> {
    let mut bytes = vec![0; block_size];
    let hashes = fill(&mut bytes, HEADER, 0, attrs, true);
    // ext4_xattr_rehash: one zero hash makes the block one that is never shared.
    let h_hash = if hashes.contains(&0) {
        0
    } else {
        hashes.iter().fold(0_u32, |h, e| h.rotate_left(16) ^ e)
    };
    let header = XattrHeader {
        h_magic: U32::new(EXT4_XATTR_MAGIC),
        h_refcount: U32::new(1),
        h_blocks: U32::new(1),
        h_hash: U32::new(h_hash),
        h_checksum: U32::new(0),
        h_reserved: [U32::new(0); 3],
    };
    bytes[..HEADER].copy_from_slice(header.as_bytes());
    bytes
}

/// `ext4_xattr_hash_entry`: the name byte by byte, the value word by word.
fn entry_hash(a: &Attr<'_>) -> u32 {
    let name = a
        .name
        .iter()
        .fold(0_u32, |h, &c| h.rotate_left(5) ^ u32::from(c));
    let words = a.value.chunks(4).map(|w| {
        let mut word = [0; 4];
        word[..w.len()].copy_from_slice(w);
        u32::from_le_bytes(word)
    });
    words.fold(name, |h, w| h.rotate_left(16) ^ w)
}

/// Puts in what an encoded block lacks: how many share it and, with a seed, its checksum.
pub(crate) fn finish_block(block: &mut [u8], refcount: u32, nr: u64, fs_seed: Option<u32>) {
    block[4..8].copy_from_slice(&refcount.to_le_bytes());
    if let Some(seed) = fs_seed {
        let checksum = crate::ext4::checksum::xattr_block(seed, nr, block);
        block[16..20].copy_from_slice(&checksum.to_le_bytes());
    }
}

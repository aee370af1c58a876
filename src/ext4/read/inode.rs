//! Inodes: their fields as numbers, times and kinds.

use super::{ReadError, Reader};
use crate::ext4::check::groups;
use crate::ext4::check::superblock::wide;
use crate::ext4::disk::inode as disk;
use crate::units::{Timestamp, count};
use zerocopy::little_endian::U32;

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// None of these: the reserved inodes of bad blocks and the boot loader, or damage.
    Unknown,
}

impl Kind {
    /// In words, with an article.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::CharDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Unknown => "of no known kind",
        }
    }

    /// The word for it in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Unknown => "unknown",
        }
    }
}

/// An inode as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub nr: u32,
    /// Where it lies, in bytes from the start of the filesystem.
    pub offset: u64,
    /// Its fields; beyond the size of an inode on this filesystem they are zero.
    pub disk: disk::Inode,
    /// All its bytes.
    pub(super) raw: Vec<u8>,
}

impl Inode {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.disk.i_mode.get() & disk::S_IFMT {
            disk::S_IFREG => Kind::File,
            disk::S_IFDIR => Kind::Directory,
            disk::S_IFLNK => Kind::Symlink,
            disk::S_IFCHR => Kind::CharDevice,
            disk::S_IFBLK => Kind::BlockDevice,
            disk::S_IFIFO => Kind::Fifo,
            disk::S_IFSOCK => Kind::Socket,
            _ => Kind::Unknown,
        }
    }

    /// Whether it is in use: it has a name, or is one of the reserved that hold blocks.
    #[must_use]
    pub fn in_use(&self) -> bool {
        let reserved = self.nr < 11 && self.disk.i_block.iter().any(|b| *b != 0);
        self.disk.i_links_count.get() > 0 || reserved
    }

    /// Permission bits, set-id bits and the sticky bit.
    #[must_use]
    pub fn permissions(&self) -> u16 {
        self.disk.i_mode.get() & 0o7777
    }

    /// Owner.
    #[must_use]
    pub fn uid(&self) -> u32 {
        u32::from(self.disk.l_i_uid_high.get()) << 16 | u32::from(self.disk.i_uid.get())
    }

    /// Group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        u32::from(self.disk.l_i_gid_high.get()) << 16 | u32::from(self.disk.i_gid.get())
    }

    /// Size in bytes, holes counted. (In revision 0, other kinds than files kept an ACL in the high half; no
    /// such filesystem is left.)
    #[must_use]
    pub fn size(&self) -> u64 {
        wide(self.disk.i_size_high.get(), self.disk.i_size_lo.get())
    }

    /// Bytes on the disk: data, and the blocks that say where it lies, as `stat(2)` counts them.
    #[must_use]
    pub fn allocated(&self, block_size: u64) -> u64 {
        let hi = u32::from(self.disk.l_i_blocks_high.get());
        let units = wide(hi, self.disk.i_blocks_lo.get());
        let unit = if self.flag(disk::EXT4_HUGE_FILE_FL) {
            block_size
        } else {
            512
        };
        units.saturating_mul(unit)
    }

    /// Names that it has.
    #[must_use]
    pub fn links(&self) -> u16 {
        self.disk.i_links_count.get()
    }

    /// Whether `i_flags` has a bit of [`disk`].
    #[must_use]
    pub fn flag(&self, flag: u32) -> bool {
        self.disk.i_flags.get() & flag != 0
    }

    /// Last change of the data.
    #[must_use]
    pub fn mtime(&self) -> Timestamp {
        self.time(self.disk.i_mtime, self.disk.i_mtime_extra, 12)
    }

    /// Last change of the inode.
    #[must_use]
    pub fn ctime(&self) -> Timestamp {
        self.time(self.disk.i_ctime, self.disk.i_ctime_extra, 8)
    }

    /// Last access.
    #[must_use]
    pub fn atime(&self) -> Timestamp {
        self.time(self.disk.i_atime, self.disk.i_atime_extra, 16)
    }

    /// When it was made, where the inode has room for that.
    #[must_use]
    pub fn crtime(&self) -> Option<Timestamp> {
        let there = self.extra() >= 24;
        there.then(|| self.time(self.disk.i_crtime, self.disk.i_crtime_extra, 28))
    }

    /// Major and minor number of a device. Word 0 of `i_block` has the old encoding, of 8 bits each, word 1
    /// the new: Linux `include/linux/kdev_t.h`, `old_decode_dev` and `new_decode_dev`.
    #[must_use]
    pub fn device(&self) -> Option<(u32, u32)> {
        if !matches!(self.kind(), Kind::CharDevice | Kind::BlockDevice) {
            return None;
        }
        let (old, new) = (self.word(0), self.word(1));
        if old != 0 {
            return Some((old >> 8 & 0xFF, old & 0xFF));
        }
        Some((new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xF_FF00))
    }

    /// The block of its xattrs; 0 when it has none.
    #[must_use]
    pub fn xattr_block(&self) -> u64 {
        let hi = u32::from(self.disk.l_i_file_acl_high.get());
        wide(hi, self.disk.i_file_acl_lo.get())
    }

    /// Word `n` of `i_block`.
    pub(super) fn word(&self, n: usize) -> u32 {
        let word = self.disk.i_block.get(n * 4..n * 4 + 4).unwrap_or_default();
        <[u8; 4]>::try_from(word).map_or(0, u32::from_le_bytes)
    }

    /// Bytes of the fields behind byte 128.
    fn extra(&self) -> u16 {
        if self.raw.len() > 128 {
            self.disk.i_extra_isize.get()
        } else {
            0
        }
    }

    /// A time from its two fields. `end` is what `i_extra_isize` must reach for the second to count.
    fn time(&self, sec: U32, extra: U32, end: u16) -> Timestamp {
        let sec = i64::from(sec.get().cast_signed());
        if self.extra() < end {
            return Timestamp::from_secs(sec);
        }
        let extra = extra.get();
        Timestamp {
            sec: sec + (i64::from(extra & 3) << 32),
            // Damage may say more than a second has.
            nsec: (extra >> 2).min(999_999_999),
        }
    }

    /// What is after the fields: the xattrs in the inode, and the byte of the inode where that begins.
    pub(super) fn xattr_area(&self) -> (usize, &[u8]) {
        let at = 128 + usize::from(self.extra());
        (at, self.raw.get(at..).unwrap_or_default())
    }

    /// How errors call it.
    pub(super) fn name(&self) -> String {
        format!("inode {}", self.nr)
    }

    pub(super) fn damaged(&self, message: impl Into<String>) -> ReadError {
        ReadError::Damaged {
            structure: self.name(),
            offset: self.offset,
            message: message.into(),
        }
    }

    /// That it is of a kind.
    pub(super) fn must_be(&self, wanted: Kind) -> Result<(), ReadError> {
        if self.kind() == wanted {
            return Ok(());
        }
        Err(ReadError::Kind {
            ino: self.nr,
            is: self.kind().words(),
            wanted: wanted.words(),
        })
    }
}

/// Reads an inode.
pub(super) fn read(reader: &Reader, nr: u32) -> Result<Inode, ReadError> {
    let geo = &reader.geo;
    if nr == 0 || nr > geo.inodes {
        return Err(ReadError::Damaged {
            structure: format!("inode {nr}"),
            offset: 0,
            message: format!("there is no such inode: s_inodes_count is {}", geo.inodes),
        });
    }
    let (group, place) = geo.inode_place(nr);
    let table = groups::inode_table(&reader.group(group)?);
    if !geo.contains(table, geo.itable_blocks) {
        return Err(ReadError::Damaged {
            structure: groups::name(group),
            offset: reader.group_offset(group),
            message: format!(
                "bg_inode_table {table} lies outside the filesystem, and with it inode {nr}"
            ),
        });
    }
    let offset = geo.byte(table) + u64::from(place) * count(geo.inode_size);
    let mut raw = vec![0; geo.inode_size];
    reader.cached(offset, &mut raw, || format!("inode {nr}"))?;
    let mut whole = [0; size_of::<disk::Inode>()];
    for (to, from) in whole.iter_mut().zip(&raw) {
        *to = *from;
    }
    Ok(Inode {
        nr,
        offset,
        disk: zerocopy::transmute!(whole),
        raw,
    })
}

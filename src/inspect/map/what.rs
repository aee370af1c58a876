//! The words of a map.

use serde::{Serialize, Serializer};
use std::fmt;

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Code in sector 0, before the partition table.
    BootSector,
    /// GRUB's core.img, by the list of its sectors.
    CoreImg,
    /// Disk signature and entries of an MBR, the protective one of a GPT too.
    Mbr,
    /// A header of a GPT.
    GptHeader {
        /// At the end of the disk.
        backup: bool,
    },
    /// The entries of a GPT.
    GptEntries {
        /// At the end of the disk.
        backup: bool,
    },
    /// A BIOS boot partition, behind core.img.
    BiosBoot,
    /// Of a partition, behind its filesystem.
    Slack,
    /// Of no partition.
    Unpartitioned,
    /// Nothing that is known here.
    Unknown,
    /// Boot sector, FSInfo, their copy, and what else FAT reserves before its tables.
    FatReserved,
    /// A file allocation table, from 1.
    FatTable(u32),
    /// A directory of a FAT volume, by its first cluster; 0 is the root of FAT12 and FAT16.
    FatDirectory(u32),
    /// A file of a FAT volume, by its first cluster.
    FatFile(u32),
    /// Clusters in use that no directory leads to.
    FatLost,
    /// Of a FAT volume, and not in use.
    FatFree,
    /// The first 1024 bytes of an ext4 filesystem, which it leaves to loaders.
    Ext4Boot,
    /// The superblock, or its copy in this group.
    Superblock(u32),
    /// Group descriptors, or their copy in this group.
    GroupDescriptors(u32),
    /// Group descriptors that lie in the groups they describe (`meta_bg`), copies too.
    MetaDescriptors,
    /// Blocks that group descriptors may grow into.
    ReservedGdt(u32),
    /// The block bitmap of a group.
    BlockBitmap(u32),
    /// The inode bitmap of a group.
    InodeBitmap(u32),
    /// The inode table of a group.
    InodeTable(u32),
    /// The journal.
    Journal,
    /// The orphan file.
    OrphanFile,
    /// The block of multiple-mount protection.
    Mmp,
    /// The resize inode's own blocks.
    ResizeInode,
    /// Quota, bad blocks, and what else an inode below the first ordinary one has.
    System(u32),
    /// A directory, by its inode.
    Directory(u32),
    /// Data of a file, by its inode.
    File(u32),
    /// The target of a symbolic link, by its inode.
    Symlink(u32),
    /// Zeros of a file, by its inode: allocated and not written, or a hole of the sparse image.
    Zero(u32),
    /// A block of extended attributes, by the first inode that has it.
    Xattr(u32),
    /// The value of a large extended attribute, by the inode that holds it.
    XattrValue(u32),
    /// Extent tree or indirect blocks, by the inode.
    BlockPointers(u32),
    /// Of an ext4 filesystem, and not in use.
    Ext4Free,
}

/// Kinds of regions: the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Code that firmware runs.
    BootCode,
    /// MBR and GPT.
    PartitionTable,
    /// FAT's boot sector and tables.
    Fat,
    /// Superblock and its copies.
    Superblock,
    /// Group descriptors and the blocks that are reserved for more.
    GroupDescriptors,
    /// Block and inode bitmaps.
    Bitmaps,
    /// Inode tables.
    InodeTables,
    /// Journal.
    Journal,
    /// Directories.
    Directories,
    /// Extended attributes, extent trees, system files.
    OtherMetadata,
    /// Data of files.
    Data,
    /// Zeros that are data.
    Zero,
    /// Free space of a filesystem.
    Free,
    /// Of no partition.
    Unpartitioned,
    /// Not known here.
    Unknown,
}

impl Kind {
    /// All of them, in the order of the legend.
    pub const ALL: [Self; 15] = [
        Self::BootCode,
        Self::PartitionTable,
        Self::Fat,
        Self::Superblock,
        Self::GroupDescriptors,
        Self::Bitmaps,
        Self::InodeTables,
        Self::Journal,
        Self::Directories,
        Self::OtherMetadata,
        Self::Data,
        Self::Zero,
        Self::Free,
        Self::Unpartitioned,
        Self::Unknown,
    ];

    /// Its name in a legend.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BootCode => "boot code",
            Self::PartitionTable => "partition table",
            Self::Fat => "FAT",
            Self::Superblock => "superblock",
            Self::GroupDescriptors => "group descriptors",
            Self::Bitmaps => "bitmaps",
            Self::InodeTables => "inode tables",
            Self::Journal => "journal",
            Self::Directories => "directories",
            Self::OtherMetadata => "other metadata",
            Self::Data => "data",
            Self::Zero => "zero",
            Self::Free => "free",
            Self::Unpartitioned => "unpartitioned",
            Self::Unknown => "unknown",
        }
    }

    /// Its place in [`Kind::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        let place = Self::ALL.iter().position(|k| *k == self);
        place.expect("ALL has every kind")
    }
}

impl What {
    /// Its kind.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::BootSector | Self::CoreImg | Self::Ext4Boot => Kind::BootCode,
            Self::Mbr | Self::GptHeader { .. } | Self::GptEntries { .. } => Kind::PartitionTable,
            Self::FatReserved | Self::FatTable(_) => Kind::Fat,
            Self::Superblock(_) => Kind::Superblock,
            Self::GroupDescriptors(_) | Self::MetaDescriptors | Self::ReservedGdt(_) => {
                Kind::GroupDescriptors
            }
            Self::BlockBitmap(_) | Self::InodeBitmap(_) => Kind::Bitmaps,
            Self::InodeTable(_) => Kind::InodeTables,
            Self::Journal => Kind::Journal,
            Self::FatDirectory(_) | Self::Directory(_) => Kind::Directories,
            Self::OrphanFile
            | Self::Mmp
            | Self::ResizeInode
            | Self::System(_)
            | Self::Symlink(_)
            | Self::Xattr(_)
            | Self::XattrValue(_)
            | Self::BlockPointers(_) => Kind::OtherMetadata,
            Self::FatFile(_) | Self::File(_) => Kind::Data,
            Self::Zero(_) => Kind::Zero,
            Self::FatFree | Self::Ext4Free | Self::BiosBoot | Self::Slack => Kind::Free,
            Self::Unpartitioned => Kind::Unpartitioned,
            Self::FatLost | Self::Unknown => Kind::Unknown,
        }
    }

    /// The inode that it belongs to, where it belongs to one of an ext4 filesystem.
    #[must_use]
    pub fn inode(self) -> Option<u32> {
        match self {
            Self::Directory(ino)
            | Self::System(ino)
            | Self::File(ino)
            | Self::Symlink(ino)
            | Self::Zero(ino)
            | Self::Xattr(ino)
            | Self::XattrValue(ino)
            | Self::BlockPointers(ino) => Some(ino),
            _ => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copy = |group: u32, name: &str, f: &mut fmt::Formatter<'_>| match group {
            0 => f.write_str(name),
            group => write!(f, "copy of the {name} in group {group}"),
        };
        match *self {
            Self::BootSector => f.write_str("boot code of sector 0"),
            Self::CoreImg => f.write_str("core.img of GRUB"),
            Self::Mbr => f.write_str("MBR partition table"),
            Self::GptHeader { backup: false } => f.write_str("GPT header"),
            Self::GptHeader { backup: true } => f.write_str("backup GPT header"),
            Self::GptEntries { backup: false } => f.write_str("GPT entries"),
            Self::GptEntries { backup: true } => f.write_str("backup GPT entries"),
            Self::BiosBoot => f.write_str("rest of the BIOS boot partition"),
            Self::Slack => f.write_str("behind the filesystem"),
            Self::Unpartitioned => f.write_str("of no partition"),
            Self::Unknown => f.write_str("unknown"),
            Self::FatReserved => f.write_str("FAT boot sector and reserved sectors"),
            Self::FatTable(n) => write!(f, "file allocation table {n}"),
            Self::FatDirectory(0) => f.write_str("FAT root directory"),
            Self::FatDirectory(n) => write!(f, "FAT directory at cluster {n}"),
            Self::FatFile(n) => write!(f, "FAT file at cluster {n}"),
            Self::FatLost => f.write_str("FAT clusters of no file"),
            Self::FatFree => f.write_str("free clusters"),
            Self::Ext4Boot => f.write_str("boot sectors of the filesystem"),
            Self::Superblock(group) => copy(group, "superblock", f),
            Self::GroupDescriptors(group) => copy(group, "group descriptors", f),
            Self::MetaDescriptors => f.write_str("group descriptors (meta_bg)"),
            Self::ReservedGdt(0) => f.write_str("reserved group descriptors"),
            Self::ReservedGdt(group) => write!(f, "reserved group descriptors in group {group}"),
            Self::BlockBitmap(group) => write!(f, "block bitmap of group {group}"),
            Self::InodeBitmap(group) => write!(f, "inode bitmap of group {group}"),
            Self::InodeTable(group) => write!(f, "inode table of group {group}"),
            Self::Journal => f.write_str("journal"),
            Self::OrphanFile => f.write_str("orphan file"),
            Self::Mmp => f.write_str("multiple-mount protection"),
            Self::ResizeInode => f.write_str("resize inode"),
            Self::System(ino) => write!(f, "system inode {ino}"),
            Self::Directory(ino) => write!(f, "directory, inode {ino}"),
            Self::File(ino) => write!(f, "data of inode {ino}"),
            Self::Symlink(ino) => write!(f, "symbolic link, inode {ino}"),
            Self::Zero(ino) => write!(f, "zeros of inode {ino}"),
            Self::Xattr(ino) => write!(f, "extended attributes of inode {ino}"),
            Self::XattrValue(ino) => write!(f, "value of an extended attribute, inode {ino}"),
            Self::BlockPointers(ino) => write!(f, "block pointers of inode {ino}"),
            Self::Ext4Free => f.write_str("free blocks"),
        }
    }
}

impl Serialize for What {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

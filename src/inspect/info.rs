//! What is on a disk: partitions and filesystems.

use super::features;
use crate::ext4::disk::superblock::{
    EXT4_SUPER_MAGIC, EXT4_VALID_FS, SUPERBLOCK_OFFSET, Superblock,
};
use crate::fat;
use crate::partition::{self, GptFound, PartitionError, read_gpt};
use crate::read_at::ReadAt;
use crate::units::{SECTOR, hi16, lo16};
use crate::vdisk::VdiskError;
use serde::Serialize;
use std::io;
use std::path::PathBuf;
use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

/// Why a disk cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be read.
    #[error("the image cannot be read at byte {offset}")]
    Read {
        /// Byte of the disk.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// Its partition table is damaged.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// There is no ext4 filesystem on it.
    #[error(
        "no ext4 filesystem on it: neither at byte 0 nor in a partition of an MBR or GPT; \
         is it a raw disk image?"
    )]
    NoRoot,
    /// It cannot be opened.
    #[error("cannot read {path}")]
    Open {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its format is damaged, or needs more than the file.
    #[error("cannot read {path}")]
    Format {
        /// The image.
        path: PathBuf,
        /// Why.
        source: VdiskError,
    },
    /// It is a file of another kind.
    #[error("{path} is {is}, and no image that can be read")]
    NotDisk {
        /// The file.
        path: PathBuf,
        /// What it is.
        is: &'static str,
    },
    /// There is no filesystem that can be read.
    #[error(
        "no ext2, ext3, ext4 or FAT filesystem on it: neither at byte 0 nor in a partition of an MBR or GPT"
    )]
    NoFilesystem,
    /// There is no such partition, or none that can be read.
    #[error(
        "there is no ext2, ext3, ext4 or FAT filesystem in partition {number}; there is in: {known}"
    )]
    NoPartition {
        /// The number that was asked for.
        number: u32,
        /// Those that have one, as `p1, p2`.
        known: String,
    },
}

/// Where the root filesystem lies, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// First byte on the disk.
    pub offset: u64,
    /// Length of the partition, or of the disk.
    pub len: u64,
}

/// What is on a disk.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// Size in bytes.
    pub size: u64,
    /// Partition table: `mbr`, `gpt` or `none`.
    pub scheme: &'static str,
    /// MBR disk signature.
    pub disk_signature: Option<String>,
    /// GPT disk GUID.
    pub disk_guid: Option<Uuid>,
    /// What is wrong with the partition table.
    pub faults: Vec<Fault>,
    /// Whether sector 0 begins as GRUB's boot.img does.
    pub grub: bool,
    /// Its partitions.
    pub partitions: Vec<Partition>,
    /// The filesystem at byte 0, where there is no partition table.
    pub filesystem: Option<Filesystem>,
}

/// A partition.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// First sector.
    pub start: u64,
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Type: a byte in hex in an MBR (83 is Linux), a GUID in a GPT.
    pub kind: String,
    /// The type in words; `unknown` for the many that no image of ours has.
    pub type_name: &'static str,
    /// PARTLABEL of a GPT.
    pub label: Option<String>,
    /// Marked active.
    pub active: bool,
    /// PARTUUID as Linux derives it.
    pub partuuid: String,
    /// The ext2, ext3 or ext4 filesystem that it holds.
    pub filesystem: Option<Filesystem>,
    /// The FAT volume that it holds.
    pub fat: Option<Fat>,
}

impl Partition {
    /// First byte and length on a disk of `size` bytes: what lies past its end is left out.
    #[must_use]
    pub fn bytes(&self, size: u64) -> (u64, u64) {
        let at = self.start.saturating_mul(SECTOR).min(size);
        let end = self.start.saturating_add(self.sectors);
        (at, end.saturating_mul(SECTOR).min(size) - at)
    }
}

/// Something wrong with a partition table that can still be read.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// Byte of the disk.
    pub offset: u64,
    /// The structure at fault.
    pub structure: &'static str,
    /// What is wrong.
    pub message: String,
}

/// A FAT volume, by its boot sector.
#[derive(Clone, Debug, Serialize)]
pub struct Fat {
    /// 12, 16 or 32.
    pub bits: u8,
    /// Volume id, as fstab(5) has it.
    pub uuid: String,
    /// Label.
    pub label: String,
    /// Size in bytes.
    pub size: u64,
}

/// An ext2, ext3 or ext4 filesystem, by its superblock. Sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Filesystem {
    /// UUID.
    pub uuid: Uuid,
    /// Label; bytes that are no UTF-8 replaced.
    pub label: String,
    /// Bytes in a block.
    pub block_size: u64,
    /// Blocks.
    pub blocks: u64,
    /// Of them free.
    pub blocks_free: u64,
    /// Of them for root alone.
    pub blocks_reserved: u64,
    /// Inodes.
    pub inodes: u32,
    /// Of them free.
    pub inodes_free: u32,
    /// Blocks in a group.
    pub blocks_per_group: u32,
    /// Inodes in a group.
    pub inodes_per_group: u32,
    /// Blocks of descriptors reserved for growth.
    pub reserved_gdt_blocks: u16,
    /// Features, as mke2fs(8) and dumpe2fs(8) call them.
    pub features: Vec<String>,
    /// The same as words in hex: compat, incompat, ro_compat.
    pub feature_words: [String; 3],
    /// Whether it was unmounted cleanly.
    pub clean: bool,
    /// When it was made, in seconds since 1970.
    pub made: u32,
}

fn read(disk: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> Result<bool, InspectError> {
    match disk.read_exact_at(offset, buf) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(source) => Err(InspectError::Read { offset, source }),
    }
}

fn filesystem(disk: &dyn ReadAt, at: u64) -> Result<Option<Filesystem>, InspectError> {
    let mut sb = Superblock::new_zeroed();
    let offset = at.saturating_add(SUPERBLOCK_OFFSET);
    if !read(disk, offset, sb.as_mut_bytes())? || sb.s_magic.get() != EXT4_SUPER_MAGIC {
        return Ok(None);
    }
    // 64 KiB is the largest block that ext4 knows.
    let block_size = 1024_u64 << sb.s_log_block_size.get().min(6);
    let wide = |lo: u32, hi: u32| u64::from(hi) << 32 | u64::from(lo);
    let label: Vec<u8> = sb
        .s_volume_name
        .iter()
        .copied()
        .take_while(|&b| b != 0)
        .collect();
    let words = [
        sb.s_feature_compat.get(),
        sb.s_feature_incompat.get(),
        sb.s_feature_ro_compat.get(),
    ];
    Ok(Some(Filesystem {
        uuid: Uuid::from_bytes(sb.s_uuid),
        label: String::from_utf8_lossy(&label).into_owned(),
        block_size,
        blocks: wide(sb.s_blocks_count_lo.get(), sb.s_blocks_count_hi.get()),
        blocks_free: wide(
            sb.s_free_blocks_count_lo.get(),
            sb.s_free_blocks_count_hi.get(),
        ),
        blocks_reserved: wide(sb.s_r_blocks_count_lo.get(), sb.s_r_blocks_count_hi.get()),
        inodes: sb.s_inodes_count.get(),
        inodes_free: sb.s_free_inodes_count.get(),
        blocks_per_group: sb.s_blocks_per_group.get(),
        inodes_per_group: sb.s_inodes_per_group.get(),
        reserved_gdt_blocks: sb.s_reserved_gdt_blocks.get(),
        features: features::names(words),
        feature_words: words.map(|word| format!("{word:#x}")),
        clean: sb.s_state.get() == EXT4_VALID_FS,
        made: sb.s_mkfs_time.get(),
    }))
}

/// Partitions and filesystems of a disk.
///
/// # Errors
/// When it cannot be read, or its partition table is damaged.
pub fn info(disk: &dyn ReadAt) -> Result<Info, InspectError> {
    let mut sector0 = [0; 512];
    let whole = read(disk, 0, &mut sector0)?;
    let bare = filesystem(disk, 0)?;
    let mut info = Info {
        size: disk.len(),
        scheme: "none",
        disk_signature: None,
        disk_guid: None,
        faults: Vec::new(),
        // boot.img jumps over the BPB to its code: `eb 63 90`.
        grub: sector0.starts_with(&[0xEB, 0x63, 0x90]),
        partitions: Vec::new(),
        filesystem: bare,
    };
    if info.filesystem.is_some() || !whole {
        return Ok(info);
    }
    if let Some(found) = read_gpt(disk)? {
        gpt(disk, found, &mut info)?;
        return Ok(info);
    }
    if sector0[510..] != [0x55, 0xAA] {
        return Ok(info);
    }
    let signature = partition::signature(&sector0);
    info.scheme = "mbr";
    info.disk_signature = Some(format!("{signature:08x}"));
    for p in partition::read(&sector0)? {
        let at = p.start.byte_offset();
        info.partitions.push(Partition {
            number: p.number,
            start: p.start.0,
            sectors: p.sectors,
            kind: format!("{:02x}", p.kind),
            type_name: match p.kind {
                partition::LINUX => "Linux",
                0xef => "EFI system",
                _ => "unknown",
            },
            label: None,
            active: p.active,
            partuuid: partition::partuuid(signature, p.number),
            filesystem: filesystem(disk, at)?,
            fat: fat_volume(disk, at)?,
        });
    }
    Ok(info)
}

fn gpt(disk: &dyn ReadAt, found: GptFound, info: &mut Info) -> Result<(), InspectError> {
    info.scheme = "gpt";
    info.disk_guid = Some(found.disk_guid);
    let faults = found.faults.into_iter().map(|f| Fault {
        offset: f.offset,
        structure: f.structure,
        message: f.message,
    });
    info.faults = faults.collect();
    for p in found.entries {
        let at = p.start.byte_offset();
        info.partitions.push(Partition {
            number: p.number,
            start: p.start.0,
            sectors: p.sectors,
            kind: p.kind.to_string(),
            type_name: match p.kind {
                partition::BIOS_BOOT => "BIOS boot",
                partition::EFI_SYSTEM => "EFI system",
                partition::ROOT_X86_64 => "root, x86-64",
                partition::ROOT_ARM64 => "root, arm64",
                partition::LINUX_DATA => "Linux",
                _ => "unknown",
            },
            label: Some(p.name),
            active: false,
            partuuid: p.guid.to_string(),
            filesystem: filesystem(disk, at)?,
            fat: fat_volume(disk, at)?,
        });
    }
    Ok(())
}

fn fat_volume(disk: &dyn ReadAt, offset: u64) -> Result<Option<Fat>, InspectError> {
    let found = fat::probe(disk, offset);
    let found = found.map_err(|source| InspectError::Read { offset, source })?;
    Ok(found.map(|f| Fat {
        bits: f.bits,
        uuid: format!("{:04X}-{:04X}", hi16(f.id), lo16(f.id)),
        label: f.label,
        size: f.size,
    }))
}

/// The first ext4 filesystem of a disk.
///
/// # Errors
/// When there is none.
pub fn root(info: &Info) -> Result<Root, InspectError> {
    if info.filesystem.is_some() {
        return Ok(Root {
            offset: 0,
            len: info.size,
        });
    }
    let mut with = info.partitions.iter().filter(|p| p.filesystem.is_some());
    let p = with.next().ok_or(InspectError::NoRoot)?;
    Ok(Root {
        // The superblock was read there: no product is beyond the disk.
        offset: p.start * SECTOR,
        len: p.sectors.saturating_mul(SECTOR),
    })
}

const _: () = assert!(size_of::<Superblock>() == 1024);

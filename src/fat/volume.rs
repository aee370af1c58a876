//! Formatting, and writing the files.

use std::io::Write;
use std::sync::Arc;

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions, format_volume};

use super::FatError;
use super::clock::Clock;
use super::finish::finish;
use super::geometry::{cluster_size, fits, needed};
use super::map::{Layout, pieces};
use super::sparse::Sparse;
use crate::read_at::ReadAt;
use crate::units::{Lba, SECTOR, Timestamp, count, lo32};

/// A file to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FatFile<'a> {
    /// From the root of the volume, with `/`: `EFI/BOOT/BOOTX64.EFI`.
    pub path: &'a str,
    /// Its bytes.
    pub data: &'a [u8],
}

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct FatSpec<'a> {
    /// Size of the partition in bytes, whole sectors.
    pub size: u64,
    /// First sector of the partition on its disk (`BPB_HiddSec`).
    pub start: Lba,
    /// `BS_VolID`: `1234-ABCD` in fstab.
    pub id: u32,
    /// `BS_VolLab`, padded with blanks.
    pub label: &'a [u8; 11],
    /// Time of every directory entry.
    pub time: Timestamp,
}

/// What bytes of a volume are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// Boot sector, FATs, directories, files: to be read from [`Volume::bytes`].
    Bytes,
    /// The rest of the FATs: must read as zero.
    Zero,
    /// Clusters that nothing uses.
    Free,
}

/// A run of bytes of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub start: u64,
    /// Length in bytes; never 0.
    pub len: u64,
    /// What they are.
    pub kind: PieceKind,
}

/// A FAT volume.
#[derive(Clone)]
pub struct Volume {
    /// All of it; what is not [`PieceKind::Bytes`] reads as zero.
    pub bytes: Arc<dyn ReadAt>,
    /// What lies where, without gaps.
    pub pieces: Vec<Piece>,
    /// 12, 16 or 32.
    pub bits: u8,
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FAT{} of {} bytes", self.bits, self.bytes.len())
    }
}

/// A volume with `files`, whose directories are made as they are needed. The same bytes for the same
/// arguments.
///
/// # Errors
///
/// The files do not fit, or a path has a name that FAT cannot hold.
pub fn volume(spec: &FatSpec<'_>, files: &[FatFile<'_>]) -> Result<Volume, FatError> {
    let size = spec.size;
    let sectors = u32::try_from(size / SECTOR).map_err(|_| FatError::TooLarge { size })?;
    for file in files {
        check(file.path)?;
    }
    if !fits(files, size) {
        let files_size = files.iter().map(|f| count(f.data.len())).sum();
        return Err(FatError::TooSmall {
            files: files_size,
            size,
            needed: needed(files),
        });
    }
    let cluster = lo32(cluster_size(size));
    let mut disk = Sparse::new(size);
    let options = FormatVolumeOptions::new()
        .total_sectors(sectors)
        .bytes_per_cluster(cluster)
        .drive_num(0x80)
        .volume_id(spec.id)
        .volume_label(*spec.label);
    format_volume(&mut disk, options).map_err(FatError::Write)?;
    write(&mut disk, spec.time, files).map_err(FatError::Write)?;
    let layout = Layout::of(&disk);
    finish(&mut disk, &layout, spec);
    Ok(Volume {
        pieces: pieces(&disk, &layout),
        bits: layout.bits,
        bytes: Arc::new(disk),
    })
}

fn write(disk: &mut Sparse, time: Timestamp, files: &[FatFile<'_>]) -> std::io::Result<()> {
    let options = FsOptions::new().time_provider(Clock::set(time));
    let volume = FileSystem::new(disk, options)?;
    {
        let root = volume.root_dir();
        for file in files {
            // An existing directory is opened.
            for (at, _) in file.path.match_indices('/') {
                root.create_dir(&file.path[..at])?;
            }
            root.create_file(file.path)?.write_all(file.data)?;
        }
    }
    volume.unmount()
}

/// Refuses names that fatfs would refuse without saying which, and those that mean something else.
fn check(path: &str) -> Result<(), FatError> {
    let any = |bad: fn(&str) -> bool| path.split('/').any(bad);
    let foreign = |c: char| c.is_control() || c > '\u{ffff}' || "\"*:<>?\\|".contains(c);
    let why = if any(|n| matches!(n, "" | "." | "..")) {
        "it has an empty name, `.` or `..`"
    } else if any(|n| n.starts_with(' ') || n.ends_with(['.', ' '])) {
        "a name begins or ends with a blank, or ends with a dot, which FAT leaves out"
    } else if any(|n| n.len() > 255) {
        "a name is longer than 255 bytes"
    } else if path.contains(foreign) {
        "it has a character that FAT has no room for"
    } else {
        return Ok(());
    };
    Err(FatError::Path {
        path: path.to_owned(),
        why,
    })
}

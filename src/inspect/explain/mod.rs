//! What lies at a byte of a disk: partition, structure, field and its value, or file and place in it.
//!
//! | file | what |
//! |---|---|
//! | `fields` | fields of a structure by name, and their values in words |
//! | `tables` | MBR, GPT, FAT: structures without a struct of ours |
//! | `ext4` | structures, inodes and files of ext2, ext3, ext4 |
//! | `bitmaps` | what their bits say |
//! | `paths` | the name of an inode |

mod bitmaps;
mod ext4;
mod fields;
mod paths;
mod tables;

use super::InspectError;
use super::map::{Map, Region, What, map};
use crate::read_at::{ReadAt, Window};
use crate::units::SECTOR;
use serde::Serialize;
use std::io;
use std::sync::Arc;

pub use paths::path_of;

/// What lies at a byte.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    /// The byte, from the start of the disk.
    pub offset: u64,
    /// Its sector of 512 bytes.
    pub sector: u64,
    /// The partition that it lies in.
    pub partition: Option<u32>,
    /// The byte, from the start of the partition.
    pub partition_offset: Option<u64>,
    /// Its block of the ext4 filesystem.
    pub block: Option<u64>,
    /// What it belongs to: `superblock`, `inode table of group 3`, `data of inode 12`.
    pub what: String,
    /// First byte and length on the disk of what is told as `what`.
    pub range: (u64, u64),
    /// The element of it that has the byte: `inode 12`, `descriptor of group 4`, `entry 2`.
    pub element: Option<String>,
    /// The field that has the byte.
    pub field: Option<Field>,
    /// Inode that it is about.
    pub inode: Option<u32>,
    /// Path of the file or directory that it is about.
    pub path: Option<String>,
    /// Place in the file, of data.
    pub file_offset: Option<u64>,
}

/// A field and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name, as the format's own description has it.
    pub name: &'static str,
    /// First byte on the disk.
    pub at: u64,
    /// Bytes.
    pub len: u64,
    /// Its value.
    pub value: String,
}

/// What lies at byte `offset` of `disk`.
///
/// # Errors
/// When the disk cannot be read or is shorter.
pub fn explain(disk: &Arc<dyn ReadAt>, offset: u64) -> Result<Explanation, InspectError> {
    let map = map(disk)?;
    let Some(&region) = map.at(offset) else {
        let source = io::ErrorKind::UnexpectedEof.into();
        return Err(InspectError::Read { offset, source });
    };
    let start = start(&map, &region);
    let mut e = Explanation {
        offset,
        sector: offset / SECTOR,
        partition: (region.partition != 0).then_some(region.partition),
        partition_offset: (region.partition != 0).then(|| offset - start),
        what: region.what.to_string(),
        range: (region.at, region.len),
        ..Explanation::default()
    };
    let read = |source| InspectError::Read { offset, source };
    if is_ext4(&map, &region) {
        let fs: Arc<dyn ReadAt> =
            Arc::new(Window::new(Arc::clone(disk), start, map.info.size - start));
        ext4::explain(&fs, start, region.what, &mut e).map_err(read)?;
    } else {
        tables::explain(disk, start, &region, &mut e).map_err(read)?;
    }
    Ok(e)
}

/// First byte of the region's partition, or of the disk.
fn start(map: &Map, region: &Region) -> u64 {
    let own = |p: &&super::Partition| p.number == region.partition && region.partition != 0;
    let partition = map.info.partitions.iter().find(own);
    partition.map_or(0, |p| p.bytes(map.info.size).0)
}

fn is_ext4(map: &Map, region: &Region) -> bool {
    let own = |p: &&super::Partition| p.number == region.partition && region.partition != 0;
    let partition = map.info.partitions.iter().find(own);
    let ext4 = match partition {
        Some(p) => p.filesystem.is_some(),
        None => map.info.filesystem.is_some() && map.info.scheme == "none",
    };
    ext4 && !matches!(region.what, What::CoreImg | What::Mbr | What::BootSector)
}

impl Explanation {
    /// Takes the field of `table` that has the byte, in a structure whose bytes begin at `at` of the disk.
    fn take(&mut self, table: &'static [fields::Spec], at: u64, bytes: &[u8]) {
        self.field = fields::at(table, at, bytes, self.offset);
    }
}

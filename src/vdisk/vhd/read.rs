//! The disk inside a VHD, fixed or dynamic.

use super::disk::{
    COOKIE, DIFFERENCING, DYNAMIC, DYNAMIC_COOKIE, DynamicHeader, FIXED, Footer, UNUSED, checksum,
};
use crate::read_at::ReadAt;
use crate::units::{KIB, MIB, SECTOR, count, index};
use crate::vdisk::open::last_sector;
use crate::vdisk::part::{in_disk, part, read};
use crate::vdisk::{Format, MAX_DISK, Run, VdiskError, VirtualDisk, hole};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Entries of a block allocation table: 64 TiB in blocks of 2 MiB.
const MAX_ENTRIES: u64 = MAX_DISK / (2 * MIB);

/// A disk in a VHD.
pub struct Reader {
    file: Arc<dyn ReadAt>,
    size: u64,
    /// `None` in a fixed disk.
    blocks: Option<Blocks>,
}

struct Blocks {
    /// Bytes in a block.
    size: u64,
    /// Bytes of the bitmap before it.
    bitmap: u64,
    table: Vec<U32>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.blocks.is_some() {
            "dynamic"
        } else {
            "fixed"
        };
        write!(f, "vhd::Reader({kind}, {} bytes)", self.size)
    }
}

/// Whether a file is a VHD, and of which kind; a differencing one counts as dynamic.
///
/// # Errors
/// When it cannot be read.
pub fn format_of(file: &dyn ReadAt) -> io::Result<Option<Format>> {
    let last = last_sector(file)?.and_then(|s| Footer::read_from_bytes(&s).ok());
    if let Some(footer) = last.filter(sound) {
        return Ok(Some(match footer.disk_type.get() {
            FIXED => Format::VhdFixed,
            _ => Format::Vhd,
        }));
    }
    // Cut off: the copy tells what it was.
    let mut first = Footer::new_zeroed();
    if file.len() < SECTOR {
        return Ok(None);
    }
    file.read_exact_at(0, first.as_mut_bytes())?;
    Ok(sound(&first).then_some(Format::Vhd))
}

fn sound(footer: &Footer) -> bool {
    let mut unsummed = *footer;
    unsummed.checksum = U32::ZERO;
    footer.cookie == COOKIE && checksum(unsummed.as_bytes()) == footer.checksum.get()
}

impl Reader {
    /// Reads footer, header and block allocation table.
    ///
    /// # Errors
    /// When they are none, or the image needs its parent.
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self, VdiskError> {
        let end = file.len().saturating_sub(SECTOR);
        let bad = |field, why: String| VdiskError::Bad {
            structure: "VHD footer",
            offset: end,
            field,
            why,
        };
        let footer: Footer = part(&*file, end, "the footer of VHD")?;
        if !sound(&footer) {
            return Err(bad("Cookie", "is missing: the file was cut off".into()));
        }
        let size = footer.current_size.get();
        if size > MAX_DISK {
            return Err(bad("Current Size", format!("is {size}, above {MAX_DISK}")));
        }
        let blocks = match footer.disk_type.get() {
            FIXED if size > end => {
                let why = format!("is {size}, and only {end} bytes stand before the footer");
                return Err(bad("Current Size", why));
            }
            FIXED => None,
            DYNAMIC => Some(blocks(&*file, footer.data_offset.get(), size)?),
            DIFFERENCING => {
                return Err(VdiskError::Unsupported {
                    what: "this VHD holds only what differs from its parent".into(),
                    instead: "merge it with its parent first",
                });
            }
            other => return Err(bad("Disk Type", format!("is {other}: 2 and 3 are read"))),
        };
        Ok(Self { file, size, blocks })
    }

    /// Byte of the file where the block of byte `at` begins, data not bitmap; `None` where nothing is stored.
    fn place(&self, blocks: &Blocks, at: u64) -> Option<u64> {
        let sector = blocks.table[index(at / blocks.size)].get();
        (sector != UNUSED).then(|| u64::from(sector) * SECTOR + blocks.bitmap)
    }
}

fn blocks(file: &dyn ReadAt, offset: u64, size: u64) -> Result<Blocks, VdiskError> {
    let bad = |field, why: String| VdiskError::Bad {
        structure: "VHD dynamic header",
        offset,
        field,
        why,
    };
    let header: DynamicHeader = part(file, offset, "the dynamic header of VHD")?;
    let mut unsummed = header;
    unsummed.checksum = U32::ZERO;
    if header.cookie != DYNAMIC_COOKIE {
        return Err(bad("Cookie", "is not cxsparse".into()));
    }
    if checksum(unsummed.as_bytes()) != header.checksum.get() {
        return Err(bad("Checksum", "is not that of the header".into()));
    }
    let block = u64::from(header.block_size.get());
    if !block.is_power_of_two() || !(4 * KIB..=256 * MIB).contains(&block) {
        let why = format!("is {block}, and not a power of two from 4 KiB to 256 MiB");
        return Err(bad("Block Size", why));
    }
    let need = size.div_ceil(block);
    let entries = u64::from(header.max_table_entries.get());
    if entries < need || need > MAX_ENTRIES {
        let why = format!("is {entries}: {need} are needed, of at most {MAX_ENTRIES}");
        return Err(bad("Max Table Entries", why));
    }
    let table_at: U64 = header.table_offset;
    let end = table_at.get().checked_add(need * 4);
    if end.is_none_or(|end| end > file.len()) {
        let why = format!("is {table_at}: the table ends past the file");
        return Err(bad("Table Offset", why));
    }
    let mut table = vec![U32::ZERO; index(need)];
    let what = "the block allocation table of VHD";
    read(file, table_at.get(), table.as_mut_bytes(), what)?;
    let bitmap = (block / SECTOR).div_ceil(8).next_multiple_of(SECTOR);
    for (nr, sector) in (0..).zip(&table) {
        let place = u64::from(sector.get()) * SECTOR;
        if sector.get() != UNUSED && place + bitmap + block > file.len() {
            return Err(VdiskError::Bad {
                structure: "VHD block allocation table",
                offset: table_at.get() + 4 * nr,
                field: "an entry",
                why: format!(
                    "has a block at byte {place}, past the file: it was cut off or is damaged"
                ),
            });
        }
    }
    Ok(Blocks {
        size: block,
        bitmap,
        table,
    })
}

impl ReadAt for Reader {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        in_disk(offset, buf.len(), self.size)?;
        let Some(blocks) = &self.blocks else {
            return self.file.read_exact_at(offset, buf);
        };
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let within = at % blocks.size;
            let (out, more) = rest.split_at_mut(index(blocks.size - within).min(rest.len()));
            match self.place(blocks, at) {
                None => out.fill(0),
                Some(place) => read(&*self.file, place + within, out, "a block of VHD")?,
            }
            at += count(out.len());
            rest = more;
        }
        Ok(())
    }

    fn hole(&self, offset: u64) -> io::Result<Range<u64>> {
        hole(self, offset)
    }
}

impl VirtualDisk for Reader {
    fn run(&self, at: u64) -> io::Result<Run> {
        let left = self.size.saturating_sub(at);
        let Some(blocks) = self.blocks.as_ref().filter(|_| left > 0) else {
            return Ok(Run {
                len: left,
                stored: true,
            });
        };
        let first = self.place(blocks, at).is_some();
        let mut to = at / blocks.size * blocks.size + blocks.size;
        while to < self.size && self.place(blocks, to).is_some() == first {
            to += blocks.size;
        }
        Ok(Run {
            len: (to - at).min(left),
            stored: first,
        })
    }
}

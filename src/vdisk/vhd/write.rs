//! VHD in one forward pass.

use super::disk::{
    COOKIE, DYNAMIC, DYNAMIC_COOKIE, DynamicHeader, FIXED, Footer, Geometry, UNUSED, checksum,
};
use crate::extent::{Content, Layout};
use crate::observe::Observer;
use crate::units::{GIB, KIB, MIB, SECTOR, count, count32, index, lo8, lo16, lo32};
use crate::vdisk::chunks::{total, touched};
use crate::vdisk::forward::{Copier, pad, read_padded};
use crate::vdisk::{Format, Forward, copy};
use sha2::{Digest, Sha256};
use std::io;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

/// Bytes of a block: the specification's default.
const BLOCK: u64 = 2 * MIB;
/// What stands before a block: a bit for each of its sectors, all of them stored.
const BITMAP: [u8; 512] = [0xff; 512];
/// Where the dynamic header stands: behind the copy of the footer.
const HEADER_AT: u64 = 512;
/// Where the block allocation table stands.
const TABLE_AT: u64 = HEADER_AT + 1024;
/// The largest disk, as Hyper-V has it.
pub const MAX_SIZE: u64 = 2040 * GIB;

/// Hyper-V's. Whoever it does not know, qemu takes at his geometry, which is smaller than the disk.
const CREATOR: [u8; 4] = *b"win ";

/// Cylinders, heads and sectors for a disk of so many sectors: the specification's appendix.
#[must_use]
pub fn geometry(sectors: u64) -> Geometry {
    let total = sectors.min(65535 * 16 * 255);
    let (per_track, heads, tracks);
    if total >= 65535 * 16 * 63 {
        (per_track, heads) = (255, 16);
        tracks = total / per_track;
    } else {
        let small = (total / 17).div_ceil(1024).max(4);
        let medium = total / 31;
        (per_track, heads) = if total / 17 < small * 1024 && small <= 16 {
            (17, small)
        } else if medium < 16 * 1024 {
            (31, 16)
        } else {
            (63, 16)
        };
        tracks = total / per_track;
    }
    Geometry {
        cylinders: U16::new(lo16(lo32(tracks / heads))),
        heads: lo8(heads),
        sectors_per_track: lo8(per_track),
    }
}

/// Writes `disk` as a fixed VHD.
///
/// # Errors
/// When the disk is larger than [`MAX_SIZE`]; whatever it or `out` says; `Interrupted` when `observer` asks for
/// an end.
pub fn write_fixed(
    disk: &dyn Layout,
    out: &mut dyn Forward,
    observer: &dyn Observer,
) -> io::Result<()> {
    let footer = footer(disk, FIXED)?;
    copy(disk, out, observer)?;
    pad(out, disk.len(), SECTOR)?;
    out.bytes(footer.as_bytes())
}

/// Writes `disk` as a dynamic VHD.
///
/// # Errors
/// As [`write_fixed`].
pub fn write(disk: &dyn Layout, out: &mut dyn Forward, observer: &dyn Observer) -> io::Result<()> {
    let footer = footer(disk, DYNAMIC)?;
    let data = |c| matches!(c, Content::Bytes { .. } | Content::File { .. });
    let stored = touched(disk.extents(), BLOCK, data);
    let mut table = vec![U32::new(UNUSED); index(disk.len().div_ceil(BLOCK))];
    let header = dynamic_header(count32(table.len()));
    let first = (TABLE_AT + 4 * count(table.len())).next_multiple_of(SECTOR);
    let blocks = stored.iter().flat_map(Clone::clone);
    for (n, nr) in (0..).zip(blocks) {
        let at = first + n * (count(BITMAP.len()) + BLOCK);
        table[index(nr)] = U32::new(lo32(at / SECTOR));
    }
    out.bytes(footer.as_bytes())?;
    out.bytes(header.as_bytes())?;
    out.bytes(table.as_bytes())?;
    pad(out, TABLE_AT + 4 * count(table.len()), SECTOR)?;
    let mut copier = Copier::new(disk, total(&stored) * BLOCK, observer);
    for nr in stored.iter().flat_map(Clone::clone) {
        out.bytes(&BITMAP)?;
        copier.copy(nr * BLOCK, BLOCK, out)?;
    }
    out.bytes(footer.as_bytes())
}

fn dynamic_header(entries: u32) -> DynamicHeader {
    let mut header = DynamicHeader::new_zeroed();
    header.cookie = DYNAMIC_COOKIE;
    header.data_offset = U64::MAX_VALUE;
    header.table_offset = U64::new(TABLE_AT);
    header.header_version = U32::new(0x0001_0000);
    header.max_table_entries = U32::new(entries);
    header.block_size = U32::new(lo32(BLOCK));
    header.checksum = U32::new(checksum(header.as_bytes()));
    header
}

fn footer(disk: &dyn Layout, kind: u32) -> io::Result<Footer> {
    let size = disk.len().next_multiple_of(SECTOR);
    Format::Vhd.check_size(size)?;
    let mut footer = Footer::new_zeroed();
    footer.cookie = COOKIE;
    footer.features = U32::new(2);
    footer.file_format_version = U32::new(0x0001_0000);
    footer.data_offset = match kind {
        FIXED => U64::MAX_VALUE,
        _ => U64::new(HEADER_AT),
    };
    footer.creator_application = CREATOR;
    footer.creator_version = U32::new(0x000a_0000);
    footer.creator_host_os = *b"Wi2k";
    footer.original_size = U64::new(size);
    footer.current_size = U64::new(size);
    footer.disk_geometry = geometry(size / SECTOR);
    footer.disk_type = U32::new(kind);
    footer.unique_id = unique_id(disk)?;
    footer.checksum = U32::new(checksum(footer.as_bytes()));
    Ok(footer)
}

/// From the partition table and what stands about it, whose identifiers are the image's own.
fn unique_id(disk: &dyn Layout) -> io::Result<[u8; 16]> {
    let mut head = vec![0; index(64 * KIB)];
    read_padded(disk, 0, &mut head)?;
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(&head)[..16]);
    Ok(uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometry_is_the_specifications() {
        let of = |sectors| {
            let g = geometry(sectors);
            (g.cylinders.get(), g.heads, g.sectors_per_track)
        };
        // What qemu-img 7.2 wrote for these sizes (vpc, force_size=on).
        assert_eq!(of(65535 * 16 * 255), (65535, 16, 255));
        assert_eq!(of(u64::MAX / 2), (65535, 16, 255));
        assert_eq!(of(65535 * 16 * 63), (16191, 16, 255));
        assert_eq!(of(2048), (30, 4, 17));
        assert_eq!(of(2 * 1024 * 1024), (2080, 16, 63));
    }
}

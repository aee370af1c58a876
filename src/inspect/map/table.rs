//! Sector 0, GPT, GRUB's core.img, and partitions that hold no filesystem.

use super::claims::Claims;
use super::what::What;
use crate::grub::core_img_runs;
use crate::inspect::{Info, InspectError, Partition};
use crate::partition::{BIOS_BOOT, GptCopy, read_gpt};
use crate::read_at::ReadAt;
use crate::units::SECTOR;

/// Where boot code ends and the disk signature of an MBR begins.
const BOOT_CODE: u64 = 0x1b8;

/// Claims what lies before, behind and between partitions.
pub(super) fn front(
    disk: &dyn ReadAt,
    info: &Info,
    claims: &mut Claims,
) -> Result<(), InspectError> {
    if info.scheme == "none" {
        return Ok(());
    }
    let mut sector0 = [0; 512];
    let read = disk.read_exact_at(0, &mut sector0);
    read.map_err(|source| InspectError::Read { offset: 0, source })?;
    let code = usize::try_from(BOOT_CODE).map_or(&sector0[..], |n| &sector0[..n]);
    if code.iter().any(|&b| b != 0) {
        claims.add(0, BOOT_CODE, What::BootSector);
    }
    claims.add(0, SECTOR, What::Mbr);
    if info.scheme == "gpt"
        && let Some(found) = read_gpt(disk)?
    {
        for place in found.places {
            let backup = place.copy == GptCopy::Backup;
            let header = place.header.byte_offset();
            claims.add(header, SECTOR, What::GptHeader { backup });
            let entries = place.entries.byte_offset();
            claims.add(entries, place.entries_len, What::GptEntries { backup });
        }
    }
    if info.grub {
        for (first, sectors) in core_img_runs(disk, &sector0) {
            let at = first.byte_offset();
            claims.partition = holder(info, at);
            claims.add(at, sectors.saturating_mul(SECTOR), What::CoreImg);
        }
        claims.partition = 0;
    }
    Ok(())
}

/// The partition that has the byte; 0 is none.
fn holder(info: &Info, byte: u64) -> u32 {
    let within = |p: &&Partition| {
        let (at, len) = p.bytes(info.size);
        (at..at + len).contains(&byte)
    };
    info.partitions.iter().find(within).map_or(0, |p| p.number)
}

/// Claims the whole partition, for what nothing in it has claimed.
pub(super) fn content(p: &Partition, at: u64, len: u64, claims: &mut Claims) {
    let what = if p.kind == BIOS_BOOT.to_string() {
        What::BiosBoot
    } else if p.filesystem.is_some() || p.fat.is_some() {
        What::Slack
    } else {
        What::Unknown
    };
    claims.add(at, len, what);
}

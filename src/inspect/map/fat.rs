//! What a FAT volume has where.

use super::claims::Claims;
use super::what::What;
use crate::fat::{chains, probe};
use crate::inspect::InspectError;
use crate::read_at::ReadAt;

/// Claims the volume at byte `at`, which has `len` bytes.
pub(super) fn claim(
    disk: &dyn ReadAt,
    at: u64,
    len: u64,
    claims: &mut Claims,
) -> Result<(), InspectError> {
    let read = |source| InspectError::Read { offset: at, source };
    let Some(info) = probe(disk, at).map_err(read)? else {
        return Ok(());
    };
    let size = info.size.min(len);
    let add = |claims: &mut Claims, from: u64, len: u64, what| {
        claims.add(
            at + from.min(size),
            len.min(size.saturating_sub(from)),
            what,
        );
    };
    add(claims, 0, info.fat_at, What::FatReserved);
    for (n, nr) in (0..info.fats).zip(1..) {
        add(
            claims,
            info.fat_at + n * info.fat_len,
            info.fat_len,
            What::FatTable(nr),
        );
    }
    match chains(disk, at, &info) {
        Ok(Some(found)) => {
            claims.complete &= found.sound;
            for item in &found.items {
                let what = if item.directory {
                    What::FatDirectory(item.cluster)
                } else {
                    What::FatFile(item.cluster)
                };
                for &(from, len) in &item.runs {
                    add(claims, from, len, what);
                }
            }
            for &(from, len) in &found.lost {
                add(claims, from, len, What::FatLost);
            }
        }
        // A volume that is cut off, or larger than any that is read.
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => claims.complete = false,
        Err(source) => return Err(InspectError::Read { offset: at, source }),
        Ok(None) => claims.complete = false,
    }
    add(claims, 0, size, What::FatFree);
    Ok(())
}

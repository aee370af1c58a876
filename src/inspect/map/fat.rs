//! What a FAT volume has where.

use super::claims::Claims;
use super::what::What;
use crate::fat::{FatReadError, FatReader, chains, probe};
use crate::inspect::InspectError;
use crate::read_at::{ReadAt, Window};
use std::sync::Arc;

/// Claims the volume at byte `at`, which has `len` bytes.
pub(super) fn claim(
    disk: &Arc<dyn ReadAt>,
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
    let fs: Arc<dyn ReadAt> = Arc::new(Window::new(Arc::clone(disk), at, len));
    match FatReader::open(fs).and_then(|reader| chains(&reader)) {
        Ok(Some(found)) => {
            claims.complete &= found.sound;
            for item in &found.items {
                let what = if item.directory {
                    What::FatDirectory(item.cluster)
                } else {
                    What::FatFile(item.cluster)
                };
                for run in &item.runs {
                    add(claims, run.at, run.len, what);
                }
            }
            for run in &found.lost {
                add(claims, run.at, run.len, What::FatLost);
            }
        }
        // A volume that is cut off, or larger than any that is read.
        Err(FatReadError::Read { offset, source, .. })
            if source.kind() != std::io::ErrorKind::UnexpectedEof =>
        {
            let offset = at.saturating_add(offset);
            return Err(InspectError::Read { offset, source });
        }
        Ok(None) | Err(_) => claims.complete = false,
    }
    add(claims, 0, size, What::FatFree);
    Ok(())
}

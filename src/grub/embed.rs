//! core.img to the sectors of its embedding area, as `grub-bios-setup` writes them.
//!
//! ```text
//! area.first        first+1 …                        core_size (padded with zeros)
//! | diskboot.img    | decompressor | LZMA stream     | Reed-Solomon parity … |
//!   blocklist ------>                                                        to nsec × 512
//! ```

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::disk::{
    BLOCKLIST, Blocklist, CORE_END, CORE_SEGMENT, LINK_ADDR, SECTOR, boot, decompressor,
};
use super::{CoreImg, GrubError, reed_solomon};
use crate::read_at::ReadAt;
use crate::units::{Lba, count, index};

/// Sectors that core.img may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The first of them: 1 behind an MBR.
    pub first: Lba,
    /// How many: up to the first partition.
    pub sectors: u64,
}

/// The bytes to write from `area.first` on, a whole number of sectors.
///
/// With `rs`, up to as many sectors of parity follow as core.img has itself (grub-install's
/// default); the boot then survives the loss of some.
///
/// # Errors
///
/// The area, or the 888 sectors that the BIOS loader has memory for, are too few.
pub fn embed(core: &CoreImg, area: Area, rs: bool) -> Result<Vec<u8>, GrubError> {
    let needed = core.sectors();
    let memory = u64::from(CORE_END - LINK_ADDR) / 512;
    let available = area.sectors.min(memory);
    if needed > available {
        return Err(GrubError::AreaTooSmall {
            needed,
            available,
            first: area.first.0,
        });
    }
    let used = if rs {
        (2 * needed).min(available)
    } else {
        needed
    };

    let size = core.as_bytes().len();
    let mut bytes = core.as_bytes().to_vec();
    bytes.resize(index(used) * SECTOR, 0);
    put_blocklist(&mut bytes[..SECTOR], area.first, used);

    let redundancy = bytes.len() - size;
    if rs {
        let field = SECTOR + decompressor::REDUNDANCY;
        let value = u32::try_from(redundancy).expect("at most 888 sectors");
        bytes[field..field + 4].copy_from_slice(&value.to_le_bytes());
        let covered = SECTOR + usize::from(core.no_rs_length());
        let parity = reed_solomon::parity(&bytes[covered..size], redundancy);
        bytes[size..].copy_from_slice(&parity);
    }
    Ok(bytes)
}

/// The runs of sectors that hold core.img, by boot.img in `sector0` and the list in diskboot.img. Empty
/// where there is no such list; nothing says that what lies there is core.img still.
#[must_use]
pub fn core_img_runs(disk: &dyn ReadAt, sector0: &[u8; SECTOR]) -> Vec<(Lba, u64)> {
    const ENTRY: usize = size_of::<Blocklist>();
    let field = sector0[boot::KERNEL_SECTOR..boot::BOOT_DRIVE].first_chunk();
    let first = u64::from_le_bytes(*field.expect("the field has 8 bytes"));
    let mut diskboot = [0; SECTOR];
    let at = first.checked_mul(count(SECTOR)).filter(|&at| at > 0);
    if at.is_none_or(|at| disk.read_exact_at(at, &mut diskboot).is_err()) {
        return Vec::new();
    }
    let mut runs = vec![(Lba(first), 1)];
    // The list grows down from the end of the sector; below it is code.
    let entries = (0..=BLOCKLIST).rev().step_by(ENTRY);
    for bytes in entries.map(|at| &diskboot[at..at + ENTRY]) {
        let entry = Blocklist::read_from_bytes(bytes).expect("an entry has 12 bytes");
        let (start, sectors) = (entry.start.get(), u64::from(entry.len.get()));
        let lies = start
            .checked_add(sectors)
            .and_then(|end| end.checked_mul(count(SECTOR)));
        if sectors == 0 || lies.is_none_or(|end| end > disk.len()) {
            break;
        }
        runs.push((Lba(start), sectors));
    }
    // diskboot.img alone is no core.img.
    if runs.len() == 1 {
        runs.clear();
    }
    runs
}

/// One entry for all sectors behind diskboot.img, parity included, and the entry that ends the list.
/// Whatever entries a used core.img had below are cleared as far as they go.
fn put_blocklist(diskboot: &mut [u8], first: Lba, used: u64) {
    const ENTRY: usize = size_of::<Blocklist>();
    let len_of = |sector: &[u8], at: usize| u16::from_le_bytes([sector[at + 8], sector[at + 9]]);
    let mut at = BLOCKLIST;
    while at >= ENTRY && len_of(diskboot, at) != 0 {
        diskboot[at..at + ENTRY].fill(0);
        at -= ENTRY;
    }
    let entry = Blocklist {
        start: U64::new(first.0 + 1),
        len: U16::new(u16::try_from(used - 1).expect("at most 888 sectors")),
        segment: U16::new(CORE_SEGMENT),
    };
    diskboot[BLOCKLIST..SECTOR].copy_from_slice(entry.as_bytes());
    diskboot[BLOCKLIST - ENTRY..BLOCKLIST].fill(0);
}

#[cfg(test)]
mod tests {
    use super::super::core_img::{core_img, tests::toy_platform};
    use super::*;

    fn toy() -> CoreImg {
        core_img(&toy_platform(), "/p", &["ext2"], None).unwrap()
    }

    #[test]
    fn blocklist_counts_parity_and_starts_behind_diskboot() {
        let core = toy();
        let gap = Area {
            first: Lba(1),
            sectors: 2047,
        };
        let with = embed(&core, gap, true).unwrap();
        assert_eq!(with.len(), 2 * index(core.sectors()) * 512);
        let len = u16::try_from(2 * core.sectors() - 1).unwrap().to_le_bytes();
        assert_eq!(
            with[0x1f4..0x200],
            [2, 0, 0, 0, 0, 0, 0, 0, len[0], len[1], 0x20, 8]
        );
        assert_eq!(with[0x1e8..0x1f4], [0; 12]);

        let without = embed(&core, gap, false).unwrap();
        assert_eq!(without.len(), index(core.sectors()) * 512);
        assert_eq!(without[0x210..0x214], [0; 4]);
        let size = core.as_bytes().len();
        assert_eq!(without[512..size], core.as_bytes()[512..]);
        assert!(without[size..].iter().all(|&b| b == 0));
    }

    #[test]
    fn parity_takes_what_the_area_leaves() {
        let core = toy();
        let area = Area {
            first: Lba(2048),
            sectors: core.sectors() + 1,
        };
        let bytes = embed(&core, area, true).unwrap();
        assert_eq!(bytes.len(), index(area.sectors) * 512);
        assert_eq!(bytes[0x1f4..0x1f6], [1, 8]);
    }

    #[test]
    fn too_small_an_area_is_an_error_with_both_numbers() {
        let core = toy();
        let area = Area {
            first: Lba(1),
            sectors: core.sectors() - 1,
        };
        let err = embed(&core, area, true).unwrap_err().to_string();
        assert!(err.contains(&core.sectors().to_string()), "{err}");
        assert!(err.contains(&area.sectors.to_string()), "{err}");
    }
}

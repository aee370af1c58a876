//! Which firmware could start an image: looked up before qemu is, which would only wait.

use super::Arch;
use crate::partition;
use crate::read_at::ReadAt;
use crate::units::SECTOR;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Partition type of an EFI system partition in an MBR (UEFI 2.10 §5.2.2).
const EFI_SYSTEM_MBR: u8 = 0xEF;

/// Where the boot code of sector 0 ends and the disk signature begins.
const BOOT_CODE_END: usize = 440;

/// What an image offers to firmware that knows nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaders {
    /// Sector 0 has boot code.
    pub bios: bool,
    /// An EFI system partition has `EFI/BOOT/BOOT*.EFI` for these.
    pub uefi: Vec<Arch>,
}

/// The loaders of a disk.
///
/// # Errors
/// When it cannot be read. A damaged partition table or filesystem counts as none.
pub fn find_loaders(disk: &dyn ReadAt) -> io::Result<Loaders> {
    let mut sector0 = [0; 512];
    if disk.len() < SECTOR {
        return Ok(Loaders::default());
    }
    disk.read_exact_at(0, &mut sector0)?;
    let signed = sector0[510..] == [0x55, 0xAA];
    let mut loaders = Loaders {
        bios: signed && sector0[..BOOT_CODE_END].iter().any(|&b| b != 0),
        uefi: Vec::new(),
    };
    for (start, len) in system_partitions(disk, &sector0) {
        let volume = fatfs::FileSystem::new(
            Volume {
                disk,
                start,
                len,
                at: 0,
            },
            fatfs::FsOptions::new(),
        );
        let Ok(volume) = volume else { continue };
        for arch in [Arch::X86_64, Arch::Arm64] {
            // The driver ignores case, as firmware does.
            if volume.root_dir().open_file(arch.removable_path()).is_ok() {
                loaders.uefi.push(arch);
            }
        }
    }
    Ok(loaders)
}

/// First byte and length of each EFI system partition.
fn system_partitions(disk: &dyn ReadAt, sector0: &[u8; 512]) -> Vec<(u64, u64)> {
    if let Ok(Some(gpt)) = partition::read_gpt(disk) {
        let system = gpt
            .entries
            .iter()
            .filter(|p| p.kind == partition::EFI_SYSTEM);
        return system
            .map(|p| (p.start.byte_offset(), p.sectors.saturating_mul(SECTOR)))
            .collect();
    }
    let entries = partition::read(sector0).unwrap_or_default();
    let system = entries.iter().filter(|p| p.kind == EFI_SYSTEM_MBR);
    system
        .map(|p| (p.start.byte_offset(), p.sectors.saturating_mul(SECTOR)))
        .collect()
}

/// A part of a disk as the FAT driver reads it. Nothing can be written to it.
struct Volume<'a> {
    disk: &'a dyn ReadAt,
    start: u64,
    len: u64,
    at: u64,
}

impl Read for Volume<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = crate::units::index(self.len.saturating_sub(self.at));
        let part = buf.len().min(left);
        let from = self
            .start
            .checked_add(self.at)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.disk.read_exact_at(from, &mut buf[..part])?;
        self.at += crate::units::count(part);
        Ok(part)
    }
}

impl Seek for Volume<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
            SeekFrom::End(n) => self.len.checked_add_signed(n),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Write for Volume<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_code_alone_is_a_bios_loader() {
        let mut sector = vec![0; 1024];
        let bios = |disk: &[u8]| find_loaders(&disk.to_vec()).unwrap().bios;
        assert!(!bios(&sector));
        sector[510..512].copy_from_slice(&[0x55, 0xAA]);
        assert!(!bios(&sector), "a partition table without code");
        sector[0] = 0xEB;
        assert!(bios(&sector));
        assert!(!bios(&[]));
    }
}

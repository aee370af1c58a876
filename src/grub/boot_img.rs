//! boot.img to sector 0 of a disk, as `grub-bios-setup` patches it.

use super::disk::{SECTOR, boot};
use super::platform::{BOOT_IMG, Target};
use super::{Files, GrubError};
use crate::units::Lba;

/// A jump of 5 bytes over the next instructions.
const JMP_5: [u8; 2] = [0xeb, 0x05];
/// Two no-ops.
const NOP_NOP: [u8; 2] = [0x90, 0x90];

/// boot.img with the partition table, signature and BIOS parameter block of `sector0`, loading the
/// first sector of core.img from `core`.
///
/// # Errors
///
/// boot.img is missing or has other values than GRUB's in the fields that are patched.
pub fn boot_sector(files: &Files, sector0: &[u8; 512], core: Lba) -> Result<[u8; 512], GrubError> {
    let image = Target::I386_PC.file(files, BOOT_IMG)?;
    let bad = |field, found: String, wanted: &str| GrubError::Format {
        file: Target::I386_PC.path(BOOT_IMG),
        field,
        found,
        wanted: wanted.to_owned(),
    };
    let mut sector = <[u8; SECTOR]>::try_from(image)
        .map_err(|_| bad("length", image.len().to_string(), "512 bytes"))?;

    let address = &sector[boot::KERNEL_ADDRESS..boot::KERNEL_SECTOR];
    if address != [0x00, 0x80] {
        return Err(bad("kernel_address", format!("{address:02x?}"), "[00, 80]"));
    }
    let check = &sector[boot::DRIVE_CHECK..boot::DRIVE_CHECK + 2];
    if check != JMP_5 && check != NOP_NOP {
        return Err(bad("boot_drive_check", format!("{check:02x?}"), "[eb, 05]"));
    }
    if sector[boot::SIGNATURE..] != [0x55, 0xaa] {
        let found = format!("{:02x?}", &sector[boot::SIGNATURE..]);
        return Err(bad("signature", found, "[55, aa]"));
    }

    sector[boot::KERNEL_SECTOR..boot::BOOT_DRIVE].copy_from_slice(&core.0.to_le_bytes());
    sector[boot::BOOT_DRIVE] = 0xff;
    // On a hard disk the check is let run: it replaces a DL that names no hard disk, as some BIOSes
    // pass, by 0x80.
    sector[boot::DRIVE_CHECK..boot::DRIVE_CHECK + 2].copy_from_slice(&NOP_NOP);
    for kept in [
        boot::BPB_START..boot::BPB_END,
        boot::WINDOWS_NT_MAGIC..boot::SIGNATURE,
    ] {
        sector[kept.clone()].copy_from_slice(&sector0[kept]);
    }
    Ok(sector)
}

#[cfg(test)]
mod tests {
    use super::super::core_img::tests::toy_platform;
    use super::*;

    #[test]
    fn keeps_table_and_bpb_of_the_disk_and_code_of_grub() {
        let mut old = [0x11; 512];
        old[0x1fe..].copy_from_slice(&[0x55, 0xaa]);
        let sector = boot_sector(&toy_platform(), &old, Lba(0x0102_0304)).unwrap();
        assert_eq!(sector[..3], [0xeb, 0x63, 0x90]);
        assert!(sector[3..0x5a].iter().all(|&b| b == 0x11));
        assert_eq!(sector[0x5a..0x5c], [0, 0x80]);
        assert_eq!(sector[0x5c..0x64], [4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(sector[0x64], 0xff);
        assert_eq!(sector[0x66..0x68], [0x90, 0x90]);
        assert!(sector[0x68..0x1b8].iter().all(|&b| b == 0xb0));
        assert!(sector[0x1b8..0x1fe].iter().all(|&b| b == 0x11));
        assert_eq!(sector[0x1fe..], [0x55, 0xaa]);
    }

    #[test]
    fn refuses_another_boot_img_and_names_the_field() {
        for (at, field) in [
            (0x5a, "kernel_address"),
            (0x66, "boot_drive_check"),
            (0x1fe, "signature"),
        ] {
            let mut files = toy_platform();
            files.get_mut(BOOT_IMG).unwrap()[at] ^= 1;
            let err = boot_sector(&files, &[0; 512], Lba(1))
                .unwrap_err()
                .to_string();
            assert!(err.contains(field), "{err}");
        }
        let mut files = toy_platform();
        files.get_mut(BOOT_IMG).unwrap().push(0);
        assert!(boot_sector(&files, &[0; 512], Lba(1)).is_err());
    }
}

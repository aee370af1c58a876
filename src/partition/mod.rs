//! Partition tables: sizes in, sectors out.
//!
//! A disk with an MBR, as `sfdisk` lays it out and GRUB's i386-pc wants it:
//!
//! ```text
//! LBA 0         1                          2048                              disk_sectors
//!  | MBR        | gap: core.img (1 MiB less | partition 1                    |
//!  | + boot.img | one sector)               | type 0x83, active              |
//!
//! sector 0: 0x000 boot code (zero here; `grub::boot_img` fills it)
//!           0x1B8 disk signature, u32      0x1BC copy protection mark, 0
//!           0x1BE four entries of 16 bytes 0x1FE 55 AA
//! ```
//!
//! A disk with a GPT, laid out as Debian's cloud images are. Root lies last, so that it can grow:
//!
//! ```text
//! LBA 0              34     2048       8192     …          disk_sectors - 33
//!  | protective MBR, | free | p14      | p15    | p1       | entries, |
//!  | header, entries |      | BIOS boot| ESP    | root     | header   |
//! ```
//!
//! This module knows nothing of filesystems or loaders.

mod gpt;
mod gpt_read;
mod mbr;

pub use gpt::{
    BIOS_BOOT, EFI_SYSTEM, GPT_BACK, GPT_FRONT, Gpt, GptLayout, GptPartition, LINUX_DATA,
    ROOT_ARM64, ROOT_X86_64, gpt,
};
pub use gpt_read::{GptCopy, GptEntry, GptFault, GptFound, GptPlace, read_gpt};
pub use mbr::{
    FIRST_PARTITION, LINUX, MAX_DISK_SECTORS, MbrLayout, PartitionError, PartitionInfo, mbr,
    mbr_of, partuuid, read, signature,
};

//! GRUB's on-disk structures for i386-pc, with the names of its headers, and the offsets of single
//! fields in boot.img, diskboot.img and lzma_decompress.img.
//!
//! They are the same in GRUB 2.02 to 2.12 (`include/grub/offsets.h`, `include/grub/i386/pc/boot.h`,
//! `include/grub/kernel.h`).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct grub_pc_bios_boot_blocklist`: where diskboot.img finds a run of core.img's sectors.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Blocklist {
    /// First sector.
    pub(crate) start: U64,
    /// Sectors; 0 ends the list.
    pub(crate) len: U16,
    /// Real-mode segment that they are loaded to.
    pub(crate) segment: U16,
}

/// `struct grub_module_info32`: opens the module area behind the kernel image.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ModuleInfo32 {
    /// [`MODULE_MAGIC`].
    pub(crate) magic: U32,
    /// Offset of the first object: the size of this structure.
    pub(crate) offset: U32,
    /// Size of the area, this structure included.
    pub(crate) size: U32,
}

/// `struct grub_module_info64`: opens the module area of a 64-bit platform.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ModuleInfo64 {
    /// [`MODULE_MAGIC`].
    pub(crate) magic: U32,
    /// 0.
    pub(crate) padding: U32,
    /// Offset of the first object: the size of this structure.
    pub(crate) offset: U64,
    /// Size of the area, this structure included.
    pub(crate) size: U64,
}

/// `struct grub_module_header`: opens an object of the module area.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ModuleHeader {
    /// `OBJ_TYPE_*`.
    pub(crate) kind: U32,
    /// Size of header, data and padding.
    pub(crate) size: U32,
}

/// `Elf32_Ehdr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Elf32Ehdr {
    pub(crate) e_ident: [u8; 16],
    pub(crate) e_type: U16,
    pub(crate) e_machine: U16,
    pub(crate) e_version: U32,
    pub(crate) e_entry: U32,
    pub(crate) e_phoff: U32,
    pub(crate) e_shoff: U32,
    pub(crate) e_flags: U32,
    pub(crate) e_ehsize: U16,
    pub(crate) e_phentsize: U16,
    pub(crate) e_phnum: U16,
    pub(crate) e_shentsize: U16,
    pub(crate) e_shnum: U16,
    pub(crate) e_shstrndx: U16,
}

/// `Elf32_Shdr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Elf32Shdr {
    pub(crate) sh_name: U32,
    pub(crate) sh_type: U32,
    pub(crate) sh_flags: U32,
    pub(crate) sh_addr: U32,
    pub(crate) sh_offset: U32,
    pub(crate) sh_size: U32,
    pub(crate) sh_link: U32,
    pub(crate) sh_info: U32,
    pub(crate) sh_addralign: U32,
    pub(crate) sh_entsize: U32,
}

/// `Elf32_Sym`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Elf32Sym {
    pub(crate) st_name: U32,
    pub(crate) st_value: U32,
    pub(crate) st_size: U32,
    pub(crate) st_info: u8,
    pub(crate) st_other: u8,
    pub(crate) st_shndx: U16,
}

const _: () = assert!(size_of::<Blocklist>() == 12);
const _: () = assert!(size_of::<ModuleInfo32>() == 12);
const _: () = assert!(size_of::<ModuleInfo64>() == 24);
const _: () = assert!(size_of::<ModuleHeader>() == 8);
const _: () = assert!(size_of::<Elf32Ehdr>() == 52);
const _: () = assert!(size_of::<Elf32Shdr>() == 40);
const _: () = assert!(size_of::<Elf32Sym>() == 16);

/// `GRUB_MODULE_MAGIC`, "mimg" in file order.
pub(crate) const MODULE_MAGIC: u32 = 0x676d_696d;
/// `OBJ_TYPE_ELF`: a module.
pub(crate) const OBJ_TYPE_ELF: u32 = 0;
/// `OBJ_TYPE_CONFIG`: commands for the rescue parser.
pub(crate) const OBJ_TYPE_CONFIG: u32 = 2;
/// `OBJ_TYPE_PREFIX`: where grub.cfg and the modules lie.
pub(crate) const OBJ_TYPE_PREFIX: u32 = 3;

/// Bytes in a sector, as a count in memory.
pub(crate) const SECTOR: usize = 512;
/// Offset of the first blocklist entry in diskboot.img; further ones lie below it.
pub(crate) const BLOCKLIST: usize = SECTOR - size_of::<Blocklist>();
/// The real-mode segment that the sector after diskboot.img goes to: address 0x8200.
pub(crate) const CORE_SEGMENT: u16 = 0x0820;

/// `GRUB_KERNEL_I386_PC_LINK_ADDR`: where the kernel image is linked, physical.
pub(crate) const LINK_ADDR: u32 = 0x9000;
/// Kernel image and .bss end below it (0x68000 in GRUB's `util/mkimage.c`).
pub(crate) const KERNEL_END: u32 = 0x68000;
/// core.img, as if loaded at [`LINK_ADDR`], ends below it (the check of `util/mkimage.c`).
pub(crate) const CORE_END: u32 = 0x78000;
/// Where lzma_decompress.img is loaded: behind diskboot.img's 0x8000.
pub(crate) const DECOMPRESSOR_ADDR: u32 = 0x8200;

/// Fields of lzma_decompress.img (`GRUB_DECOMPRESSOR_I386_PC_*`).
pub(crate) mod decompressor {
    /// u32: bytes of the LZMA stream.
    pub(crate) const COMPRESSED_SIZE: usize = 0x08;
    /// u32: bytes that it decodes to.
    pub(crate) const UNCOMPRESSED_SIZE: usize = 0x0c;
    /// u32: bytes of Reed-Solomon parity behind core.img.
    pub(crate) const REDUNDANCY: usize = 0x10;
    /// u16: how many of the first bytes parity does not cover. Set by GRUB's build.
    pub(crate) const NO_RS_LENGTH: usize = 0x14;
    /// Where the fields end.
    pub(crate) const HEADER_END: usize = 0x1c;
}

/// Fields of boot.img (`GRUB_BOOT_MACHINE_*`).
pub(crate) mod boot {
    /// Behind the jump over it: the BIOS parameter block.
    pub(crate) const BPB_START: usize = 0x03;
    /// Its end, exclusive.
    pub(crate) const BPB_END: usize = 0x5a;
    /// u16: the address that core.img's first sector is loaded to.
    pub(crate) const KERNEL_ADDRESS: usize = 0x5a;
    /// u64: the sector of core.img's first sector.
    pub(crate) const KERNEL_SECTOR: usize = 0x5c;
    /// u8: BIOS drive, 0xFF for the one booted from.
    pub(crate) const BOOT_DRIVE: usize = 0x64;
    /// 2 bytes: a jump over the check that DL names a hard disk.
    pub(crate) const DRIVE_CHECK: usize = 0x66;
    /// Disk signature and the mark behind it.
    pub(crate) const WINDOWS_NT_MAGIC: usize = 0x1b8;
    /// Behind the partition table: 55 AA.
    pub(crate) const SIGNATURE: usize = 0x1fe;
}

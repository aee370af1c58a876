//! PE32+ and ELF64 structures, with the names of GRUB's `include/grub/efi/pe32.h` and of `elf.h`.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// u32 in the DOS header: offset of the PE header.
pub(super) const LFANEW: usize = 0x3c;
/// Opens the PE header.
pub(super) const PE_MAGIC: [u8; 4] = *b"PE\0\0";

/// `struct grub_pe32_coff_header`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct CoffHeader {
    pub(super) machine: U16,
    pub(super) num_sections: U16,
    pub(super) time: U32,
    pub(super) symtab_offset: U32,
    pub(super) num_symbols: U32,
    pub(super) optional_header_size: U16,
    pub(super) characteristics: U16,
}

/// `struct grub_pe64_optional_header` with its 16 data directories.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct OptionalHeader {
    pub(super) magic: U16,
    pub(super) major_linker_version: u8,
    pub(super) minor_linker_version: u8,
    pub(super) code_size: U32,
    pub(super) data_size: U32,
    pub(super) bss_size: U32,
    pub(super) entry_addr: U32,
    pub(super) code_base: U32,
    pub(super) image_base: U64,
    pub(super) section_alignment: U32,
    pub(super) file_alignment: U32,
    pub(super) versions: [u8; 12],
    pub(super) reserved: U32,
    pub(super) image_size: U32,
    pub(super) header_size: U32,
    pub(super) checksum: U32,
    pub(super) subsystem: U16,
    pub(super) dll_characteristics: U16,
    pub(super) stack_reserve_size: U64,
    pub(super) stack_commit_size: U64,
    pub(super) heap_reserve_size: U64,
    pub(super) heap_commit_size: U64,
    pub(super) loader_flags: U32,
    pub(super) num_data_directories: U32,
    pub(super) data_directories: [DataDirectory; 16],
}

/// `struct grub_pe32_data_directory`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DataDirectory {
    pub(super) rva: U32,
    pub(super) size: U32,
}

/// `struct grub_pe32_section_table`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SectionHeader {
    pub(super) name: [u8; 8],
    pub(super) virtual_size: U32,
    pub(super) virtual_address: U32,
    pub(super) raw_data_size: U32,
    pub(super) raw_data_offset: U32,
    pub(super) relocations_offset: U32,
    pub(super) line_numbers_offset: U32,
    pub(super) num_relocations: U16,
    pub(super) num_line_numbers: U16,
    pub(super) characteristics: U32,
}

/// `Elf64_Ehdr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(in crate::grub) struct Elf64Ehdr {
    pub(in crate::grub) e_ident: [u8; 16],
    pub(in crate::grub) e_type: U16,
    pub(in crate::grub) e_machine: U16,
    pub(in crate::grub) e_version: U32,
    pub(in crate::grub) e_entry: U64,
    pub(in crate::grub) e_phoff: U64,
    pub(in crate::grub) e_shoff: U64,
    pub(in crate::grub) e_flags: U32,
    pub(in crate::grub) e_ehsize: U16,
    pub(in crate::grub) e_phentsize: U16,
    pub(in crate::grub) e_phnum: U16,
    pub(in crate::grub) e_shentsize: U16,
    pub(in crate::grub) e_shnum: U16,
    pub(in crate::grub) e_shstrndx: U16,
}

/// `Elf64_Shdr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(in crate::grub) struct Elf64Shdr {
    pub(in crate::grub) sh_name: U32,
    pub(in crate::grub) sh_type: U32,
    pub(in crate::grub) sh_flags: U64,
    pub(in crate::grub) sh_addr: U64,
    pub(in crate::grub) sh_offset: U64,
    pub(in crate::grub) sh_size: U64,
    pub(in crate::grub) sh_link: U32,
    pub(in crate::grub) sh_info: U32,
    pub(in crate::grub) sh_addralign: U64,
    pub(in crate::grub) sh_entsize: U64,
}

/// `Elf64_Sym`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(in crate::grub) struct Elf64Sym {
    pub(in crate::grub) st_name: U32,
    pub(in crate::grub) st_info: u8,
    pub(in crate::grub) st_other: u8,
    pub(in crate::grub) st_shndx: U16,
    pub(in crate::grub) st_value: U64,
    pub(in crate::grub) st_size: U64,
}

/// `Elf64_Rela`; `r_info` in its two halves.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Elf64Rela {
    pub(super) r_offset: U64,
    pub(super) r_type: U32,
    pub(super) r_sym: U32,
    pub(super) r_addend: U64,
}

const _: () = assert!(size_of::<CoffHeader>() == 20);
const _: () = assert!(size_of::<OptionalHeader>() == 240);
const _: () = assert!(size_of::<SectionHeader>() == 40);
const _: () = assert!(size_of::<Elf64Ehdr>() == 64);
const _: () = assert!(size_of::<Elf64Shdr>() == 64);
const _: () = assert!(size_of::<Elf64Sym>() == 24);
const _: () = assert!(size_of::<Elf64Rela>() == 24);

//! core.efi: kernel and module area as a PE32+ image, byte for byte as grub-mkimage writes it.
//!
//! ```text
//! 0x0000  DOS header and stub | PE header | section table
//! 0x1000  .text   code of the kernel
//!         .data   its data and .bss
//!         mods    the module area, found by this name
//!         .reloc  base relocations: pages of 4096 bytes, and where in them addresses lie
//! ```
//!
//! Offsets in the file are those in memory, all multiples of 4096. Formats: PE/COFF §3 and §6.6.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::EfiArch;
use super::disk::{CoffHeader, DataDirectory, LFANEW, OptionalHeader, PE_MAGIC, SectionHeader};
use super::kernel::{self, ALIGN, Kernel};
use crate::grub::GrubError;
use crate::grub::payload::module_area;
use crate::grub::platform::{Files, KERNEL_IMG};
use crate::units::{count, index, lo16, lo32};

/// What any DOS of 1983 on prints: every PE image opens with it.
const STUB_TEXT: &[u8] = b"This program cannot be run in DOS mode.\r\r\n$";
/// The code that prints the text behind it and ends with 1.
const STUB_CODE: [u8; 14] = [
    0x0e, 0x1f, 0xba, 0x0e, 0x00, 0xb4, 0x09, 0xcd, 0x21, 0xb8, 0x01, 0x4c, 0xcd, 0x21,
];
/// 2015-01-01, which grub-mkimage writes instead of the time of day.
const TIME: u32 = 1_420_070_400;
/// Executable, without line numbers and local symbols, no debug information.
const CHARACTERISTICS: u16 = 0x020e;
const PE32_PLUS: u16 = 0x20b;
/// `IMAGE_SUBSYSTEM_EFI_APPLICATION`.
const SUBSYSTEM: u16 = 10;
const STACK_AND_HEAP: u64 = 0x10000;
/// The data directory of base relocations.
const BASE_RELOCATION: usize = 5;
/// `IMAGE_REL_BASED_DIR64`, in the upper four bits of an entry.
const DIR64: u16 = 10 << 12;

/// Code, executable and readable.
const TEXT: u32 = 0x6000_0020;
/// Initialised data, readable and writable.
const DATA: u32 = 0xc000_0040;
/// Initialised data, readable, discardable.
const RELOC: u32 = 0x4200_0040;

/// core.efi of the platform `files` with `modules` and all they depend on; see
/// [`core_img`](crate::grub::core_img) for `prefix` and `config`.
///
/// # Errors
///
/// A file or module is missing or of a format that is not GRUB's.
pub fn core_efi(
    arch: EfiArch,
    files: &Files,
    prefix: &str,
    modules: &[&str],
    config: Option<&str>,
) -> Result<Vec<u8>, GrubError> {
    let target = arch.target();
    let kernel = kernel::link(arch, target.file(files, KERNEL_IMG)?)?;
    let mods = module_area(target, files, prefix, modules, config)?;
    let size = kernel.image.len() + mods.len();
    if u32::try_from(size + (1 << 20)).is_err() {
        return Err(GrubError::TooLarge {
            what: "core.efi",
            size: count(size),
            limit: u64::from(u32::MAX),
            advice: "build fewer modules into it",
        });
    }
    Ok(write(arch, &kernel, mods))
}

fn write(arch: EfiArch, kernel: &Kernel, mut mods: Vec<u8>) -> Vec<u8> {
    let padded = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(index(ALIGN)), 0);
    padded(&mut mods);
    let mut relocations = base_relocations(&kernel.absolute);
    padded(&mut relocations);
    let parts = [
        (b".text\0\0\0", kernel.code, TEXT),
        (
            b".data\0\0\0",
            count(kernel.image.len()) - kernel.code,
            DATA,
        ),
        (b"mods\0\0\0\0", count(mods.len()), DATA),
        (b".reloc\0\0", count(relocations.len()), RELOC),
    ];
    let mut at = ALIGN;
    let table = parts.map(|(name, size, characteristics)| {
        let start = at;
        at += size;
        SectionHeader {
            name: *name,
            virtual_size: U32::new(lo32(size)),
            virtual_address: U32::new(lo32(start)),
            raw_data_size: U32::new(lo32(size)),
            raw_data_offset: U32::new(lo32(start)),
            characteristics: U32::new(characteristics),
            ..SectionHeader::new_zeroed()
        }
    });
    let [text, data, modules, reloc] = &table;

    let coff = CoffHeader {
        machine: U16::new(match arch {
            EfiArch::X86_64 => 0x8664,
            EfiArch::Arm64 => 0xaa64,
        }),
        num_sections: U16::new(4),
        time: U32::new(TIME),
        optional_header_size: U16::new(240),
        characteristics: U16::new(CHARACTERISTICS),
        ..CoffHeader::new_zeroed()
    };
    let mut optional = OptionalHeader {
        magic: U16::new(PE32_PLUS),
        code_size: text.raw_data_size,
        data_size: data.raw_data_size + modules.raw_data_size,
        entry_addr: U32::new(lo32(kernel.entry)),
        code_base: text.virtual_address,
        section_alignment: U32::new(lo32(ALIGN)),
        file_alignment: U32::new(lo32(ALIGN)),
        image_size: U32::new(lo32(at)),
        header_size: U32::new(lo32(ALIGN)),
        subsystem: U16::new(SUBSYSTEM),
        stack_reserve_size: U64::new(STACK_AND_HEAP),
        stack_commit_size: U64::new(STACK_AND_HEAP),
        heap_reserve_size: U64::new(STACK_AND_HEAP),
        heap_commit_size: U64::new(STACK_AND_HEAP),
        num_data_directories: U32::new(16),
        ..OptionalHeader::new_zeroed()
    };
    optional.data_directories[BASE_RELOCATION] = DataDirectory {
        rva: reloc.virtual_address,
        size: reloc.virtual_size,
    };

    let mut file = dos_header();
    file.extend_from_slice(&PE_MAGIC);
    file.extend_from_slice(coff.as_bytes());
    file.extend_from_slice(optional.as_bytes());
    file.extend_from_slice(table.as_bytes());
    padded(&mut file);
    file.extend_from_slice(&kernel.image);
    file.extend_from_slice(&mods);
    file.extend_from_slice(&relocations);
    file
}

/// The 128 bytes before the PE header.
fn dos_header() -> Vec<u8> {
    let mut header = vec![0; 0x40];
    header[..2].copy_from_slice(b"MZ");
    // The fields that any linker fills: 144 bytes on the last of 3 pages, a header of 4 paragraphs, all
    // memory, a stack of 0xb8 bytes, relocations at 0x40.
    for (at, value) in [
        (2, 0x90_u16),
        (4, 3),
        (8, 4),
        (0xc, 0xffff),
        (0x10, 0xb8),
        (0x18, 0x40),
    ] {
        header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    header[LFANEW] = 0x80;
    header.extend_from_slice(&STUB_CODE);
    header.extend_from_slice(STUB_TEXT);
    header.resize(0x80, 0);
    header
}

/// Blocks of a page address, a size and entries of 16 bits, each padded to 8 bytes; the last one takes
/// all that is left of the section.
fn base_relocations(absolute: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = 0;
    let mut page = None;
    let close = |out: &mut Vec<u8>, block: usize, align: usize| {
        out.resize(out.len().next_multiple_of(align), 0);
        let size = lo32(count(out.len() - block));
        out[block + 4..block + 8].copy_from_slice(&size.to_le_bytes());
    };
    for &address in absolute {
        let own = address & !(ALIGN - 1);
        if page != Some(own) {
            if page.is_some() {
                close(&mut out, block, 8);
            }
            page = Some(own);
            block = out.len();
            out.extend_from_slice(&lo32(own).to_le_bytes());
            out.extend_from_slice(&[0; 4]);
        }
        let entry = DIR64 | lo16(lo32(address - own));
        out.extend_from_slice(&entry.to_le_bytes());
    }
    if page.is_some() {
        close(&mut out, block, index(ALIGN));
    }
    out
}

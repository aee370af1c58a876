//! kernel.img, an ELF file linked at 0x9000, to the flat image that core.img carries.
//!
//! The image holds every allocated `PROGBITS` section at its address less 0x9000, gaps zero, and ends
//! with the last one: GRUB looks for the modules at `_edata`, so its length has to be exact. `.bss`
//! is not in it, but must fit the memory map too.

use std::fmt::Display;

use zerocopy::FromBytes;

use super::GrubError;
use super::disk::{Elf32Ehdr, Elf32Shdr, KERNEL_END, LINK_ADDR};
use super::platform::{KERNEL_IMG, Target};
use crate::units::index32;

const ELFCLASS32_LSB: [u8; 6] = [0x7f, b'E', b'L', b'F', 1, 1];
const ET_EXEC: u16 = 2;
const EM_386: u16 = 3;
const SHT_PROGBITS: u32 = 1;
const SHT_NOBITS: u32 = 8;
const SHF_ALLOC: u32 = 2;

fn bad(field: &'static str, found: &dyn Display, wanted: &dyn Display) -> GrubError {
    GrubError::Format {
        file: Target::I386_PC.path(KERNEL_IMG),
        field,
        found: found.to_string(),
        wanted: wanted.to_string(),
    }
}

/// The kernel image of the ELF file `elf`.
pub(crate) fn kernel_image(elf: &[u8]) -> Result<Vec<u8>, GrubError> {
    let sections = sections(elf)?;
    let allocated = || {
        sections
            .iter()
            .filter(|s| s.sh_flags.get() & SHF_ALLOC != 0)
    };

    let mut image = Vec::new();
    for section in allocated() {
        let kind = section.sh_type.get();
        if kind != SHT_PROGBITS && kind != SHT_NOBITS {
            continue;
        }
        let (addr, size) = (section.sh_addr.get(), section.sh_size.get());
        let end = addr.checked_add(size).filter(|&end| end <= KERNEL_END);
        let end = end.ok_or(GrubError::TooLarge {
            what: "GRUB's kernel with .bss",
            size: u64::from(addr) + u64::from(size) - u64::from(LINK_ADDR.min(addr)),
            limit: u64::from(KERNEL_END - LINK_ADDR),
            advice: "i386-pc/kernel.img is not one that GRUB's own tools would accept",
        })?;
        if addr < LINK_ADDR {
            return Err(bad(
                "Elf32_Shdr.sh_addr",
                &format!("{addr:#x}"),
                &"at least 0x9000",
            ));
        }
        if kind == SHT_NOBITS {
            continue;
        }
        let offset = index32(section.sh_offset.get());
        let data = offset
            .checked_add(index32(size))
            .and_then(|data_end| elf.get(offset..data_end))
            .ok_or_else(|| {
                let found = format!("{offset:#x} with sh_size {size:#x}");
                bad(
                    "Elf32_Shdr.sh_offset",
                    &found,
                    &format!("inside {} bytes", elf.len()),
                )
            })?;
        let (from, to) = (index32(addr - LINK_ADDR), index32(end - LINK_ADDR));
        if image.len() < to {
            image.resize(to, 0);
        }
        image[from..to].copy_from_slice(data);
    }

    let first = allocated()
        .filter(|s| s.sh_type.get() == SHT_PROGBITS)
        .map(|s| s.sh_addr.get())
        .min();
    match first {
        Some(LINK_ADDR) => Ok(image),
        Some(addr) => Err(bad(".text sh_addr", &format!("{addr:#x}"), &"0x9000")),
        None => Err(bad(
            "Elf32_Ehdr.e_shnum",
            &"without allocated PROGBITS",
            &"sections to load",
        )),
    }
}

/// Checks what `grub_dl_load_core` checks of a module: an ELF file whose section table, the last thing
/// in it, is there. A file that was cut short fails here and not at boot.
///
/// # Errors
/// What is wrong with the file called `name`.
pub fn check_module(name: &str, elf: &[u8]) -> Result<(), GrubError> {
    let bad = |field, found: String, wanted: String| GrubError::Format {
        file: Target::I386_PC.path(name),
        field,
        found,
        wanted,
    };
    let Some((ehdr, _)) = Elf32Ehdr::read_from_prefix(elf)
        .ok()
        .filter(|(e, _)| e.e_ident.starts_with(&ELFCLASS32_LSB))
    else {
        let found = format!("{} bytes", elf.len());
        return Err(bad("Elf32_Ehdr", found, "a 32-bit LSB ELF file".into()));
    };
    let table = u64::from(ehdr.e_shentsize.get()) * u64::from(ehdr.e_shnum.get());
    let end = u64::from(ehdr.e_shoff.get()) + table;
    if end > crate::units::count(elf.len()) {
        let found = format!("up to byte {end}");
        let wanted = format!("inside the file's {} bytes", elf.len());
        return Err(bad("Elf32_Ehdr.e_shoff", found, wanted));
    }
    Ok(())
}

fn sections(elf: &[u8]) -> Result<Vec<Elf32Shdr>, GrubError> {
    let (ehdr, _) = Elf32Ehdr::read_from_prefix(elf)
        .map_err(|_| bad("length", &elf.len(), &"at least 52 bytes of Elf32_Ehdr"))?;
    let ident = &ehdr.e_ident[..ELFCLASS32_LSB.len()];
    if ident != ELFCLASS32_LSB {
        return Err(bad(
            "Elf32_Ehdr.e_ident",
            &format!("{ident:02x?}"),
            &"that of 32-bit LSB ELF",
        ));
    }
    for (field, found, wanted) in [
        ("Elf32_Ehdr.e_type", ehdr.e_type.get(), ET_EXEC),
        ("Elf32_Ehdr.e_machine", ehdr.e_machine.get(), EM_386),
        ("Elf32_Ehdr.e_shentsize", ehdr.e_shentsize.get(), 40),
    ] {
        if found != wanted {
            return Err(bad(field, &found, &wanted));
        }
    }
    let count = usize::from(ehdr.e_shnum.get());
    let table = elf
        .get(index32(ehdr.e_shoff.get())..)
        .and_then(|from| <[Elf32Shdr]>::ref_from_prefix_with_elems(from, count).ok());
    match table {
        Some((table, _)) => Ok(table.to_vec()),
        None => {
            let found = format!("{:#x} with {count} sections", ehdr.e_shoff.get());
            Err(bad(
                "Elf32_Ehdr.e_shoff",
                &found,
                &format!("inside {} bytes", elf.len()),
            ))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes;
    use zerocopy::little_endian::{U16, U32};

    use super::*;

    /// An ELF file of sections (type, address, data or, for `NOBITS`, a size).
    pub(crate) fn elf_of(sections: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut data = Vec::new();
        let mut table = Vec::new();
        for &(kind, addr, bytes) in sections {
            table.push(Elf32Shdr {
                sh_type: U32::new(kind),
                sh_flags: U32::new(SHF_ALLOC),
                sh_addr: U32::new(addr),
                sh_offset: U32::new(52 + crate::units::count32(data.len())),
                sh_size: U32::new(crate::units::count32(bytes.len())),
                ..Elf32Shdr::read_from_bytes(&[0; 40]).unwrap()
            });
            if kind == SHT_PROGBITS {
                data.extend_from_slice(bytes);
            }
        }
        let mut ident = [0; 16];
        ident[..6].copy_from_slice(&ELFCLASS32_LSB);
        let ehdr = Elf32Ehdr {
            e_ident: ident,
            e_type: U16::new(ET_EXEC),
            e_machine: U16::new(EM_386),
            e_shoff: U32::new(52 + crate::units::count32(data.len())),
            e_shentsize: U16::new(40),
            e_shnum: U16::new(table.len().try_into().unwrap()),
            ..Elf32Ehdr::read_from_bytes(&[0; 52]).unwrap()
        };
        [ehdr.as_bytes(), &data, table.as_bytes()].concat()
    }

    #[test]
    fn sections_lie_at_their_address_and_bss_is_left_out() {
        let elf = elf_of(&[
            (SHT_PROGBITS, 0x9000, b"text"),
            (SHT_PROGBITS, 0x9008, b"data!"),
            (SHT_NOBITS, 0x9010, &[0; 4096]),
        ]);
        assert_eq!(kernel_image(&elf).unwrap(), b"text\0\0\0\0data!");
    }

    #[test]
    fn refuses_what_would_not_run_at_0x9000() {
        let err = |sections: &[(u32, u32, &[u8])]| kernel_image(&elf_of(sections)).unwrap_err();
        assert!(
            err(&[(SHT_PROGBITS, 0x9010, b"x")])
                .to_string()
                .contains("0x9000")
        );
        assert!(
            err(&[(SHT_PROGBITS, 0x8fff, b"x")])
                .to_string()
                .contains("sh_addr")
        );
        assert!(matches!(
            err(&[(SHT_PROGBITS, 0x67fff, b"xx")]),
            GrubError::TooLarge { .. }
        ));
        assert!(matches!(
            err(&[(SHT_NOBITS, u32::MAX, b"xx")]),
            GrubError::TooLarge { .. }
        ));
        assert!(matches!(err(&[]), GrubError::Format { .. }));
    }

    proptest! {
        #[test]
        fn damaged_files_are_errors_not_panics(
            at in 0usize..150, byte in any::<u8>(), cut in 0usize..200,
        ) {
            let mut elf = elf_of(&[(SHT_PROGBITS, 0x9000, b"text"), (SHT_NOBITS, 0x9010, b"b")]);
            let len = elf.len();
            elf[at.min(len - 1)] = byte;
            elf.truncate(cut);
            let _ = kernel_image(&elf);
        }
    }
}

//! A module as GRUB's loader takes it (`grub_dl_load_core`, `grub-core/kern/dl.c`): a relocatable ELF file that
//! says which symbols it exports and needs, and in `.moddeps` which modules have to be there before it.

use std::collections::BTreeSet;
use std::ops::Range;

use zerocopy::FromBytes;

use super::GrubError;
use super::disk::{Elf32Ehdr, Elf32Shdr, Elf32Sym};
use super::efi::disk::{Elf64Ehdr, Elf64Shdr, Elf64Sym};
use super::platform::Target;

/// `e_ident[EI_CLASS]` of 64 bits.
const ELFCLASS64: u8 = 2;
const SHT_SYMTAB: u32 = 2;
/// `st_shndx` of a symbol that somebody else has.
const SHN_UNDEF: u16 = 0;
/// The upper half of `st_info`: a symbol that nobody else sees.
const STB_LOCAL: u8 = 0;

/// What a module has to do with others. Names as they are in the file, without their NULs.
#[derive(Debug, Default)]
pub(crate) struct Module<'a> {
    pub(crate) exports: BTreeSet<&'a [u8]>,
    pub(crate) needs: BTreeSet<&'a [u8]>,
    /// Names of modules, in the order of moddep.lst.
    pub(crate) depends: Vec<&'a [u8]>,
}

impl<'a> Module<'a> {
    /// Reads the module called `name`.
    pub(crate) fn parse(target: &Target, name: &str, elf: &'a [u8]) -> Result<Self, GrubError> {
        read(elf).ok_or_else(|| GrubError::Format {
            file: target.path(name),
            field: "table of sections or symbols",
            found: format!("outside the file's {} bytes", elf.len()),
            wanted: "inside".to_owned(),
        })
    }
}

/// The fields of a section header that both classes have.
struct Section {
    name: usize,
    kind: u32,
    bytes: Range<usize>,
    link: usize,
}

impl Section {
    fn new(name: u32, kind: u32, offset: u64, size: u64, link: u32) -> Option<Self> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        Some(Self {
            name: usize::try_from(name).ok()?,
            kind,
            bytes: start..end,
            link: usize::try_from(link).ok()?,
        })
    }
}

/// The fields of a symbol that both classes have.
struct Symbol {
    name: u32,
    info: u8,
    section: u16,
}

fn read(elf: &[u8]) -> Option<Module<'_>> {
    let wide = *elf.get(4)? == ELFCLASS64;
    let (sections, names) = sections(elf, wide)?;
    let bytes = |s: &Section| elf.get(s.bytes.clone());
    let names = bytes(sections.get(names)?)?;
    let mut module = Module::default();
    for section in &sections {
        if c_string(names, section.name)? == b".moddeps" {
            let all = bytes(section)?.split(|&b| b == 0);
            module.depends.extend(all.filter(|name| !name.is_empty()));
        }
        if section.kind != SHT_SYMTAB {
            continue;
        }
        let strings = bytes(sections.get(section.link)?)?;
        for symbol in symbols(bytes(section)?, wide)? {
            let name = c_string(strings, usize::try_from(symbol.name).ok()?)?;
            if name.is_empty() {
                continue;
            }
            if symbol.section == SHN_UNDEF {
                module.needs.insert(name);
            } else if symbol.info >> 4 != STB_LOCAL {
                module.exports.insert(name);
            }
        }
    }
    Some(module)
}

/// All sections, and the number of the one with their names.
fn sections(elf: &[u8], wide: bool) -> Option<(Vec<Section>, usize)> {
    let from = |offset: u64| elf.get(usize::try_from(offset).ok()?..);
    if wide {
        let (ehdr, _) = Elf64Ehdr::read_from_prefix(elf).ok()?;
        let table = from(ehdr.e_shoff.get())?;
        let count = usize::from(ehdr.e_shnum.get());
        let (table, _) = <[Elf64Shdr]>::ref_from_prefix_with_elems(table, count).ok()?;
        let list = table.iter().map(|s| {
            let (offset, size) = (s.sh_offset.get(), s.sh_size.get());
            Section::new(
                s.sh_name.get(),
                s.sh_type.get(),
                offset,
                size,
                s.sh_link.get(),
            )
        });
        return Some((list.collect::<Option<_>>()?, ehdr.e_shstrndx.get().into()));
    }
    let (ehdr, _) = Elf32Ehdr::read_from_prefix(elf).ok()?;
    let table = from(ehdr.e_shoff.get().into())?;
    let count = usize::from(ehdr.e_shnum.get());
    let (table, _) = <[Elf32Shdr]>::ref_from_prefix_with_elems(table, count).ok()?;
    let list = table.iter().map(|s| {
        let (offset, size) = (s.sh_offset.get().into(), s.sh_size.get().into());
        Section::new(
            s.sh_name.get(),
            s.sh_type.get(),
            offset,
            size,
            s.sh_link.get(),
        )
    });
    Some((list.collect::<Option<_>>()?, ehdr.e_shstrndx.get().into()))
}

fn symbols(table: &[u8], wide: bool) -> Option<Vec<Symbol>> {
    if wide {
        let list = <[Elf64Sym]>::ref_from_bytes(table).ok()?.iter();
        let symbol = |s: &Elf64Sym| Symbol {
            name: s.st_name.get(),
            info: s.st_info,
            section: s.st_shndx.get(),
        };
        return Some(list.map(symbol).collect());
    }
    let list = <[Elf32Sym]>::ref_from_bytes(table).ok()?.iter();
    let symbol = |s: &Elf32Sym| Symbol {
        name: s.st_name.get(),
        info: s.st_info,
        section: s.st_shndx.get(),
    };
    Some(list.map(symbol).collect())
}

/// The text at `at`, up to its NUL.
fn c_string(table: &[u8], at: usize) -> Option<&[u8]> {
    table.get(at..)?.split(|&b| b == 0).next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), class in 1u8..3) {
            if bytes.len() > 4 {
                bytes[..5].copy_from_slice(&[0x7f, b'E', b'L', b'F', class]);
            }
            let _ = Module::parse(&Target::I386_PC, "x.mod", &bytes);
            // Tables near the start of the file are tables more often.
            if bytes.len() > 0x40 {
                bytes[0x20..0x30].fill(0);
                bytes[0x20] = 0x30;
                bytes[0x28] = 0x30;
                bytes[0x30] = 2;
                bytes[0x3c] = 2;
                let _ = Module::parse(&Target::I386_PC, "x.mod", &bytes);
            }
        }
    }
}

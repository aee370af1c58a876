//! kernel.img of a UEFI platform, linked at its place in the PE image.
//!
//! The file is relocatable (ELF64 `ET_REL`). Its sections are laid out as grub-mkimage does it: code,
//! then data, then `.bss` as zeros, code and the whole each padded to 4096 bytes, all of it behind a
//! header of 4096 bytes. Every address is then known but for the base that firmware loads the image at:
//! a 64-bit absolute address is noted for a base relocation, which adds it.

use zerocopy::FromBytes;

use super::EfiArch;
use super::disk::{Elf64Ehdr, Elf64Rela, Elf64Shdr, Elf64Sym};
use super::relocate::{self, Applied};
use crate::grub::GrubError;
use crate::grub::platform::KERNEL_IMG;
use crate::units::{index, index32};

/// Alignment of sections in memory and in the file, and the size of the headers.
pub(super) const ALIGN: u64 = 4096;
/// No kernel.img is larger; it keeps every address below in 32 bits.
const SIZE_MAX: u64 = 16 << 20;

const ELFCLASS64_LSB: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const ET_REL: u16 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_RELA: u32 = 4;
const SHT_NOBITS: u32 = 8;
const SHT_REL: u32 = 9;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const SHN_UNDEF: u16 = 0;
const SHN_ABS: u16 = 0xfff1;

/// A linked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// From [`ALIGN`] on, a multiple of it.
    pub(super) image: Vec<u8>,
    /// Bytes of it that are code.
    pub(super) code: u64,
    /// Address of the first instruction.
    pub(super) entry: u64,
    /// Addresses of 64-bit absolute addresses, in the order of kernel.img's relocations.
    pub(super) absolute: Vec<u64>,
}

/// What is wrong, in kernel.img.
pub(super) struct Fault {
    arch: EfiArch,
}

impl Fault {
    pub(super) fn new(arch: EfiArch) -> Self {
        Self { arch }
    }

    pub(super) fn at(&self, field: &'static str, found: String, wanted: &str) -> GrubError {
        GrubError::Format {
            file: self.arch.target().path(KERNEL_IMG),
            field,
            found,
            wanted: wanted.to_owned(),
        }
    }
}

/// Links the file `elf`.
pub(super) fn link(arch: EfiArch, elf: &[u8]) -> Result<Kernel, GrubError> {
    let file = Elf::parse(arch, elf)?;
    let layout = Layout::of(&file)?;
    let mut image = vec![0; index(layout.size)];
    for (section, address) in file.sections.iter().zip(&layout.addresses) {
        let Some(address) = address else { continue };
        if section.sh_type.get() != SHT_NOBITS {
            let data = file.data(section)?;
            let from = index(address - ALIGN);
            image[from..from + data.len()].copy_from_slice(data);
        }
    }
    let symbols = Symbols::of(&file, &layout)?;
    let mut absolute = Vec::new();
    for section in &file.sections {
        match section.sh_type.get() {
            SHT_RELA => {}
            SHT_REL => {
                return Err(file
                    .fault()
                    .at("Elf64_Shdr.sh_type", "SHT_REL".into(), "SHT_RELA"));
            }
            _ => continue,
        }
        let target = index32(section.sh_info.get());
        let Some(Some(base)) = layout.addresses.get(target) else {
            continue;
        };
        let limit = file.sections[target].sh_size.get();
        let data = file.data(section)?;
        let (relocations, _) = <[Elf64Rela]>::ref_from_prefix_with_elems(data, data.len() / 24)
            .expect("a slice holds as many as its length says");
        for r in relocations {
            let offset = r.r_offset.get();
            let symbol = symbols.value(&file, r.r_sym.get())?;
            let from = index(base - ALIGN);
            let place = &mut image[from..from + index(limit)];
            let place = place.get_mut(index(offset)..).unwrap_or_default();
            let value = symbol.wrapping_add(r.r_addend.get());
            let address = base.wrapping_add(offset);
            match relocate::apply(arch, r.r_type.get(), place, value, address) {
                Ok(Applied::Relative) => {}
                Ok(Applied::Absolute) => absolute.push(address),
                Err(why) => {
                    let found = format!("type {} at {address:#x} {why}", r.r_type);
                    return Err(file.fault().at(
                        "Elf64_Rela",
                        found,
                        "one that grub-mkimage knows",
                    ));
                }
            }
        }
    }
    Ok(Kernel {
        image,
        code: layout.code,
        entry: symbols.entry,
        absolute,
    })
}

/// kernel.img with its section table read.
struct Elf<'a> {
    arch: EfiArch,
    bytes: &'a [u8],
    sections: Vec<Elf64Shdr>,
}

impl<'a> Elf<'a> {
    fn parse(arch: EfiArch, bytes: &'a [u8]) -> Result<Self, GrubError> {
        let fault = Fault::new(arch);
        let Ok((ehdr, _)) = Elf64Ehdr::read_from_prefix(bytes) else {
            let found = bytes.len().to_string();
            return Err(fault.at("length", found, "at least 64 bytes of Elf64_Ehdr"));
        };
        let ident = &ehdr.e_ident[..ELFCLASS64_LSB.len()];
        if ident != ELFCLASS64_LSB {
            let found = format!("{ident:02x?}");
            return Err(fault.at("Elf64_Ehdr.e_ident", found, "that of 64-bit LSB ELF"));
        }
        // EM_X86_64 and EM_AARCH64.
        let machine = match arch {
            EfiArch::X86_64 => 62,
            EfiArch::Arm64 => 183,
        };
        for (field, found, wanted) in [
            ("Elf64_Ehdr.e_type", ehdr.e_type.get(), ET_REL),
            ("Elf64_Ehdr.e_machine", ehdr.e_machine.get(), machine),
            ("Elf64_Ehdr.e_shentsize", ehdr.e_shentsize.get(), 64),
        ] {
            if found != wanted {
                return Err(fault.at(field, found.to_string(), &wanted.to_string()));
            }
        }
        let sections = usize::from(ehdr.e_shnum.get());
        let table = usize::try_from(ehdr.e_shoff.get()).ok();
        let table = table
            .and_then(|at| bytes.get(at..))
            .and_then(|t| <[Elf64Shdr]>::ref_from_prefix_with_elems(t, sections).ok());
        match table {
            Some((table, _)) => Ok(Self {
                arch,
                bytes,
                sections: table.to_vec(),
            }),
            None => {
                let found = format!("{:#x} with {sections} sections", ehdr.e_shoff);
                Err(fault.at("Elf64_Ehdr.e_shoff", found, "inside the file"))
            }
        }
    }

    fn fault(&self) -> Fault {
        Fault::new(self.arch)
    }

    fn data(&self, section: &Elf64Shdr) -> Result<&'a [u8], GrubError> {
        let (offset, size) = (section.sh_offset.get(), section.sh_size.get());
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        let end = range.and_then(|(at, len)| at.checked_add(len));
        let data = range
            .zip(end)
            .and_then(|((at, _), end)| self.bytes.get(at..end));
        data.ok_or_else(|| {
            let found = format!("{offset:#x} with sh_size {size:#x}");
            self.fault()
                .at("Elf64_Shdr.sh_offset", found, "inside the file")
        })
    }
}

/// Which section goes where.
struct Layout {
    /// By section; `None` for those that are not part of the image.
    addresses: Vec<Option<u64>>,
    code: u64,
    size: u64,
    bss: u64,
    end: u64,
}

impl Layout {
    fn of(file: &Elf<'_>) -> Result<Self, GrubError> {
        let mut addresses = vec![None; file.sections.len()];
        let mut end = ALIGN;
        let mut place = |wanted: fn(u64, u32) -> bool, end: &mut u64| {
            for (section, address) in file.sections.iter().zip(&mut addresses) {
                if !wanted(section.sh_flags.get(), section.sh_type.get()) {
                    continue;
                }
                let align = section.sh_addralign.get().max(1);
                let too_large = || {
                    let found = format!("{:#x} with sh_addralign {align:#x}", section.sh_size);
                    file.fault()
                        .at("Elf64_Shdr.sh_size", found, "in an image of at most 16 MiB")
                };
                let at = end.checked_next_multiple_of(align).ok_or_else(too_large)?;
                let stop = at.checked_add(section.sh_size.get());
                *end = stop.filter(|&e| e <= SIZE_MAX).ok_or_else(too_large)?;
                *address = Some(at);
            }
            Ok::<(), GrubError>(())
        };
        place(
            |flags, _| flags & (SHF_ALLOC | SHF_EXECINSTR) == SHF_ALLOC | SHF_EXECINSTR,
            &mut end,
        )?;
        end = end.next_multiple_of(ALIGN);
        let code = end - ALIGN;
        place(
            |flags, kind| flags & (SHF_ALLOC | SHF_EXECINSTR) == SHF_ALLOC && kind != SHT_NOBITS,
            &mut end,
        )?;
        let bss = end;
        place(
            |flags, kind| flags & (SHF_ALLOC | SHF_EXECINSTR) == SHF_ALLOC && kind == SHT_NOBITS,
            &mut end,
        )?;
        Ok(Self {
            addresses,
            code,
            size: end.next_multiple_of(ALIGN) - ALIGN,
            bss,
            end,
        })
    }
}

/// Addresses of the symbols.
struct Symbols {
    values: Vec<u64>,
    entry: u64,
}

impl Symbols {
    fn of(file: &Elf<'_>, layout: &Layout) -> Result<Self, GrubError> {
        let fault = file.fault();
        let table = file.sections.iter().find(|s| s.sh_type.get() == SHT_SYMTAB);
        let Some(table) = table else {
            return Err(fault.at("section table", "without SHT_SYMTAB".into(), "with symbols"));
        };
        let names = file.sections.get(index32(table.sh_link.get()));
        let names = names.map_or(Ok(&[][..]), |s| file.data(s))?;
        let data = file.data(table)?;
        let (symbols, _) = <[Elf64Sym]>::ref_from_prefix_with_elems(data, data.len() / 24)
            .expect("a slice holds as many as its length says");
        let mut entry = None;
        let mut values = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let name = names
                .get(index32(symbol.st_name.get())..)
                .unwrap_or_default();
            let name = name.split(|&b| b == 0).next().unwrap_or_default();
            let section = symbol.st_shndx.get();
            let value = match section {
                SHN_ABS => symbol.st_value.get(),
                SHN_UNDEF => match name {
                    b"" => 0,
                    b"__bss_start" => layout.bss,
                    b"_end" => layout.end,
                    _ => {
                        let name = String::from_utf8_lossy(name);
                        return Err(fault.at("Elf64_Sym", format!("`{name}`"), "defined"));
                    }
                },
                _ => match layout.addresses.get(usize::from(section)) {
                    Some(base) => base.unwrap_or(0).wrapping_add(symbol.st_value.get()),
                    None => {
                        let found = section.to_string();
                        return Err(fault.at("Elf64_Sym.st_shndx", found, "a section"));
                    }
                },
            };
            if entry.is_none() && (name == b"_start" || name == b"start") {
                entry = Some(value);
            }
            values.push(value);
        }
        match entry.filter(|&e| e >= ALIGN && e < ALIGN + layout.code) {
            Some(entry) => Ok(Self { values, entry }),
            None => Err(fault.at("symbol _start", "absent".into(), "in the code")),
        }
    }

    fn value(&self, file: &Elf<'_>, number: u32) -> Result<u64, GrubError> {
        self.values.get(index32(number)).copied().ok_or_else(|| {
            let wanted = format!("below {}", self.values.len());
            file.fault()
                .at("Elf64_Rela.r_info", number.to_string(), &wanted)
        })
    }
}

//! The prefix that a UEFI loader was built with: `/EFI/debian` in Debian's, `/EFI/ubuntu` in Ubuntu's.
//!
//! It is the `PREFIX` object of the module area, which lies in the PE section called `mods`.

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::disk::{CoffHeader, LFANEW, PE_MAGIC, SectionHeader};
use crate::grub::GrubError;
use crate::grub::disk::{MODULE_MAGIC, ModuleHeader, ModuleInfo64, OBJ_TYPE_PREFIX};
use crate::units::{index, index32};

/// Field, what is there, what has to be: of a file that is no GRUB for UEFI.
type Fault = (&'static str, String, String);

/// The prefix built into the UEFI loader `efi`, signed or not, called `name` in errors; `None` when it
/// has none.
pub(super) fn built_in(name: &str, efi: &[u8]) -> Result<Option<String>, GrubError> {
    find(efi).map_err(|(field, found, wanted)| GrubError::Format {
        file: name.to_owned(),
        field,
        found,
        wanted,
    })
}

fn find(efi: &[u8]) -> Result<Option<String>, Fault> {
    let mods = mods_section(efi)?;
    let bad = |field, found: String, wanted: &str| Err((field, found, wanted.to_owned()));
    let Ok((info, _)) = ModuleInfo64::read_from_prefix(mods) else {
        return bad(
            "section `mods`",
            format!("{} bytes", mods.len()),
            "at least 24",
        );
    };
    if info.magic.get() != MODULE_MAGIC {
        return bad(
            "grub_module_info64.magic",
            format!("{:#x}", info.magic),
            "0x676d696d",
        );
    }
    let end = index(info.size.get()).min(mods.len());
    let mut at = index(info.offset.get());
    while let Some((header, data)) = mods
        .get(at..end)
        .and_then(|rest| ModuleHeader::read_from_prefix(rest).ok())
    {
        let size = index32(header.size.get());
        let Some(len) = size
            .checked_sub(size_of::<ModuleHeader>())
            .filter(|&n| n <= data.len())
        else {
            return bad(
                "grub_module_header.size",
                size.to_string(),
                "8 or more, inside `mods`",
            );
        };
        if header.kind.get() == OBJ_TYPE_PREFIX {
            let text = data[..len].split(|&b| b == 0).next().unwrap_or_default();
            let text = std::str::from_utf8(text).ok();
            let sane = text.filter(|t| {
                !t.contains(|c: char| c.is_control() || c == '\\') && !t.contains("..")
            });
            return match sane {
                Some(text) => Ok(Some(text.to_owned())),
                None => bad("prefix", format!("{:02x?}", &data[..len.min(16)]), "a path"),
            };
        }
        at += size;
    }
    Ok(None)
}

/// The bytes of the section `mods`.
fn mods_section(efi: &[u8]) -> Result<&[u8], Fault> {
    let bad = |field, found: String, wanted: &str| Err((field, found, wanted.to_owned()));
    let lfanew = efi
        .get(LFANEW..LFANEW + 4)
        .and_then(|b| U32::read_from_bytes(b).ok());
    let coff = lfanew.map(|n| index32(n.get()));
    let pe = coff
        .and_then(|n| efi.get(n..))
        .filter(|pe| pe.starts_with(&PE_MAGIC));
    let Some((header, rest)) =
        pe.and_then(|pe| CoffHeader::read_from_prefix(&pe[PE_MAGIC.len()..]).ok())
    else {
        return bad(
            "PE header",
            "absent".to_owned(),
            "at the offset that byte 0x3c names",
        );
    };
    let table = rest
        .get(usize::from(header.optional_header_size.get())..)
        .unwrap_or_default();
    let sections = usize::from(header.num_sections.get());
    let Ok((table, _)) = <[SectionHeader]>::ref_from_prefix_with_elems(table, sections) else {
        return bad(
            "section table",
            format!("{sections} sections"),
            "inside the file",
        );
    };
    let Some(mods) = table.iter().find(|s| &s.name == b"mods\0\0\0\0") else {
        return bad("section table", "without `mods`".to_owned(), "GRUB's");
    };
    let start = index32(mods.raw_data_offset.get());
    let data = efi.get(start..).unwrap_or_default();
    Ok(&data[..data.len().min(index32(mods.raw_data_size.get()))])
}

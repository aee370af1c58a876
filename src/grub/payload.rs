//! What core.img's LZMA stream decodes to: GRUB's kernel and what it finds behind itself.
//!
//! ```text
//! kernel image (`elf`) | grub_module_info32 | object | object | …
//!                        no alignment         grub_module_header, data, zeros to 4 bytes
//! ```
//!
//! Objects, in this order: the modules, each behind those it depends on; CONFIG, if there is one;
//! PREFIX.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::disk::{
    MODULE_MAGIC, ModuleHeader, ModuleInfo32, OBJ_TYPE_CONFIG, OBJ_TYPE_ELF, OBJ_TYPE_PREFIX, VOIDP,
};
use super::platform::{Files, KERNEL_IMG, MODDEP_LST, file};
use super::{GrubError, elf, modules};
use crate::units::count;

/// Kernel image and module area.
pub(crate) fn payload(
    files: &Files,
    prefix: &str,
    wanted: &[&str],
    config: Option<&str>,
) -> Result<Vec<u8>, GrubError> {
    let moddep = String::from_utf8_lossy(file(files, MODDEP_LST)?);
    let mut area = Vec::new();
    for module in modules::load_order(&moddep, wanted)? {
        let name = format!("{module}.mod");
        let data = file(files, &name)?;
        if !data.starts_with(b"\x7fELF") {
            let found = format!("{:02x?}", &data[..data.len().min(4)]);
            let wanted = "that of ELF".to_owned();
            return Err(GrubError::Format {
                file: name,
                field: "magic",
                found,
                wanted,
            });
        }
        push_object(&mut area, OBJ_TYPE_ELF, data)?;
    }
    if let Some(config) = config {
        push_object(
            &mut area,
            OBJ_TYPE_CONFIG,
            &c_string("config of core.img", config)?,
        )?;
    }
    push_object(
        &mut area,
        OBJ_TYPE_PREFIX,
        &c_string("prefix of core.img", prefix)?,
    )?;

    let info = ModuleInfo32 {
        magic: U32::new(MODULE_MAGIC),
        offset: U32::new(12),
        size: U32::new(fits_32(size_of::<ModuleInfo32>() + area.len())?),
    };
    let kernel = elf::kernel_image(file(files, KERNEL_IMG)?)?;
    let payload = [kernel.as_slice(), info.as_bytes(), &area].concat();
    fits_32(payload.len())?;
    Ok(payload)
}

fn push_object(area: &mut Vec<u8>, kind: u32, data: &[u8]) -> Result<(), GrubError> {
    let padded = data.len().next_multiple_of(VOIDP);
    let size = fits_32(size_of::<ModuleHeader>() + padded)?;
    let header = ModuleHeader {
        kind: U32::new(kind),
        size: U32::new(size),
    };
    area.extend_from_slice(header.as_bytes());
    area.extend_from_slice(data);
    area.resize(area.len() + (padded - data.len()), 0);
    Ok(())
}

/// A text with its NUL.
fn c_string(what: &'static str, text: &str) -> Result<Vec<u8>, GrubError> {
    if text.contains('\0') {
        return Err(GrubError::Text {
            what,
            value: text.to_owned(),
            why: "contains a NUL",
        });
    }
    Ok([text.as_bytes(), b"\0"].concat())
}

fn fits_32(size: usize) -> Result<u32, GrubError> {
    u32::try_from(size).map_err(|_| GrubError::TooLarge {
        what: "the module area",
        size: count(size),
        limit: u64::from(u32::MAX),
        advice: "build fewer modules into core.img",
    })
}

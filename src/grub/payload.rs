//! What core.img's LZMA stream decodes to: GRUB's kernel and what it finds behind itself.
//!
//! ```text
//! kernel image (`elf`) | grub_module_info32 | object | object | …
//!                        no alignment         grub_module_header, data, zeros to 4 bytes
//! ```
//!
//! The module area of a UEFI loader is the same with 64-bit fields (`grub_module_info64`), objects padded
//! to 8 bytes, in a section of its own.
//!
//! Objects, in this order: the modules, each behind those it depends on; CONFIG, if there is one;
//! PREFIX.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::disk::{
    MODULE_MAGIC, ModuleHeader, ModuleInfo32, ModuleInfo64, OBJ_TYPE_CONFIG, OBJ_TYPE_ELF,
    OBJ_TYPE_PREFIX,
};
use super::platform::{Files, KERNEL_IMG, MODDEP_LST, Target};
use super::{GrubError, elf, modules};
use crate::units::count;

/// Kernel image and module area.
pub(crate) fn payload(
    files: &Files,
    prefix: &str,
    wanted: &[&str],
    config: Option<&str>,
) -> Result<Vec<u8>, GrubError> {
    let target = &Target::I386_PC;
    let area = module_area(target, files, prefix, wanted, config)?;
    let kernel = elf::kernel_image(target.file(files, KERNEL_IMG)?)?;
    let payload = [kernel, area].concat();
    fits_32(payload.len())?;
    Ok(payload)
}

/// What lies behind GRUB's kernel: modules in load order, `config`, `prefix`.
pub(crate) fn module_area(
    target: &Target,
    files: &Files,
    prefix: &str,
    wanted: &[&str],
    config: Option<&str>,
) -> Result<Vec<u8>, GrubError> {
    let moddep = String::from_utf8_lossy(target.file(files, MODDEP_LST)?);
    let mut objects = Vec::new();
    for module in modules::load_order(&moddep, wanted)? {
        let name = format!("{module}.mod");
        let data = target.file(files, &name)?;
        if !data.starts_with(b"\x7fELF") {
            let found = format!("{:02x?}", &data[..data.len().min(4)]);
            let wanted = "that of ELF".to_owned();
            return Err(GrubError::Format {
                file: target.path(&name),
                field: "magic",
                found,
                wanted,
            });
        }
        push_object(&mut objects, target, OBJ_TYPE_ELF, data)?;
    }
    if let Some(config) = config {
        let text = c_string("config of the core image", config)?;
        push_object(&mut objects, target, OBJ_TYPE_CONFIG, &text)?;
    }
    let text = c_string("prefix of the core image", prefix)?;
    push_object(&mut objects, target, OBJ_TYPE_PREFIX, &text)?;

    if target.voidp == 4 {
        let info = ModuleInfo32 {
            magic: U32::new(MODULE_MAGIC),
            offset: U32::new(12),
            size: U32::new(fits_32(size_of::<ModuleInfo32>() + objects.len())?),
        };
        return Ok([info.as_bytes(), &objects].concat());
    }
    let info = ModuleInfo64 {
        magic: U32::new(MODULE_MAGIC),
        padding: U32::ZERO,
        offset: U64::new(24),
        size: U64::new(count(size_of::<ModuleInfo64>() + objects.len())),
    };
    Ok([info.as_bytes(), &objects].concat())
}

fn push_object(
    area: &mut Vec<u8>,
    target: &Target,
    kind: u32,
    data: &[u8],
) -> Result<(), GrubError> {
    let padded = data.len().next_multiple_of(target.voidp);
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

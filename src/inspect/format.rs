//! What a file is that should be a disk image.

use crate::archive::{Compression, LOOKS_AT, Looks, looks};
use crate::read_at::ReadAt;
use crate::units::{count, index};
use crate::vdisk::{Format, Opened};
use std::io;

/// How the footer of a VHD begins, and its length: Microsoft's specification of the format.
const VHD_COOKIE: &[u8; 8] = b"conectix";
const VHD_FOOTER: u64 = 512;

/// What `file` is, if it is known not to be the plain bytes of a disk.
///
/// # Errors
/// When it cannot be read.
pub fn not_raw(file: &dyn ReadAt) -> io::Result<Option<&'static str>> {
    let mut head = vec![0; index(file.len().min(count(LOOKS_AT)))];
    file.read_exact_at(0, &mut head)?;
    Ok(match looks(&head) {
        Looks::Archive(Compression::None) => Some("a tar archive"),
        Looks::Archive(Compression::Gzip) => Some("a gzip file"),
        Looks::Archive(Compression::Zstd) => Some("a zstd file"),
        Looks::Archive(Compression::Xz) => Some("an xz file"),
        Looks::Archive(Compression::Bzip2) => Some("a bzip2 file"),
        Looks::Foreign(name) => Some(name),
        Looks::RawDisk | Looks::Unknown => is_fixed_vhd(file)?.then_some("a VHD of fixed size"),
    })
}

/// What an image holds that is taken for the bytes of a disk, compressed or not, and is known to be something else.
///
/// # Errors
/// When it cannot be read.
pub fn not_disk(opened: &Opened) -> io::Result<Option<&'static str>> {
    match opened.format {
        Format::Raw | Format::RawZst | Format::RawGz => not_raw(&*opened.disk),
        Format::Qcow2 | Format::Vmdk | Format::Vhd | Format::VhdFixed => Ok(None),
    }
}

/// Whether it is a VHD of fixed size: a raw disk with a footer, by which the disk would have another size.
///
/// # Errors
/// When it cannot be read.
pub fn is_fixed_vhd(file: &dyn ReadAt) -> io::Result<bool> {
    let Some(at) = file.len().checked_sub(VHD_FOOTER) else {
        return Ok(false);
    };
    let mut cookie = [0; VHD_COOKIE.len()];
    file.read_exact_at(at, &mut cookie)?;
    Ok(&cookie == VHD_COOKIE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_disk_is_named() {
        for (at, magic, name) in [
            (0, &b"QFI\xfb"[..], "a qcow2 disk image"),
            (0, b"KDMV", "a VMDK disk image"),
            (64, b"\x7f\x10\xda\xbe", "a VDI disk image"),
            (0, b"\x1f\x8b", "a gzip file"),
            (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
            (3584, b"conectix", "a VHD of fixed size"),
        ] {
            let mut file = vec![0; 4096];
            file[at..at + magic.len()].copy_from_slice(magic);
            assert_eq!(not_raw(&file).unwrap(), Some(name));
        }
        for len in [0, 1, 511, 512, 4096] {
            assert_eq!(not_raw(&vec![0; len]).unwrap(), None);
        }
    }
}

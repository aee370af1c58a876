//! What a file is that should be a disk image, told by its magic numbers.

use crate::read_at::ReadAt;
use std::io;

/// Magic numbers at the beginning: of QEMU's `docs/interop/qcow2.rst`, the VHDX and VMDK specifications, RFC 1952,
/// RFC 8878, and of the formats' own documents.
const MAGIC: &[(u64, &[u8], &str)] = &[
    (0, b"QFI\xfb", "a qcow2 image"),
    (0, b"conectix", "a VHD image"),
    (0, b"vhdxfile", "a VHDX image"),
    (0, b"KDMV", "a VMDK image"),
    (0, b"# Disk DescriptorFile", "a VMDK descriptor"),
    (64, b"\x7f\x10\xda\xbe", "a VDI image"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (0, b"\xfd7zXZ\0", "an xz file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file"),
    (0, b"PK\x03\x04", "a zip file"),
    (257, b"ustar", "a tar archive"),
];

/// What `file` is, if it is known not to be the plain bytes of a disk.
///
/// # Errors
/// When it cannot be read.
pub fn not_raw(file: &dyn ReadAt) -> io::Result<Option<&'static str>> {
    // A tar with an ext4 superblock in its first member would be odd, a disk with `ustar` at byte 257 odder.
    for (at, magic, name) in MAGIC {
        if has(file, *at, magic)? {
            return Ok(Some(name));
        }
    }
    // A fixed VHD is a raw image with a footer of 512 bytes: the disk would have another size.
    let footer = file.len().saturating_sub(512);
    Ok(has(file, footer, b"conectix")?.then_some("a VHD image of fixed size"))
}

fn has(file: &dyn ReadAt, at: u64, magic: &[u8]) -> io::Result<bool> {
    let mut seen = vec![0; magic.len()];
    if at + crate::units::count(magic.len()) > file.len() {
        return Ok(false);
    }
    file.read_exact_at(at, &mut seen)?;
    Ok(seen == magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_disk_is_named() {
        for (at, magic, name) in MAGIC {
            let mut file = vec![0; 4096];
            let start = usize::try_from(*at).unwrap();
            file[start..start + magic.len()].copy_from_slice(magic);
            assert_eq!(not_raw(&file).unwrap(), Some(*name));
        }
        let mut fixed = vec![0; 4096];
        fixed[3584..3592].copy_from_slice(b"conectix");
        assert_eq!(not_raw(&fixed).unwrap(), Some("a VHD image of fixed size"));
        for len in [0, 1, 511, 512, 4096] {
            assert_eq!(not_raw(&vec![0; len]).unwrap(), None);
        }
    }
}

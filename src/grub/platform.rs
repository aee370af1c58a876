//! The platforms of GRUB and the files of their folders in `/usr/lib/grub`: which ones the loader is made
//! of, which ones GRUB loads from `/boot/grub/i386-pc` at run time.

use std::collections::BTreeMap;

use super::GrubError;

/// Files of a platform folder by name; those that nobody asks for may be left out.
pub type Files = BTreeMap<String, Vec<u8>>;

/// First sector of the disk.
pub(crate) const BOOT_IMG: &str = "boot.img";
/// First sector of core.img.
pub(crate) const DISKBOOT_IMG: &str = "diskboot.img";
/// Decompressor and Reed-Solomon decoder.
pub(crate) const LZMA_DECOMPRESS_IMG: &str = "lzma_decompress.img";
/// GRUB itself, an ELF file.
pub(crate) const KERNEL_IMG: &str = "kernel.img";
/// Which module depends on which.
pub(crate) const MODDEP_LST: &str = "moddep.lst";

/// Whether boot.img or core.img may be made of the file: what a caller has to read into [`Files`].
#[must_use]
pub fn is_core_input(name: &str) -> bool {
    [
        BOOT_IMG,
        DISKBOOT_IMG,
        LZMA_DECOMPRESS_IMG,
        KERNEL_IMG,
        MODDEP_LST,
    ]
    .contains(&name)
        || name.ends_with(".mod")
}

/// Whether the file belongs in `/boot/grub/i386-pc`: modules and their lists.
///
/// grub-install leaves copies of boot.img and core.img there as well. They are left out: nothing
/// reads them at boot, and grub-pc's postinst takes a core.img there for a disk that it manages and
/// exits with 1 on an upgrade where debconf names no device.
#[must_use]
pub fn is_module_file(name: &str) -> bool {
    name.ends_with(".mod") || name.ends_with(".lst")
}

/// What differs between the platforms that GRUB is built for.
#[derive(Debug)]
pub(crate) struct Target {
    /// GRUB's name of it, and of its folder.
    pub(crate) name: &'static str,
    /// Debian's package with that folder.
    pub(crate) package: &'static str,
    /// `sizeof (void *)`: objects of the module area are padded to it.
    pub(crate) voidp: usize,
}

impl Target {
    /// PCs with a BIOS.
    pub(crate) const I386_PC: Self = Self {
        name: "i386-pc",
        package: "grub-pc-bin",
        voidp: 4,
    };
    /// UEFI on amd64.
    pub(crate) const X86_64_EFI: Self = Self {
        name: "x86_64-efi",
        package: "grub-efi-amd64-bin",
        voidp: 8,
    };
    /// UEFI on arm64.
    pub(crate) const ARM64_EFI: Self = Self {
        name: "arm64-efi",
        package: "grub-efi-arm64-bin",
        voidp: 8,
    };

    /// A file of the platform's folder, for messages.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    /// The bytes of a file that is known by its path below `/usr/lib`.
    pub(crate) fn below_lib<'a>(
        &self,
        files: &'a Files,
        path: &str,
    ) -> Result<&'a [u8], GrubError> {
        let found = files.get(path).map(Vec::as_slice);
        found.ok_or_else(|| GrubError::MissingFile {
            file: path.to_owned(),
            package: self.package,
        })
    }

    /// The bytes of `name` in the platform's folder.
    pub(crate) fn file<'a>(&self, files: &'a Files, name: &str) -> Result<&'a [u8], GrubError> {
        let found = files.get(name).map(Vec::as_slice);
        found.ok_or_else(|| GrubError::MissingFile {
            file: self.path(name),
            package: self.package,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_lists_are_copied_images_are_not() {
        for name in ["ext2.mod", "moddep.lst", "fs.lst"] {
            assert!(is_module_file(name), "{name}");
        }
        for name in [
            "boot.img",
            "core.img",
            "kernel.img",
            "grub-bios-setup",
            "modinfo.sh",
        ] {
            assert!(!is_module_file(name), "{name}");
        }
    }

    #[test]
    fn a_missing_file_names_the_package_to_add() {
        let err = Target::I386_PC
            .file(&Files::new(), "boot.img")
            .unwrap_err()
            .to_string();
        assert!(
            err.contains("boot.img") && err.contains("grub-pc-bin"),
            "{err}"
        );
    }
}

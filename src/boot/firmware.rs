//! Where distributions put UEFI firmware for qemu.

use super::{Arch, BootError};
use std::path::{Path, PathBuf};

/// Firmware in two flash chips: code, and the variables it begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flash {
    pub(super) code: PathBuf,
    pub(super) vars: PathBuf,
}

/// Code and variables, in the order in which they are looked for. Those of Homebrew and of qemu's own
/// tarball have no folder here: it lies beside qemu.
const X86_64: &[(&str, &str)] = &[
    // Debian, Ubuntu.
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
    // Fedora, CentOS.
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
    // Arch.
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
    // openSUSE.
    (
        "/usr/share/qemu/ovmf-x86_64-4m-code.bin",
        "/usr/share/qemu/ovmf-x86_64-4m-vars.bin",
    ),
    ("edk2-x86_64-code.fd", "edk2-i386-vars.fd"),
];

/// The same with Secure Boot on and Microsoft's keys in the variables. Homebrew has none with keys.
const X86_64_SECURE: &[(&str, &str)] = &[
    (
        "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.secboot.fd",
        "/usr/share/OVMF/OVMF_VARS.ms.fd",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
    ),
    (
        "/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin",
        "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin",
    ),
];

const ARM64: &[(&str, &str)] = &[
    (
        "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
    ),
    (
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
    (
        "/usr/share/edk2/aarch64/QEMU_CODE.fd",
        "/usr/share/edk2/aarch64/QEMU_VARS.fd",
    ),
    (
        "/usr/share/qemu/aavmf-aarch64-code.bin",
        "/usr/share/qemu/aavmf-aarch64-vars.bin",
    ),
    ("edk2-aarch64-code.fd", "edk2-arm-vars.fd"),
];

const ARM64_SECURE: &[(&str, &str)] = &[
    (
        "/usr/share/AAVMF/AAVMF_CODE.ms.fd",
        "/usr/share/AAVMF/AAVMF_VARS.ms.fd",
    ),
    (
        "/usr/share/AAVMF/AAVMF_CODE.secboot.fd",
        "/usr/share/AAVMF/AAVMF_VARS.ms.fd",
    ),
];

/// The code of the UEFI firmware for `arch`, with or without Secure Boot, beside `qemu` or where Debian,
/// Fedora, Arch, openSUSE and Homebrew put it.
///
/// # Errors
/// [`BootError::NoFirmware`], which names the package to install.
pub fn find_firmware(arch: Arch, secure: bool, qemu: &Path) -> Result<PathBuf, BootError> {
    find(arch, secure, qemu).map(|flash| flash.code)
}

/// The firmware for `arch`, beside `qemu` or where distributions put it.
pub(super) fn find(arch: Arch, secure: bool, qemu: &Path) -> Result<Flash, BootError> {
    find_with(arch, secure, qemu, &|path| path.is_file())
}

fn find_with(
    arch: Arch,
    secure: bool,
    qemu: &Path,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<Flash, BootError> {
    let list = match (arch, secure) {
        (Arch::X86_64, false) => X86_64,
        (Arch::X86_64, true) => X86_64_SECURE,
        (Arch::Arm64, false) => ARM64,
        (Arch::Arm64, true) => ARM64_SECURE,
    };
    // bin/qemu-system-x86_64 and share/qemu; an absolute name replaces the folder.
    let share = qemu.parent().unwrap_or(Path::new("")).join("../share/qemu");
    let pairs = list.iter().map(|(code, vars)| Flash {
        code: share.join(code),
        vars: share.join(vars),
    });
    pairs
        .into_iter()
        .find(|flash| exists(&flash.code) && exists(&flash.vars))
        .ok_or(BootError::NoFirmware {
            what: match secure {
                false => "UEFI firmware",
                true => "UEFI firmware with Secure Boot and Microsoft's keys",
            },
            arch,
            packages: match arch {
                Arch::X86_64 => "Debian and Ubuntu have it in the package ovmf, Fedora in edk2-ovmf",
                Arch::Arm64 => {
                    "Debian and Ubuntu have it in the package qemu-efi-aarch64, Fedora in edk2-aarch64"
                }
            },
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(arch: Arch, secure: bool, files: &[&str]) -> Result<Flash, String> {
        let qemu = Path::new("/opt/homebrew/bin/qemu");
        let exists = |path: &Path| files.iter().any(|f| Path::new(f) == path);
        find_with(arch, secure, qemu, &exists).map_err(|e| e.to_string())
    }

    #[test]
    fn firmware_is_found_beside_qemu_and_where_distributions_put_it() {
        let code = "/usr/share/edk2/ovmf/OVMF_CODE.fd";
        let vars = "/usr/share/edk2/ovmf/OVMF_VARS.fd";
        assert_eq!(
            with(Arch::X86_64, false, &[code, vars]).unwrap().code,
            Path::new(code)
        );
        let share = "/opt/homebrew/bin/../share/qemu/";
        let files = ["edk2-aarch64-code.fd", "edk2-arm-vars.fd"].map(|f| format!("{share}{f}"));
        let files = files.each_ref().map(String::as_str);
        assert_eq!(
            with(Arch::Arm64, false, &files).unwrap().vars,
            Path::new(files[1])
        );
    }

    #[test]
    fn code_without_variables_is_none_and_the_error_names_the_package() {
        let error = with(
            Arch::X86_64,
            true,
            &["/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"],
        );
        let error = error.unwrap_err();
        assert!(
            error.contains("Microsoft") && error.contains("package ovmf"),
            "{error}"
        );
        assert!(
            with(Arch::Arm64, false, &[])
                .unwrap_err()
                .contains("qemu-efi-aarch64")
        );
    }
}

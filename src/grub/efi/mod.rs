//! GRUB for UEFI machines: the files of an EFI system partition, written without `grub-install`.
//!
//! ```text
//! EFI/BOOT/BOOTX64.EFI   what firmware starts from a disk that it knows nothing about
//!                        | signed:     shim, which starts grubx64.efi beside it
//!                        | monolithic: GRUB with all modules, as the distribution links it
//!                        | own:        kernel.img and modules, as grub-mkimage links them (`pe`)
//! EFI/debian/grub.cfg    where the loader's built-in prefix points (`prefix`): three lines that find
//!                        the root filesystem and go on with /boot/grub/grub.cfg
//! EFI/BOOT/grub.cfg      the same, for a loader that looks beside itself
//! ```
//!
//! | file | what |
//! |---|---|
//! | `choose` | what can be made of the files that a rootfs has |
//! | `kernel`, `relocate`, `disk` | kernel.img, a relocatable ELF file, linked for its place in the image |
//! | `pe` | core.efi, as `grub-mkimage -O x86_64-efi` and `-O arm64-efi` make it |
//! | `prefix` | the prefix that a loader was built with |

mod choose;
pub(super) mod disk;
mod kernel;
mod pe;
mod prefix;
mod relocate;

pub use choose::{LoaderKind, UefiChoice, choose_uefi, is_uefi_input};
pub use pe::core_efi;

use super::GrubError;
use super::platform::{Files, Target, is_module_file};
use super::root::uuid;
use super::words::forbid;

/// Processor of a UEFI machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EfiArch {
    /// `amd64` in Debian's words.
    X86_64,
    /// `arm64` in Debian's words, AArch64 in ARM's.
    Arm64,
}

impl EfiArch {
    /// What UEFI calls it in file names (UEFI 2.10 §3.5.1.1): `x64`, `aa64`.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::X86_64 => "x64",
            Self::Arm64 => "aa64",
        }
    }

    /// What firmware starts from a disk without an entry of its own in NVRAM: `EFI/BOOT/BOOTX64.EFI`.
    #[must_use]
    pub const fn removable_path(self) -> &'static str {
        match self {
            Self::X86_64 => "EFI/BOOT/BOOTX64.EFI",
            Self::Arm64 => "EFI/BOOT/BOOTAA64.EFI",
        }
    }

    /// GRUB's name of the platform, and of its folder in `/usr/lib/grub`: `x86_64-efi`.
    #[must_use]
    pub const fn platform(self) -> &'static str {
        self.target().name
    }

    pub(crate) const fn target(self) -> &'static Target {
        match self {
            Self::X86_64 => &Target::X86_64_EFI,
            Self::Arm64 => &Target::ARM64_EFI,
        }
    }
}

/// What the loader has to find.
#[derive(Clone, Copy, Debug)]
pub struct UefiSpec<'a> {
    /// Processor.
    pub arch: EfiArch,
    /// UUID of the filesystem with `/boot/grub`.
    pub fs_uuid: &'a str,
    /// Where to look for it first, in GRUB's words: `hd0,gpt1`.
    pub hint: &'a str,
}

/// A file of the EFI system partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspFile {
    /// From the root of the partition, with `/`: `EFI/BOOT/BOOTX64.EFI`.
    pub path: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// What [`uefi`] makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UefiLoader {
    /// Of what it was made.
    pub kind: LoaderKind,
    /// Everything that the EFI system partition holds, sorted by path.
    pub files: Vec<EspFile>,
    /// Files for `/boot/grub/<platform>` on the root filesystem, by name: the modules that our own
    /// core.efi loads, of its build. Empty for the other kinds, which have theirs built in.
    pub modules: Files,
}

/// Modules of our own core.efi, without what they depend on: enough to read both partitions of a disk.
const OWN_MODULES: [&str; 5] = ["part_gpt", "part_msdos", "fat", "ext2", "search_fs_uuid"];

/// The prefix of our own core.efi, until its config has found the root filesystem.
const OWN_PREFIX: &str = "/boot/grub";

/// The files of the EFI system partition, made as `choice` says of the `files` that it lists: those of
/// one place, by their paths below `/usr/lib`.
///
/// # Errors
///
/// A file is missing or of a format that is not GRUB's; a name of the root filesystem cannot be written.
pub fn uefi(
    choice: &UefiChoice,
    files: &Files,
    spec: &UefiSpec<'_>,
) -> Result<UefiLoader, GrubError> {
    let stub = stub(spec)?;
    let target = spec.arch.target();
    let mut esp: Vec<EspFile> = Vec::new();
    let mut add = |path: String, data: Vec<u8>| esp.push(EspFile { path, data });
    let mut modules = Files::new();
    let prefix = match choice.kind() {
        LoaderKind::Signed | LoaderKind::Monolithic => {
            for (path, input) in choice.installed(spec.arch) {
                add(path, target.below_lib(files, input)?.to_vec());
            }
            prefix::built_in(choice.grub(), target.below_lib(files, choice.grub())?)?
        }
        LoaderKind::Own => {
            let folder = format!("grub/{}/", target.name);
            let name = |path: &str| path.strip_prefix(&folder).map(str::to_owned);
            for path in choice.inputs() {
                let bytes = target.below_lib(files, path)?;
                modules.extend(name(path).map(|name| (name, bytes.to_vec())));
            }
            let config = stub.rsplit_once("configfile").map(|(config, _)| config);
            let core = core_efi(spec.arch, &modules, OWN_PREFIX, &OWN_MODULES, config)?;
            modules.retain(|name, _| is_module_file(name));
            add(spec.arch.removable_path().to_owned(), core);
            None
        }
    };
    // GRUB's own FAT driver does not look at case, but a reader of the partition does.
    let folder = prefix.as_deref().and_then(|p| p.strip_prefix("/EFI/"));
    let folder = folder.filter(|f| !f.is_empty() && !f.eq_ignore_ascii_case("BOOT"));
    if let Some(folder) = folder {
        add(format!("EFI/{folder}/grub.cfg"), stub.clone().into_bytes());
    }
    add("EFI/BOOT/grub.cfg".to_owned(), stub.into_bytes());
    esp.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(UefiLoader {
        kind: choice.kind(),
        files: esp,
        modules,
    })
}

/// What finds the root filesystem and goes on with its menu: the file that grub-install writes.
fn stub(spec: &UefiSpec<'_>) -> Result<String, GrubError> {
    let fs_uuid = uuid("filesystem UUID", spec.fs_uuid)?;
    let foreign = |c: char| !c.is_ascii_alphanumeric() && c != ',';
    let why = "is not of the form hd0,gpt1";
    forbid("GRUB device", spec.hint, foreign, why)?;
    let hint = spec.hint;
    Ok(format!(
        "search.fs_uuid {fs_uuid} root {hint}\n\
         set prefix=($root)'/boot/grub'\n\
         configfile $prefix/grub.cfg\n"
    ))
}

//! Which loader the files of one place allow: a rootfs, or a folder like `/usr/lib/grub`.

use std::collections::BTreeSet;

use super::EfiArch;
use crate::grub::platform::is_core_input;

/// Of what a UEFI loader is made. In the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoaderKind {
    /// shim and GRUB as the distribution signed them: boots with Secure Boot and without.
    Signed,
    /// GRUB as the distribution links it, all modules inside, without a signature.
    Monolithic,
    /// Our own core.efi, of kernel.img and modules.
    Own,
}

impl LoaderKind {
    /// Its word in reports: `signed`, `monolithic`, `own`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Monolithic => "monolithic",
            Self::Own => "own",
        }
    }
}

/// A loader that can be made, and of which files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UefiChoice {
    kind: LoaderKind,
    inputs: Vec<String>,
}

/// Where a loader's parts lie below `/usr/lib`.
struct Paths {
    shim: String,
    mok_manager: String,
    signed: String,
    monolithic: String,
    kernel: String,
}

fn paths(arch: EfiArch) -> Paths {
    let (suffix, platform) = (arch.suffix(), arch.platform());
    Paths {
        shim: format!("shim/shim{suffix}.efi.signed"),
        mok_manager: format!("shim/mm{suffix}.efi.signed"),
        signed: format!("grub/{platform}-signed/grub{suffix}.efi.signed"),
        monolithic: format!("grub/{platform}/monolithic/grub{suffix}.efi"),
        kernel: format!("grub/{platform}/kernel.img"),
    }
}

/// Whether a loader may be made of the file at `path`, below `/usr/lib`: what has to be kept while a
/// rootfs is read.
#[must_use]
pub fn is_uefi_input(path: &str) -> bool {
    let Some((folder, name)) = path.rsplit_once('/') else {
        return false;
    };
    match folder {
        // Ubuntu's are symbolic links, to `shimx64.efi.signed.latest` in the end.
        "shim" | "grub/x86_64-efi-signed" | "grub/arm64-efi-signed" => name.contains(".efi.signed"),
        "grub/x86_64-efi/monolithic" => name == "grubx64.efi",
        "grub/arm64-efi/monolithic" => name == "grubaa64.efi",
        "grub/x86_64-efi" | "grub/arm64-efi" => is_core_input(name) || name.ends_with(".lst"),
        _ => false,
    }
}

/// The best loader for `arch` that can be made of the files at `paths`, those of one place, below
/// `/usr/lib`. `None` when there is none.
///
/// fallback (`fbx64.efi`) is never taken: without a boot entry of its own beside it, it resets the machine.
#[must_use]
pub fn choose_uefi(arch: EfiArch, names: &BTreeSet<String>) -> Option<UefiChoice> {
    let p = paths(arch);
    let has = |path: &String| names.contains(path);
    let choice = |kind, inputs| Some(UefiChoice { kind, inputs });
    if has(&p.shim) && has(&p.signed) {
        let mut inputs = vec![p.shim, p.signed];
        if has(&p.mok_manager) {
            inputs.push(p.mok_manager);
        }
        return choice(LoaderKind::Signed, inputs);
    }
    if has(&p.monolithic) {
        return choice(LoaderKind::Monolithic, vec![p.monolithic]);
    }
    if has(&p.kernel) {
        let folder = format!("grub/{}/", arch.platform());
        let below = names.range(folder.clone()..);
        let inputs = below.take_while(|n| n.starts_with(&folder));
        let direct = |n: &&String| is_uefi_input(n) && !n[folder.len()..].contains('/');
        return choice(LoaderKind::Own, inputs.filter(direct).cloned().collect());
    }
    None
}

impl UefiChoice {
    /// Of what the loader is made.
    #[must_use]
    pub fn kind(&self) -> LoaderKind {
        self.kind
    }

    /// Paths below `/usr/lib`, as `shim/shimx64.efi.signed`: what to read for [`super::uefi`].
    #[must_use]
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// The file that is GRUB, of a kind that has one.
    pub(super) fn grub(&self) -> &str {
        match self.kind {
            LoaderKind::Signed => &self.inputs[1],
            LoaderKind::Monolithic | LoaderKind::Own => &self.inputs[0],
        }
    }

    /// Path on the EFI system partition, and the input that goes there.
    pub(super) fn installed(&self, arch: EfiArch) -> Vec<(String, &str)> {
        let suffix = arch.suffix();
        let names = match self.kind {
            LoaderKind::Signed => vec![
                arch.removable_path().to_owned(),
                format!("EFI/BOOT/grub{suffix}.efi"),
                format!("EFI/BOOT/mm{suffix}.efi"),
            ],
            LoaderKind::Monolithic => vec![arch.removable_path().to_owned()],
            LoaderKind::Own => Vec::new(),
        };
        names
            .into_iter()
            .zip(self.inputs.iter().map(String::as_str))
            .collect()
    }
}

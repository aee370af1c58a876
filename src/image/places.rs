//! Where the parts of the boot loader come from: the rootfs, or else a folder like `/usr/lib/grub`.
//!
//! A loader is made of the files of one place: core image and modules of two builds of GRUB do not fit
//! each other. Names are paths below `/usr/lib` in every place (`grub/i386-pc/boot.img`,
//! `shim/shimx64.efi.signed`).

use super::ingest::Ingest;
use super::wanted::{DPKG_INFO, LIB};
use super::{BuildError, wanted};
use crate::grub::{
    EfiArch, Files, LoaderKind, UefiChoice, UefiLoader, UefiSpec, check_module, check_one_build,
    choose_uefi, is_core_input, is_module_file, is_uefi_input, uefi,
};
use crate::tree::{NodeKind, Sorted, Tree};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

/// Folders below `/usr/lib` that are looked into.
const FOLDERS: [&str; 8] = [
    "grub/i386-pc",
    "grub/x86_64-efi",
    "grub/x86_64-efi/monolithic",
    "grub/x86_64-efi-signed",
    "grub/arm64-efi",
    "grub/arm64-efi/monolithic",
    "grub/arm64-efi-signed",
    "shim",
];

/// The folder of GRUB for BIOS machines.
const I386_PC: &str = "grub/i386-pc/";

/// dpkg's lists of the packages with kernel.img and modules.
pub(super) const LISTS: [&str; 3] = [
    "grub-pc-bin.md5sums",
    "grub-efi-amd64-bin.md5sums",
    "grub-efi-arm64-bin.md5sums",
];
/// The list of what `vendor-grub/fetch` fetched.
const MANIFEST: &str = "MANIFEST";

/// All places, the best first.
#[derive(Debug)]
pub(super) struct Places(Vec<Place>);

#[derive(Debug)]
struct Place {
    /// `None` is the rootfs.
    folder: Option<PathBuf>,
    names: BTreeSet<String>,
}

/// Something made of the files of one place.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) made: T,
    /// `the rootfs`, or the folder's path.
    pub(super) from: String,
}

/// The files of `i386-pc` by name.
#[derive(Debug)]
pub(super) struct BiosFiles {
    pub(super) files: Files,
    /// What whoever installed them wrote down about them: see [`check_one_build`].
    pub(super) list: Option<Vec<u8>>,
}

impl Places {
    /// The rootfs and `folders`, each like `/usr/lib/grub`, in this order.
    pub(super) fn find(
        tree: &Tree,
        sorted: &Sorted,
        folders: &[PathBuf],
    ) -> Result<Self, BuildError> {
        let mut list = vec![Place {
            folder: None,
            names: names_in_tree(tree, sorted),
        }];
        for folder in folders {
            list.push(Place {
                names: names_in_folder(folder)?,
                folder: Some(folder.clone()),
            });
        }
        Ok(Self(list))
    }

    /// What the first place that has any loader has: whether one for BIOS machines, and which for UEFI.
    /// A rootfs that carries one is never given another from this host because it was left open.
    pub(super) fn carried(&self, arch: Option<EfiArch>) -> (bool, Option<LoaderKind>) {
        let of = |p: &Place| (p.has_bios(), arch.and_then(|a| p.uefi_kind(a)));
        let mut all = self.0.iter().map(of);
        all.find(|(bios, uefi)| *bios || uefi.is_some())
            .unwrap_or((false, None))
    }

    /// Whether there is a GRUB for BIOS machines.
    pub(super) fn has_bios(&self) -> bool {
        self.0.iter().any(Place::has_bios)
    }

    /// Which loader for UEFI there is, and nothing else: cheap.
    pub(super) fn uefi_kind(&self, arch: EfiArch) -> Option<LoaderKind> {
        self.uefi_choice(arch).map(|(_, choice)| choice.kind())
    }

    /// The files for BIOS machines, of the first place that has any.
    pub(super) fn bios(
        &self,
        ingest: &mut Ingest<'_>,
    ) -> Result<Option<Found<BiosFiles>>, BuildError> {
        let Some(place) = self.0.iter().find(|p| p.has_bios()) else {
            return Ok(None);
        };
        let mut files = Files::new();
        for path in place.bios_names() {
            let name = &path[I386_PC.len()..];
            let bytes = place.read(ingest, path)?;
            if name.ends_with(".mod") {
                check_module(name, &bytes)?;
            }
            files.insert(name.to_owned(), bytes);
        }
        let list = place.list(ingest, None)?;
        Ok(Some(place.found(BiosFiles { files, list })))
    }

    /// What goes to the EFI system partition, of the first place that has a loader for `spec.arch`.
    pub(super) fn uefi(
        &self,
        ingest: &mut Ingest<'_>,
        spec: &UefiSpec<'_>,
    ) -> Result<Option<Found<UefiLoader>>, BuildError> {
        let Some((place, choice)) = self.uefi_choice(spec.arch) else {
            return Ok(None);
        };
        let mut files = Files::new();
        for path in choice.inputs() {
            files.insert(path.clone(), place.read(ingest, path)?);
        }
        let loader = uefi(&choice, &files, spec)?;
        if loader.kind == LoaderKind::Own {
            let folder = format!("grub/{}/", spec.arch.platform());
            let names = files.into_iter();
            let names = names.filter_map(|(n, f)| Some((n.strip_prefix(&folder)?.to_owned(), f)));
            let list = place.list(ingest, Some(spec.arch))?;
            check_one_build(Some(spec.arch), &names.collect(), list.as_deref())?;
        }
        Ok(Some(place.found(loader)))
    }

    fn uefi_choice(&self, arch: EfiArch) -> Option<(&Place, UefiChoice)> {
        self.0
            .iter()
            .find_map(|p| Some((p, choose_uefi(arch, &p.names)?)))
    }
}

impl Place {
    fn bios_names(&self) -> impl Iterator<Item = &str> {
        let below = self.names.range(I386_PC.to_owned()..);
        below
            .map(String::as_str)
            .take_while(|n| n.starts_with(I386_PC))
    }

    fn uefi_kind(&self, arch: EfiArch) -> Option<LoaderKind> {
        choose_uefi(arch, &self.names).map(|choice| choice.kind())
    }

    fn has_bios(&self) -> bool {
        self.bios_names().next().is_some()
    }

    fn found<T>(&self, made: T) -> Found<T> {
        let from = match &self.folder {
            None => "the rootfs".to_owned(),
            Some(folder) => folder.display().to_string(),
        };
        Found { made, from }
    }

    /// What whoever installed GRUB for BIOS machines, or for UEFI on `arch`, wrote down about its files.
    fn list(
        &self,
        ingest: &mut Ingest<'_>,
        arch: Option<EfiArch>,
    ) -> Result<Option<Vec<u8>>, BuildError> {
        let dpkg = LISTS[match arch {
            None => 0,
            Some(EfiArch::X86_64) => 1,
            Some(EfiArch::Arm64) => 2,
        }];
        let Some(folder) = &self.folder else {
            return ingest.read(format!("{DPKG_INFO}/{dpkg}").as_bytes());
        };
        // A folder that is /usr/lib/grub of some root has dpkg's list in the same root.
        let root = folder.ancestors().nth(3);
        let root = root.filter(|_| folder.ends_with("usr/lib/grub"));
        let dpkg = root.map(|root| root.join(DPKG_INFO).join(dpkg));
        for path in [Some(folder.join(MANIFEST)), dpkg].into_iter().flatten() {
            match std::fs::read(&path) {
                Ok(list) => return Ok(Some(list)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(BuildError::GrubFolder { path, source }),
            }
        }
        Ok(None)
    }

    /// A file that [`Self::names`] lists.
    fn read(&self, ingest: &mut Ingest<'_>, name: &str) -> Result<Vec<u8>, BuildError> {
        let Some(folder) = &self.folder else {
            let bytes = ingest.read(format!("{LIB}/{name}").as_bytes())?;
            return Ok(bytes.unwrap_or_default());
        };
        let path = on_host(folder, name);
        let metadata = std::fs::metadata(&path);
        let read = metadata.and_then(|m| {
            if m.len() > wanted::READ_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            std::fs::read(&path)
        });
        let bytes = read.map_err(|source| BuildError::GrubFolder { path, source })?;
        if ingest.asked.inputs {
            let digest = Sha256::digest(&bytes).into();
            ingest.loaders.insert(name.to_owned(), digest);
        }
        Ok(bytes)
    }
}

/// Whether a loader may be made of the file at `path` below `/usr/lib`.
pub(super) fn is_input(path: &str) -> bool {
    match path.strip_prefix(I386_PC) {
        Some(name) => !name.contains('/') && (is_core_input(name) || is_module_file(name)),
        None => is_uefi_input(path),
    }
}

fn names_in_tree(tree: &Tree, sorted: &Sorted) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        let Some(node) = tree.resolve(format!("{LIB}/{folder}").as_bytes()) else {
            continue;
        };
        if !tree.node(node).is_directory() {
            continue;
        }
        for child in tree.children(sorted, node) {
            let Ok(name) = std::str::from_utf8(child.name) else {
                continue;
            };
            let path = format!("{folder}/{name}");
            let target = tree.resolve(format!("{LIB}/{path}").as_bytes());
            if is_input(&path)
                && target.is_some_and(|n| matches!(tree.node(n).kind, NodeKind::File { .. }))
            {
                names.insert(path);
            }
        }
    }
    names
}

/// Where `path`, below `/usr/lib`, lies when `folder` stands for `/usr/lib/grub`.
fn on_host(folder: &Path, path: &str) -> PathBuf {
    match path.strip_prefix("grub/") {
        Some(rest) => folder.join(rest),
        // shim is GRUB's neighbour in /usr/lib; in a folder of its own it lies inside.
        None if folder.join("shim").is_dir() => folder.join(path),
        None => folder.join("..").join(path),
    }
}

/// Whether it is a regular file, or a symbolic link to one.
fn is_file(entry: &DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if !kind.is_symlink() => kind.is_file(),
        _ => entry.path().is_file(),
    }
}

fn names_in_folder(folder: &Path) -> Result<BTreeSet<String>, BuildError> {
    let mut names = BTreeSet::new();
    let failed = |path: &Path, source| BuildError::GrubFolder {
        path: path.to_owned(),
        source,
    };
    std::fs::read_dir(folder).map_err(|e| failed(folder, e))?;
    for inner in FOLDERS {
        let there = on_host(folder, inner);
        let entries = match std::fs::read_dir(&there) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(failed(&there, e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| failed(&there, e))?;
            let name = entry.file_name();
            let path = name.to_str().map(|name| format!("{inner}/{name}"));
            if let Some(path) = path.filter(|p| is_input(p))
                && is_file(&entry)
            {
                names.insert(path);
            }
        }
    }
    Ok(names)
}

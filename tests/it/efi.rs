//! core.efi and the files of an EFI system partition against GRUB's own tools.
//!
//! grub-mkimage proves that core.efi is GRUB's, byte for byte, from the files of two releases and for both
//! processors. Whether firmware starts it is what `efi_boot` proves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::grub::grub_folder;
use crate::tools::{have, stdout};
use diskwright::grub::{self, EfiArch, Files, LoaderKind, UefiSpec};

const UUID: &str = "01234567-89ab-8def-8123-456789abcdef";

/// The files of a platform by name.
fn platform(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.filter(|e| e.path().is_file()).map(|e| {
        let name = e.file_name().into_string().unwrap();
        (name, std::fs::read(e.path()).unwrap())
    });
    files
        .filter(|(name, _)| grub::is_core_input(name))
        .collect()
}

fn mkimage(
    arch: EfiArch,
    folder: &Path,
    prefix: &str,
    modules: &[&str],
    config: Option<&str>,
) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (out, cfg) = (dir.path().join("core.efi"), dir.path().join("load.cfg"));
    let folder = folder.to_str().unwrap();
    let mut args = vec!["-O", arch.platform(), "-d", folder, "-p", prefix];
    args.extend(["-o", out.to_str().unwrap()]);
    if let Some(config) = config {
        std::fs::write(&cfg, config).unwrap();
        args.extend(["-c", cfg.to_str().unwrap()]);
    }
    args.extend(modules);
    stdout("grub-mkimage", &args);
    std::fs::read(out).unwrap()
}

/// The folders of all releases at hand.
fn folders() -> Vec<PathBuf> {
    ["bookworm", "trixie"]
        .into_iter()
        .filter_map(grub_folder)
        .collect()
}

#[test]
fn core_efi_is_grub_mkimages_byte_for_byte() {
    if !have("grub-mkimage") {
        return;
    }
    let load = "search.fs_uuid 01234567 root hd0,gpt1\nset prefix=($root)'/boot/grub'\n";
    let cases: [(&str, &[&str], Option<&str>); 3] = [
        ("/EFI/debian", &["part_gpt", "fat", "ext2", "normal"], None),
        (
            "/boot/grub",
            &["part_gpt", "part_msdos", "fat", "ext2", "search_fs_uuid"],
            Some(load),
        ),
        (
            "(hd0,gpt1)/x",
            &["linux", "normal", "all_video", "btrfs", "lvm", "zfs"],
            Some("a"),
        ),
    ];
    for root in folders() {
        for arch in [EfiArch::X86_64, EfiArch::Arm64] {
            let folder = root.join(arch.platform());
            let files = platform(&folder);
            for (prefix, modules, config) in cases {
                let ours = grub::core_efi(arch, &files, prefix, modules, config).unwrap();
                let theirs = mkimage(arch, &folder, prefix, modules, config);
                assert_eq!(ours.len(), theirs.len(), "{} {modules:?}", folder.display());
                let differs = ours.iter().zip(&theirs).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{} {modules:?}", folder.display());
            }
        }
    }
}

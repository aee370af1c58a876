//! core.efi and the files of an EFI system partition against GRUB's own tools.
//!
//! grub-mkimage proves that core.efi is GRUB's, byte for byte, from the files of two releases and for both
//! processors. Whether firmware starts it is what `efi_boot` proves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::grub::grub_folder;
use crate::tools::{have, stdout};
use diskwright::grub::{self, EfiArch, Files, LoaderKind, UefiLoader, UefiSpec};

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

/// The files of `root`, a folder like `/usr/lib/grub`, that `keep` names: by their paths below `/usr/lib`.
fn below_lib(root: &Path, keep: &dyn Fn(&str) -> bool) -> Files {
    let mut files = Files::new();
    for platform in ["x86_64-efi", "arm64-efi"] {
        for folder in [platform.to_owned(), format!("{platform}/monolithic")] {
            for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let path = format!("grub/{folder}/{name}");
                if entry.path().is_file() && grub::is_uefi_input(&path) && keep(&path) {
                    files.insert(path, std::fs::read(entry.path()).unwrap());
                }
            }
        }
    }
    files
}

fn loader(arch: EfiArch, files: &Files) -> Option<UefiLoader> {
    let names: BTreeSet<String> = files.keys().cloned().collect();
    let choice = grub::choose_uefi(arch, &names)?;
    let spec = UefiSpec {
        arch,
        fs_uuid: UUID,
        hint: "hd0,gpt1",
    };
    Some(grub::uefi(&choice, files, &spec).unwrap())
}

fn paths(loader: &UefiLoader) -> Vec<&str> {
    loader.files.iter().map(|f| f.path.as_str()).collect()
}

#[test]
fn a_monolithic_loader_gets_its_stub_where_its_prefix_points() {
    for root in folders() {
        let files = below_lib(&root, &|_| true);
        let all = [
            (EfiArch::X86_64, "EFI/BOOT/BOOTX64.EFI"),
            (EfiArch::Arm64, "EFI/BOOT/BOOTAA64.EFI"),
        ];
        for (arch, removable) in all {
            let loader = loader(arch, &files).unwrap();
            assert_eq!(loader.kind, LoaderKind::Monolithic);
            let want = [removable, "EFI/BOOT/grub.cfg", "EFI/debian/grub.cfg"];
            assert_eq!(paths(&loader), want, "{}", root.display());
            assert_eq!(loader.files[1].data, loader.files[2].data);
            let stub = std::str::from_utf8(&loader.files[1].data).unwrap();
            let want = format!(
                "search.fs_uuid {UUID} root hd0,gpt1\n\
                 set prefix=($root)'/boot/grub'\n\
                 configfile $prefix/grub.cfg\n"
            );
            assert_eq!(stub, want);
            assert!(loader.modules.is_empty());
        }
    }
}

#[test]
fn without_one_core_efi_is_made_and_its_modules_go_along() {
    for root in folders() {
        let files = below_lib(&root, &|path| !path.contains("monolithic"));
        let loader = loader(EfiArch::X86_64, &files).unwrap();
        assert_eq!(loader.kind, LoaderKind::Own);
        assert_eq!(
            paths(&loader),
            ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grub.cfg"]
        );
        let modules = &loader.modules;
        assert!(modules.contains_key("normal.mod") && modules.contains_key("moddep.lst"));
        assert!(!modules.contains_key("kernel.img"));
        let arm = below_lib(&root, &|path| path.starts_with("grub/arm64-efi/k"));
        assert!(self::loader(EfiArch::X86_64, &arm).is_none());
    }
}

#[test]
fn the_signed_pair_is_preferred_and_fallback_is_never_taken() {
    let Some(root) = grub_folder("bookworm") else {
        return;
    };
    let mut files = below_lib(&root, &|_| true);
    let grub = files["grub/x86_64-efi/monolithic/grubx64.efi"].clone();
    let mut add = |path: &str, data: &[u8]| files.insert(path.to_owned(), data.to_vec());
    add("grub/x86_64-efi-signed/grubx64.efi.signed", &grub);
    for name in ["shimx64", "mmx64", "fbx64"] {
        add(&format!("shim/{name}.efi.signed"), name.as_bytes());
    }
    let signed = loader(EfiArch::X86_64, &files).unwrap();
    assert_eq!(signed.kind, LoaderKind::Signed);
    let want = [
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/BOOT/grub.cfg",
        "EFI/BOOT/grubx64.efi",
        "EFI/BOOT/mmx64.efi",
        "EFI/debian/grub.cfg",
    ];
    assert_eq!(paths(&signed), want);
    assert_eq!(signed.files[0].data, b"shimx64");
    // shim alone starts nothing.
    files.remove("grub/x86_64-efi-signed/grubx64.efi.signed");
    let kind = loader(EfiArch::X86_64, &files).unwrap().kind;
    assert_eq!(kind, LoaderKind::Monolithic);
}

#[test]
fn damaged_parts_are_refused_by_name_and_never_a_panic() {
    let Some(root) = grub_folder("bookworm") else {
        return;
    };
    let folder = root.join("arm64-efi");
    let good = platform(&folder);
    let core = |files: &Files| grub::core_efi(EfiArch::Arm64, files, "/p", &["ext2"], None);
    let len = good["kernel.img"].len();
    for at in (0..len).step_by(len / 400) {
        let mut files = good.clone();
        files.retain(|name, _| {
            ["kernel.img", "moddep.lst", "ext2.mod", "fshelp.mod"].contains(&&**name)
        });
        let kernel = files.get_mut("kernel.img").unwrap();
        kernel[at] ^= 0xff;
        let _ = core(&files);
        kernel_cut(&mut files, at);
        let error = core(&files).unwrap_err().to_string();
        assert!(error.starts_with("arm64-efi/kernel.img: "), "{error}");
    }
    let mut files = good.clone();
    files.remove("fshelp.mod");
    let error = core(&files).unwrap_err().to_string();
    assert!(
        error.contains("arm64-efi/fshelp.mod") && error.contains("grub-efi-arm64-bin"),
        "{error}"
    );
    let other = grub::core_efi(EfiArch::X86_64, &good, "/p", &["ext2"], None);
    assert!(other.unwrap_err().to_string().contains("e_machine"));
}

fn kernel_cut(files: &mut Files, len: usize) {
    files.get_mut("kernel.img").unwrap().truncate(len);
}

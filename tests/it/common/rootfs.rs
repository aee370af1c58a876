//! The Debian root filesystems of `make demo` and `make test`, and what tests make of them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use diskwright::archive::Rootfs;
use diskwright::image::{Built, Spec, build};
use diskwright::observe::Silent;
use diskwright::sink::raw::{RawFile, RawOptions};

use crate::tools::{have, run, skip, stdout};

/// Debian 12's tar: the one that `DISKWRIGHT_ROOTFS` names, else `demo/debian12.tar` of the checkout, made now
/// if it is missing. `None`, which CI does not accept, on a machine that cannot make it.
pub fn debian() -> Option<PathBuf> {
    debian_of("bookworm")
}

/// The same of another release or processor: `trixie` is Debian 13, `DISKWRIGHT_ROOTFS13`; `arm64` is Debian 12
/// for it, without an initrd, `DISKWRIGHT_ROOTFS_ARM64`.
pub fn debian_of(which: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/rootfs");
    let made = Command::new(&script)
        .arg(which)
        .stderr(Stdio::piped())
        .output();
    let made = made.unwrap_or_else(|e| panic!("{}: {e}", script.display()));
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr);
        skip(&format!("no rootfs of Debian, {which}: {}", why.trim()));
        return None;
    }
    let path = String::from_utf8(made.stdout).unwrap();
    Some(path.trim_end().into())
}

/// Whether the longer tests are asked for. Says so where they are not.
pub fn full(what: &str) -> bool {
    let asked = std::env::var_os("DISKWRIGHT_TEST_FULL").is_some();
    if !asked {
        eprintln!("left out, `make test-full` does it: {what}");
    }
    asked
}

/// Builds `tar` into the raw image `to`.
pub fn image(tar: &Path, to: &Path) -> Built {
    image_of(tar, to, &Spec::default())
}

/// Builds `tar` into the raw image `to` as `spec` says.
pub fn image_of(tar: &Path, to: &Path, spec: &Spec) -> Built {
    let mut raw = RawFile::create(to, RawOptions::default()).unwrap();
    let mut reader = Rootfs::open(&[tar.as_os_str()]).unwrap();
    let built = build(&mut reader, spec, raw.spool(), &Silent).unwrap();
    built.image.verify().unwrap();
    raw.write(&built.image, &Silent).unwrap();
    raw.finish().unwrap();
    built
}

/// A file of the tar, as GNU tar reads it. `path` has no leading slash.
pub fn member(tar: &Path, path: &str) -> Vec<u8> {
    let tar = tar.to_str().unwrap();
    for name in [format!("./{path}"), path.to_owned()] {
        let out = run("tar", &["--extract", "--to-stdout", "--file", tar, &name]);
        if out.status.success() {
            return out.stdout;
        }
    }
    panic!("{path} is not in {tar}");
}

/// Names in the tar that begin with `prefix`, without a leading `./`.
pub fn members(tar: &Path, prefix: &str) -> Vec<String> {
    let list = stdout("tar", &["--list", "--file", tar.to_str().unwrap()]);
    let names = list.lines().map(|l| l.strip_prefix("./").unwrap_or(l));
    let found = names.filter(|l| l.starts_with(prefix) && !l.ends_with('/'));
    found.map(str::to_owned).collect()
}

/// A copy of the tar, `to`, with files appended that replace or join its own: path, mode, content.
pub fn with_files(tar: &Path, to: &Path, files: &[(&str, &str, &[u8])]) {
    let tree = to.with_extension("tree");
    let to = to.to_str().unwrap();
    stdout(
        "cp",
        &[
            "--sparse=never",
            "--reflink=auto",
            tar.to_str().unwrap(),
            to,
        ],
    );
    let folder = tree.to_str().unwrap();
    let append = [
        "--append",
        "--file",
        to,
        "--owner=0",
        "--group=0",
        "--directory",
        folder,
    ];
    let mut append: Vec<String> = append.map(str::to_owned).to_vec();
    for (path, mode, content) in files {
        let file = tree.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        let mode = u32::from_str_radix(mode, 8).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        append.push(format!("./{path}"));
    }
    // All in one run: each reads the tar to its end.
    let append: Vec<&str> = append.iter().map(String::as_str).collect();
    stdout("tar", &append);
}

/// The image's filesystem for e2fsprogs: they take its offset behind the path.
pub fn filesystem(image: &Path, built: &Built) -> String {
    format!(
        "{}?offset={}",
        image.display(),
        built.report.filesystem_offset
    )
}

/// e2fsck finds nothing to fix in the image's filesystem, not even a journal to replay.
#[track_caller]
pub fn assert_e2fsck_clean(image: &Path, built: &Built) {
    let out = run("e2fsck", &["-fn", &filesystem(image, built)]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "e2fsck: {said}");
    // The five passes and the figures, and no word between them.
    let lines: Vec<&str> = said.lines().collect();
    let silent =
        lines.len() == 6 && (1..=5).all(|n| lines[n - 1].starts_with(&format!("Pass {n}: ")));
    assert!(silent, "e2fsck: {said}");
}

/// GRUB's own filesystem driver reads the kernel, its initrd and a module as the tar has them, and its
/// parser takes the grub.cfg that it reads.
#[track_caller]
pub fn assert_grub_reads(image: &Path, tar: &Path) {
    let read = |path: &str| {
        let inside = format!("(loop0,msdos1)/{path}");
        let out = run("grub-fstest", &[image.to_str().unwrap(), "cat", &inside]);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.is_empty(), "{path}: {said}");
        out.stdout
    };
    let cfg = image.with_extension("grub.cfg");
    std::fs::write(&cfg, read("boot/grub/grub.cfg")).unwrap();
    stdout("grub-script-check", &[cfg.to_str().unwrap()]);

    let boot = members(tar, "boot/").into_iter();
    let kernels =
        |name: &String| name.starts_with("boot/vmlinuz-") || name.starts_with("boot/initrd.img-");
    let mut pairs: Vec<_> = boot
        .filter(kernels)
        .map(|name| (name.clone(), name))
        .collect();
    assert!(pairs.len() >= 2, "no kernel and initrd in the tar");
    for file in ["ext2.mod", "normal.mod", "moddep.lst"] {
        let platform = |folder: &str| format!("{folder}/grub/i386-pc/{file}");
        pairs.push((platform("boot"), platform("usr/lib")));
    }
    for (on_disk, in_tar) in pairs {
        assert!(
            read(&on_disk) == member(tar, &in_tar),
            "GRUB reads {on_disk} unlike the tar's"
        );
    }
}

/// Whether the tools that judge an image of a Debian are there.
pub fn judges() -> bool {
    ["e2fsck", "grub-fstest", "grub-script-check", "tar"]
        .into_iter()
        .all(have)
}

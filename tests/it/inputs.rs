//! What an image was made of besides its archive: overlays, files, keys, seeds and folders have digests in the
//! records, which others find, too; and a checkout gives the same image whoever made it.

use crate::common::desk::Desk;
use crate::common::grub::grub_folder;
use crate::common::{image, run};
use crate::customize::desk;
use crate::tools::{have, stdout};
use diskwright::archive::{ArchiveError, Options, Origin, Rootfs};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// The digest of a folder as the documentation of `archive::Input::digest` defines it; owners are 0:0, and of modes
/// the bits of the first argument are left out.
const TREE: &str = r#"
import hashlib, os, stat, sys
mask, top = int(sys.argv[1], 8), os.fsencode(sys.argv[2])
sha = lambda b: hashlib.sha256(b).hexdigest()
lines, seen = [], {}
def walk(folder):
    for name in sorted(os.listdir(os.path.join(top, folder))):
        path = os.path.join(folder, name)
        full = os.path.join(top, path)
        st = os.lstat(full)
        mode, digest = stat.S_IMODE(st.st_mode) & ~mask, '-'
        if stat.S_ISDIR(st.st_mode): kind, mode = 'directory', mode & ~(0o2000 if mask else 0)
        elif (st.st_dev, st.st_ino) in seen: kind, digest = 'hardlink', sha(seen[st.st_dev, st.st_ino])
        elif stat.S_ISLNK(st.st_mode): kind, mode, digest = 'symlink', 0o777, sha(os.readlink(full))
        else: kind, digest = 'file', sha(open(full, 'rb').read())
        if kind == 'file': seen[st.st_dev, st.st_ino] = path
        lines.append(('%s %04o 0:0 %s - ' % (kind, mode, digest)).encode() + path + b'\0')
        if kind == 'directory': walk(path)
walk(b'')
print('treeSha256:' + sha(b''.join(sorted(lines))))
"#;

fn tree(desk: &Desk, mask: &str, folder: &str) -> String {
    let path = desk.path(folder);
    let said = stdout("python3", &["-c", TREE, mask, path.to_str().unwrap()]);
    said.trim().to_owned()
}

/// An overlay with every kind of file that a checkout may have.
fn overlay(desk: &Desk) {
    for folder in ["over/etc/app.d", "over/empty", "over/opt-x", "over/opt"] {
        std::fs::create_dir_all(desk.path(folder)).unwrap();
    }
    for (name, mode) in [
        ("etc/app.conf", 0o644),
        ("etc/secret", 0o600),
        ("etc/app.d/ünï 1\n2", 0o640),
        ("opt-x/run", 0o755),
        ("opt/none", 0o644),
    ] {
        let path = format!("over/{name}");
        let text = if name == "opt/none" { "" } else { name };
        desk.write(&path, text.as_bytes());
        std::fs::set_permissions(desk.path(&path), PermissionsExt::from_mode(mode)).unwrap();
    }
    symlink("../nowhere", desk.path("over/opt/link")).unwrap();
    std::fs::hard_link(desk.path("over/opt-x/run"), desk.path("over/opt/again")).unwrap();
    sparse(desk, "over/opt/holes");
}

/// 64 MiB, of which 5 bytes are data.
fn sparse(desk: &Desk, name: &str) {
    let file = std::fs::File::create(desk.path(name)).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"data\n", 20 << 20).unwrap();
}

fn record(desk: &Desk, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(desk.path(name)).unwrap()).unwrap()
}

const FLAGS: [&str; 16] = [
    "--boot",
    "none",
    "--overlay",
    "over",
    "--file",
    "holes:/opt/holes2",
    "--ssh-key",
    "root:key.pub",
    "--cloud-init",
    "seed",
    "--manifest",
    "m.json",
    "--provenance",
    "p.json",
    "--builder-id",
    "x:y",
];

#[test]
fn whatever_went_into_the_image_has_its_digest() {
    if !have("python3") {
        return;
    }
    let desk = desk();
    overlay(&desk);
    sparse(&desk, "holes");
    std::fs::create_dir(desk.path("seed")).unwrap();
    desk.write("seed/user-data", b"#cloud-config\n");
    desk.write("seed/network-config", b"version: 2\n");
    // A layer that is a folder keeps its modes.
    std::fs::create_dir_all(desk.path("layer/etc")).unwrap();
    desk.write("layer/etc/x", b"x");
    std::fs::set_permissions(desk.path("layer/etc/x"), PermissionsExt::from_mode(0o664)).unwrap();
    let args = [
        "build",
        "-q",
        "small.tar",
        "layer",
        "--owner",
        "0:0",
        "-o",
        "out/disk.img",
    ];
    let ran = desk.run(&[&args[..], &FLAGS].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let file = |kind: &str, name: &str| {
        let path = desk.path(name);
        let digest = format!("sha256:{}", image::sha256(&path));
        json!({ "kind": kind, "name": name, "digest": digest, "size": path.metadata().unwrap().len() })
    };
    let folder = |kind: &str, name: &str, digest: String| json!({ "kind": kind, "name": name, "digest": digest, "size": null });
    let expected = json!([
        file("tar", "small.tar"),
        folder("folder", "layer", tree(&desk, "0", "layer")),
        folder("overlay", "over", tree(&desk, "022", "over")),
        file("file", "holes"),
        file("ssh-key", "key.pub"),
        file("cloud-init", "seed/user-data"),
        file("cloud-init", "seed/network-config"),
    ]);
    assert_eq!(record(&desk, "m.json")["inputs"], expected);
    let made = &record(&desk, "p.json")["predicate"]["buildDefinition"];
    assert_eq!(
        made["externalParameters"]["rootfs"],
        json!(["small.tar", "layer"])
    );
    let inputs = expected.as_array().unwrap().iter();
    let resolved: Vec<Value> = inputs
        .map(|i| {
            let (algorithm, hex) = i["digest"].as_str().unwrap().split_once(':').unwrap();
            let kind = &i["kind"];
            json!({ "name": i["name"], "digest": { algorithm: hex }, "annotations": { "kind": kind } })
        })
        .collect();
    assert_eq!(made["resolvedDependencies"], json!(resolved));
}

/// Holes are where they were, and what is behind them is read.
#[test]
fn a_skeleton_with_holes_is_in_the_home_as_it_is() {
    let desk = desk();
    std::fs::create_dir_all(desk.path("over/etc/skel")).unwrap();
    let file = std::fs::File::create(desk.path("over/etc/skel/holes")).unwrap();
    file.set_len(3 << 20).unwrap();
    for at in [64 << 10, 2 << 20] {
        std::os::unix::fs::FileExt::write_all_at(&file, b"data\n", at).unwrap();
    }
    let flags = ["--boot", "none", "--overlay", "over", "--user", "lisa"];
    desk.builds("small.tar", &flags);
    let mut cat = desk.command(&["cat", "out/disk.img:/home/lisa/holes"]);
    let there = cat.output().unwrap().stdout;
    assert!(there == std::fs::read(desk.path("over/etc/skel/holes")).unwrap());
}

/// Wherever it lay: the same GRUB in another folder, or by a link, has the same digest.
#[test]
fn a_loader_from_elsewhere_is_an_input_by_its_files() {
    if !have("python3") {
        return;
    }
    let Some(grub) = grub_folder("bookworm") else {
        return;
    };
    let desk = desk();
    symlink(&grub, desk.path("linked")).unwrap();
    desk.write("kernel", b"kernel");
    let mut told = Vec::new();
    for folder in [grub.to_str().unwrap(), "linked"] {
        let args = ["build", "-q", "small.tar", "-o", "out/disk.img", "--force"];
        let flags = ["--boot", "bios", "--grub", folder, "--manifest", "m.json"];
        let kernel = ["--file", "kernel:/boot/vmlinuz-6.1.0-1-amd64"];
        let ran = desk.run(&[&args[..], &flags, &kernel].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        told.push(record(&desk, "m.json")["inputs"][2].clone());
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(
        (&told[0]["kind"], &told[0]["name"]),
        (&json!("grub"), &json!("grub"))
    );
    let script = "import hashlib, os, sys\n\
        sha = lambda b: hashlib.sha256(b).hexdigest()\n\
        top = sys.argv[1]\n\
        def line(name):\n    \
            data = open(os.path.join(top, 'i386-pc', name), 'rb').read()\n    \
            return ('file 0644 0:0 %s - grub/i386-pc/%s' % (sha(data), name)).encode() + b'\\0'\n\
        used = [n for n in os.listdir(os.path.join(top, 'i386-pc')) if n in sys.argv[2:] or n.endswith(('.mod', '.lst'))]\n\
        print('treeSha256:' + sha(b''.join(sorted(map(line, used)))))\n";
    let images = [
        "boot.img",
        "diskboot.img",
        "kernel.img",
        "lzma_decompress.img",
    ];
    let args = [&["-c", script, grub.to_str().unwrap()][..], &images].concat();
    assert_eq!(told[0]["digest"], stdout("python3", &args).trim());
}

/// What follows the end of a tar may be long.
#[test]
fn an_archive_is_read_to_its_end_only_while_nobody_says_stop() {
    let desk = desk();
    let tar = std::fs::OpenOptions::new()
        .append(true)
        .open(desk.path("small.tar"))
        .unwrap();
    tar.set_len(256 << 20).unwrap();
    for (cancelled, ends) in [((|| true) as fn() -> bool, false), (|| false, true)] {
        let options = Options {
            cancelled: Some(cancelled),
            digest: true,
            ..Options::default()
        };
        let origin = Origin::Path(desk.path("small.tar"));
        let mut rootfs = Rootfs::open_with(&[origin], &options).unwrap();
        let end = loop {
            match rootfs.next_item() {
                Ok(Some(_)) => {}
                Ok(None) => break true,
                Err(e) => {
                    assert!(matches!(e, ArchiveError::Interrupted), "{e}");
                    break false;
                }
            }
        };
        assert_eq!(end, ends);
    }
}

#[test]
fn a_checkout_gives_the_same_image_and_digest_whatever_the_umask() {
    let desk = desk();
    overlay(&desk);
    sparse(&desk, "holes");
    desk.write("seed", b"#cloud-config\n");
    let build = || {
        let args = ["build", "-q", "--force", "small.tar", "-o", "out/disk.img"];
        let ran = desk.run(&[&args[..], &FLAGS].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        record(&desk, "m.json")
    };
    let first = build();
    // umask 002, and a folder whose group is inherited.
    run(desk.folder(), "chmod", &["-R", "g+w", "over"]);
    run(desk.folder(), "chmod", &["g+s", "over/opt", "over/empty"]);
    run(desk.folder(), "touch", &["over/etc/app.conf"]);
    assert_eq!(build(), first);
    // What only its owner may read or who may run it is content.
    for (mode, path) in [("600", "over/etc/app.conf"), ("755", "over/etc/app.conf")] {
        run(desk.folder(), "chmod", &[mode, path]);
        assert_ne!(build()["inputs"], first["inputs"], "{mode} {path}");
    }
}

#[test]
fn files_with_holes_have_them_in_the_image_and_secrets_stay_secret() {
    let desk = desk();
    overlay(&desk);
    sparse(&desk, "holes");
    desk.write("secret", b"s");
    desk.write("tool", b"t");
    for (name, mode) in [("secret", 0o600), ("tool", 0o700), ("holes", 0o664)] {
        std::fs::set_permissions(desk.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    desk.builds(
        "small.tar",
        &[
            "--boot",
            "none",
            "--overlay",
            "over",
            "--file",
            "holes:/opt/holes2",
            "--file",
            "secret:/etc/s",
            "--file",
            "tool:/etc/t",
        ],
    );
    desk.fsck();
    let size = desk.path("out/disk.img").metadata().unwrap().blocks() * 512;
    assert!(size < 32 << 20, "{size}");
    if !have("debugfs") {
        return;
    }
    for (path, mode) in [
        ("/etc/s", "0600"),
        ("/etc/t", "0700"),
        ("/etc/secret", "0600"),
        ("/opt/holes", "0644"),
        ("/opt/holes2", "0644"),
    ] {
        let said = desk.debugfs(&format!("stat {path}")).unwrap();
        assert!(said.contains(&format!("Mode:  {mode}")), "{path}: {said}");
        if path.contains("holes") {
            // One block of 4 KiB, counted in sectors.
            assert!(
                said.contains("Blockcount: 8\n") && said.contains("Size: 67108864"),
                "{said}"
            );
        }
    }
    let read = desk.debugfs("cat /opt/holes2").unwrap();
    assert!(read.len() == 64 << 20 && read[20 << 20..].starts_with("data\n\0"));
}

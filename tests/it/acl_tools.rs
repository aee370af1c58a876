//! ACLs and attributes from a filesystem through real archivers into an image: as getfacl shows them there.

use crate::common::{debugfs, image, manifest};
use crate::tools::have;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Numbers that no host has: names must be looked up in the image's own accounts.
const PASSWD: &str = "root:x:0:0::/:\ngames:x:4242:60::/:\n";
const GROUP: &str = "root:x:0:\nadm:x:4343:\n";

fn run(folder: &Path, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whose numbers an archive goes by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// The attribute's own.
    Host,
    /// Names alone, or before numbers: those of the image's accounts.
    Image,
}

/// What `getfacl` says of a file on the host.
fn getfacl(folder: &Path, path: &str, numbers: Numbers, minimal: bool) -> Vec<String> {
    let mut args = vec!["--omit-header", "--no-effective"];
    if numbers == Numbers::Host {
        args.push("--numeric");
    }
    let said = run(folder, "getfacl", &[&args[..], &[path]].concat());
    let image = |line: &str| line.replace(":games:", ":4242:").replace(":adm:", ":4343:");
    let lines = said.lines().filter(|l| !l.is_empty()).map(image);
    lines
        .filter(|l| !minimal || l.starts_with("default:"))
        .collect()
}

#[test]
fn acls_and_attributes_come_through_gnu_tar_and_bsdtar() {
    if !["debugfs", "tar", "bsdtar", "setfacl", "getfacl", "setfattr"]
        .into_iter()
        .all(have)
    {
        return;
    }
    let desk = tempfile::tempdir().unwrap();
    let root = desk.path().join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::create_dir(root.join("d")).unwrap();
    std::fs::create_dir(root.join("plain")).unwrap();
    std::fs::write(root.join("etc/passwd"), PASSWD).unwrap();
    std::fs::write(root.join("etc/group"), GROUP).unwrap();
    for name in ["f", "mask", "none", "x"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    for (acl, name) in [
        ("u:games:rwx,g:adm:r-x,u:1234567:-w-,m::r-x", "f"),
        ("m::--x", "mask"),
        ("u:games:r-x", "d"),
        ("d:u:games:rwx,d:g:adm:---", "d"),
        ("d:u::rwx,d:g::r-x,d:o::---", "plain"),
    ] {
        run(&root, "setfacl", &["-m", acl, name]);
    }
    run(
        &root,
        "setfattr",
        &["-n", "user.a=b%c", "-v", "0x00ff0a3d", "x"],
    );
    run(&root, "setfattr", &["-n", "user.empty", "-v", "", "x"]);
    let xattrs = BTreeMap::from([
        (b"user.a=b%c".to_vec(), b"\0\xff\n=".to_vec()),
        (b"user.empty".to_vec(), Vec::new()),
    ]);
    for (nr, (program, flags, numbers)) in [
        // GNU tar writes the text and the attribute.
        (
            "tar",
            &["--format=posix", "--acls", "--xattrs"][..],
            Numbers::Host,
        ),
        ("tar", &["--format=posix", "--acls"], Numbers::Image),
        (
            "bsdtar",
            &["--format=pax", "--acls", "--xattrs"],
            Numbers::Image,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let tar = desk.path().join(format!("{nr}.tar"));
        let args = [flags, &["-cf", tar.to_str().unwrap(), "."]].concat();
        run(&root, program, &args);
        let disk = desk.path().join(format!("{nr}.img"));
        image::build(&tar, &disk, &["--boot", "none", "--scheme", "none"]);
        let found = debugfs::read(&image::device(&disk, 0), desk.path());
        manifest::assert_same(&found, &manifest::of_tar(&tar));
        let acl = |name: &str| &found[name.as_bytes()].acl;
        for (name, minimal) in [
            ("f", false),
            ("mask", false),
            ("d", false),
            ("plain", true),
            ("none", true),
        ] {
            assert_eq!(
                *acl(name),
                getfacl(&root, name, numbers, minimal),
                "{program}: {name}"
            );
        }
        assert_eq!(found[&b"f"[..]].mode & 0o070, 0o050, "{program}: the mask");
        if flags.contains(&"--xattrs") {
            assert_eq!(found[&b"x"[..]].xattrs, xattrs, "{program}");
        }
    }
}

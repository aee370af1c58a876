//! Outputs that cannot be: exit code 3, the message, and what stood there untouched.

use crate::common::desk::{Desk, names, ran};
use crate::common::tarball::{archive, file};
use crate::tools::{have, skip};
use expect_test::expect;
use std::os::unix::fs::{PermissionsExt, symlink};

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("a.tar", &archive(&[file("a", b"data")]));
    desk
}

fn build<'a>(output: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    [&["build", "a.tar", "--boot", "none", "-o", output], flags].concat()
}

#[test]
fn an_output_that_exists_is_kept_unless_forced() {
    let desk = desk();
    desk.write("disk.img", b"precious");
    desk.refused(
        &build("disk.img", &[]),
        3,
        expect![[r#"
        error: disk.img exists already; say `--force` to replace it
    "#]],
    );
    assert_eq!(std::fs::read(desk.path("disk.img")).unwrap(), b"precious");
    assert_eq!(desk.run(&build("disk.img", &["--force"])).code, Some(0));
    assert!(std::fs::metadata(desk.path("disk.img")).unwrap().len() > 1 << 20);
    assert_eq!(names(desk.folder()), ["a.tar", "disk.img", "out"]);
}

#[test]
fn a_forced_build_that_fails_leaves_what_stood_there() {
    let desk = desk();
    desk.write("disk.img", b"precious");
    desk.write("a.tar", b"");
    assert_eq!(desk.run(&build("disk.img", &["--force"])).code, Some(3));
    assert_eq!(std::fs::read(desk.path("disk.img")).unwrap(), b"precious");
    assert_eq!(names(desk.folder()), ["a.tar", "disk.img", "out"]);
}

#[test]
fn the_archive_itself_is_never_replaced() {
    let desk = desk();
    let before = std::fs::read(desk.path("a.tar")).unwrap();
    desk.refused(
        &build("a.tar", &["--force"]),
        3,
        expect![[r#"
        error: a.tar is the archive itself, which would be replaced; give the output another name
    "#]],
    );
    desk.refused(&build("out/../a.tar", &[]), 3, expect![[r#"
        error: out/../a.tar is the archive itself, which would be replaced; give the output another name
    "#]]);
    std::fs::hard_link(desk.path("a.tar"), desk.path("b.tar")).unwrap();
    desk.refused(
        &build("b.tar", &["--force"]),
        3,
        expect![[r#"
        error: b.tar is the archive itself, which would be replaced; give the output another name
    "#]],
    );
    let args = ["build", "-", "--boot", "none", "-o", "a.tar", "--force"];
    let piped = desk.run_with_stdin("a.tar", &args);
    desk.told(
        &piped,
        3,
        expect![[r#"
        error: a.tar is the archive itself, which would be replaced; give the output another name
    "#]],
    );
    assert_eq!(std::fs::read(desk.path("a.tar")).unwrap(), before);
}

#[test]
fn an_output_that_is_no_file_is_refused() {
    let desk = desk();
    desk.refused(
        &build("out", &[]),
        3,
        expect![[r#"
        error: out is a folder; choose the path of a regular file
    "#]],
    );
    desk.refused(
        &build("out/", &["--force"]),
        3,
        expect![[r#"
        error: out/ is a folder; choose the path of a regular file
    "#]],
    );
    desk.refused(
        &build("..", &["--force"]),
        3,
        expect![[r#"
        error: .. is a folder; choose the path of a regular file
    "#]],
    );
    desk.refused(
        &build("/dev/null", &["--force"]),
        3,
        expect![[r#"
        error: /dev/null is a device, pipe or socket; choose the path of a regular file
    "#]],
    );
    desk.refused(
        &build("", &[]),
        2,
        expect![[r#"
        error: a value is required for '--output <FILE>' but none was supplied

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn a_symbolic_link_as_output_is_replaced_and_not_followed() {
    let desk = desk();
    symlink("nowhere", desk.path("disk.img")).unwrap();
    desk.refused(
        &build("disk.img", &[]),
        3,
        expect![[r#"
        error: disk.img exists already; say `--force` to replace it
    "#]],
    );
    assert_eq!(desk.run(&build("disk.img", &["--force"])).code, Some(0));
    let there = std::fs::symlink_metadata(desk.path("disk.img")).unwrap();
    assert!(there.is_file() && !desk.path("nowhere").exists());
}

#[test]
fn a_folder_that_is_missing_or_no_folder_is_named() {
    let desk = desk();
    desk.refused(
        &build("no/such/disk.img", &[]),
        3,
        expect![[r#"
        error: cannot write no/such/disk.img: its folder does not exist; make it first
    "#]],
    );
    desk.refused(
        &build("a.tar/disk.img", &[]),
        3,
        expect![[r#"
        error: cannot write a.tar/disk.img: its folder does not exist; make it first
    "#]],
    );
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let desk = desk();
    let folder = desk.path("sealed");
    std::fs::create_dir(&folder).unwrap();
    let set = |path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    set(desk.folder(), 0o755);
    set(&folder, 0o555);
    let mut command = desk.command(&build("sealed/disk.img", &[]));
    if std::fs::write(folder.join("probe"), b"").is_ok() {
        // Root writes anywhere: become somebody else.
        std::fs::remove_file(folder.join("probe")).unwrap();
        let program = env!("CARGO_BIN_EXE_diskwright");
        std::fs::copy(program, desk.path("diskwright")).unwrap();
        if !have("setpriv") {
            return;
        }
        let prefix = "setpriv --reuid 65534 --regid 65534 --clear-groups ./diskwright";
        command = std::process::Command::new("/usr/bin/env");
        command
            .args(prefix.split(' '))
            .args(build("sealed/disk.img", &[]))
            .current_dir(desk.folder());
    }
    let output = command.output().unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("setpriv: ") {
        skip("setpriv may not change the user here");
        return;
    }
    desk.told(
        &ran(&output),
        3,
        expect![[r#"
        error: cannot make a temporary file beside sealed/disk.img
          because: permission denied
    "#]],
    );
    assert_eq!(names(&folder), Vec::<String>::new());
}

/// Every flag that names a file to write, against everything that is read and against each other.
#[test]
fn no_output_replaces_an_input_or_another_output() {
    let desk = desk();
    for folder in ["over", "seed"] {
        std::fs::create_dir(desk.path(folder)).unwrap();
        desk.write(&format!("{folder}/user-data"), b"#cloud-config\n");
    }
    desk.write("motd", b"hello\n");
    desk.write("key.pub", b"ssh-ed25519 AAAA me\n");
    let spec = "rootfs = 'a.tar'\nboot = 'none'\noutput = 'out/disk.img'\noverlay = 'over'\n\
        file = 'motd:/etc/motd'\nssh-key = 'root:key.pub'\ncloud-init = 'seed'\n";
    desk.write("image.toml", spec.as_bytes());
    let inputs = [
        "a.tar",
        "image.toml",
        "over/user-data",
        "motd",
        "key.pub",
        "seed/user-data",
        "seed/new",
    ];
    let outputs = ["--bmap=", "--map-file=", "--manifest=", "--sbom=spdx:"];
    let others = ["--output=", "--builder-id=x:y --provenance="];
    for flag in outputs.into_iter().chain(others) {
        for input in inputs {
            let line = format!("build --spec image.toml --force {flag}{input}");
            let words: Vec<&str> = line.split(' ').collect();
            let before = std::fs::read(desk.path(input)).ok();
            let ran = desk.run(&words);
            assert_eq!(ran.code, Some(3), "{line}: {ran:?}");
            let why = ["itself, which would be replaced", "lies in the folder"];
            assert!(why.iter().any(|w| ran.stderr.contains(w)), "{ran:?}");
            assert_eq!(std::fs::read(desk.path(input)).ok(), before, "{line}");
        }
    }
    for flag in outputs {
        let same = format!("{flag}out/../out/disk.img");
        let ran = desk.run(&["build", "--spec", "image.toml", "--force", &same]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("--output both name"), "{ran:?}");
        let ran = desk.run(&["build", "--spec", "image.toml", &format!("{flag}-")]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
    assert_eq!(desk.out(), Vec::<String>::new());
}

//! `repro`: what is the same is called so, and what is not is found and named.

use crate::common::desk::{Desk, ran};
use crate::common::member::Member;
use crate::common::tarball::archive;
use crate::common::{features, image};
use rustix::fs::{CWD, Mode, OFlags};
use serde_json::Value;
use std::process::Stdio;

const PLAIN: [&str; 4] = ["--boot", "none", "--free", "4M"];

#[test]
fn a_tree_with_every_feature_is_the_same_in_both_environments() {
    let desk = Desk::new();
    image::write_tar(desk.folder(), "rootfs.tar", &features::members());
    let spec = "rootfs = 'rootfs.tar'\noutput = 'out/disk.img'\nboot = 'none'\nfree = '4M'\n";
    desk.write("image.toml", spec.as_bytes());
    let flags = [
        "repro",
        "--json",
        "--dir",
        "out",
        "image.toml",
        "--label",
        "x",
    ];
    let ran = desk.run(&flags);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let outcome: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(outcome["identical"], true);
    // Nothing stays, not even at the spec file's own place.
    assert_eq!(desk.out(), Vec::<String>::new());
    let built = desk.run(&["build", "--spec", "image.toml", "--label", "x"]);
    assert_eq!(built.code, Some(0), "{built:?}");
    assert_eq!(outcome["sha256"], image::sha256(&desk.path("out/disk.img")));
}

/// A pipe with a name gives the two runs different archives.
#[test]
fn what_differs_is_named_by_structure_field_and_file() {
    let desk = Desk::new();
    let pipe = desk.path("rootfs.tar");
    rustix::fs::mkfifoat(CWD, &pipe, 0o600.into()).unwrap();
    let tar = |text: &str, mode| {
        archive(&[
            Member::file("etc/motd", text).bytes(),
            Member::file("bin/tool", "the same").mode(mode).bytes(),
        ])
    };
    let archives = [tar("one\n", 0o755), tar("two\n", 0o750)];
    let writer = std::thread::spawn(move || {
        for archive in archives {
            std::fs::write(&pipe, archive).unwrap();
            // The next one opens it when this one is through.
            let someone =
                || rustix::fs::open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
            while someone().is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    });
    let mut command = desk.command(&["repro", "rootfs.tar", "--seed", "s"]);
    let child = command
        .args(PLAIN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    writer.join().unwrap();
    expect_test::expect![[r#"
        different: 2 sectors of 6840320 bytes
          byte 2101248: data of inode 15 in partition 1, /etc/motd at byte 0
          byte 2153472: inode table of group 0 in partition 1, inode 13, i_mode = 0100755, /bin/tool
    "#]]
    .assert_eq(&ran.stdout);
}

#[test]
fn what_cannot_be_built_twice_is_refused() {
    let desk = Desk::new();
    desk.refused(
        &["repro", "-"],
        2,
        expect_test::expect![[r#"
        error: standard input can be read only once
        help: give it as a file
    "#]],
    );
    desk.refused(
        &["repro", "rootfs.tar", "--sise", "4G"],
        2,
        expect_test::expect![[r#"
            error: unexpected argument '--sise' found

              tip: a similar argument exists: '--size'

            Usage: diskwright build --size <SIZE|fit> <ROOTFS>...

            For more information, try '--help'.
        "#]],
    );
}

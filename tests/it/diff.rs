//! `diff`: what was changed is told, and nothing else.

use std::os::unix::fs::FileExt;

use serde_json::Value;

use super::common::desk::Desk;
use super::common::member::Member;
use super::common::{features, image, run};
use super::tools::have;

fn build(desk: &Desk, name: &str, members: &[Vec<u8>]) {
    let tar = image::write_tar(desk.folder(), &format!("{name}.tar"), members);
    image::build(
        &tar,
        &desk.path(&format!("{name}.img")),
        &["--boot", "none"],
    );
}

#[track_caller]
fn json(desk: &Desk, a: &str, b: &str, code: i32) -> Value {
    let ran = desk.run(&["diff", "--json", a, b]);
    assert_eq!(ran.code, Some(code), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

fn paths(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|e| e["path"].as_str().unwrap()).collect()
}

#[test]
fn an_archive_and_its_image_hold_the_same_files() {
    let desk = Desk::new();
    build(&desk, "a", &features::members());
    let found = json(&desk, "a.tar", "a.img", 1);
    assert_eq!(paths(&found["files"]["added"]), ["/lost+found"]);
    assert_eq!(found["files"]["removed"], serde_json::json!([]));
    assert_eq!(found["files"]["changed"], serde_json::json!([]));
    assert_eq!(found["blocks"], Value::Null);
    let ran = desk.run(&["diff", "a.img", "a.img"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = desk.run(&["diff", "a.tar", "a.tar"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn status(packages: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(name, version): &(&str, &str)| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
        )
    };
    packages.iter().map(entry).collect::<String>().into_bytes()
}

#[test]
fn every_kind_of_change_is_told_and_nothing_else() {
    let desk = Desk::new();
    let big = features::content(1, 300_000);
    let mut other = big.clone();
    other[200_000] ^= 1;
    let old = status(&[("same", "1"), ("up", "1.9"), ("down", "2"), ("gone", "1")]);
    let new = status(&[
        ("same", "1"),
        ("up", "1.10"),
        ("down", "2~rc1"),
        ("new", "3"),
    ]);
    let file = |name: &str| Member::file(name, "content");
    build(
        &desk,
        "a",
        &[
            file("same").bytes(),
            file("mode").bytes(),
            file("owner").bytes(),
            file("mtime").mtime("5").bytes(),
            file("xattr").xattr("user.a", "1").bytes(),
            file("gone").bytes(),
            file("kind").bytes(),
            Member::symlink("target", "one").bytes(),
            Member::special("device", b'3', (1, 3)).bytes(),
            Member::file("content", big).bytes(),
            Member::file("var/lib/dpkg/status", old).bytes(),
            file("newest").mtime("1000").bytes(),
        ],
    );
    build(
        &desk,
        "b",
        &[
            file("same").bytes(),
            file("mode").mode(0o4755).bytes(),
            file("owner").owner(7, 8).bytes(),
            file("mtime").mtime("6.5").bytes(),
            file("xattr").xattr("user.a", "2").bytes(),
            Member::folder("kind").bytes(),
            Member::symlink("target", "two").bytes(),
            Member::special("device", b'3', (1, 5)).bytes(),
            Member::file("content", other).bytes(),
            Member::file("var/lib/dpkg/status", new).bytes(),
            file("added").bytes(),
            file("newest").mtime("1000").bytes(),
        ],
    );
    let sides = [
        ("a.img", "b.img"),
        ("a.tar", "b.tar"),
        ("a.tar", "b.img"),
        ("a.img", "b.tar"),
    ];
    for (a, b) in sides {
        let found = json(&desk, a, b, 1);
        let files = &found["files"];
        let without_ours = |list: &Value| -> Vec<String> {
            let list = paths(list).into_iter().filter(|p| *p != "/lost+found");
            list.map(str::to_owned).collect()
        };
        assert_eq!(without_ours(&files["added"]), ["/added"], "{a} {b}");
        assert_eq!(without_ours(&files["removed"]), ["/gone"], "{a} {b}");
        let changed = files["changed"].as_array().unwrap();
        let told: Vec<String> = changed
            .iter()
            .map(|c| {
                let what = c["what"].as_array().unwrap().iter();
                let what: Vec<&str> = what.map(|w| w[0].as_str().unwrap()).collect();
                format!("{} {}", c["path"].as_str().unwrap(), what.join(" "))
            })
            .collect();
        assert_eq!(
            told,
            [
                "/content content",
                "/device device",
                "/kind kind mode",
                "/mode mode",
                "/mtime mtime",
                "/owner owner",
                "/target target",
                "/var/lib/dpkg/status content",
                "/xattr xattrs",
            ],
            "{a} {b}"
        );
        let packages = &found["packages"];
        assert_eq!(packages["added"][0]["name"], "new:amd64");
        assert_eq!(packages["removed"][0]["name"], "gone:amd64");
        let upgraded = packages["upgraded"].as_array().unwrap();
        let names: Vec<(&str, bool)> = upgraded
            .iter()
            .map(|u| {
                (
                    u["name"].as_str().unwrap(),
                    u["downgrade"].as_bool().unwrap(),
                )
            })
            .collect();
        assert_eq!(names, [("down:amd64", true), ("up:amd64", false)]);
    }
    let text = desk.run(&["diff", "--stat", "a.tar", "b.tar"]);
    expect_test::expect![[r"
        files: 1 added, 1 removed, 9 changed
        packages: 1 added, 1 removed, 1 upgraded, 1 downgraded
    "]]
    .assert_eq(&text.stdout);
}

#[test]
fn fields_and_blocks_that_differ_are_told() {
    let desk = Desk::new();
    build(&desk, "a", &[Member::file("x", "y").bytes()]);
    std::fs::copy(desk.path("a.img"), desk.path("b.img")).unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(desk.path("b.img"))
        .unwrap();
    let len = file.metadata().unwrap().len();
    // The disk signature, and the last byte, which is nobody's.
    file.write_all_at(&[1, 2, 3, 4], 440).unwrap();
    file.write_all_at(&[9], len - 1).unwrap();
    let found = json(&desk, "a.img", "b.img", 1);
    let fields = found["structures"].as_array().unwrap();
    let signature = fields
        .iter()
        .find(|f| f["field"] == "disk_signature")
        .unwrap();
    assert_eq!(signature["to"], "04030201");
    let last = (len - 1) / (512 << 10);
    assert_eq!(
        found["blocks"]["runs"],
        serde_json::json!([[0, 0], [last, last]])
    );
    assert_eq!(found["files"]["changed"], serde_json::json!([]));
    let ran = desk.run(&["diff", "a.img", "gone.img"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
}

/// Two filesystems of one folder by mke2fs: `a.img`, and `b.img` that debugfs changed.
fn pair(desk: &Desk, requests: &str) {
    super::look::tree(desk);
    super::look::mke2fs(desk, "a.img", &["-t", "ext4", "-b", "4096"]);
    std::fs::copy(desk.path("a.img"), desk.path("b.img")).unwrap();
    desk.write("requests", requests.as_bytes());
    run(desk.folder(), "debugfs", &["-w", "-f", "requests", "b.img"]);
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_compared() {
    if !have("mke2fs") || !have("debugfs") {
        return;
    }
    let desk = Desk::new();
    // Encrypted, as far as anybody knows: a file, and a directory with all that is in it.
    pair(
        &desk,
        "set_inode_field large flags 0x80800\nset_inode_field etc/deep/er flags 0x80800\n\
         set_inode_field .hidden mode 0100600\n",
    );
    let found = json(&desk, "a.img", "b.img", 1);
    let files = &found["files"];
    let unreadable = files["unreadable"].as_array().unwrap();
    let told: Vec<(&str, &str)> = unreadable
        .iter()
        .map(|u| (u["path"].as_str().unwrap(), u["of"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("/etc/deep/hard", "second"),
            ("/large", "second"),
            ("/etc/deep/er", "second")
        ]
    );
    assert!(
        unreadable[0]["why"]
            .as_str()
            .unwrap()
            .contains("is encrypted")
    );
    assert_eq!(paths(&files["changed"]), ["/.hidden"]);
    assert_eq!(
        (&files["added"], &files["removed"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    let ran = desk.run(&["diff", "b.img", "a.img"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
    assert!(
        ran.stdout
            .contains("! /large cannot be read in the first: inode "),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("1 changed, 3 unreadable\n"), "{ran:?}");
}

#[test]
fn files_of_all_partitions_are_compared() {
    if !have("mke2fs") || !have("mformat") || !have("sfdisk") {
        return;
    }
    let desk = Desk::new();
    super::look::tree(&desk);
    super::look::mke2fs(&desk, "fs.img", &["-t", "ext4"]);
    for (image, loader) in [("a.img", "one"), ("b.img", "two")] {
        let _ = std::fs::remove_file(desk.path("fat.img"));
        desk.write("loader", loader.as_bytes());
        for args in [
            &["mformat", "-C", "-i", "fat.img", "-T", "2880", "::"][..],
            &["mmd", "-i", "fat.img", "::/EFI", "::/EFI/BOOT"],
            &[
                "mcopy",
                "-i",
                "fat.img",
                "loader",
                "::/EFI/BOOT/BOOTX64.EFI",
            ],
            &[
                "mcopy",
                "-i",
                "fat.img",
                "loader",
                &format!("::/{loader}.txt"),
            ],
        ] {
            run(desk.folder(), args[0], &args[1..]);
        }
        super::look::disk(&desk, "gpt", &[("linux", "fs.img"), ("uefi", "fat.img")]);
        std::fs::rename(desk.path("disk.img"), desk.path(image)).unwrap();
    }
    let found = json(&desk, "a.img", "b.img", 1);
    let files = &found["files"];
    assert_eq!(paths(&files["added"]), ["p2:/two.txt"]);
    assert_eq!(paths(&files["removed"]), ["p2:/one.txt"]);
    let changed = files["changed"].as_array().unwrap().iter();
    let loader = changed.filter(|c| c["path"] == "p2:/EFI/BOOT/BOOTX64.EFI");
    let loader = loader.map(|c| c["what"].as_array().unwrap().last().unwrap());
    assert_eq!(
        loader.collect::<Vec<_>>(),
        [&serde_json::json!(["content", "3", "3"])]
    );
    // A disk that lacks the partition lacks its files.
    super::look::disk(&desk, "gpt", &[("linux", "fs.img")]);
    let found = json(&desk, "a.img", "disk.img", 1);
    assert_eq!(
        paths(&found["files"]["removed"]),
        [
            "p2:/",
            "p2:/EFI",
            "p2:/EFI/BOOT",
            "p2:/EFI/BOOT/BOOTX64.EFI",
            "p2:/one.txt"
        ]
    );
}

#[test]
fn a_link_here_and_a_file_of_its_own_there_is_a_difference() {
    let desk = Desk::new();
    let file = |name: &str| Member::file(name, "content").bytes();
    let link = |name: &str, to: &str| Member::hard_link(name, to).bytes();
    let gone = [file("0"), link("1", "0"), link("2", "0"), file("3")];
    build(&desk, "a", &gone);
    build(&desk, "b", &[file("1"), link("2", "1"), link("3", "1")]);
    for (a, b) in [
        ("a.img", "b.img"),
        ("a.tar", "b.img"),
        ("a.img", "b.tar"),
        ("a.tar", "b.tar"),
    ] {
        let found = json(&desk, a, b, 1);
        // What has lost its first name is still one file.
        assert_eq!(paths(&found["files"]["removed"])[..1], ["/0"], "{a} {b}");
        let changed = serde_json::json!([{
            "path": "/3",
            "what": [["links", "a file of its own", "hard link to /1"]],
        }]);
        assert_eq!(found["files"]["changed"], changed, "{a} {b}");
    }
}

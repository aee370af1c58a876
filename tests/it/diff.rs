//! `diff`: what was changed is told, and nothing else.

use std::os::unix::fs::FileExt;

use serde_json::Value;

use super::common::desk::Desk;
use super::common::member::Member;
use super::common::{features, image};

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

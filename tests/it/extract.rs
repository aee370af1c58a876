//! `extract`: a tar that builds the same image again, GNU tar's view of it, and a folder that nothing leads
//! out of.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use diskwright::ext4::read::Reader;
use diskwright::inspect::{Disk, Files, to_folder};
use diskwright::observe::Silent;

use super::common::desk::Desk;
use super::common::{features, image, manifest, rootfs, run};
use super::tools::have;

/// Builds a tar with `flags`, takes its files out, builds those with the same flags, and compares.
#[track_caller]
fn round_trip(tar: &Path, flags: &[&str]) {
    let desk = Desk::new();
    let (first, second) = (desk.path("first.img"), desk.path("second.img"));
    image::build(tar, &first, flags);
    let ran = desk.run(&["extract", "first.img", "-o", "out.tar"]);
    assert_eq!(
        (ran.code, &ran.stdout[..], &ran.stderr[..]),
        (Some(0), "out.tar\n", "")
    );
    image::build(&desk.path("out.tar"), &second, flags);
    assert_eq!(image::sha256(&second), image::sha256(&first), "{flags:?}");
}

#[test]
fn a_tar_of_every_feature_builds_the_same_image_again() {
    let folder = tempfile::tempdir().unwrap();
    let tar = image::write_tar(folder.path(), "features.tar", &features::members());
    for flags in [
        &[][..],
        &["--size", "300M", "--label", "other"],
        &["--scheme", "gpt"],
        &["--features", "modern", "--free", "20%"],
    ] {
        round_trip(&tar, &[&["--boot", "none"], flags].concat());
    }
}

#[test]
fn a_tar_of_debian_builds_the_same_image_again() {
    let Some(tar) = rootfs::debian() else { return };
    for flags in [&[][..], &["--hostname", "web", "--size", "2G"]] {
        round_trip(&tar, flags);
    }
}

#[test]
fn a_tar_says_what_went_into_the_image() {
    let desk = Desk::new();
    let tar = image::write_tar(desk.folder(), "features.tar", &features::members());
    image::build(&tar, &desk.path("first.img"), &["--boot", "none"]);
    let ran = desk.run(&["extract", "first.img", "-o", "out.tar"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // By a reading that shares nothing with ours: Python's tarfile, and GNU tar.
    let mut expected = manifest::of_tar(&tar);
    let mut found = manifest::of_tar(&desk.path("out.tar"));
    let newest = expected.values().map(|r| r.times[0]).max().unwrap();
    for record in expected.values_mut() {
        record.times = record.times.map(|t| t.min(newest));
    }
    // Parents that no entry of the first describes, and what every filesystem has: lost+found, and a link
    // more of the root.
    found.retain(|path, _| expected.contains_key(path) && !path.is_empty());
    expected.remove(&b""[..]);
    for (path, record) in &mut expected {
        if let Some(ours) = found.get_mut(path) {
            ours.times.clone_from(&record.times);
            record.first_name.clone_from(&ours.first_name);
        }
    }
    manifest::assert_same(&found, &expected);
    run(desk.folder(), "tar", &["-tvf", "out.tar"]);
}

#[test]
fn a_part_of_an_image_goes_to_standard_output() {
    let desk = Desk::new();
    let members = [
        super::common::tarball::file("etc/fstab", b"proc\n"),
        super::common::tarball::file("etc/deep/file", b"deep\n"),
        super::common::tarball::file("other", b"x"),
    ];
    let tar = image::write_tar(desk.folder(), "a.tar", &members);
    image::build(&tar, &desk.path("a.img"), &["--boot", "none"]);
    for (target, names) in [
        ("a.img:/etc", "./\n./deep/\ndeep/file\nfstab\n"),
        ("a.img:/etc/fstab", "fstab\n"),
    ] {
        let output = desk
            .command(&["extract", target, "-o", "-"])
            .output()
            .unwrap();
        assert!(output.status.success());
        desk.write("part.tar", &output.stdout);
        let list =
            String::from_utf8(run(desk.folder(), "tar", &["-tf", "part.tar"]).stdout).unwrap();
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text
                .lines()
                .map(|l| l.trim_start_matches("./").to_owned())
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&list), sorted(names), "{target}");
    }
    let ran = desk.run(&["extract", "a.img", "-o", "out.tar.gz"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    // What stands there stays.
    desk.write("there.tar", b"mine");
    let ran = desk.run(&["extract", "a.img", "-o", "there.tar"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(fs::read(desk.path("there.tar")).unwrap(), b"mine");
}

/// Path, kind, mode, link count, size and, of files and links, what is in them.
fn seen(folder: &Path) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut rest = vec![folder.to_owned()];
    while let Some(path) = rest.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_symlink() {
            use std::os::unix::ffi::OsStringExt;
            fs::read_link(&path).unwrap().into_os_string().into_vec()
        } else if meta.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        let name = path
            .strip_prefix(folder)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        all.insert(name, (meta.mode(), meta.nlink(), content));
        if meta.is_dir() {
            rest.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
    all
}

#[test]
fn a_folder_holds_what_an_ordinary_user_may_have() {
    if !have("mke2fs") {
        return;
    }
    let desk = Desk::new();
    let tree = desk.path("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/file"), vec![7; 100_000]).unwrap();
    fs::write(tree.join("a/b/read-only"), "x").unwrap();
    fs::set_permissions(tree.join("a/b/read-only"), PermissionsExt::from_mode(0o400)).unwrap();
    fs::set_permissions(tree.join("a/b"), PermissionsExt::from_mode(0o555)).unwrap();
    fs::hard_link(tree.join("a/file"), tree.join("hard")).unwrap();
    symlink("/etc/passwd", tree.join("a/absolute")).unwrap();
    symlink("../../..", tree.join("up")).unwrap();
    run(
        desk.folder(),
        "mke2fs",
        &["-q", "-F", "-d", "tree", "fs.img", "8M"],
    );
    let _ = fs::remove_dir_all(desk.path("out"));
    let ran = desk.run(&["extract", "fs.img", "-o", "out/"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut found = seen(&desk.path("out"));
    found.remove("lost+found");
    let mut expected = seen(&tree);
    // The root of a filesystem has a link more: lost+found.
    let links = found[""].1;
    expected.get_mut("").unwrap().1 = links;
    assert_eq!(found, expected);
    // A folder with something in it is left alone.
    let ran = desk.run(&["extract", "fs.img", "-o", "out/"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("is not empty"), "{ran:?}");
    // As nobody, who may not give files away.
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    if have("setpriv") && rustix::process::geteuid().is_root() {
        let theirs = tempfile::tempdir().unwrap();
        fs::set_permissions(theirs.path(), PermissionsExt::from_mode(0o777)).unwrap();
        fs::set_permissions(desk.folder(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::set_permissions(desk.path("fs.img"), PermissionsExt::from_mode(0o644)).unwrap();
        let image = desk.path("fs.img");
        run(
            desk.folder(),
            "debugfs",
            &["-w", "-R", "set_inode_field a/file mode 0104755", "fs.img"],
        );
        run(
            desk.folder(),
            "debugfs",
            &["-w", "-R", "mknod null c 1 3", "fs.img"],
        );
        let out = theirs.path().join("x/");
        let args = [
            "extract",
            image.to_str().unwrap(),
            "-o",
            out.to_str().unwrap(),
        ];
        let ran = super::common::desk::ran(&desk.prefixed(&nobody, &args).output().unwrap());
        assert_eq!(ran.code, Some(1), "the device is left out: {ran:?}");
        assert!(
            ran.stderr
                .contains("/null: left out: only root may make devices"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("belong to you"), "{ran:?}");
        let file = fs::metadata(out.join("a/file")).unwrap();
        assert_eq!(
            (file.mode() & 0o7777, file.uid(), file.len()),
            (0o755, 65534, 100_000)
        );
    }
}

/// An image whose names and links try to lead out of a folder.
fn hostile(desk: &Desk) -> Vec<u8> {
    let tree = desk.path("tree");
    fs::create_dir_all(tree.join("dirAAAAAAAA/inner")).unwrap();
    fs::write(tree.join("dirAAAAAAAA/inner/file"), "escaped").unwrap();
    fs::write(tree.join("fileBBBBBBBBBB"), "escaped").unwrap();
    fs::write(tree.join("x"), "escaped").unwrap();
    symlink("../victim", tree.join("linkCCCCCCC")).unwrap();
    symlink(desk.path("victim"), tree.join("linkDDDDDDD")).unwrap();
    run(
        desk.folder(),
        "mke2fs",
        &[
            "-q", "-F", "-t", "ext2", "-b", "1024", "-d", "tree", "fs.img", "1M",
        ],
    );
    fs::read(desk.path("fs.img")).unwrap()
}

/// Puts `to` where `from` stands; both have one length.
fn replace(image: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = image.windows(from.len()).position(|w| w == from).unwrap();
    image[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn nothing_in_an_image_leads_out_of_the_folder() {
    if !have("mke2fs") {
        return;
    }
    let desk = Desk::new();
    let image = hostile(&desk);
    fs::create_dir(desk.path("victim")).unwrap();
    fs::write(desk.path("victim/precious"), "mine").unwrap();
    let take_out = |bytes: Vec<u8>, what: &str| {
        let sandbox = desk.path("sandbox");
        fs::create_dir(&sandbox).unwrap();
        if let Ok(reader) = Reader::open(Arc::new(bytes)) {
            let files = Files::Ext4(Box::new(reader));
            if let Ok(root) = files.root() {
                let _ = to_folder(&files, &root, b"root", &sandbox.join("to"), &Silent);
            }
        }
        let around: Vec<_> = fs::read_dir(desk.folder())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(around.len(), 5, "{what}: {around:?}");
        let victim = seen(&desk.path("victim"));
        assert_eq!(victim.len(), 2, "{what}: {victim:?}");
        assert_eq!(victim["precious"].2, b"mine", "{what}");
        let beside: Vec<_> = fs::read_dir(&sandbox)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert!(beside.is_empty() || beside == ["to"], "{what}: {beside:?}");
        run(desk.folder(), "chmod", &["-R", "u+rwx", "sandbox"]);
        fs::remove_dir_all(&sandbox).unwrap();
    };
    let names: [(&[u8], &[u8]); 10] = [
        (b"fileBBBBBBBBBB", b"../victim/evil"),
        (b"fileBBBBBBBBBB", b"/tmp/evil/evil"),
        (b"fileBBBBBBBBBB", b"a\0/../../victi"),
        (b"fileBBBBBBBBBB", b"dirAAAAAAAA/zz"),
        (b"dirAAAAAAAA", b"../../victi"),
        (b"dirAAAAAAAA", b"linkCCCCCCC"),
        (b"dirAAAAAAAA", b"linkDDDDDDD"),
        (b"linkCCCCCCC", b"dirAAAAAAAA"),
        (b"linkDDDDDDD", b"dirAAAAAAAA"),
        (b"linkDDDDDDD", b"\0\0\0\0\0\0\0\0\0\0\0"),
    ];
    for (from, to) in names {
        let mut bytes = image.clone();
        replace(&mut bytes, from, to);
        take_out(bytes, &to.escape_ascii().to_string());
    }
    // Names of no length, which add nothing to a path, and below them names that go up.
    let (above, inner): (&[u8], &[u8]) = (b"dirAAAAAAAA", b"\x05\x02inner");
    for (empty, from, to) in [
        (&[above][..], inner, &b"\x05\x02../in"[..]),
        (&[above], inner, b"\x05\x02/iner"),
        (&[above, b"inner"], b"\x04\x01file", b"\x04\x01../x"),
        (&[above, b"inner"], b"\x04\x01file", b"\x04\x01/x/y"),
        (&[b"inner"], b"\x04\x01file", b"\x04\x01../x"),
    ] {
        let mut bytes = image.clone();
        replace(&mut bytes, from, to);
        for name in empty {
            let at = bytes.windows(name.len()).position(|w| w == *name);
            if let Some(at) = at {
                bytes[at - 2] = 0;
            }
        }
        take_out(bytes, &to.escape_ascii().to_string());
    }
    // Any bytes of directories, inodes and tables: wherever something stands.
    let used: Vec<usize> = (1024..image.len()).filter(|n| image[*n] != 0).collect();
    let mut state = 3_u64;
    let mut next = |end: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % end
    };
    let words: [&[u8]; 6] = [
        b"..",
        b"/",
        b".",
        b"linkCCCCCCC",
        b"\x02\0\0\0",
        b"\xa1\xff",
    ];
    for round in 0..150 {
        let mut bytes = image.clone();
        for _ in 0..6 {
            let at = used[next(used.len())];
            let word = words[next(words.len())];
            let end = (at + word.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&word[..end - at]);
        }
        take_out(bytes, &format!("round {round}"));
    }
}

/// Takes all files of an image into `sandbox/to`, which is there; what is in the sandbox then.
fn beside(desk: &Desk, bytes: Vec<u8>) -> (u64, Vec<String>) {
    let sandbox = desk.path("sandbox");
    let _ = fs::remove_dir_all(&sandbox);
    fs::create_dir_all(sandbox.join("to")).unwrap();
    let disk = Disk::of(Arc::new(bytes)).unwrap();
    let files = disk.volumes()[0].files().unwrap();
    let root = files.root().unwrap();
    let done = to_folder(files, &root, b"root", &sandbox.join("to"), &Silent).unwrap();
    let mut names: Vec<String> = seen(&sandbox).into_keys().collect();
    names.retain(|n| !n.is_empty());
    (done.left_out, names)
}

#[test]
fn no_name_on_fat_leads_out_of_the_folder() {
    if !have("mcopy") {
        return;
    }
    let desk = Desk::new();
    desk.write("x", b"escaped");
    for args in [
        &["mformat", "-C", "-i", "fat.img", "-T", "2880", "::"][..],
        &["mmd", "-i", "fat.img", "::DIRAAAAA"],
        &["mcopy", "-i", "fat.img", "x", "::DIRAAAAA/ZZAevil file"],
    ] {
        run(desk.folder(), args[0], &args[1..]);
    }
    let image = fs::read(desk.path("fat.img")).unwrap();
    let (left_out, names) = beside(&desk, image.clone());
    assert_eq!(left_out, 0);
    assert_eq!(names, ["to", "to/DIRAAAAA", "to/DIRAAAAA/ZZAevil file"]);
    let mut up = image.clone();
    replace(&mut up, b"Z\0Z\0A\0e\0v\0", b".\0.\0/\0e\0v\0");
    assert_eq!(
        beside(&desk, up.clone()),
        (1, vec!["to".to_owned(), "to/DIRAAAAA".to_owned()])
    );
    replace(&mut up, b"DIRAAAAA   ", b"           ");
    assert_eq!(beside(&desk, up), (1, vec!["to".to_owned()]));
    // Four gigabytes, of one cluster.
    let mut large = image;
    let at = large.windows(7).position(|w| w == b"ZZAEVI~").unwrap();
    large[at + 28..at + 32].fill(0xFF);
    assert_eq!(
        beside(&desk, large),
        (1, vec!["to".to_owned(), "to/DIRAAAAA".to_owned()])
    );
}

#[test]
fn a_folder_that_is_there_is_filled_even_where_we_are() {
    let desk = Desk::new();
    let members = [super::common::tarball::file("d/file", b"x")];
    let tar = image::write_tar(desk.folder(), "a.tar", &members);
    image::build(&tar, &desk.path("a.img"), &["--boot", "none"]);
    let here = desk.path("here");
    fs::create_dir(&here).unwrap();
    let mut command = desk.command(&["extract", "../a.img", "-o", "./"]);
    let ran = super::common::desk::ran(&command.current_dir(&here).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let names: Vec<String> = seen(&here).into_keys().collect();
    assert_eq!(names, ["", "d", "d/file", "lost+found"]);
}

//! Several sources as layers, and images made byte by byte: which one is chosen, what of them is in the
//! disk.

use crate::common::desk::Desk;
use crate::common::layout::{INDEX, LAYER, Layout, platform, tag};
use crate::common::run;
use crate::common::tarball::{Header, archive, file};
use diskwright::archive::{Item, Options, Origin, Rootfs};

/// Every path of a root filesystem with its data, as layers come; `-path` for whiteouts.
fn read(argument: &str, options: &Options) -> Result<Vec<(String, Vec<u8>)>, String> {
    let told = |e: diskwright::archive::ArchiveError| e.to_string();
    let mut rootfs =
        Rootfs::open_with(&[Origin::parse(argument.as_ref())], options).map_err(told)?;
    let mut all = Vec::new();
    while let Some(item) = rootfs.next_item().map_err(told)? {
        match item {
            Item::Layer => {}
            Item::Entry(entry) => {
                let mut data = Vec::new();
                while let Some(piece) = rootfs.next_data().map_err(told)? {
                    data.extend_from_slice(&piece);
                }
                all.push((String::from_utf8(entry.path).unwrap(), data));
            }
            Item::Whiteout(path) => {
                all.push((format!("-{}", String::from_utf8(path).unwrap()), vec![]));
            }
            Item::Opaque(path) => {
                all.push((format!("={}", String::from_utf8(path).unwrap()), vec![]));
            }
        }
    }
    Ok(all)
}

fn for_platform(text: &str) -> Options {
    Options {
        platform: Some(text.parse().unwrap()),
        ..Options::default()
    }
}

/// A mark that nothing else contains.
fn mark(name: &str) -> Vec<u8> {
    format!("<<mark of {name:.<18}>>").into_bytes()
}

/// The marks in the image, found in its raw bytes.
fn marks(desk: &Desk) -> Vec<String> {
    let found = run(
        desk.folder(),
        "grep",
        &["-aoh", "<<mark of [a-z]*", "out/disk.img"],
    );
    let mut names: Vec<String> = String::from_utf8(found.stdout)
        .unwrap()
        .lines()
        .map(|l| l["<<mark of ".len()..].to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn no_byte_of_a_removed_or_replaced_file_is_in_the_image() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    // Larger than a block, so that the mark lies in data; padded so that each has blocks of its own.
    let marked = |path: &str, name: &str| file(path, &[mark(name), vec![b'.'; 9000]].concat());
    let lower = archive(&[
        marked("kept", "kept"),
        marked("whited", "whited"),
        marked("replaced", "replaced"),
        marked("dir/below", "below"),
        marked("opaque/hidden", "hidden"),
        marked("folder/becomes/file", "becomes"),
        marked("linked", "linked"),
    ]);
    let upper = archive(&[
        file(".wh.whited", b""),
        marked("replaced", "new"),
        file(".wh.dir", b""),
        marked("opaque/own", "own"),
        file("opaque/.wh..wh..opq", b""),
        marked("folder", "folder"),
        Header::new("second", b'1', 0).link("linked").block(),
        file(".wh.linked", b""),
    ]);
    let layers = [&lower, &upper].map(|l| layout.blob(LAYER, l, ""));
    layout.index(&[layout.image("linux/amd64", &layers, &tag("t"))]);
    for size in ["fit", "64M"] {
        let flags = ["--boot", "none", "--size", size, "--scheme", "none"];
        let ran = desk.builds("oci:img:t", &flags);
        assert_eq!(ran.stderr.matches("warning").count(), 0, "{}", ran.stderr);
        desk.fsck();
        assert_eq!(
            marks(&desk),
            ["folder", "kept", "linked", "new", "own"],
            "{size}"
        );
        assert_eq!(desk.run(&["verify", "out/disk.img"]).code, Some(0));
    }
}

#[test]
fn the_same_tree_has_the_same_seed_however_it_came() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    desk.write(
        "flat.tar",
        &archive(&[file("a", b"1"), file("d/b", b"two")]),
    );
    desk.write(
        "one.tar",
        &archive(&[file("d/b", b"old!"), file("a", b"1"), file("gone", b"x")]),
    );
    desk.write("two.tar", &archive(&[file("d/b", b"two")]));
    let upper = archive(&[file(".wh.gone", b""), file("d/b", b"two")]);
    let lower = std::fs::read(desk.path("one.tar")).unwrap();
    let layers = [lower, upper].map(|l| layout.blob(LAYER, &l, ""));
    layout.index(&[layout.image("linux/amd64", &layers, "")]);
    std::fs::create_dir_all(desk.path("folder/d")).unwrap();
    let uuid = |arguments: &[&str]| {
        let ran = desk.run(&[&["plan", "--json", "--boot", "none"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        json["uuid"].as_str().unwrap().to_owned()
    };
    let flat = uuid(&["flat.tar"]);
    assert_eq!(uuid(&["oci:img"]), flat);
    assert_ne!(uuid(&["one.tar", "two.tar"]), flat, "'gone' is still there");
    desk.write(
        "without.tar",
        &archive(&[file("d/b", b"old!"), file("a", b"1")]),
    );
    assert_eq!(uuid(&["without.tar", "two.tar"]), flat);
}

#[test]
fn plain_archives_as_layers_have_no_whiteouts() {
    let desk = Desk::new();
    desk.write("one.tar", &archive(&[file("a", b"1"), file("d/x", b"2")]));
    desk.write(
        "two.tar",
        &archive(&[file(".wh.a", b""), file("d", b"file now")]),
    );
    desk.builds("one.tar", &["two.tar", "--boot", "none"]);
    let listed = desk.debugfs("ls -p /");
    if let Some(listed) = listed {
        for name in ["/a/", "/.wh.a/", "/d/"] {
            assert!(listed.contains(name), "{name}: {listed}");
        }
    }
    desk.fsck();
}

#[test]
fn a_platform_is_chosen_by_its_variant_and_attestations_are_passed_over() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let image = |p: &str, name: &str| {
        let layer = layout.blob(LAYER, &archive(&[file(name, b"x")]), "");
        layout.image(p, &[layer], &platform(p))
    };
    let attestation = layout.blob(
        "application/vnd.oci.image.manifest.v1+json",
        b"{}",
        &platform("unknown/unknown"),
    );
    let inner = layout.nested(
        &[
            image("linux/arm/v5", "v5"),
            image("linux/arm/v7", "v7"),
            image("linux/arm64/v8", "arm64"),
            attestation,
        ],
        "",
    );
    let outer = layout.nested(&[image("linux/amd64", "amd64"), inner], &tag("multi"));
    layout.index(&[outer]);
    let argument = format!("oci:{}", layout.0.display());
    let name = |p: &str| read(&argument, &for_platform(p)).map(|all| all[0].0.clone());
    assert_eq!(name("linux/amd64").unwrap(), "amd64");
    assert_eq!(name("linux/arm64").unwrap(), "arm64");
    assert_eq!(name("linux/arm64/v9").unwrap(), "arm64");
    assert_eq!(name("linux/arm").unwrap(), "v7");
    assert_eq!(name("linux/arm/v6").unwrap(), "v5");
    let error = name("linux/riscv64").unwrap_err();
    assert!(
        error.ends_with("has nothing for linux/riscv64; it has linux/amd64, linux/arm/v5, linux/arm/v7, linux/arm64: choose with `--platform`"),
        "{error}"
    );
}

/// image-index.md: the first matching entry is used.
#[test]
fn of_two_images_of_one_name_and_platform_the_first_is_taken_with_a_warning() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let image = |name: &str| {
        let layer = layout.blob(LAYER, &archive(&[file(name, b"x")]), "");
        let more = tag("t") + &platform("linux/amd64");
        layout.image("linux/amd64", &[layer], &more)
    };
    let argument = format!("oci:{}:t", layout.0.display());
    let flags = ["--boot", "none", "--platform", "linux/amd64", "--quiet"];
    for (manifests, name) in [
        ([image("first"), image("second")], "first"),
        ([image("second"), image("first")], "second"),
    ] {
        layout.index(&manifests);
        let all = read(&argument, &for_platform("linux/amd64")).unwrap();
        assert_eq!(all[0].0, name);
    }
    expect_test::expect![[r#"
        warning: oci:img: several images of that name are for linux/amd64, of which the first, sha256:4d5a7211653b07ba41b0d039f8c480b0ee245efdb762bf8c2fcb2626f37d8495, is taken, and not sha256:eba3ecd22d8ab12ce345a21b7723636966c79f9caf9b723a8dff3c3f7c3e9fd2: give each a tag of its own
    "#]].assert_eq(&desk.builds("oci:img:t", &flags).stderr);
    layout.index(&[image("same"), image("same")]);
    assert_eq!(desk.builds("oci:img:t", &flags).stderr, "");
}

#[test]
fn thousands_of_small_layers_are_read_one_after_the_other() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let layers: Vec<_> = (0..3000)
        .map(|n| {
            let tar = archive(&[file(&format!("{n}"), n.to_string().as_bytes())]);
            layout.blob(LAYER, &tar, "")
        })
        .collect();
    layout.index(&[layout.image("linux/amd64", &layers, "")]);
    let all = read(&format!("oci:{}", layout.0.display()), &Options::default()).unwrap();
    assert_eq!(all.len(), 3000);
    for (n, (name, data)) in all.iter().enumerate() {
        assert_eq!(
            (name, &data[..]),
            (&n.to_string(), n.to_string().as_bytes())
        );
    }
}

#[test]
fn a_tag_is_needed_where_there_are_several() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let image = |name: &str| {
        let layer = layout.blob(LAYER, &archive(&[file(name, b"x")]), "");
        layout.image("linux/amd64", &[layer], &tag(name))
    };
    layout.index(&[image("one"), image("two")]);
    let flags = ["-o", "out/disk.img", "--boot", "none"];
    let refused = |argument: &str, expected: expect_test::Expect| {
        desk.refused(&[&["build", argument], &flags[..]].concat(), 3, expected);
    };
    refused(
        "oci:img",
        expect_test::expect![[r#"
        error: oci:img holds several images; say which, as in `oci:img:one`: it has one, two
    "#]],
    );
    refused(
        "oci:img:three",
        expect_test::expect![[r#"
        error: oci:img has no image 'three'; it has one, two
    "#]],
    );
    desk.builds("oci:img:two", &["--boot", "none"]);
}

#[test]
fn layers_may_end_anywhere_and_be_compressed_as_their_magic_says() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let whole = archive(&[file("a", b"0123456789")]);
    // umoci's: neither padding nor end marker.
    let cut = &whole[..512 + 10];
    let gzip = |bytes: &[u8]| {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let layers = [
        layout.blob(LAYER, cut, ""),
        layout.blob(&format!("{LAYER}+gzip"), &gzip(cut), ""),
        layout.blob(
            &format!("{LAYER}+zstd"),
            &zstd::encode_all(cut, 1).unwrap(),
            "",
        ),
        // No member at all, in three ways.
        layout.blob(LAYER, b"", ""),
        layout.blob(&format!("{LAYER}+gzip"), &gzip(b""), ""),
        layout.blob(&format!("{LAYER}+gzip"), &gzip(&[0; 1024]), ""),
        // Docker's words, and a type that lies.
        layout.blob(
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            &gzip(&whole),
            "",
        ),
        layout.blob(&format!("{LAYER}+gzip"), &whole, ""),
    ];
    layout.index(&[layout.image("linux/amd64", &layers, "")]);
    let all = read(&format!("oci:{}", layout.0.display()), &Options::default()).unwrap();
    assert_eq!(all, vec![("a".into(), b"0123456789".to_vec()); 5]);
    let ran = desk.builds("oci:img", &["--boot", "none"]);
    assert!(
        ran.stderr
            .contains("its media type says gzip, its first bytes uncompressed"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.matches("warning").count(), 1, "{}", ran.stderr);
}

#[test]
fn an_index_may_have_a_null_for_an_empty_list_and_a_nameless_index() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let layer = layout.blob(LAYER, &archive(&[file("a", b"x")]), "");
    let manifest = layout.image("linux/s390x", &[layer], "");
    let untyped = layout
        .nested(&[manifest], "")
        .replace(&format!(r#""mediaType":"{INDEX}","#), "");
    layout.index(&[untyped]);
    // The only image there is, though it is for another machine.
    assert_eq!(
        read(&format!("oci:{}", layout.0.display()), &Options::default())
            .unwrap()
            .len(),
        1
    );
    std::fs::write(
        layout.0.join("index.json"),
        r#"{"schemaVersion":2,"manifests":null}"#,
    )
    .unwrap();
    let error = read(&format!("oci:{}", layout.0.display()), &Options::default()).unwrap_err();
    assert!(error.contains("its index.json lists none"), "{error}");
}

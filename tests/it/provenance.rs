//! Records beside an image: the manifest's digests against those of other readers, and that all of them are
//! there with the image, the same every time, or not at all. What is in a bill of materials is `sbom`'s.

use crate::common::desk::Desk;
use crate::common::manifest::hex;
use crate::common::tarball::{archive, file};
use crate::common::{features, image, oci};
use crate::tools::{have, run, stdout};
use ext4_view::Ext4;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const PLAIN: [&str; 6] = ["--boot", "none", "--scheme", "none", "--free", "4M"];
const BUILDER: &str = "https://ci.example.org/builders/1";

/// A desk with the archive of every feature.
fn desk() -> Desk {
    let desk = Desk::new();
    image::write_tar(desk.folder(), "rootfs.tar", &features::members());
    desk
}

fn json(desk: &Desk, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(desk.path(name)).unwrap()).unwrap()
}

#[track_caller]
fn build(desk: &Desk, inputs: &[&str], flags: &[&str]) {
    let args = [
        &["build", "-q", "-o", "out/disk.img"],
        inputs,
        &PLAIN,
        flags,
    ]
    .concat();
    let ran = desk.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// A record's path, all of its bytes.
fn path(record: &Value) -> Vec<u8> {
    match record["path_hex"].as_str() {
        Some(hex) => [b"/", &diskwright::hex::unhex(hex.as_bytes()).unwrap()[..]].concat(),
        None => record["path"].as_str().unwrap().into(),
    }
}

#[test]
fn every_file_of_the_image_is_in_the_manifest_with_its_digest() {
    let desk = desk();
    // The reader knows no times after 2106.
    let args = [
        "build",
        "-q",
        "rootfs.tar",
        "-o",
        "out/disk.img",
        "--manifest",
        "m.json",
    ];
    let mut command = desk.command(&[&args[..], &PLAIN].concat());
    let out = command
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    let manifest = json(&desk, "m.json");
    assert_eq!(manifest["source_date_epoch"], 1_700_000_000);
    let view = Ext4::load(Box::new(std::fs::read(desk.path("out/disk.img")).unwrap())).unwrap();
    let (mut files, mut passed_over) = (0, 0);
    let mut seen = BTreeMap::new();
    for record in manifest["files"].as_array().unwrap() {
        let path = path(record);
        seen.insert(path.clone(), record.clone());
        let mut record = record;
        if record["type"] == "hardlink" {
            let first = record["target"].as_str().unwrap();
            record = &seen[first.as_bytes()];
        }
        // Times before 1970 are too much for this reader.
        let Ok(meta) = view.symlink_metadata(&path[..]) else {
            passed_over += 1;
            continue;
        };
        let kind = record["type"].as_str().unwrap();
        assert_eq!(meta.is_dir(), kind == "directory", "{record}");
        assert_eq!(meta.is_symlink(), kind == "symlink", "{record}");
        let mode = u32::from_str_radix(record["mode"].as_str().unwrap(), 8).unwrap();
        assert_eq!(u32::from(meta.mode() & 0o7777), mode, "{record}");
        assert_eq!(
            json!([meta.uid(), meta.gid()]),
            json!([record["uid"], record["gid"]])
        );
        if kind == "file" {
            assert_eq!(json!(meta.len()), record["size"]);
            if meta.len() > 64 << 30 {
                assert_eq!(record["sha256"], Value::Null);
                continue;
            }
            let digest = hex(&Sha256::digest(view.read(&path[..]).unwrap()));
            assert_eq!(record["sha256"], digest, "{record}");
            files += 1;
        }
    }
    assert!(files > 50 && passed_over < 5, "{files} {passed_over}");
    // And nothing but these.
    let mut folders = vec![b"/".to_vec()];
    while let Some(folder) = folders.pop() {
        for entry in view.read_dir(&folder[..]).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().as_ref().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            let path = [&folder[..], if folder == b"/" { b"" } else { b"/" }, &name].concat();
            assert!(seen.remove(&path).is_some(), "{path:?}");
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn image_and_archive_bear_the_digests_that_sha256sum_finds() {
    let desk = desk();
    for (command, name) in [
        ("cp rootfs.tar a.tar", "a.tar"),
        ("zstd -q rootfs.tar -o a.tar.zst", "a.tar.zst"),
        // What a decoder leaves unread, behind its data.
        ("(gzip -c rootfs.tar; echo garbage) >a.tar.gz", "a.tar.gz"),
    ] {
        if !have(command.split([' ', '(']).find(|w| !w.is_empty()).unwrap()) {
            continue;
        }
        stdout(
            "sh",
            &["-c", &format!("cd {}; {command}", desk.folder().display())],
        );
        let records = ["--force", "--manifest", "m.json", "--provenance", "p.json"];
        build(
            &desk,
            &[name],
            &[&records[..], &["--builder-id", BUILDER]].concat(),
        );
        let (manifest, statement) = (json(&desk, "m.json"), json(&desk, "p.json"));
        let of = |name: &str| image::sha256(&desk.path(name));
        assert_eq!(manifest["image"]["sha256"], of("out/disk.img"));
        assert_eq!(manifest["image"]["name"], "disk.img");
        let input = format!("sha256:{}", of(name));
        assert_eq!(manifest["inputs"][0]["digest"], input, "{name}");
        let size = desk.path(name).metadata().unwrap().len();
        assert_eq!(manifest["inputs"][0]["size"], size);
        assert_eq!(
            statement["subject"][0]["digest"]["sha256"],
            of("out/disk.img")
        );
        let made_of = &statement["predicate"]["buildDefinition"]["resolvedDependencies"][0];
        assert_eq!(
            (&made_of["name"], &made_of["digest"]["sha256"]),
            (&json!(name), &json!(of(name)))
        );
    }
}

#[test]
fn images_are_named_by_their_manifest_and_layers() {
    let desk = desk();
    let tar = desk.path("rootfs.tar");
    std::fs::create_dir(desk.path("top")).unwrap();
    desk.write("top/hello", b"world");
    oci::write(&desk.path("layout"), &[&tar, &tar]);
    build(
        &desk,
        &["oci:layout", "top"],
        &["--manifest", "m.json", "--owner", "0:0"],
    );
    let manifest = json(&desk, "m.json");
    let index = json(&desk, "layout/index.json");
    let [image, folder] = &manifest["inputs"].as_array().unwrap()[..] else {
        panic!("{manifest}")
    };
    assert_eq!(image["digest"], index["manifests"][0]["digest"]);
    let digest = image["digest"]
        .as_str()
        .unwrap()
        .replace("sha256:", "layout/blobs/sha256/");
    let named = json(&desk, &digest);
    let layers: Vec<_> = named["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| &l["digest"])
        .collect();
    let told: Vec<_> = image["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| &l["digest"])
        .collect();
    assert_eq!((told.len(), told), (2, layers));
    // Which one, `inputs` says.
    assert_eq!(folder["kind"], "folder");
    let hello = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["path"] == "/hello");
    assert_eq!(hello.unwrap()["sha256"], hex(&Sha256::digest(b"world")));
}

#[test]
fn the_same_build_gives_the_same_records() {
    let desk = desk();
    desk.write(
        "image.toml",
        b"rootfs = 'rootfs.tar'\nlabel = 'trust'\nboot = 'none'\nscheme = 'none'\nfree = '4M'\n",
    );
    let flags = |n: &str| {
        let (m, p) = (format!("m{n}.json"), format!("p{n}.json"));
        [
            "--manifest",
            &m,
            "--provenance",
            &p,
            "--builder-id",
            BUILDER,
        ]
        .map(str::to_owned)
    };
    let first = flags("1");
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    build(
        &desk,
        &["rootfs.tar"],
        &[&first[..], &["--label", "trust"]].concat(),
    );
    let second = flags("2");
    let mut command = desk.command(&[
        "build",
        "--spec",
        "image.toml",
        "-o",
        "out/disk.img",
        "--force",
    ]);
    let ran = command
        .args(second)
        .env("TZ", "Asia/Tokyo")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    for record in ["m", "p"] {
        let read =
            |n: u32| std::fs::read_to_string(desk.path(&format!("{record}{n}.json"))).unwrap();
        assert_eq!(read(1), read(2));
    }
    let manifest = json(&desk, "m1.json");
    assert_eq!(manifest["spec"]["label"], "trust");
    assert_eq!(manifest["spec"]["reserved-percent"], "5");
    for place in ["output", "force", "manifest", "rootfs"] {
        assert_eq!(manifest["spec"][place], Value::Null, "{place}");
    }
}

#[test]
fn what_the_manifest_says_was_asked_for_makes_the_same_image() {
    let desk = desk();
    build(
        &desk,
        &["rootfs.tar"],
        &["--manifest", "m.json", "--large-dir", "--hostname", "a"],
    );
    let manifest = json(&desk, "m.json");
    let spec = manifest["spec"].as_object().unwrap().iter();
    let spec: String = spec
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    desk.write("again.toml", spec.as_bytes());
    let ran = desk.run(&[
        "build",
        "--spec",
        "again.toml",
        "rootfs.tar",
        "-o",
        "out/again.img",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        image::sha256(&desk.path("out/again.img")),
        manifest["image"]["sha256"]
    );
}

#[test]
fn a_build_that_fails_leaves_no_record() {
    let desk = desk();
    let records = [
        "--manifest",
        "out/m.json",
        "--provenance",
        "out/p.json",
        "--builder-id",
        BUILDER,
    ];
    // Nothing is installed in it.
    desk.write("plain.tar", &archive(&[file("a", b"b")]));
    let args = ["build", "-q", "plain.tar", "-o", "out/disk.img"];
    let args = [&args[..], &["--sbom", "spdx"], &PLAIN, &records].concat();
    desk.refused(
        &args,
        3,
        expect_test::expect![[r#"
            error: cannot list the packages of the image
              because: there is no package database of dpkg (/var/lib/dpkg/status, status.d) or apk (/lib/apk/db/installed): what is installed cannot be told
        "#]],
    );
    desk.write("cut.tar", &archive(&[file("a", &[1; 1000])])[..700]);
    let args = [
        &["build", "-q", "cut.tar", "-o", "out/disk.img"],
        &PLAIN[..],
        &records,
    ]
    .concat();
    let ran = desk.run(&args);
    assert_eq!((ran.code, desk.out()), (Some(3), Vec::new()), "{ran:?}");
}

#[test]
fn a_record_that_exists_is_told_before_the_archive_is_read() {
    let desk = desk();
    desk.write("m.json", b"mine");
    let args = [
        "build",
        "nothing.tar",
        "-o",
        "out/disk.img",
        "--manifest",
        "m.json",
    ];
    desk.refused(
        &args,
        3,
        expect_test::expect![[r#"
        error: m.json exists already; say `--force` to replace it
    "#]],
    );
    assert_eq!(std::fs::read(desk.path("m.json")).unwrap(), b"mine");
}

#[test]
fn a_builder_is_named_by_whoever_asks() {
    let desk = desk();
    desk.refused(
        &[
            "build",
            "rootfs.tar",
            "-o",
            "out/disk.img",
            "--provenance",
            "p.json",
        ],
        2,
        expect_test::expect![[r#"
            error: --provenance needs --builder-id
            help: say who runs the build: --builder-id URI, or ci
        "#]],
    );
    desk.refused(
        &[
            "build",
            "rootfs.tar",
            "-o",
            "out/disk.img",
            "--builder-id",
            BUILDER,
        ],
        2,
        expect_test::expect![[r#"
            error: --builder-id is for --provenance
            help: leave it out, or say --provenance FILE
        "#]],
    );
    let records = ["--provenance", "p.json", "--builder-id", "me"];
    let args = [&["build", "rootfs.tar", "-o", "out/disk.img"][..], &records].concat();
    desk.refused(
        &args,
        2,
        expect_test::expect![[r#"
        error: --builder-id me is no URI
        help: for example https://ci.example.org/builders/images
    "#]],
    );
}

/// in-toto's own library reads the statement, its protobufs refuse unknown fields.
#[test]
fn in_totos_library_takes_the_statement() {
    let desk = desk();
    let script = "import sys\n\
        from google.protobuf.json_format import Parse\n\
        from in_toto_attestation.v1.statement import Statement\n\
        import in_toto_attestation.v1.statement_pb2 as s\n\
        import in_toto_attestation.predicates.provenance.v1.provenance_pb2 as p\n\
        from google.protobuf.json_format import MessageToJson\n\
        text = open(sys.argv[1]).read()\n\
        statement = Statement.copy_from_pb(Parse(text, s.Statement()))\n\
        statement.validate()\n\
        predicate = Parse(MessageToJson(statement.pb.predicate), p.Provenance())\n\
        print(predicate.run_details.builder.id)\n";
    if !run("python3", &["-c", "import in_toto_attestation"])
        .status
        .success()
    {
        crate::tools::skip("in-toto-attestation of PyPI is not installed");
        return;
    }
    std::fs::create_dir(desk.path("top")).unwrap();
    build(
        &desk,
        &["rootfs.tar", "top"],
        &[
            "--owner",
            "0:0",
            "--provenance",
            "p.json",
            "--builder-id",
            BUILDER,
        ],
    );
    let path = desk.path("p.json");
    let said = stdout("python3", &["-c", script, path.to_str().unwrap()]);
    assert_eq!(said.trim(), BUILDER);
}

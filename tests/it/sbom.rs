//! Bills of materials against the tools of those who own the formats, and against dpkg.

use crate::common::desk::Desk;
use crate::common::tarball::{archive, file};
use crate::common::{image, rootfs};
use crate::tools::{have, run, skip, stdout};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Whether Python has the module; it comes from PyPI, see the Makefile's `TEST_PYTHON`.
fn python_has(module: &str) -> bool {
    let found = run("python3", &["-c", &format!("import {module}")])
        .status
        .success();
    found || skip(&format!("{module} of PyPI is not installed"))
}

/// SPDX's own tools find nothing wrong with the document.
fn spdx_is_valid(path: &Path) {
    if python_has("spdx_tools") {
        stdout("pyspdxtools", &["--infile", path.to_str().unwrap()]);
    }
}

/// CycloneDX's own library finds nothing wrong with the document, and reads it; package URLs are such that their
/// own library writes them the same, but for the case of digits of a percent-encoding.
fn cyclonedx_is_valid(path: &Path) {
    if !python_has("cyclonedx.validation.json") || !python_has("jsonschema") {
        return;
    }
    let script = "import json, sys\n\
        from cyclonedx.model.bom import Bom\n\
        from cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        from packageurl import PackageURL\n\
        text = open(sys.argv[1]).read()\n\
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)\n\
        assert problem is None, problem\n\
        bom = Bom.from_json(json.loads(text))\n\
        for c in json.loads(text)['components']:\n    \
            assert PackageURL.from_string(c['purl']).to_string().lower() == c['purl'].lower(), c['purl']\n\
        print(len(bom.components))\n";
    let read = stdout("python3", &["-c", script, path.to_str().unwrap()]);
    let components = json(path)["components"].as_array().unwrap().len();
    assert_eq!(read.trim(), components.to_string());
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Names, versions and architectures of a CycloneDX document.
fn listed(bom: &Value) -> BTreeSet<String> {
    let components = bom["components"].as_array().unwrap().iter();
    let words = components.map(|c| {
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        let arch = &c["properties"][0]["value"];
        format!(
            "{} {} {}",
            text(&c["name"]),
            text(&c["version"]),
            text(arch)
        )
    });
    words.collect()
}

#[test]
fn debians_packages_are_those_that_dpkg_lists_in_archive_and_image() {
    let Some(tar) = rootfs::debian() else { return };
    let desk = Desk::new();
    let tar_name = tar.to_str().unwrap();
    let sbom = format!("cyclonedx:{}", desk.path("disk.cdx.json").display());
    let ran = desk.run(&[
        "build",
        "-q",
        tar_name,
        "-o",
        "out/disk.img",
        "--sbom",
        &sbom,
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let bom = json(&desk.path("disk.cdx.json"));
    if have("dpkg-query") {
        std::fs::create_dir_all(desk.path("dpkg")).unwrap();
        let status = rootfs::member(&tar, "var/lib/dpkg/status");
        desk.write("dpkg/status", &status);
        let admin = format!("--admindir={}", desk.path("dpkg").display());
        let form = "--showformat=${db:Status-Status} ${Package} ${Version} ${Architecture}\n";
        let said = stdout("dpkg-query", &[&admin, "-W", form]);
        let installed = said.lines().filter_map(|l| l.strip_prefix("installed "));
        assert_eq!(listed(&bom), installed.map(str::to_owned).collect());
    }
    // The same list from the image, by another reader, and from the archive.
    for source in ["out/disk.img", tar_name] {
        let ran = desk.run(&["sbom", source, "--format", "cyclonedx", "-q"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let again: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(again, bom, "{source}");
    }
    cyclonedx_is_valid(&desk.path("disk.cdx.json"));
    let ran = desk.run(&["sbom", "out/disk.img"]);
    desk.write("disk.spdx.json", ran.stdout.as_bytes());
    spdx_is_valid(&desk.path("disk.spdx.json"));
    let spdx = json(&desk.path("disk.spdx.json"));
    let described = listed(&bom).len() + 1;
    assert_eq!(spdx["packages"].as_array().unwrap().len(), described);
}

#[test]
fn databases_of_apk_and_distroless_are_valid_bills_too() {
    let desk = Desk::new();
    let apk = b"C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nU:https://musl.libc.org/\n\
        m:T <t@x.invalid>\nF:lib\nR:ld-musl-x86_64.so.1\n\nC:Q1=\nP:libstdc++\nV:13.2.1_git-r0\nA:x86_64\n\
        L:GPL-2.0-or-later AND LGPL-2.1-or-later\no:gcc\nU:not a uri\n\n";
    let os = b"ID=alpine\nVERSION_ID=3.20.0\nPRETTY_NAME=\"Alpine Linux v3.20\"\n";
    let alpine = [
        file("etc/os-release", os),
        file("lib/apk/db/installed", apk),
    ];
    image::write_tar(desk.folder(), "alpine.tar", &alpine);
    let base = b"Package: base-files\nVersion: 12.4+deb12u5\nArchitecture: amd64\nMaintainer: S (V) <s@x.invalid>\n\
        Homepage: x y\nDescription: d\n e\n";
    let distroless = [
        file("usr/lib/os-release", b"NAME=x\n"),
        file("var/lib/dpkg/status.d/base", base),
        file("var/lib/dpkg/status.d/base.md5sums", b"00  etc/x\n"),
    ];
    image::write_tar(desk.folder(), "distroless.tar", &distroless);
    for (name, count) in [("alpine", 2), ("distroless", 1)] {
        for format in ["spdx", "cyclonedx"] {
            let ran = desk.run(&["sbom", &format!("{name}.tar"), "--format", format]);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            let path =
                desk.path(&format!("{name}.{format}.json").replace("spdx.json", "spdx.json"));
            std::fs::write(&path, &ran.stdout).unwrap();
            if format == "spdx" {
                spdx_is_valid(&path);
            } else {
                cyclonedx_is_valid(&path);
                assert_eq!(listed(&json(&path)).len(), count);
            }
        }
    }
}

#[test]
fn what_is_not_read_is_refused() {
    let desk = Desk::new();
    let rpm = archive(&[file("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0")]);
    desk.write("fedora.tar", &rpm);
    desk.refused(
        &["sbom", "fedora.tar", "-q"],
        3,
        expect_test::expect![[r#"
            error: cannot list the packages of the image
              because: /var/lib/rpm/rpmdb.sqlite is a package database of rpm, which is not read: those of dpkg and apk are
        "#]],
    );
    desk.write("bare.tar", &archive(&[file("a", b"b")]));
    desk.refused(
        &["sbom", "bare.tar", "-q"],
        3,
        expect_test::expect![[r#"
            error: cannot list the packages of the image
              because: there is no package database of dpkg (/var/lib/dpkg/status, status.d) or apk (/lib/apk/db/installed): what is installed cannot be told
        "#]],
    );
}

//! Records against the guest: Linux mounts a customised Debian, its own dpkg-query lists what is installed, and
//! sha256sum reads every regular file.

use crate::common::desk::Desk;
use crate::common::guest::{self, Disk};
use crate::common::rootfs;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const SCRIPT: &str = "mount -t ext4 -o ro /disk/root /mnt\n\
    chroot /mnt /usr/bin/dpkg-query -W -f '${db:Status-Status} ${Package} ${Version} ${Architecture}\\n' \
    > /answer/packages\n\
    cd /mnt && find . -xdev -type f -print0 | xargs -0 sha256sum --zero > /answer/sums; cd /\n";

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// Digests of the manifest's regular files by path; those of a hard link are its first name's.
fn digests(manifest: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for file in manifest["files"].as_array().unwrap() {
        assert!(file["path_hex"].is_null(), "{file}");
        let digest = match text(file, "type") {
            "file" => text(file, "sha256").to_owned(),
            "hardlink" => match all.get(text(file, "target")) {
                Some(digest) => String::clone(digest),
                None => continue,
            },
            _ => continue,
        };
        all.insert(text(file, "path").to_owned(), digest);
    }
    all
}

/// Name, version and architecture, from an SPDX document.
fn spdx(document: &Value) -> BTreeSet<String> {
    let packages = document["packages"].as_array().unwrap().iter();
    packages
        .filter_map(|p| {
            let purl = p["externalRefs"][0]["referenceLocator"].as_str()?;
            let arch = purl.split(['?', '&']).find_map(|w| w.strip_prefix("arch="));
            let (name, version) = (text(p, "name"), text(p, "versionInfo"));
            Some(format!("{name} {version} {}", arch.unwrap()))
        })
        .collect()
}

/// The same from a CycloneDX document.
fn cyclonedx(document: &Value) -> BTreeSet<String> {
    let components = document["components"].as_array().unwrap().iter();
    components
        .map(|c| {
            let arch = text(&c["properties"][0], "value");
            format!("{} {} {arch}", text(c, "name"), text(c, "version"))
        })
        .collect()
}

#[test]
fn packages_and_digests_are_those_that_the_guest_finds() {
    if !guest::can_run() {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("over/srv/www")).unwrap();
    desk.write("over/srv/www/index.html", b"hello\n");
    let holes = std::fs::File::create(desk.path("over/srv/holes")).unwrap();
    holes.set_len(3 << 20).unwrap();
    std::fs::hard_link(desk.path("over/srv/holes"), desk.path("over/srv/again")).unwrap();
    let args = [
        "build",
        "-q",
        debian.to_str().unwrap(),
        "-o",
        "out/disk.img",
    ];
    let edits = [
        "--overlay",
        "over",
        "--user",
        "lisa",
        "--hostname",
        "herald",
        "--remove",
        "/usr/share/doc/*",
        "--machine-id",
        "empty",
    ];
    let records = ["--manifest", "m.json", "--sbom", "spdx:s.json"];
    let ran = desk.run(&[&args[..], &edits, &records].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = desk.run(&["sbom", "-q", "out/disk.img", "--format", "cyclonedx"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let bom: Value = serde_json::from_str(&ran.stdout).unwrap();
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(desk.path(name)).unwrap()).unwrap()
    };

    let image = desk.path("out/disk.img");
    let disk = Disk {
        name: "root",
        image: &image,
        keep: false,
    };
    let answers = guest::run(desk.folder(), &debian, &[disk], SCRIPT);
    let said = std::fs::read_to_string(answers.join("packages")).unwrap();
    let installed: BTreeSet<String> = said
        .lines()
        .filter_map(|l| l.strip_prefix("installed "))
        .map(str::to_owned)
        .collect();
    assert!(installed.len() > 100, "{said}");
    assert_eq!(spdx(&read("s.json")), installed);
    assert_eq!(cyclonedx(&bom), installed);

    let sums = std::fs::read_to_string(answers.join("sums")).unwrap();
    let sums: BTreeMap<String, String> = sums
        .split_terminator('\0')
        .map(|line| {
            let (digest, path) = line.split_once("  .").unwrap();
            (path.to_owned(), digest.to_owned())
        })
        .collect();
    assert!(sums.len() > 5000, "{}", sums.len());
    assert!(sums.contains_key("/srv/again") && sums.contains_key("/etc/hostname"));
    let told = digests(&read("m.json"));
    let differ: Vec<_> = told
        .iter()
        .filter(|(path, digest)| sums.get(*path) != Some(digest))
        .chain(sums.iter().filter(|(path, _)| !told.contains_key(*path)))
        .collect();
    assert!(differ.is_empty(), "{differ:?}");
}

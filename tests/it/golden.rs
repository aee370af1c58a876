//! Bytes that change do so on purpose: images of the last commit, by their digests.
//!
//! `tests/golden` holds of each image its spec (`NAME.toml`), its layout with a digest of every extent that
//! has content (`NAME.dump`), and the digest of the whole (`NAME.sha256`). The inputs are made here and left
//! beside copies of the specs in `target/tmp/golden`, so that anybody can build one by hand:
//!
//! ```sh
//! cargo test --test it golden
//! diskwright build --spec target/tmp/golden/fit.toml -o fit.img --sha256
//! ```

use crate::common::layout::{LAYER, Layout, tag};
use crate::common::manifest::hex;
use crate::common::member::Member;
use crate::common::tarball::{archive, file};
use crate::common::{features, image};
use diskwright::archive::{Options, Origin, Rootfs};
use diskwright::ext4::BlockSize;
use diskwright::image::{Boot, Free, Profile, Scheme, Size, Spec};
use diskwright::observe::Silent;
use diskwright::sink::raw::{RawFile, RawOptions};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Digits of an extent's digest: enough to see that it changed.
const DIGITS: usize = 12;

/// One image: its input, and what `NAME.toml` says in the library's words.
struct Golden {
    name: &'static str,
    input: &'static str,
    spec: Spec,
}

fn goldens() -> Vec<Golden> {
    let base = || Spec {
        boot: Boot::None,
        free: Free::Bytes(4 << 20),
        ..Spec::default()
    };
    let of = |name, input, spec| Golden { name, input, spec };
    let features = |name, spec| of(name, "features.tar", spec);
    let mut all = vec![features("fit", base())];
    all.push(features(
        "sized",
        Spec {
            size: Size::Bytes(200 << 20),
            free: Spec::default().free,
            scheme: Scheme::None,
            ..base()
        },
    ));
    all.push(features(
        "small-groups",
        Spec {
            size: Size::Bytes(300 << 20),
            free: Spec::default().free,
            inodes: Some(700_000),
            ..base()
        },
    ));
    let scheme = Scheme::Gpt;
    all.push(features("gpt", Spec { scheme, ..base() }));
    for (name, profile) in [("modern", Profile::Modern), ("pv", Profile::Pv)] {
        let spec = Spec {
            features: profile,
            ..base()
        };
        all.push(features(name, spec));
    }
    let block_size = BlockSize::KiB1;
    all.push(of(
        "block-1k",
        "small.tar",
        Spec {
            block_size,
            ..base()
        },
    ));
    all.push(of("layers", "oci:layers:golden", base()));
    all
}

/// The features that fit blocks of 1 KiB.
fn small() -> Vec<Vec<u8>> {
    let mut all = vec![
        Member::folder("./").bytes(),
        Member::file("file", features::content(1, 300_000)).bytes(),
        Member::hard_link("hard", "file").bytes(),
        Member::symlink("slow", "t".repeat(600)).bytes(),
        Member::special("null", b'3', (1, 3)).bytes(),
        Member::file("attributes", "")
            .xattr("user.large", features::content(2, 800))
            .bytes(),
    ];
    // Two levels of an htree.
    let names = (0..12_000).map(|n| format!("many/{n}{}", "y".repeat(n % 61)));
    all.extend(names.map(|name| file(&name, b"")));
    all
}

/// Three layers: what the upper ones replace, remove and hide.
fn layers() -> [Vec<u8>; 3] {
    let text = |path: &str, content: &str| Member::file(path, content).bytes();
    let base = [
        Member::folder("usr/lib").bytes(),
        Member::symlink("lib", "usr/lib").bytes(),
        text("lib/old.so", "removed by the second layer"),
        text("etc/config", "replaced by the third layer"),
        text("var/cache/a", "hidden by an opaque marker"),
        text("var/cache/b/c", "hidden with its folder"),
        text("linked", "a hard link of the third layer keeps it"),
        text("kept", "from the lowest layer"),
    ];
    let second = [
        text("usr/lib/.wh.old.so", ""),
        text("var/cache/new", "beside an opaque marker"),
        text("var/cache/.wh..wh..opq", ""),
        text("lib/new.so", "through the lower layer's symbolic link"),
    ];
    let third = [
        Member::hard_link("second-name", "linked").bytes(),
        text(".wh.linked", ""),
        Member::file("etc/config", "the last one")
            .mode(0o600)
            .bytes(),
        Member::folder("kept-folder").owner(1000, 1000).bytes(),
    ];
    [archive(&base), archive(&second), archive(&third)]
}

fn write_inputs(folder: &Path) {
    image::write_tar(folder, "features.tar", &features::members());
    image::write_tar(folder, "small.tar", &small());
    let layout = Layout::new(&folder.join("layers"));
    let blobs = layers().map(|layer| layout.blob(LAYER, &layer, ""));
    layout.index(&[layout.image("linux/amd64", &blobs, &tag("golden"))]);
}

/// Builds through the library, which can say what lies where; the layout, with a digest of each content.
fn layout_of(folder: &Path, golden: &Golden, disk: &Path) -> String {
    let (scheme, path) = match golden.input.strip_prefix("oci:") {
        Some(path) => ("oci:", path),
        None => ("", golden.input),
    };
    let argument = format!("{scheme}{}", folder.join(path).display());
    let origins = [Origin::parse(argument.as_ref())];
    let mut rootfs = Rootfs::open_with(&origins, &Options::default()).unwrap();
    let options = RawOptions {
        force: true,
        sync: false,
    };
    let mut raw = RawFile::create(disk, options).unwrap();
    let built = diskwright::image::build(&mut rootfs, &golden.spec, raw.spool(), &Silent).unwrap();
    raw.write(&built.image, &Silent).unwrap();
    raw.finish().unwrap();
    let mut dump = String::new();
    built.image.dump(&mut dump).unwrap();
    let file = std::fs::File::open(disk).unwrap();
    let mut text = String::new();
    for line in dump.lines() {
        let mut fields = line.split_whitespace();
        let mut number = || fields.next().unwrap().parse::<u64>().unwrap();
        let (start, len) = (number(), number());
        let digest = match fields.next().unwrap() {
            "bytes" | "file" => {
                let mut bytes = vec![0; len.try_into().unwrap()];
                file.read_exact_at(&mut bytes, start).unwrap();
                hex(&Sha256::digest(&bytes))[..DIGITS].to_owned()
            }
            _ => "-".repeat(DIGITS),
        };
        writeln!(text, "{digest} {line}").unwrap();
    }
    text
}

/// Builds through the program; the image's digest as it prints it.
fn digest_of(spec: &Path, disk: &Path) -> String {
    let mut command = image::diskwright();
    command.args([
        "build", "--quiet", "--force", "--sha256", "--json", "--spec",
    ]);
    let output = command.arg(spec).arg("-o").arg(disk).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    said["sha256"].as_str().unwrap().to_owned()
}

/// Lines that are in one text only, as a diff shows them; the first of them.
fn difference(then: &str, now: &str) -> String {
    const SHOWN: usize = 24;
    let [old, new] = [then, now].map(|text| text.lines().collect::<Vec<_>>());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..], &new[start..]);
    let same_end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (old, new) = (&old[..old.len() - same_end], &new[..new.len() - same_end]);
    let mut lines: Vec<String> = Vec::new();
    if old.len() == new.len() {
        for (a, b) in old.iter().zip(new).filter(|(a, b)| a != b) {
            lines.extend([format!("- {a}"), format!("+ {b}")]);
        }
    } else {
        lines.extend(old.iter().map(|a| format!("- {a}")));
        lines.extend(new.iter().map(|b| format!("+ {b}")));
    }
    if lines.is_empty() {
        return "No extent changed its place or content.".into();
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("… and {more} lines more"));
    }
    lines.join("\n")
}

#[test]
fn images_are_those_of_the_last_commit() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("golden");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    write_inputs(&folder);
    let disk = folder.join("disk.img");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut changed = Vec::new();
    for golden in goldens() {
        let name = golden.name;
        let spec = folder.join(format!("{name}.toml"));
        std::fs::copy(kept.join(format!("{name}.toml")), &spec).unwrap();
        let digest = digest_of(&spec, &disk) + "\n";
        let dump = layout_of(&folder, &golden, &disk);
        let of_library = image::sha256(&disk);
        std::fs::remove_file(&disk).unwrap();
        assert_eq!(
            digest.trim(),
            of_library,
            "{name}: the program's image of {name}.toml, and the library's of the same spec"
        );
        let [dump_file, digest_file] =
            ["dump", "sha256"].map(|kind| kept.join(format!("{name}.{kind}")));
        if update {
            std::fs::write(dump_file, dump).unwrap();
            std::fs::write(digest_file, digest).unwrap();
            continue;
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let (kept_dump, kept_digest) = (read(&dump_file), read(&digest_file));
        if (&dump, &digest) != (&kept_dump, &kept_digest) {
            let difference = difference(&kept_dump, &dump);
            changed.push(format!(
                "{name}: digest, first byte, bytes, content, structure\n{difference}\n\
                 sha256 - {}\n       + {}",
                kept_digest.trim(),
                digest.trim()
            ));
        }
    }
    assert!(
        changed.is_empty(),
        "images of the same input and spec changed:\n\n{}\n\nIf that is meant, say what changed under \
         \"Image bytes\" in CHANGELOG.md, and run\n  UPDATE_GOLDEN=1 cargo test --test it golden",
        changed.join("\n\n")
    );
}

#[test]
fn a_difference_shows_what_changed_and_little_else() {
    assert_eq!(difference("a\nb\nc\n", "a\nx\nc\n"), "- b\n+ x");
    assert_eq!(difference("a\nb\nc\n", "a\nc\n"), "- b");
    assert_eq!(difference("a\n", "a\nb\n"), "+ b");
    assert_eq!(
        difference("a\nb\nc\nd\n", "1\nb\nc\n2\n"),
        "- a\n+ 1\n- d\n+ 2"
    );
    assert!(difference("a\n", "a\n").starts_with("No extent"));
    let long = (0..99).map(|n| format!("{n}\n")).collect::<String>();
    assert!(difference("", &long).ends_with("… and 75 lines more"));
}

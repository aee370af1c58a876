//! Bundles, both ways: those of Amazon's own client are read, ours are read by openssl, gunzip and tar.

use crate::common::bundle::{
    FLAGS, USER, bundle, by_hand, data, desk, element, golden, image, image_sha256, parts, unhex,
    write_sparse,
};
use crate::common::desk::Desk;
use crate::common::run;
use crate::common::tarball::{archive, file};
use crate::tools::have;
use diskwright::bundle::{
    Bundle, Bundler, Certificate, Keys, Options, Part, PartSink, PrivateKey, Secret, Source, pack,
};
use diskwright::observe::Silent;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;

const GOLDEN: [&str; 2] = ["ruby-1part", "ruby-11parts"];

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[test]
fn bundles_of_ec2_ami_tools_verify_and_give_back_their_image() {
    for name in GOLDEN {
        for key in ["pk.der", "ec2pk.der"] {
            let desk = desk();
            let manifest = golden(&desk, name);
            let check = [
                "verify-bundle",
                &manifest,
                "--cert",
                "cert.der",
                "--privatekey",
                key,
            ];
            let ran = desk.run(&check);
            let fine = format!("{manifest}: nothing to find fault with\n");
            assert_eq!(
                (ran.code, ran.stdout.as_str(), ran.stderr),
                (Some(0), "", fine)
            );
            let ran = desk.run(&["unbundle", &manifest, "-o", "out/back.img", "-k", key]);
            assert_eq!(
                (ran.code, ran.stdout.as_str()),
                (Some(0), "out/back.img\n"),
                "{ran:?}"
            );
            let back = fs::read(desk.path("out/back.img")).unwrap();
            assert_eq!(sha256(&back), image_sha256());
            // Its holes come back too.
            let blocks = fs::metadata(desk.path("out/back.img")).unwrap().blocks();
            assert!(blocks * 512 < 1 << 20, "{blocks}");
        }
    }
}

#[test]
fn ours_are_read_by_openssl_gunzip_and_tar() {
    if !have("openssl") {
        return;
    }
    let desk = desk();
    let mapping = "--block-device-mapping=root=/dev/sda1,ami=sda,ephemeral0=sdb";
    let flags = [
        "disk.img",
        "-p",
        "web-1.0",
        mapping,
        "--kernel",
        "aki-919dcaf8",
    ];
    bundle(
        &desk,
        &[
            &flags[..],
            &["--productcodes", "774F4FF8,abc", "--arch", "i386"],
        ]
        .concat(),
    );
    let name = "out/web-1.0.manifest.xml";
    let manifest = fs::read_to_string(desk.path(name)).unwrap();
    for (who, key) in [("user", "pk.der"), ("ec2", "ec2pk.der")] {
        by_hand(&desk, name, who, key);
        let sum = run(desk.folder(), "openssl", &["sha1", "-r", "tar"]).stdout;
        let sum = String::from_utf8(sum).unwrap();
        assert!(sum.starts_with(&element(&manifest, "digest")), "{sum}");
        run(desk.folder(), "tar", &["-xf", "tar"]);
        assert_eq!(
            sha256(&fs::read(desk.path("web-1.0")).unwrap()),
            image_sha256()
        );
    }
    // What is signed, by whose key.
    let part = |name: &str| {
        let (start, end) = (
            manifest.find(&format!("<{name}>")),
            manifest.find(&format!("</{name}>")),
        );
        &manifest[start.unwrap()..end.unwrap() + name.len() + 3]
    };
    desk.write(
        "signed",
        [part("machine_configuration"), part("image")]
            .concat()
            .as_bytes(),
    );
    desk.write("signature", &unhex(&element(&manifest, "signature")));
    let line = "openssl x509 -inform der -in cert.der -pubkey -noout > pub.pem && \
                openssl dgst -sha1 -verify pub.pem -signature signature signed";
    run(desk.folder(), "bash", &["-c", line]);
    // Every part has the digest of which the manifest speaks.
    let digests = manifest.split("<digest algorithm='SHA1'>").skip(2);
    for (name, digest) in parts(&manifest).iter().zip(digests) {
        let sum = run(&desk.path("out"), "sha1sum", &[name]).stdout;
        assert_eq!(sum[..40], digest.as_bytes()[..40], "{name}");
    }
}

/// Keeps parts in memory.
#[derive(Default)]
struct Kept(Vec<Part>);

impl PartSink for Kept {
    fn put(&mut self, part: Part) -> io::Result<()> {
        self.0.push(part);
        Ok(())
    }
}

fn keys() -> Keys {
    Keys {
        private: PrivateKey::open(&data("pk.der")).unwrap(),
        user: Certificate::open(&data("cert.der")).unwrap().key,
        ec2: Certificate::open(&data("ec2cert.der")).unwrap().key,
    }
}

fn packed(desk: &Desk, options: &Options) -> (Bundle, Vec<Part>) {
    let mut kept = Kept::default();
    let image = File::open(desk.path("disk.img")).unwrap();
    let source = Source::of_file(&image).unwrap();
    let bundle = pack(source, options, &keys(), &mut kept, &Silent).unwrap();
    (bundle, kept.0)
}

/// A manifest without what is random or follows from it: what RSA made, the gzip's length and the parts.
fn without_chance(manifest: &str) -> String {
    let mut text = manifest.to_owned();
    let names = ["key algorithm='AES-128-CBC'", "iv"];
    let sealed = ["ec2", "user"]
        .into_iter()
        .flat_map(|who| names.map(|n| format!("{who}_encrypted_{n}")));
    for name in sealed.chain(["bundled_size".into(), "signature".into()]) {
        let start = text
            .find(&format!("<{name}>"))
            .unwrap_or_else(|| panic!("{name}: {text}"));
        let from = start + name.len() + 2;
        let to = from + text[from..].find('<').unwrap();
        text.replace_range(from..to, "");
    }
    let tail = text.find("<parts").unwrap();
    let mut parts = String::new();
    for piece in text[tail..].split("</digest>") {
        // All of a part but its 40 digits.
        let digits = piece.rfind("'SHA1'>").map_or(piece.len(), |at| at + 7);
        parts.push_str(&piece[..digits]);
    }
    text[..tail].to_owned() + &parts
}

#[test]
fn the_manifest_is_what_ec2_ami_tools_write_for_the_same_image() {
    if !have("openssl") {
        return;
    }
    for name in GOLDEN {
        let desk = desk();
        let manifest = golden(&desk, name);
        by_hand(&desk, &manifest, "user", "pk.der");
        // The image's time and mode, of which nothing but the tar speaks.
        let tar = fs::read(desk.path("tar")).unwrap();
        let octal = |at: usize, len: usize| {
            let digits = std::str::from_utf8(&tar[at..at + len]).unwrap();
            i64::from_str_radix(digits, 8).unwrap()
        };
        let theirs = fs::read_to_string(desk.path(&manifest)).unwrap();
        let one = name == "ruby-1part";
        let mappings = ["root=/dev/sda1", "ami=sda", "ephemeral0=sdb"].map(|m| m.parse().unwrap());
        let options = Options {
            kernel: (!one).then(|| "aki-919dcaf8".into()),
            mappings: if one { mappings.to_vec() } else { Vec::new() },
            mode: octal(100, 7).try_into().unwrap(),
            mtime: octal(136, 11),
            bundler: Bundler {
                name: "ec2-ami-tools".into(),
                version: "1.5".into(),
                release: "3".into(),
            },
            part_size: if one { 10 << 20 } else { 10_000 },
            ..Options::new(if one { "one" } else { "many" }, USER).unwrap()
        };
        let (bundle, _) = packed(&desk, &options);
        // The number of parts follows from the gzip too; both are eleven here, and one.
        assert_eq!(without_chance(&bundle.document), without_chance(&theirs));
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let desk = desk();
    // Long enough for several chunks of the compressor.
    write_sparse(&desk.path("disk.img"), &image().repeat(3));
    let secret = Secret {
        key: *b"0123456789abcdef",
        iv: *b"fedcba9876543210",
    };
    let made = [1, 2, 5].map(|threads| {
        let options = Options {
            threads: NonZeroUsize::new(threads).unwrap(),
            secret: Some(secret.clone()),
            part_size: 64 << 10,
            ..Options::new("disk", USER).unwrap()
        };
        let (bundle, parts) = packed(&desk, &options);
        let parts: Vec<_> = parts
            .into_iter()
            .map(|p| (p.index, p.bytes, p.sha1))
            .collect();
        (bundle.manifest.digest, bundle.manifest.bundled_size, parts)
    });
    assert!(made[0].2.len() > 2);
    assert!(made[0] == made[1] && made[0] == made[2]);
}

#[test]
fn a_bundle_of_a_rootfs_holds_what_build_builds() {
    let desk = desk();
    desk.write(
        "rootfs.tar",
        &archive(&[file("etc/hostname", b"demo\n"), file("big", &[7; 300_000])]),
    );
    let shape = ["--boot", "none", "--size", "40M", "--hostname", "demo"];
    let build = ["build", "-q", "rootfs.tar", "-o", "built.img"];
    assert_eq!(desk.run(&[&build[..], &shape].concat()).code, Some(0));
    let built = fs::read(desk.path("built.img")).unwrap();
    bundle(&desk, &[&["rootfs.tar"], &shape[..]].concat());
    let piped = [&["bundle", "-q", "-", "-p", "piped"], &shape[..], &FLAGS].concat();
    assert_eq!(desk.run_with_stdin("rootfs.tar", &piped).code, Some(0));
    let cat = format!(
        "cat rootfs.tar | \"$0\" {}",
        piped.join(" ").replace("piped", "cat")
    );
    run(
        desk.folder(),
        "sh",
        &["-c", &cat, env!("CARGO_BIN_EXE_diskwright")],
    );
    for name in ["image", "piped", "cat"] {
        let manifest = format!("out/{name}.manifest.xml");
        let ran = desk.run(&[
            "unbundle", "-q", &manifest, "-o", "back.img", "-k", "pk.der", "--force",
        ]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(fs::read(desk.path("back.img")).unwrap() == built, "{name}");
    }
    // No image file, no spool.
    let left = desk
        .out()
        .into_iter()
        .filter(|n| !n.contains(".part.") && !n.contains(".manifest."));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_disk_image_from_a_pipe_is_bundled_with_its_holes() {
    let desk = desk();
    let line = "cat disk.img | \"$0\" bundle -q - -p pipe \"$@\"";
    let program = env!("CARGO_BIN_EXE_diskwright");
    run(
        desk.folder(),
        "sh",
        &[&["-c", line, program], &FLAGS[..]].concat(),
    );
    by_hand(&desk, "out/pipe.manifest.xml", "user", "pk.der");
    let tar = fs::read(desk.path("tar")).unwrap();
    assert_eq!(tar[156], b'S');
    run(desk.folder(), "tar", &["-xf", "tar"]);
    assert_eq!(
        sha256(&fs::read(desk.path("pipe")).unwrap()),
        image_sha256()
    );
}

#[test]
fn a_bundle_is_replaced_only_when_asked_and_leaves_no_part_of_the_old_one() {
    let desk = desk();
    bundle(&desk, &["disk.img"]);
    let before = desk.out();
    assert_eq!(before, ["disk.img.manifest.xml", "disk.img.part.0"]);
    let again = [&["bundle", "-q", "disk.img"], &FLAGS[..]].concat();
    let ran = desk.run(&again);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stderr.contains("out/disk.img.part.0 exists already"),
        "{}",
        ran.stderr
    );
    // Of an older, larger bundle, and of another one.
    desk.write("out/disk.img.part.12", b"old");
    desk.write("out/disk.img2.part.0", b"another");
    assert_eq!(desk.run(&[&again[..], &["--force"]].concat()).code, Some(0));
    assert_eq!(
        desk.out(),
        [
            "disk.img.manifest.xml",
            "disk.img.part.0",
            "disk.img2.part.0"
        ]
    );
    let ran = desk.run(&[
        "verify-bundle",
        "-q",
        "out/disk.img.manifest.xml",
        "-k",
        "pk.der",
        "-c",
        "cert.der",
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
}

#[test]
fn a_spec_file_holds_the_flags_of_a_bundle() {
    let desk = desk();
    desk.write(
        "bundle.toml",
        b"rootfs = \"disk.img\"\ndestination = \"out\"\naccount = \"123456789012\"\ncert = \"cert.der\"\n\
          privatekey = \"pk.der\"\nec2cert = \"ec2cert.der\"\nprefix = \"told\"\n",
    );
    let ran = desk.run(&["bundle", "--spec", "bundle.toml", "-q", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(made["size"], 4 << 20);
    assert_eq!(made["parts"][0], "told.part.0");
    assert_eq!(desk.out(), ["told.manifest.xml", "told.part.0"]);
}

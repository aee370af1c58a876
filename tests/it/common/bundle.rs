//! Bundles for the tests: the golden ones, their keys and their image, and openssl as a second opinion.

use super::desk::Desk;
use super::run;
use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The account of every bundle here.
pub const USER: &str = "123456789012";

/// A file of `tests/data/bundle`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/bundle")
        .join(name)
}

/// The image in both golden bundles.
pub fn image() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut gzip = GzDecoder::new(File::open(data("sparse.img.gz")).unwrap());
    gzip.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Its digest, as the fixture tells it.
pub fn image_sha256() -> String {
    let text = fs::read_to_string(data("SHA256")).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

/// Writes `bytes` with holes wherever 4 KiB are zero.
pub fn write_sparse(path: &Path, bytes: &[u8]) {
    let file = File::create(path).unwrap();
    file.set_len(bytes.len().try_into().unwrap()).unwrap();
    for (nr, block) in bytes.chunks(4096).enumerate() {
        if block.iter().any(|&b| b != 0) {
            file.write_all_at(block, u64::try_from(nr).unwrap() * 4096)
                .unwrap();
        }
    }
    file.sync_all().unwrap();
}

/// A desk with the golden image as `disk.img`, and the keys.
pub fn desk() -> Desk {
    let desk = Desk::new();
    write_sparse(&desk.path("disk.img"), &image());
    for name in [
        "cert.der",
        "pk.der",
        "ec2cert.der",
        "ec2pk.der",
        "expired.der",
    ] {
        fs::copy(data(name), desk.path(name)).unwrap();
    }
    desk
}

/// A copy of a golden bundle in the folder `golden`; the name of its manifest.
pub fn golden(desk: &Desk, name: &str) -> String {
    let folder = desk.path("golden");
    fs::create_dir_all(&folder).unwrap();
    let mut manifest = String::new();
    for entry in fs::read_dir(data(name)).unwrap() {
        let entry = entry.unwrap();
        let file = entry.file_name().into_string().unwrap();
        fs::copy(entry.path(), folder.join(&file)).unwrap();
        if file.ends_with(".manifest.xml") {
            manifest = format!("golden/{file}");
        }
    }
    manifest
}

/// The flags that every bundle needs.
pub const FLAGS: [&str; 10] = [
    "-d",
    "out",
    "-u",
    USER,
    "-c",
    "cert.der",
    "-k",
    "pk.der",
    "--ec2cert",
    "ec2cert.der",
];

/// Bundles `disk.img` or whatever `flags` begin with; the program must succeed.
#[track_caller]
pub fn bundle(desk: &Desk, flags: &[&str]) {
    let ran = desk.run(&[&["bundle", "-q"], flags, &FLAGS].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// The text of the first element `name` of a manifest.
pub fn element(manifest: &str, name: &str) -> String {
    let start = manifest
        .find(&format!("<{name}"))
        .unwrap_or_else(|| panic!("no {name}"));
    let text = &manifest[start..];
    let text = &text[text.find('>').unwrap() + 1..];
    text[..text.find("</").unwrap()].to_owned()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Names of the parts, in the order of the manifest.
pub fn parts(manifest: &str) -> Vec<String> {
    let names = manifest.split("<filename>").skip(1);
    names
        .map(|n| n[..n.find('<').unwrap()].to_owned())
        .collect()
}

/// Decrypts and unpacks a bundle with openssl, gunzip and tar alone; the tar is left in `tar`. `who` is
/// `user` or `ec2`, `key` their private key.
pub fn by_hand(desk: &Desk, manifest: &str, who: &str, key: &str) {
    let path = desk.path(manifest);
    let text = fs::read_to_string(&path).unwrap();
    let open = |name: &str| {
        desk.write(
            "sealed",
            &unhex(&element(&text, &format!("{who}_encrypted_{name}"))),
        );
        let line = [
            "pkeyutl", "-decrypt", "-inkey", key, "-keyform", "DER", "-in", "sealed",
        ];
        String::from_utf8(run(desk.folder(), "openssl", &line).stdout).unwrap()
    };
    let (secret, iv) = (open("key"), open("iv"));
    assert_eq!((secret.len(), iv.len()), (32, 32));
    let folder = path.parent().unwrap();
    let mut all = Vec::new();
    for part in parts(&text) {
        all.extend(fs::read(folder.join(part)).unwrap());
    }
    desk.write("all", &all);
    let line = format!("openssl enc -d -aes-128-cbc -K {secret} -iv {iv} -in all | gunzip > tar");
    run(desk.folder(), "bash", &["-o", "pipefail", "-c", &line]);
}

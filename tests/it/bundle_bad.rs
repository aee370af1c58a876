//! Bundles and inputs that are not as they should be: what is said, the exit code, nothing left behind.

use crate::common::bundle::{
    FLAGS, USER, by_hand, desk, element, golden, image, parts, write_sparse,
};
use crate::common::desk::{Desk, Running};
use crate::common::fault::wait_until;
use crate::common::run;
use crate::tools::have;
use diskwright::bundle::Signed;
use expect_test::{Expect, expect};
use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

#[track_caller]
fn refused(desk: &Desk, flags: &[&str], code: i32, expected: Expect) {
    desk.refused(&[&["bundle", "-q"], flags, &FLAGS].concat(), code, expected);
}

#[test]
fn what_is_no_raw_disk_is_named() {
    let desk = desk();
    let mut fixed = vec![0; 4096];
    fixed[510..512].copy_from_slice(b"\x55\xaa");
    fixed.extend(b"conectix");
    fixed.extend([0; 504]);
    desk.write("fixed.vhd", &fixed);
    desk.write(
        "disk.qcow2",
        &[&b"QFI\xfb\0\0\0\x03"[..], &[0; 600]].concat(),
    );
    desk.write("dynamic.vhd", &[&b"conectix"[..], &[0; 1024]].concat());
    desk.write(
        "page.html",
        &[&b"<!DOCTYPE html>"[..], &[b' '; 600]].concat(),
    );
    desk.write("empty.img", b"");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fixed).unwrap();
    desk.write("disk.img.gz", &gzip.finish().unwrap());
    refused(
        &desk,
        &["disk.qcow2"],
        3,
        expect![[r#"
        error: disk.qcow2 looks like a qcow2 disk image; a bundle holds a raw one: qemu-img convert -O raw disk.qcow2 disk.img
    "#]],
    );
    refused(
        &desk,
        &["dynamic.vhd"],
        3,
        expect![[r#"
        error: dynamic.vhd looks like a VHD disk image; a bundle holds a raw one: qemu-img convert -O raw dynamic.vhd disk.img
    "#]],
    );
    refused(
        &desk,
        &["fixed.vhd"],
        3,
        expect![[r#"
        error: fixed.vhd is a VHD of fixed size; a bundle holds a raw disk: qemu-img convert -f vpc -O raw fixed.vhd disk.img
    "#]],
    );
    refused(
        &desk,
        &["page.html"],
        3,
        expect![[r#"
        error: page.html looks like an HTML page; give a raw disk image, or a root filesystem as a tar
    "#]],
    );
    refused(
        &desk,
        &["empty.img"],
        3,
        expect![[r#"
        error: empty.img is empty
    "#]],
    );
    refused(
        &desk,
        &["disk.img.gz"],
        3,
        expect![[r#"
        error: disk.img.gz is not a tar archive inside its gzip compression: it looks like an MBR disk image or boot sector; a disk image is what this program makes; give the root filesystem as a tar
    "#]],
    );
    refused(
        &desk,
        &["none.img"],
        3,
        expect![[r#"
        error: cannot read none.img
          because: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn an_image_above_10_gib_is_refused_before_it_is_read() {
    let desk = desk();
    let mut large = File::create(desk.path("large.img")).unwrap();
    large.write_all(&image()).unwrap();
    large.set_len((10 << 30) + 512).unwrap();
    refused(
        &desk,
        &["large.img"],
        3,
        expect![[r#"
        warning: large.img begins with no partition table or filesystem known here; it is taken as it is
        error: the image has 10737418752 bytes, and EC2 takes no bundle of more than 10737418240 (10 GiB); make it smaller, or a snapshot of it
    "#]],
    );
}

#[test]
fn keys_that_do_not_serve_are_told_by_kind() {
    let desk = desk();
    desk.write(
        "noise.pem",
        b"-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----\n",
    );
    desk.write(
        "locked.pem",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let with = |cert: &str, key: &str, expected: Expect| {
        let line = [
            "bundle", "-q", "disk.img", "-d", "out", "-u", USER, "-c", cert, "-k", key,
        ];
        desk.refused(&line, 3, expected);
    };
    with(
        "cert.der",
        "none.pem",
        expect![[r#"
        error: cannot read none.pem
          because: No such file or directory (os error 2)
    "#]],
    );
    with(
        "cert.der",
        "noise.pem",
        expect![[r#"
        error: noise.pem holds no private RSA key: it is `PRIVATE KEY`, damaged or of another algorithm
    "#]],
    );
    with(
        "cert.der",
        "locked.pem",
        expect![[r#"
        error: locked.pem is encrypted with a passphrase; decrypt it first: openssl rsa -in locked.pem -out plain.pem
    "#]],
    );
    with(
        "cert.der",
        "cert.der",
        expect![[r#"
        error: cert.der holds no private RSA key: it is a certificate: were --cert and --privatekey mixed up?
    "#]],
    );
    with(
        "pk.der",
        "pk.der",
        expect![[r#"
        error: pk.der holds no X.509 certificate: it is a private key: were --cert and --privatekey mixed up?
    "#]],
    );
    with(
        "ec2cert.der",
        "pk.der",
        expect![[r#"
        error: pk.der is not the private key of ec2cert.der: their moduli differ; what was encrypted for one could not be read with the other
    "#]],
    );
    if have("openssl") {
        let line = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
                    -subj /CN=x -keyout ec.pem -out ec-cert.pem 2>/dev/null";
        run(desk.folder(), "sh", &["-c", line]);
        with(
            "cert.der",
            "ec.pem",
            expect![[r#"
            error: ec.pem holds no private RSA key: it is `PRIVATE KEY`, damaged or of another algorithm
        "#]],
        );
        with(
            "ec-cert.pem",
            "pk.der",
            expect![[r#"
            error: ec-cert.pem holds no certificate of an RSA key: its key is of another kind, or longer than 4096 bits
        "#]],
        );
    }
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let desk = desk();
    let line = [
        "bundle",
        "-q",
        "disk.img",
        "-d",
        "out",
        "-u",
        "1234-5678-9012",
        "-c",
        "expired.der",
    ];
    let ran = desk.run(&[&line[..], &["-k", "pk.der", "--region", "eu-west-1"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    expect![[r#"
        warning: the certificate expired.der has expired; EC2 does not look at its dates
        warning: disk.img begins with no partition table or filesystem known here; it is taken as it is
    "#]].assert_eq(&ran.stderr);
}

#[test]
fn values_that_no_manifest_can_have_are_refused_on_the_command_line() {
    let desk = desk();
    refused(
        &desk,
        &["disk.img", "--arch", "arm64"],
        2,
        expect![[r#"
        error: invalid value 'arm64' for '--arch <ARCH>': EC2 starts no bundle of arm64: instances with their root in S3 are x86_64 and i386 alone (C1 to X1, Xen); make a snapshot of the image instead

        For more information, try '--help'.
    "#]],
    );
    refused(
        &desk,
        &["disk.img", "-p", "a/b"],
        2,
        expect![[r#"
            error: prefix `a/b`: letters, digits, dots, dashes and underscores make a name, a letter or digit first
        "#]],
    );
    refused(
        &desk,
        &["disk.img", "--kernel", "AKI 1"],
        2,
        expect![[r#"
            error: kernel `AKI 1`: an identifier like aki-919dcaf8 is needed
        "#]],
    );
    refused(
        &desk,
        &["disk.img", "-B", "disk=sda"],
        2,
        expect![[r#"
        error: invalid value 'disk=sda' for '--block-device-mapping <VIRTUAL=DEVICE,…>': block device mapping `disk=sda`: virtual devices are ami, root, swap and ephemeralN

        For more information, try '--help'.
    "#]],
    );
    refused(
        &desk,
        &["disk.img", "--size", "1G"],
        2,
        expect![[r#"
        warning: disk.img begins with no partition table or filesystem known here; it is taken as it is
        error: flags that shape an image are for one made of a root filesystem, and the input is an image already
        help: leave them out, or give the root filesystem
    "#]],
    );
    let line = [
        "bundle", "-q", "disk.img", "-d", "out", "-u", "12", "-c", "cert.der", "-k", "pk.der",
    ];
    desk.refused(
        &line,
        2,
        expect![[r#"
        error: user `12`: an AWS account number has twelve digits
    "#]],
    );
    let line = [
        "bundle", "-q", "disk.img", "-d", "out", "-u", USER, "-c", "cert.der", "-k", "pk.der",
    ];
    let far = [&line[..], &["--region", "cn-northwest-1"]].concat();
    desk.refused(&far, 2, expect![[r#"
        error: no public key of EC2 is known here for a region "cn-northwest-1": correct `--region`, or name the certificate with `--ec2cert`
    "#]]);
    let line = [
        "bundle",
        "-q",
        "disk.img",
        "-d",
        "nowhere/b",
        "-u",
        USER,
        "-c",
        "cert.der",
        "-k",
        "pk.der",
    ];
    desk.refused(
        &line,
        3,
        expect![[r#"
        error: cannot make the folder nowhere/b
          because: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn a_folder_is_made_for_a_bundle_and_goes_again_with_its_failure() {
    let desk = desk();
    let line = [
        "bundle", "-q", "disk.img", "-d", "new", "-u", USER, "-c", "cert.der", "-k", "pk.der",
    ];
    let failed = desk.run(&[&line[..], &["--size", "1G"]].concat());
    assert_eq!(failed.code, Some(2), "{failed:?}");
    assert!(!desk.path("new").exists());
    let made = desk.run(&line);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(made.stdout, "new/disk.img.manifest.xml\n");
}

#[test]
fn a_rootfs_for_arm64_is_refused() {
    use crate::common::tarball::{archive, file};
    let desk = desk();
    desk.write(
        "arm.tar",
        &archive(&[file("lib/ld-linux-aarch64.so.1", b"\x7fELF")]),
    );
    refused(
        &desk,
        &["arm.tar", "--boot", "none"],
        3,
        expect![[r#"
        error: EC2 starts no bundle of arm64: instances with their root in S3 are x86_64 and i386 alone (C1 to X1, Xen); make a snapshot of the image instead
    "#]],
    );
}

/// What verify-bundle says of a golden bundle after `change`; unbundle must refuse it and leave nothing.
#[track_caller]
fn damaged(change: impl FnOnce(&Desk, &str), unbundles: bool, expected: Expect) {
    let desk = desk();
    let manifest = golden(&desk, "ruby-11parts");
    change(&desk, &manifest);
    let ran = desk.run(&[
        "verify-bundle",
        "-q",
        &manifest,
        "-c",
        "cert.der",
        "-k",
        "pk.der",
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{ran:?}");
    expected.assert_eq(&ran.stdout);
    let ran = desk.run(&[
        "unbundle",
        "-q",
        &manifest,
        "-o",
        "out/x.img",
        "-k",
        "pk.der",
    ]);
    let left = if unbundles {
        vec!["x.img".to_owned()]
    } else {
        Vec::new()
    };
    assert_eq!(
        (ran.code, desk.out()),
        (Some(if unbundles { 0 } else { 3 }), left),
        "{ran:?}"
    );
}

fn flip(desk: &Desk, name: &str, at: usize) {
    let mut bytes = fs::read(desk.path(name)).unwrap();
    bytes[at] ^= 1;
    desk.write(name, &bytes);
}

fn replace(desk: &Desk, manifest: &str, from: &str, to: &str) {
    let text = fs::read_to_string(desk.path(manifest)).unwrap();
    assert!(text.contains(from), "{from}");
    desk.write(manifest, text.replacen(from, to, 1).as_bytes());
}

#[test]
fn damage_is_found_wherever_it_is() {
    damaged(
        |desk, _| flip(desk, "golden/many.part.03", 5000),
        false,
        expect![[r#"
            many.part.03: its SHA-1 is bd5b718f3c6e9b0eb23719c65c07256889e3c4a6, the manifest has b9c311ba5f59622623fad5f96996fdb6c1bacbcf
            stream: the decrypted stream is no sound gzip: corrupt gzip stream does not have a matching checksum
        "#]],
    );
    damaged(
        |desk, _| fs::remove_file(desk.path("golden/many.part.07")).unwrap(),
        false,
        expect![[r#"
            many.part.07: it cannot be read: No such file or directory (os error 2)
        "#]],
    );
    damaged(
        |desk, _| {
            File::options()
                .write(true)
                .open(desk.path("golden/many.part.10"))
                .unwrap()
                .set_len(416)
                .unwrap();
        },
        false,
        expect![[r#"
            many.part.10: its SHA-1 is 9be1aff44602c9207daabb27a4c4bde9d3c5cea1, the manifest has 5cf4d3727ab70bd4d22f6999786416ab77a736a3
            manifest: its bundled_size is 100432, the parts have 100416 bytes
            stream: the last block has no padding of PKCS #7: the bundle is cut short, or its key is another
        "#]],
    );
    damaged(
        |desk, _| {
            fs::rename(desk.path("golden/many.part.01"), desk.path("x")).unwrap();
            fs::rename(
                desk.path("golden/many.part.02"),
                desk.path("golden/many.part.01"),
            )
            .unwrap();
            fs::rename(desk.path("x"), desk.path("golden/many.part.02")).unwrap();
        },
        false,
        expect![[r#"
            many.part.01: its SHA-1 is afab7a48fbcb020c7606267c3ae87360b4b40b4c, the manifest has a1e4f01691fa49f2af846570aec01b6edfdcbe97
            many.part.02: its SHA-1 is a1e4f01691fa49f2af846570aec01b6edfdcbe97, the manifest has afab7a48fbcb020c7606267c3ae87360b4b40b4c
            stream: the decrypted stream is no sound gzip: corrupt deflate stream
        "#]],
    );
}

#[test]
fn a_manifest_that_lies_is_found_out() {
    damaged(
        |d, m| replace(d, m, "<size>4194304", "<size>4194303"),
        false,
        expect![[r#"
            signature: it is not of this manifest, or not by the key of cert.der: the manifest was changed
            stream: the image has 4194304 bytes, the manifest's size is 4194303
        "#]],
    );
    damaged(
        |d, m| replace(d, m, "<bundled_size>100432", "<bundled_size>100433"),
        false,
        expect![[r#"
            signature: it is not of this manifest, or not by the key of cert.der: the manifest was changed
            manifest: its bundled_size is 100433, the parts have 100432 bytes
        "#]],
    );
    damaged(
        |d, m| replace(d, m, "'SHA1'>9d49", "'SHA1'>9d48"),
        false,
        expect![[r#"
            signature: it is not of this manifest, or not by the key of cert.der: the manifest was changed
            stream: the SHA-1 of the tar is 9d4922eecc530d13f2256bceaac527446b47d242, the manifest has 9d4822eecc530d13f2256bceaac527446b47d242
        "#]],
    );
    damaged(
        |d, m| replace(d, m, "count='11'", "count='12'"),
        false,
        expect![[r#"
            manifest: byte 2714, `image/parts`: count is `12`, parts there are 11
        "#]],
    );
    damaged(
        |d, m| replace(d, m, "index='4'", "index='5'"),
        false,
        expect![[r#"
            manifest: byte 3252, `image/parts/part`: index `5` stands where 4 should
        "#]],
    );
    damaged(
        |d, m| replace(d, m, "many.part.03", "../many.part.03"),
        false,
        expect![[r#"
            manifest: byte 3138, `image/parts/part/filename`: `../many.part.03` is no plain file name
        "#]],
    );
    damaged(
        |d, m| replace(d, m, "many.part.03", "many.part.02"),
        false,
        expect![[r#"
            manifest: byte 3138, `image/parts/part/filename`: `many.part.02` is the name of two parts
        "#]],
    );
    damaged(
        |d, m| replace(d, m, "<user>1234", "<user>4321"),
        true,
        expect![[r#"
            signature: it is not of this manifest, or not by the key of cert.der: the manifest was changed
        "#]],
    );
    damaged(
        |d, m| replace(d, m, "<type>machine</type>", ""),
        false,
        expect![[r#"
            manifest: the element `image/type` is missing
        "#]],
    );
}

#[test]
fn what_is_no_manifest_is_no_finding() {
    let desk = desk();
    let check = |name: &str, bytes: &[u8], expected: Expect| {
        desk.write(name, bytes);
        desk.refused(&["verify-bundle", "-q", name], 3, expected);
        let line = ["unbundle", "-q", name, "-o", "out/x.img", "-k", "pk.der"];
        assert_eq!((desk.run(&line).code, desk.out()), (Some(3), Vec::new()));
    };
    check(
        "a.xml",
        b"",
        expect![[r#"
        error: a.xml is no manifest of a bundle
          because: it is no XML document
          because: byte 0: a document has one element at its root
    "#]],
    );
    check(
        "b.xml",
        b"\xff\xfe",
        expect![[r#"
        error: b.xml is no manifest of a bundle
          because: it is no text in UTF-8
    "#]],
    );
    check(
        "c.xml",
        b"<manifest><version>2007-10-10</version>",
        expect![[r#"
            error: c.xml is no manifest of a bundle
              because: it is no XML document
              because: byte 39: the document ends too early
        "#]],
    );
    check(
        "d.xml",
        b"<manifest><version>3</version></manifest>",
        expect![[r#"
            error: d.xml is no manifest of a bundle
              because: its version is `3`; the manifest of a bundle has a root element `manifest` of version 2007-10-10
        "#]],
    );
    check(
        "e.xml",
        b"<html/>",
        expect![[r#"
        error: e.xml is no manifest of a bundle
          because: its root element is `html`; the manifest of a bundle has a root element `manifest` of version 2007-10-10
    "#]],
    );
}

#[test]
fn another_key_opens_nothing() {
    if !have("openssl") {
        return;
    }
    let desk = desk();
    let manifest = golden(&desk, "ruby-1part");
    run(
        desk.folder(),
        "sh",
        &["-c", "openssl genrsa -out other.pem 2048 2>/dev/null"],
    );
    let line = [
        "unbundle",
        "-q",
        &manifest,
        "-o",
        "out/x.img",
        "-k",
        "other.pem",
    ];
    desk.refused(&line, 3, expect![[r#"
        error: cannot unbundle golden/one.manifest.xml
          because: the key other.pem opens neither the user's copy of the bundle's key nor EC2's: the bundle was made for another certificate
    "#]]);
}

/// euca2ools quotes doubly, names an encoding and writes a plain member; AWS's guide indents.
#[test]
fn bundles_of_euca2ools_and_indented_manifests_are_read() {
    if !(have("openssl") && have("python3")) {
        return;
    }
    let desk = desk();
    let manifest = golden(&desk, "ruby-1part");
    let text = fs::read_to_string(desk.path(&manifest)).unwrap();
    let indented = text.replace("><", ">\n  <");
    desk.write(&manifest, indented.as_bytes());
    let ran = desk.run(&[
        "verify-bundle",
        "-q",
        &manifest,
        "-c",
        "cert.der",
        "-k",
        "pk.der",
    ]);
    expect![[r#"
        signature: it is of this content, but the text was indented or quoted anew since
    "#]]
    .assert_eq(&ran.stdout);

    // A bundle of the same key whose tar is of Python's tarfile, as euca2ools has it.
    desk.write(&manifest, text.as_bytes());
    by_hand(&desk, &manifest, "user", "pk.der");
    let plain = "import tarfile; t = tarfile.open('plain.tar', 'w', format=tarfile.GNU_FORMAT); t.add('disk.img')";
    run(
        desk.folder(),
        "python3",
        &["-c", &format!("{plain}; t.close()")],
    );
    let key = |name: &str| {
        let sealed = element(&text, &format!("user_encrypted_{name}"));
        desk.write("sealed", &crate::common::bundle::unhex(&sealed));
        let line = [
            "pkeyutl", "-decrypt", "-inkey", "pk.der", "-keyform", "DER", "-in", "sealed",
        ];
        String::from_utf8(run(desk.folder(), "openssl", &line).stdout).unwrap()
    };
    let line = format!(
        "gzip -c plain.tar | openssl enc -e -aes-128-cbc -K {} -iv {} > golden/one.part.0",
        key("key"),
        key("iv")
    );
    run(desk.folder(), "sh", &["-c", &line]);
    let sum = |name: &str| {
        let line = ["sha1", "-r", name];
        String::from_utf8(run(desk.folder(), "openssl", &line).stdout).unwrap()[..40].to_owned()
    };
    let size = fs::metadata(desk.path("golden/one.part.0")).unwrap().len();
    let part = text.split("<digest algorithm='SHA1'>").nth(2).unwrap()[..40].to_owned();
    let euca = text
        .replace(&element(&text, "digest"), &sum("plain.tar"))
        .replace(&part, &sum("golden/one.part.0"))
        .replace("<bundled_size>100432", &format!("<bundled_size>{size}"))
        .replace(&element(&text, "signature"), "UNSIGNED")
        .replace(
            "<?xml version='1.0'?>",
            "<?xml version='1.0' encoding='ASCII'?>\n",
        )
        .replace('\'', "\"");
    desk.write(&manifest, euca.as_bytes());
    let ran = desk.run(&[
        "verify-bundle",
        "-q",
        &manifest,
        "-k",
        "pk.der",
        "-c",
        "cert.der",
    ]);
    expect![[r#"
        signature: the manifest is not signed
    "#]]
    .assert_eq(&ran.stdout);
    let ran = desk.run(&[
        "unbundle", "-q", &manifest, "-o", "back.img", "-k", "pk.der",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(fs::read(desk.path("back.img")).unwrap() == image());
    assert_eq!(parts(&euca).len(), 1);
}

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    let desk = desk();
    write_sparse(&desk.path("disk.img"), &image());
    let line = [&["bundle", "-q", "-"], &FLAGS[..]].concat();
    let mut command = desk.command(&line);
    let mut running = Running(
        command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut pipe = running.0.stdin.take().unwrap();
    pipe.write_all(&image()).unwrap();
    wait_until("the folder for the parts", || !desk.out().is_empty());
    let id = running.0.id().to_string();
    run("/".as_ref(), "kill", &["-s", "INT", &id]);
    let _ = pipe.write_all(&vec![7; 8 << 20]);
    let status = running.0.wait().unwrap();
    assert_eq!((status.code(), desk.out()), (Some(130), Vec::new()));
}

#[test]
fn a_full_disk_leaves_nothing() {
    if !have("strace") {
        return;
    }
    let desk = desk();
    let line = [&["bundle", "-q", "disk.img"], &FLAGS[..]].concat();
    let ran = desk.run_with_fault("write", "error=ENOSPC:when=1+", &line);
    // What it would say goes to the same call.
    assert_eq!((ran.code, desk.out()), (Some(3), Vec::new()), "{ran:?}");
}

#[test]
fn a_manifest_of_any_size_and_any_bytes_is_an_error_or_a_manifest() {
    let text = fs::read(crate::common::bundle::data(
        "ruby-11parts/many.manifest.xml",
    ))
    .unwrap();
    assert!(Signed::parse(&text).is_ok());
    for at in (0..text.len()).step_by(7) {
        let _ = Signed::parse(&text[..at]);
        let mut changed = text.clone();
        changed[at] = b'<';
        let _ = Signed::parse(&changed);
    }
}

#[test]
fn a_folder_is_not_bundled_into_itself() {
    let desk = desk();
    desk.write("out/file", b"data");
    let ran = desk.run(&[&["bundle", "-q", "out"], &FLAGS[..]].concat());
    assert_eq!(
        (ran.code, desk.out()),
        (Some(3), vec!["file".to_owned()]),
        "{ran:?}"
    );
}

//! Amazon's own ec2-ami-tools, where a copy is at hand: it runs unmodified on Debian 12's ruby, with `EC2_HOME` and
//! `EC2_AMITOOL_HOME` naming its folder. Its licence forbids a copy here, and no package registry has one, so
//! that it cannot be demanded; the golden bundles of `bundle` stand for it in every run.

use crate::common::bundle::{FLAGS, USER, bundle, desk, element, image};
use crate::common::desk::Desk;
use crate::common::run;
use std::fs;
use std::io::Write;

/// A copy of the tools, if there is one.
fn tools() -> Option<String> {
    let home = std::env::var("EC2_AMITOOL_HOME").ok();
    if home.is_none() {
        // Past libtest's capture, which would hide it.
        let _ = writeln!(
            std::io::stderr(),
            "\n*** SKIP: EC2_AMITOOL_HOME names no ec2-ami-tools ***"
        );
    }
    home
}

fn ruby(desk: &Desk, home: &str, tool: &str, flags: &[&str]) {
    let lib = format!("{home}/lib");
    let script = format!("{lib}/ec2/amitools/{tool}.rb");
    run(
        desk.folder(),
        "ruby",
        &[&["-I", &lib, &script], flags].concat(),
    );
}

#[test]
fn ec2_unbundle_reads_ours_and_its_signature() {
    let Some(home) = tools() else { return };
    let desk = desk();
    bundle(
        &desk,
        &["disk.img", "-p", "ours", "-B", "ami=sda,root=/dev/sda1"],
    );
    fs::create_dir(desk.path("back")).unwrap();
    let line = [
        "-m",
        "out/ours.manifest.xml",
        "-s",
        "out",
        "-d",
        "back",
        "-k",
        "pk.der",
    ];
    ruby(&desk, &home, "unbundle", &line);
    assert!(fs::read(desk.path("back/ours")).unwrap() == image());
    // Through REXML, which writes the signed elements anew.
    run(
        desk.folder(),
        "sh",
        &["-c", "openssl x509 -inform der -in cert.der -out cert.pem"],
    );
    let check = "require 'ec2/amitools/manifestv20071010'; \
                 m = ManifestV20071010.new(File.read('out/ours.manifest.xml')); \
                 exit m.authenticate(File.read('cert.pem'))";
    run(
        desk.folder(),
        "ruby",
        &["-I", &format!("{home}/lib"), "-e", check],
    );
}

#[test]
fn ec2_bundle_image_makes_the_same_tar_and_we_read_it() {
    let Some(home) = tools() else { return };
    let desk = desk();
    bundle(&desk, &["disk.img", "-p", "same"]);
    let ours = fs::read_to_string(desk.path("out/same.manifest.xml")).unwrap();
    fs::create_dir(desk.path("theirs")).unwrap();
    let line = [
        "--batch", "-i", "disk.img", "-p", "same", "-d", "theirs", "-r", "x86_64", "-u", USER,
    ];
    ruby(
        &desk,
        &home,
        "bundleimage",
        &[&line[..], &FLAGS[4..]].concat(),
    );
    let name = "theirs/same.manifest.xml";
    let theirs = fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(element(&ours, "digest"), element(&theirs, "digest"));
    let ran = desk.run(&[
        "verify-bundle",
        "-q",
        name,
        "-c",
        "cert.der",
        "-k",
        "pk.der",
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
}

//! A root filesystem becomes an AMI without an image file in between.

use crate::common::cloud::Cloud;
use crate::common::desk::{Ran, Running, ran};
use crate::common::fault::wait_until;
use crate::common::tarball::{Header, archive, file};
use crate::fake_ebs::{Fault, Status, When};
use std::io::Write;
use std::process::Stdio;

/// What every push of an archive without a system in it says besides.
const SHAPE: [&str; 6] = ["--boot", "none", "--size", "64M", "--seed", "push"];

fn bytes(nr: u8, len: usize) -> Vec<u8> {
    (0..len)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1] ^ nr | 1)
        .collect()
}

/// Large files and small ones, a run of zeros, and one that is replaced by a shorter one.
fn rootfs() -> Vec<u8> {
    let mut members = vec![
        file("etc/hostname", b"push\n"),
        file("large", &bytes(1, 9 << 20)),
        file("replaced", &bytes(2, 5 << 20)),
        file(
            "zeros",
            &[&bytes(3, 700_000)[..], &[0; 3 << 20], &bytes(4, 5)].concat(),
        ),
    ];
    for n in 0..200 {
        members.push(file(&format!("small/{n}"), &bytes(n, 100 * usize::from(n))));
    }
    members.push(file("replaced", &bytes(5, 1000)));
    members.push(file("last", &bytes(6, 2 << 20)));
    archive(&members)
}

fn push_of(cloud: &Cloud, args: &[&str]) -> Ran {
    let ami = ["--arch", "x86_64", "--name", "web"];
    cloud.run(&[&["push"], args, &SHAPE, &ami].concat())
}

/// A push that must succeed, as JSON.
#[track_caller]
fn pushed(cloud: &Cloud, args: &[&str]) -> serde_json::Value {
    let ran = push_of(cloud, &[args, &["--json"]].concat());
    assert_eq!(
        ran.code,
        Some(0),
        "{ran:?} {:?}",
        cloud.fake.state().refusals
    );
    serde_json::from_str(&ran.stdout).unwrap()
}

fn snapshot_of(figures: &serde_json::Value) -> &str {
    figures["snapshot"]["snapshot-id"].as_str().unwrap()
}

/// The image that `build` makes with the same flags, under this name.
fn build(cloud: &Cloud, image: &str, flags: &[&str]) {
    let ran = cloud
        .desk
        .run(&[&["build", "rootfs.tar", "-o", image], flags].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn what_is_pushed_is_the_image_that_build_makes() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    build(&cloud, "disk.img", &SHAPE);
    let figures = pushed(&cloud, &["rootfs.tar"]);
    cloud.holds(snapshot_of(&figures), "disk.img");
    assert!(
        figures["image-id"].as_str().unwrap().starts_with("ami-"),
        "{figures}"
    );
    // Nothing but the archive and the image lies there.
    assert_eq!(cloud.desk.out(), Vec::<String>::new());
}

#[test]
fn a_disk_that_is_fitted_is_sent_when_its_size_is_known() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    let flags = ["--boot", "none", "--seed", "push"];
    build(
        &cloud,
        "disk.img",
        &[&flags[..], &["--round", "1G"]].concat(),
    );
    let args = [
        "push",
        "rootfs.tar",
        "--arch",
        "x86_64",
        "--name",
        "web",
        "--json",
    ];
    let ran = cloud.run(&[&args[..], &flags].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let figures: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    cloud.holds(snapshot_of(&figures), "disk.img");
}

#[test]
fn blocks_are_sent_while_the_archive_is_still_being_read() {
    let cloud = Cloud::new();
    let tar = rootfs();
    cloud.desk.write("rootfs.tar", &tar);
    build(&cloud, "disk.img", &SHAPE);
    let args = ["push", "-", "--arch", "x86_64", "--name", "web", "--json"];
    let mut command = cloud.command(&[&args[..], &SHAPE].concat());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let (first, rest) = tar.split_at(16 << 20);
    pipe.write_all(first).unwrap();
    wait_until("blocks", || cloud.fake.state().puts >= 8);
    pipe.write_all(rest).unwrap();
    drop(pipe);
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let figures: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    cloud.holds(snapshot_of(&figures), "disk.img");
}

#[test]
fn the_same_archive_pushed_again_is_the_same_ami() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    let first = pushed(&cloud, &["rootfs.tar"]);
    let puts = cloud.fake.state().puts;
    std::fs::rename(cloud.desk.path("rootfs.tar"), cloud.desk.path("other.tar")).unwrap();
    let second = pushed(&cloud, &["other.tar", "--description", "rootfs.tar"]);
    assert_eq!(second["image-id"], first["image-id"]);
    assert_eq!(snapshot_of(&second), snapshot_of(&first));
    assert_eq!(cloud.fake.state().puts, puts);
}

#[test]
fn an_archive_that_breaks_off_leaves_nothing() {
    let cloud = Cloud::new();
    let tar = rootfs();
    cloud
        .desk
        .write("rootfs.tar", &tar[..tar.len() - (3 << 20)]);
    let ran = push_of(&cloud, &["rootfs.tar"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("rootfs.tar"), "{ran:?}");
    assert!(cloud.fake.state().puts > 0);
    assert_eq!(cloud.left(), []);
}

#[test]
fn a_disk_that_is_too_small_leaves_nothing() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    let args = ["push", "rootfs.tar", "--boot", "none", "--size", "16M"];
    let ran = cloud.run(&[&args[..], &["--arch", "x86_64", "--name", "web"]].concat());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(cloud.left(), []);
}

#[test]
fn when_the_ami_is_refused_the_snapshot_is_deleted() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    cloud
        .fake
        .fault("RegisterImage", When::After(0), Fault::Denied);
    let ran = push_of(&cloud, &["rootfs.tar"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("ec2:RegisterImage"), "{ran:?}");
    assert_eq!(cloud.left(), []);
}

#[test]
fn interrupted_while_the_archive_is_being_read_it_leaves_nothing() {
    let cloud = Cloud::new();
    let args = ["push", "-", "--arch", "x86_64", "--name", "web"];
    let mut command = cloud.command(&[&args[..], &SHAPE].concat());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut pipe = running.0.stdin.take().unwrap();
    pipe.write_all(&Header::new("big", b'0', 40 << 20).block())
        .unwrap();
    pipe.write_all(&bytes(1, 24 << 20)).unwrap();
    wait_until("blocks", || cloud.fake.state().puts >= 8);
    assert_eq!(cloud.left(), [Status::Pending]);
    let id = running.0.id().to_string();
    crate::tools::stdout("kill", &["-INT", &id]);
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
    assert_eq!(cloud.left(), []);
}

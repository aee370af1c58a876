//! A root filesystem becomes an AMI without an image file in between.

use crate::aws_moto::{Moto, element};
use crate::common::bundle;
use crate::common::cloud::{Cloud, Holds};
use crate::common::desk::{Desk, Ran, Running, ran};
use crate::common::fault::wait_until;
use crate::common::tarball::{Header, archive, file};
use crate::fake_ebs::{Fault, Status, When};
use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

/// What every push of an archive without a system in it says besides.
const SHAPE: [&str; 6] = ["--boot", "none", "--size", "64M", "--seed", "push"];

/// A push whose archive comes through a pipe.
fn piped(cloud: &Cloud, args: &[&str]) -> (Running, ChildStdin) {
    let (verb, args) = args.split_at(1);
    let mut command = cloud.command(&[verb, &SHAPE, args].concat());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let pipe = running.0.stdin.take().unwrap();
    (running, pipe)
}

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
    let count = |name: &str| figures["snapshot"][name].as_u64().unwrap();
    let blocks = ["sent", "resumed", "inherited", "free"].map(count);
    assert_eq!(blocks.iter().sum::<u64>(), 128, "of 64 MiB: {figures}");
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
    let (running, mut pipe) = piped(&cloud, &args);
    let (first, rest) = tar.split_at(16 << 20);
    pipe.write_all(first).unwrap();
    wait_until("blocks", || cloud.fake.state().matters >= 8);
    pipe.write_all(rest).unwrap();
    drop(pipe);
    let ran = running.end();
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
    let args = ["push", "-", "--arch", "x86_64", "--name", "web"];
    let (running, mut pipe) = piped(&cloud, &args);
    pipe.write_all(&rootfs()[..16 << 20]).unwrap();
    wait_until("blocks", || cloud.fake.state().matters >= 8);
    drop(pipe);
    let ran = running.end();
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(cloud.left(), []);
}

#[test]
fn a_file_that_breaks_off_is_named_and_leaves_nothing() {
    let cloud = Cloud::new();
    let tar = rootfs();
    cloud
        .desk
        .write("rootfs.tar", &tar[..tar.len() - (3 << 20)]);
    let ran = push_of(&cloud, &["rootfs.tar"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("rootfs.tar"), "{ran:?}");
    assert_eq!(cloud.left(), []);
}

#[test]
fn a_build_that_failed_does_not_wait_for_the_zeros_of_a_large_disk() {
    let cloud = Cloud::new();
    cloud.fake.state().manner.writing = Duration::from_millis(100);
    let args = ["push", "-", "--arch", "x86_64", "--name", "web"];
    let (running, mut pipe) = piped(&cloud, &[&args[..], &["--size", "256G"]].concat());
    pipe.write_all(&rootfs()[..2 << 20]).unwrap();
    wait_until("blocks", || cloud.fake.state().puts > 0);
    drop(pipe);
    let ran = running.end();
    assert_eq!(ran.code, Some(3), "{ran:?}");
    // Of more than 7000 that there are.
    let puts = cloud.fake.state().puts;
    assert!(puts < 2000, "{puts}");
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
    let (mut running, mut pipe) = piped(&cloud, &args);
    pipe.write_all(&Header::new("big", b'0', 40 << 20).block())
        .unwrap();
    pipe.write_all(&bytes(1, 24 << 20)).unwrap();
    wait_until("blocks", || cloud.fake.state().matters >= 8);
    assert_eq!(cloud.left(), [Status::Pending]);
    let id = running.0.id().to_string();
    crate::tools::stdout("kill", &["-INT", &id]);
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
    assert_eq!(cloud.left(), []);
}

/// Everything after the AMI, in one command.
const RELEASE: [&str; 8] = [
    "--copy-to",
    "us-west-2,eu-west-1=alias/web",
    "--share-with",
    "123456789012",
    "--deprecate-at",
    "90d",
    "--ssm-parameter",
    "/images/web/latest",
];

#[test]
fn copies_are_made_shared_and_published() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    let figures = pushed(
        &cloud,
        &[&["rootfs.tar", "--protect"], &RELEASE[..]].concat(),
    );
    let images = figures["images"].as_array().unwrap();
    let regions: Vec<_> = images
        .iter()
        .map(|i| i["region"].as_str().unwrap())
        .collect();
    assert_eq!(regions, ["us-east-1", "us-west-2", "eu-west-1"]);
    assert_eq!(images[0]["image-id"], figures["image-id"]);
    let state = cloud.fake.state();
    for ami in state.amis() {
        assert!(ami.shared.contains("123456789012"), "{}", ami.region);
        assert!(ami.deprecated.is_some() && ami.protected, "{}", ami.region);
        assert_eq!(ami.encrypted, ami.region == "eu-west-1");
        assert_eq!(
            (&*ami.name, ami.machine["Architecture"].as_str()),
            ("web", "x86_64")
        );
    }
    assert_eq!(state.amis().len(), 3);
}

#[test]
fn when_one_copy_fails_everything_is_taken_back() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    cloud.fake.fault("CopyImage", When::After(1), Fault::Denied);
    let ran = push_of(&cloud, &[&["rootfs.tar"], &RELEASE[..]].concat());
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("ec2:CopyImage"), "{ran:?}");
    assert_eq!(cloud.left(), []);
    assert!(cloud.fake.state().amis().iter().all(|a| a.gone));
}

#[test]
fn an_image_file_is_pushed_as_it_is() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &[Holds::Data(1), Holds::Hole, Holds::Data(3)]);
    let args = [
        "push",
        "disk.img",
        "--arch",
        "x86_64",
        "--boot-mode",
        "uefi",
        "--tpm",
    ];
    let ran = cloud.run(&[&args[..], &["--json"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let figures: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    cloud.holds(snapshot_of(&figures), "disk.img");
    let name = figures["images"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("disk-2"), "{name}");
}

#[test]
fn what_cannot_become_an_ami_is_refused_before_anything_is_sent() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    cloud.image("disk.img", &[Holds::Data(1)]);
    cloud.desk.write("disk.qcow2", b"QFI\xfb\0\0\0\x03");
    for (args, code, says) in [
        (&["rootfs.tar", "--name", "web:1"][..], 2, "name"),
        (&["rootfs.tar", "--map-file", "disk.map"], 2, "--map-file"),
        (&["rootfs.tar", "--copy-to", "us-east-1"], 2, "us-east-1"),
        (&["rootfs.tar", "--share-with", "12"], 2, "twelve digits"),
        (&["disk.img", "--hostname", "web"], 2, "an image already"),
        (&["disk.qcow2"], 3, "qemu-img convert"),
        (&["rootfs.tar", "--spool", "nowhere"], 3, "nowhere"),
        (&["rootfs.tar", "--iops", "1"], 2, "3000"),
    ] {
        let ran = cloud.run(&[&["push", "--arch", "x86_64"], args].concat());
        assert_eq!(ran.code, Some(code), "{args:?} {ran:?}");
        assert!(ran.stderr.contains(says), "{args:?} {ran:?}");
    }
    assert_eq!(cloud.left(), []);
}

#[test]
fn a_rootfs_is_pushed_copied_to_two_regions_and_shared() {
    let Some(moto) = Moto::start() else { return };
    let desk = Desk::new();
    let hostname = file("etc/hostname", b"push\n");
    desk.write(
        "rootfs.tar",
        &archive(&[hostname, file("data", &[7; 300_000])]),
    );
    let args = [
        "push",
        "rootfs.tar",
        "--boot",
        "none",
        "--size",
        "4M",
        "--arch",
        "x86_64",
        "--name",
        "web",
        "--copy-to",
        "us-east-1,us-west-2",
        "--share-with",
        "123456789012",
        "--ssm-parameter",
        "/images/web",
        "--json",
    ];
    let pushed: serde_json::Value = serde_json::from_str(&moto.run(&desk, &args)).unwrap();
    let images = pushed["images"].as_array().unwrap();
    assert_eq!(images.len(), 3, "{pushed}");
    let id = images[0]["image-id"].as_str().unwrap();
    let there = moto.ec2(&format!("Action=DescribeImages&ImageId.1={id}"));
    assert_eq!(element(&there, "name"), "web");
    let query = format!("Action=DescribeImageAttribute&ImageId={id}&Attribute=launchPermission");
    assert_eq!(element(&moto.ec2(&query), "userId"), "123456789012");
}

/// By way of a bundle in S3, which the key of the test opens again.
#[test]
fn a_rootfs_is_pushed_as_a_bundle() {
    let Some(moto) = Moto::start() else { return };
    let desk = bundle::desk();
    desk.write("rootfs.tar", &archive(&[file("etc/hostname", b"push\n")]));
    let args = [
        "push",
        "rootfs.tar",
        "--boot",
        "none",
        "--size",
        "4M",
        "--route",
        "bundle",
        "--bucket",
        "images",
        "--create-bucket",
        "--prefix",
        "web",
        "-u",
        "123456789012",
        "-c",
        "cert.der",
        "-k",
        "pk.der",
        "--ec2cert",
        "ec2cert.der",
        "--name",
        "web",
        "--json",
    ];
    let pushed: serde_json::Value = serde_json::from_str(&moto.run(&desk, &args)).unwrap();
    let location = "images/web/rootfs.manifest.xml";
    assert_eq!(pushed["bundle"]["image-location"], location, "{pushed}");
    assert!(
        pushed["image-id"].as_str().unwrap().starts_with("ami-"),
        "{pushed}"
    );
}

/// By another key it is another AMI: whoever asks for an encrypted one does not get the plain one that is there.
#[test]
fn an_encrypted_ami_is_not_the_plain_one() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    pushed(&cloud, &["rootfs.tar"]);
    let ran = push_of(&cloud, &["rootfs.tar", "--encrypted"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("belongs to"), "{ran:?}");
    assert_eq!(cloud.left(), [Status::Completed]);
}

/// With another tag it is another snapshot and the same AMI: the snapshot that nobody needs goes.
#[test]
fn a_snapshot_that_no_ami_needs_is_deleted() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    let first = pushed(&cloud, &["rootfs.tar"]);
    let second = pushed(&cloud, &["rootfs.tar", "--tag", "commit=1"]);
    assert_eq!(second["image-id"], first["image-id"]);
    assert_eq!(cloud.left(), [Status::Completed]);
}

/// AWS answers the token of a snapshot that was deleted with that snapshot; a machine without the journal cannot know.
#[test]
fn what_was_deleted_since_is_made_anew() {
    let cloud = Cloud::new();
    cloud.desk.write("rootfs.tar", &rootfs());
    cloud
        .fake
        .fault("RegisterImage", When::First(1), Fault::Denied);
    assert_eq!(push_of(&cloud, &["rootfs.tar"]).code, Some(4));
    assert_eq!(cloud.left(), []);
    std::fs::remove_dir_all(cloud.desk.path("state")).unwrap();
    // Of a young one, that it is not found means nothing.
    for snapshot in &mut cloud.fake.state().snapshots {
        snapshot.start_time -= Duration::from_secs(3600);
    }
    let figures = pushed(&cloud, &["rootfs.tar"]);
    build(&cloud, "disk.img", &SHAPE);
    cloud.holds(snapshot_of(&figures), "disk.img");
    assert_eq!(cloud.left(), [Status::Completed]);
}

#[test]
fn a_disk_image_on_standard_input_is_pushed() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &[Holds::Data(1), Holds::Data(3)]);
    let args = [
        "push",
        "-",
        "--arch",
        "x86_64",
        "--boot-mode",
        "uefi",
        "--json",
    ];
    let mut command = cloud.command(&args);
    command.stdin(std::fs::File::open(cloud.desk.path("disk.img")).unwrap());
    let ran = ran(&command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let figures: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    cloud.holds(snapshot_of(&figures), "disk.img");
}

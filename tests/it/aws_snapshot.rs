//! `snapshot` against a server as strict as AWS: what is sent, what is not, what comes back.

use crate::common::cloud::{Cloud, Holds};
use crate::common::memory;
use crate::common::tarball::{archive, file};
use crate::fake_ebs::{Fault, Manner, Status, When};
use expect_test::expect;
use std::process::Stdio;
use std::time::Duration;

const IMAGE: [Holds; 6] = [
    Holds::Data(1),
    Holds::Hole,
    Holds::Zeros,
    Holds::Data(2),
    Holds::Hole,
    Holds::Data(3),
];

#[test]
fn every_block_is_sent_and_comes_back() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let figures = cloud.figures(&["disk.img", "--quiet"]);
    assert_eq!((&figures["sent"], &figures["free"]), (&6.into(), &0.into()));
    let id = figures["snapshot-id"].as_str().unwrap();
    cloud.holds(id, "disk.img");
    let state = cloud.fake.state();
    let snapshot = state.get(id);
    assert_eq!((snapshot.gibibytes, state.puts), (1, 6));
    assert_eq!(snapshot.request["Description"], "disk.img");
}

/// The last block of an image that is no whole number of them is filled up with zeros.
#[test]
fn an_image_of_any_length_is_sent() {
    let cloud = Cloud::new();
    for len in [1, 511, 512 * 1024 - 1, 512 * 1024 + 1] {
        cloud.desk.write("disk.img", &vec![7; len]);
        let id = cloud.snapshot(&["disk.img"]);
        let volume = cloud.volume(&id, 1 << 20);
        assert!(volume[..len].iter().all(|b| *b == 7));
        assert!(volume[len..].iter().all(|b| *b == 0));
    }
}

#[test]
fn holes_are_zeros_unless_they_are_said_to_be_free() {
    let cloud = Cloud::with(Manner {
        encrypts: true,
        ..Manner::default()
    });
    cloud.image("disk.img", &IMAGE);
    let sent = cloud.snapshot(&["disk.img"]);
    cloud.holds(&sent, "disk.img");
    let figures = cloud.figures(&["disk.img", "--holes", "skip"]);
    assert_eq!((&figures["sent"], &figures["free"]), (&4.into(), &2.into()));
    // On an encrypted volume the difference shows.
    let id = figures["snapshot-id"].as_str().unwrap();
    let (image, volume) = (
        std::fs::read(cloud.desk.path("disk.img")).unwrap(),
        cloud.volume(id, 6 << 19),
    );
    let differ: Vec<usize> = (0..6)
        .filter(|nr| {
            let block = nr << 19..(nr + 1) << 19;
            image[block.clone()] != volume[block]
        })
        .collect();
    assert_eq!(differ, [1, 4]);
}

#[test]
fn a_map_says_what_is_free() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let entry = |nr: u32, count: u32, zero: bool, data: bool| {
        let (start, length) = (nr << 19, count << 19);
        format!(
            "{{\"start\": {start}, \"length\": {length}, \"depth\": 0, \"present\": true, \"zero\": {zero}, \
             \"data\": {data}, \"offset\": {start}}}"
        )
    };
    let map = [
        entry(0, 1, false, true),
        entry(1, 1, true, true),
        entry(2, 2, false, true),
        entry(4, 1, true, false),
        entry(5, 1, false, true),
    ];
    cloud
        .desk
        .write("disk.map", format!("[{}]", map.join(",\n")).as_bytes());
    let figures = cloud.figures(&["disk.img", "--map-file", "disk.map"]);
    assert_eq!((&figures["sent"], &figures["free"]), (&5.into(), &1.into()));
    cloud.holds(figures["snapshot-id"].as_str().unwrap(), "disk.img");

    // A map of another image, or of this one before it was written to.
    let args = ["snapshot", "disk.img", "--map-file", "disk.map", "--quiet"];
    cloud.image("disk.img", &[IMAGE.as_slice(), &[Holds::Hole]].concat());
    cloud.desk.told(
        &cloud.run(&args),
        3,
        expect![[r"
        error: disk.map does not fit disk.img
          because: the map is of an image of 3145728 bytes, this one has 3670016
    "]],
    );
    let mut written = IMAGE;
    written[4] = Holds::Data(9);
    cloud.image("disk.img", &written);
    cloud.desk.told(
        &cloud.run(&args),
        3,
        expect![[r"
        error: disk.map does not fit disk.img
          because: the map is of another image, or this one was changed: byte 2097152 should be zero
    "]],
    );
    cloud.desk.write("disk.map", b"[{\"start\": 5}]");
    cloud.desk.told(
        &cloud.run(&args),
        3,
        expect![[r"
        error: cannot read the map disk.map
          because: this is no map: missing field `length` at line 1 column 13
    "]],
    );
}

/// Whoever sends the same image again, with or without notes of the first time, gets the same snapshot.
#[test]
fn the_same_image_is_the_same_snapshot() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let first = cloud.snapshot(&["disk.img"]);
    assert_eq!(cloud.snapshot(&["disk.img"]), first);
    std::fs::remove_dir_all(cloud.desk.path("state")).unwrap();
    let again = cloud.figures(&["disk.img"]);
    assert_eq!(
        (again["snapshot-id"].as_str(), &again["existed"]),
        (Some(&*first), &true.into())
    );
    assert_eq!(cloud.fake.state().puts, 6);
    // Other options, other content, or the wish for one more: another snapshot.
    let other = cloud.snapshot(&["disk.img", "--tag", "a=b"]);
    let new = cloud.snapshot(&["disk.img", "--new"]);
    let newer = cloud.snapshot(&["disk.img", "--new"]);
    let mut all = vec![first, other, new, newer];
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[test]
fn a_deleted_snapshot_is_made_again() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let first = cloud.snapshot(&["disk.img"]);
    cloud.fake.state().snapshots[0].deleted = true;
    let second = cloud.snapshot(&["disk.img"]);
    assert_ne!(first, second);
    cloud.holds(&second, "disk.img");
    assert_eq!(cloud.snapshot(&["disk.img"]), second);
}

#[test]
fn tags_sizes_and_encryption_arrive() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let id = cloud.snapshot(&[
        "disk.img",
        "--volume-size",
        "8",
        "--description",
        "a root",
        "--tag",
        "Name=web",
        "--tag",
        "empty=",
        "--kms-key-id",
        "arn:aws:kms:us-east-1:1:key/2",
    ]);
    cloud.holds(&id, "disk.img");
    let state = cloud.fake.state();
    let snapshot = state.get(&id);
    assert!(snapshot.encrypted && snapshot.gibibytes == 8);
    assert_eq!(snapshot.request["Description"], "a root");
    assert_eq!(snapshot.tags["Name"], "web");
    assert_eq!(snapshot.tags["empty"], "");
    assert_eq!(snapshot.tags["diskwright:digest"], snapshot.token);
}

#[test]
fn tags_that_aws_refuses_are_told_before_anything_is_sent() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &[Holds::Data(1)]);
    let ran = cloud.run(&["snapshot", "disk.img", "--tag", "aws:x=1", "--quiet"]);
    cloud.desk.told(
        &ran,
        2,
        expect![[r#"
        error: tag `aws:x=1`: keys that begin with aws: are AWS's
    "#]],
    );
    let ours = ["--tag", "diskwright:digest=1", "--quiet"];
    let ran = cloud.run(&[&["snapshot", "disk.img"], &ours[..]].concat());
    cloud.desk.told(
        &ran,
        2,
        expect![[r#"
        error: tag `diskwright:digest=1`: this key is ours
    "#]],
    );
    assert_eq!(cloud.fake.state().faults.seen("StartSnapshot"), 0);
}

/// Up to two minutes were seen for which AWS did not know what it had just made.
#[test]
fn a_new_snapshot_may_be_unknown_for_a_while() {
    let cloud = Cloud::with(Manner {
        settling: Duration::from_secs(3),
        completing: Duration::from_secs(1),
        ..Manner::default()
    });
    cloud.image("disk.img", &IMAGE);
    let id = cloud.snapshot(&["disk.img"]);
    cloud.holds(&id, "disk.img");
    assert_eq!(cloud.left(), [Status::Completed]);
}

#[test]
fn not_to_wait_is_not_to_wait() {
    let cloud = Cloud::with(Manner {
        completing: Duration::from_secs(3600),
        ..Manner::default()
    });
    cloud.image("disk.img", &IMAGE);
    cloud.snapshot(&["disk.img", "--no-wait"]);
    assert_eq!(cloud.left(), [Status::Completing]);
}

#[test]
fn what_is_no_disk_image_is_refused_before_anything_is_sent() {
    let cloud = Cloud::new();
    let refused = |expected: expect_test::Expect, args: &[&str], code: i32| {
        let args = [&["snapshot", "disk.img", "--quiet"], args].concat();
        cloud.desk.told(&cloud.run(&args), code, expected);
    };
    refused(
        expect![[r"
            error: cannot read disk.img
              because: No such file or directory (os error 2)
        "]],
        &[],
        3,
    );
    cloud.desk.write("disk.img", b"");
    refused(expect!["error: disk.img is empty\n"], &[], 3);
    cloud.desk.write("disk.img", b"QFI\xfb and so on");
    refused(
        expect![[r"
            error: disk.img is a qcow2 disk image, not the plain bytes of a disk
        "]],
        &[],
        3,
    );
    cloud.desk.write("disk.img", &[1; 4096]);
    refused(
        expect![[r"
            error: a snapshot with a parent is encrypted as its parent is: neither --encrypted nor --kms-key-id
        "]],
        &["--parent", "snap-1", "--encrypted"],
        2,
    );
    refused(
        expect![[r"
            error: a volume of 65537 GiB: 65536 GiB (64 TiB) are the most that EBS has
        "]],
        &["--volume-size", "65537"],
        2,
    );
    let large = std::fs::File::create(cloud.desk.path("disk.img")).unwrap();
    large.set_len((2 << 30) + 1).unwrap();
    refused(
        expect![[r"
            error: a volume of 2 GiB is smaller than the image, which needs 3 GiB
        "]],
        &["--volume-size", "2"],
        2,
    );
    assert!(cloud.fake.state().snapshots.is_empty());
}

#[test]
fn who_has_no_region_no_keys_or_no_url_is_told_how_to_get_them() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let run = |args: &[&str], keys: bool| {
        let mut command = cloud
            .desk
            .command(&[&["snapshot", "disk.img", "--quiet"], args].concat());
        crate::common::cloud::keys(&mut command, &cloud.desk);
        if !keys {
            command.env_remove("AWS_ACCESS_KEY_ID");
        }
        crate::common::desk::ran(&command.output().unwrap())
    };
    cloud.desk.told(
        &run(&[], true),
        3,
        expect![[r"
        error: cannot make a snapshot of disk.img
          because: no region: neither --region nor AWS_REGION nor the profile names one
        help: say --region, as in --region eu-west-1
    "]],
    );
    let ran = run(&["--region", "eu-west-1"], false);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr.contains("no credentials for AWS"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("aws sso login"), "{}", ran.stderr);
    cloud.desk.told(
        &run(
            &["--region", "x", "--ebs-endpoint-url", "localhost:1"],
            true,
        ),
        3,
        expect![[r#"
        error: cannot make a snapshot of disk.img
          because: the endpoint "localhost:1" is no URL: it must begin with http:// or https://
    "#]],
    );
}

/// No key, no token and no signature is in anything that a run prints, at any level of its log.
#[test]
fn no_secret_is_told() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    cloud
        .fake
        .fault("PutSnapshotBlock", When::First(2), Fault::Internal);
    cloud
        .fake
        .fault("CompleteSnapshot", When::After(0), Fault::Denied);
    let mut command = cloud.command(&["snapshot", "disk.img", "--patience", "2s"]);
    let output = command.env("DISKWRIGHT_LOG", "trace").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8_lossy(&output.stderr);
    for secret in ["wJalrXUtnFEMI", "session-token-of-the-test", "Signature="] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

/// 64 requests in flight and an image larger than what may be held.
#[test]
fn an_upload_holds_less_than_128_mib() {
    let cloud = Cloud::new();
    let blocks: Vec<Holds> = (0..600_u32)
        .map(|nr| Holds::Data(nr.to_le_bytes()[0]))
        .collect();
    cloud.image("disk.img", &blocks);
    let mut command = cloud.command(&["snapshot", "disk.img", "--quiet"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let peak = memory::peak(&mut child);
    assert!(child.wait().unwrap().success());
    eprintln!("{} MiB at most", peak >> 20);
    assert!(peak > 0 && peak < 128 << 20, "{peak}");
}

/// A map that `build` wrote is of that image, and of no other, were it a byte apart.
#[test]
fn the_map_of_a_build_fits_its_image_alone() {
    let cloud = Cloud::with(Manner {
        encrypts: true,
        ..Manner::default()
    });
    let desk = &cloud.desk;
    let data = vec![7; 3 << 20];
    desk.write("a.tar", &archive(&[file("data", &data)]));
    let flags = ["--boot", "none", "--size", "1G", "--map-file", "disk.map"];
    desk.builds("a.tar", &flags);
    desk.fsck();
    let map = std::fs::read(desk.path("disk.map")).unwrap();
    let entries: serde_json::Value = serde_json::from_slice(&map).unwrap();
    let sum = |of: &serde_json::Value| of["length"].as_u64().unwrap();
    assert_eq!(
        entries.as_array().unwrap().iter().map(sum).sum::<u64>(),
        1 << 30
    );

    let args = ["out/disk.img", "--map-file", "disk.map"];
    let figures = cloud.figures(&args);
    let (sent, free) = (
        figures["sent"].as_u64().unwrap(),
        figures["free"].as_u64().unwrap(),
    );
    assert!(sent + free == 2048 && free > 1500, "{figures}");

    // The same again needs --force, as the image does.
    let build = ["build", "a.tar", "-o", "new.img", "--quiet"];
    let ran = desk.run(&[&build[..], &flags].concat());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("disk.map"), "{}", ran.stderr);
    assert!(!desk.path("new.img").exists());

    let mut image = std::fs::read(desk.path("out/disk.img")).unwrap();
    let at = image
        .windows(4096)
        .position(|w| w == &data[..4096])
        .unwrap();
    image[at] = 8;
    desk.write("changed.img", &image);
    let args = [
        "snapshot",
        "changed.img",
        "--map-file",
        "disk.map",
        "--quiet",
    ];
    let ran = cloud.run(&args);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    assert!(
        ran.stderr.contains("its digest is another"),
        "{}",
        ran.stderr
    );
}

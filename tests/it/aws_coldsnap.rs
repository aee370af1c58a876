//! coldsnap, AWS's own client of EBS direct, and the same fake: each reads what the other has sent.
//!
//! `make coldsnap` builds it as it is in the registry and names it in `DISKWRIGHT_COLDSNAP`; without that these
//! tests leave it out.

use crate::common::cloud::{Cloud, Holds, keys};
use crate::fake_ebs::Manner;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

const IMAGE: [Holds; 6] = [
    Holds::Data(1),
    Holds::Hole,
    Holds::Data(2),
    Holds::Zeros,
    Holds::Data(3),
    Holds::Data(4),
];

/// `coldsnap VERB …` against the fake, which must succeed; what it prints. `None` where it is not asked for.
#[track_caller]
fn coldsnap(cloud: &Cloud, args: &[&str]) -> Option<String> {
    let Some(program) = std::env::var_os("DISKWRIGHT_COLDSNAP") else {
        eprintln!("left out, `make coldsnap` does it");
        return None;
    };
    let mut command = Command::new(program);
    command
        .args(["--region", "us-east-1", "--endpoint", &cloud.fake.url])
        .args(args)
        .current_dir(cloud.desk.folder());
    keys(&mut command, &cloud.desk);
    let output = command.output().unwrap();
    let refusals = &cloud.fake.state().refusals;
    assert!(output.status.success(), "{output:?} {refusals:?}");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn uploads(cloud: &Cloud, more: &[&str]) -> Option<String> {
    coldsnap(
        cloud,
        &[&["upload", "--no-progress", "--wait"], more].concat(),
    )
}

/// coldsnap reads the snapshot as the image, and nothing behind it.
#[track_caller]
fn downloads(cloud: &Cloud, id: &str, image: &str) {
    coldsnap(cloud, &["download", "--no-progress", id, "back.img"]);
    let back = File::open(cloud.desk.path("back.img")).unwrap();
    let image = std::fs::read(cloud.desk.path(image)).unwrap();
    assert_eq!(back.metadata().unwrap().len(), 1 << 30);
    let mut bytes = vec![0; image.len()];
    back.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes == image, "another image");
    back.read_exact_at(&mut bytes, 1 << 29).unwrap();
    assert!(bytes.iter().all(|b| *b == 0));
    std::fs::remove_file(cloud.desk.path("back.img")).unwrap();
}

#[test]
fn coldsnap_sends_the_blocks_that_we_send() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let Some(theirs) = uploads(&cloud, &["disk.img"]) else {
        return;
    };
    cloud.holds(&theirs, "disk.img");
    let ours = cloud.snapshot(&["disk.img"]);
    let state = cloud.fake.state();
    assert_eq!(state.get(&theirs).digests, state.get(&ours).digests);
}

/// A trap that is theirs: zeros that were written are no free space.
#[test]
fn coldsnap_may_leave_out_zeros_that_count() {
    let cloud = Cloud::with(Manner {
        encrypts: true,
        ..Manner::default()
    });
    cloud.image("disk.img", &IMAGE);
    let Some(theirs) = uploads(&cloud, &["--omit-zero-blocks", "disk.img"]) else {
        return;
    };
    let ours = cloud.snapshot(&["disk.img", "--holes", "skip"]);
    let image = std::fs::read(cloud.desk.path("disk.img")).unwrap();
    let third = 3 << 19..4 << 19;
    let read = |id: &str| cloud.volume(id, image.len())[third.clone()].to_vec();
    assert!(read(&ours) == image[third.clone()]);
    assert!(read(&theirs) != image[third.clone()]);
}

#[test]
fn coldsnap_reads_what_we_send() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    if uploads(&cloud, &["disk.img"]).is_none() {
        return;
    }
    for holes in ["send", "skip"] {
        let id = cloud.snapshot(&["disk.img", "--new", "--holes", holes]);
        downloads(&cloud, &id, "disk.img");
    }
    // More blocks than a page of the list has.
    let many: Vec<Holds> = (0..250).map(Holds::Data).collect();
    cloud.image("many.img", &many);
    downloads(&cloud, &cloud.snapshot(&["many.img"]), "many.img");
}

/// A parent by one, a child by the other, and the other way round.
#[test]
fn coldsnap_and_we_go_on_from_one_another() {
    let cloud = Cloud::new();
    cloud.image("old.img", &IMAGE);
    let Some(parent) = uploads(&cloud, &["old.img"]) else {
        return;
    };
    let mut new = IMAGE;
    (new[0], new[2], new[5]) = (Holds::Data(7), Holds::Zeros, Holds::Hole);
    cloud.image("new.img", &new);
    let figures = cloud.figures(&["new.img", "--parent", &parent]);
    assert_eq!(
        (&figures["sent"], &figures["inherited"]),
        (&3.into(), &3.into())
    );
    let child = figures["snapshot-id"].as_str().unwrap();
    downloads(&cloud, child, "new.img");
    let args = ["--parent-snapshot-id", child, "old.img"];
    downloads(&cloud, &uploads(&cloud, &args).unwrap(), "old.img");
}

//! Uploads that are killed, interrupted, or made twice at once.

use crate::common::cloud::{Cloud, Holds, keys};
use crate::common::desk::{Ran, Running, ran};
use crate::common::fault::wait_until;
use crate::fake_ebs::{Fault, Manner, Status, When};
use std::process::Stdio;
use std::time::Duration;

const BLOCKS: usize = 300;

fn image() -> Vec<Holds> {
    (0..BLOCKS)
        .map(|nr| Holds::Data(u8::try_from(nr % 251).unwrap()))
        .collect()
}

/// A run that has sent some blocks, a few at a time, and is held up by a block whose answer never comes.
fn half_way(cloud: &Cloud, more: &[&str]) -> Running {
    cloud
        .fake
        .fault("PutSnapshotBlock", When::After(100), Fault::Hang);
    let args = [&["snapshot", "disk.img", "--parallel", "4"], more].concat();
    let mut command = cloud.command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running(command.spawn().unwrap());
    wait_until("a hundred blocks", || cloud.fake.state().puts >= 100);
    running
}

fn signal(running: &Running, name: &str) {
    let id = running.0.id().to_string();
    crate::tools::stdout("kill", &[name, &id]);
}

#[test]
fn after_kill_9_the_next_run_goes_on() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &image());
    let mut running = half_way(&cloud, &[]);
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(cloud.left(), [Status::Pending]);
    cloud.fake.state().faults.clear();
    let figures = cloud.figures(&["disk.img"]);
    let resumed = figures["resumed"].as_u64().unwrap();
    assert!(resumed >= 96, "{figures}");
    assert_eq!(figures["sent"].as_u64().unwrap() + resumed, 300);
    cloud.holds(figures["snapshot-id"].as_str().unwrap(), "disk.img");
    assert_eq!(cloud.left(), [Status::Completed]);
}

/// Killed while AWS does what was asked for and nobody hears the answer: what is there then is found again.
#[test]
fn after_kill_9_at_any_request_there_is_one_snapshot() {
    for request in [
        "StartSnapshot",
        "PutSnapshotBlock",
        "CompleteSnapshot",
        "DescribeSnapshots",
    ] {
        let cloud = Cloud::new();
        cloud.image("disk.img", &image()[..8]);
        cloud.fake.fault(request, When::After(0), Fault::Mute);
        let mut command = cloud.command(&["snapshot", "disk.img", "--quiet"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = Running(command.spawn().unwrap());
        wait_until(request, || cloud.fake.state().faults.seen(request) > 0);
        drop(running);
        cloud.fake.state().faults.clear();
        cloud.holds(&cloud.snapshot(&["disk.img"]), "disk.img");
        assert_eq!(cloud.left(), [Status::Completed], "{request}");
    }
}

/// Notes that are lost cost the blocks that were sent, and nothing else.
#[test]
fn without_its_notes_a_run_goes_on_in_the_same_snapshot() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &image());
    let mut running = half_way(&cloud, &[]);
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    std::fs::remove_dir_all(cloud.desk.path("state")).unwrap();
    cloud.fake.state().faults.clear();
    let figures = cloud.figures(&["disk.img"]);
    assert_eq!(
        (&figures["sent"], &figures["resumed"]),
        (&300.into(), &0.into())
    );
    cloud.holds(figures["snapshot-id"].as_str().unwrap(), "disk.img");
    assert_eq!(cloud.left(), [Status::Completed]);
}

#[test]
fn ctrl_c_deletes_the_snapshot_and_the_next_run_makes_another() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let cloud = Cloud::new();
        cloud.image("disk.img", &image());
        let running = half_way(&cloud, &[]);
        signal(&running, name);
        let ran = running.end();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        assert_eq!(cloud.left(), []);
        cloud.fake.state().faults.clear();
        let id = cloud.snapshot(&["disk.img"]);
        cloud.holds(&id, "disk.img");
        assert_eq!(cloud.left(), [Status::Completed]);
    }
}

#[test]
fn what_is_kept_is_gone_on_with() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &image());
    let running = half_way(&cloud, &["--keep"]);
    signal(&running, "-INT");
    let ran = running.end();
    assert_eq!(ran.code, Some(130));
    assert!(
        ran.stderr.contains("kept: snapshot snap-"),
        "{}",
        ran.stderr
    );
    assert_eq!(cloud.left(), [Status::Pending]);
    cloud.fake.state().faults.clear();
    let figures = cloud.figures(&["disk.img"]);
    assert!(figures["resumed"].as_u64().unwrap() >= 96, "{figures}");
    assert_eq!(cloud.left(), [Status::Completed]);
}

/// On one machine the second waits for the first; from another machine both send, and agree.
#[test]
fn two_at_once_make_one_snapshot() {
    for apart in [false, true] {
        let cloud = Cloud::with(Manner {
            completing: Duration::from_millis(500),
            ..Manner::default()
        });
        cloud.image("disk.img", &image());
        let both: Vec<Ran> = std::thread::scope(|scope| {
            let start = |state: &'static str| {
                let mut command = cloud.command(&["snapshot", "disk.img", "--quiet"]);
                keys(&mut command, &cloud.desk);
                command.env("XDG_STATE_HOME", cloud.desk.path(state));
                scope.spawn(move || ran(&command.output().unwrap()))
            };
            let other = if apart { "elsewhere" } else { "state" };
            let both = [start("state"), start(other)];
            both.map(|b| b.join().unwrap()).into()
        });
        assert_eq!((both[0].code, both[1].code), (Some(0), Some(0)), "{both:?}");
        assert_eq!(both[0].stdout, both[1].stdout);
        cloud.holds(both[0].stdout.trim_end(), "disk.img");
        assert_eq!(cloud.left(), [Status::Completed]);
        let puts = cloud.fake.state().puts;
        assert!(apart || puts == 300, "{puts}");
    }
}

/// Notes are a help and no need.
#[test]
fn a_journal_that_cannot_be_written_costs_a_warning() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &image());
    let ran = cloud.run(&["snapshot", "disk.img", "--quiet", "--journal", "/dev/null"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr.starts_with("warning: cannot keep"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    cloud.holds(ran.stdout.trim_end(), "disk.img");
}

/// The disk of the journal is full at once, or fills up in the middle.
#[test]
fn a_journal_whose_disk_is_full_costs_a_warning() {
    full_journal(0, "an interrupted run will send all again");
    full_journal(8, "the next one sends what this one has sent");
}

fn full_journal(limit: u32, told: &str) {
    let cloud = Cloud::new();
    cloud.image("disk.img", &image());
    // A limit on the size of files (in blocks of 512 bytes), SIGXFSZ ignored: the journal is the only file.
    let shell = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\"");
    let args = [
        "snapshot",
        "disk.img",
        "--quiet",
        "--endpoint-url",
        &cloud.fake.url,
        "--region=x",
    ];
    let mut command = cloud.desk.prefixed(&["sh", "-c", &shell, "sh"], &args);
    keys(&mut command, &cloud.desk);
    let ran = ran(&command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    cloud.holds(ran.stdout.trim_end(), "disk.img");
}

//! Every request of `snapshot`, and everything that can happen to it.
//!
//! | fault | for a while | always: exit 4, and |
//! |---|---|---|
//! | throttled, both names | waits, fewer at once | "others use up the account's quota … --patience" |
//! | status 500 | again | "AWS has trouble: try again later" |
//! | connection cut inside the request | again | "check the network, the region's name and the endpoint" |
//! | connection cut after the request | again; it counts once | the same |
//! | connection cut inside the answer | again; it counts once | says that the answer ends too early |
//! | no answer | again after `--timeout` | "check the network; on a slow line say --timeout" |
//! | somebody else writes the block | again | "AWS has trouble" |
//! | refused | – | at once; names the permission |
//! | credentials expired | – | at once; "log in again … it goes on where this one ended" |
//! | signature's time | signs anew by AWS's clock | at the third time; "set this machine's clock" |
//!
//! "Again" ends with a snapshot that reads as the image and nothing else in the account; "always" with nothing
//! in the account and nothing on standard output, but for these:
//!
//! | request that always suffers | outcome |
//! |---|---|
//! | StartSnapshot whose answer is lost | nobody here learns its name: pending, deleted by AWS's timeout; the same command finds it again by its token |
//! | CompleteSnapshot whose answer is lost | EC2 is asked, and says that it is complete: exit 0 |
//! | DeleteSnapshot, whatever happens to it | "is left behind" names the snapshot and why; the same command completes it |

use crate::common::cloud::{Cloud, Holds, IMAGE};
use crate::fake_ebs::{Fault, Faults, Status, When};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The requests of an incremental snapshot, in order.
const REQUESTS: [&str; 6] = [
    "ListSnapshotBlocks",
    "GetSnapshotBlock",
    "StartSnapshot",
    "PutSnapshotBlock",
    "CompleteSnapshot",
    "DescribeSnapshots",
];

/// What may pass.
const PASSING: [Fault; 10] = [
    Fault::AccountThrottle,
    Fault::SnapshotThrottle,
    Fault::Internal,
    Fault::Conflicting,
    Fault::Cut,
    Fault::Lose,
    Fault::Torn,
    Fault::Hang,
    Fault::Mute,
    Fault::Skewed,
];

/// What does not, besides.
const LASTING: [Fault; 2] = [Fault::Denied, Fault::Expired];

/// The parent and its child.
const BOTH: [Status; 2] = [Status::Completed, Status::Completed];

/// Patience of runs that are to succeed and of runs that are not, on a loaded machine.
const ENOUGH: [&str; 4] = ["--timeout", "2s", "--patience", "60s"];
const LITTLE: [&str; 4] = ["--timeout", "1s", "--patience", "3s"];

/// A snapshot that has some blocks of the image.
fn parent(cloud: &Cloud) -> String {
    let mut old = IMAGE;
    old[2] = Holds::Data(9);
    old[6] = Holds::Hole;
    cloud.image("old.img", &old);
    cloud.image("disk.img", &IMAGE);
    let parent = cloud.snapshot(&["old.img", "--holes", "skip"]);
    // Its own requests are not counted.
    cloud.fake.state().faults = Faults::default();
    parent
}

/// Every request with every fault, a dozen at once: most of these tests is waiting.
fn side_by_side(faults: &[Fault], test: impl Fn(&'static str, Fault) + Sync) {
    let cases = REQUESTS
        .iter()
        .flat_map(|request| faults.iter().map(move |fault| (*request, *fault)));
    let cases = Mutex::new(cases);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some((request, fault)) = next(&cases) {
                    test(request, fault);
                }
            });
        }
    });
}

fn next<T>(list: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    list.lock().unwrap().next()
}

/// Every request fails once and twice in every way; the snapshot is there and whole all the same.
#[test]
fn what_fails_for_a_while_is_tried_again() {
    side_by_side(&PASSING, |request, fault| {
        for times in [1, 2] {
            let cloud = Cloud::new();
            let parent = parent(&cloud);
            cloud.fake.fault(request, When::First(times), fault);
            let args = [&["disk.img", "--parent", &parent], &ENOUGH[..]].concat();
            let figures = cloud.figures(&args);
            let case = format!("{request} {fault:?} {times} {figures}");
            cloud.holds(figures["snapshot-id"].as_str().unwrap(), "disk.img");
            assert_eq!(cloud.left(), BOTH, "{case}");
            assert!(figures["retried"].as_u64().unwrap() >= 1, "{case}");
        }
    });
}

/// What a message must say of a fault, and of what to do.
fn told(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::AccountThrottle | Fault::SnapshotThrottle => &["quota of requests", "--patience"],
        Fault::Internal | Fault::Conflicting => &["AWS has trouble: try again later"],
        Fault::Denied => &["not authorized", "need the permission"],
        Fault::Expired => &["expired", "log in again"],
        Fault::Skewed => &["xpired", "set this machine's clock"],
        Fault::Hang | Fault::Mute => &["check the network", "--timeout"],
        Fault::Cut | Fault::Lose => &["check the network"],
        Fault::Torn => &[],
    }
}

/// Every request fails always, in every way: the code is 4, the message says what to do, and no snapshot is left.
#[test]
fn what_always_fails_leaves_nothing() {
    let all = [&PASSING[..], &LASTING].concat();
    side_by_side(&all, |request, fault| {
        let cloud = Cloud::new();
        let parent = parent(&cloud);
        cloud.fake.fault(request, When::After(0), fault);
        let args = ["disk.img", "--parent", &parent, "--quiet"];
        let begun = Instant::now();
        let ran = cloud.run(&[&["snapshot"], &args[..], &LITTLE].concat());
        let case = format!("{request} {fault:?} {ran:?}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{case}");
        let unheard = matches!(fault, Fault::Lose | Fault::Torn | Fault::Mute);
        if unheard && request == "CompleteSnapshot" {
            assert_eq!((ran.code, cloud.left()), (Some(0), BOTH.to_vec()), "{case}");
            cloud.holds(ran.stdout.trim_end(), "disk.img");
            return;
        }
        assert_eq!((ran.code, &*ran.stdout), (Some(4), ""), "{case}");
        assert!(ran.stderr.contains(request), "{case}");
        for part in told(fault) {
            assert!(ran.stderr.contains(part), "{part}: {case}");
        }
        if unheard && request == "StartSnapshot" {
            let left = [Status::Completed, Status::Pending];
            assert_eq!(cloud.left(), left, "{case}");
            cloud.fake.state().faults.clear();
            cloud.holds(&cloud.snapshot(&args), "disk.img");
            assert_eq!(cloud.left(), BOTH, "{case}");
            return;
        }
        assert_eq!(cloud.left(), [Status::Completed], "{case}");
    });
}

/// What cannot be deleted is named, and of use to the next run.
#[test]
fn a_deletion_that_fails_is_tried_again_and_told() {
    std::thread::scope(|scope| {
        for fault in PASSING {
            scope.spawn(move || deletion(fault, When::First(2)));
            scope.spawn(move || deletion(fault, When::After(0)));
        }
        for fault in LASTING {
            scope.spawn(move || deletion(fault, When::After(0)));
        }
    });
}

fn deletion(fault: Fault, when: When) {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let refused = When::After(3);
    cloud.fake.fault("PutSnapshotBlock", refused, Fault::Denied);
    cloud.fake.fault("DeleteSnapshot", when, fault);
    let passes = when == When::First(2);
    let patience = if passes { ENOUGH } else { LITTLE };
    let ran = cloud.run(&[&["snapshot", "disk.img", "--quiet"], &patience[..]].concat());
    let case = format!("{fault:?} {when:?} {ran:?}");
    assert_eq!((ran.code, &*ran.stdout), (Some(4), ""), "{case}");
    // Carried out, though its answer is lost.
    if passes || matches!(fault, Fault::Lose | Fault::Torn | Fault::Mute) {
        assert_eq!(cloud.left(), [], "{case}");
        return;
    }
    assert_eq!(cloud.left(), [Status::Pending], "{case}");
    let told = "is left behind: ec2:DeleteSnapshot";
    assert!(ran.stderr.contains(told), "{case}");
    cloud.fake.state().faults.clear();
    cloud.holds(&cloud.snapshot(&["disk.img"]), "disk.img");
    assert_eq!(cloud.left(), [Status::Completed], "{case}");
}

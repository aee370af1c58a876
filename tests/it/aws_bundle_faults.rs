//! What goes wrong between here and S3 while a bundle is sent, and what is left behind.

use crate::common::bucket::{MAKE, Shelf};
use crate::common::bundle;
use crate::common::desk::{Running, names};
use crate::common::fault::wait_until;
use crate::fake_ebs::{Fault, When};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The requests of an upload, in order.
const REQUESTS: [&str; 5] = [
    "HeadBucket",
    "GetBucketOwnershipControls",
    "GetBucketEncryption",
    "ListObjectsV2",
    "PutObject",
];

fn shelf() -> Shelf {
    let shelf = Shelf::new();
    bundle::bundle(&shelf.desk, &["disk.img", "-p", "web"]);
    shelf
}

/// For every request in a thread of its own: most of these tests is waiting.
fn side_by_side(test: impl Fn(&'static str) + Sync) {
    std::thread::scope(|scope| {
        for request in REQUESTS {
            let test = &test;
            scope.spawn(move || test(request));
        }
    });
}

/// Every request fails twice in every way; the bundle is there and whole all the same.
#[test]
fn what_fails_for_a_while_is_tried_again() {
    side_by_side(|request| {
        for fault in Fault::USUAL.into_iter().chain([Fault::Conflicting]) {
            // A HEAD has no body that would tell this from other conflicts.
            if (request, fault) == ("HeadBucket", Fault::Conflicting) {
                continue;
            }
            let shelf = shelf();
            shelf.s3.fault(request, When::First(2), fault);
            let ran = shelf.send(&["--timeout", "1s"]);
            assert_eq!(ran.code, Some(0), "{request} {fault:?} {ran:?}");
            shelf.holds_it();
        }
    });
}

/// Every request fails always, in every way: the code is 4, and nothing is left.
#[test]
fn what_always_fails_leaves_nothing() {
    side_by_side(|request| {
        for fault in Fault::USUAL {
            let shelf = shelf();
            shelf.s3.fault(request, When::After(0), fault);
            let begun = Instant::now();
            let ran = shelf.send(&["--timeout", "1s", "--patience", "3s"]);
            assert_eq!(
                (ran.code, ran.stdout.as_str()),
                (Some(4), ""),
                "{request} {fault:?} {ran:?}"
            );
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{request} {fault:?}"
            );
            let left = shelf.s3.state().keys("images");
            assert_eq!(left, Vec::<String>::new(), "{request} {fault:?}");
        }
    });
}

#[test]
fn a_refusal_is_told_at_once_with_what_to_do() {
    let shelf = shelf();
    shelf.s3.fault("PutObject", When::After(0), Fault::Denied);
    let ran = shelf.send(&[]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    for part in [
        "s3:PutObject (s3://images/a/web.part.0): AccessDenied",
        "need the permission s3:PutObject",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("left behind"), "{}", ran.stderr);
    assert_eq!(shelf.s3.state().faults.seen("PutObject"), 1);
}

#[test]
fn expired_credentials_are_told() {
    let shelf = shelf();
    for request in REQUESTS {
        shelf.s3.fault(request, When::After(0), Fault::Expired);
    }
    let ran = shelf.send(&[]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    for part in ["ExpiredToken", "log in again"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
}

/// A run that has sent some parts and waits for the answer to the next.
fn half_way(shelf: &Shelf, args: &[&str]) -> Running {
    shelf.s3.fault("PutObject", When::After(2), Fault::Hang);
    let mut command = shelf.command(&[args, &["--quiet", "--parallel", "1"]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running(command.spawn().unwrap());
    wait_until("two parts", || {
        shelf.s3.state().faults.seen("PutObject") >= 3
    });
    running
}

#[test]
fn after_kill_9_the_next_run_goes_on() {
    let shelf = Shelf::new().bundled(4);
    let mut running = half_way(&shelf, &["out/web.manifest.xml", "s3://images/a"]);
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(shelf.s3.state().keys("images").len(), 2);
    shelf.s3.state().faults.clear();
    let figures = shelf.figures(&[]);
    assert_eq!(
        (&figures["sent"], &figures["present"]),
        (&2.into(), &2.into())
    );
    shelf.holds_it();
}

/// Whether the bundle lies in a folder or is made on the way.
#[test]
fn ctrl_c_leaves_nothing() {
    let finished = ["out/web.manifest.xml", "s3://images/a"];
    let made = [&["noise.img", "s3://images/a"], &MAKE[..]].concat();
    for args in [&finished[..], &made] {
        let shelf = Shelf::new().bundled(4);
        let running = half_way(&shelf, args);
        crate::tools::stdout("kill", &["-INT", &running.0.id().to_string()]);
        let ran = running.end();
        assert_eq!(ran.code, Some(130), "{ran:?}");
        assert_eq!(shelf.s3.state().keys("images"), Vec::<String>::new());
        let spool: Vec<_> = names(shelf.desk.folder())
            .into_iter()
            .filter(|n| n.starts_with(".diskwright"))
            .collect();
        assert_eq!(spool, Vec::<String>::new());
    }
}

//! What goes wrong between here and AWS at length: refusals, keys, clocks, quotas. Every fault of every request is in
//! `aws_fault_table`.

use crate::common::cloud::{Cloud, Holds};
use crate::fake_ebs::{Fault, Manner, When};
use expect_test::expect;
use std::time::{Duration, Instant};

const IMAGE: [Holds; 8] = [
    Holds::Data(1),
    Holds::Hole,
    Holds::Data(2),
    Holds::Data(3),
    Holds::Data(4),
    Holds::Zeros,
    Holds::Data(5),
    Holds::Data(6),
];

#[test]
fn a_refusal_is_told_at_once_with_what_to_do() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    cloud
        .fake
        .fault("PutSnapshotBlock", When::After(0), Fault::Denied);
    let begun = Instant::now();
    let ran = cloud.run(&["snapshot", "disk.img", "--quiet", "--parallel", "1"]);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    cloud.desk.told(&ran, 4, expect![[r"
        error: cannot make a snapshot of disk.img
          because: ebs:PutSnapshotBlock (snap-0000000face000000, block 0): AccessDeniedException: not authorized to perform this (request 0-fake)
        help: the keys in use need the permission ebs:PutSnapshotBlock, and for an encrypted snapshot those of its KMS key
    "]]);
    assert_eq!(cloud.fake.state().faults.seen("PutSnapshotBlock"), 1);
    assert_eq!(cloud.left(), []);
}

/// Credentials that end in the middle: nothing can be deleted any more, and with new ones the run goes on.
#[test]
fn expired_credentials_are_told_and_the_next_run_goes_on() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    for request in ["PutSnapshotBlock", "DescribeSnapshots", "DeleteSnapshot"] {
        let after = if request == "PutSnapshotBlock" { 4 } else { 0 };
        cloud
            .fake
            .fault(request, When::After(after), Fault::Expired);
    }
    let ran = cloud.run(&["snapshot", "disk.img", "--quiet", "--parallel", "1"]);
    assert_eq!(ran.code, Some(4));
    for part in ["ExpiredTokenException", "log in again", "is left behind"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    cloud.fake.state().faults.clear();
    let figures = cloud.figures(&["disk.img"]);
    assert_eq!(
        (&figures["sent"], &figures["resumed"]),
        (&4.into(), &4.into())
    );
    cloud.holds(figures["snapshot-id"].as_str().unwrap(), "disk.img");
}

/// A clock that is an hour off: AWS's answers carry its own, and the SDK signs by that.
#[test]
fn a_wrong_clock_is_corrected_by_that_of_aws() {
    let cloud = Cloud::with(Manner {
        ahead: Duration::from_secs(3600),
        ..Manner::default()
    });
    cloud.image("disk.img", &IMAGE);
    let id = cloud.snapshot(&["disk.img"]);
    cloud.holds(&id, "disk.img");
}

#[test]
fn throttling_lowers_the_number_of_requests_in_flight() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &[Holds::Data(1); 400]);
    cloud
        .fake
        .fault("PutSnapshotBlock", When::Every(3), Fault::SnapshotThrottle);
    let figures = cloud.figures(&["disk.img"]);
    assert_eq!(figures["sent"], 400);
    assert!(figures["retried"].as_u64().unwrap() >= 100, "{figures}");
    cloud.holds(figures["snapshot-id"].as_str().unwrap(), "disk.img");
}

#[test]
fn an_endpoint_where_nobody_listens_is_told_soon() {
    let cloud = Cloud::new();
    cloud.image("disk.img", &IMAGE);
    let mut command = cloud.desk.command(&[
        "snapshot",
        "disk.img",
        "--quiet",
        "--region=x",
        "--endpoint-url=http://127.0.0.1:1",
    ]);
    crate::common::cloud::keys(&mut command, &cloud.desk);
    let begun = Instant::now();
    let ran = crate::common::desk::ran(&command.output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(ran.code, Some(4));
    for part in [
        "ebs:StartSnapshot failed",
        "onnection refused",
        "check the network",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

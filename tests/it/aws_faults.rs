//! What goes wrong between here and AWS at length: refusals, keys, clocks, quotas. Every fault of every request is in
//! `aws_fault_table`.

use crate::common::cloud::{Cloud, Holds, IMAGE};
use crate::common::desk::{Ran, ran};
use crate::fake_ebs::{Fault, Manner, When};
use expect_test::expect;
use std::time::{Duration, Instant};

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
    for (ahead, behind) in [(3600, 0), (0, 3600)] {
        let cloud = Cloud::with(Manner {
            ahead: Duration::from_secs(ahead),
            behind: Duration::from_secs(behind),
            ..Manner::default()
        });
        cloud.image("disk.img", &IMAGE);
        let id = cloud.snapshot(&["disk.img"]);
        cloud.holds(&id, "disk.img");
    }
}

/// A profile whose program gives other keys each time, good for two seconds, `times` times; and a run that takes
/// longer than one of them lasts.
fn with_short_keys(cloud: &Cloud, times: u32) -> Ran {
    cloud.image("disk.img", &[Holds::Data(1); 40]);
    let script = format!(
        "echo >>calls; n=$(wc -l <calls); [ $n -le {times} ] || exit 1\n\
         printf '{{\"Version\": 1, \"AccessKeyId\": \"AKID%s\", \"SecretAccessKey\": \"x\", \"SessionToken\": \"y\", \
         \"Expiration\": \"%s\"}}' $n $(date -u -d '+2 seconds' +%Y-%m-%dT%H:%M:%SZ)\n"
    );
    cloud.desk.write("keys.sh", script.as_bytes());
    let profile = b"[profile short]\ncredential_process = sh keys.sh\n";
    cloud.desk.write("config", profile);
    let slow = When::Every(2);
    cloud
        .fake
        .fault("PutSnapshotBlock", slow, Fault::SnapshotThrottle);
    let args = ["--quiet", "--parallel", "1", "--profile", "short"];
    let mut command = cloud.command(&[&["snapshot", "disk.img"], &args[..]].concat());
    for name in ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"] {
        command.env_remove(format!("AWS_{name}"));
    }
    command.env("AWS_CONFIG_FILE", cloud.desk.path("config"));
    ran(&command.output().unwrap())
}

#[test]
fn keys_that_are_renewed_outlive_the_run() {
    let cloud = Cloud::new();
    let ran = with_short_keys(&cloud, 1000);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    cloud.holds(ran.stdout.trim_end(), "disk.img");
    let keys = cloud.fake.state().keys.len();
    assert!(keys >= 3, "{keys} keys");
}

#[test]
fn keys_that_cannot_be_renewed_are_told_and_the_next_run_goes_on() {
    let cloud = Cloud::new();
    let ran = with_short_keys(&cloud, 3);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    for part in ["ebs:PutSnapshotBlock", "log in again", "is left behind"] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    cloud.fake.state().faults.clear();
    let figures = cloud.figures(&["disk.img"]);
    assert!(figures["resumed"].as_u64().unwrap() >= 1, "{figures}");
    cloud.holds(figures["snapshot-id"].as_str().unwrap(), "disk.img");
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

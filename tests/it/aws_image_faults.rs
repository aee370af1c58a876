//! What goes wrong between here and AWS while AMIs are made: every request, once and always; and what is left behind.

use crate::common::cloud::{Cloud, Holds};
use crate::common::desk::Running;
use crate::common::fault::wait_until;
use crate::fake_ebs::{Fault, Manner, When};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The requests of the verbs, each with what comes after the id.
const REQUESTS: [(&str, &str); 12] = [
    ("register", "DescribeImages"),
    ("register", "DescribeSnapshots"),
    ("register", "RegisterImage"),
    ("copy", "DescribeImages"),
    ("copy", "CopyImage"),
    ("share", "GetImageBlockPublicAccessState"),
    ("share", "ModifySnapshotAttribute"),
    ("share", "ModifyImageAttribute"),
    ("share", "EnableImageDeprecation"),
    ("share", "EnableImageDeregistrationProtection"),
    ("share", "GetParameter"),
    ("share", "PutParameter"),
];

/// A cloud with a snapshot and an AMI, and the flags of a verb on one of them.
fn scene(verb: &str) -> (Cloud, Vec<String>) {
    let cloud = Cloud::with(Manner {
        pending: Duration::from_millis(100),
        ..Manner::default()
    });
    cloud.image("disk.img", &[Holds::Data(1)]);
    let snapshot = cloud.snapshot(&["disk.img"]);
    let register = |name| {
        [
            "register",
            &snapshot,
            "--arch=x86_64",
            "--boot-mode=uefi",
            name,
        ]
        .map(ToOwned::to_owned)
    };
    let first = register("--name=first");
    let ran = cloud.run(&first.each_ref().map(String::as_str));
    let id = ran.stdout.trim_end().to_owned();
    let flags: &[&str] = match verb {
        "register" => return (cloud, register("--name=second").to_vec()),
        "copy" => &["--to=eu-west-1,eu-west-2"],
        _ => &[
            "--public",
            "--share-with=111122223333",
            "--deprecate-at=90d",
            "--protect",
            "--ssm-parameter=web",
        ],
    };
    let mut args = vec![verb.to_owned(), id];
    args.extend(flags.iter().map(|f| (*f).to_owned()));
    (cloud, args)
}

/// For every request in a thread of its own: most of these tests is waiting.
fn side_by_side(test: impl Fn(&'static str, &'static str) + Sync) {
    std::thread::scope(|scope| {
        for (verb, request) in REQUESTS {
            let test = &test;
            scope.spawn(move || test(verb, request));
        }
    });
}

#[test]
fn what_fails_for_a_while_is_tried_again_and_nothing_is_made_twice() {
    side_by_side(|verb, request| {
        for fault in Fault::USUAL {
            let (cloud, args) = scene(verb);
            let seen = cloud.fake.state().faults.seen(request);
            let when = When::Between(seen + 1, seen + 2);
            cloud.fake.fault(request, when, fault);
            let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
            args.extend(["--timeout=1s", "--quiet"]);
            let ran = cloud.run(&args);
            let state = cloud.fake.state();
            let told = (ran, &state.refusals);
            assert_eq!(told.0.code, Some(0), "{verb} {request} {fault:?} {told:?}");
            let amis = match verb {
                "register" => 2,
                "copy" => 3,
                _ => 1,
            };
            assert_eq!(state.amis().len(), amis, "{verb} {request} {fault:?}");
        }
    });
}

#[test]
fn what_always_fails_leaves_nothing() {
    side_by_side(|verb, request| {
        for fault in [Fault::Internal, Fault::Denied, Fault::Hang, Fault::Lose] {
            let (cloud, args) = scene(verb);
            let seen = cloud.fake.state().faults.seen(request);
            // The verb's first look at names and AMIs is answered: there is something to take back then.
            let first = match (verb, request) {
                ("register", "DescribeImages") => 1,
                ("copy", "DescribeImages") => 4,
                _ => 0,
            };
            cloud.fake.fault(request, When::After(seen + first), fault);
            let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
            args.extend(["--timeout=1s", "--patience=3s", "--quiet"]);
            let begun = Instant::now();
            let ran = cloud.run(&args);
            let told = format!("{verb} {request} {fault:?} {ran:?}");
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{told}");
            assert!(ran.stderr.contains(request), "{told}");
            assert!(begun.elapsed() < Duration::from_secs(90), "{told}");
            let state = cloud.fake.state();
            assert_eq!(state.amis().len(), 1, "{told}");
            assert!(state.parameters.is_empty(), "{told}");
            let left = state.snapshots.iter().filter(|s| !s.deleted);
            assert_eq!(left.count(), 1, "{told}");
        }
    });
}

/// Two who register the same at once have the same AMI; neither takes the other's back.
#[test]
fn two_at_once_have_one_ami() {
    let (cloud, args) = scene("register");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| cloud.run(&args))).collect();
        runs.into_iter()
            .map(|run| {
                let ran = run.join().unwrap();
                assert_eq!(ran.code, Some(0), "{ran:?}");
                ran.stdout
            })
            .collect()
    });
    assert_eq!(ids[0], ids[1]);
    assert_eq!(cloud.fake.state().amis().len(), 2);
}

/// Whether EC2 has taken the request or not, and whether its answer has come or not: nothing is left.
#[test]
fn ctrl_c_leaves_nothing_whatever_it_comes_upon() {
    for (verb, request, fault) in [
        ("register", "RegisterImage", Fault::Hang),
        ("register", "RegisterImage", Fault::Mute),
        ("register", "DescribeImages", Fault::Hang),
        ("copy", "CopyImage", Fault::Mute),
        ("copy", "DescribeImages", Fault::Hang),
    ] {
        let (cloud, args) = scene(verb);
        let seen = cloud.fake.state().faults.seen(request);
        // As far as the wait for what was made; after it, EC2 answers again.
        let nth = match (verb, request) {
            ("register", "DescribeImages") => 2,
            ("copy", "DescribeImages") => 5,
            _ => 1,
        };
        let when = When::Between(seen + nth, seen + nth);
        cloud.fake.fault(request, when, fault);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = cloud.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = Running(command.spawn().unwrap());
        wait_until("the request that hangs", || {
            cloud.fake.state().faults.seen(request) >= seen + nth
        });
        crate::tools::stdout("kill", &["-INT", &running.0.id().to_string()]);
        let ran = running.end();
        let told = format!("{verb} {request} {fault:?} {ran:?}");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(130), ""), "{told}");
        assert!(!ran.stderr.contains("left behind"), "{told}");
        let state = cloud.fake.state();
        assert_eq!(state.amis().len(), 1, "{told}");
        assert_eq!(
            state.snapshots.iter().filter(|s| !s.deleted).count(),
            1,
            "{told}"
        );
    }
}

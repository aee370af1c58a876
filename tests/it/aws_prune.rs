//! `prune`: what is old goes; what anybody may still need stays, and it is said why.

use crate::aws_moto::{Moto, element};
use crate::common::cloud::{Cloud, Holds};
use crate::common::desk::{Desk, Ran};
use crate::fake_ebs::{Ami, Fault, Instance, Manner, Status, When};
use expect_test::expect;
use std::time::{Duration, SystemTime};

/// AMIs `web-1` to `web-N`, a month between each and the next, each with a snapshot of its own.
fn cloud(count: usize) -> (Cloud, Vec<String>) {
    let cloud = Cloud::with(Manner::default());
    let ids = (1..=count).map(|nr| add(&cloud, &format!("web-{nr}"), nr, &[]));
    let ids = ids.collect();
    (cloud, ids)
}

/// Registers an AMI of the `month`th month of 2025.
fn add(cloud: &Cloud, name: &str, month: usize, args: &[&str]) -> String {
    let image = format!("{name}.img");
    cloud.image(&image, &[Holds::Data(u8::try_from(month).unwrap())]);
    let snapshot = cloud.snapshot(&[&image, "--quiet"]);
    let register = [
        "register", &snapshot, "--arch", "x86_64", "--name", name, "--quiet",
    ];
    let made = cloud.run(&[&register[..], args].concat());
    assert_eq!(made.code, Some(0), "{made:?}");
    let id = made.stdout.trim_end().to_owned();
    change(cloud, &id, |ami| {
        ami.created = format!("2025-{month:02}-01T00:00:00.000Z");
    });
    id
}

fn change(cloud: &Cloud, id: &str, change: impl FnOnce(&mut Ami)) {
    let mut state = cloud.fake.state();
    change(state.images.iter_mut().find(|a| a.id == *id).unwrap());
}

fn prune(cloud: &Cloud, args: &[&str]) -> Ran {
    cloud.run(&[&["prune", "--name", "web-*"], args].concat())
}

/// Names of the AMIs that are there.
fn names(cloud: &Cloud) -> Vec<String> {
    cloud
        .fake
        .state()
        .amis()
        .iter()
        .map(|a| a.name.clone())
        .collect()
}

#[test]
fn nothing_goes_unless_it_is_said_and_then_the_old_with_their_snapshots() {
    let (cloud, _) = cloud(5);
    let shown = prune(&cloud, &["--keep", "2"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    expect![[r#"
        ami-00000000a00000004  2025-05-01 keep   web-5  among the 2 newest of x86_64
        ami-00000000a00000003  2025-04-01 keep   web-4  among the 2 newest of x86_64
        ami-00000000a00000002  2025-03-01 remove web-3  old
        ami-00000000a00000001  2025-02-01 remove web-2  old
        ami-00000000a00000000  2025-01-01 remove web-1  old
    "#]]
    .assert_eq(&shown.stdout);
    expect![[r#"
        us-east-1: 3 AMIs, with their snapshots, and 0 unfinished snapshots would go; --yes removes them
    "#]].assert_eq(&shown.stderr);
    assert_eq!((names(&cloud).len(), cloud.left().len()), (5, 5));
    assert_eq!(
        prune(&cloud, &["--keep", "2", "--dry-run"]).stdout,
        shown.stdout
    );
    let done = prune(&cloud, &["--keep", "2", "--yes", "--quiet"]);
    assert_eq!(
        (done.code, &done.stdout),
        (Some(0), &shown.stdout),
        "{done:?}"
    );
    assert_eq!(names(&cloud), ["web-4", "web-5"]);
    assert_eq!(cloud.left(), [Status::Completed, Status::Completed]);
    // Once more there is nothing to do.
    let again = prune(&cloud, &["--keep", "2", "--yes", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(json["removed"]["images"].as_array().map_or(9, Vec::len), 0);
}

#[test]
fn what_anybody_may_still_need_stays_and_it_is_said_why() {
    let (cloud, ids) = cloud(10);
    let recent = humantime(SystemTime::now() - Duration::from_secs(3 * 86_400));
    change(&cloud, &ids[0], |ami| ami.protected = true);
    change(&cloud, &ids[1], |ami| ami.launched = Some(recent));
    change(&cloud, &ids[2], |ami| {
        ami.shared.insert("all".into());
    });
    change(&cloud, &ids[3], |ami| {
        ami.shared.insert("111122223333".into());
    });
    change(&cloud, &ids[8], |ami| ami.failed = Some("lost".into()));
    {
        let mut state = cloud.fake.state();
        let of = |nr: usize, terminated| Instance {
            image: ids[nr].clone(),
            terminated,
            ..Instance::default()
        };
        // Each is on a page of its own.
        state.instances.insert("i-00000001".into(), of(4, true));
        state.instances.insert("i-00000002".into(), of(4, false));
        state.instances.insert("i-00000003".into(), of(7, true));
        let versions = vec![ids[9].clone(), ids[5].clone(), ids[9].clone()];
        state
            .templates
            .insert("lt-00000001".into(), vec!["ami-1".into()]);
        state.templates.insert("lt-00000002".into(), versions);
        let name = |name: &str| ("us-east-1".to_owned(), name.to_owned());
        state.parameters.insert(name("/a"), "ami-2".into());
        let settings = format!("{{\"image\": \"{}\"}}", ids[6]);
        state.parameters.insert(name("/web"), settings);
    }
    let shown = prune(&cloud, &["--keep", "1", "--yes", "--quiet"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let reasons = shown.stdout.lines().map(|l| {
        let words: Vec<_> = l.split_whitespace().collect();
        let reason = words[4..].join(" ");
        // The day of the launch is another in every run.
        let reason = reason.split(" 2").next().unwrap_or_default().to_owned();
        format!("{} {} {reason}\n", words[3], words[2])
    });
    expect![[r#"
        web-10 keep the newest of x86_64
        web-9 remove old, and failed
        web-8 remove old
        web-7 keep parameter /web
        web-6 keep launch template lt-00000002, version
        web-5 keep instance i-00000002
        web-4 keep shared with 111122223333
        web-3 keep public
        web-2 keep launched
        web-1 keep protected from deregistration
    "#]]
    .assert_eq(&reasons.collect::<String>());
    assert_eq!(names(&cloud).len(), 8);
    let done = prune(&cloud, &["--keep", "1", "--shared", "--yes"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        names(&cloud),
        ["web-1", "web-2", "web-5", "web-6", "web-7", "web-10"]
    );
}

fn humantime(at: SystemTime) -> String {
    let at = aws_smithy_types::DateTime::from(at);
    at.fmt(aws_smithy_types::date_time::Format::DateTime)
        .unwrap()
}

#[test]
fn a_family_is_a_name_or_tags_and_what_diskwright_did_not_make_is_nobodys() {
    let (cloud, _) = cloud(2);
    add(&cloud, "db-1", 1, &["--tag", "team=data"]);
    add(&cloud, "db-2", 2, &["--tag", "team=web"]);
    let foreign = add(&cloud, "web-0", 1, &[]);
    change(&cloud, &foreign, |ami| ami.tags.clear());
    let listed = |args: &[&str]| {
        let ran = cloud.run(&[&["prune", "--keep", "0"], args].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let name = |l: &str| l.split_whitespace().nth(3).unwrap().to_owned();
        let mut names: Vec<_> = ran.stdout.lines().map(name).collect();
        names.sort();
        names
    };
    assert_eq!(listed(&["--name", "web-*"]), ["web-1", "web-2"]);
    assert_eq!(
        listed(&["--name", "web-?", "--foreign"]),
        ["web-0", "web-1", "web-2"]
    );
    assert_eq!(listed(&["--tag", "team"]), ["db-1", "db-2"]);
    assert_eq!(listed(&["--tag", "team=web"]), ["db-2"]);
    assert_eq!(listed(&["--tag", "team", "--name", "*-1"]), ["db-1"]);
    // Neither is everything.
    assert_eq!(cloud.run(&["prune", "--keep", "0"]).code, Some(2));
}

#[test]
fn a_snapshot_of_two_amis_goes_with_the_second() {
    let (cloud, _) = cloud(2);
    let shared = cloud.fake.state().amis()[0].snapshots[0].clone();
    let register = [
        "register", &shared, "--arch", "x86_64", "--name", "other", "--quiet",
    ];
    assert_eq!(cloud.run(&register).code, Some(0));
    let done = prune(&cloud, &["--keep", "1", "--yes"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("it is part of ami-"), "{done:?}");
    assert_eq!((names(&cloud).len(), cloud.left().len()), (2, 2));
}

#[test]
fn a_snapshot_that_diskwright_did_not_make_stays_without_its_ami() {
    let (cloud, ids) = cloud(3);
    let foreign = {
        let mut state = cloud.fake.state();
        let of = state.images.iter().find(|a| a.id == ids[0]).unwrap();
        let id = of.snapshots[0].clone();
        let made = state.snapshots.iter_mut().find(|s| s.id == id).unwrap();
        made.tags.clear();
        id
    };
    let done = prune(&cloud, &["--keep", "1", "--yes"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let told = format!("{foreign} stays: diskwright did not make it");
    assert!(done.stderr.contains(&told), "{done:?}");
    assert_eq!((names(&cloud).len(), cloud.left().len()), (1, 2));
    let (cloud, _) = self::cloud(2);
    for snapshot in &mut cloud.fake.state().snapshots {
        snapshot.tags.clear();
    }
    let done = prune(&cloud, &["--keep", "1", "--yes", "--foreign"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!((names(&cloud).len(), cloud.left().len()), (1, 1));
}

#[test]
fn a_family_that_no_name_can_be_of_is_a_mistake() {
    let (cloud, _) = cloud(1);
    for bad in ["web-{dat}", "web-{date", "web-{digest:65}"] {
        let ran = cloud.run(&["prune", "--keep", "0", "--yes", "--name", bad]);
        assert_eq!(ran.code, Some(2), "{bad} {ran:?}");
    }
    assert_eq!(names(&cloud).len(), 1);
}

#[test]
fn snapshots_whose_upload_never_ended_go_after_a_day() {
    let (cloud, _) = cloud(1);
    cloud.image("big.img", &[Holds::Data(9), Holds::Data(8)]);
    cloud
        .fake
        .fault("CompleteSnapshot", When::After(0), Fault::Internal);
    for name in ["one", "two"] {
        let args = [
            "snapshot",
            "big.img",
            "--new",
            "--keep",
            "--patience",
            "1s",
            "--description",
            name,
        ];
        assert_eq!(cloud.run(&args).code, Some(4));
    }
    {
        let mut state = cloud.fake.state();
        let day = Duration::from_secs(86_400);
        state.snapshots[1].start_time -= day * 2;
        // Somebody else's, as old.
        let old = state
            .start(serde_json::json!({"VolumeSize": 1}), false)
            .id
            .clone();
        let old = state.snapshots.iter_mut().find(|s| s.id == old).unwrap();
        old.start_time -= day * 2;
    }
    let shown = prune(&cloud, &["--json", "--quiet"]);
    let json: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let decisions: Vec<_> = json["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["decision"])
        .collect();
    assert_eq!(decisions, ["remove", "keep"], "{json}");
    assert_eq!(prune(&cloud, &["--yes", "--quiet"]).code, Some(0));
    let left = [Status::Completed, Status::Pending, Status::Pending];
    assert_eq!(cloud.left(), left);
}

/// What prune asks before it removes anything.
const LOOKS: [&str; 8] = [
    "DescribeImages",
    "DescribeInstances",
    "DescribeLaunchTemplates",
    "DescribeLaunchTemplateVersions",
    "DescribeParameters",
    "GetParameters",
    "DescribeImageAttribute",
    "DescribeSnapshots",
];

fn in_use(cloud: &Cloud) {
    let mut state = cloud.fake.state();
    state
        .templates
        .insert("lt-00000001".into(), vec!["ami-1".into()]);
    let name = ("us-east-1".to_owned(), "/web".to_owned());
    state.parameters.insert(name, "ami-1".into());
}

#[test]
fn on_half_of_the_truth_nothing_is_removed() {
    std::thread::scope(|scope| {
        for look in LOOKS {
            scope.spawn(move || {
                for fault in [Fault::Denied, Fault::Internal, Fault::Hang] {
                    let (cloud, _) = cloud(2);
                    in_use(&cloud);
                    let seen = cloud.fake.state().faults.seen(look);
                    cloud.fake.fault(look, When::After(seen), fault);
                    let args = [
                        "--keep",
                        "1",
                        "--yes",
                        "--timeout",
                        "1s",
                        "--patience",
                        "2s",
                    ];
                    let ran = prune(&cloud, &args);
                    assert_eq!(ran.code, Some(4), "{look} {fault:?} {ran:?}");
                    assert!(ran.stderr.contains(look), "{ran:?}");
                    assert_eq!(names(&cloud).len(), 2, "{look} {fault:?}");
                }
            });
        }
    });
}

#[test]
fn what_fails_for_a_while_is_tried_again() {
    std::thread::scope(|scope| {
        for request in LOOKS
            .into_iter()
            .chain(["DeregisterImage", "DeleteSnapshot"])
        {
            scope.spawn(move || {
                for fault in [Fault::AccountThrottle, Fault::Cut, Fault::Lose, Fault::Hang] {
                    let (cloud, _) = cloud(2);
                    in_use(&cloud);
                    let seen = cloud.fake.state().faults.seen(request);
                    cloud
                        .fake
                        .fault(request, When::Between(seen + 1, seen + 2), fault);
                    let ran = prune(&cloud, &["--keep", "1", "--yes", "--timeout", "1s"]);
                    assert_eq!(ran.code, Some(0), "{request} {fault:?} {ran:?}");
                    assert_eq!(names(&cloud), ["web-2"], "{request} {fault:?}");
                    assert_eq!(cloud.left(), [Status::Completed], "{request} {fault:?}");
                }
            });
        }
    });
}

#[test]
fn one_that_cannot_be_removed_does_not_hold_up_the_others() {
    let (cloud, _) = cloud(3);
    cloud
        .fake
        .fault("DeregisterImage", When::First(1), Fault::Denied);
    let ran = prune(&cloud, &["--keep", "1", "--yes", "--quiet"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    expect![[r#"
        error: cannot remove ami-00000000a00000001
          because: ec2:DeregisterImage (ami-00000000a00000001): UnauthorizedOperation: You are not authorized (request 0-fake)
        help: the keys in use need the permission ec2:DeregisterImage
    "#]].assert_eq(&ran.stderr);
    assert_eq!(names(&cloud), ["web-2", "web-3"]);
}

#[test]
fn the_amis_of_somebody_elses_server_are_pruned() {
    let Some(moto) = Moto::start() else { return };
    let desk = Desk::new();
    let ids: Vec<_> = ["web-1", "web-2", "db-1"]
        .map(|name| {
            let form = format!(
                "Action=RegisterImage&Version=2016-11-15&Name={name}&RootDeviceName=/dev/xvda"
            );
            element(&moto.ec2(&form), "imageId").to_owned()
        })
        .into();
    let run = |args: &[&str]| {
        let prune = ["prune", "--name", "web-*", "--foreign", "--json"];
        let said = moto.run(&desk, &[&prune, args].concat());
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    // An instance of the older one.
    let form = format!(
        "Action=RunInstances&Version=2016-11-15&ImageId={}&MinCount=1&MaxCount=1",
        ids[0]
    );
    let started = moto.ec2(&form);
    let shown = run(&["--keep", "0"]);
    let mut decisions: Vec<_> = shown["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| {
            (
                i["id"].as_str().unwrap() == ids[0],
                i["reason"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    decisions.sort();
    let instance = format!("instance {}", element(&started, "instanceId"));
    assert_eq!(decisions.len(), 2, "{shown}");
    assert_eq!(decisions[1], (true, instance), "{shown}");
    let done = run(&["--keep", "0", "--yes"]);
    assert_eq!(
        done["removed"]["images"],
        serde_json::json!([ids[1]]),
        "{done}"
    );
    assert_eq!(run(&["--keep", "0"])["images"].as_array().unwrap().len(), 1);
}

//! `doctor --aws`: what would fail later is told first, with what to do.

use crate::aws_moto::Moto;
use crate::common::cloud::{Cloud, keys};
use crate::common::desk::{Desk, ran};
use crate::fake_ebs::{Fault, Manner, When};
use expect_test::expect;
use std::time::Duration;

#[test]
fn where_all_is_well_every_line_says_ok_and_nothing_is_made() {
    let cloud = Cloud::new();
    let ran = cloud.run(&["doctor", "--aws"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    expect![[r#"
        region                 ok          us-east-1
        clock                  ok          AWS takes its time
        credentials            ok          arn:aws:iam::111122223333:user/ann
        ebs:StartSnapshot      ok          allowed
        ebs:CompleteSnapshot   ok          allowed
        ebs:ListSnapshotBlocks ok          allowed
        ec2:DescribeSnapshots  ok          allowed
        ec2:DescribeImages     ok          allowed
        ec2:RegisterImage      ok          allowed
        encryption             ok          off: snapshots are encrypted where --encrypted says so
        public AMIs            ok          unblocked: AMIs can be shared with everybody
        public snapshots       ok          block-all-sharing: the account shares no snapshots with everybody
    "#]].assert_eq(&ran.stdout);
    let state = cloud.fake.state();
    assert_eq!((state.snapshots.len(), state.images.len()), (0, 0));
}

#[test]
fn what_is_not_allowed_is_told_with_what_to_do() {
    let cloud = Cloud::with(Manner {
        encrypts: true,
        public_blocked: true,
        ..Manner::default()
    });
    for operation in [
        "StartSnapshot",
        "ListSnapshotBlocks",
        "RegisterImage",
        "GetSnapshotBlockPublicAccessState",
    ] {
        cloud.fake.fault(operation, When::After(0), Fault::Denied);
    }
    let ran = cloud.run(&["doctor", "--aws"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    expect![[r#"
        region                 ok          us-east-1
        clock                  ok          AWS takes its time
        credentials            ok          arn:aws:iam::111122223333:user/ann
        ebs:StartSnapshot      FAILED      AccessDeniedException: not authorized to perform this (request 0-fake); `diskwright iam-policy` prints the policy that allows it
        ebs:CompleteSnapshot   ok          allowed
        ebs:ListSnapshotBlocks warning     AccessDeniedException: not authorized to perform this (request 0-fake); `diskwright iam-policy` prints the policy that allows it
        ec2:DescribeSnapshots  ok          allowed
        ec2:DescribeImages     ok          allowed
        ec2:RegisterImage      FAILED      UnauthorizedOperation: You are not authorized (request 0-fake); `diskwright iam-policy` prints the policy that allows it
        encryption             ok          on: every snapshot is encrypted, and a --parent has to be; no AMI can be public
        public AMIs            ok          block-new-sharing: the account shares no AMIs with everybody
        public snapshots       warning     UnauthorizedOperation: You are not authorized (request 0-fake); the keys in use need the permission ec2:GetSnapshotBlockPublicAccessState
    "#]].assert_eq(&ran.stdout);
    let json = cloud.run(&["doctor", "--aws", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let failed = json
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["state"] == "failed");
    assert_eq!(failed.count(), 2);
}

#[test]
fn a_clock_that_is_off_is_told_once() {
    let cloud = Cloud::with(Manner {
        ahead: Duration::from_secs(900),
        ..Manner::default()
    });
    let ran = cloud.run(&["doctor", "--aws"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().filter(|l| !l.contains(" ok ")).collect();
    assert_eq!(lines.len(), 1, "{ran:?}");
    assert!(
        lines[0].starts_with("clock") && lines[0].contains("set this machine's clock"),
        "{lines:?}"
    );
}

#[test]
fn without_region_keys_or_network_one_line_says_so() {
    let desk = Desk::new();
    let doctor = |args: &[&str], with_keys: bool| {
        let mut command = desk.command(&[&["doctor", "--aws"], args].concat());
        keys(&mut command, &desk);
        if !with_keys {
            command
                .env_remove("AWS_ACCESS_KEY_ID")
                .env_remove("AWS_SECRET_ACCESS_KEY");
        }
        let ran = ran(&command.output().unwrap());
        assert_eq!(ran.code, Some(3), "{ran:?}");
        ran.stdout
    };
    expect![[r#"
        region                 FAILED      no region: neither --region nor AWS_REGION nor the profile names one; say --region, as in --region eu-west-1
    "#]].assert_eq(&doctor(&[], true));
    expect![[r#"
        credentials            FAILED      no credentials for AWS; log in (aws sso login), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with --profile, or run on an instance with a role
    "#]].assert_eq(&doctor(&["--region", "eu-west-1"], false));
    let nobody = [
        "--region",
        "eu-west-1",
        "--endpoint-url",
        "http://127.0.0.1:9",
        "--patience",
        "1s",
    ];
    let told = doctor(&nobody, true);
    assert!(
        told.contains("FAILED") && told.contains("check the network"),
        "{told}"
    );
}

#[test]
fn somebody_elses_server_is_examined_and_nothing_stays_there() {
    let Some(moto) = Moto::start() else { return };
    let desk = Desk::new();
    let ran = moto.ran(&desk, &["doctor", "--aws", "--patience", "1s"]);
    assert!(
        ran.stdout.contains("arn:aws:sts::123456789012:user/moto"),
        "{ran:?}"
    );
    let left = moto.ec2("Action=DescribeSnapshots&Version=2016-11-15&Owner.1=self");
    assert!(!left.contains("pending"), "{left}");
}

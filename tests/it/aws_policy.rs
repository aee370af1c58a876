//! `iam-policy`: the least that a run needs.

use crate::common::desk::Desk;
use expect_test::{Expect, expect};

#[track_caller]
fn prints(args: &[&str], expected: Expect) {
    let ran = Desk::new().run(&[&["iam-policy"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    expected.assert_eq(&ran.stdout);
}

#[test]
fn a_snapshot_needs_little() {
    prints(&["--snapshot-only"], expect![[""]]);
}

#[test]
fn an_ami_that_is_copied_shared_and_looked_up_needs_more_where_it_goes() {
    let copied = ["--region", "cn-north-1", "--copy-to", "cn-northwest-1"];
    let key = ["--kms-key", "arn:aws-cn:kms:cn-north-1:1:key/2"];
    let args = ["--share", "--ssm", "/images/web", "--parent"];
    prints(&[&copied[..], &key, &args].concat(), expect![[""]]);
}

#[test]
fn the_role_of_an_import_is_printed_too() {
    let import = ["--route", "import", "--bucket", "incoming", "--document"];
    prints(&[&import[..], &["vmimport-trust"]].concat(), expect![[""]]);
    prints(&[&import[..], &["vmimport-policy"]].concat(), expect![[""]]);
    let desk = Desk::new();
    let ran = desk.run(&["iam-policy", "--document", "vmimport-trust"]);
    desk.told(&ran, 2, expect![[""]]);
}

/// Every statement names a resource of its service, in one partition, and no action is allowed twice.
#[test]
fn whatever_is_asked_for_no_action_is_allowed_twice() {
    let flags = [
        "--parent",
        "--share",
        "--deprecate",
        "--protect",
        "--ssm",
        "--kms-key",
        "--console",
        "--prune",
        "--doctor",
    ];
    for route in ["ebs", "bundle", "import"] {
        for flag in flags {
            let args = [
                "iam-policy",
                "--route",
                route,
                "--region",
                "us-gov-west-1",
                flag,
            ];
            let ran = Desk::new().run(&args);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            let policy: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            let mut actions = Vec::new();
            for statement in policy["Statement"].as_array().unwrap() {
                let resources = statement["Resource"].as_array().unwrap();
                let fine = |r: &str| r == "*" || r.starts_with("arn:aws-us-gov:");
                assert!(
                    resources.iter().all(|r| fine(r.as_str().unwrap())),
                    "{policy}"
                );
                actions.extend(statement["Action"].as_array().unwrap().clone());
            }
            let all = actions.len();
            actions.sort_by_key(ToString::to_string);
            actions.dedup();
            assert_eq!(actions.len(), all, "{policy}");
        }
    }
}

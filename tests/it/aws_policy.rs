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
    prints(
        &["--snapshot-only"],
        expect![[r#"
            {
              "Statement": [
                {
                  "Action": [
                    "ebs:StartSnapshot",
                    "ebs:PutSnapshotBlock",
                    "ebs:CompleteSnapshot"
                  ],
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws:ec2:*::snapshot/*"
                  ],
                  "Sid": "Snapshots"
                },
                {
                  "Action": [
                    "ec2:DeleteSnapshot"
                  ],
                  "Condition": {
                    "Null": {
                      "aws:ResourceTag/diskwright:digest": "false"
                    }
                  },
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws:ec2:*::snapshot/*"
                  ],
                  "Sid": "OwnSnapshots"
                },
                {
                  "Action": [
                    "ec2:CreateTags"
                  ],
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws:ec2:*::image/*",
                    "arn:aws:ec2:*::snapshot/*"
                  ],
                  "Sid": "Tags"
                },
                {
                  "Action": [
                    "ec2:DescribeSnapshots"
                  ],
                  "Effect": "Allow",
                  "Resource": [
                    "*"
                  ],
                  "Sid": "Lists"
                }
              ],
              "Version": "2012-10-17"
            }
        "#]],
    );
}

#[test]
fn an_ami_that_is_copied_shared_and_looked_up_needs_more_where_it_goes() {
    let copied = ["--region", "cn-north-1", "--copy-to", "cn-northwest-1"];
    let key = ["--kms-key", "arn:aws-cn:kms:cn-north-1:1:key/2"];
    let args = ["--share", "--ssm", "/images/web", "--parent"];
    prints(
        &[&copied[..], &key, &args].concat(),
        expect![[r#"
            {
              "Statement": [
                {
                  "Action": [
                    "ebs:StartSnapshot",
                    "ebs:PutSnapshotBlock",
                    "ebs:CompleteSnapshot",
                    "ebs:ListSnapshotBlocks",
                    "ebs:GetSnapshotBlock"
                  ],
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws-cn:ec2:cn-north-1::snapshot/*",
                    "arn:aws-cn:ec2:cn-northwest-1::snapshot/*"
                  ],
                  "Sid": "Snapshots"
                },
                {
                  "Action": [
                    "ec2:ModifySnapshotAttribute",
                    "ec2:DeleteSnapshot"
                  ],
                  "Condition": {
                    "Null": {
                      "aws:ResourceTag/diskwright:digest": "false"
                    }
                  },
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws-cn:ec2:cn-north-1::snapshot/*",
                    "arn:aws-cn:ec2:cn-northwest-1::snapshot/*"
                  ],
                  "Sid": "OwnSnapshots"
                },
                {
                  "Action": [
                    "ec2:RegisterImage",
                    "ec2:CopyImage"
                  ],
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws-cn:ec2:cn-north-1::image/*",
                    "arn:aws-cn:ec2:cn-northwest-1::image/*",
                    "arn:aws-cn:ec2:cn-north-1::snapshot/*",
                    "arn:aws-cn:ec2:cn-northwest-1::snapshot/*"
                  ],
                  "Sid": "ImagesOfSnapshots"
                },
                {
                  "Action": [
                    "ec2:CreateTags"
                  ],
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws-cn:ec2:cn-north-1::image/*",
                    "arn:aws-cn:ec2:cn-northwest-1::image/*",
                    "arn:aws-cn:ec2:cn-north-1::snapshot/*",
                    "arn:aws-cn:ec2:cn-northwest-1::snapshot/*"
                  ],
                  "Sid": "Tags"
                },
                {
                  "Action": [
                    "ec2:DeregisterImage",
                    "ec2:ModifyImageAttribute"
                  ],
                  "Condition": {
                    "Null": {
                      "aws:ResourceTag/diskwright:digest": "false"
                    }
                  },
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws-cn:ec2:cn-north-1::image/*",
                    "arn:aws-cn:ec2:cn-northwest-1::image/*"
                  ],
                  "Sid": "OwnImages"
                },
                {
                  "Action": [
                    "ssm:GetParameter",
                    "ssm:PutParameter",
                    "ssm:DeleteParameter"
                  ],
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws-cn:ssm:cn-north-1:*:parameter/images/web",
                    "arn:aws-cn:ssm:cn-northwest-1:*:parameter/images/web"
                  ],
                  "Sid": "Parameters"
                },
                {
                  "Action": [
                    "kms:DescribeKey",
                    "kms:CreateGrant",
                    "kms:GenerateDataKeyWithoutPlaintext",
                    "kms:ReEncrypt*",
                    "kms:Decrypt"
                  ],
                  "Effect": "Allow",
                  "Resource": [
                    "arn:aws-cn:kms:cn-north-1:1:key/2"
                  ],
                  "Sid": "Keys"
                },
                {
                  "Action": [
                    "ec2:DescribeSnapshots",
                    "ec2:DescribeImages",
                    "ec2:GetImageBlockPublicAccessState"
                  ],
                  "Condition": {
                    "StringEquals": {
                      "aws:RequestedRegion": [
                        "cn-north-1",
                        "cn-northwest-1"
                      ]
                    }
                  },
                  "Effect": "Allow",
                  "Resource": [
                    "*"
                  ],
                  "Sid": "Lists"
                }
              ],
              "Version": "2012-10-17"
            }
        "#]],
    );
}

#[test]
fn the_role_of_an_import_is_printed_too() {
    let import = ["--route", "import", "--bucket", "incoming", "--document"];
    prints(
        &[&import[..], &["vmimport-trust"]].concat(),
        expect![[r#"
        {
          "Statement": [
            {
              "Action": "sts:AssumeRole",
              "Condition": {
                "StringEquals": {
                  "sts:Externalid": "vmimport"
                }
              },
              "Effect": "Allow",
              "Principal": {
                "Service": "vmie.amazonaws.com"
              }
            }
          ],
          "Version": "2012-10-17"
        }
    "#]],
    );
    prints(
        &[&import[..], &["vmimport-policy"]].concat(),
        expect![[r#"
        {
          "Statement": [
            {
              "Action": [
                "s3:GetBucketLocation",
                "s3:GetObject",
                "s3:ListBucket"
              ],
              "Effect": "Allow",
              "Resource": [
                "arn:aws:s3:::incoming",
                "arn:aws:s3:::incoming/*"
              ]
            },
            {
              "Action": [
                "ec2:ModifySnapshotAttribute",
                "ec2:CopySnapshot",
                "ec2:RegisterImage",
                "ec2:Describe*"
              ],
              "Effect": "Allow",
              "Resource": "*"
            }
          ],
          "Version": "2012-10-17"
        }
    "#]],
    );
    let desk = Desk::new();
    let ran = desk.run(&["iam-policy", "--document", "vmimport-trust"]);
    desk.told(
        &ran,
        2,
        expect![[r#"
        error: the role vmimport belongs to --route import
    "#]],
    );
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

/// The resources of a statement.
fn resources(args: &[&str], sid: &str) -> Vec<String> {
    let ran = Desk::new().run(&[&["iam-policy"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let policy: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let of = statements.iter().find(|s| s["Sid"] == sid).unwrap();
    let of = of["Resource"].as_array().unwrap().iter();
    of.map(|r| r.as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_are_those_that_are_named_and_those_of_the_copies() {
    let own = "arn:aws:kms:eu-west-1:1:key/2";
    let other = "arn:aws:kms:us-east-1:1:key/3";
    let args = [
        "--region",
        "eu-west-1",
        "--kms-key",
        own,
        "--kms-key",
        other,
    ];
    assert_eq!(resources(&args, "Keys"), [own, other]);
    for (copy, key) in [
        ("us-east-1=alias/web", "arn:aws:kms:us-east-1:*:key/*"),
        ("us-east-1=4", "arn:aws:kms:us-east-1:*:key/4"),
        (&format!("us-east-1={other}"), other),
    ] {
        let args = ["--region", "eu-west-1", "--copy-to", copy];
        assert_eq!(resources(&args, "Keys"), [key]);
        let snapshots = resources(&args, "Snapshots");
        assert_eq!(snapshots[1], "arn:aws:ec2:us-east-1::snapshot/*");
    }
    let ran = Desk::new().run(&["iam-policy", "--kms-key", "alias/web"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn prune_reads_all_parameters_and_an_import_has_its_tags() {
    let args = ["--prune", "--ssm", "/web"];
    assert_eq!(
        resources(&args, "Parameters"),
        ["arn:aws:ssm:*:*:parameter/web"]
    );
    assert_eq!(
        resources(&args, "AllParameters"),
        ["arn:aws:ssm:*:*:parameter/*"]
    );
    let tags = resources(&["--route", "import"], "Tags");
    assert_eq!(
        tags.last().unwrap(),
        "arn:aws:ec2:*:*:import-snapshot-task/*"
    );
}

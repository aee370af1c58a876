//! Which permissions of IAM a run needs: the table of all actions that are used, and policies made of it.
//!
//! Source of resources and condition keys: Service Authorization Reference, one page per service.

use serde_json::{Value, json};

/// The tag that what diskwright makes bears ([`super::image::DIGEST_TAG`]), by which a policy lets it delete that and nothing else.
const OURS: &str = "aws:ResourceTag/diskwright:digest";

/// What permissions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Sending a snapshot by EBS direct APIs.
    Snapshot,
    /// Reading a parent whose block map is not at hand.
    Parent,
    /// Sending a bundle to S3.
    Bundle,
    /// Making the bucket for it.
    CreateBucket,
    /// Sending an image to S3, for ImportSnapshot to read.
    Import,
    /// Registering an AMI.
    Register,
    /// Copying it to other regions.
    Copy,
    /// Sharing it.
    Share,
    /// Setting its date of deprecation.
    Deprecate,
    /// Protecting it from deregistration.
    Protect,
    /// Keeping its id in a parameter of Systems Manager.
    Parameter,
    /// Deleting old AMIs.
    Prune,
    /// Looking whether all is well.
    Doctor,
    /// Looking at an instance's console.
    Console,
    /// A KMS key of one's own.
    Key,
}

/// What an action acts upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum On {
    /// Nothing that has a name: lists and settings.
    Anything,
    Snapshot,
    /// Snapshots that diskwright made.
    OwnSnapshot,
    /// AMIs that diskwright made.
    OwnImage,
    /// Both together: an AMI of a snapshot.
    ImageAndSnapshot,
    /// What is made: both, and imports.
    Tagged,
    Bucket,
    Object,
    Instance,
    Parameter,
    AnyParameter,
    Key,
}

struct Grant {
    action: &'static str,
    on: On,
    tasks: &'static [Task],
    /// The action in whose course AWS asks for this one, where no request is named so.
    within: Option<&'static str>,
}

const fn grant(action: &'static str, on: On, tasks: &'static [Task]) -> Grant {
    Grant {
        action,
        on,
        tasks,
        within: None,
    }
}

const fn within(
    request: &'static str,
    action: &'static str,
    on: On,
    tasks: &'static [Task],
) -> Grant {
    Grant {
        action,
        on,
        tasks,
        within: Some(request),
    }
}

use Task as For;

/// Every action there is, once.
const GRANTS: &[Grant] = &[
    grant("ebs:StartSnapshot", On::Snapshot, &[For::Snapshot]),
    grant("ebs:PutSnapshotBlock", On::Snapshot, &[For::Snapshot]),
    grant("ebs:CompleteSnapshot", On::Snapshot, &[For::Snapshot]),
    // `register` reads the few blocks that say what processor and firmware the disk is for.
    grant(
        "ebs:ListSnapshotBlocks",
        On::Snapshot,
        &[For::Parent, For::Register],
    ),
    grant(
        "ebs:GetSnapshotBlock",
        On::Snapshot,
        &[For::Parent, For::Register],
    ),
    grant(
        "ec2:ModifySnapshotAttribute",
        On::OwnSnapshot,
        &[For::Share],
    ),
    grant(
        "ec2:DeleteSnapshot",
        On::OwnSnapshot,
        &[For::Snapshot, For::Copy, For::Import, For::Prune],
    ),
    // What is made is tagged as it is made, what is imported afterwards. AWS does not say what the condition key
    // ec2:CreateAction is for StartSnapshot: there is none.
    grant(
        "ec2:CreateTags",
        On::Tagged,
        &[For::Snapshot, For::Register, For::Copy, For::Import],
    ),
    grant("s3:ListBucket", On::Bucket, &[For::Bundle, For::Import]),
    grant("s3:GetBucketOwnershipControls", On::Bucket, &[For::Bundle]),
    grant("s3:GetEncryptionConfiguration", On::Bucket, &[For::Bundle]),
    grant("s3:CreateBucket", On::Bucket, &[For::CreateBucket]),
    grant("s3:DeleteBucket", On::Bucket, &[For::CreateBucket]),
    within(
        "s3:CreateBucket",
        "s3:PutBucketOwnershipControls",
        On::Bucket,
        &[For::CreateBucket],
    ),
    grant("s3:ListBucketMultipartUploads", On::Bucket, &[For::Import]),
    grant("s3:PutObject", On::Object, &[For::Bundle, For::Import]),
    grant("s3:PutObjectAcl", On::Object, &[For::Bundle]),
    grant("s3:DeleteObject", On::Object, &[For::Bundle, For::Import]),
    grant("s3:AbortMultipartUpload", On::Object, &[For::Import]),
    grant("ec2:ImportSnapshot", On::Anything, &[For::Import]),
    grant(
        "ec2:DescribeImportSnapshotTasks",
        On::Anything,
        &[For::Import],
    ),
    grant("ec2:CancelImportTask", On::Anything, &[For::Import]),
    grant("ec2:RegisterImage", On::ImageAndSnapshot, &[For::Register]),
    grant("ec2:CopyImage", On::ImageAndSnapshot, &[For::Copy]),
    grant(
        "ec2:DeregisterImage",
        On::OwnImage,
        &[For::Register, For::Copy, For::Prune],
    ),
    grant(
        "ec2:DisableImageDeregistrationProtection",
        On::OwnImage,
        &[For::Protect],
    ),
    grant(
        "ec2:EnableImageDeregistrationProtection",
        On::OwnImage,
        &[For::Protect],
    ),
    grant(
        "ec2:EnableImageDeprecation",
        On::OwnImage,
        &[For::Deprecate],
    ),
    grant("ec2:ModifyImageAttribute", On::OwnImage, &[For::Share]),
    // `register` looks what processor the manifest says.
    grant("s3:GetObject", On::Object, &[For::Bundle]),
    grant("ssm:GetParameter", On::Parameter, &[For::Parameter]),
    grant("ssm:PutParameter", On::Parameter, &[For::Parameter]),
    grant("ssm:DeleteParameter", On::Parameter, &[For::Parameter]),
    grant("ssm:GetParameters", On::AnyParameter, &[For::Prune]),
    grant("ec2:GetConsoleOutput", On::Instance, &[For::Console]),
    grant("ec2:GetConsoleScreenshot", On::Instance, &[For::Console]),
    within("ebs:StartSnapshot", "kms:DescribeKey", On::Key, &[For::Key]),
    within("ebs:StartSnapshot", "kms:CreateGrant", On::Key, &[For::Key]),
    within(
        "ebs:StartSnapshot",
        "kms:GenerateDataKeyWithoutPlaintext",
        On::Key,
        &[For::Key],
    ),
    within("ebs:StartSnapshot", "kms:ReEncrypt*", On::Key, &[For::Key]),
    within("ebs:GetSnapshotBlock", "kms:Decrypt", On::Key, &[For::Key]),
    grant(
        "ec2:DescribeSnapshots",
        On::Anything,
        &[
            For::Snapshot,
            For::Parent,
            For::Register,
            For::Copy,
            For::Prune,
        ],
    ),
    // Systems Manager looks with the caller's permissions whether a parameter's value is an AMI.
    grant(
        "ec2:DescribeImages",
        On::Anything,
        &[For::Register, For::Copy, For::Parameter, For::Prune],
    ),
    grant(
        "ec2:GetImageBlockPublicAccessState",
        On::Anything,
        &[For::Share, For::Doctor],
    ),
    grant("ec2:DescribeImageAttribute", On::Anything, &[For::Prune]),
    grant("ec2:DescribeInstances", On::Anything, &[For::Prune]),
    grant("ec2:DescribeLaunchTemplates", On::Anything, &[For::Prune]),
    grant(
        "ec2:DescribeLaunchTemplateVersions",
        On::Anything,
        &[For::Prune],
    ),
    grant("ssm:DescribeParameters", On::Anything, &[For::Prune]),
    grant(
        "ec2:GetSnapshotBlockPublicAccessState",
        On::Anything,
        &[For::Doctor],
    ),
    grant(
        "ec2:GetEbsEncryptionByDefault",
        On::Anything,
        &[For::Doctor],
    ),
    // Whom the keys belong to, AWS says to everybody; a policy need not.
    grant("sts:GetCallerIdentity", On::Anything, &[]),
];

/// Every action of the table, and the request in whose course AWS asks for it where no request bears its name.
pub fn actions() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    GRANTS.iter().map(|grant| (grant.action, grant.within))
}

/// What a policy is to allow, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What for.
    pub tasks: Vec<Task>,
    /// Regions; none: all of the partition.
    pub regions: Vec<String>,
    /// The ARNs of KMS keys; none: all.
    pub keys: Vec<String>,
    /// The parameter's name; none: all.
    pub parameter: Option<String>,
    /// The bucket's name; none: all.
    pub bucket: Option<String>,
}

fn partition(region: &str) -> &'static str {
    match region {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        r if r.starts_with("eusc-") => "aws-eusc",
        _ => "aws",
    }
}

/// The ARN of a KMS key of a region by its ARN or id. An alias is no resource of a policy: it stands for any key there.
#[must_use]
pub fn key_arn(region: &str, key: &str) -> String {
    let id = match key {
        key if key.contains("alias/") => "*",
        key if key.starts_with("arn:") => return key.to_owned(),
        key => key,
    };
    format!("arn:{}:kms:{region}:*:key/{id}", partition(region))
}

impl Wanted {
    fn partition(&self) -> &'static str {
        partition(self.regions.first().map_or("", String::as_str))
    }

    fn bucket(&self) -> String {
        let name = self.bucket.as_deref().unwrap_or("*");
        format!("arn:{}:s3:::{name}", self.partition())
    }
}

impl On {
    /// In the order of the policy.
    const ALL: [Self; 12] = [
        Self::Snapshot,
        Self::OwnSnapshot,
        Self::ImageAndSnapshot,
        Self::Tagged,
        Self::OwnImage,
        Self::Bucket,
        Self::Object,
        Self::Parameter,
        Self::AnyParameter,
        Self::Instance,
        Self::Key,
        Self::Anything,
    ];

    /// The statement's id.
    fn sid(self) -> &'static str {
        match self {
            Self::Snapshot => "Snapshots",
            Self::OwnSnapshot => "OwnSnapshots",
            Self::ImageAndSnapshot => "ImagesOfSnapshots",
            Self::Tagged => "Tags",
            Self::OwnImage => "OwnImages",
            Self::Bucket => "Buckets",
            Self::Object => "Objects",
            Self::Parameter => "Parameters",
            Self::AnyParameter => "AllParameters",
            Self::Instance => "Instances",
            Self::Key => "Keys",
            Self::Anything => "Lists",
        }
    }

    fn resources(self, wanted: &Wanted) -> Vec<String> {
        let partition = wanted.partition();
        let regional = |service: &str, rest: &str| -> Vec<String> {
            let arn = |region: &str| format!("arn:{partition}:{service}:{region}:{rest}");
            match wanted.regions.as_slice() {
                [] => vec![arn("*")],
                regions => regions.iter().map(|r| arn(r)).collect(),
            }
        };
        match self {
            Self::Anything => vec!["*".into()],
            // The ARNs of snapshots and AMIs name no account.
            Self::Snapshot | Self::OwnSnapshot => regional("ec2", ":snapshot/*"),
            Self::OwnImage => regional("ec2", ":image/*"),
            Self::ImageAndSnapshot => {
                let mut both = regional("ec2", ":image/*");
                both.extend(regional("ec2", ":snapshot/*"));
                both
            }
            Self::Tagged => {
                let mut made = Self::ImageAndSnapshot.resources(wanted);
                if wanted.tasks.contains(&Task::Import) {
                    made.extend(regional("ec2", "*:import-snapshot-task/*"));
                }
                made
            }
            Self::Bucket => vec![wanted.bucket()],
            Self::Object => vec![format!("{}/*", wanted.bucket())],
            Self::Parameter => {
                let name = wanted.parameter.as_deref().unwrap_or("*");
                let name = name.trim_start_matches('/');
                regional("ssm", &format!("*:parameter/{name}"))
            }
            Self::AnyParameter => regional("ssm", "*:parameter/*"),
            Self::Instance => regional("ec2", "*:instance/*"),
            Self::Key if wanted.keys.is_empty() => regional("kms", "*:key/*"),
            Self::Key => wanted.keys.clone(),
        }
    }

    fn condition(self, wanted: &Wanted) -> Option<Value> {
        match self {
            Self::OwnSnapshot | Self::OwnImage => Some(json!({"Null": {OURS: "false"}})),
            Self::Anything if !wanted.regions.is_empty() => {
                Some(json!({"StringEquals": {"aws:RequestedRegion": wanted.regions}}))
            }
            _ => None,
        }
    }
}

/// The least that has to be allowed.
#[must_use]
pub fn policy(wanted: &Wanted) -> Value {
    let statements: Vec<_> = On::ALL
        .into_iter()
        .filter_map(|on| statement(on, wanted))
        .collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statement(on: On, wanted: &Wanted) -> Option<Value> {
    let needed = |grant: &&Grant| {
        grant.on == on && grant.tasks.iter().any(|task| wanted.tasks.contains(task))
    };
    let actions: Vec<_> = GRANTS.iter().filter(needed).map(|g| g.action).collect();
    if actions.is_empty() {
        return None;
    }
    let mut statement = json!({
        "Sid": on.sid(),
        "Effect": "Allow",
        "Action": actions,
        "Resource": on.resources(wanted),
    });
    if let Some(condition) = on.condition(wanted) {
        statement["Condition"] = condition;
    }
    Some(statement)
}

/// Who may take the role `vmimport`: the service that ImportSnapshot hands the work to (VM Import/Export User Guide,
/// Required permissions).
#[must_use]
pub fn vmimport_trust() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "vmie.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:Externalid": "vmimport"}},
        }],
    })
}

/// What the role `vmimport` must be allowed to import a snapshot from a bucket (the same page).
#[must_use]
pub fn vmimport_permissions(wanted: &Wanted) -> Value {
    let bucket = wanted.bucket();
    let objects = format!("{bucket}/*");
    let mut statements = vec![
        json!({
            "Effect": "Allow",
            "Action": ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"],
            "Resource": [bucket, objects],
        }),
        json!({
            "Effect": "Allow",
            "Action": [
                "ec2:ModifySnapshotAttribute", "ec2:CopySnapshot", "ec2:RegisterImage", "ec2:Describe*",
            ],
            "Resource": "*",
        }),
    ];
    if wanted.tasks.contains(&Task::Key) {
        statements.push(json!({
            "Effect": "Allow",
            "Action": [
                "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*",
                "kms:ReEncrypt*",
            ],
            "Resource": On::Key.resources(wanted),
        }));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_action_is_in_the_table_once_and_belongs_to_a_request_of_it() {
        let mut all = BTreeSet::new();
        for (action, _) in actions() {
            assert!(all.insert(action), "{action}");
        }
        for (action, within) in actions() {
            assert!(within.is_none_or(|of| all.contains(of)), "{action}");
        }
    }
}

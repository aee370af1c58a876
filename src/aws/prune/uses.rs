//! Who uses an AMI: instances, launch templates, parameters of Systems Manager, other accounts.

use super::list::next;
use crate::aws::{Aws, AwsError, Call};
use aws_sdk_ec2::types::{Filter, ImageAttributeName, InstanceStateName};
use aws_sdk_ssm::types::ParameterStringFilter;
use std::collections::{BTreeMap, BTreeSet};

/// Values of a filter, at most (`Filter`: 200 of EC2).
const VALUES: usize = 200;
/// Parameters that one request lists, at most (`DescribeParameters`).
const NAMES: i32 = 50;
/// Parameters that one request asks for, at most (`GetParameters`).
const PARAMETERS: usize = 10;
/// What a launch template names a parameter by instead of an AMI.
const RESOLVE: &str = "resolve:ssm:";

/// For each of the AMIs that is in use, by whom.
pub(super) async fn of(
    aws: &Aws,
    ids: &[String],
    shared_too: bool,
) -> Result<BTreeMap<String, String>, AwsError> {
    let mut uses = Uses {
        asked: ids.iter().cloned().collect(),
        by: BTreeMap::new(),
    };
    if ids.is_empty() {
        return Ok(uses.by);
    }
    for some in ids.chunks(VALUES) {
        instances(aws, some, &mut uses).await?;
    }
    let mut names = templates(aws, &mut uses).await?;
    names.extend(parameter_names(aws).await?);
    let names: Vec<_> = names.into_iter().collect();
    for some in names.chunks(PARAMETERS) {
        parameters(aws, some, &mut uses).await?;
    }
    if !shared_too {
        for id in ids {
            if !uses.by.contains_key(id) {
                shares(aws, id, &mut uses).await?;
            }
        }
    }
    Ok(uses.by)
}

struct Uses {
    asked: BTreeSet<String>,
    by: BTreeMap<String, String>,
}

impl Uses {
    /// The first one told of is enough.
    fn add(&mut self, ami: Option<&str>, by: impl FnOnce() -> String) {
        if let Some(ami) = ami.filter(|ami| self.asked.contains(*ami)) {
            self.by.entry(ami.to_owned()).or_insert_with(by);
        }
    }
}

/// Instances that are not terminated: a stopped one needs no AMI to start, but whoever has it may want another.
async fn instances(aws: &Aws, ids: &[String], uses: &mut Uses) -> Result<(), AwsError> {
    let call = Call::new("ec2:DescribeInstances", "those of the AMIs");
    let filter = Filter::builder()
        .name("image-id")
        .set_values(Some(ids.to_vec()))
        .build();
    let mut token = None;
    loop {
        let request = || {
            let request = aws.ec2().describe_instances().filters(filter.clone());
            request.set_next_token(token.clone()).send()
        };
        let answer = aws.call(&call, request).await?;
        for instance in answer.reservations().iter().flat_map(|r| r.instances()) {
            let state = instance.state().and_then(|s| s.name());
            if state != Some(&InstanceStateName::Terminated) {
                let id = instance.instance_id().unwrap_or_default();
                uses.add(instance.image_id(), || format!("instance {id}"));
            }
        }
        token = next(answer.next_token());
        if token.is_none() {
            return Ok(());
        }
    }
}

/// All versions of all launch templates; gives the parameters that they name.
async fn templates(aws: &Aws, uses: &mut Uses) -> Result<BTreeSet<String>, AwsError> {
    let call = Call::new("ec2:DescribeLaunchTemplates", "all of the account's");
    let (mut ids, mut token) = (Vec::new(), None);
    loop {
        let request = || {
            let request = aws.ec2().describe_launch_templates();
            request.set_next_token(token.clone()).send()
        };
        let answer = aws.call(&call, request).await?;
        let some = answer.launch_templates().iter();
        ids.extend(some.filter_map(|t| t.launch_template_id().map(ToOwned::to_owned)));
        token = next(answer.next_token());
        if token.is_none() {
            break;
        }
    }
    let mut names = BTreeSet::new();
    for id in ids {
        let call = Call::new("ec2:DescribeLaunchTemplateVersions", &id);
        loop {
            let request = || {
                let request = aws.ec2().describe_launch_template_versions();
                let request = request.launch_template_id(&id);
                request.set_next_token(token.clone()).send()
            };
            let answer = aws.call(&call, request).await?;
            for version in answer.launch_template_versions() {
                let image = version.launch_template_data().and_then(|d| d.image_id());
                let number = version.version_number().unwrap_or_default();
                uses.add(image, || format!("launch template {id}, version {number}"));
                let name = image.and_then(|i| i.strip_prefix(RESOLVE));
                names.extend(name.map(ToOwned::to_owned));
            }
            token = next(answer.next_token());
            if token.is_none() {
                break;
            }
        }
    }
    Ok(names)
}

/// The names of all parameters in plain text: whatever its data type is, any may name an AMI.
async fn parameter_names(aws: &Aws) -> Result<Vec<String>, AwsError> {
    let call = Call::new("ssm:DescribeParameters", "all in plain text");
    let filter = ParameterStringFilter::builder()
        .key("Type")
        .option("Equals")
        .values("String")
        .values("StringList")
        .build()
        .expect("it has a key");
    let (mut names, mut token) = (Vec::new(), None);
    loop {
        let request = || {
            let request = aws.ssm().describe_parameters();
            let request = request.parameter_filters(filter.clone());
            let request = request.max_results(NAMES);
            request.set_next_token(token.clone()).send()
        };
        let answer = aws.call(&call, request).await?;
        let some = answer.parameters().iter();
        names.extend(some.filter_map(|p| p.name().map(ToOwned::to_owned)));
        token = next(answer.next_token());
        if token.is_none() {
            return Ok(names);
        }
    }
}

async fn parameters(aws: &Aws, names: &[String], uses: &mut Uses) -> Result<(), AwsError> {
    let call = Call::new("ssm:GetParameters", names.join(", "));
    let request = || {
        let request = aws.ssm().get_parameters();
        request.set_names(Some(names.to_vec())).send()
    };
    let answer = aws.call(&call, request).await?;
    for parameter in answer.parameters() {
        let name = parameter.name().unwrap_or_default();
        // An AMI alone, one of a list, or within a file of settings.
        let value = parameter.value().unwrap_or_default();
        let words = value.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        for word in words {
            uses.add(Some(word), || format!("parameter {name}"));
        }
    }
    Ok(())
}

async fn shares(aws: &Aws, id: &str, uses: &mut Uses) -> Result<(), AwsError> {
    let call = Call::new("ec2:DescribeImageAttribute", id);
    let request = || {
        let request = aws.ec2().describe_image_attribute().image_id(id);
        let attribute = ImageAttributeName::LaunchPermission;
        request.attribute(attribute).send()
    };
    let answer = aws.call(&call, request).await?;
    let permissions = answer.launch_permissions();
    let whom = permissions.iter().find_map(|p| {
        let group = p.group().map(|g| g.as_str());
        let organization = p.organization_arn().or(p.organizational_unit_arn());
        p.user_id().or(organization).or(group)
    });
    if let Some(whom) = whom {
        uses.add(Some(id), || format!("shared with {whom}"));
    }
    Ok(())
}

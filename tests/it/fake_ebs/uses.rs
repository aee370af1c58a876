//! Who uses AMIs: instances, launch templates, other accounts.

use super::ec2::{NAMESPACE, error};
use super::http::Response;
use super::images::list;
use super::state::State;
use std::collections::BTreeMap;

pub const OPERATIONS: &[&str] = &[
    "DescribeInstances",
    "DescribeLaunchTemplates",
    "DescribeLaunchTemplateVersions",
    "DescribeImageAttribute",
];

pub fn answer(
    operation: &str,
    region: &str,
    form: &BTreeMap<String, String>,
    state: &mut State,
) -> Response {
    // One to a page, so that whoever reads the first page alone misses most.
    let at: usize = form.get("NextToken").map_or(0, |t| t.parse().unwrap());
    let (set, items) = match operation {
        "DescribeInstances" => ("reservationSet", instances(form, state)),
        "DescribeLaunchTemplates" => (
            "launchTemplates",
            state
                .templates
                .keys()
                .map(|id| format!("<launchTemplateId>{id}</launchTemplateId>"))
                .collect(),
        ),
        "DescribeLaunchTemplateVersions" => {
            let id = form.get("LaunchTemplateId").cloned().unwrap_or_default();
            let Some(versions) = state.templates.get(&id) else {
                // Without a template it would be the latest and default of each, as asked for.
                return error(400, "InvalidLaunchTemplateId.NotFound", &id);
            };
            let version = |(nr, image): (usize, &String)| {
                format!(
                    "<launchTemplateId>{id}</launchTemplateId><versionNumber>{}</versionNumber>\
                     <launchTemplateData><imageId>{image}</imageId></launchTemplateData>",
                    nr + 1
                )
            };
            let versions = versions.iter().enumerate().map(version);
            ("launchTemplateVersionSet", versions.collect())
        }
        _ => {
            let id = &form["ImageId"];
            let ami = match state.ami(region, id) {
                Ok(ami) => ami,
                Err(refused) => return refused,
            };
            let whom = ami.shared.iter().map(|whom| match whom.as_str() {
                "all" => "<item><group>all</group></item>".to_owned(),
                arn if arn.starts_with("arn:") => {
                    format!("<item><organizationArn>{arn}</organizationArn></item>")
                }
                user => format!("<item><userId>{user}</userId></item>"),
            });
            let whom: String = whom.collect();
            let inner =
                format!("<imageId>{id}</imageId><launchPermission>{whom}</launchPermission>");
            return wrapped(operation, &inner);
        }
    };
    let items: Vec<String> = items;
    let more = match at + 1 < items.len() {
        true => format!("<nextToken>{}</nextToken>", at + 1),
        false => String::new(),
    };
    let page = items.get(at).map(|i| format!("<item>{i}</item>"));
    let page = page.unwrap_or_default();
    wrapped(operation, &format!("<{set}>{page}</{set}>{more}"))
}

fn wrapped(operation: &str, inner: &str) -> Response {
    Response::new(
        200,
        format!("<{operation}Response xmlns=\"{NAMESPACE}\">{inner}</{operation}Response>"),
    )
}

fn instances(form: &BTreeMap<String, String>, state: &State) -> Vec<String> {
    assert_eq!(form["Filter.1.Name"], "image-id");
    let wanted = list(form, "Filter.1.Value", "");
    let all = state.instances.iter();
    let all = all.filter(|(_, i)| wanted.contains(&i.image.as_str()));
    all.map(|(id, instance)| {
        let state = match instance.terminated {
            true => "terminated",
            false => "stopped",
        };
        format!(
            "<instancesSet><item><instanceId>{id}</instanceId><imageId>{}</imageId>\
             <instanceState><code>80</code><name>{state}</name></instanceState></item></instancesSet>",
            instance.image
        )
    })
    .collect()
}

//! What instances have printed: GetConsoleOutput and GetConsoleScreenshot.

use super::ec2::error;
use super::http::Response;
use super::state::State;
use aws_smithy_types::base64;
use std::collections::BTreeMap;

/// An instance, as far as it can be looked at; it is stopped.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// What it had printed at each look; the last stays.
    pub looks: Vec<Vec<u8>>,
    /// The posted one differs from the latest.
    pub posted: Vec<u8>,
    /// It is no Nitro instance.
    pub xen: bool,
    pub screen: Vec<u8>,
    /// The AMI that it was made of.
    pub image: String,
    pub terminated: bool,
}

pub fn answer(operation: &str, form: &BTreeMap<String, String>, state: &mut State) -> Response {
    let id = form.get("InstanceId").cloned().unwrap_or_default();
    let Some(instance) = state.instances.get_mut(&id) else {
        let message = format!("The instance ID '{id}' does not exist");
        return error(400, "InvalidInstanceID.NotFound", &message);
    };
    let latest = form.get("Latest").is_some_and(|l| l == "true");
    let (name, bytes) = match operation {
        "GetConsoleScreenshot" => ("imageData", instance.screen.clone()),
        _ if latest && instance.xen => {
            let message = "This instance type does not support retrieving the latest console logs.";
            return error(400, "UnsupportedOperation", message);
        }
        _ if latest && instance.looks.len() > 1 => ("output", instance.looks.remove(0)),
        _ if latest => (
            "output",
            instance.looks.first().cloned().unwrap_or_default(),
        ),
        _ => ("output", instance.posted.clone()),
    };
    // EC2 breaks the lines of its base64.
    let text = base64::encode(bytes);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    Response::new(
        200,
        format!(
            "<{operation}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><instanceId>{id}</instanceId>\
             <timestamp>2026-11-23T06:00:00.000Z</timestamp><{name}>{}</{name}></{operation}Response>",
            lines.join("\n")
        ),
    )
}

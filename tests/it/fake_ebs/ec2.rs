//! EC2's query protocol: snapshots here, AMIs in [`super::images`], consoles in [`super::console`].

use super::http::{Request, Response, form};
use super::state::{State, Status};
use super::{doctor, images, imports, uses};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use std::collections::BTreeMap;

pub const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

pub fn error(status: u16, code: &str, message: &str) -> Response {
    Response::new(
        status,
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>0-fake</RequestID></Response>"
        ),
    )
}

/// The operation that a form names.
pub fn operation(body: &[u8]) -> &'static str {
    let form = form(&String::from_utf8_lossy(body));
    let action = form.get("Action").map(String::as_str);
    let others = [
        images::OPERATIONS,
        imports::OPERATIONS,
        uses::OPERATIONS,
        doctor::OPERATIONS,
    ]
    .concat();
    let other = others.into_iter().find(|o| Some(*o) == action);
    match action {
        Some("DescribeSnapshots") => "DescribeSnapshots",
        Some("DeleteSnapshot") => "DeleteSnapshot",
        Some("GetConsoleOutput") => "GetConsoleOutput",
        Some("GetConsoleScreenshot") => "GetConsoleScreenshot",
        _ => other.unwrap_or("?"),
    }
}

pub fn answer(operation: &str, request: &Request, state: &mut State) -> Response {
    let form = form(&String::from_utf8_lossy(&request.body));
    // An import looks at its role before.
    let import = operation == "ImportSnapshot";
    if !import && form.get("DryRun").is_some_and(|d| d == "true") {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return error(412, "DryRunOperation", message);
    }
    if uses::OPERATIONS.contains(&operation) {
        return uses::answer(operation, request.region(), &form, state);
    }
    if doctor::OPERATIONS.contains(&operation) {
        return doctor::answer(operation, state);
    }
    if images::OPERATIONS.contains(&operation) {
        return images::answer(operation, request.region(), &form, state);
    }
    if imports::OPERATIONS.contains(&operation) {
        return imports::answer(operation, &form, state);
    }
    if operation.starts_with("GetConsole") {
        return super::console::answer(operation, &form, state);
    }
    if operation == "DescribeSnapshots" && !form.contains_key("SnapshotId.1") {
        return list(&form, state);
    }
    let id = form.get("SnapshotId.1").or_else(|| form.get("SnapshotId"));
    let id = id.cloned().unwrap_or_default();
    if operation == "DeleteSnapshot"
        && let Some(ami) = state.using(&id)
    {
        let message = format!("The snapshot {id} is currently in use by {}", ami.id);
        return error(400, "InvalidSnapshot.InUse", &message);
    }
    let Some(snapshot) = state.known(&id) else {
        let message = format!("The snapshot '{id}' does not exist.");
        return error(400, "InvalidSnapshot.NotFound", &message);
    };
    if operation == "DeleteSnapshot" {
        snapshot.deleted = true;
        return Response::new(
            200,
            format!(
                "<DeleteSnapshotResponse xmlns=\"{NAMESPACE}\"><return>true</return></DeleteSnapshotResponse>"
            ),
        );
    }
    let size = snapshot.gibibytes;
    let key = match snapshot.request["KmsKeyArn"].as_str() {
        Some(key) if !key.is_empty() => format!("<kmsKeyId>{key}</kmsKeyId>"),
        _ => String::new(),
    };
    let (status, more) = match snapshot.status() {
        Status::Pending | Status::Completing => ("pending", "<progress>42%</progress>".to_owned()),
        Status::Completed => ("completed", "<progress>100%</progress>".to_owned()),
        Status::Error(why) => ("error", format!("<statusMessage>{why}</statusMessage>")),
    };
    Response::new(
        200,
        format!(
            "<DescribeSnapshotsResponse xmlns=\"{NAMESPACE}\"><snapshotSet><item>\
             <snapshotId>{id}</snapshotId><status>{status}</status>{more}\
             <volumeSize>{size}</volumeSize>{key}</item></snapshotSet></DescribeSnapshotsResponse>"
        ),
    )
}

/// Snapshots of a status and with a tag.
fn list(form: &BTreeMap<String, String>, state: &State) -> Response {
    assert_eq!(form["Filter.1.Name"], "tag-key");
    let statuses = images::list(form, "Filter.2.Value", "");
    let all = state.snapshots.iter().filter(|s| !s.deleted);
    let all = all.filter(|s| s.tags.contains_key(&form["Filter.1.Value.1"]));
    let items = all.filter_map(|s| {
        let status = match s.status() {
            Status::Pending | Status::Completing => "pending",
            Status::Completed => "completed",
            Status::Error(_) => "error",
        };
        let tags = s.tags.iter();
        let tags = tags.map(|(k, v)| format!("<item><key>{k}</key><value>{v}</value></item>"));
        let started = DateTime::from(s.start_time).fmt(Format::DateTime).unwrap();
        (statuses.is_empty() || statuses.contains(&status)).then(|| {
            format!(
                "<item><snapshotId>{}</snapshotId><status>{status}</status><startTime>{started}</startTime>\
                 <tagSet>{}</tagSet></item>",
                s.id,
                tags.collect::<String>()
            )
        })
    });
    Response::new(
        200,
        format!(
            "<DescribeSnapshotsResponse xmlns=\"{NAMESPACE}\"><snapshotSet>{}</snapshotSet>\
             </DescribeSnapshotsResponse>",
            items.collect::<String>()
        ),
    )
}

//! EC2's query protocol: snapshots here, consoles in [`super::console`].

use super::http::{Response, form};
use super::state::{State, Status};

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

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
    match form.get("Action").map(String::as_str) {
        Some("DescribeSnapshots") => "DescribeSnapshots",
        Some("DeleteSnapshot") => "DeleteSnapshot",
        Some("GetConsoleOutput") => "GetConsoleOutput",
        Some("GetConsoleScreenshot") => "GetConsoleScreenshot",
        _ => "?",
    }
}

pub fn answer(operation: &str, body: &[u8], state: &mut State) -> Response {
    let form = form(&String::from_utf8_lossy(body));
    if operation.starts_with("GetConsole") {
        return super::console::answer(operation, &form, state);
    }
    let id = form.get("SnapshotId.1").or_else(|| form.get("SnapshotId"));
    let id = id.cloned().unwrap_or_default();
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
             </item></snapshotSet></DescribeSnapshotsResponse>"
        ),
    )
}

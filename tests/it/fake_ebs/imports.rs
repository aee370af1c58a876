//! VM Import: ImportSnapshot, its tasks, and tags, which it leaves to others.

use super::ec2::{NAMESPACE, error};
use super::http::Response;
use super::state::{BLOCK, Snapshot, State};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Instant;

pub const OPERATIONS: &[&str] = &[
    "CreateTags",
    "ImportSnapshot",
    "DescribeImportSnapshotTasks",
    "CancelImportTask",
];

pub type Object = Box<dyn Fn(&str, &str) -> Option<Vec<u8>> + Send>;
type Form = BTreeMap<String, String>;

pub struct Task {
    /// What a request with the same token must repeat.
    pub form: Form,
    pub bytes: Vec<u8>,
    looks: u32,
    pub snapshot: Option<String>,
    pub cancelled: bool,
}

#[derive(Default)]
pub struct Imports {
    pub tasks: Vec<Task>,
    /// What S3 has: the object of a bucket and a key.
    pub object: Option<Object>,
    pub no_role: bool,
    /// Why every import fails.
    pub fails: Option<&'static str>,
}

pub fn answer(operation: &str, form: &Form, state: &mut State) -> Response {
    let answer = match operation {
        "ImportSnapshot" => import(form, state),
        "CancelImportTask" => cancel(form, state),
        "CreateTags" => tag(form, state),
        _ => describe(form, state),
    };
    answer.unwrap_or_else(|refused| refused)
}

fn xml(operation: &str, inside: &str) -> Response {
    let name = format!("{operation}Response");
    Response::new(
        200,
        format!("<{name} xmlns=\"{NAMESPACE}\">{inside}</{name}>"),
    )
}

fn id(nr: usize) -> String {
    format!("import-snap-{nr:017x}")
}

fn import(form: &Form, state: &mut State) -> Result<Response, Response> {
    let asked = |name: &str| form.get(name).map_or("", String::as_str);
    if asked("RoleName").is_empty() && state.imports.no_role {
        let text = "The service role vmimport provided does not exist or does not have sufficient permissions";
        return Err(error(400, "InvalidParameter", text));
    }
    if asked("DryRun") == "true" {
        let text = "Request would have succeeded, but DryRun flag is set.";
        return Err(error(412, "DryRunOperation", text));
    }
    let token = asked("ClientToken");
    let tasks = &mut state.imports.tasks;
    let same = |t: &Task| t.form.get("ClientToken").map(String::as_str) == Some(token);
    if let Some(nr) = tasks.iter().position(same) {
        if tasks[nr].form != *form {
            let text = "the token is of another request";
            return Err(error(400, "IdempotentParameterMismatch", text));
        }
        let inside = format!("<importTaskId>{}</importTaskId>", id(nr));
        return Ok(xml("ImportSnapshot", &inside));
    }
    let format = asked("DiskContainer.Format");
    if !["RAW", "VHD", "VMDK"].contains(&format) {
        return Err(error(400, "InvalidParameter", "DiskContainer.Format"));
    }
    let (bucket, key) = (
        asked("DiskContainer.UserBucket.S3Bucket"),
        asked("DiskContainer.UserBucket.S3Key"),
    );
    let bytes = match &state.imports.object {
        None => Vec::new(),
        Some(object) => object(bucket, key).ok_or_else(|| {
            let text = format!("Unable to read s3://{bucket}/{key}");
            error(400, "InvalidParameter", &text)
        })?,
    };
    tasks.push(Task {
        form: form.clone(),
        bytes,
        looks: 0,
        snapshot: None,
        cancelled: false,
    });
    let inside = format!("<importTaskId>{}</importTaskId>", id(tasks.len() - 1));
    Ok(xml("ImportSnapshot", &inside))
}

fn known(asked: &str, state: &State) -> Result<usize, Response> {
    let found = (0..state.imports.tasks.len()).find(|nr| id(*nr) == asked);
    found.ok_or_else(|| error(400, "InvalidConversionTaskId.Malformed", asked))
}

fn tag(form: &Form, state: &mut State) -> Result<Response, Response> {
    let Some(snapshot) = state.known(&form["ResourceId.1"]) else {
        return Err(error(400, "InvalidSnapshot.NotFound", "ResourceId.1"));
    };
    for nr in 1.. {
        let Some(key) = form.get(&format!("Tag.{nr}.Key")) else {
            break;
        };
        let value = form[&format!("Tag.{nr}.Value")].clone();
        snapshot.tags.insert(key.clone(), value);
    }
    Ok(xml("CreateTags", "<return>true</return>"))
}

/// All tasks, with their objects.
fn describe_all(state: &State) -> Response {
    let one = |(nr, task): (usize, &Task)| {
        format!(
            "<item><importTaskId>{}</importTaskId><snapshotTaskDetail><userBucket><s3Key>{}</s3Key>\
             </userBucket></snapshotTaskDetail></item>",
            id(nr),
            task.form["DiskContainer.UserBucket.S3Key"]
        )
    };
    let items: String = state.imports.tasks.iter().enumerate().map(one).collect();
    let inside = format!("<importSnapshotTaskSet>{items}</importSnapshotTaskSet>");
    xml("DescribeImportSnapshotTasks", &inside)
}

/// A task is done at the third look.
fn describe(form: &Form, state: &mut State) -> Result<Response, Response> {
    let Some(asked) = form.get("ImportTaskId.1") else {
        return Ok(describe_all(state));
    };
    let nr = known(asked, state)?;
    let fails = state.imports.fails;
    let task = &mut state.imports.tasks[nr];
    task.looks += 1;
    let detail = match (task.looks, fails) {
        _ if task.cancelled => "<status>deleted</status>".to_owned(),
        (1, _) => {
            "<status>active</status><progress>3</progress><statusMessage>pending</statusMessage>"
                .to_owned()
        }
        (2, _) => {
            "<status>active</status><progress>60</progress><statusMessage>converting</statusMessage>"
                .to_owned()
        }
        (_, Some(why)) => {
            format!("<status>error</status><statusMessage>{why}</statusMessage>")
        }
        (_, None) => {
            let snapshot = match &task.snapshot {
                Some(snapshot) => snapshot.clone(),
                None => made(nr, state),
            };
            format!("<status>completed</status><snapshotId>{snapshot}</snapshotId>")
        }
    };
    let inside = format!(
        "<importSnapshotTaskSet><item><importTaskId>{}</importTaskId>\
         <snapshotTaskDetail>{detail}</snapshotTaskDetail></item></importSnapshotTaskSet>",
        id(nr)
    );
    Ok(xml("DescribeImportSnapshotTasks", &inside))
}

fn made(nr: usize, state: &mut State) -> String {
    let task = &mut state.imports.tasks[nr];
    let bytes = std::mem::take(&mut task.bytes);
    let encrypted = task.form.get("Encrypted").is_some_and(|e| e == "true");
    let gibibytes = bytes.len().div_ceil(1 << 30);
    let id = state
        .start(json!({ "VolumeSize": gibibytes }), encrypted)
        .id
        .clone();
    let snapshot: &mut Snapshot = state.known(&id).unwrap();
    for (nr, block) in (0..).zip(bytes.chunks(BLOCK)) {
        let mut whole = block.to_vec();
        whole.resize(BLOCK, 0);
        snapshot.put(nr, &whole, Sha256::digest(&whole).into());
    }
    snapshot.completed = Some(Instant::now());
    state.imports.tasks[nr].bytes = bytes;
    state.imports.tasks[nr].snapshot = Some(id.clone());
    id
}

fn cancel(form: &Form, state: &mut State) -> Result<Response, Response> {
    let nr = known(&form["ImportTaskId"], state)?;
    let task = &mut state.imports.tasks[nr];
    if task.snapshot.is_some() {
        return Err(error(400, "IncorrectState", "the task is completed"));
    }
    task.cancelled = true;
    Ok(xml("CancelImportTask", "<return>true</return>"))
}

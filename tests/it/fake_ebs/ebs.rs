//! EBS direct APIs, as strict as the user guide: what AWS refuses is refused.

use super::http::{Request, Response};
use super::state::{BLOCK, State, Status};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Instant, UNIX_EPOCH};

/// An answer, or the error that stands for it.
type Answer = Result<Response, Response>;

pub fn error(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({ "Message": message })).with("x-amzn-errortype", code)
}

pub fn invalid(message: &str, reason: &str) -> Response {
    let body = json!({ "Message": message, "Reason": reason });
    Response::json(400, &body).with("x-amzn-errortype", "ValidationException")
}

fn parameter(message: &str) -> Response {
    invalid(message, "INVALID_PARAMETER_VALUE")
}

fn absent(id: &str) -> Response {
    let message = format!("The snapshot '{id}' does not exist.");
    error(404, "ResourceNotFoundException", &message)
}

pub fn operation(method: &str, path: &str) -> &'static str {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, &parts[..]) {
        ("POST", ["snapshots"]) => "StartSnapshot",
        ("POST", ["snapshots", "completion", _]) => "CompleteSnapshot",
        ("PUT", ["snapshots", _, "blocks", _]) => "PutSnapshotBlock",
        ("GET", ["snapshots", _, "blocks"]) => "ListSnapshotBlocks",
        ("GET", ["snapshots", _, "blocks", _]) => "GetSnapshotBlock",
        _ => "?",
    }
}

pub fn answer(operation: &str, request: &Request, state: &mut State) -> Response {
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let answer = match operation {
        "StartSnapshot" => start(request, state),
        "CompleteSnapshot" => complete(parts[2], request, state),
        "PutSnapshotBlock" => put(parts[1], parts[3], request, state),
        "ListSnapshotBlocks" => list(parts[1], request, state),
        "GetSnapshotBlock" => get(parts[1], parts[3], request, state),
        _ => Err(error(404, "UnknownOperationException", &request.path)),
    };
    answer.unwrap_or_else(|refused| {
        let body = String::from_utf8_lossy(&refused.body);
        state.refusals.push(format!("{operation}: {body}"));
        refused
    })
}

fn start(request: &Request, state: &mut State) -> Answer {
    let asked: Value = serde_json::from_slice(&request.body)
        .map_err(|_| error(400, "SerializationException", "no JSON"))?;
    let size = asked["VolumeSize"].as_u64().unwrap_or(0);
    if !(1..=65536).contains(&size) {
        return Err(invalid("VolumeSize", "INVALID_VOLUME_SIZE"));
    }
    let timeout = asked["Timeout"].as_u64().unwrap_or(60);
    if !(10..=4320).contains(&timeout) {
        return Err(parameter("Timeout"));
    }
    let token = asked["ClientToken"].as_str().unwrap_or_default();
    if token.len() > 64 || token.bytes().any(|b| !b.is_ascii_graphic()) {
        return Err(parameter("ClientToken"));
    }
    if asked["Description"]
        .as_str()
        .is_some_and(|d| d.chars().count() > 255)
    {
        return Err(parameter("Description"));
    }
    if asked["Tags"].as_array().is_some_and(|t| t.len() > 50) {
        return Err(invalid("Tags", "INVALID_TAG"));
    }
    let mut encrypted = asked["Encrypted"].as_bool() == Some(true);
    if asked["KmsKeyArn"].is_string() && !encrypted {
        return Err(parameter("KmsKeyArn without Encrypted"));
    }
    if let Some(id) = asked["ParentSnapshotId"].as_str() {
        if encrypted {
            return Err(parameter("Encrypted with ParentSnapshotId"));
        }
        let parent = state.known(id).ok_or_else(|| absent(id))?;
        if parent.status() != Status::Completed {
            return Err(parameter("the parent is not completed"));
        }
        let (gibibytes, of_parent) = (parent.gibibytes, parent.encrypted);
        if size < gibibytes {
            return Err(invalid("smaller than its parent", "INVALID_VOLUME_SIZE"));
        }
        if state.manner.encrypts && !of_parent {
            return Err(parameter("the parent must be encrypted"));
        }
        encrypted = of_parent;
    }
    let same = state
        .snapshots
        .iter()
        .position(|s| !token.is_empty() && s.token == token);
    let snapshot = match same {
        Some(at) if state.snapshots[at].request == asked => &state.snapshots[at],
        Some(_) => return Err(error(409, "ConflictException", "token of another request")),
        None => {
            let encrypted = encrypted || state.manner.encrypts;
            state.start(asked, encrypted)
        }
    };
    let since = snapshot.start_time.duration_since(UNIX_EPOCH).unwrap();
    Ok(Response::json(
        201,
        &json!({
            "SnapshotId": snapshot.id,
            "Status": match snapshot.status() {
                Status::Pending => "pending",
                Status::Completing | Status::Completed => "completed",
                Status::Error(_) => "error",
            },
            "StartTime": since.as_secs_f64(),
            "VolumeSize": snapshot.gibibytes,
            "BlockSize": BLOCK,
        }),
    ))
}

fn put(id: &str, nr: &str, request: &Request, state: &mut State) -> Answer {
    let snapshot = state.known(id).ok_or_else(|| absent(id))?;
    if snapshot.status() != Status::Pending {
        return Err(parameter("the snapshot is not pending"));
    }
    let blocks = snapshot.gibibytes * ((1 << 30) / BLOCK as u64);
    let nr: u32 = nr.parse().map_err(|_| parameter("BlockIndex"))?;
    if u64::from(nr) >= blocks {
        return Err(parameter("BlockIndex past the volume's end"));
    }
    if request.header("x-amz-data-length") != BLOCK.to_string() || request.body.len() != BLOCK {
        return Err(parameter("DataLength"));
    }
    if request.header("x-amz-content-sha256") != "UNSIGNED-PAYLOAD" {
        return Err(parameter("the payload is not to be signed"));
    }
    if request.header("x-amz-checksum-algorithm") != "SHA256" {
        return Err(parameter("ChecksumAlgorithm"));
    }
    let progress = request.header("x-amz-progress");
    if !progress.is_empty() && !progress.parse::<u32>().is_ok_and(|p| p <= 100) {
        return Err(parameter("Progress"));
    }
    let digest = request.digest;
    let checksum = base64(&digest);
    if request.header("x-amz-checksum") != checksum {
        return Err(parameter("Checksum does not match the data"));
    }
    snapshot.put(nr, &request.body, digest);
    state.puts += 1;
    state.matters += u64::from(checksum != ZEROS);
    Ok(Response::json(201, &json!({}))
        .with("x-amz-checksum", checksum)
        .with("x-amz-checksum-algorithm", "SHA256"))
}

fn complete(id: &str, request: &Request, state: &mut State) -> Answer {
    let snapshot = state.known(id).ok_or_else(|| absent(id))?;
    if snapshot.status() != Status::Pending {
        return Err(parameter("the snapshot is not pending"));
    }
    let count = request.header("x-amz-changedblockscount");
    let count: usize = count.parse().map_err(|_| parameter("ChangedBlocksCount"))?;
    let checksum = request.header("x-amz-checksum");
    if !checksum.is_empty() {
        if request.header("x-amz-checksum-algorithm") != "SHA256" {
            return Err(parameter("ChecksumAlgorithm"));
        }
        if request.header("x-amz-checksum-aggregation-method") != "LINEAR" {
            return Err(parameter("ChecksumAggregationMethod"));
        }
    }
    if count != snapshot.digests.len() {
        snapshot.failed = Some("ChangedBlocksCount is not the number of blocks".into());
    } else if !checksum.is_empty() && checksum != base64(&snapshot.linear()) {
        snapshot.failed = Some("Checksum is not that of the blocks".into());
    }
    snapshot.completed = Some(Instant::now());
    Ok(Response::json(202, &json!({ "Status": "pending" })))
}

fn completed(id: &str, state: &mut State) -> Result<(), Response> {
    let snapshot = state.known(id).ok_or_else(|| absent(id))?;
    match snapshot.status() {
        Status::Completed => Ok(()),
        _ => Err(parameter("the snapshot is not completed")),
    }
}

fn list(id: &str, request: &Request, state: &mut State) -> Answer {
    completed(id, state)?;
    let number = |name: &str| {
        request
            .query
            .get(name)
            .and_then(|n| n.parse::<usize>().ok())
    };
    let most = number("maxResults").unwrap_or(10_000);
    if !(100..=10_000).contains(&most) {
        return Err(parameter("MaxResults"));
    }
    // Pages of a hundred, so that small images have several.
    let from = number("pageToken").unwrap_or(0);
    let blocks: Vec<Value> = state
        .blocks(id)
        .iter()
        .map(|(nr, of)| json!({ "BlockIndex": nr, "BlockToken": format!("{}/{nr}", of.id) }))
        .collect();
    let page: Vec<Value> = blocks.iter().skip(from).take(100).cloned().collect();
    let mut body = json!({
        "BlockSize": BLOCK,
        "VolumeSize": state.get(id).gibibytes,
        "ExpiryTime": 4_000_000_000_u64,
        "Blocks": page,
    });
    if from + 100 < blocks.len() {
        body["NextToken"] = (from + 100).to_string().into();
    }
    Ok(Response::json(200, &body))
}

fn get(id: &str, nr: &str, request: &Request, state: &mut State) -> Answer {
    completed(id, state)?;
    let number: u32 = nr.parse().map_err(|_| parameter("BlockIndex"))?;
    let blocks: BTreeMap<_, _> = state.blocks(id);
    let of = blocks
        .get(&number)
        .ok_or_else(|| invalid(nr, "INVALID_BLOCK"))?;
    if request.query.get("blockToken") != Some(&format!("{}/{nr}", of.id)) {
        return Err(invalid("BlockToken", "INVALID_BLOCK_TOKEN"));
    }
    Ok(Response::new(200, of.block(number))
        .with("content-type", "application/octet-stream")
        .with("x-amz-data-length", BLOCK)
        .with("x-amz-checksum", base64(&of.digests[&number]))
        .with("x-amz-checksum-algorithm", "SHA256"))
}

/// SHA-256 of a block of zeros.
const ZEROS: &str = "B4VNL+8pega6gWheZgwzLeNtXRjVRpJ9MNqtbX/aFUE=";

/// The digest that a block comes with.
pub fn claimed(request: &Request) -> [u8; 32] {
    let digest = aws_smithy_types::base64::decode(request.header("x-amz-checksum"));
    digest
        .ok()
        .and_then(|d| d.try_into().ok())
        .unwrap_or_default()
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for nr in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * nr)) as usize & 63];
            text.push(if nr <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

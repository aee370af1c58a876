//! A strict fake of S3, on loopback, in this process: it refuses what AWS refuses, which the servers to be had
//! partly let pass. Buckets in the path; of signatures it checks date and region.

mod object;
mod settings;
mod state;
mod upload;

pub use state::S3State;

use crate::fake_ebs::http::{self, Request, Response};
use crate::fake_ebs::imports::Object;
use crate::fake_ebs::{Fault, When};
use std::io::{BufReader, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime};

/// The region of the endpoint.
pub const REGION: &str = "us-east-1";
/// S3 refuses signatures that are older.
const MAX_SKEW: Duration = Duration::from_secs(900);

/// A running fake.
pub struct FakeS3 {
    pub url: String,
    state: Arc<Mutex<S3State>>,
}

impl FakeS3 {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(S3State::default()));
        let shared = Arc::clone(&state);
        // It ends with the process of the tests.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, S3State> {
        self.state.lock().unwrap()
    }

    /// Gives the bytes of a bucket's object.
    pub fn objects(&self) -> Object {
        let state = Arc::clone(&self.state);
        Box::new(move |bucket, key| {
            let state = state.lock().unwrap();
            Some(state.buckets.get(bucket)?.objects.get(key)?.bytes.clone())
        })
    }

    pub fn fault(&self, operation: &'static str, when: When, fault: Fault) {
        self.state().faults.add(operation, when, fault);
    }
}

fn serve(stream: TcpStream, state: &Mutex<S3State>) {
    let mut out = stream.try_clone().unwrap();
    let mut from = BufReader::new(stream);
    // A client that goes away is no fault of the fake.
    while let Ok(Some(mut request)) = Request::head(&mut from, Vec::new()) {
        {
            let mut state = state.lock().unwrap();
            state.running += request.body_len();
            state.widest = state.widest.max(state.running);
        }
        let len = request.body_len();
        let done = one(&mut request, &mut from, &mut out, state);
        state.lock().unwrap().running -= len;
        if done.is_none() {
            let _ = out.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Answers one request; `None`: the connection is to end.
fn one(
    request: &mut Request,
    from: &mut BufReader<TcpStream>,
    out: &mut TcpStream,
    state: &Mutex<S3State>,
) -> Option<()> {
    let operation = operation(request);
    let fault = state.lock().unwrap().faults.next(operation);
    if fault == Some(Fault::Cut) {
        let mut half = vec![0; request.body_len() / 2];
        from.read_exact(&mut half).ok()?;
        return None;
    }
    request.read_body(from).ok()?;
    if fault == Some(Fault::Hang) {
        // Until the client has enough of it.
        let _ = from.read(&mut [0]);
        return None;
    }
    let now = SystemTime::now();
    let refused = fault.and_then(|f| refusal(f, operation));
    let mut state = state.lock().unwrap();
    let mut response = refused
        .or_else(|| unsigned(request, now))
        .unwrap_or_else(|| answer(operation, request, &mut state));
    if response.status >= 300 {
        let body = String::from_utf8_lossy(&response.body).into_owned();
        state.refusals.push(format!("{operation}: {body}"));
    }
    drop(state);
    if request.method == "HEAD" {
        response.body.clear();
    }
    match fault {
        Some(Fault::Lose) => None,
        Some(Fault::Mute) => {
            let _ = from.read(&mut [0]);
            None
        }
        Some(Fault::Torn) => {
            response.write(out, now, true).ok()?;
            None
        }
        _ => response.write(out, now, false).ok(),
    }
}

pub fn error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>0-fake</RequestId></Error>"
    );
    Response::new(status, body).with("content-type", "application/xml")
}

pub fn xml(root: &str, inside: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}</{root}>"
    );
    Response::new(200, body).with("content-type", "application/xml")
}

/// The text of the first element `name`.
pub fn text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}

fn refusal(fault: Fault, operation: &str) -> Option<Response> {
    Some(match fault {
        Fault::AccountThrottle | Fault::SnapshotThrottle => {
            error(503, "SlowDown", "Please reduce your request rate.")
        }
        // As S3 tells it when it has begun to answer.
        Fault::Internal if operation == "CompleteMultipartUpload" => {
            error(200, "InternalError", "We encountered an internal error.")
        }
        Fault::Internal => error(500, "InternalError", "We encountered an internal error."),
        Fault::Conflicting => error(409, "OperationAborted", "A conflicting operation."),
        Fault::Denied => error(403, "AccessDenied", "Access Denied"),
        Fault::Expired => error(400, "ExpiredToken", "The provided token has expired."),
        Fault::Skewed => error(403, "RequestTimeTooSkewed", "The difference is too large."),
        Fault::Hang | Fault::Mute | Fault::Cut | Fault::Lose | Fault::Torn => return None,
    })
}

fn unsigned(request: &Request, now: SystemTime) -> Option<Response> {
    let signed = request.header("authorization");
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=") {
        return Some(error(403, "AccessDenied", "not signed"));
    }
    if !signed.contains("/s3/aws4_request") || !signed.contains(&format!("/{REGION}/")) {
        let text = "the region is wrong";
        return Some(error(400, "AuthorizationHeaderMalformed", text));
    }
    let skew = http::skew(request.header("x-amz-date"), now);
    if skew.is_none_or(|s| s > MAX_SKEW) {
        return Some(error(
            403,
            "RequestTimeTooSkewed",
            "The difference is too large.",
        ));
    }
    None
}

/// Bucket and key of a request.
fn place(request: &Request) -> (&str, &str) {
    let path = request.path.trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}

fn operation(request: &Request) -> &'static str {
    let (_, key) = place(request);
    let asks = |what: &str| request.query.contains_key(what);
    match (request.method.as_str(), key.is_empty()) {
        ("HEAD", true) => "HeadBucket",
        ("PUT", true) => "CreateBucket",
        ("DELETE", true) => "DeleteBucket",
        ("GET", true) if asks("ownershipControls") => "GetBucketOwnershipControls",
        ("GET", true) if asks("encryption") => "GetBucketEncryption",
        ("GET", true) if asks("uploads") => "ListMultipartUploads",
        ("GET", true) if asks("list-type") => "ListObjectsV2",
        ("PUT", false) if asks("acl") => "PutObjectAcl",
        ("PUT", false) if asks("uploadId") => "UploadPart",
        ("PUT", false) => "PutObject",
        ("POST", false) if asks("uploads") => "CreateMultipartUpload",
        ("POST", false) if asks("uploadId") => "CompleteMultipartUpload",
        ("DELETE", false) if asks("uploadId") => "AbortMultipartUpload",
        ("DELETE", false) => "DeleteObject",
        ("GET", false) if asks("uploadId") => "ListParts",
        _ => "?",
    }
}

fn answer(operation: &str, request: &Request, state: &mut S3State) -> Response {
    let (name, key) = place(request);
    if operation == "CreateBucket" {
        return settings::create(name, request, state);
    }
    let settling = state.settling;
    let Some(bucket) = state.buckets.get_mut(name) else {
        return error(404, "NoSuchBucket", "The specified bucket does not exist");
    };
    if bucket.region != REGION {
        let moved = error(301, "PermanentRedirect", "must be addressed elsewhere");
        return moved.with("x-amz-bucket-region", bucket.region);
    }
    let new = bucket.made.is_some_and(|made| made.elapsed() < settling);
    if new && operation != "DeleteBucket" {
        return error(404, "NoSuchBucket", "The specified bucket does not exist");
    }
    if operation == "DeleteBucket" {
        return settings::delete(name, state);
    }
    let answer = match operation {
        "HeadBucket" => Ok(Response::new(200, "").with("x-amz-bucket-region", REGION)),
        "GetBucketOwnershipControls" => settings::ownership(bucket),
        "GetBucketEncryption" => settings::encryption(bucket),
        "ListObjectsV2" => object::list(request, bucket),
        "PutObject" => object::put(key, request, bucket),
        "PutObjectAcl" => object::acl(key, request, bucket),
        "DeleteObject" => object::delete(key, bucket),
        "CreateMultipartUpload" => upload::create(key, request, bucket),
        "UploadPart" => upload::part(key, request, bucket),
        "CompleteMultipartUpload" => upload::complete(key, request, bucket),
        "AbortMultipartUpload" => upload::abort(key, request, bucket),
        "ListMultipartUploads" => upload::list(request, bucket),
        "ListParts" => upload::parts(key, request, bucket),
        _ => Err(error(501, "NotImplemented", &request.path)),
    };
    answer.unwrap_or_else(|refused| refused)
}

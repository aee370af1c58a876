//! A strict fake of EBS direct, of EC2's snapshots and AMIs and of the parameters of Systems Manager, on loopback,
//! in this process.
//!
//! It knows what no server to be had does: block size, checksums, counts, states, tokens, the time for which a
//! new snapshot is not found, both ways of throttling, inheritance, and that an encrypted volume reads as
//! noise where nobody wrote. What goes wrong on purpose is in [`Fault`]. It checks the dates of signatures, not the
//! signatures: moto's clients do no more.

mod console;
mod doctor;
mod ebs;
mod ec2;
mod faults;
pub mod http;
mod images;
pub mod imports;
mod ssm;
mod state;
mod uses;

pub use console::Instance;
pub use faults::{Fault, Faults, When};
pub use images::Ami;
pub use state::{BLOCK, Manner, State, Status};

use http::{Request, Response};
use sha2::{Digest, Sha256};
use std::io::{BufReader, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime};

/// AWS refuses signatures that are older.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// A running fake.
pub struct Fake {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            manner,
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        // It ends with the process of the tests.
        thread::spawn(move || {
            let wide = Arc::new(AtomicU64::new(0));
            for stream in listener.incoming().flatten() {
                let (state, wide) = (Arc::clone(&shared), Arc::clone(&wide));
                thread::spawn(move || serve(stream, &state, &wide));
            }
        });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn fault(&self, operation: &'static str, when: When, fault: Fault) {
        self.state().faults.add(operation, when, fault);
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>, wide: &AtomicU64) {
    let mut out = stream.try_clone().unwrap();
    let mut from = BufReader::new(stream);
    // A client that goes away is no fault of the fake.
    // Blocks come in the same buffer: its pages are there.
    let mut body = Vec::new();
    while let Ok(Some(mut request)) = Request::head(&mut from, std::mem::take(&mut body)) {
        let running = wide.fetch_add(1, Ordering::Relaxed) + 1;
        {
            let mut state = state.lock().unwrap();
            state.widest = state.widest.max(running);
        }
        let done = one(&mut request, &mut from, &mut out, state);
        body = request.body;
        wide.fetch_sub(1, Ordering::Relaxed);
        if done.is_none() {
            let _ = out.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Whom a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Ebs,
    Ec2,
    Ssm,
    Sts,
}

impl Service {
    fn of(request: &Request) -> Self {
        match request.method == "POST" && request.path == "/" {
            true if request
                .header("authorization")
                .contains("/sts/aws4_request") =>
            {
                Self::Sts
            }
            true if request.header("x-amz-target").is_empty() => Self::Ec2,
            true => Self::Ssm,
            false => Self::Ebs,
        }
    }
}

/// Answers one request; `None`: the connection is to end.
fn one(
    request: &mut Request,
    from: &mut BufReader<TcpStream>,
    out: &mut TcpStream,
    state: &Mutex<State>,
) -> Option<()> {
    let service = Service::of(request);
    let query = service == Service::Ec2;
    if query {
        request.read_body(from).ok()?;
    }
    let operation = match service {
        Service::Ebs => ebs::operation(&request.method, &request.path),
        Service::Ec2 => ec2::operation(&request.body),
        Service::Sts => "GetCallerIdentity",
        Service::Ssm => ssm::operation(request.header("x-amz-target")),
    };
    state.lock().unwrap().requests += 1;
    let fault = state.lock().unwrap().faults.next(operation);
    if fault == Some(Fault::Cut) && query {
        return None;
    }
    if fault == Some(Fault::Cut) {
        let mut half = vec![0; request.body_len() / 2];
        from.read_exact(&mut half).ok()?;
        return None;
    }
    if !query {
        request.read_body(from).ok()?;
    }
    if fault == Some(Fault::Hang) {
        return until_it_has_enough(from);
    }
    if operation == "PutSnapshotBlock" {
        let (writing, trusting) = {
            let manner = &state.lock().unwrap().manner;
            (manner.writing, manner.trusting)
        };
        request.digest = match trusting {
            true => ebs::claimed(request),
            false => Sha256::digest(&request.body).into(),
        };
        std::thread::sleep(writing);
    }
    let mut state = state.lock().unwrap();
    let now = state.manner.now();
    let key = key(request);
    if !state.keys.contains(key) {
        state.keys.insert(key.to_owned());
    }
    let refused = fault.and_then(|f| f.response(operation));
    let response = refused
        .or_else(|| unsigned(request, service, now))
        .unwrap_or_else(|| match service {
            Service::Ec2 => ec2::answer(operation, request, &mut state),
            Service::Ebs => ebs::answer(operation, request, &mut state),
            Service::Ssm => ssm::answer(operation, request, &mut state),
            Service::Sts => doctor::answer(operation, &state),
        });
    drop(state);
    match fault {
        Some(Fault::Lose) => None,
        Some(Fault::Mute) => until_it_has_enough(from),
        Some(Fault::Torn) => {
            response.write(out, now, true).ok()?;
            None
        }
        _ => response.write(out, now, false).ok(),
    }
}

/// Until the client goes away.
fn until_it_has_enough(from: &mut BufReader<TcpStream>) -> Option<()> {
    let _ = from.read(&mut [0]);
    None
}

/// The id of the key that a request is signed with.
fn key(request: &Request) -> &str {
    let (_, credential) = request
        .header("authorization")
        .split_once("Credential=")
        .unwrap_or_default();
    credential.split('/').next().unwrap_or_default()
}

/// The refusal of a request that is not signed, or at another time.
fn unsigned(request: &Request, service: Service, now: SystemTime) -> Option<Response> {
    let (service, error): (_, fn(u16, &str, &str) -> Response) = match service {
        Service::Ebs => ("/ebs/aws4_request", ebs::error),
        Service::Ec2 => ("/ec2/aws4_request", ec2::error),
        Service::Ssm => ("/ssm/aws4_request", ebs::error),
        Service::Sts => ("/sts/aws4_request", doctor::error),
    };
    let signed = request.header("authorization");
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=") || !signed.contains(service) {
        return Some(error(403, "MissingAuthenticationToken", "not signed"));
    }
    let skew = http::skew(request.header("x-amz-date"), now);
    if skew.is_none_or(|s| s > MAX_SKEW) {
        let text = "Signature expired: is now earlier than";
        return Some(error(403, "InvalidSignatureException", text));
    }
    None
}

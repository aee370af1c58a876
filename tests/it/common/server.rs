//! Servers that somebody else wrote, on loopback.

use super::cloud::{KEY, SECRET};
use super::desk::{Desk, Running};
use crate::tools::have;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A server; it ends with the test.
pub struct Server {
    pub url: String,
    _process: Running,
}

impl Server {
    /// Starts what `command` makes of a free port, and waits until it answers a GET of `path`, be it with a refusal.
    pub fn start(path: &str, command: impl FnOnce(&str) -> Command) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let (_, port) = address.rsplit_once(':').unwrap();
        let process = command(port)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = Running(process.unwrap());
        let begun = Instant::now();
        // Python on a loaded machine.
        while !answers(&address, path) {
            let elapsed = begun.elapsed();
            assert!(elapsed < Duration::from_secs(120), "no answer to {path}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Self {
            url: format!("http://{address}"),
            _process: process,
        }
    }
}

fn answers(address: &str, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_string(&mut answer);
    answer.starts_with("HTTP/1.1 ")
}

/// s3s-fs, which checks signatures and digests, and keeps objects as files in the folder `s3`. `None`, which CI does
/// not accept, on a machine that has none.
pub fn s3s_fs(desk: &Desk) -> Option<Server> {
    if !have("s3s-fs") {
        return None;
    }
    let folder = desk.path("s3");
    std::fs::create_dir(&folder).unwrap();
    Some(Server::start("/", |port| {
        let mut command = Command::new("s3s-fs");
        command
            .args(["--host", "127.0.0.1", "--port", port])
            .args(["--access-key", KEY, "--secret-key", SECRET])
            .arg(folder);
        command
    }))
}

/// Keys of the form that garage asks for.
const GARAGE_KEY: &str = "GK0123456789abcdef01234567";
const GARAGE_SECRET: &str = "1b4e0f5a8d9c3726f0a1b2c3d4e5f60718293a4b5c6d7e8f9001122334455667";

/// garage, which checks signatures, digests and the parts' ETags, with the bucket `images`.
pub struct Garage {
    pub server: Server,
}

impl Garage {
    /// `None`, which CI does not accept, on a machine that has none.
    pub fn start(desk: &Desk) -> Option<Self> {
        if !have("garage") {
            return None;
        }
        // It talks to itself over the network: with itself alone, any free port does.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let rpc = free.local_addr().unwrap();
        drop(free);
        let config = desk.path("garage.toml");
        let server = Server::start("/", |port| {
            let text = format!(
                "metadata_dir = {:?}\ndata_dir = {:?}\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
                 rpc_bind_addr = \"{rpc}\"\nrpc_public_addr = \"{rpc}\"\nrpc_secret = \"{GARAGE_SECRET}\"\n\
                 [s3_api]\ns3_region = \"us-east-1\"\napi_bind_addr = \"127.0.0.1:{port}\"\n\
                 root_domain = \".s3.localhost\"\n",
                desk.path("garage/meta"),
                desk.path("garage/data"),
            );
            std::fs::write(&config, text).unwrap();
            let mut command = Command::new("garage");
            command
                .arg("-c")
                .arg(&config)
                .args(["server", "--single-node", "--default-bucket"])
                .env("GARAGE_DEFAULT_ACCESS_KEY", GARAGE_KEY)
                .env("GARAGE_DEFAULT_SECRET_KEY", GARAGE_SECRET)
                .env("GARAGE_DEFAULT_BUCKET", "images");
            command
        });
        Some(Self { server })
    }

    /// Gives `command` the keys.
    pub fn keys(command: &mut Command) {
        command
            .env("AWS_ACCESS_KEY_ID", GARAGE_KEY)
            .env("AWS_SECRET_ACCESS_KEY", GARAGE_SECRET)
            .env_remove("AWS_SESSION_TOKEN");
    }

    /// An object as curl gets it.
    pub fn get(&self, key: &str) -> Vec<u8> {
        let got = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
            .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
            .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user"])
            .arg(format!("{GARAGE_KEY}:{GARAGE_SECRET}"))
            .arg(format!("{}/images/{key}", self.server.url))
            .output()
            .unwrap();
        assert!(got.status.success(), "{key}: {got:?}");
        got.stdout
    }
}

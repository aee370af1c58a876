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

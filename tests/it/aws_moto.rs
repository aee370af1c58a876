//! `snapshot` against moto, a server that somebody else wrote. It checks little, and its blocks have 512 bytes.

use crate::common::bundle;
use crate::common::cloud::keys;
use crate::common::desk::{Desk, Ran, ran};
use crate::common::server::Server;
use crate::tools::have;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// moto on loopback; it ends with the test.
pub struct Moto {
    pub url: String,
    _server: Server,
}

impl Moto {
    /// `None`, which CI does not accept, on a machine that has none.
    pub fn start() -> Option<Self> {
        if !have("moto_server") {
            return None;
        }
        let server = Server::start("/moto-api/", |port| {
            let mut command = Command::new("moto_server");
            command.args(["-H", "127.0.0.1", "-p", port]);
            command
        });
        let url = server.url.clone();
        Some(Self {
            url,
            _server: server,
        })
    }

    /// A run of the program, which has this for AWS.
    pub fn ran(&self, desk: &Desk, args: &[&str]) -> Ran {
        let access = ["--endpoint-url", &self.url, "--region", "eu-west-1"];
        let mut command = desk.command(&[args, &access].concat());
        keys(&mut command, desk);
        ran(&command.output().unwrap())
    }

    /// What one says that must succeed.
    #[track_caller]
    pub fn run(&self, desk: &Desk, args: &[&str]) -> String {
        let ran = self.ran(desk, args);
        assert_eq!(ran.code, Some(0), "{args:?} {ran:?}");
        ran.stdout
    }

    /// What EC2 answers to a form that no verb sends.
    pub fn ec2(&self, form: &str) -> String {
        let address = self.url.trim_start_matches("http://");
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/ec2/aws4_request\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

/// The text of the first element of that name.
pub fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once('<').unwrap().0
}

impl Moto {
    /// PUT to S3, by somebody who is not asked who they are.
    fn put(&self, path: &str, body: &[u8]) {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn a_small_image_becomes_a_snapshot_and_serves_as_a_parent() {
    let Some(moto) = Moto::start() else { return };
    let desk = Desk::new();
    let mut image: Vec<u8> = (0..64 * 512_u32)
        .map(|at| at.to_le_bytes()[1] | 1)
        .collect();
    image[512 * 9..512 * 12].fill(0);
    desk.write("disk.img", &image);
    let run = |args: &[&str]| {
        let said = moto.run(&desk, &[&["snapshot", "disk.img", "--json"], args].concat());
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    let whole = run(&["--tag", "Name=web", "--block-map", "whole.blocks"]);
    assert_eq!(
        (&whole["block-size"], &whole["sent"]),
        (&512.into(), &64.into())
    );
    // moto knows no tokens; the journal does.
    assert_eq!(
        run(&["--tag", "Name=web"])["snapshot-id"],
        whole["snapshot-id"]
    );
    image[512 * 20] = 0;
    desk.write("disk.img", &image);
    let parent = whole["snapshot-id"].as_str().unwrap();
    let changed = run(&["--parent", parent, "--parent-blocks", "whole.blocks"]);
    assert_eq!(
        (&changed["sent"], &changed["inherited"]),
        (&1.into(), &63.into())
    );
    // Of its lists of blocks the SDK says `expected integer`: only the fake serves a parent without a map.
}

/// moto forgets tags and parameters of AMIs: what is sent is the fake's to judge, what comes back is moto's.
#[test]
fn a_snapshot_becomes_an_ami_in_three_regions_that_another_account_may_start() {
    let Some(moto) = Moto::start() else { return };
    let desk = Desk::new();
    desk.write("disk.img", &[7; 64 * 512]);
    let run = |args: &[&str]| moto.run(&desk, args).trim_end().to_owned();
    let snapshot = run(&["snapshot", "disk.img"]);
    let machine = ["--arch=x86_64", "--boot-mode=legacy-bios", "--name=web"];
    let id = run(&[&["register", &snapshot], &machine[..]].concat());
    assert!(id.starts_with("ami-"), "{id}");
    let copies = run(&["copy", &id, "--to=us-east-1,ap-south-1", "--json"]);
    let copies: serde_json::Value = serde_json::from_str(&copies).unwrap();
    for (copy, region) in copies
        .as_array()
        .unwrap()
        .iter()
        .zip(["us-east-1", "ap-south-1"])
    {
        assert_eq!(
            (&copy["region"], &copy["name"]),
            (&region.into(), &"web".into())
        );
        assert_ne!(copy["image-id"], id.as_str());
    }
    let share = ["--share-with=111122223333", "--ssm-parameter=/images/web"];
    for _ in 0..2 {
        assert_eq!(run(&[&["share", &id], &share[..]].concat()), id);
    }
    // A bundle: its manifest says for what processor it is.
    let manifest = std::fs::read(bundle::data("ruby-1part/one.manifest.xml")).unwrap();
    moto.put("/bucket", b"");
    moto.put("/bucket/web/disk.img.manifest.xml", &manifest);
    let other = run(&["register", "s3://bucket/web/disk.img.manifest.xml"]);
    assert!(other.starts_with("ami-") && other != id, "{other}");
}

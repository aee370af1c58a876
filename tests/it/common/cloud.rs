//! A desk with a fake AWS beside it.

use super::desk::{Desk, Ran, ran};
use crate::fake_ebs::{BLOCK, Fake, Manner, Status};
use std::io::Read;
use std::process::Command;

/// Images to send, a server to send them to, and the notes of what was sent.
pub struct Cloud {
    pub desk: Desk,
    pub fake: Fake,
}

/// What a block of a test image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Bytes that this number decides.
    Data(u8),
    /// Zeros that were written.
    Zeros,
    /// Nothing: a hole of the file.
    Hole,
}

/// Blocks of every kind.
pub const IMAGE: [Holds; 8] = [
    Holds::Data(1),
    Holds::Hole,
    Holds::Data(2),
    Holds::Data(3),
    Holds::Data(4),
    Holds::Zeros,
    Holds::Data(5),
    Holds::Data(6),
];

impl Cloud {
    pub fn new() -> Self {
        Self::with(Manner::default())
    }

    pub fn with(manner: Manner) -> Self {
        Self {
            desk: Desk::new(),
            fake: Fake::start(manner),
        }
    }

    /// `diskwright VERB … ` against the fake, with keys that are none and no configuration of this machine.
    pub fn command(&self, args: &[&str]) -> Command {
        let access = ["--endpoint-url", &self.fake.url, "--region", "us-east-1"];
        let mut command = self.desk.command(&[args, &access].concat());
        keys(&mut command, &self.desk);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&self.command(args).output().unwrap())
    }

    /// `snapshot`, which must succeed; gives the id.
    #[track_caller]
    pub fn snapshot(&self, args: &[&str]) -> String {
        let ran = self.run(&[&["snapshot"], args].concat());
        assert_eq!(
            ran.code,
            Some(0),
            "{ran:?} {:?}",
            self.fake.state().refusals
        );
        ran.stdout.trim_end().to_owned()
    }

    /// The same with `--json`.
    #[track_caller]
    pub fn figures(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.snapshot(&[args, &["--json"]].concat())).unwrap()
    }

    /// An image of blocks of 512 KiB, holes where it says so.
    pub fn image(&self, name: &str, blocks: &[Holds]) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::create(self.desk.path(name)).unwrap();
        let len = u64::try_from(blocks.len() * BLOCK).unwrap();
        file.set_len(len).unwrap();
        for (nr, holds) in (0..).zip(blocks) {
            let at = nr * u64::try_from(BLOCK).unwrap();
            match holds {
                Holds::Data(byte) => file.write_all_at(&block(*byte), at).unwrap(),
                Holds::Zeros => file.write_all_at(&vec![0; BLOCK], at).unwrap(),
                Holds::Hole => {}
            }
        }
    }

    /// What a volume of a snapshot holds, up to the image's length.
    pub fn volume(&self, id: &str, len: usize) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let len = u64::try_from(len).unwrap();
        self.fake.state().volume(id, file.as_file(), len);
        let mut bytes = Vec::new();
        file.reopen().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// A volume of the snapshot holds the image.
    #[track_caller]
    pub fn holds(&self, id: &str, image: &str) {
        let image = std::fs::read(self.desk.path(image)).unwrap();
        assert!(self.volume(id, image.len()) == image, "another volume");
    }

    /// Snapshots that are not gone, and what they are.
    pub fn left(&self) -> Vec<Status> {
        let state = self.fake.state();
        let left = state.snapshots.iter().filter(|s| !s.deleted);
        left.map(|s| s.status()).collect()
    }
}

pub const KEY: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Keys and an empty home.
pub fn keys(command: &mut Command, desk: &Desk) {
    for (name, _) in std::env::vars() {
        if name.starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_SESSION_TOKEN", "session-token-of-the-test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HOME", desk.folder())
        .env("XDG_STATE_HOME", desk.path("state"))
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy");
}

/// A block without a zero in it.
pub fn block(byte: u8) -> Vec<u8> {
    (0..BLOCK)
        .map(|at| u8::try_from((at + usize::from(byte) * 7) % 255 + 1).unwrap())
        .collect()
}

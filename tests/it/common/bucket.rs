//! Bundles and images to be sent to a fake S3, and what came of it.

use super::bundle;
use super::cloud::keys;
use super::desk::{Desk, Ran, ran};
use crate::fake_s3::FakeS3;
use std::process::Command;

/// The flags of a bundle that is made on the way; the image is small.
pub const MAKE: [&str; 8] = [
    "-u",
    bundle::USER,
    "-c",
    "cert.der",
    "-k",
    "pk.der",
    "--ec2cert",
    "ec2cert.der",
];

/// A desk with the golden image and a bundle of an image of 42 MiB in `out`, and a bucket `images`.
pub struct Shelf {
    pub desk: Desk,
    pub s3: FakeS3,
}

impl Shelf {
    pub fn new() -> Self {
        let shelf = Self {
            desk: bundle::desk(),
            s3: FakeS3::start(),
        };
        shelf.s3.state().bucket("images");
        shelf
    }

    /// A bundle of `parts` parts of up to 10 MiB in `out`, of bytes that do not compress.
    pub fn bundled(self, parts: usize) -> Self {
        self.noise("noise.img", (parts * 10 - 5) << 20);
        bundle::bundle(&self.desk, &["noise.img", "-p", "web"]);
        self
    }

    /// An image that does not compress.
    pub fn noise(&self, name: &str, len: usize) {
        let mut z = 0x9e37_79b9_7f4a_7c15_u64;
        let words = std::iter::repeat_with(|| {
            z ^= z << 13;
            z ^= z >> 7;
            z ^= z << 17;
            z.to_le_bytes()
        });
        let bytes: Vec<u8> = words.flatten().take(len).collect();
        self.desk.write(name, &bytes);
    }

    /// `diskwright upload-bundle … s3://images/a` against the fake.
    pub fn command(&self, args: &[&str]) -> Command {
        let access = ["--endpoint-url", &self.s3.url, "--region", "us-east-1"];
        let mut command = self
            .desk
            .command(&[&["upload-bundle"], args, &access].concat());
        keys(&mut command, &self.desk);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&self.command(args).output().unwrap())
    }

    /// The bundle in `out`, sent to `s3://images/a`.
    pub fn send(&self, flags: &[&str]) -> Ran {
        let args = ["out/web.manifest.xml", "s3://images/a", "--quiet"];
        self.run(&[&args, flags].concat())
    }

    /// The same, which must succeed; what `--json` tells.
    #[track_caller]
    pub fn figures(&self, flags: &[&str]) -> serde_json::Value {
        let ran = self.send(&[flags, &["--json"]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?} {:?}", self.s3.state().refusals);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// The bucket holds the bundle in `out`, for EC2 to read, and nothing else.
    #[track_caller]
    pub fn holds_it(&self) {
        let state = self.s3.state();
        let names = super::desk::names(&self.desk.path("out"));
        let keys: Vec<String> = names.iter().map(|n| format!("a/{n}")).collect();
        assert_eq!(state.keys("images"), keys);
        for (key, object) in &state.buckets["images"].objects {
            let file = std::fs::read(self.desk.path("out").join(&key[2..])).unwrap();
            assert!(object.bytes == file, "{key}");
            assert_eq!(object.acl, "aws-exec-read", "{key}");
        }
    }

    /// Another, smaller bundle of the same name.
    pub fn bundled_again(self) -> Self {
        std::fs::remove_dir_all(self.desk.path("out")).unwrap();
        std::fs::create_dir(self.desk.path("out")).unwrap();
        self.bundled(2)
    }

    /// What a run that failed said.
    #[track_caller]
    pub fn told(&self, ran: &Ran, code: i32, expected: expect_test::Expect) {
        expected.assert_eq(&ran.stderr);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
    }

    /// Copies what is in the bucket to a folder, and takes it apart there.
    #[track_caller]
    pub fn unbundled(&self, prefix: &str, name: &str) -> Vec<u8> {
        let folder = self.desk.path("back");
        std::fs::create_dir(&folder).unwrap();
        for (key, object) in &self.s3.state().buckets["images"].objects {
            std::fs::write(
                folder.join(key.strip_prefix(prefix).unwrap()),
                &object.bytes,
            )
            .unwrap();
        }
        let manifest = format!("back/{name}.manifest.xml");
        let verified =
            self.desk
                .run(&["verify-bundle", &manifest, "-c", "cert.der", "-k", "pk.der"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        let ran = self
            .desk
            .run(&["unbundle", &manifest, "-o", "back.img", "-k", "pk.der"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        std::fs::read(self.desk.path("back.img")).unwrap()
    }
}

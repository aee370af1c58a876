//! Images that the program makes, and where their filesystem lies.

use super::manifest::hex;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// First byte of the partition on a disk with an MBR.
pub const PARTITION: u64 = 1 << 20;

/// The program, as a test means it: nothing of the environment reaches the image.
pub fn diskwright() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command
        .env_remove("SOURCE_DATE_EPOCH")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

fn command<S: AsRef<OsStr>>(tar: &Path, image: &Path, flags: &[S]) -> Command {
    let mut command = diskwright();
    command
        .args(["build", "--quiet", "--force", "-o"])
        .arg(image)
        .arg(tar)
        .args(flags);
    command
}

/// Runs `diskwright build` without a word; says how it ended.
pub fn try_build<S: AsRef<OsStr>>(tar: &Path, image: &Path, flags: &[S]) -> Output {
    command(tar, image, flags).output().unwrap()
}

/// Builds an image that must succeed.
#[track_caller]
pub fn build(tar: &Path, image: &Path, flags: &[&str]) {
    succeed(&mut command(tar, image, flags));
}

/// The same, with times up to `epoch`.
#[track_caller]
pub fn build_at(tar: &Path, image: &Path, flags: &[&str], epoch: &str) {
    succeed(command(tar, image, flags).env("SOURCE_DATE_EPOCH", epoch));
}

#[track_caller]
fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
}

/// How the programs of e2fsprogs name a filesystem inside a disk.
pub fn device(image: &Path, offset: u64) -> String {
    let name = image.to_str().unwrap();
    if offset == 0 {
        name.into()
    } else {
        format!("{name}?offset={offset}")
    }
}

/// Where the root filesystem of an image of ours begins, by its first bytes: the magic at 1080, else what
/// the first entry of its MBR says, or of the GPT that the MBR protects.
pub fn offset_of(image: &Path) -> u64 {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::open(image).unwrap();
    let bytes = |at: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    if bytes(1080)[..2] == [0x53, 0xEF] {
        return 0;
    }
    let entry = bytes(0x1be);
    let start = if entry[4] == 0xEE {
        u64::from_le_bytes(bytes(2 * 512 + 32))
    } else {
        u64::from(u32::from_le_bytes(
            bytes(0x1be + 8)[..4].try_into().unwrap(),
        ))
    };
    start * 512
}

/// Writes an archive beside the image to come.
pub fn write_tar(folder: &Path, name: &str, members: &[Vec<u8>]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, super::tarball::archive(members)).unwrap();
    path
}

/// The digest of a whole file, in hex.
pub fn sha256(path: &Path) -> String {
    use std::io::Read;
    let mut file = std::fs::File::open(path).unwrap();
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hex(&hasher.finalize()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

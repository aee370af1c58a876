//! Programs that make a filesystem of a tar or a folder, ours among them, and what debugfs finds in it.

use super::image;
use super::layout::{LAYER, Layout, tag};
use super::tarball::archive;
use crate::tools;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Members of an archive.
pub type Members = Vec<Vec<u8>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    Diskwright,
    /// `mke2fs -d FOLDER`, the folder unpacked by GNU tar.
    Mke2fsFolder,
    /// `mke2fs -d TAR`, from 1.47.1 on.
    Mke2fsTar,
    Genext2fs,
}

/// What a run is given beside the input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pins {
    /// Nothing.
    None,
    /// Every option that makes two runs alike.
    All,
}

/// Why there is no filesystem.
#[derive(Debug)]
pub enum Failure {
    /// The program refused the input.
    Refused(String),
    /// This machine cannot make the input.
    NoInput(String),
}

const UUID: &str = "11111111-2222-3333-4444-555555555555";
const EPOCH: &str = "1700000001";

/// The mke2fs to try: `DISKWRIGHT_MKE2FS` names one that is newer than the system's.
fn mke2fs() -> String {
    std::env::var("DISKWRIGHT_MKE2FS").unwrap_or_else(|_| "mke2fs".into())
}

fn is_root() -> bool {
    tools::stdout("id", &["-u"]).trim() == "0"
}

/// A command in a fixed locale, with the administrator's folders in its PATH.
fn command(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new("env");
    command.args([&format!("PATH={path}"), "LC_ALL=C", program]);
    command.env_remove("SOURCE_DATE_EPOCH");
    command
}

fn run(mut command: Command) -> Result<(), String> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{said} ({})", output.status))
    }
}

impl Peer {
    pub const ALL: [Self; 4] = [
        Self::Diskwright,
        Self::Mke2fsFolder,
        Self::Mke2fsTar,
        Self::Genext2fs,
    ];

    /// Whether it can be run here; says so if not.
    pub fn is_here(self) -> bool {
        match self {
            Self::Diskwright => true,
            Self::Mke2fsFolder => {
                let root = is_root() || tools::skip("a folder with all owners needs root");
                root && tools::have("tar") && tools::have(&mke2fs())
            }
            Self::Mke2fsTar => tools::have(&mke2fs()),
            Self::Genext2fs => tools::have("genext2fs"),
        }
    }

    /// Its column: what is run, and of which version.
    pub fn title(self) -> String {
        let mke2fs_version = || {
            let said = tools::run(&mke2fs(), &["-V"]).stderr;
            let said = String::from_utf8(said).unwrap();
            said.split_whitespace().nth(1).unwrap().to_owned()
        };
        match self {
            Self::Diskwright => "diskwright".into(),
            Self::Mke2fsFolder => format!("`mke2fs -d` folder, {}", mke2fs_version()),
            Self::Mke2fsTar => format!("`mke2fs -d` tar, {}", mke2fs_version()),
            Self::Genext2fs => {
                // 1.5.0 still says 1.4.2 of itself: Debian knows better.
                let known = tools::run("dpkg-query", &["-W", "-f", "${Version}", "genext2fs"]);
                let said = tools::run("genext2fs", &["-V"]);
                let of = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
                let version = if known.status.success() {
                    of(&known.stdout)
                } else {
                    of(&said.stdout) + &of(&said.stderr)
                };
                let version = version.trim().trim_start_matches("genext2fs ");
                let upstream = version.split('-').next().unwrap();
                format!("`genext2fs -a` tar, {upstream}")
            }
        }
    }

    /// Makes a filesystem of `layers` in `folder`, which is empty.
    pub fn make(self, layers: &[Members], folder: &Path, pins: Pins) -> Result<Made, Failure> {
        let made = Made {
            folder: folder.into(),
        };
        let disk = made.disk();
        let all = image::write_tar(folder, "all.tar", &layers.concat());
        let mut command = match self {
            Self::Diskwright => {
                let mut command = image::diskwright();
                command.args(["build", "--quiet", "--boot", "none", "--scheme", "none"]);
                if layers.len() == 1 {
                    command.arg(&all);
                } else {
                    command.arg(oci(layers, &folder.join("oci")));
                }
                command.arg("-o").arg(&disk);
                command
            }
            Self::Mke2fsFolder | Self::Mke2fsTar => {
                let mut command = command(&mke2fs());
                command.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-d"]);
                command.arg(if self == Self::Mke2fsFolder {
                    unpack(&all, &folder.join("unpacked")).map_err(Failure::NoInput)?
                } else {
                    all
                });
                if pins == Pins::All {
                    command.args(["-U", UUID, "-E", &format!("hash_seed={UUID}")]);
                    command.env("SOURCE_DATE_EPOCH", EPOCH);
                }
                command.arg(&disk).arg("64M");
                command
            }
            Self::Genext2fs => {
                let mut command = command("genext2fs");
                // With -z it leaves holes where data is zero.
                command.args(["-z", "-B", "4096", "-b", "16384", "-N", "4096"]);
                for (nr, layer) in layers.iter().enumerate() {
                    let tar = image::write_tar(folder, &format!("{nr}.tar"), layer);
                    command.arg("-a").arg(tar);
                }
                if pins == Pins::All {
                    command.arg("-f").env("SOURCE_DATE_EPOCH", EPOCH);
                }
                command.arg(&disk);
                command
            }
        };
        command.current_dir(folder);
        run(command).map_err(Failure::Refused)?;
        Ok(made)
    }
}

fn oci(layers: &[Members], folder: &Path) -> String {
    let layout = Layout::new(folder);
    let blobs: Vec<_> = layers
        .iter()
        .map(|layer| layout.blob(LAYER, &archive(layer), ""))
        .collect();
    layout.index(&[layout.image("linux/amd64", &blobs, &tag("t"))]);
    format!("oci:{}:t", folder.display())
}

/// Unpacks all that GNU tar and this machine can; an error if that is not everything.
fn unpack(tar: &Path, folder: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir(folder).unwrap();
    let mut command = command("tar");
    command.args(["--xattrs", "--xattrs-include=*", "--acls"]);
    // Of times in the future.
    command.arg("--warning=no-timestamp");
    command.args(["--numeric-owner", "--same-owner", "-xpf"]);
    command.arg(tar).arg("-C").arg(folder);
    let output = command.output().unwrap();
    if output.status.success() && output.stderr.is_empty() {
        return Ok(folder.into());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A filesystem, read with e2fsprogs.
pub struct Made {
    folder: PathBuf,
}

impl Made {
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.img")
    }

    fn debugfs(&self, request: &[u8]) -> (String, String) {
        let mut command = command("debugfs");
        command.arg("-R").arg(OsStr::from_bytes(request));
        let output = command.arg(self.disk()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }

    /// What `stat` says of a path; `None` when it is not there.
    pub fn stat(&self, path: impl AsRef<[u8]>) -> Option<Stat> {
        let request = [b"stat \"/", path.as_ref(), b"\""].concat();
        let (said, complaint) = self.debugfs(&request);
        if said.is_empty() {
            assert!(complaint.contains("File not found"), "{complaint}");
            return None;
        }
        Some(Stat(said))
    }

    /// The bytes that a request with `-f` or a last argument writes to a file.
    fn written(&self, request: impl FnOnce(&str) -> String) -> Option<Vec<u8>> {
        let file = self.folder.join("written");
        let _ = std::fs::remove_file(&file);
        self.debugfs(request(file.to_str().unwrap()).as_bytes());
        std::fs::read(file).ok()
    }

    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.stat(path)?;
        self.written(|to| format!("dump /{path} {to}"))
    }

    /// An attribute as it stands on the disk: an ACL in ext4's own form.
    pub fn xattr(&self, path: &str, name: &str) -> Option<Vec<u8>> {
        // debugfs makes the file before it looks for the attribute.
        let listed = self.stat(path)?.0.contains(&format!("  {name} ("));
        let value = self.written(|to| format!("ea_get -r -f {to} /{path} {name}"));
        value.filter(|_| listed)
    }

    /// What `dumpe2fs -h` says behind `label`.
    pub fn superblock(&self, label: &str) -> String {
        let said = tools::stdout("dumpe2fs", &["-h", self.disk().to_str().unwrap()]);
        let line = said.lines().find_map(|l| l.strip_prefix(label));
        line.unwrap_or_default()
            .trim_start_matches(':')
            .trim()
            .to_owned()
    }

    pub fn has_feature(&self, name: &str) -> bool {
        let features = self.superblock("Filesystem features");
        features.split_whitespace().any(|f| f == name)
    }

    /// Whether e2fsck has nothing to mend.
    pub fn is_clean(&self) -> bool {
        let disk = self.disk();
        tools::run("e2fsck", &["-fn", disk.to_str().unwrap()])
            .status
            .success()
    }
}

/// What debugfs tells about an inode.
pub struct Stat(String);

impl Stat {
    /// The word behind `label`.
    pub fn word(&self, label: &str) -> &str {
        let (_, rest) = self.0.split_once(label).unwrap_or_default();
        rest.split_whitespace().next().unwrap_or_default()
    }

    pub fn number(&self, label: &str) -> i64 {
        self.word(label).parse().unwrap()
    }

    pub fn mode(&self) -> u32 {
        u32::from_str_radix(self.word("Mode:"), 8).unwrap()
    }

    /// Major and minor number of a device.
    pub fn device(&self) -> Option<(u32, u32)> {
        let numbers = self.word("Device major/minor number:");
        let (major, minor) = numbers.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }

    /// Seconds and nanoseconds; an inode of 128 bytes has 32 bits of seconds.
    pub fn mtime(&self) -> (i64, u32) {
        let word = self.word("mtime: 0x");
        let (seconds, extra) = word.split_once(':').unwrap_or((word, "0"));
        let seconds = u32::from_str_radix(seconds, 16).unwrap().cast_signed();
        let extra = u32::from_str_radix(extra, 16).unwrap();
        (
            i64::from(seconds) + (i64::from(extra & 3) << 32),
            extra >> 2,
        )
    }

    /// `EXT4_INDEX_FL`: names are found through an htree.
    pub fn is_indexed(&self) -> bool {
        let flags = self.word("Flags: 0x");
        u32::from_str_radix(flags, 16).unwrap() & 0x1000 > 0
    }
}

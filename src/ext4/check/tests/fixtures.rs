//! Filesystems for the tests, made by e2fsprogs: someone else's idea of a sound ext4.
//!
//! A missing tool skips the test with a line on stderr, and fails it where `CI` is set.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ext4::check::superblock::wide;
use crate::ext4::check::{Finding, Summary, check};
use crate::ext4::disk::superblock::Superblock;
use crate::observe::Silent;
use crate::read_at::FileAt;
use crate::units::index;
use zerocopy::FromBytes;

/// What Debian 12's mke2fs leaves out of upstream's defaults.
const FEATURES: &str = "^metadata_csum_seed,^orphan_file";

/// Whether the tools are there.
pub(super) fn tools(names: &[&str]) -> bool {
    for name in names {
        let dirs = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
        if !dirs.iter().any(|d| Path::new(d).join(name).exists()) {
            assert!(
                std::env::var_os("CI").is_none(),
                "{name} is missing and CI is set"
            );
            eprintln!("SKIP: {name} is not installed");
            return false;
        }
    }
    true
}

/// Runs a tool and returns its stdout; `ok` are the exit codes that are no failure.
fn run(name: &str, args: &[&str], stdin: &str, ok: &[i32]) -> String {
    let path = format!(
        "/usr/sbin:/sbin:{}",
        std::env::var("PATH").unwrap_or_default()
    );
    let mut command = Command::new(name);
    command.args(args).env("PATH", path).stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    let code = out.status.code();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(
        code.is_some_and(|c| ok.contains(&c)),
        "{name} {args:?}: {code:?}\n{text}\n{errors}"
    );
    text
}

/// A filesystem in a file of a temporary folder.
pub(super) struct Image {
    dir: tempfile::TempDir,
}

impl Image {
    /// `mke2fs` of `size` (as it takes it) with `args`, from the files that `populate` makes.
    pub(super) fn new(size: &str, args: &[&str], populate: impl FnOnce(&Path)) -> Self {
        let image = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let tree = image.dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        populate(&tree);
        let (path, tree) = (image.path(), tree.to_str().unwrap().to_owned());
        let mut all = vec![
            "-q", "-F", "-t", "ext4", "-b", "4096", "-O", FEATURES, "-d", &tree,
        ];
        all.extend_from_slice(args);
        all.extend_from_slice(&[path.to_str().unwrap(), size]);
        run("mke2fs", &all, "", &[0]);
        image
    }

    /// `mke2fs` of `size` with `args` alone.
    pub(super) fn shaped(size: &str, args: &[&str]) -> Self {
        let image = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let path = image.path();
        let ends = [path.to_str().unwrap(), size];
        run("mke2fs", &[&["-q", "-F"], args, &ends].concat(), "", &[0]);
        image
    }

    /// Runs a tool on the image.
    pub(super) fn tool(&self, name: &str, args: &[&str], after: &[&str]) -> String {
        let path = self.path();
        let all = [args, &[path.to_str().unwrap()], after].concat();
        run(name, &all, "", &[0, 1])
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// Runs `debugfs -w` over lines of commands.
    pub(super) fn debugfs(&self, commands: &str) -> String {
        run(
            "debugfs",
            &["-w", "-f", "-", self.path().to_str().unwrap()],
            commands,
            &[0],
        )
    }

    /// A file beside the image, for commands of `debugfs`.
    pub(super) fn beside(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `e2fsck -fyD`: builds htrees and corrects whatever is wrong.
    pub(super) fn optimise(&self) {
        run(
            "e2fsck",
            &["-fyD", self.path().to_str().unwrap()],
            "",
            &[0, 1],
        );
    }

    /// The exit code of `e2fsck -fn`.
    pub(super) fn e2fsck(&self) -> Option<i32> {
        let image = self.path();
        let out = Command::new("/usr/sbin/e2fsck")
            .arg("-fn")
            .arg(image)
            .output()
            .unwrap();
        out.status.code()
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        std::fs::write(self.path(), bytes).unwrap();
    }

    /// Inode number of a path.
    pub(super) fn ino(&self, path: &str) -> u32 {
        let text = self.debugfs(&format!("stat \"{path}\"\n"));
        let number = text
            .split("Inode: ")
            .nth(1)
            .and_then(|t| t.split_whitespace().next());
        number
            .unwrap_or_else(|| panic!("{path}: {text}"))
            .parse()
            .unwrap()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    /// Our verdict.
    pub(super) fn check(&self) -> (Summary, Vec<Finding>) {
        let file = FileAt::new(std::fs::File::open(self.path()).unwrap()).unwrap();
        check(&file, &Silent).unwrap()
    }
}

/// An image with one of everything: htrees of one and two levels, deep extents, holes, devices,
/// xattrs in inode and block, ACLs, long and short symlinks, hard links, strange names.
///
/// `long_names` of 250 bytes lie in one directory: 9000 need an htree of two levels.
pub(super) fn rich(long_names: usize) -> Image {
    use std::os::unix::ffi::OsStrExt;
    let image = Image::new("160M", &["-N", "16384"], |tree| {
        for n in 0..1000 {
            let path = tree
                .join("one")
                .join(format!("a name of some length {n:05}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{n}").repeat(n % 7)).unwrap();
        }
        std::fs::create_dir(tree.join("two")).unwrap();
        for n in 0..long_names {
            let name = format!("{n:05}{}", "x".repeat(245));
            std::fs::write(tree.join("two").join(name), b"").unwrap();
        }
        std::fs::create_dir_all(tree.join("deep/er/and/deeper")).unwrap();
        let file = std::fs::File::create(tree.join("deep/holes")).unwrap();
        for n in 0..1800 {
            std::os::unix::fs::FileExt::write_all_at(&file, b"x", 8192 + n * 8192).unwrap();
        }
        std::fs::write(tree.join("large"), vec![7; 9_000_000]).unwrap();
        std::fs::hard_link(tree.join("large"), tree.join("deep/linked")).unwrap();
        std::os::unix::fs::symlink("target", tree.join("fast")).unwrap();
        std::os::unix::fs::symlink("t".repeat(200), tree.join("slow")).unwrap();
        let strange = std::ffi::OsStr::from_bytes(b"caf\xe9 \xff\xfe");
        std::fs::write(tree.join("one").join(strange), b"strange").unwrap();
    });
    let big = image.beside("big", &[b'v'; 3000]);
    // Wire format, version 2: user::rw-, user:1000:rw-, group::r--, mask::rw-, other::---.
    let acl: [&[u8]; 6] = [
        &[2, 0, 0, 0],
        &[1, 0, 6, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        &[2, 0, 6, 0, 0xE8, 3, 0, 0],
        &[4, 0, 4, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x10, 0, 6, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x20, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF],
    ];
    let acl = image.beside("acl", &acl.concat());
    image.debugfs(&format!(
        "mknod fifo p\nmknod null c 1 3\nmknod far b 259 1000\n\
         ea_set large user.small tiny\nea_set large user.large -f {big}\n\
         ea_set large security.other short\nea_set large trusted.more \"some words\"\n\
         ea_set deep/holes system.posix_acl_access -f {acl}\n\
         ea_set deep system.posix_acl_default -f {acl}\n",
    ));
    image.optimise();
    image
}

/// Byte of an inode.
pub(super) fn inode_at(image: &[u8], ino: u32) -> usize {
    let sb = Superblock::read_from_bytes(&image[1024..2048]).unwrap();
    let per_group = sb.s_inodes_per_group.get();
    let desc = 4096 + index(u64::from((ino - 1) / per_group)) * 64;
    let table = |n| u32::from_le_bytes(image[desc + n..desc + n + 4].try_into().unwrap());
    let table = index(wide(table(0x28), table(0x8)));
    table * 4096 + index(u64::from((ino - 1) % per_group)) * 256
}

/// Byte of the first block of an inode whose extents begin at its left edge.
pub(super) fn data_at(image: &[u8], ino: u32) -> usize {
    let mut node = inode_at(image, ino) + 0x28;
    loop {
        let depth = image[node + 6];
        let field = if depth > 0 {
            node + 12 + 4
        } else {
            node + 12 + 8
        };
        let block = u32::from_le_bytes(image[field..field + 4].try_into().unwrap());
        node = index(u64::from(block)) * 4096;
        if depth == 0 {
            return node;
        }
    }
}

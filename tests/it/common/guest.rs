//! A Linux that looks at images for us: the Debian rootfs's own kernel, an initramfs of this machine's programs.
//!
//! The kernel has NVMe and ext4 built in, so it needs no module; every disk is an NVMe namespace that the guest
//! finds by its serial number as `/disk/NAME`. What a script leaves in `/answer` comes back through one disk more:
//! the serial port is slow under TCG.

use super::{desk, image, rootfs};
use crate::tools;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Several times what a loaded machine without KVM takes for the longest script.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Room for answers.
const ANSWER: u64 = 1 << 30;

/// Programs of this machine: busybox lacks them or a part of them, or is slow. Its own shell and xargs would run its applets
/// whatever the PATH says.
const TOOLS: [&str; 13] = [
    "cmp",
    "cp",
    "dash",
    "fallocate",
    "find",
    "getfacl",
    "getfattr",
    "lsattr",
    "resize2fs",
    "sha256sum",
    "stat",
    "tail",
    "xargs",
];

/// A disk of the guest.
pub struct Disk<'a> {
    /// `/disk/NAME` is its root filesystem, a partition or the whole disk.
    pub name: &'a str,
    pub image: &'a Path,
    /// Whether what the guest writes stays.
    pub keep: bool,
}

/// Whether a guest can be had; says what is missing.
pub fn can_run() -> bool {
    TOOLS
        .iter()
        .chain(&["busybox", "ldd", "tar", "qemu-system-x86_64"])
        .all(|tool| tools::have(tool))
}

/// A machine without KVM and, so far, without disks.
pub fn machine() -> Command {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=multi"]);
    qemu.args(["-cpu", "max", "-smp", "2", "-m", "1024"]);
    qemu
}

/// Boots a guest with `disks`, in which dash runs `script` and stops at the first failure. The folder of
/// what it left in `/answer`.
///
/// # Panics
/// When the script fails or the kernel's log has a complaint about a disk or a filesystem.
#[track_caller]
pub fn run(folder: &Path, debian: &Path, disks: &[Disk], script: &str) -> PathBuf {
    let (kernel, initrd) = (folder.join("vmlinuz"), folder.join("initramfs"));
    let (answer, console) = (folder.join("answer.tar"), folder.join("console"));
    std::fs::write(&kernel, cloud_kernel(debian)).unwrap();
    std::fs::write(&initrd, initramfs(disks, script)).unwrap();
    std::fs::File::create(&answer)
        .unwrap()
        .set_len(ANSWER)
        .unwrap();

    let mut qemu = machine();
    qemu.args([
        "-nic",
        "none",
        "-display",
        "none",
        "-no-reboot",
        "-serial",
        "stdio",
        "-monitor",
        "none",
    ]);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 rdinit=/init"]);
    qemu.arg("-kernel").arg(&kernel).arg("-initrd").arg(&initrd);
    let answer_disk = Disk {
        name: "answer",
        image: &answer,
        keep: true,
    };
    for disk in disks.iter().chain([&answer_disk]) {
        let (name, file) = (disk.name, disk.image.display());
        let snapshot = if disk.keep { "off" } else { "on" };
        qemu.args([
            "-device",
            &format!("nvme,drive={name},serial={name}"),
            "-drive",
        ]);
        qemu.arg(format!("if=none,id={name},format=raw,cache=unsafe,discard=unmap,snapshot={snapshot},file={file}"));
    }
    let log = std::fs::File::create(&console).unwrap();
    qemu.stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    // Overlays of what must not change.
    qemu.env("TMPDIR", folder);
    let begin = Instant::now();
    let mut qemu = desk::Running(qemu.spawn().unwrap());
    while qemu.0.try_wait().unwrap().is_none() {
        let said = || String::from_utf8_lossy(&std::fs::read(&console).unwrap()).into_owned();
        assert!(
            begin.elapsed() < PATIENCE,
            "the guest is not done: {}",
            said()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!(
        "the guest was done in {:.0} s",
        begin.elapsed().as_secs_f64()
    );
    let said = String::from_utf8_lossy(&std::fs::read(&console).unwrap()).into_owned();
    let answers = folder.join("answers");
    std::fs::create_dir_all(&answers).unwrap();
    let unpack = [
        "--extract",
        "--file",
        answer.to_str().unwrap(),
        "-C",
        answers.to_str().unwrap(),
    ];
    let unpacked = tools::run("tar", &unpack);
    assert!(
        unpacked.status.success(),
        "no answer from the guest: {said}"
    );
    std::fs::remove_file(answer).unwrap();
    let text = |name: &str| {
        String::from_utf8_lossy(&std::fs::read(answers.join(name)).unwrap()).into_owned()
    };
    assert_eq!(text("status").trim(), "0", "{}", text("said"));
    let complaints = [
        "EXT4-fs error",
        "EXT4-fs warning",
        "JBD2:",
        "I/O error",
        "BUG",
        "WARNING",
        "Call Trace",
        "recovery",
    ];
    let dmesg = text("dmesg");
    let complaints: Vec<&str> = dmesg
        .lines()
        .filter(|l| complaints.iter().any(|c| l.contains(c)))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    answers
}

/// The kernel made for clouds, from the archive.
fn cloud_kernel(debian: &Path) -> Vec<u8> {
    let kernels = rootfs::members(debian, "boot/vmlinuz-");
    let kernel = kernels.iter().find(|name| name.ends_with("-cloud-amd64"));
    rootfs::member(debian, kernel.expect("a cloud kernel in the rootfs"))
}

pub const FOLDER: u32 = 0o40_755;
pub const PROGRAM: u32 = 0o100_755;

/// An initramfs in cpio's `newc` format: init, busybox, the tools with their libraries.
fn initramfs(disks: &[Disk], script: &str) -> Vec<u8> {
    let mut files: BTreeMap<String, (u32, Vec<u8>)> = BTreeMap::new();
    for folder in [
        "answer", "bin", "dev", "disk", "etc", "mnt", "proc", "run", "sys", "tmp", "tools",
    ] {
        files.insert(folder.into(), (FOLDER, Vec::new()));
    }
    let place = |tool: &str| {
        let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut found = places.split(':').map(|place| Path::new(place).join(tool));
        found.find(|path| path.exists()).unwrap()
    };
    let read = |path: &str| (PROGRAM, std::fs::read(path).unwrap());
    files.insert(
        "bin/busybox".into(),
        read(place("busybox").to_str().unwrap()),
    );
    for tool in TOOLS {
        let path = place(tool);
        let path = path.to_str().unwrap();
        files.insert(format!("tools/{tool}"), read(path));
        // A static program has none.
        let libraries = tools::run("ldd", &[path]).stdout;
        let libraries = String::from_utf8(libraries).unwrap();
        for library in libraries
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            for (end, _) in library[1..].match_indices('/') {
                files
                    .entry(library[1..=end].into())
                    .or_insert((FOLDER, Vec::new()));
            }
            files.insert(library[1..].into(), read(library));
        }
    }
    files.insert("init".into(), (PROGRAM, init(disks).into_bytes()));
    files.insert("script".into(), (PROGRAM, script.as_bytes().to_vec()));
    newc(&files)
}

/// The first program: disks by name, the script, its answer.
fn init(disks: &[Disk]) -> String {
    let mut text = String::from(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/tools:/bin LC_ALL=C\n\
         mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n\
         ln -s /proc/mounts /etc/mtab\n\
         disk() { until for d in /sys/block/nvme*; do\n\
         read -r serial < $d/device/serial 2>/dev/null && [ \"$serial\" = $1 ] && [ -b /dev/${d##*/}$2 ] && break\n\
         done; do usleep 20000; done; ln -s /dev/${d##*/}$2 /disk/$1; }\n\
         disk answer ''\n",
    );
    for disk in disks {
        let partition = if image::offset_of(disk.image) == 0 {
            "''"
        } else {
            "p1"
        };
        writeln!(text, "disk {} {partition}", disk.name).unwrap();
    }
    text + "dash -eux /script > /answer/said 2>&1; echo $? > /answer/status\n\
            umount /mnt 2>/dev/null; dmesg > /answer/dmesg; tail -n 20 /answer/dmesg >> /answer/said\n\
            tar -c -C /answer . > /disk/answer; sync; poweroff -f\n"
}

/// A cpio archive in the format that the kernel unpacks: fields of eight hexadecimal digits, padding to four.
pub fn newc(files: &BTreeMap<String, (u32, Vec<u8>)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let end = ("TRAILER!!!".to_owned(), (0, Vec::new()));
    let all = files.iter().chain([(&end.0, &end.1)]);
    for (number, (name, (mode, content))) in all.enumerate() {
        let links = if *mode == FOLDER { 2 } else { 1 };
        // Inode, mode, owner, group, links, mtime, size, two device numbers, length of the name, checksum.
        let fields = [
            number + 1,
            usize::try_from(*mode).unwrap(),
            0,
            0,
            links,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ];
        bytes.extend(b"070701");
        bytes.extend(
            fields
                .iter()
                .flat_map(|field| format!("{field:08x}").into_bytes()),
        );
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

//! A build needs no privilege and little memory: shown on a whole Debian by the trace of its system calls
//! as a user who may do nothing, and by what the process held at its peak.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{memory, rootfs};
use crate::tools::have;

/// nobody, in no group, without a capability to inherit, hold or gain.
const NOBODY: [&str; 10] = [
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
    "--",
];

/// What makes or enters mounts, roots, namespaces, devices, programs of the kernel; and talks to others.
const NEVER: &[&str] = &[
    "mount",
    "umount",
    "umount2",
    "unshare",
    "setns",
    "pivot_root",
    "chroot",
    "mknod",
    "mknodat",
    "fsopen",
    "fsmount",
    "fspick",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "bpf",
    "keyctl",
    "add_key",
    "init_module",
    "finit_module",
    "swapon",
    "reboot",
    "ptrace",
    "setuid",
    "setresuid",
    "setgid",
    "setresgid",
    "setgroups",
    "capset",
    "fork",
    "vfork",
    "execveat",
    "socket",
    "connect",
    "bind",
    "io_uring_setup",
    "userfaultfd",
    "perf_event_open",
    "open_by_handle_at",
];

/// What changes the file that a path names.
const CHANGES: &[&str] = &[
    "creat",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "truncate",
    "chmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchownat",
    "utimensat",
    "utime",
    "utimes",
    "futimesat",
    "setxattr",
    "lsetxattr",
    "removexattr",
    "lremovexattr",
];

/// Questions about a terminal, and copies inside a filesystem.
const IOCTLS: &[&str] = &["TCGETS", "TIOCGWINSZ", "FICLONE", "FICLONERANGE"];

/// One call of a trace: `PID name(arguments…`; `None` for a signal, an exit or the rest of a call.
fn call(line: &str) -> Option<(&str, &str)> {
    let line = line.split_once(' ')?.1.trim_start();
    let (name, arguments) = line.split_once('(')?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some((name, arguments))
}

/// The strings among the arguments of a call on paths, whose names need no escapes here.
fn paths(arguments: &str) -> impl Iterator<Item = &str> {
    arguments.split('"').skip(1).step_by(2)
}

/// Why a call needs a privilege or reaches out of `folder`.
fn objection(name: &str, arguments: &str, folder: &str) -> Option<&'static str> {
    let inside = |path: &str| {
        let below = path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        below && !path.contains("..") || path.starts_with("/proc/self/fd/")
    };
    let writes = [
        "O_WRONLY",
        "O_RDWR",
        "O_CREAT",
        "O_TRUNC",
        "O_TMPFILE",
        "O_APPEND",
    ];
    let opens = matches!(name, "open" | "openat" | "openat2")
        && writes.iter().any(|flag| arguments.contains(flag));
    if NEVER.contains(&name) {
        return Some("a call that a build must not make");
    }
    if matches!(name, "clone" | "clone3") && arguments.contains("CLONE_NEW") {
        return Some("a new namespace");
    }
    if matches!(name, "clone" | "clone3") && !arguments.contains("CLONE_THREAD") {
        return Some("a new process");
    }
    if name == "ioctl" && !IOCTLS.iter().any(|known| arguments.contains(known)) {
        return Some("an ioctl");
    }
    if (opens || CHANGES.contains(&name)) && !paths(arguments).all(inside) {
        return Some("a change outside its own folder");
    }
    None
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `program`, as nobody where that can be had: only root can give up what it has.
fn as_nobody(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(NOBODY).arg(program);
    command
}

/// The image's digest in what `build --sha256 --json` printed.
fn digest(printed: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(printed).unwrap();
    json["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn the_whole_build_runs_without_any_privilege() {
    if !(have("strace") && have("setpriv")) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    if !is_root() {
        eprintln!("not root: traced as this user, whose capabilities stay as they are");
    }
    let temporary = tempfile::tempdir().unwrap();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(temporary.path(), 0o755);
    // Another user reads neither the checkout nor a tar of ours.
    let (program, tar) = (
        temporary.path().join("diskwright"),
        temporary.path().join("debian.tar"),
    );
    std::fs::copy(env!("CARGO_BIN_EXE_diskwright"), &program).unwrap();
    std::fs::copy(debian, &tar).unwrap();
    open(&tar, 0o644);
    open(&program, 0o755);
    let out = temporary.path().join("out");
    std::fs::create_dir(&out).unwrap();
    open(&out, 0o777);
    // strace writes its own file elsewhere: the folder is the build's alone.
    let traces = temporary.path().join("traces");
    std::fs::create_dir(&traces).unwrap();
    open(&traces, 0o777);

    if is_root() {
        let status = as_nobody(Path::new("cat"))
            .arg("/proc/self/status")
            .output()
            .unwrap();
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(
                status.contains(&format!("{set}:\t0000000000000000")),
                "{status}"
            );
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }

    let build = |command: &mut Command, image: &str| {
        let arguments = ["build", "--sha256", "--json", "-o"];
        command.args(arguments).arg(out.join(image)).arg(&tar);
        let built = command
            .env("TMPDIR", &out)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        digest(&built.stdout)
    };
    let trace = traces.join("trace");
    let mut traced = as_nobody(Path::new("strace"));
    // Only strings of 4 KiB and more would be cut, and no path is.
    traced.args([
        "-f",
        "-s",
        "4096",
        "-e",
        "trace=!read,write,pread64,pwrite64,futex",
        "-o",
    ]);
    let unprivileged = build(traced.arg(&trace).arg(&program), "nobody.img");
    let privileged = build(&mut Command::new(&program), "self.img");
    assert_eq!(unprivileged, privileged);

    let trace = std::fs::read_to_string(trace).unwrap();
    let calls: Vec<(&str, &str)> = trace.lines().filter_map(call).collect();
    let folder = out.to_str().unwrap();
    let objections: Vec<String> = calls
        .iter()
        .filter_map(|(name, args)| {
            Some(format!("{}: {name}({args}", objection(name, args, folder)?))
        })
        .collect();
    assert!(objections.is_empty(), "{}", objections.join("\n"));
    let programs = calls.iter().filter(|(name, _)| *name == "execve").count();
    assert_eq!(programs, 1, "the build ran another program");
    // The trace is one of a build: it made its output.
    let made = |args: &str| args.contains("nobody.img");
    assert!(
        calls
            .iter()
            .any(|(name, args)| CHANGES.contains(name) && made(args))
    );
}

#[test]
fn the_judge_of_traces_objects() {
    let bad = [
        r#"7 mount("/dev/loop0", "/mnt", "ext4", 0, NULL) = 0"#,
        r#"7  unshare(CLONE_NEWNS) = 0"#,
        r#"7 clone3({flags=CLONE_VM|CLONE_NEWUSER, ...}, 88) = 8"#,
        r#"7 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD) = 8"#,
        r#"7 ioctl(3, LOOP_SET_FD, 4) = 0"#,
        r#"7 openat(AT_FDCWD, "/tmp/x/outer", O_WRONLY|O_CREAT, 0666) = 3"#,
        r#"7 openat(AT_FDCWD, "/tmp/x/out/../y", O_RDWR <unfinished ...>"#,
        r#"7 renameat(AT_FDCWD, "/tmp/x/out/a", AT_FDCWD, "/etc/passwd") = 0"#,
    ];
    for line in bad {
        let (name, arguments) = call(line).unwrap();
        assert!(objection(name, arguments, "/tmp/x/out").is_some(), "{line}");
    }
    let good = [
        r#"7 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3"#,
        r#"7 openat(AT_FDCWD, "/tmp/x/out", O_RDWR|O_TMPFILE, 0666) = 3"#,
        r#"7 linkat(AT_FDCWD, "/proc/self/fd/5", AT_FDCWD, "/tmp/x/out/a", AT_SYMLINK_FOLLOW) = 0"#,
        r#"7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88 <unfinished ...>"#,
    ];
    for line in good {
        let (name, arguments) = call(line).unwrap();
        assert_eq!(objection(name, arguments, "/tmp/x/out"), None, "{line}");
    }
}

#[test]
fn memory_follows_the_number_of_files_and_not_their_size() {
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(["build", "--json", "--quiet", "-o"])
        .arg(folder.path().join("debian.img"))
        .arg(debian)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let peak = memory::peak(&mut child);
    let printed = child.wait_with_output().unwrap();
    assert!(printed.status.success());
    let json: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    let of = |name: &str| json[name].as_u64().unwrap();
    let files = of("files") + of("directories") + of("symlinks") + of("specials");
    let limit = memory::limit(files);
    eprintln!(
        "{files} files; at its peak {} KiB of {} KiB",
        peak >> 10,
        limit >> 10
    );
    assert!(peak > 1 << 20, "nothing was seen of the process");
    assert!(
        peak <= limit,
        "{peak} bytes for {files} files; the limit is {limit}"
    );
}

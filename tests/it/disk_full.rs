//! The output's filesystem refuses: exit code 3, the message, nothing left. strace makes system calls
//! fail, which needs no privilege; a limit on the size of files is the one refusal that needs no tool.

use crate::common::desk::{Desk, Ran, Running, ran};
use crate::common::fault::wait_until;
use crate::common::tarball::{Header, archive, file};
use crate::tools::have;
use expect_test::{Expect, expect};
use std::io::Write;
use std::process::Stdio;

const BUILD: [&str; 7] = [
    "build",
    "a.tar",
    "-o",
    "out/disk.img",
    "--boot",
    "none",
    "--quiet",
];

fn desk() -> Desk {
    let desk = Desk::new();
    let mut members: Vec<_> = (0..200)
        .map(|i| file(&format!("f{i}"), &[5; 30_000]))
        .collect();
    // A file that a later entry replaces: its place is punched out.
    members.push(file("f7", b"later"));
    members.push(file("big", &vec![6; 12 << 20]));
    desk.write("a.tar", &archive(&members));
    desk
}

/// Builds while `call` fails with `error`, the `when`-th time.
fn injected(desk: &Desk, call: &str, error: &str, when: &str, flags: &[&str]) -> Ran {
    let fault = format!("error={error}:when={when}");
    desk.run_with_fault(call, &fault, &[&BUILD[..], flags].concat())
}

#[track_caller]
fn refused(call: &str, error: &str, when: &str, flags: &[&str], expected: Expect) {
    let desk = desk();
    desk.told(&injected(&desk, call, error, when, flags), 3, expected);
}

#[test]
fn a_disk_that_fills_up_is_told_at_every_write() {
    if !have("strace") {
        return;
    }
    let desk = desk();
    let calls = "pwrite64,pwritev,pwritev2";
    let whole = ran(&desk.traced(calls, None, &BUILD).output().unwrap());
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let log = desk.trace();
    let writes = log.matches("pwrite").count();
    assert!(writes > 3, "{log}");
    std::fs::remove_file(desk.path("out/disk.img")).unwrap();
    for nth in 1..=writes {
        let told = injected(&desk, calls, "ENOSPC", &nth.to_string(), &[]);
        desk.told(
            &told,
            3,
            expect![[r"
                error: cannot write out/disk.img
                  because: No space left on device (os error 28)
                help: free some space, or choose a folder on another disk
            "]],
        );
    }
}

#[test]
fn other_refusals_of_the_filesystem_are_told() {
    if !have("strace") {
        return;
    }
    refused(
        "ftruncate",
        "ENOSPC",
        "1",
        &[],
        expect![[r#"
        error: cannot write out/disk.img
          because: No space left on device (os error 28)
        help: free some space, or choose a folder on another disk
    "#]],
    );
    refused(
        "fallocate",
        "ENOSPC",
        "1",
        &[],
        expect![[r#"
        error: cannot write out/disk.img
          because: No space left on device (os error 28)
        help: free some space, or choose a folder on another disk
    "#]],
    );
    refused(
        "linkat",
        "EDQUOT",
        "1",
        &[],
        expect![[r#"
        error: the image is written, but cannot be put at out/disk.img
          because: Disk quota exceeded (os error 122)
        help: your quota is used up: choose a folder elsewhere
    "#]],
    );
    refused(
        "linkat",
        "ENOSPC",
        "1",
        &["--force"],
        expect![[r#"
        error: the image is written, but cannot be put at out/disk.img
          because: No space left on device (os error 28)
        help: free some space, or choose a folder on another disk
    "#]],
    );
    refused(
        "rename",
        "EIO",
        "1",
        &["--force"],
        expect![[r#"
        error: the image is written, but cannot be put at out/disk.img
          because: Input/output error (os error 5)
    "#]],
    );
    refused(
        "fsync",
        "EIO",
        "1",
        &["--sync"],
        expect![[r#"
        error: the image is written, but cannot be put at out/disk.img
          because: Input/output error (os error 5)
    "#]],
    );
}

#[test]
fn a_filesystem_without_holes_gets_zeros() {
    if !have("strace") {
        return;
    }
    let (holes, none) = (desk(), desk());
    assert_eq!(holes.run(&BUILD).code, Some(0));
    let told = injected(&none, "fallocate", "EOPNOTSUPP", "1+", &[]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let image = |desk: &Desk| std::fs::read(desk.path("out/disk.img")).unwrap();
    assert!(image(&holes) == image(&none), "the images differ");
}

#[test]
fn a_limit_on_the_size_of_files_is_told() {
    let desk = desk();
    let shell = "trap '' XFSZ; ulimit -f 8192; exec \"$@\"";
    let output = desk
        .prefixed(&["bash", "-c", shell, "bash"], &BUILD)
        .output();
    desk.told(
        &ran(&output.unwrap()),
        3,
        expect![[r#"
        error: cannot write out/disk.img
          because: File too large (os error 27)
        help: the filesystem of the output, or `ulimit -f`, allows no file of that size
    "#]],
    );
}

/// The archive is a file that shrinks while it is read: strace holds the program up before it reads on.
#[test]
fn an_archive_that_shrinks_while_it_is_read_is_told() {
    if !have("strace") {
        return;
    }
    let desk = Desk::new();
    // Sparse: 256 MiB that take no room.
    let tar = std::fs::File::create(desk.path("a.tar")).unwrap();
    (&tar)
        .write_all(&Header::new("big", b'0', 256 << 20).block())
        .unwrap();
    tar.set_len((256 << 20) + 512 + 1024).unwrap();
    // Reads of a MiB; from the 40th on each takes a while.
    let slow = Some("delay_enter=20000:when=40+");
    let mut command = desk.traced("read", slow, &BUILD);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    wait_until("slow read", || {
        assert!(running.0.try_wait().unwrap().is_none(), "{}", desk.trace());
        desk.trace().lines().count() >= 45
    });
    tar.set_len(1 << 20).unwrap();
    let ran = running.end();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
    assert!(
        ran.stderr.starts_with(
            "error: a.tar: entry 'big' (header at byte 0): the archive ends inside the file's data: \
             268435456 bytes expected, "
        ) && ran.stderr.contains("changed while it was read"),
        "{ran:?}"
    );
    assert_eq!(desk.out(), Vec::<String>::new());
}

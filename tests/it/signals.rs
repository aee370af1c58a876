//! Signals and closed streams: the exit codes of a shell, and nothing left in the output's folder.

use crate::common::desk::{Desk, Running};
use crate::common::fault::wait_until;
use crate::common::tarball::{Header, archive, file};
use crate::tools::have;
use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

const BUILD: [&str; 7] = [
    "build",
    "-",
    "-o",
    "out/disk.img",
    "--boot",
    "none",
    "--quiet",
];

/// The filesystem is one without `O_TMPFILE`: the program opens its temporary with open(2) and nothing else
/// that way.
const NO_TMPFILE: (&str, &str) = ("open", "error=EOPNOTSUPP");

/// The program's own process: strace's child where strace started it.
fn program(running: &Running, traced: bool) -> u32 {
    let id = running.0.id();
    if !traced {
        return id;
    }
    let children = format!("/proc/{id}/task/{id}/children");
    let mut found = None;
    wait_until("child of strace", || {
        let list = std::fs::read_to_string(&children).unwrap_or_default();
        found = list.split_whitespace().next().and_then(|n| n.parse().ok());
        found.is_some()
    });
    found.unwrap()
}

/// A build that has written some of its data and waits for the rest of its archive on a pipe.
fn half_way(desk: &Desk, traced: bool) -> (Running, u32, ChildStdin) {
    half_way_with(&[], desk, traced)
}

/// The same with more flags.
fn half_way_with(flags: &[&str], desk: &Desk, traced: bool) -> (Running, u32, ChildStdin) {
    let line = [&BUILD[..], flags].concat();
    let (calls, fault) = NO_TMPFILE;
    let mut command = match traced {
        true => desk.traced(calls, Some(fault), &line),
        false => desk.command(&line),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut pipe = running.0.stdin.take().unwrap();
    pipe.write_all(&Header::new("big", b'0', 64 << 20).block())
        .unwrap();
    pipe.write_all(&vec![7; 32 << 20]).unwrap();
    let id = program(&running, traced);
    let written = || {
        let io = std::fs::read_to_string(format!("/proc/{id}/io")).unwrap_or_default();
        let line = io.lines().find_map(|l| l.strip_prefix("wchar: "));
        line.is_some_and(|n| n.parse::<u64>().unwrap() > 8 << 20)
    };
    wait_until("data in the output", written);
    (running, id, pipe)
}

fn send(signal: &str, id: u32) {
    crate::common::run("/".as_ref(), "kill", &["-s", signal, &id.to_string()]);
}

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let desk = Desk::new();
        let (running, id, mut pipe) = half_way(&desk, false);
        send(signal, id);
        // More data lets it notice; without, it would end by itself after three seconds.
        let _ = pipe.write_all(&vec![7; 8 << 20]);
        let ran = running.end();
        assert_eq!(ran.stderr, "error: interrupted\n");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        assert_eq!(desk.out(), Vec::<String>::new());
    }
}

#[test]
fn a_signal_leaves_nothing_in_any_format() {
    for format in ["qcow2", "vmdk", "vhd-fixed", "raw.zst"] {
        for traced in [false, true] {
            if traced && !have("strace") {
                continue;
            }
            let desk = Desk::new();
            let (running, id, mut pipe) = half_way_with(&["--format", format], &desk, traced);
            send("INT", id);
            let _ = pipe.write_all(&vec![7; 8 << 20]);
            let ran = running.end();
            assert_eq!(
                (ran.code, ran.stdout.as_str()),
                (Some(130), ""),
                "{format}: {ran:?}"
            );
            assert_eq!(desk.out(), Vec::<String>::new(), "{format}");
        }
    }
}

#[test]
fn a_signal_ends_a_build_whose_pipe_is_silent() {
    let desk = Desk::new();
    let (running, id, _pipe) = half_way(&desk, false);
    send("INT", id);
    assert_eq!(running.end().code, Some(130));
    assert_eq!(desk.out(), Vec::<String>::new());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let desk = Desk::new();
    let (running, id, _pipe) = half_way(&desk, false);
    send("TERM", id);
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    send("TERM", id);
    assert_eq!(running.end().code, Some(143));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(desk.out(), Vec::<String>::new());
}

/// A file for each record.
const BESIDE: [&str; 6] = [
    "--bmap=out/bmap",
    "--map-file=out/map",
    "--manifest=out/manifest",
    "--sbom=spdx:out/sbom",
    "--provenance=out/provenance",
    "--builder-id=x:y",
];

#[test]
fn a_named_temporary_is_removed_by_every_signal_that_can_be_caught() {
    if !have("strace") {
        return;
    }
    for (signal, code, silent) in [("INT", 130, false), ("TERM", 143, true)] {
        let desk = Desk::new();
        let (running, id, mut pipe) = half_way_with(&BESIDE, &desk, true);
        let there = desk.out();
        assert!(
            there.len() == 6 && there.iter().all(|name| name.starts_with(".diskwright-")),
            "the temporaries should have names here: {there:?}"
        );
        send(signal, id);
        if !silent {
            let _ = pipe.write_all(&vec![7; 8 << 20]);
        }
        assert_eq!(running.end().code, Some(code));
        assert_eq!(desk.out(), Vec::<String>::new());
    }
}

#[test]
fn a_named_temporary_becomes_the_image() {
    if !have("strace") {
        return;
    }
    let (calls, fault) = NO_TMPFILE;
    let desk = Desk::new();
    desk.write("a.tar", &archive(&[file("a", b"data")]));
    for flags in [&["--quiet"][..], &["--force", "--sync"]] {
        let args = [
            &["build", "a.tar", "-o", "out/disk.img", "--boot", "none"],
            flags,
        ]
        .concat();
        let made = desk.run_with_fault(calls, fault, &args);
        assert_eq!(
            (made.code, made.stdout.as_str()),
            (Some(0), "out/disk.img\n"),
            "{made:?}"
        );
        assert_eq!(desk.out(), ["disk.img"]);
    }
    desk.fsck();
}

#[test]
fn sigkill_leaves_nothing_where_files_need_no_name() {
    let desk = Desk::new();
    let (mut running, id, _pipe) = half_way(&desk, false);
    if !desk.out().is_empty() {
        crate::tools::skip("the temporary folder's filesystem has no O_TMPFILE");
        return;
    }
    send("KILL", id);
    assert_eq!(running.0.wait().unwrap().code(), None);
    assert_eq!(desk.out(), Vec::<String>::new());
}

#[test]
fn closed_streams_do_no_harm() {
    let desk = Desk::new();
    // A warning and a summary for standard error, a path for standard output.
    desk.write("a.tar", &archive(&[file("/f", b""), file("f/g", b"")]));
    let closed = "exec \"$@\" >&- 2>&-";
    let broken = "{ \"$@\"; echo $? > code; } 2>&1 | true";
    for (name, script) in [("closed", closed), ("broken", broken)] {
        let args = [
            "build",
            "a.tar",
            "-o",
            "out/disk.img",
            "--boot",
            "none",
            "--force",
        ];
        let shell = ["bash", "-c", script, "bash"];
        let mut command = desk.prefixed(&shell, &args);
        let status = command.status().unwrap();
        assert_eq!(
            (status.code(), desk.out()),
            (Some(0), vec!["disk.img".into()]),
            "{name}"
        );
        desk.fsck();
        std::fs::remove_file(desk.path("out/disk.img")).unwrap();
    }
    assert_eq!(std::fs::read_to_string(desk.path("code")).unwrap(), "0\n");
}

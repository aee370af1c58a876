//! Filters and edits that cannot be: what is told, and that nothing is left behind.

use crate::common::desk::{Desk, Ran, Running, ran};
use crate::common::fault::wait_until;
use crate::customize::desk;
use crate::tools::{have, stdout};
use expect_test::{Expect, expect};
use std::process::Stdio;

/// A build, before the flags that are tried.
const BUILD: [&str; 7] = [
    "build",
    "small.tar",
    "-o",
    "out/a",
    "--boot",
    "none",
    "--quiet",
];

#[track_caller]
fn refused(flags: &[&str], expected: Expect) {
    let args = [&BUILD, flags].concat();
    desk().refused(&args, 3, expected);
}

#[test]
fn a_filter_gets_a_tar_and_gives_one() {
    if !have("tar") {
        return;
    }
    let desk = desk();
    stdout("gzip", &["-kf", desk.path("small.tar").to_str().unwrap()]);
    // What comes in is plain, what goes out may be compressed.
    let filter = "tar --delete etc/machine-id | gzip";
    let ran = desk.builds("small.tar.gz", &["--boot", "none", "--filter", filter]);
    assert!(
        ran.stderr.contains(&format!("custom  filter {filter}\n")),
        "{ran:?}"
    );
    if have("debugfs") {
        let list = desk.debugfs("ls /etc").unwrap();
        assert!(
            !list.contains("machine-id") && list.contains("passwd"),
            "{list}"
        );
    }
    let same = desk.builds(
        "small.tar",
        &["--boot", "none", "--filter", "cat", "--sha256"],
    );
    let plain = desk.builds("small.tar", &["--boot", "none", "--sha256"]);
    let digest = |ran: &Ran| {
        ran.stderr
            .lines()
            .find(|l| l.contains("sha256"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(digest(&same), digest(&plain));
}

#[test]
fn a_filter_that_fails_fails_the_build() {
    let filter = |command: &str, expected: Expect| refused(&["--filter", command], expected);
    filter(
        "cat; exit 7",
        expect![[r#"
        error: the filter `cat; exit 7` failed (exit status: 7): mend the command; what it said itself stands above
    "#]],
    );
    filter(
        "false",
        expect![[r#"
        error: the filter `false` failed (exit status: 1): mend the command; what it said itself stands above
    "#]],
    );
    filter(
        "echo no tar; echo oops >&2; exit 1",
        expect![[r#"
        oops
        error: the filter `echo no tar; echo oops >&2; exit 1` failed (exit status: 1): mend the command; what it said itself stands above
    "#]],
    );
    filter(
        "head -c 700; kill -9 $$",
        expect![[r#"
        error: the filter `head -c 700; kill -9 $$` failed (signal: 9 (SIGKILL)): mend the command; what it said itself stands above
    "#]],
    );
    filter(
        "cat > /dev/null",
        expect![[r#"
        error: small.tar, filtered is empty (0 bytes): the command that should have written it has failed, or wrote elsewhere
    "#]],
    );
    let desk = desk();
    desk.write("cut.tar.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]);
    desk.refused(
        &[
            "build",
            "cut.tar.gz",
            "-o",
            "out/a",
            "--filter",
            "cat",
            "--quiet",
        ],
        3,
        expect![[r#"
            error: cut.tar.gz: the gzip data ends too early, at byte 12 of the file: the archive is cut short (disk full? interrupted copy?); copy or make it again
        "#]],
    );
    desk.refused(
        &[
            "build",
            "small.tar",
            "small.tar",
            "-o",
            "out/a",
            "--filter",
            "cat",
        ],
        2,
        expect![[r#"
            error: --filter is for one tar archive, not for a folder, a container image or several layers
            help: make one tar of them first
        "#]],
    );
}

#[test]
fn a_signal_ends_a_filter_and_all_that_it_started() {
    let desk = desk();
    let args = [
        "build",
        "small.tar",
        "-o",
        "out/a",
        "--quiet",
        "--filter",
        "sleep 1000 & echo $! > pid; wait; cat",
    ];
    let child = desk
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let running = Running(child.unwrap());
    let mut pid = String::new();
    wait_until("the filter", || {
        pid = std::fs::read_to_string(desk.path("pid")).unwrap_or_default();
        pid.ends_with('\n')
    });
    stdout("kill", &["-s", "INT", &running.0.id().to_string()]);
    let ran = running.end();
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(130), "error: interrupted\n")
    );
    wait_until("the end of what it started", || gone(&desk));
    assert_eq!(desk.out(), Vec::<String>::new());
}

/// Whether the process whose number is in the file `pid` is gone, or only waits to be reaped.
fn gone(desk: &Desk) -> bool {
    let pid = std::fs::read_to_string(desk.path("pid")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn what_a_filter_leaves_behind_ends_with_it() {
    let desk = desk();
    let filter = "sleep 1000 >/dev/null & echo $! >pid; cat";
    desk.builds("small.tar", &["--boot", "none", "--filter", filter]);
    wait_until("the end of what it started", || gone(&desk));
    // One that lets nobody end it.
    let filter = "trap '' TERM; sleep 1000 >/dev/null & echo $! >pid; cat";
    desk.builds("small.tar", &["--boot", "none", "--filter", filter]);
    wait_until("the end of what it started", || gone(&desk));
}

/// Such a caller leaves no way to know whether the filter failed: an image that may lack half of its files is none.
#[test]
fn a_filter_whose_end_nobody_can_know_fails_the_build() {
    let desk = desk();
    let args = [&BUILD[..], &["--filter", "cat"]].concat();
    let output = desk
        .prefixed(&["env", "--ignore-signal=CHLD"], &args)
        .output();
    desk.told(&ran(&output.unwrap()), 3, expect![[r#"
        error: the filter `cat` failed (how it ended is unknown: No child processes (os error 10); do not start this with SIGCHLD ignored): mend the command; what it said itself stands above
    "#]]);
}

#[test]
fn a_filter_that_wants_the_terminal_fails_the_build() {
    if !have("python3") {
        return;
    }
    let desk = desk();
    let script =
        "import pty, sys, os; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let shell = "exec \"$@\" 2>err";
    let prefix = [
        "timeout", "60", "python3", "-c", script, "sh", "-c", shell, "sh",
    ];
    for filter in [
        "cat; read answer </dev/tty",
        "cat </dev/tty",
        "cat | (read x </dev/tty; cat)",
    ] {
        let args = [&BUILD[..], &["--filter", filter]].concat();
        let output = desk.prefixed(&prefix, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let told = std::fs::read_to_string(desk.path("err")).unwrap();
        let why = "it was stopped because it wanted the terminal, which a filter has not: its input is the archive";
        assert!(
            told.contains(&format!("the filter `{filter}` failed ({why})")),
            "{told}"
        );
        assert_eq!(desk.out(), Vec::<String>::new());
    }
}

#[test]
fn what_the_image_does_not_have_is_told_with_what_is_near() {
    refused(
        &["--ssh-key", "rot:key.pub"],
        expect![[r#"
        error: --ssh-key: the image has no user rot; did you mean root?
    "#]],
    );
    refused(
        &["--user", "lisa:suod"],
        expect![[r#"
        error: --user: the image has no group suod; did you mean sudo?
    "#]],
    );
    refused(
        &["--user", "bob:33"],
        expect![[r#"
        error: --user bob: 33 is the number of www-data; say another, or none
    "#]],
    );
    refused(
        &["--user", "www-data:34"],
        expect![[r#"
        error: --user www-data: the image has a user of that name, number 33; say that number, or none
    "#]],
    );
    refused(
        &["--file", "key.pub:/opt/x:0644:nobody"],
        expect![[r#"
        error: --file: the image has no user nobody
    "#]],
    );
    refused(
        &["--enable", "wbe"],
        expect![[r#"
        error: --enable: the image has no unit wbe.service; did you mean web.service?
    "#]],
    );
    refused(
        &["--disable", "lat.timer"],
        expect![[r#"
        error: --disable: the image has no unit lat.timer; did you mean late.timer?
    "#]],
    );
    refused(
        &["--enable", "no"],
        expect![[r#"
        error: --enable no: no.service is masked in the image
    "#]],
    );
    refused(
        &["--enable", "inst@"],
        expect![[r#"
        error: --enable inst@.service: it is a template without a DefaultInstance; name an instance, as in getty@tty1
    "#]],
    );
    refused(
        &["--timezone", "Europe/Berlln"],
        expect![[r#"
        error: --timezone: the image has no zone Europe/Berlln; did you mean Europe/Berlin?
    "#]],
    );
}

#[test]
fn edits_that_cannot_be_made_are_refused() {
    refused(
        &["--remove", "usr/share"],
        expect![[r#"
        error: --remove usr/share: begin it with `/`: patterns are of whole paths, as /usr/share/doc/** is
    "#]],
    );
    refused(
        &["--enable", "web", "--mask", "web.service"],
        expect![[r#"
        error: --mask web.service: --enable web.service says otherwise
    "#]],
    );
    refused(
        &["--mask", "a b"],
        expect![[r#"
        error: --mask a b: no unit of systemd is called so
    "#]],
    );
    refused(
        &["--timezone", "../../etc/passwd"],
        expect![[r#"
        error: --timezone ../../etc/passwd: a zone is named as Europe/Berlin is
    "#]],
    );
    refused(
        &["--overlay", "gone"],
        expect![[r#"
            error: --overlay: cannot read gone
              because: No such file or directory (os error 2)
        "#]],
    );
    refused(
        &["--overlay", "key.pub"],
        expect![[r#"
        error: --overlay: cannot read key.pub
          because: not a directory
    "#]],
    );
    refused(
        &["--file", "gone:/opt/x"],
        expect![[r#"
        error: --file: cannot read gone
          because: No such file or directory (os error 2)
    "#]],
    );
    refused(
        &["--file", "out:/opt/x"],
        expect![[r#"
        error: --file: out: it is no regular file; a folder is for --overlay
    "#]],
    );
    refused(
        &["--file", "key.pub:/etc/skel"],
        expect![[r#"
        error: --file: /etc/skel is a directory in the image; --remove it first
    "#]],
    );
    refused(
        &["--file", "key.pub:/bin/bash/x"],
        expect![[r#"
            error: --file: nothing can be put there
              because: /bin/bash/x: 'bash' on the way to it is no directory
        "#]],
    );
    refused(
        &["--ssh-key", "root:user-data"],
        expect![[r#"
        error: --ssh-key: user-data: it holds no key
    "#]],
    );
    refused(
        &["--cloud-init", "key.pub"],
        expect![[r#"
        error: --cloud-init: key.pub: cloud-init would not know it: its first line is `#cloud-config`, `#!…` or another of its headers, before any comment
    "#]],
    );
    refused(
        &["--overlay", "."],
        expect![[r#"
        error: out/a lies in the folder that the image is made of; give it a place elsewhere
    "#]],
    );
    let desk = desk();
    desk.refused(
        &["build", "small.tar", "-o", "out/a", "--file", "key.pub"],
        2,
        expect![[r#"
            error: invalid value 'key.pub' for '--file <SRC:DEST[:MODE[:OWNER[:GROUP]]]>': SRC:DEST is needed, as in motd:/etc/motd

            For more information, try '--help'.
        "#]],
    );
    desk.refused(
        &["build", "small.tar", "-o", "out/a", "--user", "Lisa"],
        2,
        expect![[r#"
            error: invalid value 'Lisa' for '--user <NAME[:UID][:GROUP,…]>': `Lisa` is no name of a user: up to 32 of a-z, 0-9, `_` and `-`, the first a letter or `_`

            For more information, try '--help'.
        "#]],
    );
}

#[test]
fn a_skeleton_that_is_too_large_is_told_with_the_user() {
    let desk = desk();
    std::fs::create_dir_all(desk.path("over/etc/skel")).unwrap();
    let large = std::fs::File::create(desk.path("over/etc/skel/large")).unwrap();
    large.set_len(17 << 20).unwrap();
    let flags = ["--overlay", "over", "--user", "lisa"];
    desk.refused(
        &[&BUILD[..], &flags].concat(),
        3,
        expect![[r#"
        error: --user lisa: /etc/skel/large is larger than 16777216 bytes, too large for a home
    "#]],
    );
}

#[test]
fn a_seed_that_cloud_init_would_misread_is_refused() {
    let desk = desk();
    desk.write("user-data", b"#cloud-configx\npackages: [a]\n");
    desk.refused(
        &[&BUILD[..], &["--cloud-init", "user-data"]].concat(),
        3,
        expect![[r#"
            error: --cloud-init: user-data: cloud-init would not know it: its first line is `#cloud-config`, `#!…` or another of its headers, before any comment
        "#]],
    );
}

//! grub.cfg, grubenv, the drop-in and the order of kernels against GRUB's own tools, sh and dpkg.

use std::cmp::Ordering;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::tools::{have, run, stdout};
use diskwright::grub::{self, Config, KernelEntry, RootBy, RootIds};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn kernel(version: &str, initrd: bool) -> KernelEntry {
    KernelEntry {
        version: version.to_owned(),
        kernel_path: format!("/boot/vmlinuz-{version}"),
        initrd_paths: if initrd {
            vec![format!("/boot/initrd.img-{version}")]
        } else {
            vec![]
        },
        has_initrd: initrd,
    }
}

/// Configs of all that a rootfs and a command line may hold, printable or not.
fn configs() -> impl Strategy<Value = Config> {
    let text = || "[ -~äß]{0,24}";
    let kernels = prop::collection::vec(("[ -~]{1,16}", any::<bool>()), 0..4);
    let by = prop_oneof![
        Just(RootBy::Uuid),
        Just(RootBy::Label),
        Just(RootBy::PartUuid)
    ];
    (
        text(),
        kernels,
        "[ -~]{0,16}",
        by,
        "[ -~]{0,40}",
        any::<u32>(),
        any::<bool>(),
    )
        .prop_map(
            |(title, kernels, label, root_by, cmdline, timeout, parts)| Config {
                title,
                kernels: kernels
                    .iter()
                    .map(|(version, initrd)| kernel(version, *initrd))
                    .collect(),
                root: RootIds {
                    fs_uuid: "01234567-89ab-8def-8123-456789abcdef".to_owned(),
                    label,
                    partuuid: parts.then(|| "00c0ffee-01".to_owned()),
                },
                root_by,
                hint: if parts { "hd0,msdos1" } else { "hd0" }.to_owned(),
                cmdline,
                timeout,
            },
        )
}

/// Some hundred configs that can be written, with their grub.cfg.
fn samples(count: usize) -> Vec<(Config, String)> {
    let mut runner = TestRunner::deterministic();
    let mut samples = Vec::new();
    while samples.len() < count {
        let config = configs().new_tree(&mut runner).unwrap().current();
        if let Ok(text) = grub::grub_cfg(&config) {
            samples.push((config, text));
        }
    }
    samples
}

#[test]
fn grub_script_check_accepts_every_grub_cfg() {
    if !have("grub-script-check") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (n, (config, text)) in samples(200).into_iter().enumerate() {
        let path = dir.path().join(format!("{n}.cfg"));
        std::fs::write(&path, &text).unwrap();
        let out = run("grub-script-check", &[path.to_str().unwrap()]);
        let err = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{config:?}\n{text}\n{err}");
    }
}

#[test]
fn a_shell_reads_from_the_drop_in_what_was_meant() {
    for (config, text) in samples(100) {
        let Ok(drop_in) = grub::drop_in(&config) else {
            panic!("grub.cfg but no drop-in: {text}")
        };
        let script = format!(
            "set -eu\n{drop_in}\nprintf '%s\\n' \"$GRUB_TIMEOUT\" \"$GRUB_DISTRIBUTOR\" \
             \"$GRUB_CMDLINE_LINUX\" \"$GRUB_TERMINAL\""
        );
        let out = stdout("sh", &["-c", &script]);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], config.timeout.to_string());
        assert_eq!(
            lines[1],
            config
                .title
                .strip_suffix(" GNU/Linux")
                .unwrap_or(&config.title)
        );
        let efi = std::path::Path::new("/sys/firmware/efi").exists();
        assert_eq!(lines[3], if efi { "console" } else { "console serial" });
        // The first entry's parameters end with what update-grub would write there.
        let linux = text
            .lines()
            .find(|line| line.starts_with("\tlinux "))
            .unwrap();
        assert!(
            linux.ends_with(format!("ro {}", lines[2]).trim_end()),
            "{linux}\n{}",
            lines[2]
        );
    }
}

#[test]
fn grub_editenv_reads_and_writes_our_grubenv() {
    if !have("grub-editenv") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    stdout("grub-editenv", &[theirs.to_str().unwrap(), "create"]);
    assert_eq!(std::fs::read(theirs).unwrap(), grub::grubenv());
    std::fs::write(&ours, grub::grubenv()).unwrap();
    let ours = ours.to_str().unwrap();
    assert_eq!(stdout("grub-editenv", &[ours, "list"]), "");
    stdout("grub-editenv", &[ours, "set", "next_entry=1>2"]);
    assert_eq!(stdout("grub-editenv", &[ours, "list"]), "next_entry=1>2\n");
}

/// What dpkg says of each pair, all in one shell: a process for each would take a minute.
fn dpkg_order(pairs: &[(String, String)]) -> Vec<Ordering> {
    let mut shell = Command::new("sh")
        .args([
            "-c",
            "while read -r a b; do
            if dpkg --compare-versions \"$a\" lt \"$b\"; then echo lt
            elif dpkg --compare-versions \"$a\" eq \"$b\"; then echo eq
            else echo gt; fi; done",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    let text: String = pairs.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let out = shell.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines()
        .map(|line| match line {
            "lt" => Ordering::Less,
            "eq" => Ordering::Equal,
            _ => Ordering::Greater,
        })
        .collect()
}

#[test]
fn versions_sort_as_dpkg_sorts_them() {
    if !have("dpkg") {
        return;
    }
    let table = [
        "6.1.0-9-amd64",
        "6.1.0-10-amd64",
        "6.1.0-10-cloud-amd64",
        "6.1.0~rc1-1",
        "6.1.0",
        "6.1.0-0.deb11.5-amd64",
        "5.10.0-8-amd64~old",
        "5.10.0-8-amd64",
        "1:1",
        "1.02",
        "1.2",
        "1+",
        "1~~",
        "1~",
    ];
    let mut pairs: Vec<(String, String)> = table
        .iter()
        .flat_map(|a| table.iter().map(|b| ((*a).to_owned(), (*b).to_owned())))
        .collect();
    // Few characters, so that prefixes are often equal.
    let version = "[0-9][01a.~+]{0,5}(-[01a.~+]{1,3})?";
    let mut runner = TestRunner::deterministic();
    for _ in 0..400 {
        pairs.push((version, version).new_tree(&mut runner).unwrap().current());
    }
    let theirs = dpkg_order(&pairs);
    assert_eq!(theirs.len(), pairs.len());
    for ((a, b), want) in pairs.iter().zip(theirs) {
        assert_eq!(grub::compare_versions(a, b), want, "{a} {b}");
    }
}

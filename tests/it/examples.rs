//! The examples under `tests/examples`: each is run, on a small system of the test's, or held against its tool's
//! schema and then run.

use crate::common::cloud::Cloud;
use crate::common::desk::{Desk, Ran, ran};
use crate::common::run;
use crate::customize::small;
use crate::tools::{have, stdout};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/examples")
        .join(name)
}

/// A desk with a copy of the example, the small system as its archive, and a key.
fn desk(name: &str) -> Desk {
    let desk = Desk::new();
    let from = format!("{}/.", folder(name).display());
    run(desk.folder(), "cp", &["-r", &from, "."]);
    desk.write("rootfs.tar", &small());
    desk.write(
        "admin.pub",
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKw me@here\n",
    );
    desk
}

/// Builds the spec file, which wants a loader that the small system has not.
#[track_caller]
fn builds(desk: &Desk, flags: &[&str]) -> Ran {
    let line = [
        "build",
        "--spec",
        "image.toml",
        "--boot",
        "none",
        "--output",
        "out/disk.img",
        "--force",
    ];
    let ran = desk.run(&[&line, flags].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    desk.fsck();
    same_twice(desk, &[&["image.toml", "--boot", "none"], flags].concat());
    ran
}

/// `repro` finds no difference between two builds of it.
#[track_caller]
fn same_twice(desk: &Desk, line: &[&str]) {
    let ran = desk.run(&[&["repro"], line].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("identical"), "{ran:?}");
}

fn holds(desk: &Desk, path: &str, text: &str) {
    if let Some(said) = desk.debugfs(&format!("cat {path}")) {
        assert!(said.contains(text), "{path}: {said}");
    }
}

#[test]
fn a_plain_debian() {
    let desk = desk("debian");
    let ran = builds(&desk, &[]);
    assert!(
        ran.stderr
            .contains("user admin, ssh-key admin, timezone Etc/UTC"),
        "{ran:?}"
    );
    holds(&desk, "/etc/group", "sudo:x:27:admin\n");
    holds(&desk, "/home/admin/.ssh/authorized_keys", "me@here");
}

#[test]
fn a_debian_with_nginx_and_an_overlay() {
    let desk = desk("nginx");
    let ran = builds(&desk, &[]);
    assert!(
        ran.stderr.contains("enable nginx web-health.timer"),
        "{ran:?}"
    );
    holds(&desk, "/etc/nginx/conf.d/web.conf", "default_server");
    holds(&desk, "/var/www/maintenance/index.html", "Back soon");
    if let Some(said) = desk.debugfs("stat /var/www/maintenance/index.html") {
        assert!(
            said.contains("Mode:  0640") && said.contains("User:    33   Group:    33"),
            "{said}"
        );
    }
    if let Some(said) = desk.debugfs("ls -l /etc/nginx/conf.d") {
        assert!(said.contains("100644 (1)      0      0"), "{said}");
    }
}

/// Without Docker and the network, the image is umoci's; the archive is what `docker save` writes.
#[test]
fn a_machine_from_a_dockerfile() {
    if ["umoci", "skopeo"].iter().any(|tool| !have(tool)) {
        return;
    }
    let desk = desk("dockerfile");
    let script = "umoci init --layout img && umoci new --image img:web \
        && umoci raw add-layer --image img:web rootfs.tar && mkdir -p top/etc && cp motd top/etc \
        && tar -C top -cf top.tar etc && umoci raw add-layer --image img:web top.tar \
        && umoci config --image img:web --architecture amd64 --os linux \
        && skopeo copy -q oci:img:web docker-archive:web.tar:web:latest";
    run(desk.folder(), "sh", &["-euc", script]);
    builds(&desk, &["--platform", "linux/amd64"]);
    holds(&desk, "/etc/motd", "booted without Docker");
    // The parts of the Dockerfile that bring what a machine needs.
    let text = std::fs::read_to_string(desk.path("Dockerfile")).unwrap();
    for word in [
        "linux-image-cloud-amd64",
        "grub-pc-bin",
        "systemd-sysv",
        "COPY motd /etc/motd",
    ] {
        assert!(text.contains(word), "{word}");
    }
}

/// What the programs of the examples call `diskwright`.
fn program(desk: &Desk, shell: &str) -> String {
    let bin = desk.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let to = bin.join("diskwright");
    std::fs::write(
        &to,
        format!(
            "#!/bin/sh\nexec {} {shell}\n",
            env!("CARGO_BIN_EXE_diskwright")
        ),
    )
    .unwrap();
    run(desk.folder(), "chmod", &["+x", to.to_str().unwrap()]);
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

#[test]
fn packer_hands_on_the_id_of_the_ami() {
    if !have("packer") {
        return;
    }
    let cloud = Cloud::new();
    let desk = &cloud.desk;
    run(
        desk.folder(),
        "cp",
        &[folder("packer/web.pkr.hcl").to_str().unwrap(), "."],
    );
    desk.write("rootfs.tar", &small());
    let path = program(desk, &format!("\"$@\" --endpoint-url {}", cloud.fake.url));
    let packer = |verb: &[&str]| {
        let mut command = cloud.command(&[]);
        // Its environment, another program.
        let set: Vec<_> = command
            .get_envs()
            .map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned)))
            .collect();
        command = std::process::Command::new("packer");
        for (key, value) in set {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command
            .args(verb)
            .current_dir(desk.folder())
            .env("PATH", &path);
        command
            .env("CHECKPOINT_DISABLE", "1")
            .env("PACKER_CONFIG_DIR", desk.path("packer.d"));
        ran(&command.output().unwrap())
    };
    for verb in [
        &["validate", "web.pkr.hcl"][..],
        &["fmt", "-check", "web.pkr.hcl"],
    ] {
        let checked = packer(verb);
        assert_eq!(checked.code, Some(0), "{checked:?}");
    }
    let flags = "flags=--boot none --size 64M --arch x86_64";
    let asked = "rootfs.tar --boot none --size 64M --enable fstrim.timer --machine-id empty";
    same_twice(desk, &asked.split(' ').collect::<Vec<_>>());
    let built = packer(&[
        "build",
        "-color=false",
        "-var",
        "region=us-east-1",
        "-var",
        flags,
        "web.pkr.hcl",
    ]);
    assert_eq!(
        built.code,
        Some(0),
        "{built:?} {:?}",
        cloud.fake.state().refusals
    );
    let text = std::fs::read_to_string(desk.path("ami.json")).unwrap();
    let made: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = made["ami"].as_str().unwrap();
    assert!(id.starts_with("ami-"), "{text}");
    assert!(desk.path("packer-manifest.json").exists());
    // A build that fails fails Packer.
    let failed = packer(&[
        "build",
        "-color=false",
        "-var",
        "rootfs=gone.tar",
        "web.pkr.hcl",
    ]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
}

#[test]
fn a_makefile_of_a_dozen_lines() {
    if !have("make") {
        return;
    }
    let desk = desk("make");
    let text = std::fs::read_to_string(desk.path("Makefile")).unwrap();
    let lines = text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    assert!(lines.count() <= 12);
    let path = program(&desk, "\"$@\"");
    let make = |args: &[&str]| {
        let mut command = std::process::Command::new("make");
        command
            .args(args)
            .current_dir(desk.folder())
            .env("PATH", &path);
        ran(&command.output().unwrap())
    };
    let flags = "FLAGS=--boot none --overlay overlay --enable fstrim.timer --machine-id empty";
    let made = make(&["disk.img", flags]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(desk.path("disk.img").exists());
    let flags_: Vec<&str> = flags["FLAGS=".len()..].split(' ').collect();
    same_twice(&desk, &[&["rootfs.tar"], &flags_[..]].concat());
    // Nothing has changed: nothing is made.
    let again = make(&["disk.img", flags]);
    assert!(again.stdout.contains("up to date"), "{again:?}");
    let asked = make(&["-n", "ami"]);
    assert!(
        asked.stdout.contains("diskwright push disk.img --name web"),
        "{asked:?}"
    );
}

/// What the pods would run, by `tests/examples/check.py`, is run here.
fn pods(kind: &str, count: usize) {
    let python = stdout(
        "sh",
        &["-c", "dirname \"$(command -v kubernetes-validate)\""],
    );
    let python = format!("{}/python3", python.trim());
    let lines = stdout(
        &python,
        &["-W", "ignore", folder("check.py").to_str().unwrap(), kind],
    );
    assert_eq!(lines.lines().count(), count);
    let desk = Desk::new();
    for release in ["bookworm", "trixie"] {
        desk.write(&format!("{release}.tar"), &small());
    }
    let here = |text: &str| {
        text.replace("/in/", "")
            .replace("/out/", "out/")
            .replace("/specs/", "")
            .replace("--boot=bios", "--boot=none")
            .replace("--boot=hybrid", "--boot=none")
            .replace("boot = \"bios\"", "boot = \"none\"")
            .replace("boot = \"hybrid\"", "boot = \"none\"")
    };
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let args = line.as_array().unwrap();
        let words: Vec<String> = args[1..]
            .iter()
            .map(|w| here(w.as_str().unwrap()))
            .collect();
        if let Some(spec) = args[0]["spec"].as_str() {
            desk.write(&words[2], here(spec).as_bytes());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = desk.run(&words);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let given = words.iter().skip(1).filter(|w| **w != "--spec");
        same_twice(&desk, &given.copied().collect::<Vec<_>>());
    }
    assert_eq!(desk.out().len(), count);
}

#[test]
fn a_job_of_kubernetes_makes_a_matrix_without_privilege() {
    if have("kubernetes-validate") {
        stdout(
            "kubernetes-validate",
            &[folder("kubernetes/job.yaml").to_str().unwrap()],
        );
        pods("job", 3);
    }
}

#[test]
fn a_workflow_of_argo_makes_the_same() {
    if have("kubernetes-validate") {
        pods("workflow", 4);
    }
}

#[test]
fn every_example_stands_in_the_table() {
    let readme = std::fs::read_to_string(folder("README.md")).unwrap();
    for entry in std::fs::read_dir(folder("")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            assert!(readme.contains(&format!("| [{name}](")), "{name}");
        }
    }
}

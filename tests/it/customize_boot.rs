//! What an image was made one's own with holds in the booted guest: a person logs in over ssh with the key, and
//! finds unit, names, zone, locale and cloud-init as they were asked for.

use crate::boot_debian::can_boot;
use crate::common::desk::{Desk, Running};
use crate::common::{guest, rootfs, run};
use crate::tools::have;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Several times what a loaded machine without KVM takes.
const PATIENCE: Duration = Duration::from_secs(900);

const UNIT: &str = "[Unit]\nDescription=Tells that it ran\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
    ExecStart=/usr/local/bin/tell\n[Install]\nWantedBy=multi-user.target\n";
const TELL: &str = "#!/bin/sh\necho ran > /run/told\n";
/// Keys of the one kind that TCG makes fast.
const USER_DATA: &str = "#cloud-config\nssh_genkeytypes: [ed25519]\nwrite_files:\n- path: /etc/seeded\n  content: by-seed\n";

/// What the user asks the guest.
const ASK: &str = "id -un; id -nG; hostname; echo $LANG; date +%Z; systemctl is-active told; cat /run/told; \
    systemctl is-enabled fstrim.timer e2scrub_reap rsync 2>/dev/null | tr '\\n' ' '; echo; stat -c '%a %U:%G' . .ssh; \
    cloud-init status --wait >/dev/null; cat /etc/seeded; echo; grep -o 'DataSource[A-Za-z]*' /run/cloud-init/result.json; \
    test -s /etc/machine-id && echo known; ls /usr/share/doc | wc -l";

#[test]
fn a_person_logs_in_with_the_key_and_finds_what_was_asked_for() {
    if !can_boot() || ["ssh", "ssh-keygen"].iter().any(|tool| !have(tool)) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let desk = Desk::new();
    run(
        desk.folder(),
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", "key"],
    );
    desk.write("user-data", USER_DATA.as_bytes());
    desk.write("tell", TELL.as_bytes());
    std::fs::create_dir_all(desk.path("over/etc/systemd/system")).unwrap();
    desk.write("over/etc/systemd/system/told.service", UNIT.as_bytes());
    desk.builds(
        debian.to_str().unwrap(),
        &[
            "--boot",
            "bios",
            "--user",
            "lisa:1234:sudo",
            "--ssh-key",
            "lisa:key.pub",
            "--overlay",
            "over",
            "--file",
            "tell:/usr/local/bin/tell:0755",
            "--enable",
            "told",
            "--enable",
            "fstrim.timer",
            "--disable",
            "e2scrub_reap",
            "--hostname",
            "herald",
            "--timezone",
            "Asia/Kolkata",
            "--locale",
            "C.UTF-8",
            "--cloud-init",
            "user-data",
            "--machine-id",
            "empty",
            "--remove",
            "/usr/share/doc/*",
        ],
    );
    desk.fsck();

    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let image = desk.path("out/disk.img");
    let console = desk.path("console");
    let mut qemu = guest::machine();
    qemu.args([
        "-display",
        "none",
        "-monitor",
        "none",
        "-no-reboot",
        "-device",
        "nvme,drive=root,serial=root",
    ]);
    qemu.arg("-drive").arg(format!(
        "if=none,id=root,format=raw,snapshot=on,file={}",
        image.display()
    ));
    qemu.arg("-nic").arg(format!(
        "user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"
    ));
    qemu.arg("-serial")
        .arg(format!("file:{}", console.display()));
    qemu.env("TMPDIR", desk.folder()).stdin(Stdio::null());
    let begun = Instant::now();
    let mut qemu = Running(qemu.spawn().unwrap());
    let options = [
        "-F",
        "/dev/null",
        "-i",
        "key",
        "-p",
        &port,
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=20",
        "-o",
        "LogLevel=ERROR",
    ];
    let answer = loop {
        let mut ssh = Command::new("ssh");
        ssh.args(options).args(["lisa@127.0.0.1", ASK]);
        let output = ssh
            .current_dir(desk.folder())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // 255 is ssh's own: the guest does not listen yet.
        if output.status.code() != Some(255) {
            break output;
        }
        let said =
            String::from_utf8_lossy(&std::fs::read(&console).unwrap_or_default()).into_owned();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(begun.elapsed() < PATIENCE, "{why}\n{said}");
        assert!(qemu.0.try_wait().unwrap().is_none(), "{said}");
        std::thread::sleep(Duration::from_secs(1));
    };
    eprintln!(
        "logged in and done in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    expect_test::expect![[r#"
        lisa
        lisa sudo
        herald
        C.UTF-8
        IST
        active
        ran
        enabled disabled 
        700 lisa:lisa
        700 lisa:lisa
        by-seed
        DataSourceNoCloud
        known
        0
    "#]]
    .assert_eq(&said);
}
